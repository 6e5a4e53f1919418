"""The page of nodebeat-gate: its stream of events, and what Debian's Chromium makes of it."""

import json
import socket
from types import SimpleNamespace

import pytest

from support import processes
from support.browser import Browser
from support.gate_http import HttpGate
from support.waiting import wait_until

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def make_gate(tmp_path, closing):
    return lambda agent, **options: closing(HttpGate(agent.socket_path, tmp_path / "gate", **options))


@pytest.fixture
def gate(cell, make_gate):
    return make_gate(cell.agent)


@pytest.fixture
def browser(closing):
    return closing(Browser())


# --- the stream -----------------------------------------------------------------------------------


class Stream:
    """Server-sent events, as they come."""

    def __init__(self, gate, small=False):
        self.http = gate.connect()
        if small:
            self.http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.http.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.text = ""

    def read(self):
        """False at the end."""
        more = self.http._more()
        self.text = self.http.pending.decode(errors="replace")
        return more

    def next(self, event):
        """The data of the first event of that name that is there, or comes."""
        start = f"event: {event}\ndata: "
        while start not in self.text or "\n\n" not in self.text.split(start, 1)[1]:
            assert self.read(), f"the stream has ended before {event}"
        return json.loads(self.text.split(start, 1)[1].split("\n\n", 1)[0])


@pytest.fixture
def listen(closing):
    return lambda gate, **options: closing(SimpleNamespace(stream=(s := Stream(gate, **options)), close=s.http.close)).stream


def test_a_stream_begins_with_a_snapshot_and_tells_changes(cell, gate, listen):
    first = listen(gate)
    assert first.next("snapshot")["nodes"] == {}
    assert first.next("nodes")["ook"]["state"] == "up"
    assert first.next("agent")["there"] is True
    assert first.next("redis")["version"]
    second = listen(gate)
    snapshot = second.next("snapshot")
    assert snapshot["nodes"]["ook"]["health"]["cpu_percent"] >= 0 and snapshot["agent"]["node_id"] == "ook"
    cell.client.call("error.report", category="test", message="line\nbreak")
    for stream in (first, second):
        assert stream.next("event")["event"]["message"] == "line\nbreak"


@pytest.mark.own_users("writes the progress as another program would")
def test_a_stroke_of_another_program_is_shown_while_it_is_heard_of(cell, gate, listen):
    session = "stroke_hog_1795183200"
    progress = {"is_executing": True, "node_id": "hog", "total_strokes": 5, "stroke_idx": 1, "scene_name": "wall"}
    cell.redis.hset(f"stroke:progress:{session}", "progress", json.dumps(progress))
    stream = listen(gate)
    stream.next("agent")

    def last_strokes():
        """None if none were told."""
        _, told, rest = stream.text.rpartition("event: strokes\ndata: ")
        return json.loads(rest.split("\n\n", 1)[0]) if told and "\n\n" in rest else None

    def is_shown():
        update = {"type": "progress_update", "session_id": session, "stroke_idx": 2, "total_strokes": 5}
        cell.redis.publish("stroke:events:progress", json.dumps(update))
        assert stream.read()
        return ((last_strokes() or {}).get(session) or {}).get("scene_name") == "wall"

    wait_until(is_shown)
    cell.redis.publish("stroke:events:session", json.dumps({"type": "session_end", "session_id": session}))
    wait_until(lambda: stream.read() and last_strokes() == {})


def test_an_agent_that_comes_back_tells_nothing_twice(cell, gate, listen, make_agent, steady):
    cell.client.call("error.report", category="test", message="before", ack="stored")
    stream = listen(gate)
    assert stream.next("event")["event"]["message"] == "before"
    cell.agent.stop()
    wait_until(lambda: stream.read() and '"there":false' in stream.text)
    again = steady(make_agent(cell.server.url(), settings={"socket.path": str(cell.agent.socket_path)}))
    wait_until(lambda: again.call("error.report", category="test", message="after", ack="stored") == {}
               and stream.read() and '"after"' in stream.text)
    assert stream.text.count('"before"') == 1


def test_what_an_event_says_of_a_node_is_shown_with_it(cell, gate, listen, make_agent, steady):
    """The next look would come later, and might be answered from before."""
    other = make_agent(cell.server.url(), node="hog")
    steady(other)
    stream = listen(gate)
    wait_until(lambda: stream.read() and '"hog":{"state":"up"' in stream.text)
    other.process.kill()
    wait_until(lambda: stream.read() and '"type":"node_lost"' in stream.text)
    shown, _ = stream.text.split('"type":"node_lost"')[0].rsplit("event: event", 1)
    assert '"hog":{"state":"down"' in shown and "lease not renewed" in shown


@pytest.mark.own_users("writes beats as another node's agent would")
def test_the_past_of_a_node(cell, gate):
    for i in range(100):
        cell.redis.xadd("stream:node_metrics:hog", {"health": json.dumps({"cpu_percent": i})}, id=f"{1795183200 + i}000-0")
    history = json.loads(gate.get("/history?node=hog&range=hour").body)
    assert history["points"][0] == [1795183299000, 99, None, None, None, None]
    assert [p[1] for p in history["points"]] == [99, 69, 39, 9]
    assert len(json.loads(gate.get("/history?range=minutes&node=hog").body)["points"]) == 7
    for wrong in ("", "?node=hog", "?node=hog&range=year", "?node=<b>&range=day", "?node=%0a&range=day"):
        assert gate.get("/history" + wrong).status == 400
    assert json.loads(gate.get("/history?node=nobody&range=day").body)["points"] == []
    cell.server.kill()
    assert json.loads(gate.get("/history?node=hog&range=hour").body)["why"]


def test_the_agent_is_asked_only_while_somebody_listens(cell, gate, listen):
    def calls():
        clients = cell.client.call("agent.stats")["clients"]
        return sum(c["calls"] for c in clients if c["name"] == "nodebeat-gate")

    stream = listen(gate)
    stream.next("nodes")
    asked = calls()
    wait_until(lambda: calls() > asked)
    stream.http.close()
    # It goes unnoticed until something is told.
    wait_until(lambda: cell.client.call("error.report", category="x", message="y") == {}
               and not any(c["subscriptions"] for c in cell.client.call("agent.stats")["clients"]
                           if c["name"] == "nodebeat-gate"))
    asked = calls()
    gate.metrics()  # takes some calls, and nothing else does
    gate.get("/livez")
    assert calls() <= asked + 5


def test_a_browser_that_does_not_read_is_cut_off_and_comes_back(cell, gate, listen):
    slow = listen(gate, small=True)
    slow.next("nodes")

    def flood():
        for _ in range(50):
            cell.client.call("error.report", category="flood", message="z" * 4000)
        return "nodebeat_gate_streams_cut_off_total 1\n" in gate.metrics()

    wait_until(flood, timeout=25)
    # Only the scrape's own is left; the kernel still has what it took for the slow one.
    wait_until(lambda: "nodebeat_gate_http_connections 1\n" in gate.metrics())
    assert listen(gate).next("snapshot")["events"] == []


def test_what_is_served_allows_nothing_from_elsewhere(gate):
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/charts.js", "text/javascript"), ("/page.css", "text/css")):
        answer = gate.get(path)
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';") and "unsafe" not in policy
        assert "http://" not in answer.body.replace("http://www.w3.org/2000/svg", "") and "https://" not in answer.body


# --- in a browser ---------------------------------------------------------------------------------


def state_of(node):
    return (f"[...document.querySelectorAll('.node')].find(n => n.querySelector('h3').textContent === '{node}')"
            "?.dataset.state")


@pytest.mark.time_limit(60)
def test_the_page_shows_the_cell_and_a_node_that_dies(cell, gate, browser, make_agent, steady):
    other = make_agent(cell.server.url(), node="hog")
    steady(other)
    robot = cell.client
    robot.call("client.hello", name="arm")
    robot.call("stroke.start", total_strokes=4, scene_name=EVIL)
    robot.call("stroke.update", stroke_idx=1)
    robot.call("session.create", session_id=EVIL)
    browser.open(gate.url)
    browser.wait(f"{state_of('ook')} === 'up' && {state_of('hog')} === 'up'")
    browser.wait("document.querySelector('#strokes').innerText.includes('stroke 1 of 4')")
    robot.call("stroke.update", stroke_idx=3)
    browser.wait("document.querySelector('#strokes progress').value === 3")
    robot.call("error.report", category="vision", message=EVIL)
    browser.wait("document.querySelector('#events').innerText.includes('onerror')")
    browser.wait("document.querySelector('#sessions').innerText.includes('version 1')")
    browser.wait("document.querySelector('#redis').innerText.includes('connected')")
    assert browser.evaluate("document.querySelectorAll('main img, main script').length") == 0

    browser.ask("fill", selector="#event-filter", text="nothing like it")
    browser.wait("document.querySelector('#events').innerText === 'None matches.'")
    browser.ask("fill", selector="#event-filter", text="")

    other.process.kill()
    browser.wait("document.querySelector('#events').innerText.includes('node_lost')")
    browser.wait(f"{state_of('hog')} === 'down'")
    assert browser.evaluate("document.title") == "1 down · nodebeat"
    assert browser.evaluate("document.querySelector('.node h3').innerText") == "hog", "trouble comes first"
    assert "lease not renewed" in browser.text(".node .age")
    assert browser.ask("faults") == []


@pytest.mark.time_limit(60)
def test_redis_dies_and_returns(cell, gate, browser, make_agent, steady):
    steady(make_agent(cell.server.url(), node="hog"))
    browser.open(gate.url)
    browser.wait(f"{state_of('hog')} === 'up'")
    cell.server.kill()
    browser.wait("document.querySelector('#source').innerText.includes('Redis is away')")
    browser.wait(f"{state_of('hog')} === 'unknown' && {state_of('ook')} === 'up'")
    browser.wait("document.querySelector('#redis').innerText.includes('away')")
    cell.server.start()
    browser.wait(f"{state_of('hog')} === 'up'")
    browser.wait("!document.querySelector('#source').innerText.includes('away')")
    assert browser.ask("faults") == []


@pytest.mark.time_limit(60)
def test_the_page_says_in_words_that_its_source_is_gone(cell, gate, browser, make_gate):
    browser.open(gate.url)
    browser.wait(f"{state_of('ook')} === 'up'")
    processes.pause(cell.agent.process)
    browser.wait(f"document.body.classList.contains('lost') && {state_of('ook')} === 'unknown'")
    assert "The agent is away" in browser.text("#source")
    processes.resume(cell.agent.process)
    browser.wait(f"!document.body.classList.contains('lost') && {state_of('ook')} === 'up'")

    gate.close()
    browser.wait(f"document.body.classList.contains('lost') && {state_of('ook')} === 'unknown'")
    assert "The gate does not answer" in browser.text("#source")
    make_gate(cell.agent, port=gate.port)
    browser.wait(f"!document.body.classList.contains('lost') && {state_of('ook')} === 'up'")


@pytest.mark.time_limit(90)
@pytest.mark.own_users("writes healths as another program would")
def test_three_hundred_nodes_stay_readable(cell, gate, browser):
    health = {"timestamp": "2026-11-20T14:03:07", "last_heartbeat": "2026-11-20T14:03:07", "cpu_percent": 50,
              "memory_percent": 40, "disk_percent": 30, "temperature_c": 48.5, "agent_version": "0.1.0"}
    for i in range(300):
        name = f"node-with-a-rather-long-name-{i:03}"
        cell.redis.hset(f"node:health:{name}", "health", json.dumps({"node_id": name, **health}))
    browser.open(gate.url)
    browser.wait("document.querySelectorAll('.node').length === 301")
    for width in (1200, 320):
        browser.ask("resize", width=width, height=800)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.ask("fill", selector="#node-filter", text="name-007")
    browser.wait("document.querySelectorAll('.node').length === 1")
    browser.ask("fill", selector="#node-filter", text="no such node")
    browser.wait("!document.querySelector('#no-nodes').hidden")
    assert browser.ask("faults") == []


def seed_history(redis, node, count=100, step_s=30):
    """The last beat is of now."""
    now = int(redis.time()[0])
    for i in range(count):
        health = {"cpu_percent": 100 * i / count, "memory_percent": 40, "temperature_c": 48.5, "disk_percent": 60}
        redis.xadd(f"stream:node_metrics:{node}", {"health": json.dumps(health)}, id=f"{now - (count - 1 - i) * step_s}000-0")
    health = {"node_id": node, "last_heartbeat": "2026-11-20T14:03:07", "cpu_percent": 7}
    redis.hset(f"node:health:{node}", "health", json.dumps(health))


@pytest.mark.time_limit(90)
@pytest.mark.own_users("writes beats as another node's agent would")
def test_a_node_has_charts_of_its_past(cell, gate, browser):
    seed_history(cell.redis, "hog")
    browser.open(gate.url)
    card = "[...document.querySelectorAll('.node')].find(n => n.querySelector('h3').textContent === 'hog')"
    browser.wait(f"{card}?.querySelector('polyline').getAttribute('points').split(' ').length > 15")
    browser.evaluate(f"{card}.querySelector('a').click()")
    browser.wait("document.querySelectorAll('.chart:not([hidden]) path[d]').length === 4")
    assert browser.evaluate("document.activeElement.id") == "view-title"
    assert browser.text("#view-title") == "hog" and browser.evaluate("document.querySelector('#all').hidden")
    assert browser.text(".chart figcaption") == "CPU 99 % last, 0 to 99 %"
    browser.evaluate("document.querySelector('input[value=day]').click()")
    browser.wait("document.querySelector('.times').innerText.match(/[A-Z][a-z]+/)")
    for width in (1200, 320):
        browser.ask("resize", width=width, height=800)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.ask("axe") == []
    browser.evaluate("history.back()")
    browser.wait("document.querySelector('#view').hidden && !document.querySelector('#all').hidden")
    browser.evaluate("location.hash = '#node=nobody'")
    browser.wait("document.querySelector('#view-words').innerText.includes('No past beats')")
    assert browser.ask("faults") == []


@pytest.mark.time_limit(60)
@pytest.mark.own_users("writes healths as another program would")
def test_strange_names_and_texts_are_harmless(cell, gate, browser):
    strange = f"{EVIL}\x1b[31m\nvile"
    cell.redis.hset(f"node:health:{strange}", "health", json.dumps({"node_id": strange, "cpu_percent": 1}))
    cell.client.call("error.report", category="vision", message=strange)
    cell.client.call("event.publish", channel=f"error:events:{EVIL}", event={"type": EVIL, "text": strange})
    browser.open(gate.url)
    browser.wait("document.querySelectorAll('#events li b').length >= 2")
    browser.wait(f"{state_of('ook')} === 'up'")
    assert browser.evaluate("document.querySelectorAll('main img, main script').length") == 0
    assert browser.ask("faults") == []
    metrics = gate.metrics()
    assert "\x1b" not in metrics and not [line for line in metrics.splitlines() if line.startswith("vile")]


@pytest.mark.time_limit(60)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_accessible(make_redis, make_agent, steady, make_gate, browser, dark):
    server = make_redis()
    agent = make_agent(server.url(), probes=[
        {"name": "web", "type": "tcp", "address": "127.0.0.1:1", "interval": "100ms", "timeout": "100ms", "down_after": 1}])
    client = steady(agent)
    client.call("stroke.start", total_strokes=4)
    client.call("session.create", session_id="job")
    client.call("error.report", category="vision", message="no camera")
    browser.open(make_gate(agent).url, dark=dark)
    browser.wait("document.querySelector('.node .bad') && document.querySelector('#strokes progress')")
    browser.wait("document.querySelector('#events').innerText.includes('no camera')")
    assert browser.ask("axe") == []
    reached = []
    for _ in range(6):
        browser.ask("press", key="Tab")
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached == ["skip", "skip", "node-filter", "name", "event-filter", "events"]
    server.kill()
    browser.wait("document.querySelector('#source').innerText.includes('Redis is away')")
    assert browser.ask("axe") == []
