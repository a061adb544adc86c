/* Memory runs out at every allocation in turn: a status, no crash, no leak. */
#include "base/helpers.h"

#include <errno.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int main(void) {
    print_message("skipped: a sanitizer owns malloc here, so its failures cannot be staged\n");
    return 0;
}
#else

/* The C library's own allocator, behind the ones below, which the library under test and its libraries call. */
#define REPLACES __attribute__((visibility("default")))
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

static _Thread_local bool staged;         /* count and fail on this thread only, inside a scenario */
static _Thread_local int64_t n_live, n_calls, failing_call;

static bool fails_now(void) {
    if (!staged || ++n_calls != failing_call) return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *pointer) {
    if (staged && pointer) n_live++;
    return pointer;
}

REPLACES void *malloc(size_t size) {
    return fails_now() ? NULL : counted(__libc_malloc(size));
}

REPLACES void *calloc(size_t n, size_t size) {
    return fails_now() ? NULL : counted(__libc_calloc(n, size));
}

REPLACES void *realloc(void *pointer, size_t size) {
    if (fails_now()) return NULL;
    return pointer ? __libc_realloc(pointer, size) : counted(__libc_malloc(size));
}

REPLACES void *aligned_alloc(size_t alignment, size_t size) {
    return fails_now() ? NULL : counted(__libc_memalign(alignment, size));
}

REPLACES void free(void *pointer) {
    if (staged && pointer) n_live--;
    __libc_free(pointer);
}

typedef rllc_status (*scenario)(const char *folder);

/* `usual` is how the scenario ends with all memory it wants; with less, so or with RLLC_ENOMEM. */
static void exhaust(scenario run, rllc_status usual, void **state) {
    int64_t n_refused = 0;
    assert_int_equal(run(*state), usual); /* interns what it interns, and starts what lives on */
    for (int64_t k = 1;; k++) {
        n_live = n_calls = 0;
        failing_call = k;
        staged = true;
        rllc_status status = run(*state);
        staged = false;
        if (n_live != 0) fail_msg("allocation %lld: %lld blocks are left", (long long)k, (long long)n_live);
        if (status == RLLC_ENOMEM) n_refused++;
        else if (status != usual) fail_msg("allocation %lld: status %d: %s", (long long)k, status, rllc_error_detail());
        if (n_calls < k) break; /* nothing failed: all have been tried */
        assert_true(k < 100000);
    }
    assert_true(n_refused > 0);
}

/* More than a fresh array of jansson holds. */
static rllc_status append_ten(rllc_json *j) {
    rllc_json *list = rllc_json_array();
    for (int i = 0; i < 10; i++) {
        rllc_status status = rllc_json_append(list, rllc_json_integer(i));
        if (status == RLLC_OK) continue;
        rllc_json_free(list);
        return status;
    }
    return rllc_json_set(j, "list", list);
}

static rllc_status use_json(const char *folder) {
    static const char text[] = "{\"a\": [1, 2.5, \"text\", {\"b\": null}], \"c\": \"\\u20ac\", \"d\": true}";
    rllc_json *j = NULL;
    rllc_string s = {0};
    rllc_status status = RLLC_OK;
    (void)folder;
    RLLC_TRY(rllc_json_parse(&j, text, sizeof text - 1, "text"));
    RLLC_TRY(rllc_json_set(j, "bad", rllc_json_string("\xFF name")));
    RLLC_TRY(rllc_json_set(j, "real", rllc_json_real(1.5)));
    RLLC_TRY(rllc_json_set(j, "null", rllc_json_real(1.0 / 0.0)));
    RLLC_TRY(append_ten(j));
    RLLC_TRY(rllc_json_print(j, 2, true, &s));
done:
    rllc_string_release(&s);
    rllc_json_free(j);
    return status;
}

static rllc_status use_yaml(const char *folder) {
    static const char text[] = "a: 1\nb: [x, y, {z: 1}]\nc:\n  d: e\n  f: 'g h'\nk1: 1\nk2: 2\nk3: 3\n";
    rllc_yaml *y = NULL, *over = NULL;
    rllc_string s = {0};
    rllc_status status = RLLC_OK;
    (void)folder;
    RLLC_TRY(rllc_yaml_parse(&y, text, sizeof text - 1, "text"));
    RLLC_TRY(rllc_yaml_parse(&over, text, sizeof text - 1, "text"));
    RLLC_TRY(rllc_yaml_override(y, "new.deep.er=[1, 2]"));
    RLLC_TRY(rllc_yaml_override(over, "c.q={r: s}"));
    RLLC_TRY(rllc_yaml_merge(y, over));
    RLLC_TRY(rllc_yaml_print(y, &s));
done:
    rllc_string_release(&s);
    rllc_yaml_free(y);
    rllc_yaml_free(over);
    return status;
}

typedef struct settings {
    int64_t n_heads;
    double lr;
    const char *text;
    int kind;
    uint64_t seed;
} settings;

static const rllc_option options[] = {
    RLLC_OPTION(settings, n_heads, RLLC_INTEGER, "8", 1, 100, NULL, "", "heads"),
    RLLC_OPTION(settings, lr, RLLC_REAL, "0.1", 0, 1, NULL, "nats", "step"),
    RLLC_OPTION(settings, text, RLLC_TEXT, "t", RLLC_UNBOUNDED, NULL, "", "text"),
    RLLC_OPTION(settings, kind, RLLC_CHOICE, "a", RLLC_UNBOUNDED, "a,b", "", "kind"),
    RLLC_OPTION(settings, seed, RLLC_SEED, "18446744073709551615", RLLC_UNBOUNDED, NULL, "", "seed"),
};
static const rllc_option_table table = {"settings", "", options, 5};

static rllc_status use_options(const char *folder) {
    static const char text[] = "n_heads: 7\nlr: 0.5\ntext: [a, b]\nkind: b\n";
    settings s, back;
    rllc_yaml *y = NULL;
    rllc_json *j = NULL;
    rllc_string help = {0};
    rllc_status status = RLLC_OK;
    (void)folder;
    rllc_options_default(&table, &s);
    RLLC_TRY(rllc_yaml_parse(&y, text, sizeof text - 1, "text"));
    RLLC_TRY(rllc_options_from_yaml(&table, &s, y));
    RLLC_TRY(rllc_options_to_json(&table, &s, &j));
    RLLC_TRY(rllc_options_from_json(&table, &back, j));
    RLLC_TRY(rllc_options_help(&table, &help));
    if (back.n_heads != 7 || strcmp(back.text, "a,b") != 0 || back.kind != 1) status = RLLC_EFAIL;
done:
    rllc_string_release(&help);
    rllc_json_free(j);
    rllc_yaml_free(y);
    return status;
}

static rllc_status misuse_options(const char *folder) {
    static const char *const argv[] = {"x", "--lr=0.3", "--text", "abc", "--n-head", "3"};
    settings s = {0};
    const char *positionals[6];
    int n;
    (void)folder;
    return rllc_options_from_arguments(&(rllc_option_binding){&table, &s}, 1, 6, argv, positionals, &n);
}

static rllc_status misspell_options(const char *folder) {
    static const char text[] = "n_head: 7\n", out_of_bounds[] = "zzzzzz: 7\n";
    settings s = {0};
    rllc_yaml *y = NULL;
    rllc_status status = RLLC_OK;
    (void)folder;
    RLLC_TRY(rllc_yaml_parse(&y, text, sizeof text - 1, "text"));
    if (rllc_options_from_yaml(&table, &s, y) == RLLC_OK) status = RLLC_EFAIL;
    rllc_yaml_free(y);
    y = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_yaml_parse(&y, out_of_bounds, sizeof out_of_bounds - 1, "text"));
    RLLC_TRY(rllc_options_from_yaml(&table, &s, y));
done:
    rllc_yaml_free(y);
    return status;
}

static rllc_status use_files(const char *folder) {
    char path[200], deep[200];
    char **names = NULL;
    int64_t n = 0;
    rllc_hash hash;
    rllc_mapping m = {0};
    rllc_status status = RLLC_OK;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    RLLC_TRY(rllc_make_folders(deep));
    RLLC_TRY(rllc_file_write(path, "content", 7));
    RLLC_TRY(rllc_mapping_open(&m, path));
    RLLC_TRY(rllc_hash_file(path, &hash));
    RLLC_TRY(rllc_folder_list(folder, &names, &n));
    if (n != 2) status = RLLC_EFAIL;
done:
    rllc_names_free(names, n);
    rllc_mapping_close(&m);
    return status;
}

static rllc_status use_grid(const char *folder) {
    int64_t *values, n;
    (void)folder;
    rllc_status status = rllc_grid_parse("0..1000,1..512:x2", &values, &n);
    rllc_free(values);
    return status;
}

static rllc_status use_machine(const char *folder) {
    rllc_json *j;
    (void)folder;
    rllc_status status = rllc_machine_json(&j);
    rllc_json_free(j);
    return status;
}

static rllc_status fail_at_three(void *context, int64_t i, int worker) {
    (void)context, (void)worker;
    return i == 3 ? rllc_fail(RLLC_EINPUT, "three") : RLLC_OK;
}

static void hear(void *context, const char *text) {
    (void)text;
    ++*(int *)context;
}

static rllc_status use_threads_and_monitor(const char *folder) {
    int heard = 0;
    const rllc_monitor m = {.context = &heard, .message = hear};
    char *grown = NULL;
    (void)folder;
    rllc_report_message(&m, "%d things", 3);
    if (heard != 1) return RLLC_EFAIL;
    rllc_status status = rllc_grow(&grown, 0, 100, 1);
    rllc_free(grown);
    if (status != RLLC_OK) return status;
    return rllc_parallel(10, 1, fail_at_three, NULL);
}

/* Nothing is committed by a write that ran out of memory. */
static void test_exhaustion_in_files(void **state) {
    exhaust(use_files, RLLC_OK, state);
}

static void test_exhaustion_in_json(void **state) {
    exhaust(use_json, RLLC_OK, state);
}

static void test_exhaustion_in_yaml(void **state) {
    exhaust(use_yaml, RLLC_OK, state);
}

static void test_exhaustion_in_options(void **state) {
    exhaust(use_options, RLLC_OK, state);
}

static void test_exhaustion_in_messages(void **state) {
    exhaust(misuse_options, RLLC_EUSAGE, state);
    exhaust(misspell_options, RLLC_EINPUT, state);
}

static void test_exhaustion_elsewhere(void **state) {
    exhaust(use_grid, RLLC_OK, state);
    exhaust(use_machine, RLLC_OK, state);
    exhaust(use_threads_and_monitor, RLLC_EINPUT, state);
}

int main(void) {
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_exhaustion_in_files),   SCRATCH(test_exhaustion_in_json),     SCRATCH(test_exhaustion_in_yaml),
        SCRATCH(test_exhaustion_in_options), SCRATCH(test_exhaustion_in_messages), SCRATCH(test_exhaustion_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
