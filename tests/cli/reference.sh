#!/bin/bash
# Losses relative to a reference model, from the command line: eval, gradient, sample, estimate, and a run's companion.
. "$(dirname "$0")/commands.bash"
corpus corpus
expect 0 train --data corpus --output run "${tiny[@]}" --steps 30 --checkpoints 0
expect 0 train --data corpus --output small "${tiny[@]}" --n-layers 1 --steps 20 --checkpoints 20
npy few.npy '<u2' '(3, 32)' $(ids corpus/validation.npy 96)

# A model is at no distance from itself; another is, by what the logits of both say: three rows, computed here.
expect 0 eval --checkpoint run/step30 --reference run/step30 --tokens few.npy --json
same "$(field out loss)" 0.0 "divergence from itself"
expect 0 eval --checkpoint run/step30 --tokens few.npy --output model.npy
expect 0 eval --checkpoint small/step20 --tokens few.npy --output reference.npy --json
hash=$(field out checkpoint)
expect 0 eval --checkpoint run/step30 --reference small/step20 --tokens few.npy --json --token-losses losses.npy
divergence=$(field out loss)
same "$(field out reference)" "$hash" "hash of the reference"
paste <(floats reference.npy) <(floats model.npy) | awk '
    { v = (NR - 1) % 300; p[v] = $1; q[v] = $2
      if (v < 299) next
      t = int((NR - 1) / 300) % 32
      if (t == 31) next
      a = b = 0
      for (i = 0; i < 300; i++) { a += exp(p[i]); b += exp(q[i]) }
      for (i = 0; i < 300; i++) sum += exp(p[i]) / a * (p[i] - log(a) - q[i] + log(b)) }
    END { printf "%.9f\n", sum / 93 }' >expected
close_to "$divergence" "$(cat expected)" 2e-6 "divergence from the logits"
close_to "$(floats losses.npy | awk '{ s += $1 } END { printf "%.9f", s / NR }')" "$divergence" 1e-6 "mean of token losses"
expect 0 eval --checkpoint run/step30 --reference small/step20 --tokens few.npy --threads 3
says out "^KL divergence ${divergence:0:8}"
expect 0 gradient --checkpoint run/step30 --reference run/step30 --tokens few.npy --output g.safetensors --json
same "$(field out norm)" 0.0 "gradient at no distance"
expect 0 gradient --checkpoint run/step30 --reference small/step20 --tokens few.npy --output g.safetensors
says out "KL divergence ${divergence:0:14}[0-9]*, in g.safetensors"
awk -v n="$(sed -E 's/.*\|gradient\| ([^ ]+) .*/\1/' out)" 'BEGIN { exit !(n > 0.01) }' || complain "no gradient"
expect 3 eval --checkpoint run/step30 --reference nowhere --tokens few.npy
says err 'reference: .*nowhere'

# Chains under both losses: cells of their own, which every command tells apart.
sample() { expect "$1" sample --checkpoint run/step30 --tokens corpus --store llc.db --component l1h0 --num-draws 5 --batch-size 4 \
    --quiet "${@:2}"; }
sample 0
cp out plain
sample 0 --loss reference --reference small/step20
says out "tokens to ${hash:0:8} +1:0 +wdrLLC"
grep -q ' wrLLC ' out && complain "the loss of the next token is shown unasked"
sample 0
cmp -s out plain || complain "the loss of the next token changed, or another is shown with it"
sample 0 --loss next_token,reference --reference small/checkpoints/step20 --json
same "$(grep -o '"loss": "[a-z_]*' out | sort | tr -d '\n')" '"loss": "next_token"loss": "reference' "losses as JSON"
sample 0 --loss next_token,reference --reference small/step20 --trace both.csv
same "$(cut -d, -f2 both.csv | sort -u | tr '\n' ,)" "corpus,tokens,tokens to ${hash:0:8}," "corpora of the traces"
expect 0 estimate llc.db --losses reference
says out 'wdrLLC'
grep -q ' wrLLC ' out && complain "--losses reference shows the others"
expect 0 estimate llc.db --losses next_token
grep -q wdrLLC out && complain "--losses next_token shows the others"
expect 3 estimate llc.db --losses kl
says err 'of these --losses; the store has next_token, reference:'
expect 0 diagnose llc.db --losses "reference:$hash" --all
says out '^[0-9]+ of 1 estimates are good'
sample 2 --loss reference
says err '--reference'
sample 2 --reference small/step20
says err 'add --loss reference'
sample 2 --loss kl
says err "found 'kl', expected next_token, reference or both"
expect 0 sample --checkpoint run/step30 --tokens corpus --dry-run --json
next=$(field out flops)
expect 0 sample --checkpoint run/step30 --tokens corpus --dry-run --json --loss reference --reference small/step20
awk -v a="$(field out flops)" -v b="$next" 'BEGIN { exit !(a > b) }' || complain "a reference costs nothing"

# A run that trains a companion, and samples against it.
cat >run.yaml <<YAML
output: whole
tokenizer: {vocab_size: 300}
corpora: {mix: {sources: $source_dir/include, sampling_fraction: 0.4}}
model: {n_layers: 2, d_model: 8, n_heads: 2, d_head: 4, n_ctx: 16}
training: {steps: 20, batch_size: 4, checkpoints: '0,20'}
scores: {score_samples: 10}
sampling: {checkpoints: '20', components: 'heads', num_draws: 3, batch_size: 4}
YAML
both='sampling.loss=[next_token,reference]'
expect 0 run run.yaml --progress plain
estimates() { "$rllc" estimate whole --no-rebuild --losses "$1" --json | tr ',' '\n' | grep -vE 'seconds'; }
estimates next_token >before
absent whole/companion
grep -q companion whole/config.yaml && complain "a companion in the configuration of a run without one"
expect 0 run run.yaml "$both" --dry-run
says out '^companion +1 layers, seed 1, 20 steps'
says out '^sample +2 losses x '
expect 0 run run.yaml "$both" --progress plain
same "$(grep -c 'unchanged' err)" 4 "stages unchanged when a loss is added"
says err 'companion: 1 layers, seed 1, 20 steps'
estimates next_token >after
cmp -s before after || complain "adding a loss changed the estimates of the other"
same "$(estimates reference | grep -c llc_mean\":)" 4 "estimates relative to the companion"
expect 0 sample whole --dry-run --json
same "$(field out groups)" 2 "checkpoints in the run's store"
expect 0 eval --checkpoint whole/companion/seed-1/step20 --tokens whole/corpora/mix/sampling.npy --json
companion=$(field out checkpoint)
says whole/report.html "mix to ${companion:0:8}"
says whole/report.html "KL divergence from the predictions of a reference model, nats per token, reference:$companion"
expect 0 run run.yaml "$both" --progress plain
same "$(grep -c 'unchanged' err)" 7 "stages of a finished run"
expect 0 run whole/config.yaml --dry-run
says out 'Nothing to do'
expect 0 run run.yaml "$both" companion.n_layers=0 companion.seed=2 --quiet
says whole/config.yaml '^companion:$'
[ -s whole/companion/seed-2/checkpoints/step20/model.safetensors ] || complain "no second companion"
same "$(estimates reference | grep -c llc_mean\":)" 8 "estimates relative to two companions"
expect 0 run run.yaml sampling.loss=reference sampling.reference=whole/companion/seed-2/step20 --quiet
same "$(estimates reference | grep -c llc_mean\":)" 8 "the same weights by another path make the same cells"
expect 3 run run.yaml sampling.loss=reference sampling.reference=small -o new
says err 'small: holds 2 checkpoints'
absent new/seed-1
expect 3 run run.yaml sampling.loss=reference sampling.reference=run/step30 -o new model.n_ctx=64
says err 'sampling.reference: the reference model reads up to 32 tokens, the sequences have 64'
absent new/seed-1
expect 3 run run.yaml sampling.loss=kl
says err "found 'kl'"
expect 3 run run.yaml companion.n_layers=1
says err "companion: it is trained for the loss 'reference'"
expect 3 run run.yaml sampling.reference=whole/companion/seed-1
says err "sampling.reference: read by the loss 'reference' alone"
expect 3 run run.yaml "$both" sampling.reference=small companion.seed=3
says err 'names another model'

finish
