"""Reads from Redis: they cost no write, no other reader, and no more than their share."""

import itertools
import json
from pathlib import Path

import pytest

from support.fake_redis import usual_reply
from support.rpc import Refused, refused
from support.waiting import wait_until


def health_of(name, **more):
    return json.dumps({"timestamp": "2026-11-20T14:03:07.123456", "node_id": name,
                       "is_reachable": True, "last_heartbeat": "2026-11-20T14:03:07.123456", **more})


def fill_cell(redis, nodes, sessions=0, **more):
    pipeline = redis.pipeline()
    for i in range(nodes):
        pipeline.hset(f"node:health:n{i:03}", "health", health_of(f"n{i:03}", **more))
        pipeline.hset("nodebeat:nodes", f"n{i:03}", "{}")
    for i in range(sessions):
        key = f"stroke:progress:stroke_n{i % nodes:03}_{1700000000 + i}_000001"
        pipeline.hset(key, "progress", json.dumps({"is_executing": False}))
    pipeline.execute()


def failures(client):
    return client.call("agent.stats")["link"]["failures"]


def whole_status(client, **params):
    """All pages as one; and how many they were."""
    healths, cursor, pages = {}, None, 0
    while True:
        page = client.call("system.status", {**params, **({"cursor": cursor} if cursor else {})})
        assert not set(healths) & set(page["nodes_health"])
        healths.update(page["nodes_health"])
        pages += 1
        cursor = page["cursor"]
        if cursor is None:
            return {**page, "nodes_health": healths}, pages


# --- a read costs no write ----------------------------------------------------------------------


def test_a_hash_of_many_small_fields_costs_nobody_anything(cell):
    cell.redis.hset("k", mapping={f"f{i}": "" for i in range(33000)})
    before = failures(cell.client)
    error = refused(cell.client, "state.get", key="k")
    assert error.name == "too_large"
    assert error.data["limit"] < 33000 and "limit_bytes" not in error.data and "33000" in error.message
    cell.client.call("state.set", key="other", value=1, ack="stored")
    assert failures(cell.client) == before


def test_a_hash_of_many_small_fields_that_fits_is_given(cell):
    """In Redis it takes five times as much as in the answer."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    names = ["".join(name) for name in itertools.product(digits, repeat=3)]
    value = dict.fromkeys(names[:6000], "1")
    cell.redis.hset("k", mapping=value)
    assert cell.client.call("state.get", key="k")["value"] == value


def test_a_list_of_forty_thousand_nodes_costs_nobody_anything(cell):
    cell.redis.hset("nodebeat:nodes", mapping={f"x{i:05}": "{}" for i in range(40000)})
    before = failures(cell.client)
    status = cell.client.call("system.status")
    assert status["redis_connected"] and status["total_nodes"] >= 40000
    assert 0 < status["nodes_left_out"] < status["total_nodes"] and status["cursor"]
    cell.client.call("state.set", key="other", value=1, ack="stored")
    assert failures(cell.client) == before


def reading(answer):
    """A script for a FakeRedis: `answer(command)` on the connection that reads, None for as usual."""

    def script(connection):
        queued, reads = [], False
        while True:
            command = connection.read_command()
            reads = reads or (command[:2] == ["CLIENT", "SETNAME"] and command[2].endswith("-read"))
            reply = answer(command) if reads else None
            connection.send(usual_reply(command, queued) if reply is None else reply)

    return script


@pytest.fixture
def strange(make_agent, fake_redis, steady):
    """strange(answer): a client of an agent whose Redis answers its reads like that."""
    return lambda answer: steady(make_agent(fake_redis(reading(answer)).url()))


def test_a_reply_beyond_the_limit_costs_only_the_one_who_asked(strange):
    """The server says that a value is small, and sends a large one."""

    def answer(command):
        if command[0] == "GET":
            return b"$5000000\r\nxxx" if command[1] == "large" else b"$1\r\n7\r\n"
        return {"TYPE": b"+string\r\n", "STRLEN": b":1\r\n"}.get(command[0])

    client = strange(answer)
    before = failures(client)
    large = client.request("state.get", key="large")
    small = client.request("state.get", key="small")
    with pytest.raises(Refused) as caught:
        client.answer(large)
    assert caught.value.name == "too_large"
    assert client.answer(small)["value"] == 7
    assert failures(client) == before


def test_a_robots_state_of_many_megabytes_keeps_the_link_from_nothing(redis_server, make_agent, steady):
    redis_server.client().hset("robot:state:ook", "state", "x" * (17 << 20))
    agent = make_agent(redis_server.url())
    client = steady(agent)
    agent.wait_for_log("is not read back")
    assert 1 <= failures(client) <= 2
    client.call("robot.update", joints_l=[1], ack="stored")
    assert json.loads(redis_server.client().hget("robot:state:ook", "state"))["joints_l"] == [1]


# --- a read is bounded, and ends with its client -------------------------------------------------


def memory(agent):
    rows = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return 1024 * next(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))


def batch_of(count, method, **params):
    return json.dumps([{"jsonrpc": "2.0", "method": method, "params": params, "id": i}
                       for i in range(count)]).encode() + b"\n"


def test_batches_of_clients_that_go_take_nothing_from_others(cell, connect, sanitized):
    fill_cell(cell.redis, nodes=100, sessions=2000, pad="x" * 300)
    for _ in range(3):
        clients = [connect(cell.agent) for _ in range(17)]
        for client in clients:
            client.send(batch_of(256, "system.status"))
        for client in clients:
            client.close()
    assert cell.client.call("system.status")["redis_connected"]
    assert cell.client.call("state.list", prefix="none:") == {"keys": [], "cursor": None}
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)
    if not sanitized:
        assert memory(cell.agent) < 32 << 20


def test_batches_of_clients_that_do_not_read_take_nothing_from_others(cell, connect, sanitized):
    cell.redis.set("large", "x" * 60000)
    fill_cell(cell.redis, nodes=100, pad="x" * 300)
    for i in range(40):
        method, params = [("system.status", {}), ("state.get", {"key": "large"})][i % 2]
        connect(cell.agent, receive_buffer=4096).send(batch_of(256, method, **params))
    for _ in range(20):
        assert cell.client.call("system.status")["redis_connected"]
        assert cell.client.call("state.get", key="large")["value"]
    if not sanitized:
        assert memory(cell.agent) < 32 << 20


def test_sessions_that_wait_for_redis_take_nothing_from_others(cell, connect, sanitized):
    cell.client.call("session.create", session_id="a")
    cell.server.pause()
    for i in range(20):
        client = connect(cell.agent)
        params = {"session_id": f"s{i}", "upsert": True, "timeout_ms": 60000}
        for size in [60000] * 8 + [1] * 64:
            client.notify("session.update", {**params, "state": {"x": "x" * size}})
        client.request("session.update", {**params, "state": {"x": "x" * 60000}})
    mine = cell.client.request("session.update", {"session_id": "a", "state": {}, "timeout_ms": 60000})
    cell.client.call("agent.stats")
    cell.server.resume()
    assert cell.client.answer(mine, 60) == {"version": 2}
    if not sanitized:
        assert memory(cell.agent) < 32 << 20


def test_a_batch_of_reads_is_answered_whole(cell):
    fill_cell(cell.redis, nodes=100, pad="x" * 300)
    cell.client.send(batch_of(100, "system.status"))
    ids = set()
    while len(ids) < 100:
        for answer in cell.client.next_anonymous():
            assert answer["result"]["total_nodes"] == 101
            ids.add(answer["id"])
    assert ids == set(range(100))


def test_all_who_ask_at_once_share_one_look(cell, connect):
    fill_cell(cell.redis, nodes=50)
    cell.client.call("system.status")
    clients = [connect(cell.agent) for _ in range(20)]
    cell.redis.config_resetstat()
    for client in clients:
        for _ in range(4):
            client.request("system.status")
    for client in clients:
        for request_id in range(1, 5):
            assert client.answer(request_id)["total_nodes"] == 51
    calls = cell.redis.info("commandstats").get("cmdstat_hstrlen", {}).get("calls", 0)
    assert calls < 51 * 10, "80 asked; without sharing each would ask for each node"


def test_a_status_does_not_look_through_the_past(cell):
    fill_cell(cell.redis, nodes=5, sessions=3000)
    session = cell.client.call("stroke.start", total_strokes=1, ack="stored")["session_id"]
    assert cell.redis.hget("nodebeat:strokes", "ook") == session
    cell.redis.hset("stroke:progress:stroke_robot_1800000000", "progress", '{"is_executing":true}')
    cell.redis.hset("stroke:progress:handmade", "progress", '{"is_executing":true}')
    cell.redis.config_resetstat()
    assert cell.client.call("system.status")["active_stroke_sessions"] == 3
    assert cell.redis.info("commandstats")["cmdstat_hget"]["calls"] < 60
    cell.client.call("stroke.end", ack="stored")
    wait_until(lambda: cell.client.call("system.status")["active_stroke_sessions"] == 2)
    assert cell.redis.hget("nodebeat:strokes", "ook") == ""


def test_what_others_write_is_found_soon(cell):
    assert cell.client.call("system.status")["total_nodes"] == 1
    cell.redis.hset("node:health:python", "health", health_of("python"))
    cell.redis.hset("stroke:progress:stroke_python_1800000000", "progress", '{"is_executing":true}')
    status = wait_until(lambda: (s := cell.client.call("system.status"))["total_nodes"] == 2 and s)
    assert status["nodes_health"]["python"]["node_id"] == "python"
    assert status["active_stroke_sessions"] == 1
    cell.redis.delete("node:health:python")
    # The agent has noted it, so it is not forgotten.
    status = wait_until(lambda: (s := cell.client.call("system.status"))["nodes_health"]["python"] is None and s)
    assert status["total_nodes"] == 2


def test_a_fleet_in_pages(cell):
    fill_cell(cell.redis, nodes=300, pad="x" * 400)
    cell.server.wait_for_beat("ook")
    page = cell.client.call("system.status")
    assert page["total_nodes"] == 301 and page["nodes_online"] == 301
    assert 50 < len(page["nodes_health"]) < 301 and page["cursor"] == list(page["nodes_health"])[-1]
    status, pages = whole_status(cell.client)
    assert set(status["nodes_health"]) == {"ook", *(f"n{i:03}" for i in range(300))}
    assert all(status["nodes_health"].values()) and pages > 2
    page = cell.client.call("system.status", limit=2)
    assert list(page["nodes_health"]) == ["n000", "n001"] == list(page["nodes_last_seen"])
    page = cell.client.call("system.status", limit=2, cursor="n298x")
    assert list(page["nodes_health"]) == ["n299", "ook"] and page["cursor"] is None
    error = refused(cell.client, "system.status", cursor="a b")
    assert (error.name, error.field) == ("invalid_params", "cursor")


@pytest.mark.parametrize("said, seen", [
    ('"2026-11-20T14:03:07Z"', "2026-11-20T14:03:07.000000"), ('"soon"', None), ("5", None)])
def test_when_a_node_was_seen_is_a_timestamp_or_nothing(cell, said, seen):
    cell.redis.hset("node:health:python", "health", f'{{"last_heartbeat":{said}}}')
    status = cell.client.call("system.status")
    assert status["nodes_last_seen"]["python"] == seen
    assert status["nodes_health"]["python"] == {"last_heartbeat": json.loads(said)}


def test_a_large_line_takes_a_large_fleet(cell):
    fill_cell(cell.redis, nodes=300, pad="x" * 400)
    cell.client.call("client.hello", max_line_bytes=1 << 20)
    status, pages = whole_status(cell.client)
    assert pages == 1 and len(status["nodes_health"]) == 301


def test_a_health_that_is_none_for_its_length(cell):
    cell.redis.hset("node:health:long", "health", health_of("long", pad="x" * 40000))
    status = cell.client.call("system.status")
    assert status["nodes_health"]["long"] is None and status["total_nodes"] == 2
    assert refused(cell.client, "health.get", node="long").name == "too_large"


def test_a_user_with_the_rights_of_before(redis_server, make_agent, steady):
    """Who may not ask for sizes and lists reads what it may."""
    redis_server.client().execute_command(
        "ACL", "SETUSER", "agent", "reset", "on", ">x", "~*", "&*", "+@all", "-strlen", "-hstrlen",
        "-hlen", "-hscan", "-memory", "-hsetnx", "-hdel")
    client = steady(make_agent(redis_server.url("agent:x@")))
    redis_server.wait_for_beat("ook")
    redis_server.client().hset("k", mapping={"a": "b"})
    redis_server.client().set("s", "x")
    assert client.call("state.get", key="k")["value"] == {"a": "b"}
    assert client.call("state.get", key="s")["value"] == "x"
    redis_server.client().hset("node:health:python", "health", health_of("python"))
    status = client.call("system.status")
    assert status["redis_connected"] and set(status["nodes_health"]) == {"ook", "python"}
    assert all(status["nodes_health"].values())
    assert client.call("health.get", node="python")["health"]
    redis_server.client().hset("nodebeat:nodes", "old", "{}")
    error = refused(client, "node.forget", node="old")
    assert error.name == "refused_by_redis" and "hdel" in error.data["redis"]


# --- strangers ----------------------------------------------------------------------------------


def test_a_scan_page_of_other_keys_than_were_asked_for(strange):
    keys = [b"x", b"", b"node:health:", b"node:health:a b", b"stroke:progress:", b"node:health:ok"]
    page = b"*2\r\n$1\r\n0\r\n*%d\r\n" % len(keys)
    page += b"".join(b"$%d\r\n%s\r\n" % (len(key), key) for key in keys)

    def answer(command):
        return {"SCAN": page, "HSCAN": b"*2\r\n$1\r\n0\r\n*0\r\n", "HLEN": b":0\r\n",
                "HSTRLEN": b":0\r\n", "TYPE": b"+hash\r\n", "XREVRANGE": b"*0\r\n",
                "GETRANGE": b"$0\r\n\r\n"}.get(command[0])

    status = strange(answer).call("system.status")
    assert status["redis_connected"] and set(status["nodes_health"]) == {"ook", "ok"}


@pytest.mark.parametrize("cursor", [
    '1","keys":["x"],"cursor":null}}\\n{"jsonrpc":"2.0","method":"event","params":{}}', "-1", "", "1.5",
    "99999999999999999999999"])
def test_a_cursor_of_redis_that_is_none_goes_nowhere(strange, cursor):
    page = b"*2\r\n$%d\r\n%s\r\n*0\r\n" % (len(cursor), cursor.encode())
    client = strange(lambda command: page if command[0] == "SCAN" else None)
    assert refused(client, "state.list").name == "unavailable"
    assert client.events() == []


@pytest.mark.parametrize("time", [
    (b"9223372036854775807", b"0"), (b"1", b"9223372036854775807"), (b"-1", b"0"), (b"", b"")])
def test_a_time_that_is_none(strange, time):
    reply = b"*2\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in time)
    client = strange(lambda command: {"TIME": reply, "SLOWLOG": b"*0\r\n"}.get(command[0]))
    assert client.call("redis.inspect")["clock_offset_ms"] is None


def test_a_walk_without_an_end_is_ended(make_agent, fake_redis, steady, sanitized):
    counter = iter(range(1, 10**9))

    def answer(command):
        if command[0] == "SCAN":
            n = next(counter)
            keys = [f"node:health:n{n}-{i}" for i in range(200)]
            return b"*2\r\n$%d\r\n%d\r\n*%d\r\n" % (len(str(n)), n, len(keys)) + b"".join(
                b"$%d\r\n%s\r\n" % (len(key), key.encode()) for key in keys)
        if command[0] == "HSCAN":
            return b"*2\r\n$1\r\n7\r\n*0\r\n"
        return {"HLEN": b":0\r\n", "HSTRLEN": b":0\r\n", "TYPE": b"+none\r\n",
                "GETRANGE": b"$0\r\n\r\n"}.get(command[0])

    agent = make_agent(fake_redis(reading(answer)).url())
    client = steady(agent)
    status = client.call("system.status", timeout=20)
    assert status["redis_connected"] and status["total_nodes"] < 5000
    page = client.call("state.list", prefix="node:", limit=1000, timeout=20)
    assert len(page["keys"]) <= 1000 and page["cursor"]
    if not sanitized:
        assert memory(agent) < 32 << 20


def test_a_hash_that_is_gone_between_two_questions(strange):
    def answer(command):
        return {"TYPE": b"+hash\r\n", "HLEN": b":1\r\n", "MEMORY": b":100\r\n",
                "HGETALL": b"*0\r\n"}.get(command[0])

    client = strange(answer)
    assert refused(client, "state.get", key="k").name == "not_found"


@pytest.mark.parametrize("gone_at", ["STRLEN", "HLEN", "MEMORY", "GET"])
def test_a_key_that_is_gone_between_two_questions(strange, gone_at):
    kind = b"+string\r\n" if gone_at in ("STRLEN", "GET") else b"+hash\r\n"
    replies = {"TYPE": kind, "STRLEN": b":1\r\n", "HLEN": b":1\r\n", "MEMORY": b":1\r\n"}
    # STRLEN and HLEN of no key are 0, MEMORY USAGE and GET nil.
    replies[gone_at] = b":0\r\n" if gone_at in ("HLEN",) else b"$-1\r\n"
    if gone_at == "STRLEN":
        replies |= {"STRLEN": b":0\r\n", "GET": b"$-1\r\n"}
    client = strange(lambda command: replies.get(command[0]))
    assert refused(client, "state.get", key="k").name == "not_found"


# What each call asks, in order, and what Redis would answer: another form is nobody's answer.
STRANGE = {
    "string": ("state.get", {"key": "k"}, [("TYPE", b"+string\r\n"), ("STRLEN", b":1\r\n"), ("GET", b"$1\r\n7\r\n")]),
    "hash": ("state.get", {"key": "k"}, [("TYPE", b"+hash\r\n"), ("HLEN", b":1\r\n"), ("MEMORY", b":90\r\n"),
                                         ("HGETALL", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n")]),
    "object": ("state.get", {"key": "robot:state:x"},
               [("TYPE", b"+hash\r\n"), ("HSTRLEN", b":2\r\n"), ("HGET", b"$2\r\n{}\r\n")]),
    "health": ("health.get", {"node": "hog"},
               [("GETRANGE", b"$0\r\n\r\n"), ("HSTRLEN", b":2\r\n"), ("HGET", b"$2\r\n{}\r\n")]),
    "inspect": ("redis.inspect", {}, [("INFO", b"$3\r\na:b\r\n"), ("CONFIG", b"*2\r\n$1\r\na\r\n$2\r\nno\r\n"),
                                      ("ACL", b"$7\r\ndefault\r\n"), ("SLOWLOG", b"*0\r\n"), ("TIME", b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n")]),
    "history": ("node.history", {"range_ms": 1000, "fields": []}, [("XREVRANGE", b"*0\r\n")]),
    "forget": ("node.forget", {"node": "hog"}, [("TYPE", b"+none\r\n"), ("HSTRLEN", b":2\r\n"),
                                                ("HGET", b"$2\r\n{}\r\n"), ("HDEL", b":1\r\n")]),
    "list": ("state.list", {}, [("SCAN", b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n")]),
}
FORMS = [b"+x\r\n", b":-1\r\n", b":1\r\n", b"$1\r\nx\r\n", b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n",
         b"*2\r\n$1\r\n0\r\n*1\r\n:1\r\n"]


@pytest.mark.parametrize("what", STRANGE)
def test_a_reply_of_another_form_is_no_value_and_no_absence(strange, what):
    method, params, steps = STRANGE[what]
    replies = dict(steps)
    client = strange(lambda command: replies.get(command[0]))
    others = itertools.count()
    assert client.call(method, params) is not None
    for name, right in steps:
        for wrong in FORMS:
            if wrong[:1] == right[:1] and wrong != b":-1\r\n" and b":1\r\n" not in wrong[1:]:
                continue  # the form is right
            if name == "TIME" and wrong[:1] == b"*":
                continue  # a time that cannot be read is null
            replies[name] = wrong
            if method == "health.get":
                params = {"node": f"n{next(others)}"}  # what is known for less than a second is not asked for
            error = refused(client, method, params)
            assert error.name == "unavailable" and "documentation" in error.message, (name, wrong)
        replies[name] = right


@pytest.mark.parametrize("name", ["HLEN", "HSCAN", "SCAN", "GETRANGE", "HSTRLEN", "HGET", "XREVRANGE"])
def test_a_status_of_a_stranger_knows_of_no_other_node(strange, name):
    nodes = b"*2\r\n$1\r\n0\r\n*2\r\n$3\r\nhog\r\n$2\r\n{}\r\n"
    replies = {"HLEN": b":1\r\n", "SCAN": b"*2\r\n$1\r\n0\r\n*0\r\n", "HSTRLEN": b":2\r\n",
               "GETRANGE": b"$0\r\n\r\n",
               "HGET": b"$2\r\n{}\r\n", "XREVRANGE": b"*0\r\n"}

    def answer(command):
        if command[0] == "HSCAN" and name != "HSCAN":
            return nodes if command[1] == "nodebeat:nodes" else replies["SCAN"]
        if command[0] == name:
            return b"+x\r\n"
        return b":0\r\n" if (name, command[0]) == ("XREVRANGE", "HSTRLEN") else replies.get(command[0])

    client = strange(answer)
    status = client.call("system.status")
    assert (status["redis_connected"], list(status["nodes_health"])) == (False, ["ook"])


@pytest.mark.parametrize("reply, most", [(b"*65537\r\n", 65536), (b"*1\r\n" * 8, 7)])
def test_a_reply_of_too_many_is_told_by_its_count(strange, reply, most):
    client = strange(lambda command: {"TYPE": reply}.get(command[0]))
    error = refused(client, "state.get", key="k")
    assert error.name == "too_large" and (error.data["limit"], "limit_bytes" in error.data) == (most, False)


# --- lists --------------------------------------------------------------------------------------


def walk(client, **params):
    keys, cursor = [], None
    while True:
        page = client.call("state.list", {**params, **({"cursor": cursor} if cursor else {})})
        assert len(page["keys"]) <= params.get("limit", 100)
        keys += page["keys"]
        cursor = page["cursor"]
        if cursor is None:
            return keys


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_limit_is_one(cell, limit):
    cell.redis.mset({f"walk:{i}": 1 for i in range(300)})
    # Some come twice while Redis moves its keys about.
    assert set(walk(cell.client, prefix="walk:", limit=limit)) == {f"walk:{i}" for i in range(300)}


def test_a_page_that_has_changed_begins_anew(cell):
    cell.redis.mset({f"walk:{i:02}": 1 for i in range(20)})
    first = cell.client.call("state.list", prefix="walk:", limit=10)
    cell.redis.delete(*first["keys"])
    rest = cell.client.call("state.list", prefix="walk:", limit=100, cursor=first["cursor"])
    assert {f"walk:{i:02}" for i in range(20)} - set(first["keys"]) <= set(rest["keys"])


@pytest.mark.parametrize("cursor", ["1:2", "1:2:", ":1:2", "1:x:3", "1:2:3:4", "1:-1:3"])
def test_a_made_up_place(cell, cursor):
    error = refused(cell.client, "state.list", cursor=cursor)
    assert (error.name, error.field) == ("invalid_params", "cursor")


def test_long_keys(cell):
    cell.redis.mset({f"long:{i:03}{'k' * 504}": 1 for i in range(400)})
    cell.redis.mset({f"long:too{'k' * 505}{i}": 1 for i in range(3)})
    keys, skipped, cursor = [], 0, None
    while True:
        page = cell.client.call("state.list", {"prefix": "long:", "limit": 1000,
                                               **({"cursor": cursor} if cursor else {})})
        keys += page["keys"]
        skipped += page.get("skipped", 0)
        cursor = page["cursor"]
        if cursor is None:
            break
    assert len(set(keys)) == 400 and skipped >= 3


# --- nodes that are gone ------------------------------------------------------------------------


def test_forgetting_a_node(cell):
    cell.redis.hset("nodebeat:nodes", "old", "{}")
    cell.redis.hset("nodebeat:strokes", "old", "")
    assert "old" in cell.client.call("system.status")["nodes_health"]
    assert cell.client.call("node.forget", node="old") == {}
    assert not cell.redis.hexists("nodebeat:nodes", "old")
    assert not cell.redis.hexists("nodebeat:strokes", "old")
    assert "old" not in cell.client.call("system.status")["nodes_health"]
    assert refused(cell.client, "node.forget", node="old").name == "not_found"
    error = refused(cell.client, "node.forget", node="ook")
    assert (error.code, error.name) == (-32002, "conflict")
    assert cell.redis.hexists("nodebeat:nodes", "ook")
    assert refused(cell.client, "node.forget").field == "node"


def test_a_node_that_has_not_beaten_for_long_is_forgotten(redis_server, make_agent, steady):
    redis = redis_server.client()
    redis.hset("nodebeat:nodes", mapping={"old": "{}", "unknown": "{}", "fresh": "{}", "alive": "{}"})
    redis.xadd("stream:node_metrics:old", {"health": "{}"}, id="1700000000000-1")
    redis.xadd("stream:node_metrics:alive", {"health": "{}"}, id="1700000000000-1")
    redis.hset("node:health:alive", "health", health_of("alive"))
    redis.xadd("stream:node_metrics:fresh", {"health": "{}"})
    agent = make_agent(redis_server.url(), settings={"heartbeat.forget_after": "20s"})
    steady(agent)
    agent.wait_for_log("node 'old' is no longer listed")
    assert set(redis.hkeys("nodebeat:nodes")) == {"unknown", "fresh", "alive", "ook"}


def test_a_node_that_comes_back_while_it_is_forgotten_is_put_back(strange):
    said = []

    def answer(command):
        said.append(command)
        if command[0] == "TYPE":
            return b"+hash\r\n" if ["HDEL", "nodebeat:nodes", "hog"] in said else b"+none\r\n"
        return {"HSTRLEN": b":2\r\n", "HGET": b"$2\r\n{}\r\n", "HDEL": b":1\r\n",
                "HSETNX": b":1\r\n"}.get(command[0])

    client = strange(answer)
    assert refused(client, "node.forget", node="hog").name == "conflict"
    assert ["HSETNX", "nodebeat:nodes", "hog", "{}"] in said
