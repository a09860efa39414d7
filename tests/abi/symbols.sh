#!/bin/sh
# SPDX-License-Identifier: MIT
# The headers, the version script and the shared library name the same functions; the static
# library defines nothing but these and names that begin with mnfq_i_.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

header_functions >"$tmp/header"
[ -s "$tmp/header" ] || fail "found no function in the headers"

sed -n '/global:/,/local:/s/^[[:space:]]*\([a-z0-9_]*\);$/\1/p' "$SOURCE/lib/mnfq.map" |
	LC_ALL=C sort >"$tmp/map"
diff -u "$tmp/header" "$tmp/map" || fail "lib/mnfq.map is not what the headers declare"

exported()
{
	nm -D --defined-only "$LIBRARY" | awk '$2 != "A"'
}

if builds shared; then
	exported | awk '{ print $3 }' | sed 's/@@*MNFQ_.*//' | LC_ALL=C sort >"$tmp/shared"
	diff -u "$tmp/header" "$tmp/shared" ||
		fail "libmnfq.so does not export what the headers declare"
	exported | grep -v '@@MNFQ_' && fail "libmnfq.so exports names without a version"
fi

if builds static; then
	nm -g --defined-only "$BUILD/lib/libmnfq.a" | awk 'NF == 3 { print $3 }' |
		LC_ALL=C sort >"$tmp/static"
	grep -v '^mnfq_i_' "$tmp/static" >"$tmp/public" || fail "libmnfq.a defines nothing public"
	diff -u "$tmp/header" "$tmp/public" ||
		fail "libmnfq.a defines names that are neither public nor mnfq_i_"
fi
echo "$(wc -l <"$tmp/header") functions"
