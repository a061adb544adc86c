/* text_world: the run folder of analysis_world with a tokenizer, and text in which there is something to find. */
#ifndef TESTS_MECHINTERP_TEXT_WORLD_H
#define TESTS_MECHINTERP_TEXT_WORLD_H

#include "mechinterp/analysis_world.h"

enum { T = WORLD_T, V = WORLD_V, BOS = V - 1, OPEN = 3, CLOSE = 4, STEP = 7 };

/* A tokenizer whose tokens 0 and 1 begin words and 3 and 4 are brackets, and with it text of few ids: repetitions,
 * brackets, words, two documents a row. The training split is the same text. */
static inline void text_world_open(world *w) {
    rllc_string json = {0};
    world_open(w);
    assert_ok(rllc_string_add(&json, "{\"version\":\"1.0\",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_"
                                     "space\":false},\"added_tokens\":[{\"id\":19,\"content\":\"<|endoftext|>\","
                                     "\"special\":true}],\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{"));
    for (int i = 0; i < V - 1; i++) {
        const char *text = i == OPEN    ? "("
                           : i == CLOSE ? ")"
                                        : rllc_intern_printf("%s%c", i < 2 ? "\u0120" : "", 'a' + i);
        assert_ok(rllc_string_printf(&json, "%s\"%s\":%d", i ? "," : "", text, i));
    }
    assert_ok(rllc_string_add(&json, ",\"<|endoftext|>\":19}}}"));
    FILE *f = fopen(rllc_intern_printf("%s/tokenizer.json", w->folder), "w");
    assert_non_null(f);
    fputs(rllc_string_text(&json), f);
    fclose(f);
    rllc_string_release(&json);
    const rllc_stream s = rllc_stream_make(16, "text", 0, 0);
    for (int64_t i = 0; i < WORLD_ROWS * T; i++) {
        const int32_t id = (int32_t)rllc_stream_below(&s, (uint64_t)i, 8);
        w->tokens[i] = i % T == 0 || i % T == 9 ? BOS : id >= 6 && i / T % 2 ? id - 6 + OPEN : id;
    }
    for (int r = 0; r < 4; r += 2) /* two words of four tokens */
        memcpy(w->tokens + r * T + 2, (const int32_t[]){r > 0, 5, 2, 6 + r / 2, 1}, 5 * sizeof(int32_t));
    world_write_rows(w, "analysis", w->tokens);
    world_write_rows(w, "train", w->tokens);
}

/* Step 7 is this model. */
static inline void text_world_put_model(world *w, const rllc_model *m) {
    rllc_json *j;
    rllc_string text = {0};
    const char *path = rllc_intern_printf("%s/own.safetensors", w->folder);
    assert_ok(rllc_model_save(m, NULL, path, NULL));
    assert_ok(rllc_options_to_json(&rllc_model_option_table, &m->options, &j));
    assert_ok(rllc_json_print(j, 0, true, &text));
    rllc_store_checkpoint c = {.seed = 1,
                               .step = STEP,
                               .hash = rllc_intern(rllc_model_hash(m).hex),
                               .path = path,
                               .n_layers = m->options.n_layers,
                               .n_heads = m->options.n_heads,
                               .model_json = rllc_intern(rllc_string_text(&text))};
    assert_ok(rllc_store_put_checkpoint(w->job.store, &c));
    rllc_json_free(j);
    rllc_string_release(&text);
    w->job.checkpoints = rllc_intern_printf("%d", STEP);
}

#endif
