# SPDX-License-Identifier: MIT
"""Numbers of mnfq.h."""
import enum


class Verdict(enum.IntEnum):
    """What happens to a packet. For another queue: to_queue(num)."""

    DROP = 0
    ACCEPT = 1
    REPEAT = 4
    STOP = 5
    DEFER = 256


class Copy(enum.IntEnum):
    """How much of each packet the kernel copies."""

    META = 1
    PACKET = 2
    NONE = 3


def to_queue(num):
    """The verdict that passes a packet to queue num; it is dropped if no program is bound there."""
    if not 0 <= num <= 65535:
        raise ValueError(f"queue numbers are 0 to 65535, not {num}")
    return 3 | num << 16


def to_queue_bypass(num):
    """The verdict that passes a packet to queue num; it is accepted if no program is bound there."""
    return to_queue(num) | 0x8000


COPY_RANGE_MAX = 65531
MAX_LEN_DEFAULT = 1024
UNKNOWN = 2**64 - 1  # stands for a counter that the kernel does not report

ALLOW_CUT = 0x1
ALLOW_TCP_RESIZE = 0x2

SKB_CSUMNOTREADY = 0x1  # transport checksum not computed yet; not an error
SKB_GSO = 0x2  # will be split into several packets
SKB_CSUM_NOTVERIFIED = 0x4


class Flags:
    """MNFQ_QUEUE_*, of which NO_GSO is turned round."""

    BITS = {"fail_open": 0x01, "conntrack": 0x02, "gso": 0x04, "uid_gid": 0x08, "secctx": 0x10}

    @classmethod
    def to_bits(cls, **flags):
        """The flags that are set, and those of them that are optional."""
        bits = optional = 0
        for name, value in flags.items():
            if value not in (True, False, "optional"):
                raise TypeError(f"{name}: True, False or 'optional', not {value!r}")
            if bool(value) != (name == "gso"):
                bits |= cls.BITS[name]
            if value == "optional":
                optional |= cls.BITS[name]
        return bits, optional

    @classmethod
    def to_dict(cls, bits):
        return {name: bool(bits & bit) != (name == "gso") for name, bit in cls.BITS.items()}
