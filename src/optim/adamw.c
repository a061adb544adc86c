/* AdamW on a flat vector: gradient norm, clipping and the step, in fixed chunks. */
#include <math.h>

#include "rllc/kernels.h"
#include "rllc/optim.h"

#define OPTION(...) RLLC_OPTION(rllc_adamw_options, __VA_ARGS__)

static const rllc_option options[] = {
    OPTION(lr, RLLC_REAL, "1e-3", 0, 1e6, NULL, "", "step size"),
    OPTION(beta1, RLLC_REAL, "0.9", 0, 0.9999999, NULL, "", "decay of the mean of the gradient"),
    OPTION(beta2, RLLC_REAL, "0.999", 0, 0.9999999, NULL, "", "decay of the mean of its square"),
    OPTION(eps, RLLC_REAL, "1e-8", 1e-30, 1e6, NULL, "", "added to the root of the mean square"),
    OPTION(weight_decay, RLLC_REAL, "0.05", 0, 1e6, NULL, "", "decoupled decay, on every parameter"),
    OPTION(max_grad_norm, RLLC_REAL, "0", 0, 1e30, NULL, "", "longest gradient; a longer one is scaled down; 0 = any"),
};
#undef OPTION

const rllc_option_table rllc_adamw_option_table = {"optimizer", "AdamW", options, sizeof options / sizeof *options};

/* Numbers a task works on: its four arrays fit a second-level cache. Chunks, not threads, fix the order of sums. */
enum { CHUNK = 1 << 16 };

static int64_t chunks(int64_t n) { return (n + CHUNK - 1) / CHUNK; }
static int64_t chunk_size(int64_t n, int64_t i) { return n - i * CHUNK < CHUNK ? n - i * CHUNK : CHUNK; }

rllc_status rllc_adamw_init(rllc_adamw *a, int64_t n, const rllc_adamw_options *o) {
    *a = (rllc_adamw){.options = *o, .n = n};
    rllc_status status = rllc_alloc(&a->m, n, sizeof *a->m);
    if (status == RLLC_OK) status = rllc_alloc(&a->v, n, sizeof *a->v);
    if (status == RLLC_OK) status = rllc_alloc(&a->squares, chunks(n), sizeof *a->squares);
    if (status != RLLC_OK) rllc_adamw_release(a);
    return status;
}

void rllc_adamw_release(rllc_adamw *a) {
    rllc_free(a->m);
    rllc_free(a->v);
    rllc_free(a->squares);
    *a = (rllc_adamw){0};
}

/* One update on its way through the threads. */
typedef struct update {
    rllc_adamw *a;
    float *g, *w;
    const rllc_kernels *kernels;
    rllc_adamw_step step;
    float clip; /* factor on the gradient */
} update;

static rllc_status sum_chunk(void *context, int64_t i, int worker) {
    (void)worker;
    const update *u = context;
    u->a->squares[i] = u->kernels->sum_squares(chunk_size(u->a->n, i), u->g + i * CHUNK);
    return RLLC_OK;
}

static rllc_status step_chunk(void *context, int64_t i, int worker) {
    (void)worker;
    const update *u = context;
    const int64_t first = i * CHUNK, n = chunk_size(u->a->n, i);
    float *g = u->g + first;
    if (u->clip != 1) {
        for (int64_t j = 0; j < n; j++) g[j] *= u->clip;
    }
    u->kernels->adamw(n, &u->step, g, u->w + first, u->a->m + first, u->a->v + first);
    return RLLC_OK;
}

static rllc_status not_finite(const update *u) {
    int64_t i = 0;
    while (i < u->a->n && isfinite(u->g[i])) i++;
    const double value = i < u->a->n ? (double)u->g[i] : (double)NAN;
    return rllc_fail(RLLC_ENOTFINITE, "gradient of parameter %lld is %g at update %lld; nothing was changed",
                     (long long)i, value, (long long)(u->a->step + 1));
}

static rllc_adamw_step step_rule(const rllc_adamw_options *o, int64_t step) {
    return (rllc_adamw_step){.lr = o->lr, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps,
                             .weight_decay = o->weight_decay, .correction1 = 1 - pow(o->beta1, (double)step),
                             .correction2 = 1 - pow(o->beta2, (double)step)};
}

rllc_status rllc_adamw_update(rllc_adamw *a, float *g, float *w, int n_threads, double *gradient_norm) {
    update u = {.a = a, .g = g, .w = w, .kernels = rllc_kernels_get(), .clip = 1};
    u.step = step_rule(&a->options, a->step + 1);
    rllc_status status = rllc_parallel(chunks(a->n), n_threads, sum_chunk, &u);
    if (status != RLLC_OK) return status;
    double squares = 0;
    for (int64_t i = 0; i < chunks(a->n); i++) squares += a->squares[i];
    if (!isfinite(squares)) return not_finite(&u);
    const double norm = sqrt(squares), longest = a->options.max_grad_norm;
    if (gradient_norm != NULL) *gradient_norm = norm;
    if (longest > 0 && norm > longest) u.clip = (float)(longest / (norm + 1e-6)); /* as torch's clip_grad_norm_ */
    status = rllc_parallel(chunks(a->n), n_threads, step_chunk, &u);
    if (status == RLLC_OK) a->step++;
    return status;
}
