/* Types of heads from constructed scores: each rule, their order, missing evidence, corpora, thresholds. */
#include "mechinterp/head_bench.h"

static void test_each_type(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_background(&b);
    row_of(&b, "ablation/zero", 0)->value = -1e-6;
    row_of(&b, "prefix_matching", 1)->value = 0.05;
    row_of(&b, "previous_token", 2)->value = 0.3;
    row_of(&b, "current_token", 3)->value = 0.5;
    row_of(&b, "bracket", 4)->value = 0.4;
    row_of(&b, "contexts/zero/dyck", 4)->value = 0.5;
    row_of(&b, "contexts/zero/n-gram", 5)->value = 0.4;
    row_of(&b, "multigrams", 5)->value = 321;
    row_of(&b, "induction", 6)->value = 0.3;
    classify(&b);
    assert_type(&b, 0, "dead");
    assert_type(&b, 1, "induction");
    assert_type(&b, 2, "previous-token");
    assert_type(&b, 3, "current-token");
    assert_type(&b, 4, "bracket");
    assert_type(&b, 5, "multigram");
    assert_type(&b, 6, "induction");
    assert_type(&b, 7, "other");
    assert_says(&b, 0, "dead: ablation -1e-06 nats on mix");
    assert_says(&b, 4, "bracket 0.4 on mix (20x chance 0.02), 50 % of its top tokens on mix are closing delimiters; ");
    assert_says(&b, 5, "50 % of its top tokens on mix are n-grams or skip n-grams, 321 different multigrams on mix; ");
    assert_says(&b, 6, "induction: induction 0.3 (21x chance 0.014), 30 % of");
    assert_says(&b, 7, "other: prefix matching 0.011 (1.0x chance 0.011), ");
    for (int h = 0; h < HEADS; h++) assert_silent(&b, h, "absent");
}

static void test_the_line_reads_as_a_sentence(void **state) {
    (void)state;
    bench b;
    start(&b);
    for (int h = 0; h < HEADS; h++) add(&b, "ablation/zero", h, "", h ? 0.0031 : 0.031, NAN);
    add(&b, "prefix_matching", 0, "", 0.41, 0.0111);
    add(&b, "contexts/zero/induction", 0, "", 0.62, NAN);
    classify(&b);
    assert_string_equal(b.types[0].evidence,
                        "induction: prefix matching 0.41 (37x chance 0.011), 62 % of its top tokens are induction "
                        "patterns; ablation +0.031 nats (4.7x the mean of the heads); absent: previous token, current "
                        "token, bracket, tokens in context");
}

/** Final scores of the published 16 heads give the published types (what else is known of them is left out). */
static void test_published_scores_give_the_published_types(void **state) {
    (void)state;
    static const double previous[2][HEADS] = {{0.0645, 0.2887, 0.0711, 0.0753, 0.2245, 0.0343, 0.0791, 0.0298},
                                              {0.1627, 0.1275, 0.1522, 0.1232, 0.1829, 0.0687, 0.0443, 0.0438}};
    static const double prefix[2][HEADS] = {{0.0016, 0.0007, 0.0016, 0.0019, 0.0009, 0.0001, 0.0016, 0.0076},
                                            {0.0009, 0.0016, 0.0012, 0.0018, 0.0009, 0.0046, 0.0551, 0.0793}};
    for (int layer = 0; layer < 2; layer++) {
        bench b;
        start(&b);
        for (int h = 0; h < HEADS; h++) {
            add(&b, "previous_token", h, "", previous[layer][h], 0.0295);
            add(&b, "prefix_matching", h, "", prefix[layer][h], 0.0107);
        }
        classify(&b);
        for (int h = 0; h < HEADS; h++)
            assert_type(&b, h,
                        layer == 0 && (h == 1 || h == 4) ? "previous-token"
                        : layer == 1 && h >= 6           ? "induction"
                                                         : "other");
    }
}

static void test_the_first_rule_that_holds_wins(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_background(&b);
    row_of(&b, "previous_token", 0)->value = 0.5; /* three rules hold */
    row_of(&b, "current_token", 0)->value = 0.4;
    row_of(&b, "prefix_matching", 0)->value = 0.034;
    row_of(&b, "previous_token", 1)->value = 0.5; /* two at the same ratio */
    row_of(&b, "current_token", 1)->value = 0.5;
    row_of(&b, "ablation/zero", 2)->value = 0; /* dead whatever it attends to */
    row_of(&b, "previous_token", 2)->value = 0.9;
    row_of(&b, "prefix_matching", 3)->value = 3 * 0.011; /* a threshold that is met exactly */
    row_of(&b, "prefix_matching", 4)->value = 3 * 0.011 - 1e-9;
    classify(&b);
    assert_type(&b, 0, "induction");
    assert_says(&b, 0, "; also previous-token, current-token");
    assert_type(&b, 1, "previous-token");
    assert_says(&b, 1, "; also current-token");
    assert_type(&b, 2, "dead");
    assert_says(&b, 2, "; also previous-token");
    assert_type(&b, 3, "induction");
    assert_silent(&b, 3, "also");
    assert_type(&b, 4, "other");
}

static void test_labels_can_contradict_a_score(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_background(&b);
    row_of(&b, "prefix_matching", 0)->value = 0.1;
    row_of(&b, "contexts/zero/induction", 0)->value = 0.1;
    row_of(&b, "bracket", 1)->value = 0.9;
    row_of(&b, "contexts/zero/dyck", 2)->value = 0.9; /* its top tokens are brackets, and it does not look at them */
    classify(&b);
    for (int h = 0; h < 3; h++) assert_type(&b, h, "other");
    b.o.induction_share = 0.1;
    b.o.bracket_share = 0.05;
    classify(&b);
    assert_type(&b, 0, "induction");
    assert_type(&b, 1, "bracket");
    assert_type(&b, 2, "other");
}

static void test_a_multigram_head_helps(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_background(&b);
    for (int h = 0; h < HEADS; h++) row_of(&b, "contexts/zero/n-gram", h)->value = 0.6;
    row_of(&b, "ablation/zero", 1)->value = -0.01; /* better without it */
    row_of(&b, "ablation/zero", 2)->se = 0.004;    /* who knows */
    row_of(&b, "ablation/zero", 3)->se = NAN;
    row_of(&b, "ablation/zero", 4)->value = NAN; /* not measured */
    classify(&b);
    assert_type(&b, 0, "multigram");
    assert_type(&b, 1, "other");
    assert_type(&b, 2, "other");
    assert_type(&b, 3, "multigram");
    assert_type(&b, 4, "multigram");
    assert_says(&b, 4, "; absent: ablation");
}

static void test_absent_evidence_is_said_and_not_guessed(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_to(&b, 8, "prefix_matching", 0, "", 0.9, 0, 0.01); /* of another checkpoint */
    add(&b, "previous_token", 1, "", 0.9, NAN);            /* no chance to compare with */
    add(&b, "current_token", 2, "", NAN, 0.03);
    add(&b, "bracket", 3, "mix", 0.9, 0.02); /* without tokens in context the score decides */
    add(&b, "current_token", 4, "", 0.9, 0.03);
    add_to(&b, 7, "prefix_matching", 5, "", 0.5, 0.2, 0.01); /* 50x chance, by chance */
    add_to(&b, 7, "prefix_matching", 6, "", 0.5, NAN, 0.01);
    classify(&b);
    for (int h = 0; h < 3; h++) {
        assert_type(&b, h, "other");
        assert_string_equal(b.types[h].evidence, "other; absent: prefix matching, previous token, current token, "
                                                 "bracket, tokens in context, ablation");
    }
    assert_type(&b, 3, "bracket");
    assert_type(&b, 4, "current-token");
    assert_says(&b, 4, "; absent: prefix matching, previous token, bracket, tokens in context, ablation");
    assert_type(&b, 5, "other");
    assert_type(&b, 6, "induction");
}

/** Where chance is high no score reaches the ratio: halfway from chance to 1 is enough. */
static void test_short_contexts_have_types_too(void **state) {
    (void)state;
    bench b;
    start(&b);
    add(&b, "previous_token", 0, "", 0.6, 0.2);
    add(&b, "previous_token", 1, "", 0.59, 0.2);
    add_to(&b, 7, "previous_token", 2, "", 0.9, 0.3, 0.2);
    classify(&b);
    assert_type(&b, 0, "previous-token");
    assert_type(&b, 1, "other");
    assert_type(&b, 2, "other");
}

static void test_scores_on_text_stand_in_for_synthetic_ones(void **state) {
    (void)state;
    bench b;
    start(&b);
    add(&b, "previous_token/text", 0, "mix", 0.8, 0.03);
    add(&b, "previous_token/text", 1, "mix", 0.8, 0.03);
    add(&b, "previous_token", 1, "", 0.03, 0.03); /* the synthetic score is there: it decides */
    classify(&b);
    assert_type(&b, 0, "previous-token");
    assert_says(&b, 0, "previous token 0.8 on mix (27x chance 0.03)");
    assert_type(&b, 1, "other");
}

static void test_of_several_corpora_the_strongest_counts(void **state) {
    (void)state;
    bench b;
    start(&b);
    add_background(&b);
    for (int h = 0; h < HEADS; h++) add(&b, "ablation/zero", h, "code", h ? 0.002 : 0.0015, NAN);
    row_of(&b, "ablation/zero", 0)->value = 0; /* dead on mix, not on code */
    add(&b, "bracket", 1, "code", 0.3, 0.02);
    add(&b, "contexts/zero/dyck", 1, "code", 0.6, NAN);
    add(&b, "contexts/zero/n-gram", 2, "code", 0.2, NAN); /* shares of one corpus are added, not of two */
    add(&b, "contexts/zero/skip n-gram", 3, "code", 0.55, NAN);
    classify(&b);
    assert_type(&b, 0, "other");
    assert_says(&b, 0, "ablation +0.0015 nats on code (0.77x");
    assert_type(&b, 1, "bracket");
    assert_says(&b, 1, "bracket 0.3 on code");
    assert_type(&b, 2, "other");
    assert_type(&b, 3, "multigram");
    b.o.corpus = "mix";
    classify(&b);
    assert_type(&b, 0, "dead");
    assert_type(&b, 1, "other");
    assert_type(&b, 3, "other");
}

static void test_nothing_is_dead_where_everything_is_small(void **state) {
    (void)state;
    bench b;
    start(&b);
    for (int h = 0; h < HEADS; h++) add(&b, "ablation/zero", h, "mix", h % 2 ? 1e-7 : -1e-7, NAN);
    classify(&b);
    for (int h = 0; h < HEADS; h++) assert_type(&b, h, "other");
    for (int h = 0; h < HEADS; h++) b.rows[h].value = 0; /* but where nothing matters at all, all are */
    classify(&b);
    for (int h = 0; h < HEADS; h++) assert_type(&b, h, "dead");
}

static void test_thresholds_are_options(void **state) {
    (void)state;
    bench b;
    rllc_json *j;
    assert_ok(rllc_options_check(&rllc_head_type_option_table));
    start(&b);
    add_background(&b);
    b.o.previous_token_ratio = 1;
    b.o.sigmas = 0;
    classify(&b);
    for (int h = 0; h < HEADS; h++) assert_type(&b, h, "previous-token");
    assert_ok(rllc_json_parse(&j, b.types[0].json, strlen(b.types[0].json), "json"));
    assert_string_equal(rllc_json_text(rllc_json_get(j, "automatic")), "previous-token");
    assert_true(rllc_json_to_real(rllc_json_get(rllc_json_get(j, "thresholds"), "previous_token_ratio"), 0) == 1);
    const rllc_json *e = rllc_json_get(rllc_json_get(j, "evidence"), "previous_token");
    assert_true(rllc_json_to_real(rllc_json_get(e, "value"), 0) == 0.03);
    assert_true(rllc_json_to_real(rllc_json_get(e, "relative"), 0) == 0.03 / 0.029);
    rllc_json_free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type),
        cmocka_unit_test(test_the_line_reads_as_a_sentence),
        cmocka_unit_test(test_published_scores_give_the_published_types),
        cmocka_unit_test(test_the_first_rule_that_holds_wins),
        cmocka_unit_test(test_labels_can_contradict_a_score),
        cmocka_unit_test(test_a_multigram_head_helps),
        cmocka_unit_test(test_absent_evidence_is_said_and_not_guessed),
        cmocka_unit_test(test_short_contexts_have_types_too),
        cmocka_unit_test(test_scores_on_text_stand_in_for_synthetic_ones),
        cmocka_unit_test(test_of_several_corpora_the_strongest_counts),
        cmocka_unit_test(test_nothing_is_dead_where_everything_is_small),
        cmocka_unit_test(test_thresholds_are_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
