#!/bin/sh
# What pairing is worth on a real model: repeats an estimate with other seeds and compares the spread of the paired
# estimate (E13) and of the conventional one (E14) with the errors that they report.
#
#   sh bench/paired.sh RUN [REPEATS [BUILD]]     a run with a trained model and its corpora, e.g. demo
set -eu
run=${1:?name a run folder, e.g. demo}
repeats=${2:-20}
rllc=${3:-build}/rllc
model=$(ls -d "$run"/seed-*/checkpoints/step* "$run"/checkpoints/step* 2>/dev/null | sort -V | tail -n 1)
corpus=$(ls -d "$run"/corpora/* | head -n 1)
[ -d "$run/corpora/mix" ] && corpus=$run/corpora/mix
for seed in $(seq 1 "$repeats"); do
    "$rllc" sample --checkpoint "$model" --tokens "$corpus" --components heads --batch-size 16 --num-draws 200 \
        --num-burnin-steps 20 --curvature-probes 0 --no-mala --seed "$seed" --quiet --json |
        grep -oE '"component": "[^"]*"|"llc_(mean|se)(_init)?": [^,}]*' | sed 's/"//g; s/: /=/'
done | awk -F= -v n="$repeats" -v model="$model" '
    $1 == "component" { c = $2; if (!(c in seen)) { seen[c] = 1; order[++k] = c } next }
    { sum[c, $1] += $2; square[c, $1] += $2 * $2 }
    function sd(c, key) { return sqrt((square[c, key] - sum[c, key] ^ 2 / n) / (n - 1)) }
    END {
        print "# " model ", " n " repeats of 4 chains of 200 draws, batch 16"
        print "component\tpaired\tsd\treported_se\tconventional\tsd\treported_se\tratio"
        for (i = 1; i <= k; i++) {
            c = order[i]
            printf "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\n", c, sum[c, "llc_mean"] / n, sd(c, "llc_mean"),
                sum[c, "llc_se"] / n, sum[c, "llc_mean_init"] / n, sd(c, "llc_mean_init"), sum[c, "llc_se_init"] / n,
                sd(c, "llc_mean_init") / sd(c, "llc_mean")
        }
    }'
