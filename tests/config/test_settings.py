from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SettingsInvalid
from config.settings import Section, Settings, load_settings
from tests.conftest import REPOSITORY


def test_a_variable_that_names_no_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_STOR__URL", "s3://x/y")
    with pytest.raises(SettingsInvalid, match="YIAN_STOR__URL"):
        load_settings()


def test_a_value_out_of_bounds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_CAPTURE__SEGMENT_S", "0")
    with pytest.raises(SettingsInvalid, match=r"capture\.segment_s"):
        load_settings()


def test_an_unknown_time_zone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_BASE__TIMEZONE", "Asia/Nowhere")
    with pytest.raises(SettingsInvalid, match="time zone"):
        load_settings()


def test_the_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "yian.toml"
    file.write_text('[base]\ncode = "BJ07"\nname = "甲基地"\n')
    monkeypatch.setenv("YIAN_SETTINGS", str(file))
    monkeypatch.setenv("YIAN_BASE__NAME", "乙基地")
    base = load_settings().base
    assert (base.code, base.name) == ("BJ07", "乙基地")


def test_an_unknown_key_in_the_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "yian.toml"
    file.write_text("[store]\nulr = 's3://x/y'\n")
    monkeypatch.setenv("YIAN_SETTINGS", str(file))
    with pytest.raises(SettingsInvalid, match="ulr"):
        load_settings()


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().web.port = 1  # type: ignore[misc]


def test_a_secret_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_STORE__SECRET_KEY", "very-secret")
    assert "very-secret" not in repr(load_settings()) + load_settings().model_dump_json()


def test_a_settings_file_that_is_named_but_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_SETTINGS", "/no/such/yian.toml")
    with pytest.raises(SettingsInvalid, match="no/such"):
        load_settings()


def sections() -> list[tuple[str, type[Section]]]:
    return [
        (name, field.annotation)
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]


def test_every_setting_has_a_description_and_a_row_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    for name, section in sections():
        for key, field in section.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert f"`YIAN_{name}__{key}`".upper() in readme.upper(), f"{name}.{key} is not in the README"


def test_the_example_file_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIAN_SETTINGS", str(REPOSITORY / "config" / "yian.example.toml"))
    assert load_settings().base.code == "BJ01"


@pytest.mark.parametrize("hours", ["8-12", "12:00-08:00", "08:00", "25:00-26:00"])
def test_clinic_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(SettingsInvalid, match="clinic_hours"):
        load_settings(capture={"clinic_hours": hours})


def test_a_clinic_may_have_no_hours() -> None:
    assert load_settings(capture={"clinic_hours": ""}).capture.clinic_spans == ()
