/* Exact products with the Hessian of the mean loss, restricted to a component: forward over reverse.          (E90) */
#include <string.h>

#include "tangent.h"

enum { GROUP_BYTES = 512 << 20 }; /* of the directions that go through the model together */

/** A call in progress. */
typedef struct hessian {
    rllc_pass pass;
    rllc_plan plan;
    const float *const *v;
    float *const *out;
    int64_t first, n;           /* directions in hand: v[first .. first+n-1] */
    rllc_direction *directions; /* [n] */
    rllc_tangent_space *spaces; /* [threads] */
    float *gradients;           /* buffers of the slots */
    double losses[RLLC_SLOTS];
} hessian;

static const rllc_parameter *positions(const rllc_model *m) {
    return rllc_model_find(m, "pos_embed.W_pos");
}

/* ---- directions ------------------------------------------------------------------------------------------------- */

/** flat [P] from v in the component's layout: zero elsewhere. */
static void expand(const rllc_component *c, const float *v, float *flat) {
    for (int64_t i = 0; i < c->n_ranges; i++) {
        memcpy(flat + c->ranges[i].first, v, (size_t)c->ranges[i].n * sizeof *v);
        v += c->ranges[i].n;
    }
}

/** Adds what the moved positions bring to the bias tables of queries and keys: pos1 W. */
static void add_positions(const hessian *s, rllc_direction *d) {
    const rllc_engine *e = s->pass.e;
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head;
    const int64_t width = e->model->options.n_heads * 3 * D;
    for (int64_t l = 0; l < e->model->options.n_layers; l++) {
        float *bias = d->space + (d->w.layers[l].bias - d->space);
        for (int64_t h = 0; h < e->model->options.n_heads; h++)
            e->k->gemm(false, false, e->t, 2 * D, C, 1.0F, d->w.W_pos, C, e->base.layers[l].qkv + h * 3 * D, width,
                       1.0F, bias + h * 3 * D, width);
    }
}

/** Tables are bilinear, pos W + b: packed with the base's positions they are pos W1 + b1, and pos1 W is added. */
static void pack_direction(const hessian *s, const float *v, rllc_direction *d) {
    const rllc_engine *e = s->pass.e;
    const rllc_parameter *pos = positions(e->model);
    float *moved = d->flat + pos->offset;
    const size_t bytes = (size_t)pos->n * sizeof *moved;
    memset(d->flat, 0, (size_t)e->model->size * sizeof *d->flat);
    expand(&s->plan.component, v, d->flat);
    memcpy(moved, e->base.W_pos, bytes);
    rllc_pass_weights_pack(&d->w, e, d->flat, NULL, NULL, NULL, d->space);
    memset(moved, 0, bytes); /* the positions' own tangent comes back */
    expand(&s->plan.component, v, d->flat);
    if (s->plan.W_pos) add_positions(s, d);
}

static rllc_status pack(void *context, int64_t i, int worker) {
    hessian *s = context;
    (void)worker;
    pack_direction(s, s->v[s->first + i], &s->directions[i]);
    return RLLC_OK;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static double run_block(const hessian *s, int64_t k, int worker, float *buffer) {
    rllc_engine *e = s->pass.e;
    rllc_workspace *ws = &e->workspaces[worker];
    rllc_activations a;
    const rllc_block b = rllc_pass_block(&s->pass, k);
    rllc_upload_tokens(e, ws, &b);
    rllc_forward(e, ws, &e->base, NULL, &b, NULL, &a);
    const rllc_tangent_pass p = {.e = e,
                                 .ws = ws,
                                 .space = &s->spaces[worker],
                                 .plan = &s->plan,
                                 .b = &b,
                                 .a = &a,
                                 .directions = s->directions,
                                 .n = s->n,
                                 .scale = rllc_pass_gradient_scale(&s->pass),
                                 .g = buffer};
    rllc_tangent_forward(&p);
    return rllc_tangent_backward(&p);
}

/** One thread's part: slot after slot. */
static rllc_status run_slots(void *context, int64_t i, int worker) {
    hessian *s = context;
    const rllc_cut *cut = &s->pass.cut;
    float *buffer;
    (void)i;
    for (int64_t slot; (slot = rllc_slots_take(&s->pass.slots, &buffer)) >= 0;) {
        double loss = 0;
        for (int64_t k = slot * cut->blocks / cut->slots; k < (slot + 1) * cut->blocks / cut->slots; k++)
            loss += run_block(s, k, worker, buffer);
        s->losses[slot] = loss;
        rllc_slots_finish(&s->pass.slots, slot);
    }
    return RLLC_OK;
}

/* ---- results ------------------------------------------------------------------------------------------------------
 */

/** The part of the unpacked product that comes from the positions' own tangent, all layers and heads:
 *  dW1 += pos1^T table, dpos1 += table W1^T. g: the packed gradient. */
static void add_positions_product(const hessian *s, const rllc_direction *d, const float *g, float *out) {
    const rllc_engine *e = s->pass.e;
    const rllc_model *m = e->model;
    const int64_t C = m->options.d_model, D = m->options.d_head, H = m->options.n_heads, width = H * 3 * D;
    const int64_t at_pos = s->plan.slice_offsets[(positions(m) - m->parameters) * H];
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        const char *suffix = strrchr(p->name, '.') + 1;
        const int j = strcmp(suffix, "W_Q") == 0 ? 0 : strcmp(suffix, "W_K") == 0 ? 1 : -1;
        for (int64_t h = 0; j >= 0 && h < H; h++) {
            const int64_t at = s->plan.slice_offsets[i * H + h], column = (3 * h + j) * D;
            const float *table = g + s->plan.layers[p->layer].at_table + column;
            if (at < 0) continue; /* W1 is zero there too */
            e->k->gemm(true, false, C, D, e->t, 1.0F, d->w.W_pos, C, table, width, 1.0F, out + at, D);
            e->k->gemm(false, true, e->t, C, D, 1.0F, table, width, d->w.layers[p->layer].qkv + column, width, 1.0F,
                       out + at_pos, C);
        }
    }
}

static rllc_status unpack(void *context, int64_t i, int worker) {
    const hessian *s = context;
    const rllc_engine *e = s->pass.e;
    const float *g = rllc_slots_sum(&s->pass.slots);
    float *out = s->out[s->first + i];
    (void)worker;
    rllc_gradient_unpack(e, &e->base, &s->plan, g + (i + 1) * s->plan.gradient_size, out);
    if (s->plan.W_pos) add_positions_product(s, &s->directions[i], g, out);
    return RLLC_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int64_t buffers_of(const hessian *s) {
    return rllc_slots_buffers(s->pass.cut.slots, s->pass.e->n_threads);
}

/** Floats that n directions take. */
static int64_t floats_of(const hessian *s, int64_t n) {
    const rllc_model *m = s->pass.e->model;
    return s->pass.e->n_threads * rllc_tangent_space_floats(m, n) + buffers_of(s) * (n + 1) * s->plan.gradient_size +
           n * (m->size + rllc_pass_weights_size(m, NULL));
}

/** As many directions at once as the bound allows, at least one. */
static int64_t group_size(const hessian *s, int64_t n) {
    const int64_t fixed = floats_of(s, 0), each = floats_of(s, 1) - fixed;
    const int64_t most = (GROUP_BYTES / (int64_t)sizeof(float)) / (each > 0 ? each : 1);
    return n <= most ? n : most > 1 ? most : 1;
}

static rllc_status open_group(hessian *s, int64_t n) {
    rllc_status status = RLLC_OK;
    const rllc_engine *e = s->pass.e;
    RLLC_TRY(rllc_alloc(&s->directions, n, sizeof *s->directions));
    RLLC_TRY(rllc_alloc(&s->spaces, e->n_threads, sizeof *s->spaces));
    for (int64_t i = 0; i < n; i++) {
        RLLC_TRY(rllc_alloc(&s->directions[i].flat, e->model->size, sizeof(float)));
        RLLC_TRY(rllc_alloc(&s->directions[i].space, rllc_pass_weights_size(e->model, NULL), sizeof(float)));
    }
    for (int w = 0; w < e->n_threads; w++) RLLC_TRY(rllc_tangent_space_init(&s->spaces[w], e->model, n));
    RLLC_TRY(rllc_alloc(&s->gradients, buffers_of(s) * (n + 1) * s->plan.gradient_size, sizeof *s->gradients));
done:
    return status;
}

static void close_group(hessian *s, int64_t n) {
    for (int64_t i = 0; s->directions && i < n; i++) {
        rllc_free(s->directions[i].flat);
        rllc_free(s->directions[i].space);
    }
    for (int w = 0; s->spaces && w < s->pass.e->n_threads; w++) rllc_tangent_space_release(&s->spaces[w]);
    rllc_free(s->directions);
    rllc_free(s->spaces);
    rllc_free(s->gradients);
}

/* ---- calls --------------------------------------------------------------------------------------------------------
 */

static rllc_status run_group(hessian *s) {
    rllc_status status = RLLC_OK;
    rllc_engine *e = s->pass.e;
    const int64_t slots = s->pass.cut.slots, runners = e->n_threads < slots ? e->n_threads : slots;
    rllc_slots_init(&s->pass.slots, e->k, slots, buffers_of(s), (s->n + 1) * s->plan.gradient_size, s->gradients);
    RLLC_TRY(rllc_parallel(s->n, e->n_threads, pack, s));
    RLLC_TRY(rllc_parallel(runners, e->n_threads, run_slots, s));
    RLLC_TRY(rllc_slots_total(&s->pass.slots, e->n_threads));
    RLLC_TRY(rllc_parallel(s->n, e->n_threads, unpack, s));
done:
    rllc_slots_release(&s->pass.slots);
    return status;
}

static rllc_status check(const hessian *s, int64_t n) {
    const rllc_engine *e = s->pass.e;
    if (!e->k->host_memory)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "kernels '%s' keep their numbers out of the host's reach; second derivatives "
                         "need a table of the host's memory",
                         e->k->name);
    if (n < 0) return rllc_fail(RLLC_EMISMATCH, "%lld vectors to multiply, expected 0 or more", (long long)n);
    return rllc_pass_check(&s->pass);
}

rllc_status rllc_engine_hessian(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                const rllc_component *c, int64_t n, const float *const *v, float *const *out,
                                double *loss, float *gradient) {
    rllc_status status = RLLC_OK;
    hessian s = {.pass = {.e = e, .tokens = tokens, .rows = rows}, .v = v, .out = out};
    int64_t group = 0;
    RLLC_TRY(check(&s, n));
    s.pass.cut = rllc_cut_batch(e->t, rows);
    RLLC_TRY(rllc_plan_init(&s.plan, e->model, c, true));
    rllc_pass_pack_base(&s.pass, weights);
    group = group_size(&s, n);
    RLLC_TRY(open_group(&s, group));
    do {
        s.n = n - s.first < group ? n - s.first : group;
        RLLC_TRY(run_group(&s));
        s.first += s.n;
    } while (s.first < n);
    if (gradient) rllc_gradient_unpack(e, &e->base, &s.plan, rllc_slots_sum(&s.pass.slots), gradient);
    if (loss) {
        *loss = 0;
        for (int64_t k = 0; k < s.pass.cut.slots; k++) *loss += s.losses[k];
        *loss *= rllc_pass_gradient_scale(&s.pass);
    }
done:
    close_group(&s, group);
    rllc_plan_release(&s.plan);
    return status;
}

int64_t rllc_engine_hessian_bytes(const rllc_engine *e, int64_t rows, const rllc_component *c, int64_t n) {
    hessian s = {.pass = {.e = (rllc_engine *)e, .rows = rows, .cut = rllc_cut_batch(e->t, rows)}};
    if (n < 0 || rows < 1 || rllc_plan_init(&s.plan, e->model, c, true) != RLLC_OK) return -1;
    const int64_t floats = floats_of(&s, group_size(&s, n));
    rllc_plan_release(&s.plan);
    return floats * (int64_t)sizeof(float);
}
