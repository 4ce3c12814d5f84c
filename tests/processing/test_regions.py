from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from config.settings import SpeechSettings
from processing.hearing import BLOCK_HOPS, HOP_S, Floats, hops_of
from processing.merge import Recognised, merge
from processing.regions import FILL_S, SHORTEST_S, SPEECH, all_chances, chances_of, regions_of
from processing.transcript import Turn, Word
from tests.processing.media_files import write_wav


def test_noise_and_silence_hold_no_speech_however_long(tmp_path: Path) -> None:
    seconds = (BLOCK_HOPS + 700) * HOP_S
    noise = np.random.default_rng(1).normal(0, 0.01, int(16_000 * seconds)).astype(np.float32)
    channels = {"expert": tmp_path / "noise.wav", "patient": tmp_path / "silence.wav"}
    write_wav(channels["expert"], noise)
    write_wav(channels["patient"], np.zeros_like(noise))
    chances = all_chances(channels)
    for role, path in channels.items():
        assert chances[role].shape == (hops_of([(path,)]),)
        assert regions_of(chances[role]) == []
    assert chances_of((channels["expert"],)) == pytest.approx(chances["expert"], abs=1e-4)


def test_a_channel_that_ends_early_is_heard_to_its_own_end(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 0.01, 16_000 * 40).astype(np.float32)
    channels = {"expert": tmp_path / "short.wav", "patient": tmp_path / "long.wav"}
    write_wav(channels["expert"], noise[: 16_000 * 3])
    write_wav(channels["patient"], noise)
    heard: list[float] = []
    chances = all_chances(channels, heard.append)
    assert [len(chances[role]) for role in channels] == [hops_of([(path,)]) for path in channels.values()]
    assert chances["expert"] == pytest.approx(chances_of((channels["expert"],)), abs=1e-4)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


@given(hnp.arrays(np.float32, st.integers(0, 400), elements=st.sampled_from([0.0, 0.49, 0.51, 1.0])))
def test_regions_hold_what_is_speech_and_are_apart(chances: Floats) -> None:
    regions = regions_of(chances)
    for start, end in regions:
        assert 0 <= start < end <= round(len(chances) * HOP_S, 3)
        assert end - start >= SHORTEST_S
        assert chances[round(start / HOP_S)] > SPEECH < chances[round(end / HOP_S) - 1]
    for (_, end), (start, _) in pairwise(regions):
        assert start - end >= FILL_S - 1e-3


def test_what_was_recognised_survives_being_kept_and_merges_into_the_same_lines() -> None:
    turns = [Turn("patient", 2.0, 3.0), Turn("expert", 0.0, 1.5, "room")]
    words = (Word("头", 0.1, 0.4, 0.9), Word("痛", 0.4, 0.8, 0.4))
    heard = Recognised(((turns[0], words), (turns[1], words)), (Turn("expert", 5.0, 6.0),), 7.25)
    again = Recognised.from_dict(heard.to_dict())
    assert again == heard
    text = merge(again, SpeechSettings(), notes=("speakers-unknown",))
    assert [line.role for line in text.lines] == ["expert", "patient"]
    assert (text.unheard, text.duration_s, text.notes) == (heard.unheard, 7.25, ("speakers-unknown",))
    assert merge(Recognised(), SpeechSettings()).lines == ()
