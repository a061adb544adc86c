/*
 * kernels: the arithmetic, behind one table.
 *
 * `ref` is the definition: plain loops, double accumulation, the equation above each. `cpu` is fast. Every slot of a
 * fast table is compared with `ref` for all shapes by tests/kernels. All matrices are row-major float32; "ld" is the
 * distance between rows in floats. "=" overwrites, "+=" accumulates, as stated. No kernel allocates: scratch comes
 * from the caller. A kernel is serial; parallelism lives above it. Same inputs and shapes give the same bits on one
 * table, whatever the thread.
 * Shape letters: B batch, T context, C model width, H heads, D head width, V vocabulary, R rows (tokens), P parameters.
 */
#ifndef RLLC_KERNELS_H
#define RLLC_KERNELS_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_adamw_step {
    double lr, beta1, beta2, eps, weight_decay;
    double correction1, correction2; /* 1 - beta^t for this step t >= 1 */
} rllc_adamw_step;

typedef struct rllc_sgld_step {
    double lr, nbeta, localization, weight_decay, noise_level;
    double bounding_box; /* clamp to w0 +- this; <= 0: none */
} rllc_sgld_step;

/** What low_rank_loss reads and writes; see there. */
typedef struct rllc_low_rank {
    int64_t rows, v, n;    /* tokens, vocabulary, rank */
    const float *a;        /* [rows, v] at stride lda: what is frozen */
    int64_t lda;
    const float *a_scale;  /* [rows], or NULL: all 1 */
    const float *y;        /* [rows, n] at stride ldy: what moves */
    int64_t ldy;
    const float *b;        /* [n, v] at stride ldb: how it reaches the logits */
    int64_t ldb;
    const float *c;        /* [v] */
    const float *lse;      /* [rows] log sum exp of logits nearby; rows without a prediction: any finite number */
    const int32_t *targets; /* [rows] */
    double gradient_scale; /* 0: the loss alone; dy, g and m are not touched and may be NULL */
    float *loss;           /* [rows] "=" */
    float *dy;             /* [rows, n] at stride lddy, "=" */
    int64_t lddy;
    float *g;              /* [rows] "=" */
    float *m;              /* [v, n] "+=" */
    float *scratch;        /* low_rank_scratch(rows, v, n) floats */
} rllc_low_rank;

typedef struct rllc_kernels {
    const char *name; /* "ref", "cpu-generic", "cpu-avx2", "cpu-avx512" */

    /* ---- memory: every array that another slot takes comes from allocate, except where host_memory is true */

    bool host_memory;               /* kernels read and write any memory of the host: nothing needs to be copied */
    void *(*allocate)(size_t bytes); /* zero-filled, aligned to 64 bytes; NULL without memory */
    void (*release)(void *memory);  /* accepts NULL */
    void (*upload)(size_t bytes, const void *host, void *memory);
    void (*download)(size_t bytes, const void *memory, void *host);

    /* ---- matrices and rows */

    /**
     * C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C; op transposes when ta / tb. beta = 0 never reads C.       (E1)
     * The bits of an element depend on its row of op(A), its column of op(B), k, alpha, beta and its old value alone:
     * rows or columns computed together or apart come out the same. Takes up to 600 KB of stack.
     */
    void (*gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                 const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

    /** y = (x - mean) * rstd * w + b, rstd = 1/sqrt(var + eps), biased variance; mean, rstd [rows] out. w and b may
     *  both be NULL: y = (x - mean) * rstd.                                                                    (E2) */
    void (*layer_norm_forward)(int64_t rows, int64_t c, const float *x, const float *w, const float *b, double eps,
                               float *y, float *mean, float *rstd);
    /** dx += ...; dw += sum_rows dy * xhat, db += sum_rows dy (dw and db may both be NULL).                   (E3) */
    void (*layer_norm_backward)(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd,
                                const float *w, const float *dy, float *dx, float *dw, float *db);

    /**
     * Causal attention of one head over one sequence.                                                         (E4)
     *   S = scale q k^T, j <= i only; A = softmax(S); z = A v
     * q, k, v: T rows of D floats at stride ld; z [T, D] at stride ldz, "="; lse[i] = log sum_j exp(S_ij).
     * scratch: attention_scratch(T, D) floats. Never forms T x T.
     */
    void (*attention_forward)(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                              int64_t ld, float *z, int64_t ldz, float *lse, float *scratch);
    /** dq, dk, dv "=" at stride ldd, from dz at stride ldz; recomputes A from lse.                             (E5) */
    void (*attention_backward)(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                               int64_t ld, const float *z, const float *dz, int64_t ldz, const float *lse, float *dq,
                               float *dk, float *dv, int64_t ldd, float *scratch);
    int64_t (*attention_scratch)(int64_t t, int64_t d); /* floats, for both directions */

    /**
     * Softmax cross-entropy of rows of logits, in place.                                                       (E6)
     *   lse[r] = logsumexp(logits_r);  loss[r] = lse[r] - logits_r[target_r]
     * A target < 0 means "no prediction": loss 0, lse 0, gradient 0. lse may be NULL. If gradient_scale != 0 the row
     * becomes gradient_scale * (softmax - onehot(target)); else it is left as it was. Finite for any finite logits.
     */
    void (*cross_entropy)(int64_t rows, int64_t v, float *logits, int64_t ld, const int32_t *targets,
                          double gradient_scale, float *loss, float *lse);
    /** Rows of logits become log-probabilities, in place: x = l - logsumexp(l), not below -FLT_MAX.             (E97) */
    void (*log_softmax)(int64_t rows, int64_t v, float *logits, int64_t ld);
    /**
     * Relative entropy of rows of logits to given distributions, in place.                                     (E98)
     *   loss[r] = sum_j p_j (log p_j - log q_j) >= 0,  q = softmax(logits_r),  log p = reference_r at stride ldr
     * reference: rows as log_softmax leaves them; logits that gave such a row have loss 0 and gradient 0 to it, exactly.
     * A target < 0 means "no prediction": loss 0, gradient 0; the other targets are not looked at. If gradient_scale != 0
     * the row becomes gradient_scale * (q - p); else it is left as it was.
     */
    void (*kl_divergence)(int64_t rows, int64_t v, float *logits, int64_t ld, const float *reference, int64_t ldr,
                          const int32_t *targets, double gradient_scale, float *loss);
    /**
     * Cross-entropy of logits that a rank-n term moves, and its gradients, without storing rows x v anywhere but in
     * scratch. For row r:                                                                                     (E79)
     *   u = a_scale_r a_r + y_r b;  l = u + c;  loss_r = logsumexp(l) - l[target_r]
     *   delta = gradient_scale (softmax(l) - onehot(target_r))
     *   dy_r = b delta;  g_r = delta . u;  m += delta^T y_r
     * Exponents are formed around lse[r]; a row whose logits strayed too far from it for that is done again around its
     * own maximum: finite, and as accurate, for any finite logits. A target < 0: loss 0, dy 0, g 0, nothing to m.
     * The bits of a row's loss, dy and g depend on that row alone.
     */
    void (*low_rank_loss)(const rllc_low_rank *x);
    int64_t (*low_rank_scratch)(int64_t rows, int64_t v, int64_t n);

    void (*zero)(int64_t n, float *x);
    void (*multiply)(int64_t n, double alpha, const float *x, const float *y, float *out); /* out = alpha x y */
    void (*divide)(int64_t n, const float *x, const float *y, float *out);                 /* out = x / y */
    void (*copy_rows)(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy); /* y[r] = x[r] */
    void (*scale_rows)(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                       int64_t ldy); /* y[r] = s[r] x[r] */
    void (*add_scaled_rows)(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                            int64_t ldy); /* y[r] += s[r] x[r] */
    void (*row_dots)(int64_t rows, int64_t c, const float *x, int64_t ldx, const float *y, int64_t ldy,
                     float *out); /* out[r] = x[r] . y[r] */
    void (*gather_rows)(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                        int64_t ldy); /* y[r] = x[ids[r]] */
    void (*scatter_rows)(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                         int64_t ldy); /* y[ids[r]] += x[r], in the order of r */
    void (*add)(int64_t n, const float *x, float *y);                 /* y += x */
    void (*add_rows)(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy); /* y[r] += x[r] */
    void (*column_sum)(int64_t rows, int64_t c, const float *x, int64_t ldx, float *sum);          /* sum += */

    /** One decoupled AdamW step on n parameters; m, v in place.                                                 (E7) */
    void (*adamw)(int64_t n, const rllc_adamw_step *s, const float *g, float *w, float *m, float *v);
    /** One SGLD step on n coordinates, noise eta[i] given (may be NULL if noise_level = 0).                    (E12) */
    void (*sgld)(int64_t n, const rllc_sgld_step *s, const float *g, const float *w0, const float *eta, float *w);
    /**
     * out[i] = standard normal number `first + i` of the stream; any first, any n.                             (E31)
     * With x0..x3 = the words of block index / 4 and u(x) = (x + 1/2) / 2^32, lanes index % 4 = 0..3 are
     *   r(x0) cos(2 pi u(x1)), r(x0) sin(2 pi u(x1)), r(x2) cos(2 pi u(x3)), r(x2) sin(2 pi u(x3)),
     * where r(x) = sqrt(-2 log u(x)).
     * The bits of a number depend on its index alone, not on first and n. At most 6.77 in size.
     */
    void (*normals)(const rllc_stream *s, uint64_t first, int64_t n, float *out);
    /** sum_i x_i^2 in double; NaN or infinity in x gives a non-finite result. */
    double (*sum_squares)(int64_t n, const float *x);
} rllc_kernels;

extern const rllc_kernels rllc_kernels_ref;

/**
 * The table in use: the one selected, else the one RLLC_KERNELS names, else the fastest this processor runs. Decided
 * once. A wrong name in RLLC_KERNELS is ignored here; a program reports it with rllc_kernels_select(getenv(...)).
 */
const rllc_kernels *rllc_kernels_get(void);
/**
 * Uses the named table from now on (NULL or "": the fastest); call it before any other thread computes.
 * RLLC_EUSAGE, with the names that would do, if there is none of that name or this processor cannot run it.
 */
rllc_status rllc_kernels_select(const char *name) RLLC_MUST_USE;
/** The tables this build has and this processor can run, ref first, the fastest last. */
const rllc_kernels *const *rllc_kernels_list(int *n);
/** {"table": name in use, "tables": [names]}: stored with every result, since bits may differ between tables. */
rllc_status rllc_kernels_json(rllc_json **out) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
