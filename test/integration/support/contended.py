"""Writers that contend for one session through several agents, whose links to Redis break at random,
while Redis is killed and restarted (test/bench/session_writers.cc, cutting_relay.cc)."""

import json
import subprocess

from support import acl, processes
from support.session_script import AUDIT

SESSION = "contended"
WRONG = ("wrong_refusals", "own_conflicts", "lost", "twice", "others")
# A link comes back at once, and the audit is long enough to count all writes.
SETTINGS = {"session.audit_length": 1_000_000, "session.audit_state": False, "outbox.stream_bytes": "1GiB"}


class Relay:
    """A port for each agent, with connections that break once in about `every` pieces of data."""

    def __init__(self, folder, server, ports, every, seed=1):
        self.process = processes.spawn(
            [folder / "cutting_relay", str(server.port), str(ports), str(every), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = self.process.stdout.readline().split()
        if str(server.port) in acl.places:
            acl.places.update(self.ports)

    def end(self):
        """Returns how often it has cut."""
        self.process.stdin.close()
        cuts = int(self.process.stdout.read())
        self.close()
        return cuts

    def close(self):
        processes.end(self.process)
        self.process.stdout.close()


def contend(folder, sockets, updates, writers, troubles):
    """Runs the writers, and calls the troubles one by one, spread over their work. Returns the writers' figures."""
    process = processes.spawn([folder / "session_writers", str(updates), str(writers), *sockets],
                              stdout=subprocess.PIPE, text=True)
    try:
        made = 0
        for line in process.stdout:
            if not line.startswith("done "):
                return json.loads(line)
            if made < len(troubles) and int(line.split()[1]) * (len(troubles) + 1) >= (made + 1) * updates:
                troubles[made]()
                made += 1
    finally:
        processes.end(process)
        process.stdout.close()
    raise AssertionError("the writers have ended without a word")


def faults(figures, redis, updates):
    """What is wrong with the figures, the session, or the audit of its writes; empty if all is well."""
    found = [f"{name}: {figures[name]}" for name in WRONG if figures[name] != 0]
    state = json.loads(redis.get(f"session:{SESSION}"))
    if sum(state["w"]) != updates:
        found.append(f"the writers' counts say {sum(state['w'])} updates")
    if state["version"] != updates + 1:
        found.append(f"the version is {state['version']}")
    versions = [int(e["new_version"]) for _, e in redis.xrange(AUDIT) if e["op"] == "update"]
    if versions != list(range(2, updates + 2)):
        found.append(f"the audit has {len(versions)} updates, of {len(set(versions))} versions")
    return found
