#!/usr/bin/env python3
"""Ten steps of torch.optim.AdamW in float64, with gradient clipping, as numbers for tests/optim.

Usage: adamw_golden.py > tests/golden/adamw/steps.txt

First line: n steps lr beta1 beta2 eps weight_decay max_grad_norm. Then the n initial weights, and for each step the
gradient norm before clipping, the n gradients and the n weights after the step. Inputs are exact float32 numbers.
"""
import torch

n, steps = 12, 10
settings = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.05}
max_grad_norm = 1.0

torch.manual_seed(1)
w = torch.nn.Parameter(torch.randn(n).double())
optimizer = torch.optim.AdamW([w], **settings)
print(n, steps, settings["lr"], *settings["betas"], settings["eps"], settings["weight_decay"], max_grad_norm)


def line(x):
    print(*(repr(float(v)) for v in x))


line(w.detach())
for step in range(steps):
    # Some gradients are shorter than max_grad_norm, some longer, some entries tiny.
    g = (torch.randn(n) * 0.15 * (step % 4 + 1) * torch.logspace(0, -5, n)[torch.randperm(n)]).double()
    if step % 3 == 0:
        g = g * 8
    w.grad = g.clone()
    norm = torch.nn.utils.clip_grad_norm_([w], max_grad_norm)
    optimizer.step()
    line([norm])
    line(g)
    line(w.detach())
