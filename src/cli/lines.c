/* Lines of standard input, converted one by one with a tokenizer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"

static const rllc_option options[] = {
    RLLC_OPTION(rllc_lines_options, tokenizer, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "tokenizer.json, vocab.json (with merges.txt beside it), or a folder that holds them"),
};
const rllc_option_table rllc_lines_option_table = {"lines", "which tokenizer", options,
                                                   sizeof options / sizeof options[0]};

typedef struct lines {
    const rllc_lines_job *job;
    const rllc_tokenizer *tokenizer;
    rllc_json *list; /* NULL without --json */
    rllc_string text;
    int64_t n, tokens;
} lines;

static rllc_status convert_line(lines *l, const char *line, size_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *value = NULL;
    rllc_string_clear(&l->text);
    l->n++;
    status = l->job->convert(l->tokenizer, line, n, &l->text, l->list ? &value : NULL, &l->tokens);
    if (status != RLLC_OK) return rllc_fail_within(status, "standard input, line %lld", (long long)l->n);
    if (l->list) return rllc_json_append(l->list, value);
    if (fwrite(rllc_string_text(&l->text), 1, l->text.length, stdout) != l->text.length || putchar('\n') == EOF) {
        return rllc_fail(RLLC_EIO, "standard output: writing failed: %s", strerror(errno));
    }
    return RLLC_OK;
}

static rllc_status convert_all(lines *l) {
    rllc_status status = RLLC_OK;
    char *line = NULL;
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        ssize_t n = getline(&line, &capacity, stdin);
        if (n < 0) break;
        if (line[n - 1] == '\n') n--;
        RLLC_TRY(convert_line(l, line, (size_t)n));
    }
    if (errno == ENOMEM)
        status = rllc_fail(RLLC_ENOMEM, "standard input, line %lld: no memory for it", (long long)l->n + 1);
    if (ferror(stdin)) status = rllc_fail(RLLC_EIO, "standard input: reading failed: %s", strerror(errno));
    if (status == RLLC_OK && fflush(stdout) == EOF) {
        status = rllc_fail(RLLC_EIO, "standard output: writing failed: %s", strerror(errno));
    }
done:
    free(line);
    return status;
}

static rllc_status print_json(lines *l) {
    rllc_json *j = rllc_json_object(), *list = l->list;
    l->list = NULL;
    rllc_status status = rllc_json_set(j, "tokenizer_hash", rllc_json_string(rllc_tokenizer_hash(l->tokenizer).hex));
    if (status == RLLC_OK) status = rllc_json_set(j, "lines", rllc_json_integer(l->n));
    if (status == RLLC_OK) status = rllc_json_set(j, "tokens", rllc_json_integer(l->tokens));
    if (status == RLLC_OK) {
        status = rllc_json_set(j, l->job->list, list);
        list = NULL;
    }
    if (status == RLLC_OK) return rllc_cli_print_json(l->job->command->name, j);
    rllc_json_free(list);
    rllc_json_free(j);
    return status;
}

rllc_status rllc_lines_main(const rllc_lines_job *job, int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    rllc_lines_options o;
    rllc_tokenizer *t = NULL;
    lines l = {.job = job};
    rllc_options_default(&rllc_lines_option_table, &o);
    const rllc_option_binding bindings[] = {{&rllc_lines_option_table, &o}};
    RLLC_TRY(rllc_cli_options(job->command, &common, bindings, 1, argc, argv, NULL, 0, NULL));
    if (common.help) return RLLC_OK;
    if (!o.tokenizer) return rllc_fail(RLLC_EUSAGE, "--tokenizer PATH is missing; usage: %s", job->command->usage);
    RLLC_TRY(rllc_tokenizer_load(&t, o.tokenizer));
    if (rllc_tokenizer_remark(t)) rllc_report_message(rllc_cli_monitor(&common), "%s", rllc_tokenizer_remark(t));
    l.tokenizer = t;
    if (common.json) l.list = rllc_json_array();
    RLLC_TRY(convert_all(&l));
    if (common.json) RLLC_TRY(print_json(&l));
done:
    rllc_json_free(l.list);
    rllc_string_release(&l.text);
    rllc_tokenizer_free(t);
    return status;
}
