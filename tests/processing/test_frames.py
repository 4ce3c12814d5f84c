from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from config.errors import EmptyMedia, MediaRejected, NotMedia, NoVideo
from processing.frames import count_packets, read_often, read_pictures

FRAMES = 61


def coded(out: Path, *options: str, fps: str = "25") -> Path:
    """A moving test picture, coded as ``options`` say."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r={fps}", "-frames:v", str(FRAMES)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *options, str(out)]
    subprocess.run(command, check=True)
    return out


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
    often = list(read_often(video, every))
    numbers = [picture.index for picture in often]
    assert numbers == sorted(set(numbers))
    assert max(np.diff([-1, *numbers, FRAMES])) <= every
    for picture in often:
        assert picture.pts == everything[picture.index].pts
        assert (picture.luma() == everything[picture.index].luma()).all()


def test_pictures_that_nothing_depends_on_are_not_decoded(tmp_path: Path) -> None:
    video = coded(tmp_path / "clip.mp4", "-c:v", "libx264", "-bf", "1", "-b_strategy", "0")
    assert len(list(read_often(video, 2))) < 0.6 * FRAMES
    assert count_packets(video) == FRAMES


def test_where_timestamps_do_not_tell_pictures_apart_all_are_read(tmp_path: Path) -> None:
    video = coded(tmp_path / "clip.avi", "-c:v", "mpeg4", "-bf", "2")
    assert [picture.index for picture in read_often(video, 2)] == list(range(FRAMES))


def test_what_is_no_video_is_refused_in_the_same_words(tmp_path: Path) -> None:
    garbage, silent = tmp_path / "garbage.mp4", tmp_path / "sound.wav"
    garbage.write_bytes(b"\x00" * 5000)
    tone = ["-f", "lavfi", "-i", "sine=d=0.2", str(silent)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *tone], check=True)
    for path, wanted in ((garbage, (NotMedia, MediaRejected, EmptyMedia)), (silent, (NoVideo,))):
        for read in (lambda p: list(read_often(p, 2)), lambda p: list(read_pictures(p)), count_packets):
            with pytest.raises(wanted):
                read(path)
