# SPDX-License-Identifier: MIT
"""Turns what the virtual machine reported into a log as meson writes it, for tests/count.py.

Usage: results.py PROGRAMS RESULTS LOG.json    also prints what the programs said that failed
"""
import json
import re
import sys

MARK = "\x1e"  # begins a line of init's own


def read(results):
    """Yields name, status (None: it did not end) and output of each program that began."""
    name, output = None, []
    for line in results:
        word, *rest = line[1:].split() if line.startswith(MARK) else [None]
        if word == "begin":
            name, output = rest[0], []
        elif word == "end":
            yield name, int(rest[0]), "".join(output)
            name = None
        else:
            output.append(line)
    if name:
        yield name, None, "".join(output)


def main():
    programs, results, log = sys.argv[1:]
    with open(programs, encoding="utf-8") as file:
        commands = dict(line.split("\t") for line in file)
    with open(results, encoding="utf-8", errors="replace", newline="\n") as file, \
            open(log, "w", encoding="utf-8") as out:
        for name, status, output in read(file):
            if "--filter" in commands.pop(name):
                # What was not asked for is not what was skipped.
                output = re.sub(r"\[SKIP\] .*: Test is disabled\n", "", output)
            end = "had not ended when the virtual machine did" if status is None \
                else "exit status %d" % status
            if status != 0:
                print("---- %s (%s)\n%s" % (name, end, output))
            result = "OK" if status == 0 else "FAIL"
            print(json.dumps({"name": name, "result": result, "stderr": output}), file=out)
        for name in commands:
            print("---- %s was not run" % name)
            print(json.dumps({"name": name, "result": "FAIL"}), file=out)


main()
