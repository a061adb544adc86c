#!/bin/sh
# coverage.sh BUILD: lines of src/ that the tests ran, a line a room, from gcov's own reports.
set -eu
cd "$1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
find . -name '*.gcda' -path '*/src/*' | while IFS= read -r data; do
    gcov --no-output --object-directory "$(dirname "$data")" "$data" 2>/dev/null
done | awk '
    /^File / { file = $2; gsub(/\047/, "", file); sub(/.*\/src\//, "", file); room = file; sub(/\/.*/, "", room); mine = $2 ~ /\/src\// }
    /^Lines executed/ && mine {
        split($0, part, /[:% ]+/); share = part[3]; n = $NF
        # a header stands in several objects: the best of them counts
        if (!(file in count) || n * share / 100 > reached[file]) { count[file] = n; reached[file] = n * share / 100; of[file] = room }
        mine = 0
    }
    END {
        for (file in count) { lines[of[file]] += count[file]; ran[of[file]] += reached[file] }
        for (room in lines) { printf "%-12s %5.1f %% of %6d lines\n", room, 100 * ran[room] / lines[room], lines[room]; a += lines[room]; b += ran[room] }
        if (a) printf "%-12s %5.1f %% of %6d lines\n", "all", 100 * b / a, a
    }' | sort
