"""The one view that an agent has of its cell: system.status and health.get answer from it."""

import itertools
import json

import pytest

from support import processes
from support.agent import environment
from support.ctl import find_ctl, run
from support.rpc import refused
from support.waiting import wait_until
from test_reads import fill_cell, health_of, whole_status


def lease_of(name, seq=1, patience_ms=3000):
    return f"boot {name}-1 {seq} 1000 {patience_ms}"


def state_of(client, node):
    return client.call("system.status")["nodes"].get(node, {}).get("state")


def asked(redis, *names):
    """How many of these commands Redis has carried out since its last reset."""
    stats = redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names)


@pytest.mark.time_limit(180)
def test_a_thousand_nodes_and_64_clients_at_once(redis_server, make_agent, steady, connect, sanitized):
    agent = make_agent(redis_server.url(), settings={
        "socket.max_clients": 96, "socket.max_clients_per_user": 90})
    client = steady(agent)
    redis_server.wait_for_beat("ook")
    redis = redis_server.client()
    fill_cell(redis, nodes=1000, pad="x" * 1500)
    redis.mset({f"nodebeat:lease:n{i:03}": lease_of(f"n{i:03}") for i in range(1000)})
    clients = [connect(agent) for _ in range(64)]

    def listing():
        """Each client lists the whole cell, all at the same time; how many looks that took."""
        before = asked(redis, "hlen")
        cursors, seen = dict.fromkeys(clients), {c: [] for c in clients}
        asking = set(clients)
        while asking:
            calls = {c: c.request("system.status", {"cursor": cursors[c]} if cursors[c] else {})
                     for c in asking}
            for c, call in calls.items():
                page = c.answer(call)
                assert len(json.dumps(page, separators=(",", ":"))) < 65536
                assert list(page["nodes"]) == list(page["nodes_health"]) == list(page["nodes_last_seen"])
                seen[c] += page["nodes"]
                cursors[c] = page["cursor"]
                if page["cursor"] is None:
                    asking.discard(c)
        everybody = sorted(["ook", *(f"n{i:03}" for i in range(1000))])
        assert all(names == everybody for names in seen.values()), "each node once, in order"
        return asked(redis, "hlen") - before

    listing()
    first = agent.own_memory()
    looks = [listing() for _ in range(3)]
    # A listing has some thirty pages, of two looks: healths of a megabyte are kept at a time. A view is new each
    # second, and the watcher counts the nodes, too: the slower the machine, the more looks. Each client by itself
    # would take 64 times 60.
    assert max(looks) < 64 * 15, looks
    if not sanitized:
        assert agent.own_memory() < first + (2 << 20)
        assert agent.own_memory() < 12 << 20
    assert client.call("agent.stats")["socket"]["clients"] == 65


def test_questions_within_a_second_are_answered_from_the_view(cell):
    fill_cell(cell.redis, nodes=20)
    cell.server.wait_for_beat("ook")
    wait_until(lambda: cell.client.call("system.status")["total_nodes"] == 21)

    def without_a_question():
        """On a busy machine a second may be over meanwhile."""
        status = cell.client.call("system.status")
        cell.redis.config_resetstat()
        answers = [cell.client.call("health.get", node=f"n{i:03}") for i in range(20)]
        return asked(cell.redis, "hstrlen") == 0 and (status, answers)

    status, answers = wait_until(without_a_question)
    for i, answer in enumerate(answers):
        node = status["nodes"][f"n{i:03}"]
        assert (answer["state"], answer["source"]) == (node["state"], node["source"]) == ("up", "health")
        assert answer["health"]["node_id"] == f"n{i:03}"


def test_health_get_alone_asks_once_a_second(cell):
    cell.redis.hset("node:health:python", "health", health_of("python"))
    cell.redis.config_resetstat()
    for _ in range(50):
        assert cell.client.call("health.get", node="python")["state"] == "up"
    assert asked(cell.redis, "hstrlen") < 20
    cell.redis.hset("node:health:python", "health", health_of("python", is_reachable=False, reason="off"))
    gone = wait_until(lambda: (h := cell.client.call("health.get", node="python"))["state"] == "down" and h)
    assert gone["cause"] == "off" and gone["since"]


def test_a_node_that_dies_is_suspect_and_then_down_and_up_again(cell, make_agent):
    hog = make_agent(cell.server.url(), "hog")
    wait_until(lambda: state_of(cell.client, "hog") == "up")
    assert cell.client.call("system.status")["nodes"]["hog"]["source"] == "lease"
    processes.pause(hog.process)
    states = []

    def is_down():
        state = state_of(cell.client, "hog")
        if state not in states[-1:]:
            states.append(state)
        return state == "down"

    wait_until(is_down)
    assert states in (["up", "suspect", "down"], ["suspect", "down"]), states
    node = cell.client.call("system.status")["nodes"]["hog"]
    assert "lease not renewed" in node["cause"] and node["since"]
    assert cell.client.call("system.status")["nodes_online"] == 1
    processes.resume(hog.process)
    wait_until(lambda: state_of(cell.client, "hog") == "up")
    node = cell.client.call("system.status")["nodes"]["hog"]
    assert "cause" not in node and node["since"]


def test_a_lease_that_is_none_leaves_the_health(cell):
    for name, lease in (("odd", "rubbish"), ("long", "x" * 100_000), ("old", None)):
        cell.redis.hset(f"node:health:{name}", "health", health_of(name))
        cell.redis.hset("nodebeat:nodes", name, "{}")
        if lease:
            cell.redis.set(f"nodebeat:lease:{name}", lease)
    cell.redis.rpush("nodebeat:lease:list", "x")
    cell.redis.hset("nodebeat:nodes", "list", "{}")
    status = wait_until(lambda: (s := cell.client.call("system.status"))["total_nodes"] == 5 and s)
    assert status["redis_connected"]
    for name in ("odd", "long", "old"):
        assert (status["nodes"][name]["state"], status["nodes"][name]["source"]) == ("up", "health")
    assert status["nodes"]["list"]["state"] == "unknown" and status["nodes"]["list"]["cause"] == "not seen yet"


def test_a_node_in_no_list_is_known_when_its_health_is_gone(cell, make_agent, steady):
    """Another program writes its health, and keeps no list."""
    other = steady(make_agent(cell.server.url(), "eek"))
    cell.redis.hset("node:health:python", "health", health_of("python"))
    wait_until(lambda: state_of(cell.client, "python") == "up")
    wait_until(lambda: cell.redis.hget("nodebeat:nodes", "python") == "{}")
    cell.redis.delete("node:health:python")
    wait_until(lambda: state_of(cell.client, "python") == "down")
    # Who is asked for the first time now knows at least that there is such a node.
    wait_until(lambda: state_of(other, "python") == "unknown")
    node = cell.client.call("system.status")["nodes"]["python"]
    assert node["cause"] == "its health has expired" and node["since"]
    assert cell.client.call("node.forget", node="python") == {}
    for client in (cell.client, other):
        wait_until(lambda client=client: state_of(client, "python") is None)


def test_without_redis_every_other_node_is_unknown_since_it_was_read(cell, make_agent, tmp_path):
    make_agent(cell.server.url(), "hog")
    # Its lease makes it up, which may be read before its first beat.
    wait_until(lambda: (s := cell.client.call("system.status"))["nodes_health"].get("hog")
               and s["nodes"]["hog"]["state"] == "up")
    cell.server.kill()
    status = wait_until(lambda: not (s := cell.client.call("system.status"))["redis_connected"] and s)
    hog = status["nodes"]["hog"]
    assert hog["state"] == "unknown" and hog["since"] < status["timestamp"] and hog["cause"]
    assert status["nodes_health"]["hog"] is None and status["nodes_last_seen"]["hog"]
    assert status["nodes"]["ook"]["state"] == "up" and status["nodes_health"]["ook"]
    assert (status["nodes_online"], status["total_nodes"]) == (1, 2)
    health = cell.client.call("health.get", node="hog")
    assert (health["state"], health["health"]) == ("unknown", None) and health["since"] == hog["since"]
    assert refused(cell.client, "health.get", node="eek").name == "unavailable"
    if find_ctl():
        env = environment(tmp_path / "sanitizer", NODEBEAT_SOCKET=cell.agent.socket_path,
                          LC_ALL="C.UTF-8", TZ="UTC")
        lines = run(find_ctl(), ["nodes"], env).stdout.splitlines()
        assert any(line.startswith("hog") and "unknown since" in line for line in lines), lines
        assert "1 of 2 nodes is up" in "\n".join(lines) or "1 of 2 nodes are up" in "\n".join(lines)
    cell.server.start()
    wait_until(lambda: state_of(cell.client, "hog") == "up")


def test_pages_that_are_read_slowly_have_each_node(cell):
    """A page of one node at a time, while the view is made anew again and again."""
    fill_cell(cell.redis, nodes=30)
    wait_until(lambda: cell.client.call("system.status")["total_nodes"] == 31)
    names, cursor = [], None
    for _ in itertools.count():
        page = cell.client.call("system.status", {"limit": 1, **({"cursor": cursor} if cursor else {})})
        names += page["nodes"]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert names == sorted({"ook", *(f"n{i:03}" for i in range(30))})
    assert len(whole_status(cell.client)[0]["nodes_health"]) == 31


# --- past beats


@pytest.mark.own_users("writes beats as another node's agent would")
def test_a_history_has_a_beat_of_each_step(cell):
    stream, last = "stream:node_metrics:hog", 1_795_183_300_000
    for i in range(100):
        health = {"node_id": "hog", "cpu_percent": i, "gpu_percent": None, "probes": []}
        cell.redis.xadd(stream, {"health": json.dumps(health)}, id=f"{last - (99 - i) * 1000}-0")
    history = cell.client.call("node.history", node="hog", range_ms=50_000, points=5,
                               fields=["cpu_percent", "gpu_percent", "probes"])
    assert history == {"node_id": "hog", "step_ms": 10_000, "complete": True,
                       "points": [[last - i * 10_000, 99 - i * 10, None, None] for i in range(5)]}
    own = cell.client.call("node.history", range_ms=60_000, fields=["cpu_percent"])
    assert own["node_id"] == "ook" and own["points"][0][1] >= 0
    assert cell.client.call("node.history", node="nobody", range_ms=1000, fields=[])["points"] == []
