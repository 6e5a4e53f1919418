#!/usr/bin/env python3
"""The cost of nodebeat-gate, and its limits: get_state over standard input and output beside the same call
on the agent's socket; 100 event streams while 20 nodes beat once a second; /metrics of 100 nodes.

    gate.py [--calls 2000] [--streams 100] [--seconds 20] [--scrapes 20]

NODEBEATD names the daemon, beside which the gate was built; ./dev bench gate sets it.
"""

import argparse
import contextlib
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import redis

from rig import Agent, Process, Redis, answers, busy_s, free_port, memory_kb, wait_for

CALLS, STREAMS, SECONDS, SCRAPES = 2000, 100, 20, 20
BEATING, LISTED = 20, 100  # nodes, for the streams and for /metrics
MOST_RATIO = 3
MOST_CORE_PERCENT = 5
MOST_KB = 20_000
MOST_SCRAPE_MS = 20
WARM_UP_S = 3
KEY = "cell:bench"
OPENING = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize",
     "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def program_beside(daemon):
    path = os.path.join(os.path.dirname(os.path.dirname(daemon)), "gate", "nodebeat-gate")
    return path if os.path.exists(path) else sys.exit(f"bench: there is no {path}: libmicrohttpd-dev is missing")


# --- get_state --------------------------------------------------------------------------------------


class Lines:
    """Questions and answers, a line each, over two files."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def ask(self, line):
        """The answer, and how long it took, in µs."""
        start = time.perf_counter_ns()
        self.writer.write(line)
        self.writer.flush()
        answer = self.reader.readline()
        took = (time.perf_counter_ns() - start) / 1000
        if b'"result"' not in answer:
            sys.exit(f"bench: {answer!r}")
        return answer, took


def question(method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"


@contextlib.contextmanager
def over_stdio(program, agent):
    process = subprocess.Popen([program, "--socket", agent.socket, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        for message in OPENING:
            process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        yield Lines(process.stdout, process.stdin)
    finally:
        process.stdin.close()  # which ends it
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def on_socket(agent):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(agent.socket)
        with s.makefile("rb") as reader, s.makefile("wb") as writer:
            yield Lines(reader, writer)


def bench_get_state(program, server, agent, calls):
    """In turns, so that both meet the same noise."""
    redis.Redis(port=server.port).set(KEY, '"auto"')
    direct, through = question("state.get", key=KEY), question("tools/call", name="get_state", arguments={"key": KEY})
    times = {"socket": [], "stdio": []}
    with over_stdio(program, agent) as stdio, on_socket(agent) as own:
        for _ in range(calls):
            times["socket"].append(own.ask(direct)[1])
            answer, took = stdio.ask(through)
            times["stdio"].append(took)
        if b"auto" not in answer:
            sys.exit(f"bench: {answer!r}")
    return {f"get_state_{way}_us": round(statistics.median(took), 1) for way, took in times.items()}


# --- HTTP -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(program, agent):
    """The port and the process."""
    port = free_port()
    with Process([program, "--socket", agent.socket, "--http", f"127.0.0.1:{port}", "serve"],
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: answers(port), 10, "the gate answering")
        yield port, process.pid


def health_of(node, beat):
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000", time.gmtime())
    return json.dumps({
        "timestamp": now, "node_id": node, "cpu_percent": beat % 100 + 0.5, "memory_percent": 41.2, "disk_percent": 63.0,
        "gpu_available": False, "gpu_percent": None, "gpu_memory_percent": None, "is_reachable": True,
        "ping_latency_ms": 0.21, "mcp_server_running": True, "mcp_port": 8765, "last_heartbeat": now,
        "load_1": 0.42, "uptime_s": 98765 + beat, "temperature_c": 48.5, "agent_version": "0.1.0",
        "probes": [{"name": "mcp", "type": "mcp", "up": True, "detail": ""}]})


def beat_all(port, nodes, beat):
    pipeline = redis.Redis(port=port).pipeline(transaction=False)
    for i in range(nodes):
        node = f"bench-{i:03}"
        pipeline.hset(f"node:health:{node}", "health", health_of(node, beat))
        pipeline.pexpire(f"node:health:{node}", 15_000)
    pipeline.execute()


@contextlib.contextmanager
def beating(port, nodes):
    ended = threading.Event()

    def beat():
        count = 0
        while not ended.wait(1):
            count += 1
            beat_all(port, nodes, count)

    beat_all(port, nodes, 0)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Browsers:
    """Connections to /events, all read by one thread."""

    def __init__(self, port, count):
        self.selector = selectors.DefaultSelector()
        self.bytes = self.updates = 0
        self.sockets = []
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.selector.register(s, selectors.EVENT_READ)
            self.sockets.append(s)

    def read_for(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                piece = key.fileobj.recv(65536)
                if not piece:
                    sys.exit("bench: the gate has ended a stream")
                self.bytes += len(piece)
                self.updates += piece.count(b"event: nodes")

    def close(self):
        for s in self.sockets:
            s.close()
        self.selector.close()


def bench_streams(program, server, agent, streams, seconds):
    with beating(server.port, BEATING), serving(program, agent) as (port, pid), \
            contextlib.closing(Browsers(port, streams)) as browsers:
        browsers.read_for(WARM_UP_S)
        browsers.bytes = browsers.updates = 0
        before, start = busy_s(pid), time.monotonic()
        browsers.read_for(seconds)
        took = time.monotonic() - start
        return {"streams_core_percent": round((busy_s(pid) - before) / took * 100, 2),
                "streams_rss_kb": memory_kb(pid)["rss_kb"], "streams_private_kb": memory_kb(pid)["private_kb"],
                "updates_a_stream_s": round(browsers.updates / streams / took, 2),
                "kb_a_stream_s": round(browsers.bytes / streams / took / 1000, 2)}


def scrape(port):
    """In ms. The connection is made before, as Prometheus keeps its own."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        start = time.perf_counter()
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with s.makefile("rb") as reader:
            text = reader.read()
        took = (time.perf_counter() - start) * 1000
    if text.count(b"nodebeat_node_up{") < LISTED:
        sys.exit("bench: /metrics does not tell all nodes")
    return took


def bench_metrics(program, server, agent, scrapes):
    with beating(server.port, LISTED), serving(program, agent) as (port, pid):
        pids = {"gate": pid, "agent": agent.process.pid, "redis": server.process.pid}
        times, busy = [], dict.fromkeys(pids, 0.0)
        for _ in range(scrapes):
            time.sleep(1.1)  # an answer serves for a second
            before = {who: busy_s(each) for who, each in pids.items()}
            times.append(scrape(port))
            for who, each in pids.items():
                busy[who] += busy_s(each) - before[who]
        return {"scrape_median_ms": round(statistics.median(times), 2), "scrape_worst_ms": round(max(times), 2),
                **{f"scrape_{who}_cpu_ms": round(s / scrapes * 1000, 2) for who, s in busy.items()}}


# --- all --------------------------------------------------------------------------------------------


def verdict(reached):
    return "reached" if reached else "MISSED"


def bench(daemon, folder, calls=CALLS, streams=STREAMS, seconds=SECONDS, scrapes=SCRAPES):
    program = program_beside(daemon)
    with contextlib.ExitStack() as stack:
        server = Redis(folder)
        stack.enter_context(server)
        agent = Agent(daemon, server.port, folder, "gate")
        stack.enter_context(agent)
        figures = bench_get_state(program, server, agent, calls)
        figures.update(bench_metrics(program, server, agent, scrapes))
        figures.update(bench_streams(program, server, agent, streams, seconds))
    ratio = figures["get_state_ratio"] = round(figures["get_state_stdio_us"] / figures["get_state_socket_us"], 2)
    core, kb, ms = (figures[name] for name in ("streams_core_percent", "streams_rss_kb", "scrape_median_ms"))
    print("\ngate: nodebeat-gate as a client of one agent")
    print(f"  get_state over stdio, median of {calls}    {figures['get_state_stdio_us']:8.1f} µs   (on the agent's socket "
          f"{figures['get_state_socket_us']:.1f} µs: {ratio} times, at most {MOST_RATIO}): {verdict(ratio <= MOST_RATIO)}")
    print(f"  /metrics of {LISTED} nodes, median of {scrapes}    {ms:8.2f} ms   (at most {MOST_SCRAPE_MS}; the worst "
          f"{figures['scrape_worst_ms']}; on a processor: gate {figures['scrape_gate_cpu_ms']}, agent "
          f"{figures['scrape_agent_cpu_ms']}, redis {figures['scrape_redis_cpu_ms']}): {verdict(ms < MOST_SCRAPE_MS)}")
    print(f"  {streams} event streams, {BEATING} nodes, {seconds} s    {core:8.2f} %    of one core (at most "
          f"{MOST_CORE_PERCENT}; {figures['updates_a_stream_s']} updates, {figures['kb_a_stream_s']} kB a second each): "
          f"{verdict(core < MOST_CORE_PERCENT)}")
    print(f"  resident then                          {kb:8d} kB   (private {figures['streams_private_kb']} kB; at most "
          f"{MOST_KB}): {verdict(kb < MOST_KB)}")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--scrapes", type=int, default=SCRAPES)
    arguments = parser.parse_args()
    daemon = os.environ.get("NODEBEATD") or sys.exit("bench: NODEBEATD must name the daemon; use ./dev bench gate")
    with tempfile.TemporaryDirectory(prefix="nodebeat-bench-") as folder:
        bench(daemon, folder, **vars(arguments))


if __name__ == "__main__":
    main()
