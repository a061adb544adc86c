/* What each stage of a run is made from, as a hash; what is there already. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/run.h"

/* ---- sources --------------------------------------------------------------------------------------------- */

typedef struct walk {
    rllc_string *lines; /* path, size and time of each file, a line each; may be NULL */
    double bytes;
    bool dry;
} walk;

static rllc_status visit(walk *w, const char *path);

static rllc_status visit_folder(walk *w, const char *path) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_folder_list(path, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        if (names[i][0] != '.') RLLC_TRY(visit(w, rllc_intern_printf("%s/%s", path, names[i])));
    }
done:
    rllc_names_free(names, n);
    return status;
}

static rllc_status visit(walk *w, const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) {
        if (w->dry) return RLLC_OK;
        const char *hint = strncmp(path, "demo/text", 9) == 0
                               ? "; 'make demo' fetches it, or 'tools/demo-corpus.sh demo/text demo/packages'"
                               : "";
        return rllc_fail(RLLC_ENOTFOUND, "%s: %s%s", path, strerror(errno), hint);
    }
    if (S_ISDIR(s.st_mode)) return visit_folder(w, path);
    w->bytes += (double)s.st_size;
    if (!w->lines) return RLLC_OK;
    return rllc_string_printf(w->lines, "%s %lld %lld.%09ld\n", path, (long long)s.st_size, (long long)s.st_mtim.tv_sec,
                              s.st_mtim.tv_nsec);
}

/* Every file behind comma-separated sources. */
static rllc_status walk_sources(walk *w, const char *sources) {
    rllc_status status = RLLC_OK;
    for (const char *p = sources; p && *p && status == RLLC_OK;) {
        size_t n = strcspn(p, ",");
        if (n > 0) status = visit(w, rllc_intern_printf("%.*s", (int)n, p));
        p += n + (p[n] == ',');
    }
    return status;
}

double rllc_sources_bytes(const char *sources) {
    walk w = {.dry = true};
    return walk_sources(&w, sources) == RLLC_OK ? w.bytes : 0;
}

static rllc_status add_sources(rllc_string *text, const rllc_run_corpus *corpus, bool dry) {
    const char *sources = corpus->reader.sources;
    walk w = {.lines = text, .dry = dry};
    if (!dry && (!sources || !*sources)) {
        return rllc_fail(RLLC_EINPUT,
                         "corpora.%s.sources: none given; name files or folders of text: corpora.%s.sources=PATH",
                         corpus->name, corpus->name);
    }
    if (sources && strcmp(sources, "-") == 0) {
        return rllc_fail(RLLC_EINPUT, "corpora.%s.sources: standard input cannot be read again; save it to a file",
                         corpus->name);
    }
    return walk_sources(&w, sources);
}

/* ---- hashes ---------------------------------------------------------------------------------------------- */

static rllc_status add_options(rllc_string *text, const rllc_option_table *table, const void *object) {
    rllc_json *j = NULL;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_options_to_json(table, object, &j));
    RLLC_TRY(rllc_json_print(j, 0, true, text));
    RLLC_TRY(rllc_string_add(text, "\n"));
done:
    rllc_json_free(j);
    return status;
}

static const char *hash_of(const rllc_string *text) {
    return rllc_intern(rllc_hash_text(rllc_string_text(text)).hex);
}

static rllc_status tokenizer_hash(const rllc_run_config *c, bool dry, const char **out) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    if (c->tokenizer_path) {
        walk w = {.lines = &text, .dry = dry};
        RLLC_TRY(rllc_string_add(&text, "given\n"));
        RLLC_TRY(walk_sources(&w, c->tokenizer_path));
    } else {
        const rllc_run_corpus *corpus = rllc_run_config_corpus(c, c->tokenizer_corpus);
        RLLC_TRY(rllc_string_add(&text, "trained\n"));
        RLLC_TRY(add_options(&text, &rllc_bpe_option_table, &c->tokenizer));
        RLLC_TRY(add_options(&text, &rllc_reader_option_table, &corpus->reader));
        RLLC_TRY(add_options(&text, &rllc_packing_option_table, &corpus->packing));
        RLLC_TRY(add_sources(&text, corpus, dry));
    }
    *out = hash_of(&text);
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status corpus_hash(const rllc_run_corpus *corpus, const char *tokenizer, bool dry, const char **out) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    RLLC_TRY(rllc_string_printf(&text, "%s\n", tokenizer));
    RLLC_TRY(add_options(&text, &rllc_reader_option_table, &corpus->reader));
    RLLC_TRY(add_options(&text, &rllc_packing_option_table, &corpus->packing));
    RLLC_TRY(add_sources(&text, corpus, dry));
    *out = hash_of(&text);
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status train_hash(const rllc_run_config *c, const rllc_model_options *model, const char *grid,
                              const char *corpus, uint64_t seed, const char **out) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    RLLC_TRY(rllc_string_printf(&text, "%s\n%llu\n%s\n", corpus, (unsigned long long)seed, grid));
    RLLC_TRY(add_options(&text, &rllc_model_option_table, model));
    RLLC_TRY(add_options(&text, &rllc_adamw_option_table, &c->optimizer));
    RLLC_TRY(add_options(&text, &rllc_train_option_table, &c->training));
    *out = hash_of(&text);
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status companion_hash(const rllc_run_config *c, const char *corpus, const char **out) {
    rllc_model_options model = c->model;
    model.n_layers = c->companion_layers;
    *out = NULL;
    if (!rllc_run_config_has_companion(c)) return RLLC_OK;
    return train_hash(c, &model, c->training.checkpoints, corpus, c->companion_seed, out);
}

/* Which file a reference model is. */
static rllc_status add_reference(rllc_string *text, const char *path, bool dry) {
    walk w = {.lines = text, .dry = dry};
    rllc_string file = {0};
    rllc_status status = rllc_checkpoint_find(path, &file);
    if (status == RLLC_OK) status = visit(&w, rllc_string_text(&file));
    rllc_string_release(&file);
    return rllc_fail_within(status, "sampling.reference");
}

/* The options of sampling but for its losses, which enter only where they are not the default: what was sampled before
   there were others is known as done. */
static rllc_status add_sampling(rllc_string *text, const rllc_run_config *c, const char *companion, bool dry) {
    rllc_status status = RLLC_OK;
    rllc_option_table table = rllc_sampling_option_table;
    rllc_option *kept = NULL;
    bool next_token, reference;
    RLLC_TRY(rllc_alloc(&kept, table.n, sizeof *kept));
    table.n = 0;
    for (int i = 0; i < rllc_sampling_option_table.n; i++) {
        const rllc_option *o = &rllc_sampling_option_table.options[i];
        if (strcmp(o->name, "loss") != 0 && strcmp(o->name, "reference") != 0) kept[table.n++] = *o;
    }
    table.options = kept;
    RLLC_TRY(add_options(text, &table, &c->sampling));
    RLLC_TRY(rllc_sampling_losses(c->sampling.loss, &next_token, &reference));
    if (!reference) goto done;
    RLLC_TRY(rllc_string_printf(text, "%sreference %s\n", next_token ? "next_token " : "", companion ? companion : ""));
    if (!companion) RLLC_TRY(add_reference(text, c->sampling.reference, dry));
done:
    rllc_free(kept);
    return status;
}

/* Scores and sampling hang on every trained model; sampling on its corpora too. */
static rllc_status later_hashes(const rllc_run_config *c, bool dry, rllc_run_identity *id) {
    rllc_status status = RLLC_OK;
    rllc_string models = {0}, text = {0};
    for (int64_t i = 0; i < c->n_seeds; i++) RLLC_TRY(rllc_string_printf(&models, "%s\n", id->train[i]));
    RLLC_TRY(rllc_string_printf(&text, "%s%s\n%s\n", rllc_string_text(&models), c->scores ? c->scores : "all",
                                c->score_checkpoints ? c->score_checkpoints : "all"));
    RLLC_TRY(add_options(&text, &rllc_score_option_table, &c->score));
    id->scores = hash_of(&text);
    rllc_string_clear(&text);
    RLLC_TRY(rllc_string_printf(&text, "%s%s\n%s\n", rllc_string_text(&models), c->sampling_corpora,
                                c->sampling_checkpoints));
    for (int64_t i = 0; i < c->n_corpora; i++) RLLC_TRY(rllc_string_printf(&text, "%s\n", id->corpora[i]));
    RLLC_TRY(add_sampling(&text, c, id->companion, dry));
    RLLC_TRY(add_options(&text, &rllc_sampler_option_table, &c->sampler));
    id->sampling = hash_of(&text);
    rllc_string_clear(&text);
    RLLC_TRY(rllc_string_printf(&text, "%s\n%s\n" RLLC_VERSION " %s\n", id->scores, id->sampling, rllc_commit()));
    id->report = hash_of(&text);
done:
    rllc_string_release(&models);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_run_identity_make(const rllc_run_config *c, bool dry, rllc_run_identity *out) {
    rllc_status status = RLLC_OK;
    const char *grid;
    *out = (rllc_run_identity){0};
    RLLC_TRY(rllc_run_config_grid(c, &grid));
    RLLC_TRY(rllc_alloc(&out->corpora, c->n_corpora, sizeof *out->corpora));
    RLLC_TRY(rllc_alloc(&out->train, c->n_seeds, sizeof *out->train));
    RLLC_TRY(tokenizer_hash(c, dry, &out->tokenizer));
    for (int64_t i = 0; i < c->n_corpora; i++) {
        RLLC_TRY(corpus_hash(&c->corpora[i], out->tokenizer, dry, &out->corpora[i]));
    }
    const int64_t trained_on = rllc_run_config_corpus(c, c->training_corpus) - c->corpora;
    for (int64_t i = 0; i < c->n_seeds; i++) {
        RLLC_TRY(train_hash(c, &c->model, grid, out->corpora[trained_on], c->seeds[i], &out->train[i]));
    }
    RLLC_TRY(companion_hash(c, out->corpora[trained_on], &out->companion));
    RLLC_TRY(later_hashes(c, dry, out));
done:
    if (status != RLLC_OK) rllc_run_identity_release(out);
    return status;
}

void rllc_run_identity_release(rllc_run_identity *id) {
    rllc_free(id->corpora);
    rllc_free(id->train);
    *id = (rllc_run_identity){0};
}

/* ---- what is there --------------------------------------------------------------------------------------- */

const char *rllc_run_corpus_stage(const rllc_run_corpus *corpus) {
    return rllc_intern_printf("corpus %s", corpus->name);
}

const char *rllc_run_train_stage(uint64_t seed) {
    return rllc_intern_printf("train %llu", (unsigned long long)seed);
}

const char *rllc_run_path(const rllc_run *r, const char *name) {
    return rllc_intern_printf("%s/%s", r->config.output, name);
}

const char *rllc_run_rows_path(const rllc_run *r, const char *corpus, int split) {
    return rllc_intern_printf("%s/corpora/%s/%s.npy", r->config.output, corpus, rllc_split_names[split]);
}

const char *rllc_run_seed_path(const rllc_run *r, uint64_t seed) {
    return rllc_intern_printf("%s/seed-%llu", r->config.output, (unsigned long long)seed);
}

bool rllc_run_is_done(const rllc_run *r, const char *stage, const char *hash) {
    return r->store && rllc_store_stage_is_done(r->store, stage, hash);
}

bool rllc_run_tokenizer_is_done(const rllc_run *r) {
    return rllc_run_is_done(r, "tokenizer", r->identity.tokenizer) &&
           rllc_file_exists(rllc_run_path(r, "tokenizer.json"));
}

bool rllc_run_corpus_is_done(const rllc_run *r, int64_t i) {
    const rllc_run_corpus *corpus = &r->config.corpora[i];
    if (!rllc_run_is_done(r, rllc_run_corpus_stage(corpus), r->identity.corpora[i])) return false;
    bool there = rllc_file_exists(rllc_intern_printf("%s/corpora/%s/corpus.json", r->config.output, corpus->name));
    for (int split = 0; split < RLLC_SPLITS; split++) {
        there = there && rllc_file_exists(rllc_run_rows_path(r, corpus->name, split));
    }
    return there;
}

const char *rllc_run_companion_path(const rllc_run *r) {
    return rllc_intern_printf("%s/companion/seed-%llu", r->config.output, (unsigned long long)r->config.companion_seed);
}

/* Every checkpoint of the grid is where training left it. */
static bool has_checkpoints(const char *folder, const char *grid) {
    int64_t *steps = NULL, n = 0;
    bool there = rllc_grid_parse(grid, &steps, &n) == RLLC_OK;
    for (int64_t k = 0; there && k < n; k++) {
        there = rllc_file_exists(
            rllc_intern_printf("%s/checkpoints/step%lld/model.safetensors", folder, (long long)steps[k]));
    }
    rllc_free(steps);
    return there;
}

bool rllc_run_train_is_done(const rllc_run *r, int64_t i) {
    const uint64_t seed = r->config.seeds[i];
    const char *grid;
    return rllc_run_is_done(r, rllc_run_train_stage(seed), r->identity.train[i]) &&
           rllc_run_config_grid(&r->config, &grid) == RLLC_OK && has_checkpoints(rllc_run_seed_path(r, seed), grid);
}

bool rllc_run_companion_is_done(const rllc_run *r) {
    return rllc_run_is_done(r, "companion", r->identity.companion) &&
           has_checkpoints(rllc_run_companion_path(r), rllc_intern_printf("%lld", (long long)r->config.training.steps));
}

bool rllc_run_report_is_done(const rllc_run *r) {
    return rllc_run_is_done(r, "report", r->identity.report) && rllc_file_exists(rllc_run_path(r, "report.html"));
}
