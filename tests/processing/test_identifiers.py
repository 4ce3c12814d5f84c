from __future__ import annotations

import pytest

from processing.identifiers import find_identifiers
from processing.names import RegisteredName
from processing.numbers import has_valid_check
from processing.spoken import cardinal, digit_runs, fold
from scripts.identifier_sentences import TERMS, look_alikes, measure, with_identifiers


@pytest.mark.parametrize("held_back", [False, True], ids=["wordings tuned by", "wordings held back"])
def test_identifiers_are_found_and_look_alikes_left_alone(held_back: bool) -> None:
    score = measure(
        [*with_identifiers(250, held_back=held_back), *look_alikes(250, held_back=held_back)],
    )
    assert score.recall >= 0.99, score.missed
    assert score.precision >= 0.95, score.wrong


def test_the_set_is_the_same_on_every_run_and_holds_every_kind() -> None:
    sentences = with_identifiers(250, held_back=True)
    assert sentences == with_identifiers(250, held_back=True)
    assert len({kind for sentence in sentences for kind, _, _ in sentence.spans}) == 9
    assert len({sentence.text for sentence in sentences}) > 200


def found(text: str, *names: str, terms: tuple[str, ...] = TERMS) -> list[tuple[str, str]]:
    spans = find_identifiers(text, [RegisteredName(name) for name in names], terms)
    return [(span.kind, text[span.start : span.end]) for span in spans]


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ("单雄飞", "善雄飞"),
        ("解小梅", "谢晓玫"),
        ("仇振华", "裘震华"),
        ("曾丽萍", "增丽萍"),
        ("查良玉", "扎良玉"),
        ("盖春生", "葛春生"),
        ("区志强", "欧志强"),
        ("尉迟文静", "玉池文静"),
    ],
)
def test_a_name_of_many_readings_is_known_by_the_reading_of_a_surname(registered: str, said: str) -> None:
    assert found(f"请{said}进来", registered) == [("name", said)]


@pytest.mark.parametrize("title", ["先生", "女士", "阿姨", "大爷", "奶奶", "师傅"])
def test_people_are_called_by_surname_and_title(title: str) -> None:
    assert found(f"王{title}您好", "王秀英") == [("name", f"王{title}")]
    assert found(f"李{title}您好", "王秀英") == []


def test_a_herb_is_a_herb_whoever_is_called_like_it() -> None:
    assert found("黄芪三十克，陈皮十克", "黄芪", "陈皮") == []
    assert found("患者黄芪，女", "黄芪") == [("name", "黄芪")]
    assert found("何首乌十五克", "何首吾", terms=()) == []
    assert found("徐长卿十克", "徐长清") == []
    assert found("徐长卿请进", "徐长清", terms=()) == [("name", "徐长卿")]


@pytest.mark.parametrize(
    "text",
    [
        "１３８００１３８０００",
        "138 0013 8000",
        "138-0013-8000",
        "幺三八，嗯，零零一三，八零零零",
        "一三八两个零一三八三个零",
    ],
)
def test_a_mobile_number_is_one_however_it_is_written_or_said(text: str) -> None:
    assert found(text) == [("phone", text)]


def test_an_id_number_with_a_wrong_check_character_is_hidden_all_the_same() -> None:
    assert has_valid_check("11010519491231002X")
    assert not has_valid_check("110105194912310021")
    for number in ("11010519491231002X", "110105194912310021"):
        assert found(number) == [("id_number", number)]


def test_a_number_half_recognised_beside_its_name_is_hidden() -> None:
    assert found("身份证号是幺幺零幺零五什么来着") == [("id_number", "幺幺零幺零五")]
    assert found("门诊号 3021") == [("record_number", "3021")]
    assert found("手机尾号4567") == [("phone", "4567")]


def test_a_number_begun_and_said_again_is_hidden_from_the_first_try() -> None:
    text = "一八九，等等啊，一八九四四三二幺零零九"
    assert found(text) == [("phone", text)]


@pytest.mark.parametrize(
    "text",
    [
        "一三九，五七二零，不对，五七二幺，八八六四",
        "幺五幺啊幺二三四，幺二三四啊九二七九",
        "133，133 07 41 38 09",
        "零一零，零一零，八四二四，六七七二",
        "幺三八俩零六四仨八二一",
        "一三八零起五六三二八一",
    ],
)
def test_a_telephone_number_is_hidden_with_what_was_corrected_repeated_or_misheard(text: str) -> None:
    assert found(text) == [("phone", text)]


@pytest.mark.parametrize("text", ["我手机一三八一二三四五六七八，三天后来", "一三八一二三四五六七八，120/80"])
def test_what_is_counted_behind_a_telephone_number_is_left(text: str) -> None:
    assert [kind for kind, _ in found(text)] == ["phone"]
    assert text[-4:] not in found(text)[0][1]


@pytest.mark.parametrize(
    "text",
    ["量了三次，110 72、133 78、112 92", "糖类抗原199是94577", "叶酸六点零B12 91608", "161、85、169/84"],
)
def test_a_row_of_measured_values_is_no_number_of_anybody(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("老黄今天气色比上次强多了", "老黄"),
        ("上次老高吃了七副药", "老高"),
        ("给小孙扎阴陵泉", "小孙"),
        ("今天麻阿姨的脉象", "麻阿姨"),
        ("哎呀建国，你这个脉有力了", "建国"),
        ("上礼拜丽华发烧", "丽华"),
        ("护照是Zhao Shulan", "Zhao Shulan"),
        ("赵淑，赵淑兰来了", "赵淑，赵淑兰"),
    ],
)
def test_whoever_is_registered_is_known_by_what_people_say(text: str, said: str) -> None:
    names = ("黄莉", "高良才", "孙德福", "麻玉珍", "李建国", "彭丽华", "赵淑兰")
    assert ("name", said) in found(text, *names, terms=(*TERMS, "天麻", "阴陵泉"))


@pytest.mark.parametrize(
    ("text", "registered"),
    [
        ("李时珍说刘寄奴甘温", "李时真"),
        ("王叔和脉经二十四脉", "王芳"),
        ("血压老高，吃着药", "高良才"),
        ("谢谢老师", "谢春梅"),
        ("山西老陈醋", "陈平安"),
    ],
)
def test_physicians_of_old_and_everyday_words_are_no_patient(text: str, registered: str) -> None:
    assert found(text, registered) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("身份证上出生是1989/6/14，实际上是1954年10月7号", ["1989/6/14", "1954年10月7号"]),
        ("出生日期填幺九六零啊零八啊幺二", ["幺九六零啊零八啊幺二"]),
        ("我五二年三月八号就满七十了", ["五二年三月八号"]),
        ("今年七十二了，五四年的", ["五四年"]),
    ],
)
def test_a_birth_date_is_known_by_the_words_around_it(text: str, said: list[str]) -> None:
    assert found(text) == [("birth_date", date) for date in said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("药邮到富力又一城三十四号楼四单元四零三，到付", "富力又一城三十四号楼四单元四零三"),
        ("我们小区的21栋202", "21栋202"),
        ("住翠微西里1203", "翠微西里1203"),
        ("家住贵州毕节威宁县迤那镇，一年来两趟", "贵州毕节威宁县迤那镇"),
        ("现在住碧波听澜，清静是清静", "碧波听澜"),
        ("您是不是住枫林晓筑？", "枫林晓筑"),
        ("我住五零二室", "五零二室"),
    ],
)
def test_a_home_is_hidden_whatever_its_estate_is_called(text: str, said: str) -> None:
    assert any(kind == "address" and said in place for kind, place in found(text))


@pytest.mark.parametrize(
    "text",
    [
        "天津市和平区南京路189号津汇广场1座",
        "河北省保定市竞秀区百花东路126号学府家园8-2-1102",
        "丰台区马家堡西路15号时代风帆大厦2区608",
    ],
)
def test_an_address_is_hidden_from_the_province_to_the_room(text: str) -> None:
    assert found(f"药寄到{text}，谢谢") == [("address", text)]


@pytest.mark.parametrize(
    "text", ["北京市中医管理局", "三号楼二层取药", "住院部三楼", "肝区隐痛", "住六楼没电梯"]
)
def test_the_clinic_and_the_body_are_nobodys_address(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "said", "names"),
    [
        ("万方请到三诊室", "万方", ["万芳"]),
        ("您是万方吧", "万方", ["万芳"]),
        ("别吵老白了", "老白", ["白雪松"]),
        ("为长河来了没有", "为长河", ["魏长河"]),
        ("我去看顾大妈", "顾大妈", ["顾秀英"]),
        ("我住前门西河沿二百一十四号", "前门西河沿二百一十四号", []),
        ("我是天通苑的", "天通苑", []),
        ("海龙啊，甭着急", "海龙", ["尹海龙"]),
    ],
)
def test_a_word_that_is_a_name_or_a_place_is_known_by_what_is_said_with_it(
    text: str, said: str, names: list[str]
) -> None:
    assert said in [each for _, each in found(text, *names)]


@pytest.mark.parametrize(
    "text",
    [
        "我是北京的",
        "我是三里屯派出所的",
        "从东直门医院转过来的",
        "万方数据",
        "我是从石家庄过来的",
        "从柳州坐飞机来的",
        "我儿子车停得远",
        "医保能报三百二，自己付一百四十五",
        "医保卡丢了去12333问",
        "我姓崔，是这儿的主治医师",
        "扫码枪型号NLS-HR2081，坏了",
        "我家那边有条河，早上去遛弯儿",
    ],
)
def test_the_same_words_said_of_something_else_are_left(text: str) -> None:
    assert found(text, "尹海龙", "万芳") == []


def test_folding_keeps_every_place() -> None:
    for text in ("ｗｘ＿１２３", "電話號碼", "ß㈱ﬁ", "…—"):
        assert len(fold(text)) == len(text)


@pytest.mark.parametrize(
    ("said", "value"),
    [("十", 10), ("十五", 15), ("三十六", 36), ("一百三", 130), ("一百零二", 102), ("二百一十五", 215)],
)
def test_numbers_said_as_numbers_have_their_value(said: str, value: int) -> None:
    assert cardinal(said) == value


def test_digits_keep_their_places_through_fillers_and_repetitions() -> None:
    (run,) = digit_runs("幺三八嗯两个零X")
    assert run.digits == "13800X"
    assert (run.start, run.end) == (0, 8)
