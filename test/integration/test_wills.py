"""Last wills: what is said for a client that can say nothing any more."""

import fcntl
import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import unshare
from support import processes
from support.rpc import Refused, refused
from support.waiting import wait_until

ROBOT = [
    {"method": "robot.update",
     "params": {"is_connected_l": False, "is_connected_r": False, "current_pose": "unknown"}},
    {"method": "error.report",
     "params": {"category": "robot", "message": "the robot's program has died"}},
]

# A robot's program: it says what it is told on its standard input, and waits.
PROGRAM = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rb")
for line in sys.stdin.buffer:
    s.sendall(line)
    if b'"id"' in line:
        sys.stdout.buffer.write(f.readline())
        sys.stdout.flush()
"""


@pytest.fixture
def robot(cell, closing):
    """A process with a will, that has said it is connected."""
    process = processes.spawn([sys.executable, "-c", PROGRAM, cell.agent.socket_path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    class Robot:
        pid = process.pid

        @staticmethod
        def call(method, **params):
            line = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        @staticmethod
        def end(sign):
            process.send_signal(sign)
            begin = time.monotonic()
            process.wait(10)
            return begin

        @staticmethod
        def leave():
            process.stdin.close()
            process.wait(10)

        @staticmethod
        def close():
            processes.end(process)
            process.stdin.close()
            process.stdout.close()

    closing(Robot)
    assert "result" in Robot.call("client.hello", name="robot", will=ROBOT)
    assert "result" in Robot.call("robot.update", is_connected_l=True, is_connected_r=True,
                                  ack="stored")
    return Robot


def state(redis):
    return json.loads(redis.hget("robot:state:ook", "state"))


@pytest.fixture
def marked(cell):
    """marked(): what the agent was told before this has been carried out, and is in Redis."""

    def mark():
        cell.client.call("state.set", key="mark", value=1, ack="stored")

    return mark


def gone(cell, clients=1):
    """Until only so many clients are connected."""
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == clients)


def test_a_program_that_is_killed(cell, robot, closing, sanitized):
    events = closing(cell.server.subscribe("robot:events", "error:events:robot"))
    assert state(cell.redis)["is_connected_l"] is True
    killed = robot.end(signal.SIGKILL)
    error = events.wait_for("error")
    heard = next(at for at, channel, _ in events.raw if channel == "error:events:robot")
    assert heard - killed < (1.0 if sanitized else 0.1)
    assert error["message"] == "the robot's program has died" and error["node_id"] == "ook"
    last = events.wait_for("state_update", lambda e: e["is_connected_l"] is False)
    assert last["is_connected_r"] is False
    wait_until(lambda: state(cell.redis)["is_connected_l"] is False)
    assert state(cell.redis)["is_connected_r"] is False
    assert cell.agent.wait_for_log("robot.*last will")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGABRT])
def test_programs_die_in_other_ways(cell, robot, sign):
    robot.end(sign)
    wait_until(lambda: state(cell.redis)["is_connected_l"] is False)


def test_a_program_that_says_goodbye(cell, robot, marked):
    assert robot.call("client.goodbye")["result"] == {}
    robot.end(signal.SIGKILL)
    gone(cell)
    marked()
    assert state(cell.redis)["is_connected_l"] is True
    assert not cell.agent.logged("will")


def test_a_goodbye_voids_the_will_for_good(cell, connect, marked):
    client = connect(cell.agent)
    client.call("client.hello", will=[SET])
    client.call("client.goodbye")
    client.call("client.hello", name="again")
    client.close()
    gone(cell)
    marked()
    assert not cell.redis.exists("k")


def test_locally_it_is_heard_without_redis(lonely, connect):
    listener = connect(lonely.agent)
    listener.call("event.subscribe", patterns=["error:events:*"])
    lonely.client.call("client.hello", will=ROBOT)
    lonely.client.close()
    assert listener.next_event()["event"]["category"] == "robot"


def test_a_clean_stop_of_the_agent_carries_out_none(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", will=ROBOT)
    client.call("robot.update", is_connected_l=True, ack="stored")
    cell.agent.stop()
    client.wait_closed()
    assert state(cell.redis)["is_connected_l"] is True
    assert not any("error:" in f["channel"] for _, f in
                   cell.redis.xrange("stream:node_events:ook"))


def test_a_robot_that_sends_nan_lives(cell, connect, marked):
    client = connect(cell.agent)
    client.call("client.hello", will=ROBOT)
    client.call("robot.update", is_connected_l=True, ack="stored")
    client.send_line({"jsonrpc": "2.0", "method": "robot.update",
                      "params": {"joints_l": [0.5, float("nan")]}})
    error = client.next_anonymous()["error"]
    assert error["data"]["name"] == "parse_error" and "send null" in error["message"]
    client.call("robot.update", joints_l=[0.5, 0.6], ack="stored")
    assert state(cell.redis)["is_connected_l"] is True
    assert state(cell.redis)["joints_l"] == [0.5, 0.6]
    client.close()
    wait_until(lambda: state(cell.redis)["is_connected_l"] is False)


def test_one_that_the_agent_closes_is_not_called_dead(cell, connect, marked):
    client = connect(cell.agent)
    client.call("client.hello", will=ROBOT)
    client.call("robot.update", is_connected_l=True, ack="stored")
    try:
        client.send(b"no JSON\n" * 20000)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it need not take all of it
    client.wait_closed()
    client.close()
    gone(cell)
    marked()
    assert state(cell.redis)["is_connected_l"] is True
    assert not cell.agent.logged("its last will is carried out")


# A robot's program with a child that inherits the connection, and ends when the connection does.
FORKS = """
import multiprocessing, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rb")
def child():
    if sys.argv[2] == "writes":
        s.sendall(b'{"jsonrpc":"2.0","method":"state.set","params":{"key":"k","value":1}}\\n')
    while s.recv(4096):
        pass
    os._exit(0)
line = sys.stdin.buffer.readline()
s.sendall(line)
f.readline()
multiprocessing.get_context("fork").Process(target=child).start()
print("forked", flush=True)
sys.stdin.buffer.readline()
"""


@pytest.mark.real_processor("an emulator may have no descriptors of processes")
@pytest.mark.parametrize("child", ["waits", "writes"])
def test_a_child_that_holds_the_connection_does_not_keep_a_robot_alive(cell, closing, child,
                                                                       sanitized):
    events = closing(cell.server.subscribe("error:events:robot"))
    process = processes.spawn([sys.executable, "-c", FORKS, cell.agent.socket_path, child],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        hello = {"jsonrpc": "2.0", "method": "client.hello", "id": 1,
                 "params": {"name": "robot", "will": ROBOT}}
        process.stdin.write(json.dumps(hello).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"forked\n"
        if child == "writes":
            wait_until(lambda: cell.redis.get("k") == "1")
        assert [c["name"] for c in cell.client.call("agent.stats")["clients"]] == ["", "robot"]
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait(10)
        assert events.wait_for("error")["message"] == "the robot's program has died"
        heard = next(at for at, channel, _ in events.raw if channel == "error:events:robot")
        assert heard - killed < (1.0 if sanitized else 0.3)
        gone(cell)
    finally:
        processes.end(process)
        process.stdin.close()
        process.stdout.close()


def test_one_that_only_ends_its_side_has_its_will_carried_out(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", will=ROBOT)
    client.call("robot.update", is_connected_l=True, ack="stored")
    client.socket.shutdown(1)
    client.wait_closed()
    wait_until(lambda: state(cell.redis)["is_connected_l"] is False)


def test_what_a_will_may_hold(cell, connect, closing):
    events = closing(cell.server.subscribe("c", "stroke:events:session"))
    cell.redis.set("to-go", 1)
    session = cell.client.call("stroke.start", total_strokes=1, ack="stored")["session_id"]
    client = connect(cell.agent)
    client.call("client.hello", will=[
        {"method": "event.publish", "params": {"channel": "c", "event": {"type": "dead"}}},
        {"method": "stroke.end"},
        {"method": "state.set", "params": {"key": "k", "value": {"x": 1.10}}},
        {"method": "state.delete", "params": {"key": "to-go"}},
    ])
    client.close()
    events.wait_for("dead")
    assert events.wait_for("session_end")["session_id"] == session
    wait_until(lambda: cell.redis.get("k") == '{"x":1.1}' and not cell.redis.exists("to-go"))


def test_an_end_of_no_session_does_nothing(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", will=[{"method": "stroke.end"}, *ROBOT])
    client.close()
    wait_until(lambda: cell.redis.hget("robot:state:ook", "state"))
    assert not cell.redis.keys("stroke:*")


def test_a_later_hello_replaces_what_it_names(cell, connect, marked):
    client = connect(cell.agent)
    first = {"method": "state.set", "params": {"key": "first", "value": 1}}
    second = {"method": "state.set", "params": {"key": "second", "value": 1}}
    client.call("client.hello", name="a", will=[first])
    client.call("client.hello", name="b")
    client.call("client.hello", will=[second])
    assert [c["name"] for c in client.call("agent.stats")["clients"]][-1] == "b"
    client.close()
    gone(cell)
    wait_until(lambda: cell.redis.exists("second"))
    marked()
    assert not cell.redis.exists("first")

    client = connect(cell.agent)
    client.call("client.hello", will=[first])
    client.call("client.hello", will=None)
    client.close()
    client = connect(cell.agent)
    client.call("client.hello", will=[first])
    client.call("client.hello", will=[])
    client.close()
    gone(cell)
    marked()
    assert not cell.redis.exists("first")


def test_a_refused_hello_leaves_the_will_as_it_was(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", name="a", will=[
        {"method": "state.set", "params": {"key": "first", "value": 1}}])
    with pytest.raises(Refused):
        client.call("client.hello", name="b", will=[{"method": "state.get"}])
    assert [c["name"] for c in client.call("agent.stats")["clients"]][-1] == "a"
    client.close()
    wait_until(lambda: cell.redis.exists("first"))


SET = {"method": "state.set", "params": {"key": "k", "value": 1}}


@pytest.mark.parametrize("will, name, field", [
    ({}, "invalid_params", "will"),
    ("state.set", "invalid_params", "will"),
    ([1], "invalid_params", "will[0]"),
    ([SET, None], "invalid_params", "will[1]"),
    ([SET] * 9, "invalid_params", "will"),
    ([SET, {}], "invalid_params", "will[1].method"),
    ([{"method": 1}], "invalid_params", "will[0].method"),
    ([{**SET, "id": 1}], "invalid_params", "will[0].id"),
    ([{"method": "stroke.end", "params": []}], "invalid_params", "will[0].params"),
    ([{"method": "state.get", "params": {"key": "k"}}], "invalid_params", "will[0].method"),
    ([{"method": "stroke.start", "params": {"total_strokes": 1}}], "invalid_params",
     "will[0].method"),
    ([{"method": "client.goodbye"}], "invalid_params", "will[0].method"),
    ([{"method": "no.such"}], "invalid_params", "will[0].method"),
    ([SET, {"method": "robot.update", "params": {"joints_l": [1, "2"]}}], "invalid_params",
     "will[1].params.joints_l[1]"),
    ([{"method": "robot.update", "params": {"ack": "stored"}}], "invalid_params",
     "will[0].params.ack"),
    ([{"method": "error.report", "params": {"category": "c"}}], "invalid_params",
     "will[0].params.message"),
    ([{"method": "error.report"}], "invalid_params", "will[0].params.category"),
    ([{"method": "state.set", "params": {"key": "node:x", "value": 1}}], "refused_key", None),
    ([{"method": "state.delete", "params": {"key": "robot:x"}}], "refused_key", None),
    ([{"method": "event.publish", "params": {"channel": "stroke:events:progress", "event": {}}}],
     "refused_key", None),
    ([{"method": "event.publish", "params": {"channel": "robot:events", "event": {}}}],
     "invalid_params", "will[0].params.event.type"),
])
def test_wills_that_are_wrong_are_told_at_once(cell, connect, will, name, field):
    client = connect(cell.agent)
    with pytest.raises(Refused) as refused:
        client.call("client.hello", will=will)
    assert refused.value.name == name
    if field is not None:
        assert refused.value.field == field
    elif isinstance(will, list):
        assert "will[0]" in refused.value.message
    client.close()
    gone(cell)
    assert not cell.redis.exists("k", "robot:state:ook")


def test_eight_calls_are_not_too_many(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", will=[
        {"method": "state.set", "params": {"key": f"k{i}", "value": i}} for i in range(8)])
    client.close()
    wait_until(lambda: cell.redis.exists(*[f"k{i}" for i in range(8)]) == 8)


# --- how its process ended -----------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def kernel_tells():
    """Whether this kernel tells how a process has ended (Linux 6.15)."""
    child = os.fork()
    if child == 0:
        os._exit(7)
    process = os.pidfd_open(child)
    os.waitpid(child, 0)
    info = bytearray((1 << 3).to_bytes(8, sys.byteorder) + bytes(56))
    try:
        fcntl.ioctl(process, 0xC040FF0B, info)
    except OSError:
        return False
    finally:
        os.close(process)
    return bool(int.from_bytes(info[:8], sys.byteorder) & 1 << 3)


@pytest.fixture
def lost(cell, closing):
    """lost(): the next `client_lost`."""
    events = closing(cell.server.subscribe("node:events:ook"))
    return lambda name="robot": events.wait_for(
        "client_lost", lambda e: e.get("client_name") == name)


@pytest.mark.real_processor("an emulator may have no descriptors of processes")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_signal_that_ended_it_is_told(cell, robot, lost, sign):
    errors = cell.server.subscribe("error:events:robot")
    robot.end(sign)
    told = lost()
    assert told["pid"] == robot.pid and told["had_will"] is True
    if kernel_tells():
        assert (told["cause"], told["signal"]) == ("signal", sign.name[3:])
        assert told["core_dump"] in ((True, False) if sign == signal.SIGSEGV else (False,))
        assert cell.agent.wait_for_log(rf"client robot \(pid {robot.pid}\) was ended by signal "
                                       rf"{sign.name[3:]}")
    else:
        assert told["cause"] == "died" and "signal" not in told
    assert errors.wait_for("error")["client_pid"] == robot.pid, "what the will says has it, too"
    errors.close()
    wait_until(lambda: any(json.loads(f["event"])["type"] == "client_lost" for _, f in
                           cell.redis.xrange("stream:node_events:ook")))


@pytest.mark.real_processor("an emulator may have no descriptors of processes")
def test_an_exit_code_is_told(robot, lost):
    robot.leave()
    told = lost()
    assert "signal" not in told
    if kernel_tells():
        assert (told["cause"], told["exit_code"]) == ("exit", 0)
    else:
        assert told["cause"] == "died" and "exit_code" not in told


@pytest.mark.real_processor("an emulator may have no descriptors of processes")
def test_what_the_kernel_does_not_know_yet_is_not_claimed(robot, lost):
    os.kill(robot.pid, signal.SIGKILL)  # and nobody waits for it
    told = lost()
    assert told["cause"] == "died" and told["pid"] == robot.pid
    assert "signal" not in told and "exit_code" not in told


@pytest.mark.real_processor("an emulator may have no descriptors of processes")
def test_one_that_lives_has_closed_its_connection(cell, connect, lost):
    client = connect(cell.agent)
    client.call("client.hello", name="robot", will=ROBOT)
    client.close()
    told = lost()
    assert told["cause"] == "closed" and told["pid"] == os.getpid()


def test_of_a_process_in_another_namespace_nothing_is_known(cell, closing, lost):
    process = processes.spawn(
        [*unshare("--pid", "--fork", "--kill-child"), sys.executable, "-c", PROGRAM,
         cell.agent.socket_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    hello = {"jsonrpc": "2.0", "method": "client.hello", "id": 1,
             "params": {"name": "robot", "will": ROBOT}}
    process.stdin.write(json.dumps(hello).encode() + b"\n")
    process.stdin.flush()
    peer = json.loads(process.stdout.readline())["result"]["client_id"]
    pids = {c["client_id"]: c["pid"] for c in cell.client.call("agent.stats")["clients"]}
    processes.end(process)
    process.stdin.close()
    process.stdout.close()
    told = lost()
    if pids[peer] == 0:
        assert told["cause"] == "unknown" and told["pid"] == 0
    else:  # the agent's is an outer namespace, from which it is seen
        assert told["cause"] in ("signal", "died")


def test_a_will_may_bear_the_name_that_comes_with_it(cell, connect):
    client = connect(cell.agent)

    def will(name):
        return [{"method": "event.publish", "params": {"channel": "x:gone", "event": {"client_name": name}}}]

    client.call("client.hello", name="one", will=will("one"))
    client.call("client.hello", name="two", will=will("two"))
    assert refused(client, "client.hello", name="three", will=will("one")).name == "invalid_params"
    client.call("client.hello", will=will("two")), "the name that was refused with its will was not taken"
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["x:gone"])
    client.close()
    assert listener.next_event()["event"]["client_name"] == "two"


def test_whom_nobody_expects_is_not_missed(cell, connect, lost):
    """A client has to have said that it matters: by a will, or a deadline."""
    connect(cell.agent).close()
    leaving = connect(cell.agent)
    leaving.call("client.hello", name="leaving", will=ROBOT, deadline_ms=60_000)
    leaving.call("client.goodbye")
    leaving.close()
    gone(cell)
    matters = connect(cell.agent)
    matters.call("client.hello", name="matters", deadline_ms=60_000)
    matters.close()
    assert lost("matters")["had_will"] is False
    told = [json.loads(f["event"]) for _, f in cell.redis.xrange("stream:node_events:ook")]
    assert [e["client_name"] for e in told if e["type"] == "client_lost"] == ["matters"]


def test_without_redis_a_loss_is_told_to_local_programs(lonely, connect):
    listener = connect(lonely.agent)
    listener.call("event.subscribe", channels=["node:events:ook"])
    lonely.client.call("client.hello", name="robot", will=ROBOT)
    lonely.client.close()
    assert listener.next_event("node:events:ook")["event"]["type"] == "client_lost"
