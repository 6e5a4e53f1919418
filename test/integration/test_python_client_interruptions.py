"""nodebeat.Client and nodebeat.aio.Client: signal handlers, exceptions out of them, and tasks that are cancelled."""

import asyncio
import json
import signal

import pytest

from support import python_package
from support.python_fixtures import fake  # noqa: F401
from support.python_package import ALARM, at_each_instruction
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.aio  # noqa: E402
from nodebeat import dialling, errors  # noqa: E402
from nodebeat.protocol import Conversation  # noqa: E402


def test_a_signal_handler_may_call_and_interrupt(cell):
    script = """
import os, signal, sys, threading, nodebeat
client = nodebeat.Client(sys.argv[1])
client.event_subscribe(["cell:nothing"])
def on_usr1(*_):
    print(client.agent_stats()["node_id"], flush=True)
signal.signal(signal.SIGUSR1, on_usr1)
try:
    print("ready", flush=True)
    for _ in client.events():
        pass
except KeyboardInterrupt:
    print("interrupted")
    client.close()
"""
    process = python_package.start(script, cell.agent.socket_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "ook\n"
    process.send_signal(signal.SIGINT)
    assert python_package.finish(process) == "interrupted\n"


def test_a_signal_handler_may_call_at_any_instruction_of_a_call(fake):
    """As a signal handler would, a call is made at each instruction of another one, also where that one has the lock."""
    agent = fake(state__set={})
    client = nodebeat.Client(agent.path)
    assert client.hello
    functions = (client._link.ask, client._link._send, dialling.Outgoing.send, dialling.Outgoing.add, dialling.Line.send,
                 Conversation._ask_as)
    for wanted, traced in at_each_instruction(functions, lambda n: client.state_set("from:handler", n)):
        with traced:
            client.state_set("k", wanted)
    assert wanted > 50
    values = [(p["key"], p["value"]) for p in agent.called("state.set")]
    assert len(values) == 2 * wanted - 1 and len(set(values)) == len(values), "each is sent once"
    client.close()


HANDLER_SENDS = """
import signal, sys, nodebeat
client = nodebeat.Client(sys.argv[1], timeout=60)
client.hello
event, sent = {"channel": "cell:x", "event": {"fill": "x" * 3000}}, 0
def on_alarm(*_):
    global sent
    client.notify("event.publish", event)
    sent += 1
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
calls = 0
while calls < 300 or sent < 100:
    client.notify("event.publish", event)
    client.client_hello(name=str(calls))
    calls += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(calls, sent)
client.close()
"""


def test_no_line_is_torn_by_a_signal_handler_that_sends(fake):
    """Whose line goes out while another one is half sent."""
    agent = fake()
    process = python_package.start(HANDLER_SENDS, agent.path)
    calls, sent = map(int, python_package.finish(process).split())
    wait_until(lambda: len(agent.called("event.publish")) == calls + sent)
    names = [json.loads(text)["params"].get("name") for text in agent.lines if b"client.hello" in text]
    assert [n for n in names if n] == [str(i) for i in range(calls)]


INTERRUPTED = ALARM + """
import sys, nodebeat
client = nodebeat.Client(sys.argv[1], timeout=60)
client.hello
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
came = said = 0
while came < 100 or said < 300:
    try:
        armed = True
        client.notify("event.publish", {"channel": "cell:x", "event": {"fill": "x" * 3000}})
        armed = False
        said += 1
    except Interrupt:
        came += 1
signal.setitimer(signal.ITIMER_REAL, 0)
client.client_hello(name="end")
print(said)
client.close()
"""


def test_no_line_is_torn_by_an_exception_out_of_a_signal_handler(fake):
    agent = fake()
    said = int(python_package.finish(python_package.start(INTERRUPTED, agent.path)))
    # Each line could be read, or the fake agent would have ended; what was interrupted may have been sent, too.
    assert len(agent.called("event.publish")) >= said and b'"end"' in b"".join(agent.lines)


def test_a_closing_that_is_cancelled_ends_all_the_same(fake):
    agent = fake(client__goodbye=None)

    async def main():
        client = nodebeat.aio.Client(agent.path)
        await client.greeting()
        closing = asyncio.create_task(client.close())
        while not any(b"client.goodbye" in text for text in agent.lines):
            await asyncio.sleep(0.005)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(errors.Closed):
            await client.agent_stats()
        # Nor does it take a cancellation for that of its own task.
        client = nodebeat.aio.Client(agent.path)
        agent.answers["client.goodbye"] = {}
        await client.greeting()
        ended = asyncio.get_running_loop().create_future()

        async def end_late():
            try:
                await asyncio.Event().wait()
            finally:
                await ended

        client._task.cancel()
        client._task = asyncio.create_task(end_late())
        closing = asyncio.create_task(client.close())
        while not client._task.cancelling():
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        ended.set_result(None)

    asyncio.run(main())
    wait_until(lambda: not agent.subscriptions())


def test_a_cancellation_after_the_answer_is_kept(fake):
    """The answers to two tasks come at once, and the first task cancels the second one, which has not run yet."""
    agent = fake()

    async def main():
        client = nodebeat.aio.Client(agent.path)
        await client.greeting()
        steps = []

        async def cancelled(step):
            await step()
            steps.append("went on")

        for step in (client.client_hello, lambda: client._change(30)):
            task = asyncio.create_task(cancelled(step))
            for _ in range(3):  # until it waits
                await asyncio.sleep(0)
            for asked in list(client._calling.conversation._waiting.values()):
                asked.waiter.set_result({})
            client._tell()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() and not steps
            await client.client_hello()
        # And a call in a task that is being cancelled has its time, and its own exception.
        agent.answers["agent.stats"] = None

        async def cleans_up():
            try:
                await asyncio.Event().wait()
            finally:
                with pytest.raises(errors.DeadlineExceeded):
                    await client.agent_stats(timeout=0.01)
                steps.append("cleaned up")

        task = asyncio.create_task(cleans_up())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and steps == ["cleaned up"]
        await client.close()

    asyncio.run(main())
