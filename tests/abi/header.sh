#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header stands alone, in C from C99 on and in C++ from C++11 to C++20, without warnings, and
# a C++ program links each of the functions.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

for header in $headers; do
	cat >"$tmp/$(basename "$header" .h).c" <<END
#include <$header>
#include <$header>
int main(void)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);
	struct mnfq_socket_options options = MNFQ_INIT(options);

	if (stats.size != sizeof(stats) || stats.held || options.size != sizeof(options))
		return 1;
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
		"$tmp/alone" || fail "what is in the header is wrong as $std"
	done
}

strict="-Wall -Wextra -Wshadow -Werror -pedantic-errors -I$SOURCE/include"
for std in c99 c11; do
	# shellcheck disable=SC2086
	alone $std c $CC $strict -Wstrict-prototypes
done

# The comments are valid doxygen, of which the manual pages are made.
if command -v clang >/dev/null; then
	for header in $headers; do
		clang -Wdocumentation -Wdocumentation-unknown-command -Werror -fsyntax-only \
			-I"$SOURCE/include" -x c "$SOURCE/include/$header" ||
			fail "comments of $header are no valid doxygen"
	done
fi

# shellcheck disable=SC2086
set -- $CXX
command -v "$1" >/dev/null || skip "no C++ compiler"
# shellcheck disable=SC2086
{
	printf '#include <%s>\n' $headers
	echo 'typedef void (*function)();'
	echo 'extern const function all[];'
	echo 'const function all[] = {'
	header_functions | sed 's/.*/reinterpret_cast<function>(\&&),/'
	echo '};'
	echo 'int main() { return all[0] == nullptr; }'
} >"$tmp/all.cc"
for std in c++11 c++14 c++17 c++20; do
	# shellcheck disable=SC2086
	alone $std cc $CXX $strict -Wold-style-cast
	# g++ does not look for casts within extern "C".
	# shellcheck disable=SC2086
	! command -v clang++ >/dev/null || alone $std cc clang++ $strict -Wold-style-cast
	# shellcheck disable=SC2046,SC2086
	$CXX -std=$std $strict -o "$tmp/all" "$tmp/all.cc" $(libraries) ||
		fail "a $std program cannot link every function"
done
LD_LIBRARY_PATH=$BUILD/lib "$tmp/all"
