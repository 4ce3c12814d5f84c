"""The transcript and its written forms: WebVTT with voice tags, RTTM, plain text, JSON."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Names as they stand in the published files, which are Chinese whatever language the screen is in.
SPEAKERS: Mapping[str, str] = {
    "expert": "带教专家",
    "patient": "患者",
    "trainee": "学员",
    "room": "现场",
    "unknown": "未知",
}
LINE_CHARACTERS = 18
CUE_LINES = 2
_SHORTEST_CUE_S = 0.8
_CLAUSE_END = re.compile(r"(?<=[，。！？；：、,.!?;:])")
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))


@dataclass(frozen=True)
class Turn:
    """One stretch in which one speaker talks; role is 'expert', 'patient', 'trainee', 'room' or 'unknown'."""

    role: str
    start_s: float
    end_s: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Turn:
        return cls(**raw)


@dataclass(frozen=True)
class Word:
    """What the recogniser calls a word (in Chinese often one character), with its own times."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Line:
    """What was said in one turn."""

    role: str
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """``unheard``: turns in which somebody spoke but recognition failed; the rest is kept all the same."""

    language: str
    model: str
    lines: tuple[Line, ...] = ()
    unheard: tuple[Turn, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Transcript:
        lines = tuple(
            Line(**{**line, "words": tuple(Word(**word) for word in line["words"])}) for line in raw["lines"]
        )
        unheard = tuple(Turn.from_dict(turn) for turn in raw["unheard"])
        return cls(raw["language"], raw["model"], lines, unheard)


@dataclass(frozen=True)
class _Cue:
    start_s: float
    end_s: float
    role: str
    text: str


def to_webvtt(transcript: Transcript, names: Mapping[str, str] = SPEAKERS) -> str:
    """W3C WebVTT: one voice tag a cue, at most two lines of 18 characters, broken at the ends of clauses."""
    cues = sorted(
        (cue for line in transcript.lines for cue in _cues(line)), key=lambda cue: (cue.start_s, cue.end_s)
    )
    blocks = ["WEBVTT\n"]
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        end_s = _readable_end_s(cue, following)
        name = _escape(names.get(cue.role, cue.role)).replace("\n", " ")
        rows = "\n".join(_escape(row) for row in wrap(cue.text, LINE_CHARACTERS))
        blocks.append(f"{_clock(cue.start_s)} --> {_clock(end_s)}\n<v {name}>{rows}</v>\n")
    return "\n".join(blocks)


def to_rttm(turns: Sequence[Turn], file_id: str) -> str:
    """NIST RTTM, one SPEAKER line a turn; blanks in ``file_id`` become underscores, for blanks separate fields."""
    name = re.sub(r"\s+", "_", file_id) or "unnamed"
    rows = [
        f"SPEAKER {name} 1 {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f} <NA> <NA> {turn.role} <NA> <NA>\n"
        for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))
    ]
    return "".join(rows)


def to_text(transcript: Transcript, names: Mapping[str, str] = SPEAKERS) -> str:
    """One line a turn: ``[00:01:02] 患者：…``."""
    rows = [
        f"[{_clock(line.start_s)[:8]}] {names.get(line.role, line.role)}：{_one_line(line.text)}\n"
        for line in transcript.lines
    ]
    return "".join(rows)


def wrap(text: str, width: int) -> list[str]:
    """``text`` in rows of at most ``width`` characters, broken after clauses first and blanks second."""
    rows = [""]
    for piece in _pieces(text, width):
        if len((rows[-1] + piece).rstrip()) <= width:
            rows[-1] += piece
        else:
            rows.append(piece.lstrip())
    return [row.strip() for row in rows if row.strip()]


def _pieces(text: str, width: int) -> Iterator[str]:
    """The smallest parts worth keeping together: clauses, else words, else ``width`` characters."""
    for clause in _CLAUSE_END.split(text):
        if len(clause.rstrip()) <= width:
            yield clause
            continue
        for word in re.findall(r"\s*\S+\s*?|\s+", clause):
            yield from (word[start : start + width] for start in range(0, len(word), width))


def _cues(line: Line) -> Iterator[_Cue]:
    """A line cut into cues that fit the screen, each on the times of its own words."""
    rows = wrap(_one_line(line.text), LINE_CHARACTERS)
    whole = max(1, sum(map(len, rows)))
    done = 0
    for first in range(0, len(rows), CUE_LINES):
        shown = rows[first : first + CUE_LINES]
        begin, done = done / whole, done + sum(map(len, shown))
        text = _join(shown)
        yield _Cue(_time_at(line, begin), _time_at(line, done / whole, end=True), line.role, text)


def _join(rows: Sequence[str]) -> str:
    text = rows[0]
    for row in rows[1:]:
        text += (" " if text[-1].isascii() and row[0].isascii() else "") + row
    return text


def _time_at(line: Line, share: float, end: bool = False) -> float:
    """When ``share`` of the line's characters have been said: by its words, or evenly where it has none."""
    if share <= 0:
        return line.start_s
    if share >= 1 or not line.words:
        return line.start_s + share * (line.end_s - line.start_s)
    total = sum(len(word.text.strip()) for word in line.words) or 1
    said = 0
    for word in line.words:
        said += len(word.text.strip())
        if said / total > share or (end and said / total >= share):
            time_s = word.end_s if end else word.start_s
            return min(max(time_s, line.start_s), line.end_s)
    return line.end_s


def _readable_end_s(cue: _Cue, following: _Cue | None) -> float:
    """Short cues stay a little longer, though never into the next one."""
    wanted = max(cue.end_s, cue.start_s + _SHORTEST_CUE_S)
    room = max(cue.end_s, following.start_s) if following else wanted
    return max(min(wanted, room), cue.start_s + 0.001)


def _clock(time_s: float) -> str:
    whole_ms = max(0, round(time_s * 1000))
    minutes, ms = divmod(whole_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escape(text: str) -> str:
    for raw, escaped in _ESCAPES:
        text = text.replace(raw, escaped)
    return text
