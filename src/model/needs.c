/* Which members are computed together, and the memory that takes. */
#include "batch.h"

enum { GROUP_BYTES = 512 << 20 }; /* gradients of one group of members, all buffers together */

/** Last layer's path, then the earlier layers' from above, then the plain one; families by their heads; as called. */
static int compare(const rllc_engine *e, int64_t i, int64_t j) {
    const rllc_plan *a = e->plans[i], *b = e->plans[j];
    if (a->path != b->path) {
        if (a->path == RLLC_PATH_LAST || b->path == RLLC_PATH_LAST) return a->path == RLLC_PATH_LAST ? -1 : 1;
        return a->path == RLLC_PATH_EARLIER ? -1 : 1;
    }
    if (a->path == RLLC_PATH_PLAIN) return 0;
    if (a->start != b->start) return a->start > b->start ? -1 : 1;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    const rllc_plan_layer *p = &a->layers[a->start], *q = &b->layers[b->start];
    for (int64_t h = 0; h < p->n_heads; h++)
        if (p->heads[h] != q->heads[h]) return p->heads[h] < q->heads[h] ? -1 : 1;
    return 0;
}

/** Merges two sorted runs; stable. */
static void merge(const rllc_engine *e, const int64_t *a, int64_t n, int64_t m, int64_t *out) {
    for (int64_t i = 0, j = 0; i < n || j < m;) {
        const bool left = j == m || (i < n && compare(e, a[i], a[n + j]) <= 0);
        *out++ = left ? a[i++] : a[n + j++];
    }
}

void rllc_group_sort(rllc_engine *e, int64_t n) {
    int64_t *from = e->order, *to = e->order + e->n_members;
    for (int64_t i = 0; i < n; i++) from[i] = i;
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t i = 0; i < n; i += 2 * run) {
            const int64_t left = n - i < run ? n - i : run, right = n - i - left < run ? n - i - left : run;
            merge(e, from + i, left, right, to + i);
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    for (int64_t i = 0; i < n && from != e->order; i++) e->order[i] = from[i];
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/** Adds a member to the needs; `kin`: it belongs to the family of the member before it. */
static void add_member(rllc_needs *n, const rllc_engine *e, const rllc_plan *plan, bool gradient, bool kin) {
    if (gradient) n->gradient += plan->gradient_size;
    n->member_space += rllc_member_space(e, plan);
    n->largest = larger(n->largest, plan->component.size);
    if (plan->path == RLLC_PATH_PLAIN) return;
    if (!kin) n->family_space += rllc_entry_size(e->model, plan);
    n->folds[plan->start + 1] = true;
    if (plan->rank > n->rank) n->rank = plan->rank;
    if (plan->path == RLLC_PATH_EARLIER) n->earlier = true;
    if (plan->path == RLLC_PATH_LAST) n->last++;
}

static const rllc_plan *plan_at(const rllc_engine *e, int64_t at) {
    return e->plans[e->order[at]];
}

rllc_needs rllc_group_needs(const rllc_engine *e, const rllc_member *members, int64_t first, int64_t end) {
    rllc_needs n = {0};
    for (int64_t at = first; at < end; at++)
        add_member(&n, e, plan_at(e, at), members[e->order[at]].gradient != NULL,
                   at > first && rllc_plan_related(plan_at(e, at - 1), plan_at(e, at)));
    return n;
}

int64_t rllc_group_end(const rllc_engine *e, const rllc_member *members, int64_t first, int64_t n_members,
                       int64_t buffers) {
    int64_t end = first, gradient = 0;
    for (; end < n_members; end++) {
        gradient += members[e->order[end]].gradient ? plan_at(e, end)->gradient_size : 0;
        if (end > first && gradient * buffers * (int64_t)sizeof(float) > GROUP_BYTES) break;
    }
    return end;
}

rllc_needs rllc_needs_join(rllc_needs a, rllc_needs b) {
    rllc_needs n = {.gradient = larger(a.gradient, b.gradient),
                    .member_space = larger(a.member_space, b.member_space),
                    .family_space = larger(a.family_space, b.family_space),
                    .largest = larger(a.largest, b.largest),
                    .last = larger(a.last, b.last),
                    .rank = larger(a.rank, b.rank),
                    .earlier = a.earlier || b.earlier};
    for (int l = 0; l <= RLLC_MAX_LAYERS; l++) n.folds[l] = a.folds[l] || b.folds[l];
    return n;
}
