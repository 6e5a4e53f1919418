#!/usr/bin/python3
"""Adds up a JUnit file: prints "PASSED FAILED SKIPPED"; what failed goes to standard error."""

import sys
import xml.etree.ElementTree as ElementTree

TAIL = 60  # lines of a failed test's output


def main(path):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        broken = case.findall("failure") + case.findall("error")
        skipped = case.find("skipped") is not None or case.get("status") == "notrun"
        outcome = "failed" if broken else "skipped" if skipped else "passed"
        counts[outcome] += 1
        if broken:
            name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
            told = [element.get("message") or "" for element in broken if not element.text]
            told += [e.text for e in broken + case.findall("system-out") + case.findall("system-err")
                     if e.text]
            print("--- failed: " + name, file=sys.stderr)
            print("\n".join("\n".join(told).splitlines()[-TAIL:]), file=sys.stderr)
    print(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    main(sys.argv[1])
