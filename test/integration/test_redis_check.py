"""`nodebeatctl redis check` of servers that nobody vouches for: its time and its memory are its own."""

import subprocess
import threading
import time

import pytest

from support.agent import environment
from support.ctl import AWAY, TIMEOUT, find_ctl
from support.waiting import SLOWNESS

CTL = find_ctl()
if CTL is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)

PROBLEMS = 2
# KiB of addresses; each of these servers would fill more.
MOST_MEMORY = 512 << 10


@pytest.fixture
def check(tmp_path, sanitized):
    """check(url, *args): exit code, both outputs and seconds, with a limit on its memory."""
    limit = "" if sanitized else f"ulimit -v {MOST_MEMORY}; "

    def run(url, *args):
        began = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", limit + 'exec "$0" "$@"', CTL, "redis", "check", *args, url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            env=environment(tmp_path / "sanitizer", LC_ALL="C.UTF-8"))
        return done.returncode, done.stdout.decode(), time.monotonic() - began

    return run


def good(connection, until):
    """Answers everything with OK up to that command, which it returns."""
    while True:
        command = connection.read_command()
        if command[0] == until:
            return
        connection.send(b"+OK\r\n")


@pytest.mark.parametrize("what", ["bulk", "line", "items", "depth", "bulks"])
def test_a_reply_without_an_end_takes_no_memory(fake_redis, check, what):
    head, rest = {
        "bulk": (b"$17179869184\r\n", b"x" * 65536),
        "line": (b"+", b"x" * 65536),
        "items": (b"*2147483647\r\n", b"$1\r\nx\r\n" * 8192),
        "depth": (b"", b"*1\r\n" * 16384),
        "bulks": (b"*16000\r\n", b"$65536\r\n" + b"x" * 65536 + b"\r\n"),
    }[what]

    def script(connection):
        good(connection, "INFO")
        connection.send(head)
        while True:  # until check hangs up
            connection.send(rest)

    code, words, seconds = check(fake_redis(script).url())
    assert "longer than 4194304 bytes" in words, words
    assert seconds < 10 * SLOWNESS


def test_one_deadline_for_everything(fake_redis, check):
    """Each answer comes in time, all together do not."""
    slowly = threading.Event()

    def script(connection):
        while True:
            connection.read_command()
            for byte in b"+OK\r\n":
                slowly.wait(0.05)
                connection.send(bytes([byte]))

    code, words, seconds = check(fake_redis(script).url(), "--timeout", "1s")
    assert "no answer in time" in words
    assert seconds < 1 + 2 * SLOWNESS, "far more questions are asked than fit"


def test_a_server_that_drips_is_late(fake_redis, check):
    slowly = threading.Event()

    def script(connection):
        connection.read_command()
        connection.send(b"+")
        while True:
            connection.send(b"P")
            slowly.wait(0.02)

    code, words, seconds = check(fake_redis(script).url(), "--timeout", "300ms")
    assert (code, "no answer in time" in words) == (TIMEOUT, True)
    assert seconds < 0.3 + 2 * SLOWNESS


def test_words_of_a_server_cannot_steer_the_terminal(fake_redis, check):
    evil = "-ERR \033[2J\u009b31m \u202e".encode() + b"y" * 60_000 + b"\r\n"

    def script(connection):
        connection.read_command()
        connection.send(evil)

    code, words, seconds = check(fake_redis(script).url())
    assert "\\x1b[2J\\u009b31m" in words and "\033" not in words and len(words) < 1000

    def inside(connection):
        good(connection, "INFO")
        info = "redis_version:\033[2J\u009b\r\nrole:master\u202e\r\n".encode()
        connection.send(b"$%d\r\n%s\r\n" % (len(info), info))
        good(connection, "never")

    for json in ([], ["--json"]):
        code, words, seconds = check(fake_redis(inside).url(), *json)
        assert "version" in words
        assert not set("\033\u009b\u202e") & set(words)


def test_a_host_that_is_not_found_says_so_in_time(check):
    code, words, seconds = check("redis://no-such-host.invalid", "--timeout", "2s")
    assert code in (AWAY, TIMEOUT) and len(words.splitlines()) == 1
    assert seconds < 2 + 2 * SLOWNESS
