#!/usr/bin/env python3
"""Contended compare-and-sets on one session, while Redis is killed and links break.

    sessions.py [--updates 100000] [--restarts 5] [--every 1000]

Eight writers, through four agents, raise their counts in one session. Each agent's link goes through a
relay that resets it once in about `every` pieces that pass (cutting_relay.cc). Redis writes its log with
each change (AOF always), and is killed and started again on the way. The bench prints the results of the
writers (session_writers.cc), and the errors; there must be none.

NODEBEATD names the daemon, BENCH_FOLDER where the programs of this folder were built; ./dev bench sessions
sets both.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from support.agent import Agent  # noqa: E402
from support.contended import SESSION, SETTINGS, Relay, contend, faults  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.rpc import Client  # noqa: E402
from support.waiting import wait_until  # noqa: E402

WRITERS = 8
NODES = ("hog", "ook", "eek", "left")


def bench(daemon, programs, folder, updates=100_000, restarts=5, every=1000):
    folder = Path(folder)
    server = RedisServer(folder / "redis", appendonly="yes", appendfsync="always").start()
    relay = Relay(Path(programs), server, len(NODES), every)
    agents = [Agent(daemon, folder / node, node, f"redis://127.0.0.1:{port}", settings=SETTINGS)
              for node, port in zip(NODES, relay.ports)]
    try:
        client = wait_until(lambda: Client(agents[0].socket_path),
                            ignoring=(FileNotFoundError, ConnectionRefusedError))
        client.call("session.create", session_id=SESSION, state={"w": [0] * WRITERS}, timeout_ms=20000, timeout=30)
        client.close()
        sockets = [agent.socket_path for agent in agents]
        figures = contend(Path(programs), sockets, updates, WRITERS, [server.restart] * restarts)
        figures["cuts"] = relay.end()
        figures["faults"] = faults(figures, server.client(), updates)
    finally:
        for agent in agents:
            agent.kill()
        relay.close()
        server.kill()
    print(f"\nsessions: {updates} contended compare-and-sets, {WRITERS} writers, {len(NODES)} agents, "
          f"{restarts} restarts of Redis, {figures['cuts']} links cut, {figures['seconds']} s")
    for name in ("conflicts", "doubts", "doubts_done", "unavailable"):
        print(f"  {name:12} {figures[name]}")
    print("  wrong:      ", "; ".join(figures["faults"]) or "nothing")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--every", type=int, default=1000)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="nodebeat-bench-")
    try:
        figures = bench(os.environ["NODEBEATD"], os.environ["BENCH_FOLDER"], folder, arguments.updates,
                        arguments.restarts, arguments.every)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if figures["faults"] else 0)


if __name__ == "__main__":
    main()
