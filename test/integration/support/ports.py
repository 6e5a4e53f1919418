"""TCP ports for servers of the tests."""

import random
import socket


def free_port():
    """A port on 127.0.0.1 that is free now. Below the range of outgoing connections: a client that
    keeps trying a closed port inside that range may end up connected to itself."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")
