#!/usr/bin/env python3
"""Situations that must not be taken for a death: agents with the usual lease, real processes, one Redis.

    calm.py [--stage NAME] [--stops 100] [--starts 100] [--load-seconds 60] [--load-nice 0]

  stops    Redis is stopped (SIGSTOP) for up to 2 s, a hundred times
  holder   the agent that watches is stopped for 10 s and resumed, three times: the next watcher announces it alone
           as lost meanwhile, and withdraws that
  starts   a hundred more agents start at once
  load     all processors are busy, those of the watcher and of the watched agents

After each stage an agent is killed: only this agent may have been announced as lost, once. The bench also prints how
close it came: the number of suspects, the longest time without a renewal of a lease, and the greatest lateness of
the watcher's reads.

This keeps all processors busy for 30 minutes: ./dev bench calm --stage load --load-seconds 1800

NODEBEATD names the daemon; ./dev bench calm sets it.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from host_loss import USUAL  # noqa: E402
from support import processes  # noqa: E402
from support.agent import Agent  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.rpc import Client, Closed  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from support.watch import holder, lease, told, wait_for_holder  # noqa: E402

AGENTS = 12


class Cell:
    def __init__(self, daemon, folder):
        self.daemon, self.folder = daemon, folder
        self.server = RedisServer(folder / "redis", maxclients=2000).start()
        self.redis = self.server.client()
        self.agents = {}
        self.start(f"agent-{i}" for i in range(AGENTS))
        wait_for_holder(self.redis, timeout=30)

    def start(self, names):
        names = list(names)
        for name in names:
            self.agents[name] = Agent(self.daemon, self.folder / name, name, self.server.url(), settings=USUAL)
        wait_until(lambda: all(lease(self.redis, name) for name in names), 120)

    def kill_one(self):
        name = next(name for name in self.agents if name != holder(self.redis)[0])
        before = self.count("node_lost", name)
        self.agents.pop(name).kill()
        wait_until(lambda: self.count("node_lost", name) > before, 60, f"{name} is announced as lost")
        return name

    def count(self, kind, name):
        return told(self.redis).count((kind, name))

    def lost(self):
        return collections.Counter(node for kind, node in told(self.redis) if kind == "node_lost")

    def close(self):
        for agent in self.agents.values():
            agent.kill()
        self.server.kill()


class Gauge:
    """How close it came: reads all leases and the watcher's figures ten times a second, while its block runs."""

    def __init__(self, cell):
        self.cell = cell
        self.longest_still = self.longest_lag = 0.0
        self.looks = 0
        self.changed = {}  # name: what its lease was, and when that was seen first
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.heard = self.cell.server.subscribe(patterns=["node:events:*"])
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.heard.close()

    def run(self):
        while not self.ending.wait(0.1):
            try:
                self.look()
            except (OSError, Closed, AssertionError, redis.RedisError):
                pass  # Redis or the watcher is held up: the next look tells for how long

    def look(self):
        names = [*self.cell.agents]
        asked = time.monotonic()
        leases = self.cell.redis.mget(f"nodebeat:lease:{name}" for name in names)
        answered = time.monotonic()
        for name, text in zip(names, leases):
            before, since = self.changed.get(name, (None, answered))
            if text != before:
                self.changed[name] = (text, answered)
            else:  # from the answer that showed it first to the question whose answer shows it still
                self.longest_still = max(self.longest_still, asked - since)
        self.looks += 1
        watching = self.cell.agents.get((holder(self.cell.redis) or ("",))[0])
        if watching is not None:
            with contextlib.closing(Client(watching.socket_path, timeout=2)) as client:
                self.longest_lag = max(self.longest_lag, client.call("agent.stats")["watch"]["lag_ms"])

    def figures(self):
        suspects = [event["node_id"] for event in self.heard.of_type("node_suspect")]
        return {"suspects": len(suspects), "suspected_nodes": len(set(suspects)), "looks": self.looks,
                "longest_still_s": round(self.longest_still, 2), "longest_lag_ms": round(self.longest_lag, 1)}


def stops(cell, arguments):
    for _ in range(arguments.stops):
        cell.server.pause()
        time.sleep(random.uniform(0.1, 2))
        cell.server.resume()
        time.sleep(random.uniform(0.1, 1.5))
    return []


def stopped_holder(cell, _):
    expected = []
    for _ in range(3):
        name, term = wait_for_holder(cell.redis, timeout=30)
        before = cell.count("node_returned", name)
        processes.pause(cell.agents[name].process)
        time.sleep(10)
        processes.resume(cell.agents[name].process)
        wait_for_holder(cell.redis, after=term, timeout=30)
        wait_until(lambda: cell.count("node_returned", name) > before, 30, f"{name} has returned")
        expected.append(name)
    return expected


def starts(cell, arguments):
    cell.start(f"more-{i}" for i in range(arguments.starts))
    time.sleep(10)
    return []


def load(cell, arguments):
    busy = [subprocess.Popen(["nice", "-n", str(arguments.load_nice), sys.executable, "-c", "while True: pass"])
            for _ in range(2 * os.cpu_count())]
    try:
        time.sleep(arguments.load_seconds)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return []


def idle_s():
    """The time that the processors together were idle, since they were started."""
    idle, waiting = Path("/proc/stat").read_text().split()[4:6]
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


STAGES = {"stops": stops, "holder": stopped_holder, "starts": starts, "load": load}


def bench(daemon, folder, arguments):
    figures = {}
    cell = Cell(Path(daemon).resolve(), Path(tempfile.mkdtemp(dir=folder)))
    print("\nwhat must not be taken for a death")
    try:
        for name in arguments.stage or STAGES:
            figures[name] = run(cell, name, arguments)
    finally:
        cell.close()
    return figures


def run(cell, name, arguments):
    before = cell.lost()
    began, idle_before = time.monotonic(), idle_s()
    with Gauge(cell) as gauge:
        expected = STAGES[name](cell, arguments)
    seconds = time.monotonic() - began
    idle = (idle_s() - idle_before) / seconds / os.cpu_count()
    expected.append(cell.kill_one())
    wrong = cell.lost() - before - collections.Counter(expected)
    missing = collections.Counter(expected) - (cell.lost() - before)
    print(f"  {name:8} {seconds:6.0f} s, {len(cell.agents) + 1} agents, load {os.getloadavg()[0]:.1f}, "
          f"processors idle {idle:.1%}: announced wrongly {sum(wrong.values())} {dict(wrong) or ''}, "
          f"not announced {sum(missing.values())}, term {holder(cell.redis)[1]}: "
          f"{'MISSED' if wrong or missing else 'reached'}")
    close = gauge.figures()
    print(f"           suspects {close['suspects']} of {close['suspected_nodes']} nodes; a lease stood still for "
          f"{close['longest_still_s']} s at most, a look of the watcher was {close['longest_lag_ms']} ms late at most "
          f"({close['looks']} looks)", flush=True)
    return {"wrong": sum(wrong.values()), "missing": sum(missing.values()), "idle": idle, **close}


def arguments_of(parser):
    parser.add_argument("--stage", action="append", choices=[*STAGES],
                        help="of the calm, only this one; may be given several times")
    parser.add_argument("--stops", type=int, default=100, help="of Redis (default: 100)")
    parser.add_argument("--load-seconds", type=float, default=60, help="with all processors busy (default: 60)")
    parser.add_argument("--load-nice", type=int, default=0, metavar="N",
                        help="how nice those are that keep the processors busy (default: 0, as the agents)")
    parser.add_argument("--starts", type=int, default=100, help="agents at once (default: 100)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments_of(parser)
    folder = tempfile.mkdtemp(prefix="nodebeat-calm-")
    try:
        bench(os.environ["NODEBEATD"], folder, parser.parse_args())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
