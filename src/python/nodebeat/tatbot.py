"""The StateManager of existing programs, over the agent: change the import line and nothing else.

    from nodebeat.tatbot import RobotState, StateManager

    async with StateManager(node_id="ook") as state:
        session = await state.start_stroke_session(total_strokes=3, stroke_length=40)
        await state.update_stroke_progress(stroke_idx=0, pose_idx=1)

What a control loop calls (update_robot_state, update_stroke_progress, end_stroke_session, report_error,
publish_event) awaits nothing: it hands the call to a Robot, which keeps it while the agent is away. So these cost
microseconds, and neither Redis nor the agent makes them wait or fail. They return True for what was taken: the agent
has it, or gets it as soon as it is there. What reads waits at most `timeout`, and is None, or empty, where there is
nothing or nobody answers. The log (logger "nodebeat") tells which, and what the agent has refused or was lost.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timezone
from typing import Any, Final, TypeVar

from nodebeat.aio import Client
from nodebeat.aio.client import at_the_latest
from nodebeat.errors import NodebeatError, NotFound, RefusedKey
from nodebeat.models import Model, NodeHealth, RobotState, StrokeProgress
from nodebeat.protocol import Event, Gap, Result
from nodebeat.pushing import Pushed, RobotStats
from nodebeat.robot import Robot

__all__ = ["NodeHealth", "RobotState", "StateManager", "StrokeProgress"]

SESSION_CHANNEL: Final = "stroke:events:session"
MOST_WORDS: Final = 4096  # bytes of an error's message
_PROGRESS: Final = frozenset(f.name for f in dataclasses.fields(StrokeProgress)) - {"timestamp", "node_id"}
DISPATCH_S: Final = 0.1  # how often what is kept is tried again while the program pushes nothing
_log: Final = logging.getLogger("nodebeat")
_M = TypeVar("_M", bound=Model)


class StateManager:
    """State of the robot, its strokes, the nodes and their events.

    node_id: the node of this computer. The agent writes for its own node, so another one is a ValueError of connect(),
    or, if the agent comes only later, an error in the log, and nothing is taken from then on. None: the agent's. socket: see nodebeat.Client. timeout: seconds that a reading call may take.
    answer_s: seconds that start_stroke_session() waits for the session's name. deadline_ms: see nodebeat.Robot.
    """

    def __init__(self, node_id: str | None = None, *, socket: str | os.PathLike[str] | None = None,
                 timeout: float = 1.0, answer_s: float = 0.25, deadline_ms: int | None = None) -> None:
        self._given_node = node_id
        self._socket = socket
        self._timeout = timeout
        self._answer_s = answer_s
        self._deadline_ms = deadline_ms
        self._robot: Robot | None = None
        self._client: Client | None = None
        self._is_elsewhere = False  # the agent is another node's
        self._told = RobotStats()  # what the log has been told of
        self._tasks: list[asyncio.Task[None]] = []
        self._session: str | None = None  # as the program knows it
        self._unnamed: str | None = None  # the last one that this class had to name
        self._names: dict[str, str] = {}  # of a session that this class had to name: what the agent calls it
        self._started: asyncio.Future[str] | None = None

    @property
    def node_id(self) -> str | None:
        """This computer's node, as far as it is known."""
        return self._given_node

    @property
    def current_session_id(self) -> str | None:
        """The session that this program has started and not ended."""
        return self._session

    # --- the connection ---------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connects to the agent. It is no error if there is no agent yet: pushes are kept."""
        if self._client is not None:
            return
        self._robot = Robot(self._socket, name="state-manager", deadline_ms=self._deadline_ms)
        self._told = RobotStats()
        self._client = Client(self._socket, name="state-manager-reads", timeout=self._timeout)
        try:
            hello = await self._client.greeting()
            await self._client.event_subscribe([SESSION_CHANNEL])
        except NodebeatError as error:
            _log.warning("no agent yet, what is said is kept: %s", error)
        except BaseException:
            await self.disconnect()
            raise
        else:
            if trouble := self._learn(hello):
                await self.disconnect()
                raise ValueError(trouble)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._dispatch())]

    def _learn(self, hello: Mapping[str, Any]) -> str | None:
        """Which node the agent is; why it is the wrong one, if it is."""
        node, own = hello["node_id"], self._given_node
        if own not in (None, node):
            return (f"the agent of this computer is the node {node!r}, not {own!r}: it writes for its own node; see [node] "
                    "name in nodebeat.toml")
        self._given_node = node
        return None

    async def disconnect(self) -> None:
        """Says goodbye, so that the agent does not take this program for dead."""
        robot, client, self._robot, self._client = self._robot, self._client, None, None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if robot is not None:
            self._tell(robot)
            robot.close()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if client is not None:
                await client.close()

    async def __aenter__(self) -> StateManager:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    def _push(self, push: Callable[[Robot], Pushed]) -> bool:
        """False if it was not taken."""
        if self._robot is None:
            raise _not_connected()
        return not self._is_elsewhere and push(self._robot) is not Pushed.LOST

    @property
    def _reads(self) -> Client:
        if self._client is None:
            raise _not_connected()
        return self._client

    async def _dispatch(self) -> None:
        while self._robot is not None:
            self._robot.dispatch()
            self._tell(self._robot)
            await asyncio.sleep(DISPATCH_S)

    def _tell(self, robot: Robot) -> None:
        """Reports the later fate of pushes in the log."""
        stats, before = robot.stats(), self._told
        if stats.rejected > before.rejected:
            _log.warning("the agent has refused %d messages, the last one for: %s", stats.rejected - before.rejected,
                         robot.last_error())
        if stats.lost > before.lost:
            _log.warning("%d events are lost, since the agent is away for too long", stats.lost - before.lost)
        self._told = stats

    async def _listen(self) -> None:
        """Which node the agent is, and how it calls the sessions that are started here."""
        client = self._reads
        while True:
            try:
                hello = await client.greeting()
                await client.event_subscribe([SESSION_CHANNEL])
                break
            except NodebeatError:
                await asyncio.sleep(DISPATCH_S)
        if trouble := self._learn(hello):
            _log.error("nothing is written from now on: %s", trouble)
            self._is_elsewhere = True
            return
        async for notice in client.events():
            if isinstance(notice, Event) and isinstance(notice.event, dict) and not notice.remote:
                session = notice.event.get("session_id")
                if notice.event.get("type") == "session_start" and isinstance(session, str):
                    self._on_started(session)

    def _on_started(self, session_id: str) -> None:
        if self._started is not None and not self._started.done():
            self._started.set_result(session_id)
        elif self._session is not None and self._session == self._unnamed:
            self._names.setdefault(self._session, session_id)

    async def _find_name(self, until: float) -> None:
        """How the agent calls the session that has only a name of this class. The event of its start may have come before
        the subscription to such events, when the agent was away."""
        session, robot = self._unnamed, self._robot
        if session is None or session != self._session or session in self._names or robot is None or not robot.dispatch():
            return
        await self._read("client.hello", {}, until)  # see _model()
        stats = await self._read("agent.stats", {}, until)
        if stats and stats["stroke"]["session_id"] and session == self._session:
            self._names.setdefault(session, stats["stroke"]["session_id"])

    # --- the robot --------------------------------------------------------------------------------

    async def update_robot_state(self, robot_state: RobotState) -> bool:
        """Hands the state over; never waits."""
        s = robot_state
        return self._push(lambda robot: robot.push_state(
            s.joints_l, s.joints_r, s.velocities_l, s.velocities_r, is_connected_l=s.is_connected_l,
            is_connected_r=s.is_connected_r, current_pose=s.current_pose, goal_time_slow=s.goal_time_slow,
            goal_time_fast=s.goal_time_fast, timestamp_us=_microseconds(s)))

    async def get_robot_state(self, node_id: str | None = None) -> RobotState | None:
        """The last state of this node's robot, or of another's."""
        until = self._until()
        return await self._model(RobotState, f"robot:state:{node_id or await self._node(until)}", until)

    # --- strokes ----------------------------------------------------------------------------------

    async def start_stroke_session(self, total_strokes: int, stroke_length: int, scene_name: str = "default",
                                   **more: object) -> str:
        """Starts a session and returns its name. If the agent does not answer within `answer_s`, the session is
        started when the agent is there, and has until then a name that this class gives it."""
        client = self._reads
        members = _members(more, "total_strokes", "stroke_length", "scene_name")
        self._started = asyncio.get_running_loop().create_future()
        try:
            is_taken = self._push(lambda robot: robot.start_stroke(
                total_strokes, stroke_length=stroke_length, scene_name=scene_name, **members))
            if not is_taken or not client.is_connected:
                raise TimeoutError
            name: str = await at_the_latest(self._started, self._answer_s, _late(self._started))
            self._session = name
        except TimeoutError:
            seconds, rest = divmod(time.time_ns() // 1000, 1_000_000)
            self._session = f"stroke_{self._given_node or 'node'}_{seconds}_{rest:06}"
            self._unnamed = self._session
            _log.warning("the agent has not answered: the session has the name %s here", self._session)
        finally:
            self._started = None
        return self._session

    async def update_stroke_progress(self, stroke_idx: int | None = None, pose_idx: int | None = None,
                                     session_id: str | None = None, **more: object) -> bool:
        """The running session's progress; never waits. `more`: other fields of StrokeProgress. False: the session is not
        the one that runs."""
        if session_id is not None and self._session not in (None, session_id):
            _log.warning("progress of %s, but %s runs: not sent", session_id, self._session)
            return False
        members = _members({"stroke_idx": stroke_idx, "pose_idx": pose_idx, **more})
        return self._push(lambda robot: robot.update_stroke(**members))

    async def get_stroke_progress(self, session_id: str | None = None) -> StrokeProgress | None:
        """How far a session is; without a name the one that runs on this node."""
        until = self._until()
        session = session_id or self._session
        if session is None:
            stats = await self._read("agent.stats", {}, until)
            session = stats["stroke"]["session_id"] if stats else None
        if session is None:
            return None
        await self._find_name(until)
        return await self._model(StrokeProgress, f"stroke:progress:{self._names.get(session, session)}", until)

    async def end_stroke_session(self, session_id: str | None = None) -> bool:
        """Ends the running session; never waits."""
        if session_id is not None and self._session not in (None, session_id):
            _log.warning("%s is to end, but %s runs: not ended", session_id, self._session)
            return False
        self._session = None
        return self._push(Robot.end_stroke)

    # --- nodes ------------------------------------------------------------------------------------

    async def update_node_health(self, health: NodeHealth) -> bool:
        """Does nothing and is true: the agent measures this node's health and writes it, every few seconds."""
        return isinstance(health, NodeHealth)

    async def get_node_health(self, node_id: str | None = None) -> NodeHealth | None:
        """A node's health; None if it is down or unknown."""
        found = await self._read("health.get", {"node": node_id} if node_id else {}, self._until())
        return None if not found or found["health"] is None else _valid(NodeHealth, found["health"])

    async def get_all_nodes_health(self) -> dict[str, NodeHealth | None]:
        """Every node that was ever seen; None: it is down."""
        nodes = (await self.get_system_status())["nodes_health"]
        return {node: None if health is None else _valid(NodeHealth, health) for node, health in nodes.items()}

    async def get_system_status(self) -> dict[str, Any]:
        """`redis_connected`, `active_stroke_sessions`, `nodes_online`, `total_nodes`, `nodes_health`, ...: of all nodes,
        or of none, if that could not be read."""
        whole: Result = {"nodes_health": {}, "nodes_last_seen": {}, "nodes": {}}
        cursor: str | None = ""
        until = self._until()
        while cursor is not None:
            page = await self._read("system.status", {"cursor": cursor} if cursor else {}, until)
            if page is None:  # a half of the cell would look like a whole one
                return {"redis_connected": False, "active_stroke_sessions": 0, "nodes_online": 0, "total_nodes": 0,
                        "nodes_health": {}, "nodes_last_seen": {}, "nodes": {}}
            cursor = page.pop("cursor", None)
            whole = page | {name: whole[name] | page.get(name, {}) for name in ("nodes_health", "nodes_last_seen", "nodes")}
        return whole

    # --- events and other state -------------------------------------------------------------------

    async def subscribe_events(self, *channels: str) -> AsyncIterator[dict[str, Any]]:
        """Yields {"channel", "data", "pattern"}; a channel with `*`, `?` or `[` is a pattern. Reconnects by itself;
        that events may have been missed is a warning in the log."""
        async with Client(self._socket, name="state-manager-events", timeout=math.inf) as client:
            async for notice in client.events(*channels):
                if isinstance(notice, Gap):
                    _log.warning("events may have been missed: %s", notice)
                elif isinstance(notice, Event):
                    data = notice.event if notice.text is None else notice.text
                    yield {"channel": notice.channel, "data": data, "pattern": notice.pattern}

    async def publish_event(self, channel: str, event_data: Mapping[str, Any]) -> bool:
        """Publishes an event; never waits. False: there is no room, after a long time without an agent."""
        return self._push(lambda robot: robot.publish(channel, event_data))

    async def report_error(self, category: str, message: str, details: Mapping[str, Any] | None = None) -> bool:
        """Publishes an error on `error:events:{category}`; never waits. A message of more than 4096 bytes is cut."""
        words = str(message).encode(errors="replace").replace(b"\0", b"?")[:MOST_WORDS].decode(errors="ignore")
        return self._push(lambda robot: robot.error(category, words, details))

    async def get_state(self, key: str, node_id: str | None = None) -> dict[str, Any] | None:
        """`robot:state`, `stroke:progress` and `node:health` as objects, any other key as {"key", "value"}."""
        model: Model | None
        if key == "robot:state":
            model = await self.get_robot_state(node_id)
        elif key == "node:health":
            model = await self.get_node_health(node_id)
        elif key == "stroke:progress":
            model = await self.get_stroke_progress()
        else:
            found = await self._read("state.get", {"key": key}, self._until())
            return None if found is None else {"key": key, "value": found["value"]}
        return None if model is None else model.model_dump(mode="json")

    async def set_state(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Writes a value, for `ttl` seconds. RefusedKey for keys that other programs parse. False: it was not taken, by
        an agent that is away or for a reason that the log tells."""
        try:
            await self._reads.state_set(key, data, ttl_ms=None if ttl is None else int(ttl * 1000))
        except RefusedKey:
            raise
        except NodebeatError as error:
            _log.warning("%s is not set: %s", key, error)
            return False
        return True

    # --- reading ----------------------------------------------------------------------------------

    def _until(self) -> float:
        """When a call that begins now has to end: `timeout` holds for all that it asks the agent."""
        return time.monotonic() + self._timeout

    async def _node(self, until: float) -> str:
        if self._given_node is None:
            stats = await self._read("agent.stats", {}, until)
            self._given_node = stats["node_id"] if stats else None
        return self._given_node or ""

    async def _read(self, method: str, params: Mapping[str, object], until: float) -> Result | None:
        client, left = self._reads, until - time.monotonic()
        if left <= 0:
            return None
        try:
            return await client.call(method, params, timeout=left)
        except NotFound:
            return None
        except NodebeatError as error:
            _log.warning("%s: %s", method, error)
            return None

    async def _model(self, kind: type[_M], key: str, until: float) -> _M | None:
        # The agent reads two connections in either order: with this answer it has read the earlier pushes.
        await self._read("client.hello", {}, until)
        found = await self._read("state.get", {"key": key}, until)
        return None if found is None else _valid(kind, found["value"])


def _valid(kind: type[_M], value: Any) -> _M | None:
    try:
        return kind.model_validate(value)
    except ValueError as error:
        _log.warning("what another program wrote is no %s: %s", kind.__name__, error)
        return None


def _members(given: Mapping[str, object], *apart: str) -> dict[str, Any]:
    """Of a StrokeProgress those that the agent is told; what no StrokeProgress has is left out, as today."""
    found = {name: value for name, value in given.items() if name in _PROGRESS and name not in apart}
    if unknown := given.keys() - found.keys() - {"timestamp", "node_id", *apart}:
        _log.debug("a stroke's progress has no %s", ", ".join(sorted(unknown)))
    return {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in found.items()}


def _late(waiter: asyncio.Future[str]) -> Callable[[], None]:
    return lambda: None if waiter.done() else waiter.set_exception(TimeoutError())


def _not_connected() -> RuntimeError:
    return RuntimeError("not connected: use `async with StateManager(...)`, or await connect()")


def _microseconds(state: Model) -> int:
    return round(state.timestamp.replace(tzinfo=timezone.utc).timestamp() * 1_000_000)
