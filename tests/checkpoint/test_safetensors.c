/* safetensors files: what is written is read, as the safetensors library writes it, with exact conversions. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "checkpoint/files.h"

#define GOLDEN RLLC_SOURCE_DIR "/tests/golden/safetensors/"

static float floats[24];
static double doubles[6] = {1, -2.5, 0x1p-1074, INFINITY, -0.0, NAN};
static int32_t integers[3] = {INT32_MIN, 0, INT32_MAX};
static int64_t longs[2] = {INT64_MIN, INT64_MAX};
static uint16_t halves[5] = {0x3C00, 0xC000, 0x0001, 0x7C00, 0x7E01};
static unsigned char bytes[3] = {0, 1, 1};

static rllc_tensor_view view(const char *name, rllc_dtype dtype, const void *data, int n_dims, const int64_t *shape) {
    rllc_tensor_view t = {.name = name, .dtype = dtype, .n_dims = n_dims, .n = 1, .data = data};
    for (int i = 0; i < n_dims; i++) t.n *= t.shape[i] = shape[i];
    return t;
}

/* One tensor of each kind, scalar and empty ones among them. */
static int64_t make_tensors(rllc_tensor_view *t) {
    for (int i = 0; i < 24; i++) floats[i] = (float)i / 3;
    t[0] = view("matrix", RLLC_F32, floats, 2, (int64_t[]){4, 6});
    t[1] = view("scalar", RLLC_F32, floats + 1, 0, NULL);
    t[2] = view("empty", RLLC_F32, NULL, 2, (int64_t[]){0, 7});
    t[3] = view("doubles", RLLC_F64, doubles, 1, (int64_t[]){6});
    t[4] = view("integers", RLLC_I32, integers, 1, (int64_t[]){3});
    t[5] = view("longs", RLLC_I64, longs, 1, (int64_t[]){2});
    t[6] = view("half", RLLC_F16, halves, 1, (int64_t[]){5});
    t[7] = view("brain", RLLC_BF16, halves, 1, (int64_t[]){5});
    t[8] = view("mask \"\\\n\x01 \xC3\xA9", RLLC_OTHER, bytes, 3, (int64_t[]){1, 3, 1});
    t[8].dtype_name = "BOOL";
    t[8].size = 3;
    t[9] = view("dense", RLLC_F32, floats, 8, (int64_t[]){1, 2, 1, 3, 1, 2, 1, 2});
    return 10;
}

/* ---- writing and reading --------------------------------------------------------------------------------- */

static void test_write_then_read_gives_the_same_tensors(void **state) {
    rllc_tensor_view t[10];
    const int64_t n = make_tensors(t);
    const char *path = scratch_path(state, "a.safetensors");
    rllc_safetensors s;
    rllc_json *metadata = rllc_json_object();
    assert_ok(rllc_json_set(metadata, "rllc.step", rllc_json_string("12")));
    assert_ok(rllc_json_set(metadata, "note", rllc_json_string("\xC3\xA9\n\"\\\x02")));
    assert_ok(rllc_safetensors_write(path, t, n, metadata));
    assert_ok(rllc_safetensors_open(&s, path));
    check_sound(&s);
    assert_int_equal(s.n, n);
    for (int64_t i = 0; i < n; i++) {
        const rllc_tensor_view *u = rllc_safetensors_find(&s, t[i].name);
        assert_non_null(u);
        assert_int_equal(u->dtype, t[i].dtype);
        assert_int_equal(u->n_dims, t[i].n_dims);
        assert_int_equal(u->n, t[i].n);
        assert_memory_equal(u->shape, t[i].shape, sizeof u->shape);
        if (u->n > 0) assert_memory_equal(u->data, t[i].data, u->size);
        assert_int_equal((uintptr_t)u->data % (u->size > 0 && u->dtype == RLLC_F32 ? 4 : 1), 0);
    }
    assert_null(rllc_safetensors_find(&s, "matri"));
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "format")), "pt");
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "rllc.step")), "12");
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "note")), "\xC3\xA9\n\"\\\x02");
    assert_int_equal(rllc_json_length(s.metadata), 3);
    rllc_safetensors_close(&s);
    rllc_safetensors_close(&s);
    rllc_json_free(metadata);
}

static void test_write_gives_equal_bytes_in_any_order(void **state) {
    rllc_tensor_view t[10], reversed[10];
    const int64_t n = make_tensors(t);
    const char *path = scratch_path(state, "a"), *other = scratch_path(state, "b");
    rllc_json *one = rllc_json_object(), *two = rllc_json_object();
    for (int64_t i = 0; i < n; i++) reversed[i] = t[n - 1 - i];
    assert_ok(rllc_json_set(one, "a", rllc_json_string("1")));
    assert_ok(rllc_json_set(one, "z", rllc_json_string("2")));
    assert_ok(rllc_json_set(two, "z", rllc_json_string("2")));
    assert_ok(rllc_json_set(two, "a", rllc_json_string("1")));
    assert_ok(rllc_safetensors_write(path, t, n, one));
    assert_ok(rllc_safetensors_write(other, reversed, n, two));
    rllc_hash a, b;
    assert_ok(rllc_hash_file(path, &a));
    assert_ok(rllc_hash_file(other, &b));
    assert_string_equal(a.hex, b.hex);
    rllc_json_free(one);
    rllc_json_free(two);
}

/* Files of the library itself, rewritten: byte for byte the same. */
static void test_write_matches_the_library(void **state) {
    static const char *const names[] = {GOLDEN "all_types.safetensors", GOLDEN "shapes_and_names.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        const char *path = scratch_path(state, "ours.safetensors");
        rllc_safetensors s;
        rllc_mapping a, b;
        assert_ok(rllc_safetensors_open(&s, names[i]));
        check_sound(&s);
        assert_ok(rllc_safetensors_write(path, s.tensors, s.n, s.metadata));
        assert_ok(rllc_mapping_open(&a, names[i]));
        assert_ok(rllc_mapping_open(&b, path));
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        rllc_mapping_close(&a);
        rllc_mapping_close(&b);
        check_round_trip(state, &s);
        rllc_safetensors_close(&s);
    }
}

static void test_read_the_library_values(void **state) {
    (void)state;
    rllc_safetensors s;
    float out[24];
    static const char *const names[] = {"float32", "float64", "float16", "bfloat16"};
    assert_ok(rllc_safetensors_open(&s, GOLDEN "all_types.safetensors"));
    assert_int_equal(s.n, 18);
    for (size_t k = 0; k < 4; k++) {
        const rllc_tensor_view *t = rllc_safetensors_find(&s, names[k]);
        assert_non_null(t);
        assert_ok(rllc_tensor_to_float(t, out));
        for (int i = 0; i < 5; i++) assert_true(out[i] == (float)(i - 2) / 2);
    }
    assert_int_equal(rllc_safetensors_find(&s, "uint64")->dtype, RLLC_OTHER);
    assert_string_equal(rllc_safetensors_find(&s, "complex64")->dtype_name, "C64");
    assert_fails(rllc_tensor_to_float(rllc_safetensors_find(&s, "bool"), out), RLLC_EUNSUPPORTED, "type BOOL");
    assert_fails(rllc_tensor_to_float(rllc_safetensors_find(&s, "int32"), out), RLLC_EUNSUPPORTED, "type I32");
    rllc_safetensors_close(&s);
    assert_ok(rllc_safetensors_open(&s, GOLDEN "shapes_and_names.safetensors"));
    const rllc_tensor_view *t = rllc_safetensors_find(&s, "\xC3\xA9\n\t\"\\/\x01\x1B\x7F\xE2\x80\xA8\xF0\x9F\x98\x80");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(rllc_safetensors_find(&s, "scalar")->n_dims, 0);
    assert_int_equal(rllc_safetensors_find(&s, "scalar")->n, 1);
    assert_int_equal(rllc_safetensors_find(&s, "empty matrix")->n, 0);
    assert_non_null(rllc_safetensors_find(&s, ""));
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "note")), "\xC3\xA9\n\"\\\x02/");
    rllc_safetensors_close(&s);
}

static void test_write_refuses_what_cannot_be_read(void **state) {
    const char *path = scratch_path(state, "refused");
    const int64_t two[] = {2};
    rllc_tensor_view t[2] = {view("a", RLLC_F32, floats, 1, two), view("a", RLLC_I32, integers, 1, two)};
    rllc_json *metadata = rllc_json_object();
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "two tensors are named 'a'");
    t[1] = view("__metadata__", RLLC_F32, floats, 1, two);
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "cannot be named");
    t[1] = view("\xFF", RLLC_F32, floats, 1, two);
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "cannot be named");
    t[1] = view("b", RLLC_F32, floats, 1, two);
    t[1].n = 3;
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "'b' has 3 elements");
    t[1] = view("b", RLLC_F32, floats, 2, (int64_t[]){-2, -1});
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "'b' has 2 elements");
    t[1] = view("b", RLLC_F32, floats, 1, two);
    t[1].n_dims = RLLC_MAX_DIMS + 1;
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "product of its dimensions");
    t[1] = view("b", RLLC_F32, floats, 1, (int64_t[]){(int64_t)1 << 62});
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EINPUT, "'b' has an impossible size");
    rllc_tensor_view vast[17];
    for (int i = 0; i < 17; i++) {
        vast[i] = view(rllc_intern_printf("%d", i), RLLC_OTHER, floats, 1, (int64_t[]){(int64_t)1 << 59});
        vast[i].dtype_name = "U8";
    }
    assert_fails(rllc_safetensors_write(path, vast, 17, NULL), RLLC_EINPUT, "together are larger than any file");
    t[1] = view("b", RLLC_OTHER, floats, 1, two);
    assert_fails(rllc_safetensors_write(path, t, 2, NULL), RLLC_EUNSUPPORTED, "no known type");
    assert_ok(rllc_json_set(metadata, "step", rllc_json_integer(3)));
    assert_fails(rllc_safetensors_write(path, t, 1, metadata), RLLC_EINPUT, "metadata 'step' must be a text");
    assert_false(rllc_file_exists(path));
    assert_int_equal(rllc_safetensors_write("/no such folder/a", t, 1, NULL), RLLC_EIO);
    rllc_json_free(metadata);
}

/* Names of 26 x 4 MB: more than a header may have. The message shows the beginning of one. */
static void test_write_refuses_a_header_that_is_too_long(void **state) {
    enum { N = 26, LENGTH = 4000000 };
    rllc_tensor_view t[N];
    char *names = malloc((size_t)N * (LENGTH + 1));
    assert_non_null(names);
    for (int i = 0; i < N; i++) {
        char *name = names + i * (LENGTH + 1);
        for (int k = 0; k < LENGTH; k += 2) memcpy(name + k, "\xC3\xA9", 2);
        name[0] = (char)('a' + i); /* four or three bytes before characters of two: the cut must not fall inside one */
        name[1] = (char)('a' + i);
        name[2] = 'y';
        name[3] = 'z';
        name[LENGTH] = '\0';
        t[i] = view(name + i % 2, RLLC_F32, floats, 1, (int64_t[]){2});
    }
    const char *path = scratch_path(state, "too long");
    assert_fails(rllc_safetensors_write(path, t, N, NULL), RLLC_EUNSUPPORTED, "at most 100000000 are allowed");
    assert_true(rllc_utf8_valid(rllc_error_detail(), strlen(rllc_error_detail()), NULL));
    assert_non_null(strstr(rllc_error_detail(), "..."));
    assert_true(strlen(rllc_error_detail()) < 500);
    assert_false(rllc_file_exists(path));
    free(names);
}

/* A disk that is full after a few bytes, for every number of bytes: no file appears, none is left behind. */
static void test_write_to_a_full_disk_leaves_the_old_file(void **state) {
    rllc_tensor_view t[10];
    const int64_t n = make_tensors(t);
    const char *path = scratch_path(state, "kept.safetensors");
    rllc_hash before, after;
    rllc_mapping whole;
    assert_ok(rllc_safetensors_write(path, t, n, NULL));
    assert_ok(rllc_mapping_open(&whole, path));
    const rlim_t size = whole.size;
    rllc_mapping_close(&whole);
    assert_ok(rllc_safetensors_write(path, t, 1, NULL));
    assert_ok(rllc_hash_file(path, &before));
    for (rlim_t limit = 0; limit < size; limit += limit + 30 < size ? 29 : 1) {
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
            _exit(rllc_safetensors_write(path, t, n, NULL) == RLLC_EIO ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_ok(rllc_hash_file(path, &after));
        assert_string_equal(before.hex, after.hex);
    }
    char **names = NULL;
    int64_t n_names = 0;
    assert_ok(rllc_folder_list(*state, &names, &n_names));
    for (int64_t i = 0; i < n_names; i++) assert_null(strstr(names[i], "kept.safetensors.tmp"));
    rllc_names_free(names, n_names);
}

/* ---- conversions ----------------------------------------------------------------------------------------- */

/* The value of a binary format by its definition: (-1)^s 2^(e - bias) (1 + f / 2^p), or 2^(1 - bias) f / 2^p. */
static double defined_value(unsigned bits, int exponent_bits, int fraction_bits) {
    const int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1)),
              bias = (1 << (exponent_bits - 1)) - 1;
    const double fraction = (double)(bits & ((1u << fraction_bits) - 1)) / (double)(1u << fraction_bits);
    const double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * INFINITY : NAN;
    return exponent == 0 ? sign * ldexp(fraction, 1 - bias) : sign * ldexp(1 + fraction, exponent - bias);
}

static void check_all_halves(rllc_dtype dtype, int exponent_bits) {
    uint16_t *all = malloc(65536 * sizeof *all);
    float *out = malloc(65536 * sizeof *out);
    assert_true(all && out);
    for (unsigned i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    const rllc_tensor_view t = view("all", dtype, all, 1, (int64_t[]){65536});
    assert_ok(rllc_tensor_to_float(&t, out));
    for (unsigned i = 0; i < 65536; i++) {
        const double expected = defined_value(i, exponent_bits, 15 - exponent_bits);
        if (isnan(expected) ? !isnan(out[i]) : (double)out[i] != expected || !signbit(out[i]) != !signbit(expected)) {
            fail_msg("bits %04x: %g, expected %g", i, (double)out[i], expected);
        }
    }
    free(all);
    free(out);
}

static void test_half_types_convert_exactly(void **state) {
    (void)state;
    check_all_halves(RLLC_F16, 5);
    check_all_halves(RLLC_BF16, 8);
}

static void test_double_converts_to_nearest_or_fails(void **state) {
    (void)state;
    float out[6];
    double values[6] = {1 + 0x1p-24, 1 + 0x1.8p-23, -0x1p-149, 0x1p-151, NAN, -INFINITY};
    rllc_tensor_view t = view("d", RLLC_F64, values, 1, (int64_t[]){6});
    assert_ok(rllc_tensor_to_float(&t, out));
    assert_true(out[0] == 1 && out[1] == 1 + 0x1p-22f && out[2] == -0x1p-149f && out[3] == 0);
    assert_true(isnan(out[4]) && out[5] == -INFINITY);
    values[2] = 1e39;
    assert_fails(rllc_tensor_to_float(&t, out), RLLC_ENOTFINITE, "element 2 is 1e+39");
}

static void test_unaligned_data_converts(void **state) {
    (void)state;
    char raw[1 + 8 * 3];
    float out[3], f[3] = {1.5f, -2, 3};
    double d[3] = {1.5, -2, 3};
    memcpy(raw + 1, f, sizeof f);
    rllc_tensor_view t = view("f", RLLC_F32, raw + 1, 1, (int64_t[]){3});
    assert_ok(rllc_tensor_to_float(&t, out));
    assert_memory_equal(out, f, sizeof f);
    const rllc_hash unaligned = rllc_tensors_hash(&t, 1);
    t.data = f;
    assert_string_equal(unaligned.hex, rllc_tensors_hash(&t, 1).hex);
    memcpy(raw + 1, d, sizeof d);
    t = view("d", RLLC_F64, raw + 1, 1, (int64_t[]){3});
    assert_ok(rllc_tensor_to_float(&t, out));
    assert_memory_equal(out, f, sizeof f);
}

/* ---- identity -------------------------------------------------------------------------------------------- */

static void test_hash_ignores_order_and_sees_everything_else(void **state) {
    (void)state;
    rllc_tensor_view t[10], changed[10];
    const int64_t n = make_tensors(t);
    const rllc_hash h = rllc_tensors_hash(t, n);
    for (int64_t i = 0; i < n; i++) changed[i] = t[(7 * i + 3) % n];
    assert_string_equal(rllc_tensors_hash(changed, n).hex, h.hex);
    assert_string_not_equal(rllc_tensors_hash(t, n - 1).hex, h.hex);
    memcpy(changed, t, sizeof t);
    changed[0].name = "matriy";
    assert_string_not_equal(rllc_tensors_hash(changed, n).hex, h.hex);
    memcpy(changed, t, sizeof t);
    changed[0].shape[0] = 6;
    changed[0].shape[1] = 4;
    assert_string_not_equal(rllc_tensors_hash(changed, n).hex, h.hex);
    memcpy(changed, t, sizeof t);
    changed[2].shape[1] = 8; /* an empty tensor of another shape */
    assert_string_not_equal(rllc_tensors_hash(changed, n).hex, h.hex);
    memcpy(changed, t, sizeof t);
    changed[8].dtype_name = "U8";
    assert_string_not_equal(rllc_tensors_hash(changed, n).hex, h.hex);
    memcpy(changed, t, sizeof t);
    changed[0].name = t[9].name; /* values swapped between two names */
    changed[9].name = t[0].name;
    assert_string_not_equal(rllc_tensors_hash(changed, n).hex, h.hex);
}

/* Values beyond the first chunk count too, each single bit of them. */
static void test_hash_sees_every_bit(void **state) {
    (void)state;
    enum { N = 3 * 8192 + 5 };
    float *values = calloc(N, sizeof *values);
    assert_non_null(values);
    const rllc_tensor_view t = view("w", RLLC_F32, values, 1, (int64_t[]){N});
    const rllc_hash h = rllc_tensors_hash(&t, 1);
    uint64_t seed = 1;
    for (int64_t k = 0; k < effort(200); k++) {
        const size_t bit = next_random(&seed) % (N * 32);
        ((unsigned char *)values)[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_string_not_equal(rllc_tensors_hash(&t, 1).hex, h.hex);
        ((unsigned char *)values)[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_string_equal(rllc_tensors_hash(&t, 1).hex, h.hex);
    free(values);
}

static void test_hash_is_of_float32_values(void **state) {
    (void)state;
    const uint16_t half[3] = {0x3C00, 0xB800, 0x0001}, brain[3] = {0x3F80, 0xBF00, 0x3380};
    const float f[3] = {1, -0.5f, 0x1p-24f};
    const double d[3] = {1, -0.5, 0x1p-24};
    const int64_t shape[] = {3};
    rllc_tensor_view t = view("w", RLLC_F32, f, 1, shape);
    const rllc_hash h = rllc_tensors_hash(&t, 1);
    t = view("w", RLLC_F64, d, 1, shape);
    assert_string_equal(rllc_tensors_hash(&t, 1).hex, h.hex);
    t = view("w", RLLC_F16, half, 1, shape);
    assert_string_equal(rllc_tensors_hash(&t, 1).hex, h.hex);
    t = view("w", RLLC_BF16, brain, 1, shape);
    assert_string_equal(rllc_tensors_hash(&t, 1).hex, h.hex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_then_read_gives_the_same_tensors),
        cmocka_unit_test(test_write_gives_equal_bytes_in_any_order),
        cmocka_unit_test(test_write_matches_the_library),
        cmocka_unit_test(test_read_the_library_values),
        cmocka_unit_test(test_write_refuses_what_cannot_be_read),
        cmocka_unit_test(test_write_refuses_a_header_that_is_too_long),
        cmocka_unit_test(test_write_to_a_full_disk_leaves_the_old_file),
        cmocka_unit_test(test_half_types_convert_exactly),
        cmocka_unit_test(test_double_converts_to_nearest_or_fails),
        cmocka_unit_test(test_unaligned_data_converts),
        cmocka_unit_test(test_hash_ignores_order_and_sees_everything_else),
        cmocka_unit_test(test_hash_sees_every_bit),
        cmocka_unit_test(test_hash_is_of_float32_values),
    };
    return cmocka_run_group_tests_name("safetensors", tests, scratch_setup, scratch_teardown);
}
