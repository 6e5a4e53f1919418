"""The errors of the package, as exceptions.

    NodebeatError
    ├── CallError           the agent refused a call: code, name, data
    │   └── NotFound, Conflict, Forbidden, ...: one class for each name in PROTOCOL.md, 5
    ├── AgentAway           there is no connection to the agent (also a ConnectionError)
    │   ├── NotPermitted    the socket's mode or the agent's rules keep this user out
    │   └── ConnectionLost  the agent went before it answered: the call may have been carried out
    ├── DeadlineExceeded    no answer in time (also a TimeoutError): it may still be carried out
    ├── WrongProtocol       the agent speaks another version of the protocol
    ├── Forked              the client belongs to the process that forked this one
    └── Closed              the client was closed
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import Any


class NodebeatError(Exception):
    """The base of all that this package raises, but for ValueError and TypeError of wrong arguments."""


class AgentAway(NodebeatError, ConnectionError):
    """There is no connection to the agent. The text has the reason, and says what to do. Nothing was sent."""


class NotPermitted(AgentAway, PermissionError):
    """This user may not connect. Waiting does not help: the text says what to do."""


class ConnectionLost(AgentAway):
    """The connection broke before the answer came: the call may have been carried out, or not."""


class DeadlineExceeded(NodebeatError, TimeoutError):
    """No answer within the time given. The call may still be carried out."""


class WrongProtocol(NodebeatError):
    """The agent speaks a version of the protocol that this package does not."""


class Forked(NodebeatError, RuntimeError):
    """The client belongs to the process that forked this one: a child opens a client of its own."""


class Closed(NodebeatError, RuntimeError):
    """The client has been closed."""


class CallError(NodebeatError):
    """The agent refused a call.

    code: the number of PROTOCOL.md, 5. name: its name there, as `not_found`. message: the agent's
    words, which tell what would be right. data: what the error carries besides, as `field`.
    """

    advice = ""

    def __init__(self, code: int, message: str, data: Mapping[str, Any]) -> None:
        self.code = code
        self.message = message
        self.data = dict(data)
        self.name = str(self.data.get("name", ""))
        super().__init__(f"{self.name or code}: {message}" + (f" ({self.advice})" if self.advice else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message, self.data)


class ParseError(CallError):
    """The line was no JSON."""


class InvalidRequest(CallError):
    """The line was JSON, but no call."""


class UnknownMethod(CallError):
    """The agent has no such method. data: `method`, `nearest`."""

    advice = "an agent older than this package does not know all of its methods: upgrade nodebeat"


class InvalidParams(CallError, ValueError):
    """A member is unknown, missing, of the wrong type or out of range. data: `field`."""


class Internal(CallError):
    """A fault of the agent."""


class TooLarge(CallError):
    """A line, a key or a value is beyond its limit. data: `limit_bytes` or `limit`."""


class NotFound(CallError, LookupError):
    """There is no such key, session or node."""


class Conflict(CallError):
    """The session exists or has another version, or the node is alive. Nothing was changed."""

    @property
    def actual(self) -> int | None:
        """The version that the session has."""
        return self.data.get("actual")

    @property
    def expected(self) -> int | None:
        """The version that was expected, if one was."""
        return self.data.get("expected")


class RefusedKey(CallError):
    """A key or a channel that other programs parse. data: `key`."""


class QueueFull(CallError):
    """There is no room in the agent. data: `limit_bytes` or `limit`."""


class NotStored(CallError):
    """Redis has not confirmed the write in time; the agent still has it. data: `link`."""

    advice = "the agent keeps it and goes on trying; `nodebeatctl doctor` says what is wrong with Redis"


class Busy(CallError):
    """There are too many connections. data: `limit`."""


class AgentTimeout(CallError):
    """Half a line for too long, or not answered before the agent closed."""


class Unavailable(CallError):
    """Reading, or a session, needs Redis, which does not answer. Nothing was changed. data: `link`."""

    advice = "`nodebeatctl doctor` says what is wrong with Redis"


class RefusedByRedis(CallError):
    """Redis refused for good. data: `redis`, its words."""


class WrongType(CallError):
    """The key holds another type. data: `type`."""


class Forbidden(CallError):
    """The socket does not give the right. data: `right`, and `socket`: one that gives it."""


class Dropped(CallError):
    """An event was dropped before it was stored."""


class InDoubt(CallError):
    """The write of a session may or may not have been carried out: read the session again."""


class Corrupt(CallError):
    """The key holds a value that is no session. data: `stored`, `stored_bytes`."""


class RateLimited(CallError):
    """Too many calls in a second. data: `retry_after_ms`."""


_BY_CODE: dict[int, type[CallError]] = {
    -32700: ParseError,
    -32600: InvalidRequest,
    -32601: UnknownMethod,
    -32602: InvalidParams,
    -32603: Internal,
    -32000: TooLarge,
    -32001: NotFound,
    -32002: Conflict,
    -32003: RefusedKey,
    -32004: QueueFull,
    -32005: NotStored,
    -32006: Busy,
    -32007: AgentTimeout,
    -32008: Unavailable,
    -32009: RefusedByRedis,
    -32010: WrongType,
    -32011: Forbidden,
    -32012: Dropped,
    -32013: InDoubt,
    -32014: Corrupt,
    -32015: RateLimited,
}


def error_of(error: Mapping[str, Any]) -> CallError:
    """The exception of an error object; one with an unknown code is a plain CallError."""
    code, data = error.get("code"), error.get("data")
    code = code if isinstance(code, int) else 0
    kind = _BY_CODE.get(code, CallError)
    return kind(code, str(error.get("message", "")), data if isinstance(data, dict) else {})


def why_away(path: str, error: OSError) -> AgentAway:
    """Why connect() failed, in words that say what to do."""
    number = error.errno
    if number is None:  # Python says this of a path of more than 107 bytes without an errno
        return AgentAway(f"{path}: {error}")
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(number, f"you may not use {path}: {_who_may(path)}")
    if number in (errno.ENOENT, errno.ENOTDIR):
        words = f"no agent listens at {path}: is nodebeat running? systemctl status nodebeat"
    elif number == errno.ECONNREFUSED and not _is_socket(path):
        words = f"{path} is not a socket: name the agent's by socket= or NODEBEAT_SOCKET"
    elif number == errno.ECONNREFUSED:
        words = f"no process listens at {path}: the agent has ended; systemctl restart nodebeat"
    elif number == errno.EAGAIN:
        words = f"the agent at {path} takes no connection now: it is busy or stopped; systemctl restart nodebeat"
    elif number in (errno.EMFILE, errno.ENFILE):
        words = "no descriptor is left to connect with: close some, or raise the limit (ulimit -n)"
    else:
        words = f"cannot connect to {path}: {error}"
    return AgentAway(number, words)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _who_may(path: str) -> str:
    try:
        name = _group_name(os.stat(path).st_gid)
    except OSError:
        return "its folder is closed to you; ask its owner"
    return (f"it is for the group {name}: `sudo usermod -aG {name} $USER` and log in anew; "
            "for reading only, /run/nodebeat/view.sock and the group nodebeat-view are enough")


def _group_name(number: int) -> str:
    """From the file: getgrgid() asks whatever NSS names, a server of the network too, and that may take long."""
    try:
        with open("/etc/group", encoding="utf-8", errors="replace") as groups:
            rows = (row.split(":") for row in groups)
            return next((row[0] for row in rows if len(row) > 2 and row[2] == str(number)), str(number))
    except OSError:
        return str(number)
