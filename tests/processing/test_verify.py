from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config.settings import MediaSettings, VisionSettings
from processing import guests
from processing.blur import render
from processing.chains import Seen
from processing.media import no_progress
from processing.recognise import make_template
from processing.tracks import Knot, Track
from processing.verify import VerificationReport, attack
from tests.processing import clips

FRAMES = 30
SETTINGS = VisionSettings(detect_width_px=320)


def exact_track(number: int, who: str) -> Track:
    """A track from where the clip's maker says the face is."""
    boxes = [getattr(scene, who) for scene in clips.consultation(FRAMES)]
    grown = [(x0 - 20, y0 - 30, x1 + 20, y1 + 20) for x0, y0, x1, y1 in boxes]
    looks = tuple(Seen(frame, box, 0.9) for frame, box in enumerate(boxes))
    return Track(number, 0, FRAMES - 1, looks, tuple(Knot(frame, box) for frame, box in enumerate(grown)))


EXPERT, PATIENT = exact_track(0, "expert"), exact_track(1, "patient")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.consultation_clip(tmp_path_factory.mktemp("verify") / "clip.mp4", FRAMES)


def output(clip: Path, tracks: list[Track], name: str) -> Path:
    out = clip.with_name(name)
    render(clip, tracks, out, style="blur", media=MediaSettings(), progress=no_progress)
    return out


def check(out: Path, tracks: list[Track], original: Path | None) -> VerificationReport:
    return attack(out, tracks, SETTINGS, no_progress, original=original)


def test_output_with_every_face_hidden_or_kept_on_purpose_passes(clip: Path) -> None:
    tracks = [replace(EXPERT, decision="keep", reason="enrolled-expert"), PATIENT]
    out = output(clip, tracks, "good.mp4")
    report = check(out, tracks, clip)
    assert (report.verdict, report.moments) == ("pass", ())
    assert FRAMES / 2 <= report.examined_frames < FRAMES
    assert len(report.attackers) == 2
    assert check(out, tracks, None).verdict == "pass"


@pytest.mark.parametrize("with_original", [True, False])
def test_a_face_left_visible_for_two_frames_fails_and_the_moment_is_named(
    clip: Path, with_original: bool
) -> None:
    leak_frames = (13, 14)
    before = replace(PATIENT, last_frame=12)
    after = replace(PATIENT, id=2, first_frame=15)
    out = output(clip, [EXPERT, before, after], f"leak-{with_original}.mp4")
    report = check(out, [EXPERT, before, after], clip if with_original else None)
    assert report.verdict == "fail"
    assert {moment.kind for moment in report.moments} == {"visible-face", "gap"}
    assert {moment.frame for moment in report.moments if moment.kind == "gap"} == set(leak_frames)
    for moment in report.moments:
        assert moment.frame in leak_frames
        assert moment.time_s == pytest.approx(moment.frame / clips.FPS, abs=0.001)
        assert np.allclose(moment.box, PATIENT.looks[moment.frame].box, atol=30)
    assert json.loads(json.dumps(report.to_dict()))["verdict"] == "fail"


def test_a_kept_face_that_nobody_decided_to_keep_is_found(clip: Path) -> None:
    report = check(output(clip, [PATIENT], "expert-open.mp4"), [PATIENT], clip)
    assert report.verdict == "fail"
    assert len({moment.frame for moment in report.moments}) == report.examined_frames >= FRAMES / 2
    assert {moment.kind for moment in report.moments} == {"visible-face"}


@pytest.mark.parametrize("with_original", [True, False])
def test_an_area_that_was_not_hidden_is_found_even_where_no_detector_sees_a_face(
    tmp_path: Path, with_original: bool
) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (8, 120, 160, 3), np.uint8)
    clip = clips.write_clip(tmp_path / "noise.mp4", iter(noise))
    box = (40.0, 30.0, 90.0, 90.0)
    track = Track(0, 0, 7, (Seen(0, box, 0.9),), (Knot(0, box),))
    report = check(clip, [track], clip if with_original else None)
    assert [moment.frame for moment in report.moments if moment.kind == "area-visible"] == [0, 2, 4, 6, 7]
    assert check(output(clip, [track], "hidden.mp4"), [track], clip).verdict == "pass"


def test_a_pause_in_the_protection_of_an_empty_place_is_no_alarm(tmp_path: Path) -> None:
    wall = clips.write_clip(tmp_path / "wall.mp4", (np.full((120, 160, 3), 90, np.uint8) for _ in range(20)))
    box = (40.0, 30.0, 90.0, 90.0)
    pieces = [
        Track(number, first, last, (Seen(first, box, 0.9),), (Knot(first, box),))
        for number, (first, last) in enumerate([(0, 8), (11, 19)])
    ]
    assert check(wall, pieces, wall).verdict == "pass"


def test_a_kept_face_that_is_not_the_experts_is_found_and_the_experts_is_not(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "COMPARE_EVERY_S", 0.2)
    template = make_template(clips.expert_photo())
    both = [replace(EXPERT, decision="keep"), replace(PATIENT, decision="keep")]
    report = attack(clip, both, SETTINGS, no_progress, original=clip, templates=[template])
    assert {moment.kind for moment in report.moments} == {"stranger-kept"}
    for moment in report.moments:
        assert np.allclose(moment.box, PATIENT.looks[moment.frame].box, atol=1)
    assert attack(clip, both, SETTINGS, no_progress, original=clip).verdict == "pass"


def test_an_output_with_fewer_frames_than_the_original_fails(clip: Path) -> None:
    short = clips.consultation_clip(clip.with_name("short.mp4"), FRAMES - 4)
    tracks = [replace(EXPERT, decision="keep"), replace(PATIENT, decision="keep")]
    report = check(short, tracks, clip)
    assert [moment.kind for moment in report.moments] == ["frames-missing"]
    assert report.moments[0].frame == FRAMES - 4


def test_another_detector_than_the_one_that_drove_the_blur_attacks_when_there_is_one(
    clip: Path, shared_media: Path
) -> None:
    yunet = str(shared_media / "models" / "face_detection_yunet_2026may.onnx")
    tracks = [EXPERT, PATIENT]
    out = output(clip, tracks, "both.mp4")
    by_centerface = attack(out, tracks, VisionSettings(yunet_path=yunet), no_progress, original=clip)
    by_yunet = attack(
        out, tracks, VisionSettings(detector="yunet", yunet_path=yunet), no_progress, original=clip
    )
    assert by_centerface.attackers == ("yunet",)
    assert by_yunet.attackers == ("centerface",)
    assert (by_centerface.verdict, by_yunet.verdict) == ("pass", "pass")
