"""A real redis-server of a test's own: its own folder, loopback, a free port and a socket file."""

import json
import re
import threading
import time
from collections import namedtuple

import redis

from support import acl, processes
from support.ports import free_port
from support.waiting import wait_until

Beat = namedtuple("Beat", "health text ttl_ms")


class RedisServer:
    def __init__(self, folder, users=None, program=("redis-server",), **directives):
        """`users`: an acl.Users that it is to have, with their redis.conf."""
        self.users = users
        self.program = program
        self.folder = folder
        self.folder.mkdir()
        self.socket_path = folder / "redis.sock"
        self.log = folder / "redis.log"
        self.port = free_port()
        self.directives = {k.replace("_", "-"): v for k, v in directives.items()}
        if "cluster-enabled" in self.directives:
            # By default the port that is 10000 higher, where outgoing connections have theirs.
            self.directives["cluster-port"] = free_port()
        self.process = None
        self._clients = {}
        if users is not None:
            self.directives["aclfile"] = users.folder / "users.acl"
            acl.places.update((str(self.port), str(self.socket_path)))

    # --- life -----------------------------------------------------------------------------------

    def start(self, wait=True, **more):
        """Starts it, or starts it again on the same port. `more`: directives for this time."""
        directives = {
            "bind": "127.0.0.1",
            "port": self.port,
            "unixsocket": self.socket_path,
            "dir": self.folder,
            "logfile": self.log,
            "save": "",
            "appendonly": "no",
            **self.directives,
            **{k.replace("_", "-"): v for k, v in more.items()},
        }
        command = [*self.program]
        if self.users is not None:
            command.append(self._their_conf())
        for key, value in directives.items():
            if value is None:
                continue  # as the file has it
            command += [f"--{key}", *(value if isinstance(value, list) else [str(value)])]
        self.process = processes.spawn(command)
        if wait:
            self.wait_ready()
        return self

    def _their_conf(self):
        """Their redis.conf but for its folders: the server looks into those while it reads on."""
        text = (self.users.folder / "redis.conf").read_text()
        text, dirs = re.subn("(?m)^dir .*$", f"dir {self.folder}", text)
        text, logs = re.subn("(?m)^logfile .*$", f"logfile {self.log}", text)
        assert (dirs, logs) == (1, 1)
        copy = self.folder / "redis.conf"
        copy.write_text(text)
        return copy

    def wait_ready(self):
        wait_until(self._answers, 15, "redis-server answers", ignoring=(redis.ConnectionError,))

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client().ping()
        except redis.BusyLoadingError:
            return False
        except redis.AuthenticationError:
            return True
        except redis.ResponseError as error:
            return str(error).startswith("NOAUTH")

    def kill(self):
        processes.end(self.process)
        self._clients.clear()

    def restart(self, **more):
        self.kill()
        self.start(**more)

    def pause(self):
        processes.pause(self.process)

    def resume(self):
        processes.resume(self.process)

    # --- talking to it --------------------------------------------------------------------------

    def client(self, db=0, **options):
        key = (db, *sorted(options.items()))
        if key not in self._clients:
            self._clients[key] = redis.Redis(
                unix_socket_path=str(self.socket_path),
                db=db,
                decode_responses=True,
                socket_timeout=5,
                **{**self._login(), **options},
            )
        return self._clients[key]

    def _login(self):
        if self.users and self.users.admin_password:
            return {"username": "admin", "password": self.users.admin_password}
        return {"password": self.directives.get("requirepass")}

    def url(self, credentials="", db=None):
        tail = "" if db is None else f"/{db}"
        return f"redis://{credentials}127.0.0.1:{self.port}{tail}"

    def unix_url(self, credentials="", db=None):
        tail = "" if db is None else f"?db={db}"
        return f"unix://{credentials}{self.socket_path}{tail}"

    # --- what a node left there -----------------------------------------------------------------

    def beat(self, node, db=0):
        """The node's health as it stands, or None."""
        key = f"node:health:{node}"
        text, ttl = self.client(db).pipeline().hget(key, "health").pttl(key).execute()
        return Beat(json.loads(text), text, ttl) if text is not None else None

    def wait_for_beat(self, node, predicate=lambda health: True, timeout=10.0, db=0, what=None):
        """The first beat seen whose NodeHealth pleases `predicate`."""
        last = []

        def look():
            beat = self.beat(node, db)
            last[:] = [beat]
            return beat if beat is not None and predicate(beat.health) else None

        return wait_until(
            look,
            timeout,
            lambda: f"{what or 'a beat that pleases'}; last beat: {last}",
            ignoring=(redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError),
        )

    def history(self, node, db=0):
        """NodeHealth of the stream's entries, oldest first."""
        entries = self.client(db).xrange(f"stream:node_metrics:{node}")
        return [json.loads(fields["health"]) for _, fields in entries]

    def subscribe(self, *channels, patterns=()):
        return Listener(self.client(), channels, patterns)


class Listener:
    """Collects what is published on some channels, until closed."""

    def __init__(self, client, channels, patterns=()):
        self.messages = []
        self.raw = []  # (time.monotonic(), channel, text)
        self._pubsub = client.pubsub()
        if channels:
            self._pubsub.subscribe(*channels)
        if patterns:
            self._pubsub.psubscribe(*patterns)
        for _ in (*channels, *patterns):
            answer = self._pubsub.get_message(timeout=5)
            assert answer is not None and answer["type"] in ("subscribe", "psubscribe")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._closing.is_set():
            try:
                message = self._pubsub.get_message(timeout=0.05)
            except (redis.ConnectionError, redis.TimeoutError, OSError, ValueError):
                return
            if message is not None and message["type"] in ("message", "pmessage"):
                self.raw.append((time.monotonic(), message["channel"], message["data"]))
                self.messages.append(json.loads(message["data"]))

    def of_type(self, kind):
        return [m for m in self.messages if m["type"] == kind]

    def wait_for(self, kind, predicate=lambda message: True, timeout=10.0):
        return wait_until(
            lambda: next((m for m in self.of_type(kind) if predicate(m)), None),
            timeout,
            lambda: f"event {kind}; there were {self.messages}",
        )

    def close(self):
        self._closing.set()
        self._thread.join(5)
        self._pubsub.close()
