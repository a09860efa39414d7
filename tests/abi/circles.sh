#!/bin/sh
# SPDX-License-Identifier: MIT
# No file calls one that calls it, however far around: the symbols of the object files tell who needs
# whom. So the tree can be read from the bottom up.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

ending='[.]c[.]o$' # what is no name of theirs

# calls DIRECTORY… : a line for each symbol that one object file takes from another.
calls()
{
	find -L "$@" -name '*.o' -exec nm -A {} + | awk -v ending="$ending" '
		{
			split($0, at, ":")
			file = at[1]
			sub(/.*\//, "", file)
			sub(ending, "", file)
		}
		$(NF - 1) ~ /^[TDBRVWCGS]$/ { home[$NF] = file }
		$(NF - 1) == "U" { user[++n] = file; symbol[n] = $NF }
		END {
			for (i = 1; i <= n; i++) {
				to = home[symbol[i]]
				if (to != "" && to != user[i])
					print user[i], to, symbol[i]
			}
		}'
}

# check NAME DIRECTORY…
check()
{
	name=$1
	shift
	calls "$@" >"$tmp/calls"
	[ -s "$tmp/calls" ] || fail "$name: no calls between files were found"
	cut -d ' ' -f 1,2 "$tmp/calls" | tsort >/dev/null 2>"$tmp/circle" && return
	# One of them is enough to begin with.
	awk '/contains a loop/ { loops++; next } loops == 1 { print $2 }' "$tmp/circle" >"$tmp/members"
	while read -r from to symbol; do
		grep -qxF "$from" "$tmp/members" && grep -qxF "$to" "$tmp/members" &&
			echo "$from calls $to: $symbol"
	done <"$tmp/calls"
	fail "$name: these files are in a circle: $(tr '\n' ' ' <"$tmp/members")"
}

ls "$BUILD"/lib/libmnfq.a.p/*unity*.o >/dev/null 2>&1 && skip "with unity=on there is one object file"
check lib "$BUILD/lib/libmnfq.a.p"
[ "$BENCH" != true ] || check mnfq-bench "$BUILD/tools/bench/mnfq-bench.p"
if [ "$TOOL" = true ]; then
	for folder in common print sandbox capture packets replay share stat doctor broker dump; do
		mkdir "$tmp/$folder"
		for object in "$BUILD"/tools/*.p/"$folder"_*.o; do
			ln -s "$object" "$tmp/$folder"
		done
		check "tools/$folder" "$tmp/$folder/"
	done
	# Nor do folders: their files as one.
	mkdir "$tmp/all"
	for object in "$BUILD"/tools/*.p/*_*.o; do
		folder=${object##*/}
		ln -s "$object" "$tmp/all/${folder%%_*}.${folder#*_}"
	done
	ending='[.].*'
	check "the folders of tools" "$tmp/all/"
fi
