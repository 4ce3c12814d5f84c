"""Word lists for names: how surnames are read, what people are called, and words that are no names."""

from __future__ import annotations

from collections.abc import Mapping

_COMPOUND = """
    欧阳 尉迟 诸葛 司马 上官 皇甫 令狐 东方 夏侯 慕容 长孙 端木 独孤 南宫 公孙 澹台
    宇文 司徒 百里 呼延 轩辕 鲜于 闻人 申屠 太史 万俟 拓跋 完颜 司空 淳于 单于 赫连
    钟离 公冶 濮阳 濮陽 亓官 仲孙 西门 纳兰
"""

# How a surname is read where the dictionary's first reading is another one.
_READINGS = """
    单=shan 解=xie 仇=qiu 曾=zeng 查=zha 盖=ge/gai 区=ou 任=ren 华=hua 朴=piao 翟=zhai/di 乐=yue/le 缪=miao
    宓=mi/fu 冼=xian 员=yun 折=she 黑=he 秘=bi 繁=po 种=chong 覃=qin/tan 召=shao 洗=xian 撒=sa 车=che 都=du
    葛=ge 那=na 佴=nai 逄=pang 谌=chen/shen 柏=bai/bo 薄=bo 能=nai 俞=yu 祭=zhai 句=gou 郗=xi/chi 隽=juan
    过=guo 哈=ha 宁=ning 娄=lou 尉=yu/wei 俟=qi 万=mo/wan 澹=tan 长=zhang 令=ling 阚=kan 仉=zhang 燕=yan
    石=shi 贾=jia 沈=shen 尹=yin 曲=qu 牟=mou/mu 纪=ji 应=ying 占=zhan 便=pian 晟=cheng 眭=sui 郇=xun/huan
    皇=huang 乜=nie 殷=yin 臧=zang 卜=bu 曹=cao
"""

# The commonest single ones; recognisers write a name they do not know with one of them.
_SURNAMES = """
    王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁
    任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙史陶贺毛郝顾龚邵万覃武钱戴严莫
    孔向常汤康易乔赖文施洪季樊兰殷章庞颜倪聂耿温芦焦翟左辛管祁俞葛岳齐梅庄涂谷时柴裴游舒包鲁纪阮单解
    仇查盖区牛童凌欧尚辜司柯蒲宗苗关费柳翁靳耶鲍霍盛曲初桑房詹卞冉边阎邢符毕冀蓝娄池滕宁郁佟卓安宫简
    占蔺栾褚蒙申屈项郎邬景隋卜奚敖宿戚臧晏储仲车木尤巫华牟苑艾晋匡晁窦党甘成裘莘桂
"""

# Rarer ones, which are looked for only where a name is introduced.
_RARE = """
    仉亓郄逄乜宓妫佘佟佴岑冼况刁勾厍墨奇奎姬嬴容富尧岚崇巢帅干师应庾弓强归慎支斐旷昌朴杭林栗栾桓楚楼檀步毋沃
    洛涉湛滑漆潭澹濮牧狄独瑞璩甄由益瞿矫祖祝禄章竺简粘糜练缑缪羊羿翦聊胥臧苍茅茹荀荣荆菅萨蒙蓟蓬蔚
    薄薛虎虞蒯衡訾詹誉谈谌谯豆贝贡赏赛赫路车迟逯邓邝郏郇郜郗鄂鄢酆释银锁门闵闻阙阚阮隆隗雍鞠巩须饶骆鱼鲜鹿麦麻
    穆燕黎齐钮覃盘奉粟禤邰邸仝凌劳召撒员哈尉隽晟眭殷那屠咸司
"""

_KIN = """
    妈妈 爸爸 母亲 父亲 爱人 老伴儿 老伴 丈夫 妻子 老公 老婆 媳妇儿 媳妇 儿媳妇 儿媳 女婿 先生 太太 对象
    女儿 闺女 儿子 孩子 小孩 孙子 孙女 外孙女 外孙 姐姐 妹妹 哥哥 弟弟 姐夫 妹夫 嫂子 弟妹 爷爷 奶奶 姥姥 姥爷
    外公 外婆 公公 婆婆 岳父 岳母 丈母娘 老丈人 舅舅 姑姑 姨妈 大姨 小姨 侄子 侄女 外甥女 外甥 姐 妹 哥 弟 妈 爸
"""

_TITLES = """
    女士家属 老先生 老太太 老爷子 老师傅 先生 女士 小姐 太太 阿姨 大爷 大妈 大娘 大叔
    叔叔 伯伯 大伯 伯父 伯母 奶奶 爷爷 大姐 姐姐 大哥 师傅 老师 同志 同学 婆婆 阿婆
    阿公 老弟 小妹 家的 家属 某某 科长 处长 局长 经理 书记 厂长 校长 部长 律师 会计 老板 工程师
    大嫂 二嫂 三嫂 嫂子 大婶 婶子 婶婶 老哥 老姐 妹子 姑娘 小伙子 老伯 老兄 兄弟 老头儿 老头 老太 妈妈 爸爸
    二哥 三哥 二姐 三姐 二叔 三叔 二婶 三婶 二大爷 二大妈 大舅 二舅 舅舅 舅妈 大姨 二姨 三姨 小姨 大姑 二姑 姑姑 姑父 姨父 丫头 村长 支书 所长 连长 主编 姐夫 队长 团长 警官 法官 姨 叔 婶 嫂 姐 哥 总 某
"""

# Given names that are words, and words that hold such a name or sound like one.
_WORDS = """
    白色 黄色 金色 蓝色 红色 关注
    健康 平安 建国 和平 安静 文明 光明 明天 今天 黎明 海洋 美丽 建军 国庆 春天 冬天
    秋天 夏天 春节 胜利 幸福 吉祥 如意 建设 跃进 红梅 玉兰 海燕 安宁 永远 永久 小时
    小于 大于 小高 小白 小黄 小米 小麦 小方 小心 小安 小叶 小周 小金 小石 小苏打 老年
    老是 老黄 老高 老白 老方 阿胶 小便 小腹 小肠 小腿 小指 小儿 小孩 小柴胡 小青龙
    小建中 小陷胸 小茴香 小蓟 小满 老公 老婆 老伴 老师 老家 老人 老毛病 老花 老样子
    老话 小杯 小碗 小包 小袋 小雨 小雪 小寒 小暑 小毛病 小路 小鱼 小牛 小羊 小马 小龙
    小熊 小江 小常识 小康 小盖 小区 老区 小车 老车 小段 小时候 小项 小管 小单 小范围
    小关节 小房 小店 小花 小草 小强度 小火 小汤 小水 小池 小边 小脸 小样 小计 小任务
    小石头 小结 小量 小剂量 小包装 小苗 小葱 小白菜 小黄米 小米粥 老汤 老毛 东西 缓解
    了解 理解 分解 溶解 伟大 明显 强烈 文化 秀气 精神 经常 京城 静脉 颈椎 经络 经期
    晴天 清楚 轻松 情绪 情况 时间 实在 事情 身体 声音 生气 症状 治疗 知道 植物 指标
    甘油 方脸 圆脸 温热 温病 高热 高烧 高低 易怒 易醒 易汗 易累 易饿 易感 方才 平素 平时 平常 常有 常感 常见 常年 时有 时感 时而 时常 白带 白痰 白天
    黄痰 黄汗 黄苔 黄疸 左膝 左腿 左手 左脚 左肩 左侧 左眼 左耳 左胸 左下 左上 安眠 温水 水肿 水泻 石淋 连日 连着 连续
    经来 经行 车祸 车上 余无 余症 项强 项背 单侧 单纯 单位 胡言 康复 何时 何处 毛发 牛皮 干咳 干呕 干燥 解大 解小 房颤
    支气 支架 尚可 尚有 尚未 尚能 马上 应该 明年 明显 万分 花粉 施针 施治 步行 盛夏 黎明前 曾在 曾有 曾经 曾用 曾患 武汉
    田间 成年 成天 农村 古方 查出 查过 查体 查血 党员 向来 于昨 于今 于前 于两 牟取 路上 燥热 慢性 冷汗 冷饮 红肿 关节
    干活 干农 石家 包括 从小 项目 段时 和血 金属 钱包 温度 温病 伍用 计划 卫生 童年 毕业 谈话 支持 强直 厚苔 陈旧 雷声
    常用 谢谢 六淫 老陈醋 小温灸 清明 成功 长城 长江 山东 河南 江南 海南 湖南 安全 新生 质量 自己 最近 左边 右边 舌红 身份证 身份 手机 手机号 电话 沉弱 沉细 沉缓 浮紧 弦滑
"""

# Of whom a teacher speaks every day; whoever is registered under such a name is found by it all the same.
_PHYSICIANS = """
    张仲景 李时珍 孙思邈 叶天士 吴鞠通 李东垣 朱丹溪 刘完素 张从正 张子和 王清任 薛生白 王孟英 陈修园 徐灵胎 徐大椿 张景岳
    张介宾 黄元御 傅青主 陶弘景 王叔和 巢元方 成无己 许叔微 张锡纯 唐容川 郑钦安 李中梓 程国彭 程钟龄 汪昂 吴谦 吴又可 吴瑭
    王冰 王焘 钱乙 葛洪 华佗 扁鹊 皇甫谧 陈士铎 陈自明 陈无择 严用和 罗天益 王好古 张元素 薛己 赵献可 缪希雍 喻嘉言 柯琴
    尤在泾 费伯雄 丁甘仁 曹颖甫 恽铁樵 施今墨 孔伯华 萧龙友 汪逢春 蒲辅周 岳美中 秦伯未 程门雪 刘渡舟 任应秋 章次公 赵炳南
    杨继洲 吴师机 雷丰 石寿棠 周学海 高鼓峰 龚廷贤 万密斋 武之望 沈金鳌 叶桂 魏之琇 林佩琴
"""

COMPOUND_SURNAMES = frozenset(_COMPOUND.split())
SURNAMES = frozenset("".join(_SURNAMES.split()))
RARE_SURNAMES = frozenset("".join(_RARE.split()))
KIN = "|".join(_KIN.split())
SURNAME_SOUNDS: Mapping[str, frozenset[str]] = {
    name: frozenset(sounds.split("/"))
    for name, _, sounds in (row.partition("=") for row in _READINGS.split())
}
# Longest first, for a pattern takes the first that fits.
TITLES = "|".join(_TITLES.split())
WORDS = frozenset(_WORDS.split())
PHYSICIANS = frozenset(_PHYSICIANS.split())
# Of two of these alone a word is a given name (丽华, 海生), unless it is among those above.
GIVEN_CHARACTERS = frozenset(
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂华建国玉珍淑琴志红梅文斌晓燕宏凤云春生海波婷慧莉玲萍鹏辉俊峰斌浩宇轩"
    "梓涵欣怡佳琪雪月娥莲菊香荣福贵德义仁礼信忠孝善良才财寿康宁庆祥瑞林森山川江河湖清源泉龙虎豹飞翔腾达振兴旺盛昌立树根柱"
    "长远思念雅琳琼瑶璐珊珠翠巧彩蓉蕾薇茜悦楠栋梁松柏青竹少双喜凡子民安成新东宗绍维纪"
)
# They bind a sentence together and are no surname, however alike they sound (是先生 is not 石先生).
FUNCTION_CHARACTERS = frozenset(
    "是有在和跟问给让到的不就还又都那哪这也很了着过要会能可把被从向往对为以而或但因所只没再"
)
