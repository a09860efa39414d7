#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPU time per packet of netfilterqueue and mnfq, beside that of the original NetfilterQueue.

    bench.py [--original DIRECTORY] [--ours DIRECTORY] [--rounds N] [SCENARIO …]

--original: the directory of NetfilterQueue 1.1.0's package `netfilterqueue`, built in place with
`cython3 -3 netfilterqueue/_impl.pyx` and `cc -O2 -fPIC -shared $(python3-config --includes) …
-lnetfilter_queue -lnfnetlink`; its source is not a part of this project. Without it only our numbers are shown.
--ours: where netfilterqueue, mnfq and _mnfq are; by default they are those that are installed.

A client sends UDP packets of 64 bytes through a router, where they are queued in FORWARD, to a server, which discards
them: three namespaces. Both modules are measured in turns, in processes of their own. Needs root.
"""
import argparse
import ctypes
import json
import os
import queue as queues
import socket
import statistics
import subprocess
import sys
import threading
import time

FULL = 8000  # packets that fill a queue
PACED = 60000  # packets per second
SCENARIOS = {
    "accept": ("full queue, a callback that only accepts", 1.9),
    "mnfq": ("the same through mnfq", 2.0),
    "read": ("a callback that reads the payload and looks for bytes", 1.7),
    "paced": ("paced, 60,000 packets/s", 1.25),
    "kept": ("kept, decided 100 at a time", 1.8),
    "thread": ("decided from another thread", 1.3),
    "run_socket": ("run_socket", 1.1),
}

SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 32, 1 << 27)
s.connect(("10.0.2.1", 7000))
data = bytes(36)
for line in sys.stdin:
    count, rate = map(int, line.split())
    begin = time.perf_counter()
    for i in range(count):
        s.send(data)
        while rate and time.perf_counter() - begin < i / rate:
            pass
    print("sent", flush=True)
"""


class Enough(Exception):
    pass


def run(command, pid=None):
    enter = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
    subprocess.run(enter + command.split(), check=True)


class Net:
    """This process is the router."""

    def __init__(self):
        if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:
            sys.exit("bench.py: cannot make a network namespace: run me as root")
        self.hosts = [
            subprocess.Popen(
                ["unshare", "-n", sys.executable, "-c", "print(flush=True)\n" + code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for code in ("import sys; sys.stdin.read()", "import sys; sys.stdin.readline()\n" + SENDER)
        ]
        self.server, self.client = self.hosts
        for host, number in ((self.client, 1), (self.server, 2)):
            host.stdout.readline()
            run(f"ip link add veth{number} type veth peer name eth0 netns {host.pid}")
            run(f"ip address add 10.0.{number}.2/24 dev veth{number}")
            run(f"ip link set veth{number} up")
            run(f"ip address add 10.0.{number}.1/24 dev eth0", host.pid)
            run("ip link set eth0 up", host.pid)
            run(f"ip route add default via 10.0.{number}.2", host.pid)
        run("iptables -t mangle -A FORWARD -p udp -j NFQUEUE --queue-num 1")
        run("iptables -t raw -A PREROUTING -p udp -j DROP", self.server.pid)
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        self.client.stdin.write("\n")
        self.client.stdin.flush()

    def send(self, count, rate=0, wait=True):
        self.client.stdin.write(f"{count} {rate}\n")
        self.client.stdin.flush()
        if wait:
            self.client.stdout.readline()

    def close(self):
        for host in self.hosts:
            host.stdin.close()
            host.wait()


class Measure:
    """One scenario in this process."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.count = self.until = 0
        self.kept = []

    def accept(self, packet):
        packet.accept()
        self.count += 1
        if self.count == self.until:
            raise Enough

    paced = run_socket = accept

    def read(self, packet):
        if b"secret" in packet.get_payload():
            packet.drop()
        else:
            packet.accept()
        self.count += 1
        if self.count == self.until:
            raise Enough

    def keep(self, packet):
        self.kept.append(packet)
        if len(self.kept) == 100:
            for kept in self.kept:
                kept.accept()
            self.kept.clear()
        self.count += 1
        if self.count == self.until:
            raise Enough

    def hand_over(self, packet):
        self.work.put(packet)
        self.count += 1
        if self.count == self.until:
            raise Enough

    def decide(self):
        for packet in iter(self.work.get, None):
            packet.accept()

    def bind_mnfq(self):
        import mnfq

        accept = mnfq.Verdict.ACCEPT
        sock = mnfq.Socket.open(receive_buffer=128 << 20)

        def decide(packet):
            self.count += 1
            if self.count == self.until:
                sock.stop()
            return accept

        sock.bind(1, decide, max_len=2 * FULL, gso=False)
        return sock.run

    def bind(self):
        if self.scenario == "mnfq" and "--original" not in sys.argv:
            return self.bind_mnfq()
        from netfilterqueue import NetfilterQueue

        names = {"mnfq": "accept", "kept": "keep", "thread": "hand_over"}
        queue = NetfilterQueue()
        queue.bind(1, getattr(self, names.get(self.scenario, self.scenario)), max_len=2 * FULL, sock_len=64 << 20)
        if self.scenario == "thread":
            self.work = queues.SimpleQueue()
            threading.Thread(target=self.decide, daemon=True).start()
        if self.scenario == "run_socket":
            s = socket.fromfd(queue.get_fd(), socket.AF_NETLINK, socket.SOCK_RAW)
            return lambda: queue.run_socket(s)
        return queue.run

    def round(self, serve, net, paced):
        count = PACED if paced else FULL
        self.count, self.until = 0, count
        net.send(count, PACED if paced else 0, wait=not paced)
        begin = time.process_time()
        try:
            serve()
        except Enough:
            pass
        while self.scenario == "thread" and not self.work.empty():
            time.sleep(0.0001)
        used = time.process_time() - begin
        if paced:
            net.client.stdout.readline()
        return used / count * 1e6

    def run(self, rounds):
        net = Net()
        serve = self.bind()
        self.until = 10
        net.send(10)
        try:
            serve()
        except Enough:
            pass
        while self.scenario == "thread" and not self.work.empty():
            time.sleep(0.0001)
        used = [self.round(serve, net, self.scenario == "paced") for _ in range(rounds)]
        net.close()
        print(json.dumps(statistics.median(used)))


def measure(scenario, path, original):
    environment = dict(os.environ)
    if path:
        environment["PYTHONPATH"] = path
    command = [sys.executable, __file__, "--worker", scenario] + (["--original", "-"] if original else [])
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=300, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--original", metavar="DIRECTORY")
    parser.add_argument("--ours", metavar="DIRECTORY")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    if options.worker:
        Measure(options.worker).run(1 if options.worker == "paced" else 5)
        return
    print("| what | NetfilterQueue | ours | ratio | target |\n|---|---|---|---|---|")
    for scenario in options.scenarios or SCENARIOS:
        what, target = SCENARIOS[scenario]
        ours, theirs = [], []
        for _ in range(options.rounds):
            if options.original:
                theirs.append(measure(scenario, options.original, True))
            ours.append(measure(scenario, options.ours, False))
        mine = statistics.median(ours)
        if theirs:
            other = statistics.median(theirs)
            print(f"| {what} | {other:.2f} us | {mine:.2f} us | {other / mine:.2f} | >= {target} |", flush=True)
        else:
            print(f"| {what} | - | {mine:.2f} us | - | >= {target} |", flush=True)


if __name__ == "__main__":
    main()
