#!/usr/bin/env python3
"""Shows the cell, and then what happens in it, until it is interrupted. It only reads: view.sock will do.

    NODEBEAT_SOCKET=/run/nodebeat/view.sock monitor.py
"""

import asyncio

import nodebeat
import nodebeat.aio


async def main() -> None:
    async with nodebeat.aio.Client(name="monitor") as client:
        status = await client.system_status(timeout=60)
        for node, health in status["nodes_health"].items():
            print(f"{node}: {'down' if health is None else format(health['cpu_percent'], '.0f') + ' % CPU'}", flush=True)
        # Errors also from before; the rest from now on.
        await client.event_subscribe(patterns=["error:events:*"], replay={"last": 10})
        await client.event_subscribe(patterns=["node:events:*", "stroke:events:*"])
        async for notice in client.events():
            match notice:
                case nodebeat.Event(channel=channel, event={"type": kind, **more}):
                    words = more.get("message") or more.get("session_id") or ""
                    print(f"{channel}: {kind} {more.get('node_id', '')} {words}", flush=True)
                case nodebeat.Gap():
                    print(f"something may have been missed since {notice.from_}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
