/* The tokens that are cut out of the text: their list in tokenizer.json. */
#include <stdio.h>

#include "data/bpe.h"

rllc_status rllc_data_read_added(rllc_tokenizer *t, const rllc_json *list, const char *path) {
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special",     NULL};
    rllc_status status = RLLC_OK;
    char where[512];
    for (int64_t i = 0; i < rllc_json_length(list); i++) {
        const rllc_json *token = rllc_json_at(list, i);
        bool special, normalized;
        snprintf(where, sizeof where, "%.400s: added_tokens number %lld", path, (long long)i + 1);
        RLLC_TRY(rllc_data_want_keys(token, known, where));
        RLLC_TRY(rllc_data_want_nothing(token, "single_word", where));
        RLLC_TRY(rllc_data_want_nothing(token, "lstrip", where));
        RLLC_TRY(rllc_data_want_nothing(token, "rstrip", where));
        RLLC_TRY(rllc_data_want_boolean(token, "special", false, where, &special));
        RLLC_TRY(rllc_data_want_boolean(token, "normalized", !special, where, &normalized));
        RLLC_TRY(rllc_data_added_add(t, (int32_t)rllc_json_to_integer(rllc_json_get(token, "id"), -1), special,
                                     normalized, path));
    }
done:
    return status;
}
