"""The asyncio client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NoReturn, TypeVar

from nodebeat import dialling, editing
from nodebeat.calling import Calling, channels_and_patterns, deadline_exceeded, goes_again, seconds_for
from nodebeat.errors import AgentAway, NodebeatError
from nodebeat.methods import Methods, given
from nodebeat.protocol import Notice, Params, Result, line, socket_path

_T = TypeVar("_T")
_FOR_EVER_S = 1e9  # the event loop's clock takes no infinity
_Posted = tuple[int, "asyncio.Future[Result]"]  # a call that has gone: its id, and its answer


class Client(Methods[Awaitable[Result]]):
    """nodebeat.Client for asyncio: the same methods, each to be awaited; it belongs to one event loop.

        async with nodebeat.aio.Client(name="monitor") as client:
            print(await client.system_status())
            async for event in client.events("node:events:*"):
                ...

    The arguments are those of nodebeat.Client, and `timeout` means the same. It connects when it is first used.
    """

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str | None = None,
        will: Sequence[Mapping[str, object]] | None = None, deadline_ms: int | None = None,
        timeout: float = dialling.DEFAULT_TIMEOUT_S, max_queued: int = dialling.QUEUED_NOTICES,
    ) -> None:
        self.timeout = timeout
        hello = given(name=name, will=will, errors=True, max_line_bytes=dialling.LINE_BYTES)
        self._path = socket_path(socket)
        self._calling = Calling(hello, deadline_ms, max_queued)
        self._task: asyncio.Task[None] | None = None
        self._changes: list[asyncio.Future[None]] = []  # of those that wait for a change
        self._sock: sockets.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[str] | None = None  # why that transport has ended
        self._is_full = False  # the agent does not read what is sent
        dialling.keep_from_children(self)

    # --- calls ------------------------------------------------------------------------------------

    async def call(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> Result:
        """Any call of the protocol by its name; returns its result."""
        return await self._call(method, params or {}, timeout, None)

    async def _call(self, method: str, params: Params, timeout: float | None, posted: _Posted | None) -> Result:
        seconds = seconds_for(params, timeout, self.timeout)
        deadline = time.monotonic() + seconds
        while True:
            try:
                if posted is None:
                    await self._wait_ready(deadline)
                    posted = self._post(method, params)
                return await self._answer(posted, method, seconds, deadline)
            except NodebeatError as error:
                if not goes_again(method, error, deadline):
                    raise
            posted = None

    async def notify(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> None:
        """A call that nobody answers; what the agent refuses comes from events() as a Refusal."""
        text = line(method, params)
        await self._wait_ready(time.monotonic() + seconds_for({}, timeout, self.timeout))
        self._send(text)

    async def greeting(self) -> Result:
        """What the agent has said of itself: `agent_version`, `node_id`, `rights`, `limits`."""
        await self._wait_ready(time.monotonic() + self.timeout)
        return self._calling.greeting()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._calling.is_ready

    def _post(self, method: str, params: Params) -> _Posted:
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        call_id, text = self._calling.conversation.request(method, params, waiter)
        self._send(text)
        return call_id, waiter

    async def _answer(self, posted: _Posted, method: str, seconds: float, deadline: float) -> Result:
        call_id, waiter = posted

        def late() -> None:
            if not waiter.done():
                waiter.set_exception(deadline_exceeded(method, seconds))

        try:
            return await at_the_latest(waiter, max(deadline - time.monotonic(), 0), late)
        finally:
            self._calling.conversation.forget(call_id)

    async def _wait_ready(self, deadline: float) -> None:
        self._start()
        while left := self._calling.seconds_to_wait(deadline, self._is_full):
            await self._change(left)

    async def _change(self, seconds: float | None) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changes.append(change)
        try:
            await at_the_latest(change, seconds, lambda: _happen(change))
        finally:
            if change in self._changes:
                self._changes.remove(change)

    def _tell(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            _happen(change)

    def _send(self, text: bytes) -> None:
        if self._transport is not None:
            self._transport.write(text)

    # --- events -----------------------------------------------------------------------------------

    def events(
        self, *channels: str, patterns: Iterable[str] = (), replay: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Notice]:
        """As nodebeat.Client.events(), with `async for`. If there is a connection, the subscription goes out with this
        call; what is wrong with it is raised by the first step of the iteration."""
        named, globs = channels_and_patterns(channels, patterns)
        subscribing: asyncio.Task[Result] | None = None
        if named or globs:
            params: dict[str, object] = {k: v for k, v in (("channels", named), ("patterns", globs)) if v}
            params |= given(replay=replay)
            method = "event.subscribe"
            posted = self._post(method, params) if self._calling.is_ready else None
            subscribing = asyncio.get_running_loop().create_task(self._call(method, params, None, posted))
        return self._iterate(subscribing, timeout)

    async def _iterate(self, subscribing: asyncio.Task[Result] | None, timeout: float | None) -> AsyncIterator[Notice]:
        self._start()
        if subscribing is not None:
            await subscribing
        while (notice := await self.next_notice(timeout)) is not None:
            yield notice

    async def next_notice(self, timeout: float | None = None) -> Notice | None:
        """The next of what events() iterates; None if nothing came for so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (notice := self._calling.inbox.take()) is None:
            self._calling.check()
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
        seconds = seconds_for({}, timeout, self.timeout)
        edit = await self._carry_out(editing.reading(session_id, create, seconds))
        yield edit
        await self._carry_out(editing.writing(edit, ttl_ms, create, seconds))

    async def session_change(
        self, session_id: str, change: editing.Change, *, ttl_ms: int | None = None, create: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """As nodebeat.Client.session_change()."""
        seconds = seconds_for({}, timeout, self.timeout)
        return await self._carry_out(editing.changing(session_id, change, ttl_ms, create, seconds))

    async def _carry_out(self, steps: editing.Steps[_T]) -> _T:
        try:
            step = next(steps)
            while True:
                try:
                    result = await self._take(step)
                except NodebeatError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            value: _T = end.value
            return value

    async def _take(self, step: editing.Step) -> Result | None:
        if isinstance(step, tuple):
            method, params, seconds = step
            return await self.call(method, params, timeout=seconds)
        await asyncio.sleep(step)
        return None

    # --- the connection ---------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None and self._calling.ended is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="nodebeat")

    async def _run(self) -> None:
        pauses = dialling.Pauses()
        while True:
            try:
                sock = dialling.dial(self._path)
            except AgentAway as error:
                self._calling.away(error)
                self._tell()
            else:
                await (await self._connect(sock, pauses))
            await asyncio.sleep(pauses.next())

    async def _connect(self, sock: sockets.socket, pauses: dialling.Pauses) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        self._sock = sock
        self._gone = gone = loop.create_future()
        try:
            await loop.create_connection(lambda: _Wire(self, pauses, gone), sock=sock)
        except BaseException:
            sock.close()
            raise
        return gone

    def _on_connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=dialling.UNSENT_BYTES)
        transport.write(self._calling.conversation.begin())

    def _on_data(self, data: bytes, pauses: dialling.Pauses) -> None:
        if said := self._calling.hear(data):
            self._send(said)
        if self._calling.is_ready:
            pauses.reset()
        self._tell()

    def _on_full(self, is_full: bool) -> None:
        self._is_full = is_full
        self._tell()

    def _on_lost(self, why: str) -> None:
        self._sock = self._transport = None
        self._is_full = False
        self._calling.lose(why)
        self._tell()

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Says goodbye, so that the will is not carried out, and ends. Waits at most a second for the agent; if that is
        cancelled, the connection ends all the same."""
        if self._calling.ended is not None:
            return
        try:
            if self._calling.is_ready:
                with contextlib.suppress(NodebeatError):
                    await self.client_goodbye(timeout=dialling.GOODBYE_S)
        finally:
            ending = self._end()
        if ending:
            await asyncio.wait(ending)  # which leaves alone what they end with, and not a cancellation of this

    def _end(self) -> list[asyncio.Future[str] | asyncio.Task[None]]:
        """Ends without waiting; returns what is still to end."""
        self._calling.close()
        ending: list[asyncio.Future[str] | asyncio.Task[None]] = []
        if self._task is not None:
            self._task.cancel()
            ending.append(self._task)
        if self._transport is not None:
            self._transport.abort()
            if self._gone is not None:
                ending.append(self._gone)
        self._tell()
        return ending

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a nodebeat.aio.Client cannot be handed to another process, which opens one of its own")

    def on_fork(self) -> None:
        """In the child: its copy of the descriptor goes, and the event loop is the parent's."""
        self._calling.fork()
        if self._sock is not None:
            self._sock.close()  # the transport's own object: a number that was only closed, it would close once more


async def at_the_latest(waiter: asyncio.Future[_T], seconds: float | None, late: Callable[[], None]) -> _T:
    """Awaits; after so many seconds late() has to end the waiter. asyncio.wait_for() of Python 3.11 swallows a
    cancellation that comes after the waiter is done, and asyncio.timeout() of 3.11.2 one within a cancelled task."""
    if seconds is None or seconds > _FOR_EVER_S:
        return await waiter
    timer = asyncio.get_running_loop().call_later(seconds, late)
    try:
        return await waiter
    finally:
        timer.cancel()


def _happen(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)


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
