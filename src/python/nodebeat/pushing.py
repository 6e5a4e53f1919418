"""The rules of a Robot's pushes, which hold over libnodebeat (nodebeat.library) and in pure Python
(nodebeat.python_pusher).
"""

from __future__ import annotations

import abc
import json
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from nodebeat.errors import Closed, Forked
from nodebeat.numbers import Lists
from nodebeat.protocol import to_json

RECONNECT_S: Final = 0.1


class Pushed(Enum):
    """The result of a push."""

    SENT = "sent"  # given to the agent's socket
    KEPT = "kept"  # the agent is away or busy: it goes out when it can
    LOST = "lost"  # an event for which there is no room here, since the agent has been away for too long


@dataclass(slots=True)
class RobotStats:
    """Counters of a Robot since it was made, as they were when stats() was called."""

    connected: bool = False
    pushed: int = 0  # taken
    sent: int = 0  # messages given to the agent, repeated ones included
    kept: int = 0  # pushes that could not be sent at once
    coalesced: int = 0  # pushes that went into a kept one
    lost: int = 0  # events for which there was no room
    rejected: int = 0  # that the agent refused
    connects: int = 0
    disconnects: int = 0


class Pusher(abc.ABC):
    """The base of a Robot: libnodebeat (nodebeat.library) or PythonPusher. Both keep these rules.

    After close() a push, dispatch() and flush() raise Closed; stats() and last_error() keep their last values. In a child
    of fork() all but close() raise Forked. close() may be called while other threads are in a push, or by a signal
    handler that has interrupted a push: then the connection is closed at the end of the last such push.
    """

    @abc.abstractmethod
    def push_state(self, lists: Lists, is_connected_l: bool | None, is_connected_r: bool | None,
                   rest: Mapping[str, Any], /) -> Pushed: ...
    @abc.abstractmethod
    def start_stroke(self, params: Mapping[str, Any], /) -> Pushed: ...
    @abc.abstractmethod
    def update_stroke(self, params: Mapping[str, Any], /) -> Pushed: ...
    @abc.abstractmethod
    def end_stroke(self) -> Pushed: ...
    @abc.abstractmethod
    def error(self, category: str, message: str, details: Mapping[str, object] | None, /) -> Pushed: ...
    @abc.abstractmethod
    def publish(self, channel: str, event: Mapping[str, object], /) -> Pushed: ...
    @abc.abstractmethod
    def dispatch(self) -> bool: ...
    @abc.abstractmethod
    def stats(self) -> RobotStats: ...
    @abc.abstractmethod
    def last_error(self) -> str: ...
    @abc.abstractmethod
    def close(self, goodbye: bool) -> None: ...
    @abc.abstractmethod
    def wanted(self) -> tuple[int, int]:
        """The descriptor, or -1, and the events of poll() after which dispatch() has something to do."""

    def is_interrupted(self) -> bool:
        """Whether the caller is a signal handler that has interrupted a push, which cannot go on before it."""
        return False

    def flush(self, seconds: float) -> bool:
        """Waits in Python, and holds no lock: close(), a signal handler and other threads may come meanwhile."""
        deadline = time.monotonic() + seconds
        while not self.dispatch():
            left = deadline - time.monotonic()
            if left <= 0 or self.is_interrupted():
                return False
            poll = select.poll()
            fd, events = self.wanted()
            if fd >= 0:
                poll.register(fd, events)
            poll.poll(min(left, RECONNECT_S / 4) * 1000)
        return True


def forked() -> Forked:
    return Forked("this Robot belongs to the process that forked this one: open one here")


def closed() -> Closed:
    return Closed("this Robot has been closed")


def json_of(value: Mapping[str, object], place: str) -> Mapping[str, object]:
    """A copy to keep. ValueError and TypeError come from the call that passes a value which is no JSON."""
    copied: dict[str, object] = json.loads(object_text(value, place))
    return copied


def object_text(value: Mapping[str, object], place: str) -> bytes:
    """A JSON object; TypeError if it is no mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"an object with names is needed here, not {value!r}")
    return to_json(dict(value), place).encode()
