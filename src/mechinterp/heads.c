/* Lists of heads that are ablated together. */
#include "mechinterp/heads.h"

#include <stdlib.h>
#include <string.h>

rllc_status rllc_head_sets_single(rllc_head_sets *s, const rllc_model *m) {
    rllc_status status = RLLC_OK;
    const int64_t H = m->options.n_heads, n = m->options.n_layers * H;
    *s = (rllc_head_sets){0};
    RLLC_TRY(rllc_alloc(&s->list, n, sizeof *s->list));
    RLLC_TRY(rllc_alloc(&s->heads, n, sizeof *s->heads));
    for (int64_t i = 0; i < n; i++) {
        s->heads[i][0] = (int)(i / H);
        s->heads[i][1] = (int)(i % H);
        s->list[i] = (rllc_head_set){
            .name = rllc_intern_printf("l%dh%d", s->heads[i][0], s->heads[i][1]), .heads = (const int(*)[2])&s->heads[i], .n = 1};
    }
    s->n = n;
done:
    return status;
}

/** One head, "0:1" or "l0h1". */
static rllc_status parse_head(const char *text, size_t length, const rllc_model *m, int out[2]) {
    const char *word = rllc_intern_printf("%.*s", (int)length, text);
    int used = 0;
    if ((sscanf(word, "%d:%d%n", &out[0], &out[1], &used) == 2 && word[used] == 0) ||
        (sscanf(word, "l%dh%d%n", &out[0], &out[1], &used) == 2 && word[used] == 0))
        if (out[0] >= 0 && out[0] < m->options.n_layers && out[1] >= 0 && out[1] < m->options.n_heads) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE, "'%s' is no head of the model, whose heads are 0:0 to %lld:%lld; a set is 0:1+0:4",
                     word, (long long)m->options.n_layers - 1, (long long)m->options.n_heads - 1);
}

/** The component's name of a set: l0h1+l0h4. */
static rllc_status name_set(rllc_head_set *set) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    for (int64_t i = 0; i < set->n; i++)
        RLLC_TRY(rllc_string_printf(&text, "%sl%dh%d", i ? "+" : "", set->heads[i][0], set->heads[i][1]));
    set->name = rllc_intern(rllc_string_text(&text));
done:
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_head_sets_parse(rllc_head_sets *s, const rllc_model *m, const char *text) {
    rllc_status status = RLLC_OK;
    const int64_t most = (int64_t)strlen(text) + 1;
    int64_t heads = 0;
    *s = (rllc_head_sets){0};
    RLLC_TRY(rllc_alloc(&s->list, most, sizeof *s->list));
    RLLC_TRY(rllc_alloc(&s->heads, most, sizeof *s->heads));
    for (const char *p = text; *p;) {
        p += strspn(p, ", ");
        if (!*p) break;
        rllc_head_set *set = &s->list[s->n++];
        set->heads = (const int(*)[2])s->heads + heads;
        for (;;) {
            const size_t length = strcspn(p, "+, ");
            RLLC_TRY(parse_head(p, length, m, s->heads[heads++]));
            set->n++;
            p += length;
            if (*p != '+') break;
            p++;
        }
        RLLC_TRY(name_set(set));
    }
done:
    if (status != RLLC_OK) rllc_head_sets_release(s);
    return status;
}

void rllc_head_sets_release(rllc_head_sets *s) {
    rllc_free(s->list);
    rllc_free(s->heads);
    *s = (rllc_head_sets){0};
}
