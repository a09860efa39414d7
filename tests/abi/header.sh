#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header stands alone, in C from C99 on and in C++ from C++11 on, and a C++ program links
# each of the functions.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

for header in $headers; do
	cat >"$tmp/$(basename "$header" .h).c" <<END
#include <$header>
#include <$header>
int main(void)
{
	return mnfq_verdict_queue(5) != (3u | 5u << 16) ||
	       mnfq_verdict_queue_bypass(5) != (0x8003u | 5u << 16);
}
END
done

# alone STANDARD SUFFIX COMPILER… : compiles each header alone, and runs what comes of it.
alone()
{
	std=$1 suffix=$2
	shift 2
	for header in $headers; do
		cp "$tmp/$(basename "$header" .h).c" "$tmp/alone.$suffix"
		"$@" -std="$std" -o "$tmp/alone" "$tmp/alone.$suffix" ||
			fail "$header does not compile as $std"
		"$tmp/alone" || fail "mnfq_verdict_queue() is wrong as $std"
	done
}

strict="-Wall -Wextra -Wshadow -Werror -pedantic-errors -I$SOURCE/include"
for std in c99 c11; do
	# shellcheck disable=SC2086
	alone $std c $CC $strict -Wstrict-prototypes
done

# shellcheck disable=SC2086
set -- $CXX
command -v "$1" >/dev/null || skip "no C++ compiler"
{
	printf '#include <%s>\n' $headers
	echo 'typedef void (*function)();'
	echo 'extern const function all[];'
	echo 'const function all[] = {'
	header_functions | sed 's/.*/reinterpret_cast<function>(\&&),/'
	echo '};'
	echo 'int main() { return all[0] == nullptr; }'
} >"$tmp/all.cc"
for std in c++11 c++17; do
	# shellcheck disable=SC2086
	alone $std cc $CXX $strict
	# shellcheck disable=SC2046,SC2086
	$CXX -std=$std $strict -o "$tmp/all" "$tmp/all.cc" $(libraries) ||
		fail "a $std program cannot link every function"
done
LD_LIBRARY_PATH=$BUILD/lib "$tmp/all"
