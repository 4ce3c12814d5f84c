"""One input under supervision: started, watched, restarted, ended; what it closes is handed on in order.

Two threads work on it. The supervising one (:meth:`Supervised.tick`) starts and ends children and never waits for the
disk; the handing-on one (:meth:`Supervised.hand_on`) syncs, hashes and calls back, and may take its time.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import structlog

from capture.child import Child
from capture.clock import DeviceClock
from capture.commands import Plan, command_of, has_stamps, is_live, is_paced
from capture.rig import Camera, Microphone, Rig
from capture.runs import Job, Run
from capture.segments import (
    Closed,
    ClosedList,
    Gap,
    Place,
    Reason,
    Segment,
    last_end_s,
    list_name,
    next_index,
    sealed_off,
    write_place,
)
from capture.tap import Tap

STALL_S = 2.0
KEYFRAMES_STALL_S = 5.0  # where only a picture a second says that data come
START_S = 8.0  # for a device to deliver its first data
PROMPT_S = 4.0  # what a session lacks of an input that took longer for it is a gap
CLOSING_S = 2.0  # for a child that was asked to close its file
STALLED_CLOSING_S = 0.4  # one that hangs will hardly close anything
LONGEST_BACKOFF_S = 2.0
STEADY_S = 1.0  # a run that delivered and lived as long starts the backoff anew
NO_SPACE = "No space left"
_AT_ONCE_S = 0.5
_log = structlog.get_logger(__name__)

Name = Literal["idle", "starting", "recording", "watching", "paused", "restarting", "ended", "failed"]
OnSegment = Callable[[Segment], None]
OnGap = Callable[[Gap], None]


class Supervised:
    """``on_shown`` gets pictures (bytes) or blocks of sound, from the tap's thread; None: nothing is shown."""

    def __init__(self, rig: Rig, device: Camera | Microphone, on_shown: Callable[[Any], None] | None) -> None:
        self.device = device
        self._rig, self._on_shown = rig, on_shown
        self._runs: deque[Run] = deque()  # with segments that may still have to be handed on
        self.run: Run | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew: another session."""
        self.over: Literal["", "ended", "failed"] = ""
        self.detail = ""
        self.disk_full = False
        self.restarts = self.gaps = self.count = 0
        self.handed_s = 0.0
        self.end_s: float | None = None  # of what was handed on, on the session's clock
        self.hole: Reason | None = None  # why nothing is recorded since
        self._ending: Literal["", "stop", "pause", "stalled"] = ""
        self._spawned = self._failures = 0
        self._next_try = 0.0

    @property
    def pending(self) -> bool:
        return bool(self._runs)

    def tick(self, job: Job | None, paused: bool) -> None:
        """The supervising thread's look. Raises FfmpegMissing and what the disk says; the next one tries again."""
        if self.run is not None and self.run.child.status is not None:
            self._take_leave(self.run)
        if self.run is not None:
            self._watch_over(self.run, job, paused)
        elif job is None or self.over:
            return
        elif paused:
            self.hole = "pause"
        elif time.monotonic() >= self._next_try:
            self._start(job)

    def not_started(self, detail: str) -> None:
        """The last look raised; one after a while tries again."""
        self.detail, self.restarts = detail, self.restarts + 1
        self._try_later(self._failures + 1)
        self.disk_full = self.disk_full or NO_SPACE in detail
        if self.hole is None:
            self.hole = "died"

    def fail(self, detail: str) -> None:
        """Nothing can be recorded any more: the next look ends the child."""
        if not self.over:
            self.over, self.detail, self.hole = "failed", detail, "died"

    def _watch_over(self, run: Run, job: Job | None, paused: bool) -> None:
        if run.handed:
            self.hole = None
        if paused or job is not run.job or self.over:
            self._ending = "pause" if paused and job is run.job else "stop"
            run.child.end(CLOSING_S)
        elif self._ending or self._is_stalled(run):
            self._ending = "stalled"
            run.child.end(STALLED_CLOSING_S)

    def _is_stalled(self, run: Run) -> bool:
        if not is_paced(self.device):
            return False
        silent_s = run.silent_s()
        if not run.has_data:
            return silent_s > START_S
        fine = isinstance(self.device, Microphone) or has_stamps(self.device, run.plan)
        return silent_s > (STALL_S if fine else KEYFRAMES_STALL_S)

    def _start(self, job: Job) -> None:
        if not is_paced(self.device) and self.pending:
            return  # it goes on where the last run ends once that is handed on
        now_s = job.now_s()
        plan, fixed_s = self._plan(job, now_s)
        if plan.limit_s is not None and plan.limit_s <= 0:
            self.over = "ended"
            return
        place, lines = None, None
        if job.folder is not None:
            place = job.folder / self.device.name
            self._look_for_an_earlier_station(job)
            # Unsynced: on a disk that stalls nobody could end the other children, and what is closed says it again.
            begins = Place(plan.first_index, now_s if fixed_s is None else fixed_s, None)
            write_place(place, begins, sync=False)
            lines = ClosedList(place / list_name(plan.first_index))
        child = Child(lambda stamps: command_of(self._rig, self.device, plan, stamps), place)
        clock = DeviceClock()
        share = 1.0 if self.device.input in ("alsa", "pulse") else 0.5 if is_live(self.device) else 0.0
        on_shown = self._on_shown or (lambda _shown: None)
        tap = Tap(self.device, (child.out, child.stamps), clock, job.now_s, on_shown, share)
        self.run = Run(job, plan, child, tap, clock, fixed_s, now_s, self.hole, lines)
        self._spawned += 1
        if lines is not None:
            self._runs.append(self.run)

    def _look_for_an_earlier_station(self, job: Job) -> None:
        if job.folder is not None and not self._spawned:
            self.end_s = last_end_s(job.folder, self.device.name)
            self.hole = self.hole if self.end_s is None else "station"

    def _plan(self, job: Job, now_s: float) -> tuple[Plan, float | None]:
        """The next run, and where its time 0 lies if that is known beforehand.

        A file is a device whose own time is the session's: played at its pace it goes on where it would have
        come to; read at once it goes on where it was.
        """
        paced = is_paced(self.device)
        shown = paced and (self._on_shown is not None or isinstance(self.device, Microphone))
        if job.folder is None:
            return Plan(None), None
        (job.folder / self.device.name).mkdir(parents=True, exist_ok=True)
        first = next_index(job.folder, self.device.name)
        begin_s = now_s if paced else self.end_s if self.count and self.end_s is not None else job.from_s
        done_s = begin_s - job.from_s if self._spawned else 0.0
        limit_s = None if job.limit_s is None else job.limit_s - done_s
        if not paced:
            skip_s = done_s if self.device.input == "file" else 0.0
            return Plan(job.segment_s, first, skip_s, limit_s, shown), begin_s
        if self.device.input == "file":
            skip_s = now_s if now_s > _AT_ONCE_S else 0.0
            return Plan(job.segment_s, first, skip_s, limit_s, shown), skip_s
        return Plan(job.segment_s, first, 0.0, limit_s, shown), None

    def _take_leave(self, run: Run) -> None:
        """The child has ended: why, and what now."""
        run.tap.join()
        words = run.child.last_words()
        lived_s = run.job.now_s() - run.spawned_s
        why, self._ending, self.run = self._ending, "", None
        self.disk_full = self.disk_full or NO_SPACE in words
        if why in ("stop", "pause"):
            self._next_try = 0.0
            self.hole = "pause" if why == "pause" else self.hole
        elif not why and run.child.status == 0 and self._has_simply_ended(run, lived_s):
            self.over = "ended"
        elif not is_paced(self.device) and not self.count and not self.disk_full:
            self.over, self.detail = "failed", words
        else:
            self.detail = "no data" if why else words
            if (
                self.hole != "pause"
            ):  # after a pause nothing has been closed yet: to the viewer it still lasts
                self.hole = "stalled" if why else "died"
            self.restarts += 1
            self._try_later(0 if run.has_data and lived_s > STEADY_S else self._failures + 1)
            _log.warning("input_restarts", input=self.device.name, detail=self.detail, restarts=self.restarts)
        run.ended = True

    def _try_later(self, failures: int) -> None:
        self._failures = failures
        self._next_try = time.monotonic() + min(LONGEST_BACKOFF_S, 0.1 * 2.0**failures)

    def _has_simply_ended(self, run: Run, lived_s: float) -> bool:
        if self.device.input == "file" or not is_paced(self.device):
            return True
        return run.plan.limit_s is not None and lived_s > run.plan.limit_s - run.job.segment_s

    def hand_on(self, on_segment: OnSegment, on_gap: OnGap) -> None:
        """The handing-on thread's look. Raises what a callback raises; what was refused waits for the next call."""
        while self._runs:
            run = self._runs[0]
            ended = run.ended  # asked first: what an ended child closed is then in its list
            assert run.lines is not None
            # A child that is ended the moment it opens a file lists it, empty.
            run.waiting.extend(
                each for each in run.lines.more() if _is_something(run, self.device.name, each)
            )
            while run.waiting:
                self._hand_on_one(run, run.waiting[0], on_segment, on_gap)
                run.waiting.popleft()
            if not ended:
                self._keep_place(run)
                return
            self._runs.popleft()

    def _keep_place(self, run: Run) -> None:
        """A station that is killed before the first segment of a run is closed has to find where that run lies."""
        place = run.place(run.plan.first_index)
        if not run.handed and run.clock.offset_s() is not None and place != run.kept:
            assert run.job.folder is not None
            write_place(run.job.folder / self.device.name, place)
            run.kept = place

    def _hand_on_one(self, run: Run, closed: Closed, on_segment: OnSegment, on_gap: OnGap) -> None:
        assert run.job.folder is not None
        folder = run.job.folder / self.device.name
        place = run.place(closed.number)
        with contextlib.suppress(
            OSError
        ):  # on a full disk the segment itself is whole, and the journal has the rest
            write_place(folder, place)
        segment = sealed_off(self.device.name, closed, folder / closed.name, place)
        if not run.gap_told and (gap := self._gap_before(run, segment)) is not None:
            on_gap(gap)
            self.gaps += 1
        run.gap_told = True
        on_segment(segment)
        self.count += 1
        self.handed_s += segment.duration_s
        self.end_s = round(segment.start_s + segment.duration_s, 6)
        run.handed_s += segment.duration_s
        run.handed += 1

    def _gap_before(self, run: Run, segment: Segment) -> Gap | None:
        """What is missing before the first segment of a run."""
        begins_s = run.begins_s(segment)
        from_s = run.job.from_s if self.end_s is None else self.end_s
        late = self.end_s is None and begins_s - from_s > PROMPT_S
        reason = run.reason or ("late" if late else None)
        return reason and Gap(self.device.name, from_s, max(from_s, begins_s), reason)

    def last_gap(self, job: Job) -> Gap | None:
        """What is missing at the end of a session."""
        if self.hole is None or self.over == "ended" or job.folder is None:
            return None
        from_s = job.from_s if self.end_s is None else self.end_s
        self.gaps += 1
        return Gap(self.device.name, from_s, max(from_s, round(job.now_s(), 6)), self.hole)

    def state(self, job: Job | None, paused: bool) -> Name:
        if self.over:
            return self.over
        if job is None:
            return "idle"
        if paused:
            return "paused"
        if self.run is None or (is_paced(self.device) and not self.run.has_data):
            return "restarting" if self.restarts else "starting"
        return "watching" if job.folder is None else "recording"


def _is_something(run: Run, track: str, closed: Closed) -> bool:
    assert run.job.folder is not None
    path = run.job.folder / track / closed.name
    return path.is_file() and path.stat().st_size > 0
