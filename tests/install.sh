#!/bin/bash
# What `make install` leaves is enough to build and run a program against: headers, librllc.a, rllc.pc, manual page; and it
# may be moved.
set -u
source_dir=$1
build=$2
if ! command -v pkg-config >/dev/null; then echo "skipped: no pkg-config"; exit 77; fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() { echo "not so: $*"; failed=1; }

DESTDIR=$scratch/stage cmake --install "$build" --prefix /opt/rllc >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
[ -x "$scratch/stage/opt/rllc/bin/rllc" ] || fail "the program is under DESTDIR and prefix"
[ -z "$(find "$scratch/stage" -type f ! -path "$scratch/stage/opt/rllc/*")" ] || fail "nothing goes outside the prefix"
mv "$scratch/stage/opt/rllc" "$scratch/moved"
prefix=$scratch/moved
for file in lib/librllc.a lib/pkgconfig/rllc.pc include/rllc/rllc.h include/rllc/status.def share/man/man1/rllc.1 \
            share/doc/rllc/LICENSE; do
    [ -s "$prefix/$file" ] || fail "$file is installed"
done
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
[ "$(pkg-config --modversion rllc)" = "$("$prefix/bin/rllc" --version | sed -n 's/^rllc //;1p')" ] || fail "one version"

# The example, with the flags of rllc.pc alone (and the sanitizers', when the library was built with them).
sanitize=$(sed -n 's/^RLLC_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
grep -q '^RLLC_COVERAGE:BOOL=ON' "$build/CMakeCache.txt" && sanitize="$sanitize --coverage"
cd "$scratch" || exit 1
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror $sanitize "$source_dir/examples/wrllc.c" $(pkg-config --cflags --libs rllc) -o wrllc || fail "the example builds"

mkdir text && cp "$source_dir"/src/base/*.c text
cat > config.yaml <<'END'
output: run
tokenizer: {vocab_size: 300}
corpora: {mix: {sources: text, sampling_fraction: 0.5}}
model: {n_layers: 1, d_model: 16, n_heads: 2, d_head: 8, n_ctx: 32}
training: {steps: 20, batch_size: 4}
scores: {score_samples: 10}
sampling: {checkpoints: "20", num_draws: 5, batch_size: 4}
END
"$prefix/bin/rllc" run config.yaml --quiet >/dev/null || fail "the installed program runs"
./wrllc run/seed-1/checkpoints/step20 run/corpora/mix/sampling.npy l0h1 >out || fail "the example runs"
grep -qE '^0:1: [0-9]+ weights, llc -?[0-9.]+ \+- [0-9.]+$' out || { cat out; fail "the example estimates"; }
./wrllc run/seed-1/checkpoints/step20 run/corpora/mix/sampling.npy l0h7 2>err && fail "a head that is not there"

[ $failed = 0 ] && echo "install: $(cat out)"
exit $failed
