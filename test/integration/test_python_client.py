"""nodebeat.Client and nodebeat.aio.Client (src/python): one test for both, wherever both can do it. Here: calls."""

import inspect
import json
import re
import subprocess
import threading

import pytest

from support import processes, python_package
from support.ctl import find_ctl
from support.fake_agent import Refusal
from support.python_fixtures import fake, open_client  # noqa: F401
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.aio  # noqa: E402
from nodebeat import calling, errors  # noqa: E402
from nodebeat.methods import Methods  # noqa: E402


PROTOCOL = (python_package.ROOT / "include" / "nodebeat" / "PROTOCOL.md").read_text()


def test_the_version_is_that_of_the_packages():
    changelog = (python_package.ROOT / "debian" / "changelog").read_text()
    assert changelog.startswith(f"nodebeat ({nodebeat.__version__}) ")


def test_nodebeatctl_shows_python_beside_c(program):
    said = subprocess.run([find_ctl(), "--help"], capture_output=True, text=True).stdout
    assert "in C nodebeat/client.h (libnodebeat-dev), in Python nodebeat (python3-nodebeat)" in " ".join(said.split())


def methods_of_the_protocol():
    """{method: names of its params}, of the tables in section 3 of PROTOCOL.md."""
    found = {}
    for method, params in re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| ([^|]*) \|", PROTOCOL, re.M):
        found[method] = set(re.findall(r"`([a-z_]{2,})\??`", params))
    found["stroke.start"] = {"total_strokes"} | found["stroke.update"] - {"session_id"}  # the row says it in words
    return found


def test_every_method_of_the_protocol_has_its_name_and_params():
    """And nothing else has: what the tables of PROTOCOL.md have and Python has not, fails here."""
    said = {method for row in re.findall(r"^\| `(?:read|robot|state|event|session)` \| (.*) \|$", PROTOCOL, re.M)
            for method in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)} | {"client.hello", "client.goodbye"}
    table = methods_of_the_protocol()
    assert table.keys() == said and len(said) > 25, "the table of methods and that of rights agree"
    named = {name for name, made in vars(Methods).items() if inspect.isfunction(made) and name != "call"}
    assert named == {method.replace(".", "_") for method in table}
    values = {"int": 1, "str": "x", "bool": True, "float": 1.0}

    class Recording(Methods):
        def call(self, method, params=None, *, timeout=None):
            return method, params

    for method, names in table.items():
        made = getattr(Recording(), method.replace(".", "_"))
        parameters = inspect.signature(made).parameters
        missing = names - parameters.keys()
        assert not missing, f"{method} has no {missing} in Python"
        required = {n: {"channels": ["x"], "fields": ["x"]}.get(n, values.get(p.annotation, {})) for n, p in parameters.items()
                    if p.default is inspect.Parameter.empty}
        sent, params = made(**required)
        assert sent == method and (params or {}).items() >= required.items()
        for kind in (nodebeat.Client, nodebeat.aio.Client):
            assert getattr(kind, method.replace(".", "_")) is getattr(Methods, method.replace(".", "_"))


def test_what_it_writes_is_there(cell, open_client):
    client = open_client(cell.agent, name="planner")
    assert client.hello["node_id"] == "ook" and client.hello["protocol"] == 1
    client.robot_update(joints_l=[0.1, 2], is_connected_l=True, current_pose="ready", ack="stored")
    state = json.loads(cell.redis.hget("robot:state:ook", "state"))
    assert state["joints_l"] == [0.1, 2.0] and state["is_connected_l"] and state["current_pose"] == "ready"
    client.robot_update(joints_l=None, ack="stored")
    assert json.loads(cell.redis.hget("robot:state:ook", "state"))["joints_l"] is None
    client.state_set("cell:x", None, ack="stored")
    assert client.state_get("cell:x")["value"] is None
    session = client.stroke_start(total_strokes=3, scene_name="a", ack="stored")["session_id"]
    client.stroke_update(session_id=session, stroke_idx=1, dataset_name=None, ack="stored")
    assert json.loads(cell.redis.hget(f"stroke:progress:{session}", "progress"))["stroke_idx"] == 1
    client.stroke_end()
    assert client.system_status()["nodes_online"] >= 1
    assert client.call("health.get", {"node": "ook"})["health"]["node_id"] == "ook"


def test_errors_have_types_and_data(cell, open_client):
    client = open_client(cell.agent)
    with pytest.raises(errors.NotFound) as found:
        client.state_get("cell:none")
    assert found.value.name == "not_found" and found.value.code == -32001
    with pytest.raises(errors.InvalidParams) as found:
        client.robot_update(timestamp="yesterday")
    assert found.value.data["field"] == "timestamp" and isinstance(found.value, ValueError)
    with pytest.raises(errors.RefusedKey) as found:
        client.state_set("robot:mine", 1)
    assert found.value.data["key"] == "robot:mine"
    with pytest.raises(errors.UnknownMethod, match="upgrade nodebeat"):
        client.call("robot.fly")
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"joints_l\[1\]"):
            client.robot_update(joints_l=[0, number])
    with pytest.raises(ValueError):
        client.state_set("cell:x", {"a": float("nan")})
    with pytest.raises(errors.TooLarge) as found:
        client.state_set("cell:x", "x" * 100_000)
    assert found.value.data["limit_bytes"] == client.hello["limits"]["line_bytes"]


def test_each_error_of_the_protocol_has_a_class():
    rows = re.findall(r"^\| (-32\d+) \| `(\w+)` \|", PROTOCOL, re.M)
    assert len(rows) > 20
    for code, name in rows:
        error = errors.error_of({"code": int(code), "message": "m", "data": {"name": name, "field": "f"}})
        kind = {"timeout": "AgentTimeout"}.get(name, name.title().replace("_", ""))
        assert type(error).__name__ == kind and error.data["field"] == "f"
    assert type(errors.error_of({"code": -1, "message": "m"})) is errors.CallError


@pytest.mark.parametrize("wrong, words", python_package.NO_JSON)
def test_what_is_no_json_is_not_sent(fake, open_client, wrong, words):
    """The agent's answer to such a line belongs to no call, so the call would wait for all of its time."""
    agent = fake(session__get=Refusal(-32001, "not_found", "none"))
    client = open_client(agent.path)
    for call in (lambda: client.state_set("k", {"v": wrong}), lambda: client.event_publish("cell:x", {"v": wrong}),
                 lambda: client.notify("state.set", {"key": "k", "value": {"v": wrong}}),
                 lambda: client.session_change("s", lambda state: {"v": wrong}, create=True)):
        with pytest.raises(ValueError, match=words):
            call()
    assert {method for method, _ in agent.calls} <= {"session.get"}


def test_what_the_protocol_has_is_sent(cell, open_client):
    client = open_client(cell.agent)
    for value in (python_package.deep(62), {1: 1, "2": 2}, 2**1023, "a\\u0000"):
        assert client.state_set("cell:x", value) is not None
    with pytest.raises(ValueError, match="nested too deep"):
        client.state_set("cell:x", python_package.deep(63))


def test_a_deadline_ends_a_call(fake, open_client):
    client = open_client(fake(health__get=None).path)
    assert client.hello
    with pytest.raises(nodebeat.DeadlineExceeded, match="health.get") as found:
        client.health_get(timeout=0.05)
    assert isinstance(found.value, TimeoutError)
    assert client.hello, "the connection lives"


def test_a_timeout_given_to_a_call_is_kept(fake, open_client):
    """Whatever the call says to the agent of its own time."""
    client = open_client(fake(state__set=None, session__update=None, session__get=None).path, timeout=20)
    assert client.hello
    for call in (lambda: client.state_set("cell:x", 1, ack="stored", timeout=0.05),
                 lambda: client.state_set("cell:x", 1, timeout_ms=9000, timeout=0.05),
                 lambda: client.session_get("s", timeout=0.05),
                 lambda: client.session_change("s", dict, timeout=0.05)):
        with pytest.raises(nodebeat.DeadlineExceeded, match=r"within 0\.05 s"):
            call()
    with pytest.raises(nodebeat.DeadlineExceeded, match=r"within 0\.05 s"):
        with client.session("s", timeout=0.05):
            pass


def test_without_one_a_call_has_what_the_agent_may_take():
    assert calling.seconds_for({}, None, 5) == calling.seconds_for({"ack": "accepted"}, None, 5) == 5
    assert calling.seconds_for({"ack": "stored"}, None, 0.5) == 3
    assert calling.seconds_for({"timeout_ms": 9000}, None, 5) == 10
    assert calling.seconds_for({"timeout_ms": 9000}, 0.5, 5) == 0.5


def test_a_blocking_client_may_wait_for_ever(cell):
    with nodebeat.Client(cell.agent.socket_path, timeout=float("inf")) as client:
        assert client.agent_stats()["node_id"] == "ook"


def test_an_agent_that_does_not_read_is_not_flooded(cell, open_client):
    client = open_client(cell.agent)
    assert client.hello
    processes.pause(cell.agent.process)
    with pytest.raises(nodebeat.DeadlineExceeded) as found:
        for _ in range(10_000):
            client.notify("event.publish", {"channel": "cell:x", "event": {"fill": "x" * 10_000}}, timeout=0.2)
    assert "reads nothing: this call was not sent" in str(found.value)
    processes.resume(cell.agent.process)
    wait_until(lambda: client.agent_stats(timeout=10))


def test_a_client_that_is_dropped_lets_go_of_its_connection(cell):
    client = nodebeat.Client(cell.agent.socket_path)
    assert client.agent_stats()["socket"]["clients"] == 2
    del client
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)


def test_many_threads_share_a_client(cell):
    with nodebeat.Client(cell.agent.socket_path) as client:
        wrong = []

        def work(number):
            for i in range(50):
                client.state_set(f"cell:{number}", [number, i])
                if client.state_get(f"cell:{number}")["value"] != [number, i]:
                    wrong.append((number, i))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and client.state_get("cell:7")["value"] == [7, 49]
