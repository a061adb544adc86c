/* rates: timing the real kernels and passes on random tokens: speed does not depend on what the tokens say. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench_pass.h"
#include "kernels/peak.h"

enum { GEMM_SIDE = 384, FMA_TIMES = 20000, SGLD_NUMBERS = 4096 };

/* ---- rounds ---------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

rllc_spread rllc_spread_of(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    return (rllc_spread){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1], n};
}

rllc_spread rllc_spread_rate(rllc_spread x, double f) {
    return (rllc_spread){f / x.median, f / x.high, f / x.low, x.rounds};
}

rllc_spread rllc_spread_scale(rllc_spread x, double f) {
    return (rllc_spread){f * x.median, f * x.low, f * x.high, x.rounds};
}

/* ---- all threads at once --------------------------------------------------------------------------------- */

/* Every thread does laps for so long; a lap returns its operations. Rates are those of a thread's processor time, so
   that other work on the machine does not count; how much of the cores it took is told apart. */
typedef struct race {
    double (*lap)(const struct race *r, int64_t thread);
    float *matrices; /* of products: [threads][3][side * side] */
    double seconds;
    double *flops, *used; /* [threads] operations a second; processor time */
} race;

double rllc_thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static rllc_status run_laps(void *context, int64_t i, int worker) {
    race *r = context;
    double done = 0;
    (void)worker;
    const double start = rllc_now(), begin = rllc_thread_seconds();
    do done += r->lap(r, i);
    while (rllc_now() - start < r->seconds);
    r->used[i] = rllc_thread_seconds() - begin;
    r->flops[i] = done / r->used[i];
    return RLLC_OK;
}

static rllc_status run_race(race *r, int n_threads, double *flops, double *had) {
    rllc_status status = RLLC_OK;
    double used = 0;
    *flops = 0;
    RLLC_TRY(rllc_alloc(&r->flops, n_threads, sizeof *r->flops));
    RLLC_TRY(rllc_alloc(&r->used, n_threads, sizeof *r->used));
    const double start = rllc_now();
    RLLC_TRY(rllc_parallel(n_threads, n_threads, run_laps, r));
    const double took = rllc_now() - start;
    for (int i = 0; i < n_threads; i++) {
        *flops += r->flops[i];
        used += r->used[i];
    }
    if (had) *had = used / (took * n_threads);
done:
    rllc_free(r->flops);
    rllc_free(r->used);
    return status;
}

static double fma_lap(const race *r, int64_t thread) {
    (void)r;
    (void)thread;
    return rllc_fma_loop(rllc_kernels_get(), FMA_TIMES);
}

rllc_status rllc_measure_peak(int n_threads, double seconds, double *flops, double *had) {
    race r = {.lap = fma_lap, .seconds = seconds};
    return run_race(&r, n_threads > 0 ? n_threads : rllc_default_threads(), flops, had);
}

static double gemm_lap(const race *r, int64_t thread) {
    const int64_t n = GEMM_SIDE;
    float *a = r->matrices + thread * 3 * n * n, *b = a + n * n, *c = b + n * n;
    rllc_kernels_get()->gemm(false, false, n, n, n, 1, a, n, b, n, 0, c, n);
    return 2.0 * (double)(n * n) * (double)n;
}

rllc_status rllc_measure_gemm(int n_threads, double seconds, double *flops) {
    rllc_status status = RLLC_OK;
    const int n = n_threads > 0 ? n_threads : rllc_default_threads();
    const int64_t size = (int64_t)n * 3 * GEMM_SIDE * GEMM_SIDE;
    race r = {.lap = gemm_lap, .seconds = seconds};
    RLLC_TRY(rllc_alloc(&r.matrices, size, sizeof *r.matrices));
    for (int64_t i = 0; i < size; i++) r.matrices[i] = (float)((i * 7919 % 1000) - 500) * 1e-3f;
    for (int i = 0; i < n; i++) gemm_lap(&r, i); /* warm */
    status = run_race(&r, n, flops, NULL);
done:
    rllc_free(r.matrices);
    return status;
}

double rllc_measure_sgld(double seconds) {
    static float w[SGLD_NUMBERS], w0[SGLD_NUMBERS], g[SGLD_NUMBERS], eta[SGLD_NUMBERS];
    const rllc_kernels *k = rllc_kernels_get();
    const rllc_sgld_step step = {.lr = 1e-6, .nbeta = 30, .localization = 200, .noise_level = 1};
    const rllc_stream stream = rllc_stream_make(1, "calibration", 0, 0);
    double took, numbers = 0;
    const double start = rllc_thread_seconds();
    do {
        k->normals(&stream, 0, SGLD_NUMBERS, eta);
        k->sgld(SGLD_NUMBERS, &step, g, w0, eta, w);
        numbers += SGLD_NUMBERS;
        took = rllc_thread_seconds() - start;
    } while (took < seconds);
    return took / numbers;
}

/* ---- passes of the model --------------------------------------------------------------------------------- */

static rllc_status measure(const rllc_bench_work *work, double seconds, rllc_rate *out) {
    rllc_status status = RLLC_OK;
    rllc_bench_pass p;
    double each;
    RLLC_TRY(rllc_bench_pass_open_within(&p, work, seconds));
    status = rllc_bench_pass_time(&p, seconds, false, &each);
    if (status == RLLC_OK) {
        const double batches = (double)(p.work.rows * work->shape.n_ctx) / each;
        *out = (rllc_rate){rllc_bench_pass_tokens(&p) / each, batches * p.flops, p.work.rows};
    }
    rllc_bench_pass_close(&p);
done:
    return status;
}

rllc_status rllc_measure_training(const rllc_model_options *shape, int64_t batch, int n_threads, double seconds,
                                  rllc_rate *out) {
    const rllc_bench_work work = {.shape = *shape, .rows = batch, .n_threads = n_threads};
    return measure(&work, seconds, out);
}

rllc_status rllc_measure_sampling(const rllc_model_options *shape, const rllc_model *reference,
                                  const rllc_sampling_options *sampling, const rllc_sampler_options *sampler,
                                  int n_threads, double seconds, rllc_rate *out) {
    rllc_status status = RLLC_OK;
    int64_t streams;
    RLLC_TRY(rllc_batches_streams(sampling->batches, sampler->num_chains, &streams));
    const rllc_bench_work work = {.shape = *shape,
                                  .components = sampling->components,
                                  .chains = (sampler->num_chains + streams - 1) / streams,
                                  .rows = sampler->batch_size,
                                  .n_threads = n_threads,
                                  .reference = reference};
    status = measure(&work, seconds, out);
done:
    return status;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

rllc_status rllc_measure_tokenizer(const char *text, size_t n, const rllc_bpe_options *options,
                                   const rllc_tokenizer *tokenizer, rllc_text_rate *out) {
    rllc_status status = RLLC_OK;
    rllc_bpe_trainer *trainer = NULL;
    rllc_tokenizer *own = NULL;
    rllc_ids ids = {0};
    *out = (rllc_text_rate){0};
    double start = rllc_now();
    if (!tokenizer) {
        RLLC_TRY(rllc_bpe_trainer_new(&trainer, options));
        RLLC_TRY(rllc_bpe_trainer_add(trainer, text, n));
        RLLC_TRY(rllc_bpe_trainer_finish(trainer, NULL, &own));
        out->train_seconds = rllc_now() - start;
        tokenizer = own;
    }
    start = rllc_now();
    RLLC_TRY(rllc_tokenizer_encode(tokenizer, text, n, &ids));
    out->bytes = (double)n / fmax(rllc_now() - start, 1e-9);
    out->bytes_per_token = ids.n ? (double)n / (double)ids.n : 0;
done:
    rllc_ids_release(&ids);
    rllc_tokenizer_free(own);
    rllc_bpe_trainer_free(trainer);
    return status;
}
