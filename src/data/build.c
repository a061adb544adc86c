/* Putting a tokenizer together: ids and names, merges, added tokens, and what follows from them. */
#include <stdlib.h>

#include "data/bpe.h"

enum { MAX_ADDED = 4096 };

rllc_status rllc_data_tokenizer_new(rllc_tokenizer **out) {
    rllc_status status = rllc_alloc(out, 1, sizeof **out);
    if (status == RLLC_OK) (*out)->bos = -1;
    return status;
}

void rllc_tokenizer_free(rllc_tokenizer *t) {
    if (!t) return;
    rllc_data_strings_release(&t->names);
    rllc_data_strings_release(&t->whole);
    rllc_data_pairs_release(&t->ranks);
    for (int64_t i = 0; i < t->n_splits; i++) rllc_data_split_free(t->splits[i]);
    rllc_free(t->splits);
    rllc_free(t->bytes);
    rllc_free(t->begin);
    rllc_free(t->in_model);
    rllc_free(t->left);
    rllc_free(t->right);
    rllc_free(t->result);
    rllc_free(t->whole_id);
    rllc_free(t->added);
    rllc_free(t);
}

static int by_id(const void *a, const void *b) {
    int64_t x = ((const rllc_data_entry *)a)->id, y = ((const rllc_data_entry *)b)->id;
    return (x > y) - (x < y);
}

/* The entries are sorted by id. */
static rllc_status check_id(const rllc_data_entry *entries, int64_t n, int64_t i, const char *file) {
    if (entries[i].id == i) return RLLC_OK;
    for (int64_t k = 1; k < n; k++) {
        const rllc_data_entry *e = &entries[k];
        if (e->id != e[-1].id) continue;
        return rllc_fail(RLLC_EINPUT, "%s: the tokens '%s' and '%s' have the same id %lld", file, e[-1].name, e->name,
                         (long long)e->id);
    }
    return rllc_fail(RLLC_EUNSUPPORTED, "%s: the ids of %lld tokens must be 0..%lld without gaps, but '%s' has id %lld",
                     file, (long long)n, (long long)n - 1, entries[i].name, (long long)entries[i].id);
}

rllc_status rllc_data_tokens(rllc_tokenizer *t, rllc_data_entry *entries, int64_t n, const char *file) {
    rllc_status status = RLLC_OK;
    if (n == 0) return rllc_fail(RLLC_EINPUT, "%s: the vocabulary is empty", file);
    if (n > INT32_MAX) return rllc_fail(RLLC_EUNSUPPORTED, "%s: more than %d tokens", file, INT32_MAX);
    qsort(entries, (size_t)n, sizeof *entries, by_id);
    RLLC_TRY(rllc_alloc(&t->in_model, n, sizeof *t->in_model));
    for (int64_t i = 0; i < n; i++) {
        const rllc_data_entry *e = &entries[i];
        RLLC_TRY(check_id(entries, n, i, file));
        int64_t index;
        RLLC_TRY(rllc_data_strings_add(&t->names, e->name, e->n, &index));
        if (index != i) {
            status = rllc_fail(RLLC_EINPUT, "%s: the token '%s' has two ids, %lld and %lld", file, e->name,
                               (long long)index, (long long)i);
            goto done;
        }
        t->in_model[i] = e->in_model;
    }
    t->size = n;
done:
    return status;
}

static rllc_status merges_reserve(rllc_tokenizer *t) {
    rllc_status status = RLLC_OK;
    if (t->n_merges < t->merges_capacity) return RLLC_OK;
    int64_t capacity = t->merges_capacity > 0 ? t->merges_capacity * 2 : 1024;
    if (capacity > INT32_MAX) return rllc_fail(RLLC_EUNSUPPORTED, "more than %d merges", INT32_MAX);
    RLLC_TRY(rllc_grow(&t->left, t->n_merges, capacity, sizeof *t->left));
    RLLC_TRY(rllc_grow(&t->right, t->n_merges, capacity, sizeof *t->right));
    RLLC_TRY(rllc_grow(&t->result, t->n_merges, capacity, sizeof *t->result));
    t->merges_capacity = capacity;
done:
    return status;
}

/* The id of a name that is in model.vocab, -1 if there is none. */
static int64_t model_id(const rllc_tokenizer *t, const char *name, size_t n) {
    int64_t id = rllc_data_strings_find(&t->names, name, n);
    return id >= 0 && t->in_model[id] ? id : -1;
}

rllc_status rllc_data_merge_add(rllc_tokenizer *t, const char *a, size_t n_a, const char *b, size_t n_b,
                                const char *where) {
    rllc_status status = RLLC_OK;
    rllc_string joined = {0};
    RLLC_TRY(rllc_string_add_bytes(&joined, a, n_a));
    RLLC_TRY(rllc_string_add_bytes(&joined, b, n_b));
    int64_t left = model_id(t, a, n_a), right = model_id(t, b, n_b);
    int64_t result = model_id(t, rllc_string_text(&joined), joined.length);
    if (n_a == 0 || n_b == 0 || left < 0 || right < 0 || result < 0) {
        const char *missing = left < 0 ? a : right < 0 ? b : rllc_string_text(&joined);
        status = n_a == 0 || n_b == 0
                     ? rllc_fail(RLLC_EINPUT, "%s: a merge needs two tokens that are not empty", where)
                     : rllc_fail(RLLC_EINPUT, "%s: merge of '%s' and '%s': '%s' is not in the vocabulary", where, a, b,
                                 missing);
        goto done;
    }
    int64_t before = rllc_data_pairs_find(&t->ranks, (int32_t)left, (int32_t)right);
    if (before >= 0) {
        status = rllc_fail(RLLC_EINPUT, "%s: the merge of '%s' and '%s' stands here again (first as number %lld)",
                           where, a, b, (long long)before + 1);
        goto done;
    }
    RLLC_TRY(merges_reserve(t));
    RLLC_TRY(rllc_data_pairs_add(&t->ranks, (int32_t)left, (int32_t)right, t->n_merges));
    t->left[t->n_merges] = (int32_t)left;
    t->right[t->n_merges] = (int32_t)right;
    t->result[t->n_merges++] = (int32_t)result;
done:
    rllc_string_release(&joined);
    return status;
}

rllc_status rllc_data_added_add(rllc_tokenizer *t, int32_t id, bool special, bool normalized, const char *file) {
    for (int64_t i = 0; i < t->n_added; i++) {
        if (t->added[i].id != id) continue;
        size_t n;
        return rllc_fail(RLLC_EINPUT, "%s: the added token '%s' is listed twice", file,
                         rllc_data_string(&t->names, id, &n));
    }
    if (t->n_added == MAX_ADDED) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: more than %d added tokens", file, MAX_ADDED);
    }
    rllc_status status = rllc_grow(&t->added, t->n_added, t->n_added + 1, sizeof *t->added);
    if (status == RLLC_OK) t->added[t->n_added++] = (rllc_data_added){id, special, normalized};
    return status;
}

rllc_status rllc_data_split_add(rllc_tokenizer *t, rllc_data_split *step) {
    rllc_status status = rllc_grow(&t->splits, t->n_splits, t->n_splits + 1, sizeof *t->splits);
    if (status == RLLC_OK) {
        t->splits[t->n_splits++] = step;
    } else {
        rllc_data_split_free(step);
    }
    return status;
}

/* The raw bytes of every token: those behind its symbols, or, where it has other characters or is only an added token,
   its own. Also finds the tokens of single bytes. spelled: [size] the token is in the vocabulary and all symbols. */
static rllc_status spell_tokens(rllc_tokenizer *t, bool *spelled) {
    rllc_status status = RLLC_OK;
    size_t at = 0;
    RLLC_TRY(rllc_alloc(&t->bytes, (int64_t)t->names.n_bytes, 1)); /* symbols are never shorter than their bytes */
    RLLC_TRY(rllc_alloc(&t->begin, t->size + 1, sizeof *t->begin));
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    for (int64_t id = 0; id < t->size; id++) {
        size_t n, m;
        const char *name = rllc_data_string(&t->names, id, &n);
        unsigned char *out = (unsigned char *)t->bytes + at;
        t->begin[id] = at;
        spelled[id] = rllc_data_bytes_of(name, n, out, &m) && m > 0 && t->in_model[id];
        if (!spelled[id]) {
            memcpy(out, name, n);
            m = n;
        } else if (m == 1) {
            t->byte_id[out[0]] = (int32_t)id;
        }
        out[m] = '\0';
        at += m + 1;
    }
    t->begin[t->size] = at;
done:
    return status;
}

/* Whether merging this token's bytes gives the token itself. */
static rllc_status merges_to_itself(const rllc_tokenizer *t, int64_t id, rllc_data_workspace *w, rllc_ids *ids,
                                    bool *yes) {
    size_t n;
    const unsigned char *bytes = (const unsigned char *)rllc_tokenizer_token(t, (int32_t)id, &n);
    *yes = false;
    for (size_t i = 0; i < n; i++) {
        if (t->byte_id[bytes[i]] < 0) return RLLC_OK;
    }
    ids->n = 0;
    rllc_status status = rllc_data_merge(t, w, bytes, n, ids);
    *yes = status == RLLC_OK && ids->n == 1 && ids->data[0] == id;
    return status;
}

/* Most pre-tokens are one token: they are found by their bytes, as a merge once and for all has shown. */
static rllc_status find_whole_tokens(rllc_tokenizer *t, const bool *spelled) {
    rllc_status status = RLLC_OK;
    rllc_data_workspace w = {0};
    rllc_ids ids = {0};
    RLLC_TRY(rllc_alloc(&t->whole_id, t->size, sizeof *t->whole_id));
    for (int64_t id = 0; id < t->size; id++) {
        bool whole = spelled[id] && t->ignore_merges;
        if (spelled[id] && !whole) RLLC_TRY(merges_to_itself(t, id, &w, &ids, &whole));
        if (!whole) continue;
        size_t n;
        int64_t index;
        const char *bytes = rllc_tokenizer_token(t, (int32_t)id, &n);
        RLLC_TRY(rllc_data_strings_add(&t->whole, bytes, n, &index));
        t->whole_id[index] = (int32_t)id;
    }
done:
    rllc_data_workspace_release(&w);
    rllc_ids_release(&ids);
    return status;
}

/* The one special token, -1 if there is none or more than one. */
static int32_t only_special(const rllc_tokenizer *t) {
    int32_t id = -1;
    for (int64_t i = 0; i < t->n_added; i++) {
        if (!t->added[i].special) continue;
        if (id >= 0) return -1;
        id = t->added[i].id;
    }
    return id;
}

static rllc_status find_bos(rllc_tokenizer *t, const char *bos, size_t n_bos, const char *file) {
    static const char usual[] = "<|endoftext|>";
    int64_t id = rllc_data_strings_find(&t->names, bos ? bos : usual, bos ? n_bos : sizeof usual - 1);
    if (id < 0 && bos) return rllc_fail(RLLC_EINPUT, "%s: the bos_token '%s' is not in the vocabulary", file, bos);
    t->bos = id >= 0 ? (int32_t)id : only_special(t);
    return RLLC_OK;
}

rllc_status rllc_data_tokenizer_finish(rllc_tokenizer *t, const char *bos, size_t n_bos, const char *file) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    bool *spelled = NULL;
    RLLC_TRY(rllc_alloc(&spelled, t->size, sizeof *spelled));
    RLLC_TRY(spell_tokens(t, spelled));
    RLLC_TRY(find_whole_tokens(t, spelled));
    RLLC_TRY(find_bos(t, bos, n_bos, file));
    RLLC_TRY(rllc_data_tokenizer_print(t, &text));
    t->hash = rllc_hash_bytes(text.data, text.length);
done:
    rllc_free(spelled);
    rllc_string_release(&text);
    return status;
}

bool rllc_data_same_model(const rllc_tokenizer *a, const rllc_tokenizer *b) {
    if (a->size != b->size || a->n_merges != b->n_merges || a->names.n_bytes != b->names.n_bytes) return false;
    size_t ranks = (size_t)a->n_merges * sizeof *a->left;
    return memcmp(a->names.bytes, b->names.bytes, a->names.n_bytes) == 0 &&
           memcmp(a->names.begin, b->names.begin, (size_t)a->size * sizeof *a->names.begin) == 0 &&
           (ranks == 0 || (memcmp(a->left, b->left, ranks) == 0 && memcmp(a->right, b->right, ranks) == 0));
}
