"""Child processes that never outlive the suite."""

import os
import signal
import subprocess


def spawn(command, **options):
    """Popen in a session of its own; the kernel ends it should pytest be killed outright."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *map(str, command)], start_new_session=True, **options
    )


def end(process):
    """Kills and reaps `process`, also if it is stopped."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait(10)


def pause(process):
    """SIGSTOP, and only returns once every thread of it stands still."""
    os.kill(process.pid, signal.SIGSTOP)
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    assert pid == process.pid and os.WIFSTOPPED(status)


def resume(process):
    os.kill(process.pid, signal.SIGCONT)
