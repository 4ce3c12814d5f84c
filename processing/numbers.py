"""Numbers that identify somebody: by what they are (an ID, a telephone), or by the word they are announced with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from processing.labels import BACK, BY_KIND, LABEL, MEASURE, UNIT, Label
from processing.spoken import FILLER, GAP, SLIP, Run, digit_runs
from processing.textspan import Kind, TextSpan

# GB 11643: region, birth date, sequence, check character (ISO 7064 MOD 11-2).
_ID = re.compile(r"[1-8]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]")
_OLD_ID = re.compile(r"[1-8]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}")
_MOBILE = re.compile(r"(?:00?86|86|0)?1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(?:10|2\d|[3-9]\d\d)[2-8]\d{6,7}|[48]00\d{7}")
# Public services: 12345 of the city, 12320 of health, banks and carriers.
_HOTLINE = re.compile(r"12\d{3}|9[56]\d{3}|100(?:00|1[0-9]|86)")
_LONG = 7
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_WRITTEN_DAY = re.compile(r"(?:19|20)\d\d[\-/.]\d{1,2}[\-/.]\d{1,2}(?!\d)")
_THINGS = "批号|货号|规格|条形码|商品条码|追溯码|文号|准字|国标|GB|YY|ISO|标准|型号|序列号|书号|ISBN|订单|编码|快递单|运单|物流"
_OF_THINGS = re.compile(rf"(?:{_THINGS})[^，,。]{{0,6}}$")
_IS_OF_THINGS = re.compile(rf"就?是(?:这个|那个|药的?|商品的?)?(?:{_THINGS})")
# The beats that an exercise is counted in: 一二三四, 二二三四.
_COUNTING = re.compile("1234(?:5678)?(?:[2-8]234(?:5678)?)+")
_OF_BLOOD = re.compile(
    r"(?:抗原|抗体|蛋白|计数|细胞|定量|载量|滴度|激素|[酶酸肽]|二聚体|DNA|BNP|PSA|CA|CEA|AFP)(?:[是为到高有了:：\s，,]|查了?|升到){0,3}$"
)
_READ_OUT = re.compile("幺|不[是对]|错了")
_SAID_AGAIN = 4
_ID_WEIGHTS = [2**power % 11 for power in range(17, 0, -1)]

_ENOUGH_TO_IGNORE_UNITS = 7
_REACH, _REACH_LATER, _REACH_BACK = 22, 14, 14


# The birth date in an ID number may be said as one.
_LETTER = re.compile(rf"(?!{FILLER})\w")
_DATED_GAP = re.compile(rf"[年月日号]?{GAP}")
_TAIL = re.compile("(?:尾号|末尾|区号|(?:最后|后面|[后末])的?[三四五六几]位|尾数)")
_TAIL_DIGITS = 3
_LETTERS = re.compile(r"(?<![A-Z])[A-Z][A-Z0-9]{0,4}[\-_. ]?$")
# Behind it, a last digit that was heard as another word is one too: 三二吧.
_LETTERS_AFTER = re.compile(
    rf"[\-_]?[A-Z0-9]{{1,8}}(?:[\-_][A-Z0-9]{{1,8}})?|(?<=[零一二三四五六七八九]){SLIP}(?=[，,。、；;！!？?\s]|$)"
)


# What a number is told for: 198694，查一下.
_LOOKED_UP = re.compile(r"[\s，,]?(?:帮我|麻烦您?|您|给我)?(?:查|调)(?:一下|出来|下)")
_ENOUGH_TO_LOOK_UP = 5


def find_numbers(text: str) -> list[TextSpan]:
    """ID, telephone, record and insurance numbers, and others announced by a word, in a folded ``text``."""
    runs = digit_runs(text)
    labels = list(LABEL.finditer(text))
    found = [
        *_by_shape(text, runs),
        *_in_goes(text, runs),
        *_announced(text, runs, labels),
        *_named_after(text, runs),
        *_looked_up(text, runs),
    ]
    return [_with_letters(text, span) for span in found]


def find_repeats(text: str, digits: str) -> list[TextSpan]:
    """Where four or more of ``digits`` are said again in a folded ``text``, to be sure or to ask."""
    return [
        TextSpan("phone", run.start, run.end, 0.4, "said-again")
        for run in digit_runs(text)
        if len(run.digits) >= _SAID_AGAIN
        and not run.cardinals
        and not UNIT.match(text, run.end)
        and run.digits in digits
    ]


def has_valid_check(number: str) -> bool:
    """Whether the last character of an 18-character ID number is its check character (GB 11643)."""
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, number[:17], strict=True))
    return "10X98765432"[total % 11] == number[17]


def _by_shape(text: str, runs: Sequence[Run]) -> Iterator[TextSpan]:
    before: Run | None = None
    for run in runs:
        found = list(_whole_run(text, run, [*_ids(run), *_telephones(run)]))
        for span in found:
            begun = before is not None and _is_false_start(text, before, run)
            start = before.start if before is not None and begun else span.start
            yield replace(span, start=start - (text[start - 1 : start] == "+"))
        before = run
        if not found and _is_long(text, run):
            kind: Kind = "phone" if run.digits[0] in "01" and len(run.digits) < 14 else "id_number"
            yield TextSpan(
                kind, run.start - (text[run.start - 1 : run.start] == "+"), run.end, 0.5, "long-number"
            )


def _is_long(text: str, run: Run) -> bool:
    """Whether so many digits in a row can be nothing but a number that is given to somebody."""
    size = len(run.digits)
    return (
        size >= _LONG
        and not run.cardinals
        and size >= (2.5 if _is_read_out(text, run) else 3) * run.groups
        and not _DAY.fullmatch(run.digits)
        and run.digits not in "1234567890"
        and not _COUNTING.fullmatch(run.digits)
        and "/" not in (text[run.start - 1 : run.start], text[run.end : run.end + 1])
        and not UNIT.match(text, run.end)
        and not _WRITTEN_DAY.match(text, run.start)
        and not _OF_THINGS.search(text[max(0, run.start - 10) : run.start])
        and not _IS_OF_THINGS.match(text, run.end)
        and not (len(run.parts[0]) < 4 and "A" <= text[run.start - 1 : run.start] <= "Z")  # B12
        and not _OF_BLOOD.search(text[max(0, run.start - 8) : run.start])
    )


def _is_read_out(text: str, run: Run) -> bool:
    """Whether the run is no list of measured values: these have three digits at most and none is said twice."""
    parts = run.parts
    return bool(
        max(map(len, parts)) > 3
        or any(len(one) == 3 and one == other for one, other in pairwise(parts))
        or _READ_OUT.search(text, run.start, run.end)
    )


def _is_false_start(text: str, before: Run, run: Run) -> bool:
    """Whether a number was begun and then said again from the start: 一八九, 等等, 一八九四四…"""
    same = len(before.digits) >= 3 and run.digits.startswith(before.digits)
    return same and _continues(text, before, run) and "\n" not in text[before.end : run.start]


def _ids(run: Run) -> Iterator[TextSpan]:
    for match in _everywhere(_ID, run.digits):
        sure = has_valid_check(match[0])
        why = "check-sum" if sure else "number-with-birth-date"
        yield _part(run, match, "id_number", 1.0 if sure else 0.9, why)
    for match in _OLD_ID.finditer(run.digits):
        if _stands_alone(run, match):
            yield _part(run, match, "id_number", 0.8, "number-with-birth-date")


def _telephones(run: Run) -> Iterator[TextSpan]:
    for pattern, why in ((_MOBILE, "mobile-number"), (_LANDLINE, "area-code")):
        for match in _everywhere(pattern, run.digits):
            if _stands_alone(run, match) and run.cardinals <= len(match[0]) // 2:
                yield _part(run, match, "phone", 0.9, why)


def _everywhere(pattern: re.Pattern[str], digits: str) -> Iterator[re.Match[str]]:
    """The matches that overlap too: 133 133 0741… holds a number from its second group on."""
    return (match for place in range(len(digits)) if (match := pattern.match(digits, place)))


def _whole_run(text: str, run: Run, found: Sequence[TextSpan]) -> Iterator[TextSpan]:
    """The spans with the digits around them that were said in the same go.

    They are an extension, a group said twice or one that was corrected (一三八 五七七 不对 五七九 …), which leaves
    the rest of the number behind the first eleven digits. What counts or measures is none: …, 三天; 120/80, ….
    """
    spans = sorted(found, key=lambda span: span.start)
    for place, span in enumerate(spans):
        following = run.starts.index(spans[place + 1].start) if place + 1 < len(spans) else len(run.digits)
        start, end = span.start, max(span.end, run.ends[max(following, 1) - 1])
        if place == 0 and text[run.start - 1 : run.start] != "/" and run.starts.index(start) > 1:
            start = start if "\n" in text[run.start : start] else run.start
        if (
            "\n" in text[span.end : end]
            or end == run.end
            and (UNIT.match(text, end) or text[end : end + 1] == "/")
        ):
            end = span.end
        yield replace(span, start=start, end=end)


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
        and not UNIT.match(between)
        and not MEASURE.search(between)
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
        label = BY_KIND[match.lastgroup]  # type: ignore[index]
        if place and match.start() - labels[place - 1].end() < 2:
            continue  # 医保卡号: the first of them speaks for both
        begin, until = _reach(text, labels, place)
        goes = _goes(text, [run for run in runs if begin <= run.start < until], begin, label)
        least = _TAIL_DIGITS if goes and _TAIL.search(text, match.start(), goes[0].start) else label.least
        digits = "".join(go.digits for go in goes)
        hotlines = all(_HOTLINE.fullmatch(go.digits) for go in goes)
        if label.kind in ("phone", "insurance_number") and hotlines and least != _TAIL_DIGITS:
            continue
        if len(digits) >= least:
            yield from _joined(text, goes, label.kind, 0.7, "announced")


def _reach(text: str, labels: Sequence[re.Match[str]], place: int) -> tuple[int, int]:
    """Where the words of a label end, and where the next label begins."""
    end = labels[place].end()
    for following in labels[place + 1 :]:
        if following.start() - end >= 2:
            return end, following.start()
        end = following.end()
    return end, len(text)


def _with_letters(text: str, span: TextSpan) -> TextSpan:
    """The span with what is written in one with it: ZY003921, 72708378815S, (010)65123344."""
    before = _LETTERS.search(text, max(0, span.start - 8), span.start)
    after = _LETTERS_AFTER.match(text, span.end)
    start = before.start() if before else span.start
    start -= text[start - 1 : start] == "(" and ")" in text[start : start + 6]
    return replace(span, start=start, end=after.end() if after else span.end)


def _goes(text: str, runs: Sequence[Run], begin: int, label: Label) -> list[Run]:
    """The runs that make up the number announced at ``begin``."""
    goes: list[Run] = []
    for run in runs:
        between = text[goes[-1].end if goes else begin : run.start]
        reach = (_REACH_LATER if goes else _REACH) + 6 * between.count("\n")
        if len(between) > reach or MEASURE.search(between) or "/" in between.strip("/ "):
            break
        count = sum(len(go.digits) for go in goes)
        if count + len(run.digits) > label.most + 5 and goes:
            break
        if len(run.digits) == 1 and _LETTER.match(text, run.end):
            continue  # 一下, 三号诊室: a digit within a word
        if _is_counted(text, run, started=count >= 3, label=label):
            if goes:
                break
            continue
        goes.append(run)
    return goes


def _is_counted(text: str, run: Run, *, started: bool, label: Label) -> bool:
    """Whether the run says how many or how much; the birth date in an ID number may be said with 年月日."""
    if len(run.digits) >= _ENOUGH_TO_IGNORE_UNITS:
        return False
    if started and label.kind == "id_number" and text[run.end : run.end + 1] in set("年月日号"):
        return False
    if "/" in (text[run.start - 1 : run.start], text[run.end : run.end + 1]):
        return True
    return UNIT.match(text, run.end) is not None or text[run.end : run.end + 1] in set("到至比")


def _named_after(text: str, runs: Sequence[Run]) -> Iterator[TextSpan]:
    """A number followed by what it is: 12345 是我的病历号."""
    for place, run in enumerate(runs):
        bridge = BACK.match(text, run.end)
        label = LABEL.match(text, bridge.end()) if bridge else None
        if bridge is None or label is None or bridge.end() - run.end > _REACH_BACK:
            continue
        kind = BY_KIND[label.lastgroup]  # type: ignore[index]
        first = place
        while first and _DATED_GAP.fullmatch(text, runs[first - 1].end, runs[first].start):
            first -= 1
        count = sum(len(each.digits) for each in runs[first : place + 1])
        sure = (
            count >= 6 or bridge[0].strip("，,。.、 ") or _TAIL.search(text, max(0, run.start - 6), run.start)
        )
        if count >= max(4, kind.least) and sure:
            yield TextSpan(kind.kind, runs[first].start, run.end, 0.6, "named-after")


def _looked_up(text: str, runs: Sequence[Run]) -> Iterator[TextSpan]:
    for run in runs:
        if len(run.digits) >= _ENOUGH_TO_LOOK_UP and not run.cardinals and _LOOKED_UP.match(text, run.end):
            yield TextSpan("record_number", run.start, run.end, 0.5, "looked-up")
