"""The transcript's written forms."""

from __future__ import annotations

import io
import json

import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from processing.transcript import (
    SPEAKERS,
    Line,
    Transcript,
    Turn,
    Word,
    to_rttm,
    to_text,
    to_webvtt,
    wrap,
)

TIMES = st.floats(0, 20_000, allow_nan=False).map(lambda value: round(value, 3))
SPOKEN = st.text("气血两虚，。！ab <>&-\n1", min_size=1, max_size=80).filter(lambda text: text.strip() != "")


@st.composite
def lines(draw: st.DrawFn) -> Line:
    start_s, length_s = draw(TIMES), draw(st.floats(0.1, 30).map(lambda value: round(value, 3)))
    text = draw(SPOKEN)
    step_s = length_s / len(text)
    words = tuple(
        Word(character, round(start_s + at * step_s, 3), round(start_s + (at + 1) * step_s, 3), 0.5)
        for at, character in enumerate(text)
    )
    role = draw(st.sampled_from(sorted(SPEAKERS)))
    return Line(role, start_s, start_s + length_s, text, words if draw(st.booleans()) else ())


TRANSCRIPTS = st.lists(lines(), max_size=8).map(lambda some: Transcript("zh", "demo", tuple(some)))


def letters(text: str) -> str:
    return "".join(text.split())


@given(TRANSCRIPTS)
def test_captions_survive_another_reader_with_every_character(transcript: Transcript) -> None:
    captions = list(webvtt.from_buffer(io.StringIO(to_webvtt(transcript))))
    starts = [caption.start_in_seconds for caption in captions]
    assert starts == sorted(starts)
    for caption in captions:
        assert caption.voice in SPEAKERS.values()
        rows = plain(caption.raw_text).split("\n")
        assert len(rows) <= 2
        assert all(len(row) <= 18 for row in rows)
    for role, name in SPEAKERS.items():
        shown = "".join(letters(plain(c.raw_text)) for c in captions if c.voice == name)
        said = "".join(letters(line.text) for line in transcript.lines if line.role == role)
        assert sorted(shown) == sorted(said)


def plain(raw: str) -> str:
    text = raw.split(">", 1)[1].removesuffix("</v>")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@given(TRANSCRIPTS)
def test_no_cue_is_negative_or_empty_in_time(transcript: Transcript) -> None:
    for row in to_webvtt(transcript).splitlines():
        if " --> " in row:
            start, end = row.split(" --> ")
            assert "00:00:00.000" <= start < end or len(start) > 12


@given(TRANSCRIPTS)
def test_a_transcript_comes_back_from_json(transcript: Transcript) -> None:
    assert Transcript.from_dict(json.loads(json.dumps(transcript.to_dict()))) == transcript


@given(st.text("气血两虚，。！ab <>&-\n1", max_size=120), st.integers(1, 30))
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert letters("".join(rows)) == letters(text)
    assert all(0 < len(row) <= width for row in rows)


def test_rows_end_where_clauses_end() -> None:
    assert wrap("这是气血两虚，治法是补气养血，可以用八珍汤，先喝七天。", 18) == [
        "这是气血两虚，治法是补气养血，",
        "可以用八珍汤，先喝七天。",
    ]
    assert wrap("He began a confused complaint against the wizard", 18) == [
        "He began a",
        "confused complaint",
        "against the wizard",
    ]


def test_a_long_line_becomes_cues_on_the_times_of_its_own_words() -> None:
    text = "最近总是头晕没有力气晚上睡不好，胃口不好手脚怕冷还有咳嗽痰多，医生这个病严重吗，要不要紧呢。"
    words = tuple(Word(character, 10 + at * 0.2, 10.2 + at * 0.2, 0.9) for at, character in enumerate(text))
    vtt = to_webvtt(Transcript("zh", "demo", (Line("patient", 10.0, 10 + 0.2 * len(text), text, words),)))
    first, second = webvtt.from_buffer(io.StringIO(vtt))
    assert first.text == "最近总是头晕没有力气晚上睡不好，\n胃口不好手脚怕冷还有咳嗽痰多，"
    assert first.end_in_seconds == pytest.approx(second.start_in_seconds, abs=1)
    assert vtt.count("<v 患者>") == 2


def test_text_cannot_break_out_of_its_cue() -> None:
    nasty = "a --> b <script> & </v>\n\n00:00.000 --> 09:00.000"
    vtt = to_webvtt(Transcript("zh", "demo", (Line("expert", 0.0, 9.0, nasty),)))
    assert vtt.count("-->") == len(list(webvtt.from_buffer(io.StringIO(vtt))))
    assert "<script>" not in vtt


def test_rttm_has_ten_fields_a_turn_in_order() -> None:
    rows = to_rttm([Turn("patient", 2.0, 3.5), Turn("expert", 0.5, 1.25)], "a b.wav").splitlines()
    assert rows[0] == "SPEAKER a_b.wav 1 0.500 0.750 <NA> <NA> expert <NA> <NA>"
    assert [len(row.split()) for row in rows] == [10, 10]


def test_plain_text_tells_time_and_speaker() -> None:
    said = Transcript("zh", "demo", (Line("patient", 62.4, 64.0, "三个月了"),))
    assert to_text(said) == "[00:01:02] 患者：三个月了\n"
    assert to_webvtt(Transcript("zh", "demo")) == "WEBVTT\n"
