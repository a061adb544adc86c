/* The bias budget: what each imperfection adds to an estimate on a quadratic of measured curvature (E40-E46). */
#include <math.h>
#include <string.h>

#include "rllc/theory.h"

/** Eigenvalues nearer to zero than this share of the largest are rounding of float gradients: they count as zero. */
static const double FLAT = 1e-6;

/** The settings of a chain that is a linear recursion on each eigenvector, and the steps that it records. */
typedef struct law {
    double lr, nbeta, pull;  /* pull: localization + weight_decay */
    double temperature;      /* noise_level^2 */
    double start;            /* init_noise^2 */
    bool averaged;           /* sgld-lm: a normal enters its own step and the next by half */
    double batches;          /* minibatches a step: their noise is C / batches */
    double first, stride, n; /* recorded steps: first + k stride, k < n */
} law;

/** Means over the recorded steps t of (1 - rho^t) / x, its square, (1 - rho^2t) / x, and for sgld-lm (1 - rho^(2t-1)) /
 * x with 0 for t = 0; x = lr a, rho = 1 - x / 2. All are finite at x = 0. */
typedef struct approach {
    double once, once_square, twice, averaged;
} approach;

static double power_of(double rho, double t) { /* pow(0, 0) = 1 is wanted */
    return pow(rho, t);
}

/** Mean of rho^(first + k stride) over k < n, as a geometric sum. */
static double mean_power(double rho, double first, double stride, double n) {
    const double r = power_of(rho, stride);
    return r == 1 ? power_of(rho, first) : power_of(rho, first) * (1 - power_of(r, n)) / (n * (1 - r));
}

/** Term by term, where the geometric sums would lose digits: (1 - rho^t) / x to rounding for small x t. */
static approach approach_slowly(const law *l, double x) {
    approach a = {0};
    const double rate = log1p(-x / 2);
    for (double k = 0; k < l->n; k++) {
        const double t = l->first + k * l->stride;
        const double once = x == 0 ? t / 2 : -expm1(t * rate) / x;
        a.once += once / l->n;
        a.once_square += once * once / l->n;
        a.twice += (x == 0 ? t : -expm1(2 * t * rate) / x) / l->n;
        if (t > 0) a.averaged += (x == 0 ? t - 0.5 : -expm1((2 * t - 1) * rate) / x) / l->n;
    }
    return a;
}

static approach approach_of(const law *l, double x) {
    const double rho = 1 - x / 2, last = l->first + l->stride * (l->n - 1);
    if (fabs(x) * (last + 1) < 0.01) return approach_slowly(l, x);
    const double skip = l->first == 0 ? 1 : 0, from = l->first + skip * l->stride; /* of 2t - 1 */
    const double once = mean_power(rho, l->first, l->stride, l->n);
    const double twice = mean_power(rho, 2 * l->first, 2 * l->stride, l->n);
    approach a = {.once = (1 - once) / x, .once_square = (1 - 2 * once + twice) / (x * x), .twice = (1 - twice) / x};
    if (l->n > skip)
        a.averaged = (1 - mean_power(rho, 2 * from - 1, 2 * l->stride, l->n - skip)) * (l->n - skip) / (x * l->n);
    return a;
}

static bool make_law(const rllc_sampler_options *o, law *l) {
    const bool lm = strcmp(o->sampler, "sgld-lm") == 0, every = o->compat == RLLC_COMPAT_DEVINTERP2;
    *l = (law){.lr = o->lr,
               .nbeta = o->nbeta,
               .pull = o->localization + o->weight_decay,
               .temperature = o->noise_level * o->noise_level,
               .start = o->init_noise * o->init_noise,
               .averaged = lm,
               .batches = (double)o->gradient_accumulation_steps,
               .n = (double)rllc_sampler_draws(o)};
    l->stride = every ? 1 : (double)o->num_steps_bw_draws;
    l->first = every ? 0 : (double)(o->num_burnin_steps + o->num_steps_bw_draws - 1);
    return lm || strcmp(o->sampler, "sgld") == 0;
}

/* ---- one eigenvalue -------------------------------------------------------------------------------------------- */

/** Per unit of weight: of the spectrum, of the minibatch noise, of the squared gradient. */
typedef struct shares {
    double f, step, noise, drift;           /* equilibrium */
    double by_spectrum, by_noise, by_drift; /* the recorded draws */
} shares;

/** Equilibrium terms; f = 0 for a flat direction even without localization. */
static void equilibrium(const law *l, double h, shares *s) {
    const double a = l->nbeta * h + l->pull, heat = 1 - l->lr * a / 4;
    s->f = h == 0 ? 0 : l->nbeta * h / a;
    s->step = l->averaged ? s->f * (l->temperature - 1) : s->f * (l->temperature / heat - 1);
    s->noise = l->lr * l->nbeta * l->nbeta / 8 * s->f / heat / l->batches;
    s->drift = a == 0 ? -INFINITY : -l->nbeta * l->nbeta * (1 / a - l->nbeta * h / (2 * a * a));
}

/** nbeta (g u + h u^2 / 2) in the mean over the recorded steps: u has mean -nbeta g (1 - rho^t) / a and a variance from
 *  the chain's own noise, the minibatches' and the start. */
static void recorded(const law *l, double h, shares *s) {
    const double x = l->lr * (l->nbeta * h + l->pull), half = l->nbeta * h / 2, kick = l->lr * l->nbeta;
    const approach a = approach_of(l, x);
    const double own = l->averaged ? a.averaged : a.twice / (1 - x / 4);
    s->by_spectrum = half * (l->temperature * l->lr * own + l->start * (1 - x * a.twice));
    s->by_noise = half * kick * kick / 4 * a.twice / (1 - x / 4) / l->batches;
    s->by_drift = l->nbeta * (-kick * a.once + h / 2 * kick * kick * a.once_square);
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

typedef struct sums {
    const law *law;
    double flat;   /* |h| up to here is zero */
    double lowest; /* the smallest a of a direction that is not flat */
    bool unstable; /* some lr a >= 4 */
    double expected;
} sums;

static double cleaned(const sums *s, double h) {
    return fabs(h) <= s->flat ? 0 : h;
}

static void add_spectrum(sums *s, const rllc_quadrature *q, rllc_bias_budget *b) {
    for (int64_t k = 0; k < q->n; k++) {
        const double h = cleaned(s, q->node[k]), w = q->weight[k], a = s->law->nbeta * h + s->law->pull;
        shares e = {0};
        equilibrium(s->law, h, &e);
        recorded(s->law, h, &e);
        b->complexity += w * e.f / 2;
        b->step += w * e.step / 2;
        if (h > 0) b->localization -= w * s->law->pull / a / 2;
        if (h > 0) b->soft_count += w * e.f;
        s->expected += w * e.by_spectrum;
        if (h != 0) s->lowest = fmin(s->lowest, a);
        s->unstable |= s->law->lr * a >= 4;
    }
}

/** sign 1: the gradient's quadrature; sign -1: its own noise in it, C / batches. */
static void add_drift(sums *s, const rllc_quadrature *q, double factor, rllc_bias_budget *b) {
    for (int64_t k = 0; k < q->n; k++) {
        const double w = factor * q->weight[k];
        shares e = {0};
        if (w == 0) continue;
        equilibrium(s->law, cleaned(s, q->node[k]), &e);
        recorded(s->law, cleaned(s, q->node[k]), &e);
        b->drift += w * e.drift;
        s->expected += w * e.by_drift;
    }
}

static void add_noise(sums *s, const rllc_quadrature *q, rllc_bias_budget *b) {
    for (int64_t k = 0; k < q->n; k++) {
        shares e = {0};
        if (q->weight[k] == 0) continue;
        equilibrium(s->law, cleaned(s, q->node[k]), &e);
        recorded(s->law, cleaned(s, q->node[k]), &e);
        b->noise += q->weight[k] * e.noise;
        s->expected += q->weight[k] * e.by_noise;
    }
}

/** A sampler without a closed form here: what does not depend on how the target is sampled. */
static void target_only(const rllc_sampler_options *o, rllc_bias_budget *b) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    b->transient = b->expected = b->lr_max = NAN;
    b->step = b->noise = kind && kind->exact ? 0 : NAN;
    b->reason =
        rllc_intern_printf("%s has no closed form for its finite step and its approach to equilibrium", o->sampler);
}

/** Settings and curvatures for which the sums are not the answer. */
static void limits(const rllc_sampler_options *o, const sums *s, rllc_bias_budget *b) {
    if (s->lowest <= 0) {
        b->complexity = b->step = b->noise = b->transient = b->localization = b->drift = NAN;
        b->reason =
            rllc_intern_printf("the quadratic has no equilibrium: nbeta h + localization = %.3g in one direction; "
                               "raise localization by more than that, or lower nbeta",
                               s->lowest);
    }
    if (s->unstable) {
        b->step = b->expected = INFINITY;
        b->noise = b->noise == 0 ? 0 : INFINITY;
        b->transient = NAN;
        b->reason = rllc_intern_printf("lr %g is not below %.4g: the chain diverges along the largest curvature", o->lr,
                                       b->lr_max);
    }
    if (o->weight_decay != 0) {
        b->drift = b->transient = b->expected = NAN;
        b->reason = "weight_decay pulls to 0, not to w*: the drift that it adds is not measured";
    }
    if (o->bounding_box > 0) {
        b->transient = b->expected = NAN;
        b->reason = "a chain clamped to a bounding box has no closed form";
    }
}

void rllc_bias_budget_make(const rllc_curvature *c, const rllc_sampler_options *o, rllc_bias_budget *out) {
    law l;
    const bool linear = make_law(o, &l);
    sums s = {.law = &l, .flat = FLAT * fmax(fabs(c->top), fabs(c->bottom)), .lowest = INFINITY};
    const double square = fmax(c->gradient_square, 0), most = l.nbeta * c->top + l.pull;
    *out = (rllc_bias_budget){.reason = ""};
    add_spectrum(&s, &c->spectrum, out);
    add_noise(&s, &c->noise, out);
    add_drift(&s, &c->drift, 1, out);
    add_drift(&s, &c->noise, c->batches > 0 ? -1 / (double)c->batches : 0, out);
    out->negative = square == 0 ? 0 : l.nbeta * l.nbeta * square / o->localization;
    out->lr_max = most > 0 ? 4 / most : INFINITY;
    out->expected = s.expected;
    out->transient = s.expected - (out->complexity + out->step + out->noise + out->drift);
    if (!linear) {
        target_only(o, out);
        if (s.lowest > 0) return;
    }
    limits(o, &s, out);
    if (!linear) out->expected = NAN;
}

void rllc_curvature_release(rllc_curvature *c) {
    rllc_quadrature_release(&c->spectrum);
    rllc_quadrature_release(&c->noise);
    rllc_quadrature_release(&c->drift);
    *c = (rllc_curvature){0};
}
