# SPDX-License-Identifier: MIT
"""netfilterqueue: what programs of NetfilterQueue 1.1.0 rely on."""
import errno
import gc
import os
import select
import socket
import time
import weakref

import netfilterqueue
import pytest
from conftest import accept
from netfilterqueue import COPY_META, COPY_NONE, COPY_PACKET, NetfilterQueue, Packet


def test_names():
    assert (COPY_NONE, COPY_META, COPY_PACKET) == (0, 1, 2)
    assert NetfilterQueue.COPY_NONE == 0 and NetfilterQueue.COPY_META == 1 and NetfilterQueue.COPY_PACKET == 2
    assert netfilterqueue.VERSION == (1, 1, 0) and netfilterqueue.__version__ == "1.1.0"
    assert netfilterqueue.PROTOCOLS[6] == "TCP" and netfilterqueue.PROTOCOLS[132] == "SCTP"
    assert netfilterqueue.PROTOCOLS[103] == "PIM" and netfilterqueue.PROTOCOLS[145] == "NSH"
    assert Packet.__module__ == NetfilterQueue.__module__ == "netfilterqueue"


def test_accept_and_drop(net, bound):
    def decide(packet):
        if net.data(packet.get_payload()) == b"two":
            packet.drop()
        else:
            packet.accept()

    queue = bound(decide)
    net.send(b"one", b"two", b"three")
    queue.run(block=False)
    assert net.pending() == [b"one", b"three"]


def test_attributes(net, bound):
    seen = []

    def look(packet):
        seen.append(
            (packet.id, packet.hook, packet.mark, packet.get_mark(), packet.indev, packet.physindev, packet.physoutdev)
        )
        assert packet.outdev == socket.if_nametoindex("lo")
        assert packet.hw_protocol in (0, 0x0800, 0x86DD)
        assert packet.get_hw() is None
        assert packet.get_timestamp() == 0.0
        assert packet.get_payload_len() == net.header + 5
        packet.accept()

    queue = bound(look)
    net.send(b"hello", b"again")
    queue.run(False)
    assert seen == [(1, 3, 0, 0, 0, 0, 0), (2, 3, 0, 0, 0, 0, 0)]


def test_hw_and_timestamp(net, bound):
    seen = []

    def look(packet):
        seen.append((packet.get_hw(), packet.indev, packet.get_timestamp()))
        packet.accept()

    net.flush()
    net.rule(chain="INPUT")
    queue = bound(look)
    before = time.time()
    while not seen or not seen[-1][2]:  # the kernel begins to stamp a moment after it was asked to
        assert time.time() < before + 10
        net.send(b"hello")
        queue.run(False)
    hw, indev, stamp = seen[-1]
    assert hw == bytes(6)
    assert indev == socket.if_nametoindex("lo")
    assert isinstance(stamp, float) and before - 1 < stamp < time.time() + 1


def test_str(net, bound):
    texts = []

    def look(packet):
        texts.append(str(packet))
        packet.accept()

    queue = bound(look)
    net.send(b"hello")
    queue.run(False)
    assert texts == [f"UDP packet, {net.header + 5} bytes"]


def test_set_payload(net, bound):
    def change(packet):
        data = bytearray(packet.get_payload())
        data[-5:] = b"HELLO"
        data[net.header - 2 : net.header] = b"\0\0"  # no checksum; over IPv6 the receiver refuses that
        if net.family == 6:
            data = data[:-5] + b"hello"
            data[net.header - 2 : net.header] = packet.get_payload()[net.header - 2 : net.header]
        packet.set_payload(bytes(data))
        assert packet.get_payload() == bytes(data)
        packet.accept()

    queue = bound(change)
    net.send(b"hello")
    queue.run(False)
    assert net.receive() == [b"HELLO" if net.family == 4 else b"hello"]


@pytest.mark.parametrize("mode", [COPY_PACKET, COPY_META])
def test_set_payload_of_another_length(net4, bound, mode):
    source = net4.sender.getsockname()[1]
    udp = source.to_bytes(2, "big") + (7000).to_bytes(2, "big") + (12).to_bytes(2, "big") + b"\0\0" + b"long"
    header = bytearray(bytes.fromhex("4500002000004000401100007f0000017f000001"))
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    header[10:12] = (0xFFFF - (total % 0xFFFF)).to_bytes(2, "big")

    def change(packet):
        packet.set_payload(bytes(header) + udp)
        packet.accept()

    queue = bound(change, mode=mode)
    net4.send(b"x")
    queue.run(False)
    assert net4.receive() == [b"long"]


def test_mark_and_repeat(net, bound):
    marks = []

    def count(packet):
        marks.append(packet.get_mark())
        if packet.mark < 3:
            packet.set_mark(packet.mark + 1)
            assert packet.get_mark() == packet.mark + 1
            packet.repeat()
        else:
            packet.accept()

    queue = bound(count)
    net.send(b"hello")
    while len(marks) < 4:
        queue.run(False)
    assert marks == [0, 1, 2, 3] and net.receive() == [b"hello"]


def test_meta_has_no_payload(net, bound):
    def look(packet):
        with pytest.raises(RuntimeError, match="Packet has no payload"):
            packet.get_payload()
        assert packet.get_payload_len() == 0
        packet.accept()

    queue = bound(look, mode=COPY_META)
    net.send(b"hello")
    queue.run(False)
    assert net.receive() == [b"hello"]


def test_copy_none(net, bound):
    queue = bound(accept, mode=COPY_NONE)
    net.send(b"hello")
    queue.run(False)
    assert net.pending() == []


def test_range(net, bound):
    lengths = []

    def look(packet):
        lengths.append(packet.get_payload_len())
        packet.accept()

    queue = bound(look, range=20)
    net.send(b"hello")
    queue.run(False)
    assert lengths == [20] and net.receive() == [b"hello"]


def test_large_packets_are_whole(net, bound):
    seen = []

    def look(packet):
        seen.append(net.data(packet.get_payload()))
        packet.accept()

    queue = bound(look)
    net.send(b"x" * 60000)
    queue.run(False)
    assert seen == [b"x" * 60000] and net.receive() == [b"x" * 60000]


def test_max_len(net, bound):
    queue = bound(accept, max_len=3)
    net.send(b"1", b"2", b"3", b"4")
    queue.run(False)
    assert net.pending() == [b"1", b"2", b"3"]


def test_max_len_0(net, bound):
    queue = bound(accept, max_len=0)
    net.send(b"1")
    queue.run(False)
    assert net.pending() == []


def test_kept_and_reordered(net, bound):
    kept = []

    def keep(packet):
        packet.retain()
        packet.retain()
        kept.append(packet)

    queue = bound(keep)
    net.send(b"1", b"2", b"3")
    queue.run(False)
    assert [net.data(packet.get_payload()) for packet in kept] == [b"1", b"2", b"3"]
    assert str(kept[0]) == f"UDP packet, {net.header + 1} bytes"
    assert [packet.id for packet in kept] == [1, 2, 3]
    for packet in reversed(kept):
        packet.accept()
    assert net.receive(3) == [b"3", b"2", b"1"]


def test_kept_without_retain(net, bound):
    kept = []
    queue = bound(kept.append)
    net.send(b"1", b"2")
    queue.run(False)
    with pytest.raises(RuntimeError, match="Payload data is no longer available"):
        kept[0].get_payload()
    with pytest.raises(RuntimeError, match="Payload data is no longer available"):
        kept[0].retain()
    assert str(kept[0]) == f"{net.header + 1} byte packet, contents unretained"
    assert kept[0].outdev == socket.if_nametoindex("lo") and kept[0].hook == 3
    kept[0].set_mark(7)
    kept[0].accept()
    kept[1].drop()
    assert net.receive() == [b"1"]
    with pytest.raises(RuntimeError, match="Verdict already given for this packet"):
        kept[1].accept()


def test_decided_and_kept(net, bound):
    kept = []

    def keep(packet):
        packet.accept()
        kept.append(packet)

    queue = bound(keep)
    net.send(b"1", b"2")
    queue.run(False)
    assert [packet.id for packet in kept] == [1, 2] and kept[0].hook == 3
    assert kept[0].outdev == socket.if_nametoindex("lo")
    assert "contents unretained" in str(kept[0])
    with pytest.raises(RuntimeError, match="no longer available"):
        kept[0].get_payload()


def test_second_verdict(net, bound):
    def twice(packet):
        packet.accept()
        with pytest.raises(RuntimeError, match="Verdict already given"):
            packet.drop()

    queue = bound(twice)
    net.send(b"1")
    queue.run(False)
    assert net.receive() == [b"1"]


def test_collected_undecided(net, bound):
    kept = []
    queue = bound(kept.append)
    net.send(b"1", b"2")
    queue.run(False)
    with pytest.warns(ResourceWarning, match="packet 1 of queue 1 was not decided"):
        del kept[0]
        gc.collect()
    kept[0].accept()
    assert net.receive() == [b"2"]


def test_ignored_in_callback(net, bound):
    queue = bound(lambda packet: None)
    net.send(b"1")
    with pytest.warns(ResourceWarning, match="was not decided"):
        queue.run(False)
    assert net.pending() == []
    with open("/proc/net/netfilter/nfnetlink_queue") as lines:
        assert lines.read().split()[2] == "0"


def test_exception(net, bound):
    seen = []

    def fail(packet):
        seen.append(net.data(packet.get_payload()))
        if len(seen) == 2:
            raise KeyError("on purpose")
        packet.accept()

    queue = bound(fail)
    net.send(b"1", b"2", b"3", b"4")
    with pytest.raises(KeyError, match="on purpose") as caught:
        queue.run()
    assert any("NetfilterQueue.run" in entry.name for entry in caught.traceback)
    assert seen == [b"1", b"2"] and net.receive() == [b"1"]
    assert select.select([queue.get_fd()], [], [], 5)[0]
    queue.run(False)
    assert seen == [b"1", b"2", b"3", b"4"] and net.receive(2) == [b"3", b"4"]


def test_exception_keeps_its_packet(net, bound):
    kept = []

    def fail(packet):
        kept.append(packet)
        raise ValueError

    queue = bound(fail)
    net.send(b"1")
    with pytest.raises(ValueError):
        queue.run()
    kept[0].accept()
    assert net.receive() == [b"1"]


def test_unbind_and_bind(net, bound):
    queue = bound(accept)
    with pytest.raises(RuntimeError, match="A queue is already bound"):
        queue.bind(2, accept)
    kept = []
    queue.unbind()
    queue.unbind()
    net.send(b"lost")
    queue.bind(1, kept.append)
    net.send(b"1")
    queue.run(False)
    queue.unbind()
    with pytest.raises(RuntimeError, match="Parent queue has already been unbound"):
        kept[0].accept()
    assert kept[0].id == 1
    queue.bind(1, accept)
    net.send(b"2")
    queue.run(False)
    assert net.pending() == [b"2"]


def test_unbind_in_callback(net, bound):
    seen = []

    def unbind(packet):
        seen.append(packet)
        queue.unbind()
        with pytest.raises(RuntimeError, match="Parent queue has already been unbound"):
            packet.accept()

    queue = bound(unbind)
    net.send(b"1", b"2", b"3")
    queue.run(False)
    assert len(seen) == 1 and net.pending() == []


def test_number_in_use(net, bound):
    bound(accept)
    with pytest.raises(OSError, match="Failed to create queue 1: ") as caught:
        bound(accept)
    assert caught.value.errno == errno.EBUSY


def test_run_in_callback(net, bound):
    def run(packet):
        with pytest.raises(RuntimeError, match="callback"):
            queue.run(False)
        packet.accept()

    queue = bound(run)
    net.send(b"1")
    queue.run(False)
    assert net.receive() == [b"1"]


def test_subclass_and_weak_reference(net):
    class Counting(NetfilterQueue):
        def __init__(self):
            self.count = 0

        def look(self, packet):
            self.count += 1
            packet.accept()

    queue = Counting()
    queue.bind(1, queue.look)
    net.send(b"1")
    queue.run(False)
    assert queue.count == 1
    gone = weakref.ref(queue)
    del queue
    gc.collect()
    assert gone() is None
    again = NetfilterQueue(af=socket.AF_INET6)
    again.bind(1, accept)
    again.unbind()


def test_collected_at_once():
    queue = NetfilterQueue()
    queue.bind(1, accept)
    del queue
    queue = NetfilterQueue()
    queue.bind(1, accept)
    fd = queue.get_fd()
    assert os.fstat(fd)
    queue.unbind()
    del queue
    with pytest.raises(OSError):
        os.fstat(fd)


def test_several_queues(net, bound):
    net.rule(num=2, chain="INPUT")
    seen = []

    def look(packet):
        seen.append(packet.hook)
        packet.accept()

    first, second = bound(look, num=1), bound(look, num=2)
    net.send(b"1")
    second.run(False)
    assert seen == [] and net.pending() == []
    first.run(False)
    assert seen == [3] and net.pending() == []
    second.run(False)
    assert seen == [3, 1] and net.receive() == [b"1"]
