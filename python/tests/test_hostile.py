# SPDX-License-Identifier: MIT
"""Code that runs where nobody expects it: in finalizers, iterators, warnings, signal handlers."""
import gc
import os
import signal
import warnings

import mnfq
import pytest
from conftest import Stop
from mnfq import Verdict


class Rude:
    """A sequence, an iterable and an object with bytes that does something when it is read."""

    def __init__(self, act, value=b"hello"):
        self.act, self.value = act, value

    def __iter__(self):
        self.act()
        return iter(self.value)

    def __bytes__(self):
        self.act()
        return bytes(self.value)


@pytest.mark.parametrize("what", ["close", "unbind", "decide"])
@pytest.mark.parametrize("attribute", ["payload", "l2hdr"])
def test_bytes_that_act(net, sock, what, attribute):
    acts = {
        "close": sock.close,
        "unbind": lambda: queue.unbind(),
        "decide": lambda: current.decide(Verdict.ACCEPT),
    }
    current = None

    def set(packet):
        nonlocal current
        current = packet
        with pytest.raises((RuntimeError, ValueError, OSError)):
            setattr(packet, attribute, Rude(acts[what]))
        raise Stop

    queue = sock.bind(1, set)
    net.send(b"hello")
    with pytest.raises(Stop):
        sock.run()


@pytest.mark.parametrize("what", ["close", "unbind"])
def test_ids_that_act(net, sock, what):
    queue = sock.bind(1, lambda packet: Verdict.DEFER)
    net.send(b"1")
    sock.dispatch(0)
    with pytest.raises(ValueError):
        queue.decide(Rude(sock.close if what == "close" else queue.unbind, [1]), Verdict.ACCEPT)


def test_ids_whose_repr_acts(net, sock):
    class Number(int):
        def __repr__(self):
            sock.close()
            return "no number"

    queue = sock.bind(1, lambda packet: Verdict.DEFER)
    net.send(b"1")
    sock.dispatch(0)
    with pytest.raises(OverflowError):
        queue.decide([Number(-1)], Verdict.ACCEPT)


def test_value_whose_repr_acts(net, sock):
    class Number(int):
        def __repr__(self):
            sock.close()
            return "no number"

    def set(packet):
        with pytest.raises(OverflowError):
            packet.mark = Number(-1)
        with pytest.raises(ValueError):
            packet.decide(Number(99))
        return Verdict.ACCEPT

    sock.bind(1, set)
    net.send(b"1")
    with pytest.raises(RuntimeError):
        sock.run()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", ["close", "unbind", "run"])
@pytest.mark.parametrize("error", [False, True])
def test_warning_that_acts(net, sock, what, error):
    """A packet is ignored; what shows the warning closes the socket."""
    acted = []

    def act(*args, **kwargs):
        acted.append(what)
        if what == "close":
            sock.close()
        elif what == "unbind":
            queue.unbind()
        else:
            with pytest.raises(RuntimeError):
                sock.dispatch(0)
        if error:
            raise Stop

    queue = sock.bind(1)
    net.send(*(b"%d" % i for i in range(5)))
    next(queue), next(queue)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = act
        try:
            for _ in range(5):
                sock.dispatch(0)
        except (Stop, ValueError, RuntimeError):
            pass
    assert acted
    sock.close()
    assert mnfq.queues() == []


@pytest.mark.parametrize("what", ["close", "unbind", "stop"])
def test_signal_that_acts(net, sock, what):
    """In a callback, so that the handler runs between packets."""

    def handle(number, frame):
        {"close": sock.close, "unbind": queue.unbind, "stop": sock.stop}[what]()

    def decide(packet):
        os.kill(os.getpid(), signal.SIGUSR1)
        return Verdict.ACCEPT

    before = signal.signal(signal.SIGUSR1, handle)
    queue = sock.bind(1, decide)
    try:
        net.send(*(b"%d" % i for i in range(5)))
        if what == "unbind":
            sock.dispatch(10)
        elif what == "stop":
            sock.run()
        else:
            with pytest.raises((RuntimeError, ValueError)):
                sock.run()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_signal_that_closes_between_batches(net, sock):
    """The handler runs where the verdicts of a batch are sent."""

    def handle(number, frame):
        if seen:
            sock.close()

    seen = []
    sock.bind(1, lambda packet: (seen.append(packet.id), Verdict.ACCEPT)[1])
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        with pytest.raises((RuntimeError, ValueError)):
            while True:
                net.send(b"1")
                sock.dispatch(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sock.closed


@pytest.mark.parametrize("name", ["ct", "tuple", "payload", "vlan", "secctx", "layers", "id", "queue", "hwaddr"])
def test_finalizer_that_closes(net, sock, name):
    """The garbage collector may run wherever an object is made."""

    class Garbage:
        def __init__(self):
            self.me = self

        def __del__(self):
            sock.close()

    def read(packet):
        gc.collect()
        for i in range(5):
            Garbage()
            gc.set_threshold(1)
            for _ in range(3):
                try:
                    value = getattr(packet, name)
                    value() if callable(value) else bytes(value) if isinstance(value, memoryview) else repr(value)
                except (ValueError, RuntimeError):
                    pass
            gc.set_threshold(*threshold)
        return Verdict.ACCEPT

    threshold = gc.get_threshold()
    sock.bind(1, read)
    net.send(b"1", b"2")
    try:
        with pytest.raises(RuntimeError):
            sock.run()
    finally:
        gc.set_threshold(*threshold)
    assert sock.closed


def test_views_of_a_closed_socket(net, sock):
    views = []

    def look(packet):
        views.append(packet.payload[:])
        if len(views) == 3:
            sock.close()
            bytes(views[-1])
        return Verdict.ACCEPT

    sock.bind(2)
    sock.bind(1, look)
    for _ in range(3):
        net.send(b"hello")
        try:
            sock.dispatch(10)
        except RuntimeError:
            pass
    gc.collect()
    assert [net.data(view) for view in views] == [b"hello"] * 3


def test_objects_that_programs_make(sock):
    """Their types are public, and so callable."""
    for make in (mnfq.Packet, mnfq.Socket):
        thing = make()
        assert repr(thing)
        for name in dir(thing):
            if name.startswith("__"):
                continue
            try:
                value = getattr(thing, name)
                if callable(value) and name not in ("open", "adopt", "_open"):
                    for args in ((), (0,), ([1], Verdict.DROP), (0, 0, b""), (b"\0" * 16,)):
                        try:
                            value(*args)
                        except (TypeError, ValueError, RuntimeError, OSError, OverflowError):
                            pass
            except (ValueError, RuntimeError):
                pass
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            next(thing)
        del thing


def test_queues_are_made_by_bind():
    with pytest.raises(TypeError, match="bind"):
        mnfq.Queue()


def test_callback_without_arguments(net, bound):
    queue = bound(lambda: None)
    net.send(b"1", b"2")
    for _ in range(2):
        with pytest.warns(ResourceWarning), pytest.raises(TypeError):
            queue.run(False)
    [kernel] = mnfq.queues()
    assert kernel.waiting == 0 and net.pending() == []
