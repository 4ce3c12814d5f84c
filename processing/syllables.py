"""Mandarin syllables, and what of them survives the accents and the recogniser.

``heard`` folds the pairs that many speakers do not keep apart: zh/z, ch/c, sh/s, n/l, f/h (before u), an/ang,
en/eng and in/ing (the confusions that fuzzy pinyin input methods offer). Two syllables with the same ``heard``
sound alike; how much alike is for the reader to weigh from ``plain`` and ``tone``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pypinyin import Style, lazy_pinyin

_TONE_MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_SHAPE = re.compile(r"(?:[zcs]h|[b-df-hj-np-tw-z])?[aeiouüê]+(?:ng|n|r)?|[mn]|ng|hng|hm")
_RETROFLEX = re.compile(r"^([zcs])h")
_NASAL_L = re.compile(r"^n(?=.*[aeiouü])")
_BACK_NASAL = re.compile(r"(?<=[aei])ng$")
# What pypinyin cannot read it may hand over as a list of single characters, although its types know only text.
_ONE_EACH: Any = list
# Where f takes the place of "hu" the rest is respelled: hu sounds as fu, hui as fei, hun as fen.
_RESPELLED = {"f": "fu", "fi": "fei", "fn": "fen"}


@dataclass(frozen=True, slots=True)
class Syllable:
    """``plain`` without its tone, ``tone`` 1-4 or 0 for the neutral one, ``heard`` with confusable sounds folded."""

    plain: str
    tone: int
    heard: str


@lru_cache(maxsize=4096)
def syllable(marked: str) -> Syllable | None:
    """The syllable written ``marked`` in Hanyu Pinyin (GB/T 16159) with a tone mark; None when it is none."""
    parts = unicodedata.normalize("NFD", marked)
    tones = [_TONE_MARKS[part] for part in parts if part in _TONE_MARKS]
    plain = unicodedata.normalize("NFC", "".join(part for part in parts if part not in _TONE_MARKS))
    if len(tones) > 1 or not _SHAPE.fullmatch(plain):
        return None
    return Syllable(plain, tones[0] if tones else 0, _fold(plain))


def read_aloud(text: str) -> list[Syllable | None]:
    """One syllable a character of ``text``, polyphones read by their phrase; None for what is no Chinese character."""
    marked: list[str] = lazy_pinyin(text, style=Style.TONE, v_to_u=True, errors=_ONE_EACH)
    return [syllable(one) if one != character else None for character, one in zip(text, marked, strict=True)]


def _fold(plain: str) -> str:
    folded = _NASAL_L.sub("l", _RETROFLEX.sub(r"\1", plain))
    if folded.startswith("hu"):
        folded = "f" + folded[2:]
        folded = _RESPELLED.get(folded, folded)
    return _BACK_NASAL.sub("n", folded)
