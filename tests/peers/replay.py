#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""replay.py MNFQ: random packets through captures that mnfq writes, without a kernel. What mnfq replay decides and writes
agrees with what tcpdump, capinfos and tshark find in them."""
import os
import random
import re
import subprocess
import sys
import tempfile

from filter import PACKETS, packets, wrpcap

FILTERS = ['udp', 'tcp port 80', 'ip6', 'not tcp', 'len > 100', 'icmp or icmp6', 'len > 9000']
wrong = []


def run(*command, stdin=None):
    """Standard output and error; the warning of tshark about root is none of ours."""
    done = subprocess.run(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    err = '\n'.join(line for line in done.stderr.splitlines() if 'as user "root"' not in line)
    expect(' '.join(command), done.returncode, 0)
    return done.stdout, err


def expect(what, found, wanted):
    if found != wanted:
        wrong.append(what)
        print('%s: %.200r instead of %.200r' % (what, found, wanted))


def counted(path):
    """What capinfos says: packets, and bytes before they were cut."""
    text = run('capinfos', '-Mcd', path)[0]
    return tuple(int(re.search(name + r'[^:]*: +(\d+)', text).group(1)) for name in ('Number of packets', 'Data size'))


def fields(path, *names):
    """A list of lists, as tshark has them; it finds no fault with the file itself."""
    out, err = run('tshark', '-n', '-r', path, '-T', 'fields', *[word for name in names for word in ('-e', name)])
    expect('tshark on ' + path, err, '')
    return [line.split('\t') for line in out.splitlines()]


def check_filter(mnfq, capture, directory, text, lengths):
    """The one of a filter, which drops and marks."""
    written = os.path.join(directory, 'written')
    theirs = [int(line.split('.')[0]) for line in
              run('tcpdump', '-tt', '-n', '-r', capture, text)[0].splitlines() if line[:1].isdigit()]
    err = run(mnfq, 'replay', capture, '--verdict', 'drop', '--else', 'stop', '--mark', '5', '-w', written, text)[1]
    matched, rest = len(theirs), PACKETS - len(theirs)
    wanted = '%d packets, %d bytes, %d matched, 0 accepted, %d dropped' % (PACKETS, sum(lengths), matched, matched)
    wanted += ', %d stopped' % rest if rest else ''
    wanted += ', %d marked' % matched if matched else ''
    expect('summary of ' + text, err.splitlines()[-1:], [wanted])
    rows = fields(written, 'frame.time_epoch', 'frame.packet_id', 'frame.verdict.ebpf_tc', 'frame.len', 'frame.comment')
    expect('packets of ' + text, [int(row[0].split('.')[0]) for row in rows], theirs)
    expect('ids of ' + text, {row[1] for row in rows}, {''} if theirs else set()) # the first capture has none
    expect('verdicts of ' + text, {row[2] for row in rows}, {'2'} if theirs else set()) # TC_ACT_SHOT
    expect('lengths of ' + text, [int(row[3]) for row in rows], [lengths[number] for number in theirs])
    expect('comments of ' + text, all('verdict=drop' in row[4] for row in rows), True)
    expect('capinfos of ' + text, counted(written), (matched, sum(lengths[number] for number in theirs)))


def check_cut(mnfq, capture, directory, lengths):
    """Bytes are missing, lengths are not."""
    written = os.path.join(directory, 'cut')
    run(mnfq, 'dump', '-r', capture, '-s', '40', '-w', written)
    rows = fields(written, 'frame.len', 'frame.cap_len')
    expect('true lengths', [int(row[0]) for row in rows], lengths)
    expect('captured lengths', [int(row[1]) for row in rows], [min(length, 40) for length in lengths])


def check_stdin(mnfq, capture):
    wanted = run(mnfq, 'replay', capture, 'udp')
    with open(capture, 'rb') as file:
        expect('of stdin', run(mnfq, 'replay', '-', 'udp', stdin=file), wanted)


def seconds(path):
    """The packets are a second apart."""
    return [int(row[0].split('.')[0]) for row in fields(path, 'frame.time_epoch')]


def check_files(mnfq, capture, directory):
    """Each is a capture by itself; together they have all packets, in a ring the last ones."""
    os.mkdir(directory)
    run(mnfq, 'replay', capture, '-C', '256k', '-w', os.path.join(directory, 'x'))
    names = ['x' + (str(number) if number else '') for number in range(len(os.listdir(directory)))]
    expect('names', sorted(os.listdir(directory)), sorted(names))
    expect('several files', len(names) > 5, True)
    times = [time for name in names for time in seconds(os.path.join(directory, name))]
    expect('packets of files', times, list(range(PACKETS)))
    count = len(names)
    run(mnfq, 'replay', capture, '-C', '256k', '-W', '3', '-w', os.path.join(directory, 'ring'))
    names = ['ring%d' % (number % 3) for number in range(count - 3, count)]
    expect('the ring', sorted(name for name in os.listdir(directory) if name[0] == 'r'), ['ring0', 'ring1', 'ring2'])
    last = [time for name in names for time in seconds(os.path.join(directory, name))]
    expect('packets of the ring', last, times[-len(last):])


def main():
    mnfq, rng = sys.argv[1], random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as directory:
        pcap, capture = os.path.join(directory, 'packets.pcap'), os.path.join(directory, 'capture')
        made = list(packets(rng, False))
        lengths = [len(packet) for packet in made]
        wrpcap(pcap, made, linktype=101)
        run(mnfq, 'dump', '-r', pcap, '-w', capture)
        expect('capinfos', counted(capture), (PACKETS, sum(lengths)))
        for text in FILTERS:
            check_filter(mnfq, capture, directory, text, lengths)
        check_cut(mnfq, capture, directory, lengths)
        check_stdin(mnfq, capture)
        check_files(mnfq, capture, os.path.join(directory, 'files'))
    print('%d filters on a capture of %d packets, %d wrong' % (len(FILTERS), PACKETS, len(wrong)))
    return len(wrong) > 0


sys.exit(main())
