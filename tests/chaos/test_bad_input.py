"""Bad input, end to end: every case ends with its reason, its originals whole, and can be taken up again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
import structlog
from sqlalchemy import select

from api import actions
from api.ingest import ingest
from archive.fixity import verify_package
from archive.models import Case, Recording, User
from archive.terms import Role, State
from config.errors import error_from_dict
from processing.engine import Engine
from tests.chaos.clinic import Clinic, alive, descendants, open_clinic, until
from tests.conftest import REPOSITORY, need
from tests.factories import PNG, make_case, make_user, make_users
from tests.processing.clips import consultation_clip, rotated
from tests.processing.media_files import Movie, claim_hours, cut, tone, write_movie, write_sound

pytestmark = [pytest.mark.timeout(240), pytest.mark.lengthy]
LITTLE = Movie(seconds=1.0)
ENDED = (State.IN_REVIEW, State.FAILED)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic whose one worker is this process."""
    # Earlier tests of the same process may have sent its log to a file that is closed by now.
    structlog.reset_defaults()
    opened = open_clinic(tmp_path_factory.mktemp("clinic"), concurrency=2)
    core = opened.core
    with Engine(core.settings, core.catalog, core.store, core.vault):
        yield opened
    opened.stop()


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound(tmp_path_factory.mktemp("voice") / "voice.wav", tone(1.0, 300.0))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with two faces, which take every step a moment to work on."""
    return consultation_clip(tmp_path_factory.mktemp("faces") / "faces.mp4", frames=50, audio_streams=1)


def not_a_media_file(path: Path) -> Path:
    path.write_bytes(b"%PDF-1.4 a letter to the doctor\n" * 4000)
    return path


def a_picture(path: Path) -> Path:
    path.write_bytes(PNG)
    return path


def a_truncated_file(path: Path) -> Path:
    return cut(write_movie(path, LITTLE), 0.5)


def a_truncated_streamable_file(path: Path) -> Path:
    return cut(write_movie(path, Movie(seconds=1.0, options={"movflags": "+faststart"})), 0.6)


def without_sound(path: Path) -> Path:
    return write_movie(path, Movie(seconds=1.0, tone_hz=0))


def without_a_picture(path: Path) -> Path:
    return write_sound(path.with_suffix(".m4a"), tone(1.0, 300.0))


def of_zero_length(path: Path) -> Path:
    path.touch()
    return path


def that_claims_eight_hours(path: Path) -> Path:
    return claim_hours(write_movie(path, LITTLE), 8.0)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (not_a_media_file, "not-media"),
        (a_picture, "not-media"),
        (a_truncated_file, "truncated"),
        (a_truncated_streamable_file, "truncated"),
        (without_sound, "no-audio"),
        (without_a_picture, "no-video"),
        (of_zero_length, "empty-media"),
        (that_claims_eight_hours, "implausible-duration"),
    ],
)
def test_a_file_that_cannot_become_a_case_fails_it_by_name_and_is_kept(
    clinic: Clinic, tmp_path: Path, make: Callable[[Path], Path], code: str
) -> None:
    source = make(tmp_path / "camera.mp4")
    case = clinic.wait_for(clinic.upload([source], {}).id, *ENDED)
    assert case.state is State.FAILED
    assert case.reason is not None
    assert case.reason["code"] == code
    assert error_from_dict(case.reason).data["name"] == "camera-room"
    assert_originals_whole(clinic, case, {"camera-room": source}, tmp_path)
    assert_retryable(clinic, case, code)


def assert_originals_whole(clinic: Clinic, case: Case, sources: dict[str, Path], folder: Path) -> None:
    with clinic.core.catalog.read() as session:
        recording = session.scalars(select(Recording).where(Recording.consultation_id == case.id)).one()
        keys = {segment.track: segment.key for segment in recording.segments}
    assert keys.keys() == sources.keys()
    for track, source in sources.items():
        opened = folder / f"opened-{track}"
        clinic.core.vault.open_file(case.id, keys[track], opened)
        assert opened.read_bytes() == source.read_bytes()


def assert_retryable(clinic: Clinic, case: Case, code: str) -> None:
    """It may be taken up again, runs again, and ends the same way for as long as nothing has changed."""
    again = actions.retry_case(clinic.core, reviewer_of(clinic), case.id)
    assert (again.state, again.run) == (State.PROCESSING, case.run + 1)
    ended = clinic.wait_for(case.id, *ENDED)
    assert ended.reason is not None
    assert ended.reason["code"] == code


def reviewer_of(clinic: Clinic) -> User:
    return User(id="r", name="r", role=Role.REVIEWER, base_code=clinic.core.settings.base.code)


# --- what must be handled ---------------------------------------------------------------------------------


def test_a_phone_held_upright_with_a_varying_frame_rate_beside_a_longer_camera_is_handled_and_noted(
    clinic: Clinic, tmp_path: Path, voice: Path
) -> None:
    times = [0.0, 0.04, 0.08, 0.2, 0.24, 0.5, 0.54, 0.58, 0.9, 1.0, 1.04, 1.3]
    flat = write_movie(tmp_path / "flat.mkv", Movie(seconds=1.4, frame_times_s=times))
    phone = rotated(flat, tmp_path / "phone.mp4", 90)
    long = write_movie(tmp_path / "long.mp4", Movie(seconds=3.4))
    case = clinic.wait_for(clinic.upload([phone, long], {"patient": voice}).id, *ENDED)
    assert_reviewable(clinic, case)
    notes = {note["code"]: note for note in case.summary["notes"]}
    assert notes["variable-frame-rate"]["track"] == notes["rotated"]["track"] == "camera-room"
    assert notes["cameras-differ-in-length"]["seconds"] == pytest.approx(2.0, abs=0.1)
    assert shape_of(clinic, case, tmp_path) == (180, 320)


def assert_reviewable(clinic: Clinic, case: Case) -> None:
    assert case.state is State.IN_REVIEW, case.reason
    assert case.package_prefix is not None
    assert verify_package(clinic.core.store, case.package_prefix, case.package_seal) == []


def shape_of(clinic: Clinic, case: Case, folder: Path) -> tuple[int, int]:
    """Width and height at which the published video is shown."""
    clinic.core.store.get_file(f"{case.package_prefix}/data/media/video.mp4", folder / "published.mp4")
    with av.open(str(folder / "published.mp4")) as source:
        frame = next(source.decode(video=0))
        return frame.width, frame.height


def test_files_with_hostile_names_become_a_case_and_nothing_outside(clinic: Clinic, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    video = write_movie(folder / "plain.mp4", LITTLE).rename(folder / "; rm -rf $(touch pwned)\n%d|x.mp4")
    audio = write_sound(folder / "plain.wav", tone(1.0, 300.0)).rename(folder / "-y 专家.wav")
    before = set(tmp_path.rglob("*")), set(Path.cwd().iterdir())
    people = make_users(clinic.core)
    planned = make_case(clinic.core, people)
    case = ingest(clinic.core, people.technician, planned.id, [video], {"expert": audio})
    assert_reviewable(clinic, clinic.wait_for(case.id, *ENDED))
    assert (set(tmp_path.rglob("*")), set(Path.cwd().iterdir())) == before


# --- what breaks beside the input -------------------------------------------------------------------------


@contextmanager
def store_away(clinic: Clinic) -> Iterator[None]:
    """The disk with the store is gone, as a pulled cable makes it."""
    root = clinic.core.settings.home / "store"
    root.rename(root.with_name("store.away"))
    try:
        yield
    finally:
        root.with_name("store.away").rename(root)


@pytest.fixture
def trouble() -> Iterator[list[structlog.typing.EventDict]]:
    """What the worker logs from here on."""
    with structlog.testing.capture_logs() as events:
        yield events


def stumbled(events: list[structlog.typing.EventDict], case: Case) -> bool:
    return any(event["event"] == "step.error" and event["case"] == case.id for event in list(events))


def test_a_store_that_comes_back_in_time_costs_one_more_try(
    clinic: Clinic, faces: Path, voice: Path, trouble: list[structlog.typing.EventDict]
) -> None:
    case = clinic.upload([faces], {"expert": voice})
    until(lambda: clinic.running(case.id, "faces"), "faces are looked for")
    with store_away(clinic):
        until(lambda: stumbled(trouble, case), "a step finds the store away")
    assert_reviewable(clinic, clinic.wait_for(case.id, *ENDED))


def test_a_store_that_stays_away_fails_the_case_which_goes_on_when_it_is_back(
    clinic: Clinic, faces: Path, voice: Path, tmp_path: Path
) -> None:
    case = clinic.upload([faces], {"expert": voice})
    until(lambda: clinic.running(case.id, "faces"), "faces are looked for")
    with store_away(clinic):
        failed = clinic.wait_for(case.id, *ENDED)
    assert failed.state is State.FAILED
    assert failed.reason is not None
    assert failed.reason["code"] == "store-unavailable"
    assert_originals_whole(clinic, case, {"camera-room": faces, "mic-expert": voice}, tmp_path)
    actions.retry_case(clinic.core, reviewer_of(clinic), case.id)
    finished = clinic.wait_for(case.id, *ENDED)
    assert_reviewable(clinic, finished)
    assert sum(row.step == "ingest" for row in finished.steps) == 1


def test_a_store_away_at_the_very_end_fails_the_case_and_only_the_end_is_done_again(
    clinic: Clinic, faces: Path, voice: Path
) -> None:
    case = clinic.upload([faces], {"expert": voice})
    until(lambda: packaged(clinic, case), "the package is kept")
    with store_away(clinic):
        ended = clinic.wait_for(case.id, *ENDED)
    if ended.state is State.FAILED:
        assert ended.reason is not None
        assert ended.reason["code"] == "store-unavailable"
        actions.retry_case(clinic.core, reviewer_of(clinic), case.id)
    finished = clinic.wait_for(case.id, State.IN_REVIEW)
    assert sum(row.step == "package" for row in finished.steps) == 1


def packaged(clinic: Clinic, case: Case) -> bool:
    key = f"work/{case.id}/edit-0/package/manifest.json.age"
    return clinic.core.store.stat(key) is not None


def test_a_consent_withdrawn_in_mid_step_ends_its_process_within_two_seconds(
    clinic: Clinic, faces: Path, voice: Path
) -> None:
    case = clinic.upload([faces], {"expert": voice})
    until(lambda: clinic.running(case.id, "faces") and step_children(), "faces are looked for")
    children = step_children()
    technician = make_user(clinic.core, Role.TECHNICIAN, "withdraws")
    actions.withdraw_consent(clinic.core, technician, case.id)
    until(lambda: not any(map(alive, children)), "its process has ended", patience_s=2.0)
    until(lambda: copies(clinic, case) == [], "the worker's copies of the recording are gone", 10.0)
    assert clinic.case(case.id).state is State.WITHDRAWN


def step_children() -> set[int]:
    """Processes of steps that this worker runs now."""
    return {pid for pid in descendants(os.getpid()) if b"processing.step" in command_of(pid)}


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def copies(clinic: Clinic, case: Case) -> list[Path]:
    """What any worker has opened of a case's recording."""
    return list((clinic.core.settings.home / "workers").glob(f"*/{case.id}"))


def test_an_error_nobody_planned_fails_the_case_instead_of_leaving_it_as_it_is(
    clinic: Clinic, tmp_path: Path
) -> None:
    source = not_a_media_file(tmp_path / "camera.mp4")
    case = clinic.wait_for(clinic.upload([source], {}).id, *ENDED)
    clinic.core.store.delete_prefix(f"work/{case.id}")
    whole = replace_tracks(clinic, case, {"camera-room": {}})
    assert_retryable(clinic, case, "child-crashed")
    replace_tracks(clinic, case, whole)
    assert_retryable(clinic, clinic.case(case.id), "not-media")


def replace_tracks(clinic: Clinic, case: Case, tracks: dict[str, Any]) -> dict[str, Any]:
    with clinic.core.catalog.write() as session:
        recording = session.scalars(select(Recording).where(Recording.consultation_id == case.id)).one()
        before, recording.tracks = recording.tracks, tracks
        return before


# --- a full disk ------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_in_mid_step_fails_the_case_which_goes_on_once_there_is_room(
    tmp_path: Path, voice: Path
) -> None:
    """The worker runs in a mount namespace of its own, where its folder is a disk of four megabytes."""
    small_disk = ["unshare", "--user", "--map-root-user", "--mount"]
    need(subprocess.run([*small_disk, "true"], check=False, capture_output=True).returncode == 0, "unshare")
    clinic = open_clinic(tmp_path, min_free_mb=1)
    try:
        workers = clinic.core.settings.home / "workers"
        workers.mkdir()
        video = write_movie(
            tmp_path / "big.mkv", Movie(seconds=1.2, video_codec="rawvideo", audio_codec="flac")
        )
        assert 2 << 20 < video.stat().st_size < 4 << 20
        mount = f"mount -t tmpfs -o size=4m none {workers} && exec {sys.executable} -m api.cli worker"
        worker = subprocess.Popen(
            [*small_disk, "sh", "-c", mount],
            cwd=REPOSITORY,
            env={**os.environ, **clinic.environment},
            stderr=(tmp_path / "worker.log").open("wb"),
        )
        clinic.workers.append(worker)
        case = clinic.wait_for(clinic.upload([video], {"expert": voice}).id, *ENDED)
        assert case.reason is not None
        assert case.reason["code"] == "disk-full"
        assert [(row.step, row.ended_at) for row in case.steps] == [("ingest", None)], "not in mid-step"
        assert_originals_whole(clinic, case, {"camera-room": video, "mic-expert": voice}, tmp_path)
        worker.kill()
        worker.wait()
        clinic.start_worker()
        actions.retry_case(clinic.core, reviewer_of(clinic), case.id)
        assert_reviewable(clinic, clinic.wait_for(case.id, *ENDED))
    finally:
        clinic.stop()


def test_no_step_begins_on_a_disk_that_is_nearly_full(tmp_path: Path, voice: Path) -> None:
    clinic = open_clinic(tmp_path, min_free_mb=1 << 30)
    try:
        clinic.start_worker()
        video = write_movie(tmp_path / "a.mp4", LITTLE)
        case = clinic.wait_for(clinic.upload([video], {"expert": voice}).id, *ENDED)
        assert case.reason is not None
        assert case.reason["code"] == "disk-full"
        assert case.reason["data"]["needed_mb"] == 1 << 30
        assert case.steps == []
        assert_originals_whole(clinic, case, {"camera-room": video, "mic-expert": voice}, tmp_path)
        assert_retryable(clinic, case, "disk-full")
    finally:
        clinic.stop()
