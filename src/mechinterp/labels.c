/* Labels of predictions: definitions L1-L4 of docs/contexts.md. */
#include <stdlib.h>
#include <string.h>

#include "mechinterp/labels.h"

const char *const rllc_context_label_names[RLLC_CONTEXT_LABELS] = {"induction", "dyck", "n-gram", "skip n-gram"};

bool rllc_is_induction(const int32_t *tokens, int64_t k) {
    for (int64_t j = 0; j < k; j++)
        if (tokens[j] == tokens[k] && tokens[j + 1] == tokens[k + 1]) return true;
    return false;
}

bool rllc_is_dyck(const int32_t *tokens, int64_t k, const rllc_delimiters *d) {
    rllc_nesting s = {0};
    for (int64_t j = 0; j <= k; j++) rllc_nesting_read(&s, d, tokens[j], tokens[j + 1]);
    return rllc_nesting_closes(&s, d, tokens[k + 1]);
}

/* ---- attention --------------------------------------------------------------------------------------------- */

typedef struct weight {
    float attention;
    int64_t position;
} weight;

/* The largest first; among equals the later position. */
static int by_attention(const void *a, const void *b) {
    const weight *x = a, *y = b;
    if (x->attention != y->attention) return x->attention > y->attention ? -1 : 1;
    return x->position > y->position ? -1 : 1;
}

/* First position of the document that k stands in; k + 1 if token k is BOS. */
static int64_t document(const rllc_prediction *p, int32_t bos) {
    int64_t j = p->k;
    while (j >= 0 && (bos < 0 || p->tokens[j] != bos)) j--;
    return j + 1;
}

/**
 * Where the attended positions begin: those of the document (from `start`), the largest first until they sum to 1/2. If
 * one of them lies before `low`, or they do not reach 1/2, the most attended one alone counts.
 */
static rllc_status first_attended(const rllc_prediction *p, int64_t start, int64_t low, int64_t most, int64_t *first) {
    const int64_t n = p->k + 1 - start;
    weight *w;
    double sum = 0;
    const rllc_status status = rllc_alloc(&w, n, sizeof *w);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n; i++) w[i] = (weight){p->attention[start + i], start + i};
    qsort(w, (size_t)n, sizeof *w, by_attention);
    *first = most;
    for (int64_t i = 0; i < n && sum < 0.5; i++) {
        sum += (double)w[i].attention;
        if (w[i].position < *first) *first = w[i].position;
    }
    if (*first < low || sum < 0.5) *first = most;
    rllc_free(w);
    return RLLC_OK;
}

/* Token ids from..to. */
static void add_ids(const rllc_prediction *p, int64_t from, int64_t to, char *pattern) {
    size_t n = strlen(pattern);
    for (int64_t j = from; j <= to; j++)
        n += (size_t)snprintf(pattern + n, RLLC_PATTERN - n, "%s%d", n ? " " : "", p->tokens[j]);
}

/* L3 and L4. */
static rllc_status label_attention(const rllc_prediction *p, int32_t bos, rllc_labelled *out) {
    const int64_t k = p->k, start = document(p, bos);
    int64_t most = 0, first;
    for (int64_t j = 1; j <= k; j++)
        if (p->attention[j] >= p->attention[most]) most = j;
    out->sink = bos >= 0 && p->tokens[most] == bos;
    if (most < start) return RLLC_OK;
    const int64_t window = k - RLLC_NGRAM_LONGEST + 2, low = start > window ? start : window;
    if (most >= low) {
        const rllc_status status = first_attended(p, start, low, most, &first);
        if (status != RLLC_OK) return status;
        out->labels |= RLLC_CONTEXT_NGRAM;
        add_ids(p, first, k + 1, out->pattern);
    }
    if (most < k - 1) {
        out->labels |= RLLC_CONTEXT_SKIP_NGRAM;
        if (!out->pattern[0]) {
            snprintf(out->pattern, RLLC_PATTERN, "%d +%lld", p->tokens[most], (long long)(k - most - 1));
            add_ids(p, k, k + 1, out->pattern);
        }
    }
    return RLLC_OK;
}

rllc_status rllc_context_label(const rllc_prediction *p, const rllc_delimiters *d, rllc_labelled *out) {
    *out = (rllc_labelled){.label = ""};
    if (rllc_is_induction(p->tokens, p->k)) out->labels |= RLLC_CONTEXT_INDUCTION;
    if (rllc_is_dyck(p->tokens, p->k, d)) out->labels |= RLLC_CONTEXT_DYCK;
    const rllc_status status = label_attention(p, d->bos, out);
    for (int i = RLLC_CONTEXT_LABELS - 1; i >= 0; i--)
        if (out->labels & 1 << i) out->label = rllc_context_label_names[i];
    return status;
}
