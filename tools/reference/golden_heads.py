"""Makes tests/golden/heads: what TransformerLens says about the heads of a small model. Read by
tests/golden/test_golden_heads.c.

    python tools/reference/golden_heads.py

Needs torch, safetensors and transformer-lens < 4 (HookedTransformer left in 4.0). The weights are stored in float32;
TransformerLens computes from exactly those in float64. Files (.npy):

    tokens       [R, T]
    patterns     [2, L, H, T, T]     attention of sequences 0 and R-1
    losses       [R, T-1]            per prediction, the model as it is
    ablations    [4, L H, R, T-1]    with a head's z replaced: zero, mean, mean_position (over these R sequences),
                                     resample (sequence r gets that of r + SHIFT mod R)
    paths        [2, H, H, 4, R, T-1]  head 0:a's z replaced (zero, mean) in what head 1:b's q, k, v, or all of
                                     them, are made from (TransformerLens' hook_q_input and so on, before LayerNorm)
    composition  [2, 3, L, H, L, H]  all_composition_scores("K"), ("Q"), ("V") of the weights as they are, and after
                                     fold_layer_norm (gain and centring in W_Q, W_K, W_V; that it does in float32)
"""
import copy

import numpy as np
import torch
from safetensors.torch import save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig

import golden_model
import model

OUT = model.ROOT / "tests/golden/heads"
CONFIG = model.Config(2, 32, 4, 8, 24, 50)
ROWS, SEED, SHIFT = 4, 11, 3
PARTS = [("q",), ("k",), ("v",), ("q", "k", "v")]


def hooked(config, weights):
    network = HookedTransformer(HookedTransformerConfig(
        n_layers=config.n_layers, d_model=config.d_model, n_heads=config.n_heads, d_head=config.d_head,
        n_ctx=config.n_ctx, d_vocab=config.d_vocab, attn_only=True, positional_embedding_type="shortformer",
        normalization_type="LN", eps=config.ln_eps, dtype=torch.float64, seed=1, device="cpu"))
    result = network.load_state_dict({n: w.double() for n, w in weights.items()}, strict=False)
    missing = [k for k in result.missing_keys if k.rsplit(".", 1)[1] not in ("mask", "IGNORE")]
    assert not missing and not result.unexpected_keys, (missing, result.unexpected_keys)
    return network


def token_losses(network, tokens, hooks=()):
    logits = network.run_with_hooks(tokens, fwd_hooks=list(hooks))
    return network.loss_fn(logits, tokens, per_token=True).detach().numpy()


def outputs(network, tokens):
    """z [L, R, T, H, D]."""
    _, cache = network.run_with_cache(tokens)
    return torch.stack([cache["z", layer] for layer in range(network.cfg.n_layers)])


def stand_ins(z):
    """What replaces z in each ablation, in its shape."""
    return [torch.zeros_like(z), z.mean(dim=(1, 2), keepdim=True).expand_as(z),
            z.mean(dim=1, keepdim=True).expand_as(z), z.roll(-SHIFT, dims=1)]


def ablations(network, tokens, z):
    out = []
    for replacement in stand_ins(z):
        for layer in range(network.cfg.n_layers):
            for head in range(network.cfg.n_heads):
                def replace(value, hook):
                    value[:, :, head] = replacement[layer][:, :, head]
                    return value
                out.append(token_losses(network, tokens, [(f"blocks.{layer}.attn.hook_z", replace)]))
    return np.array(out).reshape(4, -1, *out[0].shape)


def paths(network, tokens, z):
    network.set_use_split_qkv_input(True)
    out = []
    for replacement in stand_ins(z)[:2]:
        for a in range(network.cfg.n_heads):
            change = (replacement[0][:, :, a] - z[0][:, :, a]) @ network.W_O[0, a]
            for b in range(network.cfg.n_heads):
                for parts in PARTS:
                    def remove(value, hook):
                        value = value.clone()
                        value[:, :, b] += change
                        return value
                    out.append(token_losses(network, tokens, [(f"blocks.1.hook_{p}_input", remove) for p in parts]))
    network.set_use_split_qkv_input(False)
    heads = network.cfg.n_heads
    return np.array(out).reshape(2, heads, heads, 4, *out[0].shape)


def composition(network):
    folded = copy.deepcopy(network)
    folded.load_and_process_state_dict(copy.deepcopy(network.state_dict()), fold_ln=True, center_writing_weights=False,
                                       center_unembed=False, fold_value_biases=False)
    return np.array([[n.all_composition_scores(mode).detach().numpy() for mode in "KQV"] for n in (network, folded)])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    weights = golden_model.random_weights(CONFIG, rng)
    tokens = golden_model.random_tokens(CONFIG, rng, ROWS)
    network = hooked(CONFIG, weights)
    losses = token_losses(network, tokens)
    plain = model.token_losses(golden_model.cast(weights, torch.float64), CONFIG, tokens).detach().numpy()
    assert np.abs(losses - plain).max() < 1e-12
    _, cache = network.run_with_cache(tokens)
    patterns = torch.stack([cache["pattern", layer] for layer in range(CONFIG.n_layers)], dim=1)[[0, ROWS - 1]]
    z = outputs(network, tokens)
    save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})
    golden_model.save_array(OUT / "tokens.npy", tokens, "<u2")
    golden_model.save_array(OUT / "patterns.npy", patterns.detach(), "<f4")
    golden_model.save_array(OUT / "losses.npy", losses, "<f8")
    golden_model.save_array(OUT / "ablations.npy", ablations(network, tokens, z.detach()), "<f8")
    golden_model.save_array(OUT / "paths.npy", paths(network, tokens, z.detach()), "<f4")
    golden_model.save_array(OUT / "composition.npy", composition(network), "<f8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
