#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""filter.py MNFQ: random packets of all kinds in captures; mnfq and tcpdump select the same ones, filter by filter."""
import logging
import os
import random
import subprocess
import sys
import tempfile

logging.getLogger('scapy').setLevel(logging.ERROR)  # that the packets of a file are of several protocols
from scapy.all import (ARP, Dot1Q, Ether, ICMP, ICMPv6EchoRequest, IP, IPv6, IPv6ExtHdrFragment, Raw, SCTP, TCP, UDP,
                       wrpcap)

PACKETS = 10000
FILTERS = [
    '', 'tcp', 'udp', 'icmp', 'icmp6', 'ip', 'ip6', 'sctp', 'tcp port 80', 'udp port 53', 'port 80 or port 53',
    'src port 80', 'dst port 80', 'portrange 50-90', 'host 10.0.0.1', 'src host 10.0.0.2 and tcp', 'net 10.0.0.0/30',
    'host 2001:db8::1', 'net 2001:db8::/64 and udp', 'not tcp', 'tcp and not port 80', 'len > 100', 'less 60',
    'greater 200', 'tcp[tcpflags] & tcp-syn != 0', 'tcp[tcpflags] == tcp-ack', 'tcp[13] = 2', 'udp[4:2] > 50',
    'icmp[icmptype] = icmp-echo', 'ip[8] < 64', 'ip[6:2] & 0x1fff != 0', 'ip6[6] = 44', 'ip proto 132',
    'tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420', '(tcp or udp) and (port 80 or port 443) and src net 10.0.0.0/8',
    'ip6 proto 17', 'ip multicast', 'ip broadcast',
]
OF_ETHERNET = ['arp', 'vlan', 'vlan 5', 'vlan 5 and tcp', 'ether src 02:00:00:00:00:01', 'ether broadcast',
               'ether proto 0x806', 'arp or (vlan and udp)']


def network(rng):
    if rng.random() < 0.4:
        head = IPv6(src='2001:db8::%d' % rng.randint(1, 3), dst='2001:db8:%d::2' % rng.randint(0, 1))
        return head / IPv6ExtHdrFragment(nh=17, offset=rng.choice([0, 10]), m=1) if rng.random() < 0.1 else head
    options = [b'', b'\x01\x01\x01\x01', b'\x01' * 40][rng.choice([0, 0, 1, 2])]
    from scapy.all import IPOption
    return IP(src='10.0.0.%d' % rng.randint(1, 6), dst=rng.choice(['10.0.0.2', '224.0.0.1', '255.255.255.255']),
              ttl=rng.choice([1, 64, 255]), frag=rng.choice([0, 0, 0, 100]),
              options=[IPOption(options)] if options else [])


def transport(rng, head):
    port = lambda: rng.choice([53, 80, 443, 1024, 60000])
    data = rng.choice([b'', b'GET / HTTP/1.1', bytes(rng.randrange(300))])
    kind = rng.randrange(6)
    if kind < 2:
        return TCP(sport=port(), dport=port(), flags=rng.choice(['S', 'A', 'SA', 'PA', 'R', 'F'])) / data
    if kind < 4:
        return UDP(sport=port(), dport=port()) / data
    if kind == 4:
        return (ICMPv6EchoRequest() if head.version == 6 else ICMP(type=rng.choice([0, 3, 8]))) / data
    return rng.choice([SCTP(sport=port(), dport=port()), Raw(bytes(rng.randrange(9)))]) / data


def packets(rng, ethernet):
    for number in range(PACKETS):
        head = network(rng)
        packet = head / transport(rng, head)
        if ethernet:
            link = Ether(src='02:00:00:00:00:0%d' % rng.randint(1, 2),
                         dst=rng.choice(['02:00:00:00:00:09', 'ff:ff:ff:ff:ff:ff']))
            if rng.random() < 0.2:
                link = link / Dot1Q(vlan=rng.choice([5, 6]))
            packet = link / (ARP() if rng.random() < 0.1 else packet)
        packet.time = number
        yield packet


def selected(command):
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        return 'failed: ' + run.stderr
    return [line.split()[0] for line in run.stdout.splitlines() if line[:1].isdigit()]


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rng, wrong, checked = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as directory:
        for ethernet, filters in (False, FILTERS), (True, FILTERS + OF_ETHERNET):
            path = os.path.join(directory, 'packets.pcap')
            wrpcap(path, list(packets(rng, ethernet)), linktype=1 if ethernet else 101)
            for text in filters:
                theirs = selected(['tcpdump', '-tt', '-n', '-r', path] + ([text] if text else []))
                ours = selected([sys.argv[1], 'dump', '-tt', '-r', path] + ([text] if text else []))
                if not isinstance(theirs, str):
                    theirs = [line.strip() for line in theirs]
                checked += 1
                if theirs != ours:
                    wrong += 1
                    print('%s: %r: tcpdump %s, mnfq %s' % (
                        'Ethernet' if ethernet else 'IP', text,
                        theirs if isinstance(theirs, str) else len(theirs),
                        ours if isinstance(ours, str) else len(ours)))
    print('%d filters on %d packets, %d wrong, seed %d' % (checked, PACKETS, wrong, seed))
    return wrong > 0


if __name__ == '__main__':
    sys.exit(main())
