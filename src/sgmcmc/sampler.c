/* Options of a chain, its schedule, and the list of rules. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "rllc/kernels.h"
#include "samplers.h"

#define OPTION(...) RLLC_OPTION(rllc_sampler_options, __VA_ARGS__)

/* The fields, with the defaults that differ between the two tables. */
#define OPTIONS(lr_, nbeta_, localization_, chains_, draws_, burnin_, between_) \
    OPTION(sampler, RLLC_TEXT, "sgld", RLLC_UNBOUNDED, NULL, "", \
           "the rule: sgld, sgld-lm, rmsprop-sgld, sghmc, sgnht, mala, hmc"), \
    OPTION(lr, RLLC_REAL, lr_, 0, 1e6, NULL, "", "step size epsilon; mala, hmc: the square of the leapfrog step"), \
    OPTION(nbeta, RLLC_REAL, nbeta_, 0, 1e12, NULL, "", "inverse temperature times n: multiplies the mean loss"), \
    OPTION(localization, RLLC_REAL, localization_, 0, 1e12, NULL, "", "gamma: pull towards w*, (gamma/2) |w - w*|^2"), \
    OPTION(noise_level, RLLC_REAL, "1", 0, 1e6, NULL, "", "factor on the noise; 0 = no noise"), \
    OPTION(weight_decay, RLLC_REAL, "0", 0, 1e12, NULL, "", "pull towards 0 (llc_weight_decay)"), \
    OPTION(bounding_box, RLLC_REAL, "0", 0, 1e12, NULL, "", "keep each coordinate within w* +- this; 0 = none"), \
    OPTION(init_noise, RLLC_REAL, "0", 0, 1e6, NULL, "", "sd of the normal displacement from w* at the start"), \
    OPTION(num_chains, RLLC_INTEGER, chains_, 1, 100000, NULL, "", "independent chains"), \
    OPTION(num_draws, RLLC_INTEGER, draws_, 1, 100000000, NULL, "", "recorded losses a chain"), \
    OPTION(num_burnin_steps, RLLC_INTEGER, burnin_, 0, 100000000, NULL, "", "steps before the first draw"), \
    OPTION(num_steps_bw_draws, RLLC_INTEGER, between_, 1, 1000000, NULL, "", "steps from one draw to the next"), \
    OPTION(batch_size, RLLC_INTEGER, "32", 1, 1000000, NULL, "sequences", "minibatch"), \
    OPTION(gradient_accumulation_steps, RLLC_INTEGER, "1", 1, 1000000, NULL, "", \
           "minibatches whose mean loss makes one step"), \
    OPTION(num_init_loss_batches, RLLC_INTEGER, "16", 1, 1000000, NULL, "", "minibatches behind the init loss"), \
    OPTION(seed, RLLC_SEED, "100", RLLC_UNBOUNDED, NULL, "", "of noise and minibatches"), \
    OPTION(compat, RLLC_CHOICE, "none", RLLC_UNBOUNDED, "none,devinterp1,devinterp2", "", \
           "follow another tool's conventions, to compare with its numbers"), \
    OPTION(rmsprop_variant, RLLC_CHOICE, "devinterp", RLLC_UNBOUNDED, "devinterp,corrected", "", \
           "rmsprop-sgld: V0 = 0, no bias correction; or V0 = 1, corrected"), \
    OPTION(rmsprop_alpha, RLLC_REAL, "0.99", 0, 1, NULL, "", "rmsprop-sgld: decay of the second moment"), \
    OPTION(rmsprop_eps, RLLC_REAL, "0", 0, 1e6, NULL, "", \
           "rmsprop-sgld: added to the root; 0 = the variant's own (0.1; 1e-8)"), \
    OPTION(rmsprop_freeze, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", \
           "rmsprop-sgld: the preconditioner stands still after burn-in"), \
    OPTION(momentum_decay, RLLC_REAL, "0.1", 0, 1, NULL, "", "sghmc: share of the momentum lost a step"), \
    OPTION(diffusion_factor, RLLC_REAL, "0.01", 0, 1e6, NULL, "", "sgnht: A, the first friction and the noise"), \
    OPTION(num_leapfrog_steps, RLLC_INTEGER, "10", 1, 1000000, NULL, "", "hmc: leapfrog steps (gradients) a transition"),

/* The paper's. */
static const rllc_option options[] = {OPTIONS("1e-3", "30", "200", "4", "200", "0", "1")};
/* For a handful of coordinates, where steps cost nothing and the limit of large nbeta is what one wants to see. */
static const rllc_option target_options[] = {OPTIONS("2e-4", "1000", "1", "8", "2000", "5000", "5")};
#undef OPTIONS
#undef OPTION

const rllc_option_table rllc_sampler_option_table = {"sampler", "the sampling rule and its settings", options,
                                                     sizeof options / sizeof *options};

const rllc_option_table rllc_sampler_target_option_table = {"sampler", "the sampling rule and its settings", target_options,
                                                            sizeof target_options / sizeof *target_options};

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

static bool listed(const char *list, const char *name) {
    const size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == 0)) return true;
    return false;
}

/** What every chain reads, whatever its rule. */
#define SCHEDULE "sampler,nbeta,localization,init_noise,num_chains,num_draws,num_burnin_steps,num_steps_bw_draws," \
                 "batch_size,gradient_accumulation_steps,num_init_loss_batches,seed,compat"

static bool at_default(const rllc_option *option, const rllc_sampler_options *o, const rllc_sampler_options *initial) {
    const char *a = (const char *)o + option->offset, *b = (const char *)initial + option->offset;
    switch (option->type) {
    case RLLC_REAL: return memcmp(a, b, sizeof(double)) == 0;
    case RLLC_INTEGER: return memcmp(a, b, sizeof(int64_t)) == 0;
    case RLLC_BOOLEAN: return *(const bool *)(const void *)a == *(const bool *)(const void *)b;
    case RLLC_CHOICE: return memcmp(a, b, sizeof(int)) == 0;
    default: return true;
    }
}

rllc_status rllc_sampler_check(const rllc_sampler_options *o) {
    const char *names[sizeof kinds / sizeof *kinds];
    rllc_sampler_options initial;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) names[i] = kinds[i]->name;
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    if (!kind) {
        const char *near = rllc_nearest(o->sampler ? o->sampler : "", names, (int)(sizeof names / sizeof *names));
        return rllc_fail(RLLC_EUSAGE, "unknown sampler '%s'%s%s%s", o->sampler ? o->sampler : "",
                         near ? "; did you mean " : "", near ? near : "", near ? "?" : "; rllc sample --help names them");
    }
    rllc_options_default(&rllc_sampler_option_table, &initial);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!listed(SCHEDULE, options[i].name) && !listed(kind->reads, options[i].name) &&
            !at_default(&options[i], o, &initial))
            return rllc_fail(RLLC_EUSAGE, "the sampler %s does not read %s; leave it at its default, or choose another "
                             "sampler", kind->name, options[i].name);
    return kind->check ? kind->check(o) : RLLC_OK;
}

int64_t rllc_sampler_memory(const rllc_sampler_options *o) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    return kind ? kind->n_memory : 0;
}

int64_t rllc_sampler_evaluations(const rllc_sampler_options *o) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    return kind && kind->evaluations ? kind->evaluations(o) : 1;
}

const float *rllc_sampler_position(const rllc_sampler_options *o, const rllc_sampler_state *s) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    return kind && kind->position ? kind->position(s) : s->w;
}

int64_t rllc_sampler_steps(const rllc_sampler_options *o) {
    return o->num_burnin_steps + o->num_draws * o->num_steps_bw_draws;
}

int64_t rllc_sampler_draws(const rllc_sampler_options *o) {
    return o->compat == RLLC_COMPAT_DEVINTERP2 ? rllc_sampler_steps(o) : o->num_draws;
}

int64_t rllc_sampler_draw_at(const rllc_sampler_options *o, int64_t step) {
    if (o->compat == RLLC_COMPAT_DEVINTERP2) return step < rllc_sampler_steps(o) ? step : -1;
    const int64_t after = step - o->num_burnin_steps;
    if (after < 0 || (after + 1) % o->num_steps_bw_draws) return -1;
    const int64_t draw = after / o->num_steps_bw_draws;
    return draw < o->num_draws ? draw : -1;
}

rllc_status rllc_sampler_finite(const rllc_sampler_state *s, double loss, const float *gradient) {
    if (!isfinite(loss)) return rllc_fail(RLLC_ENOTFINITE, "the loss is %s", isnan(loss) ? "NaN" : "infinite");
    if (!isfinite(rllc_kernels_get()->sum_squares(s->dim, gradient)))
        return rllc_fail(RLLC_ENOTFINITE, "the gradient has a NaN or an infinity");
    return RLLC_OK;
}

rllc_status rllc_sampler_step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                              const rllc_stream *noise) {
    rllc_status status = RLLC_OK;
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    if (!kind) return rllc_fail(RLLC_EUSAGE, "unknown sampler '%s'", o->sampler ? o->sampler : "null");
    assert(kind->n_memory == 0 || s->memory);
    s->noise_norm = NAN;
    if (!kind->exact) RLLC_TRY(rllc_sampler_finite(s, *loss, gradient));
    RLLC_TRY(kind->step(o, s, loss, gradient, noise));
done:
    return status;
}
