"""The local socket: what bad lines, calls and params get, to the letter."""

import json
from pathlib import Path

import pytest

from support.rpc import Client, Refused


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
    "NaN": (b'{"a":NaN}', "JSON has no such number: send null, or leave it out", 5),
    "Infinity": (b'{"a":-Infinity}', "JSON has no such number: send null, or leave it out", 6),
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
def test_what_is_no_json_costs_that_line_only(lonely, line, words, offset):
    client = lonely.client
    client.send(line + b"\n" + Client.line("state.set", {"key": "k", "value": 1}, 1))
    answer = client.next_anonymous()
    assert list(answer) == ["jsonrpc", "id", "error"] and answer["jsonrpc"] == "2.0"
    error = answer["error"]
    assert list(error) == ["code", "message", "data"] and error["code"] == -32700
    assert list(error["data"]) == ["name", "offset"] and error["data"]["name"] == "parse_error"
    assert words in error["message"]
    if offset is not None:
        assert error["data"]["offset"] == offset
    assert client.answer(1) == {}  # the line behind it was carried out
    assert client.call("agent.stats")["clients"][0]["errors"] == 1


def test_calls_that_wait_are_answered_though_a_malformed_line_follows(cell):
    client = cell.client
    cell.server.pause()
    try:
        client.send(b"".join(
            Client.line("state.set", {"key": f"k{i}", "value": i, "ack": "stored",
                                      "timeout_ms": 20000}, i) for i in range(20)) + b"no JSON\n")
        assert client.next_anonymous()["error"]["data"]["name"] == "parse_error"
        assert client.answers == {}
    finally:
        cell.server.resume()
    assert [client.answer(i, timeout=20) for i in range(20)] == [{}] * 20
    assert client.call("client.hello")


def test_a_flood_of_lines_that_are_no_json_ends_the_connection(lonely, connect):
    client = connect(lonely.agent)
    client.request("state.set", key="k", value=1, ack="stored", timeout_ms=300)
    try:
        client.send(b"GET / HTTP/1.1\r\n" * 20000)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it need not take all of it
    client.wait_closed()
    limits = [a["error"]["data"].get("limit") for a in client.anonymous]
    assert len(limits) > 1000 and limits[-1] == 1000 and set(limits[:-1]) == {None}
    # And what was under way has been answered.
    assert client.answers[1]["error"]["data"]["name"] == "not_stored"
    assert lonely.client.call("agent.stats")["socket"]["cut_off"] == 1


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
INTEGER = ["1.5", "1e-1", '"1"', "true", "null", "[]", "9007199254740993",
           "-9007199254740993", "123456789012345678901234567890"]
NUMBER = ['"1"', "true", "null", "[]", "-0.1"]
NUMBERS = ["1", '"1"', "true", "{}"]
TEXT = ["1", "true", "null", "[]", "{}"]
OBJECT = ["1", '"x"', "null", "[]", "true"]
KEY = [*TEXT, '""', '"a\\nb"', json.dumps("k" * 513)]
TIME = ["1", "null", '""', '"now"', '"2026-11-20T14:03"', '"2026-11-20T14:03:07.123456+01:00"',
        '"2026-13-20T14:03:07.123456"', '"2026-11-20 14:03:07.123456"', '"2026-11-20T14:03:07."']
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
    "node.history": {"node": TEXT, "range_ms": [*INTEGER, "999", "2678400001"], "points": [*INTEGER, "0", "241"],
                     "fields": LIST},
    "agent.stats": {},
    "redis.inspect": {},
}
WRITES = ["robot.update", "stroke.start", "stroke.update", "stroke.end", "error.report",
          "state.set", "state.delete", "event.publish"]
REQUIRED = {
    "stroke.start": {"total_strokes": "1"}, "state.set": {"key": '"k"', "value": "1"},
    "error.report": {"category": '"c"', "message": '"m"'}, "state.get": {"key": '"k"'},
    "state.delete": {"key": '"k"'}, "event.publish": {"channel": '"c"', "event": "{}"},
    "event.subscribe": {"channels": '["a"]'}, "node.history": {"range_ms": "1000", "fields": "[]"},
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
    for wrong in ('"1"', "true", "[]", "{}", "null"):
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
