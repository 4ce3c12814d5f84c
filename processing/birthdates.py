"""Dates of birth: a date is one only by the words beside it, for visits and operations have dates too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from processing.name_words import COMPOUND_SURNAMES, KIN, SURNAMES
from processing.spoken import DIGIT, FILLER
from processing.textspan import TextSpan

_SPACE = rf"(?:[\s,，、]|{FILLER}){{0,2}}"
_NUMBER = r"(?:[0-9]{1,2}|[零〇][一二三四五六七八九]|初?[一二三四五六七八九十]{1,3}|廿[一二三四五六七八九]?|卅|[正冬腊闰])"
_YEAR = f"(?:公历|农历|旧历|阳历|阴历)?(?:{DIGIT}(?:{_SPACE}{DIGIT}){{3}}|{DIGIT}{{2}}|民国[一二三四五六七八九十]{{1,3}}){_SPACE}年"
_MONTH = rf"(?:的|是|[^，,。\d]{{0,7}}那年|阴历|农历|旧历|阳历|公历)?{_SPACE}(?:闰?{_NUMBER}){_SPACE}月份?"
_DAY = rf"(?:的|阴历|农历|旧历)?{_SPACE}(?:初[一二三四五六七八九十]|{_NUMBER})(?:\s?日|[日号]|(?![月年天个次点时度克岁斤元块片粒]))"
_WRITTEN = r"(?:19|20)\d\d\s?[-/.年]\s?(?:0?[1-9]|1[0-2])\s?[-/.月]\s?(?:0?[1-9]|[12]\d|3[01])(?:\s?日|[日号])?(?!\d)"
_WRITTEN_MONTH = r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])(?![\d.])"
_MONTH_AND_DAY = r"(?<![\d.:/\-])(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\d.:/\-])"
_LISTED = r"{0}{{4}}{1}(?:{0}{{2}}|{2}){1}(?:{0}{{2}}|{2})".format(
    DIGIT, rf"(?:[、,，.\s\-]|{FILLER}){{1,3}}", _NUMBER
)
_SHORT = r"(?<![\d.])\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?![\d.])"
_COMPACT = (
    r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)|"
    f"(?<!{DIGIT})(?:[一幺]九|[二两][零〇]){DIGIT}{{2}}[零〇一幺]{DIGIT}[零〇一幺二两三]{DIGIT}(?!{DIGIT})"
)
_FULL = rf"(?:{_YEAR}|{DIGIT}{{4}}(?=[，,、\s])){_SPACE}{_MONTH}(?:{_SPACE}{_DAY})?"
_DATE = re.compile(
    f"(?P<date>{_WRITTEN}|{_COMPACT}|{_LISTED}|{_WRITTEN_MONTH}|{_SHORT}|{_FULL}|{_MONTH}{_SPACE}{_DAY})|(?P<year>{_YEAR}|{_MONTH}(?=里?生[的人])|{_MONTH_AND_DAY}|"
    r"(?<!\d)(?:19|20)\d\d(?!\d))"
)

_BORN = (
    "(?:DOB|出生|生日|生于|生在|生辰|诞辰|诞生|出世|降生|落生|落地|落草|生人|(?:什么时候|几月几号|几[号月]|"
    "哪[一天年]*|几几年|哪年哪月)生(?:的|人)?|(?:哪一?|几几|什么)年的|(?:身份证|户口本|户口|证件)上?(?:面)?(?:是|写的?|登记的?|印的?|报的?|填的?|显示)|(?:户口本|身份证)[上里]?(?=[，,：:\\s]?(?:\\n|$)))"
)
_BEFORE = re.compile(
    rf"{_BORN}(?P<gap>[^。！!\n]{{0,14}}|[^。\n]{{0,12}}\n[^\n]{{0,8}}|[^。\n]{{0,3}}[。！!]\s?(?:好的?|嗯|啊|哦|是|我|就|[，,\s]){{0,4}})$"
)
# What 生 begins that is nobody's birth, or somebody else's.
_NOT_BORN = "[的完了活气育产长化冷姜地命效老二下过孩娃儿女个前殖理态变熟啊一几]|病(?![历案])"
_OTHERS = "孩子|老[大二三](?!届)|娃|儿子|女儿|[一二]胎"
_AGE = "[0-9一二三四五六七八九十]{1,3}"
_TURNS = f"(?:就|刚|正好|才|该)?满{_AGE}(?![0-9一二三四五六七八九十天个周月年次])|(?:就|刚|正好|才)?{_AGE}周岁|[过做办祝大]寿"
_AFTER = re.compile(
    rf"[\s,，、]?(?:那天|那年|这天|晚上|早上|夜里|凌晨|是|在|我|他|她|孩子|老家|北京|的时候){{0,2}}"
    rf"(?:{_BORN}|(?:(?:是|过)?(?:我|他|她|孩子)?的?)生日|生(?:的(?!{_OTHERS})|(?!{_NOT_BORN}))|{_TURNS})"
)
# 七五年八月十五，中秋节那天生的.
_LATER = re.compile(r"(?P<gap>[^。！!？?\n]{1,10}?)(?:出生|生的|生人)")
# 我是五六年三月初八的: said of oneself, and nothing was done on that day.
_OF_ONESELF_BEFORE = rf"(?:我|他|她|您|你|俺|患者|病人|本人|老人家?|老太太|老爷子|{KIN})(?:呢|啊|，|九零后|八零后)?(?:就|也)?是?"
_OF_ONESELF = re.compile(
    rf"{_OF_ONESELF_BEFORE}$|(?:{KIN}|患者|病人)(?:是|叫|[，,\s])?(?:{'|'.join(COMPOUND_SURNAMES)}|[{''.join(SURNAMES)}])[\u3400-\u9fff]{{1,2}}[，,\s]?是?$"
)
_AGE_BEFORE = re.compile(
    r"(?:岁|属.|同[年岁龄]|一样大|今年[0-9一二三四五六七八九十]{1,3}了?|虚岁[^，,。]{1,4}|周岁[^，,。]{1,4})[\s，,。]?都?是?$"
)
_ALONE = re.compile(r"[\s,，。.；;！!？?)）]|$")
# A line of a form: 1963/12/04 女 汉族.
_IN_A_FORM = re.compile(r"[\s,，、;；]{0,2}(?:男|女|汉族?|[满回蒙壮]族|已婚|未婚)(?!.{0,6}岁)")
_BEHIND_NAME = re.compile(r"[\s,，、;；:：(（/]*(?:[男女][\s,，、]*)?(?:也|就)?是?$")
_BEFORE_2015 = re.compile(
    r"(?:19|200|201[0-4]|[二两]零{1,2}[零一]|二〇|一九|[3-9]\d[-/.年]|[三四五六七八九][零一二三四五六七八九]年)"
)
_ENDS = re.compile(
    r"(?:的|生的)(?:[吧吗]|人(?=[，,。.！!？?；;\s]|$)|[啊呀呢]?[，,。.！!？?；;\s]|$|属|比[您你我他她]|住|今年)|[这那]个|[，,、\s]?属[鼠牛虎兔龙蛇马羊猴鸡狗猪]"
)
# Behind a date of birth, what makes the next date another one for the same day: 身份证上是…, 实际上是….
_OTHERWISE = re.compile(
    r"[^。！!？?\n]{0,6}(?:还是|实际|其实|真正|真实|不对|不是|说错|应该|阴历|农历|旧历|阳历|公历|改成|写成|报成|登记|身份证|户口)[^。！!？?\n]{0,5}"
)
# What else a date beside these words can be the date of.
_OTHER = re.compile(
    "复诊|就诊|手术|住院|开始|检查|化验|体检|发病|来看|看病|预约|复查|拍片|做的|做过|"
    "起病|挂号|末次|月经|预产|服药|打针|接种|过敏|到期|过期|有效|补办|办的|丢"
)


# A day so long ago is hardly anything but a birthday, unless something is said to have happened on it.
_LONG_AGO = re.compile(
    r"(?:19[2-9]\d|2000)(?!\d{2,3}(?:\D|$))|[一幺]九[二三四五六七八九]|二零零零|[3-9]\d[-/.年]|[三四五六七八九][零〇一二三四五六七八九]年"
)
_TO_THE_DAY = re.compile(
    r".*(?:月[^月]*[0-9一二三四五六七八九十]|[-/.]\d{1,2}[-/.]\d{1,2})(?:\s?日|[日号])?|\d{8}|[零〇一二三四五六七八九幺]{8}"
)
_HAPPENED = re.compile(
    "地震|建国|解放|成立|婚|退休|参军|入伍|当兵|下岗|下乡|插队|毕业|工作|入党|去世|过世|没的|走的|牺牲|出版|发表|"
    "疼|痛|犯|得[了的过]|摔|伤|病(?!历|案|人)|查|切|取|装|放|拔|绝经|停经|诊断|批号|批准|第[一二三四五六七八九十0-9]"
)


def find_birth_dates(text: str, names: Collection[TextSpan] = ()) -> list[TextSpan]:
    """Dates of birth in a folded ``text``, as a whole or in part (a year, a day of a month).

    ``names`` are the names in it: 王秀英，1958年3月12日 is said of no visit.
    """
    found = [*_found(text), *_behind_names(text, {name.end for name in names})]
    for match in _DATE.finditer(text):
        start = match.start() + len(match[0]) - len(match[0].lstrip("的是，,、 \n"))
        if any(
            span.end <= start
            and (gap := _OTHERWISE.fullmatch(text, span.end, start))
            and not _OTHER.search(gap[0])
            for span in found
        ):
            found.append(TextSpan("birth_date", start, match.end(), 0.5, "same-day-otherwise"))
    return found


def _behind_names(text: str, ends: Collection[int]) -> Iterator[TextSpan]:
    """Whole dates of long ago that stand right behind a name, with no more than punctuation or a sex between."""
    for match in _DATE.finditer(text):
        start = match.start() + len(match[0]) - len(match[0].lstrip("的是，,、 \n"))
        between = _BEHIND_NAME.search(text[max(0, start - 6) : start])
        if (
            match["date"]
            and between
            and start - len(between[0]) in ends
            and _BEFORE_2015.match(text, start)
            and (_ALONE.match(text, match.end()) or _ENDS.match(text, match.end()))
            and not _OTHER.search(text[match.end() : match.end() + 8])
        ):
            yield TextSpan("birth_date", start, match.end(), 0.5, "behind-a-name")


def _found(text: str) -> Iterator[TextSpan]:
    for match in _DATE.finditer(text):
        whole = match["date"] is not None
        start = match.start() + len(match[0]) - len(match[0].lstrip("的是，,、 \n"))
        before = _BEFORE.search(text[max(0, match.start() - 30) : match.start()])
        if before and not _OTHER.search(before["gap"]) and (whole or len(before["gap"]) <= 8):
            yield TextSpan("birth_date", start, match.end(), 0.9, "announced")
        elif _AFTER.match(text, match.end()):
            yield TextSpan("birth_date", start, match.end(), 0.8, "named-after")
        elif (
            whole
            and "年" in match[0]
            and (later := _LATER.match(text, match.end()))
            and not _OTHER.search(later["gap"])
        ):
            yield TextSpan("birth_date", start, match.end(), 0.6, "named-after")
        elif whole and _BEFORE_2015.match(text, start) and _IN_A_FORM.match(text, match.end()):
            yield TextSpan("birth_date", start, match.end(), 0.6, "in-a-form")
        elif _is_of_oneself(text, match, start):
            yield TextSpan("birth_date", start, match.end(), 0.6, "of-oneself")
        elif whole and _is_long_ago(text, start, match.end()):
            yield TextSpan("birth_date", start, match.end(), 0.4, "day-long-ago")


def _is_long_ago(text: str, start: int, end: int) -> bool:
    beside = text[max(0, start - 12) : start] + "\n" + text[end : end + 12]
    return (
        _LONG_AGO.match(text, start) is not None
        and _TO_THE_DAY.fullmatch(text, start, end) is not None
        and not _OTHER.search(beside)
        and not _HAPPENED.search(beside)
    )


def _is_of_oneself(text: str, match: re.Match[str], start: int) -> bool:
    said_alone = match["date"] is not None and "年" in match[0] and _ALONE.match(text, match.end())
    before = text[max(0, start - 10) : start]
    if said_alone and (re.search(rf"{_OF_ONESELF_BEFORE}$", before) or re.search(r"属.[，,\s。]?$", before)):
        return True
    return bool(
        _ENDS.match(text, match.end())
        and (
            _OF_ONESELF.search(text[max(0, start - 10) : start])
            or (match["date"] or "年" in match[0])
            and _AGE_BEFORE.search(text[max(0, start - 10) : start])
            or "属" in text[match.end() : match.end() + 3]
        )
        and not _OTHER.search(text[match.end() : match.end() + 8])
    )
