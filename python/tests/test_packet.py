# SPDX-License-Identifier: MIT
"""mnfq.Packet: what it shows and what it changes; and how long."""
import gc
import os
import socket
import time

import mnfq
import pytest
from conftest import has_module, require
from mnfq import Verdict


def look(net, sock, function, *payloads, **settings):
    """Calls function(packet) for packets with these payloads, and accepts them."""
    results = []

    def call(packet):
        results.append(function(packet))
        return Verdict.ACCEPT

    queue = sock.bind(1, call, **settings)
    net.send(*(payloads or (b"hello",)))
    sock.dispatch(0)
    queue.unbind()
    return results


def test_metadata(net, sock):
    def read(packet):
        lo = socket.if_nametoindex("lo")
        assert packet.id == 1 and packet.queue.num == packet.queue_num == 1
        assert packet.family == (2 if net.family == 4 else 10)
        assert packet.ethertype == (0x0800 if net.family == 4 else 0x86DD)
        assert packet.hw_protocol in (0, packet.ethertype)
        assert packet.hook == 3 and packet.hook_name == "output"
        assert packet.mark == 0 and packet.priority == 0 and packet.cgroup_classid == 0
        assert packet.outdev == lo and packet.outdev_name == "lo" and packet.mtu == 65536
        assert packet.indev == packet.physindev == packet.physoutdev == 0
        assert packet.indev_name is packet.physindev_name is packet.physoutdev_name is None
        assert packet.hwaddr is None and packet.timestamp is None and packet.secctx is None
        assert packet.uid == os.getuid() and packet.gid == os.getgid()
        assert packet.vlan is None and packet.l2hdr is None
        assert packet.length == net.header + 5 and not packet.truncated
        assert packet.skb_info & mnfq.SKB_CSUMNOTREADY
        assert not packet.decided and "1 of queue 1" in repr(packet)
        return True

    assert look(net, sock, read, uid_gid=True) == [True]


def test_without_options(net, sock):
    assert look(net, sock, lambda packet: (packet.uid, packet.gid, packet.ct)) == [(None, None, None)]


def test_truncated(net, sock):
    def read(packet):
        return packet.truncated, packet.length, len(packet.payload)

    assert look(net, sock, read, copy_range=30) == [(True, net.header + 5, 30)]
    assert look(net, sock, read, copy_mode=mnfq.Copy.META) == [(True, None, 0)]


def test_hwaddr_and_timestamp(net):
    net.flush()
    net.rule(chain="INPUT")
    with mnfq.Socket.open(timestamps=True) as sock:
        seen = []
        sock.bind(1, lambda packet: (seen.append((packet.hwaddr, packet.timestamp)), Verdict.ACCEPT)[1])
        until = time.time() + 10
        while not seen or not seen[-1][1]:
            assert time.time() < until
            net.send(b"hello")
            sock.dispatch(0)
    assert seen[-1][0] == bytes(6) and abs(seen[-1][1] - time.time()) < 10


def test_tuple_and_layers(net, sock):
    def read(packet):
        flow, layers = packet.tuple, packet.layers()
        address = socket.inet_pton(net.sender.family, net.address[0])
        assert flow["src"] == flow["dst"] == address and flow["protocol"] == 17
        assert flow["sport"] == net.sender.getsockname()[1] and flow["dport"] == 7000
        assert layers["data"] == net.header and layers["end"] == net.header + 5
        assert layers["transport"] == net.header - 8 and not layers["fragment"]
        return True

    assert look(net, sock, read) == [True]


def test_conntrack(net, sock):
    seen = look(net, sock, lambda packet: packet.ct, conntrack="optional")
    if seen != [None]:
        assert seen[0]["state"] == "new" and seen[0]["direction"] == "original"
        assert seen[0]["original"]["dport"] == seen[0]["reply"]["sport"] == 7000


def test_conntrack_cannot_be_set_without_it(net, sock):
    def change(packet):
        for setter in (
            lambda: packet.set_ct_mark(1),
            lambda: packet.set_ct_labels(bytes(16)),
            lambda: packet.set_ct_labels(bytes(16), None),
            lambda: packet.set_ct_labels(bytes(16), bytes(16)),
        ):
            with pytest.raises(OSError, match="conn"):
                setter()
        with pytest.raises(TypeError):
            packet.set_ct_labels(bytes(16), "text")
        with pytest.raises(ValueError):
            packet.set_ct_labels(b"short")

    look(net, sock, change)
    assert net.receive() == [b"hello"]


def test_payload_is_a_view(net, sock):
    def read(packet):
        assert isinstance(packet.payload, memoryview) and packet.payload.readonly
        assert packet.payload is packet.payload
        with pytest.raises(TypeError):
            packet.payload[0] = 1
        return packet.payload, net.data(packet.payload)

    sock.bind(2, None)
    for _ in range(2):  # the first batch after bind() may be of packets that were copied
        for view, data in look(net, sock, read, b"1", b"2", b"3"):
            with pytest.raises(ValueError):
                bytes(view)


def test_slices_outlive_the_callback(net, sock):
    """They show their packet, whatever else arrives."""
    kept = []

    def keep(packet):
        kept.append(packet.payload[net.header :])
        return Verdict.ACCEPT

    sock.bind(1, keep)
    for i in range(0, 300, 3):
        net.send(*(b"%d" % j for j in range(i, i + 3)))
        sock.dispatch(0)
    sock.close()
    assert [bytes(view) for view in kept] == [b"%d" % i for i in range(300)]


def test_kept_packets_lose_their_payload(net, sock):
    kept = []
    sock.bind(1, lambda packet: (kept.append(packet), Verdict.ACCEPT)[1])
    net.send(b"1")
    sock.dispatch(0)
    packet = kept[0]
    assert packet.id == 1 and packet.decided and packet.length == net.header + 1
    for name in ("payload", "tuple", "ct", "l2hdr", "mtu", "outdev_name", "hook_name", "secctx"):
        with pytest.raises(ValueError, match="gone"):
            getattr(packet, name)
    for method in (packet.verify, packet.layers):
        with pytest.raises(ValueError, match="gone"):
            method()
    with pytest.raises(RuntimeError, match="already"):
        packet.decide(Verdict.DROP)
    with pytest.raises(RuntimeError, match="already"):
        packet.mark = 1
    with pytest.raises(RuntimeError):
        packet.retain()


def test_retain(net, sock):
    kept = []
    queue = sock.bind(1, lambda packet: (kept.append(packet.retain()), Verdict.DEFER)[1])
    net.send(b"1", b"2", b"3")
    sock.dispatch(0)
    assert queue.stats["held"] == 3 and queue.stats["deferred"] == 3
    assert [net.data(packet.payload) for packet in kept] == [b"1", b"2", b"3"]
    kept[0].edit(net.header, 1, b"one")
    kept[2].decide(Verdict.ACCEPT)
    kept[0].decide(Verdict.ACCEPT)
    kept[1].decide(Verdict.DROP)
    assert net.receive(2) == [b"3", b"one"]
    view = kept[0].payload
    del kept[:], view
    gc.collect()


def test_retained_and_collected(net, sock):
    kept = []
    queue = sock.bind(1, lambda packet: (kept.append(packet.retain()), Verdict.DEFER)[1])
    net.send(b"1")
    sock.dispatch(0)
    with pytest.warns(ResourceWarning, match="not decided"):
        kept.clear()
        gc.collect()
    assert queue.stats["held"] == 0 and net.pending() == []


def test_deferred_by_id(net, sock):
    ids = []
    queue = sock.bind(1, lambda packet: (ids.append(packet.id), Verdict.DEFER)[1])
    net.send(b"1", b"2", b"3", b"4")
    sock.dispatch(0)
    assert queue.decide([ids[3], ids[0], 4711], Verdict.ACCEPT) == 2
    assert queue.decide((i for i in ids), Verdict.DROP) == 2
    assert net.pending() == [b"4", b"1"]
    for wrong in ([-1], [2**32]):
        with pytest.raises(OverflowError):
            queue.decide(wrong, Verdict.ACCEPT)
    for wrong in (["1"], 7):
        with pytest.raises(TypeError):
            queue.decide(wrong, Verdict.ACCEPT)
    with pytest.raises(OSError):
        queue.decide(ids, Verdict.DEFER)


def test_deferred_and_kept(net, sock):
    kept = []
    sock.bind(1, lambda packet: (kept.append(packet), Verdict.DEFER)[1])
    net.send(b"1")
    sock.dispatch(0)
    kept[0].decide(Verdict.ACCEPT)
    with pytest.raises(RuntimeError, match="already"):
        kept[0].decide(Verdict.ACCEPT)
    assert net.receive() == [b"1"]


def test_changed_packets_are_not_deferred(net, sock):
    def change(packet):
        packet.mark = 1
        return Verdict.DEFER

    sock.bind(1, change)
    net.send(b"1")
    with pytest.raises(ValueError, match="retain"):
        sock.dispatch(0)


def test_edit(net, sock):
    def edit(packet):
        packet.edit(net.header, 5, b"a longer payload")
        assert net.data(packet.payload) == b"a longer payload"
        assert packet.verify() in (True, None)

    look(net, sock, edit, gso=False)
    assert net.receive() == [b"a longer payload"]


def test_set_payload_and_repair(net, sock):
    def change(packet):
        packet.payload = bytes(packet.payload[: net.header]) + b"HELLO!"
        packet.repair()
        assert packet.verify() is True

    look(net, sock, change, gso=False)
    assert net.receive() == [b"HELLO!"]


def test_reset_and_allow(net, sock):
    def change(packet):
        packet.edit(net.header, 5, b"HELLO")
        packet.reset()
        assert net.data(packet.payload) == b"hello"
        packet.allow(mnfq.ALLOW_TCP_RESIZE)

    look(net, sock, change)
    assert net.receive() == [b"hello"]


def test_verify(net, sock):
    assert look(net, sock, lambda packet: packet.verify(), gso=False) == [True]

    def damage(packet):
        packet.payload = bytes(packet.payload)[:-1] + b"X"
        return packet.verify()

    assert look(net, sock, damage, gso=False) == [False]


def test_mark_and_priority(net, sock):
    net.rule(num=2, chain="INPUT")
    seen = []
    sock.bind(2, lambda packet: (seen.append((packet.mark, packet.priority)), Verdict.ACCEPT)[1])

    def change(packet):
        packet.mark = 7
        packet.priority = 3
        assert packet.mark == 0

    look(net, sock, change)
    while not seen:
        sock.dispatch(10)
    assert seen[0][0] == 7


def test_wrong_changes(net, sock):
    def change(packet):
        for name, value, error in (
            ("mark", -1, OverflowError),
            ("mark", "1", TypeError),
            ("priority", 2**32, OverflowError),
            ("payload", "text", TypeError),
            ("payload", bytes(65532), OSError),
            ("vlan", (1, 0x8100), OSError),
            ("vlan", 1, TypeError),
            ("l2hdr", b"x", OSError),
            ("id", 1, AttributeError),
        ):
            with pytest.raises(error):
                setattr(packet, name, value)
        with pytest.raises(AttributeError):
            del packet.mark
        with pytest.raises(ValueError):
            packet.edit(-1, 0, b"")
        with pytest.raises(OSError):
            packet.edit(10**6, 0, b"x")
        with pytest.raises((OverflowError, OSError)):
            packet.allow(2**32)
        with pytest.raises(TypeError):
            packet.decide(None)
        return True

    assert look(net, sock, change) == [True]
    assert net.receive() == [b"hello"]


def test_decide_in_callback(net, sock):
    def decide(packet):
        packet.decide(Verdict.ACCEPT)
        assert packet.decided and net.receive() == [net.data(packet.payload)]

    sock.bind(1, decide)
    net.send(b"1", b"2")
    sock.dispatch(0)


def test_packet_without_queue():
    packet = mnfq.Packet()
    with pytest.raises(RuntimeError):
        packet.decide(Verdict.ACCEPT)
    for name in ("id", "payload", "mark", "length", "queue_num"):
        with pytest.raises(ValueError):
            getattr(packet, name)
    with pytest.raises(ValueError):
        packet.mark = 1


def test_scapy(net, sock):
    require(has_module("scapy"), "needs scapy")
    seen = look(net, sock, lambda packet: packet.scapy())
    assert bytes(seen[0]["UDP"].payload) == b"hello" and seen[0].name == ("IP" if net.family == 4 else "IPv6")

