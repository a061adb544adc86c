"""`rllc sample` without noise against plain torch, step by step on the same minibatches.

    python tools/reference/sgld_check.py --rllc build/rllc [--checkpoint model.safetensors --tokens batches.npy]

batches.npy holds [steps, batch, n_ctx] token ids, used in order. Without --checkpoint a random model is made. The
truth is float64 torch; torch's float32 shows what rounding alone does. Also checked: the estimate printed by rllc is
nbeta * mean(loss - baseline) of its own trace, and two chains without noise are one. Exits 1 beyond 1e-5.
"""
import argparse
import csv
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

TOLERANCE = 1e-5
COMPONENTS = ["full", "l0h1", "l1h2", "0:0", "l0h0+l1h1", "embed", "pos_embed", "unembed", "l0", "l1 attn",
              "blocks.1.attn.W_K", "ln_final.w"]
SETTINGS = [dict(lr=1e-3, nbeta=30.0, localization=200.0), dict(lr=4e-3, nbeta=100.0, localization=5.0)]


def sample(rllc, checkpoint, batches_path, shape, component, settings, folder):
    """(losses, baselines) of rllc's chain."""
    trace = folder / "trace.csv"
    command = [rllc, "sample", "--checkpoint", checkpoint, "--tokens", batches_path, "--component", component,
               "--noise-level", 0, "--lr", settings["lr"], "--nbeta", settings["nbeta"], "--localization",
               settings["localization"], "--num-chains", 2, "--num-draws", shape[0], "--batch-size", shape[1],
               "--trace", trace, "--json", "--progress", "none"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {done.stderr.strip()}")
    rows = list(csv.DictReader(trace.open()))
    chains = [[(float(r["loss"]), float(r["baseline"])) for r in rows if int(r["chain"]) == c] for c in (0, 1)]
    assert len(chains[0]) == shape[0] and chains[0] == chains[1], "two chains without noise differ"
    losses, baselines = map(np.array, zip(*chains[0]))
    estimate = find(json.loads(done.stdout), "llc_mean")
    own = settings["nbeta"] * np.mean(losses - baselines)
    assert abs(estimate - own) <= 1e-12 * max(1, abs(own)), (estimate, own)
    return losses, baselines


def find(j, key):
    """The first value under `key`, at any depth."""
    if isinstance(j, dict):
        if key in j:
            return j[key]
        j = list(j.values())
    if isinstance(j, list):
        for item in j:
            value = find(item, key)
            if value is not None:
                return value
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rllc", default=model.ROOT / "build/rllc", type=pathlib.Path)
    parser.add_argument("--checkpoint", type=pathlib.Path)
    parser.add_argument("--tokens", type=pathlib.Path, help="[steps, batch, n_ctx], with --checkpoint")
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        checkpoint, batches_path = options.checkpoint, options.tokens
        if checkpoint is None:
            config, rng = model.Config(2, 32, 3, 8, 40, 61), np.random.default_rng(8)
            checkpoint, batches_path = folder / "model.safetensors", folder / "batches.npy"
            save_file(golden_model.random_weights(config, rng), checkpoint)
            np.save(batches_path, rng.integers(0, 61, (20, 5, 40)).astype(np.int32))
        weights = load_file(checkpoint)
        config = model.config_of(weights)
        batches = torch.tensor(np.load(batches_path).astype(np.int64))
        for settings in SETTINGS:
            print(settings)
            for component in COMPONENTS:
                mask = model.component_mask(config, component)
                truth, torch32 = (model.noise_free_sgld(golden_model.cast(weights, dtype), config, mask, batches,
                                                        **settings)[:2] for dtype in (torch.float64, torch.float32))
                losses, baselines = sample(options.rllc, checkpoint, batches_path, batches.shape, component, settings,
                                           folder)
                def error(a, b):
                    return float(np.max(np.abs(np.array(a) - np.array(b)) / np.array(b)))
                ours = max(error(losses, truth[0]), error(baselines, truth[1]))
                moved = truth[0][-1] - truth[1][-1]
                print(f"  {component:20s} {len(losses)} steps, last loss - baseline {moved:+.4f}, max relative error "
                      f"{ours:.1e} (torch float32 {error(torch32[0], truth[0]):.1e})", flush=True)
                worst = max(worst, ours)
    print(f"largest error {worst:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(not worst <= TOLERANCE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
