"""The command line as a person meets it: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bagit
import pytest
import structlog
import typer

from api import actions
from api.cli import app, main
from api.core import Core
from archive.fixity import store_package
from archive.models import Case
from archive.package import build_package
from archive.states import lock_case, move
from archive.terms import Decision, State
from config.errors import NotMedia
from processing import weights
from processing.recognise import make_template
from processing.weights import Source
from tests.archive.test_package import FACTS, write_source
from tests.conftest import REPOSITORY
from tests.factories import (
    CONSENT_TEXT,
    PASSWORD,
    PNG,
    People,
    make_alarmed_case,
    make_case,
    make_failed_case,
    make_processing_case,
)
from tests.processing.clips import consultation_clip, expert_photo
from tests.processing.media_files import tone, write_sound

HAN = range(0x4E00, 0xA000)


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Yian = Callable[..., Answer]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Yian]:
    """Runs one command."""
    # Wide enough that no sentence is broken where a test looks for it.
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: object, stdin: str = "") -> Answer:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        told = capsys.readouterr()
        return Answer(status, told.out, told.err)

    yield run
    # A command sends the log to its standard error, which is closed after the test.
    structlog.reset_defaults()


@pytest.fixture
def yian(terminal: Yian, core: Core, monkeypatch: pytest.MonkeyPatch) -> Yian:
    """Runs one command on the installation of ``core``."""
    monkeypatch.setenv("YIAN_HOME", str(core.settings.home))
    return terminal


def chinese_and_english(text: str) -> bool:
    return any(ord(sign) in HAN for sign in text) and any(sign.isascii() and sign.isalpha() for sign in text)


def assert_refused(answer: Answer, *words: str) -> None:
    """Exit status 1 and exactly one error, once in Chinese and once in English, without a traceback."""
    assert answer.status == 1, answer
    assert "Traceback" not in answer.out + answer.err
    lines = [line for line in answer.err.splitlines() if line.strip()]
    assert len(lines) == 2, lines
    assert any(ord(sign) in HAN for sign in lines[0])
    assert not any(ord(sign) in HAN for sign in lines[1].split(". ")[-1])
    for word in words:
        assert word in lines[1], lines[1]


# --- help ---------------------------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(command: Any, path: list[str]) -> None:
        found.append(path)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(typer.main.get_command(app), [])
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself_in_chinese_and_english(path: list[str], terminal: Yian) -> None:
    answer = terminal(*path, "--help")
    assert answer.status == 0
    assert chinese_and_english(answer.out)
    assert "cli." not in answer.out, "a text is missing in the catalogue"


def test_every_promised_command_is_there() -> None:
    promised = (
        "demo serve worker capture ingest counters blur transcribe doctor|case list|case show|case retry|"
        "case cancel|case verify|case export|case moments|case resolve|review approve|review reject|models list|models fetch|models path|"
        "consultation add|consultation consent|consultation withdraw|consultation today|consultation cancel|user add|user list|"
        "enrol expert|enrol list|enrol forget|rig list|rig new|rig test|room list|station|light check|light calibrate"
    )
    first, *grouped = promised.split("|")
    assert {*first.split(), *grouped} <= {" ".join(path) for path in commands()}


# --- as a process of its own --------------------------------------------------------------------------------


def in_process(home: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "YIAN_HOME": str(home), **more},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_answers_before_any_heavy_library_is_loaded(tmp_path: Path) -> None:
    heavy = "{'cv2', 'faster_whisper', 'onnxruntime', 'face_recognition', 'colour', 'dbos', 'fastapi', 'av'}"
    code = f"import sys, api.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_fresh_machine_takes_a_first_person_and_an_error_is_one_clear_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    added = in_process(
        home, "user", "add", "wu", "--name", "吴审核", "--role", "reviewer", "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert (added.returncode, added.stderr) == (0, "")
    refused = in_process(home, "case", "show", "20260101-nothing")
    assert_refused(Answer(refused.returncode, refused.stdout, refused.stderr), "20260101-nothing")


def test_a_variable_that_names_no_setting_stops_every_command(tmp_path: Path) -> None:
    refused = in_process(tmp_path, "case", "list", YIAN_STORE__ULR="file:///tmp/x")
    assert_refused(Answer(refused.returncode, refused.stdout, refused.stderr), "YIAN_STORE__ULR")


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("YIAN_PROCESSING__CONCURRENCY", "many", "processing.concurrency"),
        ("YIAN_ARCHIVE__CATALOG_URL", "no address", "archive.catalog_url"),
        ("YIAN_PROCESSING__JOBS_URL", "mysql://yian:geheim@127.0.0.1/yian", "processing.jobs_url"),
    ],
)
def test_a_setting_with_a_wrong_value_is_named(
    terminal: Yian, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    answer = terminal("doctor")
    assert_refused(answer, name)
    assert "geheim" not in answer.err


# --- people -------------------------------------------------------------------------------------------------


def test_a_person_is_added_with_a_password_from_standard_input(yian: Yian, core: Core) -> None:
    before = {user["username"] for user in yian("user", "list", "--json").data}
    answer = yian(
        "user", "add", "zhang.san", "--name", "张三", "--role", "trainee", "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert (answer.status, answer.err) == (0, "")
    assert chinese_and_english(answer.out)
    users = {user["username"]: user for user in yian("user", "list", "--json").data}
    assert users.keys() - before == {"zhang.san"}
    assert (users["zhang.san"]["name"], users["zhang.san"]["role"]) == ("张三", "trainee")
    assert "张三" in yian("user", "list").out
    assert PASSWORD.encode() not in b"".join(p.read_bytes() for p in core.settings.home.glob("catalog.db*"))


def test_an_expert_is_enrolled_by_a_named_manager_with_the_signed_form_and_forgotten_again(
    yian: Yian, core: Core, people: People, tmp_path: Path
) -> None:
    form = tmp_path / "form.txt"
    form.write_text("本人同意登记面部模板，仅用于在本基地录像中保持可见。 " * 2)
    asked = ("--photo", expert_photo(), "--consent", form, "--password-stdin")
    stranger = yian("enrol", "expert", *asked, "--as", people.trainee.username, stdin=f"{PASSWORD}\n")
    assert_refused(stranger)
    answer = yian("enrol", "expert", *asked, "--as", people.manager.username, stdin=f"{PASSWORD}\n")
    assert (answer.status, answer.err) == (0, "")
    (row,) = yian("enrol", "list", "--json").data
    assert row["username"] == people.expert.username
    assert row["consent_sha256"] == hashlib.sha256(form.read_bytes()).hexdigest()
    assert people.expert.name in yian("enrol", "list").out
    kept = {item.key for item in core.store.list(f"templates/{people.expert.id}")}
    assert len(kept) == 2
    stored = b"".join(core.store.get_bytes(key) for key in kept)
    assert make_template(expert_photo()) not in stored
    assert form.read_bytes() not in stored

    gone = yian("enrol", "forget", "--as", people.manager.username, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert gone.status == 0
    assert yian("enrol", "list", "--json").data == []
    (left,) = [item.key for item in core.store.list(f"templates/{people.expert.id}")]
    assert core.vault.open_bytes(f"forms-{people.expert.id}", left) == form.read_bytes()


@pytest.mark.parametrize(
    ("username", "password", "word"),
    [("reviewer", PASSWORD, "reviewer"), ("new-one", "short", "password"), ("../x", PASSWORD, "login name")],
)
def test_a_person_who_cannot_be_added_is_refused(yian: Yian, username: str, password: str, word: str) -> None:
    answer = yian(
        "user", "add", username, "--name", "n", "--role", "trainee", "--password-stdin", stdin=password
    )
    assert_refused(answer, word)
    assert len(yian("user", "list", "--json").data) == 5


# --- consultations and consent ------------------------------------------------------------------------------


def consent_files(folder: Path) -> tuple[Path, Path]:
    text, signature = folder / "consent.txt", folder / "signature.png"
    text.write_text(CONSENT_TEXT)
    signature.write_bytes(PNG)
    return text, signature


def test_today_lists_who_may_be_recorded_and_an_eleventh_visit_needs_a_reason_and_a_name(
    yian: Yian, core: Core, people: People, tmp_path: Path
) -> None:
    assert yian("consultation", "today").status == 0
    add = ("consultation", "add", "头痛一例", "--as", "technician", "--expert", "expert")
    for _ in range(10):
        assert yian(*add).status == 0
    assert_refused(yian(*add), "10")
    assert_refused(yian(*add, "--override-reason", "急诊"), "override")
    assert yian(*add, "--override-reason", "急诊", "--override-by", "赵主任").status == 0
    rows = yian("consultation", "today", "--json").data
    assert len(rows) == 11 and {row["consent"] for row in rows} == {"missing"}
    assert [row["override_by"] for row in rows if row["override_reason"]] == ["赵主任"]
    text, signature = consent_files(tmp_path)
    first, second = rows[0]["id"], rows[1]["id"]
    signed = yian(
        "consultation", "consent", first, "--as", "technician", "--purpose", "record", "--purpose", "research",
        "--text", text, "--signature", signature,
    )  # fmt: skip
    assert signed.status == 0
    some = yian(
        "consultation", "withdraw", first, "--as", "technician", "--purpose", "research", "--reason", "不参加",
    )  # fmt: skip
    assert some.status == 0 and "其余用途继续有效" in some.out
    assert yian("consultation", "cancel", second, "--as", "technician").status == 0
    listed = {row["id"]: row for row in yian("consultation", "today", "--json").data}
    assert second not in listed
    assert (listed[first]["may_record"], listed[first]["purposes"]) == (True, ["record"])
    shown = yian("consultation", "today").out
    assert "赵主任" in shown and "急诊" in shown and "同意录制" in shown


def test_a_visit_is_planned_consented_and_withdrawn(yian: Yian, people: People, tmp_path: Path) -> None:
    added = yian(
        "consultation", "add", "心悸一例", "--as", "technician", "--expert", "expert", "--at", "2026-03-01T09:30:00"
    )  # fmt: skip
    assert added.status == 0, added
    [case] = yian("case", "list", "--json").data
    assert (case["title"], case["state"]) == ("心悸一例", "scheduled")
    assert case["id"] in added.out
    assert case["scheduled_at"].startswith("2026-03-01T01:30:00"), "a time is meant in the clinic's zone"
    text, signature = consent_files(tmp_path)
    signed = yian(
        "consultation", "consent", case["id"], "--as", "technician", "--purpose", "record", "--purpose", "archive",
        "--text", text, "--signature", signature,
    )  # fmt: skip
    assert signed.status == 0, signed
    assert yian("case", "show", case["id"], "--json").data["state"] == "consented"
    assert yian("consultation", "withdraw", case["id"], "--as", "technician").status == 0
    assert yian("case", "show", case["id"], "--json").data["state"] == "withdrawn"


@pytest.mark.parametrize("broken", ["absent", "binary", "no picture", "empty"])
def test_a_malformed_consent_form_is_refused_and_nothing_changes(
    yian: Yian, core: Core, people: People, tmp_path: Path, broken: str
) -> None:
    planned = yian("consultation", "add", "t", "--as", "technician", "--expert", "expert")
    assert planned.status == 0
    [case] = yian("case", "list", "--json").data
    text, signature = consent_files(tmp_path)
    if broken == "absent":
        text.unlink()
    elif broken == "binary":
        text.write_bytes(b"\xff\xfe\x00\xd8")
    elif broken == "no picture":
        signature.write_bytes(b"MZ")
    else:
        text.write_bytes(b"")
    answer = yian(
        "consultation", "consent", case["id"], "--as", "technician", "--purpose", "record",
        "--text", text, "--signature", signature,
    )  # fmt: skip
    assert_refused(answer)
    assert yian("case", "show", case["id"], "--json").data["state"] == "scheduled"


def test_an_unknown_person_cannot_plan_a_visit(yian: Yian) -> None:
    assert_refused(yian("consultation", "add", "t", "--as", "nobody", "--expert", "expert"), "nobody")


# --- cases --------------------------------------------------------------------------------------------------


def test_an_empty_archive_says_so(yian: Yian) -> None:
    assert yian("case", "list", "--json").data == []
    answer = yian("case", "list")
    assert answer.status == 0
    assert chinese_and_english(answer.out)


def test_cases_are_listed_searched_and_shown_with_the_reason_of_a_failure(
    yian: Yian, core: Core, people: People
) -> None:
    make_case(core, people, "失眠一例")
    failed = make_failed_case(core, people, NotMedia(name="room.mp4", detail="").to_dict(), "心悸一例")
    assert {case["title"] for case in yian("case", "list", "--json").data} == {"失眠一例", "心悸一例"}
    assert [case["id"] for case in yian("case", "list", "--json", "--state", "failed").data] == [failed.id]
    assert [case["id"] for case in yian("case", "list", "--json", "--search", "心悸").data] == [failed.id]
    shown = yian("case", "show", failed.id, "--json").data
    assert shown["reason"] == {"code": "not-media", "data": {"name": "room.mp4", "detail": ""}}
    assert [step["to"] for step in shown["history"]][-1] == "failed"
    table = yian("case", "show", failed.id)
    assert table.status == 0
    assert "room.mp4" in table.err
    assert "未完成 · failed" in table.out
    assert "心悸一例" in yian("case", "list").out


@pytest.mark.parametrize(
    "command",
    [
        ["case", "show"],
        ["case", "retry"],
        ["case", "cancel"],
        ["case", "verify"],
        ["consultation", "withdraw", "--as", "technician"],
    ],
    ids=" ".join,
)
def test_an_unknown_case_is_one_clear_error(yian: Yian, command: list[str]) -> None:
    assert_refused(yian(*command, "20260101-absent"), "20260101-absent")


def test_only_what_is_being_processed_can_be_cancelled_and_only_what_failed_retried(
    yian: Yian, core: Core, people: People
) -> None:
    waiting = make_case(core, people).id
    assert_refused(yian("case", "cancel", waiting), waiting)
    assert_refused(yian("case", "retry", waiting), waiting)
    running = make_processing_case(core, people).id
    assert_refused(yian("case", "retry", running), running)
    assert yian("case", "cancel", running).status == 0
    shown = yian("case", "show", running, "--json").data
    assert (shown["state"], shown["reason"]["code"]) == ("failed", "cancelled")
    assert_refused(yian("case", "cancel", running), running)
    assert yian("case", "retry", running).status == 0
    shown = yian("case", "show", running, "--json").data
    assert (shown["state"], shown["run"]) == ("processing", 2)


# --- the package --------------------------------------------------------------------------------------------


@pytest.fixture
def packaged(core: Core, people: People, tmp_path: Path) -> Case:
    """A case in review whose real package lies in the store."""
    case = make_processing_case(core, people)
    source = write_source(tmp_path / "source")
    info = build_package(source, tmp_path / "bag", dataclasses.replace(FACTS, case=case.id))
    prefix = f"packages/{case.id}/edit-0"
    seal = store_package(tmp_path / "bag", core.store, prefix)
    with core.catalog.write() as session:
        row = lock_case(session, case.id)
        row.package_prefix, row.package_seal = prefix, seal
        row.summary = {"package": {"files": info.files}, "verification": {"verdict": "pass", "moments": 0}}
        move(session, row, State.IN_REVIEW, "worker-1")
    return actions.show_case(core, people.reviewer, case.id)


@pytest.fixture
def published(core: Core, people: People, packaged: Case) -> Case:
    actions.decide(core, people.reviewer, packaged.id, Decision.APPROVE)
    return actions.decide(core, people.expert, packaged.id, Decision.APPROVE)


def stored(core: Core, case: Case) -> Path:
    assert case.package_prefix is not None
    return core.settings.home / "store" / case.package_prefix


def test_a_sound_package_passes_verification(yian: Yian, packaged: Case) -> None:
    answer = yian("case", "verify", packaged.id)
    assert (answer.status, answer.err) == (0, "")
    assert chinese_and_english(answer.out)
    assert yian("case", "verify", packaged.id, "--json").data == {
        "case": packaged.id,
        "valid": True,
        "differences": [],
    }


def flip_a_byte(folder: Path) -> str:
    path = folder / "data/media/video.mp4"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "data/media/video.mp4"


def lose_a_file(folder: Path) -> str:
    (folder / "data/media/captions.vtt").unlink()
    return "data/media/captions.vtt"


def add_a_file(folder: Path) -> str:
    (folder / "data/media/extra.bin").write_bytes(b"x")
    return "data/media/extra.bin"


def change_the_seal(folder: Path) -> str:
    path = folder / "tagmanifest-sha512.txt"
    path.write_text(path.read_text().replace("a", "b", 1))
    return "tagmanifest-sha512.txt"


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (flip_a_byte, "changed"),
        (lose_a_file, "missing"),
        (add_a_file, "added"),
        (change_the_seal, "changed"),
    ],
)
def test_any_damage_to_a_package_is_named_and_it_is_not_handed_out(
    yian: Yian, core: Core, published: Case, tmp_path: Path, damage: Callable[[Path], str], kind: str
) -> None:
    name = damage(stored(core, published))
    answer = yian("case", "verify", published.id)
    assert_refused(answer, name)
    assert name in answer.out
    told = yian("case", "verify", published.id, "--json")
    assert told.status == 1
    [difference] = told.data["differences"]
    assert (difference["kind"], difference["name"]) == (kind, name)
    assert_refused(yian("case", "export", published.id, tmp_path / "out"), name)
    assert not list(tmp_path.glob("out/*"))


def test_an_exported_package_is_a_bag_that_anybody_can_check(
    yian: Yian, published: Case, tmp_path: Path
) -> None:
    answer = yian("case", "export", published.id, tmp_path / "out")
    assert answer.status == 0, answer
    assert bagit.Bag(str(tmp_path / "out" / published.id)).validate()
    assert_refused(yian("case", "export", published.id, tmp_path / "out"), published.id)


def test_a_package_exchanged_for_another_valid_one_is_not_handed_out(
    yian: Yian, core: Core, published: Case, tmp_path: Path
) -> None:
    assert published.package_prefix is not None
    build_package(write_source(tmp_path / "other"), tmp_path / "other-bag", FACTS)
    store_package(tmp_path / "other-bag", core.store, published.package_prefix)
    assert yian("case", "verify", published.id).status == 1
    assert_refused(yian("case", "export", published.id, tmp_path / "out"))
    assert not list(tmp_path.glob("out/*"))


def test_a_case_that_is_not_published_is_not_handed_out(yian: Yian, packaged: Case, tmp_path: Path) -> None:
    assert_refused(yian("case", "export", packaged.id, tmp_path / "out"), packaged.id)
    assert not (tmp_path / "out").exists()


def test_a_case_without_a_package_has_nothing_to_verify_or_export(
    yian: Yian, core: Core, people: People, tmp_path: Path
) -> None:
    case = make_case(core, people)
    assert_refused(yian("case", "verify", case.id), case.id)
    assert_refused(yian("case", "export", case.id, tmp_path / "out"), case.id)


# --- answering for what the verification found --------------------------------------------------------------


def test_a_reviewer_answers_for_each_moment_by_name_and_the_case_goes_on(
    yian: Yian, core: Core, people: People, media: Path
) -> None:
    case = make_alarmed_case(core, people, media.with_name("source.mp4"))
    resolve = partial(yian, "case", "resolve", case.id)
    me = ("--as", "reviewer", "--reason", "灯罩的反光", "--password-stdin")
    listed = yian("case", "moments", case.id)
    assert listed.status == 0 and "room-2" in listed.out and "2 not answered for yet" in listed.out
    assert_refused(resolve("room-1", *me, stdin="a wrong password\n"))
    assert_refused(yian("case", "retry", case.id), "2 moments", "yian case moments")
    assert_refused(resolve("room-7", *me, stdin=f"{PASSWORD}\n"), "room-7")
    assert_refused(
        resolve("room-1", "--as", "expert", "--reason", "x", "--password-stdin", stdin=f"{PASSWORD}\n")
    )
    assert_refused(
        resolve("room-1", "--as", "reviewer", "--reason", " ", "--password-stdin", stdin=f"{PASSWORD}\n"),
        "reason",
    )
    first = resolve("room-1", *me, stdin=f"{PASSWORD}\n")
    assert first.status == 0 and "1 not answered for yet" in first.out
    last = resolve("room-2", *me, "--finding", "expert", stdin=f"{PASSWORD}\n")
    assert last.status == 0 and f"yian case retry {case.id}" in last.out
    told = yian("case", "moments", case.id, "--json").data
    assert [(m["id"], m["resolution"]["finding"], m["resolution"]["by"]) for m in told] == [
        ("room-1", "no-face", people.reviewer.id),
        ("room-2", "expert", people.reviewer.id),
    ]
    assert yian("case", "retry", case.id).status == 0
    assert yian("case", "show", case.id, "--json").data["state"] == "processing"


def test_a_case_without_moments_says_so(yian: Yian, core: Core, people: People) -> None:
    case = make_case(core, people)
    answer = yian("case", "moments", case.id)
    assert answer.status == 0 and chinese_and_english(answer.out)
    assert yian("case", "moments", case.id, "--json").data == []


def test_a_real_leak_is_repaired_by_a_reviewers_edits_and_not_by_anybody_elses(
    yian: Yian, core: Core, people: People, media: Path, tmp_path: Path
) -> None:
    case = make_alarmed_case(core, people, media.with_name("source.mp4"))
    edits = tmp_path / "edits.json"
    edits.write_text('{"room": {"blur_tracks": [1]}}')
    retry = partial(yian, "case", "retry", case.id, "--edits", edits, "--password-stdin")
    assert_refused(retry(), "--as")
    assert_refused(retry("--as", "technician", stdin=f"{PASSWORD}\n"))
    assert retry("--as", "reviewer", stdin=f"{PASSWORD}\n").status == 0
    shown = yian("case", "show", case.id, "--json").data
    assert (shown["state"], shown["edit"]) == ("processing", 1)


# --- review and counting ------------------------------------------------------------------------------------


def test_two_people_publish_a_case_with_their_passwords_and_it_counts_one(yian: Yian, packaged: Case) -> None:
    approve = partial(yian, "review", "approve", packaged.id, "--password-stdin")
    assert_refused(approve("--as", "reviewer", stdin="a wrong password\n"))
    assert_refused(approve("--as", "technician", stdin=f"{PASSWORD}\n"))
    assert_refused(approve("--as", "expert", stdin=f"{PASSWORD}\n"))
    assert approve("--as", "reviewer", "--note", "画面无误", stdin=f"{PASSWORD}\n").status == 0
    assert yian("case", "show", packaged.id, "--json").data["state"] == "expert_review"
    assert_refused(approve("--as", "reviewer", stdin=f"{PASSWORD}\n"))
    assert yian("counters", "--json").data[0]["cases"] == 0
    assert approve("--as", "expert", stdin=f"{PASSWORD}\n").status == 0
    shown = yian("case", "show", packaged.id, "--json").data
    assert shown["state"] == "published"
    assert [(r["level"], r["decision"], r["note"]) for r in shown["reviews"]] == [
        ("company", "approve", "画面无误"),
        ("expert", "approve", ""),
    ]
    [base] = yian("counters", "--json").data
    assert (base["cases"], base["case_target"], base["sessions"]) == (1, 300, 0)
    assert "1/300" in yian("counters").out


def test_whoever_edited_a_case_cannot_approve_it(
    yian: Yian, core: Core, packaged: Case, tmp_path: Path
) -> None:
    edits = tmp_path / "edits.json"
    paper = {"id": "p", "kind": "paper", "keyframes": [{"time_s": 1, "box": [0, 0, 9, 9]}]}
    edits.write_text(json.dumps({"camera-room": {"blur_tracks": [1], "regions": [paper]}}))
    rejected = yian(
        "review", "reject", packaged.id, "--as", "reviewer", "--note", "再遮一处", "--edits", edits,
        "--password-stdin", stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert rejected.status == 0, rejected
    shown = yian("case", "show", packaged.id, "--json").data
    assert (shown["state"], shown["edit"]) == ("processing", 1)
    with core.catalog.write() as session:
        move(session, lock_case(session, packaged.id), State.IN_REVIEW, "worker-1")
    answer = yian(
        "review", "approve", packaged.id, "--as", "reviewer", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    assert_refused(answer, packaged.id)
    assert yian("case", "show", packaged.id, "--json").data["state"] == "in_review"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1, 2]",
        '{"camera-room": 3}',
        '{"camera-room": {"regions": [{"id": "p"}]}}',
        '{"a": {"version": 2}}',
    ],
)
def test_edits_that_are_none_change_nothing(yian: Yian, packaged: Case, tmp_path: Path, content: str) -> None:
    (tmp_path / "edits.json").write_text(content)
    answer = yian(
        "review", "reject", packaged.id, "--as", "reviewer", "--note", "n", "--edits", tmp_path / "edits.json",
        "--password-stdin", stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert_refused(answer)
    assert yian("case", "show", packaged.id, "--json").data["state"] == "in_review"


# --- models -------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server of files: its address and its folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def kept_models(core: Core) -> list[str]:
    return [path.name for path in (core.settings.home / "models").glob("*")]


def test_the_models_are_listed_and_the_built_in_one_has_a_place(yian: Yian) -> None:
    models = {model["name"]: model for model in yian("models", "list", "--json").data}
    assert models["demo"]["present"]
    assert models["demo"]["selected"]
    assert models["centerface"]["present"]
    assert not models["yunet"]["present"]
    assert chinese_and_english(yian("models", "list").out)
    found = Path(yian("models", "path", "demo").out.strip())
    assert (found / "model.bin").is_file()
    assert_refused(yian("models", "path", "yunet"), "yunet")
    assert_refused(yian("models", "path", "nothing"), "nothing")


def test_a_model_with_wrong_bytes_is_refused_and_not_kept(
    yian: Yian, core: Core, tmp_path: Path, mirror: tuple[str, Path]
) -> None:
    wrong = mirror[1] / "yunet.onnx"
    wrong.write_bytes(b"not the network")
    assert_refused(yian("models", "fetch", "yunet", "--file", wrong), "yunet")
    assert_refused(yian("models", "fetch", "yunet", "--url", f"{mirror[0]}/yunet.onnx"), "yunet")
    assert_refused(yian("models", "fetch", "yunet", "--url", f"{mirror[0]}/absent.onnx"))
    assert_refused(yian("models", "fetch", "yunet", "--url", "http://127.0.0.1:9/yunet.onnx"))
    assert_refused(yian("models", "fetch", "whatever", "--file", wrong), "whatever")
    assert kept_models(core) == []


def test_a_model_is_fetched_from_its_source_once_its_bytes_are_right(
    yian: Yian, core: Core, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (mirror[1] / "net.onnx").write_bytes(b"the network")
    pinned = Source("net.onnx", f"{mirror[0]}/net.onnx", actions.sha256_of(mirror[1] / "net.onnx"))
    monkeypatch.setitem(weights.SOURCES, "yunet", pinned)
    answer = yian("models", "fetch", "yunet")
    assert answer.status == 0, answer
    assert kept_models(core) == ["net.onnx"]
    assert Path(yian("models", "path", "yunet").out.strip()).read_bytes() == b"the network"


@pytest.mark.parametrize("way", ["file", "url"])
def test_the_real_yunet_is_kept_whichever_way_it_comes(
    yian: Yian, shared_media: Path, mirror: tuple[str, Path], way: str
) -> None:
    real = shared_media / "models" / weights.SOURCES["yunet"].file
    (mirror[1] / real.name).symlink_to(real)
    place = real if way == "file" else f"{mirror[0]}/{real.name}"
    answer = yian("models", "fetch", "yunet", f"--{way}", place)
    assert answer.status == 0, answer
    assert Path(yian("models", "path", "yunet").out.strip()).read_bytes() == real.read_bytes()


# --- the machine --------------------------------------------------------------------------------------------


def test_a_sound_machine_has_nothing_to_repair(yian: Yian) -> None:
    answer = yian("doctor", "--json")
    assert answer.status == 0, answer
    checks = {check["name"]: check["status"] for check in answer.data}
    for name in ("disk", "ffmpeg", "database", "jobs", "store"):
        assert checks[f"doctor.{name}"] in ("ok", "warn")
    assert chinese_and_english(yian("doctor").out)


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("YIAN_ARCHIVE__CATALOG_URL", "postgresql://yian:geheim@127.0.0.1:1/yian", "database"),
        ("YIAN_PROCESSING__JOBS_URL", "postgresql://yian:geheim@127.0.0.1:1/yian", "jobs"),
        ("YIAN_STORE__URL", "s3://127.0.0.1:1/bucket", "store"),
        ("YIAN_STORE__URL", "file:///proc/nothing", "store"),
        ("YIAN_STORE__URL", "gopher://x", "store"),
    ],
)
def test_a_part_that_does_not_answer_is_named_with_advice(
    yian: Yian, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, check: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("YIAN_STORE__TIMEOUT_S", "1")
    answer = yian("doctor", "--json")
    assert answer.status == 1
    failed = [each for each in answer.data if each["status"] == "fail"]
    assert [each["name"] for each in failed] == [f"doctor.{check}"]
    assert failed[0]["advice"] == f"doctor.{check}.advice"
    assert "geheim" not in answer.out + answer.err
    told = yian("doctor")
    assert told.status == 1
    assert "→" in told.out
    assert "doctor." not in told.out


# --- single files -------------------------------------------------------------------------------------------


def test_one_recording_is_written_down(terminal: Yian, tmp_path: Path) -> None:
    recording = write_sound(tmp_path / "a.wav", tone(1.0, 300.0))
    answer = terminal("transcribe", recording, "--out", tmp_path / "out", "--json")
    assert answer.status == 0, answer
    assert "lines" in answer.data
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["transcript.json", "transcript.srt", "transcript.txt", "transcript.vtt", "turns.rttm"]


def test_one_video_is_blurred_and_reported_on(terminal: Yian, tmp_path: Path) -> None:
    clip = consultation_clip(tmp_path / "in.mp4", frames=25, audio_streams=1)
    answer = terminal("blur", clip, tmp_path / "out.mp4", "--report", tmp_path / "report.json")
    assert answer.status == 0, answer
    assert chinese_and_english(answer.out)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verification"]["verdict"] == "pass"
    assert {track["decision"] for track in report["tracks"]} == {"blur"}
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.mp4"]


def test_a_reviewed_video_is_rendered_again_without_looking_for_faces_again(
    terminal: Yian, tmp_path: Path
) -> None:
    clip, report, overrides = (tmp_path / name for name in ("in.mp4", "report.json", "overrides.json"))
    consultation_clip(clip, frames=12, audio_streams=1)
    assert terminal("blur", clip, tmp_path / "first.mp4", "--report", report).status == 0
    paper = {"id": "p", "kind": "paper", "keyframes": [{"time_s": 0.2, "box": [290, 250, 350, 350]}]}
    overrides.write_text(json.dumps({"version": 1, "delete_tracks": [0], "regions": [paper]}))
    again = ("blur", clip, tmp_path / "again.mp4", "--overrides", overrides, "--detections", report, "--json")
    answer = terminal(*again, "--report", report)
    assert answer.status == 0, answer
    told = json.loads(report.read_text())
    assert told["pass_one"]["detections"]["frames"] == told["frames"] == 12
    assert "pass_one" not in answer.data and answer.data["detect_fps"] is None
    assert answer.data["regions"] == [{"id": "p", "kind": "paper", "frames": 7}]
    assert {track["decision"] for track in answer.data["tracks"]} == {"blur", "delete"}
    done = (tmp_path / "again.mp4").read_bytes()
    assert terminal(*again).status == 0
    assert (tmp_path / "again.mp4").read_bytes() == done
    assert_refused(
        terminal("blur", tmp_path / "first.mp4", tmp_path / "x.mp4", "--detections", report), "another file"
    )
    assert_refused(terminal("blur", clip, tmp_path / "x.mp4", "--detections", overrides), "overrides.json")
    assert_refused(
        terminal("blur", clip, tmp_path / "x.mp4", "--report", tmp_path / "none" / "r.json"), "none"
    )
    assert not (tmp_path / "x.mp4").exists()


def test_garbage_is_refused_and_no_output_is_left(terminal: Yian, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(os.urandom(5000))
    assert_refused(terminal("blur", garbage, tmp_path / "out.mp4"), "garbage.mp4")
    assert_refused(terminal("transcribe", garbage, "--out", tmp_path / "text"), "garbage.mp4")
    assert_refused(
        terminal("transcribe", f"{garbage}=expert", f"{garbage}=expert", "--out", tmp_path / "text")
    )
    assert_refused(terminal("transcribe", tmp_path / "absent.wav", "--out", tmp_path / "text"), "absent.wav")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [garbage]
    garbage_edits = tmp_path / "edits.json"
    garbage_edits.write_text("{")
    assert_refused(terminal("blur", garbage, tmp_path / "out.mp4", "--overrides", garbage_edits))
    assert terminal("blur", tmp_path / "absent.mp4", tmp_path / "out.mp4").status == 2


def test_what_nobody_can_do_without_consent_is_refused(
    yian: Yian, core: Core, people: People, tmp_path: Path
) -> None:
    case = make_case(core, people)
    actions.withdraw_consent(core, people.technician, case.id)
    clip = consultation_clip(tmp_path / "in.mp4", frames=5)
    answer = yian("ingest", "--consultation", case.id, "--video", clip, "--as", "technician")
    assert_refused(answer, "consent")
