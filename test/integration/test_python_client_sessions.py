"""nodebeat.Client and nodebeat.aio.Client: sessions."""

import threading

import pytest

from support.fake_agent import Refusal
from support.python_fixtures import fake, open_client  # noqa: F401

from nodebeat import editing, errors  # noqa: E402


def test_a_session_is_read_changed_and_written(cell, open_client):
    client = open_client(cell.agent)
    with client.session("s", create=True) as s:
        s["x"] = 1
        s["list"] = [1]
    assert s.version == 1
    with client.session("s") as s:
        s["x"] += 1
        s["list"].append(2)
    found = client.session_get("s")
    assert found["version"] == 2 and found["state"]["x"] == 2 and found["state"]["list"] == [1, 2]
    with client.session("s") as s:
        assert s["x"] == 2
    assert client.session_get("s")["version"] == 2, "nothing was changed, so nothing was written"
    with pytest.raises(ZeroDivisionError):
        with client.session("s") as s:
            s["x"] = 1 / 0
    assert client.session_get("s")["version"] == 2
    with pytest.raises(errors.NotFound):
        with client.session("none"):
            pass


def test_a_faster_writer_is_not_overwritten(cell, open_client):
    client = open_client(cell.agent)
    client.session_create("s", {"x": 1, "mode": "auto", "y": 1})
    with client.session("s") as s:
        s.add("x", 4)
        s.add("x", 6)
        s["mine"] = True
        cell.client.call("session.update", session_id="s", state={"x": 2, "mode": "auto", "y": 5, "theirs": True})
    assert s.attempts == 1
    state = client.session_get("s")["state"]
    assert state["x"] == 12 and state["mine"] and state["theirs"] and state["y"] == 5
    # What the block has decided by has changed: nobody but the block can know what would be right.
    with pytest.raises(errors.Conflict) as found:
        with client.session("s") as s:
            if s["mode"] == "auto":
                s["z"] = 1
            cell.client.call("session.update", session_id="s", state={"x": 2, "mode": "manual"})
    assert found.value.actual == 4 and found.value.expected == 3
    for body in (lambda s: s.update(x=max(s["x"], 1000)), lambda s: s.update(z=s["x"] * 2), lambda s: s.update(n=len(s)),
                 lambda s: s.update(z=s["x"] + 1), lambda s: s.update(z=f"{s['x']}"), lambda s: s.update(x=s["x"] + 1)):
        with pytest.raises(errors.Conflict):
            with client.session("s") as s:
                body(s)
                cell.client.call("session.update", session_id="s", state={"x": 100 + s.version})
    # Two programs that draw a ticket: what the first one has drawn may have gone anywhere.
    with pytest.raises(errors.Conflict):
        with client.session("s") as s:
            drawn = s["x"]
            s["x"] = drawn + 1
            cell.client.call("session.update", session_id="s", state={"x": drawn + 1})
    # That a key is not there was seen as well.
    with pytest.raises(errors.Conflict):
        with client.session("s") as s:
            s["n"] = s.get("fresh", 0) + 1
            cell.client.call("session.update", session_id="s", state={"fresh": 5})


@pytest.mark.parametrize("value", [True, 1.0, [1, {"a": True}], [1, {"a": 0.0}]])
def test_what_python_takes_for_equal_is_written_all_the_same(cell, open_client, value):
    client = open_client(cell.agent)
    client.session_create("s", {"x": [1, {"a": 0}] if isinstance(value, list) else 1})
    with client.session("s") as s:
        s["x"] = value
    assert repr(client.session_get("s")["state"]["x"]) == repr(value)


def test_only_a_number_is_added_to():
    edit = editing.SessionEdit("s", {"x": 1, "on": True, "text": "a"}, 1)
    for key, number, kind in (("none", 1, KeyError), ("on", 1, TypeError), ("text", 1, TypeError), ("x", "1", TypeError)):
        with pytest.raises(kind):
            edit.add(key, number)
    assert not edit.is_changed and not edit.seen
    edit.add("x", 0.5)
    edit["text"] = 1
    edit.add("text", 1)  # to what is set here, whatever another writer has made of it
    assert edit.rebase(editing.SessionEdit("s", {"x": 10, "text": "b"}, 2)) and not edit.seen
    assert edit.state() == {"x": 10.5, "text": 2}


def test_contended_increments_are_all_counted(cell, open_client):
    clients = [open_client(cell.agent) for _ in range(4)]
    clients[0].session_create("s", {"x": 0, "y": 0})

    def count(client):
        for i in range(25):
            if i % 2:
                with client.session("s", timeout=20) as s:
                    s.add("x", 1)
            else:
                client.session_change("s", lambda state: {**state, "x": state["x"] + 1}, timeout=20)

    threads = [threading.Thread(target=count, args=(c,)) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = clients[0].session_get("s")
    assert found["state"]["x"] == 100 and found["version"] == 101


def test_a_write_in_doubt_is_not_applied_twice(fake, open_client):
    asked = []
    agent = fake(session__get={"version": 4, "ttl_ms": None, "state": {"x": 1}})

    def update(params):
        asked.append(params)
        if len(asked) == 1:
            raise Refusal(-32013, "in_doubt", "nobody knows", redis="it broke")
        raise Refusal(-32002, "conflict", "it has another version", actual=5, expected=4)

    agent.answers["session.update"] = update
    with pytest.raises(errors.InDoubt):
        with open_client(agent.path).session("s") as s:
            s["x"] += 1
    assert len(asked) == 2 and all(a["expected_version"] == 4 and a["state"] == {"x": 2} for a in asked)
