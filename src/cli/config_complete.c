/* Completing the configuration of a run: what follows from the rest, and what does not fit together. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

const rllc_run_corpus *rllc_run_config_corpus(const rllc_run_config *c, const char *name) {
    for (int64_t i = 0; i < c->n_corpora; i++) {
        if (strcmp(c->corpora[i].name, name) == 0) return &c->corpora[i];
    }
    return NULL;
}

static rllc_status check_corpus(const rllc_run_config *c, const char *key, const char *name) {
    rllc_string names = {0};
    rllc_status status = RLLC_OK;
    if (rllc_run_config_corpus(c, name)) return RLLC_OK;
    for (int64_t i = 0; i < c->n_corpora; i++) {
        RLLC_TRY(rllc_string_printf(&names, "%s%s", i ? ", " : "", c->corpora[i].name));
    }
    status = rllc_fail(RLLC_EINPUT, "%s: there is no corpus '%s'; corpora: %s", key, name, rllc_string_text(&names));
done:
    rllc_string_release(&names);
    return status;
}

static rllc_status read_seeds(rllc_run_config *c) {
    const char *text = c->seeds_text;
    rllc_status status = rllc_alloc(&c->seeds, (int64_t)strlen(text) + 1, sizeof *c->seeds);
    while (status == RLLC_OK && *text) {
        char *end;
        errno = 0;
        uint64_t seed = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)*text) || errno || (*end && *end != ',' && *end != ' ')) {
            return rllc_fail(RLLC_EINPUT, "seeds: found '%s', expected numbers such as [1, 2, 3]", c->seeds_text);
        }
        for (int64_t i = 0; i < c->n_seeds; i++) {
            if (c->seeds[i] == seed) {
                return rllc_fail(RLLC_EINPUT, "seeds: %llu is there twice", (unsigned long long)seed);
            }
        }
        c->seeds[c->n_seeds++] = seed;
        text = end + strspn(end, ", ");
    }
    if (status == RLLC_OK && c->n_seeds == 0)
        return rllc_fail(RLLC_EINPUT, "seeds: none given; one is enough: seeds: [1]");
    return status;
}

static rllc_status complete_corpora(rllc_run_config *c) {
    rllc_status status = RLLC_OK;
    rllc_string all = {0};
    if (c->n_corpora == 0) {
        return rllc_fail(RLLC_EINPUT, "corpora: none given; name one and its text: corpora: {mix: {sources: PATH}}");
    }
    for (int64_t i = 0; i < c->n_corpora; i++) {
        rllc_packing_options *p = &c->corpora[i].packing;
        if (p->n_ctx == 0) p->n_ctx = c->model.n_ctx;
        if (p->n_ctx != c->model.n_ctx) {
            return rllc_fail(RLLC_EMISMATCH, "corpora.%s.n_ctx is %lld but model.n_ctx is %lld; leave the former out",
                             c->corpora[i].name, (long long)p->n_ctx, (long long)c->model.n_ctx);
        }
        RLLC_TRY(rllc_string_printf(&all, "%s%s", i ? "," : "", c->corpora[i].name));
    }
    if (!c->training_corpus) c->training_corpus = c->corpora[0].name;
    if (!c->tokenizer_corpus) c->tokenizer_corpus = c->training_corpus;
    if (!c->sampling_corpora) c->sampling_corpora = rllc_intern(rllc_string_text(&all));
    RLLC_TRY(check_corpus(c, "training.corpus", c->training_corpus));
    RLLC_TRY(check_corpus(c, "tokenizer.corpus", c->tokenizer_corpus));
    for (const char *p = c->sampling_corpora; *p;) {
        size_t n = strcspn(p, ", ");
        RLLC_TRY(check_corpus(c, "sampling.corpora", rllc_intern_printf("%.*s", (int)n, p)));
        p += n + strspn(p + n, ", ");
    }
done:
    rllc_string_release(&all);
    return status;
}

/* The value was written by the user, not by a preset. */
static bool is_users(const rllc_yaml *root, const char *section, const char *key) {
    const rllc_yaml *map = rllc_yaml_get(root, section);
    const rllc_yaml *y = map ? rllc_yaml_get(map, key) : NULL;
    return y && !y->is_null && strncmp(y->file, RLLC_PRESET_FILE, strlen(RLLC_PRESET_FILE)) != 0;
}

/* Steps beyond the end of training: an error in what the user wrote; a preset's grid, or the default, is cut. */
static rllc_status fit_grid(const char **text, const char *section, int64_t last, const rllc_yaml *root) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n = 0;
    rllc_string kept = {0};
    if (!*text) return RLLC_OK;
    status = rllc_grid_parse(*text, &steps, &n);
    if (status != RLLC_OK) return rllc_fail_within(status, "%s.checkpoints", section);
    if (n == 0 || steps[n - 1] <= last) goto done;
    if (is_users(root, section, "checkpoints")) {
        status = rllc_fail(RLLC_EINPUT, "%s.checkpoints: step %lld is beyond training.steps (%lld)", section,
                           (long long)steps[n - 1], (long long)last);
        goto done;
    }
    for (int64_t i = 0; i < n && steps[i] <= last; i++) {
        RLLC_TRY(rllc_string_printf(&kept, "%s%lld", i ? "," : "", (long long)steps[i]));
    }
    *text = rllc_intern(rllc_string_text(&kept));
done:
    rllc_string_release(&kept);
    rllc_free(steps);
    return status;
}

rllc_status rllc_run_config_grid(const rllc_run_config *c, const char **text) {
    *text = rllc_intern_printf("%s,%s", c->training.checkpoints, c->sampling_checkpoints);
    return *text ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "no memory for the grid of checkpoints");
}

bool rllc_run_config_has_companion(const rllc_run_config *c) {
    bool next_token, reference;
    return rllc_sampling_losses(c->sampling.loss, &next_token, &reference) == RLLC_OK && reference &&
           !c->sampling.reference;
}

/* A reference model that nothing reads is refused rather than ignored. */
static rllc_status check_losses(const rllc_run_config *c, const rllc_yaml *root) {
    rllc_status status = RLLC_OK;
    bool next_token, reference;
    RLLC_TRY(rllc_fail_within(rllc_sampling_losses(c->sampling.loss, &next_token, &reference), "sampling"));
    if (!reference && c->sampling.reference)
        return rllc_fail(RLLC_EINPUT, "sampling.reference: read by the loss 'reference' alone; add it: "
                                      "sampling.loss: [next_token, reference]");
    if (rllc_run_config_has_companion(c)) return RLLC_OK;
    if (is_users(root, "companion", "n_layers") || is_users(root, "companion", "seed"))
        return rllc_fail(RLLC_EINPUT, "companion: %s",
                         reference ? "sampling.reference names another model; leave one of them out"
                                   : "it is trained for the loss 'reference'; add it: sampling.loss: [next_token, "
                                     "reference]");
done:
    return status;
}

/* Mistakes in what moves are found now, not after the training. */
static rllc_status check_components(const rllc_run_config *c) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    rllc_model_options shape = c->model;
    const char **names = NULL;
    int64_t n = 0, streams;
    if (shape.d_vocab == 0) shape.d_vocab = c->tokenizer.vocab_size;
    RLLC_TRY(rllc_model_init(&m, &shape));
    RLLC_TRY(rllc_components_expand(&m, c->sampling.components, &names, &n));
    RLLC_TRY(rllc_batches_streams(c->sampling.batches, c->sampler.num_chains, &streams));
    if (!rllc_sampler_find(c->sampler.sampler)) {
        status = rllc_fail(RLLC_EINPUT, "sampling.sampler: there is no sampler '%s'", c->sampler.sampler);
    }
done:
    rllc_free(names);
    rllc_model_release(&m);
    return status;
}

rllc_status rllc_run_config_complete(rllc_run_config *c, const rllc_yaml *root) {
    rllc_status status = RLLC_OK;
    if (!c->output || !*c->output) return rllc_fail(RLLC_EINPUT, "output: not given; name the folder of the run");
    RLLC_TRY(rllc_sampler_complete(&c->sampler));
    RLLC_TRY(read_seeds(c));
    RLLC_TRY(complete_corpora(c));
    const int64_t last = c->training.steps;
    RLLC_TRY(fit_grid(&c->training.checkpoints, "training", last, root));
    RLLC_TRY(fit_grid(&c->sampling_checkpoints, "sampling", last, root));
    RLLC_TRY(fit_grid(&c->score_checkpoints, "scores", last, root));
    if (!c->sampling_checkpoints) c->sampling_checkpoints = c->training.checkpoints;
    RLLC_TRY(check_components(c));
    RLLC_TRY(check_losses(c, root));
done:
    return status;
}
