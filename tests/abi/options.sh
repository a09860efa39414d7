#!/bin/sh
# SPDX-License-Identifier: MIT
# The options of the programs are in their manuals and completions, as their tables have them. Those of the
# build: mnfq-bench is installed only if asked for, and an option that cannot be met is an error (static.sh has
# that of static_tool).
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
export CC

# ---- of the programs

# A manual page without what makes its text bold or underlined.
plain()
{
	sed -e 's/\*//g' -e 's/_\([^_]*\)_/\1/g' -e 's/++$//' -e 's/\\//g' "$SOURCE/man/$1.1.scd"
}

# options COMMAND… : a line per option as the manual has it, such as "-n, --netns NETNS".
options()
{
	"$@" --print-options | awk -F '\t' 'NF == 6 {
		print ($2 == "-" ? "" : "-" $2 ", ") "--" $1 ($3 == "-" ? "" : " " $3)
	}'
}

# check_command PAGE COMMAND… : the manual has the options of the table and no others, and its synopsis is the
# usage of the help; the completions have each option.
check_command()
{
	page=$1
	shift
	plain "$page" >"$tmp/page"
	options "$@" >"$tmp/options"
	[ -s "$tmp/options" ] || fail "$* lists no options"
	awk '/^# / { inside = $2 == "OPTIONS" } inside && /^-/' "$tmp/page" >"$tmp/manual"
	diff "$tmp/options" "$tmp/manual" || fail "$page(1) has other options (>) than $*, or another order"
	"$@" --help | sed -n '/^Usage: /,/^$/{s/^Usage: //; s/^ *//; /./p}' >"$tmp/usage"
	sed -n '/^# SYNOPSIS/,/^# DESCRIPTION/{/^#/d; /./p}' "$tmp/page" >"$tmp/synopsis"
	diff "$tmp/usage" "$tmp/synopsis" || fail "the synopsis of $page(1) (>) is not the usage of $*"
	[ -d "$BUILD/completions" ] || return 0
	if "$@" --print-options | grep -qx FILE; then
		{
			grep "^[[:space:]]*\"$2\") .*compopt -o default" "$BUILD/completions/mnfq"
			sed -n "/^[[:space:]]*$2) _arguments/,/;;/p" "$BUILD/completions/_mnfq" | grep ':file:_files'
			grep "seen_subcommand_from $2' -F" "$BUILD/completions/mnfq.fish"
		} >"$tmp/files"
		[ "$(wc -l <"$tmp/files")" -eq 3 ] || fail "a completion lacks the file of $*"
	fi
	# Words without spaces.
	# shellcheck disable=SC2013
	for option in $(grep -o -e '--[a-z-]*' "$tmp/options"); do
		for file in "${1##*/}" "_${1##*/}" "${1##*/}.fish"; do
			grep -q -e "${option}[^a-z-]" -e " -l ${option#--} " "$BUILD/completions/$file" ||
				fail "the completion $file lacks $option"
		done
	done
}

if [ "$TOOL" = true ]; then
	mnfq=$BUILD/tools/mnfq
	check_command mnfq "$mnfq"
	check_command mnfq-dump "$mnfq" dump
	check_command mnfq-replay "$mnfq" replay
	check_command mnfq-share "$mnfq" share
	check_command mnfq-stat "$mnfq" stat
	check_command mnfq-doctor "$mnfq" doctor
fi
if [ "$BENCH" = true ]; then
	check_command mnfq-bench "$BUILD/tools/bench/mnfq-bench"
fi

# ---- of the build

# What would be installed of mnfq-bench, a line a file.
installs()
{
	"$MESON" introspect --installed "$tmp/build" | tr '"' '\n' | grep -o '/bin/mnfq-bench[^/]*$' | sed 's,.*/,,' | sort -u
}

run "$MESON" setup "$tmp/build" "$SOURCE"
[ -z "$(installs)" ] || fail "installed without being asked for: $(installs)"
if [ "$BENCH" = true ]; then
	run "$MESON" setup --reconfigure "$tmp/build" "$SOURCE" -Dinstall_bench=true
	installs | grep -qx mnfq-bench || fail "mnfq-bench would not be installed, though asked for"
fi

# refused MESON-OPTION… : configuring fails with a sentence on the first of them.
refused()
{
	rm -rf "$tmp/build"
	"$MESON" setup "$tmp/build" "$SOURCE" "$@" >"$tmp/log" 2>&1 && fail "$* was not refused"
	option=${1#-D}
	grep -q -e "ERROR: .*$option: " -e "ERROR: Feature ${option%=*} cannot be enabled: " "$tmp/log" ||
		{ cat "$tmp/log"; fail "no sentence on $*"; }
}

refused -Dfuzz=true -Dtests=disabled
refused -Dbench=enabled -Dtools=false
refused -Dinstall_bench=true -Dbench=disabled
refused -Dlibnetfilter_queue=enabled -Dbench=disabled
# A compiler without libFuzzer, whichever this one is.
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase "$*" in *fuzzer*) exit 1 ;; esac\nexec %s "$@"\n' "$CC" >"$tmp/cc"
chmod +x "$tmp/cc"
CC=$tmp/cc refused -Dfuzz=true
