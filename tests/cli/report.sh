#!/bin/bash
# rllc report: page, figures, what is missing, one figure alone, no gnuplot, what bad input gets.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 20 --checkpoints 0,20

# Training alone: the page is there and says what else could be, and how.
expect 0 report run --quiet
same "$(cat out)" run/report.html "standard output"
says run/report.html 'rllc analyze RUN'
says run/figures/loss.csv '^1,,validation,20,'
expect 0 report run/run.db --quiet --json
says out '"schema": "rllc.report/1", "page": "run/report.html"'
says out '"name": "heads", .*"reason": "no head was sampled'
cp run/report.html first
expect 0 report run --quiet
cmp run/report.html first || complain "the same store gives other bytes"

# With scores, one figure, another place.
expect 0 analyze run --score-samples 100 --quiet
expect 0 report run --quiet --figure scores
same "$(cat out)" run/figures/scores-seed1.svg "the one figure"
cmp run/report.html first || complain "one figure alone changed the page"
expect 0 report run --quiet --output elsewhere.html --figures drawn
same "$(cat out)" elsewhere.html "the page's path"
says elsewhere.html 'previous token, layer 0'
[ -s drawn/scores-seed1.gp ] || complain "no script in drawn"
(cd run && "$rllc" report run.db --quiet) | grep -qx './report.html' || complain "a store in the current folder"

# Without gnuplot: the page and the data are written, and the exit code says that something is missing.
mkdir empty
PATH=$scratch/empty "$rllc" report run --quiet >out 2>err
same $? 3 "exit code without gnuplot"
says err 'apt-get install gnuplot-nox'
says run/report.html 'Could not be drawn'
absent run/figures/loss.svg

expect 2 report
expect 2 report run another
expect 2 report run --figure los
says err "did you mean 'loss'"
expect 2 report run --figure loss --output page.html
expect 3 report run --quiet --figure heads
says err 'rllc sample RUN --components heads'
expect 3 report nowhere
head -c 3000 run/run.db >torn.db
expect 3 report torn.db
expect 1 report run --quiet --output /proc/none/page.html
absent page.html
finish
