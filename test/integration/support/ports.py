"""TCP ports for servers of the tests."""

import os
import random
import socket

# Which of the processes that run tests side by side this is. Each has ports of its own, since between the look
# at a port and the start of its server another one would take it.
WORKER = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0").removeprefix("gw"))


def free_port():
    """A port on 127.0.0.1 that is free now. Below the range of outgoing connections: a client that
    keeps trying a closed port inside that range may end up connected to itself."""
    for _ in range(200):
        port = 20000 + 1000 * (WORKER % 12) + random.randrange(1000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")
