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
    int64_t score_contexts; /* sequences of text behind attention scores on text; fewer if the split has fewer */
    int64_t behaviour_contexts; /* the same behind losses and scores of the model */
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

/* ---- analyses: checkpoint x corpus x item -> rows of the store ------------------------------------------------ */

/** How ablations and paths are measured. */
typedef struct rllc_ablation_options {
    int64_t ablation_contexts;     /* sequences of the analysis split; fewer if it has fewer */
    int64_t ablation_permutations; /* other sequences that resampling takes outputs from, one after the other */
    const char *ablation_sets;     /* heads ablated together: "0:1+0:4,1:6+1:7"; NULL = none */
    int64_t path_contexts;         /* sequences behind the paths */
} rllc_ablation_options;
extern const rllc_option_table rllc_ablation_option_table;

/** Which tokens in context are kept of a head, and what counts as one pattern. */
typedef struct rllc_context_options {
    int64_t context_sequences;    /* of the analysis split; fewer if it has fewer */
    int64_t context_records;      /* kept of a head */
    int64_t context_per_sequence; /* of these from one sequence */
    int64_t context_occurrences;  /* of a pattern, to be counted */
    int64_t context_points;       /* of the rarefaction curve */
    bool context_gaps;            /* skip n-grams with gaps of different lengths are different patterns */
} rllc_context_options;
extern const rllc_option_table rllc_context_option_table;

/** Settings of every kind of analysis; each kind reads its own part. */
typedef struct rllc_analysis_settings {
    rllc_score_options score;
    rllc_ablation_options ablation;
    rllc_curvature_options curvature;
    rllc_context_options context;
} rllc_analysis_settings;

/** A kind of analysis: a constant in its own file, listed in src/mechinterp/analyses.def. */
typedef struct rllc_analysis_kind rllc_analysis_kind;
const rllc_analysis_kind *const *rllc_analysis_list(int *n);
/** Its summary, its flag, and how many items it has; item i. */
const char *rllc_analysis_describe(const rllc_analysis_kind *kind, const char **flag, int *n_items);
const char *rllc_analysis_item(const rllc_analysis_kind *kind, int i);

/** What is asked: which items of which checkpoints and corpora of a run. */
typedef struct rllc_analysis_job {
    rllc_store *store;
    const char *folder;      /* of the run: checkpoints, corpora/NAME/analysis.npy, tokenizer.json */
    const char *checkpoints; /* steps (rllc_grid_parse), "all", "dozen" or "two"; NULL or "" = what each kind takes */
    const char *corpora;     /* names, or name=folder of a packed corpus, with commas; NULL or "" = all of the run */
    int64_t bos;             /* id of BOS, -1 = none */
    rllc_analysis_settings settings;
    int n_threads;
    const rllc_monitor *monitor;
} rllc_analysis_job;

/** One line of what is asked: a flag of the kinds ("score", "ablate", ...) and names of their items ("all", or a list).
 *  No line at all: everything. */
typedef struct rllc_analysis_request {
    const char *flag, *items;
} rllc_analysis_request;

/** What rllc_analyze would do. */
typedef struct rllc_analysis_cost {
    int64_t asked, missing; /* tasks: (checkpoint, corpus, item); those not in the store yet */
    double tokens, flops;   /* through the model, for what is missing */
} rllc_analysis_cost;
rllc_status rllc_analyze_cost(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n,
                              rllc_analysis_cost *out) RLLC_MUST_USE;
/** Puts what is missing into the store, task by task. RLLC_ESTOPPED when the monitor asked to stop: what ended stays. */
rllc_status rllc_analyze(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n) RLLC_MUST_USE;

/* ---- types of heads, from what the store knows (docs/heads.md) ------------------------------------------------- */

/** In the order in which their rules are tried. */
enum {
    RLLC_HEAD_DEAD,
    RLLC_HEAD_INDUCTION,
    RLLC_HEAD_PREVIOUS_TOKEN,
    RLLC_HEAD_CURRENT_TOKEN,
    RLLC_HEAD_BRACKET,
    RLLC_HEAD_MULTIGRAM,
    RLLC_HEAD_OTHER,
    RLLC_HEAD_TYPES
};
extern const char *const rllc_head_type_names[RLLC_HEAD_TYPES]; /* "dead", "induction", "previous-token", ... */

/** Thresholds of the rules. */
typedef struct rllc_head_type_options {
    double induction_ratio, previous_token_ratio, current_token_ratio, bracket_ratio; /* score over chance, at least */
    double sigmas;                                         /* and this many standard errors above chance */
    double induction_share, bracket_share, multigram_share; /* of the head's top tokens, at least */
    double dead_share; /* change of the loss without it over the mean change of all heads, at most */
    const char *corpus; /* whose evidence counts; NULL or "" = for each number the corpus in which it is strongest */
} rllc_head_type_options;
extern const rllc_option_table rllc_head_type_option_table;

/** A type given by hand. */
typedef struct rllc_head_override {
    int layer, head;
    const char *type, *comment; /* interned */
} rllc_head_override;
/** Reads "head: type [comment]" lines (YAML) or "head,type[,comment]" lines (a name that ends in .csv). Free *list with
 *  rllc_free. */
rllc_status rllc_head_overrides_load(const char *path, rllc_head_override **list, int64_t *n) RLLC_MUST_USE;

/**
 * Types of all heads of a checkpoint, from the scores in the store (rows of other checkpoints are passed over): out
 * [n_layers * n_heads], texts interned. An override wins, and the evidence still says what the rules found.
 */
rllc_status rllc_head_types_classify(const rllc_store_score *rows, int64_t n_rows, const rllc_store_checkpoint *c,
                                     const rllc_head_type_options *o, const rllc_head_override *overrides,
                                     int64_t n_overrides, rllc_store_head_type *out) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
