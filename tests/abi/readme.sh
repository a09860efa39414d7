#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs that README.md and libmnfq(3) show, and those in examples/, compile and link as they are;
# examples/README.md lists each. Command lines: tests/peers/commands.py.
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

# compile COMPILER FILE FLAG… : as README.md says, but in strict C, where newer compilers take an undeclared
# function for an error. Both count in each compiler here.
compile()
{
	compiler=$1 file=$2
	shift 2
	# shellcheck disable=SC2046,SC2086
	$compiler -std=c11 -Wall -Wextra -Werror -I"$SOURCE/include" -o "$tmp/program" "$file" \
		$(libraries) "$@" || fail "$file does not compile with $compiler"
}

block '```c' README.md >"$tmp/README.c"
block '```' man/libmnfq.3.scd | sed 's/\\\\/\\/g' >"$tmp/libmnfq.3.c"
for compiler in "$CC" gcc clang; do
	# shellcheck disable=SC2086
	command -v ${compiler%% *} >/dev/null || continue
	for file in "$tmp"/*.c "$SOURCE"/examples/*.c; do
		grep -q 'int main' "$file" || fail "there is no program in $file"
		if [ "$(basename "$file")" != conntrack.c ]; then
			compile "$compiler" "$file"
		elif nfct=$(pkg-config --cflags --libs libnetfilter_conntrack); then
			# shellcheck disable=SC2086
			compile "$compiler" "$file" $nfct
		fi
	done
done

for file in "$SOURCE"/examples/*.c; do
	grep -q "\`${file##*/}\`" "$SOURCE/examples/README.md" || fail "examples/README.md lacks ${file##*/}"
done
