"""Waiting for a condition, with a deadline; nothing in this suite sleeps for a fixed time."""

import os
import time

# Under an emulator (./dev cross) everything takes several times as long.
SLOWNESS = float(os.environ.get("NODEBEAT_TEST_SLOWNESS") or 1)


class Conditions:
    """Counts what was checked, so that a test that checks nothing can be told from one that passes."""

    met = 0


def wait_until(condition, timeout=10.0, what=None, ignoring=()):
    """Polls until `condition()` is true and returns its value; AssertionError after `timeout`.

    `what` (text, or a function called only on failure) says what was waited for. Exceptions of the
    types in `ignoring` count as "not yet".
    """
    timeout *= SLOWNESS
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                Conditions.met += 1
                return value
            last = value
        except ignoring as error:
            last = error
        if time.monotonic() >= deadline:
            said = what() if callable(what) else what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"not within {timeout:g} s: {said} (last: {last!r})")
        time.sleep(0.008)
