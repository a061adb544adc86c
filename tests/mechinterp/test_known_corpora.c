/* Labels and classes on corpora whose every token is known: without noise, precision and recall are 1. */
#include "data/generated.h"
#include "mechinterp/labels.h"
#include "mechinterp/token_classes.h"

enum { MAX_CTX = 256 };

/** How often a rule and the truth said yes. */
typedef struct tally {
    int64_t both, rule_alone, truth_alone, predictions;
} tally;

static void count(tally *t, bool rule, bool truth) {
    t->both += rule && truth;
    t->rule_alone += rule && !truth;
    t->truth_alone += !rule && truth;
    t->predictions++;
}

static void assert_perfect(const char *what, const tally *t, int64_t least) {
    print_message("%-58s %7lld predictions, %6lld positive, precision %.4f, recall %.4f\n", what,
                  (long long)t->predictions, (long long)(t->both + t->truth_alone),
                  (double)t->both / (double)(t->both + t->rule_alone),
                  (double)t->both / (double)(t->both + t->truth_alone));
    assert_true(t->both >= least);
    assert_int_equal(t->rule_alone, 0);
    assert_int_equal(t->truth_alone, 0);
}

static int32_t bos_of(const generated *g) {
    return rllc_tokenizer_bos(rllc_synth_tokenizer(g->s));
}

/** The rows as a training split in memory. */
static rllc_rows rows_of(const generated *g) {
    return (rllc_rows){.data = (const unsigned char *)g->rows.tokens,
                       .bytes = 4,
                       .is_signed = true,
                       .n_dims = 2,
                       .shape = {1, g->n, g->n_ctx},
                       .rows = g->n,
                       .n_ctx = g->n_ctx,
                       .path = "rows"};
}

static void rules_open(const generated *g, rllc_token_rules *r) {
    const rllc_rows train = rows_of(g);
    const rllc_tokenizer *t = rllc_synth_tokenizer(g->s);
    assert_ok(rllc_token_rules_init(r, t, rllc_tokenizer_bos(t), &train, rllc_tokenizer_size(t), NULL));
}

/** Predictions of row r: bits of classes, and what the generator says of the predicted tokens. */
static const uint8_t *row_classes(const generated *g, const rllc_token_rules *rules, int64_t r,
                                  unsigned char bits[MAX_CTX]) {
    assert_true(g->n_ctx <= MAX_CTX);
    rllc_token_classes(rules, g->rows.tokens + r * g->n_ctx, g->n_ctx, bits);
    return g->rows.labels + r * g->n_ctx + 1;
}

/* ---- classes, by the text alone ---------------------------------------------------------------------------------- */

static void check_dyck(const char *options) {
    generated g;
    rllc_token_rules rules;
    unsigned char bits[MAX_CTX];
    tally t = {0};
    generated_open(&g, "dyck", options, 200);
    rules_open(&g, &rules);
    for (int64_t r = 0; r < g.n; r++) {
        const uint8_t *truth = row_classes(&g, &rules, r, bits);
        for (int64_t k = 0; k + 1 < g.n_ctx; k++)
            count(&t, bits[k] >> RLLC_CLASS_DYCK & 1, truth[k] == RLLC_LABEL_CLOSING_BRACKET);
    }
    assert_perfect(rllc_intern_printf("class dyck, dyck %s", options), &t, 3000);
    rllc_token_rules_release(&rules);
    generated_close(&g);
}

static void test_closing_brackets(void **state) {
    (void)state;
    check_dyck("n_ctx=200 vocab=20");
    check_dyck("n_ctx=200 vocab=20 filler=0");
    check_dyck("n_ctx=200 vocab=52 filler=0.8 max_depth=64 opening=0.6");
    check_dyck("n_ctx=200 vocab=20 bracket_types=1");
}

/** Whether the row has no token twice before its copy begins: then what repeats is the copy. */
static bool is_free_of_chance(const generated *g, int64_t r, int64_t span) {
    const int32_t *t = g->rows.tokens + r * g->n_ctx;
    for (int64_t i = 1; i <= span; i++)
        for (int64_t j = 1; j < i; j++)
            if (t[i] == t[j]) return false;
    return true;
}

static void test_copied_spans(void **state) {
    (void)state;
    generated g;
    rllc_token_rules rules;
    unsigned char bits[MAX_CTX];
    tally t = {0}, all = {0};
    generated_open(&g, "repeat", "n_ctx=17 vocab=76 span_min=8 span_max=8", 2000);
    rules_open(&g, &rules);
    for (int64_t r = 0; r < g.n; r++) {
        const uint8_t *truth = row_classes(&g, &rules, r, bits);
        for (int64_t k = 0; k + 1 < g.n_ctx; k++) {
            const bool rule = bits[k] >> RLLC_CLASS_INDUCTION & 1, copied = truth[k] == RLLC_LABEL_INDUCTION;
            count(&all, rule, copied);
            if (is_free_of_chance(&g, r, 8)) count(&t, rule, copied);
        }
    }
    assert_perfect("class induction, repeat, rows without a chance repetition", &t, 9000);
    assert_int_equal(all.truth_alone, 0); /* whatever chance adds, nothing is missed */
    assert_int_equal(all.both, 2000 * 7);
    rllc_token_rules_release(&rules);
    generated_close(&g);
}

/** x_t is decided by x_(t-2), so by the two tokens before it, each pair of which the rows hold often enough. */
static void test_known_triples(void **state) {
    (void)state;
    generated g;
    rllc_token_rules rules;
    unsigned char bits[MAX_CTX];
    tally t = {0};
    generated_open(&g, "skip", "n_ctx=24 vocab=12 lag=2 error=0 map=permutation seed=3", 2000);
    rules_open(&g, &rules);
    int64_t ngrams = 0;
    for (int64_t r = 0; r < g.n; r++) {
        const uint8_t *truth = row_classes(&g, &rules, r, bits);
        for (int64_t k = 0; k + 1 < g.n_ctx; k++) {
            const int class = rllc_token_class(bits[k]);
            ngrams += class == RLLC_CLASS_NGRAM;
            count(&t, class == RLLC_CLASS_NGRAM || class == RLLC_CLASS_INDUCTION, truth[k] == RLLC_LABEL_SKIP_N_GRAM);
        }
    }
    assert_perfect("class n-gram or induction, skip lag=2 error=0", &t, 40000);
    assert_true(ngrams > 10000);
    rllc_token_rules_release(&rules);
    generated_close(&g);
}

/* ---- labels, with attention on what decides -----------------------------------------------------------------------
 */

/** Labels of a row's predictions, the head looking `back` tokens back from the predicted one where the generator says
 *  that it is decided, else at BOS; near: it looks at all tokens from there on, at the farthest most. */
static void label_row(const generated *g, const rllc_delimiters *d, int64_t r, rllc_label decided, int64_t back,
                      bool near, rllc_labelled *out) {
    float attention[MAX_CTX];
    const int32_t *tokens = g->rows.tokens + r * g->n_ctx;
    for (int64_t k = 0; k + 1 < g->n_ctx; k++) {
        memset(attention, 0, sizeof attention);
        const int64_t at = k + 1 - back;
        if (g->rows.labels[r * g->n_ctx + k + 1] != decided)
            attention[0] = 1;
        else
            for (int64_t j = at; j <= (near ? k : at); j++)
                attention[j] = !near || back == 1 ? 1 : j == at ? 0.6F : 0.4F / (float)(back - 1);
        assert_ok(rllc_context_label(&(rllc_prediction){tokens, k, attention}, d, &out[k]));
    }
}

static void check_labels(const char *kind, const char *options, rllc_label decided, int64_t back, bool near, int bit,
                         const char *what) {
    generated g;
    rllc_delimiters d;
    rllc_labelled labelled[MAX_CTX];
    tally t = {0};
    generated_open(&g, kind, options, 300);
    assert_ok(rllc_delimiters_from_tokenizer(&d, rllc_synth_tokenizer(g.s), bos_of(&g)));
    for (int64_t r = 0; r < g.n; r++) {
        label_row(&g, &d, r, decided, back, near, labelled);
        for (int64_t k = 0; k + 1 < g.n_ctx; k++) {
            const int32_t *tokens = g.rows.tokens + r * g.n_ctx;
            const bool rule = labelled[k].labels & bit;
            count(&t, rule, g.rows.labels[r * g.n_ctx + k + 1] == decided);
            if (!rule) continue;
            rllc_string pattern = {0};
            if (bit == RLLC_CONTEXT_SKIP_NGRAM)
                assert_ok(rllc_string_printf(&pattern, "%d +%lld %d %d", tokens[k + 1 - back], (long long)back - 2,
                                             tokens[k], tokens[k + 1]));
            else
                for (int64_t j = k + 1 - back; j <= k + 1; j++)
                    assert_ok(rllc_string_printf(&pattern, j > k + 1 - back ? " %d" : "%d", tokens[j]));
            assert_string_equal(labelled[k].pattern, rllc_string_text(&pattern));
            rllc_string_release(&pattern);
        }
    }
    assert_perfect(what, &t, 5000);
    rllc_delimiters_release(&d);
    generated_close(&g);
}

static void test_skip_ngrams(void **state) {
    (void)state;
    check_labels("skip", "n_ctx=64 vocab=40 lag=7 error=0 map=permutation", RLLC_LABEL_SKIP_N_GRAM, 7, false,
                 RLLC_CONTEXT_SKIP_NGRAM, "label skip n-gram, skip lag=7 error=0");
    check_labels("skip", "n_ctx=64 vocab=40 lag=30 error=0", RLLC_LABEL_SKIP_N_GRAM, 30, false, RLLC_CONTEXT_SKIP_NGRAM,
                 "label skip n-gram, skip lag=30 error=0");
}

static void test_ngrams(void **state) {
    (void)state;
    check_labels("markov", "n_ctx=64 vocab=20 order=1", RLLC_LABEL_N_GRAM, 1, false, RLLC_CONTEXT_NGRAM,
                 "label n-gram, markov order=1");
    check_labels("markov", "n_ctx=64 vocab=10 order=2", RLLC_LABEL_N_GRAM, 2, true, RLLC_CONTEXT_NGRAM,
                 "label n-gram, markov order=2");
    check_labels("markov", "n_ctx=64 vocab=6 order=3", RLLC_LABEL_N_GRAM, 3, true, RLLC_CONTEXT_NGRAM,
                 "label n-gram, markov order=3");
}

/* ---- classes on constructed rows ------------------------------------------------------------------------------------
 */

static void test_classes_of_a_row(void **state) {
    (void)state;
    enum { BOS, A, B, C, OPEN, CLOSE, V };
    const char *const texts[] = {"<|endoftext|>", "a", "b", "c", "(", ")"};
    rllc_token_rules rules = {0};
    rllc_trigram known[] = {{(uint64_t)A << 42 | (uint64_t)B << 21 | C, 10, 20},
                            {(uint64_t)B << 42 | (uint64_t)C << 21 | CLOSE, 10, 10}};
    const int32_t t[] = {BOS, A, B, C, A, B, C, OPEN, A, C, CLOSE, OPEN, B, C, CLOSE, BOS, B, C, CLOSE};
    const int N = 1 << RLLC_CLASS_NGRAM, O = 1 << RLLC_CLASS_OTHER, D = 1 << RLLC_CLASS_DYCK,
              I = 1 << RLLC_CLASS_INDUCTION;
    /* predicts:            A  B  C  A  B  C  (  A  C  )  (  B  C  )      BOS B  C  )  */
    const int expected[] = {O, O, N, O, I, I, O, O, O, D, O, O, I, I | D, O, O, I, I};
    unsigned char bits[18];
    assert_ok(rllc_delimiters_from_texts(&rules.delimiters, texts, V, BOS));
    rules.trigrams = (rllc_trigrams){.list = known, .n = 2};
    rllc_token_classes(&rules, t, 19, bits);
    for (int k = 0; k < 18; k++)
        if (bits[k] != expected[k]) fail_msg("prediction %d: bits %d, expected %d", k, bits[k], expected[k]);
    assert_int_equal(rllc_token_class(bits[2]), RLLC_CLASS_NGRAM);
    assert_int_equal(rllc_token_class(bits[13]), RLLC_CLASS_INDUCTION);
    assert_int_equal(rllc_token_class(bits[9]), RLLC_CLASS_DYCK);
    assert_int_equal(rllc_token_class(bits[0]), RLLC_CLASS_OTHER);
    rllc_delimiters_release(&rules.delimiters);
}

/** Without a training split or a tokenizer there are only induction and other. */
static void test_rules_without_text(void **state) {
    (void)state;
    rllc_token_rules rules;
    unsigned char bits[4];
    assert_ok(rllc_token_rules_init(&rules, NULL, 0, NULL, 6, NULL));
    rllc_token_classes(&rules, (const int32_t[]){0, 1, 2, 1, 2}, 5, bits);
    for (int k = 0; k < 4; k++)
        assert_int_equal(rllc_token_class(bits[k]), k == 3 ? RLLC_CLASS_INDUCTION : RLLC_CLASS_OTHER);
    rllc_token_rules_release(&rules);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closing_brackets),
        cmocka_unit_test(test_copied_spans),
        cmocka_unit_test(test_known_triples),
        cmocka_unit_test(test_skip_ngrams),
        cmocka_unit_test(test_ngrams),
        cmocka_unit_test(test_classes_of_a_row),
        cmocka_unit_test(test_rules_without_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
