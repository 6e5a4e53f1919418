"""nodebeat-gate: MCP over HTTP, on an address and on the Unix socket; clients that do it wrong."""

import json
import socket
import subprocess

import pytest

from support.agent import environment
from support.gate import META, find_gate
from support.gate_http import Http, HttpGate
from support.mcp_http import JSON_OR_STREAM, McpHttp, body_of, next_event
from support.waiting import wait_until

PROGRAM = find_gate()
TOKEN = "a-token-of-this-test"
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nodebeat-gate is not built (option gate)")


@pytest.fixture
def make_gate(cell, tmp_path, closing):
    return lambda *args: closing(HttpGate(cell.agent.socket_path, tmp_path / "gate", *args))


@pytest.fixture
def gate(make_gate):
    return make_gate("--http-mcp", "--allow-writes")


@pytest.fixture
def mcp(gate, closing):
    return McpHttp(gate.port, closing)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def test_nothing_is_served_without_the_option(make_gate, closing):
    gate = make_gate()
    assert McpHttp(gate.port, closing).modern("tools/list").status == 404


def test_a_modern_client_needs_no_session(mcp, cell):
    assert mcp.tool("set_state", key="cell:a", data=1)["success"]
    assert mcp.tool("get_state", key="cell:a")["data"]["value"] == 1
    discovered = mcp.modern("server/discover")
    assert body_of(discovered)["result"]["supportedVersions"] == ["2026-07-28"]
    assert "Mcp-Session-Id" not in discovered.headers
    missing = mcp.modern("resources/read", uri="state://none")
    assert missing.status == 200 and body_of(missing)["error"]["code"] == -32602


def test_a_listen_is_a_stream_that_ends_with_the_gate(mcp, cell, gate):
    stream = mcp.modern("subscriptions/listen", notifications={"resourceSubscriptions": ["state://session/job"]})
    assert stream.headers["Content-Type"] == "text/event-stream" and stream.headers["X-Accel-Buffering"] == "no"
    assert next_event(stream)["method"] == "notifications/subscriptions/acknowledged"
    told = next_event(stream)  # that the gate listens now
    assert told["params"]["uri"] == "state://session/job"
    cell.client.call("session.create", session_id="job", state={"n": 1})
    assert next_event(stream)["method"] == "notifications/resources/updated"
    gate.process.terminate()
    last = next_event(stream)
    while "method" in last:
        last = next_event(stream)
    assert last["result"]["resultType"] == "complete" and next_event(stream) is None


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
def test_an_older_client_has_a_session_and_a_stream(mcp, cell, revision):
    session = mcp.begin(revision)
    noted = mcp.send("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
    assert noted.status == 202 and noted.read() == b""
    stream = mcp.send("GET", **session, Accept="text/event-stream")
    assert stream.status == 200
    assert body_of(mcp.older(session, "resources/subscribe", uri="state://session/job"))["result"] == {}
    assert next_event(stream)["params"] == {"uri": "state://session/job"}
    result = body_of(mcp.older(session, "tools/call", name="get_state", arguments={"key": "cell:none"}))["result"]
    assert result["isError"] is True
    missing = body_of(mcp.older(session, "resources/read", uri="state://none"))
    assert missing["error"]["code"] == -32002
    assert mcp.send("DELETE", **session).status == 204
    assert next_event(stream) is None
    assert mcp.older(session, "ping").status == 404


def test_a_token_is_wanted_if_there_is_one(make_gate, closing, token_file):
    gate = make_gate("--http-mcp", "--mcp-token-file", token_file)
    for wrong in (None, TOKEN[:-1], TOKEN + "x"):
        refused = McpHttp(gate.port, closing, wrong).modern("tools/list")
        assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        assert McpHttp(gate.port, closing, wrong).send("GET").status == 401
    assert McpHttp(gate.port, closing, TOKEN).tool("system_status")["success"]
    assert gate.get("/livez").status == 200  # wants none


def test_a_token_that_others_may_read_is_none(cell, tmp_path, token_file):
    def begins(*args):
        return subprocess.run([PROGRAM, "--socket", cell.agent.socket_path, *args, "serve"], capture_output=True,
                              text=True, timeout=10, env=environment(tmp_path / "s"))

    local, guarded = ["--http", "127.0.0.1:0", "--http-mcp"], ["--mcp-token-file", token_file]
    token_file.chmod(0o644)
    refused = begins(*local, *guarded)
    assert refused.returncode == 66 and "everybody may read it" in refused.stderr
    token_file.chmod(0o600)
    token_file.write_text("short\n")
    assert begins(*local, *guarded).returncode == 66
    token_file.unlink()
    assert begins(*local, *guarded).returncode == 66
    assert begins(*guarded).returncode == 64 and begins("--http-mcp").returncode == 64
    unset = begins(*local, "--mcp-token-file", "")
    assert unset.returncode == 64 and "--mcp-token-file needs a value" in unset.stderr
    remote = begins("--http", "0.0.0.0:0", "--http-remote", "--http-mcp")
    assert remote.returncode == 64 and "--mcp-token-file" in remote.stderr


def test_the_unix_socket_speaks_both(cell, tmp_path, make_gate, closing):
    path = tmp_path / "mcp.sock"
    make_gate("--mcp-socket", path)
    wait_until(path.exists)
    mcp = McpHttp(path, closing)
    lines = closing(socket.socket(socket.AF_UNIX))
    lines.settimeout(20)
    lines.connect(str(path))
    assert mcp.tool("system_status")["status"]["redis_connected"] is True
    lines.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}).encode()
                  + b"\n")
    assert "result" in json.loads(lines.makefile("rb").readline())
    session = mcp.begin()
    assert body_of(mcp.older(session, "ping"))["result"] == {}
    assert mcp.send("GET", path="/metrics").status == 404
    # Silent connections do not keep a client out: the oldest of them goes.
    silent = [closing(socket.socket(socket.AF_UNIX)) for _ in range(80)]
    for each in silent:
        each.connect(str(path))
    assert mcp.tool("system_status")["success"]


# --- what is wrong --------------------------------------------------------------------------------


def test_what_is_wrong_is_said_by_status_and_code(mcp):
    modern = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}
    call = {"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {"_meta": META}}
    other = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}

    def asked(body, **headers):
        answer = mcp.send("POST", body, **{**modern, **headers})
        error = body_of(answer)["error"]
        return answer.status, error["code"]

    assert asked("{") == (400, -32700)
    assert asked(b"\xff") == (400, -32700)
    assert asked("[" * 2000) == (400, -32700)
    assert asked([call]) == (400, -32600)
    assert asked("3") == (400, -32600)
    assert asked({**call, "id": None}) == (400, -32600)
    assert asked({**call, "jsonrpc": "1.0"}) == (400, -32600)
    assert asked({**call, "params": []}) == (400, -32602)
    assert asked({"jsonrpc": "2.0", "id": 5, "result": {}}) == (400, -32600)
    assert asked({**call, "params": {}}) == (400, -32602)
    assert asked({**call, "method": "ping"}, Mcp_Method="ping") == (404, -32601)
    assert asked({**call, "method": "initialize"}, Mcp_Method="initialize") == (404, -32601)
    assert asked(call, Mcp_Method="tools/call") == (400, -32020)
    assert asked(call, Mcp_Method=None) == (400, -32020)
    assert asked(call, MCP_Protocol_Version=None) == (400, -32020)
    assert asked(call, MCP_Protocol_Version="2025-11-25") == (400, -32020)
    assert asked(call, MCP_Protocol_Version="2099-01-01") == (400, -32020)
    assert asked({**call, "params": {"_meta": other}}, MCP_Protocol_Version="2099-01-01") == (400, -32022)
    assert asked({**call, "params": {}}, MCP_Protocol_Version="1.0") == (400, -32022)
    # Of the older era.
    assert asked({**call, "params": {}}, MCP_Protocol_Version="2025-11-25") == (400, -32600)
    assert asked({**call, "params": {}}, MCP_Protocol_Version="2025-11-25", Mcp_Session_Id="x") == (404, -32600)
    session = mcp.begin()
    for body, code in (("{", -32700), ([call], -32600), ({**call, "id": 1.5}, -32600)):
        answer = mcp.send("POST", body, **session)
        assert answer.status == 400 and body_of(answer)["error"]["code"] == code
    unknown = mcp.older(session, "server/discover")
    assert unknown.status == 200 and body_of(unknown)["error"]["code"] == -32601


def test_other_methods_types_and_paths_are_refused(mcp):
    session = mcp.begin()
    for verb in ("PUT", "PATCH", "OPTIONS", "HEAD", "TRACE"):
        assert mcp.send(verb, **session).status == 405
    assert mcp.send("GET").status == 405 and mcp.send("DELETE").status == 405
    assert mcp.send("GET", **{**session, "MCP_Protocol_Version": "2026-07-28"}).status == 405
    assert mcp.send("GET", **session, Accept="application/json").status == 406
    assert mcp.modern("tools/list", {"Accept": "application/json"}).status == 406
    assert mcp.modern("tools/list", {"Content_Type": "text/plain"}).status == 415
    assert mcp.modern("tools/list", {"Content_Type": "application/x-www-form-urlencoded"}).status == 415
    for path in ("/mcp/", "/mcp/../etc/passwd", "/%6dcp", "//mcp", "/mcp/../../etc/passwd", "/mcp%00"):
        assert mcp.send("POST", "{}", path=path).status == 404


def test_pages_of_others_do_not_get_in(mcp):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"):
        assert mcp.modern("tools/list", {"Host": host}).status == 403
    for origin in ("http://evil.example", "null", "http://localhost.evil.example"):
        assert mcp.modern("tools/list", {"Origin": origin}).status == 403
        assert mcp.send("GET", **mcp.begin(), Origin=origin).status == 403
    for origin in ("http://localhost:6274", "http://127.0.0.1", "http://[::1]:80"):
        assert mcp.modern("tools/list", {"Origin": origin}).status == 200


def request_text():
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}})
    return (f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {JSON_OR_STREAM}\r\n"
            f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")


def test_a_request_may_come_in_any_pieces(gate, closing):
    text = request_text()
    client = closing(gate.connect())
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for split in range(1, len(text)):
        client.send(text[:split])
        client.send(text[split:])
        answer = client.read_answer()
        assert answer.status == 200 and '"tools":[' in answer.body, split
    for byte in text:
        client.send(byte)
    assert client.read_answer().status == 200


def test_floods_harm_nobody(gate, mcp, closing):
    announced = closing(gate.connect())
    refused = announced.get("/mcp", method="POST", Content_Length=100 * 1024 * 1024)
    assert refused.status == 413
    endless = closing(gate.connect())
    endless.send("POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(OSError):
        for _ in range(1600):  # 100 MB
            endless.send("10000\r\n" + "x" * 65536 + "\r\n")
    headers = closing(gate.connect())
    with pytest.raises(OSError):
        headers.send("POST /mcp HTTP/1.1\r\nHost: localhost\r\n")
        for i in range(200000):
            headers.send(f"Mcp-Param-{i}: {'y' * 100}\r\n")
    for _ in range(20):
        slow = closing(gate.connect())
        slow.send(request_text()[:-1])  # the last byte does not come
    assert mcp.tool("system_status")["success"]


def test_a_thousand_connections_keep_no_client_out(gate, mcp, closing):
    for _ in range(1000):
        closing(gate.connect())
    assert mcp.tool("system_status")["success"]


def test_sessions_and_streams_are_bounded(gate, mcp):
    first = mcp.begin()
    sessions = [mcp.begin() for _ in range(64)]
    assert mcp.older(first, "ping").status == 404  # it was not used for longest
    assert mcp.older(sessions[-1], "ping").status == 200
    streams = []
    for _ in range(200):
        stream = mcp.modern("subscriptions/listen", notifications={})
        if stream.status != 200:
            break
        streams.append(stream)
    assert stream.status == 503 and 64 <= len(streams) <= 96
    assert gate.get("/livez").status == 200
