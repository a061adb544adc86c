#!/bin/sh
# demo.sh [FOLDER]: the whole demonstration: fetches the text, trains, samples, draws; names the report to open.
# Run it again after an interruption and it goes on; when all is done it only says so.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-demo}

sh tools/demo-corpus.sh "$folder/text" "$folder/packages"
status=0
report=$(build/rllc run --preset demo --output "$folder" "corpora.mix.sources=$folder/text" \
    "corpora.natural.sources=$folder/text" "corpora.code.sources=$folder/text/code") || status=$?
if [ "$status" = 75 ]; then
    echo "Stopped. 'make demo' goes on from here." >&2
fi
[ "$status" = 0 ] || exit "$status"

case $report in
/*) ;;
*) report=$PWD/$report ;;
esac
echo
echo "Learning coefficients of the heads (layer:head) at the last step:"
build/rllc estimate "$folder" --checkpoints 12000 --no-rebuild --quiet
echo
echo "Done. Open the report in a browser:"
echo "  file://$report"
