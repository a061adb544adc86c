#!/bin/sh
# What this machine can do, in one run: kernels, every kind of pass of the presets, scaling, and the peers where they are
# installed. Every number goes into one table, BUILD/bench/<date>.tsv; the picture of the scaling lies beside it.
#
#   sh bench/run.sh [BUILD [OPTIONS]]     OPTIONS: of both `rllc bench`, e.g. --rounds 9, --threads 1, --plain
#
# Minutes, not seconds: leave the machine alone meanwhile. Wall time counts in passes, so other work shows.
set -eu
build=${1:-build}
[ $# -eq 0 ] || shift
source=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$build" && pwd)
folder=$build/bench
date=$(date -u +%Y-%m-%dT%H%M%SZ)
table=$folder/$date.tsv
[ -x "$build/rllc" ] && [ -x "$build/bench_kernels" ] || {
    echo "run.sh: $build/rllc and $build/bench_kernels are not there; make bench builds them" >&2
    exit 2
}
mkdir -p "$folder"
parts=$(mktemp -d "$folder/parts-XXXXXX")
trap 'rm -rf "$parts"' EXIT
heading() { printf '\n==== %s\n\n' "$1"; }

heading "machine"
"$build/rllc" --version
uptime
heading "kernels, one thread (bench_kernels)"
"$build/bench_kernels" --tsv "$parts/1-kernels"
heading "presets (rllc bench)"
"$build/rllc" bench --profile --tsv "$parts/2-presets" --progress none "$@"
heading "scaling (rllc bench --scaling)"
"$build/rllc" bench --scaling --seconds 0.1 --figure "$folder/$date-scaling.svg" --tsv "$parts/3-scaling" --progress none "$@"

heading "side by side with others"
compared=0
sh "$source/bench/side_by_side.sh" "$build" "$parts/4-peers" || compared=$?
case $compared in
0 | 77) ;; # 77: the others are not installed, as it has said
*) echo "run.sh: the comparison failed; the table is written without it" >&2 ;;
esac

# One table: what each part says of itself as comments, one header. Machine rows of the second run are the first's again.
{
    grep -h '^#' "$parts"/*
    "$build/rllc" --version | sed 's/^/# /'
    uptime | sed 's/^ */# /'
    grep -hm1 '^section' "$parts/1-kernels"
    grep -h '^kernel' "$parts/1-kernels"
    grep -hE '^(machine|preset|profile)' "$parts/2-presets"
    grep -h '^scaling' "$parts/3-scaling"
    [ ! -f "$parts/4-peers" ] || grep -h '^peer' "$parts/4-peers"
} >"$table"
heading "done"
echo "$(grep -vc '^#' "$table") rows in $table, a picture in $folder/$date-scaling.svg"
[ "$compared" = 0 ] || [ "$compared" = 77 ]
