"""Of a withdrawn case nobody processes, reviews, plays or hands out anything: every way to its media, written out."""

from __future__ import annotations

import ast
import asyncio
import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from api import actions
from api.app import create_app
from api.core import Core
from archive import identity
from archive.consent import SignedForm
from archive.identity import PersonName
from archive.models import AuditEvent, Case, HoldDecision, Recording, Withdrawal, utc_now
from archive.store import Store
from archive.terms import Decision, Finding, HoldVerdict, Purpose, Role, State
from config.errors import (
    ConsentRefused,
    ConsentWithdrawn,
    IllegalTransition,
    KeptByLaw,
    NotFound,
    StoreUnavailable,
)
from processing import materials
from processing.pipeline import Pipeline
from processing.results import Results
from tests.conftest import REPOSITORY
from tests.factories import (
    CONSENT_TEXT,
    EVERY_PURPOSE,
    PNG,
    CountingJobs,
    People,
    bearer,
    make_case,
    make_processing_case,
    make_published_case,
    make_reviewable_case,
)

SEALED = {"open_bytes", "open_file", "seal_bytes", "seal_file", "take_over"}
PLAIN = {"stream", "get_bytes", "get_file", "export_package"}
# Every place outside the vault and the store themselves where something of a case is opened, added or read. What goes
# through the vault is refused there; what reads the store directly has to ask for consent before: say below how.
THROUGH_THE_VAULT = {
    ("api/actions/attachments.py", "_seal_cleaned", "seal_file"),
    ("api/actions/attachments.py", "open_attachment", "open_bytes"),
    ("api/actions/consents.py", "signature_of", "open_bytes"),
    ("api/actions/people.py", "enrol_expert", "seal_bytes"),
    ("api/actions/people.py", "enrol_expert", "seal_file"),
    ("api/actions/recordings.py", "put_segment", "seal_file"),
    ("api/actions/recordings.py", "put_segment", "take_over"),
    ("archive/attachments.py", "uid_secret", "open_bytes"),
    ("archive/attachments.py", "uid_secret", "seal_bytes"),
    ("archive/consent.py", "_keep", "seal_bytes"),
    ("archive/identity.py", "keep_names", "seal_bytes"),
    ("archive/identity.py", "names_of", "open_bytes"),
    ("archive/identity.py", "voice_secret", "open_bytes"),
    ("archive/identity.py", "voice_secret", "seal_bytes"),
    # a run of a case, not of the vault
    ("processing/engine.py", "_take_over", "take_over"),
    ("processing/materials.py", "_open_segments", "open_file"),
    ("processing/materials.py", "_open_templates", "open_file"),
    ("processing/results.py", "_open", "open_file"),
    ("processing/results.py", "_seal", "seal_bytes"),
    ("processing/results.py", "_seal", "seal_file"),
    ("processing/results.py", "manifest", "open_bytes"),
    ("processing/results.py", "read", "open_bytes"),
}
PAST_THE_VAULT = {
    # consent.require (a trainee's grant, or production and a state in review) before every byte
    ("api/actions/watching.py", "media_stream", "stream"),
    # only published cases, and consent.require for the archive
    ("api/actions/cases.py", "export_case", "export_package"),
    # the demo's own case, just published
    ("api/demo.py", "_tell_transcript", "get_bytes"),
    # checksums only: what is sealed must still be proved whole; and the bag of export_case
    ("archive/fixity.py", "_as_it_is", "stream"),
    ("archive/fixity.py", "export_package", "get_file"),
}
NOTHING_OF_A_CASE = {
    ("api/routes/recordings.py", "received_body", "stream"),
    ("processing/weights.py", "_download", "stream"),
}


def calls(wanted: set[str]) -> set[tuple[str, str, str]]:
    found = set()
    for folder in ("api", "processing", "archive"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            name = path.relative_to(REPOSITORY).as_posix()
            if name == "archive/vault.py" or name.startswith("archive/store"):
                continue
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Call):
                            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                            if called in wanted:
                                found.add((name, function.name, called))
    return found


def test_every_user_of_the_vault_is_known() -> None:
    assert calls(SEALED) == THROUGH_THE_VAULT


def test_every_way_past_the_vault_is_known_and_says_how_it_asks_for_consent() -> None:
    assert calls(PLAIN) == PAST_THE_VAULT | NOTHING_OF_A_CASE


@pytest.fixture
def held(core: Core, people: People, media: Path) -> Case:
    """A published case with footage, results, names and signed forms, which the patient has withdrawn since."""
    case = make_published_case(core, people, media)
    core.vault.seal_bytes(case.id, b"a face", f"recordings/{case.id}/R/room/000000.age")
    identity.keep_names(core.vault, case.id, [PersonName("王建国")])
    folder = core.settings.home / "results"
    (folder / "out").mkdir(parents=True)
    (folder / "out" / "spans.json").write_text("[]")
    Results(core.store, core.vault, folder / "kept").keep(case, "redact", folder, {"redacted": {}})
    actions.withdraw_consent(core, people.technician, case.id, reason="不愿公开")
    return actions.show_case(core, people.manager, case.id)


def test_nobody_gets_at_a_withdrawn_case_by_any_way(
    core: Core, people: People, held: Case, tmp_path: Path
) -> None:
    received = tmp_path / "segment"
    received.write_bytes(b"more")
    results = Results(core.store, core.vault, tmp_path / "worker")
    pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "w-1")
    form = SignedForm(EVERY_PURPOSE, CONSENT_TEXT, PNG, utc_now())

    def play(role: Role) -> Callable[[], object]:
        return lambda: actions.media_stream(core, people.of(role), held.id, "media/video.mp4")

    ways: dict[str, Callable[[], object]] = {
        **{f"play as {role}": play(role) for role in Role},
        "watch": lambda: actions.report_watch(core, people.trainee, held.id, [[0.0, 1.0]]),
        "moments": lambda: actions.list_moments(core, people.reviewer, held.id),
        "thumbnail": lambda: actions.moment_thumbnail(core, people.expert, held.id, "room-1"),
        "resolve": lambda: actions.resolve_moment(
            core, people.reviewer, held.id, "room-1", Finding.NO_FACE, "x"
        ),
        "redactions": lambda: actions.list_redactions(core, people.expert, held.id),
        "tracks": lambda: actions.tracked_faces(core, held),
        "review": lambda: actions.decide(core, people.reviewer, held.id, Decision.APPROVE),
        "retry": lambda: actions.retry_case(core, people.reviewer, held.id),
        "cancel": lambda: actions.cancel_case(core, people.manager, held.id),
        "export": lambda: actions.export_case(core, people.manager, held.id, tmp_path),
        "record": lambda: actions.open_recording(
            core, people.technician, held.id, rig={}, light=None, started_at=utc_now()
        ),
        "names": lambda: actions.register_names(core, people.technician, held.id, [PersonName("x")]),
        "sign": lambda: actions.sign_consent(core, people.technician, held.id, form),
        "a step's result": lambda: results.fetch(held, "redact"),
        "a step's file": lambda: results.read(held, "redact", "spans.json"),
        "the registered names": lambda: identity.names_of(core.vault, held.id),
        "the voice": lambda: identity.voice_secret(core.vault, held.id),
        "the footage": lambda: core.vault.open_bytes(held.id, f"recordings/{held.id}/R/room/000000.age"),
    }
    for name, attempt in ways.items():
        with pytest.raises((ConsentRefused, IllegalTransition, NotFound)):
            attempt()
            pytest.fail(f"{name} was let through")
    for name in ("a step's result", "a step's file", "the registered names", "the voice", "the footage"):
        with pytest.raises(ConsentWithdrawn):
            ways[name]()
    for step in ("ingest", "redact", "package"):
        refused = asyncio.run(pipeline.run_step(step, held.id, held.run))
        assert refused is not None and refused["code"] in ("cancelled", "consent-withdrawn")
    assert list(tmp_path.glob(f"{held.id}*")) == []


def test_no_address_of_the_web_answers_with_anything_of_a_withdrawn_case(
    core: Core, people: People, held: Case
) -> None:
    """Every GET address there is, as everybody: only words about it come back, and its signed form."""
    app = create_app(core.settings, core)
    form = held.consultation.consents[0].id
    tellers = {
        "/api/consultations/{id}",
        "/api/cases/{id}",
        "/api/cases/{id}/progress",
        "/cases/{id}",
        "/consultations/{id}/consent",
        "/api/consultations/{id}/consent/{form}/signature",
    }
    asked = set()
    with TestClient(app, raise_server_exceptions=False) as web:
        for route in app.routes:
            if not isinstance(route, APIRoute) or "GET" not in route.methods or "{id}" not in route.path:
                continue
            asked.add(route.path)
            address = route.path.replace(":path", "").format(
                id=held.id, path="video.mp4", moment="room-1", form=form, room="x", name="x", attachment="A1"
            )
            for role in Role:
                answer = web.get(address, headers=bearer(core, people.of(role)), follow_redirects=False)
                if answer.status_code == 200:
                    assert route.path in tellers, route.path
                    assert "<video" not in answer.text and "media/" not in answer.text
                else:
                    assert answer.status_code in (303, 403, 404, 409, 422), (route.path, role)
    assert "/api/cases/{id}/media/{path:path}" in asked and len(asked) >= 9


def test_footage_that_is_still_on_its_way_when_the_patient_withdraws_is_refused(
    web: TestClient, core: Core, people: People
) -> None:
    case = make_case(core, people)
    recording = actions.open_recording(
        core, people.technician, case.id, rig={}, light=None, started_at=utc_now()
    )
    actions.withdraw_consent(core, people.technician, case.id)
    body = b"a face"
    headers = {
        "X-Sealed-SHA256": hashlib.sha256(body).hexdigest(),
        "X-Content-SHA256": hashlib.sha256(body).hexdigest(),
        "X-Start-S": "0",
        "X-Duration-S": "4",
        **bearer(core, people.technician),
    }
    path = f"/api/recordings/{recording.id}/tracks/room/segments/0"
    answer = web.put(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "consent-withdrawn")
    assert list(core.store.list(f"recordings/{case.id}")) == []


def test_withdrawing_while_it_is_processed_cancels_the_work(core: Core, people: People) -> None:
    case = make_processing_case(core, people)
    actions.withdraw_consent(core, people.expert, case.id, purposes=[Purpose.THIRD_PARTY_PRODUCTION])
    assert isinstance(core.jobs, CountingJobs)
    assert core.jobs.cancelled == [(case.id, 1)]
    assert actions.show_case(core, people.manager, case.id).state is State.WITHDRAWN


def test_a_package_that_is_made_after_research_was_taken_back_does_not_permit_it(
    core: Core, people: People
) -> None:
    case = make_processing_case(core, people)
    with core.catalog.write() as session:
        row = Recording(
            consultation_id=case.id,
            rig={},
            recorded_by=people.technician.id,
            started_at=utc_now(),
            completed_at=utc_now(),
        )
        session.add(row)
    actions.withdraw_consent(core, people.technician, case.id, purposes=[Purpose.RESEARCH])
    pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "w-1")
    with core.catalog.read() as session:
        facts = materials._package_facts(pipeline, session, session.get_one(Case, case.id))
    assert set(facts.consent.purposes) == set(EVERY_PURPOSE) - {"research"}


def test_a_published_case_leaves_the_count_only_when_it_is_sealed(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media)
    headers = bearer(core, people.technician)
    path = f"/api/consultations/{case.id}/consent/withdraw"
    some = web.post(path, json={"purposes": ["research"], "reason": "不参加研究"}, headers=headers)
    assert some.json()["state"] == "published"
    assert actions.counters(core, people.manager)[0].cases == 1
    actions.media_stream(core, people.trainee, case.id, "media/video.mp4")
    sealed = web.post(path, json={"purposes": ["archive"]}, headers=headers)
    assert sealed.json()["state"] == "withdrawn"
    assert actions.counters(core, people.manager)[0].cases == 0
    for bad in ({"purposes": []}, {"purposes": ["sell"]}, {"reason": "x" * 1001}, {"more": 1}):
        assert web.post(path, json=bad, headers=headers).status_code == 422


def test_a_store_that_is_away_does_not_keep_a_patient_from_withdrawing(
    core: Core, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case(core, people)

    def away(self: Store, key: str, data: bytes) -> Any:
        raise StoreUnavailable(store="s3", detail="away")

    monkeypatch.setattr(type(core.store), "put_bytes", away)
    assert actions.withdraw_consent(core, people.technician, case.id).state is State.WITHDRAWN
    monkeypatch.undo()
    with pytest.raises(ConsentRefused):
        actions.open_recording(core, people.technician, case.id, rig={}, light=None, started_at=utc_now())
    actions.withdraw_consent(core, people.technician, case.id)
    with pytest.raises(ConsentWithdrawn):
        core.vault.seal_bytes(case.id, b"x", f"recordings/{case.id}/x")


def test_a_manager_sees_who_took_back_what_when_and_why_and_erases_it(
    web: TestClient, core: Core, people: People, held: Case
) -> None:
    manager = bearer(core, people.manager)
    [row] = web.get("/api/withdrawn", headers=manager).json()
    assert (row["case"], row["waits"], row["footage"]) == (held.id, True, False)
    assert (row["reason"], row["withdrawn_by"]) == ("不愿公开", people.technician.id)
    assert row["purposes"] == sorted(EVERY_PURPOSE)
    page = web.get("/withdrawn", headers=manager).text
    for words in ("等待决定", "不愿公开", "周采集", held.consultation.title):
        assert words in page
    sure = web.post(
        f"/withdrawn/{held.id}/erase", data={"sure": "true", "reason": "患者要求"}, headers=manager
    )
    assert sure.status_code == 200 and "已于" in sure.text and "患者要求" in sure.text
    [row] = web.get("/api/withdrawn", headers=manager).json()
    assert (row["verdict"], row["waits"]) == ("erase", False)
    assert core.vault.is_shredded(held.id)
    for prefix in ("recordings", "work", "packages", "consents", "consultations"):
        assert list(core.store.list(f"{prefix}/{held.id}")) == []
    assert web.post(f"/api/cases/{held.id}/erase", headers=manager).status_code == 200, "repeating is safe"
    with core.catalog.read() as session:
        assert len(session.scalars(select(HoldDecision)).all()) == 1
        told = session.execute(select(AuditEvent.action, AuditEvent.outcome)).all()
    assert (
        ("case.erase", "begun") in told
        and ("case.erase", "ok") in told
        and ("consent.withdraw", "ok") in told
    )


def test_what_a_law_obliges_to_keep_stays_sealed_until_a_day_to_decide_again(
    web: TestClient, core: Core, people: People, held: Case
) -> None:
    manager = bearer(core, people.manager)
    day = dt.datetime.now(core.settings.zone).date()
    path = f"/api/cases/{held.id}/keep-sealed"
    for bad in (
        {"reason": " ", "until": str(day + dt.timedelta(days=9))},
        {"reason": "病历保存期", "until": str(day)},
        {"reason": "病历保存期", "until": str(day + dt.timedelta(days=40 * 366))},
        {"reason": "病历保存期", "until": "soon"},
    ):
        assert web.post(path, json=bad, headers=manager).status_code == 422
    until = day + dt.timedelta(days=90)
    assert (
        web.post(path, json={"reason": "病历保存期", "until": str(until)}, headers=manager).status_code == 200
    )
    [row] = web.get("/api/withdrawn", headers=manager).json()
    assert (row["verdict"], row["waits"], row["decide_again_on"]) == ("keep", False, str(until))
    refused = web.post(f"/api/cases/{held.id}/erase", headers=manager)
    assert (refused.status_code, refused.json()["code"]) == (409, "kept-by-law")
    assert not core.vault.is_shredded(held.id)
    with pytest.raises(ConsentWithdrawn):
        core.vault.open_bytes(held.id, f"recordings/{held.id}/R/room/000000.age")
    from archive import holding

    with core.catalog.write() as session:
        case = session.get_one(Case, held.id)
        with pytest.raises(KeptByLaw):
            holding.begin_erasing(session, case, "m", until - dt.timedelta(days=1))
        holding.begin_erasing(session, case, "m", until)
        [told] = holding.held_cases(session, held.base_code)
        assert told.waits(until) and not told.waits(until - dt.timedelta(days=1))


def test_only_withdrawn_cases_are_decided_on_and_an_erased_one_is_not_kept(
    core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    later = dt.datetime.now(core.settings.zone).date() + dt.timedelta(days=30)
    for attempt in (
        lambda: actions.erase_case(core, people.manager, case.id),
        lambda: actions.keep_case(core, people.manager, case.id, "x", later),
    ):
        with pytest.raises(IllegalTransition):
            attempt()
    actions.withdraw_consent(core, people.technician, case.id)
    actions.erase_case(core, people.manager, case.id)
    with pytest.raises(IllegalTransition):
        actions.keep_case(core, people.manager, case.id, "x", later)


def test_a_station_erases_only_what_a_manager_has_decided_to_erase_and_says_so_once(
    web: TestClient, core: Core, people: People, held: Case
) -> None:
    station, manager = bearer(core, people.technician), bearer(core, people.manager)
    asked = {"consultation": [held.id, "C-unknown"]}
    told = {"room": "room-1", "sessions": 2, "at": "2026-11-30T09:00:00+00:00"}
    confirm = f"/api/consultations/{held.id}/station-erased"
    assert web.get("/api/station/erased", params=asked, headers=station).json() == {"erased": []}
    assert web.post(confirm, json=told, headers=station).status_code == 409, "nobody has decided"
    actions.erase_case(core, people.manager, held.id)
    assert web.get("/api/station/erased", params=asked, headers=station).json() == {"erased": [held.id]}
    for _ in range(2):
        assert web.post(confirm, json=told, headers=station).status_code == 200
    shown = web.get("/withdrawn", headers=manager).text
    assert shown.count("诊室 room-1 的工作站已删除本机留存的 2 段录制") == 1
    unknown = web.post("/api/consultations/C-unknown/station-erased", json=told, headers=station)
    assert unknown.status_code == 404


@pytest.mark.parametrize("table", ["withdrawals", "hold_decisions"])
@pytest.mark.parametrize("verb", ["update {} set reason = 'x'", "delete from {}"])
def test_withdrawals_and_decisions_are_only_ever_added(
    core: Core, people: People, table: str, verb: str
) -> None:
    case = make_case(core, people)
    actions.withdraw_consent(core, people.technician, case.id)
    later = dt.datetime.now(core.settings.zone).date() + dt.timedelta(days=30)
    actions.keep_case(core, people.manager, case.id, "x", later)
    with core.catalog.read() as session:
        assert session.scalars(select(Withdrawal)).one().held
        assert session.scalars(select(HoldDecision)).one().verdict is HoldVerdict.KEEP
    with pytest.raises(DBAPIError, match="append-only"), core.catalog.write() as session:
        session.execute(text(verb.format(table)))


def test_the_signed_form_of_a_withdrawn_case_can_still_be_shown(
    web: TestClient, core: Core, people: People, held: Case
) -> None:
    headers = bearer(core, people.manager)
    form = held.consultation.consents[0]
    answer = web.get(f"/api/consultations/{held.id}/consent/{form.id}/signature", headers=headers)
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    page = web.get(f"/consultations/{held.id}/consent", headers=headers).text
    assert form.text_sha256 in page and "同意已撤回" in page
    with core.catalog.read() as session:
        assert session.scalars(select(AuditEvent).where(AuditEvent.action == "consent.view")).first()
