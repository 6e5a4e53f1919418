"""Runs build*/test/support/probe_driver and reads what it says."""

import os
import pathlib
import select
import signal
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 20  # seconds, for anything that is waited for


def find(variable, *patterns):
    """The path that an environment variable names, or the newest match below the repository."""
    if os.environ.get(variable):
        return pathlib.Path(os.environ[variable])
    found = [path for pattern in patterns for path in REPOSITORY.glob(pattern)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def driver_path():
    path = find("NODEBEAT_TEST_PROBE_DRIVER", "build*/test/support/probe_driver",
                "build*/*/test/support/probe_driver")
    assert path, "build the tests first: there is no build*/test/support/probe_driver"
    return path


class Lines:
    """The lines of a process's standard output, each waited for with a deadline."""

    def __init__(self, process):
        self.process = process
        self.rest = b""

    def next(self):
        end = time.monotonic() + DEADLINE
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            assert ready, f"no further line within {DEADLINE} s"
            chunk = os.read(self.process.stdout.fileno(), 4096)
            assert chunk, f"the process ended with {self.process.wait()}"
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


class ProbeDriver:
    def __init__(self, **spec):
        words = [f"{key}={value}" for key, value in spec.items()]
        self.process = subprocess.Popen([driver_path(), *words], stdout=subprocess.PIPE)
        self.lines = Lines(self.process)
        assert self.lines.next() == "ready"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(DEADLINE)
        self.process.stdout.close()
        assert code == 0, "the driver's loop did not close clean"

    def verdict(self):
        """The next change of the verdict: (verdict, detail)."""
        verdict, _, detail = self.lines.next().split("\t")
        return verdict, detail

    def now(self):
        self.process.send_signal(signal.SIGUSR1)
        while True:
            line = self.lines.next()
            if line.startswith("now "):
                verdict, _, detail = line[4:].split("\t")
                return verdict, detail


def wait_for(condition):
    """Asks `condition` until it gives something true, which is returned."""
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {DEADLINE} s"
        select.select([], [], [], 0.01)
