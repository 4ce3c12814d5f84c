"""From a leak in our own output to a case in review: the step, the pipeline's judgement, and the package."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from archive import alarms, consent, release
from archive.models import Case, Consultation, Recording, User, utc_now
from archive.states import move
from archive.terms import Decision, Finding, Role, State
from config.errors import error_from_dict
from config.settings import MediaSettings, SpeechSettings, VisionSettings
from processing import materials, speech_steps, steps
from processing.blur import render
from processing.moments import thumbnail_of
from processing.pipeline import Pipeline
from processing.step import Job
from tests.archive.rooms import Room, open_room
from tests.archive.test_package import write_source
from tests.processing import clips
from tests.processing.test_verify import EXPERT, PATIENT

FRAMES = 20
REASON = "墙上的画，不是人脸"


def no_progress(share: float) -> None:
    return None


def job(folder: Path, inputs: dict[str, Path], params: dict[str, Any]) -> Job:
    (folder / "out").mkdir(parents=True)
    return Job(folder, inputs, params, SpeechSettings(), VisionSettings(), MediaSettings())


def written(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the steps before left of a recording whose patient shows in two frames of the output."""
    root = tmp_path_factory.mktemp("inputs")
    told = {"room": {"file": "room.mp4", "kind": "video", "role": "room", "start_s": 0.0}}
    plan = {"cameras": ["room"], "main_camera": "room"}
    folders = {
        "ingest": written(root / "ingest", tracks=told),
        "probe": written(root / "probe", plan=plan),
        "blur": written(root / "blur"),
    }
    clip = clips.consultation_clip(folders["ingest"] / "room.mp4", FRAMES)
    hidden = [EXPERT, replace(PATIENT, last_frame=11), replace(PATIENT, id=2, first_frame=14)]
    out = folders["blur"] / "room.mp4"
    render(clip, hidden, out, style="blur", media=MediaSettings(), progress=no_progress)
    written(folders["blur"], **{"room.tracks": [track.to_dict() for track in hidden]})
    return folders


@pytest.fixture(scope="module")
def verified(
    inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("verified") / "job"
    return folder, steps.verify_step(job(folder, inputs, {"templates": []}))


def test_the_step_tells_its_alarms_and_leaves_a_picture_of_each(
    verified: tuple[Path, dict[str, Any]],
) -> None:
    folder, told = verified
    assert told["verdict"] == "fail"
    assert told["moments"] >= len(told["alarms"]) >= 1
    assert all(0.4 <= alarm["first_s"] <= alarm["last_s"] <= 0.6 for alarm in told["alarms"])
    report = json.loads((folder / "out" / "verification.json").read_text())
    assert len(report["room"]["moments"]) == told["moments"]
    for alarm in told["alarms"]:
        assert (folder / "out" / thumbnail_of(alarm["id"])).read_bytes().startswith(b"\xff\xd8")


@dataclass(frozen=True)
class Desk:
    room: Room
    pipeline: Pipeline
    reviewer: User
    case: Case

    def run(self, step: str) -> dict[str, Any] | None:
        return asyncio.run(self.pipeline.run_step(step, self.case.id, self.load().run))

    def load(self) -> Case:
        with self.room.core.catalog.read() as session:
            return session.get_one(Case, self.case.id)

    def answer_all(self, told: dict[str, Any]) -> None:
        for alarm in told["alarms"]:
            self.answer(alarm["id"])

    def keep(self, step: str, told: dict[str, Any], files: Path | None = None) -> None:
        work = self.pipeline.root / f"work-{step}"
        (work / "out").mkdir(parents=True)
        for path in files.rglob("*.*") if files else ():
            target = work / "out" / path.relative_to(files or path)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
        self.pipeline.results.keep(self.load(), step, work, told)

    def answer(self, moment: str) -> None:
        with self.room.core.catalog.write() as session:
            case = self.room.load(session, self.case)
            alarms.resolve(session, case, self.reviewer, moment, Finding.NO_FACE, REASON)

    def again(self) -> None:
        """As a retry does."""
        with self.room.core.catalog.write() as session:
            case = self.room.load(session, self.case)
            case.run += 1
            move(session, case, State.PROCESSING, self.reviewer.id)


@pytest.fixture
def desk(tmp_path: Path, verified: tuple[Path, dict[str, Any]]) -> Desk:
    """A case whose verification has just ended with a failed verdict."""
    room = open_room(tmp_path / "home")
    technician, reviewer, expert = (
        room.person(role) for role in (Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT)
    )
    case = room.case(State.UPLOADED, technician, expert)
    core = room.core
    with core.catalog.write() as session:
        consultation = session.get_one(Consultation, case.id)
        consent.sign(session, core.vault, consultation, room.form(), technician.id, 1096)
        move(session, room.load(session, case), State.PROCESSING, technician.id)
        session.query(Recording).one().completed_at = utc_now()
    pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "w1")
    desk = Desk(room, pipeline, reviewer, case)
    desk.keep("verify", verified[1], verified[0] / "out")
    return desk


def test_a_failed_verification_is_accepted_only_when_every_alarm_is_answered(
    desk: Desk, verified: tuple[Path, dict[str, Any]]
) -> None:
    raised = [alarm["id"] for alarm in verified[1]["alarms"]]
    error = desk.run("verify")
    assert error and error["code"] == "verification-failed" and error["data"]["moments"] == len(raised)
    assert str(error_from_dict(error))
    desk.pipeline.finish(desk.case.id, 0, error)
    assert desk.load().state is State.FAILED
    for moment in raised:
        desk.answer(moment)
    desk.again()
    assert desk.run("verify") is None


def test_new_edits_have_to_be_verified_and_answered_anew(
    desk: Desk, verified: tuple[Path, dict[str, Any]]
) -> None:
    desk.pipeline.finish(desk.case.id, 0, desk.run("verify"))
    desk.answer_all(verified[1])
    editor = desk.room.person(Role.REVIEWER)
    with desk.room.core.catalog.write() as session:
        case = desk.room.load(session, desk.case)
        release.apply_edits(session, case, editor, {"room": {"blur_tracks": [1]}})
    desk.again()
    assert desk.pipeline.results.manifest(desk.load(), "verify") is None
    desk.keep("verify", verified[1], verified[0] / "out")
    error = desk.run("verify")
    assert error and error["data"]["moments"] == len(verified[1]["alarms"])


def test_a_case_answered_for_reaches_review_says_so_and_can_be_approved(
    desk: Desk, verified: tuple[Path, dict[str, Any]]
) -> None:
    desk.pipeline.finish(desk.case.id, 0, desk.run("verify"))
    desk.answer_all(verified[1])
    desk.again()
    desk.keep("probe", {"duration_s": 1.0, "cameras": ["room"], "main_camera": "room", "notes": []})
    desk.keep("blur", {"cameras": {}})
    desk.keep("package", {"prefix": "packages/x", "seal": "b" * 128})
    desk.pipeline.finish(desk.case.id, 1, None)
    case = desk.load()
    assert case.state is State.IN_REVIEW, case.reason
    assert case.summary["verification"]["verdict"] == "resolved"
    assert case.summary["verification"]["alarms"] == len(verified[1]["alarms"])
    with desk.room.core.catalog.write() as session:
        signed = release.decide(session, case.id, desk.reviewer, Decision.APPROVE)
        assert signed.state is State.EXPERT_REVIEW


def test_a_case_never_reaches_review_with_an_alarm_unanswered_even_when_every_step_seems_done(
    desk: Desk,
) -> None:
    desk.keep("probe", {"duration_s": 1.0, "cameras": ["room"], "main_camera": "room", "notes": []})
    desk.keep("blur", {"cameras": {}})
    desk.keep("package", {"prefix": "packages/x", "seal": "b" * 128})
    desk.pipeline.finish(desk.case.id, 0, None)
    case = desk.load()
    assert case.state is State.FAILED
    assert case.reason and case.reason["code"] == "verification-failed"


def test_the_package_says_who_answered_for_what_and_why_and_holds_no_thumbnail(
    desk: Desk, verified: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    desk.pipeline.finish(desk.case.id, 0, desk.run("verify"))
    desk.answer_all(verified[1])
    desk.again()
    desk.keep("probe", {"duration_s": 1.0, "cameras": ["room"], "main_camera": "room", "notes": []})
    params = json.loads(json.dumps(materials.gather(desk.pipeline, "package", desk.case.id, tmp_path / "g")))
    source = write_source(tmp_path / "source")
    for name in (*speech_steps.TRANSCRIPT_FILES, "redactions.json"):
        (source / "transcript" / name).write_text("")
    folders = {
        "stream": source,
        "redact": source / "transcript",
        "verify": verified[0] / "out",
        "blur": source / "reports",
    }
    work = job(tmp_path / "package", folders, params)
    steps.package(work)
    data = work.out / "bag" / "data"
    said = json.loads((data / "reports" / "resolutions.json").read_text())
    assert [each["id"] for each in said] == [alarm["id"] for alarm in verified[1]["alarms"]]
    for each in said:
        assert "visible-face" in each["kinds"]
        answer = each["resolution"]
        assert (answer["by"], answer["role"]) == (desk.reviewer.id, "reviewer")
        assert (answer["finding"], answer["reason"]) == ("no-face", REASON)
        assert answer["at"].endswith("Z")
    assert not [path for path in data.rglob("*.jpg") if "thumbnail" in str(path)]
