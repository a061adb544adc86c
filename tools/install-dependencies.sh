#!/bin/sh
# Installs what building and running rllc needs and this machine lacks, from Debian packages. Says which, once; does
# nothing when all is there. Without apt it says what is missing and stops.
set -eu

missing=

have() { command -v "$1" >/dev/null 2>&1; }
need() { missing="$missing $1"; }

# Tools: the program looked for, the package that has it.
have "${CC:-cc}" || have gcc || need gcc
have cmake || need cmake
have ninja || need ninja-build
have gnuplot || need gnuplot-nox

# Libraries: name for pkg-config, package. One call settles the usual case.
libraries='jansson:libjansson-dev yaml-0.1:libyaml-dev sqlite3:libsqlite3-dev libarchive:libarchive-dev
libzstd:libzstd-dev libpcre2-8:libpcre2-dev libxxhash:libxxhash-dev cmocka:libcmocka-dev'
if have pkg-config; then
    names=
    for pair in $libraries; do names="$names ${pair%%:*}"; done
    # shellcheck disable=SC2086
    if ! pkg-config --exists $names 2>/dev/null; then
        for pair in $libraries; do
            pkg-config --exists "${pair%%:*}" 2>/dev/null || need "${pair#*:}"
        done
    fi
else
    need pkg-config
    for pair in $libraries; do need "${pair#*:}"; done
fi
# Random123 is headers only; the C library's own headers come with a compiler package only as a recommendation.
header() {
    [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ] ||
        printf '#include <%s>\n' "$1" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}
header Random123/philox.h || need librandom123-dev
header stdio.h || need libc6-dev

[ -n "$missing" ] || exit 0

if ! have apt-get; then
    echo "rllc needs these Debian packages, or what they hold, and apt-get is not here to install them:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        echo "rllc needs these Debian packages; install them as root (there is no sudo here): apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "Installing Debian packages:$missing"
quiet='-q -o Dpkg::Use-Pty=0'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get $quiet install -y --no-install-recommends $missing >"$log" 2>&1
}
# The package lists are fetched only if they are absent or too old to install from.
if ! install; then
    echo "Updating the package lists"
    # shellcheck disable=SC2086
    $as_root apt-get $quiet update >"$log" 2>&1 || {
        cat "$log" >&2
        echo "apt-get update failed: is there a network? Then run again, or install by hand:$missing" >&2
        exit 1
    }
    install || {
        cat "$log" >&2
        echo "apt-get could not install them; install by hand:$missing" >&2
        exit 1
    }
fi
