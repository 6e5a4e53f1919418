#!/usr/bin/env python3
"""What must not be taken for a death: agents with the usual lease, real processes, one Redis.

    calm.py [--stops 100] [--load-seconds 60] [--starts 100]

  stops    Redis is stopped (SIGSTOP) for up to 2 s, a hundred times
  holder   the agent that watches is stopped for 10 s and resumed, three times: it alone is announced as lost
           meanwhile, by the next one, and withdrawn
  starts   a hundred more agents start at once
  load     all processors are busy, watcher's and watched ones' as well

After each stage an agent is killed: only that one may have been announced as lost, once.

NODEBEATD names the daemon; ./dev bench calm sets it.
"""

import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from host_loss import USUAL  # noqa: E402
from support import processes  # noqa: E402
from support.agent import Agent  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
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
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
    try:
        time.sleep(arguments.load_seconds)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return []


STAGES = {"stops": stops, "holder": stopped_holder, "starts": starts, "load": load}


def bench(daemon, folder, arguments):
    figures = {}
    cell = Cell(Path(daemon).resolve(), Path(tempfile.mkdtemp(dir=folder)))
    print("\nwhat must not be taken for a death")
    try:
        for name, stage in STAGES.items():
            before = cell.lost()
            began = time.monotonic()
            expected = stage(cell, arguments)
            expected.append(cell.kill_one())
            wrong = cell.lost() - before - collections.Counter(expected)
            missing = collections.Counter(expected) - (cell.lost() - before)
            figures[name] = {"wrong": sum(wrong.values()), "missing": sum(missing.values())}
            print(f"  {name:8} {time.monotonic() - began:6.0f} s, {len(cell.agents) + 1} agents, load "
                  f"{os.getloadavg()[0]:.1f}: announced wrongly {sum(wrong.values())} {dict(wrong) or ''}, "
                  f"not announced {sum(missing.values())}, term {holder(cell.redis)[1]}: "
                  f"{'MISSED' if wrong or missing else 'reached'}", flush=True)
    finally:
        cell.close()
    return figures


def arguments_of(parser):
    parser.add_argument("--stops", type=int, default=100, help="of Redis (default: 100)")
    parser.add_argument("--load-seconds", type=float, default=60, help="with all processors busy (default: 60)")
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
