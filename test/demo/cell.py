"""The programs of the demo: a private Redis, agents, a robot, the page of the cell.

Each leads a session of its own, so that Ctrl-C reaches the demo alone and all ends in order. Should the demo be
killed, the kernel ends them.
"""

import json
import os
import random
import re
import signal
import subprocess
import time

STARTS_WITHIN_S = 20


class Failure(Exception):
    """The demo cannot go on; the text says why."""


def last_lines(log, count):
    lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
    return [re.sub(r"^<[0-7]>", "", line) for line in lines]


class Program:
    def __init__(self, name, command, folder, env=None, stdout=None):
        self.name = name
        self.log = folder / (name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *map(str, command)],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
            )

    def lives(self):
        return self.process.poll() is None

    def last_lines(self, count=10):
        return last_lines(self.log, count)

    def wait_logged(self, text):
        """False if the program ends, or time is up."""
        until = time.monotonic() + STARTS_WITHIN_S
        while text not in self.log.read_text(errors="replace"):
            if not self.lives() or time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def send(self, number):
        if self.lives():
            self.process.send_signal(number)

    def kill(self):
        """What no program can prepare for."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def stop(self, patience_s=5):
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()


class Robot(Program):
    """A control loop, and what it says about its own pushes."""

    def __init__(self, name, command, folder):
        super().__init__(name, command, folder, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.pushes = 0
        self.longest_us = 0
        self._rest = b""

    def read_report(self):
        """Since the last call: how many pushes there were, and how long the longest one took."""
        before, longest = self.pushes, 0
        self._rest += self.process.stdout.read() or b""
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            report = json.loads(line)
            self.pushes = report["pushes"]
            longest = max(longest, report["longest_us"])
        return self.pushes - before, longest


class Agent(Program):
    def __init__(self, name, command, folder, env, socket_path):
        super().__init__(name, command, folder, env)
        self.socket_path = socket_path


class Cell:
    """What of it runs, in the order in which it has to end."""

    def __init__(self, build, folder, node):
        self.build = build
        self.folder = folder
        self.node = node
        self.other_node = node[:62] + "-2"
        self.url = None
        self.redis = self.agent = self.other = self.robot = self.gate = None

    # --- starting

    def start_redis(self):
        for _ in range(8):
            port = random.randrange(20000, 32000)  # below the range of outgoing connections
            command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                       "--dir", self.folder, "--daemonize", "no"]
            redis = Program("redis", command, self.folder)
            # Its log, not a PING: another server may be the one that answers on a taken port.
            if redis.wait_logged("Ready to accept connections"):
                self.redis = redis
                self.url = "redis://127.0.0.1:%d" % port
                return
            redis.stop(2)
            if "already in use" not in redis.log.read_text(errors="replace"):
                break
        raise Failure("\n".join(["The private redis-server did not start. Its last lines:", *redis.last_lines()]))

    def start_agent(self):
        self.agent = self._agent("agent", self.node, {})

    def start_other(self):
        """A second node. It leaves the watch to the first one, which stays."""
        self.other = self._agent("other", self.other_node, {"NODEBEAT_WATCH_ENABLED": "false"})

    def _agent(self, name, node, settings):
        # It beats once a second instead of every five: something should move. The URL may have a password, and
        # everybody can read a command line.
        env = {"NODEBEAT_HEARTBEAT_INTERVAL": "1s", **os.environ, **settings, "NODEBEAT_REDIS_URL": self.url}
        socket_path = self.folder / (name + ".sock")
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        command = [self.build / "src/agent/nodebeatd", "--config", os.path.join(root, "config/nodebeat.toml"),
                   "--node", node, "--socket", socket_path]
        env.pop("NODEBEAT_REDIS", None)
        return Agent(name, command, self.folder, env, socket_path)

    def start_robot(self):
        command = [self.build / "test/examples/robot_sim", "--report", "--socket", self.agent.socket_path]
        self.robot = Robot("robot", command, self.folder)

    def start_gate(self):
        """The address of the page."""
        command = [self.build / "src/gate/nodebeat-gate", "--socket", self.agent.socket_path, "--http", "127.0.0.1:0",
                   "serve"]
        self.gate = Program("gate", command, self.folder)
        if not self.gate.wait_logged("serving HTTP at "):
            raise Failure("\n".join(["The page is not served:", *self.gate.last_lines()]))
        return re.search(r"serving HTTP at (\S+)", self.gate.log.read_text()).group(1)

    # --- while it runs

    def agent_log(self):
        """Its last lines, also when it is gone."""
        return last_lines(self.folder / "agent.log", 10)

    def ended_by_itself(self):
        """A program that should still run, or None."""
        programs = (self.redis, self.agent, self.other, self.robot, self.gate)
        return next((program for program in programs if program and not program.lives()), None)

    def ctl(self, *arguments, agent=None, timeout_s=20):
        """nodebeatctl with an agent: its status, and what it printed."""
        command = [self.build / "src/ctl/nodebeatctl", "--socket", (agent or self.agent).socket_path,
                   "--timeout", "%ds" % timeout_s, *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=timeout_s + 5, start_new_session=True)
        except subprocess.TimeoutExpired:
            return 5, ""
        return done.returncode, done.stdout.strip()

    def link(self):
        """The agent's link to Redis, in words."""
        status, text = self.ctl("--json", "call", "agent.stats")
        if status != 0:
            return "not known", 0
        stats = json.loads(text)
        return stats["link"]["trouble"] or "connected", stats["outbox"]["events_waiting"]

    def freeze_redis(self):
        self.redis.send(signal.SIGSTOP)

    def thaw_redis(self):
        if self.redis:
            self.redis.send(signal.SIGCONT)

    # --- ending

    def kill_robot(self):
        robot, self.robot = self.robot, None
        robot.kill()

    def kill_other(self):
        other, self.other = self.other, None
        other.kill()

    def say_farewell(self):
        """The robot, then the agents; what they say at their end can still be seen in Redis."""
        for name in ("gate", "robot", "other", "agent"):
            program = getattr(self, name)
            setattr(self, name, None)
            if program:
                program.stop()

    def end(self):
        self.thaw_redis()
        self.say_farewell()
        if self.redis:
            self.redis.stop()
            self.redis = None
