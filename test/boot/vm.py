"""The same small Debian in a virtual machine, without KVM: for where no systemd-nspawn can be used,
and for what only a kernel of its own enforces: a unit's limits of memory, tasks and addresses.

It is driven over its second serial line, by a shell at the other end."""

import base64
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import machine as machines
from support import processes
from support.waiting import wait_until

QEMU = {"x86_64": ("qemu-system-x86_64", "qemu-system-x86", "linux-image-cloud-amd64")}
# What the kernel needs to find its root; the rest it loads from there.
HOOKS = (
    'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/small"',
    'printf "virtio_pci\\\\nvirtio_blk\\\\next4\\\\n" >>"$1/etc/initramfs-tools/modules"',
    'chroot "$1" update-initramfs -u',
)
SHELL = """\
#!/bin/sh
# Carries out lines of a number and a command in base64; answers with that number, the exit status
# and what the command said, in base64.
stty raw -echo <>/dev/ttyS1
exec 3<>/dev/ttyS1
echo ready >&3
while read -r number command <&3; do
  said=$(sh -c "$(echo "$command" | base64 -d)" 2>&1 </dev/null)
  status=$?
  echo "$number $status $(printf %s "$said" | base64 -w0)" >&3
done
"""
SHELL_UNIT = """\
[Service]
ExecStart=/usr/local/sbin/orders
[Install]
WantedBy=multi-user.target
"""


def why_not():
    """In words, why no machine can be run here; None if it can."""
    if platform.machine() not in QEMU:
        return f"there is no virtual machine for {platform.machine()} yet"
    program, package, _ = QEMU[platform.machine()]
    for tool, package in ((program, package), ("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")):
        if shutil.which(tool) is None:
            return f"there is no {tool}: install the Debian package {package}"
    return None


def base_tree(libraries):
    kernel = QEMU[platform.machine()][2]
    return machines.base_tree([*libraries, kernel, "initramfs-tools", "udev"], "kernel", HOOKS)


class VirtualMachine:
    """Of a tree that is ready; it is copied, so the tree may go as soon as this is made."""

    def __init__(self, tree):
        self.folder = Path(tempfile.mkdtemp(prefix="nodebeat-vm."))
        self.line = None
        self.process = None
        self.orders = 0
        self.left = b""
        (tree / "usr/local/sbin/orders").write_text(SHELL)
        (tree / "usr/local/sbin/orders").chmod(0o755)
        (tree / "etc/systemd/system/orders.service").write_text(SHELL_UNIT)
        machines.check(["chroot", tree, "systemctl", "enable", "orders.service"])
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(next((tree / "boot").glob(f"{name}-*")), self.folder / name)
        machines.check(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree,
                        self.folder / "disk", "2G"])

    def start(self, seconds):
        """Boots it; process 1 and the shell must be there after so many seconds."""
        peer = self.folder / "line"
        self.process = processes.spawn(
            [QEMU[platform.machine()][0], "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2",
             "-m", "512", "-display", "none", "-nodefaults", "-no-reboot", "-nic", "none",
             "-kernel", self.folder / "vmlinuz", "-initrd", self.folder / "initrd.img",
             "-append", "root=/dev/vda rw console=ttyS0 quiet systemd.journald.forward_to_console=0",
             "-drive", f"file={self.folder}/disk,if=virtio,format=raw,cache=unsafe",
             "-serial", f"file:{self.folder}/console", "-serial", f"unix:{peer},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=open(self.folder / "qemu", "wb"),
            stderr=subprocess.STDOUT)
        wait_until(peer.exists, 10, "the virtual machine's serial line")
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(peer))
        deadline = time.monotonic() + seconds
        while self._read_line(deadline) != b"ready":
            pass

    def _read_line(self, deadline):
        while b"\n" not in self.left:
            self.line.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                more = self.line.recv(65536)
            except TimeoutError:
                more = b""
            assert more, "the machine says nothing; its console:\n" + (
                self.folder / "console").read_text(errors="replace")[-3000:]
            self.left += more
        line, self.left = self.left.split(b"\n", 1)
        return line.strip(b"\r")

    def run(self, script, ok=True, seconds=60):
        """What a shell in it says; with `ok` it must succeed."""
        self.orders += 1
        order = f"{self.orders} {base64.b64encode(script.encode()).decode()}\n"
        self.line.sendall(order.encode())
        number, status, *said = self._read_line(time.monotonic() + seconds).split(b" ")
        assert int(number) == self.orders
        text = base64.b64decode(said[0]).decode(errors="replace") if said else ""
        assert not ok or status == b"0", (script, status, text)
        return text

    def show(self, unit, name):
        return self.run(f"systemctl show -P {name} {unit}").strip()

    def journal(self, unit):
        return self.run(f"journalctl --no-pager -o cat -u {unit}")

    def stop(self):
        if self.line:
            self.line.close()
        processes.end(self.process)
        shutil.rmtree(self.folder)
