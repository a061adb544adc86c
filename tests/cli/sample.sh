#!/bin/bash
# rllc sample and estimate from the shell: traces, resuming, exit codes. $1 = source folder, $2 = build folder.
set -u
rllc=$2/rllc
work=$(mktemp -d /tmp/rllc-cli-sample-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# expect CODE TEXT COMMAND...: the exit code, and a text in what it prints
expect() {
    local code=$1 text=$2 got
    shift 2
    "$@" > out.txt 2>&1
    got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* ($(tail -n 1 out.txt))"
    grep -qF -- "$text" out.txt || fail "no '$text' in the output of: $* ($(tail -n 1 out.txt))"
}

# a corpus and a model of a few steps
for i in $(seq 1 60); do
    printf 'Document %d. The cat sat on the mat %d times; the dog (a large one) saw it and ran away.\n<|endoftext|>\n' "$i" $((i * 7))
done > text.txt
expect 0 '' "$rllc" tokenize text.txt --vocab-size 300 --n-ctx 16 --sampling-fraction 0.4 -o corpus
expect 0 '' "$rllc" train --data corpus --output run --d-model 16 --n-heads 2 --d-head 8 --batch-size 4 --steps 6 \
    --checkpoints 0,6
model=run/checkpoints/step6

# noise-free descent lowers the paired loss, twice the same, and does not depend on threads
descend() { "$rllc" sample --checkpoint $model --tokens corpus --component l1h0 --noise-level 0 --lr 1e-2 --nbeta 100 \
    --localization 0 --num-chains 1 --num-draws 20 --batch-size 8 -q "$@"; }
descend --trace a.csv > table.txt || fail "sampling"
descend --trace b.csv --threads 1 > /dev/null || fail "sampling on one thread"
cmp -s a.csv b.csv || fail "other traces on one thread"
[ "$(head -n 1 a.csv)" = chain,draw,loss,baseline ] || fail "header of the trace: $(head -n 1 a.csv)"
[ "$(wc -l < a.csv)" = 21 ] || fail "lines of the trace: $(wc -l < a.csv)"
awk -F, 'NR == 2 && ($3 - $4) ^ 2 > 1e-12 { exit 1 } NR == 21 && $3 >= $4 { exit 1 }' a.csv ||
    fail "the first draw is not w*, or descent does not descend"
grep -q 'wrLLC' table.txt || fail "no wrLLC in the table"

# stopped by a signal, gone on, the same numbers as without a stop
long() { "$rllc" sample --checkpoint $model --tokens corpus --components heads --num-draws 600 --batch-size 8 -q "$@"; }
long --trace whole.csv > /dev/null || fail "the whole run"
long --store parts.db --trace parts.csv > /dev/null &
child=$!
sleep 0.3
kill -INT $child
wait $child
code=$?
[ $code = 75 ] || [ $code = 0 ] || fail "exit $code after SIGINT instead of 75"
long --store parts.db --trace parts.csv --threads 1 > /dev/null || fail "going on after SIGINT"
cmp -s whole.csv parts.csv || fail "other traces after going on"
expect 0 '"llc_mean"' "$rllc" estimate parts.db --json
expect 0 '0:1' "$rllc" estimate parts.db --components l0h1
[ "$(grep -c wrLLC out.txt)" = 1 ] || fail "the filter of estimate shows $(grep -c wrLLC out.txt) rows"

# what bad input gets
expect 2 'run folder' "$rllc" sample
expect 2 'did you mean --localization?' "$rllc" sample --checkpoint $model --tokens corpus --localisation 3
expect 2 "unknown component 'l0h9'" "$rllc" sample --checkpoint $model --tokens corpus --component l0h9
expect 3 'nowhere' "$rllc" sample --checkpoint nowhere --tokens corpus
expect 3 'nothing.npy' "$rllc" sample --checkpoint $model --tokens nothing.npy
expect 3 'expected shared, streams=K' "$rllc" sample --checkpoint $model --tokens corpus --batches streams=0
expect 3 'no such store' "$rllc" estimate nowhere.db
head -c 3000 $model/model.safetensors > short.safetensors
expect 3 'short.safetensors' "$rllc" sample --checkpoint short.safetensors --tokens corpus
expect 0 'chain-steps' "$rllc" sample --checkpoint $model --tokens corpus --dry-run

# the conventions of devinterp: every step recorded or the last of each interval, of one and the same chain; its nbeta
compat() { "$rllc" sample --checkpoint $model --tokens corpus --component l1h0 --num-chains 1 --num-draws 3 --num-burnin-steps 2 \
    --num-steps-bw-draws 2 --batch-size 8 -q "$@"; }
compat --compat devinterp1 --nbeta 30 --trace last.csv > /dev/null || fail "sampling as devinterp 1"
compat --compat devinterp2 --nbeta 30 --trace every.csv > /dev/null || fail "sampling as devinterp 2"
[ "$(wc -l < every.csv)" = 9 ] || fail "devinterp2 records $(wc -l < every.csv) lines, not a header and 8 steps"
[ "$(tail -n +2 last.csv | cut -d, -f3-)" = "$(tail -n +2 every.csv | cut -d, -f3- | sed -n '4p; 6p; 8p')" ] ||
    fail "devinterp1 does not record steps 3, 5 and 7"
expect 0 '"nbeta": 3.8471867' compat --compat devinterp1 --json # 8 / ln 8
expect 0 '"num_init_loss_batches": 1,' compat --compat devinterp1 --json
expect 0 '"nbeta": 30.0' compat --compat none --json
expect 2 'nbeta' compat --compat devinterp2

# a run whose training changed: what was measured before stays, and is not sampled again
cat > run.yaml <<'YAML'
output: changed
tokenizer: {vocab_size: 300}
corpora: {mix: {sources: text.txt, sampling_fraction: 0.4}}
model: {n_layers: 1, d_model: 8, n_heads: 2, d_head: 4, n_ctx: 16}
training: {corpus: mix, steps: 4, batch_size: 4, checkpoints: '0,4'}
scores: {score_samples: 10}
sampling: {corpora: [mix], num_draws: 3, batch_size: 4}
YAML
count() { "$rllc" estimate changed --json | grep -o '"llc_mean":' | wc -l; }
expect 0 '' "$rllc" run run.yaml -q
[ "$(count)" = 4 ] || fail "a run of two checkpoints and two heads has $(count) estimates"
rm -r changed/seed-1
expect 0 '' "$rllc" run run.yaml -q optimizer.lr=0.01
[ "$(count)" = 6 ] || fail "step 0 is the same and step 4 is new, but there are $(count) estimates"
expect 0 'wrLLC' "$rllc" sample changed --num-draws 2 --batch-size 4 -q

[ $failures = 0 ] && echo "sample: all passed"
exit $((failures > 0))
