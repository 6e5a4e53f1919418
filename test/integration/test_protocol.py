"""PROTOCOL.md names the members of what the agent writes and publishes: its tables against the real thing."""

import itertools
import json
import re
from types import SimpleNamespace

import pytest

from support import acl, processes
from support.agent import ROOT
from support.fake_redis import usual_reply
from support.probe_targets import SilentListener
from support.waiting import wait_until

TEXT = (ROOT / "include/nodebeat/PROTOCOL.md").read_text()


def table(head):
    """The rows of the table that begins so, each a list of cells."""
    lines = TEXT.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(head))
    rows = []
    for line in lines[at + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows
    return rows


def names(cell):
    return re.findall(r"`([a-z_]+)`", cell)


# type: (channel, members, those that may be missing)
EVENTS = {
    kind.strip("`"): (channel.strip("`"), names(further.replace("?`", "`")),
                      re.findall(r"`([a-z_]+)\?`", further))
    for channel, kind, further in table("| channel | `type` | further members |")
}


# Which other tests bring about.
ELSEWHERE = {"events_lost", "clock_stepped", "redis_gone", "redis_back"}


def check(event, channel):
    written, members, optional = EVENTS[event["type"]]
    assert channel == written.replace("{node}", "ook").replace("{category}", "c")
    expected = ["type", "node_id", "timestamp", *members]
    assert list(event) == [name for name in expected if name in event or name not in optional]


def test_the_members_of_each_event(redis_server, make_agent, steady, connect, closing):
    heard = closing(redis_server.subscribe(patterns=["*"]))
    target = closing(SilentListener())
    probe = {"name": "port", "type": "tcp", "address": f"127.0.0.1:{target.port}",
             "interval": "100ms"}
    agent = make_agent(redis_server.url(), probes=[probe])
    client = steady(agent)
    for name in ("late", "gone"):
        late = connect(agent)
        late.call("client.hello", name=name, deadline_ms=10)
        late.call("robot.update", is_connected_l=True)
        heard.wait_for("deadline_missed", lambda e, name=name: e["client_name"] == name)
        late.call("robot.update", is_connected_l=True) if name == "late" else late.close()
    client.call("robot.update", is_connected_l=True)
    client.call("stroke.start", total_strokes=1)
    client.call("stroke.update", stroke_idx=1)
    client.call("stroke.end")
    client.call("error.report", category="c", message="m")
    heard.wait_for("probe_changed")
    other = make_agent(redis_server.url())
    heard.wait_for("node_conflict")
    other.stop()
    heard.wait_for("node_down")
    wait_until(lambda: set(EVENTS) - ELSEWHERE <= {e["type"] for e in heard.messages})
    for _, channel, text in heard.raw:
        check(json.loads(text), channel)


def test_the_members_of_the_event_that_tells_of_losses(lossy):
    _, _, _, heard = lossy
    check(heard["event"], heard["channel"])


def test_what_stands_in_redis(redis_server, make_agent, steady):
    client = steady(make_agent(redis_server.url(), settings={"robot.telemetry_interval": "50ms"}))
    redis = redis_server.client()
    client.call("robot.update", is_connected_l=True)
    session = client.call("stroke.start", total_strokes=7)["session_id"]
    client.call("stroke.update", stroke_idx=3)
    client.call("event.publish", channel="c", event={})
    client.call("error.report", category="c", message="m", ack="stored")
    told = {"is_connected_l", "total_strokes", "stroke_idx", "is_executing"}

    def key_of(text):
        for name, value in (("node", "ook"), ("session", session), ("channel", "c")):
            text = text.replace("{" + name + "}", value)
        return text.strip("`")

    key = None
    for where, field, what in table("| key | field | what it is |"):
        key = key_of(where) or key
        if key == "nodebeat:dead":
            continue  # no node is
        value = wait_until(lambda key=key, field=field: redis.hget(key, key_of(field)))
        if not what.startswith("{"):
            assert value in (session, json.loads(redis.hget(key, "state") or "{}").get("timestamp"))
            continue
        members = re.findall(r"`(\w+)`(?: = ([^,}]+))?", what)
        object_ = json.loads(value)
        assert list(object_) == [name for name, _ in members]
        for name, initial in members:
            if initial and name not in told:
                assert object_[name] == json.loads(initial), name
    for streams, fields in table("| stream | fields |"):
        for stream in re.findall(r"`([^`]+)`", streams):
            if stream in ("stream:events:{node}", "stream:cell_events"):
                continue  # only for more channels than have a stream of their own; and of lost nodes
            entries = wait_until(lambda stream=stream: redis.xrange(key_of(stream), count=1))
            assert list(entries[0][1]) == names(fields)


@pytest.mark.parametrize("written, number", [("2.0", 2), ("1e3", 1000), ("-0.50e1", -5), ("7", 7)])
def test_an_integer_however_it_is_written(cell, written, number):
    session = cell.client.call("stroke.start", '{"total_strokes":1.0}')["session_id"]
    cell.client.call("stroke.update", f'{{"stroke_idx":{written},"ack":"stored","timeout_ms":2e3}}')
    progress = cell.redis.hget(f"stroke:progress:{session}", "progress")
    # A reader finds a number without doubt.
    assert f'"stroke_idx":{number},' in progress and '"total_strokes":1,' in progress
    (_, entry), = cell.redis.xrange(f"stream:stroke_history:{session}")
    assert entry["stroke_idx"] == str(number)


def test_what_is_carried_out_after_a_goodbye(cell, connect):
    client = connect(cell.agent)
    client.call("client.hello", will=[
        {"method": "state.set", "params": {"key": "will", "value": 1}}])
    client.call("event.subscribe", channels=["a"])
    client.call("client.goodbye")
    client.notify("state.set", key="after", value=1)
    cell.client.call("event.publish", channel="a", event={"i": 1})
    assert client.next_event()["event"]["i"] == 1
    client.close()
    wait_until(lambda: cell.redis.get("after") == "1")
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)
    cell.client.call("state.set", key="later", value=1, ack="stored")
    assert cell.redis.get("will") is None
    # Until then another will may be said.
    client = connect(cell.agent)
    client.call("client.goodbye")
    client.call("client.hello", will=[
        {"method": "state.set", "params": {"key": "will", "value": 2}}])
    client.close()
    wait_until(lambda: cell.redis.get("will") == "2")


def test_no_sentence_spells_a_limit_of_a_line():
    """The limits stand in src/rpc/line_limits.h and in the answer to the hello: a number in an
    error's words would be wrong as soon as one of them changes."""
    strings = re.compile(r'"(?:[^"\\\n]|\\.)*"')
    spelled = [
        f"{path.relative_to(ROOT)}: {text}"
        for room in ("client", "ctl") for path in (ROOT / "src" / room).glob("*.cc")
        for text in strings.findall(path.read_text())
        if re.search(r"65,?536|65,?024|1,?048,?576|16,?777,?216|\b64 KiB|\b1 MiB", text)
    ]
    assert spelled == []


# --- 3.5.2: the counters of the outbox -----------------------------------------------------------


def outbox(client):
    return client.call("agent.stats")["outbox"]


@pytest.fixture
def calm(redis_server, make_agent, steady):
    """An agent that does not beat again while a test counts."""
    agent = make_agent(redis_server.url(), settings={
        "heartbeat.interval": "1min", "heartbeat.ttl": "10min", "redis.ping_after": "30s"})
    return SimpleNamespace(server=redis_server, redis=redis_server.client(), agent=agent,
                           client=steady(agent))


def settled(client):
    """The counters when nothing is on its way."""
    return wait_until(lambda: (now := outbox(client))["in_flight"] == 0 and now["events_waiting"] == 0
                      and now["slots_waiting"] == 0 and now)


def grown(before, after):
    return {name: after[name] - before[name] for name in before if isinstance(after[name], int)}


def test_what_is_written_again_is_stored_but_not_accepted_again(calm):
    before = settled(calm.client)
    connects = calm.client.call("agent.stats")["link"]["connects"]
    calm.redis.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: calm.client.call("agent.stats")["link"]["connects"] > connects)
    wait_until(lambda: calm.client.call("agent.stats")["link"]["state"] == "steady")
    after = settled(calm.client)
    now = grown(before, after)
    assert now["replayed"] > 0
    # The agent may say something of itself in between, which is accepted; value and message may go apart.
    assert now["stored"] >= now["accepted"] - now["coalesced"] - now["dropped"] + now["replayed"]


def test_the_word_of_lost_events_is_stored_and_accepted_from_nobody(make_redis, make_agent, connect, closing):
    server = make_redis(start=False)
    agent = make_agent(server.url(), settings={
        "heartbeat.interval": "1min", "heartbeat.ttl": "10min", "outbox.event_bytes": "16KiB"})
    client = connect(agent)
    for _ in range(50):
        client.call("event.publish", channel="x", event={"fill": "y" * 1000}, record=False,
                    max_age_ms=600_000)
    before = outbox(client)
    assert before["dropped"] > 0 and before["stored"] == 0
    processes.pause(agent.process)  # until there is somebody who hears all that it says
    server.start()
    heard = closing(server.subscribe("node:events:ook"))
    processes.resume(agent.process)

    # What the agent says of itself when it comes up is accepted in between, and may replace what waits. Its value
    # and its message may go apart, which counts twice.
    def stored_from_nobody():
        now = settled(client)
        return now["stored"] - (now["accepted"] - now["dropped"] - now["coalesced"])

    heard.wait_for("events_lost")
    wait_until(lambda: stored_from_nobody() >= len(heard.of_type("events_lost")), what=lambda: f"stored from nobody: {outbox(client)}")


def test_a_value_that_was_replaced_is_accepted_but_not_stored(lonely):
    before = outbox(lonely.client)
    for i in range(10):
        lonely.client.call("state.set", key="a", value=i)
    now = grown(before, outbox(lonely.client))
    assert now["coalesced"] >= 9 and now["accepted"] >= 10
    # The agent says something of itself as well.
    assert now["accepted"] - now["coalesced"] == now["slots_waiting"] + now["events_waiting"] + now["dropped"]
    assert outbox(lonely.client)["stored"] == 0


def test_a_value_and_the_event_of_one_call_may_go_in_two_transactions(make_redis, make_agent, connect):
    """As after an outage: first the values, then the events that waited."""
    server = make_redis(start=False)
    client = connect(make_agent(server.url(), settings={
        "heartbeat.interval": "1min", "heartbeat.ttl": "10min"}))
    client.call("stroke.start", total_strokes=3)
    waited = outbox(client)
    server.start()
    after = settled(client)
    # A lease that is renewed meanwhile takes the place of the one that waits.
    assert after["stored"] > after["accepted"] - after["coalesced"] >= waited["accepted"]
    assert after["replayed"] == after["dropped"] == 0


# --- 3.5.2.2: the words of remote_state ----------------------------------------------------------


def remote(client):
    return client.call("agent.stats")["subscriptions"]["remote_state"]


def test_the_remote_state_follows_the_subscriptions(cell, connect):
    assert remote(cell.client) == "stopped", "nobody listens"
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["a"])
    wait_until(lambda: remote(cell.client) == "steady")
    cell.server.kill()
    wait_until(lambda: remote(cell.client) == "waiting")
    cell.server.start()
    wait_until(lambda: remote(cell.client) == "steady")
    listener.close()
    wait_until(lambda: remote(cell.client) == "stopped")


@pytest.mark.parametrize("silent_at, state", [("PING", "greeting"), ("SUBSCRIBE", "replaying")])
def test_the_remote_state_of_a_server_that_hesitates(fake_redis, make_agent, connect, silent_at, state):
    """The connection for subscriptions is the second one."""
    connections = itertools.count()

    def script(connection):
        second = next(connections) > 0
        queued = []
        while True:
            command = connection.read_command()
            if second and command[0] == silent_at:
                connection.wait_closed()
                return
            connection.send(usual_reply(command, queued))

    agent = make_agent(fake_redis(script).url(), settings={
        "redis.command_timeout": "30s", "redis.ping_after": "30s"})
    client = connect(agent)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] in ("steady", "degraded"))
    client.notify("event.subscribe", channels=["a"])
    wait_until(lambda: remote(client) == state)


@pytest.mark.skipif(acl.ENABLED, reason="has a user of its own")
def test_the_remote_state_is_steady_when_a_subscription_is_refused(make_redis, make_agent, steady):
    server = make_redis()
    server.client().acl_setuser(
        "narrow", enabled=True, nopass=True, keys=["*"], channels=["node:*"], commands=["+@all"])
    agent = make_agent(server.url("narrow:x@"))
    client = steady(agent)
    client.call("event.subscribe", channels=["forbidden"])
    wait_until(lambda: remote(client) == "steady")
    agent.wait_for_log("NOPERM")
