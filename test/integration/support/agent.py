"""nodebeatd as a process under test."""

import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil

from support import processes
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]

# Quick, so that a test sees many beats and many tries in a short time.
QUICK = {
    "log.level": "info",
    "log.lines_per_minute": 0,
    "heartbeat.interval": "100ms",
    "heartbeat.ttl": "5s",
    "redis.connect_timeout": "1s",
    "redis.command_timeout": "1s",
    "redis.ping_after": "200ms",
    "redis.backoff_base": "10ms",
    "redis.backoff_cap": "100ms",
    "redis.stable_after": "0s",
    "health.gpu": "none",
    "socket.group": "",
}


def find_program():
    """$NODEBEATD, or the newest build there is; None if there is none."""
    named = os.environ.get("NODEBEATD")
    if named:
        return Path(named).resolve() if os.access(named, os.X_OK) else None
    found = glob.glob(f"{ROOT}/build*/src/agent/nodebeatd")
    found += glob.glob(f"{ROOT}/build/*/src/agent/nodebeatd")
    return Path(max(found, key=os.path.getmtime)) if found else None


def is_sanitized(program):
    return program is not None and b"__asan_init" in Path(program).read_bytes()


def toml(settings, probes=(), sockets=None):
    """A configuration file's text from {"heartbeat.interval": "1s", ...} and a list of probes.
    JSON's scalars and lists are TOML too. With a list of further sockets, all are [[socket]]."""
    sections = {}
    for path, value in settings.items():
        section, key = path.rsplit(".", 1)
        sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    listed = ["socket"] if sockets is not None else []
    text = "".join((f"[[{s}]]\n" if s in listed else f"[{s}]\n") + "\n".join(lines) + "\n\n"
                   for s, lines in sections.items())
    for name, tables in (("socket", sockets or ()), ("probe", probes)):
        for table in tables:
            text += f"[[{name}]]\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) + "\n"
    return text


def environment(reports, **more):
    """The test's own environment, without what would configure an agent or a service. `more` goes
    over it, but sanitizers' options are added to those that are there."""
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("NODEBEAT") and k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")
    }
    # Sanitizers report into files: stderr may be closed, or be what is tested.
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        options = [env.get(name), more.pop(name, None), f"log_path={reports}"]
        env[name] = ":".join(filter(None, options))
    env.update({k: str(v) for k, v in more.items()})
    return env


class Agent:
    """One nodebeatd. `settings` go over QUICK into a configuration file of its own."""

    def __init__(self, program, folder, node, redis_url, settings=None, probes=(), args=(),
                 env=None, notify=None, wrapper=(), stop_within=1.0, sockets=None):
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.node = node
        self.config = folder / "nodebeat.toml"
        self.settings = {
            **QUICK,
            "node.name": node,
            "redis.url": redis_url,
            "socket.path": str(folder / "agent.sock"),
            **(settings or {}),
        }
        self.probes = list(probes)
        self.sockets = sockets
        self.write_config()
        self.reports = folder / "sanitizer"
        self.stop_within = stop_within
        self.lines = []  # (time.monotonic(), text)
        env = environment(self.reports, **(env or {}))
        if notify is not None:
            env["NOTIFY_SOCKET"] = str(notify.path)
        self.process = processes.spawn(
            [*wrapper, program, "--config", self.config, *args],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def write_config(self, **changes):
        """Writes the file, with `changes` (heartbeat__interval="1s") from now on; None removes."""
        for path, value in changes.items():
            self.settings[path.replace("__", ".")] = value
        settings = {k: v for k, v in self.settings.items() if v is not None}
        # In one step: the agent may be reading it.
        draft = self.config.with_suffix(".draft")
        draft.write_text(toml(settings, self.probes, self.sockets))
        draft.replace(self.config)

    def _collect(self):
        for line in self.process.stderr:
            self.lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))

    @property
    def socket_path(self):
        return self.settings["socket.path"]

    @property
    def pid(self):
        return self.process.pid

    def log(self, after=0):
        return [text for _, text in self.lines[after:]]

    def logged(self, pattern, after=0):
        return [text for text in self.log(after) if re.search(pattern, text)]

    def wait_for_log(self, pattern, after=0, timeout=10.0):
        """The first (time, line) that matches."""

        def look():
            assert self.process.poll() is None or self._reader.is_alive() or self.logged(
                pattern, after
            ), f"the agent ended with {self.process.returncode}: {self.log()}"
            return next((l for l in self.lines[after:] if re.search(pattern, l[1])), None)

        return wait_until(look, timeout, lambda: f"log line {pattern!r} in {self.log(after)}")

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    def descriptors(self):
        found = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found[fd] = os.readlink(f"/proc/{self.pid}/fd/{fd}")
        return found

    def memory(self):
        return psutil.Process(self.pid).memory_full_info()

    def own_memory(self):
        """Bytes of this process alone, without the program's text: that is shared with other
        processes of the same program."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    def connections(self, kind="tcp"):
        return psutil.Process(self.pid).connections(kind)

    def terminate(self):
        self.process.terminate()

    def wait_ended(self, within=None):
        """Waits for a clean end and returns how long it took."""
        within = self.stop_within if within is None else within
        begin = time.monotonic()
        try:
            self.process.wait(within + 10)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there {within + 10:g} s after SIGTERM: {self.log()}")
        took = time.monotonic() - begin
        self._reader.join(5)
        assert self.process.returncode == 0, f"{self.process.returncode}: {self.log()}"
        self.check_reports()
        assert took <= within, f"took {took:.2f} s to stop: {self.log()}"
        return took

    def stop(self):
        """SIGTERM; asserts that it ends in time, with 0, and without a sanitizer's report."""
        self.terminate()
        return self.wait_ended()

    def kill(self):
        """SIGKILL: what a power cut looks like to others."""
        processes.end(self.process)
        self._reader.join(5)

    def check_reports(self):
        reports = [p.read_text() for p in self.folder.glob(self.reports.name + "*")]
        assert not reports, "\n".join(reports)
        text = "\n".join(self.log())
        assert not re.search(r"AddressSanitizer|LeakSanitizer|runtime error:|Assertion", text), text

    def finish(self):
        """At a test's end, whatever came before. A stopped or hanging agent is killed and fails."""
        try:
            if self.process.poll() is None:
                processes.resume(self.process)
                self.stop()
            else:
                self.check_reports()
        finally:
            processes.end(self.process)
            self._reader.join(5)
            self.process.stderr.close()
