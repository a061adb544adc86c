/* Synthetic corpora: every label and optimum derived again from the text of the row alone, by scanning. */
#include "generated.h"

/* A stretch of text as a reader sees it. */
typedef struct stretch {
    const char *x;
    const uint8_t *label;
    const float *optimum;
    int64_t n, whole; /* n < whole: it was cut */
} stretch;

static stretch row_of(const generated *g, int64_t r) {
    const int64_t at = r * g->n_ctx + 1;
    return (stretch){g->text + at, g->rows.labels + at, g->rows.optimum + at, g->n_ctx - 1, g->n_ctx - 1};
}

/* The row, or from a cut copy of it what is still there. */
typedef void checker(const stretch *s, double v);

/* ---- brackets ------------------------------------------------------------------------------------------------ */

static struct { double types, deepest, filler, opening; } dyck = {4, 8, 0.5, 0.5};

static void check_dyck(const stretch *s, double v) {
    static const char opens[] = "([{<", closes[] = ")]}>";
    for (int64_t i = 0; i < s->n; i++) {
        const char *open = strchr(opens, s->x[i]), *close = strchr(closes, s->x[i]);
        /* The bracket that is still open, and how many are: by cancelling pairs from here back to the beginning. */
        int64_t depth = 0, innermost = -1;
        for (int64_t k = i - 1, balance = 0; k >= 0; k--) {
            if (strchr(closes, s->x[k])) balance++;
            if (!strchr(opens, s->x[k])) continue;
            if (balance > 0) {
                balance--;
            } else if (depth++ == 0) {
                innermost = k;
            }
        }
        const double up = depth == 0 ? 1 : (double)depth == dyck.deepest ? 0 : dyck.opening;
        double p;
        if (close) {
            assert_int_equal(s->label[i], RLLC_LABEL_CLOSING_BRACKET);
            assert_true(innermost >= 0);
            assert_int_equal(strchr(opens, s->x[innermost]) - opens, close - closes);
            p = (1 - dyck.filler) * (1 - up);
        } else if (open) {
            assert_int_equal(s->label[i], RLLC_LABEL_OPENING_BRACKET);
            assert_true((double)depth < dyck.deepest && (double)(open - opens) < dyck.types);
            p = (1 - dyck.filler) * up / dyck.types;
        } else {
            assert_int_equal(s->label[i], RLLC_LABEL_FILLER);
            assert_in_range(s->x[i], 'a', 'a' + (int)v - 1);
            p = dyck.filler / v;
        }
        assert_near((double)s->optimum[i], -log(p), 1e-6);
    }
}

static void each_row(const char *kind, const char *options, int64_t n, checker *check) {
    generated g;
    generated_open(&g, kind, options, n);
    for (int64_t r = 0; r < n; r++) {
        const stretch s = row_of(&g, r);
        check(&s, (double)g.settings.common.vocab);
        for (int64_t i = 0; i < g.n_ctx; i++)
            assert_int_equal(g.rows.generators[r * g.n_ctx + i], i == 0 ? 0 : g.rows.generators[1]);
        assert_int_equal(g.rows.labels[r * g.n_ctx], RLLC_LABEL_NONE);
        assert_true(g.rows.optimum[r * g.n_ctx] == 0);
    }
    generated_close(&g);
}

static void test_brackets_match(void **state) {
    (void)state;
    each_row("dyck", "n_ctx=100 vocab=6", 100, check_dyck);
    dyck.types = 1;
    dyck.deepest = 2;
    dyck.filler = 0;
    dyck.opening = 0.9;
    each_row("dyck", "n_ctx=100 vocab=6 bracket_types=1 max_depth=2 filler=0 opening=0.9", 100, check_dyck);
    dyck.types = 4;
    dyck.deepest = 8;
    dyck.filler = dyck.opening = 0.5;
}

/* ---- skip n-grams -------------------------------------------------------------------------------------------- */

static struct {
    int64_t lag;
    double error;
    const char *image; /* of a, b, c, ...: NULL = the same */
} skip = {2, 0.1, NULL};

static void check_skip(const stretch *s, double v) {
    for (int64_t i = 0; i < s->n; i++) {
        const char before = i < skip.lag ? '\0' : s->x[i - skip.lag];
        const bool right = before && s->x[i] == (skip.image ? skip.image[before - 'a'] : before);
        const double p = !before ? 1 / v : right ? 1 - skip.error + skip.error / v : skip.error / v;
        assert_int_equal(s->label[i], right ? RLLC_LABEL_SKIP_N_GRAM : RLLC_LABEL_NONE);
        assert_near((double)s->optimum[i], -log(p), 1e-6);
    }
}

static void test_copies_from_a_distance(void **state) {
    (void)state;
    each_row("skip", "n_ctx=60 vocab=9", 100, check_skip);
    skip.lag = 7;
    skip.error = 0.5;
    each_row("skip", "n_ctx=60 vocab=3 lag=7 error=0.5", 100, check_skip);
    skip.lag = 1;
    skip.error = 0;
    each_row("skip", "n_ctx=60 vocab=26 lag=1 error=0", 20, check_skip);
    /* Without noise the image of every letter shows; it is a permutation, and decides every token. */
    generated g;
    char image[27] = {0};
    int64_t seen[26] = {0};
    generated_open(&g, "skip", "n_ctx=200 vocab=26 lag=3 error=0 map=permutation seed=4", 50);
    for (int64_t i = 0; i < 50 * 200; i++)
        if (i % 200 > 3) image[g.text[i - 3] - 'a'] = g.text[i];
    for (int s = 0; s < 26; s++) {
        assert_in_range(image[s], 'a', 'z');
        seen[image[s] - 'a']++;
    }
    for (int s = 0; s < 26; s++) assert_int_equal(seen[s], 1);
    assert_string_not_equal(image, "abcdefghijklmnopqrstuvwxyz");
    generated_close(&g);
    skip.lag = 3;
    skip.error = 0.2;
    skip.image = image;
    each_row("skip", "n_ctx=200 vocab=26 lag=3 error=0.2 map=permutation seed=4", 20, check_skip);
    skip.lag = 2;
    skip.error = 0.1;
    skip.image = NULL;
}

/* ---- induction ----------------------------------------------------------------------------------------------- */

/* The labelled stretch, with the token before it, stands whole somewhere before it: found by scanning. */
static void check_repeat(const stretch *s, double v) {
    int64_t first = -1, last = -1;
    (void)v;
    for (int64_t i = 0; i < s->n; i++) {
        assert_true(s->label[i] == RLLC_LABEL_NONE || s->label[i] == RLLC_LABEL_INDUCTION);
        if (s->label[i] != RLLC_LABEL_INDUCTION) continue;
        if (first < 0) first = i;
        assert_true(last < 0 || last == i - 1);
        last = i;
    }
    if (first < 0) { /* only of a stretch that was cut before its copy */
        assert_true(s->n < s->whole);
        return;
    }
    const int64_t length = last - first + 2;
    bool found = false;
    assert_true(2 * length <= s->whole && (length >= 8 || last == s->n - 1));
    for (int64_t a = 0; a + length <= first - 1; a++)
        found = found || memcmp(s->x + a, s->x + first - 1, (size_t)length) == 0;
    assert_true(found);
}

static void test_spans_stand_twice(void **state) {
    (void)state;
    each_row("repeat", "n_ctx=64 vocab=5", 300, check_repeat);
    each_row("repeat", "n_ctx=90 vocab=40 span_min=20 span_max=30", 100, check_repeat);
    each_row("repeat", "n_ctx=17 vocab=4", 100, check_repeat);
}

/* Where a label says induction, an induction head with an alphabet that is large enough is right: the token behind the
   last earlier occurrence of the token before. Elsewhere it is not. Precision and recall of that classifier. */
static void test_induction_is_what_an_induction_head_sees(void **state) {
    (void)state;
    generated g;
    double hits = 0, labelled = 0, predicted = 0;
    generated_open(&g, "repeat", "n_ctx=64 vocab=76 span_min=20 span_max=31", 500);
    for (int64_t r = 0; r < g.n; r++) {
        const stretch s = row_of(&g, r);
        for (int64_t i = 1; i < s.n; i++) {
            bool right = false;
            for (int64_t k = i - 1; k >= 1; k--) right = right || (s.x[k - 1] == s.x[i - 1] && s.x[k] == s.x[i]);
            const bool label = s.label[i] == RLLC_LABEL_INDUCTION;
            labelled += label;
            predicted += right;
            hits += right && label;
        }
    }
    assert_true(hits == labelled);        /* recall 1 */
    assert_true(hits / predicted > 0.99); /* chance: about n / V^2 a token */
    generated_close(&g);
}

/* ---- noise, n-grams ------------------------------------------------------------------------------------------ */

static void check_noise(const stretch *s, double v) {
    for (int64_t i = 0; i < s->n; i++) {
        assert_int_equal(s->label[i], RLLC_LABEL_NONE);
        assert_in_range(s->x[i], 'a', 'a' + (int)v - 1);
        assert_near((double)s->optimum[i], log(v), 1e-6);
    }
}

static double bigram[26][26]; /* probabilities, from a corpus of n-grams alone; 0 = never seen */

static void check_markov(const stretch *s, double v) {
    (void)v;
    for (int64_t i = 0; i < s->n; i++) {
        assert_int_equal(s->label[i], i == 0 ? RLLC_LABEL_NONE : RLLC_LABEL_N_GRAM);
        if (i == 0) continue;
        assert_true(bigram[s->x[i - 1] - 'a'][s->x[i] - 'a'] > 0);
        assert_near((double)s->optimum[i], -log(bigram[s->x[i - 1] - 'a'][s->x[i] - 'a']), 1e-6);
    }
}

static void learn_bigrams(const char *options) {
    generated g;
    generated_open(&g, "markov", options, 3000);
    for (int64_t i = 0; i < g.n * g.n_ctx; i++) {
        if (i % g.n_ctx < 2) continue;
        bigram[g.text[i - 1] - 'a'][g.text[i] - 'a'] = exp(-(double)g.rows.optimum[i]);
    }
    generated_close(&g);
}

static void test_plain_rows(void **state) {
    (void)state;
    each_row("noise", "n_ctx=50 vocab=13", 50, check_noise);
    learn_bigrams("n_ctx=50 vocab=6 concentration=1");
    each_row("markov", "n_ctx=50 vocab=6 concentration=1", 200, check_markov);
}

/* ---- mixtures ------------------------------------------------------------------------------------------------ */

static void check_segments(const char *options, int64_t segment, int n_parts, const char *const *parts,
                           const double *share) {
    static const struct {
        const char *name;
        checker *check;
    } checkers[] = {{"markov", check_markov},
                    {"skip", check_skip},
                    {"repeat", check_repeat},
                    {"dyck", check_dyck},
                    {"noise", check_noise}};
    generated g;
    double count[8] = {0}, all = 0;
    generated_open(&g, "mixture", options, 400);
    for (int64_t r = 0; r < g.n; r++) {
        for (int64_t at = 1; at < g.n_ctx; at += segment) {
            const int64_t i = r * g.n_ctx + at, left = g.n_ctx - at, n = (segment < left ? segment : left) - 1;
            const int part = g.text[i] - '0', number = g.rows.generators[i];
            assert_in_range(part, 0, n_parts - 1);
            assert_string_equal(rllc_synth_name(rllc_synth_list(&(int){0})[number - 1]), parts[part]);
            assert_int_equal(g.rows.labels[i], RLLC_LABEL_NONE);
            assert_near((double)g.rows.optimum[i], -log(share[part]), 1e-6);
            for (int64_t k = 1; k <= n; k++) assert_int_equal(g.rows.generators[i + k], number);
            const stretch s = {g.text + i + 1, g.rows.labels + i + 1, g.rows.optimum + i + 1, n, segment - 1};
            for (size_t c = 0; c < sizeof checkers / sizeof *checkers; c++)
                if (strcmp(checkers[c].name, parts[part]) == 0) checkers[c].check(&s, (double)g.settings.common.vocab);
            count[part]++;
            all++;
        }
        assert_int_equal(g.rows.generators[r * g.n_ctx], 0);
    }
    for (int k = 0; k < n_parts; k++) assert_near(count[k], all * share[k], 5 * sqrt(all * share[k] * (1 - share[k])));
    generated_close(&g);
}

static void test_segments_are_what_their_markers_say(void **state) {
    (void)state;
    static const char *const five[] = {"markov", "skip", "repeat", "dyck", "noise"};
    static const double even[] = {0.2, 0.2, 0.2, 0.2, 0.2};
    learn_bigrams("n_ctx=50 vocab=6 concentration=1");
    check_segments("n_ctx=90 vocab=6 concentration=1", 32, 5, five, even);
    check_segments("n_ctx=97 vocab=6 concentration=1", 32, 5, five, even);
    static const char *const two[] = {"noise", "markov"};
    static const double uneven[] = {0.25, 0.75};
    check_segments("n_ctx=33 vocab=6 concentration=1 segment=5 parts=noise=0.5,markov=1.5", 5, 2, two, uneven);
}

/* Segments of a row have nothing to do with each other. */
static void test_segments_differ(void **state) {
    (void)state;
    generated g;
    double same = 0, all = 0;
    generated_open(&g, "mixture", "n_ctx=61 vocab=10 segment=20 parts=noise", 500);
    for (int64_t r = 0; r < g.n; r++)
        for (int64_t i = 2; i <= 20; i++, all++) same += g.text[r * 61 + i] == g.text[r * 61 + i + 20];
    assert_near(same / all, 0.1, 5 * sqrt(0.1 * 0.9 / all));
    generated_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brackets_match),    cmocka_unit_test(test_copies_from_a_distance),
        cmocka_unit_test(test_spans_stand_twice), cmocka_unit_test(test_induction_is_what_an_induction_head_sees),
        cmocka_unit_test(test_plain_rows),        cmocka_unit_test(test_segments_are_what_their_markers_say),
        cmocka_unit_test(test_segments_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
