"""A TCP proxy that does to a connection what networks and servers do."""

import socket
import struct
import threading
import time

from support.ports import free_port


class FaultProxy:
    """Passes bytes between its own port and `target`, in one of these modes:

    pass        as they are, each chunk `delay` seconds later
    black_hole  nothing is read or sent any more, nothing is closed (a cable was pulled)
    swallow     what the server answers is dropped
    half        half of the next answer, then nothing
    rubbish     the next answers are replaced by noise
    refuse      nobody listens, and what was connected is reset
    errors      the server is not asked: a greeting and PING are answered, all else by `error`
    """

    NOISE = bytes(range(128, 200)) + b"\r\nHTTP/1.1 400 Bad Request\r\n\r\n"

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.delay = 0.0
        self.error = b"-upstream failure\r\n"
        self.accepted = 0
        self._mode = "pass"
        self._open = threading.Event()  # cleared in a black hole
        self._open.set()
        self._lock = threading.Lock()
        self._pairs = []
        self._threads = []
        self._listener = None
        self._listen()

    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def mode(self):
        return self._mode

    @mode.setter
    def mode(self, mode):
        was, self._mode = self._mode, mode
        if mode == "refuse" and was != "refuse":
            self._stop_listening()
            self.reset_all()
        elif was == "refuse" and mode != "refuse":
            self._listen()
        if mode == "black_hole":
            self._open.clear()
        else:
            if was == "black_hole":
                # What came out of a black hole late would be an answer to a forgotten question.
                self.reset_all()
            self._open.set()

    def reset_all(self):
        """RST on every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def close_all(self):
        """FIN on every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _shut(end)

    @property
    def connections(self):
        with self._lock:
            return len(self._pairs)

    def close(self):
        self._stop_listening()
        self._open.set()
        self.close_all()
        for thread in self._threads:
            thread.join(5)

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=16)
        self._run(self._accept, self._listener)

    def _stop_listening(self):
        listener, self._listener = self._listener, None
        if listener is not None:
            _shut(listener)

    def _run(self, function, *args):
        self._threads = [t for t in self._threads if t.is_alive()]
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        with listener:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                self.accepted += 1
                try:
                    server = socket.create_connection(self.target, timeout=5)
                    server.settimeout(None)
                except OSError:
                    _reset(client)
                    client.close()
                    continue
                with self._lock:
                    self._pairs.append((client, server))
                self._run(self._pump, client, server, False)
                self._run(self._pump, server, client, True)

    def _pump(self, source, sink, answers):
        asked = b""  # of the server that is not there, and not complete yet
        try:
            while data := source.recv(65536):
                self._open.wait()
                if self._mode == "errors" and not answers:
                    commands, asked = _commands(asked + data)
                    source.sendall(b"".join(GREETING.get(c, self.error) for c in commands))
                    continue
                if self.delay:
                    time.sleep(self.delay)  # the fault itself, not waiting for something
                data = self._spoil(data) if answers else data
                sink.sendall(data)
        except OSError:
            pass
        _shut(source)
        _shut(sink)
        if not answers:
            with self._lock:
                self._pairs = [p for p in self._pairs if p[0] is not source]

    def _spoil(self, data):
        if self._mode == "rubbish":
            return self.NOISE
        if self._mode == "half":
            self._mode = "swallow"
            return data[: max(1, len(data) // 2)]
        return b"" if self._mode == "swallow" else data


GREETING = {b"PING": b"+PONG\r\n", b"AUTH": b"+OK\r\n", b"CLIENT": b"+OK\r\n", b"SELECT": b"+OK\r\n"}


def _commands(data):
    """The names of the complete commands in it, and what is left over."""
    names = []
    while data.startswith(b"*"):
        count, _, rest = data[1:].partition(b"\r\n")
        words = []
        for _ in range(int(count) if rest or b"\r\n" in data else 0):
            size, _, rest = rest[1:].partition(b"\r\n")
            if not size or len(rest) < int(size) + 2:
                return names, data
            words.append(rest[: int(size)])
            rest = rest[int(size) + 2 :]
        if not words:
            return names, data
        names.append(words[0].upper())
        data = rest
    return names, data


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _reset(end):
    # SO_LINGER with 0 makes close() send RST, but not while another thread is inside recv():
    # shutting down the reading side gets it out of there.
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    end.close()
