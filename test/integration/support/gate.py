"""nodebeat-gate as a process under test: a strict MCP client over its standard input and output."""

import glob
import json
import os
import queue
import subprocess
import threading
from pathlib import Path

from support import processes
from support.agent import ROOT, environment, find_program
from support.waiting import Conditions, wait_until

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def find_gate():
    """$NODEBEAT_GATE, the one built with the daemon under test, or the newest there is."""
    named = os.environ.get("NODEBEAT_GATE")
    if named:
        return Path(named).resolve()
    daemon = find_program()
    beside = daemon and daemon.parent.parent / "gate" / "nodebeat-gate"
    if beside and beside.exists():
        return beside
    found = glob.glob(f"{ROOT}/build*/src/gate/nodebeat-gate")
    found += glob.glob(f"{ROOT}/build/*/src/gate/nodebeat-gate")
    return Path(max(found, key=os.path.getmtime)) if found else None


class Failed(Exception):
    """A protocol error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Lines:
    """What comes, a JSON object a line; anything else fails the test."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        self.ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self.queue.put(line)
        self.queue.put(None)

    def next(self, timeout=10.0):
        """The next message; None at the end."""
        line = self.queue.get(timeout=timeout)
        if line is None:
            self.queue.put(None)
            return None
        assert line.endswith(b"\n") and len(line) < 80 * 1024, line[:200]
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message


class Client:
    """Speaks MCP over two streams. `older`: with a handshake of that revision."""

    def __init__(self, out, lines, older=None):
        self.out = out
        self.lines = lines
        self.notes = []
        self.answers = {}
        self._last_id = 0
        self.older = older
        if older:
            self.hello = self.ask("initialize", protocolVersion=older, capabilities={},
                                  clientInfo={"name": "test", "version": "1"})
            self.notify("notifications/initialized")

    def send(self, data):
        self.out.write(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
        self.out.flush()

    def request(self, method, **params):
        self._last_id += 1
        if not self.older:
            params["_meta"] = META
        self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        return self._last_id

    def notify(self, method, **params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def take(self, timeout=10.0):
        message = self.lines.next(timeout)
        assert message is not None, "the gate has ended"
        if "method" in message:
            assert "id" not in message
            self.notes.append(message)
        else:
            assert ("result" in message) != ("error" in message)
            assert message["id"] not in self.answers
            self.answers[message["id"]] = message

    def answer(self, request_id, timeout=10.0):
        while request_id not in self.answers:
            self.take(timeout)
        message = self.answers.pop(request_id)
        Conditions.met += 1
        if "error" in message:
            raise Failed(message["error"])
        return message["result"]

    def ask(self, method, **params):
        return self.answer(self.request(method, **params))

    def note(self, method, timeout=10.0):
        """The params of the next notification of that name."""
        while True:
            for i, message in enumerate(self.notes):
                if message["method"] == method:
                    Conditions.met += 1
                    return self.notes.pop(i).get("params")
            self.take(timeout)

    def result_of(self, request_id, timeout=10.0):
        return outcome_of(self.answer(request_id, timeout))

    def tool(self, name, /, **arguments):
        """The outcome of a tool, good or bad."""
        return outcome_of(self.ask("tools/call", name=name, arguments=arguments))

    def read(self, uri):
        contents = self.ask("resources/read", uri=uri)["contents"]
        assert [c["uri"] for c in contents] == [uri] and contents[0]["mimeType"] == "application/json"
        return json.loads(contents[0]["text"])

    def tools(self):
        return [tool["name"] for tool in self.ask("tools/list")["tools"]]


def outcome_of(result):
    """The structured content, which the text repeats, and which says honestly how it went."""
    outcome = result["structuredContent"]
    assert [c["type"] for c in result["content"]] == ["text"]
    assert json.loads(result["content"][0]["text"]) == outcome
    assert outcome["success"] is (not result["isError"]) and outcome["message"]
    return outcome


class Gate:
    """`nodebeat-gate mcp`, started as a desktop client does it."""

    def __init__(self, program, folder, socket, *words, older=None):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.process = processes.spawn(
            [program, "mcp", "--socket", socket, *words], env=environment(folder / "sanitizer"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.errors = []
        self._errors = threading.Thread(target=self._collect, daemon=True)
        self._errors.start()
        self.lines = Lines(self.process.stdout)
        self.client = Client(self.process.stdin, self.lines, older)

    def _collect(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))

    def wait_ended(self, code=0):
        assert self.process.wait(10) == code, self.errors
        reports = [p.read_text() for p in self.folder.glob("sanitizer*")]
        assert not reports, "\n".join(reports)

    def close(self):
        """The input ends, and so does the gate."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.wait_ended()
            finally:
                processes.end(self.process)
        self._errors.join(5)
