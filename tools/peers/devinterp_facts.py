"""What the devinterp on the path does where docs/devinterp.md says that it differs from rllc: small experiments.

    PYTHONPATH=build/peers-venv/devinterp1 build/peers-venv/bin/python tools/peers/devinterp_facts.py [--numbers FILE]

Prints one line a statement: yes or NO, the statement, what was seen. Exits 1 if one no longer holds. --numbers writes,
with exact float32 values, the trace and estimates that tests/sampling/test_compat.c quotes.
"""
import argparse
import contextlib
import importlib.metadata
import io
import itertools
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

VERSION = importlib.metadata.version("devinterp")
MAJOR = int(VERSION.split(".")[0])
CTX, VOCABULARY, BATCH, ROWS = 8, 11, 4, 64
seen = []


def fact(statement, holds, evidence):
    seen.append(bool(holds))
    print(f"{'yes' if holds else 'NO '}  {statement}: {evidence}", flush=True)


def network(seed=1, n_heads=2):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return HookedTransformer(HookedTransformerConfig(
            n_layers=1, d_model=8, n_heads=n_heads, d_head=4, n_ctx=CTX, d_vocab=VOCABULARY, attn_only=True,
            positional_embedding_type="shortformer", normalization_type="LN", seed=seed, device="cpu"))


def rows(n=ROWS):
    return torch.tensor(np.random.default_rng(3).integers(0, VOCABULARY, (n, CTX)))


def quietly(function, *args, **kwargs):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), \
            warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(*args, **kwargs), [str(w.message) for w in caught]


def raises(function, *args, **kwargs):
    """The exception's name and text, or None."""
    try:
        quietly(function, *args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:110]}"
    return None


def batch_losses(net, data):
    """Loss at w* of each minibatch in order."""
    with torch.no_grad():
        return [net(data[i:i + BATCH], return_type="loss").item() for i in range(0, len(data), BATCH)]


def sgnht_spread(factory, steps=4000):
    """Mean square of 500 coordinates under U = w^2 / 2 (nbeta 1): a sampler of exp(-U) gives 1."""
    torch.manual_seed(0)
    w = torch.nn.Parameter(torch.zeros(500))
    sampler = quietly(factory, [w])[0]
    total, n = 0.0, 0
    for step in range(steps):
        sampler.zero_grad()
        (w ** 2 / 2).sum().backward()
        sampler.step()
        if step >= steps // 2:
            total, n = total + (w.detach() ** 2).mean().item(), n + 1
    return total / n


# ---- 1.x -------------------------------------------------------------------------------------------------------

def facts_1():
    from devinterp.optim.sgld import SGLD
    from devinterp.optim.sgmcmc import SGMCMC
    from devinterp.optim.sgnht import SGNHT
    from devinterp.slt.mala import MalaAcceptanceRate
    from devinterp.slt.sampler import estimate_learning_coeff_with_summary as estimate
    from devinterp.utils import default_nbeta
    data = rows()

    def run(net=None, shuffle=False, settings=None, masks=None, callbacks=(), **kwargs):
        usual = dict(lr=1e-3, nbeta=30.0, localization=50.0, noise_level=0.0)
        loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=shuffle)
        kwargs = {"num_chains": 1, "num_draws": 6, "verbose": False, "sampling_method": SGMCMC.sgld, **kwargs}
        return quietly(estimate, net or network(), loader, callbacks=list(callbacks),
                       evaluate=lambda m, x: m(x, return_type="loss"),
                       optimizer_kwargs=usual if settings is None else settings or None,
                       optimize_over_per_model_param=masks, **kwargs)[0]

    plain = run(num_draws=12)["loss/trace"][0]
    thin = run(num_draws=4, num_burnin_steps=3, num_steps_bw_draws=2)["loss/trace"][0]
    fact("a draw is the last step of its interval, burn-in is dropped", np.array_equal(thin, plain[4:12:2]),
         f"3 burn-in steps, every 2nd: steps {[int(np.flatnonzero(plain == x)[0]) for x in thin]}")
    at_start = batch_losses(network(), data)
    fact("the loss of draw 0 is the first minibatch's at w*", abs(plain[0] - at_start[0]) < 1e-6,
         f"{plain[0]:.6f}, {at_start[0]:.6f}")

    def with_noise():
        return dict(lr=1e-3, nbeta=30.0, localization=50.0)

    noisy = run(num_chains=3, seed=5, settings=with_noise())
    values = np.array([noisy[f"llc-chain/{c}"] for c in range(3)])
    fact("llc/std divides by n - 1", abs(noisy["llc/std"] - values.std(ddof=1)) < 1e-5 * values.std(),
         f"{noisy['llc/std']:.6f}; ddof 1: {values.std(ddof=1):.6f}, ddof 0: {values.std():.6f}")
    fact("one chain has llc/std NaN", np.isnan(run()["llc/std"]), run()["llc/std"])
    init = noisy["loss/trace"].mean(axis=1) - values / 30
    fact("init loss: mean over num_chains minibatches, one for all chains",
         np.abs(init - np.mean(at_start[:3])).max() < 1e-6,
         f"{init[0]:.6f}; of 3 minibatches {np.mean(at_start[:3]):.6f}")

    def init_of(result):
        return result["loss/trace"][0].mean() - result["llc-chain/0"] / 30
    nets = [network(), network()]  # making one seeds torch
    torch.manual_seed(0)
    first, second = (init_of(run(net, shuffle=True, seed=5)) for net in nets)
    fact("the summary's init loss does not follow `seed`", first != second, f"seed 5 twice: {first:.6f}, {second:.6f}")
    zero = run(init_loss=0.0)
    fact("an init loss of exactly 0 counts as not given", zero["llc-chain/0"] < 0.5 * 30 * zero["loss/trace"][0].mean(),
         f"llc {zero['llc-chain/0']:.3f}, not {30 * zero['loss/trace'][0].mean():.3f}")

    settings = dict(lr=1e-3, localization=50.0, noise_level=0.0)
    run(settings=settings)
    fact("default nbeta is m / ln m of the batch size m", abs(settings["nbeta"] - BATCH / np.log(BATCH)) < 1e-12,
         f"m = {BATCH}: {settings['nbeta']:.6f}; m = 32: {default_nbeta(32):.6f}; "
         f"m = 1: {quietly(default_nbeta, 1)[0]}")
    error = raises(run, settings={})
    fact("optimizer_kwargs None, the documented default, raises", error and "TypeError" in error, error)

    a, b = (run(num_chains=2, seed=s, settings=with_noise())["loss/trace"] for s in (5, 6))
    fact("chain 1 of seed 5 is not chain 0 of seed 6", not np.array_equal(a[1], b[0]),
         f"losses {a[1][-1]:.5f}, {b[0][-1]:.5f}")
    error = raises(run, settings=dict(lr=1e12, nbeta=1e12, localization=0.0))
    fact("a NaN ends the whole run", error and "RuntimeError" in error, error)

    names = [n for n, _ in network().named_parameters()]
    error = raises(run, masks={names[0]: torch.ones_like(dict(network().named_parameters())[names[0]])})
    fact("a mask must name every parameter", error and "KeyError" in error, error)

    mala = MalaAcceptanceRate(1, 6, 1e-3, nbeta=30.0)
    trace = run(callbacks=[mala], sampling_method=SGLD, settings=with_noise())["mala_accept/trace"][0]
    fact("entry 0 of the MALA trace is never filled, and enters the mean", trace[0] == 0 and (trace[1:] > 0).all(),
         " ".join(f"{x:.3f}" for x in trace))
    facts_sgnht(SGMCMC, SGNHT)


# ---- 2.x -------------------------------------------------------------------------------------------------------

def facts_2():
    from datasets import Dataset
    from devinterp.optim.sgmcmc import SGMCMC
    from devinterp.optim.sgnht import SGNHT
    from devinterp.slt.llc import compute_llc, llc
    from devinterp.slt.sampling import sample
    from devinterp.slt.weight_restrictions import create_param_masks
    data = Dataset.from_dict({"input_ids": rows().numpy()}).with_format("torch")
    usual = dict(lr=1e-3, n_beta=30.0, localization=50.0, noise_level=0.0, num_chains=1, num_draws=6, batch_size=BATCH,
                 num_init_loss_batches=3, shuffle=False, device="cpu")

    def tree(net=None, observables=None, **kwargs):
        return quietly(sample, net or network(), data, observables or {}, **{**usual, **kwargs})

    def losses(samples):
        return samples.dataset.sampling_loss_micro.mean(dim=["batch_sampling", "token_pos"]).values

    plain = losses(tree(num_draws=12)[0])[0]
    thin = tree(num_draws=4, num_burnin_steps=3, num_steps_bw_draws=2)[0]
    at_draws = thin.dataset.sampling_loss.mean(dim=["batch", "token_pos"]).values[0]
    fact("a draw is the first step of its interval", np.allclose(at_draws, plain[3:11:2], rtol=1e-6),
         f"3 burn-in steps, every 2nd: steps {[int(np.argmin(abs(plain - x))) for x in at_draws]}")
    result = compute_llc(thin)
    fact("its llc averages every step, burn-in included", abs(float(result.llc_mean) - 30 * (losses(thin)[0].mean()
         - float(result.init_loss))) < 1e-4 and losses(thin).shape[1] == 11,
         f"11 losses, {float(result.llc_mean):.5f}; "
         f"of the 4 draws {30 * (at_draws.mean() - float(result.init_loss)):.5f}")

    noisy = compute_llc(tree(num_chains=3, noise_level=1.0)[0])
    values = noisy.llc_per_chain.values
    fact("llc_std divides by n", abs(float(noisy.llc_std) - values.std()) < 1e-5 * values.std(),
         f"{float(noisy.llc_std):.6f}; ddof 0: {values.std():.6f}, ddof 1: {values.std(ddof=1):.6f}")
    alone = compute_llc(tree()[0])
    fact("one chain has llc_std 0", float(alone.llc_std) == 0, float(alone.llc_std))
    at_start = batch_losses(network(), rows())
    init = tree(num_chains=3)[0].dataset.init_loss.values.mean(axis=1)
    fact("init loss: mean over num_init_loss_batches, the chain's first minibatches",
         abs(init - np.mean(at_start[:3])).max() < 1e-6,
         f"{init[0]:.6f} for each of 3 chains; of 3 minibatches {np.mean(at_start[:3]):.6f}")
    error = raises(sample, network(), data, {}, lr=1e-3)
    fact("n_beta has no default", error and "TypeError" in error, error)

    a, b = (losses(tree(num_chains=2, init_seed=s, noise_level=1.0)[0]) for s in (5, 6))
    fact("chain 1 of init_seed 5 is chain 0 of init_seed 6", np.array_equal(a[1], b[0]),
         f"losses {a[1][-1]:.5f}, {b[0][-1]:.5f}")

    calls = itertools.count()

    def poisoned(net, ids):  # 3 init-loss minibatches, then the chain: its 4th step is NaN
        log_p = torch.log_softmax(net(ids, return_type="logits"), -1)
        loss = -log_p[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        return loss * float("nan") if next(calls) == 6 else loss
    broken, said = tree(loss_fn=poisoned)
    trace = losses(broken)[0]
    mean = float(compute_llc(broken).llc_mean)
    fact("a NaN stops the chain with a warning; the run is marked complete and the llc averages what is left",
         any("Chain failed" in w for w in said) and broken.attrs["completed"] == 1 and np.isfinite(mean)
         and np.isnan(trace).sum() == 3, f"{np.isnan(trace).sum()} of 6 losses NaN, llc {mean:.4f}")

    masked = create_param_masks(network(), "l0h1")
    parts = {n: None if m is None else int(m.sum()) for n, m in masked.items()}
    fact("a head is its slices of W_Q W_K W_V W_O b_Q b_K b_V", sorted(n.rsplit(".", 1)[1] for n in parts) ==
         sorted(["W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"]) and set(parts.values()) == {32, 4}, parts)
    noises = [tree(param_masks=create_param_masks(network(), c), init_noise=0.1)[0] for c in ("full", "l0h1")]
    start = [n.dataset.init_loss.values.mean() for n in noises]
    first = [losses(n)[0][0] for n in noises]
    fact("init_noise moves every parameter for the init loss, the restricted ones for the chain",
         start[0] == start[1] and first[0] != first[1],
         f"init loss {start[0]:.6f} and {start[1]:.6f}, first loss {first[0]:.6f} and {first[1]:.6f} (full, l0h1)")

    same = Dataset.from_dict({"input_ids": rows(BATCH).numpy()}).with_format("torch")
    observed = quietly(sample, network(), same, {"same": (same, 1)}, **{**usual, "num_init_loss_batches": 1})[0].dataset
    before = observed.sampling_loss_micro.mean(dim=["batch_sampling", "token_pos"]).values[0]
    after = observed.loss_same.mean(dim=["batch_same", "token_pos"]).values[0]
    fact("an observable's loss at a draw is that after the step", np.allclose(after[:-1], before[1:], atol=1e-6),
         f"draw 0: {before[0]:.6f} before, {after[0]:.6f} observed, {before[1]:.6f} next")

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "samples.zarr"
        one = float(quietly(llc, network(1), data, {}, output_path=path, **usual)[0].llc_mean)
        two = float(quietly(llc, network(2), data, {}, output_path=path, **usual)[0].llc_mean)
        own = float(quietly(llc, network(2), data, {}, **usual)[0].llc_mean)
    fact("the cache does not see the weights", one == two != own,
         f"another model, the same path: {two:.5f}; its own: {own:.5f}")
    facts_sgnht(SGMCMC, SGNHT)


def facts_sgnht(SGMCMC, SGNHT):
    lr = 0.05
    named = sgnht_spread(lambda p: SGMCMC.sgnht(p, lr=lr, diffusion_factor=0.01, nbeta=1.0))
    # SGLD with noise sqrt(2 A) times too small: A 2 / (1 - lr / 4) at this lr
    expected = 0.02 / (1 - lr / 4)
    fact("SGMCMC.sgnht is SGLD at 2 A times the temperature, not SGNHT", abs(named / expected - 1) < 0.05,
         f"mean square {named:.4f}; exp(-U): 1; 2 A / (1 - lr / 4): {expected:.4f}")
    real = sgnht_spread(lambda p: SGNHT(p, lr=0.002, diffusion_factor=0.01, nbeta=1.0), 20000)
    fact("the class SGNHT samples its target", abs(real - 1) < 0.1, f"mean square {real:.3f}; exp(-U): 1")


# ---- numbers for tests/sampling/test_compat.c --------------------------------------------------------------------

def numbers(path):
    """The recorded losses of three noisy chains, and what devinterp makes of them."""
    data, lines = rows(), []
    if MAJOR == 1:
        from devinterp.optim.sgmcmc import SGMCMC
        from devinterp.slt.sampler import estimate_learning_coeff_with_summary as estimate
        settings = dict(lr=1e-3, localization=50.0)
        r = quietly(estimate, network(), torch.utils.data.DataLoader(data, batch_size=BATCH), num_chains=3, num_draws=4,
                    num_burnin_steps=2, num_steps_bw_draws=2, seed=5, sampling_method=SGMCMC.sgld, verbose=False,
                    evaluate=lambda m, x: m(x, return_type="loss"), optimizer_kwargs=settings)[0]
        loss, nbeta, init = r["loss/trace"], settings["nbeta"], np.mean(batch_losses(network(), data)[:3])
        mean, std, per_chain = r["llc/mean"], r["llc/std"], [r[f"llc-chain/{c}"] for c in range(3)]
    else:
        from datasets import Dataset
        from devinterp.slt.llc import compute_llc
        from devinterp.slt.sampling import sample
        hf = Dataset.from_dict({"input_ids": data.numpy()}).with_format("torch")
        tree = quietly(sample, network(), hf, {}, lr=1e-3, n_beta=30.0, localization=50.0, num_chains=3, num_draws=2,
                       num_burnin_steps=2, num_steps_bw_draws=2, batch_size=BATCH, num_init_loss_batches=3,
                       shuffle=False, init_seed=5, device="cpu")[0]
        r = compute_llc(tree)
        loss, nbeta, init = r.loss_trace.values, 30.0, float(r.init_loss)
        mean, std, per_chain = float(r.llc_mean), float(r.llc_std), r.llc_per_chain.values
    lines += [f"devinterp {VERSION}", f"nbeta {float(nbeta)!r}", f"init_loss {float(init)!r}"]
    lines += ["loss " + " ".join(repr(float(x)) for x in chain) for chain in loss]
    lines += ["per_chain " + " ".join(repr(float(x)) for x in per_chain)]
    lines += [f"llc_mean {float(mean)!r}", f"llc_std {float(std)!r}"]
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.numbers:
        numbers(options.numbers)
        return
    print(f"devinterp {VERSION}, torch {torch.__version__}")
    facts_1() if MAJOR == 1 else facts_2()
    print(f"{sum(seen)} of {len(seen)} hold")
    sys.exit(not all(seen))


if __name__ == "__main__":
    main()
