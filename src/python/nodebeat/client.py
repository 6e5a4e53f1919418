"""The blocking client."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import os
import select
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from nodebeat import dialling, editing
from nodebeat.errors import (AgentAway, Closed, ConnectionLost, DeadlineExceeded, Forked, NodebeatError, NotFound,
                             NotPermitted)
from nodebeat.methods import Methods, given
from nodebeat.protocol import (REPEATABLE, Conversation, Inbox, Notice, Params, Result, answer_within, deadline_exceeded,
                               line, socket_path)


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
    push so often. timeout: seconds that a call may take. max_queued: notices that may wait to be iterated;
    beyond it they are lost, and a Gap says how many.

    In a child of fork() every method raises Forked, and the connection is the parent's alone.
    """

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str | None = None,
        will: Sequence[Mapping[str, object]] | None = None, deadline_ms: int | None = None,
        timeout: float = dialling.DEFAULT_TIMEOUT_S, max_queued: int = dialling.QUEUED_NOTICES,
    ) -> None:
        self.timeout = timeout
        hello = given(name=name, will=will, errors=True, max_line_bytes=dialling.LINE_BYTES)
        line("client.hello", hello)  # what is no JSON is told here
        self._link = _Link(socket_path(socket), Conversation(hello, deadline_ms), Inbox(max_queued))

    # --- calls ------------------------------------------------------------------------------------

    def call(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> Result:
        """Any call of the protocol by its name; returns its result."""
        params = params or {}
        seconds = answer_within(params, self.timeout if timeout is None else timeout)
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._link.ask(method, params, seconds, deadline)
            except ConnectionLost:
                if method not in REPEATABLE or time.monotonic() >= deadline:
                    raise

    def notify(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> None:
        """A call that nobody answers; what the agent refuses comes from events() as a Refusal."""
        seconds = self.timeout if timeout is None else timeout
        self._link.say(line(method, params), time.monotonic() + seconds)

    @property
    def hello(self) -> Result:
        """What the agent has said of itself: `agent_version`, `node_id`, `rights`, `limits`. Waits for it."""
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
        """Subscribes, where channels or patterns are named (one with `*` is a pattern), and iterates all that
        comes: Event, Gap, StateChange, StateReady, StateStale, Refusal.

        timeout: ends after so many seconds in which nothing came; None: never. A client has one stream of
        notices: two iterators share it.
        """
        named = [c for c in channels if "*" not in c]
        globs = [c for c in channels if "*" in c] + list(patterns)
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
        """Reads a session, and writes after the block what the block has changed; again if another writer was
        faster (nodebeat.editing), within `timeout` seconds.

            with client.session("cell") as s:
                s["strokes"] += 1

        create: a session that is not there begins empty. An exception in the block writes nothing. Conflict:
        the block has read what another writer has changed since; session_change() runs a function again.
        """
        edit = self._read(session_id, create)
        yield edit
        if edit.is_changed or edit.version == editing.NOT_THERE:
            self._write(edit, None, ttl_ms, create, timeout)

    def session_change(
        self, session_id: str, change: editing.Change, *, ttl_ms: int | None = None, create: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Reads a session, calls change(state), and writes what it returns, or, if that is None, the state that
        it was given. Calls it again if another writer was faster. Returns `version` and `state`."""
        edit = self._read(session_id, create)
        edit.apply(change)
        self._write(edit, change, ttl_ms, create, timeout)
        return {"version": edit.version, "state": edit.state()}

    def _read(self, session_id: str, create: bool) -> editing.SessionEdit:
        try:
            found = self.session_get(session_id)
        except NotFound:
            if not create:
                raise
            return editing.SessionEdit(session_id, {}, editing.NOT_THERE)
        return editing.SessionEdit(session_id, found["state"], found["version"])

    def _write(self, edit: editing.SessionEdit, change: editing.Change | None, ttl_ms: int | None, create: bool,
               timeout: float | None) -> None:
        writing = editing.Writing(edit, change, ttl_ms, create, self.timeout if timeout is None else timeout)
        while True:
            try:
                writing.written(self.call(*writing.call(), timeout=writing.seconds_left()))
                return
            except NodebeatError as error:
                read_first, refusal = writing.on_error(error), error
            time.sleep(writing.pause())
            if read_first:
                writing.read_again(self._read(edit.session_id, create), refusal)

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


class _Link:
    """The socket, the thread that reads it, and who waits.

    One Condition guards all; it is reentrant, so a signal handler may make calls. The thread never holds it
    while it waits. What a caller says is written by the caller, and what the socket does not take at once by
    the thread.
    """

    def __init__(self, path: str, conversation: Conversation, inbox: Inbox) -> None:
        self._path = path
        self._conversation = conversation
        self._inbox = inbox
        self._changed = threading.Condition()
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._why: NodebeatError = AgentAway("not connected yet")
        self._ended: NodebeatError | None = None  # closed, or in a child
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        dialling.keep_from_children(self)
        self._thread = threading.Thread(target=self._run, name="nodebeat", daemon=True)
        self._thread.start()

    # --- for callers --------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        return self._conversation.hello is not None and self._ended is None

    def greeting(self, deadline: float) -> Result:
        with self._changed:
            self._wait_ready(deadline)
            assert self._conversation.hello is not None
            return self._conversation.hello

    def ask(self, method: str, params: Params, seconds: float, deadline: float) -> Result:
        waiter: concurrent.futures.Future[Result] = concurrent.futures.Future()
        with self._changed:
            self._wait_ready(deadline)
            call_id, text = self._conversation.request(method, params, waiter)
            self._send(text)
        try:
            return waiter.result(max(deadline - time.monotonic(), 0))
        except concurrent.futures.TimeoutError:
            self._conversation.forget(call_id)
            raise deadline_exceeded(method, seconds) from None
        except BaseException:
            self._conversation.forget(call_id)
            raise

    def say(self, text: bytes, deadline: float) -> None:
        with self._changed:
            self._wait_ready(deadline)
            self._send(text)

    def next_notice(self, timeout: float | None) -> Notice | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while (notice := self._inbox.take()) is None:
                self._check()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return notice

    def close(self) -> None:
        if self._ended is not None:
            return
        if self.is_ready:
            with contextlib.suppress(NodebeatError):
                self.ask("client.goodbye", {}, dialling.GOODBYE_S, time.monotonic() + dialling.GOODBYE_S)
        self.abandon()
        if threading.current_thread() is not self._thread:
            self._thread.join(dialling.GOODBYE_S)  # not for ever: a signal handler may have what it waits for

    def abandon(self) -> None:
        """Ends without a goodbye; does not wait."""
        with self._changed:
            self._ended = self._ended or Closed("this client has been closed")
            self._changed.notify_all()
        self._wake()

    def _check(self) -> None:
        """Raises what waiting does not change."""
        if self._ended is not None:
            raise copy.copy(self._ended)
        if self._conversation.refused is not None:
            raise copy.copy(self._conversation.refused)

    def _wait_ready(self, deadline: float) -> None:
        while True:
            self._check()
            ready = self._conversation.hello is not None
            if ready and len(self._unsent) < dialling.UNSENT_BYTES:
                return
            left = deadline - time.monotonic()
            if ready and left <= 0:
                raise DeadlineExceeded("the agent reads nothing: this call was not sent")
            if isinstance(self._why, NotPermitted) or left <= 0:
                raise copy.copy(self._why)
            self._changed.wait(left)

    def _send(self, text: bytes) -> None:
        if not self._unsent and self._sock is not None:
            try:
                text = text[self._sock.send(text, socket.MSG_NOSIGNAL):]
            except BlockingIOError:
                pass
            except OSError:
                return  # the thread finds out, and tells who waits
        if text:
            self._unsent += text
            self._wake()

    def _wake(self) -> None:
        with self._changed, contextlib.suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"x")

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        pauses = dialling.Pauses()
        while self._ended is None:
            try:
                sock = dialling.dial(self._path)
            except AgentAway as error:
                self._away(error)
                self._pause(pauses.next())
                continue
            except OSError as error:
                self._away(AgentAway(f"no socket can be made: {error}"))
                self._pause(pauses.next())
                continue
            with sock:
                why = self._serve(sock, pauses)
            with self._changed:
                self._sock, self._unsent = None, b""
                self._inbox.put(self._conversation.end(why))
                words = self._conversation.last_words
                self._why = AgentAway(f"{why}: {words}" if words else why)
                self._changed.notify_all()
            self._pause(pauses.next())
        self._close_pipe()

    def _away(self, error: AgentAway) -> None:
        with self._changed:
            self._why = error
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        deadline = time.monotonic() + seconds
        while self._ended is None and (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _serve(self, sock: socket.socket, pauses: dialling.Pauses) -> str:
        """Moves bytes until the connection ends; returns why."""
        with self._changed:
            self._sock = sock
            self._send(self._conversation.begin())
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        while self._ended is None:
            poll.register(sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            ready = dict(poll.poll())
            if self._wake_read in ready:
                self._drain()
            happened = ready.get(sock.fileno(), 0)
            try:
                if happened & select.POLLOUT:
                    with self._changed:
                        self._unsent = self._unsent[sock.send(self._unsent, socket.MSG_NOSIGNAL):]
                        self._changed.notify_all()
                if happened & ~select.POLLOUT:
                    data = sock.recv(dialling.READ_BYTES)
                    if not data:
                        return "the agent has closed the connection"
                    with self._changed:
                        self._inbox.put(self._conversation.receive(data))
                        if self._conversation.outgoing:
                            self._send(self._conversation.outgoing)
                            self._conversation.outgoing = b""
                        if self._conversation.hello is not None:
                            pauses.reset()
                        self._changed.notify_all()
            except BlockingIOError:
                pass
            except OSError as error:
                return f"the connection to the agent broke ({error})"
        return "this client was closed"

    # --- fork -----------------------------------------------------------------------------------------

    def on_fork(self) -> None:
        """In the child, where there is no thread, and where another thread may have held the lock."""
        self._ended = self._ended or Forked("this client belongs to the process that forked this one: open one here")
        self._changed = threading.Condition()
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        self._close_pipe()

    def _close_pipe(self) -> None:
        with self._changed:
            ends, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
