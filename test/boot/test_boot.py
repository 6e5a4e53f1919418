"""nodebeat as a service of a real systemd, from boot to the last stop. The tests go on from one
another: each finds the machine as the one before has left it."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import redis
from support.gate import META
from support.rpc import Client
from support.waiting import wait_until

SOCKET = "/run/nodebeat/agent.sock"
ready_times = []  # ms from fork to ready, of each start


@pytest.fixture
def server(machine):
    """A client of the cell's Redis, which is in the machine."""
    return redis.Redis(unix_socket_path=f"{machine.root}/run/cell/redis.sock", decode_responses=True)


def client_in(machine):
    """A client of the agent's socket. The link that nodebeat.socket makes is for programs in there."""
    path = f"{machine.root}{SOCKET}"
    return Client(f"{machine.root}{os.readlink(path)}" if os.path.islink(path) else path)


def health(server, node="hog"):
    text = server.hget(f"node:health:{node}", "health")
    return json.loads(text) if text else None


def wait_for_beat(server, good=lambda h: True, node="hog", timeout=10):
    def look():
        found = health(server, node)
        return found if found and good(found) else None

    return wait_until(look, timeout, lambda: f"a beat of {node}; the last: {health(server, node)}",
                      ignoring=(redis.ConnectionError, FileNotFoundError))


def wait_active(machine, unit="nodebeat.service", timeout=10):
    wait_until(lambda: machine.show(unit, "ActiveState") == "active", timeout,
               lambda: f"{unit} is not active: {machine.journal(unit)}")
    pid = int(machine.show(unit, "MainPID"))
    if unit == "nodebeat.service":
        begin, ready = (int(machine.show(unit, name + "TimestampMonotonic"))
                        for name in ("ExecMainStart", "ActiveEnter"))
        ready_times.append((ready - begin) / 1000)
    return pid


def in_host(machine, pid):
    """The number that a process of the machine has here."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/status") as file:
                numbers = re.search(r"^NSpid:\s+(.*)$", file.read(), re.M)[1].split()
            same = os.readlink(f"/proc/{entry.name}/ns/pid")
        except (OSError, TypeError):
            continue
        if int(numbers[-1]) == pid and same == os.readlink(f"/proc/{machine.leader}/ns/pid"):
            return int(entry.name)
    raise AssertionError(f"no process {pid} in the machine")


class Events:
    """What was said on a node's channel since it was made."""

    def __init__(self, server, node="hog"):
        self.subscription = server.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe(f"node:events:{node}")
        self.subscription.get_message(timeout=5)
        self.seen = []

    def wait_for(self, kind, timeout=10):
        def look():
            message = self.subscription.get_message(timeout=0.05)
            if message:
                self.seen.append(json.loads(message["data"]))
            return next((e for e in self.seen if e["type"] == kind), None)

        return wait_until(look, timeout, lambda: f"{kind} in {self.seen}")


# --- the boot -----------------------------------------------------------------------------------


def test_enabled_at_boot_and_ready_without_redis(machine):
    wait_active(machine)
    assert machine.show("cell-redis.service", "ActiveState") == "inactive"
    assert machine.systemctl("is-enabled", "nodebeat.service").stdout.strip() == "enabled"
    status = wait_until(lambda: machine.show("nodebeat.service", "StatusText"))
    wait_until(lambda: "trying again" in machine.show("nodebeat.service", "StatusText"))
    assert "node hog" in status
    answer = client_in(machine).call("agent.stats")
    assert answer["node_id"] == "hog" and answer["link"]["state"] != "steady"


def test_it_beats_as_soon_as_redis_is_there(machine, server):
    machine.systemctl("start", "cell-redis")
    beat = wait_for_beat(server)
    assert beat["is_reachable"] and "last_run" not in beat
    wait_until(lambda: "connected" in machine.show("nodebeat.service", "StatusText"))


def test_how_this_boot_ends_will_be_known_to_the_next(machine):
    assert machine.show("nodebeat-boot.service", "ActiveState") == "active"
    assert machine.run("cat", "/var/lib/nodebeat-boot/state").stdout.startswith("running ")


def test_it_runs_as_its_own_user(machine):
    pid = machine.show("nodebeat.service", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    uid = machine.run("id", "-u", "nodebeat").stdout.strip()
    assert re.search(rf"^Uid:\s+{uid}\s", status, re.M)
    for capabilities in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        assert re.search(rf"^{capabilities}:\s+0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert machine.show("nodebeat", "SystemCallErrorNumber") != "1"  # it would be killed, not EPERM


def test_it_can_execute_nothing_else_and_listen_nowhere(machine):
    pid = machine.show("nodebeat.service", "MainPID")
    inside = ["nsenter", "-t", pid, "-m", "--"]
    assert machine.run(*inside, "/bin/sh", "-c", "exit 0").returncode == 0
    refused = machine.run(*inside, "/usr/bin/env", ok=False)
    assert refused.returncode == 126 and "Permission denied" in refused.stderr
    ipc = [machine.run("readlink", f"/proc/{n}/ns/ipc").stdout for n in (pid, 1)]
    assert ipc[0] != ipc[1]
    assert machine.show("nodebeat.service", "SocketBindDeny") == "any"


def test_who_is_in_its_group_may_use_its_socket(machine, server):
    push = ["nodebeatctl", "set", "cell/mode", '"auto"']
    as_daemon = ["setpriv", "--reuid=daemon", "--regid=daemon"]
    assert machine.run(*as_daemon, "--clear-groups", *push, ok=False).returncode != 0
    machine.run(*as_daemon, "--groups=nodebeat", *push)
    wait_until(lambda: server.get("cell/mode") == '"auto"')


def test_who_may_only_look_is_in_another_group(machine, server):
    view = "/run/nodebeat/view.sock"
    assert machine.run("stat", "-c", "%U %G %a", view).stdout.split() == ["nodebeat", "nodebeat-view", "660"]
    ctl = ["env", f"NODEBEAT_SOCKET={view}", "nodebeatctl"]
    as_daemon = ["setpriv", "--reuid=daemon", "--regid=daemon"]
    assert machine.run(*as_daemon, "--clear-groups", *ctl, "status", ok=False).returncode == 3
    machine.run(*as_daemon, "--groups=nodebeat-view", *ctl, "status")
    refused = machine.run(*as_daemon, "--groups=nodebeat-view", *ctl, "set", "cell/mode", "1", ok=False)
    assert refused.returncode == 8 and "needs the right 'state'" in refused.stderr


# --- what it sees -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(machine):
    """(inside, outside): the healths of the service and of an agent of the same configuration that
    runs as root and in no sandbox. Half of a file system is full, a file system is mounted after
    the service's start, and the processors are busy."""
    server = redis.Redis(unix_socket_path=f"{machine.root}/run/cell/redis.sock", decode_responses=True)
    # Before its start, as the driver would: the sandbox has the devices of that moment.
    for name in ("nvidiactl", "nvidia0"):
        machine.run("mknod", "-m", "666", f"/dev/{name}", "c", "195", "0")
    for name in ("class", "devices/platform"):  # a kernel may lack class/hwmon
        machine.run("mount", "--bind", f"/fake-sys/{name}", f"/sys/{name}")
    machine.systemctl("restart", "nodebeat")
    wait_active(machine)
    for folder, size in (("home", 3), ("srv", 6)):
        with open(machine.root / folder / "hog", "wb") as file:
            file.write(b"x" * (size << 20))
    machine.run("mount", "-t", "tmpfs", "-o", "size=8M", "late", "/mnt")
    machine.run("sh", "-c", "head -c 2000000 /dev/zero >/mnt/hog")
    busy = [machine.spawn("sh", "-c", "while :; do :; done") for _ in range(os.cpu_count())]
    outside = machine.spawn("env", "NODEBEAT_NODE=outside", "nodebeatd", "--config",
                            "/etc/nodebeat/nodebeat.toml", "--socket", "")
    try:
        for node in ("hog", "outside"):
            first = wait_for_beat(server, node=node)["seq"]
            wait_for_beat(server, node=node, good=lambda h: h["seq"] > first + 10 and all(
                p["up"] is not None for p in h["probes"]) and len(h["disks"]) == 5)
        yield health(server), health(server, "outside")
    finally:
        for process in (*busy, outside):
            process.terminate()
            process.wait(10)


def test_inside_the_sandbox_it_sees_what_is_outside(seen):
    inside, outside = seen
    # Not boot_id: systemd-nspawn lays one of its own over the kernel's.
    same = ("memory_total_bytes", "gpu_available", "gpu_percent", "gpu_memory_percent",
            "gpu_name", "temperature_c", "temperatures", "throttled", "agent_version")
    for field in same:
        assert inside.get(field) == outside.get(field), field
    assert set(inside) == set(outside)
    # What the fake hardware says is really there.
    assert inside["gpu_available"] and inside["temperatures"] and inside["throttled"]


@pytest.mark.parametrize("field, tolerance", [
    ("cpu_percent", 30), ("memory_percent", 1), ("disk_percent", 1), ("load_1", 1), ("uptime_s", 2)])
def test_inside_the_sandbox_it_measures_what_is_outside(seen, field, tolerance):
    inside, outside = seen
    assert abs(inside[field] - outside[field]) <= tolerance
    assert inside[field] > 0


def test_inside_the_sandbox_it_sees_every_file_system(seen):
    inside, outside = ({d["path"]: d["percent"] for d in h["disks"]} for h in seen)
    assert set(inside) == {"/", "/home", "/srv", "/tmp", "/mnt"}
    for path, percent in outside.items():
        assert abs(inside[path] - percent) <= 1, path
    assert 30 < inside["/home"] < 45 and 70 < inside["/srv"] < 80 and 20 < inside["/mnt"] < 30


def test_inside_the_sandbox_it_sees_every_interface_and_pressure(seen):
    inside, outside = seen
    names = [{n["interface"] for n in h.get("network", [])} for h in seen]
    assert names[0] == names[1]
    assert ("pressure" in inside) == ("pressure" in outside)


def test_inside_the_sandbox_probes_tell_the_truth(seen):
    inside, outside = ({p["name"]: (p["up"], p["detail"]) for p in h["probes"]} for h in seen)
    assert {name for name, (up, _) in inside.items() if not up} == {"no-unit"}
    assert {n: up for n, (up, _) in inside.items()} == {n: up for n, (up, _) in outside.items()}
    assert inside["no-unit"][1] == outside["no-unit"][1]


def test_inside_the_sandbox_are_the_gpus_devices_and_no_others(machine, seen):
    """Its library asks the driver by these files; and a Raspberry Pi's firmware by another, which
    is the group video's."""
    machine.run("sh", "-c", "mknod -m 660 /dev/vcio c 100 0 && chgrp video /dev/vcio")
    machine.systemctl("restart", "nodebeat")
    wait_active(machine)
    pid = machine.show("nodebeat", "MainPID")
    groups = re.search(r"^Groups:(.*)$", machine.run("cat", f"/proc/{pid}/status").stdout, re.M)[1]
    assert machine.run("getent", "group", "video").stdout.split(":")[2] in groups.split()
    devices = machine.run("ls", f"/proc/{pid}/root/dev").stdout.split()
    assert {"nvidiactl", "nvidia0", "vcio"} <= set(devices)
    assert not {"mem", "kmsg", "kvm", "console", "fuse"} & set(devices)


# --- crashes ------------------------------------------------------------------------------------


def test_killed_it_is_back_within_two_seconds_and_tells(machine, server):
    instance = client_in(machine).call("agent.stats")["instance_id"]
    wait_for_beat(server, lambda h: h["instance_id"] == instance)
    events = Events(server)
    began = time.monotonic()
    machine.systemctl("kill", "--signal=KILL", "nodebeat")
    up = events.wait_for("node_up")
    assert time.monotonic() - began < 2
    last = up["last_run"]
    assert last["clean"] is False and last["how"] == "signal KILL"
    assert last["instance_id"] == instance
    history = [json.loads(f["health"]) for _, f in server.xrange("stream:node_metrics:hog")]
    assert [h["last_run"] for h in history if "last_run" in h] == [last]
    wait_active(machine)


def test_the_watchdog_finds_a_hung_agent(machine, server):
    """With a second agent of this computer, since the service's own ten seconds are long."""
    text = (machine.root / "etc/nodebeat/nodebeat.toml").read_text()
    machine.write("/etc/nodebeat/eek.toml", text.replace('"hog"', '"eek"'))
    machine.write("/etc/systemd/system/nodebeat@eek.service.d/quick.conf",
                  "[Service]\nWatchdogSec=600ms\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "nodebeat@eek")
    pid = wait_active(machine, "nodebeat@eek")
    wait_for_beat(server, node="eek")
    stats = Client(f"{machine.root}/run/nodebeat-eek/agent.sock").call("agent.stats")
    assert stats["node_id"] == "eek"
    wait_for_beat(server, node="eek", good=lambda h: h["seq"] > 10)  # more than the watchdog's time
    assert machine.show("nodebeat@eek", "NRestarts") == "0"
    events = Events(server, "eek")
    os.kill(in_host(machine, pid), signal.SIGSTOP)
    up = events.wait_for("node_up")
    assert up["last_run"]["how"].startswith("watchdog")
    assert machine.show("nodebeat@eek", "NRestarts") == "1"
    machine.systemctl("stop", "nodebeat@eek")


# --- reload and stop ----------------------------------------------------------------------------


def test_reload_with_a_good_and_with_a_bad_file(machine, server):
    file = machine.root / "etc/nodebeat/nodebeat.toml"
    good = file.read_text()
    pid = machine.show("nodebeat", "MainPID")
    seq = wait_for_beat(server)["seq"]

    file.write_text(good.replace('interval = "200ms"', 'interval = "100ms"', 1))
    machine.systemctl("reload", "nodebeat")
    wait_until(lambda: "'heartbeat.interval' has changed" in machine.journal("nodebeat"))

    file.write_text(good.replace("interval =", "intervall =", 1))
    refused = machine.systemctl("reload", "nodebeat", ok=False)
    assert refused.returncode != 0
    said = machine.journal("nodebeat")
    assert "nodebeat.toml:5: key 'heartbeat.intervall': unknown key" in said
    assert machine.show("nodebeat", "ActiveState") == "active"

    file.write_text(good)
    machine.systemctl("reload", "nodebeat")
    wait_until(lambda: machine.journal("nodebeat").count("the configuration was read again") == 2)
    assert machine.show("nodebeat", "MainPID") == pid
    wait_for_beat(server, lambda h: h["seq"] > seq and h["is_reachable"])


def test_a_stop_says_so_within_a_second_and_is_no_crash(machine, server):
    wait_for_beat(server)
    events = Events(server)
    began = time.monotonic()
    stopping = machine.spawn("systemctl", "stop", "nodebeat")
    wait_for_beat(server, lambda h: not h["is_reachable"], timeout=1)
    assert time.monotonic() - began < 1
    assert stopping.wait(10) == 0
    assert machine.show("nodebeat", "Result") == "success"
    events.wait_for("node_down")
    machine.systemctl("start", "nodebeat")
    assert "last_run" not in events.wait_for("node_up")
    wait_active(machine)


# --- what keeps it from starting ----------------------------------------------------------------

BAD = {  # name: drop-in, configuration, exit code, words
    "twin": ("Environment=NODEBEAT_SOCKET_PATH=/run/nodebeat/agent.sock\n"
             "ReadWritePaths=/run/nodebeat\n", "", 69, "is in use: process"),
    "readonly": ("Environment=NODEBEAT_SOCKET_PATH=/usr/agent.sock\n", "", 73,
                 "Read-only file system"),
    "norun": ("Environment=NODEBEAT_SOCKET_PATH=/run/nowhere/at/all/agent.sock\n", "", 72,
              "/run/nowhere/at/all"),
    "owner": ("Environment=NODEBEAT_SOCKET_PATH=/run/foreign/agent.sock\n"
              "ReadWritePaths=/run/foreign\n", "", 77, "Permission denied"),
    "full": ("Environment=NODEBEAT_SOCKET_PATH=/run/full/agent.sock\n"
             "ReadWritePaths=/run/full\n", "", 74, "No space left"),
    "version": ("", "config_version = 7\n", 65, "/etc/nodebeat/version.toml:1: key 'config_version'"),
    "wrong": ("", "[log]\nlevel = 3\n", 78, "/etc/nodebeat/wrong.toml:2: key 'log.level'"),
    "usage": ("ExecStart=\nExecStart=/usr/sbin/nodebeatd --no-such-flag\n", "", 64, "no-such-flag"),
    "group": ("Group=no-such-group\n", "", 216, "Failed to determine group credentials"),
    "afile": ("", "", 233, "Failed to set up special execution directory in /run"),
}


@pytest.fixture(scope="module")
def bad_units(machine):
    for folder in ("/run/foreign", "/run/full"):
        machine.run("mkdir", folder)
    machine.run("mount", "-t", "tmpfs", "-o", "mode=777,nr_inodes=2", "full", "/run/full")
    machine.run("touch", "/run/full/last", "/run/nodebeat-afile")
    for name, (drop_in, config, _, _) in BAD.items():
        machine.write(f"/etc/systemd/system/nodebeat@{name}.service.d/bad.conf",
                      "[Service]\n" + drop_in)
        machine.write(f"/etc/nodebeat/{name}.toml", f'{config}[node]\nname = "{name}"\n')
    machine.systemctl("daemon-reload")
    machine.systemctl("start", *(f"nodebeat@{name}" for name in BAD), ok=False)


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_start_is_told_once_and_not_tried_again(machine, bad_units, name):
    _, _, code, words = BAD[name]
    unit = f"nodebeat@{name}.service"
    assert words in machine.journal(unit)
    assert machine.show(unit, "ExecMainStatus") == str(code)
    assert machine.show(unit, "ActiveState") == "failed"
    assert machine.show(unit, "NRestarts") == "0"


# --- socket activation --------------------------------------------------------------------------


def test_with_socket_activation_a_push_while_it_is_down_is_not_lost(machine, server):
    machine.systemctl("stop", "nodebeat")
    machine.systemctl("enable", "--now", "nodebeat.socket")
    assert machine.show("nodebeat", "ActiveState") == "inactive"
    assert not health(server)["is_reachable"]
    status = machine.run("stat", "-L", "-c", "%U %G %a", SOCKET).stdout.split()
    assert status == ["nodebeat", "nodebeat", "660"]
    # systemd made it as root: nobody else may have put a link in its way.
    target = machine.run("readlink", SOCKET).stdout.strip()
    folder = machine.run("stat", "-c", "%U %a", os.path.dirname(target)).stdout.split()
    assert folder == ["root", "755"]

    client_in(machine).notify("state.set", {"key": "cell/while-down", "value": 42})
    wait_until(lambda: server.get("cell/while-down") == "42")
    wait_active(machine)

    # And across a restart and a crash of the daemon: the socket lives on.
    machine.systemctl("stop", "nodebeat", ok=False)
    client_in(machine).notify("state.set", {"key": "cell/stopped", "value": 43})
    wait_until(lambda: server.get("cell/stopped") == "43")
    pid = wait_active(machine)
    os.kill(in_host(machine, pid), signal.SIGKILL)
    wait_until(lambda: machine.show("nodebeat", "MainPID") in ("0", ""))
    client_in(machine).notify("state.set", {"key": "cell/crashed", "value": 44})
    wait_until(lambda: server.get("cell/crashed") == "44")
    wait_for_beat(server, lambda h: h["is_reachable"])
    wait_active(machine)


def test_when_its_socket_unit_stops_the_agent_is_still_reached(machine, server):
    machine.systemctl("disable", "--now", "nodebeat.socket")
    for value in ("after", "restarted"):
        wait_active(machine)
        client_in(machine).notify("state.set", {"key": "cell/socket", "value": value})
        wait_until(lambda: server.get("cell/socket") == f'"{value}"')
        machine.systemctl("restart", "nodebeat")


def test_what_does_not_start_is_not_tried_for_ever_by_the_socket(machine, server):
    config = Path(f"{machine.root}/etc/nodebeat/nodebeat.toml")
    right = config.read_text()
    machine.systemctl("stop", "nodebeat")
    machine.systemctl("enable", "--now", "nodebeat.socket")
    config.write_text("[log]\nlevel = 3\n")
    waiting = client_in(machine)
    waiting.notify("state.set", {"key": "cell/waiting", "value": 1})
    wait_until(lambda: machine.show("nodebeat.socket", "Result") == "trigger-limit-hit")
    wait_until(lambda: machine.show("nodebeat", "ActiveState") == "failed")
    assert machine.show("nodebeat", "ExecMainStatus") == "78"
    assert machine.journal("nodebeat").count("key 'log.level'") <= 11

    config.write_text(right)
    machine.systemctl("restart", "nodebeat.socket", "nodebeat")
    wait_active(machine)
    client_in(machine).notify("state.set", {"key": "cell/mended", "value": 45})
    wait_until(lambda: server.get("cell/mended") == "45")


# --- the gate -----------------------------------------------------------------------------------


def http_in(machine, path):
    """The answer, head and body; empty if there is none."""
    request = f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n"
    talk = f"exec 3<>/dev/tcp/127.0.0.1/9809 && printf '{request}' >&3 && cat <&3"
    return machine.run("bash", "-c", talk, ok=False).stdout


def test_the_gate_serves_as_a_user_that_is_nobody_elses(machine):
    machine.write("/etc/default/nodebeat-gate", 'OPTIONS="--http 127.0.0.1:9809"\n')
    machine.systemctl("start", "nodebeat-gate")
    pid = wait_active(machine, "nodebeat-gate.service")
    wait_until(lambda: http_in(machine, "/readyz").startswith("HTTP/1.1 200 "))
    assert "\nnodebeat_agent_up 1\n" in http_in(machine, "/metrics").replace("\r", "")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    assert int(re.search(r"^Uid:\s+(\d+)\s", status, re.M)[1]) >= 61184, "systemd gives dynamic users no less"
    assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^CapEff:\s+0+$", status, re.M)
    view = machine.run("getent", "group", "nodebeat-view").stdout.split(":")[2]
    assert view in re.search(r"^Groups:\s+(.*)$", status, re.M)[1].split()


def test_the_first_client_of_mcp_starts_the_gate(machine):
    machine.systemctl("stop", "nodebeat-gate.service")
    machine.systemctl("start", "nodebeat-gate.socket")
    assert machine.show("nodebeat-gate.service", "ActiveState") == "inactive"
    client = Client(f"{machine.root}/run/nodebeat-mcp.sock")
    status = client.call("tools/call", {"name": "system_status", "arguments": {}, "_meta": META})
    assert status["structuredContent"]["status"]["redis_connected"] is True
    wait_active(machine, "nodebeat-gate.service")
    machine.systemctl("stop", "nodebeat-gate.socket", "nodebeat-gate.service")


# --- the end ------------------------------------------------------------------------------------


def test_it_was_ready_soon_after_each_start(machine):
    """As systemd counts: nearly all of it is the sandbox, which systemd makes before it executes the
    agent. What that takes itself, ./dev bench measures."""
    assert len(ready_times) >= 4
    print(f"fork to ready, ms: {sorted(ready_times)}")
    assert min(ready_times) < 500, ready_times


def test_nothing_else_has_failed(machine):
    failed = machine.systemctl("list-units", "--failed", "--plain", "--no-legend").stdout
    names = {line.split()[0] for line in failed.splitlines()}
    assert names == {f"nodebeat@{name}.service" for name in BAD}
    said = machine.run("journalctl", "--no-pager", "-o", "cat", "-p", "warning", "_PID=1").stdout
    assert "Unknown key" not in said and "ignoring" not in said, said


def test_the_limits_are_in_force(machine):
    assert machine.show("nodebeat", "MemoryMax") == str(128 << 20)
    assert machine.show("nodebeat", "TasksMax") == "48"


def test_the_folder_is_there_at_boot_before_the_agent(machine):
    """As with nodebeat.socket, which else would make it root's."""
    machine.systemctl("disable", "--now", "nodebeat.socket")
    machine.systemctl("stop", "nodebeat")
    machine.run("rm", "-r", "/run/nodebeat")
    machine.run("systemd-tmpfiles", "--create", "--prefix=/run/nodebeat")  # as at boot
    assert machine.run("stat", "-c", "%U %G %a", "/run/nodebeat").stdout == "nodebeat nodebeat 755\n"
    machine.systemctl("start", "nodebeat")
    wait_active(machine)


def test_a_shutdown_of_the_machine_says_good_bye(machine, server):
    """The store of this cell goes at the same time, so it is asked to wait until last."""
    machine.write("/run/systemd/system/cell-redis.service.d/last.conf",
                  "[Unit]\nBefore=nodebeat.service\n")
    machine.systemctl("daemon-reload")
    events = Events(server)
    machine.spawn("systemctl", "poweroff")
    assert events.wait_for("node_down")["reason"] == "stopped"
