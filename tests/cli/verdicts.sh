#!/bin/bash
# Verdicts on a run's estimates: shown with estimates, explained by rllc diagnose RUN, asked for by --strict, in the report.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 20 --checkpoints 0,20
of=(--checkpoint run/checkpoints/step20 --tokens corpus --store est.db)
quick=(--num-draws 40 --num-burnin-steps 20)

# Every estimate has a verdict, in the table, in JSON, in the store; the curvature behind its budget is kept.
expect 0 sample "${of[@]}" --components l0h0,l1h1 --batch-size 4 -q "${quick[@]}"
says out 'verdict'
expect 0 estimate est.db --json
says out '"verdict": "[a-z ]+"'
says out '"budget": \{"complexity": '
says out '"top_curvature": -?[0-9]'
expect 0 diagnose est.db
says out '[0-9] of 2 estimates are good'
expect 0 diagnose est.db --all --components l1h1
says out 'good +divergence: all 4 chains stayed finite'
says out 'rhat_rank [0-9]'
says out 'budget: complexity '
expect 0 diagnose est.db --json
says out '"schema": "rllc.diagnose/1"'
says out '"verdicts": \['
says out '"check": "divergence"'
mean=$(field out llc_mean)
expect 0 estimate est.db --json --no-rebuild
same "$(field out llc_mean)" "$mean" "the estimate's last row in both"

# What is not there is named, with what there is: --strict does not pass for want of an estimate.
expect 3 diagnose est.db --components l9h9 --strict
says err 'no estimate is of these --components; the store has l0h0, l1h1'
expect 3 estimate est.db --corpora nowhere
says err 'no estimate is of these --corpora; the store has [a-z]'
expect 3 diagnose est.db --checkpoints 7

# A step beyond its bound: chains diverge, are named, with the bound and a remedy; --strict asks for 4.
expect 0 sample "${of[@]}" --components l0h0 --batch-size 4 -q --num-draws 40 --lr 10 --localization 1
says out 'diverged \([0-9] of 4 chains\)'
says out '^0:0, step 0, tokens: [1-4] of 4 chains diverged .*try lr [0-9]'
expect 0 diagnose est.db --components l0h0
says out 'failed +divergence: [1-4] of 4 chains diverged \(chain [0-3]: the (loss|gradient) is .*\)'
says out 'try lr [0-9]'
expect 4 diagnose est.db --components l0h0 --strict
says err 'estimates are not good, the first l0h0 at step 0'
expect 4 estimate est.db --strict
expect 4 sample "${of[@]}" --components l0h0 --batch-size 4 -q --num-draws 40 --lr 10 --localization 1 --strict

# No curvature on request; then no budget, and verdicts all the same.
expect 0 sample "${of[@]}" --components l1h0 --batch-size 4 -q "${quick[@]}" --curvature-probes 0
expect 0 diagnose est.db --components l1h0 --json
says out '"verdict": "[a-z ]+"'
grep -q '"budget"' out && complain "a budget without curvature"

# Exact rules need a fixed data set, say so, and then report what they accepted.
expect 2 sample "${of[@]}" --components l1h1 --batch-size 4 -q "${quick[@]}" --sampler mala
says err 'mala samples exactly and needs the same data at every step: --batches fixed'
expect 0 sample "${of[@]}" --components l1h1 --batch-size 4 -q "${quick[@]}" --sampler mala --batches fixed --lr 1e-4
expect 0 diagnose est.db --components l1h1 --json
says out '"acceptance": 0\.[0-9]'

# Options of a CSV file and of a run do not mix.
expect 2 diagnose est.db --trace x.csv
expect 2 diagnose --trace x.csv --strict
expect 2 diagnose
says err 'rllc diagnose demo'

# The report says it first: how many are good, a grid, and the reasons.
expect 0 report est.db --quiet
says report.html 'How far to trust it'
says report.html 'class="g failed"'
says report.html 'diverged: 1'
finish
