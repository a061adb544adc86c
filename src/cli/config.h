/* cli: the configuration of `rllc run`: preset, YAML file and overrides, read into the rooms' option structs. */
#ifndef RLLC_CLI_CONFIG_H
#define RLLC_CLI_CONFIG_H

#include "cli/command.h"

typedef struct rllc_run_corpus {
    const char *name; /* interned */
    rllc_reader_options reader;
    rllc_packing_options packing;
} rllc_run_corpus;

/** Everything a run is made from. Texts are interned. */
typedef struct rllc_run_config {
    const char *preset; /* NULL if none */
    const char *output; /* folder of the run */
    const char *seeds_text;
    uint64_t *seeds;
    int64_t n_seeds;
    const char *tokenizer_path;   /* NULL: train one */
    const char *tokenizer_corpus; /* on this corpus' training split */
    rllc_bpe_options tokenizer;
    rllc_run_corpus *corpora;
    int64_t n_corpora;
    rllc_model_options model; /* d_vocab 0: follows from the tokenizer */
    rllc_adamw_options optimizer;
    const char *training_corpus;
    rllc_train_options training;
    int64_t companion_layers; /* of the model that the loss `reference` is relative to, */
    uint64_t companion_seed;  /* unless sampling.reference names another */
    const char *sampling_corpora, *sampling_checkpoints;
    rllc_sampling_options sampling;
    rllc_sampler_options sampler;
    const char *scores, *score_checkpoints; /* NULL: all */
    rllc_score_options score;
} rllc_run_config;

/** A section of the file: one or more tables whose keys stand side by side. */
enum { RLLC_RUN_TABLES = 3, RLLC_RUN_SECTIONS = 8 };
typedef struct rllc_run_section {
    const char *name;
    rllc_option_binding bindings[RLLC_RUN_TABLES];
    int n;
} rllc_run_section;

/** The sections bound to this configuration; the first, "run", is the keys at the top. */
void rllc_run_sections(rllc_run_config *c, rllc_run_section out[RLLC_RUN_SECTIONS]);
rllc_run_section rllc_run_corpus_section(rllc_run_corpus *corpus);

#define RLLC_PRESET_FILE "preset " /* begins the file name of nodes that come from a preset */
/** The last part of reading: fills in what follows from the rest, refuses what does not fit together. */
rllc_status rllc_run_config_complete(rllc_run_config *c, const rllc_yaml *root) RLLC_MUST_USE;

/**
 * Reads the preset (NULL: the file's own word), the file (NULL: none), then the overrides "a.b=c" in order, and
 * completes what follows from the rest. An unknown key is refused with the nearest known one, file and line.
 */
rllc_status rllc_run_config_read(rllc_run_config *c, const char *preset, const char *file, const char *const *overrides,
                                 int n_overrides) RLLC_MUST_USE;
void rllc_run_config_release(rllc_run_config *c);
/** Appends the whole configuration as YAML that reads back to the same. */
rllc_status rllc_run_config_print(const rllc_run_config *c, rllc_string *out) RLLC_MUST_USE;
/** The corpus of this name; NULL if there is none. */
const rllc_run_corpus *rllc_run_config_corpus(const rllc_run_config *c, const char *name);
/** Whether the run trains a companion: sampling.loss has `reference`, and sampling.reference names no checkpoint. */
bool rllc_run_config_has_companion(const rllc_run_config *c);
/** The grid of checkpoints that training keeps: its own and those that are sampled. Free with rllc_free. */
rllc_status rllc_run_config_grid(const rllc_run_config *c, const char **text) RLLC_MUST_USE;

/** The YAML text of a preset; RLLC_EUSAGE with the nearest name if there is none. */
rllc_status rllc_preset_text(const char *name, const char **text) RLLC_MUST_USE;

#endif
