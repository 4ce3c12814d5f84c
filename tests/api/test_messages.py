from __future__ import annotations

import datetime as dt
import re
import string
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from api.messages import LANGUAGES, Language, as_language, load_messages, read_texts
from archive.rooms import AgentState
from archive.terms import Finding, Kind, Purpose, Role, State, Topic
from config.errors import ChildTimedOut, ConsentExpired, NotFound, YianError, error_kinds
from processing.plan import STEPS
from processing.suspects import Kind as MomentKind

API = Path(__file__).parents[2] / "api"
# As the cleaning of attachments writes them.
CLEANERS = [
    *(API.parent / "archive").glob("*.py"),
    API / "actions" / "attachments.py",
    API / "routes" / "attachments.py",
    API / "commands" / "attachment.py",
]
WHYS = {why for path in CLEANERS for why in re.findall(r'why="([a-z-]+)"', path.read_text())}
CONCERNS = {
    "picture",
    "pdf",
    *re.findall(r'found\.append\("([a-z-]+)"\)', (API.parent / "archive" / "dicom.py").read_text()),
}
# Keys that are put together at run time, by the values that can come.
COMPOSED = {
    "state.": [str(state) for state in State],
    "role.": [str(role) for role in Role],
    "kind.": [str(kind) for kind in Kind],
    "purpose.": [str(purpose) for purpose in Purpose],
    "step.": [step.name for step in STEPS],
    "finding.": [str(finding) for finding in Finding],
    "verdict.": ["pass", "fail", "resolved"],
    "vision.kind.": list(get_args(MomentKind)),
    "language.": list(LANGUAGES),
    "room.state.": [str(state) for state in AgentState],
    "room.verdict.": ["pass", "fail", "indeterminate"],
    "room.": ["light", "sound"],
    "attachment.type.": [str(topic) for topic in Topic],
    "attachment.form.": ["jpeg", "png", "pdf", "dicom"],
    "concern.": sorted(CONCERNS),
    "why.": sorted(WHYS),
    "problem.": [str(kind.status) for kind in error_kinds().values()] + ["405", "413"],
}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys_and_the_same_places_to_fill() -> None:
    chinese, english = read_texts("zh-CN"), read_texts("en")
    assert chinese.keys() == english.keys()
    different = {key for key in english if places(chinese[key]) != places(english[key])}
    assert not different


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_says_what_failed_and_what_to_do(language: Language) -> None:
    texts = read_texts(language)
    wanted = {f"error.{code}{end}" for code in error_kinds() for end in ("", ".next")}
    assert not wanted - texts.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_the_pages_and_the_code_use_exists(language: Language) -> None:
    sources = [*API.rglob("*.py"), *(API / "templates").glob("*.html")]
    used = set()
    for path in sources:
        used.update(re.findall(r"""(?:\bt|\.text)\(\s*["']([a-z][\w.-]*[\w-])["']""", path.read_text()))
    used.update(f"{prefix}{value}" for prefix, values in COMPOSED.items() for value in values)
    assert len(used) > 100
    assert not used - read_texts(language).keys()


def test_an_error_is_worded_with_its_data_and_lacking_data_is_a_dash() -> None:
    words = load_messages("en")
    assert words.error(NotFound(what="case", id="X1"))[0].endswith("(case X1).")
    assert "“hide faces”" in words.error(ChildTimedOut(step="blur"))[0]
    assert "–" in words.error(ConsentExpired())[0]
    assert words.error(YianError())[0] == words.text("error.internal")


def test_a_class_without_words_of_its_own_borrows_its_parents() -> None:
    kind = type("SomethingVeryNew", (NotFound,), {})
    try:
        words = load_messages("zh-CN")
        assert words.error(kind(what="case", id="1")) == words.error(NotFound(what="case", id="1"))
    finally:
        # A class that lives on would be one more error without words for the test above.
        del kind


def test_a_key_nobody_knows_is_shown_as_it_is() -> None:
    assert load_messages("zh-CN").text("no.such.key") == "no.such.key"


def test_times_are_shown_in_the_bases_zone() -> None:
    when = dt.datetime(2026, 3, 1, 22, 5, tzinfo=dt.UTC)
    zone = ZoneInfo("Asia/Shanghai")
    assert load_messages("zh-CN").time(when, zone) == "2026年3月2日 06:05"
    assert load_messages("en").time(when, zone) == "Mar 2, 2026 06:05"


@pytest.mark.parametrize(
    ("tag", "language"), [("zh-Hant-TW", "zh-CN"), ("en_GB", "en"), ("fr", None), ("", None), ("*", None)]
)
def test_language_tags_are_understood_by_their_first_part(tag: str, language: str | None) -> None:
    assert as_language(tag) == language
