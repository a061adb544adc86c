/* rllc params: tensors of a checkpoint, and what a component moves. */
#include <string.h>

#include "cli/batches.h"

typedef struct params_options {
    const char *checkpoint, *select;
} params_options;

static const rllc_option options[] = {
    RLLC_OPTION(params_options, checkpoint, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "model.safetensors, or a folder that holds it"),
    RLLC_OPTION(params_options, select, RLLC_TEXT, "full", RLLC_UNBOUNDED, NULL, "",
                "components, comma-separated: full, l0h3, heads, l0, layers, embed, a tensor's name, unions with +"),
};
static const rllc_option_table table = {"params", "what to show", options, sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

/** How many numbers of the tensor the component moves. */
static int64_t moving(const rllc_component *c, const rllc_parameter *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_ranges; i++) {
        const rllc_span r = c->ranges[i];
        const int64_t first = r.first > p->offset ? r.first : p->offset;
        const int64_t end = r.first + r.n < p->offset + p->n ? r.first + r.n : p->offset + p->n;
        if (end > first) n += end - first;
    }
    return n;
}

static const char *shape_text(const rllc_parameter *p, char text[80]) {
    int at = snprintf(text, 80, "[");
    for (int d = 0; d < p->n_dims; d++)
        at += snprintf(text + at, (size_t)(80 - at), "%s%lld", d ? ", " : "", (long long)p->shape[d]);
    (void)snprintf(text + at, (size_t)(80 - at), "]");
    return text;
}

static void print_component(const rllc_model *m, const rllc_component *c) {
    char shape[80];
    printf("%-24s %-18s %12s %12s\n", "tensor", "shape", "numbers", "moving");
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        printf("%-24s %-18s %12lld %12lld\n", p->name, shape_text(p, shape), (long long)p->n, (long long)moving(c, p));
    }
    printf("%-24s %-18s %12lld %12lld\n", "all", c->name, (long long)m->size, (long long)c->size);
}

static rllc_status tensor_json(const rllc_component *c, const rllc_parameter *p, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *shape = rllc_json_array();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "name", rllc_json_string(p->name)));
    for (int d = 0; d < p->n_dims; d++) RLLC_TRY(rllc_json_append(shape, rllc_json_integer(p->shape[d])));
    status = rllc_json_set(j, "shape", shape);
    shape = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_json_set(j, "numbers", rllc_json_integer(p->n)));
    RLLC_TRY(rllc_json_set(j, "moving", rllc_json_integer(moving(c, p))));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(shape);
    return status;
}

static rllc_status component_json(const rllc_model *m, const rllc_component *c, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *tensors = rllc_json_array(), *tensor;
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "component", rllc_json_string(c->name)));
    RLLC_TRY(rllc_json_set(j, "label", rllc_json_string(rllc_component_label(c->name))));
    RLLC_TRY(rllc_json_set(j, "moving", rllc_json_integer(c->size)));
    for (int64_t i = 0; i < m->n_parameters; i++) {
        RLLC_TRY(tensor_json(c, &m->parameters[i], &tensor));
        RLLC_TRY(rllc_json_append(tensors, tensor));
    }
    status = rllc_json_set(j, "tensors", tensors);
    tensors = NULL;
    RLLC_TRY(status);
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(tensors);
    return status;
}

/** One component: its tensors. Several: a line each. With `list` the components go there as JSON instead. */
static rllc_status show(const rllc_model *m, const char *const *names, int64_t n, rllc_json *list) {
    rllc_status status = RLLC_OK;
    rllc_component c = {0};
    rllc_json *j;
    if (!list && n > 1) printf("%-24s %-8s %12s\n", "component", "label", "moving");
    for (int64_t i = 0; i < n; i++) {
        RLLC_TRY(rllc_component_parse(&c, m, names[i]));
        if (list) {
            RLLC_TRY(component_json(m, &c, &j));
            RLLC_TRY(rllc_json_append(list, j));
        } else if (n > 1) {
            printf("%-24s %-8s %12lld\n", c.name, rllc_component_label(c.name), (long long)c.size);
        } else {
            print_component(m, &c);
        }
        rllc_component_release(&c);
    }
done:
    rllc_component_release(&c);
    return status;
}

static rllc_status print_json(const rllc_model *m, const char *const *names, int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *list = rllc_json_array(), *model = NULL;
    RLLC_TRY(show(m, names, n, list));
    RLLC_TRY(rllc_json_set(j, "checkpoint", rllc_json_string(rllc_model_hash(m).hex)));
    RLLC_TRY(rllc_options_to_json(&rllc_model_option_table, &m->options, &model));
    RLLC_TRY(rllc_json_set(j, "model", model));
    RLLC_TRY(rllc_json_set(j, "numbers", rllc_json_integer(m->size)));
    status = rllc_json_set(j, "components", list);
    list = NULL;
    RLLC_TRY(status);
    return rllc_cli_print_json("params", j);
done:
    rllc_json_free(list);
    rllc_json_free(j);
    return status;
}

static rllc_status params_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    params_options o;
    rllc_model m = {0};
    const char **names = NULL;
    int64_t n = 0;
    rllc_options_default(&table, &o);
    const rllc_option_binding bindings[] = {{&table, &o}};
    RLLC_TRY(rllc_cli_options(&rllc_command_params, &common, bindings, 1, argc, argv, NULL, 0, NULL));
    if (common.help) return RLLC_OK;
    RLLC_TRY(rllc_cli_require(&rllc_command_params, "--checkpoint", o.checkpoint));
    RLLC_TRY(rllc_model_load(&m, o.checkpoint));
    RLLC_TRY(rllc_components_expand(&m, o.select, &names, &n));
    RLLC_TRY(common.json ? print_json(&m, names, n) : show(&m, names, n, NULL));
done:
    rllc_free(names);
    rllc_model_release(&m);
    return status;
}

const rllc_command rllc_command_params = {.name = "params",
                                          .summary = "tensors of a checkpoint, and what a component moves",
                                          .usage = "rllc params --checkpoint PATH [--select COMPONENTS] [options]",
                                          .examples =
                                              "# what sampling two heads together would move\n"
                                              "rllc params --checkpoint run/checkpoints/step1000 --select l0h1+l0h4\n"
                                              "# every head, one line each\n"
                                              "rllc params --checkpoint model.safetensors --select heads\n",
                                          .tables = tables,
                                          .main = params_main};
