#!/bin/sh
# SPDX-License-Identifier: MIT
# The checkout as a meson subproject: the parent builds and runs, and only it is installed.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

mkdir -p "$tmp/parent/subprojects"
ln -s "$SOURCE" "$tmp/parent/subprojects/libmnfq"
cat >"$tmp/parent/meson.build" <<'END'
project('parent', 'c')
mnfq = dependency('libmnfq', fallback: 'libmnfq')
executable('parent', 'parent.c', dependencies: mnfq, install: true)
END
cat >"$tmp/parent/parent.c" <<'END'
#include <mnfq/mnfq.h>
#include <string.h>
int main(void)
{
	return strcmp(mnfq_get_version(), MNFQ_VERSION) != 0;
}
END

run "$MESON" setup --force-fallback-for=libmnfq "$tmp/build" "$tmp/parent"
run "$MESON" compile -C "$tmp/build"
"$tmp/build/parent" || fail "the parent's program failed"
for unwanted in tools tests examples man; do
	[ -z "$(find "$tmp/build/subprojects/libmnfq/$unwanted" -type f 2>/dev/null)" ] ||
		fail "the subproject built $unwanted"
done

run "$MESON" install -C "$tmp/build" --no-rebuild --destdir "$tmp/root"
installed=$(find "$tmp/root" ! -type d -printf '%f ')
[ "$installed" = "parent " ] || fail "installed: $installed(expected only the parent)"
