"""kill -9 in the middle of every step, on both databases: another worker finishes, nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from archive.fixity import verify_package
from archive.models import Case
from archive.terms import State
from processing.plan import STEPS
from scripts.make_demo_recording import make_recording
from tests.chaos.clinic import Clinic, alive, descendants, kill, open_clinic, until

pytestmark = pytest.mark.lengthy
SECONDS = 6.0
A_FEW = ("ingest", "regions", "faces", "package")
MOST_TOO_LATE = 2
# What differs between two runs of one recording: when it was, and what it was called.
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?|\d{4}-\d\d-\d\d")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    make_recording(folder, SECONDS)
    return folder


@pytest.fixture
def clinic(tmp_path: Path, database_url: str) -> object:
    opened = open_clinic(
        tmp_path, None if database_url.startswith("sqlite") else database_url, max_takeovers=100
    )
    yield opened
    opened.stop()


def upload(clinic: Clinic, recording: Path) -> Case:
    return clinic.upload(
        [recording / "room.mp4"],
        {"expert": recording / "expert.wav", "patient": recording / "patient.wav"},
    )


def contents(clinic: Clinic, case: Case) -> dict[str, str]:
    """SHA-256 of every payload file of a package, with times and names of this very case taken out."""
    consent = case.consultation.consents[0]
    own = {
        case.id: b"CASE",
        consent.id: b"CONSENT",
        case.consultation.patient_pseudonym: b"PATIENT",
        hashlib.sha256(consent.witness_id.encode()).hexdigest()[:12]: b"WITNESS",
        case.consultation.expert.name: b"EXPERT",
    }
    found = {}
    prefix = f"{case.package_prefix}/data"
    for info in clinic.core.store.list(prefix):
        data = clinic.core.store.get_bytes(info.key)
        if info.key.endswith((".json", ".rttm", ".txt", ".vtt")):
            for name, word in own.items():
                data = data.replace(name.encode(), word)
            data = TIME.sub(b"TIME", data)
        found[info.key.removeprefix(prefix)] = hashlib.sha256(data).hexdigest()
    return found


@pytest.mark.timeout(900)
def test_a_worker_killed_in_the_middle_of_each_step_in_turn_costs_only_that_steps_run(
    clinic: Clinic, recording: Path, database_url: str
) -> None:
    # Leases and queue differ between the databases, what a step does does not: a few of them show it on the second.
    struck = [step.name for step in STEPS if database_url.startswith("sqlite") or step.name in A_FEW]
    first = clinic.start_worker()
    undisturbed = clinic.wait_for(upload(clinic, recording).id, State.IN_REVIEW, State.FAILED)
    assert undisturbed.state is State.IN_REVIEW, undisturbed.reason

    workers = [first, clinic.start_worker()]
    case = upload(clinic, recording)
    # Sound and picture go on side by side: whichever step comes up next is struck, so that none is over before its turn.
    due, too_late = list(struck), set()
    while due:
        step, victim = until(partial(first_running, clinic, workers, case.id, due), f"one of {due} runs")
        due.remove(step)
        below = descendants(victim.pid)
        kill(victim)
        if any(row.step == step and row.ended_at is not None for row in clinic.case(case.id).steps):
            too_late.add(step)  # over between the look and the blow, as a short one may be on a busy machine
        until(partial(all_gone, below), "its child processes are gone", 10)
        workers.remove(victim)
        workers.append(clinic.start_worker())

    survivor = clinic.wait_for(case.id, State.IN_REVIEW, State.FAILED)
    assert survivor.state is State.IN_REVIEW, survivor.reason
    ended = Counter(row.step for row in survivor.steps if row.ended_at is not None)
    begun = Counter(row.step for row in survivor.steps)
    assert ended == Counter(step.name for step in STEPS)
    assert len(too_late) <= MOST_TOO_LATE, too_late
    assert all(begun[step] >= 2 for step in struck if step not in too_late), begun
    assert contents(clinic, survivor) == contents(clinic, undisturbed)
    assert (
        survivor.package_prefix
        and verify_package(clinic.core.store, survivor.package_prefix, survivor.package_seal) == []
    )
    left = [path for path in (clinic.core.settings.home / "workers").glob("*/*")]
    assert left == [], "a dead worker's copies of the recording are still there"
    print(json.dumps({"takeover_s": takeovers_s(survivor)}))


def first_running(
    clinic: Clinic, workers: list[subprocess.Popen[bytes]], case_id: str, steps: list[str]
) -> tuple[str, subprocess.Popen[bytes]] | None:
    found = ((step, clinic.who_runs(workers, case_id, step)) for step in steps)
    return next(((step, worker) for step, worker in found if worker is not None), None)


def all_gone(pids: set[int]) -> bool:
    return not any(map(alive, pids))


def takeovers_s(case: Case) -> list[float]:
    """Seconds from the start of each run that was killed (which is when it was) to the start of the next."""
    by_step: dict[str, list[float]] = {}
    for row in case.steps:
        by_step.setdefault(row.step, []).append(row.started_at.timestamp())
    return [round(b - a, 2) for times in by_step.values() for a, b in pairwise(times)]
