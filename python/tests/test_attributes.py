# SPDX-License-Identifier: MIT
"""mnfq.Packet: what only some kernels, modules or bridges give. A preloaded library adds it to real packets."""
import ast
import os
import shutil
import struct
import subprocess
import sys

import pytest
from conftest import require

# NFQA_* and CTA_*
CT, CT_INFO, SECCTX, VLAN, L2HDR = 11, 12, 18, 19, 20
NESTED = 0x8000

HEADER = bytes.fromhex("020000000001 020000000002 0800")


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def be32(number):
    return struct.pack("!I", number)


def flow(source, destination, sport, dport):
    return attribute(1 | NESTED, attribute(1, source) + attribute(2, destination)) + attribute(
        2 | NESTED, attribute(1, b"\x11") + attribute(2, struct.pack("!H", sport)) + attribute(3, struct.pack("!H", dport))
    )


A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])

CONNECTION = (
    attribute(1 | NESTED, flow(A, B, 1000, 7000))
    + attribute(2 | NESTED, flow(B, A, 7000, 1000))
    + attribute(3, be32(0x18E))
    + attribute(8, be32(77))
    + attribute(12, be32(4711))
    + attribute(18, struct.pack("!H", 5))
    + attribute(22, bytes(range(16)))
)

PROGRAM = """
import mnfq, sys

def decide(packet):
    seen.append((%s))
    %s
    return mnfq.Verdict.ACCEPT

seen = []
with mnfq.Socket.open() as sock:
    queue = sock.bind(1, decide)
    print("bound", flush=True)
    sys.stdin.readline()
    sock.dispatch(10)
    assert queue.stats["accepted"] == 1, queue.stats
print(seen)
"""


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    require(shutil.which("cc"), "needs a C compiler")
    library = tmp_path_factory.mktemp("preload") / "attributes.so"
    source = os.path.join(os.path.dirname(__file__), "attributes.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


def start(preload, attributes, code, family="2"):
    env = {**os.environ, "MNFQ_TEST_ATTRIBUTES": attributes.hex(), "MNFQ_TEST_FAMILY": family}
    env["LD_PRELOAD"] = f"{env.get('LD_PRELOAD', '')} {preload}"
    program = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout.readline() == "bound\n"
    return program


@pytest.fixture
def look(net4, preload):
    """look(attributes, expression, statement, family) returns what the program reads of one packet."""

    def look(attributes, expression, statement="pass", family="2"):
        program = start(preload, attributes, PROGRAM % (expression, statement), family)
        net4.send(b"hello")
        [seen] = ast.literal_eval(program.communicate("\n", timeout=20)[0])
        assert program.returncode == 0 and net4.receive() == [b"hello"]
        return seen

    return look


def test_l2hdr_and_vlan(look):
    tag = attribute(VLAN | NESTED, attribute(1, struct.pack("!H", 0x8100)) + attribute(2, struct.pack("!H", 0x2005)))
    seen = look(tag + attribute(L2HDR, HEADER), "packet.family, packet.vlan, packet.l2hdr", family="7")
    assert seen == (7, (0x2005, 0x8100), HEADER)


def test_l2hdr_and_vlan_are_changed(look):
    tag = attribute(VLAN | NESTED, attribute(1, struct.pack("!H", 0x8100)) + attribute(2, struct.pack("!H", 0x2005)))
    change = "packet.vlan = 7, 0x88a8; packet.l2hdr = bytes(packet.l2hdr); packet.retain(); seen[0] += packet.vlan,"
    assert look(tag + attribute(L2HDR, HEADER), "1,", change, family="7") == (1, (0x2005, 0x8100))


def test_secctx(look):
    assert look(attribute(SECCTX, b"system_u:object_r:x"), "packet.secctx, 1") == (b"system_u:object_r:x", 1)


def test_conntrack(look):
    attributes = attribute(CT | NESTED, CONNECTION) + attribute(CT_INFO, be32(2))
    seen = look(attributes, "packet.ct", "packet.set_ct_mark(5, 0xff); packet.set_ct_labels(bytes(16), bytes(16))")
    raw, original, reply = seen.pop("raw"), seen.pop("original"), seen.pop("reply")
    assert raw == CONNECTION
    assert seen == {
        "info": 2,
        "state": "new",
        "direction": "original",
        "mark": 77,
        "id": 4711,
        "status": 0x18E,
        "zone": 5,
        "labels": bytes(range(16)),
    }
    for tuple, source, destination, sport, dport in ((original, A, B, 1000, 7000), (reply, B, A, 7000, 1000)):
        assert (tuple["src"], tuple["dst"], tuple["sport"], tuple["dport"]) == (source, destination, sport, dport)
        assert tuple["family"] == 2 and tuple["protocol"] == 17 and tuple["zone"] in (0, 5)


def test_finalizer_that_closes_while_it_is_read(net4, preload):
    """Where dicts are made, garbage is collected."""
    program = """
import gc, mnfq, sys

class Garbage:
    def __init__(self):
        self.me = self
    def __del__(self):
        sock.close()

def decide(packet):
    gc.collect()
    Garbage()
    gc.set_threshold(1)
    ct = packet.ct
    gc.set_threshold(700)
    seen.append((sock.closed, ct["original"]["dport"], ct["raw"]))
    return mnfq.Verdict.ACCEPT

seen = []
sock = mnfq.Socket.open()
sock.bind(1, decide)
print("bound", flush=True)
sys.stdin.readline()
try:
    sock.dispatch(10)
except RuntimeError:
    print(seen)
"""
    attributes = attribute(CT | NESTED, CONNECTION) + attribute(CT_INFO, be32(2))
    child = start(preload, attributes, program)
    net4.send(b"hello")
    assert ast.literal_eval(child.communicate("\n", timeout=20)[0]) == [(True, 7000, CONNECTION)]
    assert child.returncode == 0
