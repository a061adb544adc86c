/* rllc gradient: gradient of the mean loss of a checkpoint on given tokens, under the tensors' own names. */
#include <math.h>

#include "cli/batches.h"

typedef struct gradient_options {
    const char *checkpoint, *reference, *tokens, *component, *output;
} gradient_options;

static const rllc_option options[] = {
    RLLC_OPTION(gradient_options, checkpoint, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "model.safetensors, or a folder that holds it"),
    RLLC_OPTION(gradient_options, reference, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "instead of the loss of the next token: KL divergence from this checkpoint's predictions"),
    RLLC_OPTION(gradient_options, tokens, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                ".npy of token ids, one row a sequence"),
    RLLC_OPTION(gradient_options, component, RLLC_TEXT, "full", RLLC_UNBOUNDED, NULL, "",
                "which weights: full, l0h3, l0, embed, a tensor's name, unions with +"),
    RLLC_OPTION(gradient_options, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "safetensors file to write: whole tensors that the component touches, zero outside it"),
};
static const rllc_option_table table = {"gradient", "where, and of what", options, sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

/** Gradient of the mean over all rows into `gradient` [P]; chunks are summed in double, in order. */
static rllc_status accumulate(rllc_batches *b, const rllc_monitor *monitor, float *gradient, double *sum,
                              double *loss) {
    const int64_t rows = b->rows.rows, size = b->model.size;
    *loss = 0;
    for (int64_t first = 0, n; first < rows; first += n) {
        n = rllc_batches_read(b, first);
        rllc_evaluation e = {.gradient = gradient};
        rllc_status status = rllc_engine_evaluate(b->engine, b->model.weights, b->tokens, n, &e);
        if (status == RLLC_OK && rllc_should_stop(monitor))
            status = rllc_fail(RLLC_ESTOPPED, "stopped after %lld of %lld rows; nothing was written",
                               (long long)(first + n), (long long)rows);
        if (status != RLLC_OK) return status;
        const double weight = (double)n / (double)rows;
        for (int64_t i = 0; i < size; i++) sum[i] += weight * (double)gradient[i];
        *loss += weight * e.loss;
        rllc_report_progress(monitor, "gradient", "row", (double)(first + n), (double)rows, "%s", "");
    }
    return RLLC_OK;
}

/** Rounds to float32 and takes the norm over the component. */
static rllc_status finish(const rllc_component *c, const double *sum, int64_t size, float *gradient, double *norm) {
    double square = 0;
    for (int64_t i = 0; i < size; i++) gradient[i] = (float)sum[i];
    for (int64_t r = 0; r < c->n_ranges; r++)
        for (int64_t i = 0; i < c->ranges[r].n; i++) {
            const double g = (double)gradient[c->ranges[r].first + i];
            square += g * g;
        }
    *norm = sqrt(square);
    if (isfinite(*norm)) return RLLC_OK;
    return rllc_fail(RLLC_ENOTFINITE,
                     "the gradient is not finite: the weights hold a NaN, an infinity or values too large");
}

static rllc_status print_result(const rllc_batches *b, const rllc_component *c, const gradient_options *o, bool json,
                                double loss, double norm) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    if (!json) {
        char text[2][32];
        printf("%s: |gradient| %s over %lld numbers, %s %s, in %s\n", c->name, rllc_format_double(text[0], norm),
               (long long)c->size, o->reference ? "KL divergence" : "loss", rllc_format_double(text[1], loss), o->output);
        return RLLC_OK;
    }
    const rllc_hash hash = rllc_model_hash(&b->model);
    j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "component", rllc_json_string(c->name)));
    RLLC_TRY(rllc_json_set(j, "numbers", rllc_json_integer(c->size)));
    RLLC_TRY(rllc_json_set(j, "norm", rllc_json_real(norm)));
    RLLC_TRY(rllc_json_set(j, "loss", rllc_json_real(loss)));
    RLLC_TRY(rllc_json_set(j, "rows", rllc_json_integer(b->rows.rows)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_integer(b->rows.rows * (b->rows.n_ctx - 1))));
    RLLC_TRY(rllc_json_set(j, "checkpoint", rllc_json_string(hash.hex)));
    if (o->reference)
        RLLC_TRY(rllc_json_set(j, "reference", rllc_json_string(rllc_model_hash(&b->reference).hex)));
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(o->output)));
    return rllc_cli_print_json("gradient", j);
done:
    rllc_json_free(j);
    return status;
}

static rllc_status gradient_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    gradient_options o;
    rllc_batches b = {0};
    rllc_component c = {0};
    float *gradient = NULL;
    double *sum = NULL, loss = 0, norm = 0;
    rllc_options_default(&table, &o);
    const rllc_option_binding bindings[] = {{&table, &o}};
    RLLC_TRY(rllc_cli_options(&rllc_command_gradient, &common, bindings, 1, argc, argv, NULL, 0, NULL));
    if (common.help) return RLLC_OK;
    RLLC_TRY(rllc_cli_require(&rllc_command_gradient, "--checkpoint", o.checkpoint));
    RLLC_TRY(rllc_cli_require(&rllc_command_gradient, "--tokens", o.tokens));
    RLLC_TRY(rllc_cli_require(&rllc_command_gradient, "--output", o.output));
    RLLC_TRY(rllc_batches_open(&b, o.checkpoint, o.reference, o.tokens, common.threads));
    RLLC_TRY(rllc_component_parse(&c, &b.model, o.component));
    RLLC_TRY(rllc_alloc(&gradient, b.model.size, sizeof *gradient));
    RLLC_TRY(rllc_alloc(&sum, b.model.size, sizeof *sum));
    RLLC_TRY(accumulate(&b, rllc_cli_monitor(&common), gradient, sum, &loss));
    RLLC_TRY(finish(&c, sum, b.model.size, gradient, &norm));
    RLLC_TRY(rllc_model_save_component(&b.model, gradient, &c, o.output));
    RLLC_TRY(print_result(&b, &c, &o, common.json, loss, norm));
done:
    rllc_component_release(&c);
    rllc_batches_close(&b);
    rllc_free(gradient);
    rllc_free(sum);
    return status;
}

const rllc_command rllc_command_gradient = {
    .name = "gradient",
    .summary = "gradient of the mean loss of a checkpoint on given tokens",
    .usage = "rllc gradient --checkpoint PATH --tokens FILE.npy --output FILE.safetensors [--component NAME] [options]",
    .examples = "# what head 3 of layer 0 would do to descend\n"
                "rllc gradient --checkpoint run/checkpoints/step1000 --tokens ids.npy --component l0h3 --output "
                "g.safetensors\n"
                "# to come closer to another model's predictions\n"
                "rllc gradient --checkpoint a.safetensors --reference b.safetensors --tokens ids.npy --output g.safetensors\n",
    .tables = tables,
    .main = gradient_main};
