#!/usr/bin/env python3
"""A robot of two arms in Python, from include/nodebeat/PROTOCOL.md alone: no library but its own.

    robot.py [--socket PATH] [--seconds N] [--rate HZ]

As robot_sim.c: a push never waits. What the agent cannot take now is dropped if a newer state
follows anyway; starts, ends and errors wait in a list of bounded length.
"""

import argparse
import collections
import json
import math
import signal
import socket
import sys
import time

JOINTS, POSES, STROKES = 7, 40, 3
WILL = [
    {"method": "robot.update", "params": {"is_connected_l": False, "is_connected_r": False}},
    {"method": "stroke.end", "params": {}},
    {"method": "error.report",
     "params": {"category": "robot", "message": "the robot process has died"}},
]


def line(method, **params):
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


class Client:
    """Sends notifications; connects anew by itself, at most every 100 ms."""

    def __init__(self, path):
        self.path, self.socket, self.next_try = path, None, 0.0
        self.half = b""  # the rest of a line of which a part was sent
        self.events = collections.deque(maxlen=1000)
        self.slots = {}  # the latest call of each method that waits
        self.words = None

    def say(self, words):
        if words != self.words:
            print(f"robot.py: {words}", file=sys.stderr, flush=True)
        self.words = words

    def event(self, method, **params):
        if method.startswith("stroke.") and "stroke.update" in self.slots:
            self.events.append(self.slots.pop("stroke.update"))  # not behind its session's end
        self.events.append(line(method, **params))
        self.push()

    def update(self, method, **params):
        self.slots[method] = line(method, **params)
        self.push()

    def connect(self):
        if time.monotonic() < self.next_try:
            return
        self.next_try = time.monotonic() + 0.1
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            self.say(f"no agent, I go on without it: {error}")
            return
        self.say("the agent is there")
        self.socket = sock
        self.half = line("client.hello", name="robot.py", errors=True, will=WILL)

    def push(self):
        if self.socket is None:
            self.connect()
        while self.socket is not None and (self.half or self.events or self.slots):
            if not self.half:
                if self.events:
                    self.half = self.events.popleft()
                else:
                    self.half = self.slots.pop(next(iter(self.slots)))
            try:
                self.half = self.half[self.socket.send(self.half):]
            except BlockingIOError:
                return
            except OSError as error:
                self.lost(error)

    def listen(self):
        """What the agent says: only refusals, since nothing was subscribed to (2.6)."""
        try:
            text = self.socket.recv(65536) if self.socket else b"\n"
            if not text:
                self.lost("it has closed")
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
            return
        for refused in filter(None, text.split(b"\n")):
            print(f"robot.py: refused: {refused.decode(errors='replace')}", file=sys.stderr)

    def lost(self, why):
        self.socket.close()
        self.socket, self.half = None, b""
        self.say(f"the agent is gone, I go on without it: {why}")

    def close(self):
        if self.socket is not None:
            try:
                self.socket.settimeout(0.5)
                self.socket.sendall(self.half + line("client.goodbye"))
            except OSError as error:
                self.say(f"no good-bye: {error}")
            self.socket.close()


def play_stroke(client, tenth):
    pose, stroke = tenth % POSES, tenth // POSES % STROKES
    if pose == 0 and stroke == 0:
        if tenth > 0:
            client.event("stroke.end")
            client.event("error.report", category="robot", message="the brush is worn (simulated)")
        client.event("stroke.start", total_strokes=STROKES, scene_name="simulated")
    client.update("stroke.update", stroke_idx=stroke, pose_idx=pose, stroke_length=POSES)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", default="/run/nodebeat/agent.sock")
    parser.add_argument("--seconds", type=float, default=0, help="0: until it is told")
    parser.add_argument("--rate", type=float, default=100)
    options = parser.parse_args()
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))

    client = Client(options.socket)
    began, step, tenth = time.monotonic(), 0, -1
    while not stopped and not 0 < options.seconds <= step / options.rate:
        t = step / options.rate
        arms = {f"{what}_{arm}": [sign * wave(t + 0.3 * i) for i in range(JOINTS)]
                for what, wave in (("joints", math.sin), ("velocities", math.cos))
                for arm, sign in (("l", 1), ("r", -1))}
        client.update("robot.update", is_connected_l=True, is_connected_r=True, **arms)
        if int(t * 10) != tenth:
            tenth = int(t * 10)
            play_stroke(client, tenth)
            client.listen()
        step += 1
        time.sleep(max(0.0, began + step / options.rate - time.monotonic()))
    client.event("stroke.end")
    client.update("robot.update", is_connected_l=False, is_connected_r=False)
    client.close()


if __name__ == "__main__":
    main()
