"""stroke.start, stroke.update, stroke.end: sessions, their history and their events."""

import json
import re
from pathlib import Path

import pytest

from support.rpc import Refused, refused
from support.waiting import wait_until

MOMENT = "2026-11-20T14:03:07.123456"
FIELDS = ["timestamp", "node_id", "stroke_idx", "pose_idx", "total_strokes", "stroke_length",
          "offset_idx_l", "offset_idx_r", "stroke_description_l", "stroke_description_r",
          "is_executing", "is_paused", "scene_name", "dataset_name"]
CHANNELS = ("stroke:events:session", "stroke:events:progress")


def progress(redis, session):
    return json.loads(redis.hget(f"stroke:progress:{session}", "progress"))


def start(client, **params):
    return client.call("stroke.start", {"total_strokes": 5, **params}, ack="stored")["session_id"]


def test_a_start_to_the_letter(cell, closing):
    events = closing(cell.server.subscribe(*CHANNELS))
    session = start(cell.client, timestamp=MOMENT)
    key = f"stroke:progress:{session}"
    assert cell.redis.type(key) == "hash" and cell.redis.hkeys(key) == ["progress"]
    assert cell.redis.hget(key, "progress") == (
        f'{{"timestamp":"{MOMENT}","node_id":"ook","stroke_idx":0,"pose_idx":0,"total_strokes":5,'
        '"stroke_length":0,"offset_idx_l":0,"offset_idx_r":0,"stroke_description_l":"",'
        '"stroke_description_r":"","is_executing":true,"is_paused":false,"scene_name":"default",'
        '"dataset_name":null}'
    )
    assert 0 < cell.redis.ttl(key) <= 86400  # renewed while it runs: no agent, no session
    event = events.wait_for("session_start")
    instance = cell.client.call("agent.stats")["instance_id"]
    assert list(event.items()) == [
        ("type", "session_start"), ("node_id", "ook"), ("timestamp", MOMENT),
        ("session_id", session), ("total_strokes", 5), ("scene_name", "default"),
        ("instance_id", instance),
    ]
    # A start is no progress: a stroke_idx of 0 there would set the visualiser back.
    assert not events.of_type("progress_update")
    assert not cell.redis.exists(f"stream:stroke_history:{session}")


def test_a_start_with_everything(cell):
    session = start(
        cell.client, stroke_idx=1, pose_idx=2, stroke_length=3, offset_idx_l=-4, offset_idx_r=5,
        stroke_description_l="levý", stroke_description_r="右", is_executing=False, is_paused=True,
        scene_name="scene", dataset_name="data",
    )
    told = progress(cell.redis, session)
    assert list(told) == FIELDS
    assert list(told.values())[1:] == [
        "ook", 1, 2, 5, 3, -4, 5, "levý", "右", False, True, "scene", "data"
    ]


def test_an_update_to_the_letter(cell, closing):
    events = closing(cell.server.subscribe(*CHANNELS))
    session = start(cell.client, scene_name="s")
    assert cell.client.call(
        "stroke.update", session_id=session, stroke_idx=1, pose_idx=2, stroke_length=40,
        stroke_description_l='a "b"\n', stroke_description_r="č", timestamp=MOMENT, ack="stored",
    ) == {}
    told = progress(cell.redis, session)
    assert list(told) == FIELDS and told["timestamp"] == MOMENT
    assert (told["stroke_idx"], told["total_strokes"], told["scene_name"]) == (1, 5, "s")
    (_, entry), = cell.redis.xrange(f"stream:stroke_history:{session}")
    assert list(entry.items()) == [
        ("stroke_idx", "1"), ("pose_idx", "2"), ("description_l", 'a "b"\n'),
        ("description_r", "č"), ("node_id", "ook"),
    ]
    event = events.wait_for("progress_update")
    instance = cell.client.call("agent.stats")["instance_id"]
    assert list(event.items()) == [
        ("type", "progress_update"), ("node_id", "ook"), ("timestamp", MOMENT),
        ("session_id", session), ("stroke_idx", 1), ("pose_idx", 2), ("total_strokes", 5),
        ("stroke_length", 40), ("description_l", 'a "b"\n'), ("description_r", "č"),
        ("instance_id", instance),
    ]


def test_value_history_and_event_are_one_transaction(cell):
    session = start(cell.client)
    inside, transactions = None, []
    history = f"stream:stroke_history:{session}"
    with cell.server.client(client_name="monitor").monitor() as monitor:
        cell.client.notify("stroke.update", stroke_idx=1)
        while not any(history in " ".join(t) for t in transactions):
            command = monitor.next_command()["command"]
            if command == "MULTI":
                inside = []
            elif command == "EXEC":
                transactions.append(inside)
            elif inside is not None:
                inside.append(command)
    names = [c.split(" ")[:2] for c in transactions[-1]]
    assert ["HSET", f"stroke:progress:{session}"] in names
    assert ["XADD", history] in names
    assert ["PUBLISH", "stroke:events:progress"] in names


def test_every_update_is_in_the_history_and_told(cell, closing):
    events = closing(cell.server.subscribe(*CHANNELS))
    session = start(cell.client, total_strokes=300)
    for i in range(1, 300):
        cell.client.notify("stroke.update", stroke_idx=i)
    cell.client.call("stroke.update", stroke_idx=300, ack="stored")
    wanted = list(range(1, 301))
    entries = cell.redis.xrange(f"stream:stroke_history:{session}")
    assert [int(f["stroke_idx"]) for _, f in entries] == wanted
    events.wait_for("progress_update", lambda e: e["stroke_idx"] == 300)
    assert [e["stroke_idx"] for e in events.of_type("progress_update")] == wanted


def test_the_history_is_bounded(make_redis, make_agent, steady):
    server = make_redis(stream_node_max_entries=5)
    client = steady(make_agent(server.url(), settings={"robot.history_length": 20}))
    session = start(client)
    for i in range(100):
        client.notify("stroke.update", stroke_idx=i)
    client.call("stroke.update", ack="stored")
    assert 20 <= server.client().xlen(f"stream:stroke_history:{session}") <= 25


def test_an_end_to_the_letter(cell, closing):
    events = closing(cell.server.subscribe(*CHANNELS))
    session = start(cell.client)
    cell.client.call("stroke.update", stroke_idx=5, is_paused=True)
    assert cell.client.call("stroke.end", session_id=session, ack="stored") == {}
    told = progress(cell.redis, session)
    assert list(told) == FIELDS
    assert (told["is_executing"], told["is_paused"], told["stroke_idx"]) == (False, False, 5)
    assert 86390 < cell.redis.ttl(f"stroke:progress:{session}") <= 86400
    event = events.wait_for("session_end")
    assert list(event)[:4] == ["type", "node_id", "timestamp", "session_id"]
    assert event["session_id"] == session
    assert cell.client.call("agent.stats")["stroke"] == {"session_id": None}


def test_an_ended_session_expires_and_stays_away(redis_server, make_agent, steady):
    """It is not written again when Redis comes back empty."""
    agent = make_agent(redis_server.url(), settings={"robot.ended_ttl": "1s"})
    client = steady(agent)
    session = start(client)
    client.call("stroke.end", ack="stored")
    key = f"stroke:progress:{session}"
    assert 0 < redis_server.client().pttl(key) <= 1000
    wait_until(lambda: not redis_server.client().exists(key))
    running = start(client)
    redis_server.restart()
    wait_until(lambda: redis_server.client().exists(f"stroke:progress:{running}"))
    assert redis_server.client().keys("stroke:progress:*") == [f"stroke:progress:{running}"]


def test_fifty_starts_in_a_row(cell, closing):
    events = closing(cell.server.subscribe(*CHANNELS))
    ids = [cell.client.request("stroke.start", total_strokes=i) for i in range(50)]
    sessions = [cell.client.answer(i)["session_id"] for i in ids]
    assert all(re.fullmatch(r"stroke_ook_\d{10}_\d{6}", s) for s in sessions)
    assert len(set(sessions)) == 50 and sorted(sessions) == sessions
    assert cell.client.call("agent.stats")["stroke"]["session_id"] == sessions[-1]
    events.wait_for("session_start", lambda e: e["session_id"] == sessions[-1])
    # Each start ends the one before it.
    told = [(e["type"], e["session_id"]) for e in events.messages]
    wanted = [("session_start", sessions[0])]
    for before, after in zip(sessions, sessions[1:]):
        wanted += [("session_end", before), ("session_start", after)]
    assert told == wanted
    wait_until(lambda: [s for s in sessions if progress(cell.redis, s)["is_executing"]]
               == sessions[-1:], ignoring=(TypeError,))
    assert all(cell.redis.ttl(f"stroke:progress:{s}") > 0 for s in sessions)


def test_sessions_that_end_without_redis_are_bounded(lonely, sanitized):
    before = lonely.agent.own_memory()
    text = "x" * 4096
    line = lonely.client.line("stroke.start", {"total_strokes": 1, "stroke_description_l": text,
                                               "stroke_description_r": text})
    lonely.client.send(line * 3000)
    running = lonely.client.call("agent.stats")["stroke"]["session_id"]
    error = refused(lonely.client, "stroke.start", total_strokes=1)
    assert (error.code, error.name) == (-32004, "queue_full")
    assert lonely.client.call("agent.stats")["stroke"]["session_id"] == running
    assert sanitized or lonely.agent.own_memory() - before < 8 << 20
    lonely.client.call("stroke.end")
    lonely.server.start()
    wait_until(lambda: lonely.client.call("agent.stats")["outbox"]["slots"] < 10)
    session = start(lonely.client, timeout_ms=20000)
    told = [progress(lonely.server.client(), key.rpartition(":")[2])["is_executing"]
            for key in sorted(lonely.server.client().keys("stroke:progress:*"))]
    assert told == [False] * 257 + [True] and session > running


def test_starts_and_ends_are_kept(cell):
    session = start(cell.client)
    cell.client.call("stroke.update", stroke_idx=1)
    cell.client.call("stroke.end", ack="stored")
    kept = [(f["channel"], json.loads(f["event"])["type"])
            for _, f in cell.redis.xrange("stream:node_events:ook") if session in f["event"]]
    assert kept == [("stroke:events:session", "session_start"),
                    ("stroke:events:session", "session_end")]


@pytest.mark.parametrize("method", ["stroke.update", "stroke.end"])
def test_without_a_session(cell, method):
    for params in ({}, {"session_id": "stroke_ook_1_000000"}):
        with pytest.raises(Refused) as refused:
            cell.client.call(method, params)
        assert (refused.value.code, refused.value.name) == (-32001, "not_found")
    assert not cell.redis.keys("stroke:*") and not cell.redis.keys("stream:stroke_history:*")


@pytest.mark.parametrize("method", ["stroke.update", "stroke.end"])
def test_of_another_session(cell, method):
    ended = start(cell.client)
    session = start(cell.client)
    with pytest.raises(Refused) as refused:
        cell.client.call(method, session_id=ended)
    assert refused.value.name == "not_found" and session in refused.value.message
    cell.client.call("stroke.update", stroke_idx=1, ack="stored")
    assert progress(cell.redis, session)["is_executing"] is True


@pytest.mark.parametrize("field", ["stroke_idx", "pose_idx", "total_strokes", "stroke_length",
                                   "offset_idx_l", "offset_idx_r"])
@pytest.mark.parametrize("wrong", ["1.5", "1e-1", '"1"', "true", "null", "9007199254740993", "[]"])
def test_integers_only(cell, field, wrong):
    start(cell.client)
    with pytest.raises(Refused) as refused:
        cell.client.call("stroke.update", f'{{"{field}":{wrong}}}')
    assert (refused.value.name, refused.value.field) == ("invalid_params", field)


def test_a_refused_start_ends_nothing(cell):
    session = start(cell.client)
    for params in ({}, {"total_strokes": -1}, {"total_strokes": 1, "stroke_idx": 0.5}):
        with pytest.raises(Refused):
            cell.client.call("stroke.start", params)
    assert cell.client.call("agent.stats")["stroke"]["session_id"] == session


def test_an_update_too_large_for_the_event_log_changes_nothing(redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), settings={
        "outbox.event_bytes": "8KiB", "outbox.urgent_bytes": "8KiB", "robot.telemetry_interval": "1ms"})
    client = steady(agent)
    session = start(client)
    client.call("stroke.update", stroke_idx=1)
    large = refused(client, "stroke.update", stroke_idx=2, stroke_description_l="x" * 4096,
                    stroke_description_r="y" * 4096)
    assert large.name == "too_large"
    number = "1." + "0" * 9000
    large = refused(client, "robot.update", f'{{"joints_l":[2],"joints_r":[{number}]}}')
    assert large.name == "too_large"
    client.call("stroke.update", pose_idx=3, ack="stored")
    client.call("robot.update", is_connected_l=True, ack="stored")
    told = progress(redis_server.client(), session)
    assert (told["stroke_idx"], told["pose_idx"], told["stroke_description_l"]) == (1, 3, "")
    robot = json.loads(redis_server.client().hget("robot:state:ook", "state"))
    assert (robot["joints_l"], robot["joints_r"]) == (None, None)


def test_a_dataset_that_is_set_and_taken_back(cell):
    session = start(cell.client, dataset_name="d")
    assert progress(cell.redis, session)["dataset_name"] == "d"
    cell.client.call("stroke.update", dataset_name=None, ack="stored")
    assert progress(cell.redis, session)["dataset_name"] is None


# --- what bounds it in Redis --------------------------------------------------------------------


def test_progress_and_history_of_a_session_expire(redis_server, make_agent, steady):
    """While it runs late, and renewed, since the agent may never come back; then by ended_ttl."""
    client = steady(make_agent(redis_server.url(), settings={"robot.ended_ttl": "100s"}))
    redis = redis_server.client()
    session = start(client)
    keys = [f"stroke:progress:{session}", f"stream:stroke_history:{session}"]
    client.call("stroke.update", stroke_idx=1, ack="stored")
    assert all(1000 < redis.ttl(key) <= 3600 for key in keys)
    redis.persist(keys[0])
    client.call("stroke.update", stroke_idx=2, ack="stored")
    assert redis.ttl(keys[0]) == -1, "not at each update"
    client.call("stroke.end", ack="stored")
    wait_until(lambda: all(0 < redis.ttl(key) <= 100 for key in keys))


def test_a_session_that_the_server_has_lost_expires_too(cell):
    session = start(cell.client)
    cell.client.call("stroke.update", stroke_idx=1, ack="stored")
    cell.server.restart()
    redis = cell.server.client()
    wait_until(lambda: redis.ttl(f"stroke:progress:{session}") > 0)
    cell.client.call("stroke.update", stroke_idx=2, ack="stored", timeout_ms=20000)
    assert redis.ttl(f"stream:stroke_history:{session}") > 0


def test_the_history_of_a_session_is_bounded_in_bytes(redis_server, make_agent, steady):
    client = steady(make_agent(redis_server.url(), settings={"outbox.stream_bytes": "64KiB"}))
    session = start(client)
    for i in range(200):
        client.notify("stroke.update", stroke_idx=i, stroke_description_l="x" * 4000)
    client.call("stroke.update", stroke_idx=200, ack="stored")
    kept = redis_server.client().xrange(f"stream:stroke_history:{session}")
    assert kept[-1][1]["stroke_idx"] == "200" and 16 <= len(kept) < 40


def test_ended_sessions_together_are_bounded_in_bytes(redis_server, make_agent, steady):
    client = steady(make_agent(redis_server.url(), settings={"robot.ended_bytes": "1MiB"}))
    sessions = []
    for _ in range(20):  # each counts at least 64 KiB
        sessions.append(start(client))
        client.call("stroke.update", stroke_idx=1)
        client.call("stroke.end", ack="stored")
    redis = redis_server.client()
    wait_until(lambda: sorted(k.rpartition(":")[2] for k in redis.keys("stroke:progress:*"))
               == sessions[-16:])
    wait_until(lambda: sorted(k.rpartition(":")[2] for k in redis.keys("stream:stroke_history:*"))
               == sessions[-16:])


def test_so_many_sessions_within_an_hour(redis_server, make_agent, steady, connect):
    agent = make_agent(redis_server.url(), settings={"robot.sessions_per_hour": 5})
    for i in range(5):
        client = steady(agent)  # each on a connection of its own
        client.call("stroke.start", total_strokes=1)
    error = refused(connect(agent), "stroke.start", total_strokes=1)
    assert (error.code, error.name, error.data["limit"]) == (-32004, "queue_full", 5)
    assert "sessions_per_hour" in error.message
    client.call("stroke.update", stroke_idx=1, ack="stored")  # the last one runs


def test_so_much_history_within_an_hour(redis_server, make_agent, steady, connect):
    settings = {"robot.history_bytes_per_hour": "64KiB"}
    agent = make_agent(redis_server.url(), settings=settings)
    client = steady(agent)
    session = start(client)
    taken = 0
    with pytest.raises(Refused) as caught:
        while taken < 100:
            client.call("stroke.update", stroke_idx=taken + 1, stroke_description_r="x" * 4000)
            taken += 1
    assert (caught.value.code, caught.value.name) == (-32004, "queue_full")
    assert caught.value.data["limit_bytes"] == 65536
    assert "history_bytes_per_hour" in caught.value.message and 14 <= taken <= 16
    with pytest.raises(Refused):
        connect(agent).call("stroke.update", stroke_description_r="y" * 4000)
    client.call("stroke.end", ack="stored")
    assert progress(redis_server.client(), session)["stroke_idx"] == taken


# --- the agent is started again -----------------------------------------------------------------


@pytest.fixture
def again(make_agent, connect, tmp_path):
    """again(server): an agent on the same socket as those before it, and a client of it."""

    def make(server):
        agent = make_agent(server.url(), settings={"socket.path": str(tmp_path / "a.sock")})
        return agent, connect(agent)

    return make


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("redis_is_there", [True, False], ids=["Redis up", "Redis down"])
def test_a_restarted_agent_goes_on_with_its_session(make_redis, again, end, redis_is_there):
    server = make_redis(appendonly="yes", appendfsync="always")
    agent, client = again(server)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    session = start(client, scene_name="s", dataset_name="d")
    client.call("stroke.update", stroke_idx=3, stroke_description_l="left", ack="stored")
    if not redis_is_there:
        # Beside the socket the agent notes it within a tenth of a second.
        note = Path(f"{agent.socket_path}.session")
        wait_until(lambda: '"stroke_idx":3' in note.read_text())
        server.kill()
    getattr(agent, end)()

    agent, client = again(server)
    assert client.call("agent.stats")["stroke"]["session_id"] == session
    if redis_is_there:
        wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    client.call("stroke.update", session_id=session, pose_idx=7)
    if not redis_is_there:
        server.start()

    def told():
        found = progress(server.client(), session)
        return found["pose_idx"] == 7 and found

    found = wait_until(told, ignoring=(TypeError,))
    assert (found["total_strokes"], found["scene_name"], found["dataset_name"]) == (5, "s", "d")
    assert found["is_executing"] is True
    # A stroke_idx of 0 would set the visualiser back to the start.
    assert (found["stroke_idx"], found["stroke_description_l"]) == (3, "left")
    client.call("stroke.end", session_id=session, ack="stored")
    assert progress(server.client(), session)["is_executing"] is False
    assert server.client().ttl(f"stroke:progress:{session}") > 0


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_what_was_noted_while_redis_was_away_wins_over_what_it_has(make_redis, again, killed):
    """Stroke 3 is in Redis, stroke 10 was only noted: 10 it is, also for the next update."""
    server = make_redis(appendonly="yes", appendfsync="always")
    agent, client = again(server)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    session = start(client)
    client.call("stroke.update", stroke_idx=3, stroke_description_l="third", ack="stored")
    server.kill()
    client.call("stroke.update", stroke_idx=10, pose_idx=4)
    note = Path(f"{agent.socket_path}.session")
    wait_until(lambda: '"stroke_idx":10' in note.read_text())
    agent.kill() if killed else agent.stop()
    agent, client = again(server)
    server.start()
    wait_until(lambda: progress(server.client(), session)["stroke_idx"] == 10,
               ignoring=(TypeError,))
    client.call("stroke.update", is_paused=True, ack="stored")
    found = progress(server.client(), session)
    assert (found["stroke_idx"], found["pose_idx"], found["is_paused"]) == (10, 4, True)
    assert found["stroke_description_l"] == "third"


def test_what_redis_has_later_wins_over_what_was_noted(redis_server, again, tmp_path):
    """The agent was killed before it noted what it had written, within a tenth of a second."""
    session = "stroke_ook_1700000000_000001"
    noted = {"timestamp": "2026-11-20T14:03:07.000000", "stroke_idx": 3, "pose_idx": 1}
    stored = {"timestamp": "2026-11-20T14:03:07.050000", "stroke_idx": 4, "pose_idx": 2}
    (tmp_path / "a.sock.session").write_text(json.dumps({"session_id": session, "progress": noted}))
    redis_server.client().hset(f"stroke:progress:{session}", "progress", json.dumps(stored))
    _, client = again(redis_server)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    client.call("stroke.update", pose_idx=7, ack="stored")
    found = progress(redis_server.client(), session)
    assert (found["stroke_idx"], found["pose_idx"]) == (4, 7)


def test_an_ended_session_stays_ended(redis_server, again):
    agent, client = again(redis_server)
    start(client)
    client.call("stroke.end", ack="stored")
    agent.kill()
    agent, client = again(redis_server)
    assert client.call("agent.stats")["stroke"]["session_id"] is None


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("next_one", [False, True], ids=["the last", "another began"])
def test_an_end_that_redis_never_got_is_made_up_for(make_redis, again, closing, end, next_one):
    """The end was accepted while Redis was away: the next agent ends what Redis shows as running."""
    server = make_redis(appendonly="yes", appendfsync="always")
    agent, client = again(server)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    session = start(client, scene_name="s")
    client.call("stroke.update", stroke_idx=3, ack="stored")
    server.kill()
    client.call("stroke.end")
    running = client.call("stroke.start", total_strokes=2)["session_id"] if next_one else ""
    getattr(agent, end)()
    again(server)
    server.start()
    events = closing(server.subscribe(*CHANNELS))
    wait_until(lambda: progress(server.client(), session)["is_executing"] is False)
    found = progress(server.client(), session)
    assert (found["stroke_idx"], found["scene_name"], found["is_paused"]) == (3, "s", False)
    assert 86000 < server.client().ttl(f"stroke:progress:{session}") <= 86400
    wait_until(lambda: server.client().hget("nodebeat:strokes", "ook") == running)
    kept = [json.loads(f["event"]) for _, f in server.client().xrange("stream:node_events:ook")]
    ends = [e["session_id"] for e in kept if e["type"] == "session_end"]
    assert ends == [session] and len(events.of_type("session_end")) <= 1
    if next_one:
        assert progress(server.client(), running)["is_executing"] is True


def test_an_end_that_redis_got_is_not_made_up_for(redis_server, again):
    agent, client = again(redis_server)
    wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
    session = start(client)
    client.call("stroke.end", ack="stored")
    before = progress(redis_server.client(), session)
    agent.kill()
    agent, client = again(redis_server)
    start(client)
    assert progress(redis_server.client(), session) == before
    kept = [json.loads(f["event"])["type"]
            for _, f in redis_server.client().xrange("stream:node_events:ook")]
    assert kept.count("session_end") == 1
    client.call("stroke.end", ack="stored")
    agent.stop()
    assert not Path(f"{agent.socket_path}.session").exists()


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "{}", '{"session_id":7}',
                                     '{"session_id":"stroke_hog_1_000000","progress":{}}',
                                     '{"ended":7}', '{"ended":{"stroke_hog_1_000000":"2026"}}',
                                     '{"ended":{"stroke_ook_1_000000":7}}',
                                     '{"session_id":"stroke_ook_x:*","progress":{}}',
                                     '{"session_id":"stroke_ook_1_000000\\n","progress":{}}'])
def test_a_spoilt_session_file_is_no_session(redis_server, again, tmp_path, content):
    (tmp_path / "a.sock.session").write_text(content)
    _, client = again(redis_server)
    assert client.call("agent.stats")["stroke"]["session_id"] is None


def test_a_session_that_began_without_redis(make_redis, again):
    server = make_redis(start=False)
    _, client = again(server)
    session = client.call("stroke.start", total_strokes=2)["session_id"]
    for i in (1, 2):
        client.call("stroke.update", stroke_idx=i)
    client.call("stroke.end")
    server.start()
    wait_until(lambda: server.client().ttl(f"stroke:progress:{session}") > 0)
    entries = server.client().xrange(f"stream:stroke_history:{session}")
    assert [f["stroke_idx"] for _, f in entries] == ["1", "2"]
    assert progress(server.client(), session)["stroke_idx"] == 2
