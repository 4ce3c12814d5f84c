"""Attachments from the web and the terminal: taken in, held, vouched for, shown, replaced, gone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image
from sqlalchemy import select

from api import actions
from api.core import Core
from archive.models import Attachment, AuditEvent, User
from archive.terms import Role
from config.errors import NotFound
from tests.archive.dicom_files import picture, write
from tests.factories import People, bearer, make_case, make_published_case, make_user

TAKEN = "2026-03-01T08:50:00+08:00"
PDF = b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n"


def photograph(comment: bytes = b"XIAOMING", shade: str = "brown") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (320, 240), shade).save(held, "JPEG", comment=comment)
    return held.getvalue()


class Desk:
    """The attachments of one case, as people of every role meet them over the web."""

    def __init__(self, web: TestClient, core: Core, people: People, case_id: str) -> None:
        self.web, self.core, self.people = web, core, people
        self.path = f"/api/consultations/{case_id}/attachments"
        self.case_id = case_id

    def as_(self, user: User) -> dict[str, str]:
        return bearer(self.core, user)

    def add(self, content: bytes, user: User | None = None, **form: str) -> Response:
        told = {"type": "tongue", "taken_at": TAKEN, **form}
        files = {"file": ("../../张小明.jpg", content)}
        return self.web.post(
            self.path, data=told, files=files, headers=self.as_(user or self.people.technician)
        )

    def seen_by(self, user: User) -> Response:
        return self.web.get(self.path, headers=self.as_(user))

    def ids_seen_by(self, user: User) -> list[str]:
        return [one["id"] for one in self.seen_by(user).json()["attachments"]]

    def read(self, user: User, attachment_id: str) -> Response:
        return self.web.get(f"{self.path}/{attachment_id}", headers=self.as_(user))

    def release(self, attachment: dict[str, Any], user: User | None = None, **more: Any) -> Response:
        body = {"shows_no_identity": True, "sha256": attachment["sha256"], **more}
        return self.web.post(
            f"{self.path}/{attachment['id']}/release",
            json=body,
            headers=self.as_(user or self.people.reviewer),
        )

    def delete(self, attachment_id: str, user: User) -> Response:
        return self.web.post(f"{self.path}/{attachment_id}/delete", headers=self.as_(user))


@pytest.fixture
def desk(web: TestClient, core: Core, people: People) -> Desk:
    return Desk(web, core, people, make_case(core, people).id)


def test_a_photograph_is_cleaned_sealed_and_written_down(desk: Desk, core: Core, people: People) -> None:
    answer = desk.add(photograph(), note="舌红苔黄")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["type"], told["format"], told["released"]) == ("tongue", "jpeg", False)
    assert told["note"] == "舌红苔黄" and told["taken_at"].startswith("2026-03-01T00:50")
    read = desk.read(people.reviewer, told["id"])
    assert read.headers["content-type"] == "image/jpeg" and b"XIAOMING" not in read.content
    with core.catalog.read() as session:
        kept = session.get_one(Attachment, told["id"])
        events = [event.action for event in session.scalars(select(AuditEvent))]
    assert "张" not in kept.key
    assert core.store.get_bytes(kept.key).startswith(b"age-encryption.org")
    assert [action for action in events if action.startswith("attachment.")] == [
        "attachment.add",
        "attachment.read",
    ]
    assert not list((core.settings.home / "incoming").iterdir())


def test_files_of_one_dicom_study_stay_together(desk: Desk, people: People, tmp_path: Path) -> None:
    one = write(tmp_path / "a.dcm", picture(StudyInstanceUID="1.2.3.4.5")).read_bytes()
    two = write(tmp_path / "b.dcm", picture(StudyInstanceUID="1.2.3.4.5")).read_bytes()
    studies = set()
    for content in (one, two):
        told = desk.add(content, people.expert, type="report").json()
        assert told["format"] == "dicom"
        read = desk.read(people.expert, told["id"])
        assert read.headers["content-disposition"].startswith("attachment;") and b"ZHANG" not in read.content
        at = read.content.index(b"\x20\x00\x0d\x00UI") + 8
        studies.add(read.content[at : at + 44])
    assert len(studies) == 1


def test_without_a_consent_to_record_nothing_is_taken_in(web: TestClient, core: Core, people: People) -> None:
    case = make_case(core, people, purposes=("archive", "third_party_production"))
    refused = Desk(web, core, people, case.id).add(photograph())
    assert refused.status_code == 403 and refused.json()["code"] == "purpose-not-granted"
    assert not list(core.store.list(f"attachments/{case.id}"))


def test_after_withdrawal_nothing_is_readable_added_or_released_and_erasing_leaves_nothing(
    desk: Desk, core: Core, people: People
) -> None:
    told = desk.add(photograph(), note="患者张小明").json()
    actions.withdraw_consent(core, people.technician, desk.case_id)
    for user in (people.technician, people.reviewer, people.expert, people.manager):
        assert desk.read(user, told["id"]).status_code == 403
        assert desk.seen_by(user).status_code == 403
    assert desk.release(told).status_code == 403
    assert desk.add(photograph()).status_code == 403
    assert desk.web.get(f"/cases/{desk.case_id}", headers=desk.as_(people.technician)).status_code == 200
    actions.erase_case(core, people.manager, desk.case_id)
    assert not list(core.store.list(f"attachments/{desk.case_id}"))
    with core.catalog.read() as session:
        assert session.get_one(Attachment, told["id"]).note == ""


def test_a_trainee_sees_what_was_vouched_for_of_a_published_case_and_nothing_else(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    waiting = Desk(web, core, people, make_case(core, people).id)
    early = waiting.add(photograph()).json()
    assert waiting.release(early).status_code == 200
    assert waiting.seen_by(people.trainee).status_code == 404
    assert waiting.read(people.trainee, early["id"]).status_code == 404

    desk = Desk(web, core, people, make_published_case(core, people, media).id)
    shown, held = desk.add(photograph(), note="内部").json(), desk.add(PDF, type="report").json()
    assert desk.ids_seen_by(people.trainee) == []
    assert desk.release(shown).json()["released"]
    (seen,) = desk.seen_by(people.trainee).json()["attachments"]
    assert seen["id"] == shown["id"] and not seen["note"] and not seen["added_by"]
    assert desk.read(people.trainee, shown["id"]).status_code == 200
    assert desk.read(people.trainee, held["id"]).status_code == 404
    page = desk.web.get(f"/cases/{desk.case_id}", headers=desk.as_(people.trainee)).text
    assert shown["id"] in page and held["id"] not in page and "内部" not in page
    with core.catalog.write() as session:
        from archive.models import Base

        session.add(Base(code="SH01", name="上海", case_target=1, session_target=1))
    stranger = make_user(core, Role.TRAINEE, "stranger", base="SH01")
    foreign = make_user(core, Role.REVIEWER, "foreign", base="SH01")
    for user in (stranger, foreign):
        assert desk.seen_by(user).status_code == 404
        assert desk.read(user, shown["id"]).status_code == 404
    actions.withdraw_consent(core, people.technician, desk.case_id)
    assert desk.read(people.trainee, shown["id"]).status_code == 404


def test_a_release_is_of_the_bytes_that_were_looked_at(desk: Desk, people: People) -> None:
    told = desk.add(photograph()).json()
    assert desk.release(told, sha256="0" * 64).status_code == 409
    assert desk.release(told, shows_no_identity=False).status_code == 422
    assert not desk.seen_by(people.reviewer).json()["attachments"][0]["released"]


def test_replacing_deletes_the_old_one_and_is_held_again(desk: Desk, core: Core, people: People) -> None:
    old = desk.add(photograph()).json()
    desk.release(old)
    new = desk.add(photograph(shade="red"), replaces=old["id"]).json()
    assert desk.ids_seen_by(people.expert) == [new["id"]] and not new["released"]
    assert desk.read(people.expert, old["id"]).status_code == 404
    assert len(list(core.store.list(f"attachments/{desk.case_id}"))) == 1
    assert desk.add(photograph(), replaces=old["id"]).status_code == 404
    assert desk.delete(new["id"], people.reviewer).status_code == 204
    assert desk.delete(new["id"], people.reviewer).status_code == 404
    assert not list(core.store.list(f"attachments/{desk.case_id}"))
    with core.catalog.read() as session:
        events = [event.action for event in session.scalars(select(AuditEvent).order_by(AuditEvent.id))]
        assert session.get_one(Attachment, old["id"]).deleted_by == people.technician.id
    assert events[-3:] == ["attachment.add", "attachment.replace", "attachment.delete"]


@pytest.mark.parametrize(
    ("content", "form", "why"),
    [
        (b"MZ program", {}, "unknown-form"),
        (photograph()[:-50], {}, "malformed"),
        (photograph(), {"taken_at": "yesterday"}, "taken-at"),
        (photograph(), {"taken_at": "2026-03-01T08:50:00"}, "taken-at"),
        (photograph(), {"taken_at": "0001-01-01T00:00:00+08:00"}, "taken-at"),
        (photograph(), {"taken_at": "2199-03-01T08:50:00+08:00"}, "taken-at"),
    ],
)
def test_what_cannot_be_attached_is_refused_in_words_and_nothing_is_kept(
    desk: Desk, core: Core, people: People, content: bytes, form: dict[str, str], why: str
) -> None:
    refused = desk.add(content, **form)
    assert refused.status_code == 422 and refused.json()["data"]["why"] == why
    assert "why." not in refused.text
    assert desk.ids_seen_by(people.expert) == []
    assert not list(core.store.list(f"attachments/{desk.case_id}"))


def test_size_and_number_are_limited(web: TestClient, core: Core, people: People) -> None:
    from dataclasses import replace

    from api.app import create_app

    limits = core.settings.archive.model_copy(update={"attachment_max_mb": 1, "attachment_max_count": 2})
    tight = replace(core, settings=core.settings.model_copy(update={"archive": limits}))
    with TestClient(create_app(tight.settings, tight)) as client:
        desk = Desk(client, tight, people, make_case(core, people).id)
        assert desk.add(photograph() + bytes(1 << 20)).json()["data"]["why"] == "too-large"
        first = desk.add(photograph()).json()
        assert desk.add(PDF).status_code == 201
        assert desk.add(PDF).json()["data"]["why"] == "too-many"
        assert desk.add(PDF, replaces=first["id"]).status_code == 201


def test_a_reviewer_looks_and_releases_on_the_page(desk: Desk, people: People) -> None:
    told = desk.add(photograph()).json()
    pdf = desk.add(PDF, type="report").json()
    headers = desk.as_(people.reviewer)
    page = desk.web.get(f"/cases/{desk.case_id}", headers=headers).text
    assert "PDF 的页面和文档属性可能写有患者姓名" in page and f"attachments/{told['id']}" in page
    address = f"/cases/{desk.case_id}/attachments/{pdf['id']}"
    form = {"sha256": pdf["sha256"], "shows_no_identity": "true"}
    assert (
        desk.web.post(f"{address}/release", data={"sha256": pdf["sha256"]}, headers=headers).status_code
        == 422
    )
    assert (
        desk.web.post(f"{address}/release", data=form, headers=headers, follow_redirects=False).status_code
        == 303
    )
    assert desk.web.post(f"{address}/delete", headers=headers).status_code == 422
    done = desk.web.post(f"{address}/delete", data={"sure": "true"}, headers=headers, follow_redirects=False)
    assert done.status_code == 303 and desk.ids_seen_by(people.reviewer) == [told["id"]]


def test_a_file_is_attached_on_the_page_at_the_bases_local_time(desk: Desk, people: People) -> None:
    headers = desk.as_(people.expert)
    form = {"type": "pulse", "taken_at": "2026-03-01T08:50", "note": ""}
    done = desk.web.post(
        f"/cases/{desk.case_id}/attachments",
        data=form,
        files={"file": photograph()},
        headers=headers,
        follow_redirects=False,
    )
    assert done.status_code == 303, done.text
    (kept,) = desk.seen_by(people.expert).json()["attachments"]
    assert kept["type"] == "pulse" and kept["taken_at"].startswith("2026-03-01T00:50")


def test_what_a_failing_catalogue_leaves_behind_is_removed(
    desk: Desk, core: Core, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawn while the file was being cleaned: the sealed copy goes again."""
    source = tmp_path / "in.jpg"
    source.write_bytes(photograph())
    from api.actions import attachments as module

    clean = module.clean_file

    def withdrawn_meanwhile(*arguments: Any) -> Any:
        told = clean(*arguments)
        actions.withdraw_consent(core, people.technician, desk.case_id)
        return told

    monkeypatch.setattr(module, "clean_file", withdrawn_meanwhile)
    assert desk.add(photograph()).status_code == 403
    assert not list(core.store.list(f"attachments/{desk.case_id}"))


def test_an_attachment_of_another_consultation_is_not_there(desk: Desk, core: Core, people: People) -> None:
    told = desk.add(photograph()).json()
    other = make_case(core, people, "头痛").id
    with pytest.raises(NotFound):
        actions.open_attachment(core, people.reviewer, other, told["id"])
    with pytest.raises(NotFound):
        actions.delete_attachment(core, people.reviewer, other, told["id"])
