# SPDX-License-Identifier: MIT
"""The text of `mnfq stat --prometheus` as Prometheus' own parser for Python reads it: every family has a type
and a help text, and the values are those of the kernel's table, owners with awkward names included.

Usage: prometheus.py MNFQ    needs root.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

from prometheus_client.parser import text_string_to_metric_families

NUMS = (65534, 65535)
NAME = 'a"b\\c\nd'  # a process' name has 15 bytes at most
SHOWN = 'a"b\\c\\x0ad'  # of control characters we show the number
COLUMNS = {  # of the kernel's table, by metric
    "nfqueue_packets_waiting": 2,
    "nfqueue_copy_range_bytes": 4,
    "nfqueue_dropped_full_packets": 5,
    "nfqueue_dropped_socket_packets": 6,
    "nfqueue_packets": 7,
}


def inside(netns, *command, **options):
    return subprocess.run(["ip", "netns", "exec", netns, *command], check=True, text=True,
                          capture_output=True, **options).stdout


def kernel_rows(netns):
    text = inside(netns, "cat", "/proc/net/netfilter/nfnetlink_queue")
    return {int(line.split()[0]): line.split() for line in text.splitlines()}


def wait_until(what, condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    sys.exit("never: " + what)


def check(families, rows):
    for family in families:
        assert family.documentation, family
        assert family.type in ("gauge", "counter"), family
    by_name = {family.name: family for family in families}
    for name, column in COLUMNS.items():
        values = {int(sample.labels["queue"]): sample.value for sample in by_name[name].samples}
        wanted = {num: float(row[column]) for num, row in rows.items()}
        assert values == wanted, (name, values, wanted)
    owners = [sample.labels for sample in by_name["nfqueue_info"].samples]
    assert len(owners) == len(rows), owners
    assert all(SHOWN in labels.values() for labels in owners), owners


def send(netns, count):
    inside(netns, sys.executable, "-c",
           "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
           f"for i in range({count}): s.sendto(b'x', ('127.0.0.1', 9))")


def main():
    mnfq = sys.argv[1]
    netns = f"mnfq-peer-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        owner = shutil.copy(mnfq, os.path.join(folder, NAME))
        subprocess.run(["ip", "netns", "add", netns], check=True)
        dump = None
        try:
            inside(netns, "ip", "link", "set", "lo", "up")
            inside(netns, "iptables-legacy", "-A", "INPUT", "-p", "udp", "-j", "NFQUEUE", "--queue-num", str(NUMS[0]))
            dump = subprocess.Popen(["ip", "netns", "exec", netns, owner, "dump", "--quiet",
                                     f"-q{NUMS[0]}:{NUMS[1]}"])
            wait_until("queues", lambda: set(kernel_rows(netns)) == set(NUMS))
            send(netns, 20)
            wait_until("packets", lambda: kernel_rows(netns)[NUMS[0]][7] == "20" and
                       kernel_rows(netns)[NUMS[0]][2] == "0")
            text = inside(netns, mnfq, "stat", "--prometheus")
            families = list(text_string_to_metric_families(text))
            check(families, kernel_rows(netns))
            print(len(families), "families,", sum(len(family.samples) for family in families), "samples")
        finally:
            if dump:
                dump.terminate()
                dump.wait()
            subprocess.run(["ip", "netns", "del", netns], check=True)


main()
