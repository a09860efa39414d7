#!/bin/sh
# SPDX-License-Identifier: MIT
# What `meson install` leaves is enough: a program finds it with pkg-config, links it shared and
# static, and runs. The tool runs from wherever it is.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

"$MESON" install -C "$BUILD" --no-rebuild --destdir "$tmp/root" >"$tmp/log" 2>&1 ||
	{ cat "$tmp/log"; fail "meson install failed"; }
pc=$(find "$tmp/root" -name libmnfq.pc)
[ -n "$pc" ] || fail "libmnfq.pc was not installed"
lib=${pc%/pkgconfig/libmnfq.pc}
# installed KIND FILE… : they are there if that kind was built, and not otherwise.
installed()
{
	kind=$1
	shift
	for file in "$@"; do
		if builds "$kind"; then
			[ -e "$lib/$file" ] || fail "$file was not installed"
		else
			[ ! -e "$lib/$file" ] || fail "$file was installed, though not asked for"
		fi
	done
}

installed shared libmnfq.so libmnfq.so.0
installed static libmnfq.a
if [ "$TOOL" = true ]; then
	mnfq=$(find "$tmp/root" -path '*/bin/mnfq')
	[ -n "$mnfq" ] || fail "mnfq was not installed"
	env -u LD_LIBRARY_PATH "$mnfq" --version >"$tmp/log" 2>&1 ||
		{ cat "$tmp/log"; fail "the tool does not run where it was installed"; }
	# That it may have found elsewhere.
	readelf -dW "$mnfq" | grep 'NEEDED.*libmnfq' && fail "the tool needs the shared library"
	readelf -dW "$mnfq" | grep 'NEEDED.*libnetfilter_queue' &&
		fail "the tool needs what only mnfq-bench uses"
	for file in bash-completion/completions/mnfq zsh/site-functions/_mnfq fish/vendor_completions.d/mnfq.fish; do
		find "$tmp/root" -path "*/$file" | grep -q . || fail "$file was not installed"
	done
fi
find "$tmp/root" \( -name 'test*' -o -name '*fuzz*' -o -name '*tools*' \) | grep . &&
	fail "something was installed that is not for users"

export PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$tmp/root"
cat >"$tmp/program.c" <<'END'
#include <mnfq/handover.h>
#include <string.h>
int main(void)
{
	struct mnfq_socket *sock = NULL;
	int err = mnfq_socket_open(&sock, NULL);

	mnfq_socket_close(sock);
	return err < 0 || strcmp(mnfq_get_version(), MNFQ_VERSION) != 0;
}
END
version=$(pkg-config --modversion libmnfq)
grep -q "\"$version\"" "$SOURCE/include/mnfq/version.h" ||
	fail "libmnfq.pc has version '$version'"

# What a program for which pkg-config knows all flags takes.
link_shared()
{
	flags=$(pkg-config --cflags --libs libmnfq)
	# shellcheck disable=SC2086
	$CC -o "$tmp/shared" "$tmp/program.c" $flags || fail "cannot link with: $flags"
	readelf -d "$tmp/shared" | grep -q 'NEEDED.*libmnfq\.so\.0\]' ||
		fail "the soname is not libmnfq.so.0"
	readelf -d "$tmp/shared" | grep -q 'NEEDED.*libmnl' &&
		fail "a program need not link libmnl itself"
	LD_LIBRARY_PATH=$lib "$tmp/shared" || fail "the program linked shared failed"
}

# libmnl itself need not exist as a static library. Without a shared libmnfq --static is not needed.
link_static()
{
	flags=$(pkg-config --cflags --libs "$@" libmnfq |
		sed 's/-lmnfq/-Wl,-Bstatic & -Wl,-Bdynamic/')
	for library in -lmnl -pthread; do
		case " $flags " in
		*" $library "*) ;;
		*) fail "pkg-config $* lacks $library: $flags" ;;
		esac
	done
	# shellcheck disable=SC2086
	$CC -o "$tmp/static" "$tmp/program.c" $flags || fail "cannot link statically with: $flags"
	readelf -d "$tmp/static" | grep -q 'NEEDED.*libmnfq' && fail "the static link is not static"
	"$tmp/static" || fail "the program linked statically failed"
}

if builds shared; then
	link_shared
fi
if builds static; then
	link_static --static
fi
if [ "$KIND" = static ]; then
	link_static
fi
