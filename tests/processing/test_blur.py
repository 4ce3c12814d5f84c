from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from config.errors import EditsRejected, Truncated
from config.settings import MediaSettings, VisionSettings
from processing.blur import BlurReport, blur_file, render
from processing.chains import Seen
from processing.frames import read_pictures, video_facts
from processing.geometry import Box
from processing.hide import hide
from processing.media import no_progress
from processing.suspects import structure
from processing.tracks import Knot, Track
from tests.processing import clips

VISION, MEDIA = VisionSettings(detect_width_px=320), MediaSettings()


def still(box: Box, frames: int, decision: Any = "blur") -> Track:
    return Track(0, 0, frames - 1, (Seen(0, box, 0.9),), (Knot(0, box),), decision)


def grey(picture: Any) -> Any:
    return picture.rgb().mean(axis=2).astype(np.uint8)


def packets(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as source:
        found: list[list[bytes]] = [[] for _ in source.streams.audio]
        numbers = {stream.index: number for number, stream in enumerate(source.streams.audio)}
        for packet in source.demux(*source.streams.audio):
            if packet.size:
                found[numbers[packet.stream.index]].append(bytes(packet))
        return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.consultation_clip(tmp_path_factory.mktemp("blur") / "clip.mp4", 40, audio_streams=2)


@pytest.fixture(scope="module")
def done(clip: Path) -> tuple[Path, BlurReport]:
    out = clip.with_name("blurred.mp4")
    shares: list[float] = []
    report = blur_file(
        clip, out, vision=VISION, media=MEDIA, keep_photos=[clips.expert_photo()], progress=shares.append
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    return out, report


def test_the_expert_stays_visible_and_the_patient_is_hidden_in_every_frame(
    clip: Path, done: tuple[Path, BlurReport]
) -> None:
    truth = list(clips.consultation(40))
    for before, after, scene in zip(read_pictures(clip), read_pictures(done[0]), truth, strict=True):
        kept = structure(grey(after), scene.expert) / structure(grey(before), scene.expert)
        left = structure(grey(after), scene.patient) / structure(grey(before), scene.patient)
        assert kept > 0.7, before.index
        assert left < 0.05, before.index


def test_the_report_tells_who_was_kept_who_was_blurred_and_why(done: tuple[Path, BlurReport]) -> None:
    raw = json.loads(json.dumps(done[1].to_dict()))
    assert raw["frames"] == 40
    assert raw["verdict"] == "pass"
    assert {(track["decision"], track["reason"]) for track in raw["tracks"]} == {
        ("keep", "enrolled-expert"),
        ("blur", "default"),
    }
    assert {(track["from_s"], track["to_s"]) for track in raw["tracks"]} == {(0.0, 1.6)}


def test_every_audio_stream_is_copied_bit_for_bit(clip: Path, done: tuple[Path, BlurReport]) -> None:
    assert len(packets(done[0])) == 2
    assert packets(done[0]) == packets(clip)


def test_nothing_but_the_result_is_left_in_the_folder(clip: Path, done: tuple[Path, BlurReport]) -> None:
    assert {path.name for path in clip.parent.iterdir()} == {"clip.mp4", "blurred.mp4"}


def test_a_refused_edit_leaves_no_output(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(EditsRejected):
        blur_file(clip, out, vision=VISION, media=MEDIA, edits={"keep_tracks": [99]}, progress=no_progress)
    assert list(tmp_path.iterdir()) == []


def noise(frames: int, height: int, width: int) -> Iterator[Any]:
    random = np.random.default_rng(3)
    for _ in range(frames):
        yield random.integers(0, 255, (height, width, 3), np.uint8)


def run(video: Path, tracks: list[Track], name: str = "out.mp4", media: MediaSettings = MEDIA) -> Path:
    out = video.with_name(name)
    render(video, tracks, out, style="blur", media=media, progress=no_progress)
    return out


def test_frame_count_and_a_variable_frame_rate_are_kept_exactly(tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 240, 900, 933, 967, 1500, 2600]
    clip = clips.write_clip(tmp_path / "vfr.mp4", noise(10, 120, 160), pts=pts)
    out = run(clip, [still((20, 20, 60, 60), 10)])
    assert [round(picture.time_s * 1000) for picture in read_pictures(out)] == pts


def test_keyframes_stand_where_streaming_cuts(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "long.mp4", noise(80, 64, 64))
    out = run(clip, [], media=MediaSettings(keyframe_s=1.0))
    with av.open(str(out)) as source:
        frames = [frame for frame in source.decode(video=0)]
    assert [number for number, frame in enumerate(frames) if frame.key_frame] == [0, 25, 50, 75]
    assert out.read_bytes().index(b"moov") < out.read_bytes().index(b"mdat")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    clip = clips.consultation_clip(tmp_path / "clip.mp4", 30)
    tracks = [still((400, 100, 480, 200), 30)]
    first, second = run(clip, tracks, "a.mp4"), run(clip, tracks, "b.mp4")
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p", "yuvj420p"])
def test_other_pixel_formats_become_8_bit_420_of_the_same_look(tmp_path: Path, pix_fmt: str) -> None:
    scenes = (scene.pixels for scene in clips.consultation(4))
    clip = clips.write_clip(tmp_path / "clip.mkv", scenes, pix_fmt=pix_fmt)
    out = run(clip, [])
    for before, after in zip(read_pictures(clip), read_pictures(out), strict=True):
        assert after.frame.format.name in ("yuv420p", "yuvj420p")
        assert np.abs(before.rgb().astype(int) - after.rgb()).mean() < 4


def test_an_odd_size_loses_one_row_and_column_at_most(tmp_path: Path) -> None:
    scenes = (scene.pixels[:239, :311] for scene in clips.consultation(4))
    clip = clips.write_clip(tmp_path / "odd.mkv", scenes, pix_fmt="yuv444p")
    out = run(clip, [still((100, 100, 400, 300), 4)])
    assert next(read_pictures(out)).size_px == (310, 238)


def test_rotation_goes_into_the_pixels_and_the_face_is_hidden_there(tmp_path: Path) -> None:
    scenes = list(clips.consultation(6))
    lying = (np.ascontiguousarray(np.rot90(scene.pixels)) for scene in scenes)
    phone = clips.rotated(
        clips.write_clip(tmp_path / "lying.mp4", lying), tmp_path / "phone.mp4", clockwise_deg=90
    )
    out = run(phone, [still(scenes[0].patient, 6)])
    after = next(read_pictures(out))
    assert after.frame.rotation == 0
    assert after.size_px == (640, 360)
    assert structure(grey(after), scenes[0].patient) < 0.05 * structure(
        np.asarray(scenes[0].pixels.mean(axis=2), np.uint8), scenes[0].patient
    )


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "camcorder.mkv", noise(3, 64, 96), aspect="2")
    wanted = video_facts(clip).pixel_shape
    assert wanted == 2
    assert video_facts(run(clip, [])).pixel_shape == wanted


def test_a_blurred_area_wins_over_a_kept_one(tmp_path: Path) -> None:
    clip = clips.consultation_clip(tmp_path / "clip.mp4", 3)
    scene = next(clips.consultation(1))
    kept = still((0, 0, 640, 360), 3, "keep")
    out = run(clip, [kept, still(scene.patient, 3)])
    assert structure(grey(next(read_pictures(out))), scene.patient) < 20


def test_a_truncated_video_is_named_and_no_half_protected_file_is_taken_for_whole(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mkv", noise(60, 240, 320))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 3])
    out = tmp_path / "out.mp4"
    try:
        blur_file(clip, out, vision=VISION, media=MEDIA, progress=no_progress)
    except Truncated:
        assert not out.exists()
    else:
        assert sum(1 for _ in read_pictures(out)) == sum(1 for _ in read_pictures(clip))


@pytest.mark.parametrize("style", ["mosaic", "blur", "solid"])
@pytest.mark.parametrize("side_px", [20, 90, 900])
def test_no_more_than_8_by_8_cells_are_left_of_a_face_of_any_size(style: Any, side_px: int) -> None:
    random = np.random.default_rng(1)
    luma = random.integers(0, 255, (1000, 1000), np.uint8)
    chroma = random.integers(0, 255, (2, 500, 500), np.uint8)
    planes = (luma, chroma[0], chroma[1])
    box = (40.0, 40.0, 40.0 + side_px, 40.0 + side_px)
    hide(planes, box, style)
    inside = luma[42 : 38 + side_px, 42 : 38 + side_px].astype(int)
    rows = inside[side_px // 2]
    assert np.count_nonzero(np.abs(np.diff(rows)) > 24) <= 8
    assert np.abs(np.diff(inside, axis=1)).mean() < 8


def test_what_lies_far_from_a_hidden_face_is_left_as_it_was() -> None:
    luma = np.random.default_rng(1).integers(0, 255, (360, 640), np.uint8)
    before = luma.copy()
    hide((luma, np.zeros((180, 320), np.uint8), np.zeros((180, 320), np.uint8)), (300, 100, 380, 200), "blur")
    changed = luma != before
    assert changed[150, 340]
    assert changed.sum() < 1.4 * 80 * 100


def test_a_box_outside_the_picture_changes_nothing() -> None:
    luma = np.random.default_rng(1).integers(0, 255, (90, 160), np.uint8)
    before = luma.copy()
    hide((luma, np.zeros((45, 80), np.uint8), np.zeros((45, 80), np.uint8)), (-90, -90, -50, -40), "blur")
    assert (luma == before).all()
