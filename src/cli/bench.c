/* rllc bench: what this machine can do: peak, matrix products, every kind of pass, whole presets, and how cost scales.
 */
#include <string.h>

#include "cli/bench.h"
#include "cli/config.h"
#include "cli/frame.h"

static const rllc_option options[] = {
    RLLC_OPTION(rllc_bench_options, presets, RLLC_TEXT, "demo,paper", RLLC_UNBOUNDED, NULL, "",
                "whose models are timed"),
    RLLC_OPTION(rllc_bench_options, seconds, RLLC_REAL, "1", 0.001, 600, NULL, "s",
                "of each round, at least; batches shrink until a call takes no longer"),
    RLLC_OPTION(rllc_bench_options, rounds, RLLC_INTEGER, "5", 1, 1000, NULL, "",
                "of each timing: their median is reported, with the lowest and the highest"),
    RLLC_OPTION(rllc_bench_options, profile, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "also print each kernel's share of the time (files and --json always have it)"),
    RLLC_OPTION(rllc_bench_options, plain, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "members on the plain path, to see what the low-rank ones save"),
    RLLC_OPTION(rllc_bench_options, scaling, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "instead of presets: cost per unit as the size of each thing varies"),
    RLLC_OPTION(rllc_bench_options, axes, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "with --scaling: which of batch, context, vocabulary, layers, members, threads (all unless given)"),
    RLLC_OPTION(rllc_bench_options, figure, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "with --scaling: also draw it, as SVG"),
    RLLC_OPTION(rllc_bench_options, tsv, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "also write every number: section, case, quantity, unit, median, low, high, rounds"),
};
static const rllc_option_table table = {"bench", "what is timed, how long", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

/* ---- timing ---------------------------------------------------------------------------------------------- */

rllc_status rllc_bench_time(const rllc_bench *b, rllc_bench_pass *passes, int64_t n, bool processor,
                            rllc_spread *each) {
    rllc_status status = RLLC_OK;
    const int64_t rounds = b->options.rounds;
    double *values = NULL;
    RLLC_TRY(rllc_alloc(&values, n * rounds, sizeof *values));
    for (int64_t r = 0; r < rounds; r++) {
        if (rllc_should_stop(b->monitor)) RLLC_TRY(rllc_fail(RLLC_ESTOPPED, "the benchmark was stopped"));
        for (int64_t i = 0; i < n; i++)
            RLLC_TRY(rllc_bench_pass_time(&passes[i], b->options.seconds, processor, &values[i * rounds + r]));
    }
    for (int64_t i = 0; i < n; i++) each[i] = rllc_spread_of(values + i * rounds, rounds);
done:
    rllc_free(values);
    return status;
}

const char *rllc_bench_duration(double seconds) {
    rllc_string text = {0};
    const char *out = rllc_duration_add(&text, seconds) == RLLC_OK ? rllc_intern(rllc_string_text(&text)) : "?";
    rllc_string_release(&text);
    return out;
}

/* ---- the machine ----------------------------------------------------------------------------------------- */

typedef struct speed {
    rllc_spread peak, product, had;
} speed;

/* Peak and product alternate, so that their ratio is one of the same minutes. */
static rllc_status measure_threads(const rllc_bench *b, int n_threads, speed *out) {
    rllc_status status = RLLC_OK;
    const int64_t rounds = b->options.rounds;
    double *values = NULL;
    RLLC_TRY(rllc_alloc(&values, 3 * rounds, sizeof *values));
    for (int64_t r = 0; r < rounds; r++) {
        RLLC_TRY(rllc_measure_peak(n_threads, b->options.seconds, &values[r], &values[2 * rounds + r]));
        RLLC_TRY(rllc_measure_gemm(n_threads, b->options.seconds, &values[rounds + r]));
    }
    *out = (speed){rllc_spread_of(values, rounds), rllc_spread_of(values + rounds, rounds),
                   rllc_spread_of(values + 2 * rounds, rounds)};
done:
    rllc_free(values);
    return status;
}

static rllc_status measure_one_or_all(rllc_bench *b, int n) {
    rllc_status status = RLLC_OK;
    const char *what = rllc_intern_printf("%d %s", n, n == 1 ? "thread" : "threads");
    speed s;
    RLLC_TRY(measure_threads(b, n, &s));
    RLLC_TRY(rllc_bench_add(&b->table, "machine", what, "FMA peak", "GFLOP/s", rllc_spread_scale(s.peak, 1e-9)));
    RLLC_TRY(
        rllc_bench_add(&b->table, "machine", what, "matrix product", "GFLOP/s", rllc_spread_scale(s.product, 1e-9)));
    RLLC_TRY(rllc_bench_add(&b->table, "machine", what, "share of the cores had", "1", s.had));
    if (n == 1) b->peak_one = s.peak.high;
    b->peak = s.peak.high;
    b->product = s.product.median;
    if (s.had.median < 0.95)
        rllc_report_message(
            b->monitor, "other work runs here: %s had %.0f%% of their cores; passes, timed on the wall, come out slow",
            what, 100 * s.had.median);
    if (!b->text) goto done;
    printf("%-12s %10.1f %10.1f %10.1f %7.0f%% %15.0f .. %-6.0f %7.0f%%\n", what, s.peak.median / 1e9,
           s.peak.high / 1e9, s.product.median / 1e9, 100 * s.product.median / s.peak.high, s.product.low / 1e9,
           s.product.high / 1e9, 100 * s.had.median);
done:
    return status;
}

static rllc_status measure_update(rllc_bench *b) {
    rllc_status status = RLLC_OK;
    double *values = NULL;
    RLLC_TRY(rllc_alloc(&values, b->options.rounds, sizeof *values));
    for (int64_t r = 0; r < b->options.rounds; r++) values[r] = rllc_measure_sgld(b->options.seconds / 10);
    const rllc_spread each = rllc_spread_of(values, b->options.rounds);
    b->sgld = each.median;
    RLLC_TRY(rllc_bench_add(&b->table, "machine", "1 thread", "SGLD step with noise", "ns/coordinate",
                            rllc_spread_scale(each, 1e9)));
    if (b->text) printf("An SGLD step with its noise takes %.2f ns a coordinate on one thread.\n", b->sgld * 1e9);
done:
    rllc_free(values);
    return status;
}

rllc_status rllc_bench_machine(rllc_bench *b) {
    rllc_status status = RLLC_OK;
    if (b->text)
        printf("Kernels %s, GFLOP/s, each thread in its processor time\n%-12s %10s %10s %10s %8s %25s %8s\n",
               rllc_kernels_get()->name, "", "FMA peak", "its best", "product", "of best", "lowest .. highest",
               "cores had");
    RLLC_TRY(measure_one_or_all(b, 1));
    if (b->n_threads > 1) RLLC_TRY(measure_one_or_all(b, b->n_threads));
    status = measure_update(b);
done:
    return status;
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static rllc_status measure_presets(rllc_bench *b) {
    rllc_status status = RLLC_OK;
    for (const char *p = b->options.presets; *p;) {
        const size_t n = strcspn(p, ", ");
        if (n > 0) RLLC_TRY(rllc_bench_preset(b, rllc_intern_printf("%.*s", (int)n, p)));
        p += n + strspn(p + n, ", ");
    }
    if (b->text)
        printf(
            "\nTokens are those of every member. GFLOP/s are useful operations; shares are of the best FMA peak and "
            "of the product, all threads.\nOutside: share of the threads' time not spent in kernels. Memory: engine, "
            "weights, members, at this batch.\n");
done:
    return status;
}

/** Every preset is known, before minutes are spent. */
static rllc_status check_presets(const char *list) {
    rllc_status status = RLLC_OK;
    const char *text;
    for (const char *p = list; *p && status == RLLC_OK;) {
        const size_t n = strcspn(p, ", ");
        if (n > 0) status = rllc_preset_text(rllc_intern_printf("%.*s", (int)n, p), &text);
        p += n + strspn(p + n, ", ");
    }
    return status;
}

static rllc_status check(const rllc_bench_options *o) {
    rllc_status status = RLLC_OK;
    if (o->figure && !o->scaling) return rllc_fail(RLLC_EUSAGE, "--figure draws what --scaling measures");
    if (o->axes && !o->scaling) return rllc_fail(RLLC_EUSAGE, "--axes chooses what --scaling measures");
    if (o->scaling && o->profile) return rllc_fail(RLLC_EUSAGE, "--profile is of presets, --scaling measures none");
    if (o->figure) {
        const size_t n = strlen(o->figure);
        if (n < 5 || strcmp(o->figure + n - 4, ".svg") != 0 || o->figure[n - 5] == '/')
            return rllc_fail(RLLC_EUSAGE, "--figure %s: expected a path that ends in .svg", o->figure);
    }
    RLLC_TRY(rllc_bench_check_axes(o->axes));
    status = check_presets(o->presets);
done:
    return status;
}

static rllc_status bench_main(int argc, const char *const *argv) {
    rllc_common_options common;
    rllc_bench b = {0};
    const rllc_option_binding bindings[] = {{&table, &b.options}};
    rllc_options_default(&table, &b.options);
    rllc_status status = rllc_cli_options(&rllc_command_bench, &common, bindings, 1, argc, argv, NULL, 0, NULL);
    if (status != RLLC_OK || common.help) return status;
    RLLC_TRY(check(&b.options));
    b.n_threads = common.threads > 0 ? (int)common.threads : rllc_default_threads();
    b.text = !common.json;
    b.monitor = rllc_cli_monitor(&common);
    RLLC_TRY(rllc_bench_machine(&b));
    RLLC_TRY(b.options.scaling ? rllc_bench_scaling(&b) : measure_presets(&b));
    const double memory = (double)rllc_peak_memory();
    RLLC_TRY(rllc_bench_add(&b.table, "machine", "this process", "peak memory", "MB", rllc_bench_once(memory / 1e6)));
    if (b.text) printf("This process held %.0f MB at most.\n", memory / 1e6);
    if (b.options.tsv) RLLC_TRY(rllc_bench_write_tsv(&b.table, b.n_threads, b.options.tsv));
    if (common.json) status = rllc_bench_print_json(&b.table, b.n_threads);
done:
    rllc_free(b.table.rows);
    return status;
}

const rllc_command rllc_command_bench = {
    .name = "bench",
    .summary = "what this machine can do",
    .usage = "rllc bench [--presets NAMES | --scaling [--axes NAMES] [--figure PATH]] [options]",
    .examples = "# peak, matrix products, every kind of pass, and how long the paper's run would take\n"
                "rllc bench\n"
                "# where the time goes, kernel by kernel\n"
                "rllc bench --presets paper --profile\n"
                "# cost per unit against batch, context, vocabulary, layers, members and threads, with a picture\n"
                "rllc bench --scaling --seconds 0.1 --figure scaling.svg\n"
                "# one thread, for a script\n"
                "rllc bench --threads 1 --presets demo --tsv bench.tsv --json\n",
    .tables = tables,
    .main = bench_main};
