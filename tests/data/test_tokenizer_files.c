/* Tokenizer files of all forms, damaged ones, and ones that ask for what this program does not do. */
#include "scratch.h"

/* A small but whole tokenizer: bytes are left out, so that single cases stay readable. */
#define HEAD                                                                                                           \
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[" ADDED "],\"normalizer\":null,"
#define ADDED                                                                                                          \
    "{\"id\":5,\"content\":\"<|endoftext|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"                 \
    "\"normalized\":false,\"special\":true}"
#define PRE                                                                                                            \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"  \
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
#define MODEL                                                                                                          \
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"              \
    "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,"
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4},"
#define MERGES "\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"]]}}"
static const char whole[] = HEAD PRE MODEL VOCAB MERGES;

static rllc_status load_text(rllc_tokenizer **t, const char *text) {
    return rllc_tokenizer_load(t, scratch_text("t.json", text));
}

static void check_ids(const rllc_tokenizer *t, const char *text, int n, const int *expected) {
    rllc_ids ids = {0};
    assert_ok(rllc_tokenizer_encode(t, text, strlen(text), &ids));
    assert_int_equal(ids.n, n);
    for (int i = 0; i < n; i++) assert_int_equal(ids.data[i], expected[i]);
    rllc_ids_release(&ids);
}

/* `whole` with the first occurrence of `from` replaced. */
static char *with(const char *from, const char *to) {
    const char *at = strstr(whole, from);
    char *out = NULL;
    assert_non_null(at);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from)) > 0);
    return out;
}

static void test_whole_file_loads(void **state) {
    (void)state;
    rllc_tokenizer *t;
    size_t n;
    assert_ok(load_text(&t, whole));
    assert_int_equal(rllc_tokenizer_size(t), 6);
    assert_int_equal(rllc_tokenizer_bos(t), 5);
    check_ids(t, "abcab<|endoftext|>c", 4, (int[]){4, 3, 5, 2});
    assert_string_equal(rllc_tokenizer_token(t, 4, &n), "abc");
    assert_int_equal(n, 3);
    assert_null(rllc_tokenizer_token(t, 6, &n));
    assert_null(rllc_tokenizer_token(t, -1, &n));
    assert_null(rllc_tokenizer_remark(t));
    rllc_ids ids = {0};
    assert_fails(rllc_tokenizer_encode(t, "abc d", 5, &ids), RLLC_EINPUT, "0x20"); /* never dropped in silence */
    assert_int_equal(ids.n, 0);
    rllc_ids_release(&ids);
    rllc_string s = {0};
    assert_fails(rllc_tokenizer_decode(t, (int32_t[]){0, 6}, 2, &s), RLLC_EINPUT, "the id 6 at place 1");
    rllc_string_release(&s);
    rllc_tokenizer_free(t);
}

/* Replacements that still mean the same. */
static void test_equal_files_give_equal_hashes(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"[\"a\",\"b\"],[\"ab\",\"c\"]", "\"a b\",\"ab c\""},
        {"[\"a\",\"b\"],[\"ab\",\"c\"]", "\"#version: 0.2\",\"a b\",\"ab c\""},
        {"\"dropout\":null", "\"dropout\":0.0"},
        {"\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"\""},
        {"\"type\":\"BPE\",", ""},
        {"\"ignore_merges\":false,", ""},
        {",\"use_regex\":true", ""},
        {"\"post_processor\":null", "\"post_processor\":{\"type\":\"ByteLevel\",\"trim_offsets\":false}"},
        {"{\"type\":\"ByteLevel\"},", "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"}]},"},
        {"{\"a\":0,\"b\":1", "{\"b\":1,\"a\":0"},
    };
    rllc_tokenizer *t;
    assert_ok(load_text(&t, whole));
    rllc_hash hash = rllc_tokenizer_hash(t);
    rllc_tokenizer_free(t);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        char *text = with(same[i][0], same[i][1]);
        assert_ok(load_text(&t, text));
        assert_string_equal(rllc_tokenizer_hash(t).hex, hash.hex);
        rllc_tokenizer_free(t);
        free(text);
    }
}

static void test_refusals_name_what_they_refuse(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        rllc_status status;
        const char *says;
    } cases[] = {
        {"\"version\":\"1.0\"", "\"version\":\"2.0\"", RLLC_EUNSUPPORTED, "2.0"},
        {"\"version\":\"1.0\"", "\"version\":1", RLLC_EUNSUPPORTED, "version"},
        {"\"truncation\":null", "\"truncation\":{\"max_length\":5}", RLLC_EUNSUPPORTED, "truncation"},
        {"\"padding\":null", "\"padding\":{}", RLLC_EUNSUPPORTED, "padding"},
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", RLLC_EUNSUPPORTED, "NFC"},
        {"\"normalizer\":null", "\"surprise\":null", RLLC_EUNSUPPORTED, "surprise"},
        {"\"type\":\"ByteLevel\",\"add", "\"type\":\"Whitespace\",\"add", RLLC_EUNSUPPORTED, "Whitespace"},
        {"\"use_regex\":true", "\"use_regex\":1", RLLC_EINPUT, "use_regex"},
        {"\"add_prefix_space\":false,", "", RLLC_EINPUT, "add_prefix_space"},
        {"\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":"
         "true}",
         "\"pre_tokenizer\":null", RLLC_EUNSUPPORTED, "pre_tokenizer"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}",
         "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":"
         "false}]}",
         RLLC_EUNSUPPORTED, "Digits"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}",
         "{\"type\":\"Sequence\",\"pretokenizers\":[]}", RLLC_EUNSUPPORTED, "steps"},
        {"\"post_processor\":null", "\"post_processor\":{\"type\":\"TemplateProcessing\"}", RLLC_EUNSUPPORTED,
         "TemplateProcessing"},
        {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"WordPiece\"}", RLLC_EUNSUPPORTED,
         "WordPiece"},
        {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", RLLC_EUNSUPPORTED, "Unigram"},
        {"\"dropout\":null", "\"dropout\":0.1", RLLC_EUNSUPPORTED, "dropout"},
        {"\"unk_token\":null", "\"unk_token\":\"a\"", RLLC_EUNSUPPORTED, "unk_token"},
        {"\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"##\"", RLLC_EUNSUPPORTED, "##"},
        {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", RLLC_EUNSUPPORTED, "end_of_word_suffix"},
        {"\"byte_fallback\":false", "\"byte_fallback\":true", RLLC_EUNSUPPORTED, "byte_fallback"},
        {"\"ignore_merges\":false", "\"ignore_merges\":\"no\"", RLLC_EINPUT, "ignore_merges"},
        {"\"ignore_merges\":false", "\"unheard_of\":false", RLLC_EUNSUPPORTED, "unheard_of"},
        {"\"lstrip\":false", "\"lstrip\":true", RLLC_EUNSUPPORTED, "lstrip"},
        {"\"rstrip\":false", "\"rstrip\":true", RLLC_EUNSUPPORTED, "rstrip"},
        {"\"single_word\":false", "\"single_word\":true", RLLC_EUNSUPPORTED, "single_word"},
        {"\"id\":5", "\"id\":6", RLLC_EUNSUPPORTED, "without gaps"},
        {"\"id\":5", "\"id\":4", RLLC_EINPUT, "same id"},
        {"\"id\":5", "\"id\":-1", RLLC_EUNSUPPORTED, "without gaps"},
        {"\"id\":5", "\"id\":9223372036854775807", RLLC_EUNSUPPORTED, "without gaps"},
        {"\"id\":5", "\"id\":92233720368547758070", RLLC_EINPUT, "integer 'id'"},
        {"\"id\":5", "\"id\":\"5\"", RLLC_EINPUT, "integer 'id'"},
        {"\"content\":\"<|endoftext|>\"", "\"content\":\"\"", RLLC_EINPUT, "content"},
        {"\"content\":\"<|endoftext|>\"", "\"content\":\"abc\"", RLLC_EINPUT, "in the vocabulary 4"},
        {"\"a\":0", "\"a\":1", RLLC_EINPUT, "same id"},
        {"\"a\":0", "\"a\":0.5", RLLC_EINPUT, "integer"},
        {"\"a\":0", "\"a\":4294967296", RLLC_EUNSUPPORTED, "without gaps"},
        {"\"a\":0,\"b\":1", "\"a\":0,\"a\":1", RLLC_EINPUT, "t.json"},
        {"\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4}", "\"vocab\":[]", RLLC_EINPUT, "vocab"},
        {"[\"ab\",\"c\"]", "[\"ab\",\"d\"]", RLLC_EINPUT, "number 2"},
        {"[\"ab\",\"c\"]", "[\"a\",\"c\"]", RLLC_EINPUT, "'ac' is not in the vocabulary"},
        {"[\"ab\",\"c\"]", "[\"a\",\"b\"]", RLLC_EINPUT, "again"},
        {"[\"ab\",\"c\"]", "[\"abc\",\"\"]", RLLC_EINPUT, "empty"},
        {"[\"ab\",\"c\"]", "[\"ab\"]", RLLC_EINPUT, "number 2"},
        {"[\"ab\",\"c\"]", "\"ab  c\"", RLLC_EINPUT, "one blank"},
        {"[\"ab\",\"c\"]", "\"abc\"", RLLC_EINPUT, "one blank"},
        {"[\"ab\",\"c\"]", "7", RLLC_EINPUT, "number 2"},
        {"\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"]]", "\"merges\":{}", RLLC_EINPUT, "merges"},
        {",\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"]]", "", RLLC_EINPUT, "merges"},
        {"\"model\":{", "\"decoder\":{", RLLC_EINPUT, "t.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = with(cases[i].from, cases[i].to);
        rllc_tokenizer *t = (rllc_tokenizer *)1;
        rllc_status status = load_text(&t, text);
        if (status != cases[i].status || !strstr(rllc_error_detail(), cases[i].says) ||
            !strstr(rllc_error_detail(), "t.json")) {
            fail_msg("%s -> %s: status %d '%s', wanted %d '%s'", cases[i].from, cases[i].to, (int)status,
                     rllc_error_detail(), (int)cases[i].status, cases[i].says);
        }
        assert_null(t);
        free(text);
    }
    rllc_tokenizer *t;
    assert_fails(load_text(&t, "[]"), RLLC_EINPUT, "model");
    assert_fails(load_text(&t, ""), RLLC_EINPUT, "t.json");
    assert_fails(load_text(&t, "{\"model\":null}"), RLLC_EINPUT, "model");
    assert_fails(rllc_tokenizer_load(&t, scratch("nothing")), RLLC_ENOTFOUND, "nothing");
    assert_fails(rllc_tokenizer_load(&t, scratch_folder), RLLC_ENOTFOUND, "vocab.json");
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        rllc_tokenizer *t;
        assert_int_equal(rllc_tokenizer_load(&t, scratch_write("cut.json", whole, n)), RLLC_EINPUT);
        assert_null(t);
    }
}

/* Any one byte changed: refused, or a tokenizer that can be used. */
static void test_every_changed_byte_is_survived(void **state) {
    (void)state;
    char text[sizeof whole];
    int accepted = 0;
    uint64_t random = 1;
    for (size_t at = 0; at + 1 < sizeof whole; at++) {
        rllc_tokenizer *t;
        memcpy(text, whole, sizeof whole);
        text[at] = (char)(text[at] ^ (1 << scratch_random(&random) % 8));
        rllc_status status = rllc_tokenizer_load(&t, scratch_write("flip.json", text, sizeof whole - 1));
        if (status != RLLC_OK) {
            assert_int_equal(rllc_status_exit_code(status), 3);
            assert_null(t);
            continue;
        }
        rllc_ids ids = {0};
        rllc_string back = {0};
        accepted++;
        if (rllc_tokenizer_encode(t, "abcab<|endoftext|>", 18, &ids) == RLLC_OK) {
            assert_ok(rllc_tokenizer_decode(t, ids.data, ids.n, &back));
            assert_string_equal(back.data, "abcab<|endoftext|>");
        }
        rllc_ids_release(&ids);
        rllc_string_release(&back);
        rllc_tokenizer_free(t);
    }
    assert_true(accepted > 0 && accepted < 200);
}

/* ---- vocab.json and merges.txt ----------------------------------------------------------------------------- */

#define VOCAB_JSON "{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4,\"<|endoftext|>\":5}"

static void test_folder_of_vocab_and_merges(void **state) {
    (void)state;
    rllc_tokenizer *t;
    scratch_text("gpt2/vocab.json", VOCAB_JSON);
    scratch_text("gpt2/merges.txt", "#version: 0.2\r\na b\r\nab c\r\n");
    assert_ok(rllc_tokenizer_load(&t, scratch("gpt2")));
    assert_int_equal(rllc_tokenizer_bos(t), 5);
    check_ids(t, "abcab<|endoftext|>c", 4, (int[]){4, 3, 5, 2});
    rllc_hash hash = rllc_tokenizer_hash(t);
    rllc_tokenizer_free(t);
    static const char *const files[] = {"gpt2/vocab.json", "gpt2/merges.txt"};
    for (int i = 0; i < 2; i++) {
        assert_ok(rllc_tokenizer_load(&t, scratch(files[i])));
        assert_string_equal(rllc_tokenizer_hash(t).hex, hash.hex);
        rllc_tokenizer_free(t);
    }
    /* The same as tokenizer.json: equal files, equal hash; the folder then loads from there without a remark. */
    assert_ok(rllc_tokenizer_load(&t, scratch("gpt2")));
    assert_ok(rllc_tokenizer_save(t, scratch("gpt2/tokenizer.json")));
    rllc_tokenizer_free(t);
    assert_ok(rllc_tokenizer_load(&t, scratch("gpt2")));
    assert_string_equal(rllc_tokenizer_hash(t).hex, hash.hex);
    assert_null(rllc_tokenizer_remark(t));
    rllc_tokenizer_free(t);
}

static void test_contradicting_files_are_remarked(void **state) {
    (void)state;
    rllc_tokenizer *t;
    scratch_text("both/vocab.json", "{\"a\":1,\"b\":0,\"c\":2,\"ab\":3,\"abc\":4,\"<|endoftext|>\":5}");
    scratch_text("both/merges.txt", "a b\nab c\n");
    scratch_text("both/tokenizer.json", whole);
    assert_ok(rllc_tokenizer_load(&t, scratch("both")));
    check_ids(t, "ab", 1, (int[]){3});
    check_ids(t, "ba", 2, (int[]){0, 1});
    assert_non_null(rllc_tokenizer_remark(t));
    assert_non_null(strstr(rllc_tokenizer_remark(t), "different ids"));
    rllc_tokenizer_free(t);
    assert_ok(rllc_tokenizer_load(&t, scratch("both/tokenizer.json")));
    check_ids(t, "ba", 2, (int[]){1, 0});
    assert_null(rllc_tokenizer_remark(t));
    rllc_tokenizer_free(t);
}

static void test_configuration_names_bos(void **state) {
    (void)state;
    rllc_tokenizer *t;
    scratch_text("cfg/vocab.json", "{\"a\":0,\"b\":1,\"<s>\":2,\"</s>\":3}");
    scratch_text("cfg/merges.txt", "");
    assert_ok(rllc_tokenizer_load(&t, scratch("cfg")));
    assert_int_equal(rllc_tokenizer_bos(t), -1);
    rllc_tokenizer_free(t);
    /* As Hugging Face writes it, with a number beyond 64 bits. */
    scratch_text("cfg/tokenizer_config.json",
                 "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"</s>\",\"add_prefix_space\":false,"
                 "\"model_max_length\":1000000000000000019884624838656}");
    assert_ok(rllc_tokenizer_load(&t, scratch("cfg")));
    assert_int_equal(rllc_tokenizer_bos(t), 2);
    check_ids(t, "a<s>b</s>", 4, (int[]){0, 2, 1, 3});
    rllc_tokenizer_free(t);
    scratch_text("cfg/tokenizer_config.json", "{\"bos_token\":\"<bos>\"}");
    assert_fails(rllc_tokenizer_load(&t, scratch("cfg")), RLLC_EINPUT, "<bos>");
    scratch_text("cfg/tokenizer_config.json", "{\"bos_token\":null}");
    scratch_text("cfg/special_tokens_map.json", "{\"bos_token\":\"</s>\"}");
    assert_ok(rllc_tokenizer_load(&t, scratch("cfg")));
    assert_int_equal(rllc_tokenizer_bos(t), 3);
    rllc_tokenizer_free(t);
}

static void test_added_tokens_beside_the_vocabulary(void **state) {
    (void)state;
    rllc_tokenizer *t;
    scratch_text("add/vocab.json", "{\"a\":0,\"b\":1}");
    scratch_text("add/merges.txt", "");
    scratch_text("add/added_tokens.json", "{\"<|endoftext|>\":2,\"ab\":3}");
    assert_ok(rllc_tokenizer_load(&t, scratch("add")));
    assert_int_equal(rllc_tokenizer_bos(t), 2);
    assert_int_equal(rllc_tokenizer_size(t), 4);
    check_ids(t, "aab<|endoftext|>b", 4, (int[]){0, 3, 2, 1});
    rllc_tokenizer_free(t);
    scratch_text("add/added_tokens.json", "{\"<|endoftext|>\":3}");
    assert_fails(rllc_tokenizer_load(&t, scratch("add")), RLLC_EUNSUPPORTED, "without gaps");
    scratch_text("add/added_tokens.json", "{\"a\":7}");
    assert_fails(rllc_tokenizer_load(&t, scratch("add")), RLLC_EINPUT, "elsewhere");
    scratch_text("add/added_tokens.json", "{\"x\":\"2\"}");
    assert_fails(rllc_tokenizer_load(&t, scratch("add")), RLLC_EINPUT, "integer");
    scratch_text("add/added_tokens.json", "{\"<|endoftext|>\":2}");
    scratch_text("add/tokenizer_config.json",
                 "{\"added_tokens_decoder\":{\"2\":{\"content\":\"<|endoftext|>\",\"lstrip\":true}}}");
    assert_fails(rllc_tokenizer_load(&t, scratch("add")), RLLC_EUNSUPPORTED, "lstrip");
    scratch_text("add/tokenizer_config.json", "{\"added_tokens_decoder\":{\"two\":{\"content\":\"<|endoftext|>\"}}}");
    assert_fails(rllc_tokenizer_load(&t, scratch("add")), RLLC_EINPUT, "added_tokens_decoder");
}

static void test_merges_name_their_line(void **state) {
    (void)state;
    static const struct {
        const char *merges, *says;
    } cases[] = {{"#version: 0.2\na b\na x\n", "merges.txt:3"},
                 {"a b c\n", "merges.txt:1"},
                 {"a b\n\nab c\n", "merges.txt:2"},
                 {"a b\na b\n", "again"},
                 {"a \xFF\n", "UTF-8"},
                 {" b\n", "empty"}};
    rllc_tokenizer *t;
    scratch_text("bad/vocab.json", VOCAB_JSON);
    assert_fails(rllc_tokenizer_load(&t, scratch("bad")), RLLC_ENOTFOUND, "merges.txt");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scratch_text("bad/merges.txt", cases[i].merges);
        assert_fails(rllc_tokenizer_load(&t, scratch("bad")), RLLC_EINPUT, cases[i].says);
        assert_null(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file_loads),
        cmocka_unit_test(test_equal_files_give_equal_hashes),
        cmocka_unit_test(test_refusals_name_what_they_refuse),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_changed_byte_is_survived),
        cmocka_unit_test(test_folder_of_vocab_and_merges),
        cmocka_unit_test(test_contradicting_files_are_remarked),
        cmocka_unit_test(test_configuration_names_bos),
        cmocka_unit_test(test_added_tokens_beside_the_vocabulary),
        cmocka_unit_test(test_merges_name_their_line),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
