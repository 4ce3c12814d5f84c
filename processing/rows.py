"""Captions in rows: what must stay in one piece, how wide it is, and where a row ends best.

A row holds 18 full-width characters, as Chinese subtitles do; letters and digits of half the width count half.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

COLUMNS = 18.0
_WIDE = frozenset("WFA")  # Unicode UAX 11: wide, full-width, ambiguous, which Chinese fonts draw wide
_PAUSE_MS = 350

_OPENING = r"（《〈「『【〔［｛“‘(\[{"
_CLOSING = r"，。！？；：、）》〉」』】〕］｝”’…—·,.!?;:)\]}%％‰℃\u0300-\u036f\u200d\ufe00-\ufe0f"
_NUMERAL = "零〇一二三四五六七八九十百千万亿两半几"
_UNIT = (
    r"(?:%|％|‰|℃|°C?|(?:mmHg|kPa|bpm|[mμ]?mol|[kmμ]?g|[mdμ]?[lL]|[ckmμ]?m|IU)(?:/[a-zA-Z]+)?(?![A-Za-z])"
    r"|毫米汞柱|摄氏度|毫克|毫升|毫米|厘米|公斤|公分|小时|分钟|星期|个月"
    r"|[年月日号点时分秒岁天周次克钱两斤升度个片粒剂付副包颗级倍米])"
)
_ASCII = r"[A-Za-z0-9À-ɏ]"
_QUANTITY = rf"第?(?:[+\-±<>≤≥≈]?[0-9]+(?:[.,:/×~\-–][0-9]+)*|[{_NUMERAL}]+(?:点[{_NUMERAL}]+)?) ?{_UNIT}"
_MEASURED = re.compile(_QUANTITY)
_PIECE = re.compile(
    rf" *(?P<piece>[{_OPENING}]*?(?:\[[^\[\] ]{{1,8}}\]"
    rf"|{_QUANTITY}"
    rf"|[+\-±<>≤≥≈]?{_ASCII}+(?:[.,:/×~'’&@_+\-–]{_ASCII}+)*"
    rf"|[{_NUMERAL}]+(?:点[{_NUMERAL}]+)?"
    rf"|.)[{_CLOSING}]*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """What no row tears apart: a character, a number with its unit, a Latin word, a placeholder; and its marks.

    ``space`` stands between it and the next piece of its row; ``tear`` is what it costs to end a row after it, from
    0 (a sentence ends) to 20 (inside a piece too wide for any row).
    """

    text: str
    space: str
    start_ms: int
    end_ms: int
    tear: float


def columns(text: str) -> float:
    """Width in full-width characters: Latin letters, digits and their like count half, marks on a letter nothing."""
    return sum(map(_width, text))


def cut(text: str, widest: float) -> Iterator[tuple[int, int]]:
    """Where the pieces of ``text`` start and end; one wider than ``widest`` columns is cut all the same."""
    for match in _PIECE.finditer(text):
        begin, end = match.span("piece")
        width = 0.0
        for at in range(begin, end):
            if width + _width(text[at]) > widest:
                yield begin, at
                begin, width = at, 0.0
            width += _width(text[at])
        yield begin, end


def tear_after(before: str, following: str, pause_ms: int, same_word: bool) -> float:
    """What it costs to end a row between two texts: little where a clause or a dose ends, much inside a word."""
    mark = before.rstrip("）》〉」』】”’)\"'")[-1:]
    if mark in tuple("。！？!?…") or (mark == "." and following.startswith(" ")):
        return 0.0
    if mark in tuple("，；：,;:—"):
        return 1.0
    if mark == "、":
        return 2.5
    if pause_ms >= _PAUSE_MS:
        return 1.5
    if following.startswith(" ") or (_MEASURED.fullmatch(before) and not same_word):
        return 4.0
    if _MEASURED.match(following):
        return 9.0
    return 9.0 if same_word else 6.0


class Layout:
    """How pieces can be set in two rows, of which the first may be narrower for a mark that stands before it."""

    def __init__(self, pieces: Sequence[Piece], first_columns: float = COLUMNS) -> None:
        self._pieces = pieces
        self._edges = [0.0, *accumulate(columns(piece.text + piece.space) for piece in pieces)]
        self._spaces = [columns(piece.space) for piece in pieces]
        count = len(pieces)
        self._first_row_to = [0] * count
        self._second_row_from = [0] * (count + 1)
        last = begin = 0
        for at in range(count):
            while last < count and self.width(at, last + 1) <= first_columns:
                last += 1
            self._first_row_to[at] = last
            while self.width(begin, at + 1) > COLUMNS:
                begin += 1
            self._second_row_from[at + 1] = begin

    def width(self, begin: int, end: int) -> float:
        """Columns of the pieces from ``begin`` up to ``end`` in one row."""
        return self._edges[end] - self._edges[begin] - self._spaces[end - 1]

    def breaks(self, begin: int, end: int) -> range:
        """Where the first of two rows may end; ``end`` alone where one row is enough, empty where two are not."""
        last = self._first_row_to[begin]
        if last >= end:
            return range(end, end + 1)
        return range(max(self._second_row_from[end], begin + 1), last + 1)

    def rows(self, begin: int, end: int) -> tuple[str, ...]:
        """The pieces in one row, or in two of about the same length with the first ending where a clause ends."""

        def cost(at: int) -> float:
            return self._pieces[at - 1].tear + 0.5 * abs(self.width(begin, at) - self.width(at, end))

        at = end if (found := self.breaks(begin, end))[0] == end else min(found, key=cost)
        return tuple(self._row(*row) for row in ((begin, at), (at, end)) if row[0] < row[1])

    def _row(self, begin: int, end: int) -> str:
        return "".join(piece.text + piece.space for piece in self._pieces[begin:end]).rstrip(" ")


def _width(character: str) -> float:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me", "Mn"}:
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in _WIDE else 0.5
