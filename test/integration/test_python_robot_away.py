"""nodebeat.Robot: while the agent is away, comes back, or does not read."""

import dataclasses
import json
import resource
import socket

import numpy as np
import pytest

from support import processes
from support.fake_agent import FakeAgent, Refusal
from support.python_fixtures import HELLO_ANSWER, library, open_robot, push_until, state_of  # noqa: F401
from support.unix_listener import UnixListener
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import Pushed, dialling, errors, pushing  # noqa: E402


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


def test_an_agent_of_another_protocol_is_told(tmp_path, open_robot, closing):
    """By last_error(): a push raises nothing, and is sent as before."""
    hello = {"protocol": 0, "client_id": 1, "node_id": "n", "limits": {"line_bytes": 65536}}
    agent = closing(FakeAgent(tmp_path / "a.sock", client__hello=hello, robot__update={}))
    robot = open_robot(tmp_path / "a.sock")
    push_until(robot, lambda: "speaks protocol 0" in robot.last_error(), joints_l=[1.0])
    assert "speaks 1: bring nodebeat and " in robot.last_error() and "to one version" in robot.last_error()
    assert robot.push_state([2.0]) is not Pushed.LOST and robot.stats().rejected == 0
    wait_until(lambda: {"joints_l": [2.0]} in agent.called("robot.update"))


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


@pytest.mark.time_limit(120)
def test_the_answer_to_the_hello_may_be_cut_anywhere(tmp_path, library, closing, monkeypatch):
    """By the end of the connection. (libnodebeat waits 100 ms before each try, so there it is each eighth byte.)"""
    monkeypatch.setattr(pushing, "RECONNECT_S", 0.002)
    cut = iter(range(1, len(HELLO_ANSWER), 8 if library else 1))
    states = []

    def serve(stream):
        size = next(cut, None)
        with stream.makefile("rb") as lines:
            stream.sendall(HELLO_ANSWER[:size])
            if size is None:
                states.extend(json.loads(text)["params"] for text in lines if b"robot.update" in text)

    closing(UnixListener(tmp_path / "cutting.sock", serve))
    robot = closing(nodebeat.Robot(tmp_path / "cutting.sock", library=library))
    robot.push_state([1.0], current_pose="ready")
    wait_until(lambda: robot.push_state([2.0]) and any(s.get("current_pose") == "ready" for s in states), timeout=60)
    assert next(cut, None) is None and robot.stats().disconnects >= len(HELLO_ANSWER) // 8
    robot.close()


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


def test_it_does_not_hang_on_an_agent_that_accepts_and_is_silent(tmp_path, open_robot, closing):
    listener = closing(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "silent.sock"))
    listener.listen(1)
    robot = open_robot(tmp_path / "silent.sock")
    for i in range(5000):
        robot.push_state(np.full(7, i + 0.1), np.full(7, 0.2))
    assert robot.push_state([1.0]) is Pushed.KEPT
    assert robot.flush(0.05) is False
