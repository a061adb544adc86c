/* "Did you mean": the candidate with the smallest edit distance. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "rllc/base.h"

#define LONGEST 96 /* longer words are not typing mistakes of ours, and bound the cost */

static int folded(char c) {
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static int smallest(int a, int b, int c) {
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment), "-" = "_", any case. */
static int distance(const char *a, int n_a, const char *b, int n_b) {
    int rows[3][LONGEST + 1];
    int *before = rows[0], *last = rows[1], *row = rows[2];
    for (int j = 0; j <= n_b; j++) last[j] = j;
    for (int i = 1; i <= n_a; i++) {
        row[0] = i;
        for (int j = 1; j <= n_b; j++) {
            int differ = folded(a[i - 1]) != folded(b[j - 1]);
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + differ);
            bool swapped = i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                           folded(a[i - 2]) == folded(b[j - 1]);
            if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
        }
        int *reused = before;
        before = last;
        last = row;
        row = reused;
    }
    return last[n_b];
}

static bool begins_with(const char *text, const char *start) {
    while (*start && folded(*text) == folded(*start)) text++, start++;
    return *start == '\0';
}

const char *rllc_nearest(const char *word, const char *const *candidates, int n) {
    size_t length = strlen(word);
    if (length == 0 || length > LONGEST) return NULL;
    int limit = length <= 4 ? 1 : length <= 7 ? 2 : 3;
    const char *best = NULL, *longer = NULL;
    for (int i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        if (other == 0 || other > LONGEST) continue;
        int d = distance(word, (int)length, candidates[i], (int)other);
        bool anything_shared = d < (int)(length > other ? length : other);
        if (d <= limit && anything_shared && (!best || d < limit)) {
            best = candidates[i];
            limit = d;
        }
        if (!longer && length >= 3 && begins_with(candidates[i], word)) longer = candidates[i];
    }
    return best ? best : longer;
}
