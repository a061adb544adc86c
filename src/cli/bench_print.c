/* bench print: the tables of a preset, for people. */
#include <string.h>

#include "cli/bench_presets.h"
#include "cli/frame.h"

static void print_kind(const rllc_bench *b, const rllc_bench_kind *k, int64_t n_ctx) {
    const rllc_spread tokens = rllc_spread_rate(k->each, k->tokens);
    const double flops = k->batch * k->flops / k->each.median;
    printf("%-18s %7lld %4lld x %-4lld %10.0f  %9.0f .. %-9.0f %8.1f %5.0f%% %7.0f%% %7.1f%% %8.1f\n", k->name,
           (long long)k->members, (long long)k->rows, (long long)n_ctx, tokens.median, tokens.low, tokens.high,
           flops / 1e9, 100 * flops / b->peak, 100 * flops / b->product, 100 * k->profile.outside, k->bytes / 1e6);
}

void rllc_bench_print_plan(const rllc_bench *b, const rllc_bench_plan *p) {
    const rllc_model_options *o = &p->config.model;
    rllc_cli_end_progress();
    printf("\nPreset %s: %lld layers, width %lld, %lld heads of %lld, context %lld, vocabulary %lld%s\n", p->name,
           (long long)o->n_layers, (long long)o->d_model, (long long)o->n_heads, (long long)o->d_head,
           (long long)o->n_ctx, (long long)o->d_vocab, b->options.plain ? "; plain path" : "");
    printf("%-18s %7s %11s %10s %24s %8s %6s %8s %8s %8s\n", "pass", "members", "batch", "tokens/s",
           "lowest .. highest", "GFLOP/s", "peak", "product", "outside", "MB");
    for (int64_t i = 0; i < p->n; i++) print_kind(b, &p->kinds[i], o->n_ctx);
}

void rllc_bench_print_whole(const rllc_bench_plan *p, const rllc_bench_whole *w) {
    printf("Preset %s would take %s to train and %s to sample here", p->name, rllc_bench_duration(w->training),
           rllc_bench_duration(w->sampling));
    const char *mark = ":";
    for (int64_t i = 0; i < p->n; i++) {
        if (w->members[i] == 0) continue;
        printf("%s %s %.0f%%", mark, p->kinds[i].name, 100 * w->members[i] / w->sampling);
        mark = ",";
    }
    printf("%s base passes %.0f%%, updates %.1f%%.\n", mark, 100 * w->base / w->sampling,
           100 * w->updates / w->sampling);
}

/* ---- profile --------------------------------------------------------------------------------------------- */

static void print_share(const char *name, const rllc_bench_plan *p, double (*share)(const rllc_bench_profile *, int),
                        int slot) {
    printf("%-20s", name);
    for (int64_t i = 0; i < p->n; i++) printf(" %16.2f%%", 100 * share(&p->kinds[i].profile, slot));
    printf("\n");
}

static double share_of_slot(const rllc_bench_profile *x, int slot) {
    return x->slot[slot];
}

static double share_of_update(const rllc_bench_profile *x, int slot) {
    (void)slot;
    return x->update;
}

static double share_outside(const rllc_bench_profile *x, int slot) {
    (void)slot;
    return x->outside;
}

static double share_idle(const rllc_bench_profile *x, int slot) {
    (void)slot;
    return x->idle;
}

static double share_of_timers(const rllc_bench_profile *x, int slot) {
    (void)slot;
    return x->timers;
}

void rllc_bench_print_profile(const rllc_bench_plan *p) {
    printf("\nShare of the threads' time, %s\n%-20s", p->name, "kernel");
    for (int64_t i = 0; i < p->n; i++) printf(" %17s", p->kinds[i].name);
    printf("\n");
    for (int slot = 0; slot < RLLC_BENCH_SLOTS; slot++) {
        double calls = 0;
        for (int64_t i = 0; i < p->n; i++) calls += p->kinds[i].profile.calls[slot];
        if (calls > 0) print_share(rllc_bench_slot_name(slot), p, share_of_slot, slot);
    }
    print_share("AdamW update", p, share_of_update, 0);
    print_share("outside kernels", p, share_outside, 0);
    print_share("(off the cores)", p, share_idle, 0);
    print_share("(reading clocks)", p, share_of_timers, 0);
    printf("\n");
}
