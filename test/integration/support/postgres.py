"""A real PostgreSQL of a test's own: its own folder, loopback, a free port and a socket file."""

import glob
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psutil

from support import processes
from support.ports import free_port
from support.waiting import wait_until


def find_bin():
    """The folder of the newest PostgreSQL that is installed; None if there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return Path(max(found, key=lambda p: int(p.split("/")[4]))).parent if found else None


class PostgresServer:
    def __init__(self, bin):
        self.bin = bin
        self.port = free_port()
        self.user = "postgres"
        # PostgreSQL does not run as root, and pytest's folders are root's alone.
        self.folder = Path(tempfile.mkdtemp(prefix="nodebeat-pg-", dir="/tmp"))
        self.switch = []
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = "postgres" if "postgres" in names else "nobody"
            owner = pwd.getpwnam(user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self.switch = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.process = None
        subprocess.run(
            [*self.switch, bin / "initdb", "-D", self.data, "-U", self.user, "-A", "trust", "-N",
             "-E", "UTF8", "--locale=C.UTF-8", "--lc-messages=C"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", timeout=60)

    def start(self, wait=True, **settings):
        """Starts it, or starts it again on the same port."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
            "fsync": "off", "shared_buffers": "8MB", "max_connections": "20", "jit": "off", **settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # Who changes its user loses the signal at the parent's death: asked for once more.
        command = [*self.switch, "setpriv", "--pdeathsig", "KILL", self.bin / "postgres", "-D", self.data]
        self.options = options

        def launch():
            with open(self.log, "ab") as log:
                self.process = processes.spawn([*command, *options], stdout=log, stderr=log, cwd="/")

        launch()
        if wait:
            def answers():
                if self.process.poll() is not None:  # what was killed is not quite gone yet
                    launch()
                return self._psql("postgres", "SELECT 1").returncode == 0

            wait_until(answers, 30, lambda: f"PostgreSQL answers: {self.log.read_text()[-2000:]}")
        return self

    def kill(self):
        """SIGKILL to every process of it."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        processes.end(self.process)
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                pass
        psutil.wait_procs(children, timeout=10)

    def restart(self, **settings):
        self.kill()
        self.start(**settings)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _psql(self, database, sql, user=None):
        # Where there are several releases, Debian's psql is a script that picks one.
        return subprocess.run(
            [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port),
             "-U", user or self.user, "-d", database, "-f", "-"],
            input=sql.encode(), capture_output=True, timeout=30, cwd="/")

    def sql(self, text, database="postgres", user=None):
        """What it prints, one line for each row."""
        done = self._psql(database, text, user)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().removesuffix("\n").split("\n") if done.stdout else []

    def rows(self, query, database):
        """The rows of a query, each as a dict."""
        text = "".join(self.sql(f"SELECT coalesce(json_agg(t), '[]') FROM ({query}) t", database))
        return json.loads(text)
