"""nodebeatctl, or another program, on a terminal of its own."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading

from support import processes
from support.ctl_fixtures import CTL
from support.screen import Screen
from support.waiting import wait_until

ENTER, LEAVE = "\033[?1049h", "\033[?1049l"


class Terminal:
    """A program on a terminal of its own; what it has drawn."""

    def __init__(self, args, env, rows=30, columns=120, program=(CTL,)):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [*program, *args],
            env={**env, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.output = ""
        self.chunks = []  # time.monotonic() of each
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                try:
                    data = os.read(self.master, 1 << 16)
                except OSError:
                    return
                if not data:
                    return
                self.output += data.decode(errors="replace")
            elif self.process.poll() is not None:
                return

    def resize(self, rows, columns):
        self.size = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def frames(self):
        """Each picture that is complete, as lines without colours."""
        pictures = re.findall(r"\033\[\?2026h\033\[H(.*?)\033\[\?2026l", self.output, re.DOTALL)
        return [
            [re.sub(r"\033\[[0-9;]*[mKJ]", "", line) for line in re.split("\r+\n", picture)]
            for picture in pictures
        ]

    def screen(self):
        """What a person sees, after the last picture that is whole."""
        end = self.output.rfind("\033[?2026l") + 1
        screen = Screen(*self.size)
        screen.feed(self.output[: self.output.index("l", end) + 1] if end else "")
        return screen

    def wait_screen(self, condition, what):
        """Waits until the screen's lines are as `condition` wants them; returns them."""
        def seen():
            lines = self.screen().lines()
            return lines if condition(lines) else None

        return wait_until(seen, what=lambda: f"{what} in\n{self.screen().text()}")

    def wait_for(self, condition, what):
        return wait_until(
            lambda: any(condition(frame) for frame in self.frames()[-3:]),
            what=lambda: f"{what} in {self.output[-3000:]!r}",
        )

    def wait_text(self, text):
        return self.wait_for(lambda frame: any(text in line for line in frame), text)

    def press(self, key):
        os.write(self.master, key)

    def wait_left(self):
        """Its exit code, having checked that the terminal is as before."""
        code = self.process.wait(10)
        wait_until(lambda: LEAVE in self.output, what="the alternate screen left")
        assert self.output.rindex(LEAVE) > self.output.rindex(ENTER)
        assert self.output.rindex("\033[?25h") > self.output.rindex("\033[?25l")
        assert termios.tcgetattr(self.slave) == self.before
        return code

    def close(self):
        processes.end(self.process)
        self.thread.join(5)
        os.close(self.slave)
        os.close(self.master)
