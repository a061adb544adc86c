/*
 * mechinterp: what heads do. Scores are rows of head_scores.def.
 */
#ifndef RLLC_MECHINTERP_H
#define RLLC_MECHINTERP_H

#include "rllc/model.h"
#include "rllc/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_score_options {
    int64_t score_samples; /* synthetic sequences per score; the paper's 10,000 */
    uint64_t score_seed;
} rllc_score_options;
extern const rllc_option_table rllc_score_option_table;

/** A score of every head: attention of one query position on one key position, averaged over synthetic samples. */
typedef struct rllc_head_score {
    const char *name, *summary, *source;
    const char *samples;        /* scores with the same word are measured on the same sequences */
    int64_t min_ctx, min_vocab; /* smallest model it can be asked of; the vocabulary counts BOS */
    /** Fills tokens [t <= n_ctx] for the sample of this stream and names the query and the key position.
     *  bos = -1: the tokenizer has none, the first token is drawn like the others. */
    void (*sample)(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key);
} rllc_head_score;

const rllc_head_score *const *rllc_head_score_list(int *n);
const rllc_head_score *rllc_head_score_find(const char *name); /* NULL if there is none */

/** What a score says of each head, entry l * n_heads + h. */
typedef struct rllc_score_result {
    double *value;  /* [n_layers * n_heads] mean attention over the samples */
    double *se;     /* its standard error */
    double chance;  /* out: what attention spread evenly over the positions up to the query would give */
    double tokens;  /* out: tokens carried through the model */
} rllc_score_result;

enum { RLLC_SCORE_ROWS = 256 }; /* sequences a call of the engine; a score needs an engine made for as many */

/** Evaluates the score at the model's weights; value and se are the caller's. Same bits for any number of threads. */
rllc_status rllc_head_score_evaluate(const rllc_head_score *score, rllc_engine *e, const rllc_model *m, int32_t bos,
                                     const rllc_score_options *o, rllc_score_result *out) RLLC_MUST_USE;

/* ---- every checkpoint of a run --------------------------------------------------------------------------- */

typedef struct rllc_score_job {
    rllc_store *store;
    const char *folder;      /* of the store: relative checkpoint paths begin there */
    const char *scores;      /* comma-separated names; NULL or "" = all */
    const char *checkpoints; /* steps (rllc_grid_parse); NULL or "" = all the store has */
    int64_t bos;             /* id of BOS, -1 = none */
    rllc_score_options options;
    int n_threads;
    const rllc_monitor *monitor;
} rllc_score_job;

/** What rllc_scores_run would do: (checkpoint, score) pairs asked for, those not in the store yet, their tokens. */
rllc_status rllc_scores_cost(const rllc_score_job *job, int64_t *asked, int64_t *missing, double *tokens) RLLC_MUST_USE;
/** Puts the missing scores into the store, one transaction a pair. RLLC_ESTOPPED when the monitor asked to stop. */
rllc_status rllc_scores_run(const rllc_score_job *job) RLLC_MUST_USE;

/* ---- curvature of a component: mechinterp/curvature.h measures it ------------------------------------------- */

typedef struct rllc_curvature_options {
    int64_t hessian_rows;        /* sequences of the batch that the loss is taken over */
    int64_t hessian_probes;      /* vectors of random signs */
    int64_t hessian_steps;       /* of Lanczos, each one product a probe */
    int64_t hessian_eigenvalues; /* the largest ones, at most hessian_steps */
    double hessian_threshold;    /* eigenvalues above it in size are counted; */
    double hessian_fraction;     /* and those above this share of the largest in size */
    int64_t hessian_points;      /* of the spectral density */
    double hessian_width;        /* of its Gaussians, as a share of the spectrum's range */
    int64_t fisher_tokens;       /* predictions of each sequence behind the Fisher traces; 0 = not measured */
    uint64_t hessian_seed;
} rllc_curvature_options;
extern const rllc_option_table rllc_curvature_option_table;

#ifdef __cplusplus
}
#endif
#endif
