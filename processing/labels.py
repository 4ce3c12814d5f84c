"""The words that announce a number, and those that say it only counts or measures."""

from __future__ import annotations

import re
from dataclasses import dataclass

from processing.name_words import KIN
from processing.textspan import Kind

# What a number counts or measures.
UNIT = re.compile(
    r"\s?(?:[克钱斤升毫度次天日月年岁周点分秒个粒丸袋付副剂贴服颗包瓶盒支元块毛米厘公里步人层楼诊页条遍倍成折%％℃百千万亿种味椎期级型床站座寸穴直样般定起些边会旦辈家口]|片(?!子)|下(?![次回午周面个])|头(?!像)|回(?![头去来])"
    r"|MG|ML|MMOL|UMOL|NG|UG|KG|CM|MM|BPM|IU|G\b|U\b|L\b)"
)
MEASURE = re.compile(
    "血压|高压|低压|体温|血糖|心率|脉搏|体重|身高|步数|血脂|尿酸|肌酐|转氨酶|白细胞|"
    "血红|血小板|胆固醇|甘油|糖化|指标|化验|结果|"
    "价格|多少钱|花了|收费|费用|挂号费|红包|转账|复诊|预约|下次|今年|年龄|每次|每天|"
    "一天|一共|大约|差不多|批准文号|国药准字|批号|"
    "能报|可以报|报了|报销|自付|自费|剂量|用量|处方|穴|针|诊室|房间|叫到|排到"
)


@dataclass(frozen=True)
class Label:
    """A word that announces an identifier; how many digits of it are enough, and how many it can have."""

    kind: Kind
    words: str
    least: int
    most: int


LABELS = (
    Label("id_number", "身份证|身份号|证件|护照|军官证|通行证|居住证|驾驶证|驾照", 3, 18),
    Label(
        "insurance_number",
        "医保|社保|参保|医疗保险|新农合|合作医疗|保险卡|保险号|保险单|社会保障|医疗证|公费医疗|保单|农合|保险编号|个人编号|惠民保",
        4,
        24,
    ),
    Label(
        "record_number",
        "病历|病案|病例(?:号|编号)|门诊编?号|门诊卡|住院编?号|就诊卡|就诊号|就诊的?卡|登记的?号|档案编?号|建档编号|建卡号|健康卡|就诊码|索引号|预约码|取号码|处方编?号|挂号单|挂号条|流水号|"
        "诊疗卡|诊疗号|检查号|影像号|片号|标本号|条码号|"
        "[门住]字第|外转|报告单号|报告号|患者编号|病人编号|患者ID|病人ID|ID号|卡号|建档号|住院的?号|门诊的?号|就这个?号|那串号|号(?:写|输|报|念|记)?(?:错了|不对)",
        3,
        20,
    ),
    Label(
        "phone",
        "电话|手机|座机|号码|联系方式|固话|打给我|拨打?|分机|传真|小灵通|热线|尾号|末尾|(?:最后|后面|末尾|[后末])的?[三四五六几]位|宅电|电联|致电|区号|打我|打家里|打到|联系我|给我打|家里的号",
        5,
        12,
    ),
    Label(
        "wechat",
        "微信|QQ|扣扣|WECHAT|VX|V信|威信|加个?V|微号|抖音号|快手号|小红书号?|支付宝账?号|钉钉|微博",
        4,
        20,
    ),
    Label("plate", "车牌|车号|牌照|牌号|号牌", 3, 7),
)
LABEL = re.compile("|".join(f"(?P<{label.kind}>{label.words})" for label in LABELS))
BY_KIND = {label.kind: label for label in LABELS}
# Between a number and the word that names it afterwards: 12345, 这是我的病历号.
BACK = re.compile(
    rf"[\s，,。.、]{{0,2}}(?:嗯|呃|对|那个|噢|哦|您记一下)?[\s，,]?(?:这个?|那个?|就|才)?(?:是|为)?(?:我|咱|俺|他|她|您|你|本人|家属|患者|病人)?(?:们?家)?"
    rf"(?:{KIN}|老爷子|老太太)?(?:里)?的?(?:新|老|旧|这个|那个)?"
)
