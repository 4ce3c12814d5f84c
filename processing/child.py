"""Running one step in a child process: watched, limited, and ended together with everything it started."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.errors import ChildCrashed, ChildTimedOut, error_from_dict
from config.settings import Settings

POLL_S = 0.25
STDERR_LINES = 20
LINE_LIMIT = 1 << 24
_HUB_STEPS = frozenset({"speakers", "transcribe-files"})  # who may fetch a model


def write_job(folder: Path, inputs: dict[str, Path], params: dict[str, Any], settings: Settings) -> None:
    """What ``processing.step`` reads: no secrets, only the sections that steps are set by."""
    job = {
        "inputs": {name: str(path) for name, path in inputs.items()},
        "params": params,
        "speech": settings.speech.model_dump(mode="json"),
        "vision": settings.vision.model_dump(mode="json"),
        "media": settings.media.model_dump(mode="json"),
    }
    (folder / "job.json").write_text(json.dumps(job, ensure_ascii=False))


async def run_child(
    name: str,
    folder: Path,
    settings: Settings,
    *,
    progress: Callable[[float], None] = lambda share: None,
    check: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Run step ``name`` over the job in ``folder`` and return what it tells.

    ``check`` is asked several times a second; when it raises, the child is ended at once and the error goes on.
    Raises the child's own error, ChildTimedOut or ChildCrashed. However this ends, no process is left.
    """
    limits = settings.processing
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "processing.step",
        name,
        str(folder),
        str(limits.step_memory_mb),
        str(os.getpid()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        process_group=0,  # to be ended whole, and still in the session: what its worker yields to, it yields to
        env=_environment(name, settings),
        limit=LINE_LIMIT,
    )
    answer: dict[str, Any] = {}
    tail: deque[str] = deque(maxlen=STDERR_LINES)
    work = asyncio.gather(_listen(child, answer, progress), _drain(child, tail), child.wait())
    deadline = asyncio.get_running_loop().time() + limits.step_timeout_s
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=POLL_S)
            await asyncio.to_thread(check)
            if asyncio.get_running_loop().time() > deadline:
                raise ChildTimedOut(step=name, detail=f"{limits.step_timeout_s:.0f} s")
    finally:
        _kill_group(child.pid)
        await work
    if "error" in answer:
        raise error_from_dict(answer["error"])
    if "result" not in answer:
        raise ChildCrashed(step=name, detail=_crash_detail(child.returncode, tail))
    return dict(answer["result"])


def _environment(step: str, settings: Settings) -> dict[str, str]:
    """Without a single setting of ours: who decodes untrusted media must not know the store's keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YIAN_")}
    token = settings.speech.hub_token.get_secret_value()
    return {**kept, "HF_TOKEN": token} if token and step in _HUB_STEPS else kept


def run_alone(
    name: str,
    params: dict[str, Any],
    settings: Settings,
    *,
    progress: Callable[[float], None] = lambda share: None,
    results: Path | None = None,
) -> dict[str, Any]:
    """Run a step that belongs to no case, in a private folder that is gone afterwards.

    What it leaves in its ``out`` is moved to ``results``. Raises as :func:`run_child`.
    """
    with tempfile.TemporaryDirectory(prefix="yian-") as folder:
        write_job(Path(folder), {}, params, settings)
        answer = asyncio.run(run_child(name, Path(folder), settings, progress=progress))
        if results is not None:
            shutil.copytree(Path(folder) / "out", results, dirs_exist_ok=True)
        return answer


async def _listen(
    child: asyncio.subprocess.Process, answer: dict[str, Any], progress: Callable[[float], None]
) -> None:
    assert child.stdout is not None
    async for line in child.stdout:
        message = json.loads(line)
        if "progress" in message:
            await asyncio.to_thread(progress, message["progress"])
        else:
            answer.update(message)


async def _drain(child: asyncio.subprocess.Process, tail: deque[str]) -> None:
    assert child.stderr is not None
    async for line in child.stderr:
        tail.append(line.decode(errors="replace").rstrip())


def _kill_group(pid: int) -> None:
    """The group outlives its leader for as long as it has members."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _crash_detail(returncode: int | None, tail: deque[str]) -> str:
    ended = signal.Signals(-returncode).name if returncode and returncode < 0 else f"exit {returncode}"
    return f"{ended}: {tail[-1]}" if tail else ended
