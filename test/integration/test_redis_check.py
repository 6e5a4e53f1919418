"""`nodebeatctl redis check` of servers that nobody vouches for: its time and its memory are its own."""

import subprocess
import threading
import time

import pytest

from support.agent import environment
from support.ctl import AWAY, TIMEOUT, USAGE, find_ctl
from support.redis_answers import bulk, question, right, texts
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
    """Answers everything rightly up to that command."""
    while True:
        command = connection.read_command()
        if command[0] == until:
            return
        connection.send(right(command))


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
            for byte in right(connection.read_command()):
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


def as_a_server(connection, streams):
    """Answers as an admin sees it; `streams(command)` answers SCAN and XINFO."""
    while True:
        command = connection.read_command()
        connection.send(streams(command) if command[0] in ("SCAN", "XINFO") else right(command))


def test_keys_without_an_end_cost_no_other_finding(fake_redis, check):
    server = fake_redis(lambda c: as_a_server(c, lambda _: b"*2\r\n$1\r\n7\r\n*0\r\n"))
    code, words, seconds = check(server.url(), "--timeout", "1s")
    assert code == PROBLEMS and "not all of them were looked at: there are too many keys" in words
    assert "it was lost before" not in words and "PINGs: median" in words
    asked = [command[0] for command in server.commands]
    assert set(asked[asked.index("SCAN"):]) == {"SCAN"}, "all else comes before"


def test_streams_of_a_page_are_asked_together(fake_redis, check):
    """A round trip for each would be the whole time, where the server is far away."""
    keys = [f"stream:node_events:n{i}" for i in range(3)]
    asked = []

    def streams(command):
        if command[0] == "SCAN":
            return b"*2\r\n" + bulk("0") + b"*3\r\n" + b"".join(map(bulk, keys))
        asked.append(command[2])
        if len(asked) < len(keys):
            return b""  # nothing before the last one has come
        about = b"*2\r\n" + bulk("last-generated-id")
        return about + bulk("1-1") + about + bulk("99999999999999-0") + b"-NOPERM no\r\n"

    code, words, seconds = check(fake_redis(lambda c: as_a_server(c, streams)).url(), "--timeout", "2s")
    assert asked == keys
    assert "far ahead of the clock: stream:node_events:n1 (last id 99999999999999-0)" in words
    assert "not all of them were looked at: NOPERM no" in words and "it was lost before" not in words


def test_a_password_in_the_argument_is_refused(check):
    """Every user of the computer could read it there."""
    for url in ("redis://admin:Pa55@127.0.0.1:1", "unix:///run/redis.sock?password=Pa55"):
        code, words, seconds = check(url)
        assert code == USAGE and "Pa55" not in words
        assert "--password-file" in words and "NODEBEAT_REDIS_URL" in words


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


# A reply that Redis never gives to this question, for every question that is asked.
WRONG = {
    "AUTH": [b"+PONG\r\n", b":1\r\n"],
    "PING": [b"+OK\r\n", bulk("PONG")],
    "ACL WHOAMI": [b"+admin\r\n", bulk("")],
    "INFO": [b"+redis_version:7.2.4\r\n", bulk("role:master\r\n"), bulk("redis_version:7.2.4\r\n<html>\r\n")],
    "CONFIG GET": [texts("1"), texts("port", "1"), b"*2\r\n+a\r\n+b\r\n", bulk("1")],
    "TIME": [texts("1700000000"), texts("never", "17"), texts("9223372036854775807", "0"),
             texts("1700000000", "1000000"), b"*2\r\n:1700000000\r\n:17\r\n"],
    "ACL LIST": [texts("nodebeat-ook on nopass"), b"*1\r\n:1\r\n", bulk("user ook on")],
    "ACL DRYRUN": [b"+QUEUED\r\n", b"*0\r\n", bulk("")],
    "SCAN": [texts("0", "a"), b"*2\r\n" + bulk("x") + texts(), b"*2\r\n" + bulk("0") + b"*1\r\n*0\r\n"],
    "XINFO": [texts("length"), texts("length", "1"), texts("last-generated-id", "99999999999999")],
}
STRANGE = [b"+\r\n", b"+PONG\r\n", b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", bulk("OK")]


def is_told(check, server, *args):
    code, words, seconds = check(server.url(), *args)
    assert code == AWAY, words
    assert "is not Redis, or does not answer as Redis does" in words, words
    assert len(words.splitlines()) == 1, "no finding comes from a stranger"
    return words


@pytest.fixture
def as_admin(tmp_path):
    file = tmp_path / "admin.password"
    file.write_text("secret-Pa55\n")
    return ["--user", "admin", "--password-file", str(file)]


@pytest.mark.parametrize("answer", STRANGE)
def test_who_answers_everything_alike_is_not_redis(fake_redis, check, answer):
    def script(connection):
        while True:
            connection.read_command()
            connection.send(answer)

    for args in ([], ["--json"]):
        is_told(check, fake_redis(script), *args)


@pytest.mark.parametrize("asked", WRONG)
def test_a_reply_of_a_wrong_form_is_no_finding(fake_redis, check, as_admin, asked):
    for answer in WRONG[asked] + [b"+\r\n", b"$-1\r\n"]:
        def script(connection):
            while True:
                command = connection.read_command()
                connection.send(answer if question(command) == asked else right(command))

        words = is_told(check, fake_redis(script), *as_admin)
        assert f"the answer to {asked.split()[0]} was" in words
        assert "Pa55" not in words


@pytest.mark.parametrize("asked", ["MULTI", "HSET"])
def test_a_transaction_that_answers_strangely_is_no_finding(fake_redis, check, asked):
    """An agent's own user is looked at on a connection of its own."""

    def script(connection):
        while True:
            command = connection.read_command()
            if command[:2] == ["ACL", "LIST"]:
                connection.send(b"-NOPERM no\r\n")
            elif command[:2] == ["ACL", "WHOAMI"]:
                connection.send(bulk("nodebeat-ook"))
            else:
                connection.send(b"+\r\n" if command[0] == asked else right(command))

    is_told(check, fake_redis(script))


def test_errors_are_answers(fake_redis, check):
    """A server that refuses every question but PING is a Redis that says little."""

    def script(connection):
        while True:
            command = connection.read_command()
            connection.send(b"+PONG\r\n" if command[0] == "PING" else b"-NOPERM no\r\n")

    code, words, seconds = check(fake_redis(script).url())
    assert code == PROBLEMS and "does not say what it is" in words, words
