"""nodebeatctl on a computer without an agent: nodes, top and watch with --redis, as the user viewer."""

import json
import re

import pytest

from support.agent import ROOT
from support.ctl import AWAY, OK, REFUSED, REFUSED_BY_REDIS, USAGE
from support.ctl_fixtures import CTL, ctl, ctl_env, follow, socket_path  # noqa: F401
from support.terminal import Terminal
from support.waiting import wait_until

pytestmark = pytest.mark.own_users("brings the user viewer")
PASSWORD = "look-and-listen-0123456789"


@pytest.fixture
def store(make_redis, tmp_path):
    """A Redis that has the user `viewer` as it is shipped; `look` is how a laptop names it."""
    server = make_redis()
    admin = server.client()
    line = next(l for l in (ROOT / "config/redis/users.acl").read_text().splitlines() if l.startswith("user viewer "))
    rights = line.removeprefix("user viewer ")
    words = re.findall(r"\([^)]*\)|\S+", rights)
    admin.execute_command("ACL", "SETUSER", "viewer", *words, f">{PASSWORD}")
    password = tmp_path / "viewer.password"
    password.write_text(PASSWORD + "\n")
    server.look = ("--redis", f"redis://127.0.0.1:{server.port}", "--password-file", str(password))
    return server


@pytest.fixture
def cell(store, make_agent, steady):
    """Two agents."""
    agents = [make_agent(store.url(), node=node) for node in ("hog", "ook")]
    store.clients = [steady(agent) for agent in agents]
    store.agents = agents
    for node in ("hog", "ook"):
        store.wait_for_beat(node)
    return store


def test_nodes_of_a_cell_in_which_one_has_no_agent(ctl, cell):
    done = ctl("nodes", *cell.look)
    assert done.returncode == OK, done
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [["hog", "up"], ["ook", "up"]]
    assert "2 of 2 nodes are up; times are UTC" in done.stdout and "this one" not in done.stdout
    told = json.loads(ctl("nodes", "--json", *cell.look).stdout)
    assert set(told["nodes_health"]) == {"hog", "ook"} and told["nodes_online"] == told["total_nodes"] == 2


def test_the_viewer_may_do_all_that_is_asked(ctl, cell):
    """As which nothing can be written: so nothing is."""
    admin = cell.client()
    assert ctl("nodes", *cell.look).returncode == ctl("top", "--once", *cell.look).returncode == OK
    refused = [entry for entry in admin.execute_command("ACL", "LOG") if "viewer" in str(entry)]
    assert refused == []


def test_a_node_that_is_stopped_is_down_for_the_laptop(ctl, cell):
    cell.agents[1].stop()
    done = wait_until(lambda: (lambda d: d if "down since" in d.stdout else None)(ctl("nodes", *cell.look)))
    first = done.stdout.splitlines()[1]
    assert first.startswith("ook ") and "(stopped)" in first


def test_watch_without_an_agent(cell, follow):
    heard = follow("watch", *cell.look, "cell:*", "--json", "--count", "2")
    wait_until(lambda: cell.client().execute_command("PUBSUB", "NUMPAT"))
    admin = cell.client()

    def published():
        admin.publish("cell:news", '{"type":"hello","from":"afar"}')
        return any("afar" in line for line in heard.lines)

    wait_until(published)
    message = json.loads(heard.wait_for("afar"))
    assert message["channel"] == "cell:news" and message["event"] == {"type": "hello", "from": "afar"}


def test_top_without_an_agent(cell, ctl_env, closing):
    top = closing(Terminal(["top", *cell.look], ctl_env(), 24, 100))
    lines = top.wait_screen(lambda lines: any("hog" in line for line in lines), "the cell")
    assert lines[0].startswith("nodebeat  2 of 2 nodes are up") and f"127.0.0.1:{cell.port}" in "".join(lines[:2])
    cell.clients[0].call("error.report", category="air", message="no air")
    top.wait_screen(lambda lines: any("no air" in line for line in lines), "the event")
    top.press(b"q")
    assert top.wait_left() == OK


def names_of(done):
    assert done.returncode == OK, done
    return set(json.loads(done.stdout)["nodes_health"])


def test_a_cell_with_a_prefix(ctl, follow, store, make_agent, steady):
    """Which shares Redis with one that has none: neither is seen in the other."""
    client = steady(make_agent(store.url(), node="hog", settings={"redis.prefix": "cellA:"}))
    steady(make_agent(store.url(), node="ook"))
    within = (*store.look, "--prefix", "cellA:")
    wait_until(lambda: names_of(ctl("nodes", "--json", *within)) == {"hog"})
    wait_until(lambda: names_of(ctl("nodes", "--json", *store.look)) == {"ook"})
    client.call("stroke.start", total_strokes=3, scene_name="portrait", ack="stored")
    client.call("stroke.update", stroke_idx=1, ack="stored")
    seen = ctl("top", "--once", *within)
    assert seen.returncode == OK and "portrait" in seen.stdout and "ook" not in seen.stdout, seen
    assert "portrait" not in ctl("top", "--once", *store.look).stdout
    heard = follow("watch", *within, "cell:*", "--json", "--count", "1")
    wait_until(lambda: store.client().execute_command("PUBSUB", "NUMPAT"))

    def published():
        for channel in ("cell:news", "cellB:cell:news", "cellA:cell:news"):
            store.client().publish(channel, json.dumps({"on": channel}))
        return heard.lines

    message = json.loads(wait_until(published)[0])
    assert message["channel"] == "cell:news" and message["event"] == {"on": "cellA:cell:news"}


def test_a_laptop_keeps_looking_when_redis_goes_and_comes(cell, ctl_env, closing):
    top = closing(Terminal(["top", *cell.look], ctl_env(), 24, 100))
    top.wait_screen(lambda lines: lines[0].startswith("nodebeat  2 of 2"), "the cell")
    cell.kill()
    lines = top.wait_screen(lambda lines: any("unknown since" in line for line in lines), "that nothing is known")
    assert any("not connected to Redis" in line for line in lines[:3])
    top.press(b"q")
    assert top.wait_left() == OK


def test_what_goes_wrong_is_said(ctl, cell, tmp_path):
    done = ctl("nodes", "--redis", "redis://127.0.0.1:1")
    assert done.returncode == AWAY and "redis 127.0.0.1:1: " in done.stderr and "refused" in done.stderr
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense\n")
    done = ctl("nodes", *cell.look[:3], wrong)
    assert done.returncode == AWAY and "WRONGPASS" in done.stderr
    done = ctl("nodes", "--redis", f"redis://viewer:{PASSWORD}@127.0.0.1:{cell.port}")
    assert done.returncode == USAGE and PASSWORD not in done.stderr
    done = ctl("watch", *cell.look, "--state", "cell:*")
    assert done.returncode == USAGE and "needs an agent" in done.stderr
    assert ctl("nodes", "--user", "viewer").returncode == ctl("nodes", "--prefix", "cellA:").returncode == USAGE
    done = ctl("nodes", *cell.look, "--prefix", "a*:")
    assert done.returncode == USAGE and "--prefix 'a*:': a prefix is a name" in done.stderr
    admin = cell.client()
    admin.execute_command("ACL", "SETUSER", "viewer", "clearselectors")
    done = ctl("watch", *cell.look, "cell:*")
    assert done.returncode == REFUSED_BY_REDIS and "may not listen" in done.stderr
