"""What `./dev` says and does before it has built anything: the first that a newcomer meets."""

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["demo", "test", "build", "lint", "package", "cross", "fuzz", "bench", "install-deps", "clean"]

# Says which process it is, then waits for longer than any test.
HANGS = """#!/bin/sh
echo '[1/10] something'
echo $$ >"$HANGING.part" && mv "$HANGING.part" "$HANGING"
exec sleep 600
"""


def dev(*arguments, **more):
    return subprocess.run(["./dev", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=240, **more)


@pytest.fixture
def stand_ins(tmp_path):
    """A folder of programs that stand in for those that `./dev` runs, and an environment that has them first."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def add(name, text):
        program = folder / name
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    add.environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DEV_BUILD_DIR": str(tmp_path / "build"),
        "HANGING": str(tmp_path / "hanging"),
        "TMPDIR": str(tmp_path),
    }
    add.hanging = tmp_path / "hanging"
    return add


def interrupt(stand_ins, *arguments):
    """Runs ./dev until the stand-in hangs, sends what Ctrl-C sends, returns (status, output, stand-in's pid)."""
    process = subprocess.Popen(
        ["./dev", *arguments], cwd=ROOT, env=stand_ins.environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        wait_until(stand_ins.hanging.exists, what="the stand-in is running")
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, output, int(stand_ins.hanging.read_text())


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    result = dev(command, "--help")
    assert result.returncode == 0
    assert f"\n  {command} " in result.stdout
    assert all(f"\n  {other} " not in result.stdout for other in COMMANDS if other != command)


@pytest.mark.time_limit(240)  # all tests are collected
def test_a_filter_that_matches_nothing_is_told_before_anything_is_built(stand_ins):
    stand_ins("ninja", "#!/bin/sh\n>\"$HANGING\"\nexit 1\n")
    result = dev("test", "--fast", "no_such_test_anywhere", env=stand_ins.environment)
    assert result.returncode == 1
    assert "no test has 'no_such_test_anywhere' in its name" in result.stderr
    assert not stand_ins.hanging.exists()


def test_ctrl_c_ends_a_build_and_what_it_started(stand_ins):
    stand_ins("meson", '#!/bin/sh\nmkdir -p "$2" && : >"$2/build.ninja"\n')
    stand_ins("ninja", HANGS)
    status, output, pid = interrupt(stand_ins, "build", "gcc")
    assert status == 130
    assert output.rstrip().endswith("interrupted")
    wait_until(lambda: is_gone(pid), what="the build is gone")


@pytest.mark.time_limit(120)
def test_the_demo_says_what_it_builds_and_how_far_it_is(stand_ins, closing, tmp_path):
    """And builds nothing else: the wait for the first beat is the first that a newcomer sees of it."""
    stand_ins("meson", '#!/bin/sh\nmkdir -p "$2" && : >"$2/build.ninja" && echo "[]" >"$2/compile_commands.json"\n')
    stand_ins("ninja", '#!/bin/sh\necho "$*" >"$HANGING.args"\n' + HANGS.partition("\n")[2])
    environment = {**stand_ins.environment, "DEV_DEMO_BUILD": "gcc"}  # no headers to read first: they are no stand-ins
    screen = closing(Terminal(["demo"], environment, 24, 80, program=[ROOT / "dev"]))
    wait_until(lambda: "1 of 10" in screen.output, what=lambda: f"how far it is in {screen.output!r}")
    assert "The first time it builds what it runs" in screen.output
    assert re.search(r"Two idle cores need \w+ minutes", screen.output), "how long that takes"
    wanted = Path(f"{stand_ins.hanging}.args").read_text().split()
    assert wanted[-3:] == ["src/agent/nodebeatd", "test/examples/robot_sim", "src/ctl/nodebeatctl"], wanted
    screen.press(b"\x03")
    assert screen.process.wait(60) == 130
    wait_until(lambda: screen.output.rstrip().endswith("interrupted"), what="the end is told")


def test_ctrl_c_stops_while_packages_are_installed(stand_ins):
    stand_ins("dpkg-query", "#!/bin/sh\nexit 1\n")  # nothing is installed
    stand_ins("sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    stand_ins("apt-get", HANGS)
    status, output, pid = interrupt(stand_ins, "build")
    assert status == 130
    assert output.rstrip().endswith("interrupted")
    assert "In " not in output and "build: release" not in output
    wait_until(lambda: is_gone(pid), what="apt-get is gone")
