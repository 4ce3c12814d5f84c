"""Where somebody lives: names of places with what they end in, numbers of houses, and the verbs of living."""

from __future__ import annotations

import re
from collections.abc import Iterator

from processing.name_words import KIN
from processing.place_names import CITIES, DISTRICTS, PROVINCES
from processing.spoken import DIGIT, FILLER
from processing.textspan import TextSpan

_PLACE = rf"(?:{PROVINCES}|{CITIES}|{DISTRICTS})"
# No name of a place holds these, or begins with the others: they part it from what was said before.
_NEVER = "址填的了是在住到我你他她它咱俺您们把这那去给被让着呢吗啊哦嗯呃很不没也又再吃喝说叫每么几某哪从寄送搬往就找用请附搁,，、。；;：:！!？?\\s"
_NOT_FIRST = "离距都家来有还跟和与及问开走过先会能要想看见于各里边近个位次名片种克址回"
_STREET_END = "路|大街|街|大道|胡同|巷|弄|条|里|道|桥|门外|门内|营|庄|村|屯|堡|坊|沿|夹道"
_ESTATE_END = (
    "小区|花园|家园|公寓|大厦|新村|大院|宿舍楼?|家属院|家属楼|佳苑|馨苑|嘉园|苑|园|府|"
    "庭|湾|山庄|别墅|华庭|名都|新城|城|公馆|广场|院|雅居|[嘉名雅晓逸]居|(?<!建)筑|邸|轩|墅|郡|邑|汀|庐|阁(?!楼)|听[澜涛雨松竹]"
)
_SECTION = "(?:[一二三四五六七八九十0-9]{1,2}[代期]|[东西南北中]?[一二三四五六七八九十]?[东西南北中上下前后]?(?:区|里|路|街|巷|条|胡同|园|段|[东西南北]口)|[东西南北中](?=[一二三四五六七八九十0-9]))?"
_AREA_END = "省|自治区|自治州|市|地区|区|县|旗|镇|乡|街道办?|开发区|社区|村委会|村|屯|新区"
_NO = (
    rf"(?:(?:[0-9]|{DIGIT}|[十百]|[甲乙丙丁]){{1,6}}(?:[\-－之](?:[0-9]|{DIGIT}){{1,5}}){{0,3}}|"
    "[A-Z][0-9]*|[甲乙丙丁])"
)
_HOUSE_END = "号宿舍楼?|宿舍楼|#楼?|号旁门|号公寓|号院|号楼|号|栋|幢|座|单元|门洞|门|层|室|户|院|楼|弄|组|队|排|支|区|期"
_NOT_HOUSE = "(?!针|方|线|药|机|文|台|诊|病(?!历|案)|床|窗|穴|脉|汤|丸|膏|样|切口)"
_HOUSE = rf"(?:{_NO}\s?(?:号内{_NO}号|{_HOUSE_END}){_NOT_HOUSE}|[0-9]{{1,3}}#[0-9]{{1,2}}[\-－][0-9]{{3,4}}(?![0-9])|[0-9]{{1,4}}(?:[\-－][0-9]{{1,4}}){{1,3}}(?![0-9]))"
_ROOM = rf"(?:[0-9]{{3,4}}(?![0-9])|[一二三]?十[一二三四五六七八九]?零[一二三四五六七八九]|{DIGIT}{{3,4}}(?!{DIGIT}(?!个)))(?![年月克毫块元次步天%])(?:室|房|号)?"
_JOIN = rf"(?:[\s,，、\-]|{FILLER}|的|那个|那边|那儿|边上|旁边|附近|对面|后头){{0,3}}"
_ROOM_BEHIND = re.compile(f"{_JOIN}{_ROOM}")
_NOT_STREET = "(?![东西南北中]{0,2}(?:大街|街(?!道)|路|道|胡同)|门[内外])"
_NUMBERS = rf"{_HOUSE}(?:{_JOIN}(?:{_HOUSE}|{_ROOM})){{0,6}}"
# Whatever stands between a place and a building is the name of an estate: 裕华区|远洋山水|15栋.
_LOOSE = rf"[^{_NEVER}0-9A-Z]{{2,8}}?(?={_NO}\s?(?:号院|号楼|栋|幢|座|单元|区{_JOIN}{_NO}\s?(?:号楼|栋)|楼{_JOIN}{_NO}\s?(?:单元|门))|[0-9]{{1,3}}[\-－#][0-9]{{1,2}}[\-－][0-9]{{3,4}}(?![0-9]))"


def _area(first: str) -> str:
    inner = f"[^{_NEVER}0-9A-Z]"
    return rf"(?:{first}{inner}{{0,6}}?(?:{_AREA_END})[镇乡村]?|{_PLACE}(?:省|市|区|县|镇|街道|地区)?{_NOT_STREET})"


def _named(first: str) -> str:
    return rf"{first}[^{_NEVER}0-9A-Z号]{{0,7}}(?:{_ESTATE_END}|{_STREET_END}){_SECTION}"


def _whole(first: str) -> re.Pattern[str]:
    """Areas, then streets and estates with their numbers; a name begins with a character of the set ``first``.

    Right behind an area a name may begin with any character: 天津市|和平区, 望京街道|来广营.
    """
    any_first = f"[^{_NEVER}0-9A-Z]"
    area, named = _area(first), _named(first)
    # Right behind a county stands a town or village of any name: 威宁县|迤那镇.
    town = "(?<=[省市区县旗镇乡])[\\u3400-\\u9fff]{1,4}?(?:镇|乡|村|街道)"
    areas = f"{area}(?:{_area(any_first)}|{town}|{_JOIN}{area}){{0,6}}{_JOIN}"
    behind = f"(?:(?<=[省市区县镇乡道]){_named(any_first)}|{named})"
    loose = _LOOSE if first != _FIRST else f"(?(areas){_LOOSE}|(?!))"
    return re.compile(
        f"(?P<areas>{areas})?(?P<named>(?:{behind}(?:{_JOIN}{named})?|{loose}){_JOIN})?"
        f"(?P<numbers>{_NUMBERS}(?:{_JOIN}(?:{named}|{_LOOSE})(?:{_JOIN}{_NUMBERS})?){{0,2}})?"
    )


_FIRST = f"(?:[^{_NEVER}{_NOT_FIRST}0-9A-Z]|和(?=平)|开(?=发|封|元)|先(?=农|锋))"
_LEVEL = re.compile(f"{_PLACE}(?:省|市|区|县|镇|街道|地区)?|{_AREA_END}")
_WHOLE = _whole(_FIRST)
_WHOLE_AFTER_LIVES = _whole(f"(?!里?有|得|属|离(?!石)|距)[^{_NEVER}0-9A-Z]")
# A building with a unit or a room, or a room in a unit, is somebody's home without any name.
_HOME = re.compile(
    rf"(?:{_NO}\s?(?:号院|号楼|栋|幢|座|楼){_JOIN}{_NO}\s?(?:单元|门){_JOIN}|{_NO}\s?单元{_JOIN}(?:{_NO}\s?(?:层|"
    rf"楼){_JOIN})?(?:{_ROOM}|{_NO}\s?[室号户])|{_NO}\s?(?:号楼|栋|幢){_JOIN}{_ROOM}|{_NO}\s?号院{_JOIN}{_NO}\s?号?楼|"
    r"(?<=[\u3400-\u9fff])[0-9]{1,3}[\-－#][0-9]{1,2}[\-－][0-9]{3,4}(?![0-9\-]))"
)
_LONE_ROOM = re.compile(
    rf"(?P<room>(?:[0-9]{{3,4}}|{DIGIT}{{3,4}})(?:室|号房(?!间)))(?P<after>的住户|的?邻居)?"
)
# The name of its estate, of whatever characters, is what stands between it and a word or a mark that begins something.
_BEFORE_HOME = re.compile(
    r"(?:.*(?:[\s，,、。；;：:！!？?]|住|在|搁|到|寄|送|写|是|的|快递|地址|家(?!小区|园|属)里?|搬|回|从|去))?(?P<name>[\u3400-\u9fff]{2,10})$"
)
_LANE = re.compile(rf"{_FIRST}[^{_NEVER}0-9A-Z]{{0,3}}胡同")
_GENERIC_LANE = re.compile("^(?:老|小|大|一条|条|北京|逛|穿|钻|死)*胡同$")

_LIVES = re.compile(
    "(?:药寄|邮寄|换到|搬进|住址|地址|户口|户籍|籍贯|现住|常住|居住|老家|住在|家住|搬到|搬去|搬家到|寄到|"
    "寄往|寄去|送到|快递到|邮到|发到|家是|租在|搁|(?:家|房子?|宅子?|单位宿舍)(?:就|都|也|现在|目前)?(?:买|租)?在|定居|(?:村子?|小区|"
    "社区|街道|胡同|地方|地儿)叫|住|家)"
    r"(?:在?[^，,。\d]{0,8}(?:后头|旁边|附近|对面|那边)(?:的|那个)?)?"
    rf"(?:(?:是|在|到|就|现在|目前|一直|也|还|都|地|所在地|写|填|应该|好像|可能|大概|其实|呢|叫|具体|详细|名字|登记|目前|改|换|成|为|我|于|:|：|，|,|\s|{FILLER}){{0,5}})$"
)
_LIVES_AFTER = re.compile(
    "(?:那边|附近|那儿|那块儿?|那里|里)?(?:租房|租了|租的|住|定居|买的?房|安家|有套房|"
    "过来|赶来|来的|赶过来|坐车来|(?:坐|打|开|乘|骑)[^，,。]{1,5}(?:来的|过来))|[\\s,，]?就住[那这]|[\\s,，。]{0,2}(?:嗯|对|这|就|那|个|才)*是(?:[^，,。]{0,7}(?:地址|住址|老家)|(?:我|我们|他|她|俺|咱)们?家(?=[，,。；;！!？?\\s]|$))"
)
# 从通州坐地铁来的 tells where somebody lives and not of the underground.
_BY_VEHICLE = re.compile("(?:坐|打|开|乘|骑)[^，,。]{1,5}(?:来的|过来)")
_LABEL = re.compile(
    r"(?:家庭住址|居住地址|现住址|联系地址|通讯地址|户籍地址|住址|地址|户口所在地)\s?[:：]\s*(?P<rest>[^，,。；;！!？?\n]{4,40})"
)
_CALLED = re.compile(
    r"(?:小区|村子?|社区|胡同|楼盘|大院)(?:的?名字?)?叫(?:做|个)?(?P<rest>[^，,。；;！!？?\s什啥]{2,12})"
)
_CLINIC = re.compile(
    "诊室|取药|检查|抽血|药房|缴费|化验|窗口|住院部|门诊|急诊|病房|病区|病床|科室|拍片|"
    "导诊|挂号|B超|CT|核磁|大厅|候诊|针灸科|推拿|煎药|(?<![没有])电梯|会议|教室"
)
_INSTITUTE = re.compile(
    r"[^，,。\s]{0,12}?(?:医院|中医院|卫生院|卫生所|诊所|药店|同仁堂|大学|学院|研究所|"
    "疾控|公园|地铁|车站|机场|商场|超市|饭店|菜市场|派出所|法院|产的|特产|场)"
)
# 从东直门医院转过来的, 从天坛公园坐地铁过来: nobody lives there.
_FROM_INSTITUTE = re.compile("(?:医院|外院|卫生院|诊所|大学|学院|公园|动物园|植物园|颐和园|圆明园|长城)转?$")
_KNOWN_NAME = re.compile("路|大街|胡同|小区|村|家园|花园|公寓|新村|营|庄")
_GENERIC = re.compile(
    "^(?!(?:花园|公园|家园)[路街道])(?:农村|山村|城|小区|这个小区|老小区|新小区|同一个?小区|院|大院|本市|城市|外地|"
    "县城|乡镇|村|平房|楼房|宿舍|医院|住院|出院|公园|花园|家园|一楼|[一二三四五六七八九十0-9]+楼|"
    "[一二三四五六七八九十0-9]+层|马路|路|大街|街|道|门|城里|市区|郊区|老城区|病区|学校宿舍|"
    "单位宿舍|公司宿舍|北京市?|省|市|.*[次回过]院|.*医院里?|.*家庭)+$"
)
# 从石家庄过来: a million people do.
_CITY = re.compile(f"(?:{CITIES})市?")
_PARTS_OF_BODY = re.compile(
    "^(?:心前|心|肝|肾|胃|脾|肺|腰|腰骶|骶|背|肩|颈|项|胸|胁|腹|下腹|上腹|脐|膝|头|颞|"
    "病|灾|疫|山|时|误|盲|禁)区$"
)


# Behind a known place, where somebody lives: 老家安徽阜阳|临泉的.
# What a name of a place may go on with: 十里|河, 三里|屯.
_PLACE_TAIL = re.compile(r"[河店口坡沟岭台坟井寺庙桥村屯堡](?=[，,。；;！!？?\s那的]|$)")
_SMALLER_PLACE = re.compile(
    rf"(?P<place>(?!过来|赶来|来|[坐乘开打转跟]|那边)[^{_NEVER}0-9A-Z]{{2,8}})(?=的|人|那边|那儿|来|[，,。；;！!？?\s]|$)"
)


# 我在顺义后沙峪住, and not 我在海南住了一个月.
_LIVES_IN = re.compile(
    rf"[在搁](?P<place>{_PLACE}[^{_NEVER}0-9A-Z]{{0,8}}?)(?:那边|附近|那儿)?(?:住|租|买|定居|安家)(?!院|了?{_NO}|过|了?几|了?好)"
)


# 我是天通苑的, and not 我是三里屯派出所的.
_FROM = re.compile(
    rf"(?:我们?|咱们?|俺们?|他们?|她们?|本人|患者|病人|{KIN})(?:家|都|也|就|原来|以前|是?住)?是(?P<place>(?!(?:{PROVINCES})的)"
    rf"(?:{_PLACE}|(?:{_PLACE})?[^{_NEVER}{_NOT_FIRST}0-9A-Z院]{{2,6}}(?:小区|花园|家园|公寓|新村|家属院|嘉园|苑|胡同|镇|乡|村){_SECTION})"
    r"(?:那边|那儿|那块儿?|这边)?)的(?=[，,。；;！!？?\s吧啊]|$)"
)


def find_addresses(text: str) -> list[TextSpan]:
    """Addresses in a folded ``text``; the place of the clinic, of an institution or of the body is none."""
    return [
        *_labelled(text),
        *_written(text),
        *_homes(text),
        *_lanes(text),
        *_lived_in(text),
        *_said_to_be_from(text),
    ]


def _labelled(text: str) -> Iterator[TextSpan]:
    for pattern in (_LABEL, _CALLED):
        for match in pattern.finditer(text):
            yield TextSpan("address", match.start("rest"), match.end("rest"), 0.8, "announced")


def _written(text: str) -> Iterator[TextSpan]:
    at = 0
    while at < len(text):
        pattern = _WHOLE_AFTER_LIVES if _LIVES.search(text[max(0, at - 16) : at]) else _WHOLE
        match = pattern.match(text, at)
        if match is None or not match[0]:
            at += 1
            continue
        found = _judge(text, match)
        if found:
            yield found
        at = max(at + 1, found.end) if found else at + 1


def _judge(text: str, match: re.Match[str]) -> TextSpan | None:
    """Enough of an address: a name and a number, two areas or one with a verb of living before them."""
    start, end = match.start(), match.start() + len(match[0].rstrip(" ,，、-的\n"))
    said = text[start:end]
    home = _LIVES.search(text[max(0, start - 16) : start]) is not None
    lives = home or _LIVES_AFTER.match(text, end) is not None
    areas, named, numbers = (match[name] or "" for name in ("areas", "named", "numbers"))
    if (
        (
            _INSTITUTE.match(text, end)
            and not _BY_VEHICLE.match(text, end)
            or not home
            and _FROM_INSTITUTE.search(said)
        )
        and not numbers
        or _CLINIC.search(text[start : end + 8])
        and not lives
    ):
        return None
    if text[start - 1 : start + 1] == "住院" or _GENERIC.match(said) or _PARTS_OF_BODY.match(said):
        return None
    if re.fullmatch(f"(?:{PROVINCES})(?:省|市)?", said) or not home and _CITY.fullmatch(said):
        return None
    levels = max(len(_LEVEL.findall(part)) for part in re.split("[,，、]", areas))
    if numbers and (named or areas) and not _GENERIC.match((areas + named).strip(" ,，、的")):
        return TextSpan("address", start, end, 0.9 if lives else 0.7, "name-and-number")
    if lives and named and (room := _ROOM_BEHIND.match(text, end)):
        end = room.end()
    if lives and (tail := _PLACE_TAIL.match(text, end)):
        end = tail.end()
    if lives and levels and said == areas and (smaller := _SMALLER_PLACE.match(text, end)):
        end = smaller.end("place")
    if lives and (levels or (named and not _GENERIC.match(named.strip(" ,，、的")))):
        return TextSpan("address", start, end, 0.7, "where-somebody-lives")
    if levels >= 2 and re.compile("人(?![民大医])").match(text, end):
        return TextSpan("address", start, end, 0.6, "where-somebody-is-from")
    if levels >= 3 or (re.search("[省市区县镇乡]", areas) and _KNOWN_NAME.search(named)):
        return TextSpan("address", start, end, 0.6, "area-and-name")
    return None


def _homes(text: str) -> Iterator[TextSpan]:
    for match in _LONE_ROOM.finditer(text):
        lives = _LIVES.search(text[max(0, match.start() - 16) : match.start()]) or match["after"]
        if lives and not _CLINIC.search(text[max(0, match.start() - 6) : match.end() + 6]):
            yield TextSpan("address", match.start(), match.end("room"), 0.6, "room")
    for match in _HOME.finditer(text):
        if not _CLINIC.search(text[max(0, match.start() - 6) : match.end() + 6]):
            tail = re.compile(rf"(?:{_JOIN}(?:{_HOUSE}|{_ROOM})){{0,6}}").match(text, match.end())
            end = tail.end() if tail else match.end()
            name = _BEFORE_HOME.match(text[max(0, match.start() - 16) : match.start()])
            start = match.start() - len(name["name"]) if name else match.start()
            yield TextSpan("address", start, end, 0.8, "building-and-unit")


def _lanes(text: str) -> Iterator[TextSpan]:
    for match in _LANE.finditer(text):
        if not _GENERIC_LANE.match(match[0]) and not re.search("[条个些段]胡同$", match[0]):
            yield TextSpan("address", match.start(), match.end(), 0.5, "lane")


def _lived_in(text: str) -> Iterator[TextSpan]:
    for match in _LIVES_IN.finditer(text):
        yield TextSpan("address", match.start("place"), match.end("place"), 0.6, "where-somebody-lives")


def _said_to_be_from(text: str) -> Iterator[TextSpan]:
    for match in _FROM.finditer(text):
        yield TextSpan("address", match.start("place"), match.end("place"), 0.5, "where-somebody-is-from")
