"""The programs of the benches: a private redis-server, an agent, and their accounts in /proc."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    sys.exit(f"bench: {what} did not happen within {seconds} s")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child of ours, ended with the block that uses it."""

    def __init__(self, argv, **kwargs):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kwargs)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis(Process):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
             "--dir", folder, "--logfile", os.path.join(folder, "redis.log")],
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: answers(self.port), 10, "redis-server answering")


def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def processor_s(pid):
    """Time on a processor so far, and time ready to run but without one, of all threads."""
    books = [read(f"/proc/{pid}/task/{task}/schedstat").split() for task in os.listdir(f"/proc/{pid}/task")]
    return sum(int(book[0]) for book in books) / 1e9, sum(int(book[1]) for book in books) / 1e9


def busy_s(pid):
    return processor_s(pid)[0]


def memory_kb(pid):
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M))
    return {
        "rss_kb": int(fields["Rss"]),
        "pss_kb": int(fields["Pss"]),
        "private_kb": int(fields["Private_Clean"]) + int(fields["Private_Dirty"]),
        "private_dirty_kb": int(fields["Private_Dirty"]),
    }


def agent_argv(daemon, port, folder, probe_port, node="bench", watches=None):
    """`watches`: whether it may watch the cell; None leaves out the key, which an earlier build does not know."""
    config = os.path.join(folder, "nodebeat.toml")
    with open(config, "w", encoding="utf-8") as f:
        f.write(
            '[heartbeat]\ninterval = "1s"\n'
            + ("" if watches is None else f"[watch]\nenabled = {str(watches).lower()}\n")
            + f'[[probe]]\nname = "redis"\ntype = "tcp"\naddress = "127.0.0.1:{probe_port}"\n'
        )
    return [daemon, "--config", config, "--node", node, "--socket", os.path.join(folder, "agent.sock"),
            *(["--redis", f"redis://127.0.0.1:{port}"] if port else [])]


class Agent(Process):
    """A nodebeatd with a configuration of its own, which counts as started when its socket answers. `env` may name
    a Redis with a user and a password, as NODEBEAT_REDIS_URL, which does not belong on a command line."""

    def __init__(self, daemon, port, folder, name, env=None, log=subprocess.DEVNULL, node="bench"):
        own = os.path.join(folder, name)
        os.mkdir(own)
        self.socket = os.path.join(own, "agent.sock")
        env = env or {}
        argv = agent_argv(daemon, None if "NODEBEAT_REDIS_URL" in env else port, own, port, node)
        super().__init__(argv, stderr=log, env={**os.environ, **env})
        wait_for(lambda: os.path.exists(self.socket), 10, "the agent's socket")
        wait_for(lambda: self.call("agent.stats")["link"]["state"] == "steady", 10, "the agent's link")

    def call(self, method):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
            with s.makefile() as lines:
                return json.loads(lines.readline())["result"]
