#!/usr/bin/env python3
"""What a program is made of, as its ELF says: only code is executable, nothing that can be executed can
be written to, the table of imports is read-only, it lies anywhere, and its functions begin with the mark
that CET (x86) or BTI (arm64) wants where the compiler makes it. On x86-64 its code also shows that a large
stack frame is taken page by page, and that the standard library checks its preconditions; on each
architecture its imports show that copies are checked (fortify).

    check_hardening.py FILE ARCHITECTURE OBJDUMP"""

import re
import subprocess
import sys

CODE = re.compile(r"\.(text|text_often|text_seldom|init|fini|plt)($|\.)")
MARKS = {"x86_64": "endbr64", "x86": "endbr32", "aarch64": r"(bti|paciasp)"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def faults(file, architecture, objdump):
    text = output("readelf", "-W", "-l", file)
    segments = re.findall(r"^  (LOAD|GNU_STACK|GNU_RELRO) .* ([R ][W ][E ]) 0x", text, re.M)
    flags = [f for kind, f in segments if kind == "LOAD"]
    if not any("E" in f for f in flags) or not any(k == "GNU_STACK" for k, _ in segments):
        yield "there are no segments to look through: that is not what readelf should say"
    for kind, f in segments:
        if "E" in f and ("W" in f or kind != "LOAD"):
            yield f"{kind} is {f.strip()}: what is executed can be written to"
    if not any(kind == "GNU_RELRO" for kind, _ in segments):
        yield "there is no GNU_RELRO: the table of imports can be written to"

    mapping = re.findall(r"^   (\d\d)     (.*)$", text[text.index("Section to Segment"):], re.M)
    kinds = re.findall(r"^  ([A-Z_]+) +0x[0-9a-f]+ 0x.* ([R ][W ][E ]) 0x", text, re.M)
    for (_, names), (kind, f) in zip(mapping, kinds):
        wrong = [n for n in names.split() if not CODE.match(n)]
        if kind == "LOAD" and "E" in f and wrong:
            yield f"{', '.join(wrong)} can be executed"

    if "DYN" not in re.search(r"Type: +(.*)", output("readelf", "-h", file))[1]:
        yield "it lies at one address always (no PIE)"
    dynamic = output("readelf", "-W", "-d", file)
    if "BIND_NOW" not in dynamic and not re.search(r"FLAGS_1.*NOW", dynamic):
        yield "its imports are bound late (no -z now)"

    if architecture != "any" and not re.search(r" __\w+_chk(@|$)", output("readelf", "-W", "--dyn-syms", file), re.M):
        yield "no function that checks a copy's size is imported (_FORTIFY_SOURCE)"
    if architecture == "x86_64":
        code = output(objdump, "-d", file)
        if not re.search(r"\tor[bwlq]? +\$0x0,(0x[0-9a-f]+)?\(%[re]sp\)", code):
            yield "no stack frame is taken page by page (-fstack-clash-protection)"
        traps = len(re.findall(r"\tud2\b", code))
        if traps < 100:
            yield f"there are {traps} traps: the standard library's checks are missing (base/library_checks.h)"

    if architecture in MARKS:
        first = re.search(r"<main>:\n\s+[0-9a-f]+:\s+(?:[0-9a-f]{2,8} )*\s*(\S.*)",
                          output(objdump, "-d", "--disassemble=main", file))
        if first is None:  # stripped, as it is installed
            marks = len(re.findall(MARKS[architecture], output(objdump, "-d", file)))
            if marks < 100:
                yield f"of its functions {marks} begin with {MARKS[architecture]}"
        elif not re.match(MARKS[architecture], first[1]):
            yield f"main() begins with '{first[1]}': no {MARKS[architecture]}"


def main():
    file, architecture, objdump = sys.argv[1:]
    found = list(faults(file, architecture, objdump))
    if found:
        sys.exit("\n".join(f"{file}: {fault}" for fault in found))


if __name__ == "__main__":
    main()
