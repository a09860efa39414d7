#!/bin/sh
# SPDX-License-Identifier: MIT
# The library, the tool and the examples compile with musl, and need of their system nothing that
# musl lacks: but for libmnl's functions the tool links. That takes libmnl's header, no more;
# static.sh runs such a tool where there is a libmnl for it.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
musl_compiler

strict="-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Wshadow"
strict="$strict -I$SOURCE/include -I$SOURCE/lib -I$SOURCE/tools"
without="-DHAVE_JANSSON=0 -DHAVE_LNQ=0 -DHAVE_SECCOMP=0 -DHAVE_PCAP=0"

# compile DIRECTORY : the files in there and below, as objects in a directory of that name. One that takes
# another library is left out.
compile()
{
	mkdir "$tmp/$1"
	(cd "$SOURCE/$1" && find . -name '*.c') >"$tmp/files"
	while read -r file; do
		case $1/$file in
		*/bench/impl-lnq.c | */bench/report-json.c | examples/*/conntrack.c) continue ;;
		esac
		object=$(echo "${file#./}" | tr / _)
		# shellcheck disable=SC2086
		$musl $strict $without -c -o "$tmp/$1/${object%.c}.o" "$SOURCE/$1/$file" ||
			fail "$1/$file does not compile with musl"
	done <"$tmp/files"
}

compile lib
compile tools
compile examples
rm "$tmp"/tools/bench_*.o # a program of its own, which takes another library

# shellcheck disable=SC2086
LC_ALL=C $musl -static -o "$tmp/mnfq" "$tmp"/tools/*.o "$tmp"/lib/*.o >"$tmp/log" 2>&1 &&
	fail "linked without libmnl?"
grep -q 'undefined reference to .mnl_' "$tmp/log" || { cat "$tmp/log"; fail "cannot link"; }
grep 'undefined reference' "$tmp/log" | grep -v ' .mnl_[a-z0-9_]*.\( follow\)\?$' &&
	fail "the tool needs what musl does not have"
grep -iE 'warning|multiple definition' "$tmp/log" && fail "the linker complains"
echo "$(find "$tmp" -name '*.o' | wc -l) files"
