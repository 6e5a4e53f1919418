"""state.watch: a snapshot, then each change (PROTOCOL.md 3.3.5)."""

import json
import random
import threading

import pytest

from support.rpc import refused
from support.waiting import wait_until

CHANNEL = "__redis__:invalidate"


def next_change(client):
    """The next notification of a watch, as (what, params)."""
    message = client._wait(lambda: client.messages.pop(0) if client.messages else None, None)
    assert message["method"].startswith("state.")
    return message["method"][len("state."):], message["params"]


def value(key, value, source="redis"):
    return "change", {"key": key, "value": value, "source": source}


def deleted(key, source="redis"):
    return "change", {"key": key, "deleted": True, "source": source}


def ready(keys, **more):
    return "ready", {"keys": keys, **more}


def watch(client, *, until_ready=True, **params):
    """What the snapshot has, by key."""
    assert client.call("state.watch", **params) == {}
    heard = {}
    while until_ready:
        what, params = next_change(client)
        if what == "ready":
            return heard, params
        assert params["key"] not in heard
        heard[params["key"]] = params.get("value", params)


def nothing_more(cell, client, key="app:end"):
    """What comes last is the change that is made now."""
    cell.redis.set(key, '"end"')
    assert next_change(client) == value(key, "end")
    cell.redis.delete(key)
    assert next_change(client) == deleted(key)


def tracking_id(redis):
    """The agent's connection that hears of keys."""
    return wait_until(lambda: [c["id"] for c in redis.client_list() if c["name"].endswith("-keys")])[0]


# --- what it is for -----------------------------------------------------------------------------


def test_first_a_snapshot_then_each_change_whoever_makes_it(cell, connect):
    cell.redis.mset({"app:a": "1", "app:b": '{"x": [1, 2.50]}', "app:text": "not json", "apple": "0", "one": "7",
                     "one:more": "8"})
    watcher = connect(cell.agent)
    heard, about = watch(watcher, keys=["one", "none"], prefixes=["app:"])
    assert heard == {"app:a": 1, "app:b": {"x": [1, 2.5]}, "app:text": "not json", "one": 7,
                     "none": {"key": "none", "deleted": True, "source": "redis"}}
    assert about == {"keys": 5}
    cell.redis.set("app:a", "2")
    assert next_change(watcher) == value("app:a", 2)
    cell.redis.mset({"one:more": "9", "apple": "1", "none": '"now"'})
    assert next_change(watcher) == value("none", "now")
    cell.redis.delete("none")
    assert next_change(watcher) == deleted("none")
    cell.redis.set("app:new", '""')
    assert next_change(watcher) == value("app:new", "")
    cell.redis.set("app:new", "")
    assert next_change(watcher) == value("app:new", ""), "an empty text, which is no JSON"
    cell.redis.set("app:new", "null", px=30)
    assert next_change(watcher) == value("app:new", None)
    assert next_change(watcher) == deleted("app:new"), "it has expired"
    cell.redis.rename("app:a", "app:z")
    assert sorted([next_change(watcher), next_change(watcher)], key=str) == sorted(
        [deleted("app:a"), value("app:z", 2)], key=str)
    nothing_more(cell, watcher)


def test_what_this_agents_clients_set_comes_at_once_and_once(cell, connect):
    watcher = connect(cell.agent)
    assert watch(watcher, prefixes=["app:"]) == ({}, {"keys": 0})
    cell.client.call("state.set", key="app:a", value={"x": 1}, ack="stored")
    assert next_change(watcher) == value("app:a", {"x": 1}, "agent")
    cell.client.call("state.set", key="app:a", value={"x": 1}, ack="stored")
    cell.redis.expire("app:a", 1000)
    cell.client.call("state.delete", key="app:a", ack="stored")
    assert next_change(watcher) == deleted("app:a", "agent"), "the same value again is no change"
    watcher.call("state.set", key="app:own", value=1)
    assert next_change(watcher) == value("app:own", 1, "agent")
    nothing_more(cell, watcher)


def test_another_node_hears_of_it(redis_server, make_agent, steady, connect):
    agents = [make_agent(redis_server.url(), node=node) for node in ("ook", "hog")]
    clients = [steady(agent) for agent in agents]
    watcher = connect(agents[1])
    watch(watcher, keys=["app:a"])
    clients[0].call("state.set", key="app:a", value=1)
    assert next_change(watcher) == value("app:a", 1)


def test_nothing_is_missed_between_the_snapshot_and_the_changes(cell, connect):
    """While a program counts, watchers come: each hears rising numbers without an end in between."""
    stop = threading.Event()

    def count():
        redis = cell.server.client()
        for i in range(1_000_000):
            redis.mset({f"app:{k}": i for k in range(5)})
            if stop.is_set():
                return

    counter = threading.Thread(target=count)
    counter.start()
    try:
        watchers = []
        for _ in range(8):
            watchers.append(connect(cell.agent))
            watchers[-1].call("state.watch", prefixes=["app:"])
    finally:
        stop.set()
        counter.join()
    last = {f"app:{k}": int(cell.redis.get(f"app:{k}")) for k in range(5)}
    for watcher in watchers:
        heard = {}
        was_ready = False
        while not was_ready or heard != last:
            what, params = next_change(watcher)
            was_ready |= what == "ready"
            if what == "change":
                assert params["value"] > heard.get(params["key"], -1)
                heard[params["key"]] = params["value"]


def test_many_keys(cell, connect):
    cell.redis.mset({f"app:{i}": i for i in range(800)} | {f"other:{i}": i for i in range(20_000)})
    watcher = connect(cell.agent)
    heard, about = watch(watcher, prefixes=["app:", "app:1"])
    assert heard == {f"app:{i}": i for i in range(800)} and about == {"keys": 800}
    cell.redis.flushall()
    assert sorted(next_change(watcher)[1]["key"] for _ in range(800)) == sorted(heard)
    nothing_more(cell, watcher)


def test_more_keys_than_have_room_are_left_out_and_that_is_told(cell, connect):
    cell.redis.mset({f"app:{i:0400}": i for i in range(400)} | {"app:" + "x" * 600: 1, "app:node:": 1})
    watcher = connect(cell.agent)
    heard, about = watch(watcher, prefixes=["app:"])
    assert about == {"keys": len(heard), "left_out": True} and 250 < len(heard) < 400
    cell.redis.flushall()
    gone = [next_change(watcher) for _ in heard]
    assert {params["key"] for _, params in gone} == set(heard)
    assert next_change(watcher) == ready(0), "all have room now"
    nothing_more(cell, watcher)


def test_keys_of_other_programs_do_not_come(cell, connect):
    watcher = connect(cell.agent)
    cell.redis.set("nodes", "1")
    assert watch(watcher, prefixes=["no", "s"]) == ({"nodes": 1}, {"keys": 1})
    cell.client.call("stroke.start", total_strokes=3)
    cell.client.call("session.create", session_id="x")
    nothing_more(cell, watcher, "some:end")


def test_what_cannot_be_read_is_named(cell, connect):
    cell.redis.rpush("app:list", "1")
    cell.redis.set("app:large", "x" * 70_000)
    watcher = connect(cell.agent)
    heard, _ = watch(watcher, prefixes=["app:"])
    assert heard["app:large"] == {"key": "app:large", "unreadable": "too_large", "source": "redis"}
    assert heard["app:list"]["unreadable"].startswith("WRONGTYPE ")
    cell.redis.set("app:escapes", "\x01" * 60_000)
    assert next_change(watcher)[1]["unreadable"] == "too_large"
    cell.redis.set("app:large", "1")
    assert next_change(watcher) == value("app:large", 1)
    cell.redis.set("app:huge", "x" * 5_000_000)
    assert next_change(watcher) == ("change", {"key": "app:huge", "unreadable": "too_large", "source": "redis"})
    nothing_more(cell, watcher)


def test_a_client_that_reads_longer_lines_gets_larger_values(cell, connect):
    cell.redis.set("app:large", "x" * 70_000)
    watcher = connect(cell.agent)
    watcher.call("client.hello", max_line_bytes=200_000)
    assert watch(watcher, keys=["app:large"])[0] == {"app:large": "x" * 70_000}


# --- one watch ----------------------------------------------------------------------------------


def test_a_further_watch_takes_the_place_of_the_first(cell, connect):
    watcher = connect(cell.agent)
    watch(watcher, keys=["app:a"])
    watch(watcher, keys=["app:b"])
    cell.redis.set("app:a", "1")
    cell.redis.set("app:b", "1")
    assert next_change(watcher) == value("app:b", 1)
    watcher.call("state.unwatch")
    other = connect(cell.agent)
    watch(other, keys=["app:b"])
    cell.redis.set("app:b", "2")
    assert next_change(other) == value("app:b", 2)
    other.close()
    wait_until(lambda: not [c for c in cell.redis.client_list() if c["name"].endswith("-keys")])
    assert watcher.call("state.unwatch") == {} and not watcher.messages


def test_watches_of_several_clients(cell, connect):
    """Prefixes that overlap, and more than the server is asked for one by one."""
    watchers = [connect(cell.agent) for _ in range(6)]
    for i, watcher in enumerate(watchers):
        watch(watcher, keys=[f"app:{i}:{k}" for k in range(10)], prefixes=["app:x"] if i == 3 else [])
    for i, watcher in enumerate(watchers):
        cell.redis.set(f"app:{i}:9", f"{i}")
        assert next_change(watcher) == value(f"app:{i}:9", i)
    cell.redis.set("app:xyz", "1")
    assert next_change(watchers[3]) == value("app:xyz", 1)
    watch(watchers[0], prefixes=["app:"])
    cell.redis.set("app:3:3", "3")
    assert next_change(watchers[0]) == next_change(watchers[3]) == value("app:3:3", 3)


@pytest.mark.parametrize("params, name, field", [
    ({}, "invalid_params", "keys"),
    ({"keys": []}, "invalid_params", "keys"),
    ({"keys": ["a"] * 65}, "invalid_params", "keys"),
    ({"prefixes": ["a"] * 17}, "invalid_params", "prefixes"),
    ({"prefixes": [""]}, "invalid_params", "prefixes[0]"),
    ({"keys": ["a" * 257]}, "invalid_params", "keys[0]"),
    ({"keys": ["a\n"]}, "invalid_params", "keys[0]"),
    ({"keys": "a"}, "invalid_params", "keys"),
    ({"patterns": ["a"]}, "invalid_params", "patterns"),
    ({"keys": ["a", "robot:state:ook"]}, "refused_key", None),
    ({"prefixes": ["session:"]}, "refused_key", None),
])
def test_what_is_wrong_is_named(lonely, params, name, field):
    error = refused(lonely.client, "state.watch", params)
    assert error.name == name and getattr(error, "field", None) == field
    lonely.client.call("state.set", key="a", value=1)
    assert not lonely.client.messages


# --- faults -------------------------------------------------------------------------------------


def test_redis_is_killed_and_what_was_missed_is_told(cell, connect):
    watcher = connect(cell.agent)
    cell.redis.mset({"app:a": "1", "app:b": "2", "app:c": "3"})
    watch(watcher, keys=["app:none"], prefixes=["app:"])
    cell.server.kill()
    assert next_change(watcher) == ("stale", {})
    cell.client.call("state.set", key="app:d", value=4)
    assert next_change(watcher) == value("app:d", 4, "agent"), "at once, Redis or not"
    cell.client.call("state.delete", key="app:a")
    assert next_change(watcher) == deleted("app:a", "agent")
    cell.server.start()
    redis = cell.server.client()
    redis.mset({"app:b": "2", "app:e": "5"})
    heard = {}
    while (message := next_change(watcher))[0] != "ready":
        heard[message[1]["key"]] = message[1].get("value")
    while "app:e" not in heard:  # it was written behind the second snapshot
        _, params = next_change(watcher)
        heard[params["key"]] = params.get("value")
    heard.pop("app:b", None)  # if the snapshot was before it
    assert heard in ({"app:c": None, "app:e": 5}, {"app:c": None, "app:b": 2, "app:e": 5})
    wait_until(lambda: redis.get("app:d") == "4")


def test_the_connection_is_cut_and_only_what_differs_is_told(cell, connect):
    watcher = connect(cell.agent)
    cell.redis.mset({f"app:{i}": i for i in range(50)})
    watch(watcher, prefixes=["app:"])
    for i in range(5):
        pipe = cell.redis.pipeline()  # MULTI: nothing comes between
        pipe.client_kill_filter(_id=tracking_id(cell.redis))
        pipe.set("app:7", f"{100 + i}")
        pipe.execute()
        assert next_change(watcher) == ("stale", {})
        assert next_change(watcher) == value("app:7", 100 + i)
        assert next_change(watcher) == ready(50)
    nothing_more(cell, watcher)


def test_whatever_breaks_each_watcher_ends_with_what_redis_has(redis_server, make_agent, steady, connect):
    """Writers of three kinds, connections cut at random: in the end all know the same, and no watcher
    was told the same twice in a row."""
    agents = [make_agent(redis_server.url(), node=node) for node in ("ook", "hog")]
    clients = [steady(agent) for agent in agents]
    redis = redis_server.client()
    watchers = [connect(agents[i % 2]) for i in range(4)]
    for watcher in watchers:
        watcher.call("state.watch", keys=["one"], prefixes=["app:", "b"])
    stop = threading.Event()

    def write(seed, put, delete):
        dice = random.Random(seed)
        while not stop.is_set():
            key = dice.choice(["one", "app:", "b:b", *(f"app:{i}" for i in range(20))])
            delete(key) if dice.random() < 0.3 else put(key, dice.randrange(5))

    store = redis_server.client()
    writers = [threading.Thread(target=write, args=args) for args in (
        (1, store.set, store.delete),
        *((2 + i, lambda k, v, c=c: c.call("state.set", key=k, value=v),
           lambda k, c=c: c.call("state.delete", key=k)) for i, c in enumerate(clients)),
    )]
    for writer in writers:
        writer.start()
    try:
        dice = random.Random(5)
        for _ in range(40):
            before = redis.info("stats")["total_commands_processed"]
            wait_until(lambda: redis.info("stats")["total_commands_processed"] > before + 300)
            victims = [c for c in redis.client_list() if c["name"].endswith(("-keys", "-read"))]
            if victims:
                redis.client_kill_filter(_id=dice.choice(victims)["id"])
            if dice.random() < 0.1:
                redis.flushall()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    for client in clients:
        client.call("state.set", key="app:last", value=1, ack="stored")

    def final():
        """What Redis has now: agents put back what a FLUSHALL took, once a beat has shown it."""
        keys = [key for key in redis.keys("*") if key.startswith(("one", "app:", "b:"))]
        return {key: json.loads(value) for key, value in zip(keys, redis.mget(keys)) if value is not None}

    for watcher in watchers:
        heard = {}

        def know(watcher=watcher, heard=heard):
            while watcher.messages:
                what, params = next_change(watcher)
                if what != "change":
                    continue
                value = params.get("value")
                assert heard.get(params["key"], "never") != value, params
                heard[params["key"]] = value
            return {k: v for k, v in heard.items() if v is not None} == final()

        wait_until(lambda: watcher.call("agent.stats") and know(), what=lambda: f"{heard} == {final()}")


def test_a_watch_that_begins_while_redis_is_away(lonely):
    lonely.client.call("state.set", key="app:a", value=1)
    lonely.client.call("state.watch", keys=["app:a", "app:b"], prefixes=["app:x"])
    assert next_change(lonely.client) == value("app:a", 1, "agent")
    lonely.client.call("state.set", key="app:x1", value=2)
    assert next_change(lonely.client) == value("app:x1", 2, "agent")
    lonely.server.start()
    assert next_change(lonely.client) == deleted("app:b")
    assert next_change(lonely.client) == ready(3)


@pytest.mark.parametrize("rubbish", ["", "app:a", "null", "*1\r\n$5\r\napp:a\r\n", "\x00\xff", "x" * 100_000])
def test_rubbish_on_the_channel_of_invalidations(cell, connect, rubbish):
    watcher = connect(cell.agent)
    watch(watcher, prefixes=["app:"])
    connection = tracking_id(cell.redis)
    wait_until(lambda: cell.server.client().publish(CHANNEL, rubbish) == 1)
    nothing_more(cell, watcher)
    assert tracking_id(cell.redis) == connection


def test_a_client_that_does_not_read_slows_nobody_and_then_gets_the_latest(cell, connect):
    deaf = connect(cell.agent, receive_buffer=4096)
    other = connect(cell.agent)
    watch(deaf, prefixes=["app:"])
    watch(other, keys=["app:end"])
    for i in range(100):
        cell.redis.mset({f"app:{k}": json.dumps(f"{i}" + "x" * 20_000) for k in range(10)})
    cell.redis.set("app:end", "1")
    assert next_change(other) == value("app:end", 1)
    clients = {c["client_id"]: c["queued_bytes"] for c in cell.client.call("agent.stats")["clients"]}
    assert max(clients.values()) < 256 * 1024
    latest = {f"app:{k}": "99" + "x" * 20_000 for k in range(10)} | {"app:end": 1}
    heard = {}
    while heard != latest:
        what, params = next_change(deaf)
        assert what == "change"
        heard[params["key"]] = params["value"]
    nothing_more(cell, deaf, "app:last")


def test_a_user_who_may_not_hear_of_changes(make_redis, make_agent, steady):
    server = make_redis()
    client = steady(make_agent(server.url()))
    redis = server.client()

    def allow(sign):
        for user in redis.acl_users():
            redis.execute_command("ACL", "SETUSER", user, f"{sign}client|tracking")

    allow("-")
    error = refused(client, "state.watch", keys=["app:a"])
    assert error.name == "refused_by_redis" and error.data["redis"].startswith("NOPERM ")
    client.call("state.set", key="app:a", value=1, ack="stored")
    assert not client.messages, "there is no watch"
    allow("+")
    assert watch(client, keys=["app:a"])[0] == {"app:a": 1}
    allow("-")
    redis.client_kill_filter(_id=tracking_id(redis))
    assert next_change(client) == ("stale", {})
    client.call("state.set", key="app:a", value=2)
    assert next_change(client) == value("app:a", 2, "agent"), "of this agent's clients, and of no others"
    wait_until(lambda: redis.get("app:a") == "2")
    redis.set("app:a", "3")
    allow("+")
    redis.client_kill_filter(_id=tracking_id(redis))
    assert next_change(client) == value("app:a", 3)
    assert next_change(client) == ready(1)


def test_a_key_that_changes_all_the_time_keeps_no_other_from_being_told(cell, connect):
    stop = threading.Event()

    def churn():
        redis = cell.server.client()
        i = 0
        while not stop.is_set():
            redis.set("app:hot", i := i + 1)

    cell.redis.mset({f"app:{i}": i for i in range(50)} | {f"other:{i}": i for i in range(5000)})
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        watcher = connect(cell.agent)
        watcher.call("state.watch", keys=["app:hot"], prefixes=["app:"])
        keys = set()
        while (message := next_change(watcher))[0] != "ready":
            keys.add(message[1]["key"])
        assert keys == {f"app:{i}" for i in range(50)} | {"app:hot"}
    finally:
        stop.set()
        thread.join()
