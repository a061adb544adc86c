/* Options of a chain, its schedule, and the list of rules. */
#include <math.h>
#include <string.h>

#include "rllc/kernels.h"
#include "samplers.h"

#define OPTION(...) RLLC_OPTION(rllc_sampler_options, __VA_ARGS__)

static const rllc_option options[] = {
    OPTION(sampler, RLLC_TEXT, "sgld", RLLC_UNBOUNDED, NULL, "", "the sampling rule"),
    OPTION(lr, RLLC_REAL, "1e-3", 0, 1e6, NULL, "", "step size epsilon"),
    OPTION(nbeta, RLLC_REAL, "30", 0, 1e12, NULL, "", "inverse temperature times n: multiplies the mean loss"),
    OPTION(localization, RLLC_REAL, "200", 0, 1e12, NULL, "", "gamma: pull towards w*, (gamma/2) |w - w*|^2"),
    OPTION(noise_level, RLLC_REAL, "1", 0, 1e6, NULL, "", "factor on the noise; 0 = deterministic descent"),
    OPTION(weight_decay, RLLC_REAL, "0", 0, 1e12, NULL, "", "pull towards 0 (llc_weight_decay)"),
    OPTION(bounding_box, RLLC_REAL, "0", 0, 1e12, NULL, "", "clamp each coordinate to w* +- this; 0 = none"),
    OPTION(num_chains, RLLC_INTEGER, "4", 1, 100000, NULL, "", "independent chains"),
    OPTION(num_draws, RLLC_INTEGER, "200", 1, 100000000, NULL, "", "recorded losses a chain"),
    OPTION(num_burnin_steps, RLLC_INTEGER, "0", 0, 100000000, NULL, "", "steps before the first draw"),
    OPTION(num_steps_bw_draws, RLLC_INTEGER, "1", 1, 1000000, NULL, "", "steps from one draw to the next"),
    OPTION(batch_size, RLLC_INTEGER, "32", 1, 1000000, NULL, "sequences", "minibatch"),
    OPTION(num_init_loss_batches, RLLC_INTEGER, "16", 1, 1000000, NULL, "", "minibatches behind the init loss"),
    OPTION(seed, RLLC_SEED, "100", RLLC_UNBOUNDED, NULL, "", "of noise and minibatches"),
};
#undef OPTION

const rllc_option_table rllc_sampler_option_table = {"sampler", "SGLD around w*", options,
                                                     sizeof options / sizeof *options};

static const rllc_sampler_kind *const kinds[] = {
#define RLLC_SAMPLER(identifier) &rllc_sampler_##identifier,
#include "samplers.def"
#undef RLLC_SAMPLER
};

const rllc_sampler_kind *const *rllc_sampler_list(int *n) {
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

const rllc_sampler_kind *rllc_sampler_find(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (name && strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}

int64_t rllc_sampler_steps(const rllc_sampler_options *o) {
    return o->num_burnin_steps + o->num_draws * o->num_steps_bw_draws;
}

int64_t rllc_sampler_draw_at(const rllc_sampler_options *o, int64_t step) {
    const int64_t after = step - o->num_burnin_steps;
    if (after < 0 || (after + 1) % o->num_steps_bw_draws) return -1;
    const int64_t draw = after / o->num_steps_bw_draws;
    return draw < o->num_draws ? draw : -1;
}

rllc_status rllc_sampler_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                              const rllc_stream *noise) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    if (!kind) return rllc_fail(RLLC_EUSAGE, "unknown sampler '%s'", o->sampler ? o->sampler : "null");
    if (!isfinite(rllc_kernels_get()->sum_squares(s->dim, gradient)))
        return rllc_fail(RLLC_ENOTFINITE, "the gradient has a NaN or an infinity");
    return kind->step(o, s, gradient, noise);
}
