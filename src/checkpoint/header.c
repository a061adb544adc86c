/* The header of a safetensors file: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
 * "__metadata__": {"key": "text", ...}} becomes tensor views and metadata. */
#include "checkpoint/internal.h"

#include <string.h>

#define MAX_METADATA 65536 /* keys; each costs a JSON node */
#define MAX_DTYPE_NAME 32
#define DTYPE_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Where the parser stands: names are decoded one after the other into `names`, of which `used` bytes are taken. */
typedef struct {
    rllc_safetensors *s;
    rllc_checkpoint_scan *scan;
    char *names;
    size_t used;
    const unsigned char *block;
    size_t block_size;
    int64_t capacity;
} parser;

/* What an entry of the header says, before it is checked against the rest. */
typedef struct {
    int n_dims;
    int64_t shape[RLLC_MAX_DIMS];
    const char *dtype_name;
    int64_t begin, end;
    bool has_dtype, has_shape, has_offsets;
} entry;

static rllc_status parse_dtype(parser *p, entry *e) {
    rllc_status status = RLLC_OK;
    char *text = p->names + p->used;
    size_t n = 0;
    RLLC_TRY(rllc_checkpoint_scan_string(p->scan, text, &n, "the name of an element type"));
    const bool sound = n > 0 && n <= MAX_DTYPE_NAME && text[strspn(text, DTYPE_LETTERS)] == '\0';
    if (!sound) return rllc_checkpoint_scan_fail(p->scan, "an element type such as F32 before this");
    const rllc_checkpoint_dtype *known = rllc_checkpoint_dtype_named(text);
    e->dtype_name = known ? known->name : rllc_intern(text);
    if (!e->dtype_name) status = rllc_fail(RLLC_ENOMEM, "%s: no memory for the names of element types", p->scan->path);
done:
    return status;
}

static rllc_status parse_shape(parser *p, entry *e) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '[', "'[' to begin the shape"));
    if (rllc_checkpoint_scan_take(p->scan, ']')) goto done; /* a scalar */
    do {
        int64_t dim = 0;
        RLLC_TRY(rllc_checkpoint_scan_integer(p->scan, &dim));
        if (e->n_dims == RLLC_MAX_DIMS) {
            return rllc_fail(RLLC_EUNSUPPORTED,
                             "%s: byte %zu of the safetensors header: a tensor has more than %d "
                             "dimensions; at most %d are supported",
                             p->scan->path, p->scan->origin + p->scan->at, RLLC_MAX_DIMS, RLLC_MAX_DIMS);
        }
        e->shape[e->n_dims++] = dim;
    } while (rllc_checkpoint_scan_take(p->scan, ','));
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, ']', "',' or ']' in a shape"));
done:
    return status;
}

static rllc_status parse_offsets(parser *p, entry *e) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '[', "'[' to begin data_offsets"));
    RLLC_TRY(rllc_checkpoint_scan_integer(p->scan, &e->begin));
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, ',', "',' between the two data_offsets"));
    RLLC_TRY(rllc_checkpoint_scan_integer(p->scan, &e->end));
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, ']', "']' after the two data_offsets"));
done:
    return status;
}

static rllc_status parse_field(parser *p, entry *e) {
    rllc_status status = RLLC_OK;
    static const char expected[] = "one of dtype, shape, data_offsets, each once";
    char *key = p->names + p->used;
    const rllc_checkpoint_scan before = *p->scan;
    size_t n = 0;
    RLLC_TRY(rllc_checkpoint_scan_string(p->scan, key, &n, expected));
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, ':', "':'"));
    bool *seen = NULL;
    if (strcmp(key, "dtype") == 0) seen = &e->has_dtype;
    if (strcmp(key, "shape") == 0) seen = &e->has_shape;
    if (strcmp(key, "data_offsets") == 0) seen = &e->has_offsets;
    if (!seen || *seen) return rllc_checkpoint_scan_fail(&before, expected);
    *seen = true;
    if (seen == &e->has_dtype) RLLC_TRY(parse_dtype(p, e));
    if (seen == &e->has_shape) RLLC_TRY(parse_shape(p, e));
    if (seen == &e->has_offsets) RLLC_TRY(parse_offsets(p, e));
done:
    return status;
}

/* The entry against itself: offsets in order and inside the block, bytes = elements x size of the type. */
static rllc_status check_entry(const parser *p, const char *name, const entry *e, int64_t *n) {
    char shown[96];
    const char *path = p->scan->path;
    rllc_checkpoint_shown(shown, name);
    if (!e->has_dtype || !e->has_shape || !e->has_offsets) {
        return rllc_fail(RLLC_EINPUT, "%s: tensor '%s' has no %s; the file is damaged", path, shown,
                         !e->has_dtype   ? "dtype"
                         : !e->has_shape ? "shape"
                                         : "data_offsets");
    }
    if (e->end < e->begin || (uint64_t)e->end > p->block_size) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: tensor '%s' claims bytes %lld to %lld of a data block of %zu bytes; the file "
                         "is truncated or damaged",
                         path, shown, (long long)e->begin, (long long)e->end, p->block_size);
    }
    if (!rllc_checkpoint_count(e->shape, e->n_dims, n)) {
        return rllc_fail(RLLC_EINPUT, "%s: tensor '%s': the product of its dimensions overflows; the file is damaged",
                         path, shown);
    }
    const rllc_checkpoint_dtype *type = rllc_checkpoint_dtype_named(e->dtype_name);
    int64_t size = e->end - e->begin; /* a type we do not know is taken at its word */
    if (type && !rllc_checkpoint_size(*n, type->bits, &size)) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: tensor '%s': %lld elements of %d bits overflow or end inside a byte; the file "
                         "is damaged",
                         path, shown, (long long)*n, type->bits);
    }
    if (size != e->end - e->begin) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: tensor '%s' claims %lld bytes, but its shape and type %s need %lld; the file is "
                         "damaged",
                         path, shown, (long long)(e->end - e->begin), e->dtype_name, (long long)size);
    }
    return RLLC_OK;
}

static rllc_status add_tensor(parser *p, const char *name, const entry *e) {
    rllc_status status = RLLC_OK;
    rllc_safetensors *s = p->s;
    int64_t n = 0;
    RLLC_TRY(check_entry(p, name, e, &n));
    if (s->n == p->capacity) {
        const int64_t wider = p->capacity ? 2 * p->capacity : 32;
        RLLC_TRY(rllc_grow(&s->tensors, p->capacity, wider, sizeof *s->tensors));
        p->capacity = wider;
    }
    const rllc_checkpoint_dtype *type = rllc_checkpoint_dtype_named(e->dtype_name);
    rllc_tensor_view *t = &s->tensors[s->n++];
    t->name = name;
    t->dtype = type ? type->code : RLLC_OTHER;
    t->dtype_name = e->dtype_name;
    t->n_dims = e->n_dims;
    memcpy(t->shape, e->shape, sizeof t->shape);
    t->n = n;
    t->data = p->block + e->begin;
    t->size = (size_t)(e->end - e->begin);
done:
    return status;
}

static rllc_status parse_tensor(parser *p, const char *name) {
    rllc_status status = RLLC_OK;
    entry e = {0};
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '{', "'{' to begin a tensor's entry"));
    if (!rllc_checkpoint_scan_take(p->scan, '}')) {
        do {
            RLLC_TRY(parse_field(p, &e));
        } while (rllc_checkpoint_scan_take(p->scan, ','));
        RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '}', "',' or '}' in a tensor's entry"));
    }
    RLLC_TRY(add_tensor(p, name, &e));
done:
    return status;
}

static rllc_status parse_metadata_pair(parser *p, int64_t *count) {
    rllc_status status = RLLC_OK;
    char shown[96];
    char *key = p->names + p->used, *value;
    size_t n = 0;
    RLLC_TRY(rllc_checkpoint_scan_string(p->scan, key, &n, "a key of __metadata__"));
    value = key + n + 1;
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, ':', "':'"));
    RLLC_TRY(rllc_checkpoint_scan_string(p->scan, value, &n, "a string: __metadata__ holds texts only"));
    if (rllc_json_get(p->s->metadata, key)) {
        return rllc_fail(RLLC_EINPUT, "%s: __metadata__ has the key '%s' twice; the file is damaged", p->scan->path,
                         rllc_checkpoint_shown(shown, key));
    }
    if (++*count > MAX_METADATA) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: __metadata__ has more than %d keys", p->scan->path, MAX_METADATA);
    }
    RLLC_TRY(rllc_json_set(p->s->metadata, key, rllc_json_string(value)));
done:
    return status;
}

static rllc_status parse_metadata(parser *p) {
    rllc_status status = RLLC_OK;
    int64_t count = 0;
    if (p->s->metadata)
        return rllc_fail(RLLC_EINPUT, "%s: the header has __metadata__ twice; the file is damaged", p->scan->path);
    p->s->metadata = rllc_json_object();
    if (!p->s->metadata) return rllc_fail(RLLC_ENOMEM, "%s: no memory for the metadata", p->scan->path);
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '{', "'{' to begin __metadata__"));
    if (rllc_checkpoint_scan_take(p->scan, '}')) goto done;
    do {
        RLLC_TRY(parse_metadata_pair(p, &count));
    } while (rllc_checkpoint_scan_take(p->scan, ','));
    RLLC_TRY(rllc_checkpoint_scan_expect(p->scan, '}', "',' or '}' in __metadata__"));
done:
    return status;
}

rllc_status rllc_checkpoint_parse_header(rllc_safetensors *s, rllc_checkpoint_scan *scan, char *names,
                                         const unsigned char *block, size_t block_size) {
    rllc_status status = RLLC_OK;
    parser p = {.s = s, .scan = scan, .names = names, .block = block, .block_size = block_size};
    if (scan->n == 0 || scan->text[0] != '{') return rllc_checkpoint_scan_fail(scan, "'{' to begin the header");
    scan->at = 1;
    if (!rllc_checkpoint_scan_take(scan, '}')) {
        do {
            char *name = names + p.used;
            size_t n = 0;
            RLLC_TRY(rllc_checkpoint_scan_string(scan, name, &n, "the name of a tensor"));
            RLLC_TRY(rllc_checkpoint_scan_expect(scan, ':', "':'"));
            if (strcmp(name, "__metadata__") == 0) {
                RLLC_TRY(parse_metadata(&p));
            } else {
                p.used += n + 1;
                RLLC_TRY(parse_tensor(&p, name));
            }
        } while (rllc_checkpoint_scan_take(scan, ','));
        RLLC_TRY(rllc_checkpoint_scan_expect(scan, '}', "',' or '}' in the header"));
    }
    if (!rllc_checkpoint_scan_ended(scan)) status = rllc_checkpoint_scan_fail(scan, "only spaces after the last '}'");
done:
    return status;
}
