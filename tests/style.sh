#!/bin/bash
# What a reader should be able to rely on in every C file, cheaply checked.
set -u
export LC_ALL=C
source_dir=$1
cd "$source_dir" || exit 1

found=$(
    find src include tests $(ls -d bench examples 2>/dev/null) -name '*.[ch]' -o -name '*.def' | sort | while IFS= read -r file; do
        awk -v file="$file" '
            FNR == 1 && !/^\/\*|^\/\// { print file ": the first line does not say what the file is for" }
            length($0) > 132 + gsub(/[\200-\277]/, "&") { print file ":" FNR ": longer than 132 columns (120 is the aim)" }
            /\t/ { print file ":" FNR ": tab" }
            /[ \r]$/ { print file ":" FNR ": blank at the end of the line" }
            /(TODO|FIXME)/ { print file ":" FNR ": unfinished" }
            file ~ /^src\// && file !~ /^src\/cli\// && /(^|[^_a-z])(printf|puts|putchar|perror|exit|abort)[ ]*\(/ &&
                !/RLLC_PRINTF/ && !/^ *(\*|\/[\/*])/ { print file ":" FNR ": only src/cli prints and exits" }
            /fprintf\(std(err|out)/ && file ~ /^src\// && file !~ /^src\/cli\// { print file ":" FNR ": only src/cli prints" }
            END { if (FNR > 500) print file ": " FNR " lines; what second idea lives in it?" }' "$file"
    done
)
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
echo "style: clean"
