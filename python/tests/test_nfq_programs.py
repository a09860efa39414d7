# SPDX-License-Identifier: MIT
"""netfilterqueue in programs: threads, event loops, signals, fork, other namespaces."""
import asyncio
import os
import queue as queues
import select
import signal
import socket
import subprocess
import sys
import threading

import pytest
from conftest import Stop, accept, has_module, require
from netfilterqueue import NetfilterQueue


def test_verdict_takes_effect_in_callback(net, bound):
    arrived = []

    def wait(packet):
        packet.accept()
        arrived.extend(net.receive())

    queue = bound(wait)
    net.send(b"1", b"2", b"3")
    queue.run(False)
    assert arrived == [b"1", b"2", b"3"]


def test_slow_callback_delays_no_earlier_verdict(net, bound):
    def slow(packet):
        if net.data(packet.get_payload()) == b"2":
            assert net.receive() == [b"1"]
        packet.accept()

    queue = bound(slow)
    net.send(b"1", b"2")
    queue.run(False)
    assert net.receive() == [b"2"]


def test_decided_in_another_thread(net, bound):
    work = queues.Queue()

    def decide():
        for packet in iter(work.get, None):
            packet.accept()

    def hand_over(packet):
        packet.retain()
        work.put(packet)
        if net.data(packet.get_payload()) == b"99":
            raise Stop

    thread = threading.Thread(target=decide)
    thread.start()
    queue = bound(hand_over)
    net.send(*(b"%d" % i for i in range(100)))
    with pytest.raises(Stop):
        queue.run()
    work.put(None)
    thread.join()
    assert sorted(net.receive(100)) == sorted(b"%d" % i for i in range(100))


def test_callback_waits_for_another_thread(net, bound):
    work, done = queues.Queue(), queues.Queue()

    def decide():
        for packet in iter(work.get, None):
            packet.accept()
            done.put(None)

    def hand_over(packet):
        work.put(packet)
        done.get()

    thread = threading.Thread(target=decide)
    thread.start()
    queue = bound(hand_over)
    net.send(b"1", b"2")
    queue.run(False)
    work.put(None)
    thread.join()
    assert net.receive(2) == [b"1", b"2"]


def test_run_in_a_thread(net, bound):
    """Other threads go on while run() waits; a second run() is refused."""
    seen = queues.Queue()

    def look(packet):
        packet.accept()
        seen.put(packet.id)
        if packet.id == 3:
            raise Stop

    queue = bound(look)
    caught = []

    def run():
        try:
            queue.run()
        except Stop as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    net.send(b"1")
    assert seen.get(timeout=10) == 1
    with pytest.raises(RuntimeError):
        queue.run(False)
    net.send(b"2")
    assert seen.get(timeout=10) == 2
    net.send(b"3")
    thread.join(10)
    assert caught and net.receive(3) == [b"1", b"2", b"3"]


def test_unbind_in_another_thread(net, bound):
    queue = bound(accept)
    thread = threading.Thread(target=queue.run, daemon=True)
    thread.start()
    net.send(b"1")
    assert net.receive() == [b"1"]
    queue.unbind()
    net.send(b"2")
    other = bound(accept, num=2)
    net.flush()
    net.rule(num=2)
    net.send(b"3")
    other.run(False)
    assert net.receive() == [b"3"]


def test_signal_ends_run(bound):
    def fail(number, frame):
        raise KeyboardInterrupt("on purpose")

    queue = bound(accept)
    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt, match="on purpose"):
            queue.run()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_signal_handler_that_returns(net, bound):
    """run() goes on after it."""
    queue = bound(lambda packet: (packet.accept(), queue.unbind(), (_ for _ in ()).throw(Stop())))
    before = signal.signal(signal.SIGALRM, lambda number, frame: net.send(b"1"))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stop):
            queue.run()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_asyncio(net, bound):
    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def look(packet):
            packet.accept()
            if packet.id == 70:
                done.set_result(None)

        queue = bound(look)
        loop.add_reader(queue.get_fd(), queue.run, False)
        net.send(*(b"%d" % i for i in range(70)))
        await asyncio.wait_for(done, 10)
        loop.remove_reader(queue.get_fd())

    asyncio.run(main())
    assert len(net.receive(70)) == 70


def test_run_socket(net, bound):
    def look(packet):
        packet.accept()
        if packet.id == 70:
            raise Stop

    queue = bound(look)
    with socket.fromfd(queue.get_fd(), socket.AF_NETLINK, socket.SOCK_RAW) as s:
        net.send(*(b"%d" % i for i in range(70)))
        with pytest.raises(Stop):
            queue.run_socket(s)
        s.setblocking(False)
        net.send(b"more")
        queue.run_socket(s)
    assert net.receive(71)[-1] == b"more"


def test_run_socket_of_another_kind(net, bound):
    """As the documentation of the original makes it."""
    queue = bound(accept)
    with socket.fromfd(queue.get_fd(), socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(0.1)
        net.send(b"1")
        with pytest.raises(socket.timeout):
            queue.run_socket(s)
    assert net.receive() == [b"1"]


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, socket
from netfilterqueue import NetfilterQueue

def print_and_accept(packet):
    print(packet)
    packet.accept()

nfqueue = NetfilterQueue()
nfqueue.bind(1, print_and_accept)
s = socket.fromfd(nfqueue.get_fd(), socket.AF_NETLINK, socket.SOCK_RAW)
ticks = []

def tick():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 7001))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(3):
        sender.sendto(b"hello", ("127.0.0.1", 7001))
        print(receiver.recv(100))
    runner.kill()

runner = gevent.spawn(nfqueue.run_socket, s)
gevent.spawn(tick).join(10)
s.close()
nfqueue.unbind()
"""


def test_gevent(net4):
    require(has_module("gevent"), "needs gevent")
    net4.flush()
    subprocess.run("iptables -A OUTPUT -p udp --dport 7001 -j NFQUEUE --queue-num 1".split(), check=True)
    done = subprocess.run([sys.executable, "-c", GEVENT], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "UDP packet, 33 bytes\nb'hello'\n" * 3
    assert done.returncode == 0


PRINT_AND_ACCEPT = """
from netfilterqueue import NetfilterQueue

def print_and_accept(pkt):
    print(pkt, flush=True)
    pkt.accept()

nfqueue = NetfilterQueue()
nfqueue.bind(1, print_and_accept)
print('bound', flush=True)
try:
    nfqueue.run()
except KeyboardInterrupt:
    print('interrupted')

nfqueue.unbind()
"""


def test_print_and_accept(net):
    """The program that everybody begins with, until Ctrl-C."""
    program = subprocess.Popen([sys.executable, "-c", PRINT_AND_ACCEPT], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "bound\n"
    net.send(b"hello")
    assert net.receive() == [b"hello"]
    program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=10)[0] == f"UDP packet, {net.header + 5} bytes\ninterrupted\n"
    assert program.returncode == 0


def test_fork(net, bound):
    """The child has no queue, and the parent's goes on."""
    kept = []
    queue = bound(lambda packet: kept.append(packet) if not kept else packet.accept())
    net.send(b"1")
    queue.run(False)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            queue.run(False)
        except ValueError as error:
            try:
                kept[0].accept()
            except RuntimeError:
                status = 0 if "parent" in str(error) else 2
        finally:
            queue.unbind()
            del queue
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    net.send(b"2")
    queue.run(False)
    kept[0].accept()
    assert net.receive(2) == [b"2", b"1"]


def test_fork_in_callback(net, bound):
    def fork(packet):
        child = os.fork()
        if child == 0:
            raise Stop
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        packet.accept()

    queue = bound(fork)
    parent = os.getpid()
    net.send(b"1")
    try:
        queue.run(False)
    except Stop:
        os._exit(3)
    finally:
        if os.getpid() != parent:
            os._exit(4)
    assert net.receive() == [b"1"]


def open_in(foreign, stream):
    """A process in another namespace opens a netlink socket and sends it."""
    code = (
        "import socket, sys, array\n"
        "stream = socket.socket(fileno=int(sys.argv[1]))\n"
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)\n"
        "socket.send_fds(stream, [b'x'], [s.fileno()])\n"
    )
    return foreign.start(code, stream.fileno(), pass_fds=[stream.fileno()])


@pytest.mark.parametrize("family", [4, 6])
def test_sockfd(foreign, family):
    ours, theirs = socket.socketpair()
    opener = open_in(foreign, theirs)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    assert opener.wait(10) == 0
    queue = NetfilterQueue(sockfd=fds[0])
    os.close(fds[0])
    seen = []
    queue.bind(1, lambda packet: (seen.append(packet.get_payload()), packet.accept()))
    traffic = foreign.send("hello", family)
    assert select.select([queue.get_fd()], [], [], 10)[0]
    queue.run(False)
    assert traffic.communicate(timeout=10)[0] == "hello\n"
    assert len(seen) == 1 and seen[0].endswith(b"hello")
    queue.unbind()
    ours.close()
    theirs.close()


def test_wrong_sockfd():
    with pytest.raises(OSError, match="dup2 failed"):
        NetfilterQueue(sockfd=1000)
    with open("/dev/null") as null:
        with pytest.raises(OSError, match="Failed to open NFQueue: "):
            NetfilterQueue(sockfd=null.fileno())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as other:
        with pytest.raises(OSError, match="Failed to open NFQueue: "):
            NetfilterQueue(sockfd=other.fileno())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as connected:
        connected.connect((4711, 0))
        with pytest.raises(OSError, match="Failed to open NFQueue: .*connected"):
            NetfilterQueue(sockfd=connected.fileno())


def test_threads_at_the_end_of_the_interpreter(net4):
    """Threads that receive and decide while the interpreter ends are no trouble."""
    program = (
        "import queue as queues, sys, threading, time\n"
        "from netfilterqueue import NetfilterQueue\n"
        "work = queues.Queue()\n"
        "def decide():\n"
        "    while True: work.get().accept()\n"
        "queue = NetfilterQueue()\n"
        "queue.bind(1, work.put)\n"
        "threading.Thread(target=decide, daemon=True).start()\n"
        "threading.Thread(target=queue.run, daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    net4.send(*(b"%d" % i for i in range(500)))
    child.communicate(b"\n", timeout=20)
    assert child.returncode == 0
