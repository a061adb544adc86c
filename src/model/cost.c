/* Arithmetic of a pass, per token, counted from its plan. */
#include "engine.h"

/** Causal attention of one head, forward: q k^T and A v, half of the square each. */
static double attention_flops(const rllc_model_options *o) { return 2.0 * (double)o->d_head * (double)(o->n_ctx + 1); }

/** Forward pass of n heads of a layer, and of W_O for all. */
static double layer_forward(const rllc_model_options *o, int64_t n) {
    const double C = (double)o->d_model, D = (double)o->d_head;
    return (double)n * (6 * C * D + attention_flops(o)) + 2 * C * D * (double)o->n_heads;
}

double rllc_model_flops(const rllc_model *m) {
    const rllc_model_options *o = &m->options;
    return (double)o->n_layers * layer_forward(o, o->n_heads) + 2.0 * (double)o->d_model * (double)o->d_vocab;
}

static double plan_flops(const rllc_model_options *o, const rllc_plan *plan) {
    const double C = (double)o->d_model, D = (double)o->d_head, unembed = 2 * C * (double)o->d_vocab;
    double flops = unembed;
    if (plan->unembed) flops += unembed;
    if (plan->start < o->n_layers || plan->ln_final) flops += unembed;
    for (int l = plan->start < 0 ? 0 : plan->start; l < o->n_layers; l++) {
        const rllc_plan_layer *p = &plan->layers[l];
        const bool through = p->ln || plan->start < l;
        const int64_t backward = through ? o->n_heads : p->qkv || p->table ? p->n_heads : 0;
        flops += layer_forward(o, l == plan->start && plan->partial_start ? p->n_heads : o->n_heads);
        flops += (double)backward * (2.5 * attention_flops(o) + 2 * C * D); /* five products, and dz */
        if (through) flops += 6 * C * D * (double)o->n_heads;
        flops += (double)p->n_heads * C * D * ((p->qkv ? 6 : 0) + (p->W_O ? 2 : 0));
    }
    return flops;
}

double rllc_component_flops(const rllc_model *m, const rllc_component *c) {
    rllc_plan plan;
    if (rllc_plan_init(&plan, m, c) != RLLC_OK) return -1;
    const double flops = plan_flops(&m->options, &plan);
    rllc_plan_release(&plan);
    return flops;
}
