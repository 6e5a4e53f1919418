"""nodebeat: the agent of a robot cell's computer, from Python.

    Robot           for a control loop: pushes that never wait
    Client          every method of the agent's protocol, blocking; aio.Client: for asyncio
    Event, Gap, ... what Client.events() iterates
    errors          what can go wrong

The protocol itself is /usr/include/nodebeat/PROTOCOL.md (package libnodebeat-dev).
"""

from typing import TYPE_CHECKING, Any

from nodebeat import errors
from nodebeat.client import Client
from nodebeat.errors import AgentAway, CallError, ConnectionLost, DeadlineExceeded, NodebeatError
from nodebeat.methods import WILL_ROBOT
from nodebeat.protocol import Event, Gap, Refusal, StateChange, StateReady, StateStale
from nodebeat.pushing import Pushed, RobotStats
from nodebeat.robot import Robot

if TYPE_CHECKING:
    from nodebeat import aio

__version__ = "0.1.0"

__all__ = [
    "AgentAway", "CallError", "Client", "ConnectionLost", "DeadlineExceeded", "Event", "Gap", "NodebeatError",
    "Pushed", "Refusal", "Robot", "RobotStats", "StateChange", "StateReady", "StateStale", "WILL_ROBOT", "aio", "errors",
]


def __getattr__(name: str) -> Any:
    """What takes asyncio is loaded when it is asked for: a robot's process may do without."""
    if name == "aio":
        import importlib

        return importlib.import_module("nodebeat.aio")
    raise AttributeError(f"module 'nodebeat' has no attribute {name!r}")
