"""rllc against devinterp: the same checkpoint, the same batches in the same order.

    build/peers-venv/bin/python tools/peers/parity.py --rllc build/rllc --peers build/peers-venv --output build/parity

A small model is trained with `rllc train`. Without noise the chains of both programs must be one: their losses are
compared step by step, for five components and every setting of CASES. With noise 20 chains each are compared as
estimates, z = difference / sqrt(se^2 + se^2). Both are devinterp's own samplers and estimators (devinterp_jobs.py).

Writes parity.md and parity.tsv to --output, prints the former; exits 1 beyond 2e-6, or |z| beyond 4.
"""
import argparse
import csv
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 2e-6  # both programs compute in float32: ten times what is left; an lr 1 % off is beyond 1e-5
Z_LIMIT = 4.0     # two-sided 6e-5 a comparison
COMPONENTS = ["full", "l0h1", "l1", "embed", "unembed"]
N_CTX, VOCABULARY, BATCH, N_BATCHES = 32, 61, 4, 64
SHAPE = ["--n-layers", 2, "--d-model", 32, "--n-heads", 4, "--d-head", 8, "--d-vocab", VOCABULARY]

DEFAULTS = {"method": "sgld", "component": "full", "lr": 1e-3, "nbeta": 30.0, "localization": 200.0, "noise_level": 0.0,
            "weight_decay": 0.0, "bounding_box": 0.0, "num_chains": 1, "num_draws": 30, "num_burnin_steps": 0,
            "num_steps_bw_draws": 1, "gradient_accumulation_steps": 1, "num_init_loss_batches": 16, "seed": 7}
RMSPROP = {"method": "rmsprop-sgld", "lr": 1e-4, "rmsprop_alpha": 0.99, "rmsprop_eps": 0.1}  # their defaults

# Name, settings. The second step size makes the losses move by tenths of a nat.
CASES = [
    ("sgld, the paper's settings", {}),
    ("sgld, long steps, weak pull", {"lr": 4e-3, "nbeta": 100.0, "localization": 5.0}),
    ("sgld, weight decay 20", {"weight_decay": 20.0, "lr": 2e-3}),
    ("sgld, box 0.01", {"bounding_box": 0.01, "lr": 4e-3, "nbeta": 100.0, "localization": 5.0}),
    ("sgld, 3 burn-in steps, every 2nd", {"num_burnin_steps": 3, "num_steps_bw_draws": 2, "num_draws": 15}),
    ("sgld, 2 minibatches a step", {"gradient_accumulation_steps": 2}),
    ("sgld, nbeta not given", {"nbeta": None, "lr": 4e-3}),  # 1.x: m / ln m; 2.x has no default
    ("rmsprop-sgld", RMSPROP),
    ("rmsprop-sgld, eps 1e-3, alpha 0.9, decay and box",
     {**RMSPROP, "lr": 3e-6, "rmsprop_alpha": 0.9, "rmsprop_eps": 1e-3, "localization": 10.0, "weight_decay": 5.0,
      "bounding_box": 0.03}),
]
NOISY = [
    ("sgld, the paper's settings", {"seed": 11}),
    ("sgld, burn-in 20, every 2nd", {"seed": 12, "num_burnin_steps": 20, "num_steps_bw_draws": 2, "num_draws": 10}),
    ("rmsprop-sgld, eps 1e-3", {**RMSPROP, "seed": 13, "lr": 3e-6, "rmsprop_eps": 1e-3}),
]
NOISY_COMPONENTS = ["full", "l0h1"]
NOISY_CHAINS = 20
FLAGS = {"lr", "nbeta", "localization", "noise_level", "weight_decay", "bounding_box", "num_chains", "num_draws",
         "num_burnin_steps", "num_steps_bw_draws", "gradient_accumulation_steps", "seed", "rmsprop_alpha",
         "rmsprop_eps"}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def walks(rng, *shape):
    """Random walks over the vocabulary: tokens of which a model can learn something in seconds."""
    steps = rng.choice([1, 2, 5], size=shape, p=[0.6, 0.3, 0.1])
    return ((np.cumsum(steps, axis=-1) + rng.integers(0, VOCABULARY, shape[:-1] + (1,))) % VOCABULARY).astype(np.int32)


def make_inputs(rllc, folder):
    """(checkpoint, batches): a model after 200 updates, and minibatches that it has not seen."""
    rng = np.random.default_rng(1)
    np.save(folder / "train.npy", walks(rng, 512, N_CTX))
    np.save(folder / "batches.npy", walks(rng, N_BATCHES, BATCH, N_CTX))
    if not (folder / "run").exists():
        run(rllc, "train", "--tokens", folder / "train.npy", "--output", folder / "run", "--steps", 200, "--batch-size",
            16, "--checkpoints", "200", *SHAPE, "--progress", "none")
    (checkpoint,) = (p for p in folder.rglob("model.safetensors") if "200" in p.parent.name)
    return checkpoint, folder / "batches.npy"


def devinterp(peers, release, jobs, folder):
    """The results of one release on a list of jobs."""
    paths = folder / f"jobs{release}.json", folder / f"results{release}.json"
    paths[0].write_text(json.dumps({"jobs": jobs}, indent=1))
    environment = {**os.environ, "PYTHONPATH": str((peers / f"devinterp{release}").resolve()), "OMP_NUM_THREADS": "1",
                   "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, str(ROOT / "tools/peers/devinterp_jobs.py"), *map(str, paths)],
                          env=environment, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"devinterp {release} ended with {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(paths[1].read_text())


def find(j, key):
    """The first value under `key`, at any depth."""
    for item in j.values() if isinstance(j, dict) else j if isinstance(j, list) else []:
        value = find(item, key)
        if value is not None:
            return value
    return j.get(key) if isinstance(j, dict) and key in j else None


def sample(rllc, job, release, folder):
    """rllc's chain under devinterp's conventions: {loss [chain][draw], moved: the largest loss - loss at w*, and what
    `rllc sample --json` says}."""
    trace = folder / "trace.csv"
    flags = []
    for key, value in job.items():
        if key in FLAGS and value is not None:
            flags += ["--" + key.replace("_", "-"), repr(value)]
    if release == 2:  # counts steps, rllc minibatches; 1.x has no such option, and --compat knows its number
        flags += ["--num-init-loss-batches", job["num_init_loss_batches"] * job["gradient_accumulation_steps"]]
    out = run(rllc, "sample", "--checkpoint", job["checkpoint"], "--tokens", job["batches"],
              "--component", job["component"], "--sampler", job["method"].lower(), "--compat", f"devinterp{release}",
              *flags, "--trace", trace, "--json", "--progress", "none", "--threads", 1)
    rows = list(csv.DictReader(trace.open()))
    loss = [[float(r["loss"]) for r in rows if int(r["chain"]) == c] for c in range(job["num_chains"])]
    moved = max((float(r["loss"]) - float(r["baseline"]) for r in rows), key=abs)
    result = json.loads(out)
    names = ("llc_mean", "llc_sd", "llc_mean_init", "llc_sd_init")
    return {"loss": loss, "moved": moved, **{key: find(result, key) for key in names}}


def relative(ours, theirs):
    ours, theirs = np.array(ours), np.array(theirs)
    if ours.shape != theirs.shape:
        sys.exit(f"a chain of rllc recorded {ours.shape}, devinterp {theirs.shape}")
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def releases_of(job):
    """The (release, sampler) that can run it."""
    both = [(1, job["method"]), (2, job["method"])]
    if job["method"] == "sgld":
        both.insert(1, (1, "SGLD"))  # 1.x: a class of its own beside SGMCMC.sgld
    return [(release, method) for release, method in both if job["nbeta"] is not None or release == 1]


def without_noise(options, checkpoint, batches, folder):
    """Rows of the table of noise-free chains."""
    jobs = {1: [], 2: []}
    keys = []
    for name, settings in CASES:
        for component in COMPONENTS:
            job = {**DEFAULTS, **settings, "component": component, "checkpoint": str(checkpoint),
                   "batches": str(batches)}
            for release, method in releases_of(job):
                for double in (False, True):
                    keys.append((name, component, release, method, double, len(jobs[release])))
                    jobs[release].append({**job, "method": method, "double": double})
    results = {release: devinterp(options.peers, release, jobs[release], folder) for release in jobs}
    rows, ours = [], {}
    for name, component, release, method, double, index in keys:
        job, theirs = jobs[release][index], results[release][index]
        key = (name, component, release)
        if key not in ours:
            ours[key] = sample(options.rllc, {**job, "method": job["method"].lower()}, release, folder)
        mine = ours[key]
        # The estimate is nbeta * (a difference of losses): its rounding is that of the losses, whatever its size.
        scale = theirs["nbeta"] * theirs["init_loss"]
        rows.append({
            "case": name, "component": component, "devinterp": theirs["devinterp"],
            "method": {"SGLD": "SGLD", "sgld": "SGMCMC.sgld", "rmsprop-sgld": "SGMCMC.rmsprop_sgld"}[method],
            "precision": "float64" if double else "float32", "losses": len(theirs["loss"][0]),
            "moved": mine["moved"],
            "loss_error": relative(mine["loss"], theirs["loss"]),
            "llc_devinterp": theirs["llc_mean"], "llc_rllc": mine["llc_mean_init"],
            "llc_error": abs(mine["llc_mean_init"] - theirs["llc_mean"]) / scale})
    return rows


def with_noise(options, checkpoint, batches, folder):
    """Rows of the table of estimates."""
    jobs = {1: [], 2: []}
    for name, settings in NOISY:
        for component in NOISY_COMPONENTS:
            job = {**DEFAULTS, "noise_level": 1.0, "num_chains": NOISY_CHAINS, "num_draws": 40, **settings,
                   "component": component, "checkpoint": str(checkpoint), "batches": str(batches), "name": name}
            for release in jobs:
                jobs[release].append(job)
    rows = []
    for release in jobs:
        for job, theirs in zip(jobs[release], devinterp(options.peers, release, jobs[release], folder)):
            mine = sample(options.rllc, {**job, "seed": 10 * job["seed"] + release}, release, folder)
            n = job["num_chains"]
            sd = float(np.std(theirs["llc_per_chain"], ddof=1))
            # Chains share their minibatches in both programs: given these, they are independent.
            own_sd = float(np.std(np.mean(mine["loss"], axis=1), ddof=1)) * theirs["nbeta"]
            rows.append({"case": job["name"], "component": job["component"], "devinterp": theirs["devinterp"],
                         "llc_devinterp": theirs["llc_mean"], "se_devinterp": sd / math.sqrt(n),
                         "llc_rllc": mine["llc_mean_init"], "se_rllc": own_sd / math.sqrt(n),
                         "z": (mine["llc_mean_init"] - theirs["llc_mean"]) / math.sqrt((sd * sd + own_sd * own_sd) / n),
                         "sd_ratio": own_sd / sd, "std_devinterp": theirs["llc_std"], "std_rllc": mine["llc_sd_init"],
                         "llc_paired": mine["llc_mean"], "sd_paired": mine["llc_sd"]})
    return rows


def write_markdown(still, noisy, torch_version, path):
    lines = [f"Made by `tools/peers/parity.py` with devinterp {' and '.join(sorted({r['devinterp'] for r in still}))}, "
             f"torch {torch_version}, on one core.", "",
             "Without noise, largest relative difference of a recorded loss over five components "
             f"({', '.join(COMPONENTS)}):", "",
             "| case | devinterp | sampler | losses | largest loss - loss at w* | loss, float32 | float64 | llc |",
             "|---|---|---|--:|--:|--:|--:|--:|"]
    groups = {}
    for row in still:
        groups.setdefault((row["case"], row["devinterp"], row["method"]), []).append(row)
    for (case, version, method), rows in groups.items():
        worst = {p: max(r["loss_error"] for r in rows if r["precision"] == p) for p in ("float32", "float64")}
        change = max((r["moved"] for r in rows), key=abs)
        lines.append(f"| {case} | {version} | `{method}` | {rows[0]['losses']} | {change:+.3f} | "
                     f"{worst['float32']:.1e} | {worst['float64']:.1e} | {max(r['llc_error'] for r in rows):.1e} |")
    lines += ["", "`float32`: devinterp as it is; `float64`: its model in double precision. `llc`: difference of the "
              "estimates, in units of nbeta times the init loss.", "",
              f"Worst loss: {max(r['loss_error'] for r in still):.1e}; allowed {TOLERANCE:.0e}.", "",
              f"With noise, {NOISY_CHAINS} chains each, estimates with their standard errors:", "",
              "| case | component | devinterp | its llc | ours | z | ratio of sd over chains |",
              "|---|---|---|--:|--:|--:|--:|"]
    for r in noisy:
        lines.append(f"| {r['case']} | {r['component']} | {r['devinterp']} | {r['llc_devinterp']:.3f} +- "
                     f"{r['se_devinterp']:.3f} | {r['llc_rllc']:.3f} +- {r['se_rllc']:.3f} | {r['z']:+.2f} | "
                     f"{r['sd_ratio']:.2f} |")
    zs = [r["z"] for r in noisy]
    rms = math.sqrt(sum(z * z for z in zs) / len(zs))
    lines += ["", f"{len(zs)} z: root mean square {rms:.2f}, largest {max(zs, key=abs):+.2f}."]
    path.write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def write_tsv(tables, path):
    """One file: the columns of both tables, `table` first; empty where a table has no such column."""
    columns = ["table"] + list(dict.fromkeys(key for rows in tables.values() for row in rows for key in row))
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, columns, delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        for name, rows in tables.items():
            writer.writerows({"table": name, **row} for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rllc", default=ROOT / "build/rllc", type=pathlib.Path)
    parser.add_argument("--peers", default=ROOT / "build/peers-venv", type=pathlib.Path, help="of install.sh")
    parser.add_argument("--output", default=ROOT / "build/parity", type=pathlib.Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    checkpoint, batches = make_inputs(options.rllc, options.output)
    still = without_noise(options, checkpoint, batches, options.output)
    noisy = with_noise(options, checkpoint, batches, options.output)
    torch_version = json.loads((options.output / "results1.json").read_text())[0]["torch"]
    print(write_markdown(still, noisy, torch_version, options.output / "parity.md"))
    write_tsv({"without noise": still, "with noise": noisy}, options.output / "parity.tsv")
    worst, furthest = max(r["loss_error"] for r in still), max(abs(r["z"]) for r in noisy)
    llc = max(r["llc_error"] for r in still)
    if not (worst <= TOLERANCE and llc <= TOLERANCE and furthest <= Z_LIMIT):
        sys.exit(f"beyond what is allowed: loss {worst:.1e}, z {furthest:.1f}, llc {llc:.1e}")


if __name__ == "__main__":
    main()
