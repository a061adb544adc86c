/* Option tables: one table drives defaults, checks, flags, YAML, JSON and help. */
#include "base/helpers.h"

#include <math.h>

typedef struct everything {
    int64_t n_heads, any;
    uint64_t seed;
    double lr, rate;
    bool json, paired;
    const char *output, *name;
    int kind, single;
} everything;

#define OPTION(...) RLLC_OPTION(everything, __VA_ARGS__)
static const rllc_option options[] = {
    OPTION(n_heads, RLLC_INTEGER, "8", 1, 1e9, NULL, "", "heads a layer"),
    OPTION(any, RLLC_INTEGER, "-5", RLLC_UNBOUNDED, NULL, "", "any integer"),
    OPTION(seed, RLLC_SEED, "18446744073709551615", RLLC_UNBOUNDED, NULL, "", "seed of it all"),
    OPTION(lr, RLLC_REAL, "1e-3", 0, 1e6, NULL, "", "step size"),
    OPTION(rate, RLLC_REAL, "0.5", RLLC_UNBOUNDED, NULL, "tokens/s",
           "a rate whose explanation is so long that it has to be continued on a second line of the help, and aligned"),
    OPTION(json, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", "results as JSON"),
    OPTION(paired, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "", "pair the baseline"),
    OPTION(output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "where to write"),
    OPTION(name, RLLC_TEXT, "plain", RLLC_UNBOUNDED, NULL, "", "what to call it"),
    OPTION(kind, RLLC_CHOICE, "sinusoidal", RLLC_UNBOUNDED, "normal,sinusoidal,norm", "", "how to begin"),
    OPTION(single, RLLC_CHOICE, "only", RLLC_UNBOUNDED, "only", "", "one choice"),
};
static const rllc_option_table table = {"model", "everything there is", options, sizeof options / sizeof *options};

static everything defaults(void) {
    everything e;
    memset(&e, 0xEE, sizeof e);
    rllc_options_default(&table, &e);
    return e;
}

static void assert_equal(const everything *a, const everything *b) {
    assert_int_equal(a->n_heads, b->n_heads);
    assert_int_equal(a->any, b->any);
    assert_true(a->seed == b->seed);
    assert_memory_equal(&a->lr, &b->lr, sizeof a->lr);
    assert_memory_equal(&a->rate, &b->rate, sizeof a->rate);
    assert_int_equal(a->json, b->json);
    assert_int_equal(a->paired, b->paired);
    assert_ptr_equal(a->output, b->output); /* interned: equal texts are one pointer */
    assert_ptr_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->single, b->single);
}

static void test_options_default_sets_every_field(void **state) {
    (void)state;
    everything e = defaults();
    assert_ok(rllc_options_check(&table));
    assert_int_equal(e.n_heads, 8);
    assert_int_equal(e.any, -5);
    assert_true(e.seed == UINT64_MAX && e.lr == 1e-3 && e.rate == 0.5);
    assert_true(!e.json && e.paired);
    assert_null(e.output);
    assert_ptr_equal(e.name, rllc_intern("plain"));
    assert_int_equal(e.kind, 1);
    assert_int_equal(e.single, 0);
}

static void test_options_check_finds_bad_tables(void **state) {
    (void)state;
    static const struct {
        rllc_option option;
        const char *detail;
    } bad[] = {{OPTION(n_heads, RLLC_INTEGER, "0", 1, 5, NULL, "", "help"), "its default: found 0"},
               {OPTION(n_heads, RLLC_INTEGER, "x", 1, 5, NULL, "", "help"), "found x"},
               {OPTION(n_heads, RLLC_INTEGER, NULL, 1, 5, NULL, "", "help"), "found null"},
               {OPTION(n_heads, RLLC_INTEGER, "1", 1, 5, NULL, "", ""), "no help"},
               {OPTION(kind, RLLC_CHOICE, "c", RLLC_UNBOUNDED, "a,b", "", "help"), "one of a, b"},
               {OPTION(kind, RLLC_CHOICE, "c", RLLC_UNBOUNDED, NULL, "", "help"), "no choices"},
               {{"N-Heads", RLLC_INTEGER, 0, "1", 1, 5, NULL, "", "help"}, "snake_case"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rllc_option_table one = {"t", "", &bad[i].option, 1};
        assert_fails(rllc_options_check(&one), RLLC_EFAIL, bad[i].detail);
    }
    rllc_option twice[] = {options[0], options[0]};
    rllc_option_table two = {"t", "", twice, 2};
    assert_fails(rllc_options_check(&two), RLLC_EFAIL, "stands twice");
}

static void test_options_set_checks_type_bounds_and_choices(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *detail;
    } bad[] = {{"n_heads", "0", "here: found 0, expected an integer in [1, 1e9]"},
               {"n_heads", "1.5", "found 1.5, expected an integer in [1, 1e9]"},
               {"n_heads", "", "found nothing, expected an integer"},
               {"n_heads", NULL, "found null"},
               {"n_heads", "5_000", "found 5_000"},
               {"n_heads", "1000000001", "found 1000000001"},
               {"any", "9223372036854775808", "expected an integer"},
               {"lr", "-1", "here: found -1, expected a number in [0, 1e6]"},
               {"lr", "nan", "found nan"},
               {"lr", "inf", "found inf"},
               {"lr", "1,5", "found 1,5"},
               {"rate", "1e999", "expected a number"},
               {"seed", "-1", "expected an integer from 0 to 2^64-1"},
               {"json", "maybe", "expected true or false"},
               {"kind", "norma", "found norma, expected one of normal, sinusoidal, norm; did you mean 'normal'?"},
               {"kind", "", "found nothing"},
               {"kind", "normal,sinusoidal", "expected one of"},
               {"single", "x", "found x, expected only"},
               {"n_head", "3", "here: unknown key 'n_head' in 'model'; did you mean 'n_heads'?"},
               {"zzz", "3", "expected one of n_heads, any, seed, lr"}};
    everything e = defaults(), before = e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(rllc_options_set(&table, &e, bad[i].name, bad[i].text, "here"), RLLC_EINPUT, bad[i].detail);
        assert_equal(&e, &before);
    }
    assert_ok(rllc_options_set(&table, &e, "n_heads", "1e5", "here"));
    assert_ok(rllc_options_set(&table, &e, "n-heads", "12", "here"));
    assert_ok(rllc_options_set(&table, &e, "lr", "0", "here"));
    assert_ok(rllc_options_set(&table, &e, "json", "Yes", "here"));
    assert_ok(rllc_options_set(&table, &e, "output", "null", "here")); /* a text like any other */
    assert_ok(rllc_options_set(&table, &e, "kind", "norm", "here"));
    assert_true(e.n_heads == 12 && e.lr == 0 && e.json && e.kind == 2);
    assert_string_equal(e.output, "null");
    assert_ok(rllc_options_set(&table, &e, "output", NULL, "here"));
    assert_null(e.output);
}

/* Bounds beyond a type are none; one-sided ones read "at least", "at most". */
static void test_options_state_bounds_on_either_side(void **state) {
    (void)state;
    static const struct {
        rllc_option option;
        const char *text, *detail;
    } cases[] = {
        {OPTION(lr, RLLC_REAL, "1", 0, INFINITY, NULL, "", "help"), "-1", "found -1, expected a number of at least 0"},
        {OPTION(lr, RLLC_REAL, "-1", -INFINITY, -0.5, NULL, "", "help"), "1", "expected a number of at most -0.5"},
        {OPTION(lr, RLLC_REAL, "1", -1e308, 1e308, NULL, "", "help"), "x", "found x, expected a number"},
        {OPTION(any, RLLC_INTEGER, "1", 1, 9.3e18, NULL, "", "help"), "0", "expected an integer of at least 1"},
        {OPTION(seed, RLLC_SEED, "1", 0, 1000000, NULL, "", "help"), "1000001", "expected an integer in [0, 1e6]"}};
    everything e = defaults();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rllc_option_table one = {"t", "", &cases[i].option, 1};
        assert_ok(rllc_options_check(&one));
        rllc_status status = rllc_options_set(&one, &e, cases[i].option.name, cases[i].text, "x");
        assert_fails(status, RLLC_EINPUT, cases[i].detail);
    }
}

static rllc_status from_yaml(everything *e, const char *text) {
    rllc_yaml *y;
    rllc_status status = rllc_yaml_parse(&y, text, strlen(text), "config.yaml");
    if (status == RLLC_OK) status = rllc_options_from_yaml(&table, e, y);
    rllc_yaml_free(y);
    return status;
}

static void test_options_from_yaml_reads_and_places_errors(void **state) {
    (void)state;
    everything e = defaults();
    assert_ok(from_yaml(&e, "n_heads: 1e2\nlr: 2.5e-4\njson: on\noutput: [a, b, 3]\nname: ~\nkind: normal\nseed: 7\n"));
    assert_true(e.n_heads == 100 && e.lr == 2.5e-4 && e.json && e.kind == 0 && e.seed == 7 && e.paired);
    assert_string_equal(e.output, "a,b,3");
    assert_null(e.name);
    assert_ok(from_yaml(&e, "name: 'null'\noutput: []\n"));
    assert_string_equal(e.name, "null");
    assert_string_equal(e.output, "");
    assert_ok(from_yaml(&e, "")); /* an empty section */
    assert_ok(from_yaml(&e, "~"));
    static const char *const bad[][2] = {
        {"\nlr: -1\n", "config.yaml:2: lr: found -1, expected a number in [0, 1e6]"},
        {"n_head: 3\n", "config.yaml:1: unknown key 'n_head' in 'model'; did you mean 'n_heads'?"},
        {"n-heads: 3\n", "did you mean 'n_heads'?"},
        {"lr: [1]\n", "config.yaml:1: lr: found a list"},
        {"lr: {a: 1}\n", "config.yaml:1: lr: found a map"},
        {"output: [[a]]\n", "config.yaml:1: output: the list holds a list or map"},
        {"output: {a: 1}\n", "found a map, expected a text"},
        {"n_heads:\n", "n_heads: found null"},
        {"[1]", "config.yaml:1: model: expected a map"},
        {"word", "config.yaml:1: model: expected a map"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(from_yaml(&e, bad[i][0]), RLLC_EINPUT, bad[i][1]);
    }
}

/* A value given on the command line is a mistake of usage, and its message shows the assignment. */
static void test_options_from_yaml_override_is_usage(void **state) {
    (void)state;
    everything e = defaults();
    rllc_yaml *y;
    assert_ok(rllc_yaml_parse(&y, "", 0, "config.yaml"));
    assert_ok(rllc_yaml_override(y, "lr=-1"));
    assert_fails(rllc_options_from_yaml(&table, &e, y), RLLC_EUSAGE, "lr=-1: lr: found -1");
    assert_ok(rllc_yaml_override(y, "lr=3"));
    assert_ok(rllc_options_from_yaml(&table, &e, y));
    assert_true(e.lr == 3);
    assert_ok(rllc_yaml_override(y, "lrr=3"));
    assert_fails(rllc_options_from_yaml(&table, &e, y), RLLC_EUSAGE, "did you mean 'lr'?");
    rllc_yaml_free(y);
}

static everything random_options(uint64_t *random) {
    static const char *const texts[] = {NULL, "", "null", "a b", "\xE2\x82\xAC", "1", "true", "[1]", "\"q\"\n\\"};
    everything e = {.n_heads = (int64_t)(next_random(random) % 1000000000 + 1),
                    .any = (int64_t)next_random(random),
                    .seed = next_random(random),
                    .lr = (double)(next_random(random) >> 11) * 0x1p-53 * 1e6,
                    .rate = ldexp((double)(next_random(random) >> 11), (int)(next_random(random) % 1800) - 1000),
                    .json = next_random(random) % 2,
                    .paired = next_random(random) % 2,
                    .output = rllc_intern(texts[next_random(random) % 9]),
                    .name = rllc_intern(texts[next_random(random) % 9]),
                    .kind = (int)(next_random(random) % 3),
                    .single = 0};
    return e;
}

static void test_options_json_round_trip_of_every_type(void **state) {
    (void)state;
    uint64_t random = 3;
    for (int64_t i = effort(3000); i > 0; i--) {
        everything e = random_options(&random), back;
        rllc_json *j, *again;
        rllc_string text = {0};
        memset(&back, 0xEE, sizeof back);
        assert_ok(rllc_options_to_json(&table, &e, &j));
        assert_int_equal(rllc_json_length(j), table.n);
        assert_ok(rllc_json_print(j, 0, true, &text));
        assert_ok(rllc_json_parse(&again, text.data, text.length, "record"));
        assert_ok(rllc_options_from_json(&table, &back, again));
        assert_equal(&e, &back);
        rllc_string_release(&text);
        rllc_json_free(j);
        rllc_json_free(again);
    }
}

static void test_options_from_json_is_strict(void **state) {
    (void)state;
    static const char *const bad[][2] = {{"{\"n_heads\": \"8\"}", "model.n_heads: found the text \"8\""},
                                         {"{\"n_heads\": 8.0}", "model.n_heads: found 8.0"},
                                         {"{\"n_heads\": 0}", "n_heads: found 0, expected an integer in [1, 1e9]"},
                                         {"{\"lr\": null}", "model.lr: found null"},
                                         {"{\"lr\": true}", "model.lr: found true"},
                                         {"{\"lr\": [1]}", "model.lr: found [1]"},
                                         {"{\"json\": 1}", "model.json: found 1"},
                                         {"{\"json\": \"true\"}", "model.json: found the text"},
                                         {"{\"output\": 1}", "model.output: found 1, expected a text"},
                                         {"{\"output\": \"a\\u0000b\"}", "NUL"},
                                         {"{\"kind\": 1}", "model.kind: found 1"},
                                         {"{\"kind\": \"x\"}", "model.kind: found x"},
                                         {"{\"seed\": -1}", "model.seed: found -1"},
                                         {"{\"seed\": 1.5}", "model.seed: found 1.5"},
                                         {"{\"n_head\": 1}", "unknown key 'n_head' in 'model'; did you mean"},
                                         {"[1]", "model: expected a JSON object"}};
    everything e = defaults(), before = e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rllc_json *j;
        assert_ok(rllc_json_parse(&j, bad[i][0], strlen(bad[i][0]), "record"));
        assert_fails(rllc_options_from_json(&table, &e, j), RLLC_EINPUT, bad[i][1]);
        assert_equal(&e, &before);
        rllc_json_free(j);
    }
    assert_fails(rllc_options_from_json(&table, &e, NULL), RLLC_EINPUT, "expected a JSON object");
}

typedef struct common {
    bool help, quiet, dry_run;
    const char *output;
    int64_t n_heads;
} common;

static const rllc_option common_options[] = {
    RLLC_OPTION(common, help, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", "this help"),
    RLLC_OPTION(common, quiet, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", "say nothing"),
    RLLC_OPTION(common, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", "only the plan"),
    RLLC_OPTION(common, n_heads, RLLC_INTEGER, "1", 0, 100, NULL, "", "hidden behind the first table's"),
};
static const rllc_option_table common_table = {"common", "", common_options, 4};

static everything e_read;
static common c_read;
static const char *positionals[32];
static int n_positionals;

/* Reads blank-separated arguments into fresh structs. */
static rllc_status read_line(const char *line) {
    const char *argv[32];
    int argc = 0;
    char *copy = strdup(line), *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = rllc_intern(word);
    }
    free(copy);
    e_read = defaults();
    memset(&c_read, 0, sizeof c_read);
    rllc_options_default(&common_table, &c_read);
    rllc_option_binding bindings[] = {{&table, &e_read}, {&common_table, &c_read}};
    return rllc_options_from_arguments(bindings, 2, argc, argv, positionals, &n_positionals);
}

static void test_arguments_read_flags_anywhere(void **state) {
    (void)state;
    assert_ok(read_line("a --lr 1e-2 b --n-heads=3 --json --no-paired --output - -5 --kind=norm -- --lr -x"));
    assert_true(e_read.lr == 1e-2 && e_read.n_heads == 3 && e_read.json && !e_read.paired && e_read.kind == 2);
    assert_string_equal(e_read.output, "-");
    assert_int_equal(n_positionals, 5);
    static const char *const rest[] = {"a", "b", "-5", "--lr", "-x"};
    for (int i = 0; i < 5; i++) assert_string_equal(positionals[i], rest[i]);
    assert_ok(read_line("--any -7 --rate -.5 --n_heads 4"));
    assert_true(e_read.any == -7 && e_read.rate == -0.5 && e_read.n_heads == 4);
    assert_int_equal(c_read.n_heads, 1); /* the first table with the name has it */
    assert_ok(read_line("--lr 1 --lr 2 --json --no-json"));
    assert_true(e_read.lr == 2 && !e_read.json);
    assert_ok(read_line("--output=a=b --name="));
    assert_string_equal(e_read.output, "a=b");
    assert_string_equal(e_read.name, "");
    assert_ok(read_line("-h -q -n -o x.json -"));
    assert_true(c_read.help && c_read.quiet && c_read.dry_run);
    assert_string_equal(e_read.output, "x.json");
    assert_int_equal(n_positionals, 1);
    assert_ok(read_line("-o=y"));
    assert_string_equal(e_read.output, "y");
    assert_ok(read_line(""));
    assert_int_equal(n_positionals, 0);
}

static void test_arguments_refuse_with_a_hint(void **state) {
    (void)state;
    static const char *const bad[][2] = {{"--n-head 3", "unknown flag --n-head; did you mean --n-heads?"},
                                         {"--dryrun", "did you mean --dry-run?"},
                                         {"--zzzzz", "unknown flag --zzzzz; see --help"},
                                         {"--zzzzz=1", "unknown flag --zzzzz;"},
                                         {"--lr", "--lr needs a value: a number in [0, 1e6]"},
                                         {"--lr --json", "--lr needs a value"},
                                         {"--lr -x", "is written --lr=VALUE"},
                                         {"--lr=-1", "--lr: found -1, expected a number in [0, 1e6]"},
                                         {"--lr=", "--lr: found nothing"},
                                         {"--json=true", "takes no value (found 'true'); write --json or --no-json"},
                                         {"--no-json=1", "--no-json takes no value"},
                                         {"--no-lr", "--no-lr: only a yes-or-no option can be negated"},
                                         {"--no-jsn", "unknown flag --no-jsn"},
                                         {"-x", "unknown flag -x"},
                                         {"-hq", "unknown flag -hq"},
                                         {"-h=1", "-h takes no value"},
                                         {"-f", "unknown flag -f"},
                                         {"-o", "-o needs a value"},
                                         {"--=3", "unknown flag --"},
                                         {"---", "unknown flag ---"},
                                         {"--kind norma", "did you mean 'normal'?"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_fails(read_line(bad[i][0]), RLLC_EUSAGE, bad[i][1]);
    char line[9000] = "--";
    memset(line + 2, 'a', sizeof line - 3);
    assert_fails(read_line(line), RLLC_EUSAGE, "unknown flag --aaaa");
}

static void test_options_help_is_aligned_and_complete(void **state) {
    (void)state;
    rllc_string s = {0};
    assert_ok(rllc_options_help(&table, &s));
    static const char *const parts[] = {
        "  --n-heads N    heads a layer; an integer in [1, 1e9] (default 8)\n",
        "  --seed SEED    seed of it all (default 18446744073709551615)\n",
        "  --json         results as JSON\n",
        "  --no-paired    switch off: pair the baseline\n",
        "  --output TEXT  where to write\n",
        "  --kind NAME    how to begin; one of normal, sinusoidal, norm (default sinusoidal)\n",
        "\n                 the help",
        "[tokens/s]"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!strstr(s.data, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], s.data);
    }
    char *rest = NULL;
    for (char *line = strtok_r(s.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(strlen(line) <= 100);
        assert_true(strncmp(line, "  --", 4) == 0 || strspn(line, " ") == 17);
    }
    rllc_string_release(&s);
}

static void test_options_help_breaks_after_long_names(void **state) {
    (void)state;
    static const rllc_option rows[] = {
        {"a", RLLC_BOOLEAN, 0, "false", RLLC_UNBOUNDED, NULL, "", "short"},
        {"a_name_of_an_option_that_is_far_too_long", RLLC_INTEGER, 8, "1", RLLC_UNBOUNDED, NULL, "", "long"}};
    rllc_option_table two = {"t", "", rows, 2};
    rllc_string s = {0};
    assert_ok(rllc_options_help(&two, &s));
    assert_string_equal(s.data, "  --a  short\n"
                                "  --a-name-of-an-option-that-is-far-too-long N\n"
                                "       long (default 1)\n");
    rllc_string_release(&s);
}

static void test_grid_parse_of_ranges(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t n, values[16];
    } cases[] = {{"0,100,200..1000:200", 7, {0, 100, 200, 400, 600, 800, 1000}},
                 {"1..512:x2", 10, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}},
                 {"5 3,3\t1\n", 3, {1, 3, 5}},
                 {"0..3", 4, {0, 1, 2, 3}},
                 {"0..10:4", 3, {0, 4, 8}},
                 {"7..7", 1, {7}},
                 {"7..7:x2", 1, {7}},
                 {"1e3,2e3..3e3:5e2", 4, {1000, 2000, 2500, 3000}},
                 {"10..100:x1.5", 6, {10, 15, 23, 34, 51, 76}},
                 {"1..4:x1.3", 4, {1, 2, 3, 4}},
                 {"9223372036854775806..9223372036854775807", 2, {INT64_MAX - 1, INT64_MAX}},
                 {"0..9223372036854775807:9223372036854775807", 2, {0, INT64_MAX}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t *values, n;
        assert_ok(rllc_grid_parse(cases[i].text, &values, &n));
        assert_int_equal(n, cases[i].n);
        for (int64_t k = 0; k < n; k++) assert_int_equal(values[k], cases[i].values[k]);
        rllc_free(values);
    }
}

static void test_grid_parse_refuses(void **state) {
    (void)state;
    static const char *const bad[][2] = {{"", "empty"}, {" , ", "empty"}, {"a", "found 'a'"}, {"-1", "found '-1'"},
                                         {"1.5", "found '1.5'"}, {"1..", "found '1..'"}, {"..5", "found '..5'"},
                                         {"5..1", "ends before it begins"}, {"0..10:0", "found '0..10:0'"},
                                         {"0..10:-1", "found"}, {"0..10:x2", "a start of at least 1"},
                                         {"1..10:x1", "a ratio of at least"}, {"1..10:x0.5", "a ratio"},
                                         {"1..10:x", "a ratio"}, {"1..10:xnan", "a ratio"}, {"3:1", "found '3:1'"},
                                         {"1:2..5", "found '1:2..5'"}, {"0..1e15", "more than 10000000 values"},
                                         {"1...5", "found"}, {"99999999999999999999", "found"},
                                         {"1,2;3", "found '2;3'"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t *values = (int64_t *)1, n = 1;
        assert_fails(rllc_grid_parse(bad[i][0], &values, &n), RLLC_EINPUT, bad[i][1]);
        assert_null(values);
        assert_int_equal(n, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_default_sets_every_field),
        cmocka_unit_test(test_options_check_finds_bad_tables),
        cmocka_unit_test(test_options_set_checks_type_bounds_and_choices),
        cmocka_unit_test(test_options_state_bounds_on_either_side),
        cmocka_unit_test(test_options_from_yaml_reads_and_places_errors),
        cmocka_unit_test(test_options_from_yaml_override_is_usage),
        cmocka_unit_test(test_options_json_round_trip_of_every_type),
        cmocka_unit_test(test_options_from_json_is_strict),
        cmocka_unit_test(test_arguments_read_flags_anywhere),
        cmocka_unit_test(test_arguments_refuse_with_a_hint),
        cmocka_unit_test(test_options_help_is_aligned_and_complete),
        cmocka_unit_test(test_options_help_breaks_after_long_names),
        cmocka_unit_test(test_grid_parse_of_ranges),
        cmocka_unit_test(test_grid_parse_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
