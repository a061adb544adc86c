/* Compressed files: every kind, frames one after another, cut and damaged ones. */
#include "reading.h"

#include <archive.h>
#include <archive_entry.h>

/* Writes text as one compressed frame behind what the file has. */
static void add_frame(const char *path, const char *kind, const char *text, size_t n) {
    static char frame[1 << 20];
    size_t used = 0;
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    assert_int_equal(archive_write_add_filter_by_name(a, kind), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, frame, sizeof frame, &used), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text, n), n);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    FILE *f = fopen(path, "ab");
    assert_non_null(f);
    assert_int_equal(fwrite(frame, 1, used, f), used);
    fclose(f);
    archive_entry_free(e);
    archive_write_free(a);
}

static const char *const kinds[] = {"gzip", "bzip2", "xz", "zstd", "lz4"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void test_compressed_files(void **state) {
    (void)state;
    rllc_string big = {0};
    for (int i = 0; i < 30000; i++) assert_ok(rllc_string_printf(&big, "line %d\n", i * 7919));
    for (int k = 0; k < KINDS; k++) {
        const char *path = empty_file("c.txt");
        add_frame(path, kinds[k], "a<|endoft", 9);
        check(path, "a<|endoft|");
        add_frame(path, kinds[k], "ext|>b", 6); /* frames one after another are one text */
        check(path, "a|b|");
        if (strcmp(kinds[k], "lz4") != 0) add_frame(path, kinds[k], "", 0); /* libarchive 3.6 crashes writing that */
        check(path, "a|b|");
        path = empty_file("c.txt");
        add_frame(path, kinds[k], big.data, big.length);
        rllc_string expected = {0};
        assert_ok(rllc_string_printf(&expected, "%s|", big.data));
        check(path, expected.data);
        rllc_string_release(&expected);
        path = empty_file("c.jsonl.gz"); /* told by content, whatever the name says */
        add_frame(path, kinds[k], "{\"text\": \"j\"}\n", 14);
        check(path, "j|");
        if (strcmp(kinds[k], "lz4") != 0) {
            path = empty_file("c");
            add_frame(path, kinds[k], "", 0);
            check(path, "");
        }
        path = empty_file("c");
        add_frame(path, kinds[k], "a\xFF", 2);
        check_fails(path, RLLC_EINPUT, "byte 1 of the unpacked text");
    }
    rllc_string_release(&big);
}

/* Cut anywhere, a compressed file is refused or (cut between frames) read whole; what follows the data is refused. */
static void test_damaged_compression_is_refused(void **state) {
    (void)state;
    char text[3000];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + scratch_random(&random) % 26);
    for (int k = 0; k < KINDS; k++) {
        const char *path = empty_file("d");
        add_frame(path, kinds[k], text, sizeof text);
        rllc_mapping m;
        assert_ok(rllc_mapping_open(&m, path));
        char *bytes = malloc(m.size + 8);
        size_t n = m.size;
        memcpy(bytes, m.data, n);
        rllc_mapping_close(&m);
        for (size_t cut = 12; cut < n; cut += 1 + n / 60) {
            check_fails(scratch_write("d", bytes, cut), RLLC_EINPUT, rllc_intern_printf("%s data", kinds[k]));
        }
        check_fails(scratch_write("d", bytes, n - 1), RLLC_EINPUT, kinds[k]);
        memcpy(bytes + n, "garbage", 7);
        check_fails(scratch_write("d", bytes, n + 7), RLLC_EINPUT, kinds[k]);
        bytes[n / 2] = (char)(bytes[n / 2] ^ 0x10);
        if (strcmp(kinds[k], "zstd") != 0 && strcmp(kinds[k], "lz4") != 0) { /* those may carry no checksum */
            check_fails(scratch_write("d", bytes, n), RLLC_EINPUT, "");
        }
        free(bytes);
    }
}

/* zstd --long=31: a window of 2 GiB, which libarchive refuses. */
static void test_zstd_with_a_huge_window(void **state) {
    (void)state;
    char frame[256];
    /* A frame header by hand: window descriptor (31 - 10) << 3, one raw block "long", last. */
    static const unsigned char by_hand[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, (31 - 10) << 3, 4 << 3 | 1, 0,
                                            0,    'l',  'o',  'n',  'g'};
    memcpy(frame, by_hand, sizeof by_hand);
    check(scratch_write("long.zst", frame, sizeof by_hand), "long|");
    /* A skippable frame before it. */
    static const unsigned char skippable[] = {0x55, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
    memcpy(frame, skippable, sizeof skippable);
    memcpy(frame + sizeof skippable, by_hand, sizeof by_hand);
    check(scratch_write("skip.zst", frame, sizeof skippable + sizeof by_hand), "long|");
}

static void test_text_that_looks_compressed(void **state) {
    (void)state;
    check_text("a.gz", "BZh9 is how bzip2 begins", "BZh9 is how bzip2 begins|");
    check_text("a.gz", "P*M", "P*M|");
    check_text("a.zst", "plain", "plain|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compressed_files),
        cmocka_unit_test(test_damaged_compression_is_refused),
        cmocka_unit_test(test_zstd_with_a_huge_window),
        cmocka_unit_test(test_text_that_looks_compressed),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
