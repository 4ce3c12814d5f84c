"""The transcript's model and its published form."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import TranscriptRejected
from processing import transcript as transcript_module
from processing.plain_text import to_text
from processing.rttm import to_rttm
from processing.transcript import (
    LOW_CONFIDENCE,
    Line,
    Suggestion,
    Transcript,
    Turn,
    Word,
    speaker_name,
    transcript_schema,
)
from tests.processing.spoken import over_transcripts

SCHEMA = json.loads((Path(transcript_module.__file__).parent / "transcript.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HEARD = Suggestion(0, 2, "皇旗", "黄芪", "herb", 1.0, 1.4, 0.7)
WORDS = (Word("皇", 1.0, 1.2, 0.4), Word("旗", 1.2, 1.4, 0.5), Word("。", 1.4, 1.4, 0.9))
FULL = Transcript(
    "zh",
    "demo",
    (Line("expert", 1.0, 1.5, "皇旗。", WORDS, confidence=0.45, low_confidence=True, suggestions=(HEARD,)),),
    unheard=(Turn("patient", 2.0, 3.0),),
    duration_s=4.0,
    notes=("speakers-unknown",),
)


def test_the_published_schema_is_that_of_the_model() -> None:
    assert transcript_schema() == SCHEMA, "run: python -m scripts.write_transcript_schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@over_transcripts
def test_every_transcript_is_valid_and_comes_back(transcript: Transcript) -> None:
    stored = json.loads(json.dumps(transcript.to_dict()))
    VALIDATOR.validate(stored)
    assert Transcript.from_dict(stored) == transcript


def test_a_transcript_with_everything_in_it_is_valid_and_comes_back() -> None:
    stored = json.loads(json.dumps(FULL.to_dict()))
    VALIDATOR.validate(stored)
    assert Transcript.from_dict(stored) == FULL
    assert not FULL.speakers_known
    assert Transcript("zh", "demo").speakers_known


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("lines", 0, "confidence"), 1.5),
        (("lines", 0, "start_s"), -1.0),
        (("lines", 0, "words", 0, "probability"), None),
        (("lines", 0, "words", 0, "original"), "张三"),
        (("unheard", 0, "end_s"), "late"),
        (("notes",), 3),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else repr(value),
)
def test_what_the_schema_does_not_allow_is_refused_without_quoting_it(
    path: tuple[Any, ...], value: Any
) -> None:
    stored = copy.deepcopy(json.loads(json.dumps(FULL.to_dict())))
    place = stored
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(stored)
    with pytest.raises(TranscriptRejected) as caught:
        Transcript.from_dict(stored)
    assert str(path[-1]) in str(caught.value)
    assert "张三" not in str(caught.value)


def test_confidence_weighs_every_word_by_its_length() -> None:
    turn = Turn("expert", 0.0, 2.0)
    line = Line.heard(turn, [Word("头", 0.0, 0.9, 0.9), Word("晕", 0.9, 1.0, 0.1)])
    assert line.confidence == pytest.approx(0.82)
    assert not line.low_confidence
    assert Line.heard(turn, [Word("头", 0.0, 0.1, 0.9), Word("晕", 0.1, 1.0, 0.1)]).low_confidence


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 3.0]), st.floats(0, 1)), max_size=8))
def test_confidence_lies_between_the_surest_and_the_least_sure_word(said: list[tuple[float, float]]) -> None:
    words = [Word("字", at, at + length_s, chance) for at, (length_s, chance) in enumerate(said)]
    line = Line.heard(Turn("expert", 0.0, 30.0), words)
    chances = [word.probability for word in words] or [0.0]
    assert min(chances) - 1e-4 <= line.confidence <= max(chances) + 1e-4
    assert line.low_confidence == (line.confidence < LOW_CONFIDENCE)


def test_a_line_keeps_its_name_when_the_turn_is_recognised_again() -> None:
    turn = Turn("patient", 12.345, 14.0)
    first, again = Line.heard(turn, WORDS), Line.heard(turn, WORDS[:1])
    assert first.id == again.id == "patient-12345"
    assert Line.heard(Turn("expert", 12.345, 14.0), WORDS).id != first.id


def test_speakers_are_called_by_name_or_number() -> None:
    called = [speaker_name(role) for role in ("expert", "speaker-2", "interpreter")]
    assert called == ["带教专家", "说话人 2", "interpreter"]
    assert speaker_name("expert", {"expert": "李敏"}) == "李敏"


def test_rttm_has_ten_fields_a_turn_in_order() -> None:
    rows = to_rttm([Turn("patient", 2.0, 3.5), Turn("expert", 0.5, 1.25)], "a b.wav").splitlines()
    assert rows[0] == "SPEAKER a_b.wav 1 0.500 0.750 <NA> <NA> expert <NA> <NA>"
    assert [len(row.split()) for row in rows] == [10, 10]


def test_plain_text_tells_time_speaker_and_doubt() -> None:
    sure, unsure = (
        Line("patient", 3662.4, 3664.0, "三个月\n了"),
        Line("expert", 1.0, 2.0, "皇旗", low_confidence=True),
    )
    assert to_text(Transcript("zh", "demo", (unsure, sure))) == (
        "[00:00:01] 带教专家（？）：皇旗\n[01:01:02] 患者：三个月 了\n"
    )
