/* rllc corpus synth: corpora whose structure, and the best possible loss of every token, are known. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/command.h"

typedef struct corpus_options {
    const char *kind;
    bool dry_run;
} corpus_options;

static const rllc_option options[] = {
    RLLC_OPTION(corpus_options, kind, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "the generator: markov, skip, repeat, dyck, noise or mixture"),
    RLLC_OPTION(corpus_options, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "say what would be written and what is known of it, show a row; write nothing (also -n)"),
};
static const rllc_option_table table = {"synth", "which generator", options, sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table,
                                                  &rllc_synth_option_table,
                                                  &rllc_synth_markov_option_table,
                                                  &rllc_synth_skip_option_table,
                                                  &rllc_synth_repeat_option_table,
                                                  &rllc_synth_dyck_option_table,
                                                  &rllc_synth_mixture_option_table,
                                                  NULL};

/* All that the command line says. */
typedef struct request {
    rllc_common_options common;
    corpus_options o;
    rllc_synth_settings settings;
    const rllc_synth_kind *kind;
    const char *output;
} request;

/* ---- the command line -------------------------------------------------------------------------------------- */

/** Whether an argument is the flag of that option: --span-min, --span_min, --span-min=4. */
static bool is_flag(const char *argument, const char *option) {
    if (strncmp(argument, "--", 2) != 0) return false;
    for (argument += 2; *option; argument++, option++)
        if (*argument != *option && !(*argument == '-' && *option == '_')) return false;
    return *argument == '\0' || *argument == '=';
}

/** A flag of a generator that has no part in this would be an option that does nothing. */
static rllc_status refuse_foreign_flags(const request *r, int argc, const char *const *argv) {
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    for (int k = 0; k < n; k++) {
        const rllc_option_table *its = rllc_synth_kind_table(kinds[k]);
        if (!its || rllc_synth_reads(r->kind, &r->settings, kinds[k])) continue;
        for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
            for (int m = 0; m < its->n; m++)
                if (is_flag(argv[i], its->options[m].name))
                    return rllc_fail(RLLC_EUSAGE, "%s is an option of %s, which has no part in this %s corpus", argv[i],
                                     rllc_synth_name(kinds[k]), rllc_synth_name(r->kind));
    }
    return RLLC_OK;
}

static rllc_status check_action(const char *action) {
    static const char *const actions[] = {"synth"};
    if (!action) return rllc_fail(RLLC_EUSAGE, "what to do is missing; usage: %s", rllc_command_corpus.usage);
    if (strcmp(action, actions[0]) == 0) return RLLC_OK;
    const char *near = rllc_nearest(action, actions, 1);
    return rllc_fail(RLLC_EUSAGE, "there is no 'rllc corpus %s'%s%s; usage: %s", action, near ? "; did you mean " : "",
                     near ? near : "", rllc_command_corpus.usage);
}

static rllc_status check_request(request *r, const char *const *positionals, int n, int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(check_action(n > 0 ? positionals[0] : NULL));
    if (n < 2 || !r->o.kind) {
        return rllc_fail(RLLC_EUSAGE, "%s is missing; usage: %s", n < 2 ? "the folder to write" : "--kind NAME",
                         rllc_command_corpus.usage);
    }
    r->output = positionals[1];
    RLLC_TRY(rllc_synth_find(r->o.kind, &r->kind));
    RLLC_TRY(refuse_foreign_flags(r, argc, argv));
    RLLC_TRY(rllc_corpus_synth_check(r->output));
done:
    return status;
}

static rllc_status parse(request *r, int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    const char *positionals[2];
    int n = 0, n_kinds, n_bindings = 0;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n_kinds);
    rllc_option_binding *bindings = NULL;
    RLLC_TRY(rllc_synth_settings_init(&r->settings));
    RLLC_TRY(rllc_alloc(&bindings, n_kinds + 2, sizeof *bindings));
    rllc_options_default(&table, &r->o);
    bindings[n_bindings++] = (rllc_option_binding){&table, &r->o};
    bindings[n_bindings++] = (rllc_option_binding){&rllc_synth_option_table, &r->settings.common};
    for (int i = 0; i < n_kinds; i++) {
        const rllc_option_table *its = rllc_synth_kind_table(kinds[i]);
        if (its) bindings[n_bindings++] = (rllc_option_binding){its, r->settings.of_kind[i]};
    }
    RLLC_TRY(rllc_cli_options(&rllc_command_corpus, &r->common, bindings, n_bindings, argc, argv, positionals, 2, &n));
    if (!r->common.help) RLLC_TRY(check_request(r, positionals, n, argc, argv));
done:
    rllc_free(bindings);
    return status;
}

/* ---- a row to look at -------------------------------------------------------------------------------------- */

enum { SHOWN = 96 };
static const char label_letters[RLLC_LABELS + 1] = ".nsi)(f";

static rllc_status print_row(const rllc_synth *s, const rllc_synth_rows *row, int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    RLLC_TRY(rllc_tokenizer_decode(rllc_synth_tokenizer(s), row->tokens + 1, n, &text));
    printf("training row 0: %s\n        labels: ", rllc_string_text(&text));
    for (int64_t i = 1; i <= n; i++) putchar(label_letters[row->labels[i]]);
    printf("\n                ");
    for (int i = 0; i < RLLC_LABELS; i++) printf("%s%c %s", i > 0 ? ", " : "", label_letters[i], rllc_label_names[i]);
    printf("\n");
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status show_row(const rllc_synth *s, int64_t n_ctx) {
    rllc_status status = RLLC_OK;
    rllc_synth_rows row = {0};
    RLLC_TRY(rllc_alloc(&row.tokens, n_ctx, sizeof *row.tokens));
    RLLC_TRY(rllc_alloc(&row.labels, n_ctx, sizeof *row.labels));
    RLLC_TRY(rllc_alloc(&row.generators, n_ctx, sizeof *row.generators));
    RLLC_TRY(rllc_alloc(&row.optimum, n_ctx, sizeof *row.optimum));
    RLLC_TRY(rllc_synth_generate(s, RLLC_TRAIN, 0, 1, 1, &row));
    RLLC_TRY(print_row(s, &row, n_ctx - 1 < SHOWN ? n_ctx - 1 : SHOWN));
done:
    rllc_free(row.tokens);
    rllc_free(row.labels);
    rllc_free(row.generators);
    rllc_free(row.optimum);
    return status;
}

/* ---- what came of it --------------------------------------------------------------------------------------- */

static void print_number(const char *name, double value, const char *unit) {
    char text[32];
    if (isfinite(value)) printf("%-18s %s %s\n", name, rllc_format_double(text, value), unit);
}

static rllc_status print_part(void *context, const char *key, const rllc_json *value) {
    const char *marker = rllc_json_text(rllc_json_get(value, "marker"));
    (void)context;
    printf("%-18s %.4g of the segments, behind the marker %s\n", key,
           rllc_json_to_real(rllc_json_get(value, "share"), NAN), marker ? marker : "");
    return RLLC_OK;
}

static rllc_status print_fact(void *context, const char *key, const rllc_json *value) {
    if (rllc_json_is_object(value)) return rllc_json_each(value, print_part, context);
    print_number(key, rllc_json_to_real(value, NAN), "nats per token");
    return RLLC_OK;
}

static rllc_status print_known(const rllc_synth *s, int64_t n_ctx, const rllc_json *record) {
    rllc_synth_truth truth;
    const double optimum = rllc_synth_optimum(s);
    rllc_synth_expect(s, &truth);
    printf("%-18s %12s %12s\n", "in a row", "tokens", "optimum");
    for (int i = 0; i < RLLC_LABELS; i++) {
        if (truth.tokens[i] == 0) continue;
        printf("%-18s %12.4f ", rllc_label_names[i], truth.tokens[i]);
        if (isfinite(truth.optimum[i])) {
            printf("%12.6f\n", truth.optimum[i] / truth.tokens[i]);
        } else {
            printf("%12s\n", "see splits");
        }
    }
    print_number("optimum", optimum, "nats per token, expected");
    rllc_status status = rllc_json_each(rllc_json_get(record, "facts"), print_fact, NULL);
    return status == RLLC_OK ? show_row(s, n_ctx) : status;
}

static void print_splits(const request *r, const rllc_json *corpus) {
    const rllc_synth_options *o = &r->settings.common;
    const int64_t rows[RLLC_SPLITS] = {o->rows, o->validation_rows, o->sampling_rows, o->analysis_rows};
    printf("%-12s %10s %14s %12s\n", "split", "rows", "tokens", corpus ? "optimum" : "");
    for (int i = 0; i < RLLC_SPLITS; i++) {
        const rllc_json *split = rllc_json_get(rllc_json_get(corpus, "splits"), rllc_split_names[i]);
        const double optimum = rllc_json_to_real(rllc_json_get(split, "optimum"), NAN);
        printf("%-12s %10" PRId64 " %14" PRId64, rllc_split_names[i], rows[i], rows[i] * (o->n_ctx - 1));
        if (isfinite(optimum)) printf(" %12.6f", optimum);
        printf("\n");
    }
}

static rllc_status print_text(const request *r, const rllc_synth *s, const rllc_json *record, const rllc_json *corpus) {
    printf("%s: %s, %s%s\n", r->output, rllc_synth_name(r->kind), rllc_synth_summary(r->kind),
           corpus ? "" : " (nothing is written)");
    print_splits(r, corpus);
    rllc_status status = print_known(s, r->settings.common.n_ctx, record);
    if (status != RLLC_OK) return status;
    if (fflush(stdout) == EOF || ferror(stdout)) return rllc_fail(RLLC_EIO, "standard output: writing failed");
    return RLLC_OK;
}

/* record and corpus (NULL: nothing was written) are taken over. */
static rllc_status print_json(const request *r, const rllc_synth *s, rllc_json *record, rllc_json *corpus) {
    rllc_status status = RLLC_OK;
    const rllc_tokenizer *t = rllc_synth_tokenizer(s);
    rllc_json *j = rllc_json_object(), *rest = corpus ? corpus : record;
    const char *key = corpus ? "corpus" : "synth";
    if (corpus) rllc_json_free(record);
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(r->output)));
    RLLC_TRY(rllc_json_set(j, "dry_run", rllc_json_boolean(!corpus)));
    RLLC_TRY(rllc_json_set(j, "d_vocab", rllc_json_integer(rllc_tokenizer_size(t))));
    RLLC_TRY(rllc_json_set(j, "bos", rllc_json_integer(rllc_tokenizer_bos(t))));
    RLLC_TRY(rllc_json_set(j, "tokenizer_hash", rllc_json_string(rllc_tokenizer_hash(t).hex)));
    status = rllc_json_set(j, key, rest);
    rest = NULL;
    RLLC_TRY(status);
    status = rllc_cli_print_json("corpus", j);
    j = NULL;
done:
    rllc_json_free(rest);
    rllc_json_free(j);
    return status;
}

static rllc_status synth(const request *r, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    rllc_synth *s = NULL;
    rllc_json *record = NULL, *corpus = NULL;
    RLLC_TRY(rllc_synth_open(&s, r->kind, &r->settings));
    RLLC_TRY(rllc_synth_to_json(s, &record));
    if (!r->o.dry_run) {
        const char *path = rllc_intern_printf("%s/corpus.json", r->output);
        if (!path) RLLC_TRY(rllc_fail(RLLC_ENOMEM, "no memory for a path"));
        RLLC_TRY(rllc_corpus_synth(r->output, s, monitor));
        RLLC_TRY(rllc_json_load(&corpus, path));
    }
    if (r->common.json) {
        status = print_json(r, s, record, corpus);
        record = corpus = NULL;
    } else {
        status = print_text(r, s, record, corpus);
    }
done:
    rllc_json_free(record);
    rllc_json_free(corpus);
    rllc_synth_free(s);
    return status;
}

static rllc_status corpus_main(int argc, const char *const *argv) {
    request r = {0};
    rllc_status status = parse(&r, argc, argv);
    if (status == RLLC_OK && !r.common.help) status = synth(&r, rllc_cli_monitor(&r.common));
    rllc_synth_settings_release(&r.settings);
    return status;
}

const rllc_command rllc_command_corpus = {
    .name = "corpus",
    .summary = "make a synthetic corpus whose structure is known token by token",
    .usage = "rllc corpus synth FOLDER --kind NAME [options]",
    .examples = "# bigrams over 16 letters, with their entropy rate; then a model on them\n"
                "rllc corpus synth bigrams --kind markov\n"
                "rllc train --data bigrams --output run --n-layers 0 --d-model 16 --lr 0.03 --steps 300\n"
                "# look before writing: what is known of it, and a row with its labels\n"
                "rllc corpus synth trigrams --kind markov --order 2 --vocab 8 --dry-run\n"
                "# copies from three places back, one token in ten drawn at random\n"
                "rllc corpus synth copies --kind skip --lag 3 --error 0.1\n"
                "# induction: a span of noise comes again\n"
                "rllc corpus synth spans --kind repeat --span-min 16 --n-ctx 256\n"
                "# brackets of two types, at most four deep\n"
                "rllc corpus synth brackets --kind dyck --bracket-types 2 --max-depth 4\n"
                "# segments of several generators, each behind a marker; the generator of every token is recorded\n"
                "rllc corpus synth mix --kind mixture --parts markov=2,repeat,dyck --order 2 --segment 64\n",
    .tables = tables,
    .main = corpus_main};
