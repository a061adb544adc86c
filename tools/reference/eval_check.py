"""`rllc eval` and `rllc gradient` against plain torch in float64, at any size, the paper's by default.

    python tools/reference/eval_check.py --rllc build/rllc [--checkpoint model.safetensors --tokens rows.npy]

Without --checkpoint: a model of the paper's shape (two layers, width 256, 8 heads, 1024 tokens, vocabulary 5,000) with
random weights larger than at initialisation, so that attention is far from uniform. Prints, for every tensor, the
largest gradient error in units of the tensor's largest entry, beside torch's own float32. Exits 1 beyond 1e-4.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import golden_model
import model

TOLERANCE = 1e-4
PAPER = model.Config(2, 256, 8, 32, 1024, 5000)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def random_checkpoint(path, config, rng):
    """W_E, W_pos, W_Q and W_K make scores of a few units, where attention picks out tokens and positions."""
    scale = {"embed.W_E": 1.0, "pos_embed.W_pos": 0.7, "unembed.W_U": 0.12, "W_Q": 0.1, "W_K": 0.1, "W_V": 0.08,
             "W_O": 0.08}
    weights = {}
    for name, shape in model.tensor_shapes(config).items():
        gain = name.endswith(("ln1.w", "ln_final.w"))
        s = scale.get(name, scale.get(name.rsplit(".", 1)[1], 0.2))
        weights[name] = torch.tensor(gain + s * rng.standard_normal(shape), dtype=torch.float32)
    save_file(weights, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rllc", default=model.ROOT / "build/rllc", type=pathlib.Path)
    parser.add_argument("--checkpoint", type=pathlib.Path)
    parser.add_argument("--tokens", type=pathlib.Path, help="rows of token ids, with --checkpoint")
    parser.add_argument("--rows", type=int, default=3, help="rows used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        checkpoint, tokens_path = options.checkpoint, folder / "rows.npy"
        rng = np.random.default_rng(4)
        if checkpoint is None:
            checkpoint = folder / "model.safetensors"
            random_checkpoint(checkpoint, PAPER, rng)
            np.save(tokens_path, rng.integers(0, PAPER.d_vocab, (options.rows, PAPER.n_ctx)).astype(np.uint16))
        else:
            np.save(tokens_path, np.load(options.tokens)[:options.rows])
        weights = load_file(checkpoint)
        config = model.config_of(weights)
        tokens = torch.tensor(np.load(tokens_path).astype(np.int64))
        found = json.loads(run(options.rllc, "eval", "--checkpoint", checkpoint, "--tokens", tokens_path, "--json",
                               "--token-losses", folder / "losses.npy", "--output", folder / "logits.npy",
                               "--progress", "none"))
        run(options.rllc, "gradient", "--checkpoint", checkpoint, "--tokens", tokens_path, "--component", "full",
            "--output", folder / "gradient.safetensors", "--progress", "none")
        ours = load_file(folder / "gradient.safetensors")
        wide, narrow = golden_model.cast(weights, torch.float64), weights
        truth, gradient = model.loss_and_gradient(wide, config, tokens)
        _, gradient32 = model.loss_and_gradient(narrow, config, tokens)

        def error(a, b, scale=None):
            return ((a.double() - b).abs().max() / (b.abs().max() if scale is None else scale)).item()

        with torch.no_grad():
            logits, losses = model.logits(wide, config, tokens), model.token_losses(wide, config, tokens)
            logits32 = model.logits(narrow, config, tokens)
        errors = {"mean loss": (abs(found["loss"] - truth) / truth, float("nan")),
                  "token losses": (error(torch.tensor(np.load(folder / "losses.npy")), losses), float("nan")),
                  "logits": (error(torch.tensor(np.load(folder / "logits.npy")), logits), error(logits32, logits))}
        assert set(ours) == set(gradient)
        for name, g in gradient.items():
            scale = gradient[name.replace("b_K", "b_Q")].abs().max()  # b_K's gradient is 0: softmax does not see it
            errors["gradient " + name] = error(ours[name], g, scale), error(gradient32[name], g, scale)
        print(f"{config}, {tokens.shape[0]} rows, loss {truth:.6f}")
        for name, (mine, torch32) in errors.items():
            print(f"  {name:36s} {mine:.1e}" + (f"   torch float32 {torch32:.1e}" if torch32 == torch32 else ""))
        entries = sum(g.numel() for g in gradient.values())
        close = sum(((ours[n].double() - g).abs() <= 1e-6 * gradient[n.replace("b_K", "b_Q")].abs().max()).sum().item()
                    for n, g in gradient.items())
        worst = max(mine for mine, _ in errors.values())
        print(f"{100 * close / entries:.3f} % of {entries} gradient entries within 1e-6; largest error {worst:.1e}, "
              f"allowed {TOLERANCE:.0e}")
        sys.exit(not worst <= TOLERANCE)


if __name__ == "__main__":
    main()
