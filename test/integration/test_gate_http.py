"""nodebeat-gate over HTTP: metrics that Prometheus' own tools accept, readiness, and bad clients."""

import re
import shutil
import subprocess

import pytest

from support.gate_http import HttpGate
from support.waiting import wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def make_gate(tmp_path, closing):
    return lambda agent, *args: closing(HttpGate(agent.socket_path, tmp_path / "gate", *args))


@pytest.fixture
def gate(cell, make_gate):
    return make_gate(cell.agent)


def value(text, name, **labels):
    """Of one sample; None if there is none."""
    wanted = ",".join(f'{k}="{v}"' for k, v in labels.items())
    match = re.search(rf"^{re.escape(name + (f'{{{wanted}}}' if labels else ''))} (\S+)$", text, re.M)
    return float(match[1]) if match else None


def check_with_promtool(text):
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian's package prometheus)")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def check_openmetrics(text):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    families = list(parser.text_string_to_metric_families(text))
    assert any(family.name == "nodebeat_node_up" for family in families)


# --- metrics --------------------------------------------------------------------------------------


def test_metrics_of_a_cell_with_one_node_down_are_clean(cell, gate, make_agent, steady):
    other = make_agent(cell.server.url(), node="hog")
    steady(other)
    robot = cell.client
    robot.call("client.hello", name="arm", deadline_ms=10000)
    robot.call("robot.update", is_connected_l=True, ack="stored")
    both = wait_until(
        lambda: (text := gate.metrics()) and value(text, "nodebeat_node_up", node="hog") == 1 and text)
    assert value(both, "nodebeat_node_up", node="ook") == 1
    assert value(both, "nodebeat_link_up") == 1 and value(both, "redis_up") == 1
    assert value(both, "nodebeat_deadline_late", robot="arm") == 0
    assert value(both, "nodebeat_push_store_seconds_count") > 0
    assert value(both, "redis_memory_used_bytes") > 0
    assert 0 <= value(both, "nodebeat_cpu_ratio") <= 1
    check_with_promtool(both)
    check_openmetrics(gate.metrics(OPENMETRICS))

    other.finish()
    down = wait_until(
        lambda: (text := gate.metrics()) and value(text, "nodebeat_node_up", node="hog") == 0 and text)
    assert value(down, "nodebeat_node_state", node="hog", state="down") == 1
    assert value(down, "nodebeat_node_last_seen_timestamp_seconds", node="hog") > 1.7e9
    check_with_promtool(down)
    check_openmetrics(gate.metrics(OPENMETRICS))


def test_without_redis_no_other_node_is_told_as_up_or_down(cell, gate, make_agent, steady):
    steady(make_agent(cell.server.url(), node="hog"))
    wait_until(lambda: value(gate.metrics(), "nodebeat_node_up", node="hog") == 1)
    cell.server.kill()
    text = wait_until(
        lambda: (text := gate.metrics()) and value(text, "redis_up") == 0
        and value(text, "nodebeat_node_state", node="hog", state="unknown") == 1 and text)
    assert value(text, "nodebeat_node_up", node="hog") is None
    assert value(text, "nodebeat_node_up", node="ook") == 1
    assert value(text, "redis_memory_used_bytes") is None
    assert value(text, "nodebeat_cell_nodes") is None
    check_with_promtool(text)


def test_without_an_agent_metrics_say_so(cell, gate):
    assert value(gate.metrics(), "nodebeat_agent_up") == 1
    cell.agent.finish()
    text = wait_until(lambda: (text := gate.metrics()) and value(text, "nodebeat_agent_up") == 0 and text)
    assert value(text, "nodebeat_link_up") is None and value(text, "redis_up") is None
    check_with_promtool(text)


def test_names_of_programs_cannot_break_the_text(cell, gate, connect):
    # Control characters are refused by the agent.
    names = ['q"uote', "<script>alert(1)</script>", "back\\slash", "a,b}c{", "ü\u202e", "\\n", "#"]
    robots = [connect(cell.agent) for _ in names]
    for robot, name in zip(robots, names):
        robot.call("client.hello", name=name, deadline_ms=3600000)
    text = gate.metrics()
    assert text.count("\nnodebeat_deadline_seconds{") == len(names)
    assert 'robot="q\\"uote"' in text and 'robot="back\\\\slash"' in text and "\u202e" not in text
    check_with_promtool(text)
    check_openmetrics(gate.metrics(OPENMETRICS))


def test_the_format_is_what_was_asked_for(gate):
    plain = gate.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["cache-control"] == "no-store"
    assert "# EOF" not in plain.body and "# TYPE nodebeat_calls_total counter" in plain.body
    opened = gate.get("/metrics", Accept=OPENMETRICS)
    assert opened.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert opened.body.endswith("\n# EOF\n") and "# TYPE nodebeat_calls counter" in opened.body


# --- readiness ------------------------------------------------------------------------------------


def test_ready_is_a_gate_whose_agent_has_redis(cell, gate):
    client = gate.connect()
    wait_until(lambda: client.get("/readyz").status == 200)
    assert client.get("/readyz?verbose").body == "[+] agent: ok\n[+] redis: ok\nready\n"
    cell.server.kill()
    answer = wait_until(lambda: (a := client.get("/readyz?verbose")).status == 503 and a)
    assert "[+] agent: ok\n[-] redis: " in answer.body and "not ready: Redis: " in answer.body
    cell.agent.finish()
    answer = wait_until(lambda: "[-] agent" in (a := client.get("/readyz?verbose")).body and a)
    assert answer.status == 503 and "not ready: " in answer.body
    for path in ("/livez", "/healthz", "/livez?verbose"):
        assert client.get(path).status == 200
    client.close()


# --- bad clients ----------------------------------------------------------------------------------


def test_a_request_may_come_in_two_pieces_split_anywhere(gate):
    request = "GET /livez?verbose HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    client = gate.connect()
    for at in range(1, len(request)):
        client.send(request[:at])
        client.send(request[at:])
        assert client.read_answer().body == "[+] gate: ok\nalive\n", at
    client.close()


def test_another_host_or_origin_is_refused(gate):
    assert gate.get("/livez", Host="evil.example").status == 403
    assert gate.get("/livez", Host="127.0.0.1:80").status == 200
    assert gate.get("/livez", Origin="http://evil.example").status == 403
    assert gate.get("/livez", Origin="http://localhost:3000").status == 200


def test_a_host_that_was_named_is_answered(cell, make_gate):
    named = make_gate(cell.agent, "--http-host", "hog.local")
    assert named.get("/livez", Host="hog.local:9809").status == 200
    assert named.get("/livez", Host="ook.local").status == 403


def test_nothing_but_the_paths_is_there(gate):
    client = gate.connect()
    for path in ("/../etc/passwd", "/metrics/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//metrics",
                 "/metrics%00", "/metrics/", "/Metrics", "/livez/..", "/..%5c..%5cetc"):
        answer = client.get(path)
        assert answer.status == 404 and "root:" not in answer.body, path
    for method in ("POST", "DELETE", "OPTIONS", "PATCH"):
        answer = client.get("/metrics", method=method, Content_Length=0)
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"
    client.close()


def test_floods_of_headers_and_bodies_harm_nobody(gate):
    flooding, sending, huge = gate.connect(), gate.connect(), gate.connect()
    flooding.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
    try:
        for i in range(20000):
            flooding.send(f"X-{i}: {'y' * 100}\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = flooding.read_answer()
    assert answer is None or answer.status in (413, 431)
    sending.send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nslow")
    refused = huge.get("/metrics", method="POST", Content_Length=100 * 1024 * 1024)
    assert refused.status == 413 and refused.headers["connection"].lower() == "close"
    assert gate.get("/livez").status == 200
    for each in (flooding, sending, huge):
        each.close()


def test_a_thousand_connections_do_not_keep_a_scrape_out(gate, closing):
    for _ in range(1000):
        closing(gate.connect())
    assert value(gate.metrics(), "nodebeat_agent_up") == 1
    # One that is being closed for the scrape's counts until it is closed.
    assert value(gate.metrics(), "nodebeat_gate_http_connections") <= 256 + 1
    assert value(gate.metrics(), "nodebeat_gate_http_displaced_total") > 0


def test_a_malformed_request_ends_its_connection_only(gate, closing):
    for text in ("GET\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n",
                 "GET /livez HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
                 "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                 "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                 "GET " + "/" * 100000 + " HTTP/1.1\r\n\r\n", "x" * 100000):
        client = closing(gate.connect())
        try:
            client.send(text)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = client.read_answer()
        assert answer is None or answer.status >= 400, (text[:40], answer.body)
    for text in ("\x00\x01\x02\r\n\r\n", "\r\n" * 1000, "G", "GET /livez HTTP/1.1\r\nHost"):
        closing(gate.connect()).send(text)  # may wait for more
    assert gate.get("/livez").status == 200
