#!/bin/sh
# SPDX-License-Identifier: MIT
# Copies of the library in one process keep apart: the static one is not exported by what it was
# linked into, and the shared one uses its own functions, whatever others have these names.
# (tests/kernel/lib/copies.c has two that serve packets.)
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

# Of the archive, every member: a program exports none of it, even if it exports all that it can.
if builds static; then
	echo 'int main(void) { return 0; }' >"$tmp/main.c"
	# shellcheck disable=SC2046
	$CC -rdynamic -o "$tmp/all" "$tmp/main.c" -Wl,--whole-archive "$BUILD/lib/libmnfq.a" \
		-Wl,--no-whole-archive $(pkg-config --libs libmnl) -pthread ||
		fail "cannot link all of libmnfq.a"
	nm "$tmp/all" | grep -q ' mnfq_socket_open$' || fail "libmnfq.a was not linked"
	nm -D --defined-only "$tmp/all" | grep ' mnfq_' && fail "a program exports the static copy"
fi

builds shared || exit 0
readelf -rW "$LIBRARY" | grep ' mnfq_' &&
	fail "libmnfq.so leaves calls to itself to the dynamic linker"

# A program in which each of our names is a trap, and which loads the library.
{
	echo '#include <stdlib.h>'
	header_functions | sed 's/.*/void &(void); void &(void) { abort(); }/'
} >"$tmp/traps.c"
cat >"$tmp/main.c" <<'END'
#include <dlfcn.h>
#include <mnfq/mnfq.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
	int (*open)(struct mnfq_socket **, const struct mnfq_socket_options *);
	int (*run)(struct mnfq_socket *);
	void (*stop)(struct mnfq_socket *);
	struct mnfq_socket *(*close)(struct mnfq_socket *);
	struct mnfq_socket *sock = NULL;
	int err;

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&open = dlsym(library, "mnfq_socket_open");
	*(void **)&run = dlsym(library, "mnfq_socket_run"); /* calls mnfq_socket_dispatch() */
	*(void **)&stop = dlsym(library, "mnfq_socket_stop");
	*(void **)&close = dlsym(library, "mnfq_socket_close");
	err = open(&sock, NULL);
	if (err != 0) {
		fprintf(stderr, "mnfq_socket_open: %d\n", err);
		return 1;
	}
	stop(sock);
	err = run(sock);
	return close(sock) != NULL || err != 0;
}
END
$CC -I"$SOURCE/include" -rdynamic -o "$tmp/trap" "$tmp/main.c" "$tmp/traps.c" -ldl ||
	fail "cannot link the program of traps"
nm -D --defined-only "$tmp/trap" | grep -q ' mnfq_socket_close$' || fail "the traps are not exported"
"$tmp/trap" "$LIBRARY" || fail "the library used functions of the program that loaded it"
