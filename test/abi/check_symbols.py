#!/usr/bin/env python3
"""The symbols that a header declares, its version script lists and its library exports are one set."""

import re
import subprocess
import sys


def declared(header):
    text = re.sub(r"/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.S)
    return set(re.findall(r"^NB_API\s[^;]*?\b(nb_\w+)\(", text, flags=re.M))


def listed(script):
    text = re.sub(r"#.*", "", open(script, encoding="utf-8").read())
    return set(re.findall(r"\b(nb_\w+);", text))


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    symbols = set()
    for line in out.splitlines():
        _, kind, name = line.split()[-3:]
        if kind != "A":  # the version node itself
            symbols.add(name.split("@")[0])
    return symbols


def main():
    header, script, library = sys.argv[1:]
    sets = {"declared": declared(header), "listed": listed(script), "exported": exported(library)}
    if not sets["declared"]:
        sys.exit(f"{header}: no declaration found")
    everything = set.union(*sets.values())
    wrong = False
    for name in sorted(everything):
        missing = [what for what, symbols in sets.items() if name not in symbols]
        if missing:
            wrong = True
            print(f"{name}: not {' and not '.join(missing)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
