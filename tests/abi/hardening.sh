#!/bin/sh
# SPDX-License-Identifier: MIT
# What is installed is hardened as the compiler can: a bug is harder to turn into a hold on the
# program. For the tool, which keeps a capability, and the shared library.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

"$MESON" install -C "$BUILD" --no-rebuild --destdir "$tmp/root" >"$tmp/log" 2>&1 ||
	{ cat "$tmp/log"; fail "meson install failed"; }

# has FILE WHAT READELF-OPTION PATTERN : somewhere in what readelf says.
has()
{
	readelf -W "$3" "$1" 2>/dev/null | grep -Eq -e "$4" || fail "$1: no $2"
}

find "$tmp/root" -type f \( -path '*/bin/mnfq' -o -name 'libmnfq.so.*' \) >"$tmp/files"
[ -s "$tmp/files" ] || fail "nothing was installed that could be checked"
while read -r file; do
	has "$file" "read-only relocations" -l GNU_RELRO
	has "$file" "binding at start, without which those are incomplete" -d 'BIND_NOW|FLAGS_1.*NOW'
	has "$file" "stack without code" -l 'GNU_STACK.* RW '
	has "$file" "stack protector" -s __stack_chk_fail
	has "$file" "position independence" -h 'Type: *DYN'
	if [ "$FORTIFIED" = true ]; then
		has "$file" "checked copies (_FORTIFY_SOURCE)" -s '__(mem|str|sn?printf|vsn?printf|fprintf|poll).*_chk'
	fi
done <"$tmp/files"
