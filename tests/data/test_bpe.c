/* Merging and training against plain definitions: join the first pair of smallest rank; count all pairs anew each time.
 */
#include "scratch.h"

#include "data/bpe.h"

enum { LETTERS = 4 }; /* few letters, many merges */

/* ---- training ---------------------------------------------------------------------------------------------- */

enum { MAX_TOKENS = 200, MAX_WORDS = 4000, MAX_LENGTH = 40 };

typedef struct naive {
    char token[MAX_TOKENS][MAX_LENGTH + 1]; /* id - 257 -> bytes */
    int left[MAX_TOKENS], right[MAX_TOKENS], n;
    int word[MAX_WORDS][MAX_LENGTH], length[MAX_WORDS], n_words;
} naive;

/* Ids of single letters in the trainer's order: special 0, then printable bytes from '!' on. */
static int letter_id(char c) {
    return 1 + c - '!';
}

static int count_pair(const naive *t, int a, int b) {
    int count = 0;
    for (int w = 0; w < t->n_words; w++) {
        for (int i = 0; i + 1 < t->length[w]; i++) count += t->word[w][i] == a && t->word[w][i + 1] == b;
    }
    return count;
}

static void best_pair(const naive *t, int *a, int *b, int *best) {
    *best = 0;
    for (int w = 0; w < t->n_words; w++) {
        for (int i = 0; i + 1 < t->length[w]; i++) {
            int x = t->word[w][i], y = t->word[w][i + 1], count = count_pair(t, x, y);
            bool first = count > *best || (count == *best && (x < *a || (x == *a && y < *b)));
            if (!first) continue;
            *a = x;
            *b = y;
            *best = count;
        }
    }
}

static void apply(naive *t, int a, int b, int made) {
    for (int w = 0; w < t->n_words; w++) {
        int m = 0;
        for (int i = 0; i < t->length[w]; i++) {
            bool hit = i + 1 < t->length[w] && t->word[w][i] == a && t->word[w][i + 1] == b;
            t->word[w][m++] = hit ? made : t->word[w][i];
            i += hit;
        }
        t->length[w] = m;
    }
}

static void name_of(const naive *t, int id, char *out) {
    if (id >= 257) {
        strcpy(out, t->token[id - 257]);
    } else {
        out[0] = (char)('!' + id - 1);
        out[1] = '\0';
    }
}

static void test_trainer_is_the_plain_definition(void **state) {
    (void)state;
    static naive t;
    uint64_t random = 7;
    for (int round = 0; round < 12; round++) {
        rllc_bpe_options o = {.vocab_size = 257 + 40, .min_frequency = 1 + round % 3, .special = "<s>"};
        rllc_bpe_trainer *b;
        rllc_tokenizer *ours;
        assert_ok(rllc_bpe_trainer_new(&b, &o));
        t.n = 0;
        t.n_words = 20 + 10 * round;
        for (int w = 0; w < t.n_words; w++) {
            char text[MAX_LENGTH + 1];
            t.length[w] = 1 + (int)(scratch_random(&random) % 16);
            for (int i = 0; i < t.length[w]; i++) {
                text[i] = (char)('a' + scratch_random(&random) % (1 + (uint32_t)round % LETTERS));
                t.word[w][i] = letter_id(text[i]);
            }
            assert_ok(rllc_bpe_trainer_add(b, text, (size_t)t.length[w]));
        }
        assert_ok(rllc_bpe_trainer_finish(b, NULL, &ours));
        while (t.n < 40) {
            int x = 0, y = 0, count = 0;
            char left[MAX_LENGTH + 1], right[MAX_LENGTH + 1];
            best_pair(&t, &x, &y, &count);
            if (count < o.min_frequency || count == 0) break;
            name_of(&t, x, left);
            name_of(&t, y, right);
            snprintf(t.token[t.n], sizeof t.token[t.n], "%.20s%.20s", left, right);
            t.left[t.n] = x;
            t.right[t.n] = y;
            apply(&t, x, y, 257 + t.n);
            t.n++;
        }
        assert_int_equal(ours->n_merges, t.n);
        for (int i = 0; i < t.n; i++) {
            assert_int_equal(ours->left[i], t.left[i]);
            assert_int_equal(ours->right[i], t.right[i]);
            assert_int_equal(ours->result[i], 257 + i);
            size_t n;
            assert_string_equal(rllc_tokenizer_token(ours, 257 + i, &n), t.token[i]);
        }
        rllc_tokenizer_free(ours);
        rllc_bpe_trainer_free(b);
    }
}

static void test_trainer_does_not_depend_on_order(void **state) {
    (void)state;
    rllc_hash hashes[2];
    for (int reverse = 0; reverse < 2; reverse++) {
        rllc_bpe_options o = {.vocab_size = 300, .min_frequency = 2, .special = "<s>", .special_last = true};
        rllc_bpe_trainer *b;
        rllc_tokenizer *t;
        assert_ok(rllc_bpe_trainer_new(&b, &o));
        for (int i = 0; i < 200; i++) {
            uint64_t random = (uint64_t)(reverse ? 199 - i : i);
            rllc_string s = {0};
            scratch_add_noise(&s, &random, 200);
            assert_ok(rllc_bpe_trainer_add(b, rllc_string_text(&s), s.length));
            rllc_string_release(&s);
        }
        assert_ok(rllc_bpe_trainer_finish(b, NULL, &t));
        hashes[reverse] = rllc_tokenizer_hash(t);
        rllc_tokenizer_free(t);
        rllc_bpe_trainer_free(b);
    }
    assert_string_equal(hashes[0].hex, hashes[1].hex);
}

static void test_trainer_limits_and_refusals(void **state) {
    (void)state;
    rllc_bpe_options o = {.vocab_size = 256, .special = "<s>"};
    rllc_bpe_trainer *b;
    rllc_tokenizer *t, *u;
    assert_fails(rllc_bpe_trainer_new(&b, &o), RLLC_EUSAGE, "257");
    o.vocab_size = 400;
    o.special = "";
    assert_fails(rllc_bpe_trainer_new(&b, &o), RLLC_EUSAGE, "special");
    o.special = "\xFF";
    assert_fails(rllc_bpe_trainer_new(&b, &o), RLLC_EUSAGE, "UTF-8");
    o.special = "<s>";
    assert_ok(rllc_bpe_trainer_new(&b, &o));
    assert_fails(rllc_bpe_trainer_finish(b, NULL, &t), RLLC_EINPUT, "no text");
    assert_fails(rllc_bpe_trainer_add(b, "ab\xC3", 3), RLLC_EINPUT, "byte 2");
    rllc_bpe_trainer_free(b);
    /* max_bytes: what comes after is not seen, and a character is not cut. */
    const char *text = "abab abab \xC3\xA9\xC3\xA9 zzzz";
    for (int limited = 0; limited < 2; limited++) {
        o.max_bytes = limited ? 11 : 0; /* ends inside the first é */
        assert_ok(rllc_bpe_trainer_new(&b, &o));
        assert_ok(rllc_bpe_trainer_add(b, text, limited ? strlen(text) : 10));
        if (limited) assert_ok(rllc_bpe_trainer_add(b, "qqqq qqqq", 9));
        assert_ok(rllc_bpe_trainer_finish(b, NULL, limited ? &u : &t));
        rllc_bpe_trainer_free(b);
    }
    assert_string_equal(rllc_tokenizer_hash(t).hex, rllc_tokenizer_hash(u).hex);
    rllc_tokenizer_free(t);
    rllc_tokenizer_free(u);
}

static bool stop_at_once(void *context) {
    (void)context;
    return true;
}

static void test_trainer_stops_when_asked(void **state) {
    (void)state;
    rllc_bpe_options o = {.vocab_size = 400, .special = "<s>"};
    rllc_monitor monitor = {.stop = stop_at_once};
    rllc_bpe_trainer *b;
    rllc_tokenizer *t;
    assert_ok(rllc_bpe_trainer_new(&b, &o));
    assert_ok(rllc_bpe_trainer_add(b, "aaaa", 4));
    assert_fails(rllc_bpe_trainer_finish(b, &monitor, &t), RLLC_ESTOPPED, "stopped");
    assert_null(t);
    rllc_bpe_trainer_free(b);
}

/* ---- merging ----------------------------------------------------------------------------------------------- */

/* A tokenizer with all bytes and random merges of a few letters. */
static rllc_tokenizer *random_tokenizer(uint64_t *random, int n_merges) {
    rllc_tokenizer *t;
    rllc_data_entry entries[256 + 100];
    static char names[256 + 100][64];
    static int left[100], right[100];
    int n = 256;
    assert_ok(rllc_data_tokenizer_new(&t));
    t->use_regex = false;
    for (int i = 0; i < 256; i++) {
        rllc_string s = {0};
        assert_ok(rllc_data_symbols_of(&(unsigned char){(unsigned char)i}, 1, &s));
        strcpy(names[i], s.data);
        rllc_string_release(&s);
    }
    while (n < 256 + n_merges) {
        int a = (int)(scratch_random(random) % (LETTERS + (uint32_t)n - 256)),
            b = (int)(scratch_random(random) % (LETTERS + (uint32_t)n - 256));
        a = a < LETTERS ? 'a' + a : 256 + a - LETTERS;
        b = b < LETTERS ? 'a' + b : 256 + b - LETTERS;
        if (strlen(names[a]) + strlen(names[b]) > 12) continue;
        strcpy(names[n], names[a]);
        strcat(names[n], names[b]);
        bool known = false;
        for (int i = 0; i < n; i++) known = known || strcmp(names[i], names[n]) == 0;
        if (known) continue;
        left[n - 256] = a;
        right[n - 256] = b;
        n++;
    }
    for (int i = 0; i < n; i++) entries[i] = (rllc_data_entry){names[i], strlen(names[i]), i, true};
    assert_ok(rllc_data_tokens(t, entries, n, "x"));
    for (int i = 0; i < n - 256; i++) {
        assert_ok(rllc_data_merge_add(t, names[left[i]], strlen(names[left[i]]), names[right[i]],
                                      strlen(names[right[i]]), "x"));
    }
    assert_ok(rllc_data_tokenizer_finish(t, NULL, 0, "x"));
    return t;
}

static int naive_merge(const rllc_tokenizer *t, const char *s, int n, int *ids) {
    for (int i = 0; i < n; i++) ids[i] = (unsigned char)s[i];
    for (;;) {
        int64_t best = t->n_merges;
        int at = -1;
        for (int i = 0; i + 1 < n; i++) {
            for (int64_t r = 0; r < best; r++) {
                if (t->left[r] != ids[i] || t->right[r] != ids[i + 1]) continue;
                best = r;
                at = i;
                break;
            }
        }
        if (at < 0) return n;
        ids[at] = t->result[best];
        n--;
        for (int i = at + 1; i < n; i++) ids[i] = ids[i + 1];
    }
}

/* Words of all lengths around the change from the one way of merging (64 bytes) to the other. */
static void test_merge_is_the_plain_definition(void **state) {
    (void)state;
    uint64_t random = 3;
    static int expected[400];
    for (int round = 0; round < 30; round++) {
        rllc_tokenizer *t = random_tokenizer(&random, 60);
        for (int n = 0; n < 200; n++) {
            char s[400];
            rllc_ids ids = {0};
            int length = n < 100 ? n : (int)(scratch_random(&random) % 300);
            for (int i = 0; i < length; i++) s[i] = (char)('a' + scratch_random(&random) % LETTERS);
            assert_ok(rllc_tokenizer_encode(t, s, (size_t)length, &ids));
            int m = naive_merge(t, s, length, expected);
            assert_int_equal(ids.n, m);
            for (int i = 0; i < m; i++) assert_int_equal(ids.data[i], expected[i]);
            rllc_ids_release(&ids);
        }
        rllc_tokenizer_free(t);
    }
}

static void test_symbols_are_a_bijection(void **state) {
    (void)state;
    unsigned char all[256], back[256];
    rllc_string s = {0};
    size_t n;
    for (int i = 0; i < 256; i++) all[i] = (unsigned char)i;
    assert_ok(rllc_data_symbols_of(all, 256, &s));
    assert_true(rllc_utf8_valid(s.data, s.length, NULL));
    assert_true(rllc_data_bytes_of(s.data, s.length, back, &n));
    assert_int_equal(n, 256);
    assert_memory_equal(all, back, 256);
    assert_int_equal(rllc_data_symbol(' '), 0x120);
    assert_int_equal(rllc_data_symbol('\n'), 0x10A);
    assert_int_equal(rllc_data_symbol(0xAD), 0x143);
    assert_int_equal(rllc_data_symbol(0x7F), 0x121);
    assert_int_equal(rllc_data_symbol(0xFF), 0xFF);
    assert_false(rllc_data_bytes_of("\xC2\xAD", 2, back, &n)); /* U+00AD stands for nothing */
    assert_false(rllc_data_bytes_of(" ", 1, back, &n));
    assert_false(rllc_data_bytes_of("\xC5\x84", 2, back, &n)); /* U+0144 */
    rllc_string_release(&s);
}

/* A word far too long for one pass a merge: n log n, not n^2. */
static void test_merge_long_word(void **state) {
    (void)state;
    rllc_bpe_options o = {.vocab_size = 300, .min_frequency = 1, .special = "<s>"};
    rllc_bpe_trainer *b;
    rllc_tokenizer *t;
    rllc_ids ids = {0};
    rllc_string back = {0};
    size_t n = 1 << 21;
    char *s = malloc(n);
    assert_non_null(s);
    uint64_t random = 5;
    for (size_t i = 0; i < n; i++) s[i] = (char)('a' + scratch_random(&random) % 3);
    assert_ok(rllc_bpe_trainer_new(&b, &o));
    assert_ok(rllc_bpe_trainer_add(b, s, 5000));
    assert_ok(rllc_bpe_trainer_finish(b, NULL, &t));
    assert_ok(rllc_tokenizer_encode(t, s, n, &ids));
    assert_true(ids.n < (int64_t)n / 2);
    assert_ok(rllc_tokenizer_decode(t, ids.data, ids.n, &back));
    assert_int_equal(back.length, n);
    assert_memory_equal(back.data, s, n);
    free(s);
    rllc_ids_release(&ids);
    rllc_string_release(&back);
    rllc_tokenizer_free(t);
    rllc_bpe_trainer_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trainer_is_the_plain_definition),
        cmocka_unit_test(test_trainer_does_not_depend_on_order),
        cmocka_unit_test(test_trainer_limits_and_refusals),
        cmocka_unit_test(test_trainer_stops_when_asked),
        cmocka_unit_test(test_merge_is_the_plain_definition),
        cmocka_unit_test(test_symbols_are_a_bijection),
        cmocka_unit_test(test_merge_long_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
