#!/bin/sh
# Stochastic rules against exact ones on one head of a real model, all on one fixed set of sequences: what the step size
# adds, seen against Hamiltonian Monte Carlo, which has no such bias.
#
#   sh bench/ground_truth.sh RUN [COMPONENT [BUILD]]     a run with a trained model and its corpora, e.g. demo l1h1
set -eu
run=${1:?name a run folder, e.g. demo}
component=${2:-l1h1}
rllc=${3:-build}/rllc
model=$(ls -d "$run"/seed-*/checkpoints/step* "$run"/checkpoints/step* 2>/dev/null | sort -V | tail -n 1)
echo "# $model, $component, 32 fixed sequences, nbeta 30, localization 200"
printf 'rule\tllc_mean\tllc_se\tpredicted_bias\tacceptance\tgradients\n'
rule() { # NAME GRADIENTS OPTIONS...
    name=$1 gradients=$2
    shift 2
    "$rllc" sample --checkpoint "$model" --tokens "$run/corpora/mix" --components "$component" --batches fixed --batch-size 32 \
        --quiet --json "$@" | tr ',{}' '\n\n\n' | awk -F': *' -v name="$name" -v gradients="$gradients" '
        { gsub(/[" ]/, "", $1) }
        $1 == "llc_mean" && mean == "" { mean = $2 }
        $1 == "llc_se" && se == "" { se = $2 }
        $1 == "acceptance" { acceptance = $2 }
        ($1 == "step" || $1 == "transient") && $2 ~ /^-?[0-9]/ && !($1 in seen) && budget { bias += $2; seen[$1] = 1 }
        $1 == "complexity" { budget = 1 }
        END {
            accepted = acceptance == "" || acceptance == "null" ? "-" : sprintf("%.2f", acceptance)
            printf "%s\t%.3f\t%.3f\t%+.3f\t%s\t%s\n", name, mean, se, bias, accepted, gradients
        }'
}
rule 'sgld, lr 1e-3' 8200 --sampler sgld --lr 1e-3 --num-burnin-steps 50 --num-draws 2000
rule 'sgld, lr 3e-3' 8080 --sampler sgld --lr 3e-3 --num-burnin-steps 20 --num-draws 2000
rule 'sgld-lm, lr 1e-3' 8200 --sampler sgld-lm --lr 1e-3 --num-burnin-steps 50 --num-draws 2000
rule 'sgld-lm, lr 3e-3' 8080 --sampler sgld-lm --lr 3e-3 --num-burnin-steps 20 --num-draws 2000
rule 'hmc, 20 leapfrogs' 48000 --sampler hmc --lr 2e-4 --num-leapfrog-steps 20 --init-noise 0.07 --num-burnin-steps 100 \
    --num-draws 500
