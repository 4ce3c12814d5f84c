"""What stands around a name in a text: whether a person is meant or called, a remedy, or only part of a word."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from pypinyin.phrases_dict import phrases_dict

from processing.name_sounds import places, sounds_of
from processing.name_words import KIN, TITLES, WORDS

DOSE = re.compile(
    r"[\s,，、]?(?:各|用|量|是|到|加到|减到|改成|改为)?\s?(?:[0-9]+(?:\.[0-9]+)?|[一二三四五六七八九十百两半零]+)\s?(?:克|"
    r"钱|两|G\b|G|毫升|片|粒|丸|枚|只|条|袋|斤)"
)
_BEFORE_HERB = re.compile(
    "(?:用|加|减|去|配|开|含|入|服|吃|喝|煎|炒|炙|生|制|重用|轻用|佐|君|臣|味|药|方|"
    "汤|散|以|取|合|泡|炖|黑|怀|川|云|把)$"
)
_AFTER_HERB = re.compile(
    "补|益|粉|水|汤|颗粒|注射液|切|后下|先煎|为君|为臣|为佐|性|味|归|温|量|的用量|炖|"
    "泡|煮|配|[、，](?:白术|当归|党参|茯苓|甘草|川芎)|汤|散|丸|饮|膏|这味|这个药"
)
_BEFORE_PERSON = re.compile(
    "(?:叫|喊|给|跟|和|与|问|请|让|找|带|陪|接|扶|患者|病人|姓名|名字|名字是|我是|是|他|她|您|您好|"
    "你好|儿子|女儿|老伴|爱人|丈夫|妻子|母亲|父亲|妈妈|爸爸|妈|爸|媳妇|老公|老婆|哥哥|"
    "姐姐|弟弟|妹妹|家属|陪|女婿|孙子|孙女|外孙|姓|名|对|为|由|找|见|下一位|下一个|叫做|"
    "同志|[0-9一二三四五六七八九十]床|轮到|通知|叫一下|孩子|本人|[写念打叫听]成|写的是)"
    r"(?:是|叫|:|：|，|,|\s|、)?$|^$|[，,。！!？?；;：:\n\s]$"
)
_AFTER_PERSON = re.compile(
    "(?:先生|女士|小姐|同志|阿姨|大爷|您|你|我|他|她|来|说|今年|今天|的药|的病|的号|"
    "的方|的家属|的脉|的单子|同学|在吗|在不在|请|啊|呀|呢|到了|进来|那个|回来|走了|去|昨天|"
    r"上次|怎|哪|是(?:我|他|她|您|患者|病人)|$|[，,。！!？?；;：:\n\s])"
)
# Whoever is registered is meant where 小王 or 阿英 does, has or feels something, even if it is a word: 老黄今天好多了.
_BEFORE_NICKNAME = re.compile(
    f"(?:{_BEFORE_PERSON.pattern}|(?:上次|上回|那次|这次|今天|昨天|前天|刚才|上周|上礼拜|上个?月|前几天|那天|早上|晚上|昨晚|这个|那个|我们|咱们?|[们我他她]家|把|说|看|像|连|让|当时|后来|现在|因为|比|[叫喊]我|等|管|写的是?|别[\u3400-\u9fff]{{1,2}}|同事|朋友|邻居|同学|老乡)$)"
)
_AFTER_NICKNAME = re.compile(
    rf"(?:{_AFTER_PERSON.pattern}|[吃喝睡说在有没还就也都又比是从拖病疼觉打爱老总先咳吐哭想能会要不该得扎针灸住家这那一前后早晚昨今]|[带送陪接领拿交付签替帮问看]|了(?=[，,。！!？?\s]|$)|介绍|头[疼痛晕昏]|现在|最近|以前|以后|之前|自己|小时候|发烧|上午|下午|微信|电话|手机|的[身情舌脉血化检]|的?(?:{KIN}))"
)
# Behind these nobody but a person is called small or old: 给小孙扎针.
TO_SOMEBODY = re.compile("(?:给|让|跟|请|陪|扶|找|问|叫|喊|听|下一个|下一位|同事|我朋友|邻居)$")
_KIN_BEFORE = re.compile(f"(?:(?:我|他|她|您|你|俺|咱)们?(?:家|的)?(?:{KIN})|[我咱俺他她你您]们?家)$")
_CALL = re.compile(
    r"[啊呀哎呐]?[，,\s]?(?:你|您|坐|请|把|先|甭|慢|放心|来|躺|进来|帮|快|张嘴|张开|伸|听|别|乖|抬|不[许能要])"
)
TITLE = re.compile(f"(?!总[是共计想觉之])家?(?:{TITLES})")


class _Places:
    """Stretches (start, end) in order of their start; those near a place are found without a look at the others."""

    def __init__(self, places: Iterable[tuple[int, int]]) -> None:
        self.all = list(places)
        self._starts = [start for start, _ in self.all]
        self._longest = max((end - start for start, end in self.all), default=0)

    def near(self, start: int, end: int) -> list[tuple[int, int]]:
        """Every stretch that touches or overlaps ``start`` to ``end``, and some beside them."""
        return self.all[bisect_left(self._starts, start - self._longest) : bisect_right(self._starts, end)]


class Page:
    """A text with the sounds of its characters and the words that a name must not be cut out of."""

    def __init__(self, text: str, terms: frozenset[str]) -> None:
        self.text, self.terms = text, terms
        self.sounds = [sounds_of(character) for character in text]
        self._words = _Places(_words_in(text, terms))
        self._terms = _Places((start, end) for start, end in self._words.all if text[start:end] in terms)

    def places(
        self, name: str, surname: int = 0, fuzzy: bool = True, near: bool = False
    ) -> Iterator[tuple[int, int, bool]]:
        """Where ``name`` is written or sounds, as :func:`processing.name_sounds.places` tells."""
        return places(self.text, self.sounds, name, surname, fuzzy, near)

    def cuts_word(self, start: int, end: int, *, itself: bool = True) -> bool:
        """Whether a word holds ``start`` to ``end`` or reaches across one of its ends.

        A word from ``start`` to ``end`` counts if ``itself`` does.
        """
        return any(
            first < end
            and last > start
            and not (start <= first and last <= end and ((first, last) != (start, end) or not itself))
            for first, last in self._words.near(start, end)
        )

    def begins_word(self, start: int, end: int) -> bool:
        """Whether ``start`` to ``end`` is how a longer word begins."""
        return any(first == start and last > end for first, last in self._words.near(start, end))

    def ends_word(self, place: int) -> bool:
        """Whether a word ends at ``place``: 今天|麻阿姨, though 天麻 is one too."""
        return any(last == place for _, last in self._words.near(place, place + 1))

    def crosses(self, place: int) -> bool:
        """Whether a word begins before ``place`` and ends after it."""
        return any(first < place < last for first, last in self._words.near(place, place))

    def in_term(self, start: int, end: int) -> bool:
        return any(first <= start and end <= last for first, last in self._terms.near(start, end))

    def means_person(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 6) : start], self.text[end : end + 6]
        return _BEFORE_PERSON.search(before) is not None and _AFTER_PERSON.match(after) is not None

    def means_nickname(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 6) : start], self.text[end : end + 6]
        return _BEFORE_NICKNAME.search(before) is not None and _AFTER_NICKNAME.match(after) is not None

    def begins_clause(self, start: int) -> bool:
        """Whether nothing, or a word that calls or means a person, stands in front."""
        return _BEFORE_PERSON.search(self.text[max(0, start - 6) : start]) is not None

    def follows_kin(self, start: int) -> bool:
        """Whether whose relative it is has just been said: 我儿子|建军, 我们家|建军."""
        return _KIN_BEFORE.search(self.text[max(0, start - 8) : start]) is not None

    def is_addressed(self, start: int, end: int) -> bool:
        """Somebody is called: 小白啊, 小区你坐, 哎呀建国你来."""
        return (start == 0 or self.text[start - 1] in "，,。！!？?；;：:\n 啊呀哎哟嗨喂诶嗯哦好") and (
            _CALL.match(self.text, end) is not None
        )

    def means_herb(self, start: int, end: int) -> bool:
        """Something that is weighed, prepared or listed with other remedies."""
        beside = any(
            0 < end2 - start + 4
            and start2 - end < 3
            and (start2, end2) != (start, end)
            and not (start2 < end and end2 > start)
            and start - end2 < 3
            for start2, end2 in self._terms.near(start - 4, end + 4)
        )
        return bool(
            beside
            or DOSE.match(self.text, end)
            or _AFTER_HERB.match(self.text, end)
            or _BEFORE_HERB.search(self.text[max(0, start - 3) : start])
        )


def _words_in(text: str, terms: frozenset[str]) -> Iterator[tuple[int, int]]:
    longest = max(8, max(map(len, terms), default=0))
    for start in range(len(text)):
        for size in range(2, min(longest, len(text) - start) + 1):
            word = text[start : start + size]
            if word in phrases_dict or word in WORDS or word in terms:
                yield start, start + size
