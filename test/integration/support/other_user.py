"""Another user than root, for tests that root runs."""

import contextlib
import os
from pathlib import Path

NOBODY = 65534


def open_to_others(folder):
    """Lets every user pass through the folder and those above it. pytest keeps its own folders for their owner."""
    for each in (Path(folder), *Path(folder).parents):
        if each.stat().st_uid == 0 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)


@contextlib.contextmanager
def as_nobody(agent):
    """Connections to `agent` that are made meanwhile are another user's."""
    os.chmod(agent.socket_path, 0o666)
    open_to_others(Path(agent.socket_path).parent)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
