"""nodebeatctl whose standard output cannot be written: each command says so, with the reason."""

import json
import os
import select
import signal
import subprocess

import pytest

from support.ctl import OK, OUTPUT, USAGE
from support.ctl_fixtures import CTL, ctl_env, fake, socket_path  # noqa: F401
from support.waiting import wait_until

ANSWERS = {
    "state.get": {"key": "a", "value": 1, "source": "redis"},
    "state.list": {"keys": ["a", "b"], "cursor": None},
    "stroke.start": {"session_id": "stroke_hog_1_1"},
    "node.forget": {"forgotten": True},
    **{method: {} for method in ("state.set", "state.delete", "event.publish", "stroke.update", "stroke.end")},
}
# Every command that prints, and those that print only as JSON.
PRINTS = [
    ["--help"], ["--version"], ["completion", "bash"], ["completion", "zsh"], ["completion", "fish"],
    ["__complete", "st"], ["top", "--help"], ["redis", "check", "--help"], ["top", "--once"], ["top"],
    *(command + json_flag
      for command in (["status"], ["nodes"], ["doctor"], ["get", "a"], ["list"], ["call", "agent.stats"],
                      ["stroke", "start", "--total", "3"], ["watch", "a"])
      for json_flag in ([], ["--json"])),
    *(command + ["--json"]
      for command in (["set", "a", "1"], ["delete", "a"], ["publish", "c", "{}"], ["stroke", "update", "--stroke", "1"],
                      ["stroke", "end"], ["push"], ["forget", "ook"])),
]


@pytest.fixture
def agent(fake):
    fake.answers.update(ANSWERS)
    return fake


@pytest.fixture
def run(tmp_path, ctl_env):
    """run(args, stdout, shell): exit code and standard error, of a process that has that output."""

    def do(args, stdout=None, redirection="", publisher=None, **more):
        process = subprocess.Popen(
            ["sh", "-c", f'exec "$0" "$@" {redirection}', CTL, *args], env=ctl_env(), stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=subprocess.PIPE, text=True, **more)
        try:
            if publisher:
                wait_until(lambda: publisher() or process.poll() is not None, what="the end")
            _, words = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert not list(tmp_path.glob("sanitizer*"))
        return process.returncode, words

    return do


@pytest.mark.parametrize("args", PRINTS, ids=" ".join)
def test_a_full_disk_is_told(run, agent, args):
    def publish():
        agent.publish("a", {"n": 1})
        return False

    publisher = publish if args[0] == "watch" else None
    code, words = run(args, redirection=">/dev/full", publisher=publisher)
    assert (code, words) == (OUTPUT, "nodebeatctl: standard output: No space left on device\n")


def test_setup_and_check_tell_it_as_well(run, tmp_path, fake_redis):
    def script(connection):
        while True:
            pong = connection.read_command()[0] == "PING"
            connection.send(b"+PONG\r\n" if pong else b"-NOPERM no\r\n")

    url = fake_redis(script).url()
    for number, more in enumerate(([], ["--json"])):
        for args in (["redis", "setup", "--dir", str(tmp_path / f"cell{number}"), "hog"], ["redis", "check", url]):
            code, words = run([*args, *more], redirection=">/dev/full")
            assert (code, words) == (OUTPUT, "nodebeatctl: standard output: No space left on device\n")


def test_top_ends_when_what_follows_cannot_be_written(run, agent, tmp_path):
    """The first picture fits into the file, what comes later does not."""
    def publish():
        agent.publish("error:events:air", {"type": "error", "message": "no air"})
        return False

    code, words = run(["top"], redirection=f">{tmp_path}/out", publisher=publish, preexec_fn=limit_files)
    assert (code, words) == (OUTPUT, "nodebeatctl: standard output: File too large\n")


def limit_files():
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize("args", [["get", "a"], ["nodes", "--json"], ["--help"]], ids=" ".join)
def test_what_is_printed_never_goes_to_the_agent(run, agent, args):
    """A closed standard output leaves its number to the socket."""
    for closed in (">&-", "<&- >&-"):
        code, words = run(args, redirection=closed)
        assert (code, words) == (OUTPUT, "nodebeatctl: standard output: Bad file descriptor\n")
    run(args, redirection=">&- 2>&-")
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in agent.lines)


def test_a_reader_that_has_gone_is_no_fault_to_speak_of(run, agent):
    reading, writing = os.pipe()
    os.close(reading)
    code, words = run(["nodes"], stdout=writing, preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
    os.close(writing)
    assert (code, words) == (OUTPUT, "")


def test_a_pipe_that_is_full_for_now_is_waited_for(agent, ctl_env):
    """Another process may have made it non-blocking."""
    agent.answers["state.list"] = {"keys": [f"key:{i:05}" for i in range(40_000)], "cursor": None}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen([CTL, "list"], env=ctl_env(), stdout=writing, stderr=subprocess.PIPE)
    wait_until(lambda: not select.select([], [writing], [], 0)[1], what="a full pipe")
    os.close(writing)
    with open(reading, "rb") as output:
        lines = output.read().splitlines()
    words = process.stderr.read()
    process.stderr.close()
    assert (process.wait(10), words, len(lines)) == (OK, b"", 40_000)


def test_an_input_that_cannot_be_read_is_told(agent, ctl_env):
    for args in (["set", "a", "-"], ["push"]):
        done = subprocess.run(["sh", "-c", 'exec "$0" "$@" </', CTL, *args], env=ctl_env(), capture_output=True,
                              text=True, timeout=20)
        assert done.returncode == USAGE
        assert done.stderr.startswith("nodebeatctl: standard input: Is a directory\n")
    done = subprocess.run([CTL, "set", "a", "-"], env=ctl_env(), input=b"1" * 1_100_000, capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (USAGE, b"nodebeatctl: standard input has more than 1 MiB\n")
    assert agent.called("state.set") == []
