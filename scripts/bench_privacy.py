"""Speed and memory of the privacy engine, against a plain transcode and against deface in the same run.

    python -m scripts.bench_privacy CLIP… [--yunet FILE] [--peer] [--rounds 3]

Prints one JSON line per clip: frames, seconds of every pass (the median over the rounds), seconds of a plain
transcode by ffmpeg with the same encoder settings, taken in turn with our passes so that a slow moment of the
machine meets both, the ratio (and what it is with the import of our modules and the loading of the networks, once
in a process's life, added to our passes), the same ratio of processor seconds, which other work on the machine hardly
moves, peak memory of the process, and with ``--peer`` the seconds of deface (its default settings) on the same clip.
Sound is left out of all of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from config.settings import MediaSettings, VisionSettings
from processing.encoder import ENCODER_THREADS, X264_PARAMS
from processing.media import ffmpeg_path, no_progress


def passes(clip: Path, folder: Path, vision: VisionSettings, media: MediaSettings) -> dict[str, float]:
    """Seconds of the passes over one clip, in a process that does nothing else; start-up is counted by itself."""
    started = time.perf_counter()
    from processing.blur import render
    from processing.detectors import open_detector
    from processing.faces import detect_faces
    from processing.tracks import link
    from processing.verify import attack, open_attackers

    detector = open_detector(vision)
    open_attackers(vision)
    opened_cpu_s = _cpu_s(resource.RUSAGE_SELF)
    marks = [started, time.perf_counter()]
    detections = detect_faces(clip, detector, vision, no_progress)
    tracks = link(detections)
    marks.append(time.perf_counter())
    out = folder / "ours.mp4"
    render(clip, tracks, out, style=vision.style, media=media, progress=no_progress)
    marks.append(time.perf_counter())
    attack(out, tracks, vision, no_progress, original=clip)
    marks.append(time.perf_counter())
    spent = dict(zip(("start", "detect", "render", "verify"), _differences(marks), strict=True))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = {"frames": detections.frames, "looks": len(detections.looks), "peak_mb": peak_mb}
    return {**spent, **counts, "cpu": _cpu_s(resource.RUSAGE_SELF) - opened_cpu_s}


def _cpu_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _differences(marks: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(marks)]


def plain_transcode(clip: Path, folder: Path, media: MediaSettings) -> float:
    keyframes = f"expr:gte(t,n_forced*{media.keyframe_s})"
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-i", str(clip), "-map", "0:v:0"]
    command += ["-c:v", "libx264", "-preset", media.preset, "-crf", str(media.crf), "-pix_fmt", "yuv420p"]
    command += ["-threads", str(ENCODER_THREADS), "-x264-params", X264_PARAMS, "-forced-idr", "1"]
    return _seconds([*command, "-force_key_frames", keyframes, str(folder / "plain.mp4")])


def deface(clip: Path, folder: Path) -> float:
    program = Path(sys.executable).with_name("deface")
    return _seconds([str(program), "--backend", "opencv", str(clip), "-o", str(folder / "peer.mp4")])


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def measure(
    clip: Path, vision: VisionSettings, media: MediaSettings, rounds: int, peer: bool
) -> dict[str, Any]:
    ours, plain, plain_cpu = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(rounds):
            before_s = _cpu_s(resource.RUSAGE_CHILDREN)
            plain.append(plain_transcode(clip, folder, media))
            plain_cpu.append(_cpu_s(resource.RUSAGE_CHILDREN) - before_s)
            # A fresh process each time: the peak of memory is a process's, and nothing is loaded beforehand.
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=fresh) as pool:
                ours.append(pool.submit(passes, clip, folder, vision, media).result())
        peer_s = deface(clip, folder) if peer else None
    line: dict[str, Any] = {"bench": "privacy", "clip": clip.name, "detector": vision.detector}
    line |= {"frames": int(ours[0]["frames"]), "looks": int(ours[0]["looks"])}
    totals = [each["detect"] + each["render"] + each["verify"] for each in ours]
    for part in ("start", "detect", "render", "verify"):
        line[f"{part}_s"] = round(median(each[part] for each in ours), 2)
    line["all_passes_s"] = round(median(totals), 2)
    line["plain_transcode_s"] = round(median(plain), 2)
    line["ratio_to_transcode"] = round(
        median(total / alone for total, alone in zip(totals, plain, strict=True)), 2
    )
    line["ratio_with_start"] = round(
        median(
            (total + each["start"]) / alone for total, each, alone in zip(totals, ours, plain, strict=True)
        ),
        2,
    )
    line["ratio_of_cpu"] = round(
        median(each["cpu"] / alone for each, alone in zip(ours, plain_cpu, strict=True)), 2
    )
    line["verify_to_render"] = round(median(each["verify"] / each["render"] for each in ours), 2)
    line["peak_mb"] = round(max(each["peak_mb"] for each in ours))
    if peer_s is not None:
        line |= {"deface_s": round(peer_s, 2), "times_faster_than_deface": round(peer_s / median(totals), 1)}
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--yunet", type=Path, help="YuNet ONNX file: drives the blur instead of CenterFace")
    parser.add_argument("--peer", action="store_true", help="also time deface on the same clips")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    vision = VisionSettings()
    if asked.yunet:
        vision = VisionSettings(detector="yunet", yunet_path=str(asked.yunet))
    for clip in asked.clips:
        print(json.dumps(measure(clip, vision, MediaSettings(), asked.rounds, asked.peer)), flush=True)


if __name__ == "__main__":
    main()
