"""The registered names of patient and relatives, as they are written, as they sound, and as people are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pypinyin import Style, pinyin
from pypinyin.phrases_dict import phrases_dict

from processing.name_words import (
    COMPOUND_SURNAMES,
    FUNCTION_CHARACTERS,
    GIVEN_CHARACTERS,
    KIN,
    PHYSICIANS,
    SURNAME_SOUNDS,
    SURNAMES,
    TITLES,
    WORDS,
)
from processing.spoken import fold
from processing.textspan import TextSpan

Relation = Literal["patient", "relative"]

_SMALL = "小老阿"
_DOSE = re.compile(
    r"[\s,，、]?(?:各|用|量|是|到|加到|减到|改成|改为)?\s?(?:[0-9]+(?:\.[0-9]+)?|[一二三四五六七八九十百两半零]+)\s?(?:克|"
    r"钱|两|G\b|G|毫升|片|粒|丸|枚|只|条|袋|斤)"
)
_BEFORE_HERB = re.compile(
    "(?:用|加|减|去|配|开|含|入|服|吃|喝|煎|炒|炙|生|制|重用|轻用|佐|君|臣|味|药|方|"
    "汤|散|以|取|合|泡|炖|黑|怀|川|云|把)$"
)
_AFTER_HERB = re.compile(
    "补|益|粉|水|汤|颗粒|注射液|切|后下|先煎|为君|为臣|为佐|性|味|归|温|量|的用量|炖|"
    "泡|煮|配|[、，](?:白术|当归|党参|茯苓|甘草|川芎)|汤|散|丸|饮|膏|这味|这个药"
)
_BEFORE_PERSON = re.compile(
    "(?:叫|喊|给|跟|和|问|请|让|找|带|陪|接|扶|患者|病人|姓名|名字|名字是|我是|是|他|她|您|您好|"
    "你好|儿子|女儿|老伴|爱人|丈夫|妻子|母亲|父亲|妈妈|爸爸|妈|爸|媳妇|老公|老婆|哥哥|"
    "姐姐|弟弟|妹妹|家属|陪|女婿|孙子|孙女|外孙|姓|名|对|为|由|找|见|下一位|下一个|叫做|"
    "同志|轮到|通知|叫一下|孩子|本人)"
    r"(?:是|叫|:|：|，|,|\s|、)?$|^$|[，,。！!？?；;：:\n\s]$"
)
_AFTER_PERSON = re.compile(
    "(?:先生|女士|小姐|同志|阿姨|大爷|您|你|我|他|她|来|说|今年|今天|的药|的病|的号|"
    "的方|的家属|的脉|的单子|同学|在吗|在不在|请|啊|呀|呢|到了|进来|那个|回来|走了|去|昨天|"
    r"上次|怎|哪|是(?:我|他|她|您|患者|病人)|$|[，,。！!？?；;：:\n\s])"
)
# Whoever is registered is meant where 小王 or 阿英 does, has or feels something, even if it is a word: 老黄今天好多了.
_BEFORE_NICKNAME = re.compile(
    f"(?:{_BEFORE_PERSON.pattern}|(?:上次|上回|那次|这次|今天|昨天|前天|刚才|上周|上礼拜|上个?月|前几天|那天|早上|晚上|昨晚|这个|那个|我们|咱们?|们家|说|看|像|连|让|当时|后来|现在|因为|比|[叫喊]我|同事|朋友|邻居|同学|老乡)$)"
)
_AFTER_NICKNAME = re.compile(
    f"(?:{_AFTER_PERSON.pattern}|[吃喝睡说在有没还就也都又比是从拖病疼觉打爱老总先咳吐哭想能会要不该得扎针灸住家这那一前后早晚昨今]|现在|最近|以前|以后|之前|自己|小时候|发烧|上午|下午|微信|电话|手机|的[身情舌脉血化检]|的?(?:{KIN}))"
)
# Behind these nobody but a person is called small or old: 给小孙扎针.
_TO_SOMEBODY = re.compile("(?:给|让|跟|请|陪|扶|找|问|叫|喊|下一个|下一位|同事|我朋友|邻居)$")
_CALL = re.compile(
    r"[啊呀哎呐]?[，,\s]?(?:你|您|坐|请|把|来|躺|进来|帮|快|张嘴|张开|伸|听|别|乖|抬|不[许能要])"
)
_TITLE = re.compile(f"(?!总[是共计想觉之])(?:{TITLES})")
_HESITATION = r"[\s，,、。…嗯啊呃额]{1,4}"
_DOT = re.compile("[·・•]")
_GAP = re.compile(r"[\s·・,，、…]{0,2}")


@dataclass(frozen=True)
class RegisteredName:
    """A name from the encrypted consultation record."""

    text: str
    relation: Relation = "patient"


@dataclass(frozen=True)
class _Name:
    surname: str
    given: str
    is_term: bool


def find_names(text: str, names: Sequence[RegisteredName], terms: Collection[str] = ()) -> list[TextSpan]:
    """Registered names in a folded ``text``.

    ``terms`` are folded words of medicine (herbs, formulas, points) in which a name may be hidden without being meant.
    """
    if not names:
        return []
    page = _Page(text, frozenset(terms))
    out: list[TextSpan] = []
    for registered in names:
        name = _parse(registered.text, page.terms)
        if name is None:
            continue
        out += [*_full(page, name), *_spelled_in_letters(text, name)]
        if parts := _DOT.split(registered.text)[1:]:
            # 阿依努尔·买买提 has no surname; she is called by the first part.
            parsed = (_parse(part, page.terms) for part in (_DOT.split(registered.text)[0], *parts))
            out += [span for part in parsed if part is not None for span in _full(page, part)]
        else:
            out += [*_given(page, name), *_called(page, name)]
    return out


class _Page:
    """A text with the sounds of its characters and the words that a name must not be cut out of."""

    def __init__(self, text: str, terms: frozenset[str]) -> None:
        self.text, self.terms = text, terms
        self.sounds = [_sounds(character) for character in text]
        self.words = [(start, end) for start, end in _words_in(text, terms)]
        self.term_places = [(start, end) for start, end in self.words if text[start:end] in terms]

    def cuts_word(self, start: int, end: int, *, itself: bool = True) -> bool:
        """Whether a word holds ``start`` to ``end`` or reaches across one of its ends.

        A word from ``start`` to ``end`` counts if ``itself`` does.
        """
        return any(
            first < end
            and last > start
            and not (start <= first and last <= end and ((first, last) != (start, end) or not itself))
            for first, last in self.words
        )

    def begins_word(self, start: int, end: int) -> bool:
        """Whether ``start`` to ``end`` is how a longer word begins."""
        return any(first == start and last > end for first, last in self.words)

    def crosses(self, place: int) -> bool:
        """Whether a word begins before ``place`` and ends after it."""
        return any(first < place < last for first, last in self.words)

    def in_term(self, start: int, end: int) -> bool:
        return any(first <= start and end <= last for first, last in self.term_places)

    def means_person(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 6) : start], self.text[end : end + 6]
        return _BEFORE_PERSON.search(before) is not None and _AFTER_PERSON.match(after) is not None

    def means_nickname(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 6) : start], self.text[end : end + 6]
        return _BEFORE_NICKNAME.search(before) is not None and _AFTER_NICKNAME.match(after) is not None

    def begins_clause(self, start: int) -> bool:
        """Whether nothing, or a word that calls or means a person, stands in front."""
        return _BEFORE_PERSON.search(self.text[max(0, start - 6) : start]) is not None

    def is_addressed(self, start: int, end: int) -> bool:
        """Somebody is called: 小白啊, 小区你坐, 哎呀建国你来."""
        return (start == 0 or self.text[start - 1] in "，,。！!？?；;：:\n 啊呀哎哟嗨喂诶嗯哦好") and (
            _CALL.match(self.text, end) is not None
        )

    def means_herb(self, start: int, end: int) -> bool:
        """Something that is weighed, prepared or listed with other remedies."""
        beside = any(
            0 < end2 - start + 4
            and start2 - end < 3
            and (start2, end2) != (start, end)
            and not (start2 < end and end2 > start)
            and start - end2 < 3
            for start2, end2 in self.term_places
        )
        return bool(
            beside
            or _DOSE.match(self.text, end)
            or _AFTER_HERB.match(self.text, end)
            or _BEFORE_HERB.search(self.text[max(0, start - 3) : start])
        )


def _parse(registered: str, terms: frozenset[str]) -> _Name | None:
    text = re.sub(r"[\s·・]", "", fold(registered))
    if len(text) < 2:
        return None
    size = 2 if text[:2] in COMPOUND_SURNAMES and len(text) > 2 else 1
    return _Name(text[:size], text[size:], text in terms)


def _full(page: _Page, name: _Name) -> Iterator[TextSpan]:
    whole = name.surname + name.given
    begun = re.compile(f"(?:{re.escape(name.surname)}(?:{re.escape(name.given[0])})?{_HESITATION})+$")
    for start, end, exact in _places(page, whole, surname=len(name.surname)):
        if exact and _is_meant(page, name, start, end):
            doubtful = name.is_term or whole in phrases_dict or whole in WORDS
            tried = begun.search(page.text[max(0, start - 12) : start])
            start -= len(tried[0]) if tried else 0
            yield TextSpan("name", start, end, 0.6 if doubtful else 1.0, "registered-name")
        elif not exact and _sounds_meant(page, name, start, end):
            yield TextSpan("name", start, end, 0.7, "sounds-like-registered-name")


def _spelled_in_letters(text: str, name: _Name) -> Iterator[TextSpan]:
    """The name in Pinyin, in either order: Zhao Shulan, Shu Lan Zhao."""
    surname, given = (
        r"\s?".join(f"(?:{'|'.join(sorted(_name_sounds(character, inside)))})" for character in part).upper()
        for part, inside in ((name.surname, True), (name.given, False))
    )
    if re.search("[A-Z]", surname) and re.search("[A-Z]", given):
        for match in re.finditer(rf"(?<![A-Z])(?:{surname}[\s,]?{given}|{given}\s{surname})(?![A-Z])", text):
            yield TextSpan("name", match.start(), match.end(), 0.8, "name-in-letters")


def _is_meant(page: _Page, name: _Name, start: int, end: int) -> bool:
    """Whether what is written like the name is meant as one: 患者黄芪 is, 黄芪十五克 is not."""
    whole = name.surname + name.given
    if page.in_term(start, end) and page.text[start:end] not in page.terms:
        return False
    if _called_by(page, start, end):
        return True
    if name.is_term or whole in phrases_dict or whole in WORDS:
        return not page.means_herb(start, end)
    return not (len(whole) == 2 and _DOSE.match(page.text, end)) or page.means_person(start, end)


def _called_by(page: _Page, start: int, end: int) -> bool:
    """Somebody is announced or addressed: 患者黄芪, 黄芪女士."""
    return bool(
        re.search(
            r"(?:患者|病人|叫|姓名|名字|我是|您是|你是|这位是|下一位)(?:是|叫|:|：|，|\s)?$",
            page.text[max(0, start - 6) : start],
        )
        or re.match(TITLES + "|您|你|请进|来了|今年", page.text[end:])
    )


def _sounds_meant(page: _Page, name: _Name, start: int, end: int) -> bool:
    """Whether what only sounds like the name is meant as one."""
    said = page.text[start:end]
    if (
        page.in_term(start, end)
        or len(said) < 3
        and page.means_herb(start, end)
        and page.cuts_word(start, end)
    ):
        return False
    if _DOSE.match(page.text, end) or said in PHYSICIANS and not _called_by(page, start, end):
        return False
    if len(name.surname) + len(name.given) >= 3:
        if page.means_person(start, end):
            return True
        binds = bool(set(said) & FUNCTION_CHARACTERS)
        return (
            said not in page.terms
            and not (page.cuts_word(start, end) and (binds or page.crosses(start) and page.crosses(end)))
            and not (binds and said[0] not in SURNAMES and said[:2] not in COMPOUND_SURNAMES)
        )
    if page.means_person(start, end) and not page.cuts_word(start, end):
        return True
    if page.begins_clause(start) and not page.cuts_word(start, end):
        return not set(said) & FUNCTION_CHARACTERS
    return said[0] in SURNAMES and not page.cuts_word(start, end) and not set(said) & FUNCTION_CHARACTERS


def _given(page: _Page, name: _Name) -> Iterator[TextSpan]:
    """The given name alone, where it has two characters."""
    if len(name.given) != 2:
        return
    is_word = (
        name.given in WORDS
        or name.given in page.terms
        or name.given in phrases_dict
        and not GIVEN_CHARACTERS.issuperset(name.given)
    )
    for start, end, exact in _places(page, name.given):
        if page.in_term(start, end) or (page.means_herb(start, end) and is_word):
            continue
        person = (
            page.means_person(start, end)
            or page.is_addressed(start, end)
            or _TITLE.match(page.text, end) is not None
        )
        person = person or exact and page.means_nickname(start, end)
        if exact and (person or (not is_word and not page.cuts_word(start, end, itself=False))):
            yield TextSpan("name", _from_surname(page, start), end, 0.8, "given-name")
        elif (
            not exact
            and person
            and not set(page.text[start:end]) & FUNCTION_CHARACTERS
            and not page.cuts_word(start, end)
            and not _DOSE.match(page.text, end)
        ):
            yield TextSpan("name", start, end, 0.5, "sounds-like-given-name")


def _from_surname(page: _Page, start: int) -> int:
    """Where a name begins whose surname was heard as another one: 沈守仁 for 单守仁."""
    before = page.text[max(0, start - 1) : start]
    return start - 1 if before and before in SURNAMES and not page.crosses(start - 1) else start


def _called(page: _Page, name: _Name) -> Iterator[TextSpan]:
    """小王, 老王, 王阿姨, 我姓王; 阿英 and 小英 for the last character of a given name."""
    for start, end, exact in _places(page, name.surname, surname=len(name.surname), fuzzy=False):
        said = page.text[start:end]
        binds = bool(set(said) & FUNCTION_CHARACTERS)
        sure = exact or (not binds and (len(said) > 1 or said in SURNAMES))
        title = _TITLE.match(page.text, end)
        if (
            title
            and not binds
            and not page.crosses(start)
            and page.text[start - 2 : start + 1] not in PHYSICIANS
            and (sure or page.means_person(start, title.end()))
        ):
            yield TextSpan("name", start, title.end(), 0.8 if sure else 0.5, "surname-and-title")
        small = sure and page.text[start - 1 : start] in tuple(_SMALL)
        if small and _is_nickname(page, start - 1, end, exact):
            yield TextSpan("name", start - 1, end, 0.6, "nickname")
        if sure and page.text[start - 1 : start] == "姓":
            yield TextSpan("name", start, end, 0.6, "surname")
    last = re.escape(name.given[-1])
    for match in re.finditer(f"[小阿]{last}|{last}{last}(?![的地])", page.text):
        called = page.means_nickname(*match.span()) or page.is_addressed(*match.span())
        if called and not page.cuts_word(*match.span(), itself=False):
            yield TextSpan("name", match.start(), match.end(), 0.5, "nickname")


def _is_nickname(page: _Page, start: int, end: int, exact: bool) -> bool:
    if page.is_addressed(start, end):
        return True
    is_word = page.cuts_word(start, end)
    if exact and _TO_SOMEBODY.search(page.text[max(0, start - 4) : start]):
        return not page.begins_word(start, end)
    if not exact:
        return page.means_person(start, end) and not is_word
    if page.cuts_word(start, end, itself=False):
        return False
    return page.means_nickname(start, end) or not (is_word or page.means_herb(start, end))


def _places(page: _Page, name: str, surname: int = 0, fuzzy: bool = True) -> Iterator[tuple[int, int, bool]]:
    """Where ``name`` is written or sounds, and whether it is written so; blanks may part its characters."""
    readings = [_name_sounds(character, place < surname) for place, character in enumerate(name)]
    for start in range(len(page.text)):
        at, exact, alike = start, True, 0
        for place, character in enumerate(name):
            if place:
                at = _skip(page.text, at)
            if at >= len(page.text):
                break
            if page.text[at] != character:
                exact = False
                if not page.sounds[at] & readings[place]:
                    if not fuzzy or not _blurred(page.sounds[at]) & _blurred(readings[place]):
                        break
                    alike += 1
            at += 1
        else:
            if alike <= (1 if len(name) > 2 else 0):
                yield start, at, exact


def _skip(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def _words_in(text: str, terms: frozenset[str]) -> Iterator[tuple[int, int]]:
    longest = max(8, max(map(len, terms), default=0))
    for start in range(len(text)):
        for size in range(2, min(longest, len(text) - start) + 1):
            word = text[start : start + size]
            if word in phrases_dict or word in WORDS or word in terms:
                yield start, start + size


@lru_cache(maxsize=20_000)
def _sounds(character: str) -> frozenset[str]:
    """Every reading of a character without its tone; empty where it is no Chinese character."""
    if not "\u3400" <= character <= "\u9fff":
        return frozenset()
    return frozenset(pinyin(character, style=Style.NORMAL, heteronym=True)[0])


def _name_sounds(character: str, in_surname: bool) -> frozenset[str]:
    special = SURNAME_SOUNDS.get(character) if in_surname else None
    return special or _sounds(character)


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
