"""What is not a face is kept: every frame, its time, every bit of sound. What might tell who it is, is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from config.settings import MediaSettings, VisionSettings
from processing.blur import BlurReport, blur_file
from processing.frames import read_pictures, video_facts
from processing.media import no_progress
from processing.suspects import structure
from processing.verify import attack
from tests.processing import clips
from tests.processing.media_files import clicks, write_sound

VISION, MEDIA = VisionSettings(detect_width_px=160), MediaSettings()
BLIND = VisionSettings(detect_width_px=160, detect_score=0.99)
LENGTH_S = "1.2"
OFFSET_S = 0.020
ADTS_HEADER = 7

NTSC = ("-f", "lavfi", "-i", f"testsrc2=s=160x120:r=30000/1001:d={LENGTH_S}")
FIELDS = ("-f", "lavfi", "-i", f"testsrc2=s=160x128:r=50:d={LENGTH_S}")
TONE = ("-f", "lavfi", "-i", f"sine=440:r=48000:d={LENGTH_S}")
X264 = ("-c:v", "libx264", "-bf", "3", "-preset", "ultrafast")
WOVEN = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ilme+ildct")
ALT_REF = ("-auto-alt-ref", "1", "-lag-in-frames", "16", "-deadline", "realtime", "-cpu-used", "8")

SOURCES: dict[str, tuple[str, ...]] = {
    "b-frames.mp4": (*NTSC, *TONE, *X264, "-c:a", "aac"),
    "negative-offsets.mp4": (*NTSC, *TONE, *X264, "-movflags", "negative_cts_offsets", "-c:a", "aac"),
    "late-sound.mp4": (*NTSC, "-itsoffset", "0.3", *TONE, *X264, "-c:a", "aac"),
    "late-picture.mp4": ("-itsoffset", "0.4", *NTSC, *TONE, *X264, "-c:a", "aac"),
    "late-picture.mkv": ("-itsoffset", "0.4", *NTSC, *TONE, *X264, "-c:a", "libopus"),
    "from-5-s.mkv": (*NTSC, *TONE, *X264, "-c:a", "pcm_s16le", "-output_ts_offset", "5"),
    "pcm.mov": (*NTSC, *TONE, *X264, "-c:a", "pcm_s24le"),
    "mp3.mkv": (*NTSC, *TONE, *X264, "-c:a", "libmp3lame"),
    "two-tracks.mkv": (
        *(*NTSC, *TONE, *TONE, "-map", "0", "-map", "1", "-map", "2", *X264),
        *("-c:a:0", "aac", "-c:a:1", "flac"),
    ),
    "hevc-10-bit.mkv": (
        *(*NTSC, *TONE, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
        *("-x265-params", "log-level=error:bframes=3", "-c:a", "aac"),
    ),
    "vp9-alt-ref.webm": (*NTSC, *TONE, "-c:v", "libvpx-vp9", *ALT_REF, "-c:a", "libopus"),
    "vp8-alt-ref.webm": (*NTSC, *TONE, "-c:v", "libvpx", *ALT_REF, "-c:a", "libvorbis"),
    "mpeg1.mpg": (*NTSC, *TONE, "-c:v", "mpeg1video", "-bf", "2", "-c:a", "mp2"),
    "mpeg2.mpg": (*NTSC, *TONE, "-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"),
    "mpeg2-interlaced.ts": (*FIELDS, *TONE, *WOVEN, "-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"),
    "h264-interlaced.mp4": (*FIELDS, *TONE, *WOVEN, *X264, "-x264opts", "tff=1", "-c:a", "aac"),
    "transport.ts": (*NTSC, *TONE, *X264, "-c:a", "aac"),
    "mpeg4.avi": (*NTSC, *TONE, "-c:v", "mpeg4", "-bf", "2", "-c:a", "libmp3lame"),
    "old.flv": (*NTSC, *TONE, *X264, "-c:a", "aac", "-ar", "44100"),
}


@dataclass(frozen=True)
class Done:
    source: Path
    out: Path
    report: BlurReport


def blur(source: Path, out: Path) -> Done:
    return Done(source, out, blur_file(source, out, vision=VISION, media=MEDIA, progress=no_progress))


@pytest.fixture(scope="module", params=SOURCES)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("kept")
    source = clips.by_ffmpeg(folder / request.param, *SOURCES[request.param])
    return blur(source, folder / "out.mp4")


def kept_exactly(before: list[Fraction], after: list[Fraction], tick: Fraction = Fraction(0)) -> bool:
    """Equal steps from frame to frame, and the same start but for the millisecond an MP4's header counts in."""
    steps = [abs((b - after[0]) - (a - before[0])) <= tick / 2 for a, b in zip(before, after, strict=True)]
    return all(steps) and abs(after[0] - before[0]) <= Fraction(1, 1000) + tick


def sound_packets(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as source:
        found: dict[int, list[bytes]] = {stream.index: [] for stream in source.streams.audio}
        for packet in source.demux(*source.streams.audio):
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
        return list(found.values())


def test_every_frame_and_its_time_is_kept(done: Done) -> None:
    before = clips.times_by_ffmpeg(done.source)
    assert len(before) >= 30
    assert kept_exactly(before, clips.times_by_ffmpeg(done.out))
    assert done.report.frames == len(before)


def test_every_bit_of_sound_is_kept_and_starts_when_it_did(done: Done) -> None:
    before, after = sound_packets(done.source), sound_packets(done.out)
    if done.source.suffix == ".ts" and before[0][0][:1] == b"\xff" and "mpeg2" not in done.source.name:
        # A transport stream repeats a header before every AAC packet, which an MP4 keeps once.
        before = [[packet[ADTS_HEADER:] for packet in stream] for stream in before]
    assert len(before) >= 1
    assert after == before
    for number in range(len(before)):
        offsets = [
            clips.times_by_ffmpeg(path, f"a:{number}")[0] - clips.times_by_ffmpeg(path)[0]
            for path in (done.source, done.out)
        ]
        assert abs(offsets[0] - offsets[1]) < OFFSET_S


def test_the_attack_neither_misses_a_frame_nor_finds_one_too_many(done: Done) -> None:
    assert {moment.kind for moment in done.report.verification.moments} <= {"visible-face"}
    count = str(done.report.frames - 1)
    short = clips.by_ffmpeg(
        done.out.with_name("short.mp4"), "-i", done.out, "-an", "-c", "copy", "-frames:v", count
    )
    report = attack(short, [], VISION, no_progress, original=done.source)
    assert [m.frame for m in report.moments if m.kind == "frames-missing"] == [done.report.frames - 1]


def test_a_variable_rate_is_kept_to_the_tick_in_either_container(tmp_path: Path) -> None:
    pts = [40 * number + 9 * (number * number % 7) + (700 if number > 20 else 0) for number in range(36)]
    pictures = (scene.pixels for scene in clips.consultation(36, 160, 120))
    source = clips.write_clip(tmp_path / "vfr.mkv", pictures, pts=pts, audio_streams=1, bf="3")
    before = clips.times_by_ffmpeg(source)
    assert [round(time_s * 1000) for time_s in before] == pts
    for name in ("out.mp4", "out.mkv"):
        blur(source, tmp_path / name)
        assert kept_exactly(before, clips.times_by_ffmpeg(tmp_path / name), Fraction(1, 1000))


def test_a_recording_that_begins_in_the_middle_of_a_group_is_shown_from_its_first_whole_picture(
    tmp_path: Path,
) -> None:
    whole = clips.by_ffmpeg(tmp_path / "whole.ts", *NTSC, *TONE, *X264, "-g", "12", "-c:a", "aac")
    data = whole.read_bytes()
    source = tmp_path / "begun.ts"
    source.write_bytes(data[len(data) // 4 // 188 * 188 :])
    done = blur(source, tmp_path / "out.mp4")
    before = clips.times_by_ffmpeg(source)
    assert 10 < len(before) < len(clips.times_by_ffmpeg(whole))
    assert kept_exactly(before, clips.times_by_ffmpeg(done.out))
    assert "frames-missing" not in {moment.kind for moment in done.report.verification.moments}


def test_frames_that_an_edit_list_hides_stay_hidden(tmp_path: Path) -> None:
    whole = clips.by_ffmpeg(tmp_path / "whole.mp4", *NTSC, *TONE, *X264, "-c:a", "aac")
    source = clips.by_ffmpeg(tmp_path / "cut.mp4", "-ss", "0.5", "-i", whole, "-c", "copy")
    before = clips.times_by_ffmpeg(source)
    assert len(before) < len(clips.times_by_ffmpeg(whole))
    done = blur(source, tmp_path / "out.mp4")
    assert kept_exactly(before, clips.times_by_ffmpeg(done.out))


# --- a flash and a beep -----------------------------------------------------------------------------------

FLASH_FRAME = 15


def flash_and_beep(out: Path, codec: str, *shift: str) -> Path:
    """One white picture and, at the moment it appears, a beep."""
    black = np.zeros((120, 160, 3), np.uint8)
    pictures = (black + 255 * np.uint8(number == FLASH_FRAME) for number in range(36))
    silent = clips.write_clip(out.with_suffix(".silent.mkv"), pictures, bf="2")
    beep = write_sound(out.with_suffix(".wav"), clicks(1.44, [FLASH_FRAME / clips.FPS]), 48_000)
    return clips.by_ffmpeg(out, *shift, "-i", silent, "-i", beep, "-c:v", "copy", "-c:a", codec)


def beep_after_flash_s(path: Path) -> float:
    with av.open(str(path)) as source:
        flash_s = next(
            float(frame.time)
            for frame in source.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 128
        )
    with av.open(str(path)) as source:
        for frame in source.decode(audio=0):
            samples = (
                np.abs(frame.to_ndarray().astype(float)).reshape(len(frame.layout.channels), -1).max(axis=0)
            )
            scale = {"s16": 2**15, "s16p": 2**15, "s32": 2**31}.get(frame.format.name, 1)
            loud = np.flatnonzero(samples > 0.3 * scale)
            if len(loud):
                return float(frame.time) + loud[0] / frame.sample_rate - flash_s
    raise AssertionError("no beep")


@pytest.mark.parametrize("shift", [(), ("-itsoffset", "0.35")])
@pytest.mark.parametrize(
    ("source", "codec", "container"),
    [
        ("a.mp4", "aac", "mp4"),
        ("a.mp4", "aac", "mkv"),
        ("a.mkv", "libopus", "mp4"),
        ("a.mkv", "libopus", "mkv"),
        ("a.mkv", "libmp3lame", "mp4"),
        ("a.mov", "pcm_s16le", "mov"),
        ("a.ts", "aac", "mp4"),
    ],
)
def test_a_beep_is_heard_with_its_flash(
    tmp_path: Path, source: str, codec: str, container: str, shift: tuple[str, ...]
) -> None:
    clip = flash_and_beep(tmp_path / source, codec, *shift)
    wanted_s = beep_after_flash_s(clip)
    assert wanted_s == pytest.approx(-0.35 if shift else 0.0, abs=0.06)
    done = blur(clip, tmp_path / f"out.{container}")
    assert abs(beep_after_flash_s(done.out) - wanted_s) < OFFSET_S


# --- the picture ------------------------------------------------------------------------------------------


def difference(before: Any, after: Any) -> float:
    return float(np.abs(before.astype(int) - after).mean())


@pytest.mark.parametrize("clockwise_deg", [90, 180, 270])
def test_a_turned_picture_is_upright_afterwards(tmp_path: Path, clockwise_deg: int) -> None:
    scenes = [scene.pixels for scene in clips.consultation(4, 320, 180)]
    turns = clockwise_deg // 90
    lying = clips.write_clip(
        tmp_path / "lying.mp4", (np.ascontiguousarray(np.rot90(pixels, turns)) for pixels in scenes)
    )
    phone = clips.rotated(lying, tmp_path / "phone.mp4", clockwise_deg)
    blur_file(phone, tmp_path / "out.mp4", vision=BLIND, media=MEDIA, progress=no_progress)
    for before, after in zip(scenes, read_pictures(tmp_path / "out.mp4"), strict=True):
        assert after.frame.rotation == 0
        assert after.size_px == (320, 180)
        assert difference(before, after.rgb()) < 6


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "width_px", "height_px"),
    [
        ("libx264", "yuv422p", 318, 238),
        ("libx264", "yuv422p10le", 134, 240),
        ("libx264", "yuv444p10le", 135, 241),
        ("libx264", "yuv444p", 319, 201),
        ("libx265", "yuv420p10le", 134, 240),
        ("libvpx-vp9", "yuv420p10le", 318, 238),
        ("prores", "yuv422p10le", 318, 238),
        ("mjpeg", "yuvj422p", 135, 241),
    ],
)
def test_depth_subsampling_odd_sizes_and_portrait_change_nothing_that_can_be_seen(
    tmp_path: Path, codec: str, pix_fmt: str, width_px: int, height_px: int
) -> None:
    scenes = [scene.pixels[:height_px, :width_px] for scene in clips.consultation(4, 320, 242)]
    raw = clips.write_clip(tmp_path / "raw.mkv", iter(scenes), codec="ffv1", pix_fmt="bgr0")
    coded = ("-c:v", codec, "-pix_fmt", pix_fmt)
    source = clips.by_ffmpeg(tmp_path / ("clip.mov" if codec == "prores" else "clip.mkv"), "-i", raw, *coded)
    even = (width_px // 2 * 2, height_px // 2 * 2)
    blur_file(source, tmp_path / "out.mp4", vision=BLIND, media=MEDIA, progress=no_progress)
    for before, after in zip(read_pictures(source), read_pictures(tmp_path / "out.mp4"), strict=True):
        assert before.size_px == (width_px, height_px)
        assert after.size_px == even
        assert after.frame.format.name in ("yuv420p", "yuvj420p")
        assert difference(before.rgb()[: even[1], : even[0]], after.rgb()) < 5


def combs(luma: Any) -> float:
    """How much every row differs from both its neighbours on the same side, in grey levels."""
    rows = luma.astype(int)
    above, below = rows[1:-1] - rows[:-2], rows[1:-1] - rows[2:]
    return float(np.where(above * below > 0, np.minimum(abs(above), abs(below)), 0).mean())


def swinging(frames: int) -> Iterator[clips.Scene]:
    """Heads that move by some 10 pixels between the two fields of a frame."""
    scenes = list(clips.consultation(9 * 8, 320, 240))
    return (scenes[(number * 5) % len(scenes)] for number in range(frames))


def test_an_interlaced_recording_comes_out_without_combs_and_its_faces_are_hidden_in_both_fields(
    tmp_path: Path,
) -> None:
    scenes = list(swinging(40))
    quick = clips.write_clip(
        tmp_path / "quick.mkv", (s.pixels for s in scenes), pts=[20 * n for n in range(40)], crf="5"
    )
    source = clips.by_ffmpeg(
        tmp_path / "camcorder.mp4",
        *("-r", "50", "-i", quick, *WOVEN, *X264, "-crf", "10", "-x264opts", "tff=1"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"),
    )
    with av.open(str(source)) as container:
        woven = [frame for frame in container.decode(video=0)]
    assert all(frame.interlaced_frame for frame in woven)
    settings = VisionSettings(detect_width_px=320)
    report = blur_file(source, tmp_path / "out.mp4", vision=settings, media=MEDIA, progress=no_progress)
    after = list(read_pictures(tmp_path / "out.mp4"))
    assert report.frames == len(after) == len(woven) == 20
    assert kept_exactly(clips.times_by_ffmpeg(source), clips.times_by_ffmpeg(tmp_path / "out.mp4"))
    pictures = [picture.luma() for picture in read_pictures(source)]
    combed = np.mean([combs(frame.to_ndarray(format="gray")) for frame in woven])
    smooth = np.mean([combs(scene.pixels.mean(axis=2)) for scene in scenes])
    assert combed > 2 * smooth
    assert np.mean([combs(picture) for picture in pictures]) < 1.2 * smooth
    assert (after[0].frame.colorspace, after[0].frame.color_range) == (
        woven[0].colorspace,
        woven[0].color_range,
    )
    for number, picture in enumerate(after):
        assert not picture.frame.interlaced_frame
        for scene in scenes[2 * number : 2 * number + 2]:
            for face in (scene.expert, scene.patient):
                clear = structure(np.asarray(scene.pixels.mean(axis=2), np.uint8), face)
                assert structure(np.ascontiguousarray(picture.luma()), face) < 0.1 * clear, number


# --- what must not travel ---------------------------------------------------------------------------------

SECRETS = (
    "Zhang-Patient",
    "+39.9042+116.4074",
    "2019-05-04",
    "Camcorder9000",
    "Chapter-Zhang",
    "Spoken-Zhang",
)


@pytest.fixture
def told_too_much(tmp_path: Path) -> Path:
    """A recording with everything in it that a camera or an editing program may add."""
    face = cv2.imread(str(clips.patient_photo()))
    assert face is not None
    cv2.imwrite(str(tmp_path / "face.jpg"), face)
    (tmp_path / "spoken.srt").write_text("1\n00:00:00,100 --> 00:00:01,000\nSpoken-Zhang\n")
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=Zhang-Patient\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=600\ntitle=Chapter-Zhang\n"
    )
    return tmp_path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("out_suffix", ["mp4", "mkv"])
def test_covers_captions_chapters_places_and_names_are_left_behind(
    told_too_much: Path, suffix: str, out_suffix: str
) -> None:
    folder = told_too_much
    cover = ("-disposition:v:2", "attached_pic") if suffix == "mp4" else ()
    attached = ("-attach", str(folder / "face.jpg"), "-metadata:s:t", "mimetype=image/jpeg")
    source = clips.by_ffmpeg(
        folder / f"source.{suffix}",
        *(*NTSC, *TONE, "-i", folder / "spoken.srt", "-i", folder / "chapters.txt"),
        *("-loop", "1", "-t", "1", "-i", folder / "face.jpg", "-i", folder / "face.jpg"),
        *("-map", "0", "-map", "4", *(("-map", "5") if cover else attached), "-map", "1", "-map", "2"),
        *("-map_metadata", "3", "-map_chapters", "3", "-c:v", "libx264", "-c:v:2", "mjpeg", *cover),
        *("-c:a", "aac", "-c:s", "mov_text" if suffix == "mp4" else "srt"),
        *("-metadata", "location=+39.9042+116.4074/", "-metadata", "creation_time=2019-05-04T10:11:12Z"),
        *("-metadata", "comment=Camcorder9000", "-metadata:s:a:0", "title=Zhang-Patient"),
        *("-metadata:s:a:0", "handler_name=Zhang-Patient", "-metadata:s:v:0", "handler_name=Camcorder9000"),
    )
    with av.open(str(source)) as told:
        assert len(told.streams.video) == 3
        assert len(told.streams.subtitles) == 1
        assert told.metadata["title"] == "Zhang-Patient"
        assert [chapter["metadata"]["title"] for chapter in told.chapters()] == ["Chapter-Zhang"]
    done = blur(source, folder / f"out.{out_suffix}")
    with av.open(str(done.out)) as kept:
        assert [stream.type for stream in kept.streams] == ["video", "audio"]
        assert kept.chapters() == []
        assert not {name.lower() for name in kept.metadata} & {
            "title",
            "comment",
            "creation_time",
            "location",
        }
        assert video_facts(done.out).width_px == 160
    written = done.out.read_bytes()
    seconds = int(np.datetime64("2019-05-04T10:11:12", "s").astype(int)) + 2_082_844_800
    for secret in (*(text.encode() for text in SECRETS), seconds.to_bytes(4, "big"), b"\xff\xd8\xff"):
        assert secret not in written


def test_a_cover_that_comes_first_is_not_taken_for_the_recording(tmp_path: Path) -> None:
    source = clips.by_ffmpeg(
        tmp_path / "covered.mp4",
        *("-i", clips.patient_photo(), *NTSC, *TONE, "-map", "1", "-map", "2", "-map", "0"),
        *("-c:v", "libx264", "-c:v:1", "png", "-disposition:v:1", "attached_pic", "-c:a", "aac"),
    )
    source.write_bytes(with_cover_first(source.read_bytes()))
    with av.open(str(source)) as told:
        assert [stream.codec_context.name for stream in told.streams] == ["png", "h264", "aac"]
    done = blur(source, tmp_path / "out.mp4")
    assert done.report.frames == len(clips.times_by_ffmpeg(source, "v:1")) > 30
    assert {moment.kind for moment in done.report.verification.moments} <= {"visible-face"}
    assert video_facts(done.out).width_px == 160


def with_cover_first(mp4: bytes) -> bytes:
    """The box with the cover moved before those of the tracks, as some programs write it; nothing else moves."""
    start = mp4.index(b"moov") - 4
    end = start + int.from_bytes(mp4[start : start + 4], "big")
    boxes, at = [], start + 8
    while at < end:
        size = int.from_bytes(mp4[at : at + 4], "big")
        boxes.append(mp4[at : at + size])
        at += size
    boxes.sort(key=lambda box: [b"mvhd", b"udta"].index(box[4:8]) if box[4:8] in (b"mvhd", b"udta") else 2)
    return mp4[: start + 8] + b"".join(boxes) + mp4[end:]
