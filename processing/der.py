"""Diarization error: how much of what was said is given to the right speaker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from processing.transcript import Turn


@dataclass(frozen=True)
class DiarizationError:
    """Speaker-seconds, as NIST's md-eval counts them: no collar, overlap scored, roles as they stand."""

    said_s: float
    missed_s: float
    false_alarm_s: float
    confused_s: float

    @property
    def rate(self) -> float:
        """Share of the speaker time; infinite where nobody spoke but somebody was heard."""
        wrong_s = self.missed_s + self.false_alarm_s + self.confused_s
        if not self.said_s:
            return float("inf") if wrong_s else 0.0
        return wrong_s / self.said_s


def diarization_error(truth: Sequence[Turn], found: Sequence[Turn]) -> DiarizationError:
    """Compare turns; between two neighbouring edges nothing changes, so the sums are exact.

    No mapping of speakers is searched for: a per-microphone system knows its roles.
    """
    said: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    total_s = missed_s = false_s = confused_s = 0.0
    edges = sorted((time_s, where, role, step) for where, role, step, time_s in _edges(truth, found))
    for (start_s, where, role, step), (end_s, *_rest) in pairwise([*edges, (0.0, 0, "", 0)]):
        (said, heard)[where][role] += step
        speakers, names = +said, +heard
        length_s = max(0.0, end_s - start_s)
        right = len(speakers.keys() & names.keys())
        total_s += len(speakers) * length_s
        missed_s += max(0, len(speakers) - len(names)) * length_s
        false_s += max(0, len(names) - len(speakers)) * length_s
        confused_s += (min(len(speakers), len(names)) - right) * length_s
    return DiarizationError(*(float(each) for each in (total_s, missed_s, false_s, confused_s)))


def _edges(*turns: Sequence[Turn]) -> list[tuple[int, str, int, float]]:
    return [
        (where, turn.role, step, time_s)
        for where, each in enumerate(turns)
        for turn in each
        for step, time_s in ((1, turn.start_s), (-1, turn.end_s))
    ]
