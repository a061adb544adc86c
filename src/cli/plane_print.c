/* What calibrate says: a table for people, an object for programs. */
#include "cli/plane.h"

#include <math.h>

void rllc_plane_print_table(const rllc_plane *f) {
    const rllc_pilot *p = f->pilot;
    const rllc_recommendation *r = f->advice;
    const rllc_curvature *c = &p->curvature;
    printf("%s on %s at step %lld: %lld numbers move, curvatures %.3g to %.3g, |gradient|^2 %.3g, minibatch noise "
           "%.3g\n\n",
           rllc_component_label(f->component), f->corpus, (long long)f->step, (long long)c->dim, c->bottom, c->top,
           c->gradient_square, c->noise_trace);
    printf("%8s %6s %12s %9s %7s %9s %7s %7s %7s  %s\n", "lr", "nbeta", "localization", "estimate", "se", "predicted",
           "bias %", "drift %", "virial", "");
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_pilot_point *q = &p->points[i];
        const rllc_judgement *j = &r->points[i];
        printf("%8.2g %6.4g %12.4g %9.4f %7.4f %9.4f %7.1f %7.1f %7.3f  %s%s\n", q->options.lr, q->options.nbeta,
               q->options.localization, q->estimate.llc_mean, q->estimate.llc_se, q->pruned ? NAN : q->budget.expected,
               100 * j->heat, 100 * j->drift, q->virial, rllc_objection_name(j->objection),
               i == r->best ? " <- take this" : "");
    }
    if (r->best >= 0) {
        const rllc_sampler_options *o = &r->options;
        printf("\nTake --sampler %s --lr %.4g --nbeta %.4g --localization %.4g --num-chains %lld --num-draws %lld "
               "--num-burnin-steps %lld --batch-size %lld:\n",
               o->sampler, o->lr, o->nbeta, o->localization, (long long)o->num_chains, (long long)o->num_draws,
               (long long)o->num_burnin_steps, (long long)o->batch_size);
    } else {
        printf("\nNo setting of this grid can be recommended:\n");
    }
    printf("%s", rllc_string_text(&r->reasons));
}

static rllc_status point_json(const rllc_pilot_point *q, const rllc_judgement *j, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *all = rllc_json_object(), *budget = NULL;
    const struct {
        const char *key;
        double value;
    } reals[] = {{"lr", q->options.lr},
                 {"nbeta", q->options.nbeta},
                 {"localization", q->options.localization},
                 {"llc_mean", q->estimate.llc_mean},
                 {"llc_se", q->estimate.llc_se},
                 {"virial", q->virial},
                 {"predicted_virial", q->predicted_virial},
                 {"heat_capacity", q->heat_capacity},
                 {"error", j->error}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        RLLC_TRY(rllc_json_set(all, reals[i].key, rllc_json_real(reals[i].value)));
    RLLC_TRY(rllc_json_set(all, "num_diverged", rllc_json_integer(q->estimate.n_diverged)));
    RLLC_TRY(rllc_json_set(all, "objection", rllc_json_string(rllc_objection_name(j->objection))));
    RLLC_TRY(rllc_json_set(all, "sentence", rllc_json_string(j->sentence)));
    RLLC_TRY(
        rllc_json_set(all, "verdict", q->pruned ? rllc_json_null() : rllc_json_string(rllc_verdict_name(q->verdict))));
    RLLC_TRY(rllc_json_set(all, "finding", rllc_json_string(q->finding)));
    RLLC_TRY(rllc_bias_budget_to_json(&q->budget, &budget));
    status = rllc_json_set(all, "budget", budget);
    if (status != RLLC_OK) goto done;
    *out = all;
    return RLLC_OK;
done:
    rllc_json_free(all);
    return status;
}

rllc_status rllc_plane_print_json(const rllc_plane *f) {
    rllc_status status = RLLC_OK;
    const rllc_pilot *p = f->pilot;
    const rllc_recommendation *r = f->advice;
    rllc_json *j = rllc_json_object(), *list = rllc_json_array(), *part = NULL;
    RLLC_TRY(rllc_json_set(j, "component", rllc_json_string(f->component)));
    RLLC_TRY(rllc_json_set(j, "corpus", rllc_json_string(f->corpus)));
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(f->step)));
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(f->folder)));
    RLLC_TRY(rllc_curvature_to_json(&p->curvature, &part));
    RLLC_TRY(rllc_json_set(j, "curvature", part));
    for (int64_t i = 0; i < p->n; i++) {
        RLLC_TRY(point_json(&p->points[i], &r->points[i], &part));
        RLLC_TRY(rllc_json_append(list, part));
    }
    status = rllc_json_set(j, "points", list);
    list = NULL;
    if (status != RLLC_OK) goto done;
    part = rllc_json_null();
    if (r->best >= 0) RLLC_TRY(rllc_options_to_json(&rllc_sampler_option_table, &r->options, &part));
    RLLC_TRY(rllc_json_set(j, "recommendation", part));
    RLLC_TRY(rllc_json_set(j, "reasons", rllc_json_string(rllc_string_text(&r->reasons))));
    return rllc_cli_print_json("calibrate", j);
done:
    rllc_json_free(list);
    rllc_json_free(j);
    return status;
}
