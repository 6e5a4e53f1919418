"""nodebeat.Robot (src/python), over libnodebeat and in pure Python: the same tests for both."""

import array
import contextlib
import dataclasses
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from support import processes, python_package
from support.fake_agent import FakeAgent, Refusal
from support.python_package import at_each_instruction
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import Pushed, dialling, errors, pushing  # noqa: E402
from nodebeat.python_pusher import PythonPusher  # noqa: E402


def library_of(program):
    """libnodebeat of the build under test. One that is sanitized cannot be loaded into a plain Python."""
    return program.parent.parent / "client" / "libnodebeat.so.0"


@pytest.fixture(params=["library", "python"])
def library(request, program, sanitized):
    """What Robot(library=...) takes."""
    if request.param == "python":
        return False
    if sanitized:
        program = Path(os.environ.get("NODEBEATD_PLAIN") or pytest.skip("needs a library without sanitizers"))
    found = library_of(program)
    return str(found) if found.exists() else pytest.skip(f"{found} is not built")


@pytest.fixture
def open_robot(library, closing):
    """open_robot(agent or path, **options); closed after the test."""

    def make(agent, **options):
        return closing(nodebeat.Robot(getattr(agent, "socket_path", agent), library=library, **options))

    return make


def state_of(cell):
    return json.loads(cell.redis.hget("robot:state:ook", "state") or "{}")


def push_until(robot, condition, **members):
    """Goes on pushing, as a control loop does, until the condition holds."""

    def look():
        robot.push_state(**members)
        return condition()

    return wait_until(look)


# --- what is pushed -------------------------------------------------------------------------------------


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


def test_an_exception_after_the_sending_sends_no_event_twice_and_loses_no_state(tmp_path, closing):
    """The exception of a signal handler at each instruction of a push."""
    agent = closing(FakeAgent(tmp_path / "a.sock", event__publish={}, robot__update={}))
    robot = closing(nodebeat.Robot(agent.path, library=False))
    assert robot.flush(10)
    functions = (PythonPusher._send, PythonPusher._take_from_queue, PythonPusher._drop_head, dialling.Line.send)

    def interrupt(_):
        raise KeyboardInterrupt

    for events, traced in at_each_instruction(functions, interrupt):
        with contextlib.suppress(KeyboardInterrupt), traced:
            robot.publish("cell:x", {"n": events})
    for pushes, traced in at_each_instruction(functions, interrupt):
        with contextlib.suppress(KeyboardInterrupt), traced:
            robot.push_state([pushes])
        robot.push_state([pushes + 0.5])
        robot.dispatch()
    assert robot.flush(10) and pushes > 50
    robot.publish("cell:x", {"n": "last"})
    wait_until(lambda: agent.called("event.publish")[-1:] == [{"channel": "cell:x", "event": {"n": "last"}}])
    sent = [params["event"]["n"] for params in agent.called("event.publish")]
    assert sorted(sent[:-1]) == sorted(set(sent[:-1])) == list(range(1, events + 1))
    states = [params.get("joints_l") for params in agent.called("robot.update")]
    assert all([n + 0.5] in states for n in range(1, pushes + 1))


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


# --- while the agent is away ----------------------------------------------------------------------------


def test_the_latest_value_is_kept_while_the_agent_is_away(cell, make_agent, tmp_path, open_robot):
    path = tmp_path / "later.sock"
    robot = open_robot(path)
    for i in range(100):
        assert robot.push_state([float(i)], current_pose=f"p{i}") is Pushed.KEPT
    robot.push_state(velocities_l=[5])
    robot.start_stroke(2)
    robot.update_stroke(stroke_idx=1)
    robot.end_stroke()
    assert robot.stats().coalesced >= 99 and robot.stats().sent == 0 and not robot.stats().connected
    assert "no agent" in robot.last_error() or "No such file" in robot.last_error()
    events = cell.redis.pubsub()
    events.subscribe("stroke:events:session")
    make_agent(cell.server.url(), node="eek", settings={"socket.path": str(path)})
    wait_until(robot.dispatch)
    state = wait_until(lambda: json.loads(cell.redis.hget("robot:state:eek", "state") or "null"))
    assert state["joints_l"] == [99.0] and state["velocities_l"] == [5.0] and state["current_pose"] == "p99"
    types = []

    def both():
        message = events.get_message(ignore_subscribe_messages=True)
        if message:
            types.append(json.loads(message["data"])["type"])
        return types == ["session_start", "session_end"]

    wait_until(both)
    key = wait_until(lambda: [k for k in cell.redis.keys("stroke:progress:stroke_eek_*")])[0]
    assert json.loads(cell.redis.hget(key, "progress"))["stroke_idx"] == 1, "progress went out before the end"


def test_a_time_belongs_to_the_state_that_it_was_given_with(tmp_path, open_robot, closing):
    path = tmp_path / "agent.sock"
    robot = open_robot(path)
    robot.push_state([1.0], timestamp_us=1_700_000_000_000_000)
    robot.push_state([2.0])
    agent = FakeAgent(path, robot__update={})
    wait_until(robot.dispatch)
    assert wait_until(lambda: agent.called("robot.update"))[-1] == {"joints_l": [2.0]}
    robot.push_state([3.0], timestamp_us=1_700_000_000_000_000)
    push_until(robot, lambda: agent.called("robot.update")[-1].get("joints_l") == [4.0], joints_l=[4.0])
    agent.close()
    again = closing(FakeAgent(path, robot__update={}))
    push_until(robot, lambda: again.called("robot.update"), velocities_l=[1.0])
    assert all("timestamp" not in params for params in again.called("robot.update"))


def test_what_is_kept_keeps_its_order(tmp_path, open_robot, closing):
    path = tmp_path / "agent.sock"
    robot = open_robot(path)
    robot.push_state()
    robot.push_state()
    for session in (1, 2):
        robot.start_stroke(session)
        robot.update_stroke(stroke_idx=0)
        robot.update_stroke(stroke_idx=session, pose_idx=5)
        robot.end_stroke()
    agent = closing(FakeAgent(path, robot__update={}, stroke__start={}, stroke__update={}, stroke__end={}))
    wait_until(robot.dispatch)
    wanted = [("stroke.start", {"total_strokes": 1}), ("stroke.update", {"stroke_idx": 1, "pose_idx": 5}), ("stroke.end", {}),
              ("stroke.start", {"total_strokes": 2}), ("stroke.update", {"stroke_idx": 2, "pose_idx": 5}), ("stroke.end", {})]
    wait_until(lambda: [c for c in agent.calls if c[0].startswith("stroke")] == wanted, what=lambda: str(agent.calls))


def test_events_beyond_the_room_are_lost_and_counted(tmp_path, open_robot):
    robot = open_robot(tmp_path / "none.sock")
    outcomes = {robot.error("robot", "x" * 4000) for _ in range(100)}
    assert outcomes == {Pushed.KEPT, Pushed.LOST} and robot.stats().lost > 50
    assert robot.push_state([1.0]) is Pushed.KEPT, "a value always has room"


def waits():
    """How often this thread has given up the processor because it waited; not how often it was taken away."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def test_a_stopped_agent_stalls_nobody(cell, open_robot):
    robot = open_robot(cell.agent)
    push_until(robot, lambda: state_of(cell).get("joints_l"), joints_l=[0.5])
    processes.pause(cell.agent.process)
    before = waits()
    for i in range(20_000):
        robot.push_state(np.full(7, i + 0.123456789), np.full(7, i), current_pose="stopped")
    assert robot.push_state([1.0]) is Pushed.KEPT
    assert waits() - before < 200, "a push that waited would do so each time"
    processes.resume(cell.agent.process)
    wait_until(robot.dispatch)
    wait_until(lambda: state_of(cell)["joints_l"] == [1.0] and state_of(cell)["joints_r"] == [19999.0] * 7)


@pytest.mark.time_limit(120)
def test_the_agent_may_restart_a_hundred_times(redis_server, make_agent, open_robot, tmp_path, sanitized):
    path = tmp_path / "agent.sock"
    robot = open_robot(path)
    redis = redis_server.client()
    times = 10 if sanitized else 100
    for i in range(times):
        agent = make_agent(redis_server.url(), settings={"socket.path": str(path)})
        push_until(robot, lambda: json.loads(redis.hget("robot:state:ook", "state") or "{}").get("joints_l") == [float(i)],
                   joints_l=[float(i)])
        agent.stop()
    assert robot.stats().connects >= times and robot.stats().rejected == 0


def test_each_new_agent_gets_the_hello_again(open_robot, tmp_path):
    path = tmp_path / "agent.sock"
    robot = open_robot(path, deadline_ms=1000)
    for i in range(20):
        agent = FakeAgent(path, robot__update={}, stroke__update={})
        push_until(robot, lambda: any(p.get("joints_l") == [float(i)] for p in agent.called("robot.update")),
                   joints_l=[float(i)])
        hellos = b"".join(line for line in agent.lines if b"client.hello" in line)
        assert b"the robot process has died" in hellos and b'"deadline_ms":1000' in hellos.replace(b" ", b"")
        agent.close()
    assert robot.stats().connects >= 20


def test_all_that_is_known_goes_to_a_new_agent(tmp_path, open_robot, closing):
    path = tmp_path / "agent.sock"
    agent = FakeAgent(path, robot__update={})
    robot = open_robot(path)
    robot.push_state([1.0], is_connected_l=True, current_pose="ready")
    wait_until(robot.dispatch)
    wait_until(lambda: agent.called("robot.update"))
    agent.close()
    again = closing(FakeAgent(path, robot__update={}))

    def whole():
        robot.push_state(velocities_l=[2.0])
        return [p for p in again.called("robot.update") if "joints_l" in p]

    found = wait_until(whole)[0]
    assert found["joints_l"] == [1.0] and found["is_connected_l"] and found["current_pose"] == "ready"


def test_an_agent_that_does_not_know_deadlines_keeps_the_will(tmp_path, open_robot, closing):
    def hello(params):
        if "deadline_ms" in params:
            raise Refusal(-32602, "invalid_params", "deadline_ms is unknown", field="deadline_ms")
        return {"protocol": 1, "client_id": 1, "node_id": "n", "limits": {"line_bytes": 65536}}

    agent = closing(FakeAgent(tmp_path / "a.sock", client__hello=hello, robot__update={}))
    robot = open_robot(tmp_path / "a.sock", deadline_ms=100)
    push_until(robot, lambda: agent.called("robot.update"), joints_l=[1.0])
    wait_until(lambda: "deadline_ms" in robot.last_error())


def test_a_robot_that_is_late_is_told_of(cell, open_robot, connect):
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["node:events:ook"])
    robot = open_robot(cell.agent, name="slow", deadline_ms=50)
    push_until(robot, robot.dispatch, joints_l=[1.0])
    late = listener.next_event("node:events:ook")["event"]
    while late["type"] != "deadline_missed":
        late = listener.next_event("node:events:ook")["event"]
    assert late["client_name"] == "slow" and late["deadline_ms"] == 50
    for wrong in (5, 4_000_000):
        with pytest.raises(ValueError, match="deadline_ms"):
            open_robot(cell.agent, deadline_ms=wrong)


# --- the end --------------------------------------------------------------------------------------------

ENDS = """
import os, signal, sys, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False)
how = sys.argv[3]
try:
    with robot:
        robot.push_state([1.0], is_connected_l=True)
        assert robot.flush(10)
        if how == "raise":
            raise ArithmeticError
        if how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            os._exit(0)
except (ArithmeticError, KeyboardInterrupt):
    pass
"""


@pytest.mark.parametrize("how, dead", [("return", False), ("interrupt", False), ("raise", True), ("kill", True), ("exit", True)])
def test_how_a_program_ends_decides_about_the_will(cell, library, how, dead):
    process = python_package.start(ENDS, cell.agent.socket_path, library, how)
    process.communicate(timeout=20)
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)
    state = wait_until(lambda: state_of(cell).get("joints_l") and state_of(cell))
    if dead:
        wait_until(lambda: not state_of(cell)["is_connected_l"])
        cell.agent.wait_for_log("last will")
    else:
        assert state["is_connected_l"] and not cell.agent.logged("last will")


def test_a_robot_that_is_dropped_lets_go_of_its_connection(cell, library):
    robot = nodebeat.Robot(cell.agent.socket_path, library=library)
    push_until(robot, robot.dispatch, is_connected_l=True)
    del robot
    gc.collect()
    cell.agent.wait_for_log("last will")
    assert cell.client.call("agent.stats")["socket"]["clients"] == 1


def test_a_closed_robot_says_so(cell, open_robot):
    robot = open_robot(cell.agent)
    robot.close()
    robot.close()
    for push in (lambda: robot.push_state([1.0]), lambda: robot.error("robot", "x"), lambda: robot.update_stroke(pose_idx=1)):
        with pytest.raises(errors.Closed) as found:
            push()
        assert "has been closed" in str(found.value)


def test_after_the_end_both_say_the_same(cell, open_robot):
    robot = open_robot(cell.agent)
    robot.publish("stroke:events:progress", {"type": "x"})
    wait_until(lambda: robot.stats().rejected == 1)
    before, words = robot.stats(), robot.last_error()
    robot.close()
    assert robot.stats() == dataclasses.replace(before, connected=False) and robot.last_error() == words != ""
    for call in (robot.dispatch, robot.flush, robot.end_stroke, lambda: robot.publish("cell:x", {})):
        with pytest.raises(errors.Closed):
            call()
    pid = os.fork()
    if pid == 0:
        right = 0
        with contextlib.suppress(BaseException):
            for call in (robot.dispatch, robot.flush, robot.end_stroke, robot.stats, robot.last_error):
                with contextlib.suppress(errors.Forked):
                    call()
                    break
                right += 1
            robot.close()
        os._exit(right)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_both_count_the_same(tmp_path, open_robot, closing):
    path = tmp_path / "later.sock"
    robot = open_robot(path)
    for i in range(3):
        robot.push_state([float(i)])
    robot.push_state(velocities_l=[1.0])
    robot.start_stroke(1)
    robot.update_stroke(stroke_idx=1)
    robot.update_stroke(pose_idx=1)
    robot.error("robot", "x")
    away = robot.stats()
    assert away == nodebeat.RobotStats(pushed=8, kept=8, coalesced=4)
    assert not robot.dispatch() and not robot.flush(0) and robot.stats() == away, "only pushes are counted"
    agent = closing(FakeAgent(path, robot__update={}, stroke__start={}, stroke__update={}, error__report={}))
    wait_until(robot.dispatch)
    assert robot.stats() == dataclasses.replace(away, connected=True, sent=4, connects=1)
    assert away.sent == 0, "figures once told do not change"
    wait_until(lambda: len(agent.calls) == 4)
    robot.push_state([4.0])
    assert robot.stats() == dataclasses.replace(away, connected=True, pushed=9, sent=5, connects=1)
    agent.close()
    wait_until(lambda: not robot.stats().connected)
    robot.push_state([5.0])
    assert (robot.stats().disconnects, robot.stats().pushed, robot.stats().kept) == (1, 10, 9)


# A pusher, and a thread, a signal handler or a destructor that does something else with it at any moment.
CLOSED_AT_ANY_MOMENT = """
import sys, threading, nodebeat
library = sys.argv[2] if sys.argv[2] != "False" else False
sys.setswitchinterval(1e-6)
threading.excepthook = lambda args: (print(args.exc_type, args.exc_value, flush=True), sys.__excepthook__(*args[:3]))
for _ in range(60):
    robot = nodebeat.Robot(sys.argv[1], library=library)
    ready = threading.Barrier(4)
    def push():
        ready.wait()
        try:
            while True:
                robot.push_state([1.0] * 7)
                robot.error("robot", "x", {"a": [1] * 50})
                robot.stats()
        except nodebeat.errors.Closed:
            pass
    def wait():
        ready.wait()
        try:
            while True:
                robot.flush(9)
        except nodebeat.errors.Closed:
            pass
    threads = [threading.Thread(target=t) for t in (push, push, wait)]
    for t in threads:
        t.start()
    ready.wait()
    robot.close()
    for t in threads:
        t.join()
print("done")
"""


def test_it_may_be_closed_at_any_moment(cell, library):
    process = python_package.start(CLOSED_AT_ANY_MOMENT, cell.agent.socket_path, library)
    assert python_package.finish(process) == "done\n"
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)


IN_FLUSH = """
import signal, sys, threading, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False)
robot.push_state([1.0])
waiting, said = threading.Event(), []
def wait():
    try:
        waiting.set()
        said.append(robot.flush(1000))
    except nodebeat.errors.Closed:
        said.append("closed")
def on_alarm(*_):
    robot.push_state([2.0])
    robot.flush(0)
thread = threading.Thread(target=wait)
thread.start()
waiting.wait()
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(300):
    assert robot.flush(0.002) is False
signal.setitimer(signal.ITIMER_REAL, 0)
assert thread.is_alive()
robot.close()
thread.join()
print(said)
"""


def test_a_flush_is_in_nobodys_way(tmp_path, library):
    """Neither a signal handler's flush nor close() waits for it. Nothing listens at that path, so it never ends."""
    assert python_package.finish(python_package.start(IN_FLUSH, tmp_path / "none.sock", library)) == "['closed']\n"


def test_close_within_a_push_of_the_same_thread(cell, open_robot):
    """As a signal handler does it, or a destructor in a collection: after a line of any function of the package."""
    robot = open_robot(cell.agent)
    wait_until(robot.dispatch)
    lines = 0

    def count(frame, event, arg):
        nonlocal lines
        lines += event == "line"
        return count

    def traced(push, trace):
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            push()
        finally:
            sys.settrace(before)

    traced(lambda: robot.error("robot", "x"), count)
    assert lines > 5
    hit = 0
    for place in range(1, lines + 1):
        robot = open_robot(cell.agent)
        seen = 0

        def close_there(frame, event, arg):
            nonlocal seen, hit
            seen += event == "line"
            if seen == place:
                seen += 1
                hit += 1
                sys.settrace(None)
                robot.close()
            return close_there

        try:
            traced(lambda: robot.error("robot", "x"), close_there)
        except errors.Closed:
            pass
        robot.close()  # if there were fewer lines this time
        with pytest.raises(errors.Closed):
            robot.dispatch()
    assert hit > lines / 2
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 2)


def test_an_exception_out_of_a_signal_handler_tears_no_line(tmp_path, library):
    """The agent reads slowly, so lines go out in pieces."""
    path = tmp_path / "slow.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        process = python_package.start(INTERRUPTED, path, library)
        stream, _ = listener.accept()
        came = bytearray()
        with stream, contextlib.suppress(ConnectionResetError):
            while data := stream.recv(3777):
                came += data
                if b"client.hello" in data:
                    stream.sendall(HELLO_ANSWER)
    assert int(python_package.finish(process)) >= 300, "signals came"
    whole = came[:came.rindex(b"\n")].splitlines()
    assert len(whole) > 20
    states = [params for params in (json.loads(text).get("params", {}) for text in whole) if "joints_l" in params]
    assert states[-1]["joints_l"] == [0.5] and states[-1]["current_pose"] == "end", "it goes on as before"


HELLO_ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"protocol":1,"client_id":1,"node_id":"n","limits":{"line_bytes":65536}}}\n'
INTERRUPTED = """
import signal, sys, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False, will=())
class Interrupt(BaseException): pass
armed = False
def on_alarm(*_):
    global armed
    if armed:
        armed = False
        raise Interrupt
signal.signal(signal.SIGALRM, on_alarm)
came = i = 0
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while came < 300 or i < 3000:
    i += 1
    try:
        armed = True
        robot.push_state([float(i)] * 64, current_pose="x" * 200)
        robot.error("robot", "y" * 3000)
        armed = False
    except Interrupt:
        came += 1
signal.setitimer(signal.ITIMER_REAL, 0)
robot.push_state([0.5], current_pose="end")
assert robot.flush(15), robot.stats()
robot.close()
print(came)
"""


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


@pytest.mark.time_limit(120)
def test_the_answer_to_the_hello_may_be_cut_anywhere(tmp_path, library, closing, monkeypatch):
    """By the end of the connection. (libnodebeat waits 100 ms before each try, so there it is each eighth byte.)"""
    monkeypatch.setattr(pushing, "RECONNECT_S", 0.002)
    cut = iter(range(1, len(HELLO_ANSWER), 8 if library else 1))
    states = []
    listener = closing(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "cutting.sock"))
    listener.listen(8)

    def serve():
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            size = next(cut, None)
            with stream, stream.makefile("rb") as lines:
                stream.sendall(HELLO_ANSWER[:size])
                if size is None:
                    states.extend(json.loads(text)["params"] for text in lines if b"robot.update" in text)

    threading.Thread(target=serve, daemon=True).start()
    robot = closing(nodebeat.Robot(tmp_path / "cutting.sock", library=library))
    robot.push_state([1.0], current_pose="ready")
    wait_until(lambda: robot.push_state([2.0]) and any(s.get("current_pose") == "ready" for s in states), timeout=60)
    assert next(cut, None) is None and robot.stats().disconnects >= len(HELLO_ANSWER) // 8
    robot.close()
    listener.shutdown(socket.SHUT_RDWR)


def test_a_group_is_not_looked_up_in_a_push(tmp_path, open_robot, monkeypatch):
    """NSS may ask a server of the network."""
    grp = pytest.importorskip("grp")
    monkeypatch.setattr(grp, "getgrgid", lambda number: pytest.fail("NSS was asked"))
    asked = []
    monkeypatch.setattr(errors, "_who_may", lambda path: asked.append(path) or "words")
    monkeypatch.setattr(dialling, "connect", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    robot = open_robot(tmp_path / "closed.sock")
    robot.push_state([1.0])
    assert not asked
    if not robot.uses_library:
        assert "words" in robot.last_error()


def test_a_child_has_nothing_of_its_parents_robot(cell, library):
    script = """
import os, sys, nodebeat
library = sys.argv[2] if sys.argv[2] != "False" else False
robot = nodebeat.Robot(sys.argv[1], library=library)
robot.push_state([1.0], is_connected_l=True)
assert robot.flush(10)
def links():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return {l for l in found if l.startswith("socket")}
before = links()
assert len(before) == 1
pid = os.fork()
if pid == 0:
    try:
        robot.push_state([2.0])
    except nodebeat.errors.Forked:
        pass
    else:
        os._exit(1)
    robot.close()
    if before & links():
        os._exit(2)
    with nodebeat.Robot(sys.argv[1], library=library, name="child", will=()) as own:
        own.push_state([3.0])
        assert own.flush(10)
    os._exit(0)
assert (status := os.waitpid(pid, 0)[1]) == 0, status
robot.push_state(velocities_l=[4.0])
assert robot.flush(10)
robot.close()
"""
    python_package.finish(python_package.start(script, cell.agent.socket_path, library))
    # Not the joints: the agent may read two connections in either order.
    wait_until(lambda: state_of(cell).get("velocities_l") == [4.0] and state_of(cell)["joints_l"] == [3.0])
    assert not cell.agent.logged("last will") and state_of(cell)["is_connected_l"]


def test_threads_and_signal_handlers_push_at_once(cell, open_robot):
    robot = open_robot(cell.agent)
    handled = []

    def on_signal(*_):
        handled.append(robot.push_state(velocities_r=[2.0] * 7))

    before = signal.signal(signal.SIGPROF, on_signal)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        threads = [threading.Thread(target=lambda n=n: [robot.push_state([float(n)] * 7, [float(n)] * 7)
                                                        for _ in range(3000)]) for n in range(4)]
        for thread in threads:
            thread.start()
        while any(t.is_alive() for t in threads):
            robot.push_state(velocities_l=[1.0] * 7)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    wait_until(robot.dispatch)
    robot.push_state([9.0], [9.0])
    state = push_until(robot, lambda: state_of(cell).get("joints_l") == [9.0] and state_of(cell), is_connected_l=True)
    assert handled and state["velocities_r"] == [2.0] * 7 and state["velocities_l"] == [1.0] * 7
    assert robot.stats().rejected == 0


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.time_limit(120)
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


def test_it_does_not_hang_on_an_agent_that_accepts_and_is_silent(tmp_path, open_robot, closing):
    listener = closing(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "silent.sock"))
    listener.listen(1)
    robot = open_robot(tmp_path / "silent.sock")
    for i in range(5000):
        robot.push_state(np.full(7, i + 0.1), np.full(7, 0.2))
    assert robot.push_state([1.0]) is Pushed.KEPT
    assert robot.flush(0.05) is False
