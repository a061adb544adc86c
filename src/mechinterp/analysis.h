/* analysis: what a kind of analysis is, and what it is given. */
#ifndef RLLC_MECHINTERP_ANALYSIS_H
#define RLLC_MECHINTERP_ANALYSIS_H

#include "rllc/data.h"
#include "rllc/mechinterp.h"

/** One piece of work: an item at a checkpoint, on a corpus if the kind reads text. */
typedef struct rllc_analysis_task {
    const rllc_analysis_job *job;
    const char *item;
    const rllc_store_checkpoint *checkpoint;
    const rllc_model *model;         /* the checkpoint's weights */
    rllc_engine *engine;             /* for as many sequences a call as the kind asked for */
    const rllc_store_corpus *corpus; /* NULL unless the kind reads text, like what follows */
    const rllc_rows *rows;           /* its analysis split */
    const rllc_rows *train;          /* training split of the corpus that the model was trained on; NULL if not there */
    const rllc_tokenizer *tokenizer; /* the run's; NULL if it has none */
    void **kept;                     /* the kind's own for all tasks of a call, NULL at first: what is costly to form */
    void *progress;                  /* own */
} rllc_analysis_task;

struct rllc_analysis_kind {
    const char *name; /* "scores" */
    const char *flag; /* selects its items; kinds may share one: "score" */
    const char *summary, *source;
    bool of_corpus;             /* once for every corpus; else once a checkpoint */
    int usual;                  /* items that "everything" means: the first ones; 0 = all */
    const char *checkpoints;    /* "all", "dozen" (log-spaced), "two" (one sixth of training, and its end) */
    int64_t sequences;          /* a call of the engine; 0: needs none */
    const char *(*item)(int i); /* NULL from the first i that there is none */
    /** Everything but weights, corpus and item that decides the result: settings and the version of the arithmetic.
     *  Interned. */
    const char *(*identity)(const rllc_analysis_job *job);
    /** Tokens through the model, and floating-point operations, of one task; rows: of the split (0 without one). */
    void (*cost)(const rllc_analysis_job *job, const rllc_model *shape, const char *item, int64_t rows, double *tokens,
                 double *flops);
    /** Computes, then puts its rows into the store (replacing older ones) in one transaction. */
    rllc_status (*run)(const rllc_analysis_task *task);
    /** Releases what the kind keeps; NULL if it keeps nothing. */
    void (*forget)(void *kept);
};

/** Says how far the task is (0 .. 1); RLLC_ESTOPPED if the monitor asked to stop. Call it between batches. */
rllc_status rllc_analysis_progress(const rllc_analysis_task *task, double done) RLLC_MUST_USE;

/** Which row stands for sequence i of the n <= rows that are read: spread evenly, for rows lie in the order of the corpus'
 *  sources. */
static inline int64_t rllc_analysis_row(int64_t i, int64_t n, int64_t rows) {
    return i * rows / n;
}

#define RLLC_ANALYSIS(identifier) extern const rllc_analysis_kind rllc_analysis_##identifier;
#include "mechinterp/analyses.def"
#undef RLLC_ANALYSIS

#endif
