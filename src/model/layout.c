/* The tensors of the model and where each stands in the flat vector. */
#include <string.h>

#include "rllc/model.h"

#define OPTION(...) RLLC_OPTION(rllc_model_options, __VA_ARGS__)

static const rllc_option model_options[] = {
    OPTION(n_layers, RLLC_INTEGER, "2", 0, 64, NULL, "", "attention layers; 0 = embedding and unembedding alone"),
    OPTION(d_model, RLLC_INTEGER, "256", 1, 16384, NULL, "", "width of the residual stream"),
    OPTION(n_heads, RLLC_INTEGER, "8", 1, 256, NULL, "", "heads a layer"),
    OPTION(d_head, RLLC_INTEGER, "32", 1, 1024, NULL, "", "width of a head"),
    OPTION(n_ctx, RLLC_INTEGER, "1024", 2, 65536, NULL, "tokens", "context length"),
    OPTION(d_vocab, RLLC_INTEGER, "5000", 2, 1000000, NULL, "", "vocabulary entries"),
    OPTION(normalization, RLLC_CHOICE, "LN", RLLC_UNBOUNDED, "LN,null", "", "LayerNorm, or none for hand-built models"),
    OPTION(positions_init, RLLC_CHOICE, "normal", RLLC_UNBOUNDED, "normal,sinusoidal", "",
           "how W_pos starts; sinusoidal is the demo's recipe, not the paper's"),
    OPTION(positions_amplitude, RLLC_REAL, "2", 0, 1000, NULL, "", "amplitude of the sinusoids"),
    OPTION(positions, RLLC_TEXT, "shortformer", RLLC_UNBOUNDED, NULL, "",
           "shortformer: W_pos is added to the queries' and keys' input of every layer"),
    OPTION(attn_only, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "", "no MLPs; the only kind supported"),
    OPTION(init_scale, RLLC_REAL, "0.8", 0, 1000, NULL, "", "weights start as N(0, (init_scale / sqrt(d_model))^2)"),
    OPTION(ln_eps, RLLC_REAL, "1e-5", 0, 1, NULL, "", "LayerNorm's epsilon, inside the root"),
};
#undef OPTION

const rllc_option_table rllc_model_option_table = {"model", "the attention-only transformer", model_options,
                                                   sizeof model_options / sizeof *model_options};

struct tensor_row {
    const char *name;
    bool per_layer, has_heads;
    char init;
    const char *letters;
};

static const struct tensor_row rows[] = {
#define RLLC_TENSOR(name, per_layer, head_axis, init, letters) {name, per_layer, head_axis, #init[0], letters},
#include "tensors.def"
#undef RLLC_TENSOR
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static int64_t extent(const rllc_model_options *o, char letter) {
    switch (letter) {
        case 'V': return o->d_vocab;
        case 'T': return o->n_ctx;
        case 'C': return o->d_model;
        case 'H': return o->n_heads;
        default: return o->d_head;
    }
}

static bool is_layer_norm(const char *name) { return strncmp(name, "ln", 2) == 0; }

/** Appends row r as the tensor of `layer` (-1: outside the layers). */
static rllc_status add_tensor(rllc_model *m, const struct tensor_row *r, int layer) {
    rllc_parameter *p = &m->parameters[m->n_parameters];
    *p = (rllc_parameter){.layer = layer, .has_heads = r->has_heads, .init = r->init, .n = 1, .offset = m->size};
    p->name = layer < 0 ? rllc_intern(r->name) : rllc_intern_printf("blocks.%d.%s", layer, r->name);
    if (!p->name) return rllc_fail(RLLC_ENOMEM, "no memory for the tensor names of the model");
    for (const char *c = r->letters; *c; c++) {
        p->shape[p->n_dims] = extent(&m->options, *c);
        p->n *= p->shape[p->n_dims++];
    }
    m->size += p->n;
    m->n_parameters++;
    return RLLC_OK;
}

static rllc_status check_options(const rllc_model_options *o) {
    if (!o->attn_only)
        return rllc_fail(RLLC_EUNSUPPORTED, "model.attn_only is false, but MLPs are not supported: set it to true");
    if (!o->positions || strcmp(o->positions, "shortformer") != 0)
        return rllc_fail(RLLC_EUNSUPPORTED, "model.positions is '%s', but only 'shortformer' is supported",
                         o->positions ? o->positions : "null");
    for (int i = 0; i < rllc_model_option_table.n; i++) {
        const rllc_option *f = &rllc_model_option_table.options[i];
        if (f->type != RLLC_INTEGER) continue;
        int64_t value;
        memcpy(&value, (const char *)o + f->offset, sizeof value);
        if ((double)value < f->low || (double)value > f->high)
            return rllc_fail(RLLC_EINPUT, "model.%s is %lld, expected %.0f to %.0f", f->name, (long long)value, f->low,
                             f->high);
    }
    return RLLC_OK;
}

rllc_status rllc_model_init(rllc_model *m, const rllc_model_options *options) {
    rllc_status status = RLLC_OK;
    *m = (rllc_model){.options = *options};
    RLLC_TRY(check_options(options));
    RLLC_TRY(rllc_alloc(&m->parameters, N_ROWS * (options->n_layers > 0 ? options->n_layers : 1), sizeof *m->parameters));
    for (int r = 0; r < N_ROWS; r++) {
        if (options->normalization == RLLC_NORM_NULL && is_layer_norm(rows[r].name)) continue;
        if (!rows[r].per_layer) {
            RLLC_TRY(add_tensor(m, &rows[r], -1));
            continue;
        }
        int end = r; /* the block of per-layer rows r .. end-1 repeats for each layer */
        while (end < N_ROWS && rows[end].per_layer) end++;
        for (int layer = 0; layer < options->n_layers; layer++)
            for (int i = r; i < end; i++)
                if (options->normalization == RLLC_NORM_LN || !is_layer_norm(rows[i].name))
                    RLLC_TRY(add_tensor(m, &rows[i], layer));
        r = end - 1;
    }
    RLLC_TRY(rllc_alloc(&m->weights, m->size, sizeof *m->weights));
done:
    if (status != RLLC_OK) rllc_model_release(m);
    return status;
}

void rllc_model_release(rllc_model *m) {
    if (!m) return;
    rllc_free(m->parameters);
    rllc_free(m->weights);
    *m = (rllc_model){0};
}

const rllc_parameter *rllc_model_find(const rllc_model *m, const char *name) {
    for (int64_t i = 0; i < m->n_parameters; i++)
        if (strcmp(m->parameters[i].name, name) == 0) return &m->parameters[i];
    return NULL;
}

const rllc_parameter *rllc_model_at(const rllc_model *m, int64_t index) {
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        if (index >= p->offset && index < p->offset + p->n) return p;
    }
    return NULL;
}
