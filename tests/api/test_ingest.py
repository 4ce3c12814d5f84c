from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from api import actions
from api.core import Core
from api.ingest import ingest, plan_tracks
from archive.models import Case, Recording, Segment
from archive.terms import State
from config.errors import (
    ConsentWithdrawn,
    EmptyMedia,
    Forbidden,
    ImplausibleDuration,
    NoAudio,
    NotMedia,
    NoVideo,
    RequestRejected,
    Truncated,
    YianError,
)
from tests.factories import CountingJobs, People, make_case
from tests.processing.media_files import Movie, claim_hours, cut, tone, write_movie, write_sound


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_movie(tmp_path_factory.mktemp("movie") / "room.mp4", Movie(seconds=1.0))


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound(tmp_path_factory.mktemp("voice") / "voice.wav", tone(1.0, 300.0))


@pytest.fixture
def planned(core: Core, people: People) -> Case:
    return make_case(core, people)


def started(core: Core) -> list[tuple[str, int]]:
    assert isinstance(core.jobs, CountingJobs)
    return core.jobs.started


def segments(core: Core) -> list[Segment]:
    with core.catalog.read() as session:
        return list(session.scalars(select(Segment).order_by(Segment.track)))


# --- which file is which ----------------------------------------------------------------------------------


def test_the_first_camera_shows_the_room_and_every_microphone_keeps_its_role() -> None:
    a, b, c = Path("a.mp4"), Path("b.mp4"), Path("c.wav")
    assert plan_tracks([a, b], {"patient": c}) == {
        "camera-room": ("video", "room", a),
        "camera-desk": ("video", "desk", b),
        "mic-patient": ("audio", "patient", c),
    }


def test_every_planned_name_and_role_is_one_that_a_recording_may_have() -> None:
    tracks = plan_tracks([Path("x")] * 4, dict.fromkeys(actions.TRACK_ROLES["audio"], Path("y")))
    assert len(tracks) == 8
    for name, (kind, role, _) in tracks.items():
        assert actions.TRACK_NAME.fullmatch(name)
        assert role in actions.TRACK_ROLES[kind]


@pytest.mark.parametrize(
    ("videos", "audios", "told"),
    [
        ([], {"expert": Path("a.wav")}, "at least one video"),
        ([Path("v.mp4")] * 5, {}, "at most 4"),
        ([Path("v.mp4")], {"nurse": Path("a.wav")}, "nurse"),
    ],
)
def test_a_plan_that_cannot_be_recorded_is_refused(
    videos: list[Path], audios: dict[str, Path], told: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        plan_tracks(videos, audios)
    assert told in str(refused.value)


# --- taking in --------------------------------------------------------------------------------------------


def test_files_are_taken_in_unchanged_and_their_processing_starts(
    core: Core, people: People, planned: Case, movie: Path, voice: Path, tmp_path: Path
) -> None:
    shares: list[float] = []
    case = ingest(core, people.technician, planned.id, [movie], {"expert": voice}, shares.append)
    assert case.state is State.PROCESSING
    assert started(core) == [(case.id, 1)]
    assert shares == [0.5, 1.0]
    for segment, source in zip(segments(core), (movie, voice), strict=True):
        core.vault.open_file(case.id, segment.key, tmp_path / segment.track)
        assert (tmp_path / segment.track).read_bytes() == source.read_bytes()
        assert segment.duration_s == pytest.approx(1.0, abs=0.1)


def no_media(path: Path) -> Path:
    path.write_bytes(b"a letter to the doctor\n" * 1000)
    return path


def cut_in_half(path: Path) -> Path:
    return cut(write_movie(path, Movie(seconds=1.0)), 0.5)


def no_bytes(path: Path) -> Path:
    path.touch()
    return path


def no_picture(path: Path) -> Path:
    return write_sound(path.with_suffix(".m4a"), tone(1.0, 300.0))


def eight_hours(path: Path) -> Path:
    return claim_hours(write_movie(path, Movie(seconds=1.0)), 8.0)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (no_media, NotMedia),
        (cut_in_half, Truncated),
        (no_bytes, EmptyMedia),
        (no_picture, NoVideo),
        (eight_hours, ImplausibleDuration),
    ],
)
def test_a_refused_file_is_named_and_leaves_nothing_behind(
    core: Core,
    people: People,
    planned: Case,
    tmp_path: Path,
    make: Callable[[Path], Path],
    kind: type[YianError],
) -> None:
    bad = make(tmp_path / "bad.mp4")
    content = bad.read_bytes()
    before = kept(core)
    with pytest.raises(kind) as refused:
        ingest(core, people.technician, planned.id, [bad], {})
    assert refused.value.data["name"] == bad.name
    assert_nothing_was_taken_in(core, people, planned, before)
    assert bad.read_bytes() == content


def test_a_file_refused_after_a_good_one_leaves_nothing_of_either(
    core: Core, people: People, planned: Case, movie: Path, tmp_path: Path
) -> None:
    silent = write_movie(tmp_path / "silent.mp4", Movie(seconds=1.0, tone_hz=0))
    before = kept(core)
    with pytest.raises(NoAudio) as refused:
        ingest(core, people.technician, planned.id, [movie], {"expert": silent})
    assert refused.value.data["name"] == "silent.mp4"
    assert_nothing_was_taken_in(core, people, planned, before)


@pytest.mark.parametrize("what", ["absent", "folder"])
def test_what_is_not_a_file_is_refused_by_name(
    core: Core, people: People, planned: Case, tmp_path: Path, what: str
) -> None:
    (tmp_path / "folder").mkdir()
    before = kept(core)
    with pytest.raises(RequestRejected) as refused:
        ingest(core, people.technician, planned.id, [tmp_path / what], {})
    assert what in str(refused.value)
    assert_nothing_was_taken_in(core, people, planned, before)


def test_without_a_valid_consent_nothing_is_taken_in(
    core: Core, people: People, planned: Case, movie: Path
) -> None:
    actions.withdraw_consent(core, people.technician, planned.id)
    with pytest.raises(ConsentWithdrawn):
        ingest(core, people.technician, planned.id, [movie], {})
    assert segments(core) == []
    assert started(core) == []


def test_only_a_technician_takes_files_in(core: Core, people: People, planned: Case, movie: Path) -> None:
    before = kept(core)
    with pytest.raises(Forbidden):
        ingest(core, people.expert, planned.id, [movie], {})
    assert_nothing_was_taken_in(core, people, planned, before)


def test_hostile_file_names_are_only_names(
    core: Core, people: People, planned: Case, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["; rm -rf $(touch pwned).mp4", "-i.mp4", "two\nlines %05d.mp4", "x" * 196 + ".mp4"]
    spoken = "concat:王大夫|第一次 🩺.mp4"
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (*names, spoken):
        (folder / name).write_bytes(movie.read_bytes())
    monkeypatch.chdir(folder)
    case = ingest(core, people.technician, planned.id, list(map(Path, names)), {"expert": Path(spoken)})
    assert case.state is State.PROCESSING
    assert {entry.name for entry in folder.iterdir()} == {*names, spoken}
    assert len(segments(core)) == 5
    for segment in segments(core):
        assert segment.sha256 == actions.sha256_of(movie)
        assert segment.key.startswith(f"recordings/{case.id}/")


def kept(core: Core) -> list[str]:
    return [info.key for info in core.store.list("")]


def assert_nothing_was_taken_in(core: Core, people: People, planned: Case, before: list[str]) -> None:
    assert kept(core) == before
    assert segments(core) == []
    assert started(core) == []
    with core.catalog.read() as session:
        assert session.scalars(select(Recording)).all() == []
    assert actions.show_case(core, people.technician, planned.id).state is State.CONSENTED
