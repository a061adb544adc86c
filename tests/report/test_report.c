/* report: figures and page from synthetic stores, checked from outside. */
#include "report/synthetic.h"

/* ---- the page -------------------------------------------------------------------------------------------- */

static void test_page_is_whole_and_well_formed(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    free(assert_well_formed(page));
    int n;
    const rllc_report_figure *const *figures = rllc_report_figure_list(&n);
    assert_true(n >= 7);
    for (int i = 0; i < n; i++) {
        rllc_string title = {0};
        assert_ok(rllc_markup_escape(&title, figures[i]->title));
        assert_has(page, title.data);
        rllc_string_release(&title);
    }
    static const char *const said[] = {
        "<h1>Synthetic run</h1>", "How to read this", "localization", "num_init_loss_batches", "streams=2",
        "n_layers: 2   # &lt;two&gt;", "a CPU with 2 cores", "9,700,000", "00000000000000000000000000000abc",
        "seed1/checkpoints/step10000/model.safetensors", "/usr/share/doc &lt;x&gt;",
        /* the demo's recipe */
        "not the paper", "initialised with sinusoids</b> of amplitude 2", "50% of the rows of the corpus <b>mix</b>",
        /* troubles */
        "<b>Diverged chains: 1 of 2180</b>", "0:3 on code at step 600 (chain 2: loss is NaN at draw 10 (step 10))",
        "<b>Unfinished cells: 1 of 546</b>", "<b>Negative estimates: "};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) assert_has(page, said[i]);
    assert_false(has(page, "Not in this report"));
    free(page);
    rllc_store_close(s);
}

static void test_page_needs_no_network(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    assert_false(has(page, "http"));
    assert_false(has(page, "src="));
    assert_false(has(page, "@import"));
    assert_false(has(page, "url("));
    for (const char *at = page; (at = strstr(at, "href=\"")) != NULL;) assert_int_equal(*(at += 6), '#');
    free(page);
    rllc_store_close(s);
}

static void test_same_store_gives_same_bytes(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    char again[512];
    snprintf(again, sizeof again, "%s/again", (char *)*state);
    assert_ok(rllc_report_write(s, *state, NULL));
    rllc_store_close(s);
    s = open_store(state);
    assert_ok(rllc_report_write(s, again, NULL));
    char *a = page_of(state), *b = read_text(again, "report.html");
    assert_string_equal(a, b);
    free(a), free(b);
    rllc_store_close(s);
}

/* Estimates by a way of their own: straight from the store's lists. */
static void test_figures_hold_the_estimates_of_the_store(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    rllc_store_estimate *estimates;
    rllc_store_cell *cells;
    int64_t n, heads = 0;
    assert_ok(rllc_report_write(s, *state, NULL));
    assert_ok(rllc_store_estimates(s, &estimates, &cells, &n));
    char *csv[2] = {read_text(*state, "figures/wrllc-seed1-mix.csv"),
                    read_text(*state, "figures/wdrllc-seed1-code.csv")};
    char *page = page_of(state);
    for (int64_t i = 0; i < n; i++) {
        int l, h, corpus = strcmp(cells[i].corpus, "mix") == 0 ? 0 : strcmp(cells[i].corpus, "code") == 0 ? 1 : 2;
        if (corpus == 2 || sscanf(cells[i].component, "l%dh%d", &l, &h) != 2) continue;
        char row[200], mean[32], low[32], high[32];
        const rllc_store_estimate *e = &estimates[i];
        snprintf(row, sizeof row, "\n%d,Layer %d,%d:%d,%lld,%s,%s,%s\n", l + 1, l, l, h, (long long)cells[i].step,
                 rllc_format_double(mean, e->llc_mean), rllc_format_double(low, e->llc_mean - e->llc_sd),
                 rllc_format_double(high, e->llc_mean + e->llc_sd));
        if (!has(csv[corpus], row)) fail_msg("missing in the figure's data: %s", row);
        heads++;
        if (cells[i].step != 10000) continue; /* the last step stands in both tables, to all its digits */
        snprintf(row, sizeof row, "data-v=\"%s\"", mean);
        const char *first = strstr(page, row);
        assert_non_null(first);
        assert_non_null(strstr(first + 1, row));
    }
    assert_int_equal(heads, 2 * 8 * SYNTHETIC_STEPS - 1); /* one is unfinished */
    free(csv[0]), free(csv[1]), free(page);
    rllc_free(estimates);
    rllc_free(cells);
    rllc_store_close(s);
}

static void test_traces_are_losses_above_those_at_the_start(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    rllc_store_cell *cells;
    double loss[SYNTHETIC_MOST_DRAWS], baseline[SYNTHETIC_MOST_DRAWS];
    int64_t n, n_draws, rows = 0;
    assert_ok(rllc_report_write(s, *state, NULL));
    assert_ok(rllc_store_cells(s, &cells, &n));
    char *csv = read_text(*state, "figures/traces-seed1-mix-layer0.csv");
    for (int64_t i = 0; i < n; i++) {
        int l, h;
        if (cells[i].step != 10000 || strcmp(cells[i].corpus, "mix") != 0) continue;
        if (sscanf(cells[i].component, "l%dh%d", &l, &h) != 2 || l != 0) continue;
        for (int k = 0; k < SYNTHETIC_CHAINS; k++) {
            assert_ok(rllc_store_get_trace(s, cells[i].id, k, loss, baseline, SYNTHETIC_MOST_DRAWS, &n_draws));
            for (int64_t t = 0; t < n_draws; t++, rows++) {
                char row[200], value[32];
                snprintf(row, sizeof row, "\n%d,0:%d,chain %d,%lld,%s,,\n", h + 1, h, k, (long long)t,
                         rllc_format_double(value, loss[t] - baseline[t]));
                if (!has(csv, row)) fail_msg("missing in the figure's data: %s", row);
            }
        }
    }
    assert_int_equal(rows, 4 * 4 * 20);
    free(csv);
    rllc_free(cells);
    rllc_store_close(s);
}

static void test_values_are_rounded_to_their_error(void **state) {
    synthetic_options o = {.layers = 1, .heads = 1, .corpora = 1, .seeds = 1, .draws = 20, .components = ""};
    rllc_store *s = synthetic_store(state, &o);
    rllc_store_estimate *estimates;
    rllc_store_cell *cells;
    int64_t n;
    assert_ok(rllc_store_estimates(s, &estimates, &cells, &n));
    for (int64_t i = 0; i < n; i++) {
        estimates[i].llc_mean = 2.16449;
        estimates[i].llc_se = 0.0278;
        estimates[i].llc_mean_init = -1.0;
        estimates[i].llc_se_init = NAN;
        assert_ok(rllc_store_put_estimate(s, &estimates[i]));
    }
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    assert_has(page, ">2.164 <span class=\"pm\">\xC2\xB1 0.028</span></td>");
    assert_has(page, ">\xE2\x88\x92"
                     "1.000</td>");
    free(page);
    rllc_free(estimates);
    rllc_free(cells);
    rllc_store_close(s);
}

static void test_plain_run_has_no_notes(void **state) {
    synthetic_options o = synthetic_default;
    o.demo = o.troubled = false;
    o.corpora = 1;
    rllc_store *s = synthetic_store(state, &o);
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    assert_false(has(page, "id=\"recipe\""));
    assert_false(has(page, "id=\"warnings\""));
    assert_has(page, "Not in this report");
    assert_has(page, "rllc sample RUN --components heads --corpora NAME");
    free(page);
    rllc_store_close(s);
}

static void test_every_seed_has_its_figures(void **state) {
    synthetic_options o = synthetic_default;
    o.seeds = 2;
    o.corpora = 1;
    rllc_store *s = synthetic_store(state, &o);
    assert_ok(rllc_report_write(s, *state, NULL));
    char *one = read_text(*state, "figures/wrllc-seed1-mix.csv"),
         *two = read_text(*state, "figures/wrllc-seed2-mix.csv");
    assert_non_null(one);
    assert_non_null(two);
    assert_string_not_equal(one, two);
    char *loss = read_text(*state, "figures/loss.csv");
    assert_has(loss, "\n2,Seed 2,validation,10000,");
    free(one), free(two), free(loss);
    rllc_store_close(s);
}

/* ---- hostile and empty stores ---------------------------------------------------------------------------- */

static void test_hostile_names_are_literal(void **state) {
    synthetic_options o = {.layers = 1,
                           .heads = 2,
                           .corpora = 1,
                           .seeds = 1,
                           .draws = 20,
                           .scores = true,
                           .training = true,
                           .components = "<script>alert(1)</script>,a\"b'c & ../../x"};
    rllc_store *s = synthetic_store(state, &o);
    rllc_store_corpus *corpora, evil = {.hash = "<h>", .json = "no json <b>", .name = "../\"<i>&'\n]]>"};
    rllc_store_checkpoint *checkpoints;
    int64_t n, m;
    assert_ok(rllc_store_set_meta(s, "title", "</title><script>x</script> & 'quotes'"));
    assert_ok(rllc_store_set_meta(s, "config", "a: </pre><b>\nb: &amp;\n"));
    assert_ok(rllc_store_corpora(s, &corpora, &n));
    assert_ok(rllc_store_checkpoints(s, &checkpoints, &m));
    assert_ok(rllc_store_put_corpus(s, &evil));
    rllc_store_cell c = {.checkpoint_id = checkpoints[m - 1].id,
                         .corpus_id = evil.id,
                         .component = "l0h0",
                         .identity = "evil",
                         .dim = 1,
                         .loss_kind = "<loss>",
                         .options_json = "not <json>",
                         .provenance_id = 1,
                         .nbeta = 30};
    synthetic_cell(s, &c, 20, 0, 10000, 99, true, false);
    c.identity = "evil too";
    c.options_json = "{\"</dt>\":\"</dd><b>\",\"batches\":\"<i>\",\"list\":[\"<u>\"]}";
    synthetic_cell(s, &c, 20, 0, 10000, 98, false, false);
    rllc_store_score score = {.checkpoint_id = checkpoints[m - 1].id,
                              .metric = "</svg><x>_y",
                              .layer = 0,
                              .head = 1,
                              .corpus = "'<c>'",
                              .value = 0.5,
                              .se = NAN,
                              .n = 1};
    assert_ok(rllc_store_put_score(s, &score));
    checkpoints[m - 1].model_json = "[1,{\"a\":\"<b>\"}]";
    checkpoints[m - 1].path = "</code>";
    assert_ok(rllc_store_put_checkpoint(s, &checkpoints[m - 1]));
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    free(assert_well_formed(page));
    assert_false(has(page, "<script>alert"));
    assert_false(has(page, "<script>x"));
    assert_has(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    assert_has(page, "a: &lt;/pre&gt;&lt;b&gt;\nb: &amp;amp;\n");
    /* File names are made harmless: whatever a corpus is called, its figures stay in the folder. */
    char **names;
    int64_t k;
    char folder[512];
    snprintf(folder, sizeof folder, "%s/figures", (char *)*state);
    assert_ok(rllc_folder_list(folder, &names, &k));
    for (int64_t i = 0; i < k; i++)
        for (const char *at = names[i]; *at; at++) assert_true(isalnum((unsigned char)*at) || strchr("-.", *at));
    rllc_names_free(names, k);
    free(page);
    rllc_free(corpora);
    rllc_free(checkpoints);
    rllc_store_close(s);
}

static void test_empty_store_is_told_plainly(void **state) {
    rllc_store *s = open_store(state);
    assert_int_equal(rllc_report_write(s, *state, NULL), RLLC_ENOTFOUND);
    assert_non_null(strstr(rllc_error_detail(), "there is nothing to report yet"));
    assert_non_null(strstr(rllc_error_detail(), "rllc run CONFIG"));
    assert_null(read_text(*state, "report.html"));
    rllc_store_close(s);
}

static void test_training_alone_is_reported(void **state) {
    synthetic_options o = {.layers = 2, .heads = 4, .seeds = 1, .draws = 20, .training = true, .components = ""};
    rllc_store *s = synthetic_store(state, &o);
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    free(assert_well_formed(page));
    assert_has(page, "<code>loss</code>");
    static const char *const commands[] = {"rllc analyze RUN", "rllc sample RUN --components full",
                                           "rllc sample RUN --components layers,embed,unembed",
                                           "The store knows no corpus"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) assert_has(page, commands[i]);
    free(page);
    rllc_store_close(s);
}

/* ---- errors of estimates --------------------------------------------------------------------------------- */

static void test_missing_errors_and_settings_are_told(void **state) {
    synthetic_options o = {.layers = 1, .heads = 2, .corpora = 1, .seeds = 1, .draws = 20, .components = ""};
    rllc_store *s = synthetic_store(state, &o);
    rllc_store_estimate *estimates;
    rllc_store_cell *cells;
    int64_t n;
    assert_ok(rllc_store_estimates(s, &estimates, &cells, &n));
    estimates[0].llc_sd = estimates[0].llc_se = NAN;
    estimates[0].n_chains = 1;
    assert_ok(rllc_store_put_estimate(s, &estimates[0]));
    rllc_store_cell c = cells[n - 1];
    c.identity = "other";
    c.options_json = "{\"batches\":\"shared\",\"sampler\":{\"sampler\":\"sgld\",\"lr\":0.5}}";
    synthetic_cell(s, &c, 20, 0, c.step, 5, false, false);
    c.identity = "underived";
    c.options_json = "{\"batches\":\"independent\"}";
    assert_ok(rllc_store_put_cell(s, &c));
    assert_ok(rllc_store_update_cell(s, c.id, true, 1));
    assert_ok(rllc_report_write(s, *state, NULL));
    char *page = page_of(state);
    assert_has(page, "<b>Estimates without an error: 1 of ");
    assert_has(page, "<b>All chains saw the same minibatches</b>");
    assert_has(page, "<b>A corpus was sampled under several settings</b>");
    assert_has(page, "<b>Finished cells without an estimate: 1</b>");
    assert_has(page, "mix (2)");
    char *second = read_text(*state, "figures/wrllc-seed1-mix--2-.csv");
    assert_non_null(second);
    free(second), free(page);
    rllc_free(estimates);
    rllc_free(cells);
    rllc_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(test_page_is_whole_and_well_formed),
        WITH_SCRATCH(test_page_needs_no_network),
        WITH_SCRATCH(test_same_store_gives_same_bytes),
        WITH_SCRATCH(test_figures_hold_the_estimates_of_the_store),
        WITH_SCRATCH(test_traces_are_losses_above_those_at_the_start),
        WITH_SCRATCH(test_values_are_rounded_to_their_error),
        WITH_SCRATCH(test_plain_run_has_no_notes),
        WITH_SCRATCH(test_every_seed_has_its_figures),
        WITH_SCRATCH(test_hostile_names_are_literal),
        WITH_SCRATCH(test_empty_store_is_told_plainly),
        WITH_SCRATCH(test_training_alone_is_reported),
        WITH_SCRATCH(test_missing_errors_and_settings_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
