/* head_bench: constructed scores of one checkpoint, two layers of four heads, and the types made of them. */
#ifndef TESTS_MECHINTERP_HEAD_BENCH_H
#define TESTS_MECHINTERP_HEAD_BENCH_H

#include "support/support.h"

enum { H = 4, HEADS = 8, MOST = 200 };

typedef struct bench {
    rllc_store_score rows[MOST];
    int64_t n;
    rllc_head_type_options o;
    rllc_store_head_type types[HEADS];
} bench;

static const rllc_store_checkpoint checkpoint = {.id = 7, .seed = 3, .step = 500, .n_layers = 2, .n_heads = H};

static inline void start(bench *b) {
    *b = (bench){0};
    rllc_options_default(&rllc_head_type_option_table, &b->o);
}

static inline void add_to(bench *b, int64_t checkpoint_id, const char *metric, int head, const char *corpus,
                          double value, double se, double chance) {
    assert_true(b->n < MOST);
    b->rows[b->n++] = (rllc_store_score){.checkpoint_id = checkpoint_id,
                                         .metric = metric,
                                         .layer = head < 0 ? -1 : head / H,
                                         .head = head < 0 ? -1 : head % H,
                                         .corpus = corpus,
                                         .value = value,
                                         .se = se,
                                         .n = 1000,
                                         .chance = chance};
}

static inline void add(bench *b, const char *metric, int head, const char *corpus, double value, double chance) {
    add_to(b, checkpoint.id, metric, head, corpus, value, 1e-4, chance);
}

static inline void classify_with(bench *b, const rllc_head_override *overrides, int64_t n) {
    assert_ok(rllc_head_types_classify(b->rows, b->n, &checkpoint, &b->o, overrides, n, b->types));
}

static inline void classify(bench *b) {
    classify_with(b, NULL, 0);
}

static inline void assert_type(const bench *b, int head, const char *type) {
    const rllc_store_head_type *t = &b->types[head];
    if (strcmp(t->type, type) != 0) fail_msg("head %d is '%s', expected '%s': %s", head, t->type, type, t->evidence);
    assert_string_equal(t->source, "automatic");
    assert_true(t->checkpoint_id == 7 && t->seed == 3 && t->step == 500 && t->layer == head / H && t->head == head % H);
    assert_memory_equal(t->evidence, type, strlen(type));
}

static inline void assert_says(const bench *b, int head, const char *text) {
    if (!strstr(b->types[head].evidence, text)) fail_msg("'%s' does not say '%s'", b->types[head].evidence, text);
}

static inline void assert_silent(const bench *b, int head, const char *text) {
    if (strstr(b->types[head].evidence, text)) fail_msg("'%s' says '%s'", b->types[head].evidence, text);
}

/** Everything at chance, and ablations of one size: heads without a type. */
static inline void add_background(bench *b) {
    for (int h = 0; h < HEADS; h++) {
        add(b, "previous_token", h, "", 0.03, 0.029);
        add(b, "current_token", h, "", 0.03, 0.029);
        add(b, "prefix_matching", h, "", 0.011, 0.011);
        add(b, "induction", h, "", 0.014, 0.014);
        add(b, "bracket", h, "mix", 0.02, 0.02);
        add(b, "contexts/zero/induction", h, "mix", 0.3, NAN);
        add(b, "contexts/zero/dyck", h, "mix", 0.05, NAN);
        add(b, "contexts/zero/n-gram", h, "mix", 0.2, NAN);
        add(b, "contexts/zero/skip n-gram", h, "mix", 0.1, NAN);
        add(b, "contexts/zero/unlabelled", h, "mix", 0.35, NAN);
        add(b, "multigrams", h, "mix", 40, NAN);
        add(b, "ablation/zero", h, "mix", 0.01, NAN);
    }
    add(b, "ablation/base_loss", -1, "mix", 3, NAN);
}

static inline rllc_store_score *row_of(bench *b, const char *metric, int head) {
    for (int64_t i = 0; i < b->n; i++)
        if (strcmp(b->rows[i].metric, metric) == 0 && b->rows[i].layer == head / H && b->rows[i].head == head % H)
            return &b->rows[i];
    fail_msg("no row '%s' of head %d", metric, head);
    return NULL;
}

#endif
