"""The servers that a cell may have: this computer's own, and those in trees of other Debian releases
($NODEBEAT_TEST_REDIS_TREES, folders with colons between them; ./dev test makes them)."""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path


def _in_trees(name):
    for tree in filter(None, os.environ.get("NODEBEAT_TEST_REDIS_TREES", "").split(":")):
        program = Path(tree) / "usr/bin" / name
        loaders = list(Path(tree).glob("usr/lib/*/ld-linux*.so.*"))
        if program.exists() and loaders:
            yield (loaders[0], "--library-path", loaders[0].parent, program)


@functools.lru_cache(maxsize=None)
def find(name, major):
    """The command that starts `name` ("redis" or "valkey") of that version; None: not here."""
    own = shutil.which(f"{name}-server")
    for command in ([(own,)] if own else []) + list(_in_trees(f"{name}-server")):
        done = subprocess.run(
            [*map(str, command), "--version"], capture_output=True, text=True, timeout=10
        )
        if re.search(rf"server v={major}\.", done.stdout):
            return command
    return None
