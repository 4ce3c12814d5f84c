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
    "的了是在我你您他她它们这那哪什么吗呢吧啊呀哦嗯就都也又还很太不没有和跟与及或但而因所把被给让对从向到过着得"
    "来去说看问找叫住做吃喝个些每次几多少岁男女号药病痛疼症"
)
_GIVEN = f"(?:(?![{_NOT_GIVEN}]){_HAN})"
_NAME = rf"(?P<name>{_SURNAME}{_GIVEN}{{1,2}}?)"
_SPACE = r"[\s:：，,、“”\"（(]{0,2}"
# Behind a name stands an end, or a word that begins something else.
_END = (
    r"(?=$|[\s，,。.；;、！!？?：:)）”\"/\-的了是在我你您他她今年男女来也和跟与及吧吗啊呀呢说想要从到给请主因就都有没"
    r"刚已去又还把被让对于]|反复|间断|同志|先生|女士|小朋友|陪|首诊|复诊|初诊|本人|同学|家属|电话|身份证|手机|\d|这|那|不)"
)
_SAYS_NAME = (
    "(?:(?:我|他|她|俺|咱|本人|名字?|孩子|人家|大名|全名|真名|本名|小名|[妈爸])(?:就)?叫(?:做)?|姓名(?:是|为|叫)?|"
    "名字(?:就)?(?:是|叫|写)|签名|签字人?|名儿(?:是|叫)|大名|小名|曾用名|患者名|叫名字|改名叫?)"
)
_PERSON = "(?:患者|病人|病患|家属|联系人|监护人|陪同人?|受试者|就诊人|持卡人|收件人|代办人|本人|求助人|同意人|授权人)"
_RELATIVE = f"(?:(?:我|他|她|俺|咱|孩子|患者|病人|老人)(?:的|们|家)?(?:{KIN})|(?:{KIN}))"
_CUES = (
    (re.compile(rf"{_SAYS_NAME}{_SPACE}{_NAME}{_END}"), False),
    (re.compile(rf"(?:{_PERSON}|{_RELATIVE})(?:姓名|名字)?(?:叫做?|名叫|是){_SPACE}{_NAME}{_END}"), False),
    (re.compile(rf"{_PERSON}(?:姓名)?{_SPACE}{_NAME}{_END}"), True),
    (re.compile(rf"{_RELATIVE}{_SPACE}{_NAME}{_END}"), True),
    (re.compile(rf"我(?:就)?是{_NAME}(?=的(?:{KIN}|家属|家人)|[，,。\s]|$)"), True),
    (re.compile(rf"(?:^|[，,。！!？?\s]){_NAME}(?:是|，)(?:我|他|她|患者|病人)的?(?:{KIN})"), True),
)
# Names of other peoples are written with a dot: 买买提·艾力.
_DOTTED = re.compile(rf"{_HAN}{{2,7}}(?:[·•・]{_HAN}{{1,7}})+")
# What is said to be a name is one whatever its surname: 姓名：阿依古丽.
_STATED = re.compile(
    rf"(?:姓名[:：是]|(?:我|名字|大名|小名|名|孩子)叫(?:做)?){_SPACE}(?P<name>{_GIVEN}{{2,6}})(?=[，,。；;\s！!]|$)"
)


def find_introduced(text: str, terms: Collection[str] = ()) -> list[TextSpan]:
    """Names in a folded ``text`` that are introduced as such; ``terms`` are words of medicine and no names."""
    return [*_dotted(text), *_stated(text, terms), *_behind_cues(text, terms)]


def _dotted(text: str) -> Iterator[TextSpan]:
    for match in _DOTTED.finditer(text):
        yield TextSpan("name", match.start(), match.end(), 0.7, "dotted-name")


def _stated(text: str, terms: Collection[str]) -> Iterator[TextSpan]:
    for match in _STATED.finditer(text):
        if not _is_word(match["name"], terms):
            yield TextSpan("name", match.start("name"), match.end("name"), 0.6, "said-to-be-a-name")


def _behind_cues(text: str, terms: Collection[str]) -> Iterator[TextSpan]:
    for pattern, doubtful in _CUES:
        for match in pattern.finditer(text):
            start, end = match.span("name")
            if not _is_word(match["name"], terms) and not (doubtful and _holds_word(text, start, end, terms)):
                yield TextSpan("name", start, end, 0.6, "introduced")


def _is_word(said: str, terms: Collection[str]) -> bool:
    return said in phrases_dict or said in terms or said in WORDS


def _holds_word(text: str, start: int, end: int, terms: Collection[str]) -> bool:
    """Whether a word of two to four characters begins with the name's surname or reaches over its end."""
    return any(
        _is_word(text[first : first + size], terms)
        for first in range(start, end)
        for size in range(2, 5)
        if first == start or first + size > end
    )
