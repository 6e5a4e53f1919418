"""The common part of both clients beside the protocol: how to connect, when to try again, and what a fork ends."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import socket
import weakref
from collections.abc import Iterable
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
    """The same; AgentAway says why there is no connection, and what to do."""
    try:
        return connect(path)
    except OSError as error:
        raise why_away(path, error) from None


class Line:
    """A line on its way to a socket. How much of the line the socket has taken is noted within the call that sends: an
    exception out of a signal handler comes before both or after both, so no line is torn by one."""

    __slots__ = ("text", "_taken")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._taken: list[int] = []

    @property
    def is_begun(self) -> bool:
        return bool(self._taken)

    def send(self, sock: socket.socket) -> bool:
        """True if the whole line is sent; BlockingIOError. The unsent rest is also found out within the call: a
        signal handler may send the same line before."""
        if not self.is_sent:
            begins: Iterable[int] = map(sum, (self._taken,))
            rests = map(self.text.__getitem__, map(slice, begins, (None,)))
            self._taken.extend(map(sock.send, rests, (socket.MSG_NOSIGNAL,)))
        return self.is_sent

    def begin(self, sock: socket.socket) -> bool:
        """send(), for a caller that alone has the line, of which nothing is sent."""
        self._taken.extend(map(sock.send, (self.text,), (socket.MSG_NOSIGNAL,)))
        return self._taken[0] == len(self.text)

    @property
    def is_sent(self) -> bool:
        return sum(self._taken) == len(self.text)


class Outgoing:
    """Lines on their way to a socket, in order. A signal handler that has interrupted send() may add a line and call
    send(), which then sends all of them."""

    def __init__(self) -> None:
        self._lines: collections.deque[Line] = collections.deque()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def size(self) -> int:
        """Bytes, with those of a line that is sent in part."""
        return sum(len(line.text) for line in self._lines.copy())

    def add(self, text: bytes) -> None:
        self._lines.append(Line(text))

    def clear(self) -> None:
        self._lines.clear()

    def send(self, sock: socket.socket) -> None:
        """Sends what the socket accepts at once. OSError if the connection is broken."""
        with contextlib.suppress(BlockingIOError, IndexError):  # IndexError: there is no line any more
            while (line := self._lines[0]).send(sock):
                with contextlib.suppress(ValueError):  # a signal handler has sent the line, and taken it out
                    self._lines.remove(line)


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
    """An object that has to drop its connection in a child."""

    def on_fork(self) -> None: ...


_alive: weakref.WeakSet[Forkable] = weakref.WeakSet()


def keep_from_children(thing: Forkable) -> None:
    """thing.on_fork() is called in each child of fork(): a child holds no connection of its parent, which would
    hide from the agent that the parent has died."""
    _alive.add(thing)


def _after_fork() -> None:
    for thing in list(_alive):
        with contextlib.suppress(Exception):  # one that fails must not keep the others from letting go
            thing.on_fork()


os.register_at_fork(after_in_child=_after_fork)
