"""A run's beginning and its end: what keeps an agent from starting, each with an exit code of its
own, and what the next run says of one that did not end cleanly."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from conftest import unshare
from support.agent import environment
from support.other_user import NOBODY
from support.waiting import wait_until


@pytest.fixture
def start_at(tmp_path, program):
    """start_at(PATH): an agent with its socket there, that is expected to end by itself; in a mount
    namespace that `mounts`, shell commands, have changed; as the user `uid`."""

    def start(path, mounts="", uid=None, text=""):
        config = tmp_path / "run.toml"
        config.write_text(text + '[node]\nname = "ook"\n[redis]\nurl = "redis://127.0.0.1:1"\n'
                          f'[socket]\ngroup = ""\npath = {json.dumps(str(path))}\n')
        command = [program, "--config", config]
        if uid is not None:
            tmp_path.chmod(0o755)
            command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]
        if mounts:
            command = [*unshare("--mount"), "sh", "-ec", mounts + '\nexec "$@"', "sh", *command]
        return subprocess.run(command, env=environment(tmp_path / "sanitizer"), text=True,
                              capture_output=True, timeout=20)

    return start


def one_line(done, code, *words):
    """It ended with `code`, and of what it said one line has all the words."""
    assert done.returncode == code, done
    assert any(all(word in line for word in words) for line in done.stderr.splitlines()), done.stderr


# --- why an agent does not start ----------------------------------------------------------------


def test_a_second_instance(lonely, start_at):
    path = lonely.agent.socket_path
    one_line(start_at(path), 69, path, "in use", str(lonely.agent.pid))
    assert lonely.client.call("client.hello")


def test_no_run(start_at, tmp_path):
    folder = tmp_path / "run" / "nodebeat"
    one_line(start_at(folder / "agent.sock"), 72, str(folder), "No such file", "RuntimeDirectory=")


def test_something_else_in_its_place(start_at, tmp_path):
    (tmp_path / "run").write_text("")
    one_line(start_at(tmp_path / "run" / "agent.sock"), 72, str(tmp_path / "run"), "no folder")
    (tmp_path / "thing").mkdir()
    one_line(start_at(tmp_path / "thing"), 72, str(tmp_path / "thing"), "is a folder")


def test_a_read_only_root(start_at, tmp_path):
    (tmp_path / "run").mkdir()
    mounts = f"mount --bind {tmp_path}/run {tmp_path}/run; mount -o remount,bind,ro {tmp_path}/run"
    one_line(start_at(tmp_path / "run" / "agent.sock", mounts), 73, f"{tmp_path}/run",
             "Read-only file system", "path")
    one_line(start_at(tmp_path / "run" / "sub" / "agent.sock", mounts), 73, f"{tmp_path}/run/sub",
             "Read-only file system")


def test_a_full_disk(start_at, tmp_path):
    (tmp_path / "run").mkdir()
    mounts = f"mount -t tmpfs -o size=16k,nr_inodes=2 tmpfs {tmp_path}/run; : >{tmp_path}/run/last"
    one_line(start_at(tmp_path / "run" / "agent.sock", mounts), 74, f"{tmp_path}/run",
             "No space left", "make room")


@pytest.mark.parametrize("mode", [0o755, 0o500], ids=["wrong owner", "wrong mode"])
def test_a_folder_that_is_not_its_own(start_at, tmp_path, mode):
    if os.getuid() != 0:
        pytest.skip("only root can make a folder that is somebody else's")
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    if mode == 0o500:
        os.chown(tmp_path / "run", NOBODY, NOBODY)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o5 != 0o5 and folder.is_relative_to("/tmp/"):
            folder.chmod(0o755)
    one_line(start_at(tmp_path / "run" / "agent.sock", uid=NOBODY), 77, f"{tmp_path}/run",
             "Permission denied", "belong to the agent's user")


@pytest.mark.parametrize("version, words", [(2, "install"), (0, "write it anew")])
def test_a_configuration_for_another_version(start_at, tmp_path, version, words):
    """Only that is said: it has keys that nobody knows, or they mean something else."""
    done = start_at(tmp_path / "agent.sock", text=f"config_version = {version}\n[future]\nx = 1\n")
    one_line(done, 65, "run.toml:1:", "config_version", f"version {version}", "version 1", words)
    assert len(done.stderr.splitlines()) == 1 and "future" not in done.stderr


def test_a_version_that_is_no_number(start_at, tmp_path):
    done = start_at(tmp_path / "agent.sock", text='config_version = "1"\n')
    one_line(done, 78, "run.toml:1:", "config_version", "whole number")


def test_a_key_of_another_version(start_at, tmp_path):
    done = start_at(tmp_path / "agent.sock", text='config_version = 1\n[log]\nverbosity = "info"\n')
    one_line(done, 78, "run.toml:3:", "log.verbosity", "unknown key")


def test_the_codes_are_told_and_kept_from_restarts(run_cli):
    root = Path(__file__).resolve().parents[2]
    codes = {64, 65, 69, 72, 73, 74, 77, 78}
    told = run_cli("--help").stdout
    told = {int(n) for n in re.findall(r"\b\d\d\b", told[told.index("Exit codes") :])}
    assert told == codes | {71}
    page = (root / "src/agent/man/nodebeatd.8").read_text()
    page = page[page.index(".Sh EXIT STATUS") : page.index(".Sh SEE ALSO")]
    assert {int(n) for n in re.findall(r"\.It (\d\d)$", page, re.M)} == codes | {71}
    unit = (root / "systemd/nodebeat.service.in").read_text()
    kept = {int(n) for n in re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.M)[1].split()}
    assert {code for code in kept if code < 200} == codes


@pytest.mark.parametrize("key, name", [("allow_users", "daemon"), ("allow_groups", "daemon")])
def test_who_cannot_be_told_from_others_in_a_sandbox_is_named(redis_server, make_agent, key, name):
    """systemd's PrivateUsers= leaves root and the service's own user; the others are nobody."""
    wrapper = unshare("--user", "--map-root-user")
    agent = make_agent(redis_server.url(), wrapper=wrapper, settings={f"socket.{key}": [name, "root"]})
    agent.wait_for_log(f"socket.{key}.*'{name}' cannot be told from others.*PrivateUsers=no")
    assert not agent.logged("'root' cannot be told")
    agent.stop()
    agent = make_agent(redis_server.url(), settings={f"socket.{key}": [name]})
    agent.wait_for_log(": connected")
    assert not agent.logged("cannot be told")


# --- when the disk fills up while it runs -------------------------------------------------------


def test_a_disk_that_fills_up_stops_nothing(redis_server, make_agent, connect, tmp_path):
    """What an agent writes is the running session and the note of its run."""
    run = tmp_path / "run"
    run.mkdir()
    wrapper = [*unshare("--mount"), "sh", "-ec",
               f'mount -t tmpfs -o size=16k tmpfs {run}; exec "$@"', "sh"]
    agent = make_agent(redis_server.url(), wrapper=wrapper,
                       settings={"socket.path": str(run / "agent.sock")})
    inside = Path(f"/proc/{agent.pid}/root{run}")
    agent.wait_for_log(": connected")
    agent.settings["socket.path"] = str(inside / "agent.sock")  # as it is seen from here
    client = connect(agent)
    with open(inside / "hog", "wb", buffering=0) as hog, pytest.raises(OSError, match="No space"):
        while True:
            hog.write(b"x" * 4096)
    started = client.call("stroke.start", total_strokes=3)
    assert started["session_id"]
    agent.wait_for_log("cannot be kept for a restart.*No space left")
    for stroke in range(3):
        client.call("stroke.update", stroke_idx=stroke)
    client.call("stroke.end")
    seq = redis_server.wait_for_beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq + 2)
    assert len(agent.logged("cannot be kept")) == 1
    agent.stop()


def test_a_note_that_cannot_be_written_costs_the_note_only(redis_server, make_agent, tmp_path):
    (tmp_path / "agent.sock.run").mkdir()
    agent = make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "agent.sock")})
    assert "agent.sock.run" in agent.wait_for_log("cannot tell")[1]
    redis_server.wait_for_beat("ook")


@pytest.mark.parametrize("name", ["session", "session~", "run", "end"])
def test_a_link_beside_the_socket_leads_nowhere(redis_server, make_agent, connect, tmp_path, name):
    """As another user could put there where the socket is in /tmp."""
    precious = tmp_path / "precious"
    precious.write_text("signal KILL\n")
    (tmp_path / f"agent.sock.{name}").symlink_to(precious)
    agent = make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "agent.sock")})
    client = connect(agent)
    client.call("stroke.start", total_strokes=3)
    client.call("stroke.update", stroke_idx=1)
    assert "last_run" not in redis_server.wait_for_beat("ook").health
    agent.kill()
    assert precious.read_text() == "signal KILL\n"
    again = make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "agent.sock")})
    # What is left out is what stood at the link, and nothing else.
    again.wait_for_log("did not end cleanly" if name != "run" else ": connected")
    again.stop()
    assert precious.read_text() == "signal KILL\n"


def test_a_link_in_place_of_the_lock_is_left_alone(start_at, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "agent.sock.lock").symlink_to(precious)
    done = start_at(tmp_path / "agent.sock")
    one_line(done, 72, "agent.sock.lock is a symbolic link, and is left alone")
    assert precious.read_text() == "precious"


# --- a run that did not end cleanly -------------------------------------------------------------


@pytest.fixture
def run_again(redis_server, make_agent, tmp_path, closing):
    """run_again(): an agent with the same socket as the ones before, and its node_up."""
    events = closing(redis_server.subscribe("node:events:ook"))
    seen = set()

    def run():
        agent = make_agent(redis_server.url(),
                           settings={"socket.path": str(tmp_path / "again.sock")})
        up = events.wait_for("node_up", lambda e: e["instance_id"] not in seen)
        seen.add(up["instance_id"])
        return agent, up

    return run


def test_a_crash_is_told_by_the_next_run(redis_server, run_again):
    agent, first = run_again()
    assert "last_run" not in first
    beat = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3).health
    agent.kill()
    last_words = redis_server.history("ook")[-1]

    again, up = run_again()
    last = up["last_run"]
    assert last["clean"] is False and last["instance_id"] == first["instance_id"]
    assert last["started"] <= first["timestamp"] <= beat["timestamp"]
    # The file's clock has the kernel's tick.
    assert last_words["timestamp"][:19] <= last["last_beat"][:19] <= up["timestamp"]
    assert "how" not in last
    again.wait_for_log("did not end cleanly")
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    told = [h for h in redis_server.history("ook") if "last_run" in h]
    assert [h["last_run"] for h in told] == [last]
    assert told[0]["instance_id"] == up["instance_id"] and told[0]["seq"] == 1
    assert "last_run" not in redis_server.beat("ook").health


def test_a_clean_stop_is_no_crash(run_again, tmp_path):
    agent, _ = run_again()
    assert (tmp_path / "again.sock.run").exists()
    agent.stop()
    assert not list(tmp_path.glob("again.sock*"))
    again, up = run_again()
    assert "last_run" not in up and not again.logged("cleanly")


def test_a_crash_is_told_once(run_again):
    run_again()[0].kill()
    again, up = run_again()
    assert "last_run" in up
    again.stop()
    assert "last_run" not in run_again()[1]


@pytest.mark.parametrize("text, how", [
    ("signal KILL\n", "signal KILL"), ("watchdog ABRT\n", "watchdog ABRT"),
    ('"},"x":"\n', None), ("x" * 41, None), ("", None)])
def test_how_it_ended_comes_from_who_watched_it(run_again, tmp_path, text, how):
    run_again()[0].kill()
    (tmp_path / "again.sock.end").write_text(text)
    again, up = run_again()
    assert up["last_run"].get("how") == how
    assert not (tmp_path / "again.sock.end").exists()


@pytest.mark.parametrize("text", ["", "x", "\0" * 600, "ook-1 - 99999999999999999999 7\n"])
def test_a_note_that_is_none_is_a_crash_of_which_nothing_is_known(run_again, tmp_path, text):
    (tmp_path / "again.sock.run").write_text(text)
    agent, up = run_again()
    assert up["last_run"]["clean"] is False and "started" not in up["last_run"]


def test_a_note_of_another_boot(run_again, tmp_path):
    (tmp_path / "again.sock.run").write_text("ook-1 0000-another-boot 1700000000000000 0\n")
    _, up = run_again()
    assert up["last_run"]["how"] == "reboot" and up["last_run"]["instance_id"] == "ook-1"
    assert up["last_run"]["started"] == "2023-11-14T22:13:20.000000"


def test_a_second_instance_does_not_take_a_living_ones_note_for_a_dead_ones(run_again, start_at,
                                                                            tmp_path):
    agent, _ = run_again()
    done = start_at(tmp_path / "again.sock")
    assert done.returncode == 69 and "cleanly" not in done.stderr
    agent.stop()
    assert "last_run" not in run_again()[1]


# --- one that crashes again and again -----------------------------------------------------------


def quick_ends(tmp_path, count):
    """The note of a run that has just crashed, as did count - 1 before it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    now = int(time.time() * 1e6)
    (tmp_path / "again.sock.run").write_text(f"ook-1 {boot} {now} {count - 1}\n")


def test_the_first_crashes_cost_no_waiting(run_again, tmp_path):
    quick_ends(tmp_path, 2)
    agent, up = run_again()
    assert "last_run" in up and not agent.logged("waiting")


def test_who_crashes_again_and_again_waits(redis_server, make_agent, run_again, notify, tmp_path,
                                           closing):
    quick_ends(tmp_path, 3)
    began = time.monotonic()
    agent = make_agent(redis_server.url(), notify=notify,
                       settings={"socket.path": str(tmp_path / "again.sock")})
    agent.wait_for_log("the last 3 runs ended badly.*waiting 1 s")
    agent.reload()  # it is carried out as soon as it runs
    notify.wait_for("STATUS", lambda words: "waiting" in words)
    assert not notify.with_key("READY")
    notify.wait_for("READY")
    assert time.monotonic() - began >= 1
    agent.wait_for_log("the configuration was read again")
    agent.kill()
    later = make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "again.sock")})
    later.wait_for_log("the last 4 runs ended badly.*waiting 2 s")
    later.stop()  # also while it waits
    assert "again.sock.run" in {p.name for p in tmp_path.glob("again.sock*")}


def test_a_run_of_more_than_a_minute_ends_that(redis_server, run_again, tmp_path):
    quick_ends(tmp_path, 9)
    note = tmp_path / "again.sock.run"
    os.utime(note, (time.time() + 61, time.time() + 61))
    agent, up = run_again()
    assert "last_run" in up and not agent.logged("waiting")
    assert wait_until(lambda: note.read_text().split()[3] == "0")


@pytest.mark.parametrize("ends, wait", [(5, 4), (6, 8), (7, 16), (8, 30), (9, 30), (1000, 30)])
def test_the_waiting_doubles_up_to_half_a_minute(redis_server, make_agent, tmp_path, ends, wait):
    quick_ends(tmp_path, ends)
    agent = make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "again.sock")})
    agent.wait_for_log(f"the last {ends} runs ended badly.*waiting {wait}(.0)? s")
    assert not (tmp_path / "again.sock").exists()
    agent.stop()  # also while it waits


def test_a_clean_end_sets_the_waiting_back(run_again, tmp_path):
    quick_ends(tmp_path, 2)
    run_again()[0].stop()
    for _ in range(2):
        run_again()[0].kill()
    agent, up = run_again()
    assert "last_run" in up and not agent.logged("waiting")
    assert (tmp_path / "again.sock.run").read_text().split()[3] == "2"
