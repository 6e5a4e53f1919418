"""./dev where packages are missing: how it asks for the right to install them."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.agent import ROOT
from support.other_user import NOBODY

FAKES = {
    "dpkg-query": "exit 1\n",  # nothing is installed
    "apt-get": 'echo "apt-get $*" >>"$FAKES/log"\n',
    # A rule without a password beside one with: '-v' asks, commands run.
    "sudo": """
echo "sudo $*" >>"$FAKES/log"
[ "$1" != -v ] || exit 1
[ "$1" != -n ] || { shift; test -z "$WANTS_PASSWORD" || exit 1; }
exec "$@"
""",
}


@pytest.fixture
def folder():
    """`dev`, and programs that stand for those of a Debian on which nothing is installed; for any user."""
    with tempfile.TemporaryDirectory(prefix="nb", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        shutil.copy(ROOT / "dev", folder)
        for program, text in FAKES.items():
            (folder / program).write_text("#!/bin/sh\n" + text)
            (folder / program).chmod(0o755)
        yield folder


def environment(folder):
    return {"PATH": f"{folder}:{os.environ['PATH']}", "FAKES": str(folder), "TMPDIR": str(folder)}


def install(folder, terminal=False, **more):
    """As a person who is not root."""
    own, theirs = os.openpty()
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    session = ["setsid", "--wait", *(["--ctty"] if terminal else [])]
    try:
        return subprocess.run([*session, folder / "dev", "install-deps", "build"], text=True, stdin=theirs,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              env={**environment(folder), **more}, **user)
    finally:
        os.close(own)
        os.close(theirs)


@pytest.mark.parametrize("terminal", [False, True])
def test_sudo_asks_for_no_password_that_it_does_not_need(folder, terminal):
    done = install(folder, terminal)
    assert done.returncode == 0, done.stdout
    asked = (folder / "log").read_text()
    assert "sudo -v" not in asked and "sudo env DEBIAN_FRONTEND=noninteractive apt-get" in asked
    assert "apt-get -q" in asked and " install -y" in asked and "libuv1-dev" in asked


def test_who_has_a_terminal_is_asked_for_a_password(folder):
    done = install(folder, terminal=True, WANTS_PASSWORD="1")
    assert "sudo may ask for your password" in done.stdout and "sudo -v" in (folder / "log").read_text()


def test_a_password_that_nobody_can_type_is_said(folder):
    done = install(folder, WANTS_PASSWORD="1")
    assert done.returncode != 0 and "there is no terminal to type it. As root: apt-get update" in done.stdout
    assert "apt-get" not in (folder / "log").read_text().replace("sudo -n true", "")


def test_what_is_being_installed_is_shown(folder):
    """apt can take minutes: whoever waits sees that it goes on."""
    steps = {"Get:7 http://debian.example bookworm/main amd64 ninja-build amd64 1.11 [130 kB]": "fetches ninja-build",
             "Unpacking g++-12 (12.2.0-14) ...": "unpacking g++-12",
             "Setting up libuv1-dev:amd64 (1.44.2-1) ...": "setting up libuv1-dev"}
    waits = "".join(f"echo '{line}'; until [ -e \"$FAKES/seen{at}\" ]; do sleep 0.1; done\n"
                    for at, line in enumerate(steps))
    (folder / "apt-get").write_text(f"#!/bin/sh\ncase \"$*\" in *install*) ;; *) exit 0 ;; esac\n{waits}")
    own, theirs = os.openpty()
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    process = subprocess.Popen(["setsid", "--wait", folder / "dev", "install-deps", "build"], stdin=theirs, stdout=theirs,
                               stderr=theirs, env=environment(folder), **user)
    os.close(theirs)
    try:
        shown = b""
        for at, words in enumerate(steps.values()):
            while words.encode() not in shown:
                shown += os.read(own, 4096)
            (folder / f"seen{at}").touch()
        while process.poll() is None:
            shown += os.read(own, 4096)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(own)
        process.wait(30)
    assert process.returncode == 0, shown
