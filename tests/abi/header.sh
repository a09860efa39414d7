#!/bin/sh
# SPDX-License-Identifier: MIT
# mnfq.h stands alone, in C from C99 on and in C++ from C++11 on, and a C++ program links each of
# its functions.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

cat >"$tmp/alone.c" <<'END'
#include <mnfq/mnfq.h>
#include <mnfq/mnfq.h>
int main(void)
{
	return mnfq_verdict_queue(5) != (3u | 5u << 16) ||
	       mnfq_verdict_queue_bypass(5) != (0x8003u | 5u << 16);
}
END
cp "$tmp/alone.c" "$tmp/alone.cc"
strict="-Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -pedantic-errors -I$SOURCE/include"
for std in c99 c11; do
	# shellcheck disable=SC2086
	$CC -std=$std $strict -o "$tmp/alone" "$tmp/alone.c" || fail "mnfq.h does not compile as $std"
	"$tmp/alone" || fail "mnfq_verdict_queue() is wrong as $std"
done

# shellcheck disable=SC2086
set -- $CXX
command -v "$1" >/dev/null || skip "no C++ compiler"
strict=$(echo "$strict" | sed 's/-Wstrict-prototypes//')
{
	echo '#include <mnfq/mnfq.h>'
	echo 'typedef void (*function)();'
	echo 'extern const function all[];'
	echo 'const function all[] = {'
	header_functions | sed 's/.*/reinterpret_cast<function>(\&&),/'
	echo '};'
	echo 'int main() { return all[0] == nullptr; }'
} >"$tmp/all.cc"
for std in c++11 c++17; do
	# shellcheck disable=SC2086
	$CXX -std=$std $strict -o "$tmp/alone" "$tmp/alone.cc" || fail "mnfq.h does not compile as $std"
	"$tmp/alone" || fail "mnfq_verdict_queue() is wrong as $std"
	# shellcheck disable=SC2046,SC2086
	$CXX -std=$std $strict -o "$tmp/all" "$tmp/all.cc" $(libraries) ||
		fail "a $std program cannot link every function"
done
LD_LIBRARY_PATH=$BUILD/lib "$tmp/all"
