"""Fixtures, and two rules that hold for every test: it checks something, and it ends in time."""

import functools
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.register_assert_rewrite("support")

from support import acl  # noqa: E402
from support import agent as agents  # noqa: E402
from support.agent import Agent, environment, find_program, is_sanitized  # noqa: E402
from support.ctl import find_ctl  # noqa: E402
from support.fake_redis import FakeRedis  # noqa: E402
from support.fault_proxy import FaultProxy  # noqa: E402
from support.notify import NotifySocket  # noqa: E402
from support import python_package  # noqa: E402, F401: `import nodebeat` finds the tree's
from support.redis_server import RedisServer  # noqa: E402
from support.rpc import Client  # noqa: E402
from support.waiting import SLOWNESS, Conditions, wait_until  # noqa: E402

DEFAULT_TIME_LIMIT = 60


def pytest_sessionstart(session):
    if find_program() is None and not session.config.option.collectonly:
        pytest.exit("no nodebeatd to test: build it, or name it in $NODEBEATD", returncode=2)


def pytest_collection_modifyitems(config, items):
    """Who the agent logs in as is of interest only where there is a real Redis."""
    if acl.ENABLED:
        # A fixture that overrides `cell` hides what that stands on.
        real = [i for i in items if {"make_redis", "cell"} & set(i.fixturenames)]
        config.hook.pytest_deselected(items=[i for i in items if i not in real])
        items[:] = real


# --- rules --------------------------------------------------------------------------------------


def pytest_assertion_pass(item, lineno, orig, expl):
    Conditions.met += 1


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    before = Conditions.met
    outcome = yield
    if outcome.excinfo is None and Conditions.met == before:
        pytest.fail("this test has checked nothing")


class TookTooLong(BaseException):
    """Not an Exception, so that no handler on the way takes it for its own."""


def _limited(item, phase):
    mark = item.get_closest_marker("time_limit")
    seconds = mark.args[0] if mark and phase == "call" else DEFAULT_TIME_LIMIT
    seconds *= SLOWNESS

    def on_alarm(signum, frame):
        raise TookTooLong(f"{phase} of {item.name} is not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    own = item.get_closest_marker("own_users")
    if own and acl.ENABLED:
        pytest.skip(f"not as the node's user: {own.args[0]}")
    real = item.get_closest_marker("real_processor")
    if real and os.environ.get("NODEBEAT_TEST_EMULATED"):
        pytest.skip(f"not under an emulator: {real.args[0]}")
    yield from _limited(item, "setup")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from _limited(item, "call")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from _limited(item, "teardown")


# --- fixtures -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def program():
    return find_program()


@pytest.fixture(scope="session")
def sanitized(program):
    return is_sanitized(program)


@pytest.fixture(scope="session")
def plain_program(program, sanitized):
    """A nodebeatd without sanitizers, for what cannot be loaded into one: on some machines
    libfaketime and AddressSanitizer wait for each other before main()."""
    named = os.environ.get("NODEBEATD_PLAIN")
    if named:
        return Path(named).resolve(strict=True)
    if sanitized:
        pytest.skip("needs a daemon without sanitizers: name one in $NODEBEATD_PLAIN")
    return program


@pytest.fixture(scope="session")
def stop_within(sanitized, users):
    """Seconds from SIGTERM to the end; the leak check at exit takes its time. How long it takes is
    no question of who the agent logs in as."""
    return 3.0 if sanitized or users else 1.0


@pytest.fixture
def closing():
    """closing(thing) closes it after the test, the latest first; returns it."""
    things = []

    def keep(thing):
        things.append(thing)
        return thing

    yield keep
    for thing in reversed(things):
        thing.close()


@pytest.fixture(scope="session")
def users(tmp_path_factory):
    """What the agents log in as, with NODEBEAT_TEST_ACL=1; else None."""
    return acl.Users(tmp_path_factory.mktemp("store"), find_ctl()) if acl.ENABLED else None


@pytest.fixture
def make_redis(tmp_path, users):
    """make_redis(**directives): a running redis-server; gone after the test."""
    servers = []

    def make(start=True, **directives):
        # A password of the server's own is another way in: both cannot be.
        theirs = None if "requirepass" in directives else users
        server = RedisServer(tmp_path / f"redis-{len(servers)}", theirs, **directives)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.kill()
    acl.places.clear()  # their ports may soon be others'


@pytest.fixture
def shifted(tmp_path):
    """shifted(name): the words before a program whose wall clock goes as many seconds ahead as the file says
    that comes with them."""
    library = tmp_path / "shifted_clock.so"
    source = Path(__file__).parent / "support" / "shifted_clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)

    def words(name):
        file = tmp_path / f"shift-{name}"
        file.write_text("0")
        return ["env", f"LD_PRELOAD={library}", f"CLOCK_SHIFT={file}"], file

    return words


@pytest.fixture
def redis_server(make_redis):
    return make_redis()


@pytest.fixture
def notify(tmp_path, closing):
    return closing(NotifySocket(tmp_path / "notify.sock"))


@pytest.fixture
def fake_redis(closing):
    return lambda script: closing(FakeRedis(script))


@pytest.fixture
def proxy(closing):
    def make(server):
        made = closing(FaultProxy(("127.0.0.1", server.port)))
        if str(server.port) in acl.places:
            acl.places.add(str(made.port))
        return made

    return make


@pytest.fixture
def make_agent(tmp_path, program, stop_within, users):
    """make_agent(redis_url, node="ook", **options): a running agent, see Agent. After the test each
    that still runs is stopped, and has to stop well."""
    made = []

    def make(redis_url, node="ook", **options):
        if users is not None:
            login = users.login(node, redis_url)
            options["settings"] = {**login, **(options.get("settings") or {})}
        agent = Agent(
            options.pop("program", program),
            tmp_path / f"agent-{len(made)}",
            node,
            redis_url,
            **{"stop_within": stop_within, **options},
        )
        made.append(agent)
        return agent

    yield make
    troubles = []
    for agent in made:
        try:
            agent.finish()
        except AssertionError as trouble:
            troubles.append(trouble)
        print(f"--- {agent.node}, pid {agent.pid}")  # shown if the test fails
        print("\n".join(agent.log()))
    assert not troubles, troubles


@pytest.fixture
def connect(closing):
    """connect(agent): a client of its socket, as soon as that is there; closed after the test."""

    def make(agent, **options):
        def look():
            assert agent.process.poll() is None, f"the agent has ended: {agent.log()}"
            return Client(agent.socket_path, **options)

        # BlockingIOError: so many wait to be taken that there is no room for one more.
        return closing(wait_until(look, ignoring=(FileNotFoundError, ConnectionRefusedError,
                                                  BlockingIOError)))

    return make


@pytest.fixture
def steady(connect):
    """steady(agent): a client of an agent whose link to Redis is up and has settled."""

    def make(agent, **options):
        client = connect(agent, **options)
        wait_until(lambda: client.call("agent.stats")["link"]["state"] == "steady")
        return client

    return make


@pytest.fixture
def cell(redis_server, make_agent, steady):
    """An agent, its Redis, a client of each."""
    agent = make_agent(redis_server.url())
    return SimpleNamespace(
        server=redis_server, redis=redis_server.client(), agent=agent, client=steady(agent)
    )


@pytest.fixture
def lonely(make_redis, make_agent, connect):
    """An agent whose Redis is away, until `server.start()`; and a client."""
    server = make_redis(start=False)
    agent = make_agent(server.url())
    return SimpleNamespace(server=server, agent=agent, client=connect(agent))


@pytest.fixture
def lossy(make_redis, make_agent, connect):
    """Redis, a client and a listener after an outage that has cost events, and the notice that tells of it."""
    server = make_redis(start=False)
    agent = make_agent(server.url(), settings={"outbox.event_bytes": "16KiB"})
    client, listener = connect(agent), connect(agent)
    listener.call("event.subscribe", channels=["node:events:ook"])
    for _ in range(50):
        client.call("event.publish", channel="x", event={"fill": "y" * 1000})
    server.start()
    heard = listener.next_event("node:events:ook")
    while heard["event"]["type"] != "events_lost":
        heard = listener.next_event("node:events:ook")
    return server, client, listener, heard


@pytest.fixture
def run_cli(tmp_path, program):
    """run_cli(*args, **environment): runs nodebeatd to its end; stdout, stderr and returncode."""
    runs = itertools.count()

    def run(*args, **env):
        reports = tmp_path / f"cli-{next(runs)}-sanitizer"
        done = subprocess.run(
            [program, *map(str, args)],
            env=environment(reports, **env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        found = [p.read_text() for p in tmp_path.glob(reports.name + "*")]
        assert not found, "\n".join(found)
        return done

    return run


@functools.lru_cache(maxsize=None)
def unshare(*flags):
    """The command that gives namespaces here, to root or, where that is allowed, to anybody."""
    for user in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *user, *flags]
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    pytest.skip(f"this user may not 'unshare {' '.join(flags)}'")


@pytest.fixture
def isolated(tmp_path):
    """isolated(hosts=TEXT, dead_resolver=True, hung_mount=FOLDER, boot_note=TEXT, boot_id=TEXT): a wrapper for
    make_agent, see support/isolated.py, and the hosts file, which may be rewritten in place."""

    def wrapper(hosts=None, dead_resolver=False, hung_mount=None, boot_note=None, boot_id=None):
        flags = ["--mount", "--net"] if dead_resolver else ["--mount"]
        script = Path(agents.__file__).with_name("isolated.py")
        command = [*unshare(*flags), sys.executable, script]
        hosts_file = tmp_path / "hosts"
        if hosts is not None:
            hosts_file.write_text(hosts)
            command += ["--hosts", hosts_file]
        if dead_resolver:
            conf = tmp_path / "resolv.conf"
            conf.touch()
            command += ["--dead-resolver", conf]
        if hung_mount is not None:
            if not os.access("/dev/fuse", os.R_OK | os.W_OK):
                pytest.skip("this user may not use /dev/fuse")
            command += ["--hung-mount", hung_mount]
        if boot_note is not None:
            note = tmp_path / "boot-note"
            note.write_text(boot_note)
            command += ["--boot-note", note]
        if boot_id is not None:
            file = tmp_path / f"boot-id-{boot_id}"
            file.write_text(f"{boot_id}\n")
            command += ["--boot-id", file]
        return [*command, "--"], hosts_file

    return wrapper
