"""Memory and time of the whole pipeline on a long recording, made by looping the demo's.

    python -m scripts.bench_pipeline --minutes 10 --fps 25

Prints one JSON line: the peak resident memory of every step's processes (VmHWM, the kernel's own high-water
mark), the worker's own, each step's share of the time, and the ratio of processing time to the recording's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from api import actions
from api.core import Core, open_core
from api.ingest import ingest
from archive.consent import SignedForm
from archive.models import Case, User, utc_now
from archive.terms import Kind, Purpose, Role, State
from config.settings import Settings
from processing.engine import Engine
from processing.media import ffmpeg_path
from scripts.make_demo_recording import make_recording

POLL_S = 0.1
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
CONSENT = "同意录制、第三方制作与存档（性能测试用的合成录像，没有真实患者）。"


def loop(source: Path, target: Path, seconds: float, fps: int | None) -> None:
    """Repeat ``source`` to ``seconds``; with ``fps`` the picture is thinned out to that rate first."""
    coding = ["-c", "copy"]
    if fps is not None:
        coding = [
            "-vf",
            f"fps={fps}",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-crf",
            "20",
            "-g",
            str(2 * fps),
        ]
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", str(source)]
    subprocess.run([*command, "-t", f"{seconds:.3f}", *coding, str(target)], check=True)


class MemoryWatch:
    """High-water marks of the step processes (with their ffmpeg children), by step."""

    def __init__(self, pid: int) -> None:
        self.peak_mb: dict[str, int] = {}
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(POLL_S):
            for pid in _children(self._pid):
                words = _read(f"/proc/{pid}/cmdline").split("\0")
                if "processing.step" in words:
                    step = words[words.index("processing.step") + 1]
                    total = _high_water_mb(pid) + sum(map(_high_water_mb, _descendants(pid)))
                    self.peak_mb[step] = max(self.peak_mb.get(step, 0), total)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        found += [int(child) for child in _read(f"{task}/children").split()]
    return found


def _descendants(pid: int) -> list[int]:
    found = _children(pid)
    return found + [below for child in found for below in _descendants(child)]


def _high_water_mb(pid: int) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0


def _person(core: Core, role: Role) -> User:
    root = User(id="bench", username="", name="bench", role=Role.MANAGER, base_code=core.settings.base.code)
    return actions.create_user(
        core, root, username=str(role), name=str(role), role=role, password="only for this run"
    )


def _submit(core: Core, folder: Path) -> Case:
    technician, expert = _person(core, Role.TECHNICIAN), _person(core, Role.EXPERT)
    planned = actions.schedule_consultation(
        core,
        technician,
        title="bench",
        kind=Kind.CONSULTATION,
        expert_id=expert.id,
        scheduled_at=utc_now(),
    )
    form = SignedForm(tuple(str(p) for p in Purpose), CONSENT, PNG, utc_now())
    actions.sign_consent(core, technician, planned.id, form)
    sounds = {role: folder / f"{role}.flac" for role in ("expert", "patient")}
    return ingest(core, technician, planned.id, [folder / "room.mp4"], sounds)


def run(minutes: float, fps: int | None, folder: Path) -> dict[str, Any]:
    """Make the recording, process it, and tell what it took."""
    demo = folder / "demo"
    make_recording(demo)
    seconds = minutes * 60
    loop(demo / "room.mp4", folder / "room.mp4", seconds, fps)
    for role in ("expert", "patient"):
        command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1"]
        source, target = demo / f"{role}.wav", folder / f"{role}.flac"
        subprocess.run([*command, "-i", str(source), "-t", f"{seconds:.3f}", str(target)], check=True)
    core = open_core(Settings(home=folder / "home"))
    with Engine(core.settings, core.catalog, core.store, core.vault), MemoryWatch(os.getpid()) as memory:
        begun = time.monotonic()
        case = _submit(core, folder)
        manager = User(id="bench", name="bench", role=Role.MANAGER, base_code=core.settings.base.code)
        while (case := actions.show_case(core, manager, case.id)).state is State.PROCESSING:
            time.sleep(0.5)
        wall_s = time.monotonic() - begun
    spent = case.summary.get("step_seconds", {})
    total = sum(spent.values()) or 1.0
    return {
        "bench": "pipeline",
        "minutes": minutes,
        "fps": fps or 25,
        "state": str(case.state),
        "reason": case.reason,
        "wall_s": round(wall_s, 1),
        "ratio_to_recording": round(wall_s / seconds, 3),
        "peak_mb": dict(sorted(memory.peak_mb.items())),
        "worker_peak_mb": _high_water_mb(os.getpid()),
        "share": {step: round(value / total, 3) for step, value in spent.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--fps", type=int, default=None, help="thin the picture out to this rate")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yian-bench-") as folder:
        print(json.dumps(run(told.minutes, told.fps, Path(folder)), ensure_ascii=False))


if __name__ == "__main__":
    main()
