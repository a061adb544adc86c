/* Options that are lists of numbers, and the mask. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "analytic.h"
#include "base/number.h"

/** The next piece of "a,b,c" (blanks separate too), NULL at the end; *n its length. */
static const char *next_piece(const char **at, size_t *n) {
    *at += strspn(*at, ", \t\r\n");
    if (!**at) return NULL;
    const char *piece = *at;
    *n = strcspn(piece, ", \t\r\n");
    *at += *n;
    return piece;
}

static bool parse_real(const char *piece, size_t n, double *value) {
    char text[64];
    if (n >= sizeof text) return false;
    memcpy(text, piece, n);
    text[n] = 0;
    return rllc_base_parse_real(text, value) == RLLC_NUMBER_OK && isfinite(*value);
}

rllc_status rllc_list_reals(const char *what, const char *text, double **values, int64_t *n) {
    const char *at = text ? text : "", *piece;
    size_t length;
    int64_t count = 0;
    *values = NULL;
    *n = 0;
    while (next_piece(&at, &length)) count++;
    if (count == 0) return rllc_fail(RLLC_EUSAGE, "%s: expected numbers separated by commas", what);
    const rllc_status status = rllc_alloc(values, count, sizeof **values);
    if (status != RLLC_OK) return status;
    at = text;
    while ((piece = next_piece(&at, &length)) != NULL) {
        if (parse_real(piece, length, &(*values)[(*n)++])) continue;
        rllc_free(*values);
        *values = NULL;
        return rllc_fail(RLLC_EUSAGE, "%s: '%.*s' is no number; expected numbers separated by commas", what,
                         (int)(length < 40 ? length : 40), piece);
    }
    return RLLC_OK;
}

rllc_status rllc_list_integers(const char *what, const char *text, int64_t low, int64_t high, int64_t **values,
                               int64_t *n) {
    double *reals = NULL;
    rllc_status status = RLLC_OK;
    *values = NULL;
    RLLC_TRY(rllc_list_reals(what, text, &reals, n));
    RLLC_TRY(rllc_alloc(values, *n, sizeof **values));
    for (int64_t i = 0; i < *n; i++) {
        if (reals[i] < (double)low || reals[i] > (double)high || reals[i] != floor(reals[i])) {
            status = rllc_fail(RLLC_EUSAGE, "%s: %g is not an integer from %lld to %lld", what, reals[i],
                               (long long)low, (long long)high);
            goto done;
        }
        (*values)[i] = (int64_t)reals[i];
    }
done:
    rllc_free(reals);
    if (status != RLLC_OK) {
        rllc_free(*values);
        *values = NULL;
    }
    return status;
}

rllc_status rllc_list_spread(const char *what, const char *text, int64_t dim, double *values) {
    double *given = NULL;
    int64_t n = 0;
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < dim; i++) values[i] = 0;
    if (!text) return RLLC_OK;
    RLLC_TRY(rllc_list_reals(what, text, &given, &n));
    if (n != 1 && n != dim) {
        status =
            rllc_fail(RLLC_EUSAGE, "%s has %lld numbers; expected one for all, or one for each of %lld coordinates",
                      what, (long long)n, (long long)dim);
        goto done;
    }
    for (int64_t i = 0; i < dim; i++) values[i] = given[n == 1 ? 0 : i];
done:
    rllc_free(given);
    return status;
}

/* ---- mask ------------------------------------------------------------------------------------------------------ */

static rllc_status mask_from_names(const char *text, const rllc_analytic_model *m, bool *moves) {
    const char *names[64];
    int n = 0;
    for (; n < m->n_blocks && n < 64; n++) names[n] = m->blocks[n].name;
    for (const char *at = text; *at;) {
        const size_t length = strcspn(at, "+");
        const char *name = rllc_intern_printf("%.*s", (int)length, at);
        int64_t i = 0;
        while (i < m->n_blocks && strcmp(m->blocks[i].name, name ? name : "") != 0) i++;
        if (i == m->n_blocks) {
            const char *near = rllc_nearest(name ? name : "", names, n);
            return rllc_fail(RLLC_EUSAGE, "--mask: there is no block '%s'; %s%s", name,
                             near ? "did you mean " : "the first is ", near ? near : names[0]);
        }
        for (int64_t k = 0; k < m->blocks[i].n; k++) moves[m->blocks[i].first + k] = true;
        at += length + (at[length] == '+');
    }
    return RLLC_OK;
}

/** One of "7" and "0..3". */
static rllc_status mask_range(const char *piece, size_t n, int64_t dim, bool *moves) {
    const char *dots = memchr(piece, '.', n);
    const size_t head = dots ? (size_t)(dots - piece) : n, skip = dots && head + 1 < n && dots[1] == '.' ? 2 : 0;
    double low = 0, high;
    bool good = parse_real(piece, head, &low) && (!dots || skip);
    high = low;
    if (good && dots) good = parse_real(dots + skip, n - head - skip, &high);
    if (!good || low != floor(low) || high != floor(high) || low < 0 || high < low || high >= (double)dim)
        return rllc_fail(RLLC_EUSAGE, "--mask: '%.*s': expected an index or a range like 0..3 within 0..%lld", (int)n,
                         piece, (long long)dim - 1);
    for (int64_t i = (int64_t)low; i <= (int64_t)high; i++) moves[i] = true;
    return RLLC_OK;
}

/** How many zeros and ones the list holds; 0 if anything else is in it. */
static int64_t count_bits(const char *text) {
    const char *piece;
    size_t n;
    int64_t count = 0;
    for (; (piece = next_piece(&text, &n)) != NULL; count++)
        if (n != 1 || (*piece != '0' && *piece != '1')) return 0;
    return count;
}

rllc_status rllc_list_mask(const char *text, const rllc_analytic_model *m, bool *moves) {
    const char *piece;
    size_t n;
    for (int64_t i = 0; i < m->dim; i++) moves[i] = !text;
    if (!text) return RLLC_OK;
    if (isalpha((unsigned char)*text)) return mask_from_names(text, m, moves);
    const int64_t bits = count_bits(text);
    if (bits > 1 && bits != m->dim)
        return rllc_fail(RLLC_EUSAGE,
                         "--mask has %lld zeros and ones for %lld coordinates; write indices 0 and 1 as 0..1",
                         (long long)bits, (long long)m->dim);
    if (bits == m->dim) {
        for (int64_t i = 0; (piece = next_piece(&text, &n)) != NULL; i++) moves[i] = *piece == '1';
        return RLLC_OK;
    }
    while ((piece = next_piece(&text, &n)) != NULL) {
        const rllc_status status = mask_range(piece, n, m->dim, moves);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* ---- matrix ---------------------------------------------------------------------------------------------------- */

rllc_status rllc_matrix_read(const char *path, double **values, int64_t *dim) {
    rllc_status status = RLLC_OK;
    rllc_mapping file = {0};
    rllc_string text = {0};
    int64_t n = 0, side = 0;
    *values = NULL;
    RLLC_TRY(rllc_mapping_open(&file, path));
    RLLC_TRY(rllc_string_add_bytes(&text, file.data, file.size));
    status = rllc_list_reals(path, rllc_string_text(&text), values, &n);
    if (status == RLLC_EUSAGE) status = rllc_fail(RLLC_EINPUT, "%s: expected a matrix of numbers, a row a line", path);
    if (status != RLLC_OK) goto done;
    while (side * side < n) side++;
    bool good = side * side == n;
    for (int64_t i = 0; good && i < side; i++)
        for (int64_t k = 0; k < i; k++) good = good && (*values)[i * side + k] == (*values)[k * side + i];
    if (!good) status = rllc_fail(RLLC_EINPUT, "%s: %lld numbers are no symmetric matrix", path, (long long)n);
    *dim = side;
done:
    if (status != RLLC_OK) {
        rllc_free(*values);
        *values = NULL;
    }
    rllc_string_release(&text);
    rllc_mapping_close(&file);
    return status;
}
