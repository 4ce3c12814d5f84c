"""Identifiers that no rule knows, told by their wording: by a small model that has learned from sentences with marks.

Every character gets the likeliest of the tags "begins", "goes on" (of each kind) and "nothing", by the characters around it and
what is known of them: whether they are or sound like the registered name, a term of medicine, a known place. A structured
averaged perceptron (Collins 2002, "Discriminative training methods for hidden Markov models", EMNLP), which
``scripts/train_wordings.py`` makes from the sentences in ``tests/data/identifiers``. It only ever adds to what the
rules find.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from processing.name_sounds import places, sounds_of
from processing.names import RegisteredName
from processing.place_names import CITIES, DISTRICTS, PROVINCES
from processing.spoken import DIGIT, digit_runs
from processing.textspan import Kind, TextSpan

MODEL = Path(__file__).with_suffix(".npz")
KINDS: tuple[Kind, ...] = get_args(Kind)
TAGS = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))
CONFIDENCE = 0.2  # whatever a rule says of the same place, it says surer
# Fewer digits and letters are no number that tells one person from another.
LEAST_SIGNS = 4
# 120/80 alone is the blood's pressure and no day.
_PRESSURE = re.compile(r"\W*(?:\d{3}|[6-9]\d)/\d{2,3}\W*")

# Characters to either side that are looked at.
REACH = 5
_PLACE = re.compile(f"{PROVINCES}|{CITIES}|{DISTRICTS}")
_TOLD = frozenset[Kind](("address", "birth_date"))
_SIGN = re.compile(f"[A-Z]|{DIGIT}")
_HANDLE = re.compile(r"[A-Z0-9_.\-](?:\s?[A-Z0-9_.\-]){2,}")
_SPOKEN_DIGIT = re.compile(DIGIT)
# Words of what identifies, and words of what merely looks so: the last one counts.
_CUES = re.compile(
    "身份证|证件|电话|手机|号码|联系|住|家|地址|病历|病案|门诊号|社保|医保|参保|微信|加您|加我|车牌|车|出生|生日|生的|年|叫|姓|名字|号|小区|快递|送|寄|搬|"
    "血压|血糖|尿酸|肌酐|叶酸|维生素|B12|批号|型号|牌|机器|仪|动车|高铁|航班|地铁|公交|号线|坐|倒|手术|支架|疫苗|体检|化验|片子|例假|末次|预产期|挂号|窗口|诊室|块|克|"
    "毫升|兵|入伍|结婚|退休|确诊|限行|热线|分机"
)
_CUE_REACH = 16
Features = NDArray[np.uint32]
"""(characters, features of each): what is known of every character, as hashes (CRC-32) of words."""


@dataclass(frozen=True)
class Weights:
    """``keys`` (k,) sorted features, ``values`` (k, tags), ``follow`` (tags, tags): of one tag behind another.

    ``learned_from``: SHA-256 of the sentences.
    """

    keys: NDArray[np.uint32]
    values: NDArray[np.float32]
    follow: NDArray[np.float32]
    learned_from: str = ""

    def scores(self, features: Features) -> NDArray[np.float32]:
        """(characters, tags)."""
        at = np.minimum(np.searchsorted(self.keys, features), len(self.keys) - 1)
        known = self.keys[at] == features
        return np.asarray((self.values[at] * known[..., None]).sum(axis=1), np.float32)


def find_by_wording(
    text: str,
    names: Sequence[RegisteredName] = (),
    terms: Collection[str] = (),
    weights: Weights | None = None,
) -> list[TextSpan]:
    """What the model takes for an identifier in a folded ``text``, names apart; ``terms`` as of :func:`find_names`.

    Names are learned with the others, so as not to be taken for something else, but the rules know them better.
    """
    if not text:
        return []
    weights = weights or load_weights()
    scores = weights.scores(features_of(text, names, terms))
    return [
        TextSpan(kind, start, end, CONFIDENCE, "wording")
        for kind, start, end in spans_of(decoded(scores, weights.follow))
        if (kind in _TOLD or (kind != "name" and len(_SIGN.findall(text, start, end)) >= LEAST_SIGNS))
        and not _PRESSURE.fullmatch(text, start, end)
    ]


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """Those of :data:`MODEL`."""
    with np.load(MODEL, allow_pickle=False) as file:
        values = file["values"].astype(np.float32)
        return Weights(file["keys"], values, file["follow"], str(file["learned_from"]))


def features_of(text: str, names: Sequence[RegisteredName], terms: Collection[str]) -> Features:
    """Of every character of ``text``."""
    shown, known = _shown(text, names), _known(text, names, terms)
    kinds = "".join(_class(each) for each in shown)
    edge = "\n" * REACH
    letters, kinds = edge + shown + edge, edge + kinds + edge
    cues, runs = _cues(text), _runs(text)
    rows = [
        [
            *_words(letters, kinds, known, cues[place], place + REACH, place),
            f"r{runs[place]}",
            f"R{runs[place]}{cues[place]}",
        ]
        for place in range(len(text))
    ]
    return np.array([[zlib.crc32(word.encode()) for word in words] for words in rows], np.uint32)


def _words(letters: str, kinds: str, known: list[str], cues: str, at: int, place: int) -> list[str]:
    words = [f"{step}:{letters[at + step]}" for step in range(-4, 5)]
    words += [f"{step}::{letters[at + step : at + step + 2]}" for step in range(-4, 4)]
    words += [f"{step}:::{letters[at + step : at + step + 3]}" for step in range(-4, 3)]
    words += [f"<{letters[at - 4 : at]}", f">{letters[at + 1 : at + 5]}"]
    words += [f"k{kinds[at - 1 : at + 2]}", f"K{kinds[at - 2 : at + 3]}", f"KK{kinds[at - 4 : at + 5]}"]
    here = known[place]
    before = known[place - 1] if place else ""
    after = known[place + 1] if place + 1 < len(known) else ""
    words += [f"n{here}", f"n<{before}|{here}", f"n>{here}|{after}", f"n{before}|{here}|{after}"]
    words += [f"m{here}{letters[at - 1]}", f"m{here}>{letters[at + 1]}", f"M{here}{letters[at - 2 : at]}"]
    words += [f"M{here}>{letters[at + 1 : at + 3]}", f"c{cues}{kinds[at]}", f"C{cues}{here}"]
    return words


def _shown(text: str, names: Sequence[RegisteredName]) -> str:
    """With the same few signs for every registered name, and 0 for every figure: what is learned of one holds for all."""
    sounds = [sounds_of(character) for character in text]
    shown = ["0" if character.isdigit() else character for character in text]
    for registered in names:
        for part, exact_sign, like_sign in ((registered.text, "①", "②"), (registered.text[1:], "③", "④")):
            for start, end, exact in places(text, sounds, part) if len(part) > 1 else ():
                shown[start:end] = (exact_sign if exact else like_sign) * (end - start)
    return "".join(shown)


def _known(text: str, names: Sequence[RegisteredName], terms: Collection[str]) -> list[str]:
    """Of every character: W, w part of a name as written or sounding so, S surname, G given; M a term, P a place."""
    known = [""] * len(text)
    for sign, mark in (("S", 0), ("G", -1)):
        written = {name.text[mark] for name in names}
        heard = frozenset[str]().union(*(sounds_of(each) for each in written))
        for place, character in enumerate(text):
            if character in written:
                known[place] += sign
            elif sounds_of(character) & heard:
                known[place] += sign.lower()
    for start, end in _terms_in(text, terms):
        for place in range(start, end):
            known[place] += "M"
    for found in _PLACE.finditer(text):
        for place in range(*found.span()):
            known[place] += "P"
    return known


def _terms_in(text: str, terms: Collection[str]) -> list[tuple[int, int]]:
    longest = max(map(len, terms), default=0)
    return [
        (start, start + size)
        for start in range(len(text))
        for size in range(2, min(longest, len(text) - start) + 1)
        if text[start : start + size] in terms
    ]


def _cues(text: str) -> list[str]:
    """By character the last words of a kind that stand in the reach before it."""
    cues = [""] * len(text)
    for found in _CUES.finditer(text):
        for place in range(found.end(), min(len(text), found.end() + _CUE_REACH)):
            cues[place] = found[0]
    return cues


def _runs(text: str) -> list[str]:
    """Of every character how many digits and letters the number or handle that it is in has, and whether it begins it."""
    runs = [""] * len(text)
    for run in digit_runs(text):
        for place in range(run.starts[0], run.ends[-1]):
            runs[place] = f"{min(20, len(run.starts))}{'^' if place == run.starts[0] else ''}"
    for found in _HANDLE.finditer(text):
        for place in range(*found.span()):
            runs[place] += f"a{min(12, len(found[0]))}{'^' if place == found.start() else ''}"
    return runs


def _class(character: str) -> str:
    if character == "0":
        return "0"
    if _SPOKEN_DIGIT.fullmatch(character):
        return "d"
    if "\u3400" <= character <= "\u9fff":
        return "h"
    return "a" if character.isascii() and character.isalpha() else character if character in "①②③④" else "."


def decoded(scores: NDArray[np.float32], follow: NDArray[np.float32]) -> list[int]:
    """The tags with the best sum (Viterbi); nothing goes on that has not begun."""
    allowed = np.where(_may_follow(), follow, -np.inf)
    best = np.where([tag.startswith("I") for tag in TAGS], -np.inf, scores[0])
    back = np.zeros(scores.shape, np.intp)
    for place in range(1, len(scores)):
        reached = best[:, None] + allowed
        back[place] = reached.argmax(axis=0)
        best = reached.max(axis=0) + scores[place]
    tags = [int(best.argmax())]
    for place in range(len(scores) - 1, 0, -1):
        tags.append(int(back[place][tags[-1]]))
    return tags[::-1]


@lru_cache(maxsize=1)
def _may_follow() -> NDArray[np.bool_]:
    return np.array([[not tag.startswith("I") or before[2:] == tag[2:] for tag in TAGS] for before in TAGS])


def spans_of(tags: Sequence[int]) -> list[tuple[Kind, int, int]]:
    """Kind, start and end of what was begun and gone on with."""
    found: list[tuple[Kind, int, int]] = []
    for place, tag in enumerate(tags):
        if tag and (tag - 1) % 2 == 0:
            found.append((KINDS[(tag - 1) // 2], place, place + 1))
        elif tag:
            kind, start, _ = found[-1]
            found[-1] = (kind, start, place + 1)
    return found
