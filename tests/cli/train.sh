#!/bin/bash
# rllc train: killed, stopped and run again to the same bits; what other options and bad input get.
. "$(dirname "$0")/commands.bash"
corpus corpus
common=("${tiny[@]}" --data corpus --steps 300 --checkpoints 0,1..300:x2 --validation-every 20)

weights() { sha256sum "$1/checkpoints/step300/model.safetensors" | cut -d ' ' -f 1; }

# Undisturbed.
expect 0 train "${common[@]}" --output whole --threads 1 --dry-run
says out '^300 steps of 8 x 32 tokens'
absent whole
expect 0 train "${common[@]}" --output whole --threads 1 --progress plain
says out '^step 300: training loss [0-9.]+, validation loss [0-9.]+'
says err '300 steps of 8 x 32 tokens: 0.0768 M tokens'
same "$(ls whole/checkpoints | tr '\n' ' ')" 'step0 step1 step128 step16 step2 step256 step300 step32 step4 step64 step8 ' "steps"
same "$(ls whole)" "checkpoints
run.db" "what a run leaves"
expect 0 train "${common[@]}" --output whole --json
same "$(field out step)" 300 "step"
says out '"schema": "rllc.train/1"'
awk -v v="$(field out validation_loss)" 'BEGIN { exit !(v < 5) }' || complain "validation loss $(field out validation_loss)"

# kill -9, again and again, with a varying number of threads.
for i in 1 2 3 4 5 6; do
    "$rllc" train "${common[@]}" --output killed --threads $((i % 3 + 1)) >/dev/null 2>&1 &
    sleep 0.$((RANDOM % 4))$((RANDOM % 10))
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
expect 0 train "${common[@]}" --output killed --threads 2
same "$(weights killed)" "$(weights whole)" "weights after kills"
same "$(ls killed/checkpoints | tr '\n' ' ')" "$(ls whole/checkpoints | tr '\n' ' ')" "steps after kills"

# SIGTERM: everything saved, exit code 75.
long=("${tiny[@]}" --data corpus --steps 1000000 --checkpoints 0 --validation-every 0 --output stopped)
"$rllc" train "${long[@]}" >out 2>err &
sleep 1
kill -TERM $!
wait $!
same $? 75 "exit code after SIGTERM"
says err 'everything is saved'
step=$(ls stopped/resume | tr -d a-z)
expect 0 train "${long[@]/1000000/$step}"
[ -f "stopped/checkpoints/step$step/optimizer.safetensors" ] || complain "a stop did not become the end"
absent stopped/resume

# Rows from elsewhere; the vocabulary must come from somewhere.
npy ids.npy '<u2' '(4, 12)' $(seq 0 47)
expect 2 train --tokens ids.npy --output loose "${tiny[@]}" --steps 1
says err '--d-vocab'
expect 0 train --tokens ids.npy --d-vocab 48 --output loose "${tiny[@]}" --steps 1
expect 0 train --tokens corpus/train.npy --tokenizer corpus/tokenizer.json --output loose2 "${tiny[@]}" --steps 1

# Another run's folder: refused by name, and left as it is.
before=$(find whole/checkpoints -type f | sort | xargs sha256sum | sha256sum)
expect 3 train "${common[@]}" --output whole --seed 2
says err 'seed is "1" there and "2" here'
expect 3 train "${common[@]}" --output whole --d-model 32
says err 'model.d_model is 16 there and 32 here'
expect 3 train "${common[@]}" --output whole --weight-decay 0
says err 'optimizer.weight_decay'
expect 3 train "${common[@]}" --output whole --validation corpus/sampling.npy
says err 'data.validation'
expect 3 train "${common[@]/300/200}" --output whole
says err 'steps'
same "$(find whole/checkpoints -type f | sort | xargs sha256sum | sha256sum)" "$before" "a refused folder"

# Bad input leaves nothing behind.
expect 2 train --data corpus "${tiny[@]}"
says err '--output is missing'
expect 2 train --data corpus --tokens ids.npy --output x
expect 2 train --output x
expect 2 train "${common[@]}" --output x --checkpoints 1..b
expect 2 train "${common[@]}" --output x --lr -1
says err 'lr'
expect 2 train "${common[@]}" --output x --d-modle 3
says err 'did you mean --d-model'
expect 3 train "${tiny[@]}" --data nowhere --output x
says err 'nowhere/corpus.json'
expect 3 train "${common[@]}" --output x --n-ctx 16
says err 'rows of 32 tokens.*n_ctx is 16'
expect 3 train "${common[@]}" --output x --d-vocab 100
expect 3 train --tokens ids.npy --d-vocab 47 --output x
says err 'ids.npy.*47'
npy none.npy '<u2' '(0, 32)'
expect 3 train --tokens none.npy --d-vocab 300 --output x
cp -r corpus torn
truncate -s -3 torn/train.npy
expect 3 train "${tiny[@]}" --data torn --output x
says err 'torn/train.npy'
echo '{' >torn/corpus.json
expect 3 train "${tiny[@]}" --data torn --output x
says err 'torn/corpus.json'
absent x
: >file
expect 1 train "${common[@]}" --output file/run
says err 'file: '

# Numbers that overflow: the step, the step size, and what to do; the checkpoints before stay.
expect 1 train "${common[@]}" --output hot --lr 1e5
says err '(loss|gradient) of update [0-9]+ is not finite \(lr (100000|1e\+?05)'
says err 'smaller lr'
[ -f hot/checkpoints/step0/model.safetensors ] || complain "no checkpoint was kept"

# A full disk (here: files of at most 300 KB, less than the moments') keeps what is there; room again, and it goes on.
wide=("${tiny[@]}" --data corpus --d-model 64 --checkpoints 0,4 --validation-every 0)
expect 0 train "${wide[@]}" --steps 8 --output roomy
expect 0 train "${wide[@]}" --steps 4 --output full
(trap '' XFSZ; ulimit -f 300; "$rllc" train "${wide[@]}" --steps 8 --output full >out 2>err)
same $? 1 "exit code on a full disk"
says err 'step 8 could not be saved, the state of step 4 is intact'
says err 'cannot write'
[ -z "$(find full -name '.partial*' -o -name '*.tmp.*')" ] || complain "half a checkpoint was left"
expect 0 train "${wide[@]}" --steps 8 --output full
cmp full/checkpoints/step8/model.safetensors roomy/checkpoints/step8/model.safetensors || complain "weights after a full disk"
finish
