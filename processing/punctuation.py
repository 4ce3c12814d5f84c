"""Text as a Chinese reader expects it: Simplified, Chinese marks between Chinese characters, marks where none are.

Everything is done to the line as a whole, for context decides, and given back word by word: the words keep their
times, and their texts joined are the line's text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from processing.transcript import Word

if TYPE_CHECKING:
    from opencc import OpenCC

_PAUSE_S = 0.35
# Full-width letters, digits and percent (Unicode block Halfwidth and Fullwidth Forms), half-width marks of the CJK.
_WIDE = (0xFF05, *range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
_NARROW = {code: code - 0xFEE0 for code in _WIDE} | {0xFF61: ord("。"), 0xFF64: ord("、"), 0xFF0E: ord(".")}
_CHINESE = dict(zip(",.?!:;", "，。？！：；", strict=True))
_STRENGTH = "、，：；。！？"  # what says more comes later
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_CHINESE_TEXT = re.compile(rf"{_HAN.pattern}|[（）《》〈〉「」『』【】{_STRENGTH}]")
_RUN = re.compile(rf"[{_STRENGTH},.?!:;](?:\s*[{_STRENGTH},.?!:;])*")
_NUMERAL = re.compile(r"[0-9零〇一二三四五六七八九十百千万亿两幺]")
_QUESTION = re.compile(r"(?:吗|呢|(?<![这那多要])(?<!没什)么)$")


def normalise(text: str) -> str:
    """Simplified Chinese; Chinese marks next to Chinese characters; ASCII letters and digits; no blank and no second
    mark where one does. Decimals and times of day (3.5, 12:30) and English sentences stay as they are.
    """
    return "".join(character for character, _owner in _normalised([text]))


def normalise_words(words: Sequence[Word]) -> tuple[Word, ...]:
    """``normalise`` over the words' joined text; a word of which nothing remains is left out."""
    texts = [""] * len(words)
    for character, owner in _normalised([word.text for word in words]):
        texts[owner] += character
    return tuple(replace(word, text=text) for word, text in zip(words, texts, strict=True) if text)


def punctuate(words: Sequence[Word]) -> tuple[Word, ...]:
    """A comma at pauses and a mark at the end, on Chinese that has no mark at all; anything else is given back as it is.

    So all marks of a line are the recogniser's or all are ours. Digits read out with pauses stay together.
    """
    text = "".join(word.text for word in words)
    if not _HAN.search(text) or any(mark in text for mark in _STRENGTH + ",.?!:;…"):
        return tuple(words)
    marked = [
        replace(word, text=word.text + "，") if _is_clause_end(word, following) else word
        for word, following in itertools.pairwise(words)
    ]
    end = "？" if _QUESTION.search(text) else "。"
    return (*marked, replace(words[-1], text=words[-1].text + end))


def _is_clause_end(word: Word, following: Word) -> bool:
    number = _NUMERAL.fullmatch(word.text[-1:]) and _NUMERAL.fullmatch(following.text[:1])
    return not number and following.start_s - word.end_s > _PAUSE_S


def _normalised(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Every character that remains, and the number of the text it belongs to."""
    simple = _simplified([text.translate(_NARROW) for text in texts])
    owners = [owner for owner, text in enumerate(simple) for _character in text]
    return _without_blanks(_marked("".join(simple), owners))


def _simplified(texts: Sequence[str]) -> list[str]:
    """Converted as a whole, for phrases go over words (乾坤, but 干燥); word by word where lengths change."""
    whole = _converter().convert("".join(texts))
    ends = list(itertools.accumulate(map(len, texts), initial=0))
    if len(whole) != ends[-1]:
        return [_converter().convert(text) for text in texts]
    return [whole[begin:end] for begin, end in itertools.pairwise(ends)]


def _marked(text: str, owners: Sequence[int]) -> list[tuple[str, int]]:
    """Marks that follow each other become the one that says most, a Chinese one but within numbers and English."""
    chinese = bool(_HAN.search(text))
    kept: list[tuple[str, int]] = []
    done = 0
    for run in _RUN.finditer(text):
        kept += zip(text[done : run.start()], owners[done : run.start()], strict=True)
        before, after = text[: run.start()].rstrip()[-1:], text[run.end() :].lstrip()[:1]
        mark = _mark(run[0], before, after, chinese)
        at = max(range(*run.span()), key=lambda at: _strength(text[at]))
        whole = zip(run[0], owners[run.start() : run.end()], strict=True)
        kept += [(mark, owners[at])] if mark else whole
        done = run.end()
    return [*kept, *zip(text[done:], owners[done:], strict=True)]


def _mark(run: str, before: str, after: str, chinese: bool) -> str:
    """What ``run`` becomes between these two neighbours; empty: it stays as it is."""
    if not any(mark in _STRENGTH for mark in run) and (
        not chinese or (_is_latin(before) and _is_latin(after))
    ):
        return ""
    strongest = max((_CHINESE.get(mark, mark) for mark in run), key=_strength)
    return ":" if strongest == "：" and before.isdecimal() and after.isdecimal() else strongest


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _strength(mark: str) -> int:
    return _STRENGTH.find(_CHINESE.get(mark, mark))


def _without_blanks(characters: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Blanks stay only between two characters that are not Chinese, singly."""
    kept: list[tuple[str, int]] = []
    blank: tuple[str, int] | None = None
    for character, owner in characters:
        if character.isspace():
            blank = blank or (" ", owner)
            continue
        if blank and kept and not _CHINESE_TEXT.search(kept[-1][0] + character):
            kept.append(blank)
        blank = None
        kept.append((character, owner))
    return kept


@cache
def _converter() -> OpenCC:
    from opencc import OpenCC

    return OpenCC("t2s")
