# SPDX-License-Identifier: MIT
"""Threads, children and interpreters, while a socket or the program ends."""
import os
import subprocess
import sys
import threading
import traceback

import mnfq
import pytest
from mnfq import Verdict


@pytest.mark.parametrize("what", ["unbind", "close", "bind"])
def test_threads_that_act_while_another_waits(net, what):
    """They are refused, or end the wait; nothing else."""
    for _ in range(20):
        sock = mnfq.Socket.open()
        queue = sock.bind(1, lambda packet: Verdict.ACCEPT)
        thread = threading.Thread(target=sock.run)
        thread.start()
        net.send(b"1")
        assert net.receive() == [b"1"]
        if what == "unbind":
            queue.unbind()
            sock.stop()
        elif what == "bind":
            with pytest.raises(RuntimeError, match="another thread"):
                while True:
                    sock.bind(2).unbind()
            sock.stop()
        else:
            sock.close()
        thread.join(10)
        assert not thread.is_alive()
        sock.close()
    assert mnfq.queues() == []


END = """
import queue as queues, sys, threading
import mnfq
from mnfq import Verdict
work = queues.Queue()
def decide():
    while True:
        work.get().decide(Verdict.ACCEPT)
def pull(queue):
    for packet in queue:
        packet.retain()
        work.put(packet)
sock = mnfq.Socket.open()
other = mnfq.Socket.open()
sock.bind(1, lambda packet: (work.put(packet.retain()), Verdict.DEFER)[1])
queue = other.bind(2)
for target in (decide, decide, sock.run):
    threading.Thread(target=target, daemon=True).start()
threading.Thread(target=pull, args=(queue,), daemon=True).start()
print('ready', flush=True)
sys.stdin.readline()
"""


def test_threads_at_the_end_of_the_interpreter(net4):
    net4.rule(num=2, chain="INPUT")
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", END], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        net4.send(*(b"%d" % i for i in range(300)))
        errors = child.communicate("\n", timeout=30)[1]
        assert child.returncode == 0, errors
        net4.pending()
        assert mnfq.queues() == []


def test_exit_in_callback(net4):
    program = (
        "import mnfq, sys\n"
        "sock = mnfq.Socket.open()\n"
        "sock.bind(1, lambda packet: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "sock.run()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    net4.send(b"1", b"2")
    child.communicate(timeout=20)
    assert child.returncode == 7


@pytest.mark.parametrize("what", ["close", "unbind", "detach"])
def test_decided_by_threads_while_it_ends(net, what):
    """Each packet is decided once, or its thread is told that the queue is gone."""
    for _ in range(10):
        sock = mnfq.Socket.open()
        kept, results = [], []
        queue = sock.bind(1, lambda packet: (kept.append(packet.retain()), Verdict.DEFER)[1])
        net.send(*[b"x"] * 60)
        while len(kept) < 60:
            sock.dispatch(10)
        begin = threading.Barrier(4)

        def decide(packets):
            begin.wait()
            for packet in packets:
                try:
                    packet.decide(Verdict.DROP)
                    results.append(1)
                except RuntimeError as error:
                    assert "already been unbound" in str(error)
                    results.append(0)

        threads = [threading.Thread(target=decide, args=(kept[i::3],)) for i in range(3)]
        for thread in threads:
            thread.start()
        begin.wait()
        fd = {"close": sock.close, "unbind": queue.unbind, "detach": sock.detach}[what]()
        for thread in threads:
            thread.join()
        if fd is not None:
            os.close(fd)
        sock.close()
        assert len(results) == 60 and mnfq.queues() == [] and net.pending() == []


def test_fork_while_another_thread_waits(net):
    """The child has no socket, and ends as usual; the parent's thread goes on."""
    program = (
        "import mnfq, os, sys, threading\n"
        "from mnfq import Verdict\n"
        "sock = mnfq.Socket.open()\n"
        "sock.bind(1, lambda packet: Verdict.ACCEPT)\n"
        "thread = threading.Thread(target=sock.run)\n"
        "thread.start()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "children = []\n"
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try:\n"
        "            sock.stats\n"
        "        except ValueError as error:\n"
        "            sock.close()\n"
        "            with mnfq.Socket.open() as other:\n"
        "                other.bind(2 + len(children), lambda packet: Verdict.ACCEPT)\n"
        "                other.dispatch(0)\n"
        "            sys.exit(7 if 'parent' in str(error) else 8)\n"
        "        os._exit(9)\n"
        "    children.append(child)\n"
        "assert [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children] == [7] * 20\n"
        "print('forked', flush=True)\n"
        "sys.stdin.readline()\n"
        "sock.stop()\n"
        "thread.join()\n"
        "print(sock.stats['accepted'])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line, payload in (("ready", b"1"), ("forked", b"2")):
        assert child.stdout.readline() == f"{line}\n"
        net.send(payload)
        assert net.receive() == [payload]
        child.stdin.write("\n")
        child.stdin.flush()
    assert child.communicate(timeout=30)[0] == "2\n" and child.returncode == 0


@pytest.mark.parametrize("module", ["mnfq", "netfilterqueue"])
def test_sub_interpreters_that_come_and_go(module):
    """The first interpreter that imports the module has it, for good."""
    program = (
        "import _xxsubinterpreters as interpreters\n"
        "for i in range(10):\n"
        "    other = interpreters.create()\n"
        "    try:\n"
        f"        interpreters.run_string(other, 'import {module}; print({module}.__version__)')\n"
        "    except interpreters.RunFailedError as error:\n"
        "        assert i and 'sub-interpreters' in str(error), error\n"
        "    interpreters.destroy(other)\n"
        "try:\n"
        f"    import {module}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") == 2 and "not supported" in done.stdout


def in_child(function):
    """Calls a function in a child, where a failed assertion must not go on to the other tests."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        function()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def test_views_after_fork(net, sock):
    """A child may read slices that it has; the view itself is gone, as the packet is."""

    def look(packet):
        view = packet.payload
        part = view[net.header :]

        def child():
            assert bytes(part) == b"hello"
            for read in (lambda: bytes(view), lambda: packet.payload, lambda: packet.tuple, lambda: packet.mtu):
                with pytest.raises(ValueError):
                    read()
            with pytest.raises(RuntimeError):
                packet.decide(Verdict.ACCEPT)

        assert in_child(child) == 0
        assert bytes(part) == net.data(view) == b"hello"
        return Verdict.ACCEPT

    sock.bind(1, look)
    for _ in range(2):
        net.send(b"hello")
        sock.dispatch(10)
        assert net.receive() == [b"hello"]


def test_child_returns_from_its_callback(net, sock):
    """As its parent does; then it learns that there is no queue."""
    children = []

    def fork(packet):
        children.append(os.fork())
        return Verdict.ACCEPT

    sock.bind(1, fork)
    net.send(b"1", b"2")
    parent, status = os.getpid(), 1
    try:
        sock.dispatch(0)
    except RuntimeError as error:
        status = 0 if "parent" in str(error) else 2
    finally:
        if os.getpid() != parent:
            os._exit(status)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert net.receive(2) == [b"1", b"2"]


def test_child_that_pulls(net, sock):
    queue = sock.bind(1)
    net.send(b"1", b"2")
    first = next(queue)

    def child():
        with pytest.raises(RuntimeError, match="unbound"):
            first.decide(Verdict.ACCEPT)
        assert list(queue) == [] and not queue.bound

    assert in_child(child) == 0
    first.decide(Verdict.ACCEPT)
    next(queue).decide(Verdict.ACCEPT)
    sock.flush()
    assert net.receive(2) == [b"1", b"2"]
