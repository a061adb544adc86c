/* The pre-tokeniser of tokenizer.json: ByteLevel, alone or after Split steps. */
#include "data/bpe.h"

static const char *type_of(const rllc_json *j) {
    const char *type = rllc_json_text(rllc_json_get(j, "type"));
    return type ? type : "without a type";
}

static rllc_status read_byte_level(rllc_tokenizer *t, const rllc_json *j, const char *path) {
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_data_want_keys(j, known, path));
    if (!rllc_json_get(j, "add_prefix_space")) {
        status = rllc_fail(RLLC_EINPUT, "%s: the ByteLevel pre_tokenizer must say add_prefix_space", path);
        goto done;
    }
    RLLC_TRY(rllc_data_want_boolean(j, "add_prefix_space", true, path, &t->add_prefix_space));
    RLLC_TRY(rllc_data_want_boolean(j, "use_regex", true, path, &t->use_regex));
done:
    return status;
}

static rllc_status read_split(rllc_tokenizer *t, const rllc_json *j, const char *path) {
    static const char *const known[] = {"type", "pattern", "behavior", "invert", NULL};
    rllc_status status = RLLC_OK;
    rllc_data_split *step = NULL;
    const rllc_json *pattern = rllc_json_get(j, "pattern");
    const rllc_json *regex = rllc_json_get(pattern, "Regex"), *literal = rllc_json_get(pattern, "String");
    const rllc_json *text = regex ? regex : literal;
    const char *behavior = rllc_json_text(rllc_json_get(j, "behavior"));
    bool invert, removed;
    RLLC_TRY(rllc_data_want_keys(j, known, path));
    RLLC_TRY(rllc_data_want_boolean(j, "invert", false, path, &invert));
    if (!rllc_json_is_string(text) || strlen(rllc_json_text(text)) != rllc_json_text_length(text)) {
        status =
            rllc_fail(RLLC_EINPUT,
                      "%s: the pattern of a Split must be {\"Regex\": text} or {\"String\": text} without NUL", path);
        goto done;
    }
    removed = behavior && strcmp(behavior, "Removed") == 0;
    if (!removed && !(behavior && strcmp(behavior, "Isolated") == 0)) {
        status =
            rllc_fail(RLLC_EUNSUPPORTED, "%s: a Split with behavior '%s' is not supported; Isolated and Removed are",
                      path, behavior ? behavior : "");
        goto done;
    }
    RLLC_TRY(rllc_data_split_new(&step, rllc_json_text(text), rllc_json_text_length(text), !regex,
                                 removed ? RLLC_DATA_REMOVED : RLLC_DATA_ISOLATED, invert, path));
    RLLC_TRY(rllc_data_split_add(t, step));
done:
    return status;
}

static rllc_status read_sequence(rllc_tokenizer *t, const rllc_json *steps, const char *path) {
    int64_t n = rllc_json_length(steps);
    if (!rllc_json_is_array(steps))
        return rllc_fail(RLLC_EINPUT, "%s: a Sequence without a list 'pretokenizers'", path);
    for (int64_t i = 0; i < n; i++) {
        const rllc_json *step = rllc_json_at(steps, i);
        bool last = i + 1 == n, fits = strcmp(type_of(step), last ? "ByteLevel" : "Split") == 0;
        if (!fits) {
            return rllc_fail(RLLC_EUNSUPPORTED,
                             "%s: step %lld of the pre_tokenizer is %s; supported are Split steps and a "
                             "ByteLevel at the end",
                             path, (long long)i + 1, type_of(step));
        }
        rllc_status status = last ? read_byte_level(t, step, path) : read_split(t, step, path);
        if (status != RLLC_OK) return status;
    }
    if (n == 0) return rllc_fail(RLLC_EUNSUPPORTED, "%s: the pre_tokenizer has no steps; a ByteLevel is needed", path);
    return RLLC_OK;
}

rllc_status rllc_data_read_pretokenizer(rllc_tokenizer *t, const rllc_json *j, const char *path) {
    static const char *const known[] = {"type", "pretokenizers", NULL};
    if (strcmp(type_of(j), "ByteLevel") == 0) return read_byte_level(t, j, path);
    if (strcmp(type_of(j), "Sequence") != 0) {
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "%s: a pre_tokenizer %s is not supported; ByteLevel is, alone or in a Sequence after "
                         "Split steps",
                         path, !j || rllc_json_is_null(j) ? "that is null" : type_of(j));
    }
    rllc_status status = rllc_data_want_keys(j, known, path);
    return status == RLLC_OK ? read_sequence(t, rllc_json_get(j, "pretokenizers"), path) : status;
}
