"""How people are called who are registered: 小王, 老王, 王阿姨, 我姓王, 秀英, 阿英."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pypinyin.phrases_dict import phrases_dict

from processing.name_context import DOSE, TITLE, TO_SOMEBODY, Page
from processing.name_words import FUNCTION_CHARACTERS, GIVEN_CHARACTERS, PHYSICIANS, SURNAMES, WORDS
from processing.textspan import TextSpan

_SMALL = "小老阿"


def find_given(page: Page, given: str) -> Iterator[TextSpan]:
    """The given name alone, where it has two characters."""
    if len(given) != 2:
        return
    is_word = (
        given in WORDS
        or given in page.terms
        or given in phrases_dict
        and not GIVEN_CHARACTERS.issuperset(given)
    )
    for start, end, exact in page.places(given):
        if page.in_term(start, end) or (page.means_herb(start, end) and is_word):
            continue
        person = (
            page.means_person(start, end)
            or page.is_addressed(start, end)
            or TITLE.match(page.text, end) is not None
        )
        person = person or exact and page.means_nickname(start, end)
        if exact and (person or (not is_word and not page.cuts_word(start, end, itself=False))):
            yield TextSpan("name", _from_surname(page, start), end, 0.8, "given-name")
        elif (
            not exact
            and person
            and not set(page.text[start:end]) & FUNCTION_CHARACTERS
            and not page.cuts_word(start, end)
            and not DOSE.match(page.text, end)
        ):
            yield TextSpan("name", start, end, 0.5, "sounds-like-given-name")


def _from_surname(page: Page, start: int) -> int:
    """Where a name begins whose surname was heard as another one: 沈守仁 for 单守仁."""
    before = page.text[max(0, start - 1) : start]
    return start - 1 if before and before in SURNAMES and not page.crosses(start - 1) else start


def find_called(page: Page, surname: str, given: str) -> Iterator[TextSpan]:
    """小王, 老王, 王阿姨, 我姓王; 阿英 and 小英 for the last character of a given name."""
    for start, end, exact in page.places(surname, surname=len(surname), fuzzy=False):
        said = page.text[start:end]
        binds = bool(set(said) & FUNCTION_CHARACTERS)
        sure = exact or (not binds and (len(said) > 1 or said in SURNAMES))
        title = TITLE.match(page.text, end)
        if (
            title
            and not binds
            and (not page.crosses(start) or exact and page.ends_word(start))
            and PHYSICIANS.isdisjoint((page.text[start - 2 : start + 1], page.text[start : start + 3]))
            and (sure or page.means_person(start, title.end()))
        ):
            yield TextSpan("name", start, title.end(), 0.8 if sure else 0.5, "surname-and-title")
        small = sure and page.text[start - 1 : start] in tuple(_SMALL)
        if small and _is_nickname(page, start - 1, end, exact):
            yield TextSpan("name", start - 1, end, 0.6, "nickname")
        if sure and page.text[start - 1 : start] == "姓":
            yield TextSpan("name", start, end, 0.6, "surname")
    last = re.escape(given[-1])
    for match in re.finditer(f"[小阿]{last}|{last}{last}(?![的地])", page.text):
        called = page.means_nickname(*match.span()) or page.is_addressed(*match.span())
        if called and not page.cuts_word(*match.span(), itself=False):
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
