"""Runs a command in surroundings of a test's own: under `unshare --mount [--net]`.

    isolated.py [--hosts FILE] [--dead-resolver FILE] [--hung-mount FOLDER] [--boot-note FILE]
                [--boot-id FILE] -- COMMAND...

--hosts          FILE is /etc/hosts.
--dead-resolver  FILE becomes resolv.conf, naming a server on 127.0.0.1 that takes every question
                 and answers none. For a network namespace of its own.
--hung-mount     on FOLDER there is a file system that answers nothing, like an NFS whose server
                 is gone: FUSE, with nobody behind it.
--boot-note      FILE is what nodebeat-boot.service has noted of the boot before; /run is empty else.
--boot-id        FILE is what the kernel says is the id of this boot.

What is behind --dead-resolver and --hung-mount is a descriptor that COMMAND inherits without knowing of it, and that
therefore lives exactly as long. The process id stays the same throughout.
"""

import ctypes
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


def hung_mount(folder):
    device = os.open("/dev/fuse", os.O_RDWR)
    os.set_inheritable(device, True)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"fuse", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")


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
    if "--hung-mount" in options:
        hung_mount(options["--hung-mount"])
    if "--boot-id" in options:
        over("/proc/sys/kernel/random/boot_id", options["--boot-id"])
    if "--boot-note" in options:
        with open(options["--boot-note"], encoding="utf-8") as note:
            text = note.read()
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        os.mkdir("/run/nodebeat.boot")
        with open("/run/nodebeat.boot/before", "w", encoding="utf-8") as note:
            note.write(text)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
