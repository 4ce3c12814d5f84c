"""The README's first command, run as a newcomer runs it, and its published video looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from processing.suspects import structure
from scripts import make_demo_recording as scene
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.lengthy
YIAN = REPOSITORY / ".venv" / "bin" / "yian"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = subprocess.run(
        [str(YIAN), "demo", "--folder", str(folder)],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "COLUMNS": "400"},
    )
    assert done.returncode == 0, done.stderr
    (media,) = (folder / "home" / "store" / "packages").glob("*/edit-0/data/media")
    return {"folder": folder, "said": done.stdout, "payload": media.parent}


@pytest.mark.timeout(900)
def test_the_summary_shows_real_numbers(demo: dict[str, Any]) -> None:
    said = demo["said"]
    for words in (
        r"nothing was recorded",
        r"illuminance 7\d\d ± \d+ lx \(pass\), CCT 4\d\d\d ± \d+ K \(pass\), CRI – Ra \(indeterminate\)",
        r"face tracks kept: 1\b",
        r"face tracks hidden: [1-9]",
        r"privacy check .*passed",
        r"transcript lines and speakers: 1\d · expert, patient",
        r"package .*valid \(\d+\)",
        r"published cases: 1/300",
    ):
        assert re.search(words, said), f"{words}\n{said}"


def error_rate(expected: str, heard: str) -> float:
    """Character error rate: Levenshtein distance over the length of what was said."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(expected, 1):
        row, before = [i], row
        for j, b in enumerate(heard, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (a != b)))
    return row[-1] / len(expected)


def test_the_transcript_says_who_said_what(demo: dict[str, Any]) -> None:
    said = json.loads((demo["folder"] / "recording" / "turns.json").read_text())
    lines = json.loads((demo["payload"] / "transcript" / "transcript.json").read_text())["lines"]
    for role in ("expert", "patient"):
        expected = "".join(turn["text"] for turn in said if turn["role"] == role)
        heard = "".join(line["text"] for line in lines if line["role"] == role)
        assert error_rate(expected, heard) < 0.05
    for turn in said:
        middle = (turn["start_s"] + turn["end_s"]) / 2
        spoken = [line["role"] for line in lines if line["start_s"] <= middle <= line["end_s"]]
        assert spoken == [turn["role"]], turn


def test_in_every_frame_the_expert_is_visible_and_the_patient_is_not(demo: dict[str, Any]) -> None:
    """Structure left in the middle of each face, against the recording, where the scene put the faces."""
    with (
        av.open(str(demo["folder"] / "recording" / "room.mp4")) as before,
        av.open(str(demo["payload"] / "media" / "video.mp4")) as after,
    ):
        frames = 0
        for original, ours in zip(before.decode(video=0), after.decode(video=0), strict=True):
            t = frames / scene.FPS
            frames += 1
            grey_before, grey_after = (np.asarray(f.to_ndarray(format="gray")) for f in (original, ours))
            expert, patient = face(scene.expert_pose(t), 1.0), face(scene.patient_pose(t), 0.75)
            assert left(grey_before, grey_after, expert) > 0.7, f"expert hidden in frame {frames}"
            if patient[0] < scene.WIDTH_PX - 30:
                assert left(grey_before, grey_after, patient) < 0.25, f"patient visible in frame {frames}"
    assert frames == round(scene.DURATION_S * scene.FPS)


def face(pose: scene.Pose, size: float) -> tuple[float, float, float, float]:
    """The face's box in the picture, around a little below the middle of the head."""
    half_w, half_h = 62 * pose.scale * size * (1 - 0.45 * pose.turn), 76 * pose.scale * size
    x, y = pose.x, pose.y + 22 * pose.scale
    return (max(0, x - half_w), y - half_h, min(scene.WIDTH_PX, x + half_w), y + half_h)


def left(before: NDArray[Any], after: NDArray[Any], box: tuple[float, float, float, float]) -> float:
    return structure(after, box) / max(structure(before, box), 1e-6)


def test_the_sound_is_the_microphones_from_beginning_to_end(demo: dict[str, Any]) -> None:
    with av.open(str(demo["payload"] / "media" / "video.mp4")) as container:
        samples = np.concatenate(
            [frame.to_ndarray().mean(axis=0) for frame in container.decode(container.streams.audio[0])]
        )
        rate_hz = container.streams.audio[0].rate
    assert len(samples) / rate_hz == pytest.approx(scene.DURATION_S, abs=0.1)
    for turn in json.loads((demo["folder"] / "recording" / "turns.json").read_text()):
        spoken = samples[int(turn["start_s"] * rate_hz) : int(turn["end_s"] * rate_hz)]
        assert np.sqrt(np.mean(spoken**2)) > 0.01, turn


def test_nothing_that_shows_the_patient_is_left_readable(demo: dict[str, Any]) -> None:
    home: Path = demo["folder"] / "home"
    for path in home.rglob("*"):
        inside = path.relative_to(home).parts[0]
        if path.is_file() and inside not in ("catalog.db", "jobs.db", "leases", "vault"):
            public = path.relative_to(home).parts[:2] == ("store", "packages")
            sealed = path.read_bytes().startswith(b"age-encryption.org/v1")
            # Where the segments of a track lie in time, and nothing else.
            times = path.suffix == ".csv" and re.fullmatch(r"[\w.,\s-]*", path.read_text())
            public = public or path.relative_to(home).as_posix() == "station/base.json"  # whom it serves
            assert public or sealed or times or path.suffix in (".db", ".db-wal", ".db-shm"), path
