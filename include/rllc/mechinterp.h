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

/** A score of every head: attention of one query position on one key, averaged over synthetic samples. */
typedef struct rllc_head_score {
    const char *name, *summary, *source;
    /** Fills tokens [t <= n_ctx] for sample i and names the query and the key position. */
    void (*sample)(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key);
} rllc_head_score;

const rllc_head_score *const *rllc_head_score_list(int *n);
const rllc_head_score *rllc_head_score_find(const char *name);

/** value, se [n_layers * n_heads]: mean attention and its standard error over the samples. */
rllc_status rllc_head_score_evaluate(const rllc_head_score *score, rllc_engine *e, const rllc_model *m, int32_t bos,
                                     const rllc_score_options *o, double *value, double *se) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
