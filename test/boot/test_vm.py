"""The day of a node once more, shorter, in a virtual machine: where systemd-nspawn can't be used,
and with NODEBEAT_TEST_VM=1. An emulated processor is twenty times slower, so times are generous;
what only a kernel of its own enforces is shown here alone."""

import json
import os
import tempfile
from pathlib import Path

import conftest
import machine as machines
import pytest
import vm as virtual
from support.waiting import wait_until

SLOW = 60  # seconds, of whatever an emulated processor has to do
REDIS = "redis-cli -s /run/cell/redis.sock --raw"


@pytest.fixture(scope="module")
def vm():
    if machines.why_not() is None and not os.environ.get("NODEBEAT_TEST_VM"):
        pytest.skip("systemd-nspawn boots it here; NODEBEAT_TEST_VM=1 wants this, too")
    reason = virtual.why_not()
    if reason:
        pytest.skip(reason)
    packages, build = conftest.packages_or_build()
    base = virtual.base_tree(conftest.libraries_of(packages, build))
    folder = Path(tempfile.mkdtemp(prefix="nodebeat-vm-tree."))
    made = None
    try:
        machines.check(["cp", "-a", "--reflink=auto", f"{base}/.", folder])
        conftest.install(machines.Tree(folder), packages, build)
        made = virtual.VirtualMachine(folder)
        machines.remove(folder)
        made.start(seconds=240)
        yield made
    finally:
        if made:
            made.stop()
        if folder.exists():
            machines.remove(folder)


def until(look, what):
    return wait_until(look, SLOW, what)


def health(vm):
    text = vm.run(f"{REDIS} hget node:health:hog health", ok=False).strip()
    return json.loads(text) if text.startswith("{") else None


def wait_for_beat(vm, good=lambda h: True):
    def look():
        found = health(vm)
        return found if found and good(found) else None

    return until(look, lambda: f"a beat; the last: {health(vm)}\n{vm.journal('nodebeat')}")


def wait_active(vm, unit="nodebeat"):
    until(lambda: vm.show(unit, "ActiveState") == "active", lambda: vm.journal(unit))
    return vm.show(unit, "MainPID")


def last_runs(vm):
    """What beats have told of the runs before theirs, oldest first, as the node's history has it."""
    text = vm.run(f"{REDIS} xrange stream:node_metrics:hog - +")
    healths = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [h["last_run"] for h in healths if "last_run" in h]


def test_enabled_at_boot_and_ready_without_redis(vm):
    assert vm.run("cat /proc/1/comm").strip() == "systemd"
    wait_active(vm)
    assert vm.run("systemctl is-enabled nodebeat").strip() == "enabled"
    assert vm.show("cell-redis", "ActiveState") == "inactive"
    until(lambda: "trying again" in vm.show("nodebeat", "StatusText"), "trouble in the status")


def test_it_beats_as_soon_as_redis_is_there(vm):
    vm.run("systemctl start cell-redis")
    assert wait_for_beat(vm)["is_reachable"]


def test_killed_it_is_back_and_tells(vm):
    instance = wait_for_beat(vm)["instance_id"]
    vm.run("systemctl kill --signal=KILL nodebeat")
    beat = wait_for_beat(vm, lambda h: h["instance_id"] != instance)
    assert beat["is_reachable"]
    last = until(lambda: last_runs(vm), "the history to tell of the run before")[-1]
    assert last["instance_id"] == instance and last["how"] == "signal KILL"
    wait_active(vm)


def test_the_watchdog_finds_a_hung_agent(vm):
    pid = wait_active(vm)
    instance = wait_for_beat(vm)["instance_id"]
    vm.run(f"kill -STOP {pid}")
    wait_for_beat(vm, lambda h: h["instance_id"] != instance)
    last = until(lambda: [u for u in last_runs(vm) if u["instance_id"] == instance], "the watchdog told")
    assert last[-1]["how"].startswith("watchdog")


def test_reload_with_a_good_and_with_a_bad_file(vm):
    pid = wait_active(vm)
    file = "/etc/nodebeat/nodebeat.toml"
    vm.run(f"cp {file} /root/good && sed -i 's/200ms/100ms/' {file} && systemctl reload nodebeat")
    until(lambda: "'heartbeat.interval' has changed" in vm.journal("nodebeat"), "the change told")
    vm.run(f"sed -i 's/^interval = .100ms/intervall = \"1s/' {file}")
    assert "failed" in vm.run("systemctl reload nodebeat || echo failed")
    assert "key 'heartbeat.intervall': unknown key" in vm.journal("nodebeat")
    vm.run(f"cp /root/good {file} && systemctl reload nodebeat")
    assert wait_active(vm) == pid


# --- the limits -----------------------------------------------------------------------------------


def group(vm, name, unit="nodebeat"):
    return vm.run(f"cat /sys/fs/cgroup{vm.show(unit, 'ControlGroup')}/{name}").strip()


def test_the_kernel_holds_it_to_its_limits_and_it_lives_far_below(vm):
    assert group(vm, "memory.max") == str(128 << 20) == vm.show("nodebeat", "MemoryMax")
    assert group(vm, "memory.swap.max") == "0"
    assert group(vm, "pids.max") == "48" == vm.show("nodebeat", "TasksMax")
    # The most it has had, with all its probes, a crash, reloads and the pages of its own file.
    peak = int(group(vm, "memory.peak"))
    tasks = int(group(vm, "pids.current"))
    print(f"memory.peak {peak / 2**20:.1f} MiB, tasks {tasks}")
    assert peak < 32 << 20 and tasks <= 12


def test_full_lanes_and_many_clients_stay_within_the_limits(vm):
    """64 clients, and more than the outbox may hold while Redis is away."""
    vm.run("systemctl stop cell-redis")
    vm.run(r"""
        value=$(head -c 3000 /dev/zero | tr '\0' x)
        for client in $(seq 60); do nodebeatctl watch "bench:$client" >/dev/null 2>&1 & echo $!; done >/root/clients
        i=0
        while [ $i -lt 2500 ]; do
          i=$((i + 1))
          echo "{\"method\":\"state.set\",\"params\":{\"key\":\"cell/$i\",\"value\":\"$value\"}}"
          echo "{\"method\":\"event.publish\",\"params\":{\"channel\":\"cell\",\"event\":{\"v\":\"$value\"}}}"
        done >/root/pushes
        nodebeatctl push </root/pushes >/root/said 2>&1
        true""", seconds=200)
    stats = json.loads(vm.run("nodebeatctl call agent.stats"))
    peak, tasks = int(group(vm, "memory.peak")), int(group(vm, "pids.current"))
    print(f"full: memory.peak {peak / 2**20:.1f} MiB, tasks {tasks}")
    said = vm.run("tail -n 3 /root/said")
    assert stats["outbox"]["event_bytes"] > 900_000, (stats, said)
    assert peak < 64 << 20 and tasks <= 12
    assert "oom" not in group(vm, "memory.events").replace("oom 0", "").replace(
        "oom_kill 0", "").replace("oom_group_kill 0", "")
    vm.run("kill $(cat /root/clients); systemctl start cell-redis")
    wait_for_beat(vm, lambda h: h["is_reachable"])


def drop_in(vm, text):
    """Over the unit's own settings until the next call; restarts it."""
    folder = "/etc/systemd/system/nodebeat.service.d"
    vm.run(f"mkdir -p {folder} && printf '[Service]\\n{text}' >{folder}/test.conf && "
           "systemctl daemon-reload && systemctl restart nodebeat")
    wait_active(vm)


def test_out_of_memory_it_is_ended_and_the_next_run_says_so(vm):
    """The pushes of the test before, with room for half of them."""
    drop_in(vm, "MemoryMax=3M\\n")
    instance = wait_for_beat(vm, lambda h: h["is_reachable"])["instance_id"]
    vm.run("systemctl stop cell-redis; nodebeatctl push </root/pushes >/dev/null 2>&1; "
           "systemctl start cell-redis", seconds=SLOW)
    wait_for_beat(vm, lambda h: h["instance_id"] != instance)
    assert "oom-kill" in vm.journal("nodebeat")
    last = until(lambda: [u for u in last_runs(vm) if u["instance_id"] == instance], "it to be told")
    # systemd hears of the signal or of its reason first.
    assert last[-1]["how"] in ("oom-kill KILL", "signal KILL")
    drop_in(vm, "")


def test_an_address_that_is_denied_is_not_reached_and_that_is_said(vm):
    drop_in(vm, "IPAddressAllow=\\nIPAddressDeny=any\\n")
    until(lambda: "trying again" in vm.show("nodebeat", "StatusText"), "the trouble to be said")
    said = vm.show("nodebeat", "StatusText")
    print(said)
    assert "127.0.0.1:6379" in said
    drop_in(vm, "")
    wait_for_beat(vm, lambda h: h["is_reachable"])


# --- socket activation and the end ----------------------------------------------------------------


def test_with_socket_activation_a_push_while_it_is_down_is_not_lost(vm):
    vm.run("systemctl stop nodebeat && systemctl enable --now nodebeat.socket")
    assert not health(vm)["is_reachable"]
    vm.run("nodebeatctl set --no-wait cell/while-down 42", seconds=SLOW)
    until(lambda: vm.run(f"{REDIS} get cell/while-down").strip() == "42", "the push to arrive")
    wait_active(vm)


def test_a_stop_says_so(vm):
    wait_for_beat(vm, lambda h: h["is_reachable"])
    took = vm.run("a=$(date +%s%N); systemctl stop nodebeat.socket nodebeat; echo $((($(date +%s%N)-a)/1000000))")
    print(f"stop took {took.strip()} ms, emulated")
    beat = health(vm)
    assert beat["is_reachable"] is False and beat["reason"] == "stopped"
    assert vm.show("nodebeat", "Result") == "success"
