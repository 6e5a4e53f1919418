"""What Redis refuses: for good, which costs what it concerns, or because it does not work at all,
which costs nothing. And whoever answers in its place."""

import json

import pytest

from support.ctl_fixtures import ctl, ctl_env, socket_path  # noqa: F401
from support.fake_redis import greet, usual_reply
from support.rpc import refused
from support.waiting import wait_until

MEGABYTE = 1 << 20


def link(client):
    return client.call("agent.stats")["link"]


def reaches(client, state):
    wait_until(lambda: link(client)["state"] == state, what=lambda: f"{state}: {link(client)}")
    return link(client)


def recorded(store):
    """The events in all streams."""
    return [json.loads(fields["event"]) for key in store.scan_iter("stream:*", _type="stream")
            for _, fields in store.xrange(key) if "event" in fields]


# --- errors that nobody knows -------------------------------------------------------------------


@pytest.mark.parametrize("error", ["upstream failure", "ERR Host is down"])
def test_a_proxy_that_has_lost_its_server_costs_nothing(redis_server, make_agent, proxy, steady, error):
    """It answers PING itself and refuses everything else. What was accepted meanwhile is kept."""
    way = proxy(redis_server)
    way.error = f"-{error}\r\n".encode()
    client = steady(make_agent(way.url()))
    before = client.call("agent.stats")["outbox"]["refused"]
    way.mode = "errors"
    wait_until(lambda: link(client)["failures"] >= 1)
    assert client.call("state.set", key="cell:k", value=1) == {}
    assert client.call("event.publish", channel="cell:c", event={"i": 1}) == {}
    late = refused(client, "state.set", key="cell:l", value=2, ack="stored", timeout_ms=100)
    assert late.name == "not_stored" and error in late.data["link"]
    seen = set()
    while link(client)["failures"] < 5:
        seen.add(link(client)["state"])
    assert seen.isdisjoint({"steady", "degraded"})
    assert (link(client)["cause"], error in link(client)["trouble"]) == ("server-error", True)

    way.mode = "pass"
    reaches(client, "steady")
    store = redis_server.client()
    wait_until(lambda: store.get("cell:k") == "1" and store.get("cell:l") == "2")
    wait_until(lambda: {"i": 1, "node_id": "ook"} in recorded(store))
    assert client.call("agent.stats")["outbox"]["refused"] == before


# --- the node's own health ----------------------------------------------------------------------


def test_a_refused_health_is_seen_everywhere(redis_server, make_agent, connect, notify, ctl):  # noqa: F811
    store = redis_server.client()
    store.execute_command("ACL", "SETUSER", "agent", "reset", "on", ">x", "~cell:*", "~stream:*",
                          "~nodebeat:*", "&*", "+@all")
    agent = make_agent(redis_server.url("agent:x@"), notify=notify)
    client = connect(agent)
    said = reaches(client, "degraded")
    assert said["cause"] == "no-permission" and "NOPERM" in said["trouble"]
    notify.wait_for("STATUS", lambda words: "degraded" in words and "NOPERM" in words)
    for command in ("status", "doctor"):
        done = ctl(command, NODEBEAT_SOCKET=agent.socket_path)
        assert "degraded" in done.stdout and "NOPERM" in done.stdout, done
    assert done.returncode == 2
    # What clients write goes on, and beats are tried again without a word.
    assert client.call("state.set", key="cell:k", value=1, ack="stored") == {}
    refusals = client.call("agent.stats")["outbox"]["refused"]
    wait_until(lambda: client.call("agent.stats")["outbox"]["refused"] > refusals + 5)
    assert len(agent.logged("refuses this node's health")) == 1
    assert client.call("agent.stats")["link"]["failures"] == 0

    client.call("robot.update", is_connected_l=True)
    wait_until(lambda: client.call("agent.stats")["outbox"]["slots_waiting"] == 0)
    assert not store.exists("robot:state:ook")

    store.execute_command("ACL", "SETUSER", "agent", "~node:health:*", "~robot:*")
    reaches(client, "steady")
    # What was refused of the node's own meanwhile is there now.
    wait_until(lambda: '"is_connected_l":true' in (store.hget("robot:state:ook", "state") or ""))
    redis_server.wait_for_beat("ook")
    assert len(agent.logged("takes this node's health again")) == 1


@pytest.mark.own_users("its server has no XADD")
def test_a_missing_xadd_costs_the_history_not_the_health(make_redis, make_agent, connect):
    server = make_redis(rename_command=["XADD", '""'])
    agent = make_agent(server.url())
    client = connect(agent)
    said = reaches(client, "degraded")
    assert said["cause"] == "refused" and "XADD" in said["trouble"].upper()
    first = server.wait_for_beat("ook").health["seq"]
    server.wait_for_beat("ook", lambda h: h["seq"] > first + 3)
    assert len(agent.logged("refuses this node's history")) == 1
    # The value and the message of a client's call go on, too.
    published = client.call("event.publish", channel="c", event={}, ack="stored")
    assert published["subscribers"] == 0 and published["refused"] == ["entry"]
    assert "unknown command" in published["redis"]


@pytest.mark.own_users("its server is a cluster")
def test_a_cluster_takes_the_parts_one_by_one(make_redis, make_agent, connect):
    """Value and history lie in different slots, so no transaction may have both."""
    server = make_redis(cluster_enabled="yes")
    store = server.client()
    store.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: "cluster_state:ok" in str(store.execute_command("CLUSTER", "INFO")))
    agent = make_agent(server.url())
    client = connect(agent)
    assert "CROSSSLOT" in reaches(client, "degraded")["trouble"]
    first = server.wait_for_beat("ook").health["seq"]
    server.wait_for_beat("ook", lambda h: h["seq"] > first + 3)
    wait_until(lambda: len(server.history("ook")) >= 3)
    session = client.call("stroke.start", total_strokes=3, ack="stored")["session_id"]
    assert client.call("stroke.update", stroke_idx=1, ack="stored") == {}
    assert json.loads(store.hget(f"stroke:progress:{session}", "progress"))["stroke_idx"] == 1
    # The watch, which has keys in several slots as well, says so for itself.
    assert len(agent.logged("refuses what belongs together.*CROSSSLOT")) == 1


# --- parts of a call ----------------------------------------------------------------------------


def test_a_value_that_was_written_is_not_called_refused(cell):
    session = cell.client.call("stroke.start", total_strokes=3, ack="stored")["session_id"]
    cell.redis.set(f"stream:stroke_history:{session}", "somebody's text")
    answer = cell.client.call("stroke.update", stroke_idx=2, ack="stored")
    assert answer["refused"] == ["entry"] and answer["redis"].startswith("WRONGTYPE")
    progress = json.loads(cell.redis.hget(f"stroke:progress:{session}", "progress"))
    assert progress["stroke_idx"] == 2
    assert link(cell.client)["state"] == "steady"


def test_a_value_that_was_not_written_is(cell):
    session = cell.client.call("stroke.start", total_strokes=3, ack="stored")["session_id"]
    cell.redis.delete(f"stroke:progress:{session}")
    cell.redis.set(f"stroke:progress:{session}", "somebody's text")
    error = refused(cell.client, "stroke.update", stroke_idx=2, ack="stored")
    assert error.name == "refused_by_redis" and error.data["redis"].startswith("WRONGTYPE")
    cell.redis.delete(f"stroke:progress:{session}")


# --- texts and replies of a stranger ------------------------------------------------------------


def answering(**by_name):
    """A server that stores everything, but answers these commands so."""

    def script(connection):
        queued = []
        while True:
            connection.send(usual_reply(connection.read_command(), queued, **by_name))

    return script


@pytest.mark.parametrize("command, wrong", [("SET", b":1\r\n"), ("HSET", b"+OK\r\n"), ("EXEC", b"*0\r\n")])
def test_a_reply_of_another_form_acknowledges_nothing(fake_redis, make_agent, connect, command, wrong):
    agent = make_agent(fake_redis(answering(**{command: wrong})).url())
    client = connect(agent)
    if command == "SET":
        late = refused(client, "state.set", key="cell:k", value=1, ack="stored", timeout_ms=500)
        assert late.name == "not_stored"
    wait_until(lambda: link(client)["failures"] >= 2)
    assert link(client)["cause"] == "rubbish"
    assert f"{command} is answered by a reply of another form" in link(client)["trouble"]
    assert client.call("agent.stats")["outbox"]["refused"] == 0
    # That is nothing against what was asked before the writes.
    assert not agent.logged("is not read back")


def test_an_error_of_two_megabytes_is_short_for_who_asked(fake_redis, make_agent, connect):
    long = b"-WRONGTYPE " + b"x" * (2 * MEGABYTE) + b"\r\n"
    server = fake_redis(answering(SET=long))
    client = connect(make_agent(server.url()))
    ids = [client.request("state.set", key="k", value=i, ack="stored") for i in range(8)]
    lines = [client.read_line() for _ in ids]
    for line in lines:
        error = json.loads(line)["error"]
        assert error["data"]["name"] == "refused_by_redis"
        assert error["data"]["redis"].startswith("WRONGTYPE xxx") and len(line) < 2000
    assert client.call("agent.stats")["outbox"]["refused"] >= 1


FORGED = b"-ERR no\nWATCHDOG=trigger\nWATCHDOG_USEC=1\nSTOPPING=1\x1b[31m\xc2\x9b\xe2\x80\xae\r\n"


def test_the_error_to_ping_is_shown_and_gives_no_orders(fake_redis, make_agent, connect, notify):
    server = fake_redis(answering(PING=FORGED))
    agent = make_agent(server.url(), notify=notify)
    said = notify.wait_for("STATUS", lambda words: "ERR no" in words)
    server.wait_accepted(4)
    keys = {key for _, fields in notify.datagrams for key in fields}
    assert not keys & {"WATCHDOG_USEC", "STOPPING"}, keys
    client = connect(agent)
    trouble = link(client)["trouble"]
    assert "ERR no\\x0aWATCHDOG=trigger" in trouble and "\\x1b[31m\\u009b\\u202e" in trouble
    for text in [said, trouble, *agent.log()]:
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or ord(c) == 0x202E for c in str(text))


SMALL = b"*84\r\n" + (b"*65535\r\n" + b"+\r\n" * 65535) * 84


def test_replies_are_bounded_in_memory(fake_redis, make_agent, sanitized):
    """Sixteen megabytes of the smallest replies would be twenty times that as objects."""

    def script(connection):
        greet(connection)
        connection.send(SMALL)
        connection.wait_closed()

    server = fake_redis(script)
    agent = make_agent(server.url())
    agent.wait_for_log("longer than redis.max_reply allows")
    server.wait_accepted(3)
    with open(f"/proc/{agent.pid}/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    assert sanitized or peak < 64 * 1024, f"{peak} kB"


def test_a_refused_value_neither_comes_up_later_nor_hides_what_is_there(
        redis_server, make_agent, connect):
    store = redis_server.client()
    store.execute_command("ACL", "SETUSER", "agent", "reset", "on", ">x", "~node:*", "~stream:*",
                          "~nodebeat:*", "&*", "+@all")
    agent = make_agent(redis_server.url("agent:x@"))
    client = connect(agent)
    reaches(client, "steady")
    assert refused(client, "state.set", key="cell:z", value=1, ack="stored").name == "refused_by_redis"
    store.execute_command("ACL", "SETUSER", "agent", "~*")
    store.set("cell:z", "2")
    assert client.call("state.get", key="cell:z") == {"key": "cell:z", "value": 2, "source": "redis"}
    connects = link(client)["connects"]
    store.execute_command("CLIENT", "KILL", "USER", "agent")
    wait_until(lambda: link(client)["connects"] > connects and link(client)["state"] == "steady")
    assert client.call("state.set", key="cell:y", value=1, ack="stored") == {}
    assert store.get("cell:z") == "2"
