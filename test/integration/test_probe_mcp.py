"""The mcp probe against servers made with the official SDKs, of both eras."""

import json
import os
import shutil
import subprocess
import urllib.request

import pytest

from probe_driver import Lines, ProbeDriver, REPOSITORY, find, wait_for

NODE = shutil.which("node")
NODE_MODULES = find("NODEBEAT_TEST_NODE_MODULES", "build*/node_modules", "build*/mcp/node_modules")


pytestmark = [
    pytest.mark.skipif(NODE is None, reason="node is not installed (Debian package nodejs)"),
    pytest.mark.skipif(
        NODE_MODULES is None or not NODE_MODULES.is_dir(),
        reason="the MCP SDKs are not installed: npm ci of test/mcp, NODEBEAT_TEST_NODE_MODULES"),
]


class Server:
    def __init__(self, script, mode):
        self.process = subprocess.Popen(
            [NODE, REPOSITORY / "test" / "mcp" / script, mode],
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
def test_server_of_2025_is_named_and_left_without_sessions(mode, era):
    with Server("server_2025.mjs", mode) as server:
        with server.probe(era) as probe:
            assert probe.verdict() == ("up", "cell-tools 1.4.2, MCP 2025-11-25")
            wait_for(lambda: server.get("/sessions")["opened"] >= 20)
            assert server.get("/sessions")["open"] <= 2, "at most what is being asked now"
        # The last session may have been opened when the driver was told to stop.
        wait_for(lambda: server.get("/sessions")["open"] <= 1)


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
