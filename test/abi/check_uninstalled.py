#!/usr/bin/python3
"""Fails if the .pc file for use from the build folder does not lead to a public header."""

import re
import sys
from pathlib import Path

pc, header = sys.argv[1:]
values = {}
flags = ""
for line in Path(pc).read_text(encoding="utf-8").splitlines():
    if match := re.fullmatch(r"(\w+)=(.*)", line):
        values[match[1]] = match[2]
    if match := re.fullmatch(r"Cflags: (.*)", line):
        flags = match[1]
for _ in range(5):  # one may stand on another
    flags = re.sub(r"\$\{(\w+)\}", lambda m: values[m[1]], flags)
folders = re.findall(r"-I(\S+)", flags)
if not any((Path(folder) / header).is_file() for folder in folders):
    sys.exit(f"{pc}: no folder of {folders} holds {header}")
