"""Signing on the consent page as the core sees it: what is kept, what is refused in words, and once only."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

import archive.consent_form
from api import actions
from api.core import Core
from archive.consent import require
from archive.models import Consultation, utc_now
from archive.terms import Kind, Purpose, Role, State
from config.errors import ConsentFormChanged, PurposeNotGranted
from tests.archive.rooms import open_room
from tests.factories import PNG, People, bearer


def ink(kind: str = "PNG", seed: int = 0) -> bytes:
    paper = Image.new("RGB", (1500, 500), "white")
    ImageDraw.Draw(paper).line([(300 + seed, 100), (500, 300), (700, 120)], fill="black", width=7)
    out = BytesIO()
    paper.save(out, kind)
    return out.getvalue()


def plan(core: Core, people: People, kind: Kind = Kind.CONSULTATION) -> Consultation:
    planned = actions.schedule_consultation(
        core, people.technician, title="失眠", kind=kind, expert_id=people.expert.id, scheduled_at=utc_now()
    )
    return actions.show_consultation(core, people.technician, planned.id)


@pytest.fixture
def visit(core: Core, people: People) -> Consultation:
    return plan(core, people)


@pytest.fixture
def tablet(web: TestClient, core: Core, people: People) -> Tablet:
    return Tablet(web, bearer(core, people.technician))


class Tablet:
    """A browser that has opened the consent page and sends what its form holds."""

    def __init__(self, web: TestClient, headers: dict[str, str]) -> None:
        self.web = web
        self.headers = headers

    def open(self, visit: Consultation, query: str = "", **cookies: str) -> str:
        headers = {**self.headers, "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
        answer = self.web.get(f"/consultations/{visit.id}/consent{query}", headers=headers)
        assert answer.status_code == 200
        return answer.text

    def fields(self, visit: Consultation, query: str = "", **cookies: str) -> dict[str, Any]:
        page = self.open(visit, query, **cookies)
        return {
            name: unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
            if name not in ("next",)
        }

    def send(self, visit: Consultation, fields: dict[str, Any], signature: bytes, **changed: Any) -> Any:
        told = {"way": "drawn", "purposes": ["record", "archive"], **fields, **changed}
        return self.web.post(
            f"/api/consultations/{visit.id}/consent/form",
            data=told,
            files={"signature": ("../../etc/passwd", signature, "text/html")},
            headers=self.headers,
        )


def test_text_hash_image_time_and_witness_are_kept(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    before = utc_now()
    answer = tablet.send(visit, tablet.fields(visit), ink(), disguise_voice="true")
    assert answer.status_code == 201
    kept = actions.show_consultation(core, people.technician, visit.id).consents[0]
    form = actions.shown_form(core, visit, "zh-CN")
    assert kept.text == form.whole(("record", "archive"), disguise_voice=True)
    assert kept.text_sha256 == hashlib.sha256(kept.text.encode()).hexdigest() == answer.json()["text_sha256"]
    assert kept.signature_sha256 == hashlib.sha256(ink()).hexdigest()
    assert before <= kept.signed_at <= utc_now()
    assert kept.witness_id == people.technician.id
    assert (kept.form_version, kept.language, kept.signature_kind) == (form.version, "zh-CN", "png")
    assert {p for p, part in kept.parts.items() if part["agreed"]} == {"record", "archive"}
    assert set(kept.parts) == {str(purpose) for purpose in Purpose}
    page = tablet.open(visit)
    for words in (kept.text_sha256, "周采集", "☐ 科研", 'lang="zh-CN"'):
        assert words in page
    image = tablet.web.get(re.findall(r'id="signature" src="([^"]+)"', page)[0], headers=tablet.headers)
    assert (image.content, image.headers["content-type"]) == (ink(), "image/png")
    assert (
        "nosniff" in image.headers["x-content-type-options"] and "no-store" in image.headers["cache-control"]
    )


def test_nothing_is_ticked_beforehand_and_every_purpose_is_asked_by_itself(
    tablet: Tablet, visit: Consultation, core: Core
) -> None:
    page = tablet.open(visit)
    boxes = re.findall(r"<input type=\"checkbox\"[^>]*>", page)
    assert len(boxes) == len(Purpose) + 1 and not any("checked" in box for box in boxes)
    for text in actions.shown_form(core, visit, "zh-CN").purposes.values():
        assert text in unescape(page)


def test_the_language_of_the_page_is_that_of_the_form(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    fields = tablet.fields(visit, yian_language="en")
    assert fields["language"] == "en"
    assert tablet.send(visit, fields, ink()).status_code == 201
    kept = actions.show_consultation(core, people.technician, visit.id).consents[0]
    assert "☑ Recording: this consultation" in kept.text and not re.search("[一-鿿]{3}同意", kept.text)


@pytest.mark.parametrize("kind", [Kind.DEMONSTRATION, Kind.DISCUSSION])
def test_whoever_is_seen_in_a_demonstration_or_discussion_signs_before_it_is_recorded(
    tablet: Tablet, core: Core, people: People, kind: Kind
) -> None:
    visit = plan(core, people, kind)
    fields = tablet.fields(visit)
    assert fields["version"].startswith("participant-")
    assert tablet.send(visit, fields, b"%PDF-1.7\n" + bytes(99), way="scanned").status_code == 201
    with core.catalog.read() as session:
        assert require(session, visit.id, Purpose.RECORD).signature_kind == "pdf"


@pytest.mark.parametrize(
    ("changed", "signature", "words"),
    [
        ({"purposes": []}, ink(), "no purpose"),
        ({}, PNG, "damaged"),
        ({}, ink("JPEG"), "not a PNG"),
        ({}, b"%PDF-1.7", "not a PNG"),
        ({"way": "scanned"}, b"GIF89a", "not a PNG, JPEG or PDF"),
        ({"way": "scanned"}, b"\xff\xd8\xff broken", "damaged"),
        ({"way": "scanned"}, b"", "not a PNG, JPEG or PDF"),
        ({"way": "guessed"}, ink(), "way"),
        ({"purposes": ["record", "sell"]}, ink(), "purposes"),
        ({"purposes": ["record", "record"]}, ink(), "twice"),
        ({"language": "fr"}, ink(), "language"),
        ({"submission": "short"}, ink(), "submission"),
    ],
)
def test_what_cannot_be_a_signed_form_is_refused_and_nothing_kept(
    tablet: Tablet,
    core: Core,
    people: People,
    visit: Consultation,
    changed: dict[str, Any],
    signature: bytes,
    words: str,
) -> None:
    answer = tablet.send(visit, tablet.fields(visit), signature, **changed)
    assert answer.status_code == 422 and words in answer.json()["detail"]
    assert actions.show_consultation(core, people.technician, visit.id).consents == []
    assert actions.show_case(core, people.technician, visit.id).state is State.SCHEDULED
    assert list(core.store.list(f"consents/{visit.id}")) == []


def test_sending_the_same_page_again_gives_the_same_form(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    fields = tablet.fields(visit)
    first, again = tablet.send(visit, fields, ink()), tablet.send(visit, fields, ink())
    assert first.json()["id"] == again.json()["id"]
    other = tablet.send(visit, fields, ink(seed=9))
    assert (other.status_code, other.json()["code"]) == (409, "consent-form-changed")
    assert "内容不同的同意书" in other.json()["detail"]
    assert len(actions.show_consultation(core, people.technician, visit.id).consents) == 1


def test_a_page_opened_before_another_form_was_signed_is_told_so(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    first, second = tablet.fields(visit), tablet.fields(visit)
    assert first["submission"] != second["submission"]
    assert tablet.send(visit, first, ink()).status_code == 201
    late = tablet.send(visit, second, ink(), purposes=["record"])
    assert late.status_code == 409 and "本页打开之后，已有另一份同意书签署" in late.json()["detail"]
    anew = tablet.send(visit, tablet.fields(visit, "?new=true"), ink(), purposes=["record"])
    assert anew.status_code == 201
    with core.catalog.read() as session, pytest.raises(PurposeNotGranted):
        require(session, visit.id, Purpose.ARCHIVE)
    kept = actions.show_consultation(core, people.technician, visit.id).consents
    assert "较早的同意书" in tablet.open(visit, f"?form={kept[0].id}")
    missing = tablet.web.get(f"/consultations/{visit.id}/consent?form=NOPE", headers=tablet.headers)
    assert missing.status_code == 404


def test_a_page_whose_wording_has_been_changed_meanwhile_is_refused(
    tablet: Tablet, visit: Consultation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = tablet.fields(visit)
    wording = archive.consent_form._wording()
    newer = [*wording, {**wording[0], "version": "patient-2027-01"}]
    monkeypatch.setattr(archive.consent_form, "_wording", lambda: newer)
    answer = tablet.send(visit, fields, ink())
    assert answer.status_code == 409 and "文本已经更新" in answer.json()["detail"]


def test_a_page_left_open_until_the_patient_withdrew_or_the_visit_was_cancelled_is_refused(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    tablet.send(visit, tablet.fields(visit), ink())
    stale = tablet.fields(visit, "?new=true")
    actions.withdraw_consent(core, people.technician, visit.id)
    refused = tablet.send(visit, stale, ink())
    assert (refused.status_code, refused.json()["code"]) == (403, "consent-withdrawn")
    other = plan(core, people)
    stale = tablet.fields(other)
    actions.cancel_consultation(core, people.technician, other.id)
    assert tablet.send(other, stale, ink()).json()["code"] == "visit-cancelled"


def test_one_purpose_is_withdrawn_from_the_page_and_the_form_says_so(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    tablet.send(visit, tablet.fields(visit), ink())
    told = tablet.web.post(
        f"/consultations/{visit.id}/consent/withdraw", data={"purposes": ["archive"]}, headers=tablet.headers
    )
    assert "已撤回的用途" in told.text
    assert actions.show_case(core, people.technician, visit.id).state is State.CONSENTED
    none = tablet.web.post(f"/consultations/{visit.id}/consent/withdraw", headers=tablet.headers)
    assert none.status_code == 422
    actions.withdraw_consent(core, people.technician, visit.id)
    assert "同意已撤回" in tablet.open(visit)


def test_a_signature_is_shown_to_witnesses_only_and_only_with_its_own_visit(
    tablet: Tablet, core: Core, people: People, visit: Consultation
) -> None:
    form = tablet.send(visit, tablet.fields(visit), ink()).json()["id"]
    other = plan(core, people)
    assert (
        tablet.web.get(
            f"/api/consultations/{other.id}/consent/{form}/signature", headers=tablet.headers
        ).status_code
        == 404
    )
    for role in (Role.REVIEWER, Role.EXPERT, Role.TRAINEE):
        headers = bearer(core, people.of(role))
        path = f"/api/consultations/{visit.id}/consent/{form}/signature"
        assert tablet.web.get(path, headers=headers).status_code == 403


def test_many_tablets_at_the_same_moment_leave_one_form(database_url: str, tmp_path: Path) -> None:
    room = open_room(tmp_path / "home", database_url)
    technician, expert = room.person(Role.TECHNICIAN), room.person(Role.EXPERT)
    visit = actions.schedule_consultation(
        room.core,
        technician,
        title="t",
        kind=Kind.CONSULTATION,
        expert_id=expert.id,
        scheduled_at=utc_now() - dt.timedelta(minutes=1),
    )
    form = actions.shown_form(room.core, actions.show_forms(room.core, technician, visit.id)[0], "zh-CN")
    gate, outcomes = threading.Barrier(5), []

    def sign(number: int) -> None:
        answers = actions.Answers(
            ("record",),
            False,
            form.version,
            "zh-CN",
            f"tablet-number-{number}",
            "",
            b"%PDF-1.7" + bytes([number]),
            False,
        )
        gate.wait()
        try:
            actions.sign_form(room.core, technician, visit.id, answers)
            outcomes.append("kept")
        except ConsentFormChanged as refusal:
            outcomes.append(str(refusal.data["change"]))

    threads = [threading.Thread(target=sign, args=(number,)) for number in (1, 1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = actions.show_consultation(room.core, technician, visit.id).consents
    assert len(kept) == 1
    assert outcomes.count("signed") + outcomes.count("kept") == 5
    assert outcomes.count("kept") == (2 if kept[0].submission == "tablet-number-1" else 1)
