#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the command lines of the documentation: those of mnfq, and the rules that belong to them.

Usage: commands.py MNFQ SOURCE

A block's commands run one after the other, in a network namespace that is new. Those that serve until a signal run
until the end of the block, beside each other. All else that the commands name is there: the namespace blue, process
4711, /run and /tmp are those of a machine of their own.
"""
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

SECONDS = 60  # for what takes a moment
PID = 4711
CLONE_NEWNET = 0x40000000  # os.unshare() is new in Python 3.12

# What the documentation takes for granted, by what a command says.
NEEDED = {
    "monitor.sock": "mkdir -p /run/mnfq && mnfq dump -q 9 --listen /run/mnfq/monitor.sock --quiet",
    str(PID): "nsenter -t 4711 -n iptables -A INPUT -p icmp -j NFQUEUE --queue-num 5 && "
              "mnfq dump -q 5 -n 4711 --quiet",
}
# Who runs it, where that matters: the user whom the monitor beside it lets in.
AS = {"share --connect /run/mnfq.sock": "setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Urn "}
PROMPT = re.compile(r"^(?:[a-z]*[$#] )?(?:sudo )?")
COMMAND = re.compile(r"(?:mnfq|ip6?tables|ip netns exec \w+ mnfq) ")
SERVES = re.compile(r"mnfq (?:dump (?![^|]*-r )|share .*--(?:listen|keep)|stat .*--watch)")


def blocks(path):
    """The commands of each block between fences, and then each that is shown in a sentence."""
    text = open(path, encoding="utf-8").read()
    for indent, block in re.findall(r"^( *)```\w*\n(.*?)^ *```$", text, re.M | re.S):
        lines = [line[len(indent):] for line in block.split("\n")]
        if lines[0].startswith(("# mnfq", "$ mnfq")):  # what follows is output
            lines = lines[:1]
        lines = [PROMPT.sub("", line) for line in lines]
        yield [line for line in lines if COMMAND.match(line)]
    if path.endswith(".md"):
        spans = re.findall(r"`((?:sudo )?mnfq [^`\n]+)`", text)
    else:
        spans = re.findall(r"\*(mnfq [^*\n]+)\*", text)
    for span in spans:
        span = PROMPT.sub("", span.replace("\\", ""))
        if " -q " in span and not span.endswith("--mark"):
            yield [span]


def processes(session, name):
    """Those of a session that have this name."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, encoding="utf-8", errors="replace") as stat:
                head, tail = stat.read().rsplit(")", 1)
        except OSError:
            continue
        if head.endswith("(" + name) and int(tail.split()[3]) == session:
            yield int(pid)


class Server:
    """A command that goes on until it is told to end."""

    def __init__(self, command):
        self.command = command
        self.log = open("log-%d" % id(self), "w+", encoding="utf-8")
        self.shell = subprocess.Popen(["sh", "-c", command], stdout=self.log, stderr=self.log, start_new_session=True)
        end = time.monotonic() + SECONDS
        while self.shell.poll() is None and not self.said() and time.monotonic() < end:
            time.sleep(0.01)
        self.begun = self.said()

    def excludes(self, command):
        """One queue has one owner: the commands are alternatives."""
        queue = re.search(r"mnfq dump -q [0-9:]+ ", command + " ")
        return queue and queue[0] in self.command + " " and "-n" not in self.command

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def end(self):
        """Returns what is wrong, with all that it said, or None."""
        failure = self.stop()
        return failure and "%s: %s" % (failure, self.said())

    def stop(self):
        """Returns what is wrong, or None."""
        if self.shell.poll() is not None:
            return "ended by itself with status %d" % self.shell.returncode
        # Then the shell ends, with the status of its last command.
        for pid in processes(self.shell.pid, "mnfq"):
            os.kill(pid, signal.SIGINT)
        try:
            status = self.shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.shell.pid, signal.SIGKILL)
            return "does not end"
        if not self.begun:
            return "said nothing"
        return "ended with status %d" % status if status else None


def run(command):
    """Returns what is wrong, or None."""
    shell = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             start_new_session=True)
    try:
        said = shell.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        return "does not end"
    return "status %d: %s" % (shell.returncode, said) if shell.returncode else None


def lacks(command):
    """What this machine lacks for a command, or None."""
    for program in re.findall(r"\| (\w+)", command):
        if not shutil.which(program):
            if "peers" in os.environ.get("MNFQ_TEST_REQUIRE", ""):
                sys.exit("no %s here" % program)
            return "no %s here" % program
    if "connmark" in command.lower() and run("iptables -t mangle -A OUTPUT -j CONNMARK --save-mark"):
        return "this kernel has no CONNMARK"
    if "--ct-mark" in command and "ctnetlink_glue_build" not in open("/proc/kallsyms", encoding="ascii").read():
        return "this kernel has no connection tracking data"
    return None


def run_block(commands):
    """In a namespace that is new. Returns how many have run, and what was wrong."""
    servers, wrong, count = [], [], 0

    def note(command, failure):
        if failure and "built without libpcap" in failure:
            print("[SKIP] %s: mnfq was built without libpcap" % command)
        elif failure:
            wrong.append("%s: %s" % (command, failure))

    for word, needed in NEEDED.items():
        if any(word in command for command in commands):
            servers.append(Server(needed))
    for command in commands:
        lacking = lacks(command)
        if lacking:
            print("[SKIP] %s: %s" % (command, lacking))
            continue
        count += 1
        command = "".join(AS[word] for word in AS if word in command) + command
        for server in [server for server in servers if server.excludes(command)]:
            note(server.command, server.end())
            servers.remove(server)
        if SERVES.search(command):
            servers.append(Server(command))
        else:
            note(command, run(command))
    for server in reversed(servers):
        note(server.command, server.end())
    return count, wrong


def read(source):
    """The blocks of all documents, each with the name of its document."""
    paths = [source + "/" + name for name in ("README.md", "INSTALL.md", "SECURITY.md", "examples/README.md",
                                              "python/README.md")]
    return [(os.path.basename(path), commands) for path in paths + sorted(glob.glob(source + "/man/*.scd"))
            for commands in blocks(path) if commands]


def be_machine(mnfq, capture):
    """Have what the commands name, and nothing of the machine outside."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs("/run/bin")
    os.makedirs("/run/work")
    shutil.copy(mnfq, "/run/bin/mnfq")
    shutil.copy(capture, "/run/work/packets.pcapng")
    os.chdir("/run/work")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    os.environ["PATH"] = "/run/bin:" + os.environ["PATH"] + ":/usr/sbin:/sbin"
    subprocess.run(["ip", "netns", "add", "blue"], check=True)
    with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as last:
        last.write(str(PID - 1))
    container = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
    if container.pid != PID:
        sys.exit("the process has number %d" % container.pid)
    return container


def run_all(documents):
    """Returns the exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    count, wrong = 0, []

    for name, commands in documents:
        if libc.unshare(CLONE_NEWNET) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        ran, failed = run_block(commands)
        count += ran
        wrong += ["%s: %s" % (name, text) for text in failed]
    print("%d command lines" % count)
    print("\n".join(wrong))
    return 1 if wrong or count < 40 else 0


def main():
    if sys.argv[1] != "--inside":
        if os.geteuid() != 0:
            print("[SKIP] command lines of the documentation: needs root")
            sys.exit(77)
        os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable, __file__, "--inside", *sys.argv[1:]])
    mnfq, source = sys.argv[2:]
    documents = read(source)
    container = be_machine(mnfq, source + "/tests/fuzz/corpus/capture/pcapng-little-endian")
    status = run_all(documents)
    container.kill()
    sys.exit(status)


main()
