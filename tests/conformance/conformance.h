/*
 * conformance: a small random model of awkward shape, and a loop that drives any potential with the samplers. For the
 * tests of properties that hold for every model, every component and every number of threads.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include "support/support.h"

static inline bool conformance_ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* ---- a model --------------------------------------------------------------------------------------------- */

typedef struct conformance_model {
    rllc_model model;
    int64_t rows;
    int32_t *tokens; /* [rows, n_ctx] */
} conformance_model;

static inline rllc_model_options conformance_shape(int64_t n_layers, int64_t d_model, int64_t n_heads, int64_t d_head,
                                                   int64_t n_ctx, int64_t d_vocab) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = n_layers;
    o.d_model = d_model;
    o.n_heads = n_heads;
    o.d_head = d_head;
    o.n_ctx = n_ctx;
    o.d_vocab = d_vocab;
    return o;
}

/* Random weights with nothing at a special value: uniform, sd 0.3 (embeddings 0.6), LayerNorm gains around 1. */
static inline void conformance_model_setup(conformance_model *f, const rllc_model_options *shape, int64_t rows,
                                           uint64_t seed) {
    assert_table_as_asked();
    assert_ok(rllc_model_init(&f->model, shape));
    rllc_stream weights = rllc_stream_make(seed, "test weights", 0, 0), tokens = rllc_stream_make(seed, "tokens", 0, 0);
    for (int64_t p = 0; p < f->model.n_parameters; p++) {
        const rllc_parameter *t = &f->model.parameters[p];
        double sd = t->layer < 0 && t->init == 'W' ? 0.6 : 0.3, offset = t->init == '1' ? 1 : 0;
        for (int64_t i = t->offset; i < t->offset + t->n; i++)
            f->model.weights[i] = (float)(offset + sd * sqrt(12) * (rllc_stream_uniform(&weights, (uint64_t)i) - 0.5));
    }
    f->rows = rows;
    f->tokens = test_memory(rows * shape->n_ctx, sizeof *f->tokens);
    for (int64_t i = 0; i < rows * shape->n_ctx; i++)
        f->tokens[i] = (int32_t)rllc_stream_below(&tokens, (uint64_t)i, (uint64_t)shape->d_vocab);
}

static inline void conformance_model_release(conformance_model *f) {
    rllc_model_release(&f->model);
    free(f->tokens);
}

/* Fresh random tokens for every (stream, step). */
static inline rllc_status conformance_batch(void *context, int64_t stream, int64_t step, int64_t rows,
                                            int32_t *tokens) {
    const conformance_model *f = context;
    rllc_stream s = rllc_stream_make(7, "test batches", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows * f->model.options.n_ctx; i++)
        tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)f->model.options.d_vocab);
    return RLLC_OK;
}

/* ---- components ------------------------------------------------------------------------------------------ */

typedef struct conformance_components {
    int64_t n;
    rllc_component *items;
    const rllc_component **borrowed;
} conformance_components;

static inline void conformance_components_setup(conformance_components *c, const rllc_model *m,
                                                const char *const *names, int64_t n) {
    c->n = n;
    c->items = test_memory(n, sizeof *c->items);
    c->borrowed = test_memory(n, sizeof *c->borrowed);
    for (int64_t i = 0; i < n; i++) {
        assert_ok(rllc_component_parse(&c->items[i], m, names[i]));
        c->borrowed[i] = &c->items[i];
    }
}

static inline void conformance_components_release(conformance_components *c) {
    for (int64_t i = 0; i < c->n; i++) rllc_component_release(&c->items[i]);
    free(c->items);
    free(c->borrowed);
}

/* The component's coordinates of a whole vector, packed. */
static inline float *conformance_gather(const rllc_component *c, const float *whole) {
    float *packed = test_memory(c->size, sizeof *packed), *to = packed;
    for (int64_t r = 0; r < c->n_ranges; to += c->ranges[r++].n)
        memcpy(to, whole + c->ranges[r].first, (size_t)c->ranges[r].n * sizeof *to);
    return packed;
}

/* A copy of the whole vector with the component's coordinates replaced. */
static inline float *conformance_compose(const rllc_component *c, int64_t size, const float *base,
                                         const float *packed) {
    float *whole = test_memory(size, sizeof *whole);
    memcpy(whole, base, (size_t)size * sizeof *whole);
    for (int64_t r = 0; r < c->n_ranges; packed += c->ranges[r++].n)
        memcpy(whole + c->ranges[r].first, packed, (size_t)c->ranges[r].n * sizeof *whole);
    return whole;
}

/* ---- chains ---------------------------------------------------------------------------------------------- */

/* What a run of some members of a potential leaves. Entry i belongs to members[i]. */
typedef struct conformance_run {
    int64_t n, n_draws;
    double *loss, *baseline; /* [n, n_draws] as recorded, before each draw's update */
    float **w;               /* [n][dim] final coordinates */
} conformance_run;

/* Called after every evaluation e = 0.. of a step of chain i. */
typedef void conformance_observer(void *context, int64_t i, int64_t e, const rllc_sampler_state *s);

/* Drives the listed members (NULL: all n of them) with common minibatches, from w0 or, if not NULL, from start [dim];
 * the noise of member i is that of chain chains[i] (NULL: i). Any failure fails the test. */
static inline conformance_run conformance_sample_from(rllc_potential *p, const rllc_sampler_options *o, int64_t n,
                                                      const int64_t *members, const uint32_t *chains,
                                                      const float *start, conformance_observer *observe,
                                                      void *context) {
    conformance_run run = {.n = n, .n_draws = o->num_draws};
    run.loss = test_memory(n * run.n_draws, sizeof *run.loss);
    run.baseline = test_memory(n * run.n_draws, sizeof *run.baseline);
    run.w = test_memory(n, sizeof *run.w);
    float **gradient = test_memory(n, sizeof *gradient);
    double *loss = test_memory(n, sizeof *loss);
    int64_t *index = test_memory(n, sizeof *index);
    rllc_sampler_state *states = test_memory(n, sizeof *states);
    rllc_stream noise = rllc_stream_make(o->seed, "noise/test", 0, 0);
    for (int64_t i = 0; i < n; i++) {
        index[i] = members != NULL ? members[i] : i;
        const rllc_potential_member *m = &p->members[index[i]];
        run.w[i] = test_memory(m->dim, sizeof(float));
        gradient[i] = test_memory(m->dim, sizeof(float));
        memcpy(run.w[i], start != NULL ? start : m->w0, (size_t)m->dim * sizeof(float));
        states[i] = (rllc_sampler_state){.dim = m->dim, .w = run.w[i], .w0 = m->w0, .spans = m->spans,
                                         .n_spans = m->n_spans, .scratch = test_memory(m->dim, sizeof(float))};
        states[i].memory = test_memory(m->dim * (rllc_sampler_memory(o) + 1), sizeof(float));
    }
    for (int64_t step = 0; step < rllc_sampler_steps(o); step++) {
        double baseline = NAN;
        int64_t draw = rllc_sampler_draw_at(o, step);
        assert_ok(rllc_potential_prepare(p, 0, step));
        noise.step = (uint32_t)step;
        for (int64_t e = 0; e < rllc_sampler_evaluations(o); e++) {
            assert_ok(rllc_potential_loss_and_gradient(p, n, index, (const float *const *)run.w, loss, gradient,
                                                       &baseline));
            for (int64_t i = 0; i < n; i++) {
                noise.chain = chains != NULL ? chains[i] : (uint32_t)i;
                states[i].step = step;
                assert_ok(rllc_sampler_step(o, &states[i], &loss[i], gradient[i], &noise));
                if (observe != NULL) observe(context, i, e, &states[i]);
                if (draw < 0 || e > 0) continue;
                run.loss[i * run.n_draws + draw] = loss[i];
                run.baseline[i * run.n_draws + draw] = baseline;
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        free(gradient[i]);
        free(states[i].scratch);
        free(states[i].memory);
    }
    free(gradient);
    free(loss);
    free(index);
    free(states);
    return run;
}

static inline conformance_run conformance_sample(rllc_potential *p, const rllc_sampler_options *o, int64_t n,
                                                 const int64_t *members, const uint32_t *chains) {
    return conformance_sample_from(p, o, n, members, chains, NULL, NULL, NULL);
}

static inline void conformance_run_release(conformance_run *run) {
    for (int64_t i = 0; i < run->n; i++) free(run->w[i]);
    free(run->w);
    free(run->loss);
    free(run->baseline);
}

/* The estimate from these traces (paired), and each chain's own value into per_chain [n]. */
static inline rllc_estimate conformance_estimate(const conformance_run *run, double nbeta, double *per_chain) {
    rllc_trace *traces = test_memory(run->n, sizeof *traces);
    for (int64_t i = 0; i < run->n; i++)
        traces[i] = (rllc_trace){.n_draws = run->n_draws, .loss = run->loss + i * run->n_draws,
                                 .baseline = run->baseline + i * run->n_draws,
                                 .init_loss = run->baseline[i * run->n_draws], .stream = (int)i};
    rllc_estimate estimate;
    const rllc_estimate_settings settings = {.nbeta = nbeta};
    assert_ok(rllc_estimate_from_traces(traces, run->n, &settings, &estimate, per_chain, NULL));
    free(traces);
    return estimate;
}

#endif
