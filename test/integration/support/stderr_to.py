"""Runs a program whose standard error is a socket, connected to PATH, that a few lines fill.

    stderr_to.py PATH PROGRAM ARGUMENT...
"""

import os
import socket
import sys

path, *command = sys.argv[1:]
log = socket.socket(socket.AF_UNIX)
log.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that there is
log.connect(path)
os.dup2(log.fileno(), 2)
os.execv(command[0], command)
