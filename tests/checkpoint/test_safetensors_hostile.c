/* safetensors files that lie, made by hand: headers, lengths, sizes. Each is refused with a sentence, or read
 * consistently; never a crash (run this under the sanitizers). */
#include "checkpoint/files.h"

/* ---- hand-made ------------------------------------------------------------------------------------------- */

/* A header, the bytes of data after it, and the text that the refusal must hold (NULL: it must be read). */
typedef struct {
    const char *header;
    size_t n_data;
    const char *refusal;
} hostile;

static const hostile cases[] = {
    /* sound */
    {"{}", 0, NULL},
    {"{}   \n\t\r ", 0, NULL},
    {"{\"__metadata__\":{}}", 0, NULL},
    {"{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}}", 0, NULL},
    {ONE("F32", "[]", "[0,4]"), 4, NULL},
    {ONE("F32", "[2]", "[0,8]"), 8, NULL},
    {ONE("F32", "[0]", "[0,0]"), 0, NULL},
    {ONE("F32", "[9223372036854775807,0]", "[0,0]"), 0, NULL},
    {ONE("F32", "[1,1,1,1,1,1,1,2]", "[0,8]"), 8, NULL},
    {ONE("F4", "[4]", "[0,2]"), 2, NULL},
    {ONE("F6_E2M3", "[4]", "[0,3]"), 3, NULL},
    {ONE("FUTURE_12", "[5]", "[0,7]"), 7, NULL},
    {TWO(F32x2(0, 8), F32x2(8, 16)), 16, NULL},
    {TWO(F32x2(8, 16), F32x2(0, 8)), 16, NULL},
    {TWO(F32x2(0, 8), ENTRY("F32", "[0]", "[8,8]")), 8, NULL},
    {TWO(F32x2(0, 8), ENTRY("F32", "[0]", "[0,0]")), 8, NULL},
    {"{ \"a\" : { \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 8 ] , \"dtype\" : \"F32\" } }", 8, NULL},
    {"{\"\\u0061\\ud83d\\ude00\\n\":" F32x2(0, 8) "}", 8, NULL},
    /* framing and JSON */
    {"", 0, "found the end of the header, expected '{' to begin the header"},
    {" {}", 0, "byte 8 of the safetensors header: found byte 0x20, expected '{'"},
    {"[]", 0, "expected '{' to begin the header"},
    {"{", 0, "found the end of the header"},
    {"{}{}", 0, "only spaces after the last '}'"},
    {"{},", 0, "only spaces"},
    {"{\"a\"}", 0, "expected ':'"},
    {"{\"a\":1}", 0, "expected '{' to begin a tensor's entry"},
    {"{\"a\":null}", 0, "expected '{'"},
    {"{a:1}", 0, "expected the name of a tensor"},
    {"{\"a\":" F32x2(0, 8) ",}", 8, "expected the name of a tensor"},
    {"{\"a\":" F32x2(0, 8) " \"b\":" F32x2(8, 16) "}", 16, "',' or '}' in the header"},
    {"{\"a", 0, "end of a string"},
    {"{\"a\n\":1}", 0, "control characters must be escaped"},
    {"{\"\\x\":1}", 0, "expected a JSON escape"},
    {"{\"\\", 0, "expected a JSON escape"},
    {"{\"\\u12\":1}", 0, "four hexadecimal digits"},
    {"{\"\\u12G4\":1}", 0, "four hexadecimal digits"},
    {"{\"\\ud800\":1}", 0, "four hexadecimal digits"},
    {"{\"\\udc00\":1}", 0, "four hexadecimal digits"},
    {"{\"\\ud800\\u0041\":1}", 0, "four hexadecimal digits"},
    {"{\"\\ud800\\ud800\":1}", 0, "four hexadecimal digits"},
    {"{\"\\u0000\":1}", 0, "without NUL"},
    {"{\"\xFF\":1}", 0, "byte 10: the header is not valid UTF-8"},
    {"{\"\xC0\xAF\":1}", 0, "not valid UTF-8"},
    {"{\"\xED\xA0\x80\":1}", 0, "not valid UTF-8"},
    {"{\"a\":" F32x2(0, 8) ",\"a\":" F32x2(8, 16) "}", 16, "names tensor 'a' twice"},
    {"{\"a\":" F32x2(0, 8) ",\"\\u0061\":" F32x2(8, 16) "}", 16, "names tensor 'a' twice"},
    /* metadata */
    {"{\"__metadata__\":null}", 0, "'{' to begin __metadata__"},
    {"{\"__metadata__\":[]}", 0, "'{' to begin __metadata__"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "texts only"},
    {"{\"__metadata__\":{\"a\":null}}", 0, "texts only"},
    {"{\"__metadata__\":{\"a\":{}}}", 0, "texts only"},
    {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "the key 'a' twice"},
    {"{\"__metadata__\":{\"a\":\"\"},\"__metadata__\":{}}", 0, "__metadata__ twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice"},
    {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "without NUL"},
    {"{\"__metadata__\":{\"a\":\"\",}}", 0, "a key of __metadata__"},
    {"{},\"__metadata__\":{}}   ", 0, "only spaces"}, /* what safetensors 0.8.0 writes for empty metadata */
    /* entries */
    {"{\"a\":{}}", 0, "'a' has no dtype"},
    {"{\"a\\n\\u007f\\u001b\":{}}", 0, "'a\?\?\?' has no dtype"}, /* no control characters in messages */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "'a' has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "'a' has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "each once"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8,
     "one of dtype, shape, data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],}}", 8, "one of dtype"},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "the name of an element type"},
    {ONE("", "[2]", "[0,8]"), 8, "an element type such as F32"},
    {ONE("F 32", "[2]", "[0,8]"), 8, "an element type such as F32"},
    {ONE("F\\n", "[2]", "[0,8]"), 8, "an element type such as F32"},
    {ONE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "[2]", "[0,8]"), 8, "an element type such as F32"},
    {ONE("f32", "[2]", "[0,4]"), 8, "but the data has 8 bytes"},
    {ONE("F32", "2", "[0,8]"), 8, "'[' to begin the shape"},
    {ONE("F32", "[2,]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[,2]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[-2]", "[0,8]"), 8, "found '-', expected a non-negative integer"},
    {ONE("F32", "[2.0]", "[0,8]"), 8, "found '.', expected a non-negative integer"},
    {ONE("F32", "[2e0]", "[0,8]"), 8, "found 'e', expected a non-negative integer"},
    {ONE("F32", "[02]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[00]", "[0,0]"), 0, "a non-negative integer"},
    {ONE("F32", "[+2]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[\"2\"]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[true]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[[2]]", "[0,8]"), 8, "a non-negative integer"},
    {ONE("F32", "[9223372036854775808]", "[0,8]"), 8, "below 2^63"},
    {ONE("F32", "[18446744073709551618]", "[0,8]"), 8, "below 2^63"},
    {ONE("F32", "[99999999999999999999999999]", "[0,8]"), 8, "below 2^63"},
    {ONE("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "more than 8 dimensions"},
    {ONE("F32", "[4294967296,4294967296]", "[0,8]"), 8, "product of its dimensions overflows"},
    {ONE("F32", "[4294967296,4294967296,0]", "[0,0]"), 0, "product of its dimensions overflows"},
    {ONE("F32", "[0,4294967296,4294967296]", "[0,0]"), 0, "product of its dimensions overflows"},
    {ONE("F32", "[4611686018427387904]", "[0,0]"), 0, "of 32 bits overflow"},
    {ONE("F32", "[2305843009213693954]", "[0,8]"), 8,
     "of 32 bits overflow"}, /* 2^61 + 2 elements: 8 bytes modulo 2^64 */
    {ONE("F4", "[3]", "[0,2]"), 2, "end inside a byte"},
    {ONE("F6_E3M2", "[2]", "[0,2]"), 2, "end inside a byte"},
    {ONE("F32", "[2]", "[0,7]"), 7, "claims 7 bytes, but its shape and type F32 need 8"},
    {ONE("F32", "[]", "[0,0]"), 0, "claims 0 bytes, but its shape and type F32 need 4"},
    {ONE("F32", "[0]", "[0,4]"), 4, "claims 4 bytes, but its shape and type F32 need 0"},
    {ONE("F64", "[1]", "[0,4]"), 4, "need 8"},
    /* offsets */
    {ONE("F32", "[2]", "[8,0]"), 8, "claims bytes 8 to 0"},
    {ONE("F32", "[2]", "[0,9]"), 8, "claims bytes 0 to 9 of a data block of 8 bytes"},
    {ONE("F32", "[2]", "[0,8]"), 7, "truncated or damaged"},
    {ONE("F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8, "claims bytes"},
    {ONE("F32", "[2]", "[18446744073709551608,0]"), 8, "below 2^63"},
    {ONE("F32", "[2]", "[0]"), 8, "',' between the two data_offsets"},
    {ONE("F32", "[2]", "[0,8,8]"), 8, "']' after the two data_offsets"},
    {ONE("F32", "[2]", "[]"), 8, "a non-negative integer"},
    {ONE("F32", "[2]", "[-8,0]"), 8, "a non-negative integer"},
    {ONE("F32", "[2]", "[0,8]"), 9, "end at byte 8 of the data, but the data has 9 bytes"},
    {ONE("F32", "[2]", "[1,9]"), 9, "begins at byte 1 of the data, expected 0: there is a hole before it"},
    {ONE("F32", "[0]", "[4,4]"), 4, "a hole before it"},
    {"{}", 1, "end at byte 0 of the data, but the data has 1 bytes"},
    {TWO(F32x2(0, 8), F32x2(9, 17)), 17, "'b' begins at byte 9 of the data, expected 8: there is a hole"},
    {TWO(F32x2(0, 8), F32x2(4, 12)), 12, "'b' begins at byte 4 of the data, expected 8: there is an overlap"},
    {TWO(F32x2(0, 8), F32x2(0, 8)), 8, "an overlap"},
    {TWO(F32x2(0, 8), ENTRY("F32", "[0]", "[4,4]")), 8, "an overlap"},
};

static void test_hand_made_headers(void **state) {
    const char *path = scratch_path(state, "hostile.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const hostile *c = &cases[i];
        rllc_safetensors s;
        put_safetensors(path, strlen(c->header), c->header, strlen(c->header), c->n_data);
        const rllc_status status = rllc_safetensors_open(&s, path);
        if (c->refusal && (status == RLLC_OK || !strstr(rllc_error_detail(), c->refusal))) {
            fail_msg("%s: '%s' does not hold '%s'", c->header, status ? rllc_error_detail() : "read", c->refusal);
        }
        if (!c->refusal && status != RLLC_OK) fail_msg("%s: %s", c->header, rllc_error_detail());
        if (c->refusal) {
            assert_true(status == RLLC_EINPUT || strstr(c->refusal, "dimensions"));
            assert_non_null(strstr(rllc_error_detail(), path));
            assert_null(s.tensors);
            assert_null(s.mapping.data);
            continue;
        }
        check_sound(&s);
        check_round_trip(state, &s);
        rllc_safetensors_close(&s);
    }
}

static void test_length_of_the_header_lies(void **state) {
    static const uint64_t lengths[] = {0,
                                       1,
                                       3,
                                       99999999,
                                       100000000,
                                       100000001,
                                       0x7FFFFFFFFFFFFFFF,
                                       0x8000000000000000,
                                       0xFFFFFFFFFFFFFFF8,
                                       0xFFFFFFFFFFFFFFFF};
    const char *path = scratch_path(state, "length.safetensors");
    rllc_safetensors s;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put_safetensors(path, lengths[i], "{}", 2, 0);
        assert_int_equal(rllc_safetensors_open(&s, path), RLLC_EINPUT);
        assert_non_null(strstr(rllc_error_detail(), path));
    }
    assert_int_equal(rllc_safetensors_open(&s, scratch_path(state, "absent")), RLLC_ENOTFOUND);
    assert_int_not_equal(rllc_safetensors_open(&s, *state), RLLC_OK); /* a folder */
}

/* Escapes in names mean characters: pairs of surrogates, controls, two and three bytes of UTF-8. */
static void test_escapes_in_names(void **state) {
    static const char header[] = "{\"\\ud83d\\uDE00\\u00e9\\u20AC\\/\\b\\u001f\\\"\":" F32x2(0, 8) "}";
    const char *path = scratch_path(state, "escapes.safetensors");
    rllc_safetensors s;
    put_safetensors(path, sizeof header - 1, header, sizeof header - 1, 8);
    assert_ok(rllc_safetensors_open(&s, path));
    assert_string_equal(s.tensors[0].name, "\xF0\x9F\x98\x80\xC3\xA9\xE2\x82\xAC/\b\x1F\"");
    rllc_safetensors_close(&s);
}

static void test_metadata_has_a_limit(void **state) {
    const char *path = scratch_path(state, "metadata.safetensors");
    rllc_safetensors s;
    for (int more = 0; more < 2; more++) {
        rllc_string header = {0};
        assert_ok(rllc_string_add(&header, "{\"__metadata__\":"));
        for (int i = 0; i < 65536 + more; i++)
            assert_ok(rllc_string_printf(&header, "%c\"%d\":\"\"", i ? ',' : '{', i));
        assert_ok(rllc_string_add(&header, "}}"));
        put_safetensors(path, header.length, header.data, header.length, 0);
        if (more) {
            assert_fails(rllc_safetensors_open(&s, path), RLLC_EUNSUPPORTED, "more than 65536 keys");
        } else {
            assert_ok(rllc_safetensors_open(&s, path));
            assert_int_equal(rllc_json_length(s.metadata), 65536);
            rllc_safetensors_close(&s);
        }
        rllc_string_release(&header);
    }
}

/* The longest header the format allows, of zeros, and one byte more: sparse files. */
static void test_headers_of_100_megabytes(void **state) {
    const char *path = scratch_path(state, "long.safetensors");
    rllc_safetensors s;
    put_safetensors(path, 100000001, "{}", 2, 0);
    assert_int_equal(truncate(path, 8 + 100000001), 0);
    assert_fails(rllc_safetensors_open(&s, path), RLLC_EINPUT, "at most 100000000 are allowed");
    put_safetensors(path, 100000000, "{}", 2, 0);
    assert_int_equal(truncate(path, 8 + 100000000), 0);
    assert_fails(rllc_safetensors_open(&s, path), RLLC_EINPUT, "byte 10 of the safetensors header: found byte 0x00");
    /* 100 MB of opening brackets: no recursion, no tree. */
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8, SEEK_SET), 0);
    char *block = malloc(1 << 20);
    assert_non_null(block);
    memset(block, '[', 1 << 20);
    assert_int_equal(fwrite("{\"a\":", 1, 5, file), 5);
    for (int i = 0; i < 8; i++) assert_int_equal(fwrite(block, 1 << 20, 1, file), 1);
    free(block);
    assert_int_equal(fclose(file), 0);
    assert_fails(rllc_safetensors_open(&s, path), RLLC_EINPUT, "byte 13 of the safetensors header: found '['");
    assert_int_equal(unlink(path), 0);
}

/* 100,000 tensors: read in well under a second, found by name, not quadratic. */
static void test_many_tensors(void **state) {
    const char *path = scratch_path(state, "many.safetensors");
    const int n = 100000;
    rllc_string header = {0};
    rllc_safetensors s;
    for (int i = 0; i < n; i++) {
        assert_ok(rllc_string_printf(&header, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                                     i ? "," : "{", (i * 7919) % n, i, i + 1));
    }
    assert_ok(rllc_string_add(&header, "}"));
    put_safetensors(path, header.length, header.data, header.length, (size_t)n);
    const double start = rllc_now();
    assert_ok(rllc_safetensors_open(&s, path));
    assert_true(rllc_now() - start < 5);
    assert_int_equal(s.n, n);
    assert_string_equal(s.tensors[1].name, "t7919");
    assert_ptr_equal(rllc_safetensors_find(&s, "t7919"), &s.tensors[1]);
    rllc_safetensors_close(&s);
    rllc_string_release(&header);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made_headers),        cmocka_unit_test(test_length_of_the_header_lies),
        cmocka_unit_test(test_escapes_in_names),         cmocka_unit_test(test_metadata_has_a_limit),
        cmocka_unit_test(test_headers_of_100_megabytes), cmocka_unit_test(test_many_tensors),
    };
    return cmocka_run_group_tests_name("safetensors, hostile", tests, scratch_setup, scratch_teardown);
}
