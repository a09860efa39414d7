#!/bin/sh
# SPDX-License-Identifier: MIT
# filter.py or replay.py with a Python that has scapy, see edit.sh, and with tcpdump and what comes with tshark.
# Usage: captures.sh SCRIPT MNFQ
set -u
PATH=$PATH:/usr/sbin:/sbin

skip()
{
	echo "[SKIP] captures compared with tcpdump and tshark: $1"
	case ${MNFQ_TEST_REQUIRE:-} in
	*peers*) exit 1 ;;
	esac
	exit 77
}

for program in tcpdump tshark capinfos; do
	command -v $program >/dev/null || skip "no $program here"
done
case $("$2" dump -q 1 'tcp prot' 2>&1) in
*"built without libpcap"*) skip "mnfq was built without libpcap" ;;
esac
for python in /usr/bin/python3 python3; do
	if "$python" -c 'import scapy' 2>/dev/null; then
		exec env PYTHONDONTWRITEBYTECODE=1 "$python" "$@"
	fi
done
skip "no Python here has scapy (Debian: python3-scapy)"
