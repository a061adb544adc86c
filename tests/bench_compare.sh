#!/bin/bash
# bench/compare: joins two tables of a bench, says what changed beyond the spread, and refuses what is no such table.
set -u
export LC_ALL=C
compare="$(cd "$1" && pwd)/bench/compare"
scratch=$(mktemp -d /tmp/rllc-compare-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failures=0
complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
expect() { # CODE FILES...
    local wanted=$1 code
    shift
    sh "$compare" "$@" >out 2>err
    code=$?
    [ $code -eq "$wanted" ] || { complain "exit code $code, expected $wanted: compare $*"; cat err; }
    [ "$wanted" -eq 0 ] || [ ! -s out ] || ! grep -q '^section' out || complain "a table in spite of an error: compare $*"
}
says() { # FILE PATTERN
    grep -qE -- "$2" "$1" || { complain "'$1' does not say '$2'"; sed 's/^/    /' "$1"; }
}
table() { # FILE ROW...: rows with spaces for tabs
    local file=$1
    shift
    {
        echo "# rllc bench: 0.1.0 cpu-generic 2 threads 2026-01-01"
        printf 'section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds\n'
        for row in "$@"; do tr ' ' '\t' <<<"$row"; done
    } >"$file"
}
tab=$(printf '\t')

table old 'step a rate t/s 100 90 110 3' 'step b rate t/s 100 90 110 3' 'step a memory MB 0 0 0 1' 'step gone rate t/s 1 1 1 1'
table new 'step b rate t/s 105 100 115 3' 'step a rate t/s 150 111 160 3' 'step a memory MB 5e0 5 5 1' 'step fresh rate t/s 1 1 1 1'
expect 0 old new
says out "^step${tab}a${tab}rate${tab}t/s${tab}100${tab}150${tab}1\\.500${tab}\\*\$"
says out "^step${tab}b${tab}rate${tab}t/s${tab}100${tab}105${tab}1\\.050${tab}\$"
says out "^step${tab}a${tab}memory${tab}MB${tab}0${tab}5e0${tab}-${tab}\\*\$"
says out "^# only in old: step${tab}gone${tab}rate"
says out "^# only in new: step${tab}fresh${tab}rate"
says out '^# 3 rows in both, 2 changed beyond the spread, 2 in one table alone'
[ "$(grep -c '^# rllc bench: ' out)" -eq 2 ] || complain "not both tables say what they are"
expect 0 old old # the same file twice
says out '^# 4 rows in both, 0 changed'
expect 0 new old
says out "^step${tab}a${tab}rate${tab}t/s${tab}150${tab}100${tab}0\\.667${tab}\\*\$"

expect 2 old
expect 2 old nowhere
says err 'nowhere cannot be read'
expect 2 . new
: >empty
expect 2 empty new
says err 'empty: no rows'
expect 2 old empty
says err 'empty: no rows'
printf 'a\tb\n1\t2\n' >other
expect 2 old other
says err 'other:1: not the header'
table short 'step a rate t/s 100 90 110'
expect 2 short new
says err 'short:3: 7 columns, not 8'
table words 'step a rate t/s fast 90 110 3'
expect 2 old words
says err 'words:3: .* must be numbers'
table outside 'step a rate t/s 120 90 110 3'
expect 2 old outside
says err 'outside:3: median is not between'
table twice 'step a rate t/s 100 90 110 3' 'step a rate t/s 100 90 110 3'
expect 2 old twice
says err 'twice:4: a second row of step, a, rate'
table units 'step a rate s 100 90 110 3'
expect 2 old units
says err 'units differ'
[ "$failures" -eq 0 ] && echo "passed" && exit 0
echo "$failures failures"
exit 1
