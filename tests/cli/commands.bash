# What the tests of commands share. Sourced with the test's own arguments: $1 the source folder, $2 the build folder.
# Every test works in a scratch folder of its own and ends with `finish`.
set -u
export LC_ALL=C
source_dir=$(cd "$1" && pwd)
rllc="$(cd "$2" && pwd)/rllc"
scratch=$(mktemp -d /tmp/rllc-cli-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failures=0

complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE ARGUMENTS...: rllc ends with this code; its output is in out and err, and failures say one sentence.
expect() {
    local wanted=$1 code
    shift
    "$rllc" "$@" >out 2>err </dev/null
    code=$?
    if [ $code -ne "$wanted" ]; then
        complain "exit code $code, expected $wanted: rllc $*"
        sed 's/^/    /' err
    elif [ "$wanted" -ne 0 ] && [ "$(grep -c '^rllc: ' err)" -ne 1 ]; then
        complain "not one sentence: rllc $*"
        sed 's/^/    /' err
    fi
}

# says FILE PATTERN: the file holds the extended regular expression.
says() {
    grep -qE -- "$2" "$1" || { complain "'$1' does not say '$2'"; sed 's/^/    /' "$1"; }
}

same() {
    [ "$1" = "$2" ] || complain "$3: '$1' and '$2' differ"
}

absent() {
    for file in "$@"; do [ ! -e "$file" ] || complain "$file was left behind"; done
}

# close_to A B TOLERANCE WHAT
close_to() {
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d <= t && -d <= t) }' ||
        complain "$4: $1, expected $2 +- $3"
}

# field FILE NAME: a number or text of a JSON object on one line.
field() {
    sed -nE "s/.*\"$2\": (\"([^\"]*)\"|([^,}]*))[,}].*/\2\3/p" "$1" | head -n 1
}

# npy FILE DESCR SHAPE NUMBER...: writes an array of unsigned integers, e.g. npy ids.npy '<u2' '(2, 3)' 1 2 3 4 5 6
npy() {
    local file=$1 size=${2:2:1} header="{'descr': '$2', 'fortran_order': False, 'shape': $3, }" total value i
    shift 3
    total=$(((10 + ${#header} + 1 + 63) / 64 * 64))
    {
        printf '\x93NUMPY\x01\x00'
        printf '%b' "$(printf '\\x%02x\\x%02x' $(((total - 10) & 255)) $(((total - 10) >> 8)))"
        printf "%-$((total - 11))s\n" "$header"
        for value in "$@"; do
            for ((i = 0; i < size; i++)); do printf '%b' "$(printf '\\x%02x' $(((value >> (8 * i)) & 255)))"; done
        done
    } >"$file"
}

# floats FILE: the float32 numbers of a .npy, one a line.
floats() {
    local length
    length=$(od -An -tu2 -j8 -N2 "$1" | tr -d ' ')
    od -An -v -tf4 -w4 -j$((10 + length)) "$1"
}

# ids FILE COUNT: the first numbers of a uint16 .npy, one a line.
ids() {
    local length
    length=$(od -An -tu2 -j8 -N2 "$1" | tr -d ' ')
    od -An -v -tu2 -w2 -j$((10 + length)) -N$((2 * $2)) "$1"
}

# corpus FOLDER: packs a corpus out of the project's own sources: 300 tokens, rows of 32.
corpus() {
    "$rllc" tokenize "$source_dir/src" -o "$1" --max-bytes 200000 --cut-bytes 2000 --vocab-size 300 --n-ctx 32 --quiet \
        >/dev/null || { complain "no corpus could be packed"; finish; }
}

# A model that trains in no time; callers add --data, --output, --steps.
tiny=(--d-model 16 --n-layers 2 --n-heads 2 --d-head 8 --batch-size 8 --lr 0.01 --progress none)

finish() {
    [ "$failures" -eq 0 ] && echo "passed" && exit 0
    echo "$failures failures"
    exit 1
}
