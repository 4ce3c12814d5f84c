from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.core import Core
from tests.factories import People, make_core, make_media, make_users

WEB = {"login_attempts": 3, "max_upload_mb": 1}


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """An installation with its people, to be copied: setting one up anew takes most of a test's time."""
    home = tmp_path_factory.mktemp("installed") / "home"
    core = make_core(home, **WEB)
    people = make_users(core)
    core.close()
    return home, people


@pytest.fixture
def core(tmp_path: Path, installed: tuple[Path, People]) -> Iterator[Core]:
    home = tmp_path / "home"
    shutil.copytree(installed[0], home)
    core = make_core(home, **WEB)
    yield core
    core.close()


@pytest.fixture
def people(installed: tuple[Path, People]) -> People:
    return installed[1]


@pytest.fixture
def web(core: Core) -> Iterator[TestClient]:
    with TestClient(create_app(core.settings, core), raise_server_exceptions=False) as client:
        yield client
