#!/usr/bin/env python3
"""Measures the agent and the programs with which it is compared, in one run on one machine.

    bench.py [PART...] [--seconds 30] [--pushes 100000] [--beside FOLDER] [--json FILE]

Without a name all parts run except attacks (a minute each), sessions, hosts, calm, ladder,
watching and gate:
  beats  the agent and collectd. Both write to one private redis-server once a second; the agent
         has one TCP probe. Figures come from the kernel's accounts of each process: smaps_rollup for
         memory, status for context switches (a voluntary one is a wake-up), schedstat for time on a
         processor
  day    a day of beats on an accelerated clock
  push   the cost of a push of the C library, and of a bare send(), without a fault and with Redis or
         the agent stopped
  local  the cost of the socket on the way to Redis, to another client and to another node, its throughput, its
         allocations and memory, compared with the bare operation, redis-benchmark, hiredis and redis-py
  python the cost of pushes of the Python package, over libnodebeat and without, and of its StateManager, compared with
         redis-py and the floor of a push, without and with faults; and the events that one subscriber of it
         receives (python_client.py)
  attacks  what another client notices while one client is hostile (attacks.py)
  sessions 100,000 contended compare-and-sets while Redis is killed and links break (sessions.py)
  hosts  how soon a computer whose packets are dropped silently is announced as lost (host_loss.py); for root
  calm   situations that must not be taken for a death: Redis held up, a watcher held up, many starts, load (calm.py)
  ladder how soon the end of a process, an agent, Redis, a watcher or a session is known (ladder.py)
  watching the cost of watching 5,000 nodes (watching.py)
  gate   the cost of nodebeat-gate: get_state beside the agent's socket, event streams, /metrics (gate.py)

With --beside, beats, push and local are measured in turns with the release build in FOLDER, of another
checkout (./dev build there), and only the ratios of the two are judged: no figure may be worse by more than 3 %.

NODEBEATD names the daemon, BENCH_FOLDER where the programs of this folder were built; ./dev bench
sets both.
"""

import argparse
import contextlib
import csv
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
import threading
import time

import attacks
import calm
import gate
import host_loss
import ladder
import sessions
import watching
from rig import Agent, Process, Redis, agent_argv, memory_kb, read

COLLECTD = "/usr/sbin/collectd"
WARM_UP_S = 5
STARTS = 21
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON_EVENTS = 20_000  # a second
PYTHON_UPDATES = 10_000  # of a StateManager, to each agent
PARTS = ("beats", "day", "push", "local", "python", "attacks", "sessions", "hosts", "calm", "ladder", "watching",
         "gate")
LONG = ("attacks", "sessions", "hosts", "calm", "ladder", "watching", "gate")
WORSE = 1.03  # at most, beside another build
UPDATES = 3000  # of each latency
MESSAGES = 300_000  # of each throughput
ROUNDS = 5  # of each throughput
KEYS = 8192  # of each throughput
DEEP = 15  # batches that one client has under way when it does not wait for each
# Room for 64 clients with 64 messages each under way, and for all keys.
ROOMY = {"NODEBEAT_OUTBOX_EVENT_BYTES": "4MiB", "NODEBEAT_OUTBOX_SLOT_BYTES": "16MiB"}
FLOW_RATE = 10_000  # events a second from one node to another
FLOW_S = 5
REPLAYED = 100_000  # recorded events
PAYLOAD = 300  # bytes of a value or an event
CLIENTS = 40  # one user may have 48 connections
EVENT_BYTES = 1 << 20  # the limits that the agent has without a configuration
SLOT_BYTES = 4 << 20
OUTPUT_BYTES = 1 << 20
MIB = 1 << 20


def threads(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def switches(pid):
    return sum(
        int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", read(task + "/status"), re.M).group(1)) for task in threads(pid)
    )


def cpu_ns(pid):
    return sum(int(read(task + "/schedstat").split()[0]) for task in threads(pid))


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


class Table:
    """Rows with a figure, the figure with which it is compared, and whether the goal is reached."""

    def __init__(self):
        self.rows = []

    def title(self, text):
        print(f"\n{text}\n  {'':44}{'ours':>14}{'beside':>14}{'ratio':>8}  target")

    def row(self, name, ours, beside=None, at_most=None, at_least=None):
        ratio = ours / beside if beside else None
        line = f"  {name:44}{ours:14,.2f}" + (f"{beside:14,.2f}{ratio:8.2f}" if beside else "")
        met = None
        if at_most is not None or at_least is not None:
            value = ours if ratio is None else ratio
            met = value <= at_most if at_most is not None else value >= at_least
            target = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}"
            line = f"{line:80}  {target} {'reached' if met else 'MISSED'}"
        print(line, flush=True)
        self.rows.append({"name": name, "ours": ours, "beside": beside, "ratio": ratio, "met": met})


class Forwarder:
    """Between an agent and its Redis: passes on all bytes, until hush(). Then it reads everything and
    sends nothing, like a server behind a broken route."""

    def __init__(self, port):
        self.target = port
        self.hushed = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hush(self):
        self.hushed.set()

    def _accept(self):
        while True:
            client = self.listener.accept()[0]
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._hand_on, args=(source, sink), daemon=True).start()

    def _hand_on(self, source, sink):
        while data := source.recv(1 << 16):
            if not self.hushed.is_set():
                sink.sendall(data)


def program(name):
    folder = os.environ.get("BENCH_FOLDER") or sys.exit("bench: BENCH_FOLDER must be set; use ./dev bench")
    return os.path.join(folder, name)


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, argv))}: {done.stdout}{done.stderr}")
    return done.stdout


def figures_of(text):
    """Lines of a name and numbers: {name: [numbers]}."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: [float(w) for w in words[1:]] for words in lines if words}


def benchmark_rate(port, clients, *command):
    """The result of redis-benchmark, in commands a second."""
    out = run("redis-benchmark", "-p", port, "-c", clients, "-P", 64, "-n", MESSAGES, "-r", KEYS, "--csv", *command)
    return float(list(csv.reader(out.splitlines()))[-1][1])


CASES = ("healthy", "redis_stopped", "redis_silent", "redis_gone", "agent_stopped")


@contextlib.contextmanager
def troubled_agents(daemon, folder):
    """An agent with the fault of each of CASES: name=socket."""
    with contextlib.ExitStack() as stack:
        servers, agents = {}, {}
        folder = tempfile.mkdtemp(dir=folder)
        for case in CASES:
            servers[case] = Redis(folder)
            stack.enter_context(servers[case])
            way = Forwarder(servers[case].port) if case == "redis_silent" else servers[case]
            agents[case] = Agent(daemon, way.port, folder, case)
            stack.enter_context(agents[case])
            if way is not servers[case]:
                way.hush()
        servers["redis_gone"].process.kill()
        for process in (servers["redis_stopped"].process, agents["agent_stopped"].process):
            process.send_signal(signal.SIGSTOP)
            stack.callback(process.send_signal, signal.SIGCONT)
        yield [f"{case}={agents[case].socket}" for case in CASES]


def bench_push(daemon, folder, table, pushes):
    argv = [program("push"), "--pushes", pushes, "--fifo"]
    with troubled_agents(daemon, folder) as cases:
        out = run(*argv, *(word for case in cases for word in ("--socket", case)))
    print(f"\n{out}", end="")
    side = {}
    for name, numbers in re.findall(r"^(\w+)((?: +[\d.]+){5})$", out, re.M):
        side[name] = dict(zip(("median", "p99", "p99.9", "p99.99", "max"), map(float, numbers.split())))
    table.title(f"a push of 4 x 7 numbers, microseconds, {pushes:,} each, beside a bare send() and the healthy case")
    for quantile in ("median", "p99.99"):
        table.row(f"push / bare, {quantile}", side["healthy"][quantile], side["bare"][quantile], at_most=2)
    for case in CASES[1:]:
        table.row(f"{case} / healthy, p99.99", side[case]["p99.99"], side["healthy"]["p99.99"], at_most=1.2)


def bench_python(daemon, folder, table, pushes):
    """The Python package: Robot.push_state over libnodebeat and in pure Python, and one subscriber."""
    python = (sys.executable, os.path.join(ROOT, "test", "bench", "python_client.py"))
    os.environ["PYTHONPATH"] = os.path.join(ROOT, "src", "python")
    library = program("../../src/client/libnodebeat.so.0")
    redis = Redis(folder)
    with redis:
        theirs = figures_of(run(*python, "redis", redis.port, UPDATES))["redis_py"]
        agent = Agent(daemon, redis.port, folder, "python")
        with agent:
            heard = figures_of(run(*python, "events", agent.socket, PYTHON_EVENTS, FLOW_S))
    with troubled_agents(daemon, folder) as cases:
        ours = figures_of(run(*python, "push", "--library", library, "--pushes", pushes, "--fifo", *cases))
        manager = figures_of(run(*python, "manager", "--pushes", min(pushes, PYTHON_UPDATES), *cases))
    ways = {"library": ("over libnodebeat", 15), "python": ("in pure Python", 40)}
    table.title(f"Robot.push_state of 4 x 7 numbers, microseconds, {pushes:,} each")
    for way, (words, limit) in ways.items():
        table.row(f"{words}, median", ours[f"{way}_healthy"][0], at_most=limit)
    table.title("the same beside redis-py: HGET, HSET, XADD, PUBLISH")
    for way, (words, _) in ways.items():
        table.row(f"{words}, median", ours[f"{way}_healthy"][0], theirs[0])
        table.row(f"{words}, p99", ours[f"{way}_healthy"][1], theirs[1])
    table.title("the same beside the least that it takes, median")
    table.row("over libnodebeat / its call by ctypes", ours["library_healthy"][0], ours["library_floor"][0])
    table.row("in pure Python / the lists' text and a send()", ours["python_healthy"][0], ours["python_floor"][0])
    table.row("over libnodebeat / a send() from Python", ours["library_healthy"][0], ours["bare_send"][0])
    table.title("the same under each fault, p99.99, beside the healthy one")
    for way, (words, _) in ways.items():
        for case in CASES[1:]:
            table.row(f"{words}: {case}", ours[f"{way}_{case}"][3], ours[f"{way}_healthy"][3], at_most=1.5)
    table.title("StateManager.update_robot_state of the same, microseconds, beside redis-py")
    for case in CASES:
        table.row(f"{case}, median", manager[case][0], theirs[0], at_most=1)
        table.row(f"{case}, p99", manager[case][1], theirs[1], at_most=1)
    table.title(f"one nodebeat.Client, subscribed to {PYTHON_EVENTS:,} events a second for {FLOW_S} s")
    table.row("said a second", heard["said_per_second"][0])
    table.row("came, of those that were said", heard["came"][0], heard["said"][0], at_least=1)
    # The last ones come as soon as they are said: what is short of the rate is a queue that grows.
    table.row("a second, of the rate", heard["per_second"][0], PYTHON_EVENTS, at_least=0.99)


def redis_py_strokes(port):
    """The four round trips that the agent replaces, by redis-py: microseconds."""
    import redis  # pylint: disable=import-outside-toplevel

    client = redis.Redis(port=port)
    took = []
    for i in range(UPDATES):
        time.sleep(0.001)
        start = time.monotonic()
        progress = json.dumps(
            {"timestamp": "2026-11-20T14:03:07.123456", "node_id": "bench", "stroke_idx": i, "pose_idx": i % 40,
             "total_strokes": 1000000, "stroke_length": 40, "offset_idx_l": 0, "offset_idx_r": 0,
             "stroke_description_l": "left arm, a long curve", "stroke_description_r": "right arm, waits",
             "is_executing": True, "is_paused": False, "scene_name": "default", "dataset_name": None}
        )
        client.hget("bench:progress", "progress")
        client.hset("bench:progress", "progress", progress)
        client.xadd(
            "bench:history",
            {"stroke_idx": i, "pose_idx": i % 40, "description_l": "left arm, a long curve",
             "description_r": "right arm, waits", "node_id": "bench"},
            maxlen=10000,
        )
        client.publish("bench:progress", progress)
        took.append((time.monotonic() - start) * 1e6)
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]


def bench_latency(table, agent, port):
    local = program("local_bench")
    table.title("a robot's state until Redis has it, microseconds, beside send() -> epoll reader -> blocking HSET")
    seen = figures_of(run(local, "visible", agent.socket, port, UPDATES))
    table.row("until the answer is back, median", seen["agent"][0], seen["bare"][0], at_most=3)
    table.row("until the answer is back, p99", seen["agent"][1], seen["bare"][1])
    table.row("beside the bare one answered too, median", seen["agent"][0], seen["bare_answered"][0])
    table.title("an event until another client has it, microseconds, beside an epoll relay")
    seen = figures_of(run(local, "relay", agent.socket, UPDATES))
    table.row("median", seen["agent"][0], seen["bare"][0], at_most=3)
    table.row("p99", seen["agent"][1], seen["bare"][1])
    table.title("a stroke's progress, microseconds, beside four blocking calls")
    seen = figures_of(run(local, "strokes", agent.socket, port, UPDATES))
    in_python = redis_py_strokes(port)
    for i, quantile in enumerate(("median", "p99")):
        for name, theirs in (("hiredis", seen["hiredis"][i]), ("redis-py", in_python[i])):
            table.row(f"nb_stroke_update() beside {name}, {quantile}", seen["push"][i], theirs)
            table.row(f"until it is stored beside {name}, {quantile}", seen["agent"][i], theirs)
    table.title("a session's update with a version check, microseconds, beside the same EVALSHA by hiredis")
    seen = figures_of(run(local, "update", agent.socket, port, UPDATES))
    table.row("a line to the socket, median", seen["agent"][0], seen["bare"][0], at_most=1.3)
    table.row("a line to the socket, p99", seen["agent"][1], seen["bare"][1])
    table.row("nb_session_update(), median", seen["library"][0], seen["bare"][0], at_most=1.3)
    table.row("the floor: EVALSHA through a relay", seen["relayed"][0], seen["bare"][0])


def bench_replay(table, agent, port):
    import redis  # pylint: disable=import-outside-toplevel

    client = redis.Redis(port=port)
    for begin in range(0, REPLAYED, 10_000):
        pipe = client.pipeline(transaction=False)
        for i in range(begin, begin + 10_000):
            event = json.dumps({"n": i, "filling": "x" * 200})
            pipe.xadd("stream:events:bench:bench:replay", {"channel": "bench:replay", "event": event})
        pipe.execute()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(agent.socket)
        began = time.monotonic()
        s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"channels":["bench:replay"],'
                  b'"replay":{"since":"0-0"}}}\n')
        came = 0
        while came < REPLAYED + 1:
            came += s.recv(1 << 18).count(b"\n")
        took = time.monotonic() - began
    client.delete("stream:events:bench:bench:replay")
    table.title(f"a replay of {REPLAYED:,} recorded events, seconds")
    table.row("until the last one is there", took, at_most=5)


def bench_delivery(daemon, folder, table, agent, port):
    """From a client of one node to a client of another."""
    local = program("local_bench")
    other = Agent(daemon, port, folder, "other", node="other")
    with other:
        seen = figures_of(run(local, "deliver", agent.socket, other.socket, port, UPDATES))
        table.title("from one node to another, microseconds, beside PUBLISH -> SUBSCRIBE by hiredis")
        table.row("an event, median", seen["event"][0], seen["bare"][0], at_most=2.5)
        table.row("an event, p99", seen["event"][1], seen["bare"][1])
        table.row("an event that is recorded, median", seen["recorded"][0], seen["bare"][0])
        table.row("the floor: through two relays", seen["relayed"][0], seen["bare"][0])
        table.title("an emergency stop until a client has it, microseconds")
        table.row("on another node, median", seen["stop_there"][0], at_most=500)
        table.row("on another node, p99", seen["stop_there"][1])
        table.row("on this node, median", seen["stop_here"][0])
        bench_replay(table, agent, port)
        seen = figures_of(run(local, "flow", agent.socket, other.socket, FLOW_RATE, FLOW_S))
        table.title(f"{FLOW_RATE:,} recorded events a second from one node to another, for {FLOW_S} s")
        table.row("said a second", seen["per_second"][0])
        table.row("came, of those that were said", seen.get("came", [0])[0], seen["said"][0], at_least=1)


def bare_relay_rate(port, what, clients, batches, *checks):
    """The messages a second that reach Redis through a process that only passes on bytes."""
    seen = figures_of(run(program("bare_relay"), port, what, clients, MESSAGES, PAYLOAD, batches, *checks))
    return seen["said"][0] / seen["seconds"][0]


def bench_throughput(table, agent, port):
    commands = {
        "publish": ("PUBLISH", "bench:rate", "x" * PAYLOAD),
        "set": ("SET", "bench:__rand_int__", "x" * PAYLOAD),
    }
    rows = []
    for what, clients, batches in shapes():
        # In turns, and the best of each: what else runs here shall not decide.
        theirs, relayed, checked, ours = 0, 0, 0, 0
        for _ in range(ROUNDS):
            theirs = max(theirs, benchmark_rate(port, clients, *commands[what]))
            relayed = max(relayed, bare_relay_rate(port, what, clients, batches))
            checked = max(checked, bare_relay_rate(port, what, clients, batches, "checks"))
            ours = max(ours, rate(agent, port, what, clients, batches))
        name = f"{commands[what][0]}, {clients} clients, {64 * clients * batches:,} under way"
        rows.append((name, ours, theirs, relayed, checked))
    table.title(f"into Redis over one connection, a second, {PAYLOAD} bytes each, beside redis-benchmark -P 64")
    for name, ours, theirs, _, _ in rows:
        table.row(name, ours, theirs, at_least=0.5)
    # redis-benchmark and Redis are two processes, a client, the agent and Redis three.
    table.title("the same, beside a bare relay: a process between that neither parses nor looks (test/bench/bare_relay.cc)")
    for name, ours, _, relayed, _ in rows:
        table.row(name, ours, relayed, at_least=0.8)
    table.title("the same, beside that relay when it also checks the text of each call and writes that of each answer")
    for name, ours, _, _, checked in rows:
        table.row(name, ours, checked)


def bench_allocations(daemon, folder, table, port):
    counter = os.path.join(folder, "allocations")

    def count():
        with open(counter, "rb") as f:
            return int.from_bytes(f.read(8), sys.byteorder)

    table.title("allocations of the agent for each message, once it has warmed up")
    env = {"LD_PRELOAD": program("count_allocations.so"), "COUNT_ALLOCATIONS": counter}
    agent = Agent(daemon, port, folder, "counted", {**env, **ROOMY})
    with agent:
        for what in ("publish", "set"):
            for clients in (1, CLIENTS):
                rate = (program("local_bench"), "rate", agent.socket, port, what, clients)
                run(*rate, MESSAGES // 10, PAYLOAD)
                before = count()
                seen = figures_of(run(*rate, MESSAGES, PAYLOAD))
                table.row(f"{what}, {clients} clients", (count() - before) / seen["said"][0], at_most=0.1)


def bench_memory(daemon, folder, table):
    table.title(f"private memory with Redis away and {CLIENTS} clients, MiB")
    redis = Redis(folder)
    with contextlib.ExitStack() as stack:
        with redis:
            agent = Agent(daemon, redis.port, folder, "filled")
            stack.enter_context(agent)
        private = [memory_kb(agent.process.pid)["private_kb"] / 1024]
        filler = subprocess.Popen(
            [program("local_bench"), "fill", agent.socket, str(CLIENTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.callback(filler.wait)
        stack.callback(filler.stdin.close)
        said = {}
        for full in ("lanes", "output"):
            for line in filler.stdout:
                said.update(figures_of(line))
                if full in said:
                    break
            else:
                sys.exit("bench: the queues could not be filled")
            private.append(memory_kb(agent.process.pid)["private_kb"] / 1024)
            filler.stdin.write("\n")
            filler.stdin.flush()
    lanes = (EVENT_BYTES + SLOT_BYTES) / MIB
    table.row("idle", private[0])
    table.row(f"lanes full ({said['values'][0]:,.0f} values), limit {lanes + 2:g}", private[1], at_most=lanes + 2)
    limit = lanes + (CLIENTS - 1) * OUTPUT_BYTES / MIB + 2
    queued = said["queued_bytes"][0] / MIB
    table.row(f"and {queued:.1f} MiB wait for clients, limit {limit:g}", private[2], at_most=limit)


def bench_local(daemon, folder, table):
    redis = Redis(folder)
    with redis:
        agent = Agent(daemon, redis.port, folder, "local")
        with agent:
            bench_latency(table, agent, redis.port)
            bench_delivery(daemon, folder, table, agent, redis.port)
        roomy = Agent(daemon, redis.port, folder, "roomy", ROOMY)
        with roomy:
            bench_throughput(table, roomy, redis.port)
        bench_allocations(daemon, folder, table, redis.port)
    bench_memory(daemon, folder, table)


def shapes():
    """A case of the throughput: the message, the clients, and the batches that each has under way."""
    return [(what, *shape) for what in ("publish", "set") for shape in ((1, 1), (1, DEEP), (CLIENTS, 1))]


def rate(agent, port, what, clients, batches):
    """Messages a second that reached Redis."""
    seen = figures_of(run(program("local_bench"), "rate", agent.socket, port, what, clients, MESSAGES, PAYLOAD, batches))
    # Where 40 clients take turns, one may wait while the others come round to its keys.
    if seen["dropped"][0] or seen["expired"][0] or seen["coalesced"][0] > MESSAGES / 100:
        sys.exit(f"bench: not all of it was written: {seen}")
    return seen["in_redis"][0] / seen["seconds"][0]


class Pair:
    """Two agents side by side, ours and another build's, each with its own Redis."""

    def __init__(self, stack, daemons, folder, name, env=None):
        self.servers, self.agents = [], []
        for i, daemon in enumerate(daemons):
            server = Redis(folder)
            stack.enter_context(server)
            agent = Agent(daemon, server.port, folder, f"{name}{i}", env)
            stack.enter_context(agent)
            self.servers.append(server)
            self.agents.append(agent)

    def best(self, pick, measure):
        """In turns, and the best of each, so that other work on the machine does not decide."""
        found = [[], []]
        for turn in range(ROUNDS):
            for i in (0, 1) if turn % 2 == 0 else (1, 0):
                found[i].append(measure(i, self.agents[i], self.servers[i].port))
        return [pick(values) for values in found]


def compare_local(daemons, folder, table):
    local = program("local_bench")
    with contextlib.ExitStack() as stack:
        pair = Pair(stack, daemons, folder, "latency")
        table.title("latencies, median, microseconds, beside the other build")
        ours, theirs = pair.best(min, lambda _, agent, port: figures_of(run(local, "visible", agent.socket, port, UPDATES))["agent"][0])
        table.row("until Redis has confirmed it", ours, theirs, at_most=WORSE)
        ours, theirs = pair.best(min, lambda _, agent, port: figures_of(run(local, "relay", agent.socket, UPDATES))["agent"][0])
        table.row("until another local client has it", ours, theirs, at_most=WORSE)
        ours, theirs = pair.best(min, lambda _, agent, port: figures_of(run(local, "strokes", agent.socket, port, UPDATES))["agent"][0])
        table.row("a stroke's progress until it is stored", ours, theirs, at_most=WORSE)
    with contextlib.ExitStack() as stack:
        pair = Pair(stack, daemons, folder, "rate", ROOMY)
        table.title(f"into Redis over one connection, a second, {PAYLOAD} bytes each, beside the other build")
        for what, clients, batches in shapes():
            ours, theirs = pair.best(max, lambda _, agent, port, s=(what, clients, batches): rate(agent, port, *s))
            table.row(f"{what}, {clients} clients, {64 * clients * batches:,} under way", ours, theirs, at_least=1 / WORSE)


def compare_push(daemons, programs, folder, table, pushes):
    with contextlib.ExitStack() as stack:
        pair = Pair(stack, daemons, folder, "push")

        def median(i, agent, _):
            out = run(os.path.join(programs[i], "push"), "--pushes", pushes // ROUNDS, "--fifo", "--socket", f"healthy={agent.socket}")
            return float(re.search(r"^healthy +([\d.]+)", out, re.M).group(1))

        table.title("a push of 4 x 7 numbers, median, microseconds, beside the other build's library and agent")
        ours, theirs = pair.best(min, median)
        table.row("push", ours, theirs, at_most=WORSE)


def compare_beats(daemons, folder, table, seconds):
    with contextlib.ExitStack() as stack:
        # Alone in its cell, each would watch it; an earlier build knows no such variable, and goes on without it.
        pair = Pair(stack, daemons, folder, "beats", {"NODEBEAT_WATCH_ENABLED": "false"})
        pids = [agent.process.pid for agent in pair.agents]
        time.sleep(WARM_UP_S)
        before = [(switches(pid), cpu_ns(pid)) for pid in pids]
        time.sleep(seconds)
        after = [(switches(pid), cpu_ns(pid)) for pid in pids]
        memory = [memory_kb(pid) for pid in pids]
    table.title(f"beating once a second with one probe, {seconds:g} s, beside the other build")
    for what in ("private_kb", "pss_kb", "rss_kb"):
        table.row(what, memory[0][what], memory[1][what], at_most=WORSE)
    for i, (what, unit) in enumerate((("wake-ups a second", 1), ("processor, of one core, %", 1e7))):
        table.row(what, *((after[j][i] - before[j][i]) / seconds / unit for j in (0, 1)), at_most=WORSE)
    sizes = [stripped_kb(daemon, folder) for daemon in daemons]
    table.row("stripped daemon, KiB", *sizes, at_most=WORSE)


def compare(daemon, other, parts, folder, table, arguments):
    daemons = [daemon, os.path.join(other, "src/agent/nodebeatd")]
    programs = [program(""), os.path.join(other, "test/bench")]
    for path in (daemons[1], os.path.join(programs[1], "push")):
        if not os.path.exists(path):
            sys.exit(f"bench: there is no {path}: --beside names a release build (./dev build, build/release) of another checkout")
    if "beats" in parts:
        compare_beats(daemons, folder, table, arguments.seconds)
    if "push" in parts:
        compare_push(daemons, programs, folder, table, arguments.pushes)
    if "local" in parts:
        compare_local(daemons, folder, table)


def bench_beats(daemon, folder, seconds):
    """One of the agents watches the cell, as in each cell; the other one is like all others."""
    figures = {}
    with_redis = Redis(folder)
    with with_redis:
        argv = agent_argv(daemon, with_redis.port, folder, with_redis.port, watches=False)
        ready = [time_to_ready(argv, folder) for _ in range(STARTS)]
        own = os.path.join(folder, "watcher")
        os.mkdir(own)
        watching = agent_argv(daemon, with_redis.port, own, with_redis.port, "watcher")
        with Process(watching, stderr=subprocess.DEVNULL) as watcher, Process(
            argv, stderr=subprocess.DEVNULL
        ) as agent, Process(
            collectd_argv(with_redis.port, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as collectd:
            time.sleep(WARM_UP_S)
            # Side by side, all watched over the same span.
            processes = {"nodebeatd": agent, "collectd": collectd, "watcher": watcher}
            before = {name: (switches(p.pid), cpu_ns(p.pid)) for name, p in processes.items()}
            start = time.monotonic()
            time.sleep(seconds)
            elapsed = time.monotonic() - start
            for name, process in processes.items():
                woken, cpu = before[name]
                figures[name] = memory_kb(process.pid)
                figures[name]["wakeups_per_s"] = round((switches(process.pid) - woken) / elapsed, 2)
                figures[name]["cpu_percent"] = round((cpu_ns(process.pid) - cpu) / elapsed / 1e7, 4)
    figures["nodebeatd"]["ready_ms_median"] = round(statistics.median(ready), 1)
    figures["nodebeatd"]["ready_ms_worst"] = round(max(ready), 1)
    figures["nodebeatd"]["stripped_kb"] = stripped_kb(daemon, folder)
    show(
        f"beating once a second with one probe, {seconds:g} s, beside collectd (cpu, memory, unixsock, write_redis)",
        figures,
        {"private_kb": 1024, "rss_kb": 6144, "wakeups_per_s": 5, "cpu_percent": 0.1, "ready_ms_median": 50, "stripped_kb": 512},
    )
    show("the agent that watches the cell", {"nodebeatd": figures["watcher"]}, {"wakeups_per_s": 10})
    return figures


def bench_day(folder):
    print("\na day of beats on an accelerated clock")
    redis = Redis(folder)
    with redis:
        done = run(program("day_of_beats"), f"redis://127.0.0.1:{redis.port}")
    print(done, end="")
    return json.loads(done.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=", ".join(PARTS) + " (default: all but attacks, sessions, hosts, calm, ladder, watching and gate)")
    parser.add_argument("--seconds", type=float, default=30, help="how long the beats are watched (default: 30)")
    parser.add_argument("--pushes", type=int, default=100_000, help="of each kind (default: 100000, at 1 kHz)")
    parser.add_argument("--attack-seconds", type=float, default=60, help="of each attack (default: 60)")
    parser.add_argument("--attack", action="append", help="only this one; may be given several times")
    parser.add_argument("--trials", type=int, default=100, help="of lost hosts, of each profile (default: 100)")
    calm.arguments_of(parser)
    ladder.arguments_of(parser)
    parser.add_argument("--beside", metavar="FOLDER", help="another checkout's build/release, to measure in turns with this one")
    parser.add_argument("--skip-day", action="store_true", help="without the accelerated day of beats")
    parser.add_argument("--json", help="write the figures to this file too")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"'{part}' is not one of {', '.join(PARTS)}")
    wanted = arguments.parts or [p for p in PARTS if p not in LONG]
    parts = [p for p in wanted if not (arguments.skip_day and p == "day")]
    if unknown := set(arguments.attack or ()) - set(attacks.attacks()):
        parser.error(f"there is no attack {', '.join(sorted(unknown))}: there are {', '.join(attacks.attacks())}")
    daemon = os.environ.get("NODEBEATD") or sys.exit("bench: NODEBEATD must name the daemon; use ./dev bench")

    folder = tempfile.mkdtemp(prefix="nodebeat-bench-")
    figures = {}
    table = Table()
    print(f"load before: {' '.join(f'{x:.1f}' for x in os.getloadavg())} on {os.cpu_count()} processors")
    try:
        if arguments.beside:
            compare(daemon, arguments.beside, parts, folder, table, arguments)
            parts = []
        if "beats" in parts:
            figures.update(bench_beats(daemon, folder, arguments.seconds))
        if "day" in parts:
            figures["day"] = bench_day(folder)
        if "push" in parts:
            bench_push(daemon, folder, table, arguments.pushes)
        if "local" in parts:
            bench_local(daemon, folder, table)
        if "python" in parts:
            bench_python(daemon, folder, table, arguments.pushes)
        if "attacks" in parts:
            figures["attacks"] = attacks.bench(daemon, folder, arguments.attack_seconds, arguments.attack)
        if "sessions" in parts:
            figures["sessions"] = sessions.bench(daemon, os.environ["BENCH_FOLDER"], folder)
        if "hosts" in parts:
            figures["hosts"] = host_loss.bench(daemon, folder, arguments.trials)
        if "calm" in parts:
            figures["calm"] = calm.bench(daemon, folder, arguments)
        if "ladder" in parts:
            figures["ladder"] = ladder.bench(daemon, folder, arguments.ladder_trials)
        if "watching" in parts:
            figures["watching"] = watching.bench(daemon, os.environ["BENCH_FOLDER"], folder)
        if "gate" in parts:
            figures["gate"] = gate.bench(daemon, folder)
        figures["table"] = table.rows
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as f:
                json.dump(figures, f, indent=2)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
