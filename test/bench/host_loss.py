#!/usr/bin/env python3
"""How soon a computer whose packets are dropped silently, as with a pulled cable, is announced as lost.

    host_loss.py [--trials 100] [--profile default|fast]

Sixteen agents and a Redis have a network namespace each, on one switch. Another agent, beside the Redis,
watches. A computer is taken off the switch at a random moment, and put back when it has been announced
as lost. There are never so many away that the watcher would wait. The same database has 100,000
foreign keys with a time to live. The bench prints the time from the cut until a subscriber has `node_lost`; no
other node may be announced, and no node twice.

NODEBEATD names the daemon; ./dev bench hosts sets it. Only root may do this.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from support.agent import Agent  # noqa: E402
from support.network import Network, allowed, fill_with_foreign_keys  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from support.watch import FAST, lease, told, wait_for_holder  # noqa: E402

NODES = 16
AWAY = 5  # at once
PROFILES = {"default": ({}, 3.5), "fast": (FAST, 1.2)}
# Of the suite's settings only those that make no difference here.
USUAL = {"heartbeat.interval": "5s", "heartbeat.ttl": "15s", "redis.connect_timeout": None, "redis.ping_after": None,
         "redis.command_timeout": None, "redis.backoff_base": None, "redis.backoff_cap": None,
         "redis.stable_after": None}


class Trials:
    def __init__(self, network, server, heard, wanted):
        self.network, self.server, self.heard = network, server, heard
        self.left = wanted
        self.lock = threading.Lock()
        self.room = threading.Semaphore(AWAY)
        self.took = []
        self.cuts = collections.Counter()

    def events(self, kind, name):
        return [at for at, channel, text in list(self.heard.raw)
                if channel == f"node:events:{name}" and f'"type":"{kind}"' in text]

    def run(self, name):
        while True:
            with self.lock:
                if self.left == 0:
                    return
                self.left -= 1
            with self.room:
                time.sleep(random.uniform(0, 2))  # another phase of the lease each time
                self.cuts[name] += 1
                cut_at = time.monotonic()
                self.network.cut(name)
                wait_until(lambda: len(self.events("node_lost", name)) >= self.cuts[name], 30, f"{name} is lost")
                self.took.append(self.events("node_lost", name)[-1] - cut_at)
                self.network.join(name)
            wait_until(lambda: len(self.events("node_returned", name)) >= self.cuts[name], 60, f"{name} is back")


def measure(daemon, folder, profile, wanted):
    settings, limit = PROFILES[profile]
    network, agents, server, heard = Network(), [], None, None
    try:
        store = network.add("store")
        server = RedisServer(folder / "redis", program=(*store.wrapper, "redis-server"), bind="0.0.0.0",
                             protected_mode="no", maxclients=1000).start()
        redis = server.client()
        fill_with_foreign_keys(redis)
        url = f"redis://{store.address}:{server.port}"
        names = ["watcher", *(f"node-{i}" for i in range(NODES))]
        for name in names:
            host = store if name == "watcher" else network.add(name)
            own = {**USUAL, **settings, "watch.enabled": name == "watcher"}
            agents.append(Agent(daemon, folder / name, name, url, settings=own, wrapper=host.wrapper))
        wait_for_holder(redis, "watcher", timeout=30)
        wait_until(lambda: all(lease(redis, name) for name in names), 30)
        heard = server.subscribe(patterns=["node:events:*"])
        trials = Trials(network, server, heard, wanted)
        threads = [threading.Thread(target=trials.run, args=(name,)) for name in names[1:]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost = collections.Counter(node for kind, node in told(redis) if kind == "node_lost")
        kinds = collections.Counter(kind for kind, _ in told(redis))
        false = sum((lost - trials.cuts).values())
        return sorted(trials.took), limit, false, kinds
    finally:
        for agent in agents:
            agent.kill()
        if heard is not None:
            heard.close()
        if server is not None:
            server.kill()
        network.close()


def bench(daemon, folder, wanted=100, profiles=tuple(PROFILES)):
    if not allowed():
        sys.exit("bench: hosts: only root may make network namespaces")
    figures = {}
    for profile in profiles:
        own = Path(tempfile.mkdtemp(dir=folder))
        took, limit, false, kinds = measure(Path(daemon).resolve(), own, profile, wanted)
        within = sum(t <= limit for t in took)
        print(f"\na computer whose packets are dropped, until it is announced as lost, {profile} profile, seconds")
        print(f"  trials {len(took)}: least {took[0]:.3f}, median {took[len(took) // 2]:.3f}, "
              f"90 % {took[int(len(took) * 0.9)]:.3f}, most {took[-1]:.3f}")
        print(f"  within {limit} s: {within} of {len(took)}: {'reached' if within == len(took) else 'MISSED'}")
        print(f"  announced wrongly or twice: {false}; {dict(kinds)}", flush=True)
        figures[profile] = {"seconds": [round(t, 4) for t in took], "limit": limit, "within": within, "false": false}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--profile", choices=PROFILES, action="append")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="nodebeat-hosts-")
    try:
        bench(os.environ["NODEBEATD"], folder, arguments.trials, arguments.profile or tuple(PROFILES))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
