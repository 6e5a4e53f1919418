"""The watch over a whole cell: many nodes at once, another server, what a node costs Redis."""

import collections
import threading

import pytest

from support.waiting import wait_until
from support.watch import DEAD, FAST, NODES, PaperNode, holder, lease, told, wait_for_holder, wait_told


class PaperCell:
    """Nodes that are nothing but leases, which a thread renews in one write."""

    def __init__(self, redis, names, patience=5000):
        self.redis, self.patience = redis, patience
        self.alive = list(names)
        self.seq = 0
        self._renew()
        redis.hset(NODES, mapping=dict.fromkeys(self.alive, "{}"))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _renew(self):
        self.seq += 1
        self.redis.mset({f"nodebeat:lease:{name}": f"boot-1 run-1 {self.seq} 250 {self.patience}" for name in self.alive})

    def _run(self):
        while not self._over.wait(0.25):
            self._renew()

    def close(self):
        self._over.set()
        self._thread.join()


@pytest.mark.time_limit(90)
def test_120_of_200_nodes_at_once_are_one_event_then_single_ones(redis_server, make_agent, closing):
    redis = redis_server.client()
    heard = closing(redis_server.subscribe(patterns=["node:events:*"]))
    make_agent(redis_server.url(), "hog", settings=FAST)
    wait_for_holder(redis, "hog")
    names = [f"paper-{i}" for i in range(199)]
    cell = closing(PaperCell(redis_server.client(), names))
    seen = cell.seq
    wait_until(lambda: cell.seq > seen + 8, what="the watcher has seen them all renewed")
    gone, cell.alive = names[:120], names[120:]
    wait_until(lambda: heard.of_type("node_lost"), 60)
    assert [kind for kind, _ in told(redis)][0] == "watcher_uncertain", "nobody before that"
    wait_until(lambda: len(heard.of_type("node_lost")) >= 120, 60)
    assert collections.Counter(node for kind, node in told(redis) if kind == "node_lost") == dict.fromkeys(gone, 1)
    assert [kind for kind, _ in told(redis)].count("watcher_uncertain") == 1
    (uncertain,) = heard.of_type("watcher_uncertain")
    assert uncertain["silent"] >= 100 and uncertain["nodes"] == 200
    assert set(redis.hkeys(DEAD)) == set(gone)


@pytest.mark.own_users("the second server has none")
@pytest.mark.time_limit(90)
def test_a_failover_kills_nobody_and_forgets_no_death(make_redis, make_agent, proxy):
    """The replica becomes the server behind the same address, as behind Sentinel or a service's address."""
    first, second = make_redis(), make_redis()
    old, new = first.client(), second.client()
    new.replicaof("127.0.0.1", first.port)
    way = proxy(first)
    for name in ("hog", "ook"):
        make_agent(way.url(), name, settings=FAST)
        wait_for_holder(old, "hog")
    dead = PaperNode(old, "paper")
    wait_told(old, "node_lost", "paper")
    wait_until(lambda: new.hexists(DEAD, "paper") and lease(new, "ook"), what="the replica has it all")
    way.mode = "refuse"
    first.kill()
    new.replicaof("NO", "ONE")
    way.target = ("127.0.0.1", second.port)
    way.mode = "pass"
    seen = int(lease(new, "ook")[2])
    wait_until(lambda: int(lease(new, "ook")[2]) > seen + 8)
    wait_for_holder(new)
    dead.redis = new
    dead.renew(patience=600_000)
    wait_told(new, "node_returned", "paper")
    PaperNode(new, "other")
    wait_told(new, "node_lost", "other", timeout=30)
    assert collections.Counter(told(new)) == {
        ("node_lost", "paper"): 1, ("node_returned", "paper"): 1, ("node_lost", "other"): 1}


def calls(redis):
    return collections.Counter({name.removeprefix("cmdstat_"): facts["calls"]
                                for name, facts in redis.info("commandstats").items()})


@pytest.mark.time_limit(90)
def test_what_a_node_costs_redis_is_constant(redis_server, make_agent, connect, closing):
    """Neither KEYS nor SCAN; a renewal is one SET and one TIME; and a look is as many commands with 200 nodes as with 2."""
    redis = redis_server.client()
    hog = connect(make_agent(redis_server.url(), "hog", settings=FAST))
    wait_for_holder(redis, "hog")
    make_agent(redis_server.url(), "ook", settings={**FAST, "watch.enabled": False})

    def wait_for_nodes(count):
        wait_until(lambda: hog.call("agent.stats")["watch"]["nodes"] == count)

    wait_for_nodes(2)

    def cost_of(renewals):
        """What both agents ask for meanwhile, a renewal of the watched one."""
        first, before = int(lease(redis, "ook")[2]), calls(redis)
        wait_until(lambda: int(lease(redis, "ook")[2]) >= first + renewals, 30)
        return {name: count / renewals for name, count in (calls(redis) - before).items()}

    alone = cost_of(16)
    closing(PaperCell(redis_server.client(), [f"paper-{i}" for i in range(198)], 600_000))
    wait_for_nodes(200)
    crowd = cost_of(16)
    assert holder(redis) == ("hog", 1)
    assert {"keys", "scan"}.isdisjoint(calls(redis))
    # Of two agents one a renewal, and the watch; either may have come by once more meanwhile.
    assert 1.5 <= alone["set"] <= 3.5 and 1.5 <= crowd["set"] <= 3.5
    assert 1.5 <= alone["time"] <= 3.5 and 1.5 <= crowd["time"] <= 3.5
    assert crowd["evalsha"] <= alone["evalsha"] + 1
    # A look reads each lease once.
    assert crowd["getrange"] / 200 <= alone["getrange"] / 2 + 1
