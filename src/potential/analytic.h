/*
 * The inside of the analytic potentials: what a kind provides (a loss of a whole vector of doubles, its minimum, what is known
 * about it), and the lists that their options are written as.
 */
#ifndef RLLC_POTENTIAL_ANALYTIC_H
#define RLLC_POTENTIAL_ANALYTIC_H

#include "rllc/potential.h"

/** Consecutive coordinates with a name for --mask. */
typedef struct rllc_analytic_block {
    const char *name; /* interned */
    int64_t first, n;
    bool quadratic; /* with all others fixed the loss is quadratic in these */
} rllc_analytic_block;

typedef struct rllc_analytic_model rllc_analytic_model;
struct rllc_analytic_model {
    int64_t dim;
    double *point; /* [dim] the kind's w*, before --center */
    rllc_analytic_block *blocks;
    int64_t n_blocks;
    void *data; /* the kind's own */
    /** Loss, and gradient [dim] if not NULL, at w [dim] on the selected samples. */
    rllc_status (*evaluate)(rllc_analytic_model *m, const double *w, double *loss, double *gradient);
    /** Selects n of the finite sample for the calls that follow; NULL: the kind takes no samples. */
    rllc_status (*select)(rllc_analytic_model *m, int64_t n, const int64_t *rows);
    /** At w, with these coordinates moving and the loss not quadratic in them; lambda NaN: unknown. */
    rllc_status (*coefficient)(const rllc_analytic_model *m, const double *w, const bool *moves, rllc_coefficient *out);
    /** E[nbeta L] of a perfect sampler around w = point, everything moving, population loss; NULL: unknown. */
    rllc_status (*gibbs)(const rllc_analytic_model *m, const rllc_sampler_options *o, double *mean);
    void (*free)(rllc_analytic_model *m); /* releases data */
};

/** What a kind's make knows beside its own options. */
typedef struct rllc_analytic_sample {
    int64_t n;    /* 0: the population loss */
    double noise; /* standard deviation of the noise on the targets */
    uint64_t seed;
} rllc_analytic_sample;

struct rllc_analytic_kind {
    const char *name, *summary;
    const rllc_option_table *options;
    size_t size; /* of the struct that the options fill */
    rllc_status (*make)(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample);
};

#define RLLC_ANALYTIC(identifier) extern const rllc_analytic_kind rllc_analytic_##identifier;
#include "analytic.def"
#undef RLLC_ANALYTIC

/* ---- analytic_model.c: making a model ------------------------------------------------------------------------ */

/** Allocates point and n_blocks blocks. */
rllc_status rllc_analytic_model_shape(rllc_analytic_model *m, int64_t dim, int64_t n_blocks) RLLC_MUST_USE;
void rllc_analytic_model_release(rllc_analytic_model *m);
/** RLLC_EUNSUPPORTED if there is a bounding box, which the integrals do not know. */
rllc_status rllc_analytic_unbounded(const rllc_sampler_options *o) RLLC_MUST_USE;

/** A product of layers: point, blocks, evaluation, what is known; names[l] or W1, W2, ... */
typedef struct rllc_linear_network {
    int64_t n_widths;
    const int64_t *widths;
    int64_t rank;
    const int64_t *ranks; /* of each layer at w*; NULL: all `rank` */
    const char *const *names;
} rllc_linear_network;
rllc_status rllc_linear_network_make(rllc_analytic_model *m, const rllc_linear_network *n,
                                     const rllc_analytic_sample *sample) RLLC_MUST_USE;

/* ---- lists.c: options that are lists ------------------------------------------------------------------------- */

/** "1,0.5,0.01"; `what` begins the message. Free *values with rllc_free. */
rllc_status rllc_list_reals(const char *what, const char *text, double **values, int64_t *n) RLLC_MUST_USE;
rllc_status rllc_list_integers(const char *what, const char *text, int64_t low, int64_t high, int64_t **values,
                               int64_t *n) RLLC_MUST_USE;
/** One number for all, or one for each of dim; NULL text: zeros. */
rllc_status rllc_list_spread(const char *what, const char *text, int64_t dim, double *values) RLLC_MUST_USE;
/** 0 and 1 for each coordinate; indices and ranges "0..3,7" (from 0, ends included); or names of blocks, "A+B". */
rllc_status rllc_list_mask(const char *text, const rllc_analytic_model *m, bool *moves) RLLC_MUST_USE;
/** A square symmetric matrix from a file of numbers, a row a line, separated by commas or blanks. */
rllc_status rllc_matrix_read(const char *path, double **values, int64_t *dim) RLLC_MUST_USE;

#endif
