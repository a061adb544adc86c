/* Steps of every sampler on three parameters against recursions written out by hand, in double, from a noise tape. */
#include "sgmcmc/chain.h"

enum { STEPS = 12 };
static const float w0[3] = {0.25f, -0.5f, 0.125f};
static const rllc_span spans[2] = {{5, 1}, {9, 2}}; /* coordinates 5, 9 and 10 of a model */

typedef struct tape {
    double eta[STEPS + 2][3], momentum[3], uniform[STEPS + 2];
} tape;

/* The tape is read number by number from the table of definitions; the fast tables agree with it to rounding. */
static tape record(const rllc_sampler_options *o) {
    const int64_t index[3] = {5, 9, 10};
    tape t;
    for (int step = 0; step < STEPS + 2; step++) {
        const rllc_stream s = chain_noise(o, step);
        t.uniform[step] = rllc_stream_uniform(&s, (uint64_t)1 << 62);
        for (int i = 0; i < 3; i++) {
            float z;
            rllc_kernels_ref.normals(&s, (uint64_t)index[i], 1, &z);
            t.eta[step][i] = (double)z;
            rllc_kernels_ref.normals(&s, ((uint64_t)1 << 60) + (uint64_t)index[i], 1, &z);
            if (step == 0) t.momentum[i] = (double)z;
        }
    }
    return t;
}

/* What a recursion carries. */
typedef struct hand {
    double w[3], u[3], v[3], xi;
    double loss; /* of the state before the step */
    int accepted, rejected, hits;
} hand;

static double slope(const rllc_sampler_options *o, const double *w, double *total, double *g) {
    double loss = chain_quadratic_at(w, g);
    for (int i = 0; i < 3; i++)
        total[i] = o->nbeta * g[i] + o->localization * (w[i] - (double)w0[i]) + o->weight_decay * w[i];
    return loss;
}

static void walls(const rllc_sampler_options *o, hand *h) {
    for (int i = 0; o->bounding_box > 0 && i < 3; i++) {
        const double low = (double)w0[i] - o->bounding_box, high = (double)w0[i] + o->bounding_box;
        if (h->w[i] >= low && h->w[i] <= high) continue;
        h->w[i] = h->w[i] < low ? low : high;
        h->u[i] = -h->u[i];
        h->hits++;
    }
}

static void langevin(const rllc_sampler_options *o, const tape *t, int step, hand *h) {
    double total[3], g[3];
    const bool average = strcmp(o->sampler, "sgld-lm") == 0;
    h->loss = slope(o, h->w, total, g);
    for (int i = 0; i < 3; i++) {
        const double eta = average ? (t->eta[step][i] + t->eta[step + 1][i]) / 2 : t->eta[step][i];
        h->w[i] += -o->lr / 2 * total[i] + sqrt(o->lr) * o->noise_level * eta;
    }
    walls(o, h);
}

static void momentum(const rllc_sampler_options *o, const tape *t, int step, hand *h) {
    double total[3], g[3], square = 0;
    const bool thermostat = strcmp(o->sampler, "sgnht") == 0;
    const double A = thermostat ? o->diffusion_factor : o->momentum_decay;
    const double temperature = o->noise_level * o->noise_level;
    h->loss = slope(o, h->w, total, g);
    if (step == 0) h->xi = A;
    for (int i = 0; i < 3; i++) {
        if (step == 0) h->u[i] = thermostat ? sqrt(o->lr / 2 * temperature) * t->momentum[i] : 0;
        h->u[i] = (1 - h->xi) * h->u[i] - o->lr / 2 * total[i] + sqrt(o->lr * A * temperature) * t->eta[step][i];
        h->w[i] += h->u[i];
        square += h->u[i] * h->u[i] / 3;
    }
    if (thermostat) h->xi += square - o->lr / 2 * temperature;
    walls(o, h);
}

static void rmsprop(const rllc_sampler_options *o, const tape *t, int step, hand *h) {
    double total[3], g[3];
    const bool corrected = o->rmsprop_variant == 1;
    const int updates = o->rmsprop_freeze && step >= o->num_burnin_steps ? (int)o->num_burnin_steps : step + 1;
    const double eps = o->rmsprop_eps > 0 ? o->rmsprop_eps : corrected ? 1e-8 : 0.1;
    h->loss = slope(o, h->w, total, g);
    for (int i = 0; i < 3; i++) {
        if (step == 0) h->v[i] = corrected ? 1 : 0;
        if (updates == step + 1) h->v[i] = o->rmsprop_alpha * h->v[i] + (1 - o->rmsprop_alpha) * g[i] * g[i];
        const double bias = corrected ? 1 - pow(o->rmsprop_alpha, updates) : 1;
        const double G = 1 / (sqrt(h->v[i] / bias) + eps);
        h->w[i] += -o->lr / 2 * G * total[i] + sqrt(o->lr * G) * o->noise_level * t->eta[step][i];
    }
    walls(o, h);
}

/* A whole transition: the library shows its proposal after step `step`, and decides on it at step + 1. */
static double total_energy(const rllc_sampler_options *o, const double *w, const double *p) {
    double g[3], energy = o->nbeta * chain_quadratic_at(w, g);
    for (int i = 0; i < 3; i++)
        energy += 0.5 * p[i] * p[i] + 0.5 * o->localization * (w[i] - (double)w0[i]) * (w[i] - (double)w0[i]) +
                  0.5 * o->weight_decay * w[i] * w[i];
    return energy;
}

static void metropolis(const rllc_sampler_options *o, const tape *t, int step, hand *h, double *proposal) {
    double total[3], g[3], p[3], w[3];
    const int64_t n = strcmp(o->sampler, "hmc") == 0 ? o->num_leapfrog_steps : 1;
    const double time = sqrt(o->lr);
    bool inside = true;
    h->loss = slope(o, h->w, total, g);
    memcpy(w, h->w, sizeof w);
    memcpy(p, t->eta[step], sizeof p);
    const double before = total_energy(o, w, p);
    for (int64_t k = 0; k < n; k++) {
        slope(o, w, total, g);
        for (int i = 0; i < 3; i++) p[i] -= time / 2 * total[i], w[i] += time * p[i];
        slope(o, w, total, g);
        for (int i = 0; i < 3; i++) p[i] -= time / 2 * total[i];
    }
    memcpy(proposal, w, sizeof w);
    for (int i = 0; o->bounding_box > 0 && i < 3; i++) inside = inside && fabs(w[i] - (double)w0[i]) <= o->bounding_box;
    if (!inside) h->hits++;
    if (inside && t->uniform[step + 1] < exp(before - total_energy(o, w, p))) {
        memcpy(h->w, w, sizeof w);
        h->accepted++;
    } else {
        h->rejected++;
    }
}

/* Rounding: float weights below 1 (2^-25 each time one is stored), twelve steps, and noise terms of three roundings. */
static const double tolerance = STEPS * 1.2e-7;

static hand compare(rllc_sampler_options o) {
    chain c = chain_make(&o, chain_quadratic, 3, w0, spans, 2);
    const tape t = record(&o);
    const bool exact = rllc_sampler_find(o.sampler)->exact;
    hand h = {.w = {(double)w0[0], (double)w0[1], (double)w0[2]}};
    for (int step = 0; step < STEPS; step++) {
        double proposal[3];
        if (exact) metropolis(&o, &t, step, &h, proposal);
        else if (strncmp(o.sampler, "sgld", 4) == 0) langevin(&o, &t, step, &h);
        else if (strncmp(o.sampler, "rmsprop", 7) == 0) rmsprop(&o, &t, step, &h);
        else momentum(&o, &t, step, &h);
        chain_step(&c);
        assert_true(fabs(c.loss - h.loss) <= 10 * tolerance);
        for (int i = 0; i < 3; i++) assert_true(fabs((double)c.s.w[i] - (exact ? proposal[i] : h.w[i])) <= tolerance);
    }
    if (strcmp(o.sampler, "sgnht") == 0) assert_true(fabs(c.s.scalar[0] - h.xi) <= tolerance);
    if (exact) { /* the last proposal of the hand is decided already, the library's is not */
        const double reported = rllc_sampler_find(o.sampler)->acceptance(&o, &c.s) * (STEPS - 1);
        assert_true(reported >= h.accepted - 1 - 1e-9 && reported <= h.accepted + 1e-9);
        assert_true(isnan(c.s.noise_norm));
    } else {
        assert_true(c.s.noise_norm >= 0);
    }
    chain_release(&c);
    return h;
}

static rllc_sampler_options options(const char *sampler) {
    rllc_sampler_options o = chain_options(sampler);
    o.lr = 0.01;
    o.localization = 20;
    o.weight_decay = 3;
    if (!rllc_sampler_find(sampler)->exact) o.noise_level = 0.7;
    return o;
}

static void test_every_sampler_is_its_recursion(void **state) {
    (void)state;
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    assert_int_equal(n, 7);
    for (int k = 0; k < n; k++) {
        rllc_sampler_options o = options(kinds[k]->name);
        hand h = compare(o);
        printf("    %s", o.sampler);
        o.bounding_box = 0.05; /* most steps meet a wall */
        h = compare(o);
        assert_true(h.hits > 0);
        printf(": %d meetings with the box\n", h.hits);
    }
}

static void test_rmsprop_variants_and_freeze(void **state) {
    (void)state;
    for (int variant = 0; variant < 2; variant++)
        for (int freeze = 0; freeze < 2; freeze++) {
            rllc_sampler_options o = options("rmsprop-sgld");
            o.lr = 2e-4; /* a frozen G may be near 1 / eps: lr a G stays below 1, and rounding is not amplified */
            o.rmsprop_variant = variant;
            o.rmsprop_freeze = freeze == 1;
            o.num_burnin_steps = freeze == 1 ? 4 : 0;
            compare(o);
            o.rmsprop_eps = 0.3;
            o.rmsprop_alpha = 0.5;
            compare(o);
        }
    rllc_sampler_options o = options("rmsprop-sgld");
    o.rmsprop_alpha = 0;
    o.lr = 2e-4;
    compare(o);
}

static void test_momentum_and_leapfrog_options(void **state) {
    (void)state;
    rllc_sampler_options o = options("sghmc");
    o.momentum_decay = 0.6;
    compare(o);
    o = options("sgnht");
    o.diffusion_factor = 0.4;
    compare(o);
    o = options("hmc");
    for (int64_t steps = 1; steps < 4; steps++) {
        o.num_leapfrog_steps = steps;
        compare(o);
    }
}

/* Steps large enough that both things happen. */
static void test_metropolis_accepts_and_rejects(void **state) {
    (void)state;
    int accepted = 0, rejected = 0;
    for (uint64_t seed = 1; seed < 9; seed++)
        for (int k = 0; k < 2; k++) {
            rllc_sampler_options o = options(k == 0 ? "mala" : "hmc");
            o.seed = seed;
            o.lr = 0.025;
            if (k == 1) o.num_leapfrog_steps = 2;
            hand h = compare(o);
            accepted += h.accepted;
            rejected += h.rejected;
        }
    printf("    %d accepted, %d rejected\n", accepted, rejected);
    assert_true(accepted > 30 && rejected > 30);
}

/* Without noise the stochastic rules are deterministic, and the norm of the noise is 0. */
static void test_without_noise(void **state) {
    (void)state;
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int k = 0; k < n; k++) {
        if (kinds[k]->exact) continue;
        rllc_sampler_options o = options(kinds[k]->name);
        o.noise_level = 0;
        compare(o);
        chain c = chain_make(&o, chain_quadratic, 3, w0, spans, 2);
        chain_step(&c);
        assert_true(c.s.noise_norm == 0);
        chain_release(&c);
    }
}

/* The norm that a step reports is that of what it added: with no force, the way from w to w'. */
static double flat(int64_t dim, const float *w, float *gradient) {
    (void)w;
    memset(gradient, 0, (size_t)dim * sizeof *gradient);
    return 1;
}

static void test_norm_of_the_noise_is_the_way(void **state) {
    (void)state;
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int k = 0; k < n; k++) {
        if (kinds[k]->exact || strcmp(kinds[k]->name, "sgnht") == 0) continue; /* sgnht has a momentum to begin with */
        rllc_sampler_options o = chain_options(kinds[k]->name);
        o.noise_level = 1.5;
        o.localization = 0;
        chain c = chain_make(&o, flat, 3, w0, spans, 2);
        double way = 0;
        chain_step(&c);
        for (int i = 0; i < 3; i++) way += pow((double)c.s.w[i] - (double)w0[i], 2);
        assert_true(sqrt(way) > 0 && fabs(c.s.noise_norm - sqrt(way)) < 1e-6);
        chain_release(&c);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sampler_is_its_recursion),
        cmocka_unit_test(test_rmsprop_variants_and_freeze),
        cmocka_unit_test(test_momentum_and_leapfrog_options),
        cmocka_unit_test(test_metropolis_accepts_and_rejects),
        cmocka_unit_test(test_without_noise),
        cmocka_unit_test(test_norm_of_the_noise_is_the_way),
    };
    return cmocka_run_group_tests_name("samplers by hand", tests, NULL, NULL);
}
