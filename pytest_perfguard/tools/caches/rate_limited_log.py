"""Warnings that are logged at most once a minute."""

from __future__ import annotations

import logging
import time
from typing import Final

_log = logging.getLogger("perfguard.cache")

#: Seconds between two warnings of one kind.
INTERVAL: Final = 60.0


class RateLimitedLog:
    """Log one kind of warning of one cache at most once a minute, with the number of those left out."""

    def __init__(self) -> None:
        self._logged_at = -INTERVAL
        self._left_out = 0

    def warning(self, message: str, *arguments: object) -> None:
        """Log a warning, unless one was logged during the last minute."""
        now = time.monotonic()
        if now - self._logged_at < INTERVAL:
            self._left_out += 1
            return
        left_out, self._left_out, self._logged_at = self._left_out, 0, now
        more = f" ({left_out} similar warnings were left out)" if left_out else ""
        _log.warning(f"{message}%s", *arguments, more)
