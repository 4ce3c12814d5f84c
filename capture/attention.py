"""How long something has lasted while somebody watched: a machine that stood still says nothing about a device.

A virtual machine that is held up, a laptop that slept, a process that waited for the disk: afterwards every clock has
run on, and what came meanwhile still lies unread in a pipe. Patience that is measured by the clock alone would be at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_LOOK_S = 0.25  # what counts of the time between two looks, however long it was


class Attention:
    """Counts from its making, or from :meth:`renew`; one thread looks, often."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """What is waited for has come: begin anew."""
        self._watched_s, self._looked_s = 0.0, self._clock()

    def look(self) -> float:
        """Seconds watched by now."""
        now_s = self._clock()
        self._watched_s += min(now_s - self._looked_s, LONGEST_LOOK_S)
        self._looked_s = now_s
        return self._watched_s
