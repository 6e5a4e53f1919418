"""What stands in Redis about the cell, read as any other program would read it."""

import json
from datetime import datetime

import redis

from words import local_time, mask, printable

# What is shown of what is published; the robot's own state comes too often for that.
PATTERNS = ("node:events:*", "stroke:events:session", "error:events:*")


class Node:
    """What Redis holds of one node, and when it last changed."""

    def __init__(self, name):
        self.name = name
        self.beat = {}
        self.beats = 0
        self.ttl_ms = -2
        self.history = 0
        self.robot = {}
        self.stroke = {}  # the progress of the session that runs

    def age_s(self):
        sent = local_time(self.beat.get("last_heartbeat") or self.beat.get("timestamp"))
        return (datetime.now().astimezone() - sent).total_seconds() if sent else None

    def state(self):
        if self.ttl_ms == -2:
            return "gone"
        return "up" if self.beat.get("is_reachable") else "left"


class Store:
    """The reader's side of the schema. Every call may raise redis.RedisError."""

    def __init__(self, url):
        self.client = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2
        )
        self.events = None

    def close(self):
        if self.events:
            self.events.close()
            self.events = None

    def health(self):
        """{node: (NodeHealth, TTL in ms, entries of its history)}"""
        keys = sorted(self.client.scan_iter("node:health:*", count=1000))
        names = [key[len("node:health:"):] for key in keys]
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.hget("node:health:" + name, "health")
            pipe.pttl("node:health:" + name)
            pipe.xlen("stream:node_metrics:" + name)
        answers = pipe.execute()
        found = {}
        for i, name in enumerate(names):
            text, ttl_ms, history = answers[3 * i:3 * i + 3]
            if text is not None:
                found[name] = (json.loads(text), ttl_ms, history)
        return found

    def objects(self, prefix, field):
        """{tail of the key: the object in that field}, of all such HASHes"""
        keys = sorted(self.client.scan_iter(prefix + "*", count=1000))
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            pipe.hget(key, field)
        answers = zip(keys, pipe.execute())
        return {key[len(prefix):]: json.loads(text) for key, text in answers if text is not None}

    def robots(self):
        """{node: RobotState}"""
        return self.objects("robot:state:", "state")

    def strokes(self):
        """{node: StrokeProgress} of the sessions that run; of several the latest"""
        found = {}
        for _, progress in sorted(self.objects("stroke:progress:", "progress").items()):
            if progress.get("is_executing"):
                found[progress.get("node_id")] = progress
        return found

    def listen(self):
        """From here on nothing is missed."""
        events = self.client.pubsub()
        events.psubscribe(*PATTERNS)
        for _ in PATTERNS:
            events.get_message(timeout=2)
        self.events = events

    def new_events(self):
        if self.events is None:
            self.listen()
        while (message := self.events.get_message()) is not None:
            if message["type"] == "pmessage":
                event = json.loads(message["data"])
                event.setdefault("node_id", message["channel"].rpartition(":")[2])
                yield event


class Reader:
    """Looks again and again, and notes what has changed."""

    def __init__(self, url, node, since):
        self.where = mask(url)
        self.store = Store(url)
        self.node = node  # whose beats count
        self.since = since  # earlier beats are not of this demo
        self.nodes = {}
        self.landed = 0
        self.robot_seen = False
        self.trouble = ""
        self.events = []  # all of them

    def look(self):
        """The nodes that have beaten, and the events, since the last look."""
        try:
            events = list(self.store.new_events())
            health = self.store.health()
            robots, strokes = self.store.robots(), self.store.strokes()
        except (redis.RedisError, ValueError) as error:
            self.store.close()
            self.trouble = "Redis at %s: %s" % (self.where, printable(str(error)))
            return [], []
        self.trouble = ""
        self.events += events
        beaten = []
        for name, (beat, ttl_ms, history) in health.items():
            node = self.nodes.setdefault(name, Node(name))
            node.ttl_ms, node.history = ttl_ms, history
            node.robot, node.stroke = robots.get(name, {}), strokes.get(name, {})
            if name == self.node:
                self.robot_seen |= bool(node.robot)
            if beat != node.beat:
                node.beat = beat
                node.beats += 1
                beaten.append(node)
                if name == self.node and beat.get("is_reachable"):
                    self.landed += str(beat.get("timestamp")) >= self.since
        for name in self.nodes.keys() - health.keys():
            self.nodes[name].ttl_ms = -2
        return beaten, events

    def sorted_nodes(self):
        return [self.nodes[name] for name in sorted(self.nodes)]

    def find_event(self, is_wanted, first=0):
        """The first such event among those from the number `first` on, or None."""
        return next(filter(is_wanted, self.events[first:]), None)
