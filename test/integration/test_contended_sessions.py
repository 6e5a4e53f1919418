"""Compare-and-set by many writers through many agents, while links break, Redis dies and agents die: nothing
is lost, nothing is done twice, and no writer is refused because of its own write."""

import shutil
import tempfile
from pathlib import Path

import pytest
from support.contended import SESSION, SETTINGS, Relay, contend, faults
from support.ctl import find_ctl


@pytest.fixture
def quick_folder():
    """In memory where there is such a place: what Redis wrote there outlives its end, and no disk that others
    keep busy is waited for at each of the many thousand writes."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="nodebeat-test-", dir=memory if memory.is_dir() else None)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.time_limit(240)
def test_no_compare_and_set_is_lost_or_done_twice(quick_folder, make_redis, make_agent, connect, closing, program):
    folder = program.parents[2] / "test" / "bench"
    if find_ctl() is None or not (folder / "session_writers").exists():
        pytest.skip("the writers were not built beside the agent")
    updates = 4000
    server = make_redis(appendonly="yes", appendfsync="always", dir=quick_folder)
    relay = closing(Relay(folder, server, 4, 300))
    agents = [make_agent(f"redis://127.0.0.1:{port}", node=node, settings=SETTINGS)
              for port, node in zip(relay.ports, ("ook", "eek", "hog", "left"))]
    state = {"w": [0] * 8}
    connect(agents[0]).call("session.create", session_id=SESSION, state=state, timeout_ms=20000)

    def lose(agent):
        """What it was asked is in doubt: its successor knows nothing of it."""
        agent.kill()
        make_agent(agent.settings["redis.url"], node=agent.node,
                   settings={**SETTINGS, "socket.path": agent.socket_path})

    troubles = [server.restart, lambda: lose(agents[0]), lambda: lose(agents[1]), lambda: lose(agents[3]), server.restart]
    figures = contend(folder, [a.socket_path for a in agents], updates, 8, troubles)
    assert faults(figures, server.client(), updates) == [], figures
    assert figures["conflicts"] > 0 and relay.end() > 0, figures
