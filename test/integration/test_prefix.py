"""Cells that share a Redis, each with a prefix of its own ([redis] prefix; PROTOCOL.md 4.10.7)."""

import json
from types import SimpleNamespace

import pytest

from support import acl
from support.agent import environment
from support.ctl import OK, find_ctl, run
from support.redis_server import RedisServer
from support.rpc import refused
from support.waiting import wait_until
from support.watch import FAST

pytestmark = pytest.mark.own_users("they are of a cell without a prefix")
CTL = find_ctl()
WILL = [{"method": "error.report", "params": {"category": "robot", "message": "dead"}}]


def within(prefix, **more):
    return {**FAST, "redis.prefix": prefix, **more}


def holder(redis, prefix):
    """The node that watches this cell, once it has looked."""
    words = (redis.get(prefix + "nodebeat:watch") or "").split(" ")
    return words[0] if len(words) > 5 and words[4] != "0" else None


def lost(redis, prefix):
    events = (json.loads(fields["event"]) for _, fields in redis.xrange(prefix + "stream:cell_events"))
    return [event["node_id"] for event in events if event["type"] == "node_lost"]


@pytest.fixture
def confined(redis_server, make_agent, steady):
    """hog and ook of cellA; their user in Redis may touch what has that prefix, and nothing else."""
    redis = redis_server.client()
    # Redis compares a pattern with those of an ACL letter by letter, so PSUBSCRIBE needs all channels.
    redis.execute_command(
        "ACL", "SETUSER", "cellA", "reset", "on", ">secret", "~cellA:*", "resetchannels", "&cellA:*",
        "&__redis__:invalidate", "+@all", "(+psubscribe allchannels)")
    redis.execute_command("ACL", "LOG", "RESET")
    url = redis_server.url("cellA:secret@")
    hog = make_agent(url, "hog", settings=within("cellA:"))
    wait_until(lambda: holder(redis, "cellA:") == "hog")
    ook = make_agent(url, "ook", settings=within("cellA:"))
    return SimpleNamespace(server=redis_server, redis=redis, hog=hog, ook=ook, client=steady(ook), of_hog=steady(hog))


def is_within(cell):
    """What was refused so far is nothing, and what is in Redis has the prefix."""
    refusals = cell.redis.execute_command("ACL", "LOG")
    assert refusals == [], refusals
    names = [*cell.redis.scan_iter(), *cell.redis.pubsub_channels()]
    assert [n for n in names if not n.startswith("cellA:") and n != "__redis__:invalidate"] == []
    return names


# --- everything that an agent does is within its prefix ------------------------------------------


def test_state(confined, connect):
    client, redis = confined.client, confined.redis
    client.call("state.watch", keys=["named"], prefixes=["app:"])
    assert client.next_message("state.change") == {"key": "named", "deleted": True, "source": "redis"}
    client.next_message("state.ready")
    client.call("state.set", key="app:a", value={"x": 1}, ack="stored")
    assert client.next_message("state.change")["key"] == "app:a"
    redis.set("cellA:app:b", "2")
    redis.set("app:c", "3")
    redis.set("cellB:app:c", "3")
    redis.set("cellA:named", "4")
    heard = [client.next_message("state.change") for _ in range(2)]
    assert sorted((h["key"], h["value"]) for h in heard) == [("app:b", 2), ("named", 4)]
    assert client.call("state.get", key="app:b")["value"] == 2
    assert refused(client, "state.get", key="app:c").name == "not_found"
    redis.hset("cellA:own", "f", "v")
    assert client.call("state.get", key="own")["value"] == {"f": "v"}
    assert client.call("state.get", key="node:health:ook")["value"]["node_id"] == "ook"
    assert sorted(client.call("state.list", prefix="app:")["keys"]) == ["app:a", "app:b"]
    every = client.call("state.list", limit=1000)["keys"]
    assert "node:health:hog" in every and not [key for key in every if key.startswith("cell") or key == "app:c"]
    client.call("state.delete", key="app:a", ack="stored")
    redis.delete("app:c", "cellB:app:c")
    assert "cellA:app:b" in is_within(confined) and not redis.exists("cellA:app:a")


def test_events_and_their_replay(confined, connect):
    listener = connect(confined.hog)
    listener.call("event.subscribe", channels=["plain"], patterns=["x:*"])
    confined.client.call("event.publish", channel="plain", event={"i": 1}, ack="stored")
    assert listener.next_event("plain")["event"]["i"] == 1
    for channel in ("x:a", "cellB:x:a"):  # of other cells
        confined.redis.publish(channel, '{"i": 0}')
    confined.client.call("event.publish", channel="x:a", event={"i": 2}, ack="stored")
    heard = listener.next_event("x:a")
    assert (heard["event"]["i"], heard["remote"]) == (2, True)
    assert not [e for e in listener.events() if e["event"].get("i") == 0]
    assert confined.redis.xrange("cellA:stream:events:ook:x:a")[0][1]["channel"] == "x:a"
    for wanted in ({"channels": ["x:a"]}, {"patterns": ["x:*"]}):
        late = connect(confined.hog)
        late.call("event.subscribe", **wanted, replay={"last": 5})
        assert late.next_event("x:a")["event"]["i"] == 2
    past = connect(confined.hog)
    past.call("event.subscribe", channels=["x:a", "plain"], replay={"since": "0-0"})
    assert sorted(past.next_event()["event"]["i"] for _ in range(2)) == [1, 2]
    for client in (listener, late, past):
        client.call("event.unsubscribe", channels=["x:a"], patterns=["x:*"])
    confined.of_hog.call("event.subscribe", channels=["cv:parameter:update"])
    confined.client.call("bus.publish", type="parameter_update", data={"variable": "gain", "value": 1, "user": "a"},
                         ack="stored")
    assert confined.of_hog.next_event("cv:parameter:update")["event"]["data"]["value"] == 1
    is_within(confined)


def test_sessions(confined):
    client, hog = confined.client, confined.of_hog
    hog.call("event.subscribe", channels=["session-updates", "ws:a"])
    assert client.call("session.create", session_id="a", state={"n": 0})["version"] == 1
    assert json.loads(hog.next_event("session-updates")["event"]["state"])["n"] == 0
    assert hog.call("session.update", session_id="a", state={"n": 1}, expected_version=1)["version"] == 2
    assert refused(client, "session.update", session_id="a", state={}, expected_version=1).name == "conflict"
    assert client.call("session.get", session_id="a")["state"]["n"] == 1
    assert client.call("session.broadcast", session_id="a", message={"m": 1})["subscribers"] == 1
    assert hog.next_event("ws:a")["event"]["message"] == {"m": 1}
    client.call("session.touch", session_id="a")
    listed = client.call("session.list")["sessions"]
    assert [(s["session_id"], s["version"]) for s in listed] == [("a", 2)]
    # The holder of the watch says that the time of a session is over.
    client.call("session.create", session_id="short", state={}, ttl_ms=1000)
    wait_until(lambda: [e for e in hog.events() if e["event"].get("expired")])
    client.call("session.delete", session_id="a")
    entries = confined.redis.xrange("cellA:nodebeat:sessions:audit")
    assert [fields["op"] for _, fields in entries] == ["create", "update", "create", "delete"]
    is_within(confined)


def test_robot_strokes_errors_and_wills(confined, connect):
    client, redis = confined.client, confined.redis
    hears = confined.of_hog
    hears.call("event.subscribe", channels=["robot:events", "stroke:events:session", "error:events:robot"])
    client.call("robot.update", joints_l=[1], is_connected_l=True, ack="stored")
    assert hears.next_event("robot:events")["event"]["node_id"] == "ook"
    assert json.loads(redis.hget("cellA:robot:state:ook", "state"))["joints_l"] == [1]
    session = client.call("stroke.start", total_strokes=2, ack="stored")["session_id"]
    client.call("stroke.update", stroke_idx=1, ack="stored")
    assert hears.call("system.status")["active_stroke_sessions"] == 1
    client.call("stroke.end", ack="stored")
    assert json.loads(redis.hget("cellA:stroke:progress:" + session, "progress"))["stroke_idx"] == 1
    assert redis.xlen("cellA:stream:stroke_history:" + session) > 0
    willing = connect(confined.ook)
    willing.call("client.hello", name="robot", will=WILL)
    willing.close()
    assert hears.next_event("error:events:robot")["event"]["message"] == "dead"
    is_within(confined)


def test_the_cell_and_its_lost_nodes(confined, make_agent):
    client, redis = confined.client, confined.redis
    status = wait_until(lambda: (s := client.call("system.status"))["total_nodes"] == 2 and s)
    assert set(status["nodes_health"]) == {"hog", "ook"}
    assert client.call("health.get", node="hog")["health"]["node_id"] == "hog"
    server = client.call("redis.inspect")
    assert server["user"] == "cellA" and None not in (server["clock_offset_ms"], server["slowlog"]), server
    client.call("event.subscribe", patterns=["node:events:*"])
    confined.hog.kill()  # ook takes the watch
    wait_until(lambda: "hog" in lost(redis, "cellA:"), 20)
    told = client.next_event("node:events:hog")["event"]
    while told["type"] != "node_lost":
        told = client.next_event("node:events:hog")["event"]
    assert json.loads(redis.hget("cellA:node:health:hog", "health"))["is_reachable"] is False
    client.call("node.forget", node="hog")
    assert not redis.exists("cellA:nodebeat:lease:hog") and redis.hkeys("cellA:nodebeat:nodes") == ["ook"]
    # A run finds what the run before has left.
    confined.ook.stop()
    make_agent(confined.server.url("cellA:secret@"), "ook", settings=within("cellA:"))
    wait_until(lambda: holder(redis, "cellA:") == "ook", 15)
    is_within(confined)


# --- two cells in one database -------------------------------------------------------------------


@pytest.mark.parametrize("prefixes", [("cellA:", "{cellB}:"), ("cellA:", "")])
def test_two_cells_with_the_same_names(redis_server, make_agent, steady, prefixes):
    redis = redis_server.client()
    cells = []
    for prefix in prefixes:
        # Patient, since nobody else may be lost, however busy this computer is.
        settings = within(prefix, **{"lease.patience": "4s"})
        agents = [make_agent(redis_server.url(), node, settings=settings) for node in ("hog", "ook")]
        wait_until(lambda prefix=prefix: holder(redis, prefix), 15)
        cells.append(SimpleNamespace(prefix=prefix, agents=agents, clients=[steady(agent) for agent in agents]))
    one, other = cells
    for i, cell in enumerate(cells):
        for client in cell.clients:
            client.call("event.subscribe", channels=["c", "session-updates"], patterns=["node:events:*"])
        cell.clients[0].call("state.set", key="k", value=i, ack="stored")
        cell.clients[0].call("session.create", session_id="s", state={"i": i})
        cell.clients[0].call("event.publish", channel="c", event={"i": i}, ack="stored")
    for i, cell in enumerate(cells):
        assert [client.call("state.get", key="k")["value"] for client in cell.clients] == [i, i]
        assert cell.clients[1].call("session.get", session_id="s")["state"]["i"] == i
        assert [client.next_event("c")["event"]["i"] for client in cell.clients] == [i, i]
        assert json.loads(cell.clients[1].next_event("session-updates")["event"]["state"])["i"] == i
    # Of both cells a node of the same name goes: each has its own verdict, the other cell has none.
    one.agents[1].kill()
    wait_until(lambda: lost(redis, one.prefix) == ["ook"], 20)
    assert lost(redis, other.prefix) == []
    status = other.clients[0].call("system.status")
    assert (status["total_nodes"], status["nodes_online"]) == (2, 2)
    other.agents[0].kill()
    wait_until(lambda: lost(redis, other.prefix) == ["hog"], 20)
    assert lost(redis, one.prefix) == ["ook"]
    for i, (cell, client) in enumerate(((one, one.clients[0]), (other, other.clients[1]))):
        heard = client.events()
        assert not [e for e in heard if e["channel"] == "c" or e["event"].get("type") == "node_lost"
                    and e["event"]["node_id"] != ("ook", "hog")[i]], heard


def test_setup_writes_users_that_are_confined_to_their_cell(tmp_path, make_agent, steady, closing):
    folder = tmp_path / "store"

    def ctl(*args):
        done = run(CTL, ["redis", *args], environment(tmp_path / "sanitizer"))
        print(done.stdout, done.stderr)
        return done

    cells = ("cellA:", "{cellB}:")
    for prefix in cells:
        said = ctl("setup", "--dir", folder, "--prefix", prefix, "--keys=cell:*", "--keys=k*", "hog")
        assert said.returncode == OK and f'  prefix = "{prefix}"\n' in said.stdout
    assert "of several cells" in ctl("setup", "--dir", folder, "ook").stderr
    assert "--prefix 'a*:': a prefix is a name" in ctl("setup", "--dir", folder, "--prefix", "a*:", "ook").stderr
    assert ctl("setup", "--dir", folder, "--prefix=cellA:", "ook").returncode == OK
    lines = (folder / "users.acl").read_text().splitlines()
    assert [line.split()[1] for line in lines] == [
        "default", "admin", "viewer", "audit-cellA:", "nodebeat-cellA:hog", "audit-{cellB}:",
        "nodebeat-{cellB}:hog", "nodebeat-cellA:ook"]
    for line in (lines[4], lines[7]):
        assert "(-@all +set +del ~cellA:cell:* ~cellA:k*)" in line

    store = acl.Files(folder)
    store.admin_password = (folder / "admin.password").read_text().strip()
    server = RedisServer(tmp_path / "redis", store)
    server.close = server.kill
    closing(server).start()
    acl.places.clear()
    for prefix in cells:
        user = f"nodebeat-{prefix}hog"
        agent = make_agent(server.url(), "hog", settings=within(prefix, **{
            "redis.username": user, "redis.password_file": str(folder / f"{user}.password")}))
        client = steady(agent)
        client.call("state.set", key="k", value=prefix, ack="stored")
        client.call("session.create", session_id="s", state={})
        wait_until(lambda prefix=prefix: holder(server.client(), prefix) == "hog", 15)
        assert server.client().get(prefix + "k") == json.dumps(prefix)
    assert server.client().execute_command("ACL", "LOG") == []

    password = ["--password-file", folder / "admin.password", "--user", "admin"]
    done = ctl("check", "--json", "--prefix", "cellA:", *password, server.url())
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    for user in ("nodebeat-cellA:hog", "nodebeat-{cellB}:hog", "nodebeat-cellA:ook"):
        assert found[f"user {user}"]["level"] == "ok", found[f"user {user}"]
    assert "user audit" not in found
    # The node's own user sees the same of itself.
    own = ctl("check", "--json", "--password-file", folder / "nodebeat-cellA:hog.password", "--user",
              "nodebeat-cellA:hog", server.url())
    mine = {f["check"]: f for f in json.loads(own.stdout)["findings"]}["user nodebeat-cellA:hog"]
    assert mine["level"] == "ok", mine
    server.client().execute_command("ACL", "SETUSER", "nodebeat-cellA:hog", "(~* +hget)")
    done = ctl("check", "--json", *password, server.url())
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    assert "read what other cells have" in found["user nodebeat-cellA:hog"]["text"]


def test_a_prefix_changes_at_a_restart(redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), settings={"redis.prefix": "cellA:"})
    client = steady(agent)
    agent.write_config(redis__prefix="cellB:")
    agent.reload()
    agent.wait_for_log("'redis.prefix' has changed, which takes effect only at a restart")
    agent.wait_for_log("read again")
    client.call("state.set", key="k", value=1, ack="stored")
    assert redis_server.client().get("cellA:k") == "1"
    agent.stop()
    assert not list(redis_server.client().scan_iter("cellB:*"))


@pytest.mark.parametrize("prefix", ["cellA", "a*:", "{a:", "a b:", "node:", "a:b:"])
def test_what_is_no_prefix_is_refused(run_cli, tmp_path, prefix):
    path = tmp_path / "nodebeat.toml"
    path.write_text(f"[redis]\nprefix = {json.dumps(prefix)}\n")
    done = run_cli("--config", path, "--check-config")
    assert done.returncode != 0 and f"{path}:2: key 'redis.prefix':" in done.stderr, done.stderr
