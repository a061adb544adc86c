/* Passes over a whole batch: members in groups, blocks in slots, slots over threads. */
#include <string.h>

#include "batch.h"

enum { GROUP_BYTES = 512 << 20 }; /* gradients of one group of members, all slots together */

rllc_cut rllc_cut_batch(int64_t t, int64_t rows) {
    rllc_cut c;
    c.sequences = (RLLC_BLOCK_ROWS + t - 1) / t;
    c.blocks = (rows + c.sequences - 1) / c.sequences;
    c.slots = c.blocks < RLLC_SLOTS ? c.blocks : RLLC_SLOTS;
    return c;
}

static double *loss_sum(const rllc_pass *p, int64_t member, int64_t slot) {
    return &p->e->loss_sums[member * RLLC_SLOTS + slot];
}

static float *slot_gradient(const rllc_pass *p, int64_t i, int64_t slot) {
    return p->e->gradients + p->e->gradient_at[i] + slot * p->e->plans[i]->gradient_size;
}

static void member_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t i, int64_t slot) {
    rllc_engine *e = p->e;
    const rllc_member *m = &p->members[i];
    const rllc_plan *plan = e->plans[i];
    const rllc_pass_weights *w = &e->weights[i - p->first];
    rllc_loss_request q = {.token_losses = m->token_losses};
    float *g = m->gradient ? slot_gradient(p, i, slot) : NULL;
    if (g) {
        q.gradient_scale = 1.0 / ((double)p->rows * (double)(e->t - 1));
        q.dW_U = plan->unembed ? g + plan->at_W_U : NULL;
        q.db_U = plan->unembed ? g + plan->at_b_U : NULL;
        q.dnf = plan->start < e->model->options.n_layers || plan->ln_final;
    }
    rllc_forward(e, ws, w, plan, b, &ws->base, &ws->view);
    *loss_sum(p, i, slot) += rllc_loss(e, ws, w, ws->view.nf, b, &q);
    if (g) rllc_backward(e, ws, w, plan, b, &ws->view, g);
}

static void base_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t slot) {
    rllc_activations a;
    rllc_forward(p->e, ws, &p->e->base, NULL, b, NULL, &a);
    ws->base = a; /* without normalization n and nf are x itself */
    if (!p->base_loss) return;
    const rllc_loss_request q = {.token_losses = p->base_token_losses, .logits = p->logits};
    *loss_sum(p, p->n_members, slot) += rllc_loss(p->e, ws, &p->e->base, a.nf, b, &q);
}

rllc_block rllc_pass_block(const rllc_pass *p, int64_t k) {
    rllc_block b = {.first = k * p->cut.sequences};
    b.sequences = p->rows - b.first < p->cut.sequences ? p->rows - b.first : p->cut.sequences;
    b.rows = b.sequences * p->e->t;
    b.tokens = p->tokens + b.first * p->e->t;
    return b;
}

static rllc_status run_slot(void *context, int64_t slot, int worker) {
    const rllc_pass *p = context;
    rllc_workspace *ws = &p->e->workspaces[worker];
    for (int64_t i = p->first; i < p->end; i++)
        if (p->members[i].gradient)
            memset(slot_gradient(p, i, slot), 0, (size_t)p->e->plans[i]->gradient_size * sizeof(float));
    const int64_t begin = slot * p->cut.blocks / p->cut.slots, end = (slot + 1) * p->cut.blocks / p->cut.slots;
    for (int64_t k = begin; k < end; k++) {
        const rllc_block b = rllc_pass_block(p, k);
        if (p->run_base) base_block(p, ws, &b, slot);
        for (int64_t i = p->first; i < p->end; i++) member_block(p, ws, &b, i, slot);
    }
    return RLLC_OK;
}

enum { REDUCE_CHUNK = 1 << 15 };

static int64_t reduce_chunks(const rllc_pass *p, int64_t i) {
    return p->members[i].gradient ? (p->e->plans[i]->gradient_size + REDUCE_CHUNK - 1) / REDUCE_CHUNK : 0;
}

/** Sums one chunk of one member's packed gradient over the slots, in order, into slot 0. */
static rllc_status reduce_chunk(void *context, int64_t task, int worker) {
    const rllc_pass *p = context;
    int64_t i = p->first;
    (void)worker;
    for (int64_t chunks; task >= (chunks = reduce_chunks(p, i)); i++) task -= chunks;
    const int64_t size = p->e->plans[i]->gradient_size, first = task * REDUCE_CHUNK;
    const int64_t n = size - first < REDUCE_CHUNK ? size - first : REDUCE_CHUNK;
    for (int64_t s = 1; s < p->cut.slots; s++)
        p->e->k->add(n, slot_gradient(p, i, s) + first, slot_gradient(p, i, 0) + first);
    return RLLC_OK;
}

static rllc_status pack_member(void *context, int64_t task, int worker) {
    const rllc_pass *p = context;
    rllc_engine *e = p->e;
    float *space = e->member_space;
    (void)worker;
    for (int64_t j = 0; j < task; j++) space += rllc_pass_weights_size(e->model, e->plans[p->first + j]);
    rllc_pass_weights_pack(&e->weights[task], e->model, e->k, e->t, e->all_heads, p->base, e->plans[p->first + task],
                           p->members[p->first + task].free, &e->base, space);
    return RLLC_OK;
}

static rllc_status unpack_member(void *context, int64_t task, int worker) {
    const rllc_pass *p = context;
    const int64_t i = p->first + task;
    (void)worker;
    if (p->members[i].gradient)
        rllc_gradient_unpack(p->e, &p->e->weights[task], p->e->plans[i], slot_gradient(p, i, 0), p->members[i].gradient);
    return RLLC_OK;
}

/** Grows *array to at least n elements; new ones are zero. */
static rllc_status ensure(void *array, int64_t size, int64_t n, size_t item) {
    return n > size ? rllc_grow(array, size, n, item) : RLLC_OK;
}

/** Makes e->plans[i] the plan of members[i], keeping those that fit. */
static rllc_status ensure_members(rllc_engine *e, const rllc_member *members, int64_t n) {
    rllc_status status = RLLC_OK;
    if (n > e->n_members) {
        RLLC_TRY(ensure(&e->plans, e->n_members, n, sizeof *e->plans));
        RLLC_TRY(ensure(&e->gradient_at, e->n_members, n, sizeof *e->gradient_at));
        RLLC_TRY(ensure(&e->loss_sums, (e->n_members + 1) * RLLC_SLOTS, (n + 1) * RLLC_SLOTS, sizeof *e->loss_sums));
        e->n_members = n;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!e->plans[i]) RLLC_TRY(rllc_alloc(&e->plans[i], 1, sizeof **e->plans));
        if (rllc_plan_fits(e->plans[i], members[i].component)) continue;
        rllc_plan_release(e->plans[i]);
        RLLC_TRY(rllc_plan_init(e->plans[i], e->model, members[i].component));
    }
done:
    return status;
}

/** Chooses the next group: at least one member, as many as keep their slots' gradients within GROUP_BYTES. */
static rllc_status choose_group(rllc_pass *p) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    int64_t gradients = 0, space = 0;
    p->run_base = p->base_loss;
    p->first = p->end;
    for (; p->end < p->n_members; p->end++) {
        const rllc_plan *plan = e->plans[p->end];
        const int64_t more = p->members[p->end].gradient ? plan->gradient_size * p->cut.slots : 0;
        if (p->end > p->first && (gradients + more) * (int64_t)sizeof(float) > GROUP_BYTES) break;
        e->gradient_at[p->end] = gradients;
        gradients += more;
        space += rllc_pass_weights_size(e->model, plan);
        p->run_base |= plan->start >= 0;
    }
    RLLC_TRY(ensure(&e->weights, e->n_weights, p->end - p->first, sizeof *e->weights));
    if (p->end - p->first > e->n_weights) e->n_weights = p->end - p->first;
    RLLC_TRY(ensure(&e->gradients, e->gradients_size, gradients, sizeof *e->gradients));
    if (gradients > e->gradients_size) e->gradients_size = gradients;
    RLLC_TRY(ensure(&e->member_space, e->member_space_size, space, sizeof *e->member_space));
    if (space > e->member_space_size) e->member_space_size = space;
done:
    return status;
}

static rllc_status run_group(rllc_pass *p) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    const int64_t n = p->end - p->first;
    int64_t chunks = 0;
    for (int64_t i = p->first; i < p->end; i++) chunks += reduce_chunks(p, i);
    RLLC_TRY(rllc_parallel(n, e->n_threads, pack_member, p));
    RLLC_TRY(rllc_parallel(p->cut.slots, e->n_threads, run_slot, p));
    RLLC_TRY(rllc_parallel(chunks, e->n_threads, reduce_chunk, p));
    RLLC_TRY(rllc_parallel(n, e->n_threads, unpack_member, p));
done:
    return status;
}

static double mean_loss(const rllc_pass *p, int64_t member) {
    double sum = 0;
    for (int64_t s = 0; s < p->cut.slots; s++) sum += *loss_sum(p, member, s);
    return sum / ((double)p->rows * (double)(p->e->t - 1));
}

rllc_status rllc_pass_check(const rllc_pass *p) {
    const rllc_engine *e = p->e;
    const int64_t rows = p->rows, V = e->model->options.d_vocab;
    const int32_t *tokens = p->tokens;
    if (rows < 1 || rows > e->max_rows)
        return rllc_fail(RLLC_EMISMATCH, "%lld sequences in one call, expected 1 to %lld", (long long)rows,
                         (long long)e->max_rows);
    for (int64_t i = 0; i < rows * e->t; i++)
        if (tokens[i] < 0 || tokens[i] >= V)
            return rllc_fail(RLLC_EMISMATCH, "token id %d in sequence %lld at position %lld is outside the vocabulary of %lld",
                             (int)tokens[i], (long long)(i / e->t), (long long)(i % e->t), (long long)V);
    return RLLC_OK;
}

void rllc_pass_pack_base(rllc_pass *p) {
    rllc_engine *e = p->e;
    rllc_pass_weights_pack(&e->base, e->model, e->k, e->t, e->all_heads, p->base, NULL, NULL, NULL, e->base_space);
}

/** Every member, group by group. */
static rllc_status run(rllc_pass *p, double *base_loss) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_pass_check(p));
    RLLC_TRY(ensure_members(e, p->members, p->n_members));
    memset(e->loss_sums, 0, (size_t)((p->n_members + 1) * RLLC_SLOTS) * sizeof *e->loss_sums);
    p->cut = rllc_cut_batch(e->t, p->rows);
    p->base_loss = base_loss || p->base_token_losses || p->logits;
    rllc_pass_pack_base(p);
    do {
        RLLC_TRY(choose_group(p));
        RLLC_TRY(run_group(p));
        p->base_loss = false; /* once is enough */
    } while (p->end < p->n_members);
    for (int64_t i = 0; i < p->n_members; i++) p->members[i].loss = mean_loss(p, i);
    if (base_loss) *base_loss = mean_loss(p, p->n_members);
done:
    return status;
}

rllc_status rllc_engine_lockstep(rllc_engine *e, const float *base, const int32_t *tokens, int64_t rows,
                                 rllc_member *members, int64_t n_members, double *base_loss,
                                 float *base_token_losses) {
    rllc_pass p = {.e = e, .tokens = tokens, .rows = rows, .base = base, .members = members, .n_members = n_members,
                     .base_token_losses = base_token_losses};
    return run(&p, base_loss);
}

rllc_status rllc_engine_evaluate(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                 rllc_evaluation *out) {
    rllc_span all = {0, e->model->size};
    const rllc_component full = {.name = "full", .ranges = &all, .n_ranges = 1, .size = e->model->size};
    rllc_member m = {.component = &full, .free = weights, .gradient = out->gradient};
    rllc_pass p = {.e = e, .tokens = tokens, .rows = rows, .base = weights, .members = &m,
                     .n_members = out->gradient ? 1 : 0, .logits = out->logits};
    if (out->gradient && !out->logits) { /* one pass gives everything */
        m.token_losses = out->token_losses;
        rllc_status status = run(&p, NULL);
        out->loss = m.loss;
        return status;
    }
    p.base_token_losses = out->token_losses;
    return run(&p, &out->loss);
}

/** Bytes of gradients and packed weights that the members of one call take. */
static rllc_status members_bytes(const rllc_model *m, const rllc_component *const *members, int64_t n, int64_t slots,
                                 int64_t *bytes) {
    rllc_status status = RLLC_OK;
    rllc_plan plan = {0};
    int64_t gradients = 0;
    *bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        rllc_plan_release(&plan);
        RLLC_TRY(rllc_plan_init(&plan, m, members[i]));
        const int64_t one = plan.gradient_size * slots * (int64_t)sizeof(float);
        gradients = gradients + one > GROUP_BYTES ? (one > GROUP_BYTES ? one : GROUP_BYTES) : gradients + one;
        *bytes += rllc_pass_weights_size(m, &plan) * (int64_t)sizeof(float);
    }
    *bytes += gradients;
done:
    rllc_plan_release(&plan);
    return status;
}

int64_t rllc_engine_bytes(const rllc_model *m, int64_t rows, int n_threads, const rllc_component *const *members,
                          int64_t n_members) {
    const rllc_kernels *k = rllc_kernels_get();
    int64_t bytes = 0;
    if (n_threads <= 0) n_threads = rllc_default_threads();
    if (n_threads > RLLC_SLOTS) n_threads = RLLC_SLOTS;
    if (members_bytes(m, members, n_members, rllc_cut_batch(m->options.n_ctx, rows).slots, &bytes) != RLLC_OK) return -1;
    return bytes + (n_threads * rllc_workspace_floats(m, k) + rllc_pass_weights_size(m, NULL)) * (int64_t)sizeof(float);
}

