"""src/wire/session.lua as the agent runs it, without an agent."""

import hashlib
import json
from pathlib import Path

from redis.exceptions import NoScriptError

WIRE = Path(__file__).parents[3] / "src/wire"


def script(name):
    """As it is built into the agent, but for comments."""
    return "".join((WIRE / part).read_text() for part in ("common.lua", name))


SOURCE = script("session.lua")
INDEX, SEALS, AUDIT = (f"nodebeat:sessions{tail}" for tail in ("", ":seals", ":audit"))


class Writer:
    """The sessions as one instance of an agent writes them."""

    def __init__(self, redis, instance="i1"):
        self.redis = redis
        self.instance = instance
        self.sequence = 0

    def run(self, *args, keys):
        try:
            return self.redis.evalsha(hashlib.sha1(SOURCE.encode()).hexdigest(), len(keys), *keys, *args)
        except NoScriptError:
            self.redis.script_load(SOURCE)
        return self.run(*args, keys=keys)

    def write(self, op, name="s", state=None, expected="", options="state", ttl=3600000, read=None,
              sequence=None, audit=1000, longest=1 << 20):
        """`state`: a text. `read`: (text, version or ""), what another program has written."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        members = "," + state[1:-1] if state not in (None, "{}") else ""
        seen = ("", "", "")
        if read is not None:
            options += " read"
            seen = (*read, '"then"')
        return self.run(
            op, sequence, name, json.dumps(name), ttl, expected, options, *seen, members,
            json.dumps(members, ensure_ascii=False)[1:-1], longest, audit, "client", "me", "node", "ook",
            keys=self.keys(name),
        )

    def broadcast(self, message, name="s", sequence=None):
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        return self.run("broadcast", sequence, name, json.dumps(name), message, keys=self.keys(name))

    def get(self, name="s", longest=1 << 20):
        return self.run("get", longest, keys=[f"session:{name}"])

    def page(self, score="", member="", limit=100):
        flat = self.run("page", score, member, limit, keys=[INDEX])
        return list(zip(flat[::2], flat[1::2]))

    def look(self, *names, budget=1 << 20):
        return self.run("look", budget, *names, keys=[SEALS, *(f"session:{n}" for n in names)])

    def keys(self, name):
        return [f"session:{name}", INDEX, SEALS, f"nodebeat:sessions:writes:{self.instance}", AUDIT]
