/*
 * store: the one SQLite file of a run. Traces are raw and kept; estimates are derived and can be rebuilt.
 * The schema is documented column by column in docs/store.md and in src/store/schema.h (`sqlite3 run.db .schema`).
 * Every write happens in a transaction; kill -9 at any moment leaves the last commit. Several processes may write to
 * one store: each waits up to 30 s for the others. An open store belongs to one thread at a time and to one process
 * (not to a child after fork). NaN survives; a text given as NULL is stored as "".
 */
#ifndef RLLC_STORE_H
#define RLLC_STORE_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_store rllc_store;

enum { RLLC_STORE_READ, RLLC_STORE_WRITE /* creates if absent */ };
rllc_status rllc_store_open(rllc_store **out, const char *path, int mode) RLLC_MUST_USE;
void rllc_store_close(rllc_store *s);
/** Transactions nest (savepoints): each function below is one of its own, alone or inside an open one, so it happens
 *  whole or not at all. A commit that fails has rolled back. Rollback without an open transaction does nothing. */
rllc_status rllc_store_begin(rllc_store *s) RLLC_MUST_USE;
rllc_status rllc_store_commit(rllc_store *s) RLLC_MUST_USE;
void rllc_store_rollback(rllc_store *s);

/** Where results come from: program version and commit, host, CPU, libraries, kernels, threads. One row a process,
 *  made on first use; `json` is kept whole. */
rllc_status rllc_store_provenance(rllc_store *s, const rllc_json *json, int64_t *id) RLLC_MUST_USE;
/** Appends the JSON text of a provenance row (cells name theirs); RLLC_ENOTFOUND if there is none. For the report. */
rllc_status rllc_store_get_provenance(rllc_store *s, int64_t id, rllc_string *out) RLLC_MUST_USE;
/** A key/value of the run: "config", "title", ... (text). */
rllc_status rllc_store_set_meta(rllc_store *s, const char *key, const char *value) RLLC_MUST_USE;
/** Appends the value to out; RLLC_ENOTFOUND if the key is absent. */
rllc_status rllc_store_get_meta(rllc_store *s, const char *key, rllc_string *out) RLLC_MUST_USE;

/* ---- what was measured ----------------------------------------------------------------------------------- */

/** In memory filled by the list functions, every text is interned. */
typedef struct rllc_store_corpus {
    int64_t id;
    const char *name;     /* "mix", "code" */
    const char *hash;     /* content hash of the split used for sampling, hex */
    bool trained_on;      /* the run's training corpus */
    const char *json;     /* corpus.json */
} rllc_store_corpus;
rllc_status rllc_store_put_corpus(rllc_store *s, rllc_store_corpus *c) RLLC_MUST_USE; /* fills id; by (name, hash) */
rllc_status rllc_store_corpora(rllc_store *s, rllc_store_corpus **list, int64_t *n) RLLC_MUST_USE;

typedef struct rllc_store_checkpoint {
    int64_t id;
    uint64_t seed;        /* training run */
    int64_t step;         /* completed updates */
    const char *hash;     /* content hash of the weights */
    const char *path;     /* model file, relative to the store's folder when inside it (put shortens absolute paths) */
    int64_t n_layers, n_heads;
    const char *model_json;
} rllc_store_checkpoint;
/** Fills id; one row per (seed, step, hash). */
rllc_status rllc_store_put_checkpoint(rllc_store *s, rllc_store_checkpoint *c) RLLC_MUST_USE;
/** Ordered by seed, step. */
rllc_status rllc_store_checkpoints(rllc_store *s, rllc_store_checkpoint **list, int64_t *n) RLLC_MUST_USE;

/** Curves over training steps: metric "train_loss", "validation_loss", "gradient_norm", "weight_norm", "tokens",
 *  "seconds". */
rllc_status rllc_store_put_training(rllc_store *s, uint64_t seed, int64_t step, const char *metric,
                                    double value) RLLC_MUST_USE; /* replaces */
/** Drops training points and checkpoints of a seed with step > last (before going on from a checkpoint). A checkpoint
 *  that was measured (cells, scores) stays: what was measured holds for the weights that its hash names. */
rllc_status rllc_store_rewind_training(rllc_store *s, uint64_t seed, int64_t last) RLLC_MUST_USE;

typedef struct rllc_store_point {
    uint64_t seed;
    int64_t step;
    double value;
} rllc_store_point;
rllc_status rllc_store_training(rllc_store *s, const char *metric, rllc_store_point **list, int64_t *n) RLLC_MUST_USE;

/* ---- what heads do: tidy tables, one row a number; a metric of a new name needs no new column ----------------- */

/** Scores of heads and models: one row per (checkpoint, metric, layer, head, corpus); layer and head -1, corpus "" where
 *  they do not apply. */
typedef struct rllc_store_score {
    int64_t checkpoint_id;
    uint64_t seed;
    int64_t step;       /* filled when listing */
    const char *metric; /* "previous_token", "ablation/zero", ... */
    int layer, head;
    const char *corpus;
    double value, se;   /* se NaN if unknown */
    int64_t n;          /* samples behind it; 0 = none, it is exact */
    double chance;      /* what a head that knows nothing would score; NaN if not defined */
} rllc_store_score;
rllc_status rllc_store_put_score(rllc_store *s, const rllc_store_score *score) RLLC_MUST_USE; /* replaces */
/** metric NULL: all. Ordered by metric, seed, step, layer, head, corpus. */
rllc_status rllc_store_scores(rllc_store *s, const char *metric, rllc_store_score **list, int64_t *n) RLLC_MUST_USE;

/** What one head means to another. */
typedef struct rllc_store_pair {
    int64_t checkpoint_id;
    uint64_t seed;
    int64_t step;       /* filled when listing */
    const char *metric; /* "composition_k", "path/zero/q", ... */
    int from_layer, from_head, to_layer, to_head;
    const char *corpus;
    double value, se;
    int64_t n;
    double chance;
} rllc_store_pair;
rllc_status rllc_store_put_pair(rllc_store *s, const rllc_store_pair *pair) RLLC_MUST_USE; /* replaces */
/** metric NULL: all. Ordered by metric, seed, step, heads, corpus. */
rllc_status rllc_store_pairs(rllc_store *s, const char *metric, rllc_store_pair **list, int64_t *n) RLLC_MUST_USE;

/** What is measured of a component: norms, curvature, losses by position, ablations of sets of heads. */
typedef struct rllc_store_measure {
    int64_t checkpoint_id;
    uint64_t seed;
    int64_t step;       /* filled when listing */
    const char *metric; /* "hessian_trace", "weight_norm", ... */
    const char *component; /* "full", "l0h3", ... */
    const char *corpus;
    double value, se;
    int64_t n;
    const char *json;   /* what one number cannot say; "" = nothing */
} rllc_store_measure;
rllc_status rllc_store_put_measure(rllc_store *s, const rllc_store_measure *measure) RLLC_MUST_USE; /* replaces */
/** metric NULL: all. Ordered by metric, seed, step, component, corpus. */
rllc_status rllc_store_measures(rllc_store *s, const char *metric, rllc_store_measure **list, int64_t *n) RLLC_MUST_USE;

/** Whose tokens in context. */
typedef struct rllc_store_contexts {
    int64_t checkpoint_id;
    int layer, head;
    const char *corpus, *ablation;
} rllc_store_contexts;

/** One prediction that the ablation of a head changes much. */
typedef struct rllc_store_context {
    int64_t sequence, position; /* row of the analysis split; k: token k predicts token k + 1 */
    double loss, ablated_loss;
    const char *label;          /* the first of its labels in order of precedence; "" = none */
    int labels;                 /* bits of all that hold */
    const char *pattern;        /* token ids of its n-gram or skip n-gram; "" = none */
    const int32_t *tokens;      /* [position + 2] */
    const float *attention;     /* [position + 1] from k */
} rllc_store_context;
/** Replaces all of them; list[i] gets rank i. */
rllc_status rllc_store_put_contexts(rllc_store *s, const rllc_store_contexts *of, const rllc_store_context *list,
                                    int64_t n) RLLC_MUST_USE;
/** By rank; free with rllc_store_contexts_free. */
rllc_status rllc_store_get_contexts(rllc_store *s, const rllc_store_contexts *of, rllc_store_context **list,
                                    int64_t *n) RLLC_MUST_USE;
void rllc_store_contexts_free(rllc_store_context *list, int64_t n); /* accepts NULL */

typedef struct rllc_store_head_type {
    int64_t checkpoint_id;
    uint64_t seed;
    int64_t step;         /* filled when listing */
    int layer, head;
    const char *type;     /* "induction", ... */
    const char *source;   /* "automatic", "manual" */
    const char *evidence; /* one line */
    const char *json;     /* thresholds and the numbers they were compared with */
} rllc_store_head_type;
rllc_status rllc_store_put_head_type(rllc_store *s, const rllc_store_head_type *type) RLLC_MUST_USE; /* replaces */
/** Ordered by seed, step, layer, head. */
rllc_status rllc_store_head_types(rllc_store *s, rllc_store_head_type **list, int64_t *n) RLLC_MUST_USE;

/* ---- sampling -------------------------------------------------------------------------------------------- */

/** One estimate's worth of sampling: checkpoint x component x corpus x loss, with all options. */
typedef struct rllc_store_cell {
    int64_t id;
    const char *identity;     /* hash of everything that decides the result */
    int64_t checkpoint_id, corpus_id;
    const char *component;    /* "l0h3" */
    int64_t dim;              /* numbers that move */
    const char *loss_kind;    /* "next_token", or "reference:" and the hash of the model it is relative to */
    const char *options_json; /* all sampler options, batches, threads-independent arithmetic version, kernels */
    int64_t provenance_id;
    bool complete;
    double seconds;           /* its share of wall time so far */
    double nbeta;
    /* filled when listing, from the joined rows: */
    uint64_t seed;
    int64_t step;
    const char *corpus;
    bool refined_data; /* not the distribution trained on: another corpus, or a reference model's answers */
} rllc_store_cell;
/** What the cell's loss is taken over, for people: "mix", or "mix to 1a2b3c4d" relative to the reference model whose
 *  hash begins so. Interned; NULL without memory. */
const char *rllc_store_cell_data(const rllc_store_cell *c);
/** Whether the cell's loss is of the next token. */
bool rllc_store_cell_is_next_token(const rllc_store_cell *c);
/** Finds the cell by (identity, checkpoint, corpus, component) or inserts it; fills id, complete, seconds. */
rllc_status rllc_store_put_cell(rllc_store *s, rllc_store_cell *c) RLLC_MUST_USE;
rllc_status rllc_store_update_cell(rllc_store *s, int64_t id, bool complete, double seconds) RLLC_MUST_USE;
/** Ordered by seed, step, corpus, component. */
rllc_status rllc_store_cells(rllc_store *s, rllc_store_cell **list, int64_t *n) RLLC_MUST_USE;

/** What a draw records beside loss and baseline: norm of the displacement u = w - w*, norm of the minibatch gradient g,
 *  u . g, norm of the noise of the update that follows, acceptance of the step before by a Metropolis rule. */
enum {
    RLLC_STORE_DISTANCE,
    RLLC_STORE_GRADIENT_NORM,
    RLLC_STORE_GRADIENT_DOT,
    RLLC_STORE_NOISE_NORM,
    RLLC_STORE_MALA,
    RLLC_STORE_RECORDS
};

/** Where a chain stands. weights and memory: kept only while unfinished. */
typedef struct rllc_store_chain {
    int64_t cell_id;
    int64_t chain;
    int64_t stream;
    int64_t step;          /* next step to take */
    int64_t n_draws;       /* rows in trace */
    double init_loss;      /* NaN until known */
    bool diverged;
    const char *reason;    /* "" or e.g. "loss is NaN at draw 57 (step 57)" */
    const float *weights;  /* [dim]; NULL = none */
    int64_t dim;
    const void *memory;    /* what the sampler keeps besides; NULL = none */
    int64_t memory_bytes;
    double acceptance;     /* of an exact sampler's proposals; NaN for others */
    const double *records[RLLC_STORE_RECORDS]; /* put: of the draws given, NULL = NaN; get: stay NULL */
} rllc_store_chain;
/** Replaces the chain's row and appends draws first .. first+n-1 of loss and baseline (existing rows are replaced, rows
 *  from n_draws on are dropped). The trace must end with n_draws draws, without a gap: first + n = n_draws if n > 0. */
rllc_status rllc_store_put_chain(rllc_store *s, const rllc_store_chain *chain, int64_t first, int64_t n,
                                 const double *loss, const double *baseline) RLLC_MUST_USE;
/** RLLC_ENOTFOUND if there is none. weights_out [dim] may be NULL; *has_weights may be NULL. out->dim is the number of
 *  stored weights, out->weights stays NULL. */
rllc_status rllc_store_get_chain(rllc_store *s, int64_t cell_id, int64_t chain, rllc_store_chain *out,
                                 float *weights_out, int64_t dim, bool *has_weights) RLLC_MUST_USE;
/** The sampler's memory of an unfinished chain; RLLC_EMISMATCH if it is not of `bytes` bytes. */
rllc_status rllc_store_get_memory(rllc_store *s, int64_t cell_id, int64_t chain, void *memory,
                                  int64_t bytes) RLLC_MUST_USE;
/** columns [RLLC_STORE_RECORDS], each [capacity] or NULL, filled with the first *n draws. */
rllc_status rllc_store_get_records(rllc_store *s, int64_t cell_id, int64_t chain, double *const *columns,
                                   int64_t capacity, int64_t *n) RLLC_MUST_USE;
/** loss, baseline [capacity] filled with the first *n <= capacity draws; either may be NULL. */
rllc_status rllc_store_get_trace(rllc_store *s, int64_t cell_id, int64_t chain, double *loss, double *baseline,
                                 int64_t capacity, int64_t *n) RLLC_MUST_USE;
/** Per-token losses of a draw as a float32 blob with its shape (level: "draw" = mean over the batch per position
 *  [T-1], "token" = [B, T-1]); chain -1 = the baseline of stream `stream`. Get: values NULL asks for the shape. */
rllc_status rllc_store_put_token_losses(rllc_store *s, int64_t cell_id, int64_t chain, int64_t stream, int64_t draw,
                                        const float *values, int64_t rows, int64_t columns) RLLC_MUST_USE;
rllc_status rllc_store_get_token_losses(rllc_store *s, int64_t cell_id, int64_t chain, int64_t stream, int64_t draw,
                                        float *values, int64_t capacity, int64_t *rows, int64_t *columns) RLLC_MUST_USE;

typedef struct rllc_store_estimate {
    int64_t cell_id;
    const char *name; /* "wrLLC" ... */
    double llc_mean, llc_sd, llc_se, llc_mean_init, llc_sd_init, llc_se_init;
    int64_t n_chains, n_diverged;
    const char *per_chain_json; /* {"llc":[..],"llc_init":[..]} */
    const char *verdict;        /* "good", "not converged", ...; "" = not diagnosed */
    const char *diagnosis_json; /* what the verdict rests on (docs/diagnostics.md); "" = not diagnosed */
} rllc_store_estimate;
rllc_status rllc_store_put_estimate(rllc_store *s, const rllc_store_estimate *e) RLLC_MUST_USE; /* replaces */
/** Estimates joined with their cells: list[i] belongs to cells[i]; ordered as rllc_store_cells. */
rllc_status rllc_store_estimates(rllc_store *s, rllc_store_estimate **list, rllc_store_cell **cells,
                                 int64_t *n) RLLC_MUST_USE;

/** Curvature of the loss at a cell's w*, measured before its chains run (docs/calibration.md). Put replaces. */
rllc_status rllc_store_put_curvature(rllc_store *s, int64_t cell_id, const char *json) RLLC_MUST_USE;
/** *json: interned; NULL if it was not measured. */
rllc_status rllc_store_get_curvature(rllc_store *s, int64_t cell_id, const char **json) RLLC_MUST_USE;

/** Stages of a run and the hash of their inputs when they last ended: lets `rllc run` skip what is unchanged. */
rllc_status rllc_store_stage_done(rllc_store *s, const char *stage, const char *input_hash) RLLC_MUST_USE;
bool rllc_store_stage_is_done(rllc_store *s, const char *stage, const char *input_hash);

/* Lists are one allocation each: free with rllc_free. */

#ifdef __cplusplus
}
#endif
#endif
