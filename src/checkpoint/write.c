/* Writing a safetensors file, byte for byte as the safetensors library does: tensors by decreasing alignment, then
 * name; compact JSON padded with spaces to a multiple of 8. Metadata keys are sorted (the library's order is random).
 */
#include "checkpoint/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* JSON as serde_json writes it: only quotes, backslashes and control characters are escaped. */
static rllc_status add_json_string(rllc_string *out, const char *text) {
    static const char shorts[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "\""));
    for (const char *c = text; *c;) {
        size_t plain = 0;
        while ((unsigned char)c[plain] >= 0x20 && c[plain] != '"' && c[plain] != '\\') plain++;
        RLLC_TRY(rllc_string_add_bytes(out, c, plain));
        c += plain;
        if (!*c) break;
        const char *found = strchr(shorts, *c);
        if (found) {
            RLLC_TRY(rllc_string_printf(out, "\\%c", names[found - shorts]));
        } else {
            RLLC_TRY(rllc_string_printf(out, "\\u%04x", (unsigned)*c));
        }
        c++;
    }
    RLLC_TRY(rllc_string_add(out, "\""));
done:
    return status;
}

/* ---- metadata -------------------------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char **keys;
    int64_t n;
} key_list;

static rllc_status collect_key(void *context, const char *key, const rllc_json *value) {
    key_list *list = context;
    char shown[96];
    const char *text = rllc_json_text(value);
    if (!text || strlen(text) != rllc_json_text_length(value)) {
        return rllc_fail(RLLC_EINPUT, "%s: metadata '%s' must be a text without NUL characters", list->path,
                         rllc_checkpoint_shown(shown, key));
    }
    list->keys[list->n++] = key;
    return RLLC_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static rllc_status add_metadata(rllc_string *out, const char *path, const rllc_json *metadata) {
    rllc_status status = RLLC_OK;
    key_list list = {.path = path};
    RLLC_TRY(rllc_alloc(&list.keys, rllc_json_length(metadata) + 1, sizeof *list.keys));
    if (metadata) RLLC_TRY(rllc_json_each(metadata, collect_key, &list));
    if (!rllc_json_get(metadata, "format")) list.keys[list.n++] = "format";
    qsort(list.keys, (size_t)list.n, sizeof *list.keys, by_text);
    RLLC_TRY(rllc_string_add(out, "{\"__metadata__\":{"));
    for (int64_t i = 0; i < list.n; i++) {
        const char *value = rllc_json_text(rllc_json_get(metadata, list.keys[i]));
        if (i > 0) RLLC_TRY(rllc_string_add(out, ","));
        RLLC_TRY(add_json_string(out, list.keys[i]));
        RLLC_TRY(rllc_string_add(out, ":"));
        RLLC_TRY(add_json_string(out, value ? value : "pt"));
    }
    RLLC_TRY(rllc_string_add(out, "}"));
done:
    rllc_free(list.keys);
    return status;
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

/* A tensor to write: its type (NULL if the format's list has none) and size. */
typedef struct {
    const rllc_tensor_view *t;
    const rllc_checkpoint_dtype *type;
    int64_t size;
} item;

static rllc_status make_item(item *it, const rllc_tensor_view *t, const char *path) {
    char shown[96];
    int64_t n = 0;
    rllc_checkpoint_shown(shown, t->name);
    it->t = t;
    it->type = rllc_checkpoint_dtype_of(t);
    it->size = (int64_t)t->size;
    if (strcmp(t->name, "__metadata__") == 0 || !rllc_utf8_valid(t->name, strlen(t->name), NULL)) {
        return rllc_fail(RLLC_EINPUT, "%s: a tensor cannot be named '%s'", path, shown);
    }
    if (t->n_dims < 0 || t->n_dims > RLLC_MAX_DIMS || !rllc_checkpoint_count(t->shape, t->n_dims, &n) || n != t->n) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: tensor '%s' has %" PRId64 " elements, which is not the product of its "
                         "dimensions",
                         path, shown, t->n);
    }
    if (!it->type && !t->dtype_name)
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: tensor '%s' has no known type", path, shown);
    if (it->type && !rllc_checkpoint_size(n, it->type->bits, &it->size)) {
        return rllc_fail(RLLC_EINPUT, "%s: tensor '%s' has an impossible size", path, shown);
    }
    return RLLC_OK;
}

static int by_alignment(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->type != y->type) return (uintptr_t)x->type > (uintptr_t)y->type ? -1 : 1;
    return strcmp(x->t->name, y->t->name);
}

static rllc_status add_tensor(rllc_string *out, const item *it, int64_t begin, int64_t end) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, ","));
    RLLC_TRY(add_json_string(out, it->t->name));
    RLLC_TRY(rllc_string_add(out, ":{\"dtype\":"));
    RLLC_TRY(add_json_string(out, it->type ? it->type->name : it->t->dtype_name));
    RLLC_TRY(rllc_string_add(out, ",\"shape\":["));
    for (int i = 0; i < it->t->n_dims; i++) {
        RLLC_TRY(rllc_string_printf(out, "%s%" PRId64, i > 0 ? "," : "", it->t->shape[i]));
    }
    RLLC_TRY(rllc_string_printf(out, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin, end));
done:
    return status;
}

static rllc_status make_header(rllc_string *out, const char *path, const item *items, int64_t n,
                               const rllc_json *metadata) {
    rllc_status status = RLLC_OK;
    char shown[96];
    int64_t begin = 0;
    RLLC_TRY(add_metadata(out, path, metadata));
    for (int64_t i = 0; i < n; i++) {
        int64_t end;
        if (__builtin_add_overflow(begin, items[i].size, &end)) {
            return rllc_fail(RLLC_EINPUT, "%s: the tensors together are larger than any file", path);
        }
        RLLC_TRY(add_tensor(out, &items[i], begin, end));
        begin = end;
    }
    RLLC_TRY(rllc_string_add(out, "}"));
    while (out->length % 8 != 0) RLLC_TRY(rllc_string_add(out, " "));
    if (out->length > RLLC_CHECKPOINT_MAX_HEADER) {
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "%s: the names of %" PRId64 " tensors (first '%s') make a header of %zu bytes, "
                         "at most %d are allowed",
                         path, n, n > 0 ? rllc_checkpoint_shown(shown, items[0].t->name) : "", out->length,
                         RLLC_CHECKPOINT_MAX_HEADER);
    }
done:
    return status;
}

static int item_by_name(const void *a, const void *b) {
    return strcmp(((const item *)a)->t->name, ((const item *)b)->t->name);
}

static rllc_status make_items(item *items, const char *path, const rllc_tensor_view *tensors, int64_t n) {
    rllc_status status = RLLC_OK;
    char shown[96];
    for (int64_t i = 0; i < n; i++) RLLC_TRY(make_item(&items[i], &tensors[i], path));
    if (n > 1) qsort(items, (size_t)n, sizeof *items, item_by_name);
    for (int64_t i = 1; i < n; i++) {
        if (strcmp(items[i - 1].t->name, items[i].t->name) == 0) {
            return rllc_fail(RLLC_EINPUT, "%s: two tensors are named '%s'", path,
                             rllc_checkpoint_shown(shown, items[i].t->name));
        }
    }
    if (n > 1) qsort(items, (size_t)n, sizeof *items, by_alignment);
done:
    return status;
}

rllc_status rllc_safetensors_write(const char *path, const rllc_tensor_view *tensors, int64_t n,
                                   const rllc_json *metadata) {
    rllc_status status = RLLC_OK;
    rllc_string header = {0};
    rllc_output_file file = {0};
    item *items = NULL;
    RLLC_TRY(rllc_alloc(&items, n, sizeof *items));
    RLLC_TRY(make_items(items, path, tensors, n));
    RLLC_TRY(make_header(&header, path, items, n, metadata));
    RLLC_TRY(rllc_output_file_open(&file, path));
    const uint64_t length = header.length;
    bool written = fwrite(&length, 8, 1, file.stream) == 1 && fwrite(header.data, header.length, 1, file.stream) == 1;
    for (int64_t i = 0; written && i < n; i++) {
        written = items[i].size == 0 || fwrite(items[i].t->data, (size_t)items[i].size, 1, file.stream) == 1;
    }
    RLLC_TRY(
        rllc_output_file_commit(&file)); /* after a failed fwrite too: the stream remembers and commit reports it */
done:
    rllc_output_file_abort(&file);
    rllc_string_release(&header);
    rllc_free(items);
    return status;
}
