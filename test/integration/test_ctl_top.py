"""nodebeatctl on a terminal of its own: top, and colours."""

import re
import signal
import termios
import time

import pytest

from support.ctl import OK
from support.ctl_fixtures import CTL, ctl, ctl_env, fake, follow, socket_path  # noqa: F401
from support.fake_agent import STATUS
from support.terminal import ENTER, LEAVE, Terminal
from support.waiting import wait_until


@pytest.fixture
def terminal(ctl_env, closing):
    return lambda *args, rows=30, columns=120, **env: closing(
        Terminal(args, ctl_env(**env), rows, columns)
    )


PROGRESS = {"type": "progress_update", "node_id": "ook", "session_id": "stroke_ook_1_1",
            "stroke_idx": 10, "pose_idx": 3, "total_strokes": 40, "stroke_length": 8,
            "description_l": "wipe", "description_r": ""}


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_top_leaves_by_key(fake, terminal, key):
    top = terminal("top")
    top.wait_text("2 of 3 nodes are up")
    assert termios.tcgetattr(top.slave) != top.before
    top.press(key)
    assert top.wait_left() == OK


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_top_leaves_by_signal(fake, terminal, number):
    top = terminal("top")
    top.wait_text("2 of 3 nodes are up")
    top.process.send_signal(number)
    assert top.wait_left() == OK


def test_top_shows_what_comes(fake, terminal):
    top = terminal("top")
    fake.wait_subscribed("*")
    top.wait_text("ook")
    fake.publish("stroke:events:progress", PROGRESS, remote=True)
    top.wait_text("10 of 40   25 %  pose 3 of 8  left: wipe")
    fake.publish("stroke:events:progress", {**PROGRESS, "stroke_idx": 20}, remote=True)
    top.wait_text("20 of 40   50 %")
    fake.publish("error:events:air", {"type": "error", "node_id": "ook", "message": "no air"})
    top.wait_text('error ook message="no air"')
    fake.publish("stroke:events:session", {"type": "session_end", "session_id": "stroke_ook_1_1"})
    top.wait_for(lambda frame: not any("20 of 40" in line for line in frame), "the stroke gone")
    top.press(b"q")
    assert top.wait_left() == OK


def test_top_finds_strokes_that_run_already(fake, terminal):
    key = "stroke:progress:stroke_ook_1700000100_000001"
    fake.answers["state.list"] = {
        "keys": [key, "stroke:progress:stroke_ook_1700000000_000001"], "cursor": None
    }
    value = {"node_id": "ook", "stroke_idx": 7, "total_strokes": 9, "is_executing": True}
    fake.answers["state.get"] = lambda params: {
        "key": params["key"], "value": value, "source": "redis"
    }
    top = terminal("top")
    top.wait_text("7 of 9")
    assert fake.called("state.get") == [{"key": key}]  # of each node the latest only


def test_top_follows_the_size(fake, terminal):
    top = terminal("top", columns=150)
    top.wait_for(lambda frame: frame[0].endswith(" UTC") and len(frame[0]) == 150,
                 "150 columns")
    top.resize(12, 60)
    top.wait_for(lambda frame: len(frame[0]) == 60, "60 columns")
    last = next(f for f in reversed(top.frames()) if len(f[0]) == 60)
    assert len(last) <= 12 and max(map(len, last)) <= 60
    top.resize(40, 200)
    top.wait_for(lambda frame: len(frame[0]) == 200, "200 columns")
    top.press(b"q")
    assert top.wait_left() == OK


def test_top_draws_at_most_four_pictures_a_second(fake, terminal):
    top = terminal("top")
    fake.wait_subscribed("*")
    top.wait_text("ook")
    first, began, sent = len(top.frames()), time.monotonic(), 0
    while time.monotonic() < began + 1.5:
        sent += fake.publish("stroke:events:progress", {**PROGRESS, "pose_idx": sent})
    took = time.monotonic() - began
    drawn = len(top.frames()) - first
    assert sent > 100 and 2 <= drawn <= 4 * took + 2, (sent, drawn, took)


def test_top_survives_the_agent(fake, terminal):
    top = terminal("top")
    top.wait_text("2 of 3 nodes are up")
    fake.stop()
    top.wait_text("the agent has gone away")
    fake.start()
    top.wait_for(lambda frame: "2 of 3 nodes are up" in frame[0], "the fleet again")
    top.press(b"q")
    assert top.wait_left() == OK


def test_top_can_be_left_while_the_agent_hangs(fake, terminal):
    top = terminal("top")
    top.wait_text("2 of 3 nodes are up")
    fake.answers["agent.stats"] = None
    asked = len(fake.called("agent.stats"))
    wait_until(lambda: len(fake.called("agent.stats")) > asked, what="the next look")
    top.press(b"q")
    assert top.wait_left() == OK


def test_top_without_a_terminal_prints_lines(fake, follow):
    top = follow("top")
    top.wait_for("2 of 3 nodes are up")
    fake.publish("error:events:air", {"type": "error", "node_id": "ook", "message": "no air"})
    assert "\033" not in top.wait_for("no air")
    fake.answers["system.status"] = {
        **STATUS, "nodes_health": {**STATUS["nodes_health"], "ook": None}
    }
    assert top.wait_for("-- .* ook is down")


def test_top_once(ctl, fake):
    done = ctl("top", "--once")
    assert done.returncode == OK and "2 of 3 nodes are up; connected to" in done.stdout


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("args", [["nodes"], ["status"], ["doctor"], ["top"]], ids=" ".join)
def test_colours_are_for_terminals(fake, terminal, ctl, args):
    colour = re.compile(r"\033\[[1-9][0-9;]*m")

    def output(**env):
        shown = terminal(*args, **env)
        if args == ["top"]:
            shown.wait_text("2 of 3 nodes are up")
            shown.press(b"q")
        shown.process.wait(30)
        shown.thread.join(30)
        assert "Redis" in shown.output or "up" in shown.output
        return shown.output

    assert colour.search(output())
    assert not colour.search(output(NO_COLOR="1"))
    assert colour.search(output(NO_COLOR="")), "it counts only if it is not empty (no-color.org)"
    if args != ["top"]:
        assert "\033" not in ctl(*args).stdout, "a pipe gets neither colours nor widths"
