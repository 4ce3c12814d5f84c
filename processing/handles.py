"""WeChat names, QQ numbers, mail addresses and number plates: letters and digits mixed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from processing.labels import BACK, BY_KIND, MEASURE, UNIT
from processing.spoken import DIGIT, FILLER, digit_runs
from processing.textspan import TextSpan

_REACH = 22
_WECHAT = re.compile(BY_KIND["wechat"].words)
_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_TIMES = rf"[两二三四五六2-6]个{DIGIT}"
_PLATE_MARK = rf"(?:{_TIMES}|[A-HJ-NP-Z0-9]|{DIGIT}|叉|[艾埃爱]克斯)"
_MARK = re.compile(_PLATE_MARK)
_PLATE = re.compile(
    rf"[{_PROVINCE}]\s?[A-Z](?P<marks>[\s·.•\-,，、的]{{0,2}}{_PLATE_MARK}(?:(?:[\s·,，、\-]|{FILLER}){{0,2}}{_PLATE_MARK}){{2,5}})(?![A-Z0-9])"
)
_SPOKEN_MARK = rf"(?:{_TIMES}|[A-Z0-9_]|{DIGIT}|(?<=[A-Z0-9_\-])[.@\-](?=[A-Z0-9_])|下划线|下横线|中划线|短横线?|横杠|横线|减号|中杠|[艾埃]特|圈A)"
_HANDLE = re.compile(
    rf"(?:(?:大写|小写|字母)的?)?{_SPOKEN_MARK}(?:(?:[\s,，、]|大写的?|小写的?|字母|数字|加上?|生日|年份|全拼|拼音|"
    f"缩写|{FILLER}){{0,4}}{_SPOKEN_MARK})*"
)
_SEARCHED = re.compile(
    r"(?:搜|[您你就]?加(?:我|他|她|一下)|[您你就]加|好友|账号|帐号|备注)(?:的|是|:|一下|个|就是|这个|[\s，,：]){0,3}"
)
_NOT_HANDLES = re.compile(r"(?:APP|OPEN|UNION|ID|WECHAT|VX|QQ|CT|MRI|BC|X)+")
# One class for each part, so that a character can be read in one way only.
_MAIL_MARK = f"[A-Z0-9._%+\\-{DIGIT.strip('[]')}]"
_MAIL = re.compile(
    rf"(?<![A-Z0-9])(?:{_MAIL_MARK}|下划线){{1,40}}\s?(?:@|[艾埃]特|圈A|(?<=\s)AT(?=\s))\s?"
    rf"{_MAIL_MARK}{{1,40}}?\s?(?:\.|点|(?<=\s)DOT(?=\s))\s?(?:[A-Z]{{2,6}}|[康抗][姆母木]?)"
)
# Letters and digits that no test, drug or telephone is called by: fengkai_1979, Kevin-F8806.
_BARE = re.compile(
    r"(?<![A-Z0-9_\-/.])(?=(?:[_\-0-9]*[A-Z]){3})(?:(?=[A-Z0-9\-]*_)|(?=(?:[_\-0-9]*[A-Z]){4})(?=(?:[_\-A-Z]*[0-9]){3}))"
    r"[A-Z0-9_\-]{7,30}(?![A-Z0-9/.])"
)
# Written without a blank between them: CA199CA125.
_TESTS = re.compile(r"(?:(?:CA|HPV|FT|TT|VIT|IGG|IL|[TCLSB])\d{1,4}[\-_]?)+")
_OF_THINGS = re.compile("(?:型号|规格|批号|无线网|WIFI)[^，,。\\s]{0,5}$")
# All that is said in a turn, in answer to what was asked before: lin55947, sky-661.
_WHOLE_TURN = re.compile(
    r"^(?!(?:GB|ISO|YY|ICD)[\-_]?\d)[A-Z]{2,20}[\-_]?[0-9]{3,8}(?=[，,。.！!？?]?\s?$)", re.MULTILINE
)
_WXID = re.compile(r"WXID_[A-Z0-9_]+")


# What one is called in WeChat may be any words: 我微信名叫春暖花开.
_CALLED = re.compile(
    r"(?:微信(?:的?名字?|昵称)|昵称|网名|QQ名)(?:就?(?:叫|是)|:)\s?(?P<name>(?![什啥多少哪怎谁])[^\s，,。；;！!？?、的]{2,10})"
)


def find_handles(text: str) -> list[TextSpan]:
    """WeChat names and the like and number plates in a folded ``text``."""
    return [
        *_addresses(text),
        *_announced(text),
        *_searched(text),
        *_named_after(text),
        *_plates(text),
        *_nicknames(text),
    ]


def _addresses(text: str) -> Iterator[TextSpan]:
    for pattern in (_MAIL, _WXID, _BARE, _WHOLE_TURN):
        for match in pattern.finditer(text):
            of_thing = _OF_THINGS.search(text[max(0, match.start() - 10) : match.start()])
            if not of_thing and not _TESTS.fullmatch(match[0]):
                yield TextSpan("wechat", match.start(), match.end(), 0.9, "handle")


def _announced(text: str) -> Iterator[TextSpan]:
    for label in _WECHAT.finditer(text):
        for match in _HANDLE.finditer(text, label.end(), min(len(text), label.end() + _REACH + 40)):
            between = text[label.end() : match.start()]
            if len(between) > _REACH or MEASURE.search(between):
                break
            if _is_handle(text, match):
                yield TextSpan("wechat", match.start(), match.end(), 0.8, "announced")
                break


def _searched(text: str) -> Iterator[TextSpan]:
    """What one is told to look for or to add: letters and digits mixed are a name in WeChat."""
    for match in _SEARCHED.finditer(text):
        handle = _HANDLE.match(text, match.end())
        if (
            handle
            and re.search("[A-Z]", handle[0])
            and re.search(rf"{DIGIT}|[_\-]", handle[0])
            and _is_handle(text, handle)
        ):
            yield TextSpan("wechat", handle.start(), handle.end(), 0.6, "searched-for")


def _named_after(text: str) -> Iterator[TextSpan]:
    for match in _HANDLE.finditer(text):
        after = BACK.match(text, match.end())
        named = after and (
            _WECHAT.match(text, after.end())
            or text[match.start() - 1 : match.start()] in ("加", "搜")
            and text.startswith("号", after.end())
        )
        if named and len(match[0]) >= 5 and re.search("[A-Z]", match[0]):
            yield TextSpan("wechat", match.start(), match.end(), 0.7, "named-after")


def _nicknames(text: str) -> Iterator[TextSpan]:
    for match in _CALLED.finditer(text):
        yield TextSpan("wechat", match.start("name"), match.end("name"), 0.6, "called-in-wechat")


def _is_handle(text: str, match: re.Match[str]) -> bool:
    said = re.sub(r"[\s,，、]", "", match[0])
    if len(said) < 5 or _NOT_HANDLES.fullmatch(said) or UNIT.match(text, match.end()):
        return False
    return "/" not in text[match.end() : match.end() + 1]


def _marks(said: str) -> int:
    """How many letters and digits of a plate were said; 三个八 are three."""
    runs = (digit_runs(match[0]) for match in _MARK.finditer(said))
    return sum(len(run[0].digits) if run else 1 for run in runs)


def _plates(text: str) -> Iterator[TextSpan]:
    for match in _PLATE.finditer(text):
        if 5 <= _marks(match["marks"]) <= 6 and re.search(DIGIT, match["marks"]):
            yield TextSpan("plate", match.start(), match.end(), 0.9, "plate")
    for label in re.finditer("车牌号?码?|牌照|车号|牌号|[京津冀]牌", text):
        found = re.compile(
            rf"[^\n]{{0,8}}?(?P<plate>[{_PROVINCE}]?[A-Z]?[\s·.\-]?{_PLATE_MARK}(?:[\s·,，]?{_PLATE_MARK}){{1,6}})"
        ).match(text, label.end())
        if found and _marks(found["plate"]) >= 4 and re.search(DIGIT, found["plate"]):
            yield TextSpan("plate", found.start("plate"), found.end("plate"), 0.7, "announced")
