"""What the demo recogniser can say: its sentences, its words, its characters and its tokenizer.

The vocabulary is closed on purpose. A model of two million parameters cannot learn Mandarin, but it can learn
one consultation well enough to show that the pipeline turns sound into the right words at the right times.
"""

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path

from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel

DIALOGUE_FILE = Path(__file__).with_name("demo_dialogue.toml")
PUNCTUATION = "，。？"
TIMESTAMP_STEP_S = 0.02
LANGUAGE_TOKENS = [f"<|{code}|>" for code in _LANGUAGE_CODES]


def _spaced(text: str) -> list[str]:
    return text.split()


PRACTICE = _spaced("""
你好，请问你怎么了？ 你最近怎么样？ 头晕有多久了？ 晚上睡得好吗？ 会常常做梦吗？ 你怕冷还是怕热？ 手脚冷吗？
口干不干？ 想喝水吗？ 早上口苦吗？ 大便怎么样？ 会出汗吗？ 吃饭以后胃痛吗？ 还有哪里不舒服？ 请把手伸出来。
我看看你的舌头。 我看看你的脉。 大家请看舌苔。 大家看看这个病。 大家来看，舌质红。 舌质淡，舌苔白。 舌苔薄，有点干。
舌质红，舌苔薄白。 脉象细弱，气血不好。 脉象有点弱。 脉细，是血虚。 这是气虚，不是血虚。 这是血虚，不是气虚。
你有点气血两虚。 治法是先补气。 治法是养血。 补气养血，八珍汤。 先用八珍汤补气。 可以喝中药，不可以喝冷水。
八珍汤有八个药。 这个药有点苦。 中药怎么喝？ 每天两次，饭后喝。 每天一次，早上喝。 先喝三天，再来看看。
七天以后再来。 两个月以后再来看。 三个月以后请来看看。 多喝水，早点睡。 早点睡觉，好好休息。 大概两个月了。
大概七天了。 头痛三天了。 最近常常头痛。 头晕，没有头痛。 早上起来头晕。 总是没有力气。 没有力气，想睡觉。
最近总是睡不好。 晚上容易醒。 晚上两次醒来，睡不好。 常常做梦，容易醒。 没有做梦，睡得好。 吃得少，睡得少。
胃口好，吃得多。 胃口不好，没有力气。 饭后胃痛。 胃有点痛，不严重。 口干，常常想喝水。 口不干，口不苦。
大便有点干。 大便两天一次。 怕热，常常出汗。 怕冷，不出汗。 手脚总是冷。 下午头晕，晚上头痛。 医生，我怕苦。
医生，我最近口干。 医生，这个药苦吗？ 医生，要多久？ 好的，我每天喝。 好的，我早点休息。 谢谢，最近好多了。
谢谢医生，再见。 不严重，多休息。 病不严重，可以治。 这个病可以治好。 这样可以吗？
""")

# These are spoken in the held-back test and never in training: sentences the model cannot have learnt by heart.
UNSEEN = _spaced("""
医生，我常常头晕。 饭后有点头痛。 晚上口干，想喝水。 舌质淡，脉象弱。 每天三次，饭后喝。 大概三个月了。 最近怕冷，没有力气。
先补气，再养血。
""")

WORDS = _spaced("""
请问 你 哪里 舒服 不舒服 最近 总是 头晕 没有 力气 这样 多久了 三个月 晚上 睡不好 常常 做梦 胃口 怎么样 不好 吃得少 手脚 怕冷 请把
舌头 伸出来 我 看看 脉 大家 看 舌质 淡 舌苔 薄白 脉象 细弱 这是 气血 两虚 治法 是 补气 养血 可以 用 八珍汤 先 喝 七天 医生 这个
病 严重吗 不严重 饭后 喝药 早点 休息 好的 谢谢 你好 怎么 会 还是 怕热 口干 想 喝水 早上 口苦 大便 出汗 吃饭 以后 胃痛 还有 手
红 薄 白 细 弱 气虚 血虚 中药 冷水 每天 两次 一次 三天 再来 两个月 大概 头痛 起来 睡觉 容易 醒 睡得好 多 有点 苦 下午 治 再见 干
冷 热 水 八个 吃得多 我的 你的 好多了 三个月了 七天了
""")


@dataclass(frozen=True)
class Line:
    """One turn of the demo dialogue: who says what."""

    role: str
    text: str


def load_dialogue(path: Path = DIALOGUE_FILE) -> list[Line]:
    """The demo dialogue in the order of speaking."""
    with path.open("rb") as file:
        return [Line(turn["role"], turn["text"]) for turn in tomllib.load(file)["turn"]]


CHARACTERS = sorted(set("".join([line.text for line in load_dialogue()] + PRACTICE + UNSEEN + WORDS)))


def word_salad(rng: random.Random) -> str:
    """A sentence without sense. Only by listening can the model get it right, and so it has to learn to listen."""
    words = rng.choices(WORDS, k=rng.randint(2, 6))
    if len(words) > 3 and rng.random() < 0.5:
        words.insert(rng.randint(2, len(words) - 1), "，")
    return "".join(words) + rng.choice("。。？")


def _byte_symbols() -> dict[int, str]:
    """The printable stand-in of each byte in byte-level BPE (the published GPT-2 table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def build_tokenizer() -> Tokenizer:
    """A Whisper tokenizer in which every character of the vocabulary is one token.

    Languages are all present because faster-whisper looks each of them up; the empty token is present because
    CTranslate2 takes a Whisper vocabulary without it for an English-only one.
    """
    symbols = _byte_symbols()
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    spelled = [[symbols[byte] for byte in character.encode()] for character in CHARACTERS]
    pairs = list(dict.fromkeys((a, b) for a, b, _ in spelled))
    merges = pairs + [(a + b, c) for a, b, c in spelled]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    vocabulary[""] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    control = ["<|endoftext|>", "<|startoftranscript|>", *LANGUAGE_TOKENS, "<|translate|>", "<|transcribe|>"]
    control += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    # Whisper finds the timestamps by "every id after <|notimestamps|>": they must come last, and not be special.
    stamps = [f"<|{i * TIMESTAMP_STEP_S:.2f}|>" for i in range(1501)]
    tokenizer.add_tokens([AddedToken(stamp, special=False, normalized=False) for stamp in stamps])
    return tokenizer
