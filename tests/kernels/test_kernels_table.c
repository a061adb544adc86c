/* Which table is used, how one is chosen, and what a wrong name gets. */
#include <sys/wait.h>
#include <unistd.h>

#include "kernels_test.h"

static void test_kernels_list_begins_with_ref_and_fills_every_slot(void **state) {
    (void)state;
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    assert_true(n >= 2);
    assert_ptr_equal(tables[0], &rllc_kernels_ref);
    for (int i = 0; i < n; i++) {
        const rllc_kernels *k = tables[i];
        assert_true(k->host_memory && k->allocate && k->release && k->upload && k->download);
        assert_true(k->low_rank_loss && k->low_rank_scratch && k->zero && k->multiply && k->divide && k->copy_rows);
        assert_true(k->scale_rows && k->add_scaled_rows && k->row_dots && k->gather_rows && k->scatter_rows);
        assert_true(k->name && k->gemm && k->layer_norm_forward && k->layer_norm_backward && k->attention_forward);
        assert_true(k->attention_backward && k->attention_scratch && k->cross_entropy && k->add && k->add_rows);
        assert_true(k->log_softmax && k->kl_divergence && k->column_sum && k->adamw && k->sgld && k->normals && k->sum_squares);
        for (int j = 0; j < i; j++) assert_string_not_equal(k->name, tables[j]->name);
    }
}

static void test_kernels_select_takes_every_listed_name(void **state) {
    (void)state;
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(rllc_kernels_select(tables[i]->name), RLLC_OK);
        assert_ptr_equal(rllc_kernels_get(), tables[i]);
    }
    assert_int_equal(rllc_kernels_select(""), RLLC_OK);
    assert_ptr_equal(rllc_kernels_get(), tables[n - 1]);
    assert_int_equal(rllc_kernels_select(NULL), RLLC_OK);
    assert_ptr_equal(rllc_kernels_get(), tables[n - 1]);
}

static void test_kernels_select_lists_the_tables_for_a_wrong_name(void **state) {
    (void)state;
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n), *before = rllc_kernels_get();
    assert_int_equal(rllc_kernels_select("cpu-abacus"), RLLC_EUSAGE);
    assert_ptr_equal(rllc_kernels_get(), before);
    assert_non_null(strstr(rllc_error_detail(), "cpu-abacus"));
    for (int i = 0; i < n; i++) assert_non_null(strstr(rllc_error_detail(), tables[i]->name));
}

/* The name of the table that a fresh process with this RLLC_KERNELS uses is the expected one. */
static void expect_from_environment(const char *value, const rllc_kernels *expected) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* nothing in this process has asked for a table yet: see the order in main */
        if (value != NULL) setenv("RLLC_KERNELS", value, 1);
        else unsetenv("RLLC_KERNELS");
        _exit(rllc_kernels_get() == expected ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_kernels_get_obeys_the_environment(void **state) {
    (void)state;
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    for (int i = 0; i < n; i++) expect_from_environment(tables[i]->name, tables[i]);
    expect_from_environment(NULL, tables[n - 1]);
    expect_from_environment("", tables[n - 1]);
    expect_from_environment("cpu-abacus", tables[n - 1]);
}

static void test_kernels_json_names_the_table_in_use(void **state) {
    (void)state;
    rllc_json *j = NULL;
    assert_int_equal(rllc_kernels_select("ref"), RLLC_OK);
    assert_int_equal(rllc_kernels_json(&j), RLLC_OK);
    assert_string_equal(rllc_json_text(rllc_json_get(j, "table")), "ref");
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    const rllc_json *names = rllc_json_get(j, "tables");
    assert_int_equal(rllc_json_length(names), n);
    for (int i = 0; i < n; i++) assert_string_equal(rllc_json_text(rllc_json_at(names, i)), tables[i]->name);
    rllc_json_free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_get_obeys_the_environment), /* first: the choice is made once */
        cmocka_unit_test(test_kernels_list_begins_with_ref_and_fills_every_slot),
        cmocka_unit_test(test_kernels_select_takes_every_listed_name),
        cmocka_unit_test(test_kernels_select_lists_the_tables_for_a_wrong_name),
        cmocka_unit_test(test_kernels_json_names_the_table_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
