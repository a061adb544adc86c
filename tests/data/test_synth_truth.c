/* Synthetic corpora: entropies and optima against closed forms, independent computations and what rows show. */
#include "data/synth.h"
#include "generated.h"

enum { SIGMAS = 5 };

/* The mean over rows of `value`, against what is expected, within standard errors of the rows' own spread. */
static void check_mean(const double *value, int64_t n, double expected, const char *what) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++) mean += value[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += (value[i] - mean) * (value[i] - mean);
    const double se = sqrt(square / (double)n / (double)(n - 1));
    if (!(fabs(mean - expected) <= SIGMAS * se + 1e-5 * fabs(expected)))
        fail_msg("%s: mean %.8g, expected %.8g, standard error %.3g", what, mean, expected, se);
}

/* What rows hold of each label, and the optimum they pay for it, against rllc_synth_expect. */
static void check_expectations(const char *kind, const char *options, int64_t n) {
    generated g;
    rllc_synth_truth truth;
    double *tokens, *optimum, all = 0;
    generated_open(&g, kind, options, n);
    rllc_synth_expect(g.s, &truth);
    assert_ok(rllc_alloc(&tokens, n, sizeof *tokens));
    assert_ok(rllc_alloc(&optimum, n, sizeof *optimum));
    for (int label = 0; label < RLLC_LABELS; label++) {
        all += truth.tokens[label];
        for (int64_t r = 0; r < n; r++) {
            tokens[r] = optimum[r] = 0;
            for (int64_t i = r * g.n_ctx + 1; i < (r + 1) * g.n_ctx; i++) {
                if (g.rows.labels[i] != label) continue;
                tokens[r]++;
                optimum[r] += (double)g.rows.optimum[i];
            }
        }
        const char *what = rllc_intern_printf("%s %s, %s", kind, options, rllc_label_names[label]);
        check_mean(tokens, n, truth.tokens[label], what);
        if (!isnan(truth.optimum[label])) check_mean(optimum, n, truth.optimum[label], what);
    }
    assert_near(all, (double)(g.n_ctx - 1), 1e-9 * (double)g.n_ctx);
    rllc_free(tokens);
    rllc_free(optimum);
    generated_close(&g);
}

static void test_rows_show_what_is_expected(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"markov", "n_ctx=40 vocab=7"},
        {"markov", "n_ctx=40 vocab=76 concentration=0.05 seed=3"},
        {"markov", "n_ctx=24 vocab=5 order=3 concentration=1 seed=9"},
        {"skip", "n_ctx=40 vocab=16 error=0.1"},
        {"skip", "n_ctx=40 vocab=3 lag=5 error=0.7 map=permutation"},
        {"skip", "n_ctx=20 vocab=8 lag=1 error=0"},
        {"skip", "n_ctx=20 vocab=8 lag=1 error=1"},
        {"repeat", "n_ctx=41 vocab=8"},
        {"repeat", "n_ctx=41 vocab=8 span_min=3 span_max=5"},
        {"repeat", "n_ctx=41 vocab=8 span_min=20"},
        {"dyck", "n_ctx=60 vocab=4"},
        {"dyck", "n_ctx=60 bracket_types=1 max_depth=1 filler=0"},
        {"dyck", "n_ctx=60 bracket_types=3 max_depth=3 filler=0.2 opening=0.7"},
        {"noise", "n_ctx=20 vocab=2"},
        {"mixture", "n_ctx=75 segment=20 vocab=6 max_depth=2"},
        {"mixture", "n_ctx=75 segment=20 parts=markov=3,dyck,skip=0.5 order=2 vocab=6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_expectations(cases[i][0], cases[i][1], 3000);
}

static void test_closed_forms(void **state) {
    (void)state;
    generated g;
    generated_open(&g, "skip", "vocab=16 error=0.1", 1);
    assert_near(generated_fact(&g, "copy_entropy"), 0.565009, 5e-7);
    const double q = 1 - 0.1 + 0.1 / 16, w = 0.1 / 16;
    assert_near(generated_fact(&g, "copy_entropy"), -q * log(q) - 15 * w * log(w), 1e-12);
    generated_close(&g);
    /* Blocks that come twice: log V, then 0. */
    generated_open(&g, "repeat", "n_ctx=21 vocab=16 span_min=10 span_max=10", 50);
    for (int64_t i = 0; i < 50 * 21; i++) {
        const int64_t t = i % 21 - 1;
        assert_near((double)g.rows.optimum[i], t >= 0 && t < 10 ? log(16) : 0, 1e-6);
        if (t >= 10) assert_int_equal(g.text[i], g.text[i - 10]);
    }
    assert_near(rllc_synth_optimum(g.s), log(16) / 2, 1e-12);
    generated_close(&g);
    generated_open(&g, "noise", "vocab=50", 1);
    assert_near(rllc_synth_optimum(g.s), log(50), 1e-12);
    generated_close(&g);
}

/* ---- n-grams ------------------------------------------------------------------------------------------------- */

/* Solves x A = b (dense, partial pivoting); A [n, n] and b are overwritten, b becomes x. */
static void solve(double *a, double *b, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        int64_t p = k;
        for (int64_t j = k; j < n; j++)
            if (fabs(a[k * n + j]) > fabs(a[k * n + p])) p = j;
        for (int64_t i = 0; i < n; i++) {
            const double swap = a[i * n + k];
            a[i * n + k] = a[i * n + p];
            a[i * n + p] = swap;
        }
        const double swap = b[k];
        b[k] = b[p];
        b[p] = swap;
        for (int64_t j = k + 1; j < n; j++) {
            const double factor = a[k * n + j] / a[k * n + k];
            for (int64_t i = k; i < n; i++) a[i * n + j] -= factor * a[i * n + k];
            b[j] -= factor * b[k];
        }
    }
    for (int64_t k = n - 1; k >= 0; k--) {
        for (int64_t i = k + 1; i < n; i++) b[k] -= a[i * n + k] * b[i];
        b[k] /= a[k * n + k];
    }
}

/* The table behind the rows: of each context and symbol the probability that the optimum states (the same at every
   place), and how often they occurred. */
static void read_table(const generated *g, int64_t v, int64_t order, int64_t contexts, double *p, double *count) {
    for (int64_t r = 0; r < g->n; r++) {
        int64_t context = 0;
        for (int64_t i = 1; i < g->n_ctx; i++) {
            const int64_t at = r * g->n_ctx + i, symbol = g->text[at] - 'a', cell = context * v + symbol;
            assert_in_range(symbol, 0, v - 1);
            if (i > order) {
                assert_int_equal(g->rows.labels[at], RLLC_LABEL_N_GRAM);
                const double q = exp(-(double)g->rows.optimum[at]);
                if (count[cell] > 0) assert_near(q, p[cell], 1e-12);
                p[cell] = q;
                count[cell]++;
            } else {
                assert_int_equal(g->rows.labels[at], RLLC_LABEL_NONE);
            }
            context = (context * v + symbol) % contexts;
        }
    }
}

/* Every context's probabilities add up to 1, and its successors come as often as they say. */
static void check_frequencies(int64_t v, int64_t contexts, const double *p, const double *count) {
    for (int64_t c = 0; c < contexts; c++) {
        double sum = 0, n = 0;
        for (int64_t s = 0; s < v; s++) {
            assert_true(count[c * v + s] > 0);
            sum += p[c * v + s];
            n += count[c * v + s];
        }
        assert_near(sum, 1, 2e-6);
        for (int64_t s = 0; s < v; s++) {
            const double q = p[c * v + s];
            assert_near(count[c * v + s], n * q, SIGMAS * sqrt(n * q * (1 - q)) + 1e-5 * n);
        }
    }
}

/* pi P = pi, sum pi = 1, by elimination; the entropy rate and the unigram entropy from it. */
static void check_entropies(const generated *g, int64_t v, int64_t order, int64_t contexts, const double *p) {
    double *a, *pi, rate = 0, unigram = 0;
    assert_ok(rllc_alloc(&a, contexts * contexts, sizeof *a));
    assert_ok(rllc_alloc(&pi, contexts, sizeof *pi));
    for (int64_t c = 0; c < contexts; c++) {
        for (int64_t s = 0; s < v; s++) a[c * contexts + (c * v + s) % contexts] += p[c * v + s];
        a[c * contexts + c] -= 1;
        a[c * contexts] = 1; /* the first equation gives way to the sum */
    }
    pi[0] = 1;
    solve(a, pi, contexts);
    for (int64_t c = 0; c < contexts; c++)
        for (int64_t s = 0; s < v; s++) rate -= pi[c] * p[c * v + s] * log(p[c * v + s]);
    for (int64_t s = 0; s < v; s++) {
        double q = 0;
        for (int64_t c = s; c < contexts; c += v) q += pi[c];
        unigram -= q * log(q);
    }
    assert_near(generated_fact(g, "entropy_rate"), rate, 3e-6);
    assert_near(generated_fact(g, "unigram_entropy"), unigram, 3e-6);
    if (order == 1) {
        const double predictions = (double)(g->n_ctx - 1);
        assert_near(rllc_synth_optimum(g->s), (unigram + (predictions - 1) * rate) / predictions, 3e-6);
    }
    rllc_free(a);
    rllc_free(pi);
}

static void check_table(const char *options, int64_t v, int64_t order) {
    generated g;
    double *p, *count;
    int64_t contexts = 1;
    for (int64_t i = 0; i < order; i++) contexts *= v;
    generated_open(&g, "markov", options, 4000);
    assert_ok(rllc_alloc(&p, contexts * v, sizeof *p));
    assert_ok(rllc_alloc(&count, contexts * v, sizeof *count));
    read_table(&g, v, order, contexts, p, count);
    check_frequencies(v, contexts, p, count);
    check_entropies(&g, v, order, contexts, p);
    rllc_free(p);
    rllc_free(count);
    generated_close(&g);
}

static void test_n_gram_tables(void **state) {
    (void)state;
    check_table("n_ctx=66 vocab=4 concentration=1", 4, 1);
    check_table("n_ctx=66 vocab=12 concentration=3 seed=5", 12, 1);
    check_table("n_ctx=66 vocab=3 order=3 concentration=2 seed=7", 3, 3);
    check_table("n_ctx=66 vocab=2 order=6 concentration=2", 2, 6);
}

/* The first tokens are in equilibrium: each symbol comes at each place as often. */
static void test_rows_begin_in_equilibrium(void **state) {
    (void)state;
    enum { V = 5, N = 20000, T = 6 };
    generated g;
    double count[T - 1][V] = {{0}}, all[V] = {0};
    generated_open(&g, "markov", "n_ctx=6 vocab=5 order=2 concentration=0.5", N);
    for (int64_t i = 0; i < N * T; i++) {
        if (i % T == 0) continue;
        count[i % T - 1][g.text[i] - 'a']++;
        all[g.text[i] - 'a'] += 1.0 / (T - 1);
    }
    for (int t = 0; t < T - 1; t++)
        for (int s = 0; s < V; s++) assert_near(count[t][s], all[s], SIGMAS * sqrt(all[s]));
    generated_close(&g);
}

/* Each context's probabilities are Dirichlet: their entropy is on average psi(a V + 1) - psi(a + 1). */
static double digamma(double x) {
    double shift = 0;
    for (; x < 20; x++) shift -= 1 / x;
    const double y = 1 / (x * x);
    return shift + log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y / 252));
}

static void test_concentration(void **state) {
    (void)state;
    enum { V = 8, SEEDS = 1000 };
    static const double concentration[] = {0.3, 1, 10, 1000};
    for (size_t i = 0; i < sizeof concentration / sizeof *concentration; i++) {
        const double a = concentration[i];
        double entropy[SEEDS * V] = {0};
        for (int seed = 0; seed < SEEDS; seed++) {
            rllc_data_table t;
            assert_ok(rllc_data_table_make(&t, V, 1, a, (uint64_t)seed));
            for (int c = 0; c < V * V; c++) {
                const double p = (double)t.count[c] / 0x1p32;
                entropy[seed * V + c / V] -= p * log(p);
            }
            rllc_data_table_release(&t);
        }
        check_mean(entropy, SEEDS * V, digamma(V * a + 1) - digamma(a + 1), rllc_intern_printf("concentration %g", a));
    }
}

/* ---- a span that comes again --------------------------------------------------------------------------------- */

/* p(x_0 .. x_(t-1)) by enumeration of every span and place. */
static double enumerate(const char *x, int64_t n, int64_t t, int64_t low, int64_t high, double v) {
    double sum = 0;
    for (int64_t length = low; length <= high; length++)
        for (int64_t b = length; b <= n - length; b++)
            for (int64_t a = 0; a <= b - length; a++) {
                double p = 1 / ((double)(high - low + 1) * (double)(n - 2 * length + 1) * (double)(b - length + 1));
                for (int64_t i = 0; i < t && p > 0; i++)
                    p *= i < b || i >= b + length ? 1 / v : x[i] == x[i - b + a] ? 1 : 0;
                sum += p;
            }
    return sum;
}

static void check_spans(const char *options, int64_t low, int64_t high, double v, int64_t rows) {
    generated g;
    generated_open(&g, "repeat", options, rows);
    const int64_t n = g.n_ctx - 1;
    for (int64_t r = 0; r < rows; r++) {
        const char *x = g.text + r * g.n_ctx + 1;
        double before = 1;
        for (int64_t t = 0; t < n; t++) {
            const double p = enumerate(x, n, t + 1, low, high, v);
            assert_near((double)g.rows.optimum[r * g.n_ctx + 1 + t], log(before / p), 2e-6);
            before = p;
        }
    }
    generated_close(&g);
}

static void test_what_a_reader_knows_of_spans(void **state) {
    (void)state;
    check_spans("n_ctx=13 vocab=2 span_min=1", 1, 6, 2, 60);
    check_spans("n_ctx=16 vocab=3 span_min=2", 2, 7, 3, 40);
    check_spans("n_ctx=22 vocab=5 span_min=3 span_max=4", 3, 4, 5, 20);
    check_spans("n_ctx=23 vocab=16", 8, 11, 16, 20);
    check_spans("n_ctx=42 vocab=76 span_min=10 span_max=20", 10, 20, 76, 5);
}

static void test_spans_pay_between_the_bounds(void **state) {
    (void)state;
    enum { N = 4000 };
    generated g;
    double mean = 0, square = 0;
    generated_open(&g, "repeat", "n_ctx=49 vocab=16 span_min=12 span_max=12", N);
    for (int64_t r = 0; r < N; r++) {
        double sum = 0;
        for (int64_t i = 1; i < g.n_ctx; i++) sum += (double)g.rows.optimum[r * g.n_ctx + i] / 48;
        mean += sum / N;
        square += sum * sum / N;
    }
    const double se = sqrt((square - mean * mean) / N);
    assert_true(mean > generated_fact(&g, "optimum_at_least") - SIGMAS * se);
    assert_true(mean < generated_fact(&g, "optimum_at_most") + SIGMAS * se);
    assert_near(generated_fact(&g, "optimum_at_least"), log(16) * 36 / 48, 1e-12);
    assert_true(isnan(rllc_synth_optimum(g.s)));
    generated_close(&g);
}

/* Long spans of large alphabets: weights of V^L neither overflow nor vanish. */
static void test_long_spans(void **state) {
    (void)state;
    generated g;
    generated_open(&g, "repeat", "n_ctx=1201 vocab=76 span_min=500 span_max=600", 2);
    for (int64_t r = 0; r < 2; r++) {
        int64_t inside = 0;
        for (int64_t i = r * 1201 + 1; i < (r + 1) * 1201; i++) {
            assert_true(isfinite(g.rows.optimum[i]) && g.rows.optimum[i] >= 0);
            inside = g.rows.labels[i] == RLLC_LABEL_INDUCTION ? inside + 1 : 0;
            if (inside > 6 && inside < 480) assert_true(g.rows.optimum[i] < 0.01f);
        }
    }
    generated_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_show_what_is_expected),
        cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_n_gram_tables),
        cmocka_unit_test(test_rows_begin_in_equilibrium),
        cmocka_unit_test(test_concentration),
        cmocka_unit_test(test_what_a_reader_knows_of_spans),
        cmocka_unit_test(test_spans_pay_between_the_bounds),
        cmocka_unit_test(test_long_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
