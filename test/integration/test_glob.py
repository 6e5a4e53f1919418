"""Patterns match what the server itself takes them to match."""

import random
import subprocess

import pytest

from probe_driver import find


def _random_text(draw, alphabet, longest):
    return bytes(draw.choice(alphabet) for _ in range(draw.randint(1, longest)))


def _hex(text):
    return "x" + text.hex()


def _short_ones(draw):
    texts = sorted({_random_text(draw, b"abc-]^\\", 6) for _ in range(400)})
    return texts, [_random_text(draw, b"abc*?[]^-\\", 9) for _ in range(3000)], 1000


def _long_ones(draw):
    """Nearly all of one letter, so that every element behind a star has many places."""
    texts = {bytes(draw.choice(b"aaaaaaaaab-") for _ in range(draw.randint(50, 256))) for _ in range(60)}
    words = [b"*", b"a", b"a?", b"[ab]", b"[^b]", b"a" * 40, b"?" * 30, b"\\a", b"[a-b]", b"b"]
    patterns = [b"*" + b"".join(draw.choice(words) for _ in range(draw.randint(1, 6))) for _ in range(1000)]
    return sorted(texts), [p for p in patterns if p.count(b"*") < 3], 1000


@pytest.mark.parametrize("make", [_short_ones, _long_ones])
def test_a_pattern_matches_the_keys_that_the_server_finds(redis_server, make):
    texts, patterns, at_least = make(random.Random(20261120))
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
    assert matches > at_least, "the patterns match something"
