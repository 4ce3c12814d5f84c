"""The registered names of patient and relatives, as they are written, as they sound, and as people are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pypinyin import Style, pinyin
from pypinyin.phrases_dict import phrases_dict

from processing.spoken import fold
from processing.textspan import TextSpan

Relation = Literal["patient", "relative"]

_COMPOUND = frozenset(
    "欧阳 尉迟 诸葛 司马 上官 皇甫 令狐 东方 夏侯 慕容 长孙 端木 独孤 南宫 公孙 澹台 宇文 司徒 百里 呼延 轩辕 鲜于 闻人 申屠 太史 万俟 拓跋 完颜 司空 淳于 单于 赫连 钟离 公冶 濮阳 濮陽 亓官 仲孙 西门 纳兰".split()
)
# How a surname is read where the dictionary's first reading is another one.
_READINGS = {
    **{"单": "shan", "解": "xie", "仇": "qiu", "曾": "zeng", "查": "zha", "盖": "ge gai", "区": "ou", "任": "ren", "华": "hua"},
    **{"朴": "piao", "翟": "zhai di", "乐": "yue le", "缪": "miao", "宓": "mi fu", "冼": "xian", "员": "yun", "折": "she"},
    **{"黑": "he", "秘": "bi", "繁": "po", "种": "chong", "覃": "qin tan", "召": "shao", "洗": "xian", "撒": "sa", "车": "che"},
    **{"都": "du", "葛": "ge", "那": "na", "佴": "nai", "逄": "pang", "谌": "chen shen", "柏": "bai bo", "薄": "bo", "能": "nai"},
    **{"俞": "yu", "祭": "zhai", "句": "gou", "郗": "xi chi", "隽": "juan", "过": "guo", "哈": "ha", "宁": "ning", "娄": "lou"},
    **{"尉": "yu wei", "俟": "qi", "万": "mo wan", "澹": "tan", "长": "zhang", "令": "ling", "阚": "kan", "仉": "zhang", "燕": "yan"},
    **{"石": "shi", "贾": "jia", "沈": "shen", "尹": "yin", "曲": "qu", "牟": "mou mu", "纪": "ji", "应": "ying", "占": "zhan"},
    **{"便": "pian", "晟": "cheng", "眭": "sui", "郇": "xun huan", "乜": "nie", "殷": "yin", "臧": "zang", "卜": "bu", "曹": "cao"},
}
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文施洪季樊兰殷章庞颜倪聂耿温芦焦翟左辛管祁俞葛岳齐梅庄涂谷时柴裴游舒包鲁纪阮单解仇查盖区牛童凌欧尚辜司柯蒲宗苗关费柳翁靳耶鲍霍盛曲初桑房詹卞冉边阎邢符毕冀蓝娄池滕宁郁佟卓安宫简占蔺栾褚蒙申屈项郎邬景隋卜奚敖宿戚臧晏储仲车木尤巫华牟苑艾晋匡晁窦党甘沙成裘莘桂"
)
_TITLES = (
    "老先生|先生|女士|小姐|太太|老太太|阿姨|姨|大爷|大妈|大娘|大叔|叔叔|叔|伯伯|大伯|伯父|伯母|婶|奶奶|爷爷|大姐|姐姐|姐|大哥|哥|"
    "师傅|老师|同志|老爷子|老师傅|同学|总|女士家属|婆婆|阿婆|阿公|老弟|小妹|家的|家属|某某|某"
)
# Characters that bind a sentence together are no surname, however alike they sound (是先生 is not 石先生).
_FUNCTION = frozenset("是有在和跟问给让到的不就还又都那哪这也很了着过要会能可把被从向往对为以而或但因所只没再")
_SMALL = "小老阿"
# Given names that are words, and words that hold such a name or sound like one.
_WORDS = frozenset(
    "健康 平安 建国 和平 安静 文明 光明 明天 今天 黎明 海洋 美丽 建军 国庆 春天 冬天 秋天 夏天 春节 胜利 幸福 吉祥 如意 建设 跃进 红梅 玉兰 海燕 安宁 永远 永久 "
    "小时 小于 大于 小高 小白 小黄 小米 小麦 小方 小心 小安 小叶 小周 小金 小石 小苏打 老年 老是 老黄 老高 老白 老方 阿胶 小便 小腹 小肠 小腿 小指 小儿 小孩 小柴胡 小青龙 小建中 小陷胸 小茴香 "
    "小蓟 小满 老公 老婆 老伴 老师 老家 老人 老毛病 老花 老样子 老话 小杯 小碗 小包 小袋 小雨 小雪 小寒 小暑 小毛病 小路 小鱼 小牛 小羊 小马 小龙 小熊 小江 小常识 小康 小盖 小区 老区 小车 老车 "
    "小段 小时候 小项 小管 小单 小范围 小关节 小房 小店 小花 小草 小强度 小火 小汤 小水 小池 小边 小脸 小心 小样 小计 小任务 小石头 小结 小量 小剂量 小包装 小苗 小葱 小白菜 小黄米 小米粥 老汤 老毛 "
    "东西 缓解 了解 理解 分解 溶解 伟大 明显 强烈 文化 秀气 精神 经常 京城 静脉 颈椎 经络 经期 晴天 清楚 轻松 情绪 情况 时间 实在 事情 身体 声音 生气 症状 治疗 知道 植物 指标 质量 自己 最近 左边 右边 舌红 沉弱 沉细 沉缓 浮紧 弦滑".split()
)
_DOSE = re.compile(r"[\s,，、]?(?:各|用|量|是|到|加到|减到|改成|改为)?\s?(?:[0-9]+(?:\.[0-9]+)?|[一二三四五六七八九十百两半零]+)\s?(?:克|钱|两|G\b|G|毫升|片|粒|丸|枚|只|条|袋|斤)")
_BEFORE_HERB = re.compile(r"(?:用|加|减|去|配|开|含|入|服|吃|喝|煎|炒|炙|生|制|重用|轻用|佐|君|臣|味|药|方|汤|散|以|取|合|泡|炖|黑|怀|川|云|把)$")
_AFTER_HERB = re.compile(r"补|益|粉|水|汤|颗粒|注射液|切|后下|先煎|为君|为臣|为佐|性|味|归|温|量|的用量|炖|泡|煮|配|[、，](?:白术|当归|党参|茯苓|甘草|川芎)|汤|散|丸|饮|膏|这味|这个药")
_BEFORE_PERSON = re.compile(
    r"(?:叫|喊|给|跟|和|问|请|让|找|患者|病人|姓名|名字|名字是|我是|是|他|她|您|您好|你好|儿子|女儿|老伴|爱人|丈夫|妻子|母亲|父亲|妈妈|爸爸|妈|爸|媳妇|老公|老婆|哥哥|姐姐|弟弟|妹妹|家属|陪|女婿|孙子|孙女|外孙|姓|名|对|为|由|找|见|下一位|下一个|叫做|同志)"
    r"(?:是|叫|:|：|，|,|\s|、)?$|^$|[，,。！!？?；;：:\n\s]$"
)
_AFTER_PERSON = re.compile(
    r"(?:先生|女士|小姐|同志|阿姨|大爷|您|你|我|他|她|来|说|今年|今天|的药|的病|的号|的方|的家属|的脉|的单子|同学|在吗|在不在|请|啊|呀|呢|到了|进来|那个|回来|走了|昨天|上次|怎|哪|$|[，,。！!？?；;：:\n\s])"
)
_CALL = re.compile(r"[啊呀哎呐]?[，,\s]?(?:你|您|坐|请|把|来|躺|进来|帮|快)")
_GAP = r"[\s·・,，]{0,2}"


@dataclass(frozen=True)
class RegisteredName:
    """A name from the encrypted consultation record."""

    text: str
    relation: Relation = "patient"


@dataclass(frozen=True)
class _Name:
    surname: str
    given: str
    is_term: bool


def find_names(text: str, names: Sequence[RegisteredName], terms: Collection[str] = ()) -> list[TextSpan]:
    """Registered names in a folded ``text``.

    ``terms`` are words of medicine (herbs, formulas, points) in which a name may be hidden without being meant.
    """
    if not names:
        return []
    page = _Page(text, frozenset(fold(term) for term in terms))
    out: list[TextSpan] = []
    for registered in names:
        name = _parse(registered.text, page.terms)
        if name is not None:
            out += [*_full(page, name), *_given(page, name), *_called(page, name)]
    return out


class _Page:
    """A text with the sounds of its characters and the words that a name must not be cut out of."""

    def __init__(self, text: str, terms: frozenset[str]) -> None:
        self.text, self.terms = text, terms
        self.sounds = [_sounds(character) for character in text]
        self.words = [(start, end) for start, end in _words_in(text, terms)]
        self.term_places = [(start, end) for start, end in self.words if text[start:end] in terms]

    def cuts_word(self, start: int, end: int) -> bool:
        """Whether a word holds ``start`` to ``end`` or reaches across one of its ends."""
        return any(
            first < end and last > start and not (start <= first and last <= end and (first, last) != (start, end))
            for first, last in self.words
        )

    def crosses(self, place: int) -> bool:
        """Whether a word begins before ``place`` and ends after it."""
        return any(first < place < last for first, last in self.words)

    def in_term(self, start: int, end: int) -> bool:
        return any(first <= start and end <= last for first, last in self.term_places)

    def means_person(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 6) : start], self.text[end : end + 6]
        return _BEFORE_PERSON.search(before) is not None and _AFTER_PERSON.match(after) is not None

    def is_addressed(self, start: int, end: int) -> bool:
        """Somebody is called: 小白啊, 小区你坐."""
        return (start == 0 or self.text[start - 1] in "，,。！!？?；;：:\n ") and (
            _CALL.match(self.text, end) is not None
        )

    def means_herb(self, start: int, end: int) -> bool:
        """Something that is weighed, prepared or listed with other remedies."""
        beside = any(0 < end2 - start + 4 and start2 - end < 3 and (start2, end2) != (start, end) and not (start2 < end and end2 > start) and start - end2 < 3 for start2, end2 in self.term_places)
        return bool(
            beside
            or _DOSE.match(self.text, end)
            or _AFTER_HERB.match(self.text, end)
            or _BEFORE_HERB.search(self.text[max(0, start - 3) : start])
        )


def _parse(registered: str, terms: frozenset[str]) -> _Name | None:
    text = re.sub(r"[\s·・]", "", fold(registered))
    if len(text) < 2:
        return None
    size = 2 if text[:2] in _COMPOUND and len(text) > 2 else 1
    return _Name(text[:size], text[size:], text in terms)


def _full(page: _Page, name: _Name) -> Iterator[TextSpan]:
    whole = name.surname + name.given
    for start, end, exact in _places(page, whole, surname=len(name.surname)):
        if exact:
            doubtful = name.is_term or whole in phrases_dict or whole in _WORDS
            inside_term = page.in_term(start, end) and page.text[start:end] not in page.terms
            if inside_term or (page.means_herb(start, end) and not _called_by(page, start, end)):
                if doubtful or inside_term:
                    continue
            yield TextSpan("name", start, end, 0.6 if doubtful else 1.0, "registered-name")
        elif _sounds_meant(page, name, start, end):
            yield TextSpan("name", start, end, 0.7, "sounds-like-registered-name")


def _called_by(page: _Page, start: int, end: int) -> bool:
    """Somebody is announced or addressed: 患者黄芪, 黄芪女士."""
    return bool(
        re.search(r"(?:患者|病人|叫|姓名|名字|我是|您是|你是|这位是|下一位)(?:是|叫|:|：|，|\s)?$", page.text[max(0, start - 6) : start])
        or re.match(_TITLES + "|您|你|请进|来了|今年", page.text[end:])
    )


def _sounds_meant(page: _Page, name: _Name, start: int, end: int) -> bool:
    """Whether what only sounds like the name is meant as one."""
    said = page.text[start:end]
    if page.in_term(start, end) or page.means_herb(start, end) and len(said) < 3:
        return False
    if _DOSE.match(page.text, end):
        return False
    if len(name.surname) + len(name.given) >= 3:
        if page.means_person(start, end):
            return True
        return said not in page.terms and not (
            page.cuts_word(start, end) and (set(said) & _FUNCTION or page.crosses(start) and page.crosses(end))
        )
    if page.means_person(start, end) and not page.cuts_word(start, end):
        return True
    return said[0] in _SURNAMES and not page.cuts_word(start, end) and not set(said) & _FUNCTION


def _given(page: _Page, name: _Name) -> Iterator[TextSpan]:
    """The given name alone, where it has two characters."""
    if len(name.given) != 2:
        return
    is_word = name.given in _WORDS or name.given in phrases_dict or name.given in page.terms
    for start, end, exact in _places(page, name.given):
        if page.in_term(start, end) or (page.means_herb(start, end) and is_word):
            continue
        person = page.means_person(start, end)
        if exact and (person or (not is_word and not page.cuts_word(start, end))):
            yield TextSpan("name", start, end, 0.8, "given-name")
        elif not exact and not set(page.text[start:end]) & _FUNCTION and not page.cuts_word(start, end):
            if person and not _DOSE.match(page.text, end):
                yield TextSpan("name", start, end, 0.5, "sounds-like-given-name")


def _called(page: _Page, name: _Name) -> Iterator[TextSpan]:
    """小王, 老王, 王阿姨, 我姓王; 阿英 and 小英 for the last character of a given name."""
    text = page.text
    for start, end, exact in _places(page, name.surname, surname=len(name.surname), fuzzy=False):
        if not exact and (set(text[start:end]) & _FUNCTION or (len(name.surname) == 1 and text[start] not in _SURNAMES)):
            sure = False
        else:
            sure = True
        title = re.compile(_TITLES).match(text, end)
        if title and not set(text[start:end]) & _FUNCTION and not page.crosses(start) and (
            sure or page.means_person(start, title.end())
        ):
            yield TextSpan("name", start, title.end(), 0.8 if sure else 0.5, "surname-and-title")
        small = text[start - 1 : start]
        if small and small in _SMALL and sure and len(name.surname) == 1:
            if page.is_addressed(start - 1, end) or (
                not page.cuts_word(start - 1, end)
                and (page.means_person(start - 1, end) or (exact and not page.means_herb(start - 1, end)))
            ):
                yield TextSpan("name", start - 1, end, 0.6, "nickname")
        if re.search(r"(?:我|免贵|您|你|他|她|患者|病人|儿子|女儿)?姓$", text[max(0, start - 4) : start]) and (
            exact or sure
        ):
            yield TextSpan("name", start, end, 0.6, "surname")
    if name.given:
        for match in re.finditer(f"[小阿]{re.escape(name.given[-1])}", text):
            if page.means_person(*match.span()) and not page.cuts_word(*match.span()):
                yield TextSpan("name", match.start(), match.end(), 0.5, "nickname")


def _places(page: _Page, name: str, surname: int = 0, fuzzy: bool = True) -> Iterator[tuple[int, int, bool]]:
    """Where ``name`` is written or sounds; whether it is written so. Blanks may lie between its characters."""
    readings = [_name_sounds(character, place < surname) for place, character in enumerate(name)]
    for start in range(len(page.text)):
        at, exact, alike = start, True, 0
        for place, character in enumerate(name):
            if place:
                at = _skip(page.text, at)
            if at >= len(page.text):
                break
            if page.text[at] != character:
                exact = False
                if not page.sounds[at] & readings[place]:
                    if not fuzzy or not _blurred(page.sounds[at]) & _blurred(readings[place]):
                        break
                    alike += 1
            at += 1
        else:
            if alike <= (1 if len(name) > 2 else 0):
                yield start, at, exact


def _skip(text: str, at: int) -> int:
    found = re.compile(_GAP).match(text, at)
    return found.end() if found else at


def _words_in(text: str, terms: frozenset[str]) -> Iterator[tuple[int, int]]:
    longest = max(8, max(map(len, terms), default=0))
    for start in range(len(text)):
        for size in range(2, min(longest, len(text) - start) + 1):
            word = text[start : start + size]
            if word in phrases_dict or word in _WORDS or word in terms:
                yield start, start + size


@lru_cache(maxsize=20_000)
def _sounds(character: str) -> frozenset[str]:
    """Every reading of a character without its tone; empty where it is no Chinese character."""
    if not "\u3400" <= character <= "\u9fff":
        return frozenset()
    return frozenset(pinyin(character, style=Style.NORMAL, heteronym=True)[0])


def _name_sounds(character: str, in_surname: bool) -> frozenset[str]:
    special = _READINGS.get(character, "").split() if in_surname else []
    return frozenset(special) or _sounds(character)


@lru_cache(maxsize=20_000)
def _blurred(sounds: frozenset[str]) -> frozenset[str]:
    """Sounds that southern speakers and recognisers mix up, made one: zh z, ch c, sh s, n l, -ng -n."""
    pairs = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))
    out = set()
    for sound in sounds:
        for long, short in pairs:
            sound = sound.replace(long, short)
        out.add("n" + sound[1:] if sound.startswith("l") else sound)
    return frozenset(out)
