"""Light: rendered scenes whose light is known; a wrong picture must never pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.frames import Frames, grab_frame, read_image
from capture.light_setup import Calibration, Light
from capture.lighting import Reason, Source, Verdict, check_light
from capture.rig import Camera, Rig
from config.errors import DeviceFailed
from config.settings import CaptureSettings

XYZ_TO_RGB = np.linalg.inv([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
CARD = (0.4, 0.4, 0.6, 0.6)
# L = k*p*N^2/(t*ISO): with these, a card of 18 % under 800 lx gives p = 0.18.
EXPOSURE_S, F_NUMBER, ISO = 1 / 50, 2.8, 400.0
K = 800 * 0.18 / np.pi * EXPOSURE_S * ISO / (0.18 * F_NUMBER**2)
SHARP = Calibration(
    exposure_s=EXPOSURE_S, f_number=F_NUMBER, iso=ISO, k=K, lux_uncertainty=0.03, cct_uncertainty_k=100
)
LIMITS = CaptureSettings()
ILLUMINANTS = ["D50", "D55", "D65", "FL2", "FL7", "FL8", "FL11", "LED-B2", "LED-B3", "LED-B4", "LED-V2", "A"]


def xy_of(illuminant: str) -> Any:
    import colour

    return colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"][illuminant]


def encode(linear: Any) -> Frames:
    clipped = np.clip(linear, 0, 1)
    signal = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(signal * 255), dtype=np.uint8)


def scene(xy: Any = (0.3457, 0.3585), lux: float = 800.0, *, card: bool = True, noise: float = 0.0) -> Any:
    """Linear RGB of a table (35 %) with an 18 % card in the middle, lit by ``lux`` of chromaticity ``xy``."""
    x, y = xy
    light = XYZ_TO_RGB @ [x / y, 1.0, (1 - x - y) / y] * lux / 800
    picture = np.ones((180, 320, 3)) * 0.35 * light
    if card:
        picture[68:112, 122:198] = 0.18 * light
    return picture + np.random.default_rng(1).normal(0, noise, picture.shape) * picture


def light(calibration: Calibration | None = SHARP, **more: Any) -> Light:
    return Light(camera="desk", card=CARD, calibration=calibration, **more)


@pytest.mark.parametrize("illuminant", ILLUMINANTS)
def test_cct_is_within_150_k_and_lux_within_8_percent_of_the_known_light(illuminant: str) -> None:
    import colour
    from colour.temperature import XYZ_to_CCT_Ohno2013

    true_k, true_duv = XYZ_to_CCT_Ohno2013(colour.xy_to_XYZ(xy_of(illuminant)))
    for lux in (500.0, 800.0, 1100.0):
        found = check_light(encode(scene(xy_of(illuminant), lux, noise=0.03)), light(), LIMITS)
        assert found.cct.value == pytest.approx(true_k, abs=150)
        assert found.duv.value == pytest.approx(true_duv, abs=0.003)
        assert found.illuminance.value == pytest.approx(lux, rel=0.08)


def test_a_good_room_passes_where_a_lamp_certificate_vouches_for_its_cri() -> None:
    found = check_light(encode(scene(xy_of("LED-B3"))), light(cri=95.0), LIMITS)
    assert (found.illuminance.verdict, found.cct.verdict, found.cri.verdict) == ("pass",) * 3
    assert found.verdict == "pass"
    assert found.cri.source == "certificate"


def test_a_camera_never_proves_cri() -> None:
    found = check_light(encode(scene()), light(), LIMITS)
    assert (found.cri.verdict, found.cri.reason, found.verdict) == (
        "indeterminate",
        "needs_certificate",
        "indeterminate",
    )


@pytest.mark.parametrize(
    ("illuminant", "lux", "quantity", "reason"),
    [
        ("A", 800, "cct", "too_warm"),
        ("D65", 800, "cct", "too_cool"),
        ("D50", 800, "cct", "near_limit"),
        ("FL2", 500, "illuminance", "too_dim"),
        ("FL2", 1300, "illuminance", "too_bright"),
        ("FL2", 715, "illuminance", "near_limit"),
    ],
)
def test_wrong_light_fails_with_its_direction(
    illuminant: str, lux: float, quantity: str, reason: str
) -> None:
    reading = getattr(check_light(encode(scene(xy_of(illuminant), lux)), light(), LIMITS), quantity)
    assert reading.reason == reason
    assert reading.verdict == ("indeterminate" if reason == "near_limit" else "fail")
    assert reading.value is not None and reading.uncertainty is not None


def half_and_half() -> Any:
    ramp = np.linspace(0, 1, 320)[None, :, None]
    return scene(xy_of("A")) * (1 - ramp) + scene(xy_of("D65")) * ramp


UNUSABLE = {
    "clipped": scene(lux=800 * 6),
    "too_dark": scene(lux=20),
    "no_card": scene(card=False),
    "uneven": scene() * np.linspace(0.2, 1.8, 320)[None, :, None],
    "mixed_light": half_and_half(),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_a_picture_that_cannot_carry_the_measurement_is_indeterminate(reason: str) -> None:
    found = check_light(encode(UNUSABLE[reason]), light(cri=95.0), LIMITS)
    for reading in (found.illuminance, found.cct):
        assert (reading.verdict, reading.reason, reading.value) == ("indeterminate", reason, None)
    assert found.verdict == "indeterminate"


def test_a_busy_scene_without_a_card_is_not_taken_for_one(rng_scene: Frames) -> None:
    found = check_light(rng_scene, light(), LIMITS)
    assert found.illuminance.reason == "no_card"


@pytest.fixture
def rng_scene() -> Frames:
    return np.random.default_rng(0).integers(30, 220, (180, 320, 3), dtype=np.uint8)


def test_a_coloured_thing_in_the_card_s_place_gives_no_cct() -> None:
    picture = scene()
    picture[68:112, 122:198] *= (0.5, 1.2, 0.6)
    found = check_light(encode(picture), light(), LIMITS)
    assert (found.cct.verdict, found.cct.reason) == ("indeterminate", "not_white")


def test_flicker_between_frames_is_indeterminate() -> None:
    frames = np.stack([encode(scene(lux=800)), encode(scene(lux=650))])
    assert check_light(frames, light(), LIMITS).illuminance.reason == "unsteady"


def test_an_uncalibrated_camera_and_a_missing_card_region_are_indeterminate() -> None:
    assert check_light(encode(scene()), light(calibration=None), LIMITS).cct.reason == "uncalibrated"
    without = Light(camera="desk", calibration=SHARP)
    assert check_light(encode(scene()), without, LIMITS).illuminance.reason == "no_card"


def test_a_camera_that_is_named_but_shows_nothing_yet_is_no_reason_to_name_one() -> None:
    found = check_light(None, Light(camera="desk", calibration=SHARP), LIMITS)
    assert {found.illuminance.reason, found.cct.reason, found.duv.reason} == {"no_picture"}


def test_a_sensor_judges_lux_and_leaves_the_colour_open() -> None:
    found = check_light(None, Light(lux=800.0, lux_uncertainty=0.05), LIMITS)
    assert (found.illuminance.verdict, found.illuminance.source) == ("pass", "sensor")
    assert (found.cct.verdict, found.cct.reason) == ("indeterminate", "not_measured")
    assert check_light(None, Light(lux=300.0), LIMITS).verdict == "fail"


def test_the_usual_uncertainty_of_a_camera_is_too_wide_for_a_pass_at_ten_percent() -> None:
    usual = SHARP.model_copy(update={"lux_uncertainty": 0.15})
    assert check_light(encode(scene()), light(usual), LIMITS).illuminance.reason == "near_limit"


@settings(max_examples=40, deadline=None)
@given(true=st.floats(50, 1500), error=st.floats(-1, 1))
def test_a_sensor_within_its_uncertainty_never_passes_a_wrong_room(true: float, error: float) -> None:
    spread = 0.05
    shown = true / (1 - error * spread)  # so that |shown - true| <= spread * shown
    verdict = check_light(None, Light(lux=shown, lux_uncertainty=spread), LIMITS).illuminance.verdict
    inside = 720 - 1e-6 <= true <= 880 + 1e-6
    assert verdict != ("fail" if inside else "pass")


def test_the_result_is_plain_data() -> None:
    told = check_light(encode(scene()), light(), LIMITS).to_dict()
    assert told["verdict"] == "indeterminate"
    assert told["illuminance"]["unit"] == "lx"
    assert told["limits"]["lux_low"] == pytest.approx(720)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_verdict_and_reason_has_its_words(language: str) -> None:
    from babel.messages.pofile import read_po

    folder = Path(__file__).parents[2] / "api" / "locale" / language
    told = set()
    for path in (folder / "capture.po", folder / "light.po"):
        with path.open("rb") as file:
            told |= {message.id for message in read_po(file) if message.string}
    wanted = {f"light.reason.{each}" for each in get_args(Reason)}
    wanted |= {f"light.verdict.{each}" for each in get_args(Verdict)}
    assert wanted | {f"light.source.{each}" for each in get_args(Source)} <= told


def test_a_noisy_camera_is_still_a_light_meter() -> None:
    rng = np.random.default_rng(5)
    noisy = np.clip(encode(scene(xy_of("LED-B3"))) + rng.normal(0, 8, (180, 320, 3)), 0, 255).astype(np.uint8)
    found = check_light(noisy, light(), LIMITS)
    assert found.illuminance.value == pytest.approx(800, rel=0.08)
    assert found.cct.value == pytest.approx(4103, abs=150)


def test_an_image_file_is_read_in_a_child_process(tmp_path: Path) -> None:
    from PIL import Image

    picture = encode(scene())
    Image.fromarray(picture).save(tmp_path / "desk.png")
    assert np.array_equal(read_image(tmp_path / "desk.png")[0], picture)
    assert check_light(tmp_path / "desk.png", light(), LIMITS).illuminance.value == pytest.approx(
        800, rel=0.02
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DeviceFailed, match="broken.png"):
        read_image(tmp_path / "broken.png")


def test_a_frame_is_grabbed_from_an_input_and_a_dead_one_is_named() -> None:
    rig = Rig(
        camera=(Camera(name="desk", role="desk", input="test", source="smptebars", width=320, height=180),)
    )
    frame = grab_frame(rig, "desk")
    assert frame.shape == (180, 320, 3)
    # 75 % white, the first bar of SMPTE RP 219's predecessor: all channels alike.
    assert np.ptp(frame[20, 20].astype(int)) <= 3
    gone = Rig(camera=(Camera(name="room", role="room", input="v4l2", source="/dev/video-none"),))
    with pytest.raises(DeviceFailed, match="room"):
        grab_frame(gone, "room")
