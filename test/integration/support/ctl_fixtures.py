"""What the tests of nodebeatctl have in common: the program, and an agent that answers what a test has
put there (support/fake_agent.py)."""

import pytest

from support.agent import environment
from support.ctl import Following, find_ctl, run
from support.fake_agent import FakeAgent


CTL = find_ctl()
if CTL is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "agent.sock"


@pytest.fixture
def fake(socket_path, closing):
    return closing(FakeAgent(socket_path))


@pytest.fixture
def ctl_env(tmp_path, socket_path):
    return lambda **more: environment(
        tmp_path / "sanitizer",
        **{"NODEBEAT_SOCKET": socket_path, "LC_ALL": "C.UTF-8", "TZ": "UTC", **more},
    )


@pytest.fixture
def ctl(tmp_path, ctl_env):
    """ctl(*args, stdin="", **environment): runs it to its end."""

    def run_it(*args, stdin="", **env):
        done = run(CTL, args, ctl_env(**env), stdin)
        reports = [p.read_text() for p in tmp_path.glob("sanitizer*")]
        assert not reports, "\n".join(reports)
        return done

    return run_it


@pytest.fixture
def follow(ctl_env, closing):
    return lambda *args, **env: closing(Following(CTL, args, ctl_env(**env)))
