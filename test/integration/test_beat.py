"""What a beat is: to the letter what the readers of the schema expect, true, and soon there."""

import calendar
import json
import multiprocessing
import re
import shutil
import time
from datetime import datetime

import psutil
import pytest

from support.schema import TIMESTAMP
from support.waiting import wait_until


NUMBER = (int, float)
NULL = type(None)
# The schema's fields in its order, and what may stand there.
SCHEMA = {
    "timestamp": (str,),
    "node_id": (str,),
    "cpu_percent": NUMBER,
    "memory_percent": NUMBER,
    "disk_percent": NUMBER,
    "gpu_available": (bool,),
    "gpu_percent": (*NUMBER, NULL),
    "gpu_memory_percent": (*NUMBER, NULL),
    "is_reachable": (bool,),
    "ping_latency_ms": (*NUMBER, NULL),
    "mcp_server_running": (bool,),
    "mcp_port": (int, NULL),
    "last_heartbeat": (str,),
}
OWN = {
    "load_1": NUMBER,
    "load_5": NUMBER,
    "load_15": NUMBER,
    "uptime_s": (int,),
    "memory_total_bytes": (int,),
    "memory_available_bytes": (int,),
    "agent_version": (str,),
    "boot_id": (str,),
    "instance_id": (str,),
    "seq": (int,),
    "loop_lag_ms": NUMBER,
}


def assert_type(key, value, types):
    # bool is an int to Python, but true is no number to the readers.
    if isinstance(value, bool):
        assert bool in types, f"{key}: {value!r}"
    else:
        assert isinstance(value, types), f"{key}: {value!r}"


def test_a_beat_is_to_the_letter_what_the_schema_says(redis_server, make_agent):
    make_agent(redis_server.url(), "hog", settings={"heartbeat.ttl": "7s"})
    beat = redis_server.wait_for_beat("hog", lambda h: h["ping_latency_ms"] is not None)
    health = beat.health

    assert list(health)[: len(SCHEMA)] == list(SCHEMA)
    for key, types in {**SCHEMA, **OWN}.items():
        assert_type(key, health[key], types)
    for key in ("cpu_percent", "memory_percent", "disk_percent"):
        assert 0 <= health[key] <= 100
    assert health["node_id"] == "hog"
    assert health["is_reachable"] is True and "reason" not in health
    assert health["gpu_available"] is False and health["gpu_percent"] is None
    assert health["mcp_server_running"] is False and health["mcp_port"] is None
    assert TIMESTAMP.fullmatch(health["timestamp"]) and TIMESTAMP.fullmatch(health["last_heartbeat"])
    assert 0 < health["ping_latency_ms"] < 1000

    # Compact: nothing between the tokens that a reader's own compact writer would not put there.
    assert not re.search(r'[,:{\[] |\n', re.sub(r'"(\\.|[^"\\])*"', '""', beat.text))

    client = redis_server.client()
    assert client.type("node:health:hog") == "hash"
    assert client.hkeys("node:health:hog") == ["health"]
    assert 5000 < beat.ttl_ms <= 7000


def test_timestamps_are_utc(redis_server, make_agent):
    make_agent(redis_server.url())
    text = redis_server.wait_for_beat("ook").health["timestamp"]
    whole, fraction = text.split(".")
    # Read as what it claims to be: UTC without a suffix.
    told = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(fraction) / 1e6
    assert abs(time.time() - told) < 5


def test_nothing_else_is_written(redis_server, make_agent):
    make_agent(redis_server.url(), "hog")
    redis_server.wait_for_beat("hog", lambda h: h["seq"] >= 5)
    wait_until(lambda: redis_server.client().exists("nodebeat:watch"))
    assert sorted(redis_server.client().keys()) == [
        "node:health:hog", "nodebeat:lease:hog", "nodebeat:nodes", "nodebeat:watch", "stream:node_metrics:hog"
    ]
    # The agents' own list of all nodes that were ever here. It matches no pattern of other readers.
    assert redis_server.client().hkeys("nodebeat:nodes") == ["hog"]


def test_value_and_expiry_are_one_transaction(redis_server, make_agent):
    """In what Redis carries out, HSET and PEXPIRE of the key stand in one MULTI ... EXEC."""
    transactions, inside = [], None
    with redis_server.client(client_name="monitor").monitor() as monitor:
        make_agent(redis_server.url())
        while len(transactions) < 4:
            name, *arguments = monitor.next_command()["command"].split(" ")
            name = name.upper()
            if name == "MULTI":
                inside = []
            elif name == "EXEC":
                transactions.append(inside)
                inside = None
            elif inside is not None:
                inside.append((name, arguments[0]))
            elif arguments != [] and arguments[0] != "nodebeat:nodes":
                assert name not in ("HSET", "PEXPIRE", "XADD", "PUBLISH"), f"{name} outside MULTI"
    for transaction in transactions:
        assert ("HSET", "node:health:ook") in transaction
        assert ("PEXPIRE", "node:health:ook") in transaction
        assert ("XADD", "stream:node_metrics:ook") in transaction


def test_no_reader_ever_sees_a_beat_without_expiry(redis_server, make_agent):
    """Not even at the moment in which the key comes to be."""
    make_agent(redis_server.url())
    client = redis_server.client()
    expiries, births = [], 0
    while births < 6:
        expiries.append(client.pttl("node:health:ook"))
        if expiries[-1] > 0:
            births += 1
            client.flushall()
    assert -1 not in expiries


def test_defaults_of_the_beat(run_cli):
    printed = run_cli("--node", "hog", "--print-config").stdout
    assert re.search(r'^interval = "5s" +# from default$', printed, re.M)
    assert re.search(r'^ttl = "15s" +# from default$', printed, re.M)


# --- true ---------------------------------------------------------------------------------------


def test_memory_is_what_a_person_would_say(redis_server, make_agent):
    make_agent(redis_server.url())

    def agrees():
        health = redis_server.beat("ook").health
        truth = psutil.virtual_memory()
        if health["memory_total_bytes"] < truth.total:  # a cgroup's limit is the smaller one
            total, available = health["memory_total_bytes"], health["memory_available_bytes"]
            return abs(health["memory_percent"] - 100 * (1 - available / total)) < 0.1
        used = 100 * (1 - truth.available / truth.total)
        return abs(health["memory_percent"] - used) < 3

    redis_server.wait_for_beat("ook")
    wait_until(agrees, 5, lambda: f"{redis_server.beat('ook')} against {psutil.virtual_memory()}")


def test_disk_is_the_fullest_of_those_configured(redis_server, make_agent):
    make_agent(redis_server.url(), settings={"health.disks": ["/", "/dev/shm", "/nowhere/at/all"]})
    health = redis_server.wait_for_beat("ook", lambda h: len(h.get("disks", [])) >= 2).health
    told = {disk["path"]: disk["percent"] for disk in health["disks"]}
    assert health["disks"][2] == {
        "path": "/nowhere/at/all", "percent": None, "problem": "not mounted"
    }
    del told["/nowhere/at/all"]
    for path in ("/", "/dev/shm"):
        usage = shutil.disk_usage(path)
        # As df counts: of what a user may have, without what is kept for root.
        percent = 100 * usage.used / (usage.used + usage.free)
        assert told[path] == pytest.approx(percent, abs=2)
    assert health["disk_percent"] == max(told.values())


def test_a_file_system_that_hangs_stalls_neither_beat_nor_stop(redis_server, make_agent, isolated,
                                                               tmp_path):
    hung = tmp_path / "nfs"
    hung.mkdir()
    wrapper, _ = isolated(hung_mount=hung)
    agent = make_agent(
        redis_server.url(), wrapper=wrapper, settings={"health.disks": [str(hung), "/"]},
        # The leak checker stops every thread first; the one inside the kernel can't be stopped.
        env={"ASAN_OPTIONS": "detect_leaks=0"},
    )
    health = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 20, 6).health
    assert health["disks"][0] == {"path": str(hung), "percent": None, "problem": "no answer"}
    assert health["disk_percent"] == health["disks"][1]["percent"]
    agent.stop()


@pytest.fixture
def busy_processors():
    """Every processor of this machine is busy."""
    with multiprocessing.get_context("spawn").Pool(psutil.cpu_count()) as pool:
        ready = [pool.apply_async(abs, (1,)) for _ in range(psutil.cpu_count())]
        assert [r.get(20) for r in ready]
        for _ in ready:
            pool.apply_async(pow, (3, 10**8))  # one multiplication that outlasts the test
        wait_until(lambda: psutil.cpu_percent(0.1) > 90, 10, "a busy machine")
        yield
        pool.terminate()


def test_cpu_is_the_present_not_the_mean_since_boot(redis_server, make_agent, busy_processors):
    """From the very first beat on: it, too, has two samples behind it."""
    make_agent(redis_server.url())
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    first = redis_server.history("ook")[0]
    assert first["seq"] == 1
    assert first["cpu_percent"] > 80
    redis_server.wait_for_beat("ook", lambda h: h["cpu_percent"] > 90)


def test_cpu_agrees_with_another_observer(redis_server, make_agent):
    make_agent(redis_server.url(), settings={"heartbeat.interval": "500ms"})

    def agrees():
        before = redis_server.wait_for_beat("ook").health["seq"]
        redis_server.wait_for_beat("ook", lambda h: h["seq"] > before)
        psutil.cpu_percent()
        beat = redis_server.wait_for_beat("ook", lambda h: h["seq"] > before + 1).health
        mine = psutil.cpu_percent()
        return beat["seq"] == before + 2 and abs(beat["cpu_percent"] - mine) < 15

    wait_until(agrees, 15)


def test_latency_is_the_links_round_trip(redis_server, make_agent, proxy):
    way = proxy(redis_server)
    way.delay = 0.03
    make_agent(way.url())
    health = redis_server.wait_for_beat("ook", lambda h: h["ping_latency_ms"] is not None).health
    assert health["ping_latency_ms"] >= 60
    way.delay = 0
    redis_server.wait_for_beat("ook", lambda h: (h["ping_latency_ms"] or 99) < 30)


def test_identity_and_sequence(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    first = redis_server.wait_for_beat("ook").health
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert first["boot_id"] == file.read().strip()
    later = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= first["seq"] + 3).health
    assert later["instance_id"] == first["instance_id"]
    assert [h["seq"] for h in redis_server.history("ook")] == list(
        range(1, len(redis_server.history("ook")) + 1)
    )
    agent.stop()
    make_agent(redis_server.url())
    again = redis_server.wait_for_beat("ook", lambda h: h["is_reachable"]).health
    assert again["instance_id"] != first["instance_id"]
    assert again["boot_id"] == first["boot_id"]


# --- history ------------------------------------------------------------------------------------


def test_history_has_every_beat(redis_server, make_agent):
    make_agent(redis_server.url())
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 5)
    entries = redis_server.client().xrange("stream:node_metrics:ook")
    assert all(list(fields) == ["health"] for _, fields in entries)

    def newest_is_the_slots():
        text, newest = (
            redis_server.client()
            .pipeline()
            .hget("node:health:ook", "health")
            .xrevrange("stream:node_metrics:ook", count=1)
            .execute()
        )
        return newest[0][1]["health"] == text

    assert newest_is_the_slots()


def test_history_is_bounded(make_redis, make_agent):
    server = make_redis(stream_node_max_entries=5)
    make_agent(server.url(), settings={"heartbeat.history_length": 10})
    server.wait_for_beat("ook", lambda h: h["seq"] >= 30)
    assert 10 <= server.client().xlen("stream:node_metrics:ook") <= 15


def test_history_can_be_switched_off(redis_server, make_agent):
    make_agent(redis_server.url(), settings={"heartbeat.history": False, "watch.enabled": False})
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 5)
    assert sorted(redis_server.client().keys()) == ["node:health:ook", "nodebeat:lease:ook", "nodebeat:nodes"]


# --- comings and goings -------------------------------------------------------------------------


def test_beats_too_large_for_the_history_go_out_without_it(redis_server, make_agent):
    probes = [{"name": f"probe-{i:057}", "type": "unix", "path": "/nowhere", "interval": "1s"}
              for i in range(32)]
    agent = make_agent(redis_server.url(), settings={"outbox.event_bytes": "4KiB"}, probes=probes)
    agent.wait_for_log("no place in the history")
    all_down = redis_server.wait_for_beat("ook", lambda h: len(h["probes"]) == 32).health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > all_down + 40)
    assert len(agent.logged("event_bytes")) == 1


def test_a_start_says_node_up_and_a_stop_says_node_down(redis_server, make_agent, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    agent = make_agent(redis_server.url(), settings={"heartbeat.interval": "10s",
                                                     "heartbeat.ttl": "20s"})
    up = events.wait_for("node_up")
    health = redis_server.wait_for_beat("ook").health
    assert list(up)[:3] == ["type", "node_id", "timestamp"]
    assert up["node_id"] == "ook" and TIMESTAMP.fullmatch(up["timestamp"])
    for key in ("instance_id", "boot_id", "agent_version"):
        assert up[key] == health[key]

    agent.stop()  # at once: the next beat would be ten seconds away
    down = events.wait_for("node_down", timeout=1)
    assert down["reason"] and down["instance_id"] == health["instance_id"]
    last = redis_server.beat("ook")
    assert last.health["is_reachable"] is False
    assert last.health["reason"] == down["reason"]
    assert last.ttl_ms > 0
    assert list(last.health)[: len(SCHEMA)] == list(SCHEMA)

    again = make_agent(redis_server.url())
    events.wait_for("node_up", lambda e: e["instance_id"] != up["instance_id"])
    assert redis_server.wait_for_beat("ook", lambda h: h["is_reachable"]).health.get("reason") is None
    assert not again.logged("another agent")


def test_one_node_up_however_often_the_link_breaks(redis_server, make_agent, proxy, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    way = proxy(redis_server)
    agent = make_agent(way.url())
    events.wait_for("node_up")
    # A beat later Redis has confirmed it, too: what is not confirmed is said again.
    first = redis_server.wait_for_beat("ook").health["timestamp"]
    redis_server.wait_for_beat("ook", lambda h: h["timestamp"] > first)
    for connects in range(2, 5):
        way.reset_all()
        wait_until(lambda: len(agent.logged("connected")) >= connects)
    events.wait_for("node_up")
    agent.stop()
    events.wait_for("node_down")
    assert len(events.of_type("node_up")) == 1


def test_everything_is_back_within_a_beat_after_redis_came_back_empty(redis_server, make_agent):
    make_agent(redis_server.url(), settings={"heartbeat.interval": "1s"})
    redis_server.wait_for_beat("ook")
    redis_server.client().flushall()
    redis_server.wait_for_beat("ook", timeout=1.5)

    redis_server.restart()
    redis_server.wait_for_beat("ook", timeout=1.5)


# --- databases ----------------------------------------------------------------------------------


def test_health_goes_to_the_database_of_that_name(redis_server, make_agent):
    make_agent(redis_server.url(), settings={"redis.db.health": 3, "redis.db.sessions": 2})
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3, db=3)
    assert redis_server.history("ook", db=3)
    for other in (0, 1, 2):
        assert redis_server.client(other).dbsize() == 0


def test_the_urls_database_is_used(redis_server, make_agent):
    make_agent(redis_server.url(db=5))
    redis_server.wait_for_beat("ook", db=5)
    assert redis_server.client().dbsize() == 0


def test_a_database_that_is_not_named_is_an_error(run_cli, tmp_path):
    config = tmp_path / "nodebeat.toml"
    config.write_text('[node]\nname = "ook"\n[redis.db]\nsessions = 2\n')
    done = run_cli("--config", config)
    assert done.returncode != 0
    assert "health" in done.stderr and str(config) in done.stderr


def test_a_database_that_the_server_lacks_is_never_database_0(make_redis, make_agent):
    server = make_redis(databases=4)
    agent = make_agent(server.url(), settings={"redis.db.health": 9})
    agent.wait_for_log("has no such database")
    wait_until(lambda: server.client().info()["total_connections_received"] > 6)
    assert all(server.client(db).dbsize() == 0 for db in range(4))
    assert len(agent.logged("has no such database")) == 1


def test_no_beat_follows_on_the_heels_of_another(redis_server, make_agent):
    """Each processor figure spans 2/5 of an interval at least, wherever on the grid a start falls."""
    interval = 0.4
    for i in range(5):
        node = f"grid-{i}"
        make_agent(redis_server.url(), node=node, settings={"heartbeat.interval": "400ms"})
        stream = f"stream:node_metrics:{node}"
        wait_until(lambda: redis_server.client().xlen(stream) >= 2, what="two beats in the history")
        first, second = (
            datetime.fromisoformat(json.loads(fields["health"])["timestamp"])
            for _, fields in redis_server.client().xrange(stream, count=2)
        )
        # And none is left out: after the last beat before an outage the next is never far. It is due
        # after 0.4 to 0.9 intervals.
        assert interval * 0.39 < (second - first).total_seconds() < interval * 1.4


def test_a_server_that_deletes_in_a_loop_causes_one_rewrite_a_beat(redis_server, make_agent, steady):
    redis = redis_server.client()
    agent = make_agent(redis_server.url(), settings={"heartbeat.interval": "500ms"})
    client = steady(agent)
    client.call("robot.update", current_pose="ready", ack="stored")
    for i in range(50):
        client.call("state.set", key=f"cell:{i}", value=i, ack="stored")
    before = client.call("agent.stats")["outbox"]["stored"]
    redis_server.wait_for_beat("ook")
    seq = client.call("health.get")["health"]["seq"]
    beats = 0
    while beats < 6:
        redis.delete("node:health:ook", "robot:state:ook", "nodebeat:nodes")
        beats = client.call("health.get")["health"]["seq"] - seq
    wait_until(lambda: redis.hexists("robot:state:ook", "state"))
    written = client.call("agent.stats")["outbox"]["stored"] - before
    # A beat, the agent's own keys and 50 values, each at most once a beat.
    assert written <= 8 * (50 + 6)
    assert len(agent.logged("redis has lost what was written")) == 1
