#!/bin/bash
# rllc bench: the rows of its table and that their numbers fit each other; nothing here waits for a particular speed.
. "$(dirname "$0")/commands.bash"
quick=(--seconds 0.002 --rounds 3 --threads 2 --plain --progress none)

expect 0 bench "${quick[@]}" --presets demo --profile --tsv demo.tsv
says out '^ *1 thread .*%'
says out '^ *2 threads .*%'
says out '^Preset demo: 2 layers, width 64, 4 heads of 16, context 64, vocabulary 512; plain path$'
says out '^every head +16 +[0-9]+ x 64 '
says out '^outside kernels( +-?[0-9.]+%){6}$'
says out '^Preset demo would take .* to train and .* to sample here: last-layer heads .*first-layer heads .*base passes'
says demo.tsv '^# rllc bench: [0-9.]+ [a-z0-9-]+ 2 threads [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$'
same "$(sed -n 2p demo.tsv)" $'section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds' "header of the table"

# value FILE SECTION CASE QUANTITY [COLUMN]: the median of a row, of which there must be one.
value() {
    awk -F '\t' -v s="$2" -v c="$3" -v q="$4" -v k="${5:-5}" '
        $1 == s && $2 == c && $3 == q { print $k; n++ } END { if (n != 1) print n + 0, "rows of", s, c, q }' "$1"
}
# holds WHAT AWK-CONDITION name=value...
holds() {
    local what=$1 condition=$2 arguments=()
    shift 2
    for x in "$@"; do arguments+=(-v "$x"); done
    awk "${arguments[@]}" "BEGIN { exit !($condition) }" || complain "$what: not so: $condition with $*"
}

# Every row has eight fields, of which four are finite numbers in order.
awk -F '\t' 'NR > 2 && (NF != 8 || $5 !~ /^-?[0-9.e+-]+$/ || !($6 + 0 <= $5 + 0 && $5 + 0 <= $7 + 0) || $8 < 1) {
    print; bad = 1 } END { exit bad || NR < 100 }' demo.tsv || complain "rows of the table"
same "$(awk -F '\t' 'NR > 2 { print $1 "/" $2 "/" $3 }' demo.tsv | sort | uniq -d)" "" "rows that come twice"

pass=0
for kind in 'training step' 'base pass' full 'last-layer heads' 'first-layer heads' 'every head'; do
    what="demo/$kind"
    members=$(value demo.tsv preset "$what" members) tokens=$(value demo.tsv preset "$what" tokens)
    rate=$(value demo.tsv preset "$what" rate) share=$(value demo.tsv preset "$what" 'share of FMA peak')
    expected=(0 0 2 8 8 16)
    same "$members" "${expected[pass++]}" "members of $kind"
    holds "$kind" 't > 0 && r > 0 && s > 0' t="$tokens" r="$rate" s="$share"
    holds "$kind" 'x > -0.2 && x < 1' x="$(value demo.tsv preset "$what" 'outside kernels')"
    holds "$kind" 'x > 0.1' x="$(value demo.tsv preset "$what" memory)"
    # shares of the kernels, of what is outside and of the update make one
    sum=$(awk -F '\t' -v c="$what" '$1 == "profile" && $2 == c && $3 !~ / calls$|^timers$|^off the cores$/ { s += $5 } END { print s }' demo.tsv)
    close_to "$sum" 1 0.001 "shares of $kind"
    holds "$kind" 'n >= 1' n="$(value demo.tsv profile "$what" 'gemm calls')"
done
# Tokens and operations are of the same calls: a training step of the demo's model is 0.4515 MFLOP a token, a full member
# of a lockstep pass the same, beside the base pass that the two of them share.
cost() { # cost KIND: MFLOP a token (of a member, where there are members)
    awk -v r="$(value demo.tsv preset "demo/$1" rate)" -v t="$(value demo.tsv preset "demo/$1" tokens)" 'BEGIN { print 1e3 * r / t }'
}
close_to "$(cost 'training step')" 0.4515 0.001 "MFLOP a token of a training step"
close_to "$(awk -v f="$(cost full)" -v b="$(cost 'base pass')" 'BEGIN { print (2 * f - b) / 2 }')" 0.4515 0.001 "of a full member"
# The whole: 12000 updates of 16 x 64 tokens; the parts of sampling make its sum.
close_to "$(awk -v s="$(value demo.tsv preset demo training)" -v t="$(value demo.tsv preset 'demo/training step' tokens)" \
    'BEGIN { print s * t / (12000 * 16 * 64) }')" 1 0.0001 "training of the whole preset"
close_to "$(awk -F '\t' '$2 == "demo" && $3 ~ /^sampling: / { s += $5 } $2 == "demo" && $3 == "sampling" { a = $5 } END { print s / a }' \
    demo.tsv)" 1 0.0001 "parts of the sampling"
for threads in '1 thread' '2 threads'; do
    holds "$threads" 'had > 0 && had < 1.1' had="$(value demo.tsv machine "$threads" 'share of the cores had')"
    holds "$threads" 'peak > 0.1 && product > 0.01' \
        peak="$(value demo.tsv machine "$threads" 'FMA peak')" product="$(value demo.tsv machine "$threads" 'matrix product')"
done
holds memory 'x > 1' x="$(value demo.tsv machine 'this process' 'peak memory')"

# Heads of the last layer take the low-rank path unless told otherwise.
expect 0 bench "${quick[@]}" --no-plain --rounds 1 --presets demo --tsv low.tsv
holds "low rank" 'n >= 1' n="$(value low.tsv profile 'demo/last-layer heads' 'low_rank_loss calls')"
same "$(awk -F '\t' '$3 == "low_rank_loss"' demo.tsv | wc -l)" 0 "low-rank losses on the plain path"

# The same as JSON; one thread is measured once; a single round has no spread.
expect 0 bench "${quick[@]}" --threads 1 --rounds 1 --presets '' --json --tsv one.tsv
says out '^\{"schema": "rllc.bench/1", "version": "[0-9.]+", "kernels": "[a-z0-9-]+", "threads": 1, "date": '
same "$(grep -o '"section": "machine", "case": "1 thread", "quantity": "FMA peak", "unit": "GFLOP/s"' out | wc -l)" 1 "rows of the peak"
same "$(grep -o '"section"' out | wc -l)" $(($(wc -l <one.tsv) - 2)) "rows of both forms"
same "$(value one.tsv machine '1 thread' 'FMA peak' 6)" "$(value one.tsv machine '1 thread' 'FMA peak' 7)" "spread of one round"

# Scaling: points, what a unit more costs, and the picture with its data. Under sanitizers one axis will do.
axes=layers,threads
grep -qsE '^RLLC_SANITIZE:[A-Z]+=.' "$(dirname "$rllc")/CMakeCache.txt" && axes=threads
figure=()
command -v gnuplot >/dev/null && figure=(--figure pictures/scaling.svg)
expect 0 bench "${quick[@]}" --rounds 1 --scaling --axes $axes --tsv scaling.tsv "${figure[@]}"
points() { # points AXIS/SERIES QUANTITY: how many there are
    awk -F '\t' -v c="$1/" -v q="$2" '$1 == "scaling" && index($2, c) == 1 && $3 == q { n++ } END { print n + 0 }' scaling.tsv
}
for series in 'training step' full 'first-layer heads' 'last-layer heads'; do
    same "$(points "threads/$series" 'core time per token and member')" 2 "threads of $series"
    same "$(points "threads/$series" 'rate of a thread')" 2 "rates of $series"
    [ $axes = threads ] && continue
    first=$([ "$series" = 'first-layer heads' ] && echo 1 || echo 0) # the only layer is the last
    same "$(points "layers/$series" 'rate of a thread')" $((6 - first)) "depths of $series"
    same "$(points "layers/$series" 'core time per token, member and unit added')" $((5 - first)) "differences of $series"
done
same "$(points 'batch/full' 'rate of a thread')" 0 "an axis that was not asked for"
if [ $axes != threads ]; then
    says out '^layers: us per token and member; us per token and layer added'
    close_to "$(awk -F '\t' '$3 ~ /member$/ && $2 ~ /^layers.full/ { c[$2] = $5 } $3 ~ /added$/ && $2 == "layers/full/6" { d = $5 }
        END { print (c["layers/full/6"] - c["layers/full/4"]) / 2 / d * 1e3 }' scaling.tsv)" 1 0.001 "a layer more"
fi
if [ ${#figure[@]} -gt 0 ]; then
    says pictures/scaling.svg 'threads: core us per token and member'
    same "$(grep -c '^[0-9],threads: ' pictures/scaling.csv)" 16 "points of the picture"
fi

expect 2 bench --rounds 0
says err 'rounds'
expect 2 bench --seconds 0
expect 2 bench --presets demo,papr
says err "there is no preset 'papr'; did you mean 'paper'"
expect 2 bench --figure x.svg
says err 'scaling'
expect 2 bench --scaling --figure x.png
says err 'ends in .svg'
expect 2 bench --scaling --axes layer
says err "did you mean 'layers'"
expect 2 bench --scaling --axes ' '
expect 2 bench --axes layers
expect 2 bench --scaling --profile
expect 1 bench "${quick[@]}" --presets '' --tsv nowhere/bench.tsv
says err 'nowhere'
finish
