/*
 * bench_step: times one kind of step on a given checkpoint and batch, so that other programs can be given the same.
 *
 *   bench_step --checkpoint PATH --tokens ROWS.npy [--job train | SELECTORS] [--chains N] [--rows N] [--threads N]
 *              [--seconds X] [--baseline yes] [--gradient FILE]
 *
 * A training step is the gradient and AdamW; a sampling step is one lockstep pass of every component that the selectors
 * name (l1h3; full; heads) times the chains, and each chain's SGLD move with noise, at the default settings. --baseline
 * forms the paired baseline of the batch as well, as `rllc sample` does. The batch is the first rows of the file and
 * stands still. One step warms; then come steps for so many seconds, two at least. Rates count the tokens of every
 * chain. With --gradient nothing is timed: the first member's gradient at the checkpoint is written, raw float32.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rllc/data.h"
#include "rllc/model.h"
#include "rllc/optim.h"
#include "rllc/sgmcmc.h"

enum { MOST_STEPS = 1000 };

typedef struct options {
    const char *checkpoint, *tokens, *job, *gradient;
    int64_t chains, rows; /* rows 0: all of the file */
    int threads;
    double seconds;
    bool baseline;
} options;

typedef struct bench {
    options o;
    rllc_model model;
    rllc_engine *engine;
    int32_t *tokens; /* [rows, n_ctx] */
    double loss;     /* of the first step: at the checkpoint */
    /* training */
    rllc_adamw adamw;
    float *gradient;
    /* sampling: member i belongs to component i / chains */
    rllc_component *components;
    int64_t n_components, n_members;
    rllc_member *members;
    rllc_sampler_options sampler;
    rllc_sampler_state *states;
    float *numbers; /* of every member: w, gradient, scratch, w0 */
} bench;

static bool trains(const bench *b) {
    return strcmp(b->o.job, "train") == 0;
}

/* ---- preparing --------------------------------------------------------------------------------------------- */

static rllc_status read_batch(bench *b) {
    rllc_rows file = {0};
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_rows_open(&file, b->o.tokens, b->model.options.d_vocab));
    if (b->o.rows == 0) b->o.rows = file.rows;
    if (b->o.rows > file.rows || file.n_ctx != b->model.options.n_ctx) {
        status = rllc_fail(RLLC_EUSAGE, "%s has %lld rows of %lld tokens; %lld of %lld are wanted", b->o.tokens,
                           (long long)file.rows, (long long)file.n_ctx, (long long)b->o.rows,
                           (long long)b->model.options.n_ctx);
        goto done;
    }
    RLLC_TRY(rllc_alloc(&b->tokens, b->o.rows * file.n_ctx, sizeof *b->tokens));
    for (int64_t i = 0; i < b->o.rows; i++) rllc_rows_get(&file, i, b->tokens + i * file.n_ctx);
done:
    rllc_rows_close(&file);
    return status;
}

static rllc_status prepare_training(bench *b) {
    rllc_adamw_options adamw;
    rllc_status status = RLLC_OK;
    rllc_options_default(&rllc_adamw_option_table, &adamw);
    RLLC_TRY(rllc_adamw_init(&b->adamw, b->model.size, &adamw));
    RLLC_TRY(rllc_alloc(&b->gradient, b->model.size, sizeof *b->gradient));
done:
    return status;
}

/* A member that begins at the checkpoint; numbers has room for its four vectors. */
static void place(bench *b, int64_t i, const rllc_component *c, float *numbers) {
    float *w = numbers, *w0 = numbers + 3 * c->size;
    for (int64_t r = 0; r < c->n_ranges; w0 += c->ranges[r++].n) {
        memcpy(w0, b->model.weights + c->ranges[r].first, (size_t)c->ranges[r].n * sizeof *w0);
    }
    memcpy(w, numbers + 3 * c->size, (size_t)c->size * sizeof *w);
    b->members[i] = (rllc_member){.component = c, .free = w, .gradient = numbers + c->size};
    b->states[i] = (rllc_sampler_state){.dim = c->size,
                                        .w = w,
                                        .w0 = numbers + 3 * c->size,
                                        .spans = c->ranges,
                                        .n_spans = c->n_ranges,
                                        .scratch = numbers + 2 * c->size};
}

static rllc_status prepare_sampling(bench *b) {
    const char **names = NULL;
    int64_t size = 0;
    rllc_status status = RLLC_OK;
    rllc_options_default(&rllc_sampler_option_table, &b->sampler);
    RLLC_TRY(rllc_components_expand(&b->model, b->o.job, &names, &b->n_components));
    b->n_members = b->n_components * b->o.chains;
    RLLC_TRY(rllc_alloc(&b->components, b->n_components, sizeof *b->components));
    RLLC_TRY(rllc_alloc(&b->members, b->n_members, sizeof *b->members));
    RLLC_TRY(rllc_alloc(&b->states, b->n_members, sizeof *b->states));
    for (int64_t i = 0; i < b->n_components; i++) {
        RLLC_TRY(rllc_component_parse(&b->components[i], &b->model, names[i]));
        size += 4 * b->components[i].size * b->o.chains;
    }
    RLLC_TRY(rllc_alloc(&b->numbers, size, sizeof *b->numbers));
    float *next = b->numbers;
    for (int64_t i = 0; i < b->n_members; i++) {
        const rllc_component *c = &b->components[i / b->o.chains];
        place(b, i, c, next);
        next += 4 * c->size;
    }
done:
    rllc_free(names);
    return status;
}

static void release(bench *b) {
    for (int64_t i = 0; b->components && i < b->n_components; i++) rllc_component_release(&b->components[i]);
    rllc_free(b->components);
    rllc_free(b->members);
    rllc_free(b->states);
    rllc_free(b->numbers);
    rllc_free(b->gradient);
    rllc_adamw_release(&b->adamw);
    rllc_engine_free(b->engine);
    rllc_free(b->tokens);
    rllc_model_release(&b->model);
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

static rllc_status evaluate_members(bench *b) {
    double base;
    return rllc_engine_lockstep(b->engine, b->model.weights, b->tokens, b->o.rows, b->members, b->n_members,
                                b->o.baseline ? &base : NULL, NULL);
}

static rllc_status sampling_step(bench *b) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(evaluate_members(b));
    for (int64_t i = 0; i < b->n_members; i++) {
        rllc_sampler_state *s = &b->states[i];
        const rllc_stream noise = rllc_stream_make(1, "bench", (uint32_t)i, (uint32_t)s->step);
        double loss = b->members[i].loss;
        RLLC_TRY(rllc_sampler_step(&b->sampler, s, &loss, b->members[i].gradient, &noise));
        s->step++;
    }
done:
    return status;
}

static rllc_status training_step(bench *b) {
    rllc_evaluation e = {.gradient = b->gradient};
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_engine_evaluate(b->engine, b->model.weights, b->tokens, b->o.rows, &e));
    RLLC_TRY(rllc_adamw_update(&b->adamw, b->gradient, b->model.weights, b->o.threads, NULL));
    b->loss = e.loss;
done:
    return status;
}

static rllc_status step(bench *b) {
    return trains(b) ? training_step(b) : sampling_step(b);
}

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *sorted, int n) {
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

/* Bytes that this process held at most. What getrusage says also counts what the parent held before it became us. */
static double peak_memory(void) {
    char line[128];
    double kilobytes = (double)rllc_peak_memory() / 1024;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    }
    if (f) fclose(f);
    return kilobytes * 1024;
}

static void print_row(const char *name, const char *quantity, double x, double low, double high, int n) {
    printf("%s\t%s\t%.9g\t%.9g\t%.9g\t%d\n", name, quantity, x, low, high, n);
}

static rllc_status measure(bench *b) {
    double seconds[MOST_STEPS];
    int n = 0;
    rllc_status status = RLLC_OK;
    RLLC_TRY(step(b));
    const double loss = trains(b) ? b->loss : b->members[0].loss;
    const double start = rllc_now(), processor = processor_seconds();
    while (n < 2 || (n < MOST_STEPS && rllc_now() - start < b->o.seconds)) {
        const double before = rllc_now();
        RLLC_TRY(step(b));
        seconds[n++] = rllc_now() - before;
    }
    const double cores = (processor_seconds() - processor) / (rllc_now() - start);
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    const double tokens = (double)(b->o.rows * b->model.options.n_ctx * (trains(b) ? 1 : b->n_members));
    char name[256], date[32];
    const time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    snprintf(name, sizeof name, "step\t%s x %lld, %lld x %lld", b->o.job, trains(b) ? 1LL : (long long)b->o.chains,
             (long long)b->o.rows, (long long)b->model.options.n_ctx);
    printf("# rllc bench: %s %s %d threads %s\n", RLLC_VERSION, rllc_kernels_get()->name, b->o.threads, date);
    printf("section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds\n");
    const double memory = peak_memory() / 1048576;
    print_row(name, "rate\ttokens/s", tokens / median(seconds, n), tokens / seconds[n - 1], tokens / seconds[0], n);
    print_row(name, "processors\tbusy", cores, cores, cores, 1);
    print_row(name, "memory\tMB", memory, memory, memory, 1);
    print_row(name, "loss\tnats", loss, loss, loss, 1);
done:
    return status;
}

static rllc_status write_gradient(bench *b) {
    rllc_evaluation e = {.gradient = b->gradient};
    rllc_status status = RLLC_OK;
    if (trains(b))
        RLLC_TRY(rllc_engine_evaluate(b->engine, b->model.weights, b->tokens, b->o.rows, &e));
    else
        RLLC_TRY(evaluate_members(b));
    const float *g = trains(b) ? b->gradient : b->members[0].gradient;
    const size_t n = (size_t)(trains(b) ? b->model.size : b->members[0].component->size);
    FILE *f = fopen(b->o.gradient, "wb");
    const bool written = f && fwrite(g, sizeof *g, n, f) == n;
    if (!f || fclose(f) != 0 || !written) {
        status = rllc_fail(RLLC_EIO, "%s could not be written", b->o.gradient);
        goto done;
    }
    printf("%.9g\n", trains(b) ? e.loss : b->members[0].loss);
done:
    return status;
}

/* ---- command line -------------------------------------------------------------------------------------------- */

static bool number(const char *text, double least, double most, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= least && *out <= most;
}

static bool parse(int argc, char **argv, options *o) {
    double x = 0;
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--checkpoint") == 0)
            o->checkpoint = value;
        else if (strcmp(name, "--tokens") == 0)
            o->tokens = value;
        else if (strcmp(name, "--job") == 0)
            o->job = value;
        else if (strcmp(name, "--gradient") == 0)
            o->gradient = value;
        else if (strcmp(name, "--baseline") == 0 && strcmp(value, "yes") == 0)
            o->baseline = true;
        else if (strcmp(name, "--chains") == 0 && number(value, 1, 1000, &x))
            o->chains = (int64_t)x;
        else if (strcmp(name, "--rows") == 0 && number(value, 1, 1e6, &x))
            o->rows = (int64_t)x;
        else if (strcmp(name, "--threads") == 0 && number(value, 1, 1000, &x))
            o->threads = (int)x;
        else if (strcmp(name, "--seconds") == 0 && number(value, 0, 600, &x))
            o->seconds = x;
        else
            return false;
    }
    return o->checkpoint && o->tokens;
}

int main(int argc, char **argv) {
    bench b = {.o = {.job = "train", .chains = 1, .threads = rllc_default_threads(), .seconds = 1}};
    rllc_status status = RLLC_OK;
    if (!parse(argc, argv, &b.o)) {
        fprintf(stderr,
                "usage: bench_step --checkpoint PATH --tokens ROWS.npy [--job train | SELECTORS] [--chains N]\n"
                "                  [--rows N] [--threads N] [--seconds X] [--baseline yes] [--gradient FILE]\n");
        return 2;
    }
    RLLC_TRY(rllc_kernels_select(getenv("RLLC_KERNELS")));
    RLLC_TRY(rllc_model_load(&b.model, b.o.checkpoint));
    RLLC_TRY(read_batch(&b));
    RLLC_TRY(rllc_engine_new(&b.engine, &b.model, b.o.rows, b.o.threads));
    RLLC_TRY(trains(&b) ? prepare_training(&b) : prepare_sampling(&b));
    RLLC_TRY(b.o.gradient ? write_gradient(&b) : measure(&b));
done:
    release(&b);
    if (status != RLLC_OK) fprintf(stderr, "bench_step: %s\n", rllc_error_detail());
    return status == RLLC_OK ? 0 : rllc_status_exit_code(status);
}
