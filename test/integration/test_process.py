"""The agent as a process: how it starts, stops, and lives with its surroundings."""

import glob
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from support import processes
from support.fake_redis import answer_all, greet, silent
from support.notify import NotifySocket
from support.probe_targets import SilentListener
from support.waiting import wait_until


# --- SIGTERM at any moment ----------------------------------------------------------------------


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_all_is_well(redis_server, make_agent, notify, sign):
    agent = make_agent(redis_server.url(), notify=notify)
    redis_server.wait_for_beat("ook")
    os.kill(agent.pid, sign)
    agent.wait_ended()
    notify.wait_for("STOPPING")
    assert redis_server.beat("ook").health["is_reachable"] is False


def test_stop_before_the_first_beat(redis_server, make_agent, notify):
    agent = make_agent(redis_server.url(), notify=notify)
    notify.wait_for("READY")
    agent.stop()
    health = redis_server.beat("ook").health
    assert health["is_reachable"] is False
    # The last word is the only one here, and it is measured like any other.
    assert health["memory_percent"] > 0 and health["boot_id"]


@pytest.mark.real_processor("in the first milliseconds the emulator itself has the signal")
def test_a_stop_in_the_first_milliseconds_is_clean(make_agent, closing):
    """However early SIGTERM comes, it is a stop as asked, not a death by signal."""
    listener = closing(SilentListener())
    for _ in range(10):
        agent = make_agent(f"redis://127.0.0.1:{listener.port}")
        wait_until(lambda: "SIGTERM" in held_signals(agent.pid), what="main() has begun")
        agent.stop()  # asserts exit code 0


def held_signals(pid):
    """The names of the signals that a process blocks or handles."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    bits = int(fields["SigBlk"], 16) | int(fields["SigCgt"], 16)
    return {s.name for s in signal.Signals if bits >> (s - 1) & 1}


def test_stop_during_connect(make_agent, closing):
    listener = closing(SilentListener(full=True))
    agent = make_agent(f"redis://127.0.0.1:{listener.port}")
    wait_until(lambda: any(c.status == "SYN_SENT" for c in agent.connections()))
    agent.stop()


def test_stop_during_resolve(make_agent, isolated):
    """With a name server that takes the question and never answers."""
    wrapper, _ = isolated(dead_resolver=True)
    agent = make_agent("redis://cell-redis.example:6379", wrapper=wrapper,
                       settings={"redis.connect_timeout": "60s"})

    def was_asked():
        with open(f"/proc/{agent.pid}/net/udp") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return any(r[1].endswith(":0035") and not r[4].endswith(":00000000") for r in rows)

    wait_until(was_asked, what="a question at the name server", ignoring=(OSError,))
    agent.stop()


def test_a_resolver_that_hangs_has_a_deadline_and_stalls_nothing(make_agent, isolated, notify):
    wrapper, _ = isolated(dead_resolver=True)
    agent = make_agent("redis://cell-redis.example:6379", wrapper=wrapper, notify=notify,
                       env={"WATCHDOG_USEC": 200_000},
                       settings={"redis.connect_timeout": "300ms"})
    agent.wait_for_log("name cannot be looked up.*no answer in time.*trying again", timeout=5)
    seen = len(notify.datagrams)
    wait_until(lambda: len(notify.with_key("WATCHDOG", after=seen)) >= 5, 5)


@pytest.mark.parametrize("script", [silent, lambda c: (greet(c), silent(c))],
                         ids=["greeting", "beat"])
def test_stop_while_waiting_for_a_reply(fake_redis, make_agent, script):
    server = fake_redis(script)
    agent = make_agent(server.url(), settings={"redis.command_timeout": "60s"})
    server.wait_command("CLIENT" if script is silent else "HSET")
    agent.stop()


def test_stop_while_redis_is_stopped(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    redis_server.pause()
    agent.stop()
    redis_server.resume()


def test_stop_between_tries(make_redis, make_agent):
    server = make_redis(start=False)
    agent = make_agent(server.url(), settings={"redis.backoff_base": "30s",
                                               "redis.backoff_cap": "60s"})
    agent.wait_for_log("trying again")
    agent.stop()


def test_stop_while_probes_hang(redis_server, make_agent, closing, isolated):
    wrapper, _ = isolated(dead_resolver=True)
    silent_port = closing(SilentListener()).port
    slow = {"interval": "60s", "timeout": "60s"}
    agent = make_agent(
        redis_server.unix_url(), wrapper=wrapper,
        probes=[
            {"name": "http", "type": "http", "url": f"http://127.0.0.1:{silent_port}/", **slow},
            {"name": "name", "type": "tcp", "address": "somewhere.example:80", **slow},
            {"name": "mcp", "type": "mcp", "url": "http://elsewhere.example/mcp", **slow},
        ],
    )
    redis_server.wait_for_beat("ook")
    agent.stop()
    assert redis_server.beat("ook").health["is_reachable"] is False


def test_sigterm_twice(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    redis_server.pause()  # so that the good-bye takes its time
    agent.terminate()
    agent.wait_for_log("stopping")
    agent.terminate()
    agent.wait_ended()
    redis_server.resume()
    assert len(agent.logged("stopping")) == 1


def test_sighup_during_the_stop_is_no_reload(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    redis_server.pause()
    agent.terminate()
    agent.wait_for_log("stopping")
    agent.reload()
    agent.wait_ended()
    redis_server.resume()
    assert not agent.logged("read again")


@pytest.mark.parametrize("turn", range(6))
def test_signals_without_end_until_it_has_ended(redis_server, make_agent, turn):
    """Also while it is being taken down, and after: a sanitizer sees a handler that comes too late."""
    agent = make_agent(redis_server.url(), settings={"log.level": "error"})
    redis_server.wait_for_beat("ook")
    while agent.process.poll() is None:
        os.kill(agent.pid, signal.SIGTERM)
        os.kill(agent.pid, signal.SIGHUP)
    agent.wait_ended()
    assert redis_server.beat("ook").health["is_reachable"] is False


# --- what may hang ------------------------------------------------------------------------------


@pytest.fixture
def hanging(tmp_path):
    """hanging(path): the environment of a program for which open() of it hangs while there is
    a file PATH.hangs."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path / "hanging_open.so"
    source = Path(__file__).parent / "support" / "hanging_open.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return lambda path: {"LD_PRELOAD": library, "HANGING_PATH": path}


@pytest.mark.real_processor("what is loaded before the agent is for the programs of this one")
def test_a_reload_that_hangs_holds_nothing_up(redis_server, make_agent, plain_program, hanging,
                                              tmp_path):
    """The files of a configuration may lie on a file server that has gone."""
    file = tmp_path / "agent-0" / "nodebeat.toml"
    agent = make_agent(redis_server.url(), program=plain_program, env=hanging(file))
    first = redis_server.wait_for_beat("ook").health["seq"]
    flag = Path(f"{file}.hangs")
    flag.touch()
    agent.reload()
    agent.wait_for_log("still being read")
    assert redis_server.beat("ook").health["seq"] > first + 20
    assert not agent.logged("was read again")
    agent.write_config(heartbeat__interval="200ms")
    flag.unlink()
    agent.wait_for_log("was read again")
    agent.wait_for_log("'heartbeat.interval' has changed")
    flag.touch()
    agent.reload()
    agent.stop()
    flag.unlink()


# --- standard streams and descriptors -----------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"],
                         ids=["stdin and stdout", "stderr", "all three"])
def test_closed_standard_streams(redis_server, make_agent, closed):
    """A descriptor that is free is the next socket's: nothing that is logged may end up there."""
    client = redis_server.client()
    agent = make_agent(
        redis_server.url(), settings={"log.level": "debug"},
        wrapper=["sh", "-c", f'exec "$@" {closed}', "sh"],
    )
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    (mine,) = [c["addr"] for c in client.client_list() if c["name"] == "nodebeat:ook"]
    # Each of these makes it log; a line in the wrong place would be a command that does not exist.
    agent.reload()
    client.execute_command("CLIENT", "KILL", mine)
    wait_until(lambda: any(c["name"] == "nodebeat:ook" and c["addr"] != mine
                           for c in client.client_list()))
    redis_server.wait_for_beat("ook")
    assert not client.info("errorstats")
    agent.stop()


def test_a_reader_of_the_log_that_has_gone(redis_server, make_agent):
    agent = make_agent(redis_server.url(), wrapper=["sh", "-c", 'exec "$@" 2>&1 >/dev/null | true',
                                                    "sh"])
    # The shell ends when the agent does; the agent itself is its child.
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    (child,) = psutil.Process(agent.pid).children()
    child.send_signal(signal.SIGHUP)  # it logs: into a pipe without a reader
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq + 2)
    child.terminate()
    redis_server.wait_for_beat("ook", lambda h: not h["is_reachable"])
    assert agent.process.wait(10) == 0


def test_descriptors_do_not_grow(redis_server, make_agent, proxy):
    way = proxy(redis_server)
    agent = make_agent(way.url(), settings={"redis.backoff_base": "1ms", "redis.backoff_cap": "5ms",
                                            "watch.enabled": False})
    agent.wait_for_log(": connected")
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    before = agent.descriptors()
    for turn in range(50):
        way.reset_all() if turn % 2 else way.close_all()
        wait_until(lambda: len(agent.logged(": connected")) >= turn + 2)
    wait_until(lambda: len(agent.descriptors()) == len(before), 5,
               lambda: f"{before} became {agent.descriptors()}")
    assert len(agent.connections()) == 1


def test_nothing_is_inherited_by_chance(redis_server, make_agent):
    """Every descriptor of its own closes on exec."""
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    for fd in agent.descriptors():
        if int(fd) <= 2:
            continue
        flags = Path(f"/proc/{agent.pid}/fdinfo/{fd}").read_text()
        assert int(re.search(r"flags:\s+(\d+)", flags)[1], 8) & os.O_CLOEXEC, agent.descriptors()[fd]


def test_few_descriptors_are_no_reason_to_die(redis_server, make_agent):
    """With none left for a connection it says so, and goes on trying."""
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    used = max(map(int, agent.descriptors())) + 1
    limits = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (used - 1, limits[1]))
    redis_server.client().client_kill_filter(_type="normal", skipme=True)
    agent.wait_for_log("trying again")
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, limits)
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq)


# --- the service manager ------------------------------------------------------------------------


def test_ready_status_and_stopping(redis_server, make_agent, notify):
    agent = make_agent(redis_server.url(), notify=notify)
    notify.wait_for("READY", lambda value: value == "1")
    _, words = notify.wait_for("STATUS", lambda words: "connected" in words)
    assert "ook" in words
    agent.stop()
    notify.wait_for("STOPPING", lambda value: value == "1")
    assert not notify.with_key("WATCHDOG")


def test_abstract_notify_socket(redis_server, make_agent, closing):
    name = f"nodebeat-test-{os.getpid()}-{time.monotonic_ns()}"
    notify = closing(NotifySocket("\0" + name))
    make_agent(redis_server.url(), env={"NOTIFY_SOCKET": "@" + name})
    assert notify.wait_for("READY")


def test_a_manager_whose_queue_is_full_is_told_later(redis_server, make_agent, closing, tmp_path):
    path = str(tmp_path / "notify.sock")
    manager = closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    manager.bind(path)
    manager.settimeout(10)
    other = closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        while True:
            other.sendto(b"X=1", socket.MSG_DONTWAIT, path)
    except BlockingIOError:
        pass
    make_agent(redis_server.url(), env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": 200_000})
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 5)
    missing = {b"READY=1", b"WATCHDOG=1", b"STATUS="}
    while missing:
        message = manager.recv(4096)
        missing -= {m for m in missing if message.startswith(m)}


def test_words_of_redis_are_no_words_to_the_manager(fake_redis, make_agent, notify):
    server = fake_redis(answer_all(b"-ERR no\nWATCHDOG=trigger\nSTOPPING=1\x1b[2J\xc2\x9b\r\n"))
    make_agent(server.url(), notify=notify)
    _, words = notify.wait_for("STATUS", lambda words: "WATCHDOG" in words)
    assert words.isprintable()
    assert not notify.with_key("WATCHDOG") and not notify.with_key("STOPPING")


def test_the_watchdog_is_fed(redis_server, make_agent, notify):
    make_agent(redis_server.url(), notify=notify, env={"WATCHDOG_USEC": 400_000})
    wait_until(lambda: len(notify.with_key("WATCHDOG")) >= 6)
    times = [at for at, _ in notify.with_key("WATCHDOG")]
    gaps = sorted(b - a for a, b in zip(times, times[1:]))
    assert gaps[len(gaps) // 2] < 0.3


def test_the_watchdog_of_another_process_is_not_fed(redis_server, make_agent, notify):
    make_agent(redis_server.url(), notify=notify,
               env={"WATCHDOG_USEC": 100_000, "WATCHDOG_PID": os.getpid()})
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 8)
    assert not notify.with_key("WATCHDOG")


def test_no_service_manager_at_all(redis_server, make_agent, tmp_path):
    make_agent(redis_server.url(), env={"NOTIFY_SOCKET": tmp_path / "nobody.sock"})
    assert redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)


# --- two with one name --------------------------------------------------------------------------


def test_two_agents_with_one_name_notice_and_say_so(redis_server, make_agent, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    first = make_agent(redis_server.url())
    one = redis_server.wait_for_beat("ook").health["instance_id"]
    second = make_agent(redis_server.url())
    for agent in (first, second):
        agent.wait_for_log("another agent")
    other = redis_server.wait_for_beat("ook", lambda h: h["instance_id"] != one).health["instance_id"]
    events.wait_for("node_conflict", lambda e: (e["instance_id"], e["other_instance_id"]) == (one, other))
    events.wait_for("node_conflict", lambda e: (e["instance_id"], e["other_instance_id"]) == (other, one))
    # Once, however long it lasts.
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq + 10)
    assert len(first.logged("another agent")) == len(second.logged("another agent")) == 1
    assert len(events.of_type("node_conflict")) == 2
    # Each beat names the other, so that every reader of the cell's health sees it.
    redis_server.wait_for_beat("ook", lambda h: (h["instance_id"], h.get("name_conflict")) == (one, other))
    second.stop()
    first.wait_for_log("has gone")
    redis_server.wait_for_beat("ook", lambda h: h["instance_id"] == one and "name_conflict" not in h)


def test_a_program_that_writes_the_health_once_is_no_second_agent(redis_server, make_agent, closing):
    """Today's Python StateManager: node:health once, at connect, all zeros, TTL 60 s."""
    events = closing(redis_server.subscribe("node:events:ook"))
    agent = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    theirs = {
        "timestamp": "2026-11-20T14:03:07.123456", "node_id": "ook", "cpu_percent": 0.0,
        "memory_percent": 0.0, "disk_percent": 0.0, "gpu_available": False, "gpu_percent": None,
        "gpu_memory_percent": None, "is_reachable": True, "ping_latency_ms": None,
        "mcp_server_running": False, "mcp_port": None,
        "last_heartbeat": "2026-11-20T14:03:07.123456",
    }
    client = redis_server.client()
    for _ in range(3):  # it restarts
        client.hset("node:health:ook", "health", json.dumps(theirs))
        client.expire("node:health:ook", 60)
        seq = redis_server.wait_for_beat("ook", lambda h: "seq" in h).health["seq"]
        redis_server.wait_for_beat("ook", lambda h: h.get("seq", 0) > seq)
    agent.wait_for_log("another program, no agent, had written .* 2026-11-20T14:03:07.123456")
    assert len(agent.logged("another program")) == 1
    assert not agent.logged("another agent") and not events.of_type("node_conflict")
    assert redis_server.beat("ook").ttl_ms < 60000


def test_a_restart_after_a_crash_is_no_conflict(redis_server, make_agent, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    first = make_agent(redis_server.url())
    redis_server.wait_for_beat("ook")
    first.kill()
    second = make_agent(redis_server.url())
    events.wait_for("node_up", lambda e: len(events.of_type("node_up")) == 2)
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 8)
    assert not second.logged("another agent") and not events.of_type("node_conflict")


def test_many_agents_with_names_of_their_own(redis_server, make_agent):
    agents = [make_agent(redis_server.url(), f"node-{i}") for i in range(5)]
    for agent in agents:
        redis_server.wait_for_beat(agent.node, lambda h: h["seq"] >= 5)
    assert not any(agent.logged("another agent") for agent in agents)


# --- the clock ----------------------------------------------------------------------------------


def fake_clock(tmp_path):
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        pytest.skip("needs the Debian package faketime")
    path = tmp_path / "clock"
    path.write_text("+0\n")
    env = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": path,
        "FAKETIME_NO_CACHE": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
    }
    return path, env


@pytest.mark.parametrize("step", ["+1d", "-1d"])
@pytest.mark.real_processor("libfaketime is for the programs of this one")
def test_the_clock_is_stepped_a_day(redis_server, make_agent, plain_program, tmp_path, step):
    clock, env = fake_clock(tmp_path)
    agent = make_agent(redis_server.url(), env=env, program=plain_program)
    before = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3).health
    clock.write_text(step + "\n")

    def day(health):
        return health["timestamp"][:10]

    after = redis_server.wait_for_beat("ook", lambda h: day(h) != day(before), 5).health
    beat = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= after["seq"] + 8, 5)
    assert beat.health["last_heartbeat"] >= after["last_heartbeat"]
    assert 0 < beat.ttl_ms <= 5000
    assert 0 <= beat.health["cpu_percent"] <= 100
    clock.write_text("+0\n")
    back = redis_server.wait_for_beat("ook", lambda h: day(h) == day(before), 5).health
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= back["seq"] + 8, 5)
    # The link has not noticed, and no beat was left out or sent twice.
    assert len(agent.logged(": connected")) == 1 and not agent.logged("trying again")
    seqs = [h["seq"] for h in redis_server.history("ook")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_the_whole_agent_is_paused_for_a_while(redis_server, make_agent):
    """SIGSTOP and SIGCONT, as a suspend does: the key expires, and is back within a beat."""
    agent = make_agent(redis_server.url(), settings={"heartbeat.ttl": "1s"})
    redis_server.wait_for_beat("ook")
    processes.pause(agent.process)
    wait_until(lambda: redis_server.beat("ook") is None, 5)
    processes.resume(agent.process)
    redis_server.wait_for_beat("ook", timeout=2)
    assert not agent.logged("another agent")
