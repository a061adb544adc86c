/* recommend: what each point of a pilot is good for, and the one setting to take. For calibrate. */
#ifndef RLLC_CLI_RECOMMEND_H
#define RLLC_CLI_RECOMMEND_H

#include "cli/pilot.h"

/** What stands against a setting, the gravest first. */
typedef enum rllc_objection {
    RLLC_POINT_PRUNED,    /* unstable by its curvature */
    RLLC_POINT_DIVERGED,
    RLLC_POINT_DRIFTS,    /* w* is not its minimum */
    RLLC_POINT_HEATED,    /* step or minibatch noise adds too much */
    RLLC_POINT_SLOW,      /* equilibrium takes more steps than allowed */
    RLLC_POINT_WEAK,      /* the error would stay too large */
    RLLC_POINT_UNEVEN,    /* the estimate depends on lr */
    RLLC_POINT_GOOD,
    RLLC_OBJECTIONS
} rllc_objection;
const char *rllc_objection_name(rllc_objection o);

/** One point judged. */
typedef struct rllc_judgement {
    rllc_objection objection;
    const char *sentence;      /* why; interned */
    double heat, drift;        /* predicted shares of the complexity: step and noise; drift */
    double settled;            /* the estimate without the predicted transient */
    int64_t burnin, draws;     /* that a real run would need */
    double error;              /* share of the estimate that its standard error would then be */
} rllc_judgement;

typedef struct rllc_recommend_settings {
    double tolerance;          /* largest share of bias; 0.1 */
    int64_t max_steps;         /* of a chain; 2000 */
    int64_t num_chains;        /* of a real run; 4 */
} rllc_recommend_settings;

typedef struct rllc_recommendation {
    rllc_judgement *points;        /* [n of the pilot] */
    int64_t best;                  /* -1: none of them */
    int64_t count[RLLC_OBJECTIONS];
    rllc_sampler_options options;  /* of the best: the schedule of a real run */
    rllc_string reasons;           /* sentences, one a line; without a best, what to change */
} rllc_recommendation;

rllc_status rllc_recommend(const rllc_pilot *p, const rllc_recommend_settings *settings,
                           rllc_recommendation *out) RLLC_MUST_USE;
void rllc_recommendation_release(rllc_recommendation *r);

#endif
