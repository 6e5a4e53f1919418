"""An agent as the protocol describes it, for states that a real one can hardly be brought into:
it answers each method with what a test has put there."""

import json
import os
import re
import socket
import threading

from support.waiting import wait_until

NODE = "hog"


class Refusal(Exception):
    """An answer that is an error of the protocol's table."""

    def __init__(self, code, name, message, **data):
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": {"name": name, **data}}


STATS = {
    "node_id": NODE,
    "instance_id": "hog-1-1",
    "agent_version": "0.1.0",
    "pid": 4711,
    "uptime_s": 11530,
    "conflict": None,
    "link": {
        "state": "steady",
        "cause": None,
        "trouble": None,
        "target": "127.0.0.1:6379",
        "connects": 1,
        "failures": 0,
        "ping_ms": 0.21,
    },
    "outbox": {
        "slots": 3,
        "slots_waiting": 0,
        "events_waiting": 0,
        "event_bytes": 0,
        "event_bytes_limit": 1048576,
        "accepted": 12040,
        "stored": 12037,
        "coalesced": 3,
        "dropped": 0,
        "expired": 0,
        "refused": 0,
        "replayed": 0,
        "in_flight": 0,
    },
    "latency_us": {
        "accept": {"count": 12040, "p50": 6, "p90": 9, "p99": 21, "max": 340},
        "store": {"count": 12037, "p50": 210, "p90": 380, "p99": 1250, "max": 9100},
    },
    "calls": {"requests": 40, "notifications": 12000, "errors": 0},
    "socket": {
        "clients": 2,
        "clients_limit": 64,
        "accepted": 17,
        "refused": 0,
        "cut_off": 0,
    },
    "subscriptions": {
        "local": 1,
        "remote_state": "steady",
        "delivered": 310,
        "echoes_dropped": 4,
        "gaps": 0,
    },
    "stroke": {"session_id": None},
    "clients": [
        {
            "client_id": 1,
            "name": "robot",
            "pid": 812,
            "uid": 1000,
            "calls": 12000,
            "errors": 0,
            "subscriptions": 0,
            "queued_bytes": 0,
            "connected_s": 11000,
        }
    ],
    "probes": [
        {"name": "vision-mcp", "type": "mcp", "up": True, "detail": "2025-11-25, 12 tools"}
    ],
}

HEALTH = {
    "timestamp": "2026-11-20T14:03:09.000000",
    "node_id": NODE,
    "cpu_percent": 12.5,
    "memory_percent": 41,
    "disk_percent": 63,
    "gpu_available": False,
    "gpu_percent": None,
    "gpu_memory_percent": None,
    "is_reachable": True,
    "ping_latency_ms": 0.21,
    "mcp_server_running": True,
    "mcp_port": 9000,
    "last_heartbeat": "2026-11-20T14:03:09.000000",
    "temperature_c": 48.5,
    "instance_id": "hog-1-1",
    "probes": [{"name": "vision-mcp", "type": "mcp", "up": True}],
}

STATUS = {
    "redis_connected": True,
    "active_stroke_sessions": 1,
    "nodes_online": 2,
    "total_nodes": 3,
    "nodes_health": {
        "hog": HEALTH,
        "ook": {
            **HEALTH,
            "node_id": "ook",
            "cpu_percent": 78,
            "memory_percent": 93.2,
            "mcp_server_running": False,
            "last_heartbeat": "2026-11-20T14:03:07.500000",
            "probes": [{"name": "camera", "type": "tcp", "up": False}],
        },
        "eek": None,
    },
    "nodes_last_seen": {"hog": None, "ook": None, "eek": "2026-11-20T13:00:00.000000"},
    "timestamp": "2026-11-20T14:03:10.000000",
}

INSPECT = {
    "version": "7.0.15",
    "role": "master",
    "maxmemory_bytes": 0,
    "used_memory_bytes": 1048576,
    "maxmemory_policy": "noeviction",
    "loading": False,
    "aof_enabled": True,
    "rdb_last_save_ok": True,
    "connected_clients": 5,
    "protected_mode": True,
    "has_password": True,
    "clock_offset_ms": 1.5,
    "user": "nodebeat",
}


def glob_matches(pattern, channel):
    """As much of Redis' patterns as the tests use: '*' and '?'."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), channel, re.DOTALL) is not None


class _Client:
    def __init__(self, agent, stream):
        self.agent = agent
        self.stream = stream
        self.channels, self.patterns = set(), set()
        self.write_lock = threading.Lock()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def send(self, message):
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        try:
            with self.write_lock:
                self.stream.sendall(line + b"\n")
        except OSError:
            pass

    def hang_up(self):
        try:
            self.stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def turn_away(self, line):
        """One line; what still comes is read, else that line may be lost (PROTOCOL.md, 1.9)."""
        self.send(line)
        try:
            self.stream.shutdown(socket.SHUT_WR)
            while self.stream.recv(65536):
                pass
        except OSError:
            pass
        self.stream.close()

    def _serve(self):
        try:
            with self.stream.makefile("rb") as lines:
                for line in lines:
                    self.agent.take(self, line.rstrip(b"\n"))
        except OSError:
            pass
        self.agent.forget(self)
        self.stream.close()


class FakeAgent:
    """Listens at `path`. `answers` maps a method to its result, to bytes (the result as it goes
    over the wire), to a Refusal, to a function of the params that returns or raises one of these,
    or to None: no answer."""

    def __init__(self, path, **answers):
        self.path = path
        self.answers = {
            "client.hello": {
                "protocol": 1,
                "client_id": 2,
                "node_id": NODE,
                "instance_id": "hog-1-1",
                "agent_version": "0.1.0",
                "limits": {"line_bytes": 65536, "output_bytes": 1048576, "batch_calls": 256},
            },
            "client.goodbye": {},
            "agent.stats": STATS,
            "health.get": {"node_id": NODE, "health": HEALTH, "age_ms": 1000},
            "system.status": STATUS,
            "redis.inspect": INSPECT,
            "state.get": lambda params: Refusal(-32001, "not_found", "there is no such key"),
            "state.list": {"keys": [], "cursor": None},
            "event.subscribe": {},
            "event.unsubscribe": {},
        }
        self.answers.update({method.replace("__", "."): a for method, a in answers.items()})
        self.lines = []  # as they came
        self.calls = []  # (method, params) without the hello and the goodbye
        self.greeting = None  # bytes that a client gets at once, before it is hung up on
        self._clients = []
        self._lock = threading.Lock()
        self._listener = None
        self.start()

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self, unlink=True):
        """As an agent that ends."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if unlink:
            os.unlink(self.path)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.hang_up()
        for client in clients:
            if client.thread is not threading.current_thread():
                client.thread.join(5)

    def close(self):
        if self._listener.fileno() >= 0:
            self.stop(unlink=os.path.exists(self.path))

    def hang_up(self):
        with self._lock:
            for client in self._clients:
                client.hang_up()

    def publish(self, channel, event, remote=False):
        """What the agent tells each subscriber of `channel`; returns how many there are."""
        with self._lock:
            clients = list(self._clients)
        told = 0
        for client in clients:
            params = {"channel": channel, "event": event}
            if channel not in client.channels:
                matching = [p for p in client.patterns if glob_matches(p, channel)]
                if not matching:
                    continue
                params["pattern"] = matching[0]
            if remote:
                params["remote"] = True
            client.send({"jsonrpc": "2.0", "method": "event", "params": params})
            told += 1
        return told

    def notify(self, method, params):
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.send({"jsonrpc": "2.0", "method": method, "params": params})

    def subscriptions(self):
        with self._lock:
            return [(set(c.channels), set(c.patterns)) for c in self._clients]

    def wait_subscribed(self, name):
        wait_until(
            lambda: any(name in channels | patterns for channels, patterns in self.subscriptions()),
            what=f"a subscription of {name}",
        )

    def called(self, method):
        """The params of each call of it so far."""
        return [params for name, params in self.calls if name == method]

    # --- a client's side ------------------------------------------------------------------------

    def _accept(self, listener):
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            client = _Client(self, stream)
            if self.greeting is not None:
                client.turn_away(self.greeting)
                continue
            with self._lock:  # a thread that is in the list can be joined
                self._clients.append(client)
                client.thread.start()

    def forget(self, client):
        with self._lock:
            self._clients.remove(client)

    def take(self, client, line):
        self.lines.append(line)
        message = json.loads(line)
        for call in message if isinstance(message, list) else [message]:
            self._answer(client, call)

    def _answer(self, client, call):
        method, params = call["method"], call.get("params", {})
        if method == "event.subscribe":
            client.channels |= set(params.get("channels", []))
            client.patterns |= set(params.get("patterns", []))
        if method not in ("client.hello", "client.goodbye"):
            self.calls.append((method, params))
        answer = self.answers.get(
            method, Refusal(-32601, "unknown_method", f"there is no method {method}")
        )
        if callable(answer):
            try:
                answer = answer(params)
            except Refusal as refusal:
                answer = refusal
        if "id" not in call or answer is None:
            return
        if isinstance(answer, bytes):
            head = b'{"jsonrpc":"2.0","id":%s,"result":' % json.dumps(call["id"]).encode()
            client.send(head + answer + b"}")
            return
        reply = {"jsonrpc": "2.0", "id": call["id"]}
        if isinstance(answer, Refusal):
            reply["error"] = answer.error
        else:
            reply["result"] = answer
        client.send(reply)
