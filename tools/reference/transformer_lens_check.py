"""TransformerLens and rllc read each other's files and give the same logits, token losses and gradients.

    python tools/reference/transformer_lens_check.py --rllc build/rllc

Needs torch, safetensors and transformer-lens < 4 (HookedTransformer left in 4.0). Two ways, for several shapes:
rllc trains a model and HookedTransformer loads every checkpoint (only the mask and IGNORE buffers may be missing);
HookedTransformer initialises a model, perturbs every bias and gain, saves its state_dict, and rllc loads that.
With --checkpoint and --tokens that checkpoint alone is compared. Prints a table; exits 1 if an error exceeds 1e-5 of
the scale (both sides compute in float32: what is left is rounding).
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
from transformer_lens import HookedTransformer, HookedTransformerConfig

import model

TOLERANCE = 1e-5
SHAPES = {  # n_layers, d_model, n_heads, d_head, n_ctx, d_vocab, normalization
    "two layers": model.Config(2, 64, 4, 16, 128, 300),
    "one layer": model.Config(1, 48, 3, 16, 100, 211),
    "odd widths": model.Config(3, 40, 5, 7, 65, 97),
    "normalization null": model.Config(2, 32, 4, 8, 64, 101, normalization="null"),
}


def hooked(config):
    """The same model in TransformerLens."""
    return HookedTransformer(HookedTransformerConfig(
        n_layers=config.n_layers, d_model=config.d_model, n_heads=config.n_heads, d_head=config.d_head,
        n_ctx=config.n_ctx, d_vocab=config.d_vocab, attn_only=True, positional_embedding_type="shortformer",
        normalization_type="LN" if config.normalization == "LN" else None, eps=config.ln_eps, seed=1, device="cpu"))


def load_into_hooked(path):
    """Loads an rllc file; anything missing but the two buffers, or anything left over, is an error."""
    weights = load_file(path)
    network = hooked(model.config_of(weights))
    result = network.load_state_dict(weights, strict=False)
    surprising = [k for k in result.missing_keys if k.rsplit(".", 1)[1] not in ("mask", "IGNORE")]
    assert not surprising and not result.unexpected_keys, (surprising, result.unexpected_keys)
    return network


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def compare(rllc, network, checkpoint, tokens_path, folder):
    """{quantity: largest error in units of the largest entry} between TransformerLens and rllc on one file."""
    run(rllc, "eval", "--checkpoint", checkpoint, "--tokens", tokens_path, "--output", folder / "logits.npy",
        "--token-losses", folder / "losses.npy", "--progress", "none")
    loss = json.loads(run(rllc, "eval", "--checkpoint", checkpoint, "--tokens", tokens_path, "--json",
                          "--progress", "none"))["loss"]
    run(rllc, "gradient", "--checkpoint", checkpoint, "--tokens", tokens_path, "--component", "full", "--output",
        folder / "gradient.safetensors", "--progress", "none")
    tokens = torch.tensor(np.load(tokens_path).astype(np.int64))
    logits = network(tokens)
    losses = network.loss_fn(logits, tokens, per_token=True)
    losses.mean().backward()
    ours = load_file(folder / "gradient.safetensors")
    theirs = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    def error(a, b, scale=None):
        scale = b.abs().max() if scale is None else scale
        return ((a - b).abs().max() / scale).item()
    gradient = max(error(ours[n], g, theirs[n.replace("b_K", "b_Q")].abs().max()) for n, g in theirs.items())
    return {"logits": error(torch.tensor(np.load(folder / "logits.npy")), logits.detach()),
            "token losses": error(torch.tensor(np.load(folder / "losses.npy")), losses.detach()),
            "mean loss": abs(loss - losses.mean().item()) / loss,
            "gradients": gradient}


def report(rows, label, errors):
    rows.append(errors)
    print(f"{label:46s} " + "  ".join(f"{name} {value:.1e}" for name, value in errors.items()), flush=True)


def write_tokens(path, config, rows, seed):
    """Random walks: tokens that a model can learn something about, in well under a second."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([1, 2, 5], size=(rows, config.n_ctx), p=[0.6, 0.3, 0.1])
    np.save(path, ((np.cumsum(steps, axis=1) + rng.integers(0, config.d_vocab, (rows, 1))) % config.d_vocab)
            .astype(np.int32))


def rllc_to_hooked(rows, rllc, name, config, folder):
    train, test, out = folder / "train.npy", folder / "test.npy", folder / "run"
    write_tokens(train, config, 256, 1)
    write_tokens(test, config, 6, 2)
    run(rllc, "train", "--tokens", train, "--output", out, "--steps", 60, "--batch-size", 8, "--checkpoints", "0,1,60",
        "--n-layers", config.n_layers, "--d-model", config.d_model, "--n-heads", config.n_heads, "--d-head",
        config.d_head, "--d-vocab", config.d_vocab, "--normalization", config.normalization, "--progress", "none")
    found = sorted(out.rglob("model.safetensors"), key=lambda p: int("".join(c for c in p.parent.name if c.isdigit())))
    assert len(found) == 3, found
    for path in found:
        errors = compare(rllc, load_into_hooked(path), path, test, folder)
        report(rows, f"rllc -> TransformerLens, {name}, {path.parent.name}", errors)


def hooked_to_rllc(rows, rllc, name, config, folder):
    tokens = folder / "test.npy"
    write_tokens(tokens, config, 6, 3)
    torch.manual_seed(5)
    network = hooked(config)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn_like(p)
    path = folder / "theirs.safetensors"  # as it comes out of TransformerLens, buffers and all
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, path)
    report(rows, f"TransformerLens -> rllc, {name}", compare(rllc, network, path, tokens, folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rllc", default=model.ROOT / "build/rllc", type=pathlib.Path)
    parser.add_argument("--checkpoint", type=pathlib.Path, help="compare this model.safetensors alone")
    parser.add_argument("--tokens", type=pathlib.Path, help="rows of token ids (.npy), with --checkpoint")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        if options.checkpoint:
            network = load_into_hooked(options.checkpoint)
            errors = compare(options.rllc, network, options.checkpoint, options.tokens, pathlib.Path(scratch))
            report(rows, str(options.checkpoint)[-46:], errors)
        for name, config in [] if options.checkpoint else SHAPES.items():
            for way in (rllc_to_hooked, hooked_to_rllc):
                folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
                way(rows, options.rllc, name, config, folder)
    worst = max(max(errors.values()) for errors in rows)
    print(f"largest error {worst:.1e} of the scale, allowed {TOLERANCE:.0e}")
    sys.exit(not worst <= TOLERANCE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
