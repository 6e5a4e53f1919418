"""A Robot uses this where libnodebeat is not installed: the same promises, in Python.

No push waits: each system call is non-blocking, and a caller that finds the lock taken leaves its message for the
one that has the lock. So a signal handler, a destructor or another thread may push at any time.
"""

from __future__ import annotations

import collections
import dataclasses
import select
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from nodebeat import dialling, pushing
from nodebeat.errors import why_away
from nodebeat.numbers import LISTS, NULL, Lists, gather
from nodebeat.protocol import FIRST_LINE_BYTES, Conversation, Params, Refusal, checked_line as line, to_json
from nodebeat.pushing import Pushed, Pusher, RobotStats, closed, forked, json_of

EVENT_BYTES: Final = 65536  # of events that wait
STATE, STROKE = "robot.update", "stroke.update"
_READ_EVERY: Final = 64  # pushes, so that the agent's refusals do not pile up
_STATE_BEGIN: Final = line(STATE)[:-2]
_SLOT_BEGINS: Final = {slot: f'{{"jsonrpc":"2.0","method":"{slot}","params":{{' for slot in (STATE, STROKE)}
_BOOL: Final = {False: "false", True: "true"}


class _Message(dialling.Line):
    """`head`: the part of the queue from which it was made, until that part is taken out of the queue."""

    __slots__ = ("head",)

    def __init__(self, text: bytes, head: str | bytes | None) -> None:
        super().__init__(text)
        self.head = head


class PythonPusher(Pusher):
    """Keeps of each slot the latest value, and events in order; a slot goes out at the place among the events at
    which it began to wait. After a reconnect the slots go again with all that is known of them."""

    def __init__(self, path: str, hello: Params, deadline_ms: int | None) -> None:
        self._path = path
        self._conversation = Conversation(hello, deadline_ms)
        self._sock: socket.socket | None = None
        self._next_try = 0.0
        self._greeting: dialling.Line | None = None  # that has not gone out yet
        self._current: _Message | None = None  # that has gone out in part
        self._queue: collections.deque[str | bytes] = collections.deque()  # slots by name, events as lines
        self._waiting: set[str] = set()  # the slots that are in it
        self._event_bytes = 0
        # Each member as JSON, with its name.
        self._known: dict[str, dict[str, str]] = {STATE: {}, STROKE: {}}
        self._pending: dict[str, dict[str, str]] = {STATE: {}, STROKE: {}}  # what of it is not sent
        # Slots with their members as JSON, events with their params.
        self._inbox: collections.deque[tuple[str, Mapping[str, Any]]] = collections.deque()
        self._lock = threading.Lock()
        self._owner = 0  # the thread that has it
        self._stats = RobotStats()
        self._trouble: object = ""  # the words, or an OSError of connect(), which are made when they are asked for
        self._refused: Exception | None = None  # of the hello, as it was told last
        self._unread = 0  # pushes since the agent was read
        self._forked = False
        self._closed = False  # nothing more is taken
        self._finished = False  # and the connection is gone
        self._goodbye = False
        dialling.keep_from_children(self)
        self._enter()

    def __del__(self) -> None:
        # Dropped without close(): no goodbye, as when the process dies.
        if hasattr(self, "_goodbye"):
            self.close(False)

    def push_state(self, lists: Lists, is_connected_l: bool | None, is_connected_r: bool | None,
                   rest: Mapping[str, Any]) -> Pushed:
        numbers, lengths = gather(lists)
        members: dict[str, str] = {}
        begin = 0
        for name, length in zip(LISTS, lengths):
            if length >= 0:
                # Python's text for a list of finite doubles is JSON, and takes less time than json does.
                members[name] = f'"{name}":{numbers[begin:begin + length]}'
                begin += length
            elif length == NULL:
                members[name] = f'"{name}":null'
        if is_connected_l is not None:
            members["is_connected_l"] = f'"is_connected_l":{_BOOL[bool(is_connected_l)]}'
        if is_connected_r is not None:
            members["is_connected_r"] = f'"is_connected_r":{_BOOL[bool(is_connected_r)]}'
        if rest:
            members |= _members(rest)
        return self._say(STATE, members)

    def start_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._say("stroke.start", _with_time(params))

    def update_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._say(STROKE, _members(params))

    def end_stroke(self) -> Pushed:
        return self._say("stroke.end", {})

    def error(self, category: str, message: str, details: Mapping[str, object] | None) -> Pushed:
        params: dict[str, object] = {"category": category, "message": message}
        return self._say("error.report", params if details is None else params | {"details": json_of(details, "details")})

    def publish(self, channel: str, event: Mapping[str, object]) -> Pushed:
        return self._say("event.publish", {"channel": channel, "event": json_of(event, "event")})

    def _say(self, method: str, params: Mapping[str, Any]) -> Pushed:
        self._refuse_if_over()
        self._inbox.append((method, params))
        return self._enter()

    def dispatch(self) -> bool:
        """Reads, and sends the kept messages; true if nothing is kept."""
        self._refuse_if_over()
        self._unread = _READ_EVERY
        self._enter()
        return not (self._inbox or self._is_waiting())

    def wanted(self) -> tuple[int, int]:
        sock = self._sock
        return (-1, 0) if sock is None else (
            sock.fileno(), select.POLLIN | select.POLLOUT if self._greeting or self._current else select.POLLIN)

    def is_interrupted(self) -> bool:
        return self._lock.locked() and self._owner == threading.get_ident()

    def stats(self) -> RobotStats:
        self._look()
        return dataclasses.replace(self._stats, connected=self._sock is not None)

    def last_error(self) -> str:
        self._look()
        trouble = self._trouble
        return str(why_away(self._path, trouble) if isinstance(trouble, OSError) else trouble)

    def close(self, goodbye: bool) -> None:
        if self._finished or self._forked:
            return
        if not self._closed:
            self._goodbye = goodbye
            self._closed = True
        self._enter()

    def on_fork(self) -> None:
        self._forked = True
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _refuse_if_over(self) -> None:
        if self._forked:
            raise forked()
        if self._closed:
            raise closed()

    def _look(self) -> None:
        """Reads the agent's refusals, unless another caller has the lock."""
        if self._forked:
            raise forked()
        if not self._lock.locked():
            with self._lock:
                self._owner = threading.get_ident()
                if self._sock is not None:
                    self._read(self._sock)
                if self._sock is not None and (self._current is None or not self._current.is_begun):
                    self._current = self._next_line()  # what turns out to be too long counts as refused

    # --- one at a time ----------------------------------------------------------------------------

    def _enter(self) -> Pushed:
        """Does all that waits to be done. If another caller does so now, that caller will find what was left there."""
        outcome = Pushed.KEPT
        # After acquire() an exception out of a signal handler could come before a `try`; after `with` it cannot. If another
        # thread takes the lock between these two lines, this one waits for a few non-blocking system calls.
        while not self._lock.locked():
            with self._lock:
                self._owner = threading.get_ident()
                outcome = self._work()
                if self._closed:
                    self._finish()
            if not self._inbox and self._closed == self._finished:
                break
        return outcome

    def _work(self) -> Pushed:
        return self._pass_on() or self._work_off()

    def _pass_on(self) -> Pushed | None:
        """The usual push: of one slot, while nothing waits. It goes out without being noted in the queue first, which saves
        a third of the time. None, and the message is still in the inbox, if it is another one, or the socket takes nothing."""
        sock, unread = self._sock, self._unread
        if (sock is None or unread >= _READ_EVERY or self._conversation.hello is None or len(self._inbox) != 1
                or self._is_waiting()):
            return None
        method, members = self._inbox[0]
        if method not in _SLOT_BEGINS:
            return None
        text = _slot_line(method, members)
        if len(text) > FIRST_LINE_BYTES:
            return None
        known = self._known[method]
        known.pop("timestamp", None)
        known.update(members)
        message = self._current = _Message(text, None)
        try:
            is_sent = message.begin(sock)
        except OSError:
            self._current = None
            return None
        # With an exception out of a signal handler before this line, the slot goes twice, which does no harm.
        self._inbox.popleft()
        self._unread = unread + 1
        self._stats.pushed += 1
        if not is_sent:
            self._stats.kept += 1
            return Pushed.KEPT
        self._current = None
        self._stats.sent += 1
        return Pushed.SENT

    def _work_off(self) -> Pushed:
        taken, outcome = 0, Pushed.SENT
        if self._current is not None and self._current.is_begun:
            # An exception out of a signal handler has come after the sending; what is new must not go with what is sent.
            self._take_from_queue(self._current)
        while self._inbox:
            method, params = self._inbox.popleft()
            if self._take(method, params):
                taken += 1
            else:
                outcome = Pushed.LOST
        self._pump()
        if taken and self._is_waiting():
            self._stats.kept += taken
            return Pushed.KEPT if outcome is Pushed.SENT else outcome
        return outcome

    def _is_waiting(self) -> bool:
        return bool(self._queue or self._current or self._greeting)

    def _take(self, method: str, params: Mapping[str, Any]) -> bool:
        known = self._known.get(method)
        if known is not None:
            self._stats.pushed += 1
            pending = self._pending[method]
            for earlier in (known, pending):
                earlier.pop("timestamp", None)  # it was that of the state before
            known.update(params)
            if method not in self._waiting:
                self._queue.append(method)
                self._waiting.add(method)
            else:
                self._stats.coalesced += 1
            pending.update(params)
            return True
        text = line(method, params)
        if self._event_bytes + len(text) > EVENT_BYTES:
            self._stats.lost += 1
            return False
        self._stats.pushed += 1
        if method in ("stroke.start", "stroke.end"):
            # What waits is of the session before, and goes before this; a later one begins anew.
            if STROKE in self._waiting:
                place = next(i for i, head in enumerate(self._queue) if isinstance(head, str) and head == STROKE)
                self._waiting.remove(STROKE)
                self._queue[place] = progress = _slot_line(STROKE, self._pending[STROKE])
                self._event_bytes += len(progress)
                self._pending[STROKE] = {}
            self._known[STROKE] = {}
        self._queue.append(text)
        self._event_bytes += len(text)
        return True

    def _pump(self) -> None:
        sock = self._sock or self._connect()
        if sock is None:
            return
        try:
            self._unread += 1
            if self._unread > _READ_EVERY or self._conversation.hello is None:
                self._read(sock)
            self._send(sock)
        except BlockingIOError:
            if self._unread > 1:
                self._read(sock)  # a client that does not read is not read (1.7)
        except OSError as error:
            self._lose(f"the connection to the agent broke ({error})")

    def _send(self, sock: socket.socket) -> None:
        if self._greeting is not None:
            if not self._greeting.send(sock):
                return
            self._greeting = None
        while self._sock is sock:
            current = self._current
            if current is None or not current.is_begun:
                current = self._current = self._next_line()
                if current is None:
                    return
            is_sent = current.send(sock)
            self._take_from_queue(current)
            if not is_sent:
                return
            self._current = None
            self._stats.sent += 1

    def _take_from_queue(self, sent: _Message) -> None:
        head = sent.head
        if isinstance(head, str):
            sent.head = None  # a slot of the same name may come after it; an event is itself only
        if head is not None and self._queue and self._queue[0] is head:
            self._drop_head()
        sent.head = None

    def _drop_head(self) -> None:
        # In this order: an exception out of a signal handler may leave a slot twice in the queue, which does no harm, but
        # must not leave it in _waiting alone, where it would wait for ever.
        head = self._queue[0]
        if isinstance(head, bytes):
            self._event_bytes -= len(head)
        else:
            self._waiting.discard(head)
            self._pending[head] = {}
        self._queue.popleft()

    def _next_line(self) -> _Message | None:
        """The next one that may go now."""
        hello = self._conversation.hello
        while self._queue:
            head = self._queue[0]
            text = head if isinstance(head, bytes) else _slot_line(head, self._pending[head])
            if len(text) <= FIRST_LINE_BYTES + 1:
                return _Message(text, head)
            if hello is None:
                return None
            limit = hello.get("limits", {}).get("line_bytes", FIRST_LINE_BYTES)
            if len(text) <= limit + 1:
                return _Message(text, head)
            self._drop_head()
            self._stats.rejected += 1
            self._trouble = f"a message of {len(text) - 1} bytes is too long: the agent takes lines of at most {limit}"
        self._event_bytes = 0
        return None

    def _connect(self) -> socket.socket | None:
        now = time.monotonic()
        if now < self._next_try or self._closed or self._forked:
            return None
        self._next_try = now + pushing.RECONNECT_S
        try:
            sock = dialling.connect(self._path)
        except OSError as error:
            self._trouble = error
            return None
        self._stats.connects += 1
        # First in a call of its own: that refusals are told must hold although the agent refuses the will or the name.
        self._greeting = dialling.Line(line("client.hello", {"errors": True}) + self._conversation.begin())
        for slot, known in self._known.items():
            if known:
                self._pending[slot] = dict(known)
                if slot not in self._waiting:
                    self._queue.appendleft(slot)
                    self._waiting.add(slot)
        self._sock = sock
        return sock

    def _read(self, sock: socket.socket) -> None:
        self._unread = 0
        try:
            while self._sock is sock:
                data = sock.recv(dialling.READ_BYTES)
                if not data:
                    self._lose("the agent has closed the connection")
                    return
                for notice in self._conversation.receive(data):
                    if isinstance(notice, Refusal):
                        self._stats.rejected += notice.error.data.get("count", 1)
                        self._trouble = f"{notice.method}: {notice.error}"
                refused = self._conversation.refused or self._conversation.last_words
                if refused is not None and refused is not self._refused:
                    self._trouble = self._refused = refused
                if len(data) < dialling.READ_BYTES:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the connection to the agent broke ({error})")

    def _lose(self, why: str) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
            self._stats.disconnects += 1
        current, self._current = self._current, None
        if current is not None and current.is_begun:
            self._take_from_queue(current)
        if current is not None and current.is_begun and not current.is_sent and not current.text.startswith(_STATE_BEGIN):
            # The agent drops half a line. The state goes again by itself, with all that is known.
            self._queue.appendleft(current.text)
            self._event_bytes += len(current.text)
        words = self._conversation.last_words
        self._trouble = f"{why}: {words}" if words else why
        self._conversation.end(why)

    def _finish(self) -> None:
        """Drops the connection, with the lock held. Kept messages have had their chance."""
        sock = self._sock
        if sock is not None and self._goodbye:
            self._read(sock)  # to close with something unread looks like a crash
            torn = self._greeting or (self._current is not None and self._current.is_begun)
            if self._sock is sock and not torn:
                try:
                    sock.send(line("client.goodbye"), socket.MSG_NOSIGNAL)
                except OSError:
                    pass  # it has gone before
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        self._finished = True


def _with_time(params: Mapping[str, Any]) -> dict[str, object]:
    found = dict(params)
    if "timestamp_us" in found:
        seconds, microseconds = divmod(found.pop("timestamp_us"), 1_000_000)
        found["timestamp"] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{microseconds:06}"
    return found


def _members(params: Mapping[str, Any]) -> dict[str, str]:
    """Each of them as JSON, with its name."""
    return {name: f'"{name}":{to_json(value, name)}' for name, value in _with_time(params).items()}


def _slot_line(slot: str, members: Mapping[str, str]) -> bytes:
    if not members:
        return line(slot)
    return f'{_SLOT_BEGINS[slot]}{",".join(members.values())}}}}}\n'.encode()
