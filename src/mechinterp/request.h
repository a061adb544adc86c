/* request: what is asked of a run, as tasks. */
#ifndef RLLC_MECHINTERP_REQUEST_H
#define RLLC_MECHINTERP_REQUEST_H

#include "mechinterp/analysis.h"

/* Rows of analyses.def, and the most items one of them may have. */
enum {
    RLLC_N_ANALYSES = 0
#define RLLC_ANALYSIS(identifier) +1
#include "mechinterp/analyses.def"
#undef RLLC_ANALYSIS
    ,
    RLLC_MAX_ITEMS = 64
};

/* A corpus and its tokens. */
typedef struct rllc_given_corpus {
    rllc_store_corpus row;
    rllc_rows rows;
} rllc_given_corpus;

typedef struct rllc_task {
    int kind, item;
    int64_t checkpoint, corpus; /* corpus -1: none */
    bool missing;
    double flops;
} rllc_task;

/* What is asked for, as tasks in the order they are run. */
typedef struct rllc_request {
    const rllc_analysis_job *job;
    bool wanted[RLLC_N_ANALYSES][RLLC_MAX_ITEMS];
    rllc_store_checkpoint *checkpoints;
    int64_t n_checkpoints;
    rllc_given_corpus *corpora;
    int64_t n_corpora;
    rllc_rows train;
    int64_t d_vocab; /* of the run's models */
    rllc_tokenizer *tokenizer;
    rllc_task *tasks;
    int64_t n_tasks;
    rllc_analysis_cost cost;
    void *kept[RLLC_N_ANALYSES]; /* what kinds keep from task to task */
    double done_flops; /* of the tasks that have ended, of those missing */
    int64_t done_tasks;
} rllc_request;

/** Finds checkpoints, corpora and tasks, and which of these are missing from the store. */
rllc_status rllc_request_init(rllc_request *q, const rllc_analysis_job *job, const rllc_analysis_request *asked,
                              int n) RLLC_MUST_USE;
void rllc_request_release(rllc_request *q);

bool rllc_request_wants(const rllc_request *q, int kind);
const rllc_analysis_kind *rllc_task_kind(const rllc_task *t);
const char *rllc_task_item(const rllc_task *t);
/** The corpus' name; "" without one. */
const char *rllc_task_corpus(const rllc_request *q, const rllc_task *t);
/** Notes in the store that the task is done. */
rllc_status rllc_task_done(const rllc_request *q, const rllc_task *t) RLLC_MUST_USE;

#endif
