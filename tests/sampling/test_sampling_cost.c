/* What a group is said to cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rllc/sampling.h"

static double memory_of(const rllc_model *m, const char *components, const char *batches) {
    rllc_sampling_job job = {.model = m, .n_threads = 2};
    double steps, tokens, flops, memory, disk;
    rllc_options_default(&rllc_sampler_option_table, &job.sampler);
    rllc_options_default(&rllc_sampling_option_table, &job.options);
    job.options.components = components;
    job.options.batches = batches;
    assert_int_equal(rllc_sampling_cost(&job, &steps, &tokens, &flops, &memory, &disk), RLLC_OK);
    return memory;
}

/** A call holds some chains of every component, not every chain of some: heads of both layers, in whatever order. */
static void test_memory_does_not_depend_on_the_order_of_components(void **state) {
    (void)state;
    rllc_model m;
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 2, o.d_model = 64, o.n_heads = 4, o.d_head = 16, o.n_ctx = 32, o.d_vocab = 512;
    assert_int_equal(rllc_model_init(&m, &o), RLLC_OK);
    const char *const modes[] = {"shared", "streams=2", "independent"};
    double last = 0;
    for (int i = 2; i >= 0; i--) {
        const double up = memory_of(&m, "l0h0,l0h1,l1h0,l1h1", modes[i]);
        assert_true(up == memory_of(&m, "l1h0,l1h1,l0h0,l0h1", modes[i]));
        assert_true(up > last); /* the more chains in a call, the more it holds */
        last = up;
    }
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory_does_not_depend_on_the_order_of_components)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
