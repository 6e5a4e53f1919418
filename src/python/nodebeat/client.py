"""The blocking client."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NoReturn, TypeVar

from nodebeat import dialling, editing
from nodebeat.calling import Calling, channels_and_patterns, deadline_exceeded, goes_again, seconds_for
from nodebeat.errors import AgentAway, NodebeatError
from nodebeat.methods import Methods, given
from nodebeat.protocol import Notice, Params, Result, line, socket_path

_T = TypeVar("_T")


class Client(Methods[Result]):
    """A connection to the agent of this computer, which is made again whenever it breaks.

        with nodebeat.Client(name="planner") as client:
            client.state_set("cell:mode", "auto", ack="stored")
            for event in client.events("error:events:*"):
                ...

    Every method of the protocol is there under its name (nodebeat.methods). All threads may use one client;
    one background thread reads. A call waits for a connection, and again if the connection broke and the call
    changes nothing, as long as its time lasts; a call that writes is then ConnectionLost. The hello, the will,
    subscriptions and the watch are restored with each new connection.

    socket: the path, else $NODEBEAT_SOCKET, else /run/nodebeat/agent.sock. name: for the agent's log and its
    events. will: calls that the agent makes if this process dies without close(). deadline_ms: a promise to
    push so often. max_queued: notices that may wait to be iterated; beyond it they are lost, and a Gap says how
    many.

    timeout: seconds that a call may take, all together: waiting for a connection, going again, the answer. A call's
    own `timeout` takes its place, and is never exceeded. Without one, a call that waits for Redis (`timeout_ms`,
    or 2000 with ack="stored") may take that and a second, if it is more.

    In a child of fork() every method raises Forked, and the connection is the parent's alone.
    """

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str | None = None,
        will: Sequence[Mapping[str, object]] | None = None, deadline_ms: int | None = None,
        timeout: float = dialling.DEFAULT_TIMEOUT_S, max_queued: int = dialling.QUEUED_NOTICES,
    ) -> None:
        self.timeout = timeout
        hello = given(name=name, will=will, errors=True, max_line_bytes=dialling.LINE_BYTES)
        self._link = _Link(socket_path(socket), Calling(hello, deadline_ms, max_queued))

    # --- calls ------------------------------------------------------------------------------------

    def call(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> Result:
        """Any call of the protocol by its name; returns its result."""
        params = params or {}
        seconds = seconds_for(params, timeout, self.timeout)
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._link.ask(method, params, seconds, deadline)
            except NodebeatError as error:
                if not goes_again(method, error, deadline):
                    raise

    def notify(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> None:
        """A call without an answer; refusals come from events() as a Refusal."""
        self._link.say(line(method, params), time.monotonic() + seconds_for({}, timeout, self.timeout))

    @property
    def hello(self) -> Result:
        """The agent's answer to the hello: `agent_version`, `node_id`, `rights`, `limits`. Waits for it."""
        return self._link.greeting(time.monotonic() + self.timeout)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; does not wait."""
        return self._link.is_ready

    # --- events -----------------------------------------------------------------------------------

    def events(
        self, *channels: str, patterns: Iterable[str] = (), replay: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Notice]:
        """Subscribes, where channels or patterns are named (one with `*`, `?` or `[` is a pattern), and iterates all
        that comes: Event, Gap, Replayed, StateChange, StateReady, StateStale, Refusal. What comes after the call is
        iterated.

        timeout: ends after so many seconds in which nothing came; None: never. A client has one stream of
        notices: two iterators share it.
        """
        named, globs = channels_and_patterns(channels, patterns)
        if named or globs:
            self.event_subscribe(named, patterns=globs, replay=replay)
        return self._iterate(timeout)

    def _iterate(self, timeout: float | None) -> Iterator[Notice]:
        while (notice := self._link.next_notice(timeout)) is not None:
            yield notice

    # --- sessions ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def session(self, session_id: str, *, ttl_ms: int | None = None, create: bool = False,
                timeout: float | None = None) -> Iterator[editing.SessionEdit]:
        """Reads a session, and writes the changes of the block after the block; again if another writer was
        faster (nodebeat.editing). `timeout`: seconds for the read, and as many for the write.

            with client.session("cell") as s:
                s["mode"] = "auto"
                s.add("strokes", 1)

        create: a session that does not exist begins empty. After an exception in the block nothing is written.
        Conflict: the block has read a member that another writer has changed since, `s["strokes"] += 1` included;
        session_change() runs a function again.
        """
        seconds = seconds_for({}, timeout, self.timeout)
        edit = self._carry_out(editing.reading(session_id, create, seconds))
        yield edit
        self._carry_out(editing.writing(edit, ttl_ms, create, seconds))

    def session_change(
        self, session_id: str, change: editing.Change, *, ttl_ms: int | None = None, create: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Reads a session, calls change(state), and writes the result, or, if the result is None, the changed
        argument. Calls it again if another writer was faster. Returns `version` and `state`. `timeout`: seconds
        in total."""
        seconds = seconds_for({}, timeout, self.timeout)
        return self._carry_out(editing.changing(session_id, change, ttl_ms, create, seconds))

    def _carry_out(self, steps: editing.Steps[_T]) -> _T:
        try:
            step = next(steps)
            while True:
                try:
                    result = self._take(step)
                except NodebeatError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            value: _T = end.value
            return value

    def _take(self, step: editing.Step) -> Result | None:
        if isinstance(step, tuple):
            method, params, seconds = step
            return self.call(method, params, timeout=seconds)
        time.sleep(step)
        return None

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Says goodbye, so that the will is not carried out, and ends. Waits at most a second for the agent."""
        self._link.close()

    def __del__(self) -> None:
        # Dropped without close(): no goodbye, so a will is carried out. The thread holds the link only.
        if hasattr(self, "_link"):
            self._link.abandon()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a nodebeat.Client cannot be handed to another process, which opens one of its own")


class _Answer:
    """The object that a caller waits for. While its lock is taken, the answer has not come."""

    def __init__(self) -> None:
        self._answer: Result | Exception | None = None
        self._missing = threading.Lock()
        self._missing.acquire()

    def set_result(self, result: Result) -> None:
        self._answer = result
        self._missing.release()

    def set_exception(self, exception: Exception) -> None:
        self._answer = exception
        self._missing.release()

    def done(self) -> bool:
        return self._answer is not None

    def wait(self, seconds: float) -> Result | Exception | None:
        """None: there was none within so many seconds."""
        self._missing.acquire(timeout=seconds)
        return self._answer


class _Link:
    """The socket, the thread that reads it, and the callers that wait.

    One lock guards all of it. The lock is reentrant, so a signal handler may make a call in the middle of another call. The
    handler lets go of the lock while the handler waits, since the thread needs the lock to bring the answer. So whatever
    is done within the lock may be interrupted by all the rest, but only in a caller. The thread never holds the lock while
    the thread waits. A caller writes its line to the socket itself, and the thread writes what the socket does not take
    at once.

    An exception out of a signal handler may come between any two instructions of Python, but not between the two that
    take a lock in `with` and enter the block. That holds for locks that are written in C, and not for a Condition.
    """

    def __init__(self, path: str, calling: Calling) -> None:
        self._path = path
        self._calling = calling
        self._lock = threading.RLock()
        self._bells: collections.deque[threading.Lock] = collections.deque()  # of those that wait for a change
        self._sock: socket.socket | None = None
        self._unsent = dialling.Outgoing()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        dialling.keep_from_children(self)
        self._thread = threading.Thread(target=self._run, name="nodebeat", daemon=True)
        self._thread.start()

    # --- for callers --------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        return self._calling.is_ready

    def greeting(self, deadline: float) -> Result:
        return self._when_ready(deadline, self._calling.greeting)

    def ask(self, method: str, params: Params, seconds: float, deadline: float) -> Result:
        waiter = _Answer()

        def post() -> int:
            call_id, text = self._calling.conversation.request(method, params, waiter)
            self._send(text)
            return call_id

        call_id = self._when_ready(deadline, post)
        try:
            answer = self._outside(waiter.wait, max(deadline - time.monotonic(), 0))
            if answer is None:
                raise deadline_exceeded(method, seconds)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self._calling.conversation.forget(call_id)

    def say(self, text: bytes, deadline: float) -> None:
        self._when_ready(deadline, lambda: self._send(text))

    def next_notice(self, timeout: float | None) -> Notice | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        taken: list[Notice | None] = []

        def look() -> float | None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if (notice := self._calling.inbox.take()) is None:
                self._calling.check()
                if left != 0:
                    return left
            taken.append(notice)
            return 0

        self._until(look)
        return taken[0]

    def close(self) -> None:
        if self._calling.ended is not None:
            return
        if self.is_ready:
            with contextlib.suppress(NodebeatError):
                self.ask("client.goodbye", {}, dialling.GOODBYE_S, time.monotonic() + dialling.GOODBYE_S)
        self.abandon()
        if threading.current_thread() is not self._thread:
            self._thread.join(dialling.GOODBYE_S)  # not for ever: a signal handler may have what it waits for

    def abandon(self) -> None:
        """Ends without a goodbye; does not wait."""
        with self._lock:
            self._calling.close()
            self._tell()
        self._wake()

    def _when_ready(self, deadline: float, act: Callable[[], _T]) -> _T:
        """Returns the result of act(), which is called once, as soon as a call may go."""
        made: list[_T] = []

        def look() -> float:
            left = self._calling.seconds_to_wait(deadline, self._unsent.size() >= dialling.UNSENT_BYTES)
            if not left:
                made.append(act())
            return left

        self._until(look)
        return made[0]

    def _until(self, look: Callable[[], float | None]) -> None:
        """Calls look(), with the lock, until look() returns 0; else look() says for how long to wait for a change (None:
        for ever)."""
        while self._look(look) != 0:
            bell = threading.Lock()
            bell.acquire()
            self._bells.append(bell)
            try:
                left = self._look(look)  # again: a change before there was a bell has rung none
                if left == 0:
                    return
                self._outside(lambda seconds, bell=bell: bell.acquire(timeout=seconds), left)  # type: ignore[misc]
            finally:
                with contextlib.suppress(ValueError):
                    self._bells.remove(bell)

    def _look(self, look: Callable[[], float | None]) -> float | None:
        with self._lock:
            return look()

    def _tell(self) -> None:
        """There is a change."""
        with contextlib.suppress(IndexError):
            while True:
                self._bells.popleft().release()

    def _outside(self, wait: Callable[[float], _T], seconds: float | None) -> _T:
        """wait(seconds), without the lock, which this thread has if this is a signal handler in the middle of a call."""
        held = 0
        try:
            with contextlib.suppress(RuntimeError):  # this thread has the lock no more
                while True:
                    self._lock.release()
                    held += 1
            return wait(threading.TIMEOUT_MAX if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        finally:
            for _ in range(held):
                self._lock.acquire()

    def _send(self, text: bytes) -> None:
        self._unsent.add(text)
        if self._sock is not None:
            with contextlib.suppress(OSError):  # the thread finds out, and tells every waiter
                self._unsent.send(self._sock)
        if self._unsent:
            self._wake()

    def _wake(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"x")

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        pauses = dialling.Pauses()
        while self._calling.ended is None:
            try:
                sock = dialling.dial(self._path)
            except AgentAway as error:
                with self._lock:
                    self._calling.away(error)
                    self._tell()
            else:
                with sock:
                    why = self._serve(sock, pauses)
                with self._lock:
                    self._sock = None
                    self._unsent.clear()
                    self._calling.lose(why)
                    self._tell()
            self._pause(pauses.next())
        self._close_pipe()

    def _pause(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        deadline = time.monotonic() + seconds
        while self._calling.ended is None and (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _serve(self, sock: socket.socket, pauses: dialling.Pauses) -> str:
        """Moves bytes until the connection ends; returns why."""
        with self._lock:
            self._sock = sock
            self._send(self._calling.conversation.begin())
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        while self._calling.ended is None:
            try:
                poll.register(sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
                ready = dict(poll.poll())
                if self._wake_read in ready:
                    self._drain()
                happened = ready.get(sock.fileno(), 0)
                if happened & select.POLLOUT:
                    with self._lock:
                        self._unsent.send(sock)
                        self._tell()  # there may be room again
                if happened & ~select.POLLOUT and not self._read(sock, pauses):
                    return "the agent has closed the connection"
            except OSError as error:
                return f"the connection to the agent broke ({error})"
        return "this client was closed"

    def _read(self, sock: socket.socket, pauses: dialling.Pauses) -> bool:
        """False if there is no more to come."""
        try:
            data = sock.recv(dialling.READ_BYTES)
        except BlockingIOError:
            return True
        with self._lock:
            if said := self._calling.hear(data):
                self._send(said)
            if self.is_ready:
                pauses.reset()
            self._tell()
        return bool(data)

    # --- fork -----------------------------------------------------------------------------------------

    def on_fork(self) -> None:
        """In the child, where there is no thread, and where another thread may have held the lock."""
        self._calling.fork()
        self._lock = threading.RLock()
        self._bells.clear()
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        self._close_pipe()

    def _close_pipe(self) -> None:
        with self._lock:
            ends, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
