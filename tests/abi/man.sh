#!/bin/sh
# SPDX-License-Identifier: MIT
# Each function has a manual page, which says what it is for and renders without a warning.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

command -v python3 >/dev/null || skip "no python3, so there are no pages of functions"
for name in $(header_functions); do
	page=$BUILD/man/$name.3
	[ -s "$page" ] || fail "$name() has no manual page"
	if grep -q '^\.so man3/' "$page"; then
		[ -s "$BUILD/man/$(sed 's,^\.so man3/,,' "$page")" ] ||
			fail "the page of $name() refers to one that is not there"
		continue
	fi
	grep -q '^\.SH DESCRIPTION' "$page" || fail "the page of $name() does not describe it"
	if command -v mandoc >/dev/null; then
		mandoc -T lint -W warning "$page" || fail "mandoc complains of $page"
	elif command -v groff >/dev/null; then
		groff -man -ww -z -K utf8 -T utf8 "$page" >"$tmp/warnings" 2>&1
		[ ! -s "$tmp/warnings" ] || { cat "$tmp/warnings"; fail "groff complains of $page"; }
	fi
done
