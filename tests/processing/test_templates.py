"""No patient's face template is ever left anywhere, and an expert's only sealed.

A template is 128 numbers, and whoever finds numbers as near to a person as their photograph is can recognise them.
So everything a run leaves is searched for any 128 numbers in a row that lie that near to the patient,
at every byte, in every form numbers are commonly written in. That the search finds such numbers is shown by
planting them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from api import actions
from api.core import Core
from api.ingest import plan_tracks
from archive.consent import SignedForm
from archive.models import Case, utc_now
from archive.terms import Kind, State
from config.errors import error_from_dict
from processing.frames import read_pictures
from processing.pipeline import Pipeline
from tests.factories import CONSENT_TEXT, EVERY_PURPOSE, PNG, make_core, make_users
from tests.processing import clips

Encoding = NDArray[np.float64]
# The distance at which face_recognition by default takes two faces for the same person.
SAME_PERSON = 0.6
FRAMES = 30
STEPS = ("ingest", "probe", "faces", "blur", "verify")
NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{680,}={0,2}")
HEX = re.compile(rb"[0-9a-fA-F]{1024,}")


def holds(data: bytes, person: Encoding) -> bool:
    """Whether ``data`` has 128 numbers in a row that recognise ``person``, in any form we can think of."""
    if any(near(numbers, person) for numbers in (*as_floats(data), as_text(data))):
        return True
    return any(any(near(numbers, person) for numbers in as_floats(inner)) for inner in decoded(data))


def as_floats(data: bytes) -> Iterator[Encoding]:
    for kind in ("<f8", ">f8", "<f4", ">f4"):
        size = int(kind[2])
        for begin in range(min(size, len(data))):
            count = (len(data) - begin) // size
            with np.errstate(invalid="ignore", over="ignore"):
                yield np.frombuffer(data, kind, count, begin).astype(np.float64)


def as_text(data: bytes) -> Encoding:
    return np.array([float(number) for number in NUMBER.findall(data)])


def decoded(data: bytes) -> Iterator[bytes]:
    for found in BASE64.findall(data):
        plain = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        for begin in range(4):
            part = plain[begin:] + b"AAA"  # in place of the padding
            yield base64.b64decode(part[: len(part) // 4 * 4])
    for found in HEX.findall(data):
        yield binascii.unhexlify(found[: len(found) // 2 * 2])
        yield binascii.unhexlify(found[1 : 1 + (len(found) - 1) // 2 * 2])


def near(numbers: Encoding, person: Encoding) -> bool:
    if len(numbers) < len(person):
        return False
    # No component of an encoding is above 1; what is no such number must not spoil the sums.
    sane = np.where(np.abs(numbers) < 1.0, numbers, 10.0)
    sane[np.isnan(sane)] = 10.0
    sums = np.concatenate([[0.0], np.cumsum(np.square(sane))])
    squares = sums[len(person) :] - sums[: -len(person)]
    products = np.correlate(sane, person, "valid")
    return bool((squares - 2 * products + np.square(person).sum()).min() < SAME_PERSON**2)


def encoding_of(pixels: Any, face: tuple[float, float, float, float]) -> Encoding:
    import face_recognition

    x0, y0, x1, y1 = (round(value) for value in face)
    places = [(y0, x1, y1, x0)]
    (found,) = face_recognition.face_encodings(np.ascontiguousarray(pixels), places, model="small")
    return np.asarray(found, np.float64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.consultation_clip(tmp_path_factory.mktemp("templates") / "clip.mp4", FRAMES, audio_streams=1)


@pytest.fixture(scope="module")
def people_in(clip: Path) -> dict[str, Encoding]:
    first, scene = next(read_pictures(clip)).rgb(), next(clips.consultation(1))
    return {"expert": encoding_of(first, scene.expert), "patient": encoding_of(first, scene.patient)}


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4"])
@pytest.mark.parametrize("shift", [0, 1, 3, 6])
def test_the_search_finds_a_template_in_binary_anywhere(
    people_in: dict[str, Encoding], kind: str, shift: int
) -> None:
    noise = np.random.default_rng(2).bytes(4000)
    planted = noise + b"x" * shift + people_in["patient"].astype(kind).tobytes() + noise
    assert holds(planted, people_in["patient"])
    assert not holds(planted, people_in["expert"])
    assert not holds(noise, people_in["patient"])


def test_the_search_finds_a_template_in_text_and_one_of_another_moment(
    clip: Path, people_in: dict[str, Encoding]
) -> None:
    later = list(zip(read_pictures(clip), clips.consultation(FRAMES), strict=True))[20]
    other = encoding_of(later[0].rgb(), later[1].patient)
    assert 0.0 < np.linalg.norm(other - people_in["patient"]) < SAME_PERSON
    texts = [
        json.dumps({"looks": [[1, 2.5, 3]], "e": [round(value, 4) for value in other.tolist()]}).encode(),
        str(other.tolist()).encode(),
        np.array2string(other, threshold=200).encode(),
        b"log: " + base64.b64encode(b"abc" + other.tobytes()) + b"\n",
        b"log: " + base64.urlsafe_b64encode(other.astype("<f4").tobytes() * 2) + b"\n",
        b'{"template": "' + other.tobytes().hex().encode() + b'"}',
    ]
    for text in texts:
        assert holds(text, people_in["patient"])
        assert not holds(text, people_in["expert"])


@dataclass
class Run:
    """A case on its way through a pipeline of our own, with nothing outside ``folder`` in reach."""

    folder: Path
    core: Core
    pipeline: Pipeline
    case: Case
    logged: list[Any]

    def step(self, name: str) -> dict[str, Any] | None:
        return asyncio.run(self.pipeline.run_step(name, self.case.id, self.case.run))

    def found(self, person: Encoding) -> list[str]:
        """Every artefact that holds a template of ``person``: files, results of steps, and lines of the log."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        told = {name: self.pipeline.results.told(self.case, name) for name in STEPS}
        artefacts = {str(path.relative_to(self.folder)): path.read_bytes() for path in files}
        artefacts |= {name: json.dumps(result).encode() for name, result in told.items()}
        artefacts["log"] = repr(self.logged).encode()
        return [name for name, data in artefacts.items() if holds(data, person)]


@pytest.fixture
def run(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    core = make_core(tmp_path / "yian")
    with capture_logs() as logged:
        people = make_users(core)
        actions.enrol_expert(
            core, people.manager, people.expert.id, clips.expert_photo(), CONSENT_TEXT.encode()
        )
        planned = actions.schedule_consultation(
            core,
            people.technician,
            title="失眠一例",
            kind=Kind.CONSULTATION,
            expert_id=people.expert.id,
            scheduled_at=utc_now(),
        )
        form = SignedForm(EVERY_PURPOSE, CONSENT_TEXT, PNG, utc_now())
        actions.sign_consent(core, people.technician, planned.id, form)
        recorded(core, people.technician, planned.id, clip)
        case = actions.show_case(core, people.manager, planned.id)
        assert case.state is State.PROCESSING
        pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "worker")
        yield Run(tmp_path, core, pipeline, case, logged)
    core.close()


def recorded(core: Core, technician: Any, case_id: str, clip: Path) -> None:
    recording = actions.open_recording(core, technician, case_id, rig={}, light=None, started_at=utc_now())
    ((name, (kind, role, path)),) = plan_tracks([clip], {}).items()
    told = {"track": name, "index": 0, "sha256": actions.sha256_of(path), "start_s": 0.0, "duration_s": 1.0}
    actions.put_segment(core, technician, recording.id, received=path, **told)
    tracks = {name: {"kind": kind, "role": role, "segments": 1, "whole": True}}
    actions.complete_recording(core, technician, recording.id, tracks=tracks, seconds=1.0)


def test_nothing_a_run_leaves_holds_a_template_of_the_patient_or_an_open_one_of_the_expert(
    run: Run, people_in: dict[str, Encoding]
) -> None:
    for name in STEPS:
        assert run.step(name) is None
    assert run.found(people_in["patient"]) == []
    assert run.found(people_in["expert"]) == []
    faces = run.pipeline.results.told(run.case, "blur")["cameras"]["camera-room"]
    reasons = {(track["decision"], track["reason"]) for track in faces["tracks"]}
    assert reasons == {("keep", "enrolled-expert"), ("blur", "default")}
    (planted,) = run.pipeline.results.fetch(run.case, "blur").glob("*.tracks.json")
    planted.write_text(planted.read_text() + str(people_in["patient"].tolist()))
    assert [Path(name).name for name in run.found(people_in["patient"])] == [planted.name]
    assert {info.key[-4:] for info in run.core.store.list("templates")} == {".age"}


def test_a_step_that_fails_leaves_no_open_template_once_the_case_has_ended(
    run: Run, people_in: dict[str, Encoding]
) -> None:
    with run.core.catalog.write() as session:
        session.get_one(Case, run.case.id).edits = {"no-such-camera": {}}
    for name in STEPS[:3]:
        assert run.step(name) is None
    error = run.step("blur")
    assert error is not None
    assert error_from_dict(error).code == "edits-rejected"
    run.pipeline.finish(run.case.id, run.case.run, error)
    assert run.found(people_in["expert"]) == []
    assert run.found(people_in["patient"]) == []
