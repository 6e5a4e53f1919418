"""The programs under test/examples, as their users would run them."""

import subprocess

import pytest


def test_two_agents_live_in_one_program(program, redis_server):
    example = program.parents[2] / "test" / "examples" / "two_agents"
    if not example.exists():
        pytest.skip(f"{example} is not built (tests are disabled in that build)")
    done = subprocess.run(
        [example, f"redis://127.0.0.1:{redis_server.port}", "5"], capture_output=True, text=True, timeout=25
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = redis_server.client()
    for name in ("left", "right"):
        assert f"{name} <5> redis" in done.stdout, "each has its own log"
        assert client.hget(f"node:health:{name}", "health") is not None
        assert client.xlen(f"stream:node_metrics:{name}") >= 5
