#!/bin/bash
# rllc eval: loss, per-token losses and logits agree with each other; what bad input gets.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 30 --checkpoints 0
data=corpus/validation.npy

# The untrained model knows nothing: ln 300 plus half the variance of its logits; the trained one knows more.
expect 0 eval --checkpoint run/step0 --tokens $data --json
before=$(field out loss)
close_to "$before" 5.75 0.5 "loss at initialisation"
expect 0 eval --checkpoint run/checkpoints/step30/model.safetensors --tokens $data --json --token-losses losses.npy
loss=$(field out loss)
awk -v a="$loss" -v b="$before" 'BEGIN { exit !(a < b - 0.3) }' || complain "training did not lower the loss: $before, $loss"
rows=$(field out rows)
same "$(field out tokens)" $((rows * 31)) "predictions"
says out '"schema": "rllc.eval/1"'
same "$(field out checkpoint)" "$(field run/checkpoints/step30/trainer_state.json model_hash)" "content hash"
expect 0 eval --checkpoint run/step30 --tokens $data
says out "^loss $loss nats per token \\($rows rows"

# One sum, one order: the bits do not depend on threads or on what else is asked for.
for flags in "--threads 1" "--threads 2" "--threads 3 --token-losses again.npy"; do
    # shellcheck disable=SC2086
    expect 0 eval --checkpoint run/step30 --tokens $data --json $flags
    same "$(field out loss)" "$loss" "loss with $flags"
done
cmp losses.npy again.npy || complain "per-token losses depend on threads"

# The mean of the per-token losses is the loss.
same "$(floats losses.npy | wc -l)" $((rows * 31)) "per-token losses"
close_to "$(floats losses.npy | awk '{ s += $1 } END { printf "%.9f", s / NR }')" "$loss" 1e-6 "mean of per-token losses"

# Softmax of the logits at the token that came gives the per-token loss: three rows, computed here.
npy few.npy '<u2' '(3, 32)' $(ids $data 96)
expect 0 eval --checkpoint run/step30 --tokens few.npy --output logits.npy --token-losses few-losses.npy --json
same "$(floats logits.npy | wc -l)" $((3 * 32 * 300)) "logits"
{ ids few.npy 96; floats few-losses.npy; floats logits.npy; } | awk '
    NR <= 96 { id[NR - 1] = $1 + 0; next }
    NR <= 96 + 93 { found[NR - 97] = $1; next }
    { n = NR - 190; v = n % 300; at = int(n / 300); x[v] = $1
      if (v < 299) next
      row = int(at / 32); t = at % 32
      if (t == 31) next
      m = x[0]; for (i = 1; i < 300; i++) if (x[i] > m) m = x[i]
      s = 0; for (i = 0; i < 300; i++) s += exp(x[i] - m)
      d = m + log(s) - x[id[row * 32 + t + 1]] - found[row * 31 + t]
      if (d > 2e-5 || d < -2e-5) { print "row " row " position " t ": off by " d; bad++ } }
    END { exit bad > 0 }' || complain "logits and losses disagree"

# A shorter row is the beginning of a longer one: the past does not see the future.
npy short.npy '<u4' '(3, 10)' $(ids few.npy 10) $(ids few.npy 42 | tail -n 10) $(ids few.npy 74 | tail -n 10)
expect 0 eval --checkpoint run/step30 --tokens short.npy --token-losses short-losses.npy
{ floats short-losses.npy; floats few-losses.npy; } | awk '
    NR <= 27 { short[NR - 1] = $1; next }
    { n = NR - 28; row = int(n / 31); t = n % 31
      if (t >= 9) next
      d = $1 - short[row * 9 + t]; if (d > 2e-5 || d < -2e-5) { print "row " row " position " t ": off by " d; bad++ } }
    END { exit bad > 0 }' || complain "shorter rows give other losses"

# Bad input: a sentence and an exit code, and nothing left behind.
checkpoint=run/checkpoints/step30/model.safetensors
expect 2 eval --tokens $data
says err 'checkpoint is missing'
expect 2 eval --checkpoint $checkpoint --tokens $data --token-loses x.npy
says err 'did you mean --token-losses'
expect 2 eval --checkpoint $checkpoint --tokens $data --output x.npy --token-losses x.npy
expect 3 eval --checkpoint run/step31 --tokens $data
says err 'step31'
expect 3 eval --checkpoint $checkpoint --tokens nowhere.npy
says err 'nowhere.npy'
for size in 0 7 100 5000 $(($(stat -c %s $checkpoint) - 1)); do
    head -c "$size" $checkpoint >cut.safetensors
    expect 3 eval --checkpoint cut.safetensors --tokens $data --output x.npy
    says err 'cut.safetensors'
done
npy high.npy '<u2' '(2, 4)' 0 1 2 3 4 5 300 7
expect 3 eval --checkpoint $checkpoint --tokens high.npy --output x.npy
says err 'high.npy.*300'
npy long.npy '<u2' '(1, 33)' $(seq 33)
expect 3 eval --checkpoint $checkpoint --tokens long.npy --output x.npy
says err 'rows of 33 tokens.*2 to 32'
npy one.npy '<u2' '(3, 1)' 1 2 3
expect 3 eval --checkpoint $checkpoint --tokens one.npy
npy none.npy '<u2' '(0, 32)'
expect 3 eval --checkpoint $checkpoint --tokens none.npy
says err 'no rows'
expect 3 eval --checkpoint $checkpoint --tokens losses.npy
says err 'losses.npy.*f4'
head -c 150 few.npy >cut.npy
expect 3 eval --checkpoint $checkpoint --tokens cut.npy
expect 3 eval --checkpoint corpus --tokens $data
expect 1 eval --checkpoint $checkpoint --tokens $data --output nowhere/x.npy
says err 'nowhere/x.npy'
head -c $(($(stat -c %s $checkpoint) - 1200)) $checkpoint >nan.safetensors
head -c 1200 /dev/zero | tr '\0' '\377' >>nan.safetensors
expect 1 eval --checkpoint nan.safetensors --tokens few.npy --output x.npy
says err 'not finite'
absent x.npy

# A full disk (here: files of at most 64 KB) costs the output, not the sentence.
(trap '' XFSZ; ulimit -f 64; "$rllc" eval --checkpoint $checkpoint --tokens $data --output x.npy --progress none >out 2>err)
same $? 1 "exit code on a full disk"
says err 'x.npy: cannot write: File too large'
absent x.npy ./*.tmp.*
finish
