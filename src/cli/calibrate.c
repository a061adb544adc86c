/* rllc calibrate: a setting of the sampler for a checkpoint, from curvature and a grid of short chains. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cells.h"
#include "cli/plane.h"

typedef struct calibrate_options {
    const char *component, *corpus, *lr, *nbeta, *localization, *sampler, *output;
    int64_t checkpoint, num_chains, num_draws, num_burnin_steps, batch_size;
    int64_t curvature_probes, curvature_steps, curvature_batches, max_steps;
    double tolerance;
    uint64_t seed;
} calibrate_options;

#define OPTION(field, type, initial, ...) RLLC_OPTION(calibrate_options, field, type, initial, __VA_ARGS__)
static const rllc_option options[] = {
    OPTION(component, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "what moves: l0h1, full, embed, l0h1+l0h4, ..."),
    OPTION(corpus, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "a corpus of the run; default: the one trained on"),
    OPTION(checkpoint, RLLC_INTEGER, "-1", -1, 1e15, NULL, "step", "of the run's first seed; -1 = its last"),
    OPTION(lr, RLLC_TEXT, "1e-4,3e-4,1e-3,3e-3", RLLC_UNBOUNDED, NULL, "", "step sizes to try"),
    OPTION(nbeta, RLLC_TEXT, "10,30,100", RLLC_UNBOUNDED, NULL, "", "inverse temperatures to try"),
    OPTION(localization, RLLC_TEXT, "50,200,800", RLLC_UNBOUNDED, NULL, "", "strengths of the pull to w* to try"),
    OPTION(sampler, RLLC_TEXT, "sgld", RLLC_UNBOUNDED, NULL, "", "sgld or sgld-lm"),
    OPTION(num_chains, RLLC_INTEGER, "2", 1, 1e6, NULL, "", "chains of the pilot at each setting"),
    OPTION(num_draws, RLLC_INTEGER, "100", 2, 1e9, NULL, "", "draws of each"),
    OPTION(num_burnin_steps, RLLC_INTEGER, "100", 0, 1e9, NULL, "", "steps before the first of them"),
    OPTION(batch_size, RLLC_INTEGER, "32", 1, 1e6, NULL, "sequences", "of a minibatch"),
    OPTION(seed, RLLC_SEED, "100", RLLC_UNBOUNDED, NULL, "", "of noise, minibatches and probes"),
    OPTION(curvature_probes, RLLC_INTEGER, "6", 1, 1000, NULL, "", "random vectors behind the spectrum"),
    OPTION(curvature_steps, RLLC_INTEGER, "20", 2, 1000, NULL, "", "Lanczos steps for each of them"),
    OPTION(curvature_batches, RLLC_INTEGER, "4", 2, 1e6, NULL, "", "minibatches that the curvature is the mean of"),
    OPTION(tolerance, RLLC_REAL, "0.1", 1e-6, 1, NULL, "", "largest share of the estimate that a bias may be"),
    OPTION(max_steps, RLLC_INTEGER, "2000", 200, 1e9, NULL, "", "most steps of a chain that may be recommended"),
    OPTION(output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "folder",
           "for figure, table and YAML; default: calibration in the run"),
};
static const rllc_option_table table = {"calibrate", "what to calibrate", options, sizeof options / sizeof *options};
static const rllc_option_table *const tables[] = {&table, NULL};

enum { CHAINS = 4 }; /* of a real run: the default of rllc sample */

typedef struct invocation {
    rllc_common_options common;
    calibrate_options o;
    const char *run, *folder;
    rllc_store *store;
    rllc_store_checkpoint checkpoint;
    rllc_store_corpus corpus;
    rllc_model model;
    rllc_component component;
    rllc_rows rows;
    double *grids[3];
    rllc_pilot pilot;
    rllc_recommendation advice;
} invocation;

/* ---- what is calibrated ---------------------------------------------------------------------------------------- */

static rllc_status choose_checkpoint(invocation *s) {
    rllc_status status = RLLC_OK;
    rllc_store_checkpoint *list = NULL;
    int64_t n, of_seed = 0, found = -1;
    RLLC_TRY(rllc_store_checkpoints(s->store, &list, &n));
    RLLC_TRY(rllc_checkpoints_drop_replaced(s->run, list, &n));
    for (int64_t i = 0; i < n && list[i].seed == list[0].seed; i++, of_seed++)
        if (s->o.checkpoint < 0 || list[i].step == s->o.checkpoint) found = i;
    if (found >= 0)
        s->checkpoint = list[found];
    else if (n == 0)
        status = rllc_fail(RLLC_ENOTFOUND, "%s: the run has no checkpoints yet", s->run);
    else
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: the run has no checkpoint at step %lld, only %lld of them from step %lld to %lld; "
                           "leave --checkpoint out for the last",
                           s->run, (long long)s->o.checkpoint, (long long)of_seed, (long long)list[0].step,
                           (long long)list[of_seed - 1].step);
done:
    rllc_free(list);
    return status;
}

static rllc_status no_corpus(const invocation *s, const rllc_store_corpus *list, int64_t n) {
    const char *there = "";
    for (int64_t i = 0; i < n; i++)
        if (!*there || !rllc_list_names(there, list[i].name))
            there = rllc_intern_printf("%s%s%s", there, *there ? ", " : "", list[i].name);
    if (!s->o.corpus)
        return rllc_fail(RLLC_ENOTFOUND, "%s: the run has no corpus that it was trained on; name one with --corpus: %s",
                         s->run, *there ? there : "it has none");
    return rllc_fail(RLLC_ENOTFOUND, "%s: the run has no corpus '%s'; it has %s", s->run, s->o.corpus,
                     *there ? there : "none");
}

static rllc_status choose_corpus(invocation *s) {
    rllc_status status = RLLC_OK;
    rllc_store_corpus *list = NULL;
    int64_t n, found = -1;
    RLLC_TRY(rllc_store_corpora(s->store, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (s->o.corpus ? strcmp(list[i].name, s->o.corpus) == 0 : list[i].trained_on)
            found = i; /* the newest of a name */
    if (found >= 0)
        s->corpus = list[found];
    else
        status = no_corpus(s, list, n);
done:
    rllc_free(list);
    return status;
}

static rllc_status open_run(invocation *s) {
    rllc_status status = RLLC_OK;
    if (!rllc_file_exists(rllc_intern_printf("%s/run.db", s->run)))
        return rllc_fail(RLLC_ENOTFOUND, "%s: not a run folder (no run.db); make one with rllc run", s->run);
    RLLC_TRY(rllc_store_open(&s->store, rllc_intern_printf("%s/run.db", s->run), RLLC_STORE_READ));
    RLLC_TRY(choose_checkpoint(s));
    RLLC_TRY(choose_corpus(s));
    const char *path = s->checkpoint.path;
    RLLC_TRY(rllc_model_load(&s->model, path[0] == '/' ? path : rllc_intern_printf("%s/%s", s->run, path)));
    RLLC_TRY(rllc_component_parse(&s->component, &s->model, s->o.component));
    RLLC_TRY(rllc_rows_open(&s->rows, rllc_intern_printf("%s/corpora/%s/sampling.npy", s->run, s->corpus.name),
                            s->model.options.d_vocab));
    if (strcmp(rllc_model_hash(&s->model).hex, s->checkpoint.hash) != 0)
        return rllc_fail(RLLC_EMISMATCH, "%s: the weights are not those the store knows for step %lld", path,
                         (long long)s->checkpoint.step);
    if (strcmp(s->rows.hash.hex, s->corpus.hash) != 0 || s->rows.n_ctx != s->model.options.n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "%s: not the tokens the store knows for corpus '%s'; pack it again",
                         s->rows.path, s->corpus.name);
done:
    return status;
}

/* ---- the grid ---------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/** "1e-4,3e-4" into ascending values without repetition, each within the bounds that the sampler's option has. */
static rllc_status parse_list(const char *name, const char *text, double **values, int64_t *n) {
    rllc_status status = RLLC_OK;
    rllc_sampler_options o;
    const char *where = rllc_intern_printf("--%s", name);
    rllc_options_default(&rllc_sampler_option_table, &o);
    *n = 0;
    RLLC_TRY(rllc_alloc(values, (int64_t)strlen(text) + 1, sizeof **values));
    for (const char *p = text; *p;) {
        const size_t length = strcspn(p, ",");
        status =
            rllc_options_set(&rllc_sampler_option_table, &o, name, rllc_intern_printf("%.*s", (int)length, p), where);
        if (status != RLLC_OK) return rllc_fail(RLLC_EUSAGE, "%s", rllc_intern(rllc_error_detail()));
        (*values)[(*n)++] = strcmp(name, "lr") == 0 ? o.lr : strcmp(name, "nbeta") == 0 ? o.nbeta : o.localization;
        p += length + (p[length] == ',');
    }
    if (*n == 0) return rllc_fail(RLLC_EUSAGE, "%s: no values; write e.g. %s 1e-4,1e-3", where, where);
    qsort(*values, (size_t)*n, sizeof **values, compare);
    int64_t kept = 1;
    for (int64_t i = 1; i < *n; i++)
        if ((*values)[i] != (*values)[kept - 1]) (*values)[kept++] = (*values)[i];
    *n = kept;
done:
    return status;
}

static rllc_status make_grid(invocation *s) {
    rllc_status status = RLLC_OK;
    rllc_pilot *p = &s->pilot;
    RLLC_TRY(parse_list("lr", s->o.lr ? s->o.lr : "", &s->grids[0], &p->n_lr));
    RLLC_TRY(parse_list("nbeta", s->o.nbeta ? s->o.nbeta : "", &s->grids[1], &p->n_nbeta));
    RLLC_TRY(parse_list("localization", s->o.localization ? s->o.localization : "", &s->grids[2], &p->n_localization));
    if (s->grids[0][0] <= 0 || s->grids[1][0] <= 0)
        return rllc_fail(RLLC_EUSAGE, "--lr and --nbeta take values above 0: without them nothing moves");
    p->lr = s->grids[0];
    p->nbeta = s->grids[1];
    p->localization = s->grids[2];
done:
    return status;
}

static rllc_status run_pilot(invocation *s) {
    rllc_pilot *p = &s->pilot;
    rllc_options_default(&rllc_sampler_option_table, &p->base);
    p->base.sampler = s->o.sampler;
    p->base.num_chains = s->o.num_chains;
    p->base.num_draws = s->o.num_draws;
    p->base.num_burnin_steps = s->o.num_burnin_steps;
    p->base.batch_size = s->o.batch_size;
    p->base.seed = s->o.seed;
    p->model = &s->model;
    p->component = &s->component;
    p->rows = &s->rows;
    p->checkpoint_hash = s->checkpoint.hash;
    p->corpus_hash = s->corpus.hash;
    p->refined_data = !s->corpus.trained_on;
    p->curvature_probes = s->o.curvature_probes;
    p->curvature_steps = s->o.curvature_steps;
    p->curvature_batches = s->o.curvature_batches;
    p->n_threads = (int)s->common.threads;
    p->monitor = rllc_cli_monitor(&s->common);
    return rllc_pilot_run(p);
}

/** Tells it, and leaves it in the folder: what an earlier call left there goes. */
static rllc_status publish(invocation *s) {
    rllc_status status = RLLC_OK;
    const char *config = rllc_intern_printf("%s/config.yaml", s->run);
    const char *yaml = rllc_intern_printf("%s/recommendation.yaml", s->folder);
    const rllc_plane plane = {.pilot = &s->pilot,
                              .advice = &s->advice,
                              .component = s->component.name,
                              .corpus = s->corpus.name,
                              .step = s->checkpoint.step,
                              .folder = s->folder};
    if (s->common.json)
        RLLC_TRY(rllc_plane_print_json(&plane));
    else
        rllc_plane_print_table(&plane);
    RLLC_TRY(rllc_make_folders(s->folder));
    RLLC_TRY(rllc_plane_write_csv(&plane));
    unlink(yaml);
    if (s->advice.best >= 0) RLLC_TRY(rllc_plane_write_yaml(&plane, rllc_file_exists(config) ? config : NULL, yaml));
    RLLC_TRY(rllc_plane_draw(&plane));
done:
    return status;
}

/* ---- the command ---------------------------------------------------------------------------------------------------
 */

static rllc_status read_flags(invocation *s, int argc, const char *const *argv) {
    const rllc_option_binding binding = {&table, &s->o};
    int n;
    rllc_options_default(&table, &s->o);
    const rllc_status status =
        rllc_cli_options(&rllc_command_calibrate, &s->common, &binding, 1, argc, argv, &s->run, 1, &n);
    if (status != RLLC_OK || s->common.help) return status;
    if (!s->run) return rllc_fail(RLLC_EUSAGE, "name the run folder, e.g. rllc calibrate demo --component l0h1");
    if (!s->o.component)
        return rllc_fail(RLLC_EUSAGE, "--component is missing; usage: %s", rllc_command_calibrate.usage);
    if (!s->o.sampler || (strcmp(s->o.sampler, "sgld") != 0 && strcmp(s->o.sampler, "sgld-lm") != 0))
        return rllc_fail(RLLC_EUSAGE, "--sampler %s: calibrate predicts sgld and sgld-lm",
                         s->o.sampler ? s->o.sampler : "");
    s->folder = s->o.output ? s->o.output : rllc_intern_printf("%s/calibration", s->run);
    return make_grid(s);
}

static rllc_status calibrate_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    invocation s = {0};
    RLLC_TRY(read_flags(&s, argc, argv));
    if (s.common.help) goto done;
    const rllc_recommend_settings settings = {s.o.tolerance, s.o.max_steps, CHAINS};
    RLLC_TRY(open_run(&s));
    RLLC_TRY(run_pilot(&s));
    RLLC_TRY(rllc_recommend(&s.pilot, &settings, &s.advice));
    RLLC_TRY(publish(&s));
    if (s.advice.best < 0)
        status = rllc_fail(RLLC_EFAIL,
                           "no setting of the grid can be recommended for %s; what to change is said above, and for "
                           "each setting in %s/points.csv",
                           s.component.name, s.folder);
done:
    rllc_recommendation_release(&s.advice);
    rllc_pilot_release(&s.pilot);
    for (int i = 0; i < 3; i++) rllc_free(s.grids[i]);
    rllc_rows_close(&s.rows);
    rllc_component_release(&s.component);
    rllc_model_release(&s.model);
    rllc_store_close(s.store);
    return status;
}

const rllc_command rllc_command_calibrate = {
    .name = "calibrate",
    .summary = "find settings of the sampler that a checkpoint bears",
    .usage = "rllc calibrate RUN --component NAME [options]",
    .examples = "# one head at the last checkpoint: curvature, a grid of short chains, a recommendation\n"
                "rllc calibrate demo --component l0h1\n"
                "# finer steps, without a bias of the step, and the files elsewhere\n"
                "rllc calibrate demo --component l0h1 --sampler sgld-lm --lr 3e-4,1e-3,3e-3,1e-2 --output calibration\n"
                "# then sample with it\n"
                "rllc run demo/calibration/recommendation.yaml\n",
    .tables = tables,
    .main = calibrate_main,
};
