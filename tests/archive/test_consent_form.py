from __future__ import annotations

import hashlib
import string
import tomllib

import pytest

from archive.consent_form import WORDING, consent_form
from archive.terms import Kind, Purpose

FORMS = tomllib.loads(WORDING.read_text("utf-8"))["form"]
PLACES = {"base": "示范基地", "expert": "王{大}夫", "visit": "20260301-ABCDEF", "days": 1096}


def test_every_kind_of_visit_has_a_form_in_both_languages_with_every_purpose() -> None:
    for kind in Kind:
        for language in ("zh-CN", "en"):
            form = consent_form(kind, language, **PLACES)  # type: ignore[arg-type]
            assert list(form.purposes) == [str(purpose) for purpose in Purpose]
            assert all(len(text) > 20 for text in form.purposes.values())


def test_versions_are_unique_and_both_languages_have_the_same_parts_and_places() -> None:
    assert len({form["version"] for form in FORMS}) == len(FORMS)
    for form in FORMS:
        chinese, english = form["zh-CN"], form["en"]
        assert chinese.keys() == english.keys() and chinese["purposes"].keys() == english["purposes"].keys()
        for part, text in chinese.items():
            if isinstance(text, str):
                assert _places(text) == _places(english[part]), (form["version"], part)


@pytest.mark.parametrize("kind", Kind)
def test_the_whole_text_holds_every_word_that_is_shown_and_what_was_ticked(kind: Kind) -> None:
    form = consent_form(kind, "zh-CN", **PLACES)  # type: ignore[arg-type]
    text = form.whole(("record", "research"), disguise_voice=True)
    for part in (form.title, form.intro, form.protection, form.rights, form.signing):
        assert part in text
    for purpose, wording in form.purposes.items():
        assert f"{'☑' if purpose in ('record', 'research') else '☐'} {wording}" in text
    assert f"☑ {form.voice}" in text and f"☐ {form.voice}" in form.whole(("record",), disguise_voice=False)
    assert "王{大}夫" in text and "20260301-ABCDEF" in text and "1096" in text


def test_each_purpose_is_kept_with_its_own_text_and_hash() -> None:
    form = consent_form(Kind.CONSULTATION, "en", **PLACES)  # type: ignore[arg-type]
    parts = form.parts(("record",))
    assert {purpose for purpose, part in parts.items() if part["agreed"]} == {"record"}
    for purpose, part in parts.items():
        assert part["text"] == form.purposes[purpose]
        assert part["sha256"] == hashlib.sha256(part["text"].encode()).hexdigest()


def test_a_demonstration_and_a_discussion_ask_whoever_is_seen_or_heard() -> None:
    texts = {kind: consent_form(kind, "en", **PLACES).intro for kind in Kind}  # type: ignore[arg-type]
    assert "Everybody who will be seen or heard" in texts[Kind.DEMONSTRATION]
    assert texts[Kind.DEMONSTRATION] == texts[Kind.DISCUSSION] != texts[Kind.CONSULTATION]


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
