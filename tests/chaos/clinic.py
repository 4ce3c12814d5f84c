"""A clinic to do violence to: a core with one consented recording, and workers as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api import actions
from api.core import Core, open_core
from api.ingest import plan_tracks
from archive.consent import SignedForm
from archive.models import Case, StepRun, User, utc_now
from archive.terms import Kind, Role, State
from config.settings import ArchiveSettings, ProcessingSettings, Settings
from tests.conftest import REPOSITORY
from tests.factories import CONSENT_TEXT, EVERY_PURPOSE, PNG, make_user

PATIENCE_S = 240.0


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Ask again and again until ``condition`` holds; fail loudly when it never does."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


@dataclass
class Clinic:
    """``environment`` is what a worker's settings are made of."""

    core: Core
    environment: dict[str, str]
    logs: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, **more: str) -> subprocess.Popen[bytes]:
        log = (self.logs / f"worker-{len(self.workers)}.log").open("wb")
        worker = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "worker"],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment, **more, "LOG_LEVEL": "INFO"},
            stdout=log,
            stderr=log,
        )
        self.workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> Path:
        return self.logs / f"worker-{self.workers.index(worker)}.log"

    def runs(self, worker: subprocess.Popen[bytes], name: str) -> bool:
        """Whether ``worker`` calls itself ``name``: others' logs may mention it too."""
        return f'"worker": "{name}", "event": "worker.start"' in self.log_of(worker).read_text()

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.core.close()

    def case(self, case_id: str) -> Case:
        manager = User(id="t", name="t", role=Role.MANAGER, base_code=self.core.settings.base.code)
        return actions.show_case(self.core, manager, case_id)

    def running(self, case_id: str, step: str) -> StepRun | None:
        """The newest run of ``step``, if it has not ended."""
        rows = [row for row in self.case(case_id).steps if row.step == step]
        return rows[-1] if rows and rows[-1].ended_at is None else None

    def who_runs(
        self, workers: list[subprocess.Popen[bytes]], case_id: str, step: str
    ) -> subprocess.Popen[bytes] | None:
        """The living one of ``workers`` that runs ``step`` now; a run that was interrupted before has no end either."""
        row = self.running(case_id, step)
        found = [worker for worker in workers if row is not None and self.runs(worker, row.worker)]
        return found[0] if found else None

    def wait_for(self, case_id: str, *states: State) -> Case:
        until(lambda: self.case(case_id).state in states, f"{case_id} in {states}")
        return self.case(case_id)

    def upload(self, videos: list[Path], audios: dict[str, Path], start: bool = True) -> Case:
        """A consented recording of these files, taken in as they are."""
        technician = make_user(self.core, Role.TECHNICIAN, f"t{len(self.people())}")
        expert = make_user(self.core, Role.EXPERT, f"e{len(self.people())}")
        planned = actions.schedule_consultation(
            self.core,
            technician,
            title="t",
            kind=Kind.CONSULTATION,
            expert_id=expert.id,
            scheduled_at=utc_now(),
            override=actions.Override("more cases than a clinic has", "the tests"),
        )
        actions.sign_consent(
            self.core, technician, planned.id, SignedForm(EVERY_PURPOSE, CONSENT_TEXT, PNG, utc_now())
        )
        recording = actions.open_recording(
            self.core, technician, planned.id, rig={}, light=None, started_at=utc_now()
        )
        tracks = plan_tracks(videos, audios)
        for name, (_, _, path) in tracks.items():
            actions.put_segment(
                self.core,
                technician,
                recording.id,
                track=name,
                index=0,
                received=path,
                sha256=actions.sha256_of(path),
                start_s=0.0,
                duration_s=1.0,
            )
        told = {
            name: {"kind": kind, "role": role, "segments": 1, "whole": True}
            for name, (kind, role, _) in tracks.items()
        }
        return actions.complete_recording(self.core, technician, recording.id, tracks=told, seconds=1.0)

    def people(self) -> list[User]:
        with self.core.catalog.read() as session:
            return session.query(User).all()


def open_clinic(folder: Path, postgres_url: str | None = None, **processing: Any) -> Clinic:
    home = folder / "home"
    limits = {"retry_pause_s": 0.2, "lease_poll_s": 0.3, **processing}
    urls = {"catalog": postgres_url or "", "jobs": postgres_url or ""}
    settings = Settings(
        home=home,
        archive=ArchiveSettings(catalog_url=urls["catalog"]),
        processing=ProcessingSettings(jobs_url=urls["jobs"], **limits),
    )
    environment = {
        "YIAN_HOME": str(home),
        "YIAN_ARCHIVE__CATALOG_URL": urls["catalog"],
        "YIAN_PROCESSING__JOBS_URL": urls["jobs"],
        **{f"YIAN_PROCESSING__{name.upper()}": str(value) for name, value in limits.items()},
    }
    logs = folder / "logs"
    logs.mkdir()
    return Clinic(open_core(settings), environment, logs)


def descendants(pid: int) -> set[int]:
    """Every process below ``pid``."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            found |= {child} | descendants(child)
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
