# SPDX-License-Identifier: MIT
"""The kernel's list of queues."""
import typing

import _mnfq

from ._constants import Copy


class KernelQueue(typing.NamedTuple):
    """A queue of a network namespace, as the kernel lists it, whoever owns it."""

    num: int
    portid: int  #: the owner: the portid of its netlink socket
    waiting: int  #: packets without a verdict
    copy_mode: Copy  #: 0: one that this version does not know
    copy_range: int
    queue_dropped: int  #: packets dropped because the queue was full
    user_dropped: int  #: packets dropped because the receive buffer was full
    last_id: int  #: id of the last packet


def _make(num, portid, waiting, copy_mode, *rest):
    return KernelQueue(num, portid, waiting, Copy(copy_mode) if copy_mode else copy_mode, *rest)


def queues(pid=None):
    """The queues of a network namespace, a list of KernelQueue: the caller's, or that of a process.

    Only root of the namespace may read them.
    """
    with open(f"/proc/{'thread-self' if pid is None else int(pid)}/net/netfilter/nfnetlink_queue") as file:
        return [_make(*fields) for fields in _mnfq._kernel_queues(file.fileno())]
