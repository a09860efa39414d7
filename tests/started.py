# SPDX-License-Identifier: MIT
"""Runs a test program; starts it again if Criterion does not get to its first test in a minute.

Now and then Criterion 2.4 hangs before it has run any test, mostly under AddressSanitizer. Only
that is tried again: once a test has begun, whatever happens counts.

Usage: started.py PROGRAM [ARGUMENT…]
"""
import os
import signal
import subprocess
import sys
import threading

TRIES = 3
SECONDS = 60


def forward(pipe, criterion, begun):
    """Passes on what the program says; notes that it is Criterion's, and that a test began."""
    for line in iter(pipe.readline, b""):
        if b"] Criterion v" in line:
            criterion.set()
        if line.startswith(b"[RUN ]"):
            begun.set()
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    begun.set()


def main():
    for attempt in range(1, TRIES + 1):
        program = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, start_new_session=True)
        criterion, begun = threading.Event(), threading.Event()
        reader = threading.Thread(target=forward, args=(program.stderr, criterion, begun))
        reader.start()
        if begun.wait(SECONDS) or not criterion.is_set() or attempt == TRIES:
            status = program.wait()
            reader.join()
            return status if status >= 0 else 128 - status
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        reader.join()
        print("started.py: no test began in %d s, starting again" % SECONDS, file=sys.stderr)


sys.exit(main())
