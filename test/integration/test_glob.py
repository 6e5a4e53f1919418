"""Patterns match what the server itself takes them to match."""

import random
import subprocess

from probe_driver import find


def _random_text(draw, alphabet, longest):
    return bytes(draw.choice(alphabet) for _ in range(draw.randint(1, longest)))


def _hex(text):
    return "x" + text.hex()


def test_a_pattern_matches_the_keys_that_the_server_finds(redis_server):
    draw = random.Random(20261120)
    texts = sorted({_random_text(draw, b"abc-]^\\", 6) for _ in range(400)})
    patterns = [_random_text(draw, b"abc*?[]^-\\", 9) for _ in range(3000)]
    client = redis_server.client()
    client.mset({text: "1" for text in texts})

    program = find("NODEBEAT_TEST_GLOB_DRIVER", "build*/test/support/glob_driver",
                   "build*/*/test/support/glob_driver")
    assert program, "build the tests first: there is no build*/test/support/glob_driver"
    lines = "".join(f"{_hex(p)} {_hex(t)}\n" for p in patterns for t in texts)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    ours = iter(answer.stdout.split())

    pipe = client.pipeline(transaction=False)
    pipe.set_response_callback("KEYS", lambda reply, **_: reply)
    for pattern in patterns:
        pipe.execute_command("KEYS", pattern)
    matches = 0
    for pattern, found in zip(patterns, pipe.execute()):
        theirs = {key if isinstance(key, bytes) else key.encode() for key in found}
        mine = {text for text in texts if next(ours) == "1"}
        assert mine == theirs, pattern
        matches += len(mine)
    assert matches > 1000, "the patterns match something"
