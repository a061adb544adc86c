/* YAML: trees with lines, what is refused and how it says so, merging, overriding, printing. */
#include "base/helpers.h"

#include "base/yaml.h"

static rllc_status parse(rllc_yaml **out, const char *text) {
    return rllc_yaml_parse(out, text, strlen(text), "c.yaml");
}

static rllc_yaml *parsed(const char *text) {
    rllc_yaml *y;
    assert_ok(parse(&y, text));
    assert_non_null(y);
    return y;
}

static void assert_same(const rllc_yaml *a, const rllc_yaml *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->is_null, b->is_null);
    if (a->kind == RLLC_YAML_SCALAR && !a->is_null) assert_string_equal(a->scalar, b->scalar);
    for (int64_t i = 0; i < a->n; i++) {
        if (a->kind == RLLC_YAML_MAP) assert_string_equal(a->keys[i], b->keys[i]);
        assert_same(a->items[i], b->items[i]);
    }
}

static void assert_tree(const rllc_yaml *y, const char *expected) {
    rllc_yaml *want = parsed(expected);
    assert_same(y, want);
    rllc_yaml_free(want);
}

static void test_yaml_tree_keeps_order_kinds_and_lines(void **state) {
    (void)state;
    rllc_yaml *y = parsed("# a comment\nmodel:\n  n_heads: 8\n"
                          "  kinds: [a, 'b c', \"d\\n\"]\n\nlr: 1e-3\nlist:\n- 1\n- x: y\n");
    assert_int_equal(y->kind, RLLC_YAML_MAP);
    assert_int_equal(y->n, 3);
    assert_string_equal(y->keys[0], "model");
    assert_string_equal(y->keys[2], "list");
    rllc_yaml *model = rllc_yaml_get(y, "model"), *kinds = rllc_yaml_get(model, "kinds");
    assert_int_equal(model->line, 2);
    assert_string_equal(rllc_yaml_get(model, "n_heads")->scalar, "8");
    assert_int_equal(rllc_yaml_get(model, "n_heads")->line, 3);
    assert_int_equal(kinds->kind, RLLC_YAML_LIST);
    assert_int_equal(kinds->n, 3);
    assert_string_equal(kinds->items[1]->scalar, "b c");
    assert_string_equal(kinds->items[2]->scalar, "d\n");
    assert_int_equal(rllc_yaml_get(y, "lr")->line, 6);
    rllc_yaml *list = rllc_yaml_get(y, "list");
    assert_int_equal(list->line, 7); /* of its key */
    assert_int_equal(list->items[1]->line, 9);
    assert_string_equal(y->file, "c.yaml");
    assert_null(rllc_yaml_get(y, "none"));
    assert_null(rllc_yaml_get(list, "x"));
    assert_null(rllc_yaml_get(NULL, "x"));
    rllc_yaml_free(y);
    rllc_yaml_free(NULL);
}

static void test_yaml_null_is_only_plain(void **state) {
    (void)state;
    rllc_yaml *y = parsed("a: null\nb: ~\nc:\nd: 'null'\ne: \"\"\nf: !!str null\ng: Null\nh: nullx\n");
    static const bool expected[] = {true, true, true, false, false, false, true, false};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(y->items[i]->is_null, expected[i]);
        assert_non_null(y->items[i]->scalar);
    }
    rllc_yaml_free(y);
}

static void test_yaml_reads_json_and_nothing(void **state) {
    (void)state;
    rllc_yaml *y = parsed("{\"lr\": 2,\n\t\"kinds\": [\"a\", \"\\u20ac\\/\"],\n"
                          "\t\"e\": {}, \"z\": null, \"t\": true}\n");
    assert_string_equal(rllc_yaml_get(y, "lr")->scalar, "2");
    assert_string_equal(rllc_yaml_get(y, "kinds")->items[1]->scalar, "\xE2\x82\xAC/");
    assert_int_equal(rllc_yaml_get(y, "e")->kind, RLLC_YAML_MAP);
    assert_true(rllc_yaml_get(y, "z")->is_null);
    rllc_yaml_free(y);
    static const char *const nothing[] = {"", "\n\n", "# only a comment\n", "\xEF\xBB\xBF"};
    for (int i = 0; i < 4; i++) {
        y = parsed(nothing[i]);
        assert_int_equal(y->kind, RLLC_YAML_MAP);
        assert_int_equal(y->n, 0);
        rllc_yaml_free(y);
    }
    y = parsed("\xEF\xBB\xBFlr: 1\n"); /* a byte order mark, as Windows editors write it */
    assert_string_equal(y->keys[0], "lr");
    rllc_yaml_free(y);
}

static void test_yaml_refuses_with_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *detail;
    } bad[] = {{"a: 1\nb: 2\na: 3\n", "c.yaml:3: the key 'a' stands here again, first in line 1"},
               {"m:\n  x: 1\n  y: 2\n  x:\n  - 1\n", "c.yaml:4: the key 'x'"},
               {"{\"a\": 1, \"a\": 2}", "c.yaml:1: the key 'a'"},
               {"a: &x 1\nb: *x\n", "c.yaml:1: anchors (&x)"},
               {"b: *x\n", "c.yaml:1: aliases (*x)"},
               {"*x : 1\n", "c.yaml:1: a key is an alias"},
               {"&k a: 1\n", "anchors (&k)"},
               {"l: &l [1]\n", "anchors (&l)"},
               {"m: &m {a: 1}\n", "anchors (&m)"},
               {"a:\n  <<: {b: 1}\n", "c.yaml:2: merge keys"},
               {"a: !include other.yaml\n", "c.yaml:1: the tag !include"},
               {"a: !!binary aGk=\n", "binary"},
               {"a: !!map x\n", "the tag"},
               {"a: !!set {x}\n", "the tag"},
               {"? [1, 2]\n: 3\n", "c.yaml:1: a key is a list or map"},
               {"? {a: 1}\n: 3\n", "c.yaml:1: a key is a list or map"},
               {"a: 1\n--- \nb: 2\n", "c.yaml:2: a second document"},
               {"a: 'x\n", "c.yaml:2: found unexpected end of stream"},
               {"a: [1, 2\nb: 3\n", "c.yaml:"},
               {"a:\n\t- x\n", "c.yaml:2:"},
               {"a: b: c\n", "c.yaml:1:"},
               {"a: \xFF\n", "c.yaml: byte 3"},
               {"a: \"\\0\"\n", "c.yaml:1: a text holds a NUL"},
               {"\"a\\0\": 1\n", "c.yaml:1: a text holds a NUL"},
               {"a: \x01\n", "control characters"},
               {"a: \"\\ud800\"\n", "c.yaml:1:"},
               {"a: @x\n", "c.yaml:1:"},
               {"%YAML 3.0\n---\na: 1\n", "c.yaml:1:"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rllc_yaml *y = (rllc_yaml *)1;
        assert_fails(parse(&y, bad[i].text), RLLC_EINPUT, bad[i].detail);
        assert_null(y);
    }
    rllc_yaml *y;
    assert_fails(rllc_yaml_parse(&y, "a: b\0c", 6, "c.yaml"), RLLC_EINPUT, "c.yaml");
    static const char utf16[] = "\xFF\xFE" "a\0:\0 \0b\0";
    assert_fails(rllc_yaml_parse(&y, utf16, sizeof utf16 - 1, "c.yaml"), RLLC_EINPUT, "expected UTF-8");
}

static void test_yaml_bounds_depth_keys_and_size(void **state) {
    (void)state;
    const size_t n = 1000000;
    char *text = malloc(17 << 20);
    rllc_yaml *y;
    assert_non_null(text);
    memset(text, '[', n);
    assert_fails(rllc_yaml_parse(&y, text, n, "deep"), RLLC_EINPUT, "nested deeper than 100");
    for (size_t i = 0; i < n; i += 2) memcpy(text + i, "- ", 2);
    assert_fails(rllc_yaml_parse(&y, text, n, "deep"), RLLC_EINPUT, "nested deeper than 100");
    for (size_t i = 0; i + 3 < n; i += 3) memcpy(text + i, "a: ", 3);
    assert_int_equal(rllc_yaml_parse(&y, text, n, "deep"), RLLC_EINPUT);
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    assert_ok(rllc_yaml_parse(&y, text, 200, "deep"));
    rllc_yaml_free(y);
    memset(text, 'k', 300);
    memcpy(text + 300, ": 1", 3);
    assert_fails(rllc_yaml_parse(&y, text, 303, "key"), RLLC_EINPUT, "key of 300 bytes");
    memset(text, '#', 17 << 20);
    assert_fails(rllc_yaml_parse(&y, text, 17 << 20, "large"), RLLC_EINPUT, "17825792 bytes");
    free(text);
}

/* A hundred thousand keys, the last one a repetition: found, and in no time. */
static void test_yaml_duplicates_among_many_keys(void **state) {
    (void)state;
    rllc_string s = {0};
    rllc_yaml *y;
    for (int i = 0; i < 100000; i++) assert_ok(rllc_string_printf(&s, "k%d: %d\n", i, i));
    double begin = rllc_now();
    assert_ok(rllc_yaml_parse(&y, s.data, s.length, "many"));
    assert_int_equal(y->n, 100000);
    assert_string_equal(y->items[99999]->scalar, "99999");
    rllc_yaml_free(y);
    assert_ok(rllc_string_add(&s, "k777: 1\n"));
    assert_fails(rllc_yaml_parse(&y, s.data, s.length, "many"), RLLC_EINPUT, "many:100001: the key 'k777'");
    assert_true(rllc_now() - begin < 20); /* quadratic search would take minutes */
    rllc_string_release(&s);
}

static void test_yaml_override_sets_makes_and_replaces(void **state) {
    (void)state;
    rllc_yaml *y = parsed("model: {n_heads: 8, d_model: 256}\nseeds: [1]\nempty:\n");
    assert_ok(rllc_yaml_override(y, "model.n_heads=4"));
    assert_ok(rllc_yaml_override(y, "seeds=[1, 2, 3]"));
    assert_ok(rllc_yaml_override(y, "new.deep.key=some text # comment"));
    assert_ok(rllc_yaml_override(y, "empty.x=1"));
    assert_ok(rllc_yaml_override(y, "text=a=b"));
    assert_ok(rllc_yaml_override(y, "nothing="));
    assert_ok(rllc_yaml_override(y, "map={a: 1}"));
    assert_tree(y, "model: {n_heads: 4, d_model: 256}\nseeds: [1, 2, 3]\nempty: {x: 1}\n"
                   "new: {deep: {key: some text}}\ntext: a=b\nnothing: null\nmap: {a: 1}\n");
    rllc_yaml *set = rllc_yaml_get(rllc_yaml_get(y, "model"), "n_heads");
    assert_int_equal(set->line, 0);
    assert_string_equal(set->file, "model.n_heads=4");
    assert_fails(rllc_yaml_override(y, "model.n_heads"), RLLC_EUSAGE, "key=value");
    assert_fails(rllc_yaml_override(y, "=1"), RLLC_EUSAGE, "keys joined by points");
    assert_fails(rllc_yaml_override(y, "a..b=1"), RLLC_EUSAGE, "keys joined by points");
    assert_fails(rllc_yaml_override(y, ".a=1"), RLLC_EUSAGE, "keys joined by points");
    assert_fails(rllc_yaml_override(y, "seeds.x=1"), RLLC_EUSAGE, "'seeds' holds a list");
    assert_fails(rllc_yaml_override(y, "text.x=1"), RLLC_EUSAGE, "'text' holds a single value");
    assert_fails(rllc_yaml_override(y, "a=[1"), RLLC_EUSAGE, "a=[1");
    char deep[2000] = "";
    for (int i = 0; i < 200; i++) strcat(deep, "a.");
    strcat(deep, "b=1");
    assert_fails(rllc_yaml_override(y, deep), RLLC_EUSAGE, "keys joined by points");
    rllc_yaml_free(y);
    y = parsed("[1]");
    assert_fails(rllc_yaml_override(y, "a=1"), RLLC_EUSAGE, "not a map");
    rllc_yaml_free(y);
}

static void test_yaml_merge_goes_into_maps_only(void **state) {
    (void)state;
    rllc_yaml *y = parsed("a: {x: 1, y: {p: 1}}\nl: [1, 2]\ns: t\nkeep: 1\n");
    rllc_yaml *over = parsed("a: {y: {q: 2}, z: null}\nl: [3]\ns: {m: 1}\nnew: [a, {b: c}]\n");
    assert_ok(rllc_yaml_merge(y, over));
    assert_tree(y, "a: {x: 1, y: {p: 1, q: 2}, z: null}\nl: [3]\ns: {m: 1}\nkeep: 1\nnew: [a, {b: c}]\n");
    assert_tree(over, "a: {y: {q: 2}, z: null}\nl: [3]\ns: {m: 1}\nnew: [a, {b: c}]\n");
    assert_int_equal(rllc_yaml_get(y, "new")->line, 4);
    rllc_yaml_free(over); /* y owns copies */
    assert_string_equal(rllc_yaml_get(y, "new")->items[0]->scalar, "a");
    over = parsed("[1]");
    assert_fails(rllc_yaml_merge(y, over), RLLC_EINPUT, "found a list");
    assert_fails(rllc_yaml_merge(over, y), RLLC_EINPUT, "found a list");
    rllc_yaml_free(over);
    rllc_yaml_free(y);
}

/* A text of up to 6 pieces that are easy to get wrong. */
static char *nasty_text(uint64_t *random) {
    static const char *const pieces[] = {"a", "B9", "-", "---", ":", ": ", " #", "#", "'", "\"", "\\", "\n", " ", "\t",
                                         "~", "null", "[", "}", "&", "*", "!", "%", "@", "`", ",", "?", "|", ">", "=",
                                         "\x01", "\x7F", "\xC2\x80", "\xC2\x85", "\xC3\xA9", "\xE2\x80\xA8",
                                         "\xEF\xBB\xBF", "\xEF\xBF\xBE", "\xF0\x9F\x98\x80", "1e-3", ".", "..."};
    rllc_string s = {0};
    assert_ok(rllc_string_add(&s, ""));
    for (uint64_t k = next_random(random) % 7; k > 0; k--) {
        assert_ok(rllc_string_add(&s, pieces[next_random(random) % (sizeof pieces / sizeof *pieces)]));
    }
    return s.data;
}

static rllc_yaml *random_tree(uint64_t *random, int depth) {
    rllc_yaml_kind kind = depth > 4 ? RLLC_YAML_SCALAR : (rllc_yaml_kind)(next_random(random) % 3);
    rllc_yaml *y = rllc_base_yaml_new(kind, "random", 1);
    assert_non_null(y);
    if (kind == RLLC_YAML_SCALAR) {
        y->scalar = nasty_text(random);
        y->is_null = next_random(random) % 8 == 0;
        return y;
    }
    for (uint64_t k = next_random(random) % 5; k > 0; k--) {
        char *text = nasty_text(random);
        bool used = kind == RLLC_YAML_MAP && (rllc_yaml_get(y, text) || strcmp(text, "<<") == 0);
        if (!used) assert_ok(rllc_base_yaml_add(y, text, random_tree(random, depth + 1)));
        free(text);
    }
    return y;
}

static void test_yaml_printed_trees_read_back(void **state) {
    (void)state;
    uint64_t random = 11;
    for (int64_t i = effort(3000); i > 0; i--) {
        rllc_yaml *y = random_tree(&random, 0), *again;
        rllc_string s = {0};
        assert_ok(rllc_yaml_print(y, &s));
        rllc_status status = rllc_yaml_parse(&again, s.data, s.length, "printed");
        if (status != RLLC_OK) fail_msg("%s\n%s", rllc_error_detail(), s.data);
        assert_same(y, again);
        rllc_yaml_free(again);
        rllc_yaml_free(y);
        rllc_string_release(&s);
    }
}

static void test_yaml_print_is_plain_where_it_can_be(void **state) {
    (void)state;
    rllc_yaml *y = parsed("{model: {n_heads: 8, lr: 1e-3, file: /tmp/a.json}, "
                          "l: [a, [], {}, [1], {x: y}], t: 'a b', z: , q: 'null'}");
    rllc_string s = {0};
    assert_ok(rllc_yaml_print(y, &s));
    assert_string_equal(s.data, "model:\n  n_heads: 8\n  lr: 1e-3\n  file: /tmp/a.json\n"
                                "l:\n  - a\n  - []\n  - {}\n  -\n"
                                "    - 1\n  -\n    x: y\nt: \"a b\"\nz: null\nq: \"null\"\n");
    rllc_string_release(&s);
    rllc_yaml_free(y);
}

static void test_yaml_print_refuses_invalid_text(void **state) {
    (void)state;
    rllc_yaml *y = parsed("a: 1\n");
    rllc_string s = {0};
    assert_ok(rllc_yaml_override(y, "b\xFF=1")); /* arguments may be any bytes */
    assert_fails(rllc_yaml_print(y, &s), RLLC_EINPUT, "not valid UTF-8 at byte 1");
    rllc_string_release(&s);
    rllc_yaml_free(y);
}

static void test_yaml_mutations_are_refused_or_round_trip(void **state) {
    (void)state;
    static const char seed_text[] =
        "model:\n  n: 12\n  t: [a, 'b', \"c\\n\"]\nlist:\n- x: 1\n  y: |\n    text\n- {a: b}\nz: ~\n";
    static const char alphabet[] = "{}[]\",:'-?|>&*!%@#~ \n\tab0\\\x80\xC3\xFF";
    uint64_t random = 7;
    int64_t n_accepted = 0, n = effort(20000);
    for (int64_t i = 0; i < n; i++) {
        char text[sizeof seed_text];
        memcpy(text, seed_text, sizeof text);
        size_t size = sizeof text - 1 - (next_random(&random) % 4 == 0 ? next_random(&random) % 40 : 0);
        for (uint64_t k = next_random(&random) % 3 + 1; k > 0; k--) {
            text[next_random(&random) % size] = alphabet[next_random(&random) % (sizeof alphabet - 1)];
        }
        rllc_yaml *y, *again;
        if (rllc_yaml_parse(&y, text, size, "mutated") != RLLC_OK) {
            assert_true(strlen(rllc_error_detail()) > 20);
            continue;
        }
        n_accepted++;
        rllc_string s = {0};
        assert_ok(rllc_yaml_print(y, &s));
        assert_ok(rllc_yaml_parse(&again, s.data, s.length, "printed"));
        assert_same(y, again);
        rllc_yaml_free(y);
        rllc_yaml_free(again);
        rllc_string_release(&s);
    }
    assert_true(n_accepted > n / 50 && n_accepted < n);
}

static void test_yaml_load_names_the_file(void **state) {
    const char *path = scratch_path(state, "x.yaml");
    rllc_yaml *y;
    assert_fails(rllc_yaml_load(&y, path), RLLC_ENOTFOUND, path);
    assert_ok(rllc_file_write(path, "a: 1\na: 2", 9));
    assert_fails(rllc_yaml_load(&y, path), RLLC_EINPUT, "x.yaml:2: the key 'a'");
    assert_ok(rllc_file_write(path, "", 0));
    assert_ok(rllc_yaml_load(&y, path));
    rllc_yaml_free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_tree_keeps_order_kinds_and_lines),
        cmocka_unit_test(test_yaml_null_is_only_plain),
        cmocka_unit_test(test_yaml_reads_json_and_nothing),
        cmocka_unit_test(test_yaml_refuses_with_the_line),
        cmocka_unit_test(test_yaml_bounds_depth_keys_and_size),
        cmocka_unit_test(test_yaml_duplicates_among_many_keys),
        cmocka_unit_test(test_yaml_override_sets_makes_and_replaces),
        cmocka_unit_test(test_yaml_merge_goes_into_maps_only),
        cmocka_unit_test(test_yaml_printed_trees_read_back),
        cmocka_unit_test(test_yaml_print_is_plain_where_it_can_be),
        cmocka_unit_test(test_yaml_print_refuses_invalid_text),
        cmocka_unit_test(test_yaml_mutations_are_refused_or_round_trip),
        cmocka_unit_test_setup_teardown(test_yaml_load_names_the_file, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
