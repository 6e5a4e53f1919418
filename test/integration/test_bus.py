"""bus.publish: messages between the instances of the cell's programs (PROTOCOL.md 3.4.5)."""

import glob
import json
import time

import pytest

from support.agent import environment
from support.ctl import AWAY, OK, REFUSED, TIMEOUT, USAGE, Following, find_ctl, run
from support.rpc import Refused
from support.waiting import wait_until

BROADCAST = "cv:system:broadcast"
STOP = {"action": "emergency_stop", "admin": "ann", "message": "smoke"}


def stop(client, **more):
    return client.call("bus.publish", type="system_broadcast", data=STOP, **more)


@pytest.fixture
def two(redis_server, make_agent, steady):
    """Two agents of a cell, a client of each; both have the clock of Redis."""
    return [steady(make_agent(redis_server.url(), node=node)) for node in ("ook", "hog")]


@pytest.fixture
def ctl(tmp_path):
    def run_ctl(agent, *args, **options):
        env = environment(tmp_path / "ctl-sanitizer", USER="ann", SUDO_USER="")
        return run(find_ctl(), ["--socket", agent.socket_path, *args], env, **options)

    return run_ctl


def test_the_envelope_goes_to_other_nodes_and_comes_once(redis_server, two, closing):
    ook, hog = two
    raw = closing(redis_server.subscribe("cv:parameter:update"))
    for client in two:
        client.call("event.subscribe", channels=["cv:parameter:update"], patterns=["cv:*"])
    before = time.time_ns() // 1_000_000
    answer = ook.call("bus.publish", '{"type":"parameter_update","ack":"stored","data":{"user":"ann",'
                      '"value":-12.0,"variable":"gain"}}')
    after = time.time_ns() // 1_000_000
    assert answer["subscribers"] == 5
    mine, theirs = ook.next_event(), hog.next_event()
    instance = ook.call("client.hello")["instance_id"]
    wait_until(lambda: raw.raw)
    assert raw.raw[0][2] == (
        '{"timestamp":%d,"type":"parameter_update","data":{"variable":"gain","value":-12,"user":"ann",'
        '"source_instance":"%s"}}' % (mine["event"]["timestamp"], instance))
    assert before - 50 <= mine["event"]["timestamp"] <= after + 50
    assert mine == {"channel": "cv:parameter:update", "event": json.loads(raw.raw[0][2])}
    assert theirs == {**mine, "remote": True}
    redis_server.client().publish("cv:x", "1")  # behind it no echo can be on its way any more
    for client in two:
        assert client.next_event("cv:x")["event"] == 1 and client.events() == []


def test_what_a_foreign_program_sends_in_its_name_is_dropped(cell):
    cell.client.call("event.subscribe", channels=[BROADCAST])
    instance = cell.client.call("client.hello")["instance_id"]
    for data in ({"source_instance": instance}, {"source_instance": "bot-001"}, {}):
        cell.redis.publish(BROADCAST, json.dumps({"timestamp": 1, "type": "x", "data": data}))
    heard = [cell.client.next_event() for _ in range(2)]
    assert [e["event"]["data"] for e in heard] == [{"source_instance": "bot-001"}, {}]
    assert all(e["remote"] for e in heard)
    assert cell.client.call("agent.stats")["subscriptions"]["echoes_dropped"] == 1


def test_agents_of_one_name_hear_each_other(redis_server, make_agent, steady):
    """Unconfigured instances are different ones, even of one node."""
    one, other = (steady(make_agent(redis_server.url())) for _ in range(2))
    other.call("event.subscribe", channels=[BROADCAST])
    stop(one)
    assert other.next_event(BROADCAST)["remote"] is True


def test_a_configured_instance(redis_server, make_agent, steady):
    one, other = (steady(make_agent(redis_server.url(), node=node, settings={"bus.instance": name}))
                  for node, name in (("ook", "bot-001"), ("hog", "bot-002")))
    other.call("event.subscribe", channels=[BROADCAST])
    stop(one)
    assert other.next_event(BROADCAST)["event"]["data"]["source_instance"] == "bot-001"


# --- emergency stops ----------------------------------------------------------------------------


def test_a_stop_is_heard_here_at_once_with_redis_down(lonely, connect):
    listener = connect(lonely.agent)
    listener.call("event.subscribe", channels=[BROADCAST])
    stop(lonely.client)
    heard = listener.next_event(timeout=1)
    assert heard["event"]["data"]["action"] == "emergency_stop" and "remote" not in heard


def test_a_stop_that_waited_too_long_is_dropped_and_that_is_told(lonely, closing):
    lonely.client.call("client.hello", errors=True)
    stop(lonely.client, max_age_ms=200)
    waits = lonely.client.request("bus.publish", {
        "type": "system_broadcast", "data": STOP, "max_age_ms": 200, "ack": "stored", "timeout_ms": 30000})
    lonely.client.call("bus.publish", type="x", channel="cv:x", data={}, max_age_ms=60000)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.25)  # its max_age is over
    lonely.server.start()
    heard = closing(lonely.server.subscribe(patterns=["cv:*"]))
    assert refused_answer(lonely.client, waits) == "dropped"
    told = lonely.client.next_message("client.error")
    assert told["error"]["data"] == {"name": "dropped", "count": 2}
    stop(lonely.client, ack="stored")
    wait_until(lambda: any(c == BROADCAST for _, c, _ in heard.raw))
    assert [json.loads(text)["data"].get("action") for _, c, text in heard.raw
            if c == BROADCAST] == ["emergency_stop"]
    assert lonely.server.client().xlen(f"stream:events:ook:{BROADCAST}") == 0


def refused_answer(client, request):
    try:
        client.answer(request)
    except Refused as error:
        return error.name
    return None


def test_a_stop_that_lay_in_a_frozen_redis_is_not_handed_on(redis_server, two, closing):
    """It was sent in time: the receiver has to see that it is late."""
    ook, hog = two
    raw = closing(redis_server.subscribe(BROADCAST))
    hog.call("event.subscribe", channels=[BROADCAST])
    redis_server.pause()
    stop(ook, max_age_ms=100)
    sent = time.monotonic()
    wait_until(lambda: time.monotonic() - sent > 0.3)
    redis_server.resume()
    wait_until(lambda: raw.raw)  # Redis has published it
    wait_until(lambda: hog.call("agent.stats")["subscriptions"]["too_late"] == 1)
    gap = hog.next_message("event.gap")
    assert gap["from"] < gap["to"] and hog.events() == []
    stop(ook)
    assert hog.next_event(BROADCAST)["event"]["data"]["max_age_ms"] == 5000


@pytest.mark.real_processor("libfaketime is for the programs of this one")
def test_wrong_wall_clocks_stop_no_stop(redis_server, make_agent, steady, plain_program):
    """One computer's clock is a day behind: the time is Redis' on both."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        pytest.skip("needs the Debian package faketime")
    env = {"LD_PRELOAD": libraries[0], "FAKETIME": "-1d", "FAKETIME_DONT_FAKE_MONOTONIC": 1}
    ook = steady(make_agent(redis_server.url(), env=env, program=plain_program))
    hog = steady(make_agent(redis_server.url(), node="hog"))
    for sender, receiver in ((ook, hog), (hog, ook)):
        receiver.call("event.subscribe", channels=[BROADCAST])
        stop(sender)
        heard = receiver.next_event(BROADCAST)["event"]
        assert abs(heard["timestamp"] - time.time() * 1000) < 1000
        receiver.call("event.unsubscribe")


@pytest.mark.real_processor("a library is made for the programs of this one")
@pytest.mark.parametrize("shift", [3600, -3600])
def test_a_stop_is_obeyed_while_redis_clock_is_set(make_redis, make_agent, steady, shifted, shift):
    """First neither agent has noticed, then one, then both."""
    before_redis, clock = shifted("redis")
    server = make_redis(program=(*before_redis, "redis-server"))
    ook, hog = (steady(make_agent(server.url(), node=node)) for node in ("ook", "hog"))
    for client in (ook, hog):
        client.call("event.subscribe", channels=[BROADCAST])

    def has_noticed(node):
        beat = server.beat(node)  # none: to Redis it has expired
        return beat and abs(beat.health.get("clock_offset_ms", 0)) > 1_000_000

    def both_stop():
        for sender, receiver in ((ook, hog), (hog, ook)):
            stop(sender)
            sender.next_event(BROADCAST)
            assert receiver.next_event(BROADCAST)["remote"]

    both_stop()
    clock.write_text(str(shift))
    wait_until(lambda: both_stop() or (has_noticed("ook") and has_noticed("hog")), 20)
    both_stop()
    for client in (ook, hog):
        assert client.call("agent.stats")["subscriptions"]["too_late"] == 0


# --- nodebeatctl bus ----------------------------------------------------------------------------


def test_ctl_stops_clears_and_sends(cell, ctl):
    cell.client.call("event.subscribe", patterns=["cv:*"])
    done = ctl(cell.agent, "bus", "stop", "smoke", "--max-age", "2s")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "1 subscriber in Redis\n", "")
    data = cell.client.next_event()["event"]["data"]
    assert data.pop("source_instance").startswith("ook-")
    assert data == {"action": "emergency_stop", "admin": "ann", "message": "smoke", "max_age_ms": 2000}
    assert ctl(cell.agent, "bus", "clear", "--admin", "bob", "--json").stdout == '{"subscribers":1}\n'
    data = cell.client.next_event()["event"]["data"]
    assert (data["action"], data["admin"], "message" in data) == ("clear_all", "bob", False)
    done = ctl(cell.agent, "bus", "send", "parameter_update", '{"variable":"v", "value":1, "user":"u"}')
    assert (done.returncode, done.stdout) == (OK, "1 subscriber in Redis\n")
    assert cell.client.next_event("cv:parameter:update")["event"]["data"]["value"] == 1
    done = ctl(cell.agent, "bus", "send", "x", "{}", "--channel", "cv:x", "--no-record")
    assert (done.returncode, done.stdout) == (OK, "1 subscriber in Redis\n")


def test_ctl_says_what_is_wrong(cell, ctl):
    for args, code, words in (
        (("stop", "--max-age", "soon"), USAGE, "--max-age: 'soon' is no duration"),
        (("send", "x", "{"), USAGE, "'{' is not JSON"),
        (("send", "x", "{}"), REFUSED, "needed for any other type than the known ones"),
        (("send", "admin_command", "{}"), REFUSED, "data.command: "),
        (("shout",), USAGE, "there is no command 'shout'; there are stop, clear, send, watch"),
        ((), USAGE, "A subcommand is required"),
    ):
        done = ctl(cell.agent, "bus", *args)
        assert done.returncode == code and words in done.stderr, done.stderr
    cell.agent.stop()
    assert ctl(cell.agent, "bus", "stop").returncode == AWAY


def test_ctl_tells_that_only_this_computer_stops(lonely, ctl):
    lonely.client.call("event.subscribe", channels=[BROADCAST])
    done = ctl(lonely.agent, "bus", "stop", "--timeout", "300ms")
    assert done.returncode == TIMEOUT
    assert "the programs on this computer were told to stop, but Redis has not confirmed it" in done.stderr
    assert lonely.client.next_event()["event"]["data"]["action"] == "emergency_stop"


def test_ctl_watches_the_bus(cell, tmp_path, closing):
    watch = closing(Following(find_ctl(), ["--socket", str(cell.agent.socket_path), "bus", "watch"],
                              environment(tmp_path / "ctl-sanitizer")))
    wait_until(lambda: cell.redis.pubsub_numpat())
    cell.redis.publish("cv:admin:command",
                       '{"timestamp":0,"type":"admin_command","data":{"command":"c d","admin":"a"}}')
    line = watch.wait_for("admin_command")
    assert line.endswith('cv:admin:command        remote  admin_command command="c d" admin=a')
    assert ":00:00.000  " in line or ":30:00.000  " in line
