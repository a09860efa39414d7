#!/bin/sh
# SPDX-License-Identifier: MIT
# Nothing is linked that nobody asked for.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
export CC

run "$MESON" setup "$tmp/build" "$SOURCE"
grep -q '^ *libnetfilter_queue to compare with: NO' "$tmp/log" ||
	{ cat "$tmp/log"; fail "the tool is linked with libnetfilter_queue"; }
