/*
 * The weight-refined LLC of one head with the library alone: the sampling loop is yours to write.
 *
 *   cc wrllc.c $(pkg-config --cflags --libs rllc) -o wrllc
 *   ./wrllc demo/seed-1/checkpoints/step12000 demo/corpora/mix/sampling.npy l0h1
 */
#include <stdio.h>
#include <string.h>

#include <rllc/rllc.h>

enum { CHAINS = 4, DRAWS = 100, BATCH = 16 };

/* Minibatch (stream, step): rows drawn with replacement, addressed, so that any of them can be had alone. */
static rllc_status draw_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_rows *r = context;
    const rllc_stream random = rllc_stream_make(1, "batches", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows; i++) {
        rllc_rows_get(r, (int64_t)rllc_stream_below(&random, (uint64_t)i, (uint64_t)r->rows), tokens + i * r->n_ctx);
    }
    return RLLC_OK;
}

/* One chain: draw a batch, record the losses at w_t and w*, step. */
static rllc_status run_chain(rllc_potential *p, const rllc_sampler_options *o, uint32_t chain, double *loss,
                             double *baseline) {
    rllc_status status = RLLC_OK;
    const rllc_potential_member *m = &p->members[0];
    const int64_t which = 0;
    float *w = NULL, *gradient = NULL, *scratch = NULL;
    RLLC_TRY(rllc_alloc(&w, m->dim, sizeof *w));
    RLLC_TRY(rllc_alloc(&gradient, m->dim, sizeof *gradient));
    RLLC_TRY(rllc_alloc(&scratch, m->dim, sizeof *scratch));
    memcpy(w, m->w0, (size_t)m->dim * sizeof *w);
    rllc_sampler_state state = {
        .dim = m->dim, .w = w, .w0 = m->w0, .spans = m->spans, .n_spans = m->n_spans, .scratch = scratch};
    for (uint32_t t = 0; t < DRAWS; t++, state.step++) {
        const rllc_stream noise = rllc_stream_make(o->seed, "noise", chain, t);
        RLLC_TRY(rllc_potential_prepare(p, chain, t));
        RLLC_TRY(rllc_potential_loss_and_gradient(p, 1, &which, (const float *const *)&w, &loss[t], &gradient,
                                                  &baseline[t]));
        RLLC_TRY(rllc_sampler_step(o, &state, &loss[t], gradient, &noise));
    }
done:
    rllc_free(w);
    rllc_free(gradient);
    rllc_free(scratch);
    return status;
}

static rllc_status estimate(const char *checkpoint, const char *tokens, const char *name) {
    rllc_status status = RLLC_OK;
    rllc_model model = {0};
    rllc_rows rows = {0};
    rllc_component component = {0};
    const rllc_component *moving[1] = {&component};
    rllc_potential *p = NULL;
    rllc_sampler_options o;
    rllc_trace traces[CHAINS];
    rllc_estimate e;
    static double loss[CHAINS][DRAWS], baseline[CHAINS][DRAWS];
    rllc_options_default(&rllc_sampler_option_table, &o); /* the paper's: SGLD, lr 1e-3, nbeta 30, localization 200 */
    RLLC_TRY(rllc_model_load(&model, checkpoint));
    RLLC_TRY(rllc_rows_open(&rows, tokens, model.options.d_vocab));
    RLLC_TRY(rllc_component_parse(&component, &model, name));
    RLLC_TRY(rllc_potential_transformer(&p, &model, moving, 1, BATCH, (rllc_batch_source){&rows, draw_rows}, 0, NULL));
    for (int c = 0; c < CHAINS; c++) {
        RLLC_TRY(run_chain(p, &o, (uint32_t)c, loss[c], baseline[c]));
        traces[c] = (rllc_trace){
            .n_draws = DRAWS, .loss = loss[c], .baseline = baseline[c], .init_loss = baseline[c][0], .stream = c};
    }
    const rllc_estimate_settings settings = {.nbeta = o.nbeta};
    RLLC_TRY(rllc_estimate_from_traces(traces, CHAINS, &settings, &e, NULL, NULL));
    printf("%s: %lld weights, llc %.3f +- %.3f\n", rllc_component_label(name), (long long)component.size, e.llc_mean,
           e.llc_se);
done:
    rllc_potential_free(p);
    rllc_component_release(&component);
    rllc_rows_close(&rows);
    rllc_model_release(&model);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s CHECKPOINT TOKENS.npy COMPONENT\n", argv[0]);
        return 2;
    }
    const rllc_status status = estimate(argv[1], argv[2], argv[3]);
    if (status != RLLC_OK) fprintf(stderr, "%s: %s\n", argv[0], rllc_error_detail());
    return rllc_status_exit_code(status);
}
