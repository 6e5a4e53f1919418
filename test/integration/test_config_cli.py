"""The command line and the configuration, as a person meets them."""

import os
import re
import subprocess

import pytest

from support.agent import ROOT, environment, toml
from support.waiting import wait_until

USAGE, CONFIG = 64, 78  # sysexits.h


@pytest.fixture
def config(tmp_path):
    """config(text): the path of a file with it."""

    def write(text):
        path = tmp_path / "cell.toml"
        path.write_text(text)
        return path

    return write


# --- flags --------------------------------------------------------------------------------------


def test_version(run_cli):
    done = run_cli("--version")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"nodebeatd \d+\.\d+\.\d+\n", done.stdout)


def test_help_names_every_flag(run_cli):
    done = run_cli("--help")
    assert done.returncode == 0 and done.stderr == ""
    for flag in ("--config", "--node", "--redis", "--socket", "--check-config", "--print-config",
                 "--version", "--help"):
        assert flag in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("args", [["--nodes"], ["-x"], ["--node"], ["hog"], ["--config"]])
def test_wrong_usage(run_cli, args):
    done = run_cli(*args)
    assert done.returncode == USAGE
    assert "--help" in done.stderr and done.stdout == ""


def test_nothing_is_said_twice(run_cli):
    done = run_cli("--node", "a b")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["a:b", "a b", "a\n", "a\tb", "", "*", "ä", "a/b", "x" * 65, "-x"])
def test_a_bad_node_name_is_refused_at_start(run_cli, name):
    done = run_cli("--node", name)
    assert done.returncode == CONFIG
    assert "allowed are" in done.stderr and "--node" in done.stderr
    # What was refused must not forge lines or colours in a log either.
    assert all(c.isprintable() for c in done.stderr.replace("\n", ""))


@pytest.mark.parametrize("name", ["hog", "a", "node-1.cell_2", "7", "x" * 64])
def test_good_node_names(run_cli, name):
    assert run_cli("--node", name, "--check-config").returncode == 0


# --- --check-config -----------------------------------------------------------------------------


def test_the_shipped_files_are_right(run_cli):
    files = [ROOT / "config" / "nodebeat.toml", *sorted((ROOT / "config" / "examples").glob("*.toml"))]
    assert len(files) >= 5
    for file in files:
        done = run_cli("--config", file, "--node", "hog", "--check-config")
        assert (done.returncode, done.stderr) == (0, ""), file


def test_the_reference_has_the_defaults(run_cli, config):
    """Every line that is commented out, put in force, changes nothing but where values come from."""
    text = (ROOT / "config" / "nodebeat.toml").read_text()
    text = text[: text.index("# Probes:")]
    in_force = []
    example = False
    for line in text.splitlines():
        if line.startswith(("# ", "[")):
            example = line.endswith("Example:")
        elif example:
            continue
        in_force.append(re.sub(r"^#(?=[a-z_]+ = )", "", line))
    plain = run_cli("--node", "hog", "--print-config")
    full = run_cli("--config", config("\n".join(in_force)), "--node", "hog", "--print-config")
    assert full.returncode == 0, full.stderr

    def values(text):
        return [line.split("  # from")[0].rstrip() for line in text.splitlines()]

    assert values(full.stdout) == values(plain.stdout)
    assert full.stdout.count("cell.toml:") > 20


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[heartbeat]\n"])
def test_an_empty_file_is_valid(run_cli, config, text):
    assert run_cli("--config", config(text), "--node", "hog", "--check-config").returncode == 0


def test_a_file_that_was_asked_for_must_be_there(run_cli, tmp_path):
    missing = tmp_path / "missing.toml"
    done = run_cli("--config", missing, "--check-config")
    assert done.returncode == CONFIG and str(missing) in done.stderr


WRONG = {
    "unknown key": ("[heartbeat]\nintervall = '5s'", 2, ["heartbeat.intervall", "did you mean",
                                                          "interval"]),
    "unknown section": ("[hartbeat]\ninterval = '5s'", 1, ["hartbeat", "heartbeat"]),
    "wrong type": ("[heartbeat]\n\nhistory = 'yes'", 3, ["heartbeat.history", "true or false"]),
    "no unit": ("[heartbeat]\ninterval = 5", 2, ["heartbeat.interval", '5s']),
    "out of range": ("[heartbeat]\ninterval = '1ms'", 2, ["heartbeat.interval", "100ms"]),
    "ttl below two beats": ("[heartbeat]\ninterval = '10s'\nttl = '15s'", 3,
                            ["heartbeat.ttl", "two"]),
    "backoff": ("[redis]\nbackoff_base = '20s'", 2, ["redis.backoff_base", "backoff_cap"]),
    "bad url": ("[redis]\nurl = 'http://x'", 2, ["redis.url", "redis://"]),
    "tls": ("[redis]\nurl = 'rediss://x'", 2, ["redis.url", "TLS"]),
    "database without a name": ("[redis.db]\nsessions = 2", None, ["redis.db", "health"]),
    "probe without a url": ("[[probe]]\nname = 'x'\ntype = 'http'", 1, ["url"]),
    "probe of no type": ("[[probe]]\nname = 'x'\ntype = 'htp'", 3, ["http"]),
    "two probes of one name": (
        "[[probe]]\nname='x'\ntype='tcp'\naddress='h:1'\n[[probe]]\nname='x'\ntype='tcp'\n"
        "address='h:2'", None, ["x"]),
    "no toml": ("[heartbeat\ninterval = '5s'", 1, []),
    "node name": ("[node]\nname = 'a:b'", 2, ["node.name", "allowed"]),
}


@pytest.mark.parametrize("text, line, words", WRONG.values(), ids=list(WRONG))
def test_an_error_names_file_line_key_and_what_is_allowed(run_cli, config, text, line, words):
    path = config(text)
    for args in ([], ["--check-config"]):
        done = run_cli("--config", path, *args)
        assert done.returncode == CONFIG and done.stdout == ""
        where = str(path) if line is None else f"{path}:{line}"
        assert where in done.stderr
        for word in words:
            assert word in done.stderr


def test_every_error_has_a_line(run_cli, config):
    done = run_cli("--config", config("[node]\nname = 'a:b'\n[heartbeat]\nttl = 7\nx = 1\n"))
    assert len(done.stderr.splitlines()) == 3


def test_an_unknown_variable_is_a_warning(run_cli):
    done = run_cli("--node", "hog", "--check-config", NODEBEAT_HEARTBEAT_INTERVALL="5s")
    assert done.returncode == 0
    assert "NODEBEAT_HEARTBEAT_INTERVAL" in done.stderr and "did you mean" in done.stderr


# --- --print-config -----------------------------------------------------------------------------


def printed(done):
    """{"heartbeat.interval": ('"5s"', "default"), ...}"""
    assert done.returncode == 0, done.stderr
    found, section = {}, ""
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"\[([a-z.]+)\]", line):
            section = match[1]
        elif match := re.fullmatch(r"([a-z_]+) = (.*?) +# from (.*)", line):
            found[f"{section}.{match[1]}"] = (match[2], match[3])
    return found


def test_precedence_and_origins(run_cli, config):
    path = config(toml({"node.name": "from-file", "heartbeat.interval": "2s",
                        "heartbeat.ttl": "20s", "redis.url": "redis://file"}))
    values = printed(run_cli(
        "--config", path, "--node", "from-flag", "--print-config",
        NODEBEAT_NODE_NAME="from-environment", NODEBEAT_HEARTBEAT_INTERVAL="3s",
        NODEBEAT_REDIS="redis://environment",
    ))
    assert values["node.name"] == ('"from-flag"', "--node")
    assert values["heartbeat.interval"] == ('"3s"', "NODEBEAT_HEARTBEAT_INTERVAL")
    assert values["heartbeat.ttl"] == ('"20s"', f"{path}:6")
    assert values["heartbeat.history_length"] == ("5000", "default")
    assert values["redis.url"][0] == '"redis://environment:6379"'
    assert values["redis.url"][1] == "NODEBEAT_REDIS"


def test_what_is_printed_is_a_configuration_again(run_cli, config):
    first = run_cli("--node", "hog", "--redis", "redis://somewhere:7000/3", "--print-config")
    path = config(first.stdout)
    assert run_cli("--config", path, "--check-config").returncode == 0
    assert {k: v for k, (v, _) in printed(first).items()} == {
        k: v for k, (v, _) in printed(run_cli("--config", path, "--print-config")).items()
    }


def test_secrets_are_masked(run_cli, config, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("Pa55-from-file\n")
    for env, settings in [
        ({}, {"redis.url": "redis://user:Pa55-in-url@h"}),
        ({}, {"redis.password": "Pa55"}),
        ({}, {"redis.password_file": str(secret)}),
        ({"NODEBEAT_REDIS_PASSWORD": "Pa55"}, {}),
        ({"NODEBEAT_REDIS": "redis://:Pa55@h"}, {}),
    ]:
        done = run_cli("--config", config(toml(settings)), "--node", "hog", "--print-config", **env)
        assert printed(done)["redis.password"][0] == '"***"'
        assert "Pa55" not in done.stdout + done.stderr


def test_a_url_that_is_refused_is_not_repeated(run_cli):
    done = run_cli(NODEBEAT_REDIS="redis://user:Pa55w0rd@host:99999")
    assert done.returncode == CONFIG and "Pa55" not in done.stderr


@pytest.mark.parametrize("url", ["redis://user:Pa55@host", "redis://:Pa55@host:6379/0",
                                 "redis://user:Pa55@host:99999", "redis://user:Pa@55@host",
                                 "unix://user:Pa55@/run/redis.sock"])
def test_a_password_on_the_command_line_is_refused(run_cli, url):
    """Every user of the computer could read it there."""
    done = run_cli("--redis", url, "--print-config")
    assert done.returncode == 64 and not done.stdout and "Pa55" not in done.stderr
    assert "redis.password_file" in done.stderr and "NODEBEAT_REDIS_URL" in done.stderr


@pytest.mark.parametrize("url, code", [("redis://user@host", 0), ("redis://user@host:99999", CONFIG)])
def test_a_user_on_the_command_line_is_none(run_cli, url, code):
    assert run_cli("--redis", url, "--node", "hog", "--print-config").returncode == code


def test_a_password_that_the_clients_may_read_is_a_warning(run_cli, config, tmp_path):
    """Who may use the socket may read files of its group: that password would be everybody's."""
    secret = tmp_path / "secret"
    secret.write_text("Pa55\n")
    own = {"redis.password_file": str(secret), "socket.group": "", "node.name": "hog"}

    def warnings(settings, mode, path=secret):
        path.chmod(mode)
        done = run_cli("--config", config(toml(settings)), "--check-config")
        assert done.returncode == 0 and "Pa55" not in done.stderr
        return done.stderr

    told = warnings(own, 0o640)
    assert f"{secret} holds the password" in told and "group of the socket" in told
    assert "0400" in told and len(told.splitlines()) == 1
    assert not warnings(own, 0o400)
    assert not warnings({**own, "socket.path": ""}, 0o640)
    assert not warnings({**own, "socket.mode": "0600"}, 0o640)
    if os.getuid() == 0:
        os.chown(secret, -1, 54321)
        assert not warnings(own, 0o640)
        assert "group of the socket" in warnings({**own, "socket.group": "54321"}, 0o640)
    path = config(toml({"redis.password": "Pa55", "socket.group": "", "node.name": "hog"}))
    path.chmod(0o640)
    assert "group of the socket" in run_cli("--config", path, "--check-config").stderr


# --- flags and environment of a running agent ---------------------------------------------------


@pytest.mark.own_users("its file, which would name the user, is for another node")
def test_flags_over_environment_over_file(redis_server, make_agent):
    make_agent(
        "redis://127.0.0.1:1", "from-file",
        args=["--redis", redis_server.url(), "--node", "from-flag"],
        env={"NODEBEAT_NODE": "from-environment", "NODEBEAT_HEARTBEAT_TTL": "9s"},
    )
    assert redis_server.wait_for_beat("from-flag").ttl_ms > 5000
    assert len(redis_server.client().keys("node:health:*")) == 1


# --- the folder beside the file -----------------------------------------------------------------


def test_the_folder_beside_the_file_goes_over_it(run_cli, config):
    path = config("[node]\nname = 'a'\n[lease]\npatience = '7s'\n")
    folder = path.with_suffix(".d")
    folder.mkdir()
    (folder / "10-cell.toml").write_text("[node]\nname = 'b'\n")
    (folder / "20-node.toml").write_text("node.name = 'c'\n")
    (folder / "README").write_text("no TOML")
    printed = run_cli("--config", path, "--print-config").stdout
    assert re.search(rf"^name = \"c\" +# from {folder}/20-node.toml:1$", printed, re.M)
    assert re.search(rf"^patience = \"7s\" +# from {path}:4$", printed, re.M)
    (folder / "15-wrong.toml").write_text("\n[lease]\npatiense = '8s'\n")
    for args in ([], ["--check-config"]):
        done = run_cli("--config", path, *args)
        assert done.returncode == CONFIG
        assert f"{folder}/15-wrong.toml:3: key 'lease.patiense': unknown key" in done.stderr


def test_the_file_may_be_missing_where_its_folder_is_there(run_cli, tmp_path):
    (tmp_path / "cell.d").mkdir()
    (tmp_path / "cell.d" / "node.toml").write_text("[node]\nname = 'b'\n")
    file = tmp_path / "cell.toml"
    assert "cell.d/node.toml:2" in run_cli("--config", file, "--print-config").stdout
    assert "cell.d/node.toml:2" in run_cli("--print-config", NODEBEAT_CONFIG=file).stdout


# --- SIGHUP -------------------------------------------------------------------------------------


def test_a_reload_changes_the_interval_and_loses_no_beat(redis_server, make_agent, notify):
    agent = make_agent(redis_server.url(), notify=notify,
                       settings={"heartbeat.interval": "10s", "heartbeat.ttl": "30s"})
    first = redis_server.wait_for_beat("ook").health
    seen = len(notify.datagrams)

    agent.write_config(heartbeat__interval="100ms")
    agent.reload()
    notify.wait_for("RELOADING", after=seen)
    assert int(notify.wait_for("MONOTONIC_USEC", after=seen)[1]) > 0
    notify.wait_for("READY", after=seen)
    later = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= first["seq"] + 10, 5).health
    assert later["instance_id"] == first["instance_id"]
    seqs = [h["seq"] for h in redis_server.history("ook")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert agent.logged("heartbeat.interval")
    # The link was well and had no part in this.
    assert len(agent.logged(": connected")) == 1


def test_a_bad_file_keeps_what_was(redis_server, make_agent, notify):
    agent = make_agent(redis_server.url(), notify=notify)
    redis_server.wait_for_beat("ook")
    seen = len(notify.datagrams)
    agent.config.write_text("[heartbeat]\nintervall = '1s'\n")
    agent.reload()
    agent.wait_for_log("stays as it was")
    agent.wait_for_log(re.escape(f"{agent.config}:2") + ".*heartbeat.intervall.*did you mean")
    notify.wait_for("READY", after=seen)
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= seq + 5, 5)

    agent.write_config()
    agent.reload()
    agent.wait_for_log("was read again")


def test_a_reload_reads_the_folder(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    folder = agent.config.with_suffix(".d")
    folder.mkdir()
    (folder / "a.toml").write_text("[heartbeat]\nttl = '60s'\n")
    agent.reload()
    agent.wait_for_log("heartbeat.ttl.* has changed")
    redis_server.wait_for_beat("ook", lambda h: redis_server.beat("ook").ttl_ms > 50000)
    (folder / "b.toml").write_text("\n[heart]\n")
    agent.reload()
    agent.wait_for_log("stays as it was")
    agent.wait_for_log(re.escape(f"{folder}/b.toml:2: section 'heart'"))


def test_a_reload_moves_to_another_redis(make_redis, make_agent):
    first, second = make_redis(), make_redis()
    agent = make_agent(first.url())
    before = first.wait_for_beat("ook").health
    agent.write_config(redis__url=second.url())
    agent.reload()
    after = second.wait_for_beat("ook").health
    assert after["instance_id"] == before["instance_id"] and after["seq"] >= before["seq"]
    second.wait_for_beat("ook", lambda h: h["seq"] > after["seq"] + 2)
    # Not counted: the agent may watch the cell by now, which needs connections of its own.
    wait_until(lambda: {c.raddr.port for c in agent.connections() if c.raddr} == {second.port})


def test_what_needs_a_restart_is_said(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    agent.write_config(node__name="eek", heartbeat__ttl="8s")
    agent.reload()
    agent.wait_for_log("node.name.*restart")
    redis_server.wait_for_beat("ook", lambda h: redis_server.beat("ook").ttl_ms > 5000)
    assert redis_server.beat("eek") is None


def test_reloads_in_a_burst(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    for turn in range(50):
        agent.write_config(heartbeat__ttl=f"{5 + turn % 3}s")
        agent.reload()
    agent.write_config(heartbeat__ttl="60s")
    agent.reload()
    redis_server.wait_for_beat("ook", lambda h: redis_server.beat("ook").ttl_ms > 50000)
    assert len(agent.logged(": connected")) == 1


def test_the_log_level_can_be_changed(redis_server, make_agent):
    agent = make_agent(redis_server.url(), settings={"log.level": "error"})
    redis_server.wait_for_beat("ook")
    assert agent.log() == []
    agent.write_config(log__level="info")
    agent.reload()
    agent.wait_for_log("was read again")


def test_lines_for_the_journal_have_their_priority(redis_server, make_agent):
    agent = make_agent(redis_server.url(), env={"JOURNAL_STREAM": "8:1"})
    agent.wait_for_log(r"^<5>redis .*connected")
    redis_server.kill()
    agent.wait_for_log(r"^<4>redis .*trying again")
    assert all(re.match(r"<[3-7]>", line) for line in agent.log())


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["--check-config"], ["--print-config"]], ids=" ".join)
def test_an_output_that_cannot_be_written_is_told(program, tmp_path, args):
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >/dev/full', program, *args], stderr=subprocess.PIPE, text=True,
                          timeout=20, env=environment(tmp_path / "sanitizer", NODEBEAT_NODE="ook"))
    assert (done.returncode, done.stderr) == (74, "nodebeatd: standard output: No space left on device\n")
