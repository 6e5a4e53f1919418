"""A session that is read, changed and written back, also where another writer was faster.

The body of a `with` runs once. If another writer was faster, its effect is carried over to the newer state:
keys that the body set or deleted are set or deleted there, and what s.add("x", 1) added is added there. That is
right as long as the body has seen nothing that has changed since: else the Conflict reaches the caller. Whatever the
body has read counts as seen, also in `s["x"] += 1`: what was read may have gone anywhere, as a ticket does in
`n = s["next"]; s["next"] = n + 1`. So a body that decides by what it reads never overwrites what it has not seen;
client.session_change() runs a function again instead.
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

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return self._state[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._added.pop(key, None)
        self._state[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self._state:
            self.seen.add(key)
        del self._state[key]
        self._added.pop(key, None)

    def add(self, key: str, number: int | float) -> None:
        """Adds to a number that is there, and has not read it: if another writer was faster, the same is added to the
        newer number. Returns nothing, since what it returned would have been read."""
        if key not in self._state:
            raise KeyError(key)
        value = self._state[key]
        for each in (value, number):
            if type(each) not in (int, float):
                raise TypeError(f"{each!r} is no number, to be added to or to add")
        if key in self._added or _same(value, self._base.get(key, WHOLE)):
            self._added[key] = self._added.get(key, 0) + number
        self._state[key] = value + number

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
        return bool(self._added) or not _same(self._state, self._base)

    def state(self) -> Mapping[str, Any]:
        """The state to write."""
        return self._state

    def take(self, newer: SessionEdit) -> None:
        """Begins again with a state that was read later."""
        self._base, self._state, self.version = newer._base, newer._state, newer.version

    def apply(self, change: Change) -> None:
        """Changes the state by a function, which changes its argument or returns another one."""
        state = copy.deepcopy(self._base)
        made = change(state)
        self._state = state if made is None else dict(made)

    def rebase(self, newer: SessionEdit) -> bool:
        """Applies the changes to a newer state; false if the body has read a member that has changed since."""
        fresh = newer._base
        changed = {k for k in self._base.keys() | fresh.keys()
                   if not _same(self._base.get(k, WHOLE), fresh.get(k, WHOLE))}
        if changed and (WHOLE in self.seen or changed & self.seen):
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
            elif not _same(self._base.get(key, WHOLE), self._state[key]):
                made[key] = self._state[key]
        self._base, self._state, self._added, self.version = fresh, made, added, newer.version
        return True


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: for Python 1, 1.0 and True are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


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
    """Writes the changes of a `with` block."""
    if edit.is_changed or edit.version == NOT_THERE:
        yield from _writing(edit, None, ttl_ms, create, time.monotonic() + seconds)


def _writing(edit: SessionEdit, change: Change | None, ttl_ms: int | None, create: bool, deadline: float) -> Steps[None]:
    """A change is never applied twice (client.h, nb_session_change): a write whose outcome is in doubt is sent again
    unchanged, with the same expected version. At most one of the two can be carried out."""
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
    # The agent is given a little less time, so that its report about the write comes in time.
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
