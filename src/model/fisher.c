/*
 * Trace of the Fisher information of a component: the mean squared gradient of single predictions. (E96)
 *
 * Squared norms of single predictions cannot be read off a batch's gradient, so each sampled prediction has its own
 * backward pass. Its sequence is cut behind it (nothing later matters), and logits are formed for its row alone.
 */
#include <math.h>
#include <string.h>

#include "batch.h"

/** Memory of one thread. */
typedef struct lane {
    rllc_engine cut; /* the engine for a sequence cut short */
    float *packed, *gradient;
    double *p; /* [V] the model's next-token probabilities */
} lane;

typedef struct fisher {
    rllc_pass pass;
    rllc_plan plan;
    int64_t each; /* predictions of a sequence */
    uint64_t seed;
    lane *lanes;
    double *model, *empirical; /* [rows][each] squared norms, or NULL */
} fisher;

/** The i-th of the positions drawn from a sequence without replacement. */
static int64_t position(const fisher *f, int64_t row, int64_t i) {
    const rllc_stream s = rllc_stream_make(f->seed, "fisher/position", 0, (uint32_t)row);
    uint32_t key[4];
    rllc_stream_block(&s, 0, key);
    return (int64_t)rllc_permute((uint64_t)i, (uint64_t)f->pass.e->t - 1, (uint64_t)key[1] << 32 | key[0]);
}

/** Softmax of logits [V] in double. */
static void probabilities(int64_t V, const float *logits, double *p) {
    double top = (double)logits[0], sum = 0;
    for (int64_t v = 1; v < V; v++) top = fmax(top, (double)logits[v]);
    for (int64_t v = 0; v < V; v++) sum += p[v] = exp((double)logits[v] - top);
    for (int64_t v = 0; v < V; v++) p[v] /= sum;
}

/** A label drawn from p by inverting its distribution function at u. */
static int64_t draw_label(int64_t V, const double *p, double u) {
    int64_t v = 0;
    for (double below = p[0]; v < V - 1 && below <= u; below += p[v]) v++;
    return v;
}

/** |gradient of -log p(label | tokens up to the block's last row)|^2 on the component. */
static double square(const fisher *f, lane *l, rllc_workspace *ws, const rllc_block *b, const rllc_activations *a,
                     int64_t label) {
    const rllc_engine *e = &l->cut;
    const rllc_kernels *k = e->k;
    const rllc_plan *plan = &f->plan;
    const rllc_pass_weights *w = &e->base;
    const int64_t C = e->model->options.d_model, V = e->model->options.d_vocab, last = b->rows - 1;
    k->zero(plan->gradient_size, l->packed);
    for (int64_t v = 0; v < V; v++) ws->logits[v] = (float)(l->p[v] - (v == label));
    if (plan->unembed) {
        k->gemm(true, false, C, V, 1, 1.0F, a->nf + last * C, C, ws->logits, V, 0.0F, l->packed + plan->at_W_U, V);
        k->column_sum(1, V, ws->logits, V, l->packed + plan->at_b_U);
    }
    k->zero(last * C, ws->dnf);
    k->gemm(false, true, 1, C, V, 1.0F, ws->logits, V, w->W_U, V, 0.0F, ws->dnf + last * C, C);
    rllc_backward(e, ws, w, plan, b, a, l->packed);
    rllc_gradient_unpack(e, w, plan, l->packed, l->gradient);
    return k->sum_squares(plan->component.size, l->gradient);
}

/** Prediction number i of all. */
static rllc_status measure(void *context, int64_t i, int worker) {
    const fisher *f = context;
    const int64_t row = i / f->each, V = f->pass.e->model->options.d_vocab;
    const int64_t at = position(f, row, i % f->each);
    const int32_t *tokens = f->pass.tokens + row * f->pass.e->t;
    lane *l = &f->lanes[worker];
    rllc_workspace *ws = &f->pass.e->workspaces[worker];
    rllc_activations a;
    l->cut.t = at + 1;
    const rllc_block b = {.tokens = tokens, .sequences = 1, .rows = at + 1};
    rllc_upload_tokens(&l->cut, ws, &b);
    rllc_forward(&l->cut, ws, &l->cut.base, NULL, &b, NULL, &a);
    rllc_logits(&l->cut, ws, &l->cut.base, a.nf, at, 1);
    probabilities(V, ws->logits, l->p);
    if (f->empirical) f->empirical[i] = square(f, l, ws, &b, &a, tokens[at + 1]);
    if (f->model) {
        const rllc_stream s = rllc_stream_make(f->seed, "fisher/label", 0, (uint32_t)row);
        f->model[i] = square(f, l, ws, &b, &a, draw_label(V, l->p, rllc_stream_uniform(&s, (uint64_t)at)));
    }
    return RLLC_OK;
}

/** Mean over predictions; its error from the spread of the sequences' means, since predictions of a sequence share its
 *  tokens. NaN for one sequence. */
static void conclude(const double *squares, int64_t rows, int64_t each, rllc_fisher *out) {
    double spread = 0;
    *out = (rllc_fisher){.n = rows * each};
    for (int64_t i = 0; i < out->n; i++) out->mean += squares[i] / (double)out->n;
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0;
        for (int64_t i = 0; i < each; i++) mean += squares[r * each + i] / (double)each;
        spread += (mean - out->mean) * (mean - out->mean);
    }
    out->se = rows > 1 ? sqrt(spread / (double)(rows - 1) / (double)rows) : NAN;
}

static rllc_status check(const fisher *f, int64_t each) {
    const rllc_engine *e = f->pass.e;
    if (!e->k->host_memory)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "kernels '%s' keep their numbers out of the host's reach; the Fisher information needs a "
                         "table of the host's memory",
                         e->k->name);
    if (each < 0 || each > e->t - 1)
        return rllc_fail(RLLC_EMISMATCH,
                         "%lld predictions of each sequence asked for, expected 1 to %lld, or 0 for all",
                         (long long)each, (long long)e->t - 1);
    return rllc_pass_check(&f->pass);
}

static rllc_status open_lanes(fisher *f) {
    rllc_status status = RLLC_OK;
    const rllc_engine *e = f->pass.e;
    RLLC_TRY(rllc_alloc(&f->lanes, e->n_threads, sizeof *f->lanes));
    for (int i = 0; i < e->n_threads; i++) {
        lane *l = &f->lanes[i];
        l->cut = *e;
        RLLC_TRY(rllc_alloc(&l->packed, f->plan.gradient_size, sizeof *l->packed));
        RLLC_TRY(rllc_alloc(&l->gradient, f->plan.component.size, sizeof *l->gradient));
        RLLC_TRY(rllc_alloc(&l->p, e->model->options.d_vocab, sizeof *l->p));
    }
done:
    return status;
}

static void release(fisher *f) {
    for (int i = 0; f->lanes && i < f->pass.e->n_threads; i++) {
        rllc_free(f->lanes[i].packed);
        rllc_free(f->lanes[i].gradient);
        rllc_free(f->lanes[i].p);
    }
    rllc_free(f->lanes);
    rllc_free(f->model);
    rllc_free(f->empirical);
    rllc_plan_release(&f->plan);
}

rllc_status rllc_engine_fisher(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                               const rllc_component *c, int64_t tokens_per_sequence, uint64_t seed, rllc_fisher *model,
                               rllc_fisher *empirical) {
    rllc_status status = RLLC_OK;
    fisher f = {.pass = {.e = e, .tokens = tokens, .rows = rows}, .seed = seed};
    RLLC_TRY(check(&f, tokens_per_sequence));
    f.each = tokens_per_sequence > 0 ? tokens_per_sequence : e->t - 1;
    RLLC_TRY(rllc_plan_init(&f.plan, e->model, c, true));
    rllc_pass_pack_base(&f.pass, weights);
    RLLC_TRY(open_lanes(&f));
    if (model) RLLC_TRY(rllc_alloc(&f.model, rows * f.each, sizeof *f.model));
    if (empirical) RLLC_TRY(rllc_alloc(&f.empirical, rows * f.each, sizeof *f.empirical));
    RLLC_TRY(rllc_parallel(rows * f.each, e->n_threads, measure, &f));
    if (model) conclude(f.model, rows, f.each, model);
    if (empirical) conclude(f.empirical, rows, f.each, empirical);
done:
    release(&f);
    return status;
}
