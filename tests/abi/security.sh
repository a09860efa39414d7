#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests that SECURITY.md names exist: each promise is tested.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# shellcheck disable=SC2016
named=$(grep -o '`[a-z_]*/[a-z0-9_]*`' "$SOURCE/SECURITY.md" | tr -d '`' | sort -u)
[ -n "$named" ] || fail "SECURITY.md names no test"
missing=
for test in $named; do
	grep -q "^\(Queue\)\?Test(${test%/*}, ${test#*/}[,)]" "$SOURCE"/tests/kernel/*.c "$SOURCE"/tests/kernel/*/*.c "$SOURCE"/tests/unit/*.c ||
		missing="$missing $test"
done
[ -z "$missing" ] || fail "SECURITY.md names tests that do not exist:$missing"
