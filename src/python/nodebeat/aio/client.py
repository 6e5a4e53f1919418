"""The asyncio client."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from typing import NoReturn

from nodebeat import dialling, editing
from nodebeat.errors import (AgentAway, Closed, ConnectionLost, DeadlineExceeded, Forked, NodebeatError, NotFound,
                             NotPermitted)
from nodebeat.methods import Methods, given
from nodebeat.protocol import (REPEATABLE, Conversation, Inbox, Notice, Params, Result, answer_within, deadline_exceeded,
                               line, socket_path)


class Client(Methods[Awaitable[Result]]):
    """nodebeat.Client for asyncio: the same methods, each to be awaited; it belongs to one event loop.

        async with nodebeat.aio.Client(name="monitor") as client:
            print(await client.system_status())
            async for event in client.events("node:events:*"):
                ...

    The arguments are those of nodebeat.Client. It connects when it is first used.
    """

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str | None = None,
        will: Sequence[Mapping[str, object]] | None = None, deadline_ms: int | None = None,
        timeout: float = dialling.DEFAULT_TIMEOUT_S, max_queued: int = dialling.QUEUED_NOTICES,
    ) -> None:
        self.timeout = timeout
        hello = given(name=name, will=will, errors=True, max_line_bytes=dialling.LINE_BYTES)
        line("client.hello", hello)  # what is no JSON is told here
        self._path = socket_path(socket)
        self._conversation = Conversation(hello, deadline_ms)
        self._inbox = Inbox(max_queued)
        self._why: NodebeatError = AgentAway("not connected yet")
        self._ended: NodebeatError | None = None
        self._task: asyncio.Task[None] | None = None
        self._changes = asyncio.Event()  # set, and replaced by a new one, with each change
        self._transport: asyncio.Transport | None = None
        self._is_full = False  # the agent does not read what is sent
        dialling.keep_from_children(self)

    # --- calls ------------------------------------------------------------------------------------

    async def call(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> Result:
        """Any call of the protocol by its name; returns its result."""
        params = params or {}
        seconds = answer_within(params, self.timeout if timeout is None else timeout)
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await self._ask(method, params, seconds, deadline)
            except ConnectionLost:
                if method not in REPEATABLE or time.monotonic() >= deadline:
                    raise

    async def notify(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> None:
        """A call that nobody answers; what the agent refuses comes from events() as a Refusal."""
        text = line(method, params)
        await self._wait_ready(time.monotonic() + (self.timeout if timeout is None else timeout))
        self._send(text)

    async def greeting(self) -> Result:
        """What the agent has said of itself: `agent_version`, `node_id`, `rights`, `limits`."""
        await self._wait_ready(time.monotonic() + self.timeout)
        assert self._conversation.hello is not None
        return self._conversation.hello

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._conversation.hello is not None and self._ended is None

    async def _ask(self, method: str, params: Params, seconds: float, deadline: float) -> Result:
        await self._wait_ready(deadline)
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        call_id, text = self._conversation.request(method, params, waiter)
        self._send(text)
        try:
            return await asyncio.wait_for(waiter, max(deadline - time.monotonic(), 0))
        except (TimeoutError, asyncio.TimeoutError):
            raise deadline_exceeded(method, seconds) from None
        finally:
            self._conversation.forget(call_id)

    async def _wait_ready(self, deadline: float) -> None:
        self._start()
        while True:
            self._check()
            ready = self._conversation.hello is not None
            if ready and not self._is_full:
                return
            left = deadline - time.monotonic()
            if ready and left <= 0:
                raise DeadlineExceeded("the agent reads nothing: this call was not sent")
            if isinstance(self._why, NotPermitted) or left <= 0:
                raise copy.copy(self._why)
            await self._change(left)

    def _check(self) -> None:
        """Raises what waiting does not change."""
        for error in (self._ended, self._conversation.refused):
            if error is not None:
                raise copy.copy(error)

    async def _change(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._changes.wait(), seconds)

    def _tell(self) -> None:
        self._changes.set()
        self._changes = asyncio.Event()

    def _send(self, text: bytes) -> None:
        if self._transport is not None:
            self._transport.write(text)

    # --- events -----------------------------------------------------------------------------------

    async def events(
        self, *channels: str, patterns: Iterable[str] = (), replay: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Notice]:
        """As nodebeat.Client.events(), with `async for`."""
        named = [c for c in channels if "*" not in c]
        globs = [c for c in channels if "*" in c] + list(patterns)
        if named or globs:
            await self.event_subscribe(named, patterns=globs, replay=replay)
        self._start()
        while (notice := await self.next_notice(timeout)) is not None:
            yield notice

    async def next_notice(self, timeout: float | None = None) -> Notice | None:
        """The next of what events() iterates; None if nothing came for so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (notice := self._inbox.take()) is None:
            self._check()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            await self._change(left)
        return notice

    # --- sessions ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def session(self, session_id: str, *, ttl_ms: int | None = None, create: bool = False,
                      timeout: float | None = None) -> AsyncIterator[editing.SessionEdit]:
        """As nodebeat.Client.session(), with `async with`."""
        edit = await self._read(session_id, create)
        yield edit
        if edit.is_changed or edit.version == editing.NOT_THERE:
            await self._write(edit, None, ttl_ms, create, timeout)

    async def session_change(
        self, session_id: str, change: editing.Change, *, ttl_ms: int | None = None, create: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """As nodebeat.Client.session_change()."""
        edit = await self._read(session_id, create)
        edit.apply(change)
        await self._write(edit, change, ttl_ms, create, timeout)
        return {"version": edit.version, "state": edit.state()}

    async def _read(self, session_id: str, create: bool) -> editing.SessionEdit:
        try:
            found = await self.session_get(session_id)
        except NotFound:
            if not create:
                raise
            return editing.SessionEdit(session_id, {}, editing.NOT_THERE)
        return editing.SessionEdit(session_id, found["state"], found["version"])

    async def _write(self, edit: editing.SessionEdit, change: editing.Change | None, ttl_ms: int | None, create: bool,
                     timeout: float | None) -> None:
        writing = editing.Writing(edit, change, ttl_ms, create, self.timeout if timeout is None else timeout)
        while True:
            try:
                writing.written(await self.call(*writing.call(), timeout=writing.seconds_left()))
                return
            except NodebeatError as error:
                read_first, refusal = writing.on_error(error), error
            await asyncio.sleep(writing.pause())
            if read_first:
                writing.read_again(await self._read(edit.session_id, create), refusal)

    # --- the connection ---------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None and self._ended is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="nodebeat")

    async def _run(self) -> None:
        pauses = dialling.Pauses()
        while True:
            try:
                sock = dialling.dial(self._path)
            except AgentAway as error:
                self._why = error
                self._tell()
            except OSError as error:
                self._why = AgentAway(f"no socket can be made: {error}")
                self._tell()
            else:
                ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                await asyncio.get_running_loop().create_connection(lambda: _Wire(self, pauses, ended), sock=sock)
                await ended
            await asyncio.sleep(pauses.next())

    def _on_connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=dialling.UNSENT_BYTES)
        transport.write(self._conversation.begin())

    def _on_data(self, data: bytes, pauses: dialling.Pauses) -> None:
        self._inbox.put(self._conversation.receive(data))
        if self._conversation.outgoing:
            self._send(self._conversation.outgoing)
            self._conversation.outgoing = b""
        if self._conversation.hello is not None:
            pauses.reset()
        self._tell()

    def _on_full(self, is_full: bool) -> None:
        self._is_full = is_full
        self._tell()

    def _on_lost(self, why: str) -> None:
        self._transport, self._is_full = None, False
        self._inbox.put(self._conversation.end(why))
        words = self._conversation.last_words
        self._why = AgentAway(f"{why}: {words}" if words else why)
        self._tell()

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Says goodbye, so that the will is not carried out, and ends. Waits at most a second for the agent."""
        if self._ended is not None:
            return
        if self.is_connected:
            with contextlib.suppress(NodebeatError):
                await self.client_goodbye(timeout=dialling.GOODBYE_S)
        self._ended = Closed("this client has been closed")
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._transport is not None:
            self._transport.abort()
        self._tell()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a nodebeat.aio.Client cannot be handed to another process, which opens one of its own")

    def on_fork(self) -> None:
        """In the child: its copy of the descriptor goes, and the event loop is the parent's."""
        self._ended = self._ended or Forked("this client belongs to the process that forked this one: open one here")
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                with contextlib.suppress(OSError):
                    os.close(sock.fileno())


class _Wire(asyncio.Protocol):
    def __init__(self, client: Client, pauses: dialling.Pauses, ended: asyncio.Future[str]) -> None:
        self._client = client
        self._pauses = pauses
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client._on_connected(transport)

    def data_received(self, data: bytes) -> None:
        self._client._on_data(data, self._pauses)

    def pause_writing(self) -> None:
        self._client._on_full(True)

    def resume_writing(self) -> None:
        self._client._on_full(False)

    def connection_lost(self, error: Exception | None) -> None:
        why = f"the connection to the agent broke ({error})" if error else "the agent has closed the connection"
        self._client._on_lost(why)
        if not self._ended.done():
            self._ended.set_result(why)
