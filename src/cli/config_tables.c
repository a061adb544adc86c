/* The sections of a run's configuration: which tables stand in which, and all of them printed. */
#include <string.h>

#include "cli/config.h"

#define TABLE(name, summary, options)                                                                                  \
    { name, summary, options, (int)(sizeof options / sizeof options[0]) }
#define OPTION(field, key, help)                                                                                       \
    { key, RLLC_TEXT, offsetof(rllc_run_config, field), NULL, RLLC_UNBOUNDED, NULL, "", help }

static const rllc_option run_options[] = {
    OPTION(preset, "preset", "demo, small or paper: what is not said here is as there"),
    OPTION(output, "output", "folder of the run"),
    {"seeds", RLLC_TEXT, offsetof(rllc_run_config, seeds_text), "1", RLLC_UNBOUNDED, NULL, "",
     "training seeds: one model each"},
};
static const rllc_option tokenizer_options[] = {
    OPTION(tokenizer_path, "path", "an existing tokenizer (Hugging Face's files); else one is trained"),
    OPTION(tokenizer_corpus, "corpus", "train it on this corpus' training split (default: training.corpus)"),
};
static const rllc_option training_options[] = {
    OPTION(training_corpus, "corpus", "train on this corpus (default: the first)"),
};
static const rllc_option companion_options[] = {
    {"n_layers", RLLC_INTEGER, offsetof(rllc_run_config, companion_layers), "1", 0, 64, NULL, "",
     "layers; everything else is as the model and its training"},
    {"seed", RLLC_SEED, offsetof(rllc_run_config, companion_seed), "1", RLLC_UNBOUNDED, NULL, "", "its training seed"},
};
static const rllc_option sampling_options[] = {
    OPTION(sampling_corpora, "corpora", "sample on these corpora (default: all)"),
    OPTION(sampling_checkpoints, "checkpoints", "grid of steps to sample at (default: training.checkpoints)"),
};
static const rllc_option score_options[] = {
    OPTION(scores, "scores", "names of head scores (default: all)"),
    OPTION(score_checkpoints, "checkpoints", "grid of steps to score (default: every checkpoint)"),
};
static const rllc_option_table run_table = TABLE("run", "the run itself", run_options);
static const rllc_option_table tokenizer_table = TABLE("tokenizer", "which tokenizer", tokenizer_options);
static const rllc_option_table training_table = TABLE("training", "which corpus is trained on", training_options);
static const rllc_option_table companion_table =
    TABLE("companion", "the model that the loss `reference` is relative to", companion_options);
static const rllc_option_table sampling_table = TABLE("sampling", "what is sampled where", sampling_options);
static const rllc_option_table score_table = TABLE("scores", "what is scored", score_options);

void rllc_run_sections(rllc_run_config *c, rllc_run_section out[RLLC_RUN_SECTIONS]) {
    const rllc_run_section all[RLLC_RUN_SECTIONS] = {
        {"run", {{&run_table, c}}, 1},
        {"tokenizer", {{&tokenizer_table, c}, {&rllc_bpe_option_table, &c->tokenizer}}, 2},
        {"model", {{&rllc_model_option_table, &c->model}}, 1},
        {"optimizer", {{&rllc_adamw_option_table, &c->optimizer}}, 1},
        {"training", {{&training_table, c}, {&rllc_train_option_table, &c->training}}, 2},
        {"companion", {{&companion_table, c}}, 1},
        {"scores", {{&score_table, c}, {&rllc_score_option_table, &c->score}}, 2},
        {"sampling",
         {{&sampling_table, c}, {&rllc_sampling_option_table, &c->sampling}, {&rllc_sampler_option_table, &c->sampler}},
         3},
    };
    memcpy(out, all, sizeof all);
}

rllc_run_section rllc_run_corpus_section(rllc_run_corpus *corpus) {
    return (rllc_run_section){
        rllc_intern_printf("corpora.%s", corpus->name),
        {{&rllc_reader_option_table, &corpus->reader}, {&rllc_packing_option_table, &corpus->packing}},
        2};
}

/* ---- printing -------------------------------------------------------------------------------------------- */

typedef struct printer {
    rllc_string *out;
    const char *indent;
} printer;

static rllc_status print_member(void *context, const char *key, const rllc_json *value) {
    printer *p = context;
    rllc_status status = RLLC_OK;
    if (strcmp(key, "d_vocab") == 0 && rllc_json_to_integer(value, 1) == 0) return RLLC_OK; /* follows the tokenizer */
    RLLC_TRY(rllc_string_printf(p->out, "%s%s: ", p->indent, key));
    RLLC_TRY(rllc_json_print(value, 0, false, p->out));
    RLLC_TRY(rllc_string_add(p->out, "\n"));
done:
    return status;
}

static rllc_status print_bindings(const rllc_run_section *s, const char *indent, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    printer p = {out, indent};
    for (int b = 0; b < s->n; b++) {
        RLLC_TRY(rllc_options_to_json(s->bindings[b].table, s->bindings[b].object, &j));
        RLLC_TRY(rllc_json_each(j, print_member, &p));
        rllc_json_free(j);
        j = NULL;
    }
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_run_config_print(const rllc_run_config *c, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_run_section sections[RLLC_RUN_SECTIONS];
    rllc_run_config whole = *c;
    RLLC_TRY(rllc_string_printf(out, "# The whole configuration of a run of rllc " RLLC_VERSION "%s%s.\n",
                                c->preset ? ", from preset " : "", c->preset ? c->preset : ""));
    whole.preset = NULL; /* everything it says stands here */
    rllc_run_sections(&whole, sections);
    RLLC_TRY(print_bindings(&sections[0], "", out));
    RLLC_TRY(rllc_string_add(out, "corpora:\n"));
    for (int64_t i = 0; i < c->n_corpora; i++) {
        const rllc_run_section s = rllc_run_corpus_section(&whole.corpora[i]);
        RLLC_TRY(rllc_string_printf(out, "  %s:\n", whole.corpora[i].name));
        RLLC_TRY(print_bindings(&s, "    ", out));
    }
    for (int i = 1; i < RLLC_RUN_SECTIONS; i++) {
        if (strcmp(sections[i].name, "companion") == 0 && !rllc_run_config_has_companion(c)) continue;
        RLLC_TRY(rllc_string_printf(out, "%s:\n", sections[i].name));
        RLLC_TRY(print_bindings(&sections[i], "  ", out));
    }
done:
    return status;
}
