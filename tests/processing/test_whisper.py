"""What the recogniser makes of windows: words on the clock of the recording, and nothing where nobody speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from config.errors import ModelMissing
from config.settings import SpeechSettings
from processing.transcript import Turn, Word
from processing.whisper import Asking, Recogniser, _beyond_belief, _device, asking_of
from processing.windows import Piece, windows_of
from scripts.demo_asr_check import plain
from tests.processing.media_files import read_sound, write_sound

RATE_HZ = 16_000
SPEECH = Path(__file__).parents[2] / "scripts" / "demo_speech"


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(SpeechSettings(threads=2))


def piece(length_s: float) -> Piece:
    return Piece(Turn("expert", 0.0, length_s), Path("a.wav"), 0.0, length_s)


@pytest.mark.parametrize(
    ("text", "length_s"),
    [("好的好的好的好的好的好的", 4.0), ("请不吝点赞订阅转发打赏支持明镜与点点栏目", 0.5)],
    ids=["repeated", "too fast"],
)
def test_text_that_nobody_can_have_said_is_beyond_belief(text: str, length_s: float) -> None:
    assert _beyond_belief([Word(text, 0.0, length_s, 0.9)], piece(length_s))
    assert not _beyond_belief([Word("最近总是头晕，没有力气。", 0.0, 2.7, 0.9)], piece(2.7))
    assert not _beyond_belief([Word("ask what you can do for your country", 0.0, 2.5, 0.9)], piece(2.5))


def test_words_of_several_windows_keep_their_own_times(recogniser: Recogniser, tmp_path: Path) -> None:
    first = read_sound(SPEECH / "01_expert.flac")
    second = read_sound(SPEECH / "02_patient.flac")
    silence = np.zeros(3 * RATE_HZ, np.float32)
    path = write_sound(tmp_path / "a.wav", np.concatenate([silence, first, silence, second, silence]))
    length_s = round(len(first) / RATE_HZ, 3)
    turns = [
        Turn("expert", 3.0, 3.0 + length_s),
        Turn("expert", 6.0 + length_s, round(6.0 + length_s + len(second) / RATE_HZ, 3)),
    ]
    heard = recogniser.hear(list(windows_of(turns, {"expert": path}, 0.0)))
    assert [each.piece.turn for each in heard] == turns
    for each, said in zip(heard, ("请问你哪里不舒服", "最近总是头晕没有力气"), strict=True):
        assert plain("".join(word.text for word in each.words)) == said
        times = [time_s for word in each.words for time_s in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert each.piece.turn.start_s <= times[0] < each.piece.turn.start_s + 0.6
        assert each.piece.turn.end_s - 0.6 < times[-1] <= each.piece.turn.end_s


def sounds_without_speech() -> dict[str, np.ndarray]:
    time_s = np.arange(6 * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(3).normal(0, 0.02, len(time_s))
    chords = sum(np.sin(2 * np.pi * hz * time_s) for hz in (262, 330, 392)) * (time_s % 0.5 < 0.4)
    return {
        "silence": np.zeros(len(time_s)),
        "noise": noise,
        "hum": 0.1 * sum(np.sin(2 * np.pi * 50 * n * time_s) / n for n in (1, 2, 3)),
        "music": 0.1 * chords,
    }


@pytest.mark.parametrize("name", ["silence", "noise", "hum", "music"])
def test_where_nobody_speaks_there_is_no_text(name: str, tmp_path: Path) -> None:
    from processing.transcribe import transcribe_files

    path = write_sound(tmp_path / "a.wav", sounds_without_speech()[name].astype(np.float32))
    assert transcribe_files({"expert": path}, tmp_path / "out", SpeechSettings(threads=2)).lines == ()


def test_a_model_tells_how_it_wants_to_be_asked(tmp_path: Path) -> None:
    named = SpeechSettings(model=str(tmp_path))
    assert asking_of(named) == Asking(turn_by_turn=False, prompted=True)
    assert asking_of(SpeechSettings()) == Asking(turn_by_turn=True, prompted=False)
    (tmp_path / "asking.json").write_text('{"turn_by_turn": true}')
    assert asking_of(named) == Asking(turn_by_turn=True, prompted=True)
    (tmp_path / "asking.json").write_text('{"tempo": 3}')
    with pytest.raises(ModelMissing):
        asking_of(named)


def test_numbers_are_chosen_for_the_device_unless_they_are_set() -> None:
    assert _device(SpeechSettings(device="cpu")) == ("cpu", "int8")
    assert _device(SpeechSettings(device="cuda")) == ("cuda", "float16")
    assert _device(SpeechSettings(device="cpu", compute_type="float32")) == ("cpu", "float32")
    assert _device(SpeechSettings())[0] in ("cpu", "cuda")
