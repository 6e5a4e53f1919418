"""Redis as it is in the field: away, dead, frozen, replaced, read-only, full, talking rubbish. Each
is found, named once, and recovered from without help."""

import os
import re
import socket
import threading
import time

import pytest
import redis

from support.agent import QUICK
from support.fake_redis import answer_all, greet_then, usual_reply
from support.probe_targets import SilentListener
from support.waiting import wait_until

TRYING = "trying again"  # in the line about a link that failed
CONNECTED = r"redis .*: connected"

# The values that the agent ships with.
SHIPPED = {key: None for key in QUICK if key.startswith(("redis.", "heartbeat."))}


def beats_on(server, node="ook", timeout=10.0):
    """A beat that was not there before."""
    before = server.beat(node)
    seq = before.health["seq"] if before else 0
    return server.wait_for_beat(node, lambda h: h["seq"] > seq, timeout)


def recovered(agent, connects):
    wait_until(lambda: len(agent.logged(CONNECTED)) >= connects, 10,
               lambda: f"{connects} times connected: {agent.log()}")


# --- absent at start ----------------------------------------------------------------------------


def test_ready_without_redis_and_beating_within_a_second_of_it(make_redis, make_agent, notify):
    server = make_redis(start=False)
    agent = make_agent(server.url(), notify=notify, settings=SHIPPED)
    notify.wait_for("READY", timeout=5)
    agent.wait_for_log(TRYING)
    server.start()
    appeared = time.monotonic()
    server.wait_for_beat("ook", timeout=5)
    assert time.monotonic() - appeared < 1.0
    assert len(agent.logged(TRYING)) == 1


def test_one_line_however_many_tries(fake_redis, make_agent):
    server = fake_redis(lambda connection: None)  # takes the connection and hangs up
    agent = make_agent(server.url(), settings={"redis.backoff_cap": "20ms"})
    server.wait_accepted(40)
    assert len(agent.logged("redis")) == 2  # what it is about to do, and that it does not work
    assert len(agent.logged(TRYING)) == 1


# --- found within three seconds, as shipped -----------------------------------------------------


@pytest.mark.parametrize("fault", ["killed", "stopped", "black hole", "rubbish", "half a reply"])
def test_found_within_three_seconds_as_shipped(redis_server, make_agent, proxy, notify, sanitized,
                                               fault):
    way = proxy(redis_server)
    agent = make_agent(way.url(), notify=notify, settings=SHIPPED)
    notify.wait_for("STATUS", lambda words: "connected" in words)
    redis_server.wait_for_beat("ook")
    lines, datagrams = len(agent.lines), len(notify.datagrams)

    begin = time.monotonic()
    if fault == "killed":
        redis_server.kill()
    elif fault == "stopped":
        redis_server.pause()
    else:
        way.mode = {"black hole": "black_hole", "half a reply": "half"}.get(fault, fault)
    found, _ = agent.wait_for_log(TRYING, after=lines, timeout=5)
    assert found - begin < (3.5 if sanitized else 3.0)
    notify.wait_for("STATUS", lambda words: TRYING in words, after=datagrams)

    datagrams = len(notify.datagrams)
    if fault == "killed":
        redis_server.start()
    elif fault == "stopped":
        redis_server.resume()
    way.mode = "pass"
    notify.wait_for("STATUS", lambda words: "connected" in words, after=datagrams)
    redis_server.wait_for_beat("ook")
    # A line for each change of what is wrong (closed, then refused), none for each try.
    causes = [line.split("; trying")[0] for line in agent.logged(TRYING)]
    assert len(causes) == len(set(causes)) <= 2


# --- two hundred in a row -----------------------------------------------------------------------

IMPATIENT = {
    "redis.connect_timeout": "300ms",
    "redis.command_timeout": "150ms",
    "redis.ping_after": "40ms",
    "redis.backoff_base": "5ms",
    "redis.backoff_cap": "50ms",
    "heartbeat.history": False,
}


class Faults:
    """Each breaks the link in its way, waits until the agent has found out, and mends it."""

    def __init__(self, server, way, agent):
        self.server, self.way, self.agent = server, way, agent

    def killed_and_restarted(self):
        self.server.kill()
        self.found()
        self.server.start()

    def stopped(self):
        self.server.pause()
        self.found()
        self.server.resume()

    def emptied(self):
        # The link is well: this is found by the beat itself.
        self.server.client().flushall()
        self.link_stays = True

    def black_hole(self):
        self.spoil("black_hole")

    def swallowed(self):
        self.spoil("swallow")

    def rubbish(self):
        self.spoil("rubbish")

    def half_a_reply(self):
        self.spoil("half")

    def refused(self):
        self.spoil("refuse")

    def reset(self):
        self.way.reset_all()
        self.found()

    def closed(self):
        self.way.close_all()
        self.found()

    def spoil(self, mode):
        self.way.mode = mode
        self.found()
        self.way.mode = "pass"

    def found(self):
        self.agent.wait_for_log(TRYING, after=self.lines, timeout=3)

    ALL = (killed_and_restarted, rubbish, stopped, closed, black_hole, emptied, half_a_reply, reset,
           swallowed, refused)

    def __call__(self, turn):
        self.lines = len(self.agent.lines)
        self.link_stays = False
        self.ALL[turn % len(self.ALL)](self)
        if not self.link_stays:
            # Only this says that answers come through again: beats may land while they do not.
            self.agent.wait_for_log(CONNECTED, after=self.lines, timeout=3)


@pytest.mark.time_limit(150)
@pytest.mark.own_users("for 40 s it tries the link, which is the same for every user")
def test_two_hundred_faults_in_a_row(redis_server, make_agent, proxy, sanitized):
    way = proxy(redis_server)
    agent = make_agent(way.url(), settings={**IMPATIENT, "watch.enabled": False})
    redis_server.wait_for_beat("ook")
    faults = Faults(redis_server, way, agent)
    for turn in range(200):
        if turn == len(Faults.ALL):  # every kind of trouble has been met once
            memory, descriptors = agent.own_memory(), len(agent.descriptors())
        faults(turn)
        beats_on(redis_server)
    # It is the same agent still, and has kept nothing of all that.
    assert agent.process.poll() is None
    wait_until(lambda: len(agent.descriptors()) == descriptors)
    # A sanitizer's allocator keeps what was freed, an emulator what it has translated.
    if not sanitized and "NODEBEAT_TEST_EMULATED" not in os.environ:
        assert agent.own_memory() < memory + 256 * 1024


# --- broken replies -----------------------------------------------------------------------------

BROKEN = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "a zero byte": b"\0",
    "an endless line": b"+" + b"x" * 200_000,
    "a bulk of eight exbibytes": b"$9223372036854775807\r\nabc",
    "two milliards of replies": b"*2147483647\r\n",
    "a negative length": b"$-7\r\n",
    "a deep nesting": b"*1\r\n" * 5000,
    "one reply too many": b"+OK\r\n" * 64,
    "a push nobody asked for": b">2\r\n+invalidate\r\n*0\r\n",
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("greeted", [False, True], ids=["at the greeting", "later"])
def test_broken_replies_end_the_connection(fake_redis, make_agent, reply, greeted):
    server = fake_redis(greet_then(reply) if greeted else answer_all(reply))
    agent = make_agent(server.url(), settings={"redis.max_reply": "64KiB"})
    agent.wait_for_log(TRYING, timeout=3)
    server.wait_accepted(3)
    assert agent.memory().rss < 200e6  # no length that a server claims is believed


def test_half_a_greeting_is_found_by_the_deadline(fake_redis, make_agent):
    server = fake_redis(lambda c: (c.read_command(), c.send(b"+O"), c.wait_closed()))
    agent = make_agent(server.url(), settings={"redis.command_timeout": "300ms"})
    agent.wait_for_log("does not answer.*" + TRYING, timeout=3)


def test_replies_that_trickle_are_no_trouble(redis_server, make_agent, fake_redis):
    """One byte at a time is slow, not wrong."""

    def script(connection):
        queued = []
        while True:
            reply = usual_reply(connection.read_command(), queued)
            for i in range(len(reply)):
                connection.send(reply[i : i + 1])

    server = fake_redis(script)
    agent = make_agent(server.url())
    agent.wait_for_log(CONNECTED)
    wait_until(lambda: sum(c[0] == "EXEC" for c in server.commands) >= 5)
    assert server.accepted == 1 and not agent.logged(TRYING)


def test_a_status_that_breaks_off_calls_no_node_expired(make_agent, fake_redis, connect):
    def script(connection):
        queued = []
        while True:
            command = connection.read_command()
            if command == ["HSTRLEN", "node:health:hog", "health"]:
                return
            if command[:2] == ["HSCAN", "nodebeat:nodes"]:
                connection.send(b"*2\r\n$1\r\n0\r\n*4\r\n$3\r\nhog\r\n$2\r\n{}\r\n$3\r\nook\r\n$2\r\n{}\r\n")
            elif command[0] in ("SCAN", "HSCAN"):
                connection.send(b"*2\r\n$1\r\n0\r\n*0\r\n")
            elif command[0] == "HLEN":
                connection.send(b":2\r\n")
            else:
                connection.send(usual_reply(command, queued))

    agent = make_agent(fake_redis(script).url())
    agent.wait_for_log(CONNECTED)
    client = connect(agent)
    wait_until(lambda: client.call("health.get")["health"])
    status = client.call("system.status")
    assert (status["redis_connected"], status["total_nodes"], status["nodes_online"]) == (False, 1, 1)
    assert list(status["nodes_health"]) == list(status["nodes_last_seen"]) == ["ook"]


def test_an_error_to_one_command_is_said_once_and_ends_nothing(redis_server, make_agent):
    client = redis_server.client()
    client.set("stream:node_metrics:ook", "somebody's text")
    agent = make_agent(redis_server.url())
    agent.wait_for_log("WRONGTYPE")
    beats_on(redis_server)
    beats_on(redis_server)
    assert len(agent.logged("WRONGTYPE")) == 1 and not agent.logged(TRYING)
    client.delete("stream:node_metrics:ook")
    wait_until(lambda: redis_server.history("ook"))


# --- named troubles -----------------------------------------------------------------------------

SECRET = "s3cr3t-Pa55:w0rd/42"
QUOTED = "s3cr3t-Pa55%3Aw0rd%2F42"


def assert_secret(agent, *texts):
    for text in [*agent.log(), *texts]:
        assert SECRET not in text and QUOTED not in text and "Pa55" not in text


def named(agent, words, notify=None):
    """The trouble is named, and however often it is met after that, once."""
    agent.wait_for_log(f"{words}.*{TRYING}")
    if notify is not None:
        notify.wait_for("STATUS", lambda status: re.search(words, status))


def once(agent, words):
    assert len(agent.logged(words)) == 1, agent.log()


def test_wrong_password(make_redis, make_agent, notify):
    server = make_redis(requirepass=SECRET)
    agent = make_agent(server.url(":not-the-one@"), notify=notify, settings={"log.level": "debug"})
    named(agent, "does not accept the user or password", notify)
    tries = server.client().info()["total_connections_received"]
    wait_until(lambda: server.client().info()["total_connections_received"] > tries + 5)
    once(agent, "user or password")
    server.client().config_set("requirepass", "not-the-one")
    recovered(agent, 1)
    assert not any("not-the-one" in line for line in agent.log())
    assert not any("not-the-one" in value for _, value in notify.with_key("STATUS"))


def test_no_password(make_redis, make_agent):
    server = make_redis(requirepass=SECRET)
    agent = make_agent(server.url())
    named(agent, "does not accept the user or password")
    server.client().config_set("requirepass", "")
    recovered(agent, 1)
    once(agent, "user or password")


def test_a_command_that_the_user_may_not_use(redis_server, make_agent):
    redis_server.client().execute_command(
        "ACL", "SETUSER", "agent", "reset", "on", f">{SECRET}", "~*", "&*", "+@all", "-hset"
    )
    agent = make_agent(redis_server.url(f"agent:{QUOTED}@"), settings={"log.level": "debug"})
    named(agent, "lacks a permission")
    assert redis_server.beat("ook") is None
    redis_server.client().execute_command("ACL", "SETUSER", "agent", "+hset")
    redis_server.wait_for_beat("ook")
    once(agent, "lacks a permission")
    assert_secret(agent)


def test_what_a_user_needs(redis_server, make_agent):
    """No more than this; it stands in the documentation."""
    redis_server.client().execute_command(
        "ACL", "SETUSER", "agent", "reset", "on", f">{SECRET}",
        "~node:health:ook", "~stream:node_metrics:ook", "~nodebeat:nodes", "~nodebeat:lease:ook",
        "~nodebeat:watch", "&node:events:ook", "-@all",
        "+auth", "+ping", "+select", "+client|setname", "+multi", "+exec", "+hget", "+hset",
        "+pexpire", "+xadd", "+publish", "+set", "+getrange",
    )
    agent = make_agent(redis_server.url(f"agent:{QUOTED}@"), settings={"watch.enabled": False})
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= 5)
    assert len(redis_server.history("ook")) >= 5
    assert not agent.logged(TRYING) and not agent.logged("refuses")
    names = [c["name"] for c in redis_server.client().client_list() if c["user"] == "agent"]
    assert names == ["nodebeat:ook"]


def test_loading(redis_server, make_agent):
    """A server that reads a large data set, for as long as the test likes."""
    client = redis_server.client()
    pipeline = client.pipeline()
    for i in range(4000):
        pipeline.set(f"ballast:{i}", i)
    pipeline.execute()
    agent = make_agent(redis_server.url())
    beats_on(redis_server)
    client.save()
    redis_server.kill()
    agent.wait_for_log(TRYING)
    redis_server.start(
        wait=False, save=["3600", "1"], key_load_delay=2000,
        loading_process_events_interval_bytes=1024,
    )
    named(agent, "is loading its data")
    lines = len(agent.lines)
    redis_server.client().config_set("key-load-delay", 0)
    redis_server.wait_ready()
    beats_on(redis_server)
    assert not agent.logged(TRYING, after=lines)


def test_read_only_replica(make_redis, make_agent):
    primary, server = make_redis(), make_redis()
    agent = make_agent(server.url())
    beats_on(server)
    server.client().replicaof("127.0.0.1", primary.port)
    named(agent, "is a read-only replica")
    server.client().replicaof("NO", "ONE")
    beats_on(server)
    once(agent, "is a read-only replica")


def test_replica_without_its_master(make_redis, make_agent):
    server, nobody = make_redis(replica_serve_stale_data="no"), make_redis(start=False)
    agent = make_agent(server.url())
    beats_on(server)
    server.client().replicaof("127.0.0.1", nobody.port)
    named(agent, "a replica without its master|a read-only replica")
    server.client().replicaof("NO", "ONE")
    beats_on(server)


def test_out_of_memory(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    beats_on(redis_server)
    redis_server.client().config_set("maxmemory", 1)
    named(agent, "is out of memory")
    redis_server.client().config_set("maxmemory", 0)
    beats_on(redis_server)
    once(agent, "is out of memory")


def test_a_server_that_cannot_save(make_redis, make_agent):
    server = make_redis(save=["3600", "1000000"])
    agent = make_agent(server.url())
    beats_on(server)
    (server.folder / "dump.rdb").mkdir()  # a folder in the place of the file
    server.client().bgsave()
    named(agent, "cannot save and takes no writes")
    server.client().config_set("stop-writes-on-bgsave-error", "no")
    beats_on(server)
    once(agent, "cannot save")


def test_no_room_for_another_client(make_redis, make_agent):
    server = make_redis()
    server.client().config_set("maxclients", 1)
    agent = make_agent(server.url())
    named(agent, "does not let this client in")
    server.client().config_set("maxclients", 100)
    recovered(agent, 1)
    once(agent, "does not let this client in")


def test_a_busy_script(redis_server, make_agent):
    agent = make_agent(redis_server.url())
    beats_on(redis_server)
    redis_server.client().config_set("busy-reply-threshold", 1)

    def run_script():
        with pytest.raises((redis.ResponseError, redis.TimeoutError)):
            redis_server.client(socket_connect_timeout=9).eval("while true do end", 0)

    script = threading.Thread(target=run_script)
    script.start()
    try:
        named(agent, "is busy with a script")
    finally:
        redis_server.client().script_kill()
        script.join()
    beats_on(redis_server)
    once(agent, "is busy with a script")


# --- ways to get there --------------------------------------------------------------------------


def test_over_a_unix_socket(redis_server, make_agent):
    agent = make_agent(redis_server.unix_url(db=2))
    redis_server.wait_for_beat("ook", db=2)
    redis_server.kill()
    agent.wait_for_log(TRYING)
    redis_server.start()
    redis_server.wait_for_beat("ook", db=2)


@pytest.mark.own_users("it tries what a URL says, which is the same for every user")
def test_a_path_with_percent_signs_and_the_parameters_of_other_programs(redis_server, make_agent):
    odd = redis_server.folder / "a b%c?.sock"
    odd.symlink_to(redis_server.socket_path)
    path = str(odd).replace("%", "%25").replace(" ", "%20").replace("?", "%3F")
    agent = make_agent(f"unix://{path}?db=2&protocol=3&decode_responses=True&socket_timeout=5")
    redis_server.wait_for_beat("ook", db=2)
    agent.wait_for_log(r"'socket_timeout' in the URL is not used: set \[redis\] command_timeout")
    assert len(agent.logged("redis.url")) == 1


def test_user_and_password_in_the_url(redis_server, make_agent):
    redis_server.client().execute_command(
        "ACL", "SETUSER", "cell", "on", f">{SECRET}", "~*", "&*", "+@all"
    )
    agent = make_agent(redis_server.url(f"cell:{QUOTED}@"), settings={"log.level": "debug"})
    redis_server.wait_for_beat("ook")
    assert_secret(agent)


def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return {"settings": {"redis.password_file": str(path)}}


def password_variable(tmp_path):
    return {"env": {"NODEBEAT_REDIS_PASSWORD": SECRET}}


def password_credential(tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "redis-password").write_text(SECRET)
    return {"env": {"CREDENTIALS_DIRECTORY": tmp_path / "credentials"}}


@pytest.mark.parametrize("place", [password_file, password_variable, password_credential])
def test_password_from_elsewhere(make_redis, make_agent, tmp_path, place):
    server = make_redis(requirepass=SECRET)
    agent = make_agent(server.url(), **place(tmp_path))
    server.wait_for_beat("ook")
    assert_secret(agent)
    with open(f"/proc/{agent.pid}/cmdline") as file:
        assert SECRET not in file.read()


def test_a_new_password_with_a_reload(make_redis, make_agent, tmp_path):
    server = make_redis(requirepass="old")
    path = tmp_path / "password"
    path.write_text("old")
    agent = make_agent(server.url(), settings={"redis.password_file": str(path)})
    server.wait_for_beat("ook")
    server.client().config_set("requirepass", SECRET)
    path.write_text(SECRET)
    agent.reload()
    recovered(agent, 2)
    beats_on(server)
    assert_secret(agent)


def test_localhost_has_more_than_one_address(redis_server, make_agent):
    """::1 comes first in most places, and this Redis listens on 127.0.0.1 only."""
    make_agent(f"redis://localhost:{redis_server.port}")
    redis_server.wait_for_beat("ook")


def test_over_ipv6(make_redis, make_agent):
    server = make_redis(start=False)
    try:
        socket.create_server(("::1", server.port), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no ::1 here")
    server.start(bind="::1")
    make_agent(f"redis://[::1]:{server.port}/1")
    server.wait_for_beat("ook", db=1)


def test_several_addresses_in_turn(redis_server, make_agent, isolated):
    wrapper, _ = isolated(hosts="127.0.0.3 cell-redis\n127.0.0.2 cell-redis\n127.0.0.1 cell-redis\n")
    agent = make_agent(f"redis://cell-redis:{redis_server.port}", wrapper=wrapper)
    redis_server.wait_for_beat("ook")
    assert not agent.logged(TRYING)


def test_a_name_that_resolves_only_later(redis_server, make_agent, isolated):
    """Two network modes: the name is looked up at each try."""
    wrapper, hosts = isolated(hosts="127.0.0.1 localhost\n")
    agent = make_agent(f"redis://cell-redis:{redis_server.port}", wrapper=wrapper)
    agent.wait_for_log("cannot be looked up.*" + TRYING, timeout=25)
    hosts.write_text("127.0.0.1 localhost cell-redis\n")
    redis_server.wait_for_beat("ook", timeout=25)
    assert len(agent.logged(TRYING)) == 1


def test_a_connect_that_never_ends_has_a_deadline(make_agent, closing):
    listener = closing(SilentListener(full=True))
    agent = make_agent(f"redis://127.0.0.1:{listener.port}",
                       settings={"redis.connect_timeout": "300ms"})
    agent.wait_for_log("not reachable.*" + TRYING, timeout=3)


# --- what waits while Redis is away -------------------------------------------------------------


def test_history_has_the_beats_of_an_outage(redis_server, make_agent, proxy):
    way = proxy(redis_server)
    agent = make_agent(way.url())
    first = redis_server.wait_for_beat("ook").health["seq"]
    way.mode = "refuse"
    agent.wait_for_log(TRYING)
    stopped_at = redis_server.beat("ook").health["seq"]
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > 0.5)  # an outage of about five beats
    way.mode = "pass"
    redis_server.wait_for_beat("ook", lambda h: h["seq"] >= stopped_at + 6)
    seqs = [h["seq"] for h in redis_server.history("ook")]
    missing = set(range(first, stopped_at + 6)) - set(seqs)
    assert not missing
    assert seqs == sorted(seqs)


def test_a_message_that_is_too_old_is_not_published(redis_server, make_agent, proxy, closing):
    """A node_down that comes late would be a lie: the agent said so while nobody could hear."""
    events = closing(redis_server.subscribe("node:events:ook"))
    target = closing(SilentListener())
    way = proxy(redis_server)
    agent = make_agent(
        way.url(), settings={"outbox.max_age": "200ms"},
        probes=[{"name": "port", "type": "tcp", "address": f"127.0.0.1:{target.port}",
                 "interval": "100ms", "down_after": 1}],
    )
    events.wait_for("probe_changed", lambda e: e["up"])
    way.mode = "refuse"
    agent.wait_for_log(TRYING)
    target.close()
    changed = time.monotonic()
    wait_until(lambda: time.monotonic() - changed > 1)  # the news grow old
    way.mode = "pass"
    health = redis_server.wait_for_beat("ook", lambda h: h["probes"][0]["up"] is False)
    assert health and len(events.of_type("probe_changed")) == 1
