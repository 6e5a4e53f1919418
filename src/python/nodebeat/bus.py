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
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal, TypeVar

from nodebeat.aio import Client
from nodebeat.errors import NodebeatError
from nodebeat.methods import Ack, given
from nodebeat.protocol import Event, Gap, Result

CHANNELS: Final[Mapping[str, str]] = {
    "parameter_update": "cv:parameter:update",
    "routing_change": "cv:routing:change",
    "system_broadcast": "cv:system:broadcast",
    "admin_command": "cv:admin:command",
}
MOST_SAID: Final = 1024  # own messages that have not come back
MISSED: Final = "missed"  # the type of a handler that is told of gaps
_log: Final = logging.getLogger("nodebeat")


@dataclass(slots=True)
class BusMessage:
    """A message as it came. `remote`: from another instance; else from a program of this computer."""

    type: str
    data: dict[str, Any]
    channel: str
    remote: bool
    timestamp: datetime  # UTC, with its zone
    source_instance: str | None  # some senders leave it out


Handler = Callable[[BusMessage], Awaitable[None] | None]
_H = TypeVar("_H", bound=Handler)


class Bus:
    """socket: see nodebeat.Client. channels: further ones, beginning with `cv:`, to listen to.

    Publishing works alone while Redis is away: the programs of this computer hear it at once.
    """

    def __init__(self, *, socket: str | os.PathLike[str] | None = None, channels: tuple[str, ...] = (),
                 name: str = "bus", timeout: float = 5.0) -> None:
        self._client = Client(socket, name=name, timeout=timeout)
        self._channels = [*CHANNELS.values(), *channels]
        self._handlers: dict[str, list[Callable[[Any], Awaitable[None] | None]]] = {}
        self._said: list[tuple[str, dict[str, Any]]] = []
        self._subscribed = False

    def on(self, type: str) -> Callable[[_H], _H]:
        """A decorator: the function, async or not, is called with each BusMessage of that type; "*": of all."""

        def add(handler: _H) -> _H:
            self._handlers.setdefault(type, []).append(handler)
            return handler

        return add

    def on_missed(self, handler: Callable[[Gap], Awaitable[None] | None]) -> Callable[[Gap], Awaitable[None] | None]:
        """A decorator: called when messages may have been missed."""
        self._handlers.setdefault(MISSED, []).append(handler)
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
        """Any message; other types than the four need a channel that begins with `cv:`. InvalidParams tells what is
        wrong with the data."""
        own = (type, dict(data))
        if self._subscribed:
            self._said = [*self._said[-MOST_SAID:], own]
        try:
            return await self._client.bus_publish(type, data, channel=channel, ack=ack)
        except NodebeatError:
            self._forget(own)
            raise

    # --- hearing ----------------------------------------------------------------------------------

    async def subscribe(self) -> None:
        """Begins to listen; run() does it as well. What is published after it is heard."""
        if not self._subscribed:
            await self._client.event_subscribe(self._channels)
            self._subscribed = True

    async def run(self) -> None:
        """Calls the handlers, one message after the other, until it is cancelled or the bus is closed. What a
        handler raises goes to the log (logger "nodebeat")."""
        await self.subscribe()
        async for notice in self._client.events():
            if isinstance(notice, Gap):
                self._said.clear()
                await self._call(self._handlers.get(MISSED, ()), notice)
            elif isinstance(notice, Event) and (message := _message(notice)) is not None and not self._is_own(message):
                await self._call([*self._handlers.get(message.type, ()), *self._handlers.get("*", ())], message)

    async def _call(self, handlers: Any, value: Any) -> None:
        for handler in handlers:
            try:
                done = handler(value)
                if inspect.isawaitable(done):
                    await done
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("a handler of the bus failed on %r", value)

    def _is_own(self, message: BusMessage) -> bool:
        """Local messages come once and in order; the agent adds to their data, and changes none of it."""
        if message.remote:
            return False
        for own in self._said:
            if own[0] == message.type and all(message.data.get(k) == v for k, v in own[1].items()):
                self._forget(own)
                return True
        return False

    def _forget(self, own: tuple[str, dict[str, Any]]) -> None:
        self._said = [s for s in self._said if s is not own]

    async def close(self) -> None:
        await self._client.close()

    async def __aenter__(self) -> Bus:
        await self.subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _message(event: Event) -> BusMessage | None:
    body = event.event
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict) or not isinstance(body.get("type"), str):
        return None
    ms = body.get("timestamp")
    when = datetime.fromtimestamp(ms / 1000 if isinstance(ms, (int, float)) else 0, timezone.utc)
    source = body["data"].get("source_instance")
    return BusMessage(body["type"], body["data"], event.channel, event.remote, when,
                      source if isinstance(source, str) else None)
