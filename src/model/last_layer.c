/*
 * Heads of the last layer: the map behind them is the unembedding. Logits at the base are formed once for a piece of
 * rows, and moved from there: products of depth `rank`, not C, for every member.                          (E79, E80)
 */
#include "batch.h"

/** Rows first .. first+n-1 of the block in hand. */
struct piece {
    const rllc_pass *p;
    rllc_workspace *ws;
    const rllc_block *b;
    int64_t slot, first, n;
    float *buffer;
    double base_sum; /* of the block's losses at the base */
};

/** A member's losses on the piece; dz and what its gradients need of the unembedding. */
static void member_piece(const struct piece *x, int64_t at, const float *rstd_base) {
    const rllc_pass *p = x->p;
    const rllc_engine *e = p->e;
    rllc_low_rank_space *s = &x->ws->low_rank;
    const int64_t i = e->order[at], V = e->model->options.d_vocab;
    const rllc_plan *plan = e->plans[i];
    const rllc_entry_weights *w = &e->weights[at].entry;
    const rllc_heads *h = &s->heads[at - p->first];
    const int64_t rank = plan->rank, row = x->first;
    float *g = p->members[i].gradient ? x->buffer + e->gradient_at[i] : NULL;
    rllc_member_rows(e, s, plan, w, x->n, rstd_base, h->z + row * rank, s->x);
    const rllc_low_rank loss = {.rows = x->n,
                                .v = V,
                                .n = rank,
                                .a = s->a,
                                .lda = V,
                                .a_scale = rstd_base ? s->ratio : NULL,
                                .y = s->y,
                                .ldy = rank,
                                .b = w->b,
                                .ldb = V,
                                .c = e->folds[e->model->options.n_layers].c,
                                .lse = s->lse,
                                .targets = x->ws->targets + row,
                                .gradient_scale = g ? rllc_pass_gradient_scale(p) : 0,
                                .loss = s->losses,
                                .dy = s->dy,
                                .lddy = rank,
                                .g = s->g,
                                .m = g ? g + plan->at_m : NULL,
                                .scratch = s->kernel};
    if (e->reference) {
        rllc_reference_low_rank(e, x->ws, row, &loss);
    } else {
        e->k->low_rank_loss(&loss);
    }
    rllc_collect(e, x->ws, x->b, row, x->n, s->losses, p->members[i].token_losses, rllc_pass_loss_sum(p, i, x->slot));
    if (g)
        rllc_member_rows_backward(e, s, plan, w, x->n, h->z + row * rank, NULL, h->dz + row * rank,
                                  g + plan->layers[plan->start].at_W_O);
}

static void family_piece(const struct piece *x, const rllc_family *f) {
    const rllc_engine *e = x->p->e;
    rllc_workspace *ws = x->ws;
    const rllc_plan *plan = e->plans[e->order[f->first]];
    const int64_t C = e->model->options.d_model, HD = e->model->options.n_heads * e->model->options.d_head;
    const float *rstd = e->base.lnf_w ? ws->base.rstd_f + x->first : NULL;
    rllc_family_rows(e, &ws->low_rank, plan, &f->base, x->n, ws->base.x[plan->start + 1] + x->first * C, rstd,
                     ws->base.z[plan->start] + x->first * HD, ws->logits);
    for (int64_t at = f->first; at < f->end; at++) member_piece(x, at, rstd);
}

/** Logits at the base, their loss, and u* = logits - c, which the families start from. */
static void base_piece(struct piece *x) {
    const rllc_pass *p = x->p;
    const rllc_engine *e = p->e;
    rllc_workspace *ws = x->ws;
    const int64_t V = e->model->options.d_vocab;
    rllc_logits(e, ws, &e->base, ws->base.nf, x->first, x->n);
    rllc_row_losses(e, ws, x->first, x->n, 0, ws->low_rank.lse);
    if (p->base_loss) rllc_collect(e, ws, x->b, x->first, x->n, ws->losses, p->base_token_losses, &x->base_sum);
    if (p->logits)
        e->k->download((size_t)(x->n * V) * sizeof(float), ws->logits, p->logits + (x->b->first * e->t + x->first) * V);
    e->k->add_scaled_rows(x->n, V, e->minus_one, e->folds[e->model->options.n_layers].c, 0, ws->logits, V);
}

void rllc_last_layer_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t slot, float *buffer) {
    const rllc_engine *e = p->e;
    const int64_t l = e->model->options.n_layers - 1, end = p->first + p->last_members;
    for (int64_t at = p->first; at < end; at++)
        rllc_heads_forward(e, ws, &e->weights[at].layers[l], b, ws->base.n[l], &ws->low_rank.heads[at - p->first]);
    struct piece x = {.p = p, .ws = ws, .b = b, .slot = slot, .buffer = buffer};
    for (x.first = 0; x.first < b->rows; x.first += RLLC_PIECE_ROWS) {
        x.n = b->rows - x.first < RLLC_PIECE_ROWS ? b->rows - x.first : RLLC_PIECE_ROWS;
        base_piece(&x);
        for (int64_t f = 0; f < p->n_families && e->families[f].first < end; f++) family_piece(&x, &e->families[f]);
    }
    *rllc_pass_loss_sum(p, p->n_members, slot) += x.base_sum;
    for (int64_t at = p->first; at < end; at++) {
        const int64_t i = e->order[at];
        if (p->members[i].gradient)
            rllc_heads_backward(e, ws, &e->weights[at].layers[l], e->plans[i], b, ws->base.n[l],
                                &ws->low_rank.heads[at - p->first], buffer + e->gradient_at[i]);
    }
}
