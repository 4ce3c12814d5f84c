"""Turns packed into windows: each heard once, whole, and found again by the time of its words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from processing.transcript import Turn
from processing.windows import LONGEST_S, MARGIN_S, PAUSE_S, windows_of
from tests.processing.media_files import write_sound

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two microphones of two minutes that tell the time: each sample is its own position, one negative."""
    folder = tmp_path_factory.mktemp("channels")
    ramp = np.linspace(0.001, 0.9, 120 * RATE_HZ, dtype=np.float32)
    return {
        "expert": write_sound(folder / "expert.wav", ramp),
        "patient": write_sound(folder / "patient.wav", -ramp),
    }


@st.composite
def any_turns(draw: st.DrawFn) -> list[Turn]:
    turns = []
    for _ in range(draw(st.integers(1, 12))):
        start_s = draw(st.floats(0.5, 100))
        length_s = draw(st.floats(0.3, 70))
        turns.append(
            Turn(draw(st.sampled_from(["expert", "patient"])), start_s, min(start_s + length_s, 119.0))
        )
    return turns


@given(turns=any_turns(), window_s=st.sampled_from([0.0, 10.0, LONGEST_S]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_turn_is_in_the_windows_once_and_whole(
    channels: dict[str, Path], turns: list[Turn], window_s: float
) -> None:
    parts: dict[int, list[tuple[float, float]]] = {}
    for window in windows_of(turns, channels, window_s):
        assert window.length_s <= LONGEST_S + 1e-6
        assert len(window.pieces) == 1 or window.length_s <= window_s + 1e-6
        for before, after in pairwise(window.pieces):
            assert after.at_s == pytest.approx(before.at_s + before.length_s + PAUSE_S)
        for piece in window.pieces:
            parts.setdefault(id(piece.turn), []).append((piece.begin_s, piece.end_s))
    assert set(parts) == {id(turn) for turn in turns}
    for turn in turns:
        spans = parts[id(turn)]
        assert spans[0][0] == pytest.approx(max(0.0, turn.start_s - MARGIN_S))
        assert spans[-1][1] == pytest.approx(turn.end_s + MARGIN_S)
        for (_, end_s), (begin_s, _) in pairwise(spans):
            assert begin_s == end_s


def test_a_windows_sound_is_that_of_each_turns_own_microphone_with_silence_between(
    channels: dict[str, Path],
) -> None:
    turns = [Turn("expert", 10.0, 12.0), Turn("patient", 20.0, 21.0)]
    (window,) = windows_of(turns, channels)
    sound = window.sound()
    for piece in window.pieces:
        middle = round((piece.at_s + piece.length_s / 2) * RATE_HZ)
        said_s = (piece.begin_s + piece.end_s) / 2
        sign = 1 if piece.turn.role == "expert" else -1
        assert sound[middle] == pytest.approx(sign * (0.001 + 0.899 * said_s / 120), abs=1e-3)
        assert window.place(piece.at_s + 0.1) is piece
    pause = round((window.pieces[1].at_s - PAUSE_S / 2) * RATE_HZ)
    assert not sound[pause - 100 : pause + 100].any()


def test_a_long_turn_is_heard_in_parts_cut_where_it_is_quiet(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 70 * RATE_HZ).astype(np.float32)
    for pause_s in (20.0, 41.0, 60.0):
        sound[round(pause_s * RATE_HZ) : round((pause_s + 0.3) * RATE_HZ)] = 0
    path = write_sound(tmp_path / "a.wav", np.clip(sound, -1, 1))
    pieces = [
        piece
        for window in windows_of([Turn("expert", 0.5, 69.0)], {"expert": path})
        for piece in window.pieces
    ]
    assert [piece.end_s for piece in pieces[:-1]] == pytest.approx([20.15, 41.15, 60.15], abs=0.2)
    assert pieces[0].begin_s == pytest.approx(0.3)
    assert pieces[-1].end_s == pytest.approx(69.2)
