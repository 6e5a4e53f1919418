"""What the tests of the Python package have in common: clients of both kinds, and robots with and without libnodebeat."""

import json
import os
from pathlib import Path

import pytest

from support.fake_agent import FakeAgent
from support.python_package import Blocking, Loop
from support.waiting import wait_until

import nodebeat  # noqa: E402
import nodebeat.aio  # noqa: E402


HELLO = {"protocol": 1, "client_id": 7, "node_id": "ook", "instance_id": "ook-1", "agent_version": "0.1.0",
         "rights": ["read"], "limits": {"line_bytes": 65536}}


@pytest.fixture(params=["blocking", "asyncio"])
def open_client(request, closing):
    """open_client(socket, **options): a client of either kind; closed after the test."""
    loop = closing(Loop()) if request.param == "asyncio" else None

    def make(path, **options):
        path = getattr(path, "socket_path", path)
        if loop is None:
            return closing(nodebeat.Client(path, **options))
        return closing(Blocking(nodebeat.aio.Client(path, **options), loop))

    return make


@pytest.fixture
def fake(closing, tmp_path):
    """fake(**answers): an agent of the protocol's words, which answers what the test says."""

    def make(**answers):
        answers = {"client.hello": HELLO, "client.goodbye": {}, **{k.replace("__", "."): v for k, v in answers.items()}}
        agent = closing(FakeAgent(tmp_path / "fake.sock"))
        agent.answers = answers
        return agent

    return make


def another_agent(make_agent, agent, server):
    """After the first has gone, at the same socket."""
    return make_agent(server.url(), settings={"socket.path": agent.socket_path})


def next_of(events, kind, wanted=lambda notice: True):
    return next(e for e in events if isinstance(e, kind) and wanted(e))


HELLO_ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"protocol":1,"client_id":1,"node_id":"n","limits":{"line_bytes":65536}}}\n'


def library_of(program):
    """libnodebeat of the build under test. One that is sanitized cannot be loaded into a plain Python."""
    return program.parent.parent / "client" / "libnodebeat.so.0"


@pytest.fixture(params=["library", "python"])
def library(request, program, sanitized):
    """What Robot(library=...) takes."""
    if request.param == "python":
        return False
    if sanitized:
        program = Path(os.environ.get("NODEBEATD_PLAIN") or pytest.skip("needs a library without sanitizers"))
    found = library_of(program)
    return str(found) if found.exists() else pytest.skip(f"{found} is not built")


@pytest.fixture
def open_robot(library, closing):
    """open_robot(agent or path, **options); closed after the test."""

    def make(agent, **options):
        return closing(nodebeat.Robot(getattr(agent, "socket_path", agent), library=library, **options))

    return make


def state_of(cell):
    return json.loads(cell.redis.hget("robot:state:ook", "state") or "{}")


def push_until(robot, condition, **members):
    """Goes on pushing, as a control loop does, until the condition holds."""

    def look():
        robot.push_state(**members)
        return condition()

    return wait_until(look)
