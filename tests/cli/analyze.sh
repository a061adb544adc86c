#!/bin/bash
# rllc analyze: scores of every checkpoint, each measured once; what bad input gets.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 40 --checkpoints 0,20
quick=(--score-samples 200 --progress plain)

all=previous_token,current_token,prefix_matching,induction
expect 0 analyze run "${quick[@]}" --score $all --dry-run
says out '^12 of 12 tasks to do'
expect 0 analyze run "${quick[@]}" --score previous_token,induction --checkpoints 0,40
says err '4 of 4 tasks'
says out '^previous_token, seed 1 .chance 0'
same "$(grep -cE '^ +(0|40) ( *0\.[0-9]{4}){4}$' out)" 4 "rows of the tables"
expect 0 analyze run "${quick[@]}" --score $all --json
says err '8 of 12 tasks'
says out '"schema": "rllc.analyze/1"'
same "$(grep -o '"metric"' out | wc -l)" $((4 * 3 * 4)) "scores in JSON"
cp out first
expect 0 analyze run "${quick[@]}" --score $all --json --threads 2
says err '0 of 12 tasks'
cmp first out || complain "scores changed without being measured"
expect 0 analyze run "${quick[@]}" --score-seed 1 --score prefix_matching --json
says err '3 of 3 tasks'
same "$(field out n)" 200 "samples"

expect 2 analyze
expect 2 analyze run "${quick[@]}" --score previous
says err "did you mean 'previous_token'"
expect 2 analyze run other
expect 3 analyze nowhere
says err 'nowhere/run.db'
expect 3 analyze run "${quick[@]}" --checkpoints 0,30
says err 'step 30'
expect 3 analyze run "${quick[@]}" --score $all --bos 300
says err 'BOS is 300'
mkdir torn && head -c 3000 run/run.db >torn/run.db
expect 3 analyze torn "${quick[@]}"
cp -r run moved && expect 0 analyze moved "${quick[@]}" --score-seed 2 # paths are relative to the store
printf 'not weights' | dd of=moved/checkpoints/step20/model.safetensors bs=1 seek=9000 conv=notrunc status=none
expect 3 analyze moved "${quick[@]}" --score-seed 3
says err 'step 20'
# Rows from elsewhere: BOS is not known and must be said.
npy ids.npy '<u2' '(4, 12)' $(seq 0 47)
expect 0 train --tokens ids.npy --d-vocab 48 --output loose "${tiny[@]}" --steps 0
expect 3 analyze loose "${quick[@]}"
says err '--bos'
expect 0 analyze loose "${quick[@]}" --bos -1
finish
