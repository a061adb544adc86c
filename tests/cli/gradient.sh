#!/bin/bash
# rllc gradient: parts add up to the whole, repeated rows change nothing; what bad input gets.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 10 --checkpoints 0
npy rows.npy '<u2' '(40, 32)' $(ids corpus/train.npy 1280)
npy twice.npy '<u2' '(80, 32)' $(ids corpus/train.npy 1280) $(ids corpus/train.npy 1280)

# norm COMPONENT TOKENS
norm() {
    expect 0 gradient --checkpoint run/step10 --tokens "$2" --component "$1" --output "g-$1.safetensors" --json
    field out norm
}

# |gradient|^2 of the whole model is the sum over components that share nothing.
whole=$(norm full rows.npy)
sum=0
for part in embed pos_embed unembed l0 l1h0 l1h1 blocks.1.ln1.w blocks.1.ln1.b blocks.1.attn.b_O ln_final.w ln_final.b; do
    sum=$(awk -v s="$sum" -v n="$(norm $part rows.npy)" 'BEGIN { printf "%.17g", s + n * n }')
done
close_to "$(awk -v s="$sum" 'BEGIN { printf "%.17g", sqrt(s) }')" "$whole" 1e-9 "norm of the parts together"

# 80 rows go through in two parts: the mean over rows that are there twice is the same mean.
close_to "$(norm full twice.npy)" "$whole" 1e-6 "norm over repeated rows"

# The loss next to it is what eval says; the file holds the tensors that the component touches, and no others.
expect 0 eval --checkpoint run/step10 --tokens rows.npy --json
loss=$(field out loss)
expect 0 gradient --checkpoint run/step10 --tokens rows.npy --component 0:1+l1h0 -o g.safetensors --json
close_to "$(field out loss)" "$loss" 1e-12 "loss"
same "$(field out numbers)" $((2 * (4 * 16 * 8 + 3 * 8))) "numbers"
expect 0 params --checkpoint run/step10
for tensor in $(awk '$1 ~ /[.]/ { print $1 }' out); do
    case $tensor in
    blocks.?.attn.[Wb]_[QKV] | blocks.?.attn.W_O) says g.safetensors "\"$tensor\"" ;;
    *) ! grep -q "\"$tensor\"" g.safetensors || complain "$tensor is in the file" ;;
    esac
done
expect 0 gradient --checkpoint run/step10 --tokens rows.npy --component l0h1 -o one.safetensors --threads 1
expect 0 gradient --checkpoint run/step10 --tokens rows.npy --component l0h1 -o two.safetensors --threads 2
says out '^l0h1: .gradient. [0-9.e-]+ over 536 numbers'
cmp one.safetensors two.safetensors || complain "the gradient depends on threads"

# Bad input.
expect 2 gradient --checkpoint run/step10 --tokens rows.npy
says err '--output is missing'
expect 2 gradient --checkpoint run/step10 --tokens rows.npy --component l0h2 -o x.safetensors
says err 'l0h2'
expect 2 gradient --checkpoint run/step10 --tokens rows.npy --component unembd -o x.safetensors
says err 'unembed'
expect 3 gradient --checkpoint run/step11 --tokens rows.npy -o x.safetensors
npy high.npy '<u2' '(1, 3)' 1 2 300
expect 3 gradient --checkpoint run/step10 --tokens high.npy -o x.safetensors
expect 1 gradient --checkpoint run/step10 --tokens rows.npy -o nowhere/x.safetensors
absent x.safetensors
finish
