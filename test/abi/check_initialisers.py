#!/usr/bin/env python3
"""The headers and their NB_*_INIT compile without a warning by every standard that they promise, and a
program built so finds all but `size` zero. Structs that the caller makes have such a macro.

    check_initialisers.py SOURCE INCLUDE RUN(0|1) CC... -- CXX..."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-pedantic-errors", "-Wmissing-field-initializers", "-Wconversion", "-Werror"]
OF_ONE = {"c": ["-Wstrict-prototypes", "-Wc++-compat"], "c++": ["-Wzero-as-null-pointer-constant"]}
CASES = [("c", std) for std in ("c99", "c11", "c17")] + [("c++", std) for std in ("c++11", "c++14", "c++17", "c++20")]

# These the library makes, and hands to a callback.
OF_THE_LIBRARY = {"nb_session_info"}


def structs(include):
    """Those that begin with `size`."""
    for header in ("client.h", "agent.h"):
        text = (include / "nodebeat" / header).read_text()
        yield from re.findall(r"typedef struct (nb_\w+) \{\s*uint32_t size;", text)


def main():
    source, include, run = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1"
    split = sys.argv.index("--")
    compilers = {"c": sys.argv[4:split], "c++": sys.argv[split + 1:]}
    text = source.read_text()
    made = set(structs(include)) - OF_THE_LIBRARY
    if len(made) < 8:
        sys.exit(f"too few structs found: {made}")
    for name in made:
        if f"CHECK({name}, {name.upper()}_INIT);" not in text:
            sys.exit(f"{source.name} does not look at {name.upper()}_INIT")
    with tempfile.TemporaryDirectory() as folder:
        for language, std in CASES:
            warnings = [*WARNINGS, *OF_ONE[language]]
            program = f"{folder}/made"
            done = subprocess.run([*compilers[language], "-x", language, f"-std={std}", *warnings, f"-I{include}",
                                   str(source), "-o", program], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{language} -std={std}:\n{done.stderr}")
            if run and (faults := subprocess.run([program]).returncode):
                sys.exit(f"{language} -std={std}: {faults} structs are not zero behind their size")


if __name__ == "__main__":
    main()
