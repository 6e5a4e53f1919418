"""The Python package under test, and its asyncio client with the blocking one's interface, so that one
test holds for both."""

import asyncio
import contextlib
import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

from support.agent import ROOT

SOURCE = ROOT / "src" / "python"
if str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))


def deep(levels):
    """Lists within each other."""
    return [deep(levels - 1)] if levels > 1 else []


# What Python's json writes, or refuses without a place, and the protocol does not have; and the words for it, of a value `v`.
NO_JSON = [
    ("a\0b", r"\bv has a NUL"),
    ([{"a\0": 1}], r"v\[0\].'a\\x00' has a NUL"),
    ({"a": [0, 10**400]}, r"v\.a\[1\] is an integer that no double holds"),
    ({"a": 2**1024}, "v.a is an integer"),
    ([float("nan")], r"v\[0\] is nan"),
    ({1: 1, "1": 2}, "v has the name '1' twice"),
    ({True: 1, "true": 2}, "v has the name 'true' twice"),
    (deep(70), "is nested too deep"),
]


def environment(**more):
    """For a process that imports the package from the tree."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NODEBEAT")}
    return {**env, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **{k: str(v) for k, v in more.items()}}


def start(script, *args, **options):
    """A process that runs a script, a text or a path, with the package of the tree."""
    script = [str(script)] if isinstance(script, Path) else ["-c", script]
    env = environment(**options.pop("env", {}))
    options = {"stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen([sys.executable, *script, *map(str, args)], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def finish(process, within=20):
    """Its output; it has to end well."""
    out, err = process.communicate(timeout=within)
    assert process.returncode == 0, f"{process.returncode}: {out}\n{err}"
    return out


# The begin of a script: while `armed` is set, the next SIGALRM raises Interrupt and takes `armed` back.
ALARM = """
import signal
class Interrupt(BaseException): pass
armed = False
def on_alarm(*_):
    global armed
    if armed:
        armed = False
        raise Interrupt
signal.signal(signal.SIGALRM, on_alarm)
"""


def at_each_instruction(functions, happen):
    """As for a signal handler, that may run anywhere: yields (1, traced), (2, traced), ...; in the n-th `with traced`,
    `happen(n)` is called before the n-th instruction of these functions. Ends when the block has fewer instructions."""
    code = {f.__code__ for f in functions}
    wanted = at = 0

    def trace(frame, what, _):
        nonlocal at
        if frame.f_code not in code:
            return None
        frame.f_trace_opcodes = True
        if what == "opcode":
            at += 1
            if at == wanted:
                sys.settrace(None)
                happen(wanted)
        return trace

    @contextlib.contextmanager
    def traced():
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(None)

    while at >= wanted:
        wanted, at = wanted + 1, 0
        yield wanted, traced()


class Loop:
    """An event loop in a thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable, timeout=25):
        async def wait():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(timeout)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


class Blocking:
    """What an asyncio object has, for a thread outside its loop."""

    def __init__(self, made, loop):
        self._made, self._loop = made, loop

    def __getattr__(self, name):
        found = getattr(self._made, name)
        if not callable(found):
            return found

        def call(*args, **kwargs):
            async def make():
                answer = found(*args, **kwargs)
                return await answer if inspect.isawaitable(answer) else answer

            answer = self._loop.run(make())
            if hasattr(answer, "__anext__"):
                return self._iterate(answer)
            return self._manage(answer) if hasattr(answer, "__aenter__") else answer

        return call

    @property
    def hello(self):
        return self._loop.run(self._made.greeting())

    def _iterate(self, iterator):
        while True:
            try:
                yield self._loop.run(anext(iterator))
            except StopAsyncIteration:
                return

    @contextlib.contextmanager
    def _manage(self, manager):
        value = self._loop.run(manager.__aenter__())
        try:
            yield value
        except BaseException as error:
            if not self._loop.run(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self._loop.run(manager.__aexit__(None, None, None))
