/* Reading tokenizer.json. What it asks for and this program does not do is refused by name, never passed over. */
#include <stdio.h>

#include "data/bpe.h"
#include "data/input.h"

/* A short name of a value for messages: its "type", or its JSON kind. */
static const char *kind_of(const rllc_json *j) {
    const char *type = rllc_json_text(rllc_json_get(j, "type"));
    if (type) return type;
    return rllc_json_is_object(j) ? "an object" : rllc_json_is_array(j) ? "a list" : "this value";
}

rllc_status rllc_data_want_boolean(const rllc_json *object, const char *key, bool fallback, const char *where,
                                   bool *out) {
    const rllc_json *j = rllc_json_get(object, key);
    bool if_true = rllc_json_to_boolean(j, false), if_false = rllc_json_to_boolean(j, true);
    *out = j ? if_true : fallback;
    if (!j || if_true == if_false) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "%s: '%s' must be true or false", where, key);
}

rllc_status rllc_data_want_nothing(const rllc_json *object, const char *key, const char *where) {
    const rllc_json *j = rllc_json_get(object, key);
    const char *text = rllc_json_text(j);
    if (!j || rllc_json_is_null(j) || (text && *text == '\0')) return RLLC_OK;
    if (!text && !rllc_json_is_object(j) && !rllc_json_is_array(j) && !rllc_json_to_boolean(j, false) &&
        rllc_json_to_real(j, 0.0) == 0.0) {
        return RLLC_OK;
    }
    return rllc_fail(RLLC_EUNSUPPORTED, "%s: %s (%s) is not supported; only a plain byte-level BPE tokenizer is", where,
                     key, text ? text : kind_of(j));
}

typedef struct key_check {
    const char *const *known;
    const char *where;
} key_check;

static rllc_status check_key(void *context, const char *key, const rllc_json *value) {
    const key_check *c = context;
    (void)value;
    for (const char *const *k = c->known; *k; k++) {
        if (strcmp(*k, key) == 0) return RLLC_OK;
    }
    return rllc_fail(RLLC_EUNSUPPORTED, "%s: the key '%s' is not known here; leaving it out might change the tokens",
                     c->where, key);
}

rllc_status rllc_data_want_keys(const rllc_json *object, const char *const *known, const char *where) {
    key_check check = {known, where};
    return rllc_json_each(object, check_key, &check);
}

/* null or "ByteLevel", alone or as the only step of a "Sequence": what acts on offsets and on decoding only. */
static rllc_status want_byte_level(const rllc_json *root, const char *key, const char *list, const char *path) {
    const rllc_json *j = rllc_json_get(root, key);
    const char *type = rllc_json_text(rllc_json_get(j, "type"));
    if (!j || rllc_json_is_null(j)) return RLLC_OK;
    if (type && strcmp(type, "Sequence") == 0) {
        const rllc_json *steps = rllc_json_get(j, list);
        if (rllc_json_is_array(steps) && rllc_json_length(steps) <= 1) {
            j = rllc_json_at(steps, 0);
            if (!j) return RLLC_OK;
            type = rllc_json_text(rllc_json_get(j, "type"));
        }
    }
    if (type && strcmp(type, "ByteLevel") == 0) return RLLC_OK;
    return rllc_fail(RLLC_EUNSUPPORTED, "%s: %s of type %s is not supported; only ByteLevel is", path, key, kind_of(j));
}

/* ---- model.vocab and added_tokens together give every id its token ----------------------------------------- */

typedef struct entry_list {
    rllc_data_entry *entries;
    int64_t n;
    const char *path;
} entry_list;

static rllc_status add_vocabulary_entry(void *context, const char *key, const rllc_json *value) {
    entry_list *list = context;
    if (!rllc_json_is_integer(value)) {
        return rllc_fail(RLLC_EINPUT, "%s: the id of the token '%s' must be an integer", list->path, key);
    }
    list->entries[list->n++] = (rllc_data_entry){key, strlen(key), rllc_json_to_integer(value, -1), true};
    return RLLC_OK;
}

static rllc_status read_tokens(rllc_tokenizer *t, const rllc_json *vocab, const rllc_json *added, const char *path) {
    rllc_status status = RLLC_OK;
    entry_list list = {.path = path};
    if (!rllc_json_is_object(vocab)) return rllc_fail(RLLC_EINPUT, "%s: model.vocab must be an object", path);
    if (added && !rllc_json_is_null(added) && !rllc_json_is_array(added)) {
        return rllc_fail(RLLC_EINPUT, "%s: added_tokens must be a list", path);
    }
    RLLC_TRY(rllc_alloc(&list.entries, rllc_json_length(vocab) + rllc_json_length(added), sizeof *list.entries));
    RLLC_TRY(rllc_json_each(vocab, add_vocabulary_entry, &list));
    for (int64_t i = 0; i < rllc_json_length(added); i++) {
        const rllc_json *token = rllc_json_at(added, i);
        const char *content = rllc_json_text(rllc_json_get(token, "content"));
        size_t n = rllc_json_text_length(rllc_json_get(token, "content"));
        if (!content || n == 0 || !rllc_json_is_integer(rllc_json_get(token, "id"))) {
            status = rllc_fail(RLLC_EINPUT, "%s: added_tokens number %lld must have an integer 'id' and a 'content'",
                               path, (long long)i + 1);
            goto done;
        }
        const rllc_json *twin = strlen(content) == n ? rllc_json_get(vocab, content) : NULL;
        int64_t id = rllc_json_to_integer(rllc_json_get(token, "id"), -1);
        if (twin && rllc_json_to_integer(twin, -1) != id) {
            status = rllc_fail(RLLC_EINPUT, "%s: the added token '%s' has id %lld, but in the vocabulary %lld", path,
                               content, (long long)id, (long long)rllc_json_to_integer(twin, -1));
            goto done;
        }
        if (!twin) list.entries[list.n++] = (rllc_data_entry){content, n, id, false};
    }
    RLLC_TRY(rllc_data_tokens(t, list.entries, list.n, path));
done:
    rllc_free(list.entries);
    return status;
}

/* ---- merges ------------------------------------------------------------------------------------------------ */

/* "a b": exactly one blank, with something on both sides. */
static rllc_status read_merge_text(rllc_tokenizer *t, const char *text, size_t n, const char *where) {
    const char *blank = memchr(text, ' ', n);
    size_t left = blank ? (size_t)(blank - text) : n;
    rllc_string parts = {0};
    if (!blank || memchr(blank + 1, ' ', n - left - 1)) {
        return rllc_fail(RLLC_EINPUT, "%s: '%s' is not two tokens with one blank between them", where, text);
    }
    /* The halves are wanted with a NUL behind each, for messages. */
    rllc_status status = rllc_string_add_bytes(&parts, text, n);
    if (status == RLLC_OK) {
        parts.data[left] = '\0';
        status = rllc_data_merge_add(t, parts.data, left, parts.data + left + 1, n - left - 1, where);
    }
    rllc_string_release(&parts);
    return status;
}

static rllc_status read_merges(rllc_tokenizer *t, const rllc_json *merges, const char *path) {
    char where[512];
    if (!rllc_json_is_array(merges)) return rllc_fail(RLLC_EINPUT, "%s: model.merges must be a list", path);
    for (int64_t i = 0; i < rllc_json_length(merges); i++) {
        const rllc_json *merge = rllc_json_at(merges, i), *a = rllc_json_at(merge, 0), *b = rllc_json_at(merge, 1);
        const char *text = rllc_json_text(merge);
        rllc_status status = RLLC_OK;
        snprintf(where, sizeof where, "%.400s: model.merges number %lld", path, (long long)i + 1);
        if (text && strncmp(text, "#version", 8) == 0) continue; /* a line of merges.txt that was carried over */
        if (text) {
            status = read_merge_text(t, text, rllc_json_text_length(merge), where);
        } else if (rllc_json_length(merge) == 2 && rllc_json_is_string(a) && rllc_json_is_string(b)) {
            status = rllc_data_merge_add(t, rllc_json_text(a), rllc_json_text_length(a), rllc_json_text(b),
                                         rllc_json_text_length(b), where);
        } else {
            status = rllc_fail(RLLC_EINPUT, "%s: expected [\"a\", \"b\"] or \"a b\"", where);
        }
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* ---- the model and the file -------------------------------------------------------------------------------- */

static rllc_status read_model_options(rllc_tokenizer *t, const rllc_json *model, const char *path) {
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    rllc_status status = RLLC_OK;
    const rllc_json *type = rllc_json_get(model, "type");
    if (!rllc_json_is_object(model)) return rllc_fail(RLLC_EINPUT, "%s: 'model' must be an object", path);
    if (type && (!rllc_json_text(type) || strcmp(rllc_json_text(type), "BPE") != 0)) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: a model of type %s is not supported; only BPE is", path,
                         kind_of(model));
    }
    RLLC_TRY(rllc_data_want_keys(model, known, path));
    RLLC_TRY(rllc_data_want_nothing(model, "dropout", path));
    RLLC_TRY(rllc_data_want_nothing(model, "continuing_subword_prefix", path));
    RLLC_TRY(rllc_data_want_nothing(model, "end_of_word_suffix", path));
    RLLC_TRY(rllc_data_want_nothing(model, "byte_fallback", path));
    RLLC_TRY(rllc_data_want_boolean(model, "ignore_merges", false, path, &t->ignore_merges));
done:
    return status;
}

/* With all 256 byte symbols nothing is ever unknown; without, an unknown token would be needed. */
static rllc_status check_unknown(const rllc_tokenizer *t, const rllc_json *model, const char *path) {
    for (int i = 0; i < 256; i++) {
        if (t->byte_id[i] < 0) return rllc_data_want_nothing(model, "unk_token", path);
    }
    return RLLC_OK;
}

static rllc_status read_file(rllc_tokenizer *t, const rllc_json *root, const char *path, const char *bos) {
    static const char *const known[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    rllc_status status = RLLC_OK;
    const char *version = rllc_json_text(rllc_json_get(root, "version"));
    const rllc_json *model = rllc_json_get(root, "model"), *added = rllc_json_get(root, "added_tokens");
    if (!rllc_json_is_object(root) || !model) {
        return rllc_fail(RLLC_EINPUT, "%s: not a tokenizer.json: it has no 'model'", path);
    }
    if (rllc_json_get(root, "version") && (!version || strcmp(version, "1.0") != 0)) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: 'version' is '%s'; only \"1.0\" is known", path,
                         version ? version : "not text");
    }
    RLLC_TRY(rllc_data_want_keys(root, known, path));
    RLLC_TRY(rllc_data_want_nothing(root, "truncation", path));
    RLLC_TRY(rllc_data_want_nothing(root, "padding", path));
    RLLC_TRY(rllc_data_want_nothing(root, "normalizer", path));
    RLLC_TRY(want_byte_level(root, "post_processor", "processors", path));
    RLLC_TRY(want_byte_level(root, "decoder", "decoders", path));
    RLLC_TRY(read_model_options(t, model, path));
    RLLC_TRY(rllc_data_read_pretokenizer(t, rllc_json_get(root, "pre_tokenizer"), path));
    RLLC_TRY(read_tokens(t, rllc_json_get(model, "vocab"), added, path));
    RLLC_TRY(read_merges(t, rllc_json_get(model, "merges"), path));
    RLLC_TRY(rllc_data_read_added(t, added, path));
    RLLC_TRY(rllc_data_tokenizer_finish(t, bos, bos ? strlen(bos) : 0, path));
    RLLC_TRY(check_unknown(t, model, path));
done:
    return status;
}

rllc_status rllc_data_tokenizer_json(rllc_tokenizer **out, const char *path, const char *bos) {
    rllc_status status = RLLC_OK;
    rllc_tokenizer *t = NULL;
    rllc_json *root = NULL;
    *out = NULL;
    RLLC_TRY(rllc_data_json_load(&root, path));
    RLLC_TRY(rllc_data_tokenizer_new(&t));
    RLLC_TRY(read_file(t, root, path, bos));
    *out = t;
    t = NULL;
done:
    rllc_json_free(root);
    rllc_tokenizer_free(t);
    return status;
}
