"""Recording with the real ffmpeg: nothing of the source is lost, doubled or moved."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from capture.attention import Attention
from capture.recorder import RecordingResult, Segment, closed_segments, record
from capture.rig import Camera, Input, Microphone, Rig
from config.errors import DeviceFailed
from tests.capture.small_core import FPS, FRAMES, RATE_HZ, SAMPLES

pytestmark = pytest.mark.alone
DURATION_S = {"video": FRAMES / FPS, "audio": SAMPLES / RATE_HZ}


def camera(source: Path | str, name: str = "desk", **more: object) -> Camera:
    kind = "file" if isinstance(source, Path) else "test"
    size = {} if kind == "file" else {"width": 192, "height": 108}
    return Camera.model_validate(
        {"name": name, "role": "desk", "input": kind, "source": str(source), **size, **more}
    )


def microphone(source: Path | str, name: str = "expert", **more: object) -> Microphone:
    kind = "file" if isinstance(source, Path) else "test"
    return Microphone.model_validate(
        {"name": name, "role": "expert", "input": kind, "source": str(source), **more}
    )


def run(
    rig: Rig,
    folder: Path,
    seconds: float = 60,
    segment_s: float = 2,
    stop: threading.Event | None = None,
    also: Callable[[Segment], object] = lambda _segment: None,
) -> tuple[RecordingResult, dict[str, list[Segment]]]:
    got: dict[str, list[Segment]] = {each.name: [] for each in rig.inputs}

    def keep(segment: Segment) -> None:
        got[segment.track].append(segment)
        also(segment)

    return record(rig, folder, seconds, segment_s, keep, lambda _: None, stop or threading.Event()), got


def frames(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as media:
        return [(float(each.time), each.to_ndarray().tobytes()) for each in media.decode(video=0)]


def samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as media:
        return np.concatenate([each.to_ndarray() for each in media.decode(audio=0)], axis=1)


@pytest.mark.parametrize("codec", ["copy", "encode"])
def test_segments_together_are_exactly_the_frames_of_the_source(
    tmp_path: Path, source: Path, codec: str
) -> None:
    result, got = run(Rig(camera=(camera(source, codec=codec),)), tmp_path)
    parts = [(each, frames(each.path)) for each in got["desk"]]
    assert len(parts) == 5
    assert result.segments == {"desk": 5}
    assert result.seconds == pytest.approx(DURATION_S["video"], abs=0.002)
    placed = [each.start_s + moment for each, shown in parts for moment, _ in shown]
    assert placed == pytest.approx([number / FPS for number in range(FRAMES)], abs=0.002)
    if codec == "copy":
        assert [picture for _, shown in parts for _, picture in shown] == [each for _, each in frames(source)]
    for each, shown in parts:
        assert each.duration_s == pytest.approx(len(shown) / FPS, abs=0.002)
        with av.open(str(each.path)) as media:
            assert next(media.demux(video=0)).is_keyframe


@pytest.mark.parametrize("codec", ["copy", "encode"])
def test_a_picture_that_begins_after_the_sound_stays_in_its_place(
    tmp_path: Path, source: Path, codec: str
) -> None:
    late = tmp_path / "late.mkv"
    command = [ffmpeg(), "-loglevel", "error", "-itsoffset", "0.853", "-i", str(source), "-i", str(source)]
    subprocess.run([*command, "-map", "0:v", "-map", "1:a", "-c", "copy", str(late)], check=True)
    _, got = run(Rig(camera=(camera(late, codec=codec),)), tmp_path / "out")
    placed = [each.start_s + moment for each in got["desk"] for moment, _ in frames(each.path)]
    assert placed == pytest.approx([0.853 + number / FPS for number in range(FRAMES)], abs=0.002)


def test_segments_together_are_exactly_the_samples_of_the_source(tmp_path: Path, source: Path) -> None:
    _, got = run(Rig(microphone=(microphone(source),)), tmp_path)
    parts = [samples(each.path) for each in got["expert"]]
    assert np.array_equal(np.concatenate(parts, axis=1), samples(source))
    start = 0
    for each, part in zip(got["expert"], parts, strict=True):
        assert each.start_s == pytest.approx(start / RATE_HZ, abs=1e-4)
        assert each.duration_s == pytest.approx(part.shape[1] / RATE_HZ, abs=1e-4)
        start += part.shape[1]


def test_a_camera_whose_stamps_jump_ahead_is_not_cut_into_single_pictures(tmp_path: Path) -> None:
    film = tmp_path / "jump.mkv"
    jump = "testsrc2=size=64x64:rate=10:duration=8,setpts=PTS+gte(T\\,4)*100/TB"
    subprocess.run([ffmpeg(), "-loglevel", "error", "-f", "lavfi", "-i", jump, str(film)], check=True)
    _, got = run(Rig(camera=(camera(film),)), tmp_path / "out", 200.0)
    segments = got["desk"]
    assert len(segments) == 4
    assert sum(len(frames(each.path)) for each in segments) == 80


def test_a_segment_is_whole_and_hashed_when_it_is_handed_on(tmp_path: Path) -> None:
    checked = []

    def check(segment: Segment) -> None:
        body = segment.path.read_bytes()
        assert (hashlib.sha256(body).hexdigest(), len(body)) == (segment.sha256, segment.size)
        checked.append(len(frames(segment.path)))

    run(Rig(camera=(camera("testsrc2", realtime=True),)), tmp_path, 2.2, 1, also=check)
    assert checked == [25, 25, 5]


def test_seconds_limit_every_input_and_a_shorter_file_just_ends(tmp_path: Path, source: Path) -> None:
    rig = Rig(
        camera=(camera(source), camera("testsrc2", "room")), microphone=(microphone("sine", "patient"),)
    )
    result, got = run(rig, tmp_path, 12, 4)
    length = {name: parts[-1].start_s + parts[-1].duration_s for name, parts in got.items()}
    assert length == pytest.approx({"desk": DURATION_S["video"], "room": 12, "patient": 12}, abs=0.01)
    assert result.seconds == pytest.approx(12, abs=0.01)


def test_stop_closes_the_open_segments_and_keeps_them(tmp_path: Path) -> None:
    stop = threading.Event()
    rig = Rig(
        camera=(camera("testsrc2", realtime=True),),
        microphone=(microphone("sine", realtime=True, rate_hz=16000),),
    )
    began = time.monotonic()
    _, got = run(rig, tmp_path, 600, 1, stop, also=lambda each: stop.set() if each.index == 1 else None)
    assert time.monotonic() - began < 10
    for parts in got.values():
        assert len(parts) >= 2
    assert sum(len(frames(each.path)) for each in got["desk"]) == pytest.approx(
        sum(each.duration_s for each in got["desk"]) * FPS, abs=1
    )


def test_a_dying_input_is_started_again_while_the_others_go_on(tmp_path: Path) -> None:
    rig = Rig(camera=(camera("testsrc2", "room", realtime=True), camera("testsrc2", "desk", realtime=True)))
    stop = threading.Event()
    kept: list[Segment] = []

    def kill_desk(segment: Segment) -> None:
        kept.append(segment)
        desk = [each for each in kept if each.track == "desk"]
        if segment.track == "desk" and len(desk) == 1:
            os.kill(children_in(tmp_path / "desk")[0], signal.SIGKILL)
        if len(desk) == 3:
            stop.set()

    run(rig, tmp_path, 60, 1, stop, also=kill_desk)
    desk = [each for each in kept if each.track == "desk"]
    assert [each.index for each in desk] == list(range(len(desk)))
    missing_s = desk[1].start_s - desk[0].start_s - desk[0].duration_s
    assert 0 < missing_s < 3
    room = [each for each in kept if each.track == "room"]
    assert sum(len(frames(each.path)) for each in room) / FPS == pytest.approx(
        room[-1].start_s + room[-1].duration_s - room[0].start_s, abs=0.05
    )
    assert children_in(tmp_path) == []


@pytest.mark.parametrize(
    ("source_kind", "words"),
    [("no sound", "Stream map"), ("not media", "Invalid data"), ("v4l2", "No such file")],
)
def test_an_input_that_cannot_be_opened_is_named(
    tmp_path: Path, source_kind: str, words: str, source: Path
) -> None:
    bad: Input
    silent = tmp_path / "silent.mkv"
    if source_kind == "no sound":
        command = [ffmpeg(), "-loglevel", "error", "-i", str(source), "-an", "-c", "copy", str(silent)]
        subprocess.run(command, check=True)
        bad = microphone(silent, "patient")
    elif source_kind == "not media":
        silent.write_bytes(b"nothing of the kind" * 100)
        bad = microphone(silent, "patient")
    else:
        bad = Camera(name="patient", role="room", input="v4l2", source="/dev/video-none")
    inputs = {"camera": (bad,)} if isinstance(bad, Camera) else {"microphone": (bad,)}
    with pytest.raises(DeviceFailed, match=words) as caught:
        run(Rig.model_validate(inputs), tmp_path / "out")
    assert caught.value.data["input"] == "patient"


def test_a_password_in_ffmpeg_s_words_is_not_repeated(tmp_path: Path) -> None:
    address = "rtsp://admin:hush@127.0.0.1:9/live"
    rig = Rig(camera=(Camera(name="room", role="room", input="rtsp", source=address),))
    with pytest.raises(DeviceFailed) as caught:
        run(rig, tmp_path)
    assert "hush" not in str(caught.value)
    assert not any(b"hush" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_an_unfinished_line_of_the_list_and_an_empty_file_do_not_count(tmp_path: Path) -> None:
    place = tmp_path / "desk"
    place.mkdir()
    (place / "00000.mkv").write_bytes(b"whole")
    (place / "00001.mkv").touch()
    (place / "00002.mkv").write_bytes(b"open")
    (place / "closed.csv").write_text("00000.mkv,0.000000,2.000000\n00001.mkv,2.0,4.0\n00002.mkv,4.0000")
    assert [each.index for each in closed_segments(tmp_path, "desk")] == [0]
    assert closed_segments(tmp_path, "nothing") == []


STATION = """
import sys, threading
from pathlib import Path
from capture.recorder import record
from capture.rig import Camera, Microphone, Rig
rig = Rig(camera=(Camera(name="desk", role="desk", input="test", width=192, height=108, realtime=True),),
          microphone=(Microphone(name="expert", role="expert", input="test", realtime=True),))
record(rig, Path(sys.argv[1]), 600, 1, lambda each: print(each.track, each.index, flush=True),
       lambda _: None, threading.Event())
"""


def test_a_killed_station_leaves_no_orphans_and_loses_at_most_the_open_segment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STATION, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as station:
        assert station.stdout is not None
        told: list[list[str]] = []
        while len([line for line in told if line[0] == "desk"]) < 2:
            told.append(station.stdout.readline().split())
        station.kill()
    wait_until(lambda: not children_in(tmp_path))
    for track in ("desk", "expert"):
        closed = closed_segments(tmp_path, track)
        assert len(closed) >= len([line for line in told if line[0] == track])
        assert len(list((tmp_path / track).glob("0*"))) - len(closed) <= 1


def ffmpeg() -> str:
    from capture.rig import ffmpeg_binary

    return ffmpeg_binary()


def children_in(folder: Path) -> list[int]:
    """Processes whose working folder lies in ``folder``: the recorder's children and nobody else's."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until(true: Callable[[], bool], limit_s: float = 10.0) -> float:
    """Seconds waited, as far as this machine did not stand still meanwhile."""
    watched = Attention()
    while not true():
        assert watched.look() < limit_s
        time.sleep(0.01)
    return watched.look()
