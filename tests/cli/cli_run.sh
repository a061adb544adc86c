#!/bin/bash
# rllc run, end to end on real text (this project's own sources): stages are skipped when nothing changed, done again when
# something did, and a run that was killed again and again ends with the bits of one that was left alone.
set -u
rllc=$2/rllc
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failed=0
fail() { echo "not so: $*"; failed=1; }

mkdir text
cp -r "$1/src" "$1/include" text/
cat > config.yaml <<'END'
output: whole
seeds: [1, 2]
tokenizer: {vocab_size: 300}
corpora:
  mix: {sources: text, repeat_fraction: 0.5}
  headers: {sources: text/include, sampling_fraction: 0.5}
model: {n_layers: 2, d_model: 16, n_heads: 2, d_head: 8, n_ctx: 32, positions_init: sinusoidal}
optimizer: {lr: 6e-3}
training: {steps: 240, batch_size: 8, checkpoints: "0,120,240", validation_every: 40, validation_rows: 32}
scores: {score_samples: 200, scores: "previous_token,current_token"}
sampling: {checkpoints: "0,240", components: "heads,full", num_draws: 60, batch_size: 8, commit_seconds: 0}
END
run() { "$rllc" run config.yaml "$@" --progress plain >out 2>err; }

# A dry run says what there is to do and writes nothing.
run --dry-run || fail "dry run"
grep -q '^train .* seed 2, 240 steps of 8 x 32 tokens' out || fail "the plan names the training"
grep -q 'To do: about' out || fail "the plan has a total"
[ ! -e whole ] || fail "a dry run writes nothing"
"$rllc" run config.yaml --dry-run --json 2>err | grep -q '"schema": "rllc.run/1"' || fail "the plan as JSON"

# The whole.
run || { cat err; fail "run"; exit 1; }
[ "$(cat out)" = whole/report.html ] && [ -s whole/report.html ] || fail "the report is named and there"
for file in run.db config.yaml tokenizer.json corpora/mix/train.npy corpora/headers/corpus.json \
            seed-1/checkpoints/step240/model.safetensors seed-2/checkpoints/step0/model.safetensors; do
    [ -s whole/$file ] || fail "whole/$file"
done

# estimates FOLDER: what was estimated, without what differs between two runs of the same thing.
estimates() { "$rllc" estimate "$1" --json | tr ',' '\n' | grep -v -E '"(seconds|cell|id)"'; }
estimates whole > first
[ "$(grep -c '"llc_mean"' first)" = 40 ] || fail "40 estimates: 2 seeds x 2 checkpoints x 2 corpora x 5 components, not $(grep -c '"llc_mean"' first)"

# Again: nothing is done, nothing changes.
run || fail "second run"
[ "$(grep -c unchanged err)" = 8 ] || { cat err; fail "8 stages unchanged"; }
grep -q -E '^(train|sample|pack) ' err && fail "an unchanged run works"
run --dry-run; grep -q 'Nothing to do' out || fail "the plan of a finished run"

# The configuration it wrote reads back to the same run.
"$rllc" run whole/config.yaml --dry-run >out 2>err; grep -q 'Nothing to do' out || fail "config.yaml reads back"

# A changed setting: only what hangs on it is done again; the old estimates stay.
run sampling.nbeta=100 || fail "changed sampling"
[ "$(grep -c unchanged err)" = 6 ] || { cat err; fail "6 stages unchanged after a change of sampling"; }
[ "$(estimates whole | grep -c '"llc_mean"')" = 80 ] || fail "estimates at both temperatures"

# Killed at any moment, asked to stop at any moment: it goes on and ends with the same bits.
stops=0
for try in $(seq 1 60); do
    "$rllc" run config.yaml -o killed --quiet >out 2>err &
    pid=$!
    sleep 0.$((try * 37 % 60 + 25))
    if [ $((try % 2)) = 0 ]; then kill -9 $pid 2>/dev/null; else kill -INT $pid 2>/dev/null; fi
    wait $pid 2>/dev/null
    code=$?
    case $code in
    0) break ;;
    75) stops=$((stops + 1)) ;;
    137) ;;
    *) cat err; fail "exit code $code of a killed run"; break ;;
    esac
done
[ $code = 0 ] || "$rllc" run config.yaml -o killed --quiet >out 2>err || { cat err; fail "the killed run ends"; }
[ $try -gt 2 ] || fail "it was not stopped often enough to tell ($try tries)"
[ $stops -gt 0 ] || fail "it never stopped when asked"
estimates killed > second
diff first second >/dev/null || { diff first second | head; fail "the killed run has the estimates of the whole one"; }
for seed in 1 2; do
    cmp -s {whole,killed}/seed-$seed/checkpoints/step240/model.safetensors || fail "weights of seed $seed"
done

# Other text: the corpora are packed again, and the trained models are refused, not mixed up.
echo "/* more */" >> text/include/rllc/rllc.h
run; code=$?
[ $code = 3 ] && grep -q 'data.train' err || { cat err; fail "other text under trained models: exit code $code"; }

# Too little text, none, and a corpus that is not there.
mkdir empty
"$rllc" run config.yaml -o e corpora.headers.sources=empty >out 2>err; [ $? = 3 ] || fail "an empty corpus"
"$rllc" run config.yaml -o e corpora.headers.sources=nowhere >out 2>err; [ $? = 3 ] && grep -q nowhere err || fail "text that is not there"
printf 'a few words' > few.txt
"$rllc" run config.yaml -o f corpora.headers.sources=few.txt model.n_ctx=1024 >out 2>err; [ $? = 3 ] || fail "less than a row"

[ $failed = 0 ] && echo "cli run: stopped $stops times in $try tries, the same bits"
exit $failed
