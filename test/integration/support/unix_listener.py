"""A Unix socket that a test serves itself, one connection after the other."""

import socket
import threading


class UnixListener:
    """serve(stream) is called with each connection, and the connection is closed when it returns."""

    def __init__(self, path, serve):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                stream, _ = self._socket.accept()
            except OSError:
                return  # closed
            with stream:
                self._serve(stream)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
