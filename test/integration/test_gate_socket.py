"""nodebeat-gate serve: MCP on a Unix socket."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from support import processes
from support.agent import environment
from support.gate import META, Client, Lines, find_gate
from support.waiting import wait_until

PROGRAM = find_gate()
ACTIVATION = Path(processes.__file__).with_name("activation.py")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nodebeat-gate is not built (option gate)")


class Service:
    def __init__(self, folder, agent_socket, *words, activated=False):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.path = folder / "mcp.sock"
        command = [PROGRAM, "serve", "--socket", agent_socket, *words]
        if activated:
            command = ["/usr/bin/python3", ACTIVATION, f"nodebeat-mcp={self.path}", "--", *command]
        else:
            command += ["--mcp-socket", self.path]
        self.process = processes.spawn(
            command, env=environment(folder / "sanitizer"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        self.made = []

    def connect(self):
        def look():
            assert self.process.poll() is None, self.process.stderr.read()
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.made.append(end)
            end.connect(str(self.path))
            return end

        return wait_until(look, ignoring=(FileNotFoundError, ConnectionRefusedError))

    def client(self, older=None):
        end = self.connect()
        client = Client(end.makefile("wb"), Lines(end.makefile("rb")), older)
        client.end = end
        return client

    def stop(self):
        self.process.terminate()
        assert self.process.wait(10) == 0
        reports = [p.read_text() for p in self.folder.glob("sanitizer*")]
        assert not reports, "\n".join(reports)

    def close(self):
        for end in self.made:
            end.close()
        if self.process.poll() is None:
            try:
                self.stop()
            finally:
                processes.end(self.process)
        self.process.stderr.close()


@pytest.fixture
def service(cell, tmp_path, closing):
    return closing(Service(tmp_path / "service", cell.agent.socket_path, "--allow-writes"))


def test_many_clients_share_one_connection_to_the_agent(cell, service):
    clients = [service.client(older) for older in (None, "2025-06-18", "2025-11-25", None)]
    asked = [c.request("tools/call", name="system_status", arguments={}) for c in clients]
    for client, request in zip(clients, asked):
        assert client.result_of(request)["status"]["redis_connected"] is True
    assert clients[0].tool("set_state", key="cell:a", data=1)["success"]
    assert clients[1].tool("get_state", key="cell:a")["data"]["value"] == 1
    names = [c["name"] for c in cell.client.call("agent.stats")["clients"]]
    assert names.count("nodebeat-gate") == 1


def test_the_file_has_its_mode_and_goes_with_the_service(cell, tmp_path, closing):
    service = closing(Service(tmp_path / "service", cell.agent.socket_path, "--mcp-socket-mode", "0600"))
    service.client().tool("system_status")
    assert stat.S_IMODE(os.stat(service.path).st_mode) == 0o600
    service.stop()
    assert not service.path.exists()


def test_the_socket_of_a_living_service_is_not_taken(cell, service, tmp_path):
    service.client()
    second = subprocess.run([PROGRAM, "serve", "--socket", cell.agent.socket_path, "--mcp-socket", service.path],
                            capture_output=True, text=True, timeout=10, env=environment(tmp_path / "s"))
    assert second.returncode == 69 and str(service.path) in second.stderr
    assert service.client().tool("system_status")["success"]


def test_an_unknown_group_is_said(cell, tmp_path):
    done = subprocess.run([PROGRAM, "serve", "--socket", cell.agent.socket_path, "--mcp-socket", tmp_path / "m",
                           "--mcp-socket-group", "no-such-group"],
                          capture_output=True, text=True, timeout=10, env=environment(tmp_path / "s"))
    assert done.returncode == 69 and "--mcp-socket-group: there is no group 'no-such-group'" in done.stderr


def test_a_client_beyond_the_limit_is_told_so(service):
    clients = [service.client() for _ in range(32)]
    assert all(client.tool("system_status")["success"] for client in clients)
    late = service.connect()
    late.sendall(b"{}\n")  # its first byte says that it speaks lines
    answer = json.loads(late.makefile("rb").readline())
    assert "too many clients" in answer["error"]["message"]
    clients[0].end.shutdown(socket.SHUT_RDWR)

    def is_let_in():
        end = service.connect()
        end.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}).encode()
                    + b"\n")
        return "result" in json.loads(end.makefile("rb").readline())

    wait_until(is_let_in, ignoring=(OSError,))


def test_a_client_that_has_ended_its_sending_gets_its_answers(service):
    end = service.connect()
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
               "params": {"name": "redis_info", "arguments": {}, "_meta": META}}
    end.sendall(json.dumps(request).encode() + b"\n")
    end.shutdown(socket.SHUT_WR)
    lines = end.makefile("rb").readlines()
    assert len(lines) == 1 and json.loads(lines[0])["result"]["isError"] is False


def test_a_client_that_goes_takes_its_wait_along(cell, service):
    client = service.client()
    client.request("tools/call", name="subscribe_events", arguments={"channels": ["a"], "timeout": 50})
    names = lambda: [c["name"] for c in cell.client.call("agent.stats")["clients"]]
    wait_until(lambda: "nodebeat-gate events" in names())
    client.end.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: "nodebeat-gate events" not in names())
    assert service.client().tool("system_status")["success"]


def test_at_the_end_subscriptions_are_ended(service):
    client = service.client()
    listen = client.request("subscriptions/listen", notifications={"resourceSubscriptions": ["state://status"]})
    client.note("notifications/subscriptions/acknowledged")
    service.stop()
    assert client.note("notifications/cancelled")["requestId"] == listen
    assert client.answer(listen)["resultType"] == "complete"


def test_a_socket_that_was_handed_over_is_served(cell, tmp_path, closing):
    service = closing(Service(tmp_path / "service", cell.agent.socket_path, activated=True))
    assert service.client().tool("system_status")["success"]
    service.stop()
    assert service.path.exists()
