#!/bin/sh
# SPDX-License-Identifier: MIT
# lines.py with a Python that has scapy, see edit.sh, and with the tcpdump whose words it knows.
# Usage: lines.sh PROGRAM
set -u
here=$(dirname "$0")
PATH=$PATH:/usr/sbin

skip()
{
	echo "[SKIP] lines compared with those of tcpdump: $1"
	case ${MNFQ_TEST_REQUIRE:-} in
	*peers*) exit 1 ;;
	esac
	exit 77
}

case $(tcpdump --version 2>/dev/null) in
*"tcpdump version 4.99."*) ;;
*) skip "no tcpdump 4.99 (Debian: tcpdump)" ;;
esac
for python in /usr/bin/python3 python3; do
	if "$python" -c 'import scapy' 2>/dev/null; then
		exec "$python" "$here/lines.py" "$@"
	fi
done
skip "no Python here has scapy (Debian: python3-scapy)"
