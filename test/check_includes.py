#!/usr/bin/python3
"""Fails if a room of src/ includes what src/README.md does not allow it, or has no README of its own,
or puts an event together outside of wire/.

First it proves on small trees of its own, one for each rule, that it can fail.
"""

import re
import sys
import tempfile
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|\s*$", re.MULTILINE)
PUBLIC = "nodebeat"  # the folder of the public headers, "include" in the table
SOURCES = (".h", ".cc", ".c")
EVENT = '"{\\"type\\":'  # how every event's JSON begins, in a literal


def read_table(readme):
    """{room: set of the rooms it may include}"""
    table = {}
    for room, words in ROW.findall(readme.read_text(encoding="utf-8")):
        allowed = set()
        for word in filter(None, (w.strip() for w in words.split(","))):
            if word == "all above":
                allowed |= table.keys()
            elif word == "include":
                allowed.add(PUBLIC)
            elif word in table:  # only rooms above: so the table cannot hold a circle
                allowed.add(word)
            else:
                raise ValueError(f"{readme}: {room}/ may include '{word}', which is no room above it")
        table[room] = allowed
    if not table:
        raise ValueError(f"{readme}: no table of rooms found")
    return table


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in SOURCES)


def includes(path):
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1] == '"', match[2]


def exists(path):
    return path.exists() or path.with_name(path.name + ".in").exists()  # Meson fills that in


def check(root):
    """The findings, one line each."""
    table = read_table(root / "src" / "README.md")
    findings = []
    for room in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if room.name not in table:
            findings.append(f"src/{room.name}/: not in the table of src/README.md")
            continue
        if not (room / "README.md").exists():
            findings.append(f"src/{room.name}/: its decisions belong into a README.md of its own")
        allowed = table[room.name] | {room.name}
        for path in sources(room):
            if room.name != "wire" and EVENT in path.read_text(encoding="utf-8"):
                findings.append(f"{path.relative_to(root)}: puts an event together; that is for wire/")
            for line, quoted, target in includes(path):
                where = f"{path.relative_to(root)}:{line}"
                head = target.split("/")[0]
                if head in table or head == PUBLIC:
                    if head not in allowed:
                        findings.append(f"{where}: {room.name}/ may not include {target}")
                    elif head != PUBLIC and not exists(root / "src" / target):
                        findings.append(f"{where}: there is no src/{target}")
                elif quoted:
                    findings.append(f'{where}: "{target}" names no room; write "room/file.h"')
    for path in sources(root / "include"):
        for line, quoted, target in includes(path):
            if quoted and target.split("/")[0] != PUBLIC or target.split("/")[0] in table:
                where = f"{path.relative_to(root)}:{line}"
                findings.append(f"{where}: a public header may only include public headers")
    return findings


README = """
| room | holds | may include |
| --- | --- | --- |
| `base/` | things | |
| `wire/` | records | base |
| `agent/` | all | all above, include |
| `ctl/` | tool | include |
"""
FINE = {
    "src/README.md": README,
    **{f"src/{room}/README.md": "" for room in ("base", "wire", "agent", "ctl")},
    "src/base/a.h": '#include <string>\n#include "base/b.h"\n',
    "src/base/b.h": "// nothing\n",
    "src/wire/w.cc": '#include "base/a.h"\n',
    "src/agent/version.h.in": "",
    "src/agent/x.cc": '#include "agent/version.h"\n#include "wire/w.h"\n#include "nodebeat/agent.h"\n',
    "src/wire/w.h": "",
    "src/ctl/c.cc": '#include "nodebeat/agent.h"\n',
    "include/nodebeat/agent.h": "#include <stdint.h>\n",
}
BROKEN = {
    "upwards": {"src/base/a.h": '#include "wire/w.h"\n'},
    "upwards, in angle brackets": {"src/base/a.h": "#include <wire/w.h>\n"},
    "a public header not allowed": {"src/wire/w.cc": '#include "nodebeat/agent.h"\n'},
    "past the public header": {"src/ctl/c.cc": '#include "base/a.h"\n'},
    "beside the table": {"src/extra/e.cc": ""},
    "relative": {"src/wire/w.cc": '#include "../base/a.h"\n'},
    "without a room": {"src/wire/w.cc": '#include "w.h"\n'},
    "a file that is not there": {"src/wire/w.cc": '#include "base/gone.h"\n'},
    "a public header that needs a room": {"include/nodebeat/agent.h": '#include "base/a.h"\n'},
    "an event outside of wire/": {"src/base/a.h": 'x = "{\\"type\\":\\"node_up\\"";\n'},
    "a room without a README": {"src/wire/README.md": None},
    "a circle in the table": {
        "src/README.md": README.replace("| `base/` | things | |", "| `base/` | things | wire |")
    },
}


def findings_in(files):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            if text is None:
                continue
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        try:
            return check(root)
        except ValueError as error:
            return [str(error)]


def self_check():
    if found := findings_in(FINE):
        return [f"self-check: a tree without fault was refused: {found}"]
    return [
        f"self-check: not noticed: {name}"
        for name, files in BROKEN.items()
        if not findings_in({**FINE, **files})
    ]


def main():
    findings = self_check()
    try:
        findings += check(Path(__file__).resolve().parent.parent)
    except ValueError as error:
        findings.append(str(error))
    for finding in findings:
        print(finding)
    if not findings:
        print("every room has a README and includes only what src/README.md allows")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
