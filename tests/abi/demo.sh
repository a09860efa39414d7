#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/demo and tests/run end where they cannot write what they build, with a sentence. Root can write
# everywhere, but not to a directory.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

mkdir -p "$tmp/source/build/demo.log" "$tmp/source/build/setup.log" "$tmp/source/tests"
cp -R "$SOURCE/tools" "$tmp/source"
cp "$SOURCE/tests/run" "$tmp/source/tests"
for script in tools/demo tests/run; do
	"$tmp/source/$script" >"$tmp/log" 2>&1 && fail "$script succeeded"
	tail -n 1 "$tmp/log" | grep -q "${script#*/}: cannot write to .*/source/build" ||
		{ cat "$tmp/log"; fail "$script went on"; }
done
