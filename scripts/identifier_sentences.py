"""Sentences with identifiers and look-alikes without, made from a seed; half of the wordings is held back.

Nobody looks at the held-back wordings while rules are tuned: what is measured on them is what can be expected of
wordings that nobody here has thought of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from pypinyin import lazy_pinyin

from processing.identifiers import find_identifiers
from processing.names import RegisteredName
from processing.textspan import Kind, TextSpan

_TERMS = """
    黄芪 白芍 陈皮 杜仲 何首乌 王不留行 刘寄奴 徐长卿 当归 党参 白术 茯苓 甘草 川芎 熟地
    生地 麦冬 五味子 柴胡 黄芩 黄连 大黄 桂枝汤 小柴胡汤 六味地黄丸 四物汤 逍遥散 归脾汤
    补中益气汤 温胆汤 足三里 合谷 太冲 三阴交 内关 百会 大椎 肺俞 曲池 石膏 石斛 龙骨
    牡蛎 马齿苋 史国公酒 车前子 连翘 金银花 白芷 高良姜 常山 方剂 沙参 任脉 督脉 何人饮
    白前 苏叶 田七 万年青
"""
TERMS = tuple(_TERMS.split())
PEOPLE = (
    ("王秀英", "张建军"),
    ("单雄飞", "解小梅"),
    ("仇振华", "曾丽萍"),
    ("查良玉", "盖春生"),
    ("区志强", "尉迟文静"),
    ("黄芪", "陈皮"),
    ("刘洋", "杜仲林"),
    ("何首梧", "徐长清"),
    ("白芍", "石国栋"),
    ("李明", "欧阳雪梅"),
)
_SOUNDS_LIKE = {
    "王秀英": ("汪秀英", "王秀莹", "王绣英"),
    "张建军": ("章建军", "张健君", "张建均"),
    "单雄飞": ("善雄飞", "单熊飞", "山雄非"),
    "解小梅": ("谢小梅", "解晓梅", "谢晓玫"),
    "仇振华": ("邱振华", "裘震华", "秋镇华"),
    "曾丽萍": ("增丽萍", "曾莉平", "曾丽苹"),
    "查良玉": ("扎良玉", "查良钰", "查梁宇"),
    "盖春生": ("葛春生", "盖椿生", "盖春升"),
    "区志强": ("欧志强", "区治强", "欧志墙"),
    "尉迟文静": ("玉池文静", "尉迟文敬", "尉迟雯静"),
    "何首梧": ("何守吾", "贺首梧", "何守梧"),
    "徐长清": ("徐常青", "许长清", "徐长青"),
    "石国栋": ("史国栋", "石国冻", "时国栋"),
    "欧阳雪梅": ("欧阳雪玫", "欧阳学梅", "殴阳雪梅"),
    "杜仲林": ("杜忠林", "杜仲霖", "度仲林"),
}
_TITLES = ("先生", "女士", "阿姨", "大爷", "大姐", "奶奶", "叔叔")
_SPOKEN = dict(zip("0123456789X", "零一二三四五六七八九叉", strict=True))
_FILLERS = ("，", "，嗯，", "、", " ", "……", "，然后", "，那个，", "，再是")
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


@dataclass(frozen=True)
class Sentence:
    """A text, the places (kind, start, end) of its identifiers and the names that are registered."""

    text: str
    spans: tuple[tuple[str, int, int], ...]
    names: tuple[RegisteredName, ...]


Find = Callable[[str, Sequence[RegisteredName], Collection[str]], list[TextSpan]]


@dataclass(frozen=True)
class Score:
    """Of the true spans those covered whole, of the found spans those that meet a true one; and what went wrong."""

    recall: float
    precision: float
    missed: tuple[str, ...]
    wrong: tuple[str, ...]


def measure(
    sentences: Iterable[Sentence], terms: Collection[str] = TERMS, find: Find = find_identifiers
) -> Score:
    true = found = covered = right = 0
    missed: list[str] = []
    wrong: list[str] = []
    for sentence in sentences:
        spans = find(sentence.text, sentence.names, terms)
        hidden = {place for span in spans for place in range(span.start, span.end)}
        for kind, start, end in sentence.spans:
            whole = hidden.issuperset(range(start, end))
            true, covered = true + 1, covered + whole
            missed += [] if whole else [f"{kind} «{sentence.text[start:end]}» in {sentence.text}"]
        for span in spans:
            meets = any(start < span.end and span.start < end for _, start, end in sentence.spans)
            found, right = found + 1, right + meets
            wrong += (
                []
                if meets
                else [f"{span.kind} {span.why} «{sentence.text[span.start : span.end]}» in {sentence.text}"]
            )
    return Score(covered / max(1, true), right / max(1, found), tuple(missed), tuple(wrong))


def with_identifiers(count: int, *, held_back: bool, seed: int = 4) -> list[Sentence]:
    """``count`` sentences, the kinds in turn."""
    chance = random.Random(f"{seed} {held_back}")
    kinds = list(_WORDINGS)
    return [_sentence(chance, kinds[number % len(kinds)], held_back) for number in range(count)]


def look_alikes(count: int, *, held_back: bool, seed: int = 4) -> list[Sentence]:
    """``count`` sentences in which nothing identifies anybody."""
    chance = random.Random(f"{seed} {held_back} look-alikes")
    wordings = _LOOK_ALIKES[held_back]
    out = []
    for number in range(count):
        person = PEOPLE[number % len(PEOPLE)]
        text = re.sub(r"\{(\w+)\}", lambda m: _HARMLESS[m[1]](chance), wordings[number % len(wordings)])
        out.append(Sentence(text, (), _registered(person)))
    return out


def _registered(person: Sequence[str]) -> tuple[RegisteredName, ...]:
    return RegisteredName(person[0], "patient"), RegisteredName(person[1], "relative")


def _sentence(chance: random.Random, kind: Kind, held_back: bool) -> Sentence:
    person = chance.choice(PEOPLE)
    wording = chance.choice(_WORDINGS[kind][held_back])
    text, spans = "", []
    for part in re.split(r"(\{\w+\})", wording):
        if part.startswith("{"):
            said = _SAID[part[1:-1]](chance, person)
            spans.append((_KINDS.get(part[1:-1], part[1:-1]), len(text), len(text) + len(said)))
            text += said
        else:
            text += part
    if chance.random() < 0.15:
        bare = re.sub(r"[，。？！]", " ", text)
        text = bare if len(bare) == len(text) else text
    return Sentence(text, tuple(spans), _registered(person))


def _said(chance: random.Random, digits: str, groups: Sequence[int]) -> str:
    """``digits`` in one of the ways people write or say them."""
    way = chance.randrange(10)
    parts, at = [], 0
    for size in groups:
        parts.append(digits[at : at + size])
        at += size
    parts += [digits[at:]] if at < len(digits) else []
    if way == 0:
        return digits
    if way == 1:
        return digits.translate(_FULL_WIDTH)
    if way == 2:
        return chance.choice((" ", "-")).join(parts)
    if way == 3:
        return "".join(_aloud(chance, part) if chance.random() < 0.5 else part for part in parts)
    if way == 4:
        return " ".join(digits)
    spoken = [_aloud(chance, part) for part in parts]
    if way == 5:
        return "".join(spoken)
    if way == 6:
        return "，".join(_repeats(chance, part) for part in parts)
    if way == 7:
        place = chance.randrange(1, len(spoken)) if len(spoken) > 1 else 0
        wrong = _aloud(chance, "".join(str(9 - int(digit)) for digit in parts[place] if digit != "X"))
        first = chance.choice((spoken[place] + "，", wrong + "，不对，", wrong + "，说错了，"))
        return "，".join([*spoken[:place], first + spoken[place], *spoken[place + 1 :]])
    return "".join(
        part + (chance.choice(_FILLERS) if n < len(spoken) - 1 else "") for n, part in enumerate(spoken)
    )


def _repeats(chance: random.Random, digits: str) -> str:
    """三个八 for 888."""
    return re.sub(
        r"(\d)\1\1+|(.)",
        lambda m: f"{_SPOKEN[str(len(m[0]))]}个{_SPOKEN[m[1]]}" if m[1] else _aloud(chance, m[0]),
        digits,
    )


def _aloud(chance: random.Random, digits: str) -> str:
    one = chance.choice("一幺")
    zero = chance.choice("零洞〇零")
    ten = chance.choice(("叉", "X", "艾克斯"))
    return "".join({"1": one, "0": zero, "X": ten}.get(digit, _SPOKEN[digit]) for digit in digits)


def _id_number(chance: random.Random, _person: Sequence[str]) -> str:
    region = chance.choice(("110105", "110108", "130602", "370102", "230103"))
    body = f"{region}{chance.randint(1930, 2015)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}{chance.randint(0, 999):03}"
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    return _said(
        chance, body + "10X98765432"[total % 11], chance.choice(((6, 8, 4), (3, 3, 4, 4, 4), (6, 4, 4, 4)))
    )


def _part_of_id(chance: random.Random, _person: Sequence[str]) -> str:
    return _aloud(chance, f"110{chance.randint(100, 999)}{chance.randint(10, 99)}")


def _mobile(chance: random.Random, _person: Sequence[str]) -> str:
    digits = f"1{chance.choice('35789')}{chance.randint(0, 999_999_999):09}"
    return _said(chance, digits, chance.choice(((3, 4, 4), (3, 3, 5), (4, 4, 3))))


def _tail(chance: random.Random, _person: Sequence[str]) -> str:
    return _aloud(chance, f"{chance.randint(0, 9999):04}")


def _landline(chance: random.Random, _person: Sequence[str]) -> str:
    area = chance.choice(("010", "0312", "022", "0531"))
    return _said(chance, f"{area}{chance.randint(20_000_000, 88_888_888)}", (len(area), 4, 4))


def _local_line(chance: random.Random, _person: Sequence[str]) -> str:
    return _said(chance, str(chance.randint(20_000_000, 88_888_888)), (4, 4))


def _record(chance: random.Random, _person: Sequence[str]) -> str:
    if chance.random() < 0.3:
        return chance.choice(("M", "ZY", "A-")) + f"{chance.randint(0, 9_999_999):07}"
    return _said(chance, f"{chance.randint(0, 99_999_999):08}", (4, 4))


def _insurance(chance: random.Random, _person: Sequence[str]) -> str:
    return _said(chance, f"{chance.randint(10**11, 10**12 - 1)}", (4, 4, 4))


def _wechat(chance: random.Random, _person: Sequence[str]) -> str:
    word = chance.choice(("wangxy", "lily", "mei_mei", "zhangjj", "sunny", "laoma"))
    number = f"{chance.randint(100, 9999)}"
    return chance.choice(
        (
            f"{word}{number}",
            f"{word}_{number}",
            f"{word.upper()}{_aloud(chance, number)}",
            f"wxid_{number}{word}",
        )
    )


def _plate(chance: random.Random, _person: Sequence[str]) -> str:
    number = f"{chance.randint(10_000, 99_999)}"
    number = chance.choice(
        (number, _aloud(chance, number), "Q" + number[1:], number[:2] + "F" + _aloud(chance, number[3:]))
    )
    return chance.choice("京津冀鲁") + chance.choice("ABCN") + chance.choice(("", "", "·", " ")) + number


_MONTHS = "一二三四五六七八九"


def _date(chance: random.Random, _person: Sequence[str]) -> str:
    year, month, day = chance.randint(1932, 2012), chance.randint(1, 9), chance.randint(1, 9)
    long, short = str(year), f"{year % 100:02}"
    lunar = f"初{_MONTHS[day - 1]}"
    forms = (
        f"{year}年{month}月{day}日",
        f"{year}-{month:02}-{day:02}",
        f"{year}/{month}/{day}",
        f"{year}.{month:02}.{day:02}",
        f"{_years(long)}年{_MONTHS[month - 1]}月{lunar}",
        f"{_years(short)}年{_MONTHS[month - 1]}月{_MONTHS[day - 1]}号",
        f"{short}年{month}月{day}号",
        f"{_years(long)}年，{_MONTHS[month - 1]}月{chance.choice(('十五', '二十三', '廿三'))}",
        f"{_years(short)}年腊月{lunar}",
    )
    return chance.choice(forms)


def _years(digits: str) -> str:
    return "".join("零一二三四五六七八九"[int(digit)] for digit in digits)


def _day(chance: random.Random, _person: Sequence[str]) -> str:
    return chance.choice(("三月初八", "8月15号", "腊月二十三", "十月一号", "五月初五", "12月25日"))


def _year(chance: random.Random, _person: Sequence[str]) -> str:
    return chance.choice(("一九五六年", "56年", "1962年", "七三年"))


def _address(chance: random.Random, _person: Sequence[str]) -> str:
    n, m = chance.randint(1, 40), chance.randint(1, 6)
    room = f"{chance.randint(1, 18)}0{chance.randint(1, 6)}"
    unit = _MONTHS[m - 1]
    forms = (
        f"朝阳区望京西园四区{n}号楼{m}单元{room}",
        f"北京市海淀区学院南路{n}号院{m}号楼{room}室",
        f"西城区菊儿胡同{n}号",
        f"丰台区方庄芳城园{unit}区{n}楼{m}门{room}",
        f"河北省保定市清苑县李家庄村{unit}组",
        f"昌平区回龙观龙泽苑小区{n}栋{m}单元{room}号",
        f"通州区新华大街{n}号",
        f"东城区安定门外大街{n}号院{unit}单元{_aloud(chance, room)}",
        f"大兴区黄村镇兴丰大街{n}号",
        f"天通苑北二区{n}号楼",
        f"山东省济南市历下区泉城路{n}号",
        f"石景山区八角北里{n}栋{room}",
    )
    return chance.choice(forms)


def _home(chance: random.Random, _person: Sequence[str]) -> str:
    estate = chance.choice(
        ("富力又一城", "西山枫林", "铁道部家属院", "橡树湾", "翠微西里", "首开国风美唐", "")
    )
    building, unit = chance.randint(1, 40), _SPOKEN[str(chance.randint(1, 6))]
    room = _aloud(chance, f"{chance.randint(1, 28)}0{chance.randint(1, 8)}")
    ways = (
        f"{building}号楼{unit}单元{room}",
        f"{building}栋{room}",
        f"{building}楼{unit}门{room}",
        f"{building}号楼{room}室",
    )
    return estate + chance.choice(ways)


def _other_date(chance: random.Random, _person: Sequence[str]) -> str:
    """The second date of one and the same birth: on paper one, in truth another."""
    return f"{_years(str(chance.randint(1935, 1999)))}年{chance.choice(_MONTHS)}月初{chance.choice(_MONTHS)}"


def _short_address(chance: random.Random, _person: Sequence[str]) -> str:
    return chance.choice(
        ("望京花园", "龙泽苑小区", "帽儿胡同", "朝阳区", "李家庄村", "河北保定", "通州区梨园镇", "和平里东街")
    )


def _name(_chance: random.Random, person: Sequence[str]) -> str:
    return person[0]


def _relative(_chance: random.Random, person: Sequence[str]) -> str:
    return person[1]


def _alike(chance: random.Random, person: Sequence[str]) -> str:
    known = [name for name in person if name in _SOUNDS_LIKE]
    return chance.choice(_SOUNDS_LIKE[chance.choice(known)]) if known else person[0]


def _called(chance: random.Random, person: Sequence[str]) -> str:
    surname = person[0][:1]
    return surname + chance.choice(_TITLES)


def _small(chance: random.Random, person: Sequence[str]) -> str:
    return chance.choice("小老") + person[0][:1]


def _nick(chance: random.Random, person: Sequence[str]) -> str:
    return chance.choice("小阿") + person[0][-1]


def _latin(_chance: random.Random, person: Sequence[str]) -> str:
    """As a passport has it."""
    syllables = [syllable.capitalize() for syllable in lazy_pinyin(person[0])]
    return f"{syllables[0]} {''.join(syllables[1:]).capitalize()}"


def _given(_chance: random.Random, person: Sequence[str]) -> str:
    return person[1][-2:] if len(person[1]) > 2 else person[1]


_SAID: dict[str, Callable[[random.Random, Sequence[str]], str]] = {
    "name": _name, "relative": _relative, "alike": _alike, "called": _called, "small": _small, "given": _given,
    "id_number": _id_number, "part_of_id": _part_of_id, "mobile": _mobile, "landline": _landline, "local": _local_line,
    "birth_date": _date, "other_date": _other_date, "home": _home, "tail": _tail, "nick": _nick, "latin": _latin, "day": _day, "year": _year, "address": _address, "short_address": _short_address,
    "record_number": _record, "insurance_number": _insurance, "wechat": _wechat, "plate": _plate,
}  # fmt: skip
_KINDS = {
    "relative": "name", "alike": "name", "called": "name", "small": "name", "given": "name", "part_of_id": "id_number",
    "mobile": "phone", "landline": "phone", "local": "phone", "day": "birth_date", "year": "birth_date",
    "short_address": "address", "home": "address", "other_date": "birth_date", "tail": "phone", "nick": "name", "latin": "name",
}  # fmt: skip

# Each kind: wordings to tune by, and wordings held back.
_WORDINGS: dict[Kind, tuple[Sequence[str], Sequence[str]]] = {
    "name": (
        (
            "我叫{name}，今年五十六了", "患者{name}，女，主诉失眠两个月", "{name}请到三诊室", "这是我爱人{relative}，陪我来的",
            "{called}您好，最近睡得怎么样", "{small}啊，你把上次的方子拿出来", "{alike}来了没有", "病历上写的是{alike}",
            "让{small}先看吧，我不急", "上周{small}吃了七副药", "我同事{small}也在您这儿看", "{nick}，张嘴，我看看嗓子",
            "护照拼音是{latin}", "您是{name}吧？把舌头伸出来", "{given}，你去给妈倒杯水", "姓名：{name}，性别：女", "{called}，您这个脉弦细", "我女儿{relative}昨天也来看过",
        ),
        (
            "下一位，{name}", "{called}今天气色好多了", "您就是{alike}对吧", "大夫，我是{name}的家属", "我老伴叫{relative}，在门口等着",
            "请{alike}到窗口取药", "给{name}开七副药", "{small}，坐这儿来", "{given}你别着急，慢慢说", "我妈{relative}七十八岁",
            "上回{called}说吃了药胃不舒服", "名字怎么写？{name}", "{relative}是我儿子", "那{alike}的复诊约在下周三",
            "同学们看{called}的舌苔", "跟{small}讲清楚不能停药", "你们别吵{small}了", "我们家{nick}从小就爱咳嗽", "听{name}讲讲怎么得的病", "处方笺上填{name}",
        ),
    ),
    "id_number": (
        (
            "我身份证号是{id_number}", "{id_number}，这是我的身份证", "身份证号码：{id_number}", "您报一下身份证。{id_number}", "证件号{id_number}，没错吧",
            "身份证号是{part_of_id}，后面的我记不清了", "登记用的是{id_number}", "身份证输一下，{id_number}，慢点儿", "我念给你啊，{id_number}",
        ),
        (
            "身份证我背得下来，{id_number}", "您记一下，{id_number}，别记错了", "挂号的时候填{id_number}", "他的身份证号码呢是{id_number}",
            "身份证前面几位是{part_of_id}，后边看不清", "号是{id_number}，是我爱人的", "ID：{id_number}", "拿我妈的身份证挂的，{id_number}，您核对", "输入{id_number}就能查到",
        ),
    ),
    "phone": (
        (
            "我电话是{mobile}", "手机号{mobile}，微信也是这个", "有事打{mobile}找我女儿", "家里座机{landline}", "联系方式：{mobile}", "{mobile}，您记下了吗",
            "手机尾号{tail}，您查查", "我再说一遍，{mobile}", "您打我家里电话，{local}", "电话{landline}转8012", "留个手机吧，{mobile}",
        ),
        (
            "号码您存一下，{mobile}", "我儿子的手机是{mobile}", "晚上可以拨{landline}", "药到了就打{mobile}", "我给您念，{mobile}", "他单位的座机是{local}",
            "紧急联系人{mobile}", "要是不舒服就给我打，{mobile}", "快递留的{mobile}", "您手机后四位是{tail}吧", "晚上打家里{local}", "刚才说错了，是{mobile}", "办公室{landline}",
        ),
    ),
    "birth_date": (
        (
            "我是{birth_date}生的", "出生日期：{birth_date}", "您生日是哪天？{birth_date}", "我{birth_date}出生", "我生日是{day}", "他生于{birth_date}，属马",
            "我是{year}生人", "身份证上写的是{birth_date}，实际上是{other_date}", "您{year}的吧？对", "出生年月{birth_date}",
        ),
        (
            "孩子的生日{birth_date}", "我妈{birth_date}出生的", "生日嘛，{day}", "患者{birth_date}生，汉族", "您哪年出生的？{year}", "我是{birth_date}的，属猴",
            "他是{year}出生的", "我{year}生的，老三届", "出生日期是{birth_date}，其实应该是{other_date}", "身份证上出生日期是{birth_date}", "阴历{day}的生日",
        ),
    ),
    "address": (
        (
            "我家住在{address}", "住址：{address}", "药寄到{address}就行", "我住{short_address}", "地址是{address}", "家在{short_address}，过来要一个小时",
            "现住{address}", "快递送到{address}，放门口", "家里是{home}，没电梯", "我们搬到{home}有三年了", "{address}，您记一下",
        ),
        (
            "我们搬到{address}了", "住{home}，一楼潮得很", "药请快递{home}", "家庭住址{address}", "现在租在{short_address}", "您给我邮到{address}吧", "户口在{address}", "我从{address}过来的",
            "她住在{short_address}那边", "老家是{short_address}的", "收件地址写{address}",
        ),
    ),
    "record_number": (
        (
            "病历号是{record_number}", "门诊号：{record_number}", "我的住院号{record_number}", "就诊卡号是{record_number}，您查查", "病案号{record_number}",
            "{record_number}是我的病历号", "病例号{record_number}", "预约码{record_number}，短信里有", "登记号为{record_number}",
        ),
        (
            "就诊卡号您念一下？{record_number}", "病历本上的号是{record_number}", "查一下门诊号{record_number}的片子", "住院号码：{record_number}", "卡号{record_number}", "检查号{record_number}，片子在系统里",
            "我那个病历号呢，是{record_number}", "档案号{record_number}",
        ),
    ),
    "insurance_number": (
        (
            "医保卡号是{insurance_number}", "社保号{insurance_number}", "我的医保号：{insurance_number}", "医保卡上写的是{insurance_number}", "参保号码{insurance_number}",
        ),
        (
            "社保卡号报一下，{insurance_number}", "医保编号{insurance_number}", "刷医保吧，卡号{insurance_number}", "新农合的号是{insurance_number}", "社会保障卡{insurance_number}",
        ),
    ),
    "wechat": (
        (
            "我微信号是{wechat}", "加我微信{wechat}", "微信：{wechat}", "您搜{wechat}，那是我的微信", "我的微信 {wechat} 头像是朵花", "微信号{wechat}，备注看病",
        ),
        (
            "加个微信吧，{wechat}", "我的微信你记一下啊，{wechat}", "{wechat}是我微信号", "舌头照片发微信{wechat}", "微信{wechat}，回头把方子发过去", "微信ID是{wechat}",
        ),
    ),
    "plate": (
        (
            "我车牌是{plate}", "车停楼下了，{plate}", "车牌号{plate}，麻烦登记一下", "{plate}那辆车是我的", "我开的车，牌照{plate}",
        ),
        (
            "麻烦给{plate}免个停车费", "车号{plate}", "门口那辆{plate}挡路了", "车牌{plate}，白色的", "停车登记写{plate}",
        ),
    ),
}  # fmt: skip

_HARMLESS: dict[str, Callable[[random.Random], str]] = {
    "dose": lambda c: c.choice(("十五克", "15克", "30g", "三十克", "六钱", "10 克", "９克", "一两")),
    "herb": lambda c: c.choice(
        (
            "黄芪",
            "白芍",
            "陈皮",
            "杜仲",
            "何首乌",
            "王不留行",
            "刘寄奴",
            "徐长卿",
            "当归",
            "石膏",
            "高良姜",
            "车前子",
            "白术",
        )
    ),
    "times": lambda c: c.choice(("每日三次", "一天两次", "每天3次", "早晚各一次", "三次")),
    "time": lambda c: c.choice(("三点一刻", "14:30", "上午九点半", "下午2点15分", "七点四十")),
    "visit": lambda c: c.choice(
        (
            "二零二六年三月八号",
            "2026年3月8日",
            "2026-03-08",
            "下周三",
            "三月十五号",
            "2025/11/02",
            "今年五月初八",
        )
    ),
    "pressure": lambda c: c.choice(
        ("一百三十到八十五", "130/85", "一百四十五，九十", "150/95mmHg", "138比92")
    ),
    "point": lambda c: c.choice(("足三里", "ST36", "合谷", "LI4", "三阴交", "太冲", "BL13", "大椎")),
    "age": lambda c: c.choice(("五十六岁", "78岁", "三岁半", "六十七", "45岁")),
    "price": lambda c: c.choice(("一百二十块", "358元", "三百五", "12.5元", "一千二百元")),
    "formula": lambda c: c.choice(
        ("小柴胡汤", "六味地黄丸", "桂枝汤", "逍遥散", "归脾汤", "四物汤", "补中益气汤")
    ),
    "lab": lambda c: c.choice(("6.8", "132", "一百三十二", "5.6", "七点二", "12.3")),
    "days": lambda c: c.choice(("七天", "14天", "十四剂", "三个月", "半年", "两周")),
}

_LOOK_ALIKES: tuple[Sequence[str], Sequence[str]] = (
    (
        "{herb}{dose}，{herb}{dose}，{times}", "血压{pressure}，心率七十八", "{time}再来复查", "{visit}来复诊", "针{point}，留针二十分钟", "患者{age}，反复咳嗽{days}",
        "{formula}加{herb}{dose}", "这副药{price}，一共{days}", "血糖{lab}，尿酸{lab}", "手机看多了眼睛干涩", "打电话问了三四次都没人接", "上次电话里说的那个方子还吃着",
        "请到三诊室，305房间", "二楼取药，三号楼一层抽血", "一天走一万二千步，大概八公里", "舌苔老黄，小便黄", "高压小于140就行，低压小于九十", "小黄米粥可以喝",
        "{age}那年得过肝炎", "一九九八年做过阑尾手术", "2019年3月8日查的胃镜", "三月初八开始肚子疼", "从{visit}开始发烧", "{herb}用到{dose}也可以", "先煎{herb}三十分钟",
        "身份证带了吗", "医保卡刷一下", "病历本放桌上，血压{pressure}", "微信上问过您", "微信运动每天八千步", "车停在门口了", "我属马的，本命年", "天快黎明的时候会醒",
        "心区隐痛，肝区不适", "今天和阿姨一起来的", "小时候得过肺炎", "住院住了{days}", "住六楼，爬楼梯膝盖疼", "每天在小区里散步四十分钟", "出门走两条街就喘",
        "脉沉细，关脉弱", "老年人睡五六个小时够了", "吃到第三四天就好了", "T38.5，P92，R20，BP130/85", "体重一百三十八斤，身高一米七五", "大便一天三四次，不成形",
        "{herb}、{herb}各{dose}", "一二三四五六七，数着呼吸", "月经二十八九天来一次", "末次月经{visit}", "白细胞{lab}，血红蛋白132", "还有三十二个号，前面二十个",
        "挂号费{price}", "这是先生常用的{formula}", "方子里{herb}去掉，加{herb}", "七八点钟睡，四五点醒", "腰4、5椎间盘突出", "颈5、6、7有骨刺", "左边第三、四肋疼",
        "房颤十二年，糖尿病八年", "量了三次，152、90、148、88、150、91", "糖类抗原199是94577", "李时珍说{herb}甘温", "蒲辅周老先生治热病", "王叔和脉经二十四脉",
        "伤寒论第三十八条大青龙汤证", "{point}直刺一寸五分", "山西老陈醋", "谢谢大夫", "住得近，走路十分钟",
    ),
    (
        "{herb}减到{dose}，别的不动", "早上血压{pressure}，晚上低一点", "约{time}做B超", "下次{visit}过来", "取{point}、{point}，平补平泻", "{age}，绝经{days}",
        "原方{formula}，{herb}改{dose}", "煎药费{price}", "甘油三酯{lab}，胆固醇{lab}", "手机号码都忘带了没关系", "电话随访过两回", "接了三个电话心里就烦", "去二诊室量血压，{pressure}",
        "化验在一号楼三层", "爬到五楼就喘，一分钟一百二十下", "苔黄腻，老痰多", "尿蛋白两个加号", "大于三十八度五再吃退烧药", "煮点小米粥", "手术是二零一五年六月做的", "2023.05.12住过院",
        "五月初五那天吃了粽子拉肚子", "{visit}以后没再疼", "{herb}{dose}后下", "{herb}切片泡水，{times}", "身份证忘在家里了", "医保能报百分之七十", "病历写好了，三页",
        "微信转了{price}给药房", "微信群里二百三十个人", "开车来的，堵了一个半小时", "属龙，今年{age}", "一到黎明就咳嗽", "胃脘部、脐周都压痛", "跟阿姨说了三遍", "老是头晕，小腿抽筋",
        "出院{days}了", "住三楼没电梯", "村里人都这么吃", "走路十五分钟到地铁", "右关弦滑，尺脉弱", "一晚上醒七八回", "第五六天开始退烧", "HR88，SpO2 97%", "腰围九十六，体重下降五六斤",
        "小便一晚上三四次", "{herb}和{herb}是一对", "从一数到十，慢慢吐气", "周期三十二天，经期五六天", "预产期{visit}", "尿酸四百八十六，肌酐{lab}", "排到三十七号了", "一盒三十六块五，吃{days}",
        "老先生传下来的{formula}", "{herb}有补气的作用", "两三点钟必醒", "骶1、2有隐裂", "胸12压缩", "高血压十五六年", "批准文号国药准字Z11020001", "药瓶批号20260112", "坐标三二一四五六，机器编号",
        "生黄芪三十，炒白术十五，{times}", "测了三天，130 79 166 91 125 68", "维生素B12是350", "张景岳的左归右归", "孙思邈千金方治消渴", "李东垣的脾胃论",
        "四君子、四物、八珍、十全大补", "灸{point}三壮", "同学们先谈谈感受", "到二号楼一层药房", "坐特8路公交车来的", "国家标准GB/T 16751.2",
    ),
)  # fmt: skip
