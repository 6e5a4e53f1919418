"""nodebeat.Client and nodebeat.aio.Client: the connection to the agent."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from support import python_package
from support.fake_agent import Refusal
from support.python_fixtures import HELLO, another_agent, fake, next_of, open_client  # noqa: F401
from support.unix_listener import UnixListener
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import dialling, errors  # noqa: E402
from nodebeat.protocol import Conversation  # noqa: E402


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


# Each class that has a connection, with a call that needs the agent.
CONNECTED = """
import asyncio, sys, nodebeat, nodebeat.aio
from nodebeat.sessions import RedisStateManager
from nodebeat.tatbot import StateManager
where = {"socket": sys.argv[1]} if sys.argv[1:] else {}

async def connected():
    async with nodebeat.aio.Client(**where) as client:
        print((await client.agent_stats())["node_id"])
    async with StateManager(**where, timeout=10) as manager:
        print(manager.node_id)
    async with RedisStateManager(**where, timeout=10) as manager:
        print((await manager.create_session("of-" + str(len(where)), {})).version)
    async with nodebeat.Bus(**where, timeout=10) as bus:
        await bus.publish_admin_command("restart", "ann", ack="stored")
        print("said")

with nodebeat.Client(**where) as client:
    print(client.agent_stats()["node_id"])
with nodebeat.Robot(**where) as robot:
    robot.push_state([1.0])
    print(robot.flush(10))
asyncio.run(connected())
"""


def test_it_finds_the_socket_as_nodebeatctl_does(cell):
    """Each of its classes: what is said by `socket=`, else by the environment, else the default."""
    all_said = "ook\nTrue\nook\nook\n1\nsaid\n"
    path, nowhere = cell.agent.socket_path, "/nowhere/agent.sock"
    assert python_package.finish(python_package.start(CONNECTED, env={"NODEBEAT_SOCKET": path})) == all_said
    assert python_package.finish(python_package.start(CONNECTED, path, env={"NODEBEAT_SOCKET": nowhere})) == all_said
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

    def serve(stream):
        with stream.makefile("rb") as lines:
            for text in lines:
                call = json.loads(text)
                answer = answers.get(call["method"], answers["client.hello"]) % call["id"]
                size = next(cut, None) if call["method"] == method else None
                stream.sendall(answer.encode()[:size])
                if size is not None:
                    break

    closing(UnixListener(path, serve))
    client = open_client(path, timeout=28)
    assert client.agent_stats() == {"words": "größer"}
    assert next(cut, None) is None, "each byte was a place to cut at"


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
