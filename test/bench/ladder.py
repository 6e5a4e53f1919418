#!/usr/bin/env python3
"""How soon each end is known, at the defaults: three agents, one Redis, real processes.

    ladder.py [--ladder-trials 20]

  process   a robot process is killed: until its last will is published
  deadline  a robot process is stopped: until its miss is published, beyond its own deadline of 300 ms
  agent     an agent is killed and started again 1 s later, as by its unit: until it has reported how it had ended
  gone      Redis is killed: until a client is told by its own agent
  silent    Redis is stopped: likewise
  moves     the agent that watches is killed: until another one watches
  session   the time of a session is over: until that is announced

The loss of a host is the part `hosts`. NODEBEATD names the daemon; ./dev bench ladder sets it.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from host_loss import USUAL  # noqa: E402
from support.agent import Agent  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.rpc import Client  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from support.watch import holder, wait_for_holder  # noqa: E402

DEADLINE_MS = 300
RESTART_S = 1

# Says hello with a will and a deadline, pushes ten times a second, and prints a line after each push.
ROBOT = r"""
import json, socket, sys, time
hello = {"deadline_ms": int(sys.argv[2]), "will": [
    {"method": "event.publish", "params": {"channel": "x:ladder", "event": {"type": "will"}, "record": False}}]}
agent = socket.socket(socket.AF_UNIX)
agent.connect(sys.argv[1])
agent.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "client.hello", "params": hello}).encode() + b"\n")
answer = json.loads(agent.makefile().readline())
if "error" in answer:
    sys.exit(str(answer["error"]))
while True:
    agent.sendall(b'{"jsonrpc":"2.0","method":"robot.update","params":{"current_pose":"ready"}}\n')
    print("push", flush=True)
    time.sleep(0.1)
"""


def link_state(agent):
    client = Client(agent.socket_path)
    try:
        return client.call("agent.stats")["link"]["state"]
    finally:
        client.close()


class Cell:
    def __init__(self, daemon, folder):
        self.daemon, self.folder = daemon, folder
        self.server = RedisServer(folder / "redis").start()
        self.agents = {}
        self.started = 0
        for name in ("hog", "ook", "eek"):
            self.start(name)
        self.connect()

    def connect(self):
        self.redis = self.server.client()
        return wait_for_holder(self.redis, timeout=60)

    def start(self, name):
        self.started += 1
        folder = self.folder / f"{name}-{self.started}"
        agent = self.agents[name] = Agent(self.daemon, folder, name, self.server.url(), settings=USUAL)
        wait_until(lambda: link_state(agent) == "steady", 30, ignoring=(OSError,))

    @contextlib.contextmanager
    def heard(self, *channels):
        """What is published on them, as after(since, predicate): how long after that moment it came."""
        listener = self.server.subscribe(patterns=channels)

        def after(since, predicate):
            def look():
                return next((at for at, _, text in listener.raw if at >= since and predicate(json.loads(text))), None)

            return wait_until(look, 30, "the message") - since

        try:
            yield after
        finally:
            listener.close()

    @contextlib.contextmanager
    def robot(self, deadline_ms):
        process = subprocess.Popen([sys.executable, "-c", ROBOT, self.agents["hog"].socket_path, str(deadline_ms)],
                                   stdout=subprocess.PIPE, text=True)
        try:
            for _ in range(5):
                if process.stdout.readline() != "push\n":
                    sys.exit("bench: the robot did not begin")
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def close(self):
        for agent in self.agents.values():
            agent.kill()
        self.server.kill()


def process(cell):
    with cell.heard("x:ladder") as after, cell.robot(60_000) as robot:
        begin = time.monotonic()
        robot.kill()
        return after(begin, lambda event: event["type"] == "will")


def deadline(cell):
    with cell.heard("node:events:hog") as after, cell.robot(DEADLINE_MS) as robot:
        robot.stdout.readline()
        begin = time.monotonic()  # moments after its last push
        robot.send_signal(signal.SIGSTOP)
        return after(begin, lambda event: event["type"] == "deadline_missed") - DEADLINE_MS / 1000


def agent(cell):
    name = next(name for name in cell.agents if name not in ("hog", holder(cell.redis)[0]))
    with cell.heard(f"node:events:{name}") as after:
        begin = time.monotonic()
        cell.agents[name].kill()
        time.sleep(RESTART_S)
        cell.start(name)
        return after(begin, lambda event: event["type"] == "node_up")


def until_redis_gone(cell, end):
    client = Client(cell.agents["ook"].socket_path, timeout=30)
    client.call("event.subscribe", channels=["node:events:ook"])
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    time.sleep(random.uniform(0, 1))
    begin = time.monotonic()
    end()
    while client.next_event("node:events:ook")["event"]["type"] != "redis_gone":
        pass
    took = time.monotonic() - begin
    client.close()
    return took


def gone(cell):
    took = until_redis_gone(cell, cell.server.kill)
    cell.server.start()
    cell.connect()
    return took


def silent(cell):
    took = until_redis_gone(cell, cell.server.pause)
    cell.server.resume()
    cell.connect()
    return took


def moves(cell):
    name, term = wait_for_holder(cell.redis, timeout=60)
    time.sleep(random.uniform(0, 1))
    begin = time.monotonic()
    cell.agents[name].kill()
    wait_until(lambda: (holder(cell.redis) or ("", 0))[1] > term, 30)
    took = time.monotonic() - begin
    cell.start(name)
    return took


def session(cell):
    ttl_ms = random.randint(500, 1500)
    with cell.heard("session-updates") as after:
        client = Client(cell.agents["ook"].socket_path)
        name = f"ladder-{time.monotonic_ns()}"
        begin = time.monotonic()
        client.call("session.create", session_id=name, ttl_ms=ttl_ms)
        client.close()
        return after(begin, lambda event: event["sessionId"] == name and event.get("expired")) - ttl_ms / 1000


# Each with what it may take at most, in seconds.
RUNGS = ((process, 0.1), (deadline, 0.1), (agent, 1.5), (gone, 3), (silent, 3), (moves, 3), (session, 1))


def bench(daemon, folder, trials):
    figures = {}
    print(f"\nhow soon each end is known, {trials} trials each, in seconds")
    cell = Cell(Path(daemon).resolve(), Path(tempfile.mkdtemp(dir=folder)))
    try:
        for rung, most in RUNGS:
            took = sorted(rung(cell) for _ in range(trials))
            figures[rung.__name__] = took
            print(f"  {rung.__name__:9} median {statistics.median(took):6.3f}, last {took[-1]:6.3f}, at most {most:g}: "
                  f"{'reached' if took[-1] <= most else 'MISSED'}", flush=True)
    finally:
        cell.close()
    return figures


def arguments_of(parser):
    parser.add_argument("--ladder-trials", type=int, default=20, help="of each end in the ladder (default: 20)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments_of(parser)
    folder = tempfile.mkdtemp(prefix="nodebeat-ladder-")
    try:
        bench(os.environ["NODEBEATD"], folder, parser.parse_args().ladder_trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
