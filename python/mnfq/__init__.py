# SPDX-License-Identifier: MIT
"""Decide network packets in user space on Linux (NFQUEUE).

    import mnfq

    def decide(packet):
        if packet.truncated or b"secret" in bytes(packet.payload):
            return mnfq.Verdict.DROP
        return mnfq.Verdict.ACCEPT

    with mnfq.Socket.open() as socket:
        socket.bind(5, decide)
        socket.run()

Without a callback the packets of a queue are pulled: `for packet in queue:`, and `async for` with asyncio and trio;
`packet.decide(verdict)` decides them. Failures are OSError, of the subclass that belongs to the errno.
"""
import _mnfq

from . import handover
from ._async import readable as _readable
from ._constants import (
    ALLOW_CUT,
    ALLOW_TCP_RESIZE,
    COPY_RANGE_MAX,
    MAX_LEN_DEFAULT,
    SKB_CSUM_NOTVERIFIED,
    SKB_CSUMNOTREADY,
    SKB_GSO,
    UNKNOWN,
    Copy,
    Verdict,
)
from ._constants import Flags as _Flags
from ._constants import to_queue, to_queue_bypass
from ._kernel import KernelQueue, queues

__all__ = [
    "ALLOW_CUT",
    "ALLOW_TCP_RESIZE",
    "COPY_RANGE_MAX",
    "Copy",
    "KernelQueue",
    "MAX_LEN_DEFAULT",
    "Packet",
    "Queue",
    "SKB_CSUMNOTREADY",
    "SKB_CSUM_NOTVERIFIED",
    "SKB_GSO",
    "Socket",
    "UNKNOWN",
    "Verdict",
    "__version__",
    "handover",
    "queues",
    "to_queue",
    "to_queue_bypass",
]

__version__ = _mnfq.version

_MAX_LEN_ZERO = 0xFFFFFFFE
_TIMESTAMPS = 0x2
_LEND = 0x1
_SETTINGS = ("copy_mode", "copy_range", "max_len", "flags", "flags_optional", "default_verdict")


class Packet(_mnfq.Packet):
    __doc__ = _mnfq.Packet.__doc__
    __slots__ = ()

    def scapy(self):
        """The packet as scapy dissects it. To change it: packet.payload = bytes(edited)."""
        from scapy.layers.inet import IP
        from scapy.layers.inet6 import IPv6

        data = bytes(self.payload)
        return (IPv6 if data[:1] and data[0] >> 4 == 6 else IP)(data)

    def __repr__(self):
        try:
            return f"<mnfq.Packet {self.id} of queue {self.queue.num}>"
        except ValueError:
            return "<mnfq.Packet of no queue>"


class Queue(_mnfq.Queue):
    """A queue number bound on a socket: see Socket.bind().

    Iterate over a queue without a callback to get its packets. A packet that nobody decides, and nobody keeps,
    gets the queue's default verdict. Verdicts are sent in batches: within a millisecond, before the iteration waits,
    or by socket.flush().
    """

    __slots__ = ()

    @property
    def stats(self):
        """The library's counters of the queue, as a dict: see struct mnfq_stats in mnfq.h."""
        return self._stats()

    @property
    def kernel_stats(self):
        """The kernel's counters of the queue, as a dict: waiting, queue_dropped, user_dropped, …"""
        return self._kernel_stats()

    @property
    def settings(self):
        """The settings in effect, as a dict with the names of Socket.bind()."""
        copy_mode, copy_range, max_len, flags, _, verdict = self._settings()
        settings = {"copy_mode": Copy(copy_mode), "copy_range": copy_range}
        settings["max_len"] = 0 if max_len == _MAX_LEN_ZERO else max_len
        settings.update(_Flags.to_dict(flags))
        settings["default_verdict"] = Verdict(verdict) if verdict in list(Verdict) else verdict
        return settings

    def configure(self, **settings):
        """Change settings, by the names of Socket.bind(); the others stay."""
        new = self.settings
        unknown = set(settings) - set(new)
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        new.update(settings)
        self._configure(*_settings(**new))

    def __aiter__(self):
        return self

    async def __anext__(self):
        packet = self._next(False)
        while packet is None:
            if not self.bound:
                raise StopAsyncIteration
            await _readable(self.socket.fileno())
            packet = self._next(False)
        return packet

    def __repr__(self):
        return f"<mnfq.Queue {self.num}{'' if self.bound else ' unbound'}>"


def _settings(copy_mode, copy_range, max_len, default_verdict, **flags):
    """What _bind() and _configure() take: see _SETTINGS."""
    flags, optional = _Flags.to_bits(**flags)
    if max_len is None:
        max_len = MAX_LEN_DEFAULT
    if copy_mode != Copy.PACKET:
        copy_range = 0
    return copy_mode, copy_range or 0, max_len or _MAX_LEN_ZERO, flags, optional, default_verdict


class Socket(_mnfq.Socket):
    """A netlink socket in one network namespace: Socket.open(), Socket.adopt(). A context manager."""

    @classmethod
    def open(
        cls,
        *,
        netns=None,
        receive_buffer=0,
        timeout=2.0,
        busy_poll_us=0,
        coalesce_us=0,
        max_delay_us=1000,
        timestamps=False,
    ):
        """Open a socket, in the caller's network namespace or in another one.

        netns: a name under /run/netns, a path, a process id (int), or an object with fileno(): an open namespace file
        or pidfd. receive_buffer: in bytes, 0: 64 MiB. timeout: for replies of the kernel, in seconds. busy_poll_us:
        how long to poll before sleeping. coalesce_us: how long packets may be gathered. max_delay_us: how long a
        verdict may wait while a callback blocks, 0: until the end of its batch. timestamps: have the kernel stamp
        packets.
        """
        if isinstance(netns, bool):
            raise TypeError("netns: a name, a path, a process id or an object with fileno()")
        place = netns  # the file that somebody opened for the call has to stay until it returns
        if isinstance(netns, int):
            place = str(netns)
        elif hasattr(netns, "fileno"):
            place = netns.fileno()
        self = cls()
        flags = _TIMESTAMPS if timestamps else 0
        ms = max(1, int(timeout * 1000))
        self._open(place, -1, flags, receive_buffer, ms, busy_poll_us, coalesce_us, max_delay_us, 1)
        return self

    @classmethod
    def adopt(
        cls,
        fd,
        *,
        lend=False,
        receive_buffer=0,
        timeout=2.0,
        busy_poll_us=0,
        coalesce_us=0,
        max_delay_us=1000,
        timestamps=False,
    ):
        """Use a netlink socket that was opened elsewhere. The descriptor then belongs to the socket.

        lend: bind queues with the caller's rights alone, even if the process that opened the socket had none.
        """
        self = cls()
        flags = (_TIMESTAMPS if timestamps else 0) | (_LEND if lend else 0)
        ms = max(1, int(timeout * 1000))
        self._open(None, fd, flags, receive_buffer, ms, busy_poll_us, coalesce_us, max_delay_us, 1)
        return self

    def bind(
        self,
        num,
        callback=None,
        *,
        copy_mode=Copy.PACKET,
        copy_range=0,
        max_len=MAX_LEN_DEFAULT,
        fail_open=False,
        conntrack=False,
        gso=True,
        uid_gid=False,
        secctx=False,
        default_verdict=Verdict.DROP,
    ):
        """Bind a queue, which ends with the socket or with its unbind().

        callback(packet) returns the verdict; without one the packets are pulled from the queue. copy_range: bytes of
        each packet, 0: all. max_len: how many packets may wait. fail_open: accept packets while it is full.
        conntrack, uid_gid, secctx: include that. gso: let large packets come unsplit. default_verdict: for packets
        without another verdict. Flags may be "optional": left out if the kernel does not support them.
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"the callback {callback!r} cannot be called")
        settings = _settings(
            copy_mode,
            copy_range,
            max_len,
            default_verdict,
            fail_open=fail_open,
            conntrack=conntrack,
            gso=gso,
            uid_gid=uid_gid,
            secctx=secctx,
        )
        if not 0 <= num <= 65535:
            raise ValueError(f"queue numbers are 0 to 65535, not {num}")
        return self._bind(num=num, callback=callback, legacy=0, owned=1, **dict(zip(_SETTINGS, settings)))

    def dispatch(self, timeout=None):
        """Call the callbacks of packets, at most those of one batch; dispatch(0): of all that are there.

        timeout: how long to wait for the first one, in seconds; None: no limit. Returns how many messages the last
        batch had, 0: none came in time.
        """
        return self._dispatch(-1 if timeout is None else max(0, int(timeout * 1000)))

    @property
    def stats(self):
        """The counters of the socket and of all queues ever bound on it, as a dict."""
        return self._stats()

    @property
    def kernel_stats(self):
        """The kernel's counters, summed over the queues that are bound, as a dict."""
        return self._kernel_stats()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __repr__(self):
        return "<mnfq.Socket closed>" if self.closed else f"<mnfq.Socket fd={self.fileno()}>"


_mnfq._set_types(Queue, Packet)
