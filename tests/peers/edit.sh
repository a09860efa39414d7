#!/bin/sh
# SPDX-License-Identifier: MIT
# edit.py with a Python that has scapy. Debian installs it for /usr/bin/python3 only, which need not
# be the one in the PATH.
# Usage: edit.sh PROGRAM [COUNT [SEED]]
set -u
here=$(dirname "$0")

for python in /usr/bin/python3 python3; do
	if "$python" -c 'import scapy' 2>/dev/null; then
		exec "$python" "$here/edit.py" "$@"
	fi
done
echo "[SKIP] edits compared with those of scapy: no Python here has it (Debian: python3-scapy)"
case ${MNFQ_TEST_REQUIRE:-} in
*peers*) exit 1 ;;
esac
exit 77
