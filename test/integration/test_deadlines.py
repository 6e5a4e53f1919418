"""Clients that have said how often they push: who is late is told of, and it is never the agent."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import processes
from support.agent import environment
from support.ctl import find_ctl, run
from support.rpc import Client, refused
from support.waiting import wait_until

# A robot's program: it pushes every so often, and says the number of its pushes.
PROGRAM = """
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
hello = {"name": "robot", "deadline_ms": int(sys.argv[2])}
s.sendall(json.dumps({"jsonrpc": "2.0", "method": "client.hello", "params": hello}).encode() + b"\\n")
push = b'{"jsonrpc":"2.0","method":"robot.update","params":{"current_pose":"a"}}\\n'
for count in range(1, 1_000_000):
    s.sendall(push)
    print(count, flush=True)
    time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def robot(cell, closing):
    """robot(deadline_ms, interval): a process that keeps it, as long as it is let."""

    def start(deadline_ms, interval):
        process = processes.spawn(
            [sys.executable, "-c", PROGRAM, cell.agent.socket_path, str(deadline_ms),
             str(interval)], stdout=subprocess.PIPE)

        class Robot:
            pid = process.pid

            @staticmethod
            def pause():
                processes.pause(process)

            @staticmethod
            def resume():
                processes.resume(process)

            @staticmethod
            def pushes():
                """Until it has pushed once more; the number of its pushes."""
                return int(process.stdout.readline())

            @staticmethod
            def close():
                processes.end(process)
                process.stdout.close()

        return closing(Robot)

    return start


def deadline_of(client, name="robot"):
    clients = client.call("agent.stats")["clients"]
    return next((c["deadline"] for c in clients if c["name"] == name), None)


def recorded(redis):
    """The events of deadlines in the node's stream."""
    entries = [json.loads(fields["event"]) for _, fields in redis.xrange("stream:node_events:ook")]
    return [e for e in entries if e["type"].startswith("deadline_")]


def test_a_robot_that_hangs_is_told_of_once_and_again_when_it_goes_on(cell, robot, closing):
    events = closing(cell.server.subscribe("node:events:ook"))
    program = robot(deadline_ms=2000, interval=0.05)
    program.pushes()
    wait_until(lambda: (deadline_of(cell.client) or {}).get("gap_ms") is not None)
    program.pause()
    missed = events.wait_for("deadline_missed")
    assert missed["client_name"] == "robot" and missed["pid"] == program.pid
    assert missed["deadline_ms"] == 2000 and missed["gap_ms"] >= 2000 and missed["missed"] == 1
    assert missed["node_id"] == "ook" and missed["instance_id"]
    now = deadline_of(cell.client)
    assert now["late"] and now["missed"] == 1 and now["last_missed"] and now["gap_ms"] >= 2000
    assert cell.agent.wait_for_log(r"client robot \(pid \d+\) has pushed nothing for")
    program.resume()
    met = events.wait_for("deadline_met")
    assert met["gap_ms"] >= missed["gap_ms"] and met["missed"] == 1
    now = deadline_of(cell.client)
    assert not now["late"] and now["longest_gap_ms"] >= 2000
    wait_until(lambda: [e["type"] for e in recorded(cell.redis)]
               == ["deadline_missed", "deadline_met"])


def test_an_agent_that_was_stopped_blames_nobody(cell, robot):
    program = robot(deadline_ms=2000, interval=0.05)
    wait_until(lambda: (deadline_of(cell.client) or {}).get("gap_ms") is not None)
    processes.pause(cell.agent.process)
    begin = time.monotonic()
    wait_until(lambda: program.pushes() and time.monotonic() - begin > 4)
    processes.resume(cell.agent.process)
    calls = cell.client.call("agent.stats")["calls"]["notifications"]
    wait_until(lambda: cell.client.call("agent.stats")["calls"]["notifications"] > calls + 20)
    assert deadline_of(cell.client)["missed"] == 0
    assert deadline_of(cell.client)["longest_gap_ms"] < 2000, "a gap of the agent's does not count"
    assert not cell.agent.logged("has pushed nothing")


def test_a_robot_that_pushes_without_redis_is_not_late(lonely, connect):
    robot, late = connect(lonely.agent), connect(lonely.agent)
    robot.call("client.hello", name="robot", deadline_ms=3000)
    late.call("client.hello", name="late", deadline_ms=10)
    late.call("robot.update", current_pose="a")

    def pushed_on():
        robot.call("robot.update", current_pose="a")
        return deadline_of(lonely.client, "late")["missed"] == 1

    wait_until(pushed_on)
    assert deadline_of(lonely.client)["missed"] == 0


def test_a_reconnect_and_a_goodbye_are_no_misses(cell, connect, closing):
    events = closing(cell.server.subscribe("node:events:ook"))
    first = connect(cell.agent)
    first.call("client.hello", name="first", deadline_ms=10)
    assert deadline_of(cell.client, "first") == {
        "deadline_ms": 10, "gap_ms": None, "late": False, "missed": 0, "longest_gap_ms": 0,
        "last_missed": None}
    second = connect(cell.agent)
    # In one go, or a busy machine makes a miss between them.
    second.send(second.line("client.hello", name="second", deadline_ms=10)
                + second.line("robot.update", current_pose="a") + second.line("client.goodbye"))
    third = connect(cell.agent)
    third.send(third.line("client.hello", name="third", deadline_ms=10)
               + third.line("robot.update", current_pose="a"))
    third.close()
    last = connect(cell.agent)
    last.call("client.hello", name="last", deadline_ms=10)
    last.call("stroke.start", total_strokes=1)
    last.call("stroke.update", stroke_idx=1)
    assert events.wait_for("deadline_missed")["client_name"] == "last"
    assert deadline_of(cell.client, "first")["missed"] == 0
    assert deadline_of(cell.client, "second") is None
    last.close()
    assert events.wait_for("deadline_ended", lambda e: e["client_name"] == "last")["reason"] == "closed"
    told = {e["client_name"] for e in recorded(cell.redis)}
    assert told <= {"last", "third"}, told


def test_what_a_deadline_may_be(cell, make_agent, connect):
    for wrong in (9, 3_600_001, "100", 10.5, True, -1):
        error = refused(cell.client, "client.hello", deadline_ms=wrong)
        assert error.name == "invalid_params" and error.field == "deadline_ms"
    client = connect(cell.agent)
    for right in (10, 3_600_000):
        client.call("client.hello", name="robot", deadline_ms=right)
        assert deadline_of(cell.client)["deadline_ms"] == right
    client.call("client.hello", errors=True)
    assert deadline_of(cell.client)["deadline_ms"] == 3_600_000, "a later hello leaves it"
    client.call("client.hello", deadline_ms=None)
    assert deadline_of(cell.client) is None


def test_who_may_not_push_has_no_deadline(cell, closing):
    viewer = closing(Client(Path(cell.agent.socket_path).with_name("view.sock")))
    error = refused(viewer, "client.hello", deadline_ms=100)
    assert error.name == "forbidden" and error.data["right"] == "robot"
    assert error.data["socket"] == cell.agent.socket_path


def test_a_client_that_is_late_without_end_floods_nothing(cell, connect, closing):
    events = closing(cell.server.subscribe("node:events:ook"))
    robot = connect(cell.agent)
    robot.call("client.hello", name="robot", deadline_ms=10)
    begin = time.monotonic()
    for times in range(1, 21):
        robot.call("robot.update", current_pose="a")
        wait_until(lambda: deadline_of(cell.client)["missed"] == times)
    mark = connect(cell.agent)
    mark.call("event.publish", channel="node:events:ook", event={"type": "mark"}, ack="stored")
    events.wait_for("mark")
    heard = [json.loads(text) for _, _, text in events.raw]
    told = [e for e in heard if e["type"] == "deadline_missed"]
    whole = 1 + int((time.monotonic() - begin) / 10)
    assert 1 <= len(told) <= whole, f"one in 10 s: {told}"
    assert sum(e["type"].startswith("deadline_") for e in heard) <= 3 * whole
    assert len([line for line in cell.agent.log() if "has pushed nothing" in line]) <= whole


def test_the_intervals_of_pushes_are_counted(cell, connect):
    robot = connect(cell.agent)
    for _ in range(20):
        robot.call("robot.update", current_pose="a")
    intervals = cell.client.call("agent.stats")["push_interval_ms"]
    assert intervals["count"] == 19, "between two pushes of a client"
    assert sum(b["count"] for b in intervals["buckets"]) == 19
    assert intervals["buckets"] == sorted(intervals["buckets"], key=lambda b: b["up_to"])
    assert 0 < intervals["p50"] <= intervals["p99"] <= intervals["max"]


@pytest.mark.skipif(find_ctl() is None, reason="no nodebeatctl was built")
def test_people_see_it(cell, connect, tmp_path):
    robot, other = connect(cell.agent), connect(cell.agent)
    robot.call("client.hello", name="robot", deadline_ms=10)
    other.call("client.hello", name="other", deadline_ms=60_000)
    robot.call("robot.update", current_pose="a")
    wait_until(lambda: deadline_of(cell.client)["late"])
    env = environment(tmp_path / "sanitizer", NODEBEAT_SOCKET=cell.agent.socket_path,
                      LC_ALL="C.UTF-8", TZ="UTC")
    top = run(find_ctl(), ["top", "--once"], env).stdout
    assert re.search(r"robot, pid \d+ +every 10 ms +late: nothing for .* missed 1 time, longest gap",
                     top), top
    assert re.search(r"other, pid \d+ +every 1 min +has not begun", top), top
    assert re.search(r"robot, pid \d+, \d+ calls, pushes every 10 ms: late: nothing for",
                     run(find_ctl(), ["status"], env).stdout)
