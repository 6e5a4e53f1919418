"""The common rules of the two clients beside the conversation: when a call may be sent, its time limit, the meaning of
the end of a connection. No I/O.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping
from typing import Final

from nodebeat.errors import AgentAway, Closed, ConnectionLost, DeadlineExceeded, Forked, NodebeatError, NotPermitted
from nodebeat.protocol import Conversation, Inbox, Params, Result, line

# Calls that may be made again when the connection broke before their answer: they change nothing, or
# only what belongs to the connection.
REPEATABLE: Final = frozenset((
    "state.get", "state.list", "state.watch", "state.unwatch", "event.subscribe", "event.unsubscribe", "health.get",
    "system.status", "node.history", "agent.stats", "agent.config", "redis.inspect", "session.get", "session.list",
    "client.hello",
))


class Calling:
    """The state of a client. Not thread-safe: the part that moves the bytes guards it."""

    def __init__(self, hello: Params, deadline_ms: int | None, max_queued: int) -> None:
        line("client.hello", hello)  # what is no JSON is told here
        self.conversation = Conversation(hello, deadline_ms)
        self.inbox = Inbox(max_queued)
        self.ended: NodebeatError | None = None  # closed, or in a child
        self._why: NodebeatError = AgentAway("not connected yet")

    @property
    def is_ready(self) -> bool:
        """Whether the agent has answered the greeting."""
        return self.conversation.hello is not None and self.ended is None

    def check(self) -> None:
        """Raises errors that waiting does not change."""
        for error in (self.ended, self.conversation.refused):
            if error is not None:
                raise copy.copy(error)

    def seconds_to_wait(self, deadline: float, is_full: bool) -> float:
        """0: a call may be sent now. Else the time to wait for a change before the next question. Raises the error that
        ends the call. is_full: the agent does not read the sent data."""
        self.check()
        is_ready = self.conversation.hello is not None
        if is_ready and not is_full:
            return 0
        left = deadline - time.monotonic()
        if is_ready and left <= 0:
            raise DeadlineExceeded("the agent reads nothing: this call was not sent")
        if isinstance(self._why, NotPermitted) or left <= 0:
            raise copy.copy(self._why)
        return left

    def greeting(self) -> Result:
        """The agent's answer to the hello, once it has come."""
        assert self.conversation.hello is not None
        return self.conversation.hello

    def away(self, error: AgentAway) -> None:
        """There is no connection now."""
        self._why = error

    def hear(self, data: bytes) -> bytes:
        """Takes received bytes; returns what has to be sent at once."""
        self.inbox.put(self.conversation.receive(data))
        said, self.conversation.outgoing = self.conversation.outgoing, b""
        return said

    def lose(self, why: str) -> None:
        """The connection has gone."""
        self.inbox.put(self.conversation.end(why))
        words = self.conversation.last_words
        self._why = AgentAway(f"{why}: {words}" if words else why)

    def close(self) -> None:
        """Every further call raises Closed."""
        self.ended = self.ended or Closed("this client has been closed")

    def fork(self) -> None:
        """In a child every call raises Forked."""
        self.ended = self.ended or Forked("this client belongs to the process that forked this one: open one here")


def seconds_for(params: Params, timeout: float | None, usual: float) -> float:
    """How long a call may take, all together. `timeout` is that, if it is given. Else it is the client's usual one,
    or, for a call that waits for Redis, what the agent may take by the call's own words and a second, if that is more.
    """
    if timeout is not None:
        return timeout
    own = params.get("timeout_ms")
    own = own if isinstance(own, (int, float)) else 2000 if params.get("ack") == "stored" else 0
    return max(usual, own / 1000 + 1) if own else usual


def goes_again(method: str, error: NodebeatError, deadline: float) -> bool:
    """Whether a call that has failed is to be made again."""
    return isinstance(error, ConnectionLost) and method in REPEATABLE and time.monotonic() < deadline


def deadline_exceeded(method: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"{method}: no answer within {seconds:g} s; it may still be carried out")


def channels_and_patterns(names: Iterable[str], patterns: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """For the names given to events(): a name with one of Redis' signs is a pattern."""
    channels: list[str] = []
    globs: list[str] = []
    for name in names:
        (globs if any(sign in name for sign in "*?[") else channels).append(name)
    return channels, [*globs, *patterns]
