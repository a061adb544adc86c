/* bench plan: which kinds of pass a preset consists of, and what their rates make of the whole. */
#include <string.h>

#include "cli/bench_presets.h"

/* ---- kinds ----------------------------------------------------------------------------------------------- */

static rllc_status add_kind(rllc_bench_plan *p, const char *name, const char *components, int64_t chains,
                            int64_t asked) {
    const rllc_status status = rllc_grow(&p->kinds, p->n, p->n + 1, sizeof *p->kinds);
    if (status != RLLC_OK) return status;
    p->kinds[p->n++] = (rllc_bench_kind){.name = name, .components = components, .chains = chains, .asked = asked};
    return RLLC_OK;
}

/** "last-layer heads", "first-layer heads", "layer-1 heads"; a model of one layer has last-layer heads only. */
static const char *layer_name(const rllc_bench_plan *p, int layer) {
    if (layer == p->model.options.n_layers - 1) return "last-layer heads";
    return layer == 0 ? "first-layer heads" : rllc_intern_printf("layer-%d heads", layer);
}

static rllc_status add_heads(rllc_bench_plan *p, int layer, int64_t chains) {
    rllc_status status = RLLC_OK;
    rllc_string list = {0};
    for (int h = 0; h < p->model.options.n_heads; h++)
        RLLC_TRY(rllc_string_printf(&list, "%sl%dh%d", h ? "," : "", layer, h));
    status =
        add_kind(p, layer_name(p, layer), rllc_intern(rllc_string_text(&list)), chains, p->config.sampler.batch_size);
done:
    rllc_string_release(&list);
    return status;
}

/** The kind that a component's chains are timed as. */
static const char *kind_of(const rllc_bench_plan *p, const char *component) {
    int layer, head;
    return rllc_component_head(component, &layer, &head) ? layer_name(p, layer) : component;
}

const rllc_bench_kind *rllc_bench_plan_find(const rllc_bench_plan *p, const char *name) {
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->kinds[i].name, name) == 0) return &p->kinds[i];
    return NULL;
}

static rllc_status add_others(rllc_bench_plan *p, int64_t chains) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_components_expand(&p->model, p->config.sampling.components, &names, &n));
    for (int64_t i = 0; i < n; i++)
        if (!rllc_bench_plan_find(p, kind_of(p, names[i])))
            RLLC_TRY(add_kind(p, names[i], names[i], chains, p->config.sampler.batch_size));
done:
    rllc_free(names);
    return status;
}

rllc_status rllc_bench_plan_init(rllc_bench_plan *p, const char *preset) {
    rllc_status status = RLLC_OK;
    *p = (rllc_bench_plan){.name = preset};
    rllc_run_config *c = &p->config;
    RLLC_TRY(rllc_run_config_read(c, preset, NULL, NULL, 0));
    c->model.d_vocab = c->tokenizer.vocab_size;
    RLLC_TRY(rllc_model_init(&p->model, &c->model));
    RLLC_TRY(rllc_batches_streams(c->sampling.batches, c->sampler.num_chains, &p->streams));
    const int64_t chains = (c->sampler.num_chains + p->streams - 1) / p->streams, batch = c->sampler.batch_size;
    RLLC_TRY(add_kind(p, "training step", NULL, 1, c->training.batch_size));
    RLLC_TRY(add_kind(p, "base pass", "", 1, batch));
    RLLC_TRY(add_kind(p, "full", "full", chains, batch));
    for (int l = (int)c->model.n_layers - 1; l >= 0; l--) RLLC_TRY(add_heads(p, l, chains));
    RLLC_TRY(add_others(p, chains));
    if (c->model.n_layers > 0) RLLC_TRY(add_kind(p, "every head", "heads", chains, batch));
done:
    if (status != RLLC_OK) rllc_bench_plan_release(p);
    return status;
}

void rllc_bench_plan_release(rllc_bench_plan *p) {
    rllc_free(p->kinds);
    rllc_model_release(&p->model);
    rllc_run_config_release(&p->config);
    *p = (rllc_bench_plan){0};
}

/* ---- the whole preset ------------------------------------------------------------------------------------ */

/** What one checkpoint and corpus ask of every component: member gradients a chain and besides, chain steps. */
typedef struct group {
    double steps;     /* gradients of a chain */
    double curvature; /* gradients behind a component's curvature */
    double chain_steps;
    double base_passes;
    double tokens; /* of a minibatch */
} group;

static rllc_status count_group(const rllc_bench_plan *p, int n_threads, int64_t n_components, group *g) {
    rllc_status status = RLLC_OK;
    const rllc_sampler_options *s = &p->config.sampler;
    const rllc_sampling_job job = {
        .model = &p->model, .sampler = *s, .options = p->config.sampling, .n_threads = n_threads};
    double member_steps, tokens, flops, memory, disk;
    RLLC_TRY(rllc_sampling_cost(&job, &member_steps, &tokens, &flops, &memory, &disk));
    g->tokens = (double)(s->batch_size * p->model.options.n_ctx);
    g->chain_steps = (double)rllc_sampler_steps(s);
    g->steps = g->chain_steps * (double)(rllc_sampler_evaluations(s) * s->gradient_accumulation_steps);
    g->curvature = tokens / ((double)n_components * g->tokens) - g->steps * (double)s->num_chains;
    g->base_passes = (double)p->streams * (g->steps + (double)s->num_init_loss_batches);
done:
    return status;
}

/** Seconds that one member of this kind adds to a token of the batch. */
static double member_seconds(const rllc_bench_plan *p, const rllc_bench_kind *k) {
    const rllc_bench_kind *base = rllc_bench_plan_find(p, "base pass");
    return (k->each.median / k->batch - base->each.median / base->batch) / (double)k->members;
}

static rllc_status sample_seconds(const rllc_bench_plan *p, double groups, int n_threads, double sgld,
                                  rllc_bench_whole *out) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    int64_t n = 0;
    group g = {0};
    const double chains = (double)p->config.sampler.num_chains;
    const rllc_bench_kind *base = rllc_bench_plan_find(p, "base pass");
    RLLC_TRY(rllc_components_expand(&p->model, p->config.sampling.components, &names, &n));
    RLLC_TRY(count_group(p, n_threads, n, &g));
    out->base = groups * g.base_passes * g.tokens * base->each.median / base->batch;
    out->sampling = out->base;
    for (int64_t i = 0; i < n; i++) {
        rllc_component c = {0};
        const rllc_bench_kind *k = rllc_bench_plan_find(p, kind_of(p, names[i]));
        const double seconds = groups * (g.steps * chains + g.curvature) * g.tokens * member_seconds(p, k);
        RLLC_TRY(rllc_component_parse(&c, &p->model, names[i]));
        const double updates = groups * g.chain_steps * chains * (double)c.size * sgld / n_threads;
        rllc_component_release(&c);
        out->members[k - p->kinds] += seconds;
        out->updates += updates;
        out->sampling += seconds + updates;
    }
done:
    rllc_free(names);
    return status;
}

rllc_status rllc_bench_plan_whole(const rllc_bench_plan *p, int n_threads, double sgld, rllc_bench_whole *out) {
    rllc_status status = RLLC_OK;
    const rllc_run_config *c = &p->config;
    const rllc_bench_kind *training = rllc_bench_plan_find(p, "training step");
    int64_t *grid = NULL, checkpoints = 0, corpora = 1;
    *out = (rllc_bench_whole){0};
    RLLC_TRY(rllc_alloc(&out->members, p->n, sizeof *out->members));
    RLLC_TRY(rllc_grid_parse(c->sampling_checkpoints, &grid, &checkpoints));
    for (const char *s = c->sampling_corpora; *s; s++) corpora += *s == ',';
    out->training = (double)(c->n_seeds * c->training.steps * c->training.batch_size * c->model.n_ctx) *
                    training->each.median / training->batch;
    RLLC_TRY(sample_seconds(p, (double)(c->n_seeds * checkpoints * corpora), n_threads, sgld, out));
done:
    rllc_free(grid);
    if (status != RLLC_OK) {
        rllc_free(out->members);
        out->members = NULL;
    }
    return status;
}
