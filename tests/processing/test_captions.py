"""Captions, as strict readers and another's reader see them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import webvtt
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from processing.captions import to_srt, to_webvtt
from processing.rows import COLUMNS, columns
from processing.transcript import SPEAKERS, UNSURE, Line, Transcript, Turn, Word, speaker_name
from tests.processing.caption_reader import Shown, read_srt, read_webvtt
from tests.processing.spoken import ROLES, over_transcripts, transcripts

NAMES = {role: speaker_name(role) for role in ROLES}


def spoken(role: str, start_s: float, text: str, per_s: float = 5.0, sure: float = 0.9) -> Line:
    """A line said evenly, a character a word."""
    words = [
        Word(character, round(start_s + at / per_s, 3), round(start_s + (at + 1) / per_s, 3), sure)
        for at, character in enumerate(text)
    ]
    return Line.heard(Turn(role, start_s, words[-1].end_s), words)


def shown(*lines: Line, duration_s: float = 0.0) -> list[Shown]:
    return read_webvtt(to_webvtt(Transcript("zh", "demo", lines, duration_s=duration_s)))


def letters(text: str) -> str:
    return "".join(text.split()).replace("\0", "\N{REPLACEMENT CHARACTER}")


def text_of(cue: Shown) -> str:
    text = letters("".join(cue.rows))
    return text.removeprefix(UNSURE) if "unsure" in cue.classes else text


def said_times(transcript: Transcript, role: str) -> list[tuple[int, int]]:
    """Start and end in ms of every visible character that ``role`` says, from the words."""
    times = []
    for line in sorted(transcript.lines, key=lambda line: line.start_s):
        for word in line.words if line.role == role else ():
            step_s = (word.end_s - word.start_s) / max(len(word.text), 1)
            for at, character in enumerate(word.text):
                if not character.isspace():
                    start_s = word.start_s + at * step_s
                    times.append((round(start_s * 1000), round((start_s + step_s) * 1000)))
    return times


def with_speech(transcript: Transcript, cues: Sequence[Shown]) -> list[tuple[Shown, int, int]]:
    """Every cue with the time in which its words are really said."""
    found = []
    for role, name in NAMES.items():
        times = said_times(transcript, role)
        done = 0
        for cue in (cue for cue in cues if cue.name == name):
            own = times[done : done + len(text_of(cue))]
            done += len(own)
            found.append((cue, own[0][0], own[-1][1]))
        assert done == len(times)
    return sorted(found, key=lambda item: (item[0].start_ms, item[0].end_ms))


@over_transcripts
def test_every_word_is_shown_once_and_in_order(transcript: Transcript) -> None:
    cues = read_webvtt(to_webvtt(transcript))
    for role, name in NAMES.items():
        lines = sorted(
            (line for line in transcript.lines if line.role == role), key=lambda line: line.start_s
        )
        assert "".join(text_of(cue) for cue in cues if cue.name == name) == letters(
            "".join(word.text for line in lines for word in line.words)
        )


@over_transcripts
def test_no_cue_has_more_than_two_rows_of_eighteen_columns(transcript: Transcript) -> None:
    for cue in read_webvtt(to_webvtt(transcript)):
        assert 1 <= len(cue.rows) <= 2
        assert all(0 < columns(row) <= COLUMNS for row in cue.rows)


@over_transcripts
def test_cues_of_one_speaker_never_overlap_and_none_leaves_the_recording(transcript: Transcript) -> None:
    cues = read_webvtt(to_webvtt(transcript))
    for name in NAMES.values():
        own = [cue for cue in cues if cue.name == name]
        assert all(cue.end_ms <= following.start_ms for cue, following in pairwise(own))
    if transcript.duration_s:
        assert all(cue.end_ms <= round(transcript.duration_s * 1000) for cue in cues)


@over_transcripts
def test_cues_of_two_speakers_overlap_only_where_their_speech_does(transcript: Transcript) -> None:
    timed = with_speech(transcript, read_webvtt(to_webvtt(transcript)))
    for (cue, start_ms, end_ms), (other, other_start_ms, other_end_ms) in combinations(timed, 2):
        if cue.name != other.name and min(cue.end_ms, other.end_ms) > max(cue.start_ms, other.start_ms):
            instant = start_ms == end_ms or other_start_ms == other_end_ms
            assert min(end_ms, other_end_ms) - max(start_ms, other_start_ms) >= (0 if instant else 1)


@over_transcripts
def test_cues_keep_to_the_times_of_their_words(transcript: Transcript) -> None:
    for cue, start_ms, end_ms in with_speech(transcript, read_webvtt(to_webvtt(transcript))):
        assert start_ms - 900 <= cue.start_ms <= start_ms + 401
        assert end_ms - 401 <= cue.end_ms


@over_transcripts
def test_a_cue_is_short_or_fast_only_where_the_speech_is_and_no_silence_follows(
    transcript: Transcript,
) -> None:
    timed = with_speech(transcript, read_webvtt(to_webvtt(transcript)))
    last_ms = round(transcript.duration_s * 1000)
    for cue, start_ms, end_ms in timed:
        length_ms, width = cue.end_ms - cue.start_ms, columns("".join(cue.rows))
        if length_ms >= 800 and width / length_ms * 1000 <= 9.001:
            continue
        assert end_ms - start_ms < max(800, width / 9 * 1000 + 1)
        following = [other.start_ms for other, *_ in timed if other.start_ms >= cue.end_ms]
        assert cue.end_ms in (min(following, default=None), last_ms)


@over_transcripts
def test_numbers_words_and_placeholders_are_never_torn_and_no_row_begins_with_a_closing_mark(
    transcript: Transcript,
) -> None:
    assume(not any(re.search(r"\S{14}", word.text) for line in transcript.lines for word in line.words))
    assume(not any(re.match(r"\s*[，。！？；：、）》…]", line.text) for line in transcript.lines))
    whole = re.compile(r"\[[^\[\]\s]{1,8}\]|[0-9]+(?:[.:/][0-9]+)*[%℃克天]?|[A-Za-z']+|[一二三十百]{2,}")
    for cue in read_webvtt(to_webvtt(transcript)):
        first, *second = cue.rows
        for row in second:
            tokens = [
                match for match in whole.finditer(first + row) if match.start() < len(first) < match.end()
            ]
            ascii_break = first[-1].isascii() and row[0].isascii()
            assert ascii_break or not [match for match in tokens if columns(match[0]) <= 14]
            torn = re.search(r"[，。！？；：、）》…]+$", first + row[0])
            assert row[0] not in "，。！？；：、）》…" or (torn and columns(torn[0]) > 1)


@over_transcripts
def test_webvtt_survives_another_reader(transcript: Transcript) -> None:
    content = to_webvtt(transcript)
    cues = read_webvtt(content)
    captions = list(webvtt.from_buffer(io.StringIO(content)))
    assert [caption.voice for caption in captions] == [cue.name for cue in cues]
    assert [round(caption.start_in_seconds * 1000) // 1000 for caption in captions] == [
        cue.start_ms // 1000 for cue in cues
    ]
    assert [len(caption.lines) for caption in captions] == [len(cue.rows) for cue in cues]


@over_transcripts
def test_srt_shows_what_webvtt_shows(transcript: Transcript) -> None:
    cues, subtitles = read_webvtt(to_webvtt(transcript)), read_srt(to_srt(transcript))
    narrow = str.maketrans("＜＞｛｝", "<>{}")
    for cue, subtitle in zip(cues, subtitles, strict=True):
        assert (cue.start_ms, cue.end_ms) == (subtitle.start_ms, subtitle.end_ms)
        assert subtitle.name == cue.name + (UNSURE if "unsure" in cue.classes else "")
        assert letters("".join(subtitle.rows)).translate(narrow) == text_of(cue).translate(narrow)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(transcripts(), min_size=2, max_size=3), st.sampled_from([0.0, 3700.0]))
def test_even_lines_that_overlap_themselves_make_valid_captions(
    several: list[Transcript], duration_s: float
) -> None:
    lines = tuple(replace(line, role="unknown") for some in several for line in some.lines)
    cues = read_webvtt(to_webvtt(Transcript("zh", "demo", lines, duration_s=duration_s)))
    assert all(cue.end_ms <= following.start_ms for cue, following in pairwise(cues))
    assert sorted("".join(map(text_of, cues))) == sorted(letters("".join(line.text for line in lines)))


@given(st.text(), st.text())
def test_any_name_and_any_text_make_one_valid_cue(name: str, text: str) -> None:
    line = Line("expert", 1.0, 4.0, text)
    cues = read_webvtt(to_webvtt(Transcript("zh", "demo", (line,)), {"expert": name}))
    expected = " ".join(name.split()).replace("\0", "\N{REPLACEMENT CHARACTER}") or SPEAKERS["unknown"]
    assert {cue.name for cue in cues} <= {expected}
    assert "".join(map(text_of, cues)) == letters(text)


def test_text_cannot_break_out_of_its_cue() -> None:
    nasty = "a --> b <script> & </v>\n\n00:00.000 --> 09:00.000\n<v 带教专家>&lt;"
    cues = shown(Line("expert", 0.0, 20.0, nasty))
    assert "".join(map(text_of, cues)) == letters(nasty)
    content = to_srt(Transcript("zh", "demo", (Line("expert", 0.0, 20.0, nasty),)))
    assert "".join(letters("".join(cue.rows)) for cue in read_srt(content)) == letters(nasty).translate(
        str.maketrans("<>", "＜＞")
    )


def test_a_long_line_becomes_cues_at_the_ends_of_clauses_on_the_times_of_its_words() -> None:
    text = "最近总是头晕没有力气晚上睡不好，胃口不好手脚怕冷还有咳嗽痰多，医生这个病严重吗，要不要紧呢。"
    cues = shown(spoken("patient", 10.0, text))
    assert all(row[-1] in "，。" for cue in cues for row in cue.rows)
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(10_000, 13_200), (13_200, 19_200)]


def test_rows_are_of_about_the_same_length_and_doses_stay_with_their_numbers() -> None:
    cues = shown(
        spoken(
            "expert", 0.0, "黄芪三十克当归十五克川芎十克白芍十二克熟地黄十五克党参二十克白术十五克茯苓十五克"
        )
    )
    assert [cue.rows for cue in cues] == [
        ["黄芪三十克当归十五克川芎十克", "白芍十二克熟地黄十五克"],
        ["党参二十克白术十五克茯苓十五克"],
    ]


def test_a_short_answer_stays_readable_and_covers_nobody_who_does_not_speak() -> None:
    long = "这个方子先吃七天，吃完以后再来看一次。"
    before, answer, after = shown(
        spoken("expert", 0.0, long), spoken("patient", 3.8, "嗯"), spoken("expert", 4.0, long)
    )
    assert answer.rows == ["嗯"]
    assert answer.end_ms - answer.start_ms >= 800
    assert before.end_ms <= answer.start_ms
    assert answer.end_ms <= after.start_ms


def test_a_short_word_shares_the_cue_of_the_same_speaker_only() -> None:
    assert [
        cue.rows for cue in shown(spoken("expert", 0.0, "好。"), spoken("expert", 0.45, "我看看舌头。"))
    ] == [["好。我看看舌头。"]]
    assert len(shown(spoken("patient", 0.0, "好。"), spoken("expert", 0.45, "我看看舌头。"))) == 2


def test_speakers_who_talk_at_once_are_shown_at_once() -> None:
    cues = shown(spoken("expert", 0.0, "请把舌头伸出来看看"), spoken("patient", 0.6, "现在就要伸出来吗"))
    assert [cue.name for cue in cues] == ["带教专家", "患者"]
    assert cues[1].start_ms < cues[0].end_ms


def test_the_last_words_of_a_recording_begin_earlier_rather_than_end_later() -> None:
    (cue,) = shown(spoken("expert", 9.6, "好的"), duration_s=10.0)
    assert (cue.start_ms, cue.end_ms) == (9_200, 10_000)


def test_what_was_heard_with_doubt_is_marked_for_eyes_and_for_style_sheets() -> None:
    said = Transcript("zh", "demo", (spoken("patient", 0.0, "吃了黄连", sure=0.2),))
    assert "<v.unsure 患者>（？）吃了黄连</v>" in to_webvtt(said)
    assert "患者（？）：吃了黄连" in to_srt(said)
    (caption,) = webvtt.from_buffer(io.StringIO(to_webvtt(said)))
    assert caption.voice == "患者"


def test_a_redacted_number_is_one_piece_even_in_a_crowded_row() -> None:
    for lead in range(30):
        cues = shown(spoken("patient", 0.0, "我" * lead + "的身份证是[身份证号]没错"))
        assert sum("[身份证号]" in row for cue in cues for row in cue.rows) == 1


def test_a_spoken_number_is_shown_while_it_is_said() -> None:
    line = spoken(
        "patient",
        5.0,
        "血压平时大概一百三十五左右，有时候头晕得厉害，吃了药会好一点，昨天早上量了是158/96，体温38.5℃。",
    )
    for number in ("一百三十五", "158/96", "38.5℃"):
        at = line.text.index(number)
        start_ms, end_ms = (
            round(time_s * 1000)
            for time_s in (line.words[at].start_s, line.words[at + len(number) - 1].end_s)
        )
        (cue,) = (cue for cue in shown(line) if any(number in row for row in cue.rows))
        assert cue.start_ms <= start_ms < end_ms <= cue.end_ms


def test_english_is_wrapped_between_words_at_half_the_width() -> None:
    cues = shown(
        spoken(
            "expert",
            0.0,
            "He began a confused complaint against the wizard who had vanished behind the curtain.",
            15,
        )
    )
    assert all(len(row) <= 36 for cue in cues for row in cue.rows)
    assert " ".join(row for cue in cues for row in cue.rows).startswith(
        "He began a confused complaint against"
    )


def test_no_words_make_an_empty_but_valid_file() -> None:
    assert to_webvtt(Transcript("zh", "demo")) == "WEBVTT\n"
    assert to_srt(Transcript("zh", "demo")) == ""
    assert shown(Line("expert", 0.0, 1.0, " \n ")) == []
