# SPDX-License-Identifier: MIT
"""Names of any bytes, as JSON and as text: readers get back what was put in. Usage: json-lines.py PROGRAM"""

import itertools
import json
import random
import re
import subprocess
import sys

EDGES = [0x01, 0x1f, 0x22, 0x41, 0x5c, 0x7e, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
         0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xf7, 0xf8, 0xff]


def names():
    yield from (bytes(pair) for pair in itertools.product(range(1, 256), repeat=2))
    yield from (bytes(three) for three in itertools.product(EDGES, repeat=3))
    yield from (bytes(random.choice(EDGES) for _ in range(random.randint(4, 40))) for _ in range(5000))
    yield from (chr(number).encode() for number in range(1, 0x110000, 61) if not 0xd800 <= number < 0xe000)


def unescape(text):
    """What stands between double quotes in text."""
    return re.sub(rb'\\(x..|.)', lambda at: bytes.fromhex(at[1][1:].decode()) if len(at[1]) == 3 else at[1], text)


def main():
    random.seed(1)
    put = list(names())
    got = subprocess.run(sys.argv[1], input='\n'.join(name.hex() for name in put).encode(),
                         stdout=subprocess.PIPE, check=True).stdout.split(b'\n')
    assert len(got) == 2 * len(put) + 1 and got.pop() == b'', len(got)
    for name, line, text in zip(put, got[::2], got[1::2]):
        assert re.fullmatch(rb'[ -~]*', line + text), (name, line, text)
        fields = json.loads(line)
        expected = name.decode('utf-8', 'backslashreplace')
        assert fields['secctx'] == fields['label'] == expected, (name, line)
        in_text = re.search(rb' label "(QUOTED)" q0 .* secctx (?:"(QUOTED)"|([^ "\\]+)), accept$'
                            .replace(b'QUOTED', rb'(?:\\.|[^\\"])*'), text)
        assert in_text and unescape(in_text[1]) == name, (name, text)
        assert name == (in_text[3] or unescape(in_text[2])), (name, text)


main()
