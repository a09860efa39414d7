#!/bin/sh
# SPDX-License-Identifier: MIT
# filter.py with a Python that has scapy, see edit.sh, and with tcpdump.
# Usage: filter.sh MNFQ
set -u
here=$(dirname "$0")
PATH=$PATH:/usr/sbin

skip()
{
	echo "[SKIP] filters compared with those of tcpdump: $1"
	case ${MNFQ_TEST_REQUIRE:-} in
	*peers*) exit 1 ;;
	esac
	exit 77
}

command -v tcpdump >/dev/null || skip "no tcpdump here"
case $("$1" dump -q 1 'tcp prot' 2>&1) in
*"built without libpcap"*) skip "mnfq was built without libpcap" ;;
esac
for python in /usr/bin/python3 python3; do
	if "$python" -c 'import scapy' 2>/dev/null; then
		exec "$python" "$here/filter.py" "$@"
	fi
done
skip "no Python here has scapy (Debian: python3-scapy)"
