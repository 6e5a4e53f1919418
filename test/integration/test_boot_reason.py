"""Why a computer was started: what nodebeat-boot.service notes, over some boots; and that node_up has it."""

import os
import subprocess

import pytest

from support.agent import ROOT
from support.waiting import wait_until
from support.watch import FAST, lease, wait_for_holder

SCRIPT = ROOT / "systemd" / "nodebeat-boot"
WORDS = {"panic", "clean", "watchdog", "thermal", "power", "unclean", "unknown"}


class Computer:
    """A computer as the script sees it: its disk, its /run, its boots."""

    def __init__(self, folder):
        self.folder = folder
        self.boots = 0
        (folder / "state").mkdir()
        (folder / "bin").mkdir()
        self.systemd_says("running")
        self.boot()

    def systemd_says(self, word):
        program = self.folder / "bin" / "systemctl"
        program.write_text(f"#!/bin/sh\n[ \"$1\" = is-system-running ] && echo {word}\nexit 1\n")
        program.chmod(0o755)

    def run(self, what):
        done = subprocess.run(
            [SCRIPT, what, self.folder], capture_output=True, text=True,
            env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                 "STATE_DIRECTORY": str(self.folder / "state"),
                 "RUNTIME_DIRECTORY": str(self.runtime)})
        assert done.returncode == 0 and done.stderr == "", done

    def boot(self):
        """Another boot id, and an empty /run; and the service is started."""
        self.boots += 1
        self.runtime = self.folder / f"run-{self.boots}"
        self.runtime.mkdir()
        self.write("proc/sys/kernel/random/boot_id", f"boot-{self.boots}\n")
        self.systemd_says("starting")
        self.run("start")
        self.systemd_says("running")

    def shut_down(self):
        self.systemd_says("stopping")
        self.run("stop")

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        # A file system's clock may be coarse.
        state = self.folder / "state" / "state"
        if state.exists():
            later = state.stat().st_mtime_ns + 1_000_000
            os.utime(file, ns=(later, later))

    def before(self):
        file = self.runtime / "before"
        return file.read_text() if file.exists() else None


@pytest.fixture
def computer(tmp_path):
    return Computer(tmp_path)


def test_of_the_first_boot_nothing_is_known(computer):
    assert computer.before() is None


def test_a_shutdown_is_told_to_the_next_boot_and_to_no_later_one(computer):
    computer.shut_down()
    computer.boot()
    assert computer.before() == "stopped boot-1\n"
    computer.boot()  # the power was lost
    assert computer.before() == "running boot-2\n"


def test_without_a_shutdown_the_boot_before_ran_to_its_end(computer):
    computer.boot()
    assert computer.before() == "running boot-1\n"


def test_a_unit_that_somebody_stops_knows_nothing_of_the_end(computer):
    computer.run("stop")
    computer.boot()
    assert computer.before() is None
    # Restarted, it sees the end again, and leaves what it has told.
    computer.boot()
    told = computer.before()
    computer.run("stop")
    computer.run("start")
    assert computer.before() == told == "running boot-2\n"
    computer.shut_down()
    computer.boot()
    assert computer.before() == "stopped boot-3\n"


def test_a_further_start_in_the_same_boot_changes_nothing(computer):
    computer.boot()
    computer.run("start")
    assert computer.before() == "running boot-1\n"


@pytest.mark.parametrize("place", ["sys/fs/pstore", "var/lib/systemd/pstore/1700000000/001"])
def test_the_record_of_a_panic_is_found_once(computer, place):
    computer.write(f"{place}/dmesg-efi-17", "Panic#1 Part1\n<0>[  1.0] Kernel panic\n")
    computer.boot()
    assert computer.before() == "running boot-1\npanic dmesg-efi-17\n"
    computer.boot()
    assert computer.before() == "running boot-2\n", "that record is of an earlier boot"


def test_what_is_no_panic_is_not_called_one(computer):
    computer.write("sys/fs/pstore/dmesg-efi-1", "Oops#1 Part1\n")
    computer.write("sys/fs/pstore/console-ramoops-0", "Panic#1 Part1\n")
    computer.write("sys/fs/pstore/dmesg-efi-2.enc.z", "\0\1\2")
    computer.boot()
    assert computer.before() == "running boot-1\n"


def test_what_stands_in_the_note_by_mistake_is_not_passed_on(computer):
    (computer.folder / "state" / "state").write_text("rubbish\n")
    computer.boot()
    assert computer.before() is None


def test_a_node_says_why_it_was_started(redis_server, make_agent, steady, closing):
    """Also a second time after a mere restart of the agent; and of the beats only the first one."""
    events = closing(redis_server.subscribe("node:events:ook"))
    agent = make_agent(redis_server.url())
    steady(agent)
    up = events.wait_for("node_up")
    assert up["boot_reason"] in WORDS
    assert list(up).index("boot_reason") == list(up).index("boot_id") + 1
    assert agent.wait_for_log(f"why this computer was started: {up['boot_reason']}")
    beats = wait_until(lambda: len(found := redis_server.history("ook")) > 3 and found)
    assert [beat.get("boot_reason") for beat in beats] == [up["boot_reason"]] + [None] * (len(beats) - 1)
    agent.stop()
    steady(make_agent(redis_server.url()))
    again = events.wait_for("node_up", lambda message: message["instance_id"] != up["instance_id"])
    for name in ("boot_id", "boot_reason", "boot_detail"):
        assert again.get(name) == up.get(name), name


@pytest.mark.parametrize("note, reasons, detail", [
    ("stopped boot-1\n", {"clean"}, None),
    ("running boot-1\npanic dmesg-efi-17\n", {"panic"}, "dmesg-efi-17"),
    # A computer may know more of that: it has a watchdog, or tells of its power.
    ("running boot-1\n", {"unclean", "watchdog", "thermal", "power"}, ...),
    ("rubbish\n", {"unknown", "watchdog", "thermal", "power", "panic"}, ...),
], ids=["stopped", "panic", "running", "rubbish"])
def test_what_the_service_has_noted_is_told(redis_server, make_agent, steady, closing, isolated, note, reasons, detail):
    wrapper, _ = isolated(boot_note=note)
    events = closing(redis_server.subscribe("node:events:ook"))
    steady(make_agent(redis_server.url(), wrapper=wrapper))
    up = events.wait_for("node_up")
    assert up["boot_reason"] in reasons
    assert detail is ... or up.get("boot_detail") == detail


def test_a_reboot_is_told_by_the_watcher_and_its_reason_by_the_node(redis_server, make_agent, closing, isolated):
    """The computer is lost, and comes back with another boot, whose beginning tells of a panic."""
    events = closing(redis_server.subscribe(patterns=["node:events:ook"]))
    redis = redis_server.client()
    make_agent(redis_server.url(), "hog", settings=FAST)
    wait_for_holder(redis, "hog")
    before, _ = isolated(boot_id="boot-1")
    agent = make_agent(redis_server.url(), "ook", settings=FAST, wrapper=before)
    wait_until(lambda: lease(redis, "ook"))
    agent.kill()
    assert events.wait_for("node_lost")["boot_id"] == "boot-1"
    after, _ = isolated(boot_id="boot-2", boot_note="running boot-1\npanic dmesg-efi-17\n")
    make_agent(redis_server.url(), "ook", settings=FAST, wrapper=after)
    back = events.wait_for("node_returned")
    assert (back["how"], back["boot_id"], back["watcher"]) == ("rebooted", "boot-2", "hog")
    up = events.wait_for("node_up", lambda event: event["boot_id"] == "boot-2")
    assert (up["boot_reason"], up["boot_detail"]) == ("panic", "dmesg-efi-17")
    assert up["instance_id"] == back["instance_id"]
