"""The attention-only transformer in plain torch: the independent definition that the C code is compared with.

Written from the equations alone, with no trick and no reuse: scores are formed in full, autograd makes the gradients.
Tensor names and shapes are TransformerLens'; src/model/tensors.def is the one list of them and is read here.

    X = W_E[t];  for each layer: U = LN1(X); Q_in = K_in = U + W_pos; V_in = U;
    z_h = softmax(causal(q k^T / sqrt(D))) v;  X += sum_h z_h W_O^h + b_O;  logits = LN_final(X) W_U + b_U
    loss = mean over rows and positions 0..T-2 of -log p(t_{k+1} | t_0..t_k)
"""
import pathlib
import re
from dataclasses import dataclass

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Config:
    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    n_ctx: int
    d_vocab: int
    normalization: str = "LN"  # or "null"
    ln_eps: float = 1e-5


def tensor_shapes(config):
    """{name: shape} of every tensor, in the order of the flat vector."""
    letters = {"V": config.d_vocab, "T": config.n_ctx, "C": config.d_model, "H": config.n_heads, "D": config.d_head}
    rows = re.findall(r'^RLLC_TENSOR\("([^"]+)", ([01]), [01], \w, "(\w+)"\)',
                      (ROOT / "src/model/tensors.def").read_text(), re.MULTILINE)
    assert len(rows) == 16, rows
    kept = [(name, per_layer == "1", tuple(letters[c] for c in shape)) for name, per_layer, shape in rows
            if config.normalization == "LN" or not re.match(r"ln1|ln_final", name)]
    first = next(i for i, row in enumerate(kept) if row[1])
    last = next(i for i, row in enumerate(kept) if i > first and not row[1])
    shapes = {name: shape for name, _, shape in kept[:first]}
    for layer in range(config.n_layers):
        shapes.update({f"blocks.{layer}.{name}": shape for name, _, shape in kept[first:last]})
    shapes.update({name: shape for name, _, shape in kept[last:]})
    return shapes


def config_of(weights, ln_eps=1e-5):
    """The configuration that a state_dict's shapes imply."""
    heads, d_model, d_head = weights["blocks.0.attn.W_Q"].shape
    n_layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    return Config(n_layers, d_model, heads, d_head, weights["pos_embed.W_pos"].shape[0],
                  weights["embed.W_E"].shape[0], "LN" if "ln_final.w" in weights else "null", ln_eps)


def layer_norm(x, w, b, eps):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred ** 2).mean(-1, keepdim=True) + eps) * w + b


def logits(weights, config, tokens):
    """[B, T, V] from tokens [B, T]."""
    t = tokens.shape[1]
    norm = ((lambda x, name: layer_norm(x, weights[name + ".w"], weights[name + ".b"], config.ln_eps))
            if config.normalization == "LN" else (lambda x, name: x))
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)
    x = weights["embed.W_E"][tokens]
    for layer in range(config.n_layers):
        part = {n: weights[f"blocks.{layer}.attn.{n}"]
                for n in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
        u = norm(x, f"blocks.{layer}.ln1")
        at = u + weights["pos_embed.W_pos"][:t]
        q = torch.einsum("btc,hcd->bhtd", at, part["W_Q"]) + part["b_Q"][:, None]
        k = torch.einsum("btc,hcd->bhtd", at, part["W_K"]) + part["b_K"][:, None]
        v = torch.einsum("btc,hcd->bhtd", u, part["W_V"]) + part["b_V"][:, None]
        scores = (q @ k.transpose(-1, -2)) / config.d_head ** 0.5
        z = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v
        x = x + torch.einsum("bhtd,hdc->btc", z, part["W_O"]) + part["b_O"]
    return norm(x, "ln_final") @ weights["unembed.W_U"] + weights["unembed.b_U"]


def token_losses(weights, config, tokens):
    """[B, T-1] of -log p(t_{k+1} | t_0..t_k), nats."""
    log_p = torch.log_softmax(logits(weights, config, tokens)[:, :-1], dim=-1)
    return -log_p.gather(-1, tokens[:, 1:, None])[..., 0]


def loss(weights, config, tokens):
    return token_losses(weights, config, tokens).mean()


def loss_and_gradient(weights, config, tokens):
    """(loss, {name: gradient})."""
    leaves = {name: w.detach().clone().requires_grad_(True) for name, w in weights.items()}
    value = loss(leaves, config, tokens)
    gradients = torch.autograd.grad(value, list(leaves.values()))
    return value.item(), dict(zip(leaves, gradients))


def component_mask(config, name):
    """{tensor: bool array} of what a component moves: full, l0h3 or 0:3, l0, "l0 attn", embed, pos_embed, unembed,
    a tensor's name, unions with +. A head: its slices of W_Q W_K W_V W_O b_Q b_K b_V, not b_O."""
    shapes = tensor_shapes(config)
    mask = {tensor: torch.zeros(shape, dtype=torch.bool) for tensor, shape in shapes.items()}
    groups = {"embed": ["embed.W_E"], "pos_embed": ["pos_embed.W_pos"], "unembed": ["unembed.W_U", "unembed.b_U"],
              "full": list(shapes)}
    for part in name.split("+"):
        head = re.fullmatch(r"l?(\d+)[h:](\d+)", part)
        layer = re.fullmatch(r"l(\d+)( attn)?", part)
        if head:
            for tensor in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"):
                mask[f"blocks.{head[1]}.attn.{tensor}"][int(head[2])] = True
        elif layer:
            prefix = f"blocks.{layer[1]}." + ("attn." if layer[2] else "")
            for tensor in shapes:
                if tensor.startswith(prefix):
                    mask[tensor][...] = True
        elif part in groups or part in shapes:
            for tensor in groups.get(part, [part]):
                mask[tensor][...] = True
        else:
            raise SystemExit(f"unknown component {part!r}")
    return mask


def noise_free_sgld(weights, config, mask, batches, lr, nbeta, localization):
    """SGLD without noise on the masked coordinates, one batch [B, T] a step, in the paper's order:

        record L_t = L(w_t; batch t) and its baseline L(w*; batch t);
        w_{t+1} = w_t - lr/2 * (nbeta * grad L(w_t; batch t) + localization * (w_t - w*))

    Returns (losses, baselines, final weights)."""
    start = {name: w.detach().clone() for name, w in weights.items()}
    w = {name: x.clone() for name, x in start.items()}
    losses, baselines = [], []
    for tokens in batches:
        value, gradient = loss_and_gradient(w, config, tokens)
        losses.append(value)
        baselines.append(loss(start, config, tokens).item())
        for name in w:
            drift = nbeta * gradient[name] + localization * (w[name] - start[name])
            w[name] = torch.where(mask[name], w[name] - 0.5 * lr * drift, w[name])
    return losses, baselines, w
