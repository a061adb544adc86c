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

/** Floating-point operations a second of the kernel table's matrix product, on all threads at once. */
rllc_status rllc_measure_gemm(int n_threads, double seconds, double *flops) RLLC_MUST_USE;

/** Updates of this model (loss, gradient, AdamW) on batches like `batch` sequences: fewer where they are large. */
rllc_status rllc_measure_training(const rllc_model_options *shape, int64_t batch, int n_threads, double seconds,
                                  rllc_rate *out) RLLC_MUST_USE;

/** Lockstep passes of all members of one stream (components x chains of the stream), with the base pass they share. */
rllc_status rllc_measure_sampling(const rllc_model_options *shape, const rllc_sampling_options *sampling,
                                  const rllc_sampler_options *sampler, int n_threads, double seconds,
                                  rllc_rate *out) RLLC_MUST_USE;

/** How text becomes tokens: seconds to train on it (0 with a tokenizer given), bytes a second through it, bytes a
 * token. */
typedef struct rllc_text_rate {
    double train_seconds, bytes, bytes_per_token;
} rllc_text_rate;

/** Encodes the text with `tokenizer`, or with one trained on it when NULL. */
rllc_status rllc_measure_tokenizer(const char *text, size_t n, const rllc_bpe_options *options,
                                   const rllc_tokenizer *tokenizer, rllc_text_rate *out) RLLC_MUST_USE;

#endif
