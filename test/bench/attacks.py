#!/usr/bin/env python3
"""Attacks the agent with a hostile client at full speed, and measures what another client notices of it.

    attacks.py [NAME...] [--seconds 60]

Each attack has a Redis and an agent of its own. Beside the hostile client, which is a process of its own
with as many connections as the attack needs, a victim reports the robot's state 100 times a second and an
error five times a second, each with `ack: stored`, and once a second opens a new connection and says hello. The
bench prints how long the victim waited for its acknowledgements, what was lost (calls that were answered by an
error, connections that were cut off, acknowledged errors and the last acknowledged state if Redis does not have
them), and the agent's peak memory. The goals are a p99 of 5 ms, nothing lost, 32 MB.

After each acknowledgement the victim sends a PING to Redis on a connection of its own. Its p99 is
printed as `PING p99`, the floor: the time of Redis and the processors for a round trip without an agent. No
acknowledgement can be faster. `agent` and `Redis` explain the rest: the share of the time in which the process was
on a processor, and in which it was ready to run while another process had the processor, in
percent (/proc/PID/schedstat).

If root runs this, the hostile client belongs to another user, else to the victim's user: then an attack with more
connections than a user may have locks the victim out, too.

NODEBEATD names the daemon; ./dev bench attacks sets it.
"""

import argparse
import contextlib
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from rig import Agent, Redis, processor_s, read

NODE = "bench"
P99_MS = 5.0
MEMORY_KB = 32 * 1024
STATES_PER_S = 100
ERRORS_PER_S = 5
LINES = 256 * 1024  # bytes that a hostile client sends again and again
NOBODY = 65534  # whom the hostile client runs as
USER, PASSWORD = "agent", "bench"  # of the agent that is refused some keys


def call(method, params=None, request_id=None):
    line = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        line["params"] = params
    if request_id is not None:
        line["id"] = request_id
    return json.dumps(line, separators=(",", ":"))


def many(make):
    """Lines made from 0, 1, 2, ..., as many as fit into a flood's buffer."""
    lines, size, i = [], 0, 0
    while size < LINES:
        lines.append(make(i))
        size += len(lines[-1]) + 1
        i += 1
    return "\n".join(lines) + "\n"


class Kind:
    """The work of one connection: sends `first`, then `again` for ever; or, if it `leaves`, closes when both
    were sent and connects again. `reads`: it reads its input."""

    def __init__(self, first="", again="", leaves=False, reads=True):
        self.first, self.again = first.encode(), again.encode()
        self.leaves, self.reads = leaves, reads


class Attack:
    def __init__(self, about, kinds, prepare=None, env=None):
        self.about, self.kinds, self.prepare, self.env = about, kinds, prepare, env


# --- what stands in Redis before --------------------------------------------------------------------


def a_large_cell(redis):
    """100 nodes, and 10,000 sessions that have ended."""
    health = json.dumps({"timestamp": "2026-11-20T14:03:07.123456", "cpu_percent": 12.5, "is_reachable": True})
    with redis.pipeline(transaction=False) as pipe:
        for i in range(100):
            pipe.hset("nodebeat:nodes", f"node{i}", json.dumps({"instance_id": f"node{i}-x"}))
            pipe.hset(f"node:health:node{i}", "health", health)
        for i in range(10_000):
            pipe.hset(f"stroke:progress:stroke_old_{i}_0", "progress", json.dumps({"is_executing": False, "stroke_idx": i}))
            if i % 1000 == 999:
                pipe.execute()
        pipe.execute()


def large_hashes(redis):
    redis.hset("cell:big", mapping={f"f{i}": "v" for i in range(33_000)})
    redis.hset("nodebeat:nodes", mapping={f"n{i}": "{}" for i in range(40_000)})


def some_keys_refused(redis):
    redis.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "&*", "+@all",
                          *(f"~{p}:*" for p in ("node", "robot", "stroke", "stream", "nodebeat", "cell")))


# --- the attacks ------------------------------------------------------------------------------------


def batch_of(line, count=256):
    return "[" + ",".join(line(i) for i in range(count)) + "]\n"


def status_batch():
    return batch_of(lambda i: call("system.status", None, i))


def stored(i):
    return call("state.set", {"key": f"cell:k{i % 500}", "value": i, "ack": "stored", "timeout_ms": 60000}, i)


def stored_event(i):
    return call("event.publish", {"channel": "x", "event": {"i": i}, "ack": "stored", "timeout_ms": 60000}, i)


def patterns(client):
    names = [f"*a?a?{chr(97 + client % 26)}{client}x{i}*" for i in range(62)] + ["*a?a?a?a*", "*"]
    return call("event.subscribe", {"patterns": names}, "s") + "\n"


def long_patterns(client):
    """As many expensive patterns as one client may have: each is compared to its end with each long channel."""
    return call("event.subscribe", {"patterns": ["a" * 240 + f"{client:02}{i:02}" for i in range(16)]}, "s") + "\n"


def long_channels():
    return many(lambda i: call("event.publish", {"channel": "a" * 240 + str(i % 100), "event": {"i": i}}))


def small_events():
    return many(lambda i: call("event.publish", {"channel": "a" * (40 + i % 200) + str(i), "event": {"i": i}}))


def flood(channel="flood"):
    return many(lambda i: call("event.publish", {"channel": channel, "event": {"i": i, "text": "x" * 200}}))


def deaf_listeners():
    listener = Kind(call("event.subscribe", {"patterns": ["*"]}, 1) + "\n", reads=False)
    long_events = many(lambda i: call("event.publish", {"channel": "x", "event": {"i": i, "text": "x" * 60_000}}))
    return [listener] * 16 + [Kind(again=long_events)]


def wills():
    will = [{"method": "error.report", "params": {"category": "will", "message": "gone"}}]
    return Kind(call("client.hello", {"name": "w", "will": will}, 1) + "\n", leaves=True)


def strokes():
    start = call("stroke.start", {"total_strokes": 100}, 1) + "\n"
    text = "x" * 400
    return Kind(start, many(lambda i: call("stroke.update", {"stroke_idx": i, "pose_idx": i, "stroke_description_l": text})))


def attacks():
    return {
        "nobody": Attack("no hostile client: what the rest is to be held against", []),
        "status": Attack("17 connections: a batch of 256 system.status, then close", [Kind(status_batch(), leaves=True)] * 17, a_large_cell),
        "calls": Attack("60 connections with four calls of system.status each", [Kind(again=many(lambda i: call("system.status", None, i)))] * 60, a_large_cell),
        "acks": Attack("calls with ack: stored, then close", [Kind("".join(stored(i) + "\n" for i in range(250)), leaves=True),
                                                             Kind("".join(stored_event(i) + "\n" for i in range(250)), leaves=True)] * 4),
        "hashes": Attack("reads of a HASH of 33,000 fields and of 40,000 nodes", [Kind(again=many(lambda i: call("state.get", {"key": "cell:big"}, i))),
                         Kind(again=many(lambda i: call("state.get", {"key": "nodebeat:nodes"}, i))),
                         Kind(again=many(lambda i: call("system.status", None, i)))], large_hashes),
        "patterns12": Attack("12 clients with 64 patterns, each with events", [Kind(patterns(c), small_events()) for c in range(12)]),
        "patterns60": Attack("60 clients with 64 patterns, each with events", [Kind(patterns(c), small_events()) for c in range(60)]),
        "prefixes": Attack("60 clients with long patterns, each with events", [Kind(long_patterns(c), long_channels()) for c in range(60)]),
        "lists": Attack("60 connections that look for keys that there are none of",
                        [Kind(again=many(lambda i: call("state.list", {"prefix": "none"}, i)))] * 60, a_large_cell),
        "publish": Attack("one client floods event.publish", [Kind(again=flood())]),
        "publish4": Attack("four clients flood event.publish", [Kind(again=flood(f"flood{c}")) for c in range(4)]),
        "batches": Attack("batches of 256 events", [Kind(again=batch_of(lambda i: call("event.publish", {"channel": f"x{i}", "event": {"i": i}}, i)) * 8)] * 4),
        "strokes": Attack("stroke.update at full speed", [strokes()]),
        "starts": Attack("stroke.start at full speed", [Kind(again=many(lambda i: call("stroke.start", {"total_strokes": i})))]),
        "idle": Attack("64 idle connections", [Kind()] * 64),
        "connects": Attack("connects and closes", [Kind("\n", leaves=True)] * 16),
        "wills": Attack("connects, leaves a will, goes", [wills()] * 4),
        "refused": Attack("two keys in turn that Redis refuses", [Kind(again=many(lambda i: call("state.set", {"key": f"secret:{i % 2}", "value": i})))],
                          some_keys_refused, lambda port: {"NODEBEAT_REDIS_URL": f"redis://{USER}:{PASSWORD}@127.0.0.1:{port}"}),
        "malformed": Attack("lines that are no JSON", [Kind(again=many(lambda i: '{"value":NaN}'))] * 4),
        "errors": Attack("calls that are refused", [Kind(again=many(lambda i: call("no.such", None, i)))] * 4),
        "deaf": Attack("16 listeners that do not read, and events of 60 KB", deaf_listeners()),
    }


# --- the hostile client -----------------------------------------------------------------------------


class Connection:
    def __init__(self, kind, path, selector):
        self.kind, self.path, self.selector = kind, path, selector
        self.socket = None
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(self.path)
        except OSError:  # the queue is full
            self.socket.close()
            self.socket = None
            return
        self.socket.setblocking(False)
        self.what, self.at = memoryview(self.kind.first), 0
        self.watch()

    def watch(self):
        talks = self.at < len(self.what) or self.kind.again or self.kind.leaves
        events = (selectors.EVENT_READ if self.kind.reads else 0) | (selectors.EVENT_WRITE if talks else 0)
        if events:
            self.selector.register(self.socket, events, self)

    def close(self):
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(self.socket)
        self.socket.close()
        self.socket = None

    def ready(self, events):
        """The number of bytes that were sent."""
        try:
            if events & selectors.EVENT_READ and not self.socket.recv(1 << 18):
                return self.close() or 0
            if events & selectors.EVENT_WRITE:
                return self.talk()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        return 0

    def talk(self):
        if self.at == len(self.what):
            if self.kind.leaves:
                return self.close() or 0
            if not self.kind.again:
                self.selector.unregister(self.socket)
                if self.kind.reads:
                    self.selector.register(self.socket, selectors.EVENT_READ, self)
                return 0
            self.what, self.at = memoryview(self.kind.again), 0
        sent = self.socket.send(self.what[self.at:])
        self.at += sent
        return sent


def be_hostile(name, path):
    """Until standard input ends: for as long as the victim takes, however slow the machine is."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    selector = selectors.DefaultSelector()
    connections = [Connection(kind, path, selector) for kind in attacks()[name].kinds]
    print("ready", flush=True)
    said, running = 0, True
    selector.register(sys.stdin, selectors.EVENT_READ)
    while running:
        for key, events in selector.select(0.01):
            if key.fileobj is sys.stdin:
                running = False
            else:
                said += key.data.ready(events)
        for connection in connections:
            if connection.socket is None:
                connection.connect()
    print(said)


# --- the victim -------------------------------------------------------------------------------------


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)  # waits while the queue of the socket is full
        self.socket.settimeout(10)
        self.rest = b""

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        while b"\n" not in self.rest:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self.rest += data
        answer, _, self.rest = self.rest.partition(b"\n")
        return json.loads(answer)


def ping(server):
    """The time of a PING."""
    start = time.monotonic()
    server.sendall(b"PING\r\n")
    if server.recv(64) != b"+PONG\r\n":
        raise ConnectionError("no PONG from Redis")
    return time.monotonic() - start


def be_victim(path, port, seconds):
    # Of what else runs here, only the agent shall decide how long it waits.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    client = Client(path)
    server = socket.create_connection(("127.0.0.1", port), 10)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waited = {"push": [], "hello": [], "ping": []}
    failed, stored_errors, cut_off, last_state = {}, [], 0, None
    begin = due = time.monotonic()
    i = 0
    while due < begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        # What is late is not made up for: it would be said when the attack is over.
        due = max(due + 1 / STATES_PER_S, time.monotonic())
        is_error = i % (STATES_PER_S // ERRORS_PER_S) == 0
        i += 1
        if is_error:
            line = call("error.report", {"category": "victim", "message": f"victim {i}", "ack": "stored"}, i)
        else:
            line = call("robot.update", {"joints_l": [i, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "ack": "stored"}, i)
        start = time.monotonic()
        try:
            answer = client.ask(line)
        except OSError:
            cut_off += 1
            client = Client(path)
            continue
        waited["push"].append(time.monotonic() - start)
        waited["ping"].append(ping(server))
        if "error" in answer:
            name = answer["error"]["data"]["name"]
            failed[name] = failed.get(name, 0) + 1
        elif is_error:
            stored_errors.append(f"victim {i}")
        else:
            last_state = i
        if i % STATES_PER_S == STATES_PER_S // 2:
            start = time.monotonic()
            try:
                Client(path).ask(call("client.hello", {"name": "late"}, 1))["result"]
                waited["hello"].append(time.monotonic() - start)
            except (OSError, KeyError):
                failed["hello"] = failed.get("hello", 0) + 1
    print(json.dumps({"waited": waited, "failed": failed, "stored": stored_errors,
                      "last_state": last_state, "cut_off": cut_off}))


# --- putting it together ----------------------------------------------------------------------------


def start(role, *arguments):
    return subprocess.Popen([sys.executable, __file__, role, *map(str, arguments)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def missing(redis, wanted):
    """Which of these errors are in no stream of this node."""
    for stream in redis.scan_iter(match=f"stream:*{NODE}*", type="stream"):
        last = "-"
        while wanted and (entries := redis.xrange(stream, last, count=1000)):
            for _, fields in entries:
                if "victim" in str(fields):
                    wanted = wanted - {json.loads(fields[b"event"])["message"]}
            last = b"(" + entries[-1][0]
    return wanted


def state_number(redis):
    """Which of the victim's calls made the robot's state that Redis has."""
    return json.loads(redis.hget(f"robot:state:{NODE}", "state") or "{}").get("joints_l", [-1])[0]


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))] * 1000 if values else float("nan")


def run(name, daemon, folder, seconds):
    """The figures of one attack."""
    import redis as redis_py  # pylint: disable=import-outside-toplevel

    attack = attacks()[name]
    os.chmod(folder, 0o755)  # the socket is in it
    folder = os.path.join(folder, name)
    os.mkdir(folder)
    server = Redis(folder)
    log = os.path.join(folder, "log")
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        redis = redis_py.Redis(port=server.port)
        if attack.prepare:
            attack.prepare(redis)
        with open(log, "w", encoding="utf-8") as log_file:
            env = {"NODEBEAT_SOCKET_MODE": "0666", **(attack.env(server.port) if attack.env else {})}
            agent = Agent(daemon, server.port, folder, "agent", env, log_file)
        stack.enter_context(agent)
        before = redis.info("memory")["used_memory"]
        hostile = start("--hostile", name, agent.socket)
        stack.callback(hostile.kill)
        hostile.stdout.readline()
        processes = {"agent": agent.process.pid, "redis": server.process.pid}
        began, spent = time.monotonic(), {who: processor_s(pid) for who, pid in processes.items()}
        victim = start("--victim", agent.socket, server.port, seconds)
        out, _ = victim.communicate(timeout=seconds * 20 + 120)
        took = time.monotonic() - began
        lived = agent.process.poll() is None
        said = json.loads(out) if out else {"waited": {"push": [], "hello": [], "ping": []}, "failed": {"victim": 1}, "stored": [], "last_state": None, "cut_off": 1}
        percent = {who: [round(100 * (now - then) / took, 1) for now, then in zip(processor_s(pid), spent[who])]
                   for who, pid in processes.items() if lived}
        hostile_bytes = int(hostile.communicate(timeout=60)[0] or 0)  # ends its standard input first
        peak = int(re.search(r"^VmHWM:\s+(\d+)", read(f"/proc/{agent.process.pid}/status"), re.M).group(1)) if lived else 0
        lost = missing(redis, set(said["stored"]))
        state_lost = said["last_state"] is not None and state_number(redis) < said["last_state"]
        grown = redis.info("memory")["used_memory"] - before
    push, hello = said["waited"]["push"], said["waited"]["hello"]
    figures = {
        "attack": name, "seconds": seconds, "lived": lived, "pushes": len(push), "p50_ms": round(quantile(push, 0.5), 3),
        "p99_ms": round(quantile(push, 0.99), 3), "max_ms": round(quantile(push, 1), 3),
        "ping_p99_ms": round(quantile(said["waited"]["ping"], 0.99), 3), "hello_max_ms": round(quantile(hello, 1), 3), "failed": said["failed"], "cut_off": said["cut_off"],
        "stored_errors": len(said["stored"]), "lost_errors": len(lost), "lost_states": int(state_lost), "peak_kb": peak,
        "agent_percent": percent.get("agent"), "redis_percent": percent.get("redis"), "hostile_mb": round(hostile_bytes / 1e6, 1),
        "redis_grown_mb": round(grown / 1e6, 1), "log_lines": read(log).count("\n"),
    }
    shutil.rmtree(folder)
    return figures


def harm_of(figures, most_kb=MEMORY_KB):
    """What was lost, or None."""
    if not figures["lived"]:
        return "the agent died"
    for what in ("failed", "cut_off", "lost_errors", "lost_states"):
        if figures[what]:
            return f"{what}: {figures[what]}"
    if figures["peak_kb"] >= most_kb:
        return f"{figures['peak_kb'] / 1024:.1f} MB"
    return None


def lost_of(figures):
    return figures["lost_errors"] + figures["lost_states"] + figures["cut_off"] + sum(figures["failed"].values())


def verdict_of(figures):
    if harm := harm_of(figures):
        return f"MISSED ({harm})"
    if figures["p99_ms"] <= P99_MS:
        return "reached"
    return f"MISSED (p99; without the agent {figures['ping_p99_ms']:.1f})"


def bench(daemon, folder, seconds, names=None):
    print(f"\nattacks of {seconds:g} s each; the victim's {STATES_PER_S} acknowledged pushes a second, ms;"
          " of agent and Redis, percent of the time: at work + waiting for a processor\n"
          f"  {'':11}{'p50':>8}{'p99':>8}{'max':>9}{'PING p99':>10}{'hello max':>11}{'lost':>6}{'peak MB':>9}"
          f"{'agent':>9}{'Redis':>9}{'attacker MB':>13}{'Redis +MB':>11}{'log':>6}")
    all_figures = []
    for name in names or attacks():
        f = run(name, daemon, folder, seconds)
        all_figures.append(f)
        shares = "".join(f"{'+'.join(f'{x:.0f}' for x in f[who] or []):>9}" for who in ("agent_percent", "redis_percent"))
        print(f"  {name:11}{f['p50_ms']:8.2f}{f['p99_ms']:8.2f}{f['max_ms']:9.2f}{f['ping_p99_ms']:10.2f}{f['hello_max_ms']:11.2f}"
              f"{lost_of(f):6}{f['peak_kb'] / 1024:9.1f}{shares}{f['hostile_mb']:13.1f}{f['redis_grown_mb']:11.1f}"
              f"{f['log_lines']:6}  {verdict_of(f)}", flush=True)
    return all_figures


def main():
    if sys.argv[1:2] == ["--hostile"]:
        return be_hostile(sys.argv[2], sys.argv[3])
    if sys.argv[1:2] == ["--victim"]:
        return be_victim(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(attacks()) + " (default: all)")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(attacks()):
        parser.error(f"there is no attack {', '.join(sorted(unknown))}")
    daemon = os.environ.get("NODEBEATD") or sys.exit("attacks: NODEBEATD must name the daemon; use ./dev bench attacks")
    folder = tempfile.mkdtemp(prefix="nodebeat-attacks-")
    try:
        bench(daemon, folder, arguments.seconds, arguments.names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


if __name__ == "__main__":
    main()
