"""The clock of a node: how far it is from Redis', and when it is set."""

import glob

import pytest

from support.waiting import wait_until

DAY_MS = 86_400_000


@pytest.fixture
def clock(tmp_path):
    """A file that sets the wall clock of whom `env` is given."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        pytest.skip("needs the Debian package faketime")

    class Clock:
        path = tmp_path / "clock"
        env = {"LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": path,
               "FAKETIME_NO_CACHE": 1, "FAKETIME_DONT_FAKE_MONOTONIC": 1}

        def set(self, offset):
            # Not empty between: a file that says nothing is the true time.
            draft = self.path.with_suffix(".new")
            draft.write_text(offset + "\n")
            draft.rename(self.path)

    made = Clock()
    made.set("+0")
    return made


def test_each_health_has_the_offset_to_redis(redis_server, make_agent):
    make_agent(redis_server.url())
    beat = redis_server.wait_for_beat("ook", lambda h: "clock_offset_ms" in h)
    assert abs(beat.health["clock_offset_ms"]) < 1000, "it is the same computer's clock"
    assert list(beat.health)[-1] == "clock_offset_ms"


def test_without_redis_nothing_is_claimed(lonely):
    def health():
        return lonely.client.call("health.get")["health"]

    first = wait_until(health)["seq"]
    wait_until(lambda: health()["seq"] > first + 2)
    assert "clock_offset_ms" not in health()


@pytest.mark.real_processor("libfaketime is for the programs of this one")
def test_a_wrong_clock_is_told_once(redis_server, make_agent, plain_program, clock):
    clock.set("-1d")
    agent = make_agent(redis_server.url(), env=clock.env, program=plain_program)
    beat = redis_server.wait_for_beat("ook", lambda h: "clock_offset_ms" in h)
    assert abs(beat.health["clock_offset_ms"] - DAY_MS) < 5000, "Redis' clock is ahead"
    # A slow machine takes some of the day to begin, and a minute that is not over does not count.
    assert agent.wait_for_log("this computer's clock is (1 d|23 h 59 min) .*behind that of Redis")
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > beat.health["seq"] + 5)
    assert len(agent.logged("behind that of Redis")) == 1
    clock.set("+0")
    assert agent.wait_for_log("clock and that of Redis are the same again")
    redis_server.wait_for_beat("ook", lambda h: abs(h["clock_offset_ms"]) < 1000)


@pytest.mark.real_processor("libfaketime is for the programs of this one")
def test_a_step_of_the_clock_is_told_once(redis_server, make_agent, plain_program, clock, closing):
    events = closing(redis_server.subscribe("node:events:ook"))
    agent = make_agent(redis_server.url(), env=clock.env, program=plain_program)
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 3)
    assert not events.of_type("clock_stepped")
    clock.set("+1d")
    step = events.wait_for("clock_stepped")["step_ms"]
    assert abs(step - DAY_MS) < 5000
    assert agent.wait_for_log("this computer's clock was set forward by 1 d")
    clock.set("-1d")
    back = events.wait_for("clock_stepped", lambda e: e["step_ms"] < 0)["step_ms"]
    assert abs(back + 2 * DAY_MS) < 5000
    assert agent.wait_for_log("this computer's clock was set back by 2 d")
    seq = redis_server.beat("ook").health["seq"]
    redis_server.wait_for_beat("ook", lambda h: h["seq"] > seq + 5)
    assert len(events.of_type("clock_stepped")) == 2
