"""nodebeatctl, as a person and as a script meet it."""

import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from support.ctl import AWAY, FOUND, OK, REFUSED, REFUSED_BY_REDIS, TIMEOUT, USAGE
from support.ctl_fixtures import CTL, ctl, ctl_env, fake, follow, socket_path  # noqa: F401
from support.fake_agent import HEALTH, NODE, STATS, STATUS, Refusal
from support.other_user import NOBODY, open_to_others

COMMANDS = (
    "status nodes forget top doctor watch get set delete list session bus publish push stroke call redis completion"
).split()


# --- the command line itself ---------------------------------------------------------------------


def test_version_and_help(ctl):
    assert re.fullmatch(r"nodebeatctl \d+\.\d+\.\d+\n", ctl("--version").stdout)
    # What was to be carried out is not, and that must not look like success.
    for command in (["session", "set", "a", "{}", "--version", "7"], ["set", "a", "1", "--version"], ["--version", "get", "a"]):
        done = ctl(*command)
        assert (done.returncode, done.stdout) == (USAGE, "") and "--version-is" in done.stderr, command
    done = ctl("--help")
    assert done.returncode == OK and "Exit codes" in done.stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE)
        own = ctl(command, "--help")
        assert own.returncode == OK and "Usage: nodebeatctl " + command in own.stdout


def all_commands(ctl, *path):
    """Each command with those below it, as the help names them."""
    yield path
    below = ctl(*path, "--help").stdout.partition("Subcommands:\n")[2].partition("\n\n")[0]
    for name in re.findall(r"^  (\S+)", below, re.MULTILINE):
        yield from all_commands(ctl, *path, name)


@pytest.mark.time_limit(180)  # some fifty calls
def test_help_fits_a_terminal_and_names_nothing_that_is_hidden(ctl):
    commands = list(all_commands(ctl))
    assert ("session", "set") in commands and ("redis", "check") in commands
    for command in commands:
        text = ctl(*command, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80, text
        assert "\n\n\n" not in text and "Excludes" not in text and not re.search(r"\(\d+x\)", text), text
    assert "Usage: nodebeatctl watch [OPTIONS] PATTERN...\n" in ctl("watch", "--help").stdout
    assert "Usage: nodebeatctl redis setup [OPTIONS] [NODE...]\n" in ctl("redis", "setup", "--help").stdout


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["fly"],
        ["get"],
        ["set", "key"],
        ["set", "key", "{"],
        ["set", "key", "1", "--ttl", "soon"],
        ["publish", "channel", "{1}"],
        ["status", "--nonsense"],
        ["stroke"],
        ["stroke", "update"],
        ["stroke", "start"],
        ["stroke", "update", "--paused", "--resumed"],
        ["status", "--timeout", "long"],
        ["watch"],
        ["watch", "a", "--count", "-3"],
        ["watch", "a", "--count", "0"],
        ["nodes", "--redis", ""],
        ["nodes", "--redis", "redis://h", "--password-file", ""],
        ["redis", "check", "--password-file", ""],
        ["redis", "setup", "--dir", "", "hog"],
        ["nodes", "--socket", ""],
        ["doctor", "--config", ""],
        ["completion", "tcsh"],
        ["top", "--json"],
    ],
)
def test_wrong_usage_is_said_and_nothing_is_asked(ctl, fake, args):
    done = ctl(*args)
    assert done.returncode == USAGE, done
    assert done.stdout == "" and done.stderr.startswith("nodebeatctl: ")
    assert fake.calls == []


@pytest.mark.parametrize("args, wrong, right", [
    (["sttus"], "sttus", "status"), (["--json", "sttus", "-v"], "sttus", "nodes"),
    (["stroke", "begin"], "begin", "start"), (["redis", "chek"], "chek", "check"),
])
def test_a_command_that_is_none_is_named_and_so_are_those_there_are(ctl, fake, args, wrong, right):
    done = ctl(*args)
    assert done.returncode == USAGE
    assert f"there is no command '{wrong}'" in done.stderr and f" {right}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("args, env, name", [
    (["nodes", "--redis", "localhost"], {}, "--redis"),
    (["nodes", "--redis", "redis://viewer:secret@h"], {}, "--redis"),
    (["nodes", "--redis", "redis://h", "--password-file", "/no/such"], {}, "--password-file"),
    (["nodes", "--redis", "redis://h", "--password-file", "/dev/null"], {}, "--password-file"),
    (["nodes", "--redis", "redis://h"], {"NODEBEAT_REDIS_PASSWORD_FILE": "/no/such"}, "NODEBEAT_REDIS_PASSWORD_FILE"),
    (["nodes", "--redis", "redis://h", "--prefix", "??"], {}, "--prefix"),
    (["nodes", "--socket", ""], {}, "--socket"),
    (["nodes", "--timeout", "long"], {}, "--timeout"),
    (["set", "key", "1", "--ttl", "soon"], {}, "--ttl"),
    (["session", "set", "a", "{}", "--ttl", "soon"], {}, "--ttl"),
    (["bus", "stop", "--max-age", "soon"], {}, "--max-age"),
    (["mcp-config", "--url", "here"], {}, "--url"),
    (["redis", "check", "localhost"], {}, "URL"),
    (["redis", "check"], {"NODEBEAT_REDIS_URL": "localhost"}, "NODEBEAT_REDIS_URL"),
    (["redis", "check"], {"NODEBEAT_REDIS": "localhost"}, "NODEBEAT_REDIS"),
    (["redis", "check", "redis://h", "--node", "??"], {}, "--node"),
    (["redis", "setup", "--dir", "/no/such", "hog", "--port", "99999"], {}, "--port"),
    (["redis", "setup", "--dir", "/no/such", "hog", "--bind", "there"], {}, "--bind"),
    (["redis", "setup", "--dir", "/no/such", "hog", "--maxmemory", "much"], {}, "--maxmemory"),
    (["redis", "setup", "--dir", "/no/such", "hog", "--keys", ""], {}, "--keys"),
])
def test_a_wrong_value_is_said_with_the_name_of_who_gave_it(ctl, fake, args, env, name):
    """The option, the operand or the variable, wherever the value is read."""
    done = ctl(*args, **env)
    assert done.returncode == USAGE
    assert re.match(rf"nodebeatctl: {re.escape(name)}\b", done.stderr), done.stderr
    assert "secret" not in done.stderr


def test_a_value_that_is_no_json_gets_a_hint(ctl, fake):
    done = ctl("set", "mode", "fast")
    assert done.returncode == USAGE
    assert "--text" in done.stderr and "'\"fast\"'" in done.stderr


def test_options_may_stand_before_and_after_the_command(ctl, fake, socket_path):
    for args in (
        ["--socket", socket_path, "--json", "nodes"],
        ["nodes", "--json", "--socket", socket_path],
    ):
        done = ctl(*args, NODEBEAT_SOCKET="/nowhere")
        assert done.returncode == OK and json.loads(done.stdout) == STATUS


def test_keys_named_like_commands(ctl, fake):
    fake.answers["state.set"] = {}
    assert ctl("set", "status", "1", "--no-wait").returncode == OK
    assert ctl("get", "stroke").returncode == FOUND
    assert fake.calls == [("state.set", {"key": "status", "value": 1}),
                          ("state.get", {"key": "stroke"})]


# --- no agent ------------------------------------------------------------------------------------


def test_no_socket(ctl, socket_path):
    done = ctl("status")
    assert done.returncode == AWAY and done.stdout == ""
    assert done.stderr == (
        f"nodebeatctl: no agent listens at {socket_path}: is nodebeat running? "
        "systemctl status nodebeat\n"
    )


def test_a_dead_socket(ctl, socket_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    done = ctl("nodes")
    assert done.returncode == AWAY and "no process listens" in done.stderr


def test_something_else_lies_there(ctl, socket_path):
    socket_path.write_text("not a socket")
    done = ctl("nodes")
    assert done.returncode == AWAY and "is not a socket" in done.stderr
    assert socket_path.read_text() == "not a socket"


def test_a_path_that_is_too_long(ctl):
    done = ctl("status", "--socket", "/tmp/" + "x" * 110)
    assert done.returncode == AWAY and "107" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_not_in_the_group(fake, socket_path, tmp_path, ctl_env):
    os.chmod(socket_path, 0o660)
    open_to_others(tmp_path)
    program = tmp_path / "nodebeatctl"  # the build folder may be closed to others
    shutil.copy(CTL, program)
    library = subprocess.run(["ldd", CTL], capture_output=True, text=True).stdout
    libraries = re.search(r"libnodebeat\.so\S* => (\S+)", library)
    if libraries:
        shutil.copy(libraries[1], tmp_path / "libnodebeat.so.0")
    done = subprocess.run(
        ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", program, "status"],
        env=ctl_env(LD_LIBRARY_PATH=tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == AWAY, done
    assert "you are not in the group root" in done.stderr and "usermod" in done.stderr


def test_an_agent_that_is_full_says_so(ctl, fake):
    fake.greeting = json.dumps(
        Refusal(-32006, "busy", "64 clients are connected, and more are not served").error
    ).encode()
    fake.greeting = b'{"jsonrpc":"2.0","id":null,"error":%s}' % fake.greeting
    done = ctl("status", "--timeout", "1s")
    assert done.returncode == REFUSED and done.stdout == ""
    assert done.stderr == "nodebeatctl: 64 clients are connected, and more are not served\n"


def test_an_agent_that_does_not_answer(ctl, fake):
    fake.answers["agent.stats"] = None
    done = ctl("status", "--timeout", "100ms")
    assert done.returncode == TIMEOUT
    assert "not answered within 100 ms" in done.stderr


def test_an_agent_that_hangs_up_instead(ctl, fake):
    fake.answers["agent.stats"] = lambda params: fake.hang_up()
    done = ctl("status", "--timeout", "2s")
    assert done.returncode == AWAY and len(done.stderr.splitlines()) == 1


# --- looking -------------------------------------------------------------------------------------


def test_status(ctl, fake):
    done = ctl("status")
    assert done.returncode == OK and done.stderr == ""
    assert "link     connected to Redis at 127.0.0.1:6379, 210 us" in done.stdout
    assert "vision-mcp (mcp) up: 2025-11-25, 12 tools" in done.stdout
    assert "robot, pid 812, 12000 calls" in done.stdout
    assert "\033" not in done.stdout
    parsed = json.loads(ctl("status", "--json").stdout)
    assert parsed == {"stats": STATS, "health": fake.answers["health.get"]}


def test_status_tells_what_is_wrong_with_the_link(ctl, fake):
    fake.answers["agent.stats"] = {
        **STATS, "link": {**STATS["link"], "state": "waiting", "cause": "wrong-password",
                          "trouble": "the server does not accept the user or password"}
    }
    assert (
        "not connected to Redis at 127.0.0.1:6379: the server does not accept the user or password;"
        " waits for the next try" in ctl("status").stdout
    )


def test_an_agent_of_another_version_may_say_less(ctl, fake):
    fake.answers.update({"agent.stats": {}, "health.get": {}, "system.status": {}})
    for command in ("status", "nodes"):
        assert ctl(command).returncode == OK


def test_nodes(ctl, fake):
    lines = ctl("nodes").stdout.splitlines()
    assert lines[0].split() == "NODE STATE LAST BEAT CPU MEMORY DISK TEMP MCP PROBES".split()
    assert re.match(r"eek +down since 13:00:00 +1 h 3 min ago ", lines[1])
    assert re.match(rf"{NODE}\* +up +1 s ago .* 12 % .* 41 % .*up :9000 +1 up$", lines[2])
    assert re.match(r"ook +up +2 s ago .* 93 % .*down +camera down$", lines[3])
    assert "2 of 3 nodes are up" in lines[5]
    heads = [lines[0].index(word) for word in ("MCP", "PROBES")]
    assert lines[2][heads[0]:].startswith("up") and lines[2][heads[1]:] == "1 up"


def test_nodes_are_shown_as_the_agent_judges_them(ctl, fake):
    """Whatever their healths say."""
    nodes = {
        "hog": {"state": "up", "since": None, "age_ms": 300, "source": "own"},
        "ook": {"state": "suspect", "since": "2026-11-20T14:03:08.000000", "age_ms": 2100, "source": "lease",
                "cause": "lease not renewed for 2.1 s"},
        "eek": {"state": "down", "since": "2026-11-20T14:02:00.000000", "age_ms": None, "source": "lease",
                "cause": "lease not renewed for 3.1 s (seen by hog)"},
        "ant": {"state": "unknown", "since": "2026-11-20T14:01:00.000000", "age_ms": 1, "source": "lease",
                "cause": "Redis cannot be read"},
        "bee": {"state": "unknown", "since": None, "age_ms": None, "source": "health", "cause": "not seen yet"},
    }
    fake.answers["system.status"] = {
        **STATUS, "nodes": nodes,
        "nodes_health": {**STATUS["nodes_health"], "ant": None, "bee": None},
        "nodes_last_seen": {**STATUS["nodes_last_seen"], "ant": "2026-11-20T14:01:00.000000", "bee": None}}
    lines = {line.split()[0].rstrip("*"): line for line in ctl("nodes").stdout.splitlines() if line}
    assert re.match(r"hog\*? +up ", lines["hog"])
    assert re.match(r"ook +suspect since 14:03:08 \(lease not renewed for 2.1 s\)", lines["ook"])
    assert re.match(r"eek +down since 14:02:00 \(lease not renewed for 3.1 s \(seen by hog\)\)", lines["eek"])
    assert re.match(r"ant +unknown since 14:01:00 \(Redis cannot be read\)", lines["ant"])
    assert re.match(r"bee +not seen yet", lines["bee"])
    assert "2 of 5 nodes are up" in ctl("nodes").stdout
    assert json.loads(ctl("nodes", "--json").stdout)["nodes"] == nodes


def test_nodes_without_utf8_are_ascii(ctl, fake):
    text = ctl("nodes", LC_ALL="C").stdout
    assert text.isascii() and "####------" in text


def test_what_a_node_says_cannot_steer_the_terminal(ctl, fake):
    evil = "x\033[2J\u009b31m"
    fake.answers["system.status"] = {"nodes_health": {evil: {**HEALTH, "reason": "a\nb"}}}
    text = ctl("nodes").stdout
    assert "\033" not in text and "\u009b" not in text and "x?[2J?31m" in text


EVIL = "x\033[2J\u009b31m\x7f\u202e\u2066\u200f\u061c\u2028"
ESCAPED = "x\\u001b[2J\\u009b31m\\u007f\\u202e\\u2066\\u200f\\u061c\\u2028"


def test_json_cannot_steer_the_terminal_and_says_the_same(ctl, fake, follow):
    raw = json.dumps({"key": "k", "value": EVIL, "source": "redis"}, ensure_ascii=False).encode()
    raw = raw.replace(b"\\u007f", b"\x7f")  # as others write it
    fake.answers["state.get"] = raw
    status = {"nodes_health": {EVIL: {**HEALTH, "reason": EVIL}}}
    fake.answers["system.status"] = json.dumps(status, ensure_ascii=False).encode()
    fake.answers["m"] = json.dumps([EVIL], ensure_ascii=False).encode()
    fake.answers["state.list"] = {"keys": [EVIL], "cursor": None}
    for args, said in [
        (["get", "k"], EVIL),
        (["get", "k", "--json"], json.loads(raw)),
        (["nodes", "--json"], status),
        (["call", "m"], [EVIL]),
        (["list", "--json"], {"keys": [EVIL]}),
    ]:
        text = ctl(*args).stdout
        assert ESCAPED in text and json.loads(text) == said, args
    watching = follow("watch", "--json", "--count", "1", "*")
    fake.wait_subscribed("*")
    fake.publish("c" + EVIL, {"a": EVIL})
    line = watching.wait_for("channel")
    assert ESCAPED in line and json.loads(line)["event"] == {"a": EVIL}


def test_words_of_the_agent_cannot_steer_the_terminal(ctl, fake):
    fake.answers["state.set"] = Refusal(-32009, "refused_by_redis", EVIL + "y" * 100_000)
    done = ctl("set", "k", "1")
    assert done.returncode == REFUSED_BY_REDIS, "a long error is an error like others"
    assert "\033" not in done.stderr and "\u009b" not in done.stderr and "\u202e" not in done.stderr
    assert "x?[2J" in done.stderr and len(done.stderr) < 1000


def test_nodes_of_a_large_cell_come_in_pages(ctl, fake):
    names = [f"node-{i:03}" for i in range(300)]

    def page(params):
        assert set(params) <= {"cursor", "limit"}
        begin = int(params.get("cursor", 0))
        end = begin + 70
        return {**STATUS, "total_nodes": 300, "nodes_online": 300,
                "nodes_health": {n: {**HEALTH, "node_id": n} for n in names[begin:end]},
                "nodes_last_seen": {n: None for n in names[begin:end]},
                "cursor": str(end) if end < 300 else None}

    fake.answers["system.status"] = page
    lines = ctl("nodes").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:301]] == names
    assert "300 of 300 nodes are up; * is this one; times are UTC" in lines
    status = json.loads(ctl("nodes", "--json").stdout)
    assert list(status["nodes_health"]) == names == list(status["nodes_last_seen"])
    assert status["total_nodes"] == 300 and "cursor" not in status
    assert all(name in ctl("top", "--once").stdout for name in (names[0], names[299]))


def test_a_list_of_nodes_without_an_end_is_an_error(ctl, fake):
    fake.answers["system.status"] = {"nodes_health": {}, "cursor": "again"}
    done = ctl("nodes")
    assert done.returncode == REFUSED and "has no end" in done.stderr


def test_forget(ctl, fake):
    fake.answers["node.forget"] = {}
    done = ctl("forget", "eek")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "", "")
    assert fake.calls == [("node.forget", {"node": "eek"})]
    fake.answers["node.forget"] = Refusal(-32001, "not_found", "there is no such node")
    assert ctl("forget", "eek").returncode == FOUND
    fake.answers["node.forget"] = Refusal(-32002, "conflict", "node 'hog' is alive")
    done = ctl("forget", "hog")
    assert done.returncode == REFUSED and "is alive" in done.stderr


# --- state ---------------------------------------------------------------------------------------

DIGITS = '{"a":1.10000000000000000000000012e2,"b":[9007199254740993,-0],"c":"\\u00e4"}'


def test_get_passes_every_digit_on(ctl, fake):
    fake.answers["state.get"] = b'{"key":"k","value":%s,"source":"redis"}' % DIGITS.encode()
    assert ctl("get", "k").stdout == DIGITS + "\n"
    assert ctl("get", "k", "--json").stdout == (
        '{"key":"k","value":' + DIGITS + ',"source":"redis"}\n'
    )


def test_get_raw(ctl, fake):
    fake.answers["state.get"] = {"key": "k", "value": "two\nlines", "source": "redis"}
    assert ctl("get", "k").stdout == '"two\\nlines"\n'
    assert ctl("get", "--raw", "k").stdout == "two\nlines\n"


def test_get_of_no_key(ctl, fake):
    done = ctl("get", "recipe:none")
    assert done.returncode == FOUND and done.stdout == ""
    assert done.stderr == "nodebeatctl: there is no key 'recipe:none'\n"


def test_set_passes_every_digit_on(ctl, fake):
    fake.answers["state.set"] = {}
    assert ctl("set", "k", DIGITS.replace(",", " ,\n ")).returncode == OK
    assert any(DIGITS.encode() in line for line in fake.lines), fake.lines
    assert ctl("set", "k", "-", stdin=DIGITS + "\n").returncode == OK
    assert ctl("set", "k", "-5", "--no-wait").returncode == OK
    assert fake.calls[-1] == ("state.set", {"key": "k", "value": -5})


def test_a_value_that_is_too_long_for_a_line_is_told_so(ctl, fake):
    fake.answers["state.set"] = {}
    for size in (65536, 70_000, 1_000_000):
        done = ctl("set", "k", "-", stdin=json.dumps("x" * size))
        assert done.returncode == REFUSED and "at most 65536 bytes" in done.stderr, done.stderr
        assert "answer" not in done.stderr
    assert ctl("publish", "a", json.dumps({"a": "x" * 66_000})).returncode == REFUSED
    assert not [method for method, _ in fake.calls if method == "state.set"]
    done = ctl("watch", "c" * 257)
    assert done.returncode == USAGE and "at most 256 bytes" in done.stderr


def test_set_options(ctl, fake):
    fake.answers["state.set"] = {}
    done = ctl("set", "k", "so\n\"so\"", "--text", "--ttl", "10s", "--timeout", "4s")
    assert done.returncode == OK and done.stdout == ""
    assert fake.calls == [
        ("state.set", {"key": "k", "value": 'so\n"so"', "ttl_ms": 10000, "ack": "stored",
                       "timeout_ms": 4000})
    ]
    assert ctl("set", "k", "1", "--json").stdout == "{}\n"


WAITS = {"ack": "stored", "timeout_ms": 3000}


@pytest.mark.parametrize("command, method, params", [
    (["set", "k", "1"], "state.set", {"key": "k", "value": 1}),
    (["delete", "k"], "state.delete", {"key": "k"}),
    (["publish", "air", "{}"], "event.publish", {"channel": "air", "event": {}}),
    (["bus", "send", "x", "{}", "--channel", "cv:x"], "bus.publish",
     {"type": "x", "data": {}, "channel": "cv:x"}),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_a_person_writes_waits_until_it_is_stored(ctl, fake, command, method, params):
    fake.answers[method] = {}
    assert ctl(*command).returncode == OK
    assert ctl(*command, "--stored").returncode == OK  # as scripts say it
    assert ctl(*command, "--no-wait").returncode == OK
    assert fake.calls == [(method, {**params, **WAITS})] * 2 + [(method, params)]
    assert ctl(*command, "--no-wait", "--stored").returncode == USAGE
    assert "--stored" not in ctl(*command[:1 + (command[0] == "bus")], "--help").stdout
    fake.answers[method] = Refusal(-32009, "refused_by_redis", "NOPERM")
    assert ctl(*command).returncode == REFUSED_BY_REDIS


@pytest.mark.parametrize(
    "refusal, code",
    [
        (Refusal(-32003, "refused_key", "robot: belongs to others; use robot.update"), REFUSED),
        (Refusal(-32602, "invalid_params", "ttl_ms has to be at least 1"), REFUSED),
        (Refusal(-32008, "unavailable", "Redis is not there"), REFUSED),
        (Refusal(-32005, "not_stored", "not confirmed within 3000 ms"), TIMEOUT),
        (Refusal(-32001, "not_found", "no session runs"), FOUND),
        (Refusal(-32009, "refused_by_redis", "Redis said no: NOPERM"), REFUSED_BY_REDIS),
    ],
)
def test_what_the_agent_refuses(ctl, fake, refusal, code):
    fake.answers["state.set"] = refusal
    done = ctl("set", "k", "1")
    assert done.returncode == code
    assert refusal.error["message"] in done.stderr
    assert ("redis setup gives them: --keys" in done.stderr) == ("NOPERM" in done.stderr), "and what can be done"


def test_a_part_that_redis_refused_is_said(ctl, fake):
    fake.answers["stroke.update"] = {"refused": ["entry", "message"], "redis": "NOPERM no\u009b"}
    done = ctl("stroke", "update", "--pose", "1", "--stored")
    assert done.returncode == REFUSED_BY_REDIS and done.stderr == (
        "nodebeatctl: stored, but Redis refused the entry in the stream and the message: "
        "NOPERM no?\n")
    done = ctl("push", "--stored", stdin='{"method":"stroke.update","params":{"pose_idx":1}}\n')
    assert done.returncode == REFUSED_BY_REDIS and "line 1: stored, but" in done.stderr


def test_delete(ctl, fake):
    fake.answers["state.delete"] = {}
    assert ctl("delete", "k").returncode == OK
    assert fake.calls == [("state.delete", {"key": "k", "ack": "stored", "timeout_ms": 3000})]


def test_list_walks_all_pages_and_sorts(ctl, fake):
    pages = {None: (["b", "a"], "7"), "7": ([], "9"), "9": (["c", "a"], None)}
    fake.answers["state.list"] = lambda params: dict(
        zip(("keys", "cursor"), pages[params.get("cursor")])
    )
    assert ctl("list", "x:").stdout == "a\nb\nc\n"
    assert all(params["prefix"] == "x:" for params in fake.called("state.list"))
    assert json.loads(ctl("list", "--json").stdout) == {"keys": ["a", "b", "c"]}


def test_list_of_the_longest_keys(ctl, fake):
    keys = sorted(f"{i:03}" + '"' * 509 for i in range(500))
    fake.answers["state.list"] = {"keys": keys, "cursor": None}  # half a megabyte in one line
    assert json.loads(ctl("list", "--json").stdout) == {"keys": keys}


# --- telling -------------------------------------------------------------------------------------


def test_publish(ctl, fake):
    fake.answers["event.publish"] = {}
    event = '{"type":"pressure","bar":6.10}'
    assert ctl("publish", "air", event, "--max-age", "2s", "--no-record", "--no-wait").returncode == OK
    assert fake.calls == [
        ("event.publish", {"channel": "air", "event": {"type": "pressure", "bar": 6.1},
                           "max_age_ms": 2000, "record": False})
    ]
    assert event.encode() in fake.lines[-2] + fake.lines[-1]
    fake.answers["event.publish"] = {"subscribers": 1}
    assert ctl("publish", "air", event).stdout == "1 subscriber in Redis\n"
    fake.answers["event.publish"] = {"subscribers": None}
    assert "too late" in ctl("publish", "air", event).stdout


def test_call(ctl, fake):
    fake.answers["error.report"] = b'{"n":1.10}'
    done = ctl("call", "error.report", '{"category": "gripper", "message": "no air"}')
    assert done.stdout == '{"n":1.10}\n'
    assert fake.calls == [("error.report", {"category": "gripper", "message": "no air"})]
    done = ctl("call", "no.such")
    assert done.returncode == REFUSED and "no method no.such" in done.stderr


def test_stroke(ctl, fake):
    fake.answers.update(
        {"stroke.start": {"session_id": "stroke_hog_1_2"}, "stroke.update": {}, "stroke.end": {}}
    )
    assert ctl("stroke", "start", "--total", "40", "--scene", "table").stdout == "stroke_hog_1_2\n"
    done = ctl("stroke", "update", "--stroke", "3", "--pose", "1", "--left", "wipe", "--paused",
               "--session", "stroke_hog_1_2")
    assert done.returncode == OK and done.stdout == ""
    assert ctl("stroke", "end", "--stored", "--json").stdout == "{}\n"
    assert fake.calls == [
        ("stroke.start", {"total_strokes": 40, "scene_name": "table"}),
        ("stroke.update", {"session_id": "stroke_hog_1_2", "stroke_idx": 3, "pose_idx": 1,
                           "stroke_description_l": "wipe", "is_paused": True}),
        ("stroke.end", {"ack": "stored", "timeout_ms": 3000}),
    ]


def test_push(ctl, fake):
    def update(params):
        if "joints_l" in params and "x" in params["joints_l"]:
            raise Refusal(-32602, "invalid_params", "joints_l[1] has to be a number or null")
        return {}

    fake.answers.update({"robot.update": update, "error.report": {}})
    lines = [
        '{"method":"robot.update","params":{"joints_l":[0.10,null]}}',
        "",
        '{"method":"robot.update","params":{"joints_l":[1,"x"]}}',
        "not json",
        '{"params":{}}',
        '{"method":"error.report","params":{"category":"a","message":"b"}}',
    ]
    done = ctl("push", stdin="\n".join(lines))  # the last line without its end
    assert done.returncode == REFUSED
    errors = done.stderr.splitlines()
    assert errors[0] == "nodebeatctl: line 3: joints_l[1] has to be a number or null"
    assert errors[1].startswith("nodebeatctl: line 4: not JSON: ")
    assert errors[2].startswith("nodebeatctl: line 5: no \"method\"")
    assert errors[3] == "nodebeatctl: 2 of 5 lines were taken, 3 refused"
    assert any(b"[0.10,null]" in line for line in fake.lines)
    assert len(fake.called("error.report")) == 1


def test_push_of_robot_states(ctl, fake):
    fake.answers["robot.update"] = {}
    stdin = "".join('{"joints_l":[%d]}\n' % i for i in range(500))
    done = ctl("push", "--robot", "--json", stdin=stdin)
    assert done.returncode == OK and json.loads(done.stdout) == {"taken": 500, "refused": 0}
    assert [p["joints_l"][0] for p in fake.called("robot.update")] == list(range(500))
    done = ctl("push", "--robot", "--stored", stdin='{"current_pose":"ready"}\n{}\n')
    assert done.returncode == OK
    assert fake.calls[-2:] == [
        ("robot.update", {"current_pose": "ready", "ack": "stored", "timeout_ms": 3000}),
        ("robot.update", {"ack": "stored", "timeout_ms": 3000}),
    ]


def test_push_says_where_the_agent_went_away(ctl, fake):
    fake.answers["robot.update"] = lambda params: {} if params["joints_l"] == [0] else fake.stop()
    stdin = "".join('{"joints_l":[%d]}\n' % i for i in range(5))
    done = ctl("push", "--robot", stdin=stdin)
    assert done.returncode == AWAY
    assert done.stderr.startswith("nodebeatctl: line 2: ")


# --- watch ---------------------------------------------------------------------------------------


def test_watch(fake, follow):
    watching = follow("watch", "robot:events", "error:events:*")
    fake.wait_subscribed("robot:events")
    fake.wait_subscribed("error:events:*")
    event = {"type": "state_update", "node_id": "ook", "timestamp": "2026-11-20T14:03:07.123456",
             "current_pose": "ready"}
    assert fake.publish("robot:events", event) == 1
    error = {"type": "error", "message": "no air"}
    assert fake.publish("error:events:air", error, remote=True) == 1
    assert fake.publish("other", {"type": "x"}) == 0
    fake.notify("event.gap", {"from": "2026-11-20T14:00:00.0", "to": "2026-11-20T14:01:00.0"})
    assert watching.wait_for("robot:events") == (
        "14:03:07.123  robot:events            state_update ook current_pose=ready"
    )
    assert watching.wait_for("error:events:air").endswith(
        'error:events:air        remote  error message="no air"'
    )
    assert "from 14:00:00.000 to 14:01:00.000" in watching.wait_for("may have been missed")
    fake.notify("event.gap", {"lost": 17})
    assert "-- 17 messages were lost" in watching.wait_for("lost")
    fake.notify("event", {"channel": "robot:events", "omitted_bytes": 70000})
    assert "70000 bytes, too long to be shown" in watching.wait_for("70000")


def test_watch_says_when_the_agent_goes_and_comes_back(fake, follow):
    watching = follow("watch", "--json", "*")
    fake.wait_subscribed("*")
    fake.stop()
    assert json.loads(watching.wait_for("notice")) == {"notice": "agent_away"}
    fake.start()
    watching.wait_for("agent_back")
    fake.wait_subscribed("*")
    fake.publish("a", {"n": 1}, remote=True)
    told = json.loads(watching.wait_for("channel"))
    assert told.pop("time") and told == {"channel": "a", "remote": True, "event": {"n": 1}}


def test_watch_in_words_when_the_agent_goes(fake, follow):
    watching = follow("watch", "*")
    fake.wait_subscribed("*")
    fake.stop()
    assert watching.wait_for("--").endswith("the agent has gone away; waiting for it to come back")
    fake.start()
    assert watching.wait_for("is back")


def test_watch_count(fake, follow):
    watching = follow("watch", "--count", "2", "*")
    fake.wait_subscribed("*")
    for n in range(3):
        fake.publish("a", {"n": n})
    assert watching.process.wait(10) == OK
    watching.thread.join(5)
    assert [line.split()[-1] for line in watching.lines] == ["n=0", "n=1"]
