#!/bin/sh
# demo-corpus.sh OUT CACHE: a small corpus of real text out of Debian packages, which are downloaded but not installed.
#
#   OUT/english/    novels, quotations, a lexicon, help pages
#   OUT/technical/  manuals of git and PostgreSQL
#   OUT/code/       Python, Perl, C
#   OUT/languages/  Czech, Dutch, French, German, Italian, Portuguese, Spanish, Swedish
#
# Plain UTF-8; documents are separated by a line holding only <|endoftext|>. About 21 MB to download, 24 MB of text.
# Same packages, same bytes. No root needed; a second run finds its work done. CACHE keeps the packages.
set -eu
[ $# = 2 ] || { echo "usage: $0 OUT CACHE" >&2; exit 2; }

LC_ALL=C
export LC_ALL
recipe=$(cksum < "$0")
if [ "$(cat "$1/recipe" 2>/dev/null)" = "$recipe" ]; then exit 0; fi

mkdir -p "$1" "$2"
out=$(cd "$1" && pwd)
cache=$(cd "$2" && pwd)
rm -rf "$out/recipe" "$out/english" "$out/technical" "$out/code" "$out/languages"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
separator='<|endoftext|>'
say() { echo "demo corpus: $*" >&2; }
fail() { say "$*"; exit 1; }

# ---- packages ------------------------------------------------------------------------------------------------

# Package lists of our own where the system has none and we may not fetch them for it.
apt() {
    if [ -d "$cache/apt" ]; then
        set -- -o "Dir::State=$cache/apt" -o "Dir::Cache=$cache/apt" "$@"
    fi
    apt-get -q -q -o APT::Sandbox::User=root "$@"
}
updated=
update() {
    [ -z "$updated" ] || return 1
    updated=yes
    say "fetching the package lists"
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
    apt -o APT::Update::Error-Mode=any update > "$tmp/log" 2>&1 || {
        rm -rf "$cache/apt"
        unreachable
    }
}
unreachable() {
    sed -n '/^[EW]:/{p;q;}' "$tmp/log" >&2
    fail "the packages with the text cannot be downloaded: is there a network? What is here stays; run this again"
}
download() {
    say "downloading $1"
    (cd "$cache" && apt download "$1") > "$tmp/log" 2>&1
}

# get NAME...: downloads the first of these packages that exists (names differ between releases) and unpacks it
# to $tmp/tree/NAME; its folder is then $root. Fails, with a sentence, if there is none.
get() {
    for name; do
        if ! ls "$cache/$name"_*.deb > /dev/null 2>&1; then
            command -v apt-get > /dev/null || fail "the text comes from Debian packages, and apt-get is not here"
            # Old lists name files that are gone: fetch new ones, once.
            download "$name" || { update && download "$name"; } || {
                grep -q -e 'Unable to locate' -e 'no installation candidate' "$tmp/log" && continue
                unreachable
            }
        fi
        root=$tmp/tree/$name
        mkdir -p "$root"
        # shellcheck disable=SC2012
        dpkg-deb -x "$(ls "$cache/$name"_*.deb | tail -n 1)" "$root" && return 0
        rm -f "$cache/$name"_*.deb
    done
    say "going on without $1: it is not in this release"
    return 1
}

# ---- text ----------------------------------------------------------------------------------------------------

# documents FILE LIMIT: stdin, documents apart by separator lines, becomes $out/FILE: valid UTF-8, no blanks at ends
# of lines, no runs of blank lines, no document under 200 bytes, stops after LIMIT bytes.
documents() {
    mkdir -p "$out/${1%/*}"
    tr -d '\r\000' | iconv -c -f UTF-8 -t UTF-8 | awk -v separator="$separator" -v limit="$2" '
        function finish() {
            if (length(text) >= 200 && size < limit) { printf "%s%s\n", text, separator; size += length(text) }
            text = ""; blank = 0
        }
        $0 == separator { finish(); next }
        { sub(/[ \t\f]+$/, "") }
        $0 == "" { blank = text != ""; next }
        { text = text (blank ? "\n" : "") $0 "\n"; blank = 0 }
        END { finish() }' > "$out/$1"
    [ -s "$out/$1" ] || fail "nothing found for $1: has the package changed?"
}

# files FIND-EXPRESSION...: whole files of the package, in the order of their names, each a document.
files() {
    (cd "$root" && find . -type f "$@" -print | sort | tr '\n' '\0' |
        xargs -0 awk -v separator="$separator" 'FNR == 1 { print separator } { print }')
}

# markup: HTML or Mallard to text, a line a block; what is not for reading (heads, scripts, navigation) is left out.
markup() {
    awk -v separator="$separator" '
        BEGIN { RS = "<" }
        index($0, separator) || $0 ~ /^\|endoftext\|>/ { printf "\n%s\n", separator; skip = ""; pre = 0; next }
        comment || /^!--/ {
            comment = !(at = index($0, "-->"))
            if (at && skip == "") printf "%s", substr($0, at + 3)
            next
        }
        {
            end = index($0, ">")
            if (!end) next
            tag = tolower(substr($0, 1, end - 1)); text = substr($0, end + 1)
            closing = tag ~ /^\//; empty = tag ~ /\/$/
            name = tag; sub(/^\//, "", name); sub(/[ \t\n\/].*$/, "", name)
            if (skip != "") { if (closing && name == skip) skip = ""; else next }
            else if (!closing && !empty && (name ~ /^(head|script|style|info|comment|table|title)$/ ||
                                            tag ~ /class="(nav|toc|footnote)/)) {
                if (name != "title" || tag ~ /type=/) { skip = name; next }
            }
            if (name ~ /^(pre|screen|code)$/ && name != "code") pre = !closing
            if (name ~ /^(p|h[1-6]|li|item|title|dt|dd|br|section|div|pre|screen)$/) printf "\n"
            if (!pre) gsub(/[ \t\n]+/, " ", text)
            printf "%s", text
        }' | sed -e 's/&nbsp;/ /g; s/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/&amp;/\&/g; s/^ *//'
}

# Novels in an R package: chunks of a big-endian length and a zlib stream, found by trying where one may begin (gzip
# reads it behind a header of its own); inside, strings of R's serialisation. Chapters are documents.
novels() {
    # shellcheck disable=SC2016
    perl -e '
        my ($from, $scratch, $separator) = @ARGV;
        local $/;
        open my $in, "<:raw", $from or die "$from: $!";
        my $bytes = <$in>;
        while ($bytes =~ /(....)\x78[\x01\x5e\x9c\xda]/sg) {
            my ($length, $at) = (unpack("N", $1), pos $bytes);
            pos($bytes) = $at - 1;
            next if $length < 10_000 || $length > 50_000_000;
            open my $raw, ">:raw", $scratch or die "$scratch: $!";
            print $raw "\x1f\x8b\x08\0\0\0\0\0\0\0", substr($bytes, $at);
            close $raw;
            my $data = `gzip -dc < "$scratch" 2>/dev/null`;
            next if length $data != $length;
            while ($data =~ /\x00\x04\x00\x09(....)/sg) {
                my ($n, $p) = (unpack("N", $1), pos $data);
                next if $n > 4000;
                my $line = substr($data, $p, $n);
                pos($data) = $p + $n;
                print "$separator\n" if $line =~ /^chapter /i;
                print "$line\n";
            }
            print "$separator\n";
        }' "$(find "$root" -name Rdata.rdb)" "$tmp/chunk" "$separator"
}

# Perl without its manual, which is prose.
without_pod() {
    awk -v separator="$separator" '
        $0 == separator { pod = ended = 0; print; next }
        /^__(END|DATA)__/ { ended = 1 }
        /^=[a-z]/ { pod = 1 }
        !pod && !ended { print }
        /^=cut/ { pod = 0 }'
}

# ---- the recipe ----------------------------------------------------------------------------------------------

get r-cran-janeaustenr && novels | documents english/austen.txt 5000000
get fortunes && files -path '*/games/fortunes/*' ! -name '*.*' | sed "s/^%\$/$separator/" | documents english/fortunes.txt 3000000
get jargon-text && gzip -dc "$root/usr/share/doc/jargon-text/jargon.txt.gz" |
    awk -v separator="$separator" '/^   :[^:]+:/ { print separator; entries = 1 } entries { sub(/^   /, ""); print }' |
    documents english/jargon.txt 2000000

get git-doc && files -name '*.txt' ! -path '*/RelNotes/*' | documents technical/git.txt 3000000
get postgresql-doc-15 postgresql-doc-17 postgresql-doc-16 &&
    files -name '*.html' ! -name 'release-*' ! -name 'biblio*' | markup | documents technical/postgresql.txt 3500000

get libpython3.11-stdlib libpython3.13-stdlib libpython3.12-stdlib &&
    files -name '*.py' ! -path '*/encodings/*' ! -path '*/pydoc_data/*' -size -150k | documents code/python.txt 3000000
get perl-modules-5.36 perl-modules-5.40 perl-modules-5.38 &&
    files -name '*.pm' ! -path '*/Unicode/*' ! -path '*/unicore/*' ! -name CoreList.pm ! -path '*/Locale/*' |
    without_pod | documents code/perl.txt 2500000
get lttng-modules-dkms && files -name '*.[ch]' ! -path '*/syscalls/*' | documents code/c.txt 2500000

if get gnome-user-docs; then
    files -path '*/help/C/*' -name '*.page' | markup | documents english/gnome.txt 1000000
    for language in cs de es fr it nl pt_BR sv; do
        files -path "*/help/$language/*" -name '*.page' | markup | documents "languages/$language.txt" 1000000
    done
fi

for domain in english technical code languages; do
    [ -d "$out/$domain" ] || fail "no text for '$domain': none of its packages is in this release"
done
bytes=$(find "$out" -name '*.txt' -exec cat {} + | wc -c)
say "$((bytes / 1000000)) MB of text in $out"
rm -rf "$cache/apt"
printf '%s\n' "$recipe" > "$out/recipe"
