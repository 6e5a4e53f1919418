"""The story that `./dev demo` tells, on a terminal and without one."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from support.agent import ROOT
from support.terminal import Terminal

DEMO = ["/usr/bin/python3", ROOT / "test" / "demo" / "demo.py"]
NAME = "robotics-lab-workcell-hog"
STORY = [  # what each chapter has to show, in this order
    r"3 beats and the robot's state are in Redis; of \d+ pushes the longest took \d+",
    r"Redis was frozen for \d\.\d s; the robot made (\d+) pushes meanwhile, the longest took \d+",
    r"Redis answers again, and has the robot's latest state",
    r'after the kill the agent said: "the robot process has died", and in Redis no arm is connected',
    r'The slower writer was refused \("expected version 1, found 2"\), and read again: no work was lost',
    rf"after the kill {NAME}-2 was announced as lost \(lease not renewed\)",
]
COMMANDS = ["export NODEBEAT_SOCKET=", "nodebeatctl top", "nodebeatctl watch 'error:events:*'", "nodebeatctl set cell:mode"]

pytestmark = [
    pytest.mark.own_users("the demo has a Redis of its own"),
    pytest.mark.time_limit(240),
]


@pytest.fixture
def demo(program):
    """The command; the programs that it runs are those that were built for the tests."""
    build = program.parents[2]
    if not (build / "test" / "examples" / "robot_sim").exists():
        pytest.skip("the examples are not built in that build")
    return [*DEMO, "--build", build, "--node", NAME]


@pytest.fixture
def folder():
    """For all that the demo makes, so that what is left behind can be seen; its path is short, for sockets."""
    with tempfile.TemporaryDirectory(prefix="nb", dir="/tmp") as name:
        yield pathlib.Path(name)


@pytest.fixture
def environment(folder):
    kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "NO_COLOR")}
    return {**kept, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}


def check_story(text):
    """The chapters' results, each once and in order."""
    at = 0
    for pattern in STORY:
        found = re.search(pattern, text[at:])
        assert found, f"{pattern!r} does not follow in {text}"
        at += found.end()
    pushes = int(re.search(STORY[1], text).group(1))
    assert pushes > 100, "the control loop went on while Redis was frozen"


def test_without_a_terminal_the_story_is_told_and_ends(demo, environment, folder):
    done = subprocess.run(demo, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    check_story(done.stdout)
    assert [line for line in done.stdout.splitlines() if line.startswith("== ")] == [
        "== nodebeat demo   1 of 5: A node beats, and a robot moves",
        "== nodebeat demo   2 of 5: Redis freezes for 5 s",
        "== nodebeat demo   3 of 5: The robot's process is killed",
        "== nodebeat demo   4 of 5: Two writers share a session",
        "== nodebeat demo   5 of 5: The other node dies",
        "== nodebeat demo   your turn",
    ]
    assert all(command in done.stdout for command in COMMANDS)
    assert "event: node_down" in done.stdout, "the agent's farewell is shown"
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_on_a_small_terminal_enter_goes_on_and_q_leaves(demo, environment, closing, folder):
    screen = closing(Terminal([], environment, 24, 80, program=demo))
    following = ["Redis freezes for 5 s", "The robot's process is killed", "Two writers share a session",
                 "The other node dies", "your turn"]
    for chapter in following:
        screen.wait_text(f"(Enter: now, q: leave): {chapter}")
        screen.press(b"\n")
    screen.wait_text("q: leave, which ends all of it")
    frame = screen.frames()[-1]
    assert len(frame) <= 24 and all(len(line) < 80 for line in frame)
    assert all(any(command in line for line in frame) for command in COMMANDS)
    assert any(line.split()[1:2] == [f"{NAME}-2"] for line in frame), "the table has whole names"
    screen.press(b"q")
    assert screen.wait_left() == 0
    check_story(screen.output[screen.output.rindex("\033[?1049l"):])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(demo, environment, closing, folder, number):
    screen = closing(Terminal([], environment, 40, 120, program=demo))
    screen.wait_text("3 beats and the robot's state are in Redis")
    screen.process.send_signal(number)
    assert screen.wait_left() == 0
    assert list(folder.iterdir()) == []


def test_a_reader_that_goes_ends_all_of_it(demo, environment, folder):
    process = subprocess.Popen(demo, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == "", "nobody asked for a traceback"
    assert list(folder.iterdir()) == []
    process.stderr.close()


@pytest.mark.real_processor("it is about the compiler")
def test_what_is_precompiled_is_used(plain_program, tmp_path):
    """Else the first build would take as long as without, and nobody would notice."""
    sys.path.insert(0, str(ROOT / "config" / "precompiled"))
    import precompile

    commands = json.loads((plain_program.parents[2] / "compile_commands.json").read_text())
    for entry in commands:  # some builds have it first, others do without
        entry["command"] = re.sub(r"-include \S*standard_headers.h ", "", entry["command"])
    (tmp_path / "compile_commands.json").write_text(json.dumps(commands))
    subprocess.run([sys.executable, precompile.__file__, tmp_path], check=True)
    header = tmp_path / "precompiled" / "standard_headers.h"
    for source in ["src/base/text.cc", "src/ctl/screen.cc", "test/unit/json_bounds_test.cc"]:
        entry = next(e for e in commands if e["file"].endswith(source))
        options = precompile.options_of(entry["command"])
        done = subprocess.run([*options, "-include", header, "-fsyntax-only", "-Wno-error", "-H", entry["file"]],
                              cwd=entry["directory"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"! {header}.gch/" in done.stderr
    shutil.rmtree(header.parent)  # it is large, and pytest keeps folders


def test_somebody_elses_redis_is_not_stopped(demo, environment, redis_server):
    environment["REDIS_URL"] = f"redis://127.0.0.1:{redis_server.port}"
    done = subprocess.run(demo, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "freezes" not in done.stdout and "1 of 4" in done.stdout
    client = redis_server.client()
    assert client.hkeys("nodebeat:nodes") == [NAME], "the node that was only there for the demo is forgotten"
    assert client.keys("session:*") == []
