# SPDX-License-Identifier: MIT
"""tools/bench/plot draws what mnfq-bench --json prints. Usage: plot.py PATH-OF-PLOT"""

import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

PLOT = sys.argv.pop(1)
SVG = "{http://www.w3.org/2000/svg}"


def scenario(name, metric, candidates, **more):
    """As mnfq-bench has it; None is a candidate without a figure."""
    return {"name": name, "judged_by": metric, **more, "candidates": [
        {"name": candidate, "ratios": {}, **({metric: {"typical": value}} if value is not None else {})}
        for candidate, value in candidates.items()]}


REPORT = {"version": "0.1.0", "scenarios": [
    scenario("drain", "cpu_us_per_packet", {"mnfq": 1.5, "raw": 1.25, "lnq": 2.5}),
    scenario("latency", "p50_us", {"unqueued": 50.0, "mnfq": 29.0, "mnfq-busy": 0.0}, added_to="unqueued"),
    scenario("tcp", "gbit_per_second", {"unqueued": 19.1, "mnfq": None}),
    scenario("threads", "packets_per_second", {"mnfq": 1.27e6}),
    scenario("load", "cpu_us_per_packet", {"unqueued": None, "mnfq": 4.5}, rate=60000, added_to="unqueued"),
    scenario("load", "cpu_us_per_packet", {"mnfq": 3.25}, rate=0),
    scenario("idle", "p50_us", {"a<b&c": 0.0}),
]}


def run(text, *arguments):
    """Its exit status, standard output and standard error."""
    done = subprocess.run([sys.executable, PLOT, *arguments], input=text.encode(), capture_output=True,
                          check=False, env={"LC_ALL": "C"})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Chart(unittest.TestCase):
    """What is in the chart, whatever its order."""

    def setUp(self):
        status, out, err = run(json.dumps(REPORT))
        self.assertEqual((status, err), (0, ""))
        self.root = ElementTree.fromstring(out)
        self.texts = self.root.findall(SVG + "text")
        self.bars = self.root.findall(SVG + "rect")

    def named(self, kind):
        return [text.text for text in self.texts if text.get("class") == kind]

    def test_scenarios_and_candidates_have_their_names(self):
        self.assertEqual(self.named("title"), ["drain", "latency", "tcp", "threads", "load 60000/s",
                                               "load max", "idle"])
        self.assertEqual(self.named("name"), ["mnfq", "raw", "lnq", "mnfq", "mnfq-busy", "unqueued",
                                              "mnfq", "mnfq", "mnfq", "a<b&c"])

    def test_values_are_rounded_as_suits_the_metric(self):
        labels = [text.text for text in self.texts if text.get("class") is None]
        self.assertEqual([label for label in labels if label[0].isdigit()],
                         ["1.50", "1.25", "2.50", "29.0", "0.0", "19.10", "1270000", "4.50", "3.25", "0.0"])
        self.assertIn("µs added to a round trip (median), less is better", labels)

    def test_bars_are_in_proportion_within_a_scenario(self):
        self.assertEqual([float(bar.get("width")) for bar in self.bars],
                         [252.0, 210.0, 420.0, 420.0, 0.0, 420.0, 420.0, 420.0, 420.0, 0.0])
        self.assertEqual([bar.get("class") for bar in self.bars],
                         ["ours", "other", "other", "ours", "ours", "other", "ours", "ours", "ours", "other"])

    def test_everything_is_inside_and_no_bars_overlap(self):
        tops = [int(bar.get("y")) for bar in self.bars]
        self.assertTrue(all(b - a >= int(self.bars[0].get("height")) for a, b in zip(tops, tops[1:])))
        self.assertLess(max(int(text.get("y")) for text in self.texts), int(self.root.get("height")))
        self.assertLess(max(float(bar.get("x")) + float(bar.get("width")) for bar in self.bars),
                        float(self.root.get("width")))


class Input(unittest.TestCase):
    """Where it comes from, and what is none."""

    def test_a_file_is_as_good_as_standard_input(self):
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump(REPORT, file)
            file.flush()
            self.assertEqual(run("", file.name), run(json.dumps(REPORT)))

    def test_what_cannot_be_drawn_is_refused_in_one_line(self):
        for text in ("", "{", "[]", "null", "{}", '{"scenarios": [{}]}',
                     json.dumps({"scenarios": [scenario("x", "no_such_metric", {})]}), "\xff"):
            status, out, err = run(text)
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), text)
            self.assertIn("plot: standard input: not the output of mnfq-bench --json", err)
        status, out, err = run("", "/no/such/file")
        self.assertEqual((status, out, err.count("\n")), (1, "", 1))
        self.assertIn("/no/such/file", err)


unittest.main()
