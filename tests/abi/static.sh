#!/bin/sh
# SPDX-License-Identifier: MIT
# static.sh made    [musl]  -Dstatic_tool=true makes an mnfq that needs no other file, and serves
# static.sh missing         where that cannot be, configuring fails and says what to do
# The first is skipped where it cannot be made here. The source of libmnl is fetched only if
# MNFQ_TEST_DOWNLOAD=yes; it is used if it is in subprojects/.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
temporary

# What meson unpacks and builds goes into a copy.
mkdir "$tmp/source"
cp -R "$SOURCE"/meson* "$SOURCE"/include "$SOURCE"/lib "$SOURCE"/tools "$SOURCE"/man \
	"$SOURCE"/subprojects "$tmp/source"

# refuses SENTENCE MESON-OPTION… : configuring fails with it.
refuses()
{
	sentence=$1
	shift
	"$MESON" setup -Dstatic_tool=true -Dtests=disabled -Dexamples=false --wrap-mode=nodownload "$@" \
		"$tmp/build" "$tmp/source" >"$tmp/log" 2>&1 && fail "'$sentence' was not an error"
	grep -q "ERROR: .*static_tool=true: $sentence" "$tmp/log" || { cat "$tmp/log"; fail "no '$sentence'"; }
	rm -rf "$tmp/build"
}

# unless PATTERN : the compiler, but for command lines with this in them.
unless()
{
	printf '#!/bin/sh\ncase "$*" in %s) exit 1 ;; esac\nexec %s "$@"\n' "$1" "$CC" >"$tmp/cc"
	chmod +x "$tmp/cc"
	echo "$tmp/cc"
}

if [ "$1" = missing ]; then
	rm -rf "$tmp"/source/subprojects/packagecache "$tmp"/source/subprojects/libmnl-*
	CC=$(unless '*-static*') refuses "the compiler cannot link static programs here"
	CC=$(unless '*-static*mnl*') refuses "there is no static libmnl"
	refuses "the tool is not built here" -Dtools=false
	exit 0
fi

if [ "${2-}" = musl ]; then
	musl_compiler
	CC=musl-gcc CFLAGS=${musl#musl-gcc } more=--force-fallback-for=libmnl
	have_source || skip "musl-gcc takes the source of libmnl, which is not in subprojects/"
fi
[ "${MNFQ_TEST_DOWNLOAD-}" = yes ] || more="${more-} --wrap-mode=nodownload"

links()
{
	# shellcheck disable=SC2086
	echo 'int main(void) { return 0; }' | $CC -x c - -static "$@" -o "$tmp/links" 2>/dev/null
}

links || skip "the compiler cannot link static programs here"
links -lmnl || have_source || skip "there is no static libmnl, and no source of it in subprojects/"

# $CC may be several words, which meson understands.
export CC CFLAGS
# shellcheck disable=SC2086
run "$MESON" setup -Dstatic_tool=true -Dtests=disabled -Dexamples=false ${more-} \
	"$tmp/build" "$tmp/source"
run "$MESON" compile -C "$tmp/build"
run "$MESON" install -C "$tmp/build" --no-rebuild --destdir "$tmp/root"
mnfq=$(find "$tmp/root" -path '*/bin/mnfq')

[ -n "$mnfq" ] || fail "no mnfq was installed"
readelf -lW "$mnfq" | grep INTERP && fail "the static tool has an interpreter"
readelf -dW "$mnfq" | grep NEEDED && fail "the static tool needs shared libraries"
"$mnfq" --version
status=0
"$mnfq" dump -q 2>"$tmp/log" || status=$?
[ $status -eq 2 ] || fail "'mnfq dump -q' ended with $status" # getopt_long() of musl is another

# A queue of a namespace of its own, two datagrams through it.
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" -ne 0 ] || ! unshare -n true 2>/dev/null || ! command -v iptables-legacy >/dev/null; then
	echo "not run with packets: that takes root and iptables-legacy"
	exit 0
fi
cat >"$tmp/serve" <<'END'
set -e
ip link set lo up
iptables-legacy -A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5
mkfifo "$2"
timeout 60 "$1" dump -q 5 -c 2 >"$3" 2>"$2" &
exec 3<"$2"
read -r line <&3
case $line in
"listening on queue 5"*) ;;
*) echo "$line" && exit 1 ;;
esac
python3 -c 'import socket; [socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)) for _ in "12"]'
wait $!
cat <&3
END
run unshare -n sh "$tmp/serve" "$mnfq" "$tmp/told" "$tmp/lines"
cat "$tmp/lines" "$tmp/log"
[ "$(grep -c ': UDP, length .* | q5 id [12] input lo, accept' "$tmp/lines")" -eq 2 ] ||
	fail "the static tool did not see the two packets"
grep -q '^2 packets, .*, 2 accepted' "$tmp/log" || fail "no summary"
