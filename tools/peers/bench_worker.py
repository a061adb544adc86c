"""Times steps of bench_models' jobs, each in a process of its own, for tools/peers/bench.py.

Reads one request a line, a JSON object, and answers with one. What is slow to load is loaded once; every request is
served by forks of that, so each starts from the same memory and its peak is its own (VmHWM, the libraries included).

    {"stack", "job", "checkpoint", "tokens", "rows", "peers", "threads", "processes", "seconds", "compile", "gradient"}
        -> {"rate": tokens a second, "seconds": [each step], "cores": busy, "loss", "peak_mb"}     or {"error"}

`processes` copies run side by side and their rates are summed. With "gradient", a file, no step is timed: the flat
gradient is written there. The job "sample" is devinterp 2's own estimator, all of it, for `component` and so on.
"""
import contextlib
import gc
import importlib.metadata
import io
import json
import os
import sys
import time
import traceback
import warnings

import numpy as np
import torch

import bench_models


def peak_mb():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024


def tokens_of(request):
    return torch.tensor(np.load(request["tokens"])[:request["rows"]].astype(np.int64))


def timed_steps(model, tokens, seconds, wait, warm=1):
    """Steps to warm, then steps for so long, at least two."""
    loss = model.step(tokens)
    for _ in range(warm - 1):
        model.step(tokens)
    wait()
    times, started, processor = [], time.perf_counter(), time.process_time()
    while len(times) < 2 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        model.step(tokens)
        times.append(time.perf_counter() - before)
    return loss, times, (time.process_time() - processor) / (time.perf_counter() - started)


def run(request, wait):
    torch.set_num_threads(request["threads"])
    tokens = tokens_of(request)
    if request["job"] == "sample":
        return sample(request, tokens)
    model = bench_models.STACKS[request["stack"]](request["job"], request["checkpoint"], request["peers"])
    if request.get("gradient"):
        loss, gradient = model.gradient(tokens)
        gradient.numpy().astype("<f4").tofile(request["gradient"])
        return {"loss": loss}
    if request.get("compile"):
        model.loss = torch.compile(model.loss)
    loss, times, cores = timed_steps(model, tokens, request["seconds"], wait,
                                      warm=3 if request.get("compile") else 1)  # the second may compile again
    return {"rate": tokens.numel() / float(np.median(times)), "seconds": times, "cores": cores, "loss": loss,
            "peak_mb": peak_mb()}


def sample(request, rows):
    """devinterp 2's sample and compute_llc: every token of every chain's every step over the whole time."""
    find = bench_models.devinterp(2, request["peers"])
    network = bench_models.load_into_hooked(request["checkpoint"])
    from datasets import Dataset
    data = Dataset.from_dict({"input_ids": rows.numpy()}).with_format("torch")
    started = time.perf_counter()
    samples = find("slt.sampling").sample(
        network, data, {}, lr=1e-3, n_beta=30.0, localization=200.0, shuffle=False, device="cpu",
        param_masks=find("slt.weight_restrictions").create_param_masks(network, request["component"]),
        num_chains=request["chains"], num_draws=request["draws"], batch_size=len(rows), num_init_loss_batches=1)
    result = find("slt.llc").compute_llc(samples)
    took = time.perf_counter() - started
    count = rows.numel() * request["chains"] * request["draws"]
    return {"rate": count / took, "seconds": [took], "loss": float(result.init_loss), "peak_mb": peak_mb()}


def child(request, wait, out):
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = run(request, wait)
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error} ({traceback.format_exc().splitlines()[-3].strip()})"}
    with os.fdopen(out, "w") as f:
        json.dump(answer, f)


def fork(request, wait):
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        child(request, wait, write)
        os._exit(0)
    os.close(write)
    return process, read


def serve(request):
    n = request.get("processes", 1)
    ready, go = os.pipe(), os.pipe()

    def wait():
        """In the copies: until all of them are here (or have failed)."""
        os.close(go[1])
        os.write(ready[1], b"x")
        os.close(ready[1])
        os.read(go[0], 1)
    children = [fork(request, wait) for _ in range(n)]
    os.close(ready[1])
    os.close(go[0])
    here = 0
    while here < n and os.read(ready[0], 1):
        here += 1
    os.close(go[1])
    os.close(ready[0])
    answers = []
    for process, read in children:
        with os.fdopen(read) as f:
            text = f.read()
        os.waitpid(process, 0)
        answers.append(json.loads(text) if text else {"error": "the process died"})
    for answer in answers:
        if "error" in answer:
            return answer
    return {**answers[0], "rate": sum(a.get("rate", 0) for a in answers),
            "peak_mb": sum(a.get("peak_mb", 0) for a in answers)}


def main():
    warnings.simplefilter("ignore")
    gc.collect()
    gc.freeze()
    print(json.dumps({name: importlib.metadata.version(name) for name in ("torch", "transformer-lens")}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
