"""The robot's state, from a control loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, SupportsFloat, SupportsIndex

from nodebeat.methods import WILL_ROBOT, given
from nodebeat.numbers import UNSET, Numbers, Unset, finite, text, whole
from nodebeat.protocol import line, socket_path
from nodebeat.pushing import Pushed, Pusher, RobotStats
from nodebeat.python_pusher import PythonPusher


class Robot:
    """Hands the state of a robot to the agent of this computer, and never waits for the agent.

        with nodebeat.Robot(deadline_ms=200) as robot:
            while running:
                robot.push_state(joints_l=q, velocities_l=dq, is_connected_l=True)

    A push makes a non-blocking system call or a few, and no network, no Redis and no agent makes it wait or raise:
    while the agent is away or stopped, the latest value is kept, and events wait in order. Pushes reconnect by
    themselves, and say hello, will and deadline again. What is wrong with the arguments is a ValueError or a
    TypeError of the call that brings them: NaN and infinity, which JSON does not have, among them. What the agent
    refuses is counted in stats(), and last_error() has its words.

    socket: the path, else $NODEBEAT_SOCKET, else /run/nodebeat/agent.sock. name: for the agent's log.
    will: what the agent does if this process dies: by default both arms are no longer connected, the stroke ends and
    an error tells of it; (): nothing. deadline_ms: a promise to push so often; the agent tells when it is broken.
    library: True: over libnodebeat, a path: over that one, False: in Python, None: over libnodebeat if installed.

    close() says goodbye, and so does the end of a `with` block that is left without an exception, by
    KeyboardInterrupt or by SystemExit. Any other end lets the agent carry out the will.

    Threads and signal handlers may push at once. In a child of fork() every call but close() raises Forked. After
    close() what pushes, dispatch() and flush() raise Closed; stats() and last_error() tell what was last.
    """

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str = "robot",
        will: Sequence[Mapping[str, object]] = WILL_ROBOT, deadline_ms: int | None = None,
        library: bool | str | None = None,
    ) -> None:
        path = socket_path(socket)
        hello = given(name=text("name", name, 64), will=list(will) or None, errors=True)
        if len(path.encode()) > 107:
            raise ValueError(f"the socket's path has {len(path.encode())} bytes, and 107 is the most: {path}")
        if "\0" in path:
            raise ValueError(f"the socket's path has a NUL: {path!r}")
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in name):
            raise ValueError(f"name has a control character: {name!r}")
        line("client.hello", hello)  # what is no JSON is told here
        if deadline_ms is not None and not 10 <= whole("deadline_ms", deadline_ms) <= 3_600_000:
            raise ValueError(f"deadline_ms is {deadline_ms}, and has to be between 10 and 3600000")
        self._pusher = _pusher(path, hello, deadline_ms, library)

    # --- pushes -----------------------------------------------------------------------------------

    def push_state(
        self, joints_l: Numbers | Unset | None = UNSET, joints_r: Numbers | Unset | None = UNSET,
        velocities_l: Numbers | Unset | None = UNSET, velocities_r: Numbers | Unset | None = UNSET, *,
        is_connected_l: bool | None = None, is_connected_r: bool | None = None, current_pose: str | None = None,
        goal_time_slow: SupportsFloat | None = None, goal_time_fast: SupportsFloat | None = None,
        timestamp_us: int | None = None,
    ) -> Pushed:
        """The robot's state, or a part of it: omitted members keep their last values.

        joints in rad, velocities in rad/s, at most 64 numbers each: numpy arrays, lists, anything with a buffer or
        tolist(); None: not known. current_pose: at most 256 bytes. goal times in s. timestamp_us: the time of this
        state in microseconds since 1970, UTC; by default the time at which the agent takes it.
        """
        rest: Mapping[str, Any] = _NOTHING
        if current_pose is not None or goal_time_slow is not None or goal_time_fast is not None or (
                timestamp_us is not None):
            rest = _rest(current_pose, goal_time_slow, goal_time_fast, timestamp_us)
        return self._pusher.push_state((joints_l, joints_r, velocities_l, velocities_r), is_connected_l, is_connected_r,
                                       rest)

    @contextlib.contextmanager
    def stroke(
        self, total_strokes: SupportsIndex, *, stroke_idx: SupportsIndex | None = None, pose_idx: SupportsIndex | None = None,
        stroke_length: SupportsIndex | None = None, offset_idx_l: SupportsIndex | None = None,
        offset_idx_r: SupportsIndex | None = None, stroke_description_l: str | None = None,
        stroke_description_r: str | None = None, is_executing: bool | None = None, is_paused: bool | None = None,
        scene_name: str | None = None, dataset_name: str | Unset | None = UNSET, timestamp_us: int | None = None,
    ) -> Iterator[Robot]:
        """A stroke session: starts it, and ends it with the block, however that ends.

            with robot.stroke(3, scene_name="portrait"):
                robot.update_stroke(stroke_idx=1, pose_idx=0)
        """
        self._pusher.start_stroke(_stroke(
            dataset_name, total_strokes=total_strokes, stroke_idx=stroke_idx, pose_idx=pose_idx, stroke_length=stroke_length,
            offset_idx_l=offset_idx_l, offset_idx_r=offset_idx_r, stroke_description_l=stroke_description_l,
            stroke_description_r=stroke_description_r, is_executing=is_executing, is_paused=is_paused,
            scene_name=scene_name, timestamp_us=timestamp_us))
        try:
            yield self
        finally:
            self.end_stroke()

    def start_stroke(
        self, total_strokes: SupportsIndex, *, stroke_idx: SupportsIndex | None = None, pose_idx: SupportsIndex | None = None,
        stroke_length: SupportsIndex | None = None, offset_idx_l: SupportsIndex | None = None,
        offset_idx_r: SupportsIndex | None = None, stroke_description_l: str | None = None,
        stroke_description_r: str | None = None, is_executing: bool | None = None, is_paused: bool | None = None,
        scene_name: str | None = None, dataset_name: str | Unset | None = UNSET, timestamp_us: int | None = None,
    ) -> Pushed:
        """Starts a stroke session; the members are those of update_stroke(). The agent names the session."""
        return self._pusher.start_stroke(_stroke(
            dataset_name, total_strokes=total_strokes, stroke_idx=stroke_idx, pose_idx=pose_idx, stroke_length=stroke_length,
            offset_idx_l=offset_idx_l, offset_idx_r=offset_idx_r, stroke_description_l=stroke_description_l,
            stroke_description_r=stroke_description_r, is_executing=is_executing, is_paused=is_paused,
            scene_name=scene_name, timestamp_us=timestamp_us))

    def update_stroke(
        self, *, total_strokes: SupportsIndex | None = None, stroke_idx: SupportsIndex | None = None, pose_idx: SupportsIndex | None = None,
        stroke_length: SupportsIndex | None = None, offset_idx_l: SupportsIndex | None = None,
        offset_idx_r: SupportsIndex | None = None, stroke_description_l: str | None = None,
        stroke_description_r: str | None = None, is_executing: bool | None = None, is_paused: bool | None = None,
        scene_name: str | None = None, dataset_name: str | Unset | None = UNSET, timestamp_us: int | None = None,
    ) -> Pushed:
        """The running session's progress, or a part of it. Descriptions have at most 4096 bytes, names 256."""
        return self._pusher.update_stroke(_stroke(
            dataset_name, total_strokes=total_strokes, stroke_idx=stroke_idx, pose_idx=pose_idx, stroke_length=stroke_length,
            offset_idx_l=offset_idx_l, offset_idx_r=offset_idx_r, stroke_description_l=stroke_description_l,
            stroke_description_r=stroke_description_r, is_executing=is_executing, is_paused=is_paused,
            scene_name=scene_name, timestamp_us=timestamp_us))

    def end_stroke(self) -> Pushed:
        """Ends the running session."""
        return self._pusher.end_stroke()

    def error(self, category: str, message: str, details: Mapping[str, object] | None = None) -> Pushed:
        """Publishes an error on `error:events:{category}`. category: 1 to 64 letters, digits, `-`, `_`, `.`."""
        return self._pusher.error(text("category", category, 64), text("message", message, 4096), details)

    def publish(self, channel: str, event: Mapping[str, object]) -> Pushed:
        """Publishes an event on a channel."""
        return self._pusher.publish(text("channel", channel, 256), event)

    # --- the rest -----------------------------------------------------------------------------------

    def dispatch(self) -> bool:
        """Sends the kept messages, reads the agent's refusals, reconnects; never waits. True if nothing is kept. A
        loop that pushes does not need it; a program that pushes nothing for a long time may call it."""
        return self._pusher.dispatch()

    def flush(self, timeout: float = 1.0) -> bool:
        """Waits until all kept messages have been given to the agent; false if `timeout` seconds were too short, and at
        once in a signal handler that has interrupted a push, since that push cannot go on before."""
        return self._pusher.flush(timeout)

    def stats(self) -> RobotStats:
        """The counters as they are now; does not wait."""
        return self._pusher.stats()

    def last_error(self) -> str:
        """The last trouble in words: why there is no agent, or why it refused; "" if there was none."""
        return self._pusher.last_error()

    @property
    def uses_library(self) -> bool:
        """Whether the pushes are libnodebeat's."""
        return not isinstance(self._pusher, PythonPusher)

    def close(self) -> None:
        """Sends the kept messages, if the agent takes them at once, and says goodbye: the will is not carried out."""
        self._pusher.close(True)

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pusher.close(kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit)))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a nodebeat.Robot cannot be handed to another process, which opens one of its own")


_NOTHING: Mapping[str, Any] = {}


def _pusher(path: str, hello: Mapping[str, object], deadline_ms: int | None, library: bool | str | None) -> Pusher:
    if library is not False:
        from nodebeat.library import NAME, LibraryPusher  # ctypes is loaded where it is used

        try:
            return LibraryPusher(path, hello, deadline_ms, library if isinstance(library, str) else NAME)
        except (OSError, AttributeError) as error:
            if library is not None:
                raise OSError(f"libnodebeat cannot be used: {error}; install libnodebeat0, or say library=False") from None
    return PythonPusher(path, hello, deadline_ms)


def _rest(current_pose: str | None, goal_time_slow: SupportsFloat | None, goal_time_fast: SupportsFloat | None,
          timestamp_us: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if current_pose is not None:
        found["current_pose"] = text("current_pose", current_pose, 256)
    for name, value in (("goal_time_slow", goal_time_slow), ("goal_time_fast", goal_time_fast)):
        if value is not None:
            found[name] = finite(name, value)
            if found[name] < 0:
                raise ValueError(f"{name} is {value}, and has to be at least 0")
    if timestamp_us is not None:
        found["timestamp_us"] = _time(timestamp_us)
    return found


def _time(timestamp_us: int) -> int:
    number = whole("timestamp_us", timestamp_us)
    if not 0 <= number < 253_402_300_800_000_000:
        raise ValueError(f"timestamp_us is {number}: it has to be microseconds since 1970, before the year 10000")
    return number


def _stroke(dataset_name: str | Unset | None, *, timestamp_us: int | None, **members: object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members.items():
        if value is None:
            continue
        if name.startswith("is_"):
            found[name] = bool(value)
        elif name in ("scene_name", "stroke_description_l", "stroke_description_r"):
            found[name] = text(name, value, 256 if name == "scene_name" else 4096)
        else:
            found[name] = whole(name, value)
    if timestamp_us is not None:
        found["timestamp_us"] = _time(timestamp_us)
    if dataset_name is not UNSET:
        found["dataset_name"] = None if dataset_name is None else text("dataset_name", dataset_name, 256)
    if found.get("total_strokes", 0) < 0:
        raise ValueError("total_strokes has to be at least 0")
    return found
