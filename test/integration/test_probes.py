"""Probes as the daemon runs them: what they find is in the beat, and changes are told at once."""

import json
import os
import subprocess
import sys

import pytest

from support import processes
from support.probe_targets import HttpTarget, SilentListener
from support.waiting import wait_until

# So rare that no beat can be mistaken for the news of a change.
RARE = {"heartbeat.interval": "30s", "heartbeat.ttl": "60s"}
OFTEN = {"interval": "100ms", "timeout": "100ms", "up_after": 1, "down_after": 2}


def probe(name, **keys):
    return {"name": name, **OFTEN, **keys}


def report(health, name):
    return next((p for p in health["probes"] if p["name"] == name), None)


@pytest.fixture
def watched(redis_server, make_agent, closing):
    """watched(*probes): the event listener of an agent with these probes and rare beats."""

    def start(*probes, settings=None):
        events = closing(redis_server.subscribe("node:events:ook"))
        make_agent(redis_server.url(), settings={**RARE, **(settings or {})}, probes=probes)
        return events

    return start


def changed(events, name, up, timeout=5.0):
    return events.wait_for(
        "probe_changed", lambda e: e["probe"] == name and e["up"] is up, timeout
    )


@pytest.mark.parametrize("era", ["2025", "2026", "auto"])
def test_an_mcp_server_that_comes_and_goes(redis_server, watched, closing, era):
    server = closing(HttpTarget(eras=("2025",) if era == "auto" else (era,)))
    events = watched(probe("tools", type="mcp", url=server.url("/mcp"), era=era,
                           interval="300ms", timeout="300ms"))
    told = changed(events, "tools", True)
    assert told["probe_type"] == "mcp" and "cell 1.2.3" in told["detail"]
    # At once, not at the next beat: that is half a minute away.
    health = redis_server.wait_for_beat("ook", lambda h: h["mcp_server_running"], 2).health
    assert health["mcp_port"] == server.port
    assert report(health, "tools")["up"] is True
    assert report(health, "tools")["latency_ms"] > 0

    server.stop()
    changed(events, "tools", False)
    health = redis_server.wait_for_beat("ook", lambda h: not h["mcp_server_running"], 2).health
    assert report(health, "tools")["up"] is False and report(health, "tools")["detail"]

    server.start()
    wait_until(lambda: [e["up"] for e in events.of_type("probe_changed")] == [True, False, True])
    redis_server.wait_for_beat("ook", lambda h: h["mcp_server_running"], 2)


def test_an_mcp_session_is_kept_and_ended_at_a_reload_and_at_the_stop(redis_server, make_agent,
                                                                     closing):
    server = closing(HttpTarget())
    tools = probe("tools", type="mcp", url=server.url("/mcp"))
    agent = make_agent(redis_server.url(), probes=[tools])
    wait_until(lambda: server.requests.count("ping") >= 20)
    assert server.opened == 1 and server.requests.count("initialize") == 1
    agent.probes = [{**tools, "down_after": 3}]
    agent.write_config()
    agent.reload()
    wait_until(lambda: server.opened == 2 and server.sessions == {"s-2"})
    agent.stop()
    assert not server.sessions


def test_something_that_is_no_mcp_server_is_not_running(redis_server, watched, closing):
    server = closing(HttpTarget(eras=()))
    events = watched(probe("tools", type="mcp", url=server.url("/mcp")))
    changed(events, "tools", False)
    health = redis_server.wait_for_beat("ook", lambda h: report(h, "tools")["up"] is False).health
    assert health["mcp_server_running"] is False and health["mcp_port"] == server.port


def test_http_by_status_and_text(watched, closing):
    server = closing(HttpTarget())
    events = watched(probe("page", type="http", url=server.url("/health"), expect_status="2xx",
                           expect_text="all is well"))
    changed(events, "page", True)
    assert "/health" in server.requests
    server.status = 503
    assert "503" in changed(events, "page", False)["detail"]
    server.status = 203
    wait_until(lambda: len(events.of_type("probe_changed")) == 3)
    server.body = "all is lost"
    wait_until(lambda: len(events.of_type("probe_changed")) == 4)
    assert [e["up"] for e in events.of_type("probe_changed")] == [True, False, True, False]


def test_tcp_and_unix(watched, closing, tmp_path):
    tcp = closing(SilentListener())
    path = tmp_path / "robot.sock"
    unix = closing(SilentListener(path=path))
    events = watched(
        probe("port", type="tcp", address=f"127.0.0.1:{tcp.port}"),
        probe("robot", type="unix", path=str(path)),
    )
    changed(events, "port", True)
    changed(events, "robot", True)
    tcp.close()
    changed(events, "port", False)
    unix.close()
    changed(events, "robot", False)


def test_process_by_pidfile_and_by_command_line(watched, tmp_path):
    mark = f"nodebeat-target-{os.getpid()}"
    pidfile = tmp_path / "robot.pid"

    def robot():
        process = processes.spawn(
            [sys.executable, "-c", "print(flush=True); input()", mark],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        return process

    first = robot()
    try:
        pidfile.write_text(f"{first.pid}\n")
        events = watched(
            probe("by-pidfile", type="process", pidfile=str(pidfile)),
            probe("by-command", type="process", command=mark),
        )
        changed(events, "by-pidfile", True)
        changed(events, "by-command", True)
        processes.end(first)
        changed(events, "by-pidfile", False)
        changed(events, "by-command", False)
    finally:
        processes.end(first)


def test_a_pidfile_tells_nothing_of_another_file(redis_server, make_agent, tmp_path):
    """A link in its place is not followed; a file that is no pidfile is not repeated."""
    secret = tmp_path / "redis-password"
    secret.write_text("correct-horse-battery-staple\n")
    link = tmp_path / "robot.pid"
    link.symlink_to(secret)
    agent = make_agent(redis_server.url(), probes=[
        probe("link", type="process", pidfile=str(link)),
        probe("itself", type="process", pidfile=str(secret)),
    ])
    health = redis_server.wait_for_beat("ook", lambda h: report(h, "itself")["up"] is False).health
    assert report(health, "itself")["detail"] == f"{secret} holds no process id in its first line"
    health = redis_server.wait_for_beat("ook", lambda h: "detail" in report(h, "link")).health
    assert report(health, "link")["up"] is None
    assert "symbolic link" in report(health, "link")["detail"]
    agent.wait_for_log("probe link .* is unknown: .*symbolic link")
    assert "horse" not in json.dumps(health) + "".join(agent.log())


def test_who_may_not_look_calls_nothing_down(redis_server, watched, closing, tmp_path):
    """An up stays what it was: no event, no false alarm; the beat says null and why."""
    pidfile = tmp_path / "robot.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    events = watched(probe("robot", type="process", pidfile=str(pidfile)),
                     settings={"heartbeat.interval": "100ms"})
    changed(events, "robot", True)
    pidfile.unlink()
    pidfile.symlink_to("/proc/self/status")
    health = redis_server.wait_for_beat("ook", lambda h: report(h, "robot")["up"] is None).health
    assert "symbolic link" in report(health, "robot")["detail"]
    assert "latency_ms" not in report(health, "robot")
    pidfile.unlink()
    pidfile.write_text(f"{os.getpid()}\n")
    redis_server.wait_for_beat("ook", lambda h: report(h, "robot")["up"] is True)
    assert [e["up"] for e in events.of_type("probe_changed")] == [True]


def test_a_probe_that_hangs_delays_nobody(redis_server, make_agent, closing):
    silent = closing(SilentListener())
    full = closing(SilentListener(full=True))
    good = closing(HttpTarget())
    slow = {"interval": "20s", "timeout": "20s"}
    make_agent(
        redis_server.url(),
        probes=[
            {"name": "silent-http", "type": "http", "url": f"http://127.0.0.1:{silent.port}/", **slow},
            {"name": "silent-mcp", "type": "mcp", "url": f"http://127.0.0.1:{silent.port}/", **slow},
            {"name": "no-connect", "type": "tcp", "address": f"127.0.0.1:{full.port}", **slow},
            probe("good", type="http", url=good.url()),
        ],
    )
    redis_server.wait_for_beat("ook", lambda h: report(h, "good")["up"])
    seq = redis_server.beat("ook").health["seq"]
    health = redis_server.wait_for_beat("ook", lambda h: h["seq"] >= seq + 20, timeout=5).health
    # Still without a verdict: so they hung all the while.
    for name in ("silent-http", "silent-mcp", "no-connect"):
        assert report(health, name)["up"] is None


def test_no_flapping(watched, closing):
    """One failure is none when three in a row are asked for."""
    server = closing(HttpTarget())
    events = watched(probe("page", type="http", url=server.url(), down_after=3))
    changed(events, "page", True)
    server.fail_next = 2
    wait_until(lambda: server.fail_next == 0)
    asked = len(server.requests)
    wait_until(lambda: len(server.requests) >= asked + 5)
    assert len(events.of_type("probe_changed")) == 1


def test_probes_come_and_go_with_a_reload(redis_server, make_agent, closing):
    server = closing(HttpTarget())
    agent = make_agent(redis_server.url(), probes=[probe("old", type="http", url=server.url())])
    redis_server.wait_for_beat("ook", lambda h: report(h, "old")["up"])
    agent.probes = [probe("new", type="tcp", address=f"127.0.0.1:{server.port}")]
    agent.write_config()
    agent.reload()
    health = redis_server.wait_for_beat("ook", lambda h: (report(h, "new") or {}).get("up")).health
    assert report(health, "old") is None
