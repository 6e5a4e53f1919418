"""A server that speaks as much of the Redis protocol as a script tells it to."""

import socket
import threading

from support.ports import free_port
from support.waiting import wait_until


class Connection:
    """What a script does with one client. Reading past its end raises Gone."""

    class Gone(Exception):
        pass

    def __init__(self, stream, server):
        self._socket = stream
        self._server = server
        self._file = stream.makefile("rb")

    def read_command(self):
        """The next command as a list of text, its name in capitals."""
        count = self._line(b"*")
        command = []
        for _ in range(count):
            size = self._line(b"$")
            command.append(self._exactly(size + 2)[:-2].decode(errors="replace"))
        command[0] = command[0].upper()
        self._server.commands.append(command)
        return command

    def expect(self, name):
        command = self.read_command()
        assert command[0] == name, f"expected {name}, got {command}"
        return command

    def send(self, data):
        try:
            self._socket.sendall(data)
        except OSError:
            raise self.Gone

    def wait_closed(self):
        """Until the client hangs up, whatever it still says."""
        try:
            while self._socket.recv(65536):
                pass
        except OSError:
            pass

    def _exactly(self, size):
        try:
            data = self._file.read(size)
        except OSError:
            raise self.Gone
        if len(data) != size:
            raise self.Gone
        return data

    def _line(self, mark):
        try:
            line = self._file.readline()
        except OSError:
            raise self.Gone
        if not line.endswith(b"\r\n"):
            raise self.Gone
        assert line[:1] == mark, line
        return int(line[1:])


class FakeRedis:
    """Runs `script(connection)` for each client, in a thread of its own; when the script returns,
    the connection is closed. What went wrong in a script is raised by close()."""

    def __init__(self, script):
        self.script = script  # may be replaced while it runs: for the next connection
        self.port = free_port()
        self.accepted = 0
        self.commands = []  # of all connections
        self.faults = []
        self._sockets = []
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, credentials=""):
        return f"redis://{credentials}127.0.0.1:{self.port}"

    def wait_accepted(self, count, timeout=10.0):
        wait_until(lambda: self.accepted >= count, timeout, f"{count} connections")

    def wait_command(self, name, timeout=10.0):
        return wait_until(
            lambda: next((c for c in self.commands if c[0] == name), None), timeout, name
        )

    def _accept(self):
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(stream)
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, stream):
        try:
            self.script(Connection(stream, self))
        except Connection.Gone:
            pass
        except Exception as fault:  # the test has to hear of it
            self.faults.append(fault)
        finally:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._sockets:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in [self._thread, *self._threads]:
            thread.join(5)
        assert not self.faults, self.faults


# --- scripts ------------------------------------------------------------------------------------


def answer_all(reply):
    """Every command gets this reply."""

    def script(connection):
        while True:
            connection.read_command()
            connection.send(reply)

    return script


def silent(connection):
    """Reads, never answers."""
    while True:
        connection.read_command()


def greet(connection):
    """A server as it should be, until after the first PING."""
    while connection.read_command()[0] != "PING":
        connection.send(b"+OK\r\n")
    connection.send(b"+PONG\r\n")


def greet_then(*replies):
    """A good greeting; then one of `replies` for each command, and a closed connection."""

    def script(connection):
        greet(connection)
        for reply in replies:
            connection.read_command()
            connection.send(reply)
        connection.wait_closed()

    return script


# What Redis answers to a command that it has carried out. The agent takes no other form.
DONE = {"HGET": b"$-1\r\n", "HSET": b":1\r\n", "PEXPIRE": b":1\r\n", "DEL": b":1\r\n", "PUBLISH": b":0\r\n",
        "XADD": b"$3\r\n1-0\r\n", "PING": b"+PONG\r\n",
        # What it reads: there is nothing.
        "INFO": b"$17\r\nredis_version:7\r\n\r\n", "CONFIG": b"*0\r\n", "ACL": b"$7\r\ndefault\r\n", "TYPE": b"+none\r\n",
        "HLEN": b":0\r\n", "HSTRLEN": b":0\r\n", "STRLEN": b":0\r\n", "XREVRANGE": b"*0\r\n",
        "SCAN": b"*2\r\n$1\r\n0\r\n*0\r\n", "HSCAN": b"*2\r\n$1\r\n0\r\n*0\r\n"}


def usual_reply(command, queued, **by_name):
    """What a Redis answers to what the agent writes, or the reply in `by_name`. `queued` is its transaction
    so far, which begins with MULTI itself."""
    name = command[0]
    if name == "EXEC":
        replies = [by_name.get(each, DONE.get(each, b"+OK\r\n")) for each in queued[1:]]
        queued.clear()
        return by_name.get(name, b"*%d\r\n" % len(replies) + b"".join(replies))
    if name == "MULTI" or queued:
        queued.append(name)
        return by_name.get(name, b"+OK\r\n") if name == "MULTI" else b"+QUEUED\r\n"
    return by_name.get(name, DONE.get(name, b"+OK\r\n"))
