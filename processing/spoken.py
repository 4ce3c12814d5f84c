"""Numbers as people say them: digit by digit, with 幺 and 洞, in groups, with pauses and fillers between."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from opencc import OpenCC

_VALUES = {
    **{str(value): str(value) for value in range(10)},
    **dict(zip("零一二三四五六七八九", "0123456789", strict=True)),
    **dict(zip("〇○壹贰叁肆伍陆柒捌玖", "00123456789", strict=True)),
    # Read out over telephones: 幺 1, 两 2, 拐 7, 勾 9, 洞 0.
    **dict(zip("幺两拐勾洞", "12790", strict=True)),
}
DIGIT = f"[{''.join(_VALUES)}]"
# What recognisers write for 幺 (yāo); a digit only in the middle of a number or in front of a long one.
_MISHEARD_ONE = "要腰妖邀夭吆"
# And for other digits; one only between two Chinese numerals and two more (一三八起五六三二).
_SLIPS = {
    character: value
    for value, said in (
        ("0", "林玲"),
        ("2", "儿而"),
        ("3", "山散"),
        ("4", "似"),
        ("5", "无舞"),
        ("6", "流留"),
        ("7", "起"),
        ("8", "吧爸巴"),
        ("9", "就酒久"),
    )
    for character in said
}
_NUMERAL = "[零〇一幺二三四五六七八九]"
SLIP = f"[{''.join(_SLIPS)}]"
FILLER = (
    "(?:(?:前|后|末|最后|后面|中间)[二三四五六七八]位(?:数|数字)?|然后|那个|这个|就是|接着|后面|前面|再来|还有|完了|中间|最后|杠|横|转|再|嗯|呃|"
    "额|啊|哦|噢|对|是|哎|唉|诶|呢|吧|嘛|哈|我?[说念记看读]错了?|错了|不[是对]|不不|应该|等等|等一下|重来|再[说念]一遍)"
)
PAUSE = r"[\s\-—–―－~·,，。、…;；!！?？()（）*“”\"]"
GAP = rf"(?:{PAUSE}|{FILLER}|(?<=\d\d\d)\.){{0,8}}"
_TENS = "[一二三四五六七八九]?十[一二三四五六七八九]?"
_HUNDREDS = "[一二三四五六七八九]百(?:零?[一二三四五六七八九](?:十[一二三四五六七八九]?)?)?"
_TOKEN = re.compile(
    rf"(?P<times>[两二三四五六七2-7]个|[俩仨])(?P<same>{DIGIT})(?![十百千万个])"
    rf"|(?P<cardinal>{_HUNDREDS}|{_TENS})"
    rf"|(?P<digit>{DIGIT}(?!位))"
    rf"|(?P<misheard>(?<={DIGIT})[{_MISHEARD_ONE}](?={DIGIT})|[{_MISHEARD_ONE}](?=(?:{GAP}{DIGIT}){{8}}))"
    rf"|(?P<slip>(?<={_NUMERAL}{_NUMERAL}){SLIP}(?={_NUMERAL}{_NUMERAL}))"
    rf"|(?P<check>大写的?X|X|叉|[艾埃爱]克斯)"
)
_GAP = re.compile(GAP)


@dataclass(frozen=True)
class Run:
    """Digits said in one go: value, start and end of each; ``groups`` counts those with a pause in front.

    ``cardinals`` counts the digits that were said as numbers (三十六) and not one by one.
    """

    digits: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    cardinals: int = 0

    @property
    def start(self) -> int:
        return self.starts[0]

    @property
    def end(self) -> int:
        return self.ends[-1]

    @property
    def groups(self) -> int:
        return 1 + sum(self.is_edge(place) for place in range(1, len(self.digits)))

    @property
    def parts(self) -> list[str]:
        """The groups."""
        edges = [place for place in range(len(self.digits) + 1) if self.is_edge(place)]
        return [self.digits[before:after] for before, after in pairwise(edges)]

    def is_edge(self, place: int) -> bool:
        """Whether a group can begin in front of the digit ``place``: at both ends and after a pause."""
        return place in (0, len(self.digits)) or self.starts[place] > self.ends[place - 1]


def fold(text: str) -> str:
    """``text`` for matching, of the same length: half-width, upper case, Simplified."""
    narrow = "".join(_narrow(character) for character in text)
    simple = str(_simplifier().convert(narrow))
    return simple if len(simple) == len(text) else narrow


def _narrow(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character).upper()
    return folded if len(folded) == 1 else character


@lru_cache(maxsize=1)
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


def digit_runs(text: str) -> list[Run]:
    """Every run of digits in a folded ``text``, a check character X included where one ends an ID number."""
    runs: list[Run] = []
    values, cardinals, at = "", 0, 0
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(text):
        joined = bool(values) and _GAP.fullmatch(text, at, match.start()) is not None
        if match["check"] and not (joined and values[-1] != "X"):
            continue
        if values and (not joined or values[-1] == "X"):
            runs.append(Run(values, tuple(starts), tuple(ends), cardinals))
            values, starts, ends, cardinals = "", [], [], 0
        value = _value(match)
        values += value
        cardinals += len(value) if match["cardinal"] else 0
        for start, end in _shares(match, len(value)):
            starts.append(start)
            ends.append(end)
        at = match.end()
    if values:
        runs.append(Run(values, tuple(starts), tuple(ends), cardinals))
    return runs


def _value(match: re.Match[str]) -> str:
    if match["times"]:
        return _VALUES[match["same"]] * _times(match["times"])
    if match["cardinal"]:
        return str(cardinal(match["cardinal"]))
    if match["check"]:
        return "X"
    if match["slip"]:
        return _SLIPS[match["slip"]]
    return "1" if match["misheard"] else _VALUES[match["digit"]]


def _times(said: str) -> int:
    """How often a digit is said: 三个, or 俩 and 仨."""
    return {"俩": 2, "仨": 3}.get(said[0]) or int(_VALUES[said[0]])


def cardinal(said: str) -> int:
    """The value of a number under 1000 such as 三十六, 一百零二 or 一百三 (which is 130)."""
    total, last, unit = 0, 0, 1
    for character in said:
        if character in "十百":
            unit = 10 if character == "十" else 100
            total += (last or 1) * unit
            last = 0
        elif character == "零":
            unit = 10
        else:
            last = int(_VALUES[character])
    return total + last * (10 if unit == 100 else 1)


def _shares(match: re.Match[str], count: int) -> Iterator[tuple[int, int]]:
    """Places of the digits that one token stands for: each holds the whole token."""
    yield from ((match.start(), match.end()) for _ in range(count))
