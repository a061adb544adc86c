/* Names of components to ranges of the flat vector, and back to labels. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rllc/model.h"

struct builder {
    const rllc_model *m;
    rllc_span *ranges;
    int64_t n, capacity;
};

static rllc_status add_range(struct builder *b, int64_t first, int64_t n) {
    if (b->n == b->capacity) {
        const int64_t more = b->capacity ? 2 * b->capacity : 16;
        rllc_status status = rllc_grow(&b->ranges, b->capacity, more, sizeof *b->ranges);
        if (status != RLLC_OK) return status;
        b->capacity = more;
    }
    b->ranges[b->n++] = (rllc_span){first, n};
    return RLLC_OK;
}

static rllc_status add_tensor(struct builder *b, const char *name) {
    const rllc_parameter *p = rllc_model_find(b->m, name);
    return p ? add_range(b, p->offset, p->n) : RLLC_OK;
}

static rllc_status add_head(struct builder *b, int layer, int head) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < b->m->n_parameters; i++) {
        const rllc_parameter *p = &b->m->parameters[i];
        if (p->layer != layer || !p->has_heads) continue;
        const int64_t slice = p->n / p->shape[0];
        RLLC_TRY(add_range(b, p->offset + head * slice, slice));
    }
done:
    return status;
}

static rllc_status add_layer(struct builder *b, int layer, bool with_ln) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < b->m->n_parameters; i++) {
        const rllc_parameter *p = &b->m->parameters[i];
        if (p->layer == layer && (with_ln || !strstr(p->name, ".ln1."))) RLLC_TRY(add_range(b, p->offset, p->n));
    }
done:
    return status;
}

/** "l<layer>h<head>" or "<layer>:<head>". */
static bool parse_head(const char *name, int *layer, int *head) {
    int used = 0;
    if (sscanf(name, "l%9dh%9d%n", layer, head, &used) == 2 && used && !name[used]) return *layer >= 0 && *head >= 0;
    if (sscanf(name, "%9d:%9d%n", layer, head, &used) == 2 && used && !name[used]) return *layer >= 0 && *head >= 0;
    return false;
}

static rllc_status unknown(const rllc_model *m, const char *name) {
    static const char *const fixed[] = {"full", "embed", "pos_embed", "unembed", "heads", "layers", "l0", "l0h0",
                                        "l0 attn"};
    const int n_fixed = sizeof fixed / sizeof *fixed;
    const char **all = NULL;
    if (rllc_alloc(&all, n_fixed + m->n_parameters, sizeof *all) != RLLC_OK)
        return rllc_fail(RLLC_EUSAGE, "unknown component '%s'", name);
    memcpy(all, fixed, sizeof fixed);
    for (int64_t i = 0; i < m->n_parameters; i++) all[n_fixed + i] = m->parameters[i].name;
    const char *nearest = rllc_nearest(name, all, (int)(n_fixed + m->n_parameters));
    rllc_status status = rllc_fail(
        RLLC_EUSAGE,
        "unknown component '%s'%s%s%s; expected full, l<layer>, l<layer>h<head>, 'l<layer> attn', embed, pos_embed, "
        "unembed, a tensor's name, or a union with + (this model has layers 0..%lld of heads 0..%lld)",
        name, nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
        (long long)m->options.n_layers - 1, (long long)m->options.n_heads - 1);
    rllc_free(all);
    return status;
}

/** One term of a union. */
static rllc_status add_term(struct builder *b, const char *term) {
    const rllc_model_options *o = &b->m->options;
    int layer, head, used = 0;
    rllc_status status = RLLC_OK;
    if (strcmp(term, "full") == 0) return add_range(b, 0, b->m->size);
    if (strcmp(term, "embed") == 0) return add_tensor(b, "embed.W_E");
    if (strcmp(term, "pos_embed") == 0) return add_tensor(b, "pos_embed.W_pos");
    if (strcmp(term, "unembed") == 0) {
        RLLC_TRY(add_tensor(b, "unembed.W_U"));
        return add_tensor(b, "unembed.b_U");
    }
    if (rllc_model_find(b->m, term)) return add_tensor(b, term);
    if (parse_head(term, &layer, &head)) {
        if (layer >= o->n_layers || head >= o->n_heads) return unknown(b->m, term);
        return add_head(b, layer, head);
    }
    if (sscanf(term, "l%9d%n", &layer, &used) == 1 && used && layer >= 0 && layer < o->n_layers) {
        if (!term[used]) return add_layer(b, layer, true);
        if (strcmp(term + used, " attn") == 0) return add_layer(b, layer, false);
    }
    return unknown(b->m, term);
done:
    return status;
}

static int by_first(const void *a, const void *b) {
    const int64_t x = ((const rllc_span *)a)->first, y = ((const rllc_span *)b)->first;
    return (x > y) - (x < y);
}

/** Sorts and merges overlapping and neighbouring ranges, so that equal sets are equal arrays. */
static int64_t merge(rllc_span *r, int64_t n) {
    int64_t out = 0;
    qsort(r, (size_t)n, sizeof *r, by_first);
    for (int64_t i = 1; i < n; i++) {
        const int64_t end = r[out].first + r[out].n;
        if (r[i].first > end) {
            r[++out] = r[i];
        } else if (r[i].first + r[i].n > end) {
            r[out].n = r[i].first + r[i].n - r[out].first;
        }
    }
    return n ? out + 1 : 0;
}

/** Copies text[0..n) without blanks at the ends; NULL without memory. */
static const char *trimmed(const char *text, size_t n) {
    while (n && isspace((unsigned char)*text)) text++, n--;
    while (n && isspace((unsigned char)text[n - 1])) n--;
    return rllc_intern_printf("%.*s", (int)n, text);
}

rllc_status rllc_component_parse(rllc_component *c, const rllc_model *m, const char *name) {
    rllc_status status = RLLC_OK;
    struct builder b = {.m = m};
    *c = (rllc_component){.name = trimmed(name, strlen(name))};
    if (!c->name) return rllc_fail(RLLC_ENOMEM, "no memory for component '%s'", name);
    for (const char *at = c->name;;) {
        const size_t n = strcspn(at, "+");
        const char *term = trimmed(at, n);
        if (!term) return rllc_fail(RLLC_ENOMEM, "no memory for component '%s'", name);
        RLLC_TRY(add_term(&b, term));
        if (!at[n]) break;
        at += n + 1;
    }
    c->n_ranges = merge(b.ranges, b.n);
    c->ranges = b.ranges;
    for (int64_t i = 0; i < c->n_ranges; i++) c->size += c->ranges[i].n;
    if (c->size == m->size) c->name = rllc_intern("full"); /* however it was spelt */
    return RLLC_OK;
done:
    rllc_free(b.ranges);
    *c = (rllc_component){0};
    return status;
}

void rllc_component_release(rllc_component *c) {
    if (!c) return;
    rllc_free(c->ranges);
    *c = (rllc_component){0};
}

struct names {
    const char **items;
    int64_t n, capacity;
};

static rllc_status add_name(struct names *s, const char *name) {
    if (!name) return rllc_fail(RLLC_ENOMEM, "no memory for the component names");
    for (int64_t i = 0; i < s->n; i++)
        if (s->items[i] == name) return RLLC_OK;
    if (s->n == s->capacity) {
        const int64_t more = s->capacity ? 2 * s->capacity : 32;
        rllc_status status = rllc_grow(&s->items, s->capacity, more, sizeof *s->items);
        if (status != RLLC_OK) return status;
        s->capacity = more;
    }
    s->items[s->n++] = name;
    return RLLC_OK;
}

static rllc_status expand_item(struct names *out, const rllc_model *m, const char *item) {
    rllc_status status = RLLC_OK;
    int layer, head;
    if (strcmp(item, "heads") == 0) {
        for (int l = 0; l < m->options.n_layers; l++)
            for (int h = 0; h < m->options.n_heads; h++) RLLC_TRY(add_name(out, rllc_intern_printf("l%dh%d", l, h)));
    } else if (strcmp(item, "layers") == 0) {
        for (int l = 0; l < m->options.n_layers; l++) RLLC_TRY(add_name(out, rllc_intern_printf("l%d", l)));
    } else {
        rllc_component c;
        RLLC_TRY(rllc_component_parse(&c, m, item));
        const char *name = c.name;
        rllc_component_release(&c);
        if (parse_head(name, &layer, &head)) name = rllc_intern_printf("l%dh%d", layer, head);
        RLLC_TRY(add_name(out, name));
    }
done:
    return status;
}

rllc_status rllc_components_expand(const rllc_model *m, const char *list, const char ***names, int64_t *n) {
    rllc_status status = RLLC_OK;
    struct names out = {0};
    *names = NULL;
    *n = 0;
    for (const char *at = list; *at;) {
        const size_t length = strcspn(at, ",");
        const char *item = trimmed(at, length);
        if (item && *item) RLLC_TRY(expand_item(&out, m, item));
        at += length + (at[length] == ',');
    }
    if (out.n == 0) {
        status = rllc_fail(RLLC_EUSAGE, "no component is named in '%s'; try 'heads' or 'full'", list);
        goto done;
    }
    *names = out.items;
    *n = out.n;
    return RLLC_OK;
done:
    rllc_free(out.items);
    return status;
}

bool rllc_component_head(const char *name, int *layer, int *head) { return parse_head(name, layer, head); }

const char *rllc_component_label(const char *name) {
    int layer, head;
    return parse_head(name, &layer, &head) ? rllc_intern_printf("%d:%d", layer, head) : rllc_intern(name);
}
