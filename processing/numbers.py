"""Numbers that identify somebody: by what they are (an ID, a telephone), or by "
"the word they are announced with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from processing.spoken import DIGIT, FILLER, GAP, Run, digit_runs
from processing.textspan import Kind, TextSpan

# GB 11643: region, birth date, sequence, check character (ISO 7064 MOD 11-2).
_ID = re.compile(r"[1-8]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]")
_OLD_ID = re.compile(r"[1-8]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}")
_MOBILE = re.compile(r"(?:00?86|86|0)?1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(?:10|2\d|[3-9]\d\d)[2-8]\d{6,7}|[48]00\d{7}")
_LONG = 10
_ID_WEIGHTS = [2**power % 11 for power in range(17, 0, -1)]

# What a number counts or measures.
_UNIT = re.compile(
    r"\s?(?:[克钱斤升毫度次天日月年岁周点分秒个片粒丸袋付副剂贴服颗包瓶盒支元块毛米厘公里步人层楼诊页条遍回倍成折%％℃百千万亿种味椎期级型床站座寸穴下直样般定起些边会旦辈家口头]"
    r"|MG|ML|MMOL|UMOL|NG|UG|KG|CM|MM|BPM|IU|G\b|U\b|L\b)"
)
_MEASURE = re.compile(
    "血压|高压|低压|体温|血糖|心率|脉搏|体重|身高|步数|血脂|尿酸|肌酐|转氨酶|白细胞|"
    "血红|血小板|胆固醇|甘油|糖化|指标|化验|结果|"
    "价格|多少钱|花了|收费|费用|挂号费|红包|转账|复诊|预约|下次|今年|年龄|每次|每天|"
    "一天|一共|大约|差不多|批准文号|国药准字|批号|"
    "剂量|用量|处方|穴|针|诊室|房间|叫到|排到"
)
_ENOUGH_TO_IGNORE_UNITS = 7
_REACH, _REACH_LATER, _REACH_BACK = 22, 14, 8


@dataclass(frozen=True)
class _Label:
    """A word that announces an identifier; how many digits of it are enough, and how many it can have."""

    kind: Kind
    words: str
    least: int
    most: int


_LABELS = (
    _Label("id_number", "身份证|身份号|证件号|证件号码|护照|军官证|通行证|居住证|驾驶证|驾照", 3, 18),
    _Label(
        "insurance_number",
        "医保|社保|参保|医疗保险|新农合|合作医疗|保险卡|保险号|保险单|社会保障|医疗证|公费医疗|保单",
        4,
        24,
    ),
    _Label(
        "record_number",
        "病历|病案|门诊号|门诊卡|住院号|就诊卡|就诊号|就诊的?卡|登记号|档案号|挂号单号|流水号|"
        "诊疗卡|诊疗号|检查号|影像号|片号|标本号|条码号|"
        "报告单号|报告号|患者编号|病人编号|患者ID|病人ID|ID号|卡号|建档号|住院的?号|门诊的?号",
        3,
        20,
    ),
    _Label(
        "phone",
        "电话|手机|座机|号码|联系方式|固话|打给我|拨打?|分机|传真|小灵通|热线|打到|联系我|给我打|家里的号",
        5,
        12,
    ),
    _Label("wechat", "微信|QQ|扣扣|WECHAT|VX|V信|威信", 4, 20),
    _Label("plate", "车牌|车号|牌照|牌号|号牌", 3, 7),
)
_LABEL = re.compile("|".join(f"(?P<{label.kind}>{label.words})" for label in _LABELS))
_BY_KIND = {label.kind: label for label in _LABELS}
# The birth date in an ID number may be said as one.
_DATED_GAP = re.compile(rf"[年月日号]?{GAP}")
_TAIL = re.compile("(?:尾号|[后末]四位|最后[三四几]位|尾数)")
_TAIL_DIGITS = 3
_BACK = re.compile(
    r"[\s，,。.、]?(?:这个?|那个?|就|嗯|呃)?(?:是|为)?(?:我|咱|俺|他|她|您|你|本人|家属|"
    "孩子|老伴|爱人|患者)?(?:家|妈|爸|儿子|女儿)?(?:里)?的?(?:新|老|旧)?"
)

_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_PLATE_MARK = rf"(?:[A-HJ-NP-Z0-9]|{DIGIT})"
_PLATE = re.compile(
    rf"[{_PROVINCE}][\s]?[A-Z][\s·.•\-,，、的]{{0,2}}{_PLATE_MARK}(?:(?:[\s·,，、]|{FILLER}){{0,2}}{_PLATE_MARK}){{4,5}}(?![A-Z0-9])"
)
_SPOKEN_MARK = (
    rf"(?:[A-Z0-9_]|{DIGIT}|(?<=[A-Z0-9_\-])[.@\-](?=[A-Z0-9_])|下划线|下横线|横杠|减号|中杠|[艾埃]特|圈A)"
)
_HANDLE = re.compile(
    rf"{_SPOKEN_MARK}(?:(?:[\s,，、]|大写的?|小写的?|字母|数字|加上?|生日|年份|全拼|拼音|"
    f"缩写|{FILLER}){{0,4}}{_SPOKEN_MARK})*"
)
_NOT_HANDLES = re.compile(r"(?:APP|ID|WECHAT|VX|QQ|CT|MRI|BC|X)+")
_MAIL = re.compile(r"[A-Z0-9][A-Z0-9._%+\-]*(?:@|[艾埃]特)[A-Z0-9.\-]+(?:\.|点)[A-Z]{2,}")
_WXID = re.compile(r"WXID_[A-Z0-9_]+")
_LETTERS = re.compile(r"[A-Z]{1,5}[\-_ ]?$")


def find_numbers(text: str) -> list[TextSpan]:
    """ID, telephone, record and insurance numbers, WeChat names and plates in a folded ``text``."""
    runs = digit_runs(text)
    labels = list(_LABEL.finditer(text))
    return [
        *_by_shape(text, runs),
        *_in_goes(text, runs),
        *_announced(text, runs, labels),
        *_named_after(text, runs),
        *_handles(text, labels),
        *_plates(text),
    ]


def has_valid_check(number: str) -> bool:
    """Whether the last character of an 18-character ID number is its check character (GB 11643)."""
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, number[:17], strict=True))
    return "10X98765432"[total % 11] == number[17]


def _by_shape(text: str, runs: Iterable[Run]) -> Iterator[TextSpan]:
    for run in runs:
        found = [*_ids(run), *_telephones(run)]
        for span in found:
            yield replace(span, start=span.start - (text[span.start - 1 : span.start] == "+"))
        if not found and len(run.digits) >= _LONG and len(run.digits) >= 2.5 * run.groups:
            kind: Kind = "phone" if run.digits[0] in "01" and len(run.digits) < 14 else "id_number"
            if not run.cardinals:
                yield TextSpan(kind, run.start, run.end, 0.5, "long-number")


def _ids(run: Run) -> Iterator[TextSpan]:
    for match in _ID.finditer(run.digits):
        sure = has_valid_check(match[0])
        why = "check-sum" if sure else "number-with-birth-date"
        yield _part(run, match, "id_number", 1.0 if sure else 0.9, why)
    for match in _OLD_ID.finditer(run.digits):
        if _stands_alone(run, match):
            yield _part(run, match, "id_number", 0.8, "number-with-birth-date")


def _telephones(run: Run) -> Iterator[TextSpan]:
    for pattern, why in ((_MOBILE, "mobile-number"), (_LANDLINE, "area-code")):
        for match in pattern.finditer(run.digits):
            if _stands_alone(run, match) and run.cardinals <= len(match[0]) // 2:
                yield _part(run, match, "phone", 0.9, why)


def _stands_alone(run: Run, match: re.Match[str]) -> bool:
    return run.is_edge(match.start()) and run.is_edge(match.end())


def _part(run: Run, match: re.Match[str], kind: Kind, confidence: float, why: str) -> TextSpan:
    return TextSpan(kind, run.starts[match.start()], run.ends[match.end() - 1], confidence, why)


def _in_goes(text: str, runs: Sequence[Run]) -> Iterator[TextSpan]:
    """A number read out in two to four goes with words between that are no fillers (您稍等, 我记一下)."""
    for first in range(len(runs)):
        goes = [runs[first]]
        for run in runs[first + 1 : first + 8]:
            if not _continues(text, goes[-1], run):
                break
            goes.append(run)
            digits = "".join(go.digits for go in goes)
            if any(len(go.digits) < 3 or go.cardinals for go in goes):
                break
            if _MOBILE.fullmatch(digits) or _ID.fullmatch(digits):
                kind: Kind = "phone" if len(digits) < 15 else "id_number"
                yield from _joined(text, goes, kind, 0.8, "read-out-in-parts")


def _continues(text: str, before: Run, after: Run) -> bool:
    between = text[before.end : after.start]
    return (
        len(between) <= _REACH_LATER + 4 * between.count("\n")
        and not _UNIT.match(between)
        and not _MEASURE.search(between)
        and "/" not in between
    )


def _joined(text: str, goes: Sequence[Run], kind: Kind, confidence: float, why: str) -> Iterator[TextSpan]:
    """One span for what was said in one line, with what lies between; one a line for the rest."""
    start = goes[0].start
    for before, after in pairwise(goes):
        if "\n" in text[before.end : after.start]:
            yield TextSpan(kind, start, before.end, confidence, why)
            start = after.start
    yield TextSpan(kind, start, goes[-1].end, confidence, why)


def _announced(text: str, runs: Sequence[Run], labels: Sequence[re.Match[str]]) -> Iterator[TextSpan]:
    for place, match in enumerate(labels):
        label = _BY_KIND[match.lastgroup]  # type: ignore[index]
        if place and match.start() - labels[place - 1].end() < 2:
            continue  # 医保卡号: the first of them speaks for both
        begin, until = _reach(text, labels, place)
        goes = _goes(text, [run for run in runs if begin <= run.start < until], begin, label)
        least = _TAIL_DIGITS if goes and _TAIL.search(text, match.end(), goes[0].start) else label.least
        if sum(len(go.digits) for go in goes) >= least:
            begin = _with_letters(text, goes[0].start)
            spans = list(_joined(text, goes, label.kind, 0.7, "announced"))
            yield TextSpan(label.kind, begin, spans[0].end, 0.7, "announced")
            yield from spans[1:]


def _reach(text: str, labels: Sequence[re.Match[str]], place: int) -> tuple[int, int]:
    """Where the words of a label end, and where the next label begins."""
    end = labels[place].end()
    for following in labels[place + 1 :]:
        if following.start() - end >= 2:
            return end, following.start()
        end = following.end()
    return end, len(text)


def _with_letters(text: str, start: int) -> int:
    found = _LETTERS.search(text, max(0, start - 6), start)
    return found.start() if found else start


def _goes(text: str, runs: Sequence[Run], begin: int, label: _Label) -> list[Run]:
    """The runs that make up the number announced at ``begin``."""
    goes: list[Run] = []
    for run in runs:
        between = text[goes[-1].end if goes else begin : run.start]
        reach = (_REACH_LATER if goes else _REACH) + 6 * between.count("\n")
        if len(between) > reach or _MEASURE.search(between) or "/" in between.strip("/ "):
            break
        count = sum(len(go.digits) for go in goes)
        if count + len(run.digits) > label.most + 5 and goes:
            break
        if _is_counted(text, run, started=count >= 3, label=label):
            if goes:
                break
            continue
        goes.append(run)
    return goes


def _is_counted(text: str, run: Run, *, started: bool, label: _Label) -> bool:
    """Whether the run says how many or how much; the birth date in an ID number may be said with 年月日."""
    if len(run.digits) >= _ENOUGH_TO_IGNORE_UNITS:
        return False
    if started and label.kind == "id_number" and text[run.end : run.end + 1] in set("年月日号"):
        return False
    if "/" in (text[run.start - 1 : run.start], text[run.end : run.end + 1]):
        return True
    return _UNIT.match(text, run.end) is not None or text[run.end : run.end + 1] in set("到至比")


def _named_after(text: str, runs: Sequence[Run]) -> Iterator[TextSpan]:
    """A number followed by what it is: 12345 是我的病历号."""
    for place, run in enumerate(runs):
        bridge = _BACK.match(text, run.end)
        label = _LABEL.match(text, bridge.end()) if bridge else None
        if bridge is None or label is None or bridge.end() - run.end > _REACH_BACK:
            continue
        kind = _BY_KIND[label.lastgroup]  # type: ignore[index]
        first = place
        while first and _DATED_GAP.fullmatch(text, runs[first - 1].end, runs[first].start):
            first -= 1
        count = sum(len(each.digits) for each in runs[first : place + 1])
        if count >= max(4, kind.least) and (bridge[0].strip("，,。.、 ") or count >= 6):
            yield TextSpan(kind.kind, _with_letters(text, runs[first].start), run.end, 0.6, "named-after")


def _handles(text: str, labels: Sequence[re.Match[str]]) -> Iterator[TextSpan]:
    """WeChat names, QQ numbers and mail addresses: what is said in letters and digits after the word."""
    for pattern in (_MAIL, _WXID):
        yield from (
            TextSpan("wechat", match.start(), match.end(), 0.9, "handle") for match in pattern.finditer(text)
        )
    for label in labels:
        if label.lastgroup != "wechat":
            continue
        for match in _HANDLE.finditer(text, label.end(), min(len(text), label.end() + _REACH + 40)):
            between = text[label.end() : match.start()]
            if len(between) > _REACH or _MEASURE.search(between):
                break
            if _is_handle(text, match):
                yield TextSpan("wechat", match.start(), match.end(), 0.8, "announced")
                break
    for match in _HANDLE.finditer(text):
        if len(match[0]) < 6 or not re.search("[A-Z]", match[0]):
            continue
        after = _BACK.match(text, match.end())
        if after and re.compile("微信|QQ|VX").match(text, after.end()):
            yield TextSpan("wechat", match.start(), match.end(), 0.7, "named-after")


def _is_handle(text: str, match: re.Match[str]) -> bool:
    said = re.sub(r"[\s,，、]", "", match[0])
    if len(said) < 5 or _NOT_HANDLES.fullmatch(said) or _UNIT.match(text, match.end()):
        return False
    return "/" not in text[match.end() : match.end() + 1]


def _plates(text: str) -> Iterator[TextSpan]:
    for match in _PLATE.finditer(text):
        if re.search(DIGIT, match[0][2:]):
            yield TextSpan("plate", match.start(), match.end(), 0.9, "plate")
    for label in re.finditer("车牌号?码?|牌照|车号|牌号", text):
        found = re.compile(
            rf"[^\n]{{0,8}}?(?P<plate>[{_PROVINCE}]?[A-Z]?[\s·.\-]?{_PLATE_MARK}(?:[\s·,，]?{_PLATE_MARK}){{3,6}})"
        ).match(text, label.end())
        if found and re.search(DIGIT, found["plate"]):
            yield TextSpan("plate", found.start("plate"), found.end("plate"), 0.7, "announced")
