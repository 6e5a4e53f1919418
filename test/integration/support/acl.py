"""The suite as the users that `nodebeatctl redis setup` writes, with NODEBEAT_TEST_ACL=1: every
redis-server has its redis.conf and users.acl, every agent logs in as the user of its node, and the
tests themselves as the admin."""

import os
import subprocess

from support.agent import environment

ENABLED = os.environ.get("NODEBEAT_TEST_ACL") == "1"

NODES = ["ook", "hog", "eek", "left", "right", *(f"{n}-{i}" for n in ("node", "grid") for i in range(5))]
# What the clients of this suite set and publish on, as an operator would name it.
KEYS = ["cell:*", "recipe:*", "short", "second", "status", "new", "[^nrs]*",
        "node", "robot", "stroke", "stream", "session", "nodebeat"]
CHANNELS = ["cell:*", "cv:*", "system:events", "stroke:events:x", "[a-dpx]*"]

# Ports and sockets behind which such a server is: only there an agent logs in.
places = set()


class Files:
    """A redis.conf and a users.acl."""

    def __init__(self, folder):
        self.folder = folder
        self.admin_password = None


class Users(Files):
    def __init__(self, folder, ctl, nodes=NODES, keys=KEYS, channels=CHANNELS):
        super().__init__(folder)
        command = [ctl, "redis", "setup", "--dir", folder, *nodes]
        command += [f"--keys={pattern}" for pattern in keys]
        command += [f"--channels={pattern}" for pattern in channels]
        subprocess.run(
            command, env=environment(folder.with_suffix(".sanitizer")), check=True,
            stdout=subprocess.DEVNULL, timeout=20,
        )
        self.admin_password = (folder / "admin.password").read_text().strip()

    def login(self, node, redis_url):
        """Settings for an agent that is to log in there; none for a server without these users,
        nor if the URL says who it is."""
        if "@" in redis_url:
            return {}
        place = redis_url.split("://")[1].split("?")[0]
        if not place.startswith("/"):
            place = place.split("/")[0].rsplit(":", 1)[-1]
        if place not in places:
            return {}
        return {
            "redis.username": f"nodebeat-{node}",
            "redis.password_file": str(self.folder / f"nodebeat-{node}.password"),
        }
