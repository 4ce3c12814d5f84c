from __future__ import annotations

from typing import Any

import pytest

from config.errors import EditsRejected
from processing.redact import apply_redaction, find_spans
from processing.redaction_edits import RedactionEdits, apply_redaction_edits, parse_redaction_edits
from tests.processing.test_redact import NAMES, line, talk

TALK = talk(
    line("patient", 10.0, "我叫王秀英，我家的狗叫旺财"),
    line("expert", 12.0, "好的"),
)


def edited(raw: Any) -> list[str]:
    spans = apply_redaction_edits(TALK, find_spans(TALK, NAMES), parse_redaction_edits(raw))
    return [each.text for each in apply_redaction(TALK, spans).lines]


def test_a_span_that_is_none_stays_audible_and_written() -> None:
    (span,) = find_spans(TALK, NAMES)
    assert edited({"version": 1, "keep": [span.id]}) == [each.text for each in TALK.lines]


def test_the_words_said_in_an_added_time_are_hidden() -> None:
    # 旺财: the eleventh and twelfth words.
    texts = edited({"add": [{"start_s": 12.05, "end_s": 12.35, "kind": "name", "role": "patient"}]})
    assert texts == ["我叫[姓名]，我家的狗叫[姓名]", "好的"]


def test_an_addition_for_nobody_in_particular_hides_everybody_in_that_time() -> None:
    texts = edited({"add": [{"start_s": 12.05, "end_s": 12.35, "kind": "address"}]})
    assert texts == ["我叫[姓名]，我家的狗叫[住址]", "[住址]"]


def test_an_added_span_lasts_as_long_as_was_asked_and_as_its_words() -> None:
    edits = parse_redaction_edits(
        {"add": [{"start_s": 11.95, "end_s": 12.9, "kind": "name", "role": "patient"}]}
    )
    added = apply_redaction_edits(TALK, [], edits)[0]
    assert (added.start_s, added.end_s) == (pytest.approx(11.8), pytest.approx(12.9))
    assert added.why == "added-by-reviewer"


def test_where_nothing_was_recognised_the_sound_alone_is_hidden() -> None:
    edits = parse_redaction_edits({"add": [{"start_s": 30.0, "end_s": 31.0, "kind": "phone"}]})
    (added,) = apply_redaction_edits(TALK, [], edits)
    assert (added.line, added.start_s, added.end_s, added.text) == (None, 30.0, 31.0, "")
    assert apply_redaction(TALK, [added]) == TALK


def test_a_decision_about_a_span_that_is_not_there_is_refused() -> None:
    with pytest.raises(EditsRejected, match="no span name-0123456789ab"):
        edited({"keep": ["name-0123456789ab"]})


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"version": 2}, "version"),
        ({"keep": ["王秀英"]}, "keep.0"),
        ({"add": [{"start_s": 2.0, "end_s": 1.0, "kind": "name"}]}, "end_s is not after start_s"),
        ({"add": [{"start_s": 1.0, "end_s": 2.0, "kind": "nickname"}]}, "add.0.kind"),
        ({"add": [{"start_s": -1.0, "end_s": 2.0, "kind": "name"}]}, "add.0.start_s"),
        ({"add": [{"start_s": 0.0, "end_s": float("nan"), "kind": "name"}]}, "add.0.end_s"),
        ({"remove": []}, "remove"),
        ([], "redaction"),
    ],
)
def test_a_document_that_cannot_be_meant_is_refused_with_the_place(raw: Any, problem: str) -> None:
    with pytest.raises(EditsRejected) as caught:
        parse_redaction_edits(raw)
    assert problem in str(caught.value.data["problem"])


def test_nothing_said_changes_nothing() -> None:
    spans = find_spans(TALK, NAMES)
    assert apply_redaction_edits(TALK, spans, RedactionEdits()) == spans
