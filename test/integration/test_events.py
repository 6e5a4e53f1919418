"""event.publish and event.subscribe: local listeners, Redis, and what happens in between."""

import json
import os
import threading

import pytest

from support.other_user import as_nobody
from support.probe_targets import SilentListener
from support.rpc import refused
from support.schema import TIMESTAMP
from support.waiting import wait_until


@pytest.fixture
def listening(cell):
    """listening(client, channels=..., patterns=...): subscribed, in Redis too."""

    def subscribe(client, **what):
        client.call("event.subscribe", **what)
        count = sum(len(v) for v in what.values())

        def there():
            numbers = cell.redis.pubsub_numsub(*what.get("channels", []))
            return (all(n for _, n in numbers)
                    and cell.redis.pubsub_numpat() >= len(what.get("patterns", [])))

        assert count and wait_until(there)
        return client

    return subscribe


# --- local --------------------------------------------------------------------------------------


def test_local_listeners_need_no_redis(lonely, connect):
    listener = connect(lonely.agent)
    listener.call("event.subscribe", channels=["a"], patterns=["b*"])
    lonely.client.call("event.publish", '{"channel":"a","event":{ "x" : 1.10 }}')
    assert listener.read_line() == (
        b'{"jsonrpc":"2.0","method":"event","params":{"channel":"a","event":{"x":1.10,'
        b'"node_id":"ook"}}}'
    )
    lonely.client.call("event.publish", channel="bc", event={})
    assert listener.next_event() == {"channel": "bc", "event": {"node_id": "ook"}, "pattern": "b*"}
    lonely.client.call("event.publish", channel="c", event={})
    assert listener.events() == []


def test_a_publisher_hears_itself_once(lonely):
    lonely.client.call("event.subscribe", channels=["a"])
    lonely.client.call("event.publish", channel="a", event={"i": 1})
    assert [e["event"] for e in lonely.client.events()] == [{"i": 1, "node_id": "ook"}]


def test_with_redis_there_it_comes_once_and_no_echo(cell, connect, listening):
    listener = listening(connect(cell.agent), channels=["a"], patterns=["a*", "?"])
    for i in range(50):
        answer = cell.client.call("event.publish", channel="a", event={"i": i}, ack="stored")
        assert answer["subscribers"] == 3  # the agent's own: a channel and two patterns
    # This one comes from Redis: behind it no echo can be on its way any more.
    cell.redis.publish("a", '{"i":"end"}')
    heard = [listener.next_event()["event"]["i"] for _ in range(51)]
    assert heard == [*range(50), "end"] and listener.events() == []
    assert cell.client.call("agent.stats")["subscriptions"]["echoes_dropped"] >= 50


def test_what_robot_and_strokes_say_is_heard_locally(lonely):
    lonely.client.call("event.subscribe", patterns=["*"])
    lonely.client.call("robot.update", current_pose="ready")
    assert lonely.client.next_event("robot:events")["event"]["current_pose"] == "ready"
    session = lonely.client.call("stroke.start", total_strokes=1)["session_id"]
    assert lonely.client.next_event("stroke:events:session")["event"]["session_id"] == session
    lonely.client.call("stroke.update", stroke_idx=1)
    assert lonely.client.next_event("stroke:events:progress")["event"]["stroke_idx"] == 1
    lonely.client.call("stroke.end")
    assert lonely.client.next_event("stroke:events:session")["event"]["type"] == "session_end"
    lonely.client.call("error.report", category="c", message="m")
    assert lonely.client.next_event("error:events:c")["event"]["message"] == "m"


def test_what_the_node_says_is_heard_locally(redis_server, make_agent, steady, closing):
    target = closing(SilentListener())
    agent = make_agent(redis_server.url(), probes=[
        {"name": "port", "type": "tcp", "address": f"127.0.0.1:{target.port}",
         "interval": "100ms", "down_after": 1}])
    client = steady(agent)
    client.call("event.subscribe", channels=["node:events:ook"])
    wait_until(lambda: any(p["up"] for p in client.call("agent.stats")["probes"]))
    target.close()
    event = client.next_event("node:events:ook")
    while event["event"]["type"] != "probe_changed" or event["event"]["up"]:
        event = client.next_event("node:events:ook")
    assert event["event"]["probe"] == "port" and "remote" not in event


def test_that_events_were_lost_is_heard_locally(lossy):
    server, client, listener, heard = lossy
    assert "remote" not in heard
    # And behind it, no echo.
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    wait_until(lambda: server.client().publish("node:events:ook", '{"type":"end"}'))
    types = [listener.next_event("node:events:ook")["event"]["type"]]
    while types[-1] != "end":
        types.append(listener.next_event("node:events:ook")["event"]["type"])
    assert "events_lost" not in types


@pytest.mark.parametrize("pattern, yes, no", [
    ("a*", ["a", "abc"], ["b", "ba"]), ("a?", ["ab"], ["a", "abc"]),
    ("[a-c]x", ["ax", "cx"], ["dx", "x"]), ("[^a]x", ["bx"], ["ax"]), (r"a\*", ["a*"], ["ab"]),
    ("*", ["x", "a:b"], []), ("*:b:*", ["a:b:c"], ["a:c"]), ("[ab", ["a"], ["c"]),
])
def test_patterns_mean_what_they_mean_to_redis(cell, closing, pattern, yes, no):
    theirs = closing(cell.server.subscribe(patterns=[pattern]))
    cell.client.call("event.subscribe", patterns=[pattern])
    for channel in (*yes, *no):
        cell.client.call("event.publish", channel=channel, event={"type": "x"}, ack="stored")
    ours = [e["channel"] for e in cell.client.events() if not e["channel"].startswith("node:")]
    assert ours == yes
    wait_until(lambda: [c for _, c, _ in theirs.raw if not c.startswith("node:")] == yes)


def test_overlapping_subscriptions_bring_it_once(cell, listening):
    listening(cell.client, channels=["ab", "x"], patterns=["a*", "*b", "??"])
    cell.client.call("event.publish", channel="ab", event={"i": 1})
    cell.redis.publish("ab", '{"i":2}')
    cell.redis.publish("x", '{"i":3}')  # after which nothing of the former can come
    events = [cell.client.next_event() for _ in range(3)]
    assert events == [
        {"channel": "ab", "event": {"i": 1, "node_id": "ook"}},
        {"channel": "ab", "event": {"i": 2}, "remote": True},
        {"channel": "x", "event": {"i": 3}, "remote": True},
    ]
    assert cell.client.events() == []


def test_unsubscribe(cell, listening):
    listening(cell.client, channels=["a", "b"], patterns=["c*", "d*"])
    cell.client.call("event.unsubscribe", channels=["a", "never"], patterns=["c*"])
    for channel in ("a", "b", "c1", "d1"):
        cell.client.call("event.publish", channel=channel, event={})
    assert [e["channel"] for e in cell.client.events()] == ["b", "d1"]
    cell.client.call("event.unsubscribe")
    for channel in ("a", "b", "c1", "d1"):
        cell.client.call("event.publish", channel=channel, event={}, ack="stored")
    assert cell.client.events() == []
    wait_until(lambda: cell.redis.pubsub_channels() == [] and cell.redis.pubsub_numpat() == 0)
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 0
    cell.client.call("event.unsubscribe")  # of nothing


def test_one_that_goes_takes_its_subscriptions_along(cell, connect, listening):
    first = listening(connect(cell.agent), channels=["a"])
    second = listening(connect(cell.agent), channels=["a", "b"])
    first.close()
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["local"] == 2)
    cell.redis.publish("a", "{}")
    assert second.next_event()["channel"] == "a"
    second.close()
    wait_until(lambda: cell.redis.pubsub_channels() == [])


@pytest.mark.parametrize("params, field", [
    ({}, "channels"), ({"channels": [], "patterns": []}, "channels"),
    ({"channels": ["a", ""]}, "channels[1]"), ({"patterns": ["a\n"]}, "patterns[0]"),
    ({"channels": ["x" * 257]}, "channels[0]"), ({"channels": "a"}, "channels"),
    ({"channels": [1]}, "channels[0]"), ({"channels": ["a"] * 65}, "channels"),
])
def test_subscriptions_that_are_none(cell, params, field):
    error = refused(cell.client, "event.subscribe", params)
    assert (error.code, error.field) == (-32602, field)
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 0


def test_at_most_sixty_four_subscriptions(cell):
    cell.client.call("event.subscribe", channels=[f"c{i}" for i in range(40)])
    error = refused(cell.client, "event.subscribe", patterns=[f"c{i}" for i in range(40)])
    assert error.name == "queue_full"
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 40
    # What it has already is none more.
    cell.client.call("event.subscribe", channels=[f"c{i}" for i in range(64)])
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 64
    error = refused(cell.client, "event.subscribe", channels=["c0", "one more"])
    assert error.name == "queue_full"
    wait_until(lambda: cell.redis.pubsub_numpat() == 0 and len(cell.redis.pubsub_channels()) == 64)


def test_what_patterns_may_cost(cell, connect):
    most = cell.client.call("client.hello")["limits"]["pattern_cost"]
    half = "*" + "a?" * 100  # 201 steps
    cell.client.call("event.subscribe", patterns=[half + str(i) for i in range(4)])
    cell.client.call("event.subscribe", patterns=["robot:" * 40 + "[ab]" * 4, half + "0"])
    error = refused(cell.client, "event.subscribe", patterns=[half, "b*" + "c" * 20])
    assert error.name == "queue_full" and error.data["limit"] == most == 1024
    assert "1222" in error.message and str(most) in error.message
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 5
    # What is given up makes room, and each client has its own.
    cell.client.call("event.unsubscribe", patterns=[half + "3"])
    cell.client.call("event.subscribe", patterns=[half, "b*"])
    connect(cell.agent).call("event.subscribe", patterns=[half + str(i) for i in range(4)])


def test_listeners_that_share_what_they_listen_to(cell, connect, listening):
    """Each gets a message once, by the oldest of its own subscriptions that match; clients that come
    and go change nothing for the others."""
    def by(client):
        event = client.next_event()
        assert event["event"]["type"] == ("y" if "remote" in event else "x")
        return event.get("pattern", event["channel"])

    wants = [(["a*"], ["ab"]), ([], ["ab"]), (["*b", "a*"], []), (["a*", "*b"], [])]
    clients = []
    for patterns, channels in wants:
        client = connect(cell.agent)
        for pattern in patterns:
            client.call("event.subscribe", patterns=[pattern])
        client.call("event.subscribe", **{"channels": channels} if channels else {"patterns": patterns})
        clients.append(client)
    publish = [lambda: cell.client.call("event.publish", channel="ab", event={"type": "x"}),
               lambda: cell.redis.publish("ab", '{"type":"y"}')]
    for say in publish:
        say()
        assert [by(client) for client in clients] == ["a*", "ab", "*b", "a*"]
    clients[2].call("event.unsubscribe", patterns=["*b"])
    clients.pop(0).close()
    late = connect(cell.agent)
    late.call("event.subscribe", patterns=["?b", "a*"])
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 5)
    for say in publish:
        say()
        assert [by(client) for client in (*clients, late)] == ["ab", "a*", "a*", "?b"]
    assert [client.events() for client in (*clients, late)] == [[], [], [], []]


def test_redis_is_asked_for_few_patterns(cell, connect):
    """Each costs it something with each message of the whole cell. What a client hears is the same."""
    clients = [connect(cell.agent) for _ in range(3)]
    dear = "*a?a?" + "?" * 10 + "*"
    clients[0].call("event.subscribe", patterns=[dear, *(f"x{i}*" for i in range(60))])
    clients[1].call("event.subscribe", patterns=["x59*", "x7*", *(f"*y{i}" for i in range(60))])
    clients[2].call("event.subscribe", patterns=["*"])
    wait_until(lambda: 30 <= cell.redis.pubsub_numpat() <= 33)
    for channel, told in (("x7", ["x7*", "x7*", "*"]), ("x59", ["x5*", "x59*", "*"]),
                          ("_a_a_" + "_" * 9, [None, None, "*"]),
                          ("_a_a_" + "_" * 10, [dear, None, "*"]), ("_y59", [None, "*y59", "*"])):
        cell.redis.publish(channel, '{"to":"' + channel + '"}')
        for client, pattern in zip(clients, told):
            if pattern:
                event = client.next_event(channel)
                assert event["pattern"] == pattern and event["event"] == {"to": channel}
    cell.redis.publish("x7x", "{}")
    assert clients[0].next_event("x7x")["pattern"] == "x7*"
    for client in clients:
        assert [e for e in client.events() if e["channel"][0] in "x_" and e["channel"] != "x7x"] == []
        client.call("event.unsubscribe")
    wait_until(lambda: cell.redis.pubsub_numpat() == 0)


def test_a_message_on_a_channel_that_nobody_can_name(cell, listening):
    listening(cell.client, patterns=["x*"])
    cell.redis.publish("x" * 257, "{}")
    cell.redis.publish("x" * 256, "{}")
    assert cell.client.next_event()["channel"] == "x" * 256


def test_an_event_is_as_long_as_each_listener_reads(cell, connect, listening):
    short, long = connect(cell.agent), connect(cell.agent)
    long.call("client.hello", max_line_bytes=200_000)
    for client in (short, long):
        listening(client, channels=["a"], patterns=["b*"])
    for channel, by in (("a", {}), ("bb", {"pattern": "b*"})):
        message = json.dumps({"x": "y" * 100_000})
        cell.redis.publish(channel, message)
        assert short.next_event() == {
            "channel": channel, "omitted_bytes": len(message), **by, "remote": True}
        assert long.next_event() == {
            "channel": channel, "event": json.loads(message), **by, "remote": True}


@pytest.mark.own_users("the user here may hear less than the node's")
def test_a_refused_subscription_hides_none_that_works(make_redis, make_agent, steady):
    server = make_redis()
    server.client().execute_command(
        "ACL", "SETUSER", "nb", "on", ">pw", "~*", "+@all", "resetchannels", "&node:*", "&ok"
    )
    client = steady(make_agent(f"redis://nb:pw@127.0.0.1:{server.port}"))
    client.call("event.subscribe", patterns=["*"])
    client.call("event.subscribe", channels=["ok"])
    wait_until(lambda: server.client().publish("ok", "{}"))
    assert client.next_event("ok") == {"channel": "ok", "event": {}, "remote": True}


# --- what one client takes from others ----------------------------------------------------------


def flood(client, fill=1000, count=100):
    """Notifications without a pause, from a thread, until the client is closed."""
    lines = client.line("event.publish", {"channel": "bulk", "event": {"x": "y" * fill}}) * count

    def send():
        try:
            while True:
                client.send(lines)
        except OSError:
            pass

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_a_flood_does_not_push_out_what_others_say(lonely, connect):
    """While Redis is away: an error is as safe as if the flood were not there, an event too."""
    flooders = [connect(lonely.agent) for _ in range(4)]
    stored = {"ack": "stored", "timeout_ms": 60000}
    ids = [lonely.client.request("error.report", category="arm", message=f"before {i}", **stored)
           for i in range(20)]
    ids.append(lonely.client.request("event.publish", channel="calm", event={"i": 0}, **stored))
    for client in flooders:
        flood(client)
    wait_until(lambda: lonely.client.call("agent.stats")["outbox"]["dropped"] > 5000)
    ids += [lonely.client.request("error.report", category="arm", message=f"after {i}", **stored)
            for i in range(20)]
    ids.append(lonely.client.request("event.publish", channel="calm", event={"i": 1}, **stored))
    session = lonely.client.call("stroke.start", total_strokes=1)["session_id"]
    lonely.server.start()
    for request in ids:
        lonely.client.answer(request, timeout=20)
    lonely.client.call("stroke.end", ack="stored")
    for client in flooders:
        client.close()
    kept = [json.loads(f["event"]) for _, f in
            lonely.server.client().xrange("stream:node_events:ook")]
    said = [e["message"] for e in kept if e.get("type") == "error"]
    assert said == [f"before {i}" for i in range(20)] + [f"after {i}" for i in range(20)]
    assert [e["type"] for e in kept if e.get("session_id") == session] == [
        "session_start", "session_end"]


def test_a_flood_costs_nobody_an_event_while_redis_is_there(cell, connect):
    """Nor the client that floods: the agent reads no more from it until there is room."""
    flooders = [connect(cell.agent) for _ in range(4)]
    for client in flooders:
        flood(client)
    for i in range(100):
        cell.client.call("error.report", category="arm", message=str(i), ack="stored")
    before = cell.client.call("agent.stats")["outbox"]
    assert before["stored"] > 1000 and before["dropped"] == 0
    for client in flooders:
        client.close()
    kept = [json.loads(f["event"])["message"] for _, f in cell.redis.xrange("stream:node_events:ook")
            if f["channel"] == "error:events:arm"]
    assert kept == [str(i) for i in range(100)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs clients of another user")
def test_a_users_many_clients_cost_no_other_user_an_event(lonely, connect):
    with as_nobody(lonely.agent):
        flooders = [connect(lonely.agent) for _ in range(44)]
    stop = lonely.client.line("bus.publish", type="system_broadcast", data={"action": "emergency_stop", "admin": "ann"})
    # More than the lane has room for, but each flooder has less in it than the reports have together.
    for client in flooders:
        client.send(stop * 100)
    reports = [lonely.client.request("error.report", category="arm", message="m" * 800, ack="stored",
                                     timeout_ms=60_000) for _ in range(30)]
    for client in flooders:
        client.send(stop * 100)
        client.call("agent.stats")  # carried out after the flood
    outbox = lonely.client.call("agent.stats")["outbox"]
    assert outbox["dropped"] > 5000 and outbox["urgent_bytes"] > outbox["urgent_bytes_limit"] * 0.9
    lonely.server.start()
    assert [lonely.client.answer(report, timeout=60) for report in reports] == [{}] * 30
    kept = [f["channel"] for _, f in lonely.server.client().xrange("stream:node_events:ook")]
    assert kept.count("error:events:arm") == 30


def test_who_sends_more_than_there_is_room_for_is_made_to_wait(redis_server, make_agent, steady):
    settings = {"outbox.event_bytes": "16KiB", "outbox.channel_length": 100000}
    client = steady(make_agent(redis_server.url(), settings=settings))
    ids = range(10_000, 13_000)
    lines = b"".join(client.line("event.publish", {"channel": "c", "event": {"i": i}}, i)
                     for i in ids)
    sender = threading.Thread(target=client.send, args=[lines], daemon=True)
    sender.start()
    assert [client.answer(i) for i in ids] == [{}] * len(ids)
    sender.join()
    assert client.call("agent.stats")["outbox"]["dropped"] == 0
    client.call("event.publish", channel="c", event={"i": "end"}, ack="stored")
    kept = [json.loads(f["event"])["i"] for _, f in
            redis_server.client().xrange("stream:events:ook:c")]
    assert kept == [*ids, "end"]


def test_who_has_lost_events_is_told_how_many(lonely, connect):
    client, other = lonely.client, connect(lonely.agent)
    for each in (client, other):
        each.call("client.hello", errors=True)
    other.notify("event.publish", channel="c", event={})
    for _ in range(2000):
        client.notify("event.publish", channel="c", event={"x": "y" * 1000})
    count = 0
    while count == 0 or count < client.call("agent.stats")["outbox"]["dropped"]:
        told = client.next_message("client.error")
        assert told["error"]["code"] == -32012 and told["error"]["data"]["name"] == "dropped"
        assert "client_event_bytes" in told["error"]["message"]
        count += told["error"]["data"]["count"]
    assert count == client.call("agent.stats")["outbox"]["dropped"] > 500
    other.call("agent.stats")
    assert other.messages == []


# --- from elsewhere -----------------------------------------------------------------------------


def test_remote_events_are_marked(cell, listening):
    listening(cell.client, channels=["a"], patterns=["p*"])
    cell.redis.publish("a", '{"x":1.10}')
    assert cell.client.read_line() == (
        b'{"jsonrpc":"2.0","method":"event","params":'
        b'{"channel":"a","event":{"x":1.10},"remote":true}}'
    )
    cell.redis.publish("pq", '{\n  "a": [\n 1,\r\n 2 ],\t"b" : "x\\ny"\n}\n')
    assert cell.client.next_event() == {
        "channel": "pq", "event": {"a": [1, 2], "b": "x\ny"}, "pattern": "p*", "remote": True
    }


@pytest.mark.parametrize("message, told", [
    ("plain", "plain"), ("", ""), ('{"a":1', '{"a":1'), ("line\nbreak\"", 'line\nbreak"'),
    (b"a\xffb", "a\ufffdb"), ('{"a":1,"a":2}', '{"a":1,"a":2}'), (b"\x00", "\ufffd"),
    pytest.param("[" * 63 + "]" * 63, "[" * 63 + "]" * 63, id="too deep for a line"),
])
def test_what_is_no_json_comes_as_text(cell, listening, message, told):
    listening(cell.client, channels=["a"])
    cell.redis.publish("a", message)
    assert cell.client.next_event() == {"channel": "a", "text": told, "remote": True}


@pytest.mark.parametrize("message", ['"text"', "7", "null", "[1]"])
def test_json_that_is_no_object_is_an_event(cell, listening, message):
    listening(cell.client, channels=["a"])
    cell.redis.publish("a", message)
    assert cell.client.next_event()["event"] == json.loads(message)


@pytest.mark.parametrize("message", ["x" * 100_000, '{"a":"' + "x" * 70_000 + '"}',
                                     "\x01" * 20_000], ids=["text", "JSON", "control characters"])
def test_what_fits_into_no_line_is_told_by_its_size(cell, listening, message):
    listening(cell.client, channels=["a"])
    cell.redis.publish("a", message)
    line = cell.client.read_line()
    assert len(line) <= 65536
    assert json.loads(line)["params"] == {
        "channel": "a", "omitted_bytes": len(message), "remote": True
    }


def test_two_agents_hear_one_another(cell, make_agent, steady, listening):
    other = steady(make_agent(cell.server.url(), "hog"))
    for client in (cell.client, other):
        client.call("event.subscribe", channels=["a"])
    wait_until(lambda: dict(cell.redis.pubsub_numsub("a")) == {"a": 2})
    cell.client.call("event.publish", channel="a", event={"i": 1}, ack="stored")
    ooks, hogs = {"i": 1, "node_id": "ook"}, {"i": 1, "node_id": "hog"}
    assert other.next_event() == {"channel": "a", "event": ooks, "remote": True}
    other.call("event.publish", channel="a", event={"i": 1}, ack="stored")
    assert cell.client.next_event() == {"channel": "a", "event": ooks}
    assert cell.client.next_event() == {"channel": "a", "event": hogs, "remote": True}
    assert other.next_event() == {"channel": "a", "event": hogs}
    # The bytes of its own event, from somebody else, are no echo.
    cell.redis.publish("a", '{"i":1,"node_id":"ook"}')
    assert cell.client.next_event() == {"channel": "a", "event": ooks, "remote": True}
    assert other.next_event() == {"channel": "a", "event": ooks, "remote": True}
    assert cell.client.events() == other.events() == []


def test_a_thousand_events_in_order(cell, make_agent, steady):
    other = steady(make_agent(cell.server.url(), "hog"))
    for client in (cell.client, other):
        client.call("event.subscribe", channels=["a"])
    wait_until(lambda: dict(cell.redis.pubsub_numsub("a")) == {"a": 2})
    for i in range(1000):
        other.notify("event.publish", channel="a", event={"i": i})
    assert [other.next_event()["event"]["i"] for _ in range(1000)] == list(range(1000))
    assert [cell.client.next_event()["event"]["i"] for _ in range(1000)] == list(range(1000))
    assert cell.client.events() == other.events() == []
    kept = [json.loads(f["event"])["i"] for _, f in cell.redis.xrange("stream:events:hog:a")
            if f["channel"] == "a"]
    assert kept == list(range(1000))


def test_what_is_published_behind_the_answer_is_heard(cell, connect):
    other = connect(cell.agent)  # with and without a connection that listens already
    for i in range(20):
        cell.client.call("event.subscribe", channels=[f"a{i}"], patterns=[f"b{i}*"])
        other.call("event.subscribe", patterns=[f"a{i}*"])
        cell.redis.publish(f"a{i}", '"a"')
        cell.redis.publish(f"b{i}", '"b"')
        assert [cell.client.next_event()["event"] for _ in range(2)] == ["a", "b"]
        assert other.next_event()["event"] == "a"
        for client in (cell.client, other) if i % 2 else (other, cell.client):
            client.call("event.unsubscribe")
    assert cell.client.messages == other.messages == []


def test_who_subscribes_while_redis_is_silent_is_answered(redis_server, make_agent, proxy, steady):
    way = proxy(redis_server)
    client = steady(make_agent(way.url()))
    client.call("event.subscribe", channels=["a"])
    way.mode = "black_hole"
    given_up = client.request("event.subscribe", channels=["b"])
    assert client.call("event.unsubscribe", channels=["b"]) == client.answer(given_up) == {}
    waits = client.request("event.subscribe", channels=["c"])
    client.notify("event.publish", channel="c", event={})
    assert client.next_event() == {"channel": "c", "event": {"node_id": "ook"}}
    assert client.answer(waits) == {}
    way.mode = "pass"
    assert client.next_message("event.gap")


def test_a_gap_is_told(cell, listening):
    listening(cell.client, channels=["a"])
    cell.server.restart()
    gap = cell.client.next_message("event.gap")
    assert list(gap) == ["from", "to"]
    assert TIMESTAMP.fullmatch(gap["from"]) and TIMESTAMP.fullmatch(gap["to"])
    assert gap["from"] <= gap["to"]
    # Who is told listens again.
    cell.server.client().publish("a", '{"i":1}')
    assert cell.client.next_event()["event"] == {"i": 1}
    assert cell.client.call("agent.stats")["subscriptions"]["gaps"] >= 1


def test_no_echo_behind_a_gap(redis_server, make_agent, proxy, steady):
    """What was published while the subscription was being restored comes back after it is."""
    way = proxy(redis_server)
    client = steady(make_agent(way.url(), settings={"redis.command_timeout": "5s"}))
    client.call("event.subscribe", channels=["a"])
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    way.delay = 0.05
    redis_server.client().client_kill_filter(_type="pubsub")

    def a_gap_is_told():
        client.call("event.publish", channel="a", event={}, record=False)
        return any(m["method"] == "event.gap" for m in client.messages)

    wait_until(a_gap_is_told)
    client.call("event.publish", channel="a", event={}, record=False, ack="stored")
    redis_server.client().publish("a", '"end"')
    heard = []
    while not heard or heard[-1]["event"] != "end":
        heard.append(client.next_event("a"))
    assert [e for e in heard[:-1] if "remote" in e] == []


def test_a_subscription_made_without_redis_takes_hold_later(lonely):
    lonely.client.call("event.subscribe", channels=["a"])
    lonely.server.start()
    wait_until(lambda: lonely.server.client().publish("a", '{"i":1}'))
    assert lonely.client.next_event()["event"] == {"i": 1}


# --- what goes to Redis -------------------------------------------------------------------------


def test_elsewhere_bytes_go_out_as_they_came(cell, closing):
    events = closing(cell.server.subscribe("cv:parameter:update"))
    written = r'{"timestamp":1700000000000,"type":7,"data":{"value":1.10,"s":"\u00e4\/"}}'
    spaced = written.replace(":", " : ").replace(",", "\t,")
    written = written[:-1] + ',"node_id":"ook"}'
    cell.client.call("event.publish", f'{{"channel":"cv:parameter:update","event":{spaced},'
                     '"ack":"stored"}')
    wait_until(lambda: events.raw)
    assert events.raw[0][2] == written
    assert cell.redis.xrange("stream:events:ook:cv:parameter:update")[-1][1] == {
        "channel": "cv:parameter:update", "event": written
    }


STRICT = ["robot:events", "stroke:events:session", "stroke:events:x", "error:events:c",
          "node:events:ook", "system:events"]


@pytest.mark.parametrize("channel", STRICT)
def test_strict_channels_get_what_their_readers_need(cell, closing, channel):
    events = closing(cell.server.subscribe(channel))
    for event, field in (({}, "event.type"), ({"type": 1}, "event.type"),
                         ({"type": None}, "event.type"),
                         ({"type": "t", "timestamp": 1}, "event.timestamp"),
                         ({"type": "t", "timestamp": None}, "event.timestamp")):
        error = refused(cell.client, "event.publish", channel=channel, event=event)
        assert (error.code, error.field) == (-32602, field)
    cell.client.call("event.publish", channel=channel, event={"type": "t", "x": 1})
    event = events.wait_for("t")
    assert list(event) == ["type", "x", "node_id", "timestamp"]
    assert event["node_id"] == "ook" and TIMESTAMP.fullmatch(event["timestamp"])
    given = {"timestamp": "2026-11-20T14:03:07.123456", "node_id": "ook", "type": "given"}
    cell.client.call("event.publish", channel=channel, event=given)
    assert list(events.wait_for("given").items()) == list(given.items())


@pytest.mark.parametrize("channel", ["c", "robot:events", "system:events"])
def test_no_client_speaks_for_another_node_or_client(cell, closing, channel):
    events = closing(cell.server.subscribe(channel))
    cell.client.call("client.hello", name="left arm")
    for event, field in (({"type": "t", "node_id": "hog"}, "event.node_id"),
                         ({"type": "t", "node_id": None}, "event.node_id"),
                         ({"type": "t", "client_name": "right arm"}, "event.client_name")):
        error = refused(cell.client, "event.publish", channel=channel, event=event)
        assert (error.code, error.field) == (-32602, field)
        will = [{"method": "event.publish", "params": {"channel": channel, "event": event}}]
        error = refused(cell.client, "client.hello", will=will)
        assert (error.code, error.field) == (-32602, f"will[0].params.{field}")
    cell.client.call("event.publish", channel=channel, event={"type": "own"})
    event = events.wait_for("own")
    assert event["node_id"] == "ook" and event["client_name"] == "left arm"
    assert [json.loads(raw[2])["type"] for raw in events.raw] == ["own"]


def test_a_will_is_said_in_the_name_of_who_has_gone(cell, connect, listening):
    listening(cell.client, channels=["c"])
    client = connect(cell.agent)
    client.call("client.hello", name="left arm", will=[
        {"method": "event.publish", "params": {"channel": "c", "event": {"type": "gone"}}},
        {"method": "error.report", "params": {"category": "c", "message": "m"}}])
    listening(cell.client, channels=["error:events:c"])
    client.close()
    assert cell.client.next_event("c")["event"] == {
        "type": "gone", "node_id": "ook", "client_name": "left arm"}
    error = cell.client.next_event("error:events:c")["event"]
    assert error["node_id"] == "ook" and error["client_name"] == "left arm"


def test_on_the_channel_of_another_node_nobody_speaks(cell):
    error = refused(cell.client, "event.publish", channel="node:events:hog", event={"type": "t"})
    assert (error.code, error.name) == (-32003, "refused_key")
    assert error.message == "only programs on that node speak there"


def test_progress_is_nobodys_but_the_strokes(cell, closing):
    events = closing(cell.server.subscribe("stroke:events:progress"))
    error = refused(cell.client, "event.publish", channel="stroke:events:progress",
                    event={"type": "progress_update"})
    assert (error.code, error.name) == (-32003, "refused_key")
    assert error.data["key"] == "stroke:events:progress"
    cell.client.call("event.publish", channel="x", event={}, ack="stored")
    assert not events.raw


@pytest.mark.parametrize("params, field", [
    ({"event": {}}, "channel"), ({"channel": "", "event": {}}, "channel"),
    ({"channel": "c" * 257, "event": {}}, "channel"), ({"channel": "a\tb", "event": {}}, "channel"),
    ({"channel": "c"}, "event"), ({"channel": "c", "event": []}, "event"),
    ({"channel": "c", "event": "{}"}, "event"), ({"channel": "c", "event": None}, "event"),
    ({"channel": "c", "event": {}, "max_age_ms": -1}, "max_age_ms"),
    ({"channel": "c", "event": {}, "max_age_ms": 604800001}, "max_age_ms"),
    ({"channel": "c", "event": {}, "record": 1}, "record"),
])
def test_events_that_are_none(cell, params, field):
    error = refused(cell.client, "event.publish", params)
    assert (error.code, error.field) == (-32602, field)


def test_without_record_it_is_only_published(cell, closing):
    events = closing(cell.server.subscribe("c"))
    cell.client.call("event.publish", channel="c", event={"type": "t"}, record=False, ack="stored")
    cell.client.call("event.publish", channel="c", event={"type": "u"}, record=True, ack="stored")
    assert events.wait_for("t") and events.wait_for("u")
    kept = [f["event"] for _, f in cell.redis.xrange("stream:events:ook:c")]
    assert kept == ['{"type":"u","node_id":"ook"}']


def test_how_many_heard_it(cell, closing):
    def publish():
        return cell.client.call("event.publish", channel="c", event={"type": "t"}, ack="stored")

    assert publish() == {"subscribers": 0}
    first = closing(cell.server.subscribe("c"))
    second = closing(cell.server.subscribe("c"))
    assert publish() == {"subscribers": 2}
    assert first.wait_for("t") and second.wait_for("t")


def test_too_late_to_be_published(lonely):
    """A late emergency stop is worse than none: it stays in the stream only."""
    late = lonely.client.request("event.publish", channel="c", event={"type": "late"},
                                 max_age_ms=20, ack="stored", timeout_ms=20000)
    young = lonely.client.request("event.publish", channel="c", event={"type": "young"},
                                  max_age_ms=60000, ack="stored", timeout_ms=20000)
    never = lonely.client.request("event.publish", channel="c", event={"type": "never"},
                                  max_age_ms=0, record=False, ack="stored", timeout_ms=20000)
    begin = wait_until(lambda: lonely.client.call("health.get")["health"])["seq"]
    wait_until(lambda: lonely.client.call("health.get")["health"]["seq"] > begin + 1)
    lonely.server.start()
    assert lonely.client.answer(late) == {"subscribers": None}
    assert lonely.client.answer(young) == {"subscribers": 0}
    assert lonely.client.answer(never) == {"subscribers": None}
    kept = [f["event"] for _, f in lonely.server.client().xrange("stream:events:ook:c")]
    assert [json.loads(event)["type"] for event in kept] == ["late", "young"]
    assert lonely.client.call("agent.stats")["outbox"]["expired"] >= 2


def test_the_stream_of_a_channel_is_bounded(make_redis, make_agent, steady):
    server = make_redis(stream_node_max_entries=5)
    client = steady(make_agent(server.url(), settings={"outbox.channel_length": 20}))
    for i in range(100):
        client.notify("event.publish", channel="c", event={"i": i})
    client.call("event.publish", channel="c", event={}, ack="stored")
    assert 20 <= server.client().xlen("stream:events:ook:c") <= 25


def test_the_stream_of_a_channel_is_bounded_in_bytes(redis_server, make_agent, steady):
    client = steady(make_agent(redis_server.url(), settings={"outbox.channel_bytes": "256KiB"}))
    for i in range(100):
        client.notify("event.publish", channel="c", event={"i": i, "x": "y" * 30_000})
    client.call("event.publish", channel="c", event={"i": "end"}, ack="stored")
    kept = [json.loads(f["event"])["i"] for _, f in
            redis_server.client().xrange("stream:events:ook:c")]
    assert kept[-1] == "end" and 8 <= len(kept) <= 20


def test_a_flood_of_errors_pushes_out_nothing_that_others_reported(
        redis_server, make_agent, steady, connect):
    agent = make_agent(redis_server.url(), settings={"robot.events_length": 400})
    steady(agent).call("error.report", category="arm", message="calm", ack="stored")
    loud = connect(agent)
    for i in range(2000):
        loud.notify("error.report", category="bulk", message=str(i))
    loud.call("error.report", category="bulk", message="last", ack="stored")

    def messages(stream):
        return [json.loads(f["event"])["message"] for _, f in redis_server.client().xrange(stream)]

    assert messages("stream:node_events:ook") == ["calm", *(str(i) for i in range(100))]
    assert messages("stream:events:ook")[-1] == "last"


def test_wills_by_the_hundred_push_out_nothing_that_others_reported(
        redis_server, make_agent, steady, connect):
    """They count for their user, however many connections they come from."""
    agent = make_agent(redis_server.url(), settings={"robot.events_per_hour": 20})
    client = steady(agent)
    client.call("error.report", category="arm", message="calm", ack="stored")
    for i in range(50):
        dying = connect(agent)
        dying.call("client.hello", will=[
            {"method": "error.report", "params": {"category": "bulk", "message": str(i)}}])
        dying.close()

    def events(stream):
        return [json.loads(f["event"]) for _, f in redis_server.client().xrange(stream)]

    # Each is told of twice: what it has left to say, and that it has gone.
    wait_until(lambda: len(events("stream:events:ook")) == 1 + 2 * 50 - 20)
    kept = events("stream:node_events:ook")
    assert len(kept) == 20 and kept[0]["message"] == "calm"
    said = [e["message"] for e in kept[1:] if e["type"] == "error"]
    assert said == [str(i) for i in range(len(said))] and len(said) >= 9
    assert {e["type"] for e in kept} <= {"error", "client_lost"}


def test_a_flood_of_errors_leaves_of_the_users_budget_for_others(
        redis_server, make_agent, steady, connect):
    agent = make_agent(redis_server.url(), settings={"robot.events_per_hour": 40})
    loud = steady(agent)
    for i in range(100):
        loud.call("error.report", category="bulk", message=str(i))
    connect(agent).call("error.report", category="arm", message="calm", ack="stored")
    kept = [json.loads(f["event"])["message"]
            for _, f in redis_server.client().xrange("stream:node_events:ook")]
    assert kept == [*(str(i) for i in range(10)), "calm"]


def test_no_channel_pushes_anothers_events_out(redis_server, make_agent, steady):
    settings = {"outbox.channel_length": 20, "outbox.channels": 8, "outbox.channel_ttl": "1min"}
    client = steady(make_agent(redis_server.url(), settings=settings))
    client.call("event.publish", channel="calm", event={"i": 0}, ack="stored")
    client.call("error.report", category="arm", message="m", ack="stored")
    for i in range(2000):
        client.notify("event.publish", channel=f"bulk{i % 10}", event={"i": i})
    client.call("event.publish", channel="calm", event={"i": 1}, ack="stored")
    redis = redis_server.client()
    assert [f["event"] for _, f in redis.xrange("stream:events:ook:calm")] == [
        '{"i":0,"node_id":"ook"}', '{"i":1,"node_id":"ook"}']
    assert [f["channel"] for _, f in redis.xrange("stream:node_events:ook")] == [
        "error:events:arm"]
    # One client has a quarter of the streams; what it publishes elsewhere shares one.
    streams = redis.keys("stream:events:ook*")
    assert sorted(streams) == ["stream:events:ook", "stream:events:ook:bulk0",
                               "stream:events:ook:calm"]
    for stream in streams:
        assert 0 < redis.pttl(stream) <= 60_000
    assert {f["channel"] for _, f in redis.xrange("stream:events:ook")} <= {
        f"bulk{i}" for i in range(1, 10)}
