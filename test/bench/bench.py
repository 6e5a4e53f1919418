#!/usr/bin/env python3
"""Measures the agent beside collectd, in one run on one machine.

    bench.py [--seconds 30] [--skip-day] [--json FILE]

Both write to one private redis-server once a second; the agent has one TCP probe. Figures come from
the kernel's books of each process: smaps_rollup for memory, status for context switches (a voluntary
one is a wake-up), schedstat for time on a processor. NODEBEATD names the daemon, DAY_OF_BEATS the
program that runs a day of beats on an accelerated clock; ./dev bench sets both.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

COLLECTD = "/usr/sbin/collectd"
WARM_UP_S = 5
STARTS = 21


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    sys.exit(f"bench: {what} did not happen within {seconds} s")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child of ours, ended with the block that uses it."""

    def __init__(self, argv, **kwargs):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kwargs)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis(Process):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
             "--dir", folder, "--logfile", os.path.join(folder, "redis.log")],
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: answers(self.port), 10, "redis-server answering")


def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def memory_kb(pid):
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M))
    return {
        "rss_kb": int(fields["Rss"]),
        "pss_kb": int(fields["Pss"]),
        "private_kb": int(fields["Private_Clean"]) + int(fields["Private_Dirty"]),
        "private_dirty_kb": int(fields["Private_Dirty"]),
    }


def threads(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def switches(pid):
    return sum(
        int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", read(task + "/status"), re.M).group(1)) for task in threads(pid)
    )


def cpu_ns(pid):
    return sum(int(read(task + "/schedstat").split()[0]) for task in threads(pid))


def agent_argv(daemon, port, folder, probe_port):
    config = os.path.join(folder, "nodebeat.toml")
    with open(config, "w", encoding="utf-8") as f:
        f.write(
            '[heartbeat]\ninterval = "1s"\n'
            f'[[probe]]\nname = "redis"\ntype = "tcp"\naddress = "127.0.0.1:{probe_port}"\n'
        )
    return [daemon, "--config", config, "--node", "bench", "--redis", f"redis://127.0.0.1:{port}",
            "--socket", os.path.join(folder, "agent.sock")]


def collectd_argv(port, folder):
    config = os.path.join(folder, "collectd.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write(
            f'BaseDir "{folder}"\nPIDFile "{folder}/collectd.pid"\nInterval 1\nHostname "bench"\nFQDNLookup false\n'
            'LoadPlugin cpu\nLoadPlugin memory\nLoadPlugin unixsock\nLoadPlugin write_redis\n'
            f'<Plugin unixsock>\n SocketFile "{folder}/collectd.sock"\n</Plugin>\n'
            f'<Plugin write_redis>\n <Node "bench">\n  Host "127.0.0.1"\n  Port "{port}"\n </Node>\n</Plugin>\n'
        )
    return [COLLECTD, "-f", "-C", config]


def time_to_ready(argv, folder):
    """Milliseconds from exec to READY=1."""
    path = os.path.join(folder, "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(10)
        start = time.monotonic()
        with Process(argv, env={**os.environ, "NOTIFY_SOCKET": path}, stderr=subprocess.DEVNULL):
            while notify.recv(1024) != b"READY=1":
                pass
            took = time.monotonic() - start
    os.unlink(path)
    return took * 1000


def stripped_kb(daemon, folder):
    target = os.path.join(folder, "stripped")
    subprocess.run(["strip", "-o", target, daemon], check=True)
    return round(os.path.getsize(target) / 1024, 1)


def show(title, rows, limits):
    print(f"\n{title}")
    for key in rows["nodebeatd"]:
        ours, theirs = rows["nodebeatd"][key], rows.get("collectd", {}).get(key)
        line = f"  {key:18} {ours:>10}"
        if theirs is not None:
            line += f"   collectd {theirs:>10}   ratio {ours / theirs if theirs else float('nan'):6.3f}"
        if key in limits:
            line += f"   limit {limits[key]}: {'reached' if ours <= limits[key] else 'MISSED'}"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long each is watched (default: 30)")
    parser.add_argument("--skip-day", action="store_true", help="without the accelerated day of beats")
    parser.add_argument("--json", help="write the figures to this file too")
    arguments = parser.parse_args()
    daemon = os.environ.get("NODEBEATD") or sys.exit("bench: NODEBEATD must name the daemon; use ./dev bench")

    folder = tempfile.mkdtemp(prefix="nodebeat-bench-")
    figures = {}
    try:
        with_redis = Redis(folder)
        with with_redis:
            argv = agent_argv(daemon, with_redis.port, folder, with_redis.port)
            ready = [time_to_ready(argv, folder) for _ in range(STARTS)]
            with Process(argv, stderr=subprocess.DEVNULL) as agent, Process(
                collectd_argv(with_redis.port, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as collectd:
                time.sleep(WARM_UP_S)
                # Side by side, both watched over the same span.
                before = {p.pid: (switches(p.pid), cpu_ns(p.pid)) for p in (agent, collectd)}
                start = time.monotonic()
                time.sleep(arguments.seconds)
                elapsed = time.monotonic() - start
                for name, process in (("nodebeatd", agent), ("collectd", collectd)):
                    woken, cpu = before[process.pid]
                    figures[name] = memory_kb(process.pid)
                    figures[name]["wakeups_per_s"] = round((switches(process.pid) - woken) / elapsed, 2)
                    figures[name]["cpu_percent"] = round((cpu_ns(process.pid) - cpu) / elapsed / 1e7, 4)
        figures["nodebeatd"]["ready_ms_median"] = round(statistics.median(ready), 1)
        figures["nodebeatd"]["ready_ms_worst"] = round(max(ready), 1)
        figures["nodebeatd"]["stripped_kb"] = stripped_kb(daemon, folder)
        show(
            f"beating once a second with one probe, {arguments.seconds:g} s, beside collectd (cpu, memory, unixsock, write_redis)",
            figures,
            {"private_kb": 1024, "rss_kb": 6144, "wakeups_per_s": 5, "cpu_percent": 0.1, "ready_ms_median": 50, "stripped_kb": 400},
        )
        day = os.environ.get("DAY_OF_BEATS")
        if not arguments.skip_day and day:
            print("\na day of beats on an accelerated clock")
            redis = Redis(folder)
            with redis:
                done = subprocess.run([day, f"redis://127.0.0.1:{redis.port}"], capture_output=True, text=True)
                print(done.stdout, end="")
                if done.returncode != 0:
                    sys.exit(f"bench: the day of beats failed: {done.stderr}")
                figures["day"] = json.loads(done.stdout.splitlines()[-1])
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as f:
                json.dump(figures, f, indent=2)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
