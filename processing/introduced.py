"""Names nobody registered, known by the words that introduce them: 我叫王建国, 患者姓名李秀英, 张伟是我爱人."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pypinyin.phrases_dict import phrases_dict

from processing.name_words import COMPOUND_SURNAMES, KIN, RARE_SURNAMES, SURNAMES, WORDS
from processing.textspan import TextSpan

_HAN = "[\u3400-\u9fff]"
_SURNAME = f"(?:{'|'.join(sorted(COMPOUND_SURNAMES))}|[{''.join(sorted(SURNAMES | RARE_SURNAMES))}])"
# No given name holds these, which bind a sentence together.
_NOT_GIVEN = (
    "的了是在我你您他她它们这那哪什么吗呢吧啊呀哦嗯就都也又还很太不没有和跟与及或但因而所把被给让对从向到过着得"
    "来去说看问找叫住做吃喝个些每几多少岁男女号药病痛疼症想要请"
)
_GIVEN = f"(?:(?![{_NOT_GIVEN}]){_HAN})"
# 那张, 那辆 and 车牌 begin as names do, and are none.
_THING = "那[个张辆车名片本些种次天年位边里么句串行栏]|车[牌子票祸库位间站号里上停接送开坏堵]"
_NAME = rf"(?P<surname>(?!{_THING}){_SURNAME})(?P<given>{_GIVEN}{{1,2}})"
_SPACE = r"[\s:：，,、“”\"（(]{0,2}"
# Behind a name stands an end, or a word that begins something else.
_END = re.compile(
    rf"$|[^\u3400-\u9fff]|[{_NOT_GIVEN}今昨前上下主首复初反间同先陪本家电身手已再于刚因现]|小朋友"
)
_SAYS_NAME = (
    "(?:(?:我|他|她|俺|咱|本人|名字?|孩子|人家|大名|全名|真名|本名|小名|[妈爸])(?:就)?叫(?:做)?|姓名(?:是|为|叫)?|"
    "名字(?:就)?(?:是|叫|写的?)?|签名|签[字署]人?|人[:：]|名儿(?:是|叫)|大名|小名|曾用名|患者名|改名叫?)"
)
_PERSON = "(?:患者|病人|委托人|受托人|经办人|签字人|被保险人|投保人|代理人|陪护|病患|家属(?![区楼院])|联系人|监护人|陪同人?|受试者|就诊人|持卡人|收件人|代办人|本人|求助人|同意人|授权人)"
_RELATIVE = f"(?:(?:我|他|她|俺|咱|孩子|患者|病人|老人)(?:的|们|家)?(?:{KIN})|(?:{KIN}))"
# What introduces a name, and whether a word may stand there instead: 患者高血压.
_CUES = (
    (re.compile(rf"{_SAYS_NAME}{_SPACE}{_NAME}"), False),
    (re.compile(rf"(?:{_PERSON}|{_RELATIVE})(?:姓名|名字)?(?:叫做?|名叫){_SPACE}{_NAME}"), False),
    (re.compile(rf"(?:{_PERSON}|{_RELATIVE})(?:姓名|名字)?是?{_SPACE}{_NAME}"), True),
    (re.compile(rf"叫(?:做)?{_SPACE}{_NAME}"), True),
    (re.compile(rf"我(?:就)?是{_NAME}(?=的(?:{KIN}|家属|家人)|[，,。\s]|$)"), True),
    (re.compile(rf"(?:^|[，,。！!？?\s]){_NAME}(?=(?:是|，)(?:我|他|她|患者|病人)的?(?:{KIN}))"), True),
    (
        re.compile(
            rf"(?:^|[，,。！!？?：:\s是叫请找给替问跟])(?:那位|这位)?{_NAME}(?=女士|小朋友|同学|本人|的?家属|的那个)"
        ),
        True,
    ),
)
# Names of other peoples are written with a dot: 买买提·艾力.
_PART = f"(?:(?![叫是的我你他她位这了在和跟]){_HAN})"
_DOTTED = re.compile(rf"{_PART}{{2,7}}(?:[·•・]{_PART}{{1,7}})+")
# Names without a dot in the characters that such names are written with: 古丽米娜, 扎西卓玛.
_TRANSCRIBED = re.compile(
    rf"(?:叫(?:做)?|是|姓名|患者|病人|请|找){_SPACE}"
    "(?P<name>[阿依古丽努尔买提艾力热木吐逊孜娜米迪巴图格日勒其苏布达扎西卓玛丹增次仁旺拉姆桑珠央金洛多吉乌云塔萨高娃帖儿哈斯海罕]{3,7})"
    "(?=[，,。！!？?\\s的]|$)"
)
_BOOK = re.compile("内经|素问|灵枢|本草|金匮|伤寒|[篇论卷章]$")
# What is said to be a name is one whatever its surname: 姓名：阿依古丽.
_STATED = re.compile(
    rf"(?:姓名[:：是]|(?:我|名字|大名|小名|名|孩子)叫(?:做)?){_SPACE}(?P<name>{_GIVEN}{{2,6}})(?=[，,。；;\s！!]|$)"
)
_SURNAME_ONLY = re.compile(
    rf"(?:[我他她您咱俺家]|孩子|患者|病人|免贵|{KIN})(?:也|都|就)?姓(?P<name>(?!那个){_SURNAME})"
    "(?![，,]?我?是(?:这儿|这里|这|咱们?|本院|今天|门诊)的?(?:主治|主任|副主任|住院|大夫|医生|医师|护士))"
)
# How people tell a surname from others: 弓长张, 两点水加马的冯.
_TAKEN_APART = re.compile(
    "(?:弓长|木子|立早|耳东|双木|言午|草头|古月|走肖|双人|口天|三横一?竖?|人可|双口|女子|[草竹]字头|[水旁头底耳刀](?:加[\u3400-\u9fff])?的)"
    rf"(?:的|那个)?(?P<name>{_SURNAME})(?=[，,。！!？?\s的叫]|$)"
)
_SPELLED = re.compile(rf"(?={_HAN}?(?P<word>{_HAN}{{2}})的(?P<character>{_HAN}))")


def find_introduced(text: str, terms: Collection[str] = ()) -> list[TextSpan]:
    """Names in a folded ``text`` that are introduced as such; ``terms`` are folded words of medicine and no names."""
    return [*_dotted(text), *_stated(text, terms), *_behind_cues(text, terms)]


def _dotted(text: str) -> Iterator[TextSpan]:
    for match in _DOTTED.finditer(text):
        if text[match.start() - 1 : match.start()] == "《" or _BOOK.search(match[0]):
            continue
        yield TextSpan("name", match.start(), match.end(), 0.7, "dotted-name")


def _stated(text: str, terms: Collection[str]) -> Iterator[TextSpan]:
    for pattern in (_STATED, _SURNAME_ONLY, _TAKEN_APART, _TRANSCRIBED):
        for match in pattern.finditer(text):
            if not _is_word(match["name"], terms):
                yield TextSpan("name", match.start("name"), match.end("name"), 0.6, "said-to-be-a-name")


def _behind_cues(text: str, terms: Collection[str]) -> Iterator[TextSpan]:
    for pattern, doubtful in _CUES:
        for match in pattern.finditer(text):
            start, end = match.start("surname"), _end(text, match, terms)
            if _is_word(text[start:end], terms):
                continue
            if doubtful and (
                text[start] == text[start + 1]  # 谈谈, 查查
                or _holds_word(text, start, end, terms)
                or end - start < 3
                and not _END.match(text, end)
            ):
                continue
            yield TextSpan("name", start, end, 0.6, "introduced")


def _end(text: str, match: re.Match[str], terms: Collection[str]) -> int:
    """Where a name ends: two characters are given unless the second begins another word (张伟|今年)."""
    end = match.end("given")
    if len(match["given"]) == 2 and _crosses(text, end - 1, end, terms):
        return end - 1
    return end


def _crosses(text: str, first: int, end: int, terms: Collection[str]) -> bool:
    return any(
        _is_word(text[first : first + size], terms)
        for size in range(end - first + 1, min(5, len(text) - first + 1))
    )


def _is_word(said: str, terms: Collection[str]) -> bool:
    return said in phrases_dict or said in terms or said in WORDS


def _holds_word(text: str, start: int, end: int, terms: Collection[str]) -> bool:
    """Whether a word begins with the name's surname or reaches over its end."""
    compound = text[start : start + 2] in COMPOUND_SURNAMES
    return any(_is_word(text[start : start + size], terms) for size in range(2 + compound, 5)) or any(
        _crosses(text, first, end, terms) for first in range(start, end)
    )


def find_spelled(text: str, names: Collection[str]) -> list[TextSpan]:
    """Where a character of one of ``names`` is explained by a word that holds it: 聪慧的慧, 曹操的曹."""
    characters = set("".join(names))
    return [
        TextSpan("name", match.start("word"), match.end("character"), 0.5, "spelled-out")
        for match in _SPELLED.finditer(text)
        if match["character"] in characters and match["character"] in match["word"]
    ]
