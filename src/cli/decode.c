/* rllc decode: token ids on standard input to text, one line a line. */
#include <string.h>

#include "cli/lines.h"

/* The ids of a line: numbers with blanks between them. */
static rllc_status read_ids(const char *line, size_t n, rllc_ids *ids) {
    for (size_t at = 0; at < n;) {
        if (line[at] == ' ' || line[at] == '\t' || line[at] == '\r') {
            at++;
            continue;
        }
        size_t begin = at;
        int64_t id = 0;
        for (; at < n && line[at] >= '0' && line[at] <= '9' && id <= INT32_MAX; at++) id = id * 10 + (line[at] - '0');
        bool ended = at == n || line[at] == ' ' || line[at] == '\t' || line[at] == '\r';
        if (at == begin || !ended || id > INT32_MAX) {
            int shown = (int)(n - begin < 20 ? n - begin : 20);
            return rllc_fail(
                RLLC_EINPUT,
                "byte %zu: '%.*s' does not begin with a token id; expected numbers with blanks between them", begin,
                shown, line + begin);
        }
        rllc_status status = rllc_ids_add(ids, (int32_t)id);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

static rllc_status decode_line(const rllc_tokenizer *t, const char *line, size_t n, rllc_string *text,
                               rllc_json **value, int64_t *tokens) {
    rllc_status status = RLLC_OK;
    rllc_ids ids = {0};
    RLLC_TRY(read_ids(line, n, &ids));
    RLLC_TRY(rllc_tokenizer_decode(t, ids.data, ids.n, text));
    *tokens += ids.n;
    if (!value) goto done;
    if (!rllc_utf8_valid(rllc_string_text(text), text->length, NULL) ||
        memchr(rllc_string_text(text), '\0', text->length)) {
        status = rllc_fail(RLLC_EUNSUPPORTED,
                           "the tokens are bytes that JSON cannot hold (no UTF-8, or NUL); leave out --json");
        goto done;
    }
    *value = rllc_json_string(rllc_string_text(text));
done:
    rllc_ids_release(&ids);
    return status;
}

static rllc_status decode_main(int argc, const char *const *argv) {
    const rllc_lines_job job = {&rllc_command_decode, "texts", decode_line};
    return rllc_lines_main(&job, argc, argv);
}

static const rllc_option_table *const tables[] = {&rllc_lines_option_table, NULL};

const rllc_command rllc_command_decode = {
    .name = "decode",
    .summary = "token ids on stdin to text, one line a line",
    .usage = "rllc decode --tokenizer PATH < ids",
    .examples = "# there and back again\n"
                "echo 'Once upon a time' | rllc encode --tokenizer corpus | rllc decode --tokenizer corpus\n",
    .tables = tables,
    .main = decode_main};
