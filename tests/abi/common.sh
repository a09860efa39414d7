# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the build tests share. They get SOURCE, BUILD, MESON, CC and CXX from meson,
# KIND, which libraries are built (shared, static or both), and LIBRARY, the one to link with.
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

# The functions that the public header declares, one a line. CC may be several words.
header_functions()
{
	# shellcheck disable=SC2086
	$CC -E -P -I"$SOURCE/include" "$SOURCE/include/mnfq/mnfq.h" | tr '\n' ' ' |
		sed 's/static inline[^{]*{[^}]*}//g' | grep -oE '\bmnfq_[a-z0-9_]+\(' |
		tr -d '(' | LC_ALL=C sort -u
}
