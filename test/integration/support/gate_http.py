"""nodebeat-gate as a service that speaks HTTP, and a client that speaks it as it likes."""

import re
import socket
import subprocess
import threading

import pytest

from support import processes
from support.agent import environment
from support.gate import find_gate
from support.waiting import wait_until


class Answer:
    def __init__(self, text):
        head, _, body = text.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        self.body = body.decode()


class Http:
    """One connection. Nothing is sent that the caller has not said."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.pending = b""

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def read_answer(self, head_only=False):
        """None if the server has closed the connection instead."""
        while b"\r\n\r\n" not in self.pending:
            if not self._more():
                return None
        head, _, rest = self.pending.partition(b"\r\n\r\n")
        match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = 0 if head_only or not match else int(match[1])
        while len(rest) < size:
            if not self._more():
                return None
            rest = self.pending.partition(b"\r\n\r\n")[2]
        self.pending = rest[size:]
        return Answer(head + b"\r\n\r\n" + rest[:size])

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.pending += piece
        return bool(piece)

    def get(self, path, method="GET", **headers):
        more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in {"Host": "localhost", **headers}.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{more}\r\n")
        return self.read_answer(head_only=method == "HEAD")

    def close(self):
        self.socket.close()


class HttpGate:
    """A nodebeat-gate that serves HTTP; port 0: one of its own."""

    def __init__(self, agent_socket, folder, *args, port=0):
        program = find_gate()
        if program is None:
            pytest.skip("nodebeat-gate was not built")
        folder.mkdir(exist_ok=True)
        self.reports = folder / "sanitizer"
        self.lines = []
        self.process = processes.spawn(
            [program, "--socket", agent_socket, "--http", f"127.0.0.1:{port}", *args, "serve"],
            env=environment(self.reports), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        self.port = int(wait_until(lambda: self._find(r"serving HTTP at http://[^ ]*:(\d+)/")))

        self.url = f"http://127.0.0.1:{self.port}/"

    def _collect(self):
        for line in self.process.stderr:
            self.lines.append(line.decode().rstrip("\n"))

    def _find(self, pattern):
        return next((m[1] for line in self.lines if (m := re.search(pattern, line))), None)

    def connect(self):
        return Http(self.port)

    def get(self, path, **headers):
        client = self.connect()
        try:
            return client.get(path, **headers)
        finally:
            client.close()

    def metrics(self, accept="text/plain"):
        answer = self.get("/metrics", Accept=accept)
        assert answer.status == 200, answer.body
        return answer.body

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=10)
        self._reader.join(timeout=10)
        reports = list(self.reports.parent.glob(self.reports.name + "*"))
        assert not reports, reports[0].read_text()
        assert self.process.returncode == 0, self.lines
