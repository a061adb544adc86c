/* rllc eval: loss of a checkpoint on given tokens. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/batches.h"

typedef struct eval_options {
    const char *checkpoint, *reference, *tokens, *token_losses, *output;
} eval_options;

static const rllc_option options[] = {
    RLLC_OPTION(eval_options, checkpoint, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "model.safetensors, or a folder that holds it"),
    RLLC_OPTION(eval_options, reference, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "instead of the loss of the next token: KL divergence from this checkpoint's predictions"),
    RLLC_OPTION(eval_options, tokens, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                ".npy of token ids, one row a sequence"),
    RLLC_OPTION(eval_options, token_losses, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "write the loss of every prediction, float32 [rows, T-1]"),
    RLLC_OPTION(eval_options, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "write the logits, float32 [rows, T, d_vocab]"),
};
static const rllc_option_table table = {"eval", "what to evaluate, and what to write", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

/* An array written while it is computed; path NULL: not asked for. */
typedef struct stream {
    const char *path;
    rllc_output_file file;
    float *buffer; /* one chunk */
} stream;

static rllc_status stream_open(stream *s, const char *path, int n_dims, const int64_t *shape, int64_t chunk) {
    rllc_status status = RLLC_OK;
    int64_t row = 1;
    if (!path) return RLLC_OK;
    s->path = path;
    for (int d = 1; d < n_dims; d++) row *= shape[d];
    RLLC_TRY(rllc_alloc(&s->buffer, chunk * row, sizeof *s->buffer));
    RLLC_TRY(rllc_output_file_open(&s->file, path));
    RLLC_TRY(rllc_npy_write_header(s->file.stream, "<f4", n_dims, shape));
done:
    return status;
}

static rllc_status stream_write(stream *s, int64_t n) {
    if (!s->path || fwrite(s->buffer, sizeof *s->buffer, (size_t)n, s->file.stream) == (size_t)n) return RLLC_OK;
    return rllc_fail(RLLC_EIO, "%s: cannot write: %s; nothing was kept of it", s->path, strerror(errno));
}

static rllc_status stream_close(stream *s, rllc_status status) {
    if (s->path && status == RLLC_OK) status = rllc_output_file_commit(&s->file);
    if (s->path && status != RLLC_OK) rllc_output_file_abort(&s->file);
    rllc_free(s->buffer);
    return status;
}

/** All rows, in order; *loss is their mean. */
static rllc_status evaluate(rllc_batches *b, const rllc_monitor *monitor, stream *losses, stream *logits,
                            double *loss) {
    const int64_t rows = b->rows.rows, t = b->rows.n_ctx, v = b->model.options.d_vocab;
    double sum = 0;
    for (int64_t first = 0, n; first < rows; first += n) {
        n = rllc_batches_read(b, first);
        rllc_evaluation e = {.token_losses = losses->buffer, .logits = logits->buffer};
        rllc_status status = rllc_engine_evaluate(b->engine, b->model.weights, b->tokens, n, &e);
        if (status == RLLC_OK) status = stream_write(losses, n * (t - 1));
        if (status == RLLC_OK) status = stream_write(logits, n * t * v);
        if (status == RLLC_OK && rllc_should_stop(monitor))
            status = rllc_fail(RLLC_ESTOPPED, "stopped after %lld of %lld rows; nothing was written",
                               (long long)(first + n), (long long)rows);
        if (status != RLLC_OK) return status;
        sum += e.loss * (double)n;
        rllc_report_progress(monitor, "eval", "row", (double)(first + n), (double)rows, "loss %.4f",
                             sum / (double)(first + n));
    }
    *loss = sum / (double)rows;
    if (isfinite(*loss)) return RLLC_OK;
    return rllc_fail(RLLC_ENOTFINITE,
                     "the loss is not finite: the weights hold a NaN, an infinity or values too large");
}

static rllc_status print_result(const rllc_batches *b, const eval_options *o, bool json, double loss) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    const int64_t predictions = b->rows.rows * (b->rows.n_ctx - 1);
    const rllc_hash hash = rllc_model_hash(&b->model);
    if (!json) {
        char text[32];
        printf("%s %s nats per token (%lld rows, %lld predictions)\n", o->reference ? "KL divergence" : "loss",
               rllc_format_double(text, loss), (long long)b->rows.rows, (long long)predictions);
        if (o->token_losses) printf("token losses in %s\n", o->token_losses);
        if (o->output) printf("logits in %s\n", o->output);
        return RLLC_OK;
    }
    j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "loss", rllc_json_real(loss)));
    RLLC_TRY(rllc_json_set(j, "rows", rllc_json_integer(b->rows.rows)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_integer(predictions)));
    RLLC_TRY(rllc_json_set(j, "checkpoint", rllc_json_string(hash.hex)));
    if (o->reference)
        RLLC_TRY(rllc_json_set(j, "reference", rllc_json_string(rllc_model_hash(&b->reference).hex)));
    RLLC_TRY(rllc_json_set(j, "data", rllc_json_string(b->rows.hash.hex)));
    if (o->token_losses) RLLC_TRY(rllc_json_set(j, "token_losses", rllc_json_string(o->token_losses)));
    if (o->output) RLLC_TRY(rllc_json_set(j, "logits", rllc_json_string(o->output)));
    return rllc_cli_print_json("eval", j);
done:
    rllc_json_free(j);
    return status;
}

static rllc_status eval_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    eval_options o;
    rllc_batches b = {0};
    stream losses = {0}, logits = {0};
    double loss = 0;
    rllc_options_default(&table, &o);
    const rllc_option_binding bindings[] = {{&table, &o}};
    RLLC_TRY(rllc_cli_options(&rllc_command_eval, &common, bindings, 1, argc, argv, NULL, 0, NULL));
    if (common.help) return RLLC_OK;
    RLLC_TRY(rllc_cli_require(&rllc_command_eval, "--checkpoint", o.checkpoint));
    RLLC_TRY(rllc_cli_require(&rllc_command_eval, "--tokens", o.tokens));
    if (o.output && o.token_losses && strcmp(o.output, o.token_losses) == 0) {
        status = rllc_fail(RLLC_EUSAGE, "--output and --token-losses name the same file; give each its own");
        goto done;
    }
    RLLC_TRY(rllc_batches_open(&b, o.checkpoint, o.reference, o.tokens, common.threads));
    const int64_t t = b.rows.n_ctx;
    RLLC_TRY(stream_open(&losses, o.token_losses, 2, (const int64_t[]){b.rows.rows, t - 1}, b.chunk));
    RLLC_TRY(stream_open(&logits, o.output, 3, (const int64_t[]){b.rows.rows, t, b.model.options.d_vocab}, b.chunk));
    RLLC_TRY(evaluate(&b, rllc_cli_monitor(&common), &losses, &logits, &loss));
done:
    status = stream_close(&losses, status);
    status = stream_close(&logits, status);
    if (status == RLLC_OK) status = print_result(&b, &o, common.json, loss);
    rllc_batches_close(&b);
    return status;
}

const rllc_command rllc_command_eval = {
    .name = "eval",
    .summary = "loss of a checkpoint on given tokens",
    .usage = "rllc eval --checkpoint PATH --tokens FILE.npy [--token-losses FILE.npy] [--output FILE.npy] [options]",
    .examples = "# mean next-token loss on a validation split\n"
                "rllc eval --checkpoint run/checkpoints/step1000 --tokens corpus/validation.npy\n"
                "# how far its predictions are from those of a smaller model: mean KL divergence\n"
                "rllc eval --checkpoint run/checkpoints/step1000 --reference small.safetensors --tokens ids.npy\n"
                "# all logits, to compare with another implementation\n"
                "rllc eval --checkpoint model.safetensors --tokens ids.npy --output logits.npy --json\n",
    .tables = tables,
    .main = eval_main};
