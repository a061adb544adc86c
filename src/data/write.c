/* The canonical tokenizer.json, laid out as Hugging Face tokenizers writes it. */
#include <stdlib.h>

#include "data/bpe.h"

/* A JSON string; the bytes are valid UTF-8. */
static rllc_status quoted(rllc_string *out, const char *s, size_t n) {
    rllc_status status = RLLC_OK;
    static const char *const short_forms[] = {['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
                                              ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    RLLC_TRY(rllc_string_add(out, "\""));
    for (size_t i = 0, plain = 0; i <= n; i++) {
        unsigned char c = i < n ? (unsigned char)s[i] : '"';
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        RLLC_TRY(rllc_string_add_bytes(out, s + plain, i - plain));
        plain = i + 1;
        if (i == n) break;
        if (c < sizeof short_forms / sizeof short_forms[0] && short_forms[c]) {
            RLLC_TRY(rllc_string_add(out, short_forms[c]));
        } else {
            RLLC_TRY(rllc_string_printf(out, "\\u%04x", c));
        }
    }
    RLLC_TRY(rllc_string_add(out, "\""));
done:
    return status;
}

static rllc_status quoted_name(const rllc_tokenizer *t, int64_t id, rllc_string *out) {
    size_t n;
    const char *name = rllc_data_string(&t->names, id, &n);
    return quoted(out, name, n);
}

static const char *word(bool value) {
    return value ? "true" : "false";
}

static int by_added_id(const void *a, const void *b) {
    int32_t x = ((const rllc_data_added *)a)->id, y = ((const rllc_data_added *)b)->id;
    return (x > y) - (x < y);
}

static rllc_status print_added(const rllc_tokenizer *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_data_added *added = NULL;
    if (t->n_added == 0) return rllc_string_add(out, "  \"added_tokens\": [],\n");
    RLLC_TRY(rllc_alloc(&added, t->n_added, sizeof *added));
    memcpy(added, t->added, (size_t)t->n_added * sizeof *added);
    qsort(added, (size_t)t->n_added, sizeof *added, by_added_id);
    RLLC_TRY(rllc_string_add(out, "  \"added_tokens\": [\n"));
    for (int64_t i = 0; i < t->n_added; i++) {
        RLLC_TRY(rllc_string_printf(out, "    {\n      \"id\": %d,\n      \"content\": ", added[i].id));
        RLLC_TRY(quoted_name(t, added[i].id, out));
        RLLC_TRY(
            rllc_string_printf(out,
                               ",\n      \"single_word\": false,\n      \"lstrip\": false,\n"
                               "      \"rstrip\": false,\n      \"normalized\": %s,\n      \"special\": %s\n    }%s\n",
                               word(added[i].normalized), word(added[i].special), i + 1 < t->n_added ? "," : ""));
    }
    RLLC_TRY(rllc_string_add(out, "  ],\n"));
done:
    rllc_free(added);
    return status;
}

static rllc_status print_byte_level(rllc_string *out, const char *key, const char *pad, bool add_prefix_space,
                                    bool trim_offsets, bool use_regex, const char *end) {
    return rllc_string_printf(out,
                              "%s%s{\n%s  \"type\": \"ByteLevel\",\n%s  \"add_prefix_space\": %s,\n"
                              "%s  \"trim_offsets\": %s,\n%s  \"use_regex\": %s\n%s}%s\n",
                              pad, key, pad, pad, word(add_prefix_space), pad, word(trim_offsets), pad, word(use_regex),
                              pad, end);
}

static rllc_status print_pretokenizer(const rllc_tokenizer *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    if (t->n_splits == 0) {
        return print_byte_level(out, "\"pre_tokenizer\": ", "  ", t->add_prefix_space, true, t->use_regex, ",");
    }
    RLLC_TRY(rllc_string_add(out, "  \"pre_tokenizer\": {\n    \"type\": \"Sequence\",\n    \"pretokenizers\": [\n"));
    for (int64_t i = 0; i < t->n_splits; i++) {
        const rllc_data_split *s = t->splits[i];
        size_t n;
        const char *pattern = rllc_data_split_pattern(s, &n);
        RLLC_TRY(rllc_string_printf(out,
                                    "      {\n        \"type\": \"Split\",\n        \"pattern\": {\n          \"%s\": ",
                                    rllc_data_split_literal(s) ? "String" : "Regex"));
        RLLC_TRY(quoted(out, pattern, n));
        RLLC_TRY(
            rllc_string_printf(out, "\n        },\n        \"behavior\": \"%s\",\n        \"invert\": %s\n      },\n",
                               rllc_data_split_removes(s) ? "Removed" : "Isolated", word(rllc_data_split_inverts(s))));
    }
    RLLC_TRY(print_byte_level(out, "", "      ", t->add_prefix_space, true, t->use_regex, ""));
    RLLC_TRY(rllc_string_add(out, "    ]\n  },\n"));
done:
    return status;
}

static rllc_status print_vocabulary(const rllc_tokenizer *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    const char *separator = "\n";
    RLLC_TRY(rllc_string_add(out, "    \"vocab\": {"));
    for (int64_t id = 0; id < t->size; id++) {
        if (!t->in_model[id]) continue;
        RLLC_TRY(rllc_string_printf(out, "%s      ", separator));
        RLLC_TRY(quoted_name(t, id, out));
        RLLC_TRY(rllc_string_printf(out, ": %lld", (long long)id));
        separator = ",\n";
    }
    RLLC_TRY(rllc_string_add(out, separator[0] == ',' ? "\n    },\n" : "},\n"));
done:
    return status;
}

static rllc_status print_merges(const rllc_tokenizer *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    if (t->n_merges == 0) return rllc_string_add(out, "    \"merges\": []\n");
    RLLC_TRY(rllc_string_add(out, "    \"merges\": [\n"));
    for (int64_t i = 0; i < t->n_merges; i++) {
        RLLC_TRY(rllc_string_add(out, "      [\n        "));
        RLLC_TRY(quoted_name(t, t->left[i], out));
        RLLC_TRY(rllc_string_add(out, ",\n        "));
        RLLC_TRY(quoted_name(t, t->right[i], out));
        RLLC_TRY(rllc_string_add(out, i + 1 < t->n_merges ? "\n      ],\n" : "\n      ]\n"));
    }
    RLLC_TRY(rllc_string_add(out, "    ]\n"));
done:
    return status;
}

rllc_status rllc_data_tokenizer_print(const rllc_tokenizer *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"));
    RLLC_TRY(print_added(t, out));
    RLLC_TRY(rllc_string_add(out, "  \"normalizer\": null,\n"));
    RLLC_TRY(print_pretokenizer(t, out));
    RLLC_TRY(print_byte_level(out, "\"post_processor\": ", "  ", true, false, true, ","));
    RLLC_TRY(print_byte_level(out, "\"decoder\": ", "  ", true, true, true, ","));
    RLLC_TRY(
        rllc_string_printf(out,
                           "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                           "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                           "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": %s,\n",
                           word(t->ignore_merges)));
    RLLC_TRY(print_vocabulary(t, out));
    RLLC_TRY(print_merges(t, out));
    RLLC_TRY(rllc_string_add(out, "  }\n}"));
done:
    return status;
}

rllc_status rllc_tokenizer_save(const rllc_tokenizer *t, const char *path) {
    rllc_string text = {0};
    rllc_status status = rllc_data_tokenizer_print(t, &text);
    if (status == RLLC_OK) status = rllc_file_write(path, text.data, text.length);
    rllc_string_release(&text);
    return status;
}
