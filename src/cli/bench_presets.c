/* bench presets: times a preset's kinds of pass, and prints what they come to. */
#include <string.h>

#include "cli/bench_presets.h"

/* ---- measuring ------------------------------------------------------------------------------------------- */

static rllc_status measure_kind(const rllc_bench *b, const rllc_bench_plan *p, rllc_bench_kind *k) {
    rllc_status status = RLLC_OK;
    rllc_bench_pass pass = {0};
    const rllc_bench_work work = {.shape = p->config.model,
                                  .components = k->components,
                                  .chains = k->chains,
                                  .rows = k->asked,
                                  .n_threads = b->n_threads,
                                  .plain = b->options.plain};
    RLLC_TRY(rllc_bench_pass_open_within(&pass, &work, b->options.seconds));
    RLLC_TRY(rllc_bench_time(b, &pass, 1, false, &k->each));
    RLLC_TRY(rllc_bench_profile_measure(&pass, b->options.seconds, &k->profile));
    k->rows = pass.work.rows;
    k->members = pass.n_members;
    k->batch = (double)(k->rows * p->config.model.n_ctx);
    k->tokens = rllc_bench_pass_tokens(&pass);
    k->flops = pass.flops;
    k->bytes = rllc_bench_pass_bytes(&pass);
done:
    rllc_bench_pass_close(&pass);
    return status;
}

static rllc_status add_profile(rllc_bench *b, const char *what, const rllc_bench_profile *x) {
    rllc_status status = RLLC_OK;
    for (int i = 0; i < RLLC_BENCH_SLOTS; i++) {
        if (x->calls[i] == 0) continue;
        RLLC_TRY(rllc_bench_add(&b->table, "profile", what, rllc_bench_slot_name(i), "1", rllc_bench_once(x->slot[i])));
        RLLC_TRY(rllc_bench_add(&b->table, "profile", what, rllc_intern_printf("%s calls", rllc_bench_slot_name(i)),
                                "1/call", rllc_bench_once(x->calls[i])));
    }
    if (x->update > 0)
        RLLC_TRY(rllc_bench_add(&b->table, "profile", what, "AdamW update", "1", rllc_bench_once(x->update)));
    RLLC_TRY(rllc_bench_add(&b->table, "profile", what, "outside kernels", "1", rllc_bench_once(x->outside)));
    RLLC_TRY(rllc_bench_add(&b->table, "profile", what, "off the cores", "1", rllc_bench_once(x->idle)));
    RLLC_TRY(rllc_bench_add(&b->table, "profile", what, "timers", "1", rllc_bench_once(x->timers)));
done:
    return status;
}

static rllc_status add_kind_rows(rllc_bench *b, const rllc_bench_plan *p, const rllc_bench_kind *k) {
    rllc_status status = RLLC_OK;
    rllc_bench_table *t = &b->table;
    const char *what = rllc_intern_printf("%s/%s", p->name, k->name);
    const rllc_spread flops = rllc_spread_rate(k->each, k->batch * k->flops);
    RLLC_TRY(rllc_bench_add(t, "preset", what, "members", "1", rllc_bench_once((double)k->members)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "sequences", "1", rllc_bench_once((double)k->rows)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "tokens", "1/s", rllc_spread_rate(k->each, k->tokens)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "rate", "GFLOP/s", rllc_spread_scale(flops, 1e-9)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "share of FMA peak", "1", rllc_spread_scale(flops, 1 / b->peak)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "share of product", "1", rllc_spread_scale(flops, 1 / b->product)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "outside kernels", "1", rllc_bench_once(k->profile.outside)));
    RLLC_TRY(rllc_bench_add(t, "preset", what, "memory", "MB", rllc_bench_once(k->bytes / 1e6)));
    status = add_profile(b, what, &k->profile);
done:
    return status;
}

static rllc_status add_whole_rows(rllc_bench *b, const rllc_bench_plan *p, const rllc_bench_whole *w) {
    rllc_status status = RLLC_OK;
    rllc_bench_table *t = &b->table;
    RLLC_TRY(rllc_bench_add(t, "preset", p->name, "training", "s", rllc_bench_once(w->training)));
    RLLC_TRY(rllc_bench_add(t, "preset", p->name, "sampling", "s", rllc_bench_once(w->sampling)));
    RLLC_TRY(rllc_bench_add(t, "preset", p->name, "sampling: base passes", "s", rllc_bench_once(w->base)));
    for (int64_t i = 0; i < p->n; i++)
        if (w->members[i] != 0)
            RLLC_TRY(rllc_bench_add(t, "preset", p->name, rllc_intern_printf("sampling: %s", p->kinds[i].name), "s",
                                    rllc_bench_once(w->members[i])));
    RLLC_TRY(rllc_bench_add(t, "preset", p->name, "sampling: updates", "s", rllc_bench_once(w->updates)));
done:
    return status;
}

rllc_status rllc_bench_preset(rllc_bench *b, const char *name) {
    rllc_status status = RLLC_OK;
    rllc_bench_plan p = {0};
    rllc_bench_whole whole = {0};
    RLLC_TRY(rllc_bench_plan_init(&p, name));
    for (int64_t i = 0; i < p.n; i++) {
        rllc_report_progress(b->monitor, "bench", "pass", (double)i, (double)p.n, "%s, %s", name, p.kinds[i].name);
        RLLC_TRY(measure_kind(b, &p, &p.kinds[i]));
        RLLC_TRY(add_kind_rows(b, &p, &p.kinds[i]));
    }
    rllc_report_progress(b->monitor, "bench", "pass", (double)p.n, (double)p.n, "%s", name);
    RLLC_TRY(rllc_bench_plan_whole(&p, b->n_threads, b->sgld, &whole));
    RLLC_TRY(add_whole_rows(b, &p, &whole));
    if (!b->text) goto done;
    rllc_bench_print_plan(b, &p);
    if (b->options.profile) rllc_bench_print_profile(&p);
    rllc_bench_print_whole(&p, &whole);
done:
    rllc_free(whole.members);
    rllc_bench_plan_release(&p);
    return status;
}
