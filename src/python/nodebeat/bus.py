"""The bus between the instances of the cell's programs (PROTOCOL.md, 3.4.6), for asyncio.

    bus = nodebeat.Bus()

    @bus.on("parameter_update")
    async def changed(message):
        if message.remote:
            print(message.data["variable"], message.data["value"])

    async with bus:
        await bus.publish_parameter_update("speed", 5, user="ann")
        await bus.run()

The agent writes the envelope, with its time and instance, and drops what comes back from Redis as its own echo. The
programs of one computer are one instance: each hears the messages of the others, and this class drops those that
it has published itself.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from nodebeat import errors
from nodebeat.aio import Client
from nodebeat.messages import Malformed, log, time_of
from nodebeat.methods import Ack, given
from nodebeat.protocol import Event, Gap, Result, to_json, utc_now

CHANNELS: Final[Mapping[str, str]] = {
    "parameter_update": "cv:parameter:update",
    "routing_change": "cv:routing:change",
    "system_broadcast": "cv:system:broadcast",
    "admin_command": "cv:admin:command",
}
MOST_SAID: Final = 1024  # own messages that have not come back
ADDED: Final = ("source_instance", "max_age_ms")  # to the data, by the agent
# The local programs, including this one, have received a message, or may receive it, although publish() failed.
_HEARD: Final = (errors.DeadlineExceeded, errors.ConnectionLost, errors.NotStored, errors.Dropped, errors.RefusedByRedis,
                 errors.AgentTimeout)


@dataclass(slots=True)
class BusMessage:
    """A message as it came. `remote`: from another instance; else from a program of this computer."""

    type: str
    data: dict[str, Any]
    channel: str
    remote: bool
    timestamp: datetime  # UTC, with its zone
    source_instance: str | None  # some senders leave it out


@dataclass(slots=True, eq=False)
class _Said:
    """A message of this program that has not come back."""

    type: str
    channel: str
    data: dict[str, Any]
    time: str


_V = TypeVar("_V")
_HandlerOf = Callable[[_V], Awaitable[None] | None]
Handler = _HandlerOf[BusMessage]
_H = TypeVar("_H", bound=Handler)
_MissedHandler = _HandlerOf[Gap]


class Bus:
    """socket: see nodebeat.Client. channels: further ones, beginning with `cv:`, to listen to.

    Publishing works alone while Redis is away: the programs of this computer hear it at once.
    """

    def __init__(self, *, socket: str | os.PathLike[str] | None = None, channels: tuple[str, ...] = (),
                 name: str = "bus", timeout: float = 5.0) -> None:
        self._client = Client(socket, name=name, timeout=timeout)
        self._channels = [*CHANNELS.values(), *channels]
        self._handlers: dict[str, list[Handler]] = {}
        self._missed_handlers: list[_MissedHandler] = []
        self._said: list[_Said] = []
        self._malformed = Malformed()
        self._subscribed = False  # or about to be: what is published from now on comes back

    @property
    def malformed(self) -> int:
        """How many malformed messages of other programs were skipped; the log reports them."""
        return self._malformed.count

    def on(self, type: str) -> Callable[[_H], _H]:
        """A decorator: the function, async or not, is called with each BusMessage of that type; "*": of all."""

        def add(handler: _H) -> _H:
            self._handlers.setdefault(type, []).append(handler)
            return handler

        return add

    def on_missed(self, handler: _MissedHandler) -> _MissedHandler:
        """A decorator: called when messages may have been missed."""
        self._missed_handlers.append(handler)
        return handler

    # --- publishing -------------------------------------------------------------------------------

    async def publish_parameter_update(self, variable: str, value: int, user: str, *, ack: Ack | None = None) -> Result:
        """A parameter has a new value, an integer."""
        return await self.publish("parameter_update", {"variable": variable, "value": value, "user": user}, ack=ack)

    async def publish_routing_change(self, routing_data: Any, admin: str, *, ack: Ack | None = None) -> Result:
        """The routing has changed; routing_data is any JSON."""
        return await self.publish("routing_change", {"routingData": routing_data, "admin": admin}, ack=ack)

    async def publish_system_broadcast(
        self, action: Literal["clear_all", "overlay_toggle", "emergency_stop"], admin: str, *,
        enabled: bool | None = None, message: str | None = None, ack: Ack | None = None,
    ) -> Result:
        """To all instances. overlay_toggle needs `enabled`. An emergency stop reaches the programs of this computer
        with Redis away as well, and comes nowhere too late."""
        return await self.publish("system_broadcast", {"action": action, "admin": admin, **given(
            enabled=enabled, message=message)}, ack=ack)

    async def publish_admin_command(self, command: str, admin: str, *, enabled: bool | None = None,
                                    ack: Ack | None = None) -> Result:
        """A command of an administrator."""
        return await self.publish("admin_command", {"command": command, "admin": admin, **given(enabled=enabled)}, ack=ack)

    async def publish(self, type: str, data: Mapping[str, Any], *, channel: str | None = None,
                      ack: Ack | None = None) -> Result:
        """Any message; other types than the four need a channel that begins with `cv:`. InvalidParams names the mistake
        in the data."""
        where = CHANNELS.get(type, "") if channel is None else channel
        # As it comes back: a tuple, for one, comes back as a list.
        own = _Said(type, where, json.loads(to_json(dict(data))), utc_now())
        if self._subscribed and where in self._channels:
            self._said = [*self._said[-MOST_SAID + 1:], own]
        try:
            return await self._client.bus_publish(type, data, channel=channel, ack=ack)
        except _HEARD:
            raise
        except errors.NodebeatError:
            self._forget(own)
            raise

    # --- hearing ----------------------------------------------------------------------------------

    async def subscribe(self) -> None:
        """Begins to listen; run() does so as well. Every later message is received."""
        if self._subscribed:
            return
        self._subscribed = True
        try:
            await self._client.event_subscribe(self._channels)
        except BaseException:
            self._subscribed = False
            self._said.clear()
            raise

    async def run(self) -> None:
        """Calls the handlers, one message after the other, until it is cancelled or the bus is closed. An exception of a
        handler goes to the log (logger "nodebeat")."""
        await self.subscribe()
        async for notice in self._client.events():
            if isinstance(notice, Gap):
                self._forget_what_is_missed(notice)
                await self._call(self._missed_handlers, notice)
            elif isinstance(notice, Event) and (message := self._understood(notice)) is not None:
                if not self._is_own(message):
                    await self._call([*self._handlers.get(message.type, ()), *self._handlers.get("*", ())], message)

    def _understood(self, event: Event) -> BusMessage | None:
        try:
            return _message(event)
        except Exception as error:  # another program's: it may be anything
            self._malformed.add(event.channel, repr(error))
            return None

    async def _call(self, handlers: Iterable[_HandlerOf[_V]], value: _V) -> None:
        for handler in handlers:
            try:
                done = handler(value)
                if inspect.isawaitable(done):
                    await done
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("a handler of the bus failed on %r", value)

    def _is_own(self, message: BusMessage) -> bool:
        """Local messages come once and in order; the agent adds to their data, and changes none of it."""
        if message.remote:
            return False
        data = {k: v for k, v in message.data.items() if k not in ADDED}
        for own in self._said:
            if (own.type, own.channel, own.data) == (message.type, message.channel, data):
                self._forget(own)
                return True
        return False

    def _forget_what_is_missed(self, gap: Gap) -> None:
        """Own messages from before the end of the gap that have not come back will not come back. A gap that is neither
        this program's loss nor that of its connection is one of Redis, where messages of this computer do not pass.
        """
        if gap.lost or gap.reconnected:
            self._said = [own for own in self._said if gap.to is not None and own.time > gap.to]

    def _forget(self, own: _Said) -> None:
        self._said = [s for s in self._said if s is not own]

    async def close(self) -> None:
        """Ends the connection, and run() with it."""
        await self._client.close()

    async def __aenter__(self) -> Bus:
        await self.subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _message(event: Event) -> BusMessage:
    """ValueError, TypeError and others, if it is none."""
    body = event.event
    kind, data = body["type"], body["data"]
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise ValueError("its type is no text, or its data no object")
    source = data.get("source_instance")
    return BusMessage(kind, data, event.channel, event.remote, time_of(body["timestamp"]),
                      source if isinstance(source, str) else None)
