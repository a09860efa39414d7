# SPDX-License-Identifier: MIT
"""Counts what a meson test run has tested: each Criterion test, and each other test program.

Usage: count.py TESTLOG.json    prints a line for each program, then "PASSED FAILED SKIPPED".
"""
import json
import re
import sys

SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+)")


def count(test):
    """Returns what one program reported: passed, failed, skipped."""
    output = test.get("stdout", "") + test.get("stderr", "")
    found = SYNTHESIS.search(output)
    good = test["result"] == "OK"
    if test["result"] == "SKIP":
        return 0, 0, 1
    if not found:
        return int(good), int(not good), 0
    tested, passed, failed = map(int, found.groups())
    skipped = output.count("[SKIP] ")
    if tested + skipped == 0 or (failed == 0 and not good):
        failed += 1
    return passed, failed, skipped


def main():
    totals = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            counts = count(test)
            totals = [a + b for a, b in zip(totals, counts)]
            print("%-24s %4d passed %4d failed %4d skipped" % (test["name"].split(" / ")[-1], *counts))
            output = test.get("stdout", "") + test.get("stderr", "")
            for skip in re.findall(r"\[SKIP\] (.*)", output):
                print("    skipped: " + skip)
            if counts[1]:
                print("    FAILED: %s %s" % (test["name"].split(" / ")[-1],
                                             " ".join(re.findall(r"\[FAIL\] ([^\s:]+::[^\s:]+)", output))))
    print(*totals)


main()
