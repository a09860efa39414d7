# SPDX-License-Identifier: MIT
"""The programs that the documentation shows run as they are."""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import textwrap

import mnfq
import netfilterqueue
import pytest
from conftest import Stop, has_module, require, run

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def blocks(name, language):
    with open(os.path.join(TOP, name)) as text:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", text.read(), re.DOTALL | re.MULTILINE)
    return [block for kind, block in found if kind == language]


def indented(text):
    """The first program in a docstring."""
    return textwrap.dedent(re.search(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE).group())


[MAIN] = blocks("README.md", "python")
FIRST, MNFQ, ASYNCIO, GEVENT, SCAPY, NETNS, INSIDE, OUTSIDE = blocks("python/README.md", "python")
RULES = [
    line.replace("sudo ", "")
    for name in ("README.md", "python/README.md")
    for block in blocks(name, "")
    for line in block.splitlines()
    if "-p icmp -j NFQUEUE --queue-num 1 --queue-bypass" in line and "sudo iptables" in line
]


started = []


def start(code, **kwargs):
    program = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True, **kwargs)
    started.append(program)
    return program


@pytest.fixture(autouse=True)
def nothing_left():
    """Whatever a test came to, the next one finds its queue free."""
    yield
    while started:
        with started.pop() as program:
            program.kill()


def wait_for(program, happened):
    while not happened():
        assert program.poll() is None


def wait_for_queue(program, num):
    wait_for(program, lambda: num in [queue.num for queue in mnfq.queues()])


def ping():
    """An echo request of 8 + 8 bytes, and the reply to it."""
    header = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    data = header + b"libmnfq!"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(10)
        s.sendto(data[:2] + struct.pack("!H", total ^ 0xFFFF) + data[4:], ("127.0.0.1", 0))
        while s.recv(100)[20] != 0:
            pass


@pytest.fixture
def icmp():
    """The rule that both READMEs have."""
    assert len(RULES) == 2 and RULES[0] == RULES[1]
    run(RULES[0])
    yield
    run("iptables -F")


def first_line(program, ending):
    """What a program prints for the first packet; then it gets Ctrl-C."""
    wait_for_queue(program, 1)
    ping()
    line = program.stdout.readline()
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=10)
    assert program.returncode == ending
    return line


QUIET = {"stderr": subprocess.DEVNULL}
INTERRUPTED = -signal.SIGINT


@pytest.mark.parametrize(
    "code, ending",
    [(MAIN, INTERRUPTED), (FIRST, 0), (indented(netfilterqueue.__doc__), INTERRUPTED)],
    ids=["README.md", "python/README.md", "help"],
)
def test_first_program(icmp, code, ending):
    assert first_line(start(code, **QUIET), ending) == "ICMP packet, 36 bytes\n"


def test_mnfq(icmp):
    line = first_line(start(MNFQ, **QUIET), INTERRUPTED)
    assert "'protocol': 1," in line and line.endswith("} 36\n")


def test_asyncio(icmp):
    program = start(ASYNCIO, **QUIET)
    wait_for_queue(program, 1)
    ping()
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=10)
    assert program.returncode == INTERRUPTED


def test_help_of_mnfq(net4):
    net4.flush()
    net4.rule(num=5)
    program = start(indented(mnfq.__doc__), **QUIET)
    wait_for_queue(program, 5)
    net4.send(b"a secret", b"hello")
    assert net4.receive() == [b"hello"]
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=10)


def test_gevent(net4):
    def stop(packet):
        packet.accept()
        raise Stop

    queue = netfilterqueue.NetfilterQueue()
    queue.bind(1, stop)
    net4.send(b"hello")
    names = {"queue": queue, "socket": socket}
    with pytest.raises(Stop):
        exec(GEVENT, names)
    names["s"].close()
    queue.unbind()
    assert net4.receive() == [b"hello"]


def test_scapy(net4):
    require(has_module("scapy"), "needs scapy")
    names = {"mnfq": mnfq}
    exec(SCAPY, names)
    with mnfq.Socket.open() as sock:
        sock.bind(1, names["decide"])
        net4.send(b"hello")
        sock.dispatch(10)
    assert net4.receive() == [b"changed"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_namespaces():
    run("ip netns add blue")
    try:
        path = "/run/netns/blue"
        code = "import mnfq, os\npath = '%s'\n%s" % (path, re.sub(r"^mnfq.Socket", "s = mnfq.Socket", NETNS, flags=re.M))
        names = {}
        for line in code.splitlines():
            exec(line, names)
            if line.startswith("s ="):
                assert names["s"].netns_inode == os.stat(path).st_ino
                names["s"].close()
    finally:
        run("ip netns del blue")


def test_handover(foreign):
    decide = "import mnfq\ndef decide(packet):\n    print(packet.length)\n    return mnfq.Verdict.ACCEPT\n"
    outside = start(decide + OUTSIDE, **QUIET)
    wait_for(outside, lambda: os.path.exists("/run/mnfq.sock"))
    inside = foreign.start(INSIDE)
    assert inside.wait(10) == 0
    traffic = foreign.send("hello")
    assert traffic.communicate(timeout=10)[0] == "hello\n"
    assert outside.stdout.readline() == "33\n"
    outside.send_signal(signal.SIGINT)
    outside.communicate(timeout=10)
    os.unlink("/run/mnfq.sock")
