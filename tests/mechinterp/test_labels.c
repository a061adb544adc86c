/* Labels of predictions on constructed contexts: each rule alone, two together, and what is no evidence. */
#include "mechinterp/hand_built.h"
#include "mechinterp/labels.h"

enum { BOS = 0 };

/* ---- brackets ---------------------------------------------------------------------------------------------- */

/** Whether the last of these texts, each a token, closes what the others open. "|" stands for BOS. */
static bool closes_after(const char *const *texts, int64_t n) {
    rllc_delimiters d;
    int32_t tokens[64];
    assert_ok(rllc_delimiters_from_texts(&d, texts, n, -1));
    for (int32_t i = 0; i < n; i++) {
        tokens[i] = i;
        if (strcmp(texts[i], "|") == 0) d.bos = i;
    }
    const bool found = rllc_is_dyck(tokens, n - 2, &d);
    rllc_delimiters_release(&d);
    return found;
}

#define CLOSES(...)                                                                                                    \
    closes_after((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_brackets(void **state) {
    (void)state;
    assert_true(CLOSES("(", "a", ")"));
    assert_true(CLOSES(" [", "a", "]"));
    assert_true(CLOSES("f{", "a", "}"));
    assert_false(CLOSES("(", "a", "]"));
    assert_false(CLOSES("a", "b", ")"));
    assert_false(CLOSES("(", ")", ")"));      /* closed already */
    assert_true(CLOSES("((", ")", ")"));      /* a token opens two */
    assert_false(CLOSES("((", "))", ")"));    /* and closes two */
    assert_true(CLOSES("(", "[", "]", ").")); /* the first delimiter of a token decides */
    assert_true(CLOSES("{", "a", " },"));
    assert_true(CLOSES("(", "a", ")("));
    assert_false(CLOSES("(", "a", "()")); /* it opens first */
    assert_false(CLOSES("[", "a", ")]")); /* its first delimiter has no partner */
    assert_true(CLOSES("(", "[", ")"));   /* what is open inside is forgotten */
    assert_false(CLOSES("(", "[", ")", "]"));
    assert_true(CLOSES("(", "a", "b)"));
}

static void test_straight_quotes_by_parity(void **state) {
    (void)state;
    assert_true(CLOSES("\"", "a", "\""));
    assert_true(CLOSES(" (\"", "a", "\")"));
    assert_false(CLOSES("\"", "a", "\"", " ", "\"")); /* the third opens */
    assert_true(CLOSES("\"", "a", "\"", " ", "\"", "b", "\""));
    assert_false(CLOSES("5", "\"", "a", "\"")); /* inches */
    assert_false(CLOSES("\"", "\\", "\""));     /* escaped */
    assert_true(CLOSES(" '", "a", "'"));
    assert_false(CLOSES("don", "'t", " '")); /* an apostrophe opens nothing */
    assert_false(CLOSES(" '", "don", "'t")); /* and closes nothing */
    assert_false(CLOSES(" '", "don", "'", "t", "'", "'"));
    assert_true(CLOSES(" '", "don", "'", "t", "'")); /* known by the token behind it */
    assert_false(CLOSES("\"", "a", "\n\n", "\""));   /* an empty line begins anew */
    assert_true(CLOSES("(", "\"", "\n\n", ")"));
    assert_true(CLOSES("\"", "a", "\n", "\""));
}

static void test_typographic_quotes(void **state) {
    (void)state;
    assert_true(CLOSES("\xe2\x80\x9c", "a", "\xe2\x80\x9d"));
    assert_true(CLOSES("\xe2\x80\x98", "a", "\xe2\x80\x99"));
    assert_true(CLOSES("\xc2\xab", "a", "\xc2\xbb"));
    assert_false(CLOSES("\xe2\x80\x9c", "a", "\xe2\x80\x99"));
    assert_false(CLOSES("a", "b", "\xe2\x80\x9d"));
    assert_true(CLOSES("\xe2\x80\x9c", "a", "\xe2\x80", "\x9d")); /* bytes of one character in two tokens */
    assert_false(CLOSES("\xe2\x80\x9c", "a", "\xe2\x80"));        /* not before its last byte */
    assert_false(CLOSES("\xe2\x80\x98", "I", "\xe2\x80\x99m"));   /* an apostrophe */
    assert_false(CLOSES("\xe2\x80\x98", "caf\xc3\xa9", "\xe2\x80\x99s"));
    assert_true(CLOSES("\xe2\x80\x98", "I ", "\xe2\x80\x99m")); /* behind a blank */
    assert_true(CLOSES(" '", "caf\xc3\xa9", "'"));
    assert_true(CLOSES("\xe2\x80\x94", "'", "a", "'")); /* a dash is no letter */
}

static void test_tags(void **state) {
    (void)state;
    assert_true(CLOSES("<", "b", ">"));
    assert_true(CLOSES("<b", " class", "=x", ">"));
    assert_true(CLOSES("<b", ">", "a", "</"));
    assert_true(CLOSES("<b>", "a", "<", "/"));
    assert_true(CLOSES("<b>", "a", "</", "b", ">"));
    assert_false(CLOSES("<b/>", "a", "</"));
    assert_false(CLOSES("<b>", "a", "</b>", "</"));
    assert_true(CLOSES("<b><i>", "a", "</i>", "</"));
    assert_true(CLOSES("<!", "--", "a", " >"));
    assert_true(CLOSES("<", "<", "a", ">", ">"));
    assert_true(CLOSES("<", "(", "a", ")", ">"));
    assert_true(CLOSES("<", ">"));
    assert_false(CLOSES("a", " <<", " b", " >"));
    assert_false(CLOSES("a", " <<", "b", " >"));
    assert_false(CLOSES("a", "<=", "b", " >"));
    assert_false(CLOSES("<", "</", "a", "<"));
    assert_false(CLOSES("a", " < ", "3", ">")); /* less than */
    assert_false(CLOSES("<b", "-", ">"));       /* an arrow */
    assert_false(CLOSES("<b", " =", ">"));
    assert_true(CLOSES("(", "a<b", ")"));
}

static void test_bos_begins_a_document(void **state) {
    (void)state;
    assert_false(CLOSES("(", "|", "a", ")"));
    assert_true(CLOSES("(", "|", "(", ")"));
    assert_false(CLOSES("<", "|", "b", ">"));
    assert_false(CLOSES("(", "a", "|"));
    rllc_delimiters d;
    const char *const texts[] = {"<|endoftext|>", "(", ")"};
    assert_ok(rllc_delimiters_from_texts(&d, texts, 3, BOS));
    assert_false(rllc_is_dyck((int32_t[]){1, BOS, 2}, 1, &d));
    assert_true(rllc_is_dyck((int32_t[]){BOS, 1, 2}, 1, &d));
    assert_false(rllc_is_dyck((int32_t[]){BOS, 1, 9}, 1, &d)); /* an id without a text */
    rllc_delimiters_release(&d);
    assert_ok(rllc_delimiters_from_tokenizer(&d, NULL, BOS)); /* no tokenizer: no delimiters */
    assert_false(rllc_is_dyck((int32_t[]){BOS, 1, 2}, 1, &d));
    rllc_delimiters_release(&d);
}

/* [ ( " ) opens and closes: partners are token indices, through everything that was left open inside;
 * an empty line takes the quote from below the bracket. */
static void test_partner_is_the_token_that_opened(void **state) {
    (void)state;
    rllc_delimiters d;
    rllc_nesting s = {0};
    const char *const texts[] = {"<|endoftext|>", "(", ")", "[", "]", " a", ")(", "\"", "\n\n"};
    static const int32_t tokens[] = {0, 3, 5, 1, 1, 2, 6, 4, 2, 0, 2, 1, 2, 7, 1, 8, 2};
    static const int32_t expected[] = {-1, -1, -1, -1, -1, 4, 3, 1, -1, -1, -1, -1, 11, -1, -1, -1, 14};
    assert_ok(rllc_delimiters_from_texts(&d, texts, 9, 0));
    for (int k = 0; k < 17; k++) {
        assert_int_equal(rllc_nesting_partner(&s, &d, tokens[k]), expected[k]);
        rllc_nesting_read(&s, &d, tokens[k], k < 16 ? tokens[k + 1] : -1);
    }
    rllc_delimiters_release(&d);
}

static void test_very_deep_nesting_forgets_the_outermost(void **state) {
    (void)state;
    rllc_delimiters d;
    rllc_nesting s = {0};
    const char *const texts[] = {"(", ")", "[", "]"};
    assert_ok(rllc_delimiters_from_texts(&d, texts, 4, -1));
    rllc_nesting_read(&s, &d, 2, -1);
    for (int i = 0; i < RLLC_NESTING_DEPTH - 1; i++) rllc_nesting_read(&s, &d, 0, -1);
    assert_true(rllc_nesting_closes(&s, &d, 3));
    rllc_nesting_read(&s, &d, 0, -1);
    assert_false(rllc_nesting_closes(&s, &d, 3));
    for (int i = 0; i < RLLC_NESTING_DEPTH; i++) {
        assert_int_equal(rllc_nesting_partner(&s, &d, 1), RLLC_NESTING_DEPTH - i); /* 0 is the one forgotten */
        rllc_nesting_read(&s, &d, 1, -1);
    }
    assert_false(rllc_nesting_closes(&s, &d, 1));
    rllc_delimiters_release(&d);
}

static void test_texts_of_a_tokenizer(void **state) {
    (void)state;
    const rllc_bpe_options options = {.vocab_size = 257, .special = "<|endoftext|>", .special_last = true};
    rllc_bpe_trainer *trainer;
    rllc_tokenizer *t;
    rllc_delimiters d;
    rllc_ids ids = {0};
    assert_ok(rllc_bpe_trainer_new(&trainer, &options));
    assert_ok(rllc_bpe_trainer_add(trainer, "a", 1));
    assert_ok(rllc_bpe_trainer_finish(trainer, NULL, &t));
    assert_ok(rllc_delimiters_from_tokenizer(&d, t, rllc_tokenizer_bos(t)));
    assert_int_equal(d.n, 257);
    assert_ok(rllc_tokenizer_encode(t, "f(\xe2\x80\x9c!\xe2\x80\x9d)", 10, &ids));
    for (int64_t k = 0; k + 1 < ids.n; k++) assert_int_equal(rllc_is_dyck(ids.data, k, &d), k + 1 == 8 || k + 1 == 9);
    rllc_ids_release(&ids);
    rllc_delimiters_release(&d);
    rllc_tokenizer_free(t);
    rllc_bpe_trainer_free(trainer);
}

/* ---- induction and attention --------------------------------------------------------------------------------- */

/** Label of a prediction over a vocabulary of letters, 8 of them "(" and 9 ")"; BOS may be -1. */
static rllc_labelled label_of(const int32_t *tokens, int64_t k, const float *attention, int32_t bos) {
    const char *const texts[] = {"<|endoftext|>", "a", "b", "c", "d", "e", "f", "g", "(", ")"};
    rllc_delimiters d;
    rllc_labelled out;
    assert_ok(rllc_delimiters_from_texts(&d, texts, 10, bos));
    int32_t *t = test_memory(k + 2, sizeof *t);
    float *a = test_memory(k + 1, sizeof *a);
    memcpy(t, tokens, (size_t)(k + 2) * sizeof *t);
    memcpy(a, attention, (size_t)(k + 1) * sizeof *a);
    assert_ok(rllc_context_label(&(rllc_prediction){t, k, a}, &d, &out));
    free(t);
    free(a);
    rllc_delimiters_release(&d);
    return out;
}

static void assert_label(rllc_labelled found, int labels, const char *label, const char *pattern) {
    assert_int_equal(found.labels, labels);
    assert_string_equal(found.label, label);
    assert_string_equal(found.pattern, pattern);
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__})
#define A(...) ((const float[]){__VA_ARGS__})

static void test_induction_needs_the_pair(void **state) {
    (void)state;
    assert_true(rllc_is_induction(IDS(0, 1, 2, 3, 1, 2), 4));
    assert_false(rllc_is_induction(IDS(0, 1, 2, 3, 1, 4), 4));
    assert_false(rllc_is_induction(IDS(0, 1), 0));   /* nothing before */
    assert_true(rllc_is_induction(IDS(1, 1, 1), 1)); /* the pair may overlap itself */
    assert_false(rllc_is_induction(IDS(2, 1, 1), 1));
    assert_true(rllc_is_induction(IDS(0, 1, 0, 1), 2)); /* BOS is a token here */
    assert_label(label_of(IDS(0, 1, 2, 3, 1, 2), 4, A(1, 0, 0, 0, 0), BOS), RLLC_CONTEXT_INDUCTION, "induction", "");
}

static void test_ngrams_are_as_short_as_covers_what_is_attended(void **state) {
    (void)state;
    const int32_t *t = IDS(0, 1, 2, 3, 4, 5, 6, 7, 1);
    const int ngram = RLLC_CONTEXT_NGRAM, both = RLLC_CONTEXT_NGRAM | RLLC_CONTEXT_SKIP_NGRAM;
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, 0, 0, 1), BOS), ngram, "n-gram", "7 1");
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, 0, 1, 0), BOS), ngram, "n-gram", "6 7 1");
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, .4F, 0, .6F), BOS), ngram, "n-gram", "7 1"); /* .6 suffices */
    assert_label(label_of(t, 7, A(0, 0, 0, .1F, .1F, .36F, 0, .44F), BOS), ngram, "n-gram", "5 6 7 1");
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, .25F, .25F, .5F), BOS), ngram, "n-gram", "7 1"); /* .5 suffices */
    assert_label(label_of(t, 7, A(0, 0, 0, 1, 0, 0, 0, 0), BOS), both, "n-gram", "3 4 5 6 7 1");  /* the longest: 6 */
    assert_label(label_of(t, 7, A(0, .3F, .1F, 0, .1F, .1F, 0, .4F), BOS), ngram, "n-gram",
                 "7 1"); /* .3 lies outside: only the most attended one counts */
    assert_label(label_of(t, 7, A(.41F, 0, 0, 0, 0, 0, .17F, .42F), BOS), ngram, "n-gram",
                 "6 7 1"); /* BOS is passed over */
    assert_label(label_of(t, 7, A(.49F, 0, 0, 0, 0, .01F, 0, .5F), BOS), ngram, "n-gram", "7 1");
    assert_label(label_of(t, 7, A(.39F, .2F, 0, 0, 0, 0, 0, .41F), BOS), ngram, "n-gram", "7 1");
    assert_label(label_of(t, 7, A(.42F, .0F, 0, 0, 0, .04F, .1F, .44F), BOS), ngram, "n-gram", "6 7 1");
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, 0, .5F, .5F), BOS), ngram, "n-gram", "7 1"); /* tie: the later */
}

static void test_skip_ngrams(void **state) {
    (void)state;
    const int32_t *t = IDS(0, 1, 2, 3, 4, 5, 6, 7, 1);
    const int skip = RLLC_CONTEXT_SKIP_NGRAM, both = RLLC_CONTEXT_NGRAM | RLLC_CONTEXT_SKIP_NGRAM;
    assert_label(label_of(t, 7, A(0, 0, 1, 0, 0, 0, 0, 0), BOS), skip, "skip n-gram", "2 +4 7 1");
    assert_label(label_of(t, 7, A(0, 1, 0, 0, 0, 0, 0, 0), BOS), skip, "skip n-gram", "1 +5 7 1");
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 0, 1, 0, 0), BOS), both, "n-gram", "5 6 7 1"); /* near enough for both */
    assert_label(label_of(t, 7, A(0, 0, .4F, 0, 0, 0, .3F, .3F), BOS), skip, "skip n-gram", "2 +4 7 1");
}

static void test_attention_on_bos_is_a_sink(void **state) {
    (void)state;
    const int32_t *t = IDS(0, 1, 2, 3, 4, 5, 6, 7, 1);
    rllc_labelled found = label_of(t, 7, A(1, 0, 0, 0, 0, 0, 0, 0), BOS);
    assert_label(found, 0, "", "");
    assert_true(found.sink);
    found = label_of(t, 7, A(.4F, 0, 0, 0, 0, 0, .3F, .3F), BOS);
    assert_label(found, 0, "", "");
    found = label_of(t, 7, A(1, 0, 0, 0, 0, 0, 0, 0), -1); /* no BOS: an ordinary token */
    assert_label(found, RLLC_CONTEXT_SKIP_NGRAM, "skip n-gram", "0 +6 7 1");
    assert_false(found.sink);
    assert_label(label_of(IDS(0, 5, 6), 1, A(1, 0), BOS), 0, "", ""); /* near, too */
}

static void test_first_positions(void **state) {
    (void)state;
    assert_label(label_of(IDS(0, 5), 0, A(1), BOS), 0, "", "");
    assert_label(label_of(IDS(3, 5), 0, A(1), BOS), RLLC_CONTEXT_NGRAM, "n-gram", "3 5");
    assert_label(label_of(IDS(0, 5, 6), 1, A(.2F, .8F), BOS), RLLC_CONTEXT_NGRAM, "n-gram", "5 6");
    assert_label(label_of(IDS(4, 5, 6), 1, A(.8F, .2F), BOS), RLLC_CONTEXT_NGRAM, "n-gram", "4 5 6");
}

static void test_patterns_stay_within_a_document(void **state) {
    (void)state;
    const int32_t *t = IDS(0, 1, 2, 3, 0, 5, 6, 7, 1); /* a new document at 4 */
    assert_label(label_of(t, 7, A(0, 0, 0, 1, 0, 0, 0, 0), BOS), 0, "", "");
    assert_false(label_of(t, 7, A(0, 0, 0, 1, 0, 0, 0, 0), BOS).sink);
    assert_label(label_of(t, 7, A(0, 0, 0, 0, 1, 0, 0, 0), BOS), 0, "", "");
    assert_true(label_of(t, 7, A(0, 0, 0, 0, 1, 0, 0, 0), BOS).sink);
    assert_label(label_of(t, 7, A(0, 0, 0, .4F, 0, 0, .1F, .5F), BOS), RLLC_CONTEXT_NGRAM, "n-gram", "7 1");
    assert_label(label_of(IDS(0, 1, 2, 0, 4), 3, A(0, 0, 0, 1), BOS), 0, "", ""); /* u is BOS */
    assert_label(label_of(IDS(0, 1, 2, 3, 0), 3, A(0, 0, 0, 1), BOS), RLLC_CONTEXT_NGRAM, "n-gram",
                 "3 0"); /* the end of a document is predicted like a token */
}

static void test_several_labels_and_their_precedence(void **state) {
    (void)state;
    const int I = RLLC_CONTEXT_INDUCTION, D = RLLC_CONTEXT_DYCK, N = RLLC_CONTEXT_NGRAM, S = RLLC_CONTEXT_SKIP_NGRAM;
    const int32_t *both = IDS(0, 8, 1, 9, 8, 1, 9); /* (a)(a) */
    assert_label(label_of(both, 5, A(1, 0, 0, 0, 0, 0), BOS), I | D, "induction", "");
    assert_label(label_of(both, 5, A(0, 0, 0, 0, 0, 1), BOS), I | D | N, "induction", "1 9");
    assert_label(label_of(both, 5, A(0, 0, 0, 1, 0, 0), BOS), I | D | N | S, "induction", "9 8 1 9");
    const int32_t *bracket = IDS(0, 8, 1, 2, 3, 4, 5, 6, 9);
    assert_label(label_of(bracket, 7, A(0, 1, 0, 0, 0, 0, 0, 0), BOS), D | S, "dyck", "8 +5 6 9");
    assert_label(label_of(bracket, 7, A(0, 0, 0, 0, 0, 0, 0, 1), BOS), D | N, "dyck", "6 9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brackets),
        cmocka_unit_test(test_straight_quotes_by_parity),
        cmocka_unit_test(test_typographic_quotes),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_bos_begins_a_document),
        cmocka_unit_test(test_partner_is_the_token_that_opened),
        cmocka_unit_test(test_very_deep_nesting_forgets_the_outermost),
        cmocka_unit_test(test_texts_of_a_tokenizer),
        cmocka_unit_test(test_induction_needs_the_pair),
        cmocka_unit_test(test_ngrams_are_as_short_as_covers_what_is_attended),
        cmocka_unit_test(test_skip_ngrams),
        cmocka_unit_test(test_attention_on_bos_is_a_sink),
        cmocka_unit_test(test_first_positions),
        cmocka_unit_test(test_patterns_stay_within_a_document),
        cmocka_unit_test(test_several_labels_and_their_precedence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
