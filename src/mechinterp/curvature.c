/* Second-order measures of a component: one Lanczos run a probe says all of the Hessian; Fisher traces beside it. */
#include "mechinterp/curvature.h"

#include <math.h>
#include <string.h>

#define OPTION(...) RLLC_OPTION(rllc_curvature_options, __VA_ARGS__)

static const rllc_option options[] = {
    OPTION(hessian_rows, RLLC_INTEGER, "32", 1, 1e9, NULL, "sequences", "batch that curvature is measured on"),
    OPTION(hessian_probes, RLLC_INTEGER, "4", 2, 1e6, NULL, "vectors", "random probes of the Hessian"),
    OPTION(hessian_steps, RLLC_INTEGER, "40", 1, 1e4, NULL, "products", "Lanczos steps a probe"),
    OPTION(hessian_eigenvalues, RLLC_INTEGER, "5", 0, 1e4, NULL, "",
           "largest eigenvalues to report, at most hessian_steps"),
    OPTION(hessian_threshold, RLLC_REAL, "1e-3", 0, 1e300, NULL, "", "eigenvalues above it in size are counted"),
    OPTION(hessian_fraction, RLLC_REAL, "1e-2", 0, 1, NULL, "", "the same relative to the largest eigenvalue in size"),
    OPTION(hessian_points, RLLC_INTEGER, "201", 2, 1e6, NULL, "", "points of the spectral density"),
    OPTION(hessian_width, RLLC_REAL, "0.01", 1e-9, 1, NULL, "",
           "its Gaussians' standard deviation, as a share of the spectrum's range"),
    OPTION(fisher_tokens, RLLC_INTEGER, "4", 0, 1e9, NULL, "predictions",
           "predictions of each sequence behind the Fisher traces; 0: not measured"),
    OPTION(hessian_seed, RLLC_SEED, "0", RLLC_UNBOUNDED, NULL, "", "seed of probes, positions and labels"),
};

const rllc_option_table rllc_curvature_option_table = {"curvature", "second-order measures of components", options,
                                                       sizeof options / sizeof options[0]};

enum { ROUND_BYTES = 512 << 20 }; /* memory of the probes that advance together */

typedef struct measurement {
    const rllc_model *m;
    rllc_engine *e;
    const rllc_component *c;
    const int32_t *tokens;
    int64_t rows;
    const rllc_curvature_options *o;
    const rllc_monitor *monitor;
    double done;            /* products */
    rllc_quadrature *found; /* [probes] */
} measurement;

static int64_t probes_at_once(const rllc_curvature_options *o, int64_t dim) {
    const int64_t most = ROUND_BYTES / (dim * (o->hessian_steps + 3) * (int64_t)sizeof(float));
    return most < 1 ? 1 : most < o->hessian_probes ? most : o->hessian_probes;
}

double rllc_component_curvature_cost(const rllc_curvature_options *o, int64_t dim) {
    const double probes = (double)o->hessian_probes, steps = (double)(o->hessian_steps < dim ? o->hessian_steps : dim);
    const double rounds = ceil(probes / (double)probes_at_once(o, dim));
    return 1 + steps * (rounds + 2 * probes) + 5.0 / 6 * (double)o->fisher_tokens;
}

static rllc_status check(const measurement *s) {
    const rllc_curvature_options *o = s->o;
    if (o->hessian_probes < 2 || o->hessian_steps < 1 || o->hessian_points < 2 || !(o->hessian_width > 0))
        return rllc_fail(
            RLLC_EUSAGE,
            "curvature with %lld probes, %lld steps, %lld points and width %g; expected at least 2, 1, 2 and "
            "more than 0",
            (long long)o->hessian_probes, (long long)o->hessian_steps, (long long)o->hessian_points, o->hessian_width);
    if (o->hessian_eigenvalues < 0 || o->hessian_eigenvalues > o->hessian_steps)
        return rllc_fail(RLLC_EUSAGE, "hessian_eigenvalues is %lld, but %lld Lanczos steps find no more than that many",
                         (long long)o->hessian_eigenvalues, (long long)o->hessian_steps);
    return s->c->size > 0 ? RLLC_OK : rllc_fail(RLLC_EUSAGE, "component '%s' moves nothing", s->c->name);
}

/* ---- spectrum -------------------------------------------------------------------------------------------------------
 */

/** y[i] = H x[i]. An rllc_operator. */
static rllc_status multiply(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    measurement *s = context;
    (void)which;
    if (rllc_should_stop(s->monitor)) return rllc_fail(RLLC_ESTOPPED, "measuring curvature stopped");
    const rllc_status status = rllc_engine_hessian(s->e, s->m->weights, s->tokens, s->rows, s->c, n, x, y, NULL, NULL);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(rllc_kernels_get()->sum_squares(s->c->size, y[i])))
            return rllc_fail(RLLC_ENOTFINITE, "a product with the Hessian of '%s' is not finite", s->c->name);
    s->done += (double)n;
    rllc_report_progress(s->monitor, "curvature", "product", s->done,
                         (double)(s->o->hessian_probes * s->o->hessian_steps), "%s", s->c->name);
    return RLLC_OK;
}

/** Probes first .. first+n-1 through Lanczos. */
static rllc_status run_round(measurement *s, int64_t first, int64_t n) {
    rllc_status status = RLLC_OK;
    int64_t *dim = NULL;
    const float **start = NULL;
    float *memory = NULL;
    RLLC_TRY(rllc_alloc(&memory, n * s->c->size, sizeof *memory));
    RLLC_TRY(rllc_alloc(&dim, n, sizeof *dim));
    RLLC_TRY(rllc_alloc(&start, n, sizeof *start));
    for (int64_t i = 0; i < n; i++) {
        const rllc_stream stream = rllc_stream_make(s->o->hessian_seed, "hessian", (uint32_t)(first + i), 0);
        rllc_random_signs(&stream, s->c->ranges, s->c->n_ranges, memory + i * s->c->size);
        start[i] = memory + i * s->c->size;
        dim[i] = s->c->size;
    }
    RLLC_TRY(rllc_lanczos(s, multiply, n, dim, start, s->o->hessian_steps, s->found + first));
done:
    rllc_free(memory);
    rllc_free(dim);
    rllc_free(start);
    return status;
}

static rllc_status probe(measurement *s) {
    rllc_status status = RLLC_OK;
    const int64_t all = s->o->hessian_probes, most = probes_at_once(s->o, s->c->size);
    RLLC_TRY(rllc_alloc(&s->found, all, sizeof *s->found));
    for (int64_t first = 0; first < all; first += most)
        RLLC_TRY(run_round(s, first, all - first < most ? all - first : most));
done:
    return status;
}

static double identity(double x, const void *context) {
    (void)context;
    return x;
}

/** The largest and the smallest eigenvalue that any probe saw. */
static void find_ends(const measurement *s, double *largest, rllc_ritz *smallest) {
    *largest = -INFINITY;
    *smallest = (rllc_ritz){.value = INFINITY};
    for (int64_t i = 0; i < s->o->hessian_probes; i++) {
        const rllc_quadrature *q = &s->found[i];
        *largest = fmax(*largest, q->node[q->n - 1]);
        if (q->node[0] < smallest->value) *smallest = (rllc_ritz){q->node[0], q->residual[0]};
    }
}

static rllc_status find_top(const measurement *s, rllc_component_curvature *out) {
    rllc_status status = RLLC_OK;
    double *value = NULL;
    const int64_t k = s->o->hessian_eigenvalues;
    RLLC_TRY(rllc_alloc(&value, 2 * k, sizeof *value));
    RLLC_TRY(rllc_alloc(&out->eigenvalues, k, sizeof *out->eigenvalues));
    out->n_eigenvalues = rllc_probes_top(s->found, s->o->hessian_probes, k, value, value + k);
    for (int64_t j = 0; j < out->n_eigenvalues; j++) out->eigenvalues[j] = (rllc_ritz){value[j], value[k + j]};
done:
    rllc_free(value);
    return status;
}

/** Points from three widths below the spectrum to three above it. */
static rllc_status find_density(const measurement *s, double largest, rllc_component_curvature *out) {
    const double low = out->smallest.value, range = largest - low;
    const rllc_status status = rllc_alloc(&out->at, 2 * s->o->hessian_points, sizeof *out->at);
    if (status != RLLC_OK) return status;
    out->n_points = s->o->hessian_points;
    out->density = out->at + out->n_points;
    out->width = s->o->hessian_width * (range > 0 ? range : largest != 0 ? fabs(largest) : 1);
    rllc_probes_density(s->found, s->o->hessian_probes, out->width, low - 3 * out->width, largest + 3 * out->width,
                        out->n_points, out->at, out->density);
    return RLLC_OK;
}

static rllc_status read_spectrum(const measurement *s, rllc_component_curvature *out) {
    rllc_status status = RLLC_OK;
    const int64_t n = s->o->hessian_probes;
    double largest;
    find_ends(s, &largest, &out->smallest);
    out->threshold = s->o->hessian_threshold;
    out->adaptive_threshold = s->o->hessian_fraction * fmax(fabs(largest), fabs(out->smallest.value));
    RLLC_TRY(find_top(s, out));
    RLLC_TRY(rllc_probes_trace(s->found, n, identity, NULL, &out->hessian_trace));
    RLLC_TRY(rllc_probes_count(s->found, n, out->threshold, &out->rank_fixed));
    RLLC_TRY(rllc_probes_count(s->found, n, out->adaptive_threshold, &out->rank_adaptive));
    RLLC_TRY(find_density(s, largest, out));
done:
    return status;
}

/* ---- the rest -------------------------------------------------------------------------------------------------------
 */

static rllc_status measure_slope(const measurement *s, rllc_component_curvature *out) {
    rllc_status status = RLLC_OK;
    const rllc_kernels *k = rllc_kernels_get();
    float *gradient = NULL;
    double square = 0;
    RLLC_TRY(rllc_alloc(&gradient, s->c->size, sizeof *gradient));
    RLLC_TRY(rllc_engine_hessian(s->e, s->m->weights, s->tokens, s->rows, s->c, 0, NULL, NULL, &out->loss, gradient));
    for (int64_t r = 0; r < s->c->n_ranges; r++)
        square += k->sum_squares(s->c->ranges[r].n, s->m->weights + s->c->ranges[r].first);
    out->weight_norm = sqrt(square);
    out->gradient_norm = sqrt(k->sum_squares(s->c->size, gradient));
    if (!isfinite(out->loss) || !isfinite(out->weight_norm) || !isfinite(out->gradient_norm))
        status = rllc_fail(RLLC_ENOTFINITE, "the loss or its gradient on '%s' is not finite", s->c->name);
done:
    rllc_free(gradient);
    return status;
}

rllc_status rllc_component_curvature_measure(const rllc_model *m, rllc_engine *e, const rllc_component *c,
                                             const int32_t *tokens, int64_t rows, const rllc_curvature_options *o,
                                             const rllc_monitor *monitor, rllc_component_curvature *out) {
    rllc_status status = RLLC_OK;
    measurement s = {.m = m, .e = e, .c = c, .tokens = tokens, .rows = rows, .o = o, .monitor = monitor};
    *out = (rllc_component_curvature){.component = c->name, .dim = c->size, .rows = rows};
    RLLC_TRY(check(&s));
    out->tokens = rows * (rllc_engine_context(e) - 1);
    RLLC_TRY(measure_slope(&s, out));
    RLLC_TRY(probe(&s));
    RLLC_TRY(read_spectrum(&s, out));
    if (o->fisher_tokens > 0)
        RLLC_TRY(rllc_engine_fisher(e, m->weights, tokens, rows, c, o->fisher_tokens, o->hessian_seed, &out->fim_trace,
                                    &out->empirical_fim_trace));
done:
    for (int64_t i = 0; s.found && i < o->hessian_probes; i++) rllc_quadrature_release(&s.found[i]);
    rllc_free(s.found);
    if (status != RLLC_OK) rllc_component_curvature_release(out);
    return rllc_fail_within(status, "curvature of '%s'", c->name);
}

void rllc_component_curvature_release(rllc_component_curvature *r) {
    rllc_free(r->eigenvalues);
    rllc_free(r->at);
    *r = (rllc_component_curvature){0};
}
