"""nodebeat-gate and what others have made to talk to such servers: the clients of both lines of the official
TypeScript SDK, which check each answer against the tool's schema, and the Inspector's command line; and what they
have made to check the protocol itself (conformance)."""

import json
import os
import re
import shutil
import subprocess

import pytest

from probe_driver import REPOSITORY, find
from support.agent import environment
from support.gate import find_gate
from support.gate_http import HttpGate

PROGRAM = find_gate()
FIXTURES = PROGRAM and PROGRAM.parents[2] / "test" / "mcp" / "conformance" / "mcp_conformance"
NODE = shutil.which("node")
TOKEN = "a-token-of-this-test"
MODULES = find("NODEBEAT_TEST_NODE_MODULES", "build*/node_modules", "build*/mcp/node_modules")


def has(package):
    return MODULES is not None and (MODULES / "@modelcontextprotocol" / package).is_dir()


pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="nodebeat-gate is not built (option gate)"),
    pytest.mark.skipif(NODE is None, reason="node is not installed (Debian package nodejs)"),
    pytest.mark.skipif(not has("client"), reason="the MCP SDKs are not installed: npm ci of test/mcp"),
    pytest.mark.time_limit(150),
]


def node(tmp_path, *command):
    env = environment(tmp_path / "sanitizer", HOME=tmp_path, NODEBEAT_TEST_NODE_MODULES=MODULES)
    return subprocess.run([NODE, *map(str, command)], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, env=env)


@pytest.mark.parametrize("way", ["stdio", "http"])
@pytest.mark.parametrize("line", ["2025", "2026"])
def test_the_official_client_drives_every_tool(cell, tmp_path, closing, line, way):
    cell.client.call("session.create", session_id="job", state={"n": 1})
    where = [PROGRAM, cell.agent.socket_path]
    if way == "http":
        token = tmp_path / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        gate = closing(HttpGate(cell.agent.socket_path, tmp_path / "gate", "--http-mcp", "--allow-writes",
                                "--mcp-token-file", token))
        where = [gate.url + "mcp", TOKEN]
    done = node(tmp_path, REPOSITORY / "test" / "mcp" / "gate_client.mjs", line, way, *where)
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


# --- conformance ----------------------------------------------------------------------------------

# They need requests from the server to the client, which nodebeat never sends: its tools ask nobody anything.
LEFT_OUT = {
    "2025-11-25": {"tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults",
                   "elicitation-sep1330-enums"},
    "2026-07-28": set(),
}
# How many scenarios a revision scores.
SCORED = {"2025-11-25": 30, "2026-07-28": 37}


def outcomes(text):
    """Of the scored scenarios, whether each has passed."""
    summary, _, unscored = text[text.index("=== SUMMARY ==="):].partition("Not scored for")
    passed = {name: sign == "\u2713" for sign, name in re.findall(r"^([\u2713\u2717]) (\S+):", summary, re.M)}
    others = set(re.findall(r"^  [\u2713\u2717] (\S+) \(", unscored, re.M))
    return {name: good for name, good in passed.items() if name not in others}


@pytest.mark.time_limit(300)
@pytest.mark.real_processor("the package has deadlines of its own")
@pytest.mark.skipif(not has("conformance"), reason="the conformance package is not installed: npm ci of test/mcp")
@pytest.mark.parametrize("revision", SCORED)
def test_the_conformance_package_is_content(tmp_path, revision):
    server = subprocess.Popen([FIXTURES], stdout=subprocess.PIPE, text=True, env=environment(tmp_path / "sanitizer"))
    script = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    command = [NODE, "--import", REPOSITORY / "test" / "mcp" / "older_node.mjs", script, "server", "--url"]
    with server:
        try:
            command.append(server.stdout.readline().strip())

            def run(*words):
                return subprocess.run([*command, *words], capture_output=True, text=True, timeout=250, cwd=tmp_path,
                                      stdin=subprocess.DEVNULL)

            whole = run("--requirements", revision).stdout
            passed = outcomes(whole)
            assert len(passed) == SCORED[revision], whole
            failed = {name for name, good in passed.items() if not good}
            # The package waits half a second for some answers, which a busy machine may not have: a scenario that
            # passes alone is good.
            for name in failed - LEFT_OUT[revision]:
                alone = run("--scenario", name, "--spec-version", revision)
                assert alone.returncode == 0, alone.stdout
            assert failed >= LEFT_OUT[revision]
        finally:
            server.terminate()
    assert not list(tmp_path.glob("sanitizer*"))
