/* rllc encode: text on standard input to token ids, one line a line. */
#include "cli/lines.h"

/* Appends a blank (but not at the beginning) and the number. */
static rllc_status add_id(rllc_string *out, int32_t id) {
    char digits[12];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    if (out->length > 0) digits[--at] = ' ';
    return rllc_string_add_bytes(out, digits + at, sizeof digits - at);
}

static rllc_status encode_line(const rllc_tokenizer *t, const char *line, size_t n, rllc_string *text,
                               rllc_json **value, int64_t *tokens) {
    rllc_status status = RLLC_OK;
    rllc_ids ids = {0};
    RLLC_TRY(rllc_tokenizer_encode(t, line, n, &ids));
    *tokens += ids.n;
    if (value) *value = rllc_json_array();
    for (int64_t i = 0; i < ids.n; i++) {
        RLLC_TRY(value ? rllc_json_append(*value, rllc_json_integer(ids.data[i])) : add_id(text, ids.data[i]));
    }
done:
    rllc_ids_release(&ids);
    return status;
}

static rllc_status encode_main(int argc, const char *const *argv) {
    const rllc_lines_job job = {&rllc_command_encode, "ids", encode_line};
    return rllc_lines_main(&job, argc, argv);
}

static const rllc_option_table *const tables[] = {&rllc_lines_option_table, NULL};

const rllc_command rllc_command_encode = {.name = "encode",
                                          .summary = "text on stdin to token ids, one line a line",
                                          .usage = "rllc encode --tokenizer PATH < text",
                                          .examples =
                                              "# the ids of a sentence, with the tokenizer of a corpus\n"
                                              "echo 'Once upon a time' | rllc encode --tokenizer corpus\n"
                                              "# with Hugging Face's files\n"
                                              "rllc encode --tokenizer gpt2/tokenizer.json < lines.txt > ids.txt\n",
                                          .tables = tables,
                                          .main = encode_main};
