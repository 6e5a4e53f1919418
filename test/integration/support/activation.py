"""Starts a program as a service manager with a socket unit would: descriptor 3 listens at PATH.

    activation.py PATH PROGRAM ARGUMENT...
"""

import os
import socket
import sys

path, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(64)
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="nodebeat")
os.execv(command[0], command)
