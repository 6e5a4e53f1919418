"""The local socket: its limits, and what is left of clients that die."""

import json
import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from support.rpc import Client, Closed, Refused, refused
from support.waiting import wait_until


def descriptors(place):
    """How many the agent has open, once those are open that it keeps."""
    wait_until(lambda: place.client.call("health.get")["health"])
    # A try to reach Redis has one more.
    return len(place.agent.descriptors()) + 1


# --- limits -------------------------------------------------------------------------------------


def test_the_hello_tells_the_limits(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={
        "socket.max_line": "8KiB", "socket.max_output": "128KiB"})
    client = connect(agent)
    hello = client.call("client.hello", name="x")
    assert list(hello) == ["protocol", "client_id", "node_id", "instance_id", "agent_version",
                           "rights", "limits"]
    assert hello["protocol"] == 1 and hello["node_id"] == "ook"
    assert hello["limits"] == {
        "line_bytes": 8192, "max_line_bytes": 65536, "output_bytes": 131072, "batch_calls": 256,
        "waiting_calls": 256, "subscriptions": 64, "pattern_cost": 1024, "will_calls": 8,
        "value_bytes": 65209, "slot_bytes": 4194304, "client_slot_bytes": 1048576,
        "event_bytes": 1048576,
        "urgent_bytes": 524288, "client_event_bytes": 524288, "clients": 64,
        "clients_per_user": 48, "calls_per_second": 5000000, "events_per_second": 5000000}
    assert hello["rights"] == ["read", "robot", "state", "event", "session"]
    assert client.call("client.hello", max_line_bytes=100_000)["limits"]["max_line_bytes"] == 100_000
    assert client.call("client.hello", name="y")["limits"]["max_line_bytes"] == 100_000
    for wrong in (65535, 1048577):
        assert refused(client, "client.hello", max_line_bytes=wrong).field == "max_line_bytes"
    assert connect(agent).call("client.hello")["client_id"] != hello["client_id"]


def test_a_line_of_the_longest_length(lonely):
    line = '{"jsonrpc":"2.0","method":"client.goodbye","id":1}'
    lonely.client.send_line(line + " " * (65536 - len(line)))
    assert lonely.client.answer(1) == {}


@pytest.mark.parametrize("length", [65537, 1 << 20])
def test_a_line_that_is_too_long_costs_that_line_only(lonely, length):
    client = lonely.client
    for end in (b"\n", b""):  # told before it is ended, too
        client.send(b" " * length + end)
        answer = client.next_anonymous()
        assert answer["id"] is None and answer["error"]["code"] == -32000
        assert answer["error"]["data"] == {"name": "too_large", "limit_bytes": 65536}
    client.send(b"the rest of it\n")
    assert client.call("client.hello")
    assert client.anonymous == []


def test_a_line_limit_below_the_usual_one_costs_no_connection(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.max_line": "4KiB"})
    client = connect(agent)
    client.call("client.hello", will=[
        {"method": "error.report", "params": {"category": "dead", "message": "m"}}])
    client.notify("state.set", key="k", value="x" * 5000)
    assert client.next_anonymous()["error"]["data"] == {"name": "too_large", "limit_bytes": 4096}
    assert client.call("state.set", key="k", value="x" * 3000, ack="stored") == {}


@pytest.mark.parametrize("key", ["k", '"' * 512], ids=["short", "long"])
def test_what_can_be_set_can_be_read_back(cell, key):
    most = cell.client.call("client.hello")["limits"]["value_bytes"]
    value = "x" * (most - len(json.dumps(key)) - 2)
    cell.client.call("state.set", key=key, value=value, ack="stored")
    cell.client.send_line({"jsonrpc": "2.0", "method": "state.get", "params": {"key": key},
                           "id": '"' * 128})
    line = cell.client.read_line()
    assert json.loads(line)["result"]["value"] == value and len(line) == 65534
    error = refused(cell.client, "state.set", key=key, value=value + "x")
    assert error.name == "too_large" and error.data["limit_bytes"] == most
    assert str(most) in error.message
    error = refused(cell.client, "client.hello", will=[
        {"method": "state.set", "params": {"key": "", "value": 1}}])
    assert error.field == "will[0].params.key"


def test_the_list_of_clients_fits_its_line(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.max_clients": 400})
    clients = [connect(agent) for _ in range(300)]
    for client in clients:
        client.call("client.hello", name='"' * 64)
    clients[0].request("agent.stats")
    line = clients[0].read_line()
    assert len(line) <= 65536
    stats = json.loads(line)["result"]
    assert 0 < len(stats["clients"]) < 300
    assert len(stats["clients"]) + stats["clients_left_out"] == 300
    assert stats["socket"]["clients"] == 300


def test_half_a_line_for_too_long(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.line_timeout": "200ms"})
    patient, client = connect(agent), connect(agent)
    patient.call("client.hello")
    begin = time.monotonic()
    client.send(b'{"jsonrpc":')
    answer = client.next_anonymous()
    assert 0.15 < time.monotonic() - begin < 3
    assert answer["id"] is None and answer["error"]["code"] == -32007
    assert answer["error"]["data"] == {"name": "timeout"}
    assert patient.call("client.hello")  # silence is no half line
    client.send(b'"2.0"}\n')  # the rest of that line, and no line of its own
    assert client.call("client.hello") and client.anonymous == []


def test_a_line_that_trickles_has_the_same_time(redis_server, make_agent, connect):
    """From its first byte: each further one is no new beginning."""
    agent = make_agent(redis_server.url(), settings={"socket.line_timeout": "300ms"})
    client = connect(agent)

    def told():
        client.send(b" ")
        try:
            return client.next_anonymous(timeout=0.02)
        except AssertionError:
            return False

    begin = time.monotonic()
    client.send(b"{")
    wait_until(told, timeout=5)
    assert time.monotonic() - begin < 3


@pytest.mark.real_processor("its limit is a figure of a real one")
def test_a_multitude_of_tiny_lines_slows_nobody(lonely, connect, sanitized):
    flood = connect(lonely.agent, timeout=25)
    count = 200_000 if sanitized else 1_000_000

    def pour():
        for _ in range(count // 10_000):
            flood.send(b"{}\n" * 5_000 + b"\n" * 5_000)

    thread = threading.Thread(target=pour, daemon=True)
    reader = threading.Thread(target=drain, args=(flood.socket,), daemon=True)
    reader.start()
    thread.start()
    waits = []
    while thread.is_alive():
        begin = time.monotonic()
        lonely.client.call("state.set", key="k", value=1)
        waits.append(time.monotonic() - begin)
    waits.sort()
    # Some were answered in the middle of it, and soon: within the turns of the others.
    assert len(waits) > 2 and waits[len(waits) // 2] < (0.5 if sanitized else 0.1)
    thread.join(20)
    flood.socket.shutdown(socket.SHUT_RDWR)


def drain(sock):
    try:
        while sock.recv(1 << 20):
            pass
    except OSError:
        pass


def test_a_reader_that_never_reads_loses_events_and_lives(redis_server, make_agent, connect,
                                                          sanitized):
    """With a will, that is not carried out: a robot that reads slowly is alive."""
    agent = make_agent(redis_server.url(), settings={"socket.max_output": "128KiB"})
    deaf = connect(agent, receive_buffer=4096)
    deaf.call("event.subscribe", channels=["a"])
    deaf.call("client.hello", name="deaf", will=[
        {"method": "error.report", "params": {"category": "deaf", "message": "m"}}])
    client = connect(agent)
    client.call("event.subscribe", channels=["a"])
    slowest = 0
    rounds = 200
    for i in range(rounds):
        begin = time.monotonic()
        client.call("event.publish", channel="a", event={"i": i, "x": "y" * 8000}, record=False)
        slowest = max(slowest, time.monotonic() - begin)
    assert [e["event"]["i"] for e in client.events()] == list(range(rounds))
    assert slowest < (1.0 if sanitized else 0.3)
    stats = client.call("agent.stats")
    assert stats["socket"]["clients"] == 2 and stats["subscriptions"]["lost"] > 0
    # It is read though it does not read.
    deaf.notify("state.set", key="k", value=1)
    wait_until(lambda: value_of(client, "k") == 1)
    gap = deaf.next_message("event.gap")
    assert list(gap) == ["from", "to", "lost"] and gap["from"] <= gap["to"]
    heard = [m["params"]["event"]["i"] for m in deaf.messages if m["method"] == "event"]
    assert heard == list(range(rounds - gap["lost"]))
    client.call("event.publish", channel="a", event={"i": "next"}, record=False)
    while deaf.next_event()["event"]["i"] != "next":
        pass
    assert deaf.messages == []
    assert not agent.logged("will")


def test_a_burst_of_large_events_costs_no_subscriber_its_connection(cell, connect):
    robots = [connect(cell.agent) for _ in range(12)]
    for i, robot in enumerate(robots):
        robot.call("client.hello", name=f"robot{i}", will=[
            {"method": "error.report", "params": {"category": "dead", "message": f"{i}"}}])
        robot.call("event.subscribe", channels=["a"])
    publisher = connect(cell.agent)
    for i in range(200):
        publisher.notify("event.publish", channel="a", record=False,
                         event={"i": i, "x": "y" * 60000})
    publisher.call("client.hello")
    for robot in robots:
        robot.call("state.set", key="k", value=1)
        heard = lost = 0
        while heard + lost < 200:
            message = robot.next_message()
            heard += "event" in message
            lost += message.get("lost", 0)
        assert heard + lost == 200 and heard > 5
    assert not cell.agent.logged("will")


def test_one_that_does_not_read_its_answers_is_not_read(redis_server, make_agent, connect):
    """It holds itself up, and nobody else: no memory is spent on it, and nothing is lost."""
    agent = make_agent(redis_server.url(), settings={"socket.max_output": "128KiB"})
    other = connect(agent)
    slow = connect(agent, receive_buffer=4096)
    slow.call("state.set", key="k", value="x" * 4000)
    wait_until(lambda: slow.call("state.get", key="k"))
    count = 500

    def ask():
        for i in range(count):
            slow.send(Client.line("agent.stats", None, f"q{i}"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    wait_until(lambda: max(c["queued_bytes"] for c in other.call("agent.stats")["clients"]) > 30000)
    stats = other.call("agent.stats")
    assert max(c["queued_bytes"] for c in stats["clients"]) < 128 * 1024
    assert stats["socket"]["cut_off"] == 0
    for i in range(count):
        assert slow.answer(f"q{i}")["node_id"] == "ook"
    thread.join(5)


def test_one_that_reads_many_large_values_is_not_cut_off(cell):
    cell.redis.set("k", "x" * 50000)
    cell.client.send(b"".join(Client.line("state.get", {"key": "k"}, f"q{i}") for i in range(100)))
    for i in range(100):
        assert len(cell.client.answer(f"q{i}")["value"]) == 50000
    assert cell.client.call("agent.stats")["socket"]["cut_off"] == 0


@pytest.mark.parametrize("most", ["1MiB", "128KiB"])
def test_a_batch_of_large_values_gets_what_fits(redis_server, make_agent, steady, most):
    agent = make_agent(redis_server.url(), settings={"socket.max_output": most})
    client = steady(agent)
    redis_server.client().set("k", "x" * 50000)
    # These are all begun at once.
    client.send_line([{"jsonrpc": "2.0", "method": "state.get", "params": {"key": "k"}, "id": i}
                      for i in range(100)])
    answers = []
    while len(answers) < 100:
        answers += client.next_anonymous()
    assert {answer["id"] for answer in answers} == set(range(100))
    assert "result" in answers[0]
    for answer in answers:
        assert "result" in answer or answer["error"]["data"]["name"] == "too_large"
    assert client.call("agent.stats")["socket"]["cut_off"] == 0


def test_one_connection_too_many(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.max_clients": 3})
    clients = [connect(agent) for _ in range(3)]
    for client in clients:
        client.call("client.hello")
        client.call("event.subscribe", channels=["a"])
    late = connect(agent)
    wait_until(lambda: clients[0].call("agent.stats")["socket"]["refused"] == 1)
    # It writes before it has read a word, and is told all the same.
    for i in range(10):
        late.request("state.set", key="k", value=i)
    answer = late.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32006
    assert answer["error"]["data"] == {"name": "busy", "limit": 3}
    late.wait_closed()
    assert late.answers == {}
    clients.pop().close()
    wait_until(lambda: clients[0].call("agent.stats")["socket"]["clients"] == 2)
    assert connect(agent).call("client.hello")
    stats = clients[0].call("agent.stats")["socket"]
    assert stats["refused"] == 1 and stats["accepted"] >= 4


def test_idle_connections_lock_nobody_out(redis_server, make_agent, connect):
    """Of one user, all that there may be: the robots among them stay, the next one finds room."""
    agent = make_agent(redis_server.url(), settings={"socket.max_clients": 16})
    robot, listener = connect(agent), connect(agent)
    robot.call("client.hello", name="robot", will=[
        {"method": "error.report", "params": {"category": "dead", "message": "m"}}])
    listener.call("event.subscribe", channels=["a"])
    idle = [connect(agent) for _ in range(10)]
    idle[0].call("client.hello")
    assert robot.call("agent.stats")["socket"]["clients"] == 12

    def admitted():
        client = connect(agent)
        client.request("client.hello", name="next")
        try:
            client._take_line(time.monotonic() + 5)
        except Closed:
            return None
        return client.answers and client

    late = wait_until(admitted, timeout=20)
    assert late
    stats = robot.call("agent.stats")["socket"]
    assert stats["clients"] == 12 and stats["yielded"] == 1 and stats["refused"] >= 1
    assert listener.call("client.hello")
    answer = idle[1].next_anonymous()  # the one that said nothing for longest
    assert answer["error"]["data"]["name"] == "busy" and "idle" in answer["error"]["message"]
    idle[1].wait_closed()
    assert not agent.logged("will")


def test_a_thousand_connections(lonely, connect):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    before = descriptors(lonely)
    clients = [connect(lonely.agent) for _ in range(1000)]
    served = turned_away = 0
    for client in clients:
        try:
            client.send(Client.line("client.hello", None, 1))
        except BrokenPipeError:
            pass  # told and closed already
    for client in clients:
        answer = json.loads(client.read_line())
        served += "result" in answer
        turned_away += answer.get("error", {}).get("data", {}).get("name") == "busy"
    assert (served, turned_away) == (47, 953)  # of one user, three quarters of 64
    assert lonely.client.call("agent.stats")["socket"]["clients"] == 48
    for client in clients:
        client.close()
    wait_until(lambda: lonely.client.call("agent.stats")["socket"]["clients"] == 1)
    wait_until(lambda: len(lonely.agent.descriptors()) <= before)


def test_descriptors_used_up(redis_server, make_agent, steady, connect):
    """Those that come are told; those that are there live on; and afterwards all is well."""
    agent = make_agent(redis_server.url())
    client = steady(agent)
    used = len(agent.descriptors())
    limits = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (used + 4, limits[1]))
    clients = [connect(agent) for _ in range(12)]
    served, busy = [], 0
    for new in clients:
        try:
            new.send(Client.line("client.hello", None, 1))
        except BrokenPipeError:
            pass  # told and closed already
        answer = json.loads(new.read_line())
        if "result" in answer:
            served.append(new)
        else:
            assert answer["error"]["data"] == {"name": "busy", "limit": used + 4}
            busy += 1
    assert busy >= 8 and agent.wait_for_log("no descriptors")
    assert len(agent.logged("no descriptors")) == 1
    assert client.call("state.set", key="k", value=1, ack="stored") == {}
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, limits)
    assert connect(agent).call("client.hello")


# --- clients that die ---------------------------------------------------------------------------


def test_a_client_killed_at_every_byte_of_a_message(lonely, connect):
    """Half a message does nothing, and leaves nothing behind."""
    whole = Client.line("state.set", {"key": "k", "value": "v"}, 1)
    before = descriptors(lonely)
    for length in range(len(whole)):
        client = connect(lonely.agent)
        client.send(whole[:length])
        client.close()
    with pytest.raises(Refused) as refused:
        lonely.client.call("state.get", key="k")
    assert refused.value.name == "unavailable"
    client = connect(lonely.agent)
    client.send(whole)
    client.close()
    wait_until(lambda: value_of(lonely.client, "k") == "v")
    wait_until(lambda: len(lonely.agent.descriptors()) <= before)
    assert lonely.client.call("agent.stats")["socket"]["clients"] == 1


def value_of(client, key):
    try:
        return client.call("state.get", key=key)["value"]
    except Refused:
        return None


def test_a_message_in_single_bytes(lonely):
    for byte in Client.line("state.set", {"key": "k", "value": "ä"}, 7):
        lonely.client.send(bytes([byte]))
    assert lonely.client.answer(7) == {}


def test_what_a_client_said_before_it_went_counts(cell, connect):
    client = connect(cell.agent)
    for i in range(1000):
        client.notify("event.publish", channel="c", event={"i": i})
    client.close()
    kept = wait_until(lambda: (e := [f["event"] for _, f in cell.redis.xrange(
        "stream:events:ook:c") if f["channel"] == "c"]) and len(e) == 1000 and e)
    assert kept == [f'{{"i":{i},"node_id":"ook"}}' for i in range(1000)]


def test_clients_that_die_while_their_answers_are_on_the_way(cell, connect):
    before = descriptors(cell)
    cell.server.pause()
    try:
        for i in range(20):
            client = connect(cell.agent)
            client.request("state.set", key=f"k{i}", value=i, ack="stored")
            client.request("state.list")
            client.request("system.status")
            client.close()
    finally:
        cell.server.resume()
    wait_until(lambda: all(cell.redis.exists(f"k{i}") for i in range(20)))
    wait_until(lambda: len(cell.agent.descriptors()) <= before)
    assert cell.client.call("agent.stats")["socket"]["clients"] == 1


def anonymous_memory(agent):
    """Without the program's text: that is shared with other processes of the same program."""
    rows = Path(f"/proc/{agent.pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(row.split()[1]) for row in rows if row.startswith("Anonymous:"))


def test_nothing_is_left_of_a_hundred_clients(cell, connect, sanitized):
    def round_of_clients():
        for _ in range(100):
            client = connect(cell.agent)
            client.call("event.subscribe", channels=["a"], patterns=["b*"])
            client.call("client.hello", name="x", will=[
                {"method": "state.set", "params": {"key": "w", "value": 1}}])
            client.close()
        wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)

    round_of_clients()
    # The connection that subscribes goes when nothing is subscribed any more.
    descriptors = wait_until(lambda: len(cell.agent.descriptors()))
    memory = anonymous_memory(cell.agent)
    round_of_clients()
    wait_until(lambda: len(cell.agent.descriptors()) <= descriptors)
    # A sanitizer's allocator keeps what was freed, an emulator what it has translated.
    if not sanitized and "NODEBEAT_TEST_EMULATED" not in os.environ:
        assert anonymous_memory(cell.agent) < memory + 256 * 1024
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 0
