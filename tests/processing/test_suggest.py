"""Suggestions for what was misheard: found where a term was garbled, silent where people just talk."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin.pinyin_dict import pinyin_dict

from processing.lexicon import Term, load_lexicon
from processing.suggest import SURE_ENOUGH, Suggestion, suggest
from processing.syllables import Syllable, syllable
from processing.transcript import Word

LEXICON = load_lexicon()
ORDINARY = (Path(__file__).parents[1] / "data" / "ordinary_mandarin.txt").read_text("utf-8").splitlines()
FRAMES = {
    "herb": "加{}十五克",
    "formula": "我用的是{}加减",
    "acupoint": "取{}这个穴位",
    "pulse": "脉象是{}",
    "tongue": "舌象是{}",
    "pattern": "辨证属于{}",
    "disease": "中医诊断为{}",
    "symptom": "患者主要是{}",
    "method": "治法是{}",
}


@pytest.mark.parametrize(
    ("said", "recognised", "term", "kind"),
    [
        ("黄其三十克。", "黄其", "黄芪", "herb"),
        ("再加当规十五克", "当规", "当归", "herb"),
        ("给你开个不中意气汤加减", "不中意气汤", "补中益气汤", "formula"),
        ("用黄芪桂枝无物汤", "黄芪桂枝无物汤", "黄芪桂枝五物汤", "formula"),
        ("扎竹三里，留针", "竹三里", "足三里", "acupoint"),
        ("这是肝雨气滞", "肝雨气滞", "肝郁气滞", "pattern"),
        ("脉贤细", "脉贤细", "脉弦细", "pulse"),
        ("舌红胎黄", "舌红胎黄", "舌红苔黄", "tongue"),
        ("用肖遥散", "肖遥散", "逍遥散", "formula"),
    ],
)
def test_a_garbled_term_is_found_where_it_was_said(said: str, recognised: str, term: str, kind: str) -> None:
    (found,) = suggest(words(said, 0.7), LEXICON)
    start = said.index(recognised)
    end = start + len(recognised)
    assert (found.start, found.end, found.heard, found.term, found.kind) == (
        start,
        end,
        recognised,
        term,
        kind,
    )
    assert found.start_s == pytest.approx(start * 0.2)
    assert found.end_s == pytest.approx(end * 0.2)


@pytest.mark.parametrize(
    "said",
    [
        "黄芪三十克，当归十五克，柴胡十克",
        "舌淡红苔薄白，脉弦细",
        "用黄芪桂枝五物汤加减",
        "就当归十五克吧",  # sounds like 酒当归
        "我们的事情已经商量好了",
        "这些文化影响很大",
        "石英和水质没有关系，习惯就好",
        "，。！ abc 123",
        "",
    ],
)
def test_what_is_right_is_left_alone(said: str) -> None:
    assert suggest(words(said, 0.7), LEXICON) == ()


@pytest.mark.parametrize(("probability", "allowed"), [(0.9, 0.2), (0.7, 0.5), (0.5, 1.0)])
def test_ordinary_talk_is_hardly_ever_questioned(probability: float, allowed: float) -> None:
    """``allowed``: false suggestions in a thousand characters."""
    found = [one for line in ORDINARY for one in suggest(words(line, probability), LEXICON)]
    assert sum(map(len, ORDINARY)) > 4500
    assert 1000 * len(found) / sum(map(len, ORDINARY)) <= allowed, found


@pytest.mark.parametrize(("length", "least"), [(2, 0.78), (3, 0.92), (4, 0.94)])
def test_most_garbled_terms_are_recognised_by_their_sound(length: int, least: float) -> None:
    """``least``: share of terms of so many characters that are found, one to three of them heard wrong."""
    chance = random.Random(length)
    asked = found = 0
    for term in (term for term in LEXICON.terms if len(term.text) == length):
        heard = garbled(term, chance)
        if heard not in LEXICON.by_text:
            asked += 1
            found += term.text in {one.term for one in suggest(framed(term, heard, chance), LEXICON)}
    assert asked > 400
    assert found / asked >= least


def test_a_wrong_tone_and_a_confused_sound_are_less_sure_than_the_same_sound() -> None:
    same, tone, confused = (sureness(said) for said in ("加黄其三克", "加黄启三克", "加房其三克"))
    assert same > tone > confused


def test_the_surer_the_recogniser_the_less_sure_the_suggestion() -> None:
    assert sureness("加黄其三克", 0.3) > sureness("加黄其三克", 0.6) > sureness("加黄其三克", 0.99)


def test_a_dose_nearby_makes_a_herb_likelier() -> None:
    assert sureness("黄其三十克") > sureness("黄其三十次")


def test_a_longer_term_is_surer_than_a_short_one() -> None:
    assert sureness("给他不中意气汤") > sureness("给他黄其")


def test_blanks_before_the_first_word_do_not_shift_the_place() -> None:
    said = [Word("  用", 0.0, 0.3, 0.7), Word("逍", 0.3, 0.5, 0.6), Word("遥伞", 0.5, 0.9, 0.4)]
    (found,) = suggest(said, LEXICON)
    assert (found.start, found.end, found.heard) == (1, 4, "逍遥伞")
    assert (found.start_s, found.end_s) == (0.3, 0.9)


def test_a_term_is_not_pieced_together_across_a_pause_in_the_text() -> None:
    assert suggest(words("用逍，遥伞", 0.5), LEXICON) == ()


PIECES = st.sampled_from(
    [*"的了我黄其芪当规柴湖苔胎脉贤细，。 a1", "黄芪", "不中意气汤", "足三里", "肝雨", "气滞", "十克"]
)
LINES = st.lists(st.builds(Word, PIECES, st.just(0.0), st.just(0.1), st.floats(0, 1)), max_size=20)


@given(LINES)
def test_suggestions_lie_in_the_text_in_order_and_change_something(line: Sequence[Word]) -> None:
    timed = [replace(word, start_s=at * 0.1, end_s=at * 0.1 + 0.1) for at, word in enumerate(line)]
    text = "".join(word.text for word in timed).strip()
    last: Suggestion | None = None
    for one in suggest(timed, LEXICON):
        assert text[one.start : one.end] == one.heard != one.term
        assert len(one.term) == len(one.heard)
        assert one.heard not in LEXICON.by_text
        assert LEXICON.by_text[one.term].kind == one.kind
        assert SURE_ENOUGH <= one.confidence <= 1
        assert one.start_s < one.end_s
        assert last is None or last.end <= one.start
        last = one


def test_four_hours_of_talk_take_seconds() -> None:
    lines = [words(line, 0.7) for line in ORDINARY] * 13
    assert sum(map(len, lines)) > 60_000
    begin_s = time.process_time()
    for line in lines:
        suggest(line, LEXICON)
    assert time.process_time() - begin_s < 5


def words(said: str, probability: float) -> list[Word]:
    return [
        Word(one, round(at * 0.2, 3), round(at * 0.2 + 0.2, 3), probability) for at, one in enumerate(said)
    ]


def sureness(said: str, probability: float = 0.5) -> float:
    return max((one.confidence for one in suggest(words(said, probability), LEXICON)), default=0.0)


def garbled(term: Term, chance: random.Random) -> str:
    """The term with some characters exchanged for homophones, or for what sounds alike."""
    characters = list(term.text)
    for at in chance.sample(range(len(characters)), chance.choice((1, 1, 2))):
        sound, part = term.syllables[at], chance.random()
        alike = [
            one
            for one, other in SOUNDS[sound.heard]
            if one != characters[at]
            and (
                (other.plain, other.tone) == (sound.plain, sound.tone)
                if part < 0.65
                else other.plain == sound.plain or part > 0.85
            )
        ]
        characters[at] = chance.choice(alike) if alike else characters[at]
    return "".join(characters)


def framed(term: Term, heard: str, chance: random.Random) -> list[Word]:
    """A sentence with ``heard`` in it; the recogniser doubts what it got wrong."""
    before, after = FRAMES[term.kind].split("{}")
    doubt = chance.uniform(0.3, 0.8)
    wrong = {len(before) + at for at, one in enumerate(heard) if one != term.text[at]}
    sentence = words(before + heard + after, 0.9)
    return [replace(word, probability=doubt) if at in wrong else word for at, word in enumerate(sentence)]


def sounds_of_common_characters() -> dict[str, list[tuple[str, Syllable]]]:
    """The 3,755 characters of GB/T 2312 level 1 by how they are heard."""
    found = defaultdict(list)
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF if row < 0xD7 else 0xFA):
            one = bytes((row, cell)).decode("gb2312")
            sound = syllable(pinyin_dict[ord(one)].split(",")[0])
            assert sound is not None
            found[sound.heard].append((one, sound))
    return found


SOUNDS = sounds_of_common_characters()
