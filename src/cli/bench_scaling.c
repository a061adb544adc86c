/* bench scaling: one size varies, the others stay at a small model's; what a unit costs should stay the same. */
#include <string.h>

#include "cli/bench_scaling.h"
#include "cli/frame.h"

/* The model and the batch that stay. On one thread, in its own processor time; threads alone are timed on the wall. */
enum { LAYERS = 2, WIDTH = 128, HEADS = 4, HEAD = 32, CONTEXT = 256, VOCABULARY = 1024, ROWS = 8, CHAINS = 2 };
enum { CONTEXT_TOKENS = 2048, THREAD_ROWS = 16 }; /* tokens of a batch as contexts vary; sequences as threads do */

enum { BATCH, CONTEXTS, VOCABULARIES, DEPTHS, MEMBERS, THREADS, AXES };

static const rllc_bench_axis axes[AXES] = {
    [BATCH] = {.name = "batch",
               .x_label = "sequences of 256 tokens",
               .unit = "us per token and member",
               .scale = 1e6,
               .log_x = true,
               .values = {1, 2, 4, 8, 16, 32},
               .n = 6},
    [CONTEXTS] = {.name = "context",
                  .x_label = "tokens of a sequence",
                  .unit = "us per token and member",
                  .scale = 1e6,
                  .log_x = true,
                  .values = {32, 64, 128, 256, 512, 1024, 2048},
                  .n = 7},
    [VOCABULARIES] = {.name = "vocabulary",
                      .x_label = "entries",
                      .unit = "ns per token and entry added",
                      .scale = 1e9,
                      .added = true,
                      .log_x = true,
                      .values = {256, 512, 1024, 2048, 4096, 8192},
                      .n = 6},
    [DEPTHS] = {.name = "layers",
                .x_label = "layers",
                .unit = "us per token and layer added",
                .scale = 1e6,
                .added = true,
                .values = {1, 2, 3, 4, 6, 8},
                .n = 6},
    [MEMBERS] = {.name = "members",
                 .x_label = "heads x chains",
                 .unit = "us per token and member",
                 .scale = 1e6,
                 .log_x = true,
                 .values = {1, 2, 4, 8, 16, 32},
                 .n = 6},
    [THREADS] = {.name = "threads",
                 .x_label = "threads",
                 .unit = "core us per token and member",
                 .scale = 1e6,
                 .values = {1},
                 .n = 1},
};

const char *rllc_bench_series_name(int series) {
    static const char *const names[RLLC_BENCH_SERIES] = {"training step", "full", "first-layer heads",
                                                         "last-layer heads"};
    return names[series];
}

const char *rllc_bench_scaling_base(void) {
    return rllc_intern_printf("%d layers, width %d, %d heads of %d, context %d, vocabulary %d, %d sequences, %d chains",
                              (int)LAYERS, (int)WIDTH, (int)HEADS, (int)HEAD, (int)CONTEXT, (int)VOCABULARY, (int)ROWS,
                              (int)CHAINS);
}

/* ---- what is timed --------------------------------------------------------------------------------------- */

/** All heads of a layer, or the first n. */
static const char *heads_of(int64_t layer, int64_t n) {
    const char *list = "";
    for (int64_t h = 0; list && h < n; h++)
        list = rllc_intern_printf("%s%sl%lldh%lld", list, h ? "," : "", (long long)layer, (long long)h);
    return list;
}

/** The work at one point; false where the axis has no such point. */
static bool set_work(int axis, int series, int64_t value, rllc_bench_work *w) {
    rllc_model_options shape;
    rllc_options_default(&rllc_model_option_table, &shape);
    shape.n_layers = axis == DEPTHS ? value : LAYERS;
    shape.d_model = WIDTH;
    shape.n_heads = HEADS;
    shape.d_head = HEAD;
    shape.n_ctx = axis == CONTEXTS ? value : CONTEXT;
    shape.d_vocab = axis == VOCABULARIES ? value : VOCABULARY;
    *w = (rllc_bench_work){.shape = shape, .rows = ROWS, .chains = CHAINS, .n_threads = 1};
    if (axis == BATCH) w->rows = value;
    if (axis == CONTEXTS) w->rows = CONTEXT_TOKENS / value;
    if (axis == THREADS) {
        w->rows = THREAD_ROWS;
        w->n_threads = (int)value;
    }
    int64_t heads = HEADS;
    if (axis == MEMBERS) {
        if (series == RLLC_BENCH_TRAINING) return false;
        heads = series == RLLC_BENCH_FULL ? 1 : value < HEADS ? value : HEADS;
        w->chains = value / heads;
    }
    if (series == RLLC_BENCH_FULL) w->components = "full";
    if (series == RLLC_BENCH_FIRST) w->components = heads_of(0, heads);
    if (series == RLLC_BENCH_LAST) w->components = heads_of(shape.n_layers - 1, heads);
    return series != RLLC_BENCH_FIRST || shape.n_layers > 1; /* the only layer is the last */
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

/** Between two points: the most and the least that their rounds allow. */
static rllc_spread difference(rllc_spread x, rllc_spread y, double by) {
    return (rllc_spread){(y.median - x.median) / by, (y.low - x.high) / by, (y.high - x.low) / by, y.rounds};
}

static rllc_status add_point(rllc_bench *b, rllc_bench_axis *a, int series, int64_t value, const rllc_bench_pass *p,
                             rllc_spread each) {
    rllc_status status = RLLC_OK;
    rllc_bench_curve *c = &a->curves[series];
    const int64_t k = c->n++;
    const double threads = (double)p->work.n_threads, batch = (double)(p->work.rows * p->work.shape.n_ctx);
    const char *what = rllc_intern_printf("%s/%s/%lld", a->name, rllc_bench_series_name(series), (long long)value);
    c->x[k] = (double)value;
    c->cost[k] = rllc_spread_scale(each, threads / rllc_bench_pass_tokens(p));
    c->flops[k] = rllc_spread_rate(each, batch * p->flops / threads);
    RLLC_TRY(rllc_bench_add(&b->table, "scaling", what, "core time per token and member", "us",
                            rllc_spread_scale(c->cost[k], 1e6)));
    RLLC_TRY(rllc_bench_add(&b->table, "scaling", what, "rate of a thread", "GFLOP/s",
                            rllc_spread_scale(c->flops[k], 1e-9)));
    if (!a->added || k == 0) goto done;
    c->added[k] = difference(c->cost[k - 1], c->cost[k], c->x[k] - c->x[k - 1]);
    RLLC_TRY(rllc_bench_add(&b->table, "scaling", what, "core time per token, member and unit added", "ns",
                            rllc_spread_scale(c->added[k], 1e9)));
done:
    return status;
}

static rllc_status measure_axis(rllc_bench *b, rllc_bench_axis *a, int axis) {
    rllc_status status = RLLC_OK;
    rllc_bench_pass passes[RLLC_BENCH_SERIES * RLLC_BENCH_POINTS];
    rllc_spread each[RLLC_BENCH_SERIES * RLLC_BENCH_POINTS];
    int64_t n = 0, k = 0;
    rllc_bench_work work;
    for (int s = 0; s < RLLC_BENCH_SERIES; s++)
        for (int64_t i = 0; i < a->n; i++) {
            if (!set_work(axis, s, a->values[i], &work)) continue;
            work.plain = b->options.plain;
            RLLC_TRY(rllc_bench_pass_open(&passes[n], &work));
            RLLC_TRY(rllc_bench_pass_call(&passes[n++])); /* fetches what is touched for the first time */
        }
    RLLC_TRY(rllc_bench_time(b, passes, n, axis != THREADS, each));
    for (int s = 0; s < RLLC_BENCH_SERIES; s++)
        for (int64_t i = 0; i < a->n; i++) {
            if (!set_work(axis, s, a->values[i], &work)) continue;
            RLLC_TRY(add_point(b, a, s, a->values[i], &passes[k], each[k]));
            k++;
        }
done:
    while (n > 0) rllc_bench_pass_close(&passes[--n]);
    return status;
}

static void print_point(const rllc_bench *b, const rllc_bench_axis *a, const rllc_bench_curve *c, int64_t value) {
    int64_t k = 0;
    while (k < c->n && c->x[k] != (double)value) k++;
    if (k == c->n) {
        printf(" %19s%s", "", a->added ? "          " : "");
        return;
    }
    printf(" %13.4f", 1e6 * c->cost[k].median);
    if (a->added && k > 0) printf(" %9.4f", a->scale * c->added[k].median);
    if (a->added && k == 0) printf(" %9s", "");
    printf(" %4.0f%%", 100 * c->flops[k].median / b->peak_one);
}

static void print_axis(const rllc_bench *b, const rllc_bench_axis *a) {
    rllc_cli_end_progress();
    printf("\n%s: %s%s; share of one core's FMA peak\n%8s", a->name, a->added ? "us per token and member; " : "",
           a->unit, "");
    for (int s = 0; s < RLLC_BENCH_SERIES; s++)
        if (a->curves[s].n > 0) printf(" %*s", a->added ? 29 : 19, rllc_bench_series_name(s));
    printf("\n");
    for (int64_t i = 0; i < a->n; i++) {
        printf("%8lld", (long long)a->values[i]);
        for (int s = 0; s < RLLC_BENCH_SERIES; s++)
            if (a->curves[s].n > 0) print_point(b, a, &a->curves[s], a->values[i]);
        printf("\n");
    }
}

/** 1, 2, 4, ... and all. */
static void count_threads(rllc_bench_axis *a, int n_threads) {
    a->n = 0;
    for (int64_t v = 1; v < n_threads && a->n < RLLC_BENCH_POINTS - 1; v *= 2) a->values[a->n++] = v;
    a->values[a->n++] = n_threads;
}

/** The next name of a list; NULL at its end. */
static const char *next_name(const char **list) {
    *list += strspn(*list, ", ");
    const size_t n = strcspn(*list, ", ");
    const char *name = n > 0 ? rllc_intern_printf("%.*s", (int)n, *list) : NULL;
    *list += n;
    return name;
}

static int find_axis(const char *name) {
    for (int i = 0; i < AXES; i++)
        if (strcmp(axes[i].name, name) == 0) return i;
    return -1;
}

rllc_status rllc_bench_check_axes(const char *list) {
    const char *names[AXES];
    for (int i = 0; i < AXES; i++) names[i] = axes[i].name;
    if (list && !list[strspn(list, ", ")]) return rllc_fail(RLLC_EUSAGE, "--axes: the list is empty");
    for (const char *name; list && (name = next_name(&list));) {
        if (find_axis(name) >= 0) continue;
        const char *nearest = rllc_nearest(name, names, AXES);
        return rllc_fail(RLLC_EUSAGE, "--axes: there is no axis '%s'; %s", name,
                         nearest ? rllc_intern_printf("did you mean '%s'?", nearest)
                                 : "there are batch, context, vocabulary, layers, members and threads");
    }
    return RLLC_OK;
}

static bool is_wanted(const char *list, int axis) {
    for (const char *name; list && (name = next_name(&list));)
        if (find_axis(name) == axis) return true;
    return !list;
}

rllc_status rllc_bench_scaling(rllc_bench *b) {
    rllc_status status = RLLC_OK;
    rllc_bench_axis *measured = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_alloc(&measured, AXES, sizeof *measured));
    if (b->text)
        printf("\nBase: %s; one of them varies.\nOne thread in its processor time; the axis of threads on the wall.\n",
               rllc_bench_scaling_base());
    for (int i = 0; i < AXES; i++) {
        if (!is_wanted(b->options.axes, i)) continue;
        rllc_bench_axis *a = &measured[n++];
        *a = axes[i];
        if (i == THREADS) count_threads(a, b->n_threads);
        rllc_report_progress(b->monitor, "scaling", "axis", i, AXES, "%s", a->name);
        RLLC_TRY(measure_axis(b, a, i));
        if (b->text) print_axis(b, a);
    }
    if (b->options.figure) RLLC_TRY(rllc_bench_draw(b, measured, n, b->options.figure));
done:
    rllc_free(measured);
    return status;
}
