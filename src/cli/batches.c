/* A checkpoint and a file of token rows, some rows at a time. */
#include "cli/batches.h"

enum { MOST_ROWS = 64, LOGIT_BYTES = 64 << 20 };

static rllc_status check_rows(const rllc_batches *b, const char *path) {
    const int64_t n_ctx = b->model.options.n_ctx;
    if (b->rows.rows < 1) return rllc_fail(RLLC_EINPUT, "%s: it holds no rows", path);
    if (b->rows.n_ctx < 2 || b->rows.n_ctx > n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "%s: rows of %lld tokens, but the model reads 2 to %lld", path,
                         (long long)b->rows.n_ctx, (long long)n_ctx);
    return RLLC_OK;
}

rllc_status rllc_batches_open(rllc_batches *b, const char *checkpoint, const char *reference, const char *tokens,
                              int64_t threads) {
    rllc_status status = RLLC_OK;
    *b = (rllc_batches){0};
    RLLC_TRY(rllc_model_load(&b->model, checkpoint));
    RLLC_TRY(rllc_rows_open(&b->rows, tokens, b->model.options.d_vocab));
    RLLC_TRY(check_rows(b, tokens));
    const int64_t row_logits = b->rows.n_ctx * b->model.options.d_vocab * (int64_t)sizeof(float);
    b->chunk = LOGIT_BYTES / row_logits;
    b->chunk = b->chunk < 1 ? 1 : b->chunk > MOST_ROWS ? MOST_ROWS : b->chunk;
    RLLC_TRY(rllc_alloc(&b->tokens, b->chunk * b->rows.n_ctx, sizeof *b->tokens));
    RLLC_TRY(rllc_engine_new(&b->engine, &b->model, b->chunk, (int)threads));
    RLLC_TRY(rllc_engine_set_context(b->engine, b->rows.n_ctx));
    if (reference) {
        RLLC_TRY(rllc_fail_within(rllc_model_load(&b->reference, reference), "reference"));
        RLLC_TRY(rllc_engine_set_reference(b->engine, &b->reference));
    }
done:
    if (status != RLLC_OK) rllc_batches_close(b);
    return status;
}

void rllc_batches_close(rllc_batches *b) {
    rllc_engine_free(b->engine);
    rllc_free(b->tokens);
    rllc_rows_close(&b->rows);
    rllc_model_release(&b->model);
    rllc_model_release(&b->reference);
    *b = (rllc_batches){0};
}

int64_t rllc_batches_read(const rllc_batches *b, int64_t first) {
    const int64_t left = b->rows.rows - first, n = left < b->chunk ? left : b->chunk;
    for (int64_t i = 0; i < n; i++) rllc_rows_get(&b->rows, first + i, b->tokens + i * b->rows.n_ctx);
    return n;
}

rllc_status rllc_cli_require(const rllc_command *command, const char *flag, const char *value) {
    if (value && *value) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE, "%s is missing; usage: %s", flag, command->usage);
}

rllc_status rllc_cli_check_grid(const char *flag, const char *text) {
    int64_t *steps = NULL, n = 0;
    if (!text || !*text) return RLLC_OK;
    const rllc_status status = rllc_grid_parse(text, &steps, &n);
    rllc_free(steps);
    return status == RLLC_EINPUT ? rllc_fail(RLLC_EUSAGE, "%s: %s", flag, rllc_intern(rllc_error_detail())) : status;
}
