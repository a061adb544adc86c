/* The table of scores on text: which positions are right for a query. */
#include "mechinterp/text_scores.h"

#include <math.h>

static int64_t previous(const rllc_text_row *row, int64_t k, int32_t *out) {
    (void)row;
    out[0] = (int32_t)k - 1;
    return k > 0;
}

static int64_t current(const rllc_text_row *row, int64_t k, int32_t *out) {
    (void)row;
    out[0] = (int32_t)k;
    return k > 0;
}

static int64_t first(const rllc_text_row *row, int64_t k, int32_t *out) {
    (void)row;
    out[0] = 0;
    return k > 0;
}

static int64_t duplicates(const rllc_text_row *row, int64_t k, int32_t *out) {
    int64_t n = 0;
    for (int32_t j = row->earlier[k]; j >= 0; j = row->earlier[j]) out[n++] = j;
    return n;
}

/** What followed, but for the query itself: where a token is repeated at once, looking at oneself is no memory. */
static int64_t followers(const rllc_text_row *row, int64_t k, int32_t *out) {
    int64_t n = 0;
    for (int32_t j = row->earlier[k]; j >= 0; j = row->earlier[j])
        if (j + 1 < k) out[n++] = j + 1;
    return n;
}

static int64_t partner(const rllc_text_row *row, int64_t k, int32_t *out) {
    out[0] = row->partner[k];
    return row->partner[k] >= 0;
}

static double nats(double entropy, int64_t k) {
    (void)k;
    return entropy;
}

static double share_of_even(double entropy, int64_t k) {
    return entropy / log((double)k + 1);
}

static const rllc_text_score scores[] = {
    {.name = "previous_token/text", .summary = "attention to the token before", .keys = previous},
    {.name = "current_token/text", .summary = "attention of a token to itself", .keys = current},
    {.name = "first_token/text", .summary = "attention to the first position", .keys = first},
    {.name = "duplicate_token/text", .summary = "attention to earlier occurrences of the token", .keys = duplicates},
    {.name = "induction/text",
     .summary = "attention to what followed earlier occurrences of the token",
     .keys = followers},
    {.name = "bracket", .summary = "attention of a closing delimiter to what it closes", .keys = partner},
    {.name = "entropy", .summary = "entropy of attention in nats", .of_entropy = nats},
    {.name = "entropy_normalized",
     .summary = "entropy of attention over that of even attention",
     .of_entropy = share_of_even},
};

const rllc_text_score *rllc_text_score_list(int *n) {
    *n = (int)(sizeof scores / sizeof scores[0]);
    return scores;
}

void rllc_text_earlier(const int32_t *tokens, int64_t t, int32_t bos, int32_t *last, int32_t *earlier) {
    for (int64_t k = 0; k < t; k++) {
        earlier[k] = tokens[k] == bos ? -1 : last[tokens[k]];
        last[tokens[k]] = (int32_t)k;
    }
    for (int64_t k = 0; k < t; k++) last[tokens[k]] = -1;
}
