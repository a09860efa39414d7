#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs that README.md and libmnfq(3) show compile and link as they are.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

# The text between the fence that begins with $1 and the next one, first of file $2.
block()
{
	awk -v begin="$1" '
		!inside && $0 == begin { inside = 1; next }
		inside && /^```$/ { exit }
		inside' "$SOURCE/$2"
}

compile()
{
	grep -q 'int main' "$tmp/$1.c" || fail "found no program in $2"
	# shellcheck disable=SC2046,SC2086
	$CC -std=c11 -Wall -Wextra -Werror -I"$SOURCE/include" -o "$tmp/$1" "$tmp/$1.c" \
		$(libraries) || fail "the program in $2 does not compile"
}

block '```c' README.md >"$tmp/readme.c"
compile readme README.md
block '```' man/libmnfq.3.scd | sed 's/\\\\/\\/g' >"$tmp/page.c"
compile page man/libmnfq.3.scd
