"""The client's side of the socket, without the socket (include/nodebeat/PROTOCOL.md).

A Conversation makes the lines that go to the agent and understands those that come. It lives longer than
a connection: it knows what each new one begins with, which is the hello, the will, the subscriptions and
the watch. The blocking and the asyncio client differ only in how they move bytes and wait.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, Protocol

from nodebeat.errors import (CallError, ConnectionLost, Forbidden, NodebeatError, NotPermitted, WrongProtocol,
                             error_of)

DEFAULT_SOCKET: Final = "/run/nodebeat/agent.sock"
VERSION: Final = 1
# The longest line that an agent accepts before it has reported its limits (1.3).
FIRST_LINE_BYTES: Final = 4096
MOST_NESTED: Final = 64  # lists and objects within each other, in a line (1.4)
_MOST_BITS: Final = 1023  # of an integer that is a double for certain

Params = Mapping[str, object]
Result = dict[str, Any]

_encode: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def utc_now() -> str:
    """The time as the cell writes it: 2026-11-20T14:03:07.123456."""
    return datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")


def socket_path(path: str | os.PathLike[str] | None = None) -> str:
    """The agent's socket: `path`, else $NODEBEAT_SOCKET, else /run/nodebeat/agent.sock."""
    return os.fsdecode(path) if path is not None else os.environ.get("NODEBEAT_SOCKET") or DEFAULT_SOCKET


def to_json(value: object, place: str = "the value") -> str:
    """Compact JSON of a value that goes into the params of a call. ValueError, with the place, for a value that the
    protocol's JSON does not have (1.4); TypeError for a value that is no JSON."""
    _refuse_no_json(value, place, 3)
    return _encode(value)


def line(method: str, params: Params | None = None, call_id: int | None = None) -> bytes:
    """One call as it goes to the agent; without an id it is a notification. ValueError and TypeError as to_json()."""
    _refuse_no_json(params, "", 2)
    return checked_line(method, params, call_id)


def checked_line(method: str, params: Params | None = None, call_id: int | None = None) -> bytes:
    """The same of params that have been looked at."""
    text = f'{{"jsonrpc":"2.0","method":{_encode(method)}'
    if params:
        text += f',"params":{_encode(params)}'
    text += "}\n" if call_id is None else f',"id":{call_id}}}\n'
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text has an unpaired surrogate, which UTF-8 does not have") from None


def _refuse_no_json(value: object, place: str, depth: int) -> None:
    """Raises for a value that Python's json would write and the agent refuses with an answer that belongs to no call.
    depth: of a list or an object at this place, in the line."""
    path: list[str] = []
    if words := _fault(value, depth, path):
        where = (place + "".join(reversed(path))).removeprefix(".") or "the call"
        raise ValueError(f"{where if len(where) < 100 else where[:97] + '...'} {words}")


def _fault(value: object, depth: int, path: list[str]) -> str | None:
    """The mistake in the value, if there is one; `path` gets the way to it, backwards."""
    if isinstance(value, str):
        return "has a NUL (U+0000), which the agent does not take" if "\0" in value else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}: JSON has no such number"
    if isinstance(value, int):
        return None if _is_double(value) else "is an integer that no double holds"
    if not isinstance(value, (dict, list, tuple)):
        return None  # None, or what json refuses
    if depth > MOST_NESTED:
        return f"is nested too deep: a call may have {MOST_NESTED} levels"
    if isinstance(value, dict):
        return _fault_of_object(value, depth, path)
    for i, each in enumerate(value):
        if words := _fault(each, depth + 1, path):
            path.append(f"[{i}]")
            return words
    return None


def _fault_of_object(value: dict[Any, object], depth: int, path: list[str]) -> str | None:
    if not all(isinstance(name, str) for name in value):
        names = [name if isinstance(name, str) else next(iter(json.loads(_encode({name: 0})))) for name in value]
        if twice := {name for name in names if names.count(name) > 1}:
            return f"has the name {min(twice)!r} twice: in JSON each name is a text"
    for name, each in value.items():
        if words := _fault(name, depth, []) or _fault(each, depth + 1, path):
            path.append(f".{name!r}" if isinstance(name, str) and "\0" in name else f".{name}")
            return words
    return None


def _is_double(value: int) -> bool:
    if value.bit_length() <= _MOST_BITS:
        return True
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


# --- messages that are no answers -----------------------------------------------------------------


@dataclass(slots=True)
class Event:
    """A message of a subscription (PROTOCOL.md, 3.4.2)."""

    channel: str
    event: Any  # JSON; None with `text` or `omitted_bytes`
    pattern: str | None = None  # by which it came
    remote: bool = False  # from another computer or program
    id: str | None = None  # of its entry, if it came by a replay
    node: str | None = None  # that recorded it, if it came by a replay
    text: str | None = None  # a message that is no JSON
    omitted_bytes: int | None = None  # the size of one that is too long for a line


@dataclass(slots=True)
class Gap:
    """Messages may have been missed: read the important data again (3.4.3, 3.4.5.2)."""

    from_: str | None = None  # timestamps, UTC
    to: str | None = None
    lost: int | None = None  # how many this client had no room for
    stream: str | None = None  # a replay's, that no longer holds what lies between `after` and `before`
    after: str | None = None
    before: str | None = None
    reconnected: bool = False  # the connection to the agent was broken


@dataclass(slots=True)
class Replayed:
    """All that was recorded has come, of the replay with this `mark` (3.4.5.5)."""

    mark: str


@dataclass(slots=True)
class StateChange:
    """A key of `state.watch` has this value (3.3.5)."""

    key: str
    source: str  # "agent" or "redis"
    value: Any = None
    deleted: bool = False
    unreadable: str | None = None  # why its value cannot be told


@dataclass(slots=True)
class StateReady:
    """All present values of `state.watch` were reported."""

    keys: int
    left_out: bool = False


@dataclass(slots=True)
class StateStale:
    """Changes of others may be missing until StateReady comes again."""


@dataclass(slots=True)
class Refusal:
    """A notification, or a part of what a reconnect restores, was refused (2.6)."""

    method: str
    error: CallError


Notice = Event | Gap | Replayed | StateChange | StateReady | StateStale | Refusal


def _event(p: Mapping[str, Any]) -> Event:
    return Event(p["channel"], p.get("event"), p.get("pattern"), p.get("remote", False), p.get("id"), p.get("node"),
                 p.get("text"), p.get("omitted_bytes"))


def _gap(p: Mapping[str, Any]) -> Gap:
    return Gap(p.get("from"), p.get("to"), p.get("lost"), p.get("stream"), p.get("after"), p.get("before"))


_NOTICES: Final[Mapping[str, Callable[[Mapping[str, Any]], Notice]]] = {
    "event": _event,
    "event.gap": _gap,
    "event.replayed": lambda p: Replayed(p["mark"]),
    "state.change": lambda p: StateChange(p["key"], p["source"], p.get("value"), p.get("deleted", False),
                                          p.get("unreadable")),
    "state.ready": lambda p: StateReady(p["keys"], p.get("left_out", False)),
    "state.stale": lambda p: StateStale(),
    "client.error": lambda p: Refusal(p["method"], error_of(p["error"])),
}


class Inbox:
    """Notices that were not taken yet, at most `limit`. A Gap replaces the notices without room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._notices: collections.deque[Notice] = collections.deque()
        self._lost = 0
        self._lost_from = self._lost_to = ""

    def put(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            if len(self._notices) >= self._limit:
                self._lost_to = utc_now()
                self._lost_from = self._lost_from if self._lost else self._lost_to
                self._lost += 1
                continue
            self._tell_loss()
            self._notices.append(notice)

    def take(self) -> Notice | None:
        """The next one, or None."""
        if not self._notices:
            self._tell_loss()
        return self._notices.popleft() if self._notices else None

    def _tell_loss(self) -> None:
        if self._lost:
            self._notices.append(Gap(self._lost_from, self._lost_to, self._lost))
            self._lost = 0


# --- subscriptions, which outlive their connection ---------------------------------------------------


@dataclass
class _Subscription:
    channels: list[str]
    patterns: list[str]
    replay: Params | None
    after: dict[str, str] = field(default_factory=dict)  # by node: the id of its last event that has come

    def params(self) -> Params:
        replay = self.replay
        if replay is not None and self.after:
            replay = {**replay, "after": self.after}
        found: dict[str, object] = {"channels": self.channels, "patterns": self.patterns, "replay": replay}
        return {name: value for name, value in found.items() if value}

    def note(self, event: Event) -> None:
        """How far the replay is with each node: after a reconnect it goes on from there (3.4.5.4)."""
        if self.replay is None or event.id is None or event.node is None:
            return
        if not self.after:
            given = self.replay.get("after")
            self.after = {str(node): str(id) for node, id in given.items()} if isinstance(given, Mapping) else {}
            # Nothing that comes of the other nodes is older than the first event.
            kept = {name: value for name, value in self.replay.items() if name == "mark"}
            self.replay = {"since": self.replay.get("since", event.id.partition("-")[0]), **kept}
        self.after[event.node] = event.id


def _texts(params: Params, name: str) -> list[str]:
    given = params.get(name) or ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} has to be a list of texts")
    return list(given)


# --- the conversation -----------------------------------------------------------------------------------


class Waiter(Protocol):
    """Something that waits for an answer: a future of concurrent.futures or of asyncio."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...
    def done(self) -> bool: ...


@dataclass(slots=True)
class _Asked:
    """A call without an answer so far. `waiter`: the caller to tell; None if no caller waits any more."""

    method: str
    params: Params
    waiter: Waiter | Callable[[Result | CallError], None] | None


class Conversation:
    """Not thread-safe: whoever moves the bytes guards it.

    begin() makes what a new connection says first, receive() takes what comes, end() tells that the
    connection has gone. `hello` is the agent's answer to the greeting: None as long as there is none.
    receive() may leave something to send in `outgoing`.
    """

    def __init__(self, hello: Params, deadline_ms: int | None) -> None:
        self._hello = dict(hello)
        self._deadline_ms = deadline_ms
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Asked] = {}
        self._rest = b""
        self._subscriptions: list[_Subscription] = []
        self._watch: Params | None = None
        self._notices: list[Notice] = []
        self._lost_at: str | None = None  # when the connection before broke
        self.outgoing = b""
        self.hello: Result | None = None
        self.refused: NodebeatError | None = None  # for good: the will is wrong, the protocol is another one
        self.last_words: CallError | None = None  # that belongs to no call: why the agent closes
        self.malformed = 0  # lines that could not be understood

    @property
    def client_id(self) -> int | None:
        return self.hello["client_id"] if self.hello else None

    # --- saying ---------------------------------------------------------------------------------

    def begin(self) -> bytes:
        """The first lines of a new connection."""
        self._rest = self.outgoing = b""
        self.hello = self.last_words = None
        greeting = self._ask("client.hello", self._hello, self._greeted)
        if self._deadline_ms is not None:
            # In a call of its own: an older agent refuses the deadline, and must not refuse the will with it.
            greeting += self._ask("client.hello", {"deadline_ms": self._deadline_ms}, self._restored("client.hello"))
        return greeting

    def request(self, method: str, params: Params, waiter: Waiter) -> tuple[int, bytes]:
        """The line of a call, whose answer goes to `waiter`; and its id, for forget()."""
        call_id, text = self._ask_as(method, params, waiter)
        limit = (self.hello or {}).get("limits", {}).get("line_bytes", FIRST_LINE_BYTES)
        if len(text) > limit + 1:
            del self._waiting[call_id]
            raise error_of({"code": -32000, "message": f"the call has {len(text) - 1} bytes, and a line at most {limit}",
                            "data": {"name": "too_large", "limit_bytes": limit}})
        return call_id, text

    def forget(self, call_id: int) -> None:
        """The caller no longer waits for that answer."""
        if asked := self._waiting.get(call_id):
            asked.waiter = None

    def _ask(self, method: str, params: Params, on_answer: Callable[[Result | CallError], None]) -> bytes:
        return self._ask_as(method, params, on_answer)[1]

    def _ask_as(self, method: str, params: Params,
                waiter: Waiter | Callable[[Result | CallError], None]) -> tuple[int, bytes]:
        call_id = next(self._ids)
        text = line(method, params, call_id)
        self._waiting[call_id] = _Asked(method, params, waiter)
        return call_id, text

    def _restored(self, method: str, live: bool = False) -> Callable[[Result | CallError], None]:
        def on_answer(answer: Result | CallError) -> None:
            if isinstance(answer, CallError):
                self._notices.append(Refusal(method, answer))
            elif live and self._lost_at is not None:
                self._notices.append(Gap(self._lost_at, utc_now(), reconnected=True))
                self._lost_at = None

        return on_answer

    def _restore(self) -> bytes:
        """Subscriptions and the watch of the connection before."""
        text = b"".join(self._ask("event.subscribe", s.params(), self._restored("event.subscribe", s.replay is None))
                        for s in self._subscriptions)
        if self._watch is not None:
            text += self._ask("state.watch", self._watch, self._restored("state.watch"))
        return text

    def _note(self, method: str, params: Params) -> None:
        """What the next connection has to begin with, after this call was carried out."""
        if method == "client.hello":
            self._deadline_ms = params.get("deadline_ms", self._deadline_ms)  # type: ignore[assignment]
            self._hello.update((k, v) for k, v in params.items() if k != "deadline_ms")
        elif method == "client.goodbye":
            self._hello.pop("will", None)
            self._deadline_ms = None
        elif method == "state.watch":
            self._watch = params
        elif method == "state.unwatch":
            self._watch = None
        elif method == "event.subscribe":
            channels, patterns = _texts(params, "channels"), _texts(params, "patterns")
            replay = params.get("replay")
            if isinstance(replay, Mapping):
                self._drop(channels, patterns)
                self._subscriptions.append(_Subscription(channels, patterns, replay))
            else:
                for s in self._subscriptions:  # what has a replay keeps it
                    channels = [c for c in channels if c not in s.channels]
                    patterns = [p for p in patterns if p not in s.patterns]
                if channels or patterns:
                    self._subscriptions.append(_Subscription(channels, patterns, None))
        elif method == "event.unsubscribe":
            channels, patterns = _texts(params, "channels"), _texts(params, "patterns")
            if channels or patterns:
                self._drop(channels, patterns)
            else:
                self._subscriptions.clear()

    def _drop(self, channels: list[str], patterns: list[str]) -> None:
        for s in self._subscriptions:
            s.channels = [c for c in s.channels if c not in channels]
            s.patterns = [p for p in s.patterns if p not in patterns]
        self._subscriptions = [s for s in self._subscriptions if s.channels or s.patterns]

    # --- hearing --------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Notice]:
        """Takes bytes, however they were cut; gives each answer to its waiter, and returns the notices.

        A line that cannot be understood is skipped and counted.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for text in lines:
            try:
                self._take(json.loads(text))
            except Exception:  # whatever is wrong with a line, the next lines have to be received
                self.malformed += bool(text.strip())
        notices, self._notices = self._notices, []
        return notices

    def _take(self, message: Any) -> None:
        method = message.get("method")
        if method is not None:
            make = _NOTICES.get(method)
            if make is not None:
                notice = make(message["params"])
                if isinstance(notice, Event) and notice.id is not None:
                    self._note_event(notice)
                self._notices.append(notice)
            return
        answer: Result | CallError
        answer = error_of(message["error"]) if "error" in message else message["result"]
        if message["id"] is None:
            if isinstance(answer, CallError):
                self.last_words = answer
            return
        asked = self._waiting.pop(message["id"], None)
        if asked is None:
            return
        waiter = asked.waiter
        if callable(waiter):
            waiter(answer)
            return
        if not isinstance(answer, CallError):
            self._note(asked.method, asked.params)
        if waiter is not None and not waiter.done():
            if isinstance(answer, CallError):
                waiter.set_exception(answer)
            else:
                waiter.set_result(answer)

    def _note_event(self, event: Event) -> None:
        for s in self._subscriptions:
            if event.pattern in s.patterns if event.pattern is not None else event.channel in s.channels:
                return s.note(event)

    def _greeted(self, answer: Result | CallError) -> None:
        if isinstance(answer, CallError):
            if answer.data.get("field") == "max_line_bytes" and self._hello.pop("max_line_bytes", None):
                # An older agent: its lines are short.
                self.outgoing += self._ask("client.hello", self._hello, self._greeted)
            else:
                self.refused = answer  # a name or a will that is wrong now is wrong the next time
        elif answer.get("protocol") != VERSION:
            self.refused = WrongProtocol(
                f"the agent {answer.get('agent_version', '')} speaks protocol {answer.get('protocol')}, and this "
                f"package speaks {VERSION}: bring nodebeat and python3-nodebeat to one version")
        else:
            self.hello = answer
            self.outgoing += self._restore()

    def end(self, why: str) -> list[Notice]:
        """The connection has gone: tells every waiter, and returns the notices for subscribers."""
        words = f"{why}: {self.last_words}" if self.last_words else why
        waiting, self._waiting = list(self._waiting.values()), {}
        for asked in waiting:
            waiter = asked.waiter
            if waiter is not None and not callable(waiter) and not waiter.done():
                waiter.set_exception(ConnectionLost(
                    f"{words}; {asked.method} may have been carried out, or not"))
        if isinstance(self.last_words, Forbidden) and self.hello is None:
            self.refused = self.refused or NotPermitted(str(self.last_words))
        notices, self._notices = self._notices, []
        if self.hello is not None:
            if any(s.replay is None for s in self._subscriptions):
                self._lost_at = self._lost_at or utc_now()
            if self._watch is not None:
                notices.append(StateStale())
        self.hello = None
        return notices
