"""The log: what a client, Redis or a probe can cause is bounded, and the log never holds the agent up."""

import fcntl
import os
import re
import socket
import sys
import termios
import time
from pathlib import Path

import pytest

from support.waiting import wait_until

LIMITED = {"log.lines_per_minute": None}
WILL = [{"method": "state.set", "params": {"key": "gone", "value": 1}}]


def test_wills_by_the_thousand_are_a_few_lines_and_a_count(redis_server, make_agent, connect):
    begin = time.monotonic()
    agent = make_agent(redis_server.url(), settings=LIMITED)
    watcher = connect(agent)
    for _ in range(400):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: len(watcher.call("agent.stats")["clients"]) == 1)
    agent.stop()
    told = [int(line.split("... and ")[1].split()[0]) for line in agent.logged("more like this")]
    lines = agent.logged("client flood .*carried out$")
    assert len(lines) + sum(told) == 400
    # At once twenty, and one more in three seconds.
    assert 20 <= len(lines) <= 21 + (time.monotonic() - begin) / 3


@pytest.mark.own_users("its user in Redis may do less than the suite's")
def test_two_refused_channels_in_turn_are_a_few_lines(redis_server, make_agent, connect):
    redis_server.client().execute_command("ACL", "SETUSER", "nb", "on", ">pw", "~*", "+@all",
                                          "resetchannels", "&node:*")
    begin = time.monotonic()
    agent = make_agent(redis_server.url(), settings={
        **LIMITED, "redis.username": "nb", "redis.password": "pw"})
    client = connect(agent)
    agent.wait_for_log(": connected")
    for turn in range(500):
        client.notify("event.publish", channel=f"refused:{turn % 2}", event={"type": "x"})
    wait_until(lambda: client.call("agent.stats")["outbox"]["refused"] >= 500)
    agent.stop()
    lines = agent.logged("refuse")
    assert 1 <= len(lines) <= 2 * (21 + (time.monotonic() - begin) / 3)


def test_an_operator_may_have_every_line(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"log.lines_per_minute": 0})
    for _ in range(100):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: len(agent.logged("has gone")) == 100)


@pytest.mark.parametrize("per_minute, lines", [(1, 1), (3, 3)])
def test_the_limit_can_be_changed_while_it_runs(redis_server, make_agent, connect, per_minute, lines):
    agent = make_agent(redis_server.url())
    connect(agent)
    agent.write_config(log__lines_per_minute=per_minute)
    agent.reload()
    agent.wait_for_log("was read again")
    for _ in range(10):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: not [c for c in connect(agent).call("agent.stats")["clients"]
                            if c["name"] == "flood"])
    agent.stop()
    assert len(agent.logged("client flood .*carried out$")) == lines


# --- a log that nobody reads --------------------------------------------------------------------


class FullPipe:
    """A named pipe of one page, as small as they get."""

    def __init__(self, folder):
        path = folder / "log"
        os.mkfifo(path)
        # Both ends: it lives on its own, and nobody waits for the other one.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        self.wrapper = ["sh", "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", path]

    def fill(self):
        try:
            while True:
                os.write(self.fd, b"x" * 512)
        except BlockingIOError:
            pass

    def read(self):
        return os.read(self.fd, 1 << 20)

    def close(self):
        os.close(self.fd)


class FullSocket:
    """A connected socket, which standard error is where the journal reads it. A few lines fill it."""

    def __init__(self, folder):
        path = folder / "log"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.reader = None
        self.wrapper = [sys.executable, Path(__file__).parent / "support" / "stderr_to.py", path]

    def fill(self):
        if self.reader is None:
            self.reader, _ = self.listener.accept()
            self.reader.setblocking(False)

    def read(self):
        return self.reader.recv(1 << 20)

    def close(self):
        self.listener.close()
        if self.reader is not None:
            self.reader.close()


class StoppedTerminal:
    """A terminal on which somebody pressed Ctrl-S."""

    def __init__(self, folder):
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.wrapper = ["sh", "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh",
                        os.ttyname(self.slave)]

    def fill(self):
        termios.tcflow(self.slave, termios.TCOOFF)

    def read(self):
        termios.tcflow(self.slave, termios.TCOON)
        return os.read(self.master, 1 << 20)

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.mark.parametrize("kind", [FullPipe, FullSocket, StoppedTerminal])
def test_a_log_that_nobody_reads_holds_nothing_up(redis_server, make_agent, connect, closing,
                                                  tmp_path, kind):
    log = closing(kind(tmp_path))
    agent = make_agent(redis_server.url(), wrapper=log.wrapper)
    redis_server.wait_for_beat("ook")
    log.fill()
    client = connect(agent)

    def leave_a_will():  # which is logged
        other = connect(agent)
        other.call("client.hello", name="other", will=WILL)
        other.close()

    for _ in range(40):
        leave_a_will()
    wait_until(lambda: len(client.call("agent.stats")["clients"]) == 1)
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq + 3)
    text = [log.read()]
    leave_a_will()

    def told():
        text.append(log.read())
        return re.search(rb"\d+ lines? of the log w\w+ lost.*carried out", b"".join(text), re.S)

    wait_until(told, ignoring=(BlockingIOError,))
    log.fill()
    agent.stop()


def test_a_log_file_has_each_line(redis_server, make_agent, tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    agent = make_agent(redis_server.url(),
                       wrapper=["sh", "-c", 'log=$1; shift; exec "$@" 2>>"$log"', "sh", log])
    redis_server.wait_for_beat("ook")
    agent.stop()
    lines = log.read_text().splitlines()
    assert lines[0] == "before" and "nodebeatd: stopping" in lines
