"""nodebeat.tatbot.StateManager (src/python): the interface of existing programs, over the agent."""

import asyncio
import inspect
import json
import resource
from datetime import datetime

import pytest

from support import processes, python_package
from support.fake_agent import HEALTH, STATS, STATUS, FakeAgent, Refusal
from support.python_package import Loop
from support.waiting import wait_until

from nodebeat import errors  # noqa: E402
from nodebeat.protocol import utc_now  # noqa: E402
from nodebeat.tatbot import NodeHealth, RobotState, StateManager, StrokeProgress  # noqa: E402


@pytest.fixture
def loop(closing):
    return closing(Loop())


@pytest.fixture
def open_manager(loop):
    """open_manager(agent or path, **options): a connected StateManager, patient; disconnected after the test."""
    made = []

    def make(agent, node_id="ook", **options):
        manager = StateManager(node_id=node_id, socket=getattr(agent, "socket_path", agent), **{"timeout": 10, **options})
        made.append(manager)
        loop.run(manager.connect())
        return manager

    yield make
    for manager in made:
        loop.run(manager.disconnect())


def progress_of(cell, session):
    return json.loads(cell.redis.hget(f"stroke:progress:{session}", "progress") or "{}")


# --- the models -------------------------------------------------------------------------------------------


def test_the_models_are_what_stands_in_redis(cell, loop, open_manager):
    manager = open_manager(cell.agent, answer_s=10)
    session = loop.run(manager.start_stroke_session(total_strokes=3, stroke_length=40))
    loop.run(manager.update_robot_state(RobotState(node_id="ook", joints_l=[0.5])))
    for kind, key, field in ((RobotState, "robot:state:ook", "state"), (NodeHealth, "node:health:ook", "health"),
                             (StrokeProgress, f"stroke:progress:{session}", "progress")):
        text = wait_until(lambda: cell.redis.hget(key, field))
        ours = kind.model_validate_json(text)
        dumped, stored = ours.model_dump(mode="json"), json.loads(text)
        assert list(dumped) == [k for k in stored if k in dumped], "the same members in the same order"
        assert all(stored[k] == v for k, v in dumped.items())
        assert kind.model_validate_json(ours.model_dump_json()) == ours
    # Nothing else is set here: these are the defaults that the agent writes, too.
    defaults = RobotState(node_id="ook", joints_l=[0.5], timestamp=json.loads(text)["timestamp"]).model_dump()
    stored = json.loads(cell.redis.hget("robot:state:ook", "state"))
    assert all(stored[k] == v for k, v in defaults.items() if k not in ("timestamp",))


def test_the_models_check_their_types():
    state = RobotState(node_id="ook", timestamp="2026-11-20T14:03:07.123456+01:00", goal_time_slow=3)
    assert state.timestamp == datetime(2026, 11, 20, 13, 3, 7, 123456)
    assert '"timestamp":"2026-11-20T13:03:07.123456","node_id":"ook","is_connected_l":false' in state.model_dump_json()
    assert RobotState(node_id="x", timestamp=datetime(2026, 1, 1)).model_dump_json().count(".000000") == 1
    for wrong in ({}, {"node_id": 5}, {"node_id": "x", "joints_l": [None]}, {"node_id": "x", "goal_time_slow": "2"},
                  {"node_id": "x", "is_connected_l": 1}, {"node_id": "x", "joints_l": [float("nan")]}, [],
                  {"node_id": "x", "goal_time_slow": 10**400}, {"node_id": "x", "timestamp": "0001-01-01T00:00:00+14:00"},
                  {"node_id": "x", "timestamp": "yesterday"}, {"node_id": "x", "joints_l": {"a": 1}}):
        with pytest.raises(ValueError):
            RobotState.model_validate(wrong)
    assert StrokeProgress.model_validate({"node_id": "x", "stroke_idx": 2.0, "unknown": 1}).stroke_idx == 2
    for wrong in (1.5, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ValueError):
            StrokeProgress(node_id="x", stroke_idx=wrong)
    with pytest.raises(ValueError):
        RobotState.model_validate_json("no json")


def test_the_models_have_the_fields_and_defaults_of_existing_programs():
    """The order is that of the JSON, and nothing but the node has to be said."""
    now = datetime(2026, 11, 20, 14, 3, 7, 1)
    wanted = {
        RobotState: {
            "is_connected_l": False, "is_connected_r": False, "joints_l": None, "joints_r": None, "velocities_l": None,
            "velocities_r": None, "current_pose": "unknown", "goal_time_slow": 2.0, "goal_time_fast": 0.5},
        StrokeProgress: {
            "stroke_idx": 0, "pose_idx": 0, "total_strokes": 0, "stroke_length": 0, "offset_idx_l": 0, "offset_idx_r": 0,
            "stroke_description_l": "", "stroke_description_r": "", "is_executing": False, "is_paused": False,
            "scene_name": "default", "dataset_name": None},
        NodeHealth: {
            "cpu_percent": 0.0, "memory_percent": 0.0, "disk_percent": 0.0, "gpu_available": False, "gpu_percent": None,
            "gpu_memory_percent": None, "is_reachable": True, "ping_latency_ms": None, "mcp_server_running": False,
            "mcp_port": None, "last_heartbeat": now},
    }
    for kind, defaults in wanted.items():
        more = {"last_heartbeat": now} if kind is NodeHealth else {}
        made = kind(node_id="ook", timestamp=now, **more)
        assert list(made.model_dump().items()) == list({"timestamp": now, "node_id": "ook", **defaults}.items())
        at = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in made.model_dump().items()}
        assert made.model_dump_json() == json.dumps(at, separators=(",", ":"))
        before, stamp, after = utc_now(), kind(node_id="ook").timestamp, utc_now()
        assert before <= stamp.isoformat(timespec="microseconds") <= after, "by default the time is now, in UTC"


def test_each_call_has_the_name_and_parameters_of_existing_programs():
    wanted = {
        "connect": "", "disconnect": "", "update_robot_state": "robot_state", "get_robot_state": "node_id=None",
        "start_stroke_session": "total_strokes, stroke_length, scene_name='default', **more",
        "update_stroke_progress": "stroke_idx=None, pose_idx=None, session_id=None, **more",
        "get_stroke_progress": "session_id=None", "end_stroke_session": "session_id=None", "update_node_health": "health",
        "get_node_health": "node_id=None", "get_all_nodes_health": "", "subscribe_events": "*channels",
        "publish_event": "channel, event_data", "report_error": "category, message, details=None", "get_system_status": "",
        "get_state": "key, node_id=None", "set_state": "key, data, ttl=None",
    }
    for name, words in wanted.items():
        made = getattr(StateManager, name)
        given = [p.replace(annotation=p.empty) for p in list(inspect.signature(made).parameters.values())[1:]]
        assert str(inspect.Signature(given)) == f"({words})", name
        assert inspect.isasyncgenfunction(made) if name == "subscribe_events" else inspect.iscoroutinefunction(made), name


# --- what a program does with it ---------------------------------------------------------------------------


def test_a_program_of_today(cell, loop):
    """As it stands in the robots' programs: only the import line is another."""

    async def program():
        heard = []
        async with StateManager(node_id="ook", socket=cell.agent.socket_path, timeout=10, answer_s=10) as state:

            async def listen():
                async for event in state.subscribe_events("stroke:events:*", "error:events:robot"):
                    heard.append(event)
                    if event["data"]["type"] == "session_end":
                        return

            listener = asyncio.create_task(listen())
            while not cell.client.call("agent.stats")["subscriptions"]["local"] >= 3:
                await asyncio.sleep(0.01)
            await state.update_robot_state(RobotState(node_id="ook", is_connected_l=True, joints_l=[0.1] * 7))
            session = await state.start_stroke_session(total_strokes=2, stroke_length=40, scene_name="portrait")
            await state.update_stroke_progress(stroke_idx=1, pose_idx=5, session_id=session, stroke_description_l="curve",
                                               is_paused=True)
            await state.report_error("robot", "worn", {"brush": 1})
            progress = await state.get_stroke_progress(session)
            assert await state.get_stroke_progress() == progress
            await state.end_stroke_session(session)
            await asyncio.wait_for(listener, 20)
            return session, progress, await state.get_robot_state(), heard

    session, progress, robot, heard = loop.run(program())
    assert session.startswith("stroke_ook_") and (progress.stroke_idx, progress.pose_idx, progress.is_paused) == (1, 5, True)
    assert progress.scene_name == "portrait" and progress.total_strokes == 2 and progress.stroke_description_l == "curve"
    assert robot.joints_l == [0.1] * 7 and robot.is_connected_l
    assert [h["data"]["type"] for h in heard] == ["session_start", "progress_update", "error", "session_end"]
    assert heard[0] == {"channel": "stroke:events:session", "data": heard[0]["data"], "pattern": "stroke:events:*"}
    assert heard[0]["data"]["session_id"] == session and heard[2]["pattern"] is None
    assert not progress_of(cell, session)["is_executing"]


def test_what_it_reads(cell, loop, open_manager):
    manager = open_manager(cell.agent)
    assert loop.run(manager.get_node_health()).node_id == "ook"
    assert loop.run(manager.get_node_health("nobody")) is None
    nodes = wait_until(lambda: loop.run(manager.get_all_nodes_health()))
    assert nodes["ook"].is_reachable and isinstance(nodes["ook"], NodeHealth)
    status = loop.run(manager.get_system_status())
    assert status["redis_connected"] and status["nodes_online"] == 1 and status["total_nodes"] == 1
    assert loop.run(manager.get_robot_state("nobody")) is None and loop.run(manager.get_stroke_progress()) is None
    assert loop.run(manager.update_node_health(NodeHealth(node_id="ook", cpu_percent=99.0)))
    assert loop.run(manager.set_state("cell:mode", {"a": [1]}, ttl=60))
    assert loop.run(manager.get_state("cell:mode")) == {"key": "cell:mode", "value": {"a": [1]}}
    wait_until(lambda: 0 < cell.redis.pttl("cell:mode") <= 60_000)
    assert loop.run(manager.get_state("cell:none")) is None
    assert loop.run(manager.get_state("node:health", "ook"))["node_id"] == "ook"
    with pytest.raises(errors.RefusedKey):
        loop.run(manager.set_state("robot:state:ook", {}))
    cell.client.call("event.subscribe", channels=["cell:news"])
    assert loop.run(manager.publish_event("cell:news", {"n": 1}))
    assert cell.client.next_event("cell:news")["event"]["n"] == 1


def test_the_node_has_to_be_the_agents(cell, loop, open_manager):
    with pytest.raises(ValueError, match="the agent of this computer is the node 'ook', not 'eek'"):
        open_manager(cell.agent, node_id="eek")
    assert open_manager(cell.agent, node_id=None).node_id == "ook"
    with pytest.raises(RuntimeError, match="not connected"):
        loop.run(StateManager().update_robot_state(RobotState(node_id="x")))


def test_the_node_is_looked_at_also_when_the_agent_comes_later(tmp_path, redis_server, make_agent, open_manager, loop, caplog):
    path = tmp_path / "later.sock"
    manager, right = open_manager(path, node_id="eek", timeout=0.1), open_manager(path, timeout=0.1)
    assert loop.run(manager.update_robot_state(RobotState(node_id="eek"))), "kept"
    make_agent(redis_server.url(), settings={"socket.path": str(path)})
    wait_until(lambda: not loop.run(manager.update_robot_state(RobotState(node_id="eek"))))
    assert any("is the node 'ook', not 'eek'" in r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    assert not loop.run(manager.end_stroke_session()) and not loop.run(manager.report_error("robot", "x"))
    assert loop.run(manager.start_stroke_session(total_strokes=1, stroke_length=1)).startswith("stroke_")
    assert loop.run(right.update_robot_state(RobotState(node_id="ook")))


def test_what_becomes_of_a_push_is_told(tmp_path, cell, loop, open_manager, caplog):
    manager = open_manager(cell.agent)
    assert loop.run(manager.publish_event("stroke:events:progress", {"type": "x"})), "it was taken"
    wait_until(lambda: any("refused 1 messages" in r.getMessage() and "stroke.update" in r.getMessage() for r in caplog.records))
    away = open_manager(tmp_path / "none.sock", timeout=0.1)
    outcomes = [loop.run(away.report_error("robot", "x" * 4000)) for _ in range(30)]
    assert outcomes[0] and not outcomes[-1]
    wait_until(lambda: any("events are lost" in r.getMessage() for r in caplog.records))


def test_what_programs_of_today_hand_over_raises_nothing(cell, loop, open_manager):
    manager = open_manager(cell.agent, answer_s=10)
    cell.client.call("event.subscribe", channels=["error:events:robot"])
    session = loop.run(manager.start_stroke_session(total_strokes=2, stroke_length=1, unknown=1, pose_idx=2.0))
    assert loop.run(manager.update_stroke_progress(stroke_idx=1.0, session_id=session, node_id="ook", extra="x"))
    wait_until(lambda: progress_of(cell, session).get("stroke_idx") == 1)
    assert loop.run(manager.report_error("robot", "ä\0" * 5000))
    assert len(cell.client.next_event("error:events:robot")["event"]["message"].encode()) in (4095, 4096)
    assert loop.run(manager.report_error("robot", ArithmeticError("an exception")))
    assert cell.client.next_event("error:events:robot")["event"]["message"] == "an exception"
    for wrong in ({"key": "", "data": 1}, {"key": "cell:x", "data": "x" * 100_000}, {"key": "cell:x", "data": 1, "ttl": 0}):
        assert not loop.run(manager.set_state(**wrong))


def test_a_cell_of_several_pages_is_told_whole_or_not_at_all(tmp_path, closing, loop, open_manager):
    def page(params):
        number = int(params.get("cursor", 0))
        if number == 2 and is_broken:
            raise Refusal(-32008, "unavailable", "Redis is away", link="waiting")
        nodes = {f"n{number}": HEALTH}
        return {**STATUS, "nodes_health": nodes, "nodes_last_seen": {f"n{number}": None}, "nodes": {f"n{number}": {"state": "up"}},
                "cursor": str(number + 1) if number < 2 else None}

    is_broken = False
    agent = closing(FakeAgent(tmp_path / "a.sock", system__status=page))
    manager = open_manager(agent.path, node_id=None)
    status = loop.run(manager.get_system_status())
    for name in ("nodes_health", "nodes_last_seen", "nodes"):
        assert list(status[name]) == ["n0", "n1", "n2"], name
    assert "cursor" not in status and list(loop.run(manager.get_all_nodes_health())) == ["n0", "n1", "n2"]
    is_broken = True
    assert loop.run(manager.get_system_status())["nodes_health"] == {} == loop.run(manager.get_all_nodes_health())


def test_the_timeout_holds_for_all_that_a_reading_call_asks(tmp_path, closing, loop, open_manager):
    """After a first question that nobody answers there is no time for a second one."""
    agent = closing(FakeAgent(tmp_path / "a.sock", robot__update={}))
    manager = open_manager(agent.path, node_id=None)
    manager._timeout = 0.05
    agent.answers |= {"client.hello": None, "agent.stats": None,
                      "system.status": lambda params: None if params else {**STATUS, "cursor": "1"}}
    assert loop.run(manager.get_robot_state()) is None
    assert not agent.called("state.get")
    assert loop.run(manager.get_stroke_progress()) is None
    assert not agent.called("state.get") and len(agent.called("agent.stats")) == 1
    assert loop.run(manager.get_system_status())["nodes_health"] == {}


PROGRAM = """
import asyncio
from nodebeat.tatbot import RobotState, StateManager

async def main():
    async with StateManager(node_id="ook") as state:
        session = await state.start_stroke_session(total_strokes=2, stroke_length=40)
        await state.update_robot_state(RobotState(node_id="ook", is_connected_l=True, joints_l=[0.1] * 7))
        await state.update_stroke_progress(stroke_idx=0, pose_idx=3, session_id=session)
        # A busy machine may need longer than the calls wait by default.
        while (robot := await state.get_robot_state()) is None or robot.joints_l is None:
            await asyncio.sleep(0.01)
        while (progress := await state.get_stroke_progress(session)) is None or progress.pose_idx == 0:
            await asyncio.sleep(0.01)
        while (health := await state.get_node_health()) is None:
            await asyncio.sleep(0.01)
        await state.end_stroke_session(session)
        print(robot.joints_l, progress.pose_idx, health.node_id)

asyncio.run(main())
"""


def test_a_program_changes_its_import_line_and_nothing_else(cell):
    """The socket is told by the environment, as in the unit of a service."""
    process = python_package.start(PROGRAM, env={"NODEBEAT_SOCKET": cell.agent.socket_path})
    assert python_package.finish(process) == f"{[0.1] * 7} 3 ook\n"


def test_a_session_that_nobody_answers_for_is_started_later(cell, loop, open_manager):
    manager = open_manager(cell.agent)
    processes.pause(cell.agent.process)
    session = loop.run(manager.start_stroke_session(total_strokes=2, stroke_length=1))
    assert session.startswith("stroke_ook_")
    loop.run(manager.update_stroke_progress(stroke_idx=1, pose_idx=3, session_id=session))
    assert not loop.run(manager.update_stroke_progress(stroke_idx=0, session_id="another"))
    assert not loop.run(manager.end_stroke_session("another"))
    processes.resume(cell.agent.process)
    progress = wait_until(lambda: loop.run(manager.get_stroke_progress(session)))
    assert progress.total_strokes == 2
    wait_until(lambda: loop.run(manager.get_stroke_progress(session)).pose_idx == 3)
    loop.run(manager.end_stroke_session(session))
    wait_until(lambda: cell.client.call("agent.stats")["stroke"]["session_id"] is None)


def test_a_session_whose_start_was_missed_is_found(tmp_path, closing, loop, open_manager):
    """The agent has come back, and has begun the session before the manager listened to events again."""
    agent = closing(FakeAgent(tmp_path / "a.sock", stroke__start={}))
    manager = open_manager(agent.path, node_id=None)
    session = loop.run(manager.start_stroke_session(total_strokes=2, stroke_length=1))
    agent.answers["agent.stats"] = {**STATS, "stroke": {"session_id": "stroke_hog_1"}}
    for name in (None, session):
        loop.run(manager.get_stroke_progress(name))
        assert agent.called("state.get")[-1] == {"key": "stroke:progress:stroke_hog_1"}


# --- the control loop ---------------------------------------------------------------------------------------


@pytest.fixture(params=["redis stopped", "redis silent", "redis gone", "agent stopped", "agent gone"])
def trouble(request, redis_server, proxy, make_agent, steady):
    """An agent, and a function that brings the trouble about."""
    way = proxy(redis_server)
    agent = make_agent(way.url())
    steady(agent)

    def bring():
        if request.param == "redis stopped":
            processes.pause(redis_server.process)
        elif request.param == "redis silent":
            way.mode = "black_hole"
        elif request.param == "redis gone":
            way.mode = "refuse"
            redis_server.kill()
        elif request.param == "agent stopped":
            processes.pause(agent.process)
        else:
            agent.kill()

    yield agent, bring
    if request.param == "redis stopped":
        processes.resume(redis_server.process)
    elif request.param == "redis silent":
        way.mode = "pass"


@pytest.mark.own_users("the proxy's port is none that they know")
def test_no_trouble_stalls_the_control_loop(trouble, open_manager, loop):
    agent, bring = trouble
    manager = open_manager(agent)

    async def control(steps):
        """Returns how often its thread has given up the processor because it waited."""
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        for i in range(steps):
            await manager.update_robot_state(RobotState(node_id="ook", joints_l=[float(i)] * 7, velocities_l=[0.5] * 7))
            await manager.update_stroke_progress(stroke_idx=i // 10, pose_idx=i % 10, session_id=session)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    session = loop.run(manager.start_stroke_session(total_strokes=3, stroke_length=40))
    loop.run(control(100))
    bring()
    # A call that waited would do so each time. Another thread of this process may have the interpreter now and then.
    assert loop.run(control(3000)) < 300
    assert loop.run(manager.report_error("robot", "trouble"))
    assert loop.run(manager.end_stroke_session(session))
    assert loop.run(manager.start_stroke_session(total_strokes=1, stroke_length=1)).startswith("stroke_ook_")


def test_without_an_agent_it_keeps_the_latest(tmp_path, redis_server, make_agent, open_manager, loop):
    path = tmp_path / "later.sock"
    manager = open_manager(path, timeout=0.2)
    for i in range(10):
        loop.run(manager.update_robot_state(RobotState(node_id="ook", joints_l=[float(i)])))
    assert loop.run(manager.get_robot_state()) is None and loop.run(manager.get_all_nodes_health()) == {}
    assert loop.run(manager.get_system_status())["redis_connected"] is False
    assert loop.run(manager.set_state("cell:x", 1)) is False
    make_agent(redis_server.url(), settings={"socket.path": str(path)})
    redis = redis_server.client()
    # Nothing more is pushed: it goes out by itself.
    wait_until(lambda: json.loads(redis.hget("robot:state:ook", "state") or "{}").get("joints_l") == [9.0])
