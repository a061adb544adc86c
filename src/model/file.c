/* Models <-> safetensors under TransformerLens' names. The shapes say what the model is; our metadata says the rest. */
#include <string.h>

#include "rllc/checkpoint.h"
#include "rllc/model.h"

/** Buffers that TransformerLens writes and that hold nothing: attn.mask, attn.IGNORE. */
static bool is_buffer(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".mask") == 0 || strcmp(dot, ".IGNORE") == 0) && strstr(name, ".attn.");
}

static int64_t count_layers(const rllc_safetensors *s) {
    int64_t n = 0;
    while (rllc_safetensors_find(s, rllc_intern_printf("blocks.%lld.attn.W_Q", (long long)n))) n++;
    return n;
}

/** The tensor with this many dimensions, or RLLC_EINPUT. */
static rllc_status require(const rllc_safetensors *s, const char *name, int n_dims, const rllc_tensor_view **out) {
    *out = rllc_safetensors_find(s, name);
    if (!*out)
        return rllc_fail(RLLC_EINPUT, "%s: no tensor '%s'; expected an attention-only transformer under TransformerLens' names",
                         s->path, name);
    if ((*out)->n_dims != n_dims)
        return rllc_fail(RLLC_EINPUT, "%s: tensor '%s' has %d dimensions, expected %d", s->path, name, (*out)->n_dims,
                         n_dims);
    return RLLC_OK;
}

/** The options that shapes and metadata tell. */
static rllc_status infer_options(const rllc_safetensors *s, rllc_model_options *o) {
    rllc_status status = RLLC_OK;
    rllc_json *saved = NULL;
    const rllc_tensor_view *embed, *positions, *query = NULL;
    rllc_options_default(&rllc_model_option_table, o);
    const char *text = s->metadata ? rllc_json_text(rllc_json_get(s->metadata, "rllc.model")) : NULL;
    if (text) {
        RLLC_TRY(rllc_json_parse(&saved, text, strlen(text), s->path));
        RLLC_TRY(rllc_options_from_json(&rllc_model_option_table, o, saved));
    }
    const bool says_zero_layers = text && o->n_layers == 0; /* else a file without layers has lost them */
    RLLC_TRY(require(s, "embed.W_E", 2, &embed));
    RLLC_TRY(require(s, "pos_embed.W_pos", 2, &positions));
    o->n_layers = count_layers(s);
    if (o->n_layers > 0 || !says_zero_layers) RLLC_TRY(require(s, "blocks.0.attn.W_Q", 3, &query));
    o->d_vocab = embed->shape[0];
    o->d_model = embed->shape[1];
    o->n_ctx = positions->shape[0];
    if (o->n_layers > 0) { /* without layers the sizes of a head are what the metadata say: nothing has them */
        o->n_heads = query->shape[0];
        o->d_head = query->shape[2];
    }
    /* without LayerNorm tensors the blocks are read as normalization null: LNPre cannot be told from it by shape */
    const bool ln = rllc_safetensors_find(s, "ln_final.w") || rllc_safetensors_find(s, "blocks.0.ln1.w");
    o->normalization = ln ? RLLC_NORM_LN : RLLC_NORM_NULL;
done:
    rllc_json_free(saved);
    return status;
}

static rllc_status refuse_unknown(const rllc_safetensors *s, const rllc_model *m) {
    for (int64_t i = 0; i < s->n; i++) {
        const char *name = s->tensors[i].name;
        if (is_buffer(name) || rllc_model_find(m, name)) continue;
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: tensor '%s' does not belong to an attention-only transformer%s", s->path,
                         name, strstr(name, ".mlp.") ? " (MLPs are not supported)" : "");
    }
    return RLLC_OK;
}

static rllc_status read_tensor(const rllc_safetensors *s, rllc_model *m, const rllc_parameter *p) {
    const rllc_tensor_view *t;
    rllc_status status = require(s, p->name, p->n_dims, &t);
    if (status != RLLC_OK) return status;
    for (int d = 0; d < p->n_dims; d++)
        if (t->shape[d] != p->shape[d])
            return rllc_fail(RLLC_EINPUT, "%s: axis %d of tensor '%s' is %lld, expected %lld from the other tensors",
                             s->path, d, p->name, (long long)t->shape[d], (long long)p->shape[d]);
    status = rllc_tensor_to_float(t, m->weights + p->offset);
    return rllc_fail_within(status, "%s: tensor '%s'", s->path, p->name);
}

rllc_status rllc_model_load(rllc_model *m, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_string file = {0};
    rllc_safetensors s = {0};
    rllc_model_options options;
    *m = (rllc_model){0};
    RLLC_TRY(rllc_checkpoint_find(path, &file));
    RLLC_TRY(rllc_safetensors_open(&s, rllc_string_text(&file)));
    RLLC_TRY(infer_options(&s, &options));
    status = rllc_model_init(m, &options);
    if (status != RLLC_OK) {
        status = rllc_fail_within(status, "%s", s.path);
        goto done;
    }
    RLLC_TRY(refuse_unknown(&s, m));
    for (int64_t i = 0; i < m->n_parameters; i++) RLLC_TRY(read_tensor(&s, m, &m->parameters[i]));
done:
    if (status != RLLC_OK) rllc_model_release(m);
    rllc_safetensors_close(&s);
    rllc_string_release(&file);
    return status;
}

static rllc_tensor_view view_of(const rllc_parameter *p, const float *vector) {
    rllc_tensor_view v = {.name = p->name, .dtype = RLLC_F32, .n_dims = p->n_dims, .n = p->n, .data = vector + p->offset};
    for (int d = 0; d < p->n_dims; d++) v.shape[d] = p->shape[d];
    return v;
}

static rllc_status copy_entry(void *object, const char *key, const rllc_json *value) {
    const char *text = rllc_json_text(value);
    return text ? rllc_json_set(object, key, rllc_json_string(text))
                : rllc_fail(RLLC_EINPUT, "metadata '%s' is not text, but safetensors keeps only text", key);
}

/** Our own entries: the options as JSON, beside the caller's. */
static rllc_status make_metadata(const rllc_model *m, const rllc_json *extra, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *options = NULL;
    rllc_string text = {0};
    *out = NULL;
    RLLC_TRY(rllc_options_to_json(&rllc_model_option_table, &m->options, &options));
    RLLC_TRY(rllc_json_print(options, 0, true, &text));
    *out = rllc_json_object();
    RLLC_TRY(rllc_json_set(*out, "rllc.schema", rllc_json_string("rllc.model/1")));
    RLLC_TRY(rllc_json_set(*out, "rllc.model", rllc_json_string(rllc_string_text(&text))));
    if (extra) RLLC_TRY(rllc_json_each(extra, copy_entry, *out));
done:
    if (status != RLLC_OK) {
        rllc_json_free(*out);
        *out = NULL;
    }
    rllc_json_free(options);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_model_save(const rllc_model *m, const float *vector, const char *path, const rllc_json *metadata) {
    rllc_status status = RLLC_OK;
    rllc_tensor_view *views = NULL;
    rllc_json *all = NULL;
    if (!vector) vector = m->weights;
    RLLC_TRY(rllc_alloc(&views, m->n_parameters, sizeof *views));
    for (int64_t i = 0; i < m->n_parameters; i++) views[i] = view_of(&m->parameters[i], vector);
    RLLC_TRY(make_metadata(m, metadata, &all));
    RLLC_TRY(rllc_safetensors_write(path, views, m->n_parameters, all));
done:
    rllc_free(views);
    rllc_json_free(all);
    return status;
}

rllc_hash rllc_model_hash(const rllc_model *m) {
    rllc_tensor_view *views = NULL;
    if (rllc_alloc(&views, m->n_parameters, sizeof *views) != RLLC_OK) return (rllc_hash){""};
    for (int64_t i = 0; i < m->n_parameters; i++) views[i] = view_of(&m->parameters[i], m->weights);
    const rllc_hash h = rllc_tensors_hash(views, m->n_parameters);
    rllc_free(views);
    return h;
}

static bool touches(const rllc_component *c, const rllc_parameter *p) {
    for (int64_t i = 0; i < c->n_ranges; i++)
        if (c->ranges[i].first < p->offset + p->n && c->ranges[i].first + c->ranges[i].n > p->offset) return true;
    return false;
}

rllc_status rllc_model_save_component(const rllc_model *m, const float *vector, const rllc_component *component,
                                      const char *path) {
    rllc_status status = RLLC_OK;
    rllc_tensor_view *views = NULL;
    float *masked = NULL;
    rllc_json *metadata = NULL;
    int64_t n = 0;
    if (!component) return rllc_model_save(m, vector, path, NULL);
    RLLC_TRY(rllc_alloc(&views, m->n_parameters, sizeof *views));
    RLLC_TRY(rllc_alloc(&masked, m->size, sizeof *masked));
    for (int64_t i = 0; i < component->n_ranges; i++) {
        const rllc_span r = component->ranges[i];
        memcpy(masked + r.first, vector + r.first, (size_t)r.n * sizeof *masked);
    }
    for (int64_t i = 0; i < m->n_parameters; i++)
        if (touches(component, &m->parameters[i])) views[n++] = view_of(&m->parameters[i], masked);
    metadata = rllc_json_object();
    RLLC_TRY(rllc_json_set(metadata, "rllc.component", rllc_json_string(component->name)));
    RLLC_TRY(rllc_safetensors_write(path, views, n, metadata));
done:
    rllc_free(views);
    rllc_free(masked);
    rllc_json_free(metadata);
    return status;
}
