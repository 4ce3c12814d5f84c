"""The durable engine from outside: poison, cancelling, resuming, and leases on both databases."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from api import actions
from archive.models import User
from archive.terms import Role, State
from config.settings import ProcessingSettings, Settings
from processing.engine import Leases, open_leases
from scripts.make_demo_recording import make_recording
from tests.chaos.clinic import Clinic, alive, descendants, kill, open_clinic, until
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.lengthy
HOLD = """
import sys
from config.settings import ProcessingSettings, Settings
from processing.engine import open_leases
leases = open_leases(Settings(home=sys.argv[1], processing=ProcessingSettings(jobs_url=sys.argv[2])))
print(leases.take("w1"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    make_recording(folder, 4.0)
    return folder


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    opened = open_clinic(tmp_path, max_takeovers=1)
    yield opened
    opened.stop()


def upload(clinic: Clinic, recording: Path) -> str:
    return clinic.upload([recording / "room.mp4"], {"expert": recording / "expert.wav"}).id


def manager(clinic: Clinic) -> User:
    return User(id="m", name="m", role=Role.MANAGER, base_code=clinic.core.settings.base.code)


@pytest.mark.timeout(600)
def test_a_case_that_kills_its_workers_fails_as_poison_and_can_be_resumed(
    clinic: Clinic, recording: Path
) -> None:
    case_id = upload(clinic, recording)
    first, second, watcher = (clinic.start_worker() for _ in range(3))
    workers = [first, second, watcher]
    for _ in range(2):
        victim = until(partial(clinic.who_runs, workers, case_id, "faces"), "faces runs")
        workers.remove(victim)
        kill(victim)
    case = clinic.wait_for(case_id, State.FAILED)
    assert case.reason and case.reason["code"] == "poison-case"

    actions.retry_case(clinic.core, manager(clinic), case_id)
    done = clinic.wait_for(case_id, State.IN_REVIEW, State.FAILED)
    assert done.state is State.IN_REVIEW, done.reason
    assert set(Counter(row.step for row in done.steps if row.ended_at).values()) == {1}


@pytest.mark.timeout(300)
def test_cancelling_ends_every_child_process_within_two_seconds_and_the_case_resumes(
    clinic: Clinic, recording: Path
) -> None:
    worker = clinic.start_worker()
    case_id = upload(clinic, recording)
    until(partial(clinic.running, case_id, "faces"), "faces runs")
    below = until(partial(descendants, worker.pid), "a child runs")

    begun = time.monotonic()
    actions.cancel_case(clinic.core, manager(clinic), case_id)
    until(lambda: not any(map(alive, below)), "every child has ended", 10)
    took_s = time.monotonic() - begun
    assert took_s < 2.0
    case = clinic.case(case_id)
    assert case.state is State.FAILED and case.reason and case.reason["code"] == "cancelled"

    actions.retry_case(clinic.core, manager(clinic), case_id)
    done = clinic.wait_for(case_id, State.IN_REVIEW, State.FAILED)
    assert done.state is State.IN_REVIEW, done.reason
    again = Counter(row.step for row in done.steps if row.step in ("ingest", "probe"))
    assert again == {"ingest": 1, "probe": 1}, "what was finished before was done again"


@pytest.mark.timeout(300)
def test_a_case_that_was_never_queued_is_found_and_processed(
    clinic: Clinic, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clinic.core.jobs, "start", lambda case_id, run: None)
    case_id = upload(clinic, recording)
    clinic.start_worker()
    done = clinic.wait_for(case_id, State.IN_REVIEW, State.FAILED)
    assert done.state is State.IN_REVIEW, done.reason


@pytest.fixture
def leases(tmp_path: Path, database_url: str) -> Iterator[Leases]:
    opened = open_leases(settings(tmp_path, database_url))
    yield opened
    opened.close()


def settings(home: Path, jobs_url: str) -> Settings:
    return Settings(home=home, processing=ProcessingSettings(jobs_url=jobs_url))


def test_a_lease_is_held_by_one_process_and_free_as_soon_as_that_is_killed(
    leases: Leases, tmp_path: Path, database_url: str
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), database_url],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdout.readline() == b"True\n"
    assert not leases.take("w1")
    assert leases.take("w2")
    kill(holder)
    until(lambda: leases.take("w1"), "the lease is free", 10)


def test_a_lease_that_was_dropped_can_be_taken_again(
    leases: Leases, tmp_path: Path, database_url: str
) -> None:
    other = open_leases(settings(tmp_path, database_url))
    assert leases.take("w1") and not other.take("w1")
    leases.drop("w1")
    assert other.take("w1")
    other.close()


def test_renewing_a_sound_lease_says_so(leases: Leases) -> None:
    leases.take("w1")
    assert leases.renew()


def test_leases_lost_with_the_connection_are_taken_again(
    postgres_url: str, tmp_path: Path, postgres_server: str
) -> None:
    import psycopg

    leases = open_leases(settings(tmp_path, postgres_url))
    assert leases.take("w1")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            (postgres_url.rpartition("/")[2],),
        )
    assert not leases.renew()
    other = open_leases(settings(tmp_path, postgres_url))
    assert not other.take("w1")
    other.close()
    leases.close()
