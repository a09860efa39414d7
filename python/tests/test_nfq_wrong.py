# SPDX-License-Identifier: MIT
"""netfilterqueue: wrong arguments."""
import mnfq
import pytest
from conftest import accept
from netfilterqueue import NetfilterQueue, Packet


@pytest.fixture
def queue():
    queue = NetfilterQueue()
    yield queue
    queue.unbind()


@pytest.mark.parametrize("num", [70000, -1, 2**40])
def test_number_out_of_range(num):
    with pytest.raises(OSError, match=f"Failed to create queue {num}"):
        NetfilterQueue().bind(num, accept)


@pytest.mark.parametrize("wrong", [{"max_len": -1}, {"range": -1}, {"max_len": 2**32}])
def test_settings_out_of_range(wrong):
    with pytest.raises(OverflowError):
        NetfilterQueue().bind(1, accept, **wrong)


def test_wrong_arguments(net, queue):
    with pytest.raises(TypeError):
        NetfilterQueue().bind(1, None)
    with pytest.raises(TypeError):
        NetfilterQueue(1)
    with pytest.raises(OSError, match="Failed to set packet copy mode"):
        NetfilterQueue().bind(1, accept, mode=7)

    def wrong(packet):
        for payload in ("text", bytearray(b"x"), 7):
            with pytest.raises(TypeError):
                packet.set_payload(payload)
        with pytest.raises(ValueError):
            packet.set_payload(b"x" * 65532)
        for mark in (-1, 2**32):
            with pytest.raises(OverflowError):
                packet.set_mark(mark)
        with pytest.raises(TypeError):
            packet.set_mark("1")
        packet.accept()

    queue.bind(1, wrong)
    net.send(b"1")
    queue.run(False)
    assert net.receive() == [b"1"]


def test_packet_without_queue():
    packet = Packet()
    for verdict in (packet.accept, packet.drop, packet.repeat, packet.retain, packet.get_payload):
        with pytest.raises(RuntimeError):
            verdict()
    assert packet.id == packet.mark == packet.get_mark() == packet.get_payload_len() == 0
    assert packet.get_hw() is None and packet.get_timestamp() == 0.0
    assert "packet" in str(packet)


def test_sock_len():
    queue = NetfilterQueue()
    queue.bind(1, accept, sock_len=131072)
    queue.unbind()
    with pytest.warns(RuntimeWarning, match="rcvbuf limit is") as caught:
        queue.bind(1, accept, sock_len=2**30)
    assert caught[0].filename == __file__
    queue.unbind()


@pytest.mark.parametrize("wrong", [object(), "x", -1, 1.5, [1]])
def test_wrong_sock_len(wrong):
    queue = NetfilterQueue()
    for _ in range(2):
        with pytest.raises((TypeError, OverflowError)):
            queue.bind(1, accept, sock_len=wrong)
    queue.bind(1, accept)
    queue.unbind()


@pytest.mark.parametrize("wrong", [{"max_len": None}, {"max_len": ""}, {"range": None}, {"mode": []}, {"queue_num": 1.0}])
def test_wrong_types(wrong):
    queue = NetfilterQueue()
    with pytest.raises(TypeError):
        queue.bind(**{"queue_num": 1, "user_callback": accept, **wrong})
    assert mnfq.queues() == []
