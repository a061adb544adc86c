/* --compat: recorded losses of devinterp's chains, put into a store, give the numbers that devinterp gave. All numbers were
 * made by tools/peers/devinterp_facts.py --numbers, with devinterp 1.3.2 and 2.0.1. */
#include <math.h>

#include "base/helpers.h"
#include "rllc/sampling.h"

enum { CHAINS = 3, MOST = 6 };

/** A run of 3 chains with burn-in 2, every 2nd step, as devinterp recorded and summed it up. */
typedef struct {
    const char *compat;
    int64_t num_draws;
    double nbeta, init_loss;
    double loss[CHAINS][MOST];
    double per_chain[CHAINS], mean, std;
} record;

static const record devinterp1 = {
    "devinterp1", 4, 2.8853900817779268, 2.65730619430542,
    {{2.7691268920898438, 2.6944518089294434, 2.56792950630188, 2.6089844703674316},
     {2.850083589553833, 2.724289655685425, 2.7792341709136963, 2.684070587158203},
     {2.762526750564575, 2.6907246112823486, 2.737325668334961, 2.6840310096740723}},
    {0.00812858808785677, 0.2946365475654602, 0.17700591683387756}, 0.15992368757724762, 0.1440158188343048};

static const record devinterp2 = {
    "devinterp2", 2, 30, 2.657306432723999,
    {{2.7258236408233643, 2.510309934616089, 2.7451765537261963, 2.735755443572998, 2.8074557781219482, 2.7782955169677734},
     {2.7258236408233643, 2.528777599334717, 2.851334810256958, 2.749998092651367, 2.6857402324676514, 2.662146806716919},
     {2.7258236408233643, 2.569805383682251, 2.749509334564209, 2.6642911434173584, 2.6121160984039307, 2.615604877471924}},
    {1.794898509979248, 1.299912929534912, -0.03343820571899414}, 1.0204577445983887, 0.7721291780471802};

static rllc_sampler_options options_of(const record *r, const char *compat) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    assert_ok(rllc_options_set(&rllc_sampler_option_table, &o, "compat", compat, "compat"));
    o.num_chains = CHAINS;
    o.num_draws = r->num_draws;
    o.num_burnin_steps = o.num_steps_bw_draws = 2;
    o.nbeta = r->nbeta;
    o.num_init_loss_batches = 3;
    return o;
}

static const char *options_text(const rllc_sampler_options *o) {
    rllc_json *sampler, *all = rllc_json_object();
    rllc_string text = {0};
    assert_ok(rllc_options_to_json(&rllc_sampler_option_table, o, &sampler));
    assert_ok(rllc_json_set(all, "sampler", sampler));
    assert_ok(rllc_json_print(all, 0, true, &text));
    const char *interned = rllc_intern(rllc_string_text(&text));
    rllc_string_release(&text);
    rllc_json_free(all);
    return interned;
}

/** The estimate that a store derives from the record under some conventions. The chains' init losses differ, about devinterp's:
 *  as when they come from several streams. */
static void estimate(void **state, const record *r, const char *compat, rllc_store_estimate *out, double per_chain[CHAINS]) {
    static int n_stores;
    const rllc_sampler_options o = options_of(r, compat);
    const int64_t draws = rllc_sampler_draws(&o);
    const double baseline[MOST] = {2, 2, 2, 2, 2, 2}, offset[CHAINS] = {-0.25, 0.5, -0.25};
    rllc_store_corpus corpus = {.name = "mix", .hash = "c", .trained_on = true, .json = "{}"};
    rllc_store_checkpoint weights = {.hash = "w", .path = "w", .n_layers = 1, .n_heads = 2, .model_json = "{}"};
    rllc_store_estimate *list;
    rllc_store_cell *cells;
    rllc_store *s;
    rllc_json *values, *made = rllc_json_object();
    int64_t n, provenance;
    assert_ok(rllc_store_open(&s, scratch_path(state, rllc_intern_printf("%d.db", n_stores++)), RLLC_STORE_WRITE));
    assert_ok(rllc_store_put_corpus(s, &corpus));
    assert_ok(rllc_store_put_checkpoint(s, &weights));
    assert_ok(rllc_store_provenance(s, made, &provenance));
    rllc_json_free(made);
    rllc_store_cell cell = {.identity = "i", .checkpoint_id = weights.id, .corpus_id = corpus.id, .component = "full", .dim = 4,
                            .loss_kind = "next_token", .options_json = options_text(&o), .provenance_id = provenance,
                            .nbeta = r->nbeta};
    assert_ok(rllc_store_put_cell(s, &cell));
    for (int64_t c = 0; c < CHAINS; c++) {
        const rllc_store_chain chain = {.cell_id = cell.id, .chain = c, .step = rllc_sampler_steps(&o), .n_draws = draws,
                                        .init_loss = r->init_loss + offset[c], .acceptance = NAN};
        assert_ok(rllc_store_put_chain(s, &chain, 0, draws, r->loss[c], baseline));
    }
    assert_ok(rllc_store_update_cell(s, cell.id, true, 1));
    assert_ok(rllc_estimates_rebuild(s, &n));
    assert_ok(rllc_store_estimates(s, &list, &cells, &n));
    assert_int_equal(n, 1);
    *out = list[0];
    assert_ok(rllc_json_parse(&values, list[0].per_chain_json, strlen(list[0].per_chain_json), "per_chain"));
    for (size_t c = 0; c < CHAINS; c++)
        per_chain[c] = rllc_json_to_real(rllc_json_at(rllc_json_get(values, "llc_init"), c), NAN);
    rllc_json_free(values);
    rllc_free(list);
    rllc_free(cells);
    rllc_store_close(s);
}

/* devinterp sums in float32: an estimate, nbeta times a difference of losses near 2.7, is off by some nbeta 2.7 2^-24 3. */
#define assert_theirs(a, b, nbeta) assert_true(fabs((a) - (b)) <= (nbeta) * 2.7 * 3 * 0x1p-24)

static void check_record(void **state, const record *r) {
    rllc_store_estimate e;
    double per_chain[CHAINS];
    estimate(state, r, r->compat, &e, per_chain);
    assert_theirs(e.llc_mean_init, r->mean, r->nbeta);
    assert_theirs(e.llc_sd_init, r->std, r->nbeta);
    for (int c = 0; c < CHAINS; c++) assert_theirs(per_chain[c], r->per_chain[c], r->nbeta);
}

static void test_devinterp1_mean_std_chains(void **state) { check_record(state, &devinterp1); }
static void test_devinterp2_mean_std_chains(void **state) { check_record(state, &devinterp2); }

/** Without compat each chain stands against its own init loss, and the spread divides by n - 1. */
static void test_own_conventions_differ(void **state) {
    rllc_store_estimate e;
    double per_chain[CHAINS];
    estimate(state, &devinterp1, "none", &e, per_chain);
    assert_theirs(e.llc_mean_init, devinterp1.mean, devinterp1.nbeta);
    assert_theirs(per_chain[0] - devinterp1.per_chain[0], 0.25 * devinterp1.nbeta, devinterp1.nbeta);
    assert_theirs(per_chain[1] - devinterp1.per_chain[1], -0.5 * devinterp1.nbeta, devinterp1.nbeta);
}

/** Which steps record, as both were seen to do (devinterp_facts.py): 3 burn-in steps, then every 2nd. */
static void test_steps_that_record(void **state) {
    (void)state;
    const int64_t last_of_interval[11] = {-1, -1, -1, -1, 0, -1, 1, -1, 2, -1, 3};
    rllc_sampler_options o = options_of(&devinterp1, "devinterp1"), all = options_of(&devinterp1, "devinterp2");
    o.num_burnin_steps = all.num_burnin_steps = 3;
    assert_int_equal(rllc_sampler_draws(&o), 4);
    assert_int_equal(rllc_sampler_draws(&all), 11);
    for (int64_t step = 0; step < 11; step++) {
        assert_int_equal(rllc_sampler_draw_at(&o, step), last_of_interval[step]);
        assert_int_equal(rllc_sampler_draw_at(&all, step), step);
    }
}

static rllc_sampler_options unset(const char *compat, int64_t batch_size, int64_t accumulation) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    rllc_sampler_unset(&o);
    assert_ok(rllc_options_set(&rllc_sampler_option_table, &o, "compat", compat, "compat"));
    o.batch_size = batch_size;
    o.gradient_accumulation_steps = accumulation;
    return o;
}

static void test_devinterp1_defaults(void **state) {
    (void)state;
    rllc_sampler_options o = unset("devinterp1", 4, 1);
    assert_ok(rllc_sampler_complete(&o));
    assert_true(fabs(o.nbeta - devinterp1.nbeta) < 1e-15 * o.nbeta * 4); /* 4 / ln 4; numpy's log may differ in the last bit */
    assert_int_equal(o.num_init_loss_batches, o.num_chains);
    o = unset("devinterp1", 16, 2);
    assert_ok(rllc_sampler_complete(&o));
    assert_true(fabs(o.nbeta - 9.233248261689365) < 1e-14); /* 32 / ln 32 */
    assert_int_equal(o.num_init_loss_batches, 2 * o.num_chains);
    o = unset("devinterp1", 1, 1);
    assert_ok(rllc_sampler_complete(&o));
    assert_true(o.nbeta == 1);
}

static void test_devinterp2_has_no_default_nbeta(void **state) {
    (void)state;
    rllc_sampler_options o = unset("devinterp2", 32, 2);
    assert_fails(rllc_sampler_complete(&o), RLLC_EUSAGE, "nbeta");
    o.nbeta = 30;
    assert_ok(rllc_sampler_complete(&o));
    assert_true(o.nbeta == 30);
    assert_int_equal(o.num_init_loss_batches, 64);
}

static void test_what_is_given_stays(void **state) {
    (void)state;
    const char *const compat[] = {"none", "devinterp1", "devinterp2"};
    for (int i = 0; i < 3; i++) {
        rllc_sampler_options o = unset(compat[i], 4, 1);
        o.nbeta = 7;
        o.num_init_loss_batches = 5;
        assert_ok(rllc_sampler_complete(&o));
        assert_true(o.nbeta == 7 && o.num_init_loss_batches == 5);
    }
    rllc_sampler_options o = unset("none", 4, 3), usual;
    rllc_options_default(&rllc_sampler_option_table, &usual);
    assert_ok(rllc_sampler_complete(&o));
    assert_true(o.nbeta == usual.nbeta && o.num_init_loss_batches == usual.num_init_loss_batches);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_devinterp1_mean_std_chains, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_devinterp2_mean_std_chains, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_own_conventions_differ, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_steps_that_record),
        cmocka_unit_test(test_devinterp1_defaults),
        cmocka_unit_test(test_devinterp2_has_no_default_nbeta),
        cmocka_unit_test(test_what_is_given_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
