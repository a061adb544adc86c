/* Two heads of a trained transformer; minibatch and nbeta set the noise. */
#include <math.h>
#include <stdio.h>

#include "study.h"

enum { HEADS = 2, DRAWS = 100 };
static const char *const heads[HEADS] = {"l0h0", "l1h1"};

/** Rows drawn with replacement, addressed by (stream, step). */
static rllc_status draw_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_rows *data = context;
    const rllc_stream s = rllc_stream_make(1, "bench/sharing", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows; i++)
        rllc_rows_get(data, (int64_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)data->rows),
                      tokens + i * data->n_ctx);
    return RLLC_OK;
}

typedef struct level {
    int64_t batch, share; /* repeats in halves of those asked for: large minibatches cost more */
    double nbeta;
    int64_t burnin;
} level;

static rllc_status run_level(const rllc_model *m, rllc_rows *rows, const rllc_component *const *moving, const level *l,
                             int64_t repeats) {
    rllc_status status = RLLC_OK;
    char noise[48];
    study_result r[HEADS * STUDY_MODES];
    study_target t = {.name = "transformer",
                      .noise = noise,
                      .components = HEADS,
                      .labels = heads,
                      .verdicts = repeats < 20 ? repeats : 20};
    rllc_options_default(&rllc_sampler_option_table, &t.o);
    t.o.num_draws = DRAWS;
    t.o.batch_size = l->batch;
    t.o.nbeta = l->nbeta;
    t.o.num_burnin_steps = l->burnin;
    snprintf(noise, sizeof noise, "batch %lld, nbeta %.3g%s", (long long)l->batch, l->nbeta,
             l->burnin ? ", burn-in" : "");
    for (int mode = 0; mode < STUDY_MODES; mode++) t.variance[mode] = t.variance_init[mode] = NAN;
    RLLC_TRY(rllc_potential_transformer(&t.potential, m, moving, HEADS * STUDY_CHAINS, l->batch,
                                        (rllc_batch_source){rows, draw_rows}, 1, NULL));
    RLLC_TRY(study_run(&t, repeats, r));
    study_print(&t, r);
done:
    rllc_potential_free(t.potential);
    return status;
}

rllc_status study_transformer(const char *checkpoint, const char *tokens, int64_t repeats) {
    static const level levels[] = {{8, 2, 30, 0}, {1, 5, 30, 0}, {1, 5, 100, 0}, {1, 5, 30, 20}};
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    rllc_rows rows = {0};
    rllc_component components[HEADS] = {{0}};
    const rllc_component *moving[HEADS * STUDY_CHAINS];
    RLLC_TRY(rllc_model_load(&m, checkpoint));
    RLLC_TRY(rllc_rows_open(&rows, tokens, m.options.d_vocab));
    for (int h = 0; h < HEADS; h++) RLLC_TRY(rllc_component_parse(&components[h], &m, heads[h]));
    for (int i = 0; i < HEADS * STUDY_CHAINS; i++) moving[i] = &components[i / STUDY_CHAINS];
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        RLLC_TRY(run_level(&m, &rows, moving, &levels[i], repeats * levels[i].share / 2));
done:
    for (int h = 0; h < HEADS; h++) rllc_component_release(&components[h]);
    rllc_rows_close(&rows);
    rllc_model_release(&m);
    return status;
}
