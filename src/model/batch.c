/* Passes over a whole batch: members in groups, blocks in slots, slots over threads. */
#include <string.h>

#include "batch.h"

rllc_cut rllc_cut_batch(int64_t t, int64_t rows) {
    rllc_cut c;
    c.sequences = (RLLC_BLOCK_ROWS + t - 1) / t;
    c.blocks = (rows + c.sequences - 1) / c.sequences;
    c.slots = c.blocks < RLLC_SLOTS ? c.blocks : RLLC_SLOTS;
    return c;
}

rllc_block rllc_pass_block(const rllc_pass *p, int64_t k) {
    rllc_block b = {.first = k * p->cut.sequences};
    b.sequences = p->rows - b.first < p->cut.sequences ? p->rows - b.first : p->cut.sequences;
    b.rows = b.sequences * p->e->t;
    b.tokens = p->tokens + b.first * p->e->t;
    return b;
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
            return rllc_fail(RLLC_EMISMATCH,
                             "token id %d in sequence %lld at position %lld is outside the vocabulary of %lld",
                             (int)tokens[i], (long long)(i / e->t), (long long)(i % e->t), (long long)V);
    return RLLC_OK;
}

void rllc_pass_pack_base(rllc_pass *p, const float *base) {
    rllc_engine *e = p->e;
    p->base = base;
    if (!e->k->host_memory) {
        e->k->upload((size_t)e->model->size * sizeof *base, base, e->base_copy);
        p->base = e->base_copy;
    }
    rllc_pass_weights_pack(&e->base, e, p->base, NULL, NULL, NULL, e->base_space);
}

/* ---- blocks -------------------------------------------------------------------------------------------------- */

static void base_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t slot) {
    rllc_activations a;
    rllc_forward(p->e, ws, &p->e->base, NULL, b, NULL, &a);
    ws->base = a;                                 /* without normalization n and nf are x itself */
    if (!p->base_loss || p->last_members) return; /* those form the logits anyway */
    const rllc_loss_request q = {.token_losses = p->base_token_losses, .logits = p->logits};
    *rllc_pass_loss_sum(p, p->n_members, slot) += rllc_loss(p->e, ws, &p->e->base, a.nf, b, &q);
}

static void plain_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t at, int64_t slot,
                        float *buffer) {
    rllc_engine *e = p->e;
    const int64_t i = e->order[at];
    const rllc_member *m = &p->members[i];
    const rllc_plan *plan = e->plans[i];
    const rllc_pass_weights *w = &e->weights[at];
    rllc_loss_request q = {.token_losses = m->token_losses};
    float *g = m->gradient ? buffer + e->gradient_at[i] : NULL;
    if (g) {
        q.gradient_scale = rllc_pass_gradient_scale(p);
        q.dW_U = plan->unembed ? g + plan->at_W_U : NULL;
        q.db_U = plan->unembed ? g + plan->at_b_U : NULL;
        q.dnf = plan->start < e->model->options.n_layers || plan->ln_final;
    }
    rllc_forward(e, ws, w, plan, b, &ws->base, &ws->view);
    *rllc_pass_loss_sum(p, i, slot) += rllc_loss(e, ws, w, ws->view.nf, b, &q);
    if (g) rllc_backward(e, ws, w, plan, b, &ws->view, g);
}

static void run_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t slot, float *buffer) {
    const rllc_engine *e = p->e;
    int64_t at = p->first + p->last_members;
    int layer = -1;
    rllc_upload_tokens(e, ws, b);
    if (e->reference) rllc_reference_block(e, ws, b);
    if (p->run_base) base_block(p, ws, b, slot);
    if (p->last_members) rllc_last_layer_block(p, ws, b, slot, buffer);
    for (int64_t f = 0; f < p->n_families; f++) {
        const rllc_family *family = &e->families[f];
        if (family->first < at) continue;
        const int start = e->plans[e->order[family->first]]->start;
        rllc_earlier_layer_block(p, ws, b, family, start != layer, slot, buffer);
        layer = start;
        at = family->end;
    }
    for (; at < p->end; at++) plain_block(p, ws, b, at, slot, buffer);
}

/** One thread's part: slot after slot. */
static rllc_status run_slots(void *context, int64_t i, int worker) {
    rllc_pass *p = context;
    float *buffer;
    (void)i;
    for (int64_t slot; (slot = rllc_slots_take(&p->slots, &buffer)) >= 0;) {
        const int64_t begin = slot * p->cut.blocks / p->cut.slots, end = (slot + 1) * p->cut.blocks / p->cut.slots;
        for (int64_t k = begin; k < end; k++) {
            const rllc_block b = rllc_pass_block(p, k);
            run_block(p, &p->e->workspaces[worker], &b, slot, buffer);
        }
        rllc_slots_finish(&p->slots, slot);
    }
    return RLLC_OK;
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

/** Task i < n_families packs that family, the others members. */
static rllc_status pack(void *context, int64_t task, int worker) {
    const rllc_pass *p = context;
    rllc_engine *e = p->e;
    (void)worker;
    if (task < p->n_families) {
        rllc_family *f = &e->families[task];
        rllc_entry_pack(&f->base, e, p->base, e->plans[e->order[f->first]], NULL, e->family_space + f->space_at);
        return RLLC_OK;
    }
    const int64_t at = p->first + task - p->n_families, i = e->order[at];
    float *space = e->member_space + e->space_at[i];
    const float *free = p->members[i].free;
    if (!e->k->host_memory) {
        float *copy = space + rllc_pass_weights_size(e->model, e->plans[i]);
        e->k->upload((size_t)e->plans[i]->component.size * sizeof *free, free, copy);
        free = copy;
    }
    rllc_pass_weights_pack(&e->weights[at], e, p->base, e->plans[i], free, &e->base, space);
    return RLLC_OK;
}

static rllc_status unpack(void *context, int64_t task, int worker) {
    const rllc_pass *p = context;
    const rllc_engine *e = p->e;
    const int64_t at = p->first + task, i = e->order[at], n = e->plans[i]->component.size;
    float *out = p->members[i].gradient;
    (void)worker;
    if (!out) return RLLC_OK;
    float *to = e->k->host_memory ? out : e->gradient_copy;
    rllc_gradient_unpack(e, &e->weights[at], e->plans[i], rllc_slots_sum(&p->slots) + e->gradient_at[i], to);
    if (to != out) e->k->download((size_t)n * sizeof *out, to, out);
    return RLLC_OK;
}

/** Chooses the next group, makes room for it, and finds its families. */
static rllc_status choose_group(rllc_pass *p, int64_t buffers) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    int64_t gradients = 0, space = 0, family_space = 0;
    p->first = p->end;
    p->end = rllc_group_end(e, p->members, p->first, p->n_members, buffers);
    const rllc_needs needs = rllc_group_needs(e, p->members, p->first, p->end);
    RLLC_TRY(rllc_engine_ensure(e, &needs, buffers));
    p->run_base = p->base_loss;
    p->last_members = needs.last;
    p->n_families = 0;
    for (int64_t at = p->first; at < p->end; at++) {
        const rllc_plan *plan = e->plans[e->order[at]];
        e->space_at[e->order[at]] = space;
        space += rllc_member_space(e, plan);
        e->gradient_at[e->order[at]] = gradients;
        if (p->members[e->order[at]].gradient) gradients += plan->gradient_size;
        p->run_base |= plan->start >= 0;
        if (plan->path == RLLC_PATH_PLAIN) continue;
        if (at == p->first || !rllc_plan_related(e->plans[e->order[at - 1]], plan)) {
            e->families[p->n_families++] = (rllc_family){.first = at, .space_at = family_space};
            family_space += rllc_entry_size(e->model, plan);
        }
        e->families[p->n_families - 1].end = at + 1;
    }
    for (int64_t l = 0; l <= e->model->options.n_layers; l++)
        if (needs.folds[l]) rllc_fold_pack(e, l, &e->folds[l]);
    rllc_slots_init(&p->slots, e->k, p->cut.slots, buffers, needs.gradient, e->gradients);
done:
    return status;
}

static rllc_status run_group(rllc_pass *p) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    const int64_t n = p->end - p->first;
    /* where the table cannot reach the host's memory, one buffer serves the gradients of one member after another */
    const int copiers = e->k->host_memory ? e->n_threads : 1;
    const int64_t runners = e->n_threads < p->cut.slots ? e->n_threads : p->cut.slots;
    RLLC_TRY(rllc_parallel(p->n_families + n, copiers, pack, p));
    RLLC_TRY(rllc_parallel(runners, e->n_threads, run_slots, p));
    RLLC_TRY(rllc_slots_total(&p->slots, e->n_threads));
    RLLC_TRY(rllc_parallel(n, copiers, unpack, p));
done:
    return status;
}

static double mean_loss(const rllc_pass *p, int64_t member) {
    double sum = 0;
    for (int64_t s = 0; s < p->cut.slots; s++) sum += *rllc_pass_loss_sum(p, member, s);
    return sum / ((double)p->rows * (double)(p->e->t - 1));
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

/** Every member, group by group. */
static rllc_status run(rllc_pass *p, const float *base, double *base_loss) {
    rllc_engine *e = p->e;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_pass_check(p));
    RLLC_TRY(rllc_engine_plan(e, p->members, p->n_members));
    memset(e->loss_sums, 0, (size_t)((p->n_members + 1) * RLLC_SLOTS) * sizeof *e->loss_sums);
    p->cut = rllc_cut_batch(e->t, p->rows);
    p->base_loss = base_loss || p->base_token_losses || p->logits;
    rllc_pass_pack_base(p, base);
    if (e->reference) rllc_reference_prepare(e);
    do {
        RLLC_TRY(choose_group(p, rllc_slots_buffers(p->cut.slots, e->n_threads)));
        status = run_group(p);
        rllc_slots_release(&p->slots);
        if (status != RLLC_OK) goto done;
        p->base_loss = false; /* once is enough */
    } while (p->end < p->n_members);
    for (int64_t i = 0; i < p->n_members; i++) p->members[i].loss = mean_loss(p, i);
    if (base_loss) *base_loss = mean_loss(p, p->n_members);
done:
    return status;
}

rllc_status rllc_engine_lockstep(rllc_engine *e, const float *base, const int32_t *tokens, int64_t rows,
                                 rllc_member *members, int64_t n_members, double *base_loss, float *base_token_losses) {
    rllc_pass p = {.e = e,
                   .tokens = tokens,
                   .rows = rows,
                   .members = members,
                   .n_members = n_members,
                   .base_token_losses = base_token_losses};
    return run(&p, base, base_loss);
}

rllc_status rllc_engine_evaluate(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                 rllc_evaluation *out) {
    rllc_span all = {0, e->model->size};
    const rllc_component full = {.name = "full", .ranges = &all, .n_ranges = 1, .size = e->model->size};
    rllc_member m = {.component = &full, .free = weights, .gradient = out->gradient};
    rllc_pass p = {.e = e,
                   .tokens = tokens,
                   .rows = rows,
                   .members = &m,
                   .n_members = out->gradient ? 1 : 0,
                   .logits = out->logits};
    if (out->gradient && !out->logits) { /* one pass gives everything */
        m.token_losses = out->token_losses;
        rllc_status status = run(&p, weights, NULL);
        out->loss = m.loss;
        return status;
    }
    p.base_token_losses = out->token_losses;
    return run(&p, weights, &out->loss);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/** What the largest groups of members that move these components need, all with gradients. */
static rllc_status needs_of(rllc_engine *e, const rllc_component *const *components, int64_t n, int64_t buffers,
                            rllc_needs *out) {
    rllc_status status = RLLC_OK;
    rllc_member *members = NULL;
    float some;
    *out = (rllc_needs){0};
    RLLC_TRY(rllc_alloc(&members, n, sizeof *members));
    for (int64_t i = 0; i < n; i++) members[i] = (rllc_member){.component = components[i], .gradient = &some};
    RLLC_TRY(rllc_engine_plan(e, members, n));
    for (int64_t first = 0, end; first < n; first = end) {
        end = rllc_group_end(e, members, first, n, buffers);
        *out = rllc_needs_join(*out, rllc_group_needs(e, members, first, end));
    }
done:
    rllc_free(members);
    return status;
}

int64_t rllc_engine_bytes(const rllc_model *m, int64_t rows, int n_threads, const rllc_component *const *members,
                          int64_t n_members) {
    rllc_engine *e = NULL;
    rllc_needs needs;
    int64_t floats = -1;
    if (rllc_alloc(&e, 1, sizeof *e) != RLLC_OK) return -1;
    *e = (rllc_engine){.model = m, .k = rllc_kernels_get()}; /* plans only */
    if (n_threads <= 0) n_threads = rllc_default_threads();
    if (n_threads > RLLC_SLOTS) n_threads = RLLC_SLOTS;
    const int64_t buffers = rllc_slots_buffers(rllc_cut_batch(m->options.n_ctx, rows).slots, n_threads);
    if (needs_of(e, members, n_members, buffers, &needs) == RLLC_OK) {
        floats = needs.gradient * buffers + needs.member_space + needs.family_space + rllc_pass_weights_size(m, NULL);
        floats += n_threads * (rllc_workspace_floats(m, e->k) + rllc_low_rank_space_floats(m, e->k, &needs));
        for (int64_t l = 0; l <= m->options.n_layers; l++)
            if (needs.folds[l]) floats += rllc_fold_size(m, l);
    }
    rllc_engine_free(e);
    return floats < 0 ? -1 : floats * (int64_t)sizeof(float);
}
