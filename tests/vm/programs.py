# SPDX-License-Identifier: MIT
"""Lists the programs that run in the virtual machine, a line each: name, tab, shell command.

Usage: programs.py BUILD-DIRECTORY [NAME[:PATTERN]…]    all programs but those of TIMED, SLOW and MANY, or
                                                these

The commands take the build directory to be /build.
"""
import json
import os
import shlex
import sys


# Emulation makes everything 50 times slower: for these that changes the result, as they compare what round trips
# and calls take, or give clients the half second that the broker gives them.
TIMED = {"broker", "broker-unread", "dump-bounds", "dump-failing-calls", "dump-failing-starts", "dump-hostile",
         "dump-log", "dump-slow", "share-hostile", "slow-path"}
# Measures, a minute or two for each test.
SLOW = {"bench", "bench-ends"}
# Thousands of command lines, which are the same with any kernel.
MANY = {"dump-options"}


def tests(build):
    """What meson knows of the suites kernel and vm."""
    with open(os.path.join(build, "meson-info", "intro-tests.json"), encoding="utf-8") as file:
        for test in json.load(file):
            if {suite.split(":")[-1] for suite in test["suite"]} & {"kernel", "vm"}:
                yield test


def command(test, root, pattern):
    words = ["env"] + ["%s=%s" % item for item in test["env"].items()]
    words += ["timeout", "-s", "KILL", str(test["timeout"])] + test["cmd"]
    if pattern:
        words.append("--filter=" + pattern)
    return " ".join(shlex.quote(word.replace(root, "/build")) for word in words)


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    root = os.path.realpath(build)
    known = {test["name"]: test for test in tests(build)}
    for argument in wanted or sorted(known.keys() - TIMED - SLOW - MANY):
        name, _, pattern = argument.partition(":")
        if name not in known:
            sys.exit("no program '%s'; there are: %s" % (name, " ".join(known)))
        print(name, command(known[name], root, pattern), sep="\t")


main()
