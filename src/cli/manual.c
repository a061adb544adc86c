/* The manual page rllc(1) in mdoc, from commands.def and the option tables: it cannot fall behind the program. */
#include <string.h>

#include "cli/config.h"
#include "cli/frame.h"

/* Text with what roff would read as its own made harmless. */
static rllc_status add_roff(rllc_string *out, const char *text) {
    rllc_status status = RLLC_OK;
    bool begins = true;
    for (; text && *text; text++) {
        if (begins && (*text == '.' || *text == '\'')) RLLC_TRY(rllc_string_add(out, "\\&"));
        begins = *text == '\n';
        if (*text == '\\') {
            RLLC_TRY(rllc_string_add(out, "\\e"));
        } else if (*text == '-') {
            RLLC_TRY(rllc_string_add(out, "\\-"));
        } else {
            RLLC_TRY(rllc_string_add_bytes(out, text, 1));
        }
    }
done:
    return status;
}

static rllc_status add_paragraph(rllc_string *out, const char *before, const char *text, const char *after) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, before));
    RLLC_TRY(add_roff(out, text));
    RLLC_TRY(rllc_string_add(out, after));
done:
    return status;
}

/* A flag of a command, or a key of the configuration. */
static rllc_status add_option(rllc_string *out, const rllc_option *o, bool flag) {
    rllc_status status = RLLC_OK;
    static const char *const kinds[] = {"integer", "seed", "number", "", "text", ""};
    RLLC_TRY(rllc_string_add(out, flag ? ".It Fl Fl " : ".It Cm "));
    for (const char *c = o->name; *c; c++) RLLC_TRY(rllc_string_add_bytes(out, flag && *c == '_' ? "-" : c, 1));
    const char *kind = o->type == RLLC_CHOICE ? o->choices : kinds[o->type];
    if (*kind) RLLC_TRY(rllc_string_printf(out, " Ar %s", kind));
    RLLC_TRY(add_paragraph(out, "\n", o->help, ""));
    if (o->initial && *o->initial) RLLC_TRY(add_paragraph(out, " (default ", o->initial, ")"));
    RLLC_TRY(rllc_string_add(out, ".\n"));
done:
    return status;
}

static rllc_status add_table(rllc_string *out, const rllc_option_table *t, bool flags) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_paragraph(out, flags ? ".Pp\n" : "", t->summary, ":\n.Bl -tag -width Ds\n"));
    for (int i = 0; i < t->n; i++) RLLC_TRY(add_option(out, &t->options[i], flags));
    RLLC_TRY(rllc_string_add(out, ".El\n"));
done:
    return status;
}

static rllc_status add_command(rllc_string *out, const rllc_command *c) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, ".Ss %s\n", c->name));
    RLLC_TRY(add_paragraph(out, "", c->summary, ".\n"));
    RLLC_TRY(add_paragraph(out, ".Bd -literal -offset indent\n", c->usage, "\n.Ed\n"));
    if (c->examples && *c->examples) {
        RLLC_TRY(add_paragraph(out, ".Pp\nExamples:\n.Bd -literal -offset indent\n", c->examples, "\n.Ed\n"));
    }
    for (const rllc_option_table *const *t = c->tables; t && *t; t++) RLLC_TRY(add_table(out, *t, true));
done:
    return status;
}

/* The keys of rllc run's file, section by section. */
static rllc_status add_configuration(rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_run_config config = {0};
    rllc_run_corpus corpus = {.name = "NAME"};
    rllc_run_section sections[RLLC_RUN_SECTIONS + 1];
    rllc_run_sections(&config, sections);
    sections[RLLC_RUN_SECTIONS] = rllc_run_corpus_section(&corpus);
    RLLC_TRY(rllc_string_add(out, ".Sh CONFIGURATION\nThe keys of the YAML file of\n.Nm\n.Cm run ,\n"
                                  "which are also set as section.key=value on its command line.\n"));
    for (int i = 0; i <= RLLC_RUN_SECTIONS; i++) {
        RLLC_TRY(rllc_string_printf(out, ".Ss %s\n", i == 0 ? "Top level" : sections[i].name));
        for (int b = 0; b < sections[i].n; b++) RLLC_TRY(add_table(out, sections[i].bindings[b].table, false));
    }
done:
    return status;
}

rllc_status rllc_cli_manual(rllc_string *out) {
    rllc_status status = RLLC_OK;
    int n = 0;
    const rllc_command *const *commands = rllc_cli_commands(&n);
    RLLC_TRY(rllc_string_add(
        out,
        ".\\\" Made by 'rllc help --man'.\n.Dd $Mdocdate$\n.Dt RLLC 1\n.Os\n.Sh NAME\n.Nm rllc\n"
        ".Nd refined local learning coefficients of small attention-only transformers\n"
        ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op options\n"
        ".Sh DESCRIPTION\n.Nm\ntrains small attention-only transformers on real text and estimates the weight- and\n"
        "data-refined local learning coefficients of their parts over training.\n.Sh COMMANDS\n"));
    for (int i = 0; i < n; i++) RLLC_TRY(add_command(out, commands[i]));
    RLLC_TRY(rllc_string_add(out, ".Ss Options of every command\nBesides its own, each command takes these.\n"));
    RLLC_TRY(add_table(out, &rllc_common_option_table, true));
    RLLC_TRY(add_configuration(out));
    RLLC_TRY(rllc_string_add(
        out, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
             ".It Ev RLLC_THREADS\nThreads when\n.Fl Fl threads\nis 0; before\n.Ev OMP_NUM_THREADS .\n"
             ".It Ev RLLC_KERNELS\nForces a kernel table: ref, cpu\\-generic, cpu\\-avx2 or cpu\\-avx512.\n"
             ".It Ev NO_COLOR , FORCE_COLOR\nTurn colour off and on.\n.El\n"
             ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nDone.\n.It 1\nThe work failed.\n"
             ".It 2\nThe command line is not understood.\n.It 3\nBad input.\n"
             ".It 75\nStopped early with all work saved; the same command goes on.\n.El\n"));
done:
    return status;
}
