/* rates: how fast this machine runs the real kernels, measured in a second or so. For bench and --dry-run. */
#ifndef RLLC_CLI_RATES_H
#define RLLC_CLI_RATES_H

#include "cli/command.h"

/** A measured rate: units a second, and what they cost. */
typedef struct rllc_rate {
    double tokens; /* a second; of members in sampling */
    double flops;  /* a second, by the model's own count */
    int64_t rows;  /* sequences a call that was timed */
} rllc_rate;

/** What several rounds gave: the middle one (of an even number, the mean of the two), the least and the most. */
typedef struct rllc_spread {
    double median, low, high;
    int64_t rounds;
} rllc_spread;
/** Sorts the values. */
rllc_spread rllc_spread_of(double *values, int64_t n);
/** f / x, of every round: the spread of a rate from that of a time. */
rllc_spread rllc_spread_rate(rllc_spread x, double f);
/** f x. */
rllc_spread rllc_spread_scale(rllc_spread x, double f);

/** Processor time of this thread. */
double rllc_thread_seconds(void);

/**
 * Floating-point operations a second of a loop of fused multiply-adds in registers, on all threads at once, each in its
 * processor time; had: the share of its core that a thread had meanwhile (1: no other work).
 */
rllc_status rllc_measure_peak(int n_threads, double seconds, double *flops, double *had) RLLC_MUST_USE;

/** The same of the kernel table's matrix product. */
rllc_status rllc_measure_gemm(int n_threads, double seconds, double *flops) RLLC_MUST_USE;

/** Seconds that one thread takes for one coordinate of an SGLD step: its normal and its update. */
double rllc_measure_sgld(double seconds);

/** Updates of this model (loss, gradient, AdamW) on batches of `batch` sequences: fewer if a call takes longer than
 *  `seconds`. */
rllc_status rllc_measure_training(const rllc_model_options *shape, int64_t batch, int n_threads, double seconds,
                                  rllc_rate *out) RLLC_MUST_USE;

/** Lockstep passes of all members of one stream (components x chains of the stream), with the base pass they share;
 *  losses relative to `reference`, or (NULL) of the next token. */
rllc_status rllc_measure_sampling(const rllc_model_options *shape, const rllc_model *reference,
                                  const rllc_sampling_options *sampling, const rllc_sampler_options *sampler,
                                  int n_threads, double seconds, rllc_rate *out) RLLC_MUST_USE;

/** How text becomes tokens: seconds to train on it (0 with a tokenizer given), bytes a second through it, bytes a
 * token. */
typedef struct rllc_text_rate {
    double train_seconds, bytes, bytes_per_token;
} rllc_text_rate;

/** Encodes the text with `tokenizer`, or with one trained on it when NULL. */
rllc_status rllc_measure_tokenizer(const char *text, size_t n, const rllc_bpe_options *options,
                                   const rllc_tokenizer *tokenizer, rllc_text_rate *out) RLLC_MUST_USE;

#endif
