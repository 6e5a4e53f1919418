"""The service manager's side of sd_notify(3)."""

import socket
import threading
import time

from support.waiting import wait_until


class NotifySocket:
    def __init__(self, path):
        self.path = path
        self.datagrams = []  # (time.monotonic(), {"READY": "1", ...})
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.datagrams.append((time.monotonic(), fields))

    def with_key(self, key, after=0):
        return [(at, f[key]) for at, f in self.datagrams[after:] if key in f]

    def wait_for(self, key, predicate=lambda value: True, after=0, timeout=10.0):
        """The first (time, value) of `key` that pleases."""
        return wait_until(
            lambda: next((d for d in self.with_key(key, after) if predicate(d[1])), None),
            timeout,
            lambda: f"{key}= by sd_notify; there was {self.datagrams[after:]}",
        )

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", str(self.path))
        self._thread.join(5)
        self._socket.close()
