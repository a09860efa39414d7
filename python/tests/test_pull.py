# SPDX-License-Identifier: MIT
"""Packets that are pulled, with and without an event loop; sockets that are handed over; and leaks."""
import asyncio
import errno
import gc
import itertools
import os
import socket
import subprocess
import threading

import mnfq
import pytest
from conftest import require
from mnfq import Verdict


def test_for(net, sock):
    queue = sock.bind(1)
    net.send(*(b"%d" % i for i in range(100)))
    for packet in queue:
        packet.decide(Verdict.DROP if net.data(packet.payload).endswith(b"7") else Verdict.ACCEPT)
        if packet.id == 100:
            break
    sock.flush()
    assert net.receive(90) == [b"%d" % i for i in range(100) if i % 10 != 7]


def test_verdicts_take_effect_within_a_millisecond(net, sock):
    queue = sock.bind(1)
    net.send(b"1", b"2")
    next(queue).decide(Verdict.ACCEPT)
    assert net.receive() == [b"1"]
    next(queue).decide(Verdict.ACCEPT)
    assert net.receive() == [b"2"]


def test_kept_and_decided_later(net, sock):
    queue = sock.bind(1)
    net.send(*(b"%d" % i for i in range(200)))
    packets = list(itertools.islice(queue, 200))
    assert [net.data(packet.payload) for packet in packets] == [b"%d" % i for i in range(200)]
    for packet in reversed(packets):
        packet.decide(Verdict.ACCEPT)
    sock.flush()
    assert net.receive(200) == [b"%d" % i for i in reversed(range(200))]


def test_undecided_packets_get_the_default_verdict(net, sock):
    queue = sock.bind(1, default_verdict=Verdict.ACCEPT)
    net.send(b"1", b"2")
    next(queue)
    packet = next(queue)
    with pytest.warns(ResourceWarning, match="packet 1 of queue 1 was not decided"):
        assert sock.dispatch(0) == 0
    packet.decide(Verdict.DROP)
    assert net.receive() == [b"1"]


def test_two_queues(net, sock):
    net.rule(num=2, chain="INPUT")
    first, second = sock.bind(1), sock.bind(2)
    net.send(b"1", b"2")
    for _ in range(2):
        next(first).decide(Verdict.ACCEPT)
    for _ in range(2):
        packet = next(second)
        assert packet.hook_name == "input"
        packet.decide(Verdict.ACCEPT)


def test_with_a_callback(net, sock):
    """Queues of both kinds on one socket."""
    net.rule(num=2, chain="INPUT")
    hooks = []
    sock.bind(2, lambda packet: (hooks.append(packet.hook_name), Verdict.ACCEPT)[1])
    queue = sock.bind(1)
    net.send(b"1", b"2")
    next(queue).decide(Verdict.ACCEPT)
    next(queue).decide(Verdict.ACCEPT)
    while len(hooks) < 2:
        sock.dispatch(10)
    assert net.receive(2) == [b"1", b"2"]
    with pytest.raises(RuntimeError, match="callback"):
        next(sock.bind(3, lambda packet: Verdict.ACCEPT))


def test_stop_and_unbind_end_the_iteration(sock):
    queue = sock.bind(1)
    threading.Timer(0.05, sock.stop).start()
    assert list(queue) == []
    queue.unbind()
    assert list(queue) == []


def test_unbind_keeps_the_others(net, sock):
    """The packets in hand of another queue can still be decided."""
    net.rule(num=2, chain="INPUT")
    first = sock.bind(1)
    other = sock.bind(3)
    net.send(b"1")
    packet = next(first)
    other.unbind()
    packet.decide(Verdict.ACCEPT)
    second = sock.bind(2)
    with pytest.raises(RuntimeError, match="unbound"):
        net.send(b"2")
        packet = next(first)
        first.unbind()
        packet.decide(Verdict.ACCEPT)
    assert second.bound


async def pull(net, sock, sleep):
    queue = sock.bind(1)
    net.send(b"0", b"1", b"2", b"3")
    n = 0
    async for packet in queue:
        n += 1
        packet.edit(net.header, 1, b"%d!" % n)
        packet.decide(Verdict.ACCEPT)
        if n == 2:
            await sleep(0)
            threading.Timer(0.05, net.send, [b"4"]).start()  # so that the iteration has to wait
        if n == 4:
            threading.Timer(0.05, net.send, [b"5"]).start()
        if n == 6:
            break
    queue.unbind()
    async for packet in queue:
        n = None
    return n


def test_asyncio(net, sock):
    assert asyncio.run(asyncio.wait_for(pull(net, sock, asyncio.sleep), 10)) == 6
    assert net.receive(6) == [b"%d!" % n for n in range(1, 7)]


def test_trio(net, sock):
    try:
        import trio
    except ImportError:
        require(False, "needs trio")
    assert trio.run(pull, net, sock, trio.sleep) == 6
    assert net.receive(6) == [b"%d!" % n for n in range(1, 7)]


# ---- handing over ----


def hand_over(foreign, stream, code):
    code = "import mnfq, socket, sys\nstream = socket.socket(fileno=int(sys.argv[1]))\n" + code
    return foreign.start(code, stream.fileno(), pass_fds=[stream.fileno()], stderr=subprocess.PIPE, text=True)


SEND = """
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
mnfq.handover.send(stream, s, label='web', timeout=10)
mnfq.handover.wait(stream, timeout=10)
"""


@pytest.mark.parametrize("family", [4, 6])
def test_handover(foreign, family):
    ours, theirs = socket.socketpair()
    sender = hand_over(foreign, theirs, SEND)
    with mnfq.handover.receive(ours, timeout=10) as received:
        assert received.label == "web" and not received.plain and not received.keep
        assert received.pid == os.getpid() and received.uid == 0 and received.gid == 0
        assert received.netns_cookie >= 0
        sock = mnfq.Socket.adopt(received.detach())
        with pytest.raises(ValueError):
            received.fileno()
        sock.bind(1, lambda packet: Verdict.ACCEPT)
        received.accept()
    assert sender.wait(10) == 0
    traffic = foreign.send("hello", family)
    while sock.stats["accepted"] == 0:
        assert sock.dispatch(10)
    assert traffic.communicate(timeout=10)[0] == "hello\n"
    sock.close()
    sender.stderr.close()
    ours.close()
    theirs.close()


def test_refused_handover(foreign):
    ours, theirs = socket.socketpair()
    sender = hand_over(foreign, theirs, SEND)
    with mnfq.handover.receive(ours, timeout=10) as received:
        received.refuse(errno.EBUSY, "not today")
    assert "not today" in sender.communicate(timeout=10)[1] and sender.returncode == 1
    ours.close()
    theirs.close()


def test_plain_handover():
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        socket.send_fds(theirs, [b"x"], [netlink.fileno()])
    with mnfq.handover.receive(ours, plain=True, timeout=10) as received:
        assert received.plain and received.label == ""
        received.accept()
    with pytest.raises(TimeoutError):
        mnfq.handover.receive(ours, timeout=0.01)
    theirs.close()
    with pytest.raises(ConnectionResetError):
        mnfq.handover.receive(ours)
    with pytest.raises(OSError):
        mnfq.handover.send(ours, 0)
    ours.close()


# ---- leaks ----


def pages():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1])


def traffic(net, function, count):
    for _ in range(count // 500):
        net.send(*[b"x"] * 500)
        function()
    net.pending()


@pytest.mark.parametrize("kind", ["netfilterqueue", "kept", "mnfq", "pull", "payload"])
def test_nothing_leaks(net4, kind, sock):
    """What is allocated for packets is gone; MNFQ_TEST_PACKETS says for how many."""
    from netfilterqueue import NetfilterQueue

    count = int(os.environ.get("MNFQ_TEST_PACKETS", 30000))
    kept = []

    def pull_all():
        packets = queue._next(False)
        while packets is not None:
            packets.decide(Verdict.DROP)
            packets = queue._next(False)

    def keep(packet):
        packet.set_mark(3)
        kept.append(packet)

    def decide_kept():
        legacy.run(False)
        for packet in kept:
            packet.drop()
        kept.clear()

    if kind in ("netfilterqueue", "kept"):
        legacy = NetfilterQueue()
        legacy.bind(1, keep if kind == "kept" else lambda packet: packet.drop() if packet.get_payload() else None)
        serve = decide_kept if kind == "kept" else lambda: legacy.run(False)
    elif kind == "pull":
        queue, serve = sock.bind(1), pull_all
    elif kind == "payload":
        sock.bind(1, lambda packet: Verdict(len(packet.payload[:1]) and packet.tuple["family"] and 0))
        serve = lambda: sock.dispatch(0)
    else:
        sock.bind(1, lambda packet: Verdict.DROP)
        serve = lambda: sock.dispatch(0)
    traffic(net4, serve, 5000)
    gc.collect()
    objects, before = len(gc.get_objects()), pages()
    traffic(net4, serve, count)
    gc.collect()
    assert len(gc.get_objects()) <= objects + 50
    assert pages() <= before + 512
    if kind in ("netfilterqueue", "kept"):
        legacy.unbind()
