#!/usr/bin/python3
"""precompile.py BUILD: precompiles standard_headers.h for a build folder that Meson has set up.

The compiler uses a precompiled header only for a source with the same options, so there is one for each set of options
that many sources share. gcc reads the header itself for any other source. clang refuses to, so for clang there is one
for each set.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

MANY = 15  # sources: one header takes as long to precompile as three to read


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


def sets_of_options(commands):
    """The commands of C++ sources, in lists: of those that differ only in where they look for headers."""
    sets = {}
    for entry in commands:
        if entry["file"].endswith(".cc"):
            options = [o for o in options_of(entry["command"]) if not o.startswith(("-I", "-isystem"))]
            sets.setdefault(frozenset(options), []).append(entry)
    return sets.values()


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    header = pathlib.Path(__file__).resolve().with_name("standard_headers.h")
    # The compiler looks for NAME.gch beside the header of that name; this one is only for that.
    copy = build / "precompiled" / header.name
    made = copy.with_suffix(".h.gch")
    made.mkdir(parents=True, exist_ok=True)
    copy.write_text(header.read_text())

    def precompile(entry):
        compiler = [*options_of(entry["command"]), "-x", "c++-header", str(copy), "-o",
                    str(made / pathlib.Path(entry["file"]).stem)]
        subprocess.run(compiler, cwd=entry["directory"], check=True)

    sets = sets_of_options(json.loads((build / "compile_commands.json").read_text()))
    alike = [entries[0] for entries in sets if len(entries) >= MANY or "clang" in entries[0]["command"]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(precompile, alike))


if __name__ == "__main__":
    main()
