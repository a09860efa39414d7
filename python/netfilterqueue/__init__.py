# SPDX-License-Identifier: MIT
"""NetfilterQueue 1.1.0 on libmnfq: its programs run unchanged.

    from netfilterqueue import NetfilterQueue

    def print_and_accept(packet):
        print(packet)
        packet.accept()

    queue = NetfilterQueue()
    queue.bind(1, print_and_accept)
    try:
        queue.run()
    finally:
        queue.unbind()

The module mnfq offers what this interface cannot: all metadata, checksums, connection tracking, pulling.
"""
import errno as _errno
import os as _os
import warnings as _warnings

import _mnfq
from _mnfq import NetfilterQueuePacket as Packet

from ._protocols import PROTOCOLS

__all__ = ["COPY_META", "COPY_NONE", "COPY_PACKET", "NetfilterQueue", "PROTOCOLS", "Packet", "VERSION", "__version__"]

# The version of the interface, which programs compare; that of the library is mnfq.__version__.
__version__ = "1.1.0"
VERSION = (1, 1, 0)

COPY_NONE = 0
COPY_META = 1
COPY_PACKET = 2

_COPY_MODES = {COPY_NONE: 3, COPY_META: 1, COPY_PACKET: 2}
_MAX_LEN_ZERO = 0xFFFFFFFE
_COPY_RANGE_MAX = 65531
_NO_GSO = 0x04
_LEND = 0x1
_TIMESTAMPS = 0x2
_MAX_DELAY_US = 1000  # how long a verdict may wait while a callback blocks
_COALESCE_US = 100  # how long packets may gather, where they come faster than this
_MSG_PEEK = 0x2

_mnfq._set_protocols(PROTOCOLS)


def _explain(prefix, error):
    """The same error, with what was attempted."""
    return OSError(error.errno, f"{prefix}: {error.strerror}")


def _open(sockfd):
    socket = _mnfq.Socket()
    fd = -1
    if sockfd is not None and sockfd >= 0:
        try:
            fd = _os.dup(sockfd)
        except OSError as error:
            raise _explain("dup2 failed", error) from None
    try:
        socket._open(None, fd, _TIMESTAMPS | (_LEND if fd >= 0 else 0), 0, 0, 0, _COALESCE_US, _MAX_DELAY_US, 0)
    except OSError as error:
        if fd >= 0:
            _os.close(fd)
        raise _explain("Failed to open NFQueue", error) from None
    return socket


class NetfilterQueue:
    """One numbered queue.

    sockfd: a netlink socket of another network namespace, which the caller keeps. af has no effect.
    """

    COPY_NONE = COPY_NONE
    COPY_META = COPY_META
    COPY_PACKET = COPY_PACKET

    def __new__(cls, *, af=None, sockfd=None):
        self = super().__new__(cls)
        self._queue = None
        self._socket = _open(sockfd)
        return self

    def bind(self, queue_num, user_callback, max_len=1024, mode=COPY_PACKET, range=65535, sock_len=None):
        """Bind the queue; user_callback(packet) is called from run().

        max_len: how many packets may wait. mode, range: how much of each is copied. sock_len: half the size of the
        receive buffer in bytes, by default as much as a full queue takes.
        """
        if self._queue is not None and self._queue.bound:
            raise RuntimeError("A queue is already bound: call unbind() first")
        if not callable(user_callback):
            raise TypeError(f"the callback {user_callback!r} cannot be called")
        if mode not in _COPY_MODES:
            raise OSError(_errno.EINVAL, f"Failed to set packet copy mode: there is no mode {mode!r}")
        if not 0 <= queue_num <= 65535:
            raise OSError(_errno.EINVAL, f"Failed to create queue {queue_num}: it is not 0 to 65535")
        try:
            self._queue = self._socket._bind(
                num=queue_num,
                callback=user_callback,
                max_len=_MAX_LEN_ZERO if max_len == 0 else max_len,
                copy_mode=_COPY_MODES[mode],
                copy_range=min(range, _COPY_RANGE_MAX),
                flags=_NO_GSO,
                flags_optional=_NO_GSO,
                default_verdict=0,
                legacy=1,
                owned=0,
            )
        except OSError as error:
            raise _explain(f"Failed to create queue {queue_num}", error) from None
        if sock_len is not None:
            self._set_buffer(sock_len)

    def _set_buffer(self, sock_len):
        try:
            wanted = 2 * sock_len
            self._socket.receive_buffer = min(wanted, 2**31 - 1)
            size = self._socket.receive_buffer
            if size < wanted:
                message = f"Socket rcvbuf limit is now {size}, requested {wanted}."
                _warnings.warn(message, category=RuntimeWarning, stacklevel=3)
        except BaseException:
            self.unbind()
            raise

    def unbind(self):
        """Unbind the queue. The kernel drops the packets that wait in it."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.unbind()

    def get_fd(self):
        """The descriptor, which is readable while there is something for run(False)."""
        return self._socket.fileno()

    def run(self, block=True):
        """Call the callback for packets that arrive, until it raises an exception; run(False): that are there."""
        if block:
            self._socket.run()
        else:
            self._socket._dispatch(0)

    def run_socket(self, s):
        """The same, but wait with s.recv(), which gevent and others replace. s is a copy of the descriptor."""
        while True:
            try:
                s.recv(1, _MSG_PEEK)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != _errno.ENOBUFS:
                    raise
            self._socket._dispatch(0)

    # Tracebacks name the method as the original's do.
    run.__code__ = run.__code__.replace(co_name="NetfilterQueue.run")
    run_socket.__code__ = run_socket.__code__.replace(co_name="NetfilterQueue.run_socket")
