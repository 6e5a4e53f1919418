"""What an acknowledgement is worth: accepted, stored, dropped, too late."""

import json
import os
import time

import pytest

from support.rpc import Refused, refused
from support.schema import TIMESTAMP
from support.waiting import wait_until


def test_stored_is_said_when_it_is(cell):
    """Not before: with Redis stopped nothing is; and what was accepted arrives all the same."""
    cell.server.pause()
    try:
        assert cell.client.call("state.set", key="at-once", value=1) == {}
        error = refused(cell.client, "state.set", key="k", value=1, ack="stored", timeout_ms=150)
        assert (error.code, error.name) == (-32005, "not_stored")
        assert isinstance(error.data["link"], str) and error.data["link"]
        error = refused(cell.client, "event.publish", channel="c", event={}, ack="stored",
                        timeout_ms=1)
        assert error.name == "not_stored"
    finally:
        cell.server.resume()
    wait_until(lambda: cell.redis.get("k") == "1" and cell.redis.get("at-once") == "1")


def test_the_default_deadline_is_two_seconds(lonely):
    begin = time.monotonic()
    error = refused(lonely.client, "robot.update", ack="stored")
    assert error.name == "not_stored" and "not" in error.data["link"]
    assert 1.9 < time.monotonic() - begin < 4


def test_who_has_given_up_waiting_is_forgotten(lonely, sanitized):
    """What is written again and again is waited for in vain, for a millisecond. No more is under
    way than the sockets take, or the agent would rightly hold answers that were not read yet."""
    at_once = 200
    calls = b"".join(
        lonely.client.line("state.set", {"key": f"k{i % 100}", "value": 1, "ack": "stored",
                                         "timeout_ms": 1}, i) for i in range(at_once))

    def wait_in_vain(times):
        for _ in range(times // at_once):
            lonely.client.send(calls)
            for _ in range(at_once):
                assert json.loads(lonely.client.read_line())["error"]["data"]["name"] == "not_stored"

    wait_in_vain(5000)
    before = lonely.agent.own_memory()
    wait_in_vain(35000)
    # Each that was kept would take 32 bytes at least: 1 MB.
    if not sanitized and "NODEBEAT_TEST_EMULATED" not in os.environ:  # whose memory is not the agent's
        assert lonely.agent.own_memory() - before < 512 << 10


def test_stored_comes_as_soon_as_redis_does(lonely):
    waiting = lonely.client.request("state.set", key="k", value=1, ack="stored", timeout_ms=20000)
    lonely.server.start()
    assert lonely.client.answer(waiting) == {}
    assert lonely.server.client().get("k") == "1"


def wait_for_redis(client, count=256):
    client.send(b"".join(client.line("state.set", {
        "key": "k", "value": 1, "ack": "stored", "timeout_ms": 60000}, i) for i in range(count)))


def test_those_who_wait_take_nobodys_place(lonely, connect):
    """However many wait, each client has its own 256; and they end with it."""
    waiting = [connect(lonely.agent) for _ in range(20)]
    for client in waiting:
        wait_for_redis(client)

    def accepted():
        return lonely.client.call("agent.stats")["outbox"]["accepted"] >= 20 * 256

    wait_until(accepted)
    for method, params in (("stroke.start", {"total_strokes": 2}), ("stroke.update", {}),
                           ("robot.update", {}), ("error.report", {"category": "c", "message": "m"})):
        error = refused(lonely.client, method, params, ack="stored", timeout_ms=1)
        assert error.name == "not_stored"
    kept = lonely.client.request("state.set", key="mine", value=1, ack="stored", timeout_ms=60000)
    for client in waiting:
        client.close()
    wait_until(lambda: lonely.client.call("agent.stats")["socket"]["clients"] == 1)
    lonely.server.start()
    assert lonely.client.answer(kept) == {} and lonely.server.client().get("mine") == "1"


def test_waiters_of_clients_that_have_gone_are_forgotten(lonely, connect, sanitized):
    def come_and_go(times):
        for _ in range(times):
            client = connect(lonely.agent)
            before = lonely.client.call("agent.stats")["outbox"]["accepted"]
            wait_for_redis(client)
            wait_until(lambda: lonely.client.call("agent.stats")["outbox"]["accepted"]
                       >= before + 256)
            client.close()

    come_and_go(20)
    before = lonely.agent.own_memory()
    come_and_go(80)
    if not sanitized and "NODEBEAT_TEST_EMULATED" not in os.environ:  # whose memory is not the agent's
        assert lonely.agent.own_memory() - before < 256 << 10


def test_hundreds_that_wait_for_redis(cell):
    ids = [cell.client.request("state.set", key=f"k{i % 50}", value=i, ack="stored")
           for i in range(300)]
    assert [cell.client.answer(i) for i in ids] == [{}] * 300
    for i in range(250, 300):
        assert cell.redis.get(f"k{i % 50}") == str(i)


def test_hundreds_of_events_that_wait_for_redis(cell):
    ids = [cell.client.request("event.publish", channel="c", event={"i": i}, ack="stored")
           for i in range(300)]
    assert [cell.client.answer(i) for i in ids] == [{"subscribers": 0}] * 300
    kept = [json.loads(f["event"])["i"] for _, f in cell.redis.xrange("stream:events:ook:c")
            if f["channel"] == "c"]
    assert kept == list(range(300))


def test_an_event_that_was_dropped_is_told_to_who_waits(make_redis, make_agent, connect):
    server = make_redis(start=False)
    agent = make_agent(server.url(), settings={"outbox.event_bytes": "8KiB",
                                               "heartbeat.history": False})
    client = connect(agent)
    waiting = client.request("event.publish", channel="c", event={"i": -1}, ack="stored",
                             timeout_ms=20000)
    for i in range(100):
        client.call("event.publish", channel="c", event={"i": i, "ballast": "x" * 500})
    with pytest.raises(Refused) as caught:
        client.answer(waiting)
    assert (caught.value.code, caught.value.name) == (-32012, "dropped")
    stats = client.call("agent.stats")["outbox"]
    assert stats["dropped"] > 80 and stats["event_bytes"] <= stats["event_bytes_limit"] == 8192
    server.start()
    wait_until(lambda: client.call("agent.stats")["outbox"]["events_waiting"] == 0)
    kept = [json.loads(f["event"])["i"] for _, f in server.client().xrange("stream:events:ook:c")
            if f["channel"] == "c"]
    assert kept == list(range(100 - len(kept), 100)) and len(kept) + stats["dropped"] >= 101


def test_what_was_lost_is_said(redis_server, make_agent, steady, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    agent = make_agent(redis_server.url(), settings={"outbox.event_bytes": "8KiB"})
    client = steady(agent)
    redis_server.pause()
    try:
        for i in range(100):
            client.notify("event.publish", channel="c", event={"i": i, "ballast": "x" * 500})
        dropped = client.call("agent.stats")["outbox"]["dropped"]
    finally:
        redis_server.resume()
    lost = events.wait_for("events_lost")
    assert lost["node_id"] == "ook" and lost["count"] >= 1 and dropped >= 1
    assert TIMESTAMP.fullmatch(lost["from"]) and TIMESTAMP.fullmatch(lost["to"])
    wait_until(lambda: sum(e["count"] for e in events.of_type("events_lost")) >= dropped)


def test_an_event_larger_than_all_events_may_be(redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), settings={"outbox.event_bytes": "8KiB"})
    error = refused(steady(agent), "event.publish", channel="c", event={"x": "y" * 9000})
    assert (error.code, error.name) == (-32000, "too_large")
    assert error.data["limit_bytes"] == 8192


def test_a_key_that_holds_another_type(cell):
    """Redis says no to this one write: the client is told, and the link lives."""
    cell.redis.rpush("robot:state:ook", 1)
    error = refused(cell.client, "robot.update", joints_l=[1], ack="stored")
    assert (error.code, error.name) == (-32009, "refused_by_redis")
    assert "WRONGTYPE" in error.data["redis"]
    assert cell.client.call("state.set", key="k", value=1, ack="stored") == {}
    cell.redis.delete("robot:state:ook")
    assert cell.client.call("robot.update", joints_l=[2], ack="stored") == {}


def test_redis_without_memory(cell):
    """A state of the link with a name; nothing is lost."""
    cell.redis.config_set("maxmemory", 1)
    error = refused(cell.client, "state.set", key="k", value=1, ack="stored", timeout_ms=300)
    assert error.name in ("not_stored", "refused_by_redis")
    wait_until(lambda: "out of memory" in (cell.client.call("agent.stats")["link"]["trouble"] or ""))
    assert cell.client.call("agent.stats")["link"]["cause"] == "out-of-memory"
    error = refused(cell.client, "state.set", key="k", value=2, ack="stored", timeout_ms=100)
    assert error.name == "not_stored" and "out of memory" in error.data["link"]
    cell.redis.config_set("maxmemory", 0)
    wait_until(lambda: cell.redis.get("k") == "2")
    wait_until(lambda: cell.client.call("agent.stats")["link"]["trouble"] is None)


def test_redis_that_does_not_let_publish(redis_server, make_agent, connect):
    redis_server.client().execute_command(
        "ACL", "SETUSER", "agent", "reset", "on", ">x", "~*", "&*", "+@all", "-publish"
    )
    agent = make_agent(redis_server.url("agent:x@"))
    client = connect(agent)
    error = refused(client, "event.publish", channel="c", event={"i": 0}, ack="stored")
    assert (error.code, error.name) == (-32009, "refused_by_redis")
    assert "permission" in error.data["redis"]
    redis_server.client().execute_command("ACL", "SETUSER", "agent", "+publish")
    published = client.call("event.publish", channel="c", event={"i": 1}, ack="stored")
    assert published == {"subscribers": 0}
    # Neither half of what was refused is there.
    kept = [f["event"] for _, f in redis_server.client().xrange("stream:events:ook:c")
            if f["channel"] == "c"]
    assert kept == ['{"i":1,"node_id":"ook"}']


def test_nothing_acknowledged_is_lost_when_redis_restarts(make_redis, make_agent, steady):
    """Killed in the midst of it: what was answered is there afterwards, by disk or by replay."""
    server = make_redis(appendonly="yes", appendfsync="always")
    client = steady(make_agent(server.url()))
    ids = []
    for i in range(200):  # of one that has 256 waiting, the agent reads no more
        ids.append(client.request("event.publish", channel="c", event={"i": i}, ack="stored",
                                  timeout_ms=20000))
        client.notify("state.set", key=f"k{i % 20}", value=i)
        if i == 100:
            client.answer(ids[0])
            server.kill()
    server.start()
    for request in ids[1:]:
        client.answer(request)
    kept = [json.loads(f["event"])["i"] for _, f in server.client().xrange("stream:events:ook:c")
            if f["channel"] == "c"]
    # What was in doubt did not come twice; nothing is missing, and the order holds.
    assert kept == list(range(200))
    wait_until(lambda: all(server.client().get(f"k{i % 20}") == str(i) for i in range(180, 200)))


def test_nothing_accepted_is_lost_when_the_agent_is_stopped(cell):
    for i in range(500):
        cell.client.notify("event.publish", channel="c", event={"i": i})
    cell.client.call("state.set", key="k", value="last")
    cell.agent.stop()
    kept = [json.loads(f["event"])["i"] for _, f in cell.redis.xrange("stream:events:ook:c")
            if f["channel"] == "c"]
    assert kept == list(range(500)) and cell.redis.get("k") == '"last"'


@pytest.mark.parametrize("params, field", [
    ({"ack": "sometimes"}, "ack"), ({"ack": True}, "ack"), ({"ack": None}, "ack"),
    ({"timeout_ms": 100}, "timeout_ms"), ({"ack": "accepted", "timeout_ms": 100}, "timeout_ms"),
    ({"ack": "stored", "timeout_ms": 0}, "timeout_ms"),
    ({"ack": "stored", "timeout_ms": 60001}, "timeout_ms"),
    ({"ack": "stored", "timeout_ms": 1.5}, "timeout_ms"),
])
@pytest.mark.parametrize("method, own", [
    ("robot.update", {}), ("stroke.start", {"total_strokes": 1}), ("stroke.update", {}),
    ("stroke.end", {}), ("error.report", {"category": "c", "message": "m"}),
    ("state.set", {"key": "k", "value": 1}), ("state.delete", {"key": "k"}),
    ("event.publish", {"channel": "c", "event": {}}),
])
def test_an_acknowledgement_of_ones_own_making(cell, method, own, params, field):
    error = refused(cell.client, method, {**own, **params})
    assert (error.code, error.field) == (-32602, field)


def test_a_recorded_event_is_stored_once_however_often_links_break(make_redis, make_agent, proxy, connect):
    """Three programs of one node, in one stream and in their own; the link is reset, closed, and made to
    swallow answers, while events are under way."""
    server = make_redis()
    between = proxy(server)
    agent = make_agent(between.url(), settings={"redis.command_timeout": "500ms", "outbox.channel_length": 5000})
    clients = [connect(agent) for _ in range(3)]
    sent = {c: 0 for c in range(len(clients))}
    waiting = {c: [] for c in sent}

    def publish(some):
        for _ in range(some):
            for c, client in enumerate(clients):
                for channel in ("cell:all", f"cell:own{c}"):
                    waiting[c].append(client.request(
                        "event.publish", channel=channel, event={"c": c, "i": sent[c]},
                        ack="stored", timeout_ms=60000))
                sent[c] += 1

    def answer(most):
        for c, client in enumerate(clients):
            while len(waiting[c]) > most:
                client.answer(waiting[c].pop(0))

    for turn in range(24):
        publish(25)
        if turn % 3 == 2:
            # Redis carries out what comes, and nobody hears of it.
            between.mode = "swallow"
            publish(5)
            wait_until(lambda: server.client().xlen("stream:events:ook:cell:all") > 0)
            between.mode = "pass"
        between.reset_all() if turn % 2 else between.close_all()
        answer(40)
    answer(0)

    def stored(channel):
        return [(e["c"], e["i"]) for _, f in server.client().xrange(f"stream:events:ook:{channel}")
                if f["channel"] == channel for e in [json.loads(f["event"])]]

    for c in sent:
        assert stored(f"cell:own{c}") == [(c, i) for i in range(sent[c])]
        assert [i for who, i in stored("cell:all") if who == c] == list(range(sent[c]))


def test_ids_go_on_where_the_stream_has_come_further(make_redis, make_agent, connect):
    """Another writer, or a clock that was an hour ahead."""
    server = make_redis()
    redis = server.client()
    ahead = f"{int(time.time() * 1000) + 3_600_000}-5"
    redis.xadd("stream:events:ook:c", {"channel": "c", "event": '{"i":-1}'}, id=ahead)
    client = connect(make_agent(server.url()))
    for i in range(5):
        published = client.call("event.publish", channel="c", event={"i": i}, ack="stored")
        assert published == {"subscribers": 0}
    kept = redis.xrange("stream:events:ook:c")
    assert [json.loads(f["event"])["i"] for _, f in kept] == list(range(-1, 5))
    # Another stream keeps to Redis' clock.
    client.call("event.publish", channel="d", event={}, ack="stored")
    (entry, _), = redis.xrange("stream:events:ook:d")
    assert abs(int(entry.split("-")[0]) / 1000 - time.time()) < 60


@pytest.mark.real_processor("a library is made for the programs of this one")
def test_ids_are_redis_clock_also_of_an_agent_without_history(make_redis, make_agent, steady, shifted):
    before_agent, shift = shifted("agent")
    shift.write_text("86400")
    server = make_redis()
    client = steady(make_agent(server.url(), settings={"heartbeat.history": False},
                               wrapper=before_agent))
    health = json.loads(server.client().hget("node:health:ook", "health"))
    assert health["timestamp"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 80000))
    client.call("event.publish", channel="c", event={}, ack="stored")
    (entry, _), = server.client().xrange("stream:events:ook:c")
    assert abs(int(entry.split("-")[0]) / 1000 - time.time()) < 60
