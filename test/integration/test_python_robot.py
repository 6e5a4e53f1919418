"""nodebeat.Robot (src/python), over libnodebeat and in pure Python: the same tests for both. Here: what is pushed."""

import array
import collections
import contextlib
import decimal
import fractions
import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from support import python_package
from support.fake_agent import FakeAgent
from support.python_fixtures import library, open_robot, push_until, state_of  # noqa: F401
from support.waiting import wait_until

import nodebeat  # noqa: E402


def test_a_state_arrives(cell, open_robot, library):
    robot = open_robot(cell.agent)
    assert robot.uses_library == bool(library)
    robot.push_state([0.1, 2], np.array([1e-5, -3.5]), is_connected_l=True, current_pose="bereit ä", goal_time_slow=1.5,
                     timestamp_us=1_700_000_000_123_456)
    state = push_until(robot, lambda: state_of(cell).get("current_pose") and state_of(cell), is_connected_r=False)
    assert state["joints_l"] == [0.1, 2.0] and state["joints_r"] == [1e-5, -3.5] and state["velocities_l"] is None
    assert state["is_connected_l"] is True and state["is_connected_r"] is False
    assert state["current_pose"] == "bereit ä" and state["goal_time_slow"] == 1.5
    robot.push_state(joints_l=None, timestamp_us=1_700_000_000_123_456)
    wait_until(lambda: state_of(cell)["joints_l"] is None)
    assert state_of(cell)["timestamp"] == "2023-11-14T22:13:20.123456"
    assert state_of(cell)["joints_r"] == [1e-5, -3.5], "what is left out keeps its value"
    assert robot.stats().rejected == 0 and robot.stats().connected


VALUES = [0.25, -1.0, 3.0, 0.5, 2.0, 1.0, 7.0]


@pytest.mark.parametrize("made", [
    list, tuple, np.array, lambda v: array.array("d", v), lambda v: np.array(v, dtype=np.float32),
    lambda v: np.array(v, dtype=">f8"), lambda v: np.repeat(np.array(v), 2)[::2], lambda v: memoryview(array.array("d", v)),
    lambda v: [np.float64(x) for x in v], iter,
], ids=["list", "tuple", "numpy", "array", "float32", "big-endian", "strided", "memoryview", "scalars", "iterator"])
def test_numbers_come_in_many_forms(cell, open_robot, made):
    robot = open_robot(cell.agent)
    robot.push_state(velocities_r=made(VALUES))
    assert push_until(robot, lambda: state_of(cell).get("velocities_r"), is_connected_l=True) == VALUES


def test_the_most_numbers_and_none(cell, open_robot):
    robot = open_robot(cell.agent)
    many = (np.arange(64) * 0.1 + 1e-9).tolist()
    robot.push_state(many, many, many, many)
    state = push_until(robot, lambda: state_of(cell).get("joints_l") and state_of(cell), is_connected_l=True)
    assert [state[k] for k in ("joints_l", "joints_r", "velocities_l", "velocities_r")] == [many] * 4
    robot.push_state(np.array([]))
    wait_until(lambda: state_of(cell)["joints_l"] == [])
    with pytest.raises(ValueError, match="joints_l has 65 numbers, and 64"):
        robot.push_state(np.zeros(65))
    with pytest.raises(ValueError, match="velocities_r has 1000"):
        robot.push_state(velocities_r=[0.0] * 1000)


LISTS = ("joints_l", "joints_r", "velocities_l", "velocities_r")


def test_each_push_may_bring_other_lists(cell, open_robot):
    """Of other lengths and other kinds, null, or none: what is sent has nothing of the push before."""
    robot = open_robot(cell.agent)
    known = dict.fromkeys(LISTS)
    pushes = [
        {"joints_l": [1.5] * 64, "velocities_r": np.array([2.5])},
        {"joints_l": (3.5, 4), "joints_r": [], "velocities_l": iter([5.5]), "velocities_r": None},
        {"joints_r": np.array([True, False]), "velocities_l": None},
        {"joints_l": None, "joints_r": None, "velocities_r": np.arange(3)},
        {name: [i, i + 0.5] for i, name in enumerate(LISTS)},
        {"velocities_l": [1e308, 1e308], "velocities_r": [-1e308] * 2},
        {"joints_l": [decimal.Decimal("0.5"), fractions.Fraction(1, 4)], "joints_r": collections.deque([1, 2])},
    ]
    for n, lists in enumerate(pushes):
        sent = {k: v if v is None else list(v) for k, v in lists.items()}
        lists = {k: iter(sent[k]) if hasattr(v, "__next__") else v for k, v in lists.items()}
        known |= {k: v if v is None else [float(x) for x in v] for k, v in sent.items()}
        assert robot.push_state(**lists) is not nodebeat.Pushed.LOST
        state = push_until(robot, lambda: state_of(cell).get("goal_time_slow") == n and state_of(cell), goal_time_slow=n)
        assert {k: state[k] for k in LISTS} == known
    assert robot.stats().rejected == 0


@pytest.mark.parametrize("place", LISTS)
@pytest.mark.parametrize("wrong, kind, words", [
    ([0.5, float("nan")], ValueError, r"\[1\] is nan"),
    (np.array([float("inf")] * 7), ValueError, r"\[0\] is inf"),
    ([0.5] * 65, ValueError, " has 65 numbers, and 64"),
    (np.ma.array([0.5, 0.5], mask=[0, 1]), TypeError, " has to be a flat list of numbers"),
    (["0.5"], TypeError, " has to be a flat list of numbers"),
    (b"1234", TypeError, " has to be a flat list of numbers"),
    ([10**400], ValueError, " has an integer that no double holds"),
], ids=["nan", "inf", "long", "masked", "text", "bytes", "integer"])
def test_which_of_the_lists_is_wrong_is_told(tmp_path, open_robot, place, wrong, kind, words):
    """And nothing of such a push is kept."""
    path = tmp_path / "later.sock"
    robot = open_robot(path)
    lists = {name: np.array([1e308, 1e308]) for name in LISTS} | {place: wrong}
    with pytest.raises(kind, match="^" + place + words):
        robot.push_state(**lists, is_connected_l=True)
    robot.push_state(is_connected_r=True)
    with contextlib.closing(FakeAgent(path, robot__update={})) as agent:
        wait_until(robot.dispatch)
        assert wait_until(lambda: agent.called("robot.update")) == [{"is_connected_r": True}]


@pytest.mark.parametrize("wrong, kind, words", [
    ({"joints_l": [0, float("nan")]}, ValueError, r"joints_l\[1\] is nan"),
    ({"joints_r": np.array([0.0, 1.0, np.inf])}, ValueError, r"joints_r\[2\] is inf"),
    ({"velocities_l": np.array([-np.inf], dtype=np.float32)}, ValueError, r"velocities_l\[0\] is -inf"),
    ({"joints_l": [1e308] * 3 + [float("inf"), -1e308]}, ValueError, r"joints_l\[3\] is inf"),
    ({"goal_time_slow": float("nan")}, ValueError, "goal_time_slow is nan"),
    ({"goal_time_fast": -1}, ValueError, "goal_time_fast is -1"),
    ({"joints_l": "0.1"}, TypeError, "joints_l has to be a flat list of numbers, not '0.1'"),
    ({"joints_l": b"1234567"}, TypeError, "joints_l"),
    ({"joints_l": np.zeros((2, 7))}, TypeError, "flat"),
    ({"joints_l": np.float64(1)}, TypeError, "flat"),
    ({"joints_l": 1.0}, TypeError, "flat"),
    ({"joints_l": [None]}, TypeError, "flat"),
    ({"joints_l": np.ma.array([1.0, -9999.0], mask=[0, 1])}, TypeError, "flat"),
    ({"current_pose": "x" * 257}, ValueError, "current_pose has 257 bytes"),
    ({"current_pose": 5}, TypeError, "current_pose has to be a text"),
    ({"current_pose": "\ud800"}, ValueError, ""),
    ({"joints_l": bytearray(56)}, TypeError, "joints_l has to be a flat list of numbers"),
    ({"joints_l": {0.1: 1, 0.2: 2}}, TypeError, "flat"),
    ({"joints_l": {0.1, 0.2}}, TypeError, "flat"),
    ({"joints_l": [0.5, 10**400]}, ValueError, "joints_l has an integer that no double holds"),
    ({"joints_l": [10**5000]}, ValueError, "joints_l has an integer that no double holds"),
    ({"goal_time_slow": 10**400}, ValueError, "goal_time_slow is an integer that no double holds"),
    ({"goal_time_slow": "2"}, TypeError, "goal_time_slow has to be a number"),
    ({"goal_time_slow": [2]}, TypeError, "goal_time_slow has to be a number"),
    ({"timestamp_us": 10**5000}, ValueError, "timestamp_us"),
    ({"timestamp_us": -1}, ValueError, "timestamp_us"),
    ({"timestamp_us": 1.5}, TypeError, ""),
])
def test_what_is_wrong_is_told_by_the_call_that_brings_it(cell, open_robot, wrong, kind, words):
    robot = open_robot(cell.agent)
    with pytest.raises(kind, match=words):
        robot.push_state(**wrong)
    assert push_until(robot, lambda: state_of(cell).get("joints_l"), joints_l=[1e308, 1e308, 1e308]) == [1e308] * 3
    assert robot.stats().rejected == 0


@pytest.mark.parametrize("wrong, words", python_package.NO_JSON)
def test_what_is_no_json_is_told_by_the_call_that_brings_it(cell, open_robot, wrong, words):
    robot = open_robot(cell.agent)
    for push in (lambda: robot.publish("cell:x", {"v": wrong}), lambda: robot.error("robot", "m", {"v": wrong})):
        with pytest.raises(ValueError, match=words):
            push()
    assert robot.publish("cell:x", {"v": python_package.deep(61)}) is not nodebeat.Pushed.LOST
    assert robot.flush(10) and robot.stats().rejected == 0
    with pytest.raises(ValueError, match="nested too deep"):
        robot.publish("cell:x", {"v": python_package.deep(62)})


def test_refusals_are_told_although_the_hello_is_refused(cell, open_robot):
    robot = open_robot(cell.agent, will=[{"method": "nope", "params": {}}])
    assert robot.flush(10)
    wait_until(lambda: robot.dispatch() and robot.last_error())
    before = robot.stats().rejected
    for number in range(1, 4):
        robot.error("not a category", "m")
        wait_until(lambda: robot.dispatch() and robot.stats().rejected == before + number)
    assert "error.report" in robot.last_error()


@pytest.mark.parametrize("wrong", [{"name": "arm\n"}, {"socket": "/tmp/a\0b"}])
def test_a_robot_that_no_agent_would_greet_is_not_made(library, wrong):
    with pytest.raises(ValueError) as found:
        nodebeat.Robot(**{"socket": "/nowhere", "library": library, **wrong})
    assert "control character" in str(found.value) or "NUL" in str(found.value)


def test_it_does_without_numpy(cell, library):
    script = """
import sys, nodebeat
assert "numpy" not in sys.modules
with nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False) as robot:
    robot.push_state([1, 2], is_connected_l=True)
    assert robot.flush(10)
assert "numpy" not in sys.modules and "asyncio" not in sys.modules
"""
    python_package.finish(python_package.start(script, cell.agent.socket_path, library))
    wait_until(lambda: state_of(cell).get("joints_l") == [1.0, 2.0])


def test_a_stroke(cell, open_robot, connect):
    robot = open_robot(cell.agent)
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["stroke:events:session", "stroke:events:progress", "error:events:robot"])
    with robot.stroke(3, scene_name="portrait", stroke_length=np.int64(40)):
        robot.update_stroke(stroke_idx=1, pose_idx=2, stroke_description_l="a curve", dataset_name=None, is_paused=True)
        robot.error("robot", "the brush is worn", {"brush": 7})
        assert robot.flush(10)
    session = listener.next_event("stroke:events:session")["event"]
    assert session["type"] == "session_start" and session["total_strokes"] == 3 and session["scene_name"] == "portrait"
    progress = listener.next_event("stroke:events:progress")["event"]
    assert (progress["stroke_idx"], progress["pose_idx"], progress["description_l"]) == (1, 2, "a curve")
    error = listener.next_event("error:events:robot")["event"]
    assert error["message"] == "the brush is worn" and error["details"] == {"brush": 7}
    wait_until(robot.dispatch)
    assert listener.next_event("stroke:events:session")["event"]["type"] == "session_end"
    for wrong in ({"stroke_idx": 1 << 53}, {"scene_name": "x" * 300}):
        with pytest.raises(ValueError):
            robot.update_stroke(**wrong)
    with pytest.raises(TypeError, match="colour"):
        robot.start_stroke(1, colour="red")
    with pytest.raises(TypeError, match="stroke_idx has to be an integer"):
        robot.update_stroke(stroke_idx=1.5)
    for call in (lambda: robot.error("robot", "x", ["no", "object"]), lambda: robot.publish("cell:x", "text")):
        with pytest.raises(TypeError, match="an object with names is needed"):
            call()
    for wrong in ({"a": float("nan")}, {"a": "\ud800"}):
        with pytest.raises(ValueError):
            robot.error("robot", "x", wrong)
    with pytest.raises(ValueError):
        robot.start_stroke(-1)


def test_an_event_is_published(cell, open_robot, connect):
    robot, listener = open_robot(cell.agent, name="arm"), connect(cell.agent)
    listener.call("event.subscribe", channels=["cell:news"])
    robot.publish("cell:news", {"n": 1})
    wait_until(robot.dispatch)
    assert listener.next_event("cell:news")["event"] == {"n": 1, "node_id": "ook", "client_name": "arm"}


def test_what_the_agent_refuses_is_counted_and_told(cell, open_robot):
    robot = open_robot(cell.agent)
    robot.publish("stroke:events:progress", {"type": "x"})
    wait_until(lambda: robot.stats().rejected == 1)
    assert "progress is published by stroke.update" in robot.last_error()


def test_the_numbers_of_an_array_meet_no_python_loop(tmp_path, open_robot):
    """Counted: as many lines and calls, of Python's functions and of C's, for 64 numbers as for 7."""

    def steps(robot, values):
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        sys.setprofile(trace)
        try:
            robot.push_state(values, values, values, values)
        finally:
            sys.setprofile(None)
            sys.settrace(before)
        return count

    robot = open_robot(tmp_path / "none.sock")
    for kind in (np.float64, np.float32, ">f8"):
        # The least of some: now and then a push tries to connect.
        few, many = (min(steps(robot, np.zeros(n, kind)) for _ in range(5)) for n in (7, 64))
        assert few == many > 30, kind


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.time_limit(300)
def test_a_hundred_thousand_pushes_leave_nothing_behind(cell, open_robot):
    """Also with the collector running in between, and with more arguments than one."""
    robot = open_robot(cell.agent)
    q = np.zeros(7)

    def work(count):
        for i in range(count):
            q[0] = i
            robot.push_state(q, q, current_pose="moving", goal_time_slow=1.0)
            if i % 1000 == 0:
                robot.update_stroke(stroke_idx=i)
                gc.collect()

    work(5000)
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    work(100_000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 500 and resident_bytes() - resident < 2 << 20
    wait_until(robot.dispatch)


def test_without_the_library_it_pushes_all_the_same(cell, closing):
    robot = closing(nodebeat.Robot(cell.agent.socket_path))
    push_until(robot, lambda: state_of(cell).get("joints_l"), joints_l=[1.0])
    with pytest.raises(OSError, match="install libnodebeat0, or say library=False"):
        nodebeat.Robot(cell.agent.socket_path, library="/nowhere/libnodebeat.so.0")


def test_a_line_that_is_too_long_is_refused_or_told(redis_server, make_agent, connect, open_robot):
    agent = make_agent(redis_server.url(), settings={"socket.max_line": "4KiB"})
    connect(agent)
    robot = open_robot(agent)
    wait_until(robot.dispatch)
    try:
        robot.publish("cell:x", {"text": "x" * 10_000})
    except ValueError as error:
        assert "long" in str(error) or "4096" in str(error)
    else:
        wait_until(lambda: robot.stats().rejected == 1 and "4096" in robot.last_error())
    with pytest.raises(ValueError, match="107 is the most"):
        open_robot("/x" * 100)
