"""nodebeat-audit against a real PostgreSQL and a real Redis: each entry of the audit arrives exactly once."""

import hashlib
import itertools
import json
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import redis as redis_py

from support.agent import is_sanitized
from support.audit import GROUP, STREAM, Audit, Writes, find_audit
from support.fault_proxy import FaultProxy
from support.postgres import PostgresServer, find_bin
from support.waiting import wait_until

TAKEN_OVER = re.compile(r"took over (\d+) entries that another consumer had left for 1 s")

PROGRAM = find_audit()
BIN = find_bin()
if PROGRAM is None:
    pytest.skip("no nodebeat-audit was built: it needs libpq-dev", allow_module_level=True)
if BIN is None:
    pytest.skip("there is no PostgreSQL here: ./dev test installs Debian's", allow_module_level=True)

pytestmark = pytest.mark.time_limit(60)
numbers = itertools.count()


@pytest.fixture(scope="module")
def shared_postgres():
    server = PostgresServer(BIN)
    server.start()
    yield server
    server.close()


class Database:
    """One database of a server, whose owner nodebeat-audit is."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def conninfo(self, port=None, user="audit"):
        return f"host=127.0.0.1 port={port or self.server.port} dbname={self.name} user={user}"

    def sql(self, text, user=None):
        return self.server.sql(text, self.name, user)

    def rows(self, table="nodebeat_audit", order="id"):
        return self.server.rows(f"SELECT * FROM {table} ORDER BY {order}", self.name)

    def ids(self, table="nodebeat_audit"):
        if self.sql(f"SELECT to_regclass('{table}') IS NULL") == ["t"]:
            return []
        return self.sql(f"SELECT id FROM {table} ORDER BY moved_at, id")


@pytest.fixture
def database(shared_postgres):
    server = shared_postgres
    if server.process.poll() is not None:
        server.start()
    name = f"audit_{next(numbers)}"
    server.sql("DO $$ BEGIN IF to_regrole('audit') IS NULL THEN CREATE ROLE audit LOGIN; END IF; END $$")
    server.sql(f"CREATE DATABASE {name} OWNER audit")
    yield Database(server, name)
    server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis(redis_server):
    return redis_server.client()


@pytest.fixture
def writes(redis):
    return Writes(redis)


@pytest.fixture
def make_audit(tmp_path, redis_server, database, users, closing):
    """make_audit(**settings): a nodebeat-audit that runs; `redis__url="..."` for a key of its file."""

    def make(start=True, wrapper=(), **settings):
        given = {"redis.url": redis_server.url(), "postgresql.conninfo": database.conninfo()}
        if users is not None:
            given |= {"redis.username": "audit", "redis.password_file": str(users.folder / "audit.password")}
        given |= {name.replace("__", "."): value for name, value in settings.items()}
        return closing(Audit(PROGRAM, tmp_path / f"audit-{next(numbers)}", given, start, wrapper))

    return make


def all_there(database, ids, table="nodebeat_audit"):
    """Waits until exactly these are there."""
    wait_until(lambda: sorted(database.ids(table)) == sorted(ids), 20,
               lambda: f"{len(ids)} entries, of which there are {len(database.ids(table))}")


def nothing_pending(redis):
    wait_until(lambda: redis.xpending(STREAM, GROUP)["pending"] == 0)


# --- what arrives ------------------------------------------------------------------------------------


def test_who_wrote_what(make_audit, database, redis_server, make_agent, steady):
    agent = make_agent(redis_server.url(), node="hog")
    client = steady(agent)
    instance = client.call("client.hello", name="robot")["instance_id"]
    state = {"arm": [1.5, 2], "text": "ünï \"quoted\" \\"}
    client.call("session.create", session_id="s 1", state=state)
    client.call("session.update", session_id="s 1", state={"b": {}}, expected_version=1)
    client.call("session.delete", session_id="s 1")
    make_audit()
    wait_until(lambda: len(database.ids()) == 3)
    rows = database.rows()
    common = {"client": "robot", "uid": os.getuid(), "node": "hog", "instance": instance, "session_id": "s 1"}
    for row in rows:
        assert {name: row[name] for name in common} == common
    assert [(r["op"], r["old_version"], r["new_version"]) for r in rows] == [
        ("create", None, 1), ("update", 1, 2), ("delete", 2, None)]
    assert [r["state"] is None for r in rows] == [False, False, True]
    stored = json.loads(rows[0]["state"])
    assert (stored["text"], stored["version"], stored["session_id"]) == (state["text"], 1, "s 1")
    assert len({r["sequence"] for r in rows}) == 3
    # The time is Redis' own, at the write.
    assert all(abs(int(r["id"].split("-")[0]) / 1000 - time.time()) < 60 for r in rows)
    assert rows[0]["written_at"].startswith(stored["created_at"][:10])


@pytest.mark.own_users("they are of a cell without a prefix")
def test_of_several_cells_it_has_its_own(make_audit, database, redis_server, make_agent, steady):
    for prefix, session in (("", "other"), ("cellA:", "own")):
        agent = make_agent(redis_server.url(), settings={"redis.prefix": prefix})
        steady(agent).call("session.create", session_id=session, state={})
        agent.stop()
    audit = make_audit(redis__prefix="cellA:")
    wait_until(database.ids)
    assert [row["session_id"] for row in database.rows()] == ["own"]
    wait_until(lambda: redis_server.client().xpending("cellA:" + STREAM, GROUP)["pending"] == 0)
    assert "cellA:" + STREAM in audit.run("--check").stdout


def test_a_state_is_stored_digit_by_digit(make_audit, database, writes):
    states = ['{"n":1.10e+0,"big":123456789012345678901234567890,"e":[],"o":{}}', '{"s":"\\u0000\\"\\\\"}',
              '{"ü":"\U0001f600\u2028","x":"NULL"}', '{"tab":"a\\tb","brace":"{}","comma":","}', None,
              '{"long":"' + "x" * 2_000_000 + '"}']
    ids = [writes.add(state=state)[0] for state in states]
    make_audit()
    all_there(database, ids)
    assert [row["state"] for row in database.rows()] == states


def test_without_the_state_if_the_agent_leaves_that_out(make_audit, database, redis_server, make_agent, steady):
    client = steady(make_agent(redis_server.url(), settings={"session.audit_state": False}))
    client.call("session.create", session_id="s", state={"secret": 1})
    make_audit()
    row = wait_until(lambda: database.ids() and database.rows())[0]
    assert (row["state"], row["new_version"], row["client"]) == (None, 1, "")


def test_what_is_no_entry_of_an_agent_is_kept_and_holds_nothing_up(make_audit, database, redis, writes):
    odd = {
        "a field that agents do not write": writes.fields(more="x"),
        "lacks op": {k: v for k, v in writes.fields().items() if k != "op"},
        "session_id holds a zero byte": writes.fields(session_id="a\0b"),
        "client is no UTF-8": writes.fields(client=b"\xff\xfe"),
        "state is no UTF-8": writes.fields(state=b"\xc3"),
        "sequence is no number": writes.fields(sequence="first"),
        "new_version is no number": writes.fields(new_version="99999999999999999999"),
        "timestamp is not as agents write it": writes.fields(timestamp="yesterday"),
        "node is longer than 256 bytes": writes.fields(node="n" * 257),
        "the database refuses it: date/time field value out of range":
            writes.fields(timestamp="2026-13-41T14:03:07.123Z"),
    }
    before = writes.add(3)
    ids = {redis.xadd(STREAM, fields): (reason, fields) for reason, fields in odd.items()}
    after = writes.add(3)
    audit = make_audit()
    all_there(database, before + after)
    rows = wait_until(lambda: len(database.ids("nodebeat_audit_odd")) == len(odd) and
                      database.rows("nodebeat_audit_odd"))
    for row in rows:
        reason, fields = ids[row["id"]]
        assert reason in row["reason"]
        entry = bytes.fromhex(row["entry"].removeprefix("\\x"))
        assert hashlib.sha256(entry).hexdigest() == row["digest"].removeprefix("\\x")
        parts = [p for pair in fields.items() for p in pair]
        # The order of the fields is the stream's, but where the database refused an entry.
        sent = [p if isinstance(p, bytes) else p.encode() for p in parts]
        assert all(b"$%d\r\n%s\r\n" % (len(p), p) in entry for p in sent), reason
        assert entry.startswith(b"*%d\r\n" % len(parts))
    nothing_pending(redis)
    audit.wait_for_log("is none of an agent's, and is kept in nodebeat_audit_odd")
    audit.wait_for_log("1 entries were refused by the database for what they hold")


def test_an_entry_that_somebodys_trigger_refuses_holds_nothing_up(make_audit, database, writes):
    audit = make_audit()
    first = writes.add()
    all_there(database, first)
    database.sql("""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN IF NEW.client = 'bad' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE INSERT ON nodebeat_audit FOR EACH ROW EXECUTE FUNCTION no();
        ALTER TABLE nodebeat_audit ADD CONSTRAINT once UNIQUE (client, sequence) DEFERRABLE INITIALLY DEFERRED;
        """)
    good = writes.add()
    bad = writes.add(client="bad")
    twice = writes.add(sequence="1")
    last = writes.add()
    all_there(database, first + good + last)
    all_there(database, bad + twice, "nodebeat_audit_odd")
    reasons = {r["id"]: r["reason"] for r in database.rows("nodebeat_audit_odd")}
    assert reasons[bad[0]] == "the database refuses it: not this one"
    assert "violates unique constraint" in reasons[twice[0]]
    assert audit.process.poll() is None


def test_an_entry_too_large_to_be_read_holds_nothing_up(make_audit, database, redis, writes):
    redis.config_set("proto-max-bulk-len", "512mb")
    before = writes.add(3)
    giant = redis.xadd(STREAM, {"x": b"y" * (17 << 20)})
    after = writes.add(3)
    audit = make_audit(redis__command_timeout="10s")
    all_there(database, before + after)
    all_there(database, [giant], "nodebeat_audit_odd")
    (row,) = database.rows("nodebeat_audit_odd")
    assert row["reason"] == "it is larger than any entry of an agent, and was not copied"
    nothing_pending(redis)
    # It is the stream's first entry now, and in every answer about the stream.
    redis.xtrim(STREAM, minid=giant)
    later = writes.add(3)
    all_there(database, before + after + later)
    assert audit.process.poll() is None


def test_two_streams_with_the_same_ids(make_audit, database, redis, writes):
    """A Redis that was emptied, and whose clock was set back."""
    first = redis.xadd(STREAM, writes.fields(), id="1000-0")
    make_audit()
    all_there(database, [first])
    redis.flushall()
    again = redis.xadd(STREAM, {**writes.fields(), "instance": "i2", "sequence": "1"}, id="1000-0")
    later = redis.xadd(STREAM, writes.fields(), id="1001-0")
    all_there(database, [first, again, later])
    assert database.rows("nodebeat_audit_gap", "1") == []


# --- what was trimmed --------------------------------------------------------------------------------


def test_entries_trimmed_before_they_were_read_are_noticed(make_audit, database, redis, writes):
    audit = make_audit()
    first = writes.add(5)
    all_there(database, first)
    nothing_pending(redis)
    audit.stop()
    lost = writes.add(300)
    kept = writes.add(7)
    redis.xtrim(STREAM, maxlen=7, approximate=False)
    audit.start()
    all_there(database, first + kept)
    (gap,) = wait_until(lambda: database.rows("nodebeat_audit_gap", "1"))
    assert (gap["entries"], gap["after_id"], gap["before_id"]) == (300, first[-1], kept[0])
    assert lost[0] > gap["after_id"] and lost[-1] < gap["before_id"]
    audit.wait_for_log("300 entries were trimmed from the stream before they were read")
    # Once, and not again.
    audit.stop()
    audit.start()
    more = writes.add(2)
    all_there(database, first + kept + more)
    assert len(database.rows("nodebeat_audit_gap", "1")) == 1


def test_a_stream_that_was_emptied_before_it_was_read(make_audit, database, redis, writes):
    audit = make_audit()
    first = writes.add(2)
    all_there(database, first)
    audit.stop()
    writes.add(4)
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    audit.start()
    (gap,) = wait_until(lambda: database.rows("nodebeat_audit_gap", "1"))
    assert (gap["entries"], gap["after_id"], gap["before_id"]) == (4, first[-1], "0-0")
    more = writes.add(2)
    all_there(database, first + more)
    assert len(database.rows("nodebeat_audit_gap", "1")) == 1


def test_entries_trimmed_after_they_were_read_are_noticed(make_audit, database, redis, writes):
    redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    lost = writes.add(3)
    redis.xreadgroup(GROUP, "me", {STREAM: ">"})
    redis.xreadgroup(GROUP, "dead", {STREAM: ">"})
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    kept = writes.add(2)
    audit = make_audit(audit__consumer="me")
    all_there(database, kept)
    wait_until(lambda: len(database.rows("nodebeat_audit_gap", "1")) == 3)
    gaps = database.rows("nodebeat_audit_gap", "after_id")
    assert [(g["after_id"], g["before_id"], g["entries"]) for g in gaps] == [(i, i, 1) for i in lost]
    nothing_pending(redis)
    audit.wait_for_log("3 entries were trimmed from the stream after they were read")


def test_what_was_trimmed_and_had_arrived_is_no_gap(make_audit, database, redis, writes):
    audit = make_audit()
    first = writes.add(50)
    all_there(database, first)
    nothing_pending(redis)
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    redis.xgroup_destroy(STREAM, GROUP)
    second = writes.add(5)
    all_there(database, first + second)
    redis.delete(STREAM)
    third = writes.add(5)
    all_there(database, first + second + third)
    assert database.rows("nodebeat_audit_gap", "1") == []
    assert audit.process.poll() is None


# --- consumers and groups ------------------------------------------------------------------------------


def test_a_dead_consumers_entries_are_taken_over(make_audit, database, redis, writes):
    redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    ids = writes.add(1200)
    assert len(redis.xreadgroup(GROUP, "dead", {STREAM: ">"})[0][1]) == 1200
    audit = make_audit(audit__batch=100)
    all_there(database, ids)
    nothing_pending(redis)
    def taken_over():
        return sum(int(m[1]) for line in audit.lines if (m := TAKEN_OVER.search(line)))

    wait_until(lambda: taken_over() == 1200, 15, lambda: str(audit.lines))


def test_it_goes_on_with_what_it_had_read(make_audit, database, redis, writes):
    redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    ids = writes.add(30)
    redis.xreadgroup(GROUP, "me", {STREAM: ">"}, count=20)
    make_audit(audit__consumer="me", audit__takeover_after="1h")
    all_there(database, ids)
    nothing_pending(redis)


def test_two_of_them_share_the_work(make_audit, database, redis, writes):
    one, two = (make_audit(audit__consumer=name, audit__batch=10) for name in ("one", "two"))
    ids = []
    for _ in range(30):
        ids += writes.add(20)
    all_there(database, ids)
    two.kill()
    ids += writes.add(100)
    all_there(database, ids)
    nothing_pending(redis)
    assert database.rows("nodebeat_audit_gap", "1") == [] and one.process.poll() is None


@pytest.mark.parametrize("loss", ["group", "stream", "everything"])
def test_a_group_that_is_gone_is_made_anew(make_audit, database, redis, writes, loss):
    audit = make_audit()
    first = writes.add(10)
    all_there(database, first)
    nothing_pending(redis)
    {"group": lambda: redis.xgroup_destroy(STREAM, GROUP), "stream": lambda: redis.delete(STREAM),
     "everything": redis.flushall}[loss]()
    second = writes.add(10)
    all_there(database, first + second)
    nothing_pending(redis)
    assert len([l for l in audit.lines if "made the group" in l]) == 2
    assert database.rows("nodebeat_audit_gap", "1") == [] and database.ids("nodebeat_audit_odd") == []


# --- trouble with Redis --------------------------------------------------------------------------------


def test_redis_that_restarts(make_audit, database, redis_server, make_redis, writes, closing):
    audit = make_audit()
    first = writes.add(5)
    all_there(database, first)
    redis_server.kill()
    audit.wait_for_log("trying again")
    redis_server.start()
    second = Writes(redis_server.client(), "i2").add(5)
    all_there(database, first + second)
    audit.wait_for_log("moving entries again")


def test_a_replica_is_refused_until_it_is_none(make_audit, database, redis_server, redis, make_redis):
    redis.replicaof("127.0.0.1", str(make_redis(start=False).port))
    audit = make_audit()
    audit.wait_for_log("READONLY|MASTERDOWN|replica")
    redis.replicaof("NO", "ONE")
    ids = Writes(redis).add(5)
    all_there(database, ids)


@pytest.mark.parametrize("answer", [
    "LOADING Redis is loading the dataset in memory", "OOM command not allowed",
    "BUSY Redis is busy running a script", "MISCONF Errors writing to the AOF file"])
@pytest.mark.own_users("a server that answers so has no users")
def test_errors_of_the_whole_server_are_waited_out(make_audit, database, redis_server, writes, proxy, answer):
    way = proxy(redis_server)
    way.error = f"-{answer}\r\n".encode()
    way.mode = "errors"
    audit = make_audit(redis__url=way.url())
    ids = writes.add(5)
    audit.wait_for_log(answer.split()[0])
    way.mode = "pass"
    way.reset_all()
    all_there(database, ids)


def test_a_key_of_another_type_is_named(make_audit, database, redis):
    redis.set(STREAM, "x")
    audit = make_audit()
    audit.wait_for_log("WRONGTYPE")
    redis.delete(STREAM)
    ids = Writes(redis).add(2)
    all_there(database, ids)


# --- trouble with PostgreSQL ---------------------------------------------------------------------------


def test_a_table_that_is_dropped_is_made_anew(make_audit, database, writes):
    make_audit()
    first = writes.add(3)
    all_there(database, first)
    database.sql("DROP TABLE nodebeat_audit, nodebeat_audit_gap")
    second = writes.add(3)
    all_there(database, second)


def test_tables_of_another_version_are_left_alone(make_audit, database, writes):
    audit = make_audit()
    first = writes.add(3)
    all_there(database, first)
    audit.stop()
    database.sql("UPDATE nodebeat_audit_meta SET version = 2")
    second = writes.add(3)
    audit.start()
    audit.wait_for_log("the tables are of version 2, and this nodebeat-audit knows version 1: install the one")
    assert database.ids() == first
    database.sql("UPDATE nodebeat_audit_meta SET version = 1")
    all_there(database, first + second)


@pytest.mark.parametrize("code", ["53100", "57014", "40001", "XX000"])
def test_what_will_pass_is_waited_for(make_audit, database, writes, code):
    """A full disk, a time limit, a conflict: none of these is the entry's fault."""
    audit = make_audit()
    first = writes.add(3)
    all_there(database, first)
    database.sql(f"""
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '{code}'; END $$;
        CREATE TRIGGER no BEFORE INSERT ON nodebeat_audit FOR EACH ROW EXECUTE FUNCTION no();""")
    second = writes.add(3)
    audit.wait_for_log("could not extend file; trying again")
    assert database.ids("nodebeat_audit_odd") == []
    database.sql("DROP TRIGGER no ON nodebeat_audit")
    all_there(database, first + second)
    assert len([l for l in audit.lines if "could not extend file" in l]) == 1, "each trouble is told once"


def test_a_database_that_only_lets_read(make_audit, database, writes):
    audit = make_audit()
    first = writes.add(3)
    all_there(database, first)
    database.sql(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit'")
    second = writes.add(3)
    audit.wait_for_log("read-only transaction")
    database.sql(f"SET default_transaction_read_only = off; ALTER DATABASE {database.name} RESET ALL")
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit'")
    all_there(database, first + second)


def test_a_standby_is_refused_until_it_is_none(make_audit, database, writes):
    audit = make_audit()
    first = writes.add(3)
    all_there(database, first)
    server = database.server
    server.kill()
    signal = server.data / "standby.signal"
    signal.touch()
    server.start()
    second = writes.add(3)
    audit.wait_for_log("this server is a standby, which takes no writes: name the primary")
    assert "this server is a standby" in check(audit, 2)
    server.sql("SELECT pg_promote()")
    all_there(database, first + second)
    assert not signal.exists()


def test_another_database_and_the_socket_of_redis(make_audit, database, redis_server):
    ids = Writes(redis_server.client(db=3)).add(3)
    make_audit(redis__url=redis_server.unix_url(db=3))
    all_there(database, ids)


def test_a_role_that_may_not_make_tables_uses_those_that_are_there(make_audit, database, writes):
    database.sql("DO $$ BEGIN IF to_regrole('guest') IS NULL THEN CREATE ROLE guest LOGIN; END IF; END $$")
    audit = make_audit(postgresql__conninfo=database.conninfo(user="guest"))
    audit.wait_for_log("the tables cannot be made: permission denied for schema public")
    owner = make_audit(audit__consumer="owner")
    wait_until(lambda: database.ids("nodebeat_audit") == [] and
               database.sql("SELECT to_regclass('nodebeat_audit_meta') IS NOT NULL") == ["t"])
    owner.stop()
    database.sql("GRANT SELECT, INSERT ON nodebeat_audit, nodebeat_audit_odd, nodebeat_audit_gap TO guest;"
                 "GRANT SELECT, UPDATE ON nodebeat_audit_meta TO guest")
    ids = writes.add(3)
    all_there(database, ids)


def test_a_database_whose_encoding_cannot_hold_every_text(make_audit, database, shared_postgres):
    shared_postgres.sql("CREATE DATABASE narrow OWNER audit ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    narrow = Database(shared_postgres, "narrow")
    audit = make_audit(postgresql__conninfo=narrow.conninfo())
    audit.wait_for_log("the database's encoding is LATIN1, which cannot hold every text: make one with")
    shared_postgres.sql("DROP DATABASE narrow WITH (FORCE)")


@pytest.mark.parametrize("mode", ["black_hole", "swallow", "half", "rubbish", "refuse"])
@pytest.mark.parametrize("side", ["redis", "postgresql"])
def test_a_link_that_breaks(make_audit, database, redis_server, writes, proxy, closing, mode, side):
    if side == "redis":
        way = proxy(redis_server)
        audit = make_audit(redis__url=way.url())
    else:
        way = closing(FaultProxy(("127.0.0.1", database.server.port)))
        audit = make_audit(postgresql__conninfo=database.conninfo(way.port), postgresql__statement_timeout="200ms")
    first = writes.add(3)
    all_there(database, first)
    way.mode = mode
    way.reset_all()
    second = writes.add(3)
    audit.wait_for_log("trying again")
    assert database.ids() == first
    way.mode = "pass"
    way.reset_all()
    all_there(database, first + second)


# --- --check -------------------------------------------------------------------------------------------


def check(audit, code):
    done = audit.run("--check")
    print(done.stdout, done.stderr)
    assert done.returncode == code and done.stderr == ""
    return done.stdout


def test_check_when_all_is_well(make_audit, database, redis, writes):
    audit = make_audit(start=False)
    before = check(audit, 0)
    assert "nodebeat:sessions:audit is not there yet: no session was written" in before
    assert "to be made at the start: nodebeat_audit, nodebeat_audit_odd, nodebeat_audit_gap" in before
    assert redis.dbsize() == 0 and database.sql("SELECT to_regclass('nodebeat_audit') IS NULL") == ["t"]
    ids = writes.add(3)
    audit.start()
    all_there(database, ids)
    nothing_pending(redis)
    after = check(audit, 0)
    assert "3 entries are stored" in after
    assert f"{STREAM} has 3 entries, read up to {ids[-1]} of {ids[-1]}" in after


def test_check_tells_of_gaps(make_audit, database, redis, writes):
    writes.add(3)
    redis.xtrim(STREAM, maxlen=1, approximate=False)
    audit = make_audit()
    wait_until(lambda: database.ids())
    assert "1 times entries left the stream before they were stored" in check(audit, 1)


def test_check_when_nothing_is_there(make_audit, database, redis_server):
    audit = make_audit(redis__url="redis://127.0.0.1:1", postgresql__conninfo="host=127.0.0.1 port=1",
                       redis__username=None, redis__password_file=None)
    said = check(audit, 2)
    assert "127.0.0.1:1: Connection refused" in said and "does Redis run there, and listen on that address" in said
    assert "does PostgreSQL run there, and listen on that address (postgresql.conninfo)?" in said


@pytest.mark.parametrize("conninfo, fault, advice", [
    ("user=nobody_here", 'role "nobody_here" does not exist', "make the role: createuser nodebeat-audit"),
    ("dbname=nowhere", 'database "nowhere" does not exist', "createdb --encoding=UTF8"),
    ("user=visitor", "missing, and this role may not make them: nodebeat_audit", "GRANT CREATE ON SCHEMA public"),
    ("options=-csearch_path=nothing", "missing, and this role may not make them", "GRANT CREATE ON SCHEMA"),
    ("options=-cdefault_transaction_read_only=on", "this database only lets read", "has to be off"),
])
def test_check_names_what_is_wrong_with_postgresql(make_audit, database, conninfo, fault, advice):
    database.sql("DO $$ BEGIN IF to_regrole('visitor') IS NULL THEN CREATE ROLE visitor LOGIN; END IF; END $$")
    audit = make_audit(start=False, postgresql__conninfo=f"{database.conninfo()} {conninfo}")
    said = check(audit, 2)
    assert fault in said and advice in said


@pytest.mark.own_users("brings its own")
def test_check_names_what_is_wrong_with_redis(make_audit, database, redis, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("right\n")
    secret.chmod(0o600)
    audit = make_audit(start=False, redis__username="audit", redis__password_file=str(secret))
    redis.execute_command("ACL", "SETUSER", "audit", "on", ">wrong", "+@all", "~*", "-xack")
    assert "WRONGPASS" in (said := check(audit, 2)) and "nodebeatctl redis setup writes both" in said
    redis.execute_command("ACL", "SETUSER", "audit", ">right")
    assert "XACK refused: NOPERM" in (said := check(audit, 2)) and "users.acl has for 'audit'" in said
    redis.execute_command("ACL", "SETUSER", "audit", "+xack")
    assert "problem" not in check(audit, 0)
    redis.execute_command("CONFIG", "SET", "requirepass", "x")
    audit = make_audit(start=False)
    assert "NOAUTH" in (said := check(audit, 2)) and "redis.username, redis.password_file" in said


def test_check_of_a_replica(make_audit, database, redis, make_redis):
    redis.replicaof("127.0.0.1", str(make_redis(start=False).port))
    assert "redis.url has to name the server that is written to" in check(make_audit(start=False), 2)
    redis.replicaof("NO", "ONE")


def test_check_of_another_version(make_audit, database):
    audit = make_audit()
    wait_until(lambda: database.sql("SELECT to_regclass('nodebeat_audit_meta') IS NOT NULL") == ["t"])
    audit.stop()
    database.sql("UPDATE nodebeat_audit_meta SET version = 7")
    assert "they are of version 7" in check(audit, 2)


def test_a_configuration_that_is_wrong(make_audit):
    audit = make_audit(start=False, audit__batch=0, redis__pasword_file="/x")
    done = audit.run()
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert any("key 'audit.batch': integer 0 is out of range: allowed is 1 to 2000" in l for l in lines)
    assert any("unknown key; did you mean 'password_file'?" in l for l in lines)
    assert audit.run("--check-config").returncode == 78
    right = make_audit(start=False).run("--check-config")
    assert (right.returncode, right.stdout) == (0, "the configuration is right\n")
    assert make_audit(start=False).run("--chekc").returncode == 64
    assert make_audit(start=False).run("now").returncode == 64


def test_a_password_stands_in_no_line(make_audit, database, redis_server, redis, tmp_path, writes):
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    audit = make_audit(postgresql__password_file=str(secret))
    all_there(database, writes.add())
    assert "geheim" not in open(f"/proc/{audit.process.pid}/cmdline").read()
    database.server.kill()
    writes.add()
    audit.wait_for_log("trying again")
    database.server.start()
    assert "geheim" not in "".join(audit.lines)


# --- the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["idle", "redis hangs", "postgresql hangs", "both are away"])
def test_sigterm_ends_it_at_once(make_audit, database, redis_server, writes, proxy, closing, stop_within, where):
    to_redis = proxy(redis_server)
    to_database = closing(FaultProxy(("127.0.0.1", database.server.port)))
    audit = make_audit(redis__url=to_redis.url(), postgresql__conninfo=database.conninfo(to_database.port),
                       redis__command_timeout="30s", postgresql__statement_timeout="30s",
                       postgresql__connect_timeout="30s", redis__connect_timeout="30s", audit__backoff_cap="1min")
    all_there(database, writes.add())
    if where == "redis hangs":
        to_redis.mode = "black_hole"
    elif where == "postgresql hangs":
        to_database.mode = "black_hole"
        # More than the kernel takes for a peer that reads nothing.
        writes.add(state="y" * 8_000_000)
        wait_until(lambda: redis_server.client().xpending(STREAM, GROUP)["pending"] == 1)
    elif where == "both are away":
        to_redis.mode = to_database.mode = "refuse"
        audit.wait_for_log("trying again")
    begin = time.monotonic()
    assert audit.stop() == 0
    assert time.monotonic() - begin < stop_within


@pytest.mark.parametrize("side", ["redis", "postgresql"])
def test_sigterm_ends_it_at_once_while_the_resolver_is_silent(make_audit, tmp_path, redis_server, database,
                                                              isolated, stop_within, side):
    wrapper, _ = isolated(dead_resolver=True)
    socket = f"host={database.server.folder} port={database.server.port} dbname={database.name} user=audit"
    settings = {"redis": {"redis__url": "redis://db.example:6379", "postgresql__conninfo": socket},
                "postgresql": {"redis__url": redis_server.unix_url(), "postgresql__conninfo": "host=db.example"}}
    audit = make_audit(wrapper=wrapper, redis__connect_timeout="30s", **settings[side])
    # The question to the resolver, which nobody answers.
    sockets = Path(f"/proc/{audit.process.pid}/net/udp")
    wait_until(lambda: any(line.split()[2].endswith(":0035") for line in sockets.read_text().splitlines()[1:]))
    begin = time.monotonic()
    assert audit.stop() == 0
    assert time.monotonic() - begin < stop_within


def test_what_it_takes_of_memory(make_audit, database, writes):
    """Large entries, as many as there may be at once: far below MemoryMax of its unit."""
    ids = [writes.add(state='{"x":"' + "y" * 1_000_000 + '"}')[0] for _ in range(64)]
    audit = make_audit()
    all_there(database, ids)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{audit.process.pid}/status").read_text())[1]
    assert is_sanitized(PROGRAM) or int(peak) < 150 << 10


# --- all at once ---------------------------------------------------------------------------------------


@pytest.mark.time_limit(150)
def test_each_entry_arrives_exactly_once_whatever_is_killed(make_audit, make_redis, database, proxy, closing):
    """Two of them, both servers killed, connections reset on both sides, the programs killed, all at random."""
    server = make_redis(appendonly="yes", appendfsync="always")
    chance = random.Random(7)
    to_redis = proxy(server)
    to_database = closing(FaultProxy(("127.0.0.1", database.server.port)))
    audits = [
        make_audit(redis__url=to_redis.url(), postgresql__conninfo=database.conninfo(to_database.port),
                   audit__consumer=name, audit__batch=batch)
        for name, batch in (("one", 20), ("two", 100))]
    confirmed = []
    done = threading.Event()

    def write():
        client = redis_py.Redis(unix_socket_path=str(server.socket_path), decode_responses=True,
                                **server._login())
        writes = Writes(client, "chaos")
        while not done.is_set():
            try:
                confirmed.extend(writes.add(10))
            except redis_py.RedisError:
                pass  # they may be there or not: the stream tells at the end
            done.wait(0.01)
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    faults = ["postgres", "redis", "reset redis", "reset postgres", "kill"] * 5
    chance.shuffle(faults)
    try:
        for fault in faults:
            before, more = len(confirmed), chance.randrange(50, 400)
            wait_until(lambda: len(confirmed) > before + more)
            if fault == "postgres":
                database.server.restart()
            elif fault == "redis":
                server.restart()
            elif fault == "reset redis":
                to_redis.reset_all()
            elif fault == "reset postgres":
                to_database.reset_all()
            else:
                audit = chance.choice(audits)
                audit.kill()
                audit.start()
    finally:
        done.set()
        writer.join(10)
    redis = server.client()
    ids = sorted(entry for entry, _ in redis.xrange(STREAM))
    assert len(ids) > 3000 and set(confirmed) <= set(ids)
    # What one was killed with is taken over by the other, or by itself.
    wait_until(lambda: len(database.ids()) >= len(ids), 40, lambda: f"{len(database.ids())} of {len(ids)}")
    assert sorted(database.ids()) == ids
    assert database.ids("nodebeat_audit_odd") == [] and database.rows("nodebeat_audit_gap", "1") == []
    wait_until(lambda: redis.xpending(STREAM, GROUP)["pending"] == 0, 20)


def test_help_fits_a_terminal():
    told = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--check-config" in told and max(map(len, told.splitlines())) <= 80
