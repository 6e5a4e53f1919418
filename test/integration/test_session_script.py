"""src/wire/session.lua against a real Redis: every operation on a session is one run of it."""

import json
import re
import threading
import time

import pytest
import redis as redis_client
from support.session_script import AUDIT, INDEX, SEALS, Writer
from support.waiting import SLOWNESS, wait_until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def redis(redis_server):
    return redis_server.client()


@pytest.fixture
def sessions(redis):
    return Writer(redis)


def everything(redis):
    """All that the server holds, but for the answers to writes."""
    index = redis.zrange(INDEX, 0, -1, withscores=True)
    return redis.get("session:s"), index, redis.hgetall(SEALS), redis.xrange(AUDIT)


def test_a_write_is_value_index_audit_and_event_in_one(redis_server, redis, sessions, closing):
    heard = closing(redis_server.subscribe("session-updates"))
    state = '{"n":1.1000000000000000000000001,"empty":[],"z":{},"a":"\\"\\\\\\u0001é"}'
    assert sessions.write("create", state=state, ttl=60000) == "ok 1"
    text = redis.get("session:s")
    found = re.fullmatch(
        r'\{"session_id":"s","version":1,"created_at":"(%s)","updated_at":"(%s)",(.*)\}' % (STAMP, STAMP), text
    )
    assert found and found[1] == found[2] and found[3] == state[1:-1]
    assert 59000 < redis.pttl("session:s") <= 60000
    seconds, micros = redis.time()
    [(name, expires)] = redis.zrange(INDEX, 0, -1, withscores=True)
    assert name == "s" and abs(expires - 60000 - seconds * 1000 - micros / 1000) < 5000 * SLOWNESS
    [(_, entry)] = redis.xrange(AUDIT)
    assert entry == {
        "op": "create", "session_id": "s", "timestamp": found[1], "old_version": "", "new_version": "1",
        "sequence": "1", "client": "me", "node": "ook", "state": text,
    }
    assert sessions.write("update", state='{"b":2}', expected="1", ttl=90000) == "ok 2"
    assert redis.pttl("session:s") > 60000
    now = json.loads(redis.get("session:s"))
    assert now["created_at"] == found[1] and now["updated_at"] >= found[1] and now["b"] == 2
    assert sessions.write("delete", expected="2") == "ok 2"
    assert redis.keys("session:*") == [] and redis.zcard(INDEX) == 0 and redis.hlen(SEALS) == 0
    assert [e["op"] for _, e in redis.xrange(AUDIT)] == ["create", "update", "delete"]
    wait_until(lambda: len(heard.messages) == 3)
    first, second, tombstone = heard.messages
    assert first["sessionId"] == "s" and first["state"] == text
    assert list(first) == ["sessionId", "state", "timestamp"] and json.loads(second["state"])["version"] == 2
    assert list(tombstone) == ["sessionId", "deleted", "timestamp"] and tombstone["deleted"] is True
    assert isinstance(tombstone["timestamp"], int)


def test_refusals_change_nothing(redis, sessions):
    assert sessions.write("update") == "not_found"
    assert sessions.write("touch") == "not_found"
    assert sessions.write("delete") == "not_found"
    assert redis.keys() == ["nodebeat:sessions:writes:i1"]
    assert sessions.write("create", state='{"a":1}') == "ok 1"
    before = everything(redis)
    assert sessions.write("create", state='{"a":2}') == "conflict 1"
    assert sessions.write("update", state='{"a":2}', expected="2") == "conflict 1"
    assert sessions.write("delete", expected="7") == "conflict 1"
    assert everything(redis) == before


def test_upsert_creates_what_is_gone_but_not_what_was_expected(sessions):
    assert sessions.write("update", options="upsert", expected="3") == "not_found"
    assert sessions.write("update", options="upsert") == "ok 1"
    assert sessions.write("touch", "t", options="upsert") == "ok 1"


def test_a_touch_changes_the_time_to_live_alone(redis, sessions):
    sessions.write("create", state='{"a":1}', ttl=5000)
    text = redis.get("session:s")
    assert sessions.write("touch", ttl=70000) == "ok 1"
    assert redis.get("session:s") == text and redis.pttl("session:s") > 60000
    assert redis.xlen(AUDIT) == 1
    [(_, score)] = sessions.page()
    assert float(score) > time.time() * 1000 + 60000


def test_a_repeated_write_gets_its_first_answer(redis, sessions):
    assert sessions.write("create", sequence=5) == "ok 1"
    assert sessions.write("create", sequence=5) == "ok 1"
    assert sessions.write("update", expected="1", sequence=6) == "ok 2"
    assert sessions.write("update", expected="9", sequence=7) == "conflict 2"
    assert sessions.write("update", expected="1", sequence=6) == "ok 2"
    # What was refused stays refused, though it would succeed by now.
    assert [sessions.write("update", sequence=n) for n in range(8, 15)][-1] == "ok 9"
    assert sessions.write("update", expected="9", sequence=7) == "conflict 2"
    assert redis.xlen(AUDIT) == 9
    # Another instance's numbers are its own.
    assert Writer(redis, "i2").write("update", expected="9", sequence=6) == "ok 10"


def test_a_copy_that_comes_late_changes_nothing(redis, sessions):
    assert sessions.write("create", sequence=1) == "ok 1"
    assert sessions.write("update", sequence=65) == "ok 2"
    assert sessions.write("create", "other", sequence=1) == "stale"
    assert redis.keys("session:*") == ["session:s"]
    assert redis.hlen("nodebeat:sessions:writes:i1") == 1
    assert redis.pttl("nodebeat:sessions:writes:i1") > 80000000


def test_a_broadcast_is_a_message_and_comes_once(redis_server, redis, sessions, closing):
    heard = closing(redis_server.subscribe("ws:s"))
    assert sessions.broadcast('{"x":1.50}', sequence=1) == "ok 1"
    assert sessions.broadcast('{"x":1.50}', sequence=1) == "ok 1"
    assert sessions.broadcast("[]", sequence=2) == "ok 1"
    wait_until(lambda: len(heard.raw) == 2)
    assert [re.sub(r"\d{13}", "T", text) for _, _, text in heard.raw] == [
        '{"sessionId":"s","message":{"x":1.50},"timestamp":T}',
        '{"sessionId":"s","message":[],"timestamp":T}',
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version":"1"}', '{"version":7,"x":1}'])
@pytest.mark.parametrize("op", ["create", "update", "touch", "delete"])
def test_what_another_program_wrote_is_left_to_the_agent(redis, sessions, op, text):
    redis.setex("session:s", 60, text)
    assert sessions.write(op, options="upsert") == ["foreign", text]
    assert redis.get("session:s") == text and redis.keys("nodebeat:sessions*") == ["nodebeat:sessions:writes:i1"]
    # A repeat hears it too, without the text.
    assert sessions.write(op, sequence=sessions.sequence) == "foreign"
    assert sessions.write(op, longest=len(text) - 1) == f"large {len(text)}"


def test_what_the_agent_has_read_counts_if_it_is_still_there(redis, sessions):
    text = '{"x":1,"version":7}'
    redis.set("session:s", text)
    assert sessions.write("create", read=(text, "7")) == "conflict 7"
    assert sessions.write("update", read=(text, "7"), expected="6") == "conflict 7"
    assert sessions.write("touch", read=(text, "7"), ttl=1000) == "ok 7"
    assert redis.get("session:s") == text
    assert sessions.write("update", read=(text + " ", "7")) == ["foreign", text]
    assert sessions.write("update", read=(text, "7"), state='{"y":[]}') == "ok 8"
    now = redis.get("session:s")
    assert '"version":8,"created_at":"then",' in now and now.endswith(',"y":[]}')
    assert sessions.write("update", expected="8") == "ok 9"
    redis.set("session:s", "[]")
    assert sessions.write("create", read=("[]", "")) == "ok 1"
    redis.set("session:s", "[]")
    assert sessions.write("delete", read=("[]", "")) == "ok 0"
    assert redis.get("session:s") is None


@pytest.mark.parametrize("cut", [1, 20])
def test_a_session_that_was_cut_short_is_no_session_of_ours(redis, sessions, cut):
    sessions.write("create", state='{"a":{"b":{}}}')
    text = redis.get("session:s")[:-cut]
    redis.set("session:s", text)
    assert sessions.write("update", expected="1") == ["foreign", text]


def test_another_type_is_told(redis, sessions):
    redis.hset("session:s", "a", "b")
    assert sessions.get() == "wrong_type hash"
    assert sessions.write("update") == "wrong_type hash"
    assert sessions.look("s") == [["", "", -1]]


@pytest.mark.parametrize("tail", ["", ":seals", ":audit", ":writes:i1"])
def test_a_key_of_ours_that_is_of_another_type_spoils_nothing_else(redis, sessions, tail):
    sessions.write("create", state='{"a":1}')
    redis.delete(f"nodebeat:sessions{tail}")
    redis.set(f"nodebeat:sessions{tail}", "x")
    text = redis.get("session:s")
    for op in ("create", "update", "touch", "delete"):
        name = "new" if op == "create" else "s"
        try:
            answer = sessions.write(op, name)
        except redis_client.ResponseError as error:
            assert str(error).startswith("WRONGTYPE")
        else:
            # Without the index's seal the text counts as foreign.
            assert tail == ":audit" and op == "touch" and answer == "ok 1"
    assert redis.get("session:s") == text and redis.get("session:new") is None


@pytest.mark.parametrize("op", ["update", "delete", "touch"])
def test_an_audit_that_takes_no_more_refuses_it_as_a_whole(redis, sessions, op):
    sessions.write("create", state='{"a":1}')
    redis.xadd(AUDIT, {"a": "b"}, id="18446744073709551615-18446744073709551615")
    before = everything(redis)
    if op == "touch":  # has no entry
        assert sessions.write(op) == "ok 1"
        return
    with pytest.raises(redis_client.ResponseError, match="exhausted the last possible ID"):
        sessions.write(op, state='{"a":2}')
    assert everything(redis) == before


def test_rubbish_among_the_answers_is_no_answer(redis, sessions):
    redis.hset("nodebeat:sessions:writes:i1", mapping={str(n): "rubbish" for n in range(64)})
    assert sessions.write("create") == "ok 1"
    assert redis.hget("nodebeat:sessions:writes:i1", "1") == "1 ok 1"


def test_out_of_memory_is_refused_as_a_whole(redis, sessions):
    sessions.write("create", state='{"a":1}')
    redis.config_set("maxmemory", "1")
    before = everything(redis)
    for _ in range(2):
        with pytest.raises(redis_client.ResponseError, match="^OOM"):
            sessions.write("update", state='{"a":2}', sequence=9)
    assert everything(redis) == before
    redis.config_set("maxmemory", "0")
    assert sessions.write("update", state='{"a":2}', sequence=9) == "ok 2"
    redis.config_set("maxmemory", "1")
    assert sessions.write("delete", sequence=10) == "ok 2"  # which makes room
    assert redis.get("session:s") is None and redis.xlen(AUDIT) == 3


def test_a_replica_refuses_it_as_a_whole(redis, sessions):
    sessions.write("create")
    redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    before = everything(redis)
    for op in ("update", "touch", "delete"):
        with pytest.raises(redis_client.exceptions.ReadOnlyError):
            sessions.write(op)
    assert everything(redis) == before
    assert sessions.get()[0] == redis.get("session:s")


@pytest.mark.parametrize("right", ["set", "zadd", "zrem", "hset", "hdel", "xadd", "publish"])
def test_a_right_that_is_missing_refuses_it_as_a_whole(redis_server, redis, sessions, right):
    sessions.write("create")
    before = everything(redis)
    redis.acl_setuser(
        "node", enabled=True, nopass=True, keys=["session:*", "nodebeat:sessions*"], channels=["*"],
        commands=[*(f"+{c}" for c in (
            "evalsha set get del type strlen pttl pexpire hget hset hdel zadd zrem zcount zscore zrank zrange "
            "zrangebyscore xadd xlen publish time script|load ping client select").split() if c != right)],
    )
    node = redis_client.Redis(
        unix_socket_path=str(redis_server.socket_path), username="node", password="x", decode_responses=True
    )
    with pytest.raises(redis_client.exceptions.NoPermissionError) as refused:
        Writer(node, "i2").write("update", state='{"a":1}')
    assert everything(redis) == before or right == "hset"
    assert right.upper() in str(refused.value).upper()
    node.close()


def test_no_update_is_lost_where_many_write(redis_server, sessions):
    sessions.write("create", state='{"n":0}')
    total = []

    def increment(number):
        mine = Writer(redis_server.client(health_check_interval=number + 1), f"w{number}")
        done = conflicts = 0
        while done < 100:
            version = json.loads(mine.get()[0])["version"]
            answer = mine.write("update", state='{"n":%d}' % version, expected=str(version))
            done += answer.startswith("ok ")
            conflicts += answer.startswith("conflict ")
        total.append((done, conflicts))

    threads = [threading.Thread(target=increment, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = json.loads(sessions.get()[0])
    assert (now["version"], now["n"]) == (401, 400)
    assert len(total) == 4 and sum(conflicts for _, conflicts in total) > 0


def test_the_index_forgets_what_has_expired(redis, sessions):
    for i in range(6):
        sessions.write("create", f"short{i}", ttl=1)
    wait_until(lambda: not redis.keys("session:*"))
    assert sessions.page() == []
    for i in range(6):
        sessions.write("create", f"long{i}")
    assert redis.zcard(INDEX) == redis.hlen(SEALS) == 6
    assert {name for name, _ in sessions.page()} == {f"long{i}" for i in range(6)}


def test_a_walk_leaves_out_nothing_that_stays(redis, sessions):
    for i in range(30):
        sessions.write("create", f"s{i}", ttl=60000 + i // 3)  # some expire together
    seen, score, name = [], "", ""
    while True:
        page = sessions.page(score, name, 7)
        if not page:
            break
        seen += [n for n, _ in page]
        name, score = page[-1]
        if len(seen) == 7:
            sessions.write("touch", "s0", ttl=90000)   # moves to the end
            sessions.write("delete", name)             # the place itself is gone
    assert set(seen) == {f"s{i}" for i in range(30)}


def test_a_look_tells_versions_that_are_known(redis, sessions):
    sessions.write("create", "a,\"version\":9")
    sessions.write("create", "b")
    sessions.write("update", "b", state='{"version":77}')
    redis.set("session:c", '{"version":3}')
    a, b, c, d = sessions.look("a,\"version\":9", "b", "c", "d")
    assert a[0] == "1" and b[0] == "2" and re.fullmatch(f'"{STAMP}"', b[1]) and b[2] > 0
    assert c == ["", "", -1] and d == ["", "", -2]
    assert len(sessions.look("b", "b", "b", budget=200)) == 1


def test_the_dates_are_right(sessions, redis):
    sessions.write("create")
    seconds, micros = redis.time()
    text = json.loads(redis.get("session:s"))["updated_at"]
    assert text[:13] in {time.strftime("%Y-%m-%dT%H", time.gmtime(seconds - d)) for d in (0, 5)}


def test_scripts_may_be_forgotten_at_any_time(redis, sessions):
    for expected in range(1, 4):
        redis.script_flush()
        assert sessions.write("update", options="upsert") == f"ok {expected}"


def test_a_session_of_a_megabyte(redis, sessions):
    state = json.dumps({"text": 'q"\\' * 250000})
    assert sessions.write("create", state=state, longest=1 << 21) == "ok 1"
    assert sessions.get(longest=1000).startswith("large ")
    assert sessions.get(longest=1 << 22)[0].endswith(state[1:])
    assert sessions.write("update", state=state, expected="1") == "ok 2"
