/* safetensors files that are damaged: every truncation, every flipped bit, thousands of structured mutations. Each is
 * refused with a sentence, or read consistently; never a crash (run this under the sanitizers). */
#include <fcntl.h>

#include "checkpoint/files.h"

/* ---- a file of 4 KB, damaged everywhere ------------------------------------------------------------------ */

static const float weights[2][384];

/* A sound file of 4 KB in memory: 30 tensors of three types and metadata. */
static unsigned char *make_file(void **state, size_t *size, size_t *header) {
    const char *path = scratch_path(state, "sound.safetensors");
    static const rllc_dtype types[] = {RLLC_F32, RLLC_BF16, RLLC_F16}; /* whose every bit counts in float32 */
    rllc_tensor_view t[30];
    rllc_json *metadata = rllc_json_object();
    for (int i = 0; i < 30; i++) {
        t[i] = (rllc_tensor_view){.name = rllc_intern_printf("blocks.%d.attn.W", i),
                                  .dtype = types[i % 3],
                                  .n_dims = 2,
                                  .shape = {3 + i % 2, 5},
                                  .n = 5 * (3 + i % 2),
                                  .data = weights};
    }
    assert_ok(rllc_json_set(metadata, "rllc.step", rllc_json_string("100")));
    assert_ok(rllc_json_set(metadata, "note", rllc_json_string("a \\ b \xC3\xA9 \n")));
    assert_ok(rllc_safetensors_write(path, t, 30, metadata));
    rllc_json_free(metadata);
    rllc_mapping m;
    uint64_t n = 0;
    assert_ok(rllc_mapping_open(&m, path));
    unsigned char *bytes = malloc(m.size);
    assert_non_null(bytes);
    memcpy(bytes, m.data, m.size);
    memcpy(&n, bytes, 8);
    *size = m.size;
    *header = 8 + (size_t)n;
    rllc_mapping_close(&m);
    return bytes;
}

static void test_every_truncation_is_refused(void **state) {
    size_t size, header;
    unsigned char *bytes = make_file(state, &size, &header);
    const char *path = scratch_path(state, "cut.safetensors");
    rllc_safetensors s;
    assert_in_range(size, 3500, 4500);
    for (size_t n = 0; n < size; n++) {
        put_file(path, bytes, n);
        assert_int_equal(rllc_safetensors_open(&s, path), RLLC_EINPUT);
    }
    put_file(path, bytes, size);
    assert_ok(rllc_safetensors_open(&s, path));
    rllc_safetensors_close(&s);
    free(bytes);
}

/* Every bit of the header: refused, or read as another consistent file that is written and read again. Every bit of the
 * data: read, with another identity. */
static void test_every_flipped_bit_is_refused_or_consistent(void **state) {
    size_t size, header;
    unsigned char *bytes = make_file(state, &size, &header);
    const char *path = scratch_path(state, "flipped.safetensors");
    rllc_safetensors s;
    int64_t accepted = 0, refused = 0;
    put_file(path, bytes, size);
    assert_ok(rllc_safetensors_open(&s, path));
    const rllc_hash sound = rllc_tensors_hash(s.tensors, s.n);
    rllc_safetensors_close(&s);
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        const unsigned char flipped = bytes[bit / 8] ^ (unsigned char)(1 << bit % 8);
        assert_int_equal(pwrite(file, &flipped, 1, (off_t)(bit / 8)), 1);
        const rllc_status status = rllc_safetensors_open(&s, path);
        if (bit / 8 < header) {
            assert_true(status == RLLC_OK || status == RLLC_EINPUT);
            refused += status != RLLC_OK;
            accepted += status == RLLC_OK;
            if (status == RLLC_OK) check_sound(&s);
            if (status == RLLC_OK && accepted % 512 == 0) check_round_trip(state, &s);
        } else {
            assert_int_equal(status, RLLC_OK);
            assert_string_not_equal(rllc_tensors_hash(s.tensors, s.n).hex, sound.hex);
        }
        rllc_safetensors_close(&s);
        assert_int_equal(pwrite(file, bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
    }
    assert_int_equal(close(file), 0);
    print_message("%lld header bits flipped: %lld refused, %lld read consistently; %lld data bits flipped: all seen\n",
                  (long long)(8 * header), (long long)refused, (long long)accepted, (long long)(8 * (size - header)));
    assert_true(refused > 8000 && accepted > 100);
    free(bytes);
}

/* ---- structured mutations -------------------------------------------------------------------------------- */

#define MAX_TOKENS 400

/* A header in pieces: punctuation, strings and words. */
typedef struct {
    const char *text[MAX_TOKENS];
    int n;
} tokens;

static void split(tokens *t, const char *header) {
    t->n = 0;
    while (*header && t->n < MAX_TOKENS) {
        size_t n = 1;
        if (*header == '"') {
            while (header[n] && header[n] != '"') n += header[n] == '\\' && header[n + 1] ? 2 : 1;
            n += header[n] == '"';
        } else if (strchr("0123456789", *header)) {
            n = strspn(header, "0123456789");
        }
        t->text[t->n++] = rllc_intern_printf("%.*s", (int)n, header);
        header += n;
    }
}

static const char *const sources[] = {
    TWO(F32x2(0, 8), F32x2(8, 16)),
    "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},\"w\":" ENTRY("F16", "[2,4]", "[0,16]") "}",
    "{\"e\":" ENTRY("I64", "[0,3]", "[0,0]") ",\"s\":" ENTRY("F64", "[]", "[0,8]") ",\"u\":" ENTRY("U8", "[8]",
                                                                                                   "[8,16]") "}",
    "{\"x\":" ENTRY("BF16", "[1,1,8]", "[0,16]") "}",
};

static const char *const spares[] = {
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "9",
    "12",
    "16",
    "17",
    "2147483648",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "0.5",
    "1e3",
    "00",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\n",
    "null",
    "true",
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"__metadata__\"",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"F32\"",
    "\"F64\"",
    "\"F16\"",
    "\"BOOL\"",
    "\"F4\"",
    "\"Q9\"",
    "\"\\u0061\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\xFF",
    "\"\xC3\xA9\"",
    "{}",
    "[]",
    "[0,0]",
    "\"x\":{},",
};

static const char *spare(uint64_t *seed) {
    return spares[next_random(seed) % (sizeof spares / sizeof spares[0])];
}

static void mutate(tokens *t, uint64_t *seed) {
    const int i = (int)(next_random(seed) % (uint64_t)t->n), j = (int)(next_random(seed) % (uint64_t)t->n);
    const char *kept = t->text[i];
    switch (next_random(seed) % 6) {
    case 0: /* another token */ t->text[i] = spare(seed); break;
    case 1: /* one less */
        memmove(t->text + i, t->text + i + 1, (size_t)(t->n - i - 1) * sizeof t->text[0]);
        t->n -= t->n > 1;
        break;
    case 2: /* one more */
    case 3: /* one twice */
        if (t->n == MAX_TOKENS) break;
        memmove(t->text + i + 1, t->text + i, (size_t)(t->n - i) * sizeof t->text[0]);
        t->text[i] = next_random(seed) % 2 ? spare(seed) : kept;
        t->n++;
        break;
    case 4: /* two exchanged */
        t->text[i] = t->text[j];
        t->text[j] = kept;
        break;
    default: /* a number for a number: the likeliest to stay sound */
        if (strchr("0123456789", kept[0])) t->text[i] = spares[next_random(seed) % 22];
    }
}

static void test_structured_mutations_are_refused_or_consistent(void **state) {
    const char *path = scratch_path(state, "mutated.safetensors");
    uint64_t seed = 20240520;
    int64_t accepted = 0;
    const int64_t n = effort(20000);
    rllc_string header = {0};
    for (int64_t k = 0; k < n; k++) {
        tokens t;
        rllc_safetensors s;
        split(&t, sources[next_random(&seed) % 4]);
        for (uint64_t m = next_random(&seed) % 4; m > 0; m--) mutate(&t, &seed);
        rllc_string_clear(&header);
        for (int i = 0; i < t.n; i++) assert_ok(rllc_string_add(&header, t.text[i]));
        if (next_random(&seed) % 8 == 0)
            header.data[next_random(&seed) % header.length] ^= (char)(1 << next_random(&seed) % 8);
        const uint64_t lie = next_random(&seed) % 16 == 0 ? next_random(&seed) % 9 - 4 : 0;
        const size_t n_data = next_random(&seed) % 8 == 0 ? next_random(&seed) % 33 : 16;
        put_safetensors(path, header.length + lie, header.data, header.length, n_data);
        const rllc_status status = rllc_safetensors_open(&s, path);
        assert_true(status == RLLC_OK || status == RLLC_EINPUT || status == RLLC_EUNSUPPORTED);
        if (status != RLLC_OK) {
            assert_non_null(strstr(rllc_error_detail(), path));
            continue;
        }
        check_sound(&s);
        if (accepted++ % 256 == 0) check_round_trip(state, &s);
        rllc_safetensors_close(&s);
    }
    print_message("%lld mutated files: %lld refused, %lld read consistently\n", (long long)n, (long long)(n - accepted),
                  (long long)accepted);
    assert_true(accepted > n / 50 && accepted < n / 2);
    rllc_string_release(&header);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_flipped_bit_is_refused_or_consistent),
        cmocka_unit_test(test_structured_mutations_are_refused_or_consistent),
    };
    return cmocka_run_group_tests_name("safetensors, damaged", tests, scratch_setup, scratch_teardown);
}
