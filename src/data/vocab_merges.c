/* Reading a tokenizer from vocab.json and merges.txt, with what the files beside them say about special tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "data/bpe.h"
#include "data/input.h"

typedef struct extra {
    const char *content;
    int64_t id;
    bool special, normalized;
} extra;

/* What is read from one folder; the texts belong to the JSON values. */
typedef struct folder {
    char path[3072];
    rllc_json *vocab, *config, *map, *added; /* all but vocab may be NULL */
    rllc_data_entry *entries;
    int64_t n_entries;
    extra *extras;
    int64_t n_extras;
} folder;

static rllc_status join(char out[4096], const char *path, const char *name) {
    int n = snprintf(out, 4096, "%s/%s", path, name);
    return n > 0 && n < 4096 ? RLLC_OK : rllc_fail(RLLC_EINPUT, "%.100s...: the path is too long", path);
}

static rllc_status load_if_there(rllc_json **out, const char *path, const char *name) {
    char file[4096];
    *out = NULL;
    rllc_status status = join(file, path, name);
    if (status != RLLC_OK || !rllc_file_exists(file)) return status;
    status = rllc_data_json_load(out, file);
    if (status == RLLC_OK && !rllc_json_is_object(*out)) return rllc_fail(RLLC_EINPUT, "%s: must be an object", file);
    return status;
}

/* A token named by text or by {"content": text}; NULL if it is not named. */
static const char *named_token(const rllc_json *j, const char *key) {
    const rllc_json *value = rllc_json_get(j, key);
    const char *text = rllc_json_text(value);
    return text ? text : rllc_json_text(rllc_json_get(value, "content"));
}

static extra *find_extra(const folder *f, const char *content) {
    for (int64_t i = 0; i < f->n_extras; i++) {
        if (strcmp(f->extras[i].content, content) == 0) return &f->extras[i];
    }
    return NULL;
}

static rllc_status add_extra(folder *f, extra e) {
    int64_t in_vocabulary = rllc_json_to_integer(rllc_json_get(f->vocab, e.content), -1);
    extra *twin = find_extra(f, e.content);
    if (e.content[0] == '\0') return rllc_fail(RLLC_EINPUT, "%s: an added token is empty", f->path);
    if ((in_vocabulary >= 0 && in_vocabulary != e.id) || (twin && twin->id != e.id)) {
        return rllc_fail(RLLC_EINPUT, "%s: the added token '%s' has id %lld, but elsewhere in the folder %lld", f->path,
                         e.content, (long long)e.id, (long long)(twin ? twin->id : in_vocabulary));
    }
    if (twin) {
        twin->special = twin->special || e.special;
        return RLLC_OK;
    }
    rllc_status status = rllc_grow(&f->extras, f->n_extras, f->n_extras + 1, sizeof *f->extras);
    if (status == RLLC_OK) f->extras[f->n_extras++] = e;
    return status;
}

static rllc_status add_from_decoder(void *context, const char *key, const rllc_json *value) {
    folder *f = context;
    rllc_status status = RLLC_OK;
    extra e = {.content = rllc_json_text(rllc_json_get(value, "content"))};
    char *end;
    e.id = strtoll(key, &end, 10);
    if (!e.content || *end || end == key || e.id < 0) {
        return rllc_fail(RLLC_EINPUT,
                         "%s/tokenizer_config.json: added_tokens_decoder must map ids to tokens with a 'content'",
                         f->path);
    }
    RLLC_TRY(rllc_data_want_nothing(value, "single_word", f->path));
    RLLC_TRY(rllc_data_want_nothing(value, "lstrip", f->path));
    RLLC_TRY(rllc_data_want_nothing(value, "rstrip", f->path));
    RLLC_TRY(rllc_data_want_boolean(value, "special", false, f->path, &e.special));
    RLLC_TRY(rllc_data_want_boolean(value, "normalized", !e.special, f->path, &e.normalized));
    RLLC_TRY(add_extra(f, e));
done:
    return status;
}

static rllc_status add_from_list(void *context, const char *key, const rllc_json *value) {
    folder *f = context;
    if (!rllc_json_is_integer(value)) {
        return rllc_fail(RLLC_EINPUT, "%s/added_tokens.json: the id of '%s' must be an integer", f->path, key);
    }
    return add_extra(f, (extra){key, rllc_json_to_integer(value, -1), false, false});
}

static rllc_status add_vocabulary(void *context, const char *key, const rllc_json *value) {
    folder *f = context;
    if (!rllc_json_is_integer(value)) {
        return rllc_fail(RLLC_EINPUT, "%s/vocab.json: the id of the token '%s' must be an integer", f->path, key);
    }
    f->entries[f->n_entries++] = (rllc_data_entry){key, strlen(key), rllc_json_to_integer(value, -1), true};
    return RLLC_OK;
}

/* Special are the tokens with a role, and <|endoftext|>, where the vocabulary or the added tokens have them. */
static rllc_status mark_special(folder *f) {
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    const char *names[9] = {"<|endoftext|>"};
    for (int i = 0; i < 4; i++) {
        names[1 + i] = named_token(f->config, roles[i]);
        names[5 + i] = named_token(f->map, roles[i]);
    }
    for (int i = 0; i < 9; i++) {
        if (!names[i]) continue;
        extra *known = find_extra(f, names[i]);
        int64_t id = known ? known->id : rllc_json_to_integer(rllc_json_get(f->vocab, names[i]), -1);
        if (id < 0) continue;
        rllc_status status = add_extra(f, (extra){names[i], id, true, false});
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

static rllc_status read_tokens(rllc_tokenizer *t, folder *f) {
    rllc_status status = RLLC_OK;
    const rllc_json *decoder = rllc_json_get(f->config, "added_tokens_decoder");
    if (rllc_json_is_object(decoder)) RLLC_TRY(rllc_json_each(decoder, add_from_decoder, f));
    if (f->added) RLLC_TRY(rllc_json_each(f->added, add_from_list, f));
    RLLC_TRY(mark_special(f));
    RLLC_TRY(rllc_alloc(&f->entries, rllc_json_length(f->vocab) + f->n_extras, sizeof *f->entries));
    RLLC_TRY(rllc_json_each(f->vocab, add_vocabulary, f));
    for (int64_t i = 0; i < f->n_extras; i++) {
        const extra *e = &f->extras[i];
        if (rllc_json_get(f->vocab, e->content)) continue;
        f->entries[f->n_entries++] = (rllc_data_entry){e->content, strlen(e->content), e->id, false};
    }
    RLLC_TRY(rllc_data_tokens(t, f->entries, f->n_entries, f->path));
    for (int64_t i = 0; i < f->n_extras; i++) {
        const extra *e = &f->extras[i];
        RLLC_TRY(rllc_data_added_add(t, (int32_t)e->id, e->special, e->normalized, f->path));
    }
done:
    return status;
}

/* One "a b" a line; a first line "#version: ..." is a comment. */
static rllc_status read_merge_line(rllc_tokenizer *t, const char *line, size_t n, const char *where) {
    rllc_string text = {0};
    rllc_status status = RLLC_OK;
    const char *blank = memchr(line, ' ', n);
    RLLC_TRY(rllc_string_add_bytes(&text, line, n));
    if (!blank || memchr(blank + 1, ' ', n - (size_t)(blank - line) - 1)) {
        status = rllc_fail(RLLC_EINPUT, "%s: '%.200s' is not two tokens with one blank between them", where,
                           rllc_string_text(&text));
        goto done;
    }
    size_t left = (size_t)(blank - line);
    text.data[left] = '\0';
    RLLC_TRY(rllc_data_merge_add(t, text.data, left, text.data + left + 1, n - left - 1, where));
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status read_merges(rllc_tokenizer *t, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_mapping m = {0};
    char file[4096], where[4200];
    size_t bad;
    RLLC_TRY(join(file, path, "merges.txt"));
    RLLC_TRY(rllc_mapping_open(&m, file));
    if (!rllc_utf8_valid(m.data, m.size, &bad)) {
        status = rllc_fail(RLLC_EINPUT, "%s: byte %zu is not valid UTF-8", file, bad);
        goto done;
    }
    const char *text = (const char *)m.data;
    long long number = 1;
    for (size_t at = 0, next; at < m.size; at = next, number++) {
        const char *newline = memchr(text + at, '\n', m.size - at);
        size_t end = newline ? (size_t)(newline - text) : m.size, n = end - at;
        next = newline ? end + 1 : end;
        if (n > 0 && text[end - 1] == '\r') n--;
        if (n >= 8 && memcmp(text + at, "#version", 8) == 0) continue;
        snprintf(where, sizeof where, "%s:%lld", file, number);
        RLLC_TRY(read_merge_line(t, text + at, n, where));
    }
done:
    rllc_mapping_close(&m);
    return status;
}

static rllc_status read_folder(rllc_tokenizer *t, folder *f) {
    rllc_status status = RLLC_OK;
    const char *bos;
    RLLC_TRY(rllc_data_want_boolean(f->config, "add_prefix_space", false, f->path, &t->add_prefix_space));
    t->use_regex = true;
    RLLC_TRY(read_tokens(t, f));
    RLLC_TRY(read_merges(t, f->path));
    bos = named_token(f->config, "bos_token");
    if (!bos) bos = named_token(f->map, "bos_token");
    RLLC_TRY(rllc_data_tokenizer_finish(t, bos, bos ? strlen(bos) : 0, f->path));
done:
    return status;
}

static void release_folder(folder *f) {
    rllc_json_free(f->vocab);
    rllc_json_free(f->config);
    rllc_json_free(f->map);
    rllc_json_free(f->added);
    rllc_free(f->entries);
    rllc_free(f->extras);
}

rllc_status rllc_data_vocab_merges(rllc_tokenizer **out, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_tokenizer *t = NULL;
    folder f = {0};
    *out = NULL;
    if (strlen(path) >= sizeof f.path) return rllc_fail(RLLC_EINPUT, "%.100s...: the path is too long", path);
    memcpy(f.path, path, strlen(path) + 1);
    RLLC_TRY(load_if_there(&f.vocab, path, "vocab.json"));
    RLLC_TRY(load_if_there(&f.config, path, "tokenizer_config.json"));
    RLLC_TRY(load_if_there(&f.map, path, "special_tokens_map.json"));
    RLLC_TRY(load_if_there(&f.added, path, "added_tokens.json"));
    if (!f.vocab) {
        status = rllc_fail(RLLC_ENOTFOUND, "%s: holds neither tokenizer.json nor vocab.json", path);
        goto done;
    }
    RLLC_TRY(rllc_data_tokenizer_new(&t));
    RLLC_TRY(read_folder(t, &f));
    *out = t;
    t = NULL;
done:
    release_folder(&f);
    rllc_tokenizer_free(t);
    return status;
}

rllc_status rllc_data_folder_bos(const char *path, const char **bos) {
    rllc_status status = RLLC_OK;
    rllc_json *config = NULL, *map = NULL;
    *bos = NULL;
    RLLC_TRY(load_if_there(&config, path, "tokenizer_config.json"));
    RLLC_TRY(load_if_there(&map, path, "special_tokens_map.json"));
    const char *name = named_token(config, "bos_token");
    if (!name) name = named_token(map, "bos_token");
    *bos = rllc_intern(name);
    if (name && !*bos) status = rllc_fail(RLLC_ENOMEM, "no memory for the name of a token");
done:
    rllc_json_free(config);
    rllc_json_free(map);
    return status;
}
