#!/usr/bin/env python3
"""A small program that talked to Redis by redis-py, and talks to the agent now. Above each line stands the old one.

What it gains: it starts with Redis down, never hangs when Redis does, needs no password, and what it writes is not
lost while Redis restarts.
"""

# import redis
import nodebeat

# r = redis.Redis(host="hog.local", socket_timeout=2, decode_responses=True)
client = nodebeat.Client(name="lights")


def remember(mode: str) -> None:
    # r.set("cell:mode", json.dumps(mode), ex=3600)
    client.state_set("cell:mode", mode, ttl_ms=3_600_000)


def recall() -> str:
    # text = r.get("cell:mode"); return "auto" if text is None else json.loads(text)
    try:
        return str(client.state_get("cell:mode")["value"])
    except nodebeat.errors.NotFound:
        return "auto"


def tell(brightness: int) -> None:
    # r.publish("cell:lights", json.dumps({"brightness": brightness}))
    client.event_publish("cell:lights", {"brightness": brightness})


def count() -> int:
    # while True:  # WATCH, GET, MULTI, SET, EXEC, and again on a WatchError
    changed = client.session_change("lights", lambda s: {**s, "switched": s.get("switched", 0) + 1}, create=True)
    return int(changed["state"]["switched"])


def main() -> None:
    # p = r.pubsub(); p.subscribe("cell:lights"); for message in p.listen(): ...
    client.event_subscribe(["cell:lights"])
    print("mode:", recall())
    remember("night")
    tell(7)
    for notice in client.events():
        if isinstance(notice, nodebeat.Event):
            print("brightness:", notice.event["brightness"])
            break
    print("mode:", recall(), "switched:", count())
    client.close()


if __name__ == "__main__":
    main()
