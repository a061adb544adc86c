#!/bin/bash
# rllc tokenize, encode, decode: text to rows and back, by file, folder and pipe; what bad input gets.
. "$(dirname "$0")/commands.bash"

# ---- tokenize ----
mkdir texts
for i in $(seq 1 400); do
    printf 'Document %d speaks of %d sheep and of größere Räume.\n%s\n<|endoftext|>\n' "$i" $((i * 37 % 101)) "$(seq 1 $((i % 40)))"
done >texts/a.txt
pack=(--vocab-size 350 --n-ctx 32)
expect 0 tokenize texts "${pack[@]}" -o one --threads 1 --progress none
says out '^one: tokenizer of 350 entries, BOS 349$'
says out '^train +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+$'
expect 0 tokenize --sources texts/a.txt "${pack[@]}" --output two --threads 3 --json
says out '^\{"schema": "rllc.tokenize/1"'
for file in train.npy validation.npy sampling.npy analysis.npy tokenizer.json; do
    cmp "one/$file" "two/$file" || complain "$file depends on threads"
done
expect 0 eval --help # the rows are what other commands read
same "$(ids one/train.npy 1 | tr -d ' ')" 349 "the first token of a row"
gzip -k texts/a.txt && mv texts/a.txt.gz packed
expect 0 tokenize packed "${pack[@]}" -o packed-corpus --progress none
cmp one/train.npy packed-corpus/train.npy || complain "a compressed file gives other rows"
# A pipe is read twice: for the tokenizer and for the rows.
cat texts/a.txt | "$rllc" tokenize - "${pack[@]}" -o piped --progress none >out 2>err || complain "a pipe: $(cat err)"
cmp one/train.npy piped/train.npy || complain "a pipe gives other rows"
cmp one/tokenizer.json piped/tokenizer.json || complain "a pipe gives another tokenizer"
{ read -r first; "$rllc" tokenize - "${pack[@]}" -o seekable --progress none >out 2>err; } <texts/a.txt || complain "a file on stdin"
{ read -r first; cat; } <texts/a.txt >rest.txt
expect 0 tokenize rest.txt "${pack[@]}" -o rest --progress none
cmp rest/train.npy seekable/train.npy || complain "standard input is not read from where it stands"
same "$(ls -A piped | sort | tr '\n' ' ')" "analysis.npy corpus.json sampling.npy tokenizer.json train.npy validation.npy " "files"
# Another corpus with the same tokenizer; metadata choose its documents.
for i in $(seq 1 60); do
    printf '{"text": "int main%d(void) { return %d; }", "meta": {"set": "%s"}}\n' "$i" "$i" "$([ $((i % 3)) = 0 ] && echo code || echo prose)"
done >mix.jsonl
expect 0 tokenize mix.jsonl -o code --tokenizer one --where meta.set=code --n-ctx 8 --json
same "$(field out tokenizer_hash)" "$(sed -n 's/.*"tokenizer_hash": "\(.*\)",/\1/p' one/corpus.json)" "tokenizer hashes"
cmp one/tokenizer.json code/tokenizer.json || complain "the tokenizer was changed"
same "$(sed -n 's/.*"documents": \([0-9]*\),/\1/p' code/corpus.json | awk '{ n += $1 } END { print n }')" 20 "documents with meta.set=code"
expect 0 tokenize texts -o only --vocab-size 300 --no-pack --progress none
same "$(ls -A only)" tokenizer.json "files of --no-pack"
expect 0 tokenize --help
says out 'rllc tokenize texts/ -o corpus'
says out '--n-ctx'

expect 2 tokenize -o nothing
says err 'text'
expect 2 tokenize texts
says err '--output'
expect 2 tokenize texts -o x --vocab-sice 300
says err '--vocab-size'
expect 2 tokenize texts -o x --tokenizer one --vocab-size 300
says err 'belong to training'
expect 2 tokenize texts -o x --tokenizer one --no-pack
expect 2 tokenize texts -o x --vocab-size 100
expect 2 tokenize mix.jsonl -o x --where meta.set
expect 2 tokenize texts -o x --sampling-fraction 0.99
expect 3 tokenize nowhere -o x
says err 'nowhere'
expect 3 tokenize texts -o x --tokenizer nowhere
expect 3 tokenize texts -o x --where meta.set=code
expect 3 tokenize mix.jsonl -o x --where meta.set=verse
expect 3 tokenize texts -o x --tokenizer one --n-ctx 1000000
says err 'n_ctx = 1000000'
printf 'good\xff' >bad.txt
expect 3 tokenize bad.txt -o x --tokenizer one
says err 'bad.txt: byte 4'
: >empty.txt
expect 3 tokenize empty.txt -o x
expect 3 tokenize empty.txt -o x --tokenizer one
head -c 300 packed >cut.gz
expect 3 tokenize cut.gz -o x --tokenizer one
says err 'cut.gz'
head -c 3000 one/tokenizer.json >cut.json
expect 3 tokenize texts -o x --tokenizer cut.json
: >file
expect 1 tokenize texts -o file/x --tokenizer one
absent x/train.npy x/corpus.json x/tokenizer.json
# A disk that is full: files larger than 8 kB cannot be written.
(trap '' XFSZ; ulimit -f 8; "$rllc" tokenize texts -o full --tokenizer one --n-ctx 32 --progress none >out 2>err)
same $? 1 "exit code of a full disk"
says err 'rllc: .*full'
same "$(ls -A full)" "" "what a full disk leaves"

# ---- encode, decode ----
printf 'Once upon a time\n\n  größere  Räume \t\r\n日本語<|endoftext|>x\nno newline at the end' >lines
"$rllc" encode --tokenizer one <lines >ids 2>err || complain "encode: $(cat err)"
same "$(wc -l <ids)" 5 "lines of ids"
same "$(sed -n 2p ids)" "" "the ids of an empty line"
says ids ' 349 '
"$rllc" decode --tokenizer one/tokenizer.json <ids >back 2>err || complain "decode: $(cat err)"
cmp back <(cat lines; echo) || complain "decode(encode(x)) is not x"
"$rllc" encode --tokenizer one --json <lines >out 2>err
same "$(field out lines)" 5 "lines in JSON"
same "$(field out tokens)" "$(wc -w <ids)" "tokens in JSON"
"$rllc" encode --tokenizer one <lines >/dev/full 2>err
same $? 1 "exit code of a full standard output"
printf 'fine\nba\xffd\n' | "$rllc" encode --tokenizer one >out 2>err
same $? 3 "exit code of invalid UTF-8"
says err 'line 2: byte 2'
for wrong in '1 x' '350' '-1' '99999999999999999999' '1,2' '1.5'; do
    printf '1 2\n%s\n' "$wrong" | "$rllc" decode --tokenizer one >out 2>err
    same $? 3 "exit code of ids '$wrong'"
    says err 'line 2'
done
expect 2 encode
says err '--tokenizer'
expect 2 encode --tokenizer one extra
expect 3 decode --tokenizer nowhere
expect 0 encode --tokenizer one
same "$(cat out)" "" "the ids of no lines"
finish
