"""Computers of a test's own: network namespaces on one switch. A computer that is cut off keeps its link, and
every packet is lost on the way, as with a cable that was pulled behind the next switch."""

import os
import subprocess

from support import processes
from support.waiting import wait_until


def allowed():
    """Whether this user may make them."""
    return os.geteuid() == 0 and not subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "test", "type", "bridge"], capture_output=True
    ).returncode


class Namespace:
    def __init__(self):
        self.process = processes.spawn(["unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != own, 5, "a network namespace")

    @property
    def wrapper(self):
        """Before a command that is to run in there."""
        return ["nsenter", "--target", str(self.process.pid), "--net", "--"]

    def ip(self, words):
        subprocess.run([*self.wrapper, "ip", *words.split()], check=True, timeout=10)


class Network:
    def __init__(self):
        self._hosts = {}
        self._switch = Namespace()
        self._switch.ip("link add switch type bridge forward_delay 0")
        self._switch.ip("link set switch up")

    def add(self, name):
        """A computer on the switch: its namespace, with `address`."""
        host = Namespace()
        host.number = len(self._hosts) + 1
        host.address = f"10.77.{host.number // 250}.{host.number % 250 + 1}"
        self._switch.ip(f"link add port{host.number} type veth peer name cable netns {host.process.pid}")
        self._switch.ip(f"link set port{host.number} master switch up")
        host.ip("link set lo up")
        host.ip(f"address add {host.address}/16 dev cable")
        host.ip("link set cable up")
        self._hosts[name] = host
        return host

    def cut(self, name):
        self._switch.ip(f"link set port{self._hosts[name].number} nomaster")

    def join(self, name):
        self._switch.ip(f"link set port{self._hosts[name].number} master switch")

    def close(self):
        for host in (*self._hosts.values(), self._switch):
            processes.end(host.process)


def fill_with_foreign_keys(redis, count=100_000):
    """Keys of other programs, each with a time to live."""
    for first in range(1, count + 1, 5_000):  # no script that runs for seconds on a busy machine
        redis.eval("for i = ARGV[1], ARGV[2] do redis.call('SET', 'foreign:' .. i, i, 'EX', 100000 + i) end", 0,
                   first, min(first + 4_999, count))
