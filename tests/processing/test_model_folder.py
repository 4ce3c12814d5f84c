"""A model fetched where there is a network, carried to where there is none, and used there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.errors import ChecksumMismatch, CoreUnreachable, ModelMissing
from config.settings import Settings, SpeechSettings
from processing import weights
from processing.model_folder import SUMS, check_folder, is_hub_name
from processing.whisper import DEMO_MODEL
from tests.conftest import REPOSITORY, need
from tests.processing.hub import Hub, hub_with

SPEECH = REPOSITORY / "scripts" / "demo_speech"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with hub_with(DEMO_MODEL) as told:
        yield told


def settings(home: Path, url: str, token: str = "hf_mine") -> Settings:
    return Settings(home=home, speech=SpeechSettings(hub_endpoint=url, hub_token=SecretStr(token)))


def test_a_fetched_model_is_carried_to_a_clinic_without_a_network_and_heard_with_there(
    hub: Hub, tmp_path: Path
) -> None:
    folder = weights.fetch(settings(tmp_path / "office", hub.url), "own/small")
    assert folder == tmp_path / "office" / "models" / "own--small"
    check_folder(folder)
    clinic = Settings(home=tmp_path / "clinic")
    carried = weights.fetch(clinic, "own/small", file=folder)
    assert [model.path for model in weights.list_models(clinic) if model.path == carried]
    alone = ["unshare", "--map-root-user", "--net"]
    need(subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0, "unshare")
    out = tmp_path / "text"
    command = [*alone, sys.executable, "-m", "api.cli", "transcribe", "--out", str(out)]
    done = subprocess.run(
        [*command, f"{SPEECH / '01_expert.flac'}=expert"],
        env={"YIAN_SPEECH__MODEL": str(carried), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "请问你哪里不舒服" in (out / "transcript.txt").read_text()


def test_without_the_right_to_it_nothing_is_left_and_the_model_is_named(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        weights.fetch(settings(tmp_path, hub.url, token="hf_other"), "own/small")
    assert caught.value.data["model"] == "own/small"
    assert "hf_other" not in str(caught.value.to_dict())
    assert not list((tmp_path / "models").iterdir())


def test_a_hub_that_does_not_answer_is_named(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CoreUnreachable):
        weights.fetch(settings(tmp_path, "http://127.0.0.1:9"), "own/small")


@pytest.mark.parametrize("harm", ["changed", "cut short", "removed", "sums removed", "a way out"])
def test_a_folder_that_was_harmed_on_its_way_is_refused(hub: Hub, tmp_path: Path, harm: str) -> None:
    folder = weights.fetch(settings(tmp_path / "office", hub.url), "own/small")
    file = folder / "model.bin"
    if harm == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif harm == "cut short":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "removed":
        file.unlink()
    elif harm == "sums removed":
        (folder / SUMS).unlink()
    else:
        (folder / SUMS).write_text(f"{'0' * 64}  ../../{file.name}\n")
    clinic = Settings(home=tmp_path / "clinic")
    with pytest.raises((ChecksumMismatch, ModelMissing)):
        weights.fetch(clinic, "own/small", file=folder)
    assert not list((tmp_path / "clinic" / "models").iterdir())


@pytest.mark.parametrize("name", ["yunet", "../x", "a/b/c", "/etc/passwd", "./x", "-a/b"])
def test_what_is_no_name_of_a_model_is_not_asked_for(name: str) -> None:
    assert not is_hub_name(name)
