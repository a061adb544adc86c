#!/usr/bin/env python3
"""Compares rllc's tokenizer with Hugging Face tokenizers, token for token. Needs `pip install tokenizers numpy`.

    python3 tools/fuzz/tokenizer_hf.py [--rllc build/rllc] [--tokenizer PATH]... [--text FILE]... [--cases N] [--seed N]

Three comparisons, each on random Unicode and on the lines or documents of the text files (plain, or .jsonl with a
"text"):
  lines  rllc encode against Tokenizer.encode, and rllc decode against the line itself
  rows   rllc tokenize (documents with line breaks, packed) against the documents encoded and joined
  train  rllc tokenize --no-pack against BpeTrainer: the same tokenizer.json, byte for byte
Without --tokenizer, tokenizers are trained on the text: plain, with a prefix space, with added tokens, with
ignore_merges, and with the Split patterns of cl100k and Llama 3. Prints what was compared; exit status 1 if anything differs.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]|\s+(?!\S)|\s+")
SPACES = " \t\r\x0b\x0c\x85\xa0\u1680\u180e\u2000\u2003\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\x1c\x1f\x00"
PIECES = ["'s", "'S", "'ll", "'re", "'", "''", "n't", " 's", "ſ", "İ", "½", "٣", "Ⅷ", "e\u0301", "👩‍👩‍👧", "🦙", "한국어", "日本語",
          "नमस्ते", "العربية", "<|", "|>", END, END[:-1], "<|endoftext", "x" * 70, "ab" * 100, "<a>", "<ab>", "<b", "1234567"]


def hugging_face(text, size, special=END, prefix=False, pattern=None, frequency=2, ignore_merges=False):
    """A byte-level BPE tokenizer of Hugging Face's, trained on the documents."""
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)
    t.pre_tokenizer = level
    if pattern:
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=[special],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(text, trainer)
    return t


def random_line(rng, newlines):
    out = []
    for _ in range(rng.randrange(1, 30)):
        kind = rng.randrange(9)
        n = rng.randrange(1, 8)
        if kind == 0:
            out.append("".join(chr(rng.randrange(32, 127)) for _ in range(n)))
        elif kind == 1:
            out.append(rng.choice(SPACES) * n)
        elif kind == 2:
            out.append("".join(rng.choice(SPACES) for _ in range(n)))
        elif kind == 3:
            out.append(rng.choice(PIECES))
        elif kind == 4:
            begin = rng.choice([0x80, 0x370, 0x5D0, 0x900, 0x3040, 0x4E00, 0xAC00, 0x1F300, 0x10C80, 0x1E900])
            out.append("".join(chr(begin + rng.randrange(0x80)) for _ in range(n)))
        elif kind == 5:
            c = rng.randrange(0x110000)
            out.append("" if 0xD800 <= c < 0xE000 else chr(c))
        elif kind == 6:
            out.append(rng.choice(["\n", "\n\n", " \n", "\r\n", "\n  "]) if newlines else " ")
        elif kind == 7:
            out.append(rng.choice(["the", " The", " quick", "ing", " 12", "()", " {", "://", " "]))
        else:
            out.append(chr(rng.choice([0x20, 0x27, 0x61, 0x31, 0x21])) * rng.randrange(1, 4))
    line = "".join(out)
    return line if newlines else line.replace("\n", " ")


def read_documents(path):
    text = pathlib.Path(path).read_bytes().decode("utf-8")
    if str(path).endswith(".jsonl"):
        return [json.loads(line)["text"] for line in text.split("\n") if line.strip()]
    return [d for d in text.split(END) if d]


class Checker:
    def __init__(self, rllc, folder):
        self.rllc, self.folder, self.failures = rllc, pathlib.Path(folder), 0

    def run(self, *arguments, data=None):
        r = subprocess.run([self.rllc, *map(str, arguments)], input=data, capture_output=True)
        if r.returncode != 0:
            raise SystemExit(f"{arguments}: exit {r.returncode}: {r.stderr.decode(errors='replace')}")
        return r.stdout

    def say(self, what, compared, unit, bad):
        self.failures += bad
        print(f"{what:44s} {compared:10d} {unit:7s} {bad} differ", flush=True)

    def lines(self, name, t, path, lines):
        data = ("\n".join(lines) + "\n").encode()
        ids = self.run("encode", "--tokenizer", path, data=data)
        back = self.run("decode", "--tokenizer", path, data=ids)
        n = bad = 0
        for line, text in zip(lines, ids.decode().split("\n")):
            expected = t.encode(line, add_special_tokens=False).ids
            n += len(expected)
            if expected != [int(i) for i in text.split()]:
                bad += 1
                if bad < 4:
                    print("  differs:", repr(line)[:300], expected[:40], text[:200], sep="\n    ")
        self.say(f"lines {name}", n, "tokens", bad)
        if not t.pre_tokenizer.__getstate__().count(b'"add_prefix_space":true'):
            self.say(f"back  {name}", len(data), "bytes", int(back != data))

    def rows(self, name, t, path, documents, n_ctx=64):
        documents = [d for d in documents if d]
        source, out = self.folder / "rows.jsonl", self.folder / "rows"
        source.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
        self.run("tokenize", source, "-o", out, "--tokenizer", path, "--n-ctx", n_ctx, "--validation-fraction", 0,
                 "--sampling-fraction", 0, "--analysis-fraction", 0, "--progress", "none")
        bos = t.token_to_id(END)
        ids = []
        for d in documents:
            ids += ([bos] if ids else []) + t.encode(d, add_special_tokens=False).ids
        full = len(ids) // (n_ctx - 1)
        expected = numpy.array(ids[:full * (n_ctx - 1)]).reshape(full, n_ctx - 1)
        rows = numpy.load(out / "train.npy")
        same = rows.shape == (full, n_ctx) and (rows[:, 0] == bos).all() and (rows[:, 1:] == expected).all()
        self.say(f"rows  {name}", expected.size, "tokens", int(not same))

    def train(self, documents, size, frequency, special=END):
        source, out = self.folder / "train.jsonl", self.folder / "trained"
        source.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
        for last in (False, True):
            self.run("tokenize", source, "-o", out, "--no-pack", "--vocab-size", size, "--min-frequency", frequency,
                     "--special", special, "--special-last" if last else "--no-special-last", "--validation-fraction", 0, "--sampling-fraction", 0,
                     "--analysis-fraction", 0, "--progress", "none")
            ours = (out / "tokenizer.json").read_text()
            if not last:
                t = hugging_face(documents, size, special, frequency=frequency)
                expected = t.to_str(pretty=True)
                merges = json.loads(expected)["model"]["merges"]
                self.say(f"train {size} entries, frequency {frequency}, {special}", len(merges), "merges", int(ours != expected))
            else:
                j = json.loads(ours)
                same = j["model"]["merges"] == merges and j["model"]["vocab"][special] == len(j["model"]["vocab"]) - 1
                self.say(f"train {size} entries, special token last", len(merges), "merges", int(not same))


def own_tokenizers(documents, folder):
    """Tokenizers of several kinds, each written to a file."""
    kinds = {"plain": {}, "prefix": {"prefix": True}, "llama3": {"pattern": LLAMA3}, "cl100k": {"pattern": CL100K},
             "whole": {"ignore_merges": True}}
    for name, options in kinds.items():
        t = hugging_face(documents, 1500, **options)
        if name == "plain":
            yield name, t, str(save(t, folder, name))
            t = hugging_face(documents, 1500)
            t.add_tokens([AddedToken("<a>", normalized=False), AddedToken("<ab>", normalized=True), "<b", "日本"])
            name = "added"
        yield name, t, str(save(t, folder, name))


def save(t, folder, name):
    path = pathlib.Path(folder) / f"{name}.json"
    t.save(str(path))
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rllc", default="build/rllc")
    p.add_argument("--tokenizer", action="append", default=[], help="a tokenizer.json to compare with")
    p.add_argument("--text", action="append", default=[], help="a file of text or .jsonl")
    p.add_argument("--cases", type=int, default=20000, help="random lines for each tokenizer")
    p.add_argument("--sizes", default="512,1000,5000", help="vocabulary sizes of the trainer comparison")
    p.add_argument("--words", type=int, default=20, help="trainings on random words of few letters")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    documents = [d for path in a.text for d in read_documents(path)]
    noise = [random_line(rng, True) for _ in range(a.cases // 10)]
    lines = [random_line(rng, False) for _ in range(a.cases)] + [s for d in documents for s in d.split("\n")]
    with tempfile.TemporaryDirectory() as folder:
        c = Checker(a.rllc, folder)
        given = [(pathlib.Path(path).parent.name, Tokenizer.from_file(path), path) for path in a.tokenizer]
        for name, t, path in given or own_tokenizers(documents + noise, folder):
            c.lines(name, t, path, lines)
            c.rows(name, t, path, documents + noise)
        for size in (int(s) for s in a.sizes.split(",") if s):
            c.train(documents + noise, size, 2)
        c.train(noise, 3000, 0)
        for k in range(a.words):
            # Few letters make long repeats; a special token that merges make again has its id already.
            letters = "abcd"[:1 + rng.randrange(4)]
            words = [" ".join("".join(rng.choice(letters) for _ in range(rng.randrange(1, 14))) for _ in range(40))
                     for _ in range(rng.randrange(1, 60))]
            c.train(words, 257 + rng.randrange(1, 400), rng.randrange(4), rng.choice([END, "ab", "aa", "a", "é"]))
    print("seed", a.seed, "all agree" if c.failures == 0 else f"{c.failures} comparisons differ")
    sys.exit(c.failures != 0)


main()
