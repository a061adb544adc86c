/* The options of reading, tokenizer training and packing. */
#include "rllc/data.h"

#define READER(field) offsetof(rllc_reader_options, field)
#define BPE(field) offsetof(rllc_bpe_options, field)
#define PACKING(field) offsetof(rllc_packing_options, field)
#define TABLE(name, summary, options)                                                                                  \
    { name, summary, options, (int)(sizeof options / sizeof options[0]) }
#define MOST 9.0e18 /* the largest integers of 64 bits */

static const rllc_option reader_options[] = {
    {"sources", RLLC_TEXT, READER(sources), NULL, RLLC_UNBOUNDED, NULL, "",
     "files, folders or - (standard input), joined by commas"},
    {"text_field", RLLC_TEXT, READER(text_field), NULL, RLLC_UNBOUNDED, NULL, "",
     "JSON Lines: the key of the text; else the first of text, contents, content"},
    {"where", RLLC_TEXT, READER(where), NULL, RLLC_UNBOUNDED, NULL, "",
     "JSON Lines: only documents with key.path=value; several, joined by commas, must all hold"},
    {"max_bytes", RLLC_INTEGER, READER(max_bytes), "0", 0, MOST, NULL, "bytes",
     "stop after the document that reaches this much text; 0 = no limit"},
    {"cut_bytes", RLLC_INTEGER, READER(cut_bytes), "0", 0, MOST, NULL, "bytes",
     "cut longer documents at the first line end after this many bytes; 0 = never"},
    {"max_document_bytes", RLLC_INTEGER, READER(max_document_bytes), "1073741824", 0, MOST, NULL, "bytes",
     "refuse longer documents: the bound on memory; 0 = 1 GiB"},
};
const rllc_option_table rllc_reader_option_table = TABLE("reader", "which text is read", reader_options);

static const rllc_option bpe_options[] = {
    {"vocab_size", RLLC_INTEGER, BPE(vocab_size), "5000", 257, 1 << 24, NULL, "",
     "entries in all: 256 bytes, the special token, the rest merges"},
    {"min_frequency", RLLC_INTEGER, BPE(min_frequency), "2", 0, MOST, NULL, "",
     "a merged pair occurs at least this often"},
    {"special", RLLC_TEXT, BPE(special), "<|endoftext|>", RLLC_UNBOUNDED, NULL, "",
     "the token that begins rows and separates documents"},
    {"special_last", RLLC_BOOLEAN, BPE(special_last), "true", RLLC_UNBOUNDED, NULL, "",
     "the special token has the last id (as the paper's tokenizer); else id 0"},
    {"train_bytes", RLLC_INTEGER, BPE(max_bytes), "0", 0, MOST, NULL, "bytes",
     "train the tokenizer on at most this much text; 0 = all"},
};
const rllc_option_table rllc_bpe_option_table = TABLE("tokenizer", "how a tokenizer is trained", bpe_options);

static const rllc_option packing_options[] = {
    {"n_ctx", RLLC_INTEGER, PACKING(n_ctx), "1024", 2, 1 << 24, NULL, "tokens", "tokens in a row, BOS included"},
    {"validation_fraction", RLLC_REAL, PACKING(validation_fraction), "0.05", 0, 1, NULL, "",
     "share of documents kept for validation"},
    {"sampling_fraction", RLLC_REAL, PACKING(sampling_fraction), "0.1", 0, 1, NULL, "",
     "share of documents kept for sampling"},
    {"analysis_fraction", RLLC_REAL, PACKING(analysis_fraction), "0.05", 0, 1, NULL, "",
     "share of documents kept for analysis"},
    {"split_seed", RLLC_SEED, PACKING(split_seed), "0", RLLC_UNBOUNDED, NULL, "",
     "seed of the hash that sorts documents into splits"},
    {"repeat_fraction", RLLC_REAL, PACKING(repeat_fraction), "0", 0, 1, NULL, "",
     "share of rows in which a span is copied to a later place (0 = the paper)"},
    {"repeat_seed", RLLC_SEED, PACKING(repeat_seed), "0", RLLC_UNBOUNDED, NULL, "", "seed of the copied spans"},
    {"max_tokens", RLLC_INTEGER, PACKING(max_tokens), "0", 0, MOST, NULL, "tokens",
     "stop after the document that reaches this many tokens, all splits together; 0 = no limit"},
};
const rllc_option_table rllc_packing_option_table =
    TABLE("packing", "how tokens become rows and splits", packing_options);

const char *const rllc_split_names[RLLC_SPLITS] = {"train", "validation", "sampling", "analysis"};
