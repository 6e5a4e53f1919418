"""Sessions with versions, in the interface of existing programs: RedisStateManager, over the agent.

    async with RedisStateManager() as manager:
        await manager.create_session("game-1", {"score": 0})
        state = await manager.get_session("game-1")
        await manager.update_session("game-1", {**state.data, "score": 1}, expected_version=state.version)

Unlike today's, no update is lost, create refuses what exists, update refuses what is gone, and a write is never
applied twice (PROTOCOL.md, 3.6). Client.session() is the shorter way for new programs.
"""

from __future__ import annotations

import enum
import json
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from nodebeat import editing, errors
from nodebeat.aio import Client
from nodebeat.messages import Malformed, time_of
from nodebeat.protocol import Event, Gap, Result

UPDATES = "session-updates"
_T = TypeVar("_T")


class SessionError(Exception):
    """The base of the errors of sessions."""

    def __init__(self, session_id: str, words: str) -> None:
        super().__init__(f"session {session_id!r} {words}")
        self.session_id = session_id


class SessionNotFoundError(SessionError, LookupError):
    """There is no such session."""


class ConcurrencyError(SessionError):
    """The session exists or has another version than was expected. Nothing was changed."""

    def __init__(self, session_id: str, expected_version: int | None, actual_version: int | None) -> None:
        words = "exists" if expected_version is None else f"was expected to have version {expected_version}"
        super().__init__(session_id, f"{words}, and has version {actual_version}")
        self.expected_version = expected_version
        self.actual_version = actual_version


class StateDeserializationError(SessionError, ValueError):
    """The key holds a value that is no session: `stored` is its text, or the beginning of it."""

    def __init__(self, session_id: str, stored: str) -> None:
        super().__init__(session_id, f"is no JSON object with a version: {stored[:80]!r}")
        self.stored = stored


@dataclass
class SessionState:
    """A session: `data` is the programs' own, the rest is the server's."""

    session_id: str
    version: int
    created_at: datetime | None = None  # UTC, with its zone
    updated_at: datetime | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_stored(cls, session_id: str, state: Mapping[str, Any]) -> SessionState:
        """From the object in Redis."""
        return cls(session_id, int(state.get("version", 0)), _time(state.get("created_at")), _time(state.get("updated_at")),
                   {k: v for k, v in state.items() if k not in editing.OWN})


class UpdateKind(enum.Enum):
    """A change of a session."""

    UPDATED = "updated"
    DELETED = "deleted"
    EXPIRED = "expired"  # its time was over


@dataclass
class SessionUpdate:
    """A message on `session-updates`."""

    session_id: str
    kind: UpdateKind
    timestamp: datetime  # UTC, with its zone
    state: SessionState | None = None  # of UPDATED


@dataclass
class WebSocketMessage:
    """A message on `ws:{id}`."""

    session_id: str
    message: Any
    timestamp: datetime  # UTC, with its zone


@dataclass
class UpdatesMissed:
    """Messages may have been missed: read the important data again."""


class RedisStateManager:
    """Each call waits for Redis, at most `timeout` seconds. Beside the errors above it raises those of
    nodebeat.errors: Unavailable (Redis is away, nothing was changed), InDoubt, AgentAway, ...

    ttl_ms: how long a session lives after each write.
    """

    def __init__(self, *, socket: str | os.PathLike[str] | None = None, ttl_ms: int = 3_600_000,
                 timeout: float = 5.0) -> None:
        self._socket = socket
        self._ttl_ms = ttl_ms
        self._client = Client(socket, name="session-manager", timeout=timeout)
        self._malformed = Malformed()

    async def get_session(self, session_id: str) -> SessionState:
        """SessionNotFoundError, StateDeserializationError."""
        found = await self._call("session.get", session_id)
        return SessionState.from_stored(session_id, found["state"])

    async def create_session(self, session_id: str, state: Mapping[str, Any] | None = None) -> SessionState:
        """ConcurrencyError if it exists."""
        deadline = time.monotonic() + self._client.timeout
        await self._call("session.create", session_id, state=dict(state or {}), ttl_ms=self._ttl_ms)
        found = await self._call("session.get", session_id, timeout=max(deadline - time.monotonic(), 0))
        return SessionState.from_stored(session_id, found["state"])

    async def update_session(self, session_id: str, state: Mapping[str, Any] | SessionState,
                             expected_version: int | None = None) -> SessionState:
        """Replaces the whole state. ConcurrencyError if it has another version than was expected; without one
        expected the last writer wins. SessionNotFoundError if it is gone."""
        data = state.data if isinstance(state, SessionState) else dict(state)
        more = {} if expected_version is None else {"expected_version": expected_version}
        done = await self._call("session.update", session_id, state=data, ttl_ms=self._ttl_ms, **more)
        return SessionState(session_id, done["version"], data={k: v for k, v in data.items() if k not in editing.OWN})

    async def delete_session(self, session_id: str, expected_version: int | None = None) -> None:
        """SessionNotFoundError, ConcurrencyError."""
        more = {} if expected_version is None else {"expected_version": expected_version}
        await self._call("session.delete", session_id, **more)

    async def broadcast_to_session(self, session_id: str, message: Any) -> int:
        """Publishes any JSON to the session's subscribers; returns how many subscribers of Redis received it."""
        done = await self._call("session.broadcast", session_id, message=message)
        return int(done["subscribers"])

    async def subscribe_to_updates(self) -> AsyncIterator[SessionUpdate | UpdatesMissed]:
        """The changes of all sessions, whoever makes them."""
        async for update in self._messages(UPDATES, _update):
            yield update

    async def subscribe_to_websocket(self, session_id: str) -> AsyncIterator[WebSocketMessage | UpdatesMissed]:
        """The broadcasts to one session."""

        def message(body: Mapping[str, Any]) -> WebSocketMessage:
            return WebSocketMessage(session_id, body["message"], time_of(body.get("timestamp")))

        async for update in self._messages(f"ws:{session_id}", message):
            yield update

    async def _messages(self, channel: str, read: Callable[[Mapping[str, Any]], _T]) -> AsyncIterator[_T | UpdatesMissed]:
        async with Client(self._socket, name="session-listener", timeout=math.inf) as client:
            async for notice in client.events(channel):
                if isinstance(notice, Gap):
                    yield UpdatesMissed()
                elif isinstance(notice, Event):
                    try:
                        found = read(notice.event)
                    except Exception as error:  # another program's: it may be anything
                        self._malformed.add(channel, repr(error))
                    else:
                        yield found

    @property
    def malformed(self) -> int:
        """How many malformed messages of other programs were skipped; the log reports them."""
        return self._malformed.count

    async def _call(self, method: str, session_id: str, *, timeout: float | None = None, **params: object) -> Result:
        try:
            return await self._client.call(method, {"session_id": session_id, **params}, timeout=timeout)
        except errors.NotFound:
            raise SessionNotFoundError(session_id, "is not there") from None
        except errors.Conflict as error:
            raise ConcurrencyError(session_id, error.expected, error.actual) from None
        except errors.Corrupt as error:
            raise StateDeserializationError(session_id, str(error.data.get("stored", ""))) from None

    async def close(self) -> None:
        """Ends the connection; iterators of updates and messages end with it."""
        await self._client.close()

    async def __aenter__(self) -> RedisStateManager:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _update(body: Mapping[str, Any]) -> SessionUpdate:
    """ValueError, TypeError and others, if it is none."""
    session_id, when = body["sessionId"], time_of(body.get("timestamp"))
    if not isinstance(session_id, str):
        raise ValueError("its sessionId is no text")
    for kind in (UpdateKind.DELETED, UpdateKind.EXPIRED):
        if body.get(kind.value) is True:
            return SessionUpdate(session_id, kind, when)
    state = SessionState.from_stored(session_id, json.loads(body["state"]))
    return SessionUpdate(session_id, UpdateKind.UPDATED, when, state)
