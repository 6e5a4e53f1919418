"""nodebeatctl with the real agent and the real redis-server behind it."""

import json
import os
import re
from types import SimpleNamespace

import pytest

from support import processes
from support.agent import environment
from support.ctl import (
    AWAY, FORBIDDEN, FOUND, OK, REFUSED, REFUSED_BY_REDIS, TIMEOUT, TOO_MANY, USAGE, Following,
    find_ctl, run,
)
from support.probe_targets import HttpTarget
from support.waiting import wait_until

CTL = find_ctl()
if CTL is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)


@pytest.fixture
def cell(cell):
    """Once its node has been seen."""
    cell.server.wait_for_beat("ook")
    return cell


@pytest.fixture
def ctl_env(tmp_path, program):
    def make(agent, **more):
        return environment(
            tmp_path / "ctl-sanitizer",
            **{"NODEBEAT_SOCKET": agent.socket_path, "LC_ALL": "C.UTF-8", "TZ": "UTC",
               "PATH": f"{program.parent}:{os.environ['PATH']}", **more},
        )

    yield make
    reports = [p.read_text() for p in tmp_path.glob("ctl-sanitizer*")]
    assert not reports, "\n".join(reports)


@pytest.fixture
def ctl(ctl_env):
    """ctl(agent, *args, stdin=""): runs it to its end; shown if the test fails."""

    def run_it(agent, *args, stdin="", **env):
        done = run(CTL, args, ctl_env(agent, **env), stdin)
        print(f"$ nodebeatctl {' '.join(map(str, args))}\n{done.stdout}{done.stderr}"
              f"[{done.returncode}]")
        return done

    return run_it


@pytest.fixture
def say(ctl):
    """say(agent, *args): what it prints; it has to go well."""

    def run_it(agent, *args, **more):
        done = ctl(agent, *args, **more)
        assert (done.returncode, done.stderr) == (OK, "")
        return done.stdout

    return run_it


@pytest.fixture
def follow(ctl_env, closing):
    return lambda agent, *args: closing(Following(CTL, args, ctl_env(agent)))


@pytest.fixture
def watch(follow, connect):
    """watch(agent, *args): a nodebeatctl watch that listens already."""

    def make(agent, *args):
        client = connect(agent)
        before = client.call("agent.stats")["subscriptions"]["local"]
        watching = follow(agent, "watch", *args)
        wait_until(lambda: client.call("agent.stats")["subscriptions"]["local"] > before)
        wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
        return watching

    return make


# --- looking -------------------------------------------------------------------------------------


def test_status(cell, say):
    cell.client.call("client.hello", name="robot")
    cell.client.call("robot.update", joints_l=[1.5], ack="stored")
    text = say(cell.agent, "status")
    assert re.search(r"^node +ook$", text, re.M)
    assert re.search(rf"^agent +\d+\.\d+\.\d+, pid {cell.agent.pid}, up ", text, re.M)
    assert re.search(
        rf"^link +connected to Redis at 127\.0\.0\.1:{cell.server.port}, [\d.]+ [um]s$", text, re.M
    )
    assert re.search(r"^health +CPU \d+ %, memory \d+ %, disk \d+ %", text, re.M)
    assert re.search(rf"robot, pid {os.getpid()}, \d+ calls", text)
    parsed = json.loads(say(cell.agent, "status", "--json"))
    assert parsed["stats"]["pid"] == cell.agent.pid
    assert parsed["health"]["health"]["node_id"] == "ook"


def test_status_says_what_is_wrong_with_the_link(lonely, ctl):
    wait_until(lambda: lonely.client.call("agent.stats")["link"]["cause"] == "unreachable")
    done = ctl(lonely.agent, "status")
    assert done.returncode == OK
    line = next(l for l in done.stdout.splitlines() if l.startswith("link"))
    assert re.search(
        rf"not connected to Redis at 127\.0\.0\.1:{lonely.server.port}: not reachable \(.*refused",
        line,
    )


def test_nodes(cell, make_agent, say):
    quick = {"heartbeat.ttl": "1s"}
    other = make_agent(cell.server.url(), "hog", settings=quick)
    cell.server.wait_for_beat("hog")
    lines = say(cell.agent, "nodes").splitlines()
    assert lines[0].split()[:4] == ["NODE", "STATE", "LAST", "BEAT"]
    assert re.match(r"hog +up +(now|\d.* ago) .*\d+ %", lines[1])
    assert re.match(r"ook\* +up +", lines[2])
    assert re.fullmatch(r"2 of 2 nodes are up; \* is this one; times are \S.*", lines[-1])

    other.kill()
    line = wait_until(lambda: next(
        (x for x in say(cell.agent, "nodes").splitlines() if x.startswith("hog   down")), None))
    assert re.match(r"hog +down since \d\d:\d\d:\d\d \(lease not renewed for .*\) +\d.* ago +- ", line)
    assert say(cell.agent, "nodes").splitlines()[-1].startswith("1 of 2 nodes are up; * is this one")
    status = json.loads(say(cell.agent, "nodes", "--json"))
    assert status["nodes"]["hog"]["state"] == "down" and status["nodes_last_seen"]["hog"]


def test_a_cell_of_300_nodes(cell, say):
    health = json.loads(say(cell.agent, "get", "node:health:ook"))
    names = [f"node-{i:03}" for i in range(299)]
    with cell.redis.pipeline() as pipe:
        for name in names:
            pipe.hset(f"node:health:{name}", "health", json.dumps({**health, "node_id": name}))
            pipe.hset("nodebeat:nodes", name, "{}")
        pipe.execute()
    wait_until(lambda: "300 of 300 nodes are up" in say(cell.agent, "nodes"))
    status = json.loads(say(cell.agent, "nodes", "--json"))
    assert sorted(status["nodes_health"]) == [*names, "ook"]
    assert all(status["nodes_health"].values())
    assert "300 of 300 nodes are up" in say(cell.agent, "top", "--once")


def test_keys_of_every_length(cell, say):
    keys = sorted(f"cell:{i:03}:".ljust(512, '"') for i in range(600))
    for key in keys:
        cell.redis.set(key, 1)
    assert json.loads(say(cell.agent, "list", "cell:", "--json"))["keys"] == keys
    assert say(cell.agent, "list", "cell:").splitlines() == keys


def test_a_node_that_was_stopped_says_why(cell, make_agent, say):
    other = make_agent(cell.server.url(), "hog")
    cell.server.wait_for_beat("hog")
    other.stop()
    assert re.search(r"^hog +down since .* \(\w.*\) ", say(cell.agent, "nodes"), re.M)


def test_a_node_before_its_first_beat(redis_server, make_agent, steady, say):
    agent = make_agent(redis_server.url())
    redis_server.client().hset("nodebeat:nodes", "eek", "{}")
    steady(agent)
    assert re.search(r"^eek +not seen yet +never ", say(agent, "nodes"), re.M)


def test_nodes_without_redis(lonely, ctl):
    wait_until(lambda: lonely.client.call("health.get")["health"])
    done = ctl(lonely.agent, "nodes")
    assert done.returncode == OK and re.search(r"^ook\* +up ", done.stdout, re.M)
    assert "Redis is not connected: how the other nodes are is not known" in done.stdout


def test_forget(cell, make_agent, ctl, say):
    other = make_agent(cell.server.url(), "hog", settings={"heartbeat.ttl": "1s"})
    cell.server.wait_for_beat("hog")
    done = ctl(cell.agent, "forget", "hog")
    assert done.returncode == REFUSED and "hog" in done.stderr, "it is alive"
    other.kill()
    wait_until(lambda: cell.server.beat("hog") is None)
    assert say(cell.agent, "forget", "hog") == ""
    assert not cell.redis.hexists("nodebeat:nodes", "hog")
    wait_until(lambda: "1 of 1 node is up" in say(cell.agent, "nodes"))
    assert ctl(cell.agent, "forget", "hog").returncode == FOUND


# --- state ---------------------------------------------------------------------------------------


def test_values(cell, ctl, say):
    digits = '{"gain":1.50,"big":12345678901234567890.1}'
    assert say(cell.agent, "set", "recipe:current", digits) == ""
    assert cell.redis.get("recipe:current") == digits
    assert say(cell.agent, "get", "recipe:current") == digits + "\n"
    say(cell.agent, "set", "recipe:name", "two words", "--text", "--ttl", "1h")
    assert 0 < cell.redis.pttl("recipe:name") <= 3_600_000
    assert say(cell.agent, "get", "recipe:name", "--raw") == "two words\n"
    assert say(cell.agent, "list", "recipe:") == "recipe:current\nrecipe:name\n"
    assert json.loads(say(cell.agent, "list", "--json"))["keys"].count("recipe:name") == 1
    say(cell.agent, "delete", "recipe:name")
    assert not cell.redis.exists("recipe:name")
    done = ctl(cell.agent, "get", "recipe:name")
    assert (done.returncode, done.stderr) == (
        FOUND, "nodebeatctl: there is no key 'recipe:name'\n")
    health = json.loads(say(cell.agent, "get", "node:health:ook", "--json"))
    assert health["value"]["node_id"] == "ook"


@pytest.mark.parametrize("longest", ["4KiB", "64KiB", "1MiB"])
def test_what_can_be_set_can_be_read_back(redis_server, make_agent, steady, ctl, longest):
    """Whatever the agent takes in a line, and however the value grows where it is escaped."""
    agent = make_agent(redis_server.url(), settings={"socket.max_line": longest})
    steady(agent)
    taken = 0
    for size in (100, 3000, 4090, 60_000, 63_000, 65_000, 65_400, 65_470, 66_000, 200_000):
        for letter in ("x", '"', "\u00e4", "\x7f"):
            value = letter * (size // len(letter.encode()) // (2 if letter == '"' else 1))
            key = ('k"' * 256)[: 512 if size > 3000 else 8]
            done = ctl(agent, "set", key, "-", "--text", stdin=value)
            if done.returncode == REFUSED:
                assert re.search(r"\b\d+ bytes|too long|longer", done.stderr), done.stderr
                continue
            assert (done.returncode, done.stderr) == (OK, ""), (size, letter)
            done = ctl(agent, "get", "--raw", key)
            assert (done.returncode, done.stdout) == (OK, value + "\n"), (size, letter, done.stderr)
            taken += 1
    assert taken >= (8 if longest == "4KiB" else 16)


def test_a_write_that_redis_refuses_has_an_exit_code(make_redis, make_agent, steady, ctl):
    server = make_redis()
    server.client().execute_command(
        "ACL", "SETUSER", "few", "on", ">pw", "+@all", "~node:*", "~robot:*", "~stream:*",
        "~nodebeat:*", "&*")
    agent = make_agent(server.url().replace("redis://", "redis://few:pw@"))
    steady(agent)
    done = ctl(agent, "set", "recipe:x", "1")
    assert done.returncode == REFUSED_BY_REDIS and "NOPERM" in done.stderr, done
    done = ctl(agent, "push", "--stored",
               stdin='{"method":"state.set","params":{"key":"recipe:x","value":1}}\n')
    assert done.returncode == REFUSED_BY_REDIS


def test_what_is_refused_is_said(cell, ctl):
    done = ctl(cell.agent, "set", "node:health:ook", "1")
    assert done.returncode == REFUSED and "node:" in done.stderr
    cell.redis.lpush("a list", "x")
    done = ctl(cell.agent, "get", "a list")
    assert done.returncode == REFUSED and "list" in done.stderr
    done = ctl(cell.agent, "call", "agent.stat")
    assert done.returncode == REFUSED and "agent.stats" in done.stderr


def test_without_redis(lonely, ctl):
    assert ctl(lonely.agent, "set", "k", "1", "--no-wait").returncode == OK
    assert ctl(lonely.agent, "get", "k").stdout == "1\n"
    done = ctl(lonely.agent, "set", "k", "2", "--timeout", "200ms")
    assert done.returncode == TIMEOUT and "not reachable" in done.stderr
    done = ctl(lonely.agent, "get", "other")
    assert done.returncode == REFUSED and "not reachable" in done.stderr
    assert ctl(lonely.agent, "list").returncode == REFUSED
    lonely.server.start()
    redis = lonely.server.client()
    wait_until(lambda: redis.get("k") == "2")


def test_no_agent(cell, ctl, tmp_path):
    away = SimpleNamespace(socket_path=str(tmp_path / "none.sock"))
    for command in (["status"], ["nodes"], ["get", "k"], ["set", "k", "1"], ["list"],
                    ["watch", "c"], ["publish", "c", "{}"], ["push"], ["stroke", "end"],
                    ["top", "--once"], ["call", "agent.stats"]):
        done = ctl(away, *command, stdin="{}\n")
        assert done.returncode == AWAY and "no agent listens" in done.stderr, command
    assert ctl(away, "doctor").returncode == 2
    assert ctl(away, "get").returncode == USAGE


def test_an_agent_that_is_full(redis_server, make_agent, connect, ctl):
    agent = make_agent(redis_server.url(), settings={"socket.max_clients": 2})
    clients = [connect(agent) for _ in range(2)]
    for client in clients:
        assert client.call("client.hello")["node_id"] == "ook"
    done = ctl(agent, "status", "--timeout", "2s")
    assert done.returncode == REFUSED and done.stdout == ""
    assert re.fullmatch(r"nodebeatctl: .*\b2\b.*\n", done.stderr), done.stderr
    assert "closed the connection" not in done.stderr


def test_an_agent_that_hangs(cell, ctl):
    processes.pause(cell.agent.process)
    try:
        done = ctl(cell.agent, "status", "--timeout", "100ms")
        assert done.returncode == TIMEOUT and "not answered within 100 ms" in done.stderr
    finally:
        processes.resume(cell.agent.process)


# --- events --------------------------------------------------------------------------------------


def test_watch_and_publish(cell, say, watch, closing):
    heard = closing(cell.server.subscribe("cell:news"))
    words = watch(cell.agent, "cell:*")
    lines = watch(cell.agent, "cell:news", "--json", "--count", "2")
    cell.redis.publish("cell:news", '{"type":"hello","from":"afar"}')
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  cell:news +remote  hello from=afar$",
                    words.wait_for("from=afar"))
    said = say(cell.agent, "publish", "cell:news", '{"type":"hello","from":"here"}')
    # This test's own, and the agent's, which listens for both of its own.
    assert said == "3 subscribers in Redis\n"
    assert "remote" not in words.wait_for("from=here")
    heard.wait_for("hello", lambda e: e["from"] == "here")
    assert lines.process.wait(10) == OK
    lines.thread.join(5)
    afar, here = map(json.loads, lines.lines)
    assert afar["remote"] is True and afar["event"] == {"type": "hello", "from": "afar"}
    assert "remote" not in here and here["channel"] == "cell:news"
    cell.redis.publish("cell:text", "no JSON")
    words.wait_for("no JSON")


def test_what_is_published_where_readers_are_strict(cell, ctl, say, closing):
    errors = closing(cell.server.subscribe("error:events:air"))
    say(cell.agent, "publish", "error:events:air", '{"type":"error","message":"low"}')
    assert errors.wait_for("error")["node_id"] == "ook"
    done = ctl(cell.agent, "publish", "error:events:air", '{"message":"low"}')
    assert done.returncode == REFUSED and "type" in done.stderr
    done = ctl(cell.agent, "publish", "stroke:events:progress", '{"type":"x"}')
    assert done.returncode == REFUSED and "stroke.update" in done.stderr


# --- pushing -------------------------------------------------------------------------------------


def test_push(cell, ctl, say):
    robot = '{"joints_l":[0.10,1e-05]}\n\n{"current_pose":"ready"}\n'
    assert say(cell.agent, "push", "--robot", "--stored", stdin=robot) == ""
    state = cell.redis.hget("robot:state:ook", "state")
    assert '"joints_l":[0.10,1e-05]' in state and json.loads(state)["current_pose"] == "ready"

    done = ctl(cell.agent, "push", "--robot",
               stdin='{"joints_l":[1]}\n{"joints_l":[2,"x"]}\n{"joints_l":[3]}\n[]\n{"joint":1}\n')
    assert done.returncode == REFUSED
    lines = done.stderr.splitlines()
    assert re.match(r"nodebeatctl: line 2: .*joints_l\[1\]", lines[0]), lines
    assert lines[1] == "nodebeatctl: line 4: not an object"
    assert re.match(r"nodebeatctl: line 5: .*joint\b", lines[2]), lines
    assert lines[3] == "nodebeatctl: 2 of 5 lines were taken, 3 refused"
    wait_until(lambda: json.loads(cell.redis.hget("robot:state:ook", "state"))["joints_l"] == [3])

    calls = ('{"method":"state.set","params":{"key":"a","value":1}}\n'
             '{"method":"error.report","params":{"category":"air","message":"low"}}\n')
    done = ctl(cell.agent, "push", "--json", "--stored", stdin=calls)
    assert json.loads(done.stdout) == {"taken": 2, "refused": 0} and done.returncode == OK
    assert cell.redis.get("a") == "1"


def test_stroke(cell, ctl, say):
    session = say(cell.agent, "stroke", "start", "--total", 40, "--scene", "table", "--stored")
    session = session.strip()
    assert re.fullmatch(r"stroke_ook_\d+_\d{6}", session)
    say(cell.agent, "stroke", "update", "--stroke", 10, "--pose", 3, "--length", 8,
        "--left", "wipe", "--stored")
    key = f"stroke:progress:{session}"
    progress = json.loads(cell.redis.hget(key, "progress"))
    assert {k: progress[k] for k in ("stroke_idx", "pose_idx", "total_strokes", "stroke_length",
                                     "stroke_description_l", "scene_name", "is_executing")} == {
        "stroke_idx": 10, "pose_idx": 3, "total_strokes": 40, "stroke_length": 8,
        "stroke_description_l": "wipe", "scene_name": "table", "is_executing": True}
    (_, entry), = cell.redis.xrevrange(f"stream:stroke_history:{session}", count=1)
    assert entry["stroke_idx"] == "10" and entry["description_l"] == "wipe"
    top = say(cell.agent, "top", "--once")
    assert re.search(r"^ook +.*10 of 40 +25 % +pose 3 of 8 +left: wipe", top, re.M), top
    assert re.search(rf"^stroke +{session}$", say(cell.agent, "status"), re.M)

    done = ctl(cell.agent, "stroke", "update", "--session", "stroke_ook_1_1", "--pose", 1)
    assert done.returncode == FOUND and f"that runs is {session}" in done.stderr
    say(cell.agent, "stroke", "end", "--stored")
    assert not json.loads(cell.redis.hget(key, "progress"))["is_executing"]
    assert cell.redis.pttl(key) > 0
    assert ctl(cell.agent, "stroke", "end").returncode == FOUND
    assert "10 of 40" not in say(cell.agent, "top", "--once")


def test_top_in_lines(cell, make_agent, follow, say):
    top = follow(cell.agent, "top")
    top.wait_for(r"1 of 1 node is up; connected to Redis at 127\.0\.0\.1:")
    assert top.wait_for(r"^ook\* +up ")
    other = make_agent(cell.server.url(), "hog", settings={"heartbeat.ttl": "1s"})
    top.wait_for(r"node:events:hog +remote  node_up hog")
    say(cell.agent, "publish", "error:events:air", '{"type":"error","message":"low"}')
    assert "remote" not in top.wait_for("error:events:air .*error ook message=low")
    # Seen by a look at the fleet, not by its event only.
    top.wait_for("-- .*  hog is up")
    other.kill()
    top.wait_for("-- .*  hog is down")


# --- while the agent comes and goes --------------------------------------------------------------


def restarted(cell, make_agent, noticed):
    """The agent again, at the same socket, after a SIGKILL that was noticed: one that is back before
    anybody looks is not worth a word."""
    cell.agent.kill()
    noticed()
    return make_agent(cell.server.url(), settings={"socket.path": cell.agent.socket_path})


def test_watch_says_that_the_agent_hangs_and_recovers(cell, watch):
    watching = watch(cell.agent, "--timeout", "300ms", "cell:*")
    processes.pause(cell.agent.process)
    try:
        watching.wait_for("-- .*  the agent does not answer; waiting for it")
        cell.redis.publish("cell:news", '{"n":1}')
    finally:
        processes.resume(cell.agent.process)
    watching.wait_for("cell:news .* n=1")
    watching.wait_for("-- .*  the agent is back")
    cell.redis.publish("cell:news", '{"n":2}')
    watching.wait_for("cell:news .* n=2")
    assert len([line for line in watching.lines if line.startswith("--")]) == 2


def test_watch_outlives_the_agent(cell, make_agent, watch, steady):
    watching = watch(cell.agent, "--json", "cell:*")
    agent = restarted(cell, make_agent, lambda: watching.wait_for('{"notice":"agent_away"}'))
    watching.wait_for('{"notice":"agent_back"}')
    client = steady(agent)
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["local"] == 1)
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    cell.redis.publish("cell:news", '{"n":1}')
    watching.wait_for('"channel":"cell:news".*"n":1')
    assert len([line for line in watching.lines if "notice" in line]) == 2


def test_watch_state(cell, follow, say):
    cell.redis.set("cell:a", '{"x": 1}')
    words = follow(cell.agent, "watch", "--state", "mode", "cell:*")
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  cell:a +redis  \{\"x\":1\}$", words.wait_for("cell:a"))
    assert words.wait_for("mode").endswith("  redis  deleted")
    assert re.match(r"-- [\d:.]{12}  these were all: 2$", words.wait_for("--"))
    say(cell.agent, "set", "mode", '"auto"')
    assert words.wait_for('"auto"').endswith('  agent  "auto"')
    cell.redis.rpush("cell:list", "1")
    assert "  redis  unreadable: WRONGTYPE " in words.wait_for("cell:list")
    cell.server.kill()
    words.wait_for("-- .*  Redis cannot be heard: changes may be missing")


def test_watch_state_as_json_and_so_many_changes(cell, follow):
    lines = follow(cell.agent, "watch", "--state", "--json", "--count", "3", "cell:*")
    ready = json.loads(lines.wait_for("ready"))
    assert ready.pop("time") and ready == {"notice": "ready", "keys": 0}
    for i in range(3):
        cell.redis.set(f"cell:{i}", f"{i}.50")
        lines.wait_for(f'"key":"cell:{i}","value":{i}.50,"source":"redis"')
    assert lines.process.wait(10) == OK


def test_watch_state_outlives_the_agent(cell, make_agent, follow):
    watching = follow(cell.agent, "watch", "--state", "--json", "cell:a")
    watching.wait_for('"notice":"ready"')
    restarted(cell, make_agent, lambda: watching.wait_for('{"notice":"agent_away"}'))
    watching.wait_for('{"notice":"agent_back"}')
    wait_until(lambda: len([line for line in watching.lines if '"ready"' in line]) == 2)
    cell.redis.set("cell:a", "1")
    watching.wait_for('"value":1')


def test_watch_state_of_keys_that_are_not_for_it(cell, ctl):
    done = ctl(cell.agent, "watch", "--state", "cell:*:x")
    assert done.returncode == USAGE and "'cell:*:x': a * is for the end of a key" in done.stderr
    done = ctl(cell.agent, "watch", "--state", "robot:*")
    assert done.returncode == REFUSED and "other programs parse keys" in done.stderr


def test_top_while_the_agent_hangs_and_is_restarted(cell, make_agent, follow):
    top = follow(cell.agent, "top")
    top.wait_for("1 of 1 node is up")
    processes.pause(cell.agent.process)
    try:
        top.wait_for("-- .*  the agent does not answer; waiting for it")
    finally:
        processes.resume(cell.agent.process)
    top.wait_for("-- .*  the agent is back")
    gone = "-- .*  the agent has gone away; waiting for it to come back"
    restarted(cell, make_agent, lambda: top.wait_for(gone))
    wait_until(lambda: [l[-17:] for l in top.lines].count("the agent is back") == 2)


def test_call(cell, ctl, say):
    assert json.loads(say(cell.agent, "call", "agent.stats"))["node_id"] == "ook"
    assert json.loads(say(cell.agent, "call", "health.get", '{"node":"ook"}'))["health"]
    done = ctl(cell.agent, "call", "health.get", '{"node":"nobody"}')
    assert done.returncode == FOUND and "nobody" in done.stderr


def test_json_everywhere(cell, ctl):
    for args in (["status"], ["nodes"], ["doctor"], ["set", "k", "1"], ["get", "k"], ["list"],
                 ["publish", "c", "{}"], ["publish", "c", "{}", "--stored"], ["push"],
                 ["stroke", "start", "--total", "1"], ["stroke", "update", "--pose", "1"],
                 ["stroke", "end"], ["delete", "k"], ["call", "system.status"]):
        done = ctl(cell.agent, *args, "--json")
        assert isinstance(json.loads(done.stdout), dict), args
        assert done.stdout.count("\n") == 1 and done.stderr == "", args


# --- through the socket with which one can only read ---------------------------------------------


def view_of(agent):
    return agent.socket_path.replace("agent.sock", "view.sock")


@pytest.mark.parametrize("args", [
    ["status"], ["nodes"], ["get", "cell:a"], ["list"], ["session", "list"], ["session", "get", "s"],
    ["doctor"], ["call", "system.status"], ["call", "redis.inspect"]], ids=" ".join)
def test_what_reads_works_through_the_view(cell, ctl, args):
    cell.client.call("state.set", key="cell:a", value=1, ack="stored")
    cell.client.call("session.create", session_id="s", state={"n": 1})
    def kinds(done):  # which findings doctor has, else all of it
        result = json.loads(done.stdout)
        findings = result.get("findings")
        return [(f["check"], f["level"]) for f in findings] if findings else list(result)

    all_rights = ctl(cell.agent, *args, "--json")
    viewed = ctl(cell.agent, *args, "--json", NODEBEAT_SOCKET=view_of(cell.agent))
    assert viewed.returncode == all_rights.returncode and viewed.stderr == ""
    assert kinds(viewed) == kinds(all_rights)


def test_one_can_listen_through_the_view(cell, ctl_env, closing):
    watching = closing(Following(CTL, ["watch", "cell:a"],
                                 ctl_env(cell.agent, NODEBEAT_SOCKET=view_of(cell.agent))))
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["local"] == 1)
    cell.client.call("event.publish", channel="cell:a", event={"type": "seen"})
    assert watching.wait_for("seen")


@pytest.mark.parametrize("args, method, right", [
    (["set", "cell:a", "1"], "state.set", "state"), (["delete", "cell:a"], "state.delete", "state"),
    (["forget", "ook"], "node.forget", "state"), (["publish", "c", "{}"], "event.publish", "event"),
    (["stroke", "start", "--total", "1"], "stroke.start", "robot"),
    (["session", "create", "s", "{}"], "session.create", "session"),
    (["session", "delete", "s"], "session.delete", "session"),
    (["call", "error.report", '{"category":"c","message":"m"}'], "error.report", "robot"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else value)
def test_what_writes_names_the_right_and_the_socket(cell, ctl, args, method, right):
    done = ctl(cell.agent, *args, NODEBEAT_SOCKET=view_of(cell.agent))
    assert done.returncode == FORBIDDEN and done.stdout == ""
    assert done.stderr.strip() == (
        f"nodebeatctl: {method} needs the right '{right}', which this socket does not give; the "
        f"socket {cell.agent.socket_path} does")


def test_too_many_calls_have_an_exit_code(redis_server, make_agent, connect, ctl):
    """A command is a client of its own; a list of many keys takes several calls."""
    redis_server.client().mset({f"cell:{i}": 1 for i in range(3000)})
    agent = make_agent(redis_server.url(), settings={"socket.calls_per_second": 1})
    connect(agent)
    assert ctl(agent, "call", "health.get").returncode == OK
    done = ctl(agent, "list")
    assert done.returncode == TOO_MANY
    assert done.stderr.strip() == ("nodebeatctl: more calls than one client of this socket may have "
                                   "in a second: try again")


# --- doctor --------------------------------------------------------------------------------------


@pytest.fixture
def doctor(ctl, tmp_path):
    """doctor(agent): its exit code, and {check: finding}."""

    def make(agent):
        os.chmod(agent.socket_path, 0o660)
        done = ctl(agent, "doctor", "--json", "--config", agent.config)
        findings = json.loads(done.stdout)
        assert findings["worst"] == done.returncode
        return done.returncode, {f["check"]: f for f in findings["findings"]}

    return make


def problems(findings):
    return {check for check, f in findings.items() if f["level"] == "problem"}


def test_doctor_when_all_is_well(make_redis, make_agent, steady, doctor, ctl, users):
    server = make_redis(maxmemory_policy="noeviction", appendonly="yes")
    agent = make_agent(server.url())
    client = steady(agent)
    server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    wait_until(lambda: client.call("agent.stats")["watch"]["role"] == "watching")
    code, findings = doctor(agent)
    assert code == 0, findings
    assert {f["level"] for f in findings.values()} == {"ok"}
    checks = {"configuration", "socket", "link", "redis", "redis eviction", "redis memory",
              "redis access", "redis persistence", "clock", "node name", "watch", "queue", "clients"}
    # CONFIG GET shows passwords, so a node's user may not use it.
    assert set(findings) == (checks - {"redis access"} if users else checks)
    text = ctl(agent, "doctor", "--config", agent.config).stdout
    assert text.endswith("\nall is well\n")


def test_doctor_and_an_eviction_policy(cell, doctor):
    cell.redis.config_set("maxmemory", "64mb")
    cell.redis.config_set("maxmemory-policy", "allkeys-lru")
    code, findings = doctor(cell.agent)
    assert code == 2 and problems(findings) == {"redis eviction"}
    assert "noeviction" in findings["redis eviction"]["advice"]


def test_doctor_and_redis_gone(cell, doctor):
    cell.server.kill()
    wait_until(lambda: cell.client.call("agent.stats")["link"]["cause"] == "unreachable")
    code, findings = doctor(cell.agent)
    assert code == 2 and problems(findings) == {"link"}
    assert "not reachable" in findings["link"]["text"]
    assert "redis-cli" in findings["link"]["advice"]
    assert "redis" not in findings and "node name" not in findings


def test_doctor_and_a_server_that_refuses_this_node(make_redis, make_agent, connect, doctor, ctl):
    server = make_redis()
    server.client().execute_command(
        "ACL", "SETUSER", "few", "on", ">pw", "+@all", "~robot:*", "~cell:*", "&*")
    agent = make_agent(server.url().replace("redis://", "redis://few:pw@"))
    client = connect(agent)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "degraded")
    line = next(l for l in ctl(agent, "status").stdout.splitlines() if l.startswith("link"))
    assert "degraded" in line and "NOPERM" in line
    code, findings = doctor(agent)
    assert code == 2
    assert "NOPERM" in str(findings["link"]) and "redis check" in str(findings["link"])


def test_doctor_and_a_wrong_password(make_redis, make_agent, connect, doctor):
    agent = make_agent(make_redis(requirepass="x").url())
    client = connect(agent)
    wait_until(lambda: client.call("agent.stats")["link"]["cause"] == "wrong-password")
    code, findings = doctor(agent)
    assert code == 2 and "password_file" in findings["link"]["advice"]


def test_doctor_and_a_probe_that_is_down(redis_server, make_agent, steady, doctor, closing):
    target = closing(HttpTarget())
    agent = make_agent(redis_server.url(), probes=[
        {"name": "vision", "type": "http", "url": target.url(), "interval": "100ms"}])
    client = steady(agent)

    def is_up():
        probes = client.call("agent.stats")["probes"]
        return probes[0]["up"] if probes else None

    wait_until(is_up)
    code, findings = doctor(agent)
    assert findings["probes"]["text"] == "all up (1)" and not problems(findings)
    target.stop()
    wait_until(lambda: is_up() is False)
    code, findings = doctor(agent)
    assert code == 2 and problems(findings) == {"probe"}
    assert findings["probe"]["text"].startswith("vision (http) is down: ")


def test_doctor_and_two_of_one_name(cell, make_agent, doctor, ctl):
    twin = make_agent(cell.server.url())
    wait_until(lambda: cell.client.call("agent.stats")["conflict"])
    code, findings = doctor(cell.agent)
    assert code == 2 and problems(findings) == {"node name"}
    other = cell.client.call("agent.stats")["conflict"]
    assert findings["node name"]["text"].startswith("two agents beat as node ook: this one (")
    assert other in findings["node name"]["text"]
    # Who does not ask the doctor is told as well: of the node itself, and in the table of the cell.
    assert f"another agent beats as this node, too: {other}" in ctl(cell.agent, "status").stdout
    wait_until(lambda: "up, but two agents have this name" in ctl(cell.agent, "nodes").stdout)
    twin.stop()
    wait_until(lambda: cell.client.call("agent.stats")["conflict"] is None)
    assert not problems(doctor(cell.agent)[1])


def test_doctor_and_a_configuration_that_is_wrong(cell, doctor):
    cell.agent.write_config(heartbeat__interval="never")
    code, findings = doctor(cell.agent)
    assert code == 2 and problems(findings) == {"configuration"}
    assert "heartbeat.interval" in findings["configuration"]["text"]
    cell.agent.write_config(heartbeat__interval="100ms")
