/* The options of reading, tokenizer training and packing. */
#include "rllc/data.h"

#define TABLE(name, summary, options)                                                                                  \
    { name, summary, options, (int)(sizeof options / sizeof options[0]) }
#define MOST 9.0e18 /* the largest integers of 64 bits */

static const rllc_option reader_options[] = {
    RLLC_OPTION(rllc_reader_options, sources, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "files, folders or - (standard input), joined by commas"),
    RLLC_OPTION(rllc_reader_options, text_field, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "JSON Lines: the key of the text; else the first of text, contents, content"),
    RLLC_OPTION(rllc_reader_options, where, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "JSON Lines: only documents with key.path=value; several, joined by commas, must all hold"),
    RLLC_OPTION(rllc_reader_options, max_bytes, RLLC_INTEGER, "0", 0, MOST, NULL, "bytes",
                "stop after the document that reaches this much text; 0 = no limit"),
    RLLC_OPTION(rllc_reader_options, cut_bytes, RLLC_INTEGER, "0", 0, MOST, NULL, "bytes",
                "cut longer documents at the first line end after this many bytes; 0 = never"),
    RLLC_OPTION(rllc_reader_options, max_document_bytes, RLLC_INTEGER, "1073741824", 0, MOST, NULL, "bytes",
                "refuse longer documents: the bound on memory; 0 = 1 GiB"),
};
const rllc_option_table rllc_reader_option_table = TABLE("reader", "which text is read", reader_options);

static const rllc_option bpe_options[] = {
    RLLC_OPTION(rllc_bpe_options, vocab_size, RLLC_INTEGER, "5000", 257, 1 << 24, NULL, "",
                "entries in all: 256 bytes, the special token, the rest merges"),
    RLLC_OPTION(rllc_bpe_options, min_frequency, RLLC_INTEGER, "2", 0, MOST, NULL, "",
                "a merged pair occurs at least this often"),
    RLLC_OPTION(rllc_bpe_options, special, RLLC_TEXT, "<|endoftext|>", RLLC_UNBOUNDED, NULL, "",
                "the token that begins rows and separates documents"),
    RLLC_OPTION(rllc_bpe_options, special_last, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "",
                "give the special token the last id, as in the paper (else id 0)"),
    {"train_bytes", RLLC_INTEGER, offsetof(rllc_bpe_options, max_bytes), "0", 0, MOST, NULL, "bytes",
     "train the tokenizer on at most this much text; 0 = all"},
};
const rllc_option_table rllc_bpe_option_table = TABLE("tokenizer", "how a tokenizer is trained", bpe_options);

static const rllc_option packing_options[] = {
    RLLC_OPTION(rllc_packing_options, n_ctx, RLLC_INTEGER, "1024", 2, 1 << 24, NULL, "tokens",
                "tokens in a row, BOS included"),
    RLLC_OPTION(rllc_packing_options, validation_fraction, RLLC_REAL, "0.05", 0, 1, NULL, "",
                "share of documents kept for validation"),
    RLLC_OPTION(rllc_packing_options, sampling_fraction, RLLC_REAL, "0.1", 0, 1, NULL, "",
                "share of documents kept for sampling"),
    RLLC_OPTION(rllc_packing_options, analysis_fraction, RLLC_REAL, "0.05", 0, 1, NULL, "",
                "share of documents kept for analysis"),
    RLLC_OPTION(rllc_packing_options, split_seed, RLLC_SEED, "0", RLLC_UNBOUNDED, NULL, "",
                "seed of the hash that sorts documents into splits"),
    RLLC_OPTION(rllc_packing_options, repeat_fraction, RLLC_REAL, "0", 0, 1, NULL, "",
                "share of rows in which a span is copied to a later place (0 = the paper)"),
    RLLC_OPTION(rllc_packing_options, repeat_seed, RLLC_SEED, "0", RLLC_UNBOUNDED, NULL, "",
                "seed of the copied spans"),
    RLLC_OPTION(rllc_packing_options, max_tokens, RLLC_INTEGER, "0", 0, MOST, NULL, "tokens",
                "stop after the document that reaches this many tokens, all splits together; 0 = no limit"),
};
const rllc_option_table rllc_packing_option_table =
    TABLE("packing", "how tokens become rows and splits", packing_options);

const char *const rllc_split_names[RLLC_SPLITS] = {"train", "validation", "sampling", "analysis"};
