/* Content hashes: published values, one-shot = streamed = file; the monitor; provenance. */
#include "base/helpers.h"

#include <stdatomic.h>

/* XXH3-128 of the empty text is in the specification's test vectors; that of "abc" is what xxh128sum prints. */
static void test_hash_of_known_texts(void **state) {
    (void)state;
    assert_string_equal(rllc_hash_text("").hex, "99aa06d3014798d86001c324468d497f");
    assert_string_equal(rllc_hash_text("abc").hex, "06b05ab6733a618578af5f94892f3950");
    assert_string_equal(rllc_hash_bytes(NULL, 0).hex, "99aa06d3014798d86001c324468d497f");
    assert_true(rllc_hash64("", 0, 0) == 0x2D06800538D394C2u);
    assert_true(rllc_hash64(NULL, 0, 0) == 0x2D06800538D394C2u);
    assert_true(rllc_hash64("abc", 3, 0) != rllc_hash64("abc", 3, 1));
}

static void test_hash_streamed_in_any_pieces_is_the_same(void **state) {
    static unsigned char bytes[3 << 20];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof bytes; i += 8) {
        uint64_t r = next_random(&random);
        memcpy(bytes + i, &r, 8);
    }
    static const size_t sizes[] = {0,    1,      16,            17,      128,         129, 240, 241,
                                   1024, 100003, (1 << 20) - 1, 1 << 20, sizeof bytes};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k];
        rllc_hasher *h;
        rllc_hash whole = rllc_hash_bytes(bytes, n), of_file;
        assert_ok(rllc_hasher_new(&h));
        for (size_t at = 0; at < n;) {
            size_t piece = next_random(&random) % (n / 3 + 2);
            if (piece > n - at) piece = n - at;
            rllc_hasher_add(h, bytes + at, piece);
            at += piece;
            if (at == n) break;
            if (piece == 0) rllc_hasher_add(h, NULL, 0);
        }
        assert_string_equal(rllc_hasher_end(h).hex, whole.hex);
        assert_string_equal(rllc_hasher_end(h).hex, whole.hex); /* asking twice changes nothing */
        rllc_hasher_free(h);
        const char *path = scratch_path(state, "f");
        assert_ok(rllc_file_write(path, bytes, n));
        assert_ok(rllc_hash_file(path, &of_file));
        assert_string_equal(of_file.hex, whole.hex);
        if (n == 0) continue;
        bytes[n / 2] ^= 1;
        assert_string_not_equal(rllc_hash_bytes(bytes, n).hex, whole.hex);
        bytes[n / 2] ^= 1;
    }
    rllc_hasher_free(NULL);
}

static void test_hash_file_refuses(void **state) {
    rllc_hash h;
    assert_fails(rllc_hash_file(scratch_path(state, "none"), &h), RLLC_ENOTFOUND, "none: cannot open");
    assert_fails(rllc_hash_file(*state, &h), RLLC_EIO, "cannot read");
}

typedef struct heard {
    int n_progress, n_messages;
    char last[300];
    double fraction;
    bool stop;
} heard;

static void hear_progress(void *context, const rllc_progress *p) {
    heard *h = context;
    h->n_progress++;
    h->fraction = p->current / p->total;
    snprintf(h->last, sizeof h->last, "%s/%s/%s", p->stage, p->unit, p->note);
}

static void hear_message(void *context, const char *text) {
    heard *h = context;
    h->n_messages++;
    snprintf(h->last, sizeof h->last, "%.250s", text);
}

static bool asked_to_stop(void *context) {
    return ((heard *)context)->stop;
}

static void test_monitor_passes_on_or_keeps_quiet(void **state) {
    (void)state;
    heard h = {0};
    const rllc_monitor full = {&h, hear_progress, hear_message, asked_to_stop}, empty = {0};
    rllc_report_progress(&full, "train", "step", 3, 12, "loss %.2f", 3.214);
    assert_string_equal(h.last, "train/step/loss 3.21");
    assert_true(h.fraction == 0.25);
    rllc_report_progress(&full, "train", "step", 3, 12, "%s", "");
    assert_string_equal(h.last, "train/step/");
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    rllc_report_message(&full, "%s", long_text);
    assert_int_equal(strlen(h.last), 250);
    rllc_report_message(&full, "%d files", 7);
    assert_string_equal(h.last, "7 files");
    assert_false(rllc_should_stop(&full));
    h.stop = true;
    assert_true(rllc_should_stop(&full));
    rllc_report_progress(&empty, "a", "b", 1, 2, "%d", 1);
    rllc_report_message(&empty, "x");
    rllc_report_progress(NULL, "a", "b", 1, 2, "%d", 1);
    rllc_report_message(NULL, "x");
    assert_false(rllc_should_stop(&empty));
    assert_false(rllc_should_stop(NULL));
    assert_int_equal(h.n_progress, 2);
    assert_int_equal(h.n_messages, 2);
}

static void test_now_is_monotonic(void **state) {
    (void)state;
    double begin = rllc_now(), last = begin;
    usleep(20000);
    for (int i = 0; i < 1000; i++) {
        double t = rllc_now();
        assert_true(t >= last);
        last = t;
    }
    assert_true(last - begin >= 0.02 && last - begin < 60);
}

static void test_machine_json_tells_what_and_where(void **state) {
    (void)state;
    rllc_json *j;
    assert_ok(rllc_machine_json(&j));
    static const char *const texts[] = {"host", "os", "kernel", "architecture", "cpu", "compiler", "rllc", "commit"};
    for (int i = 0; i < 8; i++) {
        const char *text = rllc_json_text(rllc_json_get(j, texts[i]));
        assert_non_null(text);
        assert_true(strlen(text) > 1);
    }
    assert_string_equal(rllc_json_text(rllc_json_get(j, "rllc")), RLLC_VERSION);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "threads"), 0), rllc_default_threads());
    assert_true(rllc_json_to_integer(rllc_json_get(j, "memory_bytes"), 0) > (int64_t)rllc_peak_memory());
    const rllc_json *libraries = rllc_json_get(j, "libraries");
    static const char *const names[] = {"glibc", "jansson", "libyaml", "xxhash"};
    for (int i = 0; i < 4; i++) assert_true(strchr(rllc_json_text(rllc_json_get(libraries, names[i])), '.') != NULL);
    rllc_json_free(j);
}

/* The build wrote the commit of this source tree, or "unknown" where git has none. */
static void test_commit_is_that_of_the_sources(void **state) {
    (void)state;
    char head[64] = "";
    FILE *git = popen("git -C " RLLC_SOURCE_DIR " rev-parse --short=12 HEAD 2>/dev/null", "r");
    assert_non_null(git);
    bool answered = fgets(head, sizeof head, git) != NULL;
    pclose(git);
    head[strcspn(head, "\n")] = '\0';
    const char *commit = rllc_commit();
    if (!answered) {
        assert_string_equal(commit, "unknown");
        return;
    }
    /* the tree may have moved on since this was built: a hash of 12 digits or more, "+" after changes */
    size_t n = strspn(commit, "0123456789abcdef");
    assert_true(n >= 12 && (commit[n] == '\0' || strcmp(commit + n, "+") == 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_of_known_texts),
        cmocka_unit_test_setup_teardown(test_hash_streamed_in_any_pieces_is_the_same, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_hash_file_refuses, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_monitor_passes_on_or_keeps_quiet),
        cmocka_unit_test(test_now_is_monotonic),
        cmocka_unit_test(test_machine_json_tells_what_and_where),
        cmocka_unit_test(test_commit_is_that_of_the_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
