/*
 * theory: what an estimate should be: exact learning coefficients, exact expectations of the estimator at finite
 * settings, and the bias budget of an estimate. Formulas and integrals; nothing is sampled here.
 */
#ifndef RLLC_THEORY_H
#define RLLC_THEORY_H

#include "rllc/sgmcmc.h"
#include "rllc/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- exact learning coefficients ------------------------------------------------------------------------------ */

typedef struct rllc_coefficient {
    double lambda;       /* learning coefficient; NaN where none is known */
    int64_t multiplicity;
} rllc_coefficient;

/** A nondegenerate minimum of this rank, whatever the number of flat directions: rank / 2, 1.                 (E50) */
rllc_coefficient rllc_coefficient_rank(int64_t rank);
/** L = prod_i |w_i|^exponent[i] at 0, an exponent 0 for a coordinate that does not matter.                    (E51) */
rllc_coefficient rllc_coefficient_crossing(int64_t n, const int64_t *exponents);
/** |BA - B0 A0|^2, A [H, M], B [N, H], rank of B0 A0 = r: the minimum over the fibre (Aoyagi & Watanabe 2005). (E52) */
rllc_status rllc_coefficient_reduced_rank(int64_t m, int64_t h, int64_t n, int64_t r, rllc_coefficient *out) RLLC_MUST_USE;
/** The same at a point of the fibre where A has rank r + a and B rank r + b: a + b <= H - r.                   (E53) */
rllc_status rllc_coefficient_reduced_rank_at(int64_t m, int64_t h, int64_t n, int64_t r, int64_t a, int64_t b,
                                             rllc_coefficient *out) RLLC_MUST_USE;
/** A product of n_widths - 1 matrices, product of rank r: the minimum over the fibre (Aoyagi 2024).           (E54) */
rllc_status rllc_coefficient_deep_linear(int64_t n_widths, const int64_t *widths, int64_t r,
                                         rllc_coefficient *out) RLLC_MUST_USE;
/**
 * The same where layer l has rank r + excess[l] and all layers are diagonal: every excess is 0 or full, min of the widths
 * less r. RLLC_EUNSUPPORTED for other profiles of more than two layers: no formula is known.                   (E55)
 */
rllc_status rllc_coefficient_deep_linear_at(int64_t n_widths, const int64_t *widths, int64_t r, const int64_t *excess,
                                            rllc_coefficient *out) RLLC_MUST_USE;
/** sum_h a_h tanh(b_h x) of H units for the function 0, at 0 (Aoyagi & Watanabe).                             (E56) */
rllc_coefficient rllc_coefficient_tanh(int64_t units);
/** softmax(W_E W_U) of V tokens and width d, centred logits of rank r: reduced rank (V, d, V - 1; r).         (E57) */
rllc_status rllc_coefficient_bigram(int64_t vocab, int64_t d_model, int64_t r, rllc_coefficient *out) RLLC_MUST_USE;

/* ---- exact Gibbs expectations ----------------------------------------------------------------------------------- */

/* E[nbeta L] under exp(-nbeta L - (localization / 2) |w|^2), w* = 0: what a perfect sampler would estimate. */

/** L = scale prod_i |x_i|^exponent[i], x_i a vector of dim[i] numbers (NULL: 1 each): normal crossings, products of
 *  matrices one of whose widths is 1. Any n; localization > 0, or n = 1.                                      (E58) */
rllc_status rllc_gibbs_crossing(int64_t n, const int64_t *exponents, const int64_t *dims, double scale, double nbeta,
                                double localization, double *mean) RLLC_MUST_USE;
/** L = prod_i |w_i|^exponent[i] on the box |w_i| <= side, without localization; exponents all different.      (E59) */
rllc_status rllc_gibbs_crossing_box(int64_t n, const int64_t *exponents, double side, double nbeta,
                                    double *mean) RLLC_MUST_USE;
/** L = |BA|^2. Up to 8 columns in the smaller side of one factor.                                             (E60) */
rllc_status rllc_gibbs_reduced_rank(int64_t m, int64_t h, int64_t n, double nbeta, double localization,
                                    double *mean) RLLC_MUST_USE;
/** L = |W_L ... W_1|^2: two layers, or a width of 1 somewhere; else RLLC_EUNSUPPORTED. */
rllc_status rllc_gibbs_deep_linear(int64_t n_widths, const int64_t *widths, double nbeta, double localization,
                                   double *mean) RLLC_MUST_USE;
/** L = 1/2 sum_k weight[k] (sum_h a_h tanh(b_h x[k]))^2, one or two units; else RLLC_EUNSUPPORTED.            (E61) */
rllc_status rllc_gibbs_tanh(int64_t units, int64_t n, const double *x, const double *weight, double nbeta,
                            double localization, double *mean) RLLC_MUST_USE;
/** L = KL of softmax(e_i u) to uniform, mean over i; d_model = 1 and two or three tokens; else RLLC_EUNSUPPORTED. (E62) */
rllc_status rllc_gibbs_bigram(int64_t vocab, double nbeta, double localization, double *mean) RLLC_MUST_USE;

/** Nodes and weights of the n-point Gauss-Legendre rule on [low, high]. */
void rllc_gauss_legendre(int64_t n, double low, double high, double *x, double *weight);

/* ---- the estimator at finite step, draws, burn-in: exact mean and variance of one chain's estimate -------------- */

/** One eigenmode: curvature h, minimum at 0, centre at c, variance C of the (additive) gradient noise; the chain starts
 *  at c + start. */
typedef struct rllc_mode {
    double h, c, noise, start;
} rllc_mode;
/**
 * Mean and variance of one chain's estimate (E13) with losses recorded without noise, on 1/2 h w^2.            (E63)
 * Samplers that are linear recursions (sgld, sgld-lm, sghmc): exact for any settings. Exact samplers (mala, hmc): the
 * Gibbs mean, variance NaN: the draws before equilibrium are not in it. RLLC_EUNSUPPORTED where there is no closed form.
 */
rllc_status rllc_mode_law(const rllc_sampler_options *o, rllc_mode mode, double *mean, double *variance) RLLC_MUST_USE;

/** L(w* + u) = L(w*) + gradient . u + 1/2 u^T hessian u, u* = 0 the centre; start [dim] (NULL: 0), noise [dim] the variance
 *  of the gradient of each coordinate (NULL: 0), at [dim] = w* (for weight decay; NULL: 0). */
typedef struct rllc_quadratic {
    int64_t dim;
    const double *hessian;  /* [dim, dim], symmetric */
    const double *gradient; /* [dim] */
    const double *start, *noise, *at;
} rllc_quadratic;
/** As rllc_mode_law, over all directions. RLLC_EUNSUPPORTED too for noise that does not have the hessian's axes. (E64) */
rllc_status rllc_quadratic_law(const rllc_sampler_options *o, const rllc_quadratic *q, double *mean,
                               double *variance) RLLC_MUST_USE;
/** Eigenvalues (ascending) and, if vectors is not NULL, eigenvectors (its rows) of a symmetric matrix [n, n]. */
rllc_status rllc_symmetric_eigen(int64_t n, const double *matrix, double *values, double *vectors) RLLC_MUST_USE;

/** A loss of one variable. */
typedef struct rllc_loss_1d {
    void *context;
    void (*evaluate)(void *context, double w, double *loss, double *slope);
} rllc_loss_1d;
/**
 * The exact law of discrete sgld on any loss of one variable, by iterating its transition on a grid: mean and variance of
 * one chain's estimate, centre c, start c + start, gradient noise of variance `noise`.                         (E65)
 * *escape: probability of a step beyond the grid, where it stays; RLLC_EUNSUPPORTED above 1e-9 (a step can be too long
 * for any loss steeper than a quadratic, and then the chain has no finite mean), and for other samplers.
 */
rllc_status rllc_grid_law(const rllc_sampler_options *o, const rllc_loss_1d *loss, double c, double start, double noise,
                          double *mean, double *variance, double *escape) RLLC_MUST_USE;

/* ---- the bias budget ------------------------------------------------------------------------------------------- */

/** Curvature of the loss at w* on the coordinates that move, measured there (rllc_measure_curvature). */
typedef struct rllc_curvature {
    int64_t dim;
    double top, bottom;          /* extreme Ritz values of the restricted Hessian H */
    rllc_quadrature spectrum;    /* tr f(H): weights sum to dim */
    rllc_quadrature noise;       /* tr f(H) C, C the covariance of the minibatch gradient */
    rllc_quadrature drift;       /* g^T f(H) g, g the gradient at w*: includes the noise of its own estimate */
    double gradient_square;      /* |g|^2, without that noise: may come out negative when g is 0 */
    double noise_trace;          /* tr C */
    int64_t batches;             /* minibatches behind it */
} rllc_curvature;

/** What each imperfection adds to the estimate, in units of the estimate (E40-E46). */
typedef struct rllc_bias_budget {
    double complexity;   /* 1/2 sum f, f = nbeta h / (nbeta h + localization): what an ideal sampler would give */
    double step;         /* 1/2 sum f (1 / (1 - lr a / 4) - 1), a = nbeta h + localization; 0 for sgld-lm; inf if unstable */
    double noise;        /* (lr nbeta^2 / 8) tr f C / (1 - lr a / 4) */
    double transient;    /* what draws before equilibrium lack: from the exact law of each mode */
    double localization; /* -1/2 sum over h > 0 of localization / (nbeta h + localization) */
    double drift;        /* -nbeta^2 g^T (A^-1 - 1/2 nbeta A^-1 H A^-1) g, A = nbeta H + localization */
    double negative;     /* nbeta^2 |g|^2 / localization: the most by which a gradient can lower the estimate */
    double expected;     /* complexity + step + noise + transient + drift: the estimate that a quadratic would give */
    double soft_count;   /* sum f over h > 0: directions that the likelihood resolves */
    double lr_max;       /* 4 / (nbeta top + localization): steps from here on diverge; NaN for other samplers */
    const char *reason;  /* why some of these are NaN or infinite; "" if none is */
} rllc_bias_budget;
/** sgld and sgld-lm have every term; for other samplers those that depend on the step are NaN (0 for exact ones). */
void rllc_bias_budget_make(const rllc_curvature *c, const rllc_sampler_options *o, rllc_bias_budget *out);
void rllc_curvature_release(rllc_curvature *c);
/** Everything, as {"dim", "top", ..., "spectrum": {"node": [...], "weight": [...]}, ...}, for the store. */
rllc_status rllc_curvature_to_json(const rllc_curvature *c, rllc_json **out) RLLC_MUST_USE;
rllc_status rllc_curvature_from_json(const rllc_json *j, rllc_curvature *out) RLLC_MUST_USE; /* RLLC_EINPUT if it is not one */
rllc_status rllc_bias_budget_to_json(const rllc_bias_budget *b, rllc_json **out) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
