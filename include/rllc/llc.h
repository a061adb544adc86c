/*
 * llc: loss traces -> learning-coefficient estimates with errors, and a verdict on how far to trust them.
 */
#ifndef RLLC_LLC_H
#define RLLC_LLC_H

#include "rllc/sgmcmc.h"
#include "rllc/stats.h"
#include "rllc/theory.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a draw records, beside its loss and baseline: of the displacement u = w - w* and the minibatch gradient g of the
 *  mean loss, both at the recorded weights. */
enum {
    RLLC_RECORD_LOSS,          /* minibatch loss at w_t, nats per token */
    RLLC_RECORD_BASELINE,      /* loss at w* on the same minibatch */
    RLLC_RECORD_DISTANCE,      /* |u| */
    RLLC_RECORD_GRADIENT_NORM, /* |g| */
    RLLC_RECORD_GRADIENT_DOT,  /* u . g */
    RLLC_RECORD_NOISE_NORM,    /* |noise| of the update that follows; NaN where there is no single one */
    RLLC_RECORD_MALA,          /* acceptance that a Metropolis rule would give the step before; NaN if there is none */
    RLLC_RECORD_N
};

/** The recorded losses of one chain. */
typedef struct rllc_trace {
    int64_t n_draws;          /* recorded (fewer than asked when the chain diverged) */
    const double *loss;       /* [n_draws] minibatch loss at w_t */
    const double *baseline;   /* [n_draws] loss at w* on the same minibatch */
    double init_loss;         /* mean over the init-loss batches at w* */
    int stream;               /* chains of one stream share minibatches */
    bool diverged;            /* then the chain does not enter the estimate */
    const double *record[RLLC_RECORD_N]; /* all columns [n_draws]; NULL where not recorded */
    double acceptance;        /* of an exact sampler's proposals; NaN for the others */
    const char *reason;       /* why it diverged; "" or NULL */
} rllc_trace;

typedef struct rllc_estimate {
    double llc_mean;      /* paired: nbeta * mean_t(L_t(w_t) - L_t(w*)), mean over chains (E13) */
    double llc_sd;        /* sd over chains, n - 1 below; NaN for one chain */
    double llc_se;        /* standard error of llc_mean: the largest of what streams, chains and autocorrelation say (E15, E17) */
    double llc_mean_init; /* conventional: nbeta * (mean_t L_t(w_t) - init_loss) (E14) */
    double llc_sd_init, llc_se_init; /* the error of init_loss included (E18) */
    int64_t n_chains, n_diverged; /* given; of these, diverged */
} rllc_estimate;

typedef struct rllc_estimate_settings {
    double nbeta;
    int64_t init_batches;   /* behind init_loss; 0 = its error is unknown and does not enter llc_se_init */
    int64_t init_shared;    /* of these, how many are also the minibatch of a draw */
    int64_t draw_batches;   /* minibatches whose mean is a draw's loss; 0 = 1 */
    bool population_sd;     /* sd with n below (devinterp 2), not n - 1 */
} rllc_estimate_settings;

/**
 * per_chain [n], per_chain_init [n] (either may be NULL) receive each chain's value (NaN when diverged).
 * With no chain left the means are NaN: a result, not an error. A chain with a loss that is not finite counts as
 * diverged even if nobody marked it; a chain without draws does not enter, nor one without init_loss (NaN) the
 * conventional estimate. Sums are exact before they are rounded: chains in another order give the same bits.
 */
rllc_status rllc_estimate_from_traces(const rllc_trace *traces, int64_t n, const rllc_estimate_settings *settings,
                                      rllc_estimate *out, double *per_chain, double *per_chain_init) RLLC_MUST_USE;

/* ---- diagnosis ------------------------------------------------------------------------------------------------ */

/** How far to trust an estimate: the worst finding's verdict. From the gravest to good. */
typedef enum rllc_verdict {
    RLLC_DIVERGED,          /* some chain was left by its loss or gradient */
    RLLC_LOSS_DECREASED,    /* w* is not a minimum: the estimate is negative or held down */
    RLLC_INITIAL_SPIKE,     /* the trace overshoots, then falls */
    RLLC_TOO_MUCH_NOISE,    /* heated by the step or by minibatches */
    RLLC_CHAINS_DISAGREE,
    RLLC_NOT_CONVERGED,     /* the trace still moves */
    RLLC_TOO_LITTLE_SIGNAL, /* the error is too large, or nothing moved */
    RLLC_GOOD,
    RLLC_VERDICTS
} rllc_verdict;
const char *rllc_verdict_name(rllc_verdict v); /* "loss decreased" */

enum { RLLC_GRADE_GOOD, RLLC_GRADE_DOUBTFUL, RLLC_GRADE_FAILED };

/** What is known about an estimate when it is judged. */
typedef struct rllc_evidence {
    const rllc_trace *traces;            /* [n] */
    int64_t n;
    const rllc_estimate *estimate;
    const rllc_sampler_options *options;
    int64_t dim;
    bool refined_data;                   /* another corpus than the training one, or a reference model's answers */
    const rllc_curvature *curvature;     /* NULL = not measured */
    double mcse_target;                  /* accepted se as a share of the estimate; 0 = 0.1 */
} rllc_evidence;

typedef struct rllc_finding {
    const char *check;                   /* name of checks.def */
    rllc_verdict verdict;                /* what it would mean */
    int grade;                           /* RLLC_GRADE_* */
    double value;                        /* the number that decided */
    const char *sentence;                /* what was found and what to do; interned */
} rllc_finding;

enum { RLLC_MAX_FINDINGS = 16 };

typedef struct rllc_diagnosis {
    rllc_verdict verdict;
    int grade;                           /* the worst */
    /* of y(t) = nbeta (L_t(w_t) - L_t(w*)) over the live chains, their common length */
    int64_t n_live, n_draws;
    rllc_chains_diagnosis chains;
    rllc_series_diagnosis *series;       /* [n of the evidence]; diverged chains zero */
    rllc_series_diagnosis mean_trace;    /* of the mean over chains */
    double early_z, late_z;              /* its first tenth against its second half; its third quarter against its fourth */
    double early_share, late_share;      /* what the beginning takes from the estimate; rise of the fourth quarter: shares */
    double within_size;                  /* sum over chains of each one's effective size */
    double share_below;                  /* of draws with a loss below that at w* */
    double gradient_norm, pull_norm, noise_norm; /* mean size of the three parts of an update */
    double distance;                     /* mean |w - w*|, second half */
    double mala;                         /* mean acceptance; NaN if not recorded */
    double acceptance;                   /* of an exact sampler */
    double virial;                       /* E[u.G] / dim over the second half: 1 + heating (V 1.12) */
    double heat_capacity;                /* Var(y) / E(y): 1 on a plateau */
    double effective_degree;             /* E[nbeta u.g] / E[y]: 2 = quadratic */
    double gradient_snr;                 /* |g|^2 / tr C at w*; NaN without curvature */
    bool has_budget;
    rllc_bias_budget budget;
    double top, bottom;                  /* curvatures; NaN without */
    int n_findings;
    rllc_finding findings[RLLC_MAX_FINDINGS];
} rllc_diagnosis;

/** Every statistic and every check of checks.def. */
rllc_status rllc_diagnose(const rllc_evidence *e, rllc_diagnosis *out) RLLC_MUST_USE;
void rllc_diagnosis_release(rllc_diagnosis *d);
/** The whole diagnosis as an object (docs/diagnostics.md). */
rllc_status rllc_diagnosis_to_json(const rllc_diagnosis *d, int64_t n_chains, rllc_json **out) RLLC_MUST_USE;

/** LLC, wrLLC, drLLC or wdrLLC: the name derives from the triple. refined_data: the corpus is not the training one, or the
 *  loss is relative to a reference model. */
const char *rllc_estimate_name(const char *component, bool refined_data);

#ifdef __cplusplus
}
#endif
#endif
