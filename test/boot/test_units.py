"""The units as they are installed, checked without a boot."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("nodebeat.service", "nodebeat@.service", "nodebeat.socket", "nodebeat-audit.service",
         "nodebeat-boot.service", "nodebeat-gate.service", "nodebeat-gate.socket")


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The folder of the units, as they are installed below /usr."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: install the Debian package systemd")
    folder = tmp_path_factory.mktemp("units")
    subprocess.run(["meson", "setup", "-Dtests=disabled", "-Daudit=enabled", "--prefix=/usr", folder / "build", ROOT],
                   check=True, stdout=subprocess.DEVNULL)
    made = folder / "root" / "etc" / "systemd" / "system"
    made.mkdir(parents=True)
    for name in UNITS:
        found = folder / "build" / "systemd" / name
        shutil.copy(found if found.exists() else ROOT / "systemd" / name, made)
    return made


@pytest.mark.parametrize("unit", ["nodebeat.service", "nodebeat@.service", "nodebeat-audit.service",
                                  "nodebeat-gate.service"])
def test_the_exposure_is_at_most_1_2(units, unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           "--threshold=12", units / unit], capture_output=True, text=True)
    level = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1])
    assert level <= 1.2 and done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_of_them(units, unit):
    """But that manual pages and the program are not installed here."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", units / unit],
                          capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
    lines = [line for line in done.stderr.splitlines() if "nodebeat" in line
             and "is not executable: No such file" not in line]
    assert not lines and ("is not executable" in done.stderr or done.returncode == 0)


def test_it_offers_nothing_to_a_network_and_executes_next_to_nothing(units):
    lines = (units / "nodebeat.service").read_text().splitlines()
    assert {"SocketBindDeny=any", "NoExecPaths=/", "PrivateIPC=yes"} <= set(lines)
    (allowed,) = [line for line in lines if line.startswith("ExecPaths=")]
    assert len(allowed.split()) <= 5 and "/usr/bin" not in allowed.replace("/usr/bin/", "")


def test_the_socket_that_systemd_makes_lies_in_a_folder_of_roots(units):
    """systemd removes and makes it as root: not where the agent's user could put a link in its way."""
    (path,) = re.findall(r"^ListenStream=(.*)$", (units / "nodebeat.socket").read_text(), re.M)
    (folder,) = re.findall(r"^RuntimeDirectory=(.*)$", (units / "nodebeat.service").read_text(), re.M)
    assert path == "/run/nodebeat.sock" and not path.startswith(f"/run/{folder.split()[0]}/")


def test_system_calls_are_let_through_by_name_and_no_group_of_danger_with_them(units):
    text = (units / "nodebeat.service").read_text()
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.M)
    groups = {word for line in filters for word in line.split() if word.startswith("@")}
    assert groups == {"@basic-io", "@io-event", "@network-io", "@file-system", "@signal"}


# What the agent called while the whole integration suite ran (strace -D -f, amd64), and what takes
# the place of some of it on arm64 and armhf.
CALLED = """
accept4 access arch_prctl bind brk chmod clone3 close connect epoll_create1 epoll_ctl epoll_wait
eventfd2 execve exit exit_group fcntl flock ftruncate futex getdents64 getpid getrandom getsockname
getsockopt ioctl kill listen lseek madvise mkdir mmap mprotect munmap newfstatat openat pidfd_open pipe2
poll prctl pread64 prlimit64 pwrite64 read readlink recvfrom recvmsg rename restart_syscall rseq
rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait sendmmsg sendto
set_robust_list set_tid_address setsockopt shutdown socket statfs uname unlink utimensat write
""".split()
CALLED_ON_ARM = """
_llseek clock_gettime clock_gettime64 clone epoll_pwait faccessat faccessat2 fchmodat fcntl64
fstatat64 fstatfs64 ftruncate64 futex_time64 mkdirat mmap2 ppoll ppoll_time64 readlinkat recv
recvmmsg_time64 renameat renameat2 rt_sigtimedwait_time64 send set_tls sigreturn statfs64 statx
ugetrlimit unlinkat utimensat_time64 cacheflush
""".split()


def let_through(unit):
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"],
                            capture_output=True, text=True, check=True).stdout
    groups, name = {}, None
    for line in listed.splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = word
            groups[name] = set()
        elif word and not word.startswith("#") and name:
            groups[name].add(word)

    def names_in(word):
        if not word.startswith("@"):
            return {word}
        return {inner for entry in groups[word] for inner in names_in(entry)}

    words = ["@default"]
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.M):
        words += line.split()
    return {name for word in words for name in names_in(word)}


def test_what_the_agent_calls_is_let_through(units):
    through = let_through(units / "nodebeat.service")
    assert not set(CALLED) - through
    assert not set(CALLED_ON_ARM) - through
    assert not through & {"chown", "ptrace", "mount", "bpf", "setuid", "init_module", "reboot", "swapon",
                          "perf_event_open", "keyctl", "setns", "unshare", "process_vm_readv"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of others")
def test_the_folder_that_gives_the_view_its_group(tmp_path):
    """The agent makes view.sock in it, since it may not chown (ipc/socket_file.cc)."""
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    for program, *arguments in (["systemd-sysusers", ROOT / "systemd/nodebeat.sysusers"],
                                ["systemd-tmpfiles", "--create", ROOT / "systemd/nodebeat.tmpfiles"]):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}: install the Debian package systemd")
        subprocess.run([program, f"--root={tmp_path}", *arguments], check=True, capture_output=True)
    groups = dict(re.findall(r"^([\w-]+):x:(\d+):", (tmp_path / "etc/group").read_text(), re.M))
    users = dict(re.findall(r"^([\w-]+):x:(\d+):", (tmp_path / "etc/passwd").read_text(), re.M))
    folder = (tmp_path / "run/nodebeat/view.sock.group").stat()
    assert folder.st_mode & 0o7777 == 0o2700
    assert (folder.st_uid, folder.st_gid) == (int(users["nodebeat"]), int(groups["nodebeat-view"]))
    above = (tmp_path / "run/nodebeat").stat()
    assert above.st_mode & 0o7777 == 0o755 and above.st_gid == int(groups["nodebeat"])
