#!/bin/bash
# rllc params: the table counts what is there and what moves; what bad input gets.
. "$(dirname "$0")/commands.bash"
npy ids.npy '<u2' '(4, 12)' $(seq 0 47)
expect 0 train --tokens ids.npy --d-vocab 50 --output run "${tiny[@]}" --steps 0
head=$((4 * 16 * 8 + 3 * 8))
all=$((2 * 50 * 16 + 50 + 12 * 16 + 2 * 16 + 2 * (2 * head + 3 * 16)))

expect 0 params --checkpoint run/step0
says out "^all +full +$all +$all\$"
says out "^blocks\\.1\\.attn\\.W_Q +\\[2, 16, 8\\] +256 +256\$"
same "$(awk 'NR > 1 && $1 != "all" { s += $(NF - 1) } END { print s }' out)" "$all" "sum of the table"
expect 0 params --checkpoint run/step0 --select l0h1+l1h0
says out "^all +l0h1\\+l1h0 +$all +$((2 * head))\$"
says out "^blocks\\.0\\.attn\\.b_O +\\[16\\] +16 +0\$"
same "$(awk 'NR > 1 && $1 != "all" { s += $NF } END { print s }' out)" $((2 * head)) "sum of what moves"
expect 0 params --checkpoint run/step0 --select heads,unembed
same "$(grep -c "^l[01]h[01] .* $head\$" out)" 4 "lines of heads"
says out "^unembed .* $((50 * 16 + 50))\$"
expect 0 params --checkpoint run/step0 --select 1:1 --json
says out '"schema": "rllc.params/1"'
says out "\"numbers\": $all, \"components\""
says out "\"component\": \"l1h1\", \"label\": \"1:1\", \"moving\": $head,|\"component\": \"1:1\", \"label\": \"1:1\", \"moving\": $head,"

expect 2 params
expect 2 params --checkpoint run/step0 --select l2
says err 'l2'
expect 2 params --checkpoint run/step0 --slect l0
says err 'did you mean --select'
expect 2 params run/step0
says err "unexpected argument 'run/step0'"
expect 3 params --checkpoint nowhere
says err 'nowhere'
# Every way of cutting the file short is noticed.
model=run/checkpoints/step0/model.safetensors
for size in 0 1 8 9 500 2000 $(($(stat -c %s $model) - 4)); do
    head -c "$size" $model >cut.safetensors
    expect 3 params --checkpoint cut.safetensors
    says err 'cut.safetensors'
done
{ cat $model; printf 'x'; } >longer.safetensors
expect 3 params --checkpoint longer.safetensors
sed 's/unembed/unEmbed/g' $model >renamed.safetensors
expect 3 params --checkpoint renamed.safetensors
says err 'un[eE]mbed'
finish
