"""nodebeat.sessions.RedisStateManager and nodebeat.Bus (src/python)."""

import asyncio
import json
import threading

import pytest

from support import processes
from support.python_package import Loop
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.bus  # noqa: E402
from nodebeat import errors, sessions  # noqa: E402
from nodebeat.sessions import RedisStateManager, SessionState, UpdateKind  # noqa: E402


@pytest.fixture
def loop(closing):
    return closing(Loop())


@pytest.fixture
def manager(cell, loop):
    made = RedisStateManager(socket=cell.agent.socket_path, timeout=10)
    yield made
    loop.run(made.close())


def listening(cell, count):
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["local"] >= count)


# --- sessions -----------------------------------------------------------------------------------------------


def test_a_session_from_its_beginning_to_its_end(cell, loop, manager):
    made = loop.run(manager.create_session("game", {"score": 0}))
    assert made.version == 1 and made.data == {"score": 0} and made.created_at.tzinfo is not None
    assert cell.redis.pttl("session:game") > 3_500_000
    found = loop.run(manager.get_session("game"))
    assert found == made
    written = loop.run(manager.update_session("game", {**found.data, "score": 1}, expected_version=1))
    assert written.version == 2
    with pytest.raises(sessions.ConcurrencyError, match="expected to have version 1, and has version 2") as stale:
        loop.run(manager.update_session("game", found, expected_version=1))
    assert (stale.value.expected_version, stale.value.actual_version) == (1, 2)
    with pytest.raises(sessions.ConcurrencyError, match="exists") as there:
        loop.run(manager.create_session("game"))
    assert (there.value.expected_version, there.value.actual_version) == (None, 2)
    assert loop.run(manager.update_session("game", {"score": 5})).version == 3
    stored = json.loads(cell.redis.get("session:game"))
    assert list(stored) == ["session_id", "version", "created_at", "updated_at", "score"] and stored["score"] == 5
    loop.run(manager.delete_session("game"))
    for call in (manager.get_session("game"), manager.delete_session("game"), manager.update_session("game", {})):
        with pytest.raises(sessions.SessionNotFoundError) as gone:
            loop.run(call)
        assert gone.value.session_id == "game" and isinstance(gone.value, LookupError)


@pytest.mark.own_users("writes what only another program would")
def test_what_is_no_session_is_told(cell, loop, manager):
    cell.redis.set("session:odd", "no json")
    with pytest.raises(sessions.StateDeserializationError) as odd:
        loop.run(manager.get_session("odd"))
    assert odd.value.stored == "no json"


def test_redis_away_is_told(cell, loop):
    processes.pause(cell.server.process)
    try:
        impatient = RedisStateManager(socket=cell.agent.socket_path, timeout=3)
        with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)) as away:
            loop.run(impatient.get_session("x"))
        assert str(away.value)
        loop.run(impatient.close())
    finally:
        processes.resume(cell.server.process)


def test_updates_are_heard(cell, loop, manager):
    async def listen(iterator, count):
        return [await anext(iterator) for _ in range(count)]

    updates = asyncio.run_coroutine_threadsafe(listen(manager.subscribe_to_updates(), 3), loop.loop)
    listening(cell, 1)
    loop.run(manager.create_session("game", {"a": 1}))
    loop.run(manager.update_session("game", {"a": 2}))
    loop.run(manager.delete_session("game"))
    one, two, three = updates.result(20)
    assert (one.kind, one.session_id, one.state.version, one.state.data) == (UpdateKind.UPDATED, "game", 1, {"a": 1})
    assert isinstance(two.state, SessionState) and two.state.data == {"a": 2} and two.timestamp.tzinfo is not None
    assert three.kind is UpdateKind.DELETED and three.state is None


def test_what_is_broadcast_is_heard(cell, loop, manager):
    messages = asyncio.run_coroutine_threadsafe(anext(manager.subscribe_to_websocket("game")), loop.loop)
    listening(cell, 1)
    assert loop.run(manager.broadcast_to_session("game", {"say": "hello"})) >= 1
    heard = messages.result(20)
    assert heard.message == {"say": "hello"} and heard.session_id == "game" and heard.timestamp.year > 2020


# --- the bus ------------------------------------------------------------------------------------------------


@pytest.fixture
def open_bus(loop):
    """open_bus(agent): a bus that notes what it hears, as (type, data, remote), in .heard."""
    made = []

    def make(agent, **options):
        async def begin():
            bus = nodebeat.Bus(socket=agent.socket_path, timeout=10, **options)
            bus.heard = []

            @bus.on("*")
            async def note(message):
                bus.heard.append((message.type, message.data, message.remote))

            await bus.subscribe()
            made.append((bus, asyncio.create_task(bus.run())))
            return bus

        return loop.run(begin())

    yield make

    async def end():
        for bus, task in made:
            task.cancel()
            await bus.close()

    loop.run(end())


def test_messages_reach_the_other_instances_and_not_oneself(redis_server, make_agent, steady, open_bus, loop):
    here, there = make_agent(redis_server.url()), make_agent(redis_server.url(), node="eek")
    steady(here), steady(there)
    mine, beside, far = open_bus(here), open_bus(here), open_bus(there)

    async def say():
        await mine.publish_parameter_update("speed", 5, user="ann", ack="stored")
        await mine.publish_routing_change({"a": [1]}, admin="ann", ack="stored")
        await mine.publish_system_broadcast("overlay_toggle", "ann", enabled=True, message="now", ack="stored")
        await mine.publish_admin_command("restart", "ann", ack="stored")
        await mine.publish("greeting", {"text": "hello"}, channel="cv:parameter:update:x", ack="stored")
        await beside.publish_parameter_update("speed", 5, user="ann", ack="stored")

    loop.run(say())
    wait_until(lambda: len(far.heard) >= 5 and len(beside.heard) >= 4 and mine.heard)
    types = ["parameter_update", "routing_change", "system_broadcast", "admin_command"]
    assert [h[0] for h in beside.heard] == types and not any(h[2] for h in beside.heard)
    assert [h[0] for h in far.heard] == [*types, "parameter_update"] and all(h[2] for h in far.heard)
    assert far.heard[0][1]["variable"] == "speed" and far.heard[0][1]["source_instance"]
    assert far.heard[2][1]["enabled"] is True and far.heard[2][1]["message"] == "now"
    assert [h[0] for h in mine.heard] == ["parameter_update"], "the one of the program beside, and nothing of its own"
    assert not mine._said, "all of it has come back"
    # Another instance may say what this one has said as well, while that has not come back.
    mine._said = [nodebeat.bus._Said("admin_command", "cv:admin:command", {"command": "restart", "admin": "bob"}, "9")]
    loop.run(far.publish_admin_command("restart", "bob", ack="stored"))
    wait_until(lambda: mine.heard[1:] and mine.heard[1][1]["admin"] == "bob" and mine.heard[1][2])


ODD_TIMES = [1e300, -1e300, float("inf"), float("nan"), 10**400, "yesterday", None, True, [], {"$date": 1}]


def test_what_cannot_be_understood_ends_no_subscription(cell, open_bus, loop, manager, caplog):
    """Odd times above all, which programs in other languages may send."""
    bus = open_bus(cell.agent)

    async def listen(iterator):
        return await anext(iterator)

    update = asyncio.run_coroutine_threadsafe(listen(manager.subscribe_to_updates()), loop.loop)
    message = asyncio.run_coroutine_threadsafe(listen(manager.subscribe_to_websocket("game")), loop.loop)
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    listening(cell, 6)
    rubbish = ["no json", "5", "[]", "null", '{"type":5,"data":{},"timestamp":1}', '{"type":"x","timestamp":1}']
    rubbish += [json.dumps({"timestamp": t, "type": "parameter_update", "data": {}}) for t in ODD_TIMES]
    for text in rubbish:
        cell.redis.publish("cv:parameter:update", text)
    updates = [json.dumps({"sessionId": "game", "deleted": True, "timestamp": t}) for t in ODD_TIMES]
    updates += [json.dumps({"sessionId": "game", "timestamp": 1, "state": state})
                for state in ("{", "[]", "[" * 100_000, json.dumps({"version": float("inf")}), 5)]
    for text in updates:
        cell.redis.publish("session-updates", text)
    for t in ODD_TIMES:
        cell.redis.publish("ws:game", json.dumps({"sessionId": "game", "message": 1, "timestamp": t}))
    cell.redis.publish("ws:game", '{"timestamp":1}')
    good = {"timestamp": 1, "type": "parameter_update", "data": {"variable": "x", "value": 1, "user": "bob"}}
    cell.redis.publish("cv:parameter:update", json.dumps(good))
    loop.run(manager.create_session("game", {"a": 1}))
    loop.run(manager.broadcast_to_session("game", "hello"))
    wait_until(lambda: bus.heard == [("parameter_update", good["data"], True)])
    assert update.result(20).state.data == {"a": 1} and message.result(20).message == "hello"
    assert bus.malformed == len(rubbish) and manager.malformed == len(updates) + len(ODD_TIMES) + 1
    told = [r.getMessage() for r in caplog.records if "cannot be understood" in r.getMessage()]
    assert len(told) == 5 + 5 and any("cv:parameter:update" in t and "no time" in t for t in told), "ever more rarely"


def test_what_is_own_is_told_by_type_channel_and_all_of_the_data(cell, open_bus, loop):
    bus, other = open_bus(cell.agent, channels=("cv:a", "cv:b")), open_bus(cell.agent, channels=("cv:a", "cv:b"))
    loop.run(bus.publish("t", {"pair": (1, 2), "deep": {"x": (3,)}}, channel="cv:a"))
    wait_until(lambda: other.heard and not bus._said)
    # Until it has come back, messages that are nearly the same are no echoes.
    bus._said = [nodebeat.bus._Said("t", "cv:a", {"n": 1}, "9")]
    for data, channel in (({"n": 1}, "cv:b"), ({"n": 1, "more": 2}, "cv:a"), ({"n": 1}, "cv:a"), ({}, "cv:a"), ({"n": 1}, "cv:a")):
        loop.run(other.publish("t", data, channel=channel))
    wait_until(lambda: len(bus.heard) == 4)
    without = [({k: v for k, v in h[1].items() if k != "source_instance"}) for h in bus.heard]
    assert without == [{"n": 1}, {"n": 1, "more": 2}, {}, {"n": 1}], "of two that are the same the first one"


def test_a_message_of_the_type_missed_is_a_message(cell, open_bus, loop):
    bus, other, missed = open_bus(cell.agent, channels=("cv:a",)), open_bus(cell.agent), []
    bus.on_missed(missed.append)
    loop.run(other.publish("missed", {"n": 1}, channel="cv:a"))
    wait_until(lambda: bus.heard)
    assert bus.heard[0][0] == "missed" and not missed


def test_a_gap_of_redis_forgets_nothing_that_was_said_here():
    bus = nodebeat.Bus(socket="/none")
    said = [nodebeat.bus._Said("t", "cv:a", {}, f"2026-01-01T00:00:0{i}.000000") for i in range(4)]
    for gap, left in ((nodebeat.Gap("2026-01-01", "2027"), said), (nodebeat.Gap(lost=1, to=said[1].time), said[2:]),
                      (nodebeat.Gap(reconnected=True, to=said[2].time), said[3:])):
        bus._said = list(said)
        bus._forget_what_is_missed(gap)
        assert bus._said == left


def test_a_message_that_local_programs_have_heard_is_own_although_it_failed(cell, open_bus, loop):
    """The answer that it is not stored comes while the message itself still waits to be handled."""
    bus, other = open_bus(cell.agent), open_bus(cell.agent)
    busy = threading.Event()
    go_on = loop.run(asyncio.sleep(0, asyncio.Event()))

    @bus.on("routing_change")
    async def hold(message):
        busy.set()
        await go_on.wait()

    async def fail(*args, **kwargs):
        await type(bus._client).bus_publish(bus._client, *args, **kwargs)
        raise errors.NotStored(-32005, "not in time", {"name": "not_stored"})

    loop.run(other.publish_routing_change({}, "a"))
    assert busy.wait(10)
    bus._client.bus_publish = fail
    with pytest.raises(errors.NotStored):
        loop.run(bus.publish_admin_command("mine", "a"))
    del bus._client.bus_publish
    loop.run(other.publish_admin_command("other", "a"))
    loop.loop.call_soon_threadsafe(go_on.set)
    wait_until(lambda: len(bus.heard) == 2)
    assert bus.heard[1][1]["command"] == "other" and not bus._said


def test_handlers_by_decorator(cell, open_bus, loop):
    bus, other = open_bus(cell.agent), open_bus(cell.agent)
    stops, commands = [], []

    @bus.on("system_broadcast")
    def stop(message):
        stops.append(message)
        raise ArithmeticError("a handler that fails ends nothing")

    @bus.on("admin_command")
    async def command(message):
        commands.append(message.data["command"])

    loop.run(other.publish_system_broadcast("emergency_stop", "ann", message="smoke"))
    loop.run(other.publish_admin_command("restart", "ann", enabled=False))
    wait_until(lambda: commands == ["restart"])
    assert stops[0].data["action"] == "emergency_stop" and not stops[0].remote and stops[0].timestamp.year > 2020
    assert stops[0].channel == "cv:system:broadcast" and stops[0].source_instance
    with pytest.raises(errors.InvalidParams):
        loop.run(bus.publish_parameter_update("speed", 1.5, user="ann"))
    assert not bus._said, "what was refused does not come back"


def test_the_bus_works_alone_while_redis_is_away(lonely, open_bus, loop):
    one, other = open_bus(lonely.agent), open_bus(lonely.agent)
    loop.run(one.publish_system_broadcast("emergency_stop", "ann"))
    wait_until(lambda: [h[1]["action"] for h in other.heard] == ["emergency_stop"])
    assert not one.heard


def test_what_another_program_sends_is_handed_on(cell, make_agent, open_bus, loop):
    bus, missed = open_bus(cell.agent), []
    bus.on_missed(missed.append)
    old = {"timestamp": 1, "type": "parameter_update", "data": {"variable": "x", "value": 1, "user": "bob"}}
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["remote_state"] == "steady")
    for text in (json.dumps(old), "no json", '{"type":5,"data":{}}', '{"type":"x"}'):
        cell.redis.publish("cv:parameter:update", text)
    loop.run(bus.publish_admin_command("end", "x"))
    wait_until(lambda: bus.heard)
    assert bus.heard == [("parameter_update", old["data"], True)] and bus.malformed == 3
    cell.agent.kill()
    make_agent(cell.server.url(), settings={"socket.path": cell.agent.socket_path})
    wait_until(lambda: missed and missed[0].reconnected)
