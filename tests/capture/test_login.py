"""Who is logged in at the core from a station, and what of it outlives the program."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.app import create_app
from api.auth import user_of
from api.core import Core
from capture.login import Login
from config.errors import CoreUnreachable, Forbidden, NotLoggedIn, TooManyAttempts
from config.settings import Settings
from tests.factories import PASSWORD, People, make_core, make_users
from tests.station.conftest import served


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = make_core(tmp_path / "core")
    yield core
    core.close()


@pytest.fixture
def people(core: Core) -> People:
    return make_users(core)


@pytest.fixture
def settings(core: Core, people: People, tmp_path: Path) -> Iterator[Settings]:
    with served(create_app(core.settings, core=core)) as url:
        yield station_of(tmp_path, url)


def station_of(folder: Path, url: str) -> Settings:
    return Settings(home=folder / "station", capture={"core_url": url, "token": "given"})  # type: ignore[arg-type]


def token_of(login: Login) -> str:
    return login.settings.token.get_secret_value()


def test_a_technician_logs_in_once_for_all_restarts_until_logging_out(
    core: Core, people: People, settings: Settings
) -> None:
    login = Login(settings)
    assert (login.name, token_of(login)) == ("", "given")
    login.log_in(people.technician.username, PASSWORD)
    again = Login(settings)
    assert again.name == people.technician.name
    assert token_of(again) == token_of(login)
    user = user_of(core, token_of(again))
    assert user is not None
    assert user.id == people.technician.id

    token = token_of(login)
    login.log_out()
    assert user_of(core, token) is None
    assert (login.name, token_of(login)) == ("", "given")
    assert token_of(Login(settings)) == "given"


def test_what_is_kept_is_for_the_stations_user_alone_and_holds_no_password(tmp_path: Path) -> None:
    settings = station_of(tmp_path, "http://127.0.0.1:9")
    Login(settings)._take("赵采集", "token")
    kept = settings.home / "station" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert set(json.loads(kept.read_text())) == {"name", "token"}


def test_a_wrong_password_or_another_role_changes_nothing(people: People, settings: Settings) -> None:
    login = Login(settings)
    login.log_in(people.technician.username, PASSWORD)
    token = token_of(login)
    with pytest.raises(Forbidden):
        login.log_in(people.manager.username, PASSWORD)
    with pytest.raises(TooManyAttempts):
        for _ in range(9):
            with pytest.raises(NotLoggedIn):
                login.log_in(people.technician.username, "a wrong password")
    assert token_of(login) == token


def test_with_the_core_away_nobody_logs_in_and_logging_out_works(tmp_path: Path) -> None:
    login = Login(station_of(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(CoreUnreachable):
        login.log_in("technician", PASSWORD)
    login._take("赵采集", "old")
    login.log_out()
    assert login.settings.token == SecretStr("given")


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    settings = station_of(tmp_path, "http://127.0.0.1:9")
    (settings.home / "station").mkdir(parents=True)
    (settings.home / "station" / "login.json").write_text('{"name": 1')
    assert token_of(Login(settings)) == "given"
