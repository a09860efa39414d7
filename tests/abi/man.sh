#!/bin/sh
# SPDX-License-Identifier: MIT
# Each function has a manual page, which says what it is for; all pages render without a warning.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

command -v python3 >/dev/null || skip "no python3, so there are no pages of functions"
# What scdoc itself writes has empty paragraphs, which change nothing.
lint()
{
	if command -v mandoc >/dev/null; then
		mandoc -T lint -W warning "$1" >"$tmp/said" 2>&1 || :
		grep -v 'skipping paragraph macro' "$tmp/said" && fail "mandoc complains of $1"
	elif command -v groff >/dev/null; then
		groff -man -ww -z -K utf8 -T utf8 "$1" >"$tmp/said" 2>&1 || :
		[ ! -s "$tmp/said" ] || { cat "$tmp/said"; fail "groff complains of $1"; }
	fi
	return 0
}

for name in $(header_functions); do
	page=$BUILD/man/$name.3
	[ -s "$page" ] || fail "$name() has no manual page"
	if grep -q '^\.so man3/' "$page"; then
		[ -s "$BUILD/man/$(sed 's,^\.so man3/,,' "$page")" ] ||
			fail "the page of $name() refers to one that is not there"
		continue
	fi
	grep -q '^\.SH DESCRIPTION' "$page" || fail "the page of $name() does not describe it"
	lint "$page"
done
# Marks of scdoc that have become text: within a word it takes them for that.
marks()
{
	! command -v mandoc >/dev/null || ! mandoc -T ascii "$1" | sed "s/.$(printf '\b')//g" |
		grep -nE '[a-z]_[A-Z]+_([^[:alnum:]_]|$)|(^|[ (])[*][a-z-]+[*]' ||
		fail "there are marks of scdoc in the text of $1"
}

for page in "$SOURCE"/man/*.scd; do
	page=$BUILD/man/$(basename "$page" .scd)
	[ -e "$page" ] || continue # there is none without scdoc
	lint "$page"
	marks "$page"
done
