# SPDX-License-Identifier: MIT
"""Real packets, in network namespaces that the tests make: needs root, iproute2 and iptables."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys

import mnfq
import netfilterqueue
import pytest

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
PORT = 7000


# The programs of the tests are interrupted, which a shell's background jobs ignore, and whatever they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _why_not():
    if os.geteuid() != 0:
        return "needs root"
    for command in ("ip", "iptables", "ip6tables", "nsenter", "unshare"):
        if not shutil.which(command):
            return f"needs {command}"
    return None


def pytest_collection_modifyitems(items):
    reason = _why_not()
    if reason is None:
        return
    if os.environ.get("MNFQ_TEST_REQUIRE"):
        pytest.exit(f"the Python tests cannot run: {reason}", 1)
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def require(available, reason):
    """Skips a test for which something is missing, unless all of them are required."""
    if available:
        return
    if os.environ.get("MNFQ_TEST_REQUIRE"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(command, namespace=None):
    enter = [] if namespace is None else ["nsenter", f"--net=/proc/{namespace}/ns/net"]
    subprocess.run(enter + command.split(), check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session", autouse=True)
def own_namespace():
    """The tests run in namespaces of their own, with a /run of their own; the machine's are not touched."""
    if _why_not() is None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        run("mount --make-rprivate /")
        run("mount -t tmpfs tmpfs /run")
        run("ip link set lo up")


class Net:
    """A sender and a receiver on lo, between which packets are queued."""

    def __init__(self, family):
        self.family = family
        self.iptables = "iptables" if family == 4 else "ip6tables"
        self.header = 28 if family == 4 else 48
        self.address = ("127.0.0.1" if family == 4 else "::1", PORT)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self.receiver = socket.socket(kind, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.receiver.bind(self.address)
        self.receiver.settimeout(10)
        self.sender = socket.socket(kind, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.sender.connect(self.address)

    def rule(self, num=1, chain="OUTPUT", match="", table="filter"):
        run(f"{self.iptables} -t {table} -A {chain} -p udp --dport {PORT} {match} -j NFQUEUE --queue-num {num}")

    def send(self, *payloads):
        for payload in payloads:
            self.sender.send(payload)

    def receive(self, count=1):
        return [self.receiver.recv(1 << 16) for _ in range(count)]

    def pending(self):
        """What has arrived; only packets that were decided before can."""
        self.receiver.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.receiver.recv(1 << 16))
        except BlockingIOError:
            return found
        finally:
            self.receiver.settimeout(10)

    def data(self, payload):
        return bytes(payload)[self.header :]

    def flush(self):
        for table in ("filter", "mangle"):
            run(f"{self.iptables} -t {table} -F")

    def close(self):
        self.flush()
        self.receiver.close()
        self.sender.close()


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def net(request):
    net = Net(request.param)
    net.rule()
    yield net
    net.close()


@pytest.fixture
def net4():
    net = Net(4)
    net.rule()
    yield net
    net.close()


class Foreign:
    """Another namespace, with a process in it."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "-n", sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.process.stdout.readline()
        self.pid = self.process.pid
        run("ip link set lo up", self.pid)

    def rule(self, num=1):
        for iptables in ("iptables", "ip6tables"):
            run(f"{iptables} -A OUTPUT -p udp --dport {PORT} -j NFQUEUE --queue-num {num}", self.pid)

    def start(self, code, *args, **kwargs):
        """A Python program in there."""
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", sys.executable, "-c", code]
        return subprocess.Popen(enter + [str(arg) for arg in args], **kwargs)

    def send(self, payload, family=4):
        """Sends a datagram to itself, and prints what arrives."""
        code = (
            "import socket, sys; ip6 = sys.argv[2] == '6'\n"
            "address = ('::1' if ip6 else '127.0.0.1', 7000)\n"
            "s = socket.socket(socket.AF_INET6 if ip6 else socket.AF_INET, socket.SOCK_DGRAM)\n"
            "s.bind(address); s.settimeout(10); s.sendto(sys.argv[1].encode(), address)\n"
            "print(s.recv(100).decode())"
        )
        return self.start(code, payload, family, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.process.communicate(b"\n")


@pytest.fixture
def foreign():
    foreign = Foreign()
    foreign.rule()
    yield foreign
    foreign.close()


class Stop(Exception):
    """What callbacks raise to end run()."""


@pytest.fixture
def sock():
    """A socket of mnfq that ends with the test."""
    with mnfq.Socket.open() as sock:
        yield sock


@pytest.fixture
def bound():
    """bind(callback, …) returns a NetfilterQueue that ends with the test."""
    queues = []

    def bind(callback, num=1, **kwargs):
        queue = netfilterqueue.NetfilterQueue()
        queues.append(queue)
        queue.bind(num, callback, **kwargs)
        return queue

    yield bind
    for queue in queues:
        queue.unbind()


def accept(packet):
    """A callback of netfilterqueue."""
    packet.accept()


def has_module(name):
    return subprocess.run([sys.executable, "-c", f"import {name}"], stderr=subprocess.DEVNULL).returncode == 0
