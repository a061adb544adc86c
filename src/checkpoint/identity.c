/* The identity of a set of tensors: equal for equal names, shapes and float32 values, whatever file they come from. */
#include "checkpoint/internal.h"

#include <inttypes.h>
#include <string.h>

#define CHUNK 8192 /* elements converted at a time */

/* digest <- H(digest, H(bytes)) */
static void absorb(rllc_hash *digest, const void *bytes, size_t n) {
    char both[64];
    const rllc_hash h = rllc_hash_bytes(bytes, n);
    memcpy(both, digest->hex, 32);
    memcpy(both + 32, h.hex, 32);
    *digest = rllc_hash_bytes(both, sizeof both);
}

/* The values in chunks, so that no copy of the tensor is needed to convert it. */
static void absorb_values(rllc_hash *digest, const rllc_tensor_view *t) {
    float values[CHUNK];
    for (int64_t i = 0; i < t->n; i += CHUNK) {
        const int64_t n = t->n - i < CHUNK ? t->n - i : CHUNK;
        (void)rllc_checkpoint_convert(t, i, n, values);
        absorb(digest, values, (size_t)n * sizeof *values);
    }
}

static rllc_hash tensor_digest(const rllc_tensor_view *t) {
    const rllc_checkpoint_dtype *type = rllc_checkpoint_dtype_of(t);
    const bool has_floats = rllc_checkpoint_convert(t, 0, 0, NULL);
    const char *label = has_floats ? "float32" : t->dtype_name ? t->dtype_name : type ? type->name : "";
    rllc_hash digest = rllc_hash_text(t->name);
    absorb(&digest, label, strlen(label));
    absorb(&digest, t->shape, (size_t)t->n_dims * sizeof t->shape[0]);
    if (has_floats) {
        absorb_values(&digest, t);
    } else {
        int64_t size = (int64_t)t->size;
        if (type) (void)rllc_checkpoint_size(t->n, type->bits, &size);
        absorb(&digest, t->data, (size_t)size);
    }
    return digest;
}

static uint64_t from_hex(const char *digits) {
    uint64_t value = 0;
    for (int i = 0; i < 16; i++)
        value = value << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return value;
}

/* The tensors' digests are added modulo 2^128: no order enters, and nothing is allocated that could fail. */
rllc_hash rllc_tensors_hash(const rllc_tensor_view *tensors, int64_t n) {
    uint64_t high = 0, low = 0;
    char text[80];
    for (int64_t i = 0; i < n; i++) {
        const rllc_hash h = tensor_digest(&tensors[i]);
        const bool carry = __builtin_add_overflow(low, from_hex(h.hex + 16), &low);
        high += from_hex(h.hex) + carry;
    }
    (void)snprintf(text, sizeof text, "tensors %" PRId64 " %016" PRIx64 "%016" PRIx64, n, high, low);
    return rllc_hash_text(text);
}
