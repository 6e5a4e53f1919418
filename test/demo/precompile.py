#!/usr/bin/python3
"""precompile.py BUILD: precompiles standard_headers.h for a build folder that Meson has set up.

The compiler uses a precompiled header only for a source with the same options, and reads the header itself for any other
one. The options are those of a room, and those of a program's library, which lack the checks of the rooms.
"""

import json
import pathlib
import shlex
import subprocess
import sys

LIKE = {"rooms": "src/base/backoff.cc", "programs": "src/ctl/top.cc"}


def options_of(command):
    """Of a compiler's command that makes an object: the compiler and its options."""
    words = iter(shlex.split(command))
    for word in words:
        if word in ("-MQ", "-MF", "-o", "-c"):
            next(words)
        elif word == "-include":
            next(words)  # the header itself, and what comes behind it
        elif word != "-MD":
            yield word


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    header = pathlib.Path(__file__).resolve().with_name("standard_headers.h")
    # The compiler looks for NAME.gch beside the header of that name; this one is only for that.
    copy = build / "precompiled" / header.name
    made = copy.with_suffix(".h.gch")
    made.mkdir(parents=True, exist_ok=True)
    copy.write_text(header.read_text())
    commands = json.loads((build / "compile_commands.json").read_text())
    for name, source in LIKE.items():
        entry = next(e for e in commands if e["file"].endswith(source))
        compiler = [*options_of(entry["command"]), "-x", "c++-header", str(copy), "-o", str(made / name)]
        subprocess.run(compiler, cwd=entry["directory"], check=True)


if __name__ == "__main__":
    main()
