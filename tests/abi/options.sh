#!/bin/sh
# SPDX-License-Identifier: MIT
# Nothing is linked that nobody asked for, and an option that cannot be met is an error (static.sh has
# that of static_tool).
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
export CC

run "$MESON" setup "$tmp/build" "$SOURCE"
grep -q '^ *libnetfilter_queue to compare with: NO' "$tmp/log" ||
	{ cat "$tmp/log"; fail "the tool is linked with libnetfilter_queue"; }

# refused MESON-OPTION… : configuring fails with a sentence on the first of them.
refused()
{
	rm -rf "$tmp/build"
	"$MESON" setup "$tmp/build" "$SOURCE" "$@" >"$tmp/log" 2>&1 && fail "$* was not refused"
	grep -q "ERROR: .*${1#-D}: " "$tmp/log" || { cat "$tmp/log"; fail "no sentence on $*"; }
}

refused -Dfuzz=true -Dtests=disabled
# A compiler without libFuzzer, whichever this one is.
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase "$*" in *fuzzer*) exit 1 ;; esac\nexec %s "$@"\n' "$CC" >"$tmp/cc"
chmod +x "$tmp/cc"
CC=$tmp/cc refused -Dfuzz=true
