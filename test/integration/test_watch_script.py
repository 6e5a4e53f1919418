"""src/wire/watch.lua on a real server: what the holder of the watch may write, and when it may not."""

import json

import pytest
from redis.exceptions import ResponseError

from support.session_script import INDEX, SEALS, Writer
from support.waiting import wait_until
from support.watch import DEAD, NODES, STREAM, WATCH, Holder

pytestmark = pytest.mark.own_users("it runs the script as the admin")
HEALTH = '{"timestamp":"then","node_id":"eek","cpu_percent":12.5,"is_reachable":true,"last_heartbeat":"then"}'
LEASE = "b i 7 1000 3000"


@pytest.fixture
def redis(redis_server):
    return redis_server.client()


@pytest.fixture
def hog(redis):
    holder = Holder(redis)
    holder.claim()
    return holder


@pytest.fixture
def eek(redis):
    redis.set("nodebeat:lease:eek", LEASE)
    redis.hset("node:health:eek", "health", HEALTH)
    redis.pexpire("node:health:eek", 15000)


@pytest.fixture
def heard(redis_server, closing):
    return closing(redis_server.subscribe("session-updates", patterns=["node:events:*"]))


def health(redis):
    return json.loads(redis.hget("node:health:eek", "health"))


# --- the watch ----------------------------------------------------------------------------------


def test_only_one_of_two_gets_the_watch(redis):
    hog, ook = Holder(redis), Holder(redis, "ook", "ook-1")
    assert hog.claim() == "hog hog-1 1 1 0 0"
    assert ook.claim() == redis.get(WATCH) == "hog hog-1 1 1 0 0"
    ook.term = "ook ook-1 2 "
    assert ook.claim("hog hog-1 1 1 0 0").startswith("ook ook-1 2 ")
    assert hog.renew() == redis.get(WATCH)  # it is told whose it is
    assert hog.claim("hog hog-1 1 2 0 0") == redis.get(WATCH)
    assert redis.get(WATCH).startswith("ook ")


def test_a_renewal_is_only_of_the_own_term(redis, hog):
    assert hog.renew() == redis.get(WATCH) == "hog hog-1 1 2 0 0"
    redis.delete(WATCH)
    assert hog.renew() == "" and redis.get(WATCH) is None
    redis.set(WATCH, "hog hog-1 11 1 0 0")  # term 11 is not term 1
    assert hog.renew() == "hog hog-1 11 1 0 0"


def test_another_type_is_taken_over(redis):
    redis.hset(WATCH, "a", "b")
    assert Holder(redis).claim() == redis.get(WATCH)


def test_whoever_leaves_takes_only_the_own_watch_away(redis, hog):
    other = Holder(redis, "ook")
    assert other.leave() == "moved" and redis.get(WATCH)
    assert hog.leave() == 1 and redis.get(WATCH) is None


def test_a_look_reads_no_more_than_a_lease_has(redis, hog, eek):
    redis.set("nodebeat:lease:ook", "x" * 100_000)
    redis.hset("nodebeat:lease:hog", "a", "b")
    redis.hset(NODES, mapping={"eek": "{}", "ook": "{}"})
    assert hog.look("eek", "nobody", "ook", "hog") == [2, LEASE, "", "x" * 385, ""]
    assert hog.look() == [2]


def test_of_the_list_of_nodes_only_names_are_read(redis, hog):
    assert hog.names() == []
    redis.hset(NODES, mapping={"ook": "x" * 5_000_000, "eek": "{}", "n" * 65: "{}", "n" * 64: "{}"})
    assert sorted(hog.names()) == ["eek", "n" * 64, "ook"]
    assert hog.names(entries=4) and hog.names(entries=3) == 4
    assert hog.names(size=70) and hog.names(size=69) == 4


def test_of_the_marks_only_leases_are_read(redis, hog):
    redis.hset(DEAD, mapping={"ook": "x" * 5_000_000, "eek": LEASE, "n" * 65: LEASE, "hog": "y" * 385})
    marks = hog.marks()
    assert dict(zip(marks[::2], marks[1::2])) == {"ook": "", "eek": LEASE, "hog": ""}
    assert hog.marks(entries=3) == 4 and hog.marks(size=10) == 4


def test_a_list_of_another_type_is_an_error_without_harm(redis, hog):
    redis.set(NODES, "x")
    redis.set(DEAD, "x")
    for read in (hog.names, hog.marks):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            read()
    size, lease = hog.look("eek")
    assert "WRONGTYPE" in str(size) and lease == ""


# --- verdicts -----------------------------------------------------------------------------------


def test_a_lost_node_is_announced_once(redis, hog, eek, heard):
    assert hog.lost("eek", LEASE) == "announced"
    assert hog.lost("eek", LEASE) == "already"
    assert redis.hgetall(DEAD) == {"eek": LEASE}
    assert [fields for _, fields in redis.xrange(STREAM)] == [
        {"channel": "node:events:eek", "event": '{"type":"node_lost"}'}
    ]
    assert health(redis) == {"timestamp": "now", "node_id": "eek", "cpu_percent": 12.5, "is_reachable": False,
                             "reason": "lease not renewed for 1 s", "last_heartbeat": "then"}
    assert 80_000_000 < redis.pttl("node:health:eek") <= 86_400_000
    heard.wait_for("node_lost")
    assert len(heard.messages) == 1


def test_the_mark_is_of_one_lease(redis, hog, eek):
    hog.lost("eek", LEASE)
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    assert hog.lost("eek", "b i 8 1000 3000") == "announced"
    assert len(redis.xrange(STREAM)) == 2


@pytest.mark.parametrize("now", ["b i 8 1000 3000", None])
def test_a_lease_that_has_changed_saves_the_node(redis, hog, eek, now):
    redis.set("nodebeat:lease:eek", now) if now else redis.delete("nodebeat:lease:eek")
    assert hog.lost("eek", LEASE) == "changed"
    assert not redis.exists(DEAD, STREAM) and health(redis)["is_reachable"] is True


def test_a_lease_that_is_gone_stays_gone(redis, hog, eek):
    assert hog.lost("eek", LEASE, absent=True) == "changed"
    redis.delete("nodebeat:lease:eek")
    assert hog.lost("eek", LEASE, absent=True) == "announced"


@pytest.mark.parametrize("watch", ["ook ook-1 2 1 0 0", "hog hog-1 2 1 0 0", None])
def test_who_has_lost_the_watch_announces_nothing(redis, hog, eek, watch):
    redis.set(WATCH, watch) if watch else redis.delete(WATCH)
    assert {hog.lost("eek", LEASE), hog.returned("eek", "b i 8 1000 3000"), hog.say('{"a":1}')} == {"moved"}
    assert not redis.exists(DEAD, STREAM) and health(redis)["is_reachable"] is True


@pytest.mark.parametrize("there", [None, "not json", '{"is_reachable":1}'])
def test_without_a_health_there_is_a_whole_one(redis, hog, eek, there):
    redis.delete("node:health:eek")
    if there:
        redis.hset("node:health:eek", "health", there)
    assert hog.lost("eek", LEASE) == "announced"
    assert health(redis) == {"whole": 1}


def test_a_goodbye_stays_as_it_was_said(redis, hog, eek):
    text = HEALTH.replace("true", 'false,"reason":"stopped"')
    redis.hset("node:health:eek", "health", text)
    assert hog.lost("eek", LEASE) == "announced"
    assert redis.hget("node:health:eek", "health") == text


def test_signs_that_mean_something_to_lua_are_only_signs(redis, hog, eek):
    assert hog.lost("eek", LEASE, down="%1 %% %s") == "announced"
    assert health(redis)["reason"] == "lease not renewed %1 %% %s"
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    assert hog.returned("eek", "b i 8 1000 3000") == "announced"
    assert health(redis)["is_reachable"] is True


def test_a_health_or_a_mark_of_any_size_is_none(redis, hog, eek):
    redis.hset("node:health:eek", "health", '{"is_reachable":true,"x":"' + "x" * 5_000_000 + '"}')
    redis.hset(DEAD, "eek", "x" * 5_000_000)
    assert hog.lost("eek", LEASE) == "announced"
    assert health(redis) == {"whole": 1} and redis.hget(DEAD, "eek") == LEASE
    huge = '{"is_reachable":false,"reason":"lease not renewed for 1 s","x":"' + "x" * 40_000 + '"}'
    redis.hset("node:health:eek", "health", huge)
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    assert hog.returned("eek", "b i 8 1000 3000") == "announced"
    assert redis.hget("node:health:eek", "health") == huge


def test_foreign_blanks_in_a_health_are_no_hindrance(redis, hog, eek):
    redis.hset("node:health:eek", "health", '{"timestamp": "then", "is_reachable": true}')
    assert hog.lost("eek", LEASE) == "announced"
    assert health(redis)["is_reachable"] is False and health(redis)["timestamp"] == "now"


def test_what_returns_is_withdrawn_once(redis, hog, eek, heard):
    hog.lost("eek", LEASE)
    assert hog.returned("eek", LEASE) == "changed"  # it is still the one that it was lost with
    assert hog.returned("eek", "b i 8 1000 3000") == "changed"  # the same, for the server
    redis.set("nodebeat:lease:eek", "b i 9 1000 3000")
    assert hog.returned("eek", "b i 8 1000 3000") == "announced"
    assert hog.returned("eek", "b i 9 1000 3000") == "already"
    assert not redis.exists(DEAD) and "reason" not in health(redis) and health(redis)["is_reachable"] is True
    assert 0 < redis.pttl("node:health:eek") <= 60_000
    heard.wait_for("node_returned")
    assert [m["type"] for m in heard.messages] == ["node_lost", "node_returned"]


def test_a_health_that_the_node_has_written_meanwhile_stays(redis, hog, eek):
    hog.lost("eek", LEASE)
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    redis.hset("node:health:eek", "health", HEALTH)
    redis.pexpire("node:health:eek", 15000)
    assert hog.returned("eek", "b i 8 1000 3000") == "announced"
    assert redis.hget("node:health:eek", "health") == HEALTH and redis.pttl("node:health:eek") <= 15000


def test_a_health_that_was_made_up_goes(redis, hog, eek):
    redis.delete("node:health:eek")
    hog.lost("eek", LEASE, whole='{"is_reachable":false,"x":0,"reason":"lease not renewed for 1 s"}')
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    assert hog.returned("eek", "b i 8 1000 3000") == "announced"
    assert not redis.exists("node:health:eek")


@pytest.mark.parametrize("key", ["node:health:eek", STREAM])
def test_a_key_of_another_type_costs_only_itself(redis, hog, eek, heard, key):
    redis.delete(key)
    redis.set(key, "x")
    assert hog.lost("eek", LEASE) == "announced"
    assert redis.get(key) == "x"
    heard.wait_for("node_lost")


def test_without_memory_nothing_is_half_done(redis, hog, eek):
    redis.config_set("maxmemory", 1)
    with pytest.raises(ResponseError, match="OOM|maxmemory"):
        hog.lost("eek", LEASE)
    assert not redis.exists(DEAD, STREAM) and health(redis)["is_reachable"] is True


@pytest.mark.parametrize("without", ["publish", "xadd", "hset", "pexpire", "hdel"])
def test_a_missing_right_is_found_before_the_first_write(redis_server, redis, hog, eek, without):
    redis.execute_command("ACL", "SETUSER", "some", "on", ">x", "~*", "&*", "+@all", f"-{without}")
    some = Holder(redis_server.client(username="some", password="x"))
    with pytest.raises(ResponseError, match="script of this user may not run"):
        some.lost("eek", LEASE)
    assert not redis.exists(DEAD, STREAM) and health(redis)["is_reachable"] is True


def test_what_the_watcher_says_is_recorded_once(redis, hog, heard):
    for event in ('{"type":"a"}', '{"type":"b"}'):
        assert hog.say(event) == "announced"
    assert hog.say('{"type":"a"}') == "already"
    assert hog.say('{"type":"c"}', recorded="") == "announced"
    assert [fields["event"] for _, fields in redis.xrange(STREAM)] == ['{"type":"a"}', '{"type":"b"}']
    heard.wait_for("c")
    assert [m["type"] for m in heard.messages] == ["a", "b", "c"]
    assert hog.say('{"type":"d"}', recorded="only") == "announced"
    assert hog.say('{"type":"e"}', recorded="") == "announced"
    heard.wait_for("e")
    assert [m["type"] for m in heard.messages] == ["a", "b", "c", "e"]
    assert json.loads(redis.xrevrange(STREAM, count=1)[0][1]["event"]) == {"type": "d"}


def test_a_verdict_that_is_not_recorded_is_said_all_the_same(redis, hog, eek, heard):
    assert hog.lost("eek", LEASE, recorded="") == "announced"
    redis.set("nodebeat:lease:eek", "b i 8 1000 3000")
    assert hog.returned("eek", "b i 8 1000 3000", recorded="") == "announced"
    heard.wait_for("node_returned")
    assert [m["type"] for m in heard.messages] == ["node_lost", "node_returned"]
    assert not redis.exists(STREAM)


# --- sessions whose time is over ----------------------------------------------------------------


def expired(heard):
    return [m["sessionId"] for m in heard.messages if m.get("expired")]


@pytest.fixture
def updates(redis_server, closing):
    return closing(redis_server.subscribe("session-updates"))


def test_a_session_that_is_over_is_said_once(redis, hog, updates):
    sessions = Writer(redis)
    sessions.write("create", "a/\"b\\", ttl=1)
    sessions.write("create", "stays")
    wait_until(lambda: not redis.exists('session:a/"b\\'))
    hog.renew()
    hog.renew()
    wait_until(lambda: expired(updates) == ['a/"b\\'])
    assert redis.zrange(INDEX, 0, -1) == redis.hkeys(SEALS) == ["stays"]
    last = next(m for m in updates.messages if m.get("expired"))
    assert set(last) == {"sessionId", "expired", "timestamp"} and isinstance(last["timestamp"], int)


def test_a_session_that_another_program_has_prolonged_gets_its_time(redis, hog, updates):
    sessions = Writer(redis)
    sessions.write("create", "a")
    sessions.write("create", "for ever")
    redis.zadd(INDEX, {"a": 1, "for ever": 1})
    redis.persist("session:for ever")
    hog.renew()
    sessions.write("create", "last")
    sessions.write("delete", "last")
    wait_until(lambda: any(m.get("deleted") for m in updates.messages))
    assert not expired(updates)
    assert all(score > 10**12 for _, score in redis.zrange(INDEX, 0, -1, withscores=True))


def test_many_sessions_are_said_in_parts(redis, hog, updates):
    redis.zadd(INDEX, {f"s{i}": 1 for i in range(25)})
    hog.renew(sessions=10)
    assert redis.zcard(INDEX) == 15
    hog.renew(sessions=10)
    hog.renew(sessions=10)
    wait_until(lambda: len(expired(updates)) == 25)
    assert redis.zcard(INDEX) == 0


def test_without_the_right_to_say_it_a_session_stays_in_the_index(redis_server, redis, hog):
    redis.zadd(INDEX, {"a": 1})
    redis.execute_command("ACL", "SETUSER", "some", "on", ">x", "~*", "&node:*", "+@all")
    some = Holder(redis_server.client(username="some", password="x"))
    assert some.renew() == redis.get(WATCH)
    assert redis.zcard(INDEX) == 1


def test_a_write_that_comes_by_says_it_too(redis, updates):
    sessions = Writer(redis)
    sessions.write("create", "gone", ttl=1)
    wait_until(lambda: not redis.exists("session:gone"))
    sessions.write("create", "new")
    wait_until(lambda: expired(updates) == ["gone"])
    assert redis.zrange(INDEX, 0, -1) == ["new"]


def test_a_session_that_is_made_anew_was_over_before(redis, updates):
    sessions = Writer(redis)
    for i in range(3):
        sessions.write("create", f"other{i}", ttl=1)  # a write takes out two of them
    sessions.write("create", "again", ttl=1)
    wait_until(lambda: not redis.exists("session:again"))
    sessions.write("create", "again")
    wait_until(lambda: "again" in expired(updates))
    kinds = ["expired" if "expired" in m else "state" for m in updates.messages if m["sessionId"] == "again"]
    assert kinds == ["state", "expired", "state"]
    assert redis.zscore(INDEX, "again") > 10**12
