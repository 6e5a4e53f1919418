"""The alert rules and the dashboard that ship as examples: Prometheus takes them, and they name nothing
that the gate does not tell."""

import json
import re
import shutil
import subprocess

import pytest

from support.agent import ROOT

EXAMPLES = ROOT / "config" / "prometheus"
ALERTS = (EXAMPLES / "alerts.yml").read_text()
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text())
METRIC = r"\b(?:nodebeat|redis)_[a-z0-9_]+"


def promtool(*args):
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian's package prometheus)")
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported():
    """The families that the sources name, with the suffixes of their samples."""
    names = set()
    for source in (ROOT / "src" / "metrics").glob("*.cc"):
        names |= set(re.findall(rf'"({METRIC})"', source.read_text()))
    return {name + suffix for name in names for suffix in ("", "_total", "_info", "_bucket", "_count", "_sum")}


def expressions():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_prometheus_takes_the_configuration_and_the_rules():
    assert "12 rules found" in promtool("check", "rules", EXAMPLES / "alerts.yml")
    promtool("check", "config", EXAMPLES / "prometheus.yml")


def test_each_alert_comes_when_it_should():
    tests = ROOT / "test" / "prometheus" / "alerts_test.yml"
    promtool("test", "rules", tests)
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    assert alerts and all(f"alertname: {alert}\n" in tests.read_text() for alert in alerts)


def test_prometheus_takes_what_the_dashboard_asks(tmp_path):
    asked = [e.replace("$instance", "a").replace("$__rate_interval", "1m") for e in expressions()]
    rules = [{"record": f"asked:{i}", "expr": expr} for i, expr in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


def test_only_what_the_gate_tells_is_asked_for():
    names = exported()
    assert "nodebeat_events_dropped_total" in names
    for text in [*expressions(), *re.findall(r"expr: (.*)", ALERTS)]:
        asked = re.findall(METRIC, text)
        assert not set(asked) - names, text


def test_panels_of_the_dashboard_do_not_overlap():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
