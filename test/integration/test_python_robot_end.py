"""nodebeat.Robot: how it ends, and what its process leaves to a child."""

import contextlib
import dataclasses
import gc
import os

import pytest

from support import python_package
from support.python_fixtures import library, open_robot, push_until, state_of  # noqa: F401
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import errors  # noqa: E402


ENDS = """
import os, signal, sys, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False)
how = sys.argv[3]
try:
    with robot:
        robot.push_state([1.0], is_connected_l=True)
        assert robot.flush(10)
        if how == "raise":
            raise ArithmeticError
        if how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            os._exit(0)
except (ArithmeticError, KeyboardInterrupt):
    pass
"""


@pytest.mark.parametrize("how, dead", [("return", False), ("interrupt", False), ("raise", True), ("kill", True), ("exit", True)])
def test_how_a_program_ends_decides_about_the_will(cell, library, how, dead):
    process = python_package.start(ENDS, cell.agent.socket_path, library, how)
    process.communicate(timeout=20)
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)
    state = wait_until(lambda: state_of(cell).get("joints_l") and state_of(cell))
    if dead:
        wait_until(lambda: not state_of(cell)["is_connected_l"])
        cell.agent.wait_for_log("last will")
    else:
        assert state["is_connected_l"] and not cell.agent.logged("last will")


def test_a_robot_that_is_dropped_lets_go_of_its_connection(cell, library):
    robot = nodebeat.Robot(cell.agent.socket_path, library=library)
    push_until(robot, robot.dispatch, is_connected_l=True)
    del robot
    gc.collect()
    cell.agent.wait_for_log("last will")
    assert cell.client.call("agent.stats")["socket"]["clients"] == 1


def test_a_closed_robot_says_so(cell, open_robot):
    robot = open_robot(cell.agent)
    robot.close()
    robot.close()
    for push in (lambda: robot.push_state([1.0]), lambda: robot.error("robot", "x"), lambda: robot.update_stroke(pose_idx=1)):
        with pytest.raises(errors.Closed) as found:
            push()
        assert "has been closed" in str(found.value)


def test_after_the_end_both_say_the_same(cell, open_robot):
    robot = open_robot(cell.agent)
    robot.publish("stroke:events:progress", {"type": "x"})
    wait_until(lambda: robot.stats().rejected == 1)
    before, words = robot.stats(), robot.last_error()
    robot.close()
    assert robot.stats() == dataclasses.replace(before, connected=False) and robot.last_error() == words != ""
    for call in (robot.dispatch, robot.flush, robot.end_stroke, lambda: robot.publish("cell:x", {})):
        with pytest.raises(errors.Closed):
            call()
    pid = os.fork()
    if pid == 0:
        right = 0
        with contextlib.suppress(BaseException):
            for call in (robot.dispatch, robot.flush, robot.end_stroke, robot.stats, robot.last_error):
                with contextlib.suppress(errors.Forked):
                    call()
                    break
                right += 1
            robot.close()
        os._exit(right)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_a_child_has_nothing_of_its_parents_robot(cell, library):
    script = """
import os, sys, nodebeat
library = sys.argv[2] if sys.argv[2] != "False" else False
robot = nodebeat.Robot(sys.argv[1], library=library)
robot.push_state([1.0], is_connected_l=True)
assert robot.flush(10)
def links():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return {l for l in found if l.startswith("socket")}
before = links()
assert len(before) == 1
pid = os.fork()
if pid == 0:
    try:
        robot.push_state([2.0])
    except nodebeat.errors.Forked:
        pass
    else:
        os._exit(1)
    robot.close()
    if before & links():
        os._exit(2)
    with nodebeat.Robot(sys.argv[1], library=library, name="child", will=()) as own:
        own.push_state([3.0])
        assert own.flush(10)
    os._exit(0)
assert (status := os.waitpid(pid, 0)[1]) == 0, status
robot.push_state(velocities_l=[4.0])
assert robot.flush(10)
robot.close()
"""
    python_package.finish(python_package.start(script, cell.agent.socket_path, library))
    # Not the joints: the agent may read two connections in either order.
    wait_until(lambda: state_of(cell).get("velocities_l") == [4.0] and state_of(cell)["joints_l"] == [3.0])
    assert not cell.agent.logged("last will") and state_of(cell)["is_connected_l"]
