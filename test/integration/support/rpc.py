"""A client of the agent's local socket, for tests: include/nodebeat/PROTOCOL.md and no more. It is
strict: an answer that nobody asked for, or a line that is no JSON, fails the test."""

import json
import select
import socket
import time

from support.waiting import Conditions


class Refused(Exception):
    """The error that a call got; `place` is its data.field."""

    def __init__(self, error):
        super().__init__(f"{error['code']} {error['data']['name']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]
        self.data = error["data"]
        self.name = error["data"]["name"]
        self.field = error["data"].get("field")


class Closed(Exception):
    """The agent has closed the connection."""


def result_of(answer):
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


class Client:
    """One connection. What arrives is read when something is waited for: there is no thread."""

    def __init__(self, path, timeout=10.0, receive_buffer=None):
        self.timeout = timeout
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.answers = {}  # id -> answer that nobody has taken yet
        self.messages = []  # notifications that nobody has taken yet
        self.anonymous = []  # answers without an id, and batches' arrays
        self.closed = False
        self._rest = b""
        self._lines = []
        self._last_id = 0

    # --- saying ---------------------------------------------------------------------------------

    def send(self, data):
        """Bytes as they are."""
        self.socket.sendall(data)

    def send_line(self, value):
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        self.send(text.encode() + b"\n")

    def request(self, method, params=None, **more):
        """Sends a request and returns its id. `params` may be a text: JSON as it is to go out."""
        self._last_id += 1
        self.send(self.line(method, params, self._last_id, **more))
        return self._last_id

    @staticmethod
    def line(method, params=None, request_id=None, **more):
        text = '{"jsonrpc":"2.0","method":' + json.dumps(method)
        if isinstance(params, str):
            text += ',"params":' + params
        elif params is not None or more:
            text += ',"params":' + json.dumps({**(params or {}), **more}, separators=(",", ":"))
        if request_id is not None:
            text += ',"id":' + json.dumps(request_id)
        return text.encode() + b"}\n"

    def notify(self, method, params=None, **more):
        self.send(self.line(method, params, None, **more))

    def call(self, method, params=None, timeout=None, **more):
        """The result, or raises Refused."""
        return self.answer(self.request(method, params, **more), timeout)

    # --- hearing --------------------------------------------------------------------------------

    def _fill(self, deadline):
        """Reads once, until the deadline; raises Closed at the end."""
        if self.closed:
            raise Closed
        left = max(deadline - time.monotonic(), 0)
        # Not select(), which a process with more than a thousand descriptors may not use.
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        if not poller.poll(left * 1000):
            raise AssertionError(f"nothing more came; there are {self.answers}, {self.messages}, "
                                 f"{self.anonymous}, and the beginning {self._rest[:200]!r}")
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            assert not self._rest, f"half a line: {self._rest[:200]!r}"
            raise Closed
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += lines

    def read_line(self, timeout=None):
        """The next line's bytes."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self._lines:
            self._fill(deadline)
        return self._lines.pop(0)

    def _take_line(self, deadline):
        line = self.read_line(deadline - time.monotonic())
        message = json.loads(line)
        if isinstance(message, list) or message.get("id", 0) is None:
            self.anonymous.append(message)
        elif "method" in message:
            assert "id" not in message
            self.messages.append(message)
        else:
            assert message["jsonrpc"] == "2.0"
            assert ("result" in message) != ("error" in message), message
            # No id twice, and each of the type that it was sent as.
            assert message["id"] not in self.answers, message
            self.answers[message["id"]] = message

    def _wait(self, look, timeout):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            found = look()
            if found is not None:
                Conditions.met += 1
                return found
            self._take_line(deadline)

    def answer(self, request_id, timeout=None):
        return result_of(self._wait(lambda: self.answers.pop(request_id, None), timeout))

    def next_anonymous(self, timeout=None):
        """The next answer whose id is null, or a batch's array."""
        return self._wait(lambda: self.anonymous.pop(0) if self.anonymous else None, timeout)

    def next_message(self, method=None, timeout=None):
        """The params of the next notification; with `method`, of the next of that name."""

        def look():
            for i, message in enumerate(self.messages):
                if method in (None, message["method"]):
                    return self.messages.pop(i)["params"]
            return None

        return self._wait(look, timeout)

    def next_event(self, channel=None, timeout=None):
        def look():
            for i, message in enumerate(self.messages):
                if message["method"] != "event":
                    continue
                if channel in (None, message["params"]["channel"]):
                    return self.messages.pop(i)["params"]
            return None

        return self._wait(look, timeout)

    def events(self):
        """What has come so far. All that the agent sent before it answers this is in it."""
        self.call("agent.stats")
        taken = [m["params"] for m in self.messages if m["method"] == "event"]
        self.messages = [m for m in self.messages if m["method"] != "event"]
        return taken

    def wait_closed(self, timeout=None):
        """Until the agent closes; what comes before is kept."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while True:
                self._take_line(deadline)
        except Closed:
            Conditions.met += 1

    def close(self):
        self.closed = True
        self.socket.close()


def refused(client, method, params=None, **more):
    """The Refused that a call ends with; it has to."""
    try:
        client.call(method, params, **more)
    except Refused as error:
        return error
    raise AssertionError(f"{method} was not refused")
