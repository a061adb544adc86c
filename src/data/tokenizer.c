/* Tokenizers: finding the files of one, and what others may ask of it. */
#include <stdio.h>

#include "data/bpe.h"

static rllc_status load_json(rllc_tokenizer **out, const char *folder, const char *path) {
    const char *bos;
    rllc_status status = rllc_data_folder_bos(folder, &bos);
    return status == RLLC_OK ? rllc_data_tokenizer_json(out, path, bos) : status;
}

/* Some folders carry a tokenizer.json that numbers the tokens differently from vocab.json. The ids that a model was
   trained with cannot be told from the files; vocab.json, from which the other was made, is taken and the remark says
   so. */
static rllc_status load_both(rllc_tokenizer **out, const char *folder, const char *json) {
    rllc_status status = RLLC_OK;
    rllc_tokenizer *derived = NULL, *original = NULL;
    RLLC_TRY(load_json(&derived, folder, json));
    RLLC_TRY(rllc_data_vocab_merges(&original, folder));
    bool same = rllc_data_same_model(derived, original);
    if (!same) {
        original->remark = rllc_intern_printf("%s: tokenizer.json and vocab.json give tokens different ids; vocab.json "
                                              "and merges.txt are used (name %s to use the other)",
                                              folder, json);
        if (!original->remark) RLLC_TRY(rllc_fail(RLLC_ENOMEM, "no memory for a remark"));
    }
    *out = same ? derived : original;
    if (same) {
        derived = NULL;
    } else {
        original = NULL;
    }
done:
    rllc_tokenizer_free(derived);
    rllc_tokenizer_free(original);
    return status;
}

static rllc_status load_folder(rllc_tokenizer **out, const char *folder) {
    const char *json = rllc_intern_printf("%s/tokenizer.json", folder);
    const char *vocab = rllc_intern_printf("%s/vocab.json", folder),
               *merges = rllc_intern_printf("%s/merges.txt", folder);
    if (!json || !vocab || !merges) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    bool both = rllc_file_exists(vocab) && rllc_file_exists(merges);
    if (!rllc_file_exists(json)) return rllc_data_vocab_merges(out, folder);
    return both ? load_both(out, folder, json) : load_json(out, folder, json);
}

/* The folder a file lies in. */
static const char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return !slash ? "." : slash == path ? "/" : rllc_intern_printf("%.*s", (int)(slash - path), path);
}

rllc_status rllc_tokenizer_load(rllc_tokenizer **out, const char *path) {
    *out = NULL;
    if (!path || *path == '\0') return rllc_fail(RLLC_EUSAGE, "no tokenizer was named");
    if (!rllc_file_exists(path) && !rllc_is_folder(path)) {
        return rllc_fail(RLLC_ENOTFOUND, "%s: there is no such tokenizer file or folder", path);
    }
    if (rllc_is_folder(path)) return load_folder(out, path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *folder = folder_of(path);
    if (!folder) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    if (strcmp(name, "vocab.json") == 0 || strcmp(name, "merges.txt") == 0) return rllc_data_vocab_merges(out, folder);
    return load_json(out, folder, path);
}

int64_t rllc_tokenizer_size(const rllc_tokenizer *t) {
    return t->size;
}

int32_t rllc_tokenizer_bos(const rllc_tokenizer *t) {
    return t->bos;
}

rllc_hash rllc_tokenizer_hash(const rllc_tokenizer *t) {
    return t->hash;
}

const char *rllc_tokenizer_remark(const rllc_tokenizer *t) {
    return t->remark;
}

const char *rllc_tokenizer_token(const rllc_tokenizer *t, int32_t id, size_t *n) {
    *n = 0;
    if (id < 0 || id >= t->size) return NULL;
    *n = t->begin[id + 1] - t->begin[id] - 1;
    return t->bytes + t->begin[id];
}

rllc_status rllc_tokenizer_decode(const rllc_tokenizer *t, const int32_t *ids, int64_t n, rllc_string *out) {
    for (int64_t i = 0; i < n; i++) {
        size_t length;
        const char *bytes = rllc_tokenizer_token(t, ids[i], &length);
        if (!bytes) {
            return rllc_fail(RLLC_EINPUT, "the id %d at place %lld is outside the vocabulary; expected 0 .. %lld",
                             ids[i], (long long)i, (long long)t->size - 1);
        }
        rllc_status status = rllc_string_add_bytes(out, bytes, length);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}
