"""The story that the demo tells: chapters, each a generator that ends when what it shows was seen.

A chapter yields whenever it waits; the demo looks at Redis and draws the screen in between.
"""

import shlex
import time
from datetime import datetime, timezone

from cell import Failure
from words import TIMESTAMP

FROZEN_S = 5.0
WAIT_S = 60  # a busy machine needs longer than a person would wait


class Story:
    def __init__(self, cell, reader, view, scene, is_own_redis):
        self.cell = cell
        self.reader = reader
        self.view = view
        self.scene = scene
        self.is_own_redis = is_own_redis
        self.is_frozen = False  # then nobody can look at Redis, the demo neither
        self.go_on = False  # somebody has pressed Enter
        self.pause_s = 6.0 if view.is_live else 1.0
        self.chapters = [
            ("A node beats, and a robot moves", self.beats),
            ("The robot's process is killed", self.robot_dies),
            ("Two writers share a session", self.session),
            ("The other node dies", self.node_dies),
        ]
        if is_own_redis:
            self.chapters.insert(1, ("Redis freezes for %.0f s" % FROZEN_S, self.redis_freezes))

    def run(self):
        for number, (title, chapter) in enumerate(self.chapters):
            self.scene.title = "nodebeat demo   %d of %d: %s" % (number + 1, len(self.chapters), title)
            self.scene.facts = []
            following = self.chapters[number + 1][0] if number + 1 < len(self.chapters) else "your turn"
            yield from chapter()
            yield from self.pause(following)
        self.your_turn()

    # --- what chapters are made of

    def begin(self, text):
        self.scene.text = text
        self.view.chapter(self.scene)

    def show(self, line):
        """What was seen: it stays on the screen."""
        self.scene.shown.append(line)
        self.view.shown(line)

    def note(self, line):
        self.scene.facts.append(line)
        self.view.note(line)

    def until(self, condition, what):
        """Returns the condition's value, once there is one."""
        self.scene.next = "Waiting for: %s (q: leave)" % what
        limit = time.monotonic() + WAIT_S
        while not (value := condition()):
            if time.monotonic() > limit:
                raise Failure("Not seen within %d s: %s." % (WAIT_S, what))
            yield
        return value

    def pause(self, following):
        self.go_on = False
        end = time.monotonic() + self.pause_s
        while not self.go_on and (left := end - time.monotonic()) > 0:
            self.scene.next = "Next in %.0f s (Enter: now, q: leave): %s" % (left + 0.5, following)
            yield

    def robot(self):
        node = self.reader.nodes.get(self.cell.node)
        return node.robot if node else {}

    def arms_are(self, connected):
        robot = self.robot()
        sides = [robot.get("is_connected_l"), robot.get("is_connected_r")]
        return sides == [connected, connected]

    # --- the chapters

    def beats(self):
        self.begin(
            "The agent of this node (%s) writes the node's health to Redis, here once a second. A simulated robot "
            "pushes the state of its two arms to the agent, 100 times a second, and the agent passes it on."
            % self.cell.node)
        yield from self.until(lambda: self.reader.landed >= 3, "three beats in Redis")
        yield from self.until(lambda: self.arms_are(True), "the robot's state in Redis")
        count, longest = self.cell.robot.read_report()
        self.show("%d beats and the robot's state are in Redis; of %d pushes the longest took %.0f \u00b5s"
                  % (self.reader.landed, count, longest))

    def redis_freezes(self):
        self.begin(
            "Redis answers nobody now (SIGSTOP). A control loop that writes to Redis by itself would wait. This one "
            "pushes to its agent on the same computer, and goes on.")
        self.cell.robot.read_report()
        began = time.monotonic()
        self.cell.freeze_redis()
        self.is_frozen = True
        pushes, longest, link = 0, 0.0, ("not known", 0)
        asked = began
        while (elapsed := time.monotonic() - began) < FROZEN_S:
            count, slowest = self.cell.robot.read_report()
            pushes, longest = pushes + count, max(longest, slowest)
            if time.monotonic() - asked > 1:
                link, asked = self.cell.link(), time.monotonic()
            self.scene.facts = [
                "frozen since %.1f s, pushes meanwhile: %d, the longest took %.0f \u00b5s" % (elapsed, pushes, longest),
                "the agent's link to Redis: %s; %d events wait" % link,
            ]
            self.scene.next = "Redis goes on in %.0f s (q: leave)" % (FROZEN_S - elapsed + 0.5)
            yield
        for fact in self.scene.facts:
            self.view.note(fact)
        self.cell.thaw_redis()
        self.is_frozen = False
        since = datetime.now(timezone.utc).strftime(TIMESTAMP)
        self.show("Redis was frozen for %.1f s; the robot made %d pushes meanwhile, the longest took %.0f \u00b5s"
                  % (elapsed, pushes, longest))
        yield from self.until(lambda: str(self.robot().get("timestamp")) > since, "the robot's state in Redis again")
        self.show("Redis answers again, and has the robot's latest state")

    def robot_dies(self):
        self.begin(
            "The robot's process gets SIGKILL, and can tell nobody. When it connected, it left a will with the agent: "
            "what shall be said if it dies. The agent sees the death, and carries out the will.")
        seen = len(self.reader.events)
        at = datetime.now(timezone.utc)
        self.cell.kill_robot()
        yield from self.until(lambda: self.arms_are(False), "both arms no longer connected")
        error = yield from self.until(
            lambda: self.reader.find_event(lambda e: e.get("type") == "error" and "client_pid" in e, seen), "the error")
        said = datetime.strptime(error["timestamp"], TIMESTAMP).replace(tzinfo=timezone.utc)
        self.show('%.0f ms after the kill the agent said: "%s", and in Redis no arm is connected'
                  % ((said - at).total_seconds() * 1000, error["message"]))
        self.scene.facts = ["The robot is started again."]
        self.cell.start_robot()
        yield from self.until(lambda: self.arms_are(True), "the arms connected again")

    def session(self):
        self.begin(
            "A second agent stands for another computer (%s). A session is an object with a version, which all "
            "computers may change. Two writers have read version 1, and both write." % self.cell.other_node)
        self.cell.start_other()
        other = self.cell.other_node
        yield from self.until(
            lambda: other in self.reader.nodes and self.cell.other.socket_path.exists(), "the other node's beat")
        name = "demo" if self.is_own_redis else self.cell.folder.name
        here, there = self.cell.agent, self.cell.other
        yield from self.ctl(here, "session", "create", name, '{"done":0}', want=0)
        yield from self.ctl(here, "session", "set", "--version-is", "1", name, '{"done":1}', want=0)
        conflict = yield from self.ctl(there, "session", "set", "--version-is", "1", name, '{"done":1}', want=4)
        self.note("It reads again what stands there, and adds to that:")
        yield from self.ctl(there, "session", "set", "--version-is", "2", name, '{"done":2}', want=0)
        self.show('The slower writer was refused ("%s"), and read again: no work was lost'
                  % conflict.partition(": ")[2])
        if not self.is_own_redis:
            yield from self.ctl(there, "session", "delete", name, want=0)

    def ctl(self, agent, *arguments, want):
        """Runs nodebeatctl with that agent and shows it; returns what was printed."""
        status, text = self.cell.ctl(*arguments, agent=agent)
        where = self.cell.node if agent is self.cell.agent else self.cell.other_node
        words = ["'%s'" % a if a.startswith("{") else a for a in arguments]
        self.note("%s $ nodebeatctl %s" % (where, " ".join(words)))
        self.note("    " + text)
        if status != want:
            raise Failure("nodebeatctl ended with %d, not with %d." % (status, want))
        yield
        return text

    def node_dies(self):
        other = self.cell.other_node
        self.begin(
            "The agent of %s is killed: nobody says goodbye. Each agent renews a small lease in Redis every second. One "
            "agent watches all leases, and sees that this one is not renewed any more." % other)
        seen = len(self.reader.events)
        began = time.monotonic()
        self.cell.kill_other()
        lost = yield from self.until(
            lambda: self.reader.find_event(lambda e: e.get("type") == "node_lost" and e.get("node_id") == other, seen),
            "node_lost")
        took = time.monotonic() - began
        yield from self.until(lambda: self.reader.nodes[other].state() != "up", "the node not reachable any more")
        self.show("%.1f s after the kill %s was announced as lost (%s)" % (took, other, lost["cause"]))
        if not self.is_own_redis:
            yield from self.ctl(self.cell.agent, "forget", other, want=0)

    def your_turn(self):
        self.scene.title = "nodebeat demo   your turn"
        self.begin("This was the story; the cell goes on. In another terminal:" if self.view.is_live else
                   "This was the story. In a terminal the cell now goes on, and you can ask its agent:")
        self.scene.facts = []
        for command in (
            "export NODEBEAT_SOCKET=%s" % shlex.quote(str(self.cell.agent.socket_path)),
            "export PATH=$PATH:%s" % shlex.quote(str(self.cell.build / "src/ctl")),
            "nodebeatctl top",
            "nodebeatctl watch 'error:events:*'",
            "nodebeatctl set cell:mode '\"auto\"'",
        ):
            self.scene.commands.append(command)
            self.view.note(command)
        self.scene.next = "q: leave, which ends all of it"
