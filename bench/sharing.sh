#!/bin/sh
# What --batches shared, streams=2, independent and fixed do to the error of an estimate and to its cost (docs/sharing.md).
#
#   sh bench/sharing.sh [RUN [PART [BUILD [FIGURES]]]]    RUN: a finished demo; PART: error, speed or all
set -eu
run=${1:-demo}
part=${2:-all}
build=${3:-build}
figures=${4:-docs/figures}
here=$(dirname "$0")
case $part in all|error|speed) ;; *) echo "PART: error, speed or all, not $part" >&2; exit 2 ;; esac
[ -f "$build/librllc.a" ] || { echo "no $build/librllc.a: make build" >&2; exit 1; }
model=$(ls -d "$run"/seed-*/checkpoints/step* "$run"/checkpoints/step* 2>/dev/null | sort -V | tail -n 1)
[ "$part" = speed ] || [ -n "$model" ] || { echo "no trained model in $run: make demo makes one" >&2; exit 1; }
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$here/../include" "$here"/sharing/*.c -o "$build/bench_sharing" \
    "$build/librllc.a" $(pkg-config --libs jansson yaml-0.1 sqlite3 libarchive libzstd libpcre2-8 libxxhash) -lpthread -lm
if [ "$part" != speed ]; then
    "$build/bench_sharing" quadratic 1000 "$figures"
    rm -f "$figures/sharing.csv" "$figures/sharing.gp"
    "$build/bench_sharing" samples 400
    "$build/bench_sharing" transformer "$model" "$run/corpora/mix/sampling.npy" 40
fi
[ "$part" = error ] || "$build/bench_sharing" speed 10
