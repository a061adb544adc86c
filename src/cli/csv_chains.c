/* cli csv_chains: draws of several chains, read from a CSV file. */
#include "cli/csv_chains.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"

enum { MOST_COLUMNS = 256, LONGEST_NUMBER = 400 };

typedef struct field {
    const char *text; /* not terminated */
    size_t n;
} field;

/** One draw, as it stands in the file. */
typedef struct row {
    int64_t chain, draw, line;
    double value;
} row;

typedef struct reader {
    const rllc_csv_request *request;
    rllc_mapping map;
    const char *at, *end;
    int64_t line;
    field fields[MOST_COLUMNS];
    int n_fields, n_columns;
    int chain, draw, value, loss, baseline; /* columns; -1 = not read */
    int64_t *only, n_only;
    row *rows;
    int64_t n_rows, capacity;
} reader;

/** Bytes of the file as they can stand in a message: short, and harmless to a terminal. */
static const char *shown(field f, char buffer[48]) {
    size_t n = f.n < 40 ? f.n : 40;
    for (size_t i = 0; i < n; i++) buffer[i] = isprint((unsigned char)f.text[i]) ? f.text[i] : '?';
    memcpy(buffer + n, f.n > n ? "..." : "", f.n > n ? 4 : 1);
    return buffer;
}

static rllc_status bad_line(const reader *r, const char *what) {
    return rllc_fail(RLLC_EINPUT, "%s:%lld: %s", r->request->path, (long long)r->line, what);
}

/* ---- lines and fields -------------------------------------------------------------------------------------------- */

/** Cuts [from, to) at commas outside of double quotes; a quoted field holds no quote. */
static rllc_status cut(reader *r, const char *from, const char *to) {
    r->n_fields = 0;
    for (const char *p = from;;) {
        if (r->n_fields == MOST_COLUMNS) return bad_line(r, "more than 256 columns");
        field *const f = &r->fields[r->n_fields++];
        const bool quoted = p < to && *p == '"';
        const char *stop = quoted ? memchr(p + 1, '"', (size_t)(to - p - 1)) : memchr(p, ',', (size_t)(to - p));
        if (quoted && !stop) return bad_line(r, "a quotation mark has no end on this line");
        if (!stop) stop = to;
        *f = (field){p + quoted, (size_t)(stop - p) - quoted};
        p = stop + quoted;
        if (p == to) return RLLC_OK;
        if (*p++ != ',') return bad_line(r, "expected a comma after a field in quotation marks");
    }
}

/** The next line that is not blank; *more = false at the end of the file. */
static rllc_status next_line(reader *r, bool *more) {
    while (r->at < r->end) {
        const char *const from = r->at, *stop = memchr(from, '\n', (size_t)(r->end - from));
        if (!stop) stop = r->end;
        r->at = stop < r->end ? stop + 1 : stop;
        r->line++;
        if (stop > from && stop[-1] == '\r') stop--;
        if (stop == from) continue;
        *more = true;
        return cut(r, from, stop);
    }
    *more = false;
    return RLLC_OK;
}

static bool is_called(field f, const char *name) {
    return f.n == strlen(name) && memcmp(f.text, name, f.n) == 0;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

static rllc_status find_column(reader *r, const char *name, int *column) {
    rllc_status status = RLLC_OK;
    rllc_string names = {0};
    char buffer[48];
    *column = -1;
    for (int i = 0; i < r->n_fields; i++) {
        if (!is_called(r->fields[i], name)) continue;
        if (*column >= 0) {
            status = rllc_fail(RLLC_EINPUT, "%s:%lld: two columns are called %s", r->request->path, (long long)r->line,
                               name);
            goto done;
        }
        *column = i;
    }
    if (*column >= 0) goto done;
    for (int i = 0; i < r->n_fields && i < 12; i++)
        RLLC_TRY(rllc_string_printf(&names, "%s%s", i ? "," : "", shown(r->fields[i], buffer)));
    status = rllc_fail(RLLC_EINPUT,
                       "%s:%lld: no column %s in the header '%s'; expected chain, draw and value, or name the value "
                       "with --column, or give --nbeta for nbeta * (loss - baseline)",
                       r->request->path, (long long)r->line, name, rllc_string_text(&names));
done:
    rllc_string_release(&names);
    return status;
}

static rllc_status read_header(reader *r) {
    rllc_status status = RLLC_OK;
    bool more;
    r->value = r->loss = r->baseline = -1;
    RLLC_TRY(next_line(r, &more));
    if (!more) {
        status = rllc_fail(RLLC_EINPUT, "%s: the file is empty; expected a header with chain, draw and value",
                           r->request->path);
        goto done;
    }
    r->n_columns = r->n_fields;
    RLLC_TRY(find_column(r, "chain", &r->chain));
    RLLC_TRY(find_column(r, "draw", &r->draw));
    if (r->request->nbeta != 0) {
        RLLC_TRY(find_column(r, "loss", &r->loss));
        RLLC_TRY(find_column(r, "baseline", &r->baseline));
    } else {
        RLLC_TRY(find_column(r, r->request->column ? r->request->column : "value", &r->value));
    }
done:
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/** Also what programs write for numbers that are not finite. */
static bool read_not_finite(const char *text, double *value) {
    const char *const word = text + (*text == '-' || *text == '+');
    if (strcasecmp(word, "nan") == 0)
        *value = NAN;
    else if (strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0)
        *value = *text == '-' ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

/** Exactly one of integer, real is wanted. */
static rllc_status read_number(const reader *r, int column, const char *name, int64_t *integer, double *real) {
    char text[LONGEST_NUMBER + 1], buffer[48];
    const field f = r->fields[column];
    rllc_number_result result = RLLC_NUMBER_MALFORMED;
    if (f.n <= LONGEST_NUMBER && !memchr(f.text, '\0', f.n)) {
        memcpy(text, f.text, f.n);
        text[f.n] = '\0';
        if (integer)
            result = rllc_base_parse_integer(text, integer);
        else if (read_not_finite(text, real))
            result = RLLC_NUMBER_OK;
        else
            result = rllc_base_parse_real(text, real);
    }
    if (result == RLLC_NUMBER_OK) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "%s:%lld: column %s holds '%s', expected %s", r->request->path, (long long)r->line,
                     name, shown(f, buffer),
                     result == RLLC_NUMBER_TOO_BIG ? "a number within the range of its type"
                     : integer                     ? "an integer"
                                                   : "a number, NaN or inf");
}

static bool is_wanted(const reader *r, int64_t chain) {
    if (!r->request->only) return true;
    for (int64_t i = 0; i < r->n_only; i++)
        if (r->only[i] == chain) return true;
    return false;
}

static rllc_status read_row(reader *r) {
    rllc_status status = RLLC_OK;
    row next = {.line = r->line};
    double loss, baseline;
    if (r->n_fields != r->n_columns)
        return rllc_fail(RLLC_EINPUT, "%s:%lld: %d fields, expected the %d of the header", r->request->path,
                         (long long)r->line, r->n_fields, r->n_columns);
    RLLC_TRY(read_number(r, r->chain, "chain", &next.chain, NULL));
    RLLC_TRY(read_number(r, r->draw, "draw", &next.draw, NULL));
    if (!is_wanted(r, next.chain)) goto done;
    if (r->value >= 0) {
        RLLC_TRY(read_number(r, r->value, r->request->column ? r->request->column : "value", NULL, &next.value));
    } else {
        RLLC_TRY(read_number(r, r->loss, "loss", NULL, &loss));
        RLLC_TRY(read_number(r, r->baseline, "baseline", NULL, &baseline));
        next.value = r->request->nbeta * (loss - baseline);
    }
    if (r->n_rows == r->capacity) {
        const int64_t more = r->capacity ? 2 * r->capacity : 1024;
        RLLC_TRY(rllc_grow(&r->rows, r->capacity, more, sizeof *r->rows));
        r->capacity = more;
    }
    r->rows[r->n_rows++] = next;
done:
    return status;
}

static int by_chain_and_draw(const void *a, const void *b) {
    const row *const x = a, *const y = b;
    if (x->chain != y->chain) return x->chain < y->chain ? -1 : 1;
    if (x->draw != y->draw) return x->draw < y->draw ? -1 : 1;
    return x->line < y->line ? -1 : 1;
}

/* ---- rows to chains ---------------------------------------------------------------------------------------------- */

/** The rows [from, next) are one chain; first is the first chain of the file: the same draws, evenly spaced. */
static rllc_status check_chain(const reader *r, const row *first, int64_t n_first, const row *chain, int64_t n) {
    const char *const path = r->request->path;
    const long long name = chain->chain;
    for (int64_t i = 1; i < n; i++) {
        const row *const a = &chain[i - 1], *const b = &chain[i];
        if (a->draw == b->draw)
            return rllc_fail(RLLC_EINPUT,
                             "%s:%lld: chain %lld has draw %lld already in line %lld; expected each draw once, of one "
                             "quantity",
                             path, (long long)b->line, name, (long long)b->draw, (long long)a->line);
        /* unsigned, for differences of any two integers */
        if ((uint64_t)b->draw - (uint64_t)a->draw != (uint64_t)chain[1].draw - (uint64_t)chain[0].draw)
            return rllc_fail(RLLC_EINPUT,
                             "%s:%lld: chain %lld goes from draw %lld to %lld; expected evenly spaced draws, is a "
                             "line missing?",
                             path, (long long)b->line, name, (long long)a->draw, (long long)b->draw);
    }
    if (n != n_first)
        return rllc_fail(RLLC_EINPUT,
                         "%s: chain %lld has %lld draws, chain %lld has %lld; expected chains of one length (leave out "
                         "a chain that stopped early: --chains)",
                         path, (long long)first->chain, (long long)n_first, name, (long long)n);
    if (chain[0].draw != first[0].draw || chain[n - 1].draw != first[n - 1].draw)
        return rllc_fail(RLLC_EINPUT,
                         "%s: chain %lld has draws %lld to %lld, chain %lld has %lld to %lld; expected the same", path,
                         (long long)first->chain, (long long)first[0].draw, (long long)first[n - 1].draw, name,
                         (long long)chain[0].draw, (long long)chain[n - 1].draw);
    return RLLC_OK;
}

static rllc_status check_wanted(const reader *r, const rllc_csv_chains *c) {
    for (int64_t i = 0; i < r->n_only; i++) {
        bool found = false;
        for (int64_t k = 0; k < c->n_chains; k++) found = found || c->label[k] == r->only[i];
        if (!found)
            return rllc_fail(RLLC_ENOTFOUND, "%s: there is no chain %lld, which --chains names", r->request->path,
                             (long long)r->only[i]);
    }
    return RLLC_OK;
}

static rllc_status fill(const reader *r, rllc_csv_chains *out) {
    rllc_status status = RLLC_OK;
    int64_t n_first = 0;
    for (int64_t i = 0; i < r->n_rows; i++) out->n_chains += i == 0 || r->rows[i].chain != r->rows[i - 1].chain;
    RLLC_TRY(rllc_alloc(&out->label, out->n_chains, sizeof *out->label));
    RLLC_TRY(rllc_alloc(&out->x, r->n_rows, sizeof *out->x));
    for (int64_t from = 0, next, c = 0; from < r->n_rows; from = next, c++) {
        for (next = from; next < r->n_rows && r->rows[next].chain == r->rows[from].chain; next++)
            out->x[next] = r->rows[next].value;
        n_first = from == 0 ? next : n_first;
        RLLC_TRY(check_chain(r, r->rows, n_first, r->rows + from, next - from));
        out->label[c] = r->rows[from].chain;
    }
    out->n_draws = n_first;
    RLLC_TRY(check_wanted(r, out));
done:
    return status;
}

static rllc_status read_all(reader *r, rllc_csv_chains *out) {
    rllc_status status = RLLC_OK;
    bool more;
    RLLC_TRY(read_header(r));
    for (;;) {
        RLLC_TRY(next_line(r, &more));
        if (!more) break;
        RLLC_TRY(read_row(r));
    }
    if (r->n_rows == 0) {
        status = rllc_fail(RLLC_EINPUT, "%s: no draws%s after the header", r->request->path,
                           r->request->only ? " of the chains asked for" : "");
        goto done;
    }
    qsort(r->rows, (size_t)r->n_rows, sizeof *r->rows, by_chain_and_draw);
    RLLC_TRY(fill(r, out));
done:
    return status;
}

rllc_status rllc_csv_chains_read(const rllc_csv_request *request, rllc_csv_chains *out) {
    rllc_status status = RLLC_OK;
    static const char mark[] = "\xEF\xBB\xBF"; /* what some programs write before UTF-8 */
    reader r = {.request = request};
    *out = (rllc_csv_chains){0};
    if (request->only) RLLC_TRY(rllc_grid_parse(request->only, &r.only, &r.n_only));
    RLLC_TRY(rllc_mapping_open(&r.map, request->path));
    r.at = (const char *)r.map.data;
    r.end = r.at + r.map.size;
    if (r.map.size >= 3 && memcmp(r.at, mark, 3) == 0) r.at += 3;
    status = read_all(&r, out);
done:
    rllc_mapping_close(&r.map);
    rllc_free(r.rows);
    rllc_free(r.only);
    return status;
}

void rllc_csv_chains_release(rllc_csv_chains *c) {
    rllc_free(c->label);
    rllc_free(c->x);
    *c = (rllc_csv_chains){0};
}
