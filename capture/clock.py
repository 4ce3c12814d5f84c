"""Where a device's own time lies on the host's monotonic clock, and how fast it runs against it.

Whatever arrives was delayed on its way, never hastened: of all differences between arrival and media time the least
is the nearest to the truth (the lower envelope; the same thought as the minimum filter of NTP, RFC 5905 section 10).
Its slope over the session is the drift between the two crystals. The wall clock plays no part.
"""

from __future__ import annotations

from collections import deque

BUCKET_S = 1.0
WINDOW_S = 30.0  # at 100 ppm a clock walks 3 ms in this time
JUMP_S, JUMP_LASTS_S = (
    0.1,
    8.0,
)  # samples or pictures were lost: what came before says nothing about what comes
HELD_S = 0.005  # a smaller correction than this is not worth a seam
DRIFT_BUCKET_S = 10.0
DRIFT_SPAN_S = 60.0


class DeviceClock:
    """Fed with pairs of arrival and media time of one run; one thread feeds, any thread asks."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()  # start of a bucket, least difference in it
        self._held_s: float | None = None
        self._drift = _Slope()

    def add(self, arrival_s: float, media_s: float) -> None:
        """``media_s`` had been captured when ``arrival_s`` came."""
        late_s = arrival_s - media_s
        if not self._recent or arrival_s - self._recent[-1][0] >= BUCKET_S:
            self._recent.append((arrival_s, late_s))
            while self._recent[0][0] < arrival_s - WINDOW_S:
                self._recent.popleft()
            self._forget_what_a_jump_outdated(arrival_s)
        elif late_s < self._recent[-1][1]:
            self._recent[-1] = (self._recent[-1][0], late_s)
        self._drift.add(arrival_s, late_s)

    def _forget_what_a_jump_outdated(self, now_s: float) -> None:
        lately = [late_s for at_s, late_s in self._recent if at_s >= now_s - JUMP_LASTS_S]
        before = [late_s for at_s, late_s in self._recent if at_s < now_s - JUMP_LASTS_S]
        if before and min(lately) - min(before) > JUMP_S:
            while self._recent[0][0] < now_s - JUMP_LASTS_S:
                self._recent.popleft()
            self._drift = _Slope()

    def offset_s(self) -> float | None:
        """Media time 0 on the host's clock as of now; None before anything has arrived.

        It keeps still until it would move by 5 ms, so that most segments meet exactly.
        """
        least_s = min((late_s for _, late_s in tuple(self._recent)), default=None)
        if least_s is not None and (self._held_s is None or abs(least_s - self._held_s) > HELD_S):
            self._held_s = least_s
        return self._held_s

    def drift_ppm(self) -> float | None:
        """How much faster the device's clock runs than the host's; None before a minute has passed."""
        return self._drift.ppm()


class _Slope:
    """The straight line (least squares) through the least difference of each ten seconds."""

    def __init__(self) -> None:
        self._bucket: tuple[float, float] | None = None
        self._first_s: float | None = None
        self._last_s = 0.0
        self._sums = (0, 0.0, 0.0, 0.0, 0.0)

    def add(self, arrival_s: float, late_s: float) -> None:
        if self._bucket is None:
            self._bucket = (arrival_s, late_s)
        elif arrival_s - self._bucket[0] < DRIFT_BUCKET_S:
            self._bucket = (self._bucket[0], min(late_s, self._bucket[1]))
        else:
            self._close(self._bucket)
            self._bucket = (arrival_s, late_s)

    def _close(self, bucket: tuple[float, float]) -> None:
        at_s, late_s = bucket
        if self._first_s is None:  # the first ten seconds still carry what had been waiting in queues
            self._first_s = at_s
            return
        self._last_s = at_s
        x = at_s - self._first_s
        count, sx, sy, sxx, sxy = self._sums
        self._sums = (count + 1, sx + x, sy + late_s, sxx + x * x, sxy + x * late_s)

    def ppm(self) -> float | None:
        count, sx, sy, sxx, sxy = self._sums
        if self._first_s is None or self._last_s - self._first_s < DRIFT_SPAN_S:
            return None
        slope = (count * sxy - sx * sy) / (count * sxx - sx * sx)
        return round(-slope * 1e6, 2)
