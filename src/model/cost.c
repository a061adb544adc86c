/* Arithmetic of a pass, per token, counted from its plan. */
#include "engine.h"

/** Causal attention of one head, forward: q k^T and A v, half of the square each. */
static double attention_flops(const rllc_model_options *o) {
    return 2.0 * (double)o->d_head * (double)(o->n_ctx + 1);
}

/** Backward: five products, S again among them. */
static double attention_backward_flops(const rllc_model_options *o) {
    return 2.5 * attention_flops(o);
}

/** Forward pass of n heads of a layer, and of W_O for all. */
static double layer_forward(const rllc_model_options *o, int64_t n) {
    const double C = (double)o->d_model, D = (double)o->d_head;
    return (double)n * (6 * C * D + attention_flops(o)) + 2 * C * D * (double)o->n_heads;
}

double rllc_model_flops(const rllc_model *m) {
    const rllc_model_options *o = &m->options;
    return (double)o->n_layers * layer_forward(o, o->n_heads) + 2.0 * (double)o->d_model * (double)o->d_vocab;
}

static double plain_flops(const rllc_model_options *o, const rllc_plan *plan) {
    const double C = (double)o->d_model, D = (double)o->d_head, unembed = 2 * C * (double)o->d_vocab;
    double flops = unembed;
    if (plan->unembed) flops += unembed;
    if (plan->start < o->n_layers || plan->ln_final) flops += unembed;
    for (int l = plan->start < 0 ? 0 : plan->start; l < o->n_layers; l++) {
        const rllc_plan_layer *p = &plan->layers[l];
        const bool through = p->ln || plan->start < l;
        const int64_t backward = through ? o->n_heads : p->qkv || p->table ? p->n_heads : 0;
        flops += layer_forward(o, l == plan->start && plan->partial_start ? p->n_heads : o->n_heads);
        flops += (double)backward * (attention_backward_flops(o) + 2 * C * D);
        if (through) flops += 6 * C * D * (double)o->n_heads;
        flops += (double)p->n_heads * C * D * ((p->qkv ? 6 : 0) + (p->W_O ? 2 : 0));
    }
    return flops;
}

/** The moved heads, the three products of depth `rank` with the map behind them, and what lies above it. */
static double low_rank_flops(const rllc_model_options *o, const rllc_plan *plan) {
    const double C = (double)o->d_model, H = (double)o->n_heads, D = (double)o->d_head, rank = (double)plan->rank;
    const double n = (double)plan->layers[plan->start].n_heads;
    double flops = n * (attention_flops(o) + attention_backward_flops(o)) + 12 * C * rank; /* projections and theirs */
    flops += 6 * rank * (double)plan->outputs;
    flops += 2 * C * rank * (o->normalization == RLLC_NORM_LN ? 3 : 1); /* z W_O, xhat W_O^T, z x xhat */
    if (plan->path == RLLC_PATH_LAST) return flops;
    flops += 4 * C * rank + 4 * C * (double)o->d_vocab; /* dx W_O^T and z x dx; unembedding, up and down */
    for (int l = plan->start + 1; l < o->n_layers; l++) {
        flops += H * (attention_flops(o) + attention_backward_flops(o)) + 4 * C * H * D;
        if (l > plan->start + 1) flops += 12 * C * H * D; /* projections, up and down */
    }
    return flops;
}

static double component_flops(const rllc_model *m, const rllc_component *c, bool plain) {
    rllc_plan plan;
    if (rllc_plan_init(&plan, m, c, plain) != RLLC_OK) return -1;
    const bool low_rank = plan.path != RLLC_PATH_PLAIN;
    const double flops = low_rank ? low_rank_flops(&m->options, &plan) : plain_flops(&m->options, &plan);
    rllc_plan_release(&plan);
    return flops;
}

double rllc_component_flops(const rllc_model *m, const rllc_component *c) {
    return component_flops(m, c, false);
}

double rllc_component_plain_flops(const rllc_model *m, const rllc_component *c) {
    return component_flops(m, c, true);
}

double rllc_family_flops(const rllc_model *m, const rllc_component *c) {
    rllc_plan plan;
    if (rllc_plan_init(&plan, m, c, false) != RLLC_OK) return -1;
    const double flops = 2 * (double)plan.rank * (double)(m->options.d_model + plan.outputs); /* r and a */
    rllc_plan_release(&plan);
    return flops;
}
