from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from capture import light_watch
from capture.light_setup import Light
from capture.light_watch import AGAIN_S, EVERY_S, FIRST_PICTURE_S, LightWatch
from capture.rig import Camera, Rig
from config.errors import NotFound
from config.settings import Settings

RIG = Rig(
    camera=(Camera(name="desk", role="desk", input="test"),),
    light=Light(camera="desk", lux=800.0, lux_uncertainty=0.02),
)


class Clock:
    """Both clocks of the module, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.local = dt.datetime(2026, 11, 24, 8, 0, tzinfo=Settings().zone)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.local += dt.timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    class Now(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> dt.datetime:  # type: ignore[override]  # what the module asks for
            return clock.local.astimezone(tz)

    monkeypatch.setattr(light_watch.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(light_watch.dt, "datetime", Now)
    return clock


def watch(rig: Rig = RIG) -> LightWatch:
    return LightWatch(rig, Settings(), lambda _camera: np.full((1, 90, 160, 3), 128, np.uint8))


def test_the_light_is_due_before_every_half_day(clock: Clock) -> None:
    watching = watch()
    assert watching.newest is None
    assert watching.is_due("ready")
    checked = watching.check(None)
    assert watching.newest == checked
    assert not watching.is_due("ready")
    clock.pass_by(4.5 * 3600)
    assert watching.newest is None, "the morning's light says nothing about the afternoon's"
    assert watching.is_due("ready")


def test_while_recording_it_is_due_every_ten_minutes_and_never_while_paused(clock: Clock) -> None:
    watching = watch()
    verdict = watching.check(None)["verdict"]
    clock.pass_by((EVERY_S if verdict == "pass" else AGAIN_S) - 1)
    assert not watching.is_due("recording")
    clock.pass_by(2)
    assert watching.is_due("recording")
    assert not watching.is_due("paused")
    watching.check(12.5)
    assert watching.newest is not None and watching.newest["at_s"] == 12.5
    assert [each["lux"] for each in watching.trend()] == [800.0, 800.0]


def test_a_rig_without_a_light_part_is_never_measured(clock: Clock) -> None:
    watching = watch(RIG.model_copy(update={"light": None}))
    assert not watching.is_due("ready")
    with pytest.raises(NotFound):
        watching.check(None)


def test_a_camera_that_was_just_opened_has_a_moment_for_its_first_picture(clock: Clock) -> None:
    watching = LightWatch(RIG, Settings(), lambda _camera: None)
    assert not watching.is_due("ready")
    clock.pass_by(FIRST_PICTURE_S + 1)
    assert watching.is_due("ready"), "it may have none: that has to be said"
