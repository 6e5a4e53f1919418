"""nodebeat: the agent of a robot cell's computer, from Python.

    Robot           for a control loop: pushes that never wait
    Bus             messages between the instances of the cell's programs, for asyncio
    Client          every method of the agent's protocol, blocking; aio.Client: for asyncio
    Event, Gap, ... what Client.events() iterates
    errors          what can go wrong
    tatbot          the StateManager of existing programs; sessions: their RedisStateManager

The protocol itself is /usr/include/nodebeat/PROTOCOL.md (package libnodebeat-dev).
"""

from typing import TYPE_CHECKING, Any

from nodebeat import errors
from nodebeat.client import Client
from nodebeat.errors import AgentAway, CallError, ConnectionLost, DeadlineExceeded, NodebeatError
from nodebeat.methods import WILL_ROBOT
from nodebeat.protocol import Event, Gap, Refusal, Replayed, StateChange, StateReady, StateStale
from nodebeat.pushing import Pushed, RobotStats
from nodebeat.robot import Robot

if TYPE_CHECKING:
    from nodebeat import aio, sessions, tatbot
    from nodebeat.bus import Bus, BusMessage

__version__ = "0.1.0"

__all__ = [
    "AgentAway", "Bus", "BusMessage", "CallError", "Client", "ConnectionLost", "DeadlineExceeded", "Event", "Gap", "NodebeatError",
    "Pushed", "Refusal", "Replayed", "Robot", "RobotStats", "StateChange", "StateReady", "StateStale", "WILL_ROBOT", "aio", "errors",
    "sessions", "tatbot",
]


def __getattr__(name: str) -> Any:
    """Loads the parts that need asyncio only on request: a robot's process may not need them."""
    import importlib

    if name in ("aio", "sessions", "tatbot"):
        return importlib.import_module(f"nodebeat.{name}")
    if name in ("Bus", "BusMessage"):
        return getattr(importlib.import_module("nodebeat.bus"), name)
    raise AttributeError(f"module 'nodebeat' has no attribute {name!r}")
