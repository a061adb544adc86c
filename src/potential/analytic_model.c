/* What the models of analytic potentials share: their shape and the list of kinds. */
#include <string.h>

#include "analytic.h"

rllc_status rllc_analytic_model_shape(rllc_analytic_model *m, int64_t dim, int64_t n_blocks) {
    rllc_status status = RLLC_OK;
    m->dim = dim;
    m->n_blocks = n_blocks;
    RLLC_TRY(rllc_alloc(&m->point, dim, sizeof *m->point));
    RLLC_TRY(rllc_alloc(&m->blocks, n_blocks, sizeof *m->blocks));
done:
    return status;
}

void rllc_analytic_model_release(rllc_analytic_model *m) {
    if (m->free) m->free(m);
    rllc_free(m->point);
    rllc_free(m->blocks);
    *m = (rllc_analytic_model){0};
}

rllc_status rllc_analytic_unbounded(const rllc_sampler_options *o) {
    if (o->bounding_box == 0) return RLLC_OK;
    return rllc_fail(RLLC_EUNSUPPORTED, "no integral is known for a bounding box");
}

static const rllc_analytic_kind *const kinds[] = {
#define RLLC_ANALYTIC(identifier) &rllc_analytic_##identifier,
#include "analytic.def"
#undef RLLC_ANALYTIC
};

const rllc_analytic_kind *const *rllc_analytic_list(int *n) {
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

rllc_status rllc_analytic_find(const char *name, const rllc_analytic_kind **out) {
    const char *names[sizeof kinds / sizeof *kinds];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        names[i] = kinds[i]->name;
        *out = kinds[i];
        if (strcmp(names[i], name) == 0) return RLLC_OK;
    }
    const char *near = rllc_nearest(name, names, (int)(sizeof names / sizeof *names));
    *out = NULL;
    if (near) return rllc_fail(RLLC_EUSAGE, "there is no potential '%s'; did you mean '%s'?", name, near);
    return rllc_fail(RLLC_EUSAGE, "there is no potential '%s'; 'rllc potential --help' names them", name);
}

const char *rllc_analytic_name(const rllc_analytic_kind *kind) {
    return kind->name;
}

const char *rllc_analytic_summary(const rllc_analytic_kind *kind) {
    return kind->summary;
}

const rllc_option_table *rllc_analytic_kind_table(const rllc_analytic_kind *kind) {
    return kind->options;
}

size_t rllc_analytic_options_size(const rllc_analytic_kind *kind) {
    return kind->size;
}
