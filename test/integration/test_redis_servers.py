"""config/redis/, as shipped and as `nodebeatctl redis setup` writes it, in every server that a cell
may have; and `nodebeatctl redis check` of them."""

import itertools
import json
import re
import socket
import time

import pytest
import redis

from support import acl
from support.agent import ROOT, environment
from support.ctl import AWAY, REFUSED, TIMEOUT, USAGE, find_ctl, run
from support.probe_targets import HttpTarget
from support.redis_answers import bulk, right, texts
from support.redis_builds import find
from support.redis_server import RedisServer
from support.rpc import Refused
from support.waiting import wait_until

CTL = find_ctl()
if CTL is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)
if acl.ENABLED:
    pytest.skip("brings its own users", allow_module_level=True)

WELL, WARNINGS, PROBLEMS = range(3)


@pytest.fixture(params=["redis-7", "redis-8", "valkey-8"])
def build(request):
    name, major = request.param.split("-")
    command = find(name, major)
    if command is None:
        pytest.skip(f"there is no {name} {major} here: ./dev test fetches those of other Debian "
                    "releases with mmdebstrap, where it may")
    return command


@pytest.fixture(scope="module")
def cell_users(tmp_path_factory):
    return acl.Users(tmp_path_factory.mktemp("cell"), CTL, ["hog", "ook"], ["cell:*"], ["cell:*"])


@pytest.fixture
def store(tmp_path, build, cell_users, closing):
    """A server with what setup has written; and nothing but its folder changed."""
    server = RedisServer(tmp_path / "store", cell_users, build, save=None, appendonly=None)
    server.close = server.kill
    yield closing(server).start()
    acl.places.clear()


@pytest.fixture
def check(tmp_path, cell_users):
    """check(url, *args, user="admin", code): its findings by what was looked at, of several the
    last; check.all: a list of those that are not well."""

    def ask(url, *args, user="admin", code):
        more = ["--user", user, "--password-file", cell_users.folder / f"{user}.password"]
        done = run(CTL, ["redis", "check", "--json", url, *(more if user else []), *args],
                   environment(tmp_path / "sanitizer"))
        print(done.stdout, done.stderr)
        assert done.returncode == code and not list(tmp_path.glob("sanitizer*"))
        return done

    def do(*args, code, **options):
        done = ask(*args, code=code, **options)
        if code > PROBLEMS or not done.stdout:
            return done.stderr
        return {f["check"]: f for f in json.loads(done.stdout)["findings"]}

    def not_well(*args, **options):
        findings = json.loads(ask(*args, **options).stdout)["findings"]
        return [f for f in findings if f["level"] != "ok"]

    do.all = not_well
    return do


def log_of(server):
    text = server.log.read_text()
    # Of the machine, or no trouble at all, not of the configuration.
    # Redis would rather not have `+evalsha|SHA`: but without it a node's user could run any script.
    one_script = r"offender: \+evalsha\|"
    harmless = f"overcommit|is starting|version=|Configuration loaded|initialized|{one_script}"
    return [l for l in text.splitlines() if " # " in l and not re.search(harmless, l)]


def test_as_shipped(tmp_path, build, closing):
    folder = ROOT / "config" / "redis"
    shipped = acl.Files(folder)
    server = RedisServer(tmp_path / "store", shipped, build, save=None, appendonly=None)
    server.close = server.kill
    closing(server).start()
    acl.places.clear()
    # Not through a library, which says other things first.
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as peer:
        answers = peer.makefile("rb")

        def ask(line):
            peer.sendall(line.encode() + b"\r\n")
            return answers.readline().split()[0]

        assert ask("PING") == b"-NOAUTH"
        for user in ("default", "admin", "viewer", "audit", "nodebeat-NODE"):
            assert {ask(f'AUTH {user} ""'), ask(f"AUTH {user} x")} == {b"-WRONGPASS"}, user
    assert log_of(server) == []


def test_what_setup_writes_is_what_check_wants(store, check):
    findings = check(store.url(), code=WELL)
    for user in ("user nodebeat-hog", "user nodebeat-ook"):
        assert findings[user]["text"] == "may do what an agent does, and nothing beyond it"
    assert findings["access"]["text"] == "every user needs a password"
    assert findings["addresses"]["text"].startswith("it listens on 127.0.0.1")
    assert findings["redis eviction"]["text"].startswith("policy noeviction")
    assert findings["redis persistence"]["text"] == "append-only file is on"
    assert findings["latency"]["text"].startswith("20 PINGs: median")
    assert log_of(store) == []


def test_check_of_a_server_that_is_not_as_recommended(store, check):
    admin = store.client()
    changed = {"timeout": "2", "save": "60 1", "maxclients": "20", "tcp-keepalive": "0",
               "client-output-buffer-limit": "normal 1kb 1kb 1", "maxmemory-clients": "0",
               "appendfsync": "always"}
    for name, value in changed.items():
        admin.config_set(name, value)
    said = check.all(store.url(), code=WARNINGS)
    assert {f["text"].split(" is ")[0] for f in said} == set(changed)
    assert {f["level"] for f in said} == {"warning"}
    assert [f["advice"] for f in said if f["text"].startswith("timeout ")] == [
        "redis-cli CONFIG SET timeout 0, and the same in redis.conf"]
    for finding in said:  # what it advises is what it then finds well
        name, value = finding["advice"].split(", and ")[0].split(" ", 4)[3:]
        admin.config_set(name, value.strip('"'))
    check(store.url(), code=WELL)


def test_check_of_users_that_open_the_door(store, check):
    admin = store.client()
    for rules in ("robot-lab on nopass ~* &* +@all", "viewer +@all ~*",
                  "audit +@all ~*", "default on >x ~* &* +@all",
                  "nodebeat-hog off"):
        admin.execute_command("ACL", "SETUSER", *rules.split())
    findings = {f["check"]: f for f in check.all(store.url(), code=PROBLEMS)}
    assert {name: f["level"] for name, f in findings.items()} == {
        "user robot-lab": "problem", "user nodebeat-hog": "problem", "user viewer": "warning",
        "user audit": "warning", "user default": "warning"}
    assert "needs no password" in findings["user robot-lab"]["text"]
    assert "write keys" in findings["user viewer"]["text"]
    assert findings["user audit"]["text"].startswith("may do more than move the audit: make up entries, take")
    assert "access" not in check(store.url(), code=PROBLEMS), "every user needs a password"


def test_an_agent_lives_on_it(store, cell_users, make_agent, steady):
    login = cell_users.login("ook", store.url())
    agent = make_agent(store.url(), settings={**login, "robot.telemetry_interval": "1ms"})
    client = steady(agent)
    store.wait_for_beat("ook")
    session = client.call("stroke.start", total_strokes=2, ack="stored")["session_id"]
    for method, params in (
        ("robot.update", {"is_connected_l": True, "joints_l": [0.1]}),
        ("stroke.update", {"stroke_idx": 1}), ("stroke.end", {}),
        ("error.report", {"category": "arm", "message": "m"}),
        ("state.set", {"key": "cell:mode", "value": "auto", "ttl_ms": 60000}),
        ("event.publish", {"channel": "cell:news", "event": {"type": "t"}}),
    ):
        client.call(method, **params, ack="stored")
    client.call("event.subscribe", channels=["robot:events"], patterns=["*"])
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    assert client.call("state.get", key="cell:mode")["value"] == "auto"
    client.call("state.delete", key="cell:mode", ack="stored")
    status = client.call("system.status")
    assert status["nodes_online"] == 1 and "ook" in status["nodes_health"], status
    assert client.call("redis.inspect")["user"] == "nodebeat-ook"
    redis_client = store.client()
    assert redis_client.hexists(f"stroke:progress:{session}", "progress")
    wait_until(lambda: redis_client.exists("stream:robot_telemetry:ook"))
    assert not agent.logged("refuses|does not let")
    # doctor's questions, which CONFIG GET and SLOWLOG answer to the admin only, are all that was refused.
    assert {entry["object"] for entry in denials(redis_client)} == {"config|get", "slowlog|get"}


def denials(client):
    entries = client.execute_command("ACL", "LOG")
    return [dict(zip(e[::2], e[1::2])) if isinstance(e, list) else e for e in entries]


def as_user(server, cell_users, user):
    secret = (cell_users.folder / f"{user}.password").read_text().strip()
    return redis.Redis(port=server.port, username=user, password=secret, decode_responses=True)


REFUSED_TO_AN_AGENT = [
    "HSET robot:state:hog state {}", "SET nodebeat:lease:hog x", "HSET nodebeat:watch a b",
    "HSET stroke:progress:stroke_hog_1700000000_000001 progress {}",
    # Of a node whose name begins alike.
    "HSET stroke:progress:stroke_ook_2_1700000000_000001 progress {}",
    "XADD stream:node_metrics:hog * a b", "DEL nodebeat:dead", "XTRIM stream:cell_events MAXLEN 0",
    "XADD stream:robot_telemetry:hog * a b", "XADD stream:robot_telemetry * a b",
    "XADD stream:events:hog:cell:a * a b", "PEXPIRE stream:node_events:ook 1",
    "SET node:health:ook x", "SET free 1", "DEL node:health:ook", "DEL stream:node_metrics:ook",
    "XTRIM stream:node_events:ook MAXLEN 0", "DEL nodebeat:nodes",
    "EXPIRE stream:node_metrics:ook 1", "RENAME cell:a cell:b", "LPUSH cell:a x",
    "PUBLISH free {}", "KEYS *", "FLUSHALL", "FLUSHDB",
    "CONFIG GET requirepass", "CONFIG SET maxmemory 1", "ACL LIST", "ACL SETUSER ook on",
    "CLIENT LIST", "CLIENT KILL ID 1", "EVAL return(1) 0", "SCRIPT FLUSH", "SHUTDOWN NOSAVE",
    "REPLICAOF NO ONE", "MONITOR", "SAVE", "BGREWRITEAOF", "MODULE LIST",
]


# Whoever watches the cell has to.
OF_A_WATCHER = [
    "HSET node:health:hog health {}", "PEXPIRE node:health:hog 1", "HDEL node:health:ook health",
    "PUBLISH node:events:hog {}", "SET nodebeat:watch x", "DEL nodebeat:watch", "HSET nodebeat:dead a b",
    "XADD stream:cell_events * a b",
]


def refused(client, command):
    try:
        client.execute_command(*command.split())
    except redis.exceptions.NoPermissionError:
        return True
    return False


def test_what_an_agent_may_not(store, cell_users):
    client = as_user(store, cell_users, "nodebeat-ook")
    assert [c for c in REFUSED_TO_AN_AGENT if not refused(client, c)] == []
    assert [c for c in OF_A_WATCHER if refused(client, c)] == []
    line = next(line for line in (cell_users.folder / "users.acl").read_text().splitlines() if "nodebeat-ook " in line)
    without = line[: line.index(" (-@all +evalsha|", line.index("+evalsha|") + 1)]  # what --no-watch leaves
    rules = re.findall(r"\([^)]*\)|\S+", without)[2:]
    store.client().execute_command("ACL", "SETUSER", "nodebeat-ook", "reset", *rules)
    client = as_user(store, cell_users, "nodebeat-ook")
    assert [c for c in OF_A_WATCHER if not refused(client, c)] == []


def test_a_viewer_sees_sessions_streams_and_the_bus(store, cell_users):
    admin = store.client()
    admin.set("session:a", "{}")
    admin.zadd("nodebeat:sessions", {"a": 1})
    for stream in ("stream:events:ook:cell:a", "nodebeat:sessions:audit"):
        admin.xadd(stream, {"a": "b"})
    viewer = as_user(store, cell_users, "viewer")
    assert viewer.get("session:a") == "{}" and viewer.zrange("nodebeat:sessions", 0, -1) == ["a"]
    for stream in ("stream:events:ook:cell:a", "nodebeat:sessions:audit"):
        assert viewer.xrange(stream) and viewer.xread({stream: "0"}) and viewer.xlen(stream) == 1
    for channel in ("session-updates", "ws:a", "cv:system:broadcast"):
        listener = viewer.pubsub()
        listener.subscribe(channel)
        assert wait_until(lambda: listener.get_message())["type"] == "subscribe"
        listener.close()
    others = ["SET session:a x", "ZADD nodebeat:sessions 1 a", "XADD nodebeat:sessions:audit * a b",
              "EVALSHA 0000000000000000000000000000000000000000 0", "SCRIPT LOAD return(1)",
              "PUBLISH session-updates {}", "PUBLISH cv:system:broadcast {}", "EXPIRE session:a 1",
              "XGROUP CREATE nodebeat:sessions:audit g 0", "XDEL nodebeat:sessions:audit 1-1",
              "FCALL f 0", "ACL LIST", "CLIENT KILL ID 1"]
    assert [c for c in others if not refused(viewer, c)] == []


def test_a_viewer_reads_and_does_nothing_else(store, cell_users):
    store.client().hset("node:health:ook", "health", "{}")
    viewer = as_user(store, cell_users, "viewer")
    assert viewer.hget("node:health:ook", "health") == "{}"
    assert viewer.keys("node:*") == ["node:health:ook"]
    assert viewer.scan(0)[1] == ["node:health:ook"] and viewer.info()["redis_version"]
    listener = viewer.pubsub()
    listener.psubscribe("*")
    assert wait_until(lambda: listener.get_message())["type"] == "psubscribe"
    listener.close()
    writes = ["HSET node:health:ook health x", "SET a 1", "DEL node:health:ook", "CONFIG GET *",
              "PUBLISH robot:events {}", "FLUSHALL", "EVAL return(1) 0", "XTRIM s MAXLEN 0"]
    assert [c for c in writes if not refused(viewer, c)] == []


def test_the_user_of_the_audit_moves_it_and_does_nothing_else(store, cell_users):
    store.client().xadd("nodebeat:sessions:audit", {"op": "x"})
    user = as_user(store, cell_users, "audit")
    key, group = "nodebeat:sessions:audit", "nodebeat-audit"
    assert user.xgroup_create(key, group, "0", mkstream=True)
    ((_, ((entry, _),)),) = user.xreadgroup(group, "me", {key: ">"})
    assert user.xautoclaim(key, group, "other", 0)[1][0][0] == entry
    assert user.xpending_range(key, group, "-", "+", 1, "other")[0]["message_id"] == entry
    assert user.xinfo_stream(key, full=True)["entries-added"] == 1
    assert user.xread({key: "0"}) and user.xack(key, group, entry) == 1
    others = [f"XADD {key} * a b", f"XTRIM {key} MAXLEN 0", f"XDEL {key} 1-1", f"DEL {key}",
              f"XGROUP DESTROY {key} {group}", f"XGROUP DELCONSUMER {key} {group} me", "GET session:a",
              "SET session:a x", "XREAD STREAMS stream:events:ook 0", "XGROUP CREATE other g 0 MKSTREAM",
              "KEYS *", "SCAN 0", "PUBLISH robot:events {}", "SUBSCRIBE robot:events", "EVAL return(1) 0",
              "CONFIG GET *", "INFO", "FLUSHALL"]
    assert [c for c in others if not refused(user, c)] == []


def test_check_as_the_nodes_own_user(store, check):
    findings = check(store.url(), user="nodebeat-ook", code=WARNINGS)
    assert findings["user nodebeat-ook"]["level"] == "ok"
    assert findings["settings"]["level"] == "warning"
    assert {f["check"] for f in findings.values() if f["level"] != "ok"} == {"settings"}
    assert store.client().dbsize() == 0, "nothing of it was carried out"


@pytest.mark.parametrize("user", ["admin", "nodebeat-ook"])
def test_check_names_what_is_missing_and_what_is_too_much(store, check, user):
    store.client().execute_command("ACL", "SETUSER", "nodebeat-ook", "clearselectors", "+keys",
                                   "(%R~* +hget +hgetall +get +type +memory|usage +xrevrange)",
                                   "(+set +del ~cell:*)", "(+subscribe +psubscribe &*)",
                                   "(+xadd ~stream:*)", "(+pexpire ~node:health:ook)")
    done = check(store.url(), "--node", "ook", user=user, code=PROBLEMS)
    finding = done["user nodebeat-ook"]  # the last of three
    assert "stop the server for a while (KEYS)" in finding["text"]
    assert "write another node's events" in finding["text"]
    assert store.client().dbsize() == 0


def test_check_of_a_user_that_it_cannot_look_at(store, check):
    store.client().config_set("maxclients", 2)  # this one, and check's first connection
    said = {f["check"]: f for f in check.all(store.url(), user="nodebeat-ook", code=WARNINGS)}
    assert set(said) == {"settings", "access", "user nodebeat-ook"}
    for name in ("access", "user nodebeat-ook"):
        assert "could not be looked at: ERR max number of clients" in said[name]["text"], said


def answers_until(question, last, good):
    """A server that asks for passwords, whose first client's connection ends at `question`; then
    those of others at `last`."""
    connections = itertools.count()

    def script(connection):
        end = last if next(connections) else question
        logged_in = queues = False
        while True:
            command = connection.read_command()
            if command[:len(end)] == end:
                return
            logged_in = logged_in or command[0] == "AUTH"
            if not logged_in:
                connection.send(b"-NOAUTH Authentication required.\r\n")
            else:
                connection.send(b"+QUEUED\r\n" if queues else good(command))
            queues = queues or command[0] == "MULTI"

    return script


def test_check_when_the_connection_is_lost_on_the_way(fake_redis, check):
    def as_agent(command):
        if command[0] == "INFO":
            return bulk("redis_version:7.2.4\r\nrole:master\r\naof_enabled:1\r\n")
        if command[0] == "TIME":
            return texts(str(int(time.time())), "0")
        return b"-NOPERM no\r\n" if command[0] in ("ACL", "CONFIG") else right(command)

    server = fake_redis(answers_until(["never"], ["HSET"], as_agent))
    said = {f["check"]: f for f in check.all(server.url(), user="nodebeat-ook", code=WARNINGS)}
    assert "could not be looked at: the server closed" in said["user nodebeat-ook"]["text"], said

    def as_admin(command):
        if command[0] == "CONFIG":
            return b"*0\r\n"
        return right(command) if command[0] == "ACL" else as_agent(command)

    server = fake_redis(answers_until(["ACL", "DRYRUN"], ["never"], as_admin))
    said = {f["check"]: f for f in check.all(server.url(), user="admin", code=WARNINGS)}
    assert "could not be looked at: the server closed" in said["user nodebeat-ook"]["text"], said
    assert "it was lost before" in said["connection"]["text"]


def test_check_as_one_who_may_not_ask_about_users(store, check, cell_users):
    admin = store.client()
    for rules in ("admin -acl|dryrun", "viewer +config|get"):
        admin.execute_command("ACL", "SETUSER", *rules.split())
    said = {f["check"]: f for f in check.all(store.url(), code=WARNINGS)}
    for user in ("user nodebeat-hog", "user nodebeat-ook"):
        assert "could not be looked at: NOPERM" in said[user]["text"]
    said = {f["check"]: f for f in check.all(store.url(), user="viewer", code=WARNINGS)}
    assert "could not be looked at: NOPERM" in said["users"]["text"]


def test_check_finds_a_stream_that_has_come_to_its_end(store, check, cell_users, make_agent, steady):
    """It costs that stream, and nothing else; and a node can do it to no other's."""
    highest = "18446744073709551615-18446744073709551615"
    store.client().xadd("stream:robot_telemetry:ook", {"a": "b"}, id=highest)
    login = cell_users.login("ook", store.url())
    client = steady(make_agent(store.url(), settings={**login, "robot.telemetry_interval": "1ms"}))
    client.call("robot.update", joints_l=[1])
    client.call("robot.update", joints_l=[2])
    wait_until(lambda: '"joints_l":[2]' in (store.client().hget("robot:state:ook", "state") or ""))
    assert client.call("agent.stats")["link"]["state"] in ("steady", "degraded")
    assert client.call("state.set", key="cell:a", value=1, ack="stored") == {}
    found = check(store.url(), code=PROBLEMS)["streams"]
    assert found["level"] == "problem" and "stream:robot_telemetry:ook" in found["text"]
    assert highest in found["text"]


def test_check_of_a_user_without_its_groups(store, check):
    store.client().execute_command("ACL", "SETUSER", "nodebeat-ook", "clearselectors",
                                   "(+hset +pexpire ~node:health:ook)", "(+set +del ~cell:*)",
                                   "(+subscribe +psubscribe &*)", "(+xadd ~stream:robot_telemetry:ook)",
                                   "(%R~* +memory|usage)")
    text = next(f["text"] for f in check.all(store.url(), code=PROBLEMS)
                if (f["check"], f["level"]) == ("user nodebeat-ook", "problem"))
    assert text.startswith("may not do what an agent does: HGET node:health:ook (beats), ")
    assert "(the history of beats)" in text and "HSET node:health:ook" not in text
    assert re.search(r", and \d+ more; it says: .*has no permissions", text)


def test_what_is_refused_is_named(store, cell_users, make_agent, steady):
    agent = make_agent(store.url(), settings=cell_users.login("ook", store.url()))
    client = steady(agent)
    for method, params, what in (
        ("state.set", {"key": "recipe", "value": 1}, "recipe"),
        ("event.publish", {"channel": "news", "event": {"a": 1}}, "news"),
        # Said once for each command.
        ("event.publish", {"channel": "plain", "event": {"a": 1}, "record": False}, "news"),
    ):
        with pytest.raises(Refused) as caught:
            client.call(method, **params, ack="stored")
        assert caught.value.code == -32009 and "NOPERM" in str(caught.value)
        agent.wait_for_log(f"redis refuses {what}: NOPERM")
    client.call("event.subscribe", channels=["anything"])  # listening is free
    wait_until(lambda: client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    assert not agent.logged("does not let")


def test_check_of_a_careless_server(make_redis, check):
    server = make_redis(bind="0.0.0.0", protected_mode="no", maxmemory="64mb",
                        maxmemory_policy="allkeys-lru", appendonly="no")
    findings = check(server.url(), user=None, code=PROBLEMS)
    levels = {name: f["level"] for name, f in findings.items()}
    assert levels["access"] == "problem" and "anyone who reaches it" in findings["access"]["text"]
    assert levels["redis eviction"] == "problem"
    for name in ("addresses", "protected mode", "redis persistence", "users"):
        assert levels[name] == "warning", name
        assert findings[name]["advice"], name


def test_check_of_an_open_server_that_is_kept_inside(make_redis, check):
    findings = check(make_redis().unix_url(), user=None, code=WARNINGS)
    assert "every program on the server's computer" in findings["access"]["text"]
    assert "no maxmemory" in findings["redis memory"]["text"]


def test_check_of_a_user_that_is_not_there(make_redis, check):
    findings = check(make_redis().url(), "--node", "eek", user=None, code=PROBLEMS)
    assert findings["user nodebeat-eek"]["text"] == "there is no such user"


def test_check_says_why_it_could_not_ask(make_redis, fake_redis, check, tmp_path):
    server = make_redis(requirepass="x")
    assert re.search("NOAUTH.*--password-file", check(server.url(), user=None, code=REFUSED))
    assert "WRONGPASS" in check(server.url(), user="viewer", code=REFUSED)
    server.kill()
    assert "refused" in check(server.url(), user=None, code=AWAY)
    assert "no such file" in check(server.url(), "--password-file", tmp_path / "gone", user=None,
                                   code=USAGE).lower()
    for url, words in (("http://h", "the scheme is neither"), ("redis://h:0", "port"),
                       ("redis://u:secret%@h", "hexadecimal"), ("unix://r", "absolute"),
                       ("redis://u@h", "needs a password"), ("redis://h/x", "database")):
        said = check(url, user=None, code=USAGE)
        assert words in said and "secret" not in said


def test_check_of_what_is_no_redis(closing, check):
    target = closing(HttpTarget())
    port = target.url().split(":")[2].split("/")[0]
    assert "does not speak Redis' protocol" in check(f"redis://127.0.0.1:{port}", user=None, code=AWAY)


def test_check_when_there_are_too_many_clients(make_redis, check):
    server = make_redis(maxclients="1")
    server.client().ping()
    assert "max number of clients" in check(server.url(), user=None, code=REFUSED)


def test_check_of_a_server_that_does_not_answer(make_redis, check):
    server = make_redis()
    server.pause()
    assert "no answer in time" in check(server.url(), "--timeout", "200ms", user=None, code=TIMEOUT)
    server.resume()
