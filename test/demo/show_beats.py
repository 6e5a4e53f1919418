#!/usr/bin/python3
"""Shows the beats of all nodes, and what their robots do, as it lands in Redis; asks nothing but
Redis.

On a terminal a table is redrawn in place; elsewhere each beat is one line. SIGTERM or Ctrl-C ends
it, with 0 if the awaited node has beaten since --since, else with 1.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections import deque
from datetime import datetime, timezone

import redis

POLL_S = 0.2
TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%f"


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


class Redis:
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

    def new_events(self):
        if self.events is None:
            events = self.client.pubsub()
            patterns = ("node:events:*", "stroke:events:session", "error:events:*")
            events.psubscribe(*patterns)
            for _ in patterns:
                events.get_message(timeout=2)  # confirmed: from here on nothing is missed
            self.events = events
        while (message := self.events.get_message()) is not None:
            if message["type"] == "pmessage":
                event = json.loads(message["data"])
                event.setdefault("node_id", message["channel"].rpartition(":")[2])
                yield event


def local_time(text):
    try:
        return datetime.strptime(text, TIMESTAMP).replace(tzinfo=timezone.utc).astimezone()
    except (TypeError, ValueError):
        return None


def clock(text):
    at = local_time(text)
    return at.strftime("%H:%M:%S") if at else "--:--:--"


def number(value, form, unit=""):
    return form % value + unit if isinstance(value, (int, float)) else "-"


def brief_duration(seconds):
    if not isinstance(seconds, (int, float)):
        return "-"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    if days:
        return "%dd %dh" % (days, hours)
    return "%dh %dm" % (hours, rest // 60) if hours else "%dm %ds" % divmod(rest, 60)


def mcp(beat):
    if beat.get("mcp_server_running"):
        return ":%s" % beat["mcp_port"] if beat.get("mcp_port") else "up"
    return "down" if beat.get("mcp_port") else "-"


def probe_words(beat):
    """One phrase a probe: "camera up", "planner down (connection refused)"."""
    words = []
    for probe in beat.get("probes") or []:
        state = {True: "up", False: "down"}.get(probe.get("up"), "not known yet")
        why = " (%s)" % probe["detail"] if probe.get("detail") else ""
        words.append("%s %s%s" % (probe.get("name"), state, why))
    return printable(", ".join(words))


def robot_words(robot):
    '''One line: "executing, left arm 0.12 -0.50 1.04, right arm away"'''
    words = [str(robot.get("current_pose"))]
    for side, name in (("l", "left"), ("r", "right")):
        joints = robot.get("joints_" + side) or []
        angles = " ".join(number(joint, "%5.2f") for joint in joints)
        up = robot.get("is_connected_" + side)
        words.append("%s arm %s" % (name, angles if up else "away"))
    return printable(", ".join(words))


def stroke_words(stroke):
    return printable("stroke %s of %s, pose %s of %s  %s" % tuple(
        stroke.get(key) for key in
        ("stroke_idx", "total_strokes", "pose_idx", "stroke_length", "stroke_description_l")))


def stroke_percent(stroke):
    """How much of the session is done."""
    total, length = stroke.get("total_strokes") or 0, stroke.get("stroke_length") or 0
    if total <= 0:
        return 0.0
    pose = (stroke.get("pose_idx") or 0) / length if length > 0 else 0.0
    return min((((stroke.get("stroke_idx") or 0) + pose) / total) * 100, 100.0)


def event_words(event):
    known = ("type", "timestamp", "node_id", "instance_id", "boot_id")
    details = ", ".join(
        "%s %s" % (key, value if isinstance(value, str) else json.dumps(value))
        for key, value in event.items()
        if key not in known and value != "" and not isinstance(value, (dict, list))
    )
    return event.get("type", "?"), printable(details)


def printable(text):
    return "".join(c if c.isprintable() else "?" for c in text)


class Lines:
    """For pipes and logs: one line a beat, one line an event."""

    def beat(self, node):
        b = node.beat
        print(
            "%s  %-8s cpu %s  memory %s  disk %s  gpu %s  load %s  temp %s  ping %s  mcp %s"
            "  seq %s  ttl %s"
            % (
                clock(b.get("timestamp")),
                printable(node.name),
                number(b.get("cpu_percent"), "%5.1f", "%"),
                number(b.get("memory_percent"), "%5.1f", "%"),
                number(b.get("disk_percent"), "%5.1f", "%"),
                number(b.get("gpu_percent"), "%.0f", "%"),
                number(b.get("load_1"), "%.2f"),
                number(b.get("temperature_c"), "%.0f", " C"),
                number(b.get("ping_latency_ms"), "%.2f", " ms"),
                mcp(b),
                number(b.get("seq"), "%d"),
                number(node.ttl_ms / 1000, "%.1f", " s"),
            )
            + ("" if b.get("is_reachable") else "  not reachable: %s" % b.get("reason", "?")),
            flush=True,
        )
        for kind, words in (("robot", node.robot and robot_words(node.robot)),
                            ("stroke", node.stroke and stroke_words(node.stroke))):
            if words:
                print("%s  %-8s %s: %s" % (clock(b.get("timestamp")), printable(node.name), kind,
                                           words), flush=True)

    def event(self, event):
        name, details = event_words(event)
        who = printable(str(event.get("node_id")))
        print("%s  %-8s event: %s  %s" % (clock(event.get("timestamp")), who, name, details),
              flush=True)

    def trouble(self, words):
        print(words, flush=True)

    def draw(self, nodes, title):
        pass

    def end(self):
        pass


class Table:
    """For a person: a table that stays where it is, newest events below it."""

    EVENTS = 6
    # Title, width and rank: on a narrow terminal the highest rank goes first.
    COLUMNS = (
        ("NODE", 10, 0), ("BEAT", 6, 1), ("CPU", 0, 2), ("MEMORY", 0, 2), ("DISK", 0, 2),
        ("GPU", 5, 6), ("LOAD", 6, 5), ("TEMP", 6, 4), ("PING", 7, 3), ("MCP", 6, 3),
        ("UPTIME", 8, 8), ("SEQ", 7, 7), ("TTL", 7, 1),
    )

    def __init__(self):
        self.drawn = 0
        self.size = None
        self.events = deque(maxlen=self.EVENTS)
        self.note = ""
        self.blocks = "utf" in (sys.stdout.encoding or "").lower()
        self.colour = "NO_COLOR" not in os.environ
        sys.stdout.write("\x1b[?25l")

    def beat(self, node):
        self.note = ""

    def event(self, event):
        self.events.append(event)

    def trouble(self, words):
        self.note = words

    def paint(self, code, text):
        return "\x1b[%sm%s\x1b[0m" % (code, text) if self.colour else text

    def bar(self, percent, width):
        if not isinstance(percent, (int, float)):
            return "-".ljust(width + 5)
        percent = min(max(percent, 0.0), 100.0)
        full = round(percent / 100 * width)
        on, off = ("\u2588", "\u2591") if self.blocks else ("#", ".")
        code = "32" if percent < 70 else "33" if percent < 90 else "31"
        return (self.paint(code, on * full) + self.paint("2", off * (width - full))
                + "%4.0f%%" % percent)

    def layout(self, columns):
        """The columns that fit, and the width of a bar."""
        for rank in range(8, -1, -1):
            kept = [c for c in self.COLUMNS if c[2] <= rank]
            fixed = sum((width or 5) + 2 for _, width, _ in kept)
            bars = sum(1 for _, width, _ in kept if not width)
            room = (columns - 1 - fixed) // bars
            if room >= 4 or rank == 2:
                return [c[0] for c in kept], min(max(room, 3), 16)
        return [], 3

    def heart(self, node):
        age = node.age_s()
        beating = "\u2665" if self.blocks else "*"
        if node.state() == "up" and age is not None and age < 0.45:
            return self.paint("1;31", beating)
        return self.paint("2", beating if node.state() == "up" else "-")

    def row(self, node, titles, bar_width):
        b = node.beat
        age = node.age_s()
        up = node.state() == "up"
        name = printable(node.name)[:8].ljust(8)
        cells = {
            "NODE": self.heart(node) + " " + self.paint("1" if up else "2", name),
            "BEAT": number(age, "%.1f" if age is not None and age < 100 else "%.0f", "s"),
            "GPU": number(b.get("gpu_percent"), "%.0f", "%"),
            "LOAD": number(b.get("load_1"), "%.2f"),
            "TEMP": number(b.get("temperature_c"), "%.0f", "\u00b0C" if self.blocks else " C"),
            "PING": number(b.get("ping_latency_ms"), "%.2f", "ms"),
            "MCP": mcp(b),
            "UPTIME": brief_duration(b.get("uptime_s")),
            "SEQ": number(b.get("seq"), "%d"),
            "TTL": "expired" if node.state() == "gone" else number(node.ttl_ms / 1000, "%.1f", "s"),
        }
        percents = {"CPU": "cpu_percent", "MEMORY": "memory_percent", "DISK": "disk_percent"}
        widths = {title: width for title, width, _ in self.COLUMNS}
        out = []
        for title in titles:
            if title in percents:
                out.append(self.bar(b.get(percents[title]), bar_width))
            elif title == "NODE":
                out.append(cells[title])
            else:
                cell = cells[title].ljust(widths[title])
                red = title == "TTL" and node.state() == "gone"
                out.append(self.paint("31", cell) if red else cell)
        return "  ".join(out)

    def draw(self, nodes, title):
        size = shutil.get_terminal_size()
        titles, bar_width = self.layout(size.columns)
        widths = {title: width or bar_width + 5 for title, width, _ in self.COLUMNS}
        head = "  ".join(title.ljust(widths[title]) for title in titles)
        lines = [self.paint("1", title[:size.columns - 1]), "",
                 self.paint("2", head[:size.columns - 1])]
        for node in nodes:
            lines.append(self.row(node, titles, bar_width))
            if words := probe_words(node.beat):
                lines.append(self.paint("2", ("  " + words)[:size.columns - 1]))
            if node.robot:
                lines.append(("  robot   " + robot_words(node.robot))[:size.columns - 1])
            if node.stroke:
                room = max(size.columns - 28, 0)
                lines.append("  stroke  " + self.bar(stroke_percent(node.stroke), 12) + "  "
                             + stroke_words(node.stroke)[:room])
        if not nodes:
            lines.append(self.paint("2", "no node has beaten yet"))
        lines += ["", self.paint("2", "EVENTS")]
        for event in self.events:
            name, details = event_words(event)
            who = printable(str(event.get("node_id")))[:8].ljust(8)
            room = max(size.columns - 23 - len(name), 0)
            lines.append("%s  %s  %s  %s" % (clock(event.get("timestamp")), who,
                                            self.paint("1", printable(name)), details[:room]))
        if self.note:
            lines += ["", self.paint("33", self.note[:size.columns - 1])]
        lines = lines[:max(size.lines - 1, 1)]
        out = "\x1b[%dA" % self.drawn if self.drawn else ""
        if self.size not in (None, size):  # the terminal has wrapped the lines: start afresh
            out = "\x1b[H\x1b[2J"
        self.size = size
        sys.stdout.write(out + "\r" + "".join(line + "\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()
        self.drawn = len(lines)

    def end(self):
        sys.stdout.write("\x1b[?25h")
        sys.stdout.flush()


def mask(url):
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return host if not at else user.split(":")[0] + ":***@" + host


class Watch:
    def __init__(self, options, url, view):
        self.options = options
        self.url = url
        self.view = view
        self.redis = Redis(url)
        self.nodes = {}
        self.landed = 0
        self.trouble = ""
        self.robots_seen = 0
        self.began = time.monotonic()

    def look(self):
        """Once: what has changed in Redis."""
        try:
            events = list(self.redis.new_events())
            health = self.redis.health()
            robots, strokes = self.redis.robots(), self.redis.strokes()
        except (redis.RedisError, ValueError) as error:
            self.redis.close()
            words = "Redis at %s: %s" % (mask(self.url), printable(str(error)))
            if words != self.trouble:
                self.view.trouble(words)
            self.trouble = words
            return
        if self.trouble:
            self.view.trouble("Redis at %s answers again" % mask(self.url))
        self.trouble = ""
        for event in events:
            self.view.event(event)
        for name, (beat, ttl_ms, history) in health.items():
            node = self.nodes.setdefault(name, Node(name))
            node.ttl_ms, node.history = ttl_ms, history
            node.robot, node.stroke = robots.get(name, {}), strokes.get(name, {})
            self.robots_seen += bool(node.robot)
            if beat.get("timestamp") == node.beat.get("timestamp"):
                continue
            node.beat = beat
            node.beats += 1
            if name == self.options.node and beat.get("is_reachable"):
                self.landed += str(beat.get("timestamp")) >= self.options.since
            self.view.beat(node)
        for name in self.nodes.keys() - health.keys():
            self.nodes[name].ttl_ms = -2

    def beats(self):
        return "%d beat%s" % (self.landed, "" if self.landed == 1 else "s")

    def title(self):
        elapsed = int(time.monotonic() - self.began)
        history = sum(node.history for node in self.nodes.values())
        return "nodebeat  %02d:%02d  Redis %s  %s  %d in the history" % (
            elapsed // 60, elapsed % 60, mask(self.url), self.beats(), history)

    def run(self):
        stopping = []
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # `./dev` ends things in order
            signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
        while True:
            last = bool(stopping)  # then one more look, for what was said at the end
            self.look()
            if self.options.ready and self.redis.events:
                open(self.options.ready, "w").close()
                self.options.ready = None
            self.view.draw([self.nodes[name] for name in sorted(self.nodes)], self.title())
            if last:
                break
            if not stopping:
                time.sleep(POLL_S)
        self.view.end()
        return self.summary()

    def summary(self):
        seconds = time.monotonic() - self.began
        if not self.landed:
            print("No beat of '%s' has landed in Redis in %.0f s." % (self.options.node, seconds))
            return 1
        if self.options.robot and not self.robots_seen:
            print("No state of a robot has landed in Redis in %.0f s." % seconds)
            return 1
        print("%s of '%s' landed in Redis in %.0f s." % (self.beats(), self.options.node, seconds))
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", default=os.environ.get("DEMO_REDIS_URL"),
                        help="URL of the server (default: $DEMO_REDIS_URL)")
    parser.add_argument("--node", required=True, help="the node whose beats are awaited")
    parser.add_argument("--robot", action="store_true", help="a robot's state is awaited as well")
    parser.add_argument("--since", default="", help="beats before this timestamp do not count")
    parser.add_argument("--ready", help="a file to create when events are listened to")
    options = parser.parse_args()
    if not options.redis:
        parser.error("--redis is missing")
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    view = Table() if live else Lines()
    try:
        return Watch(options, options.redis, view).run()
    finally:
        view.end()


if __name__ == "__main__":
    sys.exit(main())
