#!/bin/bash
# rllc heads: a type for every head from what was measured, thresholds, types given by hand; what bad input gets.
. "$(dirname "$0")/commands.bash"
synthetic=previous_token,current_token,prefix_matching,induction
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 40 --checkpoints 0,20
expect 3 heads run
says err 'rllc analyze run measures'
expect 0 analyze run --score "$synthetic" --score-samples 200 --checkpoints 0,20 --progress plain

expect 0 heads run # the last measured checkpoint is not the last one
says out '^step 20, seed 1$'
same "$(grep -cE '^ +[0-9]:[0-9] +(other|dead|induction|[a-z]+-token): ' out)" 4 "heads in the table"
says out 'absent: .*bracket, tokens in context, ablation'
expect 0 heads run --json --checkpoint 0,20
says out '"schema": "rllc.heads/1"'
same "$(grep -o '"source": "automatic"' out | wc -l)" 8 "heads in JSON"
same "$(grep -o '"previous_token_ratio": 7' out | wc -l)" 8 "thresholds beside each head"
expect 0 heads run --checkpoint all
same "$(grep -c '^step' out)" 2 "measured checkpoints"

expect 0 heads run --previous-token-ratio 0.01 --induction-ratio 1000 --sigmas 0
same "$(grep -cE '^ +[0-9]:[0-9] +(previous-token: previous token [0-9.e-]+ \([0-9.]+x chance|other)' out)" 4 "another threshold"
says out 'previous-token: '
printf '# by eye\n0:1: induction   clearly\n' >types.yaml
expect 0 heads run --manual types.yaml --checkpoint 40 # nothing measured, but something said
says out '^  0:1 +induction: given by hand \(clearly\); by the rules other; absent: prefix matching, '
expect 0 heads run --manual types.yaml --json
same "$(grep -o '"source": "manual"' out | wc -l)" 1 "types given by hand"

# The names that tokens in context, ablations and scores on text are stored under are those that the rules ask for.
expect 0 analyze run --corpora mix=corpus --score text --checkpoints 20 --progress plain
expect 0 analyze run --corpora mix=corpus --contexts --checkpoints 20 --progress plain
expect 0 analyze run --corpora mix=corpus --ablate zero --checkpoints 20 --progress plain
expect 0 heads run
same "$(grep -cE '^ +[0-9]:[0-9] .* of its top tokens on mix are .*; ablation [+-]' out)" 4 "heads with all evidence"
! grep -q absent out || complain "evidence that is there is called absent"
expect 0 heads run --json
same "$(grep -o '"multigrams"' out | wc -l)" 4 "counts of multigrams"
same "$(grep -o '"bracket": {' out | wc -l)" 4 "scores on text"

expect 2 heads
expect 2 heads run --checkpoint twenty
expect 2 heads run --dead-share -1
expect 3 heads nowhere
says err 'nowhere/run.db'
expect 3 heads run --checkpoint 30
says err 'step 30'
expect 3 heads run --checkpoint 40
says err 'nothing is known of the heads of step 40'
printf '0:1: indction\n' >types.yaml
expect 3 heads run --manual types.yaml
says err "did you mean 'induction'"
printf '0:9: induction\n' >types.yaml
expect 3 heads run --manual types.yaml
says err 'head 0:9'
expect 3 heads run --manual missing.yaml
mkdir torn && head -c 3000 run/run.db >torn/run.db
expect 3 heads torn
finish
