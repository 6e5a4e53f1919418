"""Messages of other programs on the channels of the bus and of sessions, which may be anything."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Final

log: Final = logging.getLogger("nodebeat")


def time_of(ms: object) -> datetime:
    """The time of so many milliseconds since 1970, in UTC, with its zone; ValueError if that is no time."""
    if isinstance(ms, bool) or not isinstance(ms, (int, float)):
        raise ValueError("its timestamp is no number")
    try:
        return datetime.fromtimestamp(ms / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise ValueError("its timestamp is no time") from None


class Malformed:
    """Counts messages that cannot be understood, and tells of them in the log: of the first one, and then of ever
    fewer, since another program may send them without end."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, channel: str, why: object) -> None:
        """Counts one more, and logs the 1st, 2nd, 4th, 8th and so on."""
        self.count += 1
        if self.count & (self.count - 1) == 0:
            log.warning("a message on %s is skipped, number %d that cannot be understood: %s", channel, self.count, why)
