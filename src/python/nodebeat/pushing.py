"""What a Robot pushes with where libnodebeat is not installed: the same promises, in Python.

Nothing here waits: each system call is non-blocking, and who finds the lock taken leaves the message for who has
it. So a signal handler, a destructor or another thread may push at any time.
"""

from __future__ import annotations

import collections
import json
import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from nodebeat import dialling
from nodebeat.errors import AgentAway, Closed, Forked
from nodebeat.numbers import LISTS, UNSET, Lists, floats
from nodebeat.protocol import FIRST_LINE_BYTES, Conversation, Params, Refusal, line, to_json

EVENT_BYTES: Final = 65536  # of events that wait
RECONNECT_S: Final = 0.1
STATE, STROKE = "robot.update", "stroke.update"
_READ_EVERY: Final = 64  # pushes: the agent's refusals shall not pile up


class Pushed(Enum):
    """What became of a push."""

    SENT = "sent"  # given to the agent's socket
    KEPT = "kept"  # the agent is away or busy: it goes out when it can
    LOST = "lost"  # an event for which there is no room here, since the agent has been away for too long


@dataclass(slots=True)
class RobotStats:
    """Counters of a Robot since it was made."""

    connected: bool = False
    pushed: int = 0  # taken
    sent: int = 0  # messages given to the agent, repeated ones included
    kept: int = 0  # could not be sent at once
    coalesced: int = 0  # kept values that a newer one replaced
    lost: int = 0  # events for which there was no room
    rejected: int = 0  # that the agent refused
    connects: int = 0
    disconnects: int = 0


class Pusher(Protocol):
    """What a Robot stands on: libnodebeat or the class below."""

    def push_state(self, lists: Lists, is_connected_l: bool | None, is_connected_r: bool | None,
                   rest: Mapping[str, Any], /) -> Pushed: ...
    def start_stroke(self, params: Mapping[str, Any], /) -> Pushed: ...
    def update_stroke(self, params: Mapping[str, Any], /) -> Pushed: ...
    def end_stroke(self) -> Pushed: ...
    def error(self, category: str, message: str, details: Mapping[str, object] | None, /) -> Pushed: ...
    def publish(self, channel: str, event: Mapping[str, object], /) -> Pushed: ...
    def dispatch(self) -> bool: ...
    def flush(self, seconds: float) -> bool: ...
    def stats(self) -> RobotStats: ...
    def last_error(self) -> str: ...
    def close(self, goodbye: bool) -> None: ...


class PythonPusher:
    """Keeps of each slot the latest value, and events in order; a slot goes out at the place among the events at
    which it began to wait. After a reconnect the slots go again with all that is known of them."""

    def __init__(self, path: str, hello: Params, deadline_ms: int | None) -> None:
        self._path = path
        self._conversation = Conversation(hello, deadline_ms)
        self._sock: socket.socket | None = None
        self._next_try = 0.0
        self._half = b""  # the rest of what was sent in part
        self._queue: collections.deque[str | bytes] = collections.deque()  # slots by name, events as lines
        self._waiting: set[str] = set()  # the slots that are in it
        self._event_bytes = 0
        self._known: dict[str, dict[str, object]] = {STATE: {}, STROKE: {}}
        self._pending: dict[str, dict[str, object]] = {STATE: {}, STROKE: {}}  # what of it is not sent
        self._inbox: collections.deque[tuple[str, Params]] = collections.deque()
        self._lock = threading.Lock()
        self._stats = RobotStats()
        self._words = ""
        self._unread = 0  # pushes since the agent was read
        self._forked = False
        self._closed = False
        dialling.keep_from_children(self)
        self._enter()

    def push_state(self, lists: Lists, is_connected_l: bool | None, is_connected_r: bool | None,
                   rest: Mapping[str, Any]) -> Pushed:
        params: dict[str, object] = {}
        for name, values in zip(LISTS, lists):
            if values is not UNSET:
                params[name] = None if values is None else floats(name, values).tolist()
        if is_connected_l is not None:
            params["is_connected_l"] = bool(is_connected_l)
        if is_connected_r is not None:
            params["is_connected_r"] = bool(is_connected_r)
        return self._say(STATE, params | _with_time(rest) if rest else params)

    def start_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._say("stroke.start", _with_time(params))

    def update_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._say(STROKE, _with_time(params))

    def end_stroke(self) -> Pushed:
        return self._say("stroke.end", {})

    def error(self, category: str, message: str, details: Mapping[str, object] | None) -> Pushed:
        params: dict[str, object] = {"category": category, "message": message}
        return self._say("error.report", params if details is None else params | {"details": json_of(details)})

    def publish(self, channel: str, event: Mapping[str, object]) -> Pushed:
        return self._say("event.publish", {"channel": channel, "event": json_of(event)})

    def _say(self, method: str, params: Params) -> Pushed:
        if self._closed:
            raise Closed("this Robot has been closed")
        self._inbox.append((method, params))
        return self._enter()

    def dispatch(self) -> bool:
        """Reads and sends what there is; true if nothing is kept."""
        self._unread = _READ_EVERY
        return self._enter() is Pushed.SENT

    def flush(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.dispatch():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll = select.poll()
            if self._sock is not None:
                poll.register(self._sock, select.POLLIN | select.POLLOUT if self._half else select.POLLIN)
            poll.poll(min(left, RECONNECT_S / 4) * 1000)
        return True

    def stats(self) -> RobotStats:
        self.dispatch()
        self._stats.connected = self._sock is not None
        return self._stats

    def last_error(self) -> str:
        self.dispatch()
        return self._words

    def close(self, goodbye: bool) -> None:
        self._closed = True
        if self._sock is None:
            return
        if self._enter() is Pushed.SENT and goodbye and self._sock is not None:
            try:
                self._sock.send(line("client.goodbye"), socket.MSG_NOSIGNAL)
            except OSError:
                pass  # it has gone before
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def on_fork(self) -> None:
        self._forked = True
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    # --- one at a time ----------------------------------------------------------------------------

    def _enter(self) -> Pushed:
        """Does what waits, unless somebody does it already, who will see what has been left there."""
        if self._forked:
            raise Forked("this Robot belongs to the process that forked this one: open one here")
        outcome = Pushed.KEPT
        while self._lock.acquire(blocking=False):
            try:
                outcome = Pushed.SENT
                while self._inbox:
                    taken = self._take(*self._inbox.popleft())
                    outcome = outcome if taken else Pushed.LOST
                self._pump()
                if outcome is Pushed.SENT and (self._queue or self._half):
                    self._stats.kept += 1
                    outcome = Pushed.KEPT
            finally:
                self._lock.release()
            if not self._inbox:
                break
        return outcome

    def _take(self, method: str, params: Params) -> bool:
        self._stats.pushed += 1
        known = self._known.get(method)
        if known is not None:
            pending = self._pending[method]
            for earlier in (known, pending):
                earlier.pop("timestamp", None)  # it was that of the state before
            known.update(params)
            if method not in self._waiting:
                self._queue.append(method)
                self._waiting.add(method)
            elif params.keys() & pending.keys():
                self._stats.coalesced += 1
            pending.update(params)
            return True
        text = line(method, params)
        if self._event_bytes + len(text) > EVENT_BYTES:
            self._stats.pushed -= 1
            self._stats.lost += 1
            return False
        if method in ("stroke.start", "stroke.end"):
            # What waits is of the session before, and goes before this; a later one begins anew.
            if STROKE in self._waiting:
                place = next(i for i, head in enumerate(self._queue) if isinstance(head, str) and head == STROKE)
                self._queue[place] = progress = line(STROKE, self._pending[STROKE])
                self._event_bytes += len(progress)
                self._waiting.remove(STROKE)
                self._pending[STROKE] = {}
            self._known[STROKE] = {}
        self._queue.append(text)
        self._event_bytes += len(text)
        return True

    def _pump(self) -> None:
        try:
            if self._sock is None and not self._connect():
                return
            self._unread += 1
            if self._unread > _READ_EVERY or self._conversation.hello is None:
                self._read()
            while self._sock is not None:
                if self._half:
                    self._half = self._half[self._sock.send(self._half, socket.MSG_NOSIGNAL):]
                    if self._half:
                        return
                if not self._queue:
                    return
                head = self._queue[0]
                text = head if isinstance(head, bytes) else line(head, self._pending[head])
                if self._is_taken_by_agent(text):
                    self._half = text[self._sock.send(text, socket.MSG_NOSIGNAL):]
                    self._stats.sent += 1
                elif self._conversation.hello is None:
                    return
                self._queue.popleft()
                if isinstance(head, bytes):
                    self._event_bytes -= len(text)
                else:
                    self._waiting.remove(head)
                    self._pending[head] = {}
        except BlockingIOError:
            if self._unread > 1:
                self._read()  # a client that does not read is not read (1.7)
        except OSError as error:
            self._lose(f"the connection to the agent broke ({error})")

    def _is_taken_by_agent(self, text: bytes) -> bool:
        hello = self._conversation.hello
        limit = FIRST_LINE_BYTES if hello is None else hello.get("limits", {}).get("line_bytes", FIRST_LINE_BYTES)
        if len(text) <= limit + 1:
            return True
        if hello is not None:
            self._stats.rejected += 1
            self._words = f"a message of {len(text) - 1} bytes is too long: the agent takes lines of at most {limit}"
        return False

    def _connect(self) -> bool:
        now = time.monotonic()
        if now < self._next_try or self._closed:
            return False
        self._next_try = now + RECONNECT_S
        try:
            self._sock = dialling.dial(self._path)
        except (AgentAway, OSError) as error:
            self._words = str(error)
            return False
        self._stats.connects += 1
        self._half = self._conversation.begin()
        for slot, known in self._known.items():
            if known:
                self._pending[slot] = dict(known)
                if slot not in self._waiting:
                    self._queue.appendleft(slot)
                    self._waiting.add(slot)
        return True

    def _read(self) -> None:
        self._unread = 0
        try:
            while self._sock is not None:
                data = self._sock.recv(dialling.READ_BYTES)
                if not data:
                    self._lose("the agent has closed the connection")
                    return
                for notice in self._conversation.receive(data):
                    if isinstance(notice, Refusal):
                        self._stats.rejected += notice.error.data.get("count", 1)
                        self._words = f"{notice.method}: {notice.error}"
                refused = self._conversation.refused or self._conversation.last_words
                if refused is not None:
                    self._words = str(refused)
                if len(data) < dialling.READ_BYTES:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the connection to the agent broke ({error})")

    def _lose(self, why: str) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self._stats.disconnects += 1
        self._half = b""
        words = self._conversation.last_words
        self._words = f"{why}: {words}" if words else why
        self._conversation.end(why)


def json_of(value: Mapping[str, object]) -> Mapping[str, object]:
    """ValueError and TypeError come from the call that brings what is no JSON; and what is kept is a copy."""
    copied: dict[str, object] = json.loads(to_json(value).encode())
    return copied


def _with_time(params: Mapping[str, Any]) -> dict[str, object]:
    found = dict(params)
    if "timestamp_us" in found:
        seconds, microseconds = divmod(found.pop("timestamp_us"), 1_000_000)
        found["timestamp"] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{microseconds:06}"
    return found
