"""The mcp probe against servers made with the official SDKs, of both eras."""

import json
import os
import shutil
import subprocess
import urllib.request

import pytest

from probe_driver import Lines, ProbeDriver, REPOSITORY, find, wait_for
from support.mcp_bridge import Bridge

NODE = shutil.which("node")
NODE_MODULES = find("NODEBEAT_TEST_NODE_MODULES", "build*/node_modules", "build*/mcp/node_modules")


pytestmark = [
    pytest.mark.skipif(NODE is None, reason="node is not installed (Debian package nodejs)"),
    pytest.mark.skipif(
        NODE_MODULES is None or not NODE_MODULES.is_dir(),
        reason="the MCP SDKs are not installed: npm ci of test/mcp, NODEBEAT_TEST_NODE_MODULES"),
]


class Server:
    def __init__(self, script, *words):
        self.process = subprocess.Popen(
            [NODE, REPOSITORY / "test" / "mcp" / script, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "NODEBEAT_TEST_NODE_MODULES": str(NODE_MODULES)})
        self.port = int(Lines(self.process).next())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def probe(self, era, **more):
        return ProbeDriver(type="mcp", host="127.0.0.1", port=self.port, path="/mcp", era=era,
                           interval_ms=20, timeout_ms=10000, **more)


@pytest.mark.parametrize("mode", ["json", "sse"])
@pytest.mark.parametrize("era", ["2025", "auto"])
def test_server_of_2025_is_named_in_one_session_and_left_without_any(mode, era):
    with Server("server_2025.mjs", mode) as server:
        with server.probe(era) as probe:
            assert probe.verdict() == ("up", "cell-tools 1.4.2, MCP 2025-11-25")
            wait_for(lambda: server.get("/sessions")["requests"] >= 20)
            sessions = server.get("/sessions")
            assert (sessions["opened"], sessions["open"]) == (1, 1)
            assert probe.now() == ("up", "cell-tools 1.4.2, MCP 2025-11-25")
        wait_for(lambda: server.get("/sessions")["open"] == 0)


class StdioBridge(Bridge):
    def __init__(self, delay_ms=0):
        super().__init__(
            [NODE, REPOSITORY / "test" / "mcp" / "stdio_2025.mjs", str(delay_ms)],
            {**os.environ, "NODEBEAT_TEST_NODE_MODULES": str(NODE_MODULES)})

    def probe(self, era="auto", **more):
        spec = {"interval_ms": 20, "timeout_ms": 10000, **more}
        return ProbeDriver(type="mcp", host="127.0.0.1", port=self.port, path="/mcp", era=era, **spec)


@pytest.mark.parametrize("era", ["2025", "auto"])
def test_a_bridge_starts_one_server_for_many_pings(era):
    with StdioBridge() as bridge:
        with bridge.probe(era) as probe:
            assert probe.verdict() == ("up", "arm-tools 3.1.0, MCP 2025-11-25")
            wait_for(lambda: bridge.pings >= 50)
            assert (bridge.started, len(bridge.open)) == (1, 1)
            # A bridge that has forgotten its sessions: one more server, and nobody is told.
            bridge.forget()
            wait_for(lambda: bridge.pings >= 100)
            assert (bridge.started, len(bridge.open)) == (2, 1)
            assert probe.now() == ("up", "arm-tools 3.1.0, MCP 2025-11-25")
        # The driver has ended its session before it went.
        wait_for(lambda: not bridge.open)


def test_a_server_that_takes_its_time_to_start_is_not_down():
    with StdioBridge(delay_ms=1500) as bridge:
        with bridge.probe("2025", interval_ms=100, timeout_ms=100, down_after=1) as probe:
            wait_for(lambda: probe.now()[1].startswith("starting: no answer for "))
            assert probe.now()[0] == "unknown"
            # The first change of the verdict.
            assert probe.verdict() == ("up", "arm-tools 3.1.0, MCP 2025-11-25")
            assert bridge.started == 1


def test_the_host_header_that_a_server_wants():
    with Server("server_2025.mjs", "json", "--host", "cell.example") as server:
        with server.probe("2025") as probe:
            verdict, detail = probe.verdict()
            assert verdict == "up" and detail.startswith("HTTP 403, so it is alive: MCP error ")
            assert "Invalid Host" in detail
        with server.probe("2025", http_host="cell.example") as probe:
            assert probe.verdict() == ("up", "cell-tools 1.4.2, MCP 2025-11-25")


def test_server_of_2025_does_not_speak_2026():
    with Server("server_2025.mjs", "json") as server, server.probe("2026") as probe:
        assert probe.verdict() == (
            "down", "HTTP 400: MCP error -32000: Bad Request: Server not initialized")


@pytest.mark.parametrize("legacy", ["reject", "stateless"])
@pytest.mark.parametrize("era", ["2026", "auto"])
def test_server_of_2026_is_named_with_one_question_each_time(legacy, era):
    with Server("server_2026.mjs", legacy) as server, server.probe(era) as probe:
        assert probe.verdict() == ("up", "cell-tools 2.0.1, MCP 2026-07-28")
        asked = wait_for(lambda: (lambda all: len(all) >= 5 and all)(server.get("/requests")))
        assert set(asked) == {"server/discover"}


def test_server_of_2026_asked_as_in_2025():
    with Server("server_2026.mjs", "reject") as server, server.probe("2025") as probe:
        assert probe.verdict() == (
            "down", "HTTP 400: MCP error -32022: Unsupported protocol version: 2025-11-25")
    with Server("server_2026.mjs", "stateless") as server, server.probe("2025") as probe:
        assert probe.verdict() == ("up", "cell-tools 2.0.1, MCP 2025-11-25")


def test_a_server_that_goes_is_down():
    with Server("server_2025.mjs", "sse") as server:
        with server.probe("auto", down_after=2) as probe:
            assert probe.verdict()[0] == "up"
            server.process.kill()
            verdict, detail = probe.verdict()
            assert verdict == "down"
            assert detail == f"127.0.0.1:{server.port}: connection refused"
            assert probe.now() == (verdict, detail)


def test_a_web_server_is_not_an_mcp_server():
    with Server("server_2025.mjs", "json") as server:
        with ProbeDriver(type="mcp", host="127.0.0.1", port=server.port, path="/sessions",
                         era="auto", interval_ms=20, timeout_ms=10000) as probe:
            assert probe.verdict() == ("down", "answer is not MCP: not JSON-RPC 2.0")
