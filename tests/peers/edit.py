# SPDX-License-Identifier: MIT
"""Edits random packets in two ways, and compares every byte: by the library, and by scapy, which
builds each packet anew with the changed contents.

Usage: edit.py PROGRAM [COUNT [SEED]]    PROGRAM is what edit.c becomes.
"""
import collections
import random
import struct
import subprocess
import sys

from scapy.config import conf

conf.verb = 0

from scapy.layers.inet import (ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_RR,
                               IPOption_SSRR, IPOption_Timestamp)
from scapy.layers.inet6 import (HAO, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                                IPv6ExtHdrSegmentRouting, PadN)
from scapy.layers.l2 import Dot1AD, Dot1Q
from scapy.layers.sctp import SCTP
from scapy.packet import Raw, raw

DEFAULT_COUNT = 10000
DEFAULT_SEED = 20240229
UDPLITE = 136


def address4(rng):
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def address6(rng):
    return "2001:db8:" + ":".join("%x" % rng.randrange(1, 65536) for _ in range(6))


def some_bytes(rng, most):
    """Often with what is special in sums: zeros and ones."""
    length = rng.choice([0, 1, rng.randrange(most), rng.randrange(most)])
    if rng.random() < 0.2:
        return bytes(rng.choice((0, 255)) for _ in range(length))
    return rng.randbytes(length)


def ipv4(rng):
    """Fields of an IPv4 header, and the final destination if there is a route to it."""
    options = []
    kind = rng.randrange(8)
    final = None
    if kind == 0:
        options = [IPOption_NOP()] * rng.randrange(1, 12)
    elif kind == 1:
        options = [IPOption_RR(routers=[address4(rng) for _ in range(rng.randrange(1, 9))])]
    elif kind == 2:
        routers = [address4(rng) for _ in range(rng.randrange(1, 8))]
        option = rng.choice((IPOption_LSRR, IPOption_SSRR))
        pointer = 4 * rng.randrange(1, len(routers) + 1)
        options = [IPOption_NOP(), option(routers=routers, pointer=pointer)]
        final = routers[-1]
    fields = dict(src=address4(rng), dst=address4(rng), ttl=rng.randrange(256),
                  tos=rng.randrange(256), id=rng.randrange(65536), options=options,
                  flags=rng.choice((0, 2)))
    return fields, final


def extensions(rng):
    """Extension headers in the usual order, as functions that make them."""
    found = []
    if rng.random() < 0.2:
        pad = rng.randbytes(rng.randrange(20))
        found.append(lambda: IPv6ExtHdrHopByHop(options=[PadN(optdata=pad)]))
    if rng.random() < 0.2:
        home = address6(rng)
        found.append(lambda: IPv6ExtHdrDestOpt(options=[HAO(hoa=home)]))
    kind = rng.randrange(8)
    hops = [address6(rng) for _ in range(rng.randrange(1, 5))]
    left = rng.randrange(len(hops) + 1)
    if kind == 0:
        found.append(lambda: IPv6ExtHdrRouting(type=0, segleft=left, addresses=hops))
    elif kind == 1:
        found.append(lambda: IPv6ExtHdrRouting(type=2, segleft=left and 1, addresses=hops[:1]))
    elif kind == 2:
        found.append(lambda: IPv6ExtHdrSegmentRouting(segleft=left, lastentry=len(hops) - 1,
                                                      addresses=hops))
    if rng.random() < 0.1:
        ident = rng.randrange(1 << 32)
        found.append(lambda: IPv6ExtHdrFragment(m=0, offset=0, id=ident))
    if rng.random() < 0.1:
        other = rng.randbytes(rng.randrange(20))
        found.append(lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=other), PadN()]))
    return found


def sum16(data):
    """RFC 1071, in decimal: the remainder by 65535, of the two zeros the one that is not 0."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    return total and (total - 1) % 65535 + 1


class Case:
    """A packet that can be built again with other contents."""

    def __init__(self, rng):
        self.rng = rng
        self.version = rng.choice((4, 6))
        self.kind = rng.choice(("tcp", "udp", "udp", "udplite", "icmp", "sctp"))
        self.tags = rng.choice((0, 0, 0, 1, 2))
        self.vlans = [rng.randrange(4096), rng.randrange(4096)]
        self.padding = rng.randbytes(rng.choice((0, 0, 0, rng.randrange(20))))
        self.data = some_bytes(rng, rng.choice((40, 300, 1400)))
        self.extensions = extensions(rng) if self.version == 6 else []
        if self.version == 4:
            self.ip, self.final = ipv4(rng)
        else:
            self.ip = dict(src=address6(rng), dst=address6(rng), hlim=rng.randrange(256),
                           tc=rng.randrange(256), fl=rng.randrange(1 << 20))
        self.coverage = rng.choice((0, 8, 8 + rng.randrange(len(self.data) + 1)))
        self.transport = getattr(self, "random_" + self.kind)()

    def random_tcp(self):
        rng = self.rng
        options = rng.choice(([], [("MSS", 1460)], [("NOP", None), ("NOP", None),
                                                    ("Timestamp", (rng.randrange(1 << 32), 5))]))
        return dict(sport=rng.randrange(65536), dport=rng.randrange(65536),
                    seq=rng.randrange(1 << 32), ack=rng.randrange(1 << 32),
                    window=rng.randrange(65536), flags=rng.randrange(256),
                    urgptr=rng.randrange(65536), options=options)

    def random_udp(self):
        rng = self.rng
        fields = dict(sport=rng.randrange(65536), dport=rng.randrange(65536))
        if rng.random() < 0.2:
            fields["chksum"] = 0
        return fields

    random_udplite = random_udp

    def random_icmp(self):
        rng = self.rng
        return dict(id=rng.choice((0, rng.randrange(65536))), seq=rng.choice((0, 1, 65535)))

    def random_sctp(self):
        rng = self.rng
        return dict(sport=rng.randrange(65536), dport=rng.randrange(65536),
                    tag=rng.randrange(1 << 32))

    def addresses(self):
        """The pseudo header's, for what scapy does not know."""
        import socket
        source, destination = self.ip["src"], self.ip["dst"]
        if self.version == 4:
            return (socket.inet_pton(socket.AF_INET, source) +
                    socket.inet_pton(socket.AF_INET, self.final or destination))
        for header in (make() for make in self.extensions):
            if isinstance(header, IPv6ExtHdrDestOpt) and isinstance(header.options[0], HAO):
                source = header.options[0].hoa
            elif isinstance(header, IPv6ExtHdrRouting) and header.segleft:
                destination = header.addresses[-1]
            elif isinstance(header, IPv6ExtHdrSegmentRouting) and header.segleft:
                destination = header.addresses[0]
        return (socket.inet_pton(socket.AF_INET6, source) +
                socket.inet_pton(socket.AF_INET6, destination))

    def build_udplite(self):
        length = 8 + len(self.data)
        header = struct.pack("!HHHH", self.transport["sport"], self.transport["dport"],
                             self.coverage, 0)
        pseudo = self.addresses() + struct.pack("!IHH", length, 0, UDPLITE)
        covered = (header + self.data)[:self.coverage or length]
        check = 65535 - sum16(pseudo + covered) or 65535
        return Raw(header[:6] + struct.pack("!H", check) + self.data)

    def build_transport(self):
        if self.kind == "udplite":
            return self.build_udplite()
        if self.kind == "icmp" and self.version == 6:
            layer = ICMPv6EchoRequest if self.transport["seq"] else ICMPv6EchoReply
            return layer(data=self.data, **self.transport)
        layer = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "sctp": SCTP}[self.kind]
        if self.kind == "icmp":
            return layer(type=8 if self.transport["seq"] else 0, **self.transport) / \
                Raw(self.data)
        return layer(**self.transport) / Raw(self.data)

    def build(self):
        """The bytes, and where the IP header, the transport header and the data begin."""
        transport = self.build_transport()
        protocol = {"tcp": 6, "udp": 17, "udplite": UDPLITE, "sctp": 132,
                    "icmp": 1 if self.version == 4 else 58}[self.kind]
        packet = IP(proto=protocol, **self.ip) if self.version == 4 else IPv6(**self.ip)
        headers = [make() for make in self.extensions]
        for header in headers:
            packet = packet / header
        if self.version == 6:
            packet.lastlayer().nh = protocol
        packet = packet / transport
        ethertype = 0x0800 if self.version == 4 else 0x86dd
        tags = b""
        if self.tags == 2:
            tags = raw(Dot1AD(vlan=self.vlans[0], type=0x8100))
        if self.tags > 0:
            tags += raw(Dot1Q(vlan=self.vlans[1], type=ethertype))
        ethertype = (ethertype, 0x8100, 0x88a8)[self.tags]
        whole = tags + raw(packet)
        data = len(whole) - len(self.data)
        header = {"udp": 8, "udplite": 8, "icmp": 8, "sctp": 12}.get(self.kind)
        if header is None:
            header = len(raw(TCP(**self.transport)))
        return ethertype, whole + self.padding, len(tags), data - header, data

    # Each edit changes the case, and returns offset, bytes removed and bytes inserted.

    def edit_data(self, network, transport, data):
        rng = self.rng
        at = rng.randrange(len(self.data) + 1)
        remove = rng.randrange(len(self.data) - at + 1)
        new = some_bytes(rng, 200)
        if rng.random() < 0.5:
            new = rng.randbytes(remove)
        old = len(self.data)
        self.data = self.data[:at] + new + self.data[at + remove:]
        self.move_coverage(8 + at, remove, len(new), 8 + old)
        return data + at, remove, new

    def move_coverage(self, at, remove, insert, length):
        """The rule of the library's documentation, for UDP-Lite."""
        coverage = self.coverage
        if coverage == 0 or remove == insert:
            return
        if at < coverage:
            self.coverage += insert - min(remove, coverage - at)
        elif at == coverage and coverage == length:
            self.coverage += insert

    def edit_field(self, network, transport, data):
        rng = self.rng
        at, name, size = rng.choice({
            "tcp": ((0, "sport", 2), (2, "dport", 2), (4, "seq", 4), (8, "ack", 4),
                    (14, "window", 2), (18, "urgptr", 2), (13, "flags", 1)),
            "udp": ((0, "sport", 2), (2, "dport", 2)),
            "udplite": ((0, "sport", 2), (2, "dport", 2)),
            "icmp": ((4, "id", 2),),
            "sctp": ((0, "sport", 2), (2, "dport", 2), (4, "tag", 4)),
        }[self.kind])
        new = rng.randbytes(size)
        self.transport[name] = int.from_bytes(new, "big")
        return transport + at, size, new

    def edit_address(self, network, transport, data):
        import socket
        name = self.rng.choice(("src", "dst"))
        if self.version == 4:
            self.ip[name] = address4(self.rng)
            new = socket.inet_pton(socket.AF_INET, self.ip[name])
            return network + (12 if name == "src" else 16), 4, new
        self.ip[name] = address6(self.rng)
        new = socket.inet_pton(socket.AF_INET6, self.ip[name])
        return network + (8 if name == "src" else 24), 16, new

    def edit_header(self, network, transport, data):
        value = self.rng.randrange(256)
        if self.version == 6:
            self.ip["hlim"] = value
            return network + 7, 1, bytes([value])
        name, at = self.rng.choice((("ttl", 8), ("tos", 1)))
        self.ip[name] = value
        return network + at, 1, bytes([value])

    def edit(self, *offsets):
        """Data most of the time."""
        kind = self.rng.choice(("data", "data", "data", "field", "address", "header"))
        return kind, getattr(self, "edit_" + kind)(*offsets)


def run(program, cases):
    asked = b"".join(struct.pack("!HIIII", ethertype, len(old), at, remove, len(new)) + old + new
                     for ethertype, old, at, remove, new in cases)
    answer = subprocess.run([program], input=asked, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in cases:
        result, length = struct.unpack_from("!iI", answer, at)
        yield result, answer[at + 8:at + 8 + length]
        at += 8 + length


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_COUNT
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else DEFAULT_SEED
    print("%d packets, seed %d" % (count, seed), flush=True)
    rng = random.Random(seed)
    asked, expected, kinds = [], [], collections.Counter()
    for _ in range(count):
        case = Case(rng)
        ethertype, old, *offsets = case.build()
        kind, (at, remove, new) = case.edit(*offsets)
        asked.append((ethertype, old, at, remove, new))
        expected.append(case.build()[1])
        kinds["%s%d %s" % (case.kind, case.version, kind)] += 1
    bad = 0
    for number, (result, found) in enumerate(run(program, asked)):
        if result == 0 and found == expected[number]:
            continue
        bad += 1
        if bad <= 5:
            ethertype, old, at, remove, new = asked[number]
            print("packet %d, EtherType %04x: at %d, %d bytes replaced by %s: result %d" %
                  (number, ethertype, at, remove, new.hex() or "nothing", result))
            print("  before   %s\n  scapy    %s\n  library  %s" %
                  (old.hex(), expected[number].hex(), found.hex()))
    for kind in sorted(kinds):
        print("%6d %s" % (kinds[kind], kind))
    print("%d of %d differ" % (bad, count))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
