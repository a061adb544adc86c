/* Opening a safetensors file: u64 N (little-endian) | N bytes of JSON | the tensors' bytes. Nothing in it is believed.
 */
#include "checkpoint/internal.h"

#include <stdlib.h>
#include <string.h>

/* The length of the header, checked against the file. */
static rllc_status read_length(const rllc_safetensors *s, size_t *n) {
    uint64_t length = 0;
    if (s->mapping.size < 8) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: %zu bytes is too short for a safetensors file (8 bytes of header length come "
                         "first); the file is empty or truncated",
                         s->path, s->mapping.size);
    }
    memcpy(&length, s->mapping.data, 8);
    if (length > RLLC_CHECKPOINT_MAX_HEADER) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: byte 0: a header of %llu bytes is announced, at most %d are allowed; is this a "
                         "safetensors file?",
                         s->path, (unsigned long long)length, RLLC_CHECKPOINT_MAX_HEADER);
    }
    if (length > s->mapping.size - 8) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: byte 0: a header of %llu bytes is announced, but only %zu bytes follow; the file "
                         "is truncated or no safetensors file",
                         s->path, (unsigned long long)length, s->mapping.size - 8);
    }
    *n = (size_t)length;
    return RLLC_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const rllc_tensor_view *)a)->name, ((const rllc_tensor_view *)b)->name);
}

/* Offsets, then names, so that empty tensors at one place have a fixed order too. */
static int by_place(const void *a, const void *b) {
    const rllc_tensor_view *x = a, *y = b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

static rllc_status check_names(rllc_safetensors *s) {
    char shown[96];
    if (s->n > 1) qsort(s->tensors, (size_t)s->n, sizeof *s->tensors, by_name);
    for (int64_t i = 1; i < s->n; i++) {
        if (strcmp(s->tensors[i - 1].name, s->tensors[i].name) == 0) {
            return rllc_fail(RLLC_EINPUT, "%s: the header names tensor '%s' twice; the file is damaged", s->path,
                             rllc_checkpoint_shown(shown, s->tensors[i].name));
        }
    }
    return RLLC_OK;
}

/* Each tensor begins where the one before ends; the last ends with the file. Leaves them in file order. */
static rllc_status check_tiles(rllc_safetensors *s, const unsigned char *block, size_t block_size) {
    char shown[96];
    size_t end = 0;
    if (s->n > 1) qsort(s->tensors, (size_t)s->n, sizeof *s->tensors, by_place);
    for (int64_t i = 0; i < s->n; i++) {
        const rllc_tensor_view *t = &s->tensors[i];
        const size_t begin = (size_t)((const unsigned char *)t->data - block);
        if (begin != end) {
            return rllc_fail(RLLC_EINPUT,
                             "%s: tensor '%s' begins at byte %zu of the data, expected %zu: there is %s; the "
                             "file is damaged",
                             s->path, rllc_checkpoint_shown(shown, t->name), begin, end,
                             begin > end ? "a hole before it" : "an overlap with the tensor before it");
        }
        end = begin + t->size;
    }
    if (end != block_size) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: the tensors end at byte %zu of the data, but the data has %zu bytes; the file "
                         "is damaged",
                         s->path, end, block_size);
    }
    return RLLC_OK;
}

/* The names stood in the parser's memory until the file proved sound. */
static rllc_status intern_names(rllc_safetensors *s) {
    for (int64_t i = 0; i < s->n; i++) {
        s->tensors[i].name = rllc_intern(s->tensors[i].name);
        if (!s->tensors[i].name) return rllc_fail(RLLC_ENOMEM, "%s: no memory for the names of tensors", s->path);
    }
    return RLLC_OK;
}

rllc_status rllc_safetensors_open(rllc_safetensors *s, const char *path) {
    rllc_status status = RLLC_OK;
    char *names = NULL;
    size_t n = 0, bad = 0;
    memset(s, 0, sizeof *s);
    s->path = rllc_intern(path);
    if (!s->path) return rllc_fail(RLLC_ENOMEM, "no memory for the path of a safetensors file");
    RLLC_TRY(rllc_mapping_open(&s->mapping, path));
    RLLC_TRY(read_length(s, &n));
    const unsigned char *text = s->mapping.data + 8, *block = text + n;
    const size_t block_size = s->mapping.size - 8 - n;
    if (!rllc_utf8_valid(text, n, &bad)) {
        status =
            rllc_fail(RLLC_EINPUT, "%s: byte %zu: the header is not valid UTF-8; the file is damaged", path, 8 + bad);
        goto done;
    }
    RLLC_TRY(rllc_alloc(&names, (int64_t)n + 1, 1));
    rllc_checkpoint_scan scan = {.path = s->path, .text = text, .n = n, .origin = 8};
    RLLC_TRY(rllc_checkpoint_parse_header(s, &scan, names, block, block_size));
    RLLC_TRY(check_names(s));
    RLLC_TRY(check_tiles(s, block, block_size));
    RLLC_TRY(intern_names(s));
done:
    rllc_free(names);
    if (status != RLLC_OK) rllc_safetensors_close(s);
    return status;
}

void rllc_safetensors_close(rllc_safetensors *s) {
    if (!s) return;
    rllc_free(s->tensors);
    rllc_json_free(s->metadata);
    rllc_mapping_close(&s->mapping);
    memset(s, 0, sizeof *s);
}

const rllc_tensor_view *rllc_safetensors_find(const rllc_safetensors *s, const char *name) {
    for (int64_t i = 0; i < s->n; i++) {
        if (strcmp(s->tensors[i].name, name) == 0) return &s->tensors[i];
    }
    return NULL;
}
