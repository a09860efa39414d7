# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the build tests share. They get SOURCE, BUILD, MESON, CC and CXX from meson,
# KIND, which libraries are built (shared, static or both), LIBRARY, the one to link with, and TOOL and
# BENCH, whether mnfq and mnfq-bench are built.
set -eu

fail()
{
	echo "$*" >&2
	exit 1
}

# Whether the shared or the static library is built.
builds()
{
	[ "$KIND" = "$1" ] || [ "$KIND" = both ]
}

skip()
{
	echo "SKIP: $*"
	exit 77
}

# A command that shows what it said only if it fails.
run()
{
	"$@" >"$tmp/log" 2>&1 || { cat "$tmp/log"; fail "failed: $*"; }
}

# The directory below which $CC finds the header $1.
header_directory()
{
	# shellcheck disable=SC2086
	file=$(echo "#include <$1>" | $CC -E -x c - | sed -n "s,^# 1 \"\(.*/$1\)\".*,\1,p" | head -n 1)
	[ -n "$file" ] || fail "the compiler does not find <$1>"
	echo "${file%"/$1"}"
}

# Sets $musl to a compiler for musl that sees the kernel's headers and libmnl's, and nothing else of
# the system's. Skips the test where there is none.
musl_compiler()
{
	command -v musl-gcc >/dev/null || skip "there is no musl-gcc"
	mkdir "$tmp/headers"
	for header in linux/netlink.h asm/types.h asm-generic/types.h libmnl/libmnl.h; do
		ln -s "$(header_directory $header)/${header%%/*}" "$tmp/headers"
	done
	# shellcheck disable=SC2034
	musl="musl-gcc -isystem $tmp/headers"
}

# Whether meson has the source of libmnl, or may fetch it.
have_source()
{
	[ -e "$SOURCE/subprojects/packagecache/libmnl-1.0.5.tar.bz2" ] ||
		[ -e "$SOURCE/subprojects/libmnl-1.0.5/meson.build" ] ||
		[ "${MNFQ_TEST_DOWNLOAD-}" = yes ]
}

# What links a program with our library as it was built.
libraries()
{
	echo "$LIBRARY"
	[ "$KIND" != static ] || echo "$(pkg-config --libs libmnl) -pthread"
}

# A directory that is gone when the test is.
temporary()
{
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
}

# The public headers, as a program names them. Each compiles alone.
headers='mnfq/mnfq.h mnfq/handover.h'

# The functions that the public headers declare, one a line. CC may be several words.
header_functions()
{
	# shellcheck disable=SC2086
	printf '#include <%s>\n' $headers | $CC -E -P -I"$SOURCE/include" -x c - | tr '\n' ' ' |
		sed 's/static inline[^{]*{[^}]*}//g' | grep -oE '\bmnfq_[a-z0-9_]+\(' |
		tr -d '(' | LC_ALL=C sort -u
}
