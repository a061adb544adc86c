/* behaviour: what a model does on text as a whole: losses by position, bigrams, words of a few tokens. */
#ifndef RLLC_MECHINTERP_BEHAVIOUR_H
#define RLLC_MECHINTERP_BEHAVIOUR_H

#include "mechinterp/analysis.h"
#include "mechinterp/mean.h"
#include "mechinterp/ngrams.h"
#include "mechinterp/words.h"

enum { RLLC_BEHAVIOUR_ROWS = 32 /* sequences a call of the engine */ };

/** As the model is, and with W_pos = 0. */
enum { RLLC_POSITIONS_KEPT, RLLC_POSITIONS_ZERO, RLLC_POSITIONS_BOTH };

/** Means over sequences; prediction i of a sequence is that of token i + 1. */
typedef struct rllc_behaviour {
    int64_t predictions;                 /* n_ctx - 1 */
    rllc_mean *at[RLLC_POSITIONS_BOTH];  /* [predictions] loss of each */
    rllc_mean loss[RLLC_POSITIONS_BOTH]; /* of all, */
    rllc_mean effect;                    /* and their difference */
    int64_t early, late;                 /* predictions that the ICL score compares; late 0: too few */
    rllc_mean icl;
    rllc_mean cross_entropy, entropy, kl;   /* of the model to the table of bigrams; of the table */
    rllc_mean words[RLLC_WORD_LONGEST + 1]; /* loss of the last token, over words of n tokens */
} rllc_behaviour;

rllc_status rllc_behaviour_init(rllc_behaviour *b, int64_t n_ctx) RLLC_MUST_USE;
void rllc_behaviour_release(rllc_behaviour *b);

/** Sequences of the analysis split that are read. */
int64_t rllc_behaviour_contexts(const rllc_analysis_job *job, int64_t rows);
/** Losses with and without positions, and the ICL score.                                                      (E117) */
rllc_status rllc_behaviour_losses(rllc_behaviour *b, const rllc_analysis_task *t) RLLC_MUST_USE;
/** Predictions at one random position of each sequence beside the table of bigrams.                            (E118)
 */
rllc_status rllc_behaviour_bigrams(rllc_behaviour *b, const rllc_analysis_task *t,
                                   const rllc_bigrams *table) RLLC_MUST_USE;
/** Losses of the last tokens of words.                                                                         (E119)
 */
rllc_status rllc_behaviour_words(rllc_behaviour *b, const rllc_analysis_task *t, const rllc_words *words) RLLC_MUST_USE;

#endif
