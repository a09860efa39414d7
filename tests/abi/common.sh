# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the build tests share. They get SOURCE, BUILD, MESON, CC and CXX from meson.
set -eu

fail()
{
	echo "$*" >&2
	exit 1
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
