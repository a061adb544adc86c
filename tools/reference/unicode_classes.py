#!/usr/bin/env python3
"""Writes src/data/unicode_classes.def: the class (letter, number, white space) that each code point has for the
pre-tokeniser of Hugging Face tokenizers, found by asking it about every code point. Needs `pip install tokenizers`.

    python3 tools/reference/unicode_classes.py > src/data/unicode_classes.def
"""
import tokenizers
from tokenizers.pre_tokenizers import ByteLevel

split = ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str


def character_class(c):
    """A code point joins a run of its own class and no other."""
    for name, neighbour in (("L", "a"), ("N", "1"), ("O", "!")):
        if len(split(neighbour + chr(c))) == 1:
            return name
    return "S"


def ranges():
    last, begin = "O", 0
    for c in range(0x110001):
        surrogate = 0xD800 <= c < 0xE000
        name = "O" if c == 0x110000 or surrogate else character_class(c)
        if name != last:
            if last != "O":
                yield last, begin, c - 1
            last, begin = name, c


def main():
    print("/* L(first, last) letters, N numbers, S white space: \\p{L}, \\p{N}, \\s of Unicode 16.0, as Hugging Face")
    print(f"   tokenizers {tokenizers.__version__} (Oniguruma) has them; made by tools/reference/unicode_classes.py. */")
    line = ""
    for name, begin, end in ranges():
        word = f"{name}(0x{begin:X}, 0x{end:X})"
        if len(line) + 1 + len(word) > 118:
            print(line)
            line = ""
        line += (" " if line else "") + word
    print(line)


main()
