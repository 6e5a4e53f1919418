"""The programs under test/examples, as their users would run them."""

import json
import re
import signal
import subprocess
import sys

import pytest

from support.agent import ROOT
from support.waiting import wait_until


@pytest.mark.own_users("both of its agents log in by one URL")
def test_two_agents_live_in_one_program(program, redis_server):
    example = program.parents[2] / "test" / "examples" / "two_agents"
    if not example.exists():
        pytest.skip(f"{example} is not built (tests are disabled in that build)")
    done = subprocess.run(
        # Transactions: beats, leases, and a place in the list of nodes.
        [example, f"redis://127.0.0.1:{redis_server.port}", "10"], capture_output=True, text=True, timeout=25
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = redis_server.client()
    for name in ("left", "right"):
        assert f"{name} <5> redis" in done.stdout, "each has its own log"
        assert client.hget(f"node:health:{name}", "health") is not None
        assert client.xlen(f"stream:node_metrics:{name}") >= 5


@pytest.fixture(params=["robot_sim", "robot.py"])
def robot(request, program, tmp_path):
    """robot(agent): the example, running against that agent; ended after the test if it has not."""
    command = [program.parents[2] / "test" / "examples" / "robot_sim"]
    if request.param == "robot.py":
        command = [sys.executable, ROOT / "test" / "examples" / "robot.py"]
    elif not command[0].exists():
        pytest.skip(f"{command[0]} is not built (examples are disabled in that build)")
    running = []

    def start(agent):
        path = agent.settings["socket.path"]
        running.append(subprocess.Popen([*command, "--socket", path], stderr=subprocess.PIPE))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_robot_shows_all_that_it_does(redis_server, make_agent, robot, closing):
    agent = make_agent(redis_server.url())
    sessions = closing(redis_server.subscribe("stroke:events:session", "error:events:robot"))
    process = robot(agent)
    client = redis_server.client()

    def state():
        return json.loads(client.hget("robot:state:ook", "state") or "{}")

    moving = wait_until(lambda: state().get("is_connected_l") and state())
    assert len(moving["joints_l"]) == len(moving["joints_r"]) == 7
    wait_until(lambda: state()["joints_l"] != moving["joints_l"])
    session = sessions.wait_for("session_start")["session_id"]
    key = f"stroke:progress:{session}"
    wait_until(lambda: json.loads(client.hget(key, "progress"))["pose_idx"] > 1)
    assert client.xlen(f"stream:stroke_history:{session}") > 0

    # The agent is killed and comes back: the robot goes on, and nobody tells it to.
    agent.kill()
    again = make_agent(redis_server.url(), settings={"socket.path": agent.settings["socket.path"]})
    before = state()["timestamp"]
    wait_until(lambda: state()["timestamp"] > before)

    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    sessions.wait_for("session_end", lambda e: e["session_id"] == session)
    # It has said good-bye, so no will was carried out.
    again.stop()
    assert not again.logged("last will") and not sessions.of_type("error")
    assert re.search("agent is", process.stderr.read().decode())
