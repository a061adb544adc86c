/* report: the records behind the results - corpora, configuration, machines, checkpoints, time spent. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

static rllc_status add_escaped_json(rllc_string *out, const char *summary, const char *record) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    rllc_json *j = rllc_report_parse(record);
    if (j) RLLC_TRY(rllc_json_print(j, 2, false, &text));
    RLLC_TRY(rllc_string_add(out, "<details><summary>"));
    RLLC_TRY(rllc_markup_escape(out, summary));
    RLLC_TRY(rllc_string_add(out, "</summary>\n<pre>"));
    for (const char *line = j ? rllc_string_text(&text) : record; *line;) { /* escaping turns line ends into blanks */
        size_t n = strcspn(line, "\n");
        rllc_string part = {0};
        status = rllc_string_add_bytes(&part, line, n);
        if (status == RLLC_OK) status = rllc_markup_escape(out, rllc_string_text(&part));
        rllc_string_release(&part);
        RLLC_TRY(status);
        RLLC_TRY(rllc_string_add(out, "\n"));
        line += n + (line[n] == '\n');
    }
    RLLC_TRY(rllc_string_add(out, "</pre></details>\n"));
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

/* ---- corpora --------------------------------------------------------------------------------------------- */

static const char *const splits[] = {"train", "validation", "sampling", "analysis"};

/* The record of one split, in "splits" or at the top; NULL if there is none. */
static const rllc_json *find_split(const rllc_json *record, const char *name) {
    const rllc_json *in = rllc_json_get(record, "splits");
    const rllc_json *split = rllc_json_get(rllc_json_is_object(in) ? in : record, name);
    return rllc_json_is_object(split) ? split : NULL;
}

static rllc_status add_split_row(rllc_string *out, const rllc_store_corpus *c, const char *name,
                                 const rllc_json *split) {
    static const char *const counts[] = {"documents", "bytes", "tokens", "rows"};
    rllc_status status = RLLC_OK;
    const char *hash = rllc_json_text(rllc_json_get(split, "hash"));
    if (!hash && strcmp(name, "sampling") == 0) hash = c->hash;
    RLLC_TRY(rllc_string_add(out, "<tr><td>"));
    RLLC_TRY(rllc_markup_escape(out, c->name));
    RLLC_TRY(rllc_string_printf(out, "</td><td>%s</td><td>%s</td>", c->trained_on ? "trained on" : "other", name));
    for (int i = 0; i < 4; i++) {
        const rllc_json *value = rllc_json_get(split, counts[i]);
        RLLC_TRY(rllc_string_add(out, "<td class=\"n\">"));
        RLLC_TRY(rllc_json_is_integer(value) ? rllc_report_add_count(out, rllc_json_to_integer(value, 0))
                                             : rllc_report_add_number(out, NAN, 0));
        RLLC_TRY(rllc_string_add(out, "</td>"));
    }
    RLLC_TRY(rllc_string_add(out, "<td><code>"));
    RLLC_TRY(rllc_markup_escape(out, hash));
    RLLC_TRY(rllc_string_add(out, "</code></td></tr>\n"));
done:
    return status;
}

static rllc_status add_corpus_rows(rllc_string *out, const rllc_store_corpus *c) {
    rllc_status status = RLLC_OK;
    bool any = false;
    rllc_json *j = rllc_report_parse(c->json);
    for (int i = 0; i < 4; i++) {
        const rllc_json *split = find_split(j, splits[i]);
        if (!split) continue;
        RLLC_TRY(add_split_row(out, c, splits[i], split));
        any = true;
    }
    if (!any) RLLC_TRY(add_split_row(out, c, "sampling", NULL)); /* no counts known, but the hash is */
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_report_add_corpora(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<section id=\"corpora\">\n<h2>Corpora</h2>\n"));
    if (d->n_corpora) {
        RLLC_TRY(rllc_string_add(out, "<p>Documents go to a split by a hash of their text. Estimates use the sampling "
                                      "split; rows are sequences of the context\xE2\x80\x99s length.</p>\n"
                                      "<div class=\"wide\"><table>\n<thead><tr><th>corpus</th><th>role</th>"
                                      "<th>split</th><th class=\"n\">documents</th><th class=\"n\">bytes</th>"
                                      "<th class=\"n\">tokens</th><th class=\"n\">rows</th>"
                                      "<th>content hash</th></tr></thead>\n<tbody>\n"));
        for (int64_t i = 0; i < d->n_corpora; i++) RLLC_TRY(add_corpus_rows(out, &d->corpora[i]));
        RLLC_TRY(rllc_string_add(out, "</tbody>\n</table></div>\n"));
        for (int64_t i = 0; i < d->n_corpora; i++)
            RLLC_TRY(add_escaped_json(out, rllc_intern_printf("Record of %s", d->corpora[i].name), d->corpora[i].json));
    } else {
        RLLC_TRY(rllc_string_add(out, "<p>The store knows no corpus.</p>\n"));
    }
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    return status;
}

/* ---- provenance ------------------------------------------------------------------------------------------ */

static rllc_status add_times(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    double seconds = 0.0;
    for (int64_t i = 0; i < d->n_cells; i++)
        if (isfinite(d->cells[i].seconds)) seconds += d->cells[i].seconds;
    RLLC_TRY(rllc_string_add(out, "<p>Sampling took "));
    RLLC_TRY(rllc_report_add_duration(out, seconds));
    RLLC_TRY(rllc_string_add(out, " of wall time for "));
    RLLC_TRY(rllc_report_add_count(out, d->n_cells));
    RLLC_TRY(rllc_string_add(out, d->n_cells == 1 ? " cell" : " cells"));
    RLLC_TRY(rllc_string_add(out, " (component \xC3\x97 checkpoint \xC3\x97 corpus).</p>\n"));
done:
    return status;
}

/* "Program and machine: rllc 0.1.0, commit 1a2b3c, 2 threads, some CPU": what the record tells of these. */
static const char *name_process(const char *record) {
    static const char *const keys[] = {"version", "commit", "threads", "cpu"};
    static const char *const before[] = {": rllc ", ", commit ", ", threads ", ", "};
    rllc_string name = {0}, value = {0};
    rllc_json *j = rllc_report_parse(record);
    rllc_status status = rllc_string_add(&name, "Program and machine");
    for (int i = 0; i < 4 && status == RLLC_OK; i++) {
        rllc_string_clear(&value);
        const rllc_json *found = rllc_report_find(j, keys[i]);
        if (found) status = rllc_report_add_scalar(&value, found);
        if (found && status == RLLC_OK) status = rllc_string_printf(&name, "%s%s", before[i], rllc_string_text(&value));
    }
    const char *interned = status == RLLC_OK ? rllc_intern(rllc_string_text(&name)) : NULL;
    rllc_string_release(&name);
    rllc_string_release(&value);
    rllc_json_free(j);
    return interned ? interned : "Program and machine";
}

/* The record of each process that sampled, in order of first use. */
static rllc_status add_processes(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    int64_t *seen = NULL, n = 0;
    RLLC_TRY(rllc_alloc(&seen, d->n_cells, sizeof *seen));
    for (int64_t i = 0; i < d->n_cells; i++) {
        bool known = false;
        for (int64_t k = 0; k < n && !known; k++) known = seen[k] == d->cells[i].provenance_id;
        if (known) continue;
        seen[n++] = d->cells[i].provenance_id;
        rllc_string_clear(&text);
        status = rllc_store_get_provenance(d->store, d->cells[i].provenance_id, &text);
        if (status == RLLC_ENOTFOUND) continue; /* nothing to show, nothing to fail for */
        if (status != RLLC_OK) goto done;
        RLLC_TRY(add_escaped_json(out, name_process(rllc_string_text(&text)), rllc_string_text(&text)));
    }
    status = RLLC_OK;
done:
    rllc_free(seen);
    rllc_string_release(&text);
    return status;
}

static rllc_status add_checkpoints(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    if (d->n_checkpoints == 0) return RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<details><summary>Checkpoints</summary>\n<div "
                                  "class=\"wide\"><table>\n<thead><tr><th class=\"n\">seed</th><th "
                                  "class=\"n\">step</th><th>hash of the "
                                  "weights</th><th>file</th></tr></thead>\n<tbody>\n"));
    for (int64_t i = 0; i < d->n_checkpoints; i++) {
        const rllc_store_checkpoint *c = &d->checkpoints[i];
        RLLC_TRY(rllc_string_printf(out, "<tr><td class=\"n\">%llu</td><td class=\"n\">", (unsigned long long)c->seed));
        RLLC_TRY(rllc_report_add_count(out, c->step));
        RLLC_TRY(rllc_string_add(out, "</td><td><code>"));
        RLLC_TRY(rllc_markup_escape(out, c->hash));
        RLLC_TRY(rllc_string_add(out, "</code></td><td><code>"));
        RLLC_TRY(rllc_markup_escape(out, c->path));
        RLLC_TRY(rllc_string_add(out, "</code></td></tr>\n"));
    }
    RLLC_TRY(rllc_string_add(out, "</tbody>\n</table></div></details>\n"));
done:
    return status;
}

rllc_status rllc_report_add_provenance(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string config = {0};
    RLLC_TRY(rllc_string_add(out, "<section id=\"provenance\">\n<h2>Provenance</h2>\n"));
    RLLC_TRY(add_times(out, d));
    status = rllc_store_get_meta(d->store, "config", &config);
    if (status == RLLC_OK) RLLC_TRY(add_escaped_json(out, "Configuration", rllc_string_text(&config)));
    if (status != RLLC_OK && status != RLLC_ENOTFOUND) goto done;
    RLLC_TRY(add_processes(out, d));
    RLLC_TRY(add_checkpoints(out, d));
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    rllc_string_release(&config);
    return status;
}
