"""Starts a program as a service manager with socket units would: each PATH is a listening socket,
handed over from descriptor 3 on under its name.

    activation.py [NAME=]PATH... -- PROGRAM ARGUMENT...
"""

import os
import socket
import sys

end = sys.argv.index("--")
units, command = sys.argv[1:end], sys.argv[end + 1:]
names = []
listeners = []
for number, unit in enumerate(units, 3):
    name, path = unit.split("=") if "=" in unit else ("nodebeat", unit)
    names.append(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listeners.append(listener)
    listener.bind(path)
    listener.listen(64)
    if listener.fileno() != number:
        os.dup2(listener.fileno(), number)
    os.set_inheritable(number, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)),
                  LISTEN_FDNAMES=":".join(names))
os.execv(command[0], command)
