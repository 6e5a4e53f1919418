"""session.*: versioned state of a cell, through an agent (PROTOCOL.md 3.6)."""

import hashlib
import itertools
import json
import re
import threading
import time

import pytest
from support.agent import environment
from support.ctl import FOUND, OK, REFUSED, USAGE, Following, find_ctl, run
from support.rpc import Refused, refused
from support.session_script import AUDIT
from support.waiting import SLOWNESS, wait_until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_the_life_of_a_session(cell, closing):
    heard = closing(cell.server.subscribe("session-updates"))
    client = cell.client
    assert client.call("session.create", session_id="a", state={"x": 1}) == {"version": 1}
    got = client.call("session.get", session_id="a")
    assert got["version"] == 1 and 3590000 < got["ttl_ms"] <= 3600000
    assert got["state"]["x"] == 1 and re.fullmatch(STAMP, got["state"]["created_at"])
    assert client.call("session.update", session_id="a", state={"x": 2}, expected_version=1) == {"version": 2}
    assert client.call("session.update", session_id="a", state={"x": 3}) == {"version": 3}
    assert client.call("session.touch", session_id="a", ttl_ms=5000) == {"version": 3}
    assert client.call("session.get", session_id="a")["ttl_ms"] <= 5000
    assert client.call("session.delete", session_id="a", expected_version=3) == {"version": 3}
    assert refused(client, "session.get", session_id="a").name == "not_found"
    assert cell.redis.keys("session:*") == []
    wait_until(lambda: len(heard.messages) == 4)
    assert [json.loads(m["state"])["x"] for m in heard.messages[:3]] == [1, 2, 3]
    assert heard.messages[3]["deleted"] is True
    entries = [entry for _, entry in cell.redis.xrange(AUDIT)]
    assert [(e["op"], e["old_version"], e["new_version"]) for e in entries] == [
        ("create", "", "1"), ("update", "1", "2"), ("update", "2", "3"), ("delete", "3", ""),
    ]
    assert entries[0]["node"] == "ook" and entries[0]["uid"].isdigit() and entries[0]["instance"].startswith("ook-")


def test_the_text_keeps_its_digits_and_its_order(cell):
    members = '"z":1.10000000000000000001,"a":[],"b":{},"e":1e2,"s":"q\\"\\\\\\u00e9é"'
    params = '{"session_id":"a b","state":{"version":77,%s,"created_at":"no", "updated_at":3,"session_id":4}}' % members
    assert cell.client.call("session.create", params) == {"version": 1}
    stored = cell.redis.get("session:a b")
    found = re.fullmatch(r'\{"session_id":"a b","version":1,"created_at":"%s","updated_at":"%s",(.*)\}' % (STAMP, STAMP), stored)
    assert found and found[1] == members
    cell.client.request("session.get", {"session_id": "a b"})
    assert ('"state":' + stored + "}").encode() in cell.client.read_line()


def test_conflicts_name_the_versions(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={})
    again = refused(client, "session.create", session_id="a", state={})
    assert again.name == "conflict" and again.data["actual"] == 1 and "expected" not in again.data
    for method, more in (("session.update", {"state": {}}), ("session.delete", {})):
        error = refused(client, method, session_id="a", expected_version=7, **more)
        assert (error.name, error.data["expected"], error.data["actual"]) == ("conflict", 7, 1)


def test_what_is_gone_is_not_revived(cell):
    client = cell.client
    for method, more in (("session.update", {"state": {}}), ("session.touch", {}), ("session.delete", {})):
        assert refused(client, method, session_id="a", **more).name == "not_found"
    assert client.call("session.update", session_id="a", state={}, upsert=True) == {"version": 1}
    assert client.call("session.touch", session_id="b", upsert=True) == {"version": 1}


@pytest.mark.parametrize("params, field, words", [
    ('{"session_id":"%s","state":{}}' % ("x" * 10240), "session_id", "expected a text of 1 to 250 bytes"),
    ('{"session_id":"","state":{}}', "session_id", "expected a text of 1 to 250 bytes"),
    ('{"session_id":"a\\nb","state":{}}', "session_id", "must not hold control characters"),
    ('{"session_id":"a","state":{},"ttl_ms":0}', "ttl_ms", "out of range: allowed is 1 to 31536000000"),
    ('{"session_id":"a","state":[]}', "state", "expected an object, got an array"),
    ('{"session_id":"a"}', "state", "is required and missing"),
    ('{"session_id":"a","state":{},"expected_version":"1"}', "expected_version", "expected an integer, got a text"),
    ('{"session_id":"a","state":{},"expected_version":-1}', "expected_version",
     "out of range: allowed is 0 to 9007199254740991"),
    ('{"session_id":"a","state":{},"expected_version":9007199254740993}', "expected_version",
     "expected an integer of at most 2^53-1 (1.0 is one)"),
    ('{"session_id":"a","state":{},"expected_version":1.5}', "expected_version",
     "expected an integer of at most 2^53-1 (1.0 is one)"),
])
def test_wrong_params_are_named(cell, params, field, words):
    error = refused(cell.client, "session.update", params)
    assert (error.name, error.field, error.message) == ("invalid_params", field, f"{field}: {words}")
    assert cell.redis.keys("*session*") == []


@pytest.mark.parametrize("method", ["create", "get", "update", "delete", "touch", "broadcast"])
def test_wrong_params_are_named_in_each_method(cell, method):
    more = {"update": {"state": {}}, "broadcast": {"message": 1}}.get(method, {})
    wrong = [("session_id", "x" * 10240, "expected a text of 1 to 250 bytes")]
    if method in ("create", "update", "touch"):
        wrong.append(("ttl_ms", 0, "out of range: allowed is 1 to 31536000000"))
    if method in ("update", "delete"):
        wrong += [("expected_version", "1", "expected an integer, got a text"),
                  ("expected_version", -1, "out of range: allowed is 0 to 9007199254740991"),
                  ("expected_version", 2**53, "expected an integer of at most 2^53-1 (1.0 is one)")]
    for field, value, words in wrong:
        error = refused(cell.client, f"session.{method}", {"session_id": "a", **more, field: value})
        assert (error.name, error.field, error.message) == ("invalid_params", field, f"{field}: {words}")
    assert cell.redis.keys("*session*") == []


def test_a_nul_in_an_id_is_no_json(cell):
    cell.client.send_line('{"jsonrpc":"2.0","method":"session.get","params":{"session_id":"a\\u0000"},"id":1}')
    assert json.loads(cell.client.read_line()) == {"jsonrpc": "2.0", "id": None, "error": {
        "code": -32700, "message": "not JSON that is accepted here: \\u0000 is not allowed in text",
        "data": {"name": "parse_error", "offset": 71}}}


def test_an_id_may_have_spaces_and_any_letters(cell):
    name = ' a  "b" é\u65e5 '
    assert cell.client.call("session.create", session_id=name, state={"x": 1}) == {"version": 1}
    assert cell.redis.exists(f"session:{name}")
    assert cell.client.call("session.get", session_id=name)["state"]["session_id"] == name
    assert [s["session_id"] for s in cell.client.call("session.list")["sessions"]] == [name]
    assert cell.client.call("session.delete", session_id=name) == {"version": 1}


def test_a_megabyte_is_too_long_a_line_where_nobody_has_allowed_it(cell):
    cell.client.send_line('{"jsonrpc":"2.0","method":"session.create","params":{"session_id":"a","state":'
                          '{"x":"%s"}},"id":1}' % ("x" * 1048576))
    assert json.loads(cell.client.read_line()) == {"jsonrpc": "2.0", "id": None, "error": {
        "code": -32000, "message": "a line has at most 65536 bytes; this one is ignored up to its newline",
        "data": {"name": "too_large", "limit_bytes": 65536}}}
    assert cell.client.call("session.create", session_id="a", state={}) == {"version": 1}


@pytest.mark.parametrize("text", [
    "", "[]", "{", '"text"', '{"x":1}', '{"version":"3"}', '{"version":-1}', '{"version":9007199254740993}',
    '{"version":1,"version":2}', '{"version":0x10}', '{"version":3} x',
])
def test_what_is_no_session_is_told_and_left(cell, text):
    cell.redis.set("session:a", text)
    client = cell.client
    for method, more in (
        ("session.get", {}), ("session.create", {"state": {}}), ("session.update", {"state": {}}),
        ("session.touch", {}), ("session.delete", {}), ("session.update", {"state": {}, "expected_version": 3}),
    ):
        error = refused(client, method, session_id="a", **more)
        assert (error.name, error.data["stored"], error.data["stored_bytes"]) == ("corrupt", text, len(text))
    assert cell.redis.get("session:a") == text
    assert client.call("session.update", session_id="a", state={"y": 1}, replace_corrupt=True) == {"version": 1}
    assert client.call("session.get", session_id="a")["state"]["y"] == 1


def test_a_version_that_cannot_count_on_is_corrupt(cell):
    cell.redis.set("session:a", '{"version":9007199254740989,"x":1}')
    client = cell.client
    for version in (9007199254740990, 9007199254740991):
        assert client.call("session.update", session_id="a", state={}) == {"version": version}
    for more in ({}, {"expected_version": 9007199254740991}):
        assert refused(client, "session.update", session_id="a", state={}, **more).name == "corrupt"
    client.call("session.touch", session_id="a")
    assert refused(client, "session.create", session_id="a", state={}).name == "conflict"
    assert client.call("session.update", session_id="a", state={}, replace_corrupt=True) == {"version": 1}


def test_a_session_of_another_program_counts_on(cell):
    text = '{"name":"x", "version":7,"created_at":"2020-01-01T00:00:00.000Z","list":[]}'
    cell.redis.setex("session:a", 60, text)
    client = cell.client
    got = client.call("session.get", session_id="a")
    assert got["version"] == 7 and list(got["state"]) == ["name", "version", "created_at", "list"]
    assert client.call("session.touch", session_id="a") == {"version": 7}
    assert cell.redis.get("session:a") == text and cell.redis.ttl("session:a") > 3000
    assert refused(client, "session.create", session_id="a", state={}).data["actual"] == 7
    assert refused(client, "session.update", session_id="a", state={}, expected_version=6).data["actual"] == 7
    assert client.call("session.update", session_id="a", state={"n": 1}, expected_version=7) == {"version": 8}
    state = client.call("session.get", session_id="a")["state"]
    assert state["created_at"] == "2020-01-01T00:00:00.000Z" and state["n"] == 1 and "name" not in state


def test_another_type_is_no_session(cell):
    cell.redis.hset("session:a", "f", "v")
    for method in ("session.get", "session.touch"):
        error = refused(cell.client, method, session_id="a")
        assert (error.name, error.data["type"]) == ("wrong_type", "hash")


def test_a_broadcast_reaches_who_listens(cell, closing):
    heard = closing(cell.server.subscribe("ws:a"))
    assert cell.client.call("session.broadcast", session_id="a", message={"m": [1.50]}) == {"subscribers": 1}
    wait_until(lambda: heard.raw)
    assert re.fullmatch(r'\{"sessionId":"a","message":\{"m":\[1.5\]\},"timestamp":\d{13}\}', heard.raw[0][2])


def test_a_notification_is_carried_out_and_its_refusal_told(cell):
    cell.client.call("client.hello", errors=True)
    cell.client.notify("session.create", session_id="a", state={"x": 1})
    wait_until(lambda: cell.redis.get("session:a"))
    cell.client.notify("session.create", session_id="a", state={"x": 2})
    said = cell.client.next_message("client.error")
    assert said["method"] == "session.create" and said["error"]["data"]["name"] == "conflict"


def test_a_list_is_walked_by_pages(cell):
    client = cell.client
    for i in range(25):
        client.call("session.create", session_id=f"s{i}", state={"i": i})
    cell.redis.set("session:s3", '{"version":9}')
    cell.redis.delete("session:s4")
    seen, cursor = {}, None
    while True:
        page = client.call("session.list", limit=7, **({"cursor": cursor} if cursor else {}))
        assert len(page["sessions"]) <= 7
        seen.update({s["session_id"]: s for s in page["sessions"]})
        cursor = page["cursor"]
        if cursor is None:
            break
    assert set(seen) == {f"s{i}" for i in range(25)} - {"s4"}
    assert seen["s3"]["version"] is None and seen["s3"]["updated_at"] is None
    assert seen["s5"]["version"] == 1 and re.fullmatch(STAMP, seen["s5"]["updated_at"])
    assert 0 < seen["s5"]["ttl_ms"] <= 3600000
    assert refused(client, "session.list", cursor="x").field == "cursor"


def test_a_list_goes_by_time_and_looks_for_no_keys(cell):
    for name, minutes in (("c", 7), ("a", 9), ("d", 5), ("b", 8)):
        cell.client.call("session.create", session_id=name, ttl_ms=minutes * 60000)
    cell.redis.config_resetstat()
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = cell.client.call("session.list", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [s["session_id"] for s in page["sessions"]]
        cursor = page["cursor"]
    assert seen == ["d", "c", "b", "a"]
    commands = cell.redis.info("commandstats")
    assert "cmdstat_zrangebyscore" in commands or "cmdstat_zrange" in commands, "what was done is counted"
    assert "cmdstat_keys" not in commands and "cmdstat_scan" not in commands


def test_scripts_may_be_flushed_in_mid_pipeline(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    ids = []
    for i in range(200):
        ids.append(client.request("session.update", {"session_id": "a", "state": {"n": i}}))
        if i % 20 == 0:
            cell.redis.script_flush()
    assert sorted(client.answer(i)["version"] for i in ids) == list(range(2, 202))


def test_an_error_of_the_script_is_answered_at_once(cell):
    """A seal that somebody has put on a text without a version."""
    text = "{}"
    cell.redis.set("session:a", text)
    cell.redis.hset("nodebeat:sessions:seals", "a", hashlib.sha1(text.encode()).hexdigest())
    error = refused(cell.client, "session.update", session_id="a", state={}, timeout_ms=20000)
    assert error.name == "refused_by_redis" and "user_script" in error.data["redis"]
    assert cell.redis.get("session:a") == text


def not_done(client, state):
    """The error of an update that the server refuses. Now and then the time is over while the agent
    asks once more: that one is in doubt."""
    for _ in range(10):
        error = refused(client, "session.update", session_id="a", state=state, timeout_ms=300)
        if error.name != "in_doubt":
            break
    return error


@pytest.mark.time_limit(60)
def test_out_of_memory_is_answered_as_not_done(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    cell.redis.config_set("maxmemory", "1")
    error = not_done(client, {"n": 1})
    assert error.name == "unavailable" and "OOM" in error.message
    cell.redis.config_set("maxmemory", "0")
    assert client.call("session.update", session_id="a", state={"n": 2}) == {"version": 2}


def test_a_replica_is_answered_as_not_done(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    cell.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    cell.redis.config_set("replica-serve-stale-data", "yes")
    error = not_done(client, {"n": 1})
    assert error.name == "unavailable" and "READONLY" in error.message
    cell.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert client.call("session.update", session_id="a", state={"n": 2}, timeout_ms=10000) == {"version": 2}


def test_a_busy_server_is_waited_for(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    cell.redis.config_set("busy-reply-threshold", "10")
    admin = cell.server.client(health_check_interval=99)

    def spin():
        try:
            admin.eval("while true do end", 0)
        except Exception as killed:
            spin.ended = killed

    thread = threading.Thread(target=spin)
    thread.start()

    def is_busy():
        try:
            cell.redis.get("x")
        except Exception as error:
            return "BUSY" in str(error)

    wait_until(is_busy)
    error = not_done(client, {"n": 1})
    assert error.name == "unavailable" and "BUSY" in error.message
    request = client.request("session.update", {"session_id": "a", "state": {"n": 2}, "timeout_ms": 20000})
    cell.redis.script_kill()
    thread.join()
    assert client.answer(request) == {"version": 2}


def test_a_server_that_is_away_is_waited_for_and_nothing_is_in_doubt(lonely):
    error = refused(lonely.client, "session.create", session_id="a", state={}, timeout_ms=100)
    assert error.name == "unavailable"
    request = lonely.client.request("session.create", {"session_id": "a", "state": {}, "timeout_ms": 20000})
    lonely.server.start()
    assert lonely.client.answer(request, timeout=20) == {"version": 1}


def test_what_a_frozen_server_may_have_done_is_in_doubt(cell):
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    cell.server.pause()
    error = refused(client, "session.update", session_id="a", state={"n": 1}, timeout_ms=200)
    cell.server.resume()
    assert error.name == "in_doubt"
    assert client.call("session.update", session_id="a", state={"n": 2}, timeout_ms=20000)["version"] in (2, 3)


def test_a_session_of_nearly_a_line_is_read_back(cell):
    client = cell.client
    client.call("client.hello", max_line_bytes=1048576)
    state = {"text": "x" * 60000}
    client.call("session.create", session_id="a", state=state)
    assert client.call("session.get", session_id="a")["state"]["text"] == state["text"]


def test_a_session_of_a_megabyte_needs_lines_of_that_size(make_redis, make_agent, steady):
    server = make_redis()
    agent = make_agent(server.url(), settings={"socket.max_line": "1MiB"})
    client = steady(agent)
    state = {"text": "x" * 1000000}
    client.call("session.create", session_id="a", state=state)
    assert json.loads(server.client().get("session:a"))["text"] == state["text"]
    error = refused(client, "session.get", session_id="a")
    assert (error.name, error.data["limit_bytes"]) == ("too_large", 65536)
    assert client.call("session.update", session_id="a", state={}, expected_version=1) == {"version": 2}
    client.call("client.hello", max_line_bytes=1048576)
    client.call("session.create", session_id="b", state=state)
    assert client.call("session.get", session_id="b")["state"]["text"] == state["text"]
    error = refused(client, "session.update", session_id="a", state={"text": "x" * 1048200})
    assert error.name == "too_large" and error.data["limit_bytes"] < 1048200
    assert client.call("session.get", session_id="a")["version"] == 2


def test_a_foreign_text_beyond_all_lines_is_told_in_part(cell):
    text = "no JSON \x01" * 20000
    cell.redis.set("session:a", text)
    error = refused(cell.client, "session.update", session_id="a", state={})
    assert error.name == "corrupt" and error.data["stored_bytes"] == len(text)
    assert 8000 < len(error.data["stored"]) < 65536 and text.startswith(error.data["stored"])
    cell.redis.set("session:a", "x" * (3 << 20))
    for method in ("session.get", "session.touch"):
        assert refused(cell.client, method, session_id="a").name == "too_large"


@pytest.mark.time_limit(60)
def test_twenty_thousand_sessions_are_listed(cell):
    now = int(time.time() * 1000)
    for start in range(0, 20000, 1000):
        names = [f"s{i}" for i in range(start, min(start + 1000, 20000))]
        cell.redis.mset({f"session:{n}": '{"version":1}' for n in names})
        cell.redis.zadd("nodebeat:sessions", {n: now + 3600000 for n in names})
    seen, cursor = set(), None
    while True:
        page = cell.client.call("session.list", limit=1000, **({"cursor": cursor} if cursor else {}))
        seen |= {s["session_id"] for s in page["sessions"]}
        cursor = page["cursor"]
        if cursor is None:
            break
    assert len(seen) == 20000


def test_a_clock_that_is_set_back_stops_nothing(cell):
    """Redis' clock decides. As after a step back, all that the script keeps lies in the future."""
    client = cell.client
    client.call("session.create", session_id="a", state={"n": 0})
    text = cell.redis.get("session:a")
    future = re.sub(r'(created_at|updated_at)":"\d{4}', r'\1":"2999', text)
    cell.redis.set("session:a", future, ex=600)
    cell.redis.zadd("nodebeat:sessions", {"a": 32472144000000})
    assert client.call("session.update", session_id="a", state={"n": 1}, expected_version=1) == {"version": 2}
    state = client.call("session.get", session_id="a")["state"]
    assert state["created_at"].startswith("2999") and state["updated_at"] < "2900"
    assert [s["session_id"] for s in client.call("session.list")["sessions"]] == ["a"]


@pytest.mark.real_processor("a library is made for the programs of this one")
def test_the_servers_clock_is_set_back_by_a_day(make_redis, make_agent, steady, shifted):
    before_redis, shift = shifted("redis")
    server = make_redis(program=(*before_redis, "redis-server"))
    redis = server.client()
    client = steady(make_agent(server.url()))
    assert client.call("session.create", session_id="a", state={"n": 1}) == {"version": 1}
    before = json.loads(redis.get("session:a"))
    shift.write_text("-86400")
    wait_until(lambda: redis.time()[0] < time.time() - 80000)
    assert client.call("session.update", session_id="a", state={"n": 2}, expected_version=1) == {"version": 2}
    assert client.call("session.touch", session_id="a") == {"version": 2}
    assert client.call("session.create", session_id="b", state={}) == {"version": 1}
    after = json.loads(redis.get("session:a"))
    assert after["created_at"] == before["created_at"] > after["updated_at"]
    assert 0 < redis.pttl("session:a") <= 3600000
    assert [s["session_id"] for s in client.call("session.list")["sessions"]] == ["a", "b"]
    entries = redis.xrange(AUDIT)
    assert [(e["session_id"], e["new_version"]) for _, e in entries] == [("a", "1"), ("a", "2"), ("b", "1")]
    assert client.call("session.delete", session_id="a", expected_version=2) == {"version": 2}


@pytest.mark.time_limit(120)
def test_no_update_is_lost_or_done_twice_while_links_are_cut(make_redis, make_agent, proxy, connect):
    server = make_redis()
    writers, rounds = 4, 150
    proxies = [proxy(server) for _ in range(2)]
    agents = [make_agent(f"redis://127.0.0.1:{p.port}", node=n) for p, n in zip(proxies, ("ook", "eek"))]
    first = connect(agents[0])
    first.call("session.create", session_id="n", state={"n": 0}, timeout_ms=20000)
    troubles, done = [], []

    def increment(number):
        client = connect(agents[number % 2])
        written = 0
        while written < rounds:
            try:
                got = client.call("session.get", session_id="n", timeout_ms=20000, timeout=30)
                version = client.call(
                    "session.update", session_id="n", state={"n": got["state"]["n"] + 1, "by": f"{number}.{written}"},
                    expected_version=got["version"], timeout_ms=20000, timeout=30,
                )["version"]
                if version != got["version"] + 1:
                    troubles.append((got, version))
                written += 1
            except Refused as error:
                if error.name == "conflict":
                    # Never with its own write.
                    if error.data["expected"] == error.data["actual"]:
                        troubles.append(error)
                elif error.name != "unavailable":
                    troubles.append(error)
        done.append(number)

    threads = [threading.Thread(target=increment, args=(i,)) for i in range(writers)]
    for thread in threads:
        thread.start()
    # Each time after another while, so that a link is cut at each step of its way.
    pauses = itertools.cycle(i / 1000 for i in range(2, 80, 6))
    deadline = time.monotonic() + 60 * SLOWNESS
    for thread in threads:
        while thread.is_alive() and time.monotonic() < deadline:
            for p in proxies:
                p.reset_all()
            thread.join(next(pauses))
    for thread in threads:
        thread.join()
    assert troubles == [] and len(done) == writers
    assert all(p.accepted > 10 for p in proxies)
    text = json.loads(server.client().get("session:n"))
    assert (text["n"], text["version"]) == (writers * rounds, writers * rounds + 1)
    by = [json.loads(e["state"])["by"] for _, e in server.client().xrange(AUDIT) if e["op"] == "update"]
    assert len(by) == len(set(by)) == writers * rounds


@pytest.mark.time_limit(120)
def test_no_update_is_lost_or_done_twice_while_redis_is_killed(make_redis, make_agent, connect):
    server = make_redis(appendonly="yes", appendfsync="always")
    agents = [make_agent(server.url(), node=n) for n in ("ook", "eek")]
    first = connect(agents[0])
    first.call("session.create", session_id="n", state={"n": 0}, timeout_ms=20000)
    written, troubles, over = [], [], threading.Event()

    def increment(number):
        client = connect(agents[number % 2])
        while not over.is_set():
            try:
                # Not known when Redis is away: the version is found out by trying.
                version = client.call("session.update", session_id="n", state={"by": number}, timeout_ms=20000,
                                      timeout=30)["version"]
                written.append(version)
            except Refused as error:
                if error.name != "unavailable":
                    troubles.append(error)

    threads = [threading.Thread(target=increment, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(written)
        wait_until(lambda: len(written) > before + 50, 30)
        server.restart()
    before = len(written)
    wait_until(lambda: len(written) > before + 50, 30)
    over.set()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert sorted(written) == list(range(2, len(written) + 2))
    assert json.loads(server.client().get("session:n"))["version"] == len(written) + 1


@pytest.mark.own_users("the second server has none")
@pytest.mark.time_limit(60)
def test_a_failover_keeps_versions_and_first_answers(make_redis, make_agent, steady, proxy):
    """The new server knows no script, and what the old one has carried out last was not confirmed."""
    old, new = make_redis(), make_redis()
    new.client().replicaof("127.0.0.1", old.port)
    way = proxy(old)
    client = steady(make_agent(way.url(), settings={"redis.command_timeout": "1s"}))
    assert client.call("session.create", session_id="a", state={"n": 1}) == {"version": 1}
    way.mode = "swallow"
    request = client.request("session.update", {"session_id": "a", "state": {"n": 2}, "expected_version": 1,
                                                "timeout_ms": 30000})
    wait_until(lambda: '"n":2' in (new.client().get("session:a") or ""))
    way.mode = "refuse"
    old.kill()
    new.client().replicaof("NO", "ONE")
    way.target = ("127.0.0.1", new.port)
    way.mode = "pass"
    assert client.answer(request, timeout=30) == {"version": 2}
    assert client.call("session.update", session_id="a", state={"n": 3}, expected_version=2, timeout_ms=20000) == {
        "version": 3}
    entries = [entry for _, entry in new.client().xrange(AUDIT)]
    assert [(e["old_version"], e["new_version"]) for e in entries] == [("", "1"), ("1", "2"), ("2", "3")]


def test_sessions_from_a_shell(cell, tmp_path):
    program = find_ctl()

    def ctl(*args):
        done = run(program, ["--socket", cell.agent.socket_path, *args], environment(tmp_path / "sanitizer"))
        return done.returncode, done.stdout + done.stderr

    assert ctl("session", "create", "a", '{"x": 1.10}') == (OK, "version 1\n")
    code, said = ctl("session", "create", "a", "{}")
    assert code == REFUSED and "version 1" in said
    assert ctl("session", "set", "a", '{"x": 2.50}', "--version-is", "1", "--ttl", "10min") == (OK, "version 2\n")
    code, said = ctl("session", "set", "a", "{}", "--version-is", "1")
    assert code == REFUSED and "expected version 1, found 2" in said
    code, said = ctl("session", "get", "a")
    assert code == OK and '"x":2.50}' in said
    code, said = ctl("session", "list")
    assert code == OK and re.search(r"a +2 +\d{4}-\S+Z +9 min", said)
    assert json.loads(ctl("--json", "session", "list")[1])["sessions"][0]["version"] == 2
    code, said = ctl("session", "set", "b", "{}")
    assert code == FOUND and "there is no session 'b'; session create makes one" in said
    assert ctl("session", "set", "b", "{}", "--create") == (OK, "version 1\n")
    assert ctl("session", "set", "b", "{")[0] == USAGE
    assert ctl("session", "delete", "b") == (OK, "version 1\n")
    assert ctl("session", "get", "b")[0] == FOUND


def test_sessions_are_watched_from_a_shell(cell, tmp_path, closing):
    watch = closing(Following(find_ctl(), ["--socket", str(cell.agent.socket_path), "--json", "session", "watch"],
                              environment(tmp_path / "sanitizer")))
    wait_until(lambda: cell.redis.pubsub_numpat() and cell.redis.pubsub_numsub("session-updates")[0][1])
    client = cell.client
    client.call("session.create", session_id="a", state={"x": 1.50})
    told = json.loads(watch.wait_for('"session-updates"'))["event"]
    assert told["sessionId"] == "a" and told["state"] == cell.redis.get("session:a")
    client.call("session.broadcast", session_id="a", message={"m": 1})
    assert json.loads(watch.wait_for('"ws:a"'))["event"]["message"] == {"m": 1}
    client.call("session.delete", session_id="a")
    assert json.loads(watch.wait_for('"deleted"'))["event"]["deleted"] is True
