"""Inputs with the real ffmpeg: nothing outside the journalled gaps is lost, and everything lies at its time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from capture import inputs as inputs_module
from capture.clock import DeviceClock
from capture.inputs import Inputs
from capture.recorder import closed_segments
from capture.rig import Camera, Microphone, Rig, ffmpeg_binary
from capture.segments import Gap, Segment
from config.errors import DiskFull
from config.settings import CaptureSettings
from processing.join import join_segments
from tests.capture.rtsp_cameras import PERIOD_S, room
from tests.capture.test_recorder import children_in, wait_until
from tests.chaos.capture.devices import Clock, Device

pytestmark = pytest.mark.alone
SECOND = CaptureSettings(segment_s=1)
RATE_HZ, FPS, LENGTH_S = 16_000, 25, 90


@dataclass
class Told:
    """What the callbacks heard."""

    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def of(self, track: str) -> list[Segment]:
        return [each for each in self.segments if each.track == track]


def fake_room(**more: object) -> Rig:
    camera = {"name": "desk", "role": "desk", "input": "test", "width": 192, "height": 108, "realtime": True}
    return Rig(
        camera=(Camera.model_validate(camera | more),),
        microphone=(Microphone(name="expert", role="expert", input="test", realtime=True),),
    )


def copied(camera_url: str, microphone_url: str) -> Rig:
    return Rig(
        camera=(Camera(name="desk", role="desk", input="rtsp", source=camera_url, codec="copy"),),
        microphone=(Microphone(name="expert", role="expert", input="rtsp", source=microphone_url),),
    )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def started(tmp_path: Path, told: Told) -> Iterator[Callable[[Rig], Inputs]]:
    """Starts a recording into ``tmp_path``; it is closed at the end of the test."""
    running: list[Inputs] = []

    def start(rig: Rig) -> Inputs:
        inputs = Inputs(rig, SECOND, lambda _name, _jpeg: None, lambda _name, _samples, _rate: None)
        running.append(inputs)
        inputs.record(tmp_path, told.segments.append, told.gaps.append)
        return inputs

    yield start
    for inputs in running:
        inputs.close()
    assert children_in(tmp_path) == []


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A film whose pictures tell their number by their brightness, and noise of which no second is like another."""
    folder = tmp_path_factory.mktemp("numbered")
    quiet = [ffmpeg_binary(), "-loglevel", "error", "-f", "lavfi"]
    picture = f"color=black:size=64x64:rate={FPS}:duration={LENGTH_S},geq=lum='mod(N,100)*2+20':cb=128:cr=128"
    film = [
        "-c:v",
        "libx264",
        "-g",
        "10",
        "-bf",
        "0",
        "-qp",
        "10",
        "-pix_fmt",
        "yuv420p",
        str(folder / "film.mp4"),
    ]
    subprocess.run([*quiet, "-i", picture, *film], check=True)
    noise = f"anoisesrc=sample_rate={RATE_HZ}:duration={LENGTH_S}:seed=1:amplitude=0.5"
    subprocess.run([*quiet, "-i", noise, "-c:a", "pcm_s16le", str(folder / "noise.wav")], check=True)
    return folder / "film.mp4", folder / "noise.wav"


def pictures(path: Path) -> list[tuple[float, float]]:
    """(time, mean brightness) of every picture."""
    with av.open(str(path)) as media:
        return [
            (float(each.time), float(each.to_ndarray(format="gray").mean())) for each in media.decode(video=0)
        ]


def samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as media:
        return np.concatenate([each.to_ndarray().reshape(-1) for each in media.decode(audio=0)])


def missing(at_s: float, gaps: list[Gap], margin_s: float) -> bool:
    return any(each.from_s - margin_s <= at_s <= each.to_s + margin_s for each in gaps)


def test_after_twenty_random_kills_and_a_pause_all_outside_the_gaps_is_there_in_order_and_in_sync(
    tmp_path: Path, numbered: tuple[Path, Path], started: Callable[[Rig], Inputs], told: Told
) -> None:
    film, noise = numbered
    rig = Rig(
        camera=(
            Camera(name="desk", role="desk", input="file", source=str(film), codec="copy", realtime=True),
        ),
        microphone=(
            Microphone(name="expert", role="expert", input="file", source=str(noise), realtime=True),
        ),
    )
    inputs, chance = started(rig), random.Random(5)
    for number in range(20):
        wait_until(lambda: bool(children_in(tmp_path)))
        os.kill(chance.choice(children_in(tmp_path)), signal.SIGKILL)
        if number == 10:
            inputs.pause()
            inputs.resume()
        time.sleep(chance.uniform(0.3, 2.5))  # when it strikes is the chance under test
    assert (
        sum(each.restarts for each in inputs.states().values()) >= 19
    )  # one may strike what ends for the pause
    inputs.stop()

    for track in ("desk", "expert"):
        assert [each.index for each in told.of(track)] == list(range(len(told.of(track))))
        assert [each.start_s for each in closed_segments(tmp_path, track)] == pytest.approx(
            [each.start_s for each in told.of(track)], abs=0.006
        )
    assert len(told.gaps) >= 8  # two kills within one segment are one gap
    assert {each.track for each in told.gaps if each.reason == "pause"} == {"desk", "expert"}
    end_s = max(each.start_s + each.duration_s for each in told.segments)
    _every_sample_outside_the_gaps_is_there(tmp_path, told, samples(noise), end_s)
    _every_picture_outside_the_gaps_is_there(tmp_path, told, end_s)


def _every_sample_outside_the_gaps_is_there(
    folder: Path, told: Told, source: np.ndarray, end_s: float
) -> None:
    parts = told.of("expert")
    join_segments([each.path for each in parts], folder / "joined.flac", [each.start_s for each in parts])
    joined = samples(folder / "joined.flac")
    gaps = [each for each in told.gaps if each.track == "expert"]
    track_end_s = parts[-1].start_s + parts[-1].duration_s
    for second in np.arange(0.0, min(track_end_s, end_s) - 0.1, 0.1):
        if not missing(second, gaps, 0.0) and not missing(second + 0.1, gaps, 0.0):
            here = round((second - parts[0].start_s) * RATE_HZ)
            heard = joined[here : here + 1600].astype(np.float64)
            sought = source[max(0, round(second * RATE_HZ) - 160) :][: 1600 + 320].astype(np.float64)
            match = np.correlate(sought, heard) / max(1.0, float(np.linalg.norm(heard)) ** 2)
            assert match.max() > 0.98, f"{second} s"


def _every_picture_outside_the_gaps_is_there(folder: Path, told: Told, end_s: float) -> None:
    parts = told.of("desk")
    late_s = join_segments(
        [each.path for each in parts], folder / "joined.mkv", [each.start_s for each in parts]
    )
    shown = {}
    before = -1.0
    for time_s, brightness in pictures(folder / "joined.mkv"):
        assert time_s > before
        before, at_s = time_s, time_s + parts[0].start_s + late_s
        number = round(at_s * FPS)
        shown[number] = brightness
    gaps = [each for each in told.gaps if each.track == "desk"]
    track_end_s = parts[-1].start_s + parts[-1].duration_s
    wanted = [n for n in range(int(min(track_end_s, end_s) * FPS) - 1) if not missing(n / FPS, gaps, 0.045)]
    lost = [n for n in wanted if n not in shown and n - 1 not in shown and n + 1 not in shown]
    assert not lost
    pairs = [(n, shown[n]) for n in wanted if n in shown]
    levels = np.array([level for _, level in pairs])
    numbers = np.array([n % 100 for n, _ in pairs])
    slope, base = np.polyfit(numbers, levels, 1)
    off = np.abs((levels - base) / slope - numbers)
    assert np.mean(off < 1.5) > 0.97, "pictures lie more than one frame from their time"


def arguments_of_children() -> list[bytes]:
    """The command lines of this process' children, arguments between NUL."""
    pids = [
        pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    return [Path("/proc", pid, "cmdline").read_bytes() for pid in pids if Path("/proc", pid).exists()]


@pytest.mark.parametrize(("codec", "sound_late_s"), [("copy", 0.0), ("copy", 1.4), ("encode", 0.0)])
def test_flash_and_beep_of_two_network_inputs_lie_within_forty_milliseconds(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told, codec: str, sound_late_s: float
) -> None:
    with room(tmp_path / "room", sound_late_s=sound_late_s) as (video, audio):
        inputs = started(
            Rig(
                camera=(
                    Camera.model_validate(
                        {"name": "desk", "role": "desk", "input": "rtsp", "source": video.url, "codec": codec}
                    ),
                ),
                microphone=(Microphone(name="expert", role="expert", input="rtsp", source=audio.url),),
            )
        )
        wait_until(lambda: len(told.of("desk")) >= 6 and len(told.of("expert")) >= 6, 30)
        states = inputs.states()
        seen = b"".join(arguments_of_children())
        inputs.stop()
    assert all(each.state == "recording" and each.offset_ms is not None for each in states.values())
    assert "hush" not in repr(states)
    assert b"hush" not in seen and b"-i\0pipe:0" in seen, "everybody may see a child's arguments"
    flashes = [
        each.start_s + at_s for each in told.of("desk") for at_s, level in pictures(each.path) if level > 128
    ]
    parts = [np.abs(samples(each.path).astype(np.float64)) > 3000 for each in told.of("expert")]
    starts = np.concatenate(
        [
            each.start_s + np.arange(len(part)) / RATE_HZ
            for each, part in zip(told.of("expert"), parts, strict=True)
        ]
    )
    loud = np.concatenate(parts)
    onsets = [at for at in np.flatnonzero(loud) if at > 800 and not loud[at - 800 : at].any()]
    beeps = [float(starts[at]) for at in onsets]
    apart_s = [min((beep - flash for flash in flashes), key=abs) for beep in beeps]
    compared = [
        abs(each) for each in apart_s if abs(each) < PERIOD_S / 4
    ]  # the first may have been seen and not heard
    assert len(compared) >= 2
    assert len(compared) >= len(beeps) - 1
    assert max(compared) < 0.040, [f"{each * 1000:.0f} ms" for each in apart_s]


def test_the_first_segment_of_a_copied_camera_is_closed_as_soon_after_its_end_as_the_others(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told
) -> None:
    camera = Device(Clock(), None)
    came: dict[int, float] = {}
    inputs = Inputs(
        Rig(camera=(Camera(name="desk", role="desk", input="rtsp", source=camera.url, codec="copy"),)),
        SECOND,
        lambda _name, _jpeg: None,
        lambda _name, _samples, _rate: None,
    )
    try:
        inputs.record(
            tmp_path,
            lambda each: came.setdefault(each.index, time.monotonic() - each.start_s - each.duration_s),
            told.gaps.append,
        )
        wait_until(lambda: len(came) >= 4, 30)
    finally:
        inputs.close()
        camera.unplug()
    assert came[0] - min(came.values()) < 0.3, came


def test_a_network_camera_that_falls_silent_is_started_again_while_the_microphone_goes_on(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told
) -> None:
    with room(tmp_path / "room", sound_late_s=0.0) as (video, audio):
        inputs = started(copied(video.url, audio.url))
        wait_until(lambda: len(told.of("desk")) >= 2, 20)
        video.silent.set()
        wait_until(lambda: inputs.states()["desk"].gap_since_s is not None)
        video.silent.clear()
        wait_until(lambda: any(each.track == "desk" for each in told.gaps), 20)
        assert inputs.states()["expert"].restarts == 0
    (gap,) = [each for each in told.gaps if each.track == "desk"]
    assert gap.reason == "stalled"
    assert gap.to_s - gap.from_s < 6


def test_what_a_session_lacks_of_a_microphone_that_was_slow_to_begin_is_a_gap(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told
) -> None:
    with room(tmp_path / "room", sound_late_s=4.4) as (video, audio):
        inputs = started(copied(video.url, audio.url))
        wait_until(lambda: bool(told.of("expert")), 20)
        assert {each.restarts for each in inputs.states().values()} == {0}
    (gap,) = told.gaps
    assert gap == Gap("expert", 0.0, told.of("expert")[0].start_s, "late")
    assert gap.to_s > 4.4


def test_a_child_that_hangs_is_replaced_within_three_seconds_and_the_gap_is_told(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told
) -> None:
    inputs = started(fake_room())
    wait_until(lambda: len(told.of("desk")) >= 2)
    (stopped,) = children_in(tmp_path / "desk")
    os.kill(stopped, signal.SIGSTOP)
    assert wait_until(lambda: children_in(tmp_path / "desk") not in ([], [stopped])) < 3.0
    wait_until(lambda: bool(told.gaps))
    assert [(each.track, each.reason) for each in told.gaps] == [("desk", "stalled")]
    assert inputs.states()["desk"].restarts == 1
    assert inputs.states()["expert"].restarts == 0


def test_while_paused_no_child_runs_and_the_pause_is_a_gap_on_every_track(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told
) -> None:
    inputs = started(fake_room())
    wait_until(lambda: len(told.of("desk")) >= 1)
    inputs.pause()
    assert children_in(tmp_path) == []
    assert {each.state for each in inputs.states().values()} == {"paused"}
    sizes = {path: path.stat().st_size for path in tmp_path.rglob("*.[mf][kl]*")}
    wait_until(lambda: all(each.gap_since_s is not None for each in inputs.states().values()))
    inputs.resume()
    assert wait_until(lambda: {each.state for each in inputs.states().values()} == {"recording"}) < 2.0
    assert all(path.stat().st_size == size for path, size in sizes.items())
    wait_until(lambda: len(told.gaps) == 2)
    assert {(each.track, each.reason) for each in told.gaps} == {("desk", "pause"), ("expert", "pause")}


def test_a_session_stopped_in_a_pause_ends_with_the_gap(started: Callable[[Rig], Inputs], told: Told) -> None:
    inputs = started(fake_room())
    wait_until(lambda: len(told.of("expert")) >= 1)
    inputs.pause()
    inputs.stop()
    assert [each.reason for each in told.gaps] == ["pause", "pause"]
    for gap in told.gaps:
        last = told.of(gap.track)[-1]
        assert gap.from_s == pytest.approx(last.start_s + last.duration_s, abs=1e-5)


def test_neither_a_slow_nor_a_failing_viewer_holds_the_recording_up(tmp_path: Path, told: Told) -> None:
    released, blocks = threading.Event(), []

    def refuse(_name: str, block: np.ndarray, rate_hz: int) -> None:
        blocks.append((block.dtype, block.shape, rate_hz))
        raise ValueError("no")

    with Inputs(fake_room(), SECOND, lambda _name, _jpeg: bool(released.wait(60)) and None, refuse) as inputs:
        inputs.record(tmp_path, told.segments.append, told.gaps.append)
        wait_until(lambda: len(told.of("desk")) >= 4 and len(told.of("expert")) >= 4)
        assert all(each.restarts == 0 for each in inputs.states().values())
        released.set()
    assert told.gaps == []
    assert len(blocks) > 20
    assert set(blocks) == {(np.dtype(np.float32), (1600,), 16_000)}


def test_watching_shows_pictures_and_sound_and_records_nothing(tmp_path: Path) -> None:
    seen: list[bytes] = []
    heard: list[np.ndarray] = []
    rig = fake_room(width=1280, height=720)
    with Inputs(
        rig, SECOND, lambda _n, jpeg: seen.append(jpeg), lambda _n, block, _r: heard.append(block)
    ) as inputs:
        inputs.watch()
        wait_until(lambda: len(seen) >= 2 and len(heard) >= 10)
        assert {each.state for each in inputs.states().values()} == {"watching"}
    (tmp_path / "seen.jpg").write_bytes(seen[0])
    with av.open(str(tmp_path / "seen.jpg")) as media:
        frame = next(media.decode(video=0))
        assert (frame.width, frame.height) == (960, 540)


def test_a_full_disk_closes_everything_cleanly_and_says_so(
    tmp_path: Path, started: Callable[[Rig], Inputs], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = started(fake_room())
    wait_until(lambda: len(told.of("desk")) >= 2)
    monkeypatch.setattr(inputs_module, "DISK_RESERVE_MB", 1 << 40)
    wait_until(lambda: inputs.problem is not None and not children_in(tmp_path))
    assert isinstance(inputs.problem, DiskFull)
    assert {each.state for each in inputs.states().values()} == {"failed"}
    inputs.stop()
    for track in ("desk", "expert"):
        assert (
            len(told.of(track))
            == len(closed_segments(tmp_path, track))
            == len(list((tmp_path / track).glob("0*")))
        )
    with pytest.raises(DiskFull):
        inputs.record(tmp_path / "next", told.segments.append, told.gaps.append)


def test_what_a_callback_refuses_is_offered_again_and_nothing_is_skipped(tmp_path: Path, told: Told) -> None:
    refusals = iter([True, True])

    def keep(segment: Segment) -> None:
        if segment.track == "desk" and next(refusals, False):
            raise OSError("the journal is locked")
        told.segments.append(segment)

    with Inputs(fake_room(), SECOND) as inputs:
        inputs.record(tmp_path, keep, told.gaps.append)
        wait_until(lambda: len(told.of("desk")) >= 3, 15)
    assert [each.index for each in told.of("desk")] == list(range(len(told.of("desk"))))


STATION = """
import sys, time
from pathlib import Path
from capture.inputs import Inputs
from config.settings import CaptureSettings
from tests.capture.test_inputs import fake_room
inputs = Inputs(fake_room(), CaptureSettings(segment_s=1))
inputs.record(Path(sys.argv[1]), lambda each: print(each.track, each.index, each.start_s, flush=True), print)
time.sleep(600)
"""


def test_a_killed_station_s_session_is_continued_where_it_was(tmp_path: Path, told: Told) -> None:
    command = [sys.executable, "-c", STATION, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as station:
        assert station.stdout is not None
        before: dict[tuple[str, int], float] = {}
        while ("desk", 2) not in before:
            track, index, start_s = station.stdout.readline().split()
            before[track, int(index)] = float(start_s)
        station.kill()
    wait_until(lambda: not children_in(tmp_path))
    found = {track: closed_segments(tmp_path, track) for track in ("desk", "expert")}
    for (track, index), start_s in before.items():
        assert found[track][index].start_s == pytest.approx(start_s, abs=0.006)
    with Inputs(fake_room(), SECOND) as inputs:
        inputs.record(tmp_path, told.segments.append, told.gaps.append, from_s=100.0)
        wait_until(lambda: len(told.of("desk")) >= 1 and len(told.of("expert")) >= 1)
    for track, earlier in found.items():
        (gap,) = [each for each in told.gaps if each.track == track]
        assert gap.reason == "station"
        assert gap.from_s == pytest.approx(earlier[-1].start_s + earlier[-1].duration_s, abs=0.01)
        assert gap.to_s == pytest.approx(100.3, abs=1.0)
        assert told.of(track)[0].index == earlier[-1].index + 1


@pytest.mark.parametrize("drift_ppm", [0.0, 80.0, -150.0])
def test_over_two_hours_the_clock_follows_a_drifting_device_and_measures_it(drift_ppm: float) -> None:
    chance, clock, worst_s = random.Random(3), DeviceClock(), 0.0
    for number in range(2 * 3600 * 10):
        host_s = number / 10
        media_s = (host_s - 1.5) * (1 + drift_ppm * 1e-6)
        queued_s = max(0.0, 2.0 - host_s)  # what waited while the device was opened comes at once
        clock.add(host_s + queued_s + chance.expovariate(100), media_s)
        if host_s > 5 and number % 40 == 0:
            truth_s = 1.5 - (host_s - 1.5) * drift_ppm * 1e-6
            worst_s = max(worst_s, abs((clock.offset_s() or 9.0) - truth_s))
    assert worst_s < 0.02
    assert clock.drift_ppm() == pytest.approx(drift_ppm, abs=2.0)


def test_lost_sound_moves_what_follows_and_a_short_delay_does_not() -> None:
    clock = DeviceClock()
    for number in range(1200):
        host_s = number / 10
        lost_s = 0.5 if host_s > 60 else 0.0
        delayed_s = 1.0 if 30 < host_s < 32 else 0.0
        clock.add(host_s + delayed_s, host_s - lost_s)
        if host_s < 60:
            assert clock.offset_s() == pytest.approx(0.0, abs=0.01)
        elif host_s > 70:
            assert clock.offset_s() == pytest.approx(0.5, abs=0.01)
