/*
 * Weight-refined and data-refined coefficients of a quadratic with any Hessian, against the exact recursion of mean and
 * covariance. Restricting the weights restricts the Hessian to its principal block; a gradient at w* (other data than
 * the model was trained on) makes the coefficient legitimately negative; gradient noise heats every mode.
 */
#include "theory/theory.h"

enum { D = 8 };

/* ---- the potential L(w* + u) = g.u + u.H u / 2, members free on subsets, with gradient noise ---------------- */

typedef struct dense {
    rllc_potential base;
    double h[D][D], g[D];
    double gradient_noise; /* variance of each coordinate's minibatch gradient */
    int64_t step;
    rllc_potential_member member;
} dense;

static rllc_status dense_prepare(rllc_potential *p, int64_t stream, int64_t step) {
    (void)stream;
    ((dense *)p)->step = step;
    return RLLC_OK;
}

static int64_t coordinate(const rllc_potential_member *m, int64_t i) {
    int64_t s = 0;
    for (; i >= m->spans[s].n; s++) i -= m->spans[s].n;
    return m->spans[s].first + i;
}

static rllc_status dense_loss(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w, double *loss,
                              float *const *gradient, double *baseline) {
    const dense *q = (const dense *)p;
    for (int64_t k = 0; k < n; k++) {
        const rllc_potential_member *m = &p->members[members[k]];
        rllc_stream s = rllc_stream_make(77, "gradient noise", (uint32_t)members[k], (uint32_t)q->step);
        loss[k] = 0;
        for (int64_t i = 0; i < m->dim; i++) {
            double hu = 0, u = (double)w[k][i] - (double)m->w0[i];
            const int64_t row = coordinate(m, i);
            for (int64_t j = 0; j < m->dim; j++)
                hu += q->h[row][coordinate(m, j)] * ((double)w[k][j] - (double)m->w0[j]);
            loss[k] += u * (q->g[row] + hu / 2);
            double radius = sqrt(-2 * log(rllc_stream_uniform(&s, (uint64_t)(2 * i))));
            double normal = radius * cos(2 * acos(-1) * rllc_stream_uniform(&s, (uint64_t)(2 * i + 1)));
            if (gradient[k] != NULL) gradient[k][i] = (float)(q->g[row] + hu + sqrt(q->gradient_noise) * normal);
        }
    }
    *baseline = 0;
    return RLLC_OK;
}

static void dense_free(rllc_potential *p) {
    (void)p; /* lives on the stack */
}

static const rllc_potential_kind dense_kind = {"dense", dense_prepare, dense_loss, dense_free};

/* ---- exact moments ----------------------------------------------------------------------------------------- */

typedef struct matrix {
    double at[D][D];
} matrix;

static matrix times(int n, const matrix *a, const matrix *b, bool transpose_b) {
    matrix c = {{{0}}};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int k = 0; k < n; k++) c.at[i][j] += a->at[i][k] * (transpose_b ? b->at[j][k] : b->at[k][j]);
    return c;
}

static double trace(int n, const matrix *a) {
    double t = 0;
    for (int i = 0; i < n; i++) t += a->at[i][i];
    return t;
}

/*
 * u' = R u - lr nbeta g / 2 + noise, R = 1 - lr (nbeta H + gamma) / 2: with m = E u, P = Cov u,
 *   m' = R m - lr nbeta g / 2,  P' = R P R^T + (lr + (lr nbeta / 2)^2 C) 1,  Cov(u_{t+s}, u_t) = R^s P_t.
 * For f(u) = g.u + u.Hu/2:  E f = g.m + m.Hm/2 + tr(HP)/2,
 *   Cov(f_t, f_{t+s}) = tr(H K H K^T)/2 + (g + H m_{t+s}).K (g + H m_t),  K = R^s P_t.
 */
typedef struct recursion {
    int n;
    matrix h, r;
    double g[D];
} recursion;

static theory_exact exact(const rllc_sampler_options *o, const recursion *x, double gradient_noise) {
    const int n = x->n;
    const int64_t draws = o->num_draws, last = rllc_sampler_steps(o);
    const double push = o->lr * o->nbeta / 2, heat = o->lr + push * push * gradient_noise;
    int64_t *at = theory_steps(o), found = 0;
    matrix *p = test_memory(draws, sizeof *p), now = {{{0}}};
    double(*slope)[D] = test_memory(draws, sizeof *slope), m[D] = {0}, sum = 0, squares = 0;
    for (int64_t t = 0; t < last && found < draws; t++) { /* moments before the update of step t */
        if (t == at[found]) {
            double f = 0;
            for (int i = 0; i < n; i++) {
                double hm = 0;
                for (int j = 0; j < n; j++) hm += x->h.at[i][j] * m[j];
                slope[found][i] = x->g[i] + hm;
                f += m[i] * (x->g[i] + hm / 2);
            }
            matrix hp = times(n, &x->h, &now, false);
            sum += (f + trace(n, &hp) / 2) / (double)draws;
            p[found++] = now;
        }
        matrix rp = times(n, &x->r, &now, false);
        now = times(n, &rp, &x->r, true);
        double next[D] = {0};
        for (int i = 0; i < n; i++) {
            now.at[i][i] += heat;
            for (int j = 0; j < n; j++) next[i] += x->r.at[i][j] * m[j];
            next[i] -= push * x->g[i];
        }
        memcpy(m, next, sizeof m);
    }
    for (int64_t k = 0; k < draws; k++) {
        matrix between = p[k];
        for (int64_t l = k; l < draws; l++) {
            for (int64_t s = l > k ? at[l] - at[l - 1] : 0; s > 0; s--) between = times(n, &x->r, &between, false);
            matrix hk = times(n, &x->h, &between, false), hkt = times(n, &x->h, &between, true);
            matrix product = times(n, &hk, &hkt, false);
            double covariance = trace(n, &product) / 2;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) covariance += slope[l][i] * between.at[i][j] * slope[k][j];
            squares += (l == k ? 1 : 2) * covariance / ((double)draws * (double)draws);
        }
    }
    free(at);
    free(p);
    free(slope);
    return (theory_exact){o->nbeta * sum, o->nbeta * sqrt(squares)};
}

static recursion restricted(const dense *q, const rllc_sampler_options *o, const rllc_potential_member *m) {
    recursion x = {.n = (int)m->dim};
    for (int i = 0; i < x.n; i++) {
        x.g[i] = q->g[coordinate(m, i)];
        for (int j = 0; j < x.n; j++) {
            x.h.at[i][j] = q->h[coordinate(m, i)][coordinate(m, j)];
            x.r.at[i][j] = (i == j) - o->lr / 2 * (o->nbeta * x.h.at[i][j] + (i == j) * o->localization);
        }
    }
    return x;
}

/* ---- tests -------------------------------------------------------------------------------------------------- */

/* A fixed positive definite H with strong coupling, eigenvalues from about 0.01 to 3. */
static void setup(dense *q) {
    double b[D][D];
    *q = (dense){.base = {.kind = &dense_kind}};
    rllc_stream s = rllc_stream_make(17, "hessian", 0, 0);
    for (int i = 0; i < D * D; i++) b[i / D][i % D] = 2 * rllc_stream_uniform(&s, (uint64_t)i) - 1;
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            for (int k = 0; k < D; k++) q->h[i][j] += b[i][k] * b[j][k] / 2;
}

static rllc_sampler_options settings(int64_t draws) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.nbeta = 100;
    o.localization = 20;
    o.lr = 1e-3;
    o.num_draws = draws;
    return o;
}

static double run_subset(dense *q, const char *what, rllc_sampler_options o, const rllc_span *spans, int64_t n_spans,
                         int64_t chains) {
    o.seed = theory_seed(what);
    float w0[D];
    int64_t dim = 0;
    for (int64_t i = 0; i < n_spans; i++) dim += spans[i].n;
    for (int i = 0; i < D; i++) w0[i] = 0.25f * (float)i; /* where the checkpoint lies must not matter */
    rllc_potential_member *members = test_memory(chains, sizeof *members);
    for (int64_t i = 0; i < chains; i++) members[i] = (rllc_potential_member){dim, w0, spans, n_spans};
    q->base.members = members;
    q->base.n_members = chains;
    conformance_run run = conformance_sample(&q->base, &o, chains, NULL, NULL);
    recursion x = restricted(q, &o, &members[0]);
    theory_check(what, &run, o.nbeta, exact(&o, &x, q->gradient_noise));
    double mean = conformance_estimate(&run, o.nbeta, NULL).llc_mean;
    conformance_run_release(&run);
    free(members);
    return mean;
}

static const rllc_span all[] = {{0, 8}}, first[] = {{0, 4}}, last[] = {{4, 4}}, one[] = {{2, 1}},
                       scattered[] = {{0, 1}, {3, 1}, {5, 2}};

static void test_two_derivations_agree(void **state) {
    (void)state;
    /* one coordinate, no coupling: the closed form of an AR(1) process, long chain, no burn-in */
    dense q;
    setup(&q);
    memset(q.h, 0, sizeof q.h);
    q.h[2][2] = 1.5;
    rllc_sampler_options o = settings(300);
    const rllc_potential_member m = {1, NULL, one, 1};
    recursion x = restricted(&q, &o, &m);
    const double a = o.nbeta * 1.5 + o.localization, rho2 = pow(1 - o.lr * a / 2, 2);
    const double expected = o.nbeta * 1.5 / (2 * a * (1 - o.lr * a / 4)) *
                            (1 - (1 - pow(rho2, 300)) / (300 * (1 - rho2)));
    assert_true(fabs(exact(&o, &x, 0).mean - expected) <= 1e-12);
}

static void test_weight_refinement_takes_the_principal_block(void **state) {
    (void)state;
    dense q;
    setup(&q);
    rllc_sampler_options o = settings(150);
    double whole = run_subset(&q, "all coordinates", o, all, 1, 500);
    double a = run_subset(&q, "the first four", o, first, 1, 500);
    double b = run_subset(&q, "the last four", o, last, 1, 500);
    run_subset(&q, "one", o, one, 1, 500);
    run_subset(&q, "scattered", o, scattered, 3, 500);
    assert_true(a + b > whole); /* pinching: blocks cannot count less than the whole, equal only if uncoupled */
}

static void test_data_refinement_adds_a_gradient(void **state) {
    (void)state;
    dense q;
    setup(&q);
    for (int i = 0; i < D; i++) q.g[i] = 0.3 * sin(1.7 * i + 0.4);
    rllc_sampler_options o = settings(150);
    assert_true(run_subset(&q, "all coordinates, gradient", o, all, 1, 500) < 0);
    run_subset(&q, "the first four, gradient", o, first, 1, 500);
    run_subset(&q, "scattered, gradient", o, scattered, 3, 500);
    o.num_draws = 10;
    run_subset(&q, "all coordinates, gradient, 10 draws", o, all, 1, 3000);
}

/* Noise of the minibatch gradient enters as nbeta lr / 2 times itself, once. */
static void test_gradient_noise_heats(void **state) {
    (void)state;
    dense q;
    setup(&q);
    rllc_sampler_options o = settings(100);
    o.num_burnin_steps = 30;
    o.num_steps_bw_draws = 2;
    double cold = run_subset(&q, "without gradient noise", o, all, 1, 500);
    q.gradient_noise = 0.5;
    double hot = run_subset(&q, "gradient noise of variance 0.5", o, all, 1, 500);
    assert_true(hot > 1.5 * cold);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_derivations_agree),
        cmocka_unit_test(test_weight_refinement_takes_the_principal_block),
        cmocka_unit_test(test_data_refinement_adds_a_gradient),
        cmocka_unit_test(test_gradient_noise_heats),
    };
    return cmocka_run_group_tests_name("refined", tests, NULL, NULL);
}
