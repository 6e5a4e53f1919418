"""nodebeat.Robot: threads, signal handlers and exceptions, at any moment."""

import contextlib
import json
import signal
import socket
import sys
import threading

import pytest

from support import python_package
from support.fake_agent import FakeAgent
from support.python_fixtures import HELLO_ANSWER, library, open_robot, push_until, state_of  # noqa: F401
from support.python_package import ALARM, at_each_instruction
from support.waiting import wait_until

import nodebeat  # noqa: E402
from nodebeat import dialling, errors  # noqa: E402
from nodebeat.python_pusher import PythonPusher  # noqa: E402


def test_an_exception_after_the_sending_sends_no_event_twice_and_loses_no_state(tmp_path, closing):
    """The exception of a signal handler at each instruction of a push."""
    agent = closing(FakeAgent(tmp_path / "a.sock", event__publish={}, robot__update={}))
    robot = closing(nodebeat.Robot(agent.path, library=False))
    assert robot.flush(10)
    functions = (PythonPusher._pass_on, PythonPusher._send, PythonPusher._take_from_queue, PythonPusher._drop_head,
                 dialling.Line.begin, dialling.Line.send)

    def interrupt(_):
        raise KeyboardInterrupt

    def arrives(method, params):
        """Else the socket would be full at some time: of states that wait only the latest goes out."""
        return wait_until(lambda: robot.dispatch() and params in agent.called(method)[-2:])

    for events, traced in at_each_instruction(functions, interrupt):
        with contextlib.suppress(KeyboardInterrupt), traced:
            robot.publish("cell:x", {"n": events})
        arrives("event.publish", {"channel": "cell:x", "event": {"n": events}})
    for pushes, traced in at_each_instruction(functions, interrupt):
        with contextlib.suppress(KeyboardInterrupt), traced:
            robot.push_state([pushes])
        robot.push_state([pushes + 0.5])
        arrives("robot.update", {"joints_l": [pushes + 0.5]})
    assert pushes > 50
    robot.publish("cell:x", {"n": "last"})
    wait_until(lambda: agent.called("event.publish")[-1:] == [{"channel": "cell:x", "event": {"n": "last"}}])
    sent = [params["event"]["n"] for params in agent.called("event.publish")]
    assert sorted(sent[:-1]) == sorted(set(sent[:-1])) == list(range(1, events + 1))


# A pusher, and a thread, a signal handler or a destructor that does something else with it at any moment.
CLOSED_AT_ANY_MOMENT = """
import sys, threading, nodebeat
library = sys.argv[2] if sys.argv[2] != "False" else False
sys.setswitchinterval(1e-6)
threading.excepthook = lambda args: (print(args.exc_type, args.exc_value, flush=True), sys.__excepthook__(*args[:3]))
for _ in range(60):
    robot = nodebeat.Robot(sys.argv[1], library=library)
    ready = threading.Barrier(4)
    def push():
        ready.wait()
        try:
            while True:
                robot.push_state([1.0] * 7)
                robot.error("robot", "x", {"a": [1] * 50})
                robot.stats()
        except nodebeat.errors.Closed:
            pass
    def wait():
        ready.wait()
        try:
            while True:
                robot.flush(9)
        except nodebeat.errors.Closed:
            pass
    threads = [threading.Thread(target=t) for t in (push, push, wait)]
    for t in threads:
        t.start()
    ready.wait()
    robot.close()
    for t in threads:
        t.join()
print("done")
"""


def test_it_may_be_closed_at_any_moment(cell, library):
    process = python_package.start(CLOSED_AT_ANY_MOMENT, cell.agent.socket_path, library)
    assert python_package.finish(process) == "done\n"
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)


IN_FLUSH = """
import signal, sys, threading, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False)
robot.push_state([1.0])
waiting, said = threading.Event(), []
def wait():
    try:
        waiting.set()
        said.append(robot.flush(1000))
    except nodebeat.errors.Closed:
        said.append("closed")
def on_alarm(*_):
    robot.push_state([2.0])
    robot.flush(0)
thread = threading.Thread(target=wait)
thread.start()
waiting.wait()
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(300):
    assert robot.flush(0.002) is False
signal.setitimer(signal.ITIMER_REAL, 0)
assert thread.is_alive()
robot.close()
thread.join()
print(said)
"""


def test_a_flush_is_in_nobodys_way(tmp_path, library):
    """Neither a signal handler's flush nor close() waits for it. Nothing listens at that path, so it never ends."""
    assert python_package.finish(python_package.start(IN_FLUSH, tmp_path / "none.sock", library)) == "['closed']\n"


def test_close_within_a_push_of_the_same_thread(cell, open_robot):
    """As a signal handler does it, or a destructor in a collection: after a line of any function of the package."""
    robot = open_robot(cell.agent)
    wait_until(robot.dispatch)
    lines = 0

    def count(frame, event, arg):
        nonlocal lines
        lines += event == "line"
        return count

    def traced(push, trace):
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            push()
        finally:
            sys.settrace(before)

    traced(lambda: robot.error("robot", "x"), count)
    assert lines > 5
    hit = 0
    for place in range(1, lines + 1):
        robot = open_robot(cell.agent)
        seen = 0

        def close_there(frame, event, arg):
            nonlocal seen, hit
            seen += event == "line"
            if seen == place:
                seen += 1
                hit += 1
                sys.settrace(None)
                robot.close()
            return close_there

        try:
            traced(lambda: robot.error("robot", "x"), close_there)
        except errors.Closed:
            pass
        robot.close()  # if there were fewer lines this time
        with pytest.raises(errors.Closed):
            robot.dispatch()
    assert hit > lines / 2
    wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 2)


def test_an_exception_out_of_a_signal_handler_tears_no_line(tmp_path, library):
    """The agent reads slowly, so lines go out in pieces."""
    path = tmp_path / "slow.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        process = python_package.start(INTERRUPTED, path, library)
        stream, _ = listener.accept()
        came = bytearray()
        with stream, contextlib.suppress(ConnectionResetError):
            while data := stream.recv(3777):
                came += data
                if b"client.hello" in data:
                    stream.sendall(HELLO_ANSWER)
    assert int(python_package.finish(process)) >= 300, "signals came"
    whole = came[:came.rindex(b"\n")].splitlines()
    assert len(whole) > 20
    states = [params for params in (json.loads(text).get("params", {}) for text in whole) if "joints_l" in params]
    assert states[-1]["joints_l"] == [0.5] and states[-1]["current_pose"] == "end", "it goes on as before"


INTERRUPTED = ALARM + """
import sys, nodebeat
robot = nodebeat.Robot(sys.argv[1], library=sys.argv[2] if sys.argv[2] != "False" else False, will=())
came = i = 0
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while came < 300 or i < 3000:
    i += 1
    try:
        armed = True
        robot.push_state([float(i)] * 64, current_pose="x" * 200)
        robot.error("robot", "y" * 3000)
        armed = False
    except Interrupt:
        came += 1
signal.setitimer(signal.ITIMER_REAL, 0)
robot.push_state([0.5], current_pose="end")
assert robot.flush(15), robot.stats()
robot.close()
print(came)
"""


def test_threads_and_signal_handlers_push_at_once(cell, open_robot):
    robot = open_robot(cell.agent)
    handled = []

    def on_signal(*_):
        handled.append(robot.push_state(velocities_r=[2.0] * 7))

    before = signal.signal(signal.SIGPROF, on_signal)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        threads = [threading.Thread(target=lambda n=n: [robot.push_state([float(n)] * 7, [float(n)] * 7)
                                                        for _ in range(3000)]) for n in range(4)]
        for thread in threads:
            thread.start()
        robot.push_state(velocities_l=[1.0] * 7)  # the others may be done before this thread runs again
        while any(t.is_alive() for t in threads):
            robot.push_state(velocities_l=[1.0] * 7)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    wait_until(robot.dispatch)
    robot.push_state([9.0], [9.0])
    state = push_until(robot, lambda: state_of(cell).get("joints_l") == [9.0] and state_of(cell), is_connected_l=True)
    assert handled and state["velocities_r"] == [2.0] * 7 and state["velocities_l"] == [1.0] * 7
    assert robot.stats().rejected == 0
