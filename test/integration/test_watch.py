"""Which nodes are lost, as the agent that watches the cell announces it, whatever happens meanwhile."""

import json
import re
import threading
from types import SimpleNamespace

import pytest

from support import processes
from support.ctl import find_ctl
from support.network import Network, allowed, fill_with_foreign_keys
from support.schema import TIMESTAMP
from support.waiting import wait_until
from support.watch import (DEAD, FAST, NODES, WATCH, PaperNode, holder, lease, told, wait_for_holder,
                           wait_told)

CHANNELS = ["node:events:*"]


@pytest.fixture
def watched(redis_server, make_agent, closing):
    """hog watches, ook is beside it, both with the quickest leases; what is said of nodes is heard."""
    redis = redis_server.client()
    heard = closing(redis_server.subscribe(patterns=CHANNELS))
    hog = make_agent(redis_server.url(), "hog", settings=FAST)
    wait_for_holder(redis, "hog")
    ook = make_agent(redis_server.url(), "ook", settings=FAST)
    wait_until(lambda: lease(redis, "ook"))
    return SimpleNamespace(server=redis_server, redis=redis, hog=hog, ook=ook, heard=heard)


def assert_only_this_dies(cell, name="paper", patience=1000):
    """Proves that the watcher is at work by a node that is nothing but a lease; nobody else was lost."""
    PaperNode(cell.redis, name, patience)
    wait_told(cell.redis, "node_lost", name)
    assert [node for kind, node in told(cell.redis) if kind == "node_lost"] == [name]


def health(redis, node):
    text = redis.hget(f"node:health:{node}", "health")
    return json.loads(text) if text else None


# --- a node goes and comes back -----------------------------------------------------------------


def test_a_lease_is_renewed(redis_server, make_agent):
    redis = redis_server.client()
    agent = make_agent(redis_server.url(), settings={"lease.interval": "250ms", "lease.patience": "1500ms"})
    boot, instance, first, interval, patience = wait_until(lambda: lease(redis, "ook"))
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert boot == file.read().strip()
    assert instance.startswith("ook-") and (interval, patience) == ("250", "1500")
    wait_until(lambda: int(lease(redis, "ook")[2]) > int(first) + 3)
    assert lease(redis, "ook")[:2] == [boot, instance]
    assert 86_000_000 < redis.pttl("nodebeat:lease:ook") <= 86_400_000
    agent.write_config(lease__patience="2s")
    agent.reload()
    wait_until(lambda: lease(redis, "ook")[4] == "2000")


def test_a_clean_stop_is_no_death(watched):
    watched.ook.stop()
    watched.heard.wait_for("node_down")
    assert lease(watched.redis, "ook")[4] == "0"
    assert_only_this_dies(watched)


def test_a_killed_agent_is_lost_once_and_returns(watched, make_agent):
    redis = watched.redis
    before = watched.server.wait_for_beat("ook").health
    run = lease(redis, "ook")
    watched.ook.kill()
    lost = watched.heard.wait_for("node_lost")
    assert lost.pop("last_change_ms") >= 900
    assert re.fullmatch(TIMESTAMP, lost.pop("timestamp"))
    assert lost == {"type": "node_lost", "node_id": "ook", "instance_id": run[1], "boot_id": run[0],
                    "cause": "lease not renewed", "watcher": "hog"}
    now = health(redis, "ook")
    assert now["is_reachable"] is False and re.match("lease not renewed for .* s .seen by hog", now["reason"])
    assert now["node_id"] == "ook" and now["seq"] >= before["seq"]
    assert redis.pttl("node:health:ook") > 80_000_000
    assert redis.hgetall(DEAD) == {"ook": redis.get("nodebeat:lease:ook")}

    make_agent(watched.server.url(), "ook", settings=FAST)
    back = watched.heard.wait_for("node_returned")
    assert (back["how"], back["node_id"], back["watcher"]) == ("restarted", "ook", "hog")
    watched.server.wait_for_beat("ook", lambda h: h["is_reachable"] and "reason" not in h)
    assert not redis.exists(DEAD)
    assert told(redis) == [("node_lost", "ook"), ("node_returned", "ook")]
    assert len(watched.heard.of_type("node_lost")) == 1


def test_who_was_only_held_up_comes_back_as_the_same_run(watched):
    processes.pause(watched.ook.process)
    wait_told(watched.redis, "node_lost", "ook")
    assert health(watched.redis, "ook")["is_reachable"] is False
    processes.resume(watched.ook.process)
    assert watched.heard.wait_for("node_returned")["how"] == "network"
    wait_until(lambda: health(watched.redis, "ook")["is_reachable"])


def test_a_reboot_is_told_from_a_restart(watched):
    node = PaperNode(watched.redis, "paper")
    wait_told(watched.redis, "node_lost", "paper")
    node.renew(boot="boot-2", instance="run-2", patience=0)
    assert watched.heard.wait_for("node_returned")["how"] == "rebooted"


def test_a_node_without_a_health_gets_one(watched):
    PaperNode(watched.redis, "paper")
    wait_told(watched.redis, "node_lost", "paper")
    made = health(watched.redis, "paper")
    assert made["is_reachable"] is False and made["cpu_percent"] == 0 and made["gpu_percent"] is None
    assert re.fullmatch(TIMESTAMP, made["last_heartbeat"]) and made["last_heartbeat"] < made["timestamp"]


def test_a_suspect_is_shown_and_withdrawn_without_alarm(watched):
    node = PaperNode(watched.redis, "paper", patience=4000)
    watched.heard.wait_for("node_suspect", lambda e: e["node_id"] == "paper")
    node.renew(patience=0)
    watched.heard.wait_for("node_cleared", lambda e: e["node_id"] == "paper")
    assert told(watched.redis) == []


def test_the_own_patience_of_each_node_counts(watched):
    PaperNode(watched.redis, "slow", patience=600_000)
    PaperNode(watched.redis, "quick", patience=1000)
    wait_told(watched.redis, "node_lost", "quick")
    assert told(watched.redis) == [("node_lost", "quick")]


def test_a_forgotten_node_leaves_nothing(watched, connect):
    redis = watched.redis
    watched.ook.kill()
    wait_told(redis, "node_lost", "ook")
    client = connect(watched.hog)
    client.call("node.forget", node="ook")
    assert not redis.exists(DEAD, "nodebeat:lease:ook", "node:health:ook")
    assert redis.hkeys(NODES) == ["hog"]
    assert "ook" not in client.call("system.status")["nodes_health"]


@pytest.mark.time_limit(60)
@pytest.mark.own_users("its server is not where the users are known")
def test_a_host_whose_cable_is_pulled_is_lost(make_redis, make_agent, closing):
    """With the usual lease. ./dev bench hosts measures how long it takes."""
    if not allowed():
        pytest.skip("only root may make network namespaces")
    network = closing(Network())
    store, node = network.add("store"), network.add("node")
    server = make_redis(program=(*store.wrapper, "redis-server"), bind="0.0.0.0", protected_mode="no")
    redis = server.client()
    fill_with_foreign_keys(redis)
    heard = closing(server.subscribe(patterns=CHANNELS))
    url = f"redis://{store.address}:{server.port}"
    make_agent(url, "hog", wrapper=store.wrapper)
    wait_for_holder(redis, "hog")
    make_agent(url, "ook", wrapper=node.wrapper)
    wait_until(lambda: lease(redis, "ook"))
    network.cut("node")
    assert heard.wait_for("node_lost", timeout=30)["node_id"] == "ook"
    assert health(redis, "ook")["is_reachable"] is False
    network.join("node")
    assert heard.wait_for("node_returned", timeout=30)["how"] == "network"
    assert told(redis) == [("node_lost", "ook"), ("node_returned", "ook")]


# --- the watch moves ----------------------------------------------------------------------------


def test_a_clean_stop_of_the_holder_moves_the_watch(watched):
    watched.hog.stop()
    wait_for_holder(watched.redis, "ook")
    assert_only_this_dies(watched)


def test_the_watch_moves_when_its_holder_is_killed(watched, connect, make_agent):
    eek = make_agent(watched.server.url(), "eek", settings=FAST)
    wait_until(lambda: lease(watched.redis, "eek"))
    watched.hog.kill()
    watched.ook.kill()  # at the same time
    assert wait_for_holder(watched.redis, "eek", after=1)[1] == 2
    for node in ("hog", "ook"):
        wait_told(watched.redis, "node_lost", node)
    assert sorted(told(watched.redis)) == [("node_lost", "hog"), ("node_lost", "ook")]
    stats = connect(eek).call("agent.stats")["watch"]
    assert (stats["role"], stats["node"], stats["term"], stats["lost"]) == ("watching", "eek", 2, 2)


def test_deaths_that_one_watcher_has_announced_the_next_withdraws(watched):
    node = PaperNode(watched.redis, "paper")
    wait_told(watched.redis, "node_lost", "paper")
    watched.hog.stop()
    wait_for_holder(watched.redis, "ook")
    node.renew(patience=0)
    wait_told(watched.redis, "node_returned", "paper")
    assert told(watched.redis) == [("node_lost", "paper"), ("node_returned", "paper")]


def test_a_holder_that_was_held_up_kills_nobody(watched, make_agent):
    """It is stopped, loses the watch, is announced as lost itself, and comes back."""
    redis = watched.redis
    make_agent(watched.server.url(), "eek", settings=FAST)
    wait_until(lambda: lease(redis, "eek"))
    processes.pause(watched.hog.process)
    (node, term) = wait_for_holder(redis, after=1)
    assert node != "hog" and term == 2
    wait_told(redis, "node_lost", "hog")
    seen = int(lease(redis, "eek")[2])
    wait_until(lambda: int(lease(redis, "eek")[2]) > seen + 8)  # longer than anybody's patience
    processes.resume(watched.hog.process)
    watched.hog.wait_for_log(f"node '{node}' watches the nodes of the cell now")
    wait_told(redis, "node_returned", "hog")
    PaperNode(redis, "paper")
    wait_told(redis, "node_lost", "paper")
    assert told(redis) == [("node_lost", "hog"), ("node_returned", "hog"), ("node_lost", "paper")]
    assert holder(redis) == (node, 2)


def test_a_holder_that_is_cut_off_loses_the_watch(redis_server, make_agent, proxy):
    redis = redis_server.client()
    way = proxy(redis_server)
    hog = make_agent(way.url(), "hog", settings=FAST)
    wait_for_holder(redis, "hog")
    make_agent(redis_server.url(), "ook", settings=FAST)
    wait_until(lambda: lease(redis, "ook"))
    way.mode = "black_hole"
    wait_for_holder(redis, "ook", after=1)
    wait_told(redis, "node_lost", "hog")
    way.mode = "pass"
    wait_told(redis, "node_returned", "hog")
    hog.wait_for_log("node 'ook' watches the nodes of the cell now")
    assert told(redis) == [("node_lost", "hog"), ("node_returned", "hog")]


@pytest.mark.time_limit(60)
def test_a_dozen_agents_that_start_at_once(redis_server, make_agent, connect):
    redis = redis_server.client()
    names = ["ook", "hog", *(f"{kind}-{i}" for kind in ("node", "grid") for i in range(5))]
    agents = [make_agent(redis_server.url(), name, settings=FAST) for name in names]
    node, term = wait_for_holder(redis)
    assert term == 1
    wait_until(lambda: all(lease(redis, name) for name in names), 30)
    clients = [connect(agent) for agent in agents]

    def roles():
        return sorted(client.call("agent.stats")["watch"]["role"] for client in clients)

    wait_until(lambda: roles() == ["watched"] * 11 + ["watching"], 20, lambda: str(roles()))
    watching = next(c for c, name in zip(clients, names) if name == node)
    wait_until(lambda: watching.call("agent.stats")["watch"]["nodes"] == 12)
    assert_only_this_dies(SimpleNamespace(redis=redis))
    assert holder(redis)[1] == 1


# --- Redis is held up, restarted, emptied, gone -------------------------------------------------


@pytest.mark.time_limit(60)
def test_a_redis_that_is_held_up_kills_nobody(watched):
    """Longer than anybody's patience is, each time."""
    for _ in range(5):
        seen = int(lease(watched.redis, "ook")[2])
        watched.server.pause()
        resume = threading.Timer(1.3, watched.server.resume)
        resume.start()
        resume.join()
        wait_until(lambda: int(lease(watched.redis, "ook")[2]) > seen + 2)
    assert_only_this_dies(watched)


def test_a_redis_that_was_restarted_kills_nobody(watched):
    watched.server.restart()
    watched.redis = watched.server.client()
    wait_for_holder(watched.redis)
    wait_until(lambda: watched.redis.hlen(NODES) == 2)
    assert_only_this_dies(watched)


def test_a_redis_that_comes_back_with_old_leases_kills_nobody(watched):
    """Its dump is older than what it had."""
    watched.redis.save()
    seen = int(lease(watched.redis, "ook")[2])
    wait_until(lambda: int(lease(watched.redis, "ook")[2]) > seen + 3)
    watched.server.restart(dbfilename="dump.rdb")
    watched.redis = watched.server.client()
    wait_until(lambda: int(lease(watched.redis, "ook")[2]) > seen + 3)
    assert_only_this_dies(watched)


def test_a_redis_that_was_emptied_kills_nobody(watched):
    for _ in range(3):
        watched.redis.flushall()
        wait_until(lambda: lease(watched.redis, "ook") and lease(watched.redis, "hog"))
    wait_for_holder(watched.redis)
    wait_until(lambda: watched.redis.hlen(NODES) == 2)
    assert_only_this_dies(watched)


@pytest.mark.parametrize("taken", ["the list", "one entry"])
def test_a_node_that_was_taken_out_of_the_list_is_watched_again(watched, taken):
    """By hand, or since the key was evicted: nobody watches a node that is not in the list."""
    if taken == "the list":
        watched.redis.delete(NODES)
    else:
        watched.redis.hdel(NODES, "ook")
    wait_until(lambda: {"hog", "ook"} <= set(watched.redis.hkeys(NODES)), 30)
    watched.ook.kill()
    wait_told(watched.redis, "node_lost", "ook", 40)


def test_who_dies_while_redis_is_away_is_announced_afterwards(watched):
    watched.redis.config_set("save", "")
    watched.redis.save()
    watched.server.kill()
    watched.ook.kill()
    watched.server.start(dbfilename="dump.rdb")
    watched.redis = watched.server.client()
    wait_told(watched.redis, "node_lost", "ook")
    assert told(watched.redis) == [("node_lost", "ook")]


def test_a_redis_that_takes_no_writes_kills_nobody(watched, connect):
    """The leases stand still for longer than anybody's patience."""
    clients = [connect(agent) for agent in (watched.hog, watched.ook)]
    watched.redis.config_set("maxmemory", 1)
    wait_until(lambda: clients[0].call("agent.stats")["watch"]["role"] != "watching")
    seen = lease(watched.redis, "ook")
    wait_until(lambda: all(c.call("agent.stats")["link"]["failures"] > 50 for c in clients), 20)
    assert lease(watched.redis, "ook") == seen
    watched.redis.config_set("maxmemory", 0)
    wait_until(lambda: int(lease(watched.redis, "ook")[2]) > int(seen[2]))
    wait_for_holder(watched.redis, after=1)
    assert_only_this_dies(watched)
    assert [c.call("agent.stats")["watch"]["trouble"] for c in clients] == [None] * 2


def test_a_key_that_is_evicted_again_and_again_holds_no_death_back(redis_server, make_agent):
    redis = redis_server.client()
    agent = make_agent(redis_server.url(), "hog", settings={**FAST, "heartbeat.interval": "500ms"})
    wait_for_holder(redis, "hog")
    redis_server.wait_for_beat("hog")
    PaperNode(redis, "paper")

    def evict_and_look():
        redis.delete("node:health:hog")
        return ("node_lost", "paper") in told(redis)

    wait_until(evict_and_look)
    agent.wait_for_log("redis has lost what was written")


def test_every_node_says_by_itself_that_redis_is_gone(watched, connect):
    clients = [connect(agent) for agent in (watched.hog, watched.ook)]
    for client in clients:
        client.call("event.subscribe", patterns=CHANNELS)
    watched.server.kill()
    for client, name in zip(clients, ("hog", "ook")):
        event = client.next_event(f"node:events:{name}")["event"]
        while event["type"] != "redis_gone":
            event = client.next_event(f"node:events:{name}")["event"]
        assert event["node_id"] == name and "closed" in event["reason"]
        assert client.call("agent.stats")["watch"]["role"] in ("unknown", "watching")
    watched.server.start()
    for client, name in zip(clients, ("hog", "ook")):
        wait_until(lambda: "redis_back" in [e["event"]["type"] for e in client.events()])
    watched.redis = watched.server.client()
    wait_for_holder(watched.redis)
    assert_only_this_dies(watched)


def test_a_silent_redis_is_gone_too(redis_server, make_agent, connect, proxy):
    way = proxy(redis_server)
    client = connect(make_agent(way.url(), settings=FAST))
    client.call("event.subscribe", channels=["node:events:ook"])
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    way.mode = "black_hole"
    event = client.next_event("node:events:ook")["event"]
    while event["type"] != "redis_gone":
        event = client.next_event("node:events:ook")["event"]
    assert "no answer" in event["reason"]


# --- clocks that are set --------------------------------------------------------------------------


@pytest.mark.real_processor("a library is made for the programs of this one")
def test_clocks_that_are_set_kill_nobody(make_redis, make_agent, plain_program, shifted):
    """Redis' by an hour, those of the watcher and of a watched node by a day, there and back."""
    before_redis, clock = shifted("redis")
    server = make_redis(program=(*before_redis, "redis-server"))
    redis = server.client()
    clocks = [clock]
    for name in ("hog", "ook"):
        wrapper, file = shifted(name)
        clocks.append(file)
        make_agent(server.url(), name, settings=FAST, wrapper=wrapper, program=plain_program)
        wait_until(lambda: lease(redis, name))
        wait_for_holder(redis, "hog")
    for shifts in (("3600", "86400", "-86400"), ("-3600", "-86400", "86400"), ("0", "0", "0")):
        for file, shift in zip(clocks, shifts):
            file.write_text(shift)
        seen = int(lease(redis, "ook")[2]) if lease(redis, "ook") else 0
        wait_until(lambda: lease(redis, "ook") and int(lease(redis, "ook")[2]) > seen + 8)
    assert_only_this_dies(SimpleNamespace(redis=redis))
    assert holder(redis) == ("hog", 1)


# --- many at once -------------------------------------------------------------------------------


def test_half_of_the_nodes_at_once_are_held_back_first(watched):
    redis, nodes = watched.redis, [PaperNode(watched.redis, f"paper-{i}", 2000) for i in range(4)]
    wait_until(lambda: len(watched.heard.of_type("watcher_uncertain")) == 1, 20)
    uncertain = watched.heard.of_type("watcher_uncertain")[0]
    assert uncertain["node_id"] == "hog" and 3 <= uncertain["silent"] <= 4 and uncertain["nodes"] == 6
    assert not watched.heard.of_type("node_lost")
    nodes[0].renew(patience=0)  # it was only away
    for node in nodes[1:]:
        wait_told(redis, "node_lost", node.name)
    kinds = [kind for kind, _ in told(redis)]
    assert kinds == ["watcher_uncertain", "watcher_sure", *["node_lost"] * 3]
    assert {node for kind, node in told(redis) if kind == "node_lost"} == {n.name for n in nodes[1:]}


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["no lease", "x" * 100_000], ids=["words", "long"])
def test_a_malformed_lease_is_named_and_nobody_dies_of_it(watched, text):
    PaperNode(watched.redis, "paper", patience=600_000).write(text)
    watched.hog.wait_for_log("the lease of node 'paper' is malformed")
    assert_only_this_dies(watched, "other")
    assert len(watched.hog.logged("lease of node 'paper' is malformed")) == 1


def test_a_lease_of_another_type_counts_as_none(watched):
    watched.redis.hset("nodebeat:lease:paper", "a", "b")
    watched.redis.hset(NODES, "paper", "{}")
    assert_only_this_dies(watched, "other")


def test_names_that_are_none_are_left_out(watched):
    for name in ("../x", "", "a b", "x" * 65):
        watched.redis.hset(NODES, name, "{}")
        watched.redis.set(f"nodebeat:lease:{name}", "b i 1 250 1000")
    assert_only_this_dies(watched)


@pytest.mark.parametrize("key", [NODES, DEAD])
@pytest.mark.parametrize("field", ["long", "x" * 5_000_000], ids=["text", "name"])
def test_what_is_too_long_for_a_list_ends_no_watching(watched, connect, key, field):
    """It is longer than any answer may be that the agent reads."""
    watched.redis.hset(key, field, "x" * 5_000_000)
    assert_only_this_dies(watched)
    assert connect(watched.hog).call("agent.stats")["watch"]["trouble"] is None


def trouble_of(agent, connect):
    said = processes.spawn([find_ctl(), "--socket", agent.socket_path, "doctor", "--json"], stdout=-1)
    findings = json.loads(said.communicate(timeout=20)[0])["findings"]
    watch = [f["text"] for f in findings if f["check"] == "watch" and f["level"] != "ok"]
    return connect(agent).call("agent.stats")["watch"]["trouble"], watch


@pytest.mark.parametrize("key", [NODES, DEAD])
def test_a_list_that_cannot_be_read_is_said_until_it_can(watched, connect, key):
    kept = watched.redis.hgetall(key)
    watched.redis.delete(key)
    watched.redis.set(key, "no list")
    watched.hog.wait_for_log(f"redis refuses the list of .*{key}.*: WRONGTYPE", timeout=20)
    trouble, said = trouble_of(watched.hog, connect)
    assert "WRONGTYPE" in trouble and said
    watched.redis.delete(key)
    if kept:
        watched.redis.hset(key, mapping=kept)
    watched.hog.wait_for_log("lets this agent watch the cell again", timeout=20)
    assert trouble_of(watched.hog, connect) == (None, [])
    assert len(watched.hog.logged("redis refuses the list")) == 1
    assert_only_this_dies(watched)


def test_a_list_of_too_many_is_said_and_the_known_nodes_are_watched(watched, connect):
    client = connect(watched.hog)
    wait_until(lambda: client.call("agent.stats")["watch"]["nodes"] == 2)
    watched.redis.hset(NODES, mapping={f"x{i}": "{}" for i in range(20_001)})
    watched.hog.wait_for_log("nodebeat:nodes.* is too long to be read: it has 20003 entries")
    trouble, said = trouble_of(watched.hog, connect)
    assert "20003 entries" in trouble and said
    watched.ook.kill()
    wait_told(watched.redis, "node_lost", "ook")


def test_nodes_for_which_there_is_no_room_are_counted(watched, connect):
    watched.redis.hset(NODES, mapping={f"x{i}": "{}" for i in range(10_005)})
    watched.hog.wait_for_log("the cell has 7 nodes more than the 10000 that can be watched")
    stats = connect(watched.hog).call("agent.stats")["watch"]
    assert (stats["nodes"], stats["left_out"]) == (10_000, 7)


def test_a_holder_that_gets_no_connection_says_so(redis_server, make_agent, connect):
    """Its link has one; the one by which it watches is refused."""
    redis = redis_server.client()
    hog = make_agent(redis_server.url(), "hog", settings=FAST)
    wait_for_holder(redis, "hog")
    client = connect(hog)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    most = redis.config_get("maxclients")["maxclients"]
    redis.config_set("maxclients", 1)
    for one in redis.client_list():
        if one["name"].endswith("-read"):
            redis.client_kill_filter(_id=one["id"])
    hog.wait_for_log("redis does not give this agent the .*max number of clients", timeout=30)
    assert client.call("agent.stats")["link"]["state"] == "steady"
    assert "max number of clients" in client.call("agent.stats")["watch"]["trouble"]
    redis.config_set("maxclients", most)
    wait_until(lambda: client.call("agent.stats")["watch"]["trouble"] is None, 20)
    assert_only_this_dies(SimpleNamespace(redis=redis))


@pytest.mark.parametrize("text", ["nonsense", "hog hog-1 1 1 0 0", "x" * 5000], ids=["words", "old", "long"])
def test_a_watch_of_nobody_is_taken_over(redis_server, make_agent, text):
    redis = redis_server.client()
    redis.set(WATCH, text)
    make_agent(redis_server.url(), settings=FAST)
    wait_for_holder(redis, "ook", after=1 if text.startswith("hog") else 0)


def test_an_agent_of_an_earlier_version_is_known_by_its_health(watched, connect):
    """It has a place in the list and a health, and no lease."""
    redis = watched.redis
    redis.hset(NODES, "old", '{"instance_id":"old-1","agent_version":"0.1.0"}')
    redis.hset("node:health:old", "health", json.dumps({**health(redis, "hog"), "node_id": "old"}))
    assert_only_this_dies(watched)
    status = connect(watched.ook).call("system.status")
    assert status["nodes_health"]["old"]["is_reachable"] is True
    redis.delete("node:health:old")
    PaperNode(redis, "second")
    wait_told(redis, "node_lost", "second")
    assert ("node_lost", "old") not in told(redis)
    wait_until(lambda: connect(watched.ook).call("system.status")["nodes_health"]["old"] is None)


def test_two_agents_of_one_name(watched, make_agent):
    """The name is in dispute, which is said; the node is there as long as one of them is."""
    second = make_agent(watched.server.url(), "ook", settings=FAST)
    watched.heard.wait_for("node_conflict")
    second.kill()
    assert_only_this_dies(watched)
    watched.ook.kill()
    wait_told(watched.redis, "node_lost", "ook")


def test_a_renamed_node_leaves_its_old_name_cleanly(watched, make_agent):
    watched.ook.stop()
    make_agent(watched.server.url(), "eek", settings=FAST)
    wait_until(lambda: lease(watched.redis, "eek"))
    assert_only_this_dies(watched)
    assert set(watched.redis.hkeys(NODES)) == {"hog", "ook", "eek", "paper"}


def test_two_cells_on_one_server_are_apart_by_their_databases(redis_server, make_agent):
    one, two = redis_server.client(db=1), redis_server.client(db=2)
    make_agent(redis_server.url(db=1), "hog", settings=FAST)
    make_agent(redis_server.url(db=2), "ook", settings=FAST)
    assert wait_for_holder(one) == ("hog", 1) and wait_for_holder(two) == ("ook", 1)
    PaperNode(one, "paper")
    wait_told(one, "node_lost", "paper")
    PaperNode(two, "other")
    wait_told(two, "node_lost", "other")
    assert told(one) == [("node_lost", "paper")] and told(two) == [("node_lost", "other")]


@pytest.mark.time_limit(60)
def test_nobody_may_watch(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={**FAST, "watch.enabled": False})
    agent.wait_for_log(r"nobody watches the nodes of this cell.*\[watch\] enabled = false", timeout=20)
    client = connect(agent)
    watch = client.call("agent.stats")["watch"]
    assert (watch["role"], watch["enabled"], watch["node"]) == ("nobody", False, None)
    said = processes.spawn([find_ctl(), "--socket", agent.socket_path, "doctor", "--json"], stdout=-1)
    findings = {f["check"]: f for f in json.loads(said.communicate(timeout=20)[0])["findings"]}
    assert findings["watch"]["level"] == "problem" and "[watch] enabled" in findings["watch"]["advice"]
    assert len(agent.logged("nobody watches")) == 1
    make_agent(redis_server.url(), "hog", settings=FAST)
    agent.wait_for_log("somebody watches the nodes of this cell again")
    wait_until(lambda: client.call("agent.stats")["watch"]["role"] == "watched")
    assert client.call("agent.stats")["watch"]["node"] == "hog"


@pytest.mark.own_users("it takes rights away")
def test_a_redis_that_refuses_lease_and_watch(redis_server, make_agent, connect):
    """As the users.acl of an earlier version does."""
    redis_server.client().execute_command(
        "ACL", "SETUSER", "old", "on", ">x", "~node:*", "~stream:*", "~nodebeat:nodes", "%R~*", "&*", "+@all",
        "-evalsha")
    agent = make_agent(redis_server.url("old:x@"), settings=FAST)
    agent.wait_for_log("refuses the lease of this node: NOPERM .*redis setup --force")
    agent.wait_for_log("refuses the watch: NOPERM .*redis setup --force")
    client = connect(agent)
    watch = client.call("agent.stats")["watch"]
    assert watch["lease_trouble"].startswith("NOPERM") and "NOPERM" in watch["trouble"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > 20)
    assert client.call("agent.stats")["link"]["state"] == "steady"
    assert len(agent.logged("refuses the (lease|watch)")) == 2
    assert client.call("agent.stats")["outbox"]["refused"] <= 2
    said = processes.spawn([find_ctl(), "--socket", agent.socket_path, "doctor", "--json"], stdout=-1)
    findings = json.loads(said.communicate(timeout=20)[0])["findings"]
    assert {"lease", "watch"} <= {f["check"] for f in findings if f["level"] != "ok"}
    redis_server.client().execute_command("ACL", "SETUSER", "old", "~*", "+evalsha")
    redis_server.client().execute_command("CLIENT", "KILL", "USER", "old")
    agent.wait_for_log("takes the lease of this node again")


@pytest.mark.own_users("it takes rights away")
def test_a_node_whose_lease_redis_begins_to_refuse_is_lost_only_when_its_health_is(watched, make_agent, connect):
    """The rights of its user were changed: its lease stands still, and it beats."""
    watched.redis.execute_command("ACL", "SETUSER", "arm", "on", ">x", "~*", "&*", "+@all")
    arm = make_agent(watched.server.url("arm:x@"), "arm", settings={**FAST, "watch.enabled": False, "heartbeat.ttl": "2s"})
    wait_until(lambda: lease(watched.redis, "arm"))
    watched.redis.execute_command("ACL", "SETUSER", "arm", "resetkeys", "~node:*", "~stream:*", "~robot:*",
                                  "~nodebeat:nodes", "%R~*")
    arm.wait_for_log("refuses the lease of this node: NOPERM")
    watched.server.wait_for_beat("arm", lambda h: h.get("lease_refused") is True)
    assert_only_this_dies(watched)
    client = connect(watched.hog)
    node = client.call("health.get", node="arm")
    assert (node["state"], node["source"]) == ("up", "health")

    arm.kill()
    wait_told(watched.redis, "node_lost", "arm")


# --- who watches is told ------------------------------------------------------------------------


def test_status_and_stats_tell_who_watches(watched, connect):
    stats = [connect(agent) for agent in (watched.hog, watched.ook)]
    wait_until(lambda: [c.call("agent.stats")["watch"]["role"] for c in stats] == ["watching", "watched"])
    wait_until(lambda: stats[0].call("agent.stats")["watch"]["nodes"] == 2)
    assert {c.call("agent.stats")["watch"]["node"] for c in stats} == {"hog"}
    for agent, words in ((watched.hog, "watches 2 nodes of the cell"), (watched.ook, "hog watches the cell")):
        said = processes.spawn([find_ctl(), "--socket", agent.socket_path, "status"], stdout=-1)
        assert words in said.communicate(timeout=20)[0].decode()


def test_an_expired_session_is_announced(watched, connect, closing):
    updates = closing(watched.server.subscribe("session-updates"))
    client = connect(watched.ook)
    client.call("session.create", session_id="s1", ttl_ms=400)
    made = wait_until(lambda: updates.messages)[0]
    over = wait_until(lambda: next((m for m in updates.messages if m.get("expired")), None))
    assert over["sessionId"] == "s1" and set(over) == {"sessionId", "expired", "timestamp"}
    assert over["timestamp"] - made["timestamp"] >= 400
    wait_until(lambda: watched.redis.zcard("nodebeat:sessions") == 0)
