"""What the README shows is run, and what it points at is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli import app
from archive.facts import ConsentFacts, PackageFacts
from archive.fixity import store_package
from archive.models import Case, utc_now
from archive.package import build_package
from archive.states import lock_case, move
from archive.terms import Decision, State
from scripts.demo_audio import SPEECH_DIR
from tests.conftest import REPOSITORY
from tests.factories import make_core, make_media, make_processing_case, make_users

pytestmark = pytest.mark.alone
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("yian ")
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the demo leaves, as far as the tour looks at it: a published case with a real package."""
    folder = tmp_path_factory.mktemp("tour")
    core = make_core(folder / "home")
    people = make_users(core)
    case = make_processing_case(core, people)
    media = make_media(folder)
    bag = _bag(folder, media, case)
    prefix = f"packages/{case.id}/edit-0"
    seal = store_package(bag, core.store, prefix)
    with core.catalog.write() as session:
        row = lock_case(session, case.id)
        row.package_prefix, row.package_seal = prefix, seal
        row.summary = {"verification": {"verdict": "pass", "moments": 0}, "package": {"files": 20}}
        move(session, row, State.IN_REVIEW, "worker")
    from api import actions

    actions.decide(core, people.reviewer, case.id, Decision.APPROVE)
    actions.decide(core, people.expert, case.id, Decision.APPROVE)
    core.close()
    yield {
        "CASE": case.id,
        "VIDEO": str(folder / "source.mp4"),
        "SOUND": str(SPEECH_DIR / "01_expert.flac"),
        "YIAN_HOME": str(folder / "home"),
    }


def _bag(folder: Path, media: Path, case: Case) -> Path:
    source = folder / "payload"
    (source / "transcript").mkdir(parents=True)
    (source / "reports").mkdir()
    media.rename(source / "media")
    (source / "transcript" / "transcript.json").write_text("{}")
    (source / "reports" / "verification.json").write_text("{}")
    signed = case.consultation.consents[0]
    facts = PackageFacts(
        case=case.id,
        title=case.consultation.title,
        kind="consultation",
        base_code="BJ01",
        base_name="示范基地",
        expert_name="王大夫",
        patient_pseudonym="P-1",
        recorded_at=utc_now(),
        packaged_at=utc_now(),
        language="zh",
        rights="teaching",
        consent=ConsentFacts(
            id=signed.id,
            purposes=tuple(signed.purposes),
            text=signed.text,
            text_sha256=signed.text_sha256,
            signer_pseudonym="P-1",
            signed_at=signed.signed_at,
            expires_at=signed.expires_at,
            signature_sha256=signed.signature_sha256,
            witness_pseudonym=None,
        ),
    )
    build_package(source, folder / "bag", facts)
    return folder / "bag"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_tour_does_what_it_says(
    command: str, archive: dict[str, str], tmp_path: Path
) -> None:
    for name, value in archive.items():
        command = command.replace(f"${name}", value)
    words = shlex.split(command)
    environment = {**os.environ, "YIAN_HOME": archive["YIAN_HOME"]}
    yian = REPOSITORY / ".venv" / "bin" / "yian"
    done = subprocess.run(
        [str(yian), *words[1:]],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_tour_is_not_empty() -> None:
    assert len(COMMANDS) >= 9


def test_the_two_commands_are_there_and_can_be_run() -> None:
    for name in re.findall(r"^\./(scripts/\w+)", README, re.MULTILINE):
        assert os.access(REPOSITORY / name, os.X_OK), name


def test_every_file_the_readme_points_at_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / target).exists(), target


def test_every_command_of_the_program_is_mentioned() -> None:
    import typer

    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"yian {name}" in README or f"./scripts/{name}" in README, name


def test_docs_name_no_registry_and_no_path_outside_the_repository() -> None:
    for path in (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md"):
        text = path.read_text()
        assert not re.search(r"pypi|pythonhosted|/work/|\.\./shared", text, re.IGNORECASE)
