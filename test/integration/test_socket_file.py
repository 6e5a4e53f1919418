"""The file that the local socket is: which agent may have it, and which has it already."""

import grp
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support import processes
from support.agent import environment
from support.rpc import Client
from support.waiting import Conditions, wait_until


def cli(program, tmp_path, path, *more, **settings):
    """Runs an agent that is expected to end by itself."""
    config = tmp_path / "cli.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    config.write_text('[node]\nname = "ook"\n[redis]\nurl = "redis://127.0.0.1:1"\n[socket]\n'
                      + "\n".join(lines) + "\n")
    return subprocess.run([program, "--config", config, "--socket", str(path), *more],
                          env=environment(tmp_path / "sanitizer"), capture_output=True, text=True,
                          timeout=20)


def test_a_live_socket_is_never_stolen(lonely, program, tmp_path):
    path = lonely.agent.socket_path
    before = os.stat(path)
    done = cli(program, tmp_path, path, group="")
    assert done.returncode == 69  # EX_UNAVAILABLE
    assert path in done.stderr and "in use" in done.stderr
    assert str(lonely.agent.pid) in done.stderr
    assert os.stat(path).st_ino == before.st_ino
    assert lonely.client.call("client.hello") and Client(path).call("client.hello")


def test_another_programs_live_socket_is_not_stolen(program, tmp_path):
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        done = cli(program, tmp_path, path, group="")
        assert done.returncode == 69 and "in use" in done.stderr
        assert f"process {os.getpid()}" in done.stderr
        with socket.socket(socket.AF_UNIX) as still:
            still.connect(str(path))
    assert path.exists() and not Path(f"{path}.lock").exists()


def test_a_dead_socket_is_replaced(redis_server, make_agent, connect, tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    settings = {"socket.path": str(path)}
    agent = make_agent(redis_server.url(), settings=settings)
    assert connect(agent).call("client.hello")
    agent.kill()
    assert path.exists()
    again = make_agent(redis_server.url(), settings=settings)
    assert connect(again).call("client.hello")
    again.stop()
    assert sorted(p.name for p in tmp_path.glob("dead.sock*")) == []


@pytest.mark.parametrize("kind, words", [("file", "is a file"), ("folder", "is a folder"),
                                         ("link", "is a symbolic link"), ("fifo", "is no socket")])
def test_what_is_no_socket_is_left_alone(program, tmp_path, kind, words):
    path = tmp_path / "thing"
    {"file": lambda: path.write_text("precious"), "folder": path.mkdir,
     "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
     "fifo": lambda: os.mkfifo(path)}[kind]()
    before = os.lstat(path)
    done = cli(program, tmp_path, path, group="")
    assert done.returncode == 72 and str(path) in done.stderr and words in done.stderr
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert kind != "file" or path.read_text() == "precious"


def test_a_path_that_is_too_long(program, tmp_path):
    for length, is_right in ((107, True), (108, False)):
        path = str(tmp_path) + "/" + "x" * (length - len(str(tmp_path)) - 1)
        done = cli(program, tmp_path, path, "--check-config", group="")
        assert (done.returncode == 0) is is_right
        assert is_right or ("107" in done.stderr and "socket" in done.stderr)


def test_no_folder_for_it(program, tmp_path):
    done = cli(program, tmp_path, tmp_path / "a" / "b" / "agent.sock", group="")
    assert done.returncode == 72 and str(tmp_path / "a" / "b") in done.stderr


def test_its_folder_is_made(redis_server, make_agent, connect, tmp_path):
    agent = make_agent(redis_server.url(),
                       settings={"socket.path": str(tmp_path / "run" / "agent.sock")})
    assert connect(agent).call("client.hello")


@pytest.mark.parametrize("mode", ["0660", "0600", "0666"])
def test_mode(redis_server, make_agent, connect, mode):
    agent = make_agent(redis_server.url(), settings={"socket.mode": mode})
    connect(agent).call("client.hello")
    assert stat.S_IMODE(os.stat(agent.socket_path).st_mode) == int(mode, 8)


def test_group(redis_server, make_agent, connect):
    if os.getuid() != 0:
        pytest.skip("only root can give a file to any group")
    group = next(g for g in grp.getgrall() if g.gr_gid != 0)
    for name in (group.gr_name, str(group.gr_gid)):
        agent = make_agent(redis_server.url(), settings={"socket.group": name})
        connect(agent).call("client.hello")
        assert os.stat(agent.socket_path).st_gid == group.gr_gid
        agent.stop()


def test_a_group_that_is_none_is_told(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.group": "no-such-group-here"})
    assert connect(agent).call("client.hello")
    assert len(agent.logged("no group 'no-such-group-here'")) == 1
    assert os.stat(agent.socket_path).st_gid == os.getgid()


@pytest.mark.parametrize("key", ["socket.allow_users", "socket.allow_groups"])
def test_somebody_who_is_none_lets_nobody_in(redis_server, make_agent, connect, key):
    agent = make_agent(redis_server.url(), settings={key: ["no-such-account"]})
    client = connect(agent)
    assert client.next_anonymous()["error"]["data"]["name"] == "forbidden"
    client.wait_closed()
    assert agent.wait_for_log("no 'no-such-account'")


def test_who_may_connect(redis_server, make_agent, connect):
    stranger = "12345" if os.getuid() != 12345 else "12346"
    agent = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger]})
    client = connect(agent)
    answer = client.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32011
    assert answer["error"]["data"] == {"name": "forbidden"}
    assert str(os.getuid()) in answer["error"]["message"]
    client.wait_closed()
    me = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger,
                                                                         str(os.getuid())]})
    assert connect(me).call("client.hello")
    mine = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger],
                                                    "socket.allow_groups": [str(os.getgid())]})
    assert connect(mine).call("client.hello")


def test_no_socket_at_all(redis_server, make_agent, tmp_path):
    agent = make_agent(redis_server.url(), args=["--socket", ""])
    redis_server.wait_for_beat("ook")
    assert not Path(agent.socket_path).exists()
    assert not agent.connections("unix") or all(
        c.status == "NONE" and not c.laddr for c in agent.connections("unix"))


def test_a_socket_that_was_handed_over(redis_server, make_agent, connect, tmp_path):
    path = tmp_path / "activated.sock"
    launcher = Path(__file__).with_name("support") / "activation.py"
    agent = make_agent(redis_server.url(), wrapper=[sys.executable, launcher, path, "--"],
                       settings={"socket.path": str(tmp_path / "unused.sock")})
    wait_until(lambda: path.exists())
    agent.settings["socket.path"] = str(path)
    client = connect(agent)
    assert client.call("client.hello")["node_id"] == "ook"
    assert not (tmp_path / "unused.sock").exists()
    agent.stop()
    assert path.exists()  # it is the service manager's
    client.wait_closed()


def test_both_sockets_handed_over_each_with_its_rights(redis_server, make_agent, connect, tmp_path,
                                                       closing):
    main, view = tmp_path / "main.sock", tmp_path / "other.sock"
    launcher = Path(__file__).with_name("support") / "activation.py"
    agent = make_agent(redis_server.url(),
                       wrapper=[sys.executable, launcher, f"nodebeat-view={view}",
                                f"nodebeat={main}", "--"],
                       settings={"socket.path": str(tmp_path / "unused" / "agent.sock")})
    wait_until(lambda: main.exists())
    agent.settings["socket.path"] = str(main)
    assert len(connect(agent).call("client.hello")["rights"]) == 5
    assert closing(Client(view)).call("client.hello")["rights"] == ["read"]
    assert not (tmp_path / "unused").exists()


def test_the_agent_makes_the_socket_that_was_not_handed_over(redis_server, make_agent, connect,
                                                             tmp_path, closing):
    view = tmp_path / "other.sock"
    launcher = Path(__file__).with_name("support") / "activation.py"
    agent = make_agent(redis_server.url(),
                       wrapper=[sys.executable, launcher, f"nodebeat-view={view}", "--"])
    assert len(connect(agent).call("client.hello")["rights"]) == 5
    assert closing(Client(view)).call("client.hello")["rights"] == ["read"]
    assert not Path(agent.socket_path).with_name("view.sock").exists()


def test_connections_are_closed_at_a_stop_and_clients_come_back(cell, make_agent, connect):
    cell.agent.stop()
    cell.client.wait_closed()
    assert not Path(cell.agent.socket_path).exists()
    again = make_agent(cell.server.url(), settings={"socket.path": cell.agent.socket_path})
    assert connect(again).call("client.hello")


def test_a_client_that_stops_is_no_trouble(lonely, connect, closing):
    """SIGSTOP of a subscriber: it loses events, is told how many, and stays; others hear on."""
    program = (
        "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        's.sendall(b\'{"jsonrpc":"2.0","method":"event.subscribe","params":{"channels":["a"]},'
        '"id":1}\\n\')\nprint(s.recv(999),flush=True)\nfor line in s.makefile("rb"):\n'
        '    if b"event.gap" in line: print(line,flush=True)\n'
    )
    process = processes.spawn([sys.executable, "-c", program, lonely.agent.socket_path],
                              stdout=subprocess.PIPE)
    try:
        assert b"result" in process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        rounds = 0
        while lonely.client.call("agent.stats")["subscriptions"]["lost"] == 0:
            for _ in range(20):
                lonely.client.notify("event.publish", channel="a", event={"x": "y" * 30000},
                                     record=False)
            rounds += 1
            assert rounds < 50
        assert lonely.client.call("agent.stats")["socket"]["clients"] == 2
        os.kill(process.pid, signal.SIGCONT)
        assert b'"lost":' in process.stdout.readline()
    finally:
        os.kill(process.pid, signal.SIGCONT)
        processes.end(process)
        process.stdout.close()
    Conditions.met += 1
