#!/usr/bin/env python3
"""Every call by which the agent's sources reach files and descriptors is in src/WAITS.md, with the reason
why the loop's thread does not wait there; and that list names nothing else.

    check_waits.py ROOT"""

import re
import sys
from pathlib import Path

# The programs beside the agent may wait: nobody's beat depends on them.
OTHER_ROOMS = {"audit", "client", "ctl", "gate", "http", "mcp", "mcp_http", "metrics", "redis_admin",
               "terminal"}

# What may wait, or looks up a path.
SYSTEM = """
accept accept4 access bind chmod chown connect creat dlopen fchmod fchown fcntl fdatasync flock
fstat fstatfs fstatvfs fsync ftruncate futimens getaddrinfo gethostname getifaddrs getnameinfo getrandom
ioctl kill link listen lstat mkdir mkfifo mknod msync nanosleep open openat opendir poll popen ppoll pread
preadv pthread_cond_timedwait pthread_cond_wait pthread_join pwrite pwritev read readdir readlink readv
realpath recv recvfrom recvmmsg recvmsg rename renameat rmdir select send sendfile sendmmsg sendmsg sendto
sleep stat statfs statvfs statx symlink syslog system truncate unlink unlinkat usleep utimensat wait waitpid
write writev
""".split()
OURS = """
open_own_file read_descriptor read_own_file read_plain_file read_small_file
replace_own_file
""".split()
LIBUV = r"uv_fs_\w+|uv_getaddrinfo|uv_pipe_connect|uv_tcp_connect|uv_try_write\d?|uv_write\d?|uv_sleep|uv_spawn"

CALL = re.compile(rf"(?<![\w>])::({'|'.join(SYSTEM)})\(|(?<![\w.>:])({'|'.join(OURS)}|{LIBUV})\(|"
                  r"(?<![\w.>:])(fopen|getrandom|pthread_join|popen|system)\(")
DEFINITION = re.compile(rf"^(?:Result<[^=]*>|Status) (?:{'|'.join(OURS)})\(.*$", re.M)


def calls_of(source):
    text = re.sub(r"//.*|/\*.*?\*/", "", source.read_text(), flags=re.S if source.suffix == ".c" else 0)
    text = DEFINITION.sub("", text)
    return {name for found in CALL.findall(text) for name in found if name}


def listed(document):
    rows = {}
    for source, calls, why in re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+) \|$", document, re.M):
        if len(why) < 12:
            sys.exit(f"src/WAITS.md: {source} has no reason")
        for name in re.findall(r"`(\w+)`", calls):
            rows.setdefault(source, set()).add(name)
    return rows


def main():
    src = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]) / "src"
    rows = listed((src / "WAITS.md").read_text())
    made = {str(path.relative_to(src)): calls_of(path) for path in sorted(src.glob("*/*.cc"))
            if path.relative_to(src).parts[0] not in OTHER_ROOMS}
    made = {source: calls for source, calls in made.items() if calls}
    if len(made) < 10 or len(rows) < 10:
        sys.exit("there is next to nothing to compare: that cannot be")
    faults = []
    for source in sorted(made.keys() | rows.keys()):
        calls, known = made.get(source, set()), rows.get(source, set())
        faults += [f"src/{source} calls {name}(): say in src/WAITS.md why it cannot keep the loop's thread "
                   "waiting, or ask on another thread" for name in sorted(calls - known)]
        faults += [f"src/WAITS.md: {source} does not call {name}() any more" for name in sorted(known - calls)]
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
