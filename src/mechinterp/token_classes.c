/* Classes of predicted tokens by the text alone. */
#include "mechinterp/token_classes.h"

#include "mechinterp/labels.h"

const char *const rllc_class_names[RLLC_CLASSES] = {"induction", "dyck", "n-gram", "other"};

/* A table for all triples of few rows; for many, the largest, in several passes. */
static int64_t slots_for(const rllc_rows *rows, int64_t d_vocab) {
    int64_t n = 1024;
    while (n < RLLC_TRIGRAM_SLOTS && (n < 2 * rows->rows * rows->n_ctx || n < 2 * d_vocab)) n *= 2;
    return n;
}

rllc_status rllc_token_rules_init(rllc_token_rules *out, const rllc_tokenizer *tokenizer, int32_t bos,
                                  const rllc_rows *train, int64_t d_vocab, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    *out = (rllc_token_rules){0};
    RLLC_TRY(rllc_delimiters_from_tokenizer(&out->delimiters, tokenizer, bos));
    if (train)
        RLLC_TRY(rllc_trigrams_count(&out->trigrams, train, d_vocab, RLLC_KNOWN_COUNT, RLLC_KNOWN_SHARE,
                                     slots_for(train, d_vocab), monitor));
done:
    if (status != RLLC_OK) rllc_token_rules_release(out);
    return status;
}

void rllc_token_rules_release(rllc_token_rules *r) {
    rllc_delimiters_release(&r->delimiters);
    rllc_trigrams_release(&r->trigrams);
}

void rllc_token_classes(const rllc_token_rules *r, const int32_t *tokens, int64_t n, unsigned char *out) { /* (E107) */
    rllc_nesting nesting = {0};
    for (int64_t k = 0; k + 1 < n; k++) {
        int bits = rllc_is_induction(tokens, k) << RLLC_CLASS_INDUCTION;
        rllc_nesting_read(&nesting, &r->delimiters, tokens[k], tokens[k + 1]);
        bits |= rllc_nesting_closes(&nesting, &r->delimiters, tokens[k + 1]) << RLLC_CLASS_DYCK;
        if (!bits && k > 0 && rllc_trigrams_find(&r->trigrams, tokens[k - 1], tokens[k], tokens[k + 1]))
            bits = 1 << RLLC_CLASS_NGRAM;
        out[k] = (unsigned char)(bits ? bits : 1 << RLLC_CLASS_OTHER);
    }
}

int rllc_token_class(unsigned char bits) {
    int c = 0;
    while (c < RLLC_CLASS_OTHER && !(bits & 1 << c)) c++;
    return c;
}
