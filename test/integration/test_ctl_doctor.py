"""nodebeatctl doctor: what it finds, and what it says to do."""

import json
import os
import re

import pytest

from support.agent import find_program, toml
from support.ctl_fixtures import ctl, ctl_env, fake, follow, socket_path  # noqa: F401
from support.fake_agent import HEALTH, INSPECT, STATS, Refusal


@pytest.fixture
def doctor(ctl, tmp_path):
    """doctor(settings={...}): its exit code and {check: finding}."""

    def run(settings=None):
        config = tmp_path / "cell.toml"
        config.write_text(toml(settings or {"node.name": "hog"}))
        done = ctl("doctor", "--json", "--config", config, PATH=f"{find_program().parent}:/usr/bin")
        findings = json.loads(done.stdout)
        assert findings["worst"] == done.returncode
        return done.returncode, {f["check"]: f for f in findings["findings"]}

    return run


def test_doctor_finds_nothing(doctor, fake):
    os.chmod(fake.path, 0o660)
    code, findings = doctor()
    assert code == 0, findings
    assert findings["configuration"]["level"] == "ok"
    assert findings["clock"]["text"] == "within 2 ms of Redis'"


def test_doctor_reports_in_lines(ctl, fake):
    fake.answers["redis.inspect"] = {**INSPECT, "maxmemory_policy": "allkeys-lru",
                                     "maxmemory_bytes": 2097152}
    done = ctl("doctor")
    assert done.returncode == 2
    line = next(l for l in done.stdout.splitlines() if "eviction" in l)
    assert re.match(r"problem  redis eviction +policy allkeys-lru deletes any .*→ redis-cli", line)
    assert re.search(r"1 problem, \d warning", done.stdout)


def test_doctor_reads_the_configuration(doctor, fake):
    code, findings = doctor({"heartbeat.interval": "never"})
    assert code == 2
    assert "heartbeat.interval" in findings["configuration"]["text"]


def test_doctor_without_an_agent(doctor):
    code, findings = doctor()
    assert code == 2 and set(findings) == {"configuration", "socket"}
    assert "is nodebeat running?" in findings["socket"]["text"]


def test_doctor_with_redis_away(doctor, fake):
    fake.answers["agent.stats"] = {
        **STATS, "link": {**STATS["link"], "state": "waiting", "cause": "unreachable",
                          "trouble": "not reachable (connection refused)"}
    }
    fake.answers["redis.inspect"] = Refusal(-32008, "unavailable", "Redis is not there")
    code, findings = doctor()
    assert code == 2 and "redis" not in findings
    assert "redis-cli -h 127.0.0.1 -p 6379 ping" in findings["link"]["advice"]


def test_doctor_sees_two_agents_of_one_name(doctor, fake):
    others = iter(["hog-1-1", "hog-9-9"])
    fake.answers["state.get"] = lambda params: {
        "key": params["key"], "value": {**HEALTH, "instance_id": next(others)}, "source": "redis"
    }
    code, findings = doctor()
    assert code == 2 and "hog-9-9" in findings["node name"]["text"]
    assert fake.called("state.get") == [{"key": "node:health:hog"}] * 2


def test_doctor_says_what_the_agent_knows_of_another(doctor, fake):
    fake.answers["agent.stats"] = {**STATS, "conflict": "hog-9-9"}
    code, findings = doctor()
    assert code == 2 and findings["node name"]["level"] == "problem"
    assert findings["node name"]["text"].startswith("two agents beat as node hog: ")


def test_doctor_with_an_agent_that_does_not_answer(ctl, fake):
    fake.answers["agent.stats"] = None
    done = ctl("doctor", "--timeout", "100ms")
    assert done.returncode == 2 and "not answered within 100 ms" in done.stdout
