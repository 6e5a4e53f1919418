"""The log: what a client, Redis or a probe can cause is bounded, and the log never holds the agent up."""

import pytest

from support.waiting import wait_until

LIMITED = {"log.lines_per_minute": None}
WILL = [{"method": "state.set", "params": {"key": "gone", "value": 1}}]


def test_wills_by_the_thousand_are_a_few_lines_and_a_count(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings=LIMITED)
    watcher = connect(agent)
    for _ in range(400):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: len(watcher.call("agent.stats")["clients"]) == 1)
    assert 20 <= len(agent.logged("client flood .*has gone")) <= 25
    agent.stop()
    (told,) = [int(line.split("... and ")[1].split()[0]) for line in agent.logged("more like this")]
    assert told >= 375


def test_an_operator_may_have_every_line(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"log.lines_per_minute": 0})
    for _ in range(100):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: len(agent.logged("has gone")) == 100)


@pytest.mark.parametrize("per_minute, lines", [(1, 1), (3, 3)])
def test_the_limit_can_be_changed_while_it_runs(redis_server, make_agent, connect, per_minute, lines):
    agent = make_agent(redis_server.url())
    agent.write_config(log__lines_per_minute=per_minute)
    agent.reload()
    agent.wait_for_log("was read again")
    for _ in range(10):
        client = connect(agent)
        client.call("client.hello", name="flood", will=WILL)
        client.close()
    wait_until(lambda: not [c for c in connect(agent).call("agent.stats")["clients"]
                            if c["name"] == "flood"])
    agent.stop()
    assert len(agent.logged("client flood .*carried out$")) == lines
