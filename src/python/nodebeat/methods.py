"""Every method of the protocol, for both clients: one place for names, types and documentation.

A method returns what `call` returns: the blocking client the result, the asyncio client something to await.
A result is the object of PROTOCOL.md, 3. What is None is left out, unless the text says that None is null.
Each method takes `timeout`, in seconds: how long the call may take, all together (nodebeat.Client). Members that
end in `_ms` are milliseconds and go to the agent. Each may raise a CallError (the agent refused: errors.py), AgentAway,
ConnectionLost, DeadlineExceeded, and ValueError for NaN and infinity.

`ack="stored"` is answered when Redis has confirmed the write (within `timeout_ms`, 2000): else NotStored.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

from nodebeat.numbers import LISTS, UNSET, Numbers, Unset, finite, floats
from nodebeat.protocol import Params

R = TypeVar("R", covariant=True)

Ack = Literal["accepted", "stored"]


# What the agent does if a robot's process dies: both arms are no longer connected, its stroke session has
# ended, and an error reports the death.
WILL_ROBOT: Final[Sequence[Mapping[str, object]]] = (
    {"method": "robot.update", "params": {"is_connected_l": False, "is_connected_r": False}},
    {"method": "stroke.end", "params": {}},
    {"method": "error.report", "params": {"category": "robot", "message": "the robot process has died"}},
)


def robot_params(
    joints_l: Numbers | Unset | None = UNSET,
    joints_r: Numbers | Unset | None = UNSET,
    velocities_l: Numbers | Unset | None = UNSET,
    velocities_r: Numbers | Unset | None = UNSET,
    is_connected_l: bool | None = None,
    is_connected_r: bool | None = None,
    current_pose: str | None = None,
    goal_time_slow: float | None = None,
    goal_time_fast: float | None = None,
    timestamp: str | None = None,
) -> dict[str, object]:
    """The params of robot.update."""
    params = given(is_connected_l=is_connected_l, is_connected_r=is_connected_r, current_pose=current_pose,
                   timestamp=timestamp)
    for name, value in zip(LISTS, (joints_l, joints_r, velocities_l, velocities_r)):
        if not isinstance(value, Unset):
            params[name] = None if value is None else floats(name, value).tolist()
    for name, number in (("goal_time_slow", goal_time_slow), ("goal_time_fast", goal_time_fast)):
        if number is not None:
            params[name] = finite(name, number)
    return params


def given(**params: object) -> dict[str, object]:
    """Without the arguments that were not given."""
    return {name: value for name, value in params.items() if value is not None and value is not UNSET}


class Methods(abc.ABC, Generic[R]):
    """The methods under their names, with an underscore for the dot."""

    @abc.abstractmethod
    def call(self, method: str, params: Params | None = None, *, timeout: float | None = None) -> R:
        """Any call: `call("health.get", {"node": "hog"})`. Returns its result."""

    # --- the client (3.1) -------------------------------------------------------------------------

    def client_hello(
        self, *, name: str | None = None, errors: bool | None = None,
        will: Sequence[Mapping[str, object]] | Unset | None = UNSET, max_line_bytes: int | None = None,
        deadline_ms: int | Unset | None = UNSET, timeout: float | None = None,
    ) -> R:
        """Names this client, and changes its earlier hello; the next connections begin with this hello.

        will: calls that the agent makes if this process dies, None: none. deadline_ms: a promise to push the
        robot's state or a stroke's progress again within that time, None withdraws it.
        """
        params = given(name=name, errors=errors, max_line_bytes=max_line_bytes)
        params.update({k: v for k, v in (("will", will), ("deadline_ms", deadline_ms)) if v is not UNSET})
        return self.call("client.hello", params, timeout=timeout)

    def client_goodbye(self, *, timeout: float | None = None) -> R:
        """Cancels the will and the deadline."""
        return self.call("client.goodbye", timeout=timeout)

    # --- the robot (3.2) --------------------------------------------------------------------------

    def robot_update(
        self, *, joints_l: Numbers | Unset | None = UNSET, joints_r: Numbers | Unset | None = UNSET,
        velocities_l: Numbers | Unset | None = UNSET, velocities_r: Numbers | Unset | None = UNSET,
        is_connected_l: bool | None = None, is_connected_r: bool | None = None, current_pose: str | None = None,
        goal_time_slow: float | None = None, goal_time_fast: float | None = None, timestamp: str | None = None,
        ack: Ack | None = None, timeout_ms: int | None = None, timeout: float | None = None,
    ) -> R:
        """The robot's state, or a part of it: omitted members keep their last values.

        joints in rad, velocities in rad/s, at most 64 each; None: not known. goal times in s. timestamp: the
        time of this state in UTC, as 2026-11-20T14:03:07.123456. In a control loop use nodebeat.Robot.
        """
        params = robot_params(joints_l, joints_r, velocities_l, velocities_r, is_connected_l, is_connected_r,
                              current_pose, goal_time_slow, goal_time_fast, timestamp)
        return self.call("robot.update", params | given(ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    def stroke_start(
        self, *, total_strokes: int, stroke_idx: int | None = None, pose_idx: int | None = None,
        stroke_length: int | None = None, offset_idx_l: int | None = None, offset_idx_r: int | None = None,
        stroke_description_l: str | None = None, stroke_description_r: str | None = None,
        is_executing: bool | None = None, is_paused: bool | None = None, scene_name: str | None = None,
        dataset_name: str | Unset | None = UNSET, timestamp: str | None = None, ack: Ack | None = None,
        timeout_ms: int | None = None, timeout: float | None = None,
    ) -> R:
        """Starts a stroke session, and ends one that still runs. Returns `session_id`."""
        return self.call("stroke.start", _stroke(
            dataset_name, total_strokes=total_strokes, stroke_idx=stroke_idx, pose_idx=pose_idx,
            stroke_length=stroke_length, offset_idx_l=offset_idx_l, offset_idx_r=offset_idx_r,
            stroke_description_l=stroke_description_l, stroke_description_r=stroke_description_r,
            is_executing=is_executing, is_paused=is_paused, scene_name=scene_name, timestamp=timestamp, ack=ack,
            timeout_ms=timeout_ms), timeout=timeout)

    def stroke_update(
        self, *, session_id: str | None = None, stroke_idx: int | None = None, pose_idx: int | None = None,
        total_strokes: int | None = None, stroke_length: int | None = None, offset_idx_l: int | None = None,
        offset_idx_r: int | None = None, stroke_description_l: str | None = None,
        stroke_description_r: str | None = None, is_executing: bool | None = None, is_paused: bool | None = None,
        scene_name: str | None = None, dataset_name: str | Unset | None = UNSET, timestamp: str | None = None,
        ack: Ack | None = None, timeout_ms: int | None = None, timeout: float | None = None,
    ) -> R:
        """The running session's progress, or a part of it. NotFound: none runs, or not that one."""
        return self.call("stroke.update", _stroke(
            dataset_name, session_id=session_id, stroke_idx=stroke_idx, pose_idx=pose_idx,
            total_strokes=total_strokes, stroke_length=stroke_length, offset_idx_l=offset_idx_l,
            offset_idx_r=offset_idx_r, stroke_description_l=stroke_description_l,
            stroke_description_r=stroke_description_r, is_executing=is_executing, is_paused=is_paused,
            scene_name=scene_name, timestamp=timestamp, ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    def stroke_end(self, *, session_id: str | None = None, ack: Ack | None = None, timeout_ms: int | None = None,
                   timeout: float | None = None) -> R:
        """Ends the running session."""
        return self.call("stroke.end", given(session_id=session_id, ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    def error_report(self, category: str, message: str, details: Mapping[str, object] | None = None, *,
                     ack: Ack | None = None, timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """Publishes an error on `error:events:{category}`."""
        return self.call("error.report", given(category=category, message=message, details=details, ack=ack,
                                               timeout_ms=timeout_ms), timeout=timeout)

    # --- state (3.3) ------------------------------------------------------------------------------

    def state_set(self, key: str, value: object, *, ttl_ms: int | None = None, ack: Ack | None = None,
                  timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """Writes any JSON under a key; without ttl_ms it stays."""
        params = {"key": key, "value": value, **given(ttl_ms=ttl_ms, ack=ack, timeout_ms=timeout_ms)}
        return self.call("state.set", params, timeout=timeout)

    def state_get(self, key: str, *, timeout: float | None = None) -> R:
        """Returns `key`, `value`, `source`. NotFound, WrongType, Unavailable."""
        return self.call("state.get", {"key": key}, timeout=timeout)

    def state_delete(self, key: str, *, ack: Ack | None = None, timeout_ms: int | None = None,
                     timeout: float | None = None) -> R:
        """Deletes a key."""
        return self.call("state.delete", given(key=key, ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    def state_list(self, prefix: str | None = None, *, limit: int | None = None, cursor: str | None = None,
                   timeout: float | None = None) -> R:
        """Returns `keys` and `cursor`, which goes into the next call; None: that were all."""
        return self.call("state.list", given(prefix=prefix, limit=limit, cursor=cursor), timeout=timeout)

    def state_watch(self, keys: Iterable[str] = (), *, prefixes: Iterable[str] = (),
                    timeout: float | None = None) -> R:
        """Reports the values of these keys, and of all keys with these beginnings, and then each change: StateChange,
        StateReady and StateStale come from events(). A further watch replaces this one."""
        lists = {"keys": _texts("keys", keys), "prefixes": _texts("prefixes", prefixes)}
        return self.call("state.watch", {k: v for k, v in lists.items() if v}, timeout=timeout)

    def state_unwatch(self, *, timeout: float | None = None) -> R:
        """Ends the watch."""
        return self.call("state.unwatch", timeout=timeout)

    # --- events (3.4) -----------------------------------------------------------------------------

    def event_publish(self, channel: str, event: Mapping[str, object], *, max_age_ms: int | None = None,
                      record: bool | None = None, ack: Ack | None = None, timeout_ms: int | None = None,
                      timeout: float | None = None) -> R:
        """Publishes an event; with ack="stored" returns `subscribers`, None if it was too late. The agent
        adds `node_id` and `client_name`."""
        return self.call("event.publish", given(channel=channel, event=event, max_age_ms=max_age_ms, record=record,
                                                ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    def event_subscribe(self, channels: Iterable[str] = (), *, patterns: Iterable[str] = (),
                        replay: Mapping[str, object] | None = None, timeout: float | None = None) -> R:
        """Subscribes; the messages come from events(). replay: {"last": N} or {"since": id or timestamp}: first
        the recorded events; with "mark" a Replayed behind them. A new connection goes on where the last one ended."""
        params: dict[str, object] = {"channels": _texts("channels", channels), "patterns": _texts("patterns", patterns)}
        params = {k: v for k, v in params.items() if v} | given(replay=replay)
        return self.call("event.subscribe", params, timeout=timeout)

    def event_unsubscribe(self, channels: Iterable[str] = (), *, patterns: Iterable[str] = (),
                          timeout: float | None = None) -> R:
        """Ends these subscriptions; without any named, all."""
        params = {"channels": _texts("channels", channels), "patterns": _texts("patterns", patterns)}
        return self.call("event.unsubscribe", {k: v for k, v in params.items() if v}, timeout=timeout)

    def bus_publish(self, type: str, data: Mapping[str, object], *, channel: str | None = None,
                    max_age_ms: int | None = None, record: bool | None = None, ack: Ack | None = None,
                    timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """A message of the bus (3.4.6); nodebeat.Bus has a method for each known type."""
        return self.call("bus.publish", given(type=type, data=data, channel=channel, max_age_ms=max_age_ms,
                                              record=record, ack=ack, timeout_ms=timeout_ms), timeout=timeout)

    # --- looking (3.5) ----------------------------------------------------------------------------

    def health_get(self, node: str | None = None, *, timeout: float | None = None) -> R:
        """A node's health: `node_id`, `health` or None, `age_ms`."""
        return self.call("health.get", given(node=node), timeout=timeout)

    def system_status(self, *, limit: int | None = None, cursor: str | None = None,
                      timeout: float | None = None) -> R:
        """The whole cell: `nodes_online`, `nodes_health`, ..."""
        return self.call("system.status", given(limit=limit, cursor=cursor), timeout=timeout)

    def node_history(self, range_ms: int, fields: Iterable[str], *, node: str | None = None, points: int | None = None,
                     timeout: float | None = None) -> R:
        """Past beats of a node, one of each step: `points`, [ms, values of `fields`], the newest first."""
        return self.call("node.history", given(node=node, range_ms=range_ms, points=points,
                                               fields=_texts("fields", fields)), timeout=timeout)

    def node_forget(self, node: str, *, timeout: float | None = None) -> R:
        """Removes a node that is gone for good. NotFound; Conflict while it is alive."""
        return self.call("node.forget", {"node": node}, timeout=timeout)

    def agent_stats(self, *, timeout: float | None = None) -> R:
        """The agent's counters (3.5.2)."""
        return self.call("agent.stats", timeout=timeout)

    def agent_config(self, *, timeout: float | None = None) -> R:
        """What a reload would report about the agent's configuration (3.5.3.1)."""
        return self.call("agent.config", timeout=timeout)

    def redis_inspect(self, *, timeout: float | None = None) -> R:
        """The server's report about itself (3.5.3)."""
        return self.call("redis.inspect", timeout=timeout)

    # --- sessions (3.6) ---------------------------------------------------------------------------

    def session_create(self, session_id: str, state: Mapping[str, Any] | None = None, *, ttl_ms: int | None = None,
                       replace_corrupt: bool | None = None, timeout_ms: int | None = None,
                       timeout: float | None = None) -> R:
        """Creates a session that lives for ttl_ms (an hour); returns `version`. Conflict: it exists."""
        return self.call("session.create", given(session_id=session_id, state=state, ttl_ms=ttl_ms,
                                                 replace_corrupt=replace_corrupt, timeout_ms=timeout_ms), timeout=timeout)

    def session_get(self, session_id: str, *, timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """Returns `version`, `ttl_ms`, `state`. NotFound, Corrupt, Unavailable."""
        return self.call("session.get", given(session_id=session_id, timeout_ms=timeout_ms), timeout=timeout)

    def session_update(self, session_id: str, state: Mapping[str, Any], *, expected_version: int | None = None,
                       ttl_ms: int | None = None, upsert: bool | None = None, replace_corrupt: bool | None = None,
                       timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """Replaces the whole state; returns `version`. Conflict: it has another version than was expected."""
        return self.call("session.update", given(
            session_id=session_id, state=state, expected_version=expected_version, ttl_ms=ttl_ms, upsert=upsert,
            replace_corrupt=replace_corrupt, timeout_ms=timeout_ms), timeout=timeout)

    def session_delete(self, session_id: str, *, expected_version: int | None = None,
                       replace_corrupt: bool | None = None, timeout_ms: int | None = None,
                       timeout: float | None = None) -> R:
        """Deletes a session; returns the `version` that it had."""
        return self.call("session.delete", given(session_id=session_id, expected_version=expected_version,
                                                 replace_corrupt=replace_corrupt, timeout_ms=timeout_ms), timeout=timeout)

    def session_touch(self, session_id: str, *, ttl_ms: int | None = None, upsert: bool | None = None,
                      timeout_ms: int | None = None, timeout: float | None = None) -> R:
        """Sets only how long it lives."""
        return self.call("session.touch", given(session_id=session_id, ttl_ms=ttl_ms, upsert=upsert,
                                                timeout_ms=timeout_ms), timeout=timeout)

    def session_list(self, *, limit: int | None = None, cursor: str | None = None, timeout_ms: int | None = None,
                     timeout: float | None = None) -> R:
        """Returns `sessions`, soonest to expire first, and `cursor`."""
        return self.call("session.list", given(limit=limit, cursor=cursor, timeout_ms=timeout_ms), timeout=timeout)

    def session_broadcast(self, session_id: str, message: object, *, timeout_ms: int | None = None,
                          timeout: float | None = None) -> R:
        """Publishes any JSON on `ws:{id}`; returns `subscribers`."""
        params = {"session_id": session_id, "message": message, **given(timeout_ms=timeout_ms)}
        return self.call("session.broadcast", params, timeout=timeout)


def _stroke(dataset_name: str | Unset | None, **params: object) -> dict[str, object]:
    found = given(**params)
    if dataset_name is not UNSET:
        found["dataset_name"] = dataset_name
    return found


def _texts(name: str, texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"{name} has to be a list of texts: [{texts!r}]")
    return list(texts)
