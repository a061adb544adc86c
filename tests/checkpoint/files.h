/* What the tests of checkpoint share: small files made of a header text and data, and what must hold of any open file.
 */
#ifndef RLLC_TESTS_CHECKPOINT_FILES_H
#define RLLC_TESTS_CHECKPOINT_FILES_H

#include <string.h>

#include "base/helpers.h"
#include "rllc/checkpoint.h"

/* Pieces of headers: an entry, a file of one or two tensors, two floats in place. */
#define ENTRY(type, shape, offsets) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(type, shape, offsets) "{\"a\":" ENTRY(type, shape, offsets) "}"
#define TWO(first, second) "{\"a\":" first ",\"b\":" second "}"
#define F32x2(begin, end) ENTRY("F32", "[2]", "[" #begin "," #end "]")

/** Writes bytes to a file without syncing (thousands of files are written). */
static inline void put_file(const char *path, const void *bytes, size_t n) {
    unlink(path); /* ext4 flushes a file that is written over */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/** Writes `announced` | header | n_data bytes 0, 1, 2, ... */
static inline void put_safetensors(const char *path, uint64_t announced, const char *header, size_t n_header,
                                   size_t n_data) {
    unsigned char *bytes = malloc(8 + n_header + n_data);
    assert_non_null(bytes);
    memcpy(bytes, &announced, 8);
    memcpy(bytes + 8, header, n_header);
    for (size_t i = 0; i < n_data; i++) bytes[8 + n_header + i] = (unsigned char)i;
    put_file(path, bytes, 8 + n_header + n_data);
    free(bytes);
}

/** What every accepted file keeps: tensors tile the data, names differ, elements fit their bytes; all data is readable.
 */
static inline void check_sound(const rllc_safetensors *s) {
    const unsigned char *at = s->n > 0 ? s->tensors[0].data : s->mapping.data + s->mapping.size;
    volatile unsigned sum = 0;
    if (s->n == 0) assert_true(s->mapping.size >= 10);
    for (int64_t i = 0; i < s->n; i++) {
        const rllc_tensor_view *t = &s->tensors[i];
        static const size_t sizes[] = {
            [RLLC_F32] = 4, [RLLC_F64] = 8, [RLLC_F16] = 2, [RLLC_BF16] = 2, [RLLC_I32] = 4, [RLLC_I64] = 8};
        assert_ptr_equal(t->data, at);
        at += t->size;
        assert_true(at <= s->mapping.data + s->mapping.size);
        assert_non_null(t->name);
        assert_non_null(t->dtype_name);
        assert_true(t->n_dims >= 0 && t->n_dims <= RLLC_MAX_DIMS && t->n >= 0);
        if (t->dtype != RLLC_OTHER) assert_int_equal(t->size, (size_t)t->n * sizes[t->dtype]);
        for (size_t k = 0; k < t->size; k++) sum += ((const unsigned char *)t->data)[k];
        assert_ptr_equal(rllc_safetensors_find(s, t->name), t);
    }
    assert_ptr_equal(at, s->mapping.data + s->mapping.size);
    (void)sum;
}

/** Written and read again: the same tensors; written once more: the same bytes. */
static inline void check_round_trip(void **state, const rllc_safetensors *s) {
    const char *first = scratch_path(state, "first.safetensors"), *second = scratch_path(state, "second.safetensors");
    rllc_safetensors again;
    assert_ok(rllc_safetensors_write(first, s->tensors, s->n, s->metadata));
    assert_ok(rllc_safetensors_open(&again, first));
    check_sound(&again);
    assert_int_equal(again.n, s->n);
    assert_string_equal(rllc_tensors_hash(again.tensors, again.n).hex, rllc_tensors_hash(s->tensors, s->n).hex);
    for (int64_t i = 0; i < s->n; i++) {
        const rllc_tensor_view *t = &s->tensors[i], *u = rllc_safetensors_find(&again, t->name);
        assert_non_null(u);
        assert_string_equal(u->dtype_name, t->dtype_name);
        assert_int_equal(u->n_dims, t->n_dims);
        assert_memory_equal(u->shape, t->shape, sizeof t->shape);
        assert_int_equal(u->size, t->size);
        assert_memory_equal(u->data, t->data, t->size);
    }
    assert_ok(rllc_safetensors_write(second, again.tensors, again.n, again.metadata));
    rllc_mapping a, b;
    assert_ok(rllc_mapping_open(&a, first));
    assert_ok(rllc_mapping_open(&b, second));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    rllc_mapping_close(&a);
    rllc_mapping_close(&b);
    rllc_safetensors_close(&again);
}

#endif
