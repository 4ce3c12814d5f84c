"""One run of an input: a child from its start to the last segment it closed, and where its time lies."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from capture.attention import Attention
from capture.child import Child
from capture.clock import DeviceClock
from capture.commands import Plan
from capture.segments import Closed, ClosedList, Place, Reason, Segment
from capture.tap import Tap


@dataclass(frozen=True)
class Job:
    """What all inputs are wanted for. ``folder`` None: watch only.

    ``zero`` is the session's 0 on the host's monotonic clock; the job began at ``from_s`` of the session.
    """

    folder: Path | None
    segment_s: float
    zero: float
    from_s: float = 0.0
    limit_s: float | None = None

    def now_s(self) -> float:
        return time.monotonic() - self.zero


@dataclass
class Run:
    """``fixed_s``: where its time 0 lies, where that needs no measuring; ``reason``: of the hole before it."""

    job: Job
    plan: Plan
    child: Child
    tap: Tap
    clock: DeviceClock
    fixed_s: float | None
    spawned_s: float
    reason: Reason | None
    lines: ClosedList | None
    waiting: deque[Closed] = field(default_factory=deque)
    handed: int = 0
    handed_s: float = 0.0
    gap_told: bool = False
    kept: Place | None = None  # what the disk says about the first segment
    ended: bool = False
    silence: Attention = field(default_factory=Attention)
    heard: float | None = None  # the tap's last data when somebody looked

    def silent_s(self) -> float:
        """How long nothing has come from the device, as far as somebody watched; for who looks often."""
        if self.tap.last_data != self.heard:
            self.heard = self.tap.last_data
            self.silence.renew()
        return self.silence.look()

    def place(self, number: int) -> Place:
        """Of the segments from ``number`` on, as known by now."""
        if self.fixed_s is not None:
            return Place(number, self.fixed_s, None)
        offset_s = self.clock.offset_s()
        return Place(number, self.spawned_s if offset_s is None else offset_s, self.clock.drift_ppm())

    def begins_s(self, segment: Segment) -> float:
        """When the first thing was there to be seen or heard: a copied camera begins with its next keyframe."""
        if self.tap.first_s is None:
            return segment.start_s
        return max(segment.start_s, round(self.place(segment.index).offset_s + self.tap.first_s, 6))

    @property
    def has_data(self) -> bool:
        return self.tap.last_data is not None
