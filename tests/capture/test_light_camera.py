"""The camera path on rendered scenes: accuracy after calibration under another light, and never a wrong pass."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.light_advice import advice
from capture.light_calibrate import Calibrated, View, calibrate
from capture.light_lock import is_locked
from capture.light_reference import Meter
from capture.light_setup import Calibration, Light
from capture.lighting import LightCheck, check_light
from capture.rig import Camera
from capture.sensor import SensorReading
from config.errors import CalibrationRejected
from config.settings import CaptureSettings
from scripts.light_scenes import CARD, CHART, LIGHTS, light_of, render, spectrum_of, truth

LIMITS = CaptureSettings()
NOW = datetime(2026, 5, 4, 1, 0, tzinfo=UTC)


@cache
def calibrated(
    seen_by: str = "srgb",
    lights: tuple[str, ...] = ("D50",),
    *,
    chart: bool = True,
    spectrum: bool = True,
    response: str | float = "srgb",
) -> Calibrated:
    views = []
    for index, name in enumerate(lights):
        grid = light_of(name)
        meter = Meter(800.0, *truth(grid), spectrum=spectrum_of(grid) if spectrum else None)
        views.append(View(render(grid, seen_by=seen_by, response=response, seed=index), meter))
    return calibrate(views, Light(card=CARD), CHART if chart else None)


def room(found: Calibrated, **more: Any) -> Light:
    return Light(camera="desk", card=CARD, calibration=found.calibration, **more)


def look(light: Light, name: str, lux: float = 800.0, **more: Any) -> LightCheck:
    return check_light(render(light_of(name), lux, **more), light, LIMITS, now=NOW)


@pytest.mark.parametrize(
    ("reference", "response"),
    [("D50", "srgb"), ("A", "srgb"), ("FL2", "bt709"), ("LED-B3", 2.2)],
)
def test_cct_within_150_k_and_lux_within_8_percent_under_every_other_light(
    reference: str, response: str | float
) -> None:
    light = room(calibrated(lights=(reference,), response=response))
    for name in LIGHTS:
        found = look(light, name, 690.0, noise=2.0, response=response)
        cct_k, duv = truth(light_of(name))
        assert found.cct.value == pytest.approx(cct_k, abs=60), name
        assert found.duv.value == pytest.approx(duv, abs=0.001), name
        assert found.illuminance.value == pytest.approx(690, rel=0.01), name


def test_a_grey_card_alone_is_as_good_for_an_srgb_camera_but_trusted_less() -> None:
    alone, chart = calibrated(lights=("D50",), chart=False), calibrated(lights=("D50",))
    for name in LIGHTS:
        found = look(room(alone), name)
        assert found.cct.value == pytest.approx(truth(light_of(name))[0], abs=150)
        assert found.illuminance.value == pytest.approx(800, rel=0.08)
        assert found.cct.uncertainty > look(room(chart), name).cct.uncertainty  # type: ignore[operator]


# Every family, and the ones that were hardest in scripts/bench_light.py.
HARD = ("A", "D65", "FL1", "FL2", "FL6", "FL8", "FL11", "LED-B3", "LED-B4", "LED-B5", "LED-V2")


@pytest.mark.parametrize("seen_by", ["nikon", "maxwell", "sigma"])
@pytest.mark.parametrize("reference", ["D50", "A", "LED-B3"])
def test_a_real_camera_with_the_chart_in_view_measures_every_light_from_any_calibration(
    seen_by: str, reference: str
) -> None:
    light = room(calibrated(seen_by, (reference,)))
    for name in HARD:
        found = look(light, name, seen_by=seen_by)
        cct_k, duv = truth(light_of(name))
        off_k = abs(found.cct.value - cct_k)  # type: ignore[operator]
        assert off_k <= found.cct.uncertainty, name  # type: ignore[operator]
        assert abs(found.duv.value - duv) <= found.duv.uncertainty, name  # type: ignore[operator]
        assert found.illuminance.value == pytest.approx(800, rel=0.05), name
        # Foveon's layers overlap too much: that camera is only asked to know how unsure it is.
        assert off_k < 150 or seen_by == "sigma" or cct_k > 5500, name
        assert off_k < 180 or seen_by == "sigma", name


@pytest.mark.parametrize("reference", ["D50", "FL11"])
def test_a_chart_that_is_no_longer_there_costs_certainty_not_truth(reference: str) -> None:
    found = calibrated("nikon", (reference,))
    light = room(found).model_copy(
        update={"calibration": found.calibration.model_copy(update={"surround": None})}
    )
    for name in HARD:
        cct_k, _ = truth(light_of(name))
        alone = look(light, name, seen_by="nikon", with_chart=False)
        beside = look(light, name, seen_by="nikon")
        for each in (alone, beside):
            if each.cct.value is not None:
                assert abs(each.cct.value - cct_k) <= each.cct.uncertainty, name  # type: ignore[operator]
    assert alone.cct.uncertainty > beside.cct.uncertainty  # type: ignore[operator]


@pytest.mark.parametrize("what", ["moved", "turned", "covered"])
def test_a_chart_that_was_moved_is_not_measured_by(what: str) -> None:
    found = calibrated("nikon", ("D50",))
    light = room(found).model_copy(
        update={"calibration": found.calibration.model_copy(update={"surround": None})}
    )
    picture = render(light_of("LED-B3"), seen_by="nikon")
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(CHART, (360, 240, 360, 240), strict=True))
    chart = picture[:, y0:y1, x0:x1].copy()
    if what == "moved":
        picture[:, y0:y1, x0 : x1 - 33] = chart[:, :, 33:]
    elif what == "turned":
        picture[:, y0:y1, x0:x1] = chart[:, ::-1, ::-1]
    else:
        picture[:, y0 : y0 + 70, x0:x1] = (120, 90, 60)
    alone = look(light, "LED-B3", seen_by="nikon", with_chart=False)
    seen = check_light(picture, light, LIMITS, now=NOW)
    assert seen.cct.value is None or seen.cct.value == pytest.approx(alone.cct.value, abs=20)


def test_two_readings_make_a_better_meter_than_one() -> None:
    one, two = calibrated("nikon", ("FL11",)), calibrated("nikon", ("FL11", "A"))
    cct_k, _ = truth(light_of("D65"))
    alone, both = (look(room(each), "D65", seen_by="nikon").cct for each in (one, two))
    assert abs(both.value - cct_k) < abs(alone.value - cct_k)  # type: ignore[operator]
    assert abs(both.value - cct_k) <= both.uncertainty  # type: ignore[operator]


def test_a_real_camera_with_a_card_alone_is_far_off_and_knows_it() -> None:
    light = room(calibrated("nikon", ("FL2",), chart=False))
    for name in LIGHTS:
        found = look(light, name, seen_by="nikon")
        if found.cct.value is not None:
            cct_k, _ = truth(light_of(name))
            assert abs(found.cct.value - cct_k) <= 1.1 * found.cct.uncertainty, name  # type: ignore[operator]


def test_several_lights_without_a_chart_bring_a_real_camera_within_250_k() -> None:
    light = room(calibrated("nikon", ("A", "LED-B3", "D65"), chart=False))
    for name in LIGHTS:
        found = look(light, name, seen_by="nikon")
        assert found.cct.value == pytest.approx(truth(light_of(name))[0], abs=250), name


def test_the_spectrum_behind_a_chart_is_guessed_for_a_camera_like_the_eye() -> None:
    found = calibrated(lights=("FL2",), spectrum=False)
    assert found.assumed_light in ("FL2", "FL6")  # of one family
    for name in LIGHTS:
        assert look(room(found), name).cct.value == pytest.approx(truth(light_of(name))[0], abs=150)


def test_a_guess_that_cannot_be_told_from_another_is_trusted_less() -> None:
    guessed, known = (calibrated("nikon", ("FL2",), spectrum=each) for each in (False, True))
    assert guessed.cct_uncertainty_k > 1.3 * known.cct_uncertainty_k


def test_jpeg_pictures_with_thinned_colours_are_good_enough() -> None:
    from io import BytesIO

    from PIL import Image

    light = room(calibrated())
    for name in ("FL2", "LED-B3", "D65"):
        file = BytesIO()
        Image.fromarray(render(light_of(name), noise=3.0)[0]).save(file, "JPEG", quality=80)
        found = check_light(np.array(Image.open(file)), light, LIMITS)
        assert found.cct.value == pytest.approx(truth(light_of(name))[0], abs=150)
        assert found.illuminance.value == pytest.approx(800, rel=0.08)


# What cannot be measured.

UNUSABLE: dict[str, dict[str, Any]] = {
    "no_card": {"card": None, "with_chart": False},
    "clipped": {"gain": 6.0, "card": 0.18},
    "mixed_light": {"second": "D65"},
    "too_dark": {"gain": 0.02},
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_scene_is_indeterminate_with_its_reason(reason: str) -> None:
    more = dict(UNUSABLE[reason])
    if isinstance(more.get("second"), str):
        more["second"] = light_of(more["second"])
    found = look(room(calibrated(), cri=97.0), "LED-B2", **more)
    assert (found.illuminance.verdict, found.illuminance.reason) == ("indeterminate", reason)
    assert found.cct.verdict == "indeterminate"
    assert found.verdict == "indeterminate"


@pytest.mark.parametrize("pair", [("LED-B3", "D65"), ("A", "LED-B3"), ("FL12", "FL10")])
def test_daylight_beside_lamps_is_seen_even_where_the_card_looks_right(pair: tuple[str, str]) -> None:
    light = room(calibrated(), cri=97.0)
    for left, right in (pair, pair[::-1]):
        found = look(light, left, second=light_of(right))
        assert found.cct.reason == "mixed_light"
        # Nor does a certificate speak for light that is not all the lamp's.
        assert (found.cri.verdict, found.cri.reason) == ("indeterminate", "mixed_light")


def test_witnesses_betray_a_second_light_that_the_card_does_not_see() -> None:
    picture = render(light_of("LED-B3"), noise=1.0)
    other = render(light_of("D65"), noise=1.0)
    picture[:, :, 200:] = other[:, :, 200:]
    # The chart's white patch is at the left, neutral 5 at the right of its lowest row.
    witness = (0.40 + 0.55 * 2.2 / 6, 0.10 + 0.55 * 3.2 / 4, 0.40 + 0.55 * 2.8 / 6, 0.10 + 0.55 * 3.8 / 4)
    light = room(calibrated(chart=False))
    assert check_light(picture, light, LIMITS).cct.reason != "mixed_light"
    watched = light.model_copy(update={"witnesses": (witness,)})
    assert check_light(picture, watched, LIMITS).cct.reason == "mixed_light"
    assert check_light(render(light_of("LED-B3")), watched, LIMITS).cct.reason != "mixed_light"
    # A chart that the camera was calibrated on is a witness itself.
    assert check_light(picture, room(calibrated()), LIMITS).cct.reason == "mixed_light"


def test_a_table_whose_tint_drifts_betrays_a_window_that_the_card_does_not_see() -> None:
    lamp, daylight = render(light_of("LED-B3"), with_chart=False), render(light_of("D65"), with_chart=False)
    share = 1 / (1 + np.exp(-(np.arange(360) - 250) / 20))[None, None, :, None]
    picture = np.round(lamp * (1 - share) + daylight * share).astype(np.uint8)
    light = room(calibrated())
    assert check_light(picture, light, LIMITS).cct.reason == "mixed_light"
    assert check_light(lamp, light, LIMITS).cct.verdict == "pass"
    told_not_to_look = light.model_copy(update={"surroundings": False})
    assert check_light(picture, told_not_to_look, LIMITS).cct.reason != "mixed_light"


@pytest.mark.parametrize(
    ("told", "locked"),
    [
        ({0x009A0901: 1, 0x0098090C: 0, 0x00980912: 0}, True),
        ({0x009A0901: 3, 0x0098090C: 0}, False),
        ({0x0098090C: 1}, False),
        ({}, None),
    ],
)
def test_a_camera_that_exposes_by_itself_is_not_believed(told: dict[int, int], locked: bool | None) -> None:
    def control(_: int, request: int, question: bytes) -> bytes:
        asked, _ = struct.unpack("=Ii", question)
        assert request == 0xC008561B
        if asked not in told:
            raise OSError(22, "Invalid argument")
        return struct.pack("=Ii", asked, told[asked])

    camera = Camera(name="desk", role="desk", input="v4l2", source="/dev/null")
    assert is_locked(camera, control) is locked
    found = check_light(render(light_of("LED-B3")), room(calibrated()), LIMITS, locked=locked)
    assert found.illuminance.reason == ("not_locked" if locked is False else "in_limits")


def test_whether_other_cameras_are_locked_cannot_be_known() -> None:
    assert is_locked(Camera(name="desk", role="desk", input="test")) is None
    assert is_locked(Camera(name="desk", role="desk", input="v4l2", source="/dev/video-none")) is None


def test_automatic_exposure_and_white_balance_are_noticed_between_frames() -> None:
    light = room(calibrated())
    steady = render(light_of("LED-B3"), frames=3)
    assert check_light(steady, light, LIMITS).illuminance.verdict == "pass"
    for other in (render(light_of("LED-B3"), gain=1.12), render(light_of("FL10"))):
        moving = np.concatenate([steady, other])
        assert check_light(moving, light, LIMITS).illuminance.reason == "unsteady"


def test_white_paper_in_the_card_s_place_is_not_taken_for_the_card() -> None:
    found = look(room(calibrated()), "LED-B3", 180.0, card=0.8)
    assert (found.illuminance.verdict, found.illuminance.reason) == ("indeterminate", "no_card")


def test_a_hand_over_the_card_is_not_measured() -> None:
    picture = render(light_of("LED-B3"))
    picture[0, 180:230, 20:70] = (200, 150, 120)
    assert check_light(picture, room(calibrated()), LIMITS).illuminance.verdict == "indeterminate"


# Calibration that must be refused.


def refused(*views: View, chart: bool = False, card: Any = CARD) -> str:
    with pytest.raises(CalibrationRejected) as caught:
        calibrate(list(views), Light(card=card), CHART if chart else None)
    return str(caught.value.data["flaw"])


def test_a_calibration_that_cannot_be_right_is_refused() -> None:
    d50, meter = light_of("D50"), Meter(800.0, 5001.0)
    good = View(render(d50), meter)
    assert refused(good, card=None) == "no_card_region"
    assert refused(View(render(d50, card=None, with_chart=False), meter)) == "no_card"
    assert refused(View(render(d50, gain=6), meter)) == "clipped"
    assert refused(View(render(d50, with_chart=False), meter), chart=True) == "no_chart"
    assert refused(View(np.ascontiguousarray(render(d50)[:, ::6, ::6]), meter)) == "no_card"
    dimmer = View(render(d50, gain=0.9), Meter(400.0, 5001.0))  # the camera brightened the picture by itself
    assert refused(good, dimmer) == "not_locked"


def test_readings_at_other_exposures_prove_the_response() -> None:
    d50 = light_of("D50")
    views = [
        View(render(d50, gain=gain, response=2.4), Meter(800.0, *truth(d50)), exposure_s=gain / 50)
        for gain in (0.3, 0.6, 1.5, 1.0)
    ]
    found = calibrate(views, Light(card=CARD))
    assert found.calibration.response == pytest.approx(2.4, abs=0.1)
    assert look(room(found), "LED-B3", 650.0, response=2.4).illuminance.value == pytest.approx(650, rel=0.03)


# Several sources.

LED = spectrum_of(light_of("LED-V2"))


def file_of(name: str, age: timedelta, **stated: float) -> Any:
    from dataclasses import replace

    return replace(spectrum_of(light_of(name)), measured_at=NOW - age, stated=stated)


def test_a_fresh_spectrum_alone_passes_a_good_room() -> None:
    found = check_light(None, Light(), LIMITS, file_of("LED-V2", timedelta(hours=1), lux=805.0), now=NOW)
    assert found.verdict == found.cct.verdict == found.cri.verdict == "pass"
    assert found.cri.source == found.illuminance.source == "spectrum"


def test_an_old_spectrum_still_vouches_for_the_lamp_but_not_for_today() -> None:
    last_month = file_of("LED-V2", timedelta(days=30), lux=805.0)
    found = check_light(None, Light(), LIMITS, last_month, now=NOW)
    assert (found.cri.verdict, found.cct.reason, found.illuminance.reason) == (
        "pass",
        "out_of_date",
        "out_of_date",
    )
    for age in (timedelta(days=400), -timedelta(days=3)):
        assert check_light(None, Light(), LIMITS, file_of("LED-V2", age), now=NOW).cri.reason == "out_of_date"
    assert check_light(None, Light(), LIMITS, LED, now=NOW).cri.reason == "undated"


def test_ra_of_another_light_than_today_s_counts_for_nothing() -> None:
    light = room(calibrated(), cri=97.0, lamp_cct_k=4100)
    lamp = file_of("LED-V2", timedelta(days=30))
    same = check_light(render(light_of("LED-V2")), light, LIMITS, lamp, now=NOW)
    assert same.cri.verdict == "pass"
    other = check_light(render(light_of("D50")), light, LIMITS, lamp, now=NOW)
    assert (other.cri.verdict, other.cri.reason) == ("indeterminate", "other_light")
    nominal = check_light(render(light_of("D55")), light, LIMITS, now=NOW)
    assert nominal.cri.reason == "other_light"


def test_sources_that_contradict_each_other_are_indeterminate() -> None:
    light = room(calibrated())
    sensor = SensorReading(500.0, 0.05)
    found = check_light(render(light_of("LED-B3")), light, LIMITS, sensor=sensor, now=NOW)
    assert (found.illuminance.verdict, found.illuminance.reason) == ("indeterminate", "contradiction")
    agreeing = SensorReading(805.0, 0.02)
    found = check_light(render(light_of("LED-B3")), light, LIMITS, sensor=agreeing, now=NOW)
    assert (found.illuminance.verdict, found.illuminance.source) == ("pass", "sensor")
    poor = check_light(None, Light(cri=96.0), LIMITS, file_of("LED-B3", timedelta(1)), now=NOW)
    assert poor.cri.reason == "contradiction"
    lying = file_of("LED-V2", timedelta(hours=1), ra=82.0)
    assert check_light(None, Light(), LIMITS, lying, now=NOW).cri.reason == "contradiction"


def test_an_old_certificate_does_not_count() -> None:
    old, new = (Light(cri=96.0, cri_date=day) for day in (date(2020, 1, 1), date(2026, 1, 1)))
    assert check_light(None, old, LIMITS, now=NOW).cri.reason == "out_of_date"
    assert check_light(None, new, LIMITS, now=NOW).cri.verdict == "pass"


def test_a_broken_spectrum_of_the_setup_is_told_and_nothing_else_suffers() -> None:
    found = check_light(None, Light(spectrum="/gone.csv", lux=800.0, lux_uncertainty=0.05), LIMITS, now=NOW)
    assert (found.illuminance.verdict, found.cri.reason) == ("pass", "bad_spectrum")


def test_a_tinted_light_fails_the_room() -> None:
    found = check_light(None, Light(), LIMITS, file_of("FL5", timedelta(0), lux=800.0), now=NOW)
    assert (found.duv.verdict, found.duv.reason, found.verdict) == ("fail", "too_green", "fail")


# Words.


def test_advice_has_numbers_lamps_and_no_repetition() -> None:
    light = room(calibrated(), cri=97.0, lamps=("left lamp",))
    warm = advice(look(light, "FL3", 560.0))
    too_warm = dict(warm)["light.advice.too_warm.lamps"]
    assert float(too_warm["value"]) == pytest.approx(3447, abs=50)
    assert (too_warm["target"], too_warm["lamps"]) == ("4500", "left lamp")
    dim = dict(warm)["light.advice.too_dim.lamps"]
    assert (dim["target"], dim["percent"]) == ("800", "43")
    blind = advice(look(light, "LED-B3", card=None, with_chart=False))
    assert blind == [("light.reason.no_card", {})]
    assert advice(look(light, "LED-B3")) == []


def test_every_advice_has_its_words_and_all_its_numbers() -> None:
    import string

    from api.messages import read_texts

    checks = [look(room(calibrated(), cri=cri, lamps=lamps), name, lux)
              for name in ("A", "D65", "FL5", "LED-B3", "D50") for lux in (300.0, 735.0, 900.0, 1300.0)
              for cri, lamps in ((80.0, ()), (91.0, ("左灯",)), (None, ()))]  # fmt: skip
    checks.append(look(room(calibrated(chart=False)), "LED-B3"))
    said = {(key, frozenset(numbers)) for check in checks for key, numbers in advice(check)}
    assert len({key for key, _ in said}) > 10
    for language in ("zh-CN", "en"):
        texts = read_texts(language)  # type: ignore[arg-type]
        for key, numbers in said:
            places = {name for _, name, _, _ in string.Formatter().parse(texts[key]) if name}
            assert places <= numbers, key


# The promise.

SETUPS = [
    ("srgb", ("D50",), True), ("srgb", ("FL11",), False), ("nikon", ("D50",), True), ("nikon", ("LED-B3",), True),
    ("nikon", ("FL2",), False), ("nikon", ("A", "D65"), False),
]  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    setup=st.sampled_from(SETUPS),
    first=st.sampled_from(LIGHTS),
    second=st.sampled_from(LIGHTS),
    share=st.floats(0, 1),
    lux=st.floats(50, 3000) | st.floats(650, 950),
    mixed=st.booleans(),
    gain=st.sampled_from([1.0, 1.0, 1.0, 0.2, 2.5, 6.0]),
    noise=st.floats(0, 4),
    card=st.sampled_from([0.18, 0.18, 0.18, None]),
)
def test_no_wrong_room_ever_passes(
    setup: tuple[str, tuple[str, ...], bool],
    first: str,
    second: str,
    share: float,
    lux: float,
    mixed: bool,
    gain: float,
    noise: float,
    card: float | None,
) -> None:
    seen_by, lights, chart = setup
    calibration: Calibration = calibrated(seen_by, lights, chart=chart).calibration
    grid = share * light_of(first) + (1 - share) * light_of(second)
    other = light_of(second) if mixed else None
    # Brighter and darker exposures are set by the lens, and known.
    exposed = calibration.model_copy(update={"exposure_s": calibration.exposure_s * gain})
    picture = render(grid, lux, seen_by=seen_by, second=other, gain=gain, noise=noise, card=card)
    found = check_light(picture, Light(card=CARD, calibration=exposed), LIMITS)
    at = (CARD[0] + CARD[2]) / 2
    there = grid if other is None else (1 - at) * grid + at * other
    cct_k, duv = truth(there)
    if card is None:
        assert "pass" not in (found.illuminance.verdict, found.cct.verdict)
    assert found.illuminance.verdict != "pass" or 720 <= lux <= 880
    assert found.cct.verdict != "pass" or 4000 <= cct_k <= 5000
    assert found.duv.verdict != "pass" or abs(duv) <= 0.006
