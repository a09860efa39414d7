# SPDX-License-Identifier: MIT
"""Prints built packets in two ways, and compares the lines: by mnfq dump, and by tcpdump. What differs on purpose is
listed with our line.

Usage: lines.py PROGRAM    PROGRAM is what lines.c becomes.
"""
import re
import struct
import subprocess
import sys
import tempfile

from scapy.config import conf

conf.verb = 0

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLDMultAddrRec,
                                ICMPv6MLQuery, ICMPv6MLQuery2, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA,
                                ICMPv6ND_Redirect, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig,
                                ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert)
from scapy.layers.l2 import ARP
from scapy.layers.sctp import (SCTP, SCTPChunkAbort, SCTPChunkCookieEcho, SCTPChunkData, SCTPChunkHeartbeatReq,
                               SCTPChunkInit, SCTPChunkShutdown)
from scapy.packet import raw

A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
LINK = bytes.fromhex("020000000002020000000001")
NOP = ("NOP", None)
TIMES = ("Timestamp", (7, 9))
OURS = " | q0 id 1 input, accept"


def ip(**fields):
    return IP(**{"src": A, "dst": B, "id": 4660, **fields})


def ip6(**fields):
    return IPv6(**{"src": A6, "dst": B6, **fields})


def tcp(**fields):
    return TCP(**{"sport": 40000, "dport": 4242, "seq": 1000, "window": 64240, **fields})


def udp(**fields):
    return UDP(**{"sport": 40000, "dport": 4242, **fields})


def arp(**fields):
    return ARP(**{"op": 1, "hwsrc": "02:00:00:00:00:01", "psrc": A, "pdst": B, **fields})


def sctp():
    return ip() / SCTP(sport=7, dport=9, tag=1)


def error(**fields):
    return ip() / ICMP(**fields) / IP(src=B, dst=A) / UDP(sport=5, dport=4242) / b"data"


def error6(layer):
    return ip6() / layer / IPv6(src=B6, dst=A6) / UDP(sport=5, dport=4242) / b"data"


# Compared cut at every length, too.
PLAIN = [
    ip() / tcp(flags="S"),
    ip() / tcp(flags="SA", ack=5) / b"data",
    ip6() / tcp(flags="A", ack=4000000000),
    ip() / udp() / b"hello",
    ip6() / udp() / b"hello",
    ip() / ICMP(type=8, id=3, seq=1) / (b"x" * 56),
]

FRAGMENTS6 = [
    ip6() / IPv6ExtHdrFragment(m=1, offset=0, id=9) / udp(len=200) / b"12345678",
    ip6() / IPv6ExtHdrFragment(m=0, offset=181, id=0xabcdef01, nh=17) / b"12345678",
    ip6() / IPv6ExtHdrFragment(m=1, offset=0, id=9) / tcp(flags="S") / b"12345678",
    ip6() / IPv6ExtHdrFragment(m=1, offset=0, id=9) / ICMPv6EchoRequest(id=3, seq=1, data=b"x" * 56),
    ip6() / IPv6ExtHdrFragment(m=0, offset=0, id=9) / udp() / b"12345678",
]

SAME = PLAIN + FRAGMENTS6 + [
    ip() / tcp(flags="S", options=[("MSS", 1460), ("SAckOK", b""), TIMES, NOP, ("WScale", 7)]),
    ip() / tcp(flags="SA", ack=5, options=[("MSS", 1460)]),
    ip() / tcp(flags="FA", ack=5),
    ip() / tcp(flags="R"),
    ip() / tcp(flags="RA", ack=5) / b"x",
    ip() / tcp(flags=""),
    ip() / tcp(flags="FSRPAUECN", ack=1, urgptr=77) / b"d",
    ip() / tcp(flags="PA", seq=0xffffffff, ack=5) / b"wraps",
    ip() / tcp(flags="A", ack=5, options=[NOP, NOP, ("SAck", (10, 20, 30, 0xffffffff))]),
    ip() / tcp(flags="S", options=[(34, b"")]),
    ip() / tcp(flags="S", options=[(34, b"12345678")]),
    ip() / tcp(flags="S", options=[("EOL", None)]),
    ip() / tcp(flags="S", dataofs=6) / b"\x05\x04\1\1",
    ip() / tcp(flags="S", dataofs=6) / b"\xfd\x04\1\1",
    ip() / tcp(flags="S", dataofs=4),
    ip() / tcp(flags="S", dataofs=0) / b"data",
    ip() / tcp(flags="S", dataofs=15) / b"abc",
    ip() / udp(),
    ip() / udp(len=100) / b"hello",
    ip() / udp(len=7) / b"hello",
    ip() / udp(len=10) / b"hello",
    ip6() / udp(len=0) / b"hello",
    ip(proto=17) / b"abcd",
    ip(len=24) / udp() / b"abc",
    ip(len=100) / udp() / b"abc",
    ip(options=[IPOption_RR(routers=["1.2.3.4"])]) / udp() / b"abc",
    ip(ihl=4) / udp(),
    ip(len=19) / udp(),
    ip(ihl=15) / b"abc",
    ip() / ICMP(type=0, id=3, seq=1) / (b"x" * 56),
    *(error(type=3, code=code) for code in range(17)),
    error(type=3, code=4, nexthopmtu=1400),
    *(error(type=5, code=code, gw="10.0.0.9") for code in (0, 1, 2, 3, 9)),
    *(error(type=11, code=code) for code in range(3)),
    *(error(type=12, code=code, ptr=20) for code in range(2)),
    *(error(type=kind) for kind in (4, 10, 15, 16, 42, 200)),
    ip() / ICMP(type=13, id=1, seq=2),
    ip() / ICMP(type=17),
    ip() / ICMP(type=18, addr_mask="255.255.255.0"),
    ip() / ICMP(type=3, code=3) / IP(src=B, dst=A) / TCP(dport=80),
    ip() / ICMP(type=3, code=3) / IP(src=B, dst=A, proto=132) / b"\0\7\0\x09\0\0\0\0",
    ip(proto=1),
    ip6() / ICMPv6EchoRequest(id=3, seq=1, data=b"x" * 56),
    ip6() / ICMPv6EchoReply(id=3, seq=1),
    *(error6(ICMPv6DestUnreach(code=code)) for code in range(5)),
    ip6() / ICMPv6DestUnreach(code=4) / IPv6(src=B6, dst=A6) / TCP(dport=80),
    ip6() / ICMPv6DestUnreach(code=4) / IPv6(src=B6, dst=A6, nh=59),
    *(ip6() / ICMPv6DestUnreach(code=4) / IPv6(src=B6, dst=A6) / header / UDP(dport=9)
      for header in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(options=[PadN(optdata=b"x" * 12)]),
                     IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(m=1), IPv6ExtHdrFragment(offset=3),
                     IPv6ExtHdrRouting(addresses=["2001:db8::7"]))),
    error6(ICMPv6PacketTooBig(mtu=1280)),
    *(error6(ICMPv6TimeExceeded(code=code)) for code in range(3)),
    *(error6(ICMPv6ParamProblem(code=code, ptr=6)) for code in range(4)),
    ip6() / ICMPv6ND_RS(),
    ip6() / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    ip6() / ICMPv6ND_RA(),
    ip6() / ICMPv6ND_NS(tgt="fe80::1") / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"),
    ip6() / ICMPv6ND_NA(tgt="fe80::1"),
    ip6() / ICMPv6ND_Redirect(tgt="fe80::1", dst="2001:db8::9"),
    ip6() / IPv6ExtHdrHopByHop(options=[RouterAlert()]) /
    ICMPv6MLReport2(records=[ICMPv6MLDMultAddrRec(dst="ff02::1:2")]),
    ip6() / ICMPv6MLQuery2(),
    ip6(nh=58) / bytes([100, 3, 0, 0, 0, 0, 0, 0]),
    ip6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / udp() / b"12345678",
    ip6(plen=4) / udp() / b"abc",
    ip6(nh=59),
    arp(),
    arp(op=2, hwdst="02:00:00:00:00:02"),
    arp(psrc=B),
    arp(psrc="0.0.0.0"),
    arp(hwdst="ff:ff:ff:ff:ff:ff"),
    arp() / (b"\0" * 18),
    ip(proto=253) / b"abcd",
    ip6(nh=253) / b"abcd",
    ip(proto=50) / b"\0\0\0\1\0\0\0\2abcd",
    ip6(nh=50) / b"\0\0\0\1\0\0\0\2abcd",
    ip(proto=2) / bytes([0x16, 0, 0, 0, 224, 0, 0, 5]),
    ip(proto=2) / bytes([0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 5]),
    ip(proto=2) / bytes([0x11, 0, 0, 0, 0, 0, 0, 0]),
    ip(proto=2) / bytes([0x17, 0, 0, 0, 224, 0, 0, 5]),
    sctp(),
    sctp() / SCTPChunkHeartbeatReq(),
    sctp() / SCTPChunkAbort(),
    sctp() / SCTPChunkShutdown(),
]

FROM = "IP 10.0.0.1.40000 > 10.0.0.2.4242: "
FROM6 = "IP6 2001:db8::1 > 2001:db8::2: "

OTHERS = [
    # What each segment has.
    (ip() / tcp(flags="PA", ack=5, options=[NOP, NOP, TIMES]) / b"hello",
     FROM + "Flags [P.], seq 1000:1005, ack 5, win 64240, length 5"),
    # Fragments of IPv4 are told from whole packets.
    (ip(flags="MF") / udp(len=2008) / (b"x" * 1472), FROM + "UDP, length 2000 (frag 4660:1480@0+)"),
    (ip(frag=185, proto=17) / (b"x" * 528), "IP 10.0.0.1 > 10.0.0.2: udp (frag 4660:528@1480)"),
    # There is always a length.
    (ip() / tcp(flags="S", dataofs=6) / b"\x02\x09\1\1",
     FROM + "Flags [S], seq 1000, win 64240, options [[bad opt], length 0"),
    (error6(ICMPv6DestUnreach(code=9)), FROM6 + "ICMP6, destination unreachable, unknown unreach code (9), length 60"),
    # A space that tcpdump forgot.
    (ip6() / ICMPv6MLQuery(), FROM6 + "ICMP6, multicast listener query max resp delay: 10000 addr: ::, length 24"),
    # Less of rare headers.
    (ip6() / IPv6ExtHdrRouting(addresses=["2001:db8::7"]) / udp() / b"12345678",
     FROM6 + "RT6 (len=2, type=0, segleft=1) 40000 > 4242: UDP, length 8"),
    (ip(proto=51) / bytes([17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2] + [0] * 12) / udp() / b"hello",
     "IP 10.0.0.1 > 10.0.0.2: AH(spi=0x00000001,seq=0x2): 40000 > 4242: UDP, length 5"),
    (sctp() / SCTPChunkInit(init_tag=1), "IP 10.0.0.1.7 > 10.0.0.2.9: sctp (1) [INIT]"),
    (sctp() / SCTPChunkCookieEcho() / SCTPChunkData(data=b"hell"),
     "IP 10.0.0.1.7 > 10.0.0.2.9: sctp (1) [COOKIE ECHO], (2) [DATA]"),
    (arp(op=3), "ARP, reverse request 10.0.0.1 > 10.0.0.2, length 28"),
    # Nothing of what is inside.
    (ip() / UDP(sport=40000, dport=53) / bytes(12), "IP 10.0.0.1.40000 > 10.0.0.2.53: UDP, length 12"),
    (ip(proto=4) / ip() / udp() / b"data", "IP 10.0.0.1 > 10.0.0.2: ipip 32"),
    (ip(proto=47) / b"\0\0\x08\0abcd", "IP 10.0.0.1 > 10.0.0.2: gre 8"),
    # Large packets on their way inside of this machine (BIG TCP).
    (ip(len=0) / udp() / b"abc", FROM + "UDP, length 3"),
]

failed = 0


def expect(what, ours, theirs):
    global failed
    if ours != theirs:
        failed += 1
        print(f"{what}:\n  mnfq:    {ours!r}\n  tcpdump: {theirs!r}")


def frame(packet):
    ethertype = {IP: 0x0800, IPv6: 0x86dd, ARP: 0x0806}[type(packet)]
    return LINK + struct.pack("!H", ethertype) + raw(packet)


def write(file, frames):
    """As a capture; a frame may be (its length, what was captured). The times are irregular, and go back once."""
    file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i, one in enumerate(frames):
        length, one = one if isinstance(one, tuple) else (len(one), one)
        file.write(struct.pack("<IIII", 1000000000 + i * 40 - (i == 3) * 100, i * 4321, len(one), length) + one)
    file.flush()


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True,
                          env={"TZ": "UTC", "PATH": "/usr/bin:/usr/sbin:/bin:/sbin"}).stdout


def lines(text):
    """Of headers alone, without the spaces where tcpdump has too many of them."""
    return [re.sub("  +", " ", line.strip()) for line in text.splitlines() if line[:1] != "\t"]


def both(program, path, ours, theirs):
    """Our lines, and those of tcpdump. Ours lose what tcpdump does not have."""
    lines_of_ours = run(program, path, ours).replace(OURS, "")
    return lines_of_ours, run("tcpdump", "-nnS", *theirs, "-r", path)


def pairs(ours, theirs):
    assert len(ours) == len(theirs) > 0, (ours, theirs)
    return zip(ours, theirs)


def compare_lines(program, path, what, frames):
    ours, theirs = (lines(text) for text in both(program, path, "t", ["-t"]))
    assert len(ours) == len(frames), (len(ours), len(frames))
    for one, (ours_of_it, theirs_of_it) in zip(what, pairs(ours, theirs)):
        # tcpdump names IPv6 when it says where that is missing.
        expect(one, ours_of_it, re.sub(r"missing!(?=\S)", "missing! ", theirs_of_it))


def compare_styles(program, path):
    """Bytes and times have no differences."""
    for ours, theirs in (("tx", ["-t", "-x"]), ("txx", ["-t", "-xx"]), ("tX", ["-t", "-X"]), ("tXX", ["-t", "-XX"])):
        texts = both(program, path, ours, theirs)
        for ours_of_it, theirs_of_it in pairs(*(re.findall(r"(?m)^\t.*$", text) for text in texts)):
            expect(" ".join(theirs), ours_of_it, theirs_of_it)
    for ours, theirs in (("", []), ("tt", ["-tt"]), ("ttt", ["-ttt"]), ("tttt", ["-tttt"]), ("ttttt", ["-ttttt"])):
        texts = both(program, path, ours, theirs)
        for ours_of_it, theirs_of_it in pairs(*(re.findall(r"(?m)^.*?(?=IP|ARP)", text) for text in texts)):
            expect("time " + " ".join(theirs), ours_of_it, theirs_of_it)


def compare_verbose(program, path):
    """tcpdump verifies checksums in the line; its -vv is needed for nothing here."""
    ours, theirs = both(program, path, "tv", ["-tv"])
    ours = re.sub(r" \| .*", "", ours)
    theirs = re.sub(r", cksum 0x[0-9a-f]{4} \([^)]*\)|\[udp sum ok\] ", "", theirs)
    for ours_of_it, theirs_of_it in pairs(ours.splitlines(), theirs.splitlines()):
        expect("-v", ours_of_it, theirs_of_it)


def main():
    program = sys.argv[1]
    with tempfile.NamedTemporaryFile() as file:
        frames = [frame(packet) for packet in SAME]
        write(file, frames)
        compare_lines(program, file.name, [packet.summary() for packet in SAME], frames)
    with tempfile.NamedTemporaryFile() as file:
        write(file, [frame(packet) for packet in PLAIN])
        compare_styles(program, file.name)
    with tempfile.NamedTemporaryFile() as file:
        # It leaves out the length of ICMPv6.
        write(file, [frame(packet) for packet in PLAIN + FRAGMENTS6 if ICMPv6EchoRequest not in packet])
        compare_verbose(program, file.name)
    with tempfile.NamedTemporaryFile() as file:
        frames = [(len(whole), whole[:end]) for whole in map(frame, PLAIN) for end in range(35, len(whole))
                  if whole[12] == 8 or end >= 54]
        write(file, frames)
        what = [f"{len(cut)} bytes of {length}: {cut.hex()}" for length, cut in frames]
        compare_lines(program, file.name, what, frames)
    with tempfile.NamedTemporaryFile() as file:
        write(file, [frame(packet) for packet, _ in OTHERS])
        for (packet, line), ours in pairs(OTHERS, lines(run(program, file.name, "t").replace(OURS, ""))):
            expect(packet.summary() + " (not tcpdump's but as listed here)", ours, line)
    print(f"{len(SAME)} packets with the lines of tcpdump, {len(OTHERS)} with others, {failed} differences")
    return failed != 0


sys.exit(main())
