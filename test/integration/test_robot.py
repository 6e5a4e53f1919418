"""robot.update and error.report: what the readers of the robot's state get, to the letter."""

import json
import time
from datetime import datetime, timezone

import pytest

from support.rpc import Refused
from support.schema import TIMESTAMP
from support.waiting import wait_until

MOMENT = "2026-11-20T14:03:07.123456"
KEY = "robot:state:ook"

DEFAULTS = (
    '"is_connected_l":false,"is_connected_r":false,"joints_l":null,"joints_r":null,'
    '"velocities_l":null,"velocities_r":null,"current_pose":"unknown","goal_time_slow":2.0,"goal_time_fast":0.5}'
)


def state(redis):
    return json.loads(redis.hget(KEY, "state"))


def test_a_first_update_fills_in_the_defaults(cell):
    assert cell.client.call("robot.update", {"timestamp": MOMENT}, ack="stored") == {}
    assert cell.redis.type(KEY) == "hash"
    assert set(cell.redis.hkeys(KEY)) == {"state", "last_updated"}
    assert cell.redis.hget(KEY, "state") == (
        f'{{"timestamp":"{MOMENT}","node_id":"ook",' + DEFAULTS
    )
    assert cell.redis.hget(KEY, "last_updated") == MOMENT
    assert cell.redis.ttl(KEY) == -1


def test_every_digit_arrives(cell):
    """The members in another order, with white space: the schema's order and no space come out."""
    cell.client.call(
        "robot.update",
        '{ "goal_time_fast" : 1e-7 , "current_pose" : "ready", "velocities_r" : [ ],'
        ' "velocities_l" : [ 1E+2,0] , "joints_r":[123456789012345678901234567890],'
        ' "joints_l" : [1.10, -0.0,1e-7,  3.141592653589793238, -1],'
        ' "goal_time_slow":0.50,"is_connected_r":true,"is_connected_l" :true ,'
        f' "timestamp":"{MOMENT}","ack":"stored"}}',
    )
    assert cell.redis.hget(KEY, "state") == (
        f'{{"timestamp":"{MOMENT}","node_id":"ook","is_connected_l":true,"is_connected_r":true,'
        '"joints_l":[1.10,-0.0,1e-7,3.141592653589793238,-1],'
        '"joints_r":[123456789012345678901234567890],"velocities_l":[1E+2,0],'
        '"velocities_r":[],"current_pose":"ready","goal_time_slow":0.50,"goal_time_fast":1e-7}'
    )


@pytest.mark.parametrize("written", ['"späť"', r'"sp\u00e4\u0165"', r'"a\"\\\/\n\u007f"', '""'])
def test_a_pose_of_any_text(cell, closing, written):
    events = closing(cell.server.subscribe("robot:events"))
    cell.client.call("robot.update", f'{{"current_pose":{written},"ack":"stored"}}')
    assert state(cell.redis)["current_pose"] == json.loads(written)
    assert events.wait_for("state_update")["current_pose"] == json.loads(written)


def test_partial_updates_are_merged(cell):
    call = cell.client.call
    call("robot.update", is_connected_l=True, joints_l=[1, 2], current_pose="ready")
    call("robot.update", joints_r=[3])
    call("robot.update", joints_l=[4, 5], ack="stored")
    now = state(cell.redis)
    assert now["is_connected_l"] is True and now["is_connected_r"] is False
    assert (now["joints_l"], now["joints_r"], now["current_pose"]) == ([4, 5], [3], "ready")


def test_a_refused_update_changes_nothing(cell):
    """Not even by the members that stood before the wrong one."""
    cell.client.call("robot.update", joints_l=[1])
    with pytest.raises(Refused) as refused:
        cell.client.call("robot.update", joints_l=[2], is_connected_l=True, joints_r=[1, "2"])
    assert (refused.value.code, refused.value.field) == (-32602, "joints_r[1]")
    cell.client.call("robot.update", ack="stored")
    assert state(cell.redis)["joints_l"] == [1]
    assert state(cell.redis)["is_connected_l"] is False


def test_without_a_timestamp_it_is_the_agents(cell):
    cell.client.call("robot.update", ack="stored")
    text = cell.redis.hget(KEY, "last_updated")
    assert TIMESTAMP.fullmatch(text) and state(cell.redis)["timestamp"] == text
    told = datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()
    assert abs(time.time() - told) < 5


@pytest.mark.parametrize("told, written", [
    ("2026-11-20T14:03:07", "2026-11-20T14:03:07.000000"),
    ("2026-11-20T14:03:07.123Z", "2026-11-20T14:03:07.123000"),
    ("2026-11-20T14:03:07.123456789+00:00", "2026-11-20T14:03:07.123456"),
])
def test_timestamps_as_others_write_them(cell, closing, told, written):
    """Python's isoformat() leaves out a fraction of zero, one time in a million."""
    events = closing(cell.server.subscribe("robot:events", "stroke:events:session"))
    cell.client.call("robot.update", timestamp=told, ack="stored")
    assert cell.redis.hget(KEY, "last_updated") == state(cell.redis)["timestamp"] == written
    assert events.wait_for("state_update")["timestamp"] == written
    session = cell.client.call("stroke.start", total_strokes=1, timestamp=told, ack="stored")
    progress = cell.redis.hget(f"stroke:progress:{session['session_id']}", "progress")
    assert json.loads(progress)["timestamp"] == written


def test_joints_that_nobody_knows(cell):
    """Null as a whole; a hole in the list would break the readers."""
    cell.client.call("robot.update", joints_l=[1, 2], velocities_l=[3], ack="stored")
    for field in ("joints_l", "joints_r", "velocities_l", "velocities_r"):
        with pytest.raises(Refused) as refused:
            cell.client.call("robot.update", {field: [0, 1, 2, None]})
        assert (refused.value.code, refused.value.field) == (-32602, f"{field}[3]")
        assert "null as a whole" in refused.value.message
    assert state(cell.redis)["joints_l"] == [1, 2]
    cell.client.call("robot.update", joints_l=None, joints_r=[], ack="stored")
    now = state(cell.redis)
    assert (now["joints_l"], now["joints_r"], now["velocities_l"]) == (None, [], [3])


def test_an_update_is_an_event(cell, closing):
    events = closing(cell.server.subscribe("robot:events"))
    cell.client.call("robot.update", is_connected_r=True, current_pose="executing",
                     timestamp=MOMENT)
    event = events.wait_for("state_update")
    instance = cell.client.call("agent.stats")["instance_id"]
    assert list(event.items()) == [
        ("type", "state_update"), ("node_id", "ook"), ("timestamp", MOMENT),
        ("is_connected_l", False), ("is_connected_r", True), ("current_pose", "executing"),
        ("instance_id", instance),
    ]


def test_events_come_at_a_bounded_rate_and_the_last_always(redis_server, make_agent, steady,
                                                           closing):
    agent = make_agent(redis_server.url(), settings={"robot.event_interval": "200ms"})
    client = steady(agent)
    events = closing(redis_server.subscribe("robot:events"))
    begin = time.monotonic()
    for i in range(200):
        client.notify("robot.update", current_pose=f"pose {i}")
    client.call("robot.update", current_pose="the last")
    events.wait_for("state_update", lambda e: e["current_pose"] == "the last")
    took = time.monotonic() - begin
    poses = [e["current_pose"] for e in events.of_type("state_update")]
    assert poses[-1] == "the last" and len(set(poses)) == len(poses)
    assert 2 <= len(poses) <= 2 + took / 0.2
    moments = [moment for moment, _, _ in events.raw]
    # As heard on a machine that has other things to do; sent they are 200 ms apart.
    assert all(b - a > 0.1 for a, b in zip(moments, moments[1:]))


@pytest.mark.parametrize("occasion", ["a shorter interval", "a clean stop"])
def test_the_event_that_waits_does_not_wait_for_an_hour(redis_server, make_agent, steady, closing, occasion):
    agent = make_agent(redis_server.url(), settings={"robot.event_interval": "1h"})
    client = steady(agent)
    events = closing(redis_server.subscribe("robot:events"))
    client.call("robot.update", current_pose="first")
    client.call("robot.update", current_pose="last")
    if occasion == "a clean stop":
        agent.stop()
    else:
        agent.write_config(robot__event_interval="10ms")
        agent.reload()
    events.wait_for("state_update", lambda e: e["current_pose"] == "last")


def test_no_interval_makes_each_update_an_event(redis_server, make_agent, steady, closing):
    agent = make_agent(redis_server.url(), settings={"robot.event_interval": "0s"})
    client = steady(agent)
    events = closing(redis_server.subscribe("robot:events"))
    for i in range(50):
        client.notify("robot.update", current_pose=str(i))
    events.wait_for("state_update", lambda e: e["current_pose"] == "49")
    assert [e["current_pose"] for e in events.messages] == [str(i) for i in range(50)]


def test_the_state_takes_every_update(cell):
    """Also those that come between two events."""
    for i in range(30):
        cell.client.call("robot.update", joints_l=[i], ack="stored")
        assert state(cell.redis)["joints_l"] == [i]


def test_value_and_event_are_one_transaction(cell):
    inside, transactions = None, []
    with cell.server.client(client_name="monitor").monitor() as monitor:
        cell.client.notify("robot.update", joints_l=[1])
        while not any("robot:state:ook" in " ".join(t) for t in transactions):
            command = monitor.next_command()["command"]
            if command == "MULTI":
                inside = []
            elif command == "EXEC":
                transactions.append(inside)
            elif inside is not None:
                inside.append(command)
    names = [c.split(" ")[:2] for c in transactions[-1]]
    assert ["HSET", KEY] in names and ["PUBLISH", "robot:events"] in names


def test_no_samples_if_not_asked_for(cell):
    cell.client.call("robot.update", joints_l=[1], ack="stored")
    assert not cell.redis.exists("stream:robot_telemetry:ook")


def test_samples_of_the_joints(redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), settings={"robot.telemetry_interval": "50ms"})
    client, redis = steady(agent), redis_server.client()
    client.call("robot.update", '{"joints_l":[1.10,2],"velocities_r":[-0.0],'
                f'"timestamp":"{MOMENT}","ack":"stored"}}')
    (_, fields), = redis.xrange("stream:robot_telemetry:ook")
    assert list(fields.items()) == [
        ("node_id", "ook"), ("timestamp", MOMENT), ("joints_l", "[1.10,2]"),
        ("joints_r", "null"), ("velocities_l", "null"), ("velocities_r", "[-0.0]"),
    ]

    def five_samples():
        client.call("robot.update", joints_l=[1], ack="stored")
        return redis.xlen("stream:robot_telemetry:ook") >= 6

    wait_until(five_samples)
    moments = [datetime.fromisoformat(f["timestamp"])
               for _, f in redis.xrange("stream:robot_telemetry:ook")][1:]
    assert all((b - a).total_seconds() > 0.045 for a, b in zip(moments, moments[1:]))


def test_a_restarted_agent_goes_on_from_what_redis_has(cell, make_agent, steady):
    cell.client.call("robot.update", joints_l=[1.10], is_connected_l=True, ack="stored")
    cell.agent.stop()
    client = steady(make_agent(cell.server.url()))
    client.call("robot.update", current_pose="ready", ack="stored")
    now = state(cell.redis)
    assert now["joints_l"] == [1.10] and now["is_connected_l"] is True
    assert now["current_pose"] == "ready"


def test_what_was_said_before_redis_came_is_merged_onto_what_it_has(make_redis, make_agent,
                                                                    connect):
    server = make_redis(appendonly="yes", appendfsync="always")
    old = json.dumps({"joints_l": [7], "current_pose": "sleep", "goal_time_slow": "no number"})
    server.client().hset(KEY, mapping={"state": old, "last_updated": MOMENT})
    server.kill()
    client = connect(make_agent(server.url()))
    client.call("robot.update", current_pose="ready")
    server.start()

    def merged():
        now = state(server.client())
        return now["current_pose"] == "ready" and now["joints_l"] == [7] and now

    now = wait_until(merged, what="both", ignoring=(KeyError, TypeError))
    assert now["goal_time_slow"] == 2.0 and now["node_id"] == "ook"


@pytest.mark.parametrize("by_will", [False, True], ids=["said", "a will"])
def test_a_last_state_that_redis_never_got_survives_a_clean_restart(make_redis, make_agent, connect,
                                                                    tmp_path, by_will):
    """The robot has gone, and Redis would show it as connected until the robot comes back."""
    server = make_redis(appendonly="yes", appendfsync="always")
    settings = {"socket.path": str(tmp_path / "a.sock")}
    agent = make_agent(server.url(), settings=settings)
    client = connect(agent)
    client.call("robot.update", is_connected_l=True, joints_l=[1.10], ack="stored", timeout_ms=9000)
    server.kill()
    away = {"is_connected_l": False, "current_pose": "sleep"}
    if by_will:
        client.call("client.hello", will=[{"method": "robot.update", "params": away}])
        client.close()
        wait_until(lambda: agent.logged("last will"))
    else:
        client.call("robot.update", away)
    agent.stop()
    agent = make_agent(server.url(), settings=settings)
    client = connect(agent)
    server.start()
    wait_until(lambda: state(server.client())["is_connected_l"] is False)
    now = state(server.client())
    assert (now["current_pose"], now["joints_l"]) == ("sleep", [1.10])
    client.call("robot.update", current_pose="ready", ack="stored", timeout_ms=9000)
    assert state(server.client())["is_connected_l"] is False
    agent.stop()
    assert not (tmp_path / "a.sock.robot").exists()


def test_what_redis_has_later_wins_over_a_noted_state(redis_server, make_agent, steady, tmp_path):
    later = {"timestamp": "2026-11-20T14:03:08", "node_id": "ook", "is_connected_l": True}
    noted = {"timestamp": "2026-11-20T14:03:07", "node_id": "ook", "current_pose": "sleep"}
    (tmp_path / "a.sock.robot").write_text(json.dumps(noted))
    redis_server.client().hset(KEY, "state", json.dumps(later))
    client = steady(make_agent(redis_server.url(), settings={"socket.path": str(tmp_path / "a.sock")}))
    client.call("robot.update", joints_l=[2], ack="stored")
    now = state(redis_server.client())
    assert (now["is_connected_l"], now["joints_l"]) == (True, [2])


@pytest.mark.parametrize("rubbish", ["no JSON", "[1]", '{"joints_l":{},"is_connected_l":1}'])
def test_rubbish_in_redis_is_not_gone_on_from(redis_server, make_agent, steady, rubbish):
    redis_server.client().hset(KEY, "state", rubbish)
    client = steady(make_agent(redis_server.url()))
    client.call("robot.update", {"timestamp": MOMENT}, ack="stored")
    assert redis_server.client().hget(KEY, "state").endswith(DEFAULTS)


def test_the_state_is_back_when_redis_came_back_empty(cell):
    cell.client.call("robot.update", joints_l=[1], ack="stored")
    before = cell.redis.hgetall(KEY)
    cell.server.restart()
    wait_until(lambda: cell.server.client().hgetall(KEY) == before)


# --- errors -------------------------------------------------------------------------------------


def test_an_error_is_an_event_and_is_kept(cell, closing):
    events = closing(cell.server.subscribe("error:events:robot-l.arm_1"))
    cell.client.call("error.report", '{"category":"robot-l.arm_1","message":"stop \\"now\\"",'
                     '"details": {"joint" : 3, "limit":1.10 },"ack":"stored"}')
    event = events.wait_for("error")
    instance = cell.client.call("agent.stats")["instance_id"]
    assert TIMESTAMP.fullmatch(event["timestamp"])
    assert list(event.items()) == [
        ("type", "error"), ("node_id", "ook"), ("timestamp", event["timestamp"]),
        ("category", "robot-l.arm_1"), ("message", 'stop "now"'),
        ("details", {"joint": 3, "limit": 1.10}), ("instance_id", instance),
    ]
    text = events.raw[-1][2]
    assert '"details":{"joint":3,"limit":1.10}' in text
    kept = [f for _, f in cell.redis.xrange("stream:node_events:ook")
            if f["channel"].startswith("error:")]
    assert kept == [{"channel": "error:events:robot-l.arm_1", "event": text}]
    assert list(kept[0]) == ["channel", "event"]


def test_details_are_an_empty_object_if_left_out(cell, closing):
    events = closing(cell.server.subscribe("error:events:x"))
    cell.client.call("error.report", category="x", message="")
    assert events.wait_for("error")["details"] == {}
