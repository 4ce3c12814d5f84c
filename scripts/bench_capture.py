"""What recording costs: share of one core, and frames lost. One line of JSON.

Two 1080p30 H.264 cameras by copy with two microphones, then one 720p30 camera encoded in software, each for
``--seconds``; test sources, played at their own pace.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import av

from capture.inputs import Inputs
from capture.rig import Camera, Microphone, Rig, ffmpeg_binary
from capture.segments import Segment
from config.settings import CaptureSettings

FPS = 30
LOOP_S = 20
MARGIN_S = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length of each of the two recordings")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        film = _film(place, seconds + MARGIN_S)
        cameras = [
            Camera(name=name, role="room", input="file", source=str(film), codec="copy", realtime=True)
            for name in ("room", "desk")
        ]
        microphones = [
            Microphone(name=name, role="expert", input="test", source=f"sine:{hz}", realtime=True)
            for name, hz in (("expert", 440), ("patient", 660))
        ]
        copied = Rig(camera=tuple(cameras), microphone=tuple(microphones))
        encoded = Rig(
            camera=(
                Camera(
                    name="desk", role="desk", input="test", width=1280, height=720, fps=FPS, realtime=True
                ),
            )
        )
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "copy_2x1080p30_and_2_microphones": _measure(copied, place / "copied", seconds),
                    "encode_1x720p30": _measure(encoded, place / "encoded", seconds),
                    "source_of_720p30_alone": _source_alone(min(seconds, 30.0)),
                }
            )
        )


def _film(folder: Path, seconds: float) -> Path:
    """4 Mbit/s, a keyframe every two seconds, as network cameras deliver; a short film looped by copy."""
    short, film = folder / "short.mp4", folder / "film.mp4"
    quiet = [ffmpeg_binary(), "-loglevel", "error", "-nostdin"]
    picture = f"testsrc2=size=1920x1080:rate={FPS}:duration={LOOP_S}"
    coded = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", str(2 * FPS), "-b:v", "4M"]
    subprocess.run(
        [*quiet, "-f", "lavfi", "-i", picture, *coded, "-pix_fmt", "yuv420p", str(short)], check=True
    )
    loops = int(seconds // LOOP_S) + 1
    looped = [*quiet, "-stream_loop", str(loops), "-i", str(short), "-c", "copy", str(film)]
    subprocess.run(looped, check=True)
    return film


def _measure(rig: Rig, folder: Path, seconds: float) -> dict[str, Any]:
    kept: list[Segment] = []
    shown = {"pictures": 0, "blocks": 0}

    def picture(_name: str, _jpeg: bytes) -> None:
        shown["pictures"] += 1

    def block(_name: str, _samples: object, _rate_hz: int) -> None:
        shown["blocks"] += 1

    began, before = time.monotonic(), _cpu_s()
    with Inputs(rig, CaptureSettings(), picture, block) as inputs:
        inputs.record(folder, kept.append, lambda gap: print(gap), limit_s=seconds)
        while any(each.state != "ended" for each in inputs.states().values()):
            time.sleep(0.2)
        restarts = sum(each.restarts for each in inputs.states().values())
    wall_s = time.monotonic() - began
    frames = {each.name: sum(_frames(s.path) for s in kept if s.track == each.name) for each in rig.camera}
    return {
        "share_of_one_core": round((_cpu_s() - before) / wall_s, 4),
        "wall_s": round(wall_s, 1),
        "dropped_frames": {name: round(seconds * FPS) - found for name, found in frames.items()},
        "restarts": restarts,
        **shown,
    }


def _source_alone(seconds: float) -> float:
    """The share that only drawing the test picture takes: no camera costs it."""
    before = _cpu_s()
    picture = f"testsrc2=size=1280x720:rate={FPS}"
    paced = [ffmpeg_binary(), "-loglevel", "error", "-nostdin", "-re", "-f", "lavfi", "-i", picture]
    subprocess.run([*paced, "-t", f"{seconds:g}", "-f", "null", "-"], check=True)
    return round((_cpu_s() - before) / seconds, 4)


def _cpu_s() -> float:
    """Of this process and of every child that has ended."""
    return sum(os.times()[:4])


def _frames(path: Path) -> int:
    with av.open(str(path)) as media:
        return sum(1 for packet in media.demux(video=0) if packet.size)


if __name__ == "__main__":
    main()
