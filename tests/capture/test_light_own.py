"""A room's own lamp is known again and measured by comparison; another one is not taken for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.light_calibrate import Calibrated, View, calibrate
from capture.light_file import write_calibration
from capture.light_reference import Meter
from capture.light_setup import Light
from capture.lighting import LightCheck, check_light
from capture.rig import load_rig
from capture.spectrum import GRID_NM, observer
from config.settings import CaptureSettings
from scripts.light_scenes import CARD, CHART, camera, light_of, render, spectrum_of, truth

LIMITS = CaptureSettings()
LAMP = "LED-B3"  # 4102 K


@cache
def calibrated(seen_by: str, chart: bool = False, duv_known: bool = True) -> Calibrated:
    grid = light_of(LAMP)
    cct_k, duv = truth(grid)
    meter = Meter(800.0, cct_k, duv if duv_known else None, spectrum=spectrum_of(grid) if chart else None)
    return calibrate([View(render(grid, seen_by=seen_by), meter)], Light(card=CARD), CHART if chart else None)


def look(found: Calibrated, grid: Any, lux: float = 790.0, **more: Any) -> LightCheck:
    setup = found.calibration.model_copy(update={"surround": None})
    return check_light(
        render(grid, lux, noise=2.0, seed=7, **more), Light(card=CARD, calibration=setup), LIMITS
    )


@pytest.mark.parametrize("seen_by", ["srgb", "nikon", "maxwell", "sigma"])
@pytest.mark.parametrize("lux", [640.0, 790.0, 1000.0])
def test_under_its_own_lamp_any_camera_knows_the_light_by_the_card_alone(seen_by: str, lux: float) -> None:
    found = look(calibrated(seen_by), light_of(LAMP), lux, seen_by=seen_by, with_chart=False)
    assert found.illuminance.value == pytest.approx(lux, rel=0.01)
    assert found.cct.value == pytest.approx(truth(light_of(LAMP))[0], abs=15)
    assert found.cct.verdict == "pass"
    assert found.illuminance.verdict == {640.0: "fail", 790.0: "pass", 1000.0: "fail"}[lux]


def test_a_lamp_that_has_shifted_a_little_is_followed_and_trusted_less() -> None:
    own, daylight = light_of(LAMP), light_of("D65")
    previous = 0.0
    for share in (0.0, 0.02, 0.05, 0.2):
        grid = (1 - share) * own + share * daylight
        found = look(calibrated("nikon"), grid, seen_by="nikon", with_chart=False)
        cct_k, _ = truth(grid)
        assert found.cct.value is not None and found.cct.uncertainty is not None
        assert abs(found.cct.value - cct_k) <= found.cct.uncertainty, share
        assert found.cct.uncertainty > previous
        previous = found.cct.uncertainty


def test_another_lamp_is_not_taken_for_the_room_s() -> None:
    for name in ("A", "D50", "D65", "FL2", "FL11", "LED-B4"):
        found = look(calibrated("nikon"), light_of(name), seen_by="nikon", with_chart=False)
        assert found.illuminance.verdict != "pass", name


def unlike(lamp: Any, seen_by: Any) -> Any:
    """Another lamp with a line in the green whose white is, to this camera, the same: projected there in turns."""
    grid = lamp + 1.5 * lamp.max() * np.exp(-(((GRID_NM - 530) / 12) ** 2))
    for _ in range(50):
        grid = grid - seen_by @ np.linalg.lstsq(seen_by, grid - lamp, rcond=None)[0]
        grid = np.clip(grid, 0, None)
    return grid / (grid @ observer()[:, 1])


def test_a_chart_in_view_betrays_a_lamp_that_only_the_card_cannot_tell_from_the_room_s() -> None:
    own, other = light_of(LAMP), unlike(light_of(LAMP), camera("nikon"))
    assert abs(truth(other)[0] - truth(own)[0]) > 300
    alone = look(calibrated("nikon"), other, seen_by="nikon", with_chart=False)
    beside = look(calibrated("nikon", chart=True), other, seen_by="nikon")
    assert abs((alone.cct.value or 0) - truth(own)[0]) < 60, "three channels cannot tell them apart"
    assert (beside.cct.uncertainty or 0) > 2 * (alone.cct.uncertainty or 0), (
        "the model's, not the comparison's"
    )
    assert (alone.cct.value or 0) + 60 < (beside.cct.value or 0) < truth(other)[0]


def test_what_the_meter_did_not_tell_makes_the_comparison_less_sure() -> None:
    known, unknown = (calibrated("nikon", duv_known=each) for each in (True, False))
    spreads = [
        look(each, light_of(LAMP), seen_by="nikon", with_chart=False).duv.uncertainty
        for each in (known, unknown)
    ]
    assert spreads[0] < 0.002 < spreads[1]  # type: ignore[operator]


def test_of_several_lamps_each_is_known_again() -> None:
    grids = [light_of(LAMP), light_of("D50")]
    views = [
        View(render(grid, seen_by="nikon", seed=index), Meter(800.0, *truth(grid)))
        for index, grid in enumerate(grids)
    ]
    found = calibrate([replace(each) for each in views], Light(card=CARD))
    for grid in grids:
        told = look(found, grid, 750.0, seen_by="nikon", with_chart=False)
        assert told.cct.value == pytest.approx(truth(grid)[0], abs=15)
        assert told.illuminance.value == pytest.approx(750, rel=0.015)


def test_the_lamps_of_a_calibration_are_kept_in_the_rig_file(tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text('[[camera]]\nname = "desk"\nrole = "desk"\ninput = "test"\n')
    write_calibration(rig, calibrated("nikon").calibration, CARD)
    light = load_rig(rig).light
    assert light is not None and light.calibration == calibrated("nikon").calibration
    assert light.calibration.own[0].cct_k == pytest.approx(truth(light_of(LAMP))[0])
