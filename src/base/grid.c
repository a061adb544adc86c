/* Grids of steps: "0,100,200..1000:200" and "1..512:x2" become sorted unique integers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define LARGEST ((int64_t)10000000) /* values; a grid of steps has hundreds */

typedef struct list {
    int64_t *values;
    int64_t n, capacity;
} list;

static rllc_status add(list *l, int64_t value, const char *text) {
    if (l->n == LARGEST) {
        return rllc_fail(RLLC_EINPUT, "grid '%.100s': more than %lld values", text, (long long)LARGEST);
    }
    if (l->n == l->capacity) {
        int64_t more = l->capacity ? 2 * l->capacity : 64;
        rllc_status status = rllc_grow(&l->values, l->capacity, more, sizeof *l->values);
        if (status != RLLC_OK) return status;
        l->capacity = more;
    }
    l->values[l->n++] = value;
    return RLLC_OK;
}

static rllc_status refuse(const char *item, const char *text) {
    return rllc_fail(RLLC_EINPUT, "grid '%.100s': found '%.60s', expected a step such as 100, a range 0..1000:200 "
                                  "(every 200) or 1..512:x2 (doubling)", text, item);
}

static bool parse_step(const char *text, int64_t *value) {
    return rllc_base_parse_integer(text, value) == RLLC_NUMBER_OK && *value >= 0;
}

static rllc_status add_arithmetic(list *l, int64_t first, int64_t last, int64_t step, const char *text) {
    for (int64_t value = first;; value += step) {
        rllc_status status = add(l, value, text);
        if (status != RLLC_OK || last - value < step) return status;
    }
}

/* first * ratio^k, rounded; steps that round to the same integer count once. */
static rllc_status add_geometric(list *l, int64_t first, int64_t last, double ratio, const char *text) {
    double value = (double)first;
    int64_t before = -1;
    while (value < 9e15 && llround(value) <= last) {
        int64_t rounded = llround(value);
        rllc_status status = rounded == before ? RLLC_OK : add(l, rounded, text);
        if (status != RLLC_OK) return status;
        before = rounded;
        value *= ratio;
    }
    return RLLC_OK;
}

/* "a", "a..b", "a..b:s" or "a..b:xr"; `item` is cut up in place. */
static rllc_status add_item(list *l, char *item, const char *text) {
    const char *whole = rllc_intern(item); /* for the message */
    int64_t first, last, step = 1;
    double ratio;
    char *range = strstr(item, ".."), *colon = strchr(item, ':');
    if (!range) return !colon && parse_step(item, &first) ? add(l, first, text) : refuse(whole, text);
    *range = '\0';
    if (colon) *colon = '\0';
    bool numbers = !(colon && colon < range) && parse_step(item, &first) && parse_step(range + 2, &last);
    if (!numbers) return refuse(whole, text);
    if (first > last) {
        return rllc_fail(RLLC_EINPUT, "grid '%.100s': the range '%.60s' ends before it begins", text, whole);
    }
    if (!colon || colon[1] != 'x') {
        if (colon && (!parse_step(colon + 1, &step) || step == 0)) return refuse(whole, text);
        return add_arithmetic(l, first, last, step, text);
    }
    bool good = rllc_base_parse_real(colon + 2, &ratio) == RLLC_NUMBER_OK && ratio >= 1.0001 && first >= 1;
    if (good) return add_geometric(l, first, last, ratio, text);
    return rllc_fail(RLLC_EINPUT, "grid '%.100s': the range '%.60s' needs a start of at least 1 and a ratio of at "
                                  "least 1.0001", text, whole);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_unique(list *l) {
    qsort(l->values, (size_t)l->n, sizeof *l->values, by_value);
    int64_t n = 0;
    for (int64_t i = 0; i < l->n; i++) {
        if (n == 0 || l->values[i] != l->values[n - 1]) l->values[n++] = l->values[i];
    }
    l->n = n;
}

rllc_status rllc_grid_parse(const char *text, int64_t **values, int64_t *n) {
    static const char separators[] = ", \t\r\n";
    rllc_status status = RLLC_OK;
    list l = {0};
    char *rest = NULL;
    *values = NULL;
    *n = 0;
    char *copy = strdup(text);
    if (!copy) return rllc_fail(RLLC_ENOMEM, "no memory for a grid");
    for (char *item = strtok_r(copy, separators, &rest); item; item = strtok_r(NULL, separators, &rest)) {
        RLLC_TRY(add_item(&l, item, text));
    }
    if (l.n == 0) RLLC_TRY(rllc_fail(RLLC_EINPUT, "the grid is empty; give steps such as 0,100,200..1000:200"));
    sort_unique(&l);
    *values = l.values;
    *n = l.n;
    l.values = NULL;
done:
    rllc_free(l.values);
    free(copy);
    return status;
}
