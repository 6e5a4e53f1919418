"""The programs under test/examples/python, as their users would run them."""

import json
import re
import signal

import pytest

from support import python_package
from support.agent import ROOT
from support.waiting import wait_until

EXAMPLES = ROOT / "test" / "examples" / "python"

# As much of ROS 2 as the sketch uses: a node that gets three messages.
ROS = {
    "rclpy/__init__.py": """
from sensor_msgs.msg import JointState
def init(): pass
def spin(node):
    for q in ([0.1, 0.2], [float("nan"), 0.2], [0.3, 0.4]):
        node.callback(JointState(q))
    raise KeyboardInterrupt
""",
    "rclpy/node.py": """
from types import SimpleNamespace
class Node:
    def __init__(self, name): self.name = name
    def declare_parameter(self, name, value): return SimpleNamespace(value="r")
    def create_subscription(self, kind, topic, callback, depth):
        assert topic == "joint_states"
        self.callback = callback
    def destroy_node(self): pass
""",
    "sensor_msgs/msg.py": """
from array import array
from types import SimpleNamespace
class JointState:
    def __init__(self, q):
        self.position, self.velocity = array("d", q), array("d")
        self.header = SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123456789))
""",
}


@pytest.fixture
def run(cell):
    """run(name, *args): that example, with the agent of `cell`; ended after the test."""
    running = []

    def start(name, *args, **env):
        env = {"NODEBEAT_SOCKET": cell.agent.socket_path, **env}
        running.append(python_package.start(EXAMPLES / name, *args, env=env))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def state_of(cell):
    return json.loads(cell.redis.hget("robot:state:ook", "state") or "{}")


def test_a_control_loop_with_numpy(cell, run, connect):
    listener = connect(cell.agent)
    listener.call("event.subscribe", channels=["stroke:events:session", "node:events:ook"])
    process = run("control_loop.py", "--seconds", 1.5)
    moving = wait_until(lambda: state_of(cell).get("joints_l") and state_of(cell))
    assert len(moving["joints_l"]) == len(moving["velocities_r"]) == 7 and moving["is_connected_l"]
    assert moving["joints_l"] == [-x for x in moving["joints_r"]]
    session = listener.next_event("stroke:events:session")["event"]
    assert session["scene_name"] == "example" and session["total_strokes"] == 3
    python_package.finish(process)
    end = listener.next_event("stroke:events:session")["event"]
    assert end["type"] == "session_end" and end["session_id"] == session["session_id"]
    wait_until(lambda: state_of(cell)["current_pose"] == "sleep" and not state_of(cell)["is_connected_r"])
    assert not cell.agent.logged("last will")


# Runs control_loop.py with a clock of its own, and prints when it has pushed what.
WITH_ITS_OWN_CLOCK = """
import json, runpy, sys, time
import nodebeat
now, pushed = 1000.0, []
def sleep(seconds):
    global now
    now += seconds
def push_state(self, *args, **kwargs):
    global now
    pushed.append((now, bool(args)))
    now += 0.025 if len(pushed) == 50 else 0.001  # how long a step takes, one of them far too long
    return nodebeat.Pushed.SENT
time.monotonic, time.sleep = lambda: now, sleep
nodebeat.Robot.push_state = push_state
nodebeat.Robot.flush = lambda self, timeout: True
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps([t - 1000.0 for t, with_numbers in pushed if with_numbers]))
"""


def test_the_control_loop_runs_at_its_rate(tmp_path):
    """By a clock that stands still but for what a step takes: a step each 10 ms, and none is lost to a late one."""
    process = python_package.start(WITH_ITS_OWN_CLOCK, EXAMPLES / "control_loop.py", "--socket", tmp_path / "none.sock",
                                   "--seconds", 2)
    times = json.loads(python_package.finish(process))
    assert len(times) == 200
    late = [i for i, t in enumerate(times) if abs(t - times[0] - i * 0.01) > 0.002]
    assert len(late) <= 3 and times[-1] - times[0] == pytest.approx(1.99, abs=0.002), late


def test_an_asyncio_monitor(cell, run):
    cell.client.call("error.report", category="robot", message="from before", ack="stored")
    process = run("monitor.py")
    assert re.fullmatch(r"ook: \d+ % CPU\n", process.stdout.readline())
    assert process.stdout.readline() == "error:events:robot: error ook from before\n"
    wait_until(lambda: cell.client.call("agent.stats")["subscriptions"]["local"] == 3)
    session = cell.client.call("stroke.start", total_strokes=1)["session_id"]
    assert process.stdout.readline() == f"stroke:events:session: session_start ook {session}\n"
    process.send_signal(signal.SIGINT)
    python_package.finish(process)


def test_a_program_that_has_left_redis_py(cell, run):
    for mode, switched in (("auto", 1), ("night", 2)):
        said = python_package.finish(run("migrated.py")).splitlines()
        assert said == [f"mode: {mode}", "brightness: 7", f"mode: night switched: {switched}"]
    assert 0 < cell.redis.pttl("cell:mode") <= 3_600_000


def test_a_sketch_of_a_ros_2_node(cell, run, tmp_path):
    for name, text in ROS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    process = run("ros2_node.py", PYTHONPATH=f"{python_package.SOURCE}:{tmp_path}")
    python_package.finish(process)
    state = wait_until(lambda: state_of(cell).get("joints_r") == [0.3, 0.4] and state_of(cell))
    assert state["joints_l"] is None
    wait_until(lambda: state_of(cell)["is_connected_r"] is False)
    reported = [json.loads(fields["event"]) for _, fields in cell.redis.xrange("stream:node_events:ook")]
    assert [e["details"]["reason"][:16] for e in reported if e["type"] == "error"] == ["joints_r[0] is n"]
