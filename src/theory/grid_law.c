/* Exact law of discrete SGLD on any loss of one variable, by iterating its transition on a grid. */
#include <math.h>
#include <string.h>

#include "quadrature.h"

/** Standard deviations of a step that the transition reaches; steps of the grid in one: the error of the trapezoid rule on a
 *  Gaussian of standard deviation r steps is exp(-2 pi^2 r^2), here 1e-19. */
#define REACH 8.5
#define RESOLUTION 1.5

/**
 * Backwards, with S_k the sum of the recorded losses from step k on and P the transition:                      (E65)
 *   E[S_k | w] = l + P E[S_k+1],   E[S_k^2 | w] = l^2 + 2 l P E[S_k+1] + P E[S_k+1^2],   l = L(w) - L(c) at a draw, else 0.
 * What leaves the grid is lost: P 1 < 1 there.
 */
struct grid {
    int64_t n, width; /* points; of a row of the transition */
    double low, step;
    double *loss;                                       /* [n] */
    int64_t *first;                                     /* [n] leftmost point reached */
    double *row;                                        /* [n][width] transition probabilities */
    double *first_moment, *second_moment, *stay, *next; /* [n] */
};

static rllc_status allocate(struct grid *g) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&g->loss, 5 * g->n, sizeof *g->loss));
    g->first_moment = g->loss + g->n;
    g->second_moment = g->first_moment + g->n;
    g->stay = g->second_moment + g->n;
    g->next = g->stay + g->n;
    RLLC_TRY(rllc_alloc(&g->first, g->n, sizeof *g->first));
    RLLC_TRY(rllc_alloc(&g->row, g->n * g->width, sizeof *g->row));
done:
    return status;
}

static void release(struct grid *g) {
    rllc_free(g->loss);
    rllc_free(g->first);
    rllc_free(g->row);
}

/** Half the width that a chain explores: where U has risen by 60, or the free diffusion of all its steps. */
static double reach(const rllc_sampler_options *o, const rllc_loss_1d *loss, double c, double start) {
    const double spread = sqrt(o->lr * (double)rllc_sampler_steps(o)) * 9 + 12 * o->init_noise, from = fabs(start);
    double base, value, slope, r = sqrt(o->lr);
    loss->evaluate(loss->context, c, &base, &slope);
    for (; r < spread; r *= 1.1) {
        double least = INFINITY;
        for (int side = -1; side <= 1; side += 2) {
            loss->evaluate(loss->context, c + side * r, &value, &slope);
            least = fmin(least, o->nbeta * (value - base) + o->localization * r * r / 2);
        }
        if (least > 60) break;
    }
    return r + from + REACH * sqrt(o->lr);
}

static void fill(struct grid *g, const rllc_sampler_options *o, const rllc_loss_1d *loss, double c, double noise) {
    const double variance = o->lr * o->noise_level * o->noise_level + o->lr * o->lr / 4 * o->nbeta * o->nbeta * noise;
    double base, slope;
    loss->evaluate(loss->context, c, &base, &slope);
    for (int64_t i = 0; i < g->n; i++) {
        const double w = g->low + (double)i * g->step;
        loss->evaluate(loss->context, w, &g->loss[i], &slope);
        g->loss[i] -= base;
        const double pull = o->nbeta * slope + o->localization * (w - c) + o->weight_decay * w;
        const double to = (w - o->lr / 2 * pull - g->low) / g->step;
        const double sane =
            fmax(-2.0 * (double)g->width, fmin(to, (double)(g->n + 2 * g->width))); /* far outside is outside */
        g->first[i] = (int64_t)ceil(sane - (double)(g->width - 1) / 2);
        for (int64_t k = 0; k < g->width; k++) {
            const double d = ((double)(g->first[i] + k) - sane) * g->step;
            g->row[i * g->width + k] =
                g->step * exp(-d * d / (2 * variance)) / sqrt(2 * 3.14159265358979323846 * variance);
        }
    }
}

/** x <- P x. */
static void apply(const struct grid *g, double *x) {
    for (int64_t i = 0; i < g->n; i++) {
        const double *row = g->row + i * g->width;
        const int64_t from = g->first[i] < 0 ? -g->first[i] : 0;
        const int64_t to = g->first[i] + g->width > g->n ? g->n - g->first[i] : g->width;
        double sum = 0;
        for (int64_t k = from; k < to; k++) sum += row[k] * x[g->first[i] + k];
        g->next[i] = sum;
    }
    memcpy(x, g->next, (size_t)g->n * sizeof *x);
}

static void iterate(struct grid *g, const rllc_sampler_options *o) {
    for (int64_t i = 0; i < g->n; i++) g->stay[i] = 1;
    for (int64_t step = rllc_sampler_steps(o) - 1; step >= 0; step--) {
        apply(g, g->first_moment);
        apply(g, g->second_moment);
        apply(g, g->stay);
        if (rllc_sampler_draw_at(o, step) < 0) continue;
        for (int64_t i = 0; i < g->n; i++) {
            g->second_moment[i] += g->loss[i] * (g->loss[i] + 2 * g->first_moment[i]);
            g->first_moment[i] += g->loss[i];
        }
    }
}

/** Value at the start, the middle of the grid, or its mean over the normal displacement of init_noise. */
static double at_start(const struct grid *g, const double *x, double spread) {
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < g->n; i++) {
        const double t = (double)(i - g->n / 2) * g->step;
        const double w = spread > 0 ? exp(-t * t / (2 * spread * spread)) : i == g->n / 2;
        sum += w * x[i];
        weight += w;
    }
    return sum / weight;
}

static rllc_status check(const rllc_sampler_options *o) {
    const char *sampler = o->sampler ? o->sampler : "";
    if (strcmp(sampler, "sgld") != 0 || o->bounding_box > 0 || o->noise_level <= 0)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "the transition is iterated for sgld with noise and without a bounding box");
    if (o->init_noise > 0 && o->init_noise < 2 * sqrt(o->lr) * o->noise_level)
        return rllc_fail(RLLC_EUNSUPPORTED, "the grid does not resolve an init_noise below two steps' noise");
    return RLLC_OK;
}

rllc_status rllc_grid_law(const rllc_sampler_options *o, const rllc_loss_1d *loss, double c, double start, double noise,
                          double *mean, double *variance, double *escape) {
    rllc_status status = RLLC_OK;
    struct grid g = {0};
    *mean = *variance = *escape = NAN;
    RLLC_TRY(check(o));
    noise /= (double)o->gradient_accumulation_steps;
    const double half = reach(o, loss, c, start), draws = (double)rllc_sampler_draws(o);
    const double sd = sqrt(o->lr * o->noise_level * o->noise_level + o->lr * o->lr / 4 * o->nbeta * o->nbeta * noise);
    g.step = sd / RESOLUTION;
    const double side = ceil(half / g.step);
    g.n = 2 * (int64_t)side + 1;
    g.width = 2 * (int64_t)ceil(REACH * RESOLUTION) + 1;
    g.low = c + start - side * g.step; /* the start is a point of the grid */
    if (side > 20000) {
        status = rllc_fail(RLLC_EUNSUPPORTED, "a grid for steps of %g over a range of %g would be too fine", sd, half);
        goto done;
    }
    RLLC_TRY(allocate(&g));
    fill(&g, o, loss, c, noise);
    iterate(&g, o);
    const double first = at_start(&g, g.first_moment, o->init_noise);
    const double second = at_start(&g, g.second_moment, o->init_noise);
    *escape = 1 - at_start(&g, g.stay, o->init_noise);
    *mean = o->nbeta * first / draws;
    *variance = o->nbeta * o->nbeta * (second - first * first) / draws / draws;
    if (!(*escape < 1e-9))
        status = rllc_fail(RLLC_EUNSUPPORTED,
                           "with probability %.1g the chain leaves every bounded region: the step is too long "
                           "for this loss, and the estimate has no finite mean",
                           *escape);
done:
    release(&g);
    return status;
}
