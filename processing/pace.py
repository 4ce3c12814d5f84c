"""How long captions stand: long enough to be read, out of silence first, out of a neighbour's spare time second."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST_MS = 800
FASTEST_PER_S = 9.0  # columns; children's and foreign-language subtitles are slower, speech rarely faster
_EARLY_MS = 500  # silence that a cue may take before its words
_LENT_MS = 400  # what a neighbour may give: more, and its words would be long out of step with it


@dataclass
class Span:
    """When ``width`` columns of one speaker's text are shown, in whole milliseconds as caption files count them."""

    speaker: str
    start_ms: int
    end_ms: int
    width: float

    @property
    def readable_ms(self) -> int:
        return max(SHORTEST_MS, math.ceil(self.width * 1000 / FASTEST_PER_S))

    @property
    def spare_ms(self) -> int:
        return max(0, self.end_ms - self.start_ms - self.readable_ms)

    def needs_ms(self, length_ms: int) -> int:
        """How much is missing to ``length_ms``."""
        return max(0, length_ms - (self.end_ms - self.start_ms))


def settle(spans: Sequence[Span], duration_s: float) -> None:
    """Lengthen, in place, what is too short or too fast; afterwards no two spans of one speaker overlap.

    Speakers who talk at the same time keep overlapping; nobody else begins to. ``duration_s`` 0: not known.
    """
    limit_ms = round(duration_s * 1000) or 1 << 62
    _part(spans, limit_ms)
    _use_silence_after(spans, limit_ms)
    _use_silence_before(spans)
    _borrow(spans)
    # What was lent to one of two who speak at once is there for the other as well.
    _use_silence_after(spans, limit_ms)


def _part(spans: Sequence[Span], limit_ms: int) -> None:
    """One speaker's spans one after the other, none empty, none beyond the end."""
    for speaker in {span.speaker for span in spans}:
        own = sorted((span for span in spans if span.speaker == speaker), key=lambda span: span.start_ms)
        last_ms = 0
        for span, following in zip(own, [*own[1:], None], strict=True):
            span.start_ms = max(span.start_ms, last_ms)
            if following:
                span.end_ms = min(span.end_ms, following.start_ms)
            span.end_ms = last_ms = max(span.end_ms, span.start_ms + 1)
        room_ms = limit_ms
        for span in reversed(own):
            span.end_ms = min(span.end_ms, room_ms)
            span.start_ms = room_ms = min(span.start_ms, span.end_ms - 1)


def _use_silence_after(spans: Sequence[Span], limit_ms: int) -> None:
    starts = sorted(span.start_ms for span in spans)
    for span in spans:
        after = bisect_left(starts, span.end_ms)
        room_ms = starts[after] if after < len(starts) else limit_ms
        span.end_ms = max(span.end_ms, min(span.start_ms + span.readable_ms, room_ms))


def _use_silence_before(spans: Sequence[Span]) -> None:
    ends = sorted(span.end_ms for span in spans)
    for span in spans:
        before = bisect_right(ends, span.start_ms)
        room_ms = max(ends[before - 1] if before else 0, span.start_ms - _EARLY_MS)
        span.start_ms = min(span.start_ms, max(room_ms, span.end_ms - span.readable_ms))


def _borrow(spans: Sequence[Span]) -> None:
    """What is still shorter than 0.8 s takes time from the cues right after and right before it that can spare it."""
    for span in spans:
        if span.needs_ms(SHORTEST_MS):
            later = sorted((o for o in spans if o.start_ms >= span.end_ms), key=lambda o: o.start_ms)[:2]
            room_ms = later[-1].start_ms - span.end_ms if len(later) > 1 else _LENT_MS
            span.end_ms += min(_lent_ms(span, later[:1]), room_ms)
            for lender in later[:1]:
                lender.start_ms = max(lender.start_ms, span.end_ms)
        if span.needs_ms(SHORTEST_MS):
            earlier = sorted((o for o in spans if o.end_ms <= span.start_ms), key=lambda o: -o.end_ms)[:2]
            room_ms = span.start_ms - earlier[-1].end_ms if len(earlier) > 1 else _LENT_MS
            span.start_ms -= min(_lent_ms(span, earlier[:1]), room_ms)
            for lender in earlier[:1]:
                lender.end_ms = min(lender.end_ms, span.start_ms)


def _lent_ms(span: Span, lenders: Sequence[Span]) -> int:
    return max((min(span.needs_ms(SHORTEST_MS), _LENT_MS, lender.spare_ms) for lender in lenders), default=0)
