/* Losses with the outputs of heads replaced by zeros, means, or what they are elsewhere. */
#include "mechinterp/ablate.h"

const char *const rllc_ablation_names[RLLC_ABLATIONS] = {"zero", "mean", "mean_position", "resample"};

struct rllc_ablator {
    int ablation;
    rllc_engine *engine;
    const rllc_model *m;
    int64_t max_rows;
    float *z;                   /* [max_rows, L, T, H D] outputs of a batch: resampling, and while means are taken */
    float *mean;                /* [L, H D], or [L, T, H D] position by position */
    int64_t *sequences;         /* [max_rows] whose outputs stand in */
    rllc_replacement *replaced; /* of all sets of a call, one after the other */
    int64_t n_replaced;
    rllc_ablation *list; /* [sets] */
    int64_t n_list;
};

/* ---- means -------------------------------------------------------------------------------------------------- */

/** Adds a batch's outputs to the sums: [L, T, H D], or [L, H D] over all positions. */
static void add_outputs(const rllc_ablator *a, int64_t rows, double *sum) {
    const rllc_model_options *o = &a->m->options;
    const int64_t HD = o->n_heads * o->d_head, T = o->n_ctx, L = o->n_layers;
    const bool by_position = a->ablation == RLLC_ABLATE_MEAN_POSITION;
    for (int64_t s = 0; s < rows; s++)
        for (int64_t l = 0; l < L; l++)
            for (int64_t t = 0; t < T; t++) {
                const float *z = a->z + ((s * L + l) * T + t) * HD;
                double *to = sum + (by_position ? l * T + t : l) * HD;
                for (int64_t i = 0; i < HD; i++) to[i] += (double)z[i];
            }
}

static rllc_status take_means(rllc_ablator *a, const rllc_rows *reference, int64_t n_reference) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &a->m->options;
    const bool by_position = a->ablation == RLLC_ABLATE_MEAN_POSITION;
    const int64_t size = o->n_layers * o->n_heads * o->d_head * (by_position ? o->n_ctx : 1);
    const double count = (double)n_reference * (by_position ? 1 : (double)o->n_ctx);
    double *sum = NULL;
    int32_t *tokens = NULL;
    RLLC_TRY(rllc_alloc(&sum, size, sizeof *sum));
    RLLC_TRY(rllc_alloc(&a->mean, size, sizeof *a->mean));
    RLLC_TRY(rllc_alloc(&tokens, a->max_rows * o->n_ctx, sizeof *tokens));
    for (int64_t first = 0; first < n_reference; first += a->max_rows) {
        const int64_t rows = n_reference - first < a->max_rows ? n_reference - first : a->max_rows;
        for (int64_t r = 0; r < rows; r++)
            rllc_rows_get(reference, rllc_spread(first + r, n_reference, reference->rows), tokens + r * o->n_ctx);
        RLLC_TRY(rllc_engine_outputs(a->engine, a->m->weights, tokens, rows, a->z));
        add_outputs(a, rows, sum);
    }
    for (int64_t i = 0; i < size; i++) a->mean[i] = (float)(sum[i] / count);
done:
    rllc_free(sum);
    rllc_free(tokens);
    return status;
}

/* ---- life --------------------------------------------------------------------------------------------------- */

rllc_status rllc_ablator_new(rllc_ablator **out, int ablation, rllc_engine *engine, const rllc_model *m,
                             int64_t max_rows, const rllc_rows *reference, int64_t n_reference) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &m->options;
    const bool mean = ablation == RLLC_ABLATE_MEAN || ablation == RLLC_ABLATE_MEAN_POSITION;
    rllc_ablator *a = NULL;
    *out = NULL;
    if (mean && (n_reference < 1 || n_reference > reference->rows || reference->n_ctx != o->n_ctx))
        return rllc_fail(RLLC_EMISMATCH, "%s: means over %lld sequences of %lld tokens; it has %lld of %lld",
                         reference->path, (long long)n_reference, (long long)o->n_ctx, (long long)reference->rows,
                         (long long)reference->n_ctx);
    RLLC_TRY(rllc_alloc(&a, 1, sizeof *a));
    *a = (rllc_ablator){.ablation = ablation, .engine = engine, .m = m, .max_rows = max_rows};
    RLLC_TRY(rllc_alloc(&a->sequences, max_rows, sizeof *a->sequences));
    if (mean || ablation == RLLC_ABLATE_RESAMPLE)
        RLLC_TRY(rllc_alloc(&a->z, max_rows * o->n_layers * o->n_ctx * o->n_heads * o->d_head, sizeof *a->z));
    if (mean) RLLC_TRY(take_means(a, reference, n_reference));
    *out = a;
    a = NULL;
done:
    rllc_ablator_free(a);
    return rllc_fail_within(status, "%s ablation", rllc_ablation_names[ablation]);
}

void rllc_ablator_free(rllc_ablator *a) {
    if (!a) return;
    rllc_free(a->z);
    rllc_free(a->mean);
    rllc_free(a->sequences);
    rllc_free(a->replaced);
    rllc_free(a->list);
    rllc_free(a);
}

/* ---- losses ------------------------------------------------------------------------------------------------- */

rllc_replacement rllc_ablator_replacement(const rllc_ablator *a, int layer, int head) {
    const rllc_model_options *o = &a->m->options;
    const int64_t D = o->d_head, HD = o->n_heads * D, T = o->n_ctx;
    rllc_replacement r = {.layer = layer, .head = head};
    switch (a->ablation) {
    case RLLC_ABLATE_MEAN: r.z = a->mean + layer * HD + head * D; break;
    case RLLC_ABLATE_MEAN_POSITION:
        r.z = a->mean + layer * T * HD + head * D;
        r.position_stride = HD;
        break;
    case RLLC_ABLATE_RESAMPLE:
        r.z = a->z + layer * T * HD + head * D;
        r.position_stride = HD;
        r.sequence_stride = o->n_layers * T * HD;
        r.sequences = a->sequences;
        break;
    default: break; /* zeros */
    }
    return r;
}

rllc_status rllc_ablator_prepare(rllc_ablator *a, const int32_t *tokens, int64_t rows, int64_t permutation) {
    rllc_status status = RLLC_OK;
    if (rows < 1 || rows > a->max_rows)
        return rllc_fail(RLLC_EMISMATCH, "%lld sequences in a call, expected 1 to %lld", (long long)rows,
                         (long long)a->max_rows);
    if (a->ablation != RLLC_ABLATE_RESAMPLE) return RLLC_OK;
    if (rows < 2) return rllc_fail(RLLC_EMISMATCH, "resampling takes outputs from another sequence: at least 2");
    RLLC_TRY(rllc_engine_outputs(a->engine, a->m->weights, tokens, rows, a->z));
    for (int64_t r = 0; r < rows; r++) a->sequences[r] = (r + 1 + permutation % (rows - 1)) % rows;
done:
    return status;
}

static rllc_status make_room(rllc_ablator *a, const rllc_head_set *sets, int64_t n_sets) {
    rllc_status status = RLLC_OK;
    int64_t heads = 0;
    for (int64_t i = 0; i < n_sets; i++) heads += sets[i].n;
    if (heads > a->n_replaced) RLLC_TRY(rllc_grow(&a->replaced, a->n_replaced, heads, sizeof *a->replaced));
    a->n_replaced = heads > a->n_replaced ? heads : a->n_replaced;
    if (n_sets > a->n_list) RLLC_TRY(rllc_grow(&a->list, a->n_list, n_sets, sizeof *a->list));
    a->n_list = n_sets > a->n_list ? n_sets : a->n_list;
done:
    return status;
}

rllc_status rllc_ablator_losses(rllc_ablator *a, const int32_t *tokens, int64_t rows, int64_t permutation,
                                const rllc_head_set *sets, int64_t n_sets, float *base, float *const *ablated) {
    rllc_status status = RLLC_OK;
    int64_t at = 0;
    RLLC_TRY(rllc_ablator_prepare(a, tokens, rows, permutation));
    RLLC_TRY(make_room(a, sets, n_sets));
    for (int64_t i = 0; i < n_sets; i++) {
        a->list[i] = (rllc_ablation){.replaced = a->replaced + at, .n_replaced = sets[i].n, .token_losses = ablated[i]};
        for (int64_t h = 0; h < sets[i].n; h++)
            a->replaced[at++] = rllc_ablator_replacement(a, sets[i].heads[h][0], sets[i].heads[h][1]);
    }
    RLLC_TRY(rllc_engine_ablate(a->engine, a->m->weights, tokens, rows, a->list, n_sets, base));
done:
    return status;
}
