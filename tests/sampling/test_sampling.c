/* Sampling groups: stopped, killed and resumed to the same bits; what company and streams share. */
#include "sampling/world.h"

static bool stop_at_once(void *context) {
    int *left = context;
    return (*left)-- <= 0;
}

static void test_stopped_and_resumed_gives_the_same_bits(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    int left = 0, stops = 0;
    const rllc_monitor monitor = {.context = &left, .stop = stop_at_once};
    begin(&w);
    run_whole(&w, "whole.db", &whole);
    assert_int_equal(whole.n_cells, 5);
    open_store(&w, "parts.db");
    w.job.monitor = &monitor;
    for (rllc_status status = RLLC_ESTOPPED; status != RLLC_OK; stops++) {
        left = stops < 8 ? 20 : 2; /* products with the Hessian, then steps, before the next stop */
        w.job.n_threads = 1 + stops % 3;
        status = rllc_sample(&w.job);
        assert_true(status == RLLC_OK || status == RLLC_ESTOPPED);
        assert_true(stops < 50);
    }
    assert_true(stops > 5);
    read_result(w.job.store, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    rllc_store_close(w.job.store);
    end(&w);
}

static void test_killed_and_rerun_gives_the_same_bits(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    begin(&w);
    w.job.options.commit_seconds = 0; /* at every step: kills fall between and inside commits */
    w.job.n_threads = 1; /* the child must not need threads that fork does not copy */
    run_whole(&w, "whole.db", &whole);
    for (int kills = 0; kills < 8; kills++) {
        const pid_t child = fork();
        if (child == 0) {
            open_store(&w, "parts.db");
            _exit(rllc_sample(&w.job) == RLLC_OK ? 0 : 1);
        }
        usleep((useconds_t)(5000 + 13000 * kills));
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFSIGNALED(how) || WEXITSTATUS(how) == 0);
    }
    run_whole(&w, "parts.db", &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    end(&w);
}

/** One component at a time, and all at once. */
static void test_company_does_not_matter(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    static const char *const one[] = {"full", "l1h1", "l0h0", "l0h1", "l1h0"};
    begin(&w);
    run_whole(&w, "whole.db", &whole);
    for (int i = 0; i < 5; i++) {
        w.job.options.components = one[i];
        run_whole(&w, "parts.db", &parts);
        assert_int_equal(parts.n_cells, i + 1);
    }
    assert_memory_equal(&whole, &parts, sizeof whole);
    end(&w);
}

static void test_streams_share_minibatches_and_chains_do_not_share_noise(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    w.job.options.components = "l0h1";
    run_whole(&w, "streams.db", &r);
    assert_memory_equal(r.baseline[0][0], r.baseline[0][2], sizeof r.baseline[0][0]);
    assert_memory_equal(r.baseline[0][1], r.baseline[0][3], sizeof r.baseline[0][1]);
    for (int d = 0; d < 12; d++) {
        assert_true(r.baseline[0][0][d] != r.baseline[0][1][d]);
        assert_true(r.loss[0][0][d] != r.loss[0][2][d]);
    }
    w.job.options.batches = "shared";
    run_whole(&w, "shared.db", &r);
    for (int c = 1; c < 4; c++) assert_memory_equal(r.baseline[0][0], r.baseline[0][c], sizeof r.baseline[0][0]);
    w.job.options.batches = "independent";
    run_whole(&w, "independent.db", &r);
    for (int c = 1; c < 4; c++) assert_true(r.baseline[0][0][0] != r.baseline[0][c][0]);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_and_resumed_gives_the_same_bits),
        cmocka_unit_test(test_killed_and_rerun_gives_the_same_bits),
        cmocka_unit_test(test_company_does_not_matter),
        cmocka_unit_test(test_streams_share_minibatches_and_chains_do_not_share_noise),
    };
    return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
