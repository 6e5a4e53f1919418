"""libnodebeat, the shared library, in processes of its own, with the real agent."""

import json
import os
import signal
import subprocess
import sys

import pytest

from support import processes
from support.agent import environment
from support.waiting import wait_until

# What the library is asked from within another process; kept here so that the two agree.
LIBRARY = """
import ctypes, json, os, sys, time

class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("socket_path", ctypes.c_char_p), ("name", ctypes.c_char_p),
                ("will", ctypes.c_char_p), ("event_ring_bytes", ctypes.c_uint32),
                ("slot_bytes", ctypes.c_uint32), ("reconnect_ms", ctypes.c_uint32),
                ("on_event", ctypes.c_void_p), ("user", ctypes.c_void_p),
                ("max_line_bytes", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("deadline_ms", ctypes.c_uint32), ("reserved_2", ctypes.c_uint32)]

nb = ctypes.CDLL(sys.argv[1])
FORKED = -16
TOO_LARGE = -6

def opened(will=None, **more):
    options = Options(size=ctypes.sizeof(Options), socket_path=sys.argv[2].encode(), name=b"robot",
                      will=will and json.dumps(will).encode(), **more)
    client = ctypes.c_void_p()
    assert nb.nb_client_open(ctypes.byref(options), ctypes.byref(client), None, 0) == 0
    return client

def stored(client, key, value):
    params = json.dumps({"key": key, "value": value, "ack": "stored"}).encode()
    return nb.nb_call(client, b"state.set", params, None, 0, 5000)

def last_error(client):
    text = ctypes.create_string_buffer(1024)
    nb.nb_client_last_error(client, text, 1024)
    return text.value.decode()

def say(**what):
    print(json.dumps(what), flush=True)
"""

WILL = """
WILL = [{"method": "error.report", "params": {"category": "robot", "message": "has died"}},
        {"method": "state.set", "params": {"key": "cell:will", "value": "carried out"}}]
"""


def find_library(program):
    found = program.parent.parent / "client" / "libnodebeat.so.0"
    return found if found.exists() else None


@pytest.fixture
def script(cell, closing, program, sanitized, tmp_path):
    """script(text, agent): a process that runs `text`; said(): what it has said so far."""
    library = find_library(program)
    if library is None:
        pytest.skip("no libnodebeat.so was built beside the agent")
    if sanitized:
        pytest.skip("a library with a sanitizer does not load into a Python without one")

    def start(text, agent=cell.agent):
        process = processes.spawn(
            [sys.executable, "-c", LIBRARY + WILL + text, str(library), agent.socket_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(tmp_path / "sanitizer"))

        class Script:
            pid = process.pid

            @staticmethod
            def said():
                line = process.stdout.readline()
                assert line, "it has ended"
                return json.loads(line)

            @staticmethod
            def go():
                process.stdin.write(b"\n")
                process.stdin.flush()

            @staticmethod
            def kill():
                process.kill()
                process.wait(10)

            @staticmethod
            def close():
                processes.end(process)
                process.stdin.close()
                process.stdout.close()

        return closing(Script)

    return start


def test_a_child_is_told_and_the_parents_session_goes_on(cell, script):
    robot = script("""
client = opened(WILL)
assert stored(client, "cell:before", 1) == 0
child = os.fork()
if child == 0:
    results = [nb.nb_stroke_end(client), nb.nb_client_dispatch(client), stored(client, "k", 1)]
    nb.nb_client_close(client)
    own = opened()
    results.append(stored(own, "cell:child", 2))
    nb.nb_client_close(own)
    say(results=results)
    os._exit(0)
os.waitpid(child, 0)
say(after=stored(client, "cell:after", 3))
sys.stdin.readline()
""")
    assert robot.said() == {"results": [-16, -16, -16, 0]}
    assert robot.said() == {"after": 0}
    assert [cell.redis.get(f"cell:{key}") for key in ("before", "child", "after")] == ["1", "2", "3"]
    assert not cell.redis.exists("cell:will"), "no will was carried out: the robot lives"
    assert [c["pid"] for c in cell.client.call("agent.stats")["clients"] if c["name"] == "robot"] == [
        robot.pid]
    robot.kill()
    wait_until(lambda: cell.redis.get("cell:will") == '"carried out"')


def test_a_child_that_holds_the_connection_keeps_no_dead_robot_alive(cell, script):
    robot = script("""
client = opened(WILL)
assert stored(client, "cell:before", 1) == 0
child = os.fork()
if child == 0:
    sys.stdin.readline()  # as a worker of multiprocessing waits
    os._exit(0)
say(child=child)
time.sleep(3600)
""")
    child = robot.said()["child"]
    try:
        robot.kill()
        wait_until(lambda: cell.redis.get("cell:will") == '"carried out"')
        os.kill(child, 0)  # it lived all the time
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("longest", ["4KiB", "64KiB"])
def test_nothing_is_longer_than_the_agent_takes(redis_server, make_agent, steady, connect, script,
                                                longest):
    """Nor does anything that the caller made too long end the connection, and with it a robot."""
    agent = make_agent(redis_server.url(), settings={"socket.max_line": longest})
    steady(agent)
    client = connect(agent)
    before = client.call("agent.stats")["socket"]["accepted"]
    robot = script("""
big_will = WILL + [{"method": "error.report",
                    "params": {"category": "c", "message": "m", "details": {"x": "y" * 9000}}}]
client = opened(big_will, slot_bytes=65536)
results = []
for size in (100, 3000, 5000, 20000, 60000, 65000):
    event = json.dumps({"x": "y" * size}).encode()
    results.append(nb.nb_publish(client, b"cell:events", event))
    results.append(stored(client, "cell:%d" % size, "z" * size))
    results.append(nb.nb_client_flush(client, 5000))
say(results=results, last=last_error(client))
sys.stdin.readline()
""", agent)
    said = robot.said()
    assert set(said["results"]) <= {0, 1, -6}, said
    redis = redis_server.client()
    assert redis.exists("cell:3000")
    if longest == "4KiB":
        assert -6 in said["results"] and not redis.exists("cell:5000")
    else:
        assert redis.exists("cell:60000")
    stats = client.call("agent.stats")
    assert [c["name"] for c in stats["clients"] if c["pid"] == robot.pid] == ["robot"]
    assert stats["socket"]["accepted"] == before + 1, "it never had to connect again"
    assert not redis.exists("cell:will") and not agent.logged("last will")


def test_whatever_can_be_set_can_be_read(cell, script):
    robot = script("""
client = opened()
sizes = []
for size in (60000, 63000, 64000, 65000, 65300, 65450, 65480):
    value = "x" * size
    result = stored(client, "cell:value", value)
    if result == TOO_LARGE or result == -9:
        continue
    got = ctypes.create_string_buffer(1 << 17)
    back = nb.nb_call(client, b"state.get", b'{"key":"cell:value"}', got, 1 << 17, 5000)
    sizes.append([size, result, back, json.loads(got.value)["value"] == value if back == 0 else None])
say(sizes=sizes)
""")
    sizes = robot.said()["sizes"]
    assert len(sizes) >= 2 and all(rest == [0, 0, True] for _, *rest in sizes), sizes


SESSIONS = """
class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("expected_version", ctypes.c_int64),
                ("ttl_ms", ctypes.c_int64), ("timeout_ms", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]

class Result(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("attempts", ctypes.c_uint32), ("version", ctypes.c_int64),
                ("ttl_ms", ctypes.c_int64), ("expected_version", ctypes.c_int64), ("actual_version", ctypes.c_int64),
                ("subscribers", ctypes.c_int64), ("text_bytes", ctypes.c_uint64)]

class Info(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("id", ctypes.c_char_p),
                ("updated_at", ctypes.c_char_p), ("version", ctypes.c_int64), ("ttl_ms", ctypes.c_int64)]

EXPECT, UPSERT, REPLACE_CORRUPT = 1, 2, 4
result = Result(size=ctypes.sizeof(Result))

def options(flags=0, expected=0, ttl=0):
    return ctypes.byref(SessionOptions(size=ctypes.sizeof(SessionOptions), flags=flags, expected_version=expected,
                                       ttl_ms=ttl, timeout_ms=20000))

def get(name):
    text = ctypes.create_string_buffer(4096)
    return nb.nb_session_get(client, name, text, 4096, options(), ctypes.byref(result)), text.value.decode()
"""


def test_sessions_through_the_library(cell, script):
    cell.redis.set("session:foreign", '["é"]')
    robot = script("client = opened()" + SESSIONS + """
r = ctypes.byref(result)
say(create=[nb.nb_session_create(client, b"a", b'{"n":1.10}', options(ttl=50000), r), result.version],
    again=[nb.nb_session_create(client, b"a", None, options(), r), result.actual_version],
    conflict=[nb.nb_session_update(client, b"a", b"{}", options(EXPECT, 7), r), result.expected_version,
              result.actual_version],
    update=[nb.nb_session_update(client, b"a", b'{"n":2.50}', options(EXPECT, 1), r), result.version])
say(get=[*get(b"a"), result.version, result.ttl_ms > 0])
say(corrupt=[*get(b"foreign"), result.text_bytes], gone=get(b"gone")[0])
say(replaced=[nb.nb_session_update(client, b"foreign", b"{}", options(REPLACE_CORRUPT), r), result.version],
    touch=[nb.nb_session_touch(client, b"gone", options(), r), nb.nb_session_touch(client, b"b", options(UPSERT), r)],
    bad=nb.nb_session_touch(client, b"a\\x01", options(), r), heard=[
        nb.nb_session_broadcast(client, b"a", b"[1]", options(), r), result.subscribers])
names = []
EACH = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Info))
listed = nb.nb_session_list(client, EACH(lambda _, i: names.append([i[0].id.decode(), i[0].version]) or 0), None, options())
say(listed=listed, names=sorted(names))

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_size_t)
def change(_, state, version, fresh, size):
    text = b'{"n":%d}' % (version + 100)
    ctypes.memmove(fresh, text + b"\\0", len(text) + 1)
    return 0

memory = ctypes.create_string_buffer(4096)
say(change=[nb.nb_session_change(client, b"a", change, None, memory, 4096, options(), r), result.version, result.attempts],
    made=[nb.nb_session_change(client, b"new", change, None, memory, 4096, options(UPSERT), r), result.version],
    delete=[nb.nb_session_delete(client, b"b", options(EXPECT, 1), r), result.version])
""")
    assert robot.said() == {"create": [0, 1], "again": [-18, 1], "conflict": [-18, 7, 1], "update": [0, 2]}
    code, text, version, lives = robot.said()["get"]
    assert (code, version, lives) == (0, 2, True) and text.endswith(',"n":2.50}')
    assert robot.said() == {"corrupt": [-20, '["é"]', 6], "gone": -17}
    assert robot.said() == {"replaced": [0, 1], "touch": [-17, 0], "bad": -1, "heard": [0, 0]}
    assert robot.said() == {"listed": 0, "names": [["a", 2], ["b", 1], ["foreign", 1]]}
    assert robot.said() == {"change": [0, 3, 1], "made": [0, 1], "delete": [0, 1]}
    assert '"n":102}' in cell.redis.get("session:a") and '"n":100}' in cell.redis.get("session:new")


def test_a_client_that_keeps_no_deadline_is_told_of(cell, script, closing):
    events = closing(cell.server.subscribe("node:events:ook"))
    robot = script("""
client = opened(deadline_ms=20)
say(stored=stored(client, "cell:before", 1), pushed=nb.nb_notify(client, b"robot.update", b"{}"))
sys.stdin.readline()
say(pushed=nb.nb_notify(client, b"robot.update", b"{}"))
sys.stdin.readline()
""")
    assert robot.said() == {"stored": 0, "pushed": 0}
    missed = events.wait_for("deadline_missed")
    assert (missed["pid"], missed["client_name"]) == (robot.pid, "robot")
    assert missed["deadline_ms"] == 20
    robot.go()
    assert robot.said() == {"pushed": 0}
    events.wait_for("deadline_met")
