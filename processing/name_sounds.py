"""How the characters of a name sound, and where in a text something sounds like it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from pypinyin import Style, pinyin

from processing.name_words import SURNAME_SOUNDS

_GAP = re.compile(r"[\s·・,，、…]{0,2}")


def places(
    text: str,
    sounds: Sequence[frozenset[str]],
    name: str,
    surname: int = 0,
    fuzzy: bool = True,
    near: bool = False,
) -> Iterator[tuple[int, int, bool]]:
    """Where ``name`` is written or sounds, and whether it is written so; blanks may part its characters.

    One character may be another that people mix up with it (程 for 陈); of two only where ``near`` and the other is the same.
    """
    # Of a whole name it is heard too when its surname was misread: 层 or 曾 for 曾, 丹 for 单.
    misread = len(name) > max(2, surname)
    readings = [
        sounds_in_name(character, place < surname) | (sounds_of(character) if misread else frozenset())
        for place, character in enumerate(name)
    ]
    for start in range(len(text)):
        at, exact, alike, same = start, True, 0, 0
        for place, character in enumerate(name):
            if place:
                at = _skip(text, at)
            if at >= len(text):
                break
            same += text[at] == character
            if text[at] != character:
                exact = False
                if not sounds[at] & readings[place]:
                    if not fuzzy or not _blurred(sounds[at]) & _blurred(readings[place]):
                        break
                    alike += 1
            at += 1
        else:
            if alike <= (1 if len(name) > 2 or near and same else 0):
                yield start, at, exact


def _skip(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


@lru_cache(maxsize=20_000)
def sounds_of(character: str) -> frozenset[str]:
    """Every reading of a character without its tone; empty where it is no Chinese character."""
    if not "\u3400" <= character <= "\u9fff":
        return frozenset()
    return frozenset(pinyin(character, style=Style.NORMAL, heteronym=True)[0])


def sounds_in_name(character: str, in_surname: bool) -> frozenset[str]:
    """The readings of a character as part of a name; some surnames have one of their own (单 shan)."""
    special = SURNAME_SOUNDS.get(character) if in_surname else None
    return special or sounds_of(character)


@lru_cache(maxsize=20_000)
def _blurred(sounds: frozenset[str]) -> frozenset[str]:
    """Sounds that southern speakers and recognisers mix up, made one: zh z, ch c, sh s, n l, -ng -n."""
    pairs = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))
    out = set()
    for sound in sounds:
        for long, short in pairs:
            sound = sound.replace(long, short)
        out.add("n" + sound[1:] if sound.startswith("l") else sound)
    return frozenset(out)
