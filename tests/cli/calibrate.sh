#!/bin/bash
# rllc calibrate: the recommendation is one that rllc run takes, its points are those rllc sample gives, bad grids are said
# to be bad. $1 = source folder, $2 = build folder.
# shellcheck source=tests/cli/commands.bash
. "$1/tests/cli/commands.bash"

mkdir text
cp -r "$source_dir/src/base" "$source_dir/include" text/
cat > config.yaml <<'END'
output: run
tokenizer: {vocab_size: 300}
corpora:
  mix: {sources: text, repeat_fraction: 0.5}
  headers: {sources: text/include, sampling_fraction: 0.5}
model: {n_layers: 2, d_model: 16, n_heads: 2, d_head: 8, n_ctx: 32, positions_init: sinusoidal}
optimizer: {lr: 6e-3}
training: {steps: 300, batch_size: 8, checkpoints: "0,300", validation_every: 100, validation_rows: 32}
scores: {score_samples: 50, scores: "previous_token"}
sampling: {checkpoints: "300", components: "l0h1", corpora: "mix", num_draws: 5, batch_size: 8, curvature_probes: 0}
END
command -v gnuplot >/dev/null || exit 77
expect 0 run config.yaml -q

small="--batch-size 8 --curvature-probes 2 --curvature-steps 10 --progress none"
calibrate() { expect "$1" calibrate run --component l0h1 $small "${@:2}"; }

# one setting is unstable by its curvature, one is far too small to move: the one between is taken, and says why
calibrate 0 --lr 1e-7,1e-3,2e-3,0.05 --nbeta 30 --localization 100 --tolerance 0.2 --output first
says out 'pruned$'
says out 'slow$'
says out 'good <- take this$'
says out '% of the stability bound 4 / \(nbeta h \+ localization\)'
says out 'the estimate is flat in lr: '
says out 'a quadratic of this curvature would give [0-9.]+ \(measured: [0-9.]+\)'
says out 'edge of the grid'
says out 'virial ratio [0-9.]+ measured, [0-9.]+ predicted'
says out 'burn-in steps draws lack less than 4 % of equilibrium'
for file in plane.svg plane.csv points.csv recommendation.yaml; do
    [ -s first/$file ] || complain "no first/$file"
done
says first/plane.svg 'nbeta 30 \(taken\)'
same "$(wc -l < first/points.csv)" 5 "lines of points.csv"
says first/points.csv '^0.05,.*,pruned,"lr 0.05 is not below the stability bound'
same "$(awk -F, '$1 == 0.05 { print $4 }' first/points.csv)" NaN "an estimate of what was not sampled"

# what is recommended is a configuration of the run: same text, model and checkpoints, other settings of the sampler
expect 0 run first/recommendation.yaml --show-config
says out '^  localization: 100.0$'
says out '^  nbeta: 30.0$'
says out '^  lr: 0.00[12]$'
expect 0 run first/recommendation.yaml --progress plain
same "$(grep -c unchanged err)" 5 "stages that a recommendation leaves as they are"
expect 0 estimate run --json
says out '"localization": ?100'

# a point is what rllc sample gives with the same settings, bit for bit, on one thread too
calibrate 0 --lr 1e-3,2e-3 --nbeta 30 --localization 100 --tolerance 0.5 --num-draws 20 --num-burnin-steps 10 --json --threads 1
cp out points.json
says points.json '"schema": ?"rllc.calibrate/1"'
expect 0 sample run --component l0h1 --corpora mix --checkpoints 300 --lr 2e-3 --nbeta 30 --localization 100 --num-chains 2 \
    --num-draws 20 --num-burnin-steps 10 --batch-size 8 --json -q
sampled=$(grep -oE '"llc_mean": ?[-0-9.e]+' out | grep -oE '[-0-9.e]+$')
[ -n "$sampled" ] || complain "sample gives no llc_mean"
grep -qE "\"llc_mean\": ?$sampled[,}]" points.json || complain "calibrate has no point with sample's llc_mean $sampled"

# nothing to recommend: exit 1, what to change, no file of an earlier recommendation
calibrate 1 --lr 0.05 --nbeta 30 --localization 100 --output first
says out 'No setting of this grid can be recommended'
says out '1 of 1 settings: pruned; try smaller lr'
[ ! -e first/recommendation.yaml ] || complain "an old recommendation is left"
# (a tolerance between the drift, about 10 %, and the heating, about 40 %: the text is the project's own, and changes)
calibrate 1 --lr 1e-7,2e-7 --nbeta 30 --localization 100 --tolerance 0.25 --output first
says out 'slow; try larger lr'
calibrate 1 --lr 1e-2 --nbeta 30 --localization 100 --tolerance 0.25 --output first
says out 'heated; try smaller lr'
expect 1 calibrate run --component l0h1 $small --checkpoint 0 --lr 1e-4 --nbeta 3000 --localization 8000 --output first
says out 'drifts; w\* is no minimum'

# another corpus, another sampler
calibrate 0 --corpus headers --sampler sgld-lm --lr 1e-3,2e-3 --nbeta 30 --localization 100 --tolerance 0.5
says out '--sampler sgld-lm'
[ -s run/calibration/points.csv ] || complain "the default folder"

# what is refused
expect 2 calibrate
expect 2 calibrate run
expect 2 calibrate run --component l9h9
expect 2 calibrate run --component l0h1 --sampler hmc
expect 2 calibrate run --component l0h1 --lr 1e-3,-1
expect 2 calibrate run --component l0h1 --lr 0,1e-3
expect 2 calibrate run --component l0h1 --nbeta ""
expect 3 calibrate nowhere --component l0h1
expect 3 calibrate run --component l0h1 --corpus nothing
says err "it has [a-z]"
expect 3 calibrate run --component l0h1 --checkpoint 17
says err 'only [0-9]+ of them from step [0-9]+ to [0-9]+'
finish
