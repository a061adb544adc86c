#!/bin/bash
# The program's manners: help, version, near misses, exit codes, streams, colour, pipes.
set -u
rllc=$2/rllc
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failed=0
unset NO_COLOR FORCE_COLOR CLICOLOR_FORCE RLLC_KERNELS

# expect CODE "words in stderr or stdout" COMMAND...
expect() {
    local wanted=$1 words=$2
    shift 2
    "$@" >out 2>err </dev/null
    local code=$?
    if [ $code != "$wanted" ]; then
        echo "exit code $code, expected $wanted: $*"; cat err; failed=1
    fi
    if ! grep -qF -e "$words" out err; then
        echo "no '$words' from: $*"; cat out err; failed=1
    fi
}
check() { # check WHAT: the last command's status decides
    [ $? = 0 ] || { echo "not so: $1"; failed=1; }
}

expect 0 'Examples:' "$rllc" --help
expect 0 'Examples:' "$rllc" help
expect 2 'no command was given' "$rllc"
expect 2 "did you mean 'train'" "$rllc" trian
expect 2 "did you mean 'sample'" "$rllc" help sampel
expect 2 'comes before a command' "$rllc" --json train
expect 2 'did you mean --steps' "$rllc" train --setps 3
expect 2 'unexpected argument' "$rllc" bench nonsense
expect 2 'name a configuration file' "$rllc" run
expect 2 "there is no preset 'dmeo'; did you mean 'demo'" "$rllc" run --preset dmeo
expect 3 'nosuch.yaml' "$rllc" run nosuch.yaml
expect 3 'make demo' "$rllc" run --preset demo
expect 3 'corpora.pile.sources' "$rllc" run --preset paper
expect 2 'ref' env RLLC_KERNELS=nonsense "$rllc" bench
expect 2 'auto, bar, plain, json, none' "$rllc" bench --progress loud

# Nothing of a refused run stays behind.
[ ! -e demo ] && [ ! -e paper ]; check "a refused run leaves nothing"

# Every command of --help has help of its own, which leads with examples, then options.
commands=$("$rllc" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$commands" | wc -l)" = "$(grep -c '^RLLC_COMMAND' "$1/src/cli/commands.def")" ]; check "all commands are listed"
for command in $commands; do
    expect 0 'Usage:' "$rllc" "$command" --help
    [ "$(grep -nm1 '^Examples:' out | cut -d: -f1)" -lt "$(grep -nm1 '^Options, ' out | cut -d: -f1)" ]
    check "rllc $command --help leads with examples"
    [ ! -s err ]; check "help of $command goes to standard output"
    cp out first; "$rllc" help "$command" | cmp -s - first; check "rllc help $command = rllc $command --help"
    ! grep -q "$(printf '\033')" out; check "no colour in a pipe"
    # the one-line summary of the list is the command's own
    summary=$("$rllc" --help | sed -n "s/^  $command  *//p")
    head -n 1 first | grep -qF "$command: $summary"; check "one summary for $command"
done

[ "$("$rllc" --version | head -n 1)" = "rllc 0.1.0" ]; check "--version begins with the version"
"$rllc" --version | grep -q '^table: '; check "--version states the kernels"

# Errors: one line, on stderr, from rllc.
"$rllc" run nosuch.yaml >out 2>err; [ ! -s out ] && [ "$(wc -l < err)" = 1 ] && grep -q '^rllc: ' err; check "an error is one line on stderr"

# Colour.
FORCE_COLOR=1 "$rllc" --help | grep -q "$(printf '\033')"; check "FORCE_COLOR colours a pipe"
FORCE_COLOR=1 NO_COLOR=1 "$rllc" --help | grep -q "$(printf '\033')"; [ $? = 1 ]; check "NO_COLOR wins"

# A full disk and a closed pipe on standard output.
if [ -w /dev/full ]; then
    "$rllc" --help >/dev/full 2>err; [ $? = 1 ] && grep -q 'standard output' err; check "a full disk is said"
fi
"$rllc" help --man | head -n 1 | grep -q "rllc help --man"; check "a reader may leave early"

# The manual page holds every command.
"$rllc" help --man > rllc.1
for command in $commands; do grep -q "^\.Ss $command\$" rllc.1; check "rllc(1) has $command"; done
if command -v mandoc >/dev/null; then
    mandoc -T lint -W error rllc.1; check "mandoc finds no error"
fi

[ $failed = 0 ] && echo "cli manners: $(echo "$commands" | wc -l) commands"
exit $failed
