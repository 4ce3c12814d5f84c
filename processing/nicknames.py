"""How people are called who are registered: 小王, 老王, 王阿姨, 我姓王, 秀英, 阿英."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pypinyin.phrases_dict import phrases_dict

from processing.name_context import DOSE, TITLE, TO_SOMEBODY, Page
from processing.name_sounds import sounds_in_name, sounds_of
from processing.name_words import FUNCTION_CHARACTERS, GIVEN_CHARACTERS, PHYSICIANS, SURNAMES, WORDS
from processing.textspan import TextSpan

_SMALL = "小老阿"
# Behind a surname that is said to be the right one: 不是木子李，就是吕.
_THAT_IS_ALL = re.compile(r"[，,。！!？?\s]|$")
_IS_SURNAME = re.compile("就?是(?:我|我们|他|她|咱|俺|俺们)的?姓|姓(?:患者|病人|老人|女士|先生|男子|女子)")
# An old scholar or physician is called 冯老.
_VENERABLE = re.compile(r"老(?=今年|您|说|讲|来[了看]|当年|的(?:药|方|病|号|学生)|[，,。！!？?\s]|$)")
# 老罗头 is what neighbours call an old man; 老罗头疼 has a headache.
_OLD_MAN = re.compile("头儿?(?![疼痛晕昏发部皮上])")
# What those who know her call 罗秀兰: 兰姐, 兰姨, 兰子.
_FAMILIAR = "姐(?!姐)|哥(?!哥)|姨|婶|嫂|叔|妹子?|奶奶|阿姨|爷爷|子(?=[，,。啊呀你您来说])"
# A verb of one character that makes a word with a surname all the same: 看|顾大妈.
_TO_TITLED = tuple("看找问叫给跟让请带陪扶喊听")
# Behind a given name of one character nobody but a person can be meant: 让静自己讲, 我姓林，叫静.
_SINGLE_AFTER = re.compile(
    "阿姨|叔叔?|姨|[哥姐](?!姐)|说(?![明话实法到])|自己|讲(?!究)|[带送陪跟让问]我|什么时候|放学|一[起块]|[他她](?:妈|爸|奶奶|爷爷|姥姥|姥爷)|最近|昨[天晚]|今天|上次|这两天|(?<=[叫是][\u3400-\u9fff])(?=[，,。\\s]|$)"
)


def find_given(page: Page, surname: str, given: str) -> Iterator[TextSpan]:
    """The given name alone; of one character only where somebody is called by it or named as a relative."""
    if len(given) != 2:
        yield from _single(page, given)
        return
    is_word = (
        given in WORDS
        or given in page.terms
        or given in phrases_dict
        and not GIVEN_CHARACTERS.issuperset(given)
    )
    for start, end, exact in page.places(given):
        called = page.is_addressed(start, end) or TITLE.match(page.text, end) is not None
        called = called or page.follows_kin(start)
        is_term = page.in_term(start, end) and not (
            exact
            and page.text[start:end] in page.terms
            and (called or page.text[max(0, start - 1) : start] == "叫")
        )
        if is_term or page.means_herb(start, end) and is_word:
            continue
        person = called or page.means_person(start, end)
        person = person or exact and page.means_nickname(start, end)
        if exact and (person or (not is_word and not page.cuts_word(start, end, itself=False))):
            yield TextSpan("name", _from_surname(page, start, surname), end, 0.8, "given-name")
        elif (
            not exact
            and person
            and not set(page.text[start:end]) & FUNCTION_CHARACTERS
            and not page.cuts_word(start, end)
            and not DOSE.match(page.text, end)
        ):
            yield TextSpan("name", start, end, 0.5, "sounds-like-given-name")


def _single(page: Page, given: str) -> Iterator[TextSpan]:
    for match in re.finditer(re.escape(given), page.text):
        start, end = match.span()
        person = (
            page.is_addressed(start, end)
            or page.follows_kin(start)
            and page.means_nickname(start, end)
            or page.begins_clause(start)
            and _SINGLE_AFTER.match(page.text, end) is not None
        )
        if person and not page.cuts_word(start, end):
            yield TextSpan("name", start, end, 0.5, "given-name")


def _from_surname(page: Page, start: int, surname: str) -> int:
    """Where a name begins whose surname was heard as another one (沈守仁 for 单守仁) or as any word (为长河 for 魏长河)."""
    before = page.text[max(0, start - 1) : start]
    if not before or page.crosses(start - 1):
        return start
    alike = len(surname) == 1 and sounds_of(before) & sounds_in_name(surname, True)
    return start - 1 if before in SURNAMES or alike else start


def find_called(page: Page, surname: str, given: str) -> Iterator[TextSpan]:
    """小王, 老王, 王阿姨, 我姓王; 阿英 and 小英 for the last character of a given name."""
    for start, end, exact in page.places(surname, surname=len(surname), fuzzy=False):
        said = page.text[start:end]
        binds = bool(set(said) & FUNCTION_CHARACTERS)
        sure = exact or (not binds and (len(said) > 1 or said in SURNAMES))
        title = TITLE.match(page.text, end)
        if (
            title
            and (exact or not binds)
            and (
                not page.crosses(start)
                or exact
                and (page.ends_word(start) or page.text[start - 1 : start] in _TO_TITLED)
            )
            and PHYSICIANS.isdisjoint((page.text[start - 2 : start + 1], page.text[start : start + 3]))
            and (sure or page.means_person(start, title.end()))
        ):
            yield TextSpan("name", start, title.end(), 0.8 if sure else 0.5, "surname-and-title")
        small = sure and page.text[start - 1 : start] in tuple(_SMALL)
        if small and _is_nickname(page, start - 1, end, exact):
            yield TextSpan("name", start - 1, end, 0.6, "nickname")
        corrected = (
            exact and _THAT_IS_ALL.match(page.text, end) and page.text[max(0, start - 2) : start] == "就是"
        )
        corrected = corrected or exact and _IS_SURNAME.match(page.text, end) is not None
        if exact and page.text[start - 1 : start] == "老" and _OLD_MAN.match(page.text, end):
            yield TextSpan("name", start - 1, end + 1, 0.6, "nickname")
        if exact and page.begins_clause(start) and _VENERABLE.match(page.text, end):
            yield TextSpan("name", start, end + 1, 0.6, "surname-and-title")
        if sure and page.text[start - 1 : start] == "姓" or corrected:
            yield TextSpan("name", start, end, 0.6, "surname")
    last = re.escape(given[-1])
    for match in re.finditer(f"[小阿]{last}|{last}{last}(?![的地])", page.text):
        called = page.means_nickname(*match.span()) or page.is_addressed(*match.span())
        if called and not page.cuts_word(*match.span(), itself=False):
            yield TextSpan("name", match.start(), match.end(), 0.5, "nickname")
    for match in re.finditer(f"{last}(?:{_FAMILIAR})", page.text):
        if page.begins_clause(match.start()) and not page.cuts_word(*match.span()):
            yield TextSpan("name", match.start(), match.end(), 0.5, "nickname")


def _is_nickname(page: Page, start: int, end: int, exact: bool) -> bool:
    if page.is_addressed(start, end):
        return True
    if not exact:
        return page.means_person(start, end) and not page.cuts_word(start, end)
    compound = end - start > 2
    if compound or TO_SOMEBODY.search(page.text[max(0, start - 4) : start]):
        return not page.begins_word(start, end)
    if page.cuts_word(start, end, itself=False):
        return False
    return page.text[start:end] not in WORDS or page.means_nickname(start, end)
