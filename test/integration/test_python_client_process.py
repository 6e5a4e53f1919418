"""nodebeat.Client and nodebeat.aio.Client: how their process ends, and its children."""

import pickle

import pytest

from support import python_package
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.aio  # noqa: E402


def test_a_will_is_carried_out_and_a_goodbye_cancels_it(cell):
    script = """
import os, signal, sys, nodebeat
will = [{"method": "state.set", "params": {"key": "cell:" + sys.argv[2], "value": 1}}]
client = nodebeat.Client(sys.argv[1], will=will)
client.agent_stats()
if sys.argv[2] == "closed":
    client.close()
    try:
        client.agent_stats()
    except nodebeat.errors.Closed:
        print("closed")
elif sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = cell.agent.socket_path
    assert python_package.finish(python_package.start(script, path, "closed")) == "closed\n"
    # The interpreter's end without close() is no goodbye.
    python_package.finish(python_package.start(script, path, "ended"))
    killed = python_package.start(script, path, "killed")
    killed.communicate(timeout=20)
    wait_until(lambda: cell.redis.get("cell:killed") and cell.redis.get("cell:ended"))
    assert cell.redis.get("cell:closed") is None


def test_a_child_has_nothing_of_its_parents_client(cell):
    script = """
import multiprocessing, os, sys, nodebeat
client = nodebeat.Client(sys.argv[1], name="parent")
client.agent_stats()

def sockets():
    return [l for fd in os.listdir("/proc/self/fd") if (l := read(fd)).startswith(("socket", "pipe"))]
def read(fd):
    try: return os.readlink(f"/proc/self/fd/{fd}")
    except OSError: return ""
before = set(sockets())
def work(queue):
    try:
        client.agent_stats()
    except nodebeat.errors.Forked as error:
        queue.put(str(error))
    queue.put(len(before & set(sockets())))
    with nodebeat.Client(sys.argv[1], name="child") as own:
        queue.put(own.agent_stats()["node_id"])
    client.close()
context = multiprocessing.get_context("fork")
before = set(sockets())
queue = context.SimpleQueue()
child = context.Process(target=work, args=(queue,))
child.start()
print(queue.get(), queue.get(), queue.get(), sep="|")
child.join()
assert child.exitcode == 0
assert client.agent_stats()["node_id"] == "ook"
client.close()
"""
    said = python_package.finish(python_package.start(script, cell.agent.socket_path)).strip().split("|")
    assert "belongs to the process that forked" in said[0] and said[2] == "ook"
    assert int(said[1]) <= 2, "its standard streams at most"


def test_no_other_process_gets_one_by_pickle(cell):
    things = [nodebeat.Client(cell.agent.socket_path), nodebeat.Robot(cell.agent.socket_path), nodebeat.aio.Client("/x")]
    for thing in things:
        with pytest.raises(TypeError) as told:
            pickle.dumps(thing)
        assert "another process, which opens one of its own" in str(told.value)
    for thing in things[:2]:
        thing.close()


def test_what_was_said_is_said_though_the_process_ends_at_once(cell):
    cell.client.call("event.subscribe", channels=["cell:x"])
    script = """
import os, sys, nodebeat
client = nodebeat.Client(sys.argv[1])
client.hello
client.notify("event.publish", {"channel": "cell:x", "event": {"n": 1}})
os._exit(0)
"""
    python_package.finish(python_package.start(script, cell.agent.socket_path))
    assert cell.client.next_event("cell:x")["event"]["n"] == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_of_multiprocessing_opens_its_own(cell, tmp_path, method):
    """Started by an interpreter of its own, a child inherits nothing, and a Robot's will is not its."""
    script = tmp_path / "program.py"
    script.write_text(f"""
import multiprocessing, os, sys, nodebeat

def work(path, queue):
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try: links.append(os.readlink(f"/proc/self/fd/{{fd}}"))
        except OSError: pass
    queue.put(links)
    with nodebeat.Client(path, name="child") as own, nodebeat.Robot(path, will=()) as robot:
        robot.push_state(velocities_l=[1.0])
        queue.put((robot.flush(10), own.agent_stats()["node_id"]))

if __name__ == "__main__":
    client, robot = nodebeat.Client(sys.argv[1], name="parent"), nodebeat.Robot(sys.argv[1])
    client.hello
    robot.push_state([1.0], is_connected_l=True)
    assert robot.flush(10)
    own = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{{fd}}")]
    own = {{l for l in own if l.startswith("socket")}}
    context = multiprocessing.get_context({method!r})
    queue = context.SimpleQueue()
    child = context.Process(target=work, args=(sys.argv[1], queue))
    child.start()
    inherited, said = own & set(queue.get()), queue.get()
    child.join()
    assert not inherited and child.exitcode == 0, (inherited, child.exitcode)
    print(said, client.agent_stats()["node_id"], robot.flush(1))
    robot.close()
    client.close()
""")
    process = python_package.start(script, cell.agent.socket_path, stdin=None)
    assert python_package.finish(process) == "(True, 'ook') ook True\n"
    assert not cell.agent.logged("last will")


def test_the_asyncio_client_lets_a_child_go(cell):
    script = """
import asyncio, os, sys, nodebeat.aio
def sockets():
    found = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [l for l in (os.readlink(f) for f in found if os.path.islink(f)) if l.startswith("socket")]
async def main():
    others = set(sockets())
    async with nodebeat.aio.Client(sys.argv[1]) as client:
        await client.agent_stats()
        before = set(sockets()) - others
        assert len(before) == 1
        pid = os.fork()
        if pid == 0:
            mine = client._transport.get_extra_info("socket")
            # Not only closed: the number may be another file's by now, and is not closed a second time.
            os._exit(7 if mine.fileno() == -1 and not before & set(sockets()) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (await client.agent_stats())["node_id"])
asyncio.run(main())
"""
    assert python_package.finish(python_package.start(script, cell.agent.socket_path)) == "7 ook\n"
