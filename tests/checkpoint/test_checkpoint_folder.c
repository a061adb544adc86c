/* Finding checkpoints: which steps a folder holds, and which file a path means. */
#include "checkpoint/files.h"

/* Makes <scratch>/<folder>/model.safetensors (any content). */
static void put_model(void **state, const char *folder) {
    assert_ok(rllc_make_folders(scratch_path(state, folder)));
    const char *file = rllc_intern_printf("%s/%s/model.safetensors", (const char *)*state, folder);
    put_safetensors(file, 2, "{}", 2, 0);
}

static void check_found(void **state, const char *path, const char *expected) {
    rllc_string found = {0};
    assert_ok(rllc_checkpoint_find(scratch_path(state, path), &found));
    assert_string_equal(rllc_string_text(&found), scratch_path(state, expected));
    rllc_string_release(&found);
}

static void test_steps_are_read_in_every_spelling(void **state) {
    static const char *const folders[] = {"run/checkpoints/step0",     "run/checkpoints/step1000",
                                          "run/checkpoints/step_200",  "run/checkpoints/checkpoint-30",
                                          "run/checkpoints/step_1000", "run/checkpoints/step9223372036854775807"};
    static const char *const others[] = {"step", "step_",        "step1x", "step-1", "Step5", "step9223372036854775808",
                                         "x7",   "checkpoint30", "step 4"};
    for (size_t i = 0; i < 6; i++) put_model(state, folders[i]);
    for (size_t i = 0; i < 9; i++) put_model(state, rllc_intern_printf("odd/%s", others[i]));
    assert_ok(rllc_make_folders(scratch_path(state, "run/checkpoints/step77"))); /* begun, but no model file yet */
    put_file(scratch_path(state, "run/checkpoints/step78"), "", 0);              /* a file, not a folder */
    int64_t *steps = NULL, n = 0;
    assert_ok(rllc_checkpoint_steps(scratch_path(state, "run/checkpoints"), &steps, &n));
    assert_int_equal(n, 5);
    assert_memory_equal(steps, ((int64_t[]){0, 30, 200, 1000, INT64_MAX}), 5 * sizeof *steps);
    rllc_free(steps);
    assert_ok(rllc_checkpoint_steps(scratch_path(state, "run"), &steps, &n));
    assert_int_equal(n, 0);
    rllc_free(steps);
    assert_ok(rllc_checkpoint_steps(scratch_path(state, "odd"), &steps, &n));
    assert_int_equal(n, 0);
    rllc_free(steps);
    assert_int_not_equal(rllc_checkpoint_steps(scratch_path(state, "nowhere"), &steps, &n), RLLC_OK);
    assert_null(steps);
}

static void test_find_accepts_file_folder_and_step(void **state) {
    put_model(state, "found/checkpoints/step_00200");
    put_model(state, "found/checkpoints/checkpoint-30");
    put_model(state, "found/hub");
    check_found(state, "found/hub", "found/hub/model.safetensors");
    check_found(state, "found/hub/", "found/hub/model.safetensors");
    check_found(state, "found/hub/model.safetensors", "found/hub/model.safetensors");
    check_found(state, "found/checkpoints/checkpoint-30", "found/checkpoints/checkpoint-30/model.safetensors");
    check_found(state, "found/checkpoints/step30", "found/checkpoints/checkpoint-30/model.safetensors");
    check_found(state, "found/step30", "found/checkpoints/checkpoint-30/model.safetensors");
    check_found(state, "found/step30/", "found/checkpoints/checkpoint-30/model.safetensors");
    check_found(state, "found/step200", "found/checkpoints/step_00200/model.safetensors");
}

static void test_find_appends_and_uses_the_current_folder(void **state) {
    rllc_string found = {0};
    char *here = getcwd(NULL, 0);
    put_model(state, "cwd/checkpoints/step5");
    assert_int_equal(chdir(scratch_path(state, "cwd")), 0);
    assert_ok(rllc_string_add(&found, "model: "));
    assert_ok(rllc_checkpoint_find("step5", &found));
    assert_string_equal(rllc_string_text(&found), "model: ./checkpoints/step5/model.safetensors");
    assert_int_equal(chdir(here), 0);
    free(here);
    rllc_string_release(&found);
}

static void test_find_says_what_is_there_instead(void **state) {
    rllc_string found = {0};
    put_model(state, "many/checkpoints/step0");
    put_model(state, "many/checkpoints/step400");
    assert_fails(rllc_checkpoint_find(scratch_path(state, "many"), &found), RLLC_ENOTFOUND, "steps 0 to 400");
    assert_fails(rllc_checkpoint_find(scratch_path(state, "many"), &found), RLLC_ENOTFOUND, "many/checkpoints/step400");
    assert_fails(rllc_checkpoint_find(scratch_path(state, "many/checkpoints"), &found), RLLC_ENOTFOUND,
                 "2 checkpoints");
    assert_fails(rllc_checkpoint_find(scratch_path(state, "many/step7"), &found), RLLC_ENOTFOUND, "no such checkpoint");
    assert_fails(rllc_checkpoint_find(scratch_path(state, "absent"), &found), RLLC_ENOTFOUND, "no such checkpoint");
    assert_fails(rllc_checkpoint_find("", &found), RLLC_ENOTFOUND, "no such checkpoint");
    assert_ok(rllc_make_folders(scratch_path(state, "bare")));
    assert_fails(rllc_checkpoint_find(scratch_path(state, "bare"), &found), RLLC_ENOTFOUND, "no model.safetensors");
    put_file(scratch_path(state, "bare/model.safetensors.index.json"), "{}", 2);
    assert_fails(rllc_checkpoint_find(scratch_path(state, "bare"), &found), RLLC_EUNSUPPORTED, "several files");
    assert_string_equal(rllc_string_text(&found), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_read_in_every_spelling),
        cmocka_unit_test(test_find_accepts_file_folder_and_step),
        cmocka_unit_test(test_find_appends_and_uses_the_current_folder),
        cmocka_unit_test(test_find_says_what_is_there_instead),
    };
    return cmocka_run_group_tests_name("checkpoint folders", tests, scratch_setup, scratch_teardown);
}
