"""nodebeat-audit as a process under test, and entries as agents write them."""

import itertools
import os
import re
import subprocess
import threading
from pathlib import Path

from support import processes
from support.agent import environment, find_program, toml
from support.waiting import wait_until

STREAM = "nodebeat:sessions:audit"
GROUP = "nodebeat-audit"

QUICK = {
    "log.level": "info",
    "redis.connect_timeout": "1s",
    "redis.command_timeout": "1s",
    "postgresql.connect_timeout": "2s",
    "postgresql.statement_timeout": "5s",
    "audit.takeover_after": "1s",
    "audit.backoff_cap": "200ms",
}


def find_audit():
    """$NODEBEAT_AUDIT, or the one built with the daemon under test; None if there is none."""
    named = os.environ.get("NODEBEAT_AUDIT")
    if named:
        return Path(named).resolve()
    daemon = find_program()
    beside = daemon and daemon.parent.parent / "audit" / "nodebeat-audit"
    return beside if beside and beside.exists() else None


class Audit:
    """One nodebeat-audit. `settings` go over QUICK into a file of its own."""

    def __init__(self, program, folder, settings, start=True, wrapper=()):
        self.program = program
        self.wrapper = wrapper
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.config = folder / "audit.toml"
        self.settings = {**QUICK, **settings}
        self.config.write_text(toml({k: v for k, v in self.settings.items() if v is not None}))
        self.lines = []
        self.process = None
        if start:
            self.start()

    def start(self):
        self.process = processes.spawn(
            [*self.wrapper, self.program, "--config", self.config],
            env=environment(self.folder / "sanitizer"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self._collect, args=(self.process,), daemon=True)
        self.reader.start()
        return self

    def _collect(self, process):
        for line in process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def wait_for_log(self, pattern, after=0):
        return wait_until(
            lambda: next((l for l in self.lines[after:] if re.search(pattern, l)), None), 15,
            lambda: f"{pattern!r} in {self.lines[after:]}")

    def run(self, *args):
        """Runs it with this file and these flags to its end."""
        return subprocess.run(
            [self.program, "--config", self.config, *args], env=environment(self.folder / "sanitizer"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)

    def kill(self):
        processes.end(self.process)

    def stop(self):
        self.process.terminate()
        return self.process.wait(10)

    def close(self):
        self.kill()
        if self.process:
            self.reader.join(5)
            self.process.stderr.close()
        print("\n".join(["--- nodebeat-audit", *self.lines]))
        reports = [p.read_text() for p in self.folder.glob("sanitizer*")]
        assert not reports, "\n".join(reports)


class Writes:
    """Entries in the form of src/wire/session.lua; each is another one."""

    def __init__(self, redis, instance="i1"):
        self.redis = redis
        self.instance = instance
        self.sequence = itertools.count(1)

    def fields(self, state='{"a":1}', **more):
        number = next(self.sequence)
        fields = {
            "op": "update", "session_id": f"s{number % 7}", "timestamp": "2026-11-20T14:03:07.123Z",
            "old_version": str(number), "new_version": str(number + 1), "sequence": str(number),
            "client": "robot", "uid": "1000", "node": "ook", "instance": self.instance}
        if state is not None:
            fields["state"] = state
        return {**fields, **more}

    def add(self, count=1, **fields):
        """Their ids."""
        pipeline = self.redis.pipeline(transaction=False)
        for _ in range(count):
            pipeline.xadd(STREAM, self.fields(**fields))
        return pipeline.execute()
