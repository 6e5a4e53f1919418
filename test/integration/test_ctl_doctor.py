"""nodebeatctl doctor: what it finds, and what it says to do."""

import json
import os
import re

import pytest

from support import cpp, markdown
from support.agent import ROOT, find_program, toml
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
        for finding in findings["findings"]:
            page, _, section = finding.get("more", "").partition("#")
            assert (page, section in sections()) == ("troubleshooting.md", True) or finding["level"] == "ok", finding
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


def config_of(**said):
    return {"files": ["/etc/nodebeat/arm.toml"], "faults": [], "warnings": [], **said}


def configuration(ctl, *args, **env):
    done = ctl("doctor", "--json", *args, PATH=f"{find_program().parent}:/usr/bin", **env)
    return [f for f in json.loads(done.stdout)["findings"] if f["check"] == "configuration"]


def test_doctor_asks_the_agent_for_its_configuration(ctl, fake):
    """Also of a second agent: it names its own file, which the caller need not be able to read."""
    fake.answers["agent.config"] = config_of()
    [found] = configuration(ctl)
    assert (found["level"], found["text"]) == ("ok", "/etc/nodebeat/arm.toml is right, as the agent reads it")
    fake.answers["agent.config"] = config_of(faults=["/etc/nodebeat/arm.toml:3: key 'x': unknown key"])
    [found] = configuration(ctl)
    assert found["level"] == "problem" and "arm.toml:3" in found["text"] and "goes on as it began" in found["text"]
    fake.answers["agent.config"] = config_of(warnings=["/p holds a password and may be read by every user of this host"])
    found, right = configuration(ctl)
    assert found["more"] == "troubleshooting.md#configuration-password" and right["level"] == "ok"
    fake.answers["agent.config"] = None
    [found] = configuration(ctl, "--timeout", "100ms")
    assert found["level"] == "warning" and found["more"].endswith("#configuration-unseen")


def test_doctor_says_what_only_the_agent_could_have_seen(ctl, tmp_path):
    """Without an agent the caller's eyes are no proof: root may read what the agent may not."""
    config = tmp_path / "a.toml"
    config.write_text(toml({"node.name": "hog"}))
    [found] = configuration(ctl, NODEBEAT_CONFIG=config)
    assert found["level"] == "ok" and "only the agent can tell" in found["text"]
    secret = tmp_path / "password"
    secret.write_text("secret-secret\n")
    secret.chmod(0o644)
    config.write_text(toml({"node.name": "hog", "redis.password_file": str(secret)}))
    found = configuration(ctl, NODEBEAT_CONFIG=config)
    assert {f["level"] for f in found if f.get("more", "").endswith("#configuration-password")} == {"problem"}, found


def test_doctor_takes_the_file_of_the_agent_that_was_named(ctl):
    [found] = configuration(ctl, "--socket", "/run/nodebeat-arm/agent.sock", NODEBEAT_CONFIG="/nowhere/else")
    assert "/etc/nodebeat/arm.toml" in found["text"]


def test_doctor_with_the_eyes_of_a_real_agent(redis_server, make_agent, steady, ctl, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret-secret\n")
    secret.chmod(0o644)
    agent = make_agent(redis_server.url(), settings={"heartbeat.interval": "200ms"})
    client = steady(agent)
    said = client.call("agent.config")
    assert said["faults"] == [] and said["files"] == [str(agent.config)], said
    with open(agent.config, "a") as file:
        file.write('\n[intervall]\nx = 1\n')
    [fault] = client.call("agent.config")["faults"]
    assert fault.startswith(f"{agent.config}:") and "intervall" in fault
    [found] = configuration(ctl, "--socket", agent.socket_path)
    assert found["level"] == "problem" and "intervall" in found["text"]
    assert not agent.logged("intervall"), "it was asked, not reloaded"


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


# --- docs/troubleshooting.md ----------------------------------------------------------------------

PAGE = ROOT / "docs/troubleshooting.md"
RULES = [path for room in ("ctl", "redis_admin", "audit", "gate") for path in sorted((ROOT / "src" / room).glob("*.cc"))]


def sections():
    _title, *found = markdown.anchors(PAGE)
    return set(found)


def checks_and_sections():
    """(file, check, section) of each finding that the sources can make, as they are written there."""
    for path in RULES:
        text = path.read_text()
        names = dict(re.findall(r'const char\* (name|check) = "([^"]+)"', text))
        for match in re.finditer(r"(?<![.\w])(?:terminal::)?(?:problem|warning)\(|\{(?:terminal::)?Level::(?:problem|warning),", text):
            given = cpp.arguments(text, match.end() - 1 if match.group().endswith("(") else match.start())
            given = given if match.group().endswith("(") else given[1:]
            if len(given) >= 3 and not given[0].startswith("const "):
                check = given[0].strip('"')
                yield path.name, names.get(check, check), given[3].strip('"') if len(given) > 3 else ""


def test_each_finding_has_its_section():
    """Which checks and sections there are is read from the sources: no finding is left out."""
    found = set(checks_and_sections())
    assert len(found) > 40, found
    wanted = set()
    for file, check, section in found:
        if section.startswith("link-") or " ? " in section or ":" in section:
            continue  # of each cause below, or chosen from others that stand here
        if section == "section":  # handed on by a helper, whose callers name it
            continue
        name = section or ("users" if check == "check" or check.startswith("user") else check.replace(" ", "-"))
        assert re.fullmatch(r"[a-z-]+", name), (file, check, section)
        wanted.add(name)
    causes = re.findall(r'^    Row\{Trouble::\w+, "([a-z-]+)"', (ROOT / "src/redis/trouble.cc").read_text(), re.M)
    assert len(causes) > 15
    wanted |= {f"link-{cause}" for cause in causes if cause != "none"}
    wanted |= {"queue-age", "queue-room", "queue-outage-over"}
    assert wanted - sections() == set()


def test_each_section_names_a_finding():
    """And nothing stands there that no finding leads to, but exit codes and tables of a program's messages."""
    said = "\n".join(path.read_text() for path in [*RULES, ROOT / "src/redis/trouble.cc"])
    for section in sections() - {"users"}:
        if section.startswith(("exit-codes-of-", "messages-of-")):
            continue
        words = (section, section.replace("-", " "), section.removeprefix("link-"))
        assert any(f'"{word}"' in said for word in words), section
