/* Flags of a command line into the structs of option tables. */
#include <ctype.h>
#include <string.h>

#include "base/options.h"

typedef struct line {
    const rllc_option_binding *bindings;
    int n_bindings;
    int argc;
    const char *const *argv;
    int at; /* the argument being read */
} line;

/* The option of this name in the first table that has it. */
static const rllc_option *find(const line *l, const char *name, void **object) {
    for (int i = 0; i < l->n_bindings; i++) {
        const rllc_option *o = rllc_base_option_find(l->bindings[i].table, name);
        if (!o) continue;
        *object = l->bindings[i].object;
        return o;
    }
    return NULL;
}

/* "-", "-5", "-.5" are values; so is anything that does not begin with "-". */
static bool is_value(const char *text) {
    if (text[0] != '-' || text[1] == '\0') return true;
    return isdigit((unsigned char)text[1]) || (text[1] == '.' && isdigit((unsigned char)text[2]));
}

static rllc_status unknown_flag(const line *l, const char *flag, const char *name) {
    const char *candidates[512];
    int n = 0;
    for (int i = 0; i < l->n_bindings; i++) {
        const rllc_option_table *t = l->bindings[i].table;
        for (int k = 0; k < t->n && n < 512; k++) candidates[n++] = t->options[k].name;
    }
    const char *near = rllc_nearest(name, candidates, n);
    if (!near) return rllc_fail(RLLC_EUSAGE, "unknown flag %.100s; see --help", flag);
    rllc_string spelled = {0};
    rllc_status status = rllc_string_add(&spelled, near);
    for (char *p = spelled.data; p && *p; p++) {
        if (*p == '_') *p = '-';
    }
    if (status == RLLC_OK) {
        status = rllc_fail(RLLC_EUSAGE, "unknown flag %.100s; did you mean --%s?", flag, rllc_string_text(&spelled));
    }
    rllc_string_release(&spelled);
    return status;
}

/* Sets an option from "=value" or the next argument; a boolean takes neither. `flag` is the flag as written. */
static rllc_status set_option(line *l, const rllc_option *o, void *object, const char *flag, const char *value) {
    if (o->type == RLLC_BOOLEAN) {
        if (!value) return rllc_base_option_set(o, object, "true", flag, RLLC_EUSAGE);
        return rllc_fail(RLLC_EUSAGE, "%s takes no value (found '%.100s'); write %s or --no-%s", flag, value, flag,
                         *flag == '-' && flag[1] == '-' ? flag + 2 : flag + 1);
    }
    if (!value) {
        bool there = l->at + 1 < l->argc && is_value(l->argv[l->at + 1]);
        if (!there) {
            rllc_string expected = {0};
            rllc_status status = rllc_base_option_expected(o, &expected);
            if (status == RLLC_OK) {
                status = rllc_fail(RLLC_EUSAGE, "%s needs a value: %s (one that begins with '-' is written %s=VALUE)",
                                   flag, rllc_string_text(&expected), flag);
            }
            rllc_string_release(&expected);
            return status;
        }
        value = l->argv[++l->at];
    }
    return rllc_base_option_set(o, object, value, flag, RLLC_EUSAGE);
}

/* --name, --name=value, --no-name */
static rllc_status long_flag(line *l, const char *argument) {
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    const char *flag = rllc_intern_printf("%.*s", (int)(length < 4096 ? length : 4096), argument);
    void *object;
    if (!flag) return rllc_fail(RLLC_ENOMEM, "no memory to read the command line");
    const rllc_option *o = find(l, flag + 2, &object);
    if (o) return set_option(l, o, object, flag, equals ? equals + 1 : NULL);
    bool negated = strncmp(flag, "--no-", 5) == 0 || strncmp(flag, "--no_", 5) == 0;
    o = negated ? find(l, flag + 5, &object) : NULL;
    if (!o) return unknown_flag(l, flag, flag + 2);
    if (o->type != RLLC_BOOLEAN) {
        return rllc_fail(RLLC_EUSAGE, "%s: only a yes-or-no option can be negated; give --%s a value", flag, flag + 5);
    }
    if (equals) return rllc_fail(RLLC_EUSAGE, "%s takes no value (found '%.100s')", flag, equals + 1);
    return rllc_base_option_set(o, object, "false", flag, RLLC_EUSAGE);
}

/* -x, -x value, -x=value: the usual letters, where the command has the option. */
static rllc_status short_flag(line *l, const char *argument) {
    static const struct {
        char letter;
        const char *name;
    } letters[] = {{'h', "help"}, {'q', "quiet"}, {'v', "verbose"}, {'o', "output"}, {'n', "dry_run"}, {'f', "force"}};
    const char flag[3] = {'-', argument[1], '\0'};
    bool form = argument[2] == '\0' || argument[2] == '=';
    for (size_t i = 0; form && i < sizeof letters / sizeof *letters; i++) {
        void *object;
        if (letters[i].letter != argument[1]) continue;
        const rllc_option *o = find(l, letters[i].name, &object);
        if (o) return set_option(l, o, object, flag, argument[2] ? argument + 3 : NULL);
    }
    return unknown_flag(l, argument, argument + 1);
}

rllc_status rllc_options_from_arguments(const rllc_option_binding *bindings, int n_bindings, int argc,
                                        const char *const *argv, const char **positionals, int *n_positionals) {
    line l = {.bindings = bindings, .n_bindings = n_bindings, .argc = argc, .argv = argv};
    bool flags = true;
    *n_positionals = 0;
    for (; l.at < argc; l.at++) {
        const char *argument = argv[l.at];
        rllc_status status = RLLC_OK;
        if (flags && strcmp(argument, "--") == 0) flags = false;
        else if (!flags || is_value(argument)) positionals[(*n_positionals)++] = argument;
        else status = argument[1] == '-' ? long_flag(&l, argument) : short_flag(&l, argument);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}
