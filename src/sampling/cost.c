/* What a group will cost, before it runs. */
#include <math.h>

#include "group.h"

static double store_bytes(const rllc_sampling_job *job, int64_t n_components) {
    const double draws = (double)(n_components * job->sampler.num_chains * rllc_sampler_draws(&job->sampler));
    const double tokens = (double)(job->sampler.batch_size * (job->model->options.n_ctx - 1));
    double bytes = 80 * draws; /* a row of the trace */
    if (job->options.token_losses == RLLC_TOKEN_LOSSES_DRAW)
        bytes += draws * 4 * (double)(job->model->options.n_ctx - 1);
    if (job->options.token_losses == RLLC_TOKEN_LOSSES_TOKEN) bytes += draws * 4 * tokens;
    return bytes;
}

/** Gradients of a minibatch behind one component's curvature (rllc_measure_curvature). */
static double curvature_gradients(const rllc_sampling_job *job) {
    const rllc_curvature_settings s = rllc_job_curvature(job);
    const int64_t contrasts = s.batches - 1 < RLLC_NOISE_VECTORS ? s.batches - 1 : RLLC_NOISE_VECTORS;
    const int64_t noise = s.whole ? 0 : contrasts;
    return s.probes == 0 ? 0 : (double)(s.batches + 2 * s.batches * s.steps * (s.probes + 1 + noise));
}

/** The cells of one loss: relative to `reference`, or (NULL) of the next token. */
static rllc_status loss_cost(const rllc_sampling_job *job, const rllc_model *reference, double *member_steps,
                             double *tokens, double *flops, double *memory, double *disk) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    rllc_component *components = NULL;
    const rllc_component **members = NULL;
    int64_t n = 0, streams, size = 0;
    const double steps = (double)(rllc_sampler_steps(&job->sampler) * rllc_sampler_evaluations(&job->sampler) *
                                  job->sampler.gradient_accumulation_steps);
    const int64_t vectors = 3 + rllc_sampler_memory(&job->sampler) + (job->options.mala ? 2 : 0) +
                            (job->sampler.gradient_accumulation_steps > 1); /* of dim, a chain */
    const double records = (double)(RLLC_RECORD_N * rllc_sampler_draws(&job->sampler));
    const double batch = (double)(job->sampler.batch_size * job->model->options.n_ctx);
    const int64_t chains = job->sampler.num_chains;
    RLLC_TRY(rllc_components_expand(job->model, job->options.components, &names, &n));
    RLLC_TRY(rllc_batches_streams(job->options.batches, chains, &streams));
    RLLC_TRY(rllc_alloc(&components, n, sizeof *components));
    const int64_t at_once = (chains + streams - 1) / streams; /* chains of a component in one call */
    RLLC_TRY(rllc_alloc(&members, n * at_once, sizeof *members));
    const double base = rllc_model_flops(job->model) + (reference ? rllc_model_flops(reference) : 0);
    const double products = curvature_gradients(job);
    *flops = ((double)streams * steps + (double)(streams * job->sampler.num_init_loss_batches)) * batch * base;
    for (int64_t i = 0; i < n; i++) {
        RLLC_TRY(rllc_component_parse(&components[i], job->model, names[i]));
        *flops += (steps * (double)chains + products) * batch * rllc_component_flops(job->model, &components[i]);
        *flops += (steps * (double)streams + products) * batch * rllc_family_flops(job->model, &components[i]);
        size += components[i].size;
        for (int64_t k = 0; k < at_once; k++) members[i * at_once + k] = &components[i];
    }
    *member_steps = (double)(rllc_sampler_steps(&job->sampler) * n * chains);
    *tokens = (steps * (double)chains + products) * (double)n * batch;
    *memory = (double)rllc_engine_bytes(job->model, job->sampler.batch_size, job->n_threads, members, n * at_once) +
              4 * (double)(size + vectors * size * chains + job->model->size) + batch * 4 +
              8 * records * (double)(n * chains);
    if (reference)
        *memory += (double)rllc_engine_reference_bytes(job->model, reference, job->n_threads) + 4 * (double)reference->size;
    *disk = store_bytes(job, n) + 4 * (double)(size * chains);
done:
    for (int64_t i = 0; components && i < n; i++) rllc_component_release(&components[i]);
    rllc_free(components);
    rllc_free(members);
    rllc_free(names);
    return status;
}

rllc_status rllc_sampling_cost(const rllc_sampling_job *job, double *member_steps, double *tokens, double *flops,
                               double *memory, double *disk) {
    rllc_status status = RLLC_OK;
    bool wanted[2];
    double *const sums[] = {member_steps, tokens, flops, disk};
    for (int i = 0; i < 4; i++) *sums[i] = 0;
    *memory = 0;
    RLLC_TRY(rllc_job_losses(job, &wanted[0], &wanted[1]));
    for (int k = 0; k < 2; k++) {
        double one[4] = {0}, most = 0;
        if (!wanted[k]) continue;
        RLLC_TRY(loss_cost(job, k ? job->reference : NULL, &one[0], &one[1], &one[2], &most, &one[3]));
        for (int i = 0; i < 4; i++) *sums[i] += one[i];
        *memory = fmax(*memory, most);
    }
done:
    return status;
}
