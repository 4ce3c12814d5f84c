"""The lexicon: what it holds, how it reads, and what it tells the recogniser to expect."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opencc import OpenCC
from pypinyin.pinyin_dict import pinyin_dict

from config.errors import SettingsInvalid
from processing.lexicon import load_lexicon
from processing.syllables import Syllable, read_aloud, syllable

LEXICON = load_lexicon()

# The first and last point of each of the fourteen channels (GB/T 12346).
CHANNEL_ENDS = [
    "中府",
    "少商",
    "商阳",
    "迎香",
    "承泣",
    "厉兑",
    "隐白",
    "大包",
    "极泉",
    "少冲",
    "少泽",
    "听宫",
    "睛明",
    "至阴",
    "涌泉",
    "俞府",
    "天池",
    "中冲",
    "关冲",
    "丝竹空",
    "瞳子髎",
    "足窍阴",
    "大敦",
    "期门",
    "长强",
    "龈交",
    "会阴",
    "承浆",
]

READINGS = {
    "白术": "bái zhú",
    "莪术": "é zhú",
    "枳术丸": "zhǐ zhú wán",
    "地黄": "dì huáng",
    "大黄": "dà huáng",
    "厚朴": "hòu pò",
    "藿朴夏苓汤": "huò pò xià líng tāng",
    "侧柏叶": "cè bǎi yè",
    "秦艽": "qín jiāo",
    "血竭": "xuè jié",
    "便血": "biàn xuè",
    "王不留行": "wáng bù liú xíng",
    "行间": "xíng jiān",
    "重楼": "chóng lóu",
    "阿胶": "ē jiāo",
    "阿是穴": "ā shì xué",
    "佩兰": "pèi lán",
    "川芎": "chuān xiōng",
    "荜澄茄": "bì chéng qié",
    "长强": "cháng qiáng",
    "强间": "qiáng jiān",
    "会阳": "huì yáng",
    "膻中": "dàn zhōng",
    "肺俞": "fèi shù",
    "俞府": "shū fǔ",
    "少商": "shào shāng",
    "攒竹": "cuán zhú",
    "率谷": "shuài gǔ",
    "龈交": "yín jiāo",
    "仆参": "pú cān",
    "郄门": "xì mén",
    "曲差": "qū chā",
    "府舍": "fǔ shè",
    "五处": "wǔ chù",
    "数脉": "shuò mài",
    "散脉": "sǎn mài",
    "逍遥散": "xiāo yáo sǎn",
    "散肿溃坚汤": "sàn zhǒng kuì jiān tāng",
    "补阳还五汤": "bǔ yáng huán wǔ tāng",
    "舌强": "shé jiāng",
    "恶寒": "wù hán",
    "恶心": "ě xīn",
    "太阳中风证": "tài yáng zhòng fēng zhèng",
    "四诊合参": "sì zhěn hé cān",
    "半身不遂": "bàn shēn bù suí",
}


def test_every_kind_of_word_is_there_in_number() -> None:
    counts = Counter(term.kind for term in LEXICON.terms)
    wanted = {"herb": 600, "formula": 400, "acupoint": 400, "pulse": 100, "tongue": 100, "pattern": 250}
    assert sum(counts.values()) == len({term.text for term in LEXICON.terms}) >= 3000
    assert {kind: counts[kind] for kind in wanted if counts[kind] < wanted[kind]} == {}


def test_the_channels_are_there_from_end_to_end() -> None:
    points = {term.text for term in LEXICON.terms if term.kind == "acupoint"}
    assert points >= set(CHANNEL_ENDS)


@pytest.mark.parametrize("text", READINGS)
def test_characters_of_several_readings_are_read_as_physicians_do(text: str) -> None:
    assert LEXICON.by_text[text].syllables == tuple(syllable(one) for one in READINGS[text].split())


def test_no_reading_is_made_up() -> None:
    """Every syllable is one that a general dictionary knows for the character."""
    strange = [
        (term.text, character, sound.plain)
        for term in LEXICON.terms
        for character, sound in zip(term.text, term.syllables, strict=True)
        if sound.plain not in plain_readings(character)
    ]
    assert strange == []


def test_names_are_in_simplified_chinese() -> None:
    """But for four that the national standards print with characters OpenCC would change."""
    simplify = OpenCC("t2s").convert
    changed = {term.text for term in LEXICON.terms if simplify(term.text) != term.text}
    assert changed == {"燀苦杏仁", "燀桃仁", "譩譆", "癥瘕"}


def test_no_everyday_word_is_a_term() -> None:
    assert not LEXICON.everyday_words & set(LEXICON.by_text)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("herb: [", "while parsing"),
        ("- 黄芪", "the file is no mapping"),
        ("everyday: {characters: 的, words: []}", "no terms"),
        ("herb: {name: 中药, cues: [], terms: [黄芪 huáng qí]}", "everyday is no mapping"),
        ("herb: {cues: [], terms: []}\neveryday: {characters: 的, words: []}", "herb.name"),
        ("herb: {name: 中药, cues: 克, terms: []}\neveryday: {characters: 的, words: []}", "herb.cues"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_place(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(SettingsInvalid, match=f"own.yaml.*{named}"):
        load_lexicon(path)


@pytest.mark.parametrize("entry", ["黄芪 huáng", "黄芪 huáng qq", "黄芪", "芪 qí", "黄芪 huáng qí 黄", "12"])
def test_an_entry_without_a_syllable_for_each_character_is_named(tmp_path: Path, entry: str) -> None:
    with pytest.raises(SettingsInvalid, match=entry):
        load_lexicon(own_file(tmp_path, f"[白术 bái zhú, {entry}]"))


def test_a_term_that_stands_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="黄芪 stands twice"):
        load_lexicon(own_file(tmp_path, "[黄芪 huáng qí, 黄芪 huáng qí]"))


def test_a_file_that_is_missing_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"gone\.yaml"):
        load_lexicon(tmp_path / "gone.yaml")
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(SettingsInvalid, match=r"noise\.yaml"):
        load_lexicon(tmp_path / "noise.yaml")


def test_a_clinic_may_bring_its_own_lexicon(tmp_path: Path) -> None:
    own = load_lexicon(own_file(tmp_path, "[黄芪 huáng qí, 白术 bái zhú]"))
    assert own.prompt(60).endswith("中药黄芪、白术。")
    assert own.hotwords(9) == "黄芪 白术"


@given(st.integers(-5, 400))
def test_a_prompt_keeps_to_its_limit_and_is_a_sentence(limit: int) -> None:
    prompt = LEXICON.prompt(limit)
    assert len(prompt) <= max(limit, 0)
    assert prompt == "" or prompt.endswith("。")


def test_a_prompt_within_whispers_reach_names_every_kind() -> None:
    prompt = LEXICON.prompt(110)
    assert len(prompt) > 90
    assert all(name in prompt for name in LEXICON.names.values())


def test_hot_words_are_the_most_spoken_of_all_kinds() -> None:
    words = LEXICON.hotwords(18).split(" ")
    assert Counter(LEXICON.by_text[word].kind for word in words) == dict.fromkeys(LEXICON.names, 2)
    assert LEXICON.hotwords(0) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("zhōng", "zōng"),
        ("chái", "cái"),
        ("shén", "sēng"),
        ("niú", "liú"),
        ("nǚ", "lǜ"),
        ("hú", "fù"),
        ("huáng", "fán"),
        ("huī", "fēi"),
        ("hún", "fēng"),
        ("jīn", "jīng"),
        ("liáng", "nián"),
    ],
)
def test_sounds_that_speakers_confuse_fold_into_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("hé", "fó"), ("nán", "rán"), ("dōng", "dēng"), ("ān", "ēn")])
def test_sounds_that_speakers_keep_apart_stay_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text("黄芪，。 aB1\n膻中长强的了㾦😀", max_size=40))
def test_every_character_has_its_own_place_in_the_reading(text: str) -> None:
    sounds = read_aloud(text)
    assert len(sounds) == len(text)
    for character, sound in zip(text, sounds, strict=True):
        assert isinstance(sound, Syllable) == (character in "黄芪膻中长强的了㾦")


def folded(marked: str) -> str:
    found = syllable(marked)
    assert found is not None
    return found.heard


def plain_readings(character: str) -> set[str]:
    return {known.plain for one in pinyin_dict[ord(character)].split(",") if (known := syllable(one))}


def own_file(folder: Path, terms: str) -> Path:
    path = folder / "own.yaml"
    everyday = "everyday: {characters: 的, words: []}\n"
    path.write_text(f"herb: {{name: 中药, cues: [克], terms: {terms}}}\n{everyday}", "utf-8")
    return path
