/* The configuration of a run: every key accounted for, what follows followed, presets sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/config.h"

static char folder[] = "/tmp/rllc-test-config-XXXXXX";

static const char *file_of(const char *text) {
    const char *path = rllc_intern_printf("%s/c.yaml", folder);
    assert_int_equal(rllc_file_write(path, text, strlen(text)), RLLC_OK);
    return path;
}

static rllc_status read_text(rllc_run_config *c, const char *text) {
    return rllc_run_config_read(c, NULL, file_of(text), NULL, 0);
}

/* The text is refused with this status, and the sentence holds each of the words. */
static void refuse(const char *text, rllc_status wanted, const char *const *words) {
    rllc_run_config c;
    assert_int_equal(read_text(&c, text), wanted);
    for (; *words; words++) {
        if (!strstr(rllc_error_detail(), *words)) fail_msg("'%s' is not in: %s", *words, rllc_error_detail());
    }
}
#define REFUSE(text, status, ...) refuse(text, status, (const char *const[]){__VA_ARGS__, NULL})

#define SMALL "output: o\ncorpora: {mix: {sources: src}, code: {sources: src}}\n"

static void test_config_defaults_follow(void **state) {
    (void)state;
    rllc_run_config c;
    assert_int_equal(read_text(&c, SMALL "model: {n_ctx: 32}\n"), RLLC_OK);
    assert_string_equal(c.training_corpus, "mix");
    assert_string_equal(c.tokenizer_corpus, "mix");
    assert_string_equal(c.sampling_corpora, "mix,code");
    assert_string_equal(c.sampling_checkpoints, c.training.checkpoints);
    assert_int_equal(c.corpora[0].packing.n_ctx, 32);
    assert_int_equal(c.n_seeds, 1);
    assert_true(c.seeds[0] == 1);
    rllc_run_config_release(&c);
}

static void test_config_reads_every_section(void **state) {
    (void)state;
    rllc_run_config c;
    assert_int_equal(
        read_text(&c, SMALL "seeds: [3, 18446744073709551615]\n"
                            "tokenizer: {vocab_size: 300, corpus: code}\n"
                            "model: {n_layers: 1, n_heads: 2}\n"
                            "optimizer: {lr: 6e-3}\n"
                            "training: {corpus: code, steps: 50}\n"
                            "scores: {score_samples: 7, checkpoints: '0,50'}\n"
                            "sampling: {corpora: [mix], checkpoints: '0..50:25', lr: 1e-4, components: 'l0h1,full'}\n"),
        RLLC_OK);
    assert_int_equal(c.n_seeds, 2);
    assert_true(c.seeds[1] == UINT64_MAX);
    assert_int_equal(c.tokenizer.vocab_size, 300);
    assert_true(c.optimizer.lr == 6e-3 && c.sampler.lr == 1e-4); /* one key, two sections */
    assert_string_equal(c.training_corpus, "code");
    assert_int_equal(c.score.score_samples, 7);
    assert_string_equal(c.sampling_corpora, "mix");
    rllc_run_config_release(&c);
}

static void test_config_unknown_keys_name_the_nearest(void **state) {
    (void)state;
    REFUSE(SMALL "modle: {}\n", RLLC_EINPUT, "c.yaml:3", "'modle'", "'model'");
    REFUSE(SMALL "model:\n  n_head: 4\n", RLLC_EINPUT, "c.yaml:4", "'n_head'", "'n_heads'");
    REFUSE(SMALL "sampling: {num_draw: 4}\n", RLLC_EINPUT, "'num_draws'");
    REFUSE(SMALL "training: {corpsu: mix}\n", RLLC_EINPUT, "'corpus'");
    REFUSE("output: o\ncorpora: {mix: {source: src}}\n", RLLC_EINPUT, "c.yaml:2", "'source'", "'sources'");
    REFUSE(SMALL "seed: 1\n", RLLC_EINPUT, "'seeds'");
}

static void test_config_refuses_what_does_not_fit(void **state) {
    (void)state;
    REFUSE("output: o\n", RLLC_EINPUT, "corpora");
    REFUSE("corpora: {mix: {sources: a}}\n", RLLC_EINPUT, "output");
    REFUSE(SMALL "seeds: []\n", RLLC_EINPUT, "seeds");
    REFUSE(SMALL "seeds: [1, 1]\n", RLLC_EINPUT, "twice");
    REFUSE(SMALL "seeds: [-1]\n", RLLC_EINPUT, "-1");
    REFUSE(SMALL "training: {corpus: pile}\n", RLLC_EINPUT, "'pile'", "mix, code");
    REFUSE(SMALL "sampling: {corpora: [mix, pile]}\n", RLLC_EINPUT, "'pile'");
    REFUSE(SMALL "training: {steps: 100}\nsampling: {checkpoints: '0,200'}\n", RLLC_EINPUT, "200", "beyond");
    REFUSE(SMALL "sampling: {components: l9h0}\n", RLLC_EUSAGE, "l9h0");
    REFUSE(SMALL "sampling: {sampler: sgdl}\n", RLLC_EINPUT, "sgdl");
    REFUSE(SMALL "sampling: {batches: some}\n", RLLC_EINPUT, "some");
    REFUSE("output: o\ncorpora: {'a/b': {sources: src}}\n", RLLC_EINPUT, "a/b");
    REFUSE("output: o\ncorpora: {mix: {sources: src, n_ctx: 8}}\n", RLLC_EMISMATCH, "n_ctx");
    REFUSE("- 1\n", RLLC_EINPUT, "map");
    REFUSE(SMALL "model: 3\n", RLLC_EINPUT, "'model'");
    REFUSE("preset: demon\n", RLLC_EUSAGE, "'demo'");
}

static void test_config_overrides_come_last(void **state) {
    (void)state;
    rllc_run_config c;
    const char *const overrides[] = {"model.n_heads=2", "corpora.mix.repeat_fraction=0.25", "model.n_heads=3",
                                     "seeds=[7]"};
    assert_int_equal(rllc_run_config_read(&c, NULL, file_of(SMALL "model: {n_heads: 1}\n"), overrides, 4), RLLC_OK);
    assert_int_equal(c.model.n_heads, 3);
    assert_true(c.corpora[0].packing.repeat_fraction == 0.25);
    assert_true(c.seeds[0] == 7);
    rllc_run_config_release(&c);
    const char *const wrong[] = {"model.n_haeds=2"};
    assert_int_equal(rllc_run_config_read(&c, NULL, file_of(SMALL), wrong, 1), RLLC_EUSAGE);
    assert_non_null(strstr(rllc_error_detail(), "n_heads"));
}

static void test_config_presets_are_sound(void **state) {
    (void)state;
    static const char *const names[] = {"demo", "small", "paper"};
    for (int i = 0; i < 3; i++) {
        rllc_run_config c;
        assert_int_equal(rllc_run_config_read(&c, names[i], NULL, NULL, 0), RLLC_OK);
        rllc_run_config_release(&c);
    }
}

/* Wang et al. 2025 and its published configurations. */
static void test_config_paper_is_the_papers(void **state) {
    (void)state;
    rllc_run_config c;
    int64_t *steps = NULL, n = 0;
    assert_int_equal(rllc_run_config_read(&c, "paper", NULL, NULL, 0), RLLC_OK);
    assert_true(c.model.n_layers == 2 && c.model.d_model == 256 && c.model.n_heads == 8 && c.model.d_head == 32);
    assert_true(c.model.n_ctx == 1024 && c.tokenizer.vocab_size == 5000 && c.model.normalization == RLLC_NORM_LN);
    assert_true(c.model.positions_init == RLLC_POS_INIT_NORMAL && c.model.init_scale == 0.8 && c.model.ln_eps == 1e-5);
    assert_true(c.optimizer.lr == 1e-3 && c.optimizer.weight_decay == 0.05 && c.optimizer.beta1 == 0.9);
    assert_true(c.optimizer.beta2 == 0.999 && c.optimizer.eps == 1e-8 && c.optimizer.max_grad_norm == 0);
    assert_true(c.training.steps == 50000 && c.training.batch_size == 100);
    assert_true(c.sampler.lr == 1e-3 && c.sampler.nbeta == 30 && c.sampler.localization == 200);
    assert_true(c.sampler.num_chains == 4 && c.sampler.num_draws == 200 && c.sampler.batch_size == 32);
    assert_true(c.sampler.num_burnin_steps == 0 && c.sampler.num_init_loss_batches == 16 &&
                c.sampler.weight_decay == 0);
    for (int64_t i = 0; i < c.n_corpora; i++) assert_true(c.corpora[i].packing.repeat_fraction == 0);
    assert_int_equal(rllc_grid_parse(c.sampling_checkpoints, &steps, &n), RLLC_OK);
    assert_int_equal(n, 107);
    rllc_free(steps);
    rllc_run_config_release(&c);
}

static void test_config_shorter_training_cuts_the_presets_grid(void **state) {
    (void)state;
    rllc_run_config c;
    int64_t *steps = NULL, n = 0;
    const char *const overrides[] = {"training.steps=500"};
    assert_int_equal(rllc_run_config_read(&c, "demo", NULL, overrides, 1), RLLC_OK);
    assert_int_equal(rllc_grid_parse(c.sampling_checkpoints, &steps, &n), RLLC_OK);
    assert_true(n > 2 && steps[n - 1] <= 500);
    rllc_free(steps);
    rllc_run_config_release(&c);
}

static void test_config_own_corpora_replace_the_presets(void **state) {
    (void)state;
    rllc_run_config c;
    assert_int_equal(read_text(&c, "preset: demo\ncorpora: {mine: {sources: src}}\n"), RLLC_OK);
    assert_int_equal(c.n_corpora, 1);
    assert_string_equal(c.training_corpus, "mine");
    assert_string_equal(c.sampling_corpora, "mine");
    assert_int_equal(c.model.d_model, 64); /* the rest is the preset's */
    rllc_run_config_release(&c);
}

static void test_config_print_reads_back(void **state) {
    (void)state;
    static const char *const names[] = {"demo", "small", "paper"};
    for (int i = 0; i < 3; i++) {
        rllc_run_config c;
        rllc_string first = {0}, second = {0};
        assert_int_equal(rllc_run_config_read(&c, names[i], NULL, NULL, 0), RLLC_OK);
        assert_int_equal(rllc_run_config_print(&c, &first), RLLC_OK);
        rllc_run_config_release(&c);
        assert_int_equal(read_text(&c, rllc_string_text(&first)), RLLC_OK);
        assert_int_equal(rllc_run_config_print(&c, &second), RLLC_OK);
        assert_string_equal(strchr(first.data, '\n'),
                            strchr(second.data, '\n')); /* but for the line that names the preset */
        rllc_run_config_release(&c);
        rllc_string_release(&first);
        rllc_string_release(&second);
    }
}

static void test_config_tables_are_sound(void **state) {
    (void)state;
    rllc_run_config c = {0};
    rllc_run_section sections[RLLC_RUN_SECTIONS];
    rllc_run_sections(&c, sections);
    for (int i = 0; i < RLLC_RUN_SECTIONS; i++) {
        for (int b = 0; b < sections[i].n; b++) {
            const rllc_option_table *t = sections[i].bindings[b].table;
            if (rllc_options_check(t) != RLLC_OK) fail_msg("%s: %s", t->name, rllc_error_detail());
        }
    }
    assert_int_equal(rllc_options_check(&rllc_common_option_table), RLLC_OK);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(rllc_intern_printf("%s/c.yaml", folder));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_defaults_follow),
        cmocka_unit_test(test_config_reads_every_section),
        cmocka_unit_test(test_config_unknown_keys_name_the_nearest),
        cmocka_unit_test(test_config_refuses_what_does_not_fit),
        cmocka_unit_test(test_config_overrides_come_last),
        cmocka_unit_test(test_config_presets_are_sound),
        cmocka_unit_test(test_config_paper_is_the_papers),
        cmocka_unit_test(test_config_shorter_training_cuts_the_presets_grid),
        cmocka_unit_test(test_config_own_corpora_replace_the_presets),
        cmocka_unit_test(test_config_print_reads_back),
        cmocka_unit_test(test_config_tables_are_sound),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
