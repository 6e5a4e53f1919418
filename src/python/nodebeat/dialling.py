"""What both clients share beside the protocol: how to connect, when to try again, and what a fork ends."""

from __future__ import annotations

import os
import random
import socket
import weakref
from typing import Final, Protocol

from nodebeat.errors import why_away

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
READ_BYTES: Final = 1 << 18
LINE_BYTES: Final = 1 << 20  # of the agent, the most that the protocol has
QUEUED_NOTICES: Final = 65536
UNSENT_BYTES: Final = 1 << 20  # for an agent that does not read; a further call waits
DEFAULT_TIMEOUT_S: Final = 5.0
GOODBYE_S: Final = 1.0


def connect(path: str) -> socket.socket:
    """A connected, non-blocking socket; never waits. OSError as it comes."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def dial(path: str) -> socket.socket:
    """The same; AgentAway says why there is none, and what to do."""
    try:
        return connect(path)
    except OSError as error:
        raise why_away(path, error) from None


class Pauses:
    """Seconds between two tries to connect: doubled each time, with a random part, up to a cap."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_S

    def next(self) -> float:
        pause = self._next
        self._next = min(2 * pause, LONGEST_PAUSE_S)
        return pause * random.uniform(0.5, 1)

    def reset(self) -> None:
        self._next = FIRST_PAUSE_S


class Forkable(Protocol):
    """What has to let go of its connection in a child."""

    def on_fork(self) -> None: ...


_alive: weakref.WeakSet[Forkable] = weakref.WeakSet()


def keep_from_children(thing: Forkable) -> None:
    """thing.on_fork() is called in each child of fork(): a child holds no connection of its parent, which would
    hide from the agent that the parent has died."""
    _alive.add(thing)


def _after_fork() -> None:
    for thing in list(_alive):
        thing.on_fork()


os.register_at_fork(after_in_child=_after_fork)
