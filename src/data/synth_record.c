/* What corpus.json says of a synthetic corpus: its options, what is known in closed form, the names behind the numbers.
 */
#include "data/synth.h"

rllc_status rllc_data_synth_by_label(const double *tokens, const double *optimum, bool counted, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *label = NULL;
    for (int i = 0; i < RLLC_LABELS; i++) {
        if (tokens[i] == 0) continue;
        label = rllc_json_object();
        RLLC_TRY(rllc_json_set(label, "tokens",
                               counted ? rllc_json_integer((int64_t)tokens[i]) : rllc_json_real(tokens[i])));
        RLLC_TRY(rllc_json_set(label, "optimum", rllc_json_real(optimum[i] / tokens[i])));
        status = rllc_json_set(j, rllc_label_names[i], label);
        label = NULL;
        RLLC_TRY(status);
    }
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(label);
    return status;
}

/** Names by number, as the files have them. */
static rllc_status names_json(rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_json *labels = rllc_json_array(), *generators = rllc_json_array();
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    for (int i = 0; i < RLLC_LABELS; i++) RLLC_TRY(rllc_json_append(labels, rllc_json_string(rllc_label_names[i])));
    RLLC_TRY(rllc_json_append(generators, rllc_json_string("bos")));
    for (int i = 0; i < n; i++) RLLC_TRY(rllc_json_append(generators, rllc_json_string(kinds[i]->name)));
    status = rllc_json_set(j, "labels", labels);
    labels = NULL;
    RLLC_TRY(status);
    status = rllc_json_set(j, "generators", generators);
    generators = NULL;
done:
    rllc_json_free(labels);
    rllc_json_free(generators);
    return status;
}

static rllc_status settings_json(const rllc_synth *s, rllc_json *j) {
    rllc_status status = RLLC_OK;
    int n;
    const rllc_synth_kind *kind = rllc_data_synth_kind(s), *const *kinds = rllc_synth_list(&n);
    const rllc_synth_settings *settings = rllc_data_synth_settings(s);
    rllc_json *options = rllc_json_object(), *part = NULL;
    RLLC_TRY(rllc_json_set(j, "kind", rllc_json_string(kind->name)));
    RLLC_TRY(rllc_options_to_json(&rllc_synth_option_table, &settings->common, &part));
    RLLC_TRY(rllc_json_set(j, "common", part));
    for (int i = 0; i < n; i++) {
        if (!kinds[i]->options || !rllc_synth_reads(kind, settings, kinds[i])) continue;
        RLLC_TRY(rllc_options_to_json(kinds[i]->options, settings->of_kind[i], &part));
        RLLC_TRY(rllc_json_set(options, kinds[i]->name, part));
    }
    status = rllc_json_set(j, "options", options);
    options = NULL;
done:
    rllc_json_free(options);
    return status;
}

static rllc_status facts_json(const rllc_synth *s, rllc_json *j) {
    rllc_status status = RLLC_OK;
    const rllc_synth_kind *kind = rllc_data_synth_kind(s);
    rllc_json *facts = rllc_json_object();
    if (kind->facts) RLLC_TRY(kind->facts(rllc_data_synth_state(s), facts));
    status = rllc_json_set(j, "facts", facts);
    facts = NULL;
done:
    rllc_json_free(facts);
    return status;
}

rllc_status rllc_synth_to_json(const rllc_synth *s, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_synth_truth truth;
    rllc_json *j = rllc_json_object(), *row = NULL;
    RLLC_TRY(settings_json(s, j));
    RLLC_TRY(facts_json(s, j));
    RLLC_TRY(rllc_json_set(j, "optimum", rllc_json_real(rllc_synth_optimum(s))));
    rllc_synth_expect(s, &truth);
    RLLC_TRY(rllc_data_synth_by_label(truth.tokens, truth.optimum, false, &row));
    RLLC_TRY(rllc_json_set(j, "row", row));
    RLLC_TRY(names_json(j));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}
