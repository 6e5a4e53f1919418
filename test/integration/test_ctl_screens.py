"""nodebeatctl top and nodes as a person sees them: captured screens, and what the keys do."""

import re

import pytest

from support.ctl import OK
from support.ctl_fixtures import CTL, ctl, ctl_env, fake, follow, socket_path  # noqa: F401
from support.fake_agent import HEALTH, STATS
from support.screen import Screen
from support.terminal import Terminal

CAUSE = "lease not renewed for 3.1 s, and nobody watches the cell"
DOWN = {3: CAUSE, 17: "stopped"}  # by number


def name_of(number):
    return f"arm-controller-{number:03}.cell"


def cell_of(count):
    """system.status of a cell of so many nodes, of which two are down."""
    health, standings, seen = {}, {}, {}
    for number in range(count):
        name = name_of(number)
        down = number in DOWN
        health[name] = None if down else {
            **HEALTH, "node_id": name, "cpu_percent": number % 90, "memory_percent": 91.5 if number == 5 else 40,
            "temperature_c": 41.0 + number % 10, "load_1": 0.42, "uptime_s": 98765, "memory_total_bytes": 1 << 33,
            "network": [{"interface": "eth0", "rx_bytes_per_s": 3 << 20, "tx_bytes_per_s": 0, "errors_per_s": 2}],
            "disks": [{"path": "/", "percent": 63}, {"path": "/data", "percent": None, "problem": "not mounted"}],
            "probes": [{"name": "vision-mcp", "type": "mcp", "up": number != 5, "detail": "2025-11-25, 12 tools"}]}
        seen[name] = "2026-11-20T14:03:01.000000" if down else "2026-11-20T14:03:09.000000"
        standings[name] = {"state": "down" if down else "up", "since": "2026-11-20T14:03:04.000000",
                           "source": "lease", **({"cause": DOWN[number]} if down else {})}
    return {"redis_connected": True, "active_stroke_sessions": 0, "nodes_online": count - 2, "total_nodes": count,
            "nodes_health": health, "nodes_last_seen": seen, "nodes": standings,
            "timestamp": "2026-11-20T14:03:10.000000", "cursor": None, "nodes_left_out": 0}


@pytest.fixture
def terminal(ctl_env, closing):
    def start(*args, rows, columns, **env):
        return closing(Terminal(args, ctl_env(**env), rows, columns))

    return start


def row_of(lines, text):
    return next((i for i, line in enumerate(lines) if text in line), None)


@pytest.mark.parametrize("count, rows, columns", [(31, 24, 80), (300, 60, 200)])
def test_a_large_cell_on_one_screen(fake, terminal, count, rows, columns):
    fake.answers["system.status"] = cell_of(count)
    top = terminal("top", rows=rows, columns=columns)
    lines = top.wait_screen(lambda lines: row_of(lines, "NODE") is not None, "the cell")
    print(*lines, sep="\n")
    assert lines[0].startswith(f"nodebeat  {count - 2} of {count} nodes are up") and lines[0].endswith(" UTC")
    assert lines[-1] == "q leave  ? help  s sort  / filter  arrows select  Enter node"
    # What is dead stands first, with its whole name; the cause is there to its last word.
    first, second = row_of(lines, name_of(3)), row_of(lines, name_of(17))
    assert first == row_of(lines, "NODE") + 1 and lines[first].startswith("▸ ")
    assert first < second < row_of(lines, name_of(0))
    at, end = re.search(r"STATE +", lines[row_of(lines, "NODE")]).span()
    cause = " ".join(line[at:end].strip() for line in lines[first:second])
    assert cause.split() == f"down since 14:03:04 ({CAUSE})".split()
    # Every name is whole, and the last column as well.
    shown = [word for line in lines[first:] for word in line.split() if word.startswith("arm-")]
    assert len(shown) > 8 and set(shown) <= set(map(name_of, range(count)))
    assert "connected to Redis at 127.0.0.1:6379, 210 us" in "\n".join(lines[:2]), "that is whole as well"
    assert row_of(lines, f"of {count}, sorted by state") == row_of(lines, "NODE") - 1
    assert not any("…" in line for line in lines)
    probes = lines[row_of(lines, "NODE")].index("PROBES")
    last = row_of(lines, name_of(5))
    assert " ".join(line[probes:].strip() for line in lines[last:last + 2]).startswith("vision-mcp down")
    top.press(b"q")
    assert top.wait_left() == OK


def test_the_last_column_of_a_full_line_stays(fake, terminal):
    top = terminal("top", rows=24, columns=80)
    lines = top.wait_screen(lambda lines: lines[0].startswith("nodebeat"), "the head")
    assert len(lines[0]) == 80 and lines[0].endswith("UTC")


def test_the_screen_of_these_tests_is_as_xterm():
    screen = Screen(2, 4)
    screen.feed("abcd\033[K\r\nab\033[K")
    assert screen.lines() == ["abc", "ab"], "the cursor stands on the last character"
    with pytest.raises(AssertionError):
        screen.feed("\033[4;3r")


@pytest.fixture
def top(fake, terminal):
    fake.answers["system.status"] = cell_of(31)
    top = terminal("top", rows=24, columns=80)
    top.wait_screen(lambda lines: row_of(lines, name_of(3)) is not None, "the cell")
    return top


def about(lines):
    """The line above the table."""
    at = row_of(lines, "NODE")
    return lines[at - 1] if at else ""


def selected(lines):
    return next((line.split()[1] for line in lines if line.startswith("▸ ")), None)


def test_keys_move_and_scroll(top):
    for key, name in ((b"\033[B", 17), (b"j", 0), (b"\033[A", 17), (b"G", 30), (b"g", 3), (b"\033[F", 30), (b"\033[H", 3)):
        top.press(key)
        lines = top.wait_screen(lambda lines: selected(lines) == name_of(name), name_of(name))
    top.press(b"\033[6~")
    lines = top.wait_screen(lambda lines: not selected(lines) == name_of(3), "the next page")
    assert selected(lines) not in (name_of(17), None)
    top.press(b"G")
    lines = top.wait_screen(lambda lines: " to 31 of 31" in about(lines), "the last page")
    assert row_of(lines, name_of(30)) is not None and row_of(lines, name_of(3)) is None


def test_keys_sort(top):
    def first(lines):
        at = row_of(lines, "NODE") + 1
        return lines[at].strip("▸ ").split()[0]

    top.press(b"s")
    assert first(top.wait_screen(lambda lines: "sorted by name" in about(lines), "by name")) == name_of(0)
    top.press(b"s")
    top.wait_screen(lambda lines: "sorted by CPU" in about(lines), "by CPU")
    top.press(b"g")
    assert first(top.wait_screen(lambda lines: selected(lines) == name_of(30), "the busiest")) == name_of(30)
    top.press(b"sg")
    assert first(top.wait_screen(lambda lines: selected(lines) == name_of(5), "the fullest")) == name_of(5)
    top.press(b"srg")
    lines = top.wait_screen(lambda lines: "sorted by last beat, reversed" in about(lines), "the latest beat")
    assert first(lines) not in (name_of(3), name_of(17))


def test_keys_filter(top):
    top.press(b"/LEASE")
    lines = top.wait_screen(lambda lines: about(lines).startswith("filter: LEASE_, 1 of 31 nodes"), "one node")
    assert row_of(lines, name_of(3)) and not row_of(lines, name_of(17))
    top.press(b"\x7f" * 5 + b"arm-controller-01\r")
    lines = top.wait_screen(lambda lines: "10 of 31 nodes" in about(lines), "ten nodes")
    top.press(b"\033")
    top.wait_screen(lambda lines: "of 31, sorted by state" in about(lines) and "filter" not in about(lines), "all nodes")
    # While one types, letters are no commands.
    top.press(b"/q")
    top.wait_screen(lambda lines: about(lines).startswith("filter: q_"), "what was typed")
    top.press(b"\x03")
    assert top.wait_left() == OK


def test_a_node_has_a_page_of_its_own(fake, top):
    fake.wait_subscribed("*")
    fake.publish("error:events:air", {"type": "error", "node_id": name_of(5), "message": "no air"})
    fake.publish("error:events:air", {"type": "error", "node_id": name_of(6), "message": "too hot"})
    top.press(b"/005\r\r")
    lines = top.wait_screen(lambda lines: any(line.startswith("node ") and name_of(5) in line for line in lines), "the page")
    print(*lines, sep="\n")
    text = "\n".join(lines)
    assert "disks" in text and "path /data, problem not mounted" in text and "8 GiB" in text
    assert "path /, 63 %" in text
    assert "interface eth0, rx 3 MiB/s, tx 0 B/s, errors 2/s" in " ".join(text.split()), "a rate is no duration"
    assert lines[-1] == "q leave  Esc back  arrows scroll"
    assert row_of(lines, "lines 1 to ") is not None
    top.press(b"G")
    lines = top.wait_screen(lambda lines: row_of(lines, "no air") is not None, "its events")
    assert row_of(lines, "too hot") is None
    top.press(b"\033")
    top.wait_screen(lambda lines: "1 of 31 nodes" in about(lines), "back")


def test_help_names_the_keys(top):
    top.press(b"?")
    lines = top.wait_screen(lambda lines: row_of(lines, "WHAT IT DOES") is not None, "the help")
    assert all(row_of(lines, word) is not None for word in ("Page Up", "Enter", "sort by", "Ctrl-C"))
    top.press(b"?")
    top.wait_screen(lambda lines: row_of(lines, "STATE") is not None, "back")


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_nodes_shows_names_and_causes_whole(fake, terminal, columns):
    fake.answers["system.status"] = cell_of(31)
    shown = terminal("nodes", rows=24, columns=columns, NO_COLOR="1")
    assert shown.process.wait(10) == OK
    shown.thread.join(5)
    lines = shown.output.replace("\r", "").split("\n")
    assert max(map(len, lines)) <= columns
    words = shown.output.split()
    assert all(name_of(number) in words for number in range(31)), words
    assert words.index(name_of(3)) < words.index(name_of(17)) < words.index(name_of(0))
    assert " ".join(words).endswith("29 of 31 nodes are up; * is this one; times are UTC")
    assert all(word in shown.output.replace("\r", "") for word in CAUSE.split())


def test_times_are_local_and_the_zone_is_said_once(ctl, fake):
    fake.answers["system.status"] = cell_of(31)
    done = ctl("nodes", TZ="CET-1")
    assert "down since 15:03:04" in done.stdout and done.stdout.count("CET") == 1
    done = ctl("top", "--once", TZ="<+0330>-3:30")
    assert "down since 17:33:04" in done.stdout and done.stdout.count("UTC+0330") == 1


def test_a_name_that_two_agents_have(ctl, fake):
    two = cell_of(31)
    two["nodes_health"][name_of(7)]["name_conflict"] = "arm-9-9"
    fake.answers["system.status"] = two
    lines = ctl("nodes").stdout.splitlines()
    # Behind those that are down, before all that are well.
    assert lines[3].startswith(name_of(7)) and "up, but two agents have this name" in lines[3]
    fake.answers["agent.stats"] = {**STATS, "conflict": "hog-9-9"}
    assert "another agent beats as this node, too: hog-9-9; see nodebeatctl doctor" in ctl("status").stdout
