#!/bin/sh
# rllc beside what is used today: PyTorch, TransformerLens and devinterp from PyPI, on the same checkpoint, batch and number
# of threads, in alternation. First all must compute the same loss and gradients. Writes a table as TSV and prints it.
#
#   sh bench/side_by_side.sh [BUILD [TSV [OPTIONS]]]   TSV: BUILD/bench/side-by-side.tsv; OPTIONS: of tools/peers/bench.py,
#                                                      e.g. --rounds 5, --threads 1, --checkpoint model.safetensors
#
# Eight minutes. Leave the machine alone meanwhile: wall time counts.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
table=${2:-$build/bench/side-by-side.tsv}
if [ $# -ge 2 ]; then shift 2; elif [ $# -ge 1 ]; then shift; fi
peers=${PEERS:-build/peers-venv}
if [ ! -f "$peers/complete" ]; then
    echo "side_by_side.sh: the programs to compare with are not in $peers: nothing was compared." >&2
    echo "'sh tools/peers/install.sh' puts them there (needs PyPI, 6 GB, several minutes); then run this again." >&2
    exit 77
fi
for program in bench_step rllc; do
    [ -x "$build/$program" ] || { echo "side_by_side.sh: no $build/$program; 'make everything' builds it" >&2; exit 1; }
done
mkdir -p "$(dirname "$table")"
"$peers/bin/python" -W ignore tools/peers/bench.py --build "$build" --peers "$peers" --output "$table" "$@"
echo "table: $table"
