/* rllc bench: what this machine can do: matrix products, training steps, sampling steps, and the paper's run. */
#include <string.h>

#include "cli/rates.h"
#include "cli/config.h"
#include "cli/frame.h"

typedef struct bench_options {
    const char *presets;
    double seconds;
} bench_options;

static const rllc_option options[] = {
    RLLC_OPTION(bench_options, presets, RLLC_TEXT, "demo,paper", RLLC_UNBOUNDED, NULL, "", "whose models are timed"),
    RLLC_OPTION(bench_options, seconds, RLLC_REAL, "2", 0.01, 600, NULL, "s", "for each timing"),
};
static const rllc_option_table table = {"bench", "what is timed, how long", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

enum { MOST_PRESETS = 8 };

/* One preset's rates, and how long its run would take. */
typedef struct bench_row {
    const char *preset;
    int64_t n_ctx;
    rllc_rate training, sampling;
    double training_seconds, sampling_seconds; /* of the whole preset */
    double memory;                             /* of a training step on the timed batch, bytes */
} bench_row;

typedef struct bench {
    int threads;
    double gemm_one, gemm_all; /* FLOP/s */
    bench_row rows[MOST_PRESETS];
    int n;
} bench;

/* ---- measuring ------------------------------------------------------------------------------------------- */

static rllc_status training_memory(const rllc_model *m, int64_t rows, int threads, double *out) {
    rllc_component full = {0};
    const rllc_component *const members[1] = {&full};
    rllc_status status = rllc_component_parse(&full, m, "full");
    if (status == RLLC_OK) {
        *out = (double)rllc_engine_bytes(m, rows, threads, members, 1) + 4.0 * sizeof(float) * (double)m->size;
    }
    rllc_component_release(&full);
    return status;
}

static rllc_status whole_run(const rllc_run_config *c, const rllc_model *m, int threads, bench_row *row) {
    rllc_status status = RLLC_OK;
    double steps, tokens, flops, memory, disk;
    int64_t *grid = NULL, n = 0, corpora = 1;
    const rllc_sampling_job job = {.model = m, .sampler = c->sampler, .options = c->sampling, .n_threads = threads};
    RLLC_TRY(rllc_grid_parse(c->sampling_checkpoints, &grid, &n));
    RLLC_TRY(rllc_sampling_cost(&job, &steps, &tokens, &flops, &memory, &disk));
    for (const char *p = c->sampling_corpora; *p; p++) corpora += *p == ',';
    row->training_seconds =
        (double)(c->n_seeds * c->training.steps * c->training.batch_size * m->options.n_ctx) / row->training.tokens;
    row->sampling_seconds = (double)(c->n_seeds * n * corpora) * tokens / row->sampling.tokens;
done:
    rllc_free(grid);
    return status;
}

static rllc_status measure_preset(const char *name, int threads, double seconds, bench_row *row) {
    rllc_status status = RLLC_OK;
    rllc_run_config c = {0};
    rllc_model m = {0};
    RLLC_TRY(rllc_run_config_read(&c, name, NULL, NULL, 0));
    c.model.d_vocab = c.tokenizer.vocab_size;
    row->preset = name;
    row->n_ctx = c.model.n_ctx;
    RLLC_TRY(rllc_model_init(&m, &c.model));
    RLLC_TRY(rllc_measure_training(&c.model, c.training.batch_size, threads, seconds, &row->training));
    RLLC_TRY(rllc_measure_sampling(&c.model, &c.sampling, &c.sampler, threads, seconds, &row->sampling));
    RLLC_TRY(training_memory(&m, row->training.rows, threads, &row->memory));
    RLLC_TRY(whole_run(&c, &m, threads, row));
done:
    rllc_model_release(&m);
    rllc_run_config_release(&c);
    return status;
}

static rllc_status measure(const bench_options *o, const rllc_monitor *monitor, bench *b) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_measure_gemm(1, o->seconds, &b->gemm_one));
    RLLC_TRY(rllc_measure_gemm(b->threads, o->seconds, &b->gemm_all));
    for (const char *p = o->presets; *p && b->n < MOST_PRESETS;) {
        size_t n = strcspn(p, ", ");
        const char *name = rllc_intern_printf("%.*s", (int)n, p);
        rllc_report_message(monitor, "timing preset %s", name);
        RLLC_TRY(measure_preset(name, b->threads, o->seconds, &b->rows[b->n++]));
        p += n + strspn(p + n, ", ");
    }
done:
    return status;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

static const char *duration(double seconds) {
    rllc_string text = {0};
    const char *out = rllc_duration_add(&text, seconds) == RLLC_OK ? rllc_intern(rllc_string_text(&text)) : "?";
    rllc_string_release(&text);
    return out;
}

static void print_row(const bench *b, const bench_row *r, const char *pass, const rllc_rate *rate) {
    printf("%-7s %-9s %4lld x %-5lld %11.0f %10.1f  %5.0f%%\n", r->preset, pass, (long long)rate->rows,
           (long long)r->n_ctx, rate->tokens, rate->flops / 1e9, 100 * rate->flops / b->gemm_all);
}

static void print_text(const bench *b) {
    printf("kernels %s: matrix product %.1f GFLOP/s on one thread, %.1f on %d\n\n", rllc_kernels_get()->name,
           b->gemm_one / 1e9, b->gemm_all / 1e9, b->threads);
    printf("preset  pass      batch           tokens/s    GFLOP/s  of product\n");
    for (int i = 0; i < b->n; i++) {
        print_row(b, &b->rows[i], "training", &b->rows[i].training);
        print_row(b, &b->rows[i], "sampling", &b->rows[i].sampling);
    }
    printf("\nSampling counts the tokens of every component and chain.\n");
    for (int i = 0; i < b->n; i++) {
        printf("Preset %s would take %s to train and %s to sample here", b->rows[i].preset,
               duration(b->rows[i].training_seconds), duration(b->rows[i].sampling_seconds));
        printf("; a training step of %lld x %lld holds %.0f MB.\n", (long long)b->rows[i].training.rows,
               (long long)b->rows[i].n_ctx, b->rows[i].memory / 1e6);
    }
}

static rllc_status rate_json(const bench *b, const rllc_rate *rate, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "rows", rllc_json_integer(rate->rows)));
    RLLC_TRY(rllc_json_set(j, "tokens_per_second", rllc_json_real(rate->tokens)));
    RLLC_TRY(rllc_json_set(j, "flops_per_second", rllc_json_real(rate->flops)));
    RLLC_TRY(rllc_json_set(j, "share_of_product", rllc_json_real(rate->flops / b->gemm_all)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status row_json(const bench *b, const bench_row *r, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *rate = NULL;
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "preset", rllc_json_string(r->preset)));
    RLLC_TRY(rate_json(b, &r->training, &rate));
    RLLC_TRY(rllc_json_set(j, "training", rate));
    RLLC_TRY(rate_json(b, &r->sampling, &rate));
    RLLC_TRY(rllc_json_set(j, "sampling", rate));
    RLLC_TRY(rllc_json_set(j, "training_seconds", rllc_json_real(r->training_seconds)));
    RLLC_TRY(rllc_json_set(j, "sampling_seconds", rllc_json_real(r->sampling_seconds)));
    RLLC_TRY(rllc_json_set(j, "training_memory_bytes", rllc_json_real(r->memory)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status print_json(const bench *b) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *rows = rllc_json_array(), *row = NULL;
    for (int i = 0; i < b->n; i++) {
        RLLC_TRY(row_json(b, &b->rows[i], &row));
        RLLC_TRY(rllc_json_append(rows, row));
    }
    RLLC_TRY(rllc_json_set(j, "kernels", rllc_json_string(rllc_kernels_get()->name)));
    RLLC_TRY(rllc_json_set(j, "threads", rllc_json_integer(b->threads)));
    RLLC_TRY(rllc_json_set(j, "product_flops_one_thread", rllc_json_real(b->gemm_one)));
    RLLC_TRY(rllc_json_set(j, "product_flops", rllc_json_real(b->gemm_all)));
    RLLC_TRY(rllc_json_set(j, "peak_memory_bytes", rllc_json_integer((int64_t)rllc_peak_memory())));
    status = rllc_json_set(j, "presets", rows);
    rows = NULL;
    RLLC_TRY(status);
    return rllc_cli_print_json("bench", j);
done:
    rllc_json_free(rows);
    rllc_json_free(j);
    return status;
}

static rllc_status bench_main(int argc, const char *const *argv) {
    rllc_common_options common;
    bench_options o;
    bench b = {0};
    const rllc_option_binding bindings[] = {{&table, &o}};
    rllc_options_default(&table, &o);
    rllc_status status = rllc_cli_options(&rllc_command_bench, &common, bindings, 1, argc, argv, NULL, 0, NULL);
    if (status != RLLC_OK || common.help) return status;
    b.threads = common.threads > 0 ? (int)common.threads : rllc_default_threads();
    status = measure(&o, rllc_cli_monitor(&common), &b);
    if (status != RLLC_OK) return status;
    if (common.json) return print_json(&b);
    print_text(&b);
    return RLLC_OK;
}

const rllc_command rllc_command_bench = {
    .name = "bench",
    .summary = "what this machine can do",
    .usage = "rllc bench [--presets NAMES] [--seconds S] [options]",
    .examples = "# matrix products, training and sampling rates, and how long the paper's run would take\n"
                "rllc bench\n"
                "# one thread, for a script\n"
                "rllc bench --threads 1 --presets demo --json\n",
    .tables = tables,
    .main = bench_main};
