#!/usr/bin/env python3
"""The cost of watching a large cell: 5,000 nodes at the defaults, one agent that watches.

    watching.py [--nodes 5000] [--seconds 20]

One program plays all nodes (lease_renewals.cc), with a connection each. The bench prints the part of one core that the
watching agent and Redis take; that of Redis also without a watcher, beside an agent that may not watch. At the
end twenty nodes fall silent, and the bench prints the time until `node_lost` of each.

NODEBEATD names the daemon, BENCH_FOLDER where the programs of this folder were built; ./dev bench watching
sets both.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import redis

from rig import Agent, Redis, busy_s, memory_kb, read, wait_for

INTERVAL_MS, PATIENCE_MS = 1000, 3000
SILENT = 20
MOST_CORE_PERCENT = 5
WARM_UP_S = 5


def wakeups(pid):
    return int(read(f"/proc/{pid}/status").split("\nvoluntary_ctxt_switches:")[1].split()[0])


@contextlib.contextmanager
def renewals(programs, port, nodes):
    process = subprocess.Popen(
        [os.path.join(programs, "lease_renewals"), str(port), str(nodes), str(INTERVAL_MS), str(PATIENCE_MS), "0",
         str(SILENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            sys.exit("bench: the nodes did not begin")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def measure(programs, daemon, folder, nodes, seconds, watches):
    with contextlib.ExitStack() as stack:
        server = Redis(folder)
        pid = stack.enter_context(server).pid
        name = "watching" if watches else "excluded"
        agent = Agent(daemon, server.port, folder, name, env={"NODEBEAT_WATCH_ENABLED": str(watches).lower()})
        agent_pid = stack.enter_context(agent).pid
        process = stack.enter_context(renewals(programs, server.port, nodes))
        if watches:
            wait_for(lambda: agent.call("agent.stats")["watch"].get("nodes", 0) > nodes, 30, "the agent knowing all nodes")
        time.sleep(WARM_UP_S)
        pids = {"agent": agent_pid, "redis": pid}
        before = {who: (busy_s(each), wakeups(each)) for who, each in pids.items()}
        start = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        figures = {f"{who}_core_percent": round((busy_s(each) - before[who][0]) / took * 100, 2)
                   for who, each in pids.items()}
        figures["agent_wakeups"] = round((wakeups(agent_pid) - before["agent"][1]) / took, 1)
        figures["agent_private_kb"] = memory_kb(agent_pid)["private_kb"]
        if watches:
            figures.update(fall_silent(process, server.port))
        renewed, late = process.communicate()[0].split()
        figures["renewals"], figures["late_renewals"] = int(renewed), int(late)
        return figures


def fall_silent(process, port):
    """From the moment at which some nodes fall silent, whose last renewals were within the interval before."""
    client = redis.Redis(port=port)
    events = client.pubsub()
    events.psubscribe("node:events:sim-*")
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    silent = time.monotonic()
    after = []
    while len(after) < SILENT and time.monotonic() - silent < 30:
        message = events.get_message(ignore_subscribe_messages=True, timeout=1)
        if message and json.loads(message["data"])["type"] == "node_lost":
            after.append(time.monotonic() - silent)
    client.close()
    return {"lost": len(after), "lost_median_s": round(statistics.median(after or [0]), 2),
            "lost_last_s": round(max(after, default=0), 2)}


def bench(daemon, programs, folder, nodes=5000, seconds=20):
    watching = measure(programs, daemon, folder, nodes, seconds, True)
    excluded = measure(programs, daemon, folder, nodes, seconds, False)
    print(f"\nwatching: {nodes} nodes that renew once a second, {seconds} s, in percent of one core")
    print(f"  the agent that watches      {watching['agent_core_percent']:6.2f} %   (one that may not: "
          f"{excluded['agent_core_percent']:.2f} %; at most {MOST_CORE_PERCENT} %)")
    reached = watching["agent_core_percent"] < MOST_CORE_PERCENT and watching["lost"] == SILENT
    print(f"  redis                       {watching['redis_core_percent']:6.2f} %   (without looks: "
          f"{excluded['redis_core_percent']:.2f} %)")
    print(f"  wake-ups a second           {watching['agent_wakeups']:6.1f}")
    print(f"  private memory              {watching['agent_private_kb']:6d} kB ({excluded['agent_private_kb']} kB)")
    print(f"  {watching['lost']} of {SILENT} nodes that fell silent were announced, after {watching['lost_median_s']} s at the "
          f"median, {watching['lost_last_s']} s at most: {'reached' if reached else 'MISSED'}")
    print(f"  late renewals of the nodes  {watching['late_renewals']} of {watching['renewals']}")
    return {"watching": watching, "excluded": excluded}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench(os.environ["NODEBEATD"], os.environ["BENCH_FOLDER"], folder, args.nodes, args.seconds)


if __name__ == "__main__":
    main()
