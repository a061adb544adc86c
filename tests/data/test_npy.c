/* .npy headers, written and read; headers that lie; rows of token ids of every type and shape. */
#include "scratch.h"

static rllc_status parse_bytes(const void *bytes, size_t n, char descr[8], int *n_dims, int64_t shape[8],
                               size_t *offset) {
    /* An exact copy, so that a sanitizer sees a read beyond the end. */
    unsigned char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    rllc_mapping m = {copy, n};
    rllc_status status = rllc_npy_parse(&m, "x.npy", descr, n_dims, shape, offset);
    free(copy);
    return status;
}

/* A version 1 file: this dict, padded as NumPy pads it, and `data` bytes. */
static size_t make_file(char *out, const char *dict, size_t data) {
    size_t length = strlen(dict) + 1;
    while ((10 + length) % 64) length++;
    memcpy(out, "\x93NUMPY\x01", 8);
    out[7] = 0;
    out[8] = (char)(length & 0xFF);
    out[9] = (char)(length >> 8);
    memset(out + 10, ' ', length);
    memcpy(out + 10, dict, strlen(dict));
    out[10 + length - 1] = '\n';
    memset(out + 10 + length, 0, data);
    return 10 + length + data;
}

static rllc_status parse_dict(const char *dict, size_t data, char descr[8], int *n_dims, int64_t shape[8]) {
    char file[4096];
    size_t offset, n = make_file(file, dict, data);
    return parse_bytes(file, n, descr, n_dims, shape, &offset);
}

static void test_headers_of_all_spellings(void **state) {
    (void)state;
    char descr[8];
    int n;
    int64_t shape[8];
    assert_ok(parse_dict("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, descr, &n, shape));
    assert_string_equal(descr, "<f4");
    assert_int_equal(n, 2);
    assert_int_equal(shape[0] * 10 + shape[1], 23);
    assert_ok(parse_dict("{\"shape\":(5,),\"fortran_order\":False,\"descr\":\"|u1\"}", 5, descr, &n, shape));
    assert_int_equal(n, 1);
    assert_ok(parse_dict("{'descr': '<i8', 'fortran_order': False, 'shape': ()}", 8, descr, &n, shape));
    assert_int_equal(n, 0);
    assert_ok(
        parse_dict("{'descr': '<i8', 'fortran_order': False, 'shape': (0, 9223372036854775807)}", 0, descr, &n, shape));
}

static void test_lying_headers_are_refused(void **state) {
    (void)state;
    char descr[8];
    int n;
    int64_t shape[8];
    static const struct {
        const char *dict;
        size_t data;
        rllc_status status;
        const char *says;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, RLLC_EINPUT, "promises 24 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, RLLC_EINPUT, "promises 24 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, RLLC_EINPUT, "promises"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, RLLC_EINPUT, "promises"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", 0, RLLC_EINPUT, "2^63"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 0, RLLC_EINPUT, "a size"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,2,3,4,5,6,7,8,9), }", 0, RLLC_EUNSUPPORTED,
         "dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2), }", 8, RLLC_EINPUT, "comma"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,", 4, RLLC_EINPUT, "malformed"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", 4, RLLC_EUNSUPPORTED, "Fortran"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", 4, RLLC_EINPUT, "True or False"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, RLLC_EUNSUPPORTED, "big-endian"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, RLLC_EUNSUPPORTED, "plain number"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,), }", 20, RLLC_EUNSUPPORTED, "plain number"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, RLLC_EUNSUPPORTED, "records"},
        {"{'descr': '<f44444444', 'fortran_order': False, 'shape': (1,), }", 4, RLLC_EINPUT, "short"},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", 4, RLLC_EUNSUPPORTED, "plain number"},
        {"{'descr': '<f4', 'shape': (1,), }", 4, RLLC_EINPUT, "keys"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4, RLLC_EINPUT, "each once"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", 4, RLLC_EINPUT, "each once"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", 4, RLLC_EINPUT, "nothing after"},
        {"", 4, RLLC_EINPUT, "a dict"},
        {"[]", 4, RLLC_EINPUT, "a dict"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(parse_dict(cases[i].dict, cases[i].data, descr, &n, shape), cases[i].status, cases[i].says);
    }
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    char file[1024], descr[8];
    int n_dims;
    int64_t shape[8];
    size_t offset, n = make_file(file, "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }", 12);
    assert_ok(parse_bytes(file, n, descr, &n_dims, shape, &offset));
    assert_int_equal(offset, n - 12);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(parse_bytes(file, cut, descr, &n_dims, shape, &offset), RLLC_EINPUT);
    }
    file[6] = 4;
    assert_fails(parse_bytes(file, n, descr, &n_dims, shape, &offset), RLLC_EUNSUPPORTED, "version 4");
    file[6] = 2; /* the length now has four bytes, two of them text */
    assert_fails(parse_bytes(file, n, descr, &n_dims, shape, &offset), RLLC_EINPUT, "claims");
    file[0] = 'x';
    assert_fails(parse_bytes(file, n, descr, &n_dims, shape, &offset), RLLC_EINPUT, "not a .npy");
}

static void test_write_and_read_back(void **state) {
    (void)state;
    float data[24];
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    static const int64_t shapes[][3] = {{24, 0, 0}, {4, 6, 0}, {2, 3, 4}};
    for (int d = 1; d <= 3; d++) {
        char descr[8];
        int n_dims;
        int64_t shape[8];
        size_t offset;
        rllc_mapping m;
        assert_ok(rllc_npy_write(scratch("w.npy"), "<f4", d, shapes[d - 1], data, sizeof *data));
        assert_ok(rllc_mapping_open(&m, scratch("w.npy")));
        assert_ok(rllc_npy_parse(&m, "w.npy", descr, &n_dims, shape, &offset));
        assert_int_equal(n_dims, d);
        assert_int_equal(offset % 64, 0);
        for (int i = 0; i < d; i++) assert_int_equal(shape[i], shapes[d - 1][i]);
        assert_memory_equal(m.data + offset, data, sizeof data);
        rllc_mapping_close(&m);
    }
    assert_fails(rllc_npy_write(scratch("w.npy"), "<f4", 2, (int64_t[]){-1, 2}, data, 4), RLLC_EINPUT, "shape");
    assert_fails(rllc_npy_write(scratch("w.npy"), "<f4", 2, (int64_t[]){INT64_MAX, INT64_MAX}, data, 4), RLLC_EINPUT,
                 "shape");
    assert_fails(rllc_npy_write(scratch("no/w.npy"), "<f4", 1, (int64_t[]){1}, data, 4), RLLC_EIO, "no/w.npy");
}

/* A header of fixed length can be rewritten when the first dimension is known. */
static void test_header_length_is_fixed(void **state) {
    (void)state;
    const int64_t small[3] = {0, 0, 0}, large[3] = {INT64_MAX, INT64_MAX, INT64_MAX};
    for (int d = 1; d <= 3; d++) {
        long length[2];
        for (int k = 0; k < 2; k++) {
            FILE *f = tmpfile();
            assert_non_null(f);
            assert_ok(rllc_npy_write_header(f, "<f8", d, k ? large : small));
            length[k] = ftell(f);
            fclose(f);
        }
        assert_int_equal(length[0], length[1]);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

static void test_rows_of_all_types(void **state) {
    (void)state;
    static const struct {
        const char *descr;
        int bytes;
    } types[] = {{"|u1", 1}, {"<u2", 2}, {"<u4", 4}, {"<i4", 4}, {"<i8", 8}};
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        unsigned char data[12 * 8] = {0};
        for (int i = 0; i < 12; i++) data[i * types[k].bytes] = (unsigned char)(i * 20);
        assert_ok(rllc_npy_write(scratch("r.npy"), types[k].descr, 2, (int64_t[]){3, 4}, data, (size_t)types[k].bytes));
        rllc_rows r;
        int32_t row[4];
        assert_ok(rllc_rows_open(&r, scratch("r.npy"), 221));
        assert_int_equal(r.rows, 3);
        assert_int_equal(r.n_ctx, 4);
        for (int i = 0; i < 3; i++) {
            rllc_rows_get(&r, i, row);
            for (int j = 0; j < 4; j++) assert_int_equal(row[j], (i * 4 + j) * 20);
        }
        assert_string_equal(r.hash.hex, rllc_hash_bytes(data, (size_t)(12 * types[k].bytes)).hex);
        rllc_rows_close(&r);
        assert_fails(rllc_rows_open(&r, scratch("r.npy"), 220), RLLC_EMISMATCH, "row 2, place 3: the id 220");
        assert_null(r.data);
    }
}

static void test_rows_of_all_shapes(void **state) {
    (void)state;
    uint16_t data[24] = {0};
    rllc_rows r;
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 1, (int64_t[]){24}, data, 2));
    assert_ok(rllc_rows_open(&r, scratch("r.npy"), 0));
    assert_true(r.shape[0] == 1 && r.shape[1] == 1 && r.shape[2] == 24 && r.rows == 1);
    rllc_rows_close(&r);
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 3, (int64_t[]){2, 3, 4}, data, 2));
    assert_ok(rllc_rows_open(&r, scratch("r.npy"), 0));
    assert_true(r.shape[0] == 2 && r.shape[1] == 3 && r.shape[2] == 4 && r.rows == 6 && r.n_ctx == 4);
    rllc_rows_close(&r);
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 2, (int64_t[]){0, 4}, data, 2));
    assert_ok(rllc_rows_open(&r, scratch("r.npy"), 10));
    assert_int_equal(r.rows, 0);
    rllc_rows_close(&r);
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 2, (int64_t[]){4, 0}, data, 2));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 0), RLLC_EINPUT, "without a single id");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 0, NULL, data, 2));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 0), RLLC_EUNSUPPORTED, "0 dimensions");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<u2", 4, (int64_t[]){1, 2, 3, 4}, data, 2));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 0), RLLC_EUNSUPPORTED, "4 dimensions");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<f4", 1, (int64_t[]){12}, data, 4));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 0), RLLC_EUNSUPPORTED, "<f4");
    assert_fails(rllc_rows_open(&r, scratch("none.npy"), 0), RLLC_ENOTFOUND, "none.npy");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<i8", 1, (int64_t[]){1}, &(int64_t){-1}, 8));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 5), RLLC_EMISMATCH, "the id -1");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<i8", 1, (int64_t[]){1}, &(int64_t){(int64_t)1 << 32}, 8));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 5), RLLC_EMISMATCH, "the id 4294967296");
    assert_ok(rllc_npy_write(scratch("r.npy"), "<i4", 1, (int64_t[]){1}, &(int32_t){-7}, 4));
    assert_fails(rllc_rows_open(&r, scratch("r.npy"), 5), RLLC_EMISMATCH, "the id -7");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_of_all_spellings),    cmocka_unit_test(test_lying_headers_are_refused),
        cmocka_unit_test(test_every_truncation_is_refused), cmocka_unit_test(test_write_and_read_back),
        cmocka_unit_test(test_header_length_is_fixed),      cmocka_unit_test(test_rows_of_all_types),
        cmocka_unit_test(test_rows_of_all_shapes),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
