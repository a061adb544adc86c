/* cli: the stages of `rllc run`, shared by its files. */
#ifndef RLLC_CLI_RUN_H
#define RLLC_CLI_RUN_H

#include "cli/config.h"

/**
 * What each stage is made from, as a hash: options, the sources' paths, sizes and times, and the hashes of the stages
 * before it. A stage whose hash the store knows is done. All are interned.
 */
typedef struct rllc_run_identity {
    const char *tokenizer;
    const char **corpora; /* [n_corpora] */
    const char **train;   /* [n_seeds] */
    const char *companion; /* NULL: the run has none */
    const char *scores, *sampling, *report;
} rllc_run_identity;

typedef struct rllc_run {
    rllc_run_config config;
    rllc_common_options common;
    rllc_run_identity identity;
    rllc_store *store; /* NULL in a dry run of a folder without one */
    rllc_tokenizer *tokenizer;
    rllc_json *provenance;
    const rllc_monitor *monitor;
} rllc_run;

/** ---- identity: run_identity.c ---- */

/** Sources that are not there are RLLC_ENOTFOUND, unless `dry`: then they count as empty. */
rllc_status rllc_run_identity_make(const rllc_run_config *c, bool dry, rllc_run_identity *out) RLLC_MUST_USE;
void rllc_run_identity_release(rllc_run_identity *id);
/** Bytes of all files behind comma-separated sources; 0 for what is not there. */
double rllc_sources_bytes(const char *sources);

/** ---- stages ---- */

/** "corpus code", "train 1": the stage's name in the store. Interned. */
const char *rllc_run_corpus_stage(const rllc_run_corpus *corpus);
const char *rllc_run_train_stage(uint64_t seed);
/** Paths inside the run folder. Interned. */
const char *rllc_run_path(const rllc_run *r, const char *name);
const char *rllc_run_rows_path(const rllc_run *r, const char *corpus, int split);
const char *rllc_run_seed_path(const rllc_run *r, uint64_t seed);
const char *rllc_run_companion_path(const rllc_run *r);

/** Whether the store knows the stage as done and what it left is there. */
bool rllc_run_is_done(const rllc_run *r, const char *stage, const char *hash);
bool rllc_run_tokenizer_is_done(const rllc_run *r);
bool rllc_run_corpus_is_done(const rllc_run *r, int64_t i);
bool rllc_run_train_is_done(const rllc_run *r, int64_t i);
bool rllc_run_companion_is_done(const rllc_run *r);
bool rllc_run_report_is_done(const rllc_run *r);

/** run_text.c: tokenizer (r->tokenizer is loaded afterwards) and packed corpora, each entered into the store. */
rllc_status rllc_run_tokenizer(rllc_run *r) RLLC_MUST_USE;
rllc_status rllc_run_corpora(rllc_run *r) RLLC_MUST_USE;
/** run_train.c: a model a seed, then the scores of its heads. */
rllc_status rllc_run_train(rllc_run *r) RLLC_MUST_USE;
/** The companion, in a folder and a store of its own: its checkpoints are not the run's. Nothing if the run has none. */
rllc_status rllc_run_companion(rllc_run *r) RLLC_MUST_USE;
rllc_status rllc_run_scores(rllc_run *r) RLLC_MUST_USE;
/** run_sample.c: every (seed, checkpoint, corpus) group, with one progress over all; then all estimates. */
rllc_status rllc_run_sample(rllc_run *r) RLLC_MUST_USE;

/** run_plan.c: prints what there is to do, and what it will cost here. */
rllc_status rllc_run_plan(rllc_run *r) RLLC_MUST_USE;

/** The model that the loss `reference` is relative to: loaded, or (dry) one of its shape if it is not there yet.
 *  out->size 0 if the run samples no such loss. */
rllc_status rllc_run_reference(const rllc_run *r, bool dry, rllc_model *out) RLLC_MUST_USE;
/** Before the training: whether a reference that was named fits the models to be trained. */
rllc_status rllc_run_check_reference(const rllc_run *r) RLLC_MUST_USE;

/** The model's shape with d_vocab as the tokenizer (or, before there is one, its options) gives it. */
rllc_status rllc_run_model_options(const rllc_run *r, rllc_model_options *out) RLLC_MUST_USE;

#endif
