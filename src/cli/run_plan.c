/* rllc run --dry-run: what there is to do, and what it will cost here, from a short calibration of the real kernels. */
#include <math.h>
#include <string.h>

#include "cli/rates.h"
#include "cli/frame.h"
#include "cli/run.h"

enum { SAMPLE_BYTES = 1000000, MOST_LINES = 64 };
#define CALIBRATION_SECONDS 0.5

typedef struct plan_line {
    const char *stage, *what;
    double tokens, flops, seconds, disk; /* 0: none */
    bool done;
} plan_line;

typedef struct plan {
    plan_line lines[MOST_LINES];
    int n, undone;
    double seconds, disk, memory; /* of what is still to do */
    rllc_rate training, sampling;
    rllc_text_rate text;
} plan;

static void add_line(plan *p, plan_line line) {
    if (!line.done) {
        p->undone++;
        p->seconds += line.seconds;
        p->disk += line.disk;
    }
    if (p->n < MOST_LINES) p->lines[p->n++] = line;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

/* The first million bytes of the training corpus, through a tokenizer like the run's. */
static rllc_status measure_text(rllc_run *r, plan *p) {
    rllc_status status = RLLC_OK;
    rllc_reader *reader = NULL;
    rllc_string sample = {0};
    const char *text = NULL;
    size_t n = 0;
    const rllc_run_corpus *corpus = rllc_run_config_corpus(&r->config, r->config.tokenizer_corpus);
    if (rllc_sources_bytes(corpus->reader.sources) == 0) return RLLC_OK;
    RLLC_TRY(rllc_reader_open(&reader, &corpus->reader));
    do {
        RLLC_TRY(rllc_reader_next(reader, &text, &n));
        if (text) RLLC_TRY(rllc_string_add_bytes(&sample, text, n));
    } while (text && sample.length < SAMPLE_BYTES);
    RLLC_TRY(
        rllc_measure_tokenizer(rllc_string_text(&sample), sample.length, &r->config.tokenizer, r->tokenizer, &p->text));
done:
    rllc_reader_close(reader);
    rllc_string_release(&sample);
    return status;
}

static void plan_tokenizer(const rllc_run *r, plan *p) {
    const rllc_run_config *c = &r->config;
    const rllc_run_corpus *corpus = rllc_run_config_corpus(c, c->tokenizer_corpus);
    double bytes = rllc_sources_bytes(corpus->reader.sources);
    if (c->tokenizer.max_bytes > 0) bytes = fmin(bytes, (double)c->tokenizer.max_bytes);
    plan_line line = {.stage = "tokenizer", .done = rllc_run_tokenizer_is_done(r)};
    line.what = c->tokenizer_path ? rllc_intern_printf("from %s", c->tokenizer_path)
                                  : rllc_intern_printf("%lld entries from %s", (long long)c->tokenizer.vocab_size,
                                                       c->tokenizer_corpus);
    /* counting is linear in the text, merging hardly depends on it: an upper bound */
    if (!c->tokenizer_path) line.seconds = p->text.train_seconds * fmax(bytes / SAMPLE_BYTES, 1);
    add_line(p, line);
}

static void plan_corpus(const rllc_run *r, plan *p, int64_t i) {
    const rllc_run_corpus *corpus = &r->config.corpora[i];
    const double bytes = rllc_sources_bytes(corpus->reader.sources);
    plan_line line = {.stage = "corpus", .done = rllc_run_corpus_is_done(r, i)};
    line.what = bytes > 0
                    ? rllc_intern_printf("%s, %.1f MB of files", corpus->name, bytes / 1e6)
                    : rllc_intern_printf("%s, text not there yet: corpora.%s.sources=PATH", corpus->name, corpus->name);
    if (p->text.bytes_per_token > 0) {
        const double width =
            (r->tokenizer ? rllc_tokenizer_size(r->tokenizer) : r->config.tokenizer.vocab_size) > 65536 ? 4 : 2;
        line.tokens = bytes / p->text.bytes_per_token;
        line.disk = line.tokens * width;
        line.seconds = bytes / p->text.bytes;
    }
    add_line(p, line);
}

/* ---- training and scores --------------------------------------------------------------------------------- */

static rllc_status plan_companion(const rllc_run *r, plan *p, rllc_train_job job) {
    rllc_status status = RLLC_OK;
    double tokens, memory, disk;
    rllc_rate rate;
    if (!r->identity.companion) return RLLC_OK;
    job.model.n_layers = r->config.companion_layers;
    job.options.checkpoints = r->config.training.checkpoints;
    RLLC_TRY(rllc_train_cost(&job, &tokens, &memory, &disk));
    RLLC_TRY(rllc_measure_training(&job.model, job.options.batch_size, job.n_threads, CALIBRATION_SECONDS, &rate));
    p->memory = fmax(p->memory, memory);
    add_line(p, (plan_line){.stage = "companion",
                            .done = rllc_run_companion_is_done(r),
                            .what = rllc_intern_printf(
                                "%lld layers, seed %llu, %lld steps of %lld x %lld tokens", (long long)job.model.n_layers,
                                (unsigned long long)r->config.companion_seed, (long long)job.options.steps,
                                (long long)job.options.batch_size, (long long)job.model.n_ctx),
                            .tokens = tokens,
                            .flops = tokens * rate.flops / rate.tokens,
                            .seconds = tokens / rate.tokens,
                            .disk = disk});
done:
    return status;
}

static rllc_status plan_training(const rllc_run *r, plan *p, const rllc_model_options *shape) {
    rllc_status status = RLLC_OK;
    double tokens, memory, disk;
    const rllc_rows planned = {.rows = 1, .n_ctx = shape->n_ctx, .path = "the corpus to be packed"};
    rllc_train_job job = {.folder = r->config.output,
                          .model = *shape,
                          .optimizer = r->config.optimizer,
                          .options = r->config.training,
                          .train = &planned,
                          .n_threads = (int)r->common.threads};
    RLLC_TRY(rllc_run_config_grid(&r->config, &job.options.checkpoints));
    RLLC_TRY(rllc_train_cost(&job, &tokens, &memory, &disk));
    RLLC_TRY(rllc_measure_training(shape, r->config.training.batch_size, (int)r->common.threads, CALIBRATION_SECONDS,
                                   &p->training));
    p->memory = memory;
    for (int64_t i = 0; i < r->config.n_seeds; i++) {
        add_line(p, (plan_line){.stage = "train",
                                .done = rllc_run_train_is_done(r, i),
                                .what = rllc_intern_printf(
                                    "seed %llu, %lld steps of %lld x %lld tokens",
                                    (unsigned long long)r->config.seeds[i], (long long)r->config.training.steps,
                                    (long long)r->config.training.batch_size, (long long)shape->n_ctx),
                                .tokens = tokens,
                                .flops = tokens * p->training.flops / p->training.tokens,
                                .seconds = tokens / p->training.tokens,
                                .disk = disk});
    }
    RLLC_TRY(plan_companion(r, p, job));
done:
    return status;
}

/* Tokens of the synthetic sequences behind one score of one checkpoint, from the lengths of the first of them. */
static double score_tokens(const rllc_head_score *score, const rllc_model_options *shape, const rllc_score_options *o,
                           int32_t *tokens) {
    enum { SEQUENCES = 64 };
    double sum = 0;
    if (shape->n_ctx < score->min_ctx || shape->d_vocab < score->min_vocab) return 0;
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        const rllc_stream s = rllc_stream_make(o->score_seed, "plan", 0, i);
        int64_t t = 0, query, key;
        score->sample(&s, shape->n_ctx, shape->d_vocab, 0, tokens, &t, &query, &key);
        sum += (double)t;
    }
    return sum / SEQUENCES * (double)o->score_samples;
}

static rllc_status count_steps(const char *grid, int64_t *n) {
    int64_t *steps = NULL;
    rllc_status status = rllc_grid_parse(grid, &steps, n);
    rllc_free(steps);
    return status;
}

static rllc_status plan_scores(const rllc_run *r, plan *p, const rllc_model_options *shape, double forward_flops) {
    rllc_status status = RLLC_OK;
    int32_t *tokens = NULL;
    const char *grid = r->config.score_checkpoints;
    double one = 0;
    int64_t checkpoints = 0;
    int n = 0;
    const rllc_head_score *const *list = rllc_head_score_list(&n);
    if (!grid) RLLC_TRY(rllc_run_config_grid(&r->config, &grid));
    RLLC_TRY(count_steps(grid, &checkpoints));
    RLLC_TRY(rllc_alloc(&tokens, shape->n_ctx, sizeof *tokens));
    for (int i = 0; i < n; i++) {
        if (!r->config.scores || strstr(r->config.scores, list[i]->name))
            one += score_tokens(list[i], shape, &r->config.score, tokens);
    }
    const double all = one * (double)(checkpoints * r->config.n_seeds);
    add_line(p,
             (plan_line){.stage = "scores",
                         .done = rllc_run_is_done(r, "scores", r->identity.scores),
                         .what = rllc_intern_printf("%lld checkpoints", (long long)(checkpoints * r->config.n_seeds)),
                         .tokens = all,
                         .flops = all * forward_flops,
                         .seconds = all * forward_flops / p->training.flops});
done:
    rllc_free(tokens);
    return status;
}

/* ---- sampling -------------------------------------------------------------------------------------------- */

static int64_t count_names(const char *list) {
    int64_t n = 0;
    for (const char *p = list; *p; n++) p += strcspn(p, ", ") + strspn(p + strcspn(p, ", "), ", ");
    return n;
}

/* One loss of every group, added to the line: its cost, and its time at its own rate. */
static rllc_status add_loss(const rllc_run *r, plan *p, rllc_sampling_job job, const char *loss, double groups,
                            plan_line *line) {
    rllc_status status = RLLC_OK;
    double steps, tokens, flops, memory, disk;
    job.options.loss = loss;
    if (strcmp(loss, "next_token") == 0) job.reference = NULL;
    RLLC_TRY(rllc_sampling_cost(&job, &steps, &tokens, &flops, &memory, &disk));
    RLLC_TRY(rllc_measure_sampling(&job.model->options, job.reference, &r->config.sampling, &r->config.sampler,
                                   (int)r->common.threads, CALIBRATION_SECONDS, &p->sampling));
    p->memory = fmax(p->memory, memory);
    line->tokens += groups * tokens;
    line->flops += groups * flops;
    line->seconds += groups * tokens / p->sampling.tokens;
    line->disk += groups * disk;
done:
    return status;
}

static rllc_status plan_sampling(const rllc_run *r, plan *p, const rllc_model *m) {
    rllc_status status = RLLC_OK;
    int64_t checkpoints = 0, n = 0;
    bool next_token, relative;
    const char **names = NULL;
    rllc_model reference;
    const rllc_sampling_job job = {.model = m,
                                   .reference = &reference,
                                   .sampler = r->config.sampler,
                                   .options = r->config.sampling,
                                   .n_threads = (int)r->common.threads};
    plan_line line = {.stage = "sample", .done = rllc_run_is_done(r, "sample", r->identity.sampling)};
    RLLC_TRY(rllc_run_reference(r, true, &reference));
    RLLC_TRY(rllc_components_expand(m, r->config.sampling.components, &names, &n));
    RLLC_TRY(count_steps(r->config.sampling_checkpoints, &checkpoints));
    RLLC_TRY(rllc_sampling_losses(r->config.sampling.loss, &next_token, &relative));
    const int64_t corpora = count_names(r->config.sampling_corpora);
    const double groups = (double)(checkpoints * corpora * r->config.n_seeds);
    if (relative) RLLC_TRY(add_loss(r, p, job, "reference", groups, &line));
    if (next_token) RLLC_TRY(add_loss(r, p, job, "next_token", groups, &line));
    line.what = rllc_intern_printf("%s%lld checkpoints x %lld corpora x %lld components x %lld chains x %lld steps",
                                   next_token && relative ? "2 losses x " : "",
                                   (long long)(checkpoints * r->config.n_seeds), (long long)corpora, (long long)n,
                                   (long long)r->config.sampler.num_chains,
                                   (long long)rllc_sampler_steps(&r->config.sampler));
    add_line(p, line);
done:
    rllc_model_release(&reference);
    rllc_free(names);
    return status;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

static const char *amount(double x, const char *unit) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E", "Z"};
    int i = 0;
    if (!(x > 0)) return "-";
    for (; x >= 999.5 && i < 7; i++) x /= 1000;
    return rllc_intern_printf("%.3g %s%s", x, prefixes[i], unit);
}

static const char *duration(double seconds) {
    rllc_string text = {0};
    const char *out = "-";
    if (seconds > 0 && rllc_duration_add(&text, seconds) == RLLC_OK) out = rllc_intern(rllc_string_text(&text));
    rllc_string_release(&text);
    return out;
}

static void print_text(const rllc_run *r, const plan *p, double gemm) {
    size_t width = 4;
    printf("%s%s%s, %d threads, kernels %s (%s in matrix products)\n\n", r->config.preset ? "preset " : "",
           r->config.preset ? rllc_intern_printf("%s -> ", r->config.preset) : "", r->config.output,
           r->common.threads > 0 ? (int)r->common.threads : rllc_default_threads(), rllc_kernels_get()->name,
           amount(gemm, "FLOP/s"));
    for (int i = 0; i < p->n; i++) width = strlen(p->lines[i].what) > width ? strlen(p->lines[i].what) : width;
    printf("%-9s  %-*s  %8s  %9s  %12s  %8s\n", "stage", (int)width, "what", "tokens", "FLOP", "time", "disk");
    for (int i = 0; i < p->n; i++) {
        const plan_line *l = &p->lines[i];
        printf("%-9s  %-*s  %8s  %9s  %12s  %8s%s\n", l->stage, (int)width, l->what, amount(l->tokens, ""),
               amount(l->flops, ""), duration(l->seconds), amount(l->disk, "B"), l->done ? "  done" : "");
    }
    if (p->undone == 0) {
        printf("\nNothing to do: every stage is done.\n");
        return;
    }
    printf("\nTo do: about %s, %s on disk, %s of memory", duration(p->seconds), amount(p->disk, "B"),
           amount(p->memory, "B"));
    if (p->seconds >= 86400) printf(": %.3g days", p->seconds / 86400);
    printf("\nMeasured just now: training %s tokens/s, sampling %s member-tokens/s.\n", amount(p->training.tokens, ""),
           amount(p->sampling.tokens, ""));
}

static rllc_status line_json(const plan_line *l, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "stage", rllc_json_string(l->stage)));
    RLLC_TRY(rllc_json_set(j, "what", rllc_json_string(l->what)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_real(l->tokens)));
    RLLC_TRY(rllc_json_set(j, "flops", rllc_json_real(l->flops)));
    RLLC_TRY(rllc_json_set(j, "seconds", rllc_json_real(l->seconds)));
    RLLC_TRY(rllc_json_set(j, "disk_bytes", rllc_json_real(l->disk)));
    RLLC_TRY(rllc_json_set(j, "done", rllc_json_boolean(l->done)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status print_json(const rllc_run *r, const plan *p, double gemm) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *lines = rllc_json_array(), *line;
    for (int i = 0; i < p->n; i++) {
        RLLC_TRY(line_json(&p->lines[i], &line));
        RLLC_TRY(rllc_json_append(lines, line));
    }
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(r->config.output)));
    status = rllc_json_set(j, "stages", lines);
    lines = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_json_set(j, "seconds", rllc_json_real(p->seconds)));
    RLLC_TRY(rllc_json_set(j, "disk_bytes", rllc_json_real(p->disk)));
    RLLC_TRY(rllc_json_set(j, "memory_bytes", rllc_json_real(p->memory)));
    RLLC_TRY(rllc_json_set(j, "gemm_flops_per_second", rllc_json_real(gemm)));
    RLLC_TRY(rllc_json_set(j, "training_tokens_per_second", rllc_json_real(p->training.tokens)));
    RLLC_TRY(rllc_json_set(j, "sampling_tokens_per_second", rllc_json_real(p->sampling.tokens)));
    return rllc_cli_print_json("run", j);
done:
    rllc_json_free(lines);
    rllc_json_free(j);
    return status;
}

rllc_status rllc_run_plan(rllc_run *r) {
    rllc_status status = RLLC_OK;
    plan p = {0};
    rllc_model m = {0};
    rllc_model_options shape;
    double gemm;
    RLLC_TRY(rllc_run_model_options(r, &shape));
    RLLC_TRY(rllc_model_init(&m, &shape));
    RLLC_TRY(measure_text(r, &p));
    RLLC_TRY(rllc_measure_gemm((int)r->common.threads, CALIBRATION_SECONDS / 2, &gemm));
    plan_tokenizer(r, &p);
    for (int64_t i = 0; i < r->config.n_corpora; i++) plan_corpus(r, &p, i);
    RLLC_TRY(plan_training(r, &p, &shape));
    RLLC_TRY(plan_scores(r, &p, &shape, rllc_model_flops(&m)));
    RLLC_TRY(plan_sampling(r, &p, &m));
    add_line(&p, (plan_line){.stage = "report", .what = "figures and report.html", .done = rllc_run_report_is_done(r)});
    if (r->common.json) {
        status = print_json(r, &p, gemm);
    } else {
        print_text(r, &p, gemm);
    }
done:
    rllc_model_release(&m);
    return status;
}
