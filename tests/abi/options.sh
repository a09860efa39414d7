#!/bin/sh
# SPDX-License-Identifier: MIT
# mnfq-bench is installed only if asked for, and an option that cannot be met is an error (static.sh has
# that of static_tool).
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary
export CC

# What would be installed of mnfq-bench, a line a file.
installs()
{
	"$MESON" introspect --installed "$tmp/build" | tr '"' '\n' | grep -o 'mnfq-bench[^/]*$' | sort -u
}

run "$MESON" setup "$tmp/build" "$SOURCE"
[ -z "$(installs)" ] || fail "installed without being asked for: $(installs)"
if [ "$BENCH" = true ]; then
	run "$MESON" setup --reconfigure "$tmp/build" "$SOURCE" -Dinstall_bench=true
	for file in mnfq-bench mnfq-bench-plot; do
		installs | grep -qx $file || fail "$file would not be installed, though asked for"
	done
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
