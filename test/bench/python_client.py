#!/usr/bin/env python3
"""The cost and the throughput of the Python package; bench.py runs it, with the package in PYTHONPATH.

    python_client.py push --library PATH --pushes N [--fifo] NAME=SOCKET...   microseconds of Robot.push_state of 4 x 7
        numbers, to each agent over libnodebeat and in pure Python, in turns, a push each 100 us; and the floor of a push
        to the first agent, which is the healthy one: `library_floor`, `python_floor`, `bare_send`
    python_client.py manager --pushes N NAME=SOCKET...   the same of tatbot.StateManager.update_robot_state
    python_client.py events SOCKET RATE SECONDS   one nodebeat.Client receives so many events a second
    python_client.py redis PORT N                 redis-py's four round trips for the same state, microseconds

Prints lines of a name and figures."""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import socket
import subprocess
import sys
import time

import nodebeat
from nodebeat.numbers import gather

PERIOD_NS = 1_000_000
GAP_NS = 100_000
QUANTILES = (0.5, 0.99, 0.999, 0.9999)


def quantiles(took):
    took.sort()
    return [took[min(int(len(took) * q), len(took) - 1)] / 1000 for q in QUANTILES] + [took[-1] / 1000]


def as_in_a_control_loop():
    """Real-time priority, memory that stays, no garbage that moves: as far as this user may."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    ctypes.CDLL(None).mlockall(3)
    gc.freeze()


class Push:
    """Robot.push_state of four numpy arrays."""

    def __init__(self, path, library):
        self._push_state = nodebeat.Robot(path, library=library).push_state
        self._arms = ()

    def prepare(self, arms):
        self._arms = arms

    def push(self):
        q, dq, r, dr = self._arms
        self._push_state(q, dq, r, dr)


class LibraryFloor:
    """The call by ctypes alone: the data is in the struct already, and nothing is checked."""

    def __init__(self, path, library):
        from nodebeat import library as over  # pylint: disable=import-outside-toplevel

        # pylint: disable=protected-access
        self._robot = nodebeat.Robot(path, library=library)
        self._call, self._client = self._robot._pusher._push_state, self._robot._pusher._client
        self._frame = over._Frame()
        self._frame.lay_out([7] * 4)
        self._frame.state.size, self._frame.state.has = ctypes.sizeof(self._frame.state), self._frame.has_lists

    def prepare(self, arms):
        gather(arms, self._frame.room)

    def push(self):
        self._call(self._client, self._frame.address)


class PythonFloor:
    """The text of the lists and one send() alone: nothing is checked, noted or kept."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._lists = self._text = ()

    def prepare(self, arms):
        self._lists = [arm.tolist() for arm in arms]
        self._text = self.text()

    def text(self):
        q, dq, r, dr = self._lists
        return (f'{{"jsonrpc":"2.0","method":"robot.update","params":{{"joints_l":{q},"joints_r":{dq},"velocities_l":{r},'
                f'"velocities_r":{dr}}}}}\n').encode()

    def push(self):
        self._send(self.text())

    def _send(self, text):
        try:
            self._socket.send(text)
        except BlockingIOError:
            pass  # the agent is not there yet: on a busy machine


class BareSend(PythonFloor):
    """One send() alone, of a text that is ready."""

    def push(self):
        self._send(self._text)


def push(options):
    import numpy as np  # pylint: disable=import-outside-toplevel

    paths = dict(case.split("=", 1) for case in options.cases)
    ways = {}
    for name, path in paths.items():
        ways[f"library_{name}"] = Push(path, options.library)
        ways[f"python_{name}"] = Push(path, False)
    healthy = next(iter(paths.values()))
    ways |= {"library_floor": LibraryFloor(healthy, options.library), "python_floor": PythonFloor(healthy),
             "bare_send": BareSend(healthy)}
    arms = np.zeros((4, 7))
    phase = np.arange(28).reshape(4, 7)
    if options.fifo:
        as_in_a_control_loop()
    took = {name: [] for name in ways}
    due = time.monotonic_ns()
    for step in range(options.pushes):
        np.sin(step * 1e-3 + phase, out=arms)
        for name, way in ways.items():
            way.prepare(arms)
            due += GAP_NS
            wait = due - time.monotonic_ns()
            if wait > 0:
                time.sleep(wait / 1e9)
            started = time.perf_counter_ns()
            way.push()
            took[name].append(time.perf_counter_ns() - started)
    for name, times in took.items():
        print(name, *(f"{value:.2f}" for value in quantiles(times)))


def manager(options):
    """The calls in the loop of an existing program."""

    async def measure():
        state = RobotState(node_id="bench", is_connected_l=True, is_connected_r=True, **{
            name: [0.123456789012345 * i for i in range(7)] for name in ("joints_l", "joints_r", "velocities_l", "velocities_r")})
        async with contextlib.AsyncExitStack() as stack:
            managers = {}
            for name, _, path in (case.partition("=") for case in options.cases):
                managers[name] = await stack.enter_async_context(StateManager(socket=path))
            took = {name: [] for name in managers}
            for step in range(options.pushes):
                await asyncio.sleep(PERIOD_NS / 1e9)
                for name, made in managers.items():
                    state.goal_time_slow = step * 1e-3
                    started = time.perf_counter_ns()
                    await made.update_robot_state(state)
                    took[name].append(time.perf_counter_ns() - started)
        return took

    import asyncio  # pylint: disable=import-outside-toplevel

    from nodebeat.tatbot import RobotState, StateManager  # pylint: disable=import-outside-toplevel

    for name, times in asyncio.run(measure()).items():
        print(name, *(f"{value:.2f}" for value in quantiles(times)))


def events(options):
    with nodebeat.Client(options.socket, name="bench") as client:
        client.event_subscribe(["bench:python"])
        sayer = subprocess.Popen([sys.executable, __file__, "say", options.socket, str(options.rate), str(options.seconds)],
                                 stdout=subprocess.PIPE, text=True)
        came = lost = 0
        first = last = time.monotonic()
        for notice in client.events(timeout=5):
            if isinstance(notice, nodebeat.Event):
                if notice.event.get("last"):
                    break
                last = time.monotonic()
                first = last if came == 0 else first
                came += 1
            elif isinstance(notice, nodebeat.Gap):
                lost += notice.lost or 0
        said, seconds = sayer.communicate()[0].split()
    print("said", said)
    print("said_per_second", f"{int(said) / float(seconds):.0f}")
    print("came", came)
    print("lost", lost)
    print("per_second", f"{(came - 1) / max(last - first, 1e-9):.0f}")


def say(options):
    """The other side: lines in portions of 10 ms. Prints how many it has sent, and in how many seconds."""

    def line(**event):
        params = {"channel": "bench:python", "event": event, "record": False}
        return json.dumps({"jsonrpc": "2.0", "method": "event.publish", "params": params}).encode() + b"\n"

    text, portion, said = line(n=1, filling="x" * 200), options.rate // 100, 0
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(options.socket)
        began = time.monotonic()
        for i in range(options.seconds * 100):
            s.sendall(text * portion)
            said += portion
            time.sleep(max(0.0, began + (i + 1) / 100 - time.monotonic()))
        print(said, time.monotonic() - began)
        s.sendall(line(last=True))


def redis_py(options):
    import redis  # pylint: disable=import-outside-toplevel

    client, took = redis.Redis(port=options.port), []
    state = {"timestamp": "2026-11-20T14:03:07.123456", "node_id": "bench", "is_connected_l": True, "is_connected_r": True,
             **{name: [0.123456789012345 * i for i in range(7)] for name in ("joints_l", "joints_r", "velocities_l", "velocities_r")},
             "current_pose": "executing", "goal_time_slow": 2.0, "goal_time_fast": 0.5}
    for _ in range(options.updates):
        time.sleep(0.001)
        started = time.perf_counter_ns()
        text = json.dumps(state)
        client.hget("bench:robot", "state")
        client.hset("bench:robot", mapping={"state": text, "last_updated": state["timestamp"]})
        client.xadd("bench:telemetry", {"node_id": "bench", "state": text}, maxlen=5000)
        client.publish("bench:robot", text)
        took.append(time.perf_counter_ns() - started)
    print("redis_py", *(f"{value:.2f}" for value in quantiles(took)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("push")
    one.add_argument("--library", required=True)
    one.add_argument("--pushes", type=int, required=True)
    one.add_argument("--fifo", action="store_true")
    one.add_argument("cases", nargs="+")
    one.set_defaults(run=push)
    one = commands.add_parser("manager")
    one.add_argument("--pushes", type=int, required=True)
    one.add_argument("cases", nargs="+")
    one.set_defaults(run=manager)
    for name, function in (("events", events), ("say", say)):
        one = commands.add_parser(name)
        one.add_argument("socket")
        one.add_argument("rate", type=int)
        one.add_argument("seconds", type=int)
        one.set_defaults(run=function)
    one = commands.add_parser("redis")
    one.add_argument("port", type=int)
    one.add_argument("updates", type=int)
    one.set_defaults(run=redis_py)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
