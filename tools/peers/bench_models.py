"""The peers of bench/side_by_side.sh: what a user of today's tools runs, and plain PyTorch written by hand for speed.

A stack is a model with a loss: "devinterp" is TransformerLens' HookedTransformer, trained with torch's AdamW and sampled with
devinterp's own optimizer, masks and loss; "torch" is hand-written: fused projections, F.scaled_dot_product_attention,
F.layer_norm, F.cross_entropy, fused AdamW. A job is one step of

    train           forward, backward, AdamW
    full            SGLD on all parameters
    <head>:masked   SGLD on a head after the full backward, as devinterp 1 does: its mask names every parameter
    <head>:limited  only the tensors of that layer's attention require gradients, as devinterp 2 does by its masks
    <head>:alone    by hand, "torch" only: that head's slices are the only leaves, its seven neighbours are constants

STACKS[stack](job, checkpoint, peers) has step(tokens) -> loss, and gradient(tokens) -> (loss, flat gradient in rllc's order).
"""
import importlib
import pathlib
import re
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/reference"))
import model as reference  # noqa: E402
from transformer_lens_check import load_into_hooked  # noqa: E402

SGLD = {"lr": 1e-3, "nbeta": 30.0, "localization": 200.0}  # rllc's defaults
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05}


def devinterp(major, peers):
    """Module finder for one of the two releases that tools/peers/install.sh puts side by side."""
    sys.path.insert(0, str(pathlib.Path(peers) / f"devinterp{major}"))
    return lambda name: importlib.import_module(f"devinterp.{name}")


def split(job):
    """("l1h3", "limited") of "l1h3:limited"; (None, "train") of "train"."""
    head, _, variant = job.rpartition(":")
    return (head, variant) if head else (None, job)


def in_order(config, component, gradients):
    """One flat vector of a component's gradient, as rllc packs it, from {tensor: gradient}."""
    mask = reference.component_mask(config, component)
    return torch.cat([gradients[name][mask[name]] for name in mask if mask[name].any()])


def head_tensors(config, head):
    return [name for name, part in reference.component_mask(config, head).items() if part.any()]


# ---- TransformerLens and devinterp -----------------------------------------------------------------------------

class Hooked:
    def __init__(self, job, checkpoint, peers):
        component, variant = split(job)
        self.network = load_into_hooked(checkpoint)
        self.network.train()
        self.component = component or "full"
        self.config = reference.config_of(self.network.state_dict())
        if variant == "train":
            self.optimizer = torch.optim.AdamW(self.network.parameters(), **ADAMW)
            self.loss = lambda tokens: self.network(tokens, return_type="loss")
        elif variant == "masked":
            self.masked(devinterp(1, peers))
        else:
            self.limited(devinterp(2, peers), self.component)

    def masked(self, module):
        """devinterp 1: a mask for every parameter, all of which are differentiated."""
        masks = reference.component_mask(self.config, self.component)
        groups = [{"params": p, "optimize_over": masks[n].float()} for n, p in self.network.named_parameters()]
        self.optimizer = module("optim.sgmcmc").SGMCMC.sgld(groups, metrics=[], **SGLD)
        self.loss = lambda tokens: self.network(tokens, return_type="loss")

    def limited(self, module, component):
        """devinterp 2: what its masks do not name is frozen."""
        masks = module("slt.weight_restrictions").create_param_masks(self.network, component)
        parameters = dict(self.network.named_parameters())
        for name, p in parameters.items():
            p.requires_grad_(name in masks)
        self.optimizer = module("optim.sgmcmc").SGMCMC.sgld(
            [{"params": parameters[name], "mask": mask} for name, mask in masks.items()], **SGLD)
        per_token = module("slt.lm_loss").compute_per_token_loss
        self.loss = lambda tokens: per_token(self.network, tokens).mean()

    def gradient(self, tokens):
        self.optimizer.zero_grad()
        loss = self.loss(tokens)
        loss.backward()
        found = {n: p.grad for n, p in self.network.named_parameters() if p.grad is not None}
        return loss.item(), in_order(self.config, self.component, found)

    def step(self, tokens):
        self.optimizer.zero_grad()
        loss = self.loss(tokens)
        loss.backward()
        self.optimizer.step()
        return loss.item()


# ---- plain torch ---------------------------------------------------------------------------------------------------

def fused(weights, layer, heads):
    """The projections of some heads of a layer, each as the one matrix that F.linear takes: {name: tensor}."""
    part = {n: weights[f"blocks.{layer}.attn.{n}"][heads] for n in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")}
    rows = {n: part[n].transpose(1, 2).flatten(0, 1) for n in ("W_Q", "W_K", "W_V")}  # [H D, C]
    return {"W_QK": torch.cat([rows["W_Q"], rows["W_K"]]), "b_QK": torch.cat([part["b_Q"], part["b_K"]]).flatten(),
            "W_V": rows["W_V"].contiguous(), "b_V": part["b_V"].flatten(),
            "W_O": part["W_O"].flatten(0, 1).T.contiguous()}  # [C, H D]


def apart(config, gradients):
    """The gradients of `fused` under the names and in the shapes of the tensors they came from: {name: [H, ..]}."""
    def matrix(g):
        return g.unflatten(0, (-1, config.d_head)).transpose(1, 2)
    q, k = gradients["W_QK"].chunk(2)
    bq, bk = gradients["b_QK"].chunk(2)
    return {"W_Q": matrix(q), "W_K": matrix(k), "W_V": matrix(gradients["W_V"]),
            "W_O": gradients["W_O"].T.unflatten(0, (-1, config.d_head)), "b_Q": bq.unflatten(0, (-1, config.d_head)),
            "b_K": bk.unflatten(0, (-1, config.d_head)), "b_V": gradients["b_V"].unflatten(0, (-1, config.d_head))}


class Plain:
    def __init__(self, job, checkpoint, peers):
        del peers
        component, self.variant = split(job)
        weights = load_file(checkpoint)
        self.config = config = reference.config_of(weights)
        self.component = component or "full"
        self.w = {n: t.clone() for n, t in weights.items() if ".attn." not in n}
        every = list(range(config.n_heads))
        self.layers = [[fused(weights, l, every)] for l in range(config.n_layers)]  # groups of heads; the first may move
        self.b_O = [weights[f"blocks.{l}.attn.b_O"].clone() for l in range(config.n_layers)]
        if component:
            self.layer, self.head = map(int, re.fullmatch(r"l(\d+)h(\d+)", component).groups())
        if self.variant == "alone":
            others = [h for h in every if h != self.head]
            self.layers[self.layer] = [fused(weights, self.layer, [self.head]), fused(weights, self.layer, others)]
        self.leaves = self.choose()
        for p in self.leaves:
            p.requires_grad_(True)
        if self.variant == "train":
            self.optimizer = torch.optim.AdamW(self.leaves, fused=True, **ADAMW)
        else:
            self.moving = [(p, cut, p.detach()[cut].clone()) for p, cut in self.restricted()]

    def choose(self):
        """What requires gradients."""
        if self.variant in ("limited", "alone"):
            return list(self.layers[self.layer][0].values())
        return [*self.w.values(), *(p for groups in self.layers for p in groups[0].values()), *self.b_O]

    def restricted(self):
        """What an SGLD step moves: pairs (tensor, part of it)."""
        if self.variant in ("full", "alone"):
            return [(p, ...) for p in self.leaves]
        d, n = self.config.d_head, self.config.n_heads
        q, k = (slice((h) * d, (h + 1) * d) for h in (self.head, n + self.head))
        cuts = {"W_QK": (q, k), "b_QK": (q, k), "W_V": (q,), "b_V": (q,), "W_O": ((slice(None), q),)}
        return [(p, cut) for name, p in self.layers[self.layer][0].items() for cut in cuts[name]]

    def attention(self, group, u, at):
        n = group["W_V"].shape[0] // self.config.d_head

        def heads(x, count):
            return x.unflatten(-1, (count, self.config.d_head)).transpose(1, 2)
        q, k = heads(F.linear(at, group["W_QK"], group["b_QK"]), 2 * n).chunk(2, dim=1)
        v = heads(F.linear(u, group["W_V"], group["b_V"]), n)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.linear(z.transpose(1, 2).flatten(2), group["W_O"])

    def norm(self, x, name):
        if self.config.normalization != "LN":
            return x
        return F.layer_norm(x, (self.config.d_model,), self.w[name + ".w"], self.w[name + ".b"], self.config.ln_eps)

    def loss(self, tokens):
        x = F.embedding(tokens, self.w["embed.W_E"])
        for layer, groups in enumerate(self.layers):
            u = self.norm(x, f"blocks.{layer}.ln1")
            at = u + self.w["pos_embed.W_pos"]
            out = self.b_O[layer]
            for group in reversed(groups):
                out = out + self.attention(group, u, at)
            x = x + out
        x = self.norm(x[:, :-1].flatten(0, 1), "ln_final")  # the last position predicts nothing
        return F.cross_entropy(torch.addmm(self.w["unembed.b_U"], x, self.w["unembed.W_U"]), tokens[:, 1:].flatten())

    def backward(self, tokens):
        for p in self.leaves:
            p.grad = None
        loss = self.loss(tokens)
        loss.backward()
        return loss.item()

    def gradient(self, tokens):
        loss = self.backward(tokens)
        found = {n: p.grad for n, p in self.w.items()}
        for l, groups in enumerate(self.layers):
            if groups[0]["W_V"].requires_grad:
                found[f"blocks.{l}.attn.b_O"] = self.b_O[l].grad
                parts = apart(self.config, {n: p.grad for n, p in groups[0].items()})
                found.update({f"blocks.{l}.attn.{n}": g for n, g in parts.items()})
        if self.variant == "alone":
            return loss, torch.cat([found[n].flatten() for n in head_tensors(self.config, self.component)])
        return loss, in_order(self.config, self.component, found)

    @torch.no_grad()
    def update(self):
        for p, cut, w0 in self.moving:
            w = p[cut]
            drift = torch.add((w - w0).mul_(SGLD["localization"]), p.grad[cut], alpha=SGLD["nbeta"])
            w.add_(drift, alpha=-0.5 * SGLD["lr"]).add_(torch.randn_like(w0), alpha=SGLD["lr"] ** 0.5)

    def step(self, tokens):
        loss = self.backward(tokens)
        self.optimizer.step() if self.variant == "train" else self.update()
        return loss


STACKS = {"devinterp": Hooked, "torch": Plain}
