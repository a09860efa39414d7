# SPDX-License-Identifier: MIT
"""mnfq: sockets, queues, callbacks and verdicts."""
import contextlib
import errno
import gc
import inspect
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import mnfq
import netfilterqueue
import pytest
from conftest import Stop
from mnfq import Copy, Verdict


def accept(packet):
    return Verdict.ACCEPT


def test_constants():
    assert (Verdict.DROP, Verdict.ACCEPT, Verdict.REPEAT, Verdict.STOP, Verdict.DEFER) == (0, 1, 4, 5, 256)
    assert (Copy.META, Copy.PACKET, Copy.NONE) == (1, 2, 3)
    assert mnfq.COPY_RANGE_MAX == 65531 and mnfq.MAX_LEN_DEFAULT == 1024 and mnfq.UNKNOWN == 2**64 - 1
    assert mnfq.to_queue(5) == 5 << 16 | 3 and mnfq.to_queue_bypass(5) == 5 << 16 | 0x8003
    assert (mnfq.ALLOW_CUT, mnfq.ALLOW_TCP_RESIZE) == (1, 2)
    assert (mnfq.SKB_CSUMNOTREADY, mnfq.SKB_GSO, mnfq.SKB_CSUM_NOTVERIFIED) == (1, 2, 4)
    for num in (-1, 65536):
        with pytest.raises(ValueError):
            mnfq.to_queue(num)
    version = subprocess.run([sys.executable, "-c", "import mnfq; print(mnfq.__version__)"], stdout=subprocess.PIPE)
    assert version.stdout.decode().strip() == mnfq.__version__


def test_names_have_documentation():
    """What help() shows, with the arguments of each method."""
    for module in (mnfq, mnfq.handover, netfilterqueue):
        assert module.__doc__
        for thing in (getattr(module, name) for name in module.__all__):
            assert not callable(thing) or thing.__doc__, thing
            names = dir(thing) if isinstance(thing, type) and not issubclass(thing, int) else ()
            for member in (getattr(thing, name) for name in names if not name.startswith("_")):
                assert inspect.getdoc(member), f"{thing}.{member}"
                assert not callable(member) or inspect.signature(member), member


def test_typed_program_uses_each_name():
    """So that mypy sees the type of each."""
    with open(os.path.join(os.path.dirname(__file__), "typed.py")) as program:
        text = program.read()
    for module in (mnfq, mnfq.handover, netfilterqueue):
        for name in module.__all__:
            assert name in text, f"{module.__name__}.{name}"
        for kind in (getattr(module, name) for name in module.__all__):
            for name in dir(kind) if isinstance(kind, type) else ():
                if not name.startswith("_") and not hasattr(int, name) and not hasattr(tuple, name):
                    assert f".{name}" in text or f"{name}=" in text, f"{kind}.{name}"


def test_accept_and_drop(net, sock):
    queue = sock.bind(1, lambda packet: Verdict(net.data(packet.payload) != b"two"))
    net.send(b"one", b"two", b"three")
    assert sock.dispatch(0) == 3
    assert net.pending() == [b"one", b"three"]
    assert queue.stats["accepted"] == 2 and queue.stats["dropped"] == 1
    assert sock.stats["packets"] == 3 and queue.kernel_stats["waiting"] == 0
    assert sock.kernel_stats["queues"] == 1


def test_other_verdicts(net, sock):
    net.rule(num=2, chain="INPUT")
    given = iter([Verdict.STOP, Verdict.REPEAT, mnfq.to_queue(3), Verdict.DROP])
    sock.bind(1, lambda packet: next(given))
    sock.bind(2, accept)
    sock.bind(3, accept)
    net.send(b"1", b"2", b"3")
    while sock.dispatch(0):
        pass
    assert sorted(net.receive(2)) == [b"1", b"3"]
    assert sock.stats["requeued"] == sock.stats["stopped"] == sock.stats["repeated"] == 1


@pytest.mark.parametrize("nonsense", [None, "ACCEPT", True, 1.0, object()])
def test_nonsense_is_no_verdict(net, sock, nonsense):
    queue = sock.bind(1, lambda packet: nonsense)
    net.send(b"1")
    with pytest.raises(TypeError, match="not a verdict"):
        sock.run()
    assert net.pending() == [] and queue.kernel_stats["waiting"] == 0


@pytest.mark.parametrize("nonsense", [-1, 2, 7, 257, 2**32, 2**70])
def test_wrong_numbers_are_no_verdict(net, sock, nonsense):
    queue = sock.bind(1, lambda packet: nonsense, default_verdict=Verdict.ACCEPT)
    net.send(b"1")
    with pytest.raises(ValueError, match="not a verdict"):
        sock.run()
    assert net.receive() == [b"1"] and queue.kernel_stats["waiting"] == 0


def test_exception(net, sock):
    """The packet gets the default verdict; the rest comes with the next call."""
    seen = []

    def fail(packet):
        seen.append(net.data(packet.payload))
        if len(seen) == 2:
            raise Stop
        return Verdict.ACCEPT

    queue = sock.bind(1, fail)
    net.send(b"1", b"2", b"3")
    with pytest.raises(Stop):
        sock.run()
    assert net.pending() == [b"1"]
    assert sock.dispatch(10) > 0
    assert net.pending() == [b"3"] and queue.kernel_stats["waiting"] == 0


def test_stop(net, sock):
    seen = []

    def stop(packet):
        seen.append(packet.id)
        sock.stop()
        return Verdict.ACCEPT

    sock.bind(1, stop)
    net.send(b"1", b"2")
    sock.run()
    assert seen == [1]
    sock.run()
    assert seen == [1, 2] and net.receive(2) == [b"1", b"2"]


def test_stop_from_another_thread(sock):
    sock.bind(1, accept)
    threading.Timer(0.05, sock.stop).start()
    sock.run()


def test_close_from_another_thread(sock):
    sock.bind(1, accept)
    threading.Timer(0.05, sock.close).start()
    sock.run()
    assert sock.closed


def test_signal(sock):
    def fail(number, frame):
        raise Stop

    sock.bind(1, accept)
    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Stop):
            sock.run()
    finally:
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def signal_elsewhere(handle):
    """A signal that does not end the main thread's wait, as one does that comes just before."""
    before = signal.signal(signal.SIGALRM, handle)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    over = threading.Event()

    def take():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        over.wait()

    thread = threading.Thread(target=take)
    thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.signal(signal.SIGALRM, before)


def fail_on_signal(number, frame):
    raise Stop


@pytest.mark.parametrize("timeout", [None, 600])
def test_signal_before_the_wait(sock, timeout):
    sock.bind(1, accept)
    with signal_elsewhere(fail_on_signal), pytest.raises(Stop):
        sock.run() if timeout is None else sock.dispatch(timeout)


def test_signal_before_the_wait_of_who_pulls(sock):
    queue = sock.bind(1)
    with signal_elsewhere(fail_on_signal), pytest.raises(Stop):
        next(iter(queue))


@pytest.mark.parametrize("what", ["stop", "close", "unbind"])
def test_signal_that_ends_pulling(sock, what):
    queue = sock.bind(1)
    act = {"stop": sock.stop, "close": sock.close, "unbind": queue.unbind}[what]
    with signal_elsewhere(lambda number, frame: act()):
        assert list(queue) == []


def test_dispatch_with_a_timeout(sock):
    sock.bind(1, accept)
    begin = time.monotonic()
    assert sock.dispatch(0.05) == 0
    assert time.monotonic() - begin >= 0.05


def test_close_in_callback(net, sock):
    def close(packet):
        sock.close()
        with pytest.raises(RuntimeError):
            packet.decide(Verdict.ACCEPT)
        return Verdict.ACCEPT

    sock.bind(1, close)
    net.send(b"1", b"2")
    with pytest.raises(RuntimeError, match="closed"):
        sock.run()
    assert sock.closed and net.pending() == []
    assert "closed" in repr(sock)


def test_unbind_in_callback(net, sock):
    def unbind(packet):
        queue.unbind()
        return Verdict.ACCEPT

    queue = sock.bind(1, unbind)
    net.send(b"1", b"2")
    sock.dispatch(0)
    assert not queue.bound and net.pending() == []
    sock.bind(1, accept)
    net.send(b"3")
    sock.dispatch(0)
    assert net.receive() == [b"3"]


def test_after_close(net):
    sock = mnfq.Socket.open()
    queue = sock.bind(1, lambda packet: (kept.append(packet.retain()), Verdict.DEFER)[1])
    kept = []
    net.send(b"1")
    sock.dispatch(0)
    sock.close()
    sock.close()
    for use in (sock.run, sock.fileno, sock.flush, lambda: sock.bind(1), lambda: sock.stats):
        with pytest.raises(ValueError):
            use()
    with pytest.raises(ValueError):
        queue.stats
    with pytest.raises(ValueError):
        queue.decide([1], Verdict.ACCEPT)
    queue.unbind()
    with pytest.raises(RuntimeError, match="unbound"):
        kept[0].decide(Verdict.ACCEPT)
    assert net.data(kept[0].payload) == b"1" and kept[0].id == 1


def test_run_in_callback(net, sock):
    def run(packet):
        for again in (sock.run, lambda: sock.dispatch(0)):
            with pytest.raises(RuntimeError, match="callback"):
                again()
        return Verdict.ACCEPT

    sock.bind(1, run)
    net.send(b"1")
    sock.dispatch(0)
    assert net.receive() == [b"1"]


def test_settings(sock):
    queue = sock.bind(7, accept, copy_range=100, max_len=9, fail_open=True, gso=False, uid_gid=True)
    assert queue.num == 7 and queue.socket is sock and queue.bound
    settings = queue.settings
    assert settings["copy_mode"] == Copy.PACKET and settings["copy_range"] == 100 and settings["max_len"] == 9
    assert settings["fail_open"] and not settings["gso"] and settings["uid_gid"] and not settings["conntrack"]
    assert settings["default_verdict"] == Verdict.DROP
    queue.configure(max_len=0, fail_open=False, copy_mode=Copy.META)
    assert queue.settings["max_len"] == 0 and not queue.settings["fail_open"]
    assert queue.settings["copy_mode"] == Copy.META and queue.settings["copy_range"] == 0
    with pytest.raises(TypeError, match="no such setting: what"):
        queue.configure(what=1)
    [line] = [queue for queue in mnfq.queues() if queue.num == 7]
    assert line.portid == sock.portid and line.copy_mode == Copy.META


def test_kernel_queues(net, sock):
    assert mnfq.queues() == []
    for num in range(40):
        sock.bind(num, accept, copy_range=num + 1, copy_mode=Copy.META if num == 3 else Copy.PACKET)
    net.send(b"1", b"2")
    queues = {queue.num: queue for queue in mnfq.queues()}
    assert sorted(queues) == list(range(40))
    assert queues[1] == (1, sock.portid, 2, Copy.PACKET, 2, 0, 0, 2)
    assert queues[3].copy_mode is Copy.META and queues[1].waiting == queues[1].last_id == 2
    assert queues[1].queue_dropped == queues[1].user_dropped == 0
    with pytest.raises(FileNotFoundError):
        mnfq.queues(2**22 + 1)


@pytest.mark.parametrize(
    "wrong, error",
    [
        ({"num": 65536}, ValueError),
        ({"num": -1}, ValueError),
        ({"num": "1"}, TypeError),
        ({"max_len": -1}, OverflowError),
        ({"copy_range": 70000}, OSError),
        ({"copy_mode": 9}, OSError),
        ({"default_verdict": Verdict.DEFER}, OSError),
        ({"fail_open": "yes"}, TypeError),
        ({"callback": 7}, TypeError),
    ],
)
def test_wrong_settings(sock, wrong, error):
    with pytest.raises(error):
        sock.bind(**{"num": 1, **wrong})


def test_errors_have_numbers_and_messages(sock):
    sock.bind(1, accept)
    with pytest.raises(OSError, match="queue 1: ") as caught:
        sock.bind(1, accept)
    assert caught.value.errno == errno.EEXIST and isinstance(caught.value, FileExistsError)
    with mnfq.Socket.open() as other:
        with pytest.raises(OSError, match="owned by") as caught:
            other.bind(1, accept)
        assert caught.value.errno == errno.EBUSY
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mnfq.Socket.open(netns="nowhere")


def test_socket(sock):
    assert os.fstat(sock.fileno()) and sock.portid > 2**31
    assert sock.netns_inode == os.stat("/proc/self/ns/net").st_ino
    assert sock.netns_name == f"net:[{sock.netns_inode}]"
    assert sock.ifname(socket.if_nametoindex("lo")) == "lo" and sock.ifname(4711) is None
    before = sock.receive_buffer
    sock.receive_buffer = 1 << 20
    assert 0 < sock.receive_buffer < before
    with pytest.raises(OverflowError):
        sock.receive_buffer = -1
    assert str(sock.fileno()) in repr(sock)
    with pytest.raises(ValueError):
        mnfq.Socket().run()


def test_adopt_and_detach(net, sock):
    sock.bind(1, accept)
    fd = sock.detach()
    assert sock.closed
    with mnfq.Socket.adopt(fd) as again:
        again.bind(1, accept)
        net.send(b"1")
        again.dispatch(0)
        assert net.receive() == [b"1"]
    with pytest.raises(OSError):
        os.fstat(fd)
    with open("/dev/null") as null:
        with pytest.raises(OSError) as caught:
            mnfq.Socket.adopt(null.fileno())
        assert caught.value.errno == errno.ENOTSOCK
        os.fstat(null.fileno())


@pytest.mark.parametrize("how", ["pid", "text", "path", "file"])
@pytest.mark.parametrize("family", [4, 6])
def test_foreign_namespace(foreign, how, family):
    path = f"/proc/{foreign.pid}/ns/net"
    if how == "pid":
        netns = foreign.pid
    elif how == "text":
        netns = str(foreign.pid)
    elif how == "path":
        netns = path
    else:
        netns = open(path)
    with mnfq.Socket.open(netns=netns) as sock:
        assert sock.netns_inode == os.stat(path).st_ino
        sock.bind(1, accept)
        traffic = foreign.send("hello", family)
        while sock.dispatch(10) and traffic.poll() is None and sock.stats["accepted"] == 0:
            pass
        assert traffic.communicate(timeout=10)[0] == "hello\n"
    assert mnfq.queues(foreign.pid) == []
    if hasattr(netns, "close"):
        netns.close()


def test_fork(net, sock):
    sock.bind(1, accept)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            sock.run()
        except ValueError as error:
            status = 0 if "parent" in str(error) and sock.closed else 2
        finally:
            sock.close()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    net.send(b"1")
    sock.dispatch(0)
    assert net.receive() == [b"1"]


def test_queue_ends_with_its_socket():
    sock = mnfq.Socket.open()
    sock.bind(1, accept)
    gc.collect()
    assert [queue.num for queue in mnfq.queues()] == [1]
    del sock
    gc.collect()
    assert mnfq.queues() == []


def test_cycles_are_collected():
    class Program:
        def __init__(self):
            self.sock = mnfq.Socket.open()
            self.queue = self.sock.bind(1, self.decide)

        def decide(self, packet):
            return Verdict.ACCEPT

    Program()
    gc.collect()
    assert mnfq.queues() == []


@pytest.mark.parametrize("module", ["mnfq", "netfilterqueue"])
def test_sub_interpreters_are_refused(module):
    program = (
        f"import {module}, _xxsubinterpreters as interpreters\n"
        "other = interpreters.create()\n"
        f"interpreters.run_string(other, 'import {module}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "sub-interpreters are not supported" in done.stderr
