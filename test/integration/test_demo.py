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
from support.screen import Screen
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
    results = ["3 beats and", "Redis answers again", "after the kill the agent", "The slower writer was", "announced as lost"]
    for chapter, result in zip(following, results, strict=True):
        # Names are long, so that a line may end within the words.
        screen.wait_for(lambda frame: f"(Enter: now, q: leave): {chapter}" in " ".join(frame), chapter)
        assert result in " ".join(screen.frames()[-1]), "what the chapter has shown is on the screen at its end"
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


ROBOT = {"current_pose": "executing", "is_connected_l": True, "joints_l": [-0.125] * 7}
LONG = "robotics-laboratory-workcell-number-seventeen-left-arm-ctrl-"  # a name has at most 63 characters


@pytest.fixture
def picture(monkeypatch, capsys):
    """What the demo draws of a scene: two nodes, the second one lost, as lines on a screen of that size."""
    monkeypatch.syspath_prepend(str(ROOT / "test" / "demo"))
    from reader import Node
    from view import Scene
    from view import Screen as View

    def draw(rows, columns, names, **said):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))
        scene = Scene()
        for name, value in said.items():
            setattr(scene, name, value)
        first, second = nodes = [Node(name) for name in names]
        first.beat, first.robot = {"node_id": first.name, "is_reachable": True, "cpu_percent": 12.5}, ROBOT
        second.beat = {"node_id": second.name, "is_reachable": False, "reason": "lease not renewed for 3 s"}
        view = View()
        for kind in ["node_up", "session_start", "error", "node_lost"]:
            view.event({"type": kind, "node_id": first.name, "session_id": f"stroke_{first.name}_1", "cause": "unplugged"})
        view.draw(scene, nodes, "")
        screen = Screen(rows, columns)
        screen.feed(capsys.readouterr().out)
        return screen.lines()

    return draw


@pytest.mark.parametrize("rows, columns", [(20, 60), (24, 80), (60, 200), (10, 40)])
@pytest.mark.parametrize("names", [("hog", "ook"), (LONG + "aaa", LONG + "aab")], ids=["short", "long"])
def test_what_is_cut_is_marked_and_names_stay_apart(picture, rows, columns, names):
    lines = picture(rows, columns, names, title="nodebeat demo   2 of 5: Redis freezes for 5 s")
    print(*lines, sep="\n")
    # The cursor of a terminal stands behind a line, so the last column is free.
    assert all(len(line) < columns for line in lines)
    robot = next(line for line in lines if "  robot   " in line)
    assert set(re.findall(r"\S*\d+\S*", robot)) == {"-0.12"} or robot.endswith((" \u2026", " ...")), "no half number"
    rows_of = [line.split()[1] for line in lines if line.startswith(("\u2665 ", "* ", "- "))]
    assert len(rows_of) == 2 and rows_of[0] != rows_of[1]
    if columns > 3 + max(map(len, names)):
        assert rows_of == list(names), "a name is the last thing to be shortened"
    events = [line for line in lines if line.startswith("--:--:--")]
    assert events and events[-1].split()[2] == "node_lost", "what happened is said before how"


def test_the_result_of_a_chapter_is_seen_on_a_small_screen(picture):
    facts = [f"hog $ nodebeatctl session set --version-is 1 demo '{{\"done\":{n}}}'" for n in range(7)]
    lines = picture(24, 80, ["hog", "hog-2"], title="nodebeat demo   4 of 5: Two writers share a session",
                    where="Redis: 127.0.0.1:31661, private", text="Two writers have read version 1. " * 6, facts=facts,
                    shown=["the first result", "a result of two lines " * 4], next="Next in 6 s (Enter: now, q: leave): The other node dies")
    assert " ".join(line.strip() for line in lines).count("a result of two lines") == 4
    assert [line.strip() for line in lines if "$ nodebeatctl" in line] == facts
    assert lines[-1] == "Next in 6 s (Enter: now, q: leave): The other node dies"
    narrow = picture(20, 60, [LONG + "aaa", LONG + "aab"], title="nodebeat demo   4 of 5: Two writers share a session",
                     text="Two writers have read version 1. " * 6, facts=facts, shown=["the latest result"],
                     next="Next in 6 s (Enter: now, q: leave): Two writers share a session")
    print(*narrow, sep="\n")
    said = " ".join(line.strip() for line in narrow)
    assert said.rstrip().endswith("Two writers share a session"), "what follows is whole"
    assert "the latest result" in said and facts[-1].split()[-1] in said, "of what was done the latest stays"


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_commands_can_be_copied_from_a_screen_of_any_width(picture, columns):
    commands = ["export NODEBEAT_SOCKET=/tmp/nodebeat-demo.ayhwbjki/agent.sock",
                "export PATH=$PATH:/home/someone/with-a/long-path/to/nodebeat/build/demo/src/ctl"]
    lines = picture(40, columns, ["hog", "ook"], commands=commands)
    first = next(number for number, line in enumerate(lines) if "export" in line)
    copied = "\n".join(lines[first:lines.index("", first)])
    done = subprocess.run(["bash", "-c", copied + "\necho $NODEBEAT_SOCKET; echo $PATH"], capture_output=True, text=True,
                          env={"PATH": "/bin"})
    assert done.stdout.split() == ["/tmp/nodebeat-demo.ayhwbjki/agent.sock",
                                   "/bin:/home/someone/with-a/long-path/to/nodebeat/build/demo/src/ctl"], copied


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
