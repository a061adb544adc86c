/* rllc tokenize: train a tokenizer, pack text into rows of tokens. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

typedef struct tokenize_options {
    const char *output, *tokenizer;
    bool pack;
} tokenize_options;

static const rllc_option options[] = {
    RLLC_OPTION(
        tokenize_options, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "folder",
        "where train.npy, validation.npy, sampling.npy, analysis.npy, corpus.json and tokenizer.json go (also -o)"),
    RLLC_OPTION(tokenize_options, tokenizer, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "use this tokenizer; else one is trained on the training split"),
    RLLC_OPTION(tokenize_options, pack, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "",
                "pack rows; without, only the tokenizer is trained"),
};
static const rllc_option_table table = {"tokenize", "what comes from where, and goes where", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, &rllc_reader_option_table, &rllc_bpe_option_table,
                                                  &rllc_packing_option_table, NULL};

/* All that the command line says. */
typedef struct request {
    rllc_common_options common;
    tokenize_options o;
    rllc_reader_options reader;
    rllc_bpe_options bpe;
    rllc_packing_options packing;
} request;

/* ---- the command line -------------------------------------------------------------------------------------- */

/* Positional arguments are sources, too. */
static rllc_status join_sources(request *r, const char *const *positionals, int n) {
    rllc_status status = RLLC_OK;
    rllc_string all = {0};
    if (r->reader.sources) RLLC_TRY(rllc_string_add(&all, r->reader.sources));
    for (int i = 0; i < n; i++) {
        if (all.length > 0) RLLC_TRY(rllc_string_add(&all, ","));
        RLLC_TRY(rllc_string_add(&all, positionals[i]));
    }
    r->reader.sources = all.length > 0 ? rllc_intern(all.data) : NULL;
    if (all.length > 0 && !r->reader.sources) status = rllc_fail(RLLC_ENOMEM, "no memory for the sources");
done:
    rllc_string_release(&all);
    return status;
}

/* How a tokenizer is trained says nothing when none is: that would be an option that does nothing. */
static rllc_status refuse_training_options(const rllc_bpe_options *bpe) {
    rllc_status status = RLLC_OK;
    rllc_bpe_options usual;
    rllc_json *a = NULL, *b = NULL;
    rllc_string given = {0}, initial = {0};
    rllc_options_default(&rllc_bpe_option_table, &usual);
    RLLC_TRY(rllc_options_to_json(&rllc_bpe_option_table, bpe, &a));
    RLLC_TRY(rllc_options_to_json(&rllc_bpe_option_table, &usual, &b));
    RLLC_TRY(rllc_json_print(a, 0, true, &given));
    RLLC_TRY(rllc_json_print(b, 0, true, &initial));
    if (strcmp(rllc_string_text(&given), rllc_string_text(&initial)) != 0) {
        status = rllc_fail(RLLC_EUSAGE,
                           "--tokenizer names a finished one: --vocab-size, --min-frequency, --special, --special-last "
                           "and --train-bytes belong to training; leave them out, or leave out --tokenizer");
    }
done:
    rllc_json_free(a);
    rllc_json_free(b);
    rllc_string_release(&given);
    rllc_string_release(&initial);
    return status;
}

static rllc_status parse(request *r, int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    const char **positionals = NULL;
    int n = 0;
    const rllc_option_binding bindings[] = {{&table, &r->o},
                                            {&rllc_reader_option_table, &r->reader},
                                            {&rllc_bpe_option_table, &r->bpe},
                                            {&rllc_packing_option_table, &r->packing}};
    for (int i = 0; i < 4; i++) rllc_options_default(bindings[i].table, bindings[i].object);
    RLLC_TRY(rllc_alloc(&positionals, argc + 1, sizeof *positionals));
    RLLC_TRY(rllc_cli_options(&rllc_command_tokenize, &r->common, bindings, 4, argc, argv, positionals, argc, &n));
    if (r->common.help) goto done;
    RLLC_TRY(join_sources(r, positionals, n));
    if (!r->reader.sources || !r->o.output) {
        status = rllc_fail(RLLC_EUSAGE, "%s missing; usage: %s",
                           r->reader.sources ? "--output FOLDER is" : "the text is", rllc_command_tokenize.usage);
        goto done;
    }
    if (r->o.tokenizer && !r->o.pack) {
        status = rllc_fail(RLLC_EUSAGE, "--no-pack with --tokenizer leaves nothing to do");
        goto done;
    }
    if (r->o.tokenizer) RLLC_TRY(refuse_training_options(&r->bpe));
done:
    rllc_free(positionals);
    return status;
}

/* ---- standard input, which is read twice ------------------------------------------------------------------- */

static bool reads_stdin(const char *sources) {
    for (const char *at = sources; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (at[0] == '-' && (at[1] == '\0' || at[1] == ',')) return true;
    }
    return false;
}

static rllc_status copy_stdin(int file) {
    static char block[1 << 16];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, block, sizeof block);
        if (n == 0) return RLLC_OK;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rllc_fail(RLLC_EIO, "standard input: reading failed: %s", strerror(errno));
        for (ssize_t done = 0; done < n;) {
            ssize_t m = write(file, block + done, (size_t)(n - done));
            if (m < 0 && errno != EINTR)
                return rllc_fail(RLLC_EIO, "keeping a copy of standard input failed: %s", strerror(errno));
            if (m > 0) done += m;
        }
    }
}

/* A pipe is copied to a file without a name beside the output, which takes its place; *start is where text begins. */
static rllc_status make_stdin_seekable(const char *folder, off_t *start) {
    *start = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (*start >= 0) return RLLC_OK;
    char name[4096];
    int n = snprintf(name, sizeof name, "%s/.stdin.XXXXXX", folder);
    int file = n > 0 && n < (int)sizeof name ? mkstemp(name) : -1;
    if (file < 0) return rllc_fail(RLLC_EIO, "%s: no file for a copy of standard input: %s", folder, strerror(errno));
    unlink(name);
    rllc_status status = copy_stdin(file);
    if (status == RLLC_OK && (lseek(file, 0, SEEK_SET) != 0 || dup2(file, STDIN_FILENO) < 0)) {
        status = rllc_fail(RLLC_EIO, "keeping a copy of standard input failed: %s", strerror(errno));
    }
    close(file);
    *start = 0;
    return status;
}

/* ---- the work ---------------------------------------------------------------------------------------------- */

static rllc_status get_tokenizer(const request *r, const rllc_monitor *monitor, rllc_tokenizer **t) {
    rllc_status status = RLLC_OK;
    off_t start = 0;
    *t = NULL;
    if (r->o.tokenizer) {
        RLLC_TRY(rllc_tokenizer_load(t, r->o.tokenizer));
        if (rllc_tokenizer_remark(*t)) rllc_report_message(monitor, "%s", rllc_tokenizer_remark(*t));
        return RLLC_OK;
    }
    bool twice = r->o.pack && reads_stdin(r->reader.sources);
    if (twice) RLLC_TRY(make_stdin_seekable(r->o.output, &start));
    RLLC_TRY(rllc_corpus_train_tokenizer(&r->reader, &r->packing, &r->bpe, monitor, t));
    if (twice && lseek(STDIN_FILENO, start, SEEK_SET) != start) {
        status = rllc_fail(RLLC_EIO, "standard input: reading it again failed: %s", strerror(errno));
    }
done:
    if (status != RLLC_OK) {
        rllc_tokenizer_free(*t);
        *t = NULL;
    }
    return status;
}

static rllc_status print_splits(const rllc_json *splits) {
    printf("%-12s %12s %14s %14s %10s\n", "split", "documents", "bytes", "tokens", "rows");
    for (int i = 0; i < RLLC_SPLITS; i++) {
        const rllc_json *s = rllc_json_get(splits, rllc_split_names[i]);
        printf("%-12s %12" PRId64 " %14" PRId64 " %14" PRId64 " %10" PRId64 "\n", rllc_split_names[i],
               rllc_json_to_integer(rllc_json_get(s, "documents"), 0),
               rllc_json_to_integer(rllc_json_get(s, "bytes"), 0), rllc_json_to_integer(rllc_json_get(s, "tokens"), 0),
               rllc_json_to_integer(rllc_json_get(s, "rows"), 0));
    }
    if (fflush(stdout) == EOF || ferror(stdout)) return rllc_fail(RLLC_EIO, "standard output: writing failed");
    return RLLC_OK;
}

/* corpus: NULL with --no-pack; taken over. */
static rllc_status print_result(const request *r, const rllc_tokenizer *t, rllc_json *corpus) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    if (!r->common.json) {
        printf("%s: tokenizer of %" PRId64 " entries, BOS %d\n", r->o.output, rllc_tokenizer_size(t),
               rllc_tokenizer_bos(t));
        if (corpus) RLLC_TRY(print_splits(rllc_json_get(corpus, "splits")));
        goto done;
    }
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(r->o.output)));
    RLLC_TRY(rllc_json_set(j, "d_vocab", rllc_json_integer(rllc_tokenizer_size(t))));
    RLLC_TRY(rllc_json_set(j, "bos", rllc_json_integer(rllc_tokenizer_bos(t))));
    RLLC_TRY(rllc_json_set(j, "tokenizer_hash", rllc_json_string(rllc_tokenizer_hash(t).hex)));
    if (corpus) status = rllc_json_set(j, "corpus", corpus);
    corpus = NULL;
    RLLC_TRY(status);
    status = rllc_cli_print_json("tokenize", j);
    j = NULL;
done:
    rllc_json_free(corpus);
    rllc_json_free(j);
    return status;
}

static rllc_status tokenize(const request *r, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    rllc_tokenizer *t = NULL;
    rllc_json *corpus = NULL;
    const char *saved = rllc_intern_printf("%s/tokenizer.json", r->o.output);
    const char *packed = rllc_intern_printf("%s/corpus.json", r->o.output);
    if (!saved || !packed) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    RLLC_TRY(rllc_make_folders(r->o.output));
    RLLC_TRY(get_tokenizer(r, monitor, &t));
    if (r->o.pack) RLLC_TRY(rllc_corpus_pack(r->o.output, &r->reader, &r->packing, t, monitor));
    RLLC_TRY(rllc_tokenizer_save(t, saved));
    if (r->o.pack) RLLC_TRY(rllc_json_load(&corpus, packed));
    status = print_result(r, t, corpus);
done:
    rllc_tokenizer_free(t);
    return status;
}

static rllc_status tokenize_main(int argc, const char *const *argv) {
    request r;
    rllc_status status = parse(&r, argc, argv);
    if (status != RLLC_OK || r.common.help) return status;
    return tokenize(&r, rllc_cli_monitor(&r.common));
}

const rllc_command rllc_command_tokenize = {
    .name = "tokenize",
    .summary = "train a tokenizer, pack text into rows of tokens",
    .usage = "rllc tokenize SOURCE... -o FOLDER [--tokenizer PATH] [options]",
    .examples = "# train a tokenizer of 5000 entries on a folder of text, and pack the text with it\n"
                "rllc tokenize texts/ -o corpus --vocab-size 5000 --n-ctx 1024\n"
                "# another corpus with the same tokenizer: only the code of a mixture, from compressed JSON Lines\n"
                "rllc tokenize mix.jsonl.zst -o corpus-code --tokenizer corpus --where meta.pile_set_name=Github\n"
                "# from a pipe; a few long books cut into documents, so that every split gets some\n"
                "cat books/*.txt | rllc tokenize - -o corpus --cut-bytes 20000\n"
                "# only the tokenizer\n"
                "rllc tokenize texts/ -o tokenizer --no-pack\n",
    .tables = tables,
    .main = tokenize_main};
