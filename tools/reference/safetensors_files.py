#!/usr/bin/env python3
"""Writes tests/golden/safetensors/*.safetensors with the safetensors library itself (made with 0.8.0, torch 2.x).

Element i of every float tensor is (i - 2) / 2, of every integer tensor i, of every boolean one i % 2.
Usage: safetensors_files.py FOLDER
"""
import json
import struct
import sys

import safetensors.torch
import torch


def values(n, dtype):
    if dtype.is_floating_point or dtype.is_complex:
        return ((torch.arange(n, dtype=torch.float64) - 2) / 2).to(dtype)
    if dtype == torch.bool:
        return torch.arange(n) % 2 == 1
    return torch.arange(n).to(dtype)


def keys(blob):
    n = struct.unpack("<Q", blob[:8])[0]
    return list(json.loads(blob[8:8 + n])["__metadata__"])


def main(folder):
    dtypes = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.uint8,
              torch.int8, torch.int16, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32,
              torch.uint64, torch.complex64, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
    all_types = {str(d).split(".")[1]: values(5, d) for d in dtypes}
    safetensors.torch.save_file(all_types, f"{folder}/all_types.safetensors", metadata={"format": "pt"})

    shapes = {"scalar": (), "one": (1,), "empty": (0,), "empty matrix": (3, 0, 2), "matrix": (2, 3), "cube": (2, 2, 2),
              "é\n\t\"\\/\x01\x1b\x7f\u2028\U0001F600": (1, 4), "": (2,), "blocks.0.attn.W_Q": (2, 4, 3)}
    tensors = {name: values(int(torch.tensor(shape).prod()) if shape else 1, torch.float32).reshape(shape)
               for name, shape in shapes.items()}
    metadata = {"format": "np", "note": "é\n\"\\\x02/", "a": "", "rllc.step": "12"}
    while True:  # the library writes metadata in random order; ours sorts it
        blob = safetensors.torch.save(tensors, metadata=metadata)
        if keys(blob) == sorted(metadata):
            break
    with open(f"{folder}/shapes_and_names.safetensors", "wb") as f:
        f.write(blob)


if __name__ == "__main__":
    main(sys.argv[1])
