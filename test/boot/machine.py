"""A small Debian with a real systemd as process 1, in systemd-nspawn, seen and driven from outside.

The tree is made once and kept; what a test does to it goes to a layer in memory, and with it."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from support import processes
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("NODEBEAT_BOOT_TREES") or ROOT / "build" / "trees" / "boot")
NAMESPACE = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--mount-proc",
             "--kill-child"]
ALWAYS = ["dbus", "redis-server", "systemd", "systemd-sysv"]


def why_not():
    """In words, why no machine can be booted here; None if it can."""
    # The root of a namespace of users is not enough.
    if os.getuid() != 0 or "4294967295" not in Path("/proc/self/uid_map").read_text():
        return "only root can boot a system in systemd-nspawn"
    for tool, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")):
        if shutil.which(tool) is None:
            return f"there is no {tool}: install the Debian package {package}"
    return why_no_namespace()


def why_no_namespace():
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"no namespaces can be made here: {tried.stderr.strip()}"
    return None


def check(command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}"
    return done.stdout


def remove(tree):
    """Deletes a tree, and nothing that is mounted in it: that would be this computer's own."""
    check(["rm", "-rf", "--one-file-system", tree])


def code_name():
    text = Path("/etc/os-release").read_text()
    return re.search(r"^VERSION_CODENAME=(\w+)", text, re.M)[1]


def wanted_libraries(packages, programs):
    """What the packages depend on but do not bring; or the packages of the programs' libraries."""
    if packages:
        names = {re.sub(r"[\s(|:].*", "", part) for deb in packages
                 for part in check(["dpkg-deb", "-f", deb, "Depends"]).strip().split(", ")}
        return sorted(names - {deb.name.split("_")[0] for deb in packages} - {""})
    paths = re.findall(r"=> (/\S+)", check(["ldd", *programs]))
    # Debian's /lib is a link to /usr/lib, and dpkg knows a file by one of its names only.
    paths = {Path(p).resolve() for p in paths}
    names = [str(p) for p in paths] + [str(p).removeprefix("/usr") for p in paths]
    found = subprocess.run(["dpkg-query", "-S", *names], capture_output=True, text=True).stdout
    return sorted({line.split(":")[0] for line in found.splitlines() if "diversion" not in line})


def base_tree(libraries, kind="system", hooks=()):
    """The folder of a Debian like this one, with what the tests want in it. The hooks are
    mmdebstrap's: shell commands in which "$1" is the tree."""
    names = sorted({*ALWAYS, *libraries})
    # Its owners are others in a namespace of users.
    owners = Path("/proc/self/uid_map").read_text()
    mark = hashlib.sha256(" ".join((*names, *hooks, owners)).encode()).hexdigest()[:12]
    tree = CACHE / f"{kind}-{code_name()}-{mark}"
    if not tree.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in (*CACHE.glob(f"{kind}-{code_name()}-*"), *CACHE.glob("draft.*")):
            remove(old)
        draft = Path(tempfile.mkdtemp(prefix="draft.", dir=CACHE))
        # mmdebstrap binds this computer's /proc, /sys and /dev/shm into the tree. In a namespace of
        # its own they are nobody else's to stumble over, and go with it however it ends.
        check([*([] if why_no_namespace() else NAMESPACE), "mmdebstrap", "--variant=minbase", "--include=" + ",".join(names),
               *(f"--customize-hook={hook}" for hook in hooks), code_name(), draft], timeout=300)
        draft.chmod(0o755)
        draft.rename(tree)
    return tree


class Tree:
    """A system that does not run yet: `tree` is its folder."""

    def __init__(self, folder):
        self.root = self.tree = folder

    def write(self, path, text, mode=0o644):
        file = Path(f"{self.root}{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def chroot(self, *command):
        return check(["chroot", self.tree, *command],
                     env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})

    def install(self, packages, build):
        """The Debian packages; without any, what `meson install` of the build folder gives."""
        if packages:
            there = self.tree / "packages"
            there.mkdir()
            for deb in packages:
                shutil.copy(deb, there)
            return self.chroot("sh", "-c", "dpkg --force-confold -i /packages/*.deb")
        check(["meson", "install", "-C", build, "--no-rebuild"],
              env={**os.environ, "DESTDIR": str(self.tree)})
        self.chroot("systemd-sysusers")
        return self.chroot("systemctl", "enable", "nodebeat.service")


class Machine(Tree):
    """Make it, put files into `root`, start() it; what is in it is then under `root` too."""

    def __init__(self, base):
        self.folder = Path(tempfile.mkdtemp(prefix="nodebeat-boot."))
        self.process = None
        self.leader = None
        check(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.folder])
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        super().__init__(self.folder / "root")
        try:
            check(["mount", "-t", "overlay", "overlay", "-o",
                   f"lowerdir={base},upperdir={self.folder}/upper,workdir={self.folder}/work",
                   self.tree])
        except AssertionError:
            check(["umount", self.folder])
            self.folder.rmdir()
            raise

    def start(self, *options):
        (self.tree / "etc/machine-id").write_text("6e6f646562656174626f6f7474657374\n")
        self.process = processes.spawn(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.tree}", "--machine=hog",
             "--register=no", "--keep-unit", "--link-journal=no", "--private-network",
             "--resolv-conf=off", "--timezone=off", "--console=pipe", *options],
            stdin=subprocess.DEVNULL, stdout=open(self.folder / "console", "wb"),
            stderr=subprocess.STDOUT)

        def leader():
            assert self.process.poll() is None, (
                "systemd-nspawn has ended: " + (self.folder / "console").read_text()[-2000:])
            # setpriv is replaced by systemd-nspawn, whose child is process 1 of the machine.
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for pid in children.split():
                if os.path.exists(f"/proc/{pid}/root/run/systemd/private"):
                    return int(pid)
            return None

        self.leader = wait_until(leader, 20, "systemd as process 1", ignoring=(OSError,))
        self.root = Path(f"/proc/{self.leader}/root")

    def command(self, *command):
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--",
                *map(str, command)]

    def run(self, *command, ok=True):
        """Runs it in there as root, outside of every sandbox."""
        done = subprocess.run(self.command(*command), capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL)
        assert not ok or done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def spawn(self, *command):
        return processes.spawn(self.command(*command), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def systemctl(self, *arguments, ok=True):
        return self.run("systemctl", "--no-pager", *arguments, ok=ok)

    def show(self, unit, name):
        return self.systemctl("show", "-P", name, unit).stdout.strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def stop(self):
        """As by a power cut: with its process 1 all of it goes."""
        if self.leader and self.process.poll() is None:
            os.kill(self.leader, signal.SIGKILL)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        processes.end(self.process)
        for mount in (self.tree, self.folder):
            subprocess.run(["umount", "-l", mount], check=False)
        self.folder.rmdir()
