#!/bin/bash
# rllc corpus synth: folders that other commands take, the same for any number of threads; what a bad line gets;
# small models against the optimum.
. "$(dirname "$0")/commands.bash"
small=(--rows 60 --validation-rows 20 --sampling-rows 10 --analysis-rows 0 --n-ctx 48 --progress none)
files="analysis.labels.npy analysis.npy analysis.optimum.npy corpus.json sampling.labels.npy sampling.npy \
sampling.optimum.npy tokenizer.json train.labels.npy train.npy train.optimum.npy validation.labels.npy validation.npy \
validation.optimum.npy "

# Every generator of the list: the same bytes from one thread and from three, and text to look at.
kinds=$(sed -n 's/^RLLC_SYNTH(\(.*\))/\1/p' "$source_dir/src/data/synth.def")
for kind in $kinds; do
    expect 0 corpus synth "$kind-1" --kind "$kind" "${small[@]}" --threads 1
    says out "^$kind-1: $kind, "
    says out '^training row 0: [!-~]{47}$'
    says out '^ +labels: [.nsi)(f]{47}$'
    expect 0 corpus synth "$kind-3" --kind "$kind" "${small[@]}" --threads 3 --json
    says out '^\{"schema": "rllc.corpus/1", "output": "'
    diff -r "$kind-1" "$kind-3" >differences || { complain "$kind depends on threads"; cat differences; }
    same "$(ids "$kind-1/train.npy" 1 | tr -d ' ')" 256 "the first token of a row"
    ids "$kind-1/train.npy" 48 | tail -n +2 | tr '\n' ' ' | "$rllc" decode --tokenizer "$kind-1" >text 2>err
    expect 0 corpus synth x --kind "$kind" "${small[@]}" --dry-run
    says out "^training row 0: $(sed 's/[][\\.*^$(){}?+|/]/\\&/g' text)\$"
    absent x
    expect 0 corpus --help
    says out "[ ,]$kind[ ,]"
done
same "$(ls -A markov-1 | tr '\n' ' ')" "$files" "files"
same "$(ls -A mixture-1 | grep -c generators)" 4 "files of generators"

# Another corpus in its place: nothing of the old one stays. Another seed, other rows.
cp -r mixture-1 again
expect 0 corpus synth again --kind markov "${small[@]}"
diff -r again markov-1 || complain "something of an older corpus stays"
expect 0 corpus synth other --kind markov "${small[@]}" --seed 1
cmp -s other/train.npy markov-1/train.npy && complain "the seed changes nothing"

# What a dry run answers, and what is known.
expect 0 corpus synth x --kind skip --vocab 16 --error 0.1 --dry-run --json
same "$(field out dry_run)" true "dry_run"
close_to "$(field out copy_entropy)" 0.565009 5e-7 "the cross-entropy of a copy"
says out '"options": \{"skip": \{"lag": 2, "error": 0.1, "map": "copy"\}\}'
expect 0 corpus synth x --kind mixture --parts skip,noise=3 --lag 5 -n
says out '^noise +0.75 of the segments, behind the marker 1$'
absent x

# Bad lines.
expect 2 corpus
says err 'what to do is missing.*rllc corpus synth FOLDER'
expect 2 corpus snyth x --kind skip
says err 'did you mean synth'
expect 2 corpus synth --kind skip
says err 'the folder to write is missing'
expect 2 corpus synth x
says err '--kind NAME is missing'
expect 2 corpus synth x --kind dick
says err "did you mean 'dyck'"
expect 2 corpus synth x --kind skip --lga 3
says err 'did you mean --lag'
expect 2 corpus synth x --kind skip --order 2
says err '--order is an option of markov, which has no part in this skip corpus'
expect 2 corpus synth x --kind mixture --parts skip,noise --span_min=4
says err '--span_min=4 is an option of repeat'
expect 2 corpus synth x --kind skip --lag 0
says err '--lag'
expect 2 corpus synth x --kind skip --error 1.5
says err '--error'
expect 2 corpus synth x --kind noise --vocab 77
says err '--vocab'
expect 2 corpus synth x --kind noise --rows 5e9
expect 2 corpus synth x --kind markov --order 4 --vocab 60
says err 'too large'
expect 2 corpus synth x --kind markov --concentration 1e-3
says err 'larger --concentration'
expect 2 corpus synth x --kind repeat --n-ctx 12
says err 'does not fit twice'
expect 2 corpus synth x --kind repeat --span-min 9 --span-max 8
expect 2 corpus synth x --kind mixture --parts markov,mixture
expect 2 corpus synth x --kind noise --rows 0 --validation-rows 0 --sampling-rows 0 --analysis-rows 0
says err 'no rows'
expect 2 corpus synth x y --kind noise
absent x
mkdir home && echo mine >home/letter
for folder in home home/letter; do
    expect 2 corpus synth $folder --kind noise "${small[@]}"
    says err "$folder: "
    expect 2 corpus synth $folder --kind noise "${small[@]}" --dry-run
done
same "$(cat home/letter)" mine "a file that was there"
expect 1 corpus synth /proc/x --kind noise "${small[@]}"
# A disk that is full leaves the corpus that was there; or nothing.
cp -r markov-1 kept
for folder in kept full; do
    (trap '' XFSZ; ulimit -f 40; "$rllc" corpus synth $folder --kind noise --progress none >out 2>err)
    same $? 1 "exit code of a full disk"
    says err "rllc: .*$folder/train"
done
diff -r kept markov-1 || complain "a full disk changed a corpus"
same "$(ls -A full)" "" "what a full disk leaves"

# Small models. None beats the optimum of its rows; with enough parameters they come near it: the bigram model on
# bigrams, a head on copies from two places back (which the bigram model cannot see).
# compare OPTIMUM MARGIN WHAT: the loss in out lies above the optimum by MARGIN at most
compare() {
    close_to "$(awk -v a="$(field out loss)" -v b="$1" 'BEGIN { print a - b }')" "$(awk -v m="$2" 'BEGIN { print m / 2 }')" \
        "$(awk -v m="$2" 'BEGIN { print m / 2 }')" "$3: loss above the optimum"
}
optimum() { awk '/"validation"/ { v = 1 } v && /"optimum"/ { gsub(/[^0-9.]/, ""); print; exit }' "$1/corpus.json"; }
quick=(--batch-size 32 --progress none --validation-every 0)
expect 0 corpus synth bigrams --kind markov --n-ctx 64 --vocab 8 --rows 2048 --progress none
expect 0 train --data bigrams --output bigram-run --n-layers 0 --d-model 16 --n-heads 1 --d-head 8 --lr 0.03 --steps 400 \
    --checkpoints 0,400 "${quick[@]}"
expect 0 eval --checkpoint bigram-run/checkpoints/step400 --tokens bigrams/validation.npy --json
compare "$(optimum bigrams)" 0.02 "bigram model"
expect 0 corpus synth copies --kind skip --n-ctx 32 --vocab 8 --rows 4096 --progress none
for layers in 0 1; do
    expect 0 train --data copies --output copy-run-$layers --n-layers $layers --d-model 32 --n-heads 2 --d-head 16 --lr 0.01 \
        --steps 600 --checkpoints 0,600 "${quick[@]}"
    expect 0 eval --checkpoint copy-run-$layers/checkpoints/step600 --tokens copies/validation.npy --json
    [ $layers = 1 ] && compare "$(optimum copies)" 0.05 "one layer on copies"
    [ $layers = 0 ] && awk -v a="$(field out loss)" 'BEGIN { exit !(a > 1.5) }' || [ $layers = 1 ] ||
        complain "the bigram model sees copies: $(field out loss)"
done
expect 0 analyze copy-run-1 --score previous_token --score-samples 50 --json
finish
