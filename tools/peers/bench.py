"""rllc beside what is used today, on the same checkpoint, batch and threads: tokens a second, ratios, memory.

    build/peers-venv/bin/python tools/peers/bench.py --build build --peers build/peers-venv --output side-by-side.tsv

bench/side_by_side.sh calls this. First every program's loss and one gradient on the batch must agree to 1e-4. Then come
rounds: in each, every step of every program is timed once, in a process of its own, one after the other, so that what
else the machine does hits all of them. Numbers are medians over rounds; a ratio is taken within each round first.

What is timed is in bench_models.py, how in bench_worker.py, and for rllc in bench/step.c. The environments:

    stock     as installed
    tuned     glibc told to keep memory and to use huge pages: half of a stock step goes to page faults
    tuned+    and, on AMD processors with AVX-512, MKL told that the processor is an Intel one: it uses AVX2 otherwise
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from bench_table import Table

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reference"))
import model as reference  # noqa: E402

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(64 << 30), "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
          "MALLOC_TOP_PAD_": str(256 << 20), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
INTEL = "int mkl_serv_intel_cpu_true(void);\nint mkl_serv_intel_cpu_true(void) { return 1; }\n"
EXTRAS = 1.2  # what follows the rounds takes about so many of them
TOLERANCE = 1e-4  # of the loss, and of the largest entry of a gradient
LAYER = "l{0}h0,l{0}h1,l{0}h2,l{0}h3,l{0}h4,l{0}h5,l{0}h6,l{0}h7"

# Job, what rllc runs: label, selectors, chains, paired baselines; which jobs of the peers do the same.
RLLC = [("train", "rllc", "train", 1, False),
        ("full", "rllc, 1 chain", "full", 1, False),
        ("full", "rllc, 4 chains", "full", 4, True),
        ("l1h3", "rllc, 1 chain", "l1h3", 1, False),
        ("l1h3", "rllc, 4 chains", "l1h3", 4, True),
        ("l1h3", "rllc, 8 heads x 4 chains", LAYER.format(1), 4, True),
        ("l0h3", "rllc, 1 chain", "l0h3", 1, False),
        ("l0h3", "rllc, 4 chains", "l0h3", 4, True),
        ("l0h3", "rllc, 8 heads x 4 chains", LAYER.format(0), 4, True),
        ("heads", "rllc, 16 heads x 4 chains", "heads", 4, True)]
PEERS = [("train", "TransformerLens", "devinterp", "train"),
         ("train", "by hand", "torch", "train"),
         ("full", "devinterp 2", "devinterp", "full"),
         ("full", "by hand", "torch", "full")]
for head in ("l1h3", "l0h3"):
    PEERS += [(head, "devinterp 1: full backward, then mask", "devinterp", f"{head}:masked"),
              (head, "devinterp 2: gradients of that layer", "devinterp", f"{head}:limited"),
              (head, "by hand: gradients of that layer", "torch", f"{head}:limited"),
              (head, "by hand: gradients of that head", "torch", f"{head}:alone")]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def clean_environment():
    """Nothing that slows a peer down, or lets one look for a network or a GPU."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("OPENBLAS_", "MKL_", "OMP_", "KMP_", "GOMP_", "MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def environments(scratch):
    """{name: extra variables}; tuned+ only where it does something."""
    found = {"stock": {}, "tuned": MALLOC}
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    if "AuthenticAMD" in cpu and "avx512f" in cpu:
        source, library = scratch / "intel.c", scratch / "intel.so"
        source.write_text(INTEL)
        if subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], capture_output=True).returncode == 0:
            found["tuned+"] = {**MALLOC, "LD_PRELOAD": str(library)}
        else:
            say("no C compiler: MKL stays with AVX2 on this processor")
    return found


class Worker:
    """The server of one environment (bench_worker.py)."""

    def __init__(self, options, extra, common):
        self.common = common
        self.process = subprocess.Popen(
            [options.python, "-W", "ignore", HERE / "bench_worker.py"], env={**clean_environment(), **extra},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def hello(self):
        return json.loads(self.process.stdout.readline() or "{}")

    def ask(self, stack, job, **more):
        request = {**self.common, "stack": stack, "job": job, **more}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the worker died"}
        if "error" in answer:
            sys.exit(f"bench.py: {stack} {job}: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Rllc:
    def __init__(self, options, common):
        self.build, self.common = pathlib.Path(options.build), common

    def run(self, program, *arguments):
        command = [str(a) for a in (self.build / program, *arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode:
            sys.exit(f"bench.py: {' '.join(command)}\n{done.stderr.strip()}")
        return done.stdout

    def step(self, selectors, chains, *more, rows=None):
        return self.run("bench_step", "--checkpoint", self.common["checkpoint"], "--tokens", self.common["tokens"],
                        "--job", selectors, "--chains", chains, "--rows", rows or self.common["rows"],
                        "--threads", self.common["threads"], "--seconds", self.common["seconds"], *more)

    def timed(self, selectors, chains, baseline, rows=None):
        rows = [line.split("\t") for line in
                self.step(selectors, chains, *(["--baseline", "yes"] if baseline else []), rows=rows).splitlines()]
        found = {row[2]: float(row[4]) for row in rows if row[0] == "step"}
        return {"rate": found["rate"], "cores": found["processors"], "peak_mb": found["memory"]}

    def sample(self, component, chains, draws):
        """Seconds of the whole program `rllc sample`, doing what devinterp 2 does and the paired baselines."""
        started = time.perf_counter()
        self.run("rllc", "sample", "--checkpoint", self.common["checkpoint"], "--tokens", self.common["tokens"],
                 "--components", component, "--num-chains", chains, "--num-draws", draws, "--batches", "shared",
                 "--batch-size", self.common["rows"], "--num-init-loss-batches", 1, "--curvature-probes", 0,
                 "--no-mala", "--threads", self.common["threads"], "--quiet")
        return time.perf_counter() - started


def make_inputs(options, scratch):
    """The paper's shape with random weights, unless a checkpoint is given, and random tokens: speed depends on neither,
    and nobody can say that the batch was chosen. Returns (checkpoint, tokens, n_ctx)."""
    import torch
    from safetensors.torch import load_file, save_file
    checkpoint, tokens = options.checkpoint, scratch / "tokens.npy"
    if checkpoint:
        config = reference.config_of(load_file(checkpoint))
    else:
        config, checkpoint = reference.Config(2, 256, 8, 32, 1024, 5000), str(scratch / "model.safetensors")
        torch.manual_seed(1)
        save_file({n: 0.05 * torch.randn(s) + n.endswith(".w") for n, s in reference.tensor_shapes(config).items()},
                  checkpoint)
    np.save(tokens, np.random.default_rng(2).integers(0, config.d_vocab, (8, config.n_ctx)).astype(np.int32))
    return checkpoint, str(tokens), config.n_ctx


def check(rllc, workers, scratch):
    """We time the same thing: the losses and gradients of every kind of step agree. Returns the largest error."""
    worst, ours, theirs = 0.0, scratch / "rllc.bin", scratch / "peer.bin"
    for component in ("train", "l1h3", "l0h3"):
        loss = float(rllc.step(component, 1, "--gradient", ours))
        gradient = np.fromfile(ours, "<f4")
        for name, worker in workers.items():
            if component != "train" and name != list(workers)[-1]:
                continue
            for stack, job in [(s, j) for k, _, s, j in PEERS if k == component]:
                answer = worker.ask(stack, job, gradient=str(theirs))
                other = np.fromfile(theirs, "<f4")
                if len(other) != len(gradient):
                    sys.exit(f"bench.py: {stack} {job} moves {len(other)} numbers, rllc {len(gradient)}")
                error = max(abs(answer["loss"] / loss - 1), np.abs(other - gradient).max() / np.abs(gradient).max())
                if not error <= TOLERANCE:
                    sys.exit(f"bench.py: {stack} {job} ({name}) does not compute what rllc does: loss {answer['loss']:.7f} "
                             f"and {loss:.7f}, loss or gradient apart by {error:.1e}, allowed {TOLERANCE:.0e}")
                worst = max(worst, error)
    return worst


def one_round(table, rllc, workers, quick):
    for job in ("train", "full", "l1h3", "l0h3", "heads"):
        for _, label, selectors, chains, baseline in (r for r in RLLC if r[0] == job):
            table.add(job, label, "", rllc.timed(selectors, chains, baseline))
        for _, label, stack, theirs in (p for p in PEERS if p[0] == job):
            for name, worker in workers.items():
                if not (quick and name == "stock"):
                    table.add(job, label, name, worker.ask(stack, theirs))
    for label in table.labels("l1h3", False):
        for name in table.environments_of("l1h3", label):
            if not (quick and name == "stock"):
                table.add("heads", label, name, table.in_turn(label, name))


def side_by_side(table, workers, threads):
    """Chains side by side, a thread each, in the fastest environment: the rates add up."""
    name, worker = list(workers.items())[-1]
    for job, label, stack, theirs in PEERS:
        if job != "train" and threads > 1:
            table.add(job, label, f"{name}, {threads} processes",
                      worker.ask(stack, theirs, threads=1, processes=threads))


def compiled(table, workers):
    """The same through torch.compile, in the fastest environment."""
    name, worker = list(workers.items())[-1]
    for job, label, stack, theirs in PEERS:
        if not theirs.endswith("masked"):
            table.add(job, label, f"{name}, compiled", worker.ask(stack, theirs, compile=True))


def larger_batch(table, rllc, workers):
    """Whether a rate depends on the batch: 8 sequences instead of 4."""
    name, worker = list(workers.items())[-1]
    for job, label, selectors, chains, baseline in RLLC:
        if chains == 1:
            table.add(job + ", 8 rows", label, "", rllc.timed(selectors, chains, baseline, rows=8))
    for job, label, stack, theirs in PEERS:
        if not theirs.endswith("masked"):
            table.add(job + ", 8 rows", label, name, worker.ask(stack, theirs, rows=8))


def whole_estimate(table, rllc, workers, common, n_ctx, rounds):
    """Both programs' own estimators, all they do from a loaded model to a number; rllc's starts from the file."""
    chains, draws = 4, 4
    tokens = chains * draws * common["rows"] * n_ctx
    for r in range(rounds):
        table.add("estimate", "rllc sample", "", {"rate": tokens / rllc.sample("l1h3", chains, draws)})
        for name, worker in workers.items():
            if name == list(workers)[-1] or r == 0:
                table.add("estimate", "devinterp 2, sample and compute_llc", name,
                          worker.ask("devinterp", "sample", component="l1h3", chains=chains, draws=draws))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--peers", default="build/peers-venv")
    parser.add_argument("--output", required=True, help="the table, as TSV")
    parser.add_argument("--checkpoint", help="a model.safetensors of 2 layers and 8 heads; default: random weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10, help="no further round begins that would not fit in")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each timing, after a step to warm; two steps at least")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes more")
    options = parser.parse_args()
    options.python = str(pathlib.Path(options.peers) / "bin/python")
    started, load = time.monotonic(), os.getloadavg()[0]
    if load > 0.3:
        say(f"load average {load:.1f}: something else runs here, and will show")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        checkpoint, tokens, n_ctx = make_inputs(options, scratch)
        common = {"checkpoint": checkpoint, "tokens": tokens, "rows": 4, "peers": options.peers,
                  "threads": options.threads, "seconds": options.seconds}
        rllc = Rllc(options, common)
        workers = {name: Worker(options, extra, common) for name, extra in environments(scratch).items()}
        hello = [worker.hello() for worker in workers.values()][0]
        say(f"checking that all compute the same ({', '.join(workers)})")
        worst = check(rllc, workers, scratch)
        table = Table(rllc.step("train", 1).splitlines()[0], hello, list(workers), worst)
        took = 0.0
        for r in range(options.rounds):
            before = time.monotonic()
            left = 60 * options.minutes - (before - started) - EXTRAS * took
            if r > 0 and left < took:
                say(f"no time for a further round within {options.minutes:g} minutes (--minutes)")
                break
            say(f"round {r + 1} of {options.rounds}")
            one_round(table, rllc, workers, quick=r >= 2)
            took = time.monotonic() - before
        say("processes side by side, a larger batch, whole estimates")
        side_by_side(table, workers, options.threads)
        larger_batch(table, rllc, workers)
        whole_estimate(table, rllc, workers, common, n_ctx, 2)
        if options.compile:
            say("torch.compile")
            compiled(table, workers)
        for worker in workers.values():
            worker.close()
    table.write(options.output)
    print(table.text())


if __name__ == "__main__":
    main()
