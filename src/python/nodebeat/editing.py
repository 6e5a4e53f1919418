"""A session that is read, changed and written back, also where another writer was faster.

The body of a `with` runs once. If another writer was faster, its effect is carried over to the newer state:
keys that the body set or deleted are set or deleted there, and `s["x"] += 1` adds there. That is right as
long as the body has seen nothing that has changed since: else the Conflict reaches the caller. So a body
that decides by what it reads never overwrites what it has not seen; client.session_change() runs a function
again instead.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeVar

from nodebeat.errors import Conflict, ConnectionLost, DeadlineExceeded, InDoubt, NodebeatError, NotFound

OWN: Final = ("session_id", "version", "created_at", "updated_at")  # the server's members of a state
WHOLE: Final = object()  # stands for "all keys" among what was seen
NOT_THERE: Final = -1  # the version of a session that does not exist yet

Change = Callable[[dict[str, Any]], Mapping[str, Any] | None]


class _Term:
    """A number as it was read, and what has been added to it since. It counts as seen until it is written
    back under its key, and for ever if it was used for anything but adding."""

    key: str
    added: int | float
    edit: SessionEdit
    read: object  # which reading it comes from


def _term(edit: SessionEdit, key: str, value: int | float, added: int | float, read: object) -> Any:
    term = (_IntTerm if isinstance(value, int) else _FloatTerm)(value)
    term.key, term.added, term.edit, term.read = key, added, edit, read
    return term


def _adding(sign: int) -> Callable[[Any, Any], Any]:
    def add(self: Any, other: Any) -> Any:
        value: Any = _plain(self)
        if type(other) in (int, float):
            return _term(self.edit, self.key, value + sign * other, self.added + sign * other, self.read)
        self.edit.seen.add(self.key)
        return value + other if sign > 0 else value - other

    return add


def _seeing(kind: type, name: str) -> Callable[..., Any]:
    plain = getattr(kind, name)

    def method(self: Any, *args: Any) -> Any:
        self.edit.seen.add(self.key)
        return plain(self, *args)

    return method


def _make(kind: type) -> type:
    members: dict[str, Any] = {"__add__": _adding(1), "__radd__": _adding(1), "__sub__": _adding(-1)}
    for name in dir(kind):
        if callable(getattr(kind, name)) and name not in members and name not in (
                "__new__", "__init__", "__class__", "__init_subclass__", "__subclasshook__", "__getattribute__",
                "__setattr__", "__delattr__", "__dir__", "__sizeof__", "__getnewargs__", "__doc__", "__getformat__",
                "__getstate__", "__int__", "__float__", "__index__", "__trunc__", "from_bytes", "fromhex"):
            members[name] = _seeing(kind, name)
    return type(f"_{kind.__name__.capitalize()}Term", (kind, _Term), members)


_IntTerm: Final = _make(int)
_FloatTerm: Final = _make(float)


def _plain(value: Any) -> Any:
    """Without the disguise of a _Term."""
    if isinstance(value, _Term):
        return int.__int__(value) if isinstance(value, int) else float.__float__(value)  # type: ignore[arg-type]
    return value


class SessionEdit(MutableMapping[str, Any]):
    """The state of a session within `with client.session(id) as s`. `version` is the one it was read with, and
    after the block the one that was written."""

    def __init__(self, session_id: str, state: Mapping[str, Any], version: int) -> None:
        self.session_id = session_id
        self.version = version
        self.attempts = 0
        self.seen: set[object] = set()
        self._base = _own_left_out(state)
        self._state = copy.deepcopy(self._base)
        self._added: dict[str, int | float] = {}
        self._open: dict[object, str] = {}  # readings that were not written back: which key each is of

    def __getitem__(self, key: str) -> Any:
        if key not in self._state:
            self.seen.add(key)  # that it is not there
        value = self._state[key]
        if type(value) in (int, float):
            read = object()
            self._open[read] = key
            return _term(self, key, value, self._added.get(key, 0), read)
        self.seen.add(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, _Term) and value.edit is self and value.key == key and (
                key in self._added or self._state.get(key) == self._base.get(key, WHOLE)):
            self._added[key] = value.added
            self._open.pop(value.read, None)
        else:
            self._added.pop(key, None)
        self._state[key] = _plain(value)

    def __delitem__(self, key: str) -> None:
        del self._state[key]
        self._added.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        self.seen.add(WHOLE)
        return iter(self._state)

    def __len__(self) -> int:
        self.seen.add(WHOLE)
        return len(self._state)

    def __contains__(self, key: object) -> bool:
        self.seen.add(key)
        return key in self._state

    def __repr__(self) -> str:
        return f"<session {self.session_id!r}, version {self.version}: {self._state!r}>"

    @property
    def is_changed(self) -> bool:
        return bool(self._added) or self._state != self._base

    def state(self) -> Mapping[str, Any]:
        """What is to be written."""
        return self._state

    def take(self, newer: SessionEdit) -> None:
        """Begins anew with what was read since."""
        self._base, self._state, self.version = newer._base, newer._state, newer.version

    def apply(self, change: Change) -> None:
        """Changes the state by a function, which changes its argument or returns another one."""
        state = copy.deepcopy(self._base)
        made = change(state)
        self._state = state if made is None else dict(made)

    def rebase(self, newer: SessionEdit) -> bool:
        """Carries the changes over to a newer state; false if the body has seen what has changed since."""
        fresh = newer._base
        changed = {k for k in self._base.keys() | fresh.keys()
                   if self._base.get(k, WHOLE) != fresh.get(k, WHOLE)}
        if changed and (WHOLE in self.seen or changed & self.seen or changed & set(self._open.values())):
            return False
        made = dict(fresh)
        added: dict[str, int | float] = {}
        for key in self._base.keys() | self._state.keys():
            if key in self._added:
                if type(fresh.get(key)) not in (int, float):
                    return False
                made[key] = fresh[key] + self._added[key]
                added[key] = self._added[key]
            elif key not in self._state:
                made.pop(key, None)
            elif self._base.get(key, WHOLE) != self._state[key]:
                made[key] = self._state[key]
        self._base, self._state, self._added, self.version = fresh, made, added, newer.version
        return True


def _own_left_out(state: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if k not in OWN}


# --- how it is read and written, without the I/O ------------------------------------------------------

# A call, as (method, params, seconds that it may take), or a pause in seconds. The client that carries the steps out
# sends the result of a call into the generator, or throws the NodebeatError that the call has raised.
Step = tuple[str, dict[str, object], float] | float
_T = TypeVar("_T")
Steps = Generator[Step, Any, _T]


def reading(session_id: str, create: bool, seconds: float) -> Steps[SessionEdit]:
    """Reads a session; with `create` one that is not there is an empty one."""
    try:
        found = yield "session.get", {"session_id": session_id}, seconds
    except NotFound:
        if not create:
            raise
        return SessionEdit(session_id, {}, NOT_THERE)
    return SessionEdit(session_id, found["state"], found["version"])


def changing(session_id: str, change: Change, ttl_ms: int | None, create: bool, seconds: float) -> Steps[dict[str, Any]]:
    """Reads a session, applies a function, and writes the session."""
    deadline = time.monotonic() + seconds
    edit = yield from reading(session_id, create, seconds)
    edit.apply(change)
    yield from _writing(edit, change, ttl_ms, create, deadline)
    return {"version": edit.version, "state": edit.state()}


def writing(edit: SessionEdit, ttl_ms: int | None, create: bool, seconds: float) -> Steps[None]:
    """Writes what a `with` block has changed."""
    if edit.is_changed or edit.version == NOT_THERE:
        yield from _writing(edit, None, ttl_ms, create, time.monotonic() + seconds)


def _writing(edit: SessionEdit, change: Change | None, ttl_ms: int | None, create: bool, deadline: float) -> Steps[None]:
    """A change is never applied twice (client.h, nb_session_change): a write whose outcome is in doubt goes again as it
    was, with the same expected version, of which at most one can be carried out."""
    in_doubt: NodebeatError | None = None
    while True:
        seconds = max(deadline - time.monotonic(), 0)
        try:
            method, params = _write(edit, ttl_ms, seconds)
            written = yield method, params, seconds
            edit.version = written["version"]
            return
        except NodebeatError as error:
            refusal = error
        edit.attempts += 1
        unknown = isinstance(refusal, (InDoubt, ConnectionLost, DeadlineExceeded))
        in_doubt = refusal if unknown else in_doubt
        faster = isinstance(refusal, Conflict) or (isinstance(refusal, NotFound) and create)
        if time.monotonic() >= deadline or not (unknown or (faster and in_doubt is None)):
            if in_doubt is not None:
                raise _in_doubt(in_doubt) from refusal
            raise refusal
        # A pause of random length, so that two writers do not meet again.
        yield random.uniform(0, min(0.001 * 2 ** min(edit.attempts, 6), 0.05))
        if unknown:
            continue
        fresh = yield from reading(edit.session_id, create, max(deadline - time.monotonic(), 0))
        if change is not None:
            edit.take(fresh)
            edit.apply(change)
        elif not edit.rebase(fresh):
            raise refusal


def _write(edit: SessionEdit, ttl_ms: int | None, seconds: float) -> tuple[str, dict[str, object]]:
    # The agent is given a little less time, so that its word on what became of the write comes in time.
    params: dict[str, object] = {"session_id": edit.session_id, "state": edit.state(),
                                 "timeout_ms": max(1, min(int(seconds * 900), 2000))}
    if ttl_ms is not None:
        params["ttl_ms"] = ttl_ms
    if edit.version == NOT_THERE:
        return "session.create", params
    return "session.update", params | {"expected_version": edit.version}


def _in_doubt(error: Exception) -> InDoubt:
    if isinstance(error, InDoubt):
        return error
    return InDoubt(-32013, f"the write may have been carried out: read the session again ({error})", {"name": "in_doubt"})
