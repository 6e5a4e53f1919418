"""The local socket: what bad things get, to the letter; its limits; and the file it is."""

import grp
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support import processes
from support.agent import environment
from support.rpc import Client, Closed, Refused
from support.waiting import Conditions, wait_until

# --- lines that are none ------------------------------------------------------------------------

DEEP = b"[" * 65 + b"]" * 65

NOT_JSON = {
    "a word": (b"hello", "expected a value", 0),
    "HTTP": (b"GET / HTTP/1.1\r", "expected a value", 0),
    "zero bytes": (b"\0\0\0", "expected a value", 0),
    "half an object": (b'{"jsonrpc":"2.0"', "ends too early", 16),
    "two values": (b"{} {}", "something follows the value", 3),
    "a comma too many": (b'{"a":1,}', "expected a name in double quotes", 7),
    "a comment": (b"{} // no", "something follows the value", 3),
    "single quotes": (b"{'a':1}", "expected a name in double quotes", 1),
    "NaN": (b'{"a":NaN}', "expected a value", 5),
    "Infinity": (b'{"a":-Infinity}', "expected a digit", 6),
    "a leading zero": (b'{"a":01}', "a number may not begin with 0", 6),
    "a plus": (b'{"a":+1}', "expected a value", 5),
    "1e999": (b'{"a":1e999}', "a number beyond the range of a double", 5),
    "-1e999": (b'{"a":[-1e999]}', "a number beyond the range of a double", 6),
    "not UTF-8": (b'{"a":"\xff"}', "not UTF-8", 6),
    "an overlong form": (b'{"a":"\xc0\xaf"}', "not UTF-8", 6),
    "a surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "not UTF-8", 6),
    "a byte order mark": (b"\xef\xbb\xbf{}", "expected a value", 0),
    "a raw control character": (b'{"a":"\x01"}', "a control character in a string", 6),
    "an unknown escape": (rb'{"a":"\x"}', "unknown escape in a string", None),
    "\\u0000": (rb'{"a":"\u0000"}', "", None),
    "half a surrogate pair": (rb'{"a":"\ud800"}', "surrogate", None),
    "the other half": (rb'{"a":"\udc00"}', "surrogate", None),
    "a name twice": (b'{"a":1,"a":2}', "a name stands twice in one object", None),
    "a name twice, escaped": (rb'{"a":1,"\u0061":2}', "a name stands twice in one object", None),
    "a name twice, deep inside": (b'{"p":[{"b":{"a":1,"a":2}}]}', "a name stands twice", None),
    "nested too deep": (DEEP, "nested too deep", 64),
    "nested far too deep": (b"[" * 60000, "nested too deep", 64),
}


@pytest.mark.parametrize("line, words, offset", NOT_JSON.values(), ids=list(NOT_JSON))
def test_what_is_no_json_is_told_and_closed(lonely, connect, line, words, offset):
    client = connect(lonely.agent)
    client.send(line + b"\n" + Client.line("state.set", {"key": "k", "value": 1}, 1))
    answer = client.next_anonymous()
    assert list(answer) == ["jsonrpc", "id", "error"] and answer["jsonrpc"] == "2.0"
    error = answer["error"]
    assert list(error) == ["code", "message", "data"] and error["code"] == -32700
    assert list(error["data"]) == ["name", "offset"] and error["data"]["name"] == "parse_error"
    assert words in error["message"]
    if offset is not None:
        assert error["data"]["offset"] == offset
    client.wait_closed()
    assert client.answers == {}  # what followed was not looked at
    with pytest.raises(Refused):
        lonely.client.call("state.get", key="k")


@pytest.mark.parametrize("value", ["9007199254740993", "-0", "1.0", "5e-324", "1E+308", "1e-999"])
def test_what_json_can_say_passes_through_a_value(lonely, value):
    lonely.client.call("state.set", f'{{"key":"k","value":[{value}]}}')
    lonely.client.request("state.get", {"key": "k"})
    assert f'"value":[{value}]'.encode() in lonely.client.read_line()


def test_nesting_up_to_the_limit(lonely):
    value = "[" * 62 + "]" * 62  # in params, in the call
    assert lonely.client.call("state.set", f'{{"key":"k","value":{value}}}') == {}


def test_blank_lines_and_white_space(lonely):
    lonely.client.send(b"\n\r\n  \t \n")
    lonely.client.send(b' { "jsonrpc" : "2.0" , "method" : "client.hello" , "id" : 1 } \r\n')
    assert lonely.client.answer(1)["protocol"] == 1


# --- calls that are none ------------------------------------------------------------------------

NO_CALLS = {
    "a number": ("7", None),
    "a text": ('"client.hello"', None),
    "null": ("null", None),
    "nothing in it": ("{}", None),
    "no version": ('{"method":"client.hello","id":5}', 5),
    "another version": ('{"jsonrpc":"1.0","method":"client.hello","id":5}', 5),
    "a version that is a number": ('{"jsonrpc":2.0,"method":"client.hello","id":5}', 5),
    "no method": ('{"jsonrpc":"2.0","id":"x"}', "x"),
    "a method that is no text": ('{"jsonrpc":"2.0","method":7,"id":5}', 5),
    "params that are an array": ('{"jsonrpc":"2.0","method":"client.hello","params":[],"id":5}', 5),
    "params that are null": ('{"jsonrpc":"2.0","method":"client.hello","params":null,"id":5}', 5),
    "another member": ('{"jsonrpc":"2.0","method":"client.hello","extra":1,"id":5}', 5),
    "a member in capitals": ('{"jsonrpc":"2.0","Method":"client.hello","id":5}', 5),
    "an id that is true": ('{"jsonrpc":"2.0","method":"client.hello","id":true}', None),
    "an id that is an array": ('{"jsonrpc":"2.0","method":"client.hello","id":[1]}', None),
    "an id that is an object": ('{"jsonrpc":"2.0","method":"client.hello","id":{}}', None),
    "an id that is too long": ('{"jsonrpc":"2.0","method":"client.hello","id":"' + "x" * 257 + '"}',
                               None),
    "an id of many digits": ('{"jsonrpc":"2.0","method":"client.hello","id":' + "1" * 65 + "}",
                             None),
}


@pytest.mark.parametrize("line, answered", NO_CALLS.values(), ids=list(NO_CALLS))
def test_what_is_no_call_is_told_and_lives_on(lonely, line, answered):
    lonely.client.send_line(line)
    answer = json.loads(lonely.client.read_line())
    assert list(answer) == ["jsonrpc", "id", "error"] and answer["id"] == answered
    assert answer["error"]["code"] == -32600
    assert answer["error"]["data"] == {"name": "invalid_request"} and answer["error"]["message"]
    assert lonely.client.call("client.hello")["protocol"] == 1


IDS = ["1", "-1", "0", "1.10", "1e3", "-0.0", "9007199254740993", "1" * 64, '""', '"x"', '"1"',
       r'"\u00e4\/\n"', '"ä"', '"' + "x" * 256 + '"', "null"]


@pytest.mark.parametrize("request_id", IDS)
def test_ids_come_back_byte_for_byte(lonely, request_id):
    for method in ("client.goodbye", "no.such"):
        lonely.client.send_line(f'{{"id": {request_id} ,"jsonrpc":"2.0","method":"{method}"}}')
        line = lonely.client.read_line().decode()
        assert line.startswith(f'{{"jsonrpc":"2.0","id":{request_id},"')
    # And of those that are answered later.
    lonely.client.send_line(f'{{"jsonrpc":"2.0","method":"state.set","id":{request_id},"params":'
                            '{"key":"k","value":1,"ack":"stored","timeout_ms":1}}')
    assert lonely.client.read_line().decode().startswith(
        f'{{"jsonrpc":"2.0","id":{request_id},"error":{{"code":-32005')


@pytest.mark.parametrize("method, nearest", [
    ("robot.updat", "robot.update"), ("Robot.update", "robot.update"), ("stroke.stop", None),
    ("state.gett", "state.get"), ("", None), ("completely.different", None),
    ("client.helo", "client.hello"), ("x" * 5000, None), ("\u00e4", None),
])
def test_unknown_methods(lonely, method, nearest):
    with pytest.raises(Refused) as refused:
        lonely.client.call(method)
    error = refused.value
    assert (error.code, error.name) == (-32601, "unknown_method")
    assert list(error.data) == ["name", "method", "nearest"]
    assert method.startswith(error.data["method"]) and len(error.data["method"]) <= 512
    if nearest is not None:
        assert error.data["nearest"] == nearest and nearest in error.message


# --- params -------------------------------------------------------------------------------------

BOOLEAN = ["1", "0", '"true"', "null", "[]"]
INTEGER = ["1.0", "1e3", "1.5", '"1"', "true", "null", "[]", "9007199254740993",
           "-9007199254740993", "123456789012345678901234567890"]
NUMBER = ['"1"', "true", "null", "[]", "-0.1"]
NUMBERS = ["1", '"1"', "null", "{}"]
TEXT = ["1", "true", "null", "[]", "{}"]
OBJECT = ["1", '"x"', "null", "[]", "true"]
KEY = [*TEXT, '""', '"a\\nb"', json.dumps("k" * 513)]
TIME = ["1", "null", '""', '"now"', '"2026-11-20T14:03:07"', '"2026-11-20T14:03:07.123456Z"',
        '"2026-13-20T14:03:07.123456"', '"2026-11-20 14:03:07.123456"']
LIST = ["1", '"a"', "{}", "null"]

STROKE = {
    "timestamp": TIME, "stroke_idx": INTEGER, "pose_idx": INTEGER, "total_strokes": INTEGER,
    "stroke_length": INTEGER, "offset_idx_l": INTEGER, "offset_idx_r": INTEGER,
    "stroke_description_l": [*TEXT, json.dumps("x" * 4097)], "stroke_description_r": TEXT,
    "is_executing": BOOLEAN, "is_paused": BOOLEAN, "scene_name": [*TEXT, json.dumps("x" * 257)],
    "dataset_name": ["1", "true", "[]", json.dumps("x" * 257)],
}
WRONG = {
    "client.hello": {"name": [*KEY[:-1], json.dumps("x" * 65)], "errors": BOOLEAN,
                     "will": ["1", '"x"', "{}", "true"]},
    "client.goodbye": {},
    "robot.update": {
        "timestamp": TIME, "is_connected_l": BOOLEAN, "is_connected_r": BOOLEAN,
        "joints_l": NUMBERS, "joints_r": NUMBERS, "velocities_l": NUMBERS,
        "velocities_r": [*NUMBERS, json.dumps([0] * 65)],
        "current_pose": [*TEXT, json.dumps("x" * 257)],
        "goal_time_slow": NUMBER, "goal_time_fast": NUMBER,
    },
    "stroke.start": {**STROKE, "total_strokes": [*INTEGER, "-1"]},
    "stroke.update": {"session_id": [*TEXT, '""'], **STROKE},
    "stroke.end": {"session_id": [*TEXT, '""']},
    "error.report": {"category": [*TEXT, '""', '"a b"', '"a:b"', '"ä"', json.dumps("x" * 65)],
                     "message": [*TEXT, json.dumps("x" * 4097)], "details": OBJECT},
    "state.set": {"key": KEY, "ttl_ms": [*INTEGER, "0", "-1", "31536000001"]},
    "state.get": {"key": KEY},
    "state.delete": {"key": KEY},
    "state.list": {"prefix": [*TEXT, json.dumps("k" * 513)],
                   "limit": [*INTEGER, "0", "-1", "1001"], "cursor": [*TEXT, '""', '"x"']},
    "event.publish": {"channel": [*TEXT, '""', '"a\\nb"', json.dumps("c" * 257)], "event": OBJECT,
                      "max_age_ms": [*INTEGER, "-1", "604800001"], "record": BOOLEAN},
    "event.subscribe": {"channels": LIST, "patterns": LIST},
    "event.unsubscribe": {"channels": LIST, "patterns": LIST},
    "health.get": {"node": [*TEXT, '""', '"a b"', json.dumps("n" * 65)]},
    "system.status": {},
    "agent.stats": {},
    "redis.inspect": {},
}
WRITES = ["robot.update", "stroke.start", "stroke.update", "stroke.end", "error.report",
          "state.set", "state.delete", "event.publish"]
REQUIRED = {
    "stroke.start": {"total_strokes": "1"}, "state.set": {"key": '"k"', "value": "1"},
    "error.report": {"category": '"c"', "message": '"m"'}, "state.get": {"key": '"k"'},
    "state.delete": {"key": '"k"'}, "event.publish": {"channel": '"c"', "event": "{}"},
    "event.subscribe": {"channels": '["a"]'},
}


def params(members):
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def refused_field(client, method, members):
    with pytest.raises(Refused) as refused:
        client.call(method, params(members))
    assert (refused.value.code, refused.value.name) == (-32602, "invalid_params"), members
    assert refused.value.message.startswith(refused.value.field)
    return refused.value.field


@pytest.mark.parametrize("method", WRONG)
def test_wrong_params_are_named(lonely, connect, method):
    client, good = lonely.client, REQUIRED.get(method, {})
    listener = connect(lonely.agent)
    listener.call("event.subscribe", patterns=["*"])
    for field, values in WRONG[method].items():
        for value in values:
            assert refused_field(client, method, {**good, field: value}) == field, value
    for field in ("", "no_such", "Timestamp", "a.b"):
        assert refused_field(client, method, {**good, field: "1"}) == field
    for field in good:
        if method != "event.subscribe":
            rest = {k: v for k, v in good.items() if k != field}
            assert refused_field(client, method, rest) == field
    for field in ("ack", "timeout_ms"):
        if method not in WRITES:
            assert refused_field(client, method, {**good, field: '"accepted"'}) == field
    # None of that did anything.
    assert client.call("agent.stats")["stroke"]["session_id"] is None
    assert all(e["channel"] == "node:events:ook" for e in listener.events())


@pytest.mark.parametrize("field, index", [("joints_l", 0), ("joints_r", 63), ("velocities_l", 5)])
def test_a_wrong_number_is_named_by_its_place(lonely, field, index):
    for wrong in ('"1"', "true", "[]", "{}"):
        numbers = "[" + "0," * index + wrong + "]"
        assert refused_field(lonely.client, "robot.update",
                             {field: numbers}) == f"{field}[{index}]"


def test_the_tables_name_every_method(lonely):
    """Each method here is known, so that none is refused for its name alone."""
    for method in WRONG:
        try:
            lonely.client.call(method)
        except Refused as error:
            assert error.name != "unknown_method", method
    text = (Path(__file__).parents[2] / "include/nodebeat/PROTOCOL.md").read_text()
    for method in WRONG:
        assert f"| `{method}` |" in text


# --- notifications and batches ------------------------------------------------------------------


def test_notifications_are_never_answered(lonely):
    client = lonely.client
    client.notify("no.such")
    client.notify("robot.update", joints_l=1)
    client.notify("state.get", key="k")
    client.notify("state.set", key="k", value=1)
    assert client.call("state.get", key="k")["value"] == 1
    assert client.answers == {} and client.messages == [] and client.anonymous == []


def test_wrong_notifications_are_told_to_who_wants_it(lonely):
    client = lonely.client
    client.call("client.hello", errors=True)
    client.notify("robot.update", joints_l=1)
    told = client.next_message("client.error")
    assert list(told) == ["method", "error"] and told["method"] == "robot.update"
    assert (told["error"]["code"], told["error"]["data"]["field"]) == (-32602, "joints_l")
    client.notify("no.such")
    assert client.next_message("client.error")["error"]["code"] == -32601
    client.call("client.hello", errors=False)
    client.notify("no.such")
    client.call("client.hello")
    assert client.messages == []


def test_a_batch_is_answered_by_one_array(lonely):
    lonely.client.send_line([
        {"jsonrpc": "2.0", "method": "state.set", "params": {"key": "k", "value": 1}, "id": 1},
        {"jsonrpc": "2.0", "method": "state.set", "params": {"key": "k", "value": 2}},
        {"jsonrpc": "2.0", "method": "no.such", "id": "x"},
        7,
        {"jsonrpc": "2.0", "method": "state.get", "params": {"key": "k"}, "id": None},
    ])
    answers = lonely.client.next_anonymous()
    assert [a["id"] for a in answers] == [1, "x", None, None]
    assert answers[0]["result"] == {} and answers[1]["error"]["code"] == -32601
    assert answers[2]["error"]["code"] == -32600 and answers[3]["result"]["value"] == 2


def test_a_batch_waits_for_all_of_its_calls(cell):
    cell.client.send_line([
        {"jsonrpc": "2.0", "method": "state.set", "id": i,
         "params": {"key": f"k{i}", "value": i, "ack": ("accepted", "stored")[i % 2]}}
        for i in range(20)])
    answers = cell.client.next_anonymous()
    assert sorted(a["id"] for a in answers) == list(range(20))
    assert all(a["result"] == {} for a in answers)
    assert all(cell.redis.exists(f"k{i}") for i in range(1, 20, 2))


@pytest.mark.parametrize("count", [0, 257, 1000])
def test_batches_of_no_or_too_many_calls(lonely, count):
    lonely.client.send_line([{"jsonrpc": "2.0", "method": "x", "id": 1}] * count)
    answer = lonely.client.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32600
    assert lonely.client.call("client.hello")


def test_a_batch_of_256(lonely):
    lonely.client.send_line([{"jsonrpc": "2.0", "method": "client.goodbye", "id": i}
                             for i in range(256)])
    assert [a["id"] for a in lonely.client.next_anonymous()] == list(range(256))


def test_a_batch_of_notifications_is_not_answered(lonely):
    lonely.client.send_line([{"jsonrpc": "2.0", "method": "no.such"}] * 5)
    lonely.client.call("client.hello")
    assert lonely.client.anonymous == []


def test_a_long_answer_to_a_batch_comes_in_several(lonely):
    lonely.client.call("state.set", key="k", value="x" * 9000)
    lonely.client.send_line([{"jsonrpc": "2.0", "method": "state.get", "params": {"key": "k"},
                              "id": i} for i in range(30)])
    answers, lines = [], 0
    while len(answers) < 30:
        line = lonely.client.read_line()
        assert len(line) <= 65536
        answers += json.loads(line)
        lines += 1
    assert lines > 1 and sorted(a["id"] for a in answers) == list(range(30))


def descriptors(place):
    """How many the agent has open, once those are open that it keeps."""
    wait_until(lambda: place.client.call("health.get")["health"])
    # A try to reach Redis has one more.
    return len(place.agent.descriptors()) + 1


# --- limits -------------------------------------------------------------------------------------


def test_the_hello_tells_the_limits(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={
        "socket.max_line": "8KiB", "socket.max_output": "128KiB"})
    client = connect(agent)
    hello = client.call("client.hello", name="x")
    assert list(hello) == ["protocol", "client_id", "node_id", "instance_id", "agent_version",
                           "limits"]
    assert hello["protocol"] == 1 and hello["node_id"] == "ook"
    assert hello["limits"] == {"line_bytes": 8192, "output_bytes": 131072, "batch_calls": 256}
    assert connect(agent).call("client.hello")["client_id"] != hello["client_id"]


def test_a_line_of_the_longest_length(lonely):
    line = '{"jsonrpc":"2.0","method":"client.goodbye","id":1}'
    lonely.client.send_line(line + " " * (65536 - len(line)))
    assert lonely.client.answer(1) == {}


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "without an end"])
@pytest.mark.parametrize("length", [65537, 1 << 20])
def test_a_line_that_is_too_long(lonely, connect, length, ended):
    client = connect(lonely.agent)
    try:
        client.send(b" " * length + (b"\n" if ended else b""))
    except (BrokenPipeError, ConnectionResetError):
        pass  # it need not take all of it
    answer = client.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32000
    assert answer["error"]["data"] == {"name": "too_large", "limit_bytes": 65536}
    client.wait_closed()
    assert lonely.client.call("client.hello")


def test_half_a_line_for_too_long(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.line_timeout": "200ms"})
    patient, client = connect(agent), connect(agent)
    patient.call("client.hello")
    begin = time.monotonic()
    client.send(b'{"jsonrpc":')
    answer = client.next_anonymous()
    assert 0.15 < time.monotonic() - begin < 3
    assert answer["id"] is None and answer["error"]["code"] == -32007
    assert answer["error"]["data"] == {"name": "timeout"}
    client.wait_closed()
    assert patient.call("client.hello")  # silence is no half line


def test_a_line_that_trickles_has_the_same_time(redis_server, make_agent, connect):
    """From its first byte: each further one is no new beginning."""
    agent = make_agent(redis_server.url(), settings={"socket.line_timeout": "300ms"})
    client = connect(agent)

    def told():
        try:
            client.send(b" ")
        except (BrokenPipeError, ConnectionResetError):
            return True
        try:
            return client.next_anonymous(timeout=0.02)
        except AssertionError:
            return False

    begin = time.monotonic()
    client.send(b"{")
    wait_until(told, timeout=5)
    assert time.monotonic() - begin < 3


@pytest.mark.real_processor("its limit is a figure of a real one")
def test_a_multitude_of_tiny_lines_slows_nobody(lonely, connect, sanitized):
    flood = connect(lonely.agent, timeout=25)
    count = 200_000 if sanitized else 1_000_000

    def pour():
        for _ in range(count // 10_000):
            flood.send(b"{}\n" * 5_000 + b"\n" * 5_000)

    thread = threading.Thread(target=pour, daemon=True)
    reader = threading.Thread(target=drain, args=(flood.socket,), daemon=True)
    reader.start()
    thread.start()
    waits = []
    while thread.is_alive():
        begin = time.monotonic()
        lonely.client.call("state.set", key="k", value=1)
        waits.append(time.monotonic() - begin)
    waits.sort()
    # Some were answered in the middle of it, and soon: within the turns of the others.
    assert len(waits) > 2 and waits[len(waits) // 2] < (0.5 if sanitized else 0.1)
    thread.join(20)
    flood.socket.shutdown(socket.SHUT_RDWR)


def drain(sock):
    try:
        while sock.recv(1 << 20):
            pass
    except OSError:
        pass


def test_a_reader_that_never_reads_is_cut_off(redis_server, make_agent, connect, sanitized):
    agent = make_agent(redis_server.url(), settings={"socket.max_output": "128KiB"})
    deaf = connect(agent, receive_buffer=4096)
    deaf.call("event.subscribe", channels=["a"])
    deaf.call("client.hello", name="deaf", will=[
        {"method": "error.report", "params": {"category": "deaf", "message": "m"}}])
    client = connect(agent)
    client.call("event.subscribe", channels=["a"])
    heard = 0
    slowest = 0

    def publish():
        nonlocal heard, slowest
        begin = time.monotonic()
        client.call("event.publish", channel="a", event={"x": "y" * 8000}, record=False)
        slowest = max(slowest, time.monotonic() - begin)
        heard += len(client.events())
        return client.call("agent.stats")["socket"]["cut_off"] == 1

    rounds = 0
    while not publish():
        rounds += 1
        assert rounds < 200
    assert heard == rounds + 1 and slowest < (1.0 if sanitized else 0.3)
    assert client.call("agent.stats")["socket"]["clients"] == 1
    wait_until(lambda: any("error:events:deaf" == f["channel"] for _, f in
                           redis_server.client().xrange("stream:node_events:ook")))
    with pytest.raises((Closed, AssertionError)):  # in the midst of a line, perhaps
        while True:
            deaf.next_event(timeout=5)
    assert deaf.closed


def test_one_that_does_not_read_its_answers_is_not_read(redis_server, make_agent, connect):
    """It holds itself up, and nobody else: no memory is spent on it, and nothing is lost."""
    agent = make_agent(redis_server.url(), settings={"socket.max_output": "128KiB"})
    other = connect(agent)
    slow = connect(agent, receive_buffer=4096)
    slow.call("state.set", key="k", value="x" * 4000)
    wait_until(lambda: slow.call("state.get", key="k"))
    count = 500

    def ask():
        for i in range(count):
            slow.send(Client.line("agent.stats", None, f"q{i}"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    wait_until(lambda: max(c["queued_bytes"] for c in other.call("agent.stats")["clients"]) > 30000)
    stats = other.call("agent.stats")
    assert max(c["queued_bytes"] for c in stats["clients"]) < 128 * 1024
    assert stats["socket"]["cut_off"] == 0
    for i in range(count):
        assert slow.answer(f"q{i}")["node_id"] == "ook"
    thread.join(5)


def test_one_connection_too_many(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.max_clients": 3})
    clients = [connect(agent) for _ in range(3)]
    for client in clients:
        client.call("client.hello")
    late = connect(agent)
    answer = late.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32006
    assert answer["error"]["data"] == {"name": "busy", "limit": 3}
    late.wait_closed()
    clients.pop().close()
    wait_until(lambda: clients[0].call("agent.stats")["socket"]["clients"] == 2)
    assert connect(agent).call("client.hello")
    stats = clients[0].call("agent.stats")["socket"]
    assert stats["refused"] == 1 and stats["accepted"] >= 4


def test_a_thousand_connections(lonely, connect):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    before = descriptors(lonely)
    clients = [connect(lonely.agent) for _ in range(1000)]
    served = turned_away = 0
    for client in clients:
        try:
            client.send(Client.line("client.hello", None, 1))
        except BrokenPipeError:
            pass  # told and closed already
    for client in clients:
        answer = json.loads(client.read_line())
        served += "result" in answer
        turned_away += answer.get("error", {}).get("data", {}).get("name") == "busy"
    assert (served, turned_away) == (63, 937)
    assert lonely.client.call("agent.stats")["socket"]["clients"] == 64
    for client in clients:
        client.close()
    wait_until(lambda: lonely.client.call("agent.stats")["socket"]["clients"] == 1)
    wait_until(lambda: len(lonely.agent.descriptors()) <= before)


def test_descriptors_used_up(redis_server, make_agent, steady, connect):
    """Those that come are told; those that are there live on; and afterwards all is well."""
    agent = make_agent(redis_server.url())
    client = steady(agent)
    used = len(agent.descriptors())
    limits = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (used + 4, limits[1]))
    clients = [connect(agent) for _ in range(12)]
    served, busy = [], 0
    for new in clients:
        try:
            new.send(Client.line("client.hello", None, 1))
        except BrokenPipeError:
            pass  # told and closed already
        answer = json.loads(new.read_line())
        if "result" in answer:
            served.append(new)
        else:
            assert answer["error"]["data"]["name"] == "busy"
            busy += 1
    assert busy >= 8 and agent.wait_for_log("no descriptors")
    assert len(agent.logged("no descriptors")) == 1
    assert client.call("state.set", key="k", value=1, ack="stored") == {}
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, limits)
    assert connect(agent).call("client.hello")


# --- clients that die ---------------------------------------------------------------------------


def test_a_client_killed_at_every_byte_of_a_message(lonely, connect):
    """Half a message does nothing, and leaves nothing behind."""
    whole = Client.line("state.set", {"key": "k", "value": "v"}, 1)
    before = descriptors(lonely)
    for length in range(len(whole)):
        client = connect(lonely.agent)
        client.send(whole[:length])
        client.close()
    with pytest.raises(Refused) as refused:
        lonely.client.call("state.get", key="k")
    assert refused.value.name == "unavailable"
    client = connect(lonely.agent)
    client.send(whole)
    client.close()
    wait_until(lambda: value_of(lonely.client, "k") == "v")
    wait_until(lambda: len(lonely.agent.descriptors()) <= before)
    assert lonely.client.call("agent.stats")["socket"]["clients"] == 1


def value_of(client, key):
    try:
        return client.call("state.get", key=key)["value"]
    except Refused:
        return None


def test_a_message_in_single_bytes(lonely):
    for byte in Client.line("state.set", {"key": "k", "value": "ä"}, 7):
        lonely.client.send(bytes([byte]))
    assert lonely.client.answer(7) == {}


def test_what_a_client_said_before_it_went_counts(cell, connect):
    client = connect(cell.agent)
    for i in range(1000):
        client.notify("event.publish", channel="c", event={"i": i})
    client.close()
    kept = wait_until(lambda: (e := [f["event"] for _, f in cell.redis.xrange(
        "stream:node_events:ook") if f["channel"] == "c"]) and len(e) == 1000 and e)
    assert kept == [f'{{"i":{i}}}' for i in range(1000)]


def test_clients_that_die_while_their_answers_are_on_the_way(cell, connect):
    before = descriptors(cell)
    cell.server.pause()
    try:
        for i in range(20):
            client = connect(cell.agent)
            client.request("state.set", key=f"k{i}", value=i, ack="stored")
            client.request("state.list")
            client.request("system.status")
            client.close()
    finally:
        cell.server.resume()
    wait_until(lambda: all(cell.redis.exists(f"k{i}") for i in range(20)))
    wait_until(lambda: len(cell.agent.descriptors()) <= before)
    assert cell.client.call("agent.stats")["socket"]["clients"] == 1


def anonymous_memory(agent):
    """Without the program's text: whether that is shared depends on who else runs it."""
    rows = Path(f"/proc/{agent.pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(row.split()[1]) for row in rows if row.startswith("Anonymous:"))


def test_nothing_is_left_of_a_hundred_clients(cell, connect, sanitized):
    def round_of_clients():
        for _ in range(100):
            client = connect(cell.agent)
            client.call("event.subscribe", channels=["a"], patterns=["b*"])
            client.call("client.hello", name="x", will=[
                {"method": "state.set", "params": {"key": "w", "value": 1}}])
            client.close()
        wait_until(lambda: cell.client.call("agent.stats")["socket"]["clients"] == 1)

    round_of_clients()
    # The connection that subscribes goes when nothing is subscribed any more.
    descriptors = wait_until(lambda: len(cell.agent.descriptors()))
    memory = anonymous_memory(cell.agent)
    round_of_clients()
    wait_until(lambda: len(cell.agent.descriptors()) <= descriptors)
    # A sanitizer's allocator keeps what was freed, an emulator what it has translated.
    if not sanitized and "NODEBEAT_TEST_EMULATED" not in os.environ:
        assert anonymous_memory(cell.agent) < memory + 256 * 1024
    assert cell.client.call("agent.stats")["subscriptions"]["local"] == 0


# --- the socket's file --------------------------------------------------------------------------


def cli(program, tmp_path, path, *more, **settings):
    """Runs an agent that is expected to end by itself."""
    config = tmp_path / "cli.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    config.write_text('[node]\nname = "ook"\n[redis]\nurl = "redis://127.0.0.1:1"\n[socket]\n'
                      + "\n".join(lines) + "\n")
    return subprocess.run([program, "--config", config, "--socket", str(path), *more],
                          env=environment(tmp_path / "sanitizer"), capture_output=True, text=True,
                          timeout=20)


def test_a_live_socket_is_never_stolen(lonely, program, tmp_path):
    path = lonely.agent.socket_path
    before = os.stat(path)
    done = cli(program, tmp_path, path, group="")
    assert done.returncode == 69  # EX_UNAVAILABLE
    assert path in done.stderr and "in use" in done.stderr
    assert str(lonely.agent.pid) in done.stderr
    assert os.stat(path).st_ino == before.st_ino
    assert lonely.client.call("client.hello") and Client(path).call("client.hello")


def test_another_programs_live_socket_is_not_stolen(program, tmp_path):
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        done = cli(program, tmp_path, path, group="")
        assert done.returncode == 69 and "in use" in done.stderr
        assert f"process {os.getpid()}" in done.stderr
        with socket.socket(socket.AF_UNIX) as still:
            still.connect(str(path))
    assert path.exists() and not Path(f"{path}.lock").exists()


def test_a_dead_socket_is_replaced(redis_server, make_agent, connect, tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    settings = {"socket.path": str(path)}
    agent = make_agent(redis_server.url(), settings=settings)
    assert connect(agent).call("client.hello")
    agent.kill()
    assert path.exists()
    again = make_agent(redis_server.url(), settings=settings)
    assert connect(again).call("client.hello")
    again.stop()
    assert sorted(p.name for p in tmp_path.glob("dead.sock*")) == []


@pytest.mark.parametrize("kind, words", [("file", "is a file"), ("folder", "is a folder"),
                                         ("link", "is a symbolic link"), ("fifo", "is no socket")])
def test_what_is_no_socket_is_left_alone(program, tmp_path, kind, words):
    path = tmp_path / "thing"
    {"file": lambda: path.write_text("precious"), "folder": path.mkdir,
     "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
     "fifo": lambda: os.mkfifo(path)}[kind]()
    before = os.lstat(path)
    done = cli(program, tmp_path, path, group="")
    assert done.returncode == 72 and str(path) in done.stderr and words in done.stderr
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert kind != "file" or path.read_text() == "precious"


def test_a_path_that_is_too_long(program, tmp_path):
    for length, is_right in ((107, True), (108, False)):
        path = str(tmp_path) + "/" + "x" * (length - len(str(tmp_path)) - 1)
        done = cli(program, tmp_path, path, "--check-config", group="")
        assert (done.returncode == 0) is is_right
        assert is_right or ("107" in done.stderr and "socket" in done.stderr)


def test_no_folder_for_it(program, tmp_path):
    done = cli(program, tmp_path, tmp_path / "a" / "b" / "agent.sock", group="")
    assert done.returncode == 72 and str(tmp_path / "a" / "b") in done.stderr


def test_its_folder_is_made(redis_server, make_agent, connect, tmp_path):
    agent = make_agent(redis_server.url(),
                       settings={"socket.path": str(tmp_path / "run" / "agent.sock")})
    assert connect(agent).call("client.hello")


@pytest.mark.parametrize("mode", ["0660", "0600", "0666"])
def test_mode(redis_server, make_agent, connect, mode):
    agent = make_agent(redis_server.url(), settings={"socket.mode": mode})
    connect(agent).call("client.hello")
    assert stat.S_IMODE(os.stat(agent.socket_path).st_mode) == int(mode, 8)


def test_group(redis_server, make_agent, connect):
    if os.getuid() != 0:
        pytest.skip("only root can give a file to any group")
    group = next(g for g in grp.getgrall() if g.gr_gid != 0)
    for name in (group.gr_name, str(group.gr_gid)):
        agent = make_agent(redis_server.url(), settings={"socket.group": name})
        connect(agent).call("client.hello")
        assert os.stat(agent.socket_path).st_gid == group.gr_gid
        agent.stop()


def test_a_group_that_is_none_is_told(redis_server, make_agent, connect):
    agent = make_agent(redis_server.url(), settings={"socket.group": "no-such-group-here"})
    assert connect(agent).call("client.hello")
    assert len(agent.logged("no group 'no-such-group-here'")) == 1
    assert os.stat(agent.socket_path).st_gid == os.getgid()


@pytest.mark.parametrize("key", ["socket.allow_users", "socket.allow_groups"])
def test_somebody_who_is_none_lets_nobody_in(redis_server, make_agent, connect, key):
    agent = make_agent(redis_server.url(), settings={key: ["no-such-account"]})
    client = connect(agent)
    assert client.next_anonymous()["error"]["data"]["name"] == "forbidden"
    client.wait_closed()
    assert agent.wait_for_log("no 'no-such-account'")


def test_who_may_connect(redis_server, make_agent, connect):
    stranger = "12345" if os.getuid() != 12345 else "12346"
    agent = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger]})
    client = connect(agent)
    answer = client.next_anonymous()
    assert answer["id"] is None and answer["error"]["code"] == -32011
    assert answer["error"]["data"] == {"name": "forbidden"}
    assert str(os.getuid()) in answer["error"]["message"]
    client.wait_closed()
    me = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger,
                                                                         str(os.getuid())]})
    assert connect(me).call("client.hello")
    mine = make_agent(redis_server.url(), settings={"socket.allow_users": [stranger],
                                                    "socket.allow_groups": [str(os.getgid())]})
    assert connect(mine).call("client.hello")


def test_no_socket_at_all(redis_server, make_agent, tmp_path):
    agent = make_agent(redis_server.url(), args=["--socket", ""])
    redis_server.wait_for_beat("ook")
    assert not Path(agent.socket_path).exists()
    assert not agent.connections("unix") or all(
        c.status == "NONE" and not c.laddr for c in agent.connections("unix"))


def test_a_socket_that_was_handed_over(redis_server, make_agent, connect, tmp_path):
    path = tmp_path / "activated.sock"
    launcher = Path(__file__).with_name("support") / "activation.py"
    agent = make_agent(redis_server.url(), wrapper=[sys.executable, launcher, path],
                       settings={"socket.path": str(tmp_path / "unused.sock")})
    wait_until(lambda: path.exists())
    agent.settings["socket.path"] = str(path)
    client = connect(agent)
    assert client.call("client.hello")["node_id"] == "ook"
    assert not (tmp_path / "unused.sock").exists()
    agent.stop()
    assert path.exists()  # it is the service manager's
    client.wait_closed()


def test_connections_are_closed_at_a_stop_and_clients_come_back(cell, make_agent, connect):
    cell.agent.stop()
    cell.client.wait_closed()
    assert not Path(cell.agent.socket_path).exists()
    again = make_agent(cell.server.url(), settings={"socket.path": cell.agent.socket_path})
    assert connect(again).call("client.hello")


def test_a_client_that_stops_is_no_trouble(lonely, connect, closing):
    """SIGSTOP of a subscriber: it is cut off when its output is full, others hear on."""
    program = (
        "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        's.sendall(b\'{"jsonrpc":"2.0","method":"event.subscribe","params":{"channels":["a"]},'
        '"id":1}\\n\')\nprint(s.recv(999),flush=True)\nwhile s.recv(99999): pass\n'
    )
    process = processes.spawn([sys.executable, "-c", program, lonely.agent.socket_path],
                              stdout=subprocess.PIPE)
    try:
        assert b"result" in process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        rounds = 0
        while lonely.client.call("agent.stats")["socket"]["cut_off"] == 0:
            for _ in range(20):
                lonely.client.notify("event.publish", channel="a", event={"x": "y" * 30000},
                                     record=False)
            rounds += 1
            assert rounds < 50
        assert lonely.client.call("agent.stats")["socket"]["clients"] == 1
    finally:
        os.kill(process.pid, signal.SIGCONT)
        processes.end(process)
        process.stdout.close()
    Conditions.met += 1
