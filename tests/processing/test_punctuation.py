"""Simplified Chinese with Chinese marks, word by word."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.punctuation import normalise, normalise_words, punctuate
from processing.transcript import Line, Turn, Word

PARTS = st.sampled_from(
    [
        *"氣血兩虛气的乾坤發头吗12 ,.?!:;，。？！：；、…（）ａＺ０９％．\n",
        "3.5",
        "12:30",
        " CT",
        "hello",
        "[姓名]",
        "頭髮",
        "後來",
    ]
)


def words_of(*texts: str, pause_s: float = 0.0) -> list[Word]:
    """Words of 0.2 s each, with a pause after each."""
    step_s = 0.2 + pause_s
    return [Word(text, at * step_s, at * step_s + 0.2, 0.9) for at, text in enumerate(texts)]


def joined(words: tuple[Word, ...]) -> str:
    return "".join(word.text for word in words)


@pytest.mark.parametrize(
    ("recognised", "expected"),
    [
        ("氣血兩虛,舌淡苔白 . 體溫38.5℃ ,12:30 吃藥!", "气血两虚，舌淡苔白。体温38.5℃，12:30吃药！"),
        ("你好,,。。那 么 ?", "你好。那么？"),
        ("１２：３０吃药，３．５克，ＣＴ检查５０％", "12:30吃药，3.5克，CT检查50%"),
        ("乾坤乾燥,頭髮後來", "乾坤干燥，头发后来"),
        ("血压120/80.然后再说", "血压120/80。然后再说"),
        ("98%, 12:30, 共1,000元.", "98%，12:30，共1,000元。"),
        ("  He said:  wait... 3.5 mg. ", "He said: wait... 3.5 mg."),
        ("真的?!", "真的？"),
        ("[姓名],您好", "[姓名]，您好"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_text_becomes_what_a_chinese_reader_expects(recognised: str, expected: str) -> None:
    assert normalise(recognised) == expected


@given(st.lists(PARTS, max_size=15))
def test_normalising_again_changes_nothing(parts: list[str]) -> None:
    once = normalise("".join(parts))
    assert normalise(once) == once


@given(st.lists(PARTS, max_size=15))
def test_words_keep_their_times_and_make_up_the_normalised_line(parts: list[str]) -> None:
    words = words_of(*parts)
    plain = normalise_words(words)
    assert joined(plain) == normalise("".join(parts))
    assert all(word.text for word in plain)
    before = [(word.start_s, word.end_s, word.probability) for word in words]
    after = [(word.start_s, word.end_s, word.probability) for word in plain]
    assert [times for times in before if times in after] == after


@given(st.lists(PARTS, max_size=15))
def test_marks_never_stand_side_by_side_in_what_is_chinese(parts: list[str]) -> None:
    text = normalise("头" + "".join(parts))
    marks = "，。？！：；、"
    assert not any(first in marks and second in marks for first, second in pairwise(text))
    assert not any(
        " " in pair and any("\u4e00" <= side <= "\u9fff" for side in pair) for pair in pairwise(text)
    )


def test_phrases_are_converted_over_the_borders_of_words() -> None:
    assert [word.text for word in normalise_words(words_of("乾", "坤", "乾", "燥"))] == [
        "乾",
        "坤",
        "干",
        "燥",
    ]


def test_a_spoken_number_keeps_the_times_of_its_words() -> None:
    words = normalise_words(words_of("吃", "３", "．", "５", "克", " ,", "一", "百", "二十", "天"))
    text = joined(words)
    assert text == "吃3.5克，一百二十天"
    starts = {text.index(word.text): word.start_s for word in words if word.text in "35一"}
    assert starts == pytest.approx({1: 0.2, 3: 0.6, 6: 1.2})
    assert all(word.end_s <= following.start_s + 1e-9 for word, following in pairwise(words))


def test_a_line_without_marks_gets_them_where_the_speaker_pauses() -> None:
    words = words_of("最近", "头晕") + [Word("晚上", 1.0, 1.4, 0.9), Word("睡不好", 1.5, 2.0, 0.9)]
    assert joined(punctuate(words)) == "最近头晕，晚上睡不好。"
    assert Line.heard(Turn("patient", 0.0, 2.0), punctuate(words)).text == "最近头晕，晚上睡不好。"


@pytest.mark.parametrize(
    ("said", "marked"),
    [
        ("严重吗", "严重吗？"),
        ("怎么办呢", "怎么办呢？"),
        ("这是什么", "这是什么？"),
        ("没什么", "没什么。"),
        ("就这么", "就这么。"),
        ("好的。", "好的。"),
        ("好，不用", "好，不用"),
        ("hello", "hello"),
        ("", ""),
    ],
)
def test_the_end_is_a_question_only_where_its_last_word_asks(said: str, marked: str) -> None:
    assert joined(punctuate(words_of(*said))) == marked


def test_digits_read_out_slowly_are_not_torn_by_commas() -> None:
    assert joined(punctuate(words_of(*"幺三八零零一二", pause_s=0.6))) == "幺三八零零一二。"


@given(st.lists(PARTS, max_size=15))
def test_marks_are_added_to_lines_without_any_and_to_no_others(parts: list[str]) -> None:
    words = normalise_words(words_of(*parts, pause_s=0.4))
    marked = punctuate(words)
    assert [word.start_s for word in marked] == [word.start_s for word in words]
    if marked != words:
        assert not any(mark in joined(words) for mark in "，。？！：；、,.?!:;…")
        assert joined(marked)[-1] in "。？"
        assert joined(marked).replace("，", "").rstrip("。？") == joined(words)
