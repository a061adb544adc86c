/* Reading the configuration of a run: sections of a YAML tree into option structs, every key accounted for. */
#include <ctype.h>
#include <string.h>

#include "cli/config.h"

static const char *place_of(const rllc_yaml *y) {
    return y->line > 0 ? rllc_intern_printf("%s:%d", y->file, y->line) : y->file;
}

/* A fault in a file is bad input, one on the command line is usage. */
static rllc_status fault(const rllc_yaml *y) {
    return y->line > 0 ? RLLC_EINPUT : RLLC_EUSAGE;
}

static rllc_status unknown_key(const rllc_yaml *y, const char *key, const char *where, const char *const *known,
                               int n) {
    const char *nearest = rllc_nearest(key, known, n);
    rllc_string all = {0};
    if (nearest)
        return rllc_fail(fault(y), "%s: unknown key '%s' in %s; did you mean '%s'?", place_of(y), key, where, nearest);
    for (int i = 0; i < n; i++) {
        if (rllc_string_printf(&all, "%s%s", i ? ", " : "", known[i]) != RLLC_OK) break;
    }
    rllc_status status = rllc_fail(fault(y), "%s: unknown key '%s' in %s; there are %s", place_of(y), key, where,
                                   rllc_string_text(&all));
    rllc_string_release(&all);
    return status;
}

static bool has_option(const rllc_option_table *table, const char *key) {
    for (int i = 0; i < table->n; i++) {
        if (strcmp(table->options[i].name, key) == 0) return true;
    }
    return false;
}

static rllc_status unknown_in_section(const rllc_run_section *s, const rllc_yaml *y, const char *key) {
    const char *known[128];
    int n = 0;
    for (int b = 0; b < s->n; b++) {
        const rllc_option_table *t = s->bindings[b].table;
        for (int i = 0; i < t->n && n < 128; i++) known[n++] = t->options[i].name;
    }
    return unknown_key(y, key, rllc_intern_printf("'%s'", s->name), known, n);
}

/* Each key goes to the table that has it. */
static rllc_status read_section(const rllc_run_section *s, const rllc_yaml *map) {
    if (!map || (map->kind == RLLC_YAML_SCALAR && map->is_null)) return RLLC_OK;
    if (map->kind != RLLC_YAML_MAP) {
        return rllc_fail(fault(map), "%s: '%s' should be a map of keys and values", place_of(map), s->name);
    }
    for (int64_t i = 0; i < map->n; i++) {
        rllc_yaml one = *map;
        rllc_status status = RLLC_ENOTFOUND;
        one.keys = &map->keys[i];
        one.items = &map->items[i];
        one.n = 1;
        for (int b = 0; b < s->n && status == RLLC_ENOTFOUND; b++) {
            if (!has_option(s->bindings[b].table, map->keys[i])) continue;
            status = rllc_options_from_yaml(s->bindings[b].table, s->bindings[b].object, &one);
        }
        if (status == RLLC_ENOTFOUND) return unknown_in_section(s, map->items[i], map->keys[i]);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

static rllc_status check_name(const rllc_yaml *y, const char *name) {
    bool good = *name && *name != '.' && *name != '-';
    for (const char *p = name; good && *p; p++) good = isalnum((unsigned char)*p) || strchr("_.-", *p);
    if (good) return RLLC_OK;
    return rllc_fail(fault(y),
                     "%s: the corpus name '%s' should be letters, digits, '_', '-' and '.': it names a folder",
                     place_of(y), name);
}

static rllc_status read_corpora(rllc_run_config *c, const rllc_yaml *map) {
    rllc_status status = RLLC_OK;
    if (!map || map->is_null) return RLLC_OK;
    if (map->kind != RLLC_YAML_MAP) {
        return rllc_fail(fault(map), "%s: 'corpora' should be a map of names, each with its sources", place_of(map));
    }
    RLLC_TRY(rllc_alloc(&c->corpora, map->n, sizeof *c->corpora));
    for (int64_t i = 0; i < map->n; i++) {
        rllc_run_corpus *corpus = &c->corpora[c->n_corpora];
        RLLC_TRY(check_name(map->items[i], map->keys[i]));
        corpus->name = rllc_intern(map->keys[i]);
        rllc_options_default(&rllc_reader_option_table, &corpus->reader);
        rllc_options_default(&rllc_packing_option_table, &corpus->packing);
        corpus->packing.n_ctx = 0; /* not given: the model's */
        const rllc_run_section s = rllc_run_corpus_section(corpus);
        RLLC_TRY(read_section(&s, map->items[i]));
        c->n_corpora++;
    }
done:
    return status;
}

/* The section that a top-level key belongs to: its own name, or "run" for the keys that stand alone. */
static const rllc_run_section *section_for(const rllc_run_section *sections, const char *key) {
    for (int i = 1; i < RLLC_RUN_SECTIONS; i++) {
        if (strcmp(sections[i].name, key) == 0) return &sections[i];
    }
    return has_option(sections[0].bindings[0].table, key) ? &sections[0] : NULL;
}

static rllc_status unknown_at_top(const rllc_run_section *sections, const rllc_yaml *y, const char *key) {
    const char *known[RLLC_RUN_SECTIONS + 8] = {"corpora"};
    const rllc_option_table *run = sections[0].bindings[0].table;
    int n = 1;
    for (int i = 1; i < RLLC_RUN_SECTIONS; i++) known[n++] = sections[i].name;
    for (int i = 0; i < run->n && i < 8; i++) known[n++] = run->options[i].name;
    return unknown_key(y, key, "a run's configuration", known, n);
}

static rllc_status read_tree(rllc_run_config *c, const rllc_yaml *root) {
    rllc_run_section sections[RLLC_RUN_SECTIONS];
    rllc_status status = RLLC_OK;
    if (root->kind != RLLC_YAML_MAP) {
        return rllc_fail(RLLC_EINPUT, "%s: found a %s, expected a map of sections", root->file,
                         root->kind == RLLC_YAML_LIST ? "list" : "single value");
    }
    rllc_run_sections(c, sections);
    for (int64_t i = 0; i < root->n && status == RLLC_OK; i++) {
        const rllc_run_section *s = section_for(sections, root->keys[i]);
        rllc_yaml one = *root;
        one.keys = &root->keys[i];
        one.items = &root->items[i];
        one.n = 1;
        if (strcmp(root->keys[i], "corpora") == 0) {
            status = read_corpora(c, root->items[i]);
        } else if (s) {
            status = read_section(s, s == sections ? &one : root->items[i]);
        } else {
            status = unknown_at_top(sections, root->items[i], root->keys[i]);
        }
    }
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/* preset <- file <- overrides; corpora of the file replace the preset's. */
static rllc_status build_tree(rllc_yaml **out, const char *preset, const char *file, const char *const *overrides,
                              int n_overrides) {
    rllc_status status = RLLC_OK;
    rllc_yaml *user = NULL, *root = NULL;
    const char *text = "{}";
    RLLC_TRY(file ? rllc_yaml_load(&user, file) : rllc_yaml_parse(&user, "{}", 2, "the command line"));
    const rllc_yaml *named = rllc_yaml_get(user, "preset");
    if (!preset && named && !named->is_null && named->kind == RLLC_YAML_SCALAR) preset = named->scalar;
    if (preset) RLLC_TRY(rllc_preset_text(preset, &text));
    RLLC_TRY(rllc_yaml_parse(&root, text, strlen(text),
                             preset ? rllc_intern_printf(RLLC_PRESET_FILE "%s", preset) : "no preset"));
    if (rllc_yaml_get(user, "corpora") && rllc_yaml_get(root, "corpora")) {
        RLLC_TRY(rllc_yaml_override(root, "corpora=null"));
        if (rllc_yaml_get(root, "sampling")) RLLC_TRY(rllc_yaml_override(root, "sampling.corpora=null"));
        if (rllc_yaml_get(root, "training")) RLLC_TRY(rllc_yaml_override(root, "training.corpus=null"));
    }
    RLLC_TRY(rllc_yaml_merge(root, user));
    if (preset) RLLC_TRY(rllc_yaml_override(root, rllc_intern_printf("preset=%s", preset)));
    for (int i = 0; i < n_overrides; i++) RLLC_TRY(rllc_yaml_override(root, overrides[i]));
    *out = root;
    root = NULL;
done:
    rllc_yaml_free(user);
    rllc_yaml_free(root);
    return status;
}

rllc_status rllc_run_config_read(rllc_run_config *c, const char *preset, const char *file, const char *const *overrides,
                                 int n_overrides) {
    rllc_status status = RLLC_OK;
    rllc_yaml *root = NULL;
    rllc_run_section sections[RLLC_RUN_SECTIONS];
    *c = (rllc_run_config){0};
    RLLC_TRY(build_tree(&root, preset, file, overrides, n_overrides));
    rllc_run_sections(c, sections);
    for (int i = 0; i < RLLC_RUN_SECTIONS; i++) {
        for (int b = 0; b < sections[i].n; b++) {
            rllc_options_default(sections[i].bindings[b].table, sections[i].bindings[b].object);
        }
    }
    c->model.d_vocab = 0; /* not given: the tokenizer's */
    rllc_sampler_unset(&c->sampler);
    RLLC_TRY(read_tree(c, root));
    status = rllc_run_config_complete(c, root);
    if (status == RLLC_EINPUT && file) status = rllc_fail_within(status, "%s", file);
done:
    rllc_yaml_free(root);
    if (status != RLLC_OK) rllc_run_config_release(c);
    return status;
}

void rllc_run_config_release(rllc_run_config *c) {
    rllc_free(c->seeds);
    rllc_free(c->corpora);
    *c = (rllc_run_config){0};
}
