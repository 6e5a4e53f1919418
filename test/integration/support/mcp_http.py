"""A client of MCP over HTTP that says no more than its caller wants."""

import http.client
import json
import socket

from support.gate import META
from support.waiting import Conditions

JSON_OR_STREAM = "application/json, text/event-stream"


class McpHttp:
    """Each request has a connection of its own. `where`: a port of this computer, or a Unix socket's path."""

    def __init__(self, where, closing, token=None):
        self.where = where
        self.closing = closing
        self.headers = {"Content-Type": "application/json", "Accept": JSON_OR_STREAM}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self._last_id = 0

    def send(self, verb, body=None, path="/mcp", **headers):
        """The answer as http.client has it, its body not yet read. A header of None is not sent."""
        connection = http.client.HTTPConnection("localhost", 0, timeout=20)
        if isinstance(self.where, int):
            connection.sock = socket.create_connection(("127.0.0.1", self.where), timeout=20)
        else:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(20)
            connection.sock.connect(str(self.where))
        self.closing(connection)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**self.headers, **named}.items() if value is not None}
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(verb, path, text, sent)
        answer = connection.getresponse()
        Conditions.met += 1
        return answer

    def message(self, method, params):
        self._last_id += 1
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}

    def modern(self, method, headers=None, **params):
        name = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(method)
        wanted = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method}
        if name:
            wanted["Mcp_Name"] = params[name]
        return self.send("POST", self.message(method, {**params, "_meta": META}), **{**wanted, **(headers or {})})

    def tool(self, name, **arguments):
        answer = self.modern("tools/call", name=name, arguments=arguments)
        assert answer.status == 200, answer.read()
        return body_of(answer)["result"]["structuredContent"]

    def begin(self, revision="2025-11-25"):
        """The headers of a session."""
        hello = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        answer = self.send("POST", self.message("initialize", hello))
        assert answer.status == 200 and body_of(answer)["result"]["protocolVersion"] == revision
        return {"Mcp_Session_Id": answer.headers["Mcp-Session-Id"], "MCP_Protocol_Version": revision}

    def older(self, session, method, **params):
        return self.send("POST", self.message(method, params), **session)


def body_of(answer):
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.read())


def next_event(stream):
    """The next message of a stream; None at its end."""
    while line := stream.readline():
        if line.startswith(b"data: "):
            Conditions.met += 1
            return json.loads(line[len(b"data: "):])
    return None
