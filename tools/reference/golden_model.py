"""Makes tests/golden/tiny: what plain torch says about small models. Read by tests/golden/test_golden_*.c.

    python tools/reference/golden_model.py            writes tests/golden/tiny, checks it by finite differences

For each model: model.safetensors (float32 weights), tokens.npy [B, T]; then, computed from exactly those weights once
in float64 (the truth) and once in float32 (the yardstick: what float32 costs torch itself), files *64.* and *32.*:
logits [B, T, V], token_losses [B, T-1], loss [1], gradient.safetensors. For the two-layer model also ten AdamW steps
and noise-free SGLD for several components. settings.json repeats every number that a reader needs.
"""
import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

import model

OUT = model.ROOT / "tests/golden/tiny"
MODELS = {
    "l2": model.Config(2, 16, 3, 5, 12, 23),
    "l1": model.Config(1, 16, 3, 5, 12, 23),
    "l3": model.Config(3, 16, 3, 5, 12, 23),
    "null": model.Config(2, 16, 3, 5, 12, 23, normalization="null"),
    # Contexts and a vocabulary that no tile width divides, with two tiles of any plausible width crossed.
    "long": model.Config(2, 24, 2, 10, 150, 211),
    # A batch large enough to be cut into many parts however an engine cuts it (4,500 tokens).
    "many": model.Config(2, 16, 3, 5, 12, 23),
}
ROWS = {"long": 2, "many": 377}  # the others: 5
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)
SGLD = dict(lr=1e-3, nbeta=30.0, localization=200.0)
SGLD_STEPS = 12
COMPONENTS = ["full", "l0h1", "l1h2", "l0h0+l1h1", "embed", "l0"]


def random_weights(config, rng):
    """Nothing at a special value: every bias and every LayerNorm gain differs from its initialisation."""
    weights = {}
    for name, shape in model.tensor_shapes(config).items():
        x = rng.standard_normal(shape)
        scale = {"embed.W_E": 1.0, "pos_embed.W_pos": 0.7, "unembed.W_U": 0.4}.get(name, 0.3)
        offset = 1.0 if name.endswith(("ln1.w", "ln_final.w")) else 0.0
        weights[name] = torch.tensor(offset + scale * x, dtype=torch.float32)
    return weights


def random_tokens(config, rng, *shape):
    """The last id never appears, so that its embedding row has the gradient 0 and its logit still counts."""
    return torch.tensor(rng.integers(0, config.d_vocab - 1, (*shape, config.n_ctx)), dtype=torch.int64)


def cast(weights, dtype):
    return {name: w.to(dtype) for name, w in weights.items()}


def save_tensors(path, weights):
    save_file({name: w.contiguous() for name, w in weights.items()}, path, metadata={"format": "pt"})


def save_array(path, array, dtype):
    np.save(path, np.ascontiguousarray(np.asarray(array), dtype=dtype))


def finite_difference_error(weights, config, tokens, gradient):
    """Largest |central difference - gradient| over every coordinate of every tensor, of the gradient's scale."""
    worst, scale = 0.0, max(g.abs().max().item() for g in gradient.values())
    h = 1e-5
    for name, w in weights.items():
        flat, slope = w.view(-1), gradient[name].reshape(-1)
        for i in range(flat.numel()):
            keep = flat[i].item()
            flat[i] = keep + h
            up = model.loss(weights, config, tokens).item()
            flat[i] = keep - h
            down = model.loss(weights, config, tokens).item()
            flat[i] = keep
            worst = max(worst, abs((up - down) / (2 * h) - slope[i].item()) / scale)
    return worst


def write_model(folder, config, weights, tokens):
    save_tensors(folder / "model.safetensors", weights)
    save_array(folder / "tokens.npy", tokens, np.int32)
    for bits, dtype, kind in (("64", torch.float64, np.float64), ("32", torch.float32, np.float32)):
        w = cast(weights, dtype)
        value, gradient = model.loss_and_gradient(w, config, tokens)
        save_array(folder / f"token_losses{bits}.npy", model.token_losses(w, config, tokens), kind)
        save_array(folder / f"loss{bits}.npy", [value], np.float64)
        if folder.name not in ROWS:  # those of the large cases would be the bulk of the folder
            save_array(folder / f"logits{bits}.npy", model.logits(w, config, tokens), kind)
            save_tensors(folder / f"gradient{bits}.safetensors", gradient)
        elif bits == "64":  # float64 arithmetic, stored in float32: 6e-8 of each entry is nothing here
            save_tensors(folder / "gradient64.safetensors", cast(gradient, torch.float32))


def write_adamw(folder, config, weights, batches):
    folder.mkdir()
    save_array(folder / "tokens.npy", batches, np.int32)
    losses = []
    for bits, dtype in (("64", torch.float64), ("32", torch.float32)):
        w = {name: x.to(dtype).clone().requires_grad_(True) for name, x in weights.items()}
        optimizer = torch.optim.AdamW(list(w.values()), foreach=False, fused=False, **ADAMW)
        trace = []
        for step, tokens in enumerate(batches, start=1):
            optimizer.zero_grad()
            value = model.loss(w, config, tokens)
            value.backward()
            optimizer.step()
            trace.append(value.item())
            if step in (1, len(batches)):
                save_tensors(folder / f"step{step}_{bits}.safetensors", {n: x.detach() for n, x in w.items()})
        losses.append(trace)
    save_array(folder / "losses.npy", losses, np.float64)  # [2, steps]: float64, float32


def write_sgld(folder, config, weights, batches):
    folder.mkdir()
    save_array(folder / "tokens.npy", batches, np.int32)
    for component in COMPONENTS:
        mask = model.component_mask(config, component)
        traces = []
        for bits, dtype in (("64", torch.float64), ("32", torch.float32)):
            losses, baselines, final = model.noise_free_sgld(cast(weights, dtype), config, mask, batches, **SGLD)
            traces.append([losses, baselines])
            moved = {n: x for n, x in final.items() if mask[n].any()}  # tensors that the component does not touch: kept
            save_tensors(folder / f"{component}_{bits}.safetensors", moved)
        save_array(folder / f"{component}.npy", traces, np.float64)  # [2, 2, steps]: bits, (loss, baseline), step
        print(f"  sgld {component:10s} loss - baseline at the last step {traces[0][0][-1] - traces[0][1][-1]:+.4f}")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for seed, (name, config) in enumerate(MODELS.items()):
        rng = np.random.default_rng([20260, seed])
        folder = OUT / name
        folder.mkdir(parents=True)
        weights = random_weights(config, rng)
        tokens = random_tokens(config, rng, ROWS.get(name, 5))
        write_model(folder, config, weights, tokens)
        value, gradient = model.loss_and_gradient(cast(weights, torch.float64), config, tokens)
        print(f"{name}: loss {value:.6f}")
        if name not in ROWS:
            error = finite_difference_error(cast(weights, torch.float64), config, tokens, gradient)
            print(f"  every coordinate against central differences, float64: max error {error:.1e} of the scale")
            assert error < 1e-8
        if name == "l2":
            write_adamw(folder / "adamw", config, weights, random_tokens(config, rng, 10, 5))
            write_sgld(folder / "sgld", config, weights, random_tokens(config, rng, SGLD_STEPS, 5))
    settings = {"made_by": "tools/reference/golden_model.py", "torch": torch.__version__, "numpy": np.__version__,
                "adamw": {"lr": ADAMW["lr"], "beta1": ADAMW["betas"][0], "beta2": ADAMW["betas"][1],
                          "eps": ADAMW["eps"], "weight_decay": ADAMW["weight_decay"]},
                "sgld": {**SGLD, "components": COMPONENTS, "steps": SGLD_STEPS}}
    (OUT / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    total = sum(f.stat().st_size for f in pathlib.Path(OUT).rglob("*") if f.is_file())
    print(f"{OUT.relative_to(model.ROOT)}: {total / 1e6:.2f} MB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
