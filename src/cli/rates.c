/* rates: timing the real kernels and passes on random tokens: speed does not depend on what the tokens say. */
#include <math.h>
#include <string.h>

#include "cli/rates.h"

enum { GEMM_SIDE = 384, MOST_TOKENS = 8192, MOST_MEMBER_TOKENS = 32768 };

static int threads_of(int n) {
    return n > 0 ? n : rllc_default_threads();
}

/* ---- matrix product -------------------------------------------------------------------------------------- */

typedef struct gemm_work {
    float *matrices; /* [workers][3][side * side] */
    double seconds;
    int64_t *products; /* [workers] */
} gemm_work;

static rllc_status multiply(void *context, int64_t i, int worker) {
    (void)worker;
    gemm_work *w = context;
    const rllc_kernels *k = rllc_kernels_get();
    const int64_t n = GEMM_SIDE;
    float *a = w->matrices + i * 3 * n * n, *b = a + n * n, *c = b + n * n;
    k->gemm(false, false, n, n, n, 1, a, n, b, n, 0, c, n); /* warm */
    for (const double start = rllc_now(); rllc_now() - start < w->seconds; w->products[i]++) {
        k->gemm(false, false, n, n, n, 1, a, n, b, n, 0, c, n);
    }
    return RLLC_OK;
}

rllc_status rllc_measure_gemm(int n_threads, double seconds, double *flops) {
    rllc_status status = RLLC_OK;
    const int n = threads_of(n_threads);
    const int64_t size = (int64_t)GEMM_SIDE * GEMM_SIDE;
    gemm_work w = {.seconds = seconds};
    RLLC_TRY(rllc_alloc(&w.matrices, n * 3 * size, sizeof *w.matrices));
    RLLC_TRY(rllc_alloc(&w.products, n, sizeof *w.products));
    for (int64_t i = 0; i < n * 3 * size; i++) w.matrices[i] = (float)((i * 7919 % 1000) - 500) * 1e-3f;
    const double start = rllc_now();
    RLLC_TRY(rllc_parallel(n, n, multiply, &w));
    const double took = rllc_now() - start;
    *flops = 0;
    for (int i = 0; i < n; i++) *flops += 2.0 * (double)size * GEMM_SIDE * (double)(w.products[i] + 1) / took;
done:
    rllc_free(w.matrices);
    rllc_free(w.products);
    return status;
}

/* ---- passes of the model --------------------------------------------------------------------------------- */

typedef struct pass {
    rllc_model model;
    rllc_engine *engine;
    int32_t *tokens;
    int64_t rows;
} pass;

static void pass_release(pass *p) {
    rllc_engine_free(p->engine);
    rllc_free(p->tokens);
    rllc_model_release(&p->model);
}

/* Rows to time: as asked, fewer where that would take long, at least one a thread. */
static int64_t rows_to_time(int64_t asked, int64_t n_ctx, int n_threads, int64_t most_tokens) {
    int64_t most = most_tokens / n_ctx;
    int64_t rows = asked < most ? asked : most;
    int64_t least = threads_of(n_threads) < asked ? threads_of(n_threads) : asked;
    return rows > least ? rows : least;
}

static rllc_status pass_init(pass *p, const rllc_model_options *shape, int64_t rows, int n_threads) {
    rllc_status status = RLLC_OK;
    const rllc_stream stream = rllc_stream_make(1, "calibration", 0, 0);
    *p = (pass){.rows = rows};
    RLLC_TRY(rllc_model_init(&p->model, shape));
    rllc_model_randomize(&p->model, 1);
    RLLC_TRY(rllc_engine_new(&p->engine, &p->model, rows, n_threads));
    RLLC_TRY(rllc_alloc(&p->tokens, rows * shape->n_ctx, sizeof *p->tokens));
    for (int64_t i = 0; i < rows * shape->n_ctx; i++) {
        p->tokens[i] = (int32_t)rllc_stream_below(&stream, (uint64_t)i, (uint64_t)shape->d_vocab);
    }
done:
    return status;
}

static rllc_status full_flops(const rllc_model *m, double *out) {
    rllc_component full = {0};
    rllc_status status = rllc_component_parse(&full, m, "full");
    if (status == RLLC_OK) *out = rllc_component_flops(m, &full);
    rllc_component_release(&full);
    return status;
}

typedef struct stopwatch {
    double start, seconds; /* of the calls that count */
    int64_t calls;
    bool begun, warm;
} stopwatch;

/* `while (again(&w, least)) call();` times calls for at least so long. The first only warms, unless it took that long.
 */
static bool again(stopwatch *w, double least) {
    const double now = rllc_now();
    if (w->begun) w->calls++;
    w->seconds = now - w->start;
    if (!w->begun || (!w->warm && w->calls == 1 && w->seconds < least)) {
        w->warm = w->begun;
        w->begun = true;
        w->start = now;
        w->calls = 0;
        return true;
    }
    return w->calls == 0 || w->seconds < least;
}

rllc_status rllc_measure_training(const rllc_model_options *shape, int64_t batch, int n_threads, double seconds,
                                  rllc_rate *out) {
    rllc_status status = RLLC_OK;
    pass p = {0};
    rllc_adamw adamw = {0};
    rllc_adamw_options options;
    rllc_evaluation e = {0};
    stopwatch watch = {0};
    double flops;
    rllc_options_default(&rllc_adamw_option_table, &options);
    RLLC_TRY(pass_init(&p, shape, rows_to_time(batch, shape->n_ctx, n_threads, MOST_TOKENS), n_threads));
    RLLC_TRY(rllc_adamw_init(&adamw, p.model.size, &options));
    RLLC_TRY(rllc_alloc(&e.gradient, p.model.size, sizeof *e.gradient));
    RLLC_TRY(full_flops(&p.model, &flops));
    while (again(&watch, seconds)) {
        RLLC_TRY(rllc_engine_evaluate(p.engine, p.model.weights, p.tokens, p.rows, &e));
        RLLC_TRY(rllc_adamw_update(&adamw, e.gradient, p.model.weights, n_threads, NULL));
    }
    out->rows = p.rows;
    out->tokens = (double)watch.calls * (double)(p.rows * shape->n_ctx) / watch.seconds;
    out->flops = out->tokens * flops;
done:
    rllc_free(e.gradient);
    rllc_adamw_release(&adamw);
    pass_release(&p);
    return status;
}

/* ---- members in lockstep --------------------------------------------------------------------------------- */

typedef struct crowd {
    rllc_component *components;
    rllc_member *members;
    float *values; /* free coordinates and gradients of all members */
    int64_t n_components, n;
    double flops; /* a token of the batch: all members and the base pass */
} crowd;

static void crowd_release(crowd *c) {
    for (int64_t i = 0; c->components && i < c->n_components; i++) rllc_component_release(&c->components[i]);
    rllc_free(c->components);
    rllc_free(c->members);
    rllc_free(c->values);
}

/* Where member coordinates come from: the weights themselves, so that the arithmetic is that of a chain's first step.
 */
static void gather(const rllc_component *c, const float *weights, float *out) {
    for (int64_t i = 0; i < c->n_ranges; i++) {
        memcpy(out, weights + c->ranges[i].first, (size_t)c->ranges[i].n * sizeof *out);
        out += c->ranges[i].n;
    }
}

static rllc_status crowd_init(crowd *c, const rllc_model *m, const char *selectors, int64_t chains) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    int64_t size = 0;
    *c = (crowd){0};
    RLLC_TRY(rllc_components_expand(m, selectors, &names, &c->n_components));
    RLLC_TRY(rllc_alloc(&c->components, c->n_components, sizeof *c->components));
    RLLC_TRY(rllc_alloc(&c->members, c->n_components * chains, sizeof *c->members));
    for (int64_t i = 0; i < c->n_components; i++) {
        RLLC_TRY(rllc_component_parse(&c->components[i], m, names[i]));
        size += c->components[i].size;
        c->flops += (double)chains * rllc_component_flops(m, &c->components[i]);
    }
    c->flops += rllc_model_flops(m);
    RLLC_TRY(rllc_alloc(&c->values, 2 * size * chains, sizeof *c->values));
    float *next = c->values;
    for (int64_t i = 0; i < c->n_components; i++) {
        for (int64_t k = 0; k < chains; k++) {
            const int64_t dim = c->components[i].size;
            gather(&c->components[i], m->weights, next);
            c->members[c->n++] = (rllc_member){.component = &c->components[i], .free = next, .gradient = next + dim};
            next += 2 * dim;
        }
    }
done:
    rllc_free(names);
    return status;
}

rllc_status rllc_measure_sampling(const rllc_model_options *shape, const rllc_sampling_options *sampling,
                                  const rllc_sampler_options *sampler, int n_threads, double seconds, rllc_rate *out) {
    rllc_status status = RLLC_OK;
    pass p = {0};
    crowd c = {0};
    stopwatch watch = {0};
    double base;
    int64_t streams, selected = 0;
    const char **names = NULL;
    RLLC_TRY(rllc_batches_streams(sampling->batches, sampler->num_chains, &streams));
    int64_t chains = (sampler->num_chains + streams - 1) / streams;
    RLLC_TRY(rllc_model_init(&p.model, shape));
    RLLC_TRY(rllc_components_expand(&p.model, sampling->components, &names, &selected));
    rllc_model_release(&p.model);
    if (selected * chains * threads_of(n_threads) * shape->n_ctx > MOST_MEMBER_TOKENS)
        chains = 1; /* large: half will do */
    const int64_t share = MOST_MEMBER_TOKENS / (selected * chains);
    RLLC_TRY(pass_init(&p, shape, rows_to_time(sampler->batch_size, shape->n_ctx, n_threads, share), n_threads));
    RLLC_TRY(crowd_init(&c, &p.model, sampling->components, chains));
    while (again(&watch, seconds)) {
        RLLC_TRY(rllc_engine_lockstep(p.engine, p.model.weights, p.tokens, p.rows, c.members, c.n, &base, NULL));
    }
    const double batches = (double)watch.calls * (double)(p.rows * shape->n_ctx) / watch.seconds;
    *out = (rllc_rate){.tokens = batches * (double)c.n, .flops = batches * c.flops, .rows = p.rows};
done:
    rllc_free(names);
    crowd_release(&c);
    pass_release(&p);
    return status;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

rllc_status rllc_measure_tokenizer(const char *text, size_t n, const rllc_bpe_options *options,
                                   const rllc_tokenizer *tokenizer, rllc_text_rate *out) {
    rllc_status status = RLLC_OK;
    rllc_bpe_trainer *trainer = NULL;
    rllc_tokenizer *own = NULL;
    rllc_ids ids = {0};
    *out = (rllc_text_rate){0};
    double start = rllc_now();
    if (!tokenizer) {
        RLLC_TRY(rllc_bpe_trainer_new(&trainer, options));
        RLLC_TRY(rllc_bpe_trainer_add(trainer, text, n));
        RLLC_TRY(rllc_bpe_trainer_finish(trainer, NULL, &own));
        out->train_seconds = rllc_now() - start;
        tokenizer = own;
    }
    start = rllc_now();
    RLLC_TRY(rllc_tokenizer_encode(tokenizer, text, n, &ids));
    out->bytes = (double)n / fmax(rllc_now() - start, 1e-9);
    out->bytes_per_token = ids.n ? (double)n / (double)ids.n : 0;
done:
    rllc_ids_release(&ids);
    rllc_tokenizer_free(own);
    rllc_bpe_trainer_free(trainer);
    return status;
}
