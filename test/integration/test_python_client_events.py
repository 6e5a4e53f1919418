"""nodebeat.Client and nodebeat.aio.Client: events."""

import pytest

from support.python_fixtures import another_agent, next_of, open_client  # noqa: F401
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import errors  # noqa: E402


def test_events_and_patterns(cell, open_client):
    client = open_client(cell.agent, name="talker")
    client.event_subscribe(["cell:a"], patterns=["cell:b*"])
    events = client.events(timeout=10)
    cell.client.call("event.publish", channel="cell:none", event={})
    cell.client.call("event.publish", channel="cell:a", event={"n": 1})
    cell.client.call("event.publish", channel="cell:b2", event={"n": 2})
    one, two = next(events), next(events)
    assert (one.channel, one.event["n"], one.pattern, one.remote) == ("cell:a", 1, None, False)
    assert (two.channel, two.pattern, two.event["node_id"]) == ("cell:b2", "cell:b*", "ook")
    cell.redis.publish("cell:a", "no json")
    text = next(events)
    assert text.text == "no json" and text.remote and text.event is None
    client.event_unsubscribe()
    cell.client.call("event.publish", channel="cell:a", event={"n": 3})
    assert not list(client.events(timeout=0.1))
    with pytest.raises(TypeError, match="channels has to be a list"):
        client.event_subscribe("cell:a")


def test_events_subscribes_to_what_it_names(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    # What is recorded comes to whoever asks, so this does not depend on who is first.
    events = client.events("cell:a", "cell:*", replay={"last": 1}, timeout=10)
    assert next(events).event["n"] == 1
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 2


def test_the_end_of_the_past_is_told(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    events = client.events("cell:a", replay={"last": 5, "mark": "past"}, timeout=10)
    assert next(events).event["n"] == 1
    assert next(events) == nodebeat.Replayed("past")


def test_what_has_a_sign_of_redis_is_a_pattern(cell, open_client):
    client = open_client(cell.agent)
    cell.client.call("event.publish", channel="cell:a", event={"n": 1}, ack="stored")
    for pattern in ("cell:?", "cell:[ab]", "*:a"):
        assert next(client.events(pattern, replay={"last": 1}, timeout=10)).pattern == pattern
        client.event_unsubscribe(patterns=[pattern])


def test_what_comes_after_the_call_of_events_is_iterated(cell, open_client):
    """Also what comes before the first step."""
    client = open_client(cell.agent)
    assert client.hello
    events = client.events("cell:early", timeout=10)
    client.event_publish("cell:early", {"n": 1}, ack="stored")
    assert next(events).event["n"] == 1


def test_what_is_wrong_with_a_subscription_is_told(cell, open_client):
    client = open_client(cell.agent)
    with pytest.raises(errors.InvalidParams) as found:
        next(client.events(""))
    assert found.value.data["field"].startswith("channels")


def test_a_subscriber_that_is_slow_is_told_what_it_has_lost(cell, open_client):
    client = open_client(cell.agent, max_queued=10)
    client.event_subscribe(["cell:fast"])
    for i in range(30):
        cell.client.call("event.publish", channel="cell:fast", event={"n": i})
    # The answer to this comes behind all of them.
    client.agent_stats()
    heard = list(client.events(timeout=0.2))
    assert [e.event["n"] for e in heard if isinstance(e, nodebeat.Event)] == list(range(10))
    assert heard[10].lost == 20 and heard[10].from_ <= heard[10].to


def test_a_replay_goes_on_where_it_ended(redis_server, make_agent, steady, open_client):
    agent = make_agent(redis_server.url())
    talker = steady(agent)
    for i in range(5):
        talker.call("event.publish", channel="cell:log", event={"n": i}, ack="stored")
    client = open_client(agent)
    events = client.events("cell:log", replay={"last": 3}, timeout=10)
    assert [next_of(events, nodebeat.Event).event["n"] for _ in range(3)] == [2, 3, 4]
    agent.stop()
    again = another_agent(make_agent, agent, redis_server)
    talker = steady(again)
    for i in range(5, 9):
        talker.call("event.publish", channel="cell:log", event={"n": i}, ack="stored")
    came = [next(events) for _ in range(4)]
    assert [e.event["n"] for e in came] == [5, 6, 7, 8], "each once, and no gap: nothing was missed"
    assert all(e.id and e.node == "ook" for e in came)


def test_what_was_unsubscribed_does_not_come_back(redis_server, make_agent, connect, open_client):
    agent = make_agent(redis_server.url())
    connect(agent)
    client = open_client(agent, name="fickle")
    client.event_subscribe(["cell:a", "cell:b"], patterns=["cell:c*"])
    client.event_unsubscribe(["cell:a"], patterns=["cell:c*"])
    with pytest.raises(errors.InvalidParams):
        client.event_subscribe([""])
    agent.kill()
    other = connect(another_agent(make_agent, agent, redis_server))

    def restored():
        mine = [c for c in other.call("agent.stats")["clients"] if c["name"] == "fickle"]
        return mine and mine[0]["subscriptions"] == 1

    wait_until(restored)
