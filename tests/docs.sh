#!/bin/bash
# The documents hold together: links lead somewhere, cited equations exist, every room has its page, commands shown exist.
set -u
cd "$1" || exit 1
rllc=$2/rllc
failed=0
fail() { echo "$*"; failed=1; }

pages=$(find . -name '*.md' ! -path './build*' ! -path './demo/*' ! -path './.git/*' | sort)
for page in $pages; do
    while IFS= read -r target; do
        case $target in
        http*|\#*|mailto:*) continue ;;
        esac
        [ -e "$(dirname "$page")/${target%%#*}" ] || fail "$page: the link $target leads nowhere"
    done < <(grep -oE '\]\([^) ]+\)' "$page" | sed 's/^](//; s/)$//')
done

# (E12) or (E11, E12) or E11-E16 in code and pages: each number is in equations.md.
known=$(grep -oE '\bE[0-9]+\b' docs/equations.md | sort -u)
for number in $(grep -rohE '\bE[0-9]{1,3}\b' src include --include='*.[ch]' | sort -u); do
    grep -qx "$number" <<<"$known" || fail "$(grep -rlE "\b$number\b" src include | head -n 1) cites $number, which docs/equations.md does not have"
done

for room in $(sed -n 's/^\([a-z]*\) .*/\1/p' src/LAYERS); do
    [ "$room" = cli ] || ! ls "src/$room"/*.c >/dev/null 2>&1 && continue
    grep -q "\`$room\`" docs/README.md || fail "docs/README.md does not name the room $room"
done

# Every `rllc COMMAND` at the beginning of a line in a code block is a command, with flags that it has.
while IFS= read -r line; do
    command=$(awk '{print $2}' <<<"$line")
    case $command in --*|help|COMMAND|'') continue ;; esac
    help=$("$rllc" "$command" --help 2>/dev/null) || { fail "shown but not there: $line"; continue; }
    for flag in $(sed 's/#.*//' <<<"$line" | grep -oE ' --[a-z-]+' | tr -d ' '); do
        grep -qE -- "(^|[^a-z-])$flag([^a-z-]|\$)" <<<"$help" || [ "${flag#--no-}" != "$flag" ] || fail "no $flag in rllc $command: $line"
    done
done < <(grep -hE '^rllc [a-z]' $pages)

[ $failed = 0 ] && echo "docs: $(wc -w <<<"$pages") pages"
exit $failed
