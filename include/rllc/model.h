/*
 * model: the attention-only transformer of Wang et al. 2024: its tensors, init, forward, backward, named components.
 *
 * All parameters are one flat float vector in the order of src/model/tensors.def (layers inside, in order), each
 * tensor contiguous in TransformerLens' shape. A component is a set of ranges of that vector. Gradients use the same
 * layout. "Index of a parameter" always means its index in this whole vector.
 */
#ifndef RLLC_MODEL_H
#define RLLC_MODEL_H

#include "rllc/base.h"
#include "rllc/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RLLC_NORM_LN, RLLC_NORM_NULL };           /* normalization: LN | null */
enum { RLLC_POS_INIT_NORMAL, RLLC_POS_INIT_SINUSOIDAL };

typedef struct rllc_model_options {
    int64_t n_layers, d_model, n_heads, d_head, n_ctx, d_vocab;
    int normalization;             /* RLLC_NORM_* */
    int positions_init;            /* RLLC_POS_INIT_*: sinusoidal is the demo's recipe, not the paper's */
    double positions_amplitude;    /* of the sinusoids */
    const char *positions;         /* "shortformer" is the only one supported; others are refused by name */
    bool attn_only;                /* true is the only one supported */
    double init_scale;             /* s = init_scale / sqrt(d_model); 0.8 */
    double ln_eps;                 /* 1e-5 */
} rllc_model_options;
extern const rllc_option_table rllc_model_option_table;

/** One tensor inside the flat vector. */
typedef struct rllc_parameter {
    const char *name;  /* interned: "blocks.0.attn.W_Q" */
    int layer;         /* -1 for tensors outside the layers */
    bool has_heads;    /* axis 0 runs over heads */
    char init;         /* 'W', '0', '1' */
    int n_dims;
    int64_t shape[3];
    int64_t offset, n; /* in floats */
} rllc_parameter;

typedef struct rllc_model {
    rllc_model_options options;
    rllc_parameter *parameters;
    int64_t n_parameters; /* tensors */
    int64_t size;         /* P: floats in all */
    float *weights;       /* [P] */
} rllc_model;

/** Checks the options, lays out the tensors, allocates zero weights. */
rllc_status rllc_model_init(rllc_model *m, const rllc_model_options *options) RLLC_MUST_USE;
void rllc_model_release(rllc_model *m);
/** M 1.4: names with W_ ~ N(0, s^2), biases 0, LayerNorm w = 1; stream (seed, "init"), index of the parameter. */
void rllc_model_randomize(rllc_model *m, uint64_t seed);
const rllc_parameter *rllc_model_find(const rllc_model *m, const char *name); /* NULL if absent */
/** Index range check helper: the tensor that holds parameter `index`. */
const rllc_parameter *rllc_model_at(const rllc_model *m, int64_t index);

/* ---- files ----------------------------------------------------------------------------------------------- */

/**
 * Reads model.safetensors (ours or TransformerLens' under its state_dict names; attn.mask and attn.IGNORE skipped).
 * The options come from the shapes, ln tensors present or absent, and our metadata; unknown tensors (an MLP) are
 * refused by name. path: anything rllc_checkpoint_find accepts.
 */
rllc_status rllc_model_load(rllc_model *m, const char *path) RLLC_MUST_USE;
/** Writes weights (m->weights if NULL) as safetensors; extra metadata (strings) may be NULL. */
rllc_status rllc_model_save(const rllc_model *m, const float *vector, const char *path,
                            const rllc_json *metadata) RLLC_MUST_USE;
/** Content hash of the weights (names, shapes, values). */
rllc_hash rllc_model_hash(const rllc_model *m);
/** Writes a flat vector under the tensors' names, restricted to `component` if not NULL: whole tensors that the
 *  component touches, zero outside it. */
struct rllc_component;
rllc_status rllc_model_save_component(const rllc_model *m, const float *vector, const struct rllc_component *component,
                                      const char *path) RLLC_MUST_USE;

/* ---- components ------------------------------------------------------------------------------------------ */

/** A set of parameters: disjoint ascending ranges, neighbours merged, so equal sets are equal arrays. */
typedef struct rllc_component {
    const char *name; /* interned, as given: "l0h3", "l0h1+l0h4"; "full" for everything, however it was spelt */
    rllc_span *ranges;
    int64_t n_ranges;
    int64_t size; /* numbers that move */
} rllc_component;

/**
 * Names: full; l0h3 (W_Q W_K W_V W_O b_Q b_K b_V slices; not b_O); l0 (all tensors of the layer, ln1 and b_O too);
 * "l0 attn" (without ln1); embed (W_E); pos_embed (W_pos); unembed (W_U and b_U); a tensor's own name; unions with +.
 * 0:3 is read as l0h3. An unknown name is RLLC_EUSAGE and names the nearest.
 */
rllc_status rllc_component_parse(rllc_component *c, const rllc_model *m, const char *name) RLLC_MUST_USE;
void rllc_component_release(rllc_component *c);
/**
 * Expands a comma-separated list of selectors into component names: besides the above, `heads` (every head),
 * `layers` (every layer). Duplicates are dropped. Free *names with rllc_free (the strings are interned).
 */
rllc_status rllc_components_expand(const rllc_model *m, const char *list, const char ***names, int64_t *n) RLLC_MUST_USE;
/** Layer and head of a single-head component; false for any other. */
bool rllc_component_head(const char *name, int *layer, int *head);
/** The label for people: "0:3" for l0h3, else the name. Interned. */
const char *rllc_component_label(const char *name);

/* ---- losses ---------------------------------------------------------------------------------------------- */

/** What an evaluation should give besides the mean loss; NULL members are not formed. */
typedef struct rllc_evaluation {
    double loss;         /* out: mean over B * (T-1) predictions, nats */
    float *token_losses; /* [B, T-1] or NULL */
    float *logits;       /* [B, T, V] or NULL */
    float *gradient;     /* [P], "=", or NULL: of the mean loss over all B rows */
} rllc_evaluation;

/** A reusable workspace sized beforehand for at most max_rows sequences per call on n_threads threads. */
typedef struct rllc_engine rllc_engine;
rllc_status rllc_engine_new(rllc_engine **out, const rllc_model *m, int64_t max_rows, int n_threads) RLLC_MUST_USE;
void rllc_engine_free(rllc_engine *e);
/** Computes with another table than rllc_kernels_get(), whose memory need not be the host's; before any pass. */
rllc_status rllc_engine_set_kernels(rllc_engine *e, const rllc_kernels *k) RLLC_MUST_USE;
/** Every member on the plain path, which is the definition of the others: for tests, and to see what those save. */
void rllc_engine_set_plain(rllc_engine *e, bool plain);
/**
 * From now on every loss is relative to `reference`: the mean over predictions of KL(p_reference || p) (E99), for
 * evaluate and lockstep alike, at the base and for every member, with gradients and token losses. NULL: of the next
 * token again. Any model of the same vocabulary whose n_ctx is at least the context in use, borrowed; its forward pass is
 * done once for each block of rows. Before any other thread computes. A failure leaves the losses of the next token.
 */
rllc_status rllc_engine_set_reference(rllc_engine *e, const rllc_model *reference) RLLC_MUST_USE;
/** RLLC_EMISMATCH unless losses of m on sequences of t tokens can be relative to `reference`. */
rllc_status rllc_model_check_reference(const rllc_model *m, int64_t t, const rllc_model *reference) RLLC_MUST_USE;
/** Bytes that a reference adds to an engine of model m: its own engine, and [block rows, d_vocab] floats a thread. */
int64_t rllc_engine_reference_bytes(const rllc_model *m, const rllc_model *reference, int n_threads);
/**
 * Bytes an engine holds once it has served calls of `rows` sequences with these members (n_members = 0: loss only;
 * one full member: training). Member weights and gradients of the caller are not counted. -1 without memory.
 */
int64_t rllc_engine_bytes(const rllc_model *m, int64_t rows, int n_threads, const rllc_component *const *members,
                          int64_t n_members);

/**
 * Mean next-token cross-entropy (E10) of `rows` sequences tokens [rows, n_ctx] at `weights` [P]. Same bits for any
 * number of threads. No T x T and no B x T x V array is formed (logits only if asked).
 */
rllc_status rllc_engine_evaluate(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                 rllc_evaluation *out) RLLC_MUST_USE;

/**
 * One member of a lockstep pass: some parameters differ from the base weights.
 * free: its coordinates packed in component order [component->size]; gradient: same layout, "=" (NULL: loss only).
 */
typedef struct rllc_member {
    const rllc_component *component;
    const float *free;
    float *gradient;
    double loss;              /* out: mean loss on the batch */
    float *token_losses;      /* [B, T-1] or NULL */
} rllc_member;

/**
 * An intervention: the output z of a head replaced.                                                          (E87)
 * For sequence r and position t: z <- z[source * sequence_stride + t * position_stride ..][d_head], source =
 * sequences ? sequences[r] : r. A stride of 0: the same for all of them.
 */
typedef struct rllc_replacement {
    int layer, head;
    const float *z; /* the host's; NULL: zeros */
    int64_t sequence_stride, position_stride;
    const int64_t *sequences; /* [rows] or NULL */
} rllc_replacement;

/** These replacements (copied; z borrowed; none: n = 0) hold in every pass from now on: losses, gradients, attention. */
rllc_status rllc_engine_set_replacements(rllc_engine *e, const rllc_replacement *list, int64_t n) RLLC_MUST_USE;

/** Where the heads of an ablation are replaced. */
typedef struct rllc_ablation {
    const rllc_replacement *replaced;
    int64_t n_replaced;
    /* a path: replaced only in what this head's queries, keys or values are made from; all replaced heads are of the
       layer below. layer 0: no path, replaced for everything. */
    int into_layer, into_head;
    bool into_q, into_k, into_v;
    float *token_losses; /* out [rows, t-1] */
} rllc_ablation;
/**
 * Losses of every prediction with heads replaced, each ablation apart from the others; base_token_losses (may be NULL):
 * without. Layers below the lowest replaced head are computed once. Replacing by equal numbers changes no bit.
 */
rllc_status rllc_engine_ablate(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                               const rllc_ablation *list, int64_t n, float *base_token_losses) RLLC_MUST_USE;
/** Outputs of all heads: z [rows, n_layers, t, n_heads d_head]. */
rllc_status rllc_engine_outputs(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                float *z) RLLC_MUST_USE;

/**
 * Losses and gradients of many members on one minibatch, around base weights [P]; what is frozen is computed once
 * (E11). base_loss (may be NULL): mean loss at the base weights on the same batch; base_token_losses [B, T-1] or NULL.
 * A member's result does not depend, bit for bit, on which others share the call or on the threads.
 */
rllc_status rllc_engine_lockstep(rllc_engine *e, const float *base, const int32_t *tokens, int64_t rows,
                                 rllc_member *members, int64_t n_members, double *base_loss,
                                 float *base_token_losses) RLLC_MUST_USE;

/**
 * Floating-point operations per token, attention counted exactly causal: of a forward pass; of one member's loss and
 * gradient in a lockstep pass (E11), and that on the plain path; of what the members of one component share besides the
 * base pass, once for all of them. -1 without memory.
 */
double rllc_model_flops(const rllc_model *m);
double rllc_component_flops(const rllc_model *m, const rllc_component *c);
double rllc_component_plain_flops(const rllc_model *m, const rllc_component *c);
double rllc_family_flops(const rllc_model *m, const rllc_component *c);

/** Sequences of the next calls have t <= n_ctx tokens (rows of t ids); n_ctx after rllc_engine_new. */
rllc_status rllc_engine_set_context(rllc_engine *e, int64_t t) RLLC_MUST_USE;
int64_t rllc_engine_context(const rllc_engine *e);

/**
 * Attention of every head from one query position to one key position of each sequence, for scores:
 * out [rows, n_layers, n_heads] = A^{l:h}[query[r], key[r]], 0 when key > query. tokens [rows, t]; what follows the
 * query does not matter, so shorter sequences are padded with any valid id. Parallel over the sequences.
 */
rllc_status rllc_engine_attention(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                  const int64_t *query, const int64_t *key, float *out) RLLC_MUST_USE;

/** Logits of position[r] of each sequence into out [rows, V]; tokens [rows, t]. */
rllc_status rllc_engine_logits_at(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                  const int64_t *position, float *out) RLLC_MUST_USE;

/** One row of an attention pattern. */
typedef struct rllc_attention_row {
    int64_t sequence;
    int layer, head;
    int64_t query;
    float *attention; /* out [query + 1]: A^{l:h}[query, 0 .. query] */
} rllc_attention_row;
/** Fills n rows of patterns of tokens [rows, t]. Costs a forward pass, and D (query + 1) a row. */
rllc_status rllc_engine_attention_rows(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                       const rllc_attention_row *list, int64_t n) RLLC_MUST_USE;

/**
 * Every row of every pattern, in turn: visit(context, sequence, layer, head, query, attention [query + 1]). Sequences are
 * visited in parallel, the rows of one sequence by one thread in ascending order of layer, head, query.
 */
typedef void (*rllc_attention_visitor)(void *context, int64_t sequence, int layer, int head, int64_t query,
                                       const float *attention);
rllc_status rllc_engine_attention_patterns(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                           rllc_attention_visitor visit, void *context) RLLC_MUST_USE;

/* ---- second derivatives and Fisher information ----------------------------------------------------------------- */

/**
 * Exact products with the Hessian of the mean loss (E10) of a batch, on a component's coordinates: out[i] = H v[i],
 * i = 0 .. n-1, each [c->size] in the component's layout, by carrying tangents through the forward and the backward
 * pass (E90-E92); no difference quotient. loss and gradient [c->size] of the same batch: either may be NULL; n = 0 gives
 * these alone. All vectors share the forward pass and the gradient: a call costs about 1 + 2 n gradients.
 * A product's bits depend neither on the threads nor on the vectors beside it. Attention is formed in tiles of
 * 64 queries by T keys, never T x T.
 * Memory, for the time of the call: rllc_engine_hessian_bytes; vectors beyond 512 MB go in groups, each with its own
 * forward pass. RLLC_EUNSUPPORTED if the component moves only a part of a tensor, or the kernels' memory is not the
 * host's.
 */
rllc_status rllc_engine_hessian(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                const rllc_component *c, int64_t n, const float *const *v, float *const *out,
                                double *loss, float *gradient) RLLC_MUST_USE;
/** Bytes that such a call takes beside the engine's. -1 if the component is refused or without memory. */
int64_t rllc_engine_hessian_bytes(const rllc_engine *e, int64_t rows, const rllc_component *c, int64_t n);

/** A mean over single predictions: |gradient of -log p(y | x) on the component|^2, which estimates a trace. */
typedef struct rllc_fisher {
    double mean, se; /* se: from the means of sequences; NaN for one sequence */
    int64_t n;       /* predictions */
} rllc_fisher;
/**
 * Trace of the Fisher information on a component (E96), at predictions drawn from the batch: tokens_per_sequence of each
 * sequence (0: all t - 1), without replacement, by the seeded stream. model: y drawn from the model's own p(. | x), one a
 * prediction (the Fisher information); empirical: y the token that follows. Either may be NULL; both are measured at the
 * same predictions. Costs one pass forward and one back a prediction and label, on the tokens up to it and without
 * the logits of the others. Same bits for any number of threads. Memory for the time of the call: the component's
 * gradient twice and d_vocab doubles, a thread.
 */
rllc_status rllc_engine_fisher(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                               const rllc_component *c, int64_t tokens_per_sequence, uint64_t seed, rllc_fisher *model,
                               rllc_fisher *empirical) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
