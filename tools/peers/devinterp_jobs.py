"""Runs chains with the devinterp that is on the path, its own samplers and estimators, on given batches in order.

    PYTHONPATH=build/peers-venv/devinterp1 build/peers-venv/bin/python tools/peers/devinterp_jobs.py JOBS RESULTS

JOBS, a JSON file: {"jobs": [{checkpoint, batches, component, method, double, nbeta, lr, ...}]}, settings in rllc's
names; `batches` is a .npy file [steps, batch, n_ctx]. RESULTS: a list of {loss [chain][draw], init_loss, llc_mean,
llc_std, llc_per_chain, ...} as devinterp gave them. tools/peers/parity.py writes the one and reads the other.
Nothing of a sampler or an estimator is computed here.
"""
import contextlib
import importlib.metadata
import io
import json
import pathlib
import sys
import time
import warnings

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import model as reference  # noqa: E402
from transformer_lens_check import load_into_hooked  # noqa: E402

VERSION = importlib.metadata.version("devinterp")
MAJOR = int(VERSION.split(".")[0])


def load(job):
    """(HookedTransformer, rows [steps * batch, n_ctx], batch) of a job; its weights in float64 if job["double"]."""
    network = load_into_hooked(job["checkpoint"])
    if job.get("double"):
        network = network.to(torch.float64)
    batches = np.load(job["batches"]).astype(np.int64)
    return network, torch.tensor(batches.reshape(-1, batches.shape[2])), batches.shape[1]


def options(job):
    """What both releases call by the same name."""
    return {"lr": job["lr"], "localization": job["localization"], "noise_level": job["noise_level"],
            "bounding_box_size": job["bounding_box"] or None}


def run_1(job):
    from devinterp.optim.sgld import SGLD
    from devinterp.optim.sgmcmc import SGMCMC
    from devinterp.slt.sampler import estimate_learning_coeff_with_summary

    network, rows, batch = load(job)
    settings = {**options(job), "weight_decay": job["weight_decay"]}
    if "rmsprop_eps" in job:
        settings.update(alpha=job["rmsprop_alpha"], eps=job["rmsprop_eps"])
    if job["nbeta"] is not None:
        settings["nbeta"] = job["nbeta"]
    masks = None  # 1.x has no names for components: a 0/1 tensor for every parameter
    if job["component"] != "full":
        chosen = reference.component_mask(reference.config_of(network.state_dict()), job["component"])
        masks = {name: chosen[name].float() for name, _ in network.named_parameters()}
    result = estimate_learning_coeff_with_summary(
        network, torch.utils.data.DataLoader(rows, batch_size=batch),
        evaluate=lambda net, tokens: net(tokens, return_type="loss"),
        sampling_method={"SGLD": SGLD, "sgld": SGMCMC.sgld, "rmsprop-sgld": SGMCMC.rmsprop_sgld}[job["method"]],
        optimizer_kwargs=settings, num_draws=job["num_draws"], num_chains=job["num_chains"],
        num_burnin_steps=job["num_burnin_steps"], num_steps_bw_draws=job["num_steps_bw_draws"],
        grad_accum_steps=job["gradient_accumulation_steps"], seed=job["seed"],
        verbose=False, optimize_over_per_model_param=masks)
    per_chain = [result[f"llc-chain/{c}"] for c in range(job["num_chains"])]
    loss = result["loss/trace"].astype(float)
    # The summary does not name its init loss: read it off the estimate.
    nbeta = settings["nbeta"]  # devinterp filled it in if it was missing
    return {"loss": loss.tolist(), "nbeta": float(nbeta), "init_loss": float(loss[0].mean() - per_chain[0] / nbeta),
           "llc_mean": result["llc/mean"], "llc_std": result["llc/std"], "llc_per_chain": per_chain}


def run_2(job):
    from datasets import Dataset
    from devinterp.slt.llc import compute_llc
    from devinterp.slt.sampling import sample
    from devinterp.slt.weight_restrictions import create_param_masks

    network, rows, batch = load(job)
    data = Dataset.from_dict({"input_ids": rows.numpy()}).with_format("torch")
    samples = sample(
        network, data, {}, n_beta=job["nbeta"], param_masks=create_param_masks(network, job["component"]),
        num_chains=job["num_chains"], num_draws=job["num_draws"], batch_size=batch,
        num_burnin_steps=job["num_burnin_steps"], num_steps_bw_draws=job["num_steps_bw_draws"],
        num_init_loss_batches=job["num_init_loss_batches"], init_seed=job["seed"] or 0,
        gradient_accumulation_steps=job["gradient_accumulation_steps"], llc_weight_decay=job["weight_decay"],
        sampling_method={"sgld": "sgmcmc_sgld", "rmsprop-sgld": "rmsprop_sgld"}[job["method"]], shuffle=False,
        rmsprop_eps=job.get("rmsprop_eps"), rmsprop_alpha=job.get("rmsprop_alpha"), device="cpu", **options(job))
    result = compute_llc(samples)
    at_draws = samples.dataset.sampling_loss.mean(dim=["batch", "token_pos"]).values
    return {"loss": result.loss_trace.values.astype(float).tolist(), "loss_at_draws": at_draws.astype(float).tolist(),
            "nbeta": job["nbeta"], "init_loss": float(result.init_loss),
            "init_loss_per_chain": samples.dataset.init_loss.values.mean(axis=1).astype(float).tolist(),
            "llc_mean": float(result.llc_mean), "llc_std": float(result.llc_std),
            "llc_per_chain": result.llc_per_chain.values.astype(float).tolist()}


def main(jobs_path, results_path):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = []
    for job in json.loads(pathlib.Path(jobs_path).read_text())["jobs"]:
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result = run_1(job) if MAJOR == 1 else run_2(job)
        results.append({"devinterp": VERSION, "torch": torch.__version__, "seconds": time.perf_counter() - started,
                        **result})
    pathlib.Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
