#!/usr/bin/env python3
"""Writes tests/golden/tokenizer.json: small tokenizers of Hugging Face's and what they make of awkward texts.
Needs `pip install tokenizers`.

    python3 tools/reference/tokenizer_golden.py > tests/golden/tokenizer.json

"documents" is the text that every tokenizer is trained on. Each of "tokenizers" has its file, word for word, as "file",
and in "ids" one list for each of "texts". "trained" says how: vocab_size, min_frequency, and whether only that.
"""
import json

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DOCUMENTS = [
    "A sampler walks around the weights and asks how much of the landscape is as low as the place where it began. "
    "The more room there is, the simpler the model; the less room there is, the more of its weights are in use.\n",
    "for (int i = 0; i < n; i++) {\n        sum += a[i] * b[i];\n        if (sum > limit) {\n            return i;\n"
    "        }\n    }\n    return n;\n",
    "Ein Abtaster läuft um die Gewichte herum; größere Räume heißen einfachere Modelle. Où est l'induction ? À l'étage.\n",
    "日本語の文も、한국어 문장도, русский текст тоже. 12345 67890 1000000 3.14159\n\n\n\tA    B     C      D\r\nE\r\nF\n",
    "it's they're we've I'm she'll he'd don't IT'S 'tis rock'n'roll ''quoted'' aaaaaaaaaaaaaaaa abababababab abcabcabc\n" * 2,
]
TEXTS = [
    "", " ", "  ", "   x", "x   ", "x   y", " x", "\n", "\n\n x", "\r\n\r\nx", "\t\tx\t", "a\n b\n  c\n   ",
    "it's IT'S 's 'S ''s don't they're we'll 've'd'", "The sampler walks 12 steps, 345 weights; 6789!", "x²½٣Ⅷ", "e\u0301é",
    "größere Räume", "日本語の文", "한국어 문장", "русский текст", "नमस्ते दुनिया", "👩‍👩‍👧 🦙 ok", "\u00a0x\u3000y\u2028z\u180ew\u200bv",
    "\u1c89\ua7cb\U000323af\U00016d40 Unicode 16", END, END + END, f"a{END}b {END} c", "<|endoftext", "<|endoftext|", "a<ab>b<a>c<a<ab",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ab" * 50, "abc" * 41, "-" * 100, " " * 100 + "x", "nul\x00and\x01\x7f", "        if (sum > limit) {\n            return i;\n",
]


def make(size=400, frequency=2, prefix=False, pattern=None, ignore_merges=False, added=()):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)
    t.pre_tokenizer = level
    if pattern:
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(DOCUMENTS, trainer)
    if added:
        t.add_tokens(list(added))
    return t


def main():
    kinds = {
        "plain": make(),
        "exhausted": make(size=4000, frequency=0),
        "prefix": make(size=300, prefix=True),
        "split": make(size=300, pattern=LLAMA3),
        "whole": make(size=300, ignore_merges=True),
        "added": make(size=300, added=(AddedToken("<a>", normalized=False), AddedToken("<ab>", normalized=False), "a<", "日本")),
    }
    out = {"made_by": f"tools/reference/tokenizer_golden.py, tokenizers {tokenizers.__version__}", "documents": DOCUMENTS,
           "texts": TEXTS, "tokenizers": {}}
    for name, t in kinds.items():
        ids = [t.encode(text, add_special_tokens=False).ids for text in TEXTS]
        out["tokenizers"][name] = {"file": t.to_str(pretty=True), "ids": ids}
    out["tokenizers"]["plain"]["trained"] = [400, 2]
    out["tokenizers"]["exhausted"]["trained"] = [4000, 0]
    print(json.dumps(out, ensure_ascii=True))


main()
