"""event.subscribe with `replay`: recorded events out of the streams, each once (PROTOCOL.md 3.4.6)."""

import json
import threading
import time

import pytest

from support.rpc import refused
from support.waiting import wait_until


def publish(client, *numbers, channel="c", **more):
    for number in numbers:
        client.call("event.publish", channel=channel, event={"i": number}, ack="stored", **more)


def numbers(client, count, channel=None):
    return [client.next_event(channel)["event"]["i"] for _ in range(count)]


def nothing_more(cell, client, channel="c"):
    """What comes from afar and is not recorded comes behind all that is."""
    cell.redis.publish(channel, '"end"')
    heard = client.next_event()
    assert heard == {"channel": channel, "event": "end", "remote": True}


def later():
    """The next event has an id of a later time, by whatever an agent takes for Redis' clock: of the
    events of two nodes that decides."""
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.2)


@pytest.fixture
def two(redis_server, make_agent, steady):
    return [steady(make_agent(redis_server.url(), node=node)) for node in ("ook", "hog")]


def test_first_the_past_then_the_present(cell, connect):
    publish(cell.client, *range(5))
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["c"], replay={"last": 3})
    publish(cell.client, 5, 6)
    heard = [listener.next_event() for _ in range(5)]
    assert [e["event"]["i"] for e in heard] == [2, 3, 4, 5, 6]
    entries = cell.redis.xrange("stream:events:ook:c")
    assert [e["id"] for e in heard] == [id for id, _ in entries[2:]]
    assert heard[0] == {"channel": "c", "event": {"i": 2, "node_id": "ook"}, "id": entries[2][0], "node": "ook"}
    nothing_more(cell, listener)


def test_the_past_has_an_end(cell, connect):
    publish(cell.client, *range(3))
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["c"], replay={"last": 2, "mark": "past"})
    assert numbers(listener, 2) == [1, 2]
    assert listener.next_message("event.replayed") == {"mark": "past"}
    publish(cell.client, 3)
    assert numbers(listener, 1) == [3]
    listener.call("event.subscribe", channels=["nothing"], replay={"since": "0-0", "mark": "none"})
    assert listener.next_message("event.replayed") == {"mark": "none"}


def test_since_an_id_and_since_a_time(cell, connect):
    publish(cell.client, *range(5))
    ids = [id for id, _ in cell.redis.xrange("stream:events:ook:c")]
    for since, expected in ((ids[2], [3, 4]), ("0-0", [0, 1, 2, 3, 4]), (ids[4], []),
                            ("2020-01-01T00:00:00", [0, 1, 2, 3, 4]), ("2100-01-01T00:00:00Z", []),
                            (ids[0].split("-")[0], [0, 1, 2, 3, 4])):
        listener = connect(cell.agent)
        listener.call("event.subscribe", channels=["c"], replay={"since": since})
        assert numbers(listener, len(expected)) == expected, since
        nothing_more(cell, listener)


@pytest.mark.parametrize("params, field, words", [
    ({"channels": ["c"], "replay": {}}, "replay", "expected either last or since"),
    ({"channels": ["c"], "replay": {"last": 1, "since": "1-0"}}, "replay", "expected either"),
    ({"channels": ["c"], "replay": {"last": 0}}, "replay.last", "1 to 10000"),
    ({"channels": ["c"], "replay": {"last": "1"}}, "replay.last", "expected an integer"),
    ({"channels": ["c"], "replay": {"since": "yesterday"}}, "replay.since", "expected the id of an event"),
    ({"channels": ["c"], "replay": {"since": "1-x"}}, "replay.since", "expected the id of an event"),
    ({"channels": ["c"], "replay": {"until": 1}}, "replay.until", "known are: last, since"),
    ({"channels": ["c"], "replay": 7}, "replay", "expected an object"),
])
def test_what_is_wrong_is_named(lonely, params, field, words):
    error = refused(lonely.client, "event.subscribe", params)
    assert (error.name, error.field) == ("invalid_params", field) and words in error.message
    assert lonely.client.call("agent.stats")["subscriptions"]["local"] == 0


def test_all_nodes_in_order_and_marked(two):
    ook, hog = two
    for i in range(0, 20, 2):
        publish(ook, i)
        publish(hog, i + 1)
    hog.call("event.subscribe", channels=["c"], replay={"since": "0-0"})
    publish(ook, 20)
    publish(hog, 21)
    heard = [hog.next_event() for _ in range(22)]
    for node, first in (("ook", 0), ("hog", 1)):
        of_node = [e for e in heard if e["node"] == node]
        assert [e["event"]["i"] for e in of_node] == list(range(first, 22, 2))
        assert all(("remote" in e) == (node == "ook") for e in of_node)


def test_several_streams_come_by_their_ids_whatever_the_pages(cell, connect):
    """Of two channels of a node, one with few and one with many events, more than a page holds."""
    pipe = cell.redis.pipeline()
    for i in range(3000):
        channel = "few" if i % 50 == 0 else "many"
        pipe.xadd(f"stream:events:ook:{channel}", {"channel": channel, "event": '{"i":%d}' % i}, id=f"{1000 + i}-0")
    pipe.execute()
    for replay, first in (({"since": "0-0"}, 0), ({"last": 1000}, 2000), ({"since": "2999-0"}, 2000)):
        listener = connect(cell.agent)
        listener.call("event.subscribe", channels=["many", "few"], replay=replay)
        assert numbers(listener, 3000 - first) == list(range(first, 3000))
        nothing_more(cell, listener, "few")


def test_the_last_ones_of_all_nodes(two):
    ook, hog = two
    publish(ook, *range(10))
    later()
    publish(hog, *range(10, 13))
    ook.call("event.subscribe", channels=["c"], replay={"last": 5})
    heard = [ook.next_event() for _ in range(5)]
    assert [(e["event"]["i"], e["node"]) for e in heard if e["node"] == "ook"] == [(8, "ook"), (9, "ook")]
    assert [e["event"]["i"] for e in heard if e["node"] == "hog"] == [10, 11, 12]


def test_errors_and_sessions_of_a_node_are_recorded(cell, connect):
    cell.client.call("stroke.start", total_strokes=1)
    cell.client.call("error.report", category="c", message="m")
    cell.client.call("error.report", category="other", message="m")
    cell.client.call("stroke.end", ack="stored")
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["stroke:events:session", "error:events:c"],
                  replay={"last": 100})
    heard = [listener.next_event() for _ in range(3)]
    assert [e["event"]["type"] for e in heard] == ["session_start", "error", "session_end"]
    assert all(e["node"] == "ook" and "id" in e for e in heard)


def test_what_is_not_recorded_comes_as_before(two, redis_server):
    ook, hog = two
    hog.call("event.subscribe", channels=["c"], replay={"last": 10})
    ook.call("event.publish", channel="c", event={"i": 1}, record=False)
    assert hog.next_event() == {"channel": "c", "event": {"i": 1, "node_id": "ook"}, "remote": True}
    hog.call("event.publish", channel="c", event={"i": 2}, record=False)
    assert hog.next_event() == {"channel": "c", "event": {"i": 2, "node_id": "hog"}}
    for i in range(3):  # the same bytes, recorded and not
        publish(ook, 7)
        ook.call("event.publish", channel="c", event={"i": 7}, record=False, ack="stored")
    heard = [hog.next_event() for _ in range(6)]
    assert all(e["event"]["i"] == 7 for e in heard)
    assert sorted("id" in e for e in heard) == [False] * 3 + [True] * 3


def test_a_stop_does_not_wait_for_the_past(two, redis_server):
    ook, hog = two
    pipe = redis_server.client().pipeline()
    for i in range(20000):
        pipe.xadd("stream:events:ook:cv:system:broadcast",
                  {"channel": "cv:system:broadcast", "event": '{"i":%d}' % i})
    pipe.execute()
    hog.call("event.subscribe", channels=["cv:system:broadcast"], replay={"since": "0-0"})
    ook.call("bus.publish", type="system_broadcast", data={"action": "emergency_stop", "admin": "a"})
    heard = [hog.next_event() for _ in range(20001)]
    at = next(i for i, e in enumerate(heard) if "id" not in e)
    assert heard[at]["event"]["data"]["action"] == "emergency_stop" and at < 19000
    del heard[at]
    assert [e["event"]["i"] for e in heard] == list(range(20000))


def test_an_outage_costs_nothing(redis_server, make_agent, steady, proxy):
    way = proxy(redis_server)
    ook = steady(make_agent(redis_server.url()))
    hog = steady(make_agent(way.url(), node="hog"))
    hog.call("event.subscribe", channels=["c"], replay={"last": 1})
    publish(ook, 0)
    assert numbers(hog, 1) == [0]
    way.mode = "refuse"
    publish(ook, *range(1, 50))
    wait_until(lambda: hog.call("agent.stats")["link"]["state"] != "steady")
    publish(ook, *range(50, 60))
    way.mode = "pass"
    assert numbers(hog, 59) == list(range(1, 60))
    wait_until(lambda: hog.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    redis_server.client().publish("c", '"end"')
    assert hog.next_event()["event"] == "end"
    assert [m for m in hog.messages if m["method"] == "event.gap"] == []


def test_a_message_that_is_published_once_more_comes_once(redis_server, make_agent, steady, proxy, closing):
    way = proxy(redis_server)
    ook = steady(make_agent(way.url()))
    hog = steady(make_agent(redis_server.url(), node="hog"))
    hog.call("event.subscribe", channels=["c"], replay={"last": 1})
    listener = closing(redis_server.subscribe("c"))
    way.mode = "swallow"  # it is carried out, and that is not confirmed
    ook.call("event.publish", channel="c", event={"i": 1})
    assert numbers(hog, 1) == [1]
    way.reset_all()  # before the proxy passes on again: the confirmation may not have come by yet
    way.mode = "pass"
    wait_until(lambda: len(listener.messages) == 2)
    assert [text for _, _, text in listener.raw] == ['{"i":1,"node_id":"ook"}', '{"i":1,"node_id":"ook"} ']
    redis_server.client().publish("c", '"end"')
    assert hog.next_event() == {"channel": "c", "event": "end", "remote": True}


def test_a_client_that_comes_again_gets_what_was_stored_late_under_lower_ids(redis_server, make_agent, steady, connect, proxy):
    """ook's link is cut off with its events under way; meanwhile the client has got a later event of hog."""
    way = proxy(redis_server)
    ook_agent, agent = make_agent(way.url(), "ook"), make_agent(redis_server.url(), "hog")
    ook = steady(ook_agent)
    hog, client = steady(agent), connect(agent)
    publish(ook, 0)
    client.call("event.subscribe", channels=["c"], replay={"last": 1})
    first = client.next_event()
    way.mode = "black_hole"
    waiting = [ook.request("event.publish", channel="c", event={"i": i}, ack="stored", timeout_ms=30000) for i in (1, 2)]
    wait_until(lambda: connect(ook_agent).call("agent.stats")["outbox"]["in_flight"] > 0)
    later()
    publish(hog, 3)
    last = client.next_event()
    client.close()
    way.mode = "pass"
    for request in waiting:
        ook.answer(request, timeout=30)
    ids = {int(json.loads(e["event"])["i"]): i for i, e in redis_server.client().xrange("stream:events:ook:c")}
    assert ids[2] < last["id"], "stored later, with a lower id"
    again = connect(agent)
    after = {event["node"]: event["id"] for event in (first, last)}
    again.call("event.subscribe", channels=["c"], replay={"since": first["id"].split("-")[0], "after": after})
    assert numbers(again, 2) == [1, 2]
    publish(hog, 4)
    assert numbers(again, 1) == [4]


def test_a_restarted_server_costs_nothing(make_redis, make_agent, steady):
    server = make_redis(appendonly="yes", appendfsync="always")
    ook, hog = (steady(make_agent(server.url(), node=node)) for node in ("ook", "hog"))
    hog.call("event.subscribe", channels=["c"], replay={"last": 1})
    for start in range(0, 90, 30):
        for i in range(start, start + 30):
            ook.notify("event.publish", channel="c", event={"i": i})
        if start < 60:
            server.kill()
            server.start()
    heard = []
    while not heard or heard[-1] != 89:
        event = hog.next_event()
        assert "id" in event, "a message that a dying server still sent waits for its entry"
        heard.append(event["event"]["i"])
    kept = [json.loads(entry["event"])["i"] for _, entry in server.client().xrange("stream:events:ook:c")]
    assert heard == kept == list(range(90))


def test_a_stream_that_was_trimmed_names_what_is_gone(make_redis, make_agent, steady):
    server = make_redis(stream_node_max_entries=5)
    client = steady(make_agent(server.url(), settings={"outbox.channel_length": 20}))
    publish(client, 0)
    (first, _), = server.client().xrange("stream:events:ook:c")
    publish(client, *range(1, 100))
    kept = server.client().xrange("stream:events:ook:c")
    client.call("event.subscribe", channels=["c"], replay={"since": first})
    gap = client.next_message()
    assert (gap["stream"], gap["after"], gap["before"]) == ("stream:events:ook:c", first, kept[0][0])
    assert gap["from"] <= gap["to"]
    assert numbers(client, len(kept)) == list(range(100 - len(kept), 100))
    assert client.messages == []
    # Of a stream that holds all that was asked for, there is no gap.
    client.call("event.subscribe", channels=["c"], replay={"since": kept[3][0]})
    assert numbers(client, len(kept) - 4) == list(range(104 - len(kept), 100))
    assert client.messages == []


def test_a_reader_that_stops_costs_no_memory_and_loses_nothing(cell, connect):
    """And a stream that is trimmed while it does not read."""
    stream = "stream:events:ook:c"
    fill = "x" * 1000
    pipe = cell.redis.pipeline()
    for i in range(5000):
        pipe.xadd(stream, {"channel": "c", "event": json.dumps({"i": i, "fill": fill})})
    pipe.execute()
    lazy = connect(cell.agent, receive_buffer=4096)
    lazy.send(lazy.line("event.subscribe", {"channels": ["c"], "replay": {"since": "0-0"}}, 1))

    def queued():
        return max(c["queued_bytes"] for c in cell.client.call("agent.stats")["clients"])

    wait_until(lambda: queued() > 100_000)
    begin = cell.client.call("agent.stats")["uptime_s"]
    wait_until(lambda: cell.client.call("agent.stats")["uptime_s"] > begin)
    assert queued() < 400_000
    # An urgent message still has room.
    ids = [entry for entry, _ in cell.redis.xrange(stream)]
    cell.redis.xtrim(stream, maxlen=1000, approximate=False)
    assert lazy.answer(1) == {}
    heard, gap = [], None
    while not heard or heard[-1] != 4999:
        lazy._wait(lambda: True if lazy.messages else None, None)
        message = lazy.messages.pop(0)
        if message["method"] == "event.gap":
            assert gap is None
            gap = (len(heard), message["params"])
        else:
            heard.append(message["params"]["event"]["i"])
    at, told = gap
    assert heard == [*range(at), *range(4000, 5000)] and at < 4000
    assert (told["stream"], told["after"], told["before"]) == (stream, ids[at - 1], ids[4000])


def test_a_clock_that_is_set_back_does_not_matter(cell, connect):
    ahead = int(time.time() * 1000) + 3_600_000
    for i in range(3):
        cell.redis.xadd("stream:events:ook:c", {"channel": "c", "event": '{"i":%d}' % i}, id=f"{ahead}-{i}")
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["c"], replay={"last": 2})
    publish(cell.client, 3, 4)
    heard = [listener.next_event() for _ in range(4)]
    ids = [id for id, _ in cell.redis.xrange("stream:events:ook:c")]
    assert [(e["event"]["i"], e["id"]) for e in heard] == [*zip(range(1, 5), ids[1:])]
    assert all(int(id.split("-")[0]) >= ahead for id in ids)


def test_an_event_whose_id_is_refused_comes_all_the_same(cell, connect):
    """Its message goes ahead of its entry then (4.2.1), and no other message tells of the entry."""
    cell.client.call("event.subscribe", channels=["c"], replay={"last": 1})
    ahead = int(time.time() * 1000) + 3_600_000
    cell.redis.xadd("stream:events:ook:c", {"channel": "c", "event": '{"i":0}'}, id=f"{ahead}-0")
    publish(cell.client, 1)
    assert numbers(cell.client, 2) == [0, 1]


def test_the_order_of_a_node_holds_across_its_channels(two):
    ook, hog = two
    channels = ["a", "b", "c"]
    hog.call("event.subscribe", channels=channels, replay={"since": "0-0"})
    for i in range(300):
        ook.notify("event.publish", channel=channels[i * i % 7 % 3], event={"i": i})
    assert numbers(hog, 300) == list(range(300))
    ook.call("event.subscribe", channels=channels, replay={"last": 250})
    assert numbers(ook, 250) == list(range(50, 300))


def test_a_node_that_comes_later_is_heard(redis_server, make_agent, steady):
    ook = steady(make_agent(redis_server.url()))
    ook.call("event.subscribe", channels=["c"], replay={"last": 5})
    publish(ook, 0)
    hog = steady(make_agent(redis_server.url(), node="hog"))
    publish(hog, 1, 2)
    later()
    publish(ook, 3)
    assert [(e["event"]["i"], e["node"]) for e in (ook.next_event() for _ in range(4))] == [
        (0, "ook"), (1, "hog"), (2, "hog"), (3, "ook")]


def test_exactly_once_while_much_is_said(redis_server, make_agent, steady):
    """Live events of two nodes, while the past is replayed."""
    ook, hog = (steady(make_agent(redis_server.url(), node=node, settings={"outbox.channel_length": 20000}))
                for node in ("ook", "hog"))
    publish(ook, -1)
    count = 3000
    hog.call("event.subscribe", channels=["c"], replay={"since": "0-0"})

    def say(client, first):
        for i in range(first, first + count):
            client.notify("event.publish", channel="c", event={"i": i})

    saying = [threading.Thread(target=say, args=args) for args in ((ook, 0), (hog, 100_000))]
    for one in saying:
        one.start()
    heard = [hog.next_event() for _ in range(2 * count + 1)]
    for one in saying:
        one.join()
    for node, expected in (("ook", range(-1, count)), ("hog", range(100_000, 100_000 + count))):
        assert [e["event"]["i"] for e in heard if e["node"] == node] == list(expected)
    assert len({(e["node"], e["id"]) for e in heard}) == 2 * count + 1
    assert hog.events() == []


@pytest.mark.time_limit(60)
def test_a_hundred_thousand_events_in_five_seconds(cell, connect):
    for base in range(0, 100_000, 10_000):
        pipe = cell.redis.pipeline(transaction=False)
        for i in range(base, base + 10_000):
            pipe.xadd("stream:events:ook:c", {"channel": "c", "event": '{"i":%d,"fill":"%s"}' % (i, "x" * 100)})
        pipe.execute()
    listener = connect(cell.agent)
    began = time.monotonic()
    listener.send(listener.line("event.subscribe", {"channels": ["c"], "replay": {"since": "0-0"}}, 1))
    seen = 0
    while seen < 100_001:
        seen += len([listener.read_line()])
    took = time.monotonic() - began
    print(f"{took:.2f} s")
    assert took < 5


def test_streams_of_other_types_are_left_out(cell, connect):
    cell.redis.set("stream:events:ook", "no stream")
    publish(cell.client, 0, 1)
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["c"], replay={"since": "0-0"})
    publish(cell.client, 2)
    assert numbers(listener, 3) == [0, 1, 2]
    wait_until(lambda: cell.agent.logged("events of stream:events:ook are not replayed: WRONGTYPE"))
    gap = listener.next_message("event.gap")
    assert (gap["stream"], gap["after"], gap["before"]) == ("stream:events:ook", "0-0", None)


# --- patterns -----------------------------------------------------------------------------------


def test_errors_of_all_kinds_and_nodes(two):
    for client, category in zip((*two, two[0]), "abc"):
        client.call("error.report", category=category, message="m", ack="stored")
    two[1].call("event.subscribe", patterns=["error:events:*"], replay={"since": "0-0"})
    two[0].call("error.report", category="new", message="m")
    heard = [two[1].next_event() for _ in range(4)]
    assert sorted(e["event"]["category"] for e in heard[:3]) == ["a", "b", "c"]
    assert heard[3]["event"]["category"] == "new" and "id" in heard[3] and heard[3]["remote"]
    assert all(e["pattern"] == "error:events:*" for e in heard)


def test_channels_that_match_are_found_and_new_ones_are_heard(two, redis_server):
    ook, hog = two
    publish(ook, 0, channel="x:1")
    publish(ook, 9, channel="p")
    publish(hog, 1, channel="x:2")
    ook.call("event.subscribe", patterns=["x:*"], replay={"last": 10})
    assert sorted(numbers(ook, 2)) == [0, 1]
    publish(hog, 2, channel="x:new")  # a channel that had no stream
    publish(ook, 3, channel="x:own")
    publish(hog, 9, channel="p")
    heard = [ook.next_event() for _ in range(2)]  # two channels of two nodes: in either order
    assert sorted((e["event"]["i"], e["pattern"], "id" in e) for e in heard) == [(2, "x:*", True), (3, "x:*", True)]
    hog.call("event.publish", channel="x:1", event={"i": 4}, record=False)
    heard = ook.next_event()
    assert (heard["event"]["i"], heard["pattern"], "id" in heard) == (4, "x:*", False)
    ook.call("event.unsubscribe", patterns=["x:*"])
    publish(ook, 5, channel="x:1")
    assert ook.events() == []


def test_a_channel_that_comes_up_while_another_is_looked_for_is_heard(two):
    """Nothing follows that would wake the replay again."""
    ook, hog = two
    ook.call("event.subscribe", patterns=["x:*"], replay={"last": 10})
    for i in range(0, 80, 4):
        for n in range(i, i + 3):
            hog.notify("event.publish", channel=f"x:{n}", event={"i": n})
        publish(ook, i + 3, channel=f"x:{i + 3}")
        assert sorted(numbers(ook, 4)) == list(range(i, i + 4))


def test_by_a_channel_and_a_pattern_it_comes_once(cell):
    publish(cell.client, 0)
    cell.client.call("event.subscribe", patterns=["c*"], replay={"since": "0-0"})
    assert numbers(cell.client, 1) == [0]
    cell.client.call("event.subscribe", channels=["c"], replay={"last": 1})
    heard = cell.client.next_event()
    assert heard["event"]["i"] == 0 and "pattern" not in heard
    publish(cell.client, 1)
    publish(cell.client, 2, channel="cc")
    heard = [cell.client.next_event() for _ in range(2)]
    assert [(e["event"]["i"], e.get("pattern")) for e in heard] == [(1, None), (2, "c*")]
    nothing_more(cell, cell.client)


def test_channels_and_nodes_that_begin_during_an_outage_are_found(redis_server, make_agent, steady, proxy):
    way = proxy(redis_server)
    ook = steady(make_agent(redis_server.url()))
    hog = steady(make_agent(way.url(), node="hog"))
    hog.call("event.subscribe", patterns=["x:*"], replay={"last": 1})
    hog.call("event.subscribe", channels=["c"], replay={"last": 1})
    way.mode = "refuse"
    publish(ook, 1, channel="x:1")
    eek = steady(make_agent(redis_server.url(), node="eek"))
    publish(eek, 2, channel="x:2")
    publish(eek, 3)
    wait_until(lambda: hog.call("agent.stats")["link"]["state"] != "steady")
    way.mode = "pass"
    heard = [hog.next_event() for _ in range(3)]
    assert sorted((e["event"]["i"], e["node"], "id" in e) for e in heard) == [
        (1, "ook", True), (2, "eek", True), (3, "eek", True)]


def test_unsubscribing_ends_it_and_again_begins_anew(cell):
    client = cell.client
    publish(client, 0, 1)
    client.call("event.subscribe", channels=["c", "d"], replay={"last": 1})
    assert numbers(client, 1) == [1]
    client.call("event.subscribe", channels=["c"], replay={"last": 2})
    assert numbers(client, 2) == [0, 1]
    publish(client, 5, channel="d")
    publish(client, 2)
    assert sorted(numbers(client, 2)) == [2, 5]
    client.call("event.unsubscribe", channels=["c"])
    publish(client, 3)
    publish(client, 6, channel="d")
    assert numbers(client, 1) == [6]
    client.call("event.unsubscribe")
    client.call("event.subscribe", channels=["c"])
    publish(client, 4)
    assert client.next_event() == {"channel": "c", "event": {"i": 4, "node_id": "ook"}}
