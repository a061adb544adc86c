/* batches: a checkpoint and a file of token rows, carried through the engine some rows at a time. For eval and
 * gradient. */
#ifndef RLLC_CLI_BATCHES_H
#define RLLC_CLI_BATCHES_H

#include "cli/command.h"

typedef struct rllc_batches {
    rllc_model model, reference; /* reference.size 0: losses of the next token */
    rllc_rows rows;
    rllc_engine *engine;
    int64_t chunk;   /* rows a call: follows from the shapes alone, so sums have one order whatever is asked for */
    int32_t *tokens; /* [chunk, n_ctx of the rows] */
} rllc_batches;

/** Loads both and checks that they fit: ids below d_vocab, 2 <= row length <= n_ctx. reference: path of the checkpoint
 *  that losses are relative to, or NULL. */
rllc_status rllc_batches_open(rllc_batches *b, const char *checkpoint, const char *reference, const char *tokens,
                              int64_t threads) RLLC_MUST_USE;
void rllc_batches_close(rllc_batches *b);
/** Reads rows first .. into b->tokens; returns how many. */
int64_t rllc_batches_read(const rllc_batches *b, int64_t first);

/** RLLC_EUSAGE if a flag that the command cannot do without was not given. */
rllc_status rllc_cli_require(const rllc_command *command, const char *flag, const char *value) RLLC_MUST_USE;
/** RLLC_EUSAGE if the text of a flag (NULL or "": not given) is not a grid of steps. */
rllc_status rllc_cli_check_grid(const char *flag, const char *text) RLLC_MUST_USE;

#endif
