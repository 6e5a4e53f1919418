"""The leases and the watch, as seen in Redis; and nodes that are nothing but a lease."""

import hashlib
import json

from redis.exceptions import NoScriptError

from support.session_script import script
from support.waiting import wait_until

# As quick as it may be.
FAST = {"lease.interval": "250ms", "lease.patience": "1s"}
STREAM, DEAD, WATCH, NODES = "stream:cell_events", "nodebeat:dead", "nodebeat:watch", "nodebeat:nodes"
SOURCE = script("watch.lua")


def lease(redis, node):
    """[boot id, instance, seq, interval, patience], or None."""
    words = redis.get(f"nodebeat:lease:{node}")
    return words and words.split(" ")


def holder(redis):
    """(node, term), or None."""
    words = (redis.get(WATCH) or "").split(" ")
    return (words[0], int(words[2])) if len(words) > 5 else None


def wait_for_holder(redis, node=None, after=0, timeout=15.0):
    """The (node, term) that watches: this one, or any, of a later term than `after`. It has looked."""

    def look():
        now = holder(redis)
        if now is None or now[1] <= after or node not in (None, now[0]):
            return None
        return now if redis.get(WATCH).split(" ")[4] != "0" else None

    return wait_until(look, timeout, lambda: f"{node or 'somebody'} watches; {redis.get(WATCH)}")


def told(redis):
    """(type, node) of what is in the stream, in its order."""
    events = (json.loads(fields["event"]) for _, fields in redis.xrange(STREAM))
    return [(event["type"], event["node_id"]) for event in events]


def wait_told(redis, kind, node, timeout=20.0):
    wait_until(lambda: (kind, node) in told(redis), timeout, lambda: f"{kind} of {node} in {told(redis)}")


class PaperNode:
    """A node in the list, and what a test writes as its lease."""

    def __init__(self, redis, name, patience=1000):
        self.redis = redis
        self.name = name
        self.patience = patience
        self.seq = 0
        self.renew()
        redis.hset(NODES, name, "{}")

    def renew(self, boot="boot-1", instance="run-1", patience=None):
        self.seq += 1
        words = f"{boot} {instance} {self.seq} 250 {self.patience if patience is None else patience}"
        self.redis.set(f"nodebeat:lease:{self.name}", words)
        return words

    def write(self, text):
        self.redis.set(f"nodebeat:lease:{self.name}", text)


class Holder:
    """src/wire/watch.lua as the agent that holds the watch runs it, without an agent."""

    def __init__(self, redis, node="hog", instance="hog-1", term=1):
        self.redis = redis
        self.node = node
        self.term = f"{node} {instance} {term} "
        self.seq = 0

    def run(self, op, keys, *args):
        try:
            return self.redis.evalsha(hashlib.sha1(SOURCE.encode()).hexdigest(), len(keys), *keys, op, *args)
        except NoScriptError:
            self.redis.script_load(SOURCE)
        return self.run(op, keys, *args)

    def watch(self):
        self.seq += 1
        return f"{self.term}{self.seq} 0 0"

    def claim(self, seen=""):
        return self.run("claim", [WATCH], seen, self.watch())

    def renew(self, sessions=500):
        return self.run("renew", [WATCH, "nodebeat:sessions", "nodebeat:sessions:seals"], self.term, self.watch(),
                        sessions)

    def leave(self):
        return self.run("leave", [WATCH], self.term)

    def look(self, *nodes):
        """How many nodes are listed, and these nodes' leases."""
        return self.run("look", [NODES, *(f"nodebeat:lease:{node}" for node in nodes)])

    def names(self, entries=20_000, size=2_000_000):
        return self.run("names", [NODES], entries, size)

    def marks(self, entries=20_000, size=2_000_000):
        return self.run("marks", [DEAD], entries, size)

    def say(self, event, recorded="1"):
        return self.run("say", [WATCH, STREAM], self.term, f"node:events:{self.node}", event, recorded)

    def lost(self, node, lease, absent=False, event='{"type":"node_lost"}', down="for 1 s", whole='{"whole":1}',
             recorded="1"):
        return self.run("lost", self.keys(node), self.term, f"node:events:{node}", event, recorded, node, lease,
                        "1" if absent else "", f"lease not renewed {down}", "now", whole)

    def returned(self, node, lease, event='{"type":"node_returned"}', recorded="1"):
        return self.run("returned", self.keys(node), self.term, f"node:events:{node}", event, recorded, node, lease)

    def keys(self, node):
        return [WATCH, STREAM, DEAD, f"node:health:{node}", f"nodebeat:lease:{node}"]
