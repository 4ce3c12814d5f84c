from __future__ import annotations

import subprocess
from collections.abc import Collection
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from config.errors import EmptyMedia, MediaRejected, NotMedia, NoVideo
from processing.frames import Picture, open_pictures, read_often, read_pictures, video_contents, video_facts

FRAMES = 61


def coded(out: Path, *options: str, fps: str = "25") -> Path:
    """A moving test picture, coded as ``options`` say."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r={fps}", "-frames:v", str(FRAMES)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *options, str(out)]
    subprocess.run(command, check=True)
    return out


def often(video: Path, every: int, also: Collection[int] = ()) -> list[Picture]:
    return list(read_often(video, video_contents(video), every, also))


@pytest.mark.parametrize(
    "options",
    [
        ["-c:v", "libx264", "-preset", "veryfast"],
        ["-c:v", "libx264", "-preset", "ultrafast"],
        ["-c:v", "libx264", "-bf", "8", "-b_strategy", "0", "-x264-params", "b-pyramid=none"],
        ["-c:v", "libx264", "-bf", "1", "-b_strategy", "0"],
        ["-c:v", "mpeg4", "-bf", "2"],
        ["-c:v", "mjpeg"],
        ["-c:v", "libvpx-vp9", "-deadline", "realtime"],
        ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"],
    ],
    ids=lambda options: " ".join(options),
)
@pytest.mark.parametrize("every", [2, 3])
def test_reading_often_leaves_no_stretch_out_and_numbers_pictures_as_reading_all_does(
    tmp_path: Path, options: list[str], every: int
) -> None:
    video = coded(tmp_path / "clip.mkv", *options)
    everything = {picture.index: picture for picture in read_pictures(video)}
    for also in ([], [7, 8, 9, 20, FRAMES - 2]):
        found = often(video, every, also)
        numbers = [picture.index for picture in found]
        assert numbers == sorted(set(numbers))
        assert max(np.diff([-1, *numbers, FRAMES])) <= every
        assert set(also) <= set(numbers)
        check_same(found, everything)


def check_same(found: list[Picture], everything: dict[int, Picture]) -> None:
    for picture in found:
        assert picture.pts == everything[picture.index].pts
        assert (picture.luma() == everything[picture.index].luma()).all()


def test_pictures_that_nothing_depends_on_are_not_decoded(tmp_path: Path) -> None:
    video = coded(tmp_path / "clip.mp4", "-c:v", "libx264", "-bf", "1", "-b_strategy", "0")
    sparse = often(video, 2)
    assert len(sparse) < 0.6 * FRAMES
    missed = next(number for number in range(FRAMES) if number not in {picture.index for picture in sparse})
    assert len(often(video, 2, [missed])) == len(sparse) + 1
    assert video_contents(video).packets == FRAMES


def test_a_file_opened_once_tells_and_shows_what_it_does_opened_twice(tmp_path: Path) -> None:
    video = coded(tmp_path / "clip.mp4", "-c:v", "libx264", "-bf", "3")
    facts, pictures = open_pictures(video)
    assert facts == video_facts(video)
    shown = list(pictures)
    check_same(shown, {picture.index: picture for picture in read_pictures(video)})
    assert [picture.index for picture in shown] == list(range(FRAMES))
    assert video_contents(video).fps == facts.fps


def test_where_timestamps_do_not_tell_pictures_apart_all_are_read(tmp_path: Path) -> None:
    video = coded(tmp_path / "clip.avi", "-c:v", "mpeg4", "-bf", "2")
    assert [picture.index for picture in often(video, 2)] == list(range(FRAMES))


def test_what_is_no_video_is_refused_in_the_same_words(tmp_path: Path) -> None:
    garbage, silent = tmp_path / "garbage.mp4", tmp_path / "sound.wav"
    garbage.write_bytes(b"\x00" * 5000)
    tone = ["-f", "lavfi", "-i", "sine=d=0.2", str(silent)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *tone], check=True)
    for path, wanted in ((garbage, (NotMedia, MediaRejected, EmptyMedia)), (silent, (NoVideo,))):
        for read in (lambda p: often(p, 2), lambda p: list(read_pictures(p)), open_pictures):
            with pytest.raises(wanted):
                read(path)
