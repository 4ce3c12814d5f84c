from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processing.silero import FRAME, speech_of
from tests.processing.media_files import read_sound

CLIP = Path(__file__).parents[2] / "scripts" / "demo_speech" / "01_expert.flac"


def test_the_same_is_heard_as_by_faster_whisper_itself() -> None:
    from faster_whisper.vad import get_vad_model

    sound = np.tile(read_sound(CLIP), 8)
    sound = sound[: len(sound) // FRAME * FRAME]
    both = speech_of(np.stack([0.01 * sound[::-1], sound]))
    theirs = get_vad_model()(sound.copy()).reshape(-1)
    # Theirs leaves out the last four milliseconds.
    assert both[1, :-1] == pytest.approx(theirs[:-1], abs=1e-3)
    assert theirs.max() > 0.9


def test_several_sounds_are_heard_together_as_each_of_them_alone() -> None:
    sound = np.tile(read_sound(CLIP), 12)
    assert len(sound) > 340 * FRAME  # more than is heard at once: what is remembered must be each one's own
    sounds = np.stack([sound, sound[::-1], np.zeros_like(sound)])
    alone = [speech_of(each[None])[0] for each in sounds]
    assert speech_of(sounds) == pytest.approx(np.stack(alone), abs=1e-4)
    assert np.abs(alone[0] - alone[1]).max() > 0.5


def test_what_is_shorter_than_a_frame_has_no_chances() -> None:
    assert speech_of(np.zeros((1, FRAME - 1), np.float32)).shape == (1, 0)
    assert speech_of(np.zeros((3, 2 * FRAME + 1), np.float32)).shape == (3, 2)


def test_no_sound_has_no_chances() -> None:
    assert speech_of(np.zeros((0, 4 * FRAME), np.float32)).shape == (0, 4)
