/* data pack: the rows of one split on their way into a file. */
#ifndef RLLC_DATA_PACK_H
#define RLLC_DATA_PACK_H

#include "rllc/data.h"

typedef struct rllc_data_row_writer {
    rllc_output_file file;
    const char *path;  /* interned */
    const char *descr; /* "<u2" or "<u4" */
    int64_t n_ctx;
    int32_t bos;
    double repeat_fraction;
    rllc_stream choice, length, place; /* of the copied spans; addressed by row */
    int32_t *row;                      /* [n_ctx]; row[0] = BOS */
    unsigned char *packed;             /* [n_ctx] tokens as they lie in the file */
    int64_t filled;                    /* tokens in the row, BOS included */
    rllc_hasher *hasher;
    int64_t documents, bytes, tokens, rows;
} rllc_data_row_writer;

rllc_status rllc_data_row_writer_open(rllc_data_row_writer *w, const char *folder, int split,
                                      const rllc_packing_options *p, const rllc_tokenizer *t) RLLC_MUST_USE;
/** The next document's tokens; `bytes` of text. */
rllc_status rllc_data_row_writer_add(rllc_data_row_writer *w, const rllc_ids *ids, size_t bytes) RLLC_MUST_USE;
/** Completes the header and makes the file appear. */
rllc_status rllc_data_row_writer_commit(rllc_data_row_writer *w) RLLC_MUST_USE;
/** What corpus.json says about the split. */
rllc_json *rllc_data_row_writer_json(const rllc_data_row_writer *w);
void rllc_data_row_writer_release(rllc_data_row_writer *w); /* accepts {0}; a file not committed is removed */

#endif
