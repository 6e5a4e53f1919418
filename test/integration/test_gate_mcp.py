"""nodebeat-gate mcp against a real agent and a real Redis: every tool, every resource, both eras."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import psutil
import pytest

from support import processes
from support.agent import environment
from support.gate import META, Failed, Gate, Lines, find_gate
from support.waiting import Conditions, wait_until

PROGRAM = find_gate()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nodebeat-gate is not built (option gate)")

LOOK = ["system_status", "list_nodes", "node_health", "redis_info", "doctor", "get_state",
        "list_sessions", "get_session", "recent_events", "subscribe_events"]
WRITE = ["set_state", "update_session", "publish_event", "bus_send", "emergency_stop"]


@pytest.fixture
def gate(tmp_path, closing):
    """gate(socket, *words, older=None): a running gate, its client is `.client`."""
    count = iter(range(1000))

    def make(path, *words, older=None):
        return closing(Gate(PROGRAM, tmp_path / f"gate-{next(count)}", path, *words, older=older))

    return make


@pytest.fixture
def mcp(cell, gate):
    """A client of a gate that may write."""
    return gate(cell.agent.socket_path, "--allow-writes").client


# --- which tools there are


def test_tools_that_write_need_the_option(cell, gate):
    assert sorted(gate(cell.agent.socket_path).client.tools()) == sorted(LOOK)
    writing = gate(cell.agent.socket_path, "--allow-writes").client
    assert sorted(writing.tools()) == sorted(LOOK + WRITE)
    with pytest.raises(Failed) as failed:
        gate(cell.agent.socket_path).client.tool("set_state", key="a", data=1)
    assert failed.value.code == -32602


def test_a_socket_that_only_reads_gives_no_tools_that_write(redis_server, make_agent, steady, gate, tmp_path):
    view = str(tmp_path / "view.sock")
    agent = make_agent(redis_server.url(), sockets=[{"path": view, "rights": ["read"]}])
    steady(agent)
    client = gate(view, "--allow-writes").client
    assert sorted(client.tools()) == sorted(LOOK)
    assert client.tool("system_status")["status"]["redis_connected"] is True


def test_each_tool_has_schemas_and_honest_annotations(mcp):
    tools = {tool["name"]: tool for tool in mcp.ask("tools/list")["tools"]}
    for name, tool in tools.items():
        assert tool["description"] and tool["title"]
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["annotations"]["readOnlyHint"] is (name in LOOK)
    assert tools["emergency_stop"]["annotations"]["destructiveHint"] is True


# --- looking


def test_system_status_is_that_of_the_schema(mcp, cell):
    short = mcp.tool("system_status")["status"]
    assert short["redis_connected"] is True and short["nodes_online"] == short["total_nodes"] == 1
    assert short["nodes"]["ook"]["state"] == "up" and "nodes_health" not in short
    full = mcp.tool("system_status", detailed=True)["status"]
    assert full["nodes_health"]["ook"]["node_id"] == "ook"
    assert full["active_stroke_sessions"] == 0 and full["timestamp"]


def test_nodes_are_listed_and_told_of(mcp, cell):
    nodes = mcp.tool("list_nodes")["nodes"]
    assert [n["node_id"] for n in nodes] == ["ook"] and nodes[0]["state"] == "up"
    health = mcp.tool("node_health")
    assert health["health"]["cpu_percent"] >= 0 and health["age_ms"] >= 0
    missing = mcp.tool("node_health", node_id="nobody")
    assert missing["error"] == "not_found" and "list_nodes" in missing["message"]


def test_nodes_come_in_pages(mcp, cell):
    for i in range(5):
        cell.redis.hset(f"node:health:n{i}", "health", json.dumps({"node_id": f"n{i}"}))
    wait_until(lambda: mcp.tool("list_nodes")["total_nodes"] == 6)
    names, cursor = [], None
    while True:
        page = mcp.tool("list_nodes", limit=2, **({"cursor": cursor} if cursor else {}))
        assert len(page["nodes"]) <= 2
        names += [n["node_id"] for n in page["nodes"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["n0", "n1", "n2", "n3", "n4", "ook"]


def test_a_large_cell_is_cut_or_comes_in_pages(mcp, cell):
    health = {"cpu_percent": 12.5, "memory_percent": 50.25, "disk_percent": 75.5, "temperature_c": 55.5,
              "agent_version": "0.1.0", "gpu_percent": None, "mcp_server_running": True, "uptime_s": 1234567,
              "more": "x" * 1000}
    names = {f"node-with-a-long-name-{i:03}" for i in range(150)}
    for name in names:
        cell.redis.hset(f"node:health:{name}", "health", json.dumps({**health, "node_id": name}))
    wait_until(lambda: mcp.tool("list_nodes", limit=1)["total_nodes"] == 151)
    for detailed in (False, True):
        status = mcp.tool("system_status", detailed=detailed)["status"]
        assert status["total_nodes"] == 151 and status["truncated"] is True and len(status["nodes"]) > 20
    seen, cursor = set(), None
    while True:
        page = mcp.tool("list_nodes", limit=40, **({"cursor": cursor} if cursor else {}))
        seen |= {n["node_id"] for n in page["nodes"]}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names | {"ook"}


def test_doctor_and_redis_info(mcp, cell):
    found = mcp.tool("doctor")
    assert found["problems"] == 0 and {f["check"] for f in found["findings"]} >= {"socket", "link"}
    info = mcp.tool("redis_info")
    assert info["info"]["role"] == "master" and info["memory"]["used_memory_bytes"] > 0
    assert info["databases"][0]["keys"] > 0


def test_state_is_read_and_set(mcp, cell):
    assert mcp.tool("get_state", key="cell:mode")["error"] == "not_found"
    mcp.tool("set_state", key="cell:mode", data={"a": 1.5, "b": [None]}, ttl=100)
    assert cell.redis.get("cell:mode") == '{"a":1.5,"b":[null]}'
    assert 0 < cell.redis.ttl("cell:mode") <= 100
    assert mcp.tool("get_state", key="cell:mode")["data"] == {"key": "cell:mode", "value": {"a": 1.5, "b": [None]}}
    cell.client.call("robot.update", is_connected_l=True, joints_l=[1.25])
    assert wait_until(lambda: mcp.tool("get_state", key="robot:state").get("data"))["joints_l"] == [1.25]
    assert mcp.tool("get_state", key="node:health", node_id="ook")["data"]["node_id"] == "ook"
    assert mcp.tool("get_state", key="stroke:progress")["error"] == "not_found"
    session = cell.client.call("stroke.start", total_strokes=7, ack="stored")["session_id"]
    progress = mcp.tool("get_state", key="stroke:progress")
    assert progress["session_id"] == session and progress["data"]["total_strokes"] == 7


@pytest.mark.own_users("writes the progress as another program would")
def test_a_stroke_of_another_program_is_found(mcp, cell):
    def put(session, **progress):
        cell.redis.hset(f"stroke:progress:{session}", "progress", json.dumps({"timestamp": "2026-11-20T14:03:07", **progress}))

    put("stroke_hog_1795183000", total_strokes=3, is_executing=True)
    put("stroke_hog_1795183200", total_strokes=5, is_executing=True)
    put("stroke_eek_1795183200", total_strokes=5, is_executing=False)
    progress = mcp.tool("get_state", key="stroke:progress", node_id="hog")
    assert progress["session_id"] == "stroke_hog_1795183200" and progress["data"]["total_strokes"] == 5
    assert mcp.tool("get_state", key="stroke:progress", node_id="eek")["error"] == "not_found"
    assert mcp.tool("get_state", key="stroke:progress", node_id="ook")["error"] == "not_found"
    own = cell.client.call("stroke.start", total_strokes=7, ack="stored")["session_id"]
    strokes = mcp.read("state://stroke/progress")["strokes"]
    assert [(s["node_id"], s["session_id"]) for s in strokes] == [("hog", "stroke_hog_1795183200"), ("ook", own)]


def test_keys_of_the_schema_are_refused_with_what_to_do(mcp):
    refused = mcp.tool("set_state", key="robot:state:ook", data=1)
    assert refused["error"] == "refused_key" and "Choose a key of your own" in refused["message"]


def test_sessions_are_changed_by_their_version(mcp, cell):
    cell.client.call("session.create", session_id="job", state={"n": 1})
    assert [s["session_id"] for s in mcp.tool("list_sessions")["sessions"]] == ["job"]
    read = mcp.tool("get_session", session_id="job")
    assert read["version"] == 1 and read["state"]["n"] == 1
    assert mcp.tool("update_session", session_id="job", expected_version=1, state={"n": 2})["version"] == 2
    conflict = mcp.tool("update_session", session_id="job", expected_version=1, state={"n": 3})
    assert conflict["error"] == "conflict" and "get_session" in conflict["message"]
    assert mcp.tool("get_session", session_id="job")["state"]["n"] == 2


# --- events


def test_events_are_published_and_found_again(mcp, cell):
    listener = cell.client
    listener.call("event.subscribe", channels=["a:b", "cv:parameter:update", "cv:system:broadcast"])
    mcp.tool("publish_event", channel="a:b", event_data={"x": 1})
    assert listener.next_event("a:b")["event"]["x"] == 1
    mcp.tool("bus_send", type="parameter_update", data={"variable": "v", "value": 3, "user": "u"})
    assert listener.next_event("cv:parameter:update")["event"]["data"]["value"] == 3
    mcp.tool("emergency_stop", message="smoke")
    stop = listener.next_event("cv:system:broadcast")["event"]["data"]
    assert (stop["action"], stop["message"], stop["admin"]) == ("emergency_stop", "smoke", "mcp")
    recent = mcp.tool("recent_events", channels=["a:*"])
    assert [e["data"]["x"] for e in recent["events"]] == [1]
    assert recent["events"][0]["node"] == "ook"
    assert mcp.tool("recent_events", channels=["a:*"], node_id="eek")["events"] == []
    wrong = mcp.tool("bus_send", type="parameter_update", data={"value": 3})
    assert wrong["error"] == "invalid_params" and "variable" in wrong["message"]


def test_a_cursor_goes_on_without_a_gap(mcp, cell):
    first = mcp.tool("subscribe_events", channels=["a:*"], timeout=0)
    assert first["events"] == []
    for i in range(3):
        cell.client.call("event.publish", channel="a:b", event={"i": i}, ack="stored")
    second = mcp.tool("subscribe_events", channels=["a:*"], timeout=10, cursor=first["cursor"])
    assert [e["data"]["i"] for e in second["events"]] == [0, 1, 2]
    cell.client.call("event.publish", channel="a:c", event={"i": 3}, ack="stored")
    third = mcp.tool("subscribe_events", channels=["a:*"], timeout=10, cursor=second["cursor"])
    assert [e["data"]["i"] for e in third["events"]] == [3]
    wrong = mcp.tool("subscribe_events", channels=["a:*"], cursor="nonsense")
    assert wrong["error"] == "invalid_params"


@pytest.mark.parametrize("size", [16_000, 30_000, 60_000])
def test_an_event_that_is_too_long_for_an_answer_is_told_by_its_size(mcp, cell, size):
    cursor = mcp.tool("subscribe_events", channels=["a:b"], timeout=0)["cursor"]
    for text in ("before", "x" * size, "y" * size, "after"):
        cell.client.call("event.publish", channel="a:b", event={"text": text}, ack="stored")
    by_id = {}  # one may come twice
    while len(by_id) < 4:
        part = mcp.tool("subscribe_events", channels=["a:b"], timeout=2, cursor=cursor)
        by_id.update({e["id"]: e for e in part["events"]})
        cursor = part["cursor"]
    got = [by_id[each] for each in sorted(by_id, key=lambda each: [int(part) for part in each.split("-")])]
    assert [e["data"]["text"] for e in (got[0], got[-1])] == ["before", "after"]
    cut = size > 18_000
    for event in got[1:-1]:
        if cut:  # the agent adds names
            assert event["data"] is None and size < event["omitted_bytes"] < size + 200
        else:
            assert len(event["data"]["text"]) == size
    recent = mcp.tool("recent_events", channels=["a:b"])["events"]
    assert recent[-1]["data"]["text"] == "after" and len(recent) == (4 if cut else 2)


def test_waiting_ends_with_the_first_event(mcp, cell):
    asked = mcp.request("tools/call", name="subscribe_events", arguments={"channels": ["a:b"], "timeout": 50})
    wait_until(lambda: any(c["name"] == "nodebeat-gate events" and c["subscriptions"]
                           for c in cell.client.call("agent.stats")["clients"]))
    mcp.tool("system_status")  # others do not wait for it
    cell.client.call("event.publish", channel="a:b", event={"i": 1})
    assert [e["data"]["i"] for e in mcp.result_of(asked)["events"]] == [1]
    wait_until(lambda: not any(c["name"] == "nodebeat-gate events"
                               for c in cell.client.call("agent.stats")["clients"]))


def test_a_cancelled_wait_leaves_nothing(mcp, cell):
    asked = mcp.request("tools/call", name="subscribe_events", arguments={"channels": ["a:b"], "timeout": 50})
    names = lambda: [c["name"] for c in cell.client.call("agent.stats")["clients"]]
    wait_until(lambda: "nodebeat-gate events" in names())
    mcp.notify("notifications/cancelled", requestId=asked)
    wait_until(lambda: "nodebeat-gate events" not in names())
    mcp.tool("system_status")
    assert asked not in mcp.answers


def test_many_events_are_cut_and_the_rest_comes_next(mcp, cell):
    start = mcp.tool("subscribe_events", channels=["a:b"], timeout=0)["cursor"]
    for i in range(150):
        cell.client.call("event.publish", channel="a:b", event={"i": i, "pad": "x" * 300})
    cell.client.call("event.publish", channel="a:b", event={"i": 150}, ack="stored")
    got, cursor = [], start
    while len(got) < 151:
        part = mcp.tool("subscribe_events", channels=["a:b"], timeout=10, cursor=cursor)
        assert 0 < len(part["events"]) <= 100
        got += [e["data"]["i"] for e in part["events"]]
        cursor = part["cursor"]
    assert sorted(set(got)) == list(range(151))


# --- bounds and foreign text


def test_a_large_value_is_cut_and_says_so(mcp, cell):
    cell.redis.set("big", json.dumps(["x" * 100] * 500))
    data = mcp.tool("get_state", key="big")["data"]
    assert data["truncated"] is True and data["value"] is None and data["value_bytes"] > 50000


def test_a_value_whose_escapes_are_long_is_cut_and_says_so(mcp, cell):
    cell.redis.set("wide", json.dumps("\u202e" * 6000, ensure_ascii=False))
    data = mcp.tool("get_state", key="wide")["data"]
    assert data["truncated"] is True and data["value"] is None and data["value_bytes"] > 18000
    channel = cell.client.call("event.publish", channel="a:b", event={"x": "\u202e" * 6000}, ack="stored")
    assert channel is not None
    events = mcp.tool("recent_events", channels=["a:b"])["events"]
    assert [e["data"] for e in events] == [None] and events[0]["omitted_bytes"] > 18000


def test_a_page_has_as_many_entries_as_fit(mcp, cell):
    ids = {f"{i:02}{filler * (240 // len(filler.encode()))}" for i in range(45) for filler in '"\u202e'}
    for name in ids:
        cell.client.call("session.create", session_id=name)
    seen, cursor, pages = set(), None, 0
    while cursor is not None or pages == 0:
        page = mcp.tool("list_sessions", limit=40, **({"cursor": cursor} if cursor else {}))
        assert page["success"] and 0 < len(page["sessions"]) < 40, page
        seen |= {s["session_id"] for s in page["sessions"]}
        cursor, pages = page["next_cursor"], pages + 1
    assert seen >= ids


def test_words_name_the_arguments_of_the_tool(mcp, cell):
    wrong = mcp.tool("subscribe_events", channels=["a"], timeout=0, cursor="x")
    assert wrong["message"] == "The argument `cursor` is wrong: expected `cursor` of an earlier answer."
    for name in ("list_nodes", "list_sessions"):
        for cursor in ("zzz", "a b", "\u00e9"):
            wrong = mcp.tool(name, cursor=cursor)
            assert not wrong["success"] and wrong["error"] == "invalid_params", (name, wrong)
            assert wrong["message"] == ("The argument `cursor` is wrong: expected `next_cursor` of an earlier "
                                        "answer; leave it out to begin.")
    wrong = mcp.tool("publish_event", channel="robot:events", event_data={"type": 5})
    assert "`event_data" in wrong["message"] and "Event" not in wrong["message"]
    assert mcp.tool("get_state", key="a\nb")["message"].startswith("The argument `key` is wrong: ")
    for name, more in (("node_health", {}), ("get_state", {"key": "node:health"}), ("recent_events", {})):
        wrong = mcp.tool(name, node_id="a b", **more)["message"]
        assert wrong.startswith("The argument `node_id` is wrong: expected a name of 1 to 64 letters"), wrong


def test_a_name_that_no_node_has_is_no_resource(mcp):
    for uri in ("health/a?x", "robot/a%20b", "events/%0a", "events/-", "session/%0a"):
        with pytest.raises(Failed) as failed:
            mcp.read("state://" + uri)
        assert failed.value.code == -32602 and failed.value.data == {"uri": "state://" + uri}


def test_names_and_values_of_others_are_harmless(mcp, cell):
    evil = "<script>\x1b[31m\u202e\n\x9b"
    cell.redis.set("evil", json.dumps(evil))
    cell.client.call("session.create", session_id="<b>\u202e", state={"text": evil})
    cell.client.call("event.publish", channel="a", event={"text": evil}, ack="stored")
    raw = mcp.ask("tools/call", name="get_state", arguments={"key": "evil"})
    assert raw["structuredContent"]["data"]["value"] == evil
    text = raw["content"][0]["text"]
    assert not set(text) & set("\x1b\u202e\x9b\n")
    for name, arguments in (("list_sessions", {}), ("get_session", {"session_id": "<b>\u202e"}),
                            ("recent_events", {})):
        raw = mcp.ask("tools/call", name=name, arguments=arguments)
        assert "<b>" in raw["content"][0]["text"] or "<script>" in raw["content"][0]["text"]
        assert not set(raw["content"][0]["text"]) & set("\x1b\u202e\x9b\n")
    missing = mcp.ask("tools/call", name="get_session", arguments={"session_id": "\u202e<i>"})
    assert "\u202e" not in missing["content"][0]["text"]
    cell.client.call("session.create", session_id="<i>")
    values = mcp.ask("completion/complete", ref={"type": "ref/resource", "uri": "state://session/{id}"},
                     argument={"name": "id", "value": "<"})["completion"]["values"]
    assert values == ["<i>"]


def test_wrong_arguments_say_what_is_right(mcp):
    wrong = mcp.tool("set_state", key="a", data=1, ttl="soon")
    assert wrong["message"] == ('The argument `ttl` is wrong: expected an integer from 1 to 31536000, '
                                'found "soon".')
    assert "`node_id`" in mcp.tool("get_state", key="a", node="ook")["message"]


# --- resources


def test_resources_carry_their_age(mcp, cell):
    cell.client.call("robot.update", current_pose="ready", ack="stored")
    session = cell.client.call("stroke.start", total_strokes=7, ack="stored")["session_id"]
    cell.client.call("session.create", session_id="a b", state={"n": 1})
    cell.client.call("event.publish", channel="a:b", event={"i": 1}, ack="stored")
    assert mcp.read("state://status")["status"]["redis_connected"] is True
    assert mcp.read("state://health/ook")["health"]["node_id"] == "ook"
    assert mcp.read("state://robot/ook")["robot"]["current_pose"] == "ready"
    strokes = mcp.read("state://stroke/progress")["strokes"]
    assert [(s["session_id"], s["progress"]["total_strokes"]) for s in strokes] == [(session, 7)]
    body = mcp.read("state://session/a%20b")
    assert body["state"]["n"] == 1 and 0 < body["expires_in_ms"] <= 3_600_000
    assert any(e["channel"] == "a:b" for e in mcp.read("state://events/ook")["events"])
    for uri in ("status", "health/ook", "robot/ook", "session/a%20b", "events/ook"):
        body = mcp.read("state://" + uri)
        assert body["age_ms"] >= 0 and body["read_at"]
    assert strokes[0]["age_ms"] >= 0
    for uri in ("state://health/nobody", "state://robot/nobody", "state://session/none", "state://x"):
        with pytest.raises(Failed) as failed:
            mcp.read(uri)
        assert failed.value.code == -32602 and failed.value.data == {"uri": uri}
    assert mcp.ask("resources/read", uri="state://status")["ttlMs"] == 0


def test_names_of_nodes_are_completed(mcp, cell):
    for kind in ("health", "robot", "events"):
        ref = {"type": "ref/resource", "uri": f"state://{kind}/{{node_id}}"}
        for begin, names in (("o", ["ook"]), ("", ["ook"]), ("x", [])):
            found = mcp.ask("completion/complete", ref=ref, argument={"name": "node_id", "value": begin})
            assert found["completion"]["values"] == names


def test_session_ids_are_completed(mcp, cell):
    for name in ("job-1", "job-2", "other"):
        cell.client.call("session.create", session_id=name)
    values = mcp.ask("completion/complete", ref={"type": "ref/resource", "uri": "state://session/{id}"},
                     argument={"name": "id", "value": "job"})["completion"]
    assert sorted(values["values"]) == ["job-1", "job-2"] and values["hasMore"] is False


@pytest.mark.parametrize("older", [None, "2025-06-18", "2025-11-25"])
def test_subscriptions_tell_of_changes(cell, gate, older):
    client = gate(cell.agent.socket_path, older=older).client
    cell.client.call("session.create", session_id="job")
    uris = ["state://status", "state://health/ook", "state://robot/ook", "state://session/job",
            "state://events/ook", "state://stroke/progress"]
    if older:
        for uri in uris:
            assert client.ask("resources/subscribe", uri=uri) == {}
    else:
        listen = client.request("subscriptions/listen", notifications={"resourceSubscriptions": uris})
        acknowledged = client.note("notifications/subscriptions/acknowledged")
        assert acknowledged["notifications"] == {"resourceSubscriptions": uris}
        assert acknowledged["_meta"] == {"io.modelcontextprotocol/subscriptionId": listen}
    # Each is told of once at the beginning: as soon as the gate hears of changes.
    assert {client.note("notifications/resources/updated")["uri"] for _ in uris} == set(uris)

    def told_of(uri, do):
        client.notes.clear()
        do()
        while True:
            note = client.note("notifications/resources/updated")
            if not older:
                assert note["_meta"] == {"io.modelcontextprotocol/subscriptionId": listen}
            if note["uri"] == uri:
                return

    told_of("state://robot/ook", lambda: cell.client.call("robot.update", current_pose="a"))
    told_of("state://session/job", lambda: cell.client.call("session.update", session_id="job", state={}))
    told_of("state://events/ook", lambda: cell.client.call("event.publish", channel="a", event={}))
    told_of("state://stroke/progress", lambda: cell.client.call("stroke.start", total_strokes=1))
    told_of("state://health/ook", lambda: None)  # by its beats
    told_of("state://status", cell.agent.kill)


# --- the agent and Redis away


def test_without_an_agent_each_tool_says_so_at_once(gate, tmp_path):
    client = gate(str(tmp_path / "none.sock"), "--allow-writes").client
    assert sorted(client.tools()) == sorted(LOOK)
    begin = time.monotonic()
    arguments = {"get_state": {"key": "a"}, "get_session": {"session_id": "a"},
                 "subscribe_events": {"channels": ["a"], "timeout": 50}}
    for name in LOOK:
        outcome = client.tool(name, **arguments.get(name, {}))
        if name == "system_status":
            assert outcome["success"] and outcome["status"]["agent_connected"] is False
        elif name == "doctor":
            assert outcome["problems"] >= 1
        else:
            assert outcome["error"] == "agent_away" and "none.sock" in outcome["message"]
    assert time.monotonic() - begin < 10
    assert client.read("state://status")["status"]["agent_connected"] is False
    with pytest.raises(Failed, match="cannot be reached"):
        client.read("state://health/ook")


def test_without_redis_each_tool_says_so(lonely, gate):
    client = gate(lonely.agent.socket_path, "--allow-writes").client
    status = client.tool("system_status")
    assert status["status"]["redis_connected"] is False and "Redis is not connected" in status["message"]
    for name, arguments in {"redis_info": {}, "get_state": {"key": "a"}, "list_sessions": {},
                            "get_session": {"session_id": "a"}, "recent_events": {},
                            "subscribe_events": {"channels": ["a"], "timeout": 50}}.items():
        outcome = client.tool(name, **arguments)
        assert outcome["error"] == "unavailable" and "Redis" in outcome["message"], outcome
    assert client.tool("set_state", key="a", data=1)["error"] == "not_stored"
    stop = client.tool("emergency_stop", message="smoke")
    assert "programs of this computer have got the stop" in stop["message"]
    assert client.tool("node_health")["state"] == "up"
    lonely.server.start()
    wait_until(lambda: client.tool("get_state", key="a")["success"])


def test_an_agent_that_restarts_under_a_subscription(redis_server, make_agent, steady, gate):
    agent = make_agent(redis_server.url())
    steady(agent)
    client = gate(agent.socket_path, "--allow-writes", older="2025-11-25").client
    client.ask("logging/setLevel", level="info")
    client.ask("resources/subscribe", uri="state://robot/ook")
    agent.kill()
    assert client.note("notifications/message")["level"] == "warning"
    client.note("notifications/resources/updated")
    assert client.tool("get_state", key="a")["error"] == "agent_away"
    again = make_agent(redis_server.url(), settings={"socket.path": agent.socket_path})
    robot = steady(again)
    wait_until(lambda: client.tool("system_status")["status"]["redis_connected"])
    client.notes.clear()
    robot.call("robot.update", current_pose="b")
    client.note("notifications/resources/updated")


def test_a_silent_agent_is_told_of(gate, tmp_path, closing):
    path = str(tmp_path / "silent.sock")
    listener = closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    listener.bind(path)
    listener.listen(8)
    client = gate(path).client
    outcome = client.tool("list_nodes")
    assert outcome["error"] == "agent_away" and "stopped or hangs" in outcome["message"]


# --- the process


def test_a_wrong_line_costs_that_line_only(mcp):
    for line, code in ((b"{\n", -32700), (b"\xff\xfe\n", -32700), (b"[]\n", -32600),
                       (b'{"jsonrpc":"2.0","id":"x","method":"tools/list"}\n', -32602),
                       (b'"' + b"x" * (1 << 20) + b'"\n', -32700)):
        mcp.send(line)
        message = mcp.lines.next()
        assert message["error"]["code"] == code, message
    assert mcp.tool("system_status")["success"]


def test_input_that_comes_byte_by_byte(mcp):
    for byte in json.dumps({"jsonrpc": "2.0", "id": "b", "method": "tools/list", "params": {"_meta": META}}):
        mcp.send(byte.encode())
    mcp.send(b"\n")
    assert mcp.lines.next()["id"] == "b"
    assert mcp.tool("system_status")["success"]


def test_what_was_asked_before_the_input_ends_is_answered(cell, tmp_path):
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
               "params": {"name": "redis_info", "arguments": {}, "_meta": META}}
    into = tmp_path / "requests"
    into.write_text(json.dumps(request) + "\n")
    for stdin in (subprocess.PIPE, into.open()):  # a pipe, and a file
        done = subprocess.run([PROGRAM, "mcp", "--socket", cell.agent.socket_path], timeout=10,
                              capture_output=True, text=True, env=environment(tmp_path / "sanitizer"),
                              **({"input": into.read_text()} if stdin is subprocess.PIPE else {"stdin": stdin}))
        assert done.returncode == 0 and done.stderr == ""
        assert json.loads(done.stdout)["result"]["structuredContent"]["success"] is True


@pytest.mark.time_limit(60)
def test_a_reader_that_stands_still_is_bounded(cell, tmp_path):
    line = json.dumps({"jsonrpc": "2.0", "id": "%d", "method": "tools/list",
                       "params": {"_meta": META}}).encode() + b"\n"
    process = processes.spawn([PROGRAM, "mcp", "--socket", cell.agent.socket_path],
                              env=environment(tmp_path / "sanitizer"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        os.set_blocking(process.stdin.fileno(), False)
        sent = 0

        def is_stuck():
            """Nothing more is taken between two looks."""
            nonlocal sent
            before = sent
            try:
                while True:
                    sent += os.write(process.stdin.fileno(), line[sent % len(line):])
            except BlockingIOError:
                return sent == before and sent > 0

        looks = [wait_until(is_stuck) for _ in range(20)]
        assert all(looks) and sent < 4 << 20
        assert psutil.Process(process.pid).memory_info().rss < 64 << 20
        # When the client reads again, every request has its answer.
        os.set_blocking(process.stdin.fileno(), True)
        begun = sent % len(line)
        rest = threading.Thread(target=os.write, args=(process.stdin.fileno(), line[begun:] if begun else b""))
        rest.start()  # there is room for it when answers have been read
        lines = Lines(process.stdout)
        for _ in range(-(-sent // len(line))):
            message = lines.next()
            assert message is not None, (process.poll(), process.stderr.read())
            assert message["id"] == "%d"
        rest.join()
        process.stdin.close()
        assert process.wait(10) == 0
    finally:
        processes.end(process)
        process.stdout.close()
        process.stderr.close()


def children_of(folder):
    """Processes of this program whose socket lies in that folder."""
    return [p for p in psutil.process_iter(["cmdline"])
            if p.info["cmdline"] and str(folder) in " ".join(p.info["cmdline"])
            and "nodebeat-gate" in p.info["cmdline"][0]]


@pytest.mark.time_limit(120)
def test_a_thousand_starts_and_kills_leave_no_process(cell, tmp_path):
    """Each way in which a client ends: it closes the input, kills the gate, ends it by SIGTERM, or is killed
    itself while another process holds the pipes."""
    socket_path = str(cell.agent.socket_path)
    env = environment(tmp_path / "sanitizer")
    command = [str(PROGRAM), "mcp", "--socket", socket_path]
    batch = 40
    for round_ in range(25):
        made = [subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for _ in range(batch)]
        for i, process in enumerate(made):
            if i % 4 == 0:
                process.kill()
            elif i % 4 == 1:
                process.terminate()
            elif i % 4 == 2:
                process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n')
                process.stdin.close()
            else:
                process.stdin.close()
        for process in made:
            assert process.wait(20) in (0, -signal.SIGKILL, -signal.SIGTERM)
            process.stdin.close()
    assert round_ == 24
    wait_until(lambda: children_of(tmp_path) == [])


def test_a_gate_ends_with_its_parent_though_others_hold_its_pipes(cell, tmp_path):
    read, write = os.pipe()  # held by this process: so the input does not end
    parent = subprocess.Popen(
        ["/usr/bin/python3", "-c",
         "import subprocess,sys,time\n"
         f"p=subprocess.Popen({[str(PROGRAM), 'mcp', '--socket', str(cell.agent.socket_path)]!r}, stdin={read})\n"
         "print(p.pid, flush=True)\ntime.sleep(100)"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[read], env=environment(tmp_path / "sanitizer"))
    gate = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: any(c["name"] == "nodebeat-gate mcp"
                           for c in cell.client.call("agent.stats")["clients"]))
    assert gate.is_running()
    parent.kill()
    parent.wait(10)
    wait_until(lambda: not gate.is_running() or gate.status() == psutil.STATUS_ZOMBIE)
    parent.stdout.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("output", ["full", "closed"])
def test_output_that_is_gone_ends_it(cell, tmp_path, output):
    if output == "full":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, out = os.pipe()
        os.close(reader)
    try:
        process = subprocess.Popen(
            [PROGRAM, "--socket", cell.agent.socket_path, "mcp"], stdin=subprocess.PIPE, stdout=out,
            stderr=subprocess.PIPE, text=True, env=environment(tmp_path / "sanitizer"))
    finally:
        os.close(out)
    message = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    try:
        assert process.wait(30) == 74  # by itself: the input is still open
        assert "standard output" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_a_service_that_serves_nothing_says_so(cell, tmp_path):
    process = subprocess.Popen([PROGRAM, "--socket", cell.agent.socket_path, "serve"], stderr=subprocess.PIPE,
                               text=True, env=environment(tmp_path / "sanitizer"))
    try:
        assert any("nothing is served" in line for line in process.stderr)  # ends with the first
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stderr.close()


def test_the_command_line(tmp_path):
    def run(*words):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=10,
                              stdin=subprocess.DEVNULL, env=environment(tmp_path / "sanitizer"))

    assert run("--version").stdout.startswith("nodebeat-gate ")
    told = run("--help").stdout
    assert "nodebeat-gate [options] COMMAND" in told and max(map(len, told.splitlines())) <= 80
    wrong = run("mpc")
    assert wrong.returncode == 64 and wrong.stderr.count("\n") == 1
