/* The first stages of a run: a tokenizer, and corpora packed with it. */
#include <string.h>

#include "cli/run.h"

/* ---- tokenizer ------------------------------------------------------------------------------------------- */

/* Feeds the trainer the documents that the model will train on: what is held out is held out from here too. */
static rllc_status feed(rllc_bpe_trainer *trainer, const rllc_run *r, const rllc_run_corpus *corpus) {
    rllc_status status = RLLC_OK;
    rllc_reader *reader = NULL;
    const char *text = NULL;
    size_t n = 0;
    double done = 0, total = 0, used = 0;
    const double limit = (double)r->config.tokenizer.max_bytes;
    RLLC_TRY(rllc_reader_open(&reader, &corpus->reader));
    for (;;) {
        if (rllc_should_stop(r->monitor)) {
            status = rllc_fail(RLLC_ESTOPPED, "stopped while the tokenizer was reading; it begins again next time");
            goto done;
        }
        RLLC_TRY(rllc_reader_next(reader, &text, &n));
        if (!text || (limit > 0 && used >= limit)) break;
        if (rllc_document_split(&corpus->packing, text, n) != RLLC_TRAIN) continue;
        RLLC_TRY(rllc_bpe_trainer_add(trainer, text, n));
        used += (double)n;
        rllc_reader_position(reader, &done, &total);
        if (limit > 0) {
            rllc_report_progress(r->monitor, "tokenizer", "MB", used / 1e6, limit / 1e6, "counting");
        } else {
            rllc_report_progress(r->monitor, "tokenizer", "MB", done / 1e6, total / 1e6, "counting");
        }
    }
done:
    rllc_reader_close(reader);
    return status;
}

static rllc_status train_tokenizer(rllc_run *r) {
    rllc_status status = RLLC_OK;
    rllc_bpe_trainer *trainer = NULL;
    RLLC_TRY(rllc_bpe_trainer_new(&trainer, &r->config.tokenizer));
    RLLC_TRY(feed(trainer, r, rllc_run_config_corpus(&r->config, r->config.tokenizer_corpus)));
    RLLC_TRY(rllc_bpe_trainer_finish(trainer, r->monitor, &r->tokenizer));
    if (rllc_tokenizer_size(r->tokenizer) < r->config.tokenizer.vocab_size) {
        rllc_report_message(r->monitor,
                            "the text gives a tokenizer of %lld entries, not %lld: no more pairs occur often enough",
                            (long long)rllc_tokenizer_size(r->tokenizer), (long long)r->config.tokenizer.vocab_size);
    }
done:
    rllc_bpe_trainer_free(trainer);
    return status;
}

rllc_status rllc_run_tokenizer(rllc_run *r) {
    rllc_status status = RLLC_OK;
    const char *path = rllc_run_path(r, "tokenizer.json"), *given = r->config.tokenizer_path;
    if (rllc_run_tokenizer_is_done(r)) {
        rllc_report_message(r->monitor, "tokenizer: unchanged");
        RLLC_TRY(rllc_tokenizer_load(&r->tokenizer, path));
    } else {
        RLLC_TRY(given ? rllc_tokenizer_load(&r->tokenizer, given) : train_tokenizer(r));
        RLLC_TRY(rllc_tokenizer_save(r->tokenizer, path));
        RLLC_TRY(rllc_store_stage_done(r->store, "tokenizer", r->identity.tokenizer));
    }
    const char *remark = rllc_tokenizer_remark(r->tokenizer);
    if (remark) rllc_report_message(r->monitor, "%s", remark);
    RLLC_TRY(rllc_store_set_meta(r->store, "bos", rllc_intern_printf("%d", (int)rllc_tokenizer_bos(r->tokenizer))));
done:
    return status;
}

/* ---- corpora --------------------------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *name) {
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ", ");
        if (n == strlen(name) && strncmp(p, name, n) == 0) return true;
        p += n + strspn(p + n, ", ");
    }
    return false;
}

/* Enters the corpus into the store under the hash of its sampling rows. */
static rllc_status enter(rllc_run *r, const rllc_run_corpus *corpus) {
    rllc_status status = RLLC_OK;
    rllc_rows rows = {0};
    rllc_json *json = NULL;
    rllc_string text = {0};
    RLLC_TRY(rllc_rows_open(&rows, rllc_run_rows_path(r, corpus->name, RLLC_SAMPLING), 0));
    if (rows.rows == 0 && is_listed(r->config.sampling_corpora, corpus->name)) {
        status = rllc_fail(RLLC_EINPUT,
                           "corpora.%s: its sampling split has no full row of %lld tokens; give more text, "
                           "let cut_bytes (say 20000) cut long documents, or raise sampling_fraction",
                           corpus->name, (long long)corpus->packing.n_ctx);
        goto done;
    }
    RLLC_TRY(rllc_json_load(&json, rllc_intern_printf("%s/corpora/%s/corpus.json", r->config.output, corpus->name)));
    RLLC_TRY(rllc_json_print(json, 0, false, &text));
    rllc_store_corpus entry = {.name = corpus->name,
                               .hash = rllc_intern(rows.hash.hex),
                               .trained_on = strcmp(corpus->name, r->config.training_corpus) == 0,
                               .json = rllc_string_text(&text)};
    RLLC_TRY(rllc_store_put_corpus(r->store, &entry));
done:
    rllc_rows_close(&rows);
    rllc_json_free(json);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_run_corpora(rllc_run *r) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < r->config.n_corpora; i++) {
        const rllc_run_corpus *corpus = &r->config.corpora[i];
        if (rllc_run_corpus_is_done(r, i)) {
            rllc_report_message(r->monitor, "corpus %s: unchanged", corpus->name);
        } else {
            const char *folder = rllc_intern_printf("%s/corpora/%s", r->config.output, corpus->name);
            rllc_report_message(r->monitor, "corpus %s: %.1f MB of files", corpus->name,
                                rllc_sources_bytes(corpus->reader.sources) / 1e6);
            RLLC_TRY(rllc_make_folders(folder));
            RLLC_TRY(rllc_corpus_pack(folder, &corpus->reader, &corpus->packing, r->tokenizer, r->monitor));
        }
        RLLC_TRY(enter(r, corpus));
        RLLC_TRY(rllc_store_stage_done(r->store, rllc_run_corpus_stage(corpus), r->identity.corpora[i]));
    }
done:
    return status;
}
