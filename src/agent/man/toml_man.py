#!/usr/bin/env python3
"""Makes nodebeat.toml(5) of config/nodebeat.toml, which a test holds to the table of keys."""

import re
import sys
from pathlib import Path

HEAD = """\
.\\" Made of config/nodebeat.toml by toml_man.py.
.Dd November 20, 2026
.Dt NODEBEAT.TOML 5
.Os
.hlm 0
.Sh NAME
.Nm nodebeat.toml
.Nd configuration of the nodebeat agent
.Sh DESCRIPTION
"""
TAIL = """\
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/nodebeat/nodebeat.toml
Where
.Xr nodebeatd 8
looks without
.Fl \\-config .
No package brings it, and it may be missing.
.It Pa /etc/nodebeat/nodebeat.d/*.toml
Read after it: the place of the settings of this computer.
.It Pa /usr/share/doc/nodebeat-tools/examples/nodebeat.toml
All keys with their defaults as a file, if the package nodebeat\\-tools is installed.
.El
.Sh SEE ALSO
.Xr nodebeatctl 1 ,
.Xr nodebeatd 8
"""


ENVIRONMENT = r"^(NODEBEAT_\w+( or NODEBEAT_\w+)*\.?)$"
# In the page nothing is commented out.
COMMENTED = ("the lines commented out below show the defaults", "the values below are the defaults")
# There what follows in the file stands above.
EXAMPLE = (r"(\.?) Example:$", r". The value above is an example.")


def escape(text):
    """`text` as roff takes it for itself."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")
    return "\\&" + text if text.startswith(".") else text


def prose(lines):
    """One sentence a line, as mdoc wants it, of comment lines."""
    text = re.sub(*EXAMPLE, " ".join(lines).strip())
    sentences = [s for s in re.split(r"(?<=[.!?]) +(?=\S)", text) if s]
    return [escape(re.sub(ENVIRONMENT, r"Environment: \1", s)) for s in sentences]


def blocks(text):
    """The comment lines of each block and what follows them: ("comment", lines), ("section", name),
    ("key", "name = value")."""
    comment = []
    for line in text.splitlines():
        if re.match(r"#?\[\[?[a-z.]+\]\]?$", line):
            yield "comment", comment
            comment = []
            yield "section", line.lstrip("#")
        elif re.match(r"#?[a-z_]+ = ", line):
            yield "comment", comment
            comment = []
            yield "key", line.lstrip("#")
        elif line.rstrip() == "#":
            yield "comment", comment
            comment = []
        elif line.startswith("#"):
            comment.append(line[1:].strip())
        elif comment:
            yield "comment", comment
            comment = []
    yield "comment", comment


def beginning(paragraphs):
    out = []
    for paragraph in paragraphs:
        out += prose([" ".join(paragraph).replace(*COMMENTED)]) + [".Pp"]
    return out[:-1]


def body(text):
    out, pending, in_list = [], [], False
    for kind, what in blocks(text):
        if kind == "comment":
            if what:
                pending.append(what)
            continue
        if not out:  # what the file begins with, but for the words of a key that stands before all sections
            own = pending[-1:] if kind == "key" else []
            out, pending = beginning(pending[:-1] if own else pending), own
        if kind == "section":
            if in_list:
                out.append(".El")
            in_list = False
            out.append(f".Ss {escape(what)}")
            for paragraph in pending:
                out += prose(paragraph)
            pending = []
        else:
            if not in_list:
                out.append(".Bl -tag -width Ds")
                in_list = True
            out.append(f".It Li {escape(what)}")
            for paragraph in pending:
                out += prose(paragraph)
            pending = []
    if in_list:
        out.append(".El")
    return "\n".join(out) + "\n"


def main():
    source, target = map(Path, sys.argv[1:])
    target.write_text(HEAD + body(source.read_text(encoding="utf-8")) + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
