from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.captions import to_webvtt
from processing.identifiers import find_identifiers
from processing.names import RegisteredName
from processing.plain_text import to_text
from processing.redact import RedactionSpan, apply_redaction, find_spans, words_of_text
from processing.transcript import Line, Transcript, Word
from scripts.identifier_sentences import TERMS, with_identifiers

NAMES = (RegisteredName("王秀英"), RegisteredName("单雄飞", "relative"))


def line(role: str, start_s: float, text: str, step_s: float = 0.2, size: int = 1) -> Line:
    """A line whose words are ``size`` characters each; punctuation belongs to the word before it."""
    words: list[Word] = []
    for character in text:
        if words and (character in "，。？：！" or len(words[-1].text) < size):
            words[-1] = Word(words[-1].text + character, words[-1].start_s, words[-1].end_s, 0.9)
        else:
            at_s = start_s + step_s * len(words)
            words.append(Word(character, round(at_s, 3), round(at_s + step_s, 3), 0.9))
    return Line(role, start_s, round(start_s + step_s * len(words), 3), text, tuple(words))


def talk(*lines: Line) -> Transcript:
    return Transcript("zh", "test", lines)


def hidden_texts(transcript: Transcript) -> list[str]:
    return [line.text for line in apply_redaction(transcript, find_spans(transcript, NAMES, TERMS)).lines]


def test_a_name_becomes_a_placeholder_in_text_and_words_with_its_own_times() -> None:
    transcript = talk(line("patient", 10.0, "我叫王秀英，失眠"))
    (span,) = find_spans(transcript, NAMES, TERMS)
    assert (span.kind, span.role, span.line) == ("name", "patient", 0)
    assert (span.start_s, span.end_s) == (pytest.approx(10.4), pytest.approx(11.0))
    assert (span.start_char, span.end_char, span.text) == (2, 5, "王秀英")
    (said,) = apply_redaction(transcript, [span]).lines
    assert said.text == "我叫[姓名]，失眠"
    assert [word.text for word in said.words] == ["我", "叫", "[姓名]", "失", "眠"]
    assert (said.words[2].start_s, said.words[2].end_s) == (pytest.approx(10.4), pytest.approx(11.0))


def test_a_number_read_out_in_two_goes_is_hidden_in_both_lines() -> None:
    texts = hidden_texts(
        talk(
            line("patient", 0.0, "一三八零零一三"),
            line("expert", 2.0, "嗯"),
            line("patient", 3.0, "八零零零，就这个"),
        )
    )
    assert texts == ["[电话]", "嗯", "[电话]，就这个"]


def test_an_id_number_read_out_in_three_goes_is_hidden_in_all_of_them() -> None:
    texts = hidden_texts(
        talk(
            line("patient", 0.0, "幺幺零幺零五"),
            line("expert", 2.0, "好，您说"),
            line("patient", 3.0, "一九四九幺二三幺"),
            line("expert", 6.0, "嗯"),
            line("patient", 7.0, "零零二叉"),
        )
    )
    assert texts == ["[身份证号]", "好，您说", "[身份证号]", "嗯", "[身份证号]"]


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("您的病历号是多少？", "零零二三四五", "[病历号]"),
        ("家里电话呢？", "六二三四五六七八", "[电话]"),
        ("您哪年出生的？", "五六年三月初八", "[出生日期]"),
        ("您住在哪儿？", "望京花园三号楼", "[住址]"),
        ("微信号是多少？", "wxy1956", "[微信号]"),
        ("医保卡号您念一下。", "一二三四五六七八九", "[医保号]"),
    ],
)
def test_the_answer_to_a_question_is_known_for_what_it_is(question: str, answer: str, expected: str) -> None:
    texts = hidden_texts(talk(line("expert", 0.0, question), line("patient", 4.0, answer)))
    assert texts == [question, expected]


def test_what_is_said_again_to_be_sure_is_hidden_again() -> None:
    texts = hidden_texts(
        talk(
            line("patient", 0.0, "我住望京花园"),
            line("expert", 3.0, "望京花园远吗"),
            line("patient", 6.0, "电话一三八零零"),
            line("expert", 8.0, "嗯"),
            line("patient", 9.0, "一三八零零零"),
            line("expert", 60.0, "尾巴上是八零零零对吧，药吃一千三百八十毫升"),
        )
    )
    assert texts[1] == "[住址]远吗"
    assert texts[5] == "尾巴上是[电话]对吧，药吃一千三百八十毫升"


def test_what_others_say_meanwhile_is_left_alone() -> None:
    texts = hidden_texts(
        talk(
            line("expert", 0.0, "手机号多少？"),
            line("patient", 2.0, "一三八零零一三"),
            line("room", 4.0, "下一位请准备，三号诊室"),
            line("patient", 6.0, "八零零零"),
        )
    )
    assert texts[1:] == ["[电话]", "下一位请准备，三号诊室", "[电话]"]


def test_numbers_after_a_long_silence_belong_to_no_question() -> None:
    texts = hidden_texts(talk(line("expert", 0.0, "您的病历号是多少？"), line("patient", 60.0, "三四五")))
    assert texts[1] == "三四五"


def test_a_word_that_holds_more_than_the_name_loses_its_sound_whole() -> None:
    transcript = talk(line("patient", 0.0, "我叫王秀英", 0.4, size=2))
    (span,) = find_spans(transcript, NAMES)
    assert (span.start_s, span.end_s) == (pytest.approx(0.4), pytest.approx(1.2))
    said = apply_redaction(transcript, [span]).lines[0]
    assert "秀" not in "".join(word.text for word in said.words)


def test_an_edge_nobody_can_trust_moves_out_to_the_neighbouring_words() -> None:
    words = (
        Word("叫", 0.0, 0.3, 0.9),
        Word("王", 0.6, 0.6, 0.9),
        Word("秀", 0.7, 0.9, 0.9),
        Word("英", 0.9, 1.0, 0.2),
        Word("来", 1.5, 1.7, 0.9),
    )
    (span,) = find_spans(talk(Line("expert", 0.0, 2.0, "叫王秀英来", words)), NAMES)
    assert (span.start_s, span.end_s) == (0.3, 1.5)


def test_a_line_without_words_is_hidden_for_as_long_as_it_lasts() -> None:
    (span,) = find_spans(talk(Line("patient", 3.0, 5.0, "我叫王秀英")), NAMES)
    assert (span.start_s, span.end_s) == (3.0, 5.0)


def test_words_are_hidden_where_text_was_spelled_otherwise() -> None:
    words = tuple(
        Word(c, n * 0.2, n * 0.2 + 0.2, 0.9) for n, c in enumerate("電話幺三八零零幺三八零零零謝謝")
    )
    transcript = talk(Line("patient", 0.0, 3.2, "电话：13800138000，谢谢。", words))
    spans = find_spans(transcript)
    said = apply_redaction(transcript, spans).lines[0]
    assert said.text == "电话：[电话]，谢谢。"
    assert not set("幺三八零") & set("".join(word.text for word in said.words))


def test_what_is_published_of_a_span_does_not_hold_what_was_said() -> None:
    transcript = talk(line("patient", 0.0, "我叫王秀英，电话一三八零零一三八零零零"))
    spans = find_spans(transcript, NAMES)
    told = json.dumps([span.published() for span in spans], ensure_ascii=False) + repr(spans)
    assert not any(secret in told for secret in ("王秀英", "秀", "一三八", "13800138000"))
    assert [RedactionSpan.from_dict(span.to_dict()) for span in spans] == spans


def test_the_same_transcript_gives_the_same_ids() -> None:
    transcript = talk(line("patient", 0.0, "王秀英和单雄飞"), line("expert", 5.0, "王秀英"))
    first, again = (find_spans(transcript, NAMES) for _ in range(2))
    assert first == again
    assert len({span.id for span in first}) == len(first) == 3


def test_published_texts_hold_placeholders_only() -> None:
    transcript = talk(line("patient", 0.0, "我是王秀英，家住朝阳区望京西园四区412号楼3单元501"))
    said = apply_redaction(transcript, find_spans(transcript, NAMES))
    for text in (to_webvtt(said), to_text(said), json.dumps(said.to_dict(), ensure_ascii=False)):
        assert "王秀英" not in text and "望京" not in text and "501" not in text
        assert "[姓名]" in text and "[住址]" in text


def test_spans_of_another_transcript_are_refused() -> None:
    spans = find_spans(talk(line("patient", 0.0, "我叫王秀英")), NAMES)
    with pytest.raises(ValueError, match="outside"):
        apply_redaction(talk(line("patient", 0.0, "我叫")), spans)


def test_two_hours_of_talk_are_read_in_seconds() -> None:
    lines = [
        line("patient" if n % 2 else "expert", n * 4.0, "黄芪十五克，血压一百三十，睡得不好")
        for n in range(1800)
    ]
    started = time.process_time()
    assert find_spans(talk(*lines), NAMES, TERMS) == []
    assert time.process_time() - started < 20.0


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 499), size=st.integers(1, 4), data=st.data())
def test_no_character_of_an_identifier_survives_however_words_are_cut(
    number: int, size: int, data: st.DataObject
) -> None:
    sentence = with_identifiers(500, held_back=False)[number]
    transcript = talk(line("patient", data.draw(st.floats(0, 3600)), sentence.text, 0.2, size))
    spans = find_spans(transcript, sentence.names, TERMS)
    said = apply_redaction(transcript, spans)
    words = "".join(word.text for word in said.lines[0].words)
    for span in spans:
        assert span.text not in said.lines[0].text or len(span.text) < 3
        assert span.text not in words or len(span.text) < 3
        assert all(
            span.start_s <= transcript.lines[0].words[at].start_s
            and transcript.lines[0].words[at].end_s <= span.end_s
            for place in words_of_text(transcript.lines[0])[span.start_char : span.end_char]
            for at in range(*place)
        )


@settings(deadline=None)
@given(st.text(alphabet="王秀英一二三零138幺电话住号楼，。\n X微信年月日生", max_size=60))
def test_spans_lie_in_order_inside_any_text(text: str) -> None:
    spans = find_identifiers(text, NAMES, TERMS)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
