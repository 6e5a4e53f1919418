"""The same client for asyncio: `nodebeat.aio.Client`."""

from nodebeat.aio.client import Client

__all__ = ["Client"]
