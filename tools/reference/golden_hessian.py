"""Makes tests/golden/hessian: second derivatives of tiny models by plain torch in float64, read by
tests/golden/test_golden_hessian.c.

    python tools/reference/golden_hessian.py

For each model (2 layers with LayerNorm; 2 without; 1 with): model.safetensors (float32), tokens.npy [B, T], and from
exactly those weights in float64: vectors.npy [3, P] (float32) and products.npy [3, P], H v of the whole model by
autograd's double backward. For the first also the whole Hessian of four components by torch.autograd.functional.hessian,
<component>.npy [n, n] (float32), rows in the order of the flat vector, and fisher.npy [2]: with the true labels the mean over all
predictions of |gradient of that prediction's loss|^2 for the component l1h0, and its expectation over the model's own
labels, every label of the vocabulary in turn.
"""
import pathlib
import shutil

import numpy as np
import torch
from golden_model import random_tokens, random_weights, save_array, save_tensors

import model

OUT = model.ROOT / "tests/golden/hessian"
MODELS = {
    "ln": model.Config(2, 4, 2, 2, 5, 7),
    "null": model.Config(2, 4, 2, 2, 5, 7, normalization="null"),
    "one": model.Config(1, 4, 2, 2, 5, 7),
}
COMPONENTS = ["l0h1", "l1h0", "pos_embed", "blocks.0.ln1.w+l1h1+ln_final.w"]


def flatten(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def flat_loss(config, tokens, per_token=None):
    """Loss as a function of the flat vector; per_token(losses) instead of their mean."""
    shapes = model.tensor_shapes(config)
    sizes = [int(np.prod(s)) for s in shapes.values()]

    def loss(flat):
        parts = torch.split(flat, sizes)
        weights = {name: p.reshape(s) for (name, s), p in zip(shapes.items(), parts)}
        return per_token(weights) if per_token else model.loss(weights, config, tokens)
    return loss


def component_hessian(loss, flat, index):
    def restricted(free):
        return loss(flat.index_put((index,), free))
    return torch.autograd.functional.hessian(restricted, flat[index])


def fisher(config, tokens, flat, index):
    """(true labels, the model's labels): mean over predictions of the squared gradient on `index`."""
    log_p = flat_loss(config, tokens, lambda w: torch.log_softmax(model.logits(w, config, tokens)[:, :-1], dim=-1))
    restricted = lambda free: log_p(flat.index_put((index,), free))
    jacobian = torch.autograd.functional.jacobian(restricted, flat[index])  # [B, T-1, V, n]
    squares = (jacobian ** 2).sum(-1)
    true = squares.gather(-1, tokens[:, 1:, None])[..., 0].mean()
    own = (squares * log_p(flat).exp()).sum(-1).mean()
    return [true.item(), own.item()]


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for seed, (name, config) in enumerate(MODELS.items()):
        rng = np.random.default_rng([20261, seed])
        folder = OUT / name
        folder.mkdir(parents=True)
        weights, tokens = random_weights(config, rng), random_tokens(config, rng, 3)
        save_tensors(folder / "model.safetensors", weights)
        save_array(folder / "tokens.npy", tokens, np.int32)
        flat = flatten(weights.values()).double()
        loss = flat_loss(config, tokens)
        vectors = torch.tensor(rng.standard_normal((3, len(flat))), dtype=torch.float32).double()
        products = [torch.autograd.functional.hvp(loss, flat, v)[1] for v in vectors]
        save_array(folder / "vectors.npy", vectors, np.float32)
        save_array(folder / "products.npy", torch.stack(products), np.float64)
        if name != "ln":
            continue
        for component in COMPONENTS:
            mask = flatten(model.component_mask(config, component).values())
            index = torch.nonzero(mask)[:, 0]
            hessian = component_hessian(loss, flat, index)
            assert (hessian - hessian.T).abs().max() < 1e-12
            save_array(folder / f"{component}.npy", hessian, np.float32)
            if component == "l1h0":
                save_array(folder / "fisher.npy", fisher(config, tokens, flat, index), np.float64)
    total = sum(f.stat().st_size for f in pathlib.Path(OUT).rglob("*") if f.is_file())
    print(f"{OUT.relative_to(model.ROOT)}: {total / 1e3:.0f} kB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
