"""The units as they are installed, checked without a boot."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("nodebeat.service", "nodebeat@.service", "nodebeat.socket")


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The folder of the units, as they are installed below /usr."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: install the Debian package systemd")
    folder = tmp_path_factory.mktemp("units")
    subprocess.run(["meson", "setup", "-Dtests=disabled", "--prefix=/usr", folder / "build", ROOT],
                   check=True, stdout=subprocess.DEVNULL)
    made = folder / "root" / "etc" / "systemd" / "system"
    made.mkdir(parents=True)
    for name in UNITS:
        found = folder / "build" / "systemd" / name
        shutil.copy(found if found.exists() else ROOT / "systemd" / name, made)
    return made


@pytest.mark.parametrize("unit", ["nodebeat.service", "nodebeat@.service"])
def test_the_exposure_is_at_most_1_2(units, unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           "--threshold=12", units / unit], capture_output=True, text=True)
    level = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1])
    assert level <= 1.2 and done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_of_them(units, unit):
    """But that manual pages and the program are not installed here."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", units / unit],
                          capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
    lines = [line for line in done.stderr.splitlines() if "nodebeat" in line
             and "is not executable: No such file" not in line]
    assert not lines and ("nodebeatd is not executable" in done.stderr or done.returncode == 0)


def test_system_calls_are_let_through_by_name_and_no_group_of_danger_with_them(units):
    text = (units / "nodebeat.service").read_text()
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.M)
    groups = {word for line in filters for word in line.split() if word.startswith("@")}
    assert groups == {"@basic-io", "@io-event", "@network-io", "@file-system", "@signal"}
