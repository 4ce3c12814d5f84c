"""The registered names of patient and relatives, as they are written, as they sound, and as people are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pypinyin.phrases_dict import phrases_dict

from processing.name_context import DOSE, TO_SOMEBODY, Page
from processing.name_sounds import sounds_in_name, sounds_of
from processing.name_words import (
    COMPOUND_SURNAMES,
    FUNCTION_CHARACTERS,
    KIN,
    PHYSICIANS,
    SURNAMES,
    TITLES,
    WORDS,
)
from processing.nicknames import find_called, find_given
from processing.spoken import fold
from processing.textspan import TextSpan

Relation = Literal["patient", "relative"]

_HESITATION = r"[\s，,、。…嗯啊呃额]{1,4}"
_CALLED_TO = re.compile(
    r"请[到进来您]|在吗|在不在|[，,\s]?下一[位个]|的(?:药|号|单子|方子|家属|病历|处方|片子|化验|报告|快递)|"
    rf"是(?:我|他|她|您|你|患者|病人)们?家?的?(?:{KIN})"
)
_DOT = re.compile("[·・•]")


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
    page = Page(text, frozenset(terms))
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
            out += [*find_given(page, name.surname, name.given), *find_called(page, name.surname, name.given)]
    return out


def _parse(registered: str, terms: frozenset[str]) -> _Name | None:
    text = re.sub(r"[\s·・]", "", fold(registered))
    if len(text) < 2:
        return None
    size = 2 if text[:2] in COMPOUND_SURNAMES and len(text) > 2 else 1
    return _Name(text[:size], text[size:], text in terms)


def _full(page: Page, name: _Name) -> Iterator[TextSpan]:
    whole = name.surname + name.given
    begun = re.compile(f"(?:{re.escape(name.surname)}(?:{re.escape(name.given[0])})?{_HESITATION})+$")
    for start, end, exact in page.places(whole, surname=len(name.surname), near=True):
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
        r"\s?".join(
            f"(?:{'|'.join(sorted(sounds_in_name(character, inside) | sounds_of(character)))})"
            for character in part
        ).upper()
        for part, inside in ((name.surname, True), (name.given, False))
    )
    if re.search("[A-Z]", surname) and re.search("[A-Z]", given):
        for match in re.finditer(rf"(?<![A-Z])(?:{surname}[\s,]?{given}|{given}\s{surname})(?![A-Z])", text):
            yield TextSpan("name", match.start(), match.end(), 0.8, "name-in-letters")


def _is_meant(page: Page, name: _Name, start: int, end: int) -> bool:
    """Whether what is written like the name is meant as one: 患者黄芪 is, 黄芪十五克 is not."""
    whole = name.surname + name.given
    if page.in_term(start, end) and page.text[start:end] not in page.terms:
        return False
    if called_by(page, start, end):
        return True
    if name.is_term or whole in phrases_dict or whole in WORDS:
        return not page.means_herb(start, end)
    return not (len(whole) == 2 and DOSE.match(page.text, end)) or page.means_person(start, end)


def called_by(page: Page, start: int, end: int) -> bool:
    """Somebody is announced or addressed: 患者黄芪, 黄芪女士."""
    return bool(
        re.search(
            r"(?:患者|病人|叫|姓名|名字|我是|您是|你是|这位是|下一位)(?:是|叫|:|：|，|\s)?$",
            page.text[max(0, start - 6) : start],
        )
        or re.match(TITLES + "|您|你|请进|来了|今年", page.text[end:])
    )


def _sounds_meant(page: Page, name: _Name, start: int, end: int) -> bool:
    """Whether what only sounds like the name is meant as one."""
    said = page.text[start:end]
    if (
        page.in_term(start, end)
        or len(said) < 3
        and page.means_herb(start, end)
        and page.cuts_word(start, end)
    ):
        return False
    if DOSE.match(page.text, end) or said in PHYSICIANS and not called_by(page, start, end):
        return False
    if len(name.surname) + len(name.given) >= 3:
        if page.means_person(start, end) or called_by(page, start, end) and not page.cuts_word(start, end):
            return True
        binds = _binds(name, said)
        return (
            said not in page.terms
            and not (page.cuts_word(start, end) and (binds or page.crosses(start) and page.crosses(end)))
            and not (
                binds
                and said[0] not in SURNAMES
                and said[:2] not in COMPOUND_SURNAMES
                and not said.startswith(name.surname)
            )
        )
    if page.means_person(start, end) and not page.cuts_word(start, end):
        return True
    if not page.sounds[end - 1] & sounds_of(name.given[-1]) or not page.sounds[start] & sounds_in_name(
        name.surname, True
    ):
        return _is_called_nearly(page, name, start, end)
    if name.given == said[1:] and page.means_nickname(start, end) and not page.cuts_word(start, end):
        return not _binds(name, said)
    if _is_word_called(page, name, start, end):
        return True
    if page.begins_clause(start) and not page.cuts_word(start, end):
        return not _binds(name, said)
    surname = said[0] in SURNAMES or said[0] == name.surname
    return surname and not page.cuts_word(start, end) and not _binds(name, said)


def _binds(name: _Name, said: str) -> bool:
    """Whether ``said`` holds a character that binds a sentence together and that the name is not written with."""
    return not FUNCTION_CHARACTERS.isdisjoint(set(said) - set(name.surname + name.given))


def _is_word_called(page: Page, name: _Name, start: int, end: int) -> bool:
    """A word that sounds like the name and begins with a surname, where somebody is called: 万方请到三诊室."""
    said = page.text[start:end]
    return (
        said[0] in SURNAMES
        and said not in page.terms
        and not _binds(name, said)
        and not page.cuts_word(start, end, itself=False)
        and page.begins_clause(start)
        and (called_by(page, start, end) or _CALLED_TO.match(page.text, end) is not None)
    )


def _is_called_nearly(page: Page, name: _Name, start: int, end: int) -> bool:
    """Two characters of which one only nearly sounds so (程静 for 陈静), where a person does or is called something."""
    said = page.text[start:end]
    return (
        (said[0] in SURNAMES or page.begins_clause(start))
        and not _binds(name, said)
        and not page.cuts_word(start, end)
        and (
            page.means_nickname(start, end)
            or called_by(page, start, end)
            or TO_SOMEBODY.search(page.text[max(0, start - 4) : start]) is not None
        )
    )
