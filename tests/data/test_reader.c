/* Documents out of files of every kind, whole and damaged. */
#include "reading.h"

#include "data/input.h"

/* ---- plain text -------------------------------------------------------------------------------------------- */

static void test_plain_text_is_one_document(void **state) {
    (void)state;
    check_text("a.txt", "one\ntwo\n", "one\ntwo\n|");
    check_text("a.txt", "\xEF\xBB\xBFone", "one|");   /* byte order mark */
    check_text("a.txt", "a\r\nb\r\n", "a\r\nb\r\n|"); /* text is data */
    check_text("a.txt", "", "");
    check_text("a.txt", "<|endoftext", "<|endoftext|");
    check_text("a.txt", "{not json}\n", "{not json}\n|");
    check_text("a.txt", "{\"other\": 1}\n", "{\"other\": 1}\n|");
    rllc_reader_options o = options_for(scratch_write("nul.txt", "a\0b", 3));
    rllc_status status;
    rllc_string all = read_all(&o, &status);
    assert_int_equal(all.length, 4);
    assert_memory_equal(all.data, "a\0b|", 4);
    rllc_string_release(&all);
    check(scratch_write("nuls.txt", "\0\0", 2), ""); /* as a C string: the documents are NULs */
}

static void test_separators(void **state) {
    (void)state;
    check_text("a.txt", "a<|endoftext|>b", "a|b|");
    check_text("a.txt", "a\n<|endoftext|>\nb\n", "a\n|b\n|"); /* a line of its own: its end goes, too */
    check_text("a.txt", "a<|endoftext|>\nb", "a|\nb|");       /* at the end of a line: the line end is text */
    check_text("a.txt", "a\r\n<|endoftext|>\r\nb", "a\r\n|b|");
    check_text("a.txt", "<|endoftext|>\n<|endoftext|>\na\n<|endoftext|>", "a\n|");
    check_text("a.txt", "<|endoftext|><|endoftext|>a<|endoftext|><|endoftext|>", "a|");
    check_text("a.txt", "<|endoftext|><|endoftext|>\na", "\na|");
    check_text("a.txt", "<|endoftext|>\n\nb", "\nb|");
}

/* Separators that lie across the border of the blocks (256 KiB) in which files are read, at each of their bytes. */
static void test_separators_across_blocks(void **state) {
    (void)state;
    for (size_t k = 0; k <= 16; k++) {
        size_t n = ((size_t)1 << 18) - k;
        rllc_string text = {0}, expected = {0};
        for (int part = 0; part < 2; part++) { /* the second border is met in a window that has moved */
            for (size_t i = 0; i + 1 < n; i++) {
                assert_ok(rllc_string_add(&text, "x"));
                assert_ok(rllc_string_add(&expected, "x"));
            }
            assert_ok(rllc_string_add(&text, "\n<|endoftext|>\n"));
            assert_ok(rllc_string_add(&expected, "\n|"));
            n = ((size_t)1 << 18) - 15;
        }
        check_text("blocks.txt", text.data, expected.data);
        rllc_string_release(&text);
        rllc_string_release(&expected);
    }
}

/* ---- JSON Lines -------------------------------------------------------------------------------------------- */

static void test_json_lines(void **state) {
    (void)state;
    check_text("a.jsonl", "{\"text\": \"one\\nline\"}\n\n  \n{\"text\": \"two\", \"meta\": {}}", "one\nline|two|");
    check_text("a.jsonl", "{\"contents\": \"x\"}\r\n{\"content\": \"y\"}\r\n", "x|y|");
    check_text("a.jsonl", "{\"content\": \"y\", \"contents\": \"x\", \"text\": \"t\"}\n", "t|");
    check_text("a.jsonl", "{\"text\": \"\"}\n{\"text\": \"a\"}\n", "a|"); /* no text, no document */
    check_text("a.ndjson", "{\"text\": \"a\"}\n", "a|");
    check_text("a.json", "\n{\"text\": \"a\"}\n", "a|");
    check_text("a.dat", " \n{\"text\": \"a\"}\n", "a|"); /* by its first line */
    check_text("a.JSONL", "\xEF\xBB\xBF{\"text\": \"a\"}\n", "a|");
    check_text("a.json", "{\n  \"text\": \"a\"\n}\n",
               "{\n  \"text\": \"a\"\n}\n|"); /* one value over lines: not JSON Lines */
    check_text("a.jsonl", "{\"text\": \"a<|endoftext|>b\"}\n", "a<|endoftext|>b|");
    check_text("a.jsonl", "{\"text\": \"a\", \"id\": 123456789012345678901234567890}\n", "a|");
    check_text("a.jsonl", "", "");
    rllc_reader_options o = options_for(scratch_text("a.dat", "{\"body\": {\"en\": \"deep\"}, \"text\": \"no\"}\n"));
    o.text_field = "body.en";
    check_options(&o, "deep|");
}

static void test_where_filters(void **state) {
    (void)state;
    rllc_reader_options o = options_for(
        scratch_text("w.jsonl", "{\"text\": \"a\", \"meta\": {\"set\": \"Github\", \"n\": 3, \"ok\": true}}\n"
                                "{\"text\": \"b\", \"meta\": {\"set\": \"Wiki (en)\", \"n\": 3.5, \"ok\": false}}\n"
                                "{\"text\": \"c\", \"meta.set\": \"Github\", \"none\": null}\n"
                                "{\"other\": 1, \"meta\": {\"set\": \"No text here\"}}\n"));
    static const char *const cases[][2] = {{"meta.set=Github", "a|c|"}, {"meta.set=Wiki (en)", "b|"},
                                           {"meta.n=3", "a|"},          {"meta.n=3.5", "b|"},
                                           {"meta.ok=true", "a|"},      {"meta.ok=false", "b|"},
                                           {"none=null", "c|"},         {"meta.set=Github,meta.n=3", "a|"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o.where = cases[i][0];
        check_options(&o, cases[i][1]);
    }
    o.where = "meta.set=Gitlab";
    check_failure(&o, RLLC_EINPUT, "none of the 4 documents");
    o.where = "meta.set=Github,meta.n=3.5";
    check_failure(&o, RLLC_EINPUT, "none of the 4 documents");
    o.where = "meta=x";
    check_failure(&o, RLLC_EINPUT, "none of");
    o.where = "meta.set";
    check_failure(&o, RLLC_EUSAGE, "key.path=value");
    o.where = "a=b,,c=d";
    check_failure(&o, RLLC_EUSAGE, "key.path=value");
    o.where = "=b";
    check_failure(&o, RLLC_EUSAGE, "key.path=value");
    o = options_for(scratch_text("plain.txt", "text"));
    o.where = "meta.set=Github";
    check_failure(&o, RLLC_EINPUT, "plain text");
}

static void test_json_lines_errors_name_the_line(void **state) {
    (void)state;
    check_fails(scratch_text("e.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"\n"), RLLC_EINPUT, "e.jsonl:2");
    check_fails(scratch_text("e.jsonl", "{\"text\": \"a\"}\n\n[1]\n"), RLLC_EINPUT, "e.jsonl:3");
    check_fails(scratch_text("e.jsonl", "{\"text\": \"a\"}\n{\"texts\": \"a\"}\n"), RLLC_EINPUT, "--text-field");
    check_fails(scratch_text("e.jsonl", "{\"text\": 3}\n"), RLLC_EINPUT, "e.jsonl:1");
    check_fails(scratch_text("e.jsonl", "{\"text\": \"a\", \"text\": \"b\"}\n"), RLLC_EINPUT, "e.jsonl:1");
    check_fails(scratch_text("e.jsonl", "{\"text\": \"\\ud800\"}\n"), RLLC_EINPUT, "e.jsonl:1");
    check_fails(scratch_text("e.jsonl", "{\"text\": \"a\xFF\"}\n"), RLLC_EINPUT, "e.jsonl:1: byte 11");
    rllc_reader_options o = options_for(scratch_text("e.jsonl", "{\"text\": \"a\"}\n"));
    o.text_field = "body";
    check_failure(&o, RLLC_EINPUT, "'body'");
    rllc_string deep = {0};
    for (int i = 0; i < 100000; i++) assert_ok(rllc_string_add(&deep, "["));
    check_fails(scratch_text("e.jsonl", deep.data), RLLC_EINPUT, "e.jsonl:1");
    rllc_string_release(&deep);
}

/* Blanks before a first line that is longer than a block: the window moves while the form of the file is looked for. */
static void test_first_line_longer_than_a_block(void **state) {
    (void)state;
    size_t n = 3000000;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    for (int blanks = 0; blanks < 300000; blanks += 99999) {
        rllc_string file = {0}, expected = {0};
        for (int i = 0; i < blanks; i++) assert_ok(rllc_string_add(&file, " "));
        assert_ok(rllc_string_printf(&file, "{\"text\": \"%s\"}\n{\"text\": \"b\"}\n", text));
        assert_ok(rllc_string_printf(&expected, "%s|b|", text));
        check_text("long.dat", file.data, expected.data);
        file.data[blanks] = '['; /* the same as plain text, blanks and all */
        rllc_string_clear(&expected);
        assert_ok(rllc_string_printf(&expected, "%s|", file.data));
        check_text("long.dat", file.data, expected.data);
        rllc_string_release(&file);
        rllc_string_release(&expected);
    }
    free(text);
}

/* ---- UTF-8 ------------------------------------------------------------------------------------------------- */

/* A bad byte at every place of a text, over the borders of blocks, is found at its offset. */
static void test_invalid_utf8_is_located(void **state) {
    (void)state;
    static const char good[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99z";
    char says[64];
    for (size_t at = 0; at + 1 < sizeof good; at++) {
        char text[sizeof good];
        size_t bad;
        memcpy(text, good, sizeof good);
        text[at] = (char)0xFF;
        assert_false(rllc_utf8_valid(text, sizeof good - 1, &bad));
        snprintf(says, sizeof says, "u.txt: byte %zu", bad);
        check_fails(scratch_write("u.txt", text, sizeof good - 1), RLLC_EINPUT, says);
        /* Cut off: all of it but the last characters' tails. */
        bool whole = rllc_utf8_valid(good, at, &bad);
        snprintf(says, sizeof says, "u.txt: byte %zu", bad);
        if (!whole) check_fails(scratch_write("u.txt", good, at), RLLC_EINPUT, says);
    }
    size_t n = 700001;
    char *big = malloc(n);
    assert_non_null(big);
    static const size_t places[] = {0, 262143, 262144, 262145, 524288, 700000};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        memset(big, 'x', n);
        memcpy(big + 300000, "<|endoftext|>", 13);
        big[places[i]] = (char)0xC0;
        snprintf(says, sizeof says, "u.txt: byte %zu (0xC0)", places[i]);
        check_fails(scratch_write("u.txt", big, n), RLLC_EINPUT, says);
    }
    free(big);
}

/* ---- sources ----------------------------------------------------------------------------------------------- */

static void test_folders_are_read_in_order(void **state) {
    (void)state;
    scratch_text("f/b.txt", "B");
    scratch_text("f/a/z.txt", "AZ");
    scratch_text("f/a/c/1.txt", "AC1");
    scratch_text("f/a-b.txt", "A-B");
    scratch_text("f/.hidden", "no");
    scratch_text("f/.git/x", "no");
    scratch_text("f/c.jsonl", "{\"text\": \"C\"}\n");
    check(scratch("f"), "A-B|AC1|AZ|B|C|"); /* by the bytes of the path */
    check(scratch("f/"), "A-B|AC1|AZ|B|C|");
    const char *two = rllc_intern_printf("%s,%s", scratch("f/b.txt"), scratch("f/a"));
    check(two, "B|AC1|AZ|");
    scratch_text("f2/with,comma.txt", "comma");
    check(scratch("f2/with,comma.txt"), "comma|");
    assert_int_equal(symlink(scratch("f/b.txt"), scratch("f2/link")), 0);
    check(scratch("f2"), "B|comma|");
    check_fails(scratch("nothing"), RLLC_ENOTFOUND, "nothing");
    check_fails("", RLLC_EUSAGE, "no text");
    check_fails(rllc_intern_printf("%s,,", scratch("f")), RLLC_EUSAGE, "empty");
    assert_ok(rllc_make_folders(scratch("f3/deep")));
    check_fails(scratch("f3"), RLLC_EINPUT, "no files");
    assert_int_equal(symlink(scratch("f3"), scratch("f3/deep/up")), 0);
    check_fails(scratch("f3"), RLLC_EINPUT, "leads back");
    assert_int_equal(symlink("nowhere", scratch("f2/broken")), 0);
    check_fails(scratch("f2"), RLLC_ENOTFOUND, "broken");
}

static void test_limits(void **state) {
    (void)state;
    rllc_reader_options o = options_for(scratch_text("l.txt", "aaaa<|endoftext|>bbbb<|endoftext|>cccc"));
    o.max_bytes = 5;
    check_options(&o, "aaaa|bbbb|");
    o.max_bytes = 4;
    check_options(&o, "aaaa|");
    o.max_bytes = 0;
    o.max_document_bytes = 4;
    check_options(&o, "aaaa|bbbb|cccc|");
    o.max_document_bytes = 3;
    check_failure(&o, RLLC_EINPUT, "max_document_bytes = 3");
    o = options_for(scratch_text("l.jsonl", "{\"text\": \"a\"}\n{\"text\": \"aaaaaaaaaaaa\"}\n"));
    o.max_document_bytes = 15;
    check_failure(&o, RLLC_EINPUT, "l.jsonl:2");
    o = options_for(scratch_text("cut.txt", "one\ntwo\nthree\nfour\n<|endoftext|>\nfive"));
    o.cut_bytes = 5;
    check_options(&o, "one\ntwo\n|three\n|four\n|five|");
    o.cut_bytes = 4;
    check_options(&o, "one\ntwo\n|three\n|four\n|five|");
    o.cut_bytes = 3;
    check_options(&o, "one\n|two\n|three\n|four\n|five|");
    o.cut_bytes = 100;
    check_options(&o, "one\ntwo\nthree\nfour\n|five|");
}

/* A file without an end to its document (NULs, as a sparse file has): refused at the limit, in little memory. */
static void test_endless_documents_are_bounded(void **state) {
    (void)state;
    const char *path = empty_file("sparse");
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    rllc_reader_options o = options_for(path);
    o.max_document_bytes = 1 << 24;
    size_t before = rllc_peak_memory();
    check_failure(&o, RLLC_EINPUT, "max_document_bytes");
    size_t bound = ((size_t)1 << 24) * 4 + ((size_t)64 << 20);
#if defined(__SANITIZE_THREAD__)
    bound *= 5; /* its shadow takes four bytes for each of ours */
#endif
    assert_true(rllc_peak_memory() - before < bound);
    assert_int_equal(truncate(path, 0), 0);
    FILE *f = fopen(path, "w"); /* blanks, while the first line is looked for */
    for (int i = 0; i < 5000000; i++) putc(' ', f);
    fclose(f);
    o.max_document_bytes = 1 << 20;
    check_failure(&o, RLLC_EINPUT, "max_document_bytes");
}

static void test_position_and_sources(void **state) {
    (void)state;
    const char *a = scratch_text("p/a.txt", "aaa<|endoftext|>b"), *b = scratch_text("p/b.txt", "ccc");
    rllc_reader_options o = options_for(scratch("p"));
    rllc_reader *r;
    rllc_json *j;
    const char *text;
    size_t n;
    double done, total;
    assert_ok(rllc_reader_open(&r, &o));
    rllc_reader_position(r, &done, &total);
    assert_true(done == 0 && total == 20);
    do assert_ok(rllc_reader_next(r, &text, &n));
    while (text);
    rllc_reader_position(r, &done, &total);
    assert_true(done == 20);
    assert_ok(rllc_reader_next(r, &text, &n)); /* the end stays the end */
    assert_null(text);
    assert_ok(rllc_data_reader_sources(r, &j));
    rllc_hash hash;
    assert_ok(rllc_hash_file(b, &hash));
    assert_int_equal(rllc_json_length(j), 2);
    assert_string_equal(rllc_json_text(rllc_json_get(rllc_json_at(j, 0), "path")), a);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(rllc_json_at(j, 1), "bytes"), -1), 3);
    assert_string_equal(rllc_json_text(rllc_json_get(rllc_json_at(j, 1), "hash")), hash.hex);
    rllc_json_free(j);
    rllc_reader_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_is_one_document),
        cmocka_unit_test(test_separators),
        cmocka_unit_test(test_separators_across_blocks),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_where_filters),
        cmocka_unit_test(test_json_lines_errors_name_the_line),
        cmocka_unit_test(test_first_line_longer_than_a_block),
        cmocka_unit_test(test_invalid_utf8_is_located),
        cmocka_unit_test(test_folders_are_read_in_order),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_endless_documents_are_bounded),
        cmocka_unit_test(test_position_and_sources),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
