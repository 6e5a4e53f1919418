"""Things that probes ask: HTTP and MCP servers that can be broken while they run."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.ports import free_port


class HttpTarget:
    """GET /... answers `status` and `body`; POST /mcp speaks MCP of the eras in `eras`.

    stop() and start() take it away and bring it back on the same port."""

    def __init__(self, eras=("2025",), name="cell", version="1.2.3"):
        self.port = free_port()
        self.status = 200
        self.fail_next = 0  # so many GETs get a 500 first
        self.body = "all is well"
        self.eras = eras
        self.info = {"name": name, "version": version}
        self.requests = []
        self.opened = 0  # sessions of the 2025 era
        self.sessions = set()  # those that nobody has ended
        self._server = None
        self.start()

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self):
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                target.requests.append(self.path)
                failing = target.fail_next > 0
                target.fail_next -= failing
                self.reply(500 if failing else target.status, target.body, "text/plain")

            def do_DELETE(self):
                target.sessions.discard(self.headers["Mcp-Session-Id"])
                self.reply(200, "", "text/plain")

            def do_POST(self):
                size = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(size))
                target.requests.append(request["method"])
                if "id" not in request:
                    return self.reply(202, "", "text/plain")
                session = self.headers["Mcp-Session-Id"]
                if request["method"] == "ping" and session not in target.sessions:
                    return self.reply(404, "", "text/plain")
                status, answer = target.mcp(request)
                if request["method"] == "initialize" and status == 200:
                    target.opened += 1
                    session = f"s-{target.opened}"
                    target.sessions.add(session)
                self.reply(status, json.dumps(answer), "application/json", session)

            def reply(self, status, text, kind, session=None):
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                if session:
                    self.send_header("Mcp-Session-Id", session)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass  # a probe may hang up as soon as it has seen enough

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def mcp(self, request):
        if request["method"] == "initialize" and "2025" in self.eras:
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": self.info,
            }
        elif request["method"] == "server/discover" and "2026" in self.eras:
            result = {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {},
                "_meta": {"io.modelcontextprotocol/serverInfo": self.info},
            }
        elif request["method"] == "ping" and "2025" in self.eras:
            result = {}
        else:
            error = {"code": -32601, "message": "Method not found"}
            return 400, {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return 200, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    def stop(self):
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join(5)

    close = stop


class SilentListener:
    """Takes connections and never says a word. `full`: does not even take them."""

    def __init__(self, full=False, path=None):
        if path is not None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen(16)
        else:
            self.port = free_port()
            self._listener = socket.create_server(
                ("127.0.0.1", self.port), backlog=0 if full else 64
            )
        # With its queue full, Linux drops a listener's SYNs: a connect that never ends.
        self._fillers = []
        for _ in range(4 if full else 0):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def close(self):
        for end in [*self._fillers, self._listener]:
            end.close()
