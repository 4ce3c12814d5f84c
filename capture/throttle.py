"""Bandwidth: in clinic hours an upload leaves room for everything else that needs the line."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from config.errors import CoreUnreachable
from config.settings import CaptureSettings

WINDOW_S = 5.0


class Throttle:
    """Paces an upload chunk by chunk, without bursts, and measures its rate. Safe to use from several threads."""

    def __init__(
        self,
        settings: CaptureSettings,
        zone: ZoneInfo,
        ended: threading.Event,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``ended``: set when whoever waits here is to give up. ``now``: the wall clock, for the clinic's hours."""
        self._settings, self._zone, self._ended, self._now = settings, zone, ended, now
        self._lock = threading.Lock()
        self._free_at_s = 0.0
        self._sent: deque[tuple[float, int]] = deque()

    @property
    def cap_kbps(self) -> float:
        """The cap that holds now, kbit/s; 0: none."""
        local = self._now().astimezone(self._zone).time()
        hours = self._settings.clinic_spans
        return self._settings.upload_cap_kbps if any(start <= local < end for start, end in hours) else 0.0

    def pace(self, size: int) -> None:
        """Wait until ``size`` more bytes may go. Raises CoreUnreachable when the upload is to end meanwhile."""
        cap_kbps = self.cap_kbps
        with self._lock:
            now_s = time.monotonic()
            wait_s = max(0.0, self._free_at_s - now_s) if cap_kbps else 0.0
            self._free_at_s = now_s + wait_s + (size * 8 / (cap_kbps * 1000) if cap_kbps else 0.0)
        if self._ended.wait(wait_s):
            raise CoreUnreachable(url="", detail="ending")
        with self._lock:
            self._sent.append((time.monotonic(), size))

    @property
    def rate_kbps(self) -> float:
        """What has gone out in the last few seconds, kbit/s."""
        with self._lock:
            since_s = time.monotonic() - WINDOW_S
            while self._sent and self._sent[0][0] < since_s:
                self._sent.popleft()
            return round(sum(size for _, size in self._sent) * 8 / 1000 / WINDOW_S, 1)
