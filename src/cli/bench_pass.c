/* bench pass: sets up a model, a batch and members, and times calls. */
#include <string.h>

#include "cli/bench_pass.h"

/* ---- members --------------------------------------------------------------------------------------------- */

/* Coordinates come from the weights themselves, so that the arithmetic is that of a chain's first step. */
static void gather(const rllc_component *c, const float *weights, float *out) {
    for (int64_t i = 0; i < c->n_ranges; i++) {
        memcpy(out, weights + c->ranges[i].first, (size_t)c->ranges[i].n * sizeof *out);
        out += c->ranges[i].n;
    }
}

static double member_flops(const rllc_bench_pass *p, const rllc_component *c) {
    const double chains = (double)p->work.chains;
    if (p->work.plain) return chains * rllc_component_plain_flops(&p->model, c);
    return chains * rllc_component_flops(&p->model, c) + rllc_family_flops(&p->model, c);
}

static rllc_status add_members(rllc_bench_pass *p) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    const rllc_model *m = &p->model;
    int64_t size = 0;
    p->flops = rllc_model_flops(m);
    if (!*p->work.components) return RLLC_OK;
    RLLC_TRY(rllc_components_expand(m, p->work.components, &names, &p->n_components));
    RLLC_TRY(rllc_alloc(&p->components, p->n_components, sizeof *p->components));
    RLLC_TRY(rllc_alloc(&p->members, p->n_components * p->work.chains, sizeof *p->members));
    for (int64_t i = 0; i < p->n_components; i++) {
        RLLC_TRY(rllc_component_parse(&p->components[i], m, names[i]));
        size += p->components[i].size;
        p->flops += member_flops(p, &p->components[i]);
    }
    RLLC_TRY(rllc_alloc(&p->values, 2 * size * p->work.chains, sizeof *p->values));
    float *next = p->values;
    for (int64_t i = 0; i < p->n_components; i++) {
        const rllc_component *c = &p->components[i];
        for (int64_t k = 0; k < p->work.chains; k++) {
            gather(c, m->weights, next);
            p->members[p->n_members++] = (rllc_member){.component = c, .free = next, .gradient = next + c->size};
            next += 2 * c->size;
        }
    }
done:
    rllc_free(names);
    return status;
}

/* ---- training -------------------------------------------------------------------------------------------- */

static rllc_status full_flops(const rllc_model *m, double *out) {
    rllc_component full = {0};
    rllc_status status = rllc_component_parse(&full, m, "full");
    if (status == RLLC_OK) *out = rllc_component_flops(m, &full);
    rllc_component_release(&full);
    return status;
}

static rllc_status add_optimizer(rllc_bench_pass *p) {
    rllc_status status = RLLC_OK;
    rllc_adamw_options options;
    rllc_options_default(&rllc_adamw_option_table, &options);
    RLLC_TRY(rllc_adamw_init(&p->adamw, p->model.size, &options));
    RLLC_TRY(rllc_alloc(&p->gradient, p->model.size, sizeof *p->gradient));
    RLLC_TRY(full_flops(&p->model, &p->flops));
done:
    return status;
}

static rllc_status update(rllc_bench_pass *p) {
    rllc_status status = RLLC_OK;
    rllc_evaluation e = {.gradient = p->gradient};
    RLLC_TRY(rllc_engine_evaluate(p->engine, p->model.weights, p->tokens, p->work.rows, &e));
    const double start = rllc_now();
    RLLC_TRY(rllc_adamw_update(&p->adamw, p->gradient, p->model.weights, p->work.n_threads, NULL));
    p->update_seconds += rllc_now() - start;
done:
    return status;
}

/* ---- a pass ---------------------------------------------------------------------------------------------- */

rllc_status rllc_bench_pass_open(rllc_bench_pass *p, const rllc_bench_work *work) {
    rllc_status status = RLLC_OK;
    const rllc_stream stream = rllc_stream_make(1, "calibration", 0, 0);
    const int64_t n = work->rows * work->shape.n_ctx;
    *p = (rllc_bench_pass){.work = *work};
    if (p->work.n_threads <= 0) p->work.n_threads = rllc_default_threads();
    RLLC_TRY(rllc_model_init(&p->model, &work->shape));
    rllc_model_randomize(&p->model, 1);
    RLLC_TRY(rllc_engine_new(&p->engine, &p->model, work->rows, p->work.n_threads));
    rllc_engine_set_plain(p->engine, work->plain);
    if (work->reference) RLLC_TRY(rllc_engine_set_reference(p->engine, work->reference));
    RLLC_TRY(rllc_alloc(&p->tokens, n, sizeof *p->tokens));
    for (int64_t i = 0; i < n; i++)
        p->tokens[i] = (int32_t)rllc_stream_below(&stream, (uint64_t)i, (uint64_t)work->shape.d_vocab);
    status = work->components ? add_members(p) : add_optimizer(p);
    if (work->reference) p->flops += rllc_model_flops(work->reference);
done:
    if (status != RLLC_OK) rllc_bench_pass_close(p);
    return status;
}

void rllc_bench_pass_close(rllc_bench_pass *p) {
    for (int64_t i = 0; p->components && i < p->n_components; i++) rllc_component_release(&p->components[i]);
    rllc_free(p->components);
    rllc_free(p->members);
    rllc_free(p->values);
    rllc_free(p->gradient);
    rllc_free(p->tokens);
    rllc_adamw_release(&p->adamw);
    rllc_engine_free(p->engine);
    rllc_model_release(&p->model);
    *p = (rllc_bench_pass){0};
}

rllc_status rllc_bench_pass_call(rllc_bench_pass *p) {
    double base;
    if (!p->work.components) return update(p);
    return rllc_engine_lockstep(p->engine, p->model.weights, p->tokens, p->work.rows, p->members, p->n_members, &base,
                                NULL);
}

rllc_status rllc_bench_pass_time(rllc_bench_pass *p, double seconds, bool processor, double *each) {
    rllc_status status = RLLC_OK;
    const double start = processor ? rllc_thread_seconds() : rllc_now();
    double took = 0;
    int64_t calls = 0;
    do {
        RLLC_TRY(rllc_bench_pass_call(p));
        calls++;
        took = (processor ? rllc_thread_seconds() : rllc_now()) - start;
    } while (took < seconds);
    *each = took / (double)calls;
done:
    return status;
}

double rllc_bench_pass_tokens(const rllc_bench_pass *p) {
    return (double)(p->work.rows * p->work.shape.n_ctx) * (double)(p->n_members > 0 ? p->n_members : 1);
}

double rllc_bench_pass_bytes(const rllc_bench_pass *p) {
    rllc_component full = {.name = "full", .ranges = &(rllc_span){0, p->model.size}, .n_ranges = 1};
    full.size = p->model.size;
    const rllc_component **members = NULL;
    const int64_t n = p->work.components ? p->n_members : 1;
    int64_t values = p->work.components ? 0 : 3 * p->model.size; /* the gradient and both moments */
    if (rllc_alloc(&members, n, sizeof *members) != RLLC_OK) return -1;
    for (int64_t i = 0; i < n; i++) members[i] = p->work.components ? p->members[i].component : &full;
    for (int64_t i = 0; i < p->n_members; i++) values += 2 * members[i]->size;
    int64_t engine = rllc_engine_bytes(&p->model, p->work.rows, p->work.n_threads, members, n);
    if (engine >= 0 && p->work.reference)
        engine += rllc_engine_reference_bytes(&p->model, p->work.reference, p->work.n_threads);
    rllc_free(members);
    return engine < 0 ? -1 : (double)engine + (double)sizeof(float) * (double)(values + p->model.size);
}

rllc_status rllc_bench_pass_open_within(rllc_bench_pass *p, const rllc_bench_work *work, double seconds) {
    rllc_status status = RLLC_OK;
    rllc_bench_work first = *work;
    const int64_t threads = work->n_threads > 0 ? work->n_threads : rllc_default_threads();
    double each;
    first.rows = threads < work->rows ? threads : work->rows;
    RLLC_TRY(rllc_bench_pass_open(p, &first));
    RLLC_TRY(rllc_bench_pass_call(p)); /* fetches what is touched for the first time */
    RLLC_TRY(rllc_bench_pass_time(p, 0, false, &each));
    const double fit = seconds / each;
    int64_t rows = first.rows * (fit < 1 ? 1 : fit > (double)work->rows ? work->rows : (int64_t)fit);
    if (rows > work->rows) rows = work->rows;
    if (rows == first.rows) return RLLC_OK;
    rllc_bench_pass_close(p);
    first.rows = rows;
    RLLC_TRY(rllc_bench_pass_open(p, &first));
    RLLC_TRY(rllc_bench_pass_call(p));
done:
    if (status != RLLC_OK) rllc_bench_pass_close(p);
    return status;
}
