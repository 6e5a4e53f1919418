"""One boot for all tests here: they go through a day of one machine, in their order."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
pytest.register_assert_rewrite("support", "machine")

import machine as machines  # noqa: E402

# Time is up (timeout): what is mounted and what runs goes all the same.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

DATA = machines.ROOT / "test" / "data" / "health" / "raspberry-pi-5" / "sys"

CONFIG = """\
config_version = 1
[node]
name = "hog"
[heartbeat]
interval = "200ms"
ttl = "5s"
[redis]
url = "redis://127.0.0.1:6379"
backoff_cap = "500ms"
[health]
disks = ["/", "/home", "/srv", "/tmp", "/mnt"]
[[probe]]
name = "other-user"
type = "process"
command = "sleep 98765"
interval = "1s"
[[probe]]
name = "unit"
type = "systemd"
unit = "robot.service"
interval = "1s"
[[probe]]
name = "no-unit"
type = "systemd"
unit = "no-such.service"
interval = "1s"
[[probe]]
name = "socket"
type = "unix"
path = "/run/cell/redis.sock"
interval = "1s"
[[probe]]
name = "home-socket"
type = "unix"
path = "/home/robot.sock"
interval = "1s"
[[probe]]
name = "port"
type = "tcp"
address = "127.0.0.1:6379"
interval = "1s"
[[probe]]
name = "web"
type = "http"
url = "http://127.0.0.1:8080/"
interval = "1s"
"""

UNITS = {
    "cell-redis.service": """\
[Service]
Type=notify
RuntimeDirectory=cell
ExecStart=/usr/bin/redis-server --supervised systemd --unixsocket /run/cell/redis.sock \\
    --unixsocketperm 777 --save "" --dir /run/cell
""",
    "robot.service": """\
[Service]
User=daemon
ExecStart=/bin/sleep 98765
[Install]
WantedBy=multi-user.target
""",
    "home.socket": """\
[Socket]
ListenStream=/home/robot.sock
Accept=yes
[Install]
WantedBy=sockets.target
""",
    "home@.service": "[Service]\nExecStart=/bin/true\n",
    "web.socket": """\
[Socket]
ListenStream=127.0.0.1:8080
Accept=yes
[Install]
WantedBy=sockets.target
""",
    # A probe may end in the middle. The instance has failed then, and is forgotten.
    "web@.service": """\
[Unit]
CollectMode=inactive-or-failed
[Service]
ExecStart=/bin/sh -c 'read line; printf "HTTP/1.1 200 OK\\\\r\\\\nContent-Length: 0\\\\r\\\\n\\\\r\\\\n"; cat >/dev/null'
StandardInput=socket
StandardOutput=socket
TimeoutStartSec=2
RuntimeMaxSec=2
""",
}


def packages_or_build():
    """The packages of ./dev package, if their folder is named; else a build folder to install."""
    folder = os.environ.get("NODEBEAT_BOOT_PACKAGES")
    if folder:
        arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True,
                              text=True).stdout.strip()
        found = sorted(deb for deb in Path(folder).glob(f"*_{arch}.deb") if "-dev_" not in deb.name)
        assert found, f"no packages for {arch} in {folder}: ./dev package makes them"
        return found, None
    build = os.environ.get("NODEBEAT_BOOT_BUILD")
    assert build, "name what to boot: NODEBEAT_BOOT_PACKAGES (a folder of .deb) or NODEBEAT_BOOT_BUILD"
    return [], Path(build)


def libraries_of(packages, build):
    names = ("agent/nodebeatd", "ctl/nodebeatctl", "gate/nodebeat-gate")
    programs = [build / "src" / name for name in names] if build else []
    return machines.wanted_libraries(packages, programs)


def install(tree, packages, build):
    """What both kinds of machine have in common: the agent, its configuration, what it looks at."""
    tree.write("/etc/nodebeat/nodebeat.toml", CONFIG)
    tree.install(packages, build)
    for name, text in UNITS.items():
        tree.write(f"/etc/systemd/system/{name}", text)
    # A call that the filter refuses ends the agent here, instead of failing in silence.
    for unit in ("nodebeat", "nodebeat@"):
        tree.write(f"/etc/systemd/system/{unit}.service.d/strict.conf",
                   "[Service]\nSystemCallErrorNumber=kill\n")
    tree.chroot("systemctl", "disable", "redis-server")
    tree.chroot("systemctl", "enable", "robot.service", "home.socket", "web.socket")


@pytest.fixture(scope="session")
def machine():
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    packages, build = packages_or_build()
    made = machines.Machine(machines.base_tree(libraries_of(packages, build)))
    try:
        install(made, packages, build)
        # A GPU without a driver, and the sensors of another computer.
        lib = made.tree / "usr" / "lib" / "libnvidia-ml.so.1"
        machines.check(["cc", "-shared", "-fPIC", "-pthread", "-o", lib,
                        machines.ROOT / "test/support/fake_nvml.c"])
        made.chroot("ldconfig")
        shutil.copytree(DATA, made.tree / "fake-sys")
        made.start("--tmpfs=/home:mode=0755,size=8M", "--tmpfs=/srv:mode=0755,size=8M")
        yield made
    finally:
        made.stop()
