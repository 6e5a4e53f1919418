"""Sockets with rights: what each lets its clients do, how often, and what is there by default."""

import os
import re
import stat
import time
from pathlib import Path

import pytest

from support.rpc import Client, refused
from support.waiting import wait_until

ALL = ["read", "robot", "state", "event", "session"]
# A call for each right, that changes nothing where it is let through twice.
CALLS = {
    "read": ("state.get", {"key": "cell:none"}),
    "robot": ("robot.update", {"is_connected_l": True}),
    "state": ("state.set", {"key": "cell:a", "value": 1}),
    "event": ("event.publish", {"channel": "cell:a", "event": {}}),
    "session": ("session.touch", {"session_id": "none"}),
}


def view_of(agent):
    return str(Path(agent.socket_path).with_name("view.sock"))


@pytest.fixture
def at(closing):
    """at(path): a client of this socket, as soon as it is there."""
    return lambda path: closing(wait_until(
        lambda: Client(path), ignoring=(FileNotFoundError, ConnectionRefusedError)))


def outcome(client, method, params):
    try:
        client.call(method, params)
    except Exception as error:  # Refused, whose name matters
        return error.name
    return "done"


# --- the view, which is there by default ---------------------------------------------------------


def test_beside_the_socket_is_one_with_which_one_can_only_read(cell, at):
    viewer = at(view_of(cell.agent))
    hello = viewer.call("client.hello", name="viewer")
    assert hello["rights"] == ["read"]
    assert hello["limits"]["clients"] == 32 and hello["limits"]["clients_per_user"] == 24
    assert hello["limits"]["calls_per_second"] == 10_000
    assert cell.client.call("client.hello")["rights"] == ALL
    cell.client.call("state.set", key="cell:a", value=[1], ack="stored")
    assert viewer.call("state.get", key="cell:a")["value"] == [1]
    assert viewer.call("system.status")["redis_connected"]
    viewer.call("event.subscribe", channels=["cell:a"])
    cell.client.call("event.publish", channel="cell:a", event={"n": 1})
    assert viewer.next_event("cell:a")["event"]["n"] == 1


def test_a_refused_call_names_the_right_and_the_socket_that_gives_it(cell, at):
    viewer = at(view_of(cell.agent))
    for right, (method, params) in CALLS.items():
        if right == "read":
            continue
        error = refused(viewer, method, params)
        assert error.code == -32011 and error.name == "forbidden"
        assert error.data == {"name": "forbidden", "right": right, "socket": cell.agent.socket_path}
        assert error.message == (f"{method} needs the right '{right}', which this socket does not "
                                 f"give; the socket {cell.agent.socket_path} does")
    assert cell.redis.get("cell:a") is None
    stats = viewer.call("agent.stats")
    assert stats["calls"]["forbidden"] == 4 and stats["socket"]["clients_limit"] == 96


def test_in_a_batch_each_call_is_judged_by_itself(cell, at):
    viewer = at(view_of(cell.agent))
    lines = [Client.line(*CALLS["state"], request_id=1), Client.line("health.get", {}, 2)]
    viewer.send(b"[" + b",".join(line.strip() for line in lines) + b"]\n")
    answers = {answer["id"]: answer for answer in viewer.next_anonymous()}
    assert answers[1]["error"]["data"]["right"] == "state"
    assert answers[2]["result"]["node_id"] == "ook"


def test_refused_notifications_are_told_once_with_their_number(cell, at):
    viewer = at(view_of(cell.agent))
    viewer.call("client.hello", errors=True)
    for _ in range(20):
        viewer.notify(*CALLS["event"])
    told = [viewer.next_message("client.error")]
    while sum(t["error"]["data"]["count"] for t in told) < 20:
        told.append(viewer.next_message("client.error"))
    assert len(told) <= 2, "the first at once, the others within a second"
    assert told[0]["method"] == "event.publish"
    assert told[0]["error"]["data"]["right"] == "event"
    assert len(cell.agent.wait_for_log("notifications of client")) >= 1


def test_a_will_needs_the_right_as_well(cell, at):
    viewer = at(view_of(cell.agent))
    will = [{"method": "event.publish", "params": {"channel": "cell:a", "event": {}}}]
    error = refused(viewer, "client.hello", will=will)
    assert error.name == "forbidden" and error.data["right"] == "event"
    assert error.message.startswith("will[0].method: event.publish needs the right 'event'")
    # None was set.
    cell.client.call("event.subscribe", channels=["cell:a"])
    viewer.close()
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)
    assert cell.client.events() == []
    assert not cell.agent.logged("last will")


def test_where_its_group_is_missing_the_view_is_the_owners(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url())
    connect(agent)
    try:
        import grp
        grp.getgrnam("nodebeat-view")
        pytest.skip("the group exists here")
    except KeyError:
        pass
    path = view_of(agent)
    words = "no group 'nodebeat-view': only the agent's own user may use " + path
    assert agent.wait_for_log(words) and len(agent.logged(words)) == 1
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(agent.socket_path).st_mode) == 0o660


def test_two_agents_in_one_folder(redis_server, make_agent, connect, at, tmp_path):
    left, right = (str(tmp_path / f"{name}.sock") for name in ("left", "right"))
    for path in (left, right):
        agent = make_agent(redis_server.url(), node=Path(path).stem,
                           settings={"socket.path": path})
        connect(agent)
        viewer = at(path + ".view")
        hello = viewer.call("client.hello")
        assert hello["node_id"] == Path(path).stem and hello["rights"] == ["read"]


def test_a_view_that_cannot_be_made_keeps_nothing_from_running(redis_server, make_agent, connect,
                                                               tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "view.sock").write_text("no socket")
    agent = make_agent(redis_server.url(), settings={"socket.path": str(folder / "agent.sock")})
    assert connect(agent).call("client.hello")
    assert agent.wait_for_log("view.sock is a file, and is left alone.*works without this")
    assert (folder / "view.sock").read_text() == "no socket"


def test_without_a_socket_there_is_no_view(redis_server, make_agent, tmp_path):
    agent = make_agent(redis_server.url(), args=["--socket", ""])
    redis_server.wait_for_beat("ook")
    assert not list(agent.folder.glob("*.sock"))


# --- sockets of one's own ------------------------------------------------------------------------


@pytest.fixture
def several(redis_server, make_agent, steady, tmp_path):
    """An agent with a socket for each right, and no view; {right: path}."""
    paths = {right: str(tmp_path / f"{right}.sock") for right in ALL}
    agent = make_agent(redis_server.url(), sockets=[
        {"path": path, "rights": [right], "group": "", "mode": "0600"}
        for right, path in paths.items()])
    steady(agent)
    return agent, paths


@pytest.mark.parametrize("right", ALL)
def test_each_right_lets_through_its_own_calls_and_no_others(several, at, right):
    agent, paths = several
    client = at(paths[right])
    assert client.call("client.hello")["rights"] == [right]
    for needed, call in CALLS.items():
        allowed = outcome(client, *call) != "forbidden"
        assert allowed == (needed == right), needed
    assert not Path(view_of(agent)).exists()


def test_each_method_needs_the_right_that_the_protocol_says(several, at):
    _, paths = several
    protocol = (Path(__file__).parents[2] / "include/nodebeat/PROTOCOL.md").read_text()
    table = re.search(r"^3\.1\.5\..*?^Another call is", protocol, re.S | re.M)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M))
    assert sorted(rows) == sorted(ALL)
    listed = {}
    for right, methods in rows.items():
        other = at(paths["read" if right != "read" else "robot"])
        for method in re.findall(r"`([\w.]+)`", methods):
            assert refused(other, method).data["right"] == right, method
            listed[method] = right
    # None is left out: each method has a row of its own in section 3.
    named = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", protocol, re.M))
    assert named == set(listed) | {"client.hello", "client.goodbye"}


def test_a_will_of_a_socket_with_the_right_is_carried_out(several, at, connect):
    agent, paths = several
    client = at(paths["event"])
    client.call("client.hello", will=[
        {"method": "event.publish", "params": {"channel": "cell:a", "event": {"gone": True}}}])
    listener = connect(agent)
    listener.call("event.subscribe", channels=["cell:a"])
    client.close()
    assert listener.next_event("cell:a")["event"]["gone"] is True


def test_the_first_may_have_fewer_rights_too(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.rights": ["read"]})
    client = connect(agent)
    error = refused(client, *CALLS["state"])
    assert error.data == {"name": "forbidden", "right": "state"}, "no socket gives it"


def test_a_configured_socket_that_cannot_be_made_is_an_error(run_cli, tmp_path):
    config = tmp_path / "nodebeat.toml"
    config.write_text(f"""
[node]
name = "ook"
[[socket]]
path = "{tmp_path}/a.sock"
group = ""
[[socket]]
path = "{tmp_path}/no/such/b.sock"
rights = ["read"]
""")
    done = run_cli("--config", config)
    assert done.returncode == 72  # EX_OSFILE
    assert f"cannot make the folder {tmp_path}/no/such" in done.stderr
    assert not (tmp_path / "a.sock").exists()


# --- calls and events a second -------------------------------------------------------------------


@pytest.fixture
def limited(redis_server, make_agent, steady, tmp_path):
    path = str(tmp_path / "limited.sock")
    agent = make_agent(redis_server.url(), sockets=[
        {"path": path, "rights": ALL, "group": "", "calls_per_second": 20,
         "events_per_second": 5}])
    steady(agent)
    return agent, path


def test_a_call_above_the_limit_is_told_when_to_try_again(limited, at):
    _, path = limited
    client = at(path)
    assert client.call("client.hello")["limits"]["calls_per_second"] == 20
    ids = [client.request("health.get") for _ in range(40)]
    results, errors = [], []
    for number in ids:
        try:
            results.append(client.answer(number))
        except Exception as error:
            errors.append(error)
    assert 20 <= len(results) < 40
    assert {e.name for e in errors} == {"rate_limited"} and errors[0].code == -32015
    assert errors[0].message == "more calls than one client of this socket may have in a second"
    wait = errors[-1].data["retry_after_ms"]
    assert 1 <= wait <= 50
    # It is right about that: the agent's clock, and not this test's, says when.
    begin = time.monotonic()
    wait_until(lambda: outcome(client, "health.get", {}) == "done")
    assert time.monotonic() - begin < 1


def test_another_client_has_its_own_limit(limited, at):
    _, path = limited
    first, second = at(path), at(path)
    for _ in range(40):
        first.notify("health.get")
    assert refused(first, "health.get").name == "rate_limited"
    assert second.call("health.get")["node_id"] == "ook"
    assert at(path).call("health.get"), "and a new connection begins anew"


def test_events_are_limited_apart_from_calls(limited, at):
    agent, path = limited
    client = at(path)
    outcomes = [outcome(client, *CALLS["event"]) for _ in range(10)]
    assert outcomes[:5] == ["done"] * 5 and outcomes.count("rate_limited") >= 4
    error = refused(client, *CALLS["event"])
    assert error.message == "more events than one client of this socket may have in a second"
    assert client.call("health.get")


def test_notifications_above_the_limit_are_dropped_and_told(limited, at, connect):
    agent, path = limited
    client, listener = at(path), connect(agent)
    listener.call("event.subscribe", channels=["cell:a"])
    client.call("client.hello", errors=True)
    begin = time.monotonic()
    client.send(Client.line("event.publish", {"channel": "cell:a", "event": {}}) * 100)
    heard = []

    def refusals():
        """How many were refused, once each of the hundred was heard or refused."""
        heard.extend(listener.events())
        count = listener.call("agent.stats")["calls"]["rate_limited"]
        return count if len(heard) + count >= 100 else None

    count = wait_until(refusals)
    heard.extend(listener.events())
    assert len(heard) == 100 - count
    told = [client.next_message("client.error")]
    while sum(t["error"]["data"]["count"] for t in told) < count:
        told.append(client.next_message("client.error"))
    took = time.monotonic() - begin
    # Of the first 20 calls five were events too many; of the others all were calls too many.
    assert told[0]["method"] == "event.publish"
    assert told[0]["error"]["data"]["retry_after_ms"] >= 1
    assert count >= 95 - 5 * took  # five events a second
    assert len(told) <= 3 + 2 * took  # two reasons, once a second each


def test_a_goodbye_is_never_above_the_limit(limited, at, connect):
    agent, path = limited
    client, listener = at(path), connect(agent)
    listener.call("event.subscribe", channels=["cell:a"])
    client.call("client.hello", will=[
        {"method": "event.publish", "params": {"channel": "cell:a", "event": {"gone": True}}}])
    client.send(Client.line("health.get") * 100 + Client.line("client.goodbye"))
    client.close()
    wait_until(lambda: listener.call("agent.stats")["socket"]["clients"] == 2)
    assert listener.events() == [] and not agent.logged("last will")
