#!/usr/bin/env python3
"""A file needs libc and no other: neither libstdc++ nor what brings threads or numbers of its own."""

import re
import subprocess
import sys

ALLOWED = re.compile(r"^(libc\.so\.\d+|ld-linux[\w-]*\.so\.\d+)$")


def main():
    out = subprocess.run(["readelf", "-d", sys.argv[1]], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", out)
    if not needed:
        sys.exit(f"{sys.argv[1]}: needs nothing, not even libc: that is not what readelf should say")
    wrong = [name for name in needed if not ALLOWED.match(name)]
    if wrong:
        sys.exit(f"{sys.argv[1]} needs {', '.join(wrong)}")


if __name__ == "__main__":
    main()
