#!/bin/sh
# rllc against its peers, each run from its own published code: parity with two releases of devinterp, what devinterp
# does where docs/devinterp.md says that it differs, and tools/reference's comparisons with torch and TransformerLens.
# Installs them from PyPI first if they are not there (tools/peers/install.sh). Results: build/parity/.
#
#   sh tools/peers/run.sh [parity] [facts] [oracles]       default: all three
set -u

cd "$(dirname "$0")/../.." || exit 1
venv=${PEERS:-build/peers-venv}
rllc=${RLLC:-build/rllc}
out=${PARITY:-build/parity}
[ -x "$rllc" ] || { echo "tools/peers/run.sh: no $rllc; build it first (make)" >&2; exit 1; }
sh tools/peers/install.sh "$venv" || exit 1
mkdir -p "$out"
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES=
python="nice $venv/bin/python"
failed=

step() { # name, command...
    name=$1
    shift
    echo "--- $name" >&2
    "$@" || failed="$failed, $name"
}
facts() { # release
    PYTHONPATH=$venv/devinterp$1 $python tools/peers/devinterp_facts.py >"$out/facts$1.txt"
    status=$?
    cat "$out/facts$1.txt"
    return $status
}

for part in ${*:-facts oracles parity}; do
    case $part in
    facts)
        step "what devinterp 1 does" facts 1
        step "what devinterp 2 does" facts 2
        ;;
    oracles)
        step "torch, float64: losses and gradients" $python tools/reference/eval_check.py --rllc "$rllc"
        step "torch, float64: noise-free chains" $python tools/reference/sgld_check.py --rllc "$rllc"
        step "TransformerLens" $python -W ignore tools/reference/transformer_lens_check.py --rllc "$rllc"
        ;;
    parity)
        step "devinterp: traces and estimates" $python tools/peers/parity.py --rllc "$rllc" --peers "$venv" \
            --output "$out"
        ;;
    *) echo "tools/peers/run.sh: parity, facts or oracles, not $part" >&2; exit 1 ;;
    esac
done
[ -z "$failed" ] || { echo "peers: failed: ${failed#, }" >&2; exit 1; }
echo "peers: all agree" >&2
