/* Training a byte-level BPE tokenizer: word counts, then merges of the most frequent pair. */
#include <stdlib.h>

#include "data/train.h"

struct rllc_bpe_trainer {
    rllc_bpe_options options;
    rllc_data_strings words; /* distinct pre-tokens */
    int64_t *counts;
    int64_t counts_capacity;
    int64_t bytes; /* of text seen */
};

rllc_status rllc_bpe_trainer_new(rllc_bpe_trainer **out, const rllc_bpe_options *options) {
    *out = NULL;
    if (!options->special || *options->special == '\0') {
        return rllc_fail(RLLC_EUSAGE, "the special token is empty; name one, such as <|endoftext|>");
    }
    if (!rllc_utf8_valid(options->special, strlen(options->special), NULL)) {
        return rllc_fail(RLLC_EUSAGE, "the special token is not valid UTF-8");
    }
    if (options->vocab_size < 257) {
        return rllc_fail(RLLC_EUSAGE, "vocab_size is %lld; at least 257 are needed: 256 bytes and the special token",
                         (long long)options->vocab_size);
    }
    rllc_status status = rllc_alloc(out, 1, sizeof **out);
    if (status == RLLC_OK) (*out)->options = *options;
    return status;
}

void rllc_bpe_trainer_free(rllc_bpe_trainer *b) {
    if (!b) return;
    rllc_data_strings_release(&b->words);
    rllc_free(b->counts);
    rllc_free(b);
}

static rllc_status count_word(rllc_bpe_trainer *b, const unsigned char *s, size_t n) {
    rllc_status status = RLLC_OK;
    int64_t index;
    RLLC_TRY(rllc_data_strings_add(&b->words, s, n, &index));
    if (index >= b->counts_capacity) {
        int64_t wider = b->counts_capacity > 0 ? b->counts_capacity * 2 : 4096;
        RLLC_TRY(rllc_grow(&b->counts, b->counts_capacity, wider, sizeof *b->counts));
        b->counts_capacity = wider;
    }
    b->counts[index]++;
done:
    return status;
}

/* The text up to the limit of bytes, ended between two characters. */
static size_t within_limit(const rllc_bpe_trainer *b, const unsigned char *text, size_t n) {
    if (b->options.max_bytes <= 0) return n;
    int64_t left = b->options.max_bytes > b->bytes ? b->options.max_bytes - b->bytes : 0;
    if ((int64_t)n <= left) return n;
    while (left > 0 && (text[left] & 0xC0) == 0x80) left--;
    return (size_t)left;
}

rllc_status rllc_bpe_trainer_add(rllc_bpe_trainer *b, const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text, *classes = rllc_data_classes();
    size_t bad;
    if (!rllc_utf8_valid(text, n, &bad)) {
        return rllc_fail(RLLC_EINPUT, "byte %zu of the text (0x%02X) is not valid UTF-8", bad, s[bad]);
    }
    n = within_limit(b, s, n);
    b->bytes += (int64_t)n;
    for (size_t at = 0, end; at < n; at = end) {
        end = rllc_data_pretoken_end(classes, s, n, at);
        rllc_status status = count_word(b, s + at, end - at);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* ---- the vocabulary while it grows, in the order of Hugging Face's trainer: special token, bytes, merges --- */

typedef struct growing {
    rllc_data_strings names; /* number = id */
    int32_t byte_id[256];
    int32_t *left, *right; /* [n_merges] */
    int64_t n_merges, capacity;
    rllc_data_pairs seen; /* pairs that were merged before -> their number */
} growing;

static void release_growing(growing *g) {
    rllc_data_strings_release(&g->names);
    rllc_data_pairs_release(&g->seen);
    rllc_free(g->left);
    rllc_free(g->right);
}

static int by_symbol(const void *a, const void *b) {
    uint32_t x = rllc_data_symbol(*(const unsigned char *)a), y = rllc_data_symbol(*(const unsigned char *)b);
    return (x > y) - (x < y);
}

static rllc_status begin_growing(growing *g, const char *special) {
    rllc_status status = RLLC_OK;
    rllc_string symbol = {0};
    unsigned char bytes[256];
    int64_t id;
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    qsort(bytes, 256, 1, by_symbol);
    RLLC_TRY(rllc_data_strings_add(&g->names, special, strlen(special), &id));
    for (int i = 0; i < 256; i++) {
        rllc_string_clear(&symbol);
        RLLC_TRY(rllc_data_symbols_of(&bytes[i], 1, &symbol));
        RLLC_TRY(rllc_data_strings_add(&g->names, symbol.data, symbol.length, &id));
        g->byte_id[bytes[i]] = (int32_t)id;
    }
done:
    rllc_string_release(&symbol);
    return status;
}

/* Records a merge and finds the id of what it makes. That string may exist already (made of other parts); and a pair
   may come again when it appeared anew in words with such a string: then only its last place counts. */
static rllc_status record_merge(growing *g, int32_t left, int32_t right, int32_t *made) {
    rllc_status status = RLLC_OK;
    rllc_string name = {0};
    size_t n;
    int64_t id;
    const char *part = rllc_data_string(&g->names, left, &n);
    RLLC_TRY(rllc_string_add_bytes(&name, part, n));
    part = rllc_data_string(&g->names, right, &n);
    RLLC_TRY(rllc_string_add_bytes(&name, part, n));
    RLLC_TRY(rllc_data_strings_add(&g->names, name.data, name.length, &id));
    *made = (int32_t)id;
    int64_t before = rllc_data_pairs_find(&g->seen, left, right);
    if (before >= 0) {
        for (int64_t i = before; i + 1 < g->n_merges; i++) {
            g->left[i] = g->left[i + 1];
            g->right[i] = g->right[i + 1];
        }
        g->left[g->n_merges - 1] = left;
        g->right[g->n_merges - 1] = right;
        rllc_data_pairs_release(&g->seen); /* the numbers behind `before` have moved */
        for (int64_t i = 0; i < g->n_merges; i++) RLLC_TRY(rllc_data_pairs_add(&g->seen, g->left[i], g->right[i], i));
        goto done;
    }
    if (g->n_merges == g->capacity) {
        int64_t wider = g->capacity > 0 ? g->capacity * 2 : 1024;
        RLLC_TRY(rllc_grow(&g->left, g->capacity, wider, sizeof *g->left));
        RLLC_TRY(rllc_grow(&g->right, g->capacity, wider, sizeof *g->right));
        g->capacity = wider;
    }
    RLLC_TRY(rllc_data_pairs_add(&g->seen, left, right, g->n_merges));
    g->left[g->n_merges] = left;
    g->right[g->n_merges++] = right;
done:
    rllc_string_release(&name);
    return status;
}

/* ---- words as ids ------------------------------------------------------------------------------------------ */

static rllc_status spell_words(const rllc_bpe_trainer *b, const growing *g, rllc_data_corpus_words *w) {
    rllc_status status = RLLC_OK;
    int64_t at = 0;
    if (b->words.n > INT32_MAX)
        return rllc_fail(RLLC_EUNSUPPORTED, "more than %d distinct words; use less text", INT32_MAX);
    *w = (rllc_data_corpus_words){.n = b->words.n, .count = b->counts};
    RLLC_TRY(rllc_alloc(&w->ids, (int64_t)b->words.n_bytes, sizeof *w->ids));
    RLLC_TRY(rllc_alloc(&w->begin, w->n, sizeof *w->begin));
    RLLC_TRY(rllc_alloc(&w->length, w->n, sizeof *w->length));
    for (int64_t i = 0; i < w->n; i++) {
        size_t n;
        const unsigned char *bytes = (const unsigned char *)rllc_data_string(&b->words, i, &n);
        if (n > INT32_MAX) {
            status = rllc_fail(RLLC_EUNSUPPORTED, "%zu bytes of text without a place to cut; at most %d are supported",
                               n, INT32_MAX);
            goto done;
        }
        w->begin[i] = at;
        w->length[i] = (int32_t)n;
        for (size_t k = 0; k < n; k++) w->ids[at++] = g->byte_id[bytes[k]];
    }
done:
    return status;
}

static rllc_status count_pairs(const rllc_data_corpus_words *w, rllc_data_queue *q) {
    for (int64_t i = 0; i < w->n; i++) {
        const int32_t *ids = w->ids + w->begin[i];
        for (int32_t k = 0; k + 1 < w->length[i]; k++) {
            rllc_status status = rllc_data_queue_count(q, ids[k], ids[k + 1], w->count[i], i);
            if (status != RLLC_OK) return status;
        }
    }
    return rllc_data_queue_settle(q);
}

/* Joins the pair everywhere in one word. The counts of the neighbours' pairs change; that of the pair itself is left.
 */
static rllc_status merge_word(rllc_data_corpus_words *w, int64_t word, int32_t left, int32_t right, int32_t made,
                              rllc_data_queue *q) {
    rllc_status status = RLLC_OK;
    int32_t *ids = w->ids + w->begin[word], n = w->length[word], m = 0;
    int64_t count = w->count[word];
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] != left || i + 1 == n || ids[i + 1] != right) {
            ids[m++] = ids[i];
            continue;
        }
        if (m > 0) {
            RLLC_TRY(rllc_data_queue_count(q, ids[m - 1], left, -count, word));
            RLLC_TRY(rllc_data_queue_count(q, ids[m - 1], made, count, word));
        }
        if (i + 2 < n) {
            RLLC_TRY(rllc_data_queue_count(q, right, ids[i + 2], -count, word));
            RLLC_TRY(rllc_data_queue_count(q, made, ids[i + 2], count, word));
        }
        ids[m++] = made;
        i++;
    }
    w->length[word] = m;
done:
    return status;
}

static rllc_status grow_vocabulary(const rllc_bpe_trainer *b, growing *g, rllc_data_corpus_words *w, rllc_data_queue *q,
                                   const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    int64_t target = b->options.vocab_size, least = b->options.min_frequency > 1 ? b->options.min_frequency : 1;
    while (g->names.n < target) {
        rllc_data_candidate best;
        bool found;
        int32_t made;
        if (rllc_should_stop(monitor))
            return rllc_fail(RLLC_ESTOPPED, "stopped while training the tokenizer; nothing was written");
        RLLC_TRY(rllc_data_queue_pop(q, &best, &found));
        if (!found || best.count < least) break;
        RLLC_TRY(record_merge(g, best.left, best.right, &made));
        for (int64_t node = best.words.head; node >= 0; node = q->nodes[node].next) {
            RLLC_TRY(merge_word(w, q->nodes[node].word, best.left, best.right, made, q));
        }
        rllc_data_queue_recycle(q, best.words);
        RLLC_TRY(rllc_data_queue_settle(q));
        rllc_report_progress(monitor, "tokenizer", "entry", (double)g->names.n, (double)target, "%s", "");
    }
done:
    return status;
}

/* The tokenizer; with special_last the special token moves from id 0 to the end and the others one down. */
static rllc_status build(const rllc_bpe_trainer *b, const growing *g, rllc_tokenizer **out) {
    rllc_status status = RLLC_OK;
    rllc_tokenizer *t = NULL;
    rllc_data_entry *entries = NULL;
    int64_t n = g->names.n;
    size_t n_left, n_right;
    RLLC_TRY(rllc_alloc(&entries, n, sizeof *entries));
    for (int64_t i = 0; i < n; i++) {
        entries[i].name = rllc_data_string(&g->names, i, &entries[i].n);
        entries[i].id = b->options.special_last ? (i + n - 1) % n : i;
        entries[i].in_model = true;
    }
    RLLC_TRY(rllc_data_tokenizer_new(&t));
    t->use_regex = true;
    RLLC_TRY(rllc_data_tokens(t, entries, n, "trained tokenizer"));
    for (int64_t i = 0; i < g->n_merges; i++) {
        const char *left = rllc_data_string(&g->names, g->left[i], &n_left);
        const char *right = rllc_data_string(&g->names, g->right[i], &n_right);
        RLLC_TRY(rllc_data_merge_add(t, left, n_left, right, n_right, "trained tokenizer"));
    }
    RLLC_TRY(rllc_data_added_add(t, b->options.special_last ? (int32_t)(n - 1) : 0, true, false, "trained tokenizer"));
    RLLC_TRY(rllc_data_tokenizer_finish(t, b->options.special, strlen(b->options.special), "trained tokenizer"));
    *out = t;
    t = NULL;
done:
    rllc_free(entries);
    rllc_tokenizer_free(t);
    return status;
}

rllc_status rllc_bpe_trainer_finish(rllc_bpe_trainer *b, const rllc_monitor *monitor, rllc_tokenizer **out) {
    rllc_status status = RLLC_OK;
    growing g = {0};
    rllc_data_corpus_words w = {0};
    rllc_data_queue q;
    *out = NULL;
    RLLC_TRY(rllc_data_queue_init(&q));
    if (b->words.n == 0) {
        status = rllc_fail(RLLC_EINPUT, "there is no text to train a tokenizer on");
        goto done;
    }
    RLLC_TRY(begin_growing(&g, b->options.special));
    RLLC_TRY(spell_words(b, &g, &w));
    RLLC_TRY(count_pairs(&w, &q));
    RLLC_TRY(grow_vocabulary(b, &g, &w, &q, monitor));
    RLLC_TRY(build(b, &g, out));
done:
    release_growing(&g);
    rllc_free(w.ids);
    rllc_free(w.begin);
    rllc_free(w.length);
    rllc_data_queue_release(&q);
    return status;
}
