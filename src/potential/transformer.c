/* The transformer's loss around a checkpoint, of the next token or relative to a reference model, as a potential. */
#include <string.h>

#include "rllc/potential.h"

struct transformer {
    rllc_potential head; /* first: a transformer is a potential */
    const rllc_model *m;
    const rllc_component *const *components;
    rllc_engine *engine;
    rllc_batch_source source;
    int64_t batch_size;
    int32_t *tokens;       /* [batch, n_ctx] */
    rllc_member *call;     /* [n_call] grows with the longest call */
    int64_t n_call;
    float **token_losses;  /* the caller's, or NULL */
    float *w0;             /* start of every member, one after the other */
};

static rllc_status prepare(rllc_potential *p, int64_t stream, int64_t step) {
    struct transformer *t = (struct transformer *)p;
    return t->source.get(t->source.context, stream, step, t->batch_size, t->tokens);
}

static rllc_status loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline) {
    struct transformer *t = (struct transformer *)p;
    rllc_status status = RLLC_OK;
    if (n > t->n_call) {
        RLLC_TRY(rllc_grow(&t->call, t->n_call, n, sizeof *t->call));
        t->n_call = n;
    }
    for (int64_t i = 0; i < n; i++)
        t->call[i] = (rllc_member){.component = t->components[members[i]], .free = w[i], .gradient = gradient[i],
                                   .token_losses = t->token_losses ? t->token_losses[members[i]] : NULL};
    RLLC_TRY(rllc_engine_lockstep(t->engine, t->m->weights, t->tokens, t->batch_size, t->call, n, baseline,
                                  t->token_losses ? t->token_losses[p->n_members] : NULL));
    for (int64_t i = 0; i < n; i++) loss[i] = t->call[i].loss;
done:
    return status;
}

static void release(rllc_potential *p) {
    struct transformer *t = (struct transformer *)p;
    rllc_engine_free(t->engine);
    rllc_free(t->tokens);
    rllc_free(t->call);
    rllc_free(t->w0);
    rllc_free(p->members);
    rllc_free(t);
}

static const rllc_potential_kind transformer_kind = {"transformer", prepare, loss_and_gradient, release};

/** Copies the component's coordinates out of the checkpoint. */
static void gather(const rllc_model *m, const rllc_component *c, float *w0) {
    for (int64_t i = 0; i < c->n_ranges; w0 += c->ranges[i++].n)
        memcpy(w0, m->weights + c->ranges[i].first, (size_t)c->ranges[i].n * sizeof *w0);
}

/** Members of one component share w0. */
static rllc_status make_members(struct transformer *t) {
    rllc_potential *p = &t->head;
    rllc_status status = RLLC_OK;
    int64_t size = 0;
    for (int64_t i = 0; i < p->n_members; i++)
        if (i == 0 || t->components[i] != t->components[i - 1]) size += t->components[i]->size;
    RLLC_TRY(rllc_alloc(&t->w0, size, sizeof *t->w0));
    float *w0 = t->w0;
    for (int64_t i = 0; i < p->n_members; i++) {
        const rllc_component *c = t->components[i];
        if (i && c != t->components[i - 1]) w0 += t->components[i - 1]->size;
        if (!i || c != t->components[i - 1]) gather(t->m, c, w0);
        p->members[i] = (rllc_potential_member){.dim = c->size, .w0 = w0, .spans = c->ranges, .n_spans = c->n_ranges};
    }
done:
    return status;
}

rllc_status rllc_potential_transformer(rllc_potential **out, const rllc_model *m,
                                       const rllc_component *const *components, int64_t n_members, int64_t batch_size,
                                       rllc_batch_source source, int n_threads, float **token_losses) {
    rllc_status status = RLLC_OK;
    struct transformer *t = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    t->head.kind = &transformer_kind;
    t->head.n_members = n_members;
    t->m = m;
    t->components = components;
    t->source = source;
    t->batch_size = batch_size;
    t->token_losses = token_losses;
    RLLC_TRY(rllc_alloc(&t->head.members, n_members, sizeof *t->head.members));
    RLLC_TRY(rllc_alloc(&t->call, n_members, sizeof *t->call));
    t->n_call = n_members;
    RLLC_TRY(rllc_alloc(&t->tokens, batch_size * m->options.n_ctx, sizeof *t->tokens));
    RLLC_TRY(make_members(t));
    RLLC_TRY(rllc_engine_new(&t->engine, m, batch_size, n_threads));
    *out = &t->head;
    return RLLC_OK;
done:
    if (t) release(&t->head);
    return status;
}

rllc_status rllc_potential_transformer_set_reference(rllc_potential *transformer, const rllc_model *reference) {
    return rllc_engine_set_reference(((struct transformer *)transformer)->engine, reference);
}
