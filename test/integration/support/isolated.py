"""Runs a command where names resolve as a test wants: under `unshare --mount [--net]`, with files
of the test's own over /etc/hosts and /etc/resolv.conf.

    isolated.py [--hosts FILE] [--dead-resolver FILE] -- COMMAND...

--dead-resolver is for a network namespace of its own: FILE becomes resolv.conf, naming a server on
127.0.0.1 that takes every question and answers none. Its socket is inherited by COMMAND, which
does not know of it, so that it lives exactly as long. The process id stays the same throughout.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def over(path, file):
    subprocess.run(["mount", "--bind", file, path], check=True)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", request)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def main():
    split = sys.argv.index("--")
    options = dict(zip(sys.argv[1:split:2], sys.argv[2:split:2]))
    command = sys.argv[split + 1 :]
    if "--hosts" in options:
        over("/etc/hosts", options["--hosts"])
    if "--dead-resolver" in options:
        loopback_up()
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        server.set_inheritable(True)
        with open(options["--dead-resolver"], "w") as conf:
            conf.write("nameserver 127.0.0.1\noptions timeout:5 attempts:5\n")
        over("/etc/resolv.conf", options["--dead-resolver"])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
