"""state.set, .get, .delete, .list; and the calls that look."""

import json
import os

import pytest

from support.rpc import Refused, refused
from support.schema import TIMESTAMP
from support.waiting import wait_until


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written, stored",
    [
        ('{ "a" : [ 1.10 , -0.0,1e-7 ],"b":{ } }', '{"a":[1.10,-0.0,1e-7],"b":{}}'),
        ('"a  b"', '"a  b"'),
        (r'"\u00e4\n\/"', r'"\u00e4\n\/"'),
        ("3.141592653589793238", "3.141592653589793238"),
        ("null", "null"),
        ("true", "true"),
        ("[ ]", "[]"),
        ('""', '""'),
    ],
)
def test_a_value_is_stored_byte_for_byte(cell, written, stored):
    assert cell.client.call("state.set", f'{{"key":"k","value":{written},"ack":"stored"}}') == {}
    assert cell.redis.type("k") == "string"
    assert cell.redis.get("k") == stored
    assert cell.redis.ttl("k") == -1
    cell.client.request("state.get", {"key": "k"})
    line = cell.client.read_line().decode()
    assert line.endswith(f'"result":{{"key":"k","value":{stored},"source":"redis"}}}}')


def test_a_time_to_live(cell):
    cell.client.call("state.set", key="k", value=1, ttl_ms=60000, ack="stored")
    assert 59000 < cell.redis.pttl("k") <= 60000
    cell.client.call("state.set", key="k", value=2, ack="stored")
    assert cell.redis.ttl("k") == -1
    cell.client.call("state.set", key="k", value=3, ttl_ms=50, ack="stored")
    wait_until(lambda: not cell.redis.exists("k"))
    assert refused(cell.client, "state.get", key="k").name == "not_found"


def test_a_time_to_live_runs_while_redis_is_away(lonely):
    lonely.client.call("state.set", key="short", value=1, ttl_ms=20)
    lonely.client.call("state.set", key="long", value=1, ttl_ms=60000)
    wait_until(lambda: "value" not in attempt(lonely.client, "short"))
    lonely.server.start()
    wait_until(lambda: lonely.server.client().exists("long"))
    assert 0 < lonely.server.client().pttl("long") < 60000
    assert not lonely.server.client().exists("short")


def test_a_time_to_live_is_over_whether_or_not_anything_else_happens(make_redis, make_agent, connect):
    agent = make_agent(make_redis(start=False).url(),
                       settings={"heartbeat.interval": "60s", "heartbeat.ttl": "180s"})
    client = connect(agent)
    wait_until(lambda: client.call("health.get")["health"])  # beats look for what is over, too
    client.call("state.set", key="k", value=1, ttl_ms=50)
    wait_until(lambda: attempt(client, "k").get("error") == "not_found")


def attempt(client, key):
    try:
        return client.call("state.get", key=key)
    except Refused as error:
        return {"error": error.name}


@pytest.mark.parametrize("prefix", ["node:", "robot:", "stroke:", "stream:", "session:",
                                    "nodebeat:"])
def test_keys_that_others_parse_are_refused(cell, prefix):
    for method, more in (("state.set", {"value": 1}), ("state.delete", {})):
        for key in (prefix, prefix + "x"):
            error = refused(cell.client, method, key=key, **more)
            assert (error.code, error.name, error.data["key"]) == (-32003, "refused_key", key)
    assert cell.client.call("state.set", key=prefix[:-1], value=1, ack="stored") == {}
    assert not cell.redis.exists(prefix, prefix + "x")


@pytest.mark.parametrize("key", ["", "a\nb", "a\u007f", "\u0001", "k" * 513, "ä" * 257])
def test_keys_that_are_none(cell, key):
    for method, more in (("state.set", {"value": 1}), ("state.delete", {}), ("state.get", {})):
        error = refused(cell.client, method, key=key, **more)
        assert (error.code, error.field) == (-32602, "key")


@pytest.mark.parametrize("key", ["k" * 512, "ä" * 256, "a b", "*", 'q"\\', "NODE:x"])
def test_keys_of_every_kind(cell, key):
    cell.client.call("state.set", key=key, value=1, ack="stored")
    assert cell.redis.get(key) == "1"
    assert cell.client.call("state.get", key=key) == {"key": key, "value": 1, "source": "redis"}
    cell.client.call("state.delete", key=key, ack="stored")
    assert not cell.redis.exists(key)


def test_delete(cell):
    cell.redis.set("k", "1")
    assert cell.client.call("state.delete", key="k", ack="stored") == {}
    assert cell.client.call("state.delete", key="k", ack="stored") == {}
    assert not cell.redis.exists("k")
    assert refused(cell.client, "state.get", key="k").name == "not_found"


def test_what_was_deleted_stays_so_when_redis_came_back_empty(cell):
    cell.client.call("state.set", key="gone", value=1, ack="stored")
    cell.client.call("state.set", key="there", value=1, ack="stored")
    cell.client.call("state.delete", key="gone", ack="stored")
    cell.server.restart()
    wait_until(lambda: cell.server.client().exists("there"))
    assert not cell.server.client().exists("gone")


@pytest.mark.parametrize("text, value", [
    ("plain", "plain"), ('{"a": 1.10}', {"a": 1.10}), ("{", "{"), ("", ""), ("7", 7), ("007", "007"),
    ('{"a":1,"a":2}', '{"a":1,"a":2}'), ("1e999", "1e999"), ("[1]\n", [1]), ('"x"', "x"),
    # Nested as deep as a line may be (64), with what is around it.
    pytest.param("[" * 63 + "]" * 63, "[" * 63 + "]" * 63, id="63 deep"),
    pytest.param("[" * 62 + "]" * 62, json.loads("[" * 62 + "]" * 62), id="62 deep"),
])
def test_what_others_stored_is_read(cell, text, value):
    cell.redis.set("k", text)
    assert cell.client.call("state.get", key="k")["value"] == value


def test_bytes_that_are_no_text_are_read_as_one(cell):
    cell.redis.set("k", b"a\xff\x00b")
    assert cell.client.call("state.get", key="k")["value"] == "a\ufffd\ufffdb"


def test_hashes_are_read(cell):
    cell.client.call("robot.update", joints_l=[1], ack="stored")
    session = cell.client.call("stroke.start", total_strokes=3, ack="stored")["session_id"]
    cell.redis.hset("h", mapping={"a": "1", 'b"': "x"})
    cell.redis.hset("node:health:hog", "health", '{"node_id":"hog"}')

    def get(key):
        answer = cell.client.call("state.get", key=key)
        assert answer["source"] == "redis" and answer["key"] == key
        return answer["value"]

    assert get("h") == {"a": "1", 'b"': "x"}
    assert get("robot:state:ook")["joints_l"] == [1]
    assert get(f"stroke:progress:{session}")["total_strokes"] == 3
    assert get("node:health:hog") == {"node_id": "hog"}


@pytest.mark.parametrize("kind", ["list", "set", "zset", "stream"])
def test_other_types_are_told(cell, kind):
    {
        "list": lambda: cell.redis.rpush("k", 1),
        "set": lambda: cell.redis.sadd("k", 1),
        "zset": lambda: cell.redis.zadd("k", {"a": 1}),
        "stream": lambda: cell.redis.xadd("k", {"a": 1}),
    }[kind]()
    error = refused(cell.client, "state.get", key="k")
    assert (error.code, error.name, error.data["type"]) == (-32010, "wrong_type", kind)


def test_what_a_line_can_set_can_be_read(cell):
    value = "x" * 65000
    cell.client.call("state.set", key="k", value=value, ack="stored")
    assert cell.client.call("state.get", key="k") == {"key": "k", "value": value, "source": "redis"}


def test_a_value_that_fits_no_answer(cell):
    cell.redis.set("k", "x" * 70000)
    error = refused(cell.client, "state.get", key="k")
    assert error.name == "too_large" and error.data["limit_bytes"] > 0


@pytest.mark.parametrize("kind", ["string", "hash"])
def test_a_value_beyond_max_reply_costs_only_who_asks(cell, kind):
    large = "x" * (17 << 20)
    cell.redis.set("k", large) if kind == "string" else cell.redis.hset("k", "field", large)
    failures = cell.client.call("agent.stats")["link"]["failures"]
    assert refused(cell.client, "state.get", key="k").name == "too_large"
    cell.client.call("state.set", key="other", value=1, ack="stored")
    assert cell.client.call("agent.stats")["link"]["failures"] == failures


def test_what_waits_is_read_from_the_agent(lonely):
    lonely.client.call("state.set", '{"key":"k","value":{"a":1.10}}')
    lonely.client.request("state.get", {"key": "k"})
    assert b'{"key":"k","value":{"a":1.10},"source":"agent"}' in lonely.client.read_line()
    lonely.client.call("robot.update", joints_l=[1])
    robot = lonely.client.call("state.get", key="robot:state:ook")
    assert robot["source"] == "agent" and robot["value"]["joints_l"] == [1]
    error = refused(lonely.client, "state.get", key="another")
    assert (error.code, error.name) == (-32008, "unavailable") and error.data["link"]
    lonely.client.call("state.delete", key="k")
    assert refused(lonely.client, "state.get", key="k").name == "not_found"
    lonely.client.call("state.set", key="k", value="last")
    lonely.server.start()
    wait_until(lambda: lonely.server.client().get("k") == '"last"')
    wait_until(lambda: lonely.client.call("state.get", key="k")["source"] == "redis")


def fill(client, name):
    """Values of half a kilobyte until there is no more room: how many were taken, and the error."""
    for count in range(100000):
        try:
            client.call("state.set", key=f"{name}{count}", value="x" * 500)
        except Refused as error:
            return count, error
    raise AssertionError("there is no limit")


def test_one_client_takes_no_room_from_another_while_redis_is_away(lonely, connect):
    other = connect(lonely.agent)
    count, error = fill(lonely.client, "first")
    assert (error.code, error.name) == (-32004, "queue_full")
    assert error.data["limit_bytes"] == 1 << 20 and "client_slot_bytes" in error.message
    assert count > 800
    lonely.client.call("state.set", key="first0", value="y")  # in place of an old one
    lonely.client.call("robot.update", joints_l=[1])  # this does not count
    for i in range(10):
        other.call("state.set", key=f"other{i}", value="x" * 500)
    # Nor do connections that come and go take it from clients that were there before.
    for name in "abcde":
        client = connect(lonely.agent)
        taken, error = fill(client, name)
        assert error.name == "queue_full" and (name != "a" or taken > 800)
        client.close()
    assert taken == 0 and error.data["limit_bytes"] == 4 << 20 and "slot_bytes" in error.message
    other.call("state.set", key="other", value="last")
    lonely.server.start()
    redis = lonely.server.client()
    wait_until(lambda: redis.exists("other", "other9", f"first{count - 1}", "a0") == 4)
    assert redis.get("other") == '"last"' and redis.get("first0") == '"y"'
    assert [i for i in range(10) if not redis.exists(f"other{i}")] == []
    assert [i for i in range(count) if not redis.exists(f"first{i}")] == []
    assert connect(lonely.agent).call("state.set", key="later", value=1, ack="stored") == {}


def test_values_that_redis_has_make_room(redis_server, make_agent, steady, connect):
    agent = make_agent(redis_server.url(), settings={
        "outbox.slot_bytes": "64KiB", "outbox.client_slot_bytes": "16KiB"})
    other, client = steady(agent), connect(agent)
    other.call("state.set", key="other", value=1, ack="stored")
    client.call("client.hello", errors=True)
    for i in range(2000):  # faster than Redis: then it is not read, and nothing is refused
        client.notify("state.set", key=f"k{i}", value="x" * 500)
    client.call("state.set", key="last", value=1, ack="stored")
    assert client.messages == []
    other.call("state.set", key="new", value=1, ack="stored")
    error = refused(client, "state.set", key="large", value="x" * 20000)
    assert error.name == "too_large" and error.data["limit_bytes"] == 16384
    redis = redis_server.client()
    assert all(redis.exists(f"k{i}") for i in range(2000)) and not redis.exists("large")
    # What is still kept is written again when Redis has lost it: of the flood the last ones.
    redis_server.restart()
    redis = redis_server.client()
    wait_until(lambda: redis.exists("other", "new", "last", "k1999") == 4)
    assert not redis.exists("k0")


def test_so_much_under_new_keys_within_an_hour(redis_server, make_agent, steady, connect):
    agent = make_agent(redis_server.url(), settings={
        "outbox.new_value_bytes_per_hour": "64KiB", "outbox.slot_bytes": "16KiB"})
    client = steady(agent)
    client.call("state.set", key="old", value=1)
    count, error = fill(client, "k")
    assert (error.code, error.name, error.data["limit_bytes"]) == (-32004, "queue_full", 65536)
    assert "new_value_bytes_per_hour" in error.message and 100 < count < 110
    client.close()
    other = connect(agent)
    last = f"k{count - 1}"
    for size in (1, 500):  # it was as large before
        other.call("state.set", key=last, value="x" * size, ack="stored")
    for key in (last, "new"):
        assert refused(other, "state.set", key=key, value="x" * 1000).name == "queue_full"
    other.call("state.delete", key="other")
    assert refused(other, "state.set", key="other", value="x" * 1000).name == "queue_full"


def test_deletions_that_wait_take_room_as_well(lonely):
    error, count = None, 0
    while error is None and count < 100000:
        try:
            lonely.client.call("state.delete", key=f"{count:0300}")
            count += 1
        except Refused as caught:
            error = caught
    assert (error.code, error.name) == (-32004, "queue_full")
    assert 1000 < count < error.data["limit_bytes"] / 300


# --- lists --------------------------------------------------------------------------------------


def walk(client, **params):
    keys, cursor, pages = [], None, 0
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = client.call("state.list", {**params, **more})
        keys += page["keys"]
        pages += 1
        cursor = page["cursor"]
        if cursor is None:
            return keys, pages


def test_a_walk_over_many_keys(cell):
    pipeline = cell.redis.pipeline()
    for i in range(2500):
        pipeline.set(f"walk:{i}", 1)
    for i in range(500):
        pipeline.set(f"other:{i}", 1)
    pipeline.execute()
    cell.redis.config_resetstat()
    keys, pages = walk(cell.client, prefix="walk:", limit=100)
    assert set(keys) == {f"walk:{i}" for i in range(2500)} and pages > 2
    keys, _ = walk(cell.client, prefix="walk:", limit=1)
    assert set(keys) == {f"walk:{i}" for i in range(2500)}
    assert len(set(walk(cell.client)[0])) >= 3000
    assert "cmdstat_keys" not in cell.redis.info("commandstats")


@pytest.mark.parametrize("prefix", ["a*", "a?", "[ab]", "a\\", "[^a]", "a-", 'a"', "ä"])
def test_a_prefix_is_taken_literally(cell, prefix):
    for key in (prefix + "1", "ab1", "a1", "b1", "c1"):
        cell.redis.set(key, 1)
    wanted = {k for k in (prefix + "1", "ab1", "a1", "b1", "c1") if k.startswith(prefix)}
    assert set(walk(cell.client, prefix=prefix)[0]) == wanted


def test_an_empty_walk(cell):
    assert cell.client.call("state.list", prefix="none:") == {"keys": [], "cursor": None}


@pytest.mark.parametrize("cursor", ["x", "-1", "1.0", " 1", "99999999999999999999"])
def test_a_cursor_of_ones_own_making(cell, cursor):
    error = refused(cell.client, "state.list", cursor=cursor)
    assert (error.code, error.field) == (-32602, "cursor")


def test_reading_needs_redis(lonely):
    for method, params in (("state.list", {}), ("state.get", {"key": "k"}), ("redis.inspect", {}),
                           ("health.get", {"node": "hog"}), ("node.history", {"range_ms": 1000, "fields": []})):
        error = refused(lonely.client, method, params)
        assert (error.code, error.name) == (-32008, "unavailable")
        assert isinstance(error.data["link"], str) and error.data["link"]


# --- looking ------------------------------------------------------------------------------------

NUMBER, NULL = (int, float), type(None)
HISTOGRAM = {"count": int, **dict.fromkeys(["sum", "p50", "p90", "p99", "max"], NUMBER),
             "buckets": [{"up_to": NUMBER, "count": int}]}
STATS = {
    "node_id": str, "instance_id": str, "agent_version": str, "pid": int, "uptime_s": int,
    "conflict": (str, NULL),
    "link": {"state": str, "cause": (str, NULL), "trouble": (str, NULL), "target": str,
             "connects": int, "failures": int, "ping_ms": (*NUMBER, NULL)},
    "outbox": dict.fromkeys(
        ["slots", "slots_waiting", "events_waiting", "event_bytes", "event_bytes_limit", "urgent_bytes",
         "urgent_bytes_limit", "accepted", "stored", "coalesced", "dropped", "dropped_old"], int)
    | {"last_dropped": (str, NULL)} | dict.fromkeys(["expired", "refused", "replayed", "in_flight"], int),
    "latency_us": {"accept": HISTOGRAM, "store": HISTOGRAM},
    "push_interval_ms": HISTOGRAM,
    "calls": dict.fromkeys(["requests", "notifications", "errors", "forbidden", "rate_limited"], int),
    "socket": dict.fromkeys(["clients", "clients_limit", "accepted", "refused", "cut_off",
                             "yielded"], int),
    "subscriptions": {"local": int, "remote_state": str, "delivered": int, "echoes_dropped": int,
                      "gaps": int, "too_late": int, "lost": int},
    "watch": {"role": str, "node": (str, NULL), "enabled": bool, "unchanged_ms": (int, NULL),
              "term": int, "nodes": int, "left_out": int, "lag_ms": int, "lost": int, "returned": int,
              "uncertain": int, "trouble": (str, NULL), "lease_trouble": (str, NULL)},
    "stroke": {"session_id": (str, NULL)},
    "clients": [{"client_id": int, "name": str, "pid": int, "uid": int, "calls": int, "errors": int,
                 "subscriptions": int, "queued_bytes": int, "connected_s": int, "deadline": (dict, NULL)}],
    "clients_left_out": int,
    "probes": [{"name": str, "type": str, "up": (bool, NULL), "detail": str}],
}
HEALTH = {"node_id": str, "health": (dict, NULL), "age_ms": (int, NULL), "state": str,
          "since": (str, NULL), "source": str}
STATUS = {"redis_connected": bool, "active_stroke_sessions": int, "nodes_online": int,
          "total_nodes": int, "nodes_health": dict, "nodes_last_seen": dict, "nodes": dict,
          "timestamp": str,
          "cursor": (str, NULL), "nodes_left_out": int}
INSPECT = {"version": str, "role": str, "maxmemory_bytes": int, "used_memory_bytes": int,
           "maxmemory_policy": str, "loading": bool, "aof_enabled": bool, "rdb_last_save_ok": bool,
           "connected_clients": int, "protected_mode": bool, "has_password": bool,
           "clock_offset_ms": NUMBER, "user": str,
           "databases": [{"db": int, "keys": int, "expires": int}],
           "slowlog": [{"at": str, "duration_us": int, "command": str}]}


def assert_shape(value, shape, place="result"):
    """Exactly these members, of these types."""
    if isinstance(shape, dict):
        assert isinstance(value, dict) and list(value) == list(shape), f"{place}: {list(value)}"
        for key, inner in shape.items():
            assert_shape(value[key], inner, f"{place}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), place
        for i, element in enumerate(value):
            assert_shape(element, shape[0], f"{place}[{i}]")
    else:
        types = shape if isinstance(shape, tuple) else (shape,)
        assert isinstance(value, types), f"{place}: {value!r}"
        assert not isinstance(value, bool) or bool in types, f"{place}: {value!r}"


def test_stats_to_the_letter(redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), probes=[
        {"name": "me", "type": "process", "command": "nodebeatd", "interval": "100ms"}])
    client = steady(agent)
    client.call("client.hello", name="tester")
    client.call("event.subscribe", channels=["a"], patterns=["b*"])
    session = client.call("stroke.start", total_strokes=1, ack="stored")["session_id"]
    client.notify("robot.update", joints_l=["x"])
    stats = wait_until(lambda: (s := client.call("agent.stats"))["probes"] and s)
    assert_shape(stats, STATS)
    assert stats["node_id"] == "ook" and stats["pid"] == agent.pid
    assert stats["link"]["state"] == "steady" and stats["link"]["connects"] == 1
    assert stats["link"]["target"] == f"127.0.0.1:{redis_server.port}"
    assert stats["stroke"]["session_id"] == session
    me, = stats["clients"]
    assert (me["name"], me["pid"], me["uid"]) == ("tester", os.getpid(), os.getuid())
    assert me["subscriptions"] == 2 and me["errors"] == 1 and me["calls"] >= 5
    assert stats["subscriptions"]["local"] == 2
    assert stats["socket"]["clients"] == 1 and stats["socket"]["clients_limit"] == 96
    assert stats["calls"]["notifications"] == 1 and stats["calls"]["errors"] == 1
    assert stats["probes"][0]["name"] == "me"


def test_counters_count(cell):
    before = cell.client.call("agent.stats")
    for i in range(20):
        cell.client.call("state.set", key=f"k{i}", value=1, ack="stored")
    after = cell.client.call("agent.stats")
    assert after["outbox"]["accepted"] >= before["outbox"]["accepted"] + 20
    assert after["outbox"]["stored"] >= before["outbox"]["stored"] + 20
    assert after["latency_us"]["store"]["count"] >= before["latency_us"]["store"]["count"] + 20
    assert after["calls"]["requests"] == before["calls"]["requests"] + 21
    assert after["outbox"]["in_flight"] >= 0
    latency = after["latency_us"]["store"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]


def test_values_that_replace_one_another_are_counted(lonely):
    for i in range(10):
        lonely.client.call("state.set", key="k", value=i)
    assert lonely.client.call("agent.stats")["outbox"]["coalesced"] >= 9


def test_the_own_health(lonely):
    def beaten():
        answer = lonely.client.call("health.get")
        assert_shape(answer, HEALTH)
        return answer["health"] is not None and answer

    answer = wait_until(beaten)
    assert answer["node_id"] == answer["health"]["node_id"] == "ook"
    assert 0 <= answer["age_ms"] < 5000
    assert lonely.client.call("health.get", node="ook")["health"]


def test_status_without_redis(lonely):
    status = lonely.client.call("system.status")
    assert_shape(status, STATUS)
    assert status["redis_connected"] is False
    assert list(status["nodes_health"]) == list(status["nodes_last_seen"]) == ["ook"]
    assert status["total_nodes"] == 1


def test_status_of_a_cell(cell, make_agent, steady):
    """Two agents; a third was killed; a fourth is no agent of ours; and sessions."""
    other = make_agent(cell.server.url(), "hog")
    dead = make_agent(cell.server.url(), "eek", settings={"heartbeat.ttl": "1s"})
    cell.server.wait_for_beat("hog")
    cell.server.wait_for_beat("eek")
    cell.redis.hset("node:health:python", "health", json.dumps(
        {"timestamp": "2026-11-20T14:03:07.123456", "node_id": "python", "is_reachable": True,
         "last_heartbeat": "2026-11-20T14:03:07.123456"}, indent=2))
    wait_until(lambda: {"ook", "hog", "eek"} <= set(cell.redis.hkeys("nodebeat:nodes")))
    cell.client.call("stroke.start", total_strokes=1)
    cell.client.call("stroke.start", total_strokes=2, ack="stored")
    dead.kill()
    # Its health has expired, and its lease was not renewed.
    status = wait_until(lambda: (s := cell.client.call("system.status"))["nodes"].get("eek", {}).get(
        "state") == "down" and set(s["nodes"]) >= {"ook", "hog", "python"} and s)
    assert_shape(status, STATUS)
    assert status["redis_connected"] is True
    assert set(status["nodes_health"]) == {"ook", "hog", "eek", "python"}
    assert set(status["nodes_last_seen"]) == set(status["nodes_health"])
    assert TIMESTAMP.fullmatch(status["nodes_last_seen"]["eek"])
    assert status["nodes_health"]["hog"]["node_id"] == "hog"
    assert status["nodes_health"]["python"]["is_reachable"] is True
    assert status["nodes_last_seen"]["python"] == "2026-11-20T14:03:07.123456"
    assert (status["total_nodes"], status["nodes_online"]) == (4, 3)
    assert status["active_stroke_sessions"] == 1
    assert TIMESTAMP.fullmatch(status["timestamp"])

    assert cell.client.call("health.get", node="hog")["health"]["node_id"] == "hog"
    gone = cell.client.call("health.get", node="eek")
    assert gone["state"] == "down" and gone["source"] == "lease" and "lease not renewed" in gone["cause"]
    assert gone["health"]["is_reachable"] is False, "the watcher has written that"
    states = {name: (n["state"], n["source"]) for name, n in status["nodes"].items()}
    assert states == {"ook": ("up", "own"), "hog": ("up", "lease"), "eek": ("down", "lease"),
                      "python": ("up", "health")}
    assert refused(cell.client, "health.get", node="nobody").name == "not_found"
    other.stop()
    status = wait_until(lambda: (s := cell.client.call("system.status"))["nodes_online"] == 2 and s)
    assert status["nodes_health"]["hog"]["is_reachable"] is False
    assert status["nodes"]["hog"]["state"] == "down" and status["nodes"]["hog"]["cause"] == "stopped"
    cell.redis.config_resetstat()
    cell.client.call("system.status")
    assert "cmdstat_keys" not in cell.redis.info("commandstats")


@pytest.mark.parametrize("ms", [253402300800000, 9223372036854775807, 18446744073709551615])
def test_a_history_from_beyond_all_time(cell, ms):
    cell.redis.hset("nodebeat:nodes", "hog", "{}")
    cell.redis.xadd("stream:node_metrics:hog", {"health": "{}"}, id=f"{ms}-1")
    status = cell.client.call("system.status")
    assert status["nodes_last_seen"]["hog"] is None and status["nodes_health"]["hog"] is None


@pytest.mark.parametrize("rubbish", [
    "no JSON", "[]", '"text"', "",
    # With what is around it in a status, deeper than a line may be nested.
    pytest.param('{"a":' + "[" * 61 + "]" * 61 + "}", id="62 deep"),
])
def test_rubbish_for_a_health(cell, rubbish):
    cell.redis.hset("node:health:python", "health", rubbish)
    cell.redis.set("node:health:string", "x")
    cell.server.wait_for_beat("ook")
    status = cell.client.call("system.status")
    assert status["nodes_health"]["python"] is None and status["nodes_health"]["string"] is None
    assert status["nodes_online"] == 1


@pytest.mark.own_users("it reads what a node's user may not: the server's configuration")
def test_inspect(cell):
    answer = cell.client.call("redis.inspect")
    assert_shape(answer, INSPECT)
    info = cell.redis.info()
    assert answer["version"] == info["redis_version"] and answer["role"] == "master"
    assert answer["maxmemory_policy"] == "noeviction" and answer["maxmemory_bytes"] == 0
    assert answer["has_password"] is False and answer["aof_enabled"] is False
    assert answer["user"] == "default" and abs(answer["clock_offset_ms"]) < 1000
    assert answer["databases"][0]["db"] == 0 and answer["databases"][0]["keys"] > 0
    cell.redis.config_set("slowlog-log-slower-than", 0)
    cell.redis.config_set("maxmemory-policy", "allkeys-lru")
    assert any("maxmemory-policy" in c["command"] for c in cell.client.call("redis.inspect")["slowlog"])
    assert cell.client.call("redis.inspect")["maxmemory_policy"] == "allkeys-lru"


def test_inspect_by_a_user_who_may_not(redis_server, make_agent, steady):
    redis_server.client().execute_command(
        "ACL", "SETUSER", "agent", "reset", "on", ">x", "~*", "&*", "+@all", "-info", "-config",
        "-acl", "-time", "-slowlog",
    )
    client = steady(make_agent(redis_server.url("agent:x@")))
    answer = client.call("redis.inspect")
    assert list(answer) == list(INSPECT) and set(answer.values()) == {None}


# --- what other nodes write too -----------------------------------------------------------------


def test_a_reconnect_does_not_bring_back_what_others_have_replaced(redis_server, make_agent, steady):
    redis = redis_server.client()
    agents = {node: make_agent(redis_server.url(), node) for node in ("ook", "hog")}
    clients = {node: steady(agent) for node, agent in agents.items()}
    clients["ook"].call("state.set", key="cell:mode", value="old", ack="stored")
    clients["hog"].call("state.set", key="cell:mode", value="new", ack="stored")
    for i in range(6):
        node = ("ook", "hog")[i % 2]
        before = clients[node].call("agent.stats")["link"]["connects"]
        for entry in redis.client_list():
            if entry["name"] == f"nodebeat:{node}":
                redis.client_kill_filter(_id=entry["id"])
        wait_until(lambda: clients[node].call("agent.stats")["link"]["connects"] > before)
        wait_until(lambda: clients[node].call("agent.stats")["link"]["state"] == "steady")
        # Its own are there again, so whatever it wrote before them is there too.
        clients[node].call("state.set", key=f"cell:{node}", value=i, ack="stored")
        assert redis.get("cell:mode") == '"new"'


def test_what_was_not_confirmed_is_written_again(redis_server, make_agent, proxy, steady):
    way = proxy(redis_server)
    client = steady(make_agent(way.url()))
    client.call("state.set", key="cell:mode", value=1, ack="stored")
    way.mode = "black_hole"
    client.call("state.set", key="cell:mode", value=2)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] != "steady")
    way.mode = "pass"
    wait_until(lambda: redis_server.client().get("cell:mode") == "2")


def test_a_server_that_came_back_empty_gets_shared_values_where_they_are_missing(cell):
    cell.client.call("state.set", key="cell:mode", value="mine", ttl_ms=600_000, ack="stored")
    cell.client.call("state.set", key="cell:other", value="mine", ack="stored")
    cell.server.wait_for_beat("ook")
    cell.redis.flushall()
    cell.redis.set("cell:other", '"theirs"')
    wait_until(lambda: cell.redis.get("cell:mode") == '"mine"')
    assert 500_000 < cell.redis.pttl("cell:mode") <= 600_000
    assert cell.redis.get("cell:other") == '"theirs"'
    cell.server.restart()
    redis = cell.server.client()
    wait_until(lambda: redis.get("cell:mode") == '"mine"' and redis.get("cell:other") == '"mine"')


def test_a_server_that_was_started_again_gets_shared_values_where_they_are_missing(make_redis, make_agent, steady):
    """Its run id tells: the node's own keys are all there. A new connection alone brings nothing back."""
    server = make_redis(appendonly="yes", appendfsync="always")
    client = steady(make_agent(server.url()))

    def comes_back(end):
        before = client.call("agent.stats")["link"]["connects"]
        end()
        wait_until(lambda: client.call("agent.stats")["link"]["connects"] > before)
        seq = client.call("health.get")["health"]["seq"]
        server.wait_for_beat("ook", lambda h: h["seq"] > seq + 1)

    client.call("state.set", key="cell:mode", value="mine", ack="stored")
    client.call("state.set", key="cell:other", value="mine", ack="stored")
    server.client().delete("cell:mode")
    server.client().set("cell:other", '"theirs"')
    comes_back(lambda: server.client().client_kill_filter(_type="normal", skipme=True))
    assert server.client().get("cell:mode") is None
    comes_back(lambda: (server.kill(), server.start()))
    wait_until(lambda: server.client().get("cell:mode") == '"mine"')
    assert server.client().get("cell:other") == '"theirs"'
