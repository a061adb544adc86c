/*
 * bench_kernels: checks each kernel against the definition, then times it at the paper's and the demo's shapes.
 *
 *   bench_kernels [--rounds N] [--only WORD] [--tsv FILE]        RLLC_KERNELS chooses the table
 *
 * One thread, in its own processor time, so that other work on the machine counts less. A row gives the median and the
 * best of N rounds of at least 4 ms. The peak is a loop of independent fused multiply-adds in registers, measured
 * before each row; the best so far counts. With OpenBLAS, its product of the same shape stands beside ours.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef RLLC_BENCH_OPENBLAS
#include <cblas.h>
#endif
#include "kernels/peak.h"

enum { MAX_ROUNDS = 1000 };

static int rounds = 11;
static const char *only = "";
static FILE *tsv;

/* Seconds of processor time of this thread. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- peak ------------------------------------------------------------------------------------------------ */

/* GFLOP/s of the instruction set of this table: the best measured so far. */
static double measure_peak(const rllc_kernels *k) {
    static double best;
    for (int i = 0; i < 5; i++) {
        double start = now(), flops = rllc_fma_loop(k, 200000);
        best = fmax(best, flops / (now() - start) * 1e-9);
    }
    return best;
}

/* ---- cases ----------------------------------------------------------------------------------------------- */

/* One thing to time. `out` is what a run writes: the check compares it with what ref writes. */
typedef struct bench {
    const char *name, *shape;
    bool ta, tb;
    int64_t m, n, k;           /* m x n x k; or rows x columns; or T x D */
    double flops, elements;    /* per run: flops, or if 0, elements */
    float *a, *b, *c, *d, *lse, *out;
    int64_t out_n;
    int32_t *targets;
    void (*run)(const rllc_kernels *k, struct bench *x);
    double tolerance;          /* of the largest |difference| to ref, relative to the largest |out| */
} bench;

static float *numbers(int64_t n, uint32_t step) {
    float *x = NULL;
    rllc_stream s = rllc_stream_make(1, "bench", 0, step);
    if (rllc_alloc(&x, n, sizeof *x) != RLLC_OK) {
        fprintf(stderr, "bench_kernels: %s\n", rllc_error_detail());
        exit(1);
    }
    rllc_kernels_get()->normals(&s, 0, n, x);
    return x;
}

static void run_gemm(const rllc_kernels *k, bench *x) {
    k->gemm(x->ta, x->tb, x->m, x->n, x->k, 1, x->a, x->ta ? x->m : x->k, x->b, x->tb ? x->k : x->n, 0, x->out, x->n);
}

/* Heads of a model lie side by side: q, k, v at stride 3 H D, z at stride H D, with 8 heads. */
static void run_attention_forward(const rllc_kernels *k, bench *x) {
    const int64_t t = x->m, d = x->n;
    k->attention_forward(t, d, 1 / sqrt((double)d), x->a, x->a + 8 * d, x->a + 16 * d, 24 * d, x->out, 8 * d,
                         x->out + t * 8 * d, x->d);
}

static void run_attention_backward(const rllc_kernels *k, bench *x) {
    const int64_t t = x->m, d = x->n;
    k->attention_backward(t, d, 1 / sqrt((double)d), x->a, x->a + 8 * d, x->a + 16 * d, 24 * d, x->c, x->b, 8 * d,
                          x->c + t * 8 * d, x->out, x->out + 8 * d, x->out + 16 * d, 24 * d, x->d);
}

static void run_cross_entropy(const rllc_kernels *k, bench *x) {
    k->cross_entropy(x->m, x->n, x->out, x->n, x->targets, 1.0 / (double)x->m, x->d, NULL);
}

static void run_kl_divergence(const rllc_kernels *k, bench *x) {
    k->kl_divergence(x->m, x->n, x->out, x->n, x->a, x->n, x->targets, 1.0 / (double)x->m, x->d);
}

static void run_layer_norm_forward(const rllc_kernels *k, bench *x) {
    k->layer_norm_forward(x->m, x->n, x->a, x->b, x->b, 1e-5, x->out, x->d, x->d + x->m);
}

static void run_layer_norm_backward(const rllc_kernels *k, bench *x) {
    memset(x->out, 0, (size_t)x->out_n * sizeof(float));
    float *dw = x->out + x->m * x->n;
    k->layer_norm_backward(x->m, x->n, x->a, x->d, x->d + x->m, x->b, x->c, x->out, dw, dw + x->n);
}

static void run_adamw(const rllc_kernels *k, bench *x) {
    const rllc_adamw_step s = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05,
                               .correction1 = 0.1, .correction2 = 0.001};
    k->adamw(x->n, &s, x->a, x->out, x->out + x->n, x->out + 2 * x->n);
}

static void run_sgld(const rllc_kernels *k, bench *x) {
    const rllc_sgld_step s = {.lr = 1e-6, .nbeta = 30, .localization = 200, .noise_level = 1};
    const rllc_stream noise = rllc_stream_make(1, "bench", 1, 1);
    k->normals(&noise, 3, x->n, x->c);
    k->sgld(x->n, &s, x->a, x->b, x->c, x->out);
}

static void run_normals(const rllc_kernels *k, bench *x) {
    const rllc_stream s = rllc_stream_make(1, "bench", 1, 1);
    k->normals(&s, 0, x->n, x->out);
}

static void run_sum_squares(const rllc_kernels *k, bench *x) {
    x->out[0] = (float)k->sum_squares(x->n, x->a);
}

/*
 * a: frozen logits [rows, v]; b: y [rows, n]; c: how y reaches the logits [n, v], then c [v]; lse: [rows], then the
 * factors of the rows of a. out: loss [rows], g [rows], dy [rows, n], m [v, n], which every run adds to.
 */
static void run_low_rank(const rllc_kernels *k, bench *x) {
    const int64_t rows = x->m, v = x->n, n = x->k;
    float *const loss = x->out, *const dy = loss + 2 * rows;
    const rllc_low_rank low = {.rows = rows, .v = v, .n = n, .a = x->a, .lda = v, .a_scale = x->lse + rows, .y = x->b,
                               .ldy = n, .b = x->c, .ldb = v, .c = x->c + n * v, .lse = x->lse, .targets = x->targets,
                               .gradient_scale = 1, .loss = loss, .dy = dy, .lddy = n, .g = loss + rows,
                               .m = dy + rows * n, .scratch = x->d};
    k->low_rank_loss(&low);
}

/* ---- check and time -------------------------------------------------------------------------------------- */

/* The largest error relative to the largest number of `out`; of big products, on 300 elements summed in double. */
static double error_of_gemm(const bench *x) {
    double worst = 0, size = 0;
    for (int64_t s = 0; s < 300; s++) {
        int64_t i = s * 7919 % x->m, j = s * 104729 % x->n;
        double sum = 0;
        for (int64_t p = 0; p < x->k; p++) {
            sum += (double)(x->ta ? x->a[p * x->m + i] : x->a[i * x->k + p]) *
                   (double)(x->tb ? x->b[j * x->k + p] : x->b[p * x->n + j]);
        }
        worst = fmax(worst, fabs(sum - (double)x->out[i * x->n + j]));
        size = fmax(size, fabs(sum));
    }
    return worst / size;
}

static double error_of(const rllc_kernels *k, bench *x) {
    float *ours = x->out, *theirs = x->run == run_gemm ? NULL : numbers(x->out_n, 99);
    double worst = 0, size = 1e-30;
    if (theirs != NULL) memcpy(theirs, ours, (size_t)x->out_n * sizeof *theirs);
    x->run(k, x);
    if (theirs == NULL) return error_of_gemm(x);
    x->out = theirs;
    x->run(&rllc_kernels_ref, x);
    for (int64_t i = 0; i < x->out_n; i++) {
        worst = fmax(worst, fabs((double)ours[i] - (double)x->out[i]));
        size = fmax(size, fabs((double)x->out[i]));
    }
    rllc_free(x->out);
    x->out = ours;
    return worst / size;
}

typedef struct timing {
    double median, best, worst; /* seconds of one run */
} timing;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static timing time_runs(const rllc_kernels *k, bench *x, void (*run)(const rllc_kernels *, bench *)) {
    double seconds[MAX_ROUNDS], start = now();
    run(k, x);
    int64_t times = (int64_t)(0.004 / (now() - start + 1e-9)) + 1;
    for (int r = 0; r < rounds; r++) {
        start = now();
        for (int64_t i = 0; i < times; i++) run(k, x);
        seconds[r] = (now() - start) / (double)times;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, ascending);
    return (timing){seconds[rounds / 2], seconds[0], seconds[rounds - 1]};
}

#ifdef RLLC_BENCH_OPENBLAS
static void run_openblas(const rllc_kernels *k, bench *x) {
    (void)k;
    const int m = (int)x->m, n = (int)x->n, depth = (int)x->k;
    cblas_sgemm(CblasRowMajor, x->ta ? CblasTrans : CblasNoTrans, x->tb ? CblasTrans : CblasNoTrans, m, n, depth, 1,
                x->a, x->ta ? m : depth, x->b, x->tb ? depth : n, 0, x->out, n);
}
#endif

static bool failed;

/* A row as `rllc bench --tsv` writes them. */
static void tsv_row(const char *name, const char *shape, const char *quantity, const char *unit, double median,
                    double low, double high) {
    fprintf(tsv, "kernel\t%s %s\t%s\t%s\t", name, shape, quantity, unit);
    fprintf(tsv, "%.6g\t%.6g\t%.6g\t%d\n", median, low, high, rounds);
}

static void report(const rllc_kernels *k, bench *x) {
    char shape[64], other[32] = "", share[32] = "";
    if (x->k > 0) snprintf(shape, sizeof shape, "%ld x %ld x %ld", (long)x->m, (long)x->n, (long)x->k);
    else if (x->m > 0) snprintf(shape, sizeof shape, "%ld x %ld", (long)x->m, (long)x->n);
    else snprintf(shape, sizeof shape, "%ld", (long)x->n);
    if (strstr(x->name, only) == NULL) return;
    const double error = error_of(k, x), peak = measure_peak(k);
    const timing t = time_runs(k, x, x->run);
    const double work = x->flops > 0 ? x->flops : x->elements, rate = work / t.median * 1e-9;
    double blas = 0;
#ifdef RLLC_BENCH_OPENBLAS
    if (x->run == run_gemm) blas = work / time_runs(k, x, run_openblas).median * 1e-9;
#endif
    const bool bad = !(error <= x->tolerance);
    failed |= bad;
    if (blas > 0) snprintf(other, sizeof other, "%.1f", blas);
    if (x->flops > 0) snprintf(share, sizeof share, "%.0f%%", 100 * rate / peak);
    printf("%-20s %-18s %10.1f %10.1f %8.2f %s %5s %8s  %.0e%s\n", x->name, shape, t.median * 1e6, t.best * 1e6, rate,
           x->flops > 0 ? "GF/s" : "Ge/s", share, other, error, bad ? " WRONG" : "");
    fflush(stdout);
    if (tsv == NULL) return;
    const char *unit = x->flops > 0 ? "GFLOP/s" : "Gelements/s";
    tsv_row(x->name, shape, "time", "us", t.median * 1e6, t.best * 1e6, t.worst * 1e6);
    tsv_row(x->name, shape, "rate", unit, rate, work / t.worst * 1e-9, work / t.best * 1e-9);
    if (x->flops > 0)
        tsv_row(x->name, shape, "share of peak", "1", rate / peak, work / t.worst * 1e-9 / peak, work / t.best * 1e-9 / peak);
    if (blas > 0) tsv_row(x->name, shape, "OpenBLAS", "GFLOP/s", blas, blas, blas);
    tsv_row(x->name, shape, "error", "1", error, error, error);
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static void gemm_rows(const rllc_kernels *k) {
    static const struct { const char *name; bool ta, tb; int64_t m, n, k; } shapes[] = {
        {"qkv head", 0, 0, 1024, 96, 256},
        {"qkv", 0, 0, 1024, 768, 256},
        {"attention out", 0, 0, 1024, 256, 256},
        {"unembed", 0, 0, 256, 5000, 256},
        {"unembed", 0, 0, 1024, 5000, 256},
        {"unembed dx", 0, 1, 256, 256, 5000},
        {"unembed dx", 0, 1, 1024, 256, 5000},
        {"unembed dw", 1, 0, 256, 5000, 256},
        {"unembed dw", 1, 0, 256, 5000, 1024},
        {"qkv dx", 0, 1, 1024, 256, 768},
        {"qkv dw", 1, 0, 256, 768, 1024},
        {"head dx", 0, 1, 1024, 256, 96},
        {"head dw", 1, 0, 256, 96, 1024},
        {"demo qkv", 0, 0, 256, 192, 64},
        {"demo qkv head", 0, 0, 256, 48, 64},
        {"demo out", 0, 0, 256, 64, 64},
        {"demo unembed", 0, 0, 256, 512, 64},
        {"demo unembed dx", 0, 1, 256, 64, 512},
        {"demo unembed dw", 1, 0, 64, 512, 256},
        {"demo qkv dw", 1, 0, 64, 192, 256},
        {"square", 0, 0, 1024, 1024, 1024},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench x = {.name = shapes[i].name, .ta = shapes[i].ta, .tb = shapes[i].tb, .m = shapes[i].m, .n = shapes[i].n,
                   .k = shapes[i].k, .run = run_gemm, .tolerance = 2e-6};
        x.a = numbers(x.m * x.k, 1);
        x.b = numbers(x.k * x.n, 2);
        x.out = numbers(x.m * x.n, 3);
        x.flops = 2.0 * (double)x.m * (double)x.n * (double)x.k;
        report(k, &x);
        rllc_free(x.a);
        rllc_free(x.b);
        rllc_free(x.out);
    }
}

/* Useful flops: 2 D a product and pair of query and visible key; two products forward, five backward. */
static void attention_rows(const rllc_kernels *k) {
    static const int64_t shapes[][2] = {{1024, 32}, {64, 16}, {1024, 64}, {256, 8}, {256, 16}, {256, 32}};
    for (int i = 0; i < 6; i++) {
        const int64_t t = shapes[i][0], d = shapes[i][1];
        const double pairs = 0.5 * (double)t * (double)(t + 1);
        int64_t scratch = k->attention_scratch(t, d), of_ref = rllc_kernels_ref.attention_scratch(t, d);
        bench x = {.name = "attention", .m = t, .n = d, .flops = 4 * (double)d * pairs, .run = run_attention_forward,
                   .tolerance = 3e-6, .out_n = 8 * t * d + t};
        x.a = numbers(24 * t * d, 1);
        x.b = numbers(8 * t * d, 2);
        x.d = numbers(scratch > of_ref ? scratch : of_ref, 3);
        x.out = numbers(x.out_n, 4);
        memset(x.out, 0, (size_t)x.out_n * sizeof(float));
        report(k, &x);
        run_attention_forward(k, &x);
        bench y = x;
        y.name = "attention backward";
        y.flops = 10 * (double)d * pairs;
        y.run = run_attention_backward;
        y.c = x.out;
        y.out_n = 24 * t * d;
        y.out = numbers(y.out_n, 5);
        memset(y.out, 0, (size_t)y.out_n * sizeof(float));
        report(k, &y);
        float *const all[] = {x.a, x.b, x.d, x.out, y.out};
        for (int j = 0; j < 5; j++) rllc_free(all[j]);
    }
}

/* Around the frozen logits, as a chain starts: lse = log sum exp(a_scale a + c). */
static void low_rank_lse(const bench *x) {
    for (int64_t r = 0; r < x->m; r++) {
        double sum = 0;
        x->lse[x->m + r] = 1 + 0.1f * x->lse[x->m + r];
        for (int64_t j = 0; j < x->n; j++)
            sum += exp((double)(x->lse[x->m + r] * x->a[r * x->n + j] + x->c[x->k * x->n + j]));
        x->lse[r] = (float)log(sum);
        x->targets[r] = (int32_t)(r * 7 % x->n);
    }
}

/* Three products: the logits, dy, m. */
static void low_rank_rows(const rllc_kernels *k) {
    static const int64_t shapes[][3] = {{128, 5000, 32}, {128, 512, 16}, {128, 5000, 96}};
    for (int i = 0; i < 3; i++) {
        const int64_t rows = shapes[i][0], v = shapes[i][1], n = shapes[i][2];
        const int64_t scratch = k->low_rank_scratch(rows, v, n);
        const int64_t of_ref = rllc_kernels_ref.low_rank_scratch(rows, v, n);
        int32_t targets[128];
        bench x = {.name = "low-rank loss", .m = rows, .n = v, .k = n, .run = run_low_rank, .tolerance = 2e-6,
                   .flops = 6.0 * (double)rows * (double)v * (double)n, .targets = targets};
        x.a = numbers(rows * v, 1);
        x.b = numbers(rows * n, 2);
        x.c = numbers((n + 1) * v, 3);
        x.d = numbers(scratch > of_ref ? scratch : of_ref, 4);
        x.lse = numbers(2 * rows, 5);
        for (int64_t j = 0; j < rows * n; j++) x.b[j] /= sqrtf((float)n);
        low_rank_lse(&x);
        x.out_n = 2 * rows + rows * n + v * n;
        x.out = numbers(x.out_n, 6);
        report(k, &x);
        float *const all[] = {x.a, x.b, x.c, x.d, x.lse, x.out};
        for (int j = 0; j < 6; j++) rllc_free(all[j]);
    }
}

static void row_rows(const rllc_kernels *k) {
    static const int64_t shapes[][2] = {{1024, 256}, {256, 64}};
    for (int i = 0; i < 2; i++) {
        const int64_t m = shapes[i][0], n = shapes[i][1], v = i == 0 ? 5000 : 512;
        bench x = {.name = "layer norm", .m = m, .n = n, .elements = (double)(m * n), .run = run_layer_norm_forward,
                   .tolerance = 2e-6, .out_n = m * n};
        x.a = numbers(m * n, 1);
        x.b = numbers(n, 2);
        x.c = numbers(m * n, 3);
        x.d = numbers(2 * m, 4);
        x.out = numbers(m * n + 2 * n, 5);
        report(k, &x);
        run_layer_norm_forward(k, &x);
        x.name = "layer norm backward";
        x.run = run_layer_norm_backward;
        x.out_n = m * n + 2 * n;
        report(k, &x);
        bench y = {.name = "cross-entropy", .m = 256, .n = v, .elements = 256.0 * (double)v, .run = run_cross_entropy,
                   .tolerance = 2e-6, .out_n = 256 * v, .d = numbers(256, 7)};
        y.out = numbers(y.out_n, 8);
        int32_t targets[256];
        for (int r = 0; r < 256; r++) targets[r] = (int32_t)(r * 7 % v);
        y.targets = targets;
        report(k, &y);
        rllc_free(y.out);
        y.out = numbers(y.out_n, 9);
        y.a = numbers(y.out_n, 10);
        k->log_softmax(256, v, y.a, v);
        y.name = "KL divergence";
        y.run = run_kl_divergence;
        report(k, &y);
        float *const all[] = {x.a, x.b, x.c, x.d, x.out, y.a, y.d, y.out};
        for (int j = 0; j < 8; j++) rllc_free(all[j]);
    }
}

static void vector_rows(const rllc_kernels *k) {
    static const struct { const char *name; void (*run)(const rllc_kernels *, bench *); double tolerance; } kinds[] = {
        {"normals", run_normals, 1e-6}, {"sgld with noise", run_sgld, 1e-6}, {"adamw", run_adamw, 1e-6},
        {"sum squares", run_sum_squares, 1e-6}};
    static const int64_t sizes[] = {32864, 3355016}; /* a head; the whole model of the paper */
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 4; j++) {
            const int64_t n = sizes[i];
            bench x = {.name = kinds[j].name, .n = n, .elements = (double)n, .run = kinds[j].run,
                       .tolerance = kinds[j].tolerance, .a = numbers(n, 1), .b = numbers(n, 2), .c = numbers(n, 3)};
            x.out_n = x.run == run_adamw ? 3 * n : x.run == run_sum_squares ? 1 : n;
            x.out = numbers(3 * n, 4); /* for AdamW the weights and both moments, the second one positive */
            for (int64_t e = 2 * n; e < 3 * n; e++) x.out[e] = fabsf(x.out[e]);
            report(k, &x);
            float *const all[] = {x.a, x.b, x.c, x.out};
            for (int e = 0; e < 4; e++) rllc_free(all[e]);
        }
    }
}

/* OpenBLAS takes a processor it does not know for the oldest one: then it is started again with a fitting name. */
static void wake_openblas(char **argv) {
#if defined(RLLC_BENCH_OPENBLAS) && defined(__x86_64__)
    openblas_set_num_threads(1);
    if (strcmp(openblas_get_corename(), "Prescott") == 0 && getenv("OPENBLAS_CORETYPE") == NULL) {
        const char *core = __builtin_cpu_supports("avx512f") ? "SkylakeX" : "Haswell";
        const bool fits = __builtin_cpu_supports("avx2");
        if (fits && setenv("OPENBLAS_CORETYPE", core, 1) == 0) execv("/proc/self/exe", argv);
    }
    printf("OpenBLAS: %s\n", openblas_get_corename());
#else
    (void)argv;
#endif
}

int main(int argc, char **argv) {
    const char *path = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && strcmp(argv[i], "--rounds") == 0) rounds = atoi(value);
        else if (value && strcmp(argv[i], "--only") == 0) only = value;
        else if (value && strcmp(argv[i], "--tsv") == 0) path = value;
        else {
            fprintf(stderr, "usage: bench_kernels [--rounds N] [--only WORD] [--tsv FILE]\n");
            return 2;
        }
    }
    const bool bad_rounds = rounds < 5 || rounds > MAX_ROUNDS;
    if (bad_rounds || rllc_kernels_select(getenv("RLLC_KERNELS")) != RLLC_OK) {
        fprintf(stderr, "bench_kernels: %s\n", bad_rounds ? "--rounds takes 5 to 1000" : rllc_error_detail());
        return 2;
    }
    wake_openblas(argv);
    const rllc_kernels *k = rllc_kernels_get();
    if (path != NULL && (tsv = fopen(path, "w")) == NULL) {
        perror(path);
        return 1;
    }
    if (tsv != NULL) {
        char date[32];
        const time_t t = time(NULL);
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&t));
        fprintf(tsv, "# rllc bench: %s %s 1 threads %s\n", RLLC_VERSION, k->name, date);
        fputs("section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds\n", tsv);
    }
    printf("%s, one thread, peak %.0f GFLOP/s\n", k->name, measure_peak(k));
    printf("%-20s %-18s %10s %10s %13s %5s %8s  %s\n", "kernel", "shape", "median us", "best us", "rate", "peak",
           "OpenBLAS", "error");
    gemm_rows(k);
    attention_rows(k);
    low_rank_rows(k);
    row_rows(k);
    vector_rows(k);
    if (tsv != NULL && fclose(tsv) != 0) perror(path);
    return failed ? 1 : 0;
}
