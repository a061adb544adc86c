/* report: what the reader must know before the figures - the recipe, warnings, how to read the numbers. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

enum { EXAMPLES = 6 };

/* ---- the demo's recipe ----------------------------------------------------------------------------------- */

static bool sinusoidal_positions(const rllc_report_data *d, double *amplitude) {
    bool found = false;
    for (int64_t i = 0; i < d->n_checkpoints && !found; i++) {
        if (i && d->checkpoints[i].model_json == d->checkpoints[i - 1].model_json) continue; /* interned */
        rllc_json *j = rllc_report_parse(d->checkpoints[i].model_json);
        const char *init = rllc_json_text(rllc_report_find(j, "positions_init"));
        found = init && strcmp(init, "sinusoidal") == 0;
        *amplitude = rllc_json_to_real(rllc_report_find(j, "positions_amplitude"), NAN);
        rllc_json_free(j);
    }
    return found;
}

static rllc_status add_repeats(rllc_string *out, const rllc_report_data *d, bool *any) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    for (int64_t i = 0; i < d->n_corpora; i++) {
        rllc_json_free(j);
        j = rllc_report_parse(d->corpora[i].json);
        double fraction = rllc_json_to_real(rllc_report_find(j, "repeat_fraction"), 0.0);
        if (!(fraction > 0.0)) continue;
        RLLC_TRY(rllc_string_add(out, "<li>"));
        RLLC_TRY(rllc_report_add_number(out, 100.0 * fraction, 0));
        RLLC_TRY(rllc_string_add(out, "% of the rows of the corpus <b>"));
        RLLC_TRY(rllc_markup_escape(out, d->corpora[i].name));
        RLLC_TRY(rllc_string_add(out, "</b> carry a copied span of tokens (repeat_fraction); natural text does "
                                      "not.</li>\n"));
        *any = true;
    }
done:
    rllc_json_free(j);
    return status;
}

static rllc_status add_recipe(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string items = {0};
    double amplitude = NAN;
    bool any = sinusoidal_positions(d, &amplitude);
    if (any) RLLC_TRY(rllc_string_add(&items, "<li>The position table W_pos was <b>initialised with sinusoids</b>"));
    if (any && isfinite(amplitude)) {
        RLLC_TRY(rllc_string_add(&items, " of amplitude "));
        RLLC_TRY(rllc_report_add_number(&items, amplitude, amplitude == floor(amplitude) ? 0 : 2));
    }
    if (any) RLLC_TRY(rllc_string_add(&items, " and then learned; the paper\xE2\x80\x99s is random.</li>\n"));
    RLLC_TRY(add_repeats(&items, d, &any));
    if (!any) goto done;
    RLLC_TRY(rllc_string_printf(out,
                                "<div class=\"note\" id=\"recipe\">\n<p><b>A demonstration recipe, not the "
                                "paper\xE2\x80\x99s setting.</b> It makes heads differentiate within minutes on a "
                                "small machine:</p>\n<ul>\n"
                                "%s</ul>\n<p>Shapes and orderings of the curves are worth looking at; do not compare "
                                "numbers with the paper.</p>\n</div>\n",
                                rllc_string_text(&items)));
done:
    rllc_string_release(&items);
    return status;
}

/* ---- warnings -------------------------------------------------------------------------------------------- */

typedef bool (*condition)(const rllc_store_estimate *e);

static bool lost_chains(const rllc_store_estimate *e) {
    return e->n_diverged > 0;
}

static bool is_negative(const rllc_store_estimate *e) {
    return e->llc_mean < (isnan(e->llc_se) ? 0.0 : -2.0 * e->llc_se);
}

static bool without_spread(const rllc_store_estimate *e) {
    return isnan(e->llc_sd) && isfinite(e->llc_mean);
}

static int64_t count(const rllc_report_data *d, condition holds) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->curves.n_points; i++) n += holds(&d->curves.estimates[d->curves.order[i]]);
    return n;
}

/* " (chain 2: loss is NaN at draw 57)" for the first chain that diverged. */
static rllc_status add_reason(rllc_string *out, const rllc_report_data *d, const rllc_store_estimate *e) {
    for (int64_t k = 0; k < e->n_chains; k++) {
        rllc_store_chain chain;
        rllc_status status = rllc_store_get_chain(d->store, e->cell_id, k, &chain, NULL, 0, NULL);
        if (status == RLLC_ENOTFOUND || (status == RLLC_OK && !chain.diverged)) continue;
        if (status == RLLC_OK) status = rllc_string_printf(out, " (chain %lld: ", (long long)k);
        if (status == RLLC_OK) status = rllc_markup_escape(out, chain.reason);
        return status == RLLC_OK ? rllc_string_add(out, ")") : status;
    }
    return RLLC_OK;
}

static rllc_status add_examples(rllc_string *out, const rllc_report_data *d, condition holds, bool reasons) {
    const rllc_report_curves *c = &d->curves;
    rllc_status status = RLLC_OK;
    int64_t shown = 0, all = count(d, holds);
    for (int64_t s = 0; s < c->n_settings; s++)
        for (int64_t k = 0; k < c->settings[s].n_curves; k++) {
            const rllc_report_curve *curve = &c->settings[s].curves[k];
            for (int64_t i = curve->first; i < curve->first + curve->n && shown < EXAMPLES; i++) {
                const rllc_store_estimate *e = &c->estimates[c->order[i]];
                if (!holds(e)) continue;
                RLLC_TRY(rllc_string_add(out, shown++ ? "; " : " "));
                RLLC_TRY(rllc_markup_escape(out, curve->label));
                RLLC_TRY(rllc_string_add(out, " on "));
                RLLC_TRY(rllc_markup_escape(out, c->settings[s].corpus));
                RLLC_TRY(rllc_string_printf(out, " at step %.0f", c->step[i]));
                if (c->settings[0].seed != c->settings[c->n_settings - 1].seed)
                    RLLC_TRY(rllc_string_printf(out, " of seed %llu", (unsigned long long)c->settings[s].seed));
                if (reasons) RLLC_TRY(add_reason(out, d, e));
            }
        }
    if (all > shown) RLLC_TRY(rllc_string_printf(out, "; and %lld more", (long long)(all - shown)));
    RLLC_TRY(rllc_string_add(out, "."));
done:
    return status;
}

static rllc_status add_estimate_warnings(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    int64_t diverged = 0, chains = 0, n;
    for (int64_t i = 0; i < d->curves.n_points; i++) {
        diverged += d->curves.estimates[d->curves.order[i]].n_diverged;
        chains += d->curves.estimates[d->curves.order[i]].n_chains;
    }
    if (diverged) {
        RLLC_TRY(rllc_string_printf(out, "<li><b>Diverged chains: %lld of %lld</b>, left out of their estimates:",
                                    (long long)diverged, (long long)chains));
        RLLC_TRY(add_examples(out, d, lost_chains, true));
        RLLC_TRY(rllc_string_add(out, " A smaller lr or a larger localization keeps chains near w*.</li>\n"));
    }
    if ((n = count(d, is_negative)) > 0) {
        RLLC_TRY(rllc_string_printf(
            out, "<li><b>Negative estimates: %lld of %lld</b>, by more than two standard errors:", (long long)n,
            (long long)d->curves.n_points));
        RLLC_TRY(add_examples(out, d, is_negative, false));
        RLLC_TRY(rllc_string_add(out, " In these cases w* is not a minimum of that loss for that component (usual "
                                      "early in training and on data not trained on) and the chains go on learning: "
                                      "read them as drift, not as complexity.</li>\n"));
    }
    if ((n = count(d, without_spread)) > 0)
        RLLC_TRY(rllc_string_printf(out,
                                    "<li><b>Estimates without an error: %lld of %lld</b>. A single chain gives no "
                                    "standard deviation; sample with --num-chains 4.</li>\n",
                                    (long long)n, (long long)d->curves.n_points));
done:
    return status;
}

static rllc_status add_store_warnings(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    int64_t unfinished = 0, finished = 0;
    for (int64_t i = 0; i < d->n_cells; i++) unfinished += !d->cells[i].complete;
    for (int64_t i = 0; i < d->curves.n; i++) finished += d->curves.cells[i].complete;
    int64_t underived = d->n_cells - unfinished - finished;
    if (unfinished)
        RLLC_TRY(rllc_string_printf(out,
                                    "<li><b>Unfinished cells: %lld of %lld</b> (a cell is one component of one "
                                    "checkpoint on one corpus): run the same sampling command again to go on.</li>\n",
                                    (long long)unfinished, (long long)d->n_cells));
    if (underived)
        RLLC_TRY(rllc_string_printf(out,
                                    "<li><b>Finished cells without an estimate: %lld</b>. rllc estimate RUN derives "
                                    "them.</li>\n",
                                    (long long)underived));
    if (d->curves.n_replaced)
        RLLC_TRY(
            rllc_string_printf(out,
                               "<li><b>Estimates not shown: %lld</b>. They are of older weights of a step that was "
                               "trained again.</li>\n",
                               (long long)d->curves.n_replaced));
done:
    return status;
}

/* Settings with shared minibatches, and corpora measured under several settings. */
static rllc_status add_setting_warnings(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    const rllc_report_curves *c = &d->curves;
    bool shared = false, several = false;
    for (int64_t i = 0; i < c->n_settings; i++) {
        rllc_json *j = rllc_report_parse(c->settings[i].options_json);
        const char *batches = rllc_json_text(rllc_report_find(j, "batches"));
        shared = shared || (batches && (strcmp(batches, "shared") == 0 || strcmp(batches, "given") == 0));
        rllc_json_free(j);
        several = several || (i && c->settings[i].seed == c->settings[i - 1].seed &&
                              c->settings[i].corpus_id == c->settings[i - 1].corpus_id &&
                               strcmp(c->settings[i].loss_kind, c->settings[i - 1].loss_kind) == 0);
    }
    if (shared)
        RLLC_TRY(rllc_string_add(out, "<li><b>All chains saw the same minibatches</b> in some settings: the spread "
                                      "over chains then leaves out the noise of the minibatches, and errors are too "
                                      "small.</li>\n"));
    if (several)
        RLLC_TRY(rllc_string_add(out, "<li><b>A corpus was sampled under several settings</b>; they are numbered and "
                                      "kept apart, and are not comparable with each other (see Method).</li>\n"));
done:
    return status;
}

static rllc_status add_warnings(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string items = {0};
    RLLC_TRY(add_estimate_warnings(&items, d));
    RLLC_TRY(add_store_warnings(&items, d));
    RLLC_TRY(add_setting_warnings(&items, d));
    if (items.length)
        RLLC_TRY(rllc_string_printf(out,
                                    "<div class=\"note warn\" id=\"warnings\">\n<p><b>Mind "
                                    "these</b></p>\n<ul>\n%s</ul>\n"
                                    "</div>\n",
                                    items.data));
done:
    rllc_string_release(&items);
    return status;
}

/* ---- how to read this ------------------------------------------------------------------------------------ */

static const char reading[] =
    "<section id=\"reading\">\n<h2>How to read this</h2>\n"
    "<p>The <b>local learning coefficient</b> (LLC) says how complex a trained model is in the neighbourhood of its "
    "weights w*: how quickly the volume of weights with almost the same loss shrinks as \xE2\x80\x9C"
    "almost\xE2\x80\x9D is made stricter. It is high where many directions matter, as when much has been memorised, "
    "and low where a simple mechanism leaves most directions free. Refined versions ask the same of a part: the "
    "<b>wrLLC</b> moves the weights of one component only, such as one attention head; the <b>drLLC</b> takes the loss "
    "over data other than the training corpus; the <b>wdrLLC</b> does both. Heads are written layer:head, both from "
    "0.</p>\n"
    "<p>Look at how curves part from each other over training, and hold them against the attention scores: heads of "
    "one kind tend to run together. Bands and \xC2\xB1 are explained where they appear. All values depend on the "
    "sampler\xE2\x80\x99s settings (n\xCE\xB2, localization, number of draws), so compare only what was measured "
    "alike; as numbers by themselves they are not converged learning coefficients.</p>\n</section>\n";

rllc_status rllc_report_add_notes(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_recipe(out, d));
    RLLC_TRY(add_warnings(out, d));
    RLLC_TRY(rllc_string_add(out, reading));
done:
    return status;
}
