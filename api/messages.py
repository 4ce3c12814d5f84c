"""The words: every text a person reads, by language, from the gettext catalogues under ``api/locale``."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.messages.pofile import read_po

from config.errors import Value, YianError

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
LOCALES = Path(__file__).parent / "locale"
# What a placeholder shows when the error at hand does not carry it.
UNKNOWN = "–"


class Messages:
    """The texts of one language. A key that it lacks is looked up in English, then shown as it is."""

    def __init__(self, language: Language, texts: dict[str, str], fallback: Messages | None = None) -> None:
        self.language = language
        self._texts = texts
        self._fallback = fallback

    def __contains__(self, key: str) -> bool:
        return key in self._texts or (self._fallback is not None and key in self._fallback)

    def text(self, key: str, **data: object) -> str:
        """The text under ``key`` with its ``{named}`` places filled from ``data``."""
        pattern = self._texts.get(key)
        if pattern is None:
            return self._fallback.text(key, **data) if self._fallback else key
        return pattern.format_map(_Filler(data))

    def error(self, error: YianError) -> tuple[str, str]:
        """(what failed and what is safe, what to do next); a class without words borrows its parent's."""
        for kind in type(error).__mro__:
            key = f"error.{getattr(kind, 'code', 'internal')}"
            if key in self:
                data = self._named(error.data)
                return self.text(key, **data), self.text(f"{key}.next", **data)
        return self.text("error.internal"), self.text("error.internal.next")

    def _named(self, data: dict[str, Value]) -> dict[str, Value]:
        """Values that have a name on screen, shown by it: the step ``blur`` is the text ``step.blur``."""
        keys = {name: f"{name}.{value}" for name, value in data.items()}
        return {name: self.text(keys[name]) if keys[name] in self else data[name] for name in data}

    def time(self, when: dt.datetime, zone: ZoneInfo) -> str:
        """A UTC time as it is read in ``zone``, to the minute."""
        local, locale = when.astimezone(zone), self.language.replace("-", "_")
        return f"{format_date(local, 'medium', locale=locale)} {local:%H:%M}"


class _Filler(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return UNKNOWN


def as_language(tag: str) -> Language | None:
    """The language we speak that a tag like ``zh-Hans-CN`` or ``en_GB`` asks for."""
    primary = tag.strip().replace("_", "-").split("-")[0].lower()
    return cast(Language | None, {"zh": "zh-CN", "en": "en"}.get(primary))


@cache
def load_messages(language: Language) -> Messages:
    """Every catalogue of a language, read once. Two catalogues with one key: the later file's counts."""
    fallback = None if language == "en" else load_messages("en")
    return Messages(language, read_texts(language), fallback)


def read_texts(language: Language) -> dict[str, str]:
    """Texts by key, of all ``*.po`` files of a language in the order of their names."""
    texts: dict[str, str] = {}
    for path in sorted((LOCALES / language).glob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file)
        texts.update({str(m.id): str(m.string) for m in catalog if m.id and m.string})
    return texts
