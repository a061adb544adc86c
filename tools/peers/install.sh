#!/bin/sh
# A scratch environment with the peers that rllc is compared with, all from PyPI: torch, TransformerLens, and two
# releases of devinterp, each in a folder of its own because they share a name. About 6 GB: PyPI's torch for Linux on
# x86-64 brings its GPU libraries, which nothing here uses.
#
#   sh tools/peers/install.sh [FOLDER]          FOLDER: build/peers-venv
#
# PYTHON, DEVINTERP1, DEVINTERP2, TRANSFORMER_LENS choose others than the defaults below.
set -eu

cd "$(dirname "$0")/../.."
folder=${1:-build/peers-venv}
python=${PYTHON:-python3}
devinterp1=${DEVINTERP1:-1.3.2}
devinterp2=${DEVINTERP2:-2.0.1}
transformer_lens=${TRANSFORMER_LENS:-<4} # HookedTransformer left in 4.0

stamp="devinterp $devinterp1 and $devinterp2, transformer-lens$transformer_lens"
if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$stamp" ]; then exit 0; fi

command -v "$python" >/dev/null || { echo "tools/peers/install.sh: no $python" >&2; exit 1; }
"$python" -m venv "$folder" || { echo "tools/peers/install.sh: $python cannot make a virtual environment" >&2; exit 1; }
pip="$folder/bin/python -m pip --disable-pip-version-check"
echo "installing torch, TransformerLens and devinterp from PyPI into $folder (several minutes, 6 GB)" >&2

# All that the two devinterps need, then they themselves without dependencies.
nice $pip install -q torch "transformer-lens$transformer_lens" numpy pandas einops matplotlib tqdm cloudpickle \
    datasets pydantic transformers xarray 'zarr>=3' safetensors || {
    echo "tools/peers/install.sh: PyPI could not be had; the comparison needs it" >&2
    exit 1
}
for version in "$devinterp1" "$devinterp2"; do
    major=${version%%.*}
    rm -rf "$folder/devinterp$major"
    $pip install -q --no-deps --target "$folder/devinterp$major" "devinterp==$version"
done
echo "$stamp" >"$folder/complete"
