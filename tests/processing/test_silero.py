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
    theirs = get_vad_model()(sound.copy()).reshape(-1)
    # Theirs leaves out the last four milliseconds.
    assert speech_of(sound)[:-1] == pytest.approx(theirs[:-1], abs=1e-3)
    assert theirs.max() > 0.9


def test_what_is_shorter_than_a_frame_has_no_chances() -> None:
    assert len(speech_of(np.zeros(FRAME - 1, np.float32))) == 0
    assert len(speech_of(np.zeros(2 * FRAME + 1, np.float32))) == 2
