#!/bin/bash
# The floor plan holds: a room includes only rooms on lower floors, and a foreign header only in its one home.
# First the check is shown trees that break each rule, so that it is known to see.
set -u
source_dir=$1

# Prints one line for every include that breaks the plan of $1/src/LAYERS.
violations() {
    (cd "$1" && grep -rnE '^[[:space:]]*#[[:space:]]*include' src include --include='*.[ch]' --include='*.def') |
        awk -v plan="$1/src/LAYERS" '
    BEGIN {
        while ((getline line < plan) > 0) {
            n = split(line, word, " ")
            if (n < 2 || word[1] ~ /^#/) continue
            floor[word[1]] = word[2]
            for (i = 3; i <= n; i++) only[word[1]] = only[word[1]] " " word[i] " "
        }
        split("jansson.h base yaml.h base xxhash.h base Random123 base " \
              "immintrin.h kernels archive.h data archive_entry.h data zstd.h data pcre2.h data sqlite3.h store " \
              "mpi.h comm cuda.h kernels cuda_runtime.h kernels", pair, " ")
        for (i = 1; i in pair; i += 2) home[pair[i]] = pair[i + 1]
        split("assert complex ctype dirent errno fcntl fenv float fnmatch glob inttypes langinfo libgen limits locale math poll " \
              "pthread pwd sched setjmp signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib " \
              "stdnoreturn string strings termios time unistd wchar wctype", name, " ")
        for (i in name) system_header[name[i] ".h"] = 1
    }
    {
        split($0, part, ":")
        file = part[1]; where = part[1] ":" part[2]
        match($0, /[<"][^>"]*[>"]/)
        kind = substr($0, RSTART, 1); target = substr($0, RSTART + 1, RLENGTH - 2)
        if (file ~ /^include\//) { room = file; sub(/.*\//, "", room); sub(/\.[a-z]+$/, "", room) }
        else { room = file; sub(/^src\//, "", room); sub(/\/.*/, "", room) }
        if (room == "rllc") next                         # the header of all headers
        if (room == "status") room = "base"
        if (!(room in floor)) { print where ": room " room " is not in src/LAYERS"; next }
        top = target; sub(/\/.*/, "", top)
        if (kind == "<") {
            if (target in system_header || top == "sys" || top == "gnu") next
            foreign = (target in home) ? target : top
            if (!(foreign in home)) print where ": <" target "> has no home: name one in tests/layers.sh"
            else if (home[foreign] != room) print where ": <" target "> belongs to " home[foreign]
            next
        }
        if (target ~ /\.\./) { print where ": \"" target "\": write room/file.h, not a way through the folders"; next }
        other = room                                     # "file.h" beside it
        if (target == "rllc/rllc.h") other = "cli"
        else if (top == "rllc") { other = target; sub(/^rllc\//, "", other); sub(/\.[a-z]+$/, "", other)
                                  if (other == "status") other = "base" }
        else if (top in floor && target ~ /\//) other = top
        if (other == room) next
        if (!(other in floor)) print where ": \"" target "\": there is no room " other
        else if (floor[other] >= floor[room]) print where ": " room " (floor " floor[room] ") includes " other " (floor " floor[other] ")"
        else if (room in only && index(only[room], " " other " ") == 0) print where ": " room " sees only" only[room] "but includes " other
    }'
}

# expect ROOM LINE: a tree whose only include is LINE, in ROOM, must be refused.
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/include/rllc" "$scratch/src"
cp "$source_dir/src/LAYERS" "$scratch/src/LAYERS"
expect() {
    rm -rf "$scratch"/src/*/
    mkdir -p "$scratch/src/$1"
    printf '%s\n' "$2" > "$scratch/src/$1/x.c"
    if [ -z "$(violations "$scratch")" ]; then
        echo "the check does not see: '$2' in $1"
        failed=1
    fi
}
expect base '#include "rllc/model.h"'         # up
expect data '#include "rllc/checkpoint.h"'    # sideways
expect report '#include "rllc/model.h"'       # past the rooms it may see
expect model '#include "sampling/lockstep.h"' # up, a private header
expect model '#include <sqlite3.h>'           # a foreign header away from home
expect stats '#  include <gsl/gsl_math.h>'    # a foreign header without a home
expect data '#include "../base/number.h"'     # through the folders
expect train '#include "rllc/rllc.h"'         # everything
expect nowhere '#include "rllc/base.h"'       # a room that is not planned

found=$(violations "$source_dir")
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    failed=1
fi
[ $failed = 0 ] && echo "layers: $(grep -cE '^[a-z]' "$source_dir/src/LAYERS") rooms, every include goes down"
exit $failed
