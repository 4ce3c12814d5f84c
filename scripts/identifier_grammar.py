"""Sentences from the grammars in tests/data/identifiers: many parts in many orders, the same on every run.

A line ``key = alternative | alternative`` is a rule, ``<key>`` in an alternative stands for one of that rule or for
a number made up here, and ``{kind:…}`` marks what identifies somebody. Sentences start at the rules ``identifying``
and ``harmless``. A line ``names: …`` gives the names that are registered; ``names: *`` registers two others for each
sentence, which are said with ``<patient>``, ``<relative>`` (as written) and ``<heard>`` (in characters that sound alike).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from processing.names import RegisteredName
from scripts.identifier_sentences import Sentence

_SPOKEN = dict(zip("0123456789X", "零一二三四五六七八九X", strict=True))
_PAUSES = ("，", "，嗯，", "、", " ", "，然后", "，对，", "，再", "——", "", "，那个")
_GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂华建国玉珍淑琴志红梅文斌晓燕宏凤云春生海波子涵雨萱浩宇梓轩"
_SOUNDS = """
    王汪亡 李里理 张章彰 刘流留 陈晨臣 杨阳羊 赵照兆 黄皇 周州舟 吴无吾 徐许旭 孙损 马码 朱珠诸 胡湖糊 郭锅
    何和河 林临淋 罗落骆 高糕 郑正证 梁良凉 谢卸泄 宋送颂 唐糖堂 冯逢缝 邓瞪 曹草 翟宅 单善 仇求 佟同童
    伟为维卫 芳方房 娜那 秀袖绣 英应鹰莹 敏民悯 静敬景 丽力利 强墙 磊累雷 军君均 洋扬阳 勇永涌 艳燕宴 杰节洁
    娟捐 涛淘桃 明名鸣 超朝抄 兰蓝 霞侠夏 平萍苹 刚钢缸 桂贵柜 华花滑 建健见 国果郭 玉育遇 珍真贞 淑书叔 琴勤芹
    志智治 红宏洪 梅枚煤 文闻雯 斌宾滨 晓小笑 凤奉 云匀芸 春椿 生升声 海孩 波播玻 子紫 涵含寒 雨语宇 萱宣轩
"""
_ALIKE: dict[str, str] = {group[0]: group[1:] for group in _SOUNDS.split()}
_REGIONS = ("110102", "132427", "420621", "320923", "510722", "210283", "650104", "371327", "440583")


def marked(line: str, names: tuple[RegisteredName, ...] = ()) -> Sentence:
    """The sentence of a line in which ``{kind:…}`` marks the identifiers."""
    text, spans, at = "", [], 0
    for match in re.finditer(r"\{(\w+):([^}]*)\}", line):
        text += line[at : match.start()]
        spans.append((match[1], len(text), len(text) + len(match[2])))
        text, at = text + match[2], match.end()
    return Sentence(text + line[at:], tuple(spans), names)


def sentences_of(path: Path) -> Iterator[Sentence]:
    """Those of a file with one marked sentence a line; ``names: …`` registers names for the lines below."""
    names: tuple[RegisteredName, ...] = ()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("names:"):
            names = tuple(RegisteredName(name) for name in line[6:].split())
        elif line and not line.startswith("#"):
            yield marked(line, names)


def generated(path: Path, count: int, seed: int = 7) -> Iterator[Sentence]:
    """``count`` sentences of a grammar, every other one harmless, the kinds in turn."""
    chance = random.Random(f"{path.name} {seed}")
    names: tuple[RegisteredName, ...] = ()
    rules: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, alternatives = line.partition(" = ")
        if line.startswith("names:"):
            names = tuple(RegisteredName(name) for name in line[6:].split())
        elif equals and not line.startswith("#"):
            rules.setdefault(key, []).extend(each.strip(" ") for each in alternatives.split("|"))
    for number in range(count):
        kinds = rules["harmless" if number % 2 else "identifying"]
        if names[:1] == (RegisteredName("*"),):
            people = RegisteredName(_name(chance)), RegisteredName(_name(chance), "relative")
            said = {
                "patient": [people[0].text],
                "relative": [people[1].text],
                "heard": [_heard(chance, people[0].text)],
            }
            yield marked(_expanded(chance, kinds[number // 2 % len(kinds)], {**rules, **said}), people)
        else:
            yield marked(_expanded(chance, kinds[number // 2 % len(kinds)], rules), names)


def _name(chance: random.Random) -> str:
    """A name such as many have, with a rare surname now and then."""
    surname = chance.choice(
        (
            *"王李张刘陈杨赵黄周吴徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹",
            *"翟单仇佟苑臧解覃牟蔺",
            "欧阳",
            "司马",
        )
    )
    given = chance.choice(_GIVEN) + (chance.choice(_GIVEN) if chance.random() < 0.8 else "")
    return str(surname + given)


def _heard(chance: random.Random, name: str) -> str:
    """The name in other characters of the same sound, at least one of them another."""
    places = [place for place, character in enumerate(name) if _ALIKE.get(character)]
    if not places:
        return name
    changed = chance.sample(places, chance.randint(1, len(places)))
    return "".join(chance.choice(_ALIKE[c]) if place in changed else c for place, c in enumerate(name))


def _expanded(chance: random.Random, text: str, rules: dict[str, list[str]]) -> str:
    while match := re.search(r"<(\w+)>", text):
        key = match[1]
        value: str = chance.choice(rules[key]) if key in rules else _NUMBERS[key](chance)
        text = text[: match.start()] + value + text[match.end() :]
    return text


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def _aloud(chance: random.Random, digits: str) -> str:
    one, zero = chance.choice("一幺幺"), chance.choice("零零洞〇")
    return "".join({"1": one, "0": zero}.get(digit, _SPOKEN[digit]) for digit in digits)


def _said(chance: random.Random, digits: str, groups: Sequence[Sequence[int]]) -> str:
    """``digits`` written or said, in one or in groups."""
    parts, at = [], 0
    for size in chance.choice(groups):
        parts.append(digits[at : at + size])
        at += size
    way = chance.randrange(5)
    if way == 0:
        return digits
    if way == 1:
        return chance.choice(" -").join(parts)
    if way == 2:
        return _aloud(chance, digits)
    pause = chance.choice(_PAUSES)
    return pause.join(_aloud(chance, part) for part in parts)


def _mobile(chance: random.Random) -> str:
    digits = f"1{chance.choice('35789')}{_digits(chance, 9)}"
    return _said(chance, digits, ((3, 4, 4), (3, 3, 5), (4, 3, 4), (3, 2, 2, 2, 2)))


def _landline(chance: random.Random) -> str:
    area = chance.choice(("010", "021", "0311", "0474", "0898", "0755"))
    return _said(chance, area + chance.choice("25678") + _digits(chance, 7), ((len(area), 4, 4),))


def _local(chance: random.Random) -> str:
    return _said(chance, chance.choice("25678") + _digits(chance, 7), ((4, 4), (2, 3, 3)))


def _id_number(chance: random.Random) -> str:
    born = f"{chance.randint(1928, 2016)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    body = chance.choice(_REGIONS) + born + _digits(chance, 3)
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    return _said(chance, body + "10X98765432"[total % 11], ((6, 8, 4), (6, 4, 4, 4), (3, 3, 4, 4, 4)))


def _some(least: int, most: int) -> Callable[[random.Random], str]:
    return lambda chance: _said(chance, _digits(chance, chance.randint(least, most)), ((3, 99), (4, 99)))


def _number(least: int, most: int) -> Callable[[random.Random], str]:
    return lambda chance: str(chance.randint(least, most))


def _cardinal(least: int, most: int) -> Callable[[random.Random], str]:
    def say(chance: random.Random) -> str:
        tens, ones = divmod(chance.randint(least, most), 10)
        ten = "" if not tens else "十" if tens == 1 else _SPOKEN[str(tens)] + "十"
        return ten + (_SPOKEN[str(ones)] if ones or not tens else "")

    return say


def _year(chance: random.Random) -> str:
    year = str(chance.randint(1932, 2014))
    return chance.choice((year, _aloud_year(year), _aloud_year(year[2:]), year[2:]))


def _aloud_year(digits: str) -> str:
    return "".join(_SPOKEN[digit] for digit in digits)


_NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "mobile": _mobile, "landline": _landline, "local": _local, "id_number": _id_number, "some4": _some(4, 4),
    "some6": _some(6, 8), "some9": _some(9, 12), "n30": _number(1, 30), "n300": _number(20, 300), "n9": _number(1, 9),
    "c30": _cardinal(2, 30), "c90": _cardinal(30, 90), "c12": _cardinal(1, 12), "c9": _cardinal(2, 9), "year": _year,
    "d3": lambda chance: _digits(chance, 3), "d4": lambda chance: _digits(chance, 4),
    "d7": lambda chance: _digits(chance, 7), "s3": lambda chance: _aloud(chance, _digits(chance, 3)),
    "letter": lambda chance: chance.choice("ABCDEFGHJKLMNPQRSTUVWXYZ"), "c100": _cardinal(60, 99),
}  # fmt: skip
