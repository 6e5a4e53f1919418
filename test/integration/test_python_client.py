"""nodebeat.Client and nodebeat.aio.Client (src/python): one test for both, wherever both can do it."""

import asyncio
import inspect
import json
import os
import pickle
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support import processes, python_package
from support.ctl import find_ctl
from support.fake_agent import FakeAgent, Refusal
from support.python_package import Blocking, Loop, at_each_instruction
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.aio  # noqa: E402
from nodebeat import calling, dialling, editing, errors  # noqa: E402
from nodebeat.methods import Methods  # noqa: E402
from nodebeat.protocol import Conversation  # noqa: E402

PROTOCOL = (python_package.ROOT / "include" / "nodebeat" / "PROTOCOL.md").read_text()
HELLO = {"protocol": 1, "client_id": 7, "node_id": "ook", "instance_id": "ook-1", "agent_version": "0.1.0",
         "rights": ["read"], "limits": {"line_bytes": 65536}}


@pytest.fixture(params=["blocking", "asyncio"])
def open_client(request, closing):
    """open_client(socket, **options): a client of either kind; closed after the test."""
    loop = closing(Loop()) if request.param == "asyncio" else None

    def make(path, **options):
        path = getattr(path, "socket_path", path)
        if loop is None:
            return closing(nodebeat.Client(path, **options))
        return closing(Blocking(nodebeat.aio.Client(path, **options), loop))

    return make


@pytest.fixture
def fake(closing, tmp_path):
    """fake(**answers): an agent of the protocol's words, which answers what the test says."""

    def make(**answers):
        answers = {"client.hello": HELLO, "client.goodbye": {}, **{k.replace("__", "."): v for k, v in answers.items()}}
        agent = closing(FakeAgent(tmp_path / "fake.sock"))
        agent.answers = answers
        return agent

    return make


def another_agent(make_agent, agent, server):
    """After the first has gone, at the same socket."""
    return make_agent(server.url(), settings={"socket.path": agent.socket_path})


def next_of(events, kind, wanted=lambda notice: True):
    return next(e for e in events if isinstance(e, kind) and wanted(e))


def test_the_version_is_that_of_the_packages():
    changelog = (python_package.ROOT / "debian" / "changelog").read_text()
    assert changelog.startswith(f"nodebeat ({nodebeat.__version__}) ")


def test_nodebeatctl_shows_python_beside_c(program):
    said = subprocess.run([find_ctl(), "--help"], capture_output=True, text=True).stdout
    assert "in C nodebeat/client.h (libnodebeat-dev), in Python nodebeat (python3-nodebeat)" in said


# --- calls -----------------------------------------------------------------------------------------------


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


# --- the connection --------------------------------------------------------------------------------------


def test_no_agent_is_told_with_what_to_do(tmp_path, open_client):
    (tmp_path / "file").write_text("no socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    for path, words in ((tmp_path / "none.sock", "systemctl status nodebeat"), ("/x" * 100, "too long"),
                        (tmp_path / "file", "not a socket: name the agent's by socket= or NODEBEAT_SOCKET"),
                        (tmp_path / "dead", "the agent has ended")):
        client, told = open_client(path), None

        def is_told():
            nonlocal told
            try:
                client.agent_stats(timeout=0.02)
            except nodebeat.AgentAway as error:
                told = error
            return words in str(told)

        wait_until(is_told, what=lambda: f"{words}, not {told}")
        assert isinstance(told, ConnectionError)


def test_a_socket_that_is_not_ones_own_is_told_at_once(tmp_path):
    """By the words of connect() itself, since the tests may be root's, whom no mode keeps out."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        told = errors.why_away(str(path), PermissionError(13, "Permission denied"))
    assert isinstance(told, errors.NotPermitted) and isinstance(told, PermissionError)
    assert "usermod -aG" in str(told) and "view.sock" in str(told)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody whom a mode keeps out")
def test_no_permission_does_not_wait(cell, tmp_path):
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        script = """
import os, sys, time
import nodebeat
os.setgroups([]); os.setgid(65534); os.setuid(65534)
began = time.monotonic()
try:
    nodebeat.Client(sys.argv[1], timeout=60).agent_stats()
except nodebeat.errors.NotPermitted as error:
    print(time.monotonic() - began < 30, error)
"""
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                os.chmod(folder, folder.stat().st_mode | stat.S_IXOTH)
        assert "True" in python_package.finish(python_package.start(script, path))


def test_rights_are_told_by_the_one_that_is_missing(redis_server, make_agent, tmp_path, open_client):
    view = tmp_path / "looking.sock"
    agent = make_agent(redis_server.url(), sockets=[{"path": str(view), "rights": ["read"]}])
    client = open_client(wait_until(lambda: view.exists() and view))
    assert client.hello["rights"] == ["read"]
    with pytest.raises(errors.Forbidden) as found:
        client.state_set("cell:x", 1)
    assert found.value.data["right"] == "state" and found.value.data["socket"] == agent.socket_path


def test_it_finds_the_socket_as_nodebeatctl_does(cell):
    script = "import nodebeat; print(nodebeat.Client().agent_stats()['node_id'])"
    named = {"NODEBEAT_SOCKET": cell.agent.socket_path}
    assert python_package.finish(python_package.start(script, env=named)) == "ook\n"
    assert nodebeat.protocol.socket_path("/a") == "/a"
    assert nodebeat.protocol.DEFAULT_SOCKET == "/run/nodebeat/agent.sock"


def test_an_agent_that_comes_back_is_the_same_to_the_program(redis_server, make_agent, connect, open_client):
    agent = make_agent(redis_server.url())
    connect(agent)
    client = open_client(agent, name="planner", will=[{"method": "state.set", "params": {"key": "cell:w", "value": 1}}],
                         deadline_ms=60000)
    client.event_subscribe(["cell:news"])
    events = client.events(timeout=10)
    client.event_publish("cell:news", {"n": 1})
    assert next_of(events, nodebeat.Event).event["n"] == 1
    client.state_watch(["cell:mode"])
    next_of(events, nodebeat.StateReady)
    agent.kill()
    again = another_agent(make_agent, agent, redis_server)
    other = connect(again)
    gap = next_of(events, nodebeat.Gap)
    assert gap.reconnected and gap.from_ < gap.to
    mine = next(c for c in other.call("agent.stats")["clients"] if c["name"] == "planner")
    assert mine["subscriptions"] == 1 and mine["deadline"]["deadline_ms"] == 60000
    other.call("event.publish", channel="cell:news", event={"n": 2})
    assert next_of(events, nodebeat.Event).event["n"] == 2
    other.call("state.set", key="cell:mode", value="auto")
    assert next_of(events, nodebeat.StateChange, lambda c: not c.deleted).value == "auto"


def test_a_call_that_changes_nothing_goes_again(fake, open_client):
    asked = []
    agent = fake()

    def stats(params):
        asked.append(params)
        if len(asked) == 1:
            agent.hang_up()
            return None
        return {"n": len(asked)}

    agent.answers["agent.stats"] = stats
    agent.answers["state.set"] = lambda params: agent.hang_up()
    client = open_client(agent.path)
    assert client.agent_stats() == {"n": 2}
    with pytest.raises(nodebeat.ConnectionLost, match="state.set may have been carried out, or not"):
        client.state_set("cell:x", 1)


@pytest.mark.parametrize("method", ["client.hello", "agent.stats"])
def test_an_answer_may_be_cut_anywhere(closing, tmp_path, open_client, monkeypatch, method):
    """Cut at each byte by the end of the connection: the call is made again, and gets the whole answer."""
    monkeypatch.setattr(dialling, "LONGEST_PAUSE_S", 0.002)  # it is each time as if the agent were not there
    monkeypatch.setattr(dialling, "FIRST_PAUSE_S", 0.002)
    answers = {m: json.dumps({"jsonrpc": "2.0", "id": "ID", "result": r}, ensure_ascii=False).replace('"ID"', "%d") + "\n"
               for m, r in (("client.hello", HELLO), ("agent.stats", {"words": "größer"}))}
    length = len((answers[method] % 1).encode())
    cut = iter(range(1, length))
    path = tmp_path / "cutting.sock"
    listener = closing(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(8)

    def serve():
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            with stream, stream.makefile("rb") as lines:
                for text in lines:
                    call = json.loads(text)
                    answer = answers.get(call["method"], answers["client.hello"]) % call["id"]
                    size = next(cut, None) if call["method"] == method else None
                    stream.sendall(answer.encode()[:size])
                    if size is not None:
                        break

    threading.Thread(target=serve, daemon=True).start()
    client = open_client(path, timeout=28)
    assert client.agent_stats() == {"words": "größer"}
    assert next(cut, None) is None, "each byte was a place to cut at"
    listener.shutdown(socket.SHUT_RDWR)


def test_lines_may_come_in_any_pieces():
    whole = b'{"jsonrpc":"2.0","id":1,"result":' + json.dumps(HELLO).encode() + b"}\n" + (
        '{"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":{"a":"ä"}}}\n'.encode())
    for cut in range(len(whole) + 1):
        conversation = Conversation({}, None)
        conversation.begin()
        notices = conversation.receive(whole[:cut]) + conversation.receive(whole[cut:])
        assert conversation.hello == HELLO
        assert notices == [nodebeat.Event("c", {"a": "ä"})]
    for rubbish in (b"[1,2]\n", b"5\n", b"\xff\n", b'{"id":1}\n', b'{"method":"event","params":{}}\n', b"[" * 100_000 + b"\n"):
        assert conversation.receive(rubbish) == []
    assert conversation.malformed == 6
    assert conversation.receive(whole[whole.index(b"\n") + 1:]) == [nodebeat.Event("c", {"a": "ä"})]


class Told:
    """Who waits for an answer, for a Conversation without a client."""

    def __init__(self):
        self.result = None

    def set_result(self, result):
        self.result = result

    set_exception = set_result

    def done(self):
        return False


def as_line(**message):
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def test_a_replay_goes_on_behind_the_last_event_of_each_node():
    """Other streams' events of that millisecond are told again by the agent (PROTOCOL.md, 3.4.5.4)."""
    conversation = Conversation({}, None)

    def connect():
        conversation.begin()
        greeting_id = max(conversation._waiting)
        conversation.receive(as_line(id=greeting_id, result=HELLO))
        said, conversation.outgoing = conversation.outgoing, b""
        return said

    def hear(*events):
        lines = b"".join(as_line(method="event", params={"channel": "c", "node": node, "id": i, "event": {}}) for node, i in events)
        return [(e.node, e.id) for e in conversation.receive(lines)]

    connect()
    told = Told()
    call_id, _ = conversation.request("event.subscribe", {"channels": ["c"], "replay": {"last": 5, "mark": "m"}}, told)
    conversation.receive(as_line(id=call_id, result={}))
    assert told.result == {}
    assert len(hear(("ook", "7-1"), ("ook", "8-1"), ("eek", "8-1"))) == 3
    assert conversation.end("gone") == [], "a replay misses nothing"
    assert json.loads(connect())["params"] == {
        "channels": ["c"], "replay": {"since": "7", "mark": "m", "after": {"ook": "8-1", "eek": "8-1"}}}
    assert hear(("hog", "8-1"), ("eek", "8-2"), ("ook", "9-1")) == [("hog", "8-1"), ("eek", "8-2"), ("ook", "9-1")]
    assert json.loads(connect())["params"]["replay"]["after"] == {"ook": "9-1", "eek": "8-2", "hog": "8-1"}



def test_an_agent_of_an_older_version(fake, open_client):
    """It does not know deadlines: the rest of the hello stands all the same."""

    def hello(params):
        for name in ("max_line_bytes", "deadline_ms"):
            if name in params:
                raise Refusal(-32602, "invalid_params", f"{name} is unknown", field=name)
        return HELLO

    agent = fake(client__hello=hello)
    client = open_client(agent.path, will=[{"method": "stroke.end"}], deadline_ms=100)
    assert client.hello["client_id"] == 7
    assert b"stroke.end" in agent.lines[-1] and b"max_line_bytes" not in agent.lines[-1]
    told = next_of(client.events(timeout=5), nodebeat.Refusal)
    assert told.method == "client.hello" and told.error.data["field"] == "deadline_ms"
    with pytest.raises(errors.UnknownMethod, match="upgrade nodebeat"):
        client.session_list()


def test_an_agent_of_another_protocol(fake, open_client):
    client = open_client(fake(client__hello={**HELLO, "protocol": 0}).path)
    with pytest.raises(errors.WrongProtocol) as found:
        client.agent_stats()
    assert "speaks protocol 0" in str(found.value) and "bring nodebeat and python3-nodebeat to one" in str(found.value)


def test_a_will_that_is_wrong_is_told(cell, open_client):
    client = open_client(cell.agent, will=[{"method": "robot.fly", "params": {}}])
    with pytest.raises(errors.CallError) as found:
        client.agent_stats()
    assert found.value.data["field"] == "will[0].method"


def test_a_disk_that_is_full_is_told(redis_server, make_agent, connect, open_client):
    """Redis cannot save and refuses to write (MISCONF), as it does when its disk is full."""
    agent = make_agent(redis_server.url())
    connect(agent)
    redis = redis_server.client()
    client = open_client(agent)
    client.state_set("cell:x", 1, ack="stored")
    dump = Path(redis.config_get("dir")["dir"]) / redis.config_get("dbfilename")["dbfilename"]
    dump.mkdir()
    redis.config_set("save", "1 1")
    redis.bgsave()
    wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")
    with pytest.raises(errors.NotStored, match="nodebeatctl doctor"):
        client.state_set("cell:x", 2, ack="stored", timeout_ms=300)
    dump.rmdir()
    redis.config_set("save", "")
    client.state_set("cell:x", 3, ack="stored", timeout_ms=9000)


# --- events ----------------------------------------------------------------------------------------------


def test_events_and_patterns(cell, open_client):
    client = open_client(cell.agent, name="talker")
    client.event_subscribe(["cell:a"], patterns=["cell:b*"])
    events = client.events(timeout=10)
    cell.client.call("event.publish", channel="cell:none", event={})
    cell.client.call("event.publish", channel="cell:a", event={"n": 1})
    cell.client.call("event.publish", channel="cell:b2", event={"n": 2})
    one, two = next(events), next(events)
    assert (one.channel, one.event["n"], one.pattern, one.remote) == ("cell:a", 1, None, False)
    assert (two.channel, two.pattern, two.event["node_id"]) == ("cell:b2", "cell:b*", "ook")
    cell.redis.publish("cell:a", "no json")
    text = next(events)
    assert text.text == "no json" and text.remote and text.event is None
    client.event_unsubscribe()
    cell.client.call("event.publish", channel="cell:a", event={"n": 3})
    assert not list(client.events(timeout=0.1))
    with pytest.raises(TypeError, match="channels has to be a list"):
        client.event_subscribe("cell:a")


def test_events_subscribes_to_what_it_names(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    # What is recorded comes to whoever asks, so this does not depend on who is first.
    events = client.events("cell:a", "cell:*", replay={"last": 1}, timeout=10)
    assert next(events).event["n"] == 1
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 2


def test_the_end_of_the_past_is_told(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    events = client.events("cell:a", replay={"last": 5, "mark": "past"}, timeout=10)
    assert next(events).event["n"] == 1
    assert next(events) == nodebeat.Replayed("past")


def test_what_has_a_sign_of_redis_is_a_pattern(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    for pattern in ("cell:?", "cell:[ab]", "*:a"):
        assert next(client.events(pattern, replay={"last": 1}, timeout=10)).pattern == pattern
        client.event_unsubscribe(patterns=[pattern])


def test_what_comes_after_the_call_of_events_is_iterated(cell, open_client):
    """Also what comes before the first step."""
    client = open_client(cell.agent)
    assert client.hello
    events = client.events("cell:early", timeout=10)
    client.event_publish("cell:early", {"n": 1}, ack="stored")
    assert next(events).event["n"] == 1


def test_what_is_wrong_with_a_subscription_is_told(cell, open_client):
    client = open_client(cell.agent)
    with pytest.raises(errors.InvalidParams) as found:
        next(client.events(""))
    assert found.value.data["field"].startswith("channels")


def test_a_subscriber_that_is_slow_is_told_what_it_has_lost(cell, open_client):
    client = open_client(cell.agent, max_queued=10)
    client.event_subscribe(["cell:fast"])
    for i in range(30):
        cell.client.call("event.publish", channel="cell:fast", event={"n": i})
    # The answer to this comes behind all of them.
    client.agent_stats()
    heard = list(client.events(timeout=0.2))
    assert [e.event["n"] for e in heard if isinstance(e, nodebeat.Event)] == list(range(10))
    assert heard[10].lost == 20 and heard[10].from_ <= heard[10].to


def test_a_replay_goes_on_where_it_ended(redis_server, make_agent, steady, open_client):
    agent = make_agent(redis_server.url())
    talker = steady(agent)
    for i in range(5):
        talker.call("event.publish", channel="cell:log", event={"n": i}, ack="stored")
    client = open_client(agent)
    events = client.events("cell:log", replay={"last": 3}, timeout=10)
    assert [next_of(events, nodebeat.Event).event["n"] for _ in range(3)] == [2, 3, 4]
    agent.stop()
    again = another_agent(make_agent, agent, redis_server)
    talker = steady(again)
    for i in range(5, 9):
        talker.call("event.publish", channel="cell:log", event={"n": i}, ack="stored")
    came = [next(events) for _ in range(4)]
    assert [e.event["n"] for e in came] == [5, 6, 7, 8], "each once, and no gap: nothing was missed"
    assert all(e.id and e.node == "ook" for e in came)


def test_what_was_unsubscribed_does_not_come_back(redis_server, make_agent, connect, open_client):
    agent = make_agent(redis_server.url())
    connect(agent)
    client = open_client(agent, name="fickle")
    client.event_subscribe(["cell:a", "cell:b"], patterns=["cell:c*"])
    client.event_unsubscribe(["cell:a"], patterns=["cell:c*"])
    with pytest.raises(errors.InvalidParams):
        client.event_subscribe([""])
    agent.kill()
    other = connect(another_agent(make_agent, agent, redis_server))

    def restored():
        mine = [c for c in other.call("agent.stats")["clients"] if c["name"] == "fickle"]
        return mine and mine[0]["subscriptions"] == 1

    wait_until(restored)


# --- sessions --------------------------------------------------------------------------------------------


def test_a_session_is_read_changed_and_written(cell, open_client):
    client = open_client(cell.agent)
    with client.session("s", create=True) as s:
        s["x"] = 1
        s["list"] = [1]
    assert s.version == 1
    with client.session("s") as s:
        s["x"] += 1
        s["list"].append(2)
    found = client.session_get("s")
    assert found["version"] == 2 and found["state"]["x"] == 2 and found["state"]["list"] == [1, 2]
    with client.session("s") as s:
        assert s["x"] == 2
    assert client.session_get("s")["version"] == 2, "nothing was changed, so nothing was written"
    with pytest.raises(ZeroDivisionError):
        with client.session("s") as s:
            s["x"] = 1 / 0
    assert client.session_get("s")["version"] == 2
    with pytest.raises(errors.NotFound):
        with client.session("none"):
            pass


def test_a_faster_writer_is_not_overwritten(cell, open_client):
    client = open_client(cell.agent)
    client.session_create("s", {"x": 1, "mode": "auto", "y": 1})
    with client.session("s") as s:
        s.add("x", 4)
        s.add("x", 6)
        s["mine"] = True
        cell.client.call("session.update", session_id="s", state={"x": 2, "mode": "auto", "y": 5, "theirs": True})
    assert s.attempts == 1
    state = client.session_get("s")["state"]
    assert state["x"] == 12 and state["mine"] and state["theirs"] and state["y"] == 5
    # What the block has decided by has changed: nobody but the block can know what would be right.
    with pytest.raises(errors.Conflict) as found:
        with client.session("s") as s:
            if s["mode"] == "auto":
                s["z"] = 1
            cell.client.call("session.update", session_id="s", state={"x": 2, "mode": "manual"})
    assert found.value.actual == 4 and found.value.expected == 3
    for body in (lambda s: s.update(x=max(s["x"], 1000)), lambda s: s.update(z=s["x"] * 2), lambda s: s.update(n=len(s)),
                 lambda s: s.update(z=s["x"] + 1), lambda s: s.update(z=f"{s['x']}"), lambda s: s.update(x=s["x"] + 1)):
        with pytest.raises(errors.Conflict):
            with client.session("s") as s:
                body(s)
                cell.client.call("session.update", session_id="s", state={"x": 100 + s.version})
    # Two programs that draw a ticket: what the first one has drawn may have gone anywhere.
    with pytest.raises(errors.Conflict):
        with client.session("s") as s:
            drawn = s["x"]
            s["x"] = drawn + 1
            cell.client.call("session.update", session_id="s", state={"x": drawn + 1})
    # That a key is not there was seen as well.
    with pytest.raises(errors.Conflict):
        with client.session("s") as s:
            s["n"] = s.get("fresh", 0) + 1
            cell.client.call("session.update", session_id="s", state={"fresh": 5})


@pytest.mark.parametrize("value", [True, 1.0, [1, {"a": True}], [1, {"a": 0.0}]])
def test_what_python_takes_for_equal_is_written_all_the_same(cell, open_client, value):
    client = open_client(cell.agent)
    client.session_create("s", {"x": [1, {"a": 0}] if isinstance(value, list) else 1})
    with client.session("s") as s:
        s["x"] = value
    assert repr(client.session_get("s")["state"]["x"]) == repr(value)


def test_only_a_number_is_added_to():
    edit = editing.SessionEdit("s", {"x": 1, "on": True, "text": "a"}, 1)
    for key, number, kind in (("none", 1, KeyError), ("on", 1, TypeError), ("text", 1, TypeError), ("x", "1", TypeError)):
        with pytest.raises(kind):
            edit.add(key, number)
    assert not edit.is_changed and not edit.seen
    edit.add("x", 0.5)
    edit["text"] = 1
    edit.add("text", 1)  # to what is set here, whatever another writer has made of it
    assert edit.rebase(editing.SessionEdit("s", {"x": 10, "text": "b"}, 2)) and not edit.seen
    assert edit.state() == {"x": 10.5, "text": 2}


def test_contended_increments_are_all_counted(cell, open_client):
    clients = [open_client(cell.agent) for _ in range(4)]
    clients[0].session_create("s", {"x": 0, "y": 0})

    def count(client):
        for i in range(25):
            if i % 2:
                with client.session("s", timeout=20) as s:
                    s.add("x", 1)
            else:
                client.session_change("s", lambda state: {**state, "x": state["x"] + 1}, timeout=20)

    threads = [threading.Thread(target=count, args=(c,)) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = clients[0].session_get("s")
    assert found["state"]["x"] == 100 and found["version"] == 101


def test_a_write_in_doubt_is_not_applied_twice(fake, open_client):
    asked = []
    agent = fake(session__get={"version": 4, "ttl_ms": None, "state": {"x": 1}})

    def update(params):
        asked.append(params)
        if len(asked) == 1:
            raise Refusal(-32013, "in_doubt", "nobody knows", redis="it broke")
        raise Refusal(-32002, "conflict", "it has another version", actual=5, expected=4)

    agent.answers["session.update"] = update
    with pytest.raises(errors.InDoubt):
        with open_client(agent.path).session("s") as s:
            s["x"] += 1
    assert len(asked) == 2 and all(a["expected_version"] == 4 and a["state"] == {"x": 2} for a in asked)


# --- the process -----------------------------------------------------------------------------------------


def test_a_will_is_carried_out_and_a_goodbye_cancels_it(cell):
    script = """
import os, signal, sys, nodebeat
will = [{"method": "state.set", "params": {"key": "cell:" + sys.argv[2], "value": 1}}]
client = nodebeat.Client(sys.argv[1], will=will)
client.agent_stats()
if sys.argv[2] == "closed":
    client.close()
    try:
        client.agent_stats()
    except nodebeat.errors.Closed:
        print("closed")
elif sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = cell.agent.socket_path
    assert python_package.finish(python_package.start(script, path, "closed")) == "closed\n"
    # The interpreter's end without close() is no goodbye.
    python_package.finish(python_package.start(script, path, "ended"))
    killed = python_package.start(script, path, "killed")
    killed.communicate(timeout=20)
    wait_until(lambda: cell.redis.get("cell:killed") and cell.redis.get("cell:ended"))
    assert cell.redis.get("cell:closed") is None


def test_a_child_has_nothing_of_its_parents_client(cell):
    script = """
import multiprocessing, os, sys, nodebeat
client = nodebeat.Client(sys.argv[1], name="parent")
client.agent_stats()

def sockets():
    return [l for fd in os.listdir("/proc/self/fd") if (l := read(fd)).startswith(("socket", "pipe"))]
def read(fd):
    try: return os.readlink(f"/proc/self/fd/{fd}")
    except OSError: return ""
before = set(sockets())
def work(queue):
    try:
        client.agent_stats()
    except nodebeat.errors.Forked as error:
        queue.put(str(error))
    queue.put(len(before & set(sockets())))
    with nodebeat.Client(sys.argv[1], name="child") as own:
        queue.put(own.agent_stats()["node_id"])
    client.close()
context = multiprocessing.get_context("fork")
before = set(sockets())
queue = context.SimpleQueue()
child = context.Process(target=work, args=(queue,))
child.start()
print(queue.get(), queue.get(), queue.get(), sep="|")
child.join()
assert child.exitcode == 0
assert client.agent_stats()["node_id"] == "ook"
client.close()
"""
    said = python_package.finish(python_package.start(script, cell.agent.socket_path)).strip().split("|")
    assert "belongs to the process that forked" in said[0] and said[2] == "ook"
    assert int(said[1]) <= 2, "its standard streams at most"


def test_no_other_process_gets_one_by_pickle(cell):
    things = [nodebeat.Client(cell.agent.socket_path), nodebeat.Robot(cell.agent.socket_path), nodebeat.aio.Client("/x")]
    for thing in things:
        with pytest.raises(TypeError) as told:
            pickle.dumps(thing)
        assert "another process, which opens one of its own" in str(told.value)
    for thing in things[:2]:
        thing.close()


def test_a_signal_handler_may_call_and_interrupt(cell):
    script = """
import os, signal, sys, threading, nodebeat
client = nodebeat.Client(sys.argv[1])
client.event_subscribe(["cell:nothing"])
def on_usr1(*_):
    print(client.agent_stats()["node_id"], flush=True)
signal.signal(signal.SIGUSR1, on_usr1)
try:
    print("ready", flush=True)
    for _ in client.events():
        pass
except KeyboardInterrupt:
    print("interrupted")
    client.close()
"""
    process = python_package.start(script, cell.agent.socket_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "ook\n"
    process.send_signal(signal.SIGINT)
    assert python_package.finish(process) == "interrupted\n"


def test_a_signal_handler_may_call_at_any_instruction_of_a_call(fake):
    """As a signal handler would, a call is made at each instruction of another one, also where that one has the lock."""
    agent = fake(state__set={})
    client = nodebeat.Client(agent.path)
    assert client.hello
    functions = (client._link.ask, client._link._send, dialling.Outgoing.send, dialling.Outgoing.add, dialling.Line.send,
                 Conversation._ask_as)
    for wanted, traced in at_each_instruction(functions, lambda n: client.state_set("from:handler", n)):
        with traced:
            client.state_set("k", wanted)
    assert wanted > 50
    values = [(p["key"], p["value"]) for p in agent.called("state.set")]
    assert len(values) == 2 * wanted - 1 and len(set(values)) == len(values), "each is sent once"
    client.close()


HANDLER_SENDS = """
import signal, sys, nodebeat
client = nodebeat.Client(sys.argv[1], timeout=60)
client.hello
event, sent = {"channel": "cell:x", "event": {"fill": "x" * 3000}}, 0
def on_alarm(*_):
    global sent
    client.notify("event.publish", event)
    sent += 1
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
calls = 0
while calls < 300 or sent < 100:
    client.notify("event.publish", event)
    client.client_hello(name=str(calls))
    calls += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(calls, sent)
client.close()
"""


def test_no_line_is_torn_by_a_signal_handler_that_sends(fake):
    """Whose line goes out while another one is half sent."""
    agent = fake()
    process = python_package.start(HANDLER_SENDS, agent.path)
    calls, sent = map(int, python_package.finish(process).split())
    wait_until(lambda: len(agent.called("event.publish")) == calls + sent)
    names = [json.loads(text)["params"].get("name") for text in agent.lines if b"client.hello" in text]
    assert [n for n in names if n] == [str(i) for i in range(calls)]


def test_what_was_said_is_said_though_the_process_ends_at_once(cell):
    cell.client.call("event.subscribe", channels=["cell:x"])
    script = """
import os, sys, nodebeat
client = nodebeat.Client(sys.argv[1])
client.hello
client.notify("event.publish", {"channel": "cell:x", "event": {"n": 1}})
os._exit(0)
"""
    python_package.finish(python_package.start(script, cell.agent.socket_path))
    assert cell.client.next_event("cell:x")["event"]["n"] == 1


INTERRUPTED = """
import signal, sys, nodebeat
class Interrupt(BaseException): pass
client = nodebeat.Client(sys.argv[1], timeout=60)
client.hello
armed = False
def on_alarm(*_):
    global armed
    if armed:
        armed = False
        raise Interrupt
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
came = said = 0
while came < 100 or said < 300:
    try:
        armed = True
        client.notify("event.publish", {"channel": "cell:x", "event": {"fill": "x" * 3000}})
        armed = False
        said += 1
    except Interrupt:
        came += 1
signal.setitimer(signal.ITIMER_REAL, 0)
client.client_hello(name="end")
print(said)
client.close()
"""


def test_no_line_is_torn_by_an_exception_out_of_a_signal_handler(fake):
    agent = fake()
    said = int(python_package.finish(python_package.start(INTERRUPTED, agent.path)))
    # Each line could be read, or the fake agent would have ended; what was interrupted may have been sent, too.
    assert len(agent.called("event.publish")) >= said and b'"end"' in b"".join(agent.lines)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_of_multiprocessing_opens_its_own(cell, tmp_path, method):
    """Started by an interpreter of its own, a child inherits nothing, and a Robot's will is not its."""
    script = tmp_path / "program.py"
    script.write_text(f"""
import multiprocessing, os, sys, nodebeat

def work(path, queue):
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try: links.append(os.readlink(f"/proc/self/fd/{{fd}}"))
        except OSError: pass
    queue.put(links)
    with nodebeat.Client(path, name="child") as own, nodebeat.Robot(path, will=()) as robot:
        robot.push_state(velocities_l=[1.0])
        queue.put((robot.flush(10), own.agent_stats()["node_id"]))

if __name__ == "__main__":
    client, robot = nodebeat.Client(sys.argv[1], name="parent"), nodebeat.Robot(sys.argv[1])
    client.hello
    robot.push_state([1.0], is_connected_l=True)
    assert robot.flush(10)
    own = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{{fd}}")]
    own = {{l for l in own if l.startswith("socket")}}
    context = multiprocessing.get_context({method!r})
    queue = context.SimpleQueue()
    child = context.Process(target=work, args=(sys.argv[1], queue))
    child.start()
    inherited, said = own & set(queue.get()), queue.get()
    child.join()
    assert not inherited and child.exitcode == 0, (inherited, child.exitcode)
    print(said, client.agent_stats()["node_id"], robot.flush(1))
    robot.close()
    client.close()
""")
    process = python_package.start(script, cell.agent.socket_path, stdin=None)
    assert python_package.finish(process) == "(True, 'ook') ook True\n"
    assert not cell.agent.logged("last will")


def test_a_closing_that_is_cancelled_ends_all_the_same(fake):
    agent = fake(client__goodbye=None)

    async def main():
        client = nodebeat.aio.Client(agent.path)
        await client.greeting()
        closing = asyncio.create_task(client.close())
        while not any(b"client.goodbye" in text for text in agent.lines):
            await asyncio.sleep(0.005)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(errors.Closed):
            await client.agent_stats()
        # Nor does it take a cancellation for that of its own task.
        client = nodebeat.aio.Client(agent.path)
        agent.answers["client.goodbye"] = {}
        await client.greeting()
        ended = asyncio.get_running_loop().create_future()

        async def end_late():
            try:
                await asyncio.Event().wait()
            finally:
                await ended

        client._task.cancel()
        client._task = asyncio.create_task(end_late())
        closing = asyncio.create_task(client.close())
        while not client._task.cancelling():
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        ended.set_result(None)

    asyncio.run(main())
    wait_until(lambda: not agent.subscriptions())


def test_a_cancellation_after_the_answer_is_kept(fake):
    """The answers to two tasks come at once, and the first task cancels the second one, which has not run yet."""
    agent = fake()

    async def main():
        client = nodebeat.aio.Client(agent.path)
        await client.greeting()
        steps = []

        async def cancelled(step):
            await step()
            steps.append("went on")

        for step in (client.client_hello, lambda: client._change(30)):
            task = asyncio.create_task(cancelled(step))
            for _ in range(3):  # until it waits
                await asyncio.sleep(0)
            for asked in list(client._calling.conversation._waiting.values()):
                asked.waiter.set_result({})
            client._tell()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() and not steps
            await client.client_hello()
        # And a call in a task that is being cancelled has its time, and its own exception.
        agent.answers["agent.stats"] = None

        async def cleans_up():
            try:
                await asyncio.Event().wait()
            finally:
                with pytest.raises(errors.DeadlineExceeded):
                    await client.agent_stats(timeout=0.01)
                steps.append("cleaned up")

        task = asyncio.create_task(cleans_up())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and steps == ["cleaned up"]
        await client.close()

    asyncio.run(main())


def test_the_asyncio_client_lets_a_child_go(cell):
    script = """
import asyncio, os, sys, nodebeat.aio
def sockets():
    found = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [l for l in (os.readlink(f) for f in found if os.path.islink(f)) if l.startswith("socket")]
async def main():
    others = set(sockets())
    async with nodebeat.aio.Client(sys.argv[1]) as client:
        await client.agent_stats()
        before = set(sockets()) - others
        assert len(before) == 1
        pid = os.fork()
        if pid == 0:
            mine = client._transport.get_extra_info("socket")
            # Not only closed: the number may be another file's by now, and is not closed a second time.
            os._exit(7 if mine.fileno() == -1 and not before & set(sockets()) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (await client.agent_stats())["node_id"])
asyncio.run(main())
"""
    assert python_package.finish(python_package.start(script, cell.agent.socket_path)) == "7 ook\n"
