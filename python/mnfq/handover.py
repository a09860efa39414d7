# SPDX-License-Identifier: MIT
"""Handing netlink sockets over between processes, through connected Unix sockets.

In the process inside the network namespace:

    handover.send(stream, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))

In the process outside, which decides the packets:

    received = handover.receive(stream)
    sock = mnfq.Socket.adopt(received.detach())
    received.accept()

plain=True also accepts a descriptor that socket.send_fds() sent.
"""
import os as _os

import _mnfq

KEEP = 0x1  # flags of a message, for Received.keep and Received.plain
PLAIN = 0x2

__all__ = ["KEEP", "PLAIN", "Received", "receive", "send", "wait"]


def _fd(thing):
    return thing if isinstance(thing, int) else thing.fileno()


def _ms(timeout):
    return -1 if timeout is None else max(0, int(timeout * 1000))


class Received:
    """A received socket: its descriptor, which belongs to this object until detach(), and who sent it.

    label: what the sender calls it, not trustworthy. netns_cookie: identifies its namespace. pid, uid, gid: of the
    peer, from the kernel. plain: the sender does not use this protocol, and gets no reply. keep: the sender stays
    connected while the socket may be used.
    """

    def __init__(self, stream, values):
        self._stream = stream
        self._fd, self._flags, self.label, self.netns_cookie, self.pid, self.uid, self.gid = values
        self.plain = bool(self._flags & PLAIN)
        self.keep = bool(self._flags & KEEP)

    def fileno(self):
        """The descriptor."""
        if self._fd < 0:
            raise ValueError("the descriptor was detached")
        return self._fd

    def detach(self):
        """The descriptor, which belongs to the caller now."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def accept(self):
        """Tell the sender that the socket is in use."""
        _mnfq._handover_answer(_fd(self._stream), self._flags, 0, None)

    def refuse(self, errno, message=None):
        """Tell the sender why it is not."""
        _mnfq._handover_answer(_fd(self._stream), self._flags, errno, message)

    def close(self):
        """Close the descriptor, if it was not detached. The sender gets no reply."""
        if self._fd >= 0:
            _os.close(self.detach())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __del__(self):
        self.close()


def send(stream, sock, *, label=None, keep=False, timeout=None):
    """Send a netlink socket, which the caller keeps; see wait(). sock: a socket or a descriptor."""
    _mnfq._handover_send(_fd(stream), _fd(sock), _ms(timeout), label, keep)


def wait(stream, *, timeout=None):
    """Wait for the reply to send(). OSError: the receiver refused it, with its reason."""
    _mnfq._handover_wait(_fd(stream), _ms(timeout))


def receive(stream, *, plain=False, timeout=None):
    """Receive a socket that is suitable for mnfq.Socket.adopt(): a Received."""
    return Received(stream, _mnfq._handover_receive(_fd(stream), _ms(timeout), plain))
