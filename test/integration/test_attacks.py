"""One client is hostile at full speed: another loses nothing, and the agent stays small. How long the other
waits is measured by ./dev bench attacks, for a minute each."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import attacks  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture
def open_folder():
    """That another user may reach, which tmp_path is not."""
    with tempfile.TemporaryDirectory(prefix="nodebeat-attack-") as folder:
        yield folder


@pytest.mark.parametrize("name", [name for name in attacks.attacks() if name != "nobody"])
def test_one_hostile_client_costs_another_nothing(program, sanitized, open_folder, name):
    figures = attacks.run(name, str(program), open_folder, seconds=1)
    assert figures["pushes"] and figures["stored_errors"], figures
    # A sanitizer keeps what was freed.
    assert attacks.harm_of(figures, float("inf") if sanitized else attacks.MEMORY_KB) is None, figures
