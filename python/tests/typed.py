# SPDX-License-Identifier: MIT
"""Uses each name of both modules as its type allows, and some as they do not: mypy says so, or "type: ignore" would
be unused. It is not run.
"""
import socket as sockets
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import mnfq
import netfilterqueue
from mnfq import handover

# ---- netfilterqueue ----


def look(packet: netfilterqueue.Packet) -> None:
    numbers: List[int] = [
        packet.id,
        packet.hw_protocol,
        packet.hook,
        packet.mark,
        packet.indev,
        packet.outdev,
        packet.physindev,
        packet.physoutdev,
        packet.get_mark(),
        packet.get_payload_len(),
    ]
    hw: Optional[bytes] = packet.get_hw()
    stamp: float = packet.get_timestamp()
    payload: bytes = packet.get_payload()
    packet.retain()
    packet.set_mark(sum(numbers) + int(stamp))
    packet.set_payload(payload + (hw or b""))
    packet.set_payload(None)
    packet.accept()
    packet.drop()
    packet.repeat()


class Counting(netfilterqueue.NetfilterQueue):
    def __init__(self) -> None:
        self.count = 0


def legacy() -> None:
    name: str = netfilterqueue.PROTOCOLS[6] + netfilterqueue.__version__
    version: Tuple[int, int, int] = netfilterqueue.VERSION
    queue = netfilterqueue.NetfilterQueue(af=sockets.AF_INET6, sockfd=3)
    queue.bind(1, look)
    queue.bind(1, look, 1024, netfilterqueue.COPY_META, 65535, 131072)
    queue.bind(queue_num=1, user_callback=look, max_len=9, mode=queue.COPY_PACKET, range=20, sock_len=None)
    modes = (netfilterqueue.COPY_NONE, netfilterqueue.COPY_PACKET, queue.COPY_NONE, Counting.COPY_META)
    queue.run()
    queue.run(block=False)
    with sockets.fromfd(queue.get_fd(), sockets.AF_NETLINK, sockets.SOCK_RAW) as s:
        queue.run_socket(s)
    queue.unbind()
    print(name, version, modes, Counting().count)


# ---- mnfq ----


def decide(packet: mnfq.Packet) -> mnfq.Verdict:
    numbers: List[int] = [
        packet.id,
        packet.queue_num,
        packet.family,
        packet.hook,
        packet.hw_protocol,
        packet.ethertype,
        packet.mark,
        packet.priority,
        packet.indev,
        packet.outdev,
        packet.physindev,
        packet.physoutdev,
        packet.skb_info & (mnfq.SKB_CSUMNOTREADY | mnfq.SKB_GSO | mnfq.SKB_CSUM_NOTVERIFIED),
        packet.cgroup_classid,
    ]
    maybe: List[Optional[int]] = [packet.mtu, packet.uid, packet.gid, packet.length]
    names: List[Optional[str]] = [
        packet.hook_name,
        packet.indev_name,
        packet.outdev_name,
        packet.physindev_name,
        packet.physoutdev_name,
    ]
    data: List[Optional[bytes]] = [packet.hwaddr, packet.secctx, packet.l2hdr]
    vlan: Optional[Tuple[int, int]] = packet.vlan
    stamp: Optional[float] = packet.timestamp
    flags: List[bool] = [packet.truncated, packet.decided]
    payload: memoryview = packet.payload
    tables: List[Optional[Dict[str, Any]]] = [packet.ct, packet.tuple, packet.layers()]
    correct: Optional[bool] = packet.verify()
    print(numbers, maybe, names, data, stamp, flags, tables, correct, packet.queue.num, packet.scapy())
    change(packet, bytes(payload), vlan)
    packet.retain().decide(mnfq.Verdict.ACCEPT)
    return mnfq.Verdict.DEFER


def change(packet: mnfq.Packet, payload: bytes, vlan: Optional[Tuple[int, int]]) -> None:
    packet.mark = 1
    packet.priority = 2
    packet.vlan = vlan or (1, 0x8100)
    packet.l2hdr = bytes(14)
    packet.payload = payload
    packet.payload = bytearray(payload)
    packet.payload = memoryview(payload)
    packet.edit(0, 1, b"x")
    packet.repair()
    packet.allow(mnfq.ALLOW_CUT | mnfq.ALLOW_TCP_RESIZE)
    packet.set_ct_mark(1)
    packet.set_ct_mark(1, 0xFF)
    packet.set_ct_labels(bytes(16), None)
    packet.reset()


def manage(queue: mnfq.Queue) -> None:
    counters: Dict[str, int] = {**queue.stats, **queue.kernel_stats}
    settings: Dict[str, Any] = queue.settings
    queue.configure(copy_mode=mnfq.Copy.META, fail_open=True)
    count: int = queue.decide([1, 2], mnfq.Verdict.DROP) + queue.decide((3,), mnfq.to_queue(5))
    print(counters, settings, count, queue.num, queue.bound, queue.socket.closed)
    for packet in queue:
        packet.decide(mnfq.to_queue_bypass(5))
    next(queue).decide(mnfq.Verdict.STOP)
    queue.unbind()


async def pull(queue: mnfq.Queue) -> None:
    async for packet in queue:
        packet.decide(mnfq.Verdict.REPEAT)


def use() -> None:
    namespaces: List[Union[None, str, bytes, int, Path]] = [None, "blue", b"blue", 1, Path("/run/netns/blue")]
    for netns in namespaces:
        mnfq.Socket.open(netns=netns).close()
    with open("/proc/1/ns/net") as file, mnfq.Socket.open(
        netns=file, receive_buffer=1, timeout=0.5, busy_poll_us=1, coalesce_us=1, max_delay_us=1, timestamps=True
    ) as sock:
        number: int = sock.portid + sock.netns_inode + sock.fileno() + sock.dispatch() + sock.dispatch(0.5)
        name: Optional[str] = sock.ifname(1)
        sock.receive_buffer = sock.receive_buffer // 2
        counters: Dict[str, int] = {**sock.stats, **sock.kernel_stats}
        print(number, name, counters, sock.netns_name)
        sock.bind(1, decide, copy_mode=mnfq.Copy.PACKET, copy_range=mnfq.COPY_RANGE_MAX, max_len=mnfq.MAX_LEN_DEFAULT)
        sock.bind(2, lambda packet: mnfq.Verdict.DROP, fail_open="optional", conntrack=True, gso=False)
        manage(sock.bind(3, uid_gid=True, secctx="optional", default_verdict=mnfq.to_queue(4)))
        sock.run()
        sock.stop()
        sock.flush()
        mnfq.Socket.adopt(
            sock.detach(),
            lend=True,
            receive_buffer=1,
            timeout=1,
            busy_poll_us=1,
            coalesce_us=1,
            max_delay_us=1,
            timestamps=True,
        ).close()


def hand_over(stream: sockets.socket, netlink: sockets.socket) -> None:
    handover.send(stream, netlink, label="web", keep=True, timeout=1)
    mnfq.handover.wait(stream.fileno(), timeout=None)
    received: handover.Received
    with handover.receive(stream, plain=True, timeout=0.5) as received:
        print(received.label, received.netns_cookie, received.pid, received.uid, received.gid, received.plain)
        assert received.keep and handover.KEEP != handover.PLAIN
        received.refuse(16, "not today")
        received.accept()
        mnfq.Socket.adopt(received.fileno())
        received.detach()


def look_at_queues() -> List[mnfq.KernelQueue]:
    for queue in mnfq.queues(1):
        numbers: List[int] = [queue.num, queue.portid, queue.waiting, queue.copy_range, queue.last_id]
        lost: bool = mnfq.UNKNOWN in (queue.queue_dropped, queue.user_dropped)
        print(numbers, lost, queue.copy_mode is mnfq.Copy.NONE, mnfq.__version__)
    return mnfq.queues()


def forgets(packet: mnfq.Packet) -> None:
    packet.id = 1  # type: ignore[misc]
    packet.payload = "text"  # type: ignore[assignment]
    print(packet.payload + b"")  # type: ignore[operator]


def wrong(sock: mnfq.Socket) -> None:
    sock.bind(1, forgets)  # type: ignore[arg-type]
    sock.bind(1, decide, 1024)  # type: ignore[misc]
    netfilterqueue.NetfilterQueue(sockets.AF_INET)  # type: ignore[misc]
    netfilterqueue.NetfilterQueue().bind(1, decide)  # type: ignore[arg-type]
