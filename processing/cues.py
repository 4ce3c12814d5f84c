"""Captions out of a transcript: which words share a cue, on the times of those words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from processing.pace import FASTEST_PER_S, SHORTEST_MS, Span, settle
from processing.rows import COLUMNS, Layout, Piece, columns, cut, tear_after
from processing.transcript import UNSURE, Line, Transcript

_FULL = 2 * COLUMNS
_LONGEST_S = 7.0
# What a cue costs by itself, by its length squared (so that long clauses fall into even parts), and by the second: of
# silence shown beforehand, of missing time to read, of staying too long; and for joining two lines.
_CUE, _EVEN, _SILENCE, _HASTE, _STAY, _JOIN = 2.0, 2.0, 4.0, 20.0, 2.0, 3.0
_BRIEF_PAUSE_S = 0.3
_FORBIDDEN = {"\0": "\N{REPLACEMENT CHARACTER}"}  # by WebVTT


@dataclass(frozen=True)
class Cue:
    """One or two ``rows`` of what one speaker says, at most 18 columns wide, an ``unsure`` cue's mark included."""

    role: str
    start_s: float
    end_s: float
    rows: tuple[str, ...]
    unsure: bool


@dataclass(frozen=True)
class _Draft:
    """A cue before its times are settled."""

    rows: tuple[str, ...]
    unsure: bool
    span: Span


def make_cues(transcript: Transcript) -> list[Cue]:
    """All cues by start. Every character of every line is shown once, in order; blanks may become row ends.

    No cue is shorter than 0.8 s or faster than 9 columns a second unless the speech is and no silence or neighbour
    has time to give. Cues of one speaker never overlap. None ends after the recording, where its duration is known.
    """
    lines = sorted(transcript.lines, key=lambda line: (line.start_s, line.end_s))
    stretches = list(_stretches([line for line in lines if line.text.strip()]))
    drafts: list[_Draft] = []
    for stretch, following in itertools.zip_longest(stretches, stretches[1:]):
        until_s = following[0].start_s if following else transcript.duration_s or math.inf
        drafts += _drafts(stretch, until_s)
    settle([draft.span for draft in drafts], transcript.duration_s)
    cues = [
        Cue(
            draft.span.speaker, draft.span.start_ms / 1000, draft.span.end_ms / 1000, draft.rows, draft.unsure
        )
        for draft in drafts
    ]
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def _stretches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Lines of one speaker that follow each other so closely that they may share a cue."""
    stretch: list[Line] = []
    for line in lines:
        last = stretch[-1] if stretch else line
        alike = (last.role, last.low_confidence) == (line.role, line.low_confidence)
        if stretch and not (alike and line.start_s - last.end_s < SHORTEST_MS / 1000):
            yield stretch
            stretch = []
        stretch.append(line)
    if stretch:
        yield stretch


def _drafts(stretch: Sequence[Line], until_s: float) -> Iterator[_Draft]:
    unsure = stretch[0].low_confidence
    first_columns = COLUMNS - (columns(UNSURE) if unsure else 0.0)
    pieces: list[Piece] = []
    ends: set[int] = set()
    for line in stretch:
        pieces += _pieces(line, first_columns)
        ends.add(len(pieces))
    layout = Layout(pieces, first_columns)
    for begin, end in _best_cuts(pieces, layout, ends, until_s):
        width = layout.width(begin, end) + COLUMNS - first_columns
        span = Span(stretch[0].role, pieces[begin].start_ms, pieces[end - 1].end_ms, width)
        yield _Draft(layout.rows(begin, end), unsure, span)


def _best_cuts(
    pieces: Sequence[Piece], layout: Layout, line_ends: set[int], until_s: float
) -> list[tuple[int, int]]:
    """The cheapest way to cut ``pieces`` into cues, among all ways (dynamic programming, as TeX breaks paragraphs)."""
    starts_s = [*(piece.start_ms / 1000 for piece in pieces), max(until_s, pieces[-1].end_ms / 1000)]
    silences = [
        max(0.0, (after.start_ms - before.end_ms) / 1000 - _BRIEF_PAUSE_S)
        for before, after in itertools.pairwise(pieces)
    ]
    silent_s = [0.0, *itertools.accumulate(silences)]
    joins = [0, *itertools.accumulate(int(at in line_ends) for at in range(1, len(pieces) + 1))]
    best = [0.0] + [math.inf] * len(pieces)
    origin = [0] * (len(pieces) + 1)
    for end in range(1, len(pieces) + 1):
        tear = 0.0 if end in line_ends else pieces[end - 1].tear
        for begin in range(end - 1, -1, -1):
            breaks = layout.breaks(begin, end)
            if not breaks:
                break
            if best[begin] + _CUE + tear >= best[end]:
                continue
            width = layout.width(begin, end)
            shown_s = starts_s[end] - starts_s[begin]
            cost = best[begin] + _CUE + tear + _EVEN * (width / _FULL) ** 2
            cost += _SILENCE * (silent_s[end - 1] - silent_s[begin]) + _JOIN * (joins[end - 1] - joins[begin])
            cost += _HASTE * max(0.0, max(SHORTEST_MS / 1000, width / FASTEST_PER_S) - shown_s)
            cost += _STAY * max(0.0, (pieces[end - 1].end_ms / 1000 - starts_s[begin]) - _LONGEST_S)
            if breaks[0] < end:
                cost += 0.5 * min(pieces[at - 1].tear for at in breaks)
            if cost < best[end]:
                best[end], origin[end] = cost, begin
    return list(_traced(origin))[::-1]


def _traced(origin: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The chosen cuts, from the last one back."""
    end = len(origin) - 1
    while end > 0:
        yield origin[end], end
        end = origin[end]


def _pieces(line: Line, widest: float) -> list[Piece]:
    """The line's pieces on the times of its words; spread evenly where the words do not make up the text."""
    characters = _timed(line)
    text = "".join(character for character, *_ in characters)
    spans = list(cut(text, widest))
    pieces = []
    for (begin, end), following in itertools.zip_longest(spans, spans[1:]):
        start_ms, end_ms = characters[begin][1], characters[end - 1][2]
        if following is None:
            space = " " if text[-1].isalnum() or text[-1].isascii() else ""
            pieces.append(Piece(text[begin:end], space, start_ms, end_ms, 0.0))
            continue
        after = following[0]
        space = text[end:after]
        same_word = characters[end - 1][3] == characters[after][3]
        tear = tear_after(text[begin:end], text[end:], characters[after][1] - end_ms, same_word)
        if not space and columns(text[begin : end + 1]) > widest:
            tear = 20.0
        pieces.append(Piece(text[begin:end], space, start_ms, end_ms, tear))
    return pieces


def _timed(line: Line) -> list[tuple[str, int, int, int]]:
    """Every character with its start and end in ms and the number of its word; blanks are single, none at the ends."""
    words = [(word.text, word.start_s, word.end_s) for word in line.words]
    if "".join("".join(text for text, *_ in words).split()) != "".join(line.text.split()):
        words = [(line.text, line.start_s, line.end_s)]
    timed: list[tuple[str, int, int, int]] = []
    for number, (text, start_s, end_s) in enumerate(words):
        step_s = (end_s - start_s) / max(len(text), 1)
        for at, character in enumerate(text):
            if character.isspace():
                if not timed or timed[-1][0] == " ":
                    continue
                character = " "
            begin_ms = round((start_s + at * step_s) * 1000)
            shown = _FORBIDDEN.get(character, character)
            timed.append((shown, begin_ms, round((start_s + (at + 1) * step_s) * 1000), number))
    while timed[-1][0] == " ":
        timed.pop()
    return timed
