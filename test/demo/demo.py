#!/usr/bin/python3
"""The demo of `./dev demo`: a private Redis, agents and a simulated robot, and what becomes of them when things break.

On a terminal it is one screen, which stays until q or Ctrl-C. Elsewhere it is lines, and ends by itself. It ends with 0
if all that it wanted to show was seen, or else so far; with 1 if not.
"""

import argparse
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import termios
import time
import tty
from datetime import datetime, timezone

from cell import Cell, Failure
from reader import Reader
from story import Story
from view import Lines, Scene, Screen
from words import TIMESTAMP

TICK_S = 0.1


class Keys:
    """Single keys of the terminal; none where there is no terminal."""

    def __init__(self, wanted):
        self.before = termios.tcgetattr(0) if wanted and os.isatty(0) else None
        if self.before:
            tty.setcbreak(0)

    def wait(self, seconds):
        """What was typed within that time."""
        if not self.before:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([0], [], [], seconds)
        return os.read(0, 64).decode(errors="replace") if ready else ""

    def close(self):
        if self.before:
            termios.tcsetattr(0, termios.TCSADRAIN, self.before)


class Demo:
    def __init__(self, options, folder):
        self.options = options
        self.cell = Cell(options.build, folder, options.node)
        self.began = time.monotonic()
        self.asked_to_end = False
        self.failure = ""
        self.reader = self.view = self.scene = None

    def start(self):
        url = os.environ.get("REDIS_URL")
        if url:
            self.cell.url = url
        else:
            self.cell.start_redis()
        self.reader = Reader(self.cell.url, self.cell.node, datetime.now(timezone.utc).strftime(TIMESTAMP))
        self.reader.look()  # it listens before the agent is there, and so hears it come up
        where = "Redis: %s, %s" % (self.reader.where, "yours, from REDIS_URL" if url else "private")
        self.cell.start_agent()
        self.cell.start_robot()
        if self.options.page:
            where += "; the page of the cell: %s" % self.cell.start_gate()
        print(where, flush=True)
        is_live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.view = Screen() if is_live else Lines()
        self.scene = Scene()
        self.scene.where = where
        self.began = time.monotonic()
        return Story(self.cell, self.reader, self.view, self.scene, is_own_redis=not url)

    def look(self, story=None):
        if story is None or not story.is_frozen:
            beaten, events = self.reader.look()
            for node in beaten:
                self.view.beat(node)
            for event in events:
                self.view.event(event)
        self.view.draw(self.scene, self.reader.sorted_nodes(), self.reader.trouble)

    def is_over(self):
        limit = self.options.seconds
        return self.asked_to_end or (limit is not None and time.monotonic() - self.began > limit)

    def tell(self, story):
        keys = Keys(self.view.is_live)
        chapters = story.run()
        is_told = False
        try:
            while not self.is_over():
                self.look(story)
                if program := self.cell.ended_by_itself():
                    raise Failure("%s has ended by itself: %s" % (program.name, " ".join(program.last_lines(3))))
                if not is_told:
                    is_told = next(chapters, story) is story
                if is_told and not self.view.is_live and self.options.seconds is None:
                    break
                typed = keys.wait(TICK_S)
                story.go_on |= "\n" in typed or " " in typed
                self.asked_to_end |= "q" in typed
        finally:
            keys.close()

    def run(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, self.on_signal)
        try:
            self.tell(self.start())
        except Failure as failure:
            self.failure = str(failure)
        finally:
            self.leave()
        return self.summary()

    def on_signal(self, *_):
        self.asked_to_end = True

    def leave(self):
        """Their farewells are shown as well."""
        try:
            if self.view:
                self.cell.thaw_redis()
                self.cell.say_farewell()
                self.look()
                self.view.end()
        finally:
            self.cell.end()

    def summary(self):
        if self.view and self.view.is_live:
            for line in self.scene.shown:
                print("- " + line)
        seconds = time.monotonic() - self.began
        if self.reader:
            if not self.reader.landed:
                self.failure = self.failure or "No beat of '%s' has landed in Redis." % self.cell.node
            elif not self.reader.robot_seen:
                self.failure = self.failure or "No state of a robot has landed in Redis."
            print("%d beats of '%s' landed in Redis in %.0f s." % (self.reader.landed, self.cell.node, seconds))
        if not self.failure:
            return 0
        sys.stdout.flush()
        print("demo: %s" % self.failure, file=sys.stderr)
        for line in self.cell.agent_log():
            print("  agent: " + line, file=sys.stderr)
        return 1


def own_name():
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0]) or "node"


def new_folder():
    """Sockets are in it, whose paths may have 107 bytes."""
    where = tempfile.gettempdir()
    return pathlib.Path(tempfile.mkdtemp(prefix="nodebeat-demo.", dir=where if len(where) < 60 else "/tmp"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the folder in which all was built")
    parser.add_argument("--node", default=own_name(), help="the node's name (default: the host's)")
    parser.add_argument("--seconds", type=float, help="end after that time, wherever the story is")
    parser.add_argument("--page", action="store_true", help="serve the page of the cell, too")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # not every locale has all that is shown
    folder = new_folder()
    try:
        return Demo(options, folder).run()
    except (BrokenPipeError, termios.error):  # nobody sees it any more: the reader of the pipe, or the terminal, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
