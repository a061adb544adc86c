/* What sharing costs and saves: steps of each mode timed on one thread, and counted in FLOPs (E86). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "study.h"

enum { ROUNDS_MOST = 64, TIMED = STUDY_FIXED }; /* a fixed minibatch costs what a shared one does */

typedef struct shape {
    const char *name, *components; /* heads that move */
    int64_t n_layers, d_model, n_heads, d_head, n_ctx, d_vocab, rows;
} shape;

typedef struct timing {
    rllc_model m;
    int64_t n_heads;
    rllc_component *heads; /* [n_heads] */
    const rllc_component **moving;
    rllc_potential *potential;
    rllc_chain *chains;
    rllc_sampler_options o;
    double seconds[TIMED][ROUNDS_MOST], base[ROUNDS_MOST]; /* of a step; of a base pass alone */
    int rounds;
} timing;

double study_cost_of(const study_cost *c, int64_t streams, int64_t heads, int64_t chains) {
    return (double)streams * (c->base + (double)heads * c->head) + (double)(heads * chains) * c->member;
}

static double processor_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static rllc_status random_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_model_options *o = context;
    const rllc_stream s = rllc_stream_make(1, "bench/sharing/tokens", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows * o->n_ctx; i++)
        tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)o->d_vocab);
    return RLLC_OK;
}

static rllc_status open_timing(timing *t, const shape *s) {
    rllc_status status = RLLC_OK;
    rllc_model_options o;
    const char **names = NULL;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = s->n_layers;
    o.d_model = s->d_model;
    o.n_heads = s->n_heads;
    o.d_head = s->d_head;
    o.n_ctx = s->n_ctx;
    o.d_vocab = s->d_vocab;
    RLLC_TRY(rllc_model_init(&t->m, &o));
    rllc_model_randomize(&t->m, 1);
    RLLC_TRY(rllc_components_expand(&t->m, s->components, &names, &t->n_heads));
    RLLC_TRY(rllc_alloc(&t->heads, t->n_heads, sizeof *t->heads));
    RLLC_TRY(rllc_alloc(&t->moving, t->n_heads * STUDY_CHAINS, sizeof *t->moving));
    RLLC_TRY(rllc_alloc(&t->chains, t->n_heads * STUDY_CHAINS, sizeof *t->chains));
    for (int64_t h = 0; h < t->n_heads; h++) RLLC_TRY(rllc_component_parse(&t->heads[h], &t->m, names[h]));
    for (int64_t i = 0; i < t->n_heads * STUDY_CHAINS; i++) t->moving[i] = &t->heads[i / STUDY_CHAINS];
    RLLC_TRY(rllc_potential_transformer(&t->potential, &t->m, t->moving, t->n_heads * STUDY_CHAINS, s->rows,
                                        (rllc_batch_source){&t->m.options, random_rows}, 1, NULL));
    rllc_options_default(&rllc_sampler_option_table, &t->o);
    t->o.batch_size = s->rows;
done:
    rllc_free(names);
    return status;
}

static void close_timing(timing *t) {
    rllc_potential_free(t->potential);
    for (int64_t h = 0; t->heads && h < t->n_heads; h++) rllc_component_release(&t->heads[h]);
    rllc_free(t->heads);
    rllc_free(t->moving);
    rllc_free(t->chains);
    rllc_model_release(&t->m);
}

/** Two steps of all chains; the second is timed, the first finds the memory. */
static rllc_status time_mode(timing *t, int mode, double *seconds) {
    rllc_status status = RLLC_OK;
    rllc_chains all = {.potential = t->potential,
                       .list = t->chains,
                       .n = t->n_heads * STUDY_CHAINS,
                       .streams = study_modes[mode].streams};
    for (int64_t i = 0; i < all.n; i++)
        RLLC_TRY(rllc_chain_init(&t->chains[i], t->potential, &t->o, i, i % STUDY_CHAINS,
                                 i % STUDY_CHAINS % all.streams, "bench/sharing", false));
    RLLC_TRY(rllc_chains_open(&all));
    if (t->rounds == 0) RLLC_TRY(rllc_chains_step(&all, 0));
    const double begin = processor_time();
    RLLC_TRY(rllc_chains_step(&all, t->rounds == 0 ? 1 : 0));
    *seconds = processor_time() - begin;
done:
    rllc_chains_close(&all);
    for (int64_t i = 0; i < all.n; i++) rllc_chain_release(&t->chains[i]);
    return status;
}

/** The base pass, which members share: the call without members. */
static rllc_status time_base(timing *t, double *seconds) {
    rllc_status status = RLLC_OK;
    double baseline;
    const double begin = processor_time();
    RLLC_TRY(rllc_potential_prepare(t->potential, 0, t->rounds));
    RLLC_TRY(rllc_potential_loss_and_gradient(t->potential, 0, NULL, NULL, NULL, NULL, &baseline));
    *seconds = processor_time() - begin;
done:
    return status;
}

/** Of a step and token, by the engine's own count (E86). */
static study_cost cost_of(const timing *t) {
    study_cost c = {.base = rllc_model_flops(&t->m)};
    for (int64_t h = 0; h < t->n_heads; h++) {
        c.head += rllc_family_flops(&t->m, &t->heads[h]) / (double)t->n_heads;
        c.member += rllc_component_flops(&t->m, &t->heads[h]) / (double)t->n_heads;
    }
    return c;
}

static void print_shape(timing *t, const shape *s) {
    const double tokens = (double)(s->rows * s->n_ctx), all = (double)(t->n_heads * STUDY_CHAINS);
    const study_cost cost = cost_of(t);
    const double base = median(t->base, t->rounds);
    double shared = 0;
    for (int mode = 0; mode < TIMED; mode++) {
        const int64_t streams = study_modes[mode].streams;
        const double seconds = median(t->seconds[mode], t->rounds),
                     flops = study_cost_of(&cost, streams, t->n_heads, STUDY_CHAINS);
        if (mode == 0) shared = seconds;
        printf("%s\t%lld x %d\t%s\t%lld\t%.0f\t%.2f\t%.1f %%\t%.2f\t%.2f\t%.1f %%\t%d\n", s->name,
               (long long)t->n_heads, STUDY_CHAINS, study_modes[mode].name, (long long)streams, all * tokens / seconds,
               seconds / shared, 100 * (double)streams * base / seconds, flops / 1e6,
               flops / study_cost_of(&cost, 1, t->n_heads, STUDY_CHAINS), 100 * (double)streams * cost.base / flops,
               t->rounds);
    }
    fflush(stdout);
}

static rllc_status time_shape(const shape *s, double seconds) {
    rllc_status status = RLLC_OK;
    timing *t = NULL;
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    RLLC_TRY(open_timing(t, s));
    for (const double begin = processor_time();
         t->rounds < ROUNDS_MOST && (t->rounds < 3 || processor_time() - begin < seconds); t->rounds++) {
        for (int mode = 0; mode < TIMED; mode++) RLLC_TRY(time_mode(t, mode, &t->seconds[mode][t->rounds]));
        RLLC_TRY(time_base(t, &t->base[t->rounds]));
    }
    print_shape(t, s);
done:
    if (t) close_timing(t);
    rllc_free(t);
    return status;
}

rllc_status study_speed(double seconds) {
    static const shape shapes[] = {{"demo, layer 0", "l0h0", 2, 64, 4, 16, 64, 512, 16},
                                   {"demo, layer 1", "l1h0", 2, 64, 4, 16, 64, 512, 16},
                                   {"demo, all", "heads", 2, 64, 4, 16, 64, 512, 16},
                                   {"paper, layer 0", "l0h0", 2, 256, 8, 32, 1024, 5000, 4},
                                   {"paper, layer 1", "l1h0", 2, 256, 8, 32, 1024, 5000, 4},
                                   {"paper, all", "heads", 2, 256, 8, 32, 1024, 5000, 4}};
    rllc_status status = RLLC_OK;
    printf("# one thread, processor time, medians of rounds; kernels %s; MFLOP a step and token of a minibatch\n",
           rllc_kernels_get()->name);
    printf("model\theads x chains\tbatches\tbase passes\ttokens/s\ttime/shared\tbase share\tMFLOP\tMFLOP/shared\tbase "
           "share\trounds\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) RLLC_TRY(time_shape(&shapes[i], seconds));
done:
    return status;
}
