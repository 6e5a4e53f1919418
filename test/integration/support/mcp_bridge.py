"""A bridge from streamable HTTP to MCP servers on stdio: a process for each session, as the usual
bridges have it."""

import json
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Bridge:
    """`command` starts a server; `started` counts how many were, `open` holds those that live."""

    def __init__(self, command, env):
        self.command, self.env = command, env
        self.started = 0
        self.pings = 0
        self.open = {}
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                session = self.headers["Mcp-Session-Id"]
                if message["method"] == "initialize":
                    session = bridge.start()
                if session not in bridge.open:
                    return self.reply(404 if session else 400)
                bridge.pings += message["method"] == "ping"
                answer = bridge.ask(session, message)
                if answer is None:
                    return self.reply(202)
                # As an event stream that is kept alive by events of its own.
                stream = f": hello\n\nevent: ping\ndata: now\n\ndata: {answer}\n\n"
                self.reply(200, stream, "text/event-stream", session)

            def do_DELETE(self):
                process = bridge.open.pop(self.headers["Mcp-Session-Id"], None)
                if process is not None:
                    bridge.end(process)
                self.reply(200 if process else 404)

            def reply(self, status, text="", kind="text/plain", session=None):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                if session:
                    self.send_header("Mcp-Session-Id", session)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a probe may hang up as soon as it has seen enough

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def start(self):
        self.started += 1
        session = str(uuid.uuid4())
        self.open[session] = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env)
        return session

    def ask(self, session, message):
        process = self.open[session]
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        if "id" not in message:
            return None
        while True:
            line = process.stdout.readline().decode().strip()
            if json.loads(line).get("id") == message["id"]:
                return line

    def forget(self):
        """As a bridge that was restarted."""
        processes = list(self.open.values())
        self.open.clear()
        for process in processes:
            self.end(process)

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
        self.forget()
