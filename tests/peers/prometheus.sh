#!/bin/sh
# SPDX-License-Identifier: MIT
# prometheus.py with a Python that has Prometheus' client library.
# Usage: prometheus.sh MNFQ
set -u
here=$(dirname "$0")

skip()
{
	echo "[SKIP] mnfq stat's metrics read by Prometheus' parser: $1"
	case ${MNFQ_TEST_REQUIRE:-} in
	*peers*) exit 1 ;;
	esac
	exit 77
}

if [ "$(id -u)" -ne 0 ]; then
	echo "[SKIP] mnfq stat's metrics read by Prometheus' parser: needs root"
	exit 77
fi
for python in /usr/bin/python3 python3; do
	if "$python" -c 'import prometheus_client' 2>/dev/null; then
		exec "$python" "$here/prometheus.py" "$@"
	fi
done
skip "no Python here has prometheus_client (Debian: python3-prometheus-client)"
