/* Text to ids: added tokens are cut out, the rest is cut into pre-tokens, and those are merged. */
#include "data/bpe.h"

/* What one call of rllc_tokenizer_encode carries along. */
typedef struct encoder {
    const rllc_tokenizer *t;
    const unsigned char *classes;
    rllc_data_workspace workspace;
    rllc_string prefixed; /* a piece with a blank before it */
    rllc_ids *out;
} encoder;

static rllc_status encode_pretoken(encoder *e, const unsigned char *s, size_t n) {
    int64_t whole = rllc_data_strings_find(&e->t->whole, s, n);
    return whole >= 0 ? rllc_ids_add(e->out, e->t->whole_id[whole])
                      : rllc_data_merge(e->t, &e->workspace, s, n, e->out);
}

/* The ByteLevel step. */
static rllc_status encode_bytes(encoder *e, const unsigned char *s, size_t n) {
    if (e->t->add_prefix_space && s[0] != ' ') {
        rllc_string_clear(&e->prefixed);
        rllc_status status = rllc_string_add(&e->prefixed, " ");
        if (status == RLLC_OK) status = rllc_string_add_bytes(&e->prefixed, s, n);
        if (status != RLLC_OK) return status;
        s = (const unsigned char *)e->prefixed.data;
        n++;
    }
    if (!e->t->use_regex) return encode_pretoken(e, s, n);
    for (size_t at = 0, end; at < n; at = end) {
        end = rllc_data_pretoken_end(e->classes, s, n, at);
        rllc_status status = encode_pretoken(e, s + at, end - at);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* The Split steps from number `step` on, then the bytes. */
typedef struct split_stage {
    encoder *e;
    int64_t step;
} split_stage;

static rllc_status encode_split(void *context, const unsigned char *s, size_t n) {
    const split_stage *stage = context;
    split_stage next = {stage->e, stage->step + 1};
    if (stage->step == stage->e->t->n_splits) return encode_bytes(stage->e, s, n);
    return rllc_data_split_each(stage->e->t->splits[stage->step], s, n, encode_split, &next);
}

/* The longest added token of this kind at the beginning of s, NULL if there is none. */
static const rllc_data_added *added_at(const rllc_tokenizer *t, bool normalized, const unsigned char *s, size_t n,
                                       size_t *length) {
    const rllc_data_added *best = NULL;
    *length = 0;
    for (int64_t i = 0; i < t->n_added; i++) {
        size_t m;
        const char *content = rllc_data_string(&t->names, t->added[i].id, &m);
        if (t->added[i].normalized != normalized || m > n || m <= *length || memcmp(content, s, m) != 0) continue;
        best = &t->added[i];
        *length = m;
    }
    return best;
}

/* The next place where an added token may begin: those of one kind may share few first bytes, often only '<'. */
static size_t next_candidate(const bool *first, const unsigned char *s, size_t n, size_t at) {
    while (at < n && !first[s[at]]) at++;
    return at;
}

/* Cuts out the added tokens that are not normalized, then in what lies between those that are; without a normaliser
   the two differ only in that order. */
static rllc_status encode_segment(encoder *e, bool normalized, const unsigned char *s, size_t n) {
    bool first[256] = {false};
    size_t done = 0;
    for (int64_t i = 0; i < e->t->n_added; i++) {
        size_t m;
        const char *content = rllc_data_string(&e->t->names, e->t->added[i].id, &m);
        if (e->t->added[i].normalized == normalized) first[(unsigned char)content[0]] = true;
    }
    for (size_t at = 0; done < n;) {
        size_t length = 0;
        const rllc_data_added *found = NULL;
        at = next_candidate(first, s, n, at);
        if (at < n) found = added_at(e->t, normalized, s + at, n - at, &length);
        if (at < n && !found) {
            at++;
            continue;
        }
        split_stage all = {e, 0};
        rllc_status status = RLLC_OK;
        if (at > done)
            status =
                normalized ? encode_split(&all, s + done, at - done) : encode_segment(e, true, s + done, at - done);
        if (status == RLLC_OK && found) status = rllc_ids_add(e->out, found->id);
        if (status != RLLC_OK) return status;
        done = at = at + length;
    }
    return RLLC_OK;
}

rllc_status rllc_tokenizer_encode(const rllc_tokenizer *t, const char *text, size_t n, rllc_ids *out) {
    size_t bad;
    int64_t before = out->n;
    encoder e = {.t = t, .classes = rllc_data_classes(), .out = out};
    if (!rllc_utf8_valid(text, n, &bad)) {
        return rllc_fail(RLLC_EINPUT, "byte %zu of the text (0x%02X) is not valid UTF-8", bad,
                         (unsigned char)text[bad]);
    }
    rllc_status status = encode_segment(&e, false, (const unsigned char *)text, n);
    if (status != RLLC_OK) out->n = before;
    rllc_data_workspace_release(&e.workspace);
    rllc_string_release(&e.prefixed);
    return status;
}
