#!/bin/sh
# SPDX-License-Identifier: MIT
# The checkout as a subproject of examples/embed: that builds and runs, and only it is installed. Our
# warnings are not the parent's errors.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

cp -R "$SOURCE/examples/embed" "$tmp/parent"
mkdir "$tmp/parent/subprojects"
ln -s "$SOURCE" "$tmp/parent/subprojects/libmnfq"

# Stands for a compiler that warns of more than those that we know. The parent has no _GNU_SOURCE.
printf '#ifdef _GNU_SOURCE\n#warning "something new"\n#endif\n' >"$tmp/warn.h"
CFLAGS="-include $tmp/warn.h" run "$MESON" setup -Dwerror=true --force-fallback-for=libmnfq \
	"$tmp/build" "$tmp/parent"
run "$MESON" compile -C "$tmp/build"
said=$("$tmp/build/embed") || fail "the parent's program failed"
version=$(sed -n 's/^#define MNFQ_VERSION *"\(.*\)"$/\1/p' "$SOURCE/include/mnfq/version.h")
[ "$said" = "libmnfq $version" ] || fail "the parent's program says '$said'"
readelf -d "$tmp/build/embed" | grep 'NEEDED.*libmnfq' && fail "the library is not linked statically"
for unwanted in tools tests examples man; do
	[ -z "$(find "$tmp/build/subprojects/libmnfq/$unwanted" -type f 2>/dev/null)" ] ||
		fail "the subproject built $unwanted"
done

run "$MESON" install -C "$tmp/build" --no-rebuild --destdir "$tmp/root"
installed=$(find "$tmp/root" ! -type d -printf '%f ')
[ "$installed" = "embed " ] || fail "installed: $installed(expected only the parent)"
