"""nodebeatctl as a process under test."""

import glob
import os
import re
import subprocess
import threading
from pathlib import Path

from support import processes
from support.agent import ROOT, find_program
from support.waiting import wait_until

OK, FOUND, USAGE, AWAY, REFUSED, TIMEOUT, REFUSED_BY_REDIS, OUTPUT, FORBIDDEN, TOO_MANY = range(10)


def find_ctl():
    """$NODEBEATCTL, the one built with the daemon under test, or the newest there is."""
    named = os.environ.get("NODEBEATCTL")
    if named:
        return Path(named).resolve()
    daemon = find_program()
    beside = daemon and daemon.parent.parent / "ctl" / "nodebeatctl"
    if beside and beside.exists():
        return beside
    found = glob.glob(f"{ROOT}/build*/src/ctl/nodebeatctl")
    found += glob.glob(f"{ROOT}/build/*/src/ctl/nodebeatctl")
    return Path(max(found, key=os.path.getmtime)) if found else None


def run(program, args, env, stdin=""):
    """Runs it to its end."""
    done = subprocess.run(
        [program, *map(str, args)], env=env, input=stdin, capture_output=True, text=True, timeout=20
    )
    if done.returncode not in (OK, FOUND):
        assert "\n" not in done.stderr.strip() or "push" in args, "one sentence an error"
    return done


class Following:
    """A nodebeatctl that runs until it is ended; its lines as they come."""

    def __init__(self, program, args, env):
        self.process = processes.spawn(
            [program, *args], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def wait_for(self, pattern):
        return wait_until(
            lambda: next((l for l in self.lines if re.search(pattern, l)), None),
            what=lambda: f"{pattern!r} in {self.lines}",
        )

    def close(self):
        processes.end(self.process)
        self.thread.join(5)
        self.process.stdin.close()
        self.process.stdout.close()
