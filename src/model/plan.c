/* Component -> plan: where the forward pass must restart, which gradients are formed, where they are packed. */
#include <string.h>

#include "engine.h"

/** Position of parameter `index` in the free vector of c, -1 if it does not move. */
static int64_t free_position(const rllc_component *c, int64_t index) {
    int64_t before = 0;
    for (int64_t i = 0; i < c->n_ranges; i++) {
        if (index >= c->ranges[i].first && index < c->ranges[i].first + c->ranges[i].n)
            return before + index - c->ranges[i].first;
        before += c->ranges[i].n;
    }
    return -1;
}

/** Whether the whole slice [first, first + n) moves; a slice that moves in part is refused. */
static rllc_status find_slice(const rllc_component *c, const rllc_parameter *p, int64_t first, int64_t n, int64_t *at) {
    *at = free_position(c, first);
    const int64_t last = free_position(c, first + n - 1);
    if ((*at < 0) != (last < 0) || (*at >= 0 && last != *at + n - 1))
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "component '%s' moves only a part of tensor %s: whole tensors or whole heads", c->name,
                         p->name);
    return RLLC_OK;
}

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/** Notes that a tensor of a layer (one of its heads, for tensors with heads) moves. */
static void note_layer_tensor(rllc_plan_layer *l, const rllc_parameter *p, bool *head_moves, int head) {
    if (strstr(p->name, ".ln1.")) l->ln = true;
    if (ends_with(p->name, ".b_O")) l->b_O = true;
    if (!p->has_heads) return;
    head_moves[head] = true;
    if (ends_with(p->name, ".W_O")) {
        l->W_O = true;
    } else {
        l->qkv |= strstr(p->name, ".W_") != NULL;
        l->table = true; /* biases, and W_Q and W_K through the positions */
    }
}

static void note_tensor(rllc_plan *plan, const rllc_parameter *p) {
    if (strcmp(p->name, "embed.W_E") == 0) plan->W_E = true;
    if (strcmp(p->name, "pos_embed.W_pos") == 0) plan->W_pos = true;
    if (strncmp(p->name, "ln_final.", 9) == 0) plan->ln_final = true;
    if (strncmp(p->name, "unembed.", 8) == 0) plan->unembed = true;
}

static rllc_status find_moving(rllc_plan *plan, const rllc_model *m, const rllc_component *c, bool *head_moves) {
    const int64_t H = m->options.n_heads;
    rllc_status status = RLLC_OK;
    int64_t moving = 0;
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        const int64_t slices = p->has_heads ? H : 1, n = p->n / slices;
        for (int64_t h = 0; h < slices; h++) {
            int64_t at;
            RLLC_TRY(find_slice(c, p, p->offset + h * n, n, &at));
            plan->slice_offsets[i * H + h] = at;
            if (at < 0) continue;
            moving += n;
            if (p->layer < 0) {
                note_tensor(plan, p);
            } else {
                note_layer_tensor(&plan->layers[p->layer], p, head_moves + p->layer * H, (int)h);
            }
        }
    }
    if (moving != c->size) /* a range inside a tensor, or beyond the model */
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "component '%s' moves %lld numbers, of which %lld are whole tensors or whole heads of this model",
                         c->name, (long long)c->size, (long long)moving);
done:
    return status;
}

static int64_t take(int64_t *size, bool wanted, int64_t n) {
    if (!wanted) return -1;
    const int64_t at = *size;
    *size += (n + 15) / 16 * 16; /* keeps every part aligned to 64 bytes */
    return at;
}

static void lay_out_gradient(rllc_plan *plan, const rllc_model_options *o) {
    const int64_t C = o->d_model, V = o->d_vocab;
    int64_t size = 0;
    plan->at_W_E = take(&size, plan->W_E, V * C);
    plan->at_lnf_w = take(&size, plan->ln_final, C);
    plan->at_lnf_b = take(&size, plan->ln_final, C);
    plan->at_W_U = take(&size, plan->unembed, C * V);
    plan->at_b_U = take(&size, plan->unembed, V);
    for (int64_t l = 0; l < o->n_layers; l++) {
        rllc_plan_layer *p = &plan->layers[l];
        const int64_t width = p->n_heads * 3 * o->d_head;
        p->at_ln_w = take(&size, p->ln, C);
        p->at_ln_b = take(&size, p->ln, C);
        p->at_qkv = take(&size, p->qkv, C * width);
        p->at_table = take(&size, p->table, o->n_ctx * width);
        p->at_W_O = take(&size, p->W_O, p->n_heads * o->d_head * C);
        p->at_b_O = take(&size, p->b_O, C);
    }
    plan->at_m = take(&size, plan->path != RLLC_PATH_PLAIN, plan->outputs * plan->rank);
    plan->gradient_size = size;
}

static void find_start(rllc_plan *plan, const rllc_model_options *o) {
    plan->start = (int)o->n_layers;
    for (int l = (int)o->n_layers - 1; l >= 0; l--) {
        const rllc_plan_layer *p = &plan->layers[l];
        if (p->ln || p->b_O || p->n_heads) plan->start = l;
    }
    if (plan->W_pos) plan->start = 0;
    if (plan->W_E) plan->start = -1;
    if (plan->start >= 0 && plan->start < o->n_layers) {
        const rllc_plan_layer *p = &plan->layers[plan->start];
        plan->partial_start = !p->ln && !plan->W_pos && p->n_heads < o->n_heads;
    }
}

/**
 * The path of a member, decided here alone. Low rank: whole heads of one layer move and nothing else, and three
 * products of depth `rank` (outputs, back to z, and their sum over tokens) are less work than two of depth C.
 */
static void find_path(rllc_plan *plan, const rllc_model_options *o) {
    const int64_t L = o->n_layers;
    if (plan->start < 0 || plan->start >= L || !plan->partial_start || plan->ln_final || plan->unembed) return;
    const rllc_plan_layer *p = &plan->layers[plan->start];
    if (p->b_O || p->n_heads == 0 || 3 * p->n_heads * o->d_head >= 2 * o->d_model) return;
    for (int64_t l = plan->start + 1; l < L; l++) {
        const rllc_plan_layer *above = &plan->layers[l];
        if (above->ln || above->b_O || above->n_heads) return;
    }
    plan->path = plan->start == L - 1 ? RLLC_PATH_LAST : RLLC_PATH_EARLIER;
    plan->rank = p->n_heads * o->d_head;
    plan->outputs = plan->path == RLLC_PATH_LAST ? o->d_vocab : 3 * o->n_heads * o->d_head;
}

rllc_status rllc_plan_init(rllc_plan *plan, const rllc_model *m, const rllc_component *c, bool plain) {
    const rllc_model_options *o = &m->options;
    const int64_t H = o->n_heads, L = o->n_layers;
    rllc_status status = RLLC_OK;
    bool *head_moves = NULL;
    *plan = (rllc_plan){0};
    RLLC_TRY(rllc_alloc(&plan->component.ranges, c->n_ranges, sizeof *c->ranges));
    memcpy(plan->component.ranges, c->ranges, (size_t)c->n_ranges * sizeof *c->ranges);
    plan->component.n_ranges = c->n_ranges;
    plan->component.size = c->size;
    RLLC_TRY(rllc_alloc(&plan->slice_offsets, m->n_parameters * H, sizeof *plan->slice_offsets));
    RLLC_TRY(rllc_alloc(&plan->head_lists, L * H, sizeof *plan->head_lists));
    RLLC_TRY(rllc_alloc(&head_moves, L * H, sizeof *head_moves));
    RLLC_TRY(find_moving(plan, m, c, head_moves));
    for (int64_t l = 0; l < L; l++) {
        rllc_plan_layer *p = &plan->layers[l];
        if (plan->W_pos) p->table = true; /* W_pos takes its gradient from every head's table */
        p->heads = plan->head_lists + l * H;
        for (int h = 0; h < H; h++)
            if (head_moves[l * H + h] || plan->W_pos) p->heads[p->n_heads++] = h;
    }
    find_start(plan, o);
    if (!plain) find_path(plan, o);
    lay_out_gradient(plan, o);
done:
    rllc_free(head_moves);
    if (status != RLLC_OK) rllc_plan_release(plan);
    return status;
}

void rllc_plan_release(rllc_plan *plan) {
    if (!plan) return;
    rllc_free(plan->component.ranges);
    rllc_free(plan->slice_offsets);
    rllc_free(plan->head_lists);
    *plan = (rllc_plan){0};
}

bool rllc_plan_fits(const rllc_plan *plan, const rllc_component *c) {
    return plan->component.n_ranges == c->n_ranges &&
           memcmp(plan->component.ranges, c->ranges, (size_t)c->n_ranges * sizeof *c->ranges) == 0;
}

bool rllc_plan_related(const rllc_plan *a, const rllc_plan *b) {
    if (a->path == RLLC_PATH_PLAIN || a->path != b->path || a->start != b->start || a->rank != b->rank) return false;
    const rllc_plan_layer *p = &a->layers[a->start], *q = &b->layers[b->start];
    return memcmp(p->heads, q->heads, (size_t)p->n_heads * sizeof *p->heads) == 0;
}
