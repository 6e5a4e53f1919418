"""nodebeat-gate and what others have made to talk to such servers: the clients of both lines of the official
TypeScript SDK, which check each answer against the tool's schema, and the Inspector's command line."""

import json
import os
import shutil
import subprocess

import pytest

from probe_driver import REPOSITORY, find
from support.agent import environment
from support.gate import find_gate

PROGRAM = find_gate()
NODE = shutil.which("node")
MODULES = find("NODEBEAT_TEST_NODE_MODULES", "build*/node_modules", "build*/mcp/node_modules")


def has(package):
    return MODULES is not None and (MODULES / "@modelcontextprotocol" / package).is_dir()


pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="nodebeat-gate is not built (option gate)"),
    pytest.mark.skipif(NODE is None, reason="node is not installed (Debian package nodejs)"),
    pytest.mark.skipif(not has("client"), reason="the MCP SDKs are not installed: npm ci of test/mcp"),
    pytest.mark.time_limit(90),
]


def node(tmp_path, *command):
    env = environment(tmp_path / "sanitizer", HOME=tmp_path, NODEBEAT_TEST_NODE_MODULES=MODULES)
    return subprocess.run([NODE, *map(str, command)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=env)


@pytest.mark.parametrize("line", ["2025", "2026"])
def test_the_official_client_drives_every_tool(cell, tmp_path, line):
    cell.client.call("session.create", session_id="job", state={"n": 1})
    done = node(tmp_path, REPOSITORY / "test" / "mcp" / "gate_client.mjs", line, PROGRAM, cell.agent.socket_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["server"]["name"] == "nodebeat-gate"
    assert told["capabilities"]["resources"] == {"subscribe": True}
    calls = told["calls"]
    assert set(told["tools"]) == set(calls) - {"missing"}
    assert {name for name, outcome in calls.items() if not outcome["success"]} == {"missing"}
    assert calls["system_status"]["status"]["redis_connected"] is True
    assert calls["get_state"]["data"] == {"key": "cell:sdk", "value": {"n": 1}}
    assert calls["update_session"]["version"] == 2
    assert [e["data"]["n"] for e in calls["recent_events"]["events"]] == [1]
    assert told["status"]["status"]["nodes"]["ook"]["state"] == "up"
    assert told["resources"] == ["state://status", "state://stroke/progress"]
    assert "state://session/{id}" in told["templates"] and told["completion"] == ["job"]
    assert told["updates"] == ["state://session/job"]


@pytest.mark.skipif(not has("inspector"), reason="the MCP Inspector is not installed: npm ci of test/mcp")
def test_the_inspector_finds_nothing_wrong(cell, tmp_path):
    package = MODULES / "@modelcontextprotocol" / "inspector"
    script = package / json.loads((package / "package.json").read_text())["bin"]["mcp-inspector"]

    def inspect(*words):
        done = node(tmp_path, script, "--cli", PROGRAM, "mcp", "--socket", cell.agent.socket_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    tools = inspect("--method", "tools/list", "--strict")["tools"]
    assert "system_status" in [tool["name"] for tool in tools]
    status = inspect("--method", "tools/call", "--tool-name", "system_status", "--tool-arg", "detailed=true")
    assert status["structuredContent"]["status"]["nodes_health"]["ook"]["node_id"] == "ook"
    read = inspect("--method", "resources/read", "--uri", "state://health/ook")
    assert json.loads(read["contents"][0]["text"])["health"]["node_id"] == "ook"
