"""How the demo is shown: as lines for a pipe or a log, or on a terminal as one screen that is drawn anew."""

import os
import shutil
import sys
import textwrap
from collections import deque

from words import (brief_duration, clock, event_words, mcp, number, printable, probe_words, robot_words, stroke_percent,
                   stroke_words)


class Scene:
    """What the story shows at the moment."""

    def __init__(self):
        self.title = ""
        self.where = ""  # what can be looked at, by its address
        self.text = ""  # what is shown, and why that matters
        self.facts = []  # lines that change
        self.commands = []  # what somebody may copy into a shell
        self.shown = []  # what the chapters before have shown
        self.next = ""


class Lines:
    """For pipes and logs: what the story says, one line an event, one line for each node's first beats."""

    BEATS = 3

    def __init__(self):
        self.is_live = False

    def chapter(self, scene):
        self.say("", "== %s" % scene.title, *textwrap.wrap(scene.text, 100), "")

    def say(self, *lines):
        for line in lines:
            print(line, flush=True)

    def shown(self, line):
        self.say("-> " + line)

    def note(self, line):
        self.say("   " + line)

    def beat(self, node):
        if node.beats > self.BEATS:
            return
        b = node.beat
        name = printable(node.name)
        at = clock(b.get("timestamp"))
        self.say("%s  %s  cpu %s  memory %s  disk %s  load %s  ping %s  seq %s  ttl %s" % (
            at, name,
            number(b.get("cpu_percent"), "%.1f", "%"),
            number(b.get("memory_percent"), "%.1f", "%"),
            number(b.get("disk_percent"), "%.1f", "%"),
            number(b.get("load_1"), "%.2f"),
            number(b.get("ping_latency_ms"), "%.2f", " ms"),
            number(b.get("seq"), "%d"),
            number(node.ttl_ms / 1000, "%.1f", " s"),
        ) + ("" if b.get("is_reachable") else "  not reachable: %s" % b.get("reason", "?")))
        if node.robot:
            self.say("%s  %s  robot: %s" % (at, name, robot_words(node.robot)))
        if node.stroke:
            self.say("%s  %s  stroke: %s" % (at, name, stroke_words(node.stroke)))

    def event(self, event):
        name, details = event_words(event)
        self.say("%s  %s  event: %s  %s" % (clock(event.get("timestamp")), printable(str(event.get("node_id"))), name,
                                            details))

    def draw(self, scene, nodes, trouble):
        pass

    def end(self):
        pass


def wrapped(text, columns, indent="", following=""):
    return textwrap.wrap(text, columns, initial_indent=indent, subsequent_indent=following, break_on_hyphens=False)


def command_lines(command, columns):
    """A shell takes them as they are copied from the screen."""
    if len(command) + 2 <= columns:
        return ["  " + command]
    lines = [command[at:at + columns - 1] for at in range(0, len(command), columns - 1)]
    return [line + "\\" for line in lines[:-1]] + lines[-1:]


class Screen:
    """For a person: the story above, the cell below it, then the latest events. Names and ids are cut last."""

    # Title, width and rank: where the terminal is narrow the highest rank goes first. Without a width: a bar.
    COLUMNS = (
        ("BEAT", 6, 1), ("CPU", 0, 2), ("MEMORY", 0, 2), ("DISK", 0, 2), ("GPU", 5, 6), ("LOAD", 6, 5), ("TEMP", 6, 4),
        ("PING", 7, 3), ("MCP", 6, 3), ("UPTIME", 8, 8), ("SEQ", 7, 7), ("TTL", 7, 1),
    )
    MOST_EVENTS = 12
    LEAST_EVENTS = 3

    def __init__(self):
        self.is_live = True
        self.events = deque(maxlen=self.MOST_EVENTS)
        self.blocks = "utf" in (sys.stdout.encoding or "").lower()
        self.colour = not os.environ.get("NO_COLOR")
        sys.stdout.write("\x1b[?1049h\x1b[?25l")

    def chapter(self, scene):
        pass

    def shown(self, line):
        pass

    def note(self, line):
        pass

    def beat(self, node):
        pass

    def event(self, event):
        self.events.append(event)

    def clip(self, text, columns):
        """At most that wide. What is left out is marked, and what stands there is whole words and numbers."""
        if len(text) <= columns:
            return text
        mark = "\u2026" if self.blocks else "..."
        end = text.rfind(" ", 0, max(columns - len(mark), 0))
        return text[:end].rstrip() + " " + mark if end > 0 else text[:max(columns - len(mark), 0)] + mark[:columns]

    def clip_name(self, name, columns):
        """Names of one cell often differ at their end only."""
        if len(name) <= columns:
            return name
        mark = "\u2026" if self.blocks else "..."
        rest = max(columns - len(mark), 2)
        return name[:rest // 2] + mark + name[-(rest - rest // 2):]

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

    def layout(self, room):
        """The columns that fit beside the names, and the width of a bar."""
        for rank in range(8, -1, -1):
            kept = [c for c in self.COLUMNS if c[2] <= rank]
            bars = sum(1 for _, width, _ in kept if not width)
            left = room - sum((width or 5) + 2 for _, width, _ in kept)
            if left >= 4 * bars:
                return kept, min(left // bars, 16) if bars else 0
        return [], 0

    def heart(self, node):
        age = node.age_s()
        beating = "\u2665" if self.blocks else "*"
        if node.state() == "up" and age is not None and age < 0.45:
            return self.paint("1;31", beating)
        return self.paint("2", beating if node.state() == "up" else "-")

    def row(self, node, columns, bar_width, name_width):
        b = node.beat
        age = node.age_s()
        cells = {
            "BEAT": number(age, "%.1f" if age is not None and age < 100 else "%.0f", "s"),
            "GPU": number(b.get("gpu_percent"), "%.0f", "%"),
            "LOAD": number(b.get("load_1"), "%.2f"),
            "TEMP": number(b.get("temperature_c"), "%.0f", "\u00b0C" if self.blocks else " C"),
            "PING": number(b.get("ping_latency_ms"), "%.2f", "ms"),
            "MCP": mcp(b),
            "UPTIME": brief_duration(b.get("uptime_s")),
            "SEQ": number(b.get("seq"), "%d"),
            "TTL": "expired" if node.state() == "gone" else number(node.ttl_ms / 1000, "%.0f", "s"),
        }
        percents = {"CPU": "cpu_percent", "MEMORY": "memory_percent", "DISK": "disk_percent"}
        name = self.clip_name(printable(node.name), name_width).ljust(name_width)
        out = [self.heart(node) + " " + self.paint("1" if node.state() == "up" else "31", name)]
        for title, width, _ in columns:
            out.append(self.bar(b.get(percents[title]), bar_width) if not width else cells[title].ljust(width))
        return "  ".join(out)

    def table(self, nodes, columns):
        longest = max([len(node.name) for node in nodes] + [4])
        name_width = min(longest, columns - 3)
        kept, bar_width = self.layout(columns - 1 - name_width - 2)
        head = "  ".join(["  " + "NODE".ljust(name_width)] + [t.ljust(w or bar_width + 5) for t, w, _ in kept])
        lines = [self.paint("2", head)]
        for node in nodes:
            lines.append(self.row(node, kept, bar_width, name_width))
            if node.state() == "left":
                lines.append(self.paint("31", self.clip("  not reachable: %s" % printable(str(node.beat.get("reason"))), columns)))
            if words := probe_words(node.beat):
                lines.append(self.paint("2", self.clip("  " + words, columns)))
            if node.robot:
                lines.append(self.clip("  robot   " + robot_words(node.robot), columns))
            if node.stroke:
                lines.append("  stroke  " + self.bar(stroke_percent(node.stroke), 12) + "  "
                             + self.clip(stroke_words(node.stroke), max(columns - 29, 0)))
        if not nodes:
            lines.append(self.paint("2", "  no node has beaten yet"))
        return lines

    def event_line(self, event, columns):
        name, details = event_words(event)
        at, what = clock(event.get("timestamp")), printable(name)
        node = self.clip_name(printable(str(event.get("node_id"))), max(columns - len(at) - len(what) - 4, 8))
        line = self.clip("%s  %s  %s" % (at, node, what), columns)
        room = columns - len(line) - 2
        return self.paint("1", line) + ("  " + self.clip(details, room) if details and room > 3 else "")

    def story(self, scene, columns, room):
        """Where there is too little room: without what can be looked at, then without the explanation, then without
        the oldest facts."""
        title = [self.paint("1", line) for line in wrapped(scene.title, columns)]
        where = [self.paint("2", line) for line in wrapped(scene.where, columns)]
        text = wrapped(scene.text, columns)
        facts = [line for fact in scene.facts for line in wrapped(fact, columns, "  ", "    ")]
        facts += [line for command in scene.commands for line in command_lines(command, columns)]
        for lines in (title + where + text + facts, title + text + facts):
            if len(lines) <= room:
                return lines
        return title + facts[-max(room - len(title), 1):]

    def result(self, line, columns):
        return wrapped(("\u2713 " if self.blocks else "+ ") + line, columns, "", "  ")

    def results(self, scene, columns, room, room_of_last):
        """What was shown: the oldest are left out where there is no room, the last one last."""
        shown = []
        for line in reversed(scene.shown):
            part = self.result(line, columns)
            if len(shown) + len(part) + 1 > (room if shown else room_of_last):
                break
            shown = [self.paint("32", text) for text in part] + shown
        return shown + [""] if shown else []

    def draw(self, scene, nodes, trouble):
        columns, rows = shutil.get_terminal_size()
        columns -= 1
        end = ["", *(self.paint("33", line) for line in wrapped(trouble or scene.next, columns))]
        table = self.table(nodes, columns)
        room = rows - len(table) - len(end) - 1
        last = len(self.result(scene.shown[-1], columns)) + 1 if scene.shown else 0
        story = self.story(scene, columns, room - last - 1)
        room -= len(story) + 1
        shown = self.results(scene, columns, room - self.LEAST_EVENTS, room)
        count = max(room - len(shown), 0)
        events = [self.event_line(e, columns) for e in list(self.events)[-count:]] if count else []
        lines = story + [""] + shown + table + ([self.paint("2", "EVENTS")] if events else []) + events
        lines = lines[:max(rows - len(end), 0)] + end
        # Between these two marks a terminal shows nothing new (mode 2026), so no picture is seen half.
        sys.stdout.write("\x1b[?2026h\x1b[H" + "\r\n".join(line + "\x1b[K" for line in lines[:rows]) + "\x1b[J\x1b[?2026l")
        sys.stdout.flush()

    def end(self):
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
