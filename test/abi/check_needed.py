#!/usr/bin/env python3
"""A file needs libc and no other: neither libstdc++ nor what brings threads or numbers of its own.

    check_needed.py FILE [SYMBOL...]

Nor are the named symbols linked into it."""

import re
import subprocess
import sys

ALLOWED = re.compile(r"^(libc\.so\.\d+|ld-linux[\w-]*\.so\.\d+)$")


def readelf(option, file):
    return subprocess.run(["readelf", "-W", option, file], check=True, capture_output=True, text=True).stdout


def main():
    file, unwanted = sys.argv[1], set(sys.argv[2:])
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", file))
    if not needed:
        sys.exit(f"{file}: needs nothing, not even libc: that is not what readelf should say")
    wrong = [name for name in needed if not ALLOWED.match(name)]
    if wrong:
        sys.exit(f"{file} needs {', '.join(wrong)}")

    if unwanted:
        names = set(re.findall(r" (?:FUNC|OBJECT|NOTYPE) .* ([^\s@]+)(?:@\S+)?$", readelf("-s", file), re.M))
        if "main" not in names:
            sys.exit(f"{file} has no symbols to look through: is it stripped?")
        if names & unwanted:
            sys.exit(f"{file} has {', '.join(sorted(names & unwanted))} linked in")


if __name__ == "__main__":
    main()
