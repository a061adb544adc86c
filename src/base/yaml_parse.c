/* YAML text to a tree, without the parts of YAML that surprise: anchors, merge keys, foreign tags, duplicate keys. */
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/yaml.h"

#define LARGEST ((size_t)16 << 20) /* bytes of a document */

typedef struct reader {
    yaml_parser_t parser;
    const char *file; /* interned */
} reader;

static rllc_status read_node(reader *r, yaml_event_t *event, int depth, rllc_yaml **out);

static rllc_status syntax_error(const reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return rllc_fail(RLLC_ENOMEM, "%s: no memory to read it", r->file);
    const char *problem = p->problem ? p->problem : "something is wrong";
    if (p->error == YAML_READER_ERROR) {
        return rllc_fail(RLLC_EINPUT, "%s: byte %zu: %s; expected UTF-8 text", r->file, p->problem_offset, problem);
    }
    return rllc_fail(RLLC_EINPUT, "%s:%zu: %s%s%s; expected valid YAML", r->file, p->problem_mark.line + 1, problem,
                     p->context ? " " : "", p->context ? p->context : "");
}

static rllc_status next_event(reader *r, yaml_event_t *event) {
    return yaml_parser_parse(&r->parser, event) ? RLLC_OK : syntax_error(r);
}

static int line_of(const yaml_event_t *event) {
    return (int)event->start_mark.line + 1;
}

static bool one_of(const char *word, const char *const *words, int n) {
    for (int i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) return true;
    }
    return false;
}

/* Tags of the core types are accepted where they say what the node is anyway; the schema decides how text is read. */
static rllc_status check_tag(const reader *r, const yaml_event_t *event, const void *anchor, const void *tag) {
    static const char *const for_scalars[] = {"!", YAML_STR_TAG, YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG,
                                              YAML_NULL_TAG};
    static const char *const for_lists[] = {"!", YAML_SEQ_TAG}, *const for_maps[] = {"!", YAML_MAP_TAG};
    if (anchor) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: anchors (&%.64s) are not supported; write the value out", r->file,
                         line_of(event), (const char *)anchor);
    }
    bool known = !tag || (event->type == YAML_SCALAR_EVENT           ? one_of(tag, for_scalars, 6)
                          : event->type == YAML_SEQUENCE_START_EVENT ? one_of(tag, for_lists, 2)
                                                                     : one_of(tag, for_maps, 2));
    if (known) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "%s:%d: the tag %.64s is not supported here; leave it out", r->file, line_of(event),
                     (const char *)tag);
}

static rllc_status check_scalar(const reader *r, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) == event->data.scalar.length) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "%s:%d: a text holds a NUL character; take it out", r->file, line_of(event));
}

static bool is_null(const yaml_event_t *event) {
    static const char *const spellings[] = {"", "~", "null", "Null", "NULL"};
    const char *tag = (const char *)event->data.scalar.tag;
    if (tag) return strcmp(tag, YAML_NULL_TAG) == 0;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           one_of((const char *)event->data.scalar.value, spellings, 5);
}

static rllc_status read_scalar(reader *r, const yaml_event_t *event, rllc_yaml *y) {
    rllc_status status = check_tag(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (status == RLLC_OK) status = check_scalar(r, event);
    if (status != RLLC_OK) return status;
    y->is_null = is_null(event);
    y->scalar = strdup((const char *)event->data.scalar.value);
    return y->scalar ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "%s: no memory for a value", r->file);
}

static rllc_status read_list(reader *r, const yaml_event_t *start, int depth, rllc_yaml *y) {
    rllc_status status =
        check_tag(r, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
    while (status == RLLC_OK) {
        yaml_event_t event;
        rllc_yaml *item = NULL;
        status = next_event(r, &event);
        if (status != RLLC_OK) break;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end) status = read_node(r, &event, depth + 1, &item);
        if (!end && status == RLLC_OK) status = rllc_base_yaml_add(y, NULL, item);
        yaml_event_delete(&event);
        if (end) break;
    }
    return status;
}

static rllc_status check_key(reader *r, const yaml_event_t *event) {
    if (event->type != YAML_SCALAR_EVENT) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: a key is %s, expected a plain word", r->file, line_of(event),
                         event->type == YAML_ALIAS_EVENT ? "an alias" : "a list or map");
    }
    rllc_status status = check_tag(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (status == RLLC_OK) status = check_scalar(r, event);
    if (status != RLLC_OK) return status;
    if (strcmp((const char *)event->data.scalar.value, "<<") == 0) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: merge keys (<<) are not supported; write the keys out", r->file,
                         line_of(event));
    }
    if (event->data.scalar.length > RLLC_YAML_LONGEST_KEY) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: a key of %zu bytes is too long, expected at most %d", r->file,
                         line_of(event), event->data.scalar.length, RLLC_YAML_LONGEST_KEY);
    }
    return RLLC_OK;
}

/* One key and its value; the value takes the line of its key, where a message should point. */
static rllc_status read_member(reader *r, const yaml_event_t *key, int depth, rllc_yaml *y) {
    yaml_event_t event;
    rllc_yaml *value = NULL;
    rllc_status status = check_key(r, key);
    if (status == RLLC_OK) status = next_event(r, &event);
    if (status != RLLC_OK) return status;
    status = read_node(r, &event, depth + 1, &value);
    yaml_event_delete(&event);
    if (status != RLLC_OK) return status;
    value->line = line_of(key);
    return rllc_base_yaml_add(y, (const char *)key->data.scalar.value, value);
}

typedef struct numbered_key {
    const char *key;
    int64_t at;
} numbered_key;

static int by_key_then_place(const void *a, const void *b) {
    const numbered_key *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Sorting finds repetitions in n log n, also among a hostile million keys. */
static rllc_status refuse_duplicates(const reader *r, const rllc_yaml *map) {
    numbered_key *sorted;
    rllc_status status = rllc_alloc(&sorted, map->n, sizeof *sorted);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < map->n; i++) sorted[i] = (numbered_key){.key = map->keys[i], .at = i};
    qsort(sorted, (size_t)map->n, sizeof *sorted, by_key_then_place);
    for (int64_t i = 1; i < map->n && status == RLLC_OK; i++) {
        if (strcmp(sorted[i].key, sorted[i - 1].key) != 0) continue;
        status = rllc_fail(RLLC_EINPUT, "%s:%d: the key '%s' stands here again, first in line %d; keep one of them",
                           r->file, map->items[sorted[i].at]->line, sorted[i].key,
                           map->items[sorted[i - 1].at]->line);
    }
    rllc_free(sorted);
    return status;
}

static rllc_status read_map(reader *r, const yaml_event_t *start, int depth, rllc_yaml *y) {
    rllc_status status = check_tag(r, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
    while (status == RLLC_OK) {
        yaml_event_t key;
        status = next_event(r, &key);
        if (status != RLLC_OK) break;
        bool end = key.type == YAML_MAPPING_END_EVENT;
        if (!end) status = read_member(r, &key, depth, y);
        yaml_event_delete(&key);
        if (end) break;
    }
    return status == RLLC_OK ? refuse_duplicates(r, y) : status;
}

/* The node that begins with `event`. */
static rllc_status read_node(reader *r, yaml_event_t *event, int depth, rllc_yaml **out) {
    *out = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: aliases (*%.64s) are not supported; write the value out", r->file,
                         line_of(event), (const char *)event->data.alias.anchor);
    }
    if (depth > RLLC_YAML_DEEPEST) {
        return rllc_fail(RLLC_EINPUT, "%s:%d: nested deeper than %d", r->file, line_of(event), RLLC_YAML_DEEPEST);
    }
    bool list = event->type == YAML_SEQUENCE_START_EVENT, map = event->type == YAML_MAPPING_START_EVENT;
    rllc_yaml *y = rllc_base_yaml_new(list ? RLLC_YAML_LIST : map ? RLLC_YAML_MAP : RLLC_YAML_SCALAR, r->file,
                                      line_of(event));
    if (!y) return rllc_fail(RLLC_ENOMEM, "%s: no memory to read it", r->file);
    rllc_status status = list  ? read_list(r, event, depth, y)
                         : map ? read_map(r, event, depth, y)
                               : read_scalar(r, event, y);
    if (status == RLLC_OK) *out = y;
    else rllc_yaml_free(y);
    return status;
}

/* After the first document: its end, then the end of the stream. */
static rllc_status expect_end(reader *r) {
    for (;;) {
        yaml_event_t event;
        rllc_status status = next_event(r, &event);
        if (status != RLLC_OK) return status;
        yaml_event_type_t type = event.type;
        int line = line_of(&event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT) return RLLC_OK;
        if (type != YAML_DOCUMENT_END_EVENT) {
            return rllc_fail(RLLC_EINPUT, "%s:%d: a second document begins; expected one only", r->file, line);
        }
    }
}

/* The one document of the stream; none at all is an empty map. */
static rllc_status read_stream(reader *r, rllc_yaml **out) {
    for (;;) {
        yaml_event_t event;
        rllc_status status = next_event(r, &event);
        if (status != RLLC_OK) return status;
        bool before = event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT;
        bool nothing = event.type == YAML_STREAM_END_EVENT;
        if (!before && !nothing) status = read_node(r, &event, 1, out);
        yaml_event_delete(&event);
        if (before) continue;
        if (!nothing) return status == RLLC_OK ? expect_end(r) : status;
        *out = rllc_base_yaml_new(RLLC_YAML_MAP, r->file, 1);
        return *out ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "%s: no memory to read it", r->file);
    }
}

rllc_status rllc_yaml_parse(rllc_yaml **out, const char *text, size_t n, const char *name) {
    reader r = {.file = rllc_intern(name)};
    rllc_yaml *document = NULL;
    *out = NULL;
    if (n > LARGEST) {
        return rllc_fail(RLLC_EINPUT, "%s: found %zu bytes of YAML, expected at most %zu", name, n, LARGEST);
    }
    if (!r.file || !yaml_parser_initialize(&r.parser)) return rllc_fail(RLLC_ENOMEM, "%s: no memory to read it", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(n > 0 ? text : ""), n);
    rllc_status status = read_stream(&r, &document);
    yaml_parser_delete(&r.parser);
    if (status == RLLC_OK) *out = document;
    else rllc_yaml_free(document);
    return status;
}

rllc_status rllc_yaml_load(rllc_yaml **out, const char *path) {
    rllc_mapping m;
    *out = NULL;
    rllc_status status = rllc_mapping_open(&m, path);
    if (status != RLLC_OK) return status;
    status = rllc_yaml_parse(out, (const char *)m.data, m.size, path);
    rllc_mapping_close(&m);
    return status;
}
