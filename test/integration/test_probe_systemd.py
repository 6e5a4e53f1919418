"""The systemd probe over a real bus: a private dbus-daemon, and the machine's own if it has one."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from probe_driver import Lines, ProbeDriver, wait_for

SYSTEM_BUS = pathlib.Path("/run/dbus/system_bus_socket")
MOCK = pathlib.Path(__file__).with_name("systemd_mock.py")


class Bus:
    def __init__(self, folder):
        self.path = folder / "bus"
        self.daemon = None
        self.mock = None
        self.start()

    def start(self):
        address = f"unix:path={self.path}"
        self.daemon = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}",
             "--print-address"], stdout=subprocess.PIPE)
        Lines(self.daemon).next()
        self.mock = subprocess.Popen([sys.executable, MOCK, address], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        self.lines = Lines(self.mock)
        assert self.lines.next() == "ready"

    def set(self, unit, state):
        self.mock.stdin.write(f"{unit} {state}\n".encode())
        self.mock.stdin.flush()
        assert self.lines.next() == "set"

    def stop(self):
        for process in (self.mock, self.daemon):
            process.kill()
            process.wait()
            process.stdout.close()
        self.mock.stdin.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def bus(tmp_path):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed (Debian package dbus)")
    if not all(importlib.util.find_spec(module) for module in ("dbus", "gi")):
        pytest.skip("python3-dbus and python3-gi are not installed")
    bus = Bus(tmp_path)
    yield bus
    bus.stop()


def probe(path, unit, interval_ms=20):
    return ProbeDriver(type="systemd", unit=unit, bus=path, interval_ms=interval_ms,
                       timeout_ms=5000, down_after=1)


def test_a_unit_is_followed_through_its_states(bus):
    with probe(bus.path, "robot-arm") as it:
        assert it.verdict() == ("down", "there is no unit robot-arm.service")
        bus.set("robot_2darm_2eservice", "active")
        assert it.verdict() == ("up", "robot-arm.service is active")
        bus.set("robot_2darm_2eservice", "failed")
        assert it.verdict() == ("down", "robot-arm.service is failed")
        bus.set("robot_2darm_2eservice", "reloading")
        assert it.verdict() == ("up", "robot-arm.service is reloading")
        bus.set("robot_2darm_2eservice", "inactive")
        assert it.verdict() == ("down", "robot-arm.service is inactive")


def test_a_bus_that_restarts_is_found_again(bus):
    bus.set("robot_2earm_2eservice", "active")
    with probe(bus.path, "robot.arm.service") as it:
        assert it.verdict()[0] == "up"
        bus.stop()
        # A question that was under way may first be answered by the bus: NoReply.
        wait_for(lambda: it.now()[1].startswith("system bus: "))
        assert it.now()[0] == "unknown"
        bus.start()
        bus.set("robot_2earm_2eservice", "failed")
        # The probe may ask the new bus before the unit is there.
        wait_for(lambda: it.now() == ("down", "robot.arm.service is failed"))


def test_nobody_on_the_bus_is_systemd(bus):
    bus.mock.kill()
    bus.mock.wait()
    with probe(bus.path, "x") as it:
        wait_for(lambda: it.now()[1].startswith("org.freedesktop.DBus.Error.NameHasNoOwner: "))
        assert it.now()[0] == "unknown"


@pytest.mark.skipif(not (SYSTEM_BUS.is_socket() and os.path.isdir("/run/systemd/system")),
                    reason="this machine was not booted with systemd")
def test_the_systemd_of_this_machine():
    with probe(SYSTEM_BUS, "systemd-journald") as it:
        assert it.verdict() == ("up", "systemd-journald.service is active")
    with probe(SYSTEM_BUS, "basic.target") as it:
        assert it.verdict() == ("up", "basic.target is active")
    with probe(SYSTEM_BUS, "no-such-thing-at-all") as it:
        assert it.verdict() == ("down", "there is no unit no-such-thing-at-all.service")
